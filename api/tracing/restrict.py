"""A recorded function of many separate problems, as one of a few of them: the same steps on fewer rows.

Problems are counted by the first axis of arguments, values and constants. The constants that differ between
problems become arguments, so one such record serves every choice of as many problems.
"""

from collections.abc import Callable, Sequence

import numpy as np
import scipy.sparse as sp

from matjac.conventions import Array, Shape, size
from matjac.linear.primitives import (
    Add,
    Broadcast,
    Join,
    Mask,
    MatMul,
    Multiply,
    Reshape,
    Slice,
    Sum,
    Take,
    Transpose,
)
from matjac.linear.program import Indicator, Primitive, Program, Step
from matjac.tracing.assignment import Assigned, Like
from matjac.tracing.conditions import Stepwise, Where
from matjac.tracing.elementwise import Elementwise, Slope
from matjac.tracing.record import Record


class NotSeparate(Exception):  # noqa: N818
    """A step does not act on each problem alone, or not on all alike, as far as is seen here."""


class Restricted:
    """A record of `count` problems.

    Its arguments are those of the whole record, and then the rows of `constants` that belong to the problems.
    """

    def __init__(self, record: Record, constants: list[Array]) -> None:
        self.record, self.constants = record, constants


def restricted(record: Record, count: int) -> Restricted | None:
    """The record of so many problems, fewer than there are; None where that is not known to be possible."""
    try:
        return _Restriction(record, count).made()
    except NotSeparate:
        return None


class _Restriction:
    def __init__(self, record: Record, count: int) -> None:
        self.whole, self.count = record, count
        self.source, self.program = record.program, Program()
        self.program.real = self.source.real
        (self.total,) = {self.source.shapes[k][:1] for k in record.arguments} or {()}
        #: of values with a row for each problem, their numbers in the new program
        self.numbers: dict[int, int] = {}
        #: of what is joined, the values
        self.joins: dict[int, Step] = {}
        self.given: dict[int, int] = {}

    def made(self) -> Restricted:
        record, program = self.whole, self.program
        for k in record.arguments:
            self.numbers[k] = program.given(self._fewer(self.source.shapes[k]))
        # what is made of constants alone is a constant
        self.values = record.constants()
        for step in record.steps:
            if all(self.values[k] is not None for k in step.operands):
                self.values[step.out] = step.primitive.value(*[self.values[k] for k in step.operands])
        for step in record.steps:
            if self.values[step.out] is None:
                self._step(step)
        if any(k not in self.numbers for k in record.results):
            raise NotSeparate
        constants = [np.asarray(self.values[k]) for k in self.given]
        points = [point[: self.count] for point in (*record.points, *constants)]
        arguments = [*(self.numbers[k] for k in record.arguments), *self.given.values()]
        made = Record(program, arguments, [self.numbers[k] for k in record.results], points)
        return Restricted(made, constants)

    def _fewer(self, shape: Shape) -> Shape:
        if shape[:1] != self.total:
            raise NotSeparate
        return self.count, *shape[1:]

    def _step(self, step: Step) -> None:
        if isinstance(step.primitive, Join):
            self.joins[step.out] = step
            return
        shape = self._fewer(self.source.shapes[step.out])
        found = RULES.get(type(step.primitive))
        if found is None:
            raise NotSeparate
        primitive, operands = found(self, step, shape)
        self.numbers[step.out] = self.program.add(primitive, operands, shape)

    def operand(self, number: int, ndim: int) -> int:
        """A value in the new program, where it meets others of so many axes."""
        shape = self.source.shapes[number]
        if number in self.numbers:
            if len(shape) != ndim:
                raise NotSeparate
            return self.numbers[number]
        value = self.values[number]
        if value is None:
            raise NotSeparate
        if len(shape) != ndim or shape[:1] != self.total:
            return self.program.constant(value)
        # its pattern would be one problem's
        if number in self.source.patterns or sp.issparse(value):
            raise NotSeparate
        if number not in self.given:
            self.given[number] = self.numbers[number] = self.program.given(self._fewer(shape))
        return self.given[number]


# what becomes of each primitive: it and its operands ----------------------------------------------------

_Made = tuple[Primitive, list[int]]


def _alike(made: _Restriction, step: Step, shape: Shape) -> _Made:
    return step.primitive, [made.operand(k, len(shape)) for k in step.operands]


def _matmul(made: _Restriction, step: Step, shape: Shape) -> _Made:
    # of two plain matrices problems are rows of the first
    a, b = step.operands
    if len(shape) == 2:
        if b in made.numbers:
            raise NotSeparate
        return step.primitive, [made.operand(a, 2), made.program.constant(made.values[b])]
    return _alike(made, step, shape)


def _reshape(made: _Restriction, step: Step, shape: Shape) -> _Made:
    before = _before(made, step)
    return Reshape(before, shape), [made.operand(step.operands[0], len(before))]


def _transpose(made: _Restriction, step: Step, shape: Shape) -> _Made:
    assert isinstance(step.primitive, Transpose)
    if step.primitive.axes[0] != 0:
        raise NotSeparate
    return Transpose(_before(made, step), step.primitive.axes), [made.operand(step.operands[0], len(shape))]


