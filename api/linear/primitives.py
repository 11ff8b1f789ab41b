"""Primitives that are linear in each operand: all that a differential is made of.

With one operand replaced by a differential a primitive is a step of a linear expression. It is run forwards by `value`
and backwards by `adjoint`. Both act on the last axes of that operand, so that many directions go in one pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp

from matjac import kernels
from matjac.conventions import Array, Shape, size
from matjac.linear.program import Primitive
from matjac.threads import split


class Multilinear(Primitive):
    """A primitive with an adjoint."""

    #: whether the adjoint takes an array that has length one along axes where it repeats
    takes_thin = False

    def adjoint(self, at: int, operands: Sequence[Any], y: Array) -> Array:
        """The adjoint in operand number `at`, of y; that operand is None."""
        raise NotImplementedError

    def positive(self) -> "Multilinear":
        """The primitive with absolute values of its own numbers."""
        return self


PLUS = 1, 1


@dataclass(frozen=True)
class Add(Multilinear):
    """The sum of the operands, each with its sign."""

    takes_thin = True

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

    def adjoint(self, at: int, operands: Sequence[Any], y: Array) -> Array:
        return y if self.signs[at] > 0 else -y

    def positive(self) -> "Add":
        return Add((1,) * len(self.signs))

    def pattern(self, patterns: Sequence[Array | None], shapes: Sequence[Shape], shape: Shape) -> Array | None:
        known = [p for p in patterns if p is not None]
        return np.broadcast_to(reduce(np.logical_or, known), shape) if len(known) == len(patterns) else None


@dataclass(frozen=True)
class Multiply(Multilinear):
    """The product entry by entry; a differential among the operands has the result's shape."""

    takes_thin = True

    def value(self, *operands: Any) -> Any:
        a, b = operands
        return a * b

    def adjoint(self, at: int, operands: Sequence[Any], y: Array) -> Array:
        other = operands[1 - at]
        if y.size == 1 and np.ndim(other) >= y.ndim and np.ndim(other) and y.item() == 1:
            # a gradient's sweep begins with a 1
            return other  # type: ignore[no-any-return]
        return np.multiply(other, y)  # type: ignore[no-any-return]

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

    def adjoint(self, at: int, operands: Sequence[Any], y: Array) -> Array:
        other = operands[1 - at]
        other = other.mT if isinstance(other, np.ndarray) else other.T
        return self.value(y, other) if at == 0 else self.value(other, y)  # type: ignore[no-any-return]

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

    after: Shape

    def move(self, x: Array, batch: Shape) -> Array:
        return x.reshape(batch + self.after)

    def adjoint(self, at: int, operands: Sequence[Any], y: Array) -> Array:
        return y.reshape(y.shape[: y.ndim - len(self.after)] + self.before)


@dataclass(frozen=True)
class Transpose(Move):
    """The axes in another order."""

    axes: tuple[int, ...]

    @cached_property
    def back(self) -> tuple[int, ...]:
        """The order that undoes it."""
        return tuple(int(k) for k in np.argsort(self.axes))

    def move(self, x: Array, batch: Shape) -> Array:
        return _transpose(x, self.axes)

    def adjoint(self, at: int, operands: Sequence[Any], y: Array) -> Array:
        return _transpose(y, self.back)


def _transpose(x: Array, axes: tuple[int, ...]) -> Array:
    ahead = x.ndim - len(axes)
    return x.transpose(axes if ahead == 0 else (*range(ahead), *(ahead + k for k in axes)))


@dataclass(frozen=True)
class Broadcast(Move):
    """The entries repeated along new axes and those of length one."""

    after: Shape

    def move(self, x: Array, batch: Shape) -> Array:
        ones = (1,) * (len(self.after) - len(self.before))
        return np.broadcast_to(x.reshape(batch + ones + self.before), batch + self.after)

    def adjoint(self, at: int, operands: Sequence[Any], y: Array) -> Array:
        ahead = len(self.after) - len(self.before)
        axes = [k - len(self.after) for k in range(ahead)]
        axes += [k - len(self.before) for k, n in enumerate(self.before) if n == 1 and self.after[ahead + k] != 1]
        batch = y.shape[: y.ndim - len(self.after)]
        return y.sum(axis=tuple(axes)).reshape(batch + self.before) if axes else y


