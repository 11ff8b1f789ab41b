"""Written functions of linear algebra: name → (function, kinds of points, entries by structure).

Kinds of points are those of `point`. None for the entries: those that are not zero at a general point. Of triangular
factors some are counted that cancel in every sum.
"""

import numpy as np
import scipy.linalg

import matjac as mj

rng = np.random.default_rng(23)
B, b, W, C = (
    rng.standard_normal((3, 3)),
    rng.standard_normal(3),
    rng.standard_normal((3, 4)),
    rng.standard_normal((2, 3, 2)),
)
Q = B @ B.T + np.eye(3)
far = np.array([9.0, 0, 0])


def point(kind, rng):
    """A square matrix (A), a positive definite one (S), a 3 × 4 one (X), stacks of two of each (AA …), a vector (x)."""
    if kind in ("AA", "SS", "XX"):
        return np.stack([point(kind[0], rng) for _ in range(2)])
    if kind == "x":
        return rng.standard_normal(3)
    if kind in ("X", "R"):
        return rng.standard_normal((3, 4))
    M = rng.standard_normal((3, 3))
    return M @ M.T + 2 * np.eye(3) if kind == "S" else M + 3 * np.eye(3)


def spread(w, V):
    return V @ np.diag(np.sqrt(w)) @ V.T


