"""Linear recurrences of the first order: running products are made of them, and their derivatives are some."""

from typing import Any

import numpy as np

from matjac.kernels.decorator import kernel

A = Any  # an array; Numba infers the rest

# unsigned: see sddmm.py
u = np.uint64


@kernel
def recurrence(x: A, c: A, out: A, start: int, stop: int) -> None:
    """Fill rows ``start:stop`` with ``z[k] = x[k] · z[k − 1] + c[k]``, where ``z[−1]`` is zero."""
    for r in range(start, stop):
        z = out[u(0), u(0)] * 0
        for k in range(x.shape[1]):
            z = x[u(r), u(k)] * z + c[u(r), u(k)]
            out[u(r - start), u(k)] = z
