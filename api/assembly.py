"""Entries of whole maps: blocks put together row by row, transposes dealt out by column, matrices made explicit."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numpy as np

from matjac import kernels
from matjac.factors import Select, Sparse, canonical_csr, product
from matjac.fill import PLAIN, Filler, Place, cumulative, fill_of_sum
from matjac.layout import Array, index_dtype
from matjac.maps import Blocks, LinearMap, Normal, Sum, Transposed
from matjac.terms import grid
from matjac.threads import split

#: Entries that a pass in bounded memory holds at a time.
CHUNK = 1 << 14
#: Entries of several blocks side by side that are filled together: 1 MiB of values, half of a core's cache here.
TILE = 1 << 17


def filler(linear: LinearMap) -> Filler:
    """How to fill that map's entries."""
    if isinstance(linear, Sum):
        return fill_of_sum(linear)
    if isinstance(linear, Transposed):
        return TransposedFill(linear)
    if isinstance(linear, Normal):
        return fill_of_sum(explicit(normal_matrix(linear)))
    assert isinstance(linear, Blocks)
    return BlockFill(linear)


def chunks(fill: Filler, rows: int) -> Iterator[tuple[int, int]]:
    """Ranges that cover all rows, of about CHUNK entries (or one row) each; all at once where ranges are dear."""
    if not fill.ranged:
        return iter([(0, rows)])
    step = max(1, min(CHUNK, CHUNK * rows // max(fill.nnz, 1)))
    return ((start, min(start + step, rows)) for start in range(0, rows, step))


class TransposedFill(Filler):
    """The transpose of any map: its rows are made in bounded memory, and dealt out to the columns."""

    def __init__(self, turned: Transposed) -> None:
        self.base = filler(turned.base)
        self.rows, self.base_rows = turned.shape
        self.dtype = turned.dtype

    @property
    def counted(self) -> bool:
        return self.base.counted

    @property
    def ranged(self) -> bool:
        return False

    @property
    def nnz(self) -> int:
        return self.base.nnz

    def _passes(self) -> Iterator[tuple[int, int, Array, Array]]:
        for start, stop in chunks(self.base, self.base_rows):
            pointers = self.base.indptr(start, stop)
            columns = np.empty(int(pointers[-1]), dtype=np.int64)
            self.base.columns(columns, start, stop)
            yield start, stop, pointers, columns

    @cached_property
    def _offsets(self) -> Array:
        counts = np.zeros(self.rows, dtype=np.int64)
        for *_, columns in self._passes():
            found, times = np.unique(columns, return_counts=True)
            counts[found] += times
        return cumulative(counts)

    def offset(self, row: int) -> int:
        return int(self._offsets[row])

    def indptr(self, start: int, stop: int) -> Array:
        pointers: Array = self._offsets[start : stop + 1] - self._offsets[start]
        return pointers

    def _deal(self, out: Array, start: int, stop: int, place: Place, values: bool) -> None:
        cursor = self.indptr(start, stop)[:-1] + place.gap * np.arange(stop - start)
        if place.ptr.size:
            cursor = place.ptr.copy()
        for first, last, pointers, columns in self._passes():
            if values:
                source = np.empty(columns.size, dtype=self.dtype)
                self.base.values(source, first, last)
            else:
                source = np.repeat(np.arange(first, last, dtype=np.int64), np.diff(pointers))
            kernels.scatter_entries(columns, source, cursor, start, stop, 0 if values else place.base, out)

    def columns(self, out: Array, start: int, stop: int, place: Place = PLAIN) -> None:
        self._deal(out, start, stop, place, values=False)

    def values(self, out: Array, start: int, stop: int, place: Place = PLAIN) -> None:
        self._deal(out, start, stop, place, values=True)


class BlockFill(Filler):
    """Blocks beside and above one another; a row is the blocks' rows, one after the other."""

    def __init__(self, blocks: Blocks) -> None:
        lefts = np.cumsum([0, *blocks.widths]).tolist()
        self.bands = [
            [(filler(cell), left) for cell, left in zip(band, lefts[:-1], strict=True) if cell is not None]
            for band in blocks.cells
        ]
        self.tops: list[int] = np.cumsum([0, *blocks.heights]).tolist()

    @property
    def ranged(self) -> bool:
        return all(fill.ranged for band in self.bands for fill, _ in band)

    @property
    def counted(self) -> bool:
        return all(fill.counted for band in self.bands for fill, _ in band)

    @cached_property
    def nnz(self) -> int:
        return sum(fill.nnz for band in self.bands for fill, _ in band)

    def _parts(self, start: int, stop: int) -> Iterator[tuple[list[tuple[Filler, int]], int, int]]:
        """The bands that have rows of ``start:stop``, each with its range of rows counted from its own first."""
        for band, top, bottom in zip(self.bands, self.tops[:-1], self.tops[1:], strict=True):
            first, last = max(start, top), min(stop, bottom)
            if first < last:
                yield band, first - top, last - top

    def offset(self, row: int) -> int:
        return sum(fill.offset(last) for band, _, last in self._parts(0, row) for fill, _ in band)

    def indptr(self, start: int, stop: int) -> Array:
        result = np.zeros(stop - start + 1, dtype=np.int64)
        at = 0
        for band, first, last in self._parts(start, stop):
            here = result[at : at + last - first + 1]
            here[1:] = here[0]
            for fill, _ in band:
                here[1:] += fill.indptr(first, last)[1:]
            at += last - first
        return result

    def columns(self, out: Array, start: int, stop: int, place: Place = PLAIN) -> None:
        self._fill("columns", out, start, stop)

    def values(self, out: Array, start: int, stop: int, place: Place = PLAIN) -> None:
        self._fill("values", out, start, stop)

    def _fill(self, what: str, out: Array, start: int, stop: int) -> None:
        at = 0
        for band, first, last in self._parts(start, stop):
            for begin, end in _tiles(band, first, last):
                for fill, skip, place in _places(band, begin, end):
                    getattr(fill, what)(out[at + skip :], begin, end, place)
                at += sum(fill.offset(end) - fill.offset(begin) for fill, _ in band)


def _tiles(band: list[tuple[Filler, int]], start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Ranges of rows whose entries stay in the cache while one block after the other writes its part of them."""
    if len(band) < 2 or not all(fill.ranged for fill, _ in band):
        return iter([(start, stop)])
    entries = sum(fill.offset(stop) - fill.offset(start) for fill, _ in band)
    step = max(1, TILE * (stop - start) // max(entries, 1))
    return ((row, min(row + step, stop)) for row in range(start, stop, step))


def _places(band: list[tuple[Filler, int]], start: int, stop: int) -> Iterator[tuple[Filler, int, Place]]:
    """Where each block's rows go, and how many entries to skip before the first."""
    if len(band) == 1:
        yield band[0][0], 0, Place(base=band[0][1])
        return
    widths = [fill.per_row for fill, _ in band]
    if None not in widths:
        total = sum(width or 0 for width in widths)
        skip = 0
        for fill, left in band:
            width = fill.per_row or 0
            yield fill, skip, Place(gap=total - width, base=left)
            skip += width
        return
    pointers = [fill.indptr(start, stop) for fill, _ in band]
    begin = np.sum([p[:-1] for p in pointers], axis=0)
    for (fill, left), pointer in zip(band, pointers, strict=True):
        yield fill, 0, Place(ptr=begin.copy(), base=left)
        begin += np.diff(pointer)


def tocsr(linear: LinearMap, fill: Filler | None = None) -> Any:
    """A map's canonical csr_array, made anew."""
    fill = fill or filler(linear)
    dtype = index_dtype(*linear.shape, fill.nnz)
    indptr = fill.indptr(0, linear.shape[0]).astype(dtype)
    indices, data = np.empty(fill.nnz, dtype=dtype), np.empty(fill.nnz, dtype=linear.dtype)
    for task, out in ((fill.columns, indices), (fill.values, data)):
        run(task, out, linear.shape[0], indptr.__getitem__)
    return canonical_csr(data, indices, indptr, linear.shape)


def normal_matrix(linear: Normal) -> Any:
    """The entries of ``Jᴴ W J``: a sparse product."""
    matrix = tocsr(linear.base)
    turned = matrix.conj().T.tocsr()
    turned.has_canonical_format = True
    if linear.weights is not None:
        turned.data = turned.data * linear.weights[turned.indices]
    return product(turned, matrix)


def run(task: Callable[[Array, int, int], None], out: Array, rows: int, offset: Callable[[int], int]) -> None:
    """Run a filler's method over all rows, in parts that begin where `offset` says."""

    def part(start: int, stop: int) -> None:
        whole = start == 0 and stop == rows
        task(out if whole else out[int(offset(start)) : int(offset(stop))], start, stop)

    split(part, 0, rows, out.size)


def explicit(matrix: Any) -> Sum:
    """The map of a stored sparse matrix: the way out of the family of terms."""
    return Sum([grid(Sparse(matrix), Select(1))], matrix.dtype)
