"""Few entries of a large result: they are made alone, and what they are taken from never is."""

import numpy as np
import scipy.sparse as sp

from matjac.conventions import size
from matjac.linear.primitives import Broadcast, MatMul, Take, run_length
from matjac.linear.program import Program, Step
from matjac.tracing import lazy

#: Takes from one large result that get steps of their own; more take from the whole.
MOST = 32


def sampled(program: Program, arguments: int, out: int) -> tuple[Program, int]:
    """The program, whose first values are the arguments, and its result, where few entries are taken first.

    ``f(A + b)[rows, columns]`` becomes ``f(A[rows, columns] + b[columns])``, and entries of a product of dense matrices
    are made one by one.
    """
    late = _late(program, out)
    return _Sampling(program, arguments, late).run(out) if late else (program, out)


def _late(program: Program, out: int) -> dict[int, Step]:
    """The steps that are to run after the takes: what they make is wanted for few entries alone."""
    live = {step.out: step for step in program.steps([out])}
    users: dict[int, list[Step]] = {}
    for step in live.values():
        for k in step.operands:
            users.setdefault(k, []).append(step)
    found: dict[int, Step] = {}
    # of each step that is made entry by entry: the takes that it leads to, and the steps on the longest way there
    takes: dict[int, set[int]] = {}
    depth: dict[int, int] = {}
    for number in sorted(live.keys() - {out}, reverse=True):
        step, later, total = live[number], users[number], size(program.shapes[number])
        if not all(isinstance(use.primitive, Take) or use.out in takes for use in later):
            continue
        wanted = set().union(*(takes.get(use.out, {use.out}) for use in later))
        steps = 1 + max(depth.get(use.out, 0) for use in later)
        if lazy.FEW * sum(size(program.shapes[k]) for k in wanted) > total:
            continue
        entrywise = step.primitive.is_entrywise or isinstance(step.primitive, lazy.MOVES)
        # each take has steps of its own
        worth = total >= lazy.LARGE and len(wanted) <= MOST and steps <= lazy.DEEP
        if _is_product(program, step):
            # its operands are wanted whole
            found[number] = step
        elif entrywise and worth:
            found[number], takes[number], depth[number] = step, wanted, steps
    return found


def _is_product(program: Program, step: Step) -> bool:
    """Whether it is a product of two dense matrices."""
    matrices = isinstance(step.primitive, MatMul) and len(program.shapes[step.out]) == 2
    return matrices and not any(sp.issparse(program.constants.get(k)) for k in step.operands)


class _Sampling:
    """A program made anew, where the steps `late` run on what was taken."""

    def __init__(self, program: Program, arguments: int, late: dict[int, Step]) -> None:
        self.source, self.late, self.made = program, late, Program()
        self.made.real = program.real
        self.numbers = {k: self.made.given(program.shapes[k]) for k in range(arguments)}
        self.places = lazy.Places()
        self._known: dict[tuple[int, int], int] = {}

    def run(self, out: int) -> tuple[Program, int]:
        """The program and its result."""
        for step in self.source.steps([out]):
            if step.out in self.late:
                continue
            if isinstance(step.primitive, Take) and step.operands[0] in self.late:
                number = self.taken(step.operands[0], self.places.number(lazy.entries_of(step.primitive)))
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

    def taken(self, number: int, place: int) -> int:
        """The entries of a value at flat positions, in the positions' shape."""
        key = number, place
        if key not in self._known:
            self._known[key] = self._after(number, place) if number in self.late else self._there(number, place)
        return self._known[key]

    def _after(self, number: int, place: int) -> int:
        step, shapes, made = self.late[number], self.source.shapes, self.made
        at = self.places.arrays[place]
        if isinstance(step.primitive, MatMul):
            return made.add(lazy.pairs(at, shapes[number]), [self.again(k) for k in step.operands], at.shape)
        behind = self.places.behind(step.primitive, place, shapes[number], [shapes[k] for k in step.operands])
        # a number stays one, and takes part as such
        operands = [
            self.again(k) if shapes[k] == () else self.taken(k, there)
            for k, there in zip(step.operands, behind, strict=True)
        ]
        if isinstance(step.primitive, lazy.MOVES):
            (found,) = operands
        else:
            found = made.add(step.primitive, operands, np.broadcast_shapes(*(made.shapes[k] for k in operands)))
        shape = made.shapes[found]
        return found if shape == at.shape else made.add(Broadcast(shape, at.shape), [found], at.shape)

    def _there(self, number: int, place: int) -> int:
        at = self.places.arrays[place]
        constant, pattern = self.source.constants.get(number), self.source.patterns.get(number)
        if isinstance(constant, np.ndarray):
            index = np.unravel_index(at, constant.shape)
            return self.made.constant(constant[index], None if pattern is None else pattern[index])
        shape, flat = self.source.shapes[number], at.reshape(-1)
        block = run_length(flat, size(shape))
        return self.made.add(Take(shape, flat[::block] // block, block, at.shape), [self.again(number)], at.shape)
