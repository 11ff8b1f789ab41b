"""Normal matrices with weights, and their diagonal blocks, against dense products."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from strategies import cases

import matjac as mj
from matjac import kernels

AXES = (None, 0, 1)


def dense_blocks(matrix, shapes, axis, order):
    """The diagonal blocks, entry by entry from the numbers of a variable's entries."""
    blocks, at = [], 0
    for shape in shapes:
        p, q = (*shape, 1, 1)[:2]
        numbers = at + np.arange(p * q).reshape((p, q), order=order)
        along = axis if axis is not None else (1 if q <= p else 0)
        lines = numbers if along == 1 else numbers.T
        blocks.append(np.array([matrix[np.ix_(line, line)] for line in lines]).reshape(*lines.shape, lines.shape[1]))
        at += p * q
    return blocks


def close(actual, expected, tolerance):
    assert actual.shape == expected.shape
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    assert_allclose(actual, expected, rtol=0, atol=100 * tolerance * scale)


@given(cases(), st.sampled_from(AXES), st.booleans(), st.integers(0, 99))
def test_weights_and_blocks_of_identities(case, axis, weighted, seed):
    J = case.jacobian
    D = J.toarray().astype(np.complex128 if J.dtype.kind == "c" else float)
    w = np.random.default_rng(seed).standard_normal(J.shape[0]).astype(np.float32) if weighted else None
    expected = D.conj().T @ (D if w is None else w[:, None] * D)
    N = J.normal(weights=w)
    close(N.toarray(), expected, case.tolerance)
    x = np.random.default_rng(seed + 1).standard_normal(J.shape[1])
    close(N @ x, expected @ x, case.tolerance)
    assert N.dtype == J.normal_blocks(axis, w).dtype == J.dtype
    if w is not None:
        assert J.normal_blocks(axis, w.astype(float)).dtype == J.normal(w.astype(float)).dtype
    variable = J.in_shape if J.layout == "numerator" else J.out_shape
    if len(variable) <= 2:
        close(J.normal_blocks(axis, w), dense_blocks(expected, [variable], axis, case.order)[0], case.tolerance)


FUNCTIONS = {
    "completion": lambda U, V: (U @ V.T)[[0, 2, 2, 1, 3], [1, 0, 2, 2, 2]],
    "with a ridge": lambda U, V: np.concatenate([(U @ V.T)[[0, 2, 2], [1, 0, 2]], 0.3 * U.ravel(), V.ravel()]),
    "weighted Gram": lambda U, V: np.arange(16.0).reshape(4, 4) * (U @ U.T) + U @ V.T @ V @ U.T,
    "one of two": lambda U, V: V.T @ V,
    "entry by entry": lambda U, V: np.sin(U[:3] * V),
    "a vector's": lambda U, V: U @ V[0],
    "three terms in a row": lambda U, V: U[:3] * V + U[1:] * 2.0 + U[[3, 0, 1]] * V,
    "two products": lambda U, V: V @ U.T @ np.diag([1.0, 2, 3, 4]) @ np.tri(4) + np.tri(3) @ V @ U.T,
}


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_weights_and_blocks_of_functions(name, weighted, order):
    rng = np.random.default_rng(5)
    shapes = (4, 2), (3, 2)
    F = mj.compile(FUNCTIONS[name], *shapes, order=order)
    J = F.jacobian(*(rng.standard_normal(shape) for shape in shapes))
    D = J.toarray()
    w = rng.standard_normal(J.shape[0]) if weighted else None
    expected = D.T @ (D if w is None else w[:, None] * D)
    N = J.normal(weights=w)
    x = rng.standard_normal((J.shape[1], 3))
    for actual, wanted in (
        (N.toarray(), expected),
        (N @ x, expected @ x),
        (N.T @ x, expected @ x),
        (N.tocsr().toarray(), expected),
        (N.diagonal_normal(), np.diag(expected @ expected)),
    ):
        close(actual, wanted, 1e-14)
    for axis in AXES:
        blocks = J.normal_blocks(axis, w)
        for block, wanted in zip(blocks, dense_blocks(expected, shapes, axis, order), strict=True):
            close(block, wanted, 1e-14)


def test_blocks_of_complex_functions():
    rng = np.random.default_rng(6)
    U, V = (rng.standard_normal((n, 2)) + 1j * rng.standard_normal((n, 2)) for n in (4, 3))
    J = mj.compile(lambda U, V: (U @ V.T)[[0, 2, 2, 1, 3], [1, 0, 2, 2, 2]], U, V).jacobian(U, V)
    D = J.toarray()
    for w in (None, rng.standard_normal(5)):
        expected = D.conj().T @ (D if w is None else w[:, None] * D)
        for block, wanted in zip(J.normal_blocks(0, w), dense_blocks(expected, [(4, 2), (3, 2)], 0, "C"), strict=True):
            close(block, wanted, 1e-14)
    with pytest.raises(ValueError, match=r"^normal_blocks: got a variable of shape \(2, 1, 2\), expected at most two"):
        mj.compile(np.tanh, (2, 1, 2)).jacobian(np.ones((2, 1, 2))).normal_blocks()


