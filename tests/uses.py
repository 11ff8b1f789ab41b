"""Two hundred ordinary uses of NumPy and SciPy, from their reference pages, as a new user would write them.

Each is a function of one array beside the kind of point it is tried at (`POINTS`). `test_uses` counts those that are
right; the others must raise an error that says what to write instead.
"""

import numpy as np
import scipy.linalg
import scipy.special

import matjac as mj

rng = np.random.default_rng(7)
#: By a letter: a matrix, a square matrix, a positive definite one, a vector, a positive vector, a stack of matrices.
POINTS = {
    "X": rng.standard_normal((3, 4)),
    "A": rng.standard_normal((3, 3)) + 2 * np.eye(3),
    "S": (lambda B: B @ B.T + 2 * np.eye(3))(rng.standard_normal((3, 3))),
    "x": rng.standard_normal(6),
    "p": rng.uniform(0.2, 0.8, 6),
    "T": rng.standard_normal((2, 3, 3)) + 2 * np.eye(3),
}
B, b, W = rng.standard_normal((3, 3)), rng.standard_normal(3), rng.standard_normal((3, 4))
mask, weights = W > 0, rng.uniform(1, 2, 4)
x0 = np.linspace(-2, 2, 7)


def givens(x):
    c, s = np.cos(x[0]), np.sin(x[0])
    return np.array([[c, -s], [s, c]])


def recursion(x):
    y = np.zeros_like(x)
    y[0] = x[0]
    for k in range(1, len(x)):
        y[k] = 0.5 * y[k - 1] + x[k] ** 2
    return y


def filled(X):
    Y = np.empty((3, 3), like=X)
    for i in range(3):
        for j in range(3):
            Y[i, j] = X[i] @ X[j] if i >= j else 0.0
    return Y


def assembled(X):
    Y = X.copy()
    Y[mask] = 0
    Y[1:, ::2] += X[:2, 1::2]
    Y *= 2
    return Y


def laplacian(X):
    Y = -4 * X[1:-1, 1:-1]
    Y += X[:-2, 1:-1]
    Y += X[2:, 1:-1]
    return Y + X[1:-1, :-2] + X[1:-1, 2:]


def in_a_list(x):
    parts = []
    for k in range(3):
        parts.append(x[k] * np.sin(x[k + 1 :]))
    return np.concatenate(parts)


def huber(x):
    return np.where(np.abs(x) < 1, 0.5 * x**2, np.abs(x) - 0.5)


def truncated(X):
    Y = 2 * X
    Y[Y > 1] = 1
    return Y


def entropy(p):
    return -np.sum(np.where(p > 0, p * np.log(p), 0))


def rodrigues(x):
    w = x[:3]
    t = np.linalg.norm(w)
    K = np.array([[0, -w[2], w[1]], [w[2], 0, -w[0]], [-w[1], w[0], 0]]) / t
    return np.eye(3) + np.sin(t) * K + (1 - np.cos(t)) * K @ K


def batch_norm(X):
    return (X - X.mean(axis=0)) / np.sqrt(X.var(axis=0) + 1e-5)


def attention(X):
    scores = X @ X.T / np.sqrt(X.shape[1])
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True) @ X


def gaussian_loglik(S):
    L = np.linalg.cholesky(S)
    z = np.linalg.solve(L, b)
    return -0.5 * z @ z - np.sum(np.log(np.diag(L)))


def pairwise(X):
    return np.sqrt(((X[:, None, :] - X[None, :, :]) ** 2).sum(-1) + 1.0)


def split_parameters(x):
    a, c = np.split(x, [2])
    return a[:, None] * c.reshape(1, -1)


