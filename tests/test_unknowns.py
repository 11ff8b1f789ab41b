"""Unknowns with structure: the whole matrix written entry by entry, and derivatives of functions of that."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from oracles import complex_step

import matjac as mj
from matjac.entries import pick

N = 4
rng = np.random.default_rng(3)
A, B = rng.standard_normal((3, N)), rng.standard_normal((N, 2))
MASK = np.array([[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0]], bool)
VALUES = rng.standard_normal((N, N))
S, OFFSET = rng.standard_normal((N * N, 5)), rng.standard_normal((N, N))


def filled(n, t, places, mirror=0, of_diagonal=lambda v: v):
    """Free entries at places, one after another; `mirror` times each at the mirrored place too."""
    X = np.zeros((n, n), np.result_type(t, float))
    for v, (i, j) in zip(t, places, strict=True):
        X[i, j] = of_diagonal(v) if i == j else v
        if mirror and i != j:
            X[j, i] = mirror * v
    return X


BELOW = [(i, j) for i in range(N) for j in range(i + 1)]
STRICT = [(i, j) for i in range(N) for j in range(i)]
ABOVE = [(i, j) for i in range(N) for j in range(i, N)]
FREE = [(i, j) for i in range(N) for j in range(N) if MASK[i, j]]


def stochastic(t, shape):
    P = np.zeros(shape, np.result_type(t, float)).reshape(-1, shape[-1])
    for i, row in enumerate(np.reshape(t, (-1, shape[-1] - 1))):
        total = 1 + sum(np.exp(v) for v in row)
        for j in range(shape[-1]):
            P[i, j] = (np.exp(row[j]) if j < shape[-1] - 1 else 1) / total
    return P.reshape(shape)


def partly(t, values=VALUES):
    X = np.array(values, np.result_type(t, float))
    for v, at in zip(t, FREE, strict=True):
        X[at] = v
    return X


def combined(t):
    return OFFSET + np.array([sum(S[r, k] * t[k] for k in range(5)) for r in range(N * N)]).reshape(N, N)


U = mj.unknowns
#: The unknown, and its whole matrix from the free entries.
KINDS = {
    "symmetric": (U.symmetric(N), lambda t: filled(N, t, BELOW, 1)),
    "skew": (U.skew(N), lambda t: filled(N, t, STRICT, -1)),
    "lower": (U.lower(N), lambda t: filled(N, t, BELOW)),
    "upper": (U.upper(N), lambda t: filled(N, t, ABOVE)),
    "diagonal": (U.diagonal(N), lambda t: filled(N, t, [(i, i) for i in range(N)])),
    "free": (U.free(MASK, VALUES), partly),
    "free, zeros": (U.free(MASK), lambda t: partly(t, np.zeros((N, N)))),
    "affine": (U.affine(S, OFFSET), combined),
    "lower, positive": (U.lower(N, positive_diagonal=True), lambda t: filled(N, t, BELOW, 0, np.exp)),
    "upper, positive": (U.upper(N, positive_diagonal=True), lambda t: filled(N, t, ABOVE, 0, np.exp)),
    "diagonal, positive": (
        U.diagonal(N, positive=True),
        lambda t: filled(N, t, [(i, i) for i in range(N)], 0, np.exp),
    ),
    "row stochastic": (U.row_stochastic(N, N), lambda t: stochastic(t, (N, N))),
}
FUNCTIONS = {
    "X Xᵀ": lambda X: X @ X.T,
    "Xᵀ X": lambda X: X.T @ X,
    "A X B": lambda X: A @ X @ B,
    "tanh(A X)": lambda X: np.tanh(A @ X),
    "A X X Aᵀ": lambda X: A @ X @ X @ A.T,
    "Σ X ∘ X": lambda X: np.sum(X * X),
}
#: Where no entry of X Xᵀ is zero but by structure.
AFFINE = [name for name, (kind, _) in KINDS.items() if kind.affine]
each = pytest.mark.parametrize(("kind", "build"), list(KINDS.values()), ids=list(KINDS))
functions = pytest.mark.parametrize("f", list(FUNCTIONS.values()), ids=list(FUNCTIONS))
orders = pytest.mark.parametrize("order", ["C", "F"])


def start(kind, seed=0):
    return np.random.default_rng(seed).uniform(0.5, 1.5, kind.size)


def derivative(f, build, x, order="C"):
    tensor = complex_step(lambda t: np.reshape(f(build(t)), -1, order=order), x)
    return tensor.reshape(-1, x.size)


@each
def test_sizes_and_round_trips(kind, build):
    x = start(kind)
    variables = mj.Variables(kind, (2,), names=["X", "y"])
    assert variables.size == kind.size + 2
    X, y = variables.unpack(np.concatenate([x, [7.0, 8.0]]))
    assert_allclose(X, build(x), rtol=1e-14)
    assert_allclose(variables.pack(X, y)[:-2], x, rtol=1e-12, atol=1e-13)
    assert kind.name in repr(kind)
    assert kind == pickle.loads(pickle.dumps(kind))


@each
@functions
@orders
def test_jacobians(kind, build, f, order):
    F = mj.compile(f, kind, order=order)
    x = start(kind)
    X = build(x)
    assert_allclose(F(X), f(X), rtol=1e-12)
    assert_allclose(F.fun(x), np.reshape(f(X), -1, order=order) if np.ndim(f(X)) else f(X), rtol=1e-12)
    wanted = derivative(f, build, x, order)
    J = F.jacobian(X)
    assert_allclose(J.toarray(), wanted, rtol=1e-11, atol=1e-12)
    assert_allclose(J @ x, wanted @ x, rtol=1e-11, atol=1e-12)
    assert_allclose(F.jac_csr(x).toarray(), wanted, rtol=1e-11, atol=1e-12)
    assert_allclose(J.T.tocsr().toarray(), wanted.T, rtol=1e-11, atol=1e-12)
    # refilled, at another point
    other = start(kind, 1)
    refilled = F.jac_csr(other, out=F.jac_csr(x))
    assert_allclose(refilled.toarray(), derivative(f, build, other, order), rtol=1e-11, atol=1e-12)
    assert_allclose(F.jac(x).rows(0, J.shape[0] // 2).toarray(), wanted[: J.shape[0] // 2], rtol=1e-11, atol=1e-12)
    assert_allclose(J.normal().toarray(), wanted.T @ wanted, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("name", AFFINE)
@functions
def test_patterns_are_exact(name, f):
    kind, build = KINDS[name]
    J = mj.compile(f, kind).jac(start(kind))
    # a place is an entry where the derivative is not zero at one of two points
    places = sum(np.abs(derivative(f, build, start(kind, seed))) > 1e-14 for seed in range(2)) > 0
    indptr, indices = J.structure()
    entries = sp.csr_array((np.ones(indices.size), indices, indptr), shape=J.shape).toarray() > 0
    assert J.nnz == indices.size == J.tocsr().nnz
    assert_array_equal(entries, places)


def test_the_count_of_a_triangle_times_its_transpose():
    assert mj.compile(lambda L: L @ L.T, U.lower(4)).jacobian(np.tri(4)).nnz == 50


@pytest.mark.parametrize(("given", "like"), [(0.0, VALUES), (None, np.zeros((N, N)))])
def test_a_number_that_is_given_is_data_and_a_zero_that_is_not_given_is_structure(given, like):
    kind = U.free(MASK, given)
    places = derivative(lambda X: X @ X.T, lambda t: partly(t, like), start(kind)) != 0
    assert mj.compile(lambda X: X @ X.T, kind).jac(start(kind)).nnz == places.sum()


@each
@functions
def test_hessians(kind, build, f):
    order = "CF"[kind.size % 2]
    F = mj.compile(f, kind, order=order)
    x = start(kind)
    y = np.reshape(f(build(x)), -1, order=order)
    w = np.random.default_rng(5).standard_normal(y.size)

    def gradient(t):
        return np.array([w @ column for column in derivative(f, build, t, order).T])

    h = 1e-6
    wanted = np.array([(gradient(x + h * e) - gradient(x - h * e)) / (2 * h) for e in np.eye(x.size)]).T
    assert_allclose(F.grad(x, w), gradient(x), rtol=1e-11, atol=1e-11)
    H = F.hess(x, w)
    scale = max(1, np.abs(wanted).max(initial=0))
    assert_allclose(H.toarray(), wanted, atol=1e-7 * scale)
    assert_allclose(H @ x, wanted @ x, atol=1e-6 * scale)
    assert_array_equal(H.toarray(), H.toarray().T)
    assert_allclose(np.tril(H.toarray()), F.hess_csr(x, w).tocsr().toarray() * np.tri(x.size), atol=1e-14)


@each
def test_directions_and_gradients_are_whole_matrices(kind, build):
    F = mj.compile(lambda X: X @ X.T, kind)
    x, dx = start(kind), start(kind, 1)
    X = build(x)
    dX = complex_step(build, x).reshape(N, N, -1) @ dx
    J, W = F.jacobian(X), rng.standard_normal((N, N))
    dF = dX @ X.T + X @ dX.T
    assert_allclose(J.jvp(dX), dF, rtol=1e-12, atol=1e-13)
    G = J.vjp(W)
    # in the structure, and ⟨G, dX⟩ = ⟨W, dF⟩
    assert_allclose(np.sum(G * dX), np.sum(W * dF), rtol=1e-11)
    assert_allclose(np.sum(G * (complex_step(build, x) @ dx)), W.reshape(-1) @ (J @ dx), rtol=1e-11)
    slopes = complex_step(build, x).reshape(N * N, -1)
    assert_allclose(slopes @ np.linalg.pinv(slopes) @ G.reshape(-1), G.reshape(-1), atol=1e-12)
    assert_allclose(F.gradient(X, weights=W), G, atol=1e-13)
    with pytest.raises(ValueError, match="dX"):
        J.jvp(dX + np.arange(16.0).reshape(4, 4) ** 2)


def test_the_gradient_by_a_symmetric_matrix_is_symmetric():
    X = np.array([[2.0, 1.0], [1.0, 3.0]])
    F = mj.compile(lambda X: np.linalg.slogdet(X)[1], U.symmetric(2))
    assert_allclose(F.gradient(X), np.linalg.inv(X))


@each
@orders
def test_closed_forms_by_the_free_entries(kind, build, order):
    x = start(kind)
    X = build(x)
    wanted = derivative(lambda X: X.T @ X, build, x, order)
    J = mj.d_gram_dR(X, order=order) @ kind.jacobian(X, order=order)
    assert_allclose(J.toarray(), wanted, rtol=1e-11, atol=1e-12)
    F = mj.Function(
        lambda X: X.T @ X,
        lambda X: mj.d_gram_dR(X, order=order),
        kind,
        hessian=lambda X, W: mj.d2_gram_dR(X, W, order=order),
        order=order,
    )
    G = mj.compile(lambda X: X.T @ X, kind, order=order)
    assert_allclose(F.jac(x).toarray(), wanted, rtol=1e-11, atol=1e-12)
    w = rng.standard_normal(N * N)
    assert_allclose(F.grad(x, w), wanted.T @ w, rtol=1e-11, atol=1e-11)
    assert_allclose(F.hess(x, w).toarray(), G.hess(x, w).toarray(), rtol=1e-10, atol=1e-10)
    assert_allclose(F.jac(start(kind, 1)).toarray(), G.jac(start(kind, 1)).toarray(), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("name", AFFINE)
@orders
def test_differentials_by_the_free_entries(name, order):
    kind, build = KINDS[name]
    x = start(kind)
    X = build(x)
    J = mj.from_differential(lambda dX: dX @ X.T + X @ dX.T, kind, order=order)
    assert_allclose(J.toarray(), derivative(lambda X: X @ X.T, build, x, order), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", ["symmetric", "skew", "lower"])
@pytest.mark.parametrize("parts", [False, True])
@orders
def test_entries_beside_those_of_another_unknown(name, parts, order, monkeypatch):
    """Rows of unequal lengths, of two unknowns in turn; as much at a time as memory allows, and a few rows."""
    if parts:
        monkeypatch.setattr(pick, "KEPT", 0)
        monkeypatch.setattr(pick, "TILE", 16)
    kind, build = KINDS[name]
    F = mj.compile(lambda X, y: np.concatenate([(X @ VALUES + y[:, None]).ravel(), y * y]), kind, (N,), order=order)
    x, y = start(kind), rng.standard_normal(N)
    of_x = derivative(lambda X: np.concatenate([(X @ VALUES + y[:, None]).ravel(), y * y + 0 * X[0]]), build, x, order)
    J = F.jacobian(build(x), y)
    A = J.tocsr()
    assert_allclose(A.toarray()[:, : kind.size], of_x, rtol=1e-12, atol=1e-13)
    assert_allclose(J @ np.ones(J.shape[1]), A.sum(axis=1), rtol=1e-12)
    for first, last in ((0, 3), (2, N * N + 2), (N * N, N * N + N)):
        assert_array_equal(J.rows(first, last).toarray(), A[first:last].toarray())
    again = F.jacobian(build(2 * x), y)
    assert_array_equal(again.tocsr(out=A.copy()).toarray(), again.toarray())


@pytest.mark.parametrize(
    ("name", "mirrored"),
    [
        ("symmetric", 1),
        ("skew", -1),
        ("lower", 0),
        ("upper", 0),
        ("diagonal", 0),
        ("free", None),
        ("free, zeros", None),
    ],
)
@orders
def test_dense_rows(name, mirrored, order, monkeypatch):
    """Products of rows of two dense matrices, in the free entries' runs or picked from the whole row."""
    runs_of, found = pick.runs_of, []
    monkeypatch.setattr(pick, "runs_of", lambda *given: found.append(runs_of(*given)) or found[-1])
    monkeypatch.setattr(pick, "CHUNK", 3)
    kind, build = KINDS[name]
    L, R, y = (np.random.default_rng(5).standard_normal(shape) for shape in ((5, N), (N, 4), 4))

    def f(X, y):
        return np.concatenate([np.ravel(np.tanh(L @ X @ R) * y), y * y])

    F, x = mj.compile(f, kind, (4,), order=order), start(kind)
    J = F.jacobian(build(x), y)
    A = J.tocsr()
    # f is flat, so the order is that of its second argument alone
    assert_allclose(A.toarray()[:, : kind.size], derivative(lambda X: f(X, y), build, x), rtol=1e-11, atol=1e-13)
    assert_allclose(J @ np.ones(J.shape[1]), A.sum(axis=1), rtol=1e-11)
    assert_allclose(J.T.tocsr().toarray(), A.toarray().T, rtol=1e-15)
    for first, last in ((0, 3), (2, 19), (19, 24)):
        assert_array_equal(J.rows(first, last).toarray(), A[first:last].toarray())
    again = F.jacobian(build(2 * x), y)
    assert_array_equal(again.tocsr(out=A.copy()).toarray(), again.toarray())
    assert {None if runs is None else runs.mirrored for runs in found} == {mirrored}
    assert F.explain().endswith("every step is structured")


