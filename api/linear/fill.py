"""What sparse factors will take in memory, by their pattern alone."""

from typing import Any, Literal, TypeAlias

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import spilu

from matjac import kernels, memory
from matjac.conventions import Array

#: SuperLU's names: minimum degree of a symmetric matrix, and of the normal matrix of any other.
Rule: TypeAlias = Literal["MMD_AT_PLUS_A", "COLAMD"]
#: Bytes of an entry of L and its mirror image in U.
EACH = 24
#: Rows that are counted before a look at the sum.
BLOCK = 1 << 12


def require_factors(matrix: Any, rule: Rule = "MMD_AT_PLUS_A") -> None:
    """Raise MemoryError where the factors of a square csc_array would not fit, before any is made.

    The entries are counted as if every pivot were on the diagonal, in the order that SuperLU finds by `rule`. A matrix
    that is not symmetric is taken with its transpose.
    """
    n = matrix.shape[0]
    # most need no count
    if memory.fits(EACH // 2 * n * (n + 1)):
        return
    place = _places(matrix, rule)
    if rule == "COLAMD":
        ones = _valued(matrix, 1.0)
        matrix = (ones + ones.T).tocsc()
    order = np.empty(n, np.int64)
    order[place] = np.arange(n)
    parent, mark, counts, entries = np.full(n, -1), np.full(n, -1), np.empty(BLOCK, np.int64), 0
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        kernels.count_factor(matrix.indptr, matrix.indices, order, place, parent, mark, counts, start, stop)
        entries += int(counts[: stop - start].sum())
        memory.require(f"sparse factors of {n:,} unknowns, of more than {entries:,} entries", EACH * entries)


def _places(matrix: Any, rule: Rule) -> Array:
    """The place of each unknown in SuperLU's order."""
    # it hands its order out with factors alone: these drop all but the diagonal
    lifted = _valued(matrix, 1.0) + matrix.shape[0] * sp.eye_array(matrix.shape[0])
    return spilu(lifted.tocsc(), 1.0, 1.0, permc_spec=rule).perm_c.astype(np.int64)  # type: ignore[no-any-return]


def _valued(matrix: Any, value: float) -> Any:
    data = np.full(matrix.indices.size, value)
    return sp.csc_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)
