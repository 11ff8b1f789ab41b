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
# which matrices of a stack meet, and which camera sees which point
first, second = np.array([0, 1, 1, 3, 2]), np.array([2, 1, 0, 3, 2])
cameras, seen = np.array([0, 0, 1, 1, 0]), np.array([0, 1, 2, 0, 2])
# zeros by structure: constant masks, blocks, and a matrix with few entries
kept = np.array([[1, 0, 1, 0], [0, 1, 1, 0], [0, 0, 0, 1]], dtype=bool)
lower = np.tri(3, dtype=bool)
blocks_of_3 = sp.csr_array(np.array([[1.0, -2, 0], [0.5, 3, 0], [0, 0, 2]]))
blocks_of_4 = sp.csr_array(np.array([[2.0, 1, 0, 0], [-1, 1, 0, 0], [0, 0, 1, 0.5], [0, 0, -3, 2]]))
sparse = sp.csr_array(np.array([[0, 1.0, 0], [2, 0, 0], [0, 0, 3], [1, 0, 0]]))


def positive(X):
    return X @ X.T + 3 * np.eye(3)


def softmax(Z):
    E = np.exp(Z)
    return E / E.sum(axis=1, keepdims=True)


def log_softmax(Z):
    return Z - np.log(np.sum(np.exp(Z), axis=1, keepdims=True))


def masked(X):
    return np.where(kept, X, 0)


def layers(P, Q, R, p=0.0, q=0.0, r=0.0):
    return np.tanh(np.tanh(np.tanh(data / 4 @ P + p) @ Q + q) @ R + r)


def reprojection(R, t, points):
    """What cameras see of points: rotate, move, divide by the depth (far from zero)."""
    moved = np.einsum("oij,oj->oi", R[cameras], points[seen]) + t[cameras]
    return moved[:, :2] / (moved[:, 2:] + 12) - ratings[:5, None]


def losses(M):
    return np.stack([np.sum((labels - data @ M) ** 2), np.sum(M * M), np.sum(np.tanh(M[0]))])


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
    # stacks of matrices
    "stack times its transpose": (lambda X: X @ X.transpose(0, 2, 1), ((5, 4, 3),)),
    "stacks of one matrix": (lambda X: np.stack([X, 2 * X]) @ np.stack([X, X]), ((2, 2),)),
    "stack times a gathered stack": (lambda X, Y: X @ Y[[2, 0, 0, 1]], ((4, 2, 3), (3, 3, 2))),
    "gathered stacks of one variable": (lambda X: X[first] @ X[second].transpose(0, 2, 1), ((4, 2, 3),)),
    "gathered blocks, einsum": (lambda T, p: np.einsum("oij,oj->oi", T[rows], p[cols]), ((3, 3, 3), (4, 3))),
    "gathered blocks, matmul": (lambda T, p: (T[rows] @ p[cols][:, :, None])[:, :, 0], ((3, 3, 3), (4, 3))),
    "gathered blocks, sum": (lambda T, p: np.sum(T[rows] * p[cols][:, None, :], axis=2), ((3, 3, 3), (4, 3))),
    "bundle adjustment": (reprojection, ((2, 3, 3), (2, 3), (3, 3))),
    # networks, and products of functions
    "three layers": (lambda P, Q, R: layers(P, Q, R), ((3, 4), (4, 2), (2, 2))),
    "three layers with biases": (
        lambda P, p, Q, q, R, r: layers(P, Q, R, p, q, r),
        ((3, 4), (4,), (4, 2), (2,), (2, 2), (2,)),
    ),
    "tanh of a Gram matrix": (lambda Z: np.tanh(Z @ Z.T) @ Z, ((3, 2),)),
    "attention": (lambda Q, K, V: softmax(Q @ K.T) @ V, ((2, 2), (3, 2), (3, 2))),
    "attention by log-sum-exp": (lambda Q, K, V: np.exp(log_softmax(Q @ K.T)) @ V, ((2, 2), (3, 2), (3, 2))),
    "log softmax": (log_softmax, X),
    "mean-centred softmax": (lambda Z: softmax(Z - Z.mean(axis=1, keepdims=True)), X),
    "inverse after tanh": (lambda X: np.linalg.inv(np.tanh(X) + 3 * np.eye(3)), ((3, 3),)),
    # zeros by structure, and products of them
    "triangle times its transpose": (lambda L: np.tril(L) @ np.tril(L).T, ((4, 4),)),
    "lower times upper": (lambda L, U: np.tril(L) @ np.triu(U), ((3, 3), (3, 3))),
    "strict triangle squared": (lambda L: np.tril(L, -1) @ np.tril(L, -1), ((4, 4),)),
    "triangle times a constant": (lambda L: np.tril(L) @ A, ((3, 3),)),
    "squares of a triangle": (lambda L: np.sum(np.tril(L) ** 2), ((3, 3),)),
    "tanh of a triangle": (lambda L: np.tanh(np.tril(L)) @ np.tanh(np.tril(L)).T, ((3, 3),)),
    "diagonal times matrix": (lambda X: np.diag(np.diag(X)) @ X, ((3, 3),)),
    "diagonal, entry by entry": (lambda X: np.diag(np.diag(X)) * X, ((3, 3),)),
    "between two diagonals": (lambda X: np.diag(X[0]) @ A @ np.diag(X[1]), ((2, 3),)),
    "kron of a diagonal": (lambda x: np.kron(np.diag(x), A), ((3,),)),
    "masked, times a constant": (lambda X: masked(X) @ B, X),
    "masked, times its transpose": (lambda X: masked(X) @ masked(X).T, X),
    "where of two products": (lambda X: np.where(lower, X @ X.T, 2 * (X @ W.T)), X),
    "sparse blocks around tanh": (
        lambda X: blocks_of_3 @ np.tanh(blocks_of_3 @ X @ blocks_of_4) @ blocks_of_4,
        X,
    ),
    "sparse on both sides of tanh": (lambda X: S @ np.tanh(X) @ sparse, X),
    # shapes
    "flat vector": (lambda x: x.reshape(2, 3).T @ x.reshape(2, 3), ((6,),)),
    "stacked losses": (losses, X),
    "outer differences": (lambda U, V: U[:, None, :] - V[None, :, :], ((3, 2), (4, 2))),
    "squared distances": (lambda U, V: np.sum((U[:, None, :] - V[None, :, :]) ** 2, axis=2), ((3, 2), (4, 2))),
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
    "relu layers": (lambda P, Q: np.maximum(data @ P, 0) @ Q, ((3, 4), (4, 2))),
    "hinge loss": (lambda M: np.sum(np.maximum(1 - labels * (data @ M), 0)), X),
    "distances": (lambda U, V: np.linalg.norm(U[:, None, :] - V[None, :, :], axis=2), ((3, 2), (4, 2))),
    "likelihood of a triangle": (
        lambda L: 0.5 * np.sum((data @ np.tril(L)) ** 2) - np.linalg.slogdet(np.tril(L) @ np.tril(L).T)[1],
        ((3, 3),),
    ),
}

