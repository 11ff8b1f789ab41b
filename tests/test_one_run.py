"""The value and the gradient from one run, and half the sum of squares of a compiled function."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose

import matjac as mj

rng = np.random.default_rng(11)
GRAM = (lambda B: B @ B.T)(rng.standard_normal((5, 5)))
ROWS, COLS = np.nonzero(rng.random((6, 5)) < 0.6)
STARS = rng.standard_normal(ROWS.size)


def gram(R):
    return R.T @ R - GRAM


def gram_slope(R, W):
    return R @ (W + W.T)


def completion(U, V):
    return (U @ V.T)[ROWS, COLS] - STARS


def completion_slope(U, V, w):
    W = np.zeros((6, 5))
    W[ROWS, COLS] = w
    return W @ V, W.T @ U


@pytest.mark.parametrize("order", ["C", "F"])
def test_value_and_gradient_of_weighted_values(order):
    F = mj.compile(completion, (6, 2), (5, 2), order=order)
    U, V, w = rng.standard_normal((6, 2)), rng.standard_normal((5, 2)), rng.standard_normal(ROWS.size)
    value, slopes = F.value_and_gradient(U, V, weights=w)
    assert_allclose(value, completion(U, V))
    for ours, theirs in zip(slopes, completion_slope(U, V, w), strict=True):
        assert_allclose(ours, theirs)
    flat, slope = F.value_and_grad(F.pack(U, V), w)
    assert_allclose(flat, completion(U, V))
    assert_allclose(slope, F.pack(*completion_slope(U, V, w)))


@pytest.mark.parametrize("order", ["C", "F"])
def test_matrix_values_and_weights_are_flat_in_the_order(order):
    F, R, W = mj.compile(gram, (3, 5), order=order), rng.standard_normal((3, 5)), rng.standard_normal((5, 5))
    value, slope = F.value_and_grad(R.ravel(order), W.ravel(order))
    assert_allclose(value, gram(R).ravel(order))
    assert_allclose(slope, gram_slope(R, W).ravel(order))


def test_the_function_runs_once():
    calls = []

    def cube(x):
        calls.append(x)
        return x**3

    # a value known to the program as one step, whose calls can be counted
    counted = mj.rule(cube, differential=lambda x, dx: 3 * x**2 * dx)
    F = mj.compile(lambda x: np.sum(counted(x) ** 2), (4,))
    x = rng.standard_normal(4)
    F.value_and_grad(x)
    calls.clear()
    value, slope = F.value_and_grad(x)
    assert len(calls) == 1
    assert_allclose(value, np.sum(x**6))
    assert_allclose(slope, 6 * x**5)


def test_results_are_arrays_of_their_own():
    F = mj.compile(lambda x, y: x + 0 * y[0], (3,), (2,))
    x, w = rng.standard_normal(3), rng.standard_normal(3)
    before = x.copy(), w.copy()
    value, (by_x, _) = F.value_and_gradient(x, np.ones(2), weights=w)
    value += 1
    by_x += 1
    assert_allclose((x, w), before)
    same = mj.compile(lambda x: x * 1.0, (3,))
    value, slope = same.value_and_gradient(x, weights=x)
    slope += 1
    assert_allclose(value, before[0])


def test_of_a_function_by_hand():
    F = mj.Function(gram, mj.d_gram_dR, (3, 5))
    R, W = rng.standard_normal((3, 5)), rng.standard_normal((5, 5))
    value, slope = F.value_and_gradient(R, weights=W)
    assert_allclose(value, gram(R))
    assert_allclose(slope, gram_slope(R, W))
    assert_allclose(F.value_and_grad(R.ravel(), W.ravel())[1], slope.ravel())


def test_weights_are_checked():
    F = mj.compile(gram, (3, 5))
    with pytest.raises(ValueError, match=r"^weights: got none for a function of shape \(5, 5\)"):
        F.value_and_gradient(np.ones((3, 5)))
    with pytest.raises(ValueError, match=r"^w: got shape \(3,\), expected \(25,\)"):
        F.value_and_grad(np.ones(15), np.ones(3))


@pytest.mark.parametrize("order", ["C", "F"])
def test_half_squares(order):
    half = mj.compile(completion, (6, 2), (5, 2), order=order).half_squares()
    U, V = rng.standard_normal((6, 2)), rng.standard_normal((5, 2))
    r = completion(U, V)
    value, slopes = half.value_and_gradient(U, V)
    assert half.out_shape == ()
    assert_allclose(value, 0.5 * np.sum(r**2))
    for ours, theirs in zip(slopes, completion_slope(U, V, r), strict=True):
        assert_allclose(ours, theirs)
    # the Hessian along p by differences of the gradient written by hand, the Gauss–Newton part by J alone
    x, p, h = half.pack(U, V), rng.standard_normal(22), 1e-6

    def by_hand(x):
        U, V = half.unpack(x)
        return half.pack(*completion_slope(U, V, completion(U, V)))

    assert_allclose(half.hessp(x, p), (by_hand(x + h * p) - by_hand(x - h * p)) / (2 * h), rtol=1e-6, atol=1e-6)
    assert_allclose(half.hess_csr(x) @ p, half.hessp(x, p), atol=1e-12)
    J = np.zeros((ROWS.size, 22))
    for k, (i, j) in enumerate(zip(ROWS, COLS, strict=True)):
        for entry in range(2):
            by_U, by_V = np.zeros((6, 2)), np.zeros((5, 2))
            by_U[i, entry], by_V[j, entry] = V[j, entry], U[i, entry]
            J[k] += half.pack(by_U, by_V)
    assert_allclose(half.hessian(U, V, part="gauss-newton").toarray(), J.T @ J, atol=1e-12)


@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 3)])
def test_half_squares_of_any_shape(shape):
    half = mj.compile(lambda x: 2.0 * x - 1.0, shape).half_squares()
    x = rng.standard_normal(shape)
    assert half.out_shape == ()
    assert_allclose(half(x), 0.5 * np.sum((2 * x - 1) ** 2))
    assert_allclose(half.gradient(x), 2 * (2 * x - 1))
    assert_allclose(half.hess(x.ravel()).toarray(), 4 * np.eye(x.size))


def test_half_squares_keeps_the_dtype_and_pickles():
    half = pickle.loads(pickle.dumps(mj.compile(gram, (3, 5)).half_squares()))
    R = rng.standard_normal((3, 5))
    value, slope = half.value_and_gradient(R)
    assert_allclose(slope, gram_slope(R, gram(R)))
    plain = mj.compile(lambda R: R.T @ R, (3, 5)).half_squares()
    value, slope = plain.value_and_gradient(R.astype(np.float32))
    assert value.dtype == slope.dtype == np.float32


def test_half_squares_of_complex_values_is_refused():
    with pytest.raises(TypeError, match=r"^half_squares: got a function with complex values"):
        mj.compile(lambda x: 1j * x, (3,)).half_squares()


def test_half_squares_without_second_derivatives():
    square = mj.rule(np.square, lambda x: mj.d_elementwise_dX(2 * x))
    half = mj.compile(lambda x: square(x) - 1.0, (3,)).half_squares()
    x = rng.standard_normal(3)
    assert_allclose(half.grad(x), 2 * x * (x**2 - 1))
    assert not half.has_hessian
    assert_allclose(half.hessian(x, part="gauss-newton").toarray(), np.diag(4 * x**2))


def test_the_gauss_newton_part_where_a_matrix_and_a_vector_are_multiplied_last():
    # the value is a column in another shape
    A, x, v = rng.standard_normal((4, 3)), rng.standard_normal(3), rng.standard_normal(2)
    part = mj.compile(lambda x: A @ (x * x), (3,)).half_squares().hessian(x, part="gauss-newton")
    J = A @ np.diag(2 * x)
    assert_allclose(part.toarray(), J.T @ J, atol=1e-12)
    part = mj.compile(lambda X, v: X @ v, (3, 2), (2,)).half_squares()
    X = rng.standard_normal((3, 2))
    J = np.concatenate([np.kron(np.eye(3), v), X], axis=1)
    assert_allclose(part.hessian(X, v, part="gauss-newton").toarray(), J.T @ J, atol=1e-12)
