"""Primitives that are linear in each operand: all that a differential is made of.

With one operand replaced by a differential a primitive is a step of a linear expression. It is run by `value`, which
acts on the last axes of that operand, so that many directions go in one pass. Adjoints are primitives again, see
`adjoint.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import scipy.sparse as sp

from matjac import kernels
from matjac.conventions import Array, Shape, cached_property, size
from matjac.linear.program import Primitive
from matjac.threads import split


class Multilinear(Primitive):
    """A primitive that is linear in each operand."""

    keeps_real = True

    def positive(self) -> "Multilinear":
        """The primitive with absolute values of its own numbers."""
        return self


@dataclass(frozen=True)
class AtMostOne(Multilinear):
    """A primitive of numbers that tell where entries are: what it adds up is one again, so that no step overflows."""

    primitive: Multilinear

    def value(self, *operands: Any) -> Any:
        total = np.asarray(self.primitive.value(*operands))
        # what shows an operand is that already, and is not changed
        return np.minimum(total, 1, out=total if total.flags.writeable else None)


PLUS = 1, 1


@dataclass(frozen=True)
class Add(Multilinear):
    """The sum of the operands, each with its sign."""

    is_entrywise = True

    signs: tuple[int, ...]

    @property
    def name(self) -> str:
        return {(1, 1): "add", (1, -1): "subtract", (-1,): "negative"}.get(self.signs, "sum of operands")

    def value(self, *operands: Any) -> Any:
        if self.signs == PLUS:
            return operands[0] + operands[1]
        first, *rest = operands
        total = first if self.signs[0] > 0 else np.negative(first)
        for sign, term in zip(self.signs[1:], rest, strict=True):
            total = total + term if sign > 0 else total - term
        return total

    def positive(self) -> "Add":
        return Add((1,) * len(self.signs))

    def pattern(self, patterns: Sequence[Array | None], shapes: Sequence[Shape], shape: Shape) -> Array | None:
        known = [p for p in patterns if p is not None]
        return np.broadcast_to(reduce(np.logical_or, known), shape) if len(known) == len(patterns) else None


@dataclass(frozen=True)
class Multiply(Multilinear):
    """The product entry by entry; a differential among the operands has the result's shape."""

    is_entrywise = True

    def value(self, *operands: Any) -> Any:
        a, b = operands
        return a * b

    def pattern(self, patterns: Sequence[Array | None], shapes: Sequence[Shape], shape: Shape) -> Array | None:
        return np.broadcast_to(reduce(np.logical_and, [p for p in patterns if p is not None]), shape)


@dataclass(frozen=True)
class MatMul(Multilinear):
    """The product of matrices or of stacks of them; a constant may be sparse."""

    def value(self, *operands: Any) -> Any:
        a, b = operands
        if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
            return np.matmul(a, b)
        return sparse_left(a, b) if sp.issparse(a) else sparse_left(b.T, a.mT).mT

    def pattern(self, patterns: Sequence[Array | None], shapes: Sequence[Shape], shape: Shape) -> Array | None:
        # counted in floating point: NumPy's product of booleans is slow
        a, b = (_ones(p, s) for p, s in zip(patterns, shapes, strict=True))
        places: Array = self.value(a, b) > 0
        return None if places.all() else places


def _ones(pattern: Any, shape: Shape) -> Any:
    if sp.issparse(pattern):
        return sp.csr_array((np.ones(pattern.nnz), pattern.indices, pattern.indptr), shape=shape)
    return np.ones(shape) if pattern is None else pattern.astype(float)


def sparse_left(matrix: Any, x: Array) -> Array:
    """A sparse matrix times each of a stack of matrices."""
    if x.ndim == 2:
        return matrix @ x  # type: ignore[no-any-return]
    beside = np.moveaxis(x, -2, 0)
    product = matrix @ beside.reshape(beside.shape[0], size(beside.shape[1:]))
    return np.moveaxis(product.reshape(matrix.shape[0], *beside.shape[1:]), 0, -2)


