"""Functions of `scipy.special` on plain and on recorded arrays alike, by the names that they have there.

NumPy hands ufuncs over to be recorded, so that `scipy.special.erf` and `mj.special.erf` are one function. What SciPy
has written in Python is here anew: on plain arrays it is SciPy's own.

Examples
--------
>>> import numpy as np, matjac as mj
>>> F = mj.compile(lambda X: mj.special.logsumexp(X, axis=1), (2, 2))
>>> F.jacobian(np.zeros((2, 2))).toarray()
array([[0.5, 0.5, 0. , 0. ],
       [0. , 0. , 0.5, 0.5]])
"""

from typing import Any

import numpy as np
import scipy.special

from matjac.tracing import exponentials
from matjac.tracing.arrays import Recorded
from matjac.tracing.counterparts import counterpart_in
from matjac.tracing.handlers import TracingError
from matjac.tracing.slopes import SLOPES, STEPS
from matjac.tracing.special import SEVERAL

#: Functions in Python whose ufunc gets what they are called with.
HANDED_ON = ("lambertw", "sinc", "zeta")


_recorded = counterpart_in(scipy.special)


@_recorded
def logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False) -> Any:
    """The logarithm of the sum of exponentials, ``log(sum(b * exp(a)))``."""
    if return_sign:
        raise TracingError("scipy.special.logsumexp with return_sign can't be recorded: split the sum by its signs")
    return exponentials.log_sum_exp(a, axis, b, keepdims)


@_recorded
def softmax(x: Any, axis: Any = None) -> Any:
    """Exponentials over their sum."""
    return exponentials.softmax(x, axis)


@_recorded
def log_softmax(x: Any, axis: Any = None) -> Any:
    """The logarithm of `softmax`."""
    return exponentials.log_softmax(x, axis)


def softplus(x: Any) -> Any:
    """``log(1 + exp(x))``."""
    return np.logaddexp(0, x)


@_recorded
def polygamma(n: Any, x: Any) -> Any:
    """The n-th derivative of the digamma function; n is constant."""
    if isinstance(n, Recorded):
        raise TracingError("scipy.special.polygamma has no derivative by its order n: it must be a constant")
    n = np.asarray(n)
    factor = (-1.0) ** (n + 1) * scipy.special.gamma(n + 1.0)
    higher = factor * scipy.special.zeta(np.maximum(n, 1) + 1.0, x)
    return np.where(n == 0, scipy.special.digamma(x), higher) if np.any(n == 0) else higher


@_recorded
def multigammaln(a: Any, d: Any) -> Any:
    """The logarithm of the multivariate gamma function of dimension d."""
    total = sum(scipy.special.gammaln(a - j / 2) for j in range(int(d)))
    return d * (d - 1) / 4 * float(np.log(np.pi)) + total


def _bessel_series(n: Any, z: Any, sign: float) -> Any:
    """A spherical Bessel function as a series, which has no quotient at zero."""
    divisor = 2.0 ** (n + 1) * scipy.special.gamma(n + 1.5) / np.sqrt(np.pi)
    # a Python number leaves float32 as it is
    divisor = divisor if np.ndim(n) else float(divisor)
    return z**n / divisor * scipy.special.hyp0f1(n + 1.5, sign * z * z / 4)


@_recorded
def spherical_jn(n: Any, z: Any, derivative: bool = False) -> Any:
    """The spherical Bessel function of the first kind, of a constant order."""
    _value("spherical_jn", derivative)
    return _bessel_series(n, z, -1.0)


@_recorded
def spherical_in(n: Any, z: Any, derivative: bool = False) -> Any:
    """The modified spherical Bessel function of the first kind, of a constant order."""
    _value("spherical_in", derivative)
    return _bessel_series(n, z, 1.0)


@_recorded
def spherical_yn(n: Any, z: Any, derivative: bool = False) -> Any:
    """The spherical Bessel function of the second kind, of a constant order."""
    _value("spherical_yn", derivative)
    return _second_kind(scipy.special.yv, n, z)[0]


@_recorded
def spherical_kn(n: Any, z: Any, derivative: bool = False) -> Any:
    """The modified spherical Bessel function of the second kind, of a constant order."""
    _value("spherical_kn", derivative)
    made, negative, there = _second_kind(scipy.special.kv, n, z)
    return np.where(negative, made - np.pi * _bessel_series(n, there, 1.0), made)


def _second_kind(bessel: Any, n: Any, z: Any) -> tuple[Any, Any, Any]:
    """The function at z or -z, by its parity; where z is negative, for its square root has no value there; z or -z."""
    negative = z < 0
    there = np.where(negative, -z, z) + 0.0  # not -0, whose inverse is -inf
    made = np.sqrt(np.pi / 2 / there) * bessel(n + 0.5, there)
    return np.where(negative, (-1.0) ** (n + 1) * made, made), negative, there


def _value(name: str, derivative: bool) -> None:
    if derivative:
        raise TracingError(f"scipy.special.{name} with derivative=True can't be recorded: write its recurrence")


@_recorded
def factorial(n: Any, exact: bool = False, extend: str = "zero") -> Any:
    """``gamma(n + 1)``, and 0 of negative n."""
    _inexact("factorial", exact)
    whole = scipy.special.gamma(n + 1)
    return np.where(n < 0, 0, whole) if extend == "zero" else whole


@_recorded
def comb(N: Any, k: Any, *, exact: bool = False, repetition: bool = False) -> Any:
    """Binomial coefficients, 0 where there are no such choices."""
    _inexact("comb", exact)
    if repetition:
        return comb(N + k - 1, k)
    there = np.logical_and(np.less_equal(k, N), np.logical_and(np.greater_equal(N, 0), np.greater_equal(k, 0)))
    return np.where(there, scipy.special.binom(N, k), 0)


@_recorded
def perm(N: Any, k: Any, exact: bool = False) -> Any:
    """Permutations of k of N things, 0 where there are none."""
    _inexact("perm", exact)
    there = np.logical_and(np.less_equal(k, N), np.logical_and(np.greater_equal(N, 0), np.greater_equal(k, 0)))
    return np.where(there, scipy.special.poch(N - k + 1, k), 0)


def _inexact(name: str, exact: bool) -> None:
    if exact:
        raise TracingError(f"scipy.special.{name} with exact=True is of whole numbers: call it with exact=False")


#: Ufuncs that are recorded, and what hands its arguments on to one.
_UFUNCS = {
    name: function
    for name in scipy.special.__all__
    if (function := getattr(scipy.special, name)) in {*SLOPES, *SEVERAL, *STEPS} or name in HANDED_ON
}
#: What is written above.
_WRITTEN = [
    *("comb", "factorial", "log_softmax", "logsumexp", "multigammaln", "perm", "polygamma", "softmax", "softplus"),
    *("spherical_in", "spherical_jn", "spherical_kn", "spherical_yn"),
]


def __dir__() -> list[str]:
    return sorted([*_UFUNCS, *_WRITTEN])


def __getattr__(name: str) -> Any:
    if name not in _UFUNCS:
        raise AttributeError(f"mj.special has no {name}: dir(mj.special) lists what can be recorded of scipy.special")
    return _UFUNCS[name]
