"""Blocks beside and above one another, and transposes."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from matjac import kernels
from matjac.conventions import Array, cached_property, cumulative
from matjac.entries.assembler import PLAIN, TILE, Assembler, Fill, Piece, Place, pass_bytes, passes

#: Blocks side by side, each with its first column.
Band: TypeAlias = list[tuple[Assembler, int]]


class BlockAssembler(Assembler):
    """Bands of rows, each of blocks side by side; a row is the blocks' rows, one after the other."""

    def __init__(self, bands: Sequence[Band], heights: Sequence[int]) -> None:
        self.bands = list(bands)
        self.tops: list[int] = np.cumsum([0, *heights]).tolist()
        self.rows = self.tops[-1]
        self.ranged = all(assembler.ranged for band in self.bands for assembler, _ in band)
        #: where blocks go in bands all of whose rows are alike
        self._alike = [_alike(band) for band in self.bands]

    @cached_property
    def nnz(self) -> int:
        return sum(assembler.nnz for band in self.bands for assembler, _ in band)

    def beside(self, itemsize: int, whole: bool = True) -> int:
        blocks = [assembler for band in self.bands for assembler, _ in band]
        return sum(8 * assembler.rows + assembler.beside(itemsize, whole) for assembler in blocks)

    def _parts(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """The bands that have rows of ``start:stop``, each with its range of rows counted from its own first."""
        for at, (top, bottom) in enumerate(zip(self.tops[:-1], self.tops[1:], strict=True)):
            first, last = max(start, top), min(stop, bottom)
            if first < last:
                yield at, first - top, last - top

    def offset(self, row: int) -> int:
        return sum(assembler.offset(last) for at, _, last in self._parts(0, row) for assembler, _ in self.bands[at])

    def pieces(self) -> list[Piece]:
        return [
            piece.shifted(top, left)
            for top, band in zip(self.tops, self.bands, strict=False)
            for assembler, left in band
            for piece in assembler.pieces()
        ]

    def indptr(self, start: int, stop: int) -> Array:
        result = np.zeros(stop - start + 1, dtype=np.int64)
        row = 0
        for at, first, last in self._parts(start, stop):
            here = result[row : row + last - first + 1]
            here[1:] = here[0]
            for assembler, _ in self.bands[at]:
                here[1:] += assembler.indptr(first, last)[1:]
            row += last - first
        return result

    def columns(self, out: Array, start: int, stop: int, place: Place = PLAIN) -> None:
        self._fill([[assembler.columns for assembler, _ in band] for band in self.bands], out, start, stop, place)

    def bind(self, values: Sequence[Any], dtype: np.dtype[Any]) -> Fill:
        return partial(self._fill, [[assembler.bind(values, dtype) for assembler, _ in band] for band in self.bands])

    def _fill(self, tasks: Sequence[Sequence[Any]], out: Array, start: int, stop: int, outer: Place) -> None:
        # blocks among others' are given where each row begins, since they have no one number of entries a row
        assert not outer.gap
        position = row = 0
        for at, first, last in self._parts(start, stop):
            band = self.bands[at]
            if outer.ptr.size:
                # blocks among others' blocks
                begin = outer.ptr[row : row + last - first].copy()
                for task, (_, place) in zip(tasks[at], _places(band, first, last, begin), strict=True):
                    task(out, first, last, place._replace(base=outer.base + place.base))
                row += last - first
                continue
            for top, bottom in self._tiles(at, first, last):
                places = self._alike[at] or _places(band, top, bottom)
                for task, (skip, place) in zip(tasks[at], places, strict=True):
                    task(out[position + skip :], top, bottom, place)
                for assembler, _ in band:
                    position += assembler.offset(bottom) - assembler.offset(top)

    def _tiles(self, at: int, start: int, stop: int) -> Iterable[tuple[int, int]]:
        """Ranges of rows whose entries stay in the cache while one block after the other writes its part of them."""
        band = self.bands[at]
        if len(band) < 2 or not all(assembler.ranged for assembler, _ in band):
            return ((start, stop),)
        entries = 0
        for assembler, _ in band:
            entries += assembler.offset(stop) - assembler.offset(start)
        if entries <= TILE:
            return ((start, stop),)
        step = max(1, TILE * (stop - start) // entries)
        return ((row, min(row + step, stop)) for row in range(start, stop, step))


def _alike(band: Band) -> list[tuple[int, Place]] | None:
    """Where each block's rows go, and how many entries to skip before the first, where all rows are alike."""
    if len(band) == 1:
        return [(0, Place(base=band[0][1]))]
    widths = [assembler.per_row for assembler, _ in band]
    total = sum(width or 0 for width in widths)
    places, skip = [], 0
    for width, (_, left) in zip(widths, band, strict=True):
        if width is None:
            return None
        places.append((skip, Place(gap=total - width, base=left)))
        skip += width
    return places


def _places(band: Band, start: int, stop: int, begin: Array | None = None) -> list[tuple[int, Place]]:
    """The same of rows that differ, each of which begins there; one after another unless given."""
    pointers = [assembler.indptr(start, stop) for assembler, _ in band]
    if begin is None:
        begin = np.sum([p[:-1] for p in pointers], axis=0)
    places = []
    for (_, left), pointer in zip(band, pointers, strict=True):
        places.append((0, Place(ptr=begin.copy(), base=left)))
        begin += np.diff(pointer)
    return places


class TransposedAssembler(Assembler):
    """The transpose of any matrix: its rows are made in bounded memory, and dealt out to the columns."""

    ranged = False

    def __init__(self, base: Assembler, rows: int) -> None:
        self.base, self.rows = base, rows

    @cached_property
    def nnz(self) -> int:
        return self.base.nnz

    def beside(self, itemsize: int, whole: bool = True) -> int:
        return 16 * self.rows + 8 * self.base.rows + pass_bytes(self.base, itemsize)

    def pieces(self) -> list[Piece]:
        return [piece.transposed() for piece in self.base.pieces()]

    @cached_property
    def offsets(self) -> Array:
        self.require_pointers()
        counts = np.zeros(self.rows, dtype=np.int64)
        for *_, columns in passes(self.base):
            kernels.count_entries(columns, counts)
        return cumulative(counts)

    def _cursor(self, start: int, stop: int, place: Place) -> Array:
        plain = self.indptr(start, stop)[:-1] + place.gap * np.arange(stop - start)
        return place.ptr.copy() if place.ptr.size else plain

    def columns(self, out: Array, start: int, stop: int, place: Place = PLAIN) -> None:
        cursor = self._cursor(start, stop, place)
        for first, last, pointers, columns in passes(self.base):
            source = np.repeat(np.arange(first, last, dtype=np.int64), np.diff(pointers))
            kernels.scatter_entries(columns, source, cursor, start, stop, place.base, out)

    def bind(self, values: Sequence[Any], dtype: np.dtype[Any]) -> Fill:
        of_base = self.base.bind(values, dtype)

        def fill(out: Array, start: int, stop: int, place: Place) -> None:
            cursor = self._cursor(start, stop, place)
            for first, last, _, columns in passes(self.base):
                source = np.empty(columns.size, dtype=dtype)
                of_base(source, first, last, PLAIN)
                kernels.scatter_entries(columns, source, cursor, start, stop, 0, out)

        return fill