@dataclass(frozen=True)
class Move(Multilinear):
    """A primitive that moves entries of one operand, of shape `before`."""

    before: Shape

    def move(self, x: Array, batch: Shape) -> Array:
        """The moved entries of an array of shape batch + before."""
        raise NotImplementedError

    def value(self, *operands: Any) -> Any:
        x = operands[0]
        x = x if isinstance(x, np.ndarray) else np.asarray(x)
        return self.move(x, x.shape[: x.ndim - len(self.before)])

    def pattern(self, patterns: Sequence[Array | None], shapes: Sequence[Shape], shape: Shape) -> Array | None:
        return self.value(patterns[0])  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Reshape(Move):
    """The same entries in another shape."""

    makes_view = True
    after: Shape

    @property
    def idle(self) -> bool:
        return self.before == self.after

    def following(self, first: Primitive) -> "Reshape | None":
        return Reshape(first.before, self.after) if isinstance(first, Reshape) else None

    def move(self, x: Array, batch: Shape) -> Array:
        return x.reshape(batch + self.after)


@dataclass(frozen=True)
class Transpose(Move):
    """The axes in another order."""

    makes_view = True
    axes: tuple[int, ...]

    @property
    def idle(self) -> bool:
        return self.axes == tuple(range(len(self.axes)))

    def following(self, first: Primitive) -> "Transpose | None":
        if not isinstance(first, Transpose):
            return None
        return Transpose(first.before, tuple(first.axes[k] for k in self.axes))

    def move(self, x: Array, batch: Shape) -> Array:
        ahead = len(batch)
        return x.transpose((*range(ahead), *(ahead + k for k in self.axes)) if ahead else self.axes)


@dataclass(frozen=True)
class Broadcast(Move):
    """The entries repeated along new axes and those of length one."""

    makes_view = True
    after: Shape

    def move(self, x: Array, batch: Shape) -> Array:
        ones = (1,) * (len(self.after) - len(self.before))
        return np.broadcast_to(x.reshape(batch + ones + self.before), batch + self.after)


@dataclass(frozen=True)
class Slice(Move):
    """Entries by a slice for each axis, as a view."""

    makes_view = True
    slices: tuple[slice, ...]

    @property
    def idle(self) -> bool:
        return all(range(n)[k] == range(n) for n, k in zip(self.before, self.slices, strict=True))

    @property
    def key(self) -> Any:
        # slices have no hash before Python 3.12
        return Slice, self.before, tuple((k.start, k.stop, k.step) for k in self.slices)

    def move(self, x: Array, batch: Shape) -> Array:
        index: Any = (..., *self.slices)
        return x[index]  # type: ignore[no-any-return]


@dataclass(frozen=True, eq=False)
class Pad(Move):
    """Entries put at slices of an array that is zero elsewhere: the adjoint of `Slice`."""

    makes_zeros = True

    after: Shape
    slices: tuple[slice, ...]

    @property
    def key(self) -> Any:
        return Pad, self.after, *Slice(self.before, self.slices).key

    @property
    def positions(self) -> Array:
        """The flat positions of the entries."""
        return np.arange(size(self.after)).reshape(self.after)[self.slices].reshape(-1)

    def move(self, x: Array, batch: Shape) -> Array:
        out = np.zeros(batch + self.after, x.dtype)
        index: Any = (..., *self.slices)
        out[index] = x
        return out

    def pattern(self, patterns: Sequence[Array | None], shapes: Sequence[Shape], shape: Shape) -> Array | None:
        return self.value(np.ones(self.before, bool) if patterns[0] is None else patterns[0])  # type: ignore[no-any-return]


