"""What compiled functions return and call: several results, compiled functions inside others, data frames, names."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from oracles import complex_step
from test_compile import check_faces, expected, points_for

import matjac as mj

rng = np.random.default_rng(5)
A, B = rng.standard_normal((3, 3)), rng.standard_normal((4, 2))

#: Functions whose value is several arrays.
SEVERAL = {
    "a tuple": lambda X: (X.T @ X, np.tanh(X[0])),
    "a list": lambda X: [X, 2 * X[:, 0], X[0, 0] ** 2],
    "one in a list": lambda X: [np.sin(X)],
    "numbers": lambda X: [X[0, 0] * X[0, 1], X[1, 1], 3.0],
    "constants beside": lambda X: (X, np.ones((2, 2))),
    "nested": lambda X: (X, [X.T, (X[0], X[1] ** 2)]),
    "rows": lambda X: tuple(X * X),
    "arrays of objects": lambda X: (np.array([X[0, 0], X[1, 0] * 2]), X),
}


def flat(result, order):
    if isinstance(result, list | tuple):
        return np.concatenate([np.ravel(flat(part, order), order=order) for part in result])
    return np.asarray(result)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("name", SEVERAL)
def test_several_results_are_one_flat_vector(name, order):
    fun = SEVERAL[name]
    (X,) = points_for([(3, 4)], float)
    F = mj.compile(fun, (3, 4), order=order)
    whole = flat(fun(X), order)
    assert F.out_shape == whole.shape
    assert_allclose(F(X), whole)
    check_faces(F.jacobian(X), expected(lambda X: flat(fun(X), order), [X], order, complex_step))
    mj.check(F, X)


def test_an_array_of_objects_is_the_result():
    F = mj.compile(lambda x: np.array([[x[0], 2.0], [x[1] * x[0], x[2]]]), (3,))
    assert_array_equal(F([1.0, 2, 3]), [[1, 2], [2, 3]])
    assert F.jacobian([1.0, 2, 3]).nnz == 4


SMALL = mj.compile(lambda P, s: np.tanh(P @ A) * s, (3, 3), ())
SPARSE = mj.compile(lambda P: np.tril(P) @ (sp.csr_array(np.diag([1.0, 2, 3])) @ P), (3, 3))
BOUND = mj.compile(lambda P, K: P @ P.T - K, (3, 4), (3, 3)).bind(K=A)
SLOPE = mj.compile(lambda x: np.sum(np.exp(x) * x), (3,)).gradient_function()
SHARED = mj.compile(lambda x: np.linalg.inv(np.diag(x) + A @ A.T) @ x, (3,))
CALLS = {
    "of a product": (lambda X: SMALL(X @ X.T, X[0, 0]), ((3, 4),)),
    "twice": (lambda x: SHARED(SHARED(x) ** 2), ((3,),)),
    "with a constant": (lambda X: SMALL(A, X[1, 1]) + SMALL(X @ X.T, 2.0), ((3, 4),)),
    "with zeros by structure": (lambda X: SPARSE(X @ X.T), ((3, 4),)),
    "bound": (lambda X: BOUND(2 * X) * X[0, 0], ((3, 4),)),
    "a gradient": (lambda x: SLOPE(x * x), ((3,),)),
    "of objects": (lambda x: SHARED(np.array([x[0], x[1] * x[2], 1.0])), ((3,),)),
    "flat": (lambda x: SMALL.fun(np.concatenate([x, x, x, x[:1]])), ((3,),)),
}


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("name", CALLS)
def test_compiled_functions_inside_one(name, order):
    fun, shapes = CALLS[name]
    points = points_for(shapes, float)
    F = mj.compile(fun, *shapes, order=order)
    assert_allclose(F(*points), fun(*points), rtol=1e-12)
    dense = expected(fun, points, order, complex_step)
    A = check_faces(F.jacobian(*points), dense)
    assert A.nnz == np.count_nonzero(np.abs(dense) > 1e-13)
    mj.check(F, *points)


def test_a_compiled_function_inside_one_checks_shapes():
    with pytest.raises(mj.TracingError, match=r"P: got shape \(2, 3\), expected \(3, 3\)"):
        mj.compile(lambda X: SMALL(X, 1.0), (2, 3))
    with pytest.raises(mj.TracingError, match=r"expected 2: P, s"):
        mj.compile(lambda X: SMALL(X), (3, 3))


def test_hessian_of_a_composition():
    F = mj.compile(lambda x: np.sum(SHARED(x) ** 2), (3,))
    G = mj.compile(lambda x: np.sum((np.linalg.inv(np.diag(x) + A @ A.T) @ x) ** 2), (3,))
    x = np.array([1.0, 2, 3])
    assert_allclose(F.hessian(x).toarray(), G.hessian(x).toarray(), rtol=1e-9)


class Frame:
    """As a data frame sees it: it defers to what has a higher priority."""

    __pandas_priority__ = 4000
    __array_priority__ = 1000

    def __init__(self, values):
        self.values = values

    def to_numpy(self):
        return self.values

    def __mul__(self, other):
        return NotImplemented if getattr(other, "__pandas_priority__", 0) > 4000 else Frame(self.values * other)

    __sub__ = __add__ = __matmul__ = __mul__

    def __array_ufunc__(self, *args, **kwargs):
        return NotImplemented


@pytest.mark.parametrize("made", ["stand-in", "pandas"])
def test_data_frames(made):
    frame = Frame if made == "stand-in" else pytest.importorskip("pandas").DataFrame
    df = frame(B)
    (X,) = points_for([(4, 2)], float)
    for fun, same in (
        (lambda X: df * X, lambda X: B * X),
        (lambda X: X * df, lambda X: B * X),
        (lambda X: df - np.tanh(X), lambda X: B - np.tanh(X)),
        (lambda X: X.T @ df, lambda X: X.T @ B),
        (lambda X: np.maximum(df, X), lambda X: np.maximum(B, X)),
        (lambda X: np.sum(X * X) * df, lambda X: np.sum(X * X) * B),
    ):
        F = mj.compile(fun, (4, 2))
        assert_allclose(F(X), same(X))
    if made == "stand-in":
        return
    with pytest.raises(mj.TracingError, match=r"write df.to_numpy\(\)"):
        mj.compile(lambda X: df.T @ X, (4, 2))
    series = pytest.importorskip("pandas").Series(B[:, 0])
    F = mj.compile(lambda X: series - X[:, 0], (4, 2))
    assert_allclose(F(X), B[:, 0] - X[:, 0])
    with pytest.raises(mj.TracingError, match=r"write df.to_numpy\(\)"):
        mj.compile(lambda X: series @ X, (4, 2))


def test_slogdet_has_names():
    F = mj.compile(lambda X: np.linalg.slogdet(X).logabsdet * np.linalg.slogdet(X).sign, (3, 3))
    assert_allclose(F(A), np.prod(np.linalg.slogdet(A)))


def seen(fun, *shapes):
    found = []
    mj.compile(lambda *x: (found.append(fun(*x)), x[0])[1], *shapes)
    return found[0]


def test_what_a_recorded_array_shows():
    assert seen(repr, (3, 4)) == "<recorded array of shape (3, 4), float64>"
    assert seen(lambda x: f"{x} {x:.3f} {x[0]!s}", (2,)) == (
        "<recorded array of shape (2,), float64> <recorded array of shape (2,), float64> "
        "<recorded array of shape (), float64>"
    )
    assert seen(len, (3, 4)) == 3
    assert seen(lambda X: (X.shape, X.ndim, X.size, np.shape(X), np.size(X), np.ndim(X)), (3, 4)) == (
        (3, 4), 2, 12, (3, 4), 12, 2,
    )  # fmt: skip
    assert not seen(lambda X: hasattr(X, "toarray") or hasattr(X, "cumulative"), (3,))
    assert seen(lambda X: [len(row) for row in X], (3, 4)) == [4, 4, 4]


BAD = [
    ("plain array, entry", lambda x: np.zeros(2).__setitem__(0, x[0]), r"make it with np.zeros_like\(x, shape=…\)"),
    ("plain array, row", lambda x: np.zeros((2, 3)).__setitem__(0, x), r"np.zeros\(shape, like=x\)"),
    ("plain array, in place", lambda x: np.ones(3).__iadd__(x), r"^np.add can't write into a plain array"),
    ("plain array, copyto", lambda x: np.copyto(np.ones(3), x), r"^np.copyto can't write into a plain array"),
    ("asarray, dtype", lambda x: np.asarray(x, dtype=float), r"^numbers of dtype float64 can't be made"),
    ("shape", lambda x: setattr(x, "shape", (3, 1)), r"^an assignment to .shape"),
    ("flat of a transpose", lambda x: np.outer(x, x).T.flat, r"^the array method .flat"),
    ("to integers", lambda x: x.astype(int), r"^a conversion to int64 has no derivative"),
    ("to truth values", lambda x: x.astype(bool), r"^a conversion to bool has no derivative"),
    ("objects", lambda x: np.linalg.inv(np.array([[x[0], 1.0], [x[1], x[2]]])), r"make it with np.stack, or np.array"),
    (
        "many objects",
        lambda x: np.asarray(np.outer(x, np.ones(999))),
        r"^np.array and np.asarray make an array",
    ),
    ("ragged", lambda x: np.exp(x) + np.array([x, x[:2]], dtype=object), r"."),
    ("read-only", lambda x: np.broadcast_to(x, (2, 3)).__setitem__(0, 1.0), r"destination is read-only"),
    ("diagonal", lambda x: np.diagonal(np.outer(x, x)).__setitem__(0, 1.0), r"destination is read-only"),
    (
        "value's shape",
        lambda x: x.__setitem__(slice(0, 2), np.ones(3)),
        r"got a value of shape \(3,\), expected \(2,\)",
    ),
    ("index by values", lambda x: x.__setitem__(x > 0, np.ones(3)), r"^an index by a condition on values"),
    ("where", lambda x: np.exp(x, where=np.array([True, False, True])), r"^np.exp with where= leaves entries undef"),
    ("twice", lambda x: np.multiply.at(x, [0, 0], 2.0), r"^np.multiply.at can't be recorded where"),
    ("pad mode", lambda x: np.pad(x, 1, mode="linear_ramp"), r"^np.pad with mode='linear_ramp'"),
    ("pad odd", lambda x: np.pad(x, 1, mode="reflect", reflect_type="odd"), r"^np.pad with reflect_type='odd'"),
    ("choose", lambda x: np.choose(x, [x, x]), r"^np.choose with a= that depends"),
    ("take", lambda x: np.take(x, x), r"^np.take with indices= that depends"),
    ("take in a mode", lambda x: np.take(x, np.argsort(x), mode="wrap"), r"^np.take with mode='wrap' at places"),
    ("compress", lambda x: np.compress(x > 0, x), r"^np.compress can't be recorded: its shape depends on values"),
    ("unknown", lambda x: np.linalg.eig(np.outer(x, x)), r"^np.linalg.eig can't be recorded"),
    ("method", lambda x: x.tofile("a"), r"^the array method .tofile can't be recorded"),
    ("attribute", lambda x: x.cumulative(), r"^a recorded array has no attribute cumulative"),
    ("number", lambda x: float(x[0]), r"^a plain number"),
    ("string", lambda x: np.array(["a", x[0]], dtype=object) * x[:2], r"."),
    ("unsized", lambda x: len(x[0]), r"len\(\) of unsized object"),
    ("item", lambda x: x.item(), r"can only convert an array of size 1"),
    ("resize", lambda x: x.resize(2), r"^the array method .resize"),
    ("nothing", lambda x: None, r"^fun: got NoneType None as its value"),
    ("constants", lambda x: (1.0, np.ones(2)), r"^fun: got tuple"),
    (
        "objects",
        lambda x: np.hypot(np.array([1.0, x[0]]), np.array([1.0, x[1]])),
        r"AttributeError: 'float' .* np.array of recorded numbers is an array of objects",
    ),
    ("np.matrix", lambda x: sp.csr_matrix(np.eye(3)).todense() * x[:, None], r"^an np.matrix can't be recorded"),
]


@pytest.mark.parametrize(("fun", "message"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_what_cannot_be_recorded(fun, message):
    with pytest.raises(mj.TracingError, match=message):
        mj.compile(fun, (3,))


@pytest.mark.parametrize("use", [lambda x, kept: kept, lambda x, kept: x + kept, lambda x, kept: (x, np.sum(kept))])
def test_what_was_kept_of_another_record_is_refused(use):
    kept = []

    def first(x):
        kept.append(np.tanh(x))
        return kept[0] * x

    mj.compile(first, (3,))
    with pytest.raises(mj.TracingError, match=r"^an array that was recorded for another function"):
        mj.compile(lambda x: use(x, kept[0]), (3,))


def test_faults_of_the_function_itself_are_raised_as_they_are():
    with pytest.raises(AttributeError, match="'list' object has no attribute 'shape'") as caught:
        mj.compile(lambda x: x * [1, 2].shape, (2,))
    assert caught.type is AttributeError


def test_complex_values_are_refused_where_they_have_no_derivative():
    F = mj.compile(lambda x: x.real + x.imag, (2,))
    assert_array_equal(F.jacobian([1.0, 2]).toarray(), np.eye(2))
    with pytest.raises(TypeError, match=r"has no complex derivative"):
        F.jacobian([1.0 + 1j, 2]).toarray()


def test_precision():
    x = np.array([1.0, 2], np.float32)
    for dtype in (np.float32, np.float64, np.complex128):
        F = mj.compile(lambda x, dtype=dtype: np.exp(x.astype(dtype)), (2,))
        assert F(x).dtype == F.jacobian(x).dtype == dtype
        assert_allclose(F.jacobian(x).toarray(), np.diag(np.exp(x)), rtol=1e-6)
    with pytest.raises(TypeError, match=r"^a conversion of complex numbers to real ones"):
        mj.compile(lambda x: x.astype(float), (2,))(x + 1j)


def test_made_like_an_argument():
    def fun(x):
        Y = np.zeros((2, 3), like=x)
        Y[0] = x * x
        Y[1, :2] = np.empty(2, like=x) + np.ones(2, like=x) + np.asarray([1, 2], like=x) + x[0]
        return Y + np.eye(2, 3, like=x)

    F = mj.compile(fun, (3,))
    assert_allclose(F([1.0, 2, 3]), [[2, 4, 9], [3, 5, 0]])
    assert F.jacobian([1.0, 2, 3]).nnz == 5
    assert F.jacobian(np.ones(3) + 1j).dtype == complex
    assert F(np.ones(3, np.float32)).dtype == float


def triangle(x):
    Y = np.zeros_like(x, shape=(3, 3))
    Y[np.triu_indices(3)] = np.r_[x, x**2]
    Y += 1
    return Y @ Y.T


def residual(x):
    r = np.zeros_like(x)
    r[0] = x[0] - 1
    r[1:] = 10 * (x[1:] - x[:-1] ** 2)
    return r


def test_what_was_assigned_is_pickled():
    F, x = mj.compile(triangle, (3,)), np.array([1.0, 2, 3])
    again = pickle.loads(pickle.dumps(F))
    assert_array_equal(again(x), F(x))
    assert_array_equal(again.jacobian(x).toarray(), F.jacobian(x).toarray())


def test_sums_of_squares_of_what_was_assigned():
    x = np.linspace(0.5, 1.5, 5)
    F, R = mj.compile(lambda x: np.sum(residual(x) ** 2), (5,)), mj.compile(residual, (5,))
    J = R.jacobian(x).toarray()
    assert_allclose(F.hessian(x, part="gauss-newton").toarray(), 2 * J.T @ J, atol=1e-12)
    assert_allclose(R.half_squares().gradient(x), J.T @ R(x))
    assert_allclose(mj.solvers.least_squares(residual, x).x, 1, rtol=1e-6)


def test_rules_take_arrays_of_objects():
    cube = mj.rule(lambda a: a**3, lambda a: np.diag(3 * a**2))
    F = mj.compile(lambda x: cube(np.array([x[0], 2 * x[1], 1.0])), (2,))
    assert_array_equal(F.jacobian([1.0, 2]).toarray(), [[3, 0], [0, 96], [0, 0]])
    square = mj.rule(lambda a: a**2, differential=lambda a, da: np.array([2 * a[0] * da[0], 2 * a[1] * da[1]]))
    assert_array_equal(mj.compile(square, (2,)).jacobian([1.0, 2]).toarray(), np.diag([2, 4]))


def test_differentials_are_moved_and_joined():
    d = mj.from_differential(lambda d: np.array([2 * d[0], d[1] - d[2]]), (3,))
    assert_array_equal(d.toarray(), [[2, 0, 0], [0, 1, -1]])
    zeros = np.zeros
    block = mj.from_differential(lambda d: np.block([[d, zeros((2, 1))], [zeros((1, 2)), zeros((1, 1))]]), (2, 2))
    assert block.nnz == 4
    padded = mj.from_differential(lambda d: np.pad(np.flip(d[1:], 1), ((1, 0), (0, 0))), (2, 2))
    assert_array_equal(padded.toarray()[2:], [[0, 0, 0, 1], [0, 0, 1, 0]])
    with pytest.raises(mj.TracingError, match=r"^assignment of differentials"):
        mj.from_differential(lambda d: d.__setitem__(0, 1.0), (3,))
