"""The first entries of each row: of sorted rows those on and below the diagonal."""

from typing import Any

from matjac.kernels.decorator import kernel

A = Any  # an array; Numba infers the rest


@kernel
def copy_prefixes(source: A, ptr: A, counts: A, place: A, base: int, out: A, start: int, stop: int) -> None:
    """Copy the first ``counts[r]`` entries of rows ``start:stop`` to ``out[place[r]:]``, `base` added to each.

    Row ``r`` of the source begins at ``ptr[r]``.
    """
    for r in range(start, stop):
        at = ptr[r]
        to = place[r]
        for k in range(counts[r]):
            out[to + k] = source[at + k] + base


@kernel
def mirror(columns: A, ptr: A, source: A, place: A, cursor: A, out: A) -> None:
    """Copy each entry (r, c) of a lower triangle that is below the diagonal to ``out[cursor[c]]``; the cursor moves on.

    The triangle's columns are ``columns[ptr[r]:ptr[r + 1]]``, and its entries stand in ``source[place[r]:]``.
    """
    for r in range(cursor.size):
        shift = place[r] - ptr[r]
        for k in range(ptr[r], ptr[r + 1]):
            c = columns[k]
            if c < r:
                out[cursor[c]] = source[k + shift]
                cursor[c] += 1