@dataclass(frozen=True)
class Slice(Move):
    """Entries by a slice for each axis, as a view."""

    slices: tuple[slice, ...]

    @property
    def whole(self) -> bool:
        """Whether it takes everything, in its order."""
        return all(range(n)[k] == range(n) for n, k in zip(self.before, self.slices, strict=True))

    @property
    def key(self) -> Any:
        # slices have no hash before Python 3.12
        return Slice, self.before, tuple((k.start, k.stop, k.step) for k in self.slices)

    def move(self, x: Array, batch: Shape) -> Array:
        index: Any = (..., *self.slices)
        return x[index]  # type: ignore[no-any-return]

    def adjoint(self, at: int, operands: Sequence[Any], y: Array) -> Array:
        x = np.zeros(y.shape[: y.ndim - len(self.before)] + self.before, y.dtype)
        index: Any = (..., *self.slices)
        x[index] = y
        return x


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

    @cached_property
    def _once(self) -> bool:
        """Whether no position is taken twice."""
        return bool(np.bincount(self.positions, minlength=1).max() <= 1)

    @cached_property
    def _sums(self) -> Any:
        """The sparse matrix that adds blocks up at their positions."""
        count = self.positions.size
        places = np.ones(count), (self.positions, np.arange(count))
        return sp.csr_array(places, shape=(size(self.before) // max(self.block, 1), count))

    def adjoint(self, at: int, operands: Sequence[Any], y: Array) -> Array:
        batch = y.shape[: y.ndim - len(self.after)]
        total = size(self.before)
        if self._once:
            x = np.zeros((*batch, total // max(self.block, 1), self.block), y.dtype)
            x[..., self.positions, :] = y.reshape(*batch, self.positions.size, self.block)
        elif self.block == 1 and not batch and y.dtype == np.float64:
            x = np.bincount(self.positions, y.reshape(-1), total)
        else:
            matrix = self._sums if y.dtype.kind == "c" else self._sums.astype(y.dtype)
            x = sparse_left(matrix, y.reshape(*batch, self.positions.size, self.block)).astype(y.dtype, copy=False)
        return x.reshape(batch + self.before)


@dataclass(frozen=True, eq=False)
class Scatter(Move):
    """Entries put at different flat positions of an array that is zero elsewhere: triangles, diagonals, masks."""

    makes_zeros = True

    positions: Array
    after: Shape

    def move(self, x: Array, batch: Shape) -> Array:
        out = np.zeros((*batch, size(self.after)), x.dtype)
        out[..., self.positions] = x.reshape(*batch, self.positions.size)
        return out.reshape(batch + self.after)

    def pattern(self, patterns: Sequence[Array | None], shapes: Sequence[Shape], shape: Shape) -> Array | None:
        return self.value(np.ones(self.before, bool) if patterns[0] is None else patterns[0])  # type: ignore[no-any-return]

    def adjoint(self, at: int, operands: Sequence[Any], y: Array) -> Array:
        batch = y.shape[: y.ndim - len(self.after)]
        return y.reshape(*batch, size(self.after))[..., self.positions].reshape(batch + self.before)


@dataclass(frozen=True, eq=False)
class Mask(Move):
    """The entries where a constant mask is true, and zero elsewhere: triangles, `np.where`."""

    makes_zeros = True

    mask: Array

    def move(self, x: Array, batch: Shape) -> Array:
        return np.where(self.mask, x, np.zeros((), x.dtype))

    def pattern(self, patterns: Sequence[Array | None], shapes: Sequence[Shape], shape: Shape) -> Array | None:
        return self.mask if patterns[0] is None else self.mask & patterns[0]

    def adjoint(self, at: int, operands: Sequence[Any], y: Array) -> Array:
        return self.move(y, ())


@dataclass(frozen=True)
class Sum(Move):
    """The sum over some axes."""

    axes: tuple[int, ...]

    def move(self, x: Array, batch: Shape) -> Array:
        return np.asarray(np.sum(x, axis=tuple(len(batch) + k for k in self.axes)))

    def pattern(self, patterns: Sequence[Array | None], shapes: Sequence[Shape], shape: Shape) -> Array | None:
        places: Array = np.any(patterns[0], axis=self.axes)
        return places

    def adjoint(self, at: int, operands: Sequence[Any], y: Array) -> Array:
        batch = y.shape[: y.ndim - (len(self.before) - len(self.axes))]
        kept = tuple(1 if k in self.axes else n for k, n in enumerate(self.before))
        # of length one along the summed axes: a sweep repeats it where that is needed
        return y.reshape(batch + kept)


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

    def adjoint(self, at: int, operands: Sequence[Any], y: Array) -> Array:
        end, count = self.ends[at], size(self.shapes[at])
        return y[..., end - count : end].reshape(y.shape[:-1] + self.shapes[at])


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

    @cached_property
    def _groups(self) -> tuple[tuple[Array, Array, Array], ...]:
        """For each operand: the entries ordered by its row, where each row's begin, and the other's row."""
        return (
            _grouped(self.rows, self.columns, self.count[0]),
            _grouped(self.columns, self.rows, self.count[1]),
        )

    def adjoint(self, at: int, operands: Sequence[Any], y: Array) -> Array:
        other = np.swapaxes(operands[1], -1, -2) if at == 0 else operands[0]
        dtype = np.result_type(other, y)
        order, group, others = self._groups[at]
        batch = y.shape[: y.ndim - len(self.after)]
        y = np.ascontiguousarray(y, dtype).reshape(*batch, self.rows.size)
        other = np.ascontiguousarray(other, dtype)
        x = np.zeros((*batch, self.count[at], other.shape[-1]), dtype)
        for k in np.ndindex(batch):

            def task(start: int, stop: int, part: Array = y[k], out: Array = x[k]) -> None:
                # cut among the entries, so that parts have equal work: each takes the groups that begin in it
                first, last = np.searchsorted(group[:-1], (start, stop))
                kernels.sddmm_adjoint(part, order, group, other, others, out, first, last)

            split(task, 0, order.size, order.size * other.shape[-1])
        return x if at == 0 else np.swapaxes(x, -1, -2)


def _grouped(keys: Array, others: Array, count: int) -> tuple[Array, Array, Array]:
    order = np.argsort(keys, kind="stable")
    group = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.bincount(keys, minlength=count), dtype=np.int64)])
    return order, group, others[order]


class Operator(Protocol):
    """A linear map of flat vectors: its product, that of its transpose, and its matrix."""

    def product(self, x: Array) -> Array:
        """J x for x of shape (..., columns)."""

    def transposed(self, y: Array) -> Array:
        """Jᵀ y for y of shape (..., rows)."""

    def matrix(self) -> Any:
        """As a canonical csr_array."""


@dataclass(frozen=True, eq=False)
class Apply(Multilinear):
    """An operator on flat vectors."""

    operator: Operator
    after: Shape

    def value(self, *operands: Any) -> Any:
        return self.operator.product(operands[0])

    def adjoint(self, at: int, operands: Sequence[Any], y: Array) -> Array:
        return self.operator.transposed(y)
