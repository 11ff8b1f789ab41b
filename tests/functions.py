"""Functions that people write, for the tests of `compile`: name → (function, shapes of its arguments).

Those in REAL are not analytic, or have a branch cut: they are tested at real points, by central differences.
"""

import numpy as np
import scipy.sparse as sp

rng = np.random.default_rng(7)
A, B, W, v = (rng.standard_normal(s) for s in ((3, 3), (4, 2), (3, 4), (4,)))
S = sp.random_array((5, 3), density=0.4, rng=rng, format="csr")
mask = rng.random((3, 4)) < 0.5
rows, cols, ratings = rng.integers(0, 3, 7), rng.integers(0, 4, 7), rng.standard_normal(7)
few = np.array([5, 0, 2, 0]), np.array([6, 1, 1, 1])
data, labels = rng.standard_normal((6, 3)), rng.standard_normal((6, 4))
T = rng.standard_normal((2, 3, 4))


def positive(X):
    return X @ X.T + 3 * np.eye(3)


def softmax(Z):
    E = np.exp(Z)
    return E / E.sum(axis=1, keepdims=True)


X = ((3, 4),)
FUNCTIONS = {
    # the family of the design
    "gram": (lambda X: X.T @ X, X),
    "outer gram": (lambda X: X @ X.T, X),
    "congruence": (lambda X: X.T @ A @ X, X),
    "sandwich": (lambda X: A @ X @ B, X),
    "matvec": (lambda M: M @ v, X),
    "vecmat": (lambda M: A[0] @ M, X),
    "hadamard": (lambda X: W * X, X),
    "transpose": (lambda X: X.T, X),
    "tanh layer": (lambda X: np.tanh(X @ B), X),
    "tanh with bias": (lambda X, b: np.tanh(X @ B + b), ((3, 4), (2,))),
    "softmax": (lambda M: softmax(data @ M), X),
    "masked factorisation": (lambda U, V: (U @ V.T)[rows, cols] - ratings, ((3, 2), (4, 2))),
    "few entries of a product": (lambda U, V: (U @ V.T)[few] ** 2, ((6, 2), (7, 2))),
    "few entries of a Gram matrix": (lambda X: (X.T @ X)[[[0, 3]], [[1, 3]]], ((2, 7),)),
    "few entries, and all": (lambda U, V: (U @ V.T)[few] * (U @ V.T).sum(), ((6, 2), (7, 2))),
    "boolean mask": (lambda U, V: (U @ V.T)[mask], ((3, 2), (4, 2))),
    "triangle": (lambda X: (X.T @ X)[np.triu_indices(4)], X),
    "residual": (lambda M: labels - data @ M, X),
    "ridge": (lambda M: np.concatenate([(labels - data @ M).ravel(), 0.1 * M.ravel()]), X),
    "sparse left": (lambda X: S @ X, X),
    "sparse right": (lambda X: X.T @ S.T, X),
    "both sides of one": (lambda X: X @ W.T @ X, X),
    "three factors": (lambda P, Q, R: P @ Q @ R, ((2, 3), (3, 4), (4, 2))),
    "tucker": (lambda P, Q: P @ T[0] @ Q.T, ((2, 3), (2, 4))),
    # arithmetic and broadcasting
    "add a row": (lambda X: X + X[0], X),
    "subtract the mean": (lambda X: X - X.mean(axis=0), X),
    "scale by a column": (lambda X, s: X * s[:, None], ((3, 4), (3,))),
    "scalar variable": (lambda X, s: s * X + 1 / s, ((3, 4), ())),
    "power": (lambda X: X**3, X),
    "power of a variable": (lambda X: (2.0 + X * X) ** X, X),
    "reciprocal": (lambda X: np.reciprocal(2 + X * X), X),
    "division": (lambda X: W / (2 + X * X), X),
    "negative": (lambda X: -X + 2, X),
    "reversed operators": (lambda X: 1 - 2 * X + 3 / (4 + X * X), X),
    # shapes and indices
    "ravel": (lambda X: X.ravel(), X),
    "ravel F": (lambda X: X.ravel(order="F"), X),
    "reshape": (lambda X: X.reshape(4, 3) @ A, X),
    "slice": (lambda X: X[1:, ::2] @ A[:2, :2], X),
    "row and column": (lambda X: X[1] * X[2] + X[:, 0].sum(), X),
    "negative index": (lambda X: X[-1, ::-1], X),
    "new axis": (lambda X: X[:, None, :] - X[None, :, :], X),
    "concatenate": (lambda X: np.concatenate([X, 2 * X], axis=1), X),
    "stack": (lambda X: np.stack([X, X**2]), X),
    "hstack": (lambda X: np.hstack([X, W, X @ np.ones((4, 1))]), X),
    "vstack": (lambda X: np.vstack([X, X[0], W]), X),
    "block residual": (lambda U, V: np.vstack([U @ V.T, np.eye(3) @ U @ V.T]), ((3, 2), (4, 2))),
    "iterate": (lambda X: sum(row * k for k, row in enumerate(X)), X),
    # sums and triangles
    "sum": (lambda X: X.sum(), X),
    "sum of axis 0": (lambda X: np.sum(X, axis=0), X),
    "sum of axis 1": (lambda X: (A @ X).sum(axis=1, keepdims=True), X),
    "sum of two axes": (lambda X: np.stack([X, X * X]).sum(axis=(0, 2)), X),
    "mean": (lambda X: np.mean(np.exp(X), axis=1), X),
    "trace": (lambda X: np.trace(X @ X.T), X),
    "diagonal": (lambda X: np.diagonal(X @ X.T) * 2, X),
    "diag of a vector": (lambda X: np.diag(X[0]) @ X.T, X),
    "tril": (lambda X: np.tril(X @ X.T), X),
    "triu": (lambda X: np.triu(X @ X.T, 1), X),
    "cholesky-like": (lambda L: np.tril(L) @ np.tril(L).T, ((3, 3),)),
    # products
    "outer": (lambda X: np.outer(X, X[0]), X),
    "kron by a constant": (lambda X: np.kron(X, A), X),
    "kron of itself": (lambda X: np.kron(X, X), X),
    "dot": (lambda X: np.dot(X, v), X),
    "inner": (lambda X: np.inner(X, W), X),
    "quadratic form": (lambda x: x @ A @ x, ((3,),)),
    "squared norm": (lambda X: np.sum(X * X), X),
    "half squares": (lambda M: 0.5 * np.sum((labels - data @ M) ** 2), X),
    "batched": (lambda X: np.stack([X, 2 * X]) @ np.stack([X.T, X.T]), X),
    "batched by a constant": (lambda X: T @ X.T, X),
    # einsum
    "einsum matmul": (lambda X: np.einsum("ij,jk->ik", A, X), X),
    "einsum rows": (lambda X: np.einsum("ij,ij->i", X, W), X),
    "einsum pairs of rows": (lambda U, V: np.einsum("ij,ij->i", U[rows], V[cols]), ((3, 2), (4, 2))),
    "einsum pairs of blocks": (lambda X: np.einsum("bij,bij->b", T, np.stack([X, X * X])), X),
    "einsum two batches": (lambda X: np.einsum("bij,bij->jb", T, np.stack([X, X * X])), X),
    "einsum three indices": (lambda X: np.einsum("ij,kj->ikj", X, X), X),
    "einsum sum": (lambda X: np.einsum("ij->j", X), X),
    "einsum transpose": (lambda X: np.einsum("ij->ji", X), X),
    "einsum diagonal": (lambda X: np.einsum("ii->i", X @ X.T), X),
    "einsum trace": (lambda X: np.einsum("ii", X @ X.T), X),
    "einsum implicit": (lambda X: np.einsum("ij,kj", X, W), X),
    "einsum batch": (lambda X: np.einsum("bij,kj->bik", T, X), X),
    # linear algebra
    "inverse": (lambda X: np.linalg.inv(positive(X)), X),
    "solve": (lambda X: np.linalg.solve(positive(X), X), X),
    "solve a vector": (lambda X: np.linalg.solve(positive(X), np.ones(3)), X),
    "solve constant matrix": (lambda X: np.linalg.solve(positive(W), X), X),
    "det": (lambda X: np.linalg.det(positive(X)), X),
    # entry by entry
    "logistic": (lambda X: 1 / (1 + np.exp(-X)), X),
    "log of sum": (lambda X: np.log(np.sum(np.exp(X), axis=1)), X),
    "log1p expm1": (lambda X: np.log1p(X * X) + np.expm1(X), X),
    "square roots": (lambda X: np.sqrt(2 + np.square(X)), X),
    "waves": (lambda X: np.sin(X) * np.cos(X) + np.tan(X / 4), X),
    "arctan": (lambda X: np.arctan(X / 4), X),
    "hyperbolic": (lambda X: np.sinh(X) + np.cosh(X) - np.tanh(X), X),
    "where": (lambda X: np.where(mask, X, X**2), X),
    "two layers": (lambda P, Q: np.tanh(np.tanh(data @ P) @ Q), ((3, 4), (4, 2))),
}
REAL = {
    "log det": (lambda X: np.linalg.slogdet(positive(X))[1], X),
    "gaussian likelihood": (
        lambda L: np.linalg.slogdet(L)[1] - 0.5 * np.sum((data @ L) ** 2) / 6,
        ((3, 3),),
    ),
    "norm": (lambda X: np.linalg.norm(X), X),
    "row norms": (lambda X: np.linalg.norm(X, axis=1), X),
    "absolute": (lambda X: np.abs(X), X),
    "relu": (lambda X: np.maximum(X @ B, 0), X),
    "minimum": (lambda X: np.minimum(X, W), X),
    "logaddexp": (lambda X: np.logaddexp(X, W), X),
    "log": (lambda X: np.log(np.abs(X) + 1), X),
}
