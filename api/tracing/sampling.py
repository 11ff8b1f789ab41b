"""Few entries of a large result: they are made alone, and what they are taken from never is."""

from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from matjac.conventions import Array, size
from matjac.linear.primitives import Broadcast, MatMul, Sddmm, Take, run_length
from matjac.linear.program import Program, Step
from matjac.tracing import lazy

#: Takes from one large result, each of which gets steps of its own.
MOST = 32


def sampled(program: Program, arguments: int, out: int) -> tuple[Program, int]:
    """The program, whose first values are the arguments, and its result, where few entries are taken first.

    ``f(A + b)[rows, columns]`` becomes ``f(A[rows, columns] + b[columns])``, and entries of a product of dense matrices
    are made one by one.
    """
    late = _late(program, out)
    if late:
        program, out = _Sampling(program, arguments, late).run(out)
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


def _late(program: Program, out: int) -> dict[int, Step]:
    """The steps that are to run after the takes: of large results, made entry by entry, and wanted nowhere else."""
    live, users = _live(program, out)
    found: dict[int, Step] = {}
    takes: dict[int, set[int]] = {}
    depth: dict[int, int] = {}
    for number in sorted(live, reverse=True):
        step, later, total = live[number], users.get(number, []), size(program.shapes[number])
        entrywise = step.primitive.is_entrywise or isinstance(step.primitive, lazy.MOVES)
        known = all(isinstance(u.primitive, Take) or u.out in found for u in later)
        if number == out or total < lazy.LARGE or not entrywise or not known:
            continue
        takes[number] = set().union(*(takes.get(u.out, {u.out}) for u in later))
        depth[number] = 1 + max(depth.get(u.out, 0) for u in later)
        wanted = sum(size(program.shapes[k]) for k in takes[number])
        if lazy.FEW * wanted <= total and len(takes[number]) <= MOST and depth[number] <= lazy.DEEP:
            found[number] = step
    return found


class _Sampling:
    """A program made anew, where the steps `late` run on what was taken."""

    def __init__(self, program: Program, arguments: int, late: dict[int, Step]) -> None:
        self.source, self.late, self.made = program, late, Program()
        self.made.real = program.real
        self.numbers = {k: self.made.given(program.shapes[k]) for k in range(arguments)}
        self._known: dict[tuple[int, int], tuple[Array, int]] = {}

    def run(self, out: int) -> tuple[Program, int]:
        """The program and its result."""
        for step in self.source.steps([out]):
            if step.out in self.late:
                continue
            if isinstance(step.primitive, Take) and step.operands[0] in self.late:
                number = self.taken(step.operands[0], lazy.entries_of(step.primitive))
            else:
                operands = [self.again(k) for k in step.operands]
                number = self.made.add(step.primitive, operands, self.source.shapes[step.out])
            if step.out in self.source.patterns:
                # some are known from more than the step
                self.made.patterns.setdefault(number, self.source.patterns[step.out])
            self.numbers[step.out] = number
        return self.made, self.numbers[out]

    def again(self, number: int) -> int:
        """A value that is as it was."""
        if number not in self.numbers:
            constant = self.source.constants[number]
            self.numbers[number] = self.made.constant(constant, self.source.patterns.get(number))
        return self.numbers[number]

    def taken(self, number: int, at: Array) -> int:
        """The entries of a value at flat positions, in the positions' shape."""
        # an array that is kept has an identity of its own
        key = number, id(at)
        if key not in self._known:
            self._known[key] = at, self._after(number, at) if number in self.late else self._there(number, at)
        return self._known[key][1]

    def _after(self, number: int, at: Array) -> int:
        step, shapes = self.late[number], self.source.shapes
        places = lazy.behind(step.primitive, at, shapes[number], [shapes[k] for k in step.operands])
        # a number stays one, and takes part as such
        operands = [
            self.again(k) if shapes[k] == () else self.taken(k, place)
            for k, place in zip(step.operands, places, strict=True)
        ]
        made = self.made
        if isinstance(step.primitive, lazy.MOVES):
            (found,) = operands
        else:
            found = made.add(step.primitive, operands, np.broadcast_shapes(*(made.shapes[k] for k in operands)))
        shape = made.shapes[found]
        return found if shape == at.shape else made.add(Broadcast(shape, at.shape), [found], at.shape)

    def _there(self, number: int, at: Array) -> int:
        constant, pattern = self.source.constants.get(number), self.source.patterns.get(number)
        if isinstance(constant, np.ndarray):
            index = np.unravel_index(at, constant.shape)
            return self.made.constant(constant[index], None if pattern is None else pattern[index])
        shape, flat = self.source.shapes[number], at.reshape(-1)
        block = run_length(flat, size(shape))
        return self.made.add(Take(shape, flat[::block] // block, block, at.shape), [self.again(number)], at.shape)


def _sample_products(program: Program, out: int) -> None:
    """Of a product of dense matrices of which only a few entries are taken, make those alone."""
    live, users = _live(program, out)
    for number, product in live.items():
        takes = users.get(number, [])
        if number != out and takes and _is_dense(program, product) and all(_takes_few(program, t) for t in takes):
            for take in takes:
                p = take.primitive
                assert isinstance(p, Take)
                rows, columns = np.divmod(lazy.entries_of(p).reshape(-1), max(program.shapes[number][1], 1))
                entries = Sddmm(rows, columns, p.after, program.shapes[number])  # type: ignore[arg-type]
                program.makers[take.out] = replace(product, primitive=entries, out=take.out)


def _takes_few(program: Program, step: Step) -> bool:
    """Whether it takes so few entries that they cost less one by one than all in a BLAS."""
    if not isinstance(step.primitive, Take):
        return False
    return lazy.FEW * size(program.shapes[step.out]) <= size(program.shapes[step.operands[0]])


def _is_dense(program: Program, step: Step) -> bool:
    """Whether it is a product of two dense matrices."""
    matrices = isinstance(step.primitive, MatMul) and len(program.shapes[step.out]) == 2
    return matrices and not any(sp.issparse(program.constants.get(k)) for k in step.operands)
