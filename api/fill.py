"""Entries of a sum of terms: how many there are, where they stand, what they are.

Three ways to fill, one kernel each, chosen by what the sum is made of. All three answer the same questions,
for any range of rows; positions are counted from the first entry of that range.
"""

from functools import cached_property
from typing import Any, Protocol, TypeAlias

import numpy as np
import scipy.sparse as sp
from matjac import kernels
from matjac.factors import Dense, Factor, Select
from matjac.layout import NONE, Array
from matjac.terms import Rows, Sum, Term

Args: TypeAlias = tuple[Any, ...]


class Filler(Protocol):
    """What a Jacobian asks of its entries."""

    @property
    def nnz(self) -> int:
        """Number of entries, from the factors alone wherever that is possible."""

    def offset(self, row: int) -> int:
        """Number of entries in the rows before this one."""

    def indptr(self, start: int, stop: int) -> Array:
        """Where each row of ``start:stop`` begins, and the end (int64)."""

    def columns(self, out: Array, start: int, stop: int, ptr: Array = NONE) -> None:
        """Fill the sorted column indices of rows ``start:stop``."""

    def values(self, out: Array, start: int, stop: int, ptr: Array = NONE) -> None:
        """Fill the values of rows ``start:stop``."""


def filler(total: Sum) -> Filler:
    """The fastest way to fill that sum."""
    if len(total.terms) == 1:
        return KronFill(total.terms[0], total.dtype)
    if is_case_split(total):
        return CaseSplitFill(total)
    return MergeFill(total)


class KronFill:
    """One term: rows are Kronecker products of rows of the factors."""

    def __init__(self, term: Term, dtype: np.dtype[Any]) -> None:
        self.term = term
        self.dtype = dtype

    @cached_property
    def per_row(self) -> int | None:
        """Entries in every row, or None where rows differ."""
        u, w = self.term.u.per_row, self.term.w.per_row
        return None if u is None or w is None else u * w

    @cached_property
    def nnz(self) -> int:
        if self.per_row is not None:
            return self.term.rows.count * self.per_row
        if not self.term.rows.listed:
            return self.term.u.nnz * self.term.w.nnz
        return self.offset(self.term.rows.count)

    @cached_property
    def _offsets(self) -> Array:
        return self.indptr(0, self.term.rows.count)

    def offset(self, row: int) -> int:
        return row * self.per_row if self.per_row is not None else int(self._offsets[row])

    def indptr(self, start: int, stop: int) -> Array:
        if self.per_row is not None:
            return np.arange(stop - start + 1, dtype=np.int64) * self.per_row
        i, j = self.term.rows.pairs(start, stop)
        return cumulative(np.diff(self.term.u.pointers)[i] * np.diff(self.term.w.pointers)[j])

    @cached_property
    def _columns_args(self) -> Args:
        u, w, rows = self.term.u, self.term.w, self.term.rows
        return (
            *(*u.places(), *w.places(), w.shape[1]),
            *(*rows.lists, rows.n, rows.swap),
        )

    def columns(self, out: Array, start: int, stop: int, ptr: Array = NONE) -> None:
        kernels.kron_columns(*self._columns_args, ptr, out, start, stop)

    @cached_property
    def _values_args(self) -> Args:
        u, w, rows = self.term.u, self.term.w, self.term.rows
        return (
            *(*kernel_rows(u, self.dtype), *kernel_rows(w, self.dtype)),
            *(scales(self.term, self.dtype), *rows.lists, rows.n, rows.swap),
        )

    def values(self, out: Array, start: int, stop: int, ptr: Array = NONE) -> None:
        if isinstance(self.term.u, Select) and isinstance(self.term.w, Select) and ptr is NONE:
            # one entry a row: the scale itself, which NumPy copies at the speed of memory
            out[:] = 1 if self.term.scale is None else self.term.scale[start:stop]
            return
        kernels.kron_values(*self._values_args, ptr, out, start, stop)


