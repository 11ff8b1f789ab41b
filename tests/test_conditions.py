"""Conditions on values: the branch is taken at each call, the pattern is that of all branches. And `mj.special`."""

import numpy as np
import pytest
import scipy.special
from functions_entries import CONDITIONS, WRITTEN
from numpy.testing import assert_allclose, assert_array_equal
from oracles import lay_out
from test_compile import check_faces, points_for

import matjac as mj


def central(fun, x, step=1e-4):
    """Central differences, extrapolated twice."""
    x = np.asarray(x, float)
    tensor = []
    if x.size == 0:
        return np.zeros(np.shape(fun(x)) + x.shape)
    for at in np.ndindex(x.shape):
        unit = np.zeros(x.shape)
        unit[at] = 1

        def difference(h, unit=unit):
            return (np.asarray(fun(x + h * unit), float) - np.asarray(fun(x - h * unit), float)) / (2 * h)

        first, second, third = (difference(step * k) for k in (1, 2, 4))
        once, twice = (4 * first - second) / 3, (4 * second - third) / 3
        tensor.append((16 * once - twice) / 15)
    return np.stack(tensor, axis=-1).reshape((*np.shape(tensor[0]), *x.shape))


def expected(fun, points, order):
    """The Jacobian matrix by all variables side by side."""
    blocks = []
    for k, point in enumerate(points):
        tensor = central(lambda x, k=k: fun(*points[:k], x, *points[k + 1 :]), point)
        blocks.append(lay_out(tensor, point.ndim, order, "numerator"))
    return np.hstack(blocks)


ALL = CONDITIONS | WRITTEN


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("name", ALL)
@pytest.mark.filterwarnings("ignore:invalid value", "ignore:divide by zero")
def test_written_functions(name, order):
    fun, shapes, count = ALL[name]
    F = mj.compile(fun, *shapes, order=order)
    pattern = None
    for seed in range(3):
        points = points_for(shapes, float, seed)
        value = fun(*points)
        assert F(*points).dtype == value.dtype
        assert_allclose(F(*points), value, rtol=1e-13, atol=1e-15)
        J = F.jacobian(*points)
        dense = expected(fun, points, order)
        A = check_faces(J, dense, tolerance=1e-9)
        assert A.nnz == (dense.shape[0] if count is None else count)
        assert pattern is None or (np.array_equal(A.indices, pattern.indices) and A.nnz == pattern.nnz)
        pattern = A
        w = np.random.default_rng(seed).standard_normal(F.out_shape)
        flat = np.ravel(w, order=order)
        assert_allclose(F.grad(F.pack(*points), flat), dense.T @ flat, atol=1e-8)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.filterwarnings("ignore:invalid value", "ignore:divide by zero")
def test_second_derivatives(name):
    fun, shapes, _ = ALL[name]
    F = mj.compile(fun, *shapes)
    x = F.pack(*points_for(shapes, float, 4))
    w = np.random.default_rng(0).standard_normal(F.out_shape)
    H = F.hess_csr(x, w.reshape(-1)).toarray()
    assert_allclose(H, central(lambda x: F.grad(x, w.reshape(-1)), x), atol=1e-7)
    assert_allclose(F.hess(x, w.reshape(-1)) @ x, H @ x, atol=1e-12 * max(1, np.abs(H).max()))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.filterwarnings("ignore:invalid value", "ignore:divide by zero")
def test_narrow_dtypes_stay(name):
    fun, shapes, _ = ALL[name]
    if any(word in name for word in ("counts", "digit", "search", "ranks")):
        pytest.skip("NumPy's product with 64-bit integers is of 64 bits")
    F = mj.compile(fun, *shapes)
    points = points_for(shapes, "float32", 1)
    value, narrow = fun(*points), points
    # some of SciPy's own make it wide, in one way or another
    assert F(*points).dtype in (value.dtype, np.float32 if name in WRITTEN else value.dtype)
    J = F.jacobian(*narrow)
    if value.dtype == np.float32:
        assert J.dtype == J.tocsr().dtype == (J @ np.ones(J.shape[1], np.float32)).dtype == np.float32
    wide = F.jacobian(*(p.astype(float) for p in points)).toarray()
    assert_allclose(J.toarray(), wide, atol=1e-4 * max(1, np.abs(wide).max()))


