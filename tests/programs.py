"""Random programs: what people write, put together at random, for `test_programs`."""

import numpy as np
import scipy.special

import matjac as mj

eye = np.eye(3)


def part_by_part(X, Y):
    Z = X.copy()
    Z[1:, ::2] = Y[1:, ::2]
    Z[0] += Z[1]
    view = Z[:, 1]
    view *= 2
    return Z


def through_views(X, Y):
    Z = np.zeros_like(X)
    turned, flat = Z.T, Z.reshape(-1)
    turned[0] = X[:, 0]
    flat[4:6] = Y.reshape(-1)[:2]
    Z[2, 2] = flat[0] * Y[1, 1]
    return Z + turned.T


def row_by_row(X, Y):
    Z = np.empty_like(X)
    for i in range(3):
        Z[i] = X[i] * Y[:, i] if i == 0 else Z[i - 1] * 0.5 + X[i]
    return Z


def by_masks(X, Y):
    Z = X.copy()
    Z[Y > 0.3] = 0.7
    Z[[0, 2], [1, 1]] = Y[0, :2]
    return Z


def exchanged(X, Y):
    Z = X.copy()
    Z[[0, 1]] = Z[[1, 0]]
    Z[0], W = Z[2].copy(), Z[0] * Y[0]
    return Z + W


def in_place(X, Y):
    Z = X + 0
    Z[0:2] -= Y[1:3]
    Z *= Y
    Z[:, 0] /= 2
    return Z


def of_numbers(X, Y):
    return np.array([[X[0, 0], Y[1, 1], 1.0], [X[1, 2] * Y[0, 0], 0.0, X[2, 2]], [1.0, 2.0, Y[2, 0]]])


def by_running_numbers(X, Y):
    total, found = 0.0, []
    for k in range(3):
        total += X[k, k] * Y[0, k]
        found.append(total)
    return np.stack(found) + X


def by_other_names(X, Y):
    """A number that ``*=`` replaces, and rows that it writes into."""
    number, other = X[0, 0], X[0, 0]
    other *= 2
    Z = Y.copy()
    row = kept = Z[1]
    row += X[2]
    buffer = np.zeros(3)
    for k in range(2):
        buffer[:] = k + 1
        Z[2 * k] = buffer
    return Z * number + other * kept


