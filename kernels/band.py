"""The normal matrix of sparse rows, as a band."""

from typing import Any

import numpy as np

from matjac.kernels.decorator import kernel

A = Any  # an array; Numba infers the rest

# unsigned: see sddmm.py
u = np.uint64


@kernel
def band_sums(data: A, indptr: A, indices: A, place: A, out: A, start: int, stop: int) -> None:
    """Add the products of the entries of rows ``start:stop`` to ``out[i - j, j]``, i ≥ j being the columns' places."""
    for r in range(start, stop):
        first = indptr[u(r)]
        for e in range(first, indptr[u(r + 1)]):
            x = data[u(e)]
            i = place[u(indices[u(e)])]
            for f in range(first, e + 1):
                j = place[u(indices[u(f)])]
                out[u(abs(i - j)), u(min(i, j))] += x * data[u(f)]
