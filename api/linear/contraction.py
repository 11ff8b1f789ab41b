"""Sums over an index: ``Σ_k c[…, k] · row(…, k, …)`` of a term is a term again.

Where the index lives in one factor alone only that factor changes: its rows are combined, once for each value of the
other indices on which they or the coefficients depend. Where it lives in both, the two become one factor first.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from matjac import memory
from matjac.conventions import Array, Shape, cumulative, size
from matjac.linear.factors import Dense, Eye, Factor, KhatriRao, Sparse, khatri_rao_structure, plan
from matjac.linear.primitives import MatMul, Sum
from matjac.linear.rowmap import RowMap, constant, counting
from matjac.linear.terms import Term, Terms, entries_of


def contract(terms: Terms, term: Term, shape: Shape, axis: int, by: int | None = None, length: int = 1) -> Term:
    """The sum over an axis of a differential's array of that shape.

    `by` is a value of coefficients: one that broadcasts to the result's shape with the summed axis last, or a constant
    sparse matrix of (length, summed axis). With it the axis is replaced by one of `length`, without it it is dropped.
    """
    values = terms.values
    term = terms.aligned(term, shape)
    order = (*(k for k in range(len(shape)) if k != axis), axis)
    f, g = term.f.transpose(order), term.g.transpose(order)
    scale = None if term.scale is None else values.transpose(values.pad(term.scale, len(shape)), order)
    out = [shape[k] for k in order[:-1]]
    if by is not None:
        f, g = f.insert(axis), g.insert(axis)
        if scale is not None:
            own = values.shape(scale)
            scale = values.reshape(scale, (*own[:axis], 1, *own[axis:]))
        out.insert(axis, length)
    inner = None
    if scale is not None and values.shape(scale)[-1] > 1:
        inner, scale = scale, None
    elif scale is not None:
        scale = values.reshape(scale, values.shape(scale)[:-1])
    sums = Sums(terms, tuple(out), shape[axis], axis, by, inner)

    term = Term(term.u, f, term.w, g)
    if sums.held(f) is None and sums.held(g) is None:
        term = merged(terms, term)
    u, f, w, g = term.u, term.f, term.w, term.g
    held_f, held_g = sums.held(f), sums.held(g)
    if held_g is None:
        assert held_f is not None
        f = held_f
        w, g = sums.of(w, g)
        if not g.full:
            # a row is absent where f says so
            f, g = f.masked(g.dense() >= 0), RowMap(g.shape, listed=np.maximum(g.dense(), 0))
    elif held_f is None or sums.matrix is not None:
        u, f = sums.of(u, f)
        g = held_g
    else:
        scale = values.multiply(scale, sums.total())
        f, g = sums.without(f), sums.without(g)
        if sums.pattern is not None:
            f = f.masked(np.any(sums.pattern, axis=-1))
    return Term(u, f, w, g, scale)


class Sums:
    """Sums over the last axis of rows, ``Σ_k by[…, k] · scale[…, k] · row(…, k)``, for a result of shape `whole`."""

    def __init__(self, terms: Terms, whole: Shape, count: int, axis: int, by: int | None, scale: int | None) -> None:
        self.values, self.whole, self.count, self.axis = terms.values, whole, count, axis
        self.program = terms.values.program
        #: coefficients that are a sparse matrix, and what else there is to multiply by
        self.matrix = self.program.sparse(by)
        if self.matrix is not None:
            self.by = scale
        else:
            self.by = self.values.multiply(None if by is None else self.values.pad(by, len(whole) + 1), scale)
        pattern = None if self.by is None else self.program.patterns.get(self.by)
        self.pattern = None if pattern is None or pattern.all() else pattern

    def without(self, rows: RowMap) -> RowMap:
        """A map that does not depend on the summed axis, on the result."""
        return rows.restricted(range(len(rows.shape) - 1)).broadcast(self.whole)

    def held(self, rows: RowMap) -> RowMap | None:
        """The map on the result, where it is the same for all rows that are summed to one; else None."""
        if not rows.depends(-1):
            return self.without(rows)
        if self.matrix is None or not rows.full or not self.matrix.nnz:
            return None
        last, pointers = len(rows.shape) - 1, self.matrix.indptr
        found = rows.dense()[
            tuple(slice(None) if k == last or rows.depends(k) else slice(0, 1) for k in range(last + 1))
        ]
        summed = found[..., self.matrix.indices]
        # a row of nothing may have any
        first = summed[..., np.minimum(pointers[:-1], self.matrix.nnz - 1)]
        if not np.array_equal(summed, np.repeat(first, np.diff(pointers), axis=-1)):
            return None
        listed = np.moveaxis(np.take(first, 0, axis=self.axis), -1, self.axis)
        return RowMap(self.whole, listed=np.broadcast_to(listed, self.whole))

    def total(self) -> int | None:
        """The sums of the coefficients alone; None is 1."""
        if self.by is None:
            return None if self.count == 1 else self.program.constant(self.count)
        shape = self.values.shape(self.by)
        if shape[-1] > 1:
            return self.program.add(Sum(shape, (len(shape) - 1,)), (self.by,), shape[:-1])
        total = self.values.reshape(self.by, shape[:-1])
        return total if self.count == 1 else self.values.multiply(total, self.program.constant(self.count))

    def of(self, factor: Factor, f: RowMap) -> tuple[Factor, RowMap]:
        """The factor of summed rows, and its row map."""
        own = None if self.by is None else self.values.shape(self.by)
        axes = [k for k in range(len(self.whole)) if f.depends(k) or (own is not None and own[k] > 1)]
        if self.matrix is not None:
            return self._sparse(factor, f, [k for k in axes if k != self.axis])
        last = counting(f.shape, [len(f.shape) - 1])
        if isinstance(factor, Eye) and self.count == factor.shape[0] and self.pattern is None and f.same(last):
            # all rows of the identity in their order: the coefficients are the rows
            shape = size(tuple(self.whole[k] for k in axes)), self.count
            return Dense(shape, self._coefficients(axes)), counting(self.whole, axes)
        if isinstance(factor, Dense):
            return self._dense(factor, f, axes)
        return self._sparse(factor, f, axes)

    def _coefficients(self, axes: Sequence[int], mask: Array | None = None) -> int:
        """The coefficients as a value of shape (those axes in that order, count), zero where the mask says."""
        by = self.by
        if mask is not None:
            by = self.values.multiply(by, self.program.constant(mask.astype(float)))
        shape = (*(self.whole[k] for k in axes), self.count)
        if by is None:
            return self.values.broadcast(self.program.constant(np.ones(())), shape)
        own, ascending = self.values.shape(by), sorted(axes)
        compact = self.values.reshape(by, (*(own[k] for k in ascending), own[-1]))
        turned = self.values.transpose(compact, (*(ascending.index(k) for k in axes), len(axes)))
        return self.values.broadcast(turned, shape)

    def _dense(self, factor: Dense, f: RowMap, axes: Sequence[int]) -> tuple[Factor, RowMap]:
        """Rows of a dense factor: a matrix product, for each value of the indices on which the rows depend."""
        batch = [k for k in axes if f.depends(k)]
        order = (*batch, *(k for k in axes if k not in batch))
        outer, inner = (size(tuple(self.whole[k] for k in order if (k in batch) is side)) for side in (True, False))
        width = factor.shape[1]
        mask = self.pattern
        if not f.full:
            last = len(f.shape) - 1
            at = tuple(slice(None) if k == last or f.depends(k) else slice(0, 1) for k in range(last + 1))
            mask = (f.dense()[at] >= 0) & (True if mask is None else mask)
        coefficients = self._coefficients(order, mask)
        heights = (outer, inner) if batch else (inner,)
        left = self.values.reshape(coefficients, (*heights, self.count))
        result = self.program.add(MatMul(), (left, self._picked(factor, f, batch)), (*heights, width))
        table = self.values.reshape(result, (outer * inner, width))
        # rows are counted along the batch first
        rows = counting(self.whole, order)
        if mask is not None and not (some := np.any(mask, axis=-1)).all():
            rows = rows.masked(np.asarray(some))
        return Dense((outer * inner, width), table), rows

    def _picked(self, factor: Dense, f: RowMap, batch: Sequence[int]) -> int:
        """The rows of a dense factor that are summed: (count, width), or (batch, count, width)."""
        wanted = f.restricted([*batch, len(f.shape) - 1])
        outer, width = size(wanted.shape[:-1]), factor.shape[1]
        shape = (outer, self.count, width) if batch else (self.count, width)
        table = self.values.reshape(factor.value, factor.shape)
        if size(wanted.shape) == factor.shape[0] and wanted.same(counting(wanted.shape, range(len(wanted.shape)))):
            return self.values.reshape(table, shape)
        return self.values.take(table, np.maximum(wanted.dense().reshape(-1), 0), shape, block=width)

    def _sparse(self, factor: Factor, f: RowMap, axes: Sequence[int]) -> tuple[Factor, RowMap]:
        """Any rows: a product of sparse matrices on its exact pattern."""
        grid = tuple(self.whole[k] for k in axes)
        listed = size(grid) * (self.count if self.matrix is None else max(self.count, self.matrix.nnz))
        memory.require(f"a sum of {listed:,} rows", 32 * listed)
        found = f.restricted([*axes, len(f.shape) - 1]).dense()
        rows = np.broadcast_to(found, (*grid, self.count)).reshape(size(grid), self.count)
        keep = rows >= 0
        if self.matrix is None:
            places, order = np.arange(size(grid))[:, None] + np.zeros(self.count, int), tuple(axes)
            if self.pattern is not None:
                at = tuple(slice(None) if k in (*axes, len(self.whole)) else 0 for k in range(self.pattern.ndim))
                keep = keep & np.broadcast_to(self.pattern[at], (*grid, self.count)).reshape(rows.shape)
            data = self._taken(self._coefficients(axes), np.arange(keep.size).reshape(keep.shape)[keep], keep.size)
        else:
            # each entry of the matrix, for all values of the other indices
            height, k = self.matrix.shape[0], self.matrix.indices
            entry_rows = np.repeat(np.arange(height), np.diff(self.matrix.indptr))
            places, order = np.arange(size(grid))[:, None] * height + entry_rows, (*axes, self.axis)
            rows, keep = rows[:, k], keep[:, k]
            # small integers would overflow where they are added up
            entries = self.program.constant(self.matrix.data * 1.0)
            data = self._taken(entries, np.broadcast_to(np.arange(k.size), keep.shape)[keep], k.size)
            if self.by is not None:
                weights = (np.arange(size(grid))[:, None] * self.count + k)[keep]
                scaled = self.values.multiply(data, self._taken(self._coefficients(axes), weights, rows.size))
                assert scaled is not None
                data = scaled
        height = size(tuple(self.whole[k] for k in order))
        new = self._product(factor, height, np.broadcast_to(places, keep.shape)[keep], rows[keep], data)
        return new, counting(self.whole, order)

    def _taken(self, number: int, positions: Array, total: int) -> int:
        """Entries of a value as a vector."""
        if positions.size == size(self.values.shape(number)) and np.array_equal(positions, np.arange(total)):
            return self.values.reshape(number, positions.shape)
        return self.values.take(number, positions, positions.shape)

    def _product(self, factor: Factor, height: int, places: Array, rows: Array, data: int) -> Factor:
        """The matrix with `data[e]` times the factor's row `rows[e]` added to its row `places[e]`; those are sorted."""
        pointers = cumulative(np.bincount(places, minlength=height))
        width = factor.shape[1]
        if isinstance(factor, Eye) and (np.diff(places * width + rows) > 0).all():
            return Sparse((height, width), data, pointers, rows)
        left = sp.csr_array((np.ones(rows.size), rows, pointers), shape=(height, factor.shape[0]))
        product = plan(left, factor.structure())
        number = self.program.add(product, (data, entries_of(self.values, factor)), (product.result[1].size,))
        return Sparse((height, width), number, *(part.astype(np.int64) for part in product.result))