#: Functions of two 3 × 3 matrices, and of one, whose values broadcast to 3 × 3; none has a root at zero.
PAIRS = (
    *(part_by_part, through_views, row_by_row, by_masks, exchanged, in_place, of_numbers),
    *(by_running_numbers, by_other_names),
    *(np.add, np.subtract, np.multiply, np.matmul, np.maximum, np.minimum, np.logaddexp, np.cross),
    lambda x, y: x @ y.T,
    lambda x, y: np.where(x > y, x, y * y),
    # not where x is what rounding leaves of zero: there slopes are 10⁸, and so is what they make of rounding
    lambda x, y: np.where(x > 0.01, np.sqrt(np.abs(x)) + 0 * y, y),
    lambda x, y: np.sort(x, axis=1) + np.take_along_axis(y, np.argsort(x, axis=1), axis=1),
    lambda x, y: np.einsum("ij,jk,ik->ik", x, y, x),
    lambda x, y: np.kron(x, y)[::3, ::3],
    lambda x, y: x / (1 + y * y),
    lambda x, y: np.linalg.solve(x @ x.T + 4 * eye, y),
    lambda x, y: np.hypot(x, y + 2),
    lambda x, y: np.clip(x, -np.abs(y), np.abs(y)),
    lambda x, y: np.block([[x[:1, :2], y[:1, :1]], [y[1:]]]),
    lambda x, y: np.select([x < -0.5, y > 0.5], [x * y, y], x),
    lambda x, y: np.tensordot(x, y, axes=([0], [1])),
    lambda x, y: np.concatenate([x, y])[::2],
    lambda x, y: np.arctan2(x, y + 3),
    lambda x, y: x[np.argsort(y[:, 0] + 0)],
    lambda x, y: np.apply_along_axis(lambda row: row * row.sum(), 1, x) * y,
    lambda x, y: np.stack([x[0], y[1], x[2] * y[2]]),
    lambda x, y: np.vecdot(x, y)[:, None] * x,
    lambda x, y: np.insert(x, 1, y[0], axis=0)[1:],
    lambda x, y: np.fmax(x, y) * np.sign(x),
)
SINGLE = (
    *(np.tanh, np.sin, np.square, np.abs, np.rot90, np.transpose, scipy.special.expit, scipy.special.erf),
    lambda x: x[::-1],
    lambda x: x[[0, 0, 2]],
    lambda x: np.take(x, [1, 1, 0], axis=1),
    lambda x: np.roll(x, 1, axis=0),
    lambda x: np.tril(x) + np.triu(x, 1).T,
    lambda x: np.diag(np.diagonal(x)) + x[0],
    lambda x: np.pad(x, 1, mode="reflect")[1:-1, 1:-1] * x,
    lambda x: np.pad(x, 1)[:3, :3],
    lambda x: np.vander(x[0], 3),
    lambda x: np.meshgrid(x[0], x[1])[0] * x,
    lambda x: np.cumsum(x, axis=1),
    lambda x: np.cumprod(x, axis=0),
    lambda x: np.diff(x, axis=1, prepend=0.0),
    lambda x: np.gradient(x, axis=0),
    lambda x: np.prod(x, axis=1) + x,
    lambda x: x - x.mean(axis=0),
    lambda x: x / (1 + (x + 3 * eye).std(axis=1, keepdims=True)),
    lambda x: np.sort(x, axis=None).reshape(3, 3),
    lambda x: x - np.median(x, axis=1, keepdims=True),
    lambda x: np.quantile(x, [0.1, 0.5, 0.8], axis=0),
    lambda x: np.max(x, axis=0) - x,
    lambda x: x * (x > 0),
    lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    lambda x: np.where(x == 0, 1.0, np.sin(x) / np.where(x == 0, 1.0, x)),
    lambda x: np.floor(x) * x + x % 0.9,
    lambda x: np.convolve(x.ravel(), [1.0, 2.0, 1.0], "same").reshape(3, 3),
    lambda x: np.fft.irfft(np.fft.rfft(x, axis=1) * 2, 3, axis=1),
    lambda x: np.abs(np.fft.fft(x)),
    lambda x: mj.special.softmax(x, axis=1),
    lambda x: mj.special.logsumexp(x, axis=0) + x,
    lambda x: np.linalg.norm(x + 5, axis=1)[:, None] + x,
    lambda x: np.linalg.inv(x @ x.T + 3 * eye),
    lambda x: np.linalg.cholesky(x @ x.T + 3 * eye),
    lambda x: np.linalg.eigvalsh(x + x.T)[:, None] * x,
    lambda x: np.linalg.qr(x + 3 * eye)[1],
    lambda x: np.linalg.svd(x, compute_uv=False) + x,
    lambda x: np.linalg.det(x + 2 * eye) * x,
    lambda x: np.linalg.pinv(x + 3 * eye),
    lambda x: mj.linalg.expm(0.2 * x),
)


def program(rng):
    """Two to four steps, each of matrices that were there before."""
    steps, count = [], 2
    for _ in range(int(rng.integers(2, 5))):
        family = SINGLE if rng.random() < 0.5 else PAIRS
        given = rng.integers(count, size=1 if family is SINGLE else 2)
        steps.append((family[rng.integers(len(family))], [int(k) for k in given]))
        count += 1

    def run(X, Y):
        pool = [X, Y]
        for function, given in steps:
            pool.append(function(*(pool[k] for k in given)))
        return pool[-1] + 0 * X

    return run