def test_what_is_not_picked_is_explained():
    F = mj.compile(lambda X: X @ X @ A.T, U.symmetric(N))
    assert "matmul(2, constant) → (4, 3): general sparse product" in F.explain()


def test_several_unknowns_of_which_some_have_structure():
    F = mj.compile(lambda L, x, D: L @ (x - D @ np.ones(3)), U.lower(3), (3,), U.diagonal(3))
    L, x, D = np.tril(rng.standard_normal((3, 3))), rng.standard_normal(3), np.diag([1.0, 2.0, 3.0])
    places = [(i, j) for i in range(3) for j in range(i + 1)]

    def f(t):
        return filled(3, t[:6], places) @ (t[6:9] - filled(3, t[9:], [(i, i) for i in range(3)]) @ np.ones(3))

    t = np.concatenate([L[np.tril_indices(3)], x, np.diag(D)])
    J = F.jacobian(L, x, D)
    assert_allclose(F.pack(L, x, D), t)
    assert_allclose(J.toarray(), complex_step(f, t), rtol=1e-12, atol=1e-13)
    assert J.in_shape == ((6,), (3,), (3,))
    dL, _, dD = J.vjp(np.ones(3))
    assert dL.shape == dD.shape == (3, 3)
    assert not np.triu(dL, 1).any()
    assert_allclose(F.jacobian(L, x, D, wrt="D").toarray(), J.toarray()[:, 9:])
    bound = F.bind(L=L)
    assert_allclose(bound.jacobian(x, D).toarray(), J.toarray()[:, 6:])
    assert bound.affine
    with pytest.raises(ValueError, match=r"L: got 1 at \[0, 1\]"):
        F.bind(L=np.ones((3, 3)))


