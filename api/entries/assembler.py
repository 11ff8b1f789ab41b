"""What a Jacobian asks of its entries, for any range of rows; positions are counted from that range's first entry.

An assembler is structure alone: it is made once for a function. `bind` gives it the numbers of a point.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from matjac import memory
from matjac.conventions import NONE, Array, cached_property, size
from matjac.linear.factors import as_given, ones
from matjac.linear.rowmap import RowMap, grid_of
from matjac.linear.terms import Term
from matjac.threads import split

#: Entries that a pass in bounded memory holds at a time, and where a range of rows costs as much as all of them.
CHUNK, WHOLE = 1 << 14, 1 << 22
#: Bytes a row for the row pointers of all rows, and what they are made of.
POINTERS = 64
#: Entries that go to their places in passes: 1 MiB of values, half of a core's cache here. In smaller parts two
#: threads wait for one another's Python.
TILE = 1 << 17


class Place(NamedTuple):
    """Where rows go among others' entries: see the kernels' `ptr` and `gap`, and `base` for columns."""

    ptr: Array = NONE
    gap: int = 0
    base: int = 0


PLAIN = Place()
#: Fills the values of rows ``start:stop``: ``fill(out, start, stop, place)``.
Fill: TypeAlias = Callable[[Array, int, int, Place], None]


#: More than any diagonal's number.
FAR = 2**62


class Piece(NamedTuple):
    """Entries of an assembler that can be read in bounded memory, and where they are in a matrix that it is part of.

    Entry (r, c) is at (top + r, left + c), or where it is `turned` at (left + c, top + r). Of them those count whose
    ``column − row``, as they are in the assembler, is from `low` to `high` when `top` and `left` are added.
    """

    assembler: "Assembler"
    top: int = 0
    left: int = 0
    turned: bool = False
    low: int = -FAR
    high: int = FAR

    def shifted(self, top: int, left: int) -> "Piece":
        """Where the matrix is itself a part of another, which begins there."""
        if self.turned:
            top, left = left, top
        by = left - top
        return self._replace(top=self.top + top, left=self.left + left, low=self.low + by, high=self.high + by)

    def transposed(self) -> "Piece":
        """In the transposed matrix."""
        return self._replace(turned=not self.turned)

    def below(self, shift: int) -> "Piece":
        """Of its entries those up to column ``row + shift`` of the matrix."""
        if self.turned:
            return self._replace(low=max(self.low, -shift))
        return self._replace(high=min(self.high, shift))


class Assembler(ABC):
    """The entries of a matrix with that many rows; of `indptr` and `offsets` each has one of its own."""

    rows: int
    #: Whether a range of rows costs in proportion to its length: else ask for all at once.
    ranged = True

    @cached_property
    def per_row(self) -> int | None:
        """Entries in every row, or None where rows differ or nothing is known without counting."""
        return None

    @cached_property
    def offsets(self) -> Array:
        """Where each row begins, and the end (int64)."""
        self.require_pointers()
        return self.indptr(0, self.rows)

    def require_pointers(self) -> None:
        """Refuse to count row by row where that would not fit in memory."""
        memory.require(f"pointers of {self.rows:,} rows", POINTERS * self.rows)

    #: whether a fill finds nothing that it keeps, or what it keeps is there
    found = True

    def beside(self, itemsize: int, whole: bool = True) -> int:
        """Bytes, at most, that a fill of the whole or of some rows holds beside its result, of numbers of that size."""
        return 0

    @cached_property
    def nnz(self) -> int:
        """Number of entries, from the factors alone wherever that is possible."""
        return self.offset(self.rows)

    def offset(self, row: int) -> int:
        """Number of entries in the rows before this one."""
        return row * self.per_row if self.per_row is not None else int(self.offsets[row])

    def indptr(self, start: int, stop: int) -> Array:
        """Where each row of ``start:stop`` begins, and the end (int64)."""
        pointers: Array = self.offsets[start : stop + 1] - self.offsets[start]
        return pointers

    def pieces(self) -> "list[Piece]":
        """All entries, as parts that can be read in bounded memory."""
        return [Piece(self)]

    @abstractmethod
    def columns(self, out: Array, start: int, stop: int, place: Place = PLAIN) -> None:
        """Fill the sorted column indices of rows ``start:stop``."""

    @abstractmethod
    def bind(self, values: Sequence[Any], dtype: np.dtype[Any]) -> Fill:
        """How to fill the values, from the numbers of a program."""


def ranges(
    assembler: Assembler, most: int, entry: int = 1, row: int = 1, start: int = 0, stop: int | None = None
) -> Iterator[tuple[int, int, Array]]:
    """Ranges that cover rows ``start:stop`` and cost at most so much, or one row, with their row pointers.

    An entry costs `entry`, and a row `row` more.
    """
    rows = assembler.rows
    stop = rows if stop is None else stop
    step = max(1, most // (entry * (assembler.nnz // max(rows, 1)) + row))
    for top, bottom in steps(start, stop, step):
        pointers = assembler.indptr(top, bottom)
        costs, first = entry * pointers + row * np.arange(pointers.size), 0
        while first < bottom - top:
            last = max(first + 1, int(np.searchsorted(costs, costs[first] + most, "right")) - 1)
            yield top + first, top + last, pointers[first : last + 1] - pointers[first]
            first = last


def passes(assembler: Assembler, start: int = 0) -> Iterator[tuple[int, int, Array, Array]]:
    """Rows from `start` on in bounded memory: ranges of them, with their row pointers and columns (int64)."""
    for first, last, pointers in ranges(assembler, CHUNK if assembler.ranged else WHOLE, start=start):
        columns = np.empty(int(pointers[-1]), np.int64)
        assembler.columns(columns, first, last)
        yield first, last, pointers, columns


def pass_bytes(assembler: Assembler, itemsize: int = 0) -> int:
    """Bytes of such a pass, with numbers of that size beside the columns and rows."""
    nnz, most = assembler.nnz, CHUNK if assembler.ranged else WHOLE
    return (16 + itemsize) * min(nnz, most) + assembler.beside(itemsize, nnz <= most)


def steps(start: int, stop: int, step: int) -> Iterator[tuple[int, int]]:
    """Ranges of so many rows, or one, that cover ``start:stop``."""
    step = max(step, 1)
    return ((first, min(first + step, stop)) for first in range(start, stop, step))


def run(fill: Any, assembler: Assembler, out: Array) -> None:
    """Fill all rows, in parts at the same time where there is enough work."""

    def part(start: int, stop: int) -> None:
        whole = start == 0 and stop == assembler.rows
        fill(out if whole else out[assembler.offset(start) : assembler.offset(stop)], start, stop, PLAIN)

    if assembler.ranged:
        split(part, 0, assembler.rows, out.size)
    else:
        part(0, assembler.rows)


def kernel_rows(f: RowMap, g: RowMap) -> tuple[Array, Array, int, bool]:
    """``f, g, n, swap`` as kernels take a pair of row maps: a grid read row by row, the same swapped, or lists."""
    grid = grid_of(f, g)
    if grid is None:
        memory.require(f"lists of {size(f.shape):,} rows", row_bytes(f, g))
        i, j = (np.ascontiguousarray(rows.dense()).reshape(-1) for rows in (f, g))
        return i, j, 0, False
    m, n, swap = grid
    # kernels run along rows, so a matrix of one column is read as one row
    return (NONE, NONE, m, not swap) if n == 1 else (NONE, NONE, n, swap)


def row_bytes(f: RowMap, g: RowMap) -> int:
    """Bytes of such lists."""
    return 0 if grid_of(f, g) else 16 * size(f.shape)


def scales(term: Term, values: Sequence[Any], dtype: np.dtype[Any], wide: bool = False) -> Array:
    """A term's scale as kernels take it: one for each row, or (unless `wide`) one for all where they are equal."""
    if term.scale is None:
        return ones(dtype)
    scale = np.asarray(values[term.scale])
    if wide or scale.size != 1:
        scale = np.broadcast_to(scale, term.shape)
    return as_given(scale, dtype)
