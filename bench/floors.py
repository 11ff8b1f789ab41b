"""Floors: the least that any code could do in the same place, with the same threads."""

import numba
import numpy as np

from matjac.conventions import index_dtype
from matjac.threads import split


@numba.njit(nogil=True)
def _write(out):
    # from 0 on, so that Numba needs no test for indices from the end, and writes whole vectors
    for k in range(out.size):
        out[k] = 1


def write(out):
    """Write every entry of an array, in as many threads as a fill of it would take."""
    split(lambda start, stop: _write(out[start:stop]), 0, out.size, out.size)


def write_fresh(J):
    """Write a matrix of J's size into memory that no one has touched: values, indices and row pointers."""
    index = index_dtype(*J.shape, J.nnz)
    parts = np.empty(J.nnz, J.dtype), np.empty(J.nnz, index), np.empty(J.shape[0] + 1, index)
    for part in parts:
        write(part)
    return parts