def run_length(positions: Array, total: int) -> int:
    """The largest number such that positions in so many entries are runs of it that begin at its multiples."""
    turns = np.flatnonzero(np.diff(positions) != 1) + 1
    if 2 * turns.size >= positions.size:
        return 1
    return int(np.gcd.reduce(np.concatenate([turns, positions[turns], [positions[0], positions.size, total]])))


@dataclass(frozen=True, eq=False)
class Take(Move):
    """Blocks of `block` entries that follow one another, at `positions` counted in blocks, in the shape `after`."""

    positions: Array
    block: int
    after: Shape

    def move(self, x: Array, batch: Shape) -> Array:
        count, axis = size(self.before) // max(self.block, 1), len(batch)
        blocks = x.reshape(*batch, count, self.block) if self.block > 1 else x.reshape(*batch, count)
        return np.take(blocks, self.positions, axis=axis).reshape(batch + self.after)


@dataclass(frozen=True, eq=False)
class Scatter(Move):
    """Entries put at different flat positions of an array that is zero elsewhere: triangles, diagonals, masks."""

    makes_zeros = True

    positions: Array
    after: Shape

    @cached_property
    def _blocks(self) -> tuple[int, Array]:
        """How many entries always go together, and the positions counted in so many."""
        block = run_length(self.positions, size(self.after))
        return block, self.positions[::block] // block

    def move(self, x: Array, batch: Shape) -> Array:
        block, positions = self._blocks
        out = np.zeros((*batch, size(self.after)), x.dtype)
        if block > 1:
            out.reshape(*batch, size(self.after) // block, block)[..., positions, :] = x.reshape(
                *batch, positions.size, block
            )
        else:
            out[..., positions] = x.reshape(*batch, positions.size)
        return out.reshape(batch + self.after)

    def pattern(self, patterns: Sequence[Array | None], shapes: Sequence[Shape], shape: Shape) -> Array | None:
        return self.value(np.ones(self.before, bool) if patterns[0] is None else patterns[0])  # type: ignore[no-any-return]


@dataclass(frozen=True, eq=False)
class Mask(Move):
    """The entries where a constant mask is true, and zero elsewhere: triangles, `np.where`."""

    makes_zeros = True

    mask: Array

    def move(self, x: Array, batch: Shape) -> Array:
        return np.where(self.mask, x, np.zeros((), x.dtype))

    def pattern(self, patterns: Sequence[Array | None], shapes: Sequence[Shape], shape: Shape) -> Array | None:
        return self.mask if patterns[0] is None else self.mask & patterns[0]


@dataclass(frozen=True)
class Sum(Move):
    """The sum over some axes."""

    axes: tuple[int, ...]

    def move(self, x: Array, batch: Shape) -> Array:
        return np.asarray(np.sum(x, axis=tuple(len(batch) + k for k in self.axes)))

    def pattern(self, patterns: Sequence[Array | None], shapes: Sequence[Shape], shape: Shape) -> Array | None:
        places: Array = np.any(patterns[0], axis=self.axes)
        return places


@dataclass(frozen=True)
class Real(Multilinear):
    """The real part: linear in real multiples alone. Its adjoint, where real numbers come in and go out, is itself."""

    name = "real part"

    def following(self, first: Primitive) -> "Real | None":
        return first if isinstance(first, Real) else None

    def value(self, *operands: Any) -> Any:
        return np.real(operands[0])

    def pattern(self, patterns: Sequence[Array | None], shapes: Sequence[Shape], shape: Shape) -> Array | None:
        return patterns[0]


