"""The table of slopes, a function at a time: values, first and second derivatives, dtypes; and `mj.special`."""

import numpy as np
import pytest
import scipy.signal
import scipy.spatial
import scipy.special
import scipy.stats
from functions_entries import REAL_ALONE, SLOPES
from numpy.testing import assert_allclose
from oracles import complex_step

import matjac as mj
from matjac.tracing import slopes
from matjac.tracing.reuse import LARGE

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def function_of(name):
    module, _, attribute = name.rpartition(".")
    attribute, _, at = attribute.partition("[")
    function = getattr({"np": np, "scipy.special": scipy.special}[module], attribute)
    return (lambda *x: function(*x)[int(at[0])]) if at else function


def written(name):
    """A function of the operands that vary, and their points."""
    function, operands = function_of(name), SLOPES[name]
    varying = [at for at, x in enumerate(operands) if isinstance(x, list)]

    def fun(*variables):
        given = dict(zip(varying, variables, strict=True))
        return function(*(given.get(at, x) for at, x in enumerate(operands)))

    return fun, [np.array(operands[at]) for at in varying]


def diagonals(fun, points):
    """The derivative by each operand, entry by entry, by differences whose steps are relative."""
    found = []
    for at, x in enumerate(points):
        scale = np.maximum(np.abs(x), 0.1)

        def along(t, at=at, x=x, scale=scale):
            return np.stack([np.asarray(fun(*points[:at], x + s * scale, *points[at + 1 :])) for s in t])

        h = 1e-3
        v = along(np.array([-4, -2, -1, 1, 2, 4]) * h)
        one, two, four = (v[3] - v[2]) / (2 * h), (v[4] - v[1]) / (4 * h), (v[5] - v[0]) / (8 * h)
        once, twice = (4 * one - two) / 3, (4 * two - four) / 3
        found.append((16 * once - twice) / 15 / scale)
    return found


def ours(J, points, shape):
    """The same of a Jacobian, whose blocks are diagonal."""
    n = len(points[0])
    blocks = J.toarray().reshape(n, len(points), n)
    return [blocks[np.arange(n), k, np.arange(n)] for k in range(len(points))]


@pytest.mark.parametrize("name", SLOPES)
def test_slopes(name):
    fun, points = written(name)
    F = mj.compile(fun, *(x.shape for x in points))
    value = fun(*points)
    assert F(*points).dtype == value.dtype
    assert_allclose(F(*points), value, rtol=1e-14)
    J = F.jacobian(*points)
    assert J.nnz <= len(points) * value.size
    for mine, theirs in zip(ours(J, points, value.shape), diagonals(fun, points), strict=True):
        assert_allclose(mine, theirs, rtol=2e-8, atol=1e-10 * max(1, np.abs(value).max()))


@pytest.mark.parametrize("name", SLOPES)
def test_second_derivatives(name):
    fun, points = written(name)
    F = mj.compile(fun, *(x.shape for x in points))
    if np.iscomplexobj(fun(*points)):
        pytest.skip("the value is complex")
    w = np.linspace(0.5, 1.5, points[0].size)
    H = F.hessian(*points, weights=w).toarray()
    n = points[0].size

    def gradient(at):
        return lambda *x: np.atleast_1d(F.gradient(*x, weights=w) if len(x) == 1 else F.gradient(*x, weights=w)[at])

    for at in range(len(points)):
        block = H[at * n : (at + 1) * n].reshape(n, len(points), n)
        mine = [block[np.arange(n), k, np.arange(n)] for k in range(len(points))]
        scale = max(1, np.abs(gradient(at)(*points)).max())
        for a, b in zip(mine, diagonals(gradient(at), points), strict=True):
            assert_allclose(a, b, rtol=3e-7, atol=1e-8 * scale)


