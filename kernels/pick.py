"""Entries picked from a table of numbers: the columns of a structured unknown's free entries."""

from typing import Any

import numpy as np

from matjac.kernels.decorator import kernel

A = Any  # an array; Numba infers the rest
u = np.uint64


@kernel
def pick_values(
    table: A, step: int, source: A, turned: A, begins: A, to: A, more: A, signs: A, sums: A, scale: A, place: A, out: A,
    start: int, stop: int,
) -> None:  # fmt: skip
    """Fill rows ``start:stop``, row r from ``out[place[r]]`` on: entry e is ``scale[r] * table[step * r + source[e]]``.

    Row r has the entries e from ``begins[r]`` to ``begins[r + 1]``; where `begins` has two numbers, all rows have the
    same. To its entry number ``to[m]`` the sums m from ``sums[r]`` to ``sums[r + 1]`` add ``signs[m]`` times the number
    of the table at ``more[m]``. `scale` has one number a row, or one for all; `turned` has the entries' signs, or none.
    """
    alike = 0 if begins.size == 2 else 1
    each = 0 if scale.size == 1 else 1
    for r in range(start, stop):
        s = scale[r * each]
        first = begins[r * alike]
        last = begins[r * alike + 1]
        # unsigned indices need no test for negative ones: the sums are twice as fast
        row = out[place[r] : place[r] + last - first]
        numbers = table[step * r :]
        if turned.size:
            for k in range(last - first):
                row[u(k)] = s * turned[u(first + k)] * numbers[u(source[u(first + k)])]
        else:
            for k in range(last - first):
                row[u(k)] = s * numbers[u(source[u(first + k)])]
        for m in range(sums[r * alike], sums[r * alike + 1]):
            row[u(to[u(m)])] += s * signs[u(m)] * numbers[u(more[u(m)])]
