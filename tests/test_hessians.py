"""Hessians of weighted sums: their values, patterns, triangles, products, and what solvers make of them."""

import functools
import pickle
import threading

import numpy as np
import pytest
import scipy.sparse as sp
from constrained import likelihood, nonnegative, orthogonality
from functions import FUNCTIONS, REAL, S
from functions import mask as constant_mask
from numpy.testing import assert_allclose, assert_array_equal
from scipy import optimize
from test_points import at

import matjac as mj

ALL = FUNCTIONS | REAL
#: Points at which there is no second derivative: zeros of a norm or a root, singular matrices.
POINTS = ("generic", "half zeros", "permuted")
#: Rules by Jacobians, which are not differentiated again; a gaussian likelihood's inverse and so on are.
WITHOUT = {name for name in ALL if name.startswith("rule")}


def random_weights(F):
    """Weights of a function's values, flat."""
    return np.random.default_rng(11).uniform(-1, 1, int(np.prod(F.out_shape)))


def plain_gradient(fun, shapes, w, order):
    """The gradient of Σ w ∘ fun at a flat vector, by complex steps: no code of ours."""
    sizes = [int(np.prod(s)) for s in shapes]

    def unpacked(x):
        parts = np.split(x, np.cumsum(sizes)[:-1])
        return [part.reshape(s, order=order) for part, s in zip(parts, shapes, strict=True)]

    def gradient(x):
        steps = [x + 1e-30j * e for e in np.eye(x.size)]
        return np.array(
            [np.sum(w * np.asarray(fun(*unpacked(s))).reshape(-1, order=order)).imag / 1e-30 for s in steps]
        )

    return gradient


def columns_of(gradient, x, step):
    """The derivative of a gradient by central differences, extrapolated, or by complex steps where the step is one."""
    if isinstance(step, complex):
        return np.stack([gradient(x + step * e).imag / step.imag for e in np.eye(x.size)], axis=1)

    def central(h):
        return np.stack([(gradient(x + h * e) - gradient(x - h * e)) / (2 * h) for e in np.eye(x.size)], axis=1)

    return (4 * central(step) - central(2 * step)) / 3


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - WITHOUT))
def test_values(name, order):
    """The derivative of the gradient at several points: of ours by complex step, of the function's by differences."""
    fun, shapes = FUNCTIONS[name]
    F = mj.compile(fun, *shapes, order=order)
    w = random_weights(F)
    n = F.variables.size
    patterns = []
    for kind in POINTS if order == "C" else POINTS[:1]:
        x = F.pack(*at(name, kind))
        wanted = columns_of(lambda v: F.grad(v, w), x, 1e-30j)
        if not np.isfinite(wanted).all():
            continue
        H = F.hess(x, w)
        matrix = H.tocsr()
        scale = max(1.0, float(np.abs(wanted).max(initial=0)))
        assert_allclose(matrix.toarray(), wanted, atol=1e-10 * scale, err_msg=kind)
        assert_allclose(H @ np.eye(n), wanted, atol=1e-10 * scale)
        check_shape_of(H, matrix)
        patterns.append(matrix)
        if kind == "generic":
            plain = columns_of(plain_gradient(fun, shapes, w, order), x, 1e-3)
            assert_allclose(matrix.toarray(), plain, atol=1e-6 * scale)
            assert_allclose(F.hess_csr(x, w, out=matrix.copy()).toarray(), matrix.toarray())
    for one in patterns[1:]:
        assert_array_equal(one.indices, patterns[0].indices)
        assert_array_equal(one.indptr, patterns[0].indptr)


def check_shape_of(H, matrix):
    """Symmetric to the last bit, canonical, and its triangles are its triangles."""
    dense = matrix.toarray()
    assert_array_equal(dense, dense.T)
    assert matrix.has_canonical_format
    assert matrix.nnz == H.nnz == H.count()
    assert H.T.shape == H.shape
    whole = np.empty(H.nnz, H.dtype)
    H.fill(whole)
    assert_array_equal(whole, matrix.data)
    for triangle, cut in (("lower", np.tril), ("upper", np.triu)):
        half = H.tocsr(triangle=triangle)
        places = sp.csr_array((np.ones(matrix.nnz), matrix.indices, matrix.indptr), shape=matrix.shape).toarray()
        assert_array_equal(half.toarray(), cut(dense))
        assert half.nnz == H.count(triangle) == int(cut(places).sum())
        data = np.empty(half.nnz)
        H.fill(data, triangle)
        assert_array_equal(data, half.data)
        assert_array_equal(H.structure(triangle)[1], half.indices)
        rows, columns = H.coo_structure(triangle)
        assert_array_equal(half.toarray()[rows, columns], half.data)
        assert H.tocsr(out=half, triangle=triangle) is half


