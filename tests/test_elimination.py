"""Entries of sparse factors are counted before these are made, and what would not fit is refused."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.linalg import splu

import matjac as mj
from matjac import kernels
from matjac.elimination import require_factors
from matjac.solvers import NormalEquations, damped
from matjac.unknowns.affine import _inverse


@pytest.fixture
def limit():
    """Sets the limit, and takes it back."""
    yield mj.set_memory_limit
    mj.set_memory_limit(None)


def eliminated(pattern):
    """The rows of L have so many entries: unknowns are eliminated one by one, which joins all their neighbours."""
    linked = pattern | np.eye(len(pattern), dtype=bool)
    for k in range(len(pattern)):
        later = np.flatnonzero(linked[:, k])
        later = later[later > k]
        linked[np.ix_(later, later)] = True
    return np.tril(linked).sum(axis=1)


def symmetric(n, density, rng):
    pattern = np.tril(rng.random((n, n)) < density)
    return pattern | pattern.T


def grid(k):
    """A mesh of k × k points, each of which is linked with its neighbours."""
    line = sp.diags_array([np.ones(k - 1), np.full(k, 4.0), np.ones(k - 1)], offsets=(-1, 0, 1))
    return (sp.kron(line, sp.eye_array(k)) + sp.kron(sp.eye_array(k), line)).tocsc()


@given(st.integers(0, 12), st.floats(0, 1), st.integers(0, 99), st.sampled_from((np.int32, np.int64)))
def test_rows_of_factors_are_counted(n, density, seed, index):
    rng = np.random.default_rng(seed)
    pattern, order = symmetric(n, density, rng), rng.permutation(n)
    matrix, place = sp.csc_array(pattern.astype(float)), np.argsort(order)
    parent, mark, counts = np.full(n, -1), np.full(n, -1), np.empty(n, np.int64)
    for start, stop in ((0, n // 2), (n // 2, n)):
        indptr, indices = matrix.indptr.astype(index), matrix.indices.astype(index)
        kernels.count_factor(indptr, indices, order, place, parent, mark, counts[start:], start, stop)
    np.testing.assert_array_equal(counts, eliminated(pattern[np.ix_(order, order)]))


def bytes_of(matrix):
    """The bytes at which a matrix is no longer refused."""
    low, high = 0, 24 * matrix.shape[0] ** 2
    while low < high:
        middle = (low + high) // 2
        mj.set_memory_limit(middle)
        try:
            require_factors(matrix)
            high = middle
        except MemoryError:
            low = middle + 1
    return low


@pytest.mark.parametrize("make", [lambda: grid(9), lambda: sp.csc_array(symmetric(40, 0.08, np.random.default_rng(1)))])
def test_they_are_those_that_superlu_makes(make, limit):
    matrix = (make() * 1.0 + 50 * sp.eye_array(make().shape[0])).tocsc()
    factors = splu(matrix, "MMD_AT_PLUS_A", 0.0, options={"SymmetricMode": True})
    assert bytes_of(matrix) == 24 * factors.L.nnz


def test_what_factorises_refuses_before_it_begins(limit):
    """Factors of a mesh fit where a dense triangle does not, and not where they would not."""
    n, matrix = 900, grid(30)
    fits = bytes_of(matrix)
    assert fits < 24 * n * n / 20
    J = mj.d_matvec_dx(sp.csr_array(matrix))
    rows = J.tocsr()
    ways = {
        "Gauss–Newton": lambda: _stepped(rows),
        "normal equations": lambda: NormalEquations("qdldl").factorize(J),
        "affine unknowns": lambda: _inverse(matrix),
    }
    for name, way in ways.items():
        limit(7 * 10**4)
        with pytest.raises(MemoryError, match=r"memory: got .* bytes, expected at most 70,000"):
            way()
        limit(40 * fits)
        assert way() is not None, name


def _stepped(rows):
    way = damped.Sparse()
    way.take(rows)
    return way.solve(np.ones(rows.shape[1]), np.ones(rows.shape[1]))
