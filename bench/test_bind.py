"""New data for a compiled function: bound, compiled anew, and closed over by a NumPy function.

What is timed ends with the value and the gradient at a point, so that no way puts off its work; a gradient of the
closure is written by hand.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import matjac as mj

rng = np.random.default_rng(0)


def gram(n, rank):
    return (lambda R, K: R.T @ R - K), (rank, n), (n, n)


def by_hand(R, K):
    E = R.T @ R - K
    return E, 2 * R @ (E + E.T) / 2


SIZES = {"2 × 3": (3, 2), "20 × 300": (300, 20)}


@pytest.fixture(params=SIZES)
def problem(request):
    fun, shape, data = gram(*SIZES[request.param])
    F = mj.compile(fun, shape, data)
    stack = rng.standard_normal((5, *data))
    stack = stack + stack.transpose(0, 2, 1)
    R = rng.standard_normal(shape)
    F.bind(K=stack[0]).half_squares().value_and_gradient(R)
    return request.param, fun, F.half_squares(), stack, R


WAYS = {
    "bind": lambda fun, half, K, R: half.bind(K=K),
    "bind, value and gradient": lambda fun, half, K, R: half.bind(K=K).value_and_gradient(R)[1],
    "compile, value and gradient": lambda fun, half, K, R: (
        mj.compile(lambda R: fun(R, K), R.shape).half_squares().value_and_gradient(R)[1]
    ),
    "a closure by hand, value and gradient": lambda fun, half, K, R: by_hand(R, K)[1],
}


@pytest.mark.parametrize("way", WAYS)
def test_new_data(benchmark, problem, way):
    name, fun, half, stack, R = problem
    benchmark.group = f"new data: Gram, R {name}"
    at = iter(range(10**9))
    half.bind(K=stack[0]).value_and_gradient(R)
    last = []

    def run():
        last[:] = [stack[next(at) % len(stack)]]
        return WAYS[way](fun, half, last[0], R)

    rounds, iterations = (30, 1) if way.startswith("compile") else (200, 5)
    slope = benchmark.pedantic(run, rounds=rounds, iterations=iterations, warmup_rounds=2)
    slope = slope.gradient(R) if way == "bind" else slope
    assert_allclose(slope, by_hand(R, last[0])[1], rtol=1e-10, atol=1e-10)
