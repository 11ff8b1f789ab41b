"""Symmetric matrices: the lower triangle is filled, the upper one is its transpose."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from matjac import kernels
from matjac.conventions import Array, cumulative
from matjac.entries.assembler import PLAIN, TILE, Assembler, Fill, Place, chunks, steps


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


def lower(grid: Sequence[Sequence[Assembler | None]], heights: Sequence[int], widths: Sequence[int], shift: int) -> Any:
    """Of blocks those on and below the diagonal (shift is 0), or below it (−1); blocks that it crosses are cut."""
    tops, lefts = (np.cumsum([0, *sizes]).tolist() for sizes in (heights, widths))
    return [
        [_cut(assembler, top, left, width, shift) for assembler, left, width in zip(row, lefts, widths, strict=False)]
        for row, top in zip(grid, tops, strict=False)
    ]


def _cut(assembler: Assembler | None, top: int, left: int, width: int, shift: int) -> Assembler | None:
    if assembler is None or left > top + assembler.rows - 1 + shift:
        return None
    return assembler if left + width - 1 <= top + shift else LowerAssembler(assembler, top - left + shift)
