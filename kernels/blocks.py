"""Diagonal blocks of JᵀWJ, and products with such blocks: what a block-Jacobi preconditioner is made of."""

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


@kernel
def block_products(blocks: A, x: A, out: A, start: int, stop: int) -> None:
    """Fill ``out[b] = blocks[b] @ x[b]`` for blocks ``start:stop``, from out's beginning."""
    zero = out.dtype.type(0)
    for b in range(start, stop):
        for i in range(blocks.shape[1]):
            total = zero
            for j in range(blocks.shape[2]):
                total += blocks[u(b), u(i), u(j)] * x[u(b), u(j)]
            out[b - start, i] = total