@pytest.mark.parametrize("name", sorted(set(REAL) - WITHOUT))
def test_values_of_functions_that_are_not_analytic(name):
    """Away from kinks, by differences of our gradient."""
    fun, shapes = REAL[name]
    F = mj.compile(fun, *shapes)
    w, x = random_weights(F), F.pack(*at(name, "generic"))
    wanted = columns_of(lambda v: F.grad(v, w), x, 1e-4)
    scale = max(1.0, float(np.abs(wanted).max(initial=0)))
    H = F.hess(x, w)
    assert_allclose(H.toarray(), wanted, atol=1e-6 * scale)
    assert_allclose(H @ np.eye(x.size), H.toarray(), atol=1e-12 * scale)


# patterns ---------------------------------------------------------------------------------------------


def test_a_gram_matrix_is_a_kronecker_product():
    rng = np.random.default_rng(0)
    R, W = rng.standard_normal((4, 3)), rng.standard_normal((3, 3))
    H = mj.compile(lambda R: R.T @ R, (4, 3)).hessian(R, weights=W)
    assert_allclose(H.toarray(), np.kron(np.eye(4), W + W.T))
    assert H.nnz == 4 * 9


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_masked_product_has_an_entry_for_each_observation_and_rank(order):
    rng = np.random.default_rng(0)
    rows, cols = rng.integers(0, 30, 50), rng.integers(0, 40, 50)
    F = mj.compile(lambda U, V: (U @ V.T)[rows, cols], (30, 2), (40, 2), order=order)
    H = F.hess(rng.standard_normal(140), np.ones(50))
    assert H.count("lower") == 2 * len(set(zip(rows.tolist(), cols.tolist(), strict=True)))
    assert H.nnz == 2 * H.count("lower")


def test_what_is_linear_has_no_entries():
    H = mj.compile(lambda X, Y: np.sum(3 * X) + np.sum(Y), (2, 3), (2,)).hessian(np.ones((2, 3)), np.ones(2))
    assert (H.nnz, H.count("lower"), H.tocsr().nnz, H.tocsr(triangle="upper").nnz) == (0, 0, 0, 0)
    assert_array_equal(H @ np.ones(8), np.zeros(8))


def test_zeros_by_structure_stay():
    F = mj.compile(lambda L: np.sum((np.tril(L) @ np.tril(L).T) ** 2), (4, 4))
    H = F.hessian(np.ones((4, 4)))
    upper = np.flatnonzero(np.triu(np.ones((4, 4)), 1))
    assert not set(H.tocoo().row.tolist()) & set(upper.tolist())
    G = mj.compile(lambda X: np.sum(np.where(constant_mask, X, 0) ** 2), (3, 4))
    assert G.hessian(np.zeros((3, 4))).nnz == constant_mask.sum()
    Q = mj.compile(lambda x: np.sum((S @ x) ** 2), (3,))
    assert_allclose(Q.hessian(np.ones(3)).toarray(), 2 * (S.T @ S).toarray())


# arguments --------------------------------------------------------------------------------------------


@functools.cache
def factorisation(order="C"):
    return mj.compile(lambda U, V: np.sum(np.tanh(U @ V.T) ** 2), (3, 2), (4, 2), order=order)


@pytest.mark.parametrize("order", ["C", "F"])
def test_by_some_of_the_variables(order):
    F = factorisation(order)
    U, V = np.random.default_rng(0).standard_normal((2, 4, 2))
    U = U[:3]
    whole = F.hessian(U, V).toarray()
    assert_array_equal(F.hessian(U, V, wrt="U").toarray(), whole[:6, :6])
    assert_allclose(F.hessian(U, V, wrt=["V"]).toarray(), whole[6:, 6:], rtol=1e-14)
    H = F.hessian(U, V)
    assert H.in_shape == H.out_shape == ((3, 2), (4, 2))
    dU, dV = H.jvp((U, V))
    assert dU.shape == (3, 2)
    assert dV.shape == (4, 2)
    assert_allclose(H.vjp((U, V))[1], dV)
    x, p = F.pack(U, V), np.arange(14.0)
    assert_allclose(F.hessp(x, p), whole @ p)
    assert_allclose(F.hess_csr(x).toarray(), whole)


def test_dtypes():
    F = factorisation()
    for dtype in (np.float32, np.float64, np.complex128):
        U, V = np.ones((3, 2), dtype), np.full((4, 2), 0.5, dtype)
        assert F.hessian(U, V).tocsr().dtype == dtype
        assert F.gradient(U, V)[0].dtype == dtype
    # weights have a dtype too
    G = mj.compile(lambda X: X.T @ X, (2, 2))
    assert G.hessian(np.ones((2, 2), np.float32), weights=np.ones((2, 2))).dtype == np.float64


