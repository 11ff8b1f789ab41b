"""Products of a term whose rows are listed: a few entries of U·X·Wᵀ, and the adjoint.

One factor has multiplied X already; `h` holds that product row by row, and row r of the term is the scalar
product of h's row ``left[r]`` with the other factor's row ``right[r]``, stored as in `kron_values`.
"""

from functools import partial
from typing import Any

import numpy as np

from matjac.kernels.decorator import kernel

A = Any  # an array; Numba infers the rest

# Unsigned indices need no test for negative ones, and the loops over them become vector ones (twice as fast at
# rank 10). They are made of signed sums by `u`: a sum of both kinds would be a float.
u = np.uint64


@partial(kernel, reassociate=True)
def sampled_dot(
    h: A,
    left: A,
    values: A,
    indices: A,
    ptr: A,
    step: int,
    size: int,
    right: A,
    add: bool,
    out: A,
    start: int,
    stop: int,
) -> None:
    """Fill ``out[r] = h[left[r]] · w[right[r]]`` for rows ``start:stop``, from out's beginning, or add it there.

    `indices` is empty where a row of w is dense, or one entry of the identity.
    """
    ragged = ptr.size > 0
    listed = indices.size > 0
    zero = out.dtype.type(0)
    for r in range(start, stop):
        i = u(left[r])
        j = right[r]
        at = j * step
        n = size
        if ragged:
            at = ptr[j]
            n = ptr[j + 1] - at
        total = zero
        if listed:
            for k in range(n):
                total += h[i, u(indices[u(at + k)])] * values[u(at + k)]
        elif step == 0 and size == 1:
            total = h[i, u(j)]
        else:
            for k in range(n):
                total += h[i, u(k)] * values[u(at + k)]
        if add:
            total += out[r - start]
        out[r - start] = total


@kernel
def sampled_outer(
    y: A,
    order: A,
    group: A,
    values: A,
    indices: A,
    ptr: A,
    step: int,
    size: int,
    right: A,
    h: A,
    start: int,
    stop: int,
) -> None:
    """Add ``y[order[m]] * w[right[m]]`` to h's row i for m in ``group[i]:group[i + 1]``: the adjoint.

    For i in ``start:stop``. `right` is in the order of the groups.
    """
    ragged = ptr.size > 0
    listed = indices.size > 0
    for i in range(start, stop):
        for m in range(group[i], group[i + 1]):
            c = y[u(order[u(m)])]
            j = right[u(m)]
            at = j * step
            n = size
            if ragged:
                at = ptr[j]
                n = ptr[j + 1] - at
            if listed:
                for k in range(n):
                    h[u(i), u(indices[u(at + k)])] += c * values[u(at + k)]
            elif step == 0 and size == 1:
                h[u(i), u(j)] += c
            else:
                for k in range(n):
                    h[u(i), u(k)] += c * values[u(at + k)]
