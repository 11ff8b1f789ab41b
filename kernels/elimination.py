"""How many entries the Cholesky factor of a sparse matrix will have, from its pattern alone."""

from typing import Any

from matjac.kernels.decorator import kernel

A = Any  # an array; Numba infers the rest


@kernel
def count_factor(
    indptr: A, indices: A, order: A, place: A, parent: A, mark: A, counts: A, start: int, stop: int
) -> None:
    """Fill ``counts[i - start]`` with the entries of row i of L, ``LLᵀ = PAPᵀ``, its diagonal included.

    Row i of ``PAPᵀ`` is column ``order[i]`` of the symmetric A, whose entries are at ``place[indices]``. L has an entry
    at (i, j) where j is on the way from an entry of that row towards i in the elimination tree (Liu 1986).

    Ranges of rows are to be counted one after the other from the first: ``parent`` is the tree so far, and `mark` the
    row in which each was met last; both are -1 before.
    """
    for i in range(start, stop):
        mark[i] = i
        count = 1
        column = order[i]
        for e in range(indptr[column], indptr[column + 1]):
            j = place[indices[e]]
            while j < i and mark[j] != i:
                mark[j] = i
                count += 1
                if parent[j] < 0:
                    parent[j] = i
                j = parent[j]
        counts[i - start] = count
