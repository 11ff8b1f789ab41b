"""Polynomials by their coefficients, and piecewise linear interpolation."""

from typing import Any

import numpy as np

from matjac.conventions import Array
from matjac.tracing.arrays import Recorded, shape_of
from matjac.tracing.calculus import convolve
from matjac.tracing.handlers import HANDLED, TracingError, handles
from matjac.tracing.recorded import matmul
from matjac.tracing.whole import DIFFERENTIALS, whole


@handles(np.polyval)
def _polyval(p: Any, x: Any) -> Any:
    if not isinstance(x, Recorded):
        x = np.asarray(x)
        x = x if x.dtype.kind in "fc" else x.astype(float)
        powers = np.vander(np.ravel(x), shape_of(p)[0])
        return np.reshape(matmul(powers, p), np.shape(x))
    p, y = p if isinstance(p, Recorded) else np.asarray(p), np.zeros_like(x)
    for coefficient in p:
        y = y * x + coefficient
    return y


@handles(np.polyder)
def _polyder(p: Any, m: int = 1) -> Any:
    if m < 0:
        raise ValueError(f"np.polyder: got m = {m}, expected 0 or more (np.polyint integrates)")
    for _ in range(m):
        p = p[:-1] * np.arange(shape_of(p)[0] - 1, 0, -1)
    return p


@handles(np.polyint)
def _polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    constants = np.broadcast_to(0 if k is None else k, (m,))
    for at in range(m):
        p = np.concatenate([p / np.arange(shape_of(p)[0], 0, -1), np.reshape(constants[at], (1,))])
    return p


@handles(np.polyfit)
def _polyfit(x: Any, y: Any, deg: Any, rcond: Any = None, full: bool = False, w: Any = None, cov: Any = False) -> Any:
    if full or cov or np.ndim(deg) or deg < 0:
        raise TracingError("np.polyfit can be recorded with one degree, 0 at least, and without full= and cov=")
    powers = np.vander(x, int(deg) + 1)
    if w is not None:
        weights = np.reshape(w, (-1, 1))
        powers, y = powers * weights, y * (weights if len(shape_of(y)) == 2 else np.ravel(weights))
    # as NumPy scales them
    scale = np.sqrt(np.sum(powers * powers, axis=0))
    powers = powers / scale
    if isinstance(powers, Recorded):
        found = np.linalg.lstsq(powers, y, rcond)[0]
    else:
        found = matmul(np.linalg.pinv(powers, shape_of(powers)[0] * np.finfo(float).eps if rcond is None else rcond), y)
    return found / (np.reshape(scale, (-1, 1)) if len(shape_of(y)) == 2 else scale)


def _padded(first: Any, second: Any) -> tuple[Any, Any]:
    a, b = np.atleast_1d(first), np.atleast_1d(second)
    n = max(shape_of(a)[0], shape_of(b)[0])
    return tuple(np.pad(v, (n - shape_of(v)[0], 0)) for v in (a, b))  # type: ignore[return-value]


HANDLED |= {
    np.polymul: lambda a1, a2: convolve(a1, a2),
    np.polyadd: lambda a1, a2: np.add(*_padded(a1, a2)),
    np.polysub: lambda a1, a2: np.subtract(*_padded(a1, a2)),
}


@handles(np.polydiv)
def _polydiv(u: Any, v: Any) -> Any:
    u, v = np.atleast_1d(u), np.atleast_1d(v)
    count = max(shape_of(u)[0] - shape_of(v)[0] + 1, 0)
    rest, quotient = u, []
    for _ in range(count):
        quotient.append(rest[0] / v[0])
        rest = rest[1:] - np.pad(quotient[-1] * v[1:], (0, shape_of(rest)[0] - shape_of(v)[0]))
    return (np.stack(quotient) if quotient else 0 * u[:1]), (rest if shape_of(rest)[0] else 0 * u[:1])


@handles(np.poly)
def _poly(seq_of_zeros: Any) -> Any:
    if len(shape_of(seq_of_zeros)) != 1 or np.iscomplexobj(seq_of_zeros):
        raise TracingError("np.poly can be recorded of real zeros in one dimension")
    found = np.ones_like(seq_of_zeros, shape=(1,))
    for zero in seq_of_zeros:
        found = convolve(found, np.stack([np.ones_like(zero), -zero]))
    return found


