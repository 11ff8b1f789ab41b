"""The diagonal blocks of JᴴWJ, one for each row of a variable: in closed form, or summed up row by row of J."""

import numpy as np

from matjac import kernels
from matjac.assembly import chunks, filler
from matjac.compose import blocks_of
from matjac.factors import Dense, Factor
from matjac.layout import NONE, Array, Shape, as_matrix
from matjac.maps import LinearMap, Sum
from matjac.terms import Term


def block_axis(shape: Shape, axis: int | None) -> tuple[int, tuple[int, int]]:
    """The axis along which that variable's blocks go, the shorter unless given; and how many of which size."""
    p, q = as_matrix(shape)
    along = (1 if q <= p else 0) if axis is None else axis
    return along, ((p, q) if along == 1 else (q, p))


def normal_blocks(linear: LinearMap, shapes: list[tuple[int, int]], weights: Array | None) -> list[Array]:
    """For each variable, a matrix (p, q) by rows, the p blocks of q × q."""
    blocks = blocks_of(linear)
    dtype = linear.dtype if weights is None else np.result_type(linear.dtype, weights)
    results = [np.zeros((p, q, q), dtype) for p, q in shapes]
    if len(blocks.widths) != len(shapes):
        # one stored matrix of all variables
        _add_rows(linear, weights, shapes, results)
        return results
    heights = np.cumsum([0, *blocks.heights])
    for band, first, last in zip(blocks.cells, heights[:-1], heights[1:], strict=True):
        part = None if weights is None else weights[first:last]
        for cell, shape, result in zip(band, shapes, results, strict=True):
            if cell is None:
                continue
            if part is None and isinstance(cell, Sum) and _is_closed(cell, shape):
                result += _closed_blocks(cell.terms)
            else:
                _add_rows(cell, part, [shape], [result])
    return results


def _is_closed(cell: Sum, shape: tuple[int, int]) -> bool:
    first = cell.terms[0].rows
    return all(
        term.closed
        and (term.u.shape[1], term.w.shape[1]) == shape
        and (term.rows.same(first) or term.rows.mirrors(first))
        for term in cell.terms
    )


def _closed_blocks(terms: tuple[Term, ...]) -> Array:
    total: Array = np.zeros(1)
    for s in terms:
        for t in terms:
            if s.rows.same(t.rows):
                # Σ_ij conj(u_s[i,k] w_s[j,a]) u_t[i,k] w_t[j,b] splits into a sum over i and one over j
                over_i = _column_products(s.u.conj, t.u)
                over_j = (s.w.conj.T @ t.w).toarray()
                total = total + over_i[:, None, None] * over_j
            else:
                # t reads (j, i) where s reads (i, j)
                over_j = (t.u.T @ s.w.conj).toarray()
                over_i = (s.u.conj.T @ t.w).toarray()
                total = total + over_j[:, :, None] * over_i[:, None, :]
    return total


def _column_products(a: Factor, b: Factor) -> Array:
    """``Σᵢ a[i, k] b[i, k]``."""
    first, second = a.matrix, b.matrix
    if isinstance(a, Dense) and isinstance(b, Dense):
        return np.einsum("ik,ik->k", first, second)  # type: ignore[no-any-return]
    if isinstance(a, Dense):
        first, second = second, first
    # ones are float32, their counts need more
    return np.asarray(first.multiply(second).sum(axis=0, dtype=np.result_type(first, second, np.float64)))


def _add_rows(linear: LinearMap, weights: Array | None, shapes: list[tuple[int, int]], results: list[Array]) -> None:
    """Add the outer products of the rows of J, which are made a few at a time."""
    fill = filler(linear)
    ends = np.cumsum([0, *[p * q for p, q in shapes]])
    kept = NONE.astype(float) if weights is None else weights
    for start, stop in chunks(fill, linear.shape[0]):
        indptr = fill.indptr(start, stop)
        indices, data = np.empty(int(indptr[-1]), np.int64), np.empty(int(indptr[-1]), linear.dtype)
        fill.columns(indices, start, stop)
        fill.values(data, start, stop)
        for left, right, (_, q), result in zip(ends[:-1], ends[1:], shapes, results, strict=True):
            columns, values, pointers = indices, data, indptr
            if len(shapes) > 1:
                mine = (indices >= left) & (indices < right)
                columns, values = indices[mine] - left, data[mine]
                pointers = np.concatenate([[0], np.cumsum(mine)])[indptr]
            kernels.add_row_blocks(values, values.conj(), columns, pointers, kept, q, result, start, stop)
