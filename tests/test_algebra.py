"""Linear algebra: the written functions of `functions_algebra.py`, and their edges."""

import numpy as np
import pytest
import scipy.linalg
from functions_algebra import ANALYTIC, REAL, point
from numpy.testing import assert_allclose, assert_array_equal
from oracles import complex_step
from test_compile import check_faces
from test_compile import expected as by_variables
from test_conditions import central, expected

import matjac as mj
from matjac.linear import solves as linear_solves

ALL = ANALYTIC | REAL


def points_of(name, seed):
    rng = np.random.default_rng(seed)
    return [point(kind, rng) for kind in ALL[name][1]]


@pytest.mark.parametrize("name", ALL)
def test_written_functions(name):
    fun, _, count = ALL[name]
    for seed, order in enumerate("CF"):
        F = mj.compile(fun, *points_of(name, 0), order=order)
        points = points_of(name, seed)
        assert_allclose(F(*points), fun(*points), rtol=1e-10, atol=1e-12)
        dense = expected(fun, points, order)
        A = check_faces(F.jacobian(*points), dense, tolerance=1e-8)
        assert A.nnz == (np.count_nonzero(np.abs(dense) > 1e-9) if count is None else count)


@pytest.mark.parametrize("name", ANALYTIC)
def test_complex_points(name):
    fun, _, _ = ANALYTIC[name]
    rng = np.random.default_rng(3)
    points = [p + 0.2j * rng.standard_normal(p.shape) for p in points_of(name, 2)]
    F = mj.compile(fun, *points)
    assert_allclose(F(*points), fun(*points), rtol=1e-10, atol=1e-12)
    # by steps in the complex plane: SciPy's iterations are no analytic functions of their input
    dense = by_variables(fun, points, "C", complex_differences)
    check_faces(F.jacobian(*points), dense, tolerance=1e-7)


def complex_differences(fun, x):
    columns = []
    for at in np.ndindex(x.shape):
        unit = np.zeros(x.shape)
        unit[at] = 1e-4
        first, second = (fun(x + k * unit) - fun(x - k * unit) for k in (1, 2))
        columns.append((8 * first - second) / (12 * 1e-4))
    return np.stack(columns, axis=-1).reshape(*np.shape(columns[0]), *x.shape)


@pytest.mark.parametrize("name", ALL)
def test_second_derivatives(name):
    fun, _, _ = ALL[name]
    points = points_of(name, 5)
    F = mj.compile(fun, *points)
    x = F.pack(*points)
    w = np.random.default_rng(0).standard_normal(F.out_shape).reshape(-1)
    H = F.hess_csr(x, w).toarray()
    scale = max(1, np.abs(H).max())
    assert_allclose(H, central(lambda x: F.grad(x, w), x), atol=2e-7 * scale)
    assert_allclose(F.hess(x, w) @ x, H @ x, atol=1e-9 * scale)


def test_plain_arrays_are_scipys_own():
    rng = np.random.default_rng(0)
    A, S = point("A", rng), point("S", rng)
    for name in dir(mj.linalg):
        assert callable(getattr(mj.linalg, name)), name
        assert hasattr(scipy.linalg, name) or hasattr(np.linalg, name), name
    for name in ("expm", "sqrtm", "logm", "inv", "det", "cholesky", "svdvals", "eigvalsh", "norm"):
        assert_array_equal(getattr(mj.linalg, name)(S), getattr(scipy.linalg, name)(S))
    assert_array_equal(mj.linalg.toeplitz(S[0]), scipy.linalg.toeplitz(S[0]))
    assert_array_equal(mj.linalg.solve_triangular(A, S), scipy.linalg.solve_triangular(A, S))
    with pytest.raises(AttributeError, match=r"^mj\.linalg has no schur"):
        _ = mj.linalg.schur


