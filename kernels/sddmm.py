"""Some entries of a product of two dense matrices (sampled dense-dense product); its adjoint, sparse times dense."""

from functools import partial
from typing import Any

import numpy as np

from matjac.kernels.decorator import kernel

A = Any  # an array; Numba infers the rest

# Unsigned indices need no test for negative ones, and the loops over them become vector ones (twice as fast at
# rank 10). They are made of signed sums by `u`: a sum of both kinds would be a float.
u = np.uint64


@partial(kernel, reassociate=True)
def sddmm(a: A, b: A, rows: A, columns: A, out: A, start: int, stop: int) -> None:
    """Fill ``out[r] = a[rows[r]] · b[columns[r]]`` for entries ``start:stop``, from out's beginning."""
    zero = out.dtype.type(0)
    for r in range(start, stop):
        i = u(rows[r])
        j = u(columns[r])
        total = zero
        for k in range(a.shape[1]):
            total += a[i, u(k)] * b[j, u(k)]
        out[r - start] = total


@kernel
def spmm(y: A, order: A, group: A, b: A, others: A, out: A, start: int, stop: int) -> None:
    """Add ``y[order[m]] * b[others[m]]`` to ``out[i]`` for m in ``group[i]:group[i + 1]``, i in ``start:stop``."""
    for i in range(start, stop):
        for m in range(group[i], group[i + 1]):
            c = y[u(order[u(m)])]
            j = u(others[u(m)])
            for k in range(b.shape[1]):
                out[u(i), u(k)] += c * b[j, u(k)]
