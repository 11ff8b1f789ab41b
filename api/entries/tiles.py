"""How many entries are in each tile of a matrix, counted in bounded memory."""

import threading

import numpy as np

from matjac import kernels
from matjac.conventions import Array
from matjac.entries.assembler import TILE, Assembler, Piece
from matjac.threads import split

#: Rows whose beginnings are held at once.
ROWS = 1 << 16


def tiles(assembler: Assembler, shape: tuple[int, int], down: int, across: int) -> Array:
    """The counts (int64) of so many tiles down and across, whose sides differ by one entry at most."""
    total = np.zeros((down, across), np.int64)
    for piece in assembler.pieces():
        _count(piece, shape, total)
    return total


def edges(length: int, count: int) -> Array:
    """Where tiles begin along an axis, and the end."""
    return np.array([t * length // count for t in range(count + 1)])


def _count(piece: Piece, shape: tuple[int, int], total: Array) -> None:
    """Add a piece's entries."""
    assembler, lock = piece.assembler, threading.Lock()
    (height, width), mine = (shape[::-1], total.T) if piece.turned else (shape, total)
    sides = edges(height, mine.shape[0]), edges(width, mine.shape[1])
    where = piece.top, piece.left, piece.low, piece.high, *sides

    def part(start: int, stop: int) -> None:
        counts = np.zeros(mine.shape, np.int64)
        for top in range(start, stop, ROWS):
            bottom = min(top + ROWS, stop)
            pointers = assembler.indptr(top, bottom)
            first = top
            while first < bottom:
                # as many rows as stay in the cache, or one
                last = int(np.searchsorted(pointers, pointers[first - top] + TILE, side="right")) - 1 + top
                last = min(max(last, first + 1), bottom)
                own = pointers[first - top : last - top + 1] - pointers[first - top]
                columns = np.empty(int(own[-1]), np.int64)
                assembler.columns(columns, first, last)
                kernels.count_tiles(own, columns, *where, counts, first, last)
                first = last
        with lock:
            mine[:] += counts

    split(part, 0, assembler.rows, assembler.rows * width)