SEEN = np.array([[True, False], [True, True]])
DATA, SCALES = np.where(SEEN, [[1.0, 9], [2, 3]], np.nan), np.where(SEEN, 2.0, 0)


def misfit(U):
    return U @ np.array([[1.0, 0.5], [2, 1]]) - DATA


def written_over(U, write):
    E = misfit(U) ** 2
    write(E)
    return E


def distances(U):
    return np.sum((U[:, None] - U) ** 2, axis=-1)


#: Functions with values or slopes that are not finite in entries that are not taken, or written over.
MISSING = {
    "seen": lambda U: (misfit(U) ** 2)[SEEN],
    "where": lambda U: np.where(SEEN, misfit(U) ** 2, 0),
    "sum where": lambda U: np.sum(misfit(U) ** 2, axis=0, where=SEEN),
    "quotient": lambda U: (misfit(U) / SCALES)[SEEN],
    "tanh": lambda U: np.tanh(misfit(U))[SEEN],
    "rows": lambda U: np.sum((misfit(U) ** 2)[1:]),
    "a sum": lambda U: np.sum(misfit(U) ** 2, axis=0)[0],
    "take": lambda U: np.take(misfit(U) ** 2, [0, 2, 2]),
    "extract": lambda U: np.extract(SEEN, misfit(U) ** 2),
    "triangle": lambda U: np.tril(misfit(U) ** 2),
    "written": lambda U: written_over(U, lambda E: E.__setitem__(~SEEN, 0)),
    "copied to": lambda U: written_over(U, lambda E: np.copyto(E, 0, where=~SEEN)),
    "written and taken": lambda U: written_over(U, lambda E: E.__setitem__((0, 1), E[0, 0]))[0],
    "nansum": lambda U: np.nansum(misfit(U) ** 2, axis=0),
    "nanmean": lambda U: np.nanmean(misfit(U) ** 2),
    "nanstd": lambda U: np.nanstd(misfit(U)),
    "nan_to_num": lambda U: np.nan_to_num(misfit(U) ** 2),
    "distances": lambda U: np.sqrt(distances(U))[np.triu_indices(2, 1)],
    "inverse distances": lambda U: written_over_diagonal(1 / distances(U)),
    "roots": lambda U: np.sqrt(U @ np.zeros(2) + np.array([0.0, 1]) * U[:, 0])[1:],
}


def written_over_diagonal(E):
    np.fill_diagonal(E, 0)
    return E


@pytest.mark.parametrize("name", MISSING)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_entries_that_are_not_used_may_be_anything(name):
    fun, U = MISSING[name], np.array([[3.0, 4], [5, 7]])
    F, x, step = mj.compile(fun, U.shape), U.ravel(), 1e-5
    wanted = np.stack([(F.fun(x + d) - F.fun(x - d)) / (2 * step) for d in step * np.eye(4)], axis=-1)
    wanted = wanted.reshape(-1, 4)
    J = F.jacobian(U)
    u = np.arange(1.0, 1 + J.shape[0])
    for found, expected in (
        (J.toarray(), wanted), (J @ x, wanted @ x), (J.T @ u, wanted.T @ u), (J.normal().toarray(), wanted.T @ wanted)
    ):  # fmt: skip
        assert_allclose(found, expected, rtol=1e-7, atol=1e-7)
    H = F.hess(x, u)
    assert np.isfinite(H @ x).all()
    assert np.isfinite(H.toarray()).all()
    mj.check(F, U)