def is_case_split(total: Sum) -> bool:
    """Whether the sum is ``dXᵀ·B + A·dX`` with dense A and B: the case split of RᵀR."""
    if len(total.terms) != 2:
        return False
    first, second = total.terms
    return (
        all(isinstance(t.u, Dense) and isinstance(t.w, Select) and t.w.identity for t in total.terms)
        and first.scale is second.scale
        and first.u.shape == second.u.shape
        and first.rows.mirrors(second.rows)
    )


class CaseSplitFill:
    """The case split of RᵀR: entries of two terms interleave, and add up on the diagonal of K."""

    def __init__(self, total: Sum) -> None:
        # the term whose rows (i, j) are read as they stand is A·dX, the other dXᵀ·B
        self.a, self.b = sorted(total.terms, key=lambda term: not term.rows.swap)
        self.rows: Rows = self.b.rows
        self.dtype = total.dtype
        self.size = self.b.u.shape[1]

    def _diagonals(self, row: int) -> int:
        """Rows before this one that stand for a diagonal entry of K."""
        if self.rows.listed:
            f, g = self.rows.lists
            return int(np.count_nonzero(f[:row] == g[:row]))
        i, j = divmod(row, max(self.rows.n, 1))
        return i + (j > i)

    def offset(self, row: int) -> int:
        return (2 * row - self._diagonals(row)) * self.size

    @cached_property
    def nnz(self) -> int:
        return self.offset(self.rows.count)

    def indptr(self, start: int, stop: int) -> Array:
        i, j = self.rows.pairs(start, stop)
        return cumulative(np.where(i == j, self.size, 2 * self.size))

    def columns(self, out: Array, start: int, stop: int, ptr: Array = NONE) -> None:
        q, rows = self.b.w.shape[1], self.rows
        kernels.casesplit_columns(self.size, q, *rows.lists, rows.n, ptr, out, start, stop)

    @cached_property
    def _values_args(self) -> Args:
        a, b = self.a.u.values(self.dtype), self.b.u.values(self.dtype)
        shift = 0 if self.a.u is self.b.u else self.a.u.shape[0]
        rows = writeable(np.concatenate([a, b]) if shift else a).reshape(shift + self.b.u.shape[0], self.size)
        return (rows, shift, scales(self.b, self.dtype), *self.rows.lists, self.rows.n)

    def values(self, out: Array, start: int, stop: int, ptr: Array = NONE) -> None:
        kernels.casesplit_values(*self._values_args, ptr, out, start, stop)


class MergeFill:
    """Any sum of terms on the same p × q variable, merged as it is filled."""

    def __init__(self, total: Sum) -> None:
        self.total = total
        self.rows = total.shape[0]
        self.q = total.terms[0].w.shape[1]

    @cached_property
    def nnz(self) -> int:
        shared = overlap(*self.total.terms) if len(self.total.terms) == 2 else None
        if shared is None:
            return self.offset(self.rows)
        return sum(KronFill(term, self.total.dtype).nnz for term in self.total.terms) - shared

    @cached_property
    def _offsets(self) -> Array:
        return self.indptr(0, self.rows)

    def offset(self, row: int) -> int:
        return int(self._offsets[row])

    def indptr(self, start: int, stop: int) -> Array:
        counts = np.empty(stop - start, dtype=np.int64)
        self._merge(counts, NONE, self._none, start, stop, NONE)
        return cumulative(counts)

    def columns(self, out: Array, start: int, stop: int, ptr: Array = NONE) -> None:
        self._merge(NONE, out, self._none, start, stop, ptr)

    def values(self, out: Array, start: int, stop: int, ptr: Array = NONE) -> None:
        self._merge(NONE, NONE, out, start, stop, ptr)

    @cached_property
    def _none(self) -> Array:
        return np.empty(0, dtype=self.total.dtype)

    @cached_property
    def _packed(self) -> Args:
        """The terms' parts one after another, and a table of where each begins (see the kernel)."""
        terms, dtype = self.total.terms, self.total.dtype
        lists: list[tuple[Array, Array]] = []
        scale: list[Array] = []
        table = np.zeros((len(terms), 11), dtype=np.int64)
        for part, term in zip(table, terms, strict=True):
            part[:3] = 2 if term.rows.listed else int(term.rows.swap), term.rows.n, sum(x.size for x, _ in lists)
            lists.append(term.rows.lists)
            part[3:5] = sum(x.size for x in scale), term.scale is not None
            scale.append(scales(term, dtype))
        sides = []
        for first, name in ((5, "u"), (8, "w")):
            values: list[Array] = []
            indices: list[Array] = []
            pointers: list[Array] = []
            for part, term in zip(table, terms, strict=True):
                factor: Factor = getattr(term, name)
                part[first : first + 3] = (
                    *(sum(x.size for x in pointers), sum(x.size for x in indices), factor.shared),
                )
                pointers.append(factor.pointers + sum(x.size for x in values))
                indices.append(factor.indices)
                values.append(factor.values(dtype))
            sides += [np.concatenate(values), np.concatenate(indices), np.concatenate(pointers)]
        f, g = (np.concatenate(part) for part in zip(*lists, strict=True))
        return (table, *sides, np.concatenate(scale), f, g, self.q)

    def _merge(self, counts: Array, columns: Array, values: Array, start: int, stop: int, ptr: Array) -> None:
        terms = len(self.total.terms)
        cursor, coef = np.empty((terms, 8), dtype=np.int64), np.empty(terms, dtype=self.total.dtype)
        kernels.merge_rows(*self._packed, cursor, coef, counts, columns, values, ptr, start, stop)