def test_a_real_value_of_a_complex_matrix_has_complex_derivatives():
    """That of log|det A| is the one of log det A, as in the closed form."""
    F, Z = mj.compile(lambda A: np.linalg.slogdet(A)[1], (2, 2)), np.array([[1, 2j], [0.5, 3]])
    assert_allclose(F.jacobian(Z).toarray(), np.linalg.inv(Z).T.reshape(1, 4))
    assert_allclose(F.gradient(Z), np.linalg.inv(Z).T)
    assert_allclose(F.hessian(Z).toarray(), mj.d2_logdet_dA(Z).toarray())


def test_what_comes_in_is_copied():
    G = mj.compile(lambda X: X**3, (2, 2))
    X, W = np.ones((2, 2)), np.ones((2, 2))
    H, x, w = G.hessian(X, weights=W), np.ones(4), np.ones(4)
    flat = G.hess(x, w)
    for array in (X, W, x, w):
        array[:] = 7
    assert_array_equal(H.toarray(), 6 * np.eye(4))
    assert_array_equal(flat.toarray(), 6 * np.eye(4))


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda F: F.hessian(np.ones((2, 2))), r"weights: got none for a function of shape \(2, 2\)"),
        (lambda F: F.hess(np.ones(4)), "w: got none"),
        (lambda F: F.hess(np.ones(4), np.ones(3)), r"w: got shape \(3,\), expected \(4,\)"),
        (lambda F: F.hessian(np.ones((2, 2)), weights=np.ones(4)), r"weights: got shape \(4,\), expected \(2, 2\)"),
        (lambda F: F.hess(np.ones(3), np.ones(4)), r"x: got shape \(3,\), expected \(4,\)"),
        (lambda F: F.hessp(np.ones(4), np.ones(3), np.ones(4)), "got shape"),
        (lambda F: F.hess(np.ones(4), np.ones(4)).tocsr(triangle="left"), "triangle: got 'left'"),
        (lambda F: F.hess(np.ones(4), np.ones(4)).fill(np.empty(3), "lower"), "data: got"),
        (lambda F: F.hessian(np.ones((2, 2)), weights=np.ones((2, 2)), wrt="Y"), "wrt: got 'Y'"),
        (lambda F: F.hessian(np.ones((2, 2)), weights=np.ones((2, 2)), part="half"), "part: got 'half'"),
        (lambda F: F.hessian(np.ones((2, 2)), weights=np.ones((2, 2)), part="gauss-newton"), "Gauss-Newton part"),
        (lambda F: mj.check(F, np.ones((2, 2)), order=3), "order: got 3"),
    ],
)
def test_bad_input(act, message):
    with pytest.raises((ValueError, TypeError), match=message):
        act(mj.compile(lambda X: X @ X, (2, 2)))


def test_a_rule_by_jacobians_has_no_second_derivative():
    square = mj.rule(np.square, lambda x: mj.d_elementwise_dX(2 * x))
    F = mj.compile(lambda x: np.sum(square(x)), (2,))
    assert_array_equal(F.gradient(np.ones(2)), [2, 2])
    with pytest.raises(mj.TracingError, match="differential="):
        F.hessian(np.ones(2))
    by_differential = mj.rule(np.square, differential=lambda x, dx: 2 * x * dx)
    F = mj.compile(lambda x: np.sum(by_differential(x)), (2,))
    assert_array_equal(F.hessian(np.ones(2)).toarray(), 2 * np.eye(2))


@pytest.mark.parametrize("order", ["C", "F"])
def test_pickled(order):
    F = factorisation(order)
    U, V = np.ones((3, 2)), np.full((4, 2), 0.5)
    H = F.hessian(U, V)
    assert_array_equal(pickle.loads(pickle.dumps(H)).toarray(), H.toarray())
    assert_array_equal(pickle.loads(pickle.dumps(F)).hessian(U, V).toarray(), H.toarray())


# gradients as functions -------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_gradient_is_a_function(order):
    F = factorisation(order)
    G = F.gradient_function()
    x = np.linspace(-1, 1, 14)
    assert_allclose(G.fun(x), F.grad(x))
    assert_allclose(G.jac(x).toarray(), F.hess(x).toarray(), atol=1e-14)
    H = mj.compile(lambda X: X @ X, (2, 2), order=order).gradient_function()
    assert H.names == ("X", "weights")
    X, W = np.random.default_rng(0).standard_normal((2, 2, 2))
    assert_allclose(H(X, W), W @ X.T + X.T @ W)
    # third derivatives come by the same way
    cubic = mj.compile(lambda x: np.sum(x**4), (3,), order=order).gradient_function()
    assert_allclose(cubic.hessian(np.ones(3), weights=np.ones(3)).toarray(), 24 * np.eye(3))


