"""Gradients of sums of squares, symmetric residuals and masks of zeros and ones: shorter programs, the same numbers."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from oracles import complex_step

import matjac as mj
from matjac.linear.primitives import Add, Multiply
from matjac.tracing.elementwise import Elementwise

rng = np.random.default_rng(8)
A, K = rng.standard_normal((4, 4)), (lambda B: B + B.T)(rng.standard_normal((4, 4)))
W, ONES = rng.standard_normal((3, 4)), (rng.random((3, 4)) < 0.5).astype(float)
SUMS = {
    "plain": lambda X: np.sum((X @ A) ** 2),
    "half": lambda X: 0.5 * np.sum((X @ A) ** 2),
    "divided": lambda X: np.sum(np.square(X @ A)) / 3,
    "both": lambda X: 2 * (np.sum((X @ A) ** 2) / 7),
    "mean": lambda X: np.mean((X @ A) ** 2),
    "by itself": lambda X: np.sum((X @ A) * (X @ A)),
    "a vector with itself": lambda X: 0.5 * (X.ravel() @ X.ravel()),
    "of a number": lambda X: 3 * np.sum(X) ** 2,
    "negative": lambda X: -np.sum((X - W) ** 2),
    "with a ridge": lambda X: 0.5 * np.sum((X @ A - W) ** 2) + 0.1 * np.sum(X**2),
    "of some axes": lambda X: np.sum(np.sum(X**2, axis=0) ** 2),
    "a square that is used twice": lambda X: np.sum((X @ A) ** 2) * np.sum(X),
    "symmetric": lambda X: 0.5 * np.sum((X.T @ X - K) ** 2),
    "not symmetric": lambda X: 0.5 * np.sum((X.T @ X - A) ** 2),
    "symmetric, entry by entry": lambda X: np.sum(np.tanh(X.T @ X * K) ** 2),
    "symmetric in part": lambda X: np.sum((X.T @ X * A) ** 2),
    "symmetric outside": lambda X: np.sum((X @ X.T) ** 2),
    "masked": lambda X: np.sum((ONES * (X @ A - W)) ** 2),
    "masked, less what is": lambda X: np.sum((ONES * (X @ A) - ONES * W) ** 2),
    "masked, less what is not": lambda X: np.sum((ONES * (X @ A) - W) ** 2),
    "masked twice": lambda X: np.sum((ONES * (X @ A) * np.tanh(X) + ONES * X) ** 2),
    "masked by a row": lambda X: np.sum((ONES[0] * (X @ A - W)) ** 2),
    "weighted": lambda X: np.sum((W * (X @ A - W)) ** 2),
    "entries once": lambda X: np.sum(((X @ A)[[0, 2, 1], [1, 1, 3]] - 2) ** 2),
    "entries twice": lambda X: np.sum(((X @ A)[[0, 2, 0], [1, 1, 1]] - 2) ** 2),
    "rows once": lambda X: np.sum((X @ A)[[2, 0]] ** 2),
    "rows twice": lambda X: np.sum((X @ A)[[2, 0, 2]] ** 2),
}


@pytest.mark.parametrize("dtype", [float, complex])
@pytest.mark.parametrize("name", SUMS)
def test_gradients_and_hessians(name, dtype):
    fun = SUMS[name]
    F, X = mj.compile(fun, (3, 4)), rng.standard_normal((3, 4)).astype(dtype)
    X = X + 0.2j * rng.standard_normal((3, 4)) if dtype is complex else X
    slope = complex_step(fun, X)
    value, gradient = F.value_and_gradient(X)
    assert_allclose(value, fun(X), rtol=1e-12)
    assert_allclose(gradient, slope, rtol=1e-10, atol=1e-10)
    assert_allclose(F.gradient(X), slope, rtol=1e-10, atol=1e-10)
    if dtype is float:
        mj.check(F, X, order=2)


@pytest.mark.parametrize("factor", [0.5, 1.0, 2])
def test_narrow_dtypes_stay(factor):
    X = rng.standard_normal((3, 4)).astype(np.float32)
    value, gradient = mj.compile(lambda X: factor * np.sum((X.T @ X) ** 2), (3, 4)).value_and_gradient(X)
    assert value.dtype == gradient.dtype == np.float32
    assert_allclose(gradient, 4 * factor * X @ (X.T @ X), rtol=1e-4)


def passes(F):
    """The steps over whole arrays that the value and its gradient take, beside products of matrices."""
    record = F._record.value_and_gradient(weighted=False)
    kinds = Add, Multiply, Elementwise
    return [
        step.primitive.name
        for step in record.steps
        if isinstance(step.primitive, kinds) and record.program.shapes[step.out] not in ((), (1, 1))
    ]


def test_a_gradient_by_hand_takes_no_fewer_passes():
    shape = (3, 4)
    assert passes(mj.compile(SUMS["symmetric"], shape)) == ["subtract", "multiply"]
    wide = mj.compile(lambda R: 0.5 * np.sum((R.T @ R - K) ** 2), (2, 4))
    record = wide._record.value_and_gradient(weighted=False)
    assert passes(wide) == ["subtract", "multiply"]
    assert record.program.shapes[record.results[1]] == (2, 4)
    assert isinstance(record.program.makers[record.results[1]].primitive, Multiply)
    assert passes(mj.compile(SUMS["half"], shape)) == []
    assert passes(mj.compile(lambda X: 0.5 * np.sum((ONES * (X @ A - W)) ** 2), shape)) == ["subtract", "multiply"]
    known = ONES * W
    assert passes(mj.compile(lambda X: 0.5 * np.sum((ONES * (X @ A) - known) ** 2), shape)) == ["multiply", "subtract"]
    assert passes(mj.compile(lambda X: 0.5 * np.sum((W * (X @ A - W)) ** 2), shape)) == ["subtract", *["multiply"] * 2]


def test_a_deep_chain_is_looked_through_once():
    def doubled(X):
        E = X.T @ X
        for _ in range(60):
            E = E + E * K
        return 0.5 * np.sum((1e-30 * E) ** 2)

    F, X = mj.compile(doubled, (2, 4)), 0.1 * rng.standard_normal((2, 4))
    assert_allclose(F.gradient(X), complex_step(doubled, X), rtol=1e-9)