#: Points where an untaken branch is not finite, and the slopes there.
UNTAKEN = {
    "x log x": (lambda x: np.where(x > 0, x * np.log(x), 0), [0, 1, 2, -1], [0, 1, 1 + np.log(2), 0]),
    "root": (lambda x: np.where(x > 0, np.sqrt(x), 0), [0, 1, 4, -3], [0, 0.5, 0.25, 0]),
    "sinc": (lambda t: np.where(t == 0, 1, np.sin(t) / t), [0, np.pi], [0, -1 / np.pi]),
    "softplus": (lambda x: np.where(x < 30, np.log(1 + np.exp(x)), x), [0, 800, -800], [0.5, 1, 0]),
    "constant condition": (
        lambda x: np.where(np.array([False, True]), 1 / x, 0) + np.where(np.array([True, False]), x, 1),
        [0, 2],
        [1, -0.25],
    ),
    "power": (lambda x: np.where(x > 0, x**1.5 / x**0.5, 0), [0, 1, -2], [0, 1, 0]),
    "used twice": (
        lambda x: np.where(x > 0, np.log(x), 0) + np.where(x > 1, np.log(x) ** 2, 0),
        [0, 0.5, np.e],
        [0, 2, 3 / np.e],
    ),
    "nested": (lambda x: np.where(x > -1, np.where(x > 0, np.log(x), x), 0), [0, 1, -0.5, -2], [1, 1, 1, 0]),
    "reshaped": (lambda x: np.where(x[::1, None].T > 0, np.log(x[:, None]).T, 0).reshape(-1), [0, 2], [0, 0.5]),
    "sliced": (lambda x: np.append(x[:1], np.where(x[1:] > 0, np.log(x)[1:], 0)), [0, 2, 0], [1, 0.5, 0]),
    "taken": (lambda x: np.where(x[[2, 0]] > 0, np.log(x)[[2, 0]], 0)[[1, 1, 0]], [0, 2, 4], [0, 0, 0.25]),
    "select": (lambda x: np.select([x < 0, x > 0], [-np.log(-x), np.log(x)]), [0, 1, -1], [0, 1, 1]),
    "broadcast": (
        lambda x: np.where(np.ones((2, 1)) * x > 0, np.sqrt(x) * np.ones((2, 1)), 0).sum(axis=0),
        [0, 1],
        [0, 1],
    ),
}


@pytest.mark.parametrize("name", UNTAKEN)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_branches_that_are_not_taken_may_be_anything(name):
    fun, point, slopes = UNTAKEN[name]
    x = np.array(point, float)
    F = mj.compile(fun, x.shape)
    J = F.jacobian(x)
    ones = np.ones(x.size)
    for found in (J.toarray().diagonal(), J @ ones, J.T @ ones, F.gradient(x, weights=ones), J.T.toarray().diagonal()):
        assert_allclose(found, slopes, atol=1e-14)
    H = F.hessian(x, weights=ones)
    assert np.isfinite(H.toarray()).all()
    assert np.isfinite(H @ ones).all()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_norms_of_zero_rows():
    fun, _, _ = CONDITIONS["safe norms"]
    X = np.array([[0.0, 0, 0], [3, 0, 4]])
    F = mj.compile(fun, X.shape)
    J = F.jacobian(X)
    assert_array_equal(J.toarray()[:3, :3], np.eye(3))
    assert np.isfinite(J.toarray()).all()
    assert np.isfinite(J.T @ np.ones(6)).all()


#: What functions are made of at random: entry by entry, of one operand and of two.
ONE = (
    *(np.log, np.sqrt, np.reciprocal, np.tanh, np.square, np.exp, np.negative, np.abs, lambda x: x**1.5, np.transpose),
    *(lambda x: np.transpose(x.reshape(-1).reshape(x.shape)), lambda x: x.sum(axis=0) + 0 * x, lambda x: x[:, :1] + x),
)
TWO = (
    *(np.add, np.multiply, np.subtract, np.divide, lambda a, b: np.where(a > 0.3, b, a)),
    *(lambda a, b: np.where(np.isfinite(b), b, a), lambda a, b: np.where(a < 0, 1.0, b)),
    *(lambda a, b: np.where(b[0] > 0, a, b), lambda a, b: np.where(a > 0, b, 0), lambda a, b: np.where(a > b, a, b)),
)