def test_one_triangle_is_read():
    S = point("S", np.random.default_rng(1))
    lower = np.tril(S) + np.triu(np.full((3, 3), np.nan), 1)
    for fun, at in (
        (np.linalg.cholesky, lower),
        (np.linalg.eigvalsh, lower),
        (lambda S: np.linalg.eigh(S, "U")[0], lower.T),
    ):
        J = mj.compile(fun, S).jacobian(at)
        assert_array_equal(J.toarray(), mj.compile(fun, S).jacobian(S).toarray())
        unread = np.isnan(at).reshape(-1)
        assert not J.toarray()[:, unread].any()


def test_vectors_have_the_signs_that_numpy_computes():
    """Also of the upper triangle, which LAPACK reads on another way."""
    rng = np.random.default_rng(0)
    F = mj.compile(lambda A: np.linalg.eigh(A, "U")[1], (5, 5))
    for _ in range(10):
        A = rng.standard_normal((5, 5))
        assert_array_equal(F(A), np.linalg.eigh(A, "U")[1])


VECTORS = {
    "eigh": lambda A: mj.linalg.eigh(A)[1],
    "eigh, upper": lambda A: mj.linalg.eigh(A, lower=False)[1],
    "eigh, another driver": lambda A: mj.linalg.eigh(A, driver="ev")[1],
    "svd of a symmetric matrix, left": lambda A: np.linalg.svd(A, hermitian=True)[0],
    "svd of a symmetric matrix, right": lambda A: np.linalg.svd(A, hermitian=True)[2],
}


@pytest.mark.parametrize("name", VECTORS)
def test_vectors_have_the_signs_of_plain_arrays(name):
    rng = np.random.default_rng(0)
    F = mj.compile(VECTORS[name], (5, 5))
    for _ in range(10):
        A = rng.standard_normal((5, 5))
        assert_array_equal(F(A), VECTORS[name](A))
    mj.check(F, A)


def test_a_stack_has_scipys_vectors_of_each():
    stack = np.random.default_rng(0).standard_normal((2, 3, 5, 5))
    F = mj.compile(lambda A: mj.linalg.eigh(A, lower=False)[1], stack)
    for at in np.ndindex(2, 3):
        assert_array_equal(F(stack)[at], scipy.linalg.eigh(stack[at], lower=False)[1])
    assert mj.compile(lambda A: mj.linalg.eigh(A)[1], (0, 3, 3)).out_shape == (0, 3, 3)


@pytest.mark.parametrize("shape", [(5, 3), (3, 3), (3, 5)])
def test_the_shape_of_scipys_triangle(shape):
    """SciPy's R alone has as many rows as the matrix, NumPy's as many as the triangle."""
    A = np.random.default_rng(0).standard_normal(shape)
    (R,) = scipy.linalg.qr(A, mode="r")
    F = mj.compile(lambda A: mj.linalg.qr(A, mode="r")[0], shape)
    assert F.out_shape == R.shape
    assert_allclose(F(A), R, atol=1e-14)
    mj.check(F, A)


def test_what_is_factored_once(monkeypatch):
    """Products at one point use factors that were made once."""
    rng = np.random.default_rng(0)
    A, S = point("A", rng), point("S", rng)
    b, v = rng.standard_normal(3), rng.standard_normal(9)
    calls = []
    for owner, name in ((linear_solves.lapack, "get_lapack_funcs"), (scipy.linalg, "schur")):
        plain = getattr(owner, name)
        made = lambda *args, plain=plain, name=name, **kw: calls.append((name, args[0])) or plain(*args, **kw)  # noqa: E731
        monkeypatch.setattr(owner, name, made)
    for fun, what in ((lambda A: np.linalg.solve(A, b), ("get_lapack_funcs", "getrf")), (mj.linalg.sqrtm, "schur")):
        J = mj.compile(fun, (3, 3)).jacobian(S)
        J @ v
        count = len([c for c in calls if c == what or c[0] == what])
        for _ in range(3):
            J @ v
            J.T @ (J @ v)
        assert len([c for c in calls if c == what or c[0] == what]) == count
        calls.clear()
    J = mj.compile(mj.linalg.expm, (3, 3)).jacobian(20 * A)
    assert_allclose((J @ v).reshape(3, 3), scipy.linalg.expm_frechet(20 * A, v.reshape(3, 3))[1], rtol=1e-9)