MOVES = {
    "np.rot90": ("X", lambda X: np.rot90(X)),
    "np.fliplr": ("X", np.fliplr),
    "np.flipud": ("X", np.flipud),
    "np.flip of an axis": ("X", lambda X: np.flip(X, axis=1)),
    "np.roll": ("X", lambda X: np.roll(X, 2, axis=1)),
    "np.swapaxes": ("T", lambda T: np.swapaxes(T, 0, 2)),
    "np.moveaxis": ("T", lambda T: np.moveaxis(T, 0, -1)),
    "np.rollaxis": ("T", lambda T: np.rollaxis(T, 2)),
    "np.transpose": ("T", lambda T: np.transpose(T, (2, 0, 1))),
    "np.matrix_transpose": ("T", np.matrix_transpose),
    ".mT": ("T", lambda T: T.mT @ T),
    "np.pad": ("X", lambda X: np.pad(X, 1)),
    "np.pad by the edge": ("X", lambda X: np.pad(X, ((1, 2), (0, 1)), mode="edge")),
    "np.pad by reflection": ("X", lambda X: np.pad(X, 1, mode="reflect")),
    "np.append": ("x", lambda x: np.append(x, x[:2] ** 2)),
    "np.insert": ("x", lambda x: np.insert(x, 2, 1.0)),
    "np.delete": ("X", lambda X: np.delete(X, 1, axis=0)),
    "np.block": ("A", lambda A: np.block([[A, np.eye(3)], [np.zeros((3, 3)), A.T]])),
    "np.concatenate": ("X", lambda X: np.concatenate([X, W, X**2])),
    "np.stack": ("X", lambda X: np.stack([X, 2 * X], axis=-1)),
    "np.vstack": ("x", lambda x: np.vstack([x, x**2])),
    "np.hstack": ("X", lambda X: np.hstack([X, W])),
    "np.dstack": ("X", lambda X: np.dstack([X, W])),
    "np.column_stack": ("x", lambda x: np.column_stack([np.ones(6), x, x**2])),
    "np.split": ("x", lambda x: np.split(x, 3)[1] * np.split(x, 3)[2]),
    "np.array_split": ("x", lambda x: np.array_split(x, 4)[0]),
    "np.hsplit": ("X", lambda X: np.hsplit(X, 2)[0] @ np.hsplit(X, 2)[1].T),
    "np.vsplit": ("X", lambda X: np.vsplit(X, 3)[1]),
    "np.tile": ("x", lambda x: np.tile(x, (2, 2))),
    "np.repeat": ("X", lambda X: np.repeat(X, 2, axis=1)),
    "np.take": ("X", lambda X: np.take(X, [2, 0, 2], axis=1)),
    "np.take_along_axis": ("X", lambda X: np.take_along_axis(X, np.argsort(W, axis=1), axis=1)),
    "np.choose": ("X", lambda X: np.choose([0, 1, 0, 1], [X[0], X[1]])),
    "np.compress": ("X", lambda X: np.compress([True, False, True], X, axis=0)),
    "np.extract": ("X", lambda X: np.extract(mask, X)),
    "np.diag": ("X", lambda X: np.diag(X[0])),
    "np.diagflat": ("X", lambda X: np.diagflat(X[:2, :2])),
    "np.diagonal": ("A", lambda A: np.diagonal(A, 1)),
    "np.tril": ("A", np.tril),
    "np.triu": ("A", lambda A: np.triu(A, 1)),
    "np.triu_indices": ("A", lambda A: A[np.triu_indices(3)]),
    "np.atleast_2d": ("x", lambda x: np.atleast_2d(x) * 2),
    "np.atleast_3d": ("X", np.atleast_3d),
    "np.expand_dims": ("X", lambda X: np.expand_dims(X, 1)),
    "np.squeeze": ("X", lambda X: np.squeeze(X[:1])),
    "np.ravel": ("X", lambda X: np.ravel(X, order="F")),
    "np.reshape": ("X", lambda X: np.reshape(X, (2, 6))),
    "np.resize": ("x", lambda x: np.resize(x, (4, 4))),
    "np.broadcast_to": ("x", lambda x: np.broadcast_to(x, (3, 6))),
    "np.broadcast_arrays": ("X", lambda X: np.multiply(*np.broadcast_arrays(X, X[0]))),
    "np.meshgrid": ("x", lambda x: np.multiply(*np.meshgrid(x[:2], x[2:]))),
    "np.vander": ("x", lambda x: np.vander(x, 4)),
    "np.ix_": ("X", lambda X: X[np.ix_([0, 2], [1, 3])]),
    "a boolean mask": ("X", lambda X: X[mask]),
    "a fancy index": ("X", lambda X: X[[0, 2], 1:]),
    "np.fft.fftshift": ("x", np.fft.fftshift),
    "np.kron": ("A", lambda A: np.kron(np.eye(2), A)),
}

