"""What sparse factors will take in memory, by their pattern alone."""

from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import spilu

from matjac import kernels, memory
from matjac.conventions import Array

#: Bytes of an entry of L, and of its mirror image in U where a library keeps that too.
LOWER, BOTH = 12, 24
#: Rows that are counted before a look at the sum.
BLOCK = 1 << 12


def require_factors(matrix: Any, each: int = BOTH) -> None:
    """Raise MemoryError where the factors of a symmetric csc_array would not fit, before any is made.

    Their entries, of so many bytes, are counted in an order of minimum degree, as if every pivot were on the diagonal.
    """
    n = matrix.shape[0]
    # most need no count
    if memory.fits(each * n * (n + 1) // 2):
        return
    place, order = _places(matrix), np.empty(n, np.int64)
    order[place] = np.arange(n)
    parent, mark, counts, entries = np.full(n, -1), np.full(n, -1), np.empty(BLOCK, np.int64), 0
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        kernels.count_factor(matrix.indptr, matrix.indices, order, place, parent, mark, counts, start, stop)
        entries += int(counts[: stop - start].sum())
        what = f"sparse factors of {n:,} unknowns, of more than {entries:,} entries"
        memory.require(what, each * entries, "products alone (jac='operator' in solvers) take less")


def _places(matrix: Any) -> Array:
    """The place of each unknown in SuperLU's order of minimum degree."""
    # it hands its order out with factors alone: these drop all but the diagonal
    n = matrix.shape[0]
    ones = sp.csc_array((np.ones(matrix.indices.size), matrix.indices, matrix.indptr), shape=matrix.shape)
    factors = spilu((ones + n * sp.eye_array(n)).tocsc(), 1.0, 1.0, permc_spec="MMD_AT_PLUS_A")
    return factors.perm_c.astype(np.int64)  # type: ignore[no-any-return]
