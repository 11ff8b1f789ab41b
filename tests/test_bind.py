"""`bind`: arguments made constants of a function, every face beside the function that was not bound."""

import pickle
import threading

import numpy as np
import pytest
import scipy.sparse as sp
from functions import FUNCTIONS, REAL
from numpy.testing import assert_allclose, assert_array_equal

import matjac as mj
from matjac.tracing import compiled

SEVERAL = {name: (fun, shapes) for name, (fun, shapes) in (FUNCTIONS | REAL).items() if len(shapes) > 1}
CASES = [(name, at) for name, (_, shapes) in SEVERAL.items() for at in range(len(shapes))]


def points_for(shapes, seed):
    rng = np.random.default_rng(seed)
    return [rng.uniform(0.2, 1.2, shape) for shape in shapes]


def check_faces(G, F, at, points):
    """Every face of G, which is F with the argument `at` bound to that of the points."""
    name, free = F.names[at], [p for k, p in enumerate(points) if k != at]
    others = [n for n in F.names if n != name]
    x, whole = G.pack(*free), F.pack(*points)
    columns = np.concatenate([np.full(p.size, k != at) for k, p in enumerate(points)])
    value = F(*points)
    assert_allclose(G(*free), value, rtol=1e-13)
    assert_allclose(G.fun(x), F.fun(whole), rtol=1e-13)
    dense = F.jacobian(*points).toarray()[:, columns]
    J = G.jacobian(*free)
    A, B = J.tocsr(), F.jacobian(*points, wrt=others).tocsr()
    assert_allclose(A.toarray(), dense, rtol=1e-11, atol=1e-12)
    assert_array_equal(A.indptr, B.indptr)
    assert_array_equal(A.indices, B.indices)
    assert_allclose(G.jac_csr(x).toarray(), dense, rtol=1e-11, atol=1e-12)
    u, v = (np.random.default_rng(3).standard_normal(n) for n in J.shape)
    assert_allclose(J @ v, dense @ v, rtol=1e-10, atol=1e-11)
    assert_allclose(J.T @ u, dense.T @ u, rtol=1e-10, atol=1e-11)
    value, (again, K) = np.asarray(value), G.value_and_jacobian(*free)
    assert_allclose(again, value, rtol=1e-13)
    assert_allclose(K.toarray(), dense, rtol=1e-11, atol=1e-12)
    w = None if value.shape == () else np.random.default_rng(4).uniform(0.5, 1.5, value.size)
    slope = F.grad(whole, w)[columns]
    assert_allclose(G.grad(x, w), slope, rtol=1e-10, atol=1e-11)
    flat, both = G.value_and_grad(x, w)
    assert_allclose(np.ravel(flat), np.ravel(F.fun(whole)), rtol=1e-13)
    assert_allclose(both, slope, rtol=1e-10, atol=1e-11)
    hessian = F.hess(whole, w).toarray()[np.ix_(columns, columns)]
    H = G.hess(x, w)
    assert_allclose(H.toarray(), hessian, rtol=1e-9, atol=1e-10)
    assert_allclose(H.tocsr(triangle="lower").toarray(), np.tril(hessian), rtol=1e-9, atol=1e-10)
    assert_allclose(H @ v, hessian @ v, rtol=1e-9, atol=1e-10)
    half = G.half_squares()
    assert_allclose(half(*free), 0.5 * np.sum(value**2), rtol=1e-12)
    assert_allclose(half.grad(x), dense.T @ np.ravel(value, order=F.order), rtol=1e-9, atol=1e-10)
    part, whole_part = (
        half.hessian(*free, part="gauss-newton"),
        F.half_squares().hessian(*points, wrt=others, part="gauss-newton"),
    )
    assert_allclose(part.toarray(), whole_part.toarray(), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(("name", "at"), CASES)
def test_every_face_for_data_and_other_data(name, at):
    fun, shapes = SEVERAL[name]
    order = "F" if at % 2 else "C"
    F = mj.compile(fun, *shapes, order=order)
    made = []
    for seed in (1, 2):
        points = points_for(shapes, seed)
        G = F.bind(**{F.names[at]: points[at]})
        assert G.names == tuple(n for n in F.names if n != F.names[at])
        check_faces(G, F, at, points)
        made.append((G, points))
    # the first is as it was
    G, points = made[0]
    check_faces(G, F, at, points)
    # one pattern for all data
    A, B = (G.jac_csr(G.pack(*[p for k, p in enumerate(points) if k != at])) for G, points in made)
    assert np.shares_memory(A.indices, B.indices) or A.nnz == 0


def test_nothing_is_recorded_or_planned_anew(monkeypatch):
    F = mj.compile(lambda R, K: np.tanh(R.T @ R) - np.linalg.inv(K), (3, 5), (5, 5))
    rng = np.random.default_rng(0)
    R, K = rng.standard_normal((3, 5)), np.eye(5)
    G = F.bind(K=K)
    faces = [G.jac_csr, G.grad, G.value_and_grad, G.hess_csr]
    w = np.ones(25)
    G.jac_csr(R.ravel())
    [f(R.ravel(), w) for f in faces[1:]]
    G.half_squares().grad(R.ravel())
    program, plan = F._record.program, G.jacobian(R).plan
    steps = len(program.shapes)
    H = F.bind(K=2 * K)
    # what hangs on the data alone is computed when they are bound
    with monkeypatch.context() as patch:
        patch.setattr(np.linalg, "inv", None)
        for f in (H.jac_csr, *[lambda x, f=f: getattr(H, f)(x, w) for f in ("grad", "value_and_grad", "hess_csr")]):
            f(R.ravel())
        H.half_squares().grad(R.ravel())
    assert H.jacobian(R).plan is plan
    assert len(program.shapes) == steps
    assert_allclose(H(R), np.tanh(R.T @ R) - np.eye(5) / 2)


def test_terms_by_the_bound_argument_are_not_made():
    F = mj.compile(lambda X, p: (2.0 + X * X) ** p, (3, 2), ())
    G = F.bind(p=3.0)
    X = np.random.default_rng(0).standard_normal((3, 2))
    slope = 6 * X * (2 + X * X) ** 2
    assert_allclose(G.gradient(X, weights=np.ones((3, 2))), slope)
    H = G.gradient_function().bind(weights=np.ones((3, 2)))
    assert_allclose(H(X), slope)
    U, V = np.ones((4, 2)), np.ones((5, 2))
    by_U = mj.compile(lambda U, V: U @ V.T, U.shape, V.shape).bind(V=V).jacobian(U)
    assert len(by_U.plan.expression.steps) == 1
    assert by_U.nnz == 4 * 5 * 2


def test_a_derivative_that_only_the_bound_argument_lacks():
    unknown = mj.rule(np.sin, lambda x: None)
    F = mj.compile(lambda X, s: X * unknown(s), (3,), (3,))
    s = np.array([1.0, 2.0, 3.0])
    G = F.bind(s=s)
    assert_allclose(G.jacobian(np.ones(3)).toarray(), np.diag(np.sin(s)))
    assert G.has_hessian


@pytest.mark.parametrize("dtype", [np.float32, np.complex128])
def test_dtypes_are_those_of_the_unbound(dtype):
    F = mj.compile(lambda X, K: X @ K @ X.T, (2, 3), (3, 3))
    rng = np.random.default_rng(0)
    for mine, its in ((dtype, dtype), (np.float64, dtype), (dtype, np.float64)):
        X = (rng.standard_normal((2, 3)) + 0).astype(mine)
        K = rng.standard_normal((3, 3)).astype(its)
        G, W = F.bind(K=K), np.ones((2, 2), mine)
        for ours, theirs in (
            (G(X), F(X, K)),
            (G.jacobian(X).tocsr(), F.jacobian(X, K, wrt="X").tocsr()),
            (G.gradient(X, weights=W), F.gradient(X, K, weights=W)[0]),
        ):
            assert ours.dtype == theirs.dtype
            assert_allclose(*((m.toarray() if sp.issparse(m) else m) for m in (ours, theirs)), rtol=1e-5)


def test_data_are_copied_and_nothing_hands_them_out():
    F = mj.compile(lambda x, k: np.sum(k * x), (3,), (3,))
    k = np.array([1.0, 2.0, 3.0])
    G = F.bind(k=k)
    k[:] = 0
    slope = G.gradient(np.ones(3))
    assert_array_equal(slope, [1, 2, 3])
    slope[:] = 7
    assert_array_equal(G.gradient(np.ones(3)), [1, 2, 3])
    same = mj.compile(lambda x, k: k + 0 * x, (3,), (3,)).bind(k=[1.0, 2.0, 3.0])
    same(np.zeros(3))[:] = 5
    assert_array_equal(same(np.zeros(3)), [1, 2, 3])


def test_step_by_step_pickled_explained_and_checked():
    F = mj.compile(lambda X, W, b: np.tanh(X @ W + b), (6, 3), (3, 2), (2,))
    X, W, b = points_for([(6, 3), (3, 2), (2,)], 5)
    G = F.bind(X=X).bind(b=b)
    assert repr(G).startswith("<Compiled (W: (3, 2))")
    assert_allclose(G(W), np.tanh(X @ W + b))
    mj.check(G, W, order=2)
    again = pickle.loads(pickle.dumps(G))
    assert_allclose(again.jacobian(W).toarray(), G.jacobian(W).toarray())
    assert_allclose(pickle.loads(pickle.dumps(F)).bind(X=X, b=b)(W), G(W))
    assert G.explain().splitlines()[:2] == ["0 W (3, 2)", "1 matmul(constant, 0) → (6, 2): 1 term"]


def test_threads():
    F = mj.compile(lambda R, K: np.tanh(R.T @ R) - K, (4, 12), (12, 12))
    rng = np.random.default_rng(0)
    R, data = rng.standard_normal((4, 12)), [rng.standard_normal((12, 12)) for _ in range(8)]
    errors, barrier = [], threading.Barrier(8)

    def work(K):
        barrier.wait()
        for _ in range(20):
            G = F.bind(K=K)
            value, slope = G.value_and_gradient(R, weights=G(R))
            J = G.jac_csr(R.ravel())
            wanted = np.tanh(R.T @ R) - K
            errors.append(np.abs(value - wanted).max() + np.abs(J.T @ wanted.ravel() - slope.ravel()).max())

    threads = [threading.Thread(target=work, args=(K,)) for K in data]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len(errors) == 160
    assert max(errors) < 1e-11


def by_both(U, V):
    return mj.hstack([mj.d_matmul_dA(V.T, 6), mj.d_matmul_dB(U, 5) @ mj.d_transpose_dX((5, 2))])


@pytest.mark.parametrize("at", [0, 1])
def test_a_function_by_hand(at):
    points = points_for([(6, 2), (5, 2)], 3)
    compiled = mj.compile(lambda U, V: U @ V.T, (6, 2), (5, 2))

    def second(U, V, W):
        return compiled.hessian(U, V, weights=W)

    F = mj.Function(lambda U, V: U @ V.T, by_both, (6, 2), (5, 2), hessian=second, names=("U", "V"))
    for seed in (1, 2):
        points = points_for([(6, 2), (5, 2)], seed)
        G, H = F.bind(**{"UV"[at]: points[at]}), compiled.bind(**{"UV"[at]: points[at]})
        x, w = G.pack(points[1 - at]), np.linspace(0.5, 1.5, 30)
        assert_allclose(G.fun(x), H.fun(x))
        assert_allclose(G.jac_csr(x).toarray(), H.jac_csr(x).toarray())
        assert G.jac(x).nnz == H.jac(x).nnz
        assert_allclose(G.grad(x, w), H.grad(x, w))
        assert_allclose(G.hess_csr(x, w).toarray(), H.hess_csr(x, w).toarray())
    assert not mj.Function(lambda U, V: U @ V.T, by_both, (6, 2), (5, 2)).bind(x0=points[0]).has_hessian


def test_every_solver_takes_it():
    rng = np.random.default_rng(0)
    K = (lambda B: B.T @ B)(rng.standard_normal((3, 3))) + np.eye(3)
    F = mj.compile(lambda R, K: R.T @ R - K, (3, 3), (3, 3))
    fits = [mj.solvers.least_squares(F.bind(K=K), np.eye(3)), mj.solvers.root(F.bind(K=K), np.eye(3) + 0.5 * np.tri(3))]
    half = F.half_squares()
    fits += [mj.solvers.minimize(half.bind(K=K), np.eye(3)), mj.solvers.ipopt(half.bind(K=K), np.eye(3))]
    flow = mj.compile(lambda R, K: -R @ (R.T @ R - K), (3, 3), (3, 3))
    fits.append(mj.solvers.solve_ivp(flow.bind(K=K), (0, 50), np.eye(3)))
    for fit in fits:
        (R,) = fit.variables
        assert_allclose(R.T @ R, K, atol=2e-3)


def test_a_batch_takes_it():
    t = np.linspace(0, 1, 12)
    rng = np.random.default_rng(0)
    rates = rng.uniform(0.5, 3, (400, 2))
    F = mj.compile(lambda p, y: p[:, :1] * np.exp(-p[:, 1:] * t) - y, (400, 2), (400, 12))
    for scale in (1.0, 2.0):
        y = scale * rates[:, :1] * np.exp(-rates[:, 1:] * t)
        fit = mj.solvers.least_squares(F.bind(y=y), np.ones((400, 2)), batch=1)
        assert fit.success
        assert_allclose(fit.variables[0], rates * [scale, 1], rtol=1e-6)


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        ({}, TypeError, r"^bind: got no argument, expected some of R, K"),
        ({"Z": 1.0}, ValueError, r"^bind: got 'Z', expected one of 'R', 'K'"),
        ({"R": np.ones((2, 3)), "K": np.ones((3, 3))}, TypeError, r"^bind: got all arguments, expected some of R, K"),
        ({"K": np.ones((2, 3))}, ValueError, r"^K: got shape \(2, 3\), expected \(3, 3\)"),
        ({"K": "text"}, TypeError, r"^K: got dtype"),
        ({"K": sp.eye_array(3)}, TypeError, r"^K: got .*, expected a dense array"),
    ],
)
def test_bad_data(data, error, words):
    F = mj.compile(lambda R, K: R.T @ R - K, (2, 3), (3, 3))
    with pytest.raises(error, match=words):
        F.bind(**data)
    assert isinstance(F, compiled.Compiled)


def test_what_is_bound_is_no_argument_any_more():
    G = mj.compile(lambda R, K: R.T @ R - K, (2, 3), (3, 3)).bind(K=np.eye(3))
    with pytest.raises(TypeError, match=r"^arguments: got 2, expected 1: R"):
        G(np.ones((2, 3)), np.eye(3))
    with pytest.raises(ValueError, match=r"^bind: got 'K', expected one of 'R'"):
        G.bind(K=np.eye(3))
