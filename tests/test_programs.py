"""Random programs of everything that is recorded, at two points, beside differences of the plain function."""

import numpy as np
import pytest
from programs import program

import matjac as mj


def differences(fun, x, step):
    """The Jacobian by central differences of the fourth order."""

    def value(v):
        return np.asarray(fun(v[:9].reshape(3, 3).copy(), v[9:].reshape(3, 3).copy())).reshape(-1)

    units = step * np.eye(x.size)
    columns = [8 * (value(x + d) - value(x - d)) - (value(x + 2 * d) - value(x - 2 * d)) for d in units]
    return np.stack(columns, axis=1) / (12 * step)


def compared(seed):
    """How many points were compared: not those at a kink, where differences of two steps part."""
    rng = np.random.default_rng(seed)
    fun = program(rng)
    try:
        F, count = mj.compile(fun, (3, 3), (3, 3)), 0
    except mj.TracingError:
        # a few: writes whose effect depends on the layout in memory, orders of arrays of single numbers
        return 0
    for _ in range(2):
        x = rng.standard_normal(18)
        at = x[:9].reshape(3, 3), x[9:].reshape(3, 3)
        value, wanted, again = fun(*(v.copy() for v in at)), differences(fun, x, 3e-4), differences(fun, x, 1e-3)
        scale = max(1.0, np.abs(wanted).max())
        if not np.all(np.isfinite(again)) or np.abs(wanted - again).max() > 1e-6 * scale:
            continue
        J, v, u = F.jacobian(*at), rng.standard_normal(18), rng.standard_normal(9)
        pairs = {
            "value": (F(*at), value),
            "entries": (J.toarray(), wanted),
            "J v": (J @ v, wanted @ v),
            "J.T u": (J.T @ u, wanted.T @ u),
            "gradient": (F.grad(x, u), wanted.T @ u),
        }
        for what, (found, expected) in pairs.items():
            largest = max(1.0, np.abs(expected).max())
            assert np.abs(found - expected).max() <= 1e-5 * largest, (seed, what)
        count += 1
    return count


@pytest.mark.parametrize("block", range(6))
def test_random_programs(block):
    with np.errstate(all="ignore"):
        count = sum(compared(seed) for seed in range(25 * block, 25 * (block + 1)))
    assert count > 40


@pytest.mark.slow
def test_many_random_programs():
    with np.errstate(all="ignore"):
        assert sum(compared(seed) for seed in range(1000, 2500)) > 2500