def test_examples_from_shapes():
    """Where shapes alone are given, square matrices and stacks of them are positive definite."""
    for shape in ((2, 4, 4), (300, 300), (0, 3, 3)):
        assert mj.compile(np.linalg.cholesky, shape).out_shape == shape


def test_equal_eigenvalues():
    F = mj.compile(np.linalg.eigvalsh, (2, 2))
    J = F.jacobian(np.eye(2)).toarray()
    assert np.all(np.isfinite(J))
    vectors = mj.compile(lambda S: np.linalg.eigh(S)[1], (2, 2)).jacobian(np.eye(2))
    assert np.isnan(vectors.toarray()).any()


def test_one_decomposition():
    """What eigh, svd and qr give are parts of one step; values alone make nothing for the vectors."""
    text = mj.compile(lambda S: np.linalg.eigh(S)[0].sum() + np.linalg.eigh(S)[1].sum(), (3, 3)).explain()
    assert text.count("eigenvalues and vectors") <= 1
    J = mj.compile(lambda S: np.linalg.eigh(S)[0], (2, 2)).jacobian(np.eye(2))
    assert np.all(np.isfinite(J.toarray()))


def test_singular_matrices():
    rng = np.random.default_rng(0)
    stack = np.stack([np.ones((3, 3)), rng.standard_normal((3, 3)), np.diag([1.0, 2, 0])])
    F = mj.compile(np.linalg.det, stack)
    assert_allclose(F.jacobian(stack).toarray(), expected(np.linalg.det, [stack], "C"), atol=1e-9)
    mj.check(F, stack, order=2, tol=1e-5)


@pytest.mark.parametrize("name", ["inv", "cholesky", "eigvalsh", "svdvals", "det", "qr", "pinv"])
def test_narrow_dtypes_and_single_numbers(name):
    fun = getattr(np.linalg, name)
    fun = (lambda S: np.linalg.qr(S)[1]) if name == "qr" else fun
    F = mj.compile(fun, (3, 3))
    S = point("S", np.random.default_rng(4)).astype(np.float32)
    J = F.jacobian(S)
    assert F(S).dtype == J.dtype == J.tocsr().dtype == np.float32
    assert_allclose(J.toarray(), F.jacobian(S.astype(float)).toarray(), atol=1e-2)
    one = mj.compile(fun, (1, 1)).jacobian([[4.0]]).toarray()
    assert_allclose(one, expected(fun, [np.array([[4.0]])], "C"), atol=1e-9)


