"""The uses of `uses.py`: right, or refused with a word on what to write instead."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from uses import POINTS, USES

import matjac as mj

#: Those that are refused, each with a part of the message.
REFUSED = {
    "scipy.special.logsumexp": r"mj\.special\.logsumexp",
    "scipy.special.softmax": r"mj\.special\.softmax",
    "scipy.special.gammainc of a": r"scipy\.special\.gammainc",
    "scipy.linalg.expm": r"mj\.linalg\.expm",
    "scipy.linalg.solve": r"mj\.linalg\.solve",
    "scipy.linalg.sqrtm": r"mj\.linalg\.sqrtm",
    "scipy.linalg.cho_factor": r"mj\.linalg\.cho_factor",
    "scipy.linalg.solve_triangular": r"mj\.linalg\.solve_triangular",
    "if on a value": r"np\.where",
    "X[X > 0]": r"np\.where",
    "X[X < 0] *= 2": r"np\.where",
    "np.linalg.eigvals": r"np\.linalg\.eigvals",
    "np.linalg.eig": r"np\.linalg\.eig",
}


def flat(value):
    parts = value if isinstance(value, tuple | list) else [value]
    return np.concatenate([np.ravel(part) for part in parts])


def derivative(fun, x):
    """The Jacobian by central differences of two steps, extrapolated: an error of the fourth order."""

    def central(step):
        units = np.eye(x.size).reshape(x.size, *x.shape) * step
        return np.stack([(flat(fun(x + d)) - flat(fun(x - d))) / (2 * step) for d in units], axis=1)

    return (4 * central(1e-4) - central(2e-4)) / 3


@pytest.mark.parametrize("name", USES)
def test_a_use_is_right_or_refused(name):
    point, fun = USES[name]
    x = POINTS[point]
    if name in REFUSED:
        with pytest.raises(mj.TracingError, match=REFUSED[name]):
            mj.compile(fun, x).jacobian(x)
        return
    F = mj.compile(fun, x)
    for at in (x, 0.9 * x):
        value, J, wanted = F(at), F.jacobian(at), derivative(fun, at)
        assert_allclose(np.ravel(value), flat(fun(at)), rtol=1e-12, atol=1e-14)
        scale = max(1.0, np.abs(wanted).max(initial=0))
        assert_allclose(J.toarray(), wanted, atol=1e-8 * scale)
        v, u = np.linspace(-1, 1, x.size), np.linspace(1, 2, J.shape[0])
        assert_allclose(J @ v, wanted @ v, atol=1e-7 * scale)
        assert_allclose(J.T @ u, wanted.T @ u, atol=1e-7 * scale)


def test_most_uses_are_right():
    right = len(USES) - len(REFUSED)
    assert len(USES) >= 200
    assert right >= 0.8 * len(USES)
    assert REFUSED.keys() <= USES.keys()
