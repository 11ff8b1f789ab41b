"""Row maps: which row of a factor each row of a term takes; −1 where the term has no row.

Rows are the entries of an array. Most maps are affine in its indices (``start + Σ steps[k] · i_k``), and then nothing
of the array's size is held; others are listed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from matjac.conventions import Array, Shape, cached_property, size


@dataclass(frozen=True, eq=False)
class RowMap:
    """An affine map, or an array of the map's values where `listed` is given."""

    shape: Shape
    steps: tuple[int, ...] = ()
    start: int = 0
    listed: Array | None = None

    @cached_property
    def full(self) -> bool:
        """Whether every row of the term is there."""
        return self.listed is None or not (self.listed.size and self.listed.min() < 0)

    def depends(self, axis: int) -> bool:
        """Whether the map changes along that axis."""
        if self.shape[axis] <= 1:
            return False
        return self.steps[axis] != 0 if self.listed is None else self.listed.strides[axis] != 0

    def same(self, other: "RowMap") -> bool:
        """Whether both map every row alike."""
        if self is other:
            return True
        if self.shape != other.shape:
            return False
        if self.listed is None and other.listed is None:
            return self.start == other.start and all(
                a == b or n <= 1 for a, b, n in zip(self.steps, other.steps, self.shape, strict=True)
            )
        return np.array_equal(self.dense(), other.dense())

    def dense(self) -> Array:
        """The map's values in its shape, repeated along axes that it does not depend on."""
        if self.listed is not None:
            return self.listed
        total: Any = np.full((1,) * len(self.shape), self.start, np.int64)
        for axis, (n, step) in enumerate(zip(self.shape, self.steps, strict=True)):
            if step and n > 1:
                along = [1] * len(self.shape)
                along[axis] = n
                total = total + step * np.arange(n, dtype=np.int64).reshape(along)
        return np.broadcast_to(total, self.shape)

    def rows(self, start: int, stop: int) -> Array:
        """The map of rows ``start:stop``, counted in C order."""
        if self.listed is not None:
            return np.asarray(self.listed.reshape(-1)[start:stop])
        if start == 0 and stop == size(self.shape):
            return self.dense().reshape(-1)
        rest = np.arange(start, stop, dtype=np.int64)
        total = np.full(stop - start, self.start, np.int64)
        for n, step in zip(reversed(self.shape), reversed(self.steps), strict=True):
            if n > 1:
                rest, digit = np.divmod(rest, n)
                if step:
                    total += step * digit
        return total

    # moves -------------------------------------------------------------------------------------------

    def transpose(self, axes: Sequence[int]) -> "RowMap":
        shape = tuple(self.shape[k] for k in axes)
        if self.listed is not None:
            return RowMap(shape, listed=self.listed.transpose(axes))
        return RowMap(shape, tuple(self.steps[k] for k in axes), self.start)

    def insert(self, axis: int) -> "RowMap":
        """A new axis of length one."""
        shape = (*self.shape[:axis], 1, *self.shape[axis:])
        if self.listed is not None:
            return RowMap(shape, listed=np.expand_dims(self.listed, axis))
        return RowMap(shape, (*self.steps[:axis], 0, *self.steps[axis:]), self.start)

    def restricted(self, kept: Sequence[int]) -> "RowMap":
        """The map on some axes, where the others' indices are 0."""
        shape = tuple(self.shape[k] for k in kept)
        if self.listed is None:
            return RowMap(shape, tuple(self.steps[k] for k in kept), self.start)
        return RowMap(shape, listed=self.listed[tuple(slice(None) if k in kept else 0 for k in range(len(self.shape)))])

    def broadcast(self, shape: Shape) -> "RowMap":
        """Repeated along new leading axes and those of length one."""
        if self.listed is not None:
            return RowMap(shape, listed=np.broadcast_to(self.listed, shape))
        ahead = (0,) * (len(shape) - len(self.shape))
        alike = (s if n == m else 0 for s, n, m in zip(self.steps, self.shape, shape[len(ahead) :], strict=True))
        return RowMap(shape, (*ahead, *alike), self.start)

    def slice(self, slices: tuple[slice, ...]) -> "RowMap":
        """By a slice for each axis."""
        ranges = [range(n)[k] for n, k in zip(self.shape, slices, strict=True)]
        shape = tuple(map(len, ranges))
        if self.listed is not None:
            return RowMap(shape, listed=self.listed[slices])
        start = self.start + sum(r.start * step for r, step in zip(ranges, self.steps, strict=True))
        return RowMap(shape, tuple(r.step * step for r, step in zip(ranges, self.steps, strict=True)), start)

    def reshape(self, shape: Shape) -> "RowMap":
        """The map on another shape of as many rows, listed where it is not affine there."""
        steps = regroup(self.shape, self.steps, shape) if self.listed is None else None
        return listed(self.dense().reshape(shape)) if steps is None else RowMap(shape, steps, self.start)

    def plus(self, other: "RowMap", factor: int) -> "RowMap":
        """``factor · self + other``; a row that is absent in this one stays so."""
        if self.listed is None and other.listed is None:
            steps = tuple(factor * a + b for a, b in zip(self.steps, other.steps, strict=True))
            return RowMap(self.shape, steps, factor * self.start + other.start)
        mine, its = self.dense(), other.dense()
        return RowMap(self.shape, listed=np.where(mine < 0, -1, factor * mine + its))

    def masked(self, mask: Array) -> "RowMap":
        """Without the rows where the mask is false."""
        return RowMap(self.shape, listed=np.where(np.broadcast_to(mask, self.shape), self.dense(), -1))


def listed(array: Array) -> RowMap:
    """A map by its values."""
    return RowMap(array.shape, listed=np.asarray(array, np.int64))


def constant(shape: Shape) -> RowMap:
    """The map of every row to row 0."""
    return RowMap(shape, (0,) * len(shape))


def counting(shape: Shape, axes: Sequence[int]) -> RowMap:
    """The map that counts along those axes, the last one fastest, and repeats along the others."""
    steps, step = [0] * len(shape), 1
    for axis in reversed(axes):
        steps[axis], step = step, step * shape[axis]
    return RowMap(shape, tuple(steps))


def grid_of(f: RowMap, g: RowMap) -> tuple[int, int, bool] | None:
    """(m, n, swapped) where f counts the rows of an m × n matrix and g its columns, or the other way round."""
    if f.listed is not None or g.listed is not None or f.start or g.start:
        return None
    shape = f.shape
    for first, second, swapped in ((f, g, False), (g, f, True)):
        for at in range(len(shape) + 1):
            if first.same(counting(shape, range(at))) and second.same(counting(shape, range(at, len(shape)))):
                return size(shape[:at]), size(shape[at:]), swapped
    return None


def regroup(shape: Shape, steps: Sequence[int], wanted: Shape) -> tuple[int, ...] | None:
    """The steps of an affine map on another shape, or None where it is not affine there."""
    if size(shape) != size(wanted) or size(shape) == 0:
        return (0,) * len(wanted) if size(shape) == size(wanted) else None
    merged: list[tuple[int, int]] = []
    for n, step in zip(shape, steps, strict=True):
        if n > 1 and merged and merged[-1][1] == step * n:
            merged[-1] = merged[-1][0] * n, step
        elif n > 1:
            merged.append((n, step))
    result, left, step = [0] * len(wanted), 1, 0
    for axis in reversed(range(len(wanted))):
        n = wanted[axis]
        if n > 1:
            if left == 1:
                left, step = merged.pop()
            if left % n:
                return None
            result[axis], left, step = step, left // n, step * n
    return tuple(result)
