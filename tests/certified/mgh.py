"""The problems of Moré, Garbow, Hillstrom: *Testing Unconstrained Optimization Software*, ACM TOMS 7 (1981) 17–41.

Each of the 35 is a sum of squares. `PROBLEMS` has them under the paper's numbers, with the sizes, standard starts and
minima that it gives: the first is the least, what follows are others, some of them at infinity. `ASTRAY` are those of
which the paper does not speak, where MINPACK ends from 10 times the standard start.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from certified import nist


class Problem(NamedTuple):
    """The residuals, where to start, and the sums of squares where the gradient is zero."""

    name: str
    fun: Callable
    start: np.ndarray
    minima: tuple[float, ...]


def rosenbrock(x):
    return np.stack([10 * (x[1] - x[0] ** 2), 1 - x[0]])


def freudenstein_roth(x):
    return np.stack([-13 + x[0] + ((5 - x[1]) * x[1] - 2) * x[1], -29 + x[0] + ((x[1] + 1) * x[1] - 14) * x[1]])


def powell_badly_scaled(x):
    return np.stack([1e4 * x[0] * x[1] - 1, np.exp(-x[0]) + np.exp(-x[1]) - 1.0001])


def brown_badly_scaled(x):
    return np.stack([x[0] - 1e6, x[1] - 2e-6, x[0] * x[1] - 2])


def beale(x):
    return np.array([1.5, 2.25, 2.625]) - x[0] * (1 - x[1] ** np.arange(1.0, 4.0))


def jennrich_sampson(x):
    i = np.arange(1.0, 11.0)
    return 2 + 2 * i - (np.exp(i * x[0]) + np.exp(i * x[1]))


def helical_valley(x):
    radius = np.sqrt(x[0] ** 2 + x[1] ** 2)
    # the paper's angle, arctan(x₂/x₁) and half a turn more where x₁ < 0, by one formula
    turns = 0.25 - np.arctan(x[0] / (radius + x[1])) / np.pi
    return np.stack([10 * (x[2] - 10 * turns), 10 * (radius - 1), x[2]])


BARD = np.array([0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39])


def bard(x):
    u = np.arange(1.0, 16.0)
    v = 16 - u
    return BARD - (x[0] + u / (v * x[1] + np.minimum(u, v) * x[2]))


GAUSSIAN = np.fromstring(
    """
    0.0009 0.0044 0.0175 0.0540 0.1295 0.2420 0.3521 0.3989 0.3521 0.2420 0.1295 0.0540 0.0175 0.0044 0.0009
    """,
    sep=" ",
)


def gaussian(x):
    t = (8 - np.arange(1.0, 16.0)) / 2
    return x[0] * np.exp(-x[1] * (t - x[2]) ** 2 / 2) - GAUSSIAN


def gulf(x):
    t = np.arange(1.0, 100.0) / 100
    y = 25 + (-50 * np.log(t)) ** (2 / 3)
    return np.exp(-(np.abs(y - x[1]) ** x[2]) / x[0]) - t


def box(x):
    t = 0.1 * np.arange(1.0, 11.0)
    return np.exp(-t * x[0]) - np.exp(-t * x[1]) - x[2] * (np.exp(-t) - np.exp(-10 * t))


def powell_singular(x):
    a, b, c, d = x[::4], x[1::4], x[2::4], x[3::4]
    return np.concatenate([a + 10 * b, 5**0.5 * (c - d), (b - 2 * c) ** 2, 10**0.5 * (a - d) ** 2])


def wood(x):
    first = [10 * (x[1] - x[0] ** 2), 1 - x[0], 90**0.5 * (x[3] - x[2] ** 2), 1 - x[2]]
    return np.stack([*first, 10**0.5 * (x[1] + x[3] - 2), (x[1] - x[3]) / 10**0.5])


def brown_dennis(x):
    t = np.arange(1.0, 21.0) / 5
    return (x[0] + t * x[1] - np.exp(t)) ** 2 + (x[2] + x[3] * np.sin(t) - np.cos(t)) ** 2


def biggs(x):
    t = 0.1 * np.arange(1.0, 14.0)
    y = np.exp(-t) - 5 * np.exp(-10 * t) + 3 * np.exp(-4 * t)
    return x[2] * np.exp(-t * x[0]) - x[3] * np.exp(-t * x[1]) + x[5] * np.exp(-t * x[4]) - y


OSBORNE = np.fromstring(
    """
    1.366 1.191 1.112 1.013 0.991 0.885 0.831 0.847 0.786 0.725 0.746 0.679 0.608 0.655 0.616 0.606
    0.602 0.626 0.651 0.724 0.649 0.649 0.694 0.644 0.624 0.661 0.612 0.558 0.533 0.495 0.500 0.423
    0.395 0.375 0.372 0.391 0.396 0.405 0.428 0.429 0.523 0.562 0.607 0.653 0.672 0.708 0.633 0.668
    0.645 0.632 0.591 0.559 0.597 0.625 0.739 0.710 0.729 0.720 0.636 0.581 0.428 0.292 0.162 0.098
    0.054
    """,
    sep=" ",
)


def osborne_2(x):
    t = np.arange(65.0) / 10
    peaks = sum(x[k] * np.exp(-((t - x[k + 7]) ** 2) * x[k + 4]) for k in (1, 2, 3))
    return OSBORNE - (x[0] * np.exp(-t * x[4]) + peaks)


def watson(x):
    t, j = np.arange(1.0, 30.0)[:, None] / 29, np.arange(x.size)
    slopes = j[1:] * t ** (j[1:] - 1)
    first = slopes @ x[1:] - (t**j @ x) ** 2 - 1
    return np.concatenate([first, np.stack([x[0], x[1] - x[0] ** 2 - 1])])


def extended_rosenbrock(x):
    return np.concatenate([10 * (x[1::2] - x[::2] ** 2), 1 - x[::2]])


def penalty_1(x):
    return np.concatenate([1e-5**0.5 * (x - 1), np.reshape(x @ x - 0.25, (1,))])


def penalty_2(x):
    n, root = x.size, 1e-5**0.5
    i = np.arange(2.0, n + 1)
    y = np.exp(i / 10) + np.exp((i - 1) / 10)
    middle = root * (np.exp(x[1:] / 10) + np.exp(x[:-1] / 10) - y)
    last = root * (np.exp(x[1:] / 10) - np.exp(-0.1))
    whole = np.stack([x[0] - 0.2, np.arange(float(n), 0, -1) @ x**2 - 1])
    return np.concatenate([whole, middle, last])


def variably_dimensioned(x):
    moment = np.arange(1.0, x.size + 1) @ (x - 1)
    return np.concatenate([x - 1, np.stack([moment, moment**2])])


def trigonometric(x):
    n = x.size
    return n - np.sum(np.cos(x)) + np.arange(1.0, n + 1) * (1 - np.cos(x)) - np.sin(x)


def brown_almost_linear(x):
    product = x[0]
    for k in range(1, x.size):
        product = product * x[k]
    return np.concatenate([x[:-1] + np.sum(x) - (x.size + 1), np.reshape(product - 1, (1,))])


def _grid(n):
    h = 1 / (n + 1)
    return h, h * np.arange(1.0, n + 1)


def _neighbours(x):
    zero = np.zeros(1)
    return np.concatenate([zero, x[:-1]]), np.concatenate([x[1:], zero])


def boundary_value(x):
    h, t = _grid(x.size)
    before, after = _neighbours(x)
    return 2 * x - before - after + h**2 * (x + t + 1) ** 3 / 2


def integral_equation(x):
    h, t = _grid(x.size)
    weights = np.where(t[:, None] >= t, (1 - t[:, None]) * t, t[:, None] * (1 - t))
    return x + h / 2 * (weights @ (x + t + 1) ** 3)


def broyden_tridiagonal(x):
    before, after = _neighbours(x)
    return (3 - 2 * x) * x - before - 2 * after + 1


def broyden_banded(x):
    n = x.size
    i, j = np.indices((n, n))
    band = ((j - i <= 1) & (i - j <= 5) & (i != j)).astype(float)
    return x * (2 + 5 * x**2) + 1 - band @ (x * (1 + x))


ROWS = 20


def linear_full_rank(x):
    return np.eye(ROWS, x.size) @ x - 2 / ROWS * np.sum(x) - 1


def linear_rank_1(x):
    return np.outer(np.arange(1.0, ROWS + 1), np.arange(1.0, x.size + 1)) @ x - 1


def linear_rank_1_with_zeros(x):
    rows, columns = np.arange(float(ROWS)), np.arange(1.0, x.size + 1)
    rows[-1] = columns[0] = columns[-1] = 0
    return np.outer(rows, columns) @ x - 1


def chebyquad(x):
    before, now = np.ones(x.size), 2 * x - 1
    means = []
    for i in range(1, x.size + 1):
        means.append(np.mean(now) - (0 if i % 2 else -1 / (i**2 - 1)))
        before, now = now, 2 * (2 * x - 1) * now - before
    return np.stack(means)


def _numbered(name, fun, start, *minima):
    return Problem(name, fun, np.array(start, float), minima)


def _of_nist(name):
    return nist.residuals(name)


def _grid_start(n):
    t = _grid(n)[1]
    return t * (t - 1)


PROBLEMS = {
    "1": _numbered("Rosenbrock", rosenbrock, [-1.2, 1], 0),
    "2": _numbered("Freudenstein and Roth", freudenstein_roth, [0.5, -2], 0, 48.9842),
    "3": _numbered("Powell badly scaled", powell_badly_scaled, [0, 1], 0),
    "4": _numbered("Brown badly scaled", brown_badly_scaled, [1, 1], 0),
    "5": _numbered("Beale", beale, [1, 1], 0),
    "6": _numbered("Jennrich and Sampson", jennrich_sampson, [0.3, 0.4], 124.362),
    "7": _numbered("helical valley", helical_valley, [-1, 0, 0], 0),
    "8": _numbered("Bard", bard, [1, 1, 1], 8.21487e-3, 17.4286),
    "9": _numbered("Gaussian", gaussian, [0.4, 1, 0], 1.12793e-8),
    "10": _numbered("Meyer", _of_nist("MGH10"), [0.02, 4000, 250], 87.9458),
    "11": _numbered("Gulf", gulf, [5, 2.5, 0.15], 0),
    "12": _numbered("Box three-dimensional", box, [0, 10, 20], 0),
    "13": _numbered("Powell singular", powell_singular, [3, -1, 0, 1], 0),
    "14": _numbered("Wood", wood, [-3, -1, -3, -1], 0),
    "15": _numbered("Kowalik and Osborne", _of_nist("MGH09"), [0.25, 0.39, 0.415, 0.39], 3.07505e-4, 1.02734e-3),
    "16": _numbered("Brown and Dennis", brown_dennis, [25, 5, -5, -1], 85822.2),
    "17": _numbered("Osborne 1", _of_nist("MGH17"), [0.5, 1.5, -1, 0.01, 0.02], 5.46489e-5),
    "18": _numbered("Biggs EXP6", biggs, [1, 2, 1, 1, 1, 1], 0, 5.65565e-3),
    "19": _numbered("Osborne 2", osborne_2, [1.3, 0.65, 0.65, 0.7, 0.6, 3, 5, 7, 2, 4.5, 5.5], 4.01377e-2),
    "20, n = 6": _numbered("Watson", watson, np.zeros(6), 2.28767e-3),
    "20, n = 9": _numbered("Watson", watson, np.zeros(9), 1.39976e-6),
    "20, n = 12": _numbered("Watson", watson, np.zeros(12), 4.72238e-10),
    "21": _numbered("extended Rosenbrock", extended_rosenbrock, np.tile([-1.2, 1], 10), 0),
    "22": _numbered("extended Powell singular", powell_singular, np.tile([3, -1, 0, 1], 10), 0),
    "23, n = 4": _numbered("penalty I", penalty_1, np.arange(1, 5), 2.24997e-5),
    "23, n = 10": _numbered("penalty I", penalty_1, np.arange(1, 11), 7.08765e-5),
    "24, n = 4": _numbered("penalty II", penalty_2, np.full(4, 0.5), 9.37629e-6),
    "24, n = 10": _numbered("penalty II", penalty_2, np.full(10, 0.5), 2.93660e-4),
    "25": _numbered("variably dimensioned", variably_dimensioned, 1 - np.arange(1, 11) / 10, 0),
    "26": _numbered("trigonometric", trigonometric, np.full(10, 0.1), 0, 2.79506e-5),
    "27": _numbered("Brown almost-linear", brown_almost_linear, np.full(10, 0.5), 0, 1),
    "28": _numbered("discrete boundary value", boundary_value, _grid_start(10), 0),
    "29": _numbered("discrete integral equation", integral_equation, _grid_start(10), 0),
    "30": _numbered("Broyden tridiagonal", broyden_tridiagonal, -np.ones(10), 0),
    "31": _numbered("Broyden banded", broyden_banded, -np.ones(10), 0),
    "32": _numbered("linear, full rank", linear_full_rank, np.ones(10), ROWS - 10),
    "33": _numbered("linear, rank 1", linear_rank_1, np.ones(10), ROWS * (ROWS - 1) / 2 / (2 * ROWS + 1)),
    "34": _numbered(
        *("linear, rank 1 with zeros", linear_rank_1_with_zeros, np.ones(10)),
        (ROWS**2 + 3 * ROWS - 6) / 2 / (2 * ROWS - 3),
    ),
    "35, n = 7": _numbered("Chebyquad", chebyquad, np.arange(1, 8) / 8, 0),
    "35, n = 8": _numbered("Chebyquad", chebyquad, np.arange(1, 9) / 9, 3.51687e-3),
    "35, n = 9": _numbered("Chebyquad", chebyquad, np.arange(1, 10) / 10, 0),
    "35, n = 10": _numbered("Chebyquad", chebyquad, np.arange(1, 11) / 11, 4.77271e-3, 6.50395e-3),
}

ASTRAY = {
    "5": 0.452009,
    "6": 259.580,
    "12": 0.0755887,
    "19": 1.78981,
    "26": 4.21863e-5,
    "35, n = 10": 9.50063e-3,
}