REFUSED = [
    ("eig", lambda A: np.linalg.eig(A)[0], r"^np.linalg.eig can't be recorded: eigenvalues.*np.linalg.eigh"),
    ("full svd", lambda A: np.linalg.svd(A[:2]), r"^np.linalg.svd with full_matrices=True.*full_matrices=False"),
    ("complete qr", lambda A: np.linalg.qr(A[:, :2], "complete"), r"^np.linalg.qr with mode='complete'"),
    ("norm 0", lambda A: np.linalg.norm(A[0], 0), r"^np.linalg.norm of order 0"),
    ("norm of three axes", lambda A: np.linalg.norm(A[None], "nuc"), r"np.linalg.norm: got ord='nuc' for 3 axes"),
    ("unknown norm", lambda A: np.linalg.norm(A, 3), r"np.linalg.norm: got ord=3 for matrices"),
    (
        "norm of a variable order",
        lambda A: np.linalg.norm(A[0], A[0, 0]),
        r"^np.linalg.norm can be recorded with",
    ),
    ("norm of text", lambda A: np.linalg.norm(A[0], "nuc"), r"np.linalg.norm: got ord='nuc' for vectors"),
    ("out", lambda A: np.linalg.multi_dot([A, A], out=np.ones((3, 3))), r"^np.linalg.multi_dot with out= can't"),
    ("half a power", lambda A: np.linalg.matrix_power(A, 0.5), r"'float' object cannot be interpreted as an integer"),
    (
        "a general equation",
        lambda A: mj.linalg.solve_continuous_are(A, A, A, A, s=A),
        r"_are with e or s can't",
    ),
    ("not square", lambda A: np.linalg.inv(A[:2]), r"np.linalg.inv: got shape \(2, 3\), expected square"),
    ("UPLO", lambda A: np.linalg.eigvalsh(A, "X"), r"UPLO: got 'X'"),
    ("rcond", lambda A: np.linalg.pinv(A, A[0, 0]), r"^np.linalg.pinv with rcond= that depends"),
    ("trans of lu_solve", lambda A: mj.linalg.lu_solve(mj.linalg.lu_factor(A), A, 2), r"lu_solve with trans=2"),
    ("factors that were changed", lambda A: mj.linalg.lu_solve(tuple(mj.linalg.lu_factor(A)), A), r"unchanged"),
    ("an exponent", lambda A: mj.linalg.fractional_matrix_power(A, A[0, 0]), r"a constant exponent alone"),
    ("not positive definite", lambda A: np.linalg.cholesky(-A), r"not positive definite\. Values at the examples"),
    ("pivoting", lambda A: mj.linalg.qr(A, pivoting=True), r"^scipy.linalg.qr with pivoting=True"),
    ("a full Q", lambda A: mj.linalg.qr(A[:, :2])[0], r"^scipy.linalg.qr with mode='full' of.*Write mode='economic'"),
    ("raw", lambda A: mj.linalg.qr(A, mode="raw"), r"^scipy.linalg.qr with mode='raw' can't be recorded: use 'full'"),
    ("assume_a", lambda A: mj.linalg.solve(A, b=A, assume_a="banded"), r"^scipy.linalg.solve with assume_a='banded'"),
    ("trans", lambda A: mj.linalg.solve_triangular(A, A, trans="C"), r"^scipy.linalg.solve_triangular with trans=2"),
    ("wrapped by SciPy", lambda A: scipy.linalg.cho_factor(A), r"write mj\.linalg\.cho_factor"),
]