#: Where entries may be stored that are zero at every point: of a dense constant (np.eye, a factor of 0), of a
#: difference that cancels (X[i] - X[i]), or of a function of zeros (tanh(0)).
ZEROS_BY_VALUE = {"new axis", "block residual", "iterate", "tanh of a triangle"}

#: How many entries there are by structure, counted by hand. An entry that is zero by value counts.
COUNTS = {
    # (i, j) of a Gram matrix of n rows has 2n entries, and n where i = j
    "gram": 4 * 3 + 12 * 6,
    "outer gram": 3 * 4 + 6 * 8,
    "tril": 3 * 4 + 3 * 8,
    "triu": 3 * 8,
    "flat vector": 3 * 2 + 6 * 4,
    "stack times its transpose": 5 * (4 * 3 + 12 * 6),
    # (i, j) of X @ X has row i and column j, which meet at (i, j)
    "stacks of one matrix": 2 * 4 * 3,
    "stack times a gathered stack": 4 * 4 * (3 + 3),
    # of five pairs, two meet another matrix and three themselves
    "gathered stacks of one variable": 2 * 4 * 6 + 3 * (2 * 3 + 2 * 6),
    "gathered blocks, einsum": 7 * 3 * (3 + 3),
    "gathered blocks, matmul": 7 * 3 * (3 + 3),
    "gathered blocks, sum": 7 * 3 * (3 + 3),
    # two rows of the rotation, two entries of the shift, the point
    "bundle adjustment": 5 * 2 * (6 + 2 + 3),
    # all of P and Q, a column of R (and as many biases)
    "three layers": 12 * (12 + 8 + 2),
    "three layers with biases": 12 * (12 + 4 + 8 + 2 + 2 + 1),
    "tanh of a Gram matrix": 6 * 6,
    # a row of Q, all of K, a column of V
    "attention": 4 * (2 + 6 + 3),
    "attention by log-sum-exp": 4 * (2 + 6 + 3),
    "log softmax": 12 * 4,
    "mean-centred softmax": 12 * 4,
    "inverse after tanh": 9 * 9,
    # (i, j) has the first min(i, j) + 1 entries of both rows, of one row where i = j
    "cholesky-like": (1 + 2 + 3) + 2 * (2 * 2 * 1 + 1 * 2 * 2),
    "triangle times its transpose": 50,
    # (i, j) has min(i, j) + 1 entries of either
    "lower times upper": 5 * 2 + 3 * 4 + 1 * 6,
    # (2, 0) and (3, 1) go over one entry between, (3, 0) over two
    "strict triangle squared": 2 + 2 + 4,
    "triangle times a constant": 3 * (1 + 2 + 3),
    "squares of a triangle": 6,
    # (i, j) has X[i, i] and X[i, j], which are one where i = j
    "diagonal times matrix": 3 * 1 + 6 * 2,
    "diagonal, entry by entry": 3,
    "diag of a vector": 4 * (1 + 2 + 2),
    "between two diagonals": 9 * 2,
    "kron of a diagonal": 3 * 9,
    "where": 12,
    "masked, times a constant": 5 * 2,
    # rows 0 and 1 share one column, and none shares with row 2
    "masked, times its transpose": (2 + 2 + 1) + 2 * 2,
    "where of two products": 3 * 4 + 3 * 8 + 3 * 4,
    # an entry has its block: two or one rows by two columns
    "sparse blocks around tanh": 2 * 4 * (2 * 2) + 1 * 4 * (1 * 2),
    "sparse on both sides of tanh": 6 * 4,
    # the third loss is of one row
    "stacked losses": 12 + 12 + 4,
    "outer differences": 3 * 4 * 2 * 2,
    "squared distances": 3 * 4 * (2 + 2),
    "distances": 3 * 4 * (2 + 2),
    "likelihood of a triangle": 6,
    # zeros by value: X[i] - X[i] has one entry, 0 * X[0] has its own, np.eye(3) is as dense as any matrix
    "new axis": 3 * 4 * 1 + 6 * 4 * 2,
    "iterate": 4 * 3,
    "block residual": 12 * (2 + 2) + 12 * (6 + 2),
}
