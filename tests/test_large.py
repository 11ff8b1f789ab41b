"""Sizes that could never be stored: counted exactly, and served by products."""

import tracemalloc

import numpy as np
import pytest
from registry import REGISTRY
from strategies import make_case

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


#: Jacobians of 10¹² entries and more by their rows in the registry, and the shapes of what they are made of.
LARGE = {
    "d_gram_dR": (2, 10**6),
    "d_outer_gram_dR": (10**6, 2),
    "d_congruence_dX": (2, 10**6),
    "d_sandwich_dX": (3 * 10**5, 3, 4, 3 * 10**5),
    "d_matmul_dA": (10**6, 2, 10**6),
    "d_matmul_dB": (10**6, 2, 10**6),
}


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("name", LARGE)
def test_rows_near_the_end_are_the_definitions(name, order):
    row = next(row for row in REGISTRY if row.name == name)
    case = make_case(row, LARGE[name], "float64", order, "numerator", 0, np.array, False)
    J = case.jacobian
    assert J.nnz >= 10**12
    rows, columns = J.shape
    for first in (rows - 2, rows // 2 + 1):
        part = J.rows(first, first + 2)
        for at in (0, 1):
            own = slice(part.indptr[at], part.indptr[at + 1])
            found = dict(zip(part.indices[own].tolist(), part.data[own].tolist(), strict=True))
            assert len(found) == J.offset(first + at + 1) - J.offset(first + at)
            out = tuple(map(int, np.unravel_index(first + at, J.out_shape, order=order)))
            # some of the entries, and some of the places without
            for column in [
                *list(found)[:: max(1, len(found) // 50)],
                *range(0, columns, max(1, columns // 50)),
                columns - 1,
            ]:
                into = tuple(map(int, np.unravel_index(column, J.in_shape, order=order)))
                expected = row.entry(out, into, case.plain)
                assert (column in found) == (expected is not None)
                np.testing.assert_allclose(found.get(column, 0.0), expected or 0.0, rtol=1e-12)


@pytest.mark.slow
def test_int64_indices_are_filled():
    """A matrix of 2³¹ + 10 columns and 3·10⁷ entries, with some 2.5 GB."""
    n, count = 2**31 + 10, 3 * 10**7
    taken = np.arange(n - count, n)[::-1]
    J = mj.d_identity_dx(n).take(taken)
    A = J.tocsr()
    assert A.indices.dtype == A.indptr.dtype == np.int64
    assert A.shape == (count, n)
    np.testing.assert_array_equal(A.indices, taken)
    np.testing.assert_array_equal(A.data, 1.0)
    J.tocsr(out=A)
    blocks = list(J.iter_rows(max_bytes=2**28))
    np.testing.assert_array_equal(np.concatenate([block.indices for _, block in blocks]), taken)
    assert {block.indices.dtype for _, block in blocks} == {np.dtype(np.int64)}
