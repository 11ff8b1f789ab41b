"""Matrix differential equations: against closed forms and SciPy, with the time, several unknowns, and each face."""

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse as sp
from numpy.testing import assert_allclose
from scipy.integrate import solve_ivp as plain_solve_ivp

import matjac as mj
from matjac import solvers

METHODS = ["RK45", "BDF", "Radau", "LSODA"]
TIGHT = {"rtol": 1e-8, "atol": 1e-10}


def numbers(*shape):
    return np.random.default_rng(7).standard_normal(shape)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("order", ["C", "F"])
def test_of_the_time(method, order):
    A, B = numbers(3, 3) - 2 * np.eye(3), numbers(3, 2)
    F = mj.compile(lambda t, X: np.cos(t) * (A @ X) + t * B, (), (3, 2), order=order)
    X0 = numbers(3, 2) + 1
    fit = solvers.solve_ivp(F, (0.5, 2.0), X0, method, **TIGHT)
    assert fit.success

    def slope(t, x):
        return (np.cos(t) * (A @ x.reshape(3, 2, order=order)) + t * B).ravel(order)

    plain = plain_solve_ivp(slope, (0.5, 2.0), X0.ravel(order), "DOP853", rtol=1e-11, atol=1e-12)
    assert_allclose(fit.x, plain.y[:, -1], atol=1e-6)
    assert fit.states.shape == (fit.t.size, 3, 2)
    assert_allclose(fit.states[0], X0)
    assert_allclose(fit.variables[0], fit.states[-1])
    assert fit.nit == fit.t.size - 1
    assert len(fit.variables) == 1


@pytest.mark.parametrize("jac", ["dense", "csr"])
@pytest.mark.parametrize("method", ["BDF", "Radau"])
@pytest.mark.parametrize("by_hand", [False, True])
def test_the_time_goes_to_the_jacobian(method, jac, by_hand):
    # the slope's own slope, −500 (1 + t), is that of the time it is asked at: a wrong one would take far more steps
    A = np.array([[1.0, 0.3], [0.0, 0.8]])
    F, asked = mj.compile(lambda t, X: -500 * (1 + t) * (A @ X - np.sin(t) * np.eye(2)), (), (2, 2)), []
    if by_hand:
        given = F

        def jacobian(t, X):
            asked.append(float(t))
            return given.jacobian(t, X)

        F = mj.Function(given, jacobian, (), (2, 2))
    fit = solvers.solve_ivp(F, (0.0, 3.0), np.ones((2, 2)), method, jac=jac, **TIGHT)
    assert (fit.success, fit.jac) == (True, jac)
    plain = plain_solve_ivp(
        lambda t, x: (-500 * (1 + t) * (A @ x.reshape(2, 2) - np.sin(t) * np.eye(2))).ravel(),
        (0.0, 3.0),
        np.ones(4),
        method,
        jac=lambda t, x: -500 * (1 + t) * np.kron(A, np.eye(2)),
        **TIGHT,
    )
    assert_allclose(fit.x, plain.y[:, -1], atol=1e-7)
    assert abs(fit.nfev - plain.nfev) <= 0.05 * plain.nfev + 5
    assert not by_hand or max(asked, default=0) > 0


