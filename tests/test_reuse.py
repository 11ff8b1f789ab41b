"""Results written over operands: the same numbers, and nothing that anyone else holds is written over."""

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import matjac as mj

N = 140
rng = np.random.default_rng(4)
A, X0 = rng.standard_normal((N, N)), rng.standard_normal((N, N)) / N
NARROW = A.astype(np.float32)


def chain(X):
    Y = X @ A
    for _ in range(4):
        Y = np.tanh(Y * 0.5 + A) - A
    return Y


def used_again(X):
    Y = X @ A
    Z = np.exp(-Y)
    return Z * Y + Z


def through_views(X):
    Y = X @ A
    Z = Y + A
    return np.concatenate([(Z + Z.T).ravel(), (np.sin(Y).reshape(-1) * Y.ravel()), Y[0] * 2])


def broadcast(X):
    row = X @ A
    return (row[0] + row) * (row[:, :1] - row) / (2 + row * row)


FUNCTIONS = {
    "chain": chain,
    "used again": used_again,
    "through views": through_views,
    "broadcast": broadcast,
    "sums": lambda X: np.sum((X @ A - A) * (X @ A - A), axis=0),
    "itself": lambda X: (X @ A) * (X @ A) - (X @ A),
    "three": lambda X: X @ A + X + A - X @ X,
    "a stack": lambda X: np.exp(np.stack([X, 2 * X]) @ A * 0.1) - 1.0,
    "narrow constants": lambda X: (X @ NARROW * NARROW - 2) / (1 + NARROW**2),
    "complex constants": lambda X: np.exp(X @ A * 1j) * (1 + 2j) - A,
    "the value is an argument": lambda X: X,
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_gradients(name, dtype):
    fun, X = FUNCTIONS[name], X0.astype(dtype)
    F, kept = mj.compile(fun, X.shape), X.copy()
    wanted = fun(X)
    narrow = np.result_type(wanted.dtype, dtype) in (np.float32, np.complex64)
    tolerance = {"rtol": 1e-4, "atol": 1e-4} if narrow or dtype == np.float32 else {"rtol": 1e-11, "atol": 1e-12}
    for _ in range(2):
        assert_allclose(F(X), wanted, **tolerance)
    assert F(X).dtype == wanted.dtype
    w = rng.standard_normal(wanted.shape)
    J = F.jacobian(X)
    slope = J.T @ w.ravel()
    value, gradient = F.value_and_gradient(X, weights=w)
    assert_allclose(value, wanted, **tolerance)
    assert_allclose(gradient.ravel(), slope, rtol=1e-3, atol=1e-3 if tolerance["rtol"] > 1e-5 else 1e-9)
    assert_allclose(F.gradient(X, weights=w), gradient, **tolerance)
    assert_array_equal(X, kept)
    again = F(X)
    again[...] = 0
    assert_allclose(F(X), wanted, **tolerance)


def test_constants_data_and_what_rules_keep_stay():
    held = []

    def keeps(Y):
        held.append(Y)
        return np.sin(Y)

    rule = mj.rule(keeps, differential=lambda Y, dY: np.cos(Y) * dY)
    F = mj.compile(lambda X, K: np.exp(rule(X @ A) - K) * K, (N, N), (N, N))
    K = rng.standard_normal((N, N))
    G = F.bind(K=K)
    # what is recorded is run at points of its own
    G.value_and_gradient(X0, weights=np.ones((N, N)))
    held.clear()
    wanted = np.exp(np.sin(X0 @ A) - K) * K
    for _ in range(2):
        assert_allclose(G(X0), wanted)
        G.value_and_gradient(X0, weights=wanted)
        assert_allclose(F(X0, K), wanted)
    assert held
    for Y in held:
        assert_allclose(Y, X0 @ A)


def test_a_chain_takes_the_memory_of_one_step():
    def long(X):
        Y = X @ A
        for _ in range(10):
            Y = np.tanh(Y * 0.5) + A
        return Y

    F = mj.compile(long, (N, N))
    F(X0)
    tracemalloc.start()
    F(X0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # the arguments' copy, one array that is written over, and the copy that is returned
    assert peak < 3.2 * X0.nbytes