@pytest.mark.parametrize("order", ["C", "F"])
def test_column_norms_of_a_sum_of_products(order):
    A, B, C, D = np.random.default_rng(7).standard_normal((4, 3, 3))
    J = mj.compile(lambda X: A @ X @ B + C @ X @ D, (3, 3), order=order).jacobian(np.eye(3))
    assert_allclose(J.column_norms(), np.linalg.norm(J.toarray(), axis=0), rtol=1e-13)


def test_weights_may_have_the_output_s_shape():
    J = mj.d_gram_dR(np.arange(6.0).reshape(2, 3), order="F")
    W = np.arange(9.0).reshape(3, 3)
    D = J.toarray()
    assert_allclose(J.normal(weights=W).toarray(), D.T @ (W.ravel("F")[:, None] * D))


@pytest.mark.parametrize("axis", AXES)
def test_a_function_of_vectors_has_blocks_too(axis):
    F = mj.compile(lambda x, y: np.outer(x, y), (3,), (2,))
    J = F.jacobian(np.arange(3.0), np.ones(2))
    whole = J.normal().toarray()
    for block, wanted in zip(J.normal_blocks(axis), dense_blocks(whole, [(3,), (2,)], axis, "C"), strict=True):
        assert_allclose(block, wanted)


@given(st.integers(0, 5), st.integers(1, 3), st.integers(1, 3), st.booleans(), st.integers(0, 999))
def test_row_blocks(rows, count, size, weighted, seed):
    rng = np.random.default_rng(seed)
    D = rng.standard_normal((rows, count * size)) * (rng.random((rows, count * size)) < 0.6)
    indptr = np.concatenate([[0], np.cumsum((D != 0).sum(axis=1))])
    data, indices = D[D != 0], np.nonzero(D)[1]
    w = rng.random(rows + 1) if weighted else np.empty(0)
    out = np.zeros((count, size, size))
    middle = rows // 2
    for start, stop in ((0, middle), (middle, rows)):
        part = slice(indptr[start], indptr[stop])
        pointers = indptr[start : stop + 1] - indptr[start]
        kernels.add_row_blocks(data[part], data[part], indices[part], pointers, w, size, out, start, stop)
    scaled = D * w[:rows, None] if weighted else D
    expected = np.stack([(scaled.T @ D)[b : b + size, b : b + size] for b in range(0, count * size, size)])
    assert_allclose(out, expected, atol=1e-12)


SINGLE_BLOCKS = {
    "completion with biases and a ridge": lambda U, V: np.concatenate([
        (U @ V.T)[[0, 2, 2, 1, 3, 0], [1, 0, 2, 2, 2, 1]] + U[[0, 1, 2, 3, 0, 1], 0],
        1.5 * U.ravel(),
        V[::-1].ravel(),
    ]),
    "masked Gram": lambda U, V: (U @ U.T)[[0, 1, 1, 3, 2], [0, 1, 3, 2, 2]],
    "a Gram matrix beside a ridge": lambda U, V: np.concatenate([(np.arange(16.0).reshape(4, 4) * (U @ U.T)).ravel(),
                                                                 np.exp(V).ravel()]),
    "two terms of one block": lambda U, V: (U @ V.T)[[0, 1, 3, 2, 2], [1, 1, 2, 0, 1]] * U[[0, 1, 2, 3, 2], 1],
}  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", SINGLE_BLOCKS)
def test_blocks_of_rows_that_reach_one_block_need_no_entries(name, dtype, monkeypatch):
    rng = np.random.default_rng(6)
    F = mj.compile(SINGLE_BLOCKS[name], (4, 2), (3, 2))
    J = F.jacobian(*(rng.standard_normal(shape).astype(dtype) for shape in ((4, 2), (3, 2))))
    D, w = J.toarray().astype(float), rng.standard_normal(J.shape[0])
    made = []
    monkeypatch.setattr("matjac.maps.normal._add_rows", lambda *given: made.append(given))
    for weights in (None, w):
        wanted = dense_blocks(D.T @ (D if weights is None else w[:, None] * D), [(4, 2), (3, 2)], 1, "C")
        for block, expected in zip(J.normal_blocks(1, weights), wanted, strict=True):
            close(block, expected, 1e-14 if dtype is np.float64 else 1e-6)
    assert made == []