@pytest.mark.parametrize("kind", [U.lower(3), U.upper(3, positive_diagonal=True)], ids=["lower", "upper, positive"])
@orders
def test_a_function_with_an_argument_bound(kind, order):
    def f(X, y):
        return X @ X @ y

    of_wholes, of_free = mj.compile(f, (3, 3), (3,), order=order), mj.compile(f, kind, (3,), order=order)
    F = mj.Function(
        of_wholes,
        of_wholes.jacobian,
        kind,
        (3,),
        hessian=lambda X, y, w: of_wholes.hessian(X, y, weights=w),
        order=order,
        names=["X", "y"],
    )
    X, y, w = kind.whole(start(kind)), np.array([1.0, 2.0, 3.0]), np.array([0.5, -1.0, 2.0])
    for constant, rest in (({"y": y}, X), ({"X": X}, y)):
        bound, wanted = F.bind(**constant), of_free.bind(**constant)
        assert_allclose(bound(rest), wanted(rest))
        assert_allclose(bound.jacobian(rest).toarray(), wanted.jacobian(rest).toarray(), atol=1e-12)
        assert_allclose(bound.gradient(rest, weights=w), wanted.gradient(rest, weights=w), atol=1e-12)
        H = bound.hessian(rest, weights=w)
        assert_allclose(H.toarray(), wanted.hessian(rest, weights=w).toarray(), atol=1e-12)


