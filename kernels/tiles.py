"""How many entries are in each tile of a matrix."""

from typing import Any

from matjac.kernels.decorator import kernel

A = Any  # an array; Numba infers the rest


@kernel
def count_tiles(
    pointers: A,
    columns: A,
    top: int,
    left: int,
    low: int,
    high: int,
    tops: A,
    lefts: A,
    counts: A,
    start: int,
    stop: int,
) -> None:
    """Add to `counts` the entries of rows ``start:stop`` in each tile of a matrix.

    The sorted columns of row ``r`` are ``columns[pointers[r - start]:pointers[r - start + 1]]``; ``top`` and ``left``
    are where row 0 and column 0 are in the matrix. `tops` and `lefts` say where the tiles begin, and the end: those of
    m rows of tiles at ``t * height // m``, and likewise for columns. Only entries with ``low <= column - row <= high``
    count.
    """
    down, across = counts.shape
    height = tops[down]
    width = lefts[across]
    for r in range(start, stop):
        row = top + r
        tile = ((row + 1) * down - 1) // height
        at = -1
        k = pointers[r - start]
        end = pointers[r - start + 1]
        while k < end:
            c = left + columns[k]
            if c - row < low:
                k += 1
                continue
            if c - row > high:
                break
            # mostly the next tile: a division takes as long as many entries
            at += 1
            if c >= lefts[at + 1]:
                at = ((c + 1) * across - 1) // width
            edge = min(lefts[at + 1], row + high + 1) - left
            # the last entry before the edge, by steps that grow, and fall again
            last = k
            step = 1
            while last + step < end and columns[last + step] < edge:
                last += step
                step *= 2
            while step > 0:
                if last + step < end and columns[last + step] < edge:
                    last += step
                step //= 2
            counts[tile, at] += last + 1 - k
            k = last + 1
