"""Each example at small size: it agrees with what is known, and draws its picture."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from measures import mpi
from numpy.testing import assert_allclose

EXAMPLES = Path(__file__).parent.parent / "examples"
SMALL = {
    "matrix_completion": ["--ratings", "3000", "--ranks", "1", "3", "--steps", "8"],
    "kernel_factorisation": ["--samples", "80", "--ranks", "1", "4", "--steps", "40"],
    "system_identification": ["--days", "300"],
    "covariance": ["--features", "6"],
    "gradient_flow": ["--size", "12"],
    "orthogonality": ["--features", "8", "--k", "2"],
    "factor_analysis": ["--items", "10", "--k", "2"],
    "vector_autoregression": ["--lags", "2"],
    "gauss_newton": ["--ratings", "3000", "--steps", "40", "--ridge", "3", "--backend", "qdldl"],
    "distributed_completion": ["--ratings", "3000", "--rank", "3", "--steps", "12"],
}


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(EXAMPLES))

    def main(name):
        picture = tmp_path / f"{name}.png"
        result = importlib.import_module(name).main([*SMALL[name], "--output", str(picture)])
        assert picture.stat().st_size > 10_000
        return result

    yield main
    for name in (*SMALL, "common"):
        sys.modules.pop(name, None)


def test_every_example_is_here():
    assert {path.stem for path in EXAMPLES.glob("*.py")} - {"common"} == set(SMALL)


def test_matrix_completion(run):
    errors = run("matrix_completion")
    assert all(training < held_out < 1.3 for training, held_out in errors.values())
    assert errors[3][0] < errors[1][0]


def test_kernel_factorisation(run):
    errors = run("kernel_factorisation")
    assert all(more < less for more, less in zip(errors[4], errors[1], strict=True))
    assert errors[4][1] < 0.1


def test_distributed_completion(run):
    mpi()
    fit, (training, held_out) = run("distributed_completion")
    assert training < held_out < 1.3
    assert fit.cost < 0.8 * fit.history[0, 1]


def test_system_identification(run):
    A, closed = run("system_identification")
    assert_allclose(A, closed, atol=1e-10)


def test_covariance(run):
    Sigma, S = run("covariance")
    assert_allclose(Sigma, S, atol=1e-4)


def test_gradient_flow(run):
    apart = run("gradient_flow")
    assert set(apart) == {"RK45", "BDF", "Radau"}
    assert max(apart.values()) < 2e-3
    assert min(apart["BDF"], apart["Radau"]) < 1e-4


def test_orthogonality(run):
    found, best = run("orthogonality")
    assert found == pytest.approx(best, rel=1e-7)


def test_gauss_newton(run):
    ours, driver = run("gauss_newton")
    assert np.isfinite(ours)
    assert ours < 1.01 * driver


def test_factor_analysis(run):
    ours, theirs, Sigma, peer = run("factor_analysis")
    assert ours == pytest.approx(theirs, abs=1e-7)
    assert_allclose(Sigma, peer, atol=1e-4)


def test_vector_autoregression(run):
    ours, peers, free = run("vector_autoregression")
    assert 0 < free.sum() < free.size
    assert (ours[1][~free] == 0).all()
    if peers is None:
        pytest.skip("statsmodels is not installed")
    for mine, its in zip(ours, peers, strict=True):
        assert_allclose(mine, its, rtol=1e-10)