@pytest.mark.parametrize(("fun", "message"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_what_cannot_be_recorded(fun, message):
    with pytest.raises(mj.TracingError, match=message):
        mj.compile(fun, (3, 3))


@pytest.mark.parametrize("of", [
    lambda A: np.linalg.pinv(A, rcond=0.3), lambda A: np.linalg.lstsq(A, np.eye(4), rcond=0.3)[0],
    lambda A: mj.linalg.pinv(A, rtol=0.3), lambda A: mj.linalg.lstsq(A, np.eye(4), cond=0.3)[0],
])  # fmt: skip
def test_singular_values_that_are_cut(of):
    """Those of rounding alone; with others the pseudoinverse is that of another matrix."""
    random = np.random.default_rng(0)
    U, V = np.linalg.qr(random.standard_normal((4, 4)))[0], np.linalg.qr(random.standard_normal((3, 3)))[0]
    F = mj.compile(of, (4, 3))
    mj.check(F, U[:, :3] @ np.diag([2, 1, 0.9]) @ V.T)
    assert np.isnan(F.jacobian(U[:, :3] @ np.diag([2, 1, 0.1]) @ V.T).toarray()).all()
    # of a rank that stays
    G = mj.compile(lambda B, C: of(B @ C), (4, 2), (2, 3))
    mj.check(G, U[:, :2], np.diag([2, 1]) @ V[:2])


OPTIONS = [
    ("eigh", {"subset_by_index": [0, 1]}),
    ("eigh", {"subset_by_value": (0, 1), "eigvals_only": True}),
    ("eigh", {"type": 2}),
    ("eigvalsh", {"subset_by_index": [0, 1]}),
    ("pinv", {"atol": 0.1}),
    ("pinv", {"return_rank": True}),
    ("pinvh", {"atol": 0.1}),
    ("lu", {"p_indices": True}),
]


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_options_that_cannot_be_recorded_are_named(name, options):
    with pytest.raises(mj.TracingError, match=rf"^scipy\.linalg\.{name} with {next(iter(options))}= can't be recorded"):
        mj.compile(lambda S: getattr(mj.linalg, name)(S, **options), (3, 3))


def test_other_options_of_scipy():
    """Those that are as SciPy has them, and those that say how it computes, change nothing; others are no options."""
    S = point("S", np.random.default_rng(0))
    F = mj.compile(lambda S: mj.linalg.eigh(S, type=1, subset_by_index=None, driver="ev", check_finite=False)[0], S)
    assert_allclose(F(S), np.linalg.eigvalsh(S))
    with pytest.raises(mj.TracingError, match=r"scipy\.linalg\.svd has no option hermitian$"):
        mj.compile(lambda S: mj.linalg.svd(S, hermitian=True)[1], S)


NOT_ANALYTIC = {
    **{name: getattr(np.linalg, name) for name in ("cholesky", "eigvalsh", "svdvals", "pinv", "qr")},
    "lstsq": lambda A: np.linalg.lstsq(A, A)[0],
    "lyapunov": lambda A: mj.linalg.solve_continuous_lyapunov(A, A),
    "discrete lyapunov": lambda A: mj.linalg.solve_discrete_lyapunov(A, A),
    "riccati": lambda A: mj.linalg.solve_continuous_are(A, A, A, A),
    "pos": lambda A: mj.linalg.solve(A, A, assume_a="pos"),
}


@pytest.mark.parametrize("name", NOT_ANALYTIC)
def test_complex_points_that_have_no_derivative(name):
    F = mj.compile(NOT_ANALYTIC[name], 2 * np.eye(2))
    with pytest.raises(TypeError, match="of complex numbers has no complex derivative"):
        F(np.eye(2) * (2 + 0j))


def test_real_matrices_with_complex_functions():
    F = mj.compile(mj.linalg.sqrtm, (2, 2))
    with pytest.raises(ValueError, match="sqrtm is complex"):
        F(np.diag([-1.0, 2.0]))


@pytest.mark.filterwarnings("ignore:logm result may be inaccurate:RuntimeWarning")
def test_real_functions_of_narrow_matrices():
    """SciPy's are complex, with imaginary parts of rounding's size."""
    turn = np.array([[np.cos(2), -np.sin(2)], [np.sin(2), np.cos(2)]], np.float32)
    assert_allclose(mj.compile(mj.linalg.logm, (2, 2))(turn), [[0, -2], [2, 0]], atol=1e-5)


def test_the_rank_counts_but_has_no_derivative():
    J = mj.compile(lambda A: A * np.linalg.matrix_rank(A), (2, 2)).jacobian(np.ones((2, 2)))
    assert_array_equal(J.toarray(), np.eye(4))


def test_holomorphic_steps_agree_with_the_complex_step():
    A = point("A", np.random.default_rng(6))
    for fun in (lambda A: np.linalg.matrix_power(A, 3), lambda A: np.linalg.solve(A, A.T)):
        J = mj.compile(fun, (3, 3)).jacobian(A)
        assert_allclose(J.toarray(), by_variables(fun, [A], "C", complex_step), atol=1e-10)


@pytest.mark.parametrize("n", [65, 131])
@pytest.mark.parametrize("stack", [(), (2,)])
def test_derivatives_of_large_cholesky_factors(n, stack):
    """Halves of a large matrix are taken one after the other; the formula for the whole is the book's."""
    rng = np.random.default_rng(n)
    A = rng.standard_normal((*stack, n, n + 5))
    A = A @ A.mT / n + np.eye(n)
    J = mj.compile(np.linalg.cholesky, A.shape).jacobian(A)
    dA, W = rng.standard_normal((2, *A.shape))
    # one triangle of a symmetric matrix is read
    read = np.tril(dA) + np.tril(dA, -1).mT
    L = np.linalg.cholesky(A)
    K = np.linalg.inv(L)
    inner = K @ read @ K.mT
    dL = L @ (np.tril(inner) - 0.5 * inner * np.eye(n))
    assert_allclose(J.jvp(dA), dL, atol=1e-12)
    assert_allclose(np.sum(J.vjp(W) * dA), np.sum(W * dL), rtol=1e-11)
