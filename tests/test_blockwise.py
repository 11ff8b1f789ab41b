"""Stacks of small systems and of Gram blocks, against NumPy block by block."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from matjac import kernels
from matjac.solvers.blockwise import BlockCholesky


def stack(count, q, seed, dtype=float):
    rng = np.random.default_rng(seed)
    G = rng.standard_normal((count, q, q + 3))
    return (G @ G.mT).astype(dtype), rng


SHIFTS = {
    "none": lambda rng, b, q: 0.0,
    "one": lambda rng, b, q: 0.5,
    "one a block": lambda rng, b, q: rng.random((b, 1)),
    "one diagonal": lambda rng, b, q: rng.random(q),
    "each": lambda rng, b, q: rng.random((b, q)),
}


@given(st.integers(0, 5), st.integers(1, 14), st.sampled_from(sorted(SHIFTS)), st.integers(0, 999))
def test_factors_and_solutions(count, q, shift, seed):
    A, rng = stack(count, q, seed)
    lift = SHIFTS[shift](rng, count, q)
    S = A + np.broadcast_to(lift, (count, q))[:, :, None] * np.eye(q)
    # the upper triangle is not read
    factors = BlockCholesky().factor(np.tril(A) + np.triu(np.full((q, q), np.nan), 1), lift)
    assert_array_equal(factors.failed, np.zeros(count))
    L = np.linalg.cholesky(S)
    for b in (rng.standard_normal((count, q)), rng.standard_normal((count, q, 3)), np.ones((count, q, 0))):
        columns = b if b.ndim == 3 else b[..., None]
        for found, expected in (
            (factors.solve(b), np.linalg.solve(S, columns)),
            (factors.solve_lower(b), np.linalg.solve(L, columns)),
            (factors.solve_upper(b), np.linalg.solve(L.mT, columns)),
        ):
            assert_allclose(found.reshape(columns.shape), expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("q", [31, 50])
def test_larger_blocks(q, dtype):
    A, rng = stack(20, q, 0, dtype)
    A += 10 * np.eye(q, dtype=dtype)
    b = rng.standard_normal((20, q)).astype(dtype)
    kept = A.copy()
    x = BlockCholesky().factor(A).solve(b)
    assert x.dtype == dtype
    assert_array_equal(A, kept)
    assert_allclose(np.einsum("bij,bj->bi", A, x), b, atol=1e-12 if dtype is np.float64 else 1e-3)
    again = BlockCholesky().factor(A, overwrite=True)
    assert_array_equal(again.solve(b), x)


@pytest.mark.parametrize("q", [1, 2, 4, 5, 6, 11])
def test_what_is_not_positive_definite_is_told_and_nothing_else_changes(q):
    A, rng = stack(8, q, q)
    b = rng.standard_normal((8, q))
    expected = BlockCholesky().factor(A).solve(b)
    A[1, -1, -1] -= A[1, -1, -1] + 1
    A[3, 0, 0] = np.nan
    A[4] = 0
    A[6, q // 2, q // 2] = np.inf
    factors = BlockCholesky().factor(A)
    assert_array_equal(factors.failed, [0, q, 0, 1, 1, 0, q // 2 + 1, 0])
    good = factors.failed == 0
    for found, wanted in ((factors.solve(b), expected), (factors.solve(b[..., None]), expected[..., None])):
        assert np.isnan(found[~good]).all()
        assert_allclose(found[good], wanted[good], rtol=1e-12)


def test_what_is_refused():
    A, _ = stack(3, 2, 0)
    with pytest.raises(ValueError, match="expected a stack of real square matrices"):
        BlockCholesky().factor(A[:, :1])
    with pytest.raises(ValueError, match="blocks: got .*expected a stack"):
        BlockCholesky().factor(A[0])
    with pytest.raises(ValueError, match="expected a stack of real"):
        BlockCholesky().factor(A + 0j)
    with pytest.raises(ValueError, match=r"shift: got shape \(1, 3\), expected"):
        BlockCholesky().factor(A, np.ones(3))
    with pytest.raises(ValueError, match=r"b: got .*expected real numbers of shape \(3, 2\)"):
        BlockCholesky().factor(A).solve(np.ones(6))


@given(st.integers(1, 11), st.lists(st.integers(0, 20), max_size=5), st.booleans(), st.integers(0, 999))
def test_gram_blocks(q, counts, weighted, seed):
    rng = np.random.default_rng(seed)
    w, rows = rng.standard_normal((6, q)), sum(counts)
    group = np.cumsum([0, *counts])
    others, order = rng.integers(0, 6, rows), rng.permutation(rows)
    weights = rng.standard_normal(rows) if weighted else np.empty(0)
    start = rng.standard_normal((len(counts), q, q))
    start += start.mT
    out, middle = start.copy(), len(counts) // 2
    for first, last in ((0, middle), (middle, len(counts))):
        # room for eight rows at a time
        kernels.gram_blocks(w, group, others, order, weights, np.empty(8), np.empty((q, 8)), out, first, last)
    c = weights[order] if weighted else np.ones(rows)
    for b in range(len(counts)):
        mine = slice(group[b], group[b + 1])
        expected = start[b] + (w[others[mine]] * c[mine, None]).T @ w[others[mine]]
        assert_allclose(out[b], expected, atol=1e-12)
        assert_array_equal(out[b], out[b].T)
