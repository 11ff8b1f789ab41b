"""The slopes of `scipy.special`'s functions entry by entry, each written of the operands and the value y."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special as s
from scipy.special import hyp0f1

__all__ = ["FINITE", "SEVERAL", "SLOPES", "STEPS", "ZERO_AT_ZERO", "PartOf", "hyp0f1"]

PI, ROOT2, ROOT_PI, ROOT_2PI = (float(number) for number in (np.pi, 2**0.5, np.pi**0.5, (2 * np.pi) ** 0.5))
LOG10, DEGREE = float(np.log(10)), float(np.pi / 180)


class _Asked:
    """An operand that tells which ufunc a Python function calls."""

    def __array_ufunc__(self, ufunc: np.ufunc, *_: Any, **__: Any) -> np.ufunc:
        return ufunc


def behind(function: Callable[..., Any], *args: Any, at: int = 0) -> Any:
    """The ufunc that a Python function of scipy's hands its operand number `at` to."""
    return function(*args[:at], _Asked(), *args[at:])


@dataclass(frozen=True)
class PartOf:
    """One of the results of a ufunc that has several."""

    ufunc: np.ufunc
    at: int

    @property
    def __name__(self) -> str:
        return f"{self.ufunc.__name__}[{self.at}]"

    def __call__(self, *operands: Any) -> Any:
        return self.ufunc(*operands)[self.at]


zeta_of, lambertw_of = behind(s.zeta, 2.0, at=1), behind(s.lambertw)


def _erfcx(x: Any, y: Any) -> Any:
    """Far out the two parts cancel, and the asymptotic series has all digits."""
    far = x > 50
    t = 1 / np.where(far, x * x, 1)
    series = -t / ROOT_PI * (1 - t * (1.5 - t * (3.75 - t * (13.125 - t * 59.0625))))
    return np.where(far, series, 2 * x * y - 2 / ROOT_PI)


def _dawsn(x: Any, y: Any) -> Any:
    """See above."""
    far = np.real(x * x) > 2500
    t = 0.5 / np.where(far, x * x, 1)
    return np.where(far, -t * (1 + t * (3 + t * (15 + t * (105 + t * 945)))), 1 - 2 * x * y)


def _spence(x: Any, y: Any) -> Any:
    """The quotient has a removable singularity at 1."""
    near = np.absolute(x - 1) < 0.5
    return np.where(near, -s.hyp2f1(1, 1, 2, 1 - np.where(near, x, 1)), np.log(x) / (1 - x))


def _rgamma(x: Any, y: Any) -> Any:
    """On the left by the reflection Γ(1 − x) sin(πx) / π: there y is zero where the other slope is infinite."""
    left = np.real(x) < 0.5
    t = np.where(left, x, 0)
    reflected = s.gamma(1 - t) * (np.cos(PI * t) - s.digamma(1 - t) * np.sin(PI * t) / PI)
    return np.where(left, reflected, -y * s.digamma(np.where(left, 1, x)))


def _log_ndtr(x: Any, y: Any) -> Any:
    below = np.where(x < 0, x, 0)
    return np.where(x < 0, 2 / (ROOT_2PI * s.erfcx(-below / ROOT2)), np.exp(-x * x / 2 - y) / ROOT_2PI)


def _expn(n: Any, x: Any, y: Any) -> Any:
    return np.where(n >= 1, -s.expn(np.maximum(n - 1, 0), x), -(np.exp(-x) + y) / x)


def _gamma_density(a: Any, x: Any) -> Any:
    return np.exp(s.xlogy(a - 1, x) - x - s.gammaln(a))


def _beta_density(a: Any, b: Any, x: Any) -> Any:
    return np.exp(s.xlogy(a - 1, x) + s.xlog1py(b - 1, -x) - s.betaln(a, b))


def _f_density(n: Any, d: Any, x: Any) -> Any:
    u = n * x / (d + n * x)
    return _beta_density(n / 2, d / 2, u) * n * d / (d + n * x) ** 2


def _t_density(v: Any, t: Any) -> Any:
    return np.exp(-s.betaln(0.5, v / 2) - (v + 1) / 2 * np.log1p(t * t / v)) / np.sqrt(v)


