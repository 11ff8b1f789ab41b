"""The case split of RᵀR: two terms whose rows interleave.

Row (i, j) of ``dXᵀ·B + A·dX`` (X with q columns, A and B with X's number of rows as their inner size) has
B's column j at the columns (·, i) of dX and A's row i at the columns (·, j); where i = j they add up.
With ``a = Bᵀ`` and ``b = A``, both stored row after row, RᵀR is ``a = b = Rᵀ``. RRᵀ, and RᵀR column by column,
have the same two rows as *blocks*, one after the other at the columns (i, ·) and (j, ·), instead of interleaved.
"""

from typing import Any

import numpy as np

from matjac.kernels.decorator import kernel

A = Any  # an array; Numba infers the rest
ZERO, ONE, TWO, THREE, FOUR = (np.uint64(k) for k in range(5))


@kernel
def casesplit_values(
    ab: A, shift: int, blocks: bool, scale: A, f: A, g: A, n: int, ptr: A, gap: int, out: A, start: int, stop: int
) -> None:
    """Fill the values of rows ``start:stop``.

    `ab` has the rows of a and, from row `shift` on, those of b (0 where a is b): one array and one loop,
    for LLVM writes interleaved vectors then, but not for two. `scale` has one entry a row, or one for all.
    """
    listed = f.size > 0
    placed = ptr.size > 0
    step = 0 if scale.size == 1 else 1
    # unsigned indices in the inner loops: see kron.py
    size = np.uint64(ab.shape[1])
    jump = np.uint64(gap)
    pos = np.uint64(0)
    # a loop over so few entries takes twice as long as its entries one by one
    short = ZERO < size <= FOUR
    i = 0
    j = -1
    if not listed and n > 0:
        i = start // n
        j = start - i * n - 1
    for r in range(start, stop):
        if listed:
            i = f[r]
            j = g[r]
        else:
            j += 1
            if j == n:
                j = 0
                i += 1
        if placed:
            pos = np.uint64(ptr[r - start])
        s = scale[r * step]
        # the smaller of i and j is the first column, and its values are the other one's row
        lo = np.uint64(j if i <= j else shift + i)
        hi = np.uint64(shift + i if i <= j else j)
        if i == j:
            for k in range(size):
                out[pos + k] = s * (ab[lo, k] + ab[hi, k])
            pos += size
        elif blocks and short:
            out[pos] = s * ab[lo, ZERO]
            if size > ONE:
                out[pos + ONE] = s * ab[lo, ONE]
            if size > TWO:
                out[pos + TWO] = s * ab[lo, TWO]
            if size > THREE:
                out[pos + THREE] = s * ab[lo, THREE]
            pos += size
            out[pos] = s * ab[hi, ZERO]
            if size > ONE:
                out[pos + ONE] = s * ab[hi, ONE]
            if size > TWO:
                out[pos + TWO] = s * ab[hi, TWO]
            if size > THREE:
                out[pos + THREE] = s * ab[hi, THREE]
            pos += size
        elif blocks:
            for k in range(size):
                out[pos + k] = s * ab[lo, k]
            pos += size
            for k in range(size):
                out[pos + k] = s * ab[hi, k]
            pos += size
        else:
            for k in range(size):
                out[pos + k + k] = s * ab[lo, k]
                out[pos + k + k + ONE] = s * ab[hi, k]
            pos += size + size
        pos += jump


@kernel
def casesplit_columns(
    size: int, q: int, blocks: bool, f: A, g: A, n: int, base: int, ptr: A, gap: int, out: A, start: int, stop: int
) -> None:
    """Fill the sorted column indices of rows ``start:stop``; the factors have ``size`` columns, X has ``q``."""
    listed = f.size > 0
    placed = ptr.size > 0
    i = 0
    j = 0
    pos = 0
    for r in range(start, stop):
        if listed:
            i = f[r]
            j = g[r]
        else:
            i = r // n
            j = r - i * n
        if placed:
            pos = ptr[r - start]
        # entry k of the row's first factor: its column, and the way to the next
        lo = base + (min(i, j) * q if blocks else min(i, j))
        hi = base + (max(i, j) * q if blocks else max(i, j))
        step = 1 if blocks else q
        if i == j:
            o = out[pos : pos + size]
            for k in range(size):
                o[k] = lo + k * step
            pos += size + gap
        else:
            o = out[pos : pos + 2 * size]
            if blocks:
                for k in range(size):
                    o[k] = lo + k
                    o[size + k] = hi + k
            else:
                for k in range(size):
                    o[2 * k] = lo + k * q
                    o[2 * k + 1] = hi + k * q
            pos += 2 * size + gap