def test_a_root_of_a_gradient():
    F = mj.compile(lambda X: np.sum((X @ X - 4 * np.eye(2)) ** 2), (2, 2))
    fit = mj.solvers.root(F.gradient_function(), np.diag([1.5, 2.5]))
    assert_allclose(fit.variables[0], 2 * np.eye(2), atol=1e-4)


# sums of squares --------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    "write",
    [
        lambda r: np.sum(r**2),
        lambda r: np.sum(r * r) / 2,
        lambda r: r @ r,
        lambda r: 3 - np.mean(np.square(r)),
        lambda r: np.sum(r[:2] ** 2) + 5 * np.sum((2 * r) ** 2),
        lambda r: np.sum(np.cumsum(r**2)),
    ],
)
def test_gauss_newton(write, order):
    rows, cols = np.array([0, 1, 2, 1]), np.array([1, 0, 1, 1])

    def residuals(U, V):
        return (U @ V.T)[rows, cols] - 1

    F = mj.compile(lambda U, V: write(residuals(U, V)), (3, 2), (4, 2), order=order)
    R = mj.compile(residuals, (3, 2), (4, 2), order=order)
    U, V = np.random.default_rng(0).standard_normal((2, 4, 2))
    J = R.jacobian(U[:3], V).toarray()
    curvature = columns_of(plain_gradient(write, [(4,)], 1.0, order), np.ones(4), 1e-3)
    H = F.hessian(U[:3], V, part="gauss-newton")
    assert_allclose(H.toarray(), J.T @ curvature @ J, atol=1e-9)
    assert_allclose(H @ np.eye(14), H.toarray(), atol=1e-13)
    assert_array_equal(H.toarray(), H.toarray().T)
    part = F.hessian(U[:3], V, part="gauss-newton", wrt="V").toarray()
    assert_allclose(part, H.toarray()[6:, 6:], atol=1e-13)


def test_gauss_newton_by_a_variable_that_one_square_has():
    W = np.random.default_rng(1).standard_normal((3, 4))
    F = mj.compile(lambda x, y: np.sum((x @ W) ** 2) + np.sum((y - 1) ** 2), (3,), (2,))
    H = F.hessian(np.ones(3), np.ones(2), part="gauss-newton", wrt="x")
    assert_allclose(H.toarray(), 2 * W @ W.T)


@pytest.mark.parametrize("fun", [lambda x: np.sum(np.exp(x)), lambda x: np.sum(x**2) + x[0], lambda x: np.sum(x**3)])
def test_what_is_no_sum_of_squares(fun):
    with pytest.raises(ValueError, match="no sum of squares"):
        mj.compile(fun, (3,)).hessian(np.ones(3), part="gauss-newton")


def test_the_step_that_makes_no_square_is_named():
    with pytest.raises(ValueError, match=r"\(a step of it is count_nonzero, of shape \(\)\)"):
        mj.compile(lambda x: np.count_nonzero(x > 0), (3,)).hessian(np.ones(3), part="gauss-newton")


# size -------------------------------------------------------------------------------------------------


def test_a_product_makes_nothing_of_its_size(compiled):
    """40,000 unknowns, whose Hessian has 1.6 · 10⁹ entries."""
    F = mj.compile(lambda Z: np.sum(np.tanh(Z @ Z.T) @ Z), (200, 200))
    x = np.random.default_rng(0).standard_normal(40_000) / 20
    p = np.random.default_rng(1).standard_normal(40_000)
    step = 1e-6
    wanted = (F.grad(x + step * p) - F.grad(x - step * p)) / (2 * step)
    assert_allclose(F.hessp(x, p), wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max())


def test_singular_matrices_have_second_derivatives_of_their_determinant():
    F = mj.compile(lambda X: np.linalg.det(X), (3, 3))
    for X in (np.ones((3, 3)), np.diag([1.0, 0, 0]), np.zeros((3, 3)), np.diag([1.0, 2, 0])):
        wanted = columns_of(lambda v: F.grad(v), X.ravel(), 1e-4)
        assert_allclose(F.hessian(X).toarray(), wanted, atol=1e-7)


# closed forms -----------------------------------------------------------------------------------------