@each
def test_the_gradient_as_a_function_takes_whole_matrices(kind, build):
    for f in (lambda X: np.sum(X @ X @ X), lambda X: X @ X):
        F = mj.compile(f, kind)
        x = start(kind)
        W = [] if F.out_shape == () else [rng.standard_normal((N, N))]
        G = F.gradient_function()
        assert_allclose(G(build(x), *W), F.grad(x, *(w.reshape(-1) for w in W)), rtol=1e-11, atol=1e-11)
        assert_allclose(
            G.jacobian(build(x), *W, wrt="X").toarray(),
            F.hessian(build(x), weights=W[0] if W else None).toarray(),
            rtol=1e-10,
            atol=1e-10,
        )


def test_imaginary_entries_of_an_affine_matrix():
    S, A = 1j * np.eye(16)[:, :10], rng.standard_normal((9, 4))
    F = mj.compile(lambda X: A @ X, U.affine(sp.csr_array(S), np.zeros((4, 4))))
    assert_allclose(F.jac(np.ones(10)).toarray(), np.kron(A, np.eye(4)) @ S)


def test_small_and_large_columns_of_an_affine_matrix():
    S = np.array([[1.0, 1e-9], [1.0, 0.0], [0.0, 1e-9]])
    kind = U.affine(S, np.zeros(3))
    assert_allclose(kind.free(S @ [2.0, 3.0]), [2.0, 3.0], rtol=1e-5)
    # entries near zero of a stochastic matrix have small columns too
    w = np.array([1.0, 2.0, 3.0, 4.0])
    F = mj.compile(lambda p: w @ p, U.simplex(4))
    p = F.unpack(np.array([16.0, 0.0, 1.0]))[0]
    assert_allclose(F.gradient(p), w - w.mean(), atol=1e-6)


