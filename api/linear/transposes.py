"""The transpose of a term, where it is a term again: of all of ``U·dX·Wᵀ``, and of a scaled permutation."""

import numpy as np
import scipy.sparse as sp

from matjac.conventions import canonical
from matjac.linear.factors import Dense, Eye, Factor, Sparse
from matjac.linear.rowmap import counting, grid_of
from matjac.linear.terms import Term, Terms, entries_of


def pairs_of(term: Term) -> tuple[int, int, bool] | None:
    """(m, n, swapped) where the rows are all pairs of a row of u and a row of w, once each and in order."""
    grid = grid_of(term.f, term.g)
    first, second = (term.w, term.u) if grid and grid[2] else (term.u, term.w)
    return grid if grid and grid[:2] == (first.shape[0], second.shape[0]) else None


def transposed(terms: Terms, term: Term) -> Term | None:
    """The transposed term, whose columns are the entries of the m × n array of rows."""
    grid = pairs_of(term)
    if grid is None:
        return None
    m, n, swap = grid
    p, q = term.u.shape[1], term.w.shape[1]
    rows, columns = counting((p, q), [0]), counting((p, q), [1])
    if term.scale is not None and not (isinstance(term.u, Eye) and isinstance(term.w, Eye)):
        return None
    scale = terms.values.regrid(term.scale, term.shape, (m, n))
    if scale is not None:
        scale = terms.values.pad(scale, 2)
        scale = terms.values.transpose(scale, (1, 0)) if swap else scale
    u, w = transposed_factor(terms, term.u), transposed_factor(terms, term.w)
    return Term(w, columns, u, rows, scale) if swap else Term(u, rows, w, columns, scale)


def transposed_factor(terms: Terms, factor: Factor) -> Factor:
    """The transposed factor."""
    values, (m, n) = terms.values, factor.shape
    if isinstance(factor, Dense):
        matrix = values.reshape(factor.value, factor.shape)
        return Dense((n, m), value=values.transpose(matrix, (1, 0)))
    if isinstance(factor, Sparse):
        numbers = np.arange(factor.nnz, dtype=float)
        places = canonical(sp.csr_array((numbers, factor.indices, factor.pointers), shape=factor.shape).T)
        data = values.take(entries_of(values, factor), places.data.astype(np.int64), (factor.nnz,))
        return Sparse((n, m), data, places.indptr.astype(np.int64), places.indices.astype(np.int64))
    return factor
