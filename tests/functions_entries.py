"""Written functions with conditions, and those of `mj.special`: name → (function, shapes, entries by structure).

None for the entries: one for each of the function's values. At the points of the tests no condition is at its edge.
"""

import numpy as np
import scipy.special

import matjac as mj

rng = np.random.default_rng(11)
B, W = rng.standard_normal((4, 2)), rng.standard_normal((3, 4))
M = np.random.default_rng(12).standard_normal((12, 4))
labels = np.sign(rng.standard_normal((3, 2)))
kept = np.array([[1, 0, 1, 0], [0, 1, 1, 0], [0, 0, 0, 1]], dtype=bool)


def huber(X, width=0.8):
    size = np.abs(X)
    return np.where(size <= width, 0.5 * X * X, width * (size - 0.5 * width))


def safe_norms(X):
    squares = np.sum(X * X, axis=1, keepdims=True)
    return X / np.where(squares > 0, np.sqrt(squares), 1)


X = ((3, 4),)
CONDITIONS = {
    "where": (lambda X: np.where(X > 0, X**2, np.sin(X)), X, None),
    "where of two arguments": (lambda X, Y: np.where(X > Y, X * Y, X - Y), ((3, 4), (3, 4)), 24),
    "where of one condition for each row": (lambda X: np.where(X.sum(axis=1, keepdims=True) > 0, X, X**3), X, None),
    "where of a scalar condition": (lambda X: np.where(X.sum() > 0, X @ B, np.exp(X[:, :2])), X, 6 * 4),
    "where of numbers": (lambda X: np.where(X > 0, 2.0, -1.0) * X, X, None),
    "where of truth values": (lambda X: np.where(X, X, 0), X, None),
    "where of nothing that varies": (lambda X: np.where(X > 0, 1.0, 2.0), X, 0),
    "where in a where": (lambda X: np.where(X > 1, 1 / X, np.where(X < -1, np.log(-X), np.cos(X))), X, None),
    "where, then a product": (lambda X: np.where(X > 0, X, 0.1 * X) @ B, X, 6 * 4),
    "where in a constant mask": (lambda X: np.where(kept, np.where(X > 0, X, -2 * X), 0), X, 5),
    "where of a triangle": (lambda X: np.where(X > 0, np.tril(X), 0), X, 6),
    "where of what is masked, summed": (lambda X: np.where(X > 0, np.tril(X), 0) @ B, X, (1 + 2 + 3) * 2),
    "where in a constant mask of a product, summed": (
        # of the last row nothing is summed
        lambda x: np.where(kept & [[True], [True], [False]], (M @ x).reshape(3, 4), 0) @ B,
        ((4,),),
        2 * 2 * 4,
    ),
    "where of two masks": (lambda X: np.where(X > 0, np.tril(X), np.where(kept, X, 0)), X, 6 + 3),
    "masks of both kinds": (lambda X: X * (kept & (X > 0)) + np.exp(X) * np.logical_and(X > 1, kept), X, 5),
    "relu of a triangle": (lambda X: np.maximum(np.tril(X), 0) @ B, X, (1 + 2 + 3) * 2),
    "unwrapped": (lambda X: np.unwrap(4 * X, axis=0) * X, X, None),
    "times a mask": (lambda X: X * (X > 0), X, None),
    "times several masks": (lambda X: X**2 * ((X > -1) & (X < 1)) + X * ~(X > 0) + 1.0 * ((X > 2) | (X < -2)), X, None),
    "two masks added": (lambda X: X * (X > 0) + X * (X > -1), X, None),
    "two masks added, of two arguments": (lambda X, Y: X * (X > Y) + X * (Y > 0) + Y, ((3, 4), (3, 4)), 24),
    "a mask times what is masked": (lambda X: (X > 0).T @ (X * (X > -1)), X, 16 * 3),
    "counts": (lambda X: X * np.sum(X > 0, axis=0) + np.count_nonzero(X > 0), X, None),
    "greatest entries": (lambda X: np.where(np.arange(4) == np.argmax(X, axis=1)[:, None], X, 0), X, None),
    "any and all": (lambda X: np.where(np.any(X > 1, axis=0) ^ np.all(X > 0, axis=0), X, X**2), X, None),
    "method any": (lambda X: np.where((X > 1).any(axis=0) & (X > -3).all(), X, X**2), X, None),
    "signs": (lambda X: np.sign(X) * X**2, X, None),
    "heaviside": (lambda X: np.heaviside(X, 0.5) * np.exp(X), X, None),
    "roundings": (lambda X: X * np.floor(X) + np.ceil(X) * X**2 + np.rint(X) - np.trunc(X) * X, X, None),
    "round": (lambda X: X * np.round(X, 1) + X.round() + np.trunc(X) * X, X, None),
    "sign bit": (lambda X: np.where(np.signbit(X), X, -X), X, None),
    "absolute": (lambda X: np.abs(X) + np.fabs(X) * X, X, None),
    "maximum": (lambda X: np.maximum(X, W) + np.minimum(X, 0.3), X, None),
    "fmax, fmin": (lambda X: np.fmax(X, W) * np.fmin(X, 0.3), X, None),
    "clip": (lambda X: np.clip(X, -0.7, 0.9), X, None),
    "clip above": (lambda X: X.clip(max=0.4) + np.clip(X, None, W) + np.clip(X, min=-W), X, None),
    "clip by variables": (lambda X, Y: np.clip(X, -np.abs(Y), np.abs(Y)), ((3, 4), (3, 4)), 24),
    "select": (lambda X: np.select([X > 1, X > 0, X < -1], [X**2, np.sin(X), np.exp(X)], 3 * X), X, None),
    "select, zero else": (lambda X: np.select([X > 1, X < 0], [X**2, np.sin(X)]), X, None),
    "piecewise": (lambda X: np.piecewise(X, [X < 0, X > 1], [np.sin, lambda x: x**2, 2.0]), X, None),
    "piecewise, a row for each condition": (
        lambda X: np.piecewise(X[0], np.stack([X[0] < 0, X[0] > 1]), [np.sin, np.cos, 2.0]),
        X,
        4,
    ),
    "piecewise of a constant array": (lambda X: np.piecewise(X[1], kept[:2], [np.sin, np.cos]), X, 3),
    "piecewise of one condition": (lambda X: np.piecewise(X[0], X[0] < 0, [np.sin, np.cos]), X, 4),
    "piecewise of truth values": (lambda X: np.piecewise(X[0, :2], [True, False], [np.sin, np.cos]), X, 2),
    "nan_to_num": (lambda X: np.nan_to_num(X * X), X, None),
    "copysign": (lambda X: np.copysign(X * X, W) + np.copysign(W, X), X, None),
    "remainders": (
        lambda X: np.mod(X, 1.7) + np.fmod(X, 1.6) + X % (W + 3) + np.remainder(W, 2 + X * X) + X // 1.3,
        X,
        None,
    ),
    "divmod, modf": (lambda X: divmod(X, 0.7)[1] * divmod(X, 0.7)[0] + np.modf(X)[0] * np.modf(X)[1], X, None),
    "hypot": (lambda X, Y: np.hypot(X, Y), ((3, 4), (3, 4)), 24),
    "relu": (lambda X: np.maximum(X @ B, 0), X, 6 * 4),
    "leaky relu": (lambda X: np.where(X @ B > 0, X @ B, 0.1 * (X @ B)), X, 6 * 4),
    "elu": (lambda X: np.where(X > 0, X, np.exp(X) - 1), X, None),
    "hinge": (lambda X: np.sum(np.maximum(0, 1 - labels * (X @ B)) ** 2), X, 12),
    "huber": (huber, X, None),
    "trimmed": (lambda X: np.where(np.isfinite(X) & ~np.isnan(X) & ~np.isinf(X), X, 0), X, None),
    "logical functions": (
        lambda X: X * np.logical_and(X > -1, X < 1) + X**2 * np.logical_or(X > 1, np.logical_not(X > -1)),
        X,
        None,
    ),
    "exclusive or": (lambda X: np.where(np.logical_xor(X > 0, W > 0), X, X**2), X, None),
    "close": (lambda X: np.where(np.isclose(X, 1.0, atol=0.5), X, X**2), X, None),
    "close, by keyword": (lambda X: np.where(np.isclose(1.0, b=X, atol=0.5), X, X**2), X, None),
    "digitized": (lambda X: X * np.array([1.0, 2, 3, 4])[0] * np.digitize(X, [-1.0, 0, 1]), X, None),
    "searched": (lambda X: X * np.searchsorted(np.array([-1.0, 0, 1]), X), X, None),
    "ranks": (lambda X: X * np.argsort(X, axis=1) + np.argmin(X, axis=0), X, None),
    "safe norms": (safe_norms, X, 3 * 4 * 4),
    "entropies": (lambda X: np.where(X > 0, X * np.log(X), 0), X, None),
    "softplus by parts": (lambda X: np.where(X < 1, np.log(1 + np.exp(X)), X), X, None),
    "sinc by parts": (lambda X: np.where(X == 0, 1, np.sin(X) / X), X, None),
}