def merged(terms: Terms, term: Term) -> Term:
    """The term with its rows u ⊗ w as rows of one factor."""
    u, f, w, g = term.u, term.f, term.w, term.g
    p, q = u.shape[1], w.shape[1]
    if isinstance(u, Eye) and isinstance(w, Eye):
        u, f = Eye((p * q, p * q)), f.plus(g, q)
    elif not (isinstance(w, Eye) and q == 1):
        axes = [k for k in range(len(f.shape)) if f.depends(k) or g.depends(k)]
        i, j = (np.ascontiguousarray(m.restricted(axes).dense()).reshape(-1) for m in (f, g))
        if isinstance(u, Dense) and isinstance(w, Dense) and (i >= 0).all():
            # dense rows, whose sums are products of dense matrices
            table = _khatri_rao(terms, u, w, i, j)
            return replace(term, u=table, f=counting(f.shape, axes), w=Eye((1, 1)), g=constant(f.shape))
        pointers, indices = khatri_rao_structure(u, w, i, j)
        numbers = [m.value for m in (u, w) if m.value is not None]
        number = terms.values.program.add(KhatriRao(u, w, i, j, indices.size), numbers, (indices.size,))
        u, f = Sparse((i.size, p * q), number, pointers, indices), counting(f.shape, axes)
    return replace(term, u=u, f=f, w=Eye((1, 1)), g=constant(f.shape))


def _khatri_rao(terms: Terms, u: Dense, w: Dense, i: Array, j: Array) -> Dense:
    """The rows ``u[i] ⊗ w[j]``."""
    values, (p, q) = terms.values, (u.shape[1], w.shape[1])
    left = values.take(values.reshape(u.value, u.shape), i, (i.size, p, 1), block=p)
    right = values.take(values.reshape(w.value, w.shape), j, (i.size, 1, q), block=q)
    product = values.multiply(left, right)
    assert product is not None
    return Dense((i.size, p * q), values.reshape(product, (i.size, p * q)))