def test_a_compiled_function_in_another_takes_whole_matrices():
    inner = mj.compile(lambda L: L @ L.T, U.lower(3))
    outer = mj.compile(lambda L: np.trace(inner(L)), U.lower(3))
    assert_allclose(outer.grad(np.arange(6.0)), 2 * np.arange(6.0))
    for kind in (U.lower(3, positive_diagonal=True), U.row_stochastic(3, 3)):
        inner = mj.compile(lambda X: X @ X.T, kind)
        outer = mj.compile(lambda X, inner=inner: 2 * inner(X), kind)
        assert_allclose(outer.jac(np.ones(kind.size)).toarray(), 2 * inner.jac(np.ones(kind.size)).toarray())


@given(st.integers(1, 6), st.sampled_from(["symmetric", "skew", "lower", "upper", "diagonal"]), st.integers(0, 99))
def test_sizes_of_all_kinds(n, name, seed):
    kind = getattr(U, name)(n)
    x = np.random.default_rng(seed).standard_normal(kind.size)
    F = mj.compile(lambda X: X @ X, kind)
    X = kind.whole(x)
    assert_allclose(kind.free(X), x)
    S = complex_step(lambda t: kind.whole(t), x).reshape(n * n, -1) if kind.size else np.zeros((n * n, 0))
    J = mj.compile(lambda X: X @ X, (n, n)).jacobian(X)
    assert_allclose(F.jac(x).toarray(), J.toarray() @ S, atol=1e-13)


# solvers ---------------------------------------------------------------------------------------------------

K = np.array([[4.0, 1.0, 0.5], [1.0, 3.0, 0.2], [0.5, 0.2, 2.0]])
CHOLESKY = np.linalg.cholesky(K)
FITS = {
    "lower": (U.lower(3), lambda L: L @ L.T - K, np.eye(3), CHOLESKY),
    "upper": (U.upper(3), lambda R: R.T @ R - K, np.eye(3), CHOLESKY.T),
    "lower, positive": (U.lower(3, positive_diagonal=True), lambda L: L @ L.T - K, np.eye(3), CHOLESKY),
    "symmetric": (U.symmetric(3), lambda X: X @ X - K @ K, 3 * np.eye(3), K),
    "diagonal": (U.diagonal(3), lambda D: D @ K @ D - K, np.diag([2.0, 1.5, 0.5]), np.eye(3)),
    "row stochastic": (
        U.row_stochastic(2, 3),
        lambda P: P - [[0.2, 0.3, 0.5], [0.1, 0.8, 0.1]],
        np.full((2, 3), 1 / 3),
        np.array([[0.2, 0.3, 0.5], [0.1, 0.8, 0.1]]),
    ),
}


@pytest.mark.parametrize("name", FITS)
@pytest.mark.parametrize("method", [None, "lbfgs", "gauss-newton", "trf", "dogbox", "lm"])
def test_a_fit_that_starts_in_the_structure_ends_in_it(name, method):
    kind, f, first, last = FITS[name]
    fit = mj.solvers.least_squares(mj.compile(f, kind), first, method=method)
    (X,) = fit.variables
    assert_allclose(X, last, atol=1e-5)
    kind.free(X)
    assert kind.name in fit.report()


@pytest.mark.parametrize("method", ["L-BFGS-B", "Newton-CG", "trust-constr", "trust-ncg", "BFGS", "trust-exact"])
@pytest.mark.parametrize("name", ["lower", "lower, positive", "symmetric"])
def test_minimize(name, method):
    kind, f, first, last = FITS[name]
    fit = mj.solvers.minimize(mj.compile(lambda X: np.sum(f(X) ** 2), kind), first, method=method)
    assert_allclose(fit.variables[0], last, atol=1e-3)


def test_ipopt():
    pytest.importorskip("ipyopt")
    F = mj.compile(lambda L: np.sum((L @ L.T - K) ** 2), U.lower(3))
    fit = mj.solvers.ipopt(F, np.eye(3), constraints=[(lambda L: np.trace(L), None, 4.0)])
    assert not np.triu(fit.variables[0], 1).any()
    assert np.trace(fit.variables[0]) <= 4.0 + 1e-6


