"""Diagonal blocks of JᵀWJ from the rows of J: what a block-Jacobi preconditioner is made of."""

from typing import Any

import numpy as np

from matjac.kernels.decorator import kernel

A = Any  # an array; Numba infers the rest

# unsigned: see sampled.py
u = np.uint64


@kernel
def add_row_blocks(
    data: A, conj: A, indices: A, indptr: A, weights: A, size: int, out: A, start: int, stop: int
) -> None:
    """Add to ``out[b]`` the outer product of each row's part in block b of `size` columns, for rows ``start:stop``.

    Row r's entries are those from ``indptr[r - start]``, sorted by column; `weights` (one a row, from the first of
    all) may be empty for ones.
    """
    for r in range(start, stop):
        stop_row = indptr[r - start + 1]
        first = indptr[r - start]
        while first < stop_row:
            block = indices[first] // size
            last = first + 1
            while last < stop_row and indices[last] // size == block:
                last += 1
            base = block * size
            for j in range(first, last):
                c = conj[j]
                if weights.size > 0:
                    c *= weights[r]
                row = indices[j] - base
                for k in range(first, last):
                    out[u(block), u(row), u(indices[u(k)] - base)] += c * data[u(k)]
            first = last
