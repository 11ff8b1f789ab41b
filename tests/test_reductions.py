"""Sums, products, scans, orders, einsum: the written functions of `functions_reductions.py`, and their edges."""

from functools import partial

import numpy as np
import pytest
from functions_reductions import ANALYTIC, REAL
from numpy.testing import assert_allclose, assert_array_equal
from oracles import complex_step
from test_compile import check_faces, points_for
from test_compile import expected as by_variables
from test_conditions import central, expected

import matjac as mj

ALL = ANALYTIC | REAL


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("name", ALL)
def test_written_functions(name, order):
    fun, shapes, count = ALL[name]
    F = mj.compile(fun, *shapes, order=order)
    for seed in range(2):
        points = points_for(shapes, float, seed)
        value = fun(*points)
        assert F(*points).dtype == np.asarray(value).dtype
        assert_allclose(F(*points), value, rtol=1e-12, atol=1e-14)
        dense = expected(fun, points, order)
        A = check_faces(F.jacobian(*points), dense, tolerance=1e-9)
        assert A.nnz == (np.count_nonzero(np.abs(dense) > 1e-9) if count is None else count)


@pytest.mark.parametrize("name", ANALYTIC)
def test_complex_points(name):
    fun, shapes, _ = ANALYTIC[name]
    points = points_for(shapes, complex)
    F = mj.compile(fun, *shapes)
    assert_allclose(F(*points), fun(*points), rtol=1e-12)
    check_faces(F.jacobian(*points), by_variables(fun, points, "C", complex_step))


@pytest.mark.parametrize("name", ALL)
def test_second_derivatives(name):
    fun, shapes, _ = ALL[name]
    F = mj.compile(fun, *shapes)
    x = F.pack(*points_for(shapes, float, 4))
    w = np.random.default_rng(0).standard_normal(F.out_shape).reshape(-1)
    H = F.hess_csr(x, w).toarray()
    assert_allclose(H, central(lambda x: F.grad(x, w), x), atol=1e-7)
    assert_allclose(F.hess(x, w) @ x, H @ x, atol=1e-11 * max(1, np.abs(H).max()))


@pytest.mark.parametrize("name", ALL)
def test_narrow_dtypes_stay(name):
    fun, shapes, _ = ALL[name]
    points = points_for(shapes, "float32")
    value = np.asarray(fun(*points))
    F = mj.compile(fun, *shapes)
    assert F(*points).dtype == value.dtype
    if value.dtype == np.float32:
        J = F.jacobian(*points)
        assert J.dtype == J.tocsr().dtype == (J @ np.ones(J.shape[1], np.float32)).dtype == np.float32
        assert_allclose(J.toarray(), F.jacobian(*[p.astype(float) for p in points]).toarray(), atol=2e-4, rtol=1e-3)


def test_zeros_among_factors():
    """The product of the others is exact, with one zero or two."""
    for x in ([2.0, 0.0, 3.0], [0.0, 0.0, 3.0], [0.0, 5.0, 0.0, 0.0]):
        F = mj.compile(np.prod, (len(x),))
        others = [np.prod(np.delete(x, k)) for k in range(len(x))]
        assert_array_equal(F.jacobian(x).toarray()[0], others)
        assert_array_equal(F.gradient(x), others)
        G = mj.compile(np.cumprod, (len(x),))
        wanted = [[np.prod(np.delete(x[: i + 1], k)) if k <= i else 0 for k in range(len(x))] for i in range(len(x))]
        assert_array_equal(G.jacobian(x).toarray(), wanted)
        assert_array_equal(G.jacobian(x) @ np.arange(1.0, len(x) + 1), np.array(wanted) @ np.arange(1.0, len(x) + 1))


