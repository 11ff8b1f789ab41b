"""Fits whose answers are published: NIST's nonlinear regressions, and the problems of Moré, Garbow and Hillstrom."""

import numpy as np
import pytest
from certified import mgh, nist
from certified.methods import METHODS, solve
from numpy.testing import assert_allclose

import matjac as mj

#: digits to which NIST's values are asked for
DIGITS = 6


def digits(found, certified):
    """To how many digits the worst of them agrees."""
    error = np.max(np.abs(found - certified) / np.abs(certified))
    return -np.log10(max(error, 1e-11)) if np.isfinite(error) else -np.inf


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("start", [0, 1], ids=["first", "second"])
@pytest.mark.parametrize("name", nist.MODELS)
def test_nist(name, start, method):
    data = nist.load(name)
    F = mj.compile(nist.residuals(name), data.parameters.shape)
    fit = solve(F, data.starts[start], method=method)
    assert digits(fit.x, data.parameters) >= DIGITS
    if name == "Lanczos1":
        # made of rounded values of the model: what is left is the rounding of its residuals
        assert 2 * fit.cost < 1e-18
        return
    assert digits(2 * fit.cost, data.squares) >= DIGITS
    R = np.linalg.qr(F.jac(fit.x).toarray(), mode="r")
    variance = 2 * fit.cost / (data.y.size - fit.x.size)
    deviations = np.sqrt(variance) * np.linalg.norm(np.linalg.inv(R), axis=1)
    assert digits(deviations, data.deviations) >= DIGITS - 1


@pytest.mark.parametrize("name", nist.MODELS)
def test_nist_models_are_those_of_the_files(name):
    data, residuals = nist.load(name), nist.residuals(name)
    squares = residuals(data.parameters) @ residuals(data.parameters)
    assert_allclose(squares, data.squares, rtol=1e-9, atol=1e-20)
    for start in data.starts:
        assert residuals(start) @ residuals(start) > (1 + 1e-3) * squares


def test_every_data_set_has_a_model():
    assert {path.stem for path in nist.FOLDER.glob("*.dat")} == set(nist.MODELS)


#: Powell's badly scaled function, from ten times the paper's start.
LOST = ("3",)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("number", mgh.PROBLEMS)
def test_more_garbow_hillstrom(number, method):
    problem = mgh.PROBLEMS[number]
    squares = 2 * solve(mj.compile(problem.fun, problem.start.shape), problem.start, method=method).cost
    # the paper gives six digits
    assert any(abs(squares - least) <= max(1e-12 if least == 0 else 0, 1e-5 * least) for least in problem.minima)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("number", mgh.PROBLEMS)
def test_more_garbow_hillstrom_from_afar(number, method, request):
    if number in LOST:
        request.applymarker(
            pytest.mark.xfail(strict=True, reason="it crawls where exp(-x) is nothing, and SciPy's trf too")
        )
    problem = mgh.PROBLEMS[number]
    start = 10 * problem.start
    squares = 2 * solve(mj.compile(problem.fun, start.shape), start, method=method).cost
    accepted = max(*problem.minima, mgh.ASTRAY.get(number, 0), 1e-12)
    assert squares <= (1 + 1e-4) * accepted


@pytest.mark.parametrize("number", mgh.PROBLEMS)
def test_derivatives_of_more_garbow_hillstrom(number):
    problem = mgh.PROBLEMS[number]
    mj.check(mj.compile(problem.fun, problem.start.shape), problem.start + 0.01)