s = mj.special
#: Functions that SciPy has written in Python.
WRITTEN = {
    "logsumexp": (lambda X: s.logsumexp(X), X, 12),
    "logsumexp of rows": (lambda X: s.logsumexp(X, axis=1), X, 12),
    "logsumexp of columns": (lambda X: s.logsumexp(X, axis=-2, keepdims=True), X, 12),
    "logsumexp of two axes": (lambda X: s.logsumexp(np.stack([X, X * X]), axis=(0, 2)), X, 12),
    "logsumexp, weighted": (lambda X: s.logsumexp(X, axis=0, b=np.abs(W)), X, 12),
    "logsumexp, masked": (lambda X: s.logsumexp(X, axis=0, b=[[1, 0, 0, 1], [1, 1, 0, 0], [0, 1, 1, 1]]), X, 7),
    "logsumexp, weighted by variables": (lambda X, Y: s.logsumexp(X, axis=1, b=np.exp(Y)), ((3, 4), (3, 4)), 24),
    "log-likelihood": (lambda X: np.sum(s.log_softmax(X @ B, axis=1)[:, 0]), X, 12),
    "softmax": (lambda X: s.softmax(X), X, 12 * 12),
    "softmax of rows": (lambda X: s.softmax(X, axis=1), X, 12 * 4),
    "log softmax of columns": (lambda X: s.log_softmax(X, axis=0), X, 12 * 3),
    "softplus": (lambda X: s.softplus(X), X, None),
    "polygamma": (lambda X: s.polygamma(2, 1 + X * X), X, None),
    "polygammas": (lambda X: s.polygamma(np.array([0, 1, 2, 3]), 1 + X * X), X, None),
    "polygamma of order zero": (lambda X: s.polygamma([[[0]], [[0]]], 1 + X * X), X, 24),
    "multigammaln": (lambda X: s.multigammaln(3 + X * X, 3), X, None),
    "zeta": (lambda X: s.zeta(3.0, 1 + X * X), X, None),
    "factorial": (lambda X: s.factorial(X * X), X, None),
    "comb": (lambda X: s.comb(5.5 + X * X, 2), X, None),
    "comb by k": (lambda X: s.comb(7.5, X), X, None),
    "comb with repetition": (lambda X: s.comb(2 + X * X, 3, repetition=True), X, None),
    "perm": (lambda X: s.perm(3.5 + X * X, 2), X, None),
    "spherical Bessel functions": (lambda X: s.spherical_jn(2, 3 * X) + s.spherical_in(1, X), X, None),
    "spherical Bessel functions, second kind": (
        lambda X: s.spherical_yn(1, 1 + X * X) * s.spherical_kn(2, 1 + X * X),
        X,
        None,
    ),
    "erf, expit": (lambda X: s.erf(X) * s.expit(X) + scipy.special.erf(X), X, None),
    "normal mixture": (lambda X: s.logsumexp(-0.5 * (X[:, :, None] - np.arange(2.0)) ** 2, axis=-1), X, None),
}


