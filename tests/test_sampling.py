"""Few entries of a large array are made alone: the same numbers and places as of the whole, without it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measures import LONG, peak
from numpy.testing import assert_allclose, assert_array_equal

import matjac as mj
from matjac.tracing import lazy

M, N, K = 5, 4, 2

STARTS = {
    "product": lambda U, V: U @ V.T,
    "outer": lambda U, V: np.outer(U[:, 0], V[:, 1]),
    "sums": lambda U, V: U[:, :1] + V[:, 0],
    "distances": lambda U, V: np.sum((U[:, None, :] - V[None, :, :]) ** 2, axis=2),
    "einsum": lambda U, V: np.einsum("ik,jk->ij", U, V),
    "number": lambda U, V: np.broadcast_to(np.sum(U), (M, N)) + V[0, 0],
    "of itself": lambda U, V: (U @ V.T) @ (V @ V.T),
}
STEPS = {
    "tanh": np.tanh,
    "square": lambda Y: Y * Y,
    "bias": lambda Y: Y + np.arange(Y.shape[-1]),
    "column": lambda Y: Y * np.arange(1.0, 1 + Y.shape[-2])[:, None],
    "minus data": lambda Y: Y - np.arange(Y.size).reshape(Y.shape),
    "number": lambda Y: 2 * Y - 1,
    "mask": lambda Y: Y * np.tri(*Y.shape[-2:]),
    "transpose": lambda Y: Y.T,
    "reshape": lambda Y: Y.reshape(2, -1),
    "wide": lambda Y: np.broadcast_to(Y, (2, *Y.shape)).reshape(2 * Y.shape[0], -1),
    "negative": lambda Y: -Y,
    "again": lambda Y: Y - 0.1 * Y * np.exp(-Y * Y) + Y.T.T,
    "if positive": lambda Y: np.where(Y > 0, Y, 0.5 * Y),
    "where there is data": lambda Y: np.where(np.tri(*Y.shape[-2:]) > 0, Y, 0),
    "one of two": lambda Y: np.where((Y > 0.3) & (np.sign(Y) > Y - 1), Y, np.arange(Y.shape[-1])),
    "between": lambda Y: np.clip(Y, -0.6, 0.7),
    "written": lambda Y: _written(Y),
    "narrow": lambda Y: Y.astype(np.float32),
}


def _written(Y):
    Z = Y.copy()
    Z[0] = 2 * Z[1]
    return Z


TAKES = {
    "pairs": lambda Y, rng: Y[rng.integers(0, Y.shape[0], 6), rng.integers(-Y.shape[1], Y.shape[1], 6)],
    "flat": lambda Y, rng: Y.ravel()[rng.integers(0, Y.size, (2, 3))],
    "mask": lambda Y, rng: Y[rng.random(Y.shape) < 0.4],
    "rows": lambda Y, rng: Y[[1, 0, 1]],
    "beside a slice": lambda Y, rng: Y[1:, [0, 1]],
    "take": lambda Y, rng: np.take(Y, rng.integers(0, Y.size, 5)),
    "take rows": lambda Y, rng: np.take(Y, [1, -1, 1], axis=-2),
    "twice": lambda Y, rng: Y[[0, 1], [1, 0]] * Y[[1, 1], [0, 1]],
    "and the whole": lambda Y, rng: Y[[0, 1], [1, 0]] + np.sum(Y),
}


def function(start, steps, end, seed):
    def fun(U, V):
        Y = STARTS[start](U, V)
        for name in steps:
            Y = STEPS[name](Y)
        return TAKES[end](Y, np.random.default_rng(seed))

    return fun


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("end", TAKES)
def test_the_numbers_and_places_are_those_of_the_whole(start, end, monkeypatch):
    @settings(max_examples=max(8, LONG))
    @given(st.lists(st.sampled_from(sorted(STEPS)), max_size=4), st.integers(0, 99))
    def same(steps, seed):
        rng, fun = np.random.default_rng(seed), function(start, steps, end, seed)
        U, V = rng.standard_normal((M, K)), rng.standard_normal((N, K))
        plain = mj.compile(fun, U, V)
        with monkeypatch.context() as patched:
            patched.setattr(lazy, "LARGE", 0)
            patched.setattr(lazy, "FEW", 1)
            F = mj.compile(fun, U, V)
        rough = 1e-5 if "narrow" in steps else 1e-12
        assert F(U, V).dtype == fun(U, V).dtype
        assert_allclose(F(U, V), fun(U, V), rtol=rough, atol=rough)
        J, expected = F.jacobian(U, V).tocsr(), plain.jacobian(U, V).tocsr()
        assert J.dtype == expected.dtype
        scale = max(1.0, np.abs(expected.data).max(initial=0))
        assert_allclose(J.toarray(), expected.toarray(), rtol=0, atol=10 * rough * scale)
        assert_array_equal(J.indptr, expected.indptr)
        assert_array_equal(J.indices, expected.indices)

    same()


ROWS, COLUMNS = np.random.default_rng(0).integers(0, 1500, (2, 400))
LARGE = {
    "biased factors": lambda U, V: (U @ V.T + U[:, :1] + V[:, 0] - 3.0)[ROWS, COLUMNS],
    "links": lambda U, V: 1 / (1 + np.exp(-(U @ V.T)))[ROWS, COLUMNS],
    "transposed": lambda U, V: (V @ U.T).T[ROWS, COLUMNS],
    "flat": lambda U, V: (2 * (U @ V.T)).ravel()[ROWS * 1500 + COLUMNS],
    "rectified": lambda U, V: np.where(U @ V.T > 1, U @ V.T, U[:, :1])[ROWS, COLUMNS],
    "taken flat": lambda U, V: np.take(2 * (U @ V.T), ROWS * 1500 + COLUMNS),
    "outer": lambda U, V: np.outer(U[:, 0], V[:, 0])[ROWS, COLUMNS],
    "distances": lambda U, V: np.sqrt(np.sum(U**2, 1)[:, None] + np.sum(V**2, 1) - 2 * U @ V.T)[ROWS, COLUMNS],
}


@pytest.mark.parametrize("name", LARGE)
def test_the_whole_is_never_made(name):
    fun, rng = LARGE[name], np.random.default_rng(1)
    U, V = rng.random((1500, 3)), rng.random((1500, 3))
    made = []
    assert peak(lambda: made.append(mj.compile(fun, U.shape, V.shape))) < 3e6
    (F,) = made
    v, u = rng.standard_normal(9000), rng.standard_normal(400)
    for act in (
        lambda: F(U, V),
        lambda: F.jacobian(U, V) @ v,
        lambda: F.jacobian(U, V).T @ u,
        lambda: F.jac_csr(F.pack(U, V)),
    ):
        act()
        assert peak(act) < 2e6
    assert_allclose(F(U, V), fun(U, V), rtol=1e-9)
    assert mj.check(F, U, V) < 1e-6


@pytest.mark.parametrize(
    ("again", "count"),
    # more than 100 steps, and places that come back where they were
    [(lambda Y: Y - 0.1 * Y * Y, 40), (lambda Y: 0.5 * (Y + Y.T) * Y, 40)],
)
def test_many_steps_that_use_one_another(again, count):
    def fun(U, V):
        Y = 0.1 * U @ V.T
        for _ in range(count):
            Y = again(Y)
        return Y[ROWS, COLUMNS]

    U, V = np.random.default_rng(1).random((2, 1500, 3))
    F = mj.compile(fun, U.shape, V.shape)
    assert_allclose(F(U, V), fun(U, V), rtol=1e-9)


def test_what_goes_by_values_has_the_values():
    """Errors that a function catches itself, and steps whose kind is found out by trying them."""
    x = np.arange(1100.0)

    def fun(x):
        K = np.exp(-np.abs(x[:, None] - x))
        try:
            L = np.linalg.cholesky(K)
        except np.linalg.LinAlgError:
            L = np.linalg.cholesky(K + 0.1 * np.eye(len(K)))
        return np.diag(L)[:3]

    assert_allclose(mj.compile(fun, x)(x), fun(x))

    def centred(U, V):
        Y = U @ V.T
        return np.piecewise(Y, [Y < 1], [lambda y: y - y.mean(), lambda y: y])[ROWS, COLUMNS]

    with pytest.raises(mj.TracingError, match="piecewise"):
        mj.compile(centred, (1500, 3), (1500, 3))
    with pytest.raises(mj.TracingError, match="unique"):
        mj.compile(lambda U, V: np.unique((U @ V.T)[ROWS, COLUMNS]), (200_000, 2), (200_000, 2))


def test_a_compiled_function_inside():
    inner = mj.compile(lambda U, V: U @ V.T + 1, (1500, 3), (1500, 3))
    U, V = np.random.default_rng(1).random((2, 1500, 3))
    made = []
    assert peak(lambda: made.append(mj.compile(lambda U, V: (inner(U, V) * 2)[ROWS, COLUMNS], U, V))) < 3e6
    assert_allclose(made[0](U, V), 2 * (U @ V.T + 1)[ROWS, COLUMNS])