def test_equations_and_flows_of_symmetric_matrices():
    # stable, whichever tests ran before
    M = np.random.default_rng(8).uniform(-0.5, 0.5, (4, 4)) - 3 * np.eye(4)
    Q = np.eye(4)
    riccati = mj.compile(lambda P: M.T @ P + P @ M - P @ P + Q, U.symmetric(4))
    (P,) = mj.solvers.root(riccati, np.eye(4)).variables
    assert_allclose(riccati(P), 0, atol=1e-8)
    assert_array_equal(P, P.T)
    flow = mj.compile(lambda t, P: M @ P + P @ M.T + Q, (), U.symmetric(4))
    result = mj.solvers.solve_ivp(flow, (0, 20), np.zeros((4, 4)))
    assert result.states.shape[1:] == (4, 4)
    assert_allclose(flow(0.0, result.variables[0]), 0, atol=1e-4)
    with pytest.raises(ValueError, match="F's value at the start: got"):
        mj.solvers.root(mj.compile(lambda P: M @ P, U.symmetric(4)), np.eye(4))


@pytest.mark.parametrize("method", [None, "lbfgs", "gauss-newton", "trf", "dogbox"])
@pytest.mark.parametrize("jac", [None, "csr", "dense"])
def test_equal_bounds_hold_an_entry(method, jac):
    if jac and method not in ("trf", "dogbox"):
        pytest.skip("of SciPy's methods alone")
    F = mj.compile(lambda L: L @ L.T - K, U.lower(3))
    low, high = np.full((3, 3), -np.inf), np.full((3, 3), np.inf)
    low[1, 0] = high[1, 0] = 0.25
    options = {"jac": jac} if jac else {}
    fit = mj.solvers.least_squares(F, np.eye(3) + 0.25 * np.eye(3, k=-1), method=method, bounds=(low, high), **options)
    (L,) = fit.variables
    assert L[1, 0] == 0.25
    if fit.get("jac") is not None:
        assert np.shape(fit.jac) == (9, 6)
    free = [0, 2, 3, 4, 5]
    assert np.abs(F.jac(fit.x).toarray()[:, free].T @ F.fun(fit.x)).max() < 1e-5
    best = mj.solvers.least_squares(
        mj.compile(lambda L: L @ L.T - K, U.free(np.tri(3, dtype=bool) & (np.arange(9) != 3).reshape(3, 3), L)), L
    )
    assert_allclose(fit.cost, best.cost, rtol=1e-6)


@pytest.mark.parametrize("loss", ["linear", "soft_l1", "cauchy"])
@pytest.mark.parametrize("method", ["trf", "dogbox"])
def test_the_gradient_by_held_entries_is_that_of_the_loss(loss, method):
    F = mj.compile(lambda x: np.array([1.0, 2.0, 3.0]) * (x - 5.0), (3,))
    bounds = np.array([0.0, -9.0, -9.0]), np.array([0.0, 9.0, 9.0])
    fit = mj.solvers.least_squares(F, np.zeros(3), bounds=bounds, method=method, loss=loss, f_scale=0.5)
    z = 4 * fit.fun**2
    slope = {"linear": 1, "soft_l1": (1 + z) ** -0.5, "cauchy": 1 / (1 + z)}[loss]
    assert_allclose(fit.grad, F.jac(fit.x).toarray().T @ (slope * fit.fun), atol=1e-8)
    assert_array_equal(fit.active_mask, [-1, 0, 0])


def test_bounds_and_scales_of_whole_matrices():
    F = mj.compile(lambda L: L @ L.T - K, U.lower(3))
    high = np.full((3, 3), 1.0)
    for bounds in ((None, high), (None, np.full(6, 1.0)), (None, 1.0)):
        fit = mj.solvers.least_squares(F, np.eye(3), bounds=bounds)
        assert fit.variables[0].max() <= 1.0
    fit = mj.solvers.least_squares(F, np.eye(3), method="trf", x_scale=high)
    assert_allclose(fit.variables[0], CHOLESKY, atol=1e-5)
    # of a positive diagonal bounds are those of the numbers themselves
    F = mj.compile(lambda L: L @ L.T - K, U.lower(3, positive_diagonal=True))
    assert_array_equal(F.variables.kinds[0].spread("x_scale", np.arange(9.0).reshape(3, 3)), [0, 3, 4, 6, 7, 8])
    fit = mj.solvers.least_squares(F, np.eye(3), method="trf", x_scale=np.full((3, 3), 2.0))
    assert_allclose(fit.variables[0], CHOLESKY, atol=1e-5)
    fit = mj.solvers.least_squares(F, np.eye(3), bounds=(-10.0, 1.5))
    assert np.diag(fit.variables[0]).max() == pytest.approx(1.5)
    with pytest.raises(ValueError, match=r"bounds\[1\]: got 0.0 for \[0, 0\], expected a positive number"):
        mj.solvers.least_squares(F, np.eye(3), bounds=(None, 0.0))
    F = mj.compile(lambda X: X - 5.0, U.symmetric(2))
    with pytest.raises(ValueError, match=r"got 1.0 at \[0, 1\] and 9.0 at \[1, 0\], expected the same"):
        mj.solvers.least_squares(F, np.zeros((2, 2)), bounds=(None, np.array([[9.0, 1.0], [9.0, 9.0]])))
    # of a vector too
    F = mj.compile(lambda x: x - np.array([1.0, 2.0, 3.0]), U.free([True, False, True]))
    for high in ([0.5, 9.0, 9.0], [0.5, 9.0]):
        fit = mj.solvers.least_squares(F, np.zeros(3), bounds=(None, np.array(high)))
        assert_allclose(fit.variables[0], [0.5, 0.0, 3.0], atol=1e-6)
    P = mj.compile(lambda p: p - [0.2, 0.8], U.simplex(2))
    with pytest.raises(ValueError, match=r"bounds\[1\]: got"):
        mj.solvers.least_squares(P, [0.5, 0.5], bounds=(None, [[0.7, 0.7]]))