ARRAYS = {
    "np.zeros_like and a loop": ("x", recursion),
    "np.empty, like=": ("X", filled),
    "writes by mask and slice": ("X", assembled),
    "a stencil in place": ("X", laplacian),
    "np.ones_like": ("X", lambda X: np.ones_like(X) + X),
    "np.full_like": ("X", lambda X: np.full_like(X, 3.0) * X),
    "np.array of numbers": ("x", lambda x: np.array([x[0] * x[1], x[2], 1.0])),
    "np.array of rows": ("x", lambda x: np.array([x, x**2])),
    "a rotation": ("x", givens),
    "Rodrigues' formula": ("x", rodrigues),
    "parts in a list": ("x", in_a_list),
    "np.copy": ("x", lambda x: np.copy(x) ** 2),
    ".astype(float)": ("x", lambda x: x.astype(float) * 2),
    "unpacking": ("x", lambda x: (lambda a, b, *rest: a * b + sum(rest))(*x)),
    "np.split of parameters": ("x", split_parameters),
    "np.fill_diagonal": ("A", lambda A: [Y := A.copy(), np.fill_diagonal(Y, 1.0), Y][2]),
    "a tuple of residuals": ("X", lambda X: (X.sum(axis=0) - 1, X.ravel() * 0.1)),
    "a list comprehension": ("X", lambda X: np.stack([row / row.sum() for row in np.exp(X)])),
    "sum of a generator": ("X", lambda X: sum(row @ row for row in X)),
    "a function inside another": ("A", lambda A: inner(A) @ A),
    ".T and .reshape": ("X", lambda X: X.T.reshape(2, -1)),
    ".flatten('F')": ("X", lambda X: X.flatten("F")),
    "np.asarray of a constant": ("X", lambda X: np.asarray([[1.0, 2, 3]]) @ X),
    "np.r_": ("x", lambda x: np.r_[x, 1.0, x[:2]]),
}
inner = mj.compile(lambda A: A @ A.T, (3, 3))

REDUCTIONS = {
    "np.sum": ("X", lambda X: np.sum(X**2, axis=-1)),
    "np.prod": ("X", lambda X: np.prod(X, axis=1)),
    "np.cumsum": ("X", lambda X: np.cumsum(X, axis=1)),
    "np.cumprod": ("x", np.cumprod),
    "np.diff": ("X", lambda X: np.diff(X, n=2, axis=1)),
    "np.ediff1d": ("x", np.ediff1d),
    "np.gradient": ("x", lambda x: np.gradient(x, 0.1)),
    "np.gradient of axes": ("X", lambda X: np.stack(np.gradient(X))),
    "np.mean": ("X", lambda X: np.mean(X, axis=0, keepdims=True)),
    "np.var": ("X", lambda X: np.var(X, axis=0, ddof=1)),
    "np.std": ("X", lambda X: np.std(X, axis=1)),
    ".std": ("X", lambda X: (X - X.mean(axis=0)) / X.std(axis=0)),
    "np.average": ("X", lambda X: np.average(X, axis=1, weights=weights)),
    "np.cov": ("X", np.cov),
    "np.corrcoef": ("X", np.corrcoef),
    "np.max": ("X", lambda X: np.max(X, axis=1)),
    "np.amin": ("X", lambda X: np.amin(X)),
    ".max": ("X", lambda X: X.max(axis=0)),
    "np.ptp": ("X", lambda X: np.ptp(X, axis=0)),
    "np.median": ("X", lambda X: np.median(X, axis=1)),
    "np.percentile": ("x", lambda x: np.percentile(x, 30)),
    "np.quantile": ("X", lambda X: np.quantile(X, [0.25, 0.75], axis=1)),
    "np.sort": ("X", np.sort),
    "np.partition": ("x", lambda x: np.partition(x, 2)[:3].sum()),
    "x[np.argsort(x)]": ("x", lambda x: np.take_along_axis(x, np.argsort(x), 0)),
    "np.clip": ("x", lambda x: np.clip(x, -0.5, 0.5)),
    ".clip": ("x", lambda x: x.clip(0, None)),
    "np.trapezoid": ("x", lambda x: np.trapezoid(x**2, dx=0.1)),
    "np.convolve": ("x", lambda x: np.convolve(x, [1.0, 2, 1], mode="valid")),
    "np.convolve of both": ("x", lambda x: np.convolve(x[:3], x[3:])),
    "np.correlate": ("x", lambda x: np.correlate(x, b)),
    "np.polyval": ("x", lambda x: np.polyval(x[:3], x[3:])),
    "np.interp": ("x", lambda x: np.interp([0.5, 1.5], np.arange(6.0), x)),
    "np.interp of points": ("p", lambda p: np.interp(p, x0, np.sin(x0))),
    "np.nansum": ("x", np.nansum),
    "np.linalg.norm": ("x", np.linalg.norm),
    "np.linalg.norm by rows": ("X", lambda X: np.linalg.norm(X, axis=1)),
    "np.linalg.norm of order 1": ("x", lambda x: np.linalg.norm(x, 1)),
    "np.linalg.norm of order inf": ("X", lambda X: np.linalg.norm(X, np.inf)),
    "the nuclear norm": ("X", lambda X: np.linalg.norm(X, "nuc")),
    "the spectral norm": ("X", lambda X: np.linalg.norm(X, 2)),
    "np.logaddexp.reduce": ("x", np.logaddexp.reduce),
    "mj.special.logsumexp": ("X", lambda X: mj.special.logsumexp(X, axis=1)),
    "scipy.special.logsumexp": ("X", lambda X: scipy.special.logsumexp(X, axis=1)),
}

