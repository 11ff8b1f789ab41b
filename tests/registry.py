"""One row an identity: all that the tests and the benchmarks need to know of it."""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

import matjac as mj

Array = Any
Index = tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """An identity: its arguments, the plain function it differentiates, and the definition of an entry.

    `value`, `differential` and `entry` get the arguments as plain dense arrays in a namespace ``a``.
    """

    function: Callable[..., mj.Jacobian]
    dims: tuple[str, ...]
    #: from a maker of random arrays and the dims, the arguments by name
    arguments: Callable[..., dict[str, Any]]
    #: the variable: one of the arguments, or another name with the shape it has
    variable: str
    value: Callable[[Array, Any], Array]
    #: the differential in the direction dX at X, as NumPy would write it
    differential: Callable[[Array, Array, Any], Array]
    #: ∂(value)[o] / ∂X[k] by definition, or None where there is no entry
    entry: Callable[[Index, Index, Any], Any]
    #: dims of the benchmarks, from small to large
    bench: tuple[tuple[int, ...], ...]
    shape: Callable[..., Index] | None = None
    #: constants that may be sparse, and stay so
    sparse: tuple[str, ...] = ()
    #: constants that may be sparse, whose products are dense
    sparse_input: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.function.__name__


def plain(args: dict[str, Any]) -> Any:
    """The arguments as dense arrays of a dtype that holds every other."""
    return SimpleNamespace(**{name: v.toarray() if hasattr(v, "toarray") else v for name, v in args.items()})


def regular(make: Any, n: int) -> Array:
    """A random matrix that has an inverse."""
    return make(n, n) + (5 * n * np.eye(n)).astype("i8")


def cofactor(A: Array, i: int, j: int) -> Any:
    """(−1)^(i+j) times the determinant of A without row i and column j."""
    minor = np.delete(np.delete(A, i, 0), j, 1)
    return (-1) ** (i + j) * np.linalg.det(minor)


def gram_entry(o: Index, k: Index, a: Any) -> Any:
    (p, q), (i, j), R = o, k, a.R
    if j == p != q:
        return R[i, q]
    if j == q != p:
        return R[i, p]
    return 2 * R[i, q] if j == p == q else None


def outer_gram_entry(o: Index, k: Index, a: Any) -> Any:
    return gram_entry(o, k[::-1], SimpleNamespace(R=a.R.T))


def congruence_entry(o: Index, k: Index, a: Any) -> Any:
    (p, q), (i, j) = o, k
    n = range(a.X.shape[0])
    parts = []
    if j == p:
        parts.append(sum(a.A[i, r] * a.X[r, q] for r in n))
    if j == q:
        parts.append(sum(a.X[r, p] * a.A[r, i] for r in n))
    return sum(parts) if parts else None


def kron_entry(o: Index, k: Index, a: Any, given: str) -> Any:
    B_shape = a.B.shape if given == "B" else a.shape
    (i, ra), (j, rb) = divmod(o[0], B_shape[0]), divmod(o[1], B_shape[1])
    if given == "B":
        return a.B[ra, rb] if k == (i, j) else None
    return a.A[i, j] if k == (ra, rb) else None


def tall(*dims: int) -> Index:
    return dims


