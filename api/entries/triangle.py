"""Symmetric matrices: the lower triangle is filled, the upper one is its transpose."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from matjac import kernels
from matjac.conventions import Array, cached_property, cumulative, index_dtype
from matjac.entries.assembler import PLAIN, TILE, Assembler, Fill, Piece, Place, chunks, steps
from matjac.threads import split


class LowerAssembler(Assembler):
    """Of each row r the entries up to column r + shift: the first ones, which are copied from where all are made."""

    def __init__(self, base: Assembler, shift: int) -> None:
        self.base, self.shift = base, shift
        self.rows, self.ranged = base.rows, base.ranged

    @cached_property
    def _counts(self) -> Array:
        counts = np.empty(self.rows, np.int64)
        for start, stop in chunks(self.base):
            pointers = self.base.indptr(start, stop)
            columns = np.empty(int(pointers[-1]), np.int64)
            self.base.columns(columns, start, stop)
            kept = columns <= np.repeat(np.arange(start, stop) + self.shift, np.diff(pointers))
            counts[start:stop] = np.diff(cumulative(kept)[pointers])
        return counts

    @cached_property
    def offsets(self) -> Array:
        return cumulative(self._counts)

    def indptr(self, start: int, stop: int) -> Array:
        pointers: Array = self.offsets[start : stop + 1] - self.offsets[start]
        return pointers

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
        below = self._columns[self._columns < np.repeat(np.arange(self.rows), self._counts)]
        return cumulative(self._counts + np.bincount(below, minlength=self.rows))

    def indptr(self, start: int, stop: int) -> Array:
        pointers: Array = self.offsets[start : stop + 1] - self.offsets[start]
        return pointers

    def pieces(self) -> list[Piece]:
        half = self.half.pieces()
        return half + [piece.below(-1).transposed() for piece in half]

    def columns(self, out: Array, start: int, stop: int, place: Place = PLAIN) -> None:
        whole = np.empty(self.nnz, self._columns.dtype)
        inside = np.repeat(self.offsets[:-1] - self.half.offsets[:-1], self._counts) + np.arange(self._columns.size)
        whole[inside] = self._columns
        rows = np.repeat(np.arange(self.rows, dtype=whole.dtype), self._counts)
        self._mirror(rows, self.half.offsets, whole)
        first, last = self.offset(start), self.offset(stop)
        out[: last - first] = whole[first:last] + place.base

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
            if start == 0 and stop == self.rows:
                all_rows(out)
                return
            whole = np.empty(self.nnz, dtype)
            all_rows(whole)
            first, last = self.offset(start), self.offset(stop)
            out[: last - first] = whole[first:last]

        return fill


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