ALONE = {
    "a number": lambda A: np.std(A[0, 0]),
    "one entry": lambda A: np.std(A[:1, :1], axis=0),
    "no axes": lambda A: np.std(A, axis=()),
    "one row": lambda A: np.std(A[:1], axis=0, keepdims=True),
    "nanstd": lambda A: np.nanstd(A[:1], axis=0),
    "among others": lambda A: np.std(A[:1], axis=0) * A[1] + A[0],
}


@pytest.mark.parametrize("name", ALONE)
def test_the_spread_of_one_entry(name):
    """It is zero wherever the entry is, and so has a derivative."""
    A = np.random.default_rng(0).standard_normal((2, 3))
    F = mj.compile(ALONE[name], (2, 3))
    assert_allclose(F(A), ALONE[name](A))
    wanted = np.eye(3, 6) if name == "among others" else np.zeros((F(A).size, 6))
    assert_array_equal(F.jacobian(A).toarray(), wanted)
    # the spread itself has no entries, and is a factor of those of A[1]
    assert F.jacobian(A).nnz == (6 if name == "among others" else 0)
    mj.check(F, A, order=2)


def test_ties_share():
    x = np.array([1.0, 3.0, 3.0, 3.0])
    assert_allclose(mj.compile(np.max, (4,)).gradient(x), [0, 1 / 3, 1 / 3, 1 / 3])
    assert_allclose(mj.compile(np.ptp, (4,)).gradient(x), [-1, 1 / 3, 1 / 3, 1 / 3])
    # a sort is stable: each entry has one place
    assert_array_equal(mj.compile(np.sort, (4,)).jacobian(x).toarray(), np.eye(4))


EMPTY = {
    "sum": lambda X: np.sum(X, axis=0),
    "prod": lambda X: np.prod(X, axis=0),
    "cumsum": lambda X: np.cumsum(X, axis=0),
    "cumprod": lambda X: np.cumprod(X, axis=1),
    "sort": lambda X: np.sort(X, axis=0),
    "diff": lambda X: np.diff(X, axis=1),
    "max": lambda X: np.max(X, axis=1),
    "einsum": lambda X: np.einsum("ij,kj,kl->il", X, X, X),
}


@pytest.mark.parametrize("shape", [(0, 3), (1, 1)])
@pytest.mark.parametrize("name", EMPTY)
def test_empty_arrays_and_single_numbers(name, shape):
    F = mj.compile(EMPTY[name], shape)
    x = np.ones(shape)
    assert_array_equal(F(x), EMPTY[name](x))
    J = F.jacobian(x)
    assert J.shape == (F(x).size, x.size)
    assert_allclose(J.toarray(), expected(EMPTY[name], [x], "C") if x.size else np.zeros(J.shape), atol=1e-9)


BAD = [
    ("roots", lambda x: np.roots(x), r"^np.roots can't be recorded: zeros may be complex"),
    ("method of nanquantile", lambda x: np.nanquantile(x, 0.5, method="nearest"), r"^np.nanquantile by method 'near"),
    ("bins", lambda x: np.bincount(x), r"^np.bincount of what depends on a variable"),
    ("out", lambda x: np.max(x, out=np.zeros(())), r"^np.max with out="),
    ("spacing", lambda x: np.gradient(x, x[0]), r"^np.gradient with a spacing that depends.*divide by it"),
    ("out of an order", lambda x: np.quantile(x, x[0]), r"^np.quantile can be recorded with a constant q alone"),
    ("polyfit", lambda x: np.polyfit(np.arange(3.0), x, 1, full=True), r"^np.polyfit can be recorded with one degree"),
    ("poly", lambda x: np.poly(np.outer(x, x)), r"^np.poly can be recorded of real zeros in one dimension"),
    (
        "period",
        lambda x: np.interp([0.5], x, x, period=1.0),
        r"^np.interp with period= can't be recorded where xp depends",
    ),
    (
        "no period",
        lambda x: np.interp(x, [0.0, 1], [0.0, 1], period=0),
        r"^np.interp: got period=0, expected a constant",
    ),
    ("one point", lambda x: np.interp([0.5], x[:1], x[:1]), r"^np.interp of one point is a constant: write it"),
    ("product with a number", lambda x: x @ x[0], r"^np.matmul of a scalar: use \*"),
    (
        "sparse and a stack",
        lambda x: mj.d_identity_dx(3).tocsr() @ x[None, :, None],
        r"of a scipy.sparse matrix and a stack",
    ),
    ("sparse in einsum", lambda x: np.einsum("ij,j", mj.d_identity_dx(3).tocsr(), x), r"scipy\.sparse"),
]