@handles(np.roots)
def _roots(p: Any) -> Any:
    raise TracingError(
        "np.roots can't be recorded: zeros may be complex, and their order depends on rounding. Solve for one with "
        "mj.solvers.root, or differentiate np.polyval(p, z) = 0"
    )


# interpolation ------------------------------------------------------------------------------------------


def _inner_slope(x: Array, xp: Array, fp: Array) -> Array:
    """The slope of the piece that each x is in; zero outside."""
    at = _pieces(x, xp)
    slopes = np.diff(fp) / np.diff(xp) if xp.size > 1 else np.zeros(1)
    slope: Array = np.where((x < xp[0]) | (x > xp[-1]), 0, slopes[at]).astype(np.result_type(x, fp))
    return slope


def _interpolated(x: Array, xp: Array, fp: Array, left: Any = None, right: Any = None) -> Array:
    return np.asarray(np.interp(x, xp, fp, left, right))


DIFFERENTIALS[_interpolated] = lambda x, y, dx, **_: None if dx[0] is None else whole(_inner_slope, *x) * dx[0]


@handles(np.interp)
def _interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    if period is not None:
        if isinstance(xp, Recorded):
            raise TracingError("np.interp with period= can't be recorded where xp depends on a variable: leave it out")
        if isinstance(period, Recorded) or not period:
            raise TracingError(f"np.interp: got period={period!r}, expected a constant other than zero")
        period = abs(float(period))
        xp, x = np.asarray(xp, float) % period, np.remainder(x, period)
        order = np.argsort(xp)
        xp, fp = xp[order], fp[order] if isinstance(fp, Recorded) else np.asarray(fp)[order]
        xp = np.concatenate([xp[-1:] - period, xp, xp[:1] + period])
        fp, left, right = np.concatenate([fp[-1:], fp, fp[:1]]), None, None
    if isinstance(xp, Recorded) or (isinstance(x, Recorded) and isinstance(fp, Recorded)):
        return _outside(x, xp, fp, _of_pieces(x, xp, fp), left, right)
    xp = np.asarray(xp, float)
    if isinstance(x, Recorded):
        ends = isinstance(left, Recorded) or isinstance(right, Recorded)
        inside = whole(_interpolated, x, xp, np.asarray(fp), **({} if ends else {"left": left, "right": right}))
        return _outside(x, xp, fp, inside, left, right) if ends else inside
    x = np.asarray(x, float)
    at = _pieces(x, xp)
    following = np.minimum(at + 1, xp.size - 1)
    gap = xp[following] - xp[at]
    share = np.clip(np.divide(x - xp[at], gap, out=np.zeros_like(x), where=gap > 0), 0, 1)
    inside = (1 - share) * fp[at] + share * fp[following]
    # at a known place the other one has no part
    exact = np.where(share == 0, fp[at], np.where(share == 1, fp[following], inside))
    below = exact if left is None else np.where(x < xp[0], left, exact)
    return below if right is None else np.where(x > xp[-1], right, below)


def _pieces(x: Array, xp: Array, following: bool = False) -> Array:
    """The number of the piece that each x is in, or of the end of it."""
    return np.asarray(np.clip(np.searchsorted(xp, x, side="right") - 1, 0, max(xp.size - 2, 0)) + following)


def _of_pieces(x: Any, xp: Any, fp: Any) -> Any:
    """The line through the ends of the piece that each x is in."""
    if shape_of(xp)[0] < 2:
        raise TracingError("np.interp of one point is a constant: write it")
    xp, fp = (v if isinstance(v, Recorded) else np.asarray(v) for v in (xp, fp))
    at, following = (whole(_pieces, x, xp, following=end) for end in (False, True))
    ends = [
        np.take(v, k) if isinstance(v, Recorded) else whole(_picked, k, v) for v in (xp, fp) for k in (at, following)
    ]
    start, end, first, second = ends
    return first + (x - start) * ((second - first) / (end - start))


def _picked(at: Array, of: Array) -> Array:
    return of[at]


def _outside(x: Any, xp: Any, fp: Any, inside: Any, left: Any, right: Any) -> Any:
    """The values inside, and constants, or what is given, before the first place and after the last."""
    before = np.where(np.less(x, xp[0]), fp[0] if left is None else left, inside)
    return np.where(np.greater(x, xp[-1]), fp[-1] if right is None else right, before)