def test_elimination_beside_a_structured_unknown():
    true_u, true_l = rng.standard_normal((9, 3)), np.tril(rng.standard_normal((3, 3))) + 2 * np.eye(3)
    Y = true_u @ true_l.T
    F = mj.compile(lambda U, L: U @ L.T - Y, (9, 3), U.lower(3))
    for method in (None, "lbfgs", "trf"):
        fit = mj.solvers.least_squares(F, np.ones((9, 3)) + true_u, np.eye(3), eliminate="U", method=method)
        assert fit.cost < 1e-8
        assert not np.triu(fit.variables[1], 1).any()


def test_standard_errors_of_whole_matrices():
    X = rng.standard_normal((40, 3))
    Y = X @ np.diag([1.0, 2.0, 3.0]) + 0.1 * rng.standard_normal((40, 3))
    F = mj.compile(lambda D: X @ D - Y, U.diagonal(3))
    fit = mj.solvers.least_squares(F, np.eye(3))
    q = mj.solvers.uncertainty(F, fit)
    assert q.stderr.shape == (3, 3)
    sigma2 = np.sum(fit.fun**2) / (120 - 3)
    assert_allclose(np.diag(q.stderr), np.sqrt(sigma2 / np.sum(X**2, axis=0)))
    assert not (q.stderr - np.diag(np.diag(q.stderr))).any()
    assert_allclose(mj.solvers.uncertainty(F, fit, of=lambda D: D @ np.ones(3)).stderr, np.diag(q.stderr))
    # both places of a symmetric one have the error of the one number
    M = np.array([[2.0, 1.0], [1.0, 3.0]])
    F = mj.compile(lambda X: np.concatenate([X - M, 0.9 * X - M]), U.symmetric(2))
    q = mj.solvers.uncertainty(F, mj.solvers.least_squares(F, np.eye(2)))
    assert q.stderr[0, 1] == q.stderr[1, 0] > 0