rng = np.random.default_rng(5)
M, N, K, Y = (rng.standard_normal(s) for s in ((3, 3), (3, 3), (2, 2), (3, 2)))
SPARSE = sp.random_array((3, 4), density=0.5, rng=rng, format="csr")
P, Q = rng.standard_normal((3, 2)), rng.standard_normal((4, 2))
CLOSED = {
    "gram": (lambda order: mj.d2_gram_dR(Y, K, order=order), lambda R: np.sum(K * (R.T @ R)), (Y,)),
    "congruence": (
        lambda order: mj.d2_congruence_dX(Y, M, K, order=order),
        lambda X: np.sum(K * (X.T @ M @ X)),
        (Y,),
    ),
    "factors": (
        lambda order: mj.d2_factors_dUdV(P, Q, SPARSE, order=order),
        lambda U, V: np.sum(SPARSE.toarray() * (U @ V.T)),
        (P, Q),
    ),
    "inverse": (lambda order: mj.d2_inv_dA(M, N, order=order), lambda A: np.sum(N * np.linalg.inv(A)), (M,)),
    "log det": (lambda order: mj.d2_logdet_dA(M, order=order), lambda A: np.log(np.linalg.det(A) ** 2) / 2, (M,)),
    "quadratic": (lambda order: mj.d2_quadratic_dx(M, order=order), lambda x: x @ M @ x, (np.ones(3),)),
}


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("name", CLOSED)
def test_closed_forms(name, order):
    make, fun, points = CLOSED[name]
    H = make(order)
    assert isinstance(H, mj.Hessian)
    x = np.concatenate([p.ravel(order) for p in points])
    wanted = columns_of(plain_gradient(fun, [p.shape for p in points], 1.0, order), x, 1e-3)
    assert_allclose(H.toarray(), wanted, atol=1e-8 * max(1.0, np.abs(wanted).max()))
    check_shape_of(H, H.tocsr())
    assert_allclose(H @ np.eye(H.shape[0]), H.toarray(), atol=1e-11)


def test_closed_forms_keep_patterns_of_sparse_weights():
    assert mj.d2_factors_dUdV(P, Q, SPARSE).nnz == 2 * 2 * SPARSE.nnz
    assert mj.d2_quadratic_dx(sp.eye_array(5, format="csr")).nnz == 5


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: mj.d2_gram_dR(Y, M), r"W: got shape \(3, 3\), expected \(2, 2\)"),
        (lambda: mj.d2_congruence_dX(Y, K, K), r"A: got shape \(2, 2\), expected \(3, 3\)"),
        (lambda: mj.d2_factors_dUdV(P, Q, SPARSE.T), r"W: got shape \(4, 3\), expected \(3, 4\)"),
        (lambda: mj.d2_factors_dUdV(P, Q[:, :1], SPARSE), r"V: got shape \(4, 1\), expected \(4, 2\)"),
        (lambda: mj.d2_inv_dA(M, K), r"W: got shape \(2, 2\)"),
        (lambda: mj.d2_quadratic_dx(Y), "A: got shape"),
    ],
)
def test_closed_forms_check_shapes(act, message):
    with pytest.raises(ValueError, match=message):
        act()


def test_a_function_with_a_hessian():
    target = np.array([[2.0, 1.0], [1.0, 2.0]])
    F = mj.Function(lambda R: R.T @ R - target, mj.d_gram_dR, (2, 2), hessian=mj.d2_gram_dR)
    x, w = np.ones(4), np.arange(4.0)
    assert_allclose(F.hess(x, w).toarray(), columns_of(lambda v: F.grad(v, w), x, 1e-4), atol=1e-8)
    assert_allclose(F.hessian(np.ones((2, 2)), weights=w.reshape(2, 2)).toarray(), F.hess_csr(x, w).toarray())
    with pytest.raises(ValueError, match=r"Function\(…, hessian=…\)"):
        mj.Function(lambda R: R.T @ R, mj.d_gram_dR, (2, 2)).hess(x, w)
    with pytest.raises(TypeError, match="hessian: got"):
        mj.Function(lambda R: R.T @ R, mj.d_gram_dR, (2, 2), hessian=3)
    wrong = mj.Function(lambda R: R.T @ R, mj.d_gram_dR, (2, 2), hessian=lambda R, weights: np.eye(4))
    with pytest.raises(TypeError, match=r"expected a matjac\.Hessian"):
        wrong.hess(x, w)


# checks -----------------------------------------------------------------------------------------------


def test_check_of_second_order():
    assert mj.check(factorisation(), np.ones((3, 2)), np.full((4, 2), 0.5), order=2) < 1e-8
    assert mj.check(mj.compile(lambda X: X @ X @ X, (2, 2)), np.ones((2, 2)), order=2) < 1e-10
    # a differential whose coefficient is not the derivative it says: first derivatives agree at this point alone
    wrong = mj.rule(np.square, differential=lambda x, dx: 2 * np.array([1.0, 2.0]) * dx)
    F = mj.compile(lambda x: np.sum(wrong(x)), (2,))
    mj.check(F, [1.0, 2.0])
    assert_array_equal(F.hessian([1.0, 2.0]).toarray(), np.zeros((2, 2)))


# solvers ----------------------------------------------------------------------------------------------


@functools.cache
def rosenbrock():
    return mj.compile(lambda x: np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2), (6,))


