"""Systems of equations: textbook ones with known solutions, matrix equations, and ends that are none."""

import functools

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize as so
import scipy.sparse as sp
from numpy.testing import assert_allclose

import matjac as mj
from matjac import solvers

# Systems of Moré, Garbow and Hillstrom, "Testing unconstrained optimization software" (1981), by their numbers there.


def rosenbrock(x):  # 1
    return np.stack([10 * (x[1] - x[0] ** 2), 1 - x[0]])


def powell_singular(x):  # 13
    a, b, c, d = x
    return np.stack([a + 10 * b, np.sqrt(5) * (c - d), (b - 2 * c) ** 2, np.sqrt(10) * (a - d) ** 2])


def powell_badly_scaled(x):  # 3
    return np.stack([1e4 * x[0] * x[1] - 1, np.exp(-x[0]) + np.exp(-x[1]) - 1.0001])


def wood(x):  # 14, the gradient's equations as MINPACK's tests have them
    a, b, c, d = x
    s, t = b - a**2, d - c**2
    return np.stack(
        [
            -200 * a * s - (1 - a),
            200 * s + 20.2 * (b - 1) + 19.8 * (d - 1),
            -180 * c * t - (1 - c),
            180 * t + 20.2 * (d - 1) + 19.8 * (b - 1),
        ]
    )


def helical_valley(x):  # 7
    a, b, c = x
    r = np.sqrt(a**2 + b**2)
    # the angle of (a, b), smooth but for a = 0, b < 0
    angle = np.pi / 2 - 2 * np.arctan(a / (r + b))
    return np.stack([10 * (c - 10 * angle / (2 * np.pi)), 10 * (r - 1), c])


def trigonometric(x):  # 26
    n = x.size
    return n - np.sum(np.cos(x)) + np.arange(1, n + 1) * (1 - np.cos(x)) - np.sin(x)


def brown_almost_linear(x):  # 27
    n = x.size
    product = functools.reduce(lambda a, b: a * b, [x[k] for k in range(n)])
    return np.concatenate([x[:-1] + np.sum(x) - (n + 1), np.stack([product - 1])])


def discrete_boundary_value(x):  # 28
    n, h = x.size, 1 / (x.size + 1)
    t = h * np.arange(1, n + 1)
    second = sp.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(n, n)).tocsr()
    return second @ x + h**2 * (x + t + 1) ** 3 / 2


def discrete_integral(x):  # 29
    n, h = x.size, 1 / (x.size + 1)
    t = h * np.arange(1, n + 1)
    green = np.minimum.outer(t, t) * (1 - np.maximum.outer(t, t))
    return x + h / 2 * (green @ (x + t + 1) ** 3)


def broyden_tridiagonal(x):  # 30
    n = x.size
    neighbours = sp.diags_array([-1.0, -2.0], offsets=[-1, 1], shape=(n, n)).tocsr()
    return (3 - 2 * x) * x + neighbours @ x + 1


def broyden_banded(x):  # 31
    n = x.size
    near = sp.csr_array(np.tri(n, n, 1) - np.tri(n, n, -6) - np.eye(n))
    return x * (2 + 5 * x**2) + 1 - near @ (x * (1 + x))


def chebyquad(x):  # 35
    n = x.size
    before, here, rows = np.ones(n), 2 * x - 1, []
    for k in range(1, n + 1):
        rows.append(np.sum(here) / n - (-1.0 / (k * k - 1) if k % 2 == 0 else 0.0))
        before, here = here, 2 * (2 * x - 1) * here - before
    return np.stack(rows)


def _grid(n):
    t = np.arange(1, n + 1) / (n + 1)
    return t * (t - 1)


SYSTEMS = {
    "Rosenbrock": (rosenbrock, [-1.2, 1]),
    "Powell singular": (powell_singular, [3.0, -1, 0, 1]),
    "Powell badly scaled": (powell_badly_scaled, [0.0, 1]),
    "Wood": (wood, [-3.0, -1, -3, -1]),
    "helical valley": (helical_valley, [-1.0, 0, 0]),
    "trigonometric": (trigonometric, np.full(10, 0.1)),
    "Brown almost linear": (brown_almost_linear, np.full(10, 0.5)),
    "discrete boundary value": (discrete_boundary_value, _grid(10)),
    "discrete integral": (discrete_integral, _grid(10)),
    "Broyden tridiagonal": (broyden_tridiagonal, np.full(10, -1.0)),
    "Broyden banded": (broyden_banded, np.full(10, -1.0)),
    "Chebyquad 5": (chebyquad, np.arange(1, 6) / 6),
    "Chebyquad 7": (chebyquad, np.arange(1, 8) / 8),
    "Chebyquad 9": (chebyquad, np.arange(1, 10) / 10),
}


@pytest.mark.parametrize("jac", [None, "dense", "csr", "operator"])
@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("factor", [1, 10, 100])
def test_textbook_systems(name, jac, factor):
    function, start = SYSTEMS[name]
    start = factor * np.asarray(start, float)
    F = mj.compile(function, start)
    fit = solvers.root(F, start, jac=jac)
    print(name, factor, jac, fit.success, fit.nit, fit.nfev, fit.message)
    assert fit.success