# what is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mj.Variables(U.lower(2)).pack(np.ones((2, 2))), r"x0: got 1 at \[0, 1\], expected 0 there: lower"),
        (lambda: mj.Variables(U.symmetric(2)).pack([[1.0, 2.0], [3.0, 4.0]]), r"x0: got 2 at \[0, 1\], expected 3"),
        (lambda: mj.Variables(U.skew(2)).pack(np.eye(2)), r"x0: got 1 at \[0, 0\], expected 0"),
        (lambda: mj.Variables(U.diagonal(2)).pack(np.ones((3, 3))), r"x0: got shape \(3, 3\), expected \(2, 2\)"),
        (lambda: mj.Variables(U.free([True, False], [0.0, 5.0])).pack([1.0, 4.0]), r"got 4 at \[1\], expected 5"),
        (lambda: U.lower(2, positive_diagonal=True).free(-np.eye(2)), r"got -1.0 at \[0, 0\], expected a positive"),
        (lambda: U.simplex(3).free([0.5, 0.5, 0.5]), r"X: got 0.5 at \[0\], expected 0.333333 there: simplex\(3\)"),
        (lambda: U.simplex(2).free([0.25, 0.750000001]), r"got 0.25 at \[0\], expected 0.2499999997"),
        (lambda: U.simplex(3).free([0.5, 0.5, 0.0]), r"X: got 0.0 at \[2\], expected a positive number"),
        (lambda: U.simplex(0), "n: got 0, expected at least 1"),
        (lambda: U.row_stochastic(2, 0), "n: got 0, expected at least 1"),
        (lambda: U.symmetric(2.5), "n: got float 2.5, expected an integer"),
        (lambda: U.free(np.eye(2)), "mask: got ndarray of shape"),
        (lambda: U.free(np.eye(2, dtype=bool), np.ones(3)), r"values: got shape \(3,\), expected \(2, 2\)"),
        (lambda: U.affine(np.ones((3, 1)), np.zeros((2, 2))), "S: got 3 rows, expected 4"),
        (lambda: U.affine(np.ones((4, 2)), np.zeros((2, 2))), "S: got columns that depend on one another"),
        (lambda: U.lower(2, positive_diagonal=True).jacobian(), r"X: got none, expected the matrix"),
        (lambda: U.lower(2).jacobian(layout="rows"), "layout: got 'rows'"),
        (lambda: mj.from_differential(lambda d: d, U.simplex(2)), "shapes.0.: got simplex"),
        (lambda: mj.solvers.least_squares(
            mj.compile(lambda X: X, U.affine(S, OFFSET)), OFFSET, bounds=(np.zeros((N, N)), None)
        ), r"bounds\[0\]: got shape \(4, 4\), expected \(5,\), one for each free entry"),
        (lambda: mj.solvers.least_squares(mj.compile(lambda X: X, U.lower(2)), np.eye(2), batch=1), "batch: got"),
        (lambda: mj.solvers.least_squares(
            mj.compile(lambda X: X, U.lower(2)), np.eye(2), bounds=(np.zeros(7), None)
        ), r"bounds\[0\]: got shape \(7,\), expected \(2, 2\) or \(3,\), or a number"),
        (lambda: U.affine([[1, 0], [2, 0]], np.zeros(2)), "S: got columns that depend on one another"),
        (lambda: U.affine([[1, 1], [1, 1 + 1e-7]], np.zeros(2)), "S: got columns that depend on one another"),
    ],
)  # fmt: skip
def test_what_is_refused(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_rounding_is_no_breach_of_the_structure():
    R = rng.standard_normal((5, 3)).astype(np.float32)
    K32 = R.T @ R
    K32[0, 1] = np.nextafter(K32[0, 1], np.float32(9))
    assert mj.Variables(U.symmetric(3)).pack(K32).dtype == np.float32
    with pytest.raises(ValueError, match="expected"):
        mj.Variables(U.symmetric(3)).pack(K32 + np.triu(np.full((3, 3), 1e-3, np.float32), 1))
    # what is not a number is not compared
    with_nan = np.full((2, 2), np.nan)
    assert np.isnan(mj.Variables(U.symmetric(2)).pack(with_nan)).all()


def test_dtypes_and_complex_matrices():
    kind = U.lower(3)
    F = mj.compile(lambda L: L @ L.T, kind)
    assert F.jac(np.ones(6, np.float32)).tocsr().dtype == np.float32
    z = rng.standard_normal(6) + 1j * rng.standard_normal(6)
    places = [(i, j) for i in range(3) for j in range(i + 1)]
    wanted = complex_step(lambda t: filled(3, t, places) @ filled(3, t, places).T, z).reshape(9, 6)
    assert_allclose(F.jac(z).toarray(), wanted, atol=1e-9)
    assert_allclose(F.jacobian(kind.whole(z)).vjp(np.ones((3, 3))), kind.whole(wanted.sum(axis=0)), atol=1e-8)
    assert mj.check(F, np.tri(3)) < 1e-10


def test_complex_entries_of_a_real_affine_matrix():
    kind, z = U.affine(S, OFFSET), rng.standard_normal(5) + 1j * rng.standard_normal(5)
    X, dX = combined(z), (S @ z[::-1]).reshape(N, N)
    assert_allclose(kind.free(X), z)
    J = mj.compile(lambda X: X @ X, kind).jacobian(X)
    change = dX @ X + X @ dX
    assert_allclose(J.jvp(dX), change)
    assert_allclose(np.sum(J.vjp(np.ones((N, N))) * dX), change.sum())


def test_what_is_equal_has_one_hash():
    assert len({U.symmetric(3), U.symmetric(3), U.symmetric(4), U.skew(3)}) == 3


def test_a_recorded_matrix_whose_free_entries_are_not_named():
    F = mj.compile(lambda X: X @ X, U.affine(S, OFFSET))
    with pytest.raises(mj.TracingError, match=r"free entries of a recorded array can't be found: affine\(S, offset\)"):
        mj.compile(lambda X: F(X), (N, N))


def test_empty_ones():
    for kind in (U.symmetric(0), U.skew(1), U.free(np.zeros((2, 2), bool), np.ones((2, 2))), U.simplex(1)):
        F = mj.compile(lambda X: 2.0 * X, kind)
        assert F.jac(np.zeros(0)).shape == (int(np.prod(kind.shape)), 0)
        assert F.fun(np.zeros(0)).size == np.prod(kind.shape)


def test_signs_of_picked_numbers_keep_infinities():
    kind = U.skew(3)
    F = mj.compile(lambda X: X @ np.tile([[np.inf], [1e308], [1.5e308]], 3), kind)
    with np.errstate(invalid="ignore"):
        values = F.jac(np.ones(3)).tocsr()
    assert set(np.abs(values.data)) <= {np.inf, 1e308, 1.5e308}
    assert not np.isnan(values.data).any()
