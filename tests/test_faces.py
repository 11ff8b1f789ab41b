"""Every face of a Jacobian against its dense matrix."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse.linalg import aslinearoperator
from strategies import cases

import matjac as mj


def random(rng, *shape, dtype):
    a = rng.standard_normal(shape)
    return a + 1j * rng.standard_normal(shape) if np.dtype(dtype).kind == "c" else a


def close(actual, expected, case):
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    assert actual.shape == expected.shape
    assert_allclose(actual, expected, rtol=0, atol=20 * case.tolerance * scale)


@given(cases())
def test_csr_is_canonical(case):
    J = case.jacobian
    A = J.tocsr()
    assert isinstance(A, sp.csr_array)
    assert A.dtype == J.dtype
    assert A.indices.dtype == A.indptr.dtype == np.int32
    fresh = sp.csr_array((A.data, A.indices, A.indptr), shape=A.shape)
    fresh.check_format(full_check=True)
    assert fresh.has_sorted_indices
    assert fresh.has_canonical_format
    assert A.data.nbytes + A.indices.nbytes + A.indptr.nbytes == J.nbytes


@given(cases())
def test_formats_agree(case):
    J = case.jacobian
    D = J.tocsr().toarray()
    for other, kind in ((J.tocsc(), sp.csc_array), (J.tocoo(), sp.coo_array), (J.tobsr(), sp.bsr_array)):
        assert isinstance(other, kind)
        assert other.dtype == J.dtype
        assert_array_equal(other.toarray(), D)
    assert_array_equal(J.toarray(), D)
    assert J.tocsc().nnz == J.nnz
    fresh = J.tocsc()
    fresh = sp.csc_array((fresh.data, fresh.indices, fresh.indptr), shape=fresh.shape)
    assert fresh.has_canonical_format


@given(cases())
def test_structure_and_fill(case):
    J = case.jacobian
    A = J.tocsr()
    indptr, indices = J.structure()
    rows, columns = J.coo_structure()
    assert_array_equal(indptr, A.indptr)
    assert_array_equal(indices, A.indices)
    assert_array_equal(columns, A.indices)
    assert_array_equal(rows, A.tocoo().row)
    for data in (np.zeros(J.nnz, J.dtype), np.zeros(2 * J.nnz, J.dtype)[::2]):
        J.fill(data)
        assert_array_equal(data, A.data)


@given(cases(), st.data())
def test_rows(case, data):
    J = case.jacobian
    stop = data.draw(st.integers(0, J.shape[0]))
    start = data.draw(st.integers(0, stop))
    part = J.rows(start, stop)
    assert isinstance(part, sp.csr_array)
    assert_array_equal(part.toarray(), J.toarray()[start:stop])
    assert part.nnz == J.tocsr().indptr[stop] - J.tocsr().indptr[start]


@given(cases())
def test_tensor(case):
    J = case.jacobian
    T = J.tensor()
    assert isinstance(T, sp.coo_array)
    assert T.shape == J.out_shape + J.in_shape
    numerator = J.toarray() if case.layout == "numerator" else J.toarray().T
    assert_array_equal(T.toarray(), numerator.reshape(T.shape, order=case.order))


@given(cases(), st.booleans())
def test_products(case, complex_vectors):
    J = case.jacobian
    D = J.toarray()
    rng = np.random.default_rng(1)
    dtype = "complex128" if complex_vectors else "float64"
    v, u = (random(rng, n, dtype=dtype) for n in reversed(J.shape))
    V, U = (random(rng, n, 3, dtype=dtype) for n in reversed(J.shape))
    for x, X in ((v, V), (v[:, None], np.asfortranarray(V))):
        close(J @ x, D @ x, case)
        close(J.matvec(x), D @ x, case)
        close(J @ X, D @ X, case)
        close(J.matmat(X), D @ X, case)
    close(J.rmatvec(u), D.conj().T @ u, case)
    close(J.rmatmat(U), D.conj().T @ U, case)
    close(J.T @ u, D.T @ u, case)
    close(J.H @ u, D.conj().T @ u, case)
    close(u @ J, u @ D, case)
    close(J.T.toarray(), D.T, case)
    close(J.H.toarray(), D.conj().T, case)
    assert (J @ v).dtype == np.result_type(J.dtype, v)


@given(cases(dtypes=("float64", "complex128")))
def test_adjoint(case):
    J = case.jacobian
    rng = np.random.default_rng(2)
    v, u = (random(rng, n, dtype=J.dtype) for n in reversed(J.shape))
    assert_allclose(np.vdot(u, J @ v), np.vdot(J.rmatvec(u), v), rtol=1e-10, atol=1e-10)


@given(cases())
def test_products_with_shapes(case):
    J = case.jacobian
    rng = np.random.default_rng(3)
    dX, W = random(rng, *J.in_shape, dtype=J.dtype), random(rng, *J.out_shape, dtype=J.dtype)
    T = J.tensor().toarray()
    close(J.jvp(dX), np.tensordot(T, dX, dX.ndim), case)
    close(J.jvp(dX), case.row.differential(dX, case.point, case.plain), case)
    close(J.vjp(W), np.tensordot(W, T, W.ndim), case)


@given(cases())
def test_normal(case):
    J = case.jacobian
    D = J.toarray()
    N = J.normal()
    assert isinstance(N, mj.Jacobian)
    expected = D.conj().T @ D
    close(N.toarray(), expected, case)
    assert N.nnz == N.tocsr().nnz
    v = random(np.random.default_rng(4), N.shape[1], dtype=J.dtype)
    close(N @ v, expected @ v, case)
    close(J.diagonal_normal(), np.diag(expected).real, case)
    close(J.column_norms(), np.linalg.norm(D, axis=0), case)


@given(cases())
def test_layouts_are_transposes(case):
    J = case.jacobian
    other = "denominator" if case.layout == "numerator" else "numerator"
    assert J.T.layout == other
    assert J.T.T.layout == case.layout
    case.layout = other
    assert_array_equal(case.jacobian.toarray(), J.toarray().T)
    assert_array_equal(J.T.toarray(), J.toarray().T)


@given(cases())
def test_pickle(case):
    J = case.jacobian
    again = pickle.loads(pickle.dumps(J))
    assert_array_equal(again.toarray(), J.toarray())
    assert (again.order, again.layout, again.out_shape) == (J.order, J.layout, J.out_shape)


def test_products_do_not_alias():
    # a Jacobian that is an identity must not hand its argument back
    for J in (mj.d_identity_dx(3), mj.d_transpose_dX((1, 3)), mj.d_identity_dx(3).T):
        x, X = np.ones(3), np.ones((3, 2))
        for product in (J @ x, J @ X, J.rmatvec(x), J.rmatmat(X), J.jvp(x.reshape(J.in_shape))):
            product[...] = 5
        assert_array_equal(x, 1)
        assert_array_equal(X, 1)


def test_works_as_a_linear_operator():
    J = mj.d_gram_dR(np.random.default_rng(0).standard_normal((3, 4)))
    shifted = 2 * J - J
    assert_allclose(shifted @ np.ones(12), J @ np.ones(12))
    solution = sp.linalg.lsmr(J, np.ones(16))[0]
    dense = np.linalg.lstsq(J.toarray(), np.ones(16))[0]
    assert_allclose(solution, dense, atol=1e-5)


def test_products_with_other_operators():
    J, rng = mj.d_gram_dR(np.arange(6.0).reshape(2, 3)), np.random.default_rng(0)
    D, M, N = J.toarray(), rng.standard_normal((6, 4)), rng.standard_normal((4, 9))
    right, left = aslinearoperator(M), aslinearoperator(N)
    for made, expected in ((J @ right, D @ M), (J * right, D @ M), (left @ J, N @ D), (left * J, N @ D)):
        assert_allclose(made @ np.eye(expected.shape[1]), expected, atol=1e-13)
        assert_allclose(made.T @ np.eye(expected.shape[0]), expected.T, atol=1e-13)


@pytest.mark.parametrize("order", ["C", "F"])
def test_repr_says_what_it_is(order):
    text = repr(mj.d_gram_dR(np.ones((2, 3)), order=order))
    assert "9 × 6" in text
    assert f'order "{order}"' in text
    assert "30 entries" in text
