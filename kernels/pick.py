"""Entries picked from a table of numbers: the columns of a structured unknown's free entries."""

from typing import Any

import numpy as np

from matjac.kernels.decorator import kernel

A = Any  # an array; Numba infers the rest


@kernel
def pick_values(
    table: A, step: int, source: A, begins: A, to: A, more: A, signs: A, sums: A, scale: A, place: A, out: A,
    start: int, stop: int,
) -> None:  # fmt: skip
    """Fill rows ``start:stop``: entry e of row r is ``scale[r] * table[step * r + source[e]]``, from ``out[place[r]]`` on.

    Row r has the entries e from ``begins[r]`` to ``begins[r + 1]``; where `begins` has two numbers, all rows have the
    same. To its entry number ``to[m]`` the sums m from ``sums[r]`` to ``sums[r + 1]`` add ``signs[m]`` times the number
    of the table at ``more[m]``. `scale` has one number a row, or one for all.
    """  # noqa: E501
    alike = 0 if begins.size == 2 else 1
    each = 0 if scale.size == 1 else 1
    for r in range(start, stop):
        s = scale[r * each]
        shift = step * r
        first = begins[r * alike]
        last = begins[r * alike + 1]
        pos = place[r]
        for k in range(last - first):
            out[np.uint64(pos + k)] = s * table[np.uint64(shift + source[np.uint64(first + k)])]
        for m in range(sums[r * alike], sums[r * alike + 1]):
            out[pos + to[m]] += s * signs[m] * table[shift + more[m]]