@pytest.mark.parametrize("name", SLOPES)
def test_narrow_dtypes_stay(name):
    fun, points = written(name)
    narrow = [x.astype(np.float32) for x in points]
    F = mj.compile(fun, *(x.shape for x in points))
    value = fun(*narrow)
    assert F(*narrow).dtype == value.dtype
    J = F.jacobian(*narrow)
    assert J.dtype == value.dtype
    if value.dtype == np.float32:
        assert (J @ np.ones(J.shape[1], np.float32)).dtype == np.float32
        wide = F.jacobian(*(x.astype(float) for x in narrow)).toarray()
        assert_allclose(J.toarray(), wide, rtol=5e-3, atol=1e-4 * max(1, np.abs(wide).max()))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", SLOPES)
def test_large_operands_are_written_over(name, dtype):
    fun, points = written(name)
    large = [np.resize(x, LARGE).astype(dtype) for x in points]
    F = mj.compile(lambda *x: fun(*(part * 1.0 for part in x)), *(x.shape for x in large))
    value = fun(*large)
    assert F(*large).dtype == value.dtype
    assert_allclose(F(*large), value, rtol=1e-6 if dtype == "float32" else 1e-14)


def holomorphic(name):
    function = function_of(name)
    types = getattr(function, "types", ["D->D"] if name in ("np.sinc", "scipy.special.lambertw") else [])
    varying = [isinstance(x, list) for x in SLOPES[name]]
    return name not in REAL_ALONE and any(
        t[-1] == "D" and all(c == "D" for c, v in zip(t.split("->")[0], varying, strict=False) if v) for t in types
    )


@pytest.mark.parametrize("name", [name for name in SLOPES if holomorphic(name)])
def test_complex_points(name):
    fun, points = written(name)
    rng = np.random.default_rng(3)
    # far out the imaginary part of a logarithm jumps within the oracle's circle
    points = [np.maximum(x, -50) + 0.2j * rng.uniform(0.5, 1, x.size) for x in points]
    F = mj.compile(fun, *(x.shape for x in points))
    J = F.jacobian(*points)
    for at, mine in enumerate(ours(J, points, ())):
        theirs = complex_step(lambda x, at=at: fun(*points[:at], x, *points[at + 1 :]), points[at])
        assert_allclose(mine, theirs.diagonal(), rtol=1e-7, atol=1e-9)


def test_every_slope_is_tested():
    tested = {name.rpartition(".")[2] for name in SLOPES} | {"psi", "_zeta", "_lambertw", "direction"}
    assert {f.__name__ for f in (*slopes.SLOPES, *slopes.FLAT_SLOPES)} <= tested


def test_the_hypotenuse_at_zero():
    """As at the zeros of the others its gradient there is zero; a second derivative there is not."""
    x, y, w = np.array([0.0, 3.0, 0.0]), np.array([0.0, 4.0, 2.0]), np.ones(3)
    F = mj.compile(lambda x, y: np.hypot(x, y), (3,), (3,))
    assert_allclose(F.jacobian(x, y).toarray(), [[0] * 6, [0, 0.6, 0, 0, 0.8, 0], [0, 0, 0, 0, 0, 1]])
    norm = mj.compile(lambda x, y: np.linalg.norm(np.stack([x, y]), axis=0), (3,), (3,))
    H = F.hessian(x, y, weights=w).toarray()
    assert np.all(np.isnan(H[np.ix_([0, 3], [0, 3])]))
    assert_allclose(H, norm.hessian(x, y, weights=w).toarray(), atol=1e-15)


def test_operands_that_must_be_constants():
    with pytest.raises(mj.TracingError, match=r"^scipy.special.jv has no derivative here by its operand number 0"):
        mj.compile(lambda v, x: scipy.special.jv(v, x), (2,), (2,)).jacobian(np.ones(2), np.ones(2))
    with pytest.raises(mj.TracingError, match=r"^scipy.special.kolmogorov has no derivative here: docs/functions.md"):
        mj.compile(scipy.special.kolmogorov, (2,))


