"""Terms of every kind, and sums of them, against matrices written from their definition."""

import numpy as np
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from matjac.assembly import filler
from matjac.compose import normal
from matjac.factors import Dense, Select, factor
from matjac.fill import Place
from matjac.maps import Sum
from matjac.rows import Grid, Listed
from matjac.terms import Term


def random_factor(draw, rng, rows, columns, kinds=("dense", "sparse", "select", "identity")):
    kind = draw(st.sampled_from(kinds))
    if kind == "identity" and rows == columns:
        return Select(rows)
    if kind == "select" and columns:
        return Select(columns, rng.integers(0, columns, rows))
    if kind == "sparse":
        return factor(sp.random_array((rows, columns), density=0.5, rng=rng, format="csr"))
    return Dense(rng.standard_normal((rows, columns)))


@st.composite
def sums(draw):
    """One to three terms on one variable, each whole or transposed, or all listed; some scaled."""
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    p, q, m, n = (draw(st.integers(0, 3)) for _ in range(4))
    listed = m > 0 and n > 0 and draw(st.booleans())
    count = draw(st.integers(0, 5)) if listed else m * n
    terms = []
    for _ in range(draw(st.integers(1, 3))):
        scale = rng.standard_normal(count) if draw(st.booleans()) else None
        if listed:
            f, g = rng.integers(0, m, count), rng.integers(0, n, count)
            rows, a, b = Listed(f, g), m, n
        else:
            swap = draw(st.booleans())
            rows, (a, b) = Grid(m, n, swap), ((n, m) if swap else (m, n))
        terms.append(Term(random_factor(draw, rng, a, p), random_factor(draw, rng, b, q), rows, scale))
    return Sum(terms)


def dense(total):
    """The matrix of a sum and the places of its entries, row by row from the definition."""
    matrix, places = np.zeros(total.shape), np.zeros(total.shape, bool)
    for term in total.terms:
        u, w = (f.toarray() for f in (term.u, term.w))
        for r in range(term.rows.count):
            if isinstance(term.rows, Listed):
                i, j = term.rows.f[r], term.rows.g[r]
            else:
                i, j = divmod(r, term.rows.n)
                if term.rows.swap:
                    i, j = j, i
            scale = 1.0 if term.scale is None else term.scale[r]
            matrix[r] += scale * np.kron(u[i], w[j])
            places[r] |= np.kron(u[i] != 0, w[j] != 0)
    return matrix, places


@given(sums())
def test_entries(total):
    matrix, places = dense(total)
    fill = filler(total)
    rows = total.shape[0]
    pointers = fill.indptr(0, rows)
    columns, values = np.empty(fill.nnz, np.int32), np.empty(fill.nnz)
    fill.columns(columns, 0, rows)
    fill.values(values, 0, rows)
    A = sp.csr_array((values, columns, pointers), shape=total.shape)
    assert A.has_canonical_format
    assert_allclose(A.toarray(), matrix, atol=1e-14)
    found = sp.csr_array((np.ones(A.nnz), columns, pointers), shape=total.shape).toarray() > 0
    assert_array_equal(found, places)
    assert [fill.offset(r) for r in range(rows + 1)] == pointers.tolist()


@given(sums(), st.data())
def test_ranges_of_rows_placed_apart(total, data):
    """Rows with a gap before each, as beside another variable's entries."""
    fill = filler(total)
    stop = data.draw(st.integers(0, total.shape[0]))
    start = data.draw(st.integers(0, stop))
    plain = fill.indptr(start, stop)
    close, apart = np.empty(plain[-1]), np.full(plain[-1] + 2 * (stop - start), np.nan)
    ptr = plain[:-1] + 2 * np.arange(1, stop - start + 1)
    for method in (fill.values, fill.columns):
        method(close, start, stop)
        method(apart, start, stop, Place(ptr=ptr))
        for r in range(stop - start):
            assert_array_equal(apart[ptr[r] : ptr[r] + plain[r + 1] - plain[r]], close[plain[r] : plain[r + 1]])
        assert np.isnan(apart).sum() == 2 * (stop - start)
        evenly = np.full(apart.size, np.nan)
        method(evenly[2:], start, stop, Place(gap=2))
        assert_array_equal(evenly, apart)


@given(sums(), st.sampled_from([(), (2,), (2, 3)]))
def test_products(total, batch):
    matrix, _ = dense(total)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((*batch, total.shape[1])), rng.standard_normal((*batch, total.shape[0]))
    assert_allclose(total.apply(x), x @ matrix.T, atol=1e-12)
    assert_allclose(total.apply_transposed(y), y @ matrix, atol=1e-12)


@given(sums())
def test_squared_norms(total):
    squares = total.squared_norms()
    if squares is not None:
        assert_allclose(squares, (dense(total)[0] ** 2).sum(axis=0), atol=1e-12)


@given(sums())
def test_transpose_of_closed_terms(total):
    if total.turns:
        assert_allclose(dense(total.transpose())[0], dense(total)[0].T, atol=1e-14)
        product = normal(total)
        assert_allclose(dense(product)[0], dense(total)[0].T @ dense(total)[0], atol=1e-12)
