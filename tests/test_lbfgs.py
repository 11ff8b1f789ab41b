"""Least squares by preconditioned L-BFGS: against SciPy's driver on dense Jacobians, and what is chosen unasked."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import optimize

import matjac as mj
from matjac.solvers import least_squares
from matjac.solvers.lbfgs import Pairs
from matjac.solvers.losses import LOSSES

rng = np.random.default_rng(3)
A = rng.standard_normal((4, 12))
K = A.T @ A + 0.3 * np.diag(rng.standard_normal(12))
MASK = np.triu(rng.random((12, 12)) < 0.7)
MASK = (MASK | MASK.T | np.eye(12, dtype=bool)).astype(float)
#: functions of one 4 × 12 matrix, near whose minimum the search starts
FITS = {
    "gram": lambda R: R.T @ R - K,
    "masked": lambda R: MASK * (R.T @ R - K),
    "listed": lambda R: (R.T @ R - K)[np.triu_indices(12)],
    "by a function": lambda R: np.tanh(0.1 * (R.T @ R)) - np.tanh(0.1 * K),
}


def plain(fun, start, **options):
    """The same by SciPy alone, differences for the Jacobian."""
    return optimize.least_squares(lambda x: fun(x.reshape(start.shape)).ravel(), start.ravel(), xtol=1e-14, **options)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("name", FITS)
def test_the_minimum_is_scipys(name, order):
    F, start = mj.compile(FITS[name], (4, 12), order=order), A + 0.2
    fit = least_squares(F, start, method="lbfgs")
    assert fit.success
    assert (fit.method, fit.nfev >= fit.nit > 0) == ("lbfgs", True)
    assert_allclose(fit.cost, plain(FITS[name], start).cost, rtol=1e-6)
    assert_allclose(fit.cost, 0.5 * np.sum(FITS[name](fit.variables[0]) ** 2))


@pytest.mark.parametrize("loss", [*LOSSES, lambda z: np.array([np.log1p(z), 1 / (1 + z), -1 / (1 + z) ** 2])])
def test_robust_losses(loss):
    F, start = mj.compile(FITS["gram"], (4, 12)), A + 0.2
    options = {"loss": loss, "f_scale": 0.2}
    fit, other = least_squares(F, start, method="lbfgs", **options), plain(FITS["gram"], start, **options)
    assert_allclose(fit.cost, other.cost, rtol=1e-5)


@pytest.mark.parametrize("scaled", [False, True])
def test_directions_are_those_of_the_two_loops(scaled):
    rng = np.random.default_rng(0)
    n, most = 12, 4
    H = (lambda B: B @ B.T + np.eye(n))(rng.standard_normal((n, n)))
    metric = (lambda q: q / np.diag(H)) if scaled else None
    pairs, kept = Pairs(n, most), []
    for count in range(7):
        g = rng.standard_normal(n)
        q, shares = -g, []
        for s, y in reversed(kept):
            shares.append(s @ q / (s @ y))
            q = q - shares[-1] * y
        q = metric(q) if scaled else q * (kept[-1][0] @ kept[-1][1] / (kept[-1][1] @ kept[-1][1])) if kept else q
        for (s, y), share in zip(kept, reversed(shares), strict=True):
            q = q + (share - y @ q / (s @ y)) * s
        assert_allclose(pairs.direction(g, metric, None), q, rtol=1e-9, atol=1e-12)
        s = rng.standard_normal(n)
        kept = [*kept, (s, H @ s)][-most:]
        pairs.add(s, H @ s, s @ H @ s)
        angles = [(s @ s) * (y @ y) / (s @ y) ** 2 for s, y in kept]
        assert_allclose(pairs.spread, np.prod(angles) ** (1 / most) if count >= most - 1 else 1.0)


def test_bounds_hold_at_every_step():
    F, seen = mj.compile(FITS["gram"], (4, 12)), []
    low, high, start = -0.7, 0.9, np.clip(A, -0.7, 0.9)
    fit = least_squares(F, start, method="lbfgs", bounds=(low, high), progress=lambda at: seen.append(at.x))
    assert all(((x >= low) & (x <= high)).all() for x in seen)
    assert_allclose(fit.cost, plain(FITS["gram"], start, bounds=(low, high)).cost, rtol=1e-5)
    # no step into the box along the gradient is left
    assert fit.optimality < 1e-2


def test_the_limit_of_evaluations():
    fit = least_squares(mj.compile(FITS["gram"], (4, 12)), A + 0.2, method="lbfgs", max_nfev=4)
    assert not fit.success
    assert fit.status == 0
    # a search that was begun is ended
    assert 4 <= fit.nfev < 12


def test_without_blocks_the_first_step_is_no_longer_than_one():
    # a matrix product after a function entry by entry: the blocks would need J's entries
    seen, steep = [], 1e6
    F = mj.compile(lambda X: steep * (np.tanh(X) @ np.tanh(X).T @ np.tanh(X) - 0.1), (20, 20))
    start = np.full((20, 20), 0.3)
    fit = least_squares(F, start, method="lbfgs", progress=lambda at: seen.append(at.x), max_nfev=2)
    assert fit.nfev == 2
    assert np.linalg.norm(seen[1] - seen[0]) <= 1 + 1e-12


def test_preconditioning_pays_where_the_problem_is_ill_conditioned():
    points = np.random.default_rng(0).standard_normal((120, 2))
    kernel = np.exp(-((points[:, None] - points[None]) ** 2).sum(-1) / 2)
    start = np.random.default_rng(1).standard_normal((12, 120)) / np.sqrt(12)
    F = mj.compile(lambda R: R.T @ R - kernel, start.shape)
    fit = least_squares(F, start)
    by_scipy = optimize.minimize(F.half_squares().value_and_grad, start.ravel(), jac=True, method="L-BFGS-B")
    assert fit.method == "lbfgs"
    assert fit.nfev < 0.6 * by_scipy.nfev
    assert fit.cost <= by_scipy.fun * (1 + 1e-4)


def test_the_choice():
    small, large = mj.compile(lambda x: x**2 - 2, (3,)), mj.compile(lambda R: R.T @ R, (20, 20))
    assert least_squares(small, np.ones(3)).method == "gauss-newton"
    assert least_squares(small, np.ones(3), x_scale=1.0).method == "trf"
    assert least_squares(large, np.eye(20), max_nfev=3).method == "lbfgs"
    assert least_squares(large, np.eye(20), max_nfev=3, jac="csr").method == "trf"
    chain = mj.compile(lambda x: np.concatenate([x[1:] - x[:-1] ** 2, 1 - x]), (500,))
    assert least_squares(chain, np.zeros(500), max_nfev=3).method == "gauss-newton"
    assert least_squares(small, np.ones(3), method="lm").method == "lm"


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"method": "newton"}, ValueError, "method: got 'newton'"),
        ({"method": "lbfgs", "jac": "csr"}, ValueError, "jac: got 'csr' for lbfgs"),
        ({"method": "lbfgs", "tr_options": {}}, TypeError, "tr_options: got an option that lbfgs does not take"),
        ({"method": "lbfgs", "loss": "square"}, ValueError, "loss: got 'square'"),
        ({"method": "lbfgs", "f_scale": 0}, ValueError, "f_scale: got 0"),
        ({"method": "lbfgs", "xtol": -1}, ValueError, "xtol: got -1"),
        ({"method": "lbfgs", "max_nfev": "3"}, TypeError, "max_nfev: got"),
    ],
)
def test_refused(options, error, text):
    with pytest.raises(error, match=text):
        least_squares(mj.compile(lambda x: x**2 - 2, (3,)), np.ones(3), **options)