@pytest.mark.parametrize("name", ["scipy.special.erf", "scipy.special.xlogy", "np.arcsin", "scipy.special.boxcox1p"])
def test_what_is_zero_stays_out(name):
    """A function that is zero at zero keeps a triangle's pattern."""
    function = function_of(name)
    more = (2.0,) * (len(SLOPES[name]) - 1)
    F = mj.compile(lambda X: function(np.tril(X), *more) @ np.ones((3, 2)), (3, 3))
    assert F.jacobian(np.full((3, 3), 0.3)).nnz == 6 * 2


def test_zero_at_zero():
    for function in slopes.ZERO_AT_ZERO:
        count = 2 if function is slopes.direction else getattr(function, "nin", 1)
        assert function(0.0, *(2.0,) * (count - 1)) == 0, function.__name__


# mj.special -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", dir(mj.special))
def test_the_same_function_on_plain_arrays(name):
    theirs = getattr(scipy.special, name, None)
    if theirs is None or isinstance(theirs, np.ufunc):
        assert theirs is None or getattr(mj.special, name) is theirs
        return
    more = {"zeta": (2.0,), "comb": (1.5,), "perm": (1.5,), "multigammaln": (2,)}.get(name, ())
    x = np.array([1.2, 3.0, 4.5])
    given = (2, x) if name.startswith(("polygamma", "spherical")) else (x, *more)
    assert_allclose(getattr(mj.special, name)(*given), theirs(*given), rtol=1e-14)


@pytest.mark.parametrize("name", [name for name in dir(mj.special) if name.startswith("spherical")])
@pytest.mark.parametrize("n", [0, 1, 2, np.array([0, 3, 4, 1])], ids=str)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_spherical_functions_on_both_sides_of_zero(name, n, dtype):
    x, theirs = np.array([-2.5, -0.3, 0.4, 3.0], dtype), getattr(scipy.special, name)
    x = x + 0.5j if dtype == "complex128" else x
    F = mj.compile(lambda x: getattr(mj.special, name)(n, x), x)
    assert_allclose(F(x), theirs(n, x), rtol=1e-10, atol=1e-12)
    assert_allclose(F.jacobian(x).toarray(), np.diag(theirs(n, x, derivative=True)), rtol=1e-10, atol=1e-10)
    assert F(np.zeros(4, x.dtype)).dtype == x.dtype


@pytest.mark.parametrize("function", [mj.special.logsumexp, mj.special.softmax, mj.special.log_softmax])
def test_large_numbers(function):
    x = np.array([[1000.0, -1000, 999], [-5000, -5001, -5002]])
    F = mj.compile(lambda X: function(X, axis=1), x.shape)
    assert_allclose(F(x), function(x, axis=1), rtol=1e-13)
    J = F.jacobian(x)
    shifted = F.jacobian(x - x.max(axis=1, keepdims=True))
    assert_allclose(J.toarray(), shifted.toarray(), atol=1e-12)
    assert np.isfinite(F.hessian(x, weights=np.ones(F.out_shape)).toarray()).all()


def test_the_reciprocal_gamma_function_where_it_is_zero():
    """1 / Γ is entire: at −n its derivatives are those of (−1)^n n! (x − ψ(n + 1) x²)."""
    n = np.arange(8.0)
    F = mj.compile(lambda x: scipy.special.rgamma(x), n.shape)
    first = (-1) ** n * scipy.special.factorial(n)
    assert_allclose(F.jacobian(-n).toarray(), np.diag(first), rtol=1e-13)
    second = -2 * first * scipy.special.digamma(n + 1)
    assert_allclose(F.hessian(-n, weights=np.ones(8)).toarray(), np.diag(second), rtol=1e-13)


