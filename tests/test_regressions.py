"""Faults that were found once, each with the smallest case that showed it."""

import itertools
import threading
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

import matjac as mj

RNG = np.random.default_rng(0)
SQUARE = RNG.standard_normal((3, 3))
RAGGED = sp.csr_array([[0, 1.0, 2], [3, 0, 0], [1, 1, 1], [0, 0, 0], [0, 0, 1]])


def dense(J):
    """By products alone."""
    return J @ np.eye(J.shape[1])


def test_products_after_the_program_has_grown():
    """What another Jacobian of the function recorded for its entries does not shift the values of this one."""
    F = mj.compile(lambda U, V, W: np.tanh(V).T, (3, 3), (3, 3), (3, 3))
    J = F.jacobian(SQUARE, SQUARE, SQUARE)
    assert (2 * J).shape == J.shape
    assert J.nnz == 9
    expected = np.zeros((9, 27))
    for i, j in np.ndindex(3, 3):
        expected[3 * i + j, 9 + 3 * j + i] = 1 - np.tanh(SQUARE[j, i]) ** 2
    assert_allclose(dense(J), expected)


def test_sparse_factors_with_equal_numbers_in_other_places():
    A, B = sp.csr_array([[0, 1.0, 0], [0, 0, 1]]), sp.csr_array([[1.0, 0, 0], [0, 1, 0]])
    J = mj.d_matmul_dB(A, 4) + mj.d_matmul_dB(B, 4)
    assert J.nnz == 16
    assert_array_equal(J.toarray(), np.kron((A + B).toarray(), np.eye(4)))
    J = mj.compile(lambda X: A @ X - B @ X, (3, 4)).jacobian(np.ones((3, 4)))
    assert_array_equal(J.toarray(), np.kron((A - B).toarray(), np.eye(4)))


def test_the_first_rows_of_a_ragged_factor():
    J = mj.compile(lambda X: (RAGGED @ X)[:3], (3, 2)).jacobian(np.ones((3, 2)))
    assert J.nnz == J.tocsr().nnz == J.structure()[1].size == 12
    assert_array_equal(J.toarray(), np.kron(RAGGED.toarray()[:3], np.eye(2)))


def test_a_plan_is_handed_numbers_of_its_own_alone():
    calls = itertools.count()

    def jacobian(X):
        J = mj.d_gram_dR(X) + mj.d_gram_dR(2 * X) @ mj.d_elementwise_dX(X)
        call = next(calls)
        if call == 0:
            J.T.tocsr()
        if call == 2:
            J.normal_blocks()
        return J

    F = mj.Function(lambda X: 0 * X, jacobian, (3, 4))
    for _ in range(3):
        J = F.jacobian(RNG.standard_normal((3, 4)))
        assert_allclose(J.toarray(), dense(J))


def test_conjugates_of_functions_by_hand():
    A = SQUARE + 1j * SQUARE.T

    def jacobian(X):
        return (mj.d_matmul_dB(A, 3) @ mj.d_elementwise_dX(np.cos(X))).H.T

    F = mj.Function(lambda X: 0 * X, jacobian, (3, 3))
    for k in range(3):
        X = (k + 1) * (SQUARE + 0.5j)
        expected = (np.kron(A, np.eye(3)) * np.cos(X).ravel()).conj()
        assert_allclose(F.jacobian(X).toarray(), expected)


def test_a_rule_whose_jacobian_is_conjugated():
    C = np.array([[1j, 2], [3, 4]])
    named = mj.rule(lambda X: C.conj() @ X, lambda X: mj.d_matmul_dB(C, 2).H.T)
    J = mj.compile(lambda X: named(X), (2, 2)).jacobian(np.ones((2, 2)))
    assert_array_equal(J.toarray(), np.kron(C.conj(), np.eye(2)))


def test_conjugates_of_normal_matrices_in_compositions():
    X = RNG.standard_normal((2, 3)) + 1j * RNG.standard_normal((2, 3))
    J, w = mj.d_gram_dR(X), RNG.random(9)
    D = J.toarray()
    twice = 2 * J.normal(w).H.T
    expected = 2 * (D.conj().T @ (w[:, None] * D)).conj()
    assert_allclose(twice.toarray(), expected)
    assert_allclose(dense(twice), expected)


def test_sweeps_are_not_cut_into_parts():
    """Each part would make the whole sweep, and wait for threads that wait for it."""
    m, k = 6000, 70
    rows, cols = RNG.integers(0, m, (2, 20000))
    F = mj.compile(lambda U, V: np.stack([np.sum((U @ V.T)[rows, cols] ** 2), np.sum(U * U)]), (m, k), (m, k))
    U = RNG.standard_normal((m, k))
    done = threading.Event()
    thread = threading.Thread(target=lambda: (F.jacobian(U, U).tocsr(), done.set()), daemon=True)
    thread.start()
    assert done.wait(60)


