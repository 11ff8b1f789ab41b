"""Written functions with conditions on values: name → (function, shapes of its arguments, entries by structure).

None for the entries: one for each of the function's values. At the points of the tests no condition is at its edge.
"""

import numpy as np

rng = np.random.default_rng(11)
B, W = rng.standard_normal((4, 2)), rng.standard_normal((3, 4))
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
    "where of two masks": (lambda X: np.where(X > 0, np.tril(X), np.where(kept, X, 0)), X, 6 + 3),
    "times a mask": (lambda X: X * (X > 0), X, None),
    "times several masks": (lambda X: X**2 * ((X > -1) & (X < 1)) + X * ~(X > 0) + 1.0 * ((X > 2) | (X < -2)), X, None),
    "counts": (lambda X: X * np.sum(X > 0, axis=0) + np.count_nonzero(X > 0), X, None),
    "greatest entries": (lambda X: np.where(np.arange(4) == np.argmax(X, axis=1)[:, None], X, 0), X, None),
    "any and all": (lambda X: np.where(np.any(X > 1, axis=0) ^ np.all(X > 0, axis=0), X, X**2), X, None),
    "method any": (lambda X: np.where((X > 1).any(axis=0) & (X > -3).all(), X, X**2), X, None),
    "signs": (lambda X: np.sign(X) * X**2, X, None),
    "heaviside": (lambda X: np.heaviside(X, 0.5) * np.exp(X), X, None),
    "roundings": (lambda X: X * np.floor(X) + np.ceil(X) * X**2 + np.rint(X) - np.trunc(X) * X, X, None),
    "round": (lambda X: X * np.round(X, 1) + X.round() + np.fix(X) * X, X, None),
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
    "nan_to_num": (lambda X: np.nan_to_num(X * X), X, None),
    "copysign": (lambda X: np.copysign(X * X, W) + np.copysign(W, X), X, None),
    "remainders": (lambda X: np.mod(X, 1.7) + np.fmod(X, 1.6) + X % (W + 3) + np.remainder(W, 2 + X * X) + X // 1.3, X, None),
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
    "digitized": (lambda X: X * np.array([1.0, 2, 3, 4])[0] * np.digitize(X, [-1.0, 0, 1]), X, None),
    "searched": (lambda X: X * np.searchsorted(np.array([-1.0, 0, 1]), X), X, None),
    "ranks": (lambda X: X * np.argsort(X, axis=1) + np.argmin(X, axis=0), X, None),
    "safe norms": (safe_norms, X, 3 * 4 * 4),
    "entropies": (lambda X: np.where(X > 0, X * np.log(X), 0), X, None),
    "softplus by parts": (lambda X: np.where(X < 1, np.log(1 + np.exp(X)), X), X, None),
    "sinc by parts": (lambda X: np.where(X == 0, 1, np.sin(X) / X), X, None),
}
