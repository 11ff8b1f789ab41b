"""Random programs of everything that is recorded, at two points, beside differences of the plain function."""

import numpy as np
import pytest
from measures import LONG
from programs import program

import matjac as mj

MANY = max(LONG, 500)


def differences(value, x, step):
    """The Jacobian by central differences of the fourth order."""
    units = step * np.eye(x.size)
    columns = [8 * (value(x + d) - value(x - d)) - (value(x + 2 * d) - value(x - 2 * d)) for d in units]
    return np.stack(columns, axis=1) / (12 * step)


def compared(seed):
    """How many points were compared: not those at a kink, where differences of two steps part."""
    rng = np.random.default_rng(seed)
    fun, order = program(rng), "CF"[seed % 2]
    try:
        F, count = mj.compile(fun, (3, 3), (3, 3), order=order), 0
    except mj.TracingError:
        # a few: writes whose effect depends on the layout in memory, orders of arrays of single numbers
        return 0

    def value(x):
        return np.asarray(fun(*(part.copy(order="C") for part in F.unpack(x)))).reshape(-1, order=order)

    for _ in range(2):
        x = rng.standard_normal(18)
        wanted, again = differences(value, x, 3e-4), differences(value, x, 1e-3)
        scale = max(1.0, np.abs(wanted).max())
        if not np.all(np.isfinite(again)) or np.abs(wanted - again).max() > 1e-6 * scale:
            continue
        J, v, u = F.jac(x), rng.standard_normal(18), rng.standard_normal(9)
        pairs = {
            "value": (F.fun(x), value(x)),
            "entries": (J.toarray(), wanted),
            "J v": (J @ v, wanted @ v),
            "J.T u": (J.T @ u, wanted.T @ u),
            "gradient": (F.grad(x, u), wanted.T @ u),
        }
        for what, (found, expected) in pairs.items():
            largest = max(1.0, np.abs(expected).max())
            assert np.abs(found - expected).max() <= 1e-5 * largest, (seed, what)
        count += 1
    of_faces(F, rng, seed)
    return count


def of_faces(F, rng, seed):
    """Where entries are zero the pattern is the same, and all faces are of one matrix; all is in the value's dtype."""
    general = rng.standard_normal(18)
    with_zeros = np.where(rng.random(18) < 0.4, 0.0, np.round(rng.standard_normal(18), 1))
    v, u, pattern = rng.standard_normal(18), rng.standard_normal(9), F.jac_csr(general).indices.tobytes()
    for x, where in ((general, "at a general point"), (with_zeros, "with zeros")):
        J = F.jac(x)
        A = J.tocsr()
        assert A.indices.tobytes() == pattern, (seed, "pattern", where)
        if np.all(np.isfinite(A.data)):
            scale = max(1.0, np.abs(A.data).max(initial=0))
            gaps = {"J v": J @ v - A @ v, "J.T u": J.T @ u - A.T @ u, "gradient": F.grad(x, u) - A.T @ u}
            for what, gap in gaps.items():
                assert np.abs(gap).max() <= 1e-9 * scale, (seed, what, where)
    narrow = [part.astype(np.float32) for part in F.unpack(rng.standard_normal(18))]
    assert F.jacobian(*narrow).dtype == F(*narrow).dtype, (seed, "dtype of the Jacobian")


@pytest.mark.parametrize("block", range(6))
def test_random_programs(block):
    with np.errstate(all="ignore"):
        count = sum(compared(seed) for seed in range(25 * block, 25 * (block + 1)))
    assert count > 40


@pytest.mark.slow
def test_many_random_programs():
    with np.errstate(all="ignore"):
        assert sum(compared(seed) for seed in range(1000, 1000 + MANY)) > 1.6 * MANY