def _broadcast(made: _Restriction, step: Step, shape: Shape) -> _Made:
    return Broadcast(_before(made, step), shape), [made.operand(step.operands[0], len(shape))]


def _slice(made: _Restriction, step: Step, shape: Shape) -> _Made:
    assert isinstance(step.primitive, Slice)
    first, *rest = step.primitive.slices
    if range(*made.total)[first] != range(*made.total):
        raise NotSeparate
    return Slice(_before(made, step), (slice(None), *rest)), [made.operand(step.operands[0], len(shape))]


def _sum(made: _Restriction, step: Step, shape: Shape) -> _Made:
    assert isinstance(step.primitive, Sum)
    before = _before(made, step)
    if 0 in step.primitive.axes:
        raise NotSeparate
    return Sum(before, step.primitive.axes), [made.operand(step.operands[0], len(before))]


def _mask(made: _Restriction, step: Step, shape: Shape) -> _Made:
    assert isinstance(step.primitive, Mask)
    mask = np.broadcast_to(step.primitive.mask, (*made.total, *shape[1:]))
    if not np.array_equal(mask, np.broadcast_to(mask[:1], mask.shape)):
        raise NotSeparate
    fewer = np.ascontiguousarray(np.broadcast_to(mask[:1], shape))
    return Mask(_before(made, step), fewer), [made.operand(step.operands[0], len(shape))]


def _take(made: _Restriction, step: Step, shape: Shape) -> _Made:
    """Entries of each problem, of all alike; or of several values joined."""
    take, (number,) = step.primitive, step.operands
    assert isinstance(take, Take)
    positions = (take.positions.reshape(-1, 1) * take.block + np.arange(take.block)).reshape(-1)
    parts = made.joins[number].operands if number in made.joins else (number,)
    taken, end = _fewer_positions(made, positions, parts, shape)
    operands = [made.operand(k, len(made.source.shapes[k])) for k in parts]
    if number in made.joins:
        before: Shape = (end,)
        join = Join(tuple(made.program.shapes[k] for k in operands))
        operands = [made.program.add(join, operands, before)]
    else:
        before = _before(made, step)
    return Take(before, taken, 1, shape), operands


def _assigned(made: _Restriction, step: Step, shape: Shape) -> _Made:
    assert isinstance(step.primitive, Assigned)
    taken, _ = _fewer_positions(made, step.primitive.positions, step.operands[1:], shape)
    return Assigned(taken, shape), [made.operand(k, len(made.source.shapes[k])) for k in step.operands]


def _fewer_positions(made: _Restriction, positions: Array, parts: Sequence[int], shape: Shape) -> tuple[Array, int]:
    """Positions in values one after another where they are of fewer problems, and how many entries those have."""
    (total,) = made.total
    positions = positions.reshape(total, -1)
    sizes = np.array([size(made.source.shapes[k]) for k in parts])
    # what all problems share is a number
    alone = np.array([made.source.shapes[k] == () and k not in made.numbers for k in parts])
    ends = np.cumsum([0, *sizes])
    fewer = np.cumsum(
        [0, *(1 if one else size(made._fewer(made.source.shapes[k])) for k, one in zip(parts, alone, strict=True))]
    )
    part = np.searchsorted(ends, positions, side="right") - 1
    entries = np.where(alone, 1, sizes // total)[part]
    problem, place = np.divmod(positions - ends[part], entries)
    expected = np.where(alone[part], 0, np.arange(total)[:, None])
    if np.any(problem != expected) or np.any(place != place[0]) or np.any(part != part[0]):
        raise NotSeparate
    step = np.where(alone[part[0]], 0, entries[0])
    return (fewer[part[0]] + place[0] + np.arange(shape[0])[:, None] * step).reshape(-1), int(fewer[-1])


def _like(made: _Restriction, step: Step, shape: Shape) -> _Made:
    assert isinstance(step.primitive, Like)
    (number,) = step.operands
    return Like(shape, step.primitive.fill), [made.operand(number, len(made.source.shapes[number]))]


def _before(made: _Restriction, step: Step) -> Shape:
    return made._fewer(made.source.shapes[step.operands[0]])


def _stepwise(made: _Restriction, step: Step, shape: Shape) -> _Made:
    """What acts along the axes of each problem."""
    assert isinstance(step.primitive, Stepwise)
    ndim, along = len(_before(made, step)), step.primitive.along
    if along is None or any(k % ndim == 0 for k in along):
        raise NotSeparate
    return step.primitive, [made.operand(k, ndim) for k in step.operands]


RULES: dict[type[Primitive], Callable[[_Restriction, Step, Shape], _Made]] = {
    **dict.fromkeys((Add, Multiply, Elementwise, Indicator, Slope, Where), _alike),
    MatMul: _matmul,
    Reshape: _reshape,
    Transpose: _transpose,
    Broadcast: _broadcast,
    Slice: _slice,
    Sum: _sum,
    Mask: _mask,
    Take: _take,
    Stepwise: _stepwise,
    Assigned: _assigned,
    Like: _like,
}