@pytest.mark.parametrize("hessian", [None, "exact", "gauss-newton"])
@pytest.mark.parametrize("method", ["Newton-CG", "trust-ncg", "trust-krylov", "trust-constr", "trust-exact"])
def test_minimize_by_methods_of_second_order(method, hessian):
    fit = mj.solvers.minimize(rosenbrock(), np.full(6, -1.0), method=method, hessian=hessian, options={"maxiter": 500})
    assert fit.fun < 1e-6, fit.message
    if hessian is None:
        plain = optimize.minimize(
            rosenbrock().fun, np.full(6, -1.0), jac=rosenbrock().grad, method=method,
            hess=lambda x: rosenbrock().hess(x).toarray(), options={"maxiter": 500},
        )  # fmt: skip
        assert fit.nit <= 2 * plain.nit + 5


@pytest.mark.parametrize(
    ("method", "hessian", "message"),
    [
        ("L-BFGS-B", "exact", "takes none"),
        ("trust-exact", "none", "takes one"),
        ("trust-constr", "half", "hessian: got 'half'"),
    ],
)
def test_hessians_that_a_method_does_not_take(method, hessian, message):
    with pytest.raises(ValueError, match=message):
        mj.solvers.minimize(rosenbrock(), np.ones(6), method=method, hessian=hessian)


def test_a_function_by_hand_has_no_part_of_its_hessian():
    F = rosenbrock()
    by_hand = mj.Function(F, F.jacobian, *F.in_shapes)
    with pytest.raises(ValueError, match='hessian: got "gauss-newton" for a Function'):
        mj.solvers.minimize(by_hand, np.ones(6), method="trust-exact", hessian="gauss-newton")


def test_trust_constr_gets_hessians_of_constraints():
    """A quasi-Newton approximation takes many more steps."""
    F = mj.compile(lambda x: -(x[0] * x[1] * x[2]), (3,))
    G = mj.compile(lambda x: x @ x, (3,))
    fits = {
        h: mj.solvers.minimize(F, np.array([1.0, 0.8, 1.2]), constraints=[(G, 3.0, 3.0)], hessian=h)
        for h in ("exact", "none")
    }
    for fit in fits.values():
        assert_allclose(fit.x, np.ones(3), atol=1e-4)
    assert mj.solvers.constraint(G, 0.0, 1.0).hess(np.ones(3), np.array([2.0])).toarray()[0, 0] == 4
    assert fits["exact"].nit <= fits["none"].nit


@pytest.mark.parametrize("make", [lambda: orthogonality(12, 3), lambda: likelihood(8), lambda: nonnegative(20, 15, 2)])
def test_ipopt_takes_fewer_steps_with_exact_hessians(make):
    pytest.importorskip("ipyopt")
    F, start, more = make()
    fits = {
        h: mj.solvers.ipopt(F, *start, hessian=h, backend="ipyopt", options={"max_iter": 400}, **more)
        for h in (None, "exact", "limited-memory")
    }
    assert fits["exact"].success
    assert fits[None].nit == fits["exact"].nit
    assert fits["exact"].nit < fits["limited-memory"].nit
    assert fits["exact"].fun <= fits["limited-memory"].fun + 1e-6 * abs(fits["limited-memory"].fun)


def test_ipopt_with_the_gauss_newton_part():
    pytest.importorskip("ipyopt")
    target = np.array([[2.0, 1.0], [1.0, 2.0]])
    F = mj.compile(lambda R: np.sum((R.T @ R - target) ** 2), (2, 2))
    fit = mj.solvers.ipopt(F, np.array([[1.0, 0.2], [0.1, 1.0]]), hessian="gauss-newton", backend="ipyopt")
    assert fit.success
    assert fit.fun < 1e-12


def test_the_hessian_of_a_lagrangian():
    """The lower triangle on one pattern for the objective and every constraint."""
    F, start, more = likelihood(6)
    problem = mj.solvers.IpoptProblem(F, more["constraints"], start)
    x = F.pack(*start) + 0.1
    multipliers = np.array([0.5, -2.0, 3.0])
    rows, columns = problem.hessianstructure()
    assert (rows >= columns).all()
    ((G, _, _),) = more["constraints"]
    whole = 0.7 * F.hess(x).toarray() + G.hess(x, multipliers).toarray()
    found = np.zeros((x.size, x.size))
    found[rows, columns] = problem.hessian(x, multipliers, 0.7)
    assert_allclose(found, np.tril(whole), atol=1e-13)
    limited = mj.solvers.IpoptProblem(F, more["constraints"], start, hessian="limited-memory")
    assert limited.hessianstructure()[0].size == 0


