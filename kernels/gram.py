"""Σ c w wᵀ over the rows of a matrix that belong to each block: the blocks of alternating least squares."""

from functools import partial
from typing import Any

import numpy as np

from matjac.kernels.decorator import kernel

A = Any  # an array; Numba infers the rest

# unsigned: see sddmm.py
u = np.uint64


@partial(kernel, reassociate=True)
def gram_blocks(
    w: A, group: A, others: A, order: A, weights: A, coef: A, turned: A, out: A, start: int, stop: int
) -> None:
    """Add to ``out[b]``, symmetric, ``c wᵀw`` of the rows ``w[others[m]]``, m in ``group[b]:group[b + 1]``.

    c is ``weights[order[m]]``; `weights` may be empty for ones. `coef` (n) and `turned` (columns of w, n), with n a
    multiple of 8, are room to work in, a thread's own.
    """
    zero = out.dtype.type(0)
    one = out.dtype.type(1)
    q = out.shape[1]
    for at in range(start, stop):
        b = u(at)
        first = group[b]
        while first < group[b + 1]:
            # rows are gathered as columns, so that each entry of the block is a dot product of contiguous vectors
            count = min(turned.shape[1], group[b + 1] - first)
            full = (count + 7) // 8 * 8
            for r in range(count):
                row = u(others[u(first + r)])
                coef[u(r)] = weights[u(order[u(first + r)])] if weights.size > 0 else one
                for k in range(q):
                    turned[u(k), u(r)] = w[row, u(k)]
            for r in range(count, full):
                coef[u(r)] = zero
                for k in range(q):
                    turned[u(k), u(r)] = zero
            # eight entries at once are as many vector sums as hide a multiplication's latency
            for i in range(0, q, 2):
                i1 = min(i + 1, q - 1)
                for j in range(0, i1 + 1, 4):
                    j1 = min(j + 1, q - 1)
                    j2 = min(j + 2, q - 1)
                    j3 = min(j + 3, q - 1)
                    a0 = zero
                    a1 = zero
                    a2 = zero
                    a3 = zero
                    b0 = zero
                    b1 = zero
                    b2 = zero
                    b3 = zero
                    for r in range(full):
                        c = coef[u(r)]
                        x = turned[u(i), u(r)] * c
                        y = turned[u(i1), u(r)] * c
                        z0 = turned[u(j), u(r)]
                        z1 = turned[u(j1), u(r)]
                        z2 = turned[u(j2), u(r)]
                        z3 = turned[u(j3), u(r)]
                        a0 += x * z0
                        a1 += x * z1
                        a2 += x * z2
                        a3 += x * z3
                        b0 += y * z0
                        b1 += y * z1
                        b2 += y * z2
                        b3 += y * z3
                    # what is above the diagonal is copied from below it afterwards
                    out[b, u(i), u(j)] += a0
                    if j1 > j:
                        out[b, u(i), u(j1)] += a1
                    if j2 > j1:
                        out[b, u(i), u(j2)] += a2
                    if j3 > j2:
                        out[b, u(i), u(j3)] += a3
                    if i1 > i:
                        out[b, u(i1), u(j)] += b0
                        if j1 > j:
                            out[b, u(i1), u(j1)] += b1
                        if j2 > j1:
                            out[b, u(i1), u(j2)] += b2
                        if j3 > j2:
                            out[b, u(i1), u(j3)] += b3
            first += count
        for i in range(q):
            for j in range(i):
                out[b, u(j), u(i)] = out[b, u(i), u(j)]