@pytest.mark.parametrize("seed", range(100))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_random_functions(seed):
    """No finite entry is wrong; where all are finite the products are."""
    rng = np.random.default_rng(seed)
    steps: list = []
    for count in range(1, rng.integers(4, 12)):
        some = ONE if rng.random() < 0.45 else TWO
        steps.append((some[rng.integers(len(some))], rng.integers(count, size=1 if some is ONE else 2)))

    def fun(X):
        values = [X]
        for function, operands in steps:
            values.append(function(*(values[k] for k in operands)))
        return np.where(np.abs(values[-1]) < 1e3, values[-1], 0) + 0 * X

    X = rng.standard_normal((3, 3))
    F = mj.compile(fun, X.shape)
    assert_allclose(F(X), fun(X), rtol=1e-12)
    dense, coarse = (central(fun, X, step).reshape(9, 9) for step in (2e-5, 1e-4))
    known = np.isclose(dense, coarse, rtol=1e-5, atol=1e-6) & (np.abs(dense) < 1e4)
    J = F.jacobian(X)
    A = J.toarray()
    known &= np.isfinite(A)
    assert_allclose(A[known], dense[known], rtol=1e-4, atol=1e-4)
    v = rng.standard_normal(9)
    scale = 1e-10 * (1 + np.abs(A).max())
    if np.isfinite(A).all():
        assert_allclose(J @ v, A @ v, atol=scale)
        assert_allclose(J.T @ v, A.T @ v, atol=scale)


def test_ties_are_halves():
    F = mj.compile(lambda X: np.maximum(X, 0) + np.minimum(X, 0), (2,))
    assert_array_equal(F.jacobian(np.zeros(2)).toarray(), np.eye(2))


def test_what_decides_a_condition_needs_no_derivative():
    F = mj.compile(lambda X: np.where(scipy.special.jv(X, 1.0) > 0.3, X**2, X), (2,))
    assert_array_equal(F.jacobian([0.5, 4]).toarray(), [[1, 0], [0, 1]])
    G = mj.compile(lambda Z: np.where(np.abs(Z) > 1, Z, Z**2), np.array([0.1j, 2]))
    assert_array_equal(G.jacobian(np.array([0.1j, 2])).toarray(), [[0.2j, 0], [0, 1]])


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (1,), (2, 0)])
def test_shapes_at_the_edge(shape):
    for fun in (
        lambda X: np.where(X > 0, X * np.log(X), 0) + np.clip(X, 0, 1) * (X > 0.5),
        lambda X: np.where(X.sum() > 0, np.sqrt(X), np.sin(X)),
        lambda X: np.select([X > 1, X < 0], [X, -X], scipy.special.erf(X)),
        lambda X: mj.special.softmax(X) if X.size else X * 1.0,
    ):
        X = np.full(shape, 0.7)
        F = mj.compile(fun, shape)
        assert_allclose(F(X), fun(X))
        dense = expected(fun, [X], "C")
        check_faces(F.jacobian(X), dense, tolerance=1e-9)
        w = np.ones(F.out_shape)
        assert_allclose(np.ravel(F.gradient(X, weights=w)), dense.sum(axis=0), atol=1e-9)
        assert F.hessian(X, weights=w).toarray().shape == (X.size, X.size)


def test_truth_values_as_a_result():
    F = mj.compile(lambda X: X > 0, (3,))
    assert_array_equal(F([1, -1, 0]), [True, False, False])
    assert F.jacobian([1, -1, 0]).tocsr().nnz == 0
    assert mj.compile(lambda X: np.argmax(X), (3,))([1, 3, 2]) == 1


BESIDE_ZEROS = {
    "maximum": lambda a, zero: np.maximum(np.triu(a), zero),
    "where": lambda a, zero: np.where(a > 0.1, np.triu(a), zero),
    "clip": lambda a, zero: np.clip(np.triu(a), zero, None),
    "hypot": lambda a, zero: np.hypot(zero, np.triu(a)),
}


ZEROS = [0, 0.0, np.float64(0), np.float32(0), np.zeros(3), np.zeros(3, "f4"), np.zeros(3, int)]


@pytest.mark.parametrize("zero", ZEROS)
@pytest.mark.parametrize("name", BESIDE_ZEROS)
def test_zeros_have_the_dtype_that_numpy_gives_them(name, zero):
    """And they are zeros by structure, of whatever dtype."""
    fun = BESIDE_ZEROS[name]
    F = mj.compile(lambda a: fun(a, zero), (3, 3))
    for dtype in (np.float32, np.float64):
        a = np.random.default_rng(0).standard_normal((3, 3)).astype(dtype)
        assert F(a).dtype == fun(a, zero).dtype
        assert_allclose(F(a), fun(a, zero), rtol=1e-6)
        assert F.jacobian(a).nnz == 6


