"""Linear recurrences of the first order: running products are made of them, and their derivatives are some."""

from typing import Any

import numpy as np

from matjac.kernels.decorator import kernel

A = Any  # an array; Numba infers the rest

# unsigned: see sddmm.py
u = np.uint64


@kernel
def recurrence(x: A, c: A, out: A, start: int, stop: int) -> None:
    """Fill rows ``start:stop`` with ``z[0] = c[0]`` and ``z[k] = x[k] · z[k − 1] + c[k]``.

    Rows have one entry or more.
    """
    for r in range(start, stop):
        z = c[u(r), u(0)]
        out[u(r - start), u(0)] = z
        for k in range(1, x.shape[1]):
            z = x[u(r), u(k)] * z + c[u(r), u(k)]
            out[u(r - start), u(k)] = z