CONDITIONS = {
    "np.where on a value": ("X", lambda X: np.where(X > 0, X, 0.1 * X)),
    "relu": ("X", lambda X: X * (X > 0)),
    "np.maximum": ("X", lambda X: np.maximum(X, 0)),
    "np.minimum": ("X", lambda X: np.minimum(X, X.T[:3, :1])),
    "np.abs": ("X", np.abs),
    "abs": ("X", abs),
    "np.fabs": ("X", np.fabs),
    "np.sign": ("X", lambda X: np.sign(X) * X**2),
    "Huber's loss": ("x", huber),
    "hinge": ("x", lambda x: np.sum(np.maximum(0, 1 - x))),
    "entropy": ("p", entropy),
    "np.heaviside": ("x", lambda x: np.heaviside(x, 0.5) * x),
    "np.select": ("x", lambda x: np.select([x < -0.3, x < 0.3], [x, x**2], 2 * x)),
    "two masks": ("x", lambda x: np.where((x > -1) & (x < 1), x**3, x)),
    "~mask": ("x", lambda x: x * ~(x > 0)),
    "np.hypot": ("x", lambda x: np.hypot(x[:3], x[3:])),
    "np.fmax": ("x", lambda x: np.fmax(x, 0.1)),
    "np.mod": ("x", lambda x: np.mod(x, 0.7)),
    "np.nan_to_num": ("x", np.nan_to_num),
    "np.copysign": ("p", lambda p: np.copysign(p, x0[:6])),
    "np.sinc": ("x", np.sinc),
    "assignment by a mask of values": ("x", lambda x: [Y := x.copy(), Y.__setitem__(Y < 0, 0.0), Y**2][2]),
    "a mask of values in place": ("X", truncated),
    "X[X < 0] *= 2": ("X", lambda X: [Y := X.copy(), Y.__setitem__(Y < 0, Y[Y < 0] * 2), Y][2]),
    "if on a value": ("x", lambda x: x if x[0] > 0 else -x),
    "X[X > 0]": ("X", lambda X: X[X > 0]),
    "np.round": ("x", lambda x: x - np.round(x)),
    "np.floor": ("x", lambda x: x * np.floor(x)),
    "np.count_nonzero": ("x", lambda x: x / np.count_nonzero(x > 0)),
}

