"""Sizes that could never be stored: counted exactly, and served by products."""

import tracemalloc

import numpy as np
import pytest

import matjac as mj

N = 10**6


@pytest.mark.parametrize("layout", ["numerator", "denominator"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_counts_without_allocating(order, layout):
    x, R = np.ones(N), np.broadcast_to(1.0, (N, N))
    tracemalloc.start()
    matvec, gram = mj.d_matvec_dA(x, N, order=order, layout=layout), mj.d_gram_dR(R, order=order, layout=layout)
    assert matvec.nnz == N * N
    assert gram.nnz == 2 * N**3 - N**2
    assert matvec.nbytes == N * N * (8 + 8) + (matvec.shape[0] + 1) * 8
    assert gram.nbytes == gram.nnz * (8 + 8) + (N * N + 1) * 8
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # an index for each row and column of R, but nothing of the size of R
    assert peak < 12 * x.nbytes


def test_index_type_turns_at_the_limit():
    # m·n entries: the last count that int32 holds is 2³¹ − 1
    limit = 2**31 - 1
    for columns, rows, index in ((1, limit, 4), (1, limit + 1, 8), (2, limit // 2 + 1, 8), (2, limit // 2, 4)):
        J = mj.d_matvec_dA(np.ones(columns), rows)
        assert J.nnz == rows * columns
        assert J.nbytes == J.nnz * (8 + index) + (rows + 1) * index


def test_index_type_of_a_matrix_with_few_entries():
    """A dimension beyond int32 alone makes both index arrays int64, also of a few rows."""
    for n, index in ((2**31 - 1, np.int32), (2**31, np.int64)):
        part = mj.d_identity_dx(n).rows(n - 2, n)
        assert part.indices.tolist() == [n - 2, n - 1]
        assert part.indices.dtype == part.indptr.dtype == index


def test_rows_of_a_matrix_too_large_to_store():
    R = np.broadcast_to(2.0, (3, 10**6))
    part = mj.d_gram_dR(R).rows(10**6 + 1, 10**6 + 3)
    assert part.shape == (2, 3 * 10**6)
    assert part.indices.tolist() == [1, N + 1, 2 * N + 1, 1, 2, N + 1, N + 2, 2 * N + 1, 2 * N + 2]
    assert part.data.tolist() == [4.0] * 3 + [2.0] * 6


@pytest.mark.slow
def test_products_of_a_matrix_too_large_to_store():
    M, n = 100, 10_000
    rng = np.random.default_rng(0)
    R, V = rng.standard_normal((2, M, n))
    J = mj.d_gram_dR(R)
    assert J.nnz > 1.9e10
    tracemalloc.start()
    y = J @ V.ravel()
    x = J.T @ y
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * y.nbytes
    K = y.reshape(n, n)
    for p, q in ((0, 0), (5, 7), (9999, 3)):
        np.testing.assert_allclose(K[p, q], V[:, p] @ R[:, q] + R[:, p] @ V[:, q])
    np.testing.assert_allclose(x.reshape(M, n)[:, 17], R @ (K[:, 17] + K[17]))