def test_logsumexp_of_nothing_there():
    x = np.array([-np.inf, 0.0, -np.inf])
    F = mj.compile(mj.special.logsumexp, (3,))
    assert F(x) == 0
    assert_allclose(F.jacobian(x).toarray(), [[0, 1, 0]])
    G = mj.compile(lambda X: mj.special.logsumexp(X, b=np.array([0, 1, 1])), (3,))
    assert_allclose(G(np.array([np.inf, 1, 1])), 1 + np.log(2))


def test_complex_logsumexp():
    x = np.array([1 + 2j, 1 - 3j, 0.5 + 9j])
    F = mj.compile(mj.special.logsumexp, (3,))
    assert_allclose(F(x), scipy.special.logsumexp(x), rtol=1e-14)
    assert_allclose(F.jacobian(x).toarray()[0], np.exp(x - F(x)), rtol=1e-13)


BAD = [
    ("logsumexp", scipy.special.logsumexp, r"^scipy.special.logsumexp takes .* write mj.special.logsumexp"),
    ("softmax", lambda X: scipy.special.softmax(X, axis=0), r"write mj.special.softmax"),
    ("polygamma", lambda X: scipy.special.polygamma(1, X), r"write mj.special.polygamma"),
    ("signal", lambda X: scipy.signal.hilbert(X), r"^scipy.signal.hilbert takes .* register it with mj.rule"),
    ("distance", lambda X: scipy.spatial.distance.cdist(X, X), r"^scipy.spatial.distance.cdist takes plain"),
    ("distribution", scipy.stats.norm.logpdf, r"^scipy.stats.rv_continuous.logpdf takes plain arrays alone"),
    ("decorated", lambda X: scipy.stats.skew(X), r"^a function of scipy.stats takes plain arrays alone"),
    ("derivative", lambda X: mj.special.spherical_jn(1, X, derivative=True), r"^scipy.special.spherical_jn with deriv"),
    ("reduceat", lambda X: np.add.reduceat(X, [0, 2]), r"np.add.reduceat: got an index out of bounds .* 2 entries"),
    ("return_sign", lambda X: mj.special.logsumexp(X, return_sign=True), "split the sum by its signs"),
    ("exact", lambda X: mj.special.comb(X, 2, exact=True), "exact=False"),
    ("order", lambda X: mj.special.polygamma(X, X), "by its order n"),
    ("where", lambda X: scipy.special.erf(X, where=[True, False]), r"^scipy.special.erf with where= .* np.where"),
    ("reduce", lambda X: np.subtract.reduce(X), r"^np.subtract.reduce can't"),
    ("reduce with options", lambda X: np.add.reduce(X, initial=1), r"^np.add.reduce with initial= can't"),
]


@pytest.mark.parametrize(("fun", "message"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_what_is_refused(fun, message):
    with pytest.raises(mj.TracingError, match=message):
        mj.compile(fun, (2, 2))


def test_no_such_function():
    with pytest.raises(AttributeError, match=r"^mj.special has no bernoulli"):
        mj.special.bernoulli  # noqa: B018


def test_methods_of_ufuncs():
    X = np.array([[1.1, 2.1, 3], [4, 5, 6]])
    for fun in (
        lambda X: np.add.reduce(X),
        lambda X: np.add.reduce(X, axis=1, keepdims=True),
        lambda X: np.add.accumulate(X, axis=1) + np.multiply.accumulate(X),
        lambda X: np.maximum.accumulate(np.sin(3 * X), axis=1) + np.minimum.accumulate(np.sin(3 * X)),
        lambda X: np.logaddexp.reduce(X, axis=-1) + np.logaddexp.reduce(X, axis=None),
        lambda X: np.maximum.reduce(X) * np.multiply.reduce(X) + np.minimum.reduce(X),
        lambda X: np.multiply.outer(X, X[0]),
        lambda X: np.subtract.outer(X[0], np.ones(2)),
        lambda X: X * np.logical_and.reduce(X > 2),
    ):
        F = mj.compile(fun, X.shape)
        assert_allclose(F(X), fun(X))
        mj.check(F, X)