def test_functions_without_second_derivatives_are_approximated():
    square = mj.rule(np.square, lambda x: mj.d_elementwise_dX(2 * x))
    F = mj.compile(lambda x: np.sum(square(x - 1.0)), (3,))
    assert not F.has_hessian
    assert rosenbrock().has_hessian
    assert mj.solvers.IpoptProblem(F, (), (np.zeros(3),)).hessianstructure()[0].size == 0
    fit = mj.solvers.minimize(F, np.zeros(3), method="trust-constr")
    assert_allclose(fit.x, np.ones(3), atol=1e-5)
    with pytest.raises(mj.TracingError, match="differential="):
        mj.solvers.minimize(F, np.zeros(3), method="Newton-CG")


def test_ipopt_refuses_what_it_would_ignore():
    F = mj.compile(lambda x: x @ x, (2,))
    with pytest.raises(TypeError, match="hessian_approximation"):
        mj.solvers.ipopt(F, np.ones(2), options={"hessian_approximation": "exact"})
    with pytest.raises(ValueError, match="hessian: got 'half'"):
        mj.solvers.ipopt(F, np.ones(2), hessian="half")


# found in a review -----------------------------------------------------------------------------------

REPEATED = np.zeros(200, int)
LARGE = np.full((300, 2), 255, np.uint8)
IMAGE = np.full(3, 255, np.uint8)
SUMS = {
    "an entry taken often": (lambda x: np.sum((x**2)[REPEATED]), (2,)),
    "a small integer": (lambda x: np.sum(1000 * x), (3,)),
    "the same of one entry": (lambda x: 1000 * x[:1], (3,)),
    "joined often": (lambda x: np.sum(np.concatenate([x] * 200)), (2,)),
    "slices": (lambda x: sum(np.sum(x[:k]) for k in range(1, 300)), (300,)),
    "booleans": (lambda x: np.sum((LARGE > 0) @ x**2), (2,)),
    "bytes": (lambda x: np.sum(LARGE @ x**2), (2,)),
    "sparse booleans": (lambda x: np.sum(sp.csr_array(LARGE > 0) @ x), (2,)),
    "sparse bytes": (lambda x: np.sum(sp.csr_array(LARGE) @ x**2), (2,)),
    "an image": (lambda x: np.sum(IMAGE * x + IMAGE * x * IMAGE), (3,)),
    "masks": (lambda x: np.sum((IMAGE > 0) * x + (IMAGE > 0) * x[::-1]), (3,)),
    "products": (lambda x: sum(x[0] * x[1] for _ in range(200)), (2,)),
    "a scalar": (lambda s: 3 * s, ()),
    "a scalar, halved": (lambda s: s / 2 + 2 * s, ()),
    "constants": (lambda x: np.sum(x) * 0 + 1, (2,)),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("name", SUMS)
def test_nothing_is_counted_in_small_integers(name, dtype):
    """Weights that are not there, 0 and 1 in sparse matrices, and constants of integers or booleans."""
    fun, shape = SUMS[name]
    F, x = mj.compile(fun, shape), np.ones(shape, dtype)
    row = F.jacobian(x).toarray()
    assert_allclose(np.ravel(F.gradient(x)), row[0])
    assert F.gradient(x).dtype == F.jacobian(x).dtype
    wanted = columns_of(lambda v: F.grad(v, np.ones(1)), np.ones(F.variables.size), 1e-30j)
    assert_allclose(F.hess(x.ravel()).toarray(), wanted, rtol=1e-6)
    G = F.gradient_function() if F.out_shape == () else F
    assert np.result_type(G(x)).kind == "f"


def test_gauss_newton_of_quadratic_forms():
    """A matrix between is none of a sum of squares; the square of a norm is one."""
    M, x = np.random.default_rng(0).standard_normal((3, 3)), np.ones(3)
    for fun in (lambda x: x @ M @ x, lambda x: x @ (M @ x), lambda x: (x - 1) @ x):
        with pytest.raises(ValueError, match="no sum of squares"):
            mj.compile(fun, (3,)).hessian(x, part="gauss-newton")
    H = mj.compile(lambda x: np.linalg.norm(M @ x - 1) ** 2, (3,)).hessian(x, part="gauss-newton")
    assert_allclose(H.toarray(), 2 * M.T @ M)
    F = mj.compile(lambda x: np.sum(np.exp(x)), (3,))
    with pytest.raises(ValueError, match="no sum of squares"):
        mj.solvers.minimize(F, x, method="trust-ncg", hessian="gauss-newton")


def test_powers_whose_exponent_is_zero():
    F = mj.compile(lambda b, e: b**e, (), ())
    log = np.log(2.0)
    assert_allclose(F.hessian(2.0, 0.0).toarray(), [[0, 0.5], [0.5, log**2]])
    assert_allclose(F.hessian(2.0, 1.0).toarray(), [[0, 1 + log], [1 + log, 2 * log**2]])
    assert_allclose(F.hessian(2.0, -1.0).toarray(), [[2 / 8, (1 - log) / 4], [(1 - log) / 4, log**2 / 2]])
    G = mj.compile(lambda x: np.sum(x ** np.array([0.0, 1, 2, 3])), (4,))
    assert_allclose(G.hessian(np.zeros(4)).toarray(), np.diag([0.0, 0, 2, 0]))
    third = F.gradient_function().hessian(2.0, 1.0, weights=np.array([1.0, 0])).toarray()
    assert_allclose(third, [[0, 1 / 2], [1 / 2, log * (2 + log)]], atol=1e-14)


def test_hessians_in_chains_and_sums():
    rng = np.random.default_rng(0)
    F = mj.compile(lambda X: np.tanh(X @ X), (2, 2))
    G = mj.compile(lambda Y: np.sum(np.exp(Y) * Y), (2, 2))
    X = rng.standard_normal((2, 2))
    J, H = F.jacobian(X), G.hessian(F(X))
    dense_J, dense_H = J.toarray(), H.toarray()
    for product, wanted in ((J.T @ H, dense_J.T @ dense_H), (H @ J, dense_H @ dense_J)):
        assert_allclose(product.toarray(), wanted)
        assert_allclose(product @ np.ones(4), wanted @ np.ones(4))
    assert_allclose((H.T @ H).toarray(), dense_H @ dense_H)
    assert H.T is H
    for total, wanted in ((H + H.T, 2 * dense_H), (-H / 2, -dense_H / 2), (H - 3 * H, -2 * dense_H)):
        assert isinstance(total, mj.Hessian)
        assert_allclose(total.toarray(), wanted)
        assert_allclose(total.tocsr(triangle="lower").toarray(), np.tril(wanted))
    assert repr(H).startswith("<Hessian 4 × 4")
    assert "symmetric" in repr(H)
    F = mj.Function(lambda R: np.sum(R**2), lambda R: mj.d_elementwise_dX(2 * R), (2, 2), hessian=lambda R: H + H)
    assert_allclose(F.hess(np.ones(4)).toarray(), 2 * dense_H)
    assert_allclose(F.hess(np.ones(4), np.array([3.0])).toarray(), 6 * dense_H)


def test_check_compares_the_gradient():
    F = mj.compile(lambda x: np.sum(x**2), (2,))
    F.grad = lambda x, w=None: 3 * x
    with pytest.raises(mj.CheckError, match="the gradient"):
        mj.check(F, np.ones(2), order=2)
    with pytest.raises(TypeError, match="F: got"):
        mj.check(mj.Function(np.sum, mj.d_sqnorm_dx, (2,)), np.ones(2))


def test_threads_make_hessians_of_their_own():
    """Properties that are computed once must not lock one another out."""

    def work():
        F = mj.compile(lambda U, V: np.sum(np.tanh(U @ V.T) ** 2), (3, 2), (4, 2))
        H = F.hessian(np.ones((3, 2)), np.ones((4, 2)))
        found.append((H.tocsr().toarray(), H.tocsr(triangle="upper").toarray()))

    found = []
    threads = [threading.Thread(target=work, daemon=True) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(found) == 6
    for whole, upper in found:
        assert_array_equal(whole, found[0][0])
        assert_array_equal(upper, np.triu(whole))


THIRD = {
    "cholesky": lambda A: np.linalg.cholesky(A @ A.T + np.eye(3)),
    "cumprod": lambda A: np.cumprod(A, axis=1),
    "convolve": lambda A: np.convolve(A[0], A[1] ** 2),
    "inv": lambda A: np.linalg.inv(A + 3 * np.eye(3)),
}


@pytest.mark.parametrize("name", THIRD)
def test_third_derivatives(name):
    """The Hessian of a gradient, beside differences of its gradient."""
    F, rng = mj.compile(THIRD[name], (3, 3)), np.random.default_rng(0)
    A, w, u = rng.standard_normal((3, 3)), rng.standard_normal(F.out_shape), rng.standard_normal((3, 3))
    G = F.gradient_function()
    H = G.hessian(A, w, weights=u, wrt=G.names[0]).toarray()
    dense = columns_of(lambda x: G.gradient(x.reshape(3, 3), w, weights=u)[0].ravel(), A.ravel(), 1e-3)
    assert_allclose(H, dense, atol=1e-7 * max(1, np.abs(dense).max()))


def test_the_determinant_has_no_third_derivative():
    G = mj.compile(np.linalg.det, (3, 3)).gradient_function()
    with pytest.raises(mj.TracingError, match=r"^np.linalg.det has no third derivative"):
        G.hessian(np.eye(3), weights=np.ones((3, 3)))