REGISTRY = [
    Row(
        mj.d_identity_dx,
        ("n",),
        lambda make, n: {"n": n},
        "x",
        lambda x, a: x,
        lambda dx, x, a: dx,
        lambda o, k, a: 1.0 if o == k else None,
        ((4_000_000,),),
        shape=tall,
    ),
    Row(
        mj.d_constant_dX,
        ("m", "n", "p", "q"),
        lambda make, m, n, p, q: {"out_shape": (m, n), "in_shape": (p, q)},
        "X",
        lambda X, a: np.ones(a.out_shape) + 0 * np.sum(X),
        lambda dX, X, a: np.zeros(a.out_shape),
        lambda o, k, a: None,
        ((100, 100, 100, 100),),
        shape=lambda m, n, p, q: (p, q),
    ),
    Row(
        mj.d_matvec_dx,
        ("m", "n"),
        lambda make, m, n: {"A": make(m, n)},
        "x",
        lambda x, a: a.A @ x,
        lambda dx, x, a: a.A @ dx,
        lambda o, k, a: a.A[o[0], k[0]],
        ((2000, 2000),),
        shape=lambda m, n: (n,),
        sparse=("A",),
    ),
    Row(
        mj.d_vecmat_dx,
        ("m", "n"),
        lambda make, m, n: {"A": make(m, n)},
        "x",
        lambda x, a: x @ a.A,
        lambda dx, x, a: dx @ a.A,
        lambda o, k, a: a.A[k[0], o[0]],
        ((2000, 2000),),
        shape=lambda m, n: (m,),
        sparse=("A",),
    ),
    Row(
        mj.d_matvec_dA,
        ("m", "n"),
        lambda make, m, n: {"x": make(n), "m": m},
        "A",
        lambda A, a: A @ a.x,
        lambda dA, A, a: dA @ a.x,
        lambda o, k, a: a.x[k[1]] if k[0] == o[0] else None,
        ((100, 100), (2000, 2000), (4472, 4472), (40_000, 100)),
        shape=tall,
    ),
    Row(
        mj.d_vecmat_dA,
        ("m", "n"),
        lambda make, m, n: {"x": make(m), "n": n},
        "A",
        lambda A, a: a.x @ A,
        lambda dA, A, a: a.x @ dA,
        lambda o, k, a: a.x[k[0]] if k[1] == o[0] else None,
        ((2000, 2000),),
        shape=tall,
    ),
    Row(
        mj.d_matmul_dA,
        ("m", "p", "n"),
        lambda make, m, p, n: {"B": make(p, n), "m": m},
        "A",
        lambda A, a: A @ a.B,
        lambda dA, A, a: dA @ a.B,
        lambda o, k, a: a.B[k[1], o[1]] if k[0] == o[0] else None,
        ((200, 100, 200), (400, 250, 200)),
        shape=lambda m, p, n: (m, p),
        sparse=("B",),
    ),
    Row(
        mj.d_matmul_dB,
        ("m", "n", "p"),
        lambda make, m, n, p: {"A": make(m, n), "p": p},
        "B",
        lambda B, a: a.A @ B,
        lambda dB, B, a: a.A @ dB,
        lambda o, k, a: a.A[o[0], k[0]] if k[1] == o[1] else None,
        ((200, 100, 200), (400, 250, 200)),
        shape=lambda m, n, p: (n, p),
        sparse=("A",),
    ),
    Row(
        mj.d_sandwich_dX,
        ("m", "p", "q", "n"),
        lambda make, m, p, q, n: {"A": make(m, p), "B": make(q, n)},
        "X",
        lambda X, a: a.A @ X @ a.B,
        lambda dX, X, a: a.A @ dX @ a.B,
        lambda o, k, a: a.A[o[0], k[0]] * a.B[k[1], o[1]],
        ((40, 50, 50, 40),),
        shape=lambda m, p, q, n: (p, q),
        sparse=("A", "B"),
    ),
    Row(
        mj.d_gram_dR,
        ("m", "n"),
        lambda make, m, n: {"R": make(m, n)},
        "R",
        lambda R, a: R.T @ R,
        lambda dR, R, a: dR.T @ R + R.T @ dR,
        gram_entry,
        ((10, 64), (50, 200), (100, 300), (100, 317)),
    ),
    Row(
        mj.d_outer_gram_dR,
        ("m", "n"),
        lambda make, m, n: {"R": make(m, n)},
        "R",
        lambda R, a: R @ R.T,
        lambda dR, R, a: dR @ R.T + R @ dR.T,
        outer_gram_entry,
        ((200, 50),),
    ),
    Row(
        mj.d_congruence_dX,
        ("m", "n"),
        lambda make, m, n: {"X": make(m, n), "A": make(m, m)},
        "X",
        lambda X, a: X.T @ a.A @ X,
        lambda dX, X, a: dX.T @ (a.A @ X) + (X.T @ a.A) @ dX,
        congruence_entry,
        ((50, 200), (100, 317)),
        sparse_input=("A",),
    ),
    Row(
        mj.d_transpose_dX,
        ("m", "n"),
        lambda make, m, n: {"shape": (m, n)},
        "X",
        lambda X, a: X.T,
        lambda dX, X, a: dX.T,
        lambda o, k, a: 1.0 if o == k[::-1] else None,
        ((2000, 2000),),
        shape=tall,
    ),
    Row(
        mj.d_hadamard_dA,
        ("m", "n"),
        lambda make, m, n: {"B": make(m, n)},
        "A",
        lambda A, a: A * a.B,
        lambda dA, A, a: dA * a.B,
        lambda o, k, a: a.B[o] if o == k else None,
        ((2000, 2000),),
        shape=tall,
        sparse=("B",),
    ),
    Row(
        mj.d_inner_dA,
        ("m", "n"),
        lambda make, m, n: {"B": make(m, n)},
        "A",
        lambda A, a: np.sum(A * a.B),
        lambda dA, A, a: np.sum(dA * a.B),
        lambda o, k, a: a.B[k],
        ((2000, 2000),),
        shape=tall,
        sparse=("B",),
    ),
    Row(
        mj.d_kron_dA,
        ("m", "n", "r", "s"),
        lambda make, m, n, r, s: {"B": make(r, s), "shape": (m, n)},
        "A",
        lambda A, a: np.kron(A, a.B),
        lambda dA, A, a: np.kron(dA, a.B),
        lambda o, k, a: kron_entry(o, k, a, "B"),
        ((40, 50, 40, 50),),
        shape=lambda m, n, r, s: (m, n),
        sparse=("B",),
    ),
    Row(
        mj.d_kron_dB,
        ("m", "n", "r", "s"),
        lambda make, m, n, r, s: {"A": make(m, n), "shape": (r, s)},
        "B",
        lambda B, a: np.kron(a.A, B),
        lambda dB, B, a: np.kron(a.A, dB),
        lambda o, k, a: kron_entry(o, k, a, "A"),
        ((40, 50, 40, 50),),
        shape=lambda m, n, r, s: (r, s),
        sparse=("A",),
    ),
    Row(
        mj.d_bilinear_dX,
        ("m", "n"),
        lambda make, m, n: {"a": make(m), "b": make(n)},
        "X",
        lambda X, a: a.a @ X @ a.b,
        lambda dX, X, a: a.a @ dX @ a.b,
        lambda o, k, a: a.a[k[0]] * a.b[k[1]],
        ((2000, 2000),),
        shape=tall,
    ),
    Row(
        mj.d_quadratic_dx,
        ("n",),
        lambda make, n: {"A": make(n, n), "x": make(n)},
        "x",
        lambda x, a: x @ a.A @ x,
        lambda dx, x, a: dx @ (a.A @ x) + (x @ a.A) @ dx,
        lambda o, k, a: sum((a.A[k[0], i] + a.A[i, k[0]]) * a.x[i] for i in range(a.x.size)),
        ((2000,),),
        sparse_input=("A",),
    ),
    Row(
        mj.d_quadratic_dA,
        ("n",),
        lambda make, n: {"x": make(n)},
        "A",
        lambda A, a: a.x @ A @ a.x,
        lambda dA, A, a: a.x @ dA @ a.x,
        lambda o, k, a: a.x[k[0]] * a.x[k[1]],
        ((2000,),),
        shape=lambda n: (n, n),
    ),
    Row(
        mj.d_sqnorm_dx,
        ("n",),
        lambda make, n: {"x": make(n)},
        "x",
        lambda x, a: x @ x,
        lambda dx, x, a: 2 * x @ dx,
        lambda o, k, a: 2 * a.x[k],
        ((4_000_000,),),
    ),
    Row(
        mj.d_residual_dw,
        ("n", "p"),
        lambda make, n, p: {"X": make(n, p)},
        "w",
        lambda w, a: 1.0 - a.X @ w,
        lambda dw, w, a: -a.X @ dw,
        lambda o, k, a: -a.X[o[0], k[0]],
        ((2000, 2000),),
        shape=lambda n, p: (p,),
        sparse=("X",),
    ),
    Row(
        mj.d_residual_dX,
        ("n", "p"),
        lambda make, n, p: {"w": make(p), "n": n},
        "X",
        lambda X, a: 1.0 - X @ a.w,
        lambda dX, X, a: -dX @ a.w,
        lambda o, k, a: -a.w[k[1]] if k[0] == o[0] else None,
        ((2000, 2000),),
        shape=tall,
    ),
    Row(
        mj.d_halfsq_dw,
        ("n", "p"),
        lambda make, n, p: {"X": make(n, p), "y": make(n), "w": make(p)},
        "w",
        lambda w, a: 0.5 * np.sum((a.y - a.X @ w) ** 2),
        lambda dw, w, a: -(a.y - a.X @ w) @ (a.X @ dw),
        lambda o, k, a: -sum((a.y[i] - a.X[i] @ a.w) * a.X[i, k[0]] for i in range(a.y.size)),
        ((2000, 2000),),
        sparse_input=("X",),
    ),
    Row(
        mj.d_trace_dX,
        ("m", "n"),
        lambda make, m, n: {"A": make(n, m)},
        "X",
        lambda X, a: np.trace(a.A @ X),
        lambda dX, X, a: np.sum(a.A.T * dX),
        lambda o, k, a: a.A[k[1], k[0]],
        ((2000, 2000),),
        shape=tall,
        sparse=("A",),
    ),
    Row(
        mj.d_elementwise_dX,
        ("m", "n"),
        lambda make, m, n: {"slope": make(m, n)},
        "X",
        lambda X, a: a.slope * X,
        lambda dX, X, a: a.slope * dX,
        lambda o, k, a: a.slope[o] if o == k else None,
        ((2000, 2000),),
        shape=tall,
    ),
    Row(
        mj.d_det_dA,
        ("n",),
        lambda make, n: {"A": make(n, n)},
        "A",
        lambda A, a: np.linalg.det(A),
        lambda dA, A, a: np.linalg.det(A) * np.trace(np.linalg.solve(A, dA)),
        lambda o, k, a: cofactor(np.asarray(a.A), *k),
        ((200,),),
    ),
    Row(
        mj.d_logdet_dA,
        ("n",),
        lambda make, n: {"A": regular(make, n)},
        "A",
        lambda A, a: 0.5 * np.log(np.linalg.det(A) ** 2),
        lambda dA, A, a: np.trace(np.linalg.solve(A, dA)),
        lambda o, k, a: np.linalg.inv(a.A)[k[1], k[0]],
        ((200,),),
    ),
    Row(
        mj.d_inv_dA,
        ("n",),
        lambda make, n: {"A": regular(make, n)},
        "A",
        lambda A, a: np.linalg.inv(A),
        lambda dA, A, a: -np.linalg.solve(A, np.linalg.solve(A.T, dA.T).T),
        lambda o, k, a: -np.linalg.inv(a.A)[o[0], k[0]] * np.linalg.inv(a.A)[k[1], o[1]],
        ((45,),),
    ),
]