# the table of slopes ----------------------------------------------------------------------------------

any_sign, positive, inside = [-2.3, -0.7, 0.4, 1.9], [0.2, 0.9, 2.4, 6.1], [-0.8, -0.3, 0.25, 0.9]
others, probabilities, above_one = [1.3, -0.6, 0.8, -2.1], [0.03, 0.3, 0.6, 0.95], [1.1, 1.7, 3.0, 20.0]
with_zero = [-1.7, 0.0, 0.6, 2.2]
#: name → operands: lists are points of variables, numbers are constants. At 0 only where nothing is singular.
SLOPES = {
    "np.power": (positive, others),
    "np.float_power": (positive, others),
    "np.divide": (with_zero, others),
    "np.logaddexp": (with_zero, others),
    "np.logaddexp2": (with_zero, others),
    "np.hypot": (with_zero, others),
    "np.arctan2": (any_sign, others),
    "np.fmod": (any_sign, [1.3, -0.6, 0.85, -2.1]),
    "np.remainder": (any_sign, [1.3, -0.6, 0.85, -2.1]),
    "np.copysign": (any_sign, others),
    "np.heaviside": (any_sign, others),
    "np.maximum": (any_sign, others),
    "np.minimum": (any_sign, others),
    "np.fmax": (any_sign, others),
    "np.fmin": (any_sign, others),
    "np.absolute": (any_sign,),
    "np.conjugate": (any_sign,),
    "np.real": (any_sign,),
    "np.imag": (any_sign,),
    **{f"np.{name}": (with_zero,) for name in ("exp", "exp2", "expm1", "square", "sin", "cos", "sinh", "cosh", "tanh")},
    **{
        f"np.{name}": (with_zero,) for name in ("arctan", "arcsinh", "deg2rad", "radians", "rad2deg", "degrees", "sinc")
    },
    **{f"np.{name}": (positive,) for name in ("log", "log2", "log10", "log1p", "sqrt")},
    **{f"np.{name}": (any_sign,) for name in ("cbrt", "reciprocal", "tan")},
    **{f"np.{name}": (inside,) for name in ("arcsin", "arccos", "arctanh")},
    "np.arccosh": (above_one,),
}
SPECIAL = {
    **{name: (with_zero,) for name in ("erf", "erfc", "erfi", "wofz", "ndtr", "expit", "log_expit", "exprel")},
    **{name: (with_zero,) for name in ("expm1", "exp2", "exp10", "sindg", "cosdg", "tandg", "cosm1", "wrightomega")},
    **{name: (with_zero,) for name in ("j0", "j1", "i0", "i1")},
    **{name: (any_sign,) for name in ("cbrt", "i0e", "i1e", "expi", "gamma", "gammaln", "rgamma", "digamma")},
    **{name: (positive,) for name in ("log1p", "entr", "loggamma", "y0", "y1", "k0", "k1", "k0e", "k1e", "exp1")},
    **{name: (probabilities,) for name in ("logit", "ndtri", "ellipkm1")},
    "erfcx": ([-2.3, 0.0, 3.0, 49.0, 51.0, 400.0],),
    "dawsn": ([-2000.0, -51.0, 0.0, 0.7, 49.0, 300.0],),
    "log_ndtr": ([-300.0, -7.0, -0.4, 0.3, 5.0],),
    "erfinv": (inside,),
    "erfcinv": ([0.05, 0.6, 1.2, 1.9],),
    "ndtri_exp": ([-60.0, -3.0, -0.5, -0.05],),
    "owens_t": (with_zero, others),
    "cotdg": ([-40.0, 20.0, 75.0, 130.0],),
    "radian": (any_sign, others, positive),
    "powm1": (positive, others),
    "boxcox": (positive, [0.0, 1.5, -0.4, 1e-9]),
    "boxcox1p": (positive, [0.0, 1.5, -0.4, 1e-9]),
    "inv_boxcox": (positive, 0.7),
    "inv_boxcox1p": (positive, 0.7),
    "lambertw": (positive,),
    "xlogy": ([0.0, 0.4, -2.0, 1.0], positive),
    "xlog1py": ([0.0, 0.4, -2.0, 1.0], positive),
    "rel_entr": (positive, [1.3, 0.4, 2.0, 3.0]),
    "kl_div": (positive, [1.3, 0.4, 2.0, 3.0]),
    "huber": ([0.8, 1.1, 0.5, 2.0], [0.3, -1.9, 0.7, -0.2]),
    "pseudo_huber": ([0.8, 1.1, 0.5, 2.0], [0.3, -1.9, 0.7, 0.0]),
    "zeta": (3.0, positive),
    "beta": (positive, above_one),
    "betaln": (positive, above_one),
    "binom": (above_one, [0.3, 1.2, -0.4, 4.2]),
    "poch": (positive, [*above_one[:2], 0.3, 0.8]),
    "gammainc": (1.7, positive),
    "gammaincc": (0.6, positive),
    "gammaincinv": (1.7, probabilities),
    "gammainccinv": (1.7, probabilities),
    "betainc": (1.7, 0.6, probabilities),
    "betaincc": (1.7, 0.6, probabilities),
    "betaincinv": (1.7, 1.6, probabilities),
    "betainccinv": (1.7, 1.6, probabilities),
    "chdtr": (3.0, positive),
    "chdtrc": (3.0, positive),
    "chdtri": (3.0, probabilities),
    "fdtr": (3.0, 5.0, positive),
    "fdtrc": (3.0, 5.0, positive),
    "stdtr": (4.5, with_zero),
    "stdtrit": (4.5, probabilities),
    "gdtr": (positive, 1.8, above_one),
    "gdtrc": (positive, 1.8, above_one),
    "pdtr": (3.0, positive),
    "pdtrc": (3.0, positive),
    "jv": (1.5, positive),
    "yv": (1.5, positive),
    "yn": (2, positive),
    "iv": (1.5, positive),
    "ive": (2.0, any_sign),
    "kv": (1.5, positive),
    "kve": (1.5, positive),
    "kn": (2, positive),
    "hankel1": (1.5, positive),
    "hankel2": (1.5, positive),
    "struve": (0.5, positive),
    "modstruve": (0.5, positive),
    "expn": (3, positive),
    "spence": ([0.3, 0.7, 1.0, 1.4, 6.1],),
    "ellipk": ([-3.0, 0.0, 0.3, 0.9],),
    "ellipe": ([-3.0, 0.0, 0.3, 0.9],),
    "ellipkinc": (with_zero, 0.4),
    "ellipeinc": (with_zero, 0.4),
    "hyp0f1": (1.4, any_sign),
    "hyp1f1": (0.7, 1.4, any_sign),
    "hyp2f1": (0.7, 1.2, 2.3, [-3.0, -0.4, 0.0, 0.7]),
    "hyperu": (0.7, 1.4, positive),
    **{f"eval_{name}": (3, inside) for name in ("legendre", "chebyt", "chebyu", "laguerre", "hermite", "hermitenorm")},
    **{f"eval_{name}": (3, probabilities) for name in ("sh_legendre", "sh_chebyt")},
    "eval_gegenbauer": (3, 0.7, inside),
    "eval_genlaguerre": (3, 0.7, inside),
    "eval_jacobi": (3, 0.7, 1.2, inside),
}
#: Those of several results, each a row.
SPECIAL |= {f"sici[{at}]": (positive,) for at in range(2)}
SPECIAL |= {f"shichi[{at}]": (positive,) for at in range(2)}
SPECIAL |= {f"fresnel[{at}]": (with_zero,) for at in range(2)}
SPECIAL |= {f"airy[{at}]": (with_zero,) for at in range(4)}
SPECIAL |= {f"ellipj[{at}]": (with_zero, 0.4) for at in range(4)}
SLOPES |= {f"scipy.special.{name}": operands for name, operands in SPECIAL.items()}
#: Functions of real points, though they take complex ones.
REAL_ALONE = {
    *(
        "np.absolute",
        "np.conjugate",
        "np.real",
        "np.imag",
        "np.copysign",
        "np.maximum",
        "np.minimum",
        "np.fmax",
        "np.fmin",
    ),
    # exp(−|Re z|) is a factor of the one; of complex points SciPy has no second digamma function
    *("scipy.special.ive", "scipy.special.digamma"),
}
