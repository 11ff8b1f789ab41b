"""Stacks of small symmetric positive definite systems: factors A + D = LLᵀ, and solutions by them."""

from functools import partial
from typing import Any

import numpy as np

from matjac.kernels.decorator import kernel

A = Any  # an array; Numba infers the rest

# unsigned: see sddmm.py
u = np.uint64


@partial(kernel, reassociate=True)
def cholesky_factor(blocks: A, shift: A, out: A, failed: A, start: int, stop: int) -> None:
    """Fill the lower triangle of ``out[b]`` with L for ``blocks[b] + diag(shift[b])``, b in ``start:stop``.

    Of a block the lower triangle alone is read, and ``out`` may be ``blocks``. On L's diagonal stand the inverses of
    its entries, for a solution multiplies by them. An axis of `shift` (blocks, rows) may have length one for all
    alike. ``failed[b]`` is 0, or the number, from 1, of the first pivot that is not positive and finite, and
    then rows of L from there on are not made.
    """
    zero = out.dtype.type(0)
    one = out.dtype.type(1)
    for at in range(start, stop):
        b = u(at)
        lift = u(at if shift.shape[0] > 1 else 0)
        failed[b] = 0
        for i in range(blocks.shape[1]):
            # four entries of a row at once share the row's loads
            j = 0
            while j + 4 <= i:
                t0 = zero
                t1 = zero
                t2 = zero
                t3 = zero
                for k in range(j):
                    x = out[b, u(i), u(k)]
                    t0 += x * out[b, u(j), u(k)]
                    t1 += x * out[b, u(j + 1), u(k)]
                    t2 += x * out[b, u(j + 2), u(k)]
                    t3 += x * out[b, u(j + 3), u(k)]
                t0 = (blocks[b, u(i), u(j)] - t0) * out[b, u(j), u(j)]
                t1 = (blocks[b, u(i), u(j + 1)] - t1 - t0 * out[b, u(j + 1), u(j)]) * out[b, u(j + 1), u(j + 1)]
                t2 = blocks[b, u(i), u(j + 2)] - t2 - t0 * out[b, u(j + 2), u(j)] - t1 * out[b, u(j + 2), u(j + 1)]
                t2 *= out[b, u(j + 2), u(j + 2)]
                t3 = blocks[b, u(i), u(j + 3)] - t3 - t0 * out[b, u(j + 3), u(j)] - t1 * out[b, u(j + 3), u(j + 1)]
                t3 = (t3 - t2 * out[b, u(j + 3), u(j + 2)]) * out[b, u(j + 3), u(j + 3)]
                out[b, u(i), u(j)] = t0
                out[b, u(i), u(j + 1)] = t1
                out[b, u(i), u(j + 2)] = t2
                out[b, u(i), u(j + 3)] = t3
                j += 4
            while j < i:
                t0 = blocks[b, u(i), u(j)]
                for k in range(j):
                    t0 -= out[b, u(i), u(k)] * out[b, u(j), u(k)]
                out[b, u(i), u(j)] = t0 * out[b, u(j), u(j)]
                j += 1
            pivot = blocks[b, u(i), u(i)] + shift[lift, u(i if shift.shape[1] > 1 else 0)]
            for k in range(i):
                pivot -= out[b, u(i), u(k)] * out[b, u(i), u(k)]
            if not (pivot > 0 and pivot < np.inf):
                failed[b] = i + 1
                break
            out[b, u(i), u(i)] = one / np.sqrt(pivot)


@partial(kernel, reassociate=True)
def cholesky_solve(factors: A, failed: A, right: A, lower: bool, upper: bool, out: A, start: int, stop: int) -> None:
    """Fill ``out[b]`` with L⁻ᵀL⁻¹ ``right[b]``, vectors, for b in ``start:stop``; one factor alone if so.

    `factors` and `failed` are as `cholesky_factor` made them; what failed has NaN. ``out`` may be ``right``.
    """
    q = factors.shape[1]
    for at in range(start, stop):
        b = u(at)
        if failed[b] != 0:
            for i in range(q):
                out[b, u(i)] = np.nan
            continue
        for i in range(q):
            total = right[b, u(i)]
            if lower:
                for k in range(i):
                    total -= factors[b, u(i), u(k)] * out[b, u(k)]
                total *= factors[b, u(i), u(i)]
            out[b, u(i)] = total
        if upper:
            for i in range(q - 1, -1, -1):
                total = out[b, u(i)] * factors[b, u(i), u(i)]
                out[b, u(i)] = total
                for k in range(i):
                    out[b, u(k)] -= total * factors[b, u(i), u(k)]


@kernel
def cholesky_solve_columns(
    factors: A, failed: A, right: A, lower: bool, upper: bool, out: A, start: int, stop: int
) -> None:
    """Fill ``out[b]`` as `cholesky_solve` does, for matrices ``right[b]``, of as many columns as `out`."""
    q = factors.shape[1]
    for at in range(start, stop):
        b = u(at)
        for i in range(q):
            for c in range(out.shape[2]):
                out[b, u(i), u(c)] = right[b, u(i), u(c)] if failed[b] == 0 else np.nan
        if failed[b] != 0:
            continue
        if lower:
            for i in range(q):
                for k in range(i):
                    x = factors[b, u(i), u(k)]
                    for c in range(out.shape[2]):
                        out[b, u(i), u(c)] -= x * out[b, u(k), u(c)]
                for c in range(out.shape[2]):
                    out[b, u(i), u(c)] *= factors[b, u(i), u(i)]
        if upper:
            for i in range(q - 1, -1, -1):
                for c in range(out.shape[2]):
                    out[b, u(i), u(c)] *= factors[b, u(i), u(i)]
                for k in range(i):
                    x = factors[b, u(i), u(k)]
                    for c in range(out.shape[2]):
                        out[b, u(k), u(c)] -= x * out[b, u(i), u(c)]
