"""What `fits` compares is the same: costs and gradients by hand, and what peers minimise."""

import numpy as np
import pytest
from fit_peers import Trace, als_sweeps, lbfgs, peers
from fit_problems import FITS

SMALL = [name for name in FITS if name not in ("movielens_50", "bundle_50k")]


@pytest.mark.parametrize("name", FITS)
def test_by_hand_it_is_the_same_cost_and_gradient(name):
    fit = FITS[name]()
    x = fit.x0 * (1 + 1e-2 * np.random.default_rng(0).standard_normal(fit.x0.size))
    cost, gradient = fit.by_hand(x)
    e = fit.F.fun(x)
    assert cost == pytest.approx(0.5 * (e @ e), rel=1e-12)
    np.testing.assert_allclose(gradient, fit.F.jac(x).T @ e, atol=1e-12 * np.abs(gradient).max())


@pytest.mark.parametrize("name", SMALL)
def test_all_begin_at_the_same_start_and_go_down(name):
    fit = FITS[name]()
    first = fit.by_hand(fit.x0)[0]
    for run in peers(name):
        trace = Trace(steps=4)
        run(fit, trace)
        costs = [cost for _, cost in trace.points]
        assert min(costs) < first, run.__doc__
        assert all(seconds >= 0 for seconds, _ in trace.points)


@pytest.mark.parametrize("name", ["bundle_2k", "gram"])
def test_peers_end_at_the_same_cost(name):
    fit = FITS[name]()
    ends = []
    for run in peers(name):
        trace = Trace()
        run(fit, trace)
        ends.append(min(cost for _, cost in trace.points))
    np.testing.assert_allclose(ends, ends[0], rtol=1e-3)


def test_alternating_least_squares_makes_the_films_gradient_zero():
    fit = FITS["movielens_10"]()
    _, U, V = als_sweeps(fit, 2)[-1]
    gradient = fit.by_hand(fit.F.pack(U, V))[1]
    assert np.abs(gradient[U.size :]).max() < 1e-9 * np.abs(gradient).max()


def test_a_run_ends_where_it_is_told_to():
    fit = FITS["gram"]()
    trace = Trace(enough=2 * fit.least)
    lbfgs(fit, trace)
    assert trace.points[-1][1] <= 2 * fit.least < trace.points[-2][1]