def overlap(first: Term, second: Term) -> int | None:
    """Number of places in which two terms on one variable both have an entry; None if only counting tells."""
    if first.rows.listed or second.rows.listed:
        return None
    if first.rows.swap == second.rows.swap:
        u, w = meet(first.u, second.u), meet(first.w, second.w)
        # row i of one meets row i of the other, on both sides alone
        return diagonal_sum(u) * diagonal_sum(w)
    if first.rows.swap:
        first, second = second, first
    # rows (i, j): first has u_i ⊗ w_j, second u_j ⊗ w_i
    u, w = meet(first.u, second.u), meet(second.w, first.w)
    rows, columns = first.u.shape[0], first.w.shape[0]
    if isinstance(u, np.ndarray) and isinstance(w, np.ndarray):
        if u.shape == w.shape:
            return int((u * w).sum()) * (rows * columns // max(u.size, 1))
        return int(u.sum()) * int(w.sum())
    return int((w.multiply(u) if isinstance(u, np.ndarray) else u.multiply(w)).sum())


def meet(first: Factor, second: Factor) -> Any:
    """How many places row i of one factor and row j of the other share: an array that broadcasts, or sparse."""
    if first.shared:
        return np.diff(second.pointers)[None, :]
    if second.shared:
        return np.diff(first.pointers)[:, None]
    return pattern(first) @ pattern(second).T


def diagonal_sum(counts: Any) -> int:
    """The sum of a square `meet`'s diagonal."""
    return int(counts.sum() if isinstance(counts, np.ndarray) else counts.diagonal().sum())


def pattern(factor: Factor) -> Any:
    """Ones where the factor has entries."""
    ones = np.ones(factor.nnz, dtype=np.int64)
    return sp.csr_array((ones, factor.indices, factor.pointers), shape=factor.shape)


def kernel_rows(factor: Factor, dtype: np.dtype[Any]) -> Args:
    """A factor's rows, as kernels take them."""
    values, *where = factor.rows(dtype)
    return (writeable(values), *where)


def scales(term: Term, dtype: np.dtype[Any]) -> Array:
    """A term's scale as kernels take it."""
    return np.ones(1, dtype) if term.scale is None else writeable(np.ascontiguousarray(term.scale, dtype))


def writeable(array: Array) -> Array:
    """The array, or a copy of a read-only one: Numba compiles a second kernel for those."""
    return array if array.flags.writeable else array.copy()


def cumulative(counts: Array) -> Array:
    """Row pointers of rows with that many entries."""
    result = np.zeros(counts.size + 1, dtype=np.int64)
    np.cumsum(counts, out=result[1:])
    return result
