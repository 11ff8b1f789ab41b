"""Entries of a sum of terms: how many there are, where they stand, what they are.

Three ways to fill, one kernel each, chosen by what the sum is made of. All three answer the same questions,
for any range of rows; positions are counted from the first entry of that range.
"""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import scipy.sparse as sp

from matjac import kernels
from matjac.factors import Dense, Factor, Select, kernel_rows, writeable
from matjac.layout import NONE, Array
from matjac.maps import Sum
from matjac.rows import Grid, KronGrid
from matjac.terms import Term

Args: TypeAlias = tuple[Any, ...]


class Place(NamedTuple):
    """Where rows go among others' entries: see the kernels' `ptr` and `gap`, and `base` for columns."""

    ptr: Array = NONE
    gap: int = 0
    base: int = 0


PLAIN = Place()


class Filler(ABC):
    """What a Jacobian asks of its entries."""

    @property
    def counted(self) -> bool:
        """Whether `nnz` is at hand without looking at every row."""
        return True

    @property
    def ranged(self) -> bool:
        """Whether a range of rows costs in proportion to its length: else ask for all at once."""
        return True

    @cached_property
    def per_row(self) -> int | None:
        """Entries in every row, or None where rows differ or nothing is known without counting."""
        return None

    @property
    @abstractmethod
    def nnz(self) -> int:
        """Number of entries, from the factors alone wherever that is possible."""

    @abstractmethod
    def offset(self, row: int) -> int:
        """Number of entries in the rows before this one."""

    @abstractmethod
    def indptr(self, start: int, stop: int) -> Array:
        """Where each row of ``start:stop`` begins, and the end (int64)."""

    @abstractmethod
    def columns(self, out: Array, start: int, stop: int, place: Place = PLAIN) -> None:
        """Fill the sorted column indices of rows ``start:stop``."""

    @abstractmethod
    def values(self, out: Array, start: int, stop: int, place: Place = PLAIN) -> None:
        """Fill the values of rows ``start:stop``."""


def fill_of_sum(total: Sum) -> Filler:
    """The fastest way to fill that sum."""
    if len(total.terms) == 1:
        return KronFill(total.terms[0], total.dtype)
    if is_case_split(total):
        return CaseSplitFill(total)
    return MergeFill(total)


class KronFill(Filler):
    """One term: rows are Kronecker products of rows of the factors."""

    def __init__(self, term: Term, dtype: np.dtype[Any]) -> None:
        self.term = term
        self.dtype = dtype

    @cached_property
    def per_row(self) -> int | None:
        u, w = self.term.u.per_row, self.term.w.per_row
        return None if u is None or w is None else u * w

    @cached_property
    def nnz(self) -> int:
        if self.per_row is not None:
            return self.term.rows.count * self.per_row
        if self.term.rows.whole:
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
        u, w = self.term.u, self.term.w
        return *u.places(), *w.places(), w.shape[1], *self.term.rows.arguments()

    def columns(self, out: Array, start: int, stop: int, place: Place = PLAIN) -> None:
        kernels.kron_columns(*self._columns_args, place.base, place.ptr, place.gap, out, start, stop)

    @cached_property
    def _values_args(self) -> Args:
        u, w = kernel_rows(self.term.u, self.dtype), kernel_rows(self.term.w, self.dtype)
        return *u, *w, scales(self.term, self.dtype), *self.term.rows.arguments()

    def values(self, out: Array, start: int, stop: int, place: Place = PLAIN) -> None:
        if self.term.selects and not place.ptr.size:
            # one entry a row: the scale itself, which NumPy copies at the speed of memory
            end = max((stop - start) * (place.gap + 1) - place.gap, 0)
            out[: end : place.gap + 1] = 1 if self.term.scale is None else self.term.scale[start:stop]
            return
        kernels.kron_values(*self._values_args, place.ptr, place.gap, out, start, stop)


def is_case_split(total: Sum) -> bool:
    """Whether the sum is ``dXᵀ·B + A·dX`` or ``B·dXᵀ + dX·A`` with dense A and B: the case split of RᵀR or RRᵀ."""
    if len(total.terms) != 2:
        return False
    first, second = total.terms
    if first.scale is not second.scale or not first.rows.mirrors(second.rows):
        return False
    return any(
        all(isinstance(dense, Dense) and isinstance(unit, Select) and unit.identity for dense, unit in sides)
        and sides[0][0].shape == sides[1][0].shape
        for sides in (((first.u, first.w), (second.u, second.w)), ((first.w, first.u), (second.w, second.u)))
    )