BAD = [
    ("if", lambda X: X if X[0] > 0 else -X, r"^a branch on a value that .* Write np.where\(condition, a, b\)"),
    ("and", lambda X: np.where(X[0] > 0 and X[1] > 0, X, 0), r"write &, \|, ~"),
    ("None", lambda X: np.where(X > 0, X, None), r"^None can't be recorded"),
    ("while", lambda X: next(X for _ in iter(int, 1) if X.sum() > 0), r"^a branch on a value"),
    ("index", lambda X: X[X > 0], r"^an index by a condition .* X \* \(X > 0\)"),
    ("nonzero", lambda X: X * np.nonzero(X)[0], r"^np.nonzero can't be recorded: its shape"),
    ("allclose", lambda X: X * np.allclose(X, 0), r"^np.allclose is one truth value"),
    ("out", lambda X: np.clip(X, 0, 1, out=np.ones(2)), r"^np.clip with out="),
    ("out of a step", lambda X: X * np.argmax(X, out=np.ones((), int)), r"^np.argmax with out="),
    ("period", lambda X: np.unwrap(X, period=X[0]), r"^np.unwrap with period= that depends on a variable"),
    ("what stands for infinity", lambda X: np.nan_to_num(X, posinf=X[0]), r"^np.nan_to_num with a number that"),
    ("choices", lambda X: np.select([X > 0], [X, X]), r"np.select: got 1 conditions and 2 choices"),
    (
        "functions of all",
        lambda X: np.piecewise(X, [X > 0], [lambda x: x - x.mean(), np.sin]),
        r"np.piecewise can be recorded with functions that act entry by entry alone: write np.where",
    ),
    (
        "functions",
        lambda X: np.piecewise(X, [X > 0], [np.sin] * 3),
        r"np.piecewise: got 3 functions, expected 1",
    ),
]


@pytest.mark.parametrize(("fun", "message"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_what_is_refused(fun, message):
    with pytest.raises(mj.TracingError, match=message):
        mj.compile(fun, (2,))


#: Rules whose differential chooses by value: the function and its differential.
CHOOSING = {
    "one side": (lambda x: np.maximum(x, 0), lambda x, dx: np.where(x > 0, dx, 0)),
    "both sides": (lambda x: np.where(x > 0, x**2, 3 * x), lambda x, dx: np.where(x > 0, 2 * x * dx, 3 * dx)),
    "by rows": (lambda x: np.where(x[:, :1] > 0, x, 0), lambda x, dx: np.where(x[:, :1] > 0, dx, 0)),
    "of one row": (lambda x: np.where(x > 0, 0, x[0]), lambda x, dx: np.where(x > 0, 0, dx[0])),
}


@pytest.mark.parametrize("name", CHOOSING)
def test_rules_that_choose(name):
    fun, differential = CHOOSING[name]
    named = mj.rule(fun, differential=differential)
    X = np.random.default_rng(0).standard_normal((3, 4))
    F = mj.compile(lambda X: named(X) * X, X.shape)
    assert_allclose(F(X), fun(X) * X)
    check_faces(F.jacobian(X), expected(lambda X: fun(X) * X, [X], "C"), tolerance=1e-9)


def test_a_choice_that_is_not_linear():
    named = mj.rule(np.tanh, differential=lambda x, dx: np.where(x > 0, dx, x))
    with pytest.raises(mj.TracingError, match="a differential plus what is none is not linear"):
        mj.compile(lambda X: named(X), (2,)).jacobian(np.ones(2))


def test_signs_of_complex_numbers():
    F = mj.compile(lambda X: np.sign(X) * X, (2,))
    with pytest.raises(TypeError, match=r"^np.sign of complex values has no derivative"):
        F(np.array([1j, 2]))


@pytest.mark.filterwarnings("ignore:numpy.fix is deprecated")  # from NumPy 2.5 on
def test_fix_is_trunc():
    x = np.array([-1.5, 0.2, 2.7])
    found, wanted = (mj.compile(lambda x, f=f: f(x) * x, (3,)) for f in (np.fix, np.trunc))
    assert_array_equal(found(x), wanted(x))
    assert_array_equal(found.jac(x).toarray(), wanted.jac(x).toarray())