ENTRIES = (
    {
        f"np.{f.__name__}": (point, f)
        for point, f in [
            *(("x", f) for f in (np.exp, np.expm1, np.sin, np.cos, np.tan, np.sinh, np.cosh, np.tanh, np.arctan)),
            *(("x", f) for f in (np.arcsinh, np.square, np.exp2, np.cbrt, np.deg2rad, np.positive, np.negative)),
            *(("p", f) for f in (np.log, np.log2, np.log10, np.log1p, np.sqrt, np.arcsin, np.arccos, np.arctanh)),
            *(("p", f) for f in (np.reciprocal, np.degrees)),
        ]
    }
    | {
        "np.arccosh": ("p", lambda p: np.arccosh(p + 1)),
        "np.arctan2": ("x", lambda x: np.arctan2(x[:3], x[3:])),
        "np.power": ("p", lambda p: np.power(p, 2.5)),
        "np.float_power": ("p", lambda p: np.float_power(p, 3)),
        "2 ** x": ("x", lambda x: 2**x),
        "x ** y": ("p", lambda p: p[:3] ** p[3:]),
        "x // 1": ("p", lambda p: p * (p // 0.3)),
        "np.logaddexp": ("x", lambda x: np.logaddexp(x, 0)),
        "np.true_divide": ("p", lambda p: np.true_divide(1, p)),
        "np.i0": ("p", np.i0),
    }
    | {
        f"scipy.special.{name}": ("p", getattr(scipy.special, name))
        for name in (
            *(
                "erf",
                "erfc",
                "erfinv",
                "expit",
                "logit",
                "log_expit",
                "gammaln",
                "digamma",
                "gamma",
                "ndtr",
                "log_ndtr",
            ),
            *("ndtri", "entr", "j0", "j1", "i0", "i1", "exp1"),
        )
    }
    | {
        "scipy.special.xlogy": ("p", lambda p: scipy.special.xlogy(p, p[::-1])),
        "scipy.special.beta": ("p", lambda p: scipy.special.beta(p[:3], p[3:])),
        "scipy.special.betaln": ("p", lambda p: scipy.special.betaln(p[:3], p[3:])),
        "scipy.special.rel_entr": ("p", lambda p: scipy.special.rel_entr(p[:3], p[3:])),
        "scipy.special.gammainc": ("p", lambda p: scipy.special.gammainc(2.0, p)),
        "scipy.special.jv": ("p", lambda p: scipy.special.jv(2, p)),
        "scipy.special.huber": ("x", lambda x: scipy.special.huber(1.0, x)),
        "mj.special.softmax": ("X", lambda X: mj.special.softmax(X, axis=1)),
        "mj.special.log_softmax": ("X", lambda X: mj.special.log_softmax(X, axis=1)),
        "scipy.special.softmax": ("X", lambda X: scipy.special.softmax(X, axis=1)),
        "scipy.special.gammainc of a": ("p", lambda p: scipy.special.gammainc(p, 2.0)),
    }
)

ALGEBRA = {
    "np.linalg.inv": ("A", np.linalg.inv),
    "np.linalg.inv of a stack": ("T", np.linalg.inv),
    "np.linalg.solve": ("A", lambda A: np.linalg.solve(A, b)),
    "np.linalg.solve of a stack": ("T", lambda T: np.linalg.solve(T, B)),
    "np.linalg.det": ("A", np.linalg.det),
    "np.linalg.det of a stack": ("T", np.linalg.det),
    "np.linalg.slogdet": ("S", lambda S: np.linalg.slogdet(S)[1]),
    "slogdet(S).logabsdet": ("S", lambda S: np.linalg.slogdet(S).logabsdet),
    "np.linalg.pinv": ("X", np.linalg.pinv),
    "np.linalg.lstsq": ("X", lambda X: np.linalg.lstsq(X.T, weights)[0]),
    "np.linalg.matrix_power": ("A", lambda A: np.linalg.matrix_power(A, 3)),
    "np.linalg.multi_dot": ("A", lambda A: np.linalg.multi_dot([A, B, A])),
    "np.linalg.cholesky": ("S", np.linalg.cholesky),
    "np.linalg.eigvalsh": ("S", np.linalg.eigvalsh),
    "np.linalg.eigh": ("S", lambda S: np.linalg.eigh(S)[0]),
    "a function of eigh": ("S", lambda S: (lambda w, V: V @ np.diag(np.sqrt(w)) @ V.T)(*np.linalg.eigh(S))),
    "singular values": ("X", lambda X: np.linalg.svd(X, compute_uv=False)),
    "np.linalg.svd": ("X", lambda X: np.linalg.svd(X, full_matrices=False)[0]),
    "np.linalg.svdvals": ("X", np.linalg.svdvals),
    "np.linalg.qr": ("X", lambda X: np.linalg.qr(X.T)[1]),
    "np.linalg.cond": ("A", np.linalg.cond),
    "np.trace": ("A", np.trace),
    "np.outer": ("x", lambda x: np.outer(x[:3], x[3:])),
    "np.inner": ("X", lambda X: np.inner(X, W)),
    "np.dot": ("X", lambda X: np.dot(B, X)),
    "np.vdot": ("X", lambda X: np.vdot(X, W)),
    "np.vecdot": ("X", lambda X: np.vecdot(X, W)),
    "np.cross": ("x", lambda x: np.cross(x[:3], x[3:])),
    "np.tensordot": ("T", lambda T: np.tensordot(T, B, axes=([2], [0]))),
    "np.einsum": ("X", lambda X: np.einsum("ij,kj->ik", X, W)),
    "np.einsum of three": ("X", lambda X: np.einsum("ij,ik,kl->jl", X, B, X)),
    "np.einsum, ellipsis": ("T", lambda T: np.einsum("...ij,...kj->...ik", T, T)),
    "np.matvec": ("A", lambda A: np.matvec(A, b)),
    "Gaussian log-likelihood": ("S", gaussian_loglik),
    "attention": ("X", attention),
    "batch normalisation": ("X", batch_norm),
    "distances": ("X", pairwise),
    "np.linalg.eigvals": ("A", np.linalg.eigvals),
    "np.linalg.eig": ("A", lambda A: np.linalg.eig(A)[0]),
    "np.linalg.matrix_rank": ("A", lambda A: A * np.linalg.matrix_rank(A)),
    **{
        f"mj.linalg.{name}": (point, lambda A, f=name, rest=rest: getattr(mj.linalg, f)(A, *rest))
        for name, point, *rest in [
            ("expm", "A"),
            ("sqrtm", "S"),
            ("logm", "S"),
            ("solve", "A", b),
            ("solve_triangular", "A", b),
            ("cholesky", "S"),
            ("solve_sylvester", "A", B, B),
            ("solve_continuous_lyapunov", "A", B),
            ("block_diag", "A", B),
            ("toeplitz", "x"),
        ]
    },
    "mj.linalg.cho_solve": ("S", lambda S: mj.linalg.cho_solve(mj.linalg.cho_factor(S), b)),
    "scipy.linalg.expm": ("A", scipy.linalg.expm),
    "scipy.linalg.solve": ("A", lambda A: scipy.linalg.solve(A, b)),
    "scipy.linalg.sqrtm": ("S", scipy.linalg.sqrtm),
    "scipy.linalg.cho_factor": ("S", lambda S: scipy.linalg.cho_solve(scipy.linalg.cho_factor(S), b)),
    "scipy.linalg.solve_triangular": ("A", lambda A: scipy.linalg.solve_triangular(A, b)),
}

FOURIER = {
    "np.fft.fft and back": ("x", lambda x: np.fft.ifft(np.fft.fft(x) * np.arange(6)).real),
    "np.fft.rfft and back": ("x", lambda x: np.fft.irfft(np.fft.rfft(x) * np.arange(4), 6)),
    "a power spectrum": ("x", lambda x: np.abs(np.fft.rfft(x)) ** 2),
    "np.fft.fft2": ("X", lambda X: np.fft.ifft2(np.fft.fft2(X) * W).real),
}

USES = MOVES | ARRAYS | REDUCTIONS | CONDITIONS | ENTRIES | ALGEBRA | FOURIER