#: Analytic ones, tried at complex points too.
ANALYTIC = {
    "inv of a stack": (np.linalg.inv, ("AA",), 2 * 81),
    "solve of a stack": (lambda A: np.linalg.solve(A, C), ("AA",), 2 * 6 * 9),
    "solve of a stack by one matrix": (lambda A, S: np.linalg.solve(A, S), ("A", "SS"), 18 * 9 + 2 * 9 * 3),
    "inv of a triangle": (lambda A: np.linalg.inv(np.tril(A)), ("A",), 3 * 1 + 2 * 3 + 6),
    "power zero alone": (lambda A: A[0] + np.linalg.matrix_power(A[:, :3], 0), ("A",), 9),
    "lu_solve": (lambda A, x: mj.linalg.lu_solve(mj.linalg.lu_factor(A), x), ("A", "x"), 36),
    "lu_solve, turned": (lambda A: mj.linalg.lu_solve(mj.linalg.lu_factor(A), B, trans=1), ("A",), 81),
    "lu_solve, constant": (lambda x: mj.linalg.lu_solve(scipy.linalg.lu_factor(Q), x), ("x",), 9),
    "lu": (lambda A: mj.linalg.lu(A)[1] + mj.linalg.lu(A)[2] @ B, ("A",), 81),
    "lu, permuted": (lambda A: mj.linalg.lu(A[::-1], permute_l=True)[0], ("A",), 3 * 3 + 3 * 6),
    "lu_factor": (lambda A: mj.linalg.lu_factor(A)[0], ("A",), 54),
    "solve_toeplitz of two": (lambda x: mj.linalg.solve_toeplitz((x + far, b), b), ("x",), None),
    "solve_circulant": (lambda x: mj.linalg.solve_circulant(x + far, b), ("x",), 9),
    "convolution_matrix": (lambda x: mj.linalg.convolution_matrix(x, 4), ("x",), 12),
    "expm_frechet": (lambda A: mj.linalg.expm_frechet(A, A.T, compute_expm=False) @ B, ("A",), 81),
    "expm of large norm": (lambda A: mj.linalg.expm(4 * A) / 1e6, ("A",), 81),
    "signm": (lambda A: mj.linalg.signm(A - 3 * np.eye(3)), ("A",), 81),
    "fractional power": (lambda S: mj.linalg.fractional_matrix_power(S, 0.4), ("S",), 81),
    "solve of a vector": (lambda A, x: np.linalg.solve(A, x), ("A", "x"), 3 * 9 + 9),
    "det of a stack": (np.linalg.det, ("AA",), 2 * 9),
    "matrix power": (lambda A: np.linalg.matrix_power(A, 5), ("A",), 81),
    "negative power": (lambda A: np.linalg.matrix_power(A, -2), ("A",), 81),
    "power zero": (lambda A: A + np.linalg.matrix_power(A, 0), ("A",), 9),
    "power of a stack": (lambda A: np.linalg.matrix_power(A, 2), ("AA",), None),
    "multi_dot": (lambda A, X: np.linalg.multi_dot([b, A, B, X]), ("A", "X"), None),
    "multi_dot of vectors": (lambda A, x: np.linalg.multi_dot([x, A, A, b]), ("A", "x"), 12),
    "tensorinv": (lambda A: np.linalg.tensorinv(A.reshape(3, 3, 1), ind=1), ("A",), 81),
    "tensorsolve": (lambda A: np.linalg.tensorsolve(A.reshape(3, 1, 3), b.reshape(3, 1)), ("A",), 27),
    "tensorsolve of axes": (lambda A: np.linalg.tensorsolve(A[:, None], B[:1], axes=(0,)), ("A",), 27),
    "tensorsolve of two axes": (lambda A: np.linalg.tensorsolve(A.reshape(3, 1, 3, 1), B[:1], axes=(3, 0)), ("A",), 27),
    "numpy.linalg's products": (
        lambda A: np.linalg.outer(A[0], b) + np.linalg.matmul(A, B) + np.linalg.tensordot(A, B, axes=1),
        ("A",),
        None,
    ),
    "numpy.linalg's moves": (lambda A: np.linalg.diagonal(A) * np.linalg.trace(A)[:, None], ("AA",), None),
    "expm": (mj.linalg.expm, ("A",), 81),
    "expm of a stack": (lambda A: mj.linalg.expm(A * 0.3) @ B, ("AA",), 2 * 81),
    "sinm and cosm": (lambda A: mj.linalg.sinm(A * 0.2) + mj.linalg.cosm(A * 0.2), ("A",), 81),
    "sinhm, coshm, tanhm": (
        lambda A: sum(getattr(mj.linalg, f)(A * 0.1) for f in ("sinhm", "coshm", "tanhm")),
        ("A",),
        81,
    ),
    "logm": (mj.linalg.logm, ("S",), 81),
    "sqrtm": (mj.linalg.sqrtm, ("S",), 81),
    "sylvester": (lambda A, S, X: mj.linalg.solve_sylvester(A, S, X[:, :3]), ("A", "S", "A"), 9 * 27),
    "sylvester of q": (lambda A, X: mj.linalg.solve_sylvester(A + Q, A, X[:, 1:]), ("A", "X"), 81 + 81),
    "sylvester of constants": (lambda A: mj.linalg.solve_sylvester(Q, Q + B.T @ B, A), ("A",), 81),
    "sylvester of stacks": (lambda A, S: mj.linalg.solve_sylvester(A, S, B), ("AA", "S"), 2 * 81 + 18 * 9),
    "sylvester of a stack of q": (lambda A, X: mj.linalg.solve_sylvester(A, Q, X), ("A", "AA"), 18 * 9 + 2 * 81),
    "solve_triangular of stacks": (
        lambda A, S: mj.linalg.solve_triangular(A, S, lower=True),
        ("AA", "S"),
        2 * 3 * (1 + 3 + 6) + 2 * 3 * 6,
    ),
    "solve_triangular of stacks of vectors": (
        lambda A, x: mj.linalg.solve_triangular(A, x, trans=1),
        ("AA", "x"),
        2 * 10 + 2 * 6,
    ),
    "scipy's solve, diagonal": (lambda A, x: mj.linalg.solve(A, x, assume_a="diagonal"), ("A", "x"), 6),
    "scipy's solve, diagonal, of a matrix": (lambda A: mj.linalg.solve(A, W, assume_a="diagonal"), ("A",), 12),
    "power 2.0": (lambda A: mj.linalg.fractional_matrix_power(A, 2.0), ("A",), 45),
    "solve_triangular": (
        lambda A, X: mj.linalg.solve_triangular(A, X, lower=True),
        ("A", "X"),
        (1 + 3 + 6) * 4 + 6 * 4,
    ),
    "solve_triangular of a vector": (lambda A, x: mj.linalg.solve_triangular(A, x), ("A", "x"), 10 + 6),
    "solve_triangular, turned": (lambda A, x: mj.linalg.solve_triangular(A, x, trans=1), ("A", "x"), 10 + 6),
    "solve_triangular, unit": (
        lambda A: mj.linalg.solve_triangular(A, B, lower=True, unit_diagonal=True),
        ("A",),
        (0 + 1 + 3) * 3,
    ),
    "scipy's solve, triangular": (lambda A: mj.linalg.solve(A, b, assume_a="lower triangular"), ("A",), 10),
    "scipy's inv and det": (lambda A: mj.linalg.inv(A) * mj.linalg.det(A), ("A",), 81),
    "hankel, circulant": (lambda x: mj.linalg.hankel(x) + mj.linalg.circulant(x), ("x",), None),
    "block_diag": (lambda A: mj.linalg.block_diag(A, B, A[0]), ("A",), None),
    "khatri_rao": (lambda X: mj.linalg.khatri_rao(X, W), ("X",), None),
}

