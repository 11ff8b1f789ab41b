"""One term, whose rows are Kronecker products of rows of the factors; and the case split of RᵀR, two of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from matjac import kernels
from matjac.conventions import Array, cached_property, cumulative, size
from matjac.entries.assembler import PLAIN, Assembler, Fill, Place, kernel_rows, row_bytes, scales
from matjac.linear.factors import Dense, Eye
from matjac.linear.rowmap import RowMap, grid_of
from matjac.linear.terms import Term


class KronAssembler(Assembler):
    """One term."""

    def __init__(self, term: Term) -> None:
        self.term, self.rows = term, term.count

    @cached_property
    def per_row(self) -> int | None:
        u, w = self.term.u.per_row, self.term.w.per_row
        return None if u is None or w is None or not self.term.f.full else u * w

    @cached_property
    def _grid(self) -> tuple[int, int, bool] | None:
        return grid_of(self.term.f, self.term.g) if self.per_row is None and self.rows else None

    @property
    def at_least(self) -> int:
        """Number of entries, or 0 where only counting row by row tells."""
        return 0 if self.per_row is None and self._grid is None else self.nnz

    def offset(self, row: int) -> int:
        grid = self._grid
        if grid is None:
            return super().offset(row)
        # row (i, j) of m × n is the product of one factor's row i and the other's row j
        m, n, swapped = grid
        u, w = self.term.u.pointers, self.term.w.pointers
        first, second = (w, u) if swapped else (u, w)
        i, j = divmod(row, n)
        here = 0 if i == m else int(first[i + 1] - first[i]) * int(second[j])
        return int(first[i]) * int(second[n]) + here

    def indptr(self, start: int, stop: int) -> Array:
        if self.per_row is not None:
            return np.arange(stop - start + 1, dtype=np.int64) * self.per_row
        i, j = (m.rows(start, stop) for m in (self.term.f, self.term.g))
        counts = np.diff(self.term.u.pointers)[i] * np.diff(self.term.w.pointers)[j]
        return cumulative(np.where(i < 0, 0, counts))

    def beside(self, itemsize: int, whole: bool = True) -> int:
        return row_bytes(self.term.f, self.term.g)

    @cached_property
    def _rows(self) -> tuple[Array, Array, int, bool]:
        return kernel_rows(self.term.f, self.term.g)

    @cached_property
    def _places(self) -> tuple[Any, ...]:
        u, w = self.term.u, self.term.w
        return *u.places(), *w.places(), w.shape[1], *self._rows

    def columns(self, out: Array, start: int, stop: int, place: Place = PLAIN) -> None:
        kernels.kron_columns(*self._places, place.base, place.ptr, place.gap, out, start, stop)

    def bind(self, values: Sequence[Any], dtype: np.dtype[Any]) -> Fill:
        term = self.term
        if isinstance(term.u, Eye) and isinstance(term.w, Eye) and term.f.full:
            return _copied(np.ones((), dtype) if term.scale is None else values[term.scale], term, dtype)
        given = *term.u.rows(values, dtype), *term.w.rows(values, dtype), scales(term, values, dtype), *self._rows

        return lambda out, start, stop, place: kernels.kron_values(*given, place.ptr, place.gap, out, start, stop)


def _copied(scale: Any, term: Term, dtype: np.dtype[Any]) -> Fill:
    """One entry a row, the scale itself, which NumPy copies at the speed of memory."""
    wide = np.broadcast_to(scale, term.shape)
    flat = wide.reshape(-1) if wide.flags.c_contiguous else None
    block = size(term.shape[1:])

    def part(start: int, stop: int) -> Array:
        if flat is not None:
            return flat[start:stop]
        first, last = start // block, -(-stop // block)
        return wide[first:last].reshape(-1)[start - first * block : stop - first * block]

    def fill(out: Array, start: int, stop: int, place: Place) -> None:
        if place.ptr.size:
            out[place.ptr] = part(start, stop)
            return
        if flat is None and wide.size > 1 and not place.gap and start % block == 0 == stop % block:
            # repeated along some axes: no copy between
            np.copyto(out[: stop - start].reshape(-1, *term.shape[1:]), wide[start // block : stop // block])
            return
        end = max((stop - start) * (place.gap + 1) - place.gap, 0)
        out[: end : place.gap + 1] = np.reshape(scale, ()) if np.size(scale) == 1 else part(start, stop)

    return fill


class CaseSplitAssembler(Assembler):
    """The case split of RᵀR: entries of two terms interleave (or stand side by side), and add up on the diagonal.

    Row (i, j) has a's row j at the columns of i, and b's row i at the columns of j.
    """

    def __init__(self, a: Term, b: Term) -> None:
        # of a grid read row by row the first of each pair is i
        a, b = (b, a) if _pairs(a)[3] else (a, b)
        self.f, self.g, self.n, _ = _pairs(a)
        self.i, self.j = _maps(a)
        self.blocks = isinstance(a.u, Eye)
        self.a, self.b = (a.w, b.w) if self.blocks else (a.u, b.u)
        self.term, self.rows = a, a.count
        self.size = self.a.shape[1]

    def _diagonals(self, row: int) -> int:
        """Rows before this one that stand for a diagonal entry of K."""
        if self.f.size or self.rows == 0:
            return int(self._listed_diagonals[row])
        i, j = divmod(row, max(self.n, 1))
        return i + (j > i)

    @cached_property
    def _listed_diagonals(self) -> Array:
        return cumulative(np.equal(self.f, self.g).astype(np.int64))

    def offset(self, row: int) -> int:
        return (2 * row - self._diagonals(row)) * self.size

    def indptr(self, start: int, stop: int) -> Array:
        i, j = self.i.rows(start, stop), self.j.rows(start, stop)
        return cumulative(np.where(i == j, self.size, 2 * self.size))

    def beside(self, itemsize: int, whole: bool = True) -> int:
        return row_bytes(self.term.f, self.term.g)

    def columns(self, out: Array, start: int, stop: int, place: Place = PLAIN) -> None:
        q = self.term.w.shape[1]
        kernels.casesplit_columns(
            self.size, q, self.blocks, self.f, self.g, self.n, place.base, place.ptr, place.gap, out, start, stop
        )

    def bind(self, values: Sequence[Any], dtype: np.dtype[Any]) -> Fill:
        a, b = self.a.data(values, dtype), self.b.data(values, dtype)
        shift = 0 if self.a.value == self.b.value else self.a.shape[0]
        table = (np.concatenate([a, b]) if shift else a).reshape(shift + self.b.shape[0], self.size)
        given = table, shift, self.blocks, scales(self.term, values, dtype), self.f, self.g, self.n

        return lambda out, start, stop, place: kernels.casesplit_values(*given, place.ptr, place.gap, out, start, stop)


def _maps(a: Term) -> tuple[RowMap, RowMap]:
    """The row maps (i, j) of a case split whose first term that is."""
    return (a.f, a.g) if isinstance(a.u, Eye) else (a.g, a.f)


def _pairs(a: Term) -> tuple[Array, Array, int, bool]:
    """The same as kernels take them."""
    i, j = _maps(a)
    f, g, n, swap = kernel_rows(i, j)
    if not f.size and 1 < n == a.count:
        # one row or one column of K, which a kernel for square ones does not read as such
        return i.rows(0, n), j.rows(0, n), 0, False
    return f, g, n, swap


def is_case_split(terms: Sequence[Term]) -> bool:
    """Whether two terms are ``dXᵀ·B + A·dX`` or ``B·dXᵀ + dX·A`` with dense A and B: the case split of RᵀR or RRᵀ."""
    if len(terms) != 2:
        return False
    a, b = terms
    if a.scale != b.scale or not (a.f.full and a.g.full) or a.shape != b.shape:
        return False
    if not (a.f.same(b.g) and a.g.same(b.f)):
        return False
    return any(
        all(isinstance(dense, Dense) and isinstance(unit, Eye) for dense, unit in sides)
        and sides[0][0].shape == sides[1][0].shape
        for sides in (((a.u, a.w), (b.u, b.w)), ((a.w, a.u), (b.w, b.u)))
    )