class CaseSplitFill(Filler):
    """The case split of RᵀR: entries of two terms interleave (or stand side by side), and add up on the diagonal."""

    def __init__(self, total: Sum) -> None:
        first, second = total.terms
        # the term whose rows (i, j) are read as they stand, and the mirrored one
        plain, mirrored = (second, first) if isinstance(first.rows, Grid) and first.rows.swap else (first, second)
        self.blocks = isinstance(plain.u, Select)
        # a: the rows of the one at column i, b: of the other at column j
        self.a, self.b = (plain.w, mirrored.w) if self.blocks else (mirrored.u, plain.u)
        self.plain = plain
        self.dtype = total.dtype
        self.size = self.a.shape[1]

    def _diagonals(self, row: int) -> int:
        """Rows before this one that stand for a diagonal entry of K."""
        rows = self.plain.rows
        if isinstance(rows, Grid):
            i, j = divmod(row, max(rows.n, 1))
            return i + (j > i)
        return int(self._listed_diagonals[row])

    @cached_property
    def _listed_diagonals(self) -> Array:
        rows = self.plain.rows
        return cumulative(np.equal(*rows.pairs(0, rows.count)).astype(np.int64))

    def offset(self, row: int) -> int:
        return (2 * row - self._diagonals(row)) * self.size

    @cached_property
    def nnz(self) -> int:
        return self.offset(self.plain.rows.count)

    def indptr(self, start: int, stop: int) -> Array:
        i, j = self.plain.rows.pairs(start, stop)
        return cumulative(np.where(i == j, self.size, 2 * self.size))

    def columns(self, out: Array, start: int, stop: int, place: Place = PLAIN) -> None:
        f, g, n, _ = self.plain.rows.arguments()
        q = self.plain.w.shape[1]
        kernels.casesplit_columns(
            self.size, q, self.blocks, f, g, n, place.base, place.ptr, place.gap, out, start, stop
        )

    @cached_property
    def _values_args(self) -> Args:
        a, b = self.a.values(self.dtype), self.b.values(self.dtype)
        shift = 0 if self.a is self.b else self.a.shape[0]
        rows = writeable(np.concatenate([a, b]) if shift else a).reshape(shift + self.b.shape[0], self.size)
        return rows, shift, self.blocks, scales(self.plain, self.dtype), *self.plain.rows.arguments()[:3]

    def values(self, out: Array, start: int, stop: int, place: Place = PLAIN) -> None:
        kernels.casesplit_values(*self._values_args, place.ptr, place.gap, out, start, stop)


class MergeFill(Filler):
    """Any sum of terms on the same p × q variable, merged as it is filled."""

    def __init__(self, total: Sum) -> None:
        self.total = total
        self.rows = total.shape[0]
        self.q = total.terms[0].w.shape[1]

    @cached_property
    def _overlap(self) -> int | None:
        return overlap(*self.total.terms) if len(self.total.terms) == 2 else None

    @property
    def counted(self) -> bool:
        return self._overlap is not None or "nnz" in vars(self)

    @cached_property
    def nnz(self) -> int:
        if self._overlap is None:
            return self.offset(self.rows)
        return sum(KronFill(term, self.total.dtype).nnz for term in self.total.terms) - self._overlap

    @cached_property
    def _offsets(self) -> Array:
        return self.indptr(0, self.rows)

    def offset(self, row: int) -> int:
        return int(self._offsets[row])

    def indptr(self, start: int, stop: int) -> Array:
        counts = np.empty(stop - start, dtype=np.int64)
        self._merge(counts, NONE, self._none, start, stop, PLAIN)
        return cumulative(counts)

    def columns(self, out: Array, start: int, stop: int, place: Place = PLAIN) -> None:
        self._merge(NONE, out, self._none, start, stop, place)

    def values(self, out: Array, start: int, stop: int, place: Place = PLAIN) -> None:
        self._merge(NONE, NONE, out, start, stop, place)

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
            f, g, n, swap = term.rows.arguments()
            kind = int(swap) if isinstance(term.rows, Grid) else 2
            part[:3] = kind, n, sum(x.size for x, _ in lists)
            lists.append((f, g))
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
        return table, *sides, np.concatenate(scale), f, g, self.q

    def _merge(self, counts: Array, columns: Array, values: Array, start: int, stop: int, place: Place) -> None:
        terms = len(self.total.terms)
        cursor, coef = np.empty((terms, 8), dtype=np.int64), np.empty(terms, dtype=self.total.dtype)
        kernels.merge_rows(
            *self._packed, place.base, cursor, coef, counts, columns, values, place.ptr, place.gap, start, stop
        )


def overlap(first: Term, second: Term) -> int | None:
    """Number of places in which two terms on one variable both have an entry; None if only counting tells."""
    if not isinstance(first.rows, Grid | KronGrid) or not isinstance(second.rows, Grid | KronGrid):
        return None
    if first.rows.same(second.rows):
        u, w = meet(first.u, second.u), meet(first.w, second.w)
        # row i of one meets row i of the other, on both sides alone
        return diagonal_sum(u) * diagonal_sum(w)
    if not first.rows.mirrors(second.rows):
        return None
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


def scales(term: Term, dtype: np.dtype[Any]) -> Array:
    """A term's scale as kernels take it."""
    return np.ones(1, dtype) if term.scale is None else writeable(np.ascontiguousarray(term.scale, dtype))


def cumulative(counts: Array) -> Array:
    """Row pointers of rows with that many entries."""
    result = np.zeros(counts.size + 1, dtype=np.int64)
    np.cumsum(counts, out=result[1:])
    return result