#: Of real numbers alone.
REAL = {
    "solve_toeplitz": (lambda x: mj.linalg.solve_toeplitz(x + far, b), ("x",), 9),
    "matmul_toeplitz": (lambda x: mj.linalg.matmul_toeplitz(x, x), ("x",), None),
    "toeplitz": (lambda x: mj.linalg.toeplitz(x, x**2) @ B, ("x",), None),
    "scipy's solve, symmetric": (lambda S: mj.linalg.solve(S, b, assume_a="pos"), ("S",), 18),
    "scipy's solve": (lambda A: mj.linalg.solve(A, b, transposed=True), ("A",), 27),
    "slogdet of a stack": (lambda A: np.linalg.slogdet(A).logabsdet, ("SS",), 2 * 9),
    "pinv": (np.linalg.pinv, ("X",), 144),
    "pinv of tall ones": (lambda X: np.linalg.pinv(X.mT), ("XX",), 2 * 144),
    "lstsq": (lambda X: np.linalg.lstsq(X.T, W[0])[0], ("X",), 36),
    "lstsq of columns": (lambda X, A: np.linalg.lstsq(X.T, W.T @ A)[0], ("X", "A"), 9 * 12 + 9 * 3),
    "lstsq, least norm": (lambda X: np.linalg.lstsq(X, B)[0], ("X",), 12 * 12),
    "sums of squares of lstsq": (lambda X: np.linalg.lstsq(X.T, W.T)[1], ("X",), 36),
    "cholesky": (np.linalg.cholesky, ("S",), None),
    "cholesky, upper": (lambda S: np.linalg.cholesky(S, upper=True), ("S",), None),
    "whitened": (lambda A: np.linalg.solve(np.linalg.cholesky(A @ A.T), A), ("A",), 3 * (3 + 6 + 9)),
    "pinv, hermitian": (lambda S: np.linalg.pinv(S, hermitian=True) + mj.linalg.pinvh(S, lower=True), ("S",), 54),
    "svd, hermitian": (lambda S: np.linalg.svd(S, hermitian=True)[1], ("S",), 18),
    "eigh, upper": (lambda S: np.linalg.eigh(S + C[0] @ C[0].T, "U")[1], ("S",), 54),
    "vecdot of columns": (lambda A: np.linalg.vecdot(A, A**2, axis=0), ("A",), 9),
    "cholesky of a stack": (np.linalg.cholesky, ("SS",), None),
    "cholesky of a product": (lambda X: np.linalg.cholesky(X @ X.T + np.eye(3)), ("X",), None),
    "eigvalsh": (np.linalg.eigvalsh, ("S",), 18),
    "eigvalsh, upper": (lambda S: np.linalg.eigvalsh(S, "U"), ("S",), 18),
    "eigh": (lambda S: np.linalg.eigh(S).eigenvectors ** 2, ("S",), 54),
    "eigh of a stack": (lambda S: np.linalg.eigh(S)[0], ("SS",), 36),
    "a function of eigh": (lambda S: spread(*np.linalg.eigh(S)), ("S",), 54),
    "singular values": (lambda X: np.linalg.svd(X, compute_uv=False), ("X",), 36),
    "singular values of a stack": (np.linalg.svdvals, ("XX",), 72),
    "svd": (lambda X: np.linalg.svd(X, full_matrices=False)[0] ** 2, ("X",), 9 * 12),
    "svd, right": (lambda X: np.linalg.svd(X, full_matrices=False).Vh ** 2, ("X",), 144),
    "svd, tall": (lambda X: (lambda U, s, Vh: (U * s) @ Vh)(*np.linalg.svd(X.T, full_matrices=False)), ("X",), 144),
    "svd of a square": (lambda A: np.abs(np.linalg.svd(A)[0]), ("A",), 81),
    "qr": (lambda X: np.linalg.qr(X.T)[0], ("X",), None),
    "qr, triangular": (lambda X: np.linalg.qr(X.T, mode="r"), ("X",), 4 + 8 + 8 + 8 + 12 + 12),
    "qr, wide": (lambda X: (lambda Q, R: Q @ R * R)(*np.linalg.qr(X)), ("X",), 69),
    "qr of a stack": (lambda A: np.linalg.qr(A).R ** 2, ("AA",), 2 * (3 + 6 + 6 + 6 + 9 + 9)),
    "cond": (lambda A: np.linalg.cond(A) + np.linalg.cond(A, "fro") + np.linalg.cond(A, -2), ("A",), 9),
    "norm 1, inf": (lambda x: np.linalg.norm(x, 1) + np.linalg.norm(x, np.inf) + np.linalg.norm(x, -np.inf), ("x",), 3),
    "norm 3": (lambda X: np.linalg.norm(X, 3, axis=0), ("X",), 12),
    "norm of rows": (lambda X: np.linalg.norm(X, axis=1, keepdims=True) * X, ("X",), 48),
    "matrix norms": (
        lambda X: sum(np.linalg.norm(X, p) for p in ("nuc", "fro", 2, -2, 1, -1, np.inf, -np.inf)),
        ("X",),
        12,
    ),
    "norms of a stack": (
        lambda X: np.linalg.norm(X, "nuc", axis=(0, 2)) + np.linalg.norm(X, 1, axis=(2, 0)),
        ("XX",),
        None,
    ),
    "norms of a stack, kept": (lambda X: np.linalg.norm(X, 2, axis=(1, 2), keepdims=True), ("XX",), 24),
    "vector_norm, matrix_norm": (
        lambda X: np.linalg.vector_norm(X, axis=(0, 1), ord=4) * np.linalg.matrix_norm(X, ord="nuc"),
        ("X",),
        12,
    ),
    "lyapunov": (lambda A, S: mj.linalg.solve_continuous_lyapunov(A, S), ("A", "S"), 9 * 18),
    "lyapunov of a constant": (lambda S: mj.linalg.solve_continuous_lyapunov(Q, S), ("S",), 81),
    "lyapunov of stacks": (lambda A, S: mj.linalg.solve_continuous_lyapunov(A, S), ("AA", "S"), 2 * 9 * 18),
    "discrete lyapunov of a constant": (lambda A: mj.linalg.solve_discrete_lyapunov(0.1 * Q, A), ("A",), 81),
    "discrete lyapunov": (lambda A, S: mj.linalg.solve_discrete_lyapunov(A * 0.1, S), ("A", "S"), 9 * 18),
    "riccati": (
        lambda A, X, S: mj.linalg.solve_continuous_are(A, X[:, :2], (S + S.T) / 2, np.eye(2)),
        ("A", "X", "S"),
        9 * 24,
    ),
    "riccati of r": (lambda S: mj.linalg.solve_continuous_are(B, B, Q, (S + S.T) / 2), ("S",), 81),
    "cho_solve": (lambda S: mj.linalg.cho_solve(mj.linalg.cho_factor(S), b), ("S",), 18),
    "cho_solve, lower": (lambda S: mj.linalg.cho_solve(mj.linalg.cho_factor(S, lower=True), B), ("S",), 54),
    "scipy's cholesky": (mj.linalg.cholesky, ("S",), None),
    "scipy's eigh": (lambda S: mj.linalg.eigh(S)[0] + mj.linalg.eigvalsh(S, lower=False), ("S",), 27),
    "scipy's eigh of a pencil": (lambda S, A: mj.linalg.eigh(S, A @ A.T)[1] ** 2, ("S", "A"), 54 + 81),
    "scipy's eigvalsh of a pencil": (lambda S: mj.linalg.eigvalsh(Q, S), ("S",), 18),
    "scipy's svd, qr": (lambda A: mj.linalg.svd(A)[1] * mj.linalg.svdvals(A) + mj.linalg.qr(A)[1][0] ** 2, ("A",), 27),
    "scipy's pinv, lstsq, norm": (
        lambda X: mj.linalg.pinv(X) @ b + mj.linalg.lstsq(X, b)[0] * mj.linalg.norm(X),
        ("X",),
        48,
    ),
    "polar": (lambda A: mj.linalg.polar(A)[0] + mj.linalg.polar(A, side="left")[1], ("A",), 81),
    "tanm": (lambda A: mj.linalg.tanm(A * 0.1), ("A",), 81),
}
