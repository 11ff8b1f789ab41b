"""Symmetric matrices: the lower triangle is filled, the upper one is its transpose."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from matjac import kernels
from matjac.conventions import Array, cached_property, cumulative, index_dtype
from matjac.entries.assembler import PLAIN, TILE, Assembler, Fill, Piece, Place, pass_bytes, passes, steps
from matjac.threads import split


class LowerAssembler(Assembler):
    """Of each row r the entries up to column r + shift: the first ones, which are copied from where all are made."""

    def __init__(self, base: Assembler, shift: int) -> None:
        self.base, self.shift = base, shift
        self.rows, self.ranged = base.rows, base.ranged

    @cached_property
    def _counts(self) -> Array:
        self.require_pointers()
        counts = np.empty(self.rows, np.int64)
        for start, stop, pointers, columns in passes(self.base):
            kept = columns <= np.repeat(np.arange(start, stop) + self.shift, np.diff(pointers))
            counts[start:stop] = np.diff(cumulative(kept)[pointers])
        return counts

    @cached_property
    def offsets(self) -> Array:
        return cumulative(self._counts)

    def beside(self, itemsize: int, whole: bool = True) -> int:
        held = min(self.base.nnz, TILE) if self.ranged else self.base.nnz
        # one tile is made while the last one is there
        return 24 * self.rows + 2 * max(8, itemsize) * held + self.base.beside(itemsize, whole)

    def pieces(self) -> list[Piece]:
        return [piece.below(self.shift) for piece in self.base.pieces()]

    def columns(self, out: Array, start: int, stop: int, place: Place = PLAIN) -> None:
        self._copy(self.base.columns, np.dtype(np.int64), place.base, out, start, stop, place)

    def bind(self, values: Sequence[Any], dtype: np.dtype[Any]) -> Fill:
        of_base = self.base.bind(values, dtype)

        def fill(out: Array, start: int, stop: int, place: Place) -> None:
            self._copy(of_base, dtype, 0, out, start, stop, place)

        return fill

    def _copy(
        self, fill: Any, dtype: np.dtype[Any], base: int, out: Array, start: int, stop: int, place: Place
    ) -> None:
        places = place.ptr if place.ptr.size else self.indptr(start, stop)[:-1] + place.gap * np.arange(stop - start)
        pointers, counts = self.base.offsets, self._counts
        # as many rows at a time as stay in the cache
        step = TILE * (stop - start) // max(1, self._total(start, stop)) if self.ranged else stop - start
        for first, last in steps(start, stop, step):
            source = np.empty(self._total(first, last), dtype)
            fill(source, first, last, PLAIN)
            rows = slice(first, last)
            kernels.copy_prefixes(
                source,
                pointers[rows] - pointers[first],
                counts[rows],
                places[first - start :],
                base,
                out,
                0,
                last - first,
            )

    def _total(self, start: int, stop: int) -> int:
        return int(self.base.offsets[stop] - self.base.offsets[start])


class SymmetricAssembler(Assembler):
    """Both triangles of a matrix whose lower one is given: it is filled, and copied entry by entry to the upper one."""

    ranged = False

    def __init__(self, half: Assembler) -> None:
        self.half, self.rows = half, half.rows

    @cached_property
    def _columns(self) -> Array:
        """The columns of the lower triangle's entries."""
        columns = np.empty(self.half.nnz, index_dtype(self.rows))
        self.half.columns(columns, 0, self.rows)
        return columns

    @cached_property
    def _counts(self) -> Array:
        """How many entries each row has in the lower triangle."""
        return np.diff(self.half.offsets)

    @cached_property
    def offsets(self) -> Array:
        self.require_pointers()
        counts = self._counts.copy()
        for start, _, pointers, columns in passes(self.half):
            kernels.count_entries(columns, counts)
            counts[start + _diagonal(start, pointers, columns)] -= 1
        return cumulative(counts)

    def beside(self, itemsize: int, whole: bool = True) -> int:
        if not whole:
            return 24 * self.rows + pass_bytes(self.half, itemsize)
        # the columns of the lower triangle are kept
        return 16 * self.rows + 2 * index_dtype(self.rows).itemsize * self.half.nnz + self.half.beside(itemsize)

    def pieces(self) -> list[Piece]:
        half = self.half.pieces()
        return half + [piece.below(-1).transposed() for piece in half]

    def columns(self, out: Array, start: int, stop: int, place: Place = PLAIN) -> None:
        if stop - start < self.rows:
            self._some(self.half.columns, None, out, start, stop, place.base)
            return
        self.half.columns(out, 0, self.rows, Place(ptr=self.offsets[:-1], base=place.base))
        rows = np.repeat(np.arange(self.rows, dtype=self._columns.dtype), self._counts)
        rows += place.base
        self._mirror(rows, self.half.offsets, out)

    def _some(self, lower: Any, dtype: Any, out: Array, start: int, stop: int, base: int = 0) -> None:
        """Some rows: what is below the diagonal in them, and in their columns of the rows that follow.

        `lower` fills the lower triangle with numbers of that dtype, or its columns where that is None.
        """
        begin = self.indptr(start, stop)[:-1]
        lower(out, start, stop, Place(ptr=begin, base=base))
        cursor = begin + self._counts[start:stop]
        for first, last, pointers, columns in passes(self.half, start):
            if dtype is None:
                source = np.repeat(np.arange(first, last), np.diff(pointers))
            else:
                source = np.empty(columns.size, dtype)
                lower(source, first, last, PLAIN)
            # the diagonal is there
            columns[pointers[1 + _diagonal(first, pointers, columns)] - 1] = -1
            kernels.scatter_entries(columns, source, cursor, start, stop, base, out)

    def _mirror(self, source: Array, place: Array, out: Array) -> None:
        """Copy what is below the diagonal, of rows that begin there, to the upper triangle."""
        cursor = self.offsets[:-1] + self._counts
        kernels.mirror(self._columns, self.half.offsets, source, place, cursor, out)

    def bind(self, values: Sequence[Any], dtype: np.dtype[Any]) -> Fill:
        of_half = self.half.bind(values, dtype)

        def all_rows(out: Array) -> None:
            def part(start: int, stop: int) -> None:
                of_half(out, start, stop, Place(ptr=self.offsets[start:stop]))

            if self.half.ranged:
                split(part, 0, self.rows, self.half.nnz)
            else:
                part(0, self.rows)
            self._mirror(out, self.offsets, out)

        def fill(out: Array, start: int, stop: int, place: Place) -> None:
            if stop - start == self.rows:
                all_rows(out)
            else:
                self._some(of_half, dtype, out, start, stop)

        return fill


def _diagonal(start: int, pointers: Array, columns: Array) -> Array:
    """Which of some rows of a lower triangle, counted from the first, end on the diagonal."""
    some = np.flatnonzero(np.diff(pointers))
    found: Array = some[columns[pointers[1 + some] - 1] == start + some]
    return found


def lower(grid: Sequence[Sequence[Assembler | None]], heights: Sequence[int], widths: Sequence[int]) -> Any:
    """Of blocks those on and below the diagonal; blocks that it crosses are cut."""
    tops, lefts = (np.cumsum([0, *sizes]).tolist() for sizes in (heights, widths))
    return [
        [_cut(assembler, top, left, width) for assembler, left, width in zip(row, lefts, widths, strict=False)]
        for row, top in zip(grid, tops, strict=False)
    ]


def _cut(assembler: Assembler | None, top: int, left: int, width: int) -> Assembler | None:
    if assembler is None or left > top + assembler.rows - 1:
        return None
    return assembler if left + width - 1 <= top else LowerAssembler(assembler, top - left)
