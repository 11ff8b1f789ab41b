"""Few entries of a large result: they are made alone, and what they are taken from never is."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from matjac.conventions import Array, Shape, size
from matjac.linear.primitives import Broadcast, MatMul, Reshape, Sddmm, Take, Transpose, run_length
from matjac.linear.program import Primitive, Program, Step
from matjac.tracing.recorded import FEW, LARGE

MOVES = Broadcast, Reshape, Transpose
#: Steps that take from one large result, each of which gets a chain of its own.
MOST = 32


def sampled(program: Program, arguments: int, out: int) -> tuple[Program, int]:
    """The program, whose first values are the arguments, and its result, where few entries are taken first.

    ``f(A + b)[rows, columns]`` becomes ``f(A[rows, columns] + b[columns])``, and entries of a product of dense matrices
    are made one by one.
    """
    found = _early(program, out)
    if found:
        program, out = _Sampling(program, arguments, found).run(out)
    _sample_products(program, out)
    return program, out


def _live(program: Program, out: int) -> tuple[dict[int, Step], dict[int, list[Step]]]:
    """The steps that a result needs, and those that use each value."""
    live = {step.out: step for step in program.steps([out])}
    users: dict[int, list[Step]] = {}
    for step in live.values():
        for k in step.operands:
            users.setdefault(k, []).append(step)
    return live, users


def _takes_few(program: Program, step: Step) -> bool:
    """Whether it takes so few entries that they cost less one by one."""
    few = FEW * size(program.shapes[step.out]) <= size(program.shapes[step.operands[0]]) if step.operands else False
    return few and isinstance(step.primitive, Take)


def _early(program: Program, out: int) -> dict[int, Step]:
    """The steps whose results are large, made entry by entry, and used for few entries alone."""
    live, users = _live(program, out)
    found: dict[int, Step] = {}
    for number in sorted(live, reverse=True):
        step, later = live[number], users.get(number, [])
        entries = step.primitive.is_entrywise or isinstance(step.primitive, MOVES)
        large = size(program.shapes[number]) >= LARGE and len(later) <= MOST
        if entries and large and number != out and all(u.out in found or _takes_few(program, u) for u in later):
            found[number] = step
    return found


class _Sampling:
    """A program made anew, where entries are taken before the steps `early` and not after."""

    def __init__(self, program: Program, arguments: int, early: dict[int, Step]) -> None:
        self.source, self.early, self.made = program, early, Program()
        self.made.real = program.real
        self.numbers = {k: self.made.given(program.shapes[k]) for k in range(arguments)}

    def run(self, out: int) -> tuple[Program, int]:
        """The program and its result."""
        for step in self.source.steps([out]):
            if step.out in self.early:
                continue
            p = step.primitive
            if isinstance(p, Take) and step.operands[0] in self.early:
                at = (p.positions[:, None] * p.block + np.arange(p.block)).reshape(p.after)
                number = self.taken(step.operands[0], at)
            else:
                number = self.add(p, [self.again(k) for k in step.operands], self.source.shapes[step.out])
            if step.out in self.source.patterns:
                # some are known from more than the step
                self.made.patterns.setdefault(number, self.source.patterns[step.out])
            self.numbers[step.out] = number
        return self.made, self.numbers[out]

    def add(self, primitive: Primitive, operands: Sequence[int], shape: Shape) -> int:
        return self.made.add(primitive, operands, shape)

    def again(self, number: int) -> int:
        """A value that is not early."""
        if number not in self.numbers:
            constant = self.source.constants[number]
            self.numbers[number] = self.made.constant(constant, self.source.patterns.get(number))
        return self.numbers[number]

    def taken(self, number: int, at: Array) -> int:
        """The entries of a value at flat positions, in the positions' shape; a single number stays one."""
        shape = self.source.shapes[number]
        if number not in self.early:
            if size(shape) == 1:
                return self.add(Reshape(shape, ()), [self.again(number)], ())
            flat = at.reshape(-1)
            block = run_length(flat, size(shape))
            return self.add(Take(shape, flat[::block] // block, block, at.shape), [self.again(number)], at.shape)
        step = self.early[number]
        if isinstance(step.primitive, Reshape):
            return self.taken(step.operands[0], at)
        if isinstance(step.primitive, Transpose):
            before, axes = step.primitive.before, step.primitive.axes
            index = dict(zip(axes, np.unravel_index(at, shape), strict=True))
            return self.taken(step.operands[0], np.ravel_multi_index([index[k] for k in range(len(axes))], before))
        operands = [self.taken(k, _below(at, shape, self.source.shapes[k])) for k in step.operands]
        return operands[0] if isinstance(step.primitive, Broadcast) else self.add(step.primitive, operands, at.shape)


def _below(at: Array, shape: Shape, before: Shape) -> Array:
    """Positions in an array of what is at some positions in a wider one that it is broadcast to."""
    if before == shape:
        return at
    index = np.unravel_index(at, shape)[len(shape) - len(before) :]
    kept = [k if n > 1 else np.zeros_like(k) for k, n in zip(index, before, strict=True)]
    return np.ravel_multi_index(kept, before) if kept else np.zeros_like(at)


def _sample_products(program: Program, out: int) -> None:
    """Of a product of dense matrices of which only a few entries are taken, make those alone."""
    live, users = _live(program, out)
    for number, product in live.items():
        takes = users.get(number, [])
        if number != out and takes and _is_dense(program, product) and all(_takes_few(program, t) for t in takes):
            for take in takes:
                p = take.primitive
                assert isinstance(p, Take)
                at = (p.positions[:, None] * p.block + np.arange(p.block)).reshape(-1)
                columns = max(program.shapes[number][1], 1)
                entries = Sddmm(*np.divmod(at, columns), p.after, program.shapes[number])  # type: ignore[arg-type]
                program.makers[take.out] = replace(product, primitive=entries, out=take.out)


def _is_dense(program: Program, step: Step) -> bool:
    """Whether it is a product of two dense matrices."""
    matrices = isinstance(step.primitive, MatMul) and len(program.shapes[step.out]) == 2
    return matrices and not any(sp.issparse(program.constants.get(k)) for k in step.operands)