def test_the_places_of_a_long_recurrence_do_not_overflow():
    """They are found by products of ones, of which there may be more than any number counts."""
    mask = np.kron(np.eye(2), np.ones((30, 30))) > 0

    def states(A, x):
        for _ in range(250):
            x = np.sin(np.where(mask, A, 0) @ x)
        return x[:2]

    A = RNG.standard_normal((60, 60)) * mask
    A *= 0.995 / np.abs(np.linalg.eigvals(A)).max()
    F = mj.compile(states, (60, 60), (60,))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        J = F.jacobian(A, RNG.standard_normal(60)).tocsr()
    assert J.nnz == 2 * (30 * 30 + 30)


def test_gradients_that_are_equal_are_two_arrays():
    F = mj.compile(lambda x, y: np.tanh(x + y), (3,), (3,))
    first, second = F.gradient(np.ones(3), np.ones(3), weights=np.ones(3))
    first[:] = 7
    assert_allclose(second, 1 - np.tanh(2) ** 2)


def test_a_rule_by_an_identity_of_a_sparse_constant():
    named = mj.rule(lambda X: RAGGED @ X, lambda X: mj.d_matmul_dB(RAGGED, 2))
    J = mj.compile(lambda X: named(X), (3, 2)).jacobian(np.ones((3, 2)))
    assert J.nnz == 2 * RAGGED.nnz
    assert_array_equal(J.toarray(), np.kron(RAGGED.toarray(), np.eye(2)))


NARROW = {
    "where": lambda X: np.where(np.eye(3) > 0, X, 2),
    "power": lambda X: (X * X + 1) ** 1.5,
    "quotient": lambda X: np.tanh(X / 9),
}


@pytest.mark.parametrize("name", NARROW)
def test_numbers_take_the_dtype_of_what_they_meet(name):
    F, X = mj.compile(NARROW[name], (3, 3)), np.ones((3, 3), np.float32)
    assert F(X).dtype == F.jacobian(X).dtype == F.gradient(X, weights=X).dtype == np.float32


def test_loops_do_not_double_terms():
    """Each of 60 steps adds a term to the ones before: they become one."""

    def steps(x):
        for _ in range(60):
            x = x + 0.1 * np.tanh(SQUARE @ x)
        return x

    def stencil(X):
        for _ in range(30):
            X = X + 0.1 * np.sin(SQUARE @ X @ SQUARE)
        return X

    for fun, shape in ((steps, (3,)), (stencil, (3, 3))):
        J = mj.compile(fun, shape).jacobian(np.full(shape, 0.1))
        assert_allclose(J.toarray(), dense(J), rtol=1e-10, atol=1e-12)


def test_arguments_of_trace_and_diag():
    J = mj.compile(lambda X: np.trace(X, 0, 1, 2), (2, 3, 3)).jacobian(np.ones((2, 3, 3)))
    assert J.nnz == 6
    with pytest.raises(mj.TracingError, match=r"Input must be 1- or 2-d"):
        mj.compile(np.diag, (2, 3, 3))


def test_a_masked_product_that_is_broadcast_and_multiplied():
    """The mask of absent rows has no axes along which they repeat."""
    rng = np.random.default_rng(0)
    A, B, kept = rng.standard_normal((4, 3)), rng.standard_normal((4, 5)), np.array([True, False, True, True])
    F = mj.compile(lambda x: np.broadcast_to(np.where(kept, A @ x, 0), (2, 4)) @ B, (3,))
    J = F.jacobian(np.ones(3))
    assert_allclose(J.toarray(), J @ np.eye(3))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    "beside", [lambda Y: Y, lambda Y: np.where(np.tri(3, 4) > 0, Y, 0), lambda Y: np.tanh(Y) @ np.ones((4, 4))]
)
def test_dense_terms_among_blocks(beside, order):
    """Rows of a sum of dense terms go among those of another variable, all alike or not, in parts."""
    rng = np.random.default_rng(0)
    A, C, B, D = (rng.standard_normal(s) for s in ((3, 5), (3, 5), (6, 4), (6, 4)))
    F = mj.compile(lambda X, Y: A @ X @ B + C @ X @ D + beside(Y), (5, 6), (3, 4), order=order)
    X, Y = rng.standard_normal((5, 6)), rng.standard_normal((3, 4))
    for J in (F.jacobian(X, Y), F.jacobian(X, Y).T):
        assert_allclose(J.toarray(), J @ np.eye(J.shape[1]), atol=1e-13)
        assert_allclose(J.rows(2, 5).toarray(), J.toarray()[2:5])


def test_column_norms_before_anything_else_was_asked_for():
    F = mj.compile(lambda x: (3 - 2 * x) * x, (3,))
    x = np.array([0.0, 1.0, 2.0])
    np.testing.assert_allclose(F.jac(x).column_norms(), np.abs(3 - 4 * x))