@dataclass(frozen=True)
class Join(Multilinear):
    """The entries of several operands, one after another; None is zeros."""

    shapes: tuple[Shape, ...]

    @property
    def name(self) -> str:
        return "concatenate"

    @cached_property
    def ends(self) -> list[int]:
        """Where each operand's entries end."""
        return np.cumsum([size(shape) for shape in self.shapes]).tolist()  # type: ignore[no-any-return]

    def value(self, *operands: Any) -> Any:
        x, shape = next((x, s) for x, s in zip(operands, self.shapes, strict=True) if x is not None)
        batch = np.shape(x)[: np.ndim(x) - len(shape)]
        zeros = np.zeros((), np.result_type(*(x for x in operands if x is not None)))
        parts = [
            np.broadcast_to(zeros, (*batch, size(s))) if x is None else np.reshape(x, (*batch, size(s)))
            for x, s in zip(operands, self.shapes, strict=True)
        ]
        return np.concatenate(parts, axis=-1)

    def pattern(self, patterns: Sequence[Array | None], shapes: Sequence[Shape], shape: Shape) -> Array | None:
        return np.concatenate(
            [np.ones(size(s), bool) if p is None else p.reshape(-1) for p, s in zip(patterns, shapes, strict=True)]
        )


@dataclass(frozen=True, eq=False)
class Sddmm(Multilinear):
    """Entries (i, j) of a product of dense matrices A B, which alone are made: sampled dense-dense matrix product."""

    rows: Array
    columns: Array
    after: Shape
    count: tuple[int, int]

    @property
    def name(self) -> str:
        return "matmul, taken"

    def value(self, *operands: Any) -> Any:
        a, b = operands
        batch = np.shape(a)[:-2] or np.shape(b)[:-2]
        dtype = np.result_type(a, b)
        a, bt = (np.ascontiguousarray(x, dtype) for x in (a, np.swapaxes(b, -1, -2)))
        out = np.empty((*batch, self.rows.size), dtype)
        for at in np.ndindex(batch):
            x, w, y = a[at] if a.ndim > 2 else a, bt[at] if bt.ndim > 2 else bt, out[at]

            def task(start: int, stop: int, x: Array = x, w: Array = w, y: Array = y) -> None:
                kernels.sddmm(x, w, self.rows, self.columns, y[start:stop], start, stop)

            split(task, 0, self.rows.size, self.rows.size * a.shape[-1])
        return out.reshape(batch + self.after)


@dataclass(frozen=True, eq=False)
class SpMM(Multilinear):
    """A sparse matrix, given by its entries at (row, column), times a dense one. Entries in one place add up."""

    rows: Array
    columns: Array
    before: Shape
    count: tuple[int, int]

    @property
    def name(self) -> str:
        return "sparse matmul"

    @cached_property
    def _groups(self) -> tuple[Array, Array, Array]:
        """The entries ordered by row, where each row's begin, and their columns."""
        order = np.argsort(self.rows, kind="stable")
        counts = np.bincount(self.rows, minlength=self.count[0])
        return order, np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)]), self.columns[order]

    def value(self, *operands: Any) -> Any:
        y, b = operands
        dtype = np.result_type(y, b)
        batch = np.shape(y)[: np.ndim(y) - len(self.before)] or np.shape(b)[:-2]
        y = np.ascontiguousarray(y, dtype)
        y = y.reshape(*y.shape[: y.ndim - len(self.before)], self.rows.size)
        b = np.ascontiguousarray(b, dtype)
        order, group, columns = self._groups
        out = np.zeros((*batch, self.count[0], b.shape[-1]), dtype)
        for at in np.ndindex(batch):
            part, dense, x = y[at] if y.ndim > 1 else y, b[at] if b.ndim > 2 else b, out[at]

            def task(start: int, stop: int, part: Array = part, dense: Array = dense, x: Array = x) -> None:
                # cut among the entries, so that parts have equal work: each takes the rows that begin in it
                first, last = np.searchsorted(group[:-1], (start, stop))
                kernels.spmm(part, order, group, dense, columns, x, first, last)

            split(task, 0, order.size, order.size * b.shape[-1])
        return out

    def pattern(self, patterns: Sequence[Array | None], shapes: Sequence[Shape], shape: Shape) -> Array | None:
        y, b = (_ones(p, s) for p, s in zip(patterns, shapes, strict=True))
        places: Array = self.value(y, b) > 0
        return None if places.all() else places