def _polynomial(at: int, slope: Callable[..., Any]) -> tuple[Any, ...]:
    """Of an orthogonal polynomial: the slope by its last operand; the degree and others must be constants."""
    return (*(None,) * at, slope)


def _quotient(x: Any, z: Any) -> Any:
    """x / z, 0 where both are 0."""
    return x / np.where(np.logical_and(x == 0, z == 0), 1, z)


#: One for each operand. None: it must be a constant; 0: its derivative is zero almost everywhere.
SLOPES: dict[Any, tuple[Any, ...]] = {
    # the error function and the normal distribution
    s.erf: (lambda x, y: 2 / ROOT_PI * np.exp(-x * x),),
    s.erfc: (lambda x, y: -2 / ROOT_PI * np.exp(-x * x),),
    s.erfcx: (_erfcx,),
    s.erfi: (lambda x, y: 2 / ROOT_PI * np.exp(x * x),),
    s.erfinv: (lambda x, y: ROOT_PI / 2 * np.exp(y * y),),
    s.erfcinv: (lambda x, y: -ROOT_PI / 2 * np.exp(y * y),),
    s.dawsn: (_dawsn,),
    s.wofz: (lambda x, y: 2j / ROOT_PI - 2 * x * y,),
    s.ndtr: (lambda x, y: np.exp(-x * x / 2) / ROOT_2PI,),
    s.ndtri: (lambda x, y: ROOT_2PI * np.exp(y * y / 2),),
    s.log_ndtr: (_log_ndtr,),
    s.ndtri_exp: (lambda x, y: ROOT_2PI * np.exp(x + y * y / 2),),
    s.owens_t: (
        lambda h, a, y: -np.exp(-h * h / 2) * s.erf(a * h / ROOT2) / (2 * ROOT_2PI),
        lambda h, a, y: np.exp(-h * h * (1 + a * a) / 2) / (2 * PI * (1 + a * a)),
    ),
    # exponentials and logarithms
    s.expit: (lambda x, y: y * (1 - y),),
    s.logit: (lambda x, y: 1 / (x * (1 - x)),),
    s.log_expit: (lambda x, y: s.expit(-x),),
    s.expm1: (lambda x, y: y + 1,),
    s.log1p: (lambda x, y: 1 / (1 + x),),
    s.exp2: (lambda x, y: float(np.log(2)) * y,),
    s.exp10: (lambda x, y: LOG10 * y,),
    s.exprel: (lambda x, y: 0.5 * s.hyp1f1(2, 3, x),),
    s.cbrt: (lambda x, y: 1 / (3 * y * y),),
    s.powm1: (lambda x, z, y: z * x ** (z - 1), lambda x, z, y: (y + 1) * np.log(x)),
    s.boxcox: (
        lambda x, p, y: x ** (p - 1),
        lambda x, p, y: 0.5 * np.log(x) ** 2 * s.hyp1f1(2, 3, p * np.log(x)),
    ),
    s.boxcox1p: (
        lambda x, p, y: (1 + x) ** (p - 1),
        lambda x, p, y: 0.5 * np.log1p(x) ** 2 * s.hyp1f1(2, 3, p * np.log1p(x)),
    ),
    s.inv_boxcox: (lambda x, p, y: y ** (1 - p), None),
    s.inv_boxcox1p: (lambda x, p, y: (1 + y) ** (1 - p), None),
    s.wrightomega: (lambda x, y: y / (1 + y),),
    lambertw_of: (lambda x, k, tolerance, y: np.exp(-y) / (1 + y), None, None),
    # entropies and losses
    s.entr: (lambda x, y: -1 - np.log(x),),
    s.xlogy: (lambda x, z, y: np.log(z), lambda x, z, y: _quotient(x, z)),
    s.xlog1py: (lambda x, z, y: np.log1p(z), lambda x, z, y: _quotient(x, 1 + z)),
    s.rel_entr: (lambda x, z, y: 1 + np.log(x / z), lambda x, z, y: -x / z),
    s.kl_div: (lambda x, z, y: np.log(x / z), lambda x, z, y: 1 - x / z),
    s.huber: (
        lambda d, r, y: np.maximum(np.absolute(r) - d, 0),
        lambda d, r, y: np.minimum(np.maximum(r, -d), d),
    ),
    s.pseudo_huber: (
        lambda d, r, y: 2 * y / d - r * r / (d * np.sqrt(1 + (r / d) ** 2)),
        lambda d, r, y: r / np.sqrt(1 + (r / d) ** 2),
    ),
    # degrees
    s.sindg: (lambda x, y: DEGREE * s.cosdg(x),),
    s.cosdg: (lambda x, y: -DEGREE * s.sindg(x),),
    s.tandg: (lambda x, y: DEGREE * (1 + y * y),),
    s.cotdg: (lambda x, y: -DEGREE * (1 + y * y),),
    s.cosm1: (lambda x, y: -np.sin(x),),
    s.radian: (lambda d, m, x, y: DEGREE, lambda d, m, x, y: DEGREE / 60, lambda d, m, x, y: DEGREE / 3600),
    # gamma and beta functions
    s.gamma: (lambda x, y: y * s.digamma(x),),
    s.gammaln: (lambda x, y: s.digamma(x),),
    s.loggamma: (lambda x, y: s.digamma(x),),
    s.rgamma: (_rgamma,),
    s.digamma: (lambda x, y: s.zeta(2, x),),
    zeta_of: (None, lambda p, x, y: -p * s.zeta(p + 1, x)),
    s.beta: (
        lambda a, b, y: y * (s.digamma(a) - s.digamma(a + b)),
        lambda a, b, y: y * (s.digamma(b) - s.digamma(a + b)),
    ),
    s.betaln: (lambda a, b, y: s.digamma(a) - s.digamma(a + b), lambda a, b, y: s.digamma(b) - s.digamma(a + b)),
    s.binom: (
        lambda n, k, y: y * (s.digamma(n + 1) - s.digamma(n - k + 1)),
        lambda n, k, y: y * (s.digamma(n - k + 1) - s.digamma(k + 1)),
    ),
    s.poch: (lambda z, m, y: y * (s.digamma(z + m) - s.digamma(z)), lambda z, m, y: y * s.digamma(z + m)),
    s.gammainc: (None, lambda a, x, y: _gamma_density(a, x)),
    s.gammaincc: (None, lambda a, x, y: -_gamma_density(a, x)),
    s.gammaincinv: (None, lambda a, p, y: 1 / _gamma_density(a, y)),
    s.gammainccinv: (None, lambda a, p, y: -1 / _gamma_density(a, y)),
    s.betainc: (None, None, lambda a, b, x, y: _beta_density(a, b, x)),
    s.betaincc: (None, None, lambda a, b, x, y: -_beta_density(a, b, x)),
    s.betaincinv: (None, None, lambda a, b, p, y: 1 / _beta_density(a, b, y)),
    s.betainccinv: (None, None, lambda a, b, p, y: -1 / _beta_density(a, b, y)),
    # distributions
    s.chdtr: (None, lambda v, x, y: _gamma_density(v / 2, x / 2) / 2),
    s.chdtrc: (None, lambda v, x, y: -_gamma_density(v / 2, x / 2) / 2),
    s.chdtri: (None, lambda v, p, y: -2 / _gamma_density(v / 2, y / 2)),
    s.fdtr: (None, None, lambda n, d, x, y: _f_density(n, d, x)),
    s.fdtrc: (None, None, lambda n, d, x, y: -_f_density(n, d, x)),
    s.stdtr: (None, lambda v, t, y: _t_density(v, t)),
    s.stdtrit: (None, lambda v, p, y: 1 / _t_density(v, y)),
    s.gdtr: (lambda a, b, x, y: x * _gamma_density(b, a * x), None, lambda a, b, x, y: a * _gamma_density(b, a * x)),
    s.gdtrc: (
        lambda a, b, x, y: -x * _gamma_density(b, a * x),
        None,
        lambda a, b, x, y: -a * _gamma_density(b, a * x),
    ),
    s.pdtr: (None, lambda k, m, y: -_gamma_density(np.floor(k) + 1, m)),
    s.pdtrc: (None, lambda k, m, y: _gamma_density(np.floor(k) + 1, m)),
    # Bessel functions, of a constant order
    s.j0: (lambda x, y: -s.j1(x),),
    s.j1: (lambda x, y: 0.5 * (s.j0(x) - s.jv(2, x)),),
    s.y0: (lambda x, y: -s.y1(x),),
    s.y1: (lambda x, y: s.y0(x) - y / x,),
    s.i0: (lambda x, y: s.i1(x),),
    s.i1: (lambda x, y: 0.5 * (s.i0(x) + s.iv(2, x)),),
    s.i0e: (lambda x, y: s.i1e(x) - np.sign(x) * y,),
    s.i1e: (lambda x, y: 0.5 * (s.i0e(x) + s.ive(2, x)) - np.sign(x) * y,),
    s.k0: (lambda x, y: -s.k1(x),),
    s.k1: (lambda x, y: -s.k0(x) - y / x,),
    s.k0e: (lambda x, y: y - s.k1e(x),),
    s.k1e: (lambda x, y: y - s.k0e(x) - y / x,),
    s.jv: (None, lambda v, x, y: 0.5 * (s.jv(v - 1, x) - s.jv(v + 1, x))),
    s.yv: (None, lambda v, x, y: 0.5 * (s.yv(v - 1, x) - s.yv(v + 1, x))),
    s.yn: (None, lambda v, x, y: 0.5 * (s.yv(v - 1, x) - s.yv(v + 1, x))),
    s.iv: (None, lambda v, x, y: 0.5 * (s.iv(v - 1, x) + s.iv(v + 1, x))),
    s.ive: (None, lambda v, x, y: 0.5 * (s.ive(v - 1, x) + s.ive(v + 1, x)) - np.sign(x) * y),
    s.kv: (None, lambda v, x, y: -0.5 * (s.kv(v - 1, x) + s.kv(v + 1, x))),
    s.kn: (None, lambda v, x, y: -0.5 * (s.kv(v - 1, x) + s.kv(v + 1, x))),
    s.kve: (None, lambda v, x, y: y - 0.5 * (s.kve(v - 1, x) + s.kve(v + 1, x))),
    s.hankel1: (None, lambda v, x, y: 0.5 * (s.hankel1(v - 1, x) - s.hankel1(v + 1, x))),
    s.hankel2: (None, lambda v, x, y: 0.5 * (s.hankel2(v - 1, x) - s.hankel2(v + 1, x))),
    s.struve: (
        None,
        lambda v, x, y: 0.5 * (s.struve(v - 1, x) - s.struve(v + 1, x) + (x / 2) ** v * s.rgamma(v + 1.5) / ROOT_PI),
    ),
    s.modstruve: (
        None,
        lambda v, x, y: (
            0.5 * (s.modstruve(v - 1, x) + s.modstruve(v + 1, x) + (x / 2) ** v * s.rgamma(v + 1.5) / ROOT_PI)
        ),
    ),
    # integrals, and hypergeometric functions
    s.exp1: (lambda x, y: -np.exp(-x) / x,),
    s.expi: (lambda x, y: np.exp(x) / x,),
    s.expn: (None, _expn),
    s.spence: (_spence,),
    s.ellipk: (lambda m, y: PI / 8 * s.hyp2f1(1.5, 1.5, 2, m),),
    s.ellipkm1: (lambda p, y: -PI / 8 * s.hyp2f1(1.5, 1.5, 2, 1 - p),),
    s.ellipe: (lambda m, y: -PI / 8 * s.hyp2f1(0.5, 1.5, 2, m),),
    s.ellipkinc: (lambda t, m, y: 1 / np.sqrt(1 - m * np.sin(t) ** 2), None),
    s.ellipeinc: (lambda t, m, y: np.sqrt(1 - m * np.sin(t) ** 2), None),
    s.hyp0f1: (None, lambda v, x, y: s.hyp0f1(v + 1, x) / v),
    s.hyp1f1: (None, None, lambda a, b, x, y: a / b * s.hyp1f1(a + 1, b + 1, x)),
    s.hyp2f1: (None, None, None, lambda a, b, c, x, y: a * b / c * s.hyp2f1(a + 1, b + 1, c + 1, x)),
    s.hyperu: (None, None, lambda a, b, x, y: -a * s.hyperu(a + 1, b + 1, x)),
    # orthogonal polynomials, of a constant degree
    s.eval_legendre: _polynomial(1, lambda n, x, y: s.eval_gegenbauer(n - 1, 1.5, x)),
    s.eval_chebyt: _polynomial(1, lambda n, x, y: n * s.eval_chebyu(n - 1, x)),
    s.eval_chebyu: _polynomial(1, lambda n, x, y: 2 * s.eval_gegenbauer(n - 1, 2.0, x)),
    s.eval_gegenbauer: _polynomial(2, lambda n, a, x, y: 2 * a * s.eval_gegenbauer(n - 1, a + 1, x)),
    s.eval_jacobi: _polynomial(3, lambda n, a, b, x, y: 0.5 * (n + a + b + 1) * s.eval_jacobi(n - 1, a + 1, b + 1, x)),
    s.eval_laguerre: _polynomial(1, lambda n, x, y: -s.eval_genlaguerre(n - 1, 1.0, x)),
    s.eval_genlaguerre: _polynomial(2, lambda n, a, x, y: -s.eval_genlaguerre(n - 1, a + 1, x)),
    s.eval_hermite: _polynomial(1, lambda n, x, y: 2 * n * s.eval_hermite(np.maximum(n - 1, 0), x)),
    s.eval_hermitenorm: _polynomial(1, lambda n, x, y: n * s.eval_hermitenorm(np.maximum(n - 1, 0), x)),
    s.eval_sh_legendre: _polynomial(1, lambda n, x, y: 2 * s.eval_gegenbauer(n - 1, 1.5, 2 * x - 1)),
    s.eval_sh_chebyt: _polynomial(1, lambda n, x, y: 2 * n * s.eval_chebyu(n - 1, 2 * x - 1)),
}
#: Those of ufuncs that have several results.
SEVERAL: dict[np.ufunc, tuple[tuple[Any, ...], ...]] = {
    # sin(x)/x, sinh(x)/x
    s.sici: ((lambda x, y: np.sinc(x / PI),), (lambda x, y: np.cos(x) / x,)),
    s.shichi: ((lambda x, y: s.hyp0f1(1.5, x * x / 4),), (lambda x, y: np.cosh(x) / x,)),
    s.fresnel: ((lambda x, y: np.sin(PI / 2 * x * x),), (lambda x, y: np.cos(PI / 2 * x * x),)),
    s.airy: (
        (lambda x, y: s.airy(x)[1],),
        (lambda x, y: x * s.airy(x)[0],),
        (lambda x, y: s.airy(x)[3],),
        (lambda x, y: x * s.airy(x)[2],),
    ),
    s.ellipj: (
        (lambda u, m, y: s.ellipj(u, m)[1] * s.ellipj(u, m)[2], None),
        (lambda u, m, y: -s.ellipj(u, m)[0] * s.ellipj(u, m)[2], None),
        (lambda u, m, y: -m * s.ellipj(u, m)[0] * s.ellipj(u, m)[1], None),
        (lambda u, m, y: s.ellipj(u, m)[2], None),
    ),
}
SLOPES |= {PartOf(ufunc, at): slopes for ufunc, parts in SEVERAL.items() for at, slopes in enumerate(parts)}
#: Functions that are constant between their steps.
STEPS = {s.round, s.gammasgn}
#: Functions whose value is zero where the first operand's is.
ZERO_AT_ZERO = {
    *(s.erf, s.erfi, s.erfinv, s.dawsn, s.expm1, s.log1p, s.cbrt, s.cosm1, s.sindg, s.tandg, s.entr, s.xlogy),
    *(s.xlog1py, s.j1, s.i1, s.i1e, s.boxcox1p, s.inv_boxcox1p, s.rgamma, s.round),
}
#: Functions that are finite at every finite point, with slopes that are too.
FINITE = {
    *(s.erf, s.erfc, s.dawsn, s.ndtr, s.expit, s.log_expit, s.sindg, s.cosdg, s.cosm1, s.huber),
    *(s.j0, s.j1, s.i0e, s.i1e),
}