@pytest.mark.parametrize(("fun", "message"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_what_cannot_be_recorded(fun, message):
    with pytest.raises(mj.TracingError, match=message):
        mj.compile(fun, (3,))


WRONG = [
    ("contraction", lambda x: np.tensordot(x, np.ones(2), 1), r"np.tensordot: got shapes \(3,\) and \(2,\)"),
    ("axes of einsum", lambda x: np.einsum("ij->i", x), r"np.einsum: got an operand of shape \(3,\), expected 2 axes"),
    ("lengths in einsum", lambda x: np.einsum("i,i", x, np.ones(2)), r"np.einsum: got axes 'i' of 3 and 2"),
    ("few points", lambda x: np.gradient(x[:1]), r"np.gradient: got 1 points, expected at least 2"),
    ("spacings", lambda x: np.gradient(x, 1.0, 2.0), r"np.gradient: got 2 spacings, expected one"),
    (
        "places",
        lambda x: np.gradient(x, np.ones((2, 2))),
        r"np.gradient: got coordinates of shape \(2, 2\), expected \(3,\)",
    ),
    ("edges", lambda x: np.gradient(x, edge_order=3), r"edge_order: got 3, expected 1 or 2"),
    ("mode", lambda x: np.convolve(x, x, "most"), r"mode: got 'most', expected 'full', 'same' or 'valid'"),
    ("nothing", lambda x: np.convolve(x, []), r"np.convolve: got an empty array"),
    ("axes of one operand in einsum", lambda x: np.einsum("ii->i", x[:, None]), r"expected equal axes 'i' \(ii\)"),
    ("operands of einsum", lambda x: np.einsum("i,i", x), r"np.einsum: got 1 operands for 2 terms"),
    ("result of einsum", lambda x: np.einsum("i->j", x), r"np.einsum: got the result's axes 'j'"),
    (
        "inner dimensions",
        lambda x: x @ np.ones((2, 2)),
        r"matmul: got shapes \(3,\) and \(2, 2\), whose inner dimensions differ",
    ),
    ("where of max", lambda x: np.max(x, where=[True, False, True]), r"np.max with where= needs initial="),
    ("an index", lambda x: np.take(x, np.argsort(x) + 1), r"an index is out of bounds for an axis of 3 entries"),
    ("a share", lambda x: np.quantile(x, 1.5), r"np.quantile: got q = 1.5, expected shares from 0 to 1"),
    ("axis", lambda x: np.cumulative_sum(np.outer(x, x)), r"np.cumulative_sum: got 2 dimensions and no axis"),
    ("weights", lambda x: np.average(np.outer(x, x), weights=np.ones(3)), r"np.average: got weights of another shape"),
    ("dimensions of cov", lambda x: np.cov(x[None, None]), r"np.cov: got an array of 3 dimensions"),
    ("integrals", lambda x: np.polyder(x, -1), r"np.polyder: got m = -1, expected 0 or more"),
    ("cross", lambda x: np.cross(x, np.ones(4)), r"np.cross: got vectors of 3 and 4"),
    ("order of differences", lambda x: np.diff(x, -1), r"np.diff: got n = -1"),
]


@pytest.mark.parametrize(("fun", "message"), [b[1:] for b in WRONG], ids=[b[0] for b in WRONG])
def test_wrong_arguments(fun, message):
    with pytest.raises(mj.TracingError, match=message):
        mj.compile(fun, (3,))


@pytest.mark.parametrize("fun", [np.median, lambda x: np.quantile(x, 0.3), lambda x: np.percentile(x, [20.0, 80.0])])
def test_ranks_of_what_is_not_a_number(fun):
    """As NumPy's, they are not numbers where one entry is none."""
    x = np.array([1.0, np.nan, 3.0, 2.0])
    assert_array_equal(mj.compile(fun, (4,))(x), fun(x))


@pytest.mark.filterwarnings("ignore:Arrays of 2-dimensional vectors:DeprecationWarning")  # from NumPy 2.0 on
def test_cross_in_the_plane():
    F = mj.compile(lambda x, y: np.cross(x, y), (2,), (2,))
    assert F([1.0, 2], [3.0, 5]) == 1 * 5 - 2 * 3
    assert_array_equal(F.jacobian([1.0, 2], [3.0, 5]).toarray(), [[5, -3, -2, 1]])


def test_correlations_of_one_variable():
    F = mj.compile(lambda x: np.corrcoef(x) * x, (3,))
    assert_array_equal(F.jacobian([1.0, 2, 4]).toarray(), np.eye(3))


def test_covariances_of_one_observation():
    """A row is one observation of as many variables as it has entries."""
    F = mj.compile(lambda X: np.cov(X, rowvar=False, bias=True), (1, 3))
    assert_array_equal(F(np.ones((1, 3))), np.zeros((3, 3)))


def test_running_sums_of_nothing():
    for fun, first in ((np.cumulative_sum, 0), (np.cumulative_prod, 1)):
        assert_array_equal(mj.compile(partial(fun, include_initial=True), (0,))(np.ones(0)), [first])


#: Linear in the last argument, both of which are recorded.
BILINEAR = {
    "convolve": np.convolve,
    "convolve, turned": lambda x, d: np.convolve(d, x[:2], "same"),
    "correlate": lambda x, d: np.correlate(x, d, "full"),
    "polymul": lambda x, d: np.polymul(d, x),
}


@pytest.mark.parametrize("name", BILINEAR)
def test_rules_that_convolve(name):
    fun, x = BILINEAR[name], np.array([2.0, -1, 0.5, 3])
    named = mj.rule(lambda x: fun(x, x), differential=fun)
    J = mj.compile(lambda x: named(x), (4,)).jacobian(x)
    columns = [np.convolve(x, d) if name == "polymul" else fun(x, d) for d in np.eye(4)]
    assert_allclose(J.toarray(), np.transpose(columns))
    assert_allclose(J.T @ np.arange(J.shape[0]), columns @ np.arange(J.shape[0]))


CONVERTED = {
    "sum": lambda x: np.sum(x, dtype=np.float64),
    "cumsum": lambda x: np.cumsum(x, dtype=np.float64),
    "cumprod": lambda x: np.cumprod(x, dtype=np.float64),
    "var": lambda x: np.var(x, dtype=np.float64),
    "einsum": lambda x: np.einsum("i,j->ij", x, x, dtype=np.float64),
}


@pytest.mark.parametrize("name", CONVERTED)
def test_results_in_another_dtype(name):
    x = np.array([0.5, 2.0, -1.25], np.float32)
    F, wanted = mj.compile(CONVERTED[name], (3,)), CONVERTED[name](x)
    assert F(x).dtype == wanted.dtype == np.float64
    assert_allclose(F(x), wanted, rtol=1e-12)
    assert_allclose(F.jacobian(x).toarray(), expected(CONVERTED[name], [x.astype(float)], "C"), atol=1e-6)


def test_the_path_of_recorded_arrays():
    terms = "ij,jk,kl->il"
    F = mj.compile(lambda X: np.einsum(terms, X, X, X, optimize=np.einsum_path(terms, X, X, X)[0]), (3, 3))
    X = np.arange(9.0).reshape(3, 3)
    assert_allclose(F(X), X @ X @ X)
