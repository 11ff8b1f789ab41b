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


@kernel
def pick_products(
    a: A, b: A, f: A, g: A, scale: A, lo: A, hi: A, mirrored: int, place: A, out: A, start: int, stop: int
) -> None:
    """Fill rows ``start:stop``, row r from ``out[place[r]]`` on, with products of two rows.

    They are row ``f[r]`` of `a` and row ``g[r]`` of `b`. For each p there is one entry for each q from ``lo[p]`` to
    ``hi[p]``: ``scale[r] * a[f[r], p] * b[g[r], q]``. Where `mirrored` is 1 or -1 the product of q and p is added, or
    subtracted, unless q is p. `scale` has one number a row, or one for all.
    """
    each = 0 if scale.size == 1 else 1
    for r in range(start, stop):
        s = scale[r * each]
        x = a[f[r]]
        y = b[g[r]]
        # indices are unsigned, and no run is a view of its own: runs are short, and loops are three times as fast so
        pos = u(place[r])
        for p in range(lo.size):
            first = u(lo[p])
            last = u(hi[p])
            c = s * x[p]
            if mirrored == 0:
                for q in range(first, last):
                    out[pos + q - first] = c * y[q]
            else:
                d = s * y[p] if mirrored > 0 else -s * y[p]
                for q in range(first, last):
                    out[pos + q - first] = c * y[q] + d * x[q]
                if first <= u(p) < last:
                    out[pos + u(p) - first] = c * y[p]
            pos += last - first