@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_several_unknowns(method, timed):
    # X and Y of two sizes that turn into each other: d/dt (X, y) = (1 yᵀ, −mean of X's rows), by blocks of one matrix
    def slopes(X, y):
        return np.concatenate([(np.ones((3, 1)) * y - 0.5 * X).ravel(), -np.sum(X, axis=0) / 3])

    F = (
        mj.compile(lambda t, X, y: slopes(X, y) * (1 + t), (), (3, 2), (2,))
        if timed
        else mj.compile(slopes, (3, 2), (2,))
    )
    X0, y0 = numbers(3, 2), numbers(2)
    fit = solvers.solve_ivp(F, (0.0, 1.0), (X0, y0), method, **TIGHT)
    X, y = fit.variables
    assert (X.shape, y.shape) == ((3, 2), (2,))
    assert [part.shape[1:] for part in fit.states] == [(3, 2), (2,)]
    assert_allclose(fit.states[1][0], y0)
    matrix = np.zeros((8, 8))
    for k, e in enumerate(np.eye(8)):
        matrix[:, k] = slopes(e[:6].reshape(3, 2), e[6:])
    # of the time only a factor 1 + t, whose integral is 1.5
    exact = scipy.linalg.expm((1.5 if timed else 1.0) * matrix) @ np.concatenate([X0.ravel(), y0])
    assert_allclose(fit.x, exact, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "face"), [("dense", "dense"), ("chain", "csr"), ("few", "dense"), ("congruence", "dense")]
)
@pytest.mark.parametrize("method", ["BDF", "Radau"])
def test_the_face_is_chosen_by_fill(name, face, method):
    n, m = 200, 12
    A = numbers(m, m) / m - np.eye(m)
    second = sp.diags_array([1.0, -2.0, 1.0], offsets=[-1, 0, 1], shape=(n, n)).tocsr()
    F, start = {
        "dense": (mj.compile(lambda X: -X @ (X.T @ X - np.eye(m)), (m, m)), numbers(m, m)),
        "chain": (mj.compile(lambda x: second @ x - x**3, (n,)), numbers(n)),
        "few": (mj.compile(lambda x: -(x**3), (5,)), numbers(5)),
        "congruence": (mj.compile(lambda X: A @ X + X @ A.T + np.eye(m), (m, m)), np.zeros((m, m))),
    }[name]
    found = {jac: solvers.solve_ivp(F, (0, 1), start, method, jac=jac, rtol=1e-6) for jac in (None, "dense", "csr")}
    assert found[None].jac == face
    assert (found["dense"].jac, found["csr"].jac) == ("dense", "csr")
    assert_allclose(found["dense"].x, found["csr"].x, rtol=1e-9, atol=1e-9)
    assert found["dense"].nfev == found["csr"].nfev


def test_complex_unknowns():
    A = numbers(2, 2)
    F = mj.compile(lambda t, X: 1j * t * (A @ X), (), (2, 2))
    for method in ("BDF", "RK45"):  # Radau is of real numbers
        fit = solvers.solve_ivp(F, (0, 1), np.eye(2) + 0j, method, **TIGHT)
        assert_allclose(fit.variables[0], scipy.linalg.expm(0.5j * A), atol=1e-6)


@pytest.mark.parametrize("method", ["BDF", "RK45"])
def test_it_stops_with_the_steps_until_then(method):
    F = mj.compile(lambda t, X: np.sqrt(1.0 - t) * X, (), (2, 2))
    with np.errstate(invalid="ignore"):
        fit = solvers.solve_ivp(F, (0, 2), np.eye(2), method, max_step=0.1)
    assert not fit.success
    assert 0.5 < fit.t[-1] <= 1.0
    assert fit.states.shape == (fit.t.size, 2, 2)
    assert fit.nit == fit.t.size - 1
    seen = []
    fit = solvers.solve_ivp(F, (0, 0.9), np.eye(2), method, progress=lambda at: seen.append(at.value) or at.value > 0.3)
    assert fit.status == solvers.STOPPED
    assert fit.t[-1] == seen[-1] > 0.3
    assert "seconds were over" in solvers.solve_ivp(F, (0, 0.9), np.eye(2), method, seconds=1e-9).message


@pytest.mark.parametrize(
    ("F", "start", "given", "error", "words"),
    [
        ("matrix", np.eye(2), {"jac": "operator"}, ValueError, "jac: got 'operator'"),
        ("matrix", np.eye(2), {"jac": "dense", "method": "RK45"}, ValueError, "jac: got 'dense' for RK45"),
        ("timed", np.ones(3), {}, ValueError, r"X: got shape \(3,\), expected \(2, 2\)"),
        ("several", np.ones(3), {}, TypeError, "start: got .*, expected a tuple with x, y"),
        ("several", (np.ones(3),), {}, TypeError, "arguments: got 1, expected 2"),
        ("few", np.eye(2), {}, ValueError, "F: got 2 values of 4 unknowns"),
    ],
)
def test_arguments_of_solve_ivp(F, start, given, error, words):
    F = {
        "matrix": mj.compile(lambda X: -X, (2, 2)),
        "timed": mj.compile(lambda t, X: -t * X, (), (2, 2)),
        "several": mj.compile(lambda x, y: np.concatenate([y, -x]), (3,), (3,)),
        "few": mj.compile(lambda t, X: t * X[0], (), (2, 2)),
    }[F]
    with pytest.raises(error, match=words):
        solvers.solve_ivp(F, (0, 1), start, **given)
