"""Jacobians of many separate problems as a stack of dense blocks, and the normal equations of each."""

from functools import partial
from typing import Any

import numpy as np

from matjac.kernels.decorator import kernel

A = Any  # an array; Numba infers the rest

# unsigned: see sddmm.py
u = np.uint64


@kernel
def add_entries(places: A, source: A, out: A, start: int, stop: int) -> None:
    """Add ``source[k]`` to ``out[places[k]]`` for k in ``start:stop``."""
    for k in range(start, stop):
        out[u(places[k])] += source[k]


@kernel
def add_products(places: A, source: A, positions: A, scale: A, of: A, out: A, start: int, stop: int) -> None:
    """Add ``source[positions[k]] * scale[of[k]]`` to ``out[places[k]]`` for k in ``start:stop``; no scale is one."""
    for k in range(start, stop):
        x = source[u(positions[k])]
        if of.size > 0:
            x = x * scale[u(of[k])]
        out[u(places[k])] += x


@partial(kernel, reassociate=True)
def normal_equations(J: A, y: A, which: A, out: A, gradient: A, start: int, stop: int) -> None:
    """Fill the lower triangle of ``out[b]`` with ``J[b] J[b]ᵀ``, and ``gradient[b]`` with ``J[b] y[b]``.

    ``J[b]`` has a row for each unknown of problem b. Of ``start:stop``, problems where `which` is false are left alone.
    """
    zero = out.dtype.type(0)
    for at in range(start, stop):
        b = u(at)
        if not which[b]:
            continue
        for i in range(J.shape[1]):
            # four sums at once share the row's loads; at the end of a row some are made twice
            for j in range(0, i + 1, 4):
                j1 = min(j + 1, i)
                j2 = min(j + 2, i)
                j3 = min(j + 3, i)
                t0 = zero
                t1 = zero
                t2 = zero
                t3 = zero
                for r in range(J.shape[2]):
                    x = J[b, u(i), u(r)]
                    t0 += x * J[b, u(j), u(r)]
                    t1 += x * J[b, u(j1), u(r)]
                    t2 += x * J[b, u(j2), u(r)]
                    t3 += x * J[b, u(j3), u(r)]
                out[b, u(i), u(j)] = t0
                out[b, u(i), u(j1)] = t1
                out[b, u(i), u(j2)] = t2
                out[b, u(i), u(j3)] = t3
            total = zero
            for r in range(J.shape[2]):
                total += J[b, u(i), u(r)] * y[b, u(r)]
            gradient[b, u(i)] = total
