"""One compiled function at many points: the same pattern everywhere, exact and shared, and the values of each point."""

import contextlib
import copy
import functools
import itertools
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as spl
from functions import COUNTS, FUNCTIONS, REAL, ZEROS_BY_VALUE, A
from measures import peak
from numpy.testing import assert_allclose, assert_array_equal
from oracles import complex_step, lay_out
from scipy.optimize import least_squares

import matjac as mj

ALL = FUNCTIONS | REAL
SIX = ("generic", "half zeros", "zeros", "ones", "permuted", "generic again")

#: Points where there is no derivative to compare with: a division by zero, a singular matrix, the tip of a cone.
#: (A kink is none of these: there a value between the one-sided derivatives is right.)
LEFT_OUT = {
    ("scalar variable", "zeros"),
    ("gaussian likelihood", "zeros"),
    ("gaussian likelihood", "ones"),
    ("likelihood of a triangle", "zeros"),
    ("norm", "zeros"),
    ("row norms", "zeros"),
    ("distances", "zeros"),
    ("distances", "ones"),
}


# the points -------------------------------------------------------------------------------------------


def at(name, kind):
    """One array for each variable of a function, at a kind of point."""
    rng = np.random.default_rng(3)
    generic = [rng.standard_normal(shape) for shape in ALL[name][1]]
    if kind == "half zeros":
        # a chessboard: every other entry, so that no row, column or diagonal of a matrix is zero all along
        return [np.where(np.indices(x.shape).sum(axis=0) % 2 == 0, x, 0.0) for x in generic]
    if kind == "zeros":
        return [np.zeros_like(x) for x in generic]
    if kind == "ones":
        return [np.ones_like(x) for x in generic]
    if kind == "permuted":
        return [rng.permutation(x.ravel()).reshape(x.shape) for x in generic]
    return generic


def points(name):
    """The points of a function, the kinds and the arrays."""
    return [(kind, at(name, kind)) for kind in SIX if (name, kind) not in LEFT_OUT]


# what is expected there -------------------------------------------------------------------------------


def in_turn(derivative, fun, arguments):
    """The derivative by each argument."""
    return [
        derivative(lambda x, k=k: fun(*arguments[:k], x, *arguments[k + 1 :]), argument)
        for k, argument in enumerate(arguments)
    ]


def differences(fun, x, ahead, behind):
    """The tensor of (F(x + ahead) − F(x − behind)) / (ahead + behind), entry by entry of x."""
    columns = []
    for place in np.ndindex(x.shape):
        direction = np.zeros(x.shape)
        direction[place] = 1
        change = np.asarray(fun(x + ahead * direction)) - np.asarray(fun(x - behind * direction))
        columns.append(change / (ahead + behind))
    return np.stack(columns, axis=-1).reshape(*np.shape(columns[0]), *x.shape)


def one_sided(fun, x):
    """The derivatives to both sides of x, the smaller and the larger; they are one where there is no kink."""
    right, left, central = (differences(fun, x, *steps) for steps in ((1e-6, 0), (0, 1e-6), (1e-6, 1e-6)))
    kink = np.abs(right - left) > 1e-4 * (1 + np.abs(right) + np.abs(left))
    return np.where(kink, np.minimum(left, right), central), np.where(kink, np.maximum(left, right), central)


@functools.cache
def derivatives(name, kind):
    """The tensors of the derivative by each variable, at the least and at the most."""
    if kind == "generic again":
        return derivatives(name, "generic")
    fun, arguments = ALL[name][0], at(name, kind)
    if name in FUNCTIONS:
        return [(tensor, tensor) for tensor in in_turn(complex_step, fun, arguments)]
    return in_turn(one_sided, fun, arguments)


def bounds(name, kind, order):
    """The Jacobian matrix by all variables side by side, at the least and at the most."""
    variables = at(name, kind)
    return [
        np.hstack([lay_out(both[k], x.ndim, order, "numerator") for both, x in zip(tensors, variables, strict=True)])
        for tensors in [derivatives(name, kind)]
        for k in (0, 1)
    ]


def tolerance(name, dense):
    return (1e-11 if name in FUNCTIONS else 1e-6) * max(1.0, float(np.abs(dense).max(initial=0)))


def check_values(name, kind, order, dense):
    """A Jacobian matrix is the derivative; at a kink it is between the derivatives to both sides."""
    least, most = bounds(name, kind, order)
    assert np.isfinite(dense).all(), kind
    assert_allclose(dense, np.clip(dense, least, most), rtol=0, atol=tolerance(name, least), err_msg=kind)


@functools.cache
def places(name):
    """Where derivatives by each variable are not zero at some of many points: what a pattern has to hold, and no more.

    An entry that is zero by structure is zero everywhere; one that is not is not zero but at points of measure
    zero, or on one side of a kink. This reads the function as numbers: no rule, no pattern, no product.
    """
    fun, shapes = ALL[name]
    found = None
    for seed in range(8 if name in FUNCTIONS else 24):
        rng = np.random.default_rng(100 + seed)
        arguments = [rng.uniform(0.5, 2) * rng.standard_normal(shape) for shape in shapes]
        if name in FUNCTIONS:
            tensors = in_turn(complex_step, fun, arguments)
        else:
            tensors = in_turn(functools.partial(differences, ahead=1e-6, behind=1e-6), fun, arguments)
        small = (1e-10 if name in FUNCTIONS else 1e-6) * max(1.0, *(np.abs(t).max() for t in tensors))
        here = [np.abs(t) > small for t in tensors]
        found = here if found is None else [was | now for was, now in zip(found, here, strict=True)]
    return found


def places_matrix(name, order):
    shapes = ALL[name][1]
    tensors = zip(places(name), shapes, strict=True)
    return np.hstack([lay_out(tensor, len(shape), order, "numerator") for tensor, shape in tensors])


# what a matrix must be --------------------------------------------------------------------------------


def check_canonical(M):
    """Sorted, without duplicates, in range; of one index type."""
    fresh = sp.csr_array((M.data.copy(), M.indices.copy(), M.indptr.copy()), shape=M.shape)
    fresh.check_format(full_check=True)
    assert fresh.has_canonical_format
    assert M.indices.dtype == M.indptr.dtype == np.int32


def check_same(M, N, scale=1.0):
    """The same matrix, and the same pattern, but for rounding of the values."""
    assert M.shape == N.shape
    assert M.dtype == N.dtype
    assert_array_equal(M.indptr, N.indptr)
    assert_array_equal(M.indices, N.indices)
    # BLAS sums in another order where an array is laid out in another
    assert_allclose(M.data, N.data, rtol=1e-9, atol=1e-12 * scale)


class Kept:
    """Matrices that were handed out, and what they were then."""

    def __init__(self):
        self.matrices = []

    def __call__(self, M):
        """Keep one."""
        self.matrices.append((M, M.data.copy(), M.indices.copy(), M.indptr.copy(), M.shape))
        return M

    def check(self):
        """They are as they were."""
        for M, data, indices, indptr, shape in self.matrices:
            assert M.shape == shape
            assert_array_equal(M.data, data)
            assert_array_equal(M.indices, indices)
            assert_array_equal(M.indptr, indptr)


# six points -------------------------------------------------------------------------------------------


def test_points_are_left_out_for_a_reason():
    for name, kind in LEFT_OUT:
        fun, arguments = ALL[name][0], at(name, kind)
        with contextlib.suppress(np.linalg.LinAlgError), np.errstate(all="ignore"):
            tensors = derivatives(name, kind)
            smooth = all(np.isfinite(fun(*arguments)).all() and np.array_equal(*both) for both in tensors)
            assert not smooth, (name, kind)
    for name in ALL:
        for kind, arguments in points(name):
            assert np.isfinite(ALL[name][0](*arguments)).all(), (name, kind)
            assert all(np.isfinite(t).all() for both in derivatives(name, kind) for t in both), (name, kind)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("name", ALL)
def test_six_points_with_zeros(name, order):
    """Compiled once: at each point the derivative, and what a function compiled there alone would give."""
    fun, shapes = ALL[name]
    F = mj.compile(fun, *shapes, order=order)
    rng = np.random.default_rng(0)
    kept, first = Kept(), None
    for kind, arguments in points(name):
        x = F.pack(*arguments)
        assert_allclose(F.fun(x), np.ravel(fun(*arguments), order=order), rtol=1e-11, atol=1e-12, err_msg=kind)
        J = F.jacobian(*arguments)
        M = J.tocsr()
        dense = M.toarray()
        scale = max(1.0, float(np.abs(dense).max()))
        check_canonical(M)
        check_values(name, kind, order, dense)
        # a matrix of its own: by points as examples, never seen before
        fresh = mj.compile(fun, *arguments, order=order).jacobian(*arguments)
        check_same(M, fresh.tocsr(), scale)
        if first is None:
            first, into, into_flat = M, J.tocsr(), F.jac_csr(x)
            buffers = [(N.data, N.indices, N.indptr) for N in (into, into_flat)]
        # one pattern at every point
        assert_array_equal(M.indptr, first.indptr, err_msg=kind)
        assert_array_equal(M.indices, first.indices, err_msg=kind)
        assert J.nnz == M.nnz == first.nnz
        for mine, theirs in zip(J.structure(), (first.indptr, first.indices), strict=True):
            assert_array_equal(mine, theirs)
        # the same entries by other ways
        data = np.full(J.nnz, np.nan)
        J.fill(data)
        assert_allclose(data, M.data, rtol=1e-9, atol=1e-12 * scale)
        assert J.tocsr(out=into) is into
        assert F.jac_csr(x, out=into_flat) is into_flat
        flat = F.jac_csr(x)
        for other in (into, into_flat, flat):
            check_same(other, M, scale)
        start, stop = M.shape[0] // 3, M.shape[0] - M.shape[0] // 4
        part = J.rows(start, stop)
        check_canonical(part)
        check_same(part, M[start:stop], scale)
        # products
        v, u = rng.standard_normal(M.shape[1]), rng.standard_normal(M.shape[0])
        for K in (J, F.jac(x)):
            assert_allclose(K @ v, dense @ v, rtol=1e-9, atol=1e-11 * scale, err_msg=kind)
            assert_allclose(K.T @ u, dense.T @ u, rtol=1e-9, atol=1e-11 * scale, err_msg=kind)
        kept(M)
        kept(flat)
        kept(part)
    kept.check()
    for N, parts in zip((into, into_flat), buffers, strict=True):
        assert all(now is before for now, before in zip((N.data, N.indices, N.indptr), parts, strict=True))


# gradients --------------------------------------------------------------------------------------------


def check_gradient(found, wanted, shapes, limit):
    """An array for one variable, a tuple for several, in the variables' shapes."""
    assert isinstance(found, tuple) == (len(shapes) > 1)
    parts = found if isinstance(found, tuple) else (found,)
    assert len(parts) == len(shapes)
    ends = np.cumsum([0, *(int(np.prod(shape)) for shape in shapes)])
    for k, (part, shape) in enumerate(zip(parts, shapes, strict=True)):
        assert part.shape == shape
        assert_allclose(part, wanted[ends[k] : ends[k + 1]].reshape(shape), rtol=0, atol=limit)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("name", ALL)
def test_gradients(name, order):
    """Jᵀw in the variables' shapes, and as one flat vector in the order of the function's."""
    fun, shapes = ALL[name]
    F = mj.compile(fun, *shapes, order=order)
    rng = np.random.default_rng(0)
    for kind, arguments in points(name):
        x = F.pack(*arguments)
        # in C order, whatever the function's; at a kink, what the Jacobian says
        least, most = bounds(name, kind, "C")
        dense = least
        if not np.array_equal(least, most):
            dense = mj.compile(fun, *shapes).jacobian(*arguments).toarray()
            check_values(name, kind, "C", dense)
        W = rng.standard_normal(F.out_shape)
        wanted = dense.T @ W.ravel()
        limit = tolerance(name, dense) * max(1.0, float(np.abs(W).sum()))
        check_gradient(F.gradient(*arguments, weights=W), wanted, shapes, limit)
        flat = F.grad(x, np.ravel(W, order=order))
        assert flat.shape == x.shape
        check_gradient(unpacked(F, flat), wanted, shapes, limit)
        if F.out_shape == ():
            limit = tolerance(name, dense)
            check_gradient(F.gradient(*arguments), dense[0], shapes, limit)
            flat = F.grad(x)
            assert flat.shape == x.shape
            check_gradient(unpacked(F, flat), dense[0], shapes, limit)


def unpacked(F, flat):
    parts = F.unpack(flat)
    return parts if len(parts) > 1 else parts[0]


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_gradient_of_a_square_matrix_is_not_transposed(order):
    """d tr(MᵀX) = tr(Mᵀ dX): the gradient is M, for X in C or in F order; Mᵀ would have the same shape."""
    M = np.arange(9.0).reshape(3, 3)
    F = mj.compile(lambda X: np.sum(M * X) + X[0, 1] ** 2, (3, 3), order=order)
    X = np.random.default_rng(0).standard_normal((3, 3))
    wanted = M.copy()
    wanted[0, 1] += 2 * X[0, 1]
    assert_allclose(F.gradient(X), wanted, rtol=1e-12)
    assert_allclose(F.grad(F.pack(X)), wanted.ravel(order=order), rtol=1e-12)
    assert_allclose(F.gradient(X, weights=np.array(-2.0)), -2 * wanted, rtol=1e-12)
    assert_allclose(F.jacobian(X).toarray(), [wanted.ravel(order=order)], rtol=1e-12)


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_weights_of_a_square_matrix_are_not_transposed(order):
    """⟨W, M X⟩ has the gradient MᵀW."""
    rng = np.random.default_rng(0)
    M, X, W = rng.standard_normal((3, 3, 3))
    F = mj.compile(lambda X: M @ X, (3, 3), order=order)
    assert_allclose(F.gradient(X, weights=W), M.T @ W, rtol=1e-12)
    flat = F.grad(X.ravel(order=order), W.ravel(order=order))
    assert_allclose(flat, (M.T @ W).ravel(order=order), rtol=1e-12)


def test_a_gradient_is_ones_own():
    """Neither the variables nor the weights nor a later gradient share memory with it."""
    F = mj.compile(lambda X, Y: np.sum(X) + np.sum(X * Y), (2, 2), (2, 2))
    X, Y = np.ones((2, 2)), np.full((2, 2), 2.0)
    gradient = F.gradient(X, Y)
    for part in gradient:
        part += 10
    assert_array_equal(X, np.ones((2, 2)))
    assert_array_equal(Y, np.full((2, 2), 2.0))
    assert_array_equal(F.gradient(X, Y), [np.full((2, 2), 3.0), np.ones((2, 2))])
    G = mj.compile(lambda X: X, (2, 2))
    W = np.ones((2, 2))
    gradient = G.gradient(X, weights=W)
    gradient += 10
    assert_array_equal(W, np.ones((2, 2)))


def test_weights_of_a_gradient_are_checked():
    F = mj.compile(lambda X: X.T @ X, (2, 3))
    X = np.ones((2, 3))
    with pytest.raises((TypeError, ValueError), match=r"^weights: "):
        F.gradient(X)
    with pytest.raises(ValueError, match=r"^weights: got shape \(2, 3\), expected \(3, 3\)"):
        F.gradient(X, weights=np.ones((2, 3)))


# patterns ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("name", ALL)
def test_patterns_are_exact(name, order):
    """An entry is stored where the derivative is not zero at some point, and nowhere else."""
    fun, shapes = ALL[name]
    J = mj.compile(fun, *shapes, order=order).jacobian(*at(name, "generic"))
    wanted = places_matrix(name, order)
    indptr, indices = J.structure()
    stored = sp.csr_array((np.ones(indices.size, dtype=bool), indices, indptr), shape=J.shape).toarray()
    assert J.nnz == indices.size == np.count_nonzero(stored)
    missing = np.argwhere(wanted & ~stored)
    assert not missing.size, missing
    if name not in ZEROS_BY_VALUE:
        extra = np.argwhere(stored & ~wanted)
        assert not extra.size, f"{len(extra)} entries that are zero everywhere: {extra[:10].tolist()}"


@pytest.mark.parametrize("name", COUNTS)
def test_counts_of_entries(name):
    """By hand, the structural oracle, and the library."""
    fun, shapes = ALL[name]
    if name not in ZEROS_BY_VALUE:
        assert np.count_nonzero(places_matrix(name, "C")) == COUNTS[name]
    for kind, arguments in points(name):
        assert mj.compile(fun, *shapes).jacobian(*arguments).nnz == COUNTS[name], kind


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_pattern_is_the_same_for_every_dtype(name):
    fun, shapes = FUNCTIONS[name]
    F = mj.compile(fun, *shapes)
    arguments = at(name, "half zeros")
    first = F.jacobian(*arguments).tocsr()
    for dtype in ("float32", "complex64", "complex128", "float64"):
        J = F.jacobian(*(np.asarray(x, dtype) for x in arguments))
        assert J.nnz == first.nnz
        M = J.tocsr()
        assert_array_equal(M.indptr, first.indptr)
        assert_array_equal(M.indices, first.indices)
        narrow = dtype in ("float32", "complex64")
        # rounding to float32 is multiplied on the way through an inverse
        limit = (1e-3 if narrow else 1e-12) * max(1.0, np.abs(first.data).max())
        assert_allclose(M.toarray(), first.toarray(), rtol=0, atol=limit)


@pytest.mark.parametrize("name", sorted({name for name, _ in LEFT_OUT}))
@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_the_pattern_is_the_same_where_values_are_not_finite(name, value):
    fun, shapes = ALL[name]
    F = mj.compile(fun, *shapes)
    arguments = at(name, "generic")
    first = F.jacobian(*arguments).tocsr()
    bad = [np.full(shape, value) for shape in shapes]
    with np.errstate(all="ignore"), contextlib.suppress(np.linalg.LinAlgError):
        M = F.jacobian(*bad).tocsr()
        # (of a root at zero a library may say 0)
        assert value == 0 or not np.isfinite(M.data).all()
        assert_array_equal(M.indptr, first.indptr)
        assert_array_equal(M.indices, first.indices)
    check_same(F.jacobian(*arguments).tocsr(), first)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("name", [name for name in ALL if len(ALL[name][1]) > 1])
def test_by_some_of_the_variables(name, order):
    """Each variable's columns, by themselves and the other way round, with the whole Jacobian's pattern."""
    fun, shapes = ALL[name]
    F = mj.compile(fun, *shapes, order=order)
    ends = np.cumsum([0, *(int(np.prod(shape)) for shape in shapes)])
    for kind in ("generic", "half zeros"):
        arguments = at(name, kind)
        whole = F.jacobian(*arguments).tocsr()
        parts = [whole[:, start:stop] for start, stop in itertools.pairwise(ends)]
        for wrt, part in zip(F.names, parts, strict=True):
            check_same(F.jacobian(*arguments, wrt=wrt).tocsr(), part)
        turned = F.jacobian(*arguments, wrt=F.names[::-1]).tocsr()
        check_same(turned, sp.csr_array(sp.hstack(parts[::-1])))
        check_same(F.jacobian(*arguments).tocsr(), whole)


def test_a_zero_in_data_is_an_entry():
    """Numbers that are zero, of any dense constant or of the variable, are stored; a later function fills them."""
    Z = np.array([[0.0, 1.0], [2.0, 0.0], [0.0, 0.0]])
    X = np.zeros((2, 3))
    for fun, count in (
        (lambda X: Z @ X, 9 * 2),
        (lambda X: Z.T * X, 6),
        (lambda X: X * 0, 6),
        (lambda X: np.zeros((2, 2)) @ X, 6 * 2),
        (lambda X: np.eye(2) @ X @ np.eye(3), 6 * 6),
        (lambda X: np.tanh(Z @ X) @ np.eye(3), 9 * 6),
        (lambda X: X.T @ X, 3 * 2 + 6 * 4),
        (lambda X: X**3 + np.where(Z.T > 0, Z.T, 0) * X, 6),
    ):
        assert mj.compile(fun, (2, 3)).jacobian(X).nnz == count
        assert mj.compile(fun, X).jacobian(np.ones((2, 3))).nnz == count


def test_a_stored_zero_of_a_sparse_constant_is_an_entry():
    """A sparse constant's pattern is what it stores, whatever the values; duplicates are one entry."""
    stored = sp.csr_array((np.array([0.0, 2.0, 0.0]), np.array([1, 0, 1]), np.array([0, 1, 3])), shape=(2, 2))
    doubled = sp.coo_array((np.array([1.0, -1.0, 3.0]), (np.array([0, 0, 1]), np.array([1, 1, 0]))), shape=(2, 2))
    X = np.random.default_rng(0).standard_normal((2, 3))
    assert mj.compile(lambda X: stored @ X, (2, 3)).jacobian(X).nnz == 3 * 3
    assert mj.compile(lambda X: stored @ np.tanh(X), (2, 3)).jacobian(X).nnz == 3 * 3
    J = mj.compile(lambda X: doubled @ X, (2, 3)).jacobian(X)
    check_canonical(J.tocsr())
    assert J.nnz == 2 * 3
    assert_array_equal(J.toarray(), np.kron(doubled.toarray(), np.eye(3)))


# sharing ----------------------------------------------------------------------------------------------

#: Functions of one 3 × 3 matrix whose Jacobians come about in different ways: structured, a general product, constant.
SHARED = {
    "gram": (lambda X: X.T @ X, "F"),
    "tanh, product": (lambda X: np.tanh(np.tanh(X) @ A) * X + X, "C"),
    "constant": (lambda X: A @ X - 2 * X.T, "C"),
    "triangles": (lambda X: np.tril(X) @ np.tril(X).T + 3 * X, "C"),
}
#: The ways to a matrix.
WAYS = {
    "jac_csr": lambda F, X: F.jac_csr(F.pack(X)),
    "tocsr": lambda F, X: F.jacobian(X).tocsr(),
    "flat tocsr": lambda F, X: F.jac(F.pack(X)).tocsr(),
}


def square(seed, zeros=False):
    X = np.random.default_rng(seed).standard_normal((3, 3))
    return np.where(np.indices((3, 3)).sum(axis=0) % 2 == 0, X, 0.0) if zeros else X


@pytest.fixture(params=SHARED)
def written(request):
    """A function as it is written, and an order."""
    return SHARED[request.param]


@pytest.fixture
def shared(written):
    """The function, compiled once."""
    return mj.compile(written[0], (3, 3), order=written[1])


@pytest.fixture
def fresh(written):
    """The Jacobian at a point of the function compiled just now."""
    return lambda X: mj.compile(written[0], (3, 3), order=written[1]).jacobian(X)


@pytest.fixture(params=WAYS)
def way(request):
    """A way from a function and a point to a matrix."""
    return WAYS[request.param]


def test_index_arrays_are_shared_and_read_only(shared, way, fresh):
    one, two = way(shared, square(0)), way(shared, square(1))
    assert not np.shares_memory(one.data, two.data)
    for name in ("indices", "indptr"):
        first, second = getattr(one, name), getattr(two, name)
        assert np.shares_memory(first, second)
        assert np.shares_memory(first, getattr(shared.jac_csr(shared.pack(square(2))), name))
        assert not first.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            first[0] += 1
    # values are one's own
    assert one.data.flags.writeable
    before = two.data.copy()
    one.data[:] = -1
    assert_array_equal(two.data, before)
    check_same(way(shared, square(0)), fresh(square(0)).tocsr())


def test_what_would_change_a_shared_pattern_is_refused(shared, way):
    """eliminate_zeros raises, and changes nothing anywhere."""
    X = square(0, zeros=True)
    kept = Kept()
    earlier, M = kept(way(shared, square(1))), kept(way(shared, X))
    with pytest.raises(ValueError, match="read-only"):
        M.eliminate_zeros()
    kept.check()
    again = way(shared, X)
    check_same(again, M)
    assert_array_equal(again.data, M.data)
    assert_array_equal(way(shared, square(1)).data, earlier.data)
    assert shared.jac_csr(shared.pack(square(2)), out=M) is M
    check_same(M, way(shared, square(2)))


def test_what_structure_and_rows_hand_out_changes_nothing_else(shared, fresh):
    """Their arrays are read-only, or copies."""
    X = square(0)
    J = shared.jacobian(X)
    kept = Kept()
    kept(J.tocsr())
    part = J.rows(2, 7)
    for array in (*J.structure(), part.indices, part.indptr):
        with contextlib.suppress(ValueError):
            array[:] = 0
    part.data[:] = 0
    kept.check()
    kept(J.tocsr())
    kept(shared.jacobian(X).tocsr())
    check_same(J.tocsr(), fresh(X).tocsr())
    check_same(shared.jac_csr(shared.pack(X)), fresh(X).tocsr())
    check_same(J.rows(2, 7), fresh(X).rows(2, 7))


def test_a_copy_is_ones_own(shared, way):
    """It can be edited; once its pattern is another, it is refused as a place for values."""
    M = way(shared, square(0))
    kept = Kept()
    kept(M)
    edited = M.copy()
    assert not any(np.shares_memory(getattr(edited, n), getattr(M, n)) for n in ("data", "indices", "indptr"))
    assert edited.indices.flags.writeable
    assert edited.indptr.flags.writeable
    J = shared.jacobian(square(1))
    assert J.tocsr(out=edited) is edited
    check_same(edited, J.tocsr())
    edited.data[::2] = 0
    edited.eliminate_zeros()
    assert edited.nnz < M.nnz
    before = edited.data.copy(), edited.indices.copy(), edited.indptr.copy()
    for refill in (lambda: J.tocsr(out=edited), lambda: shared.jac_csr(shared.pack(square(1)), out=edited)):
        with pytest.raises(ValueError, match=r"^out(: got entries in other places|\.data: got )"):
            refill()
    for now, was in zip((edited.data, edited.indices, edited.indptr), before, strict=True):
        assert_array_equal(now, was)
    kept.check()


@pytest.mark.parametrize("accepted", [False, True])
def test_a_copy_with_moved_entries_is_refused(shared, accepted):
    """Also if it was filled before it was edited, in place: as many entries, one in another column or row."""
    J = shared.jacobian(square(0))
    for part in ("indices", "indptr"):
        edited = J.tocsr().copy()
        if accepted:
            J.tocsr(out=edited)
        array = getattr(edited, part)
        if part == "indices":
            row = np.flatnonzero(np.diff(edited.indptr) < edited.shape[1])[0]
            start, stop = edited.indptr[row : row + 2]
            absent = np.setdiff1d(np.arange(edited.shape[1]), array[start:stop])[0]
            array[start:stop] = np.sort([absent, *array[start : stop - 1]])
        else:
            array[1] += 1
        before = edited.data.copy()
        with pytest.raises(ValueError, match=r"^out: got entries in other places"):
            J.tocsr(out=edited)
        assert_array_equal(edited.data, before)


def test_one_moved_entry_among_many_is_found():
    """Nothing is known of a pattern by a sample of it."""
    F = mj.compile(lambda R: R.T @ R, (20, 60))
    rng = np.random.default_rng(0)
    first, second = (F.jacobian(rng.standard_normal((20, 60))) for _ in range(2))
    for where in rng.integers(0, first.nnz, 5):
        stranger = first.tocsr().copy()
        assert stranger.nnz > 1 << 16
        second.tocsr(out=stranger)
        assert_array_equal(stranger.data, second.tocsr().data)
        stranger.indices[where] += -1 if stranger.indices[where] else 1
        before = stranger.data.copy()
        with pytest.raises(ValueError, match=r"^out: got entries in other places"):
            first.tocsr(out=stranger)
        assert_array_equal(stranger.data, before)


def test_a_stranger_with_the_pattern_is_filled(shared, way):
    """Of the user's making, from copies, a pickle, or a deep copy."""
    M = way(shared, square(0))
    kept = Kept()
    kept(M)
    own = M.indices.copy(), M.indptr.copy()
    J = shared.jacobian(square(1))
    expected = J.tocsr()
    for stranger in (
        sp.csr_array((np.full(M.nnz, 7.0), *own), shape=M.shape),
        sp.csr_matrix((np.full(M.nnz, 7.0), *own), shape=M.shape),
        pickle.loads(pickle.dumps(M)),
        copy.deepcopy(M),
        sp.csr_array(M, copy=True),
    ):
        assert J.tocsr(out=stranger) is stranger
        assert_array_equal(stranger.indices, M.indices)
        assert_array_equal(stranger.data, expected.data)
        assert shared.jac_csr(shared.pack(square(0)), out=stranger) is stranger
        check_same(stranger, M)
    kept.check()


def test_copies_and_pickles(shared, way):
    M = way(shared, square(0))
    for other in (pickle.loads(pickle.dumps(M)), copy.deepcopy(M)):
        assert not np.shares_memory(other.data, M.data)
        check_same(other, M)
        other.data[0] = 0
        other.eliminate_zeros()
        assert other.nnz < M.nnz
    shallow = copy.copy(M)
    check_same(shallow, M)
    assert M.nnz == shared.jacobian(square(0)).nnz


# what people do with matrices -------------------------------------------------------------------------

OPERATIONS = {
    "T": lambda M: M.T,
    "T to CSR": lambda M: M.T.tocsr(),
    "M @ M.T": lambda M: M @ M.T,
    "M.T @ M": lambda M: M.T @ M,
    "M + M": lambda M: M + M,
    "M - 2 M": lambda M: M - 2 * M,
    "2 * M": lambda M: 2 * M,
    "-M": lambda M: -M,
    "tocsc": lambda M: M.tocsc(),
    "tocoo": lambda M: M.tocoo(),
    "tobsr": lambda M: M.tobsr(),
    "tolil": lambda M: M.tolil(),
    "csr_matrix": lambda M: sp.csr_matrix(M),
    "astype": lambda M: M.astype(np.complex128),
    "sum": lambda M: M.sum(axis=0),
    "maximum of rows": lambda M: M.max(axis=1),
    "diagonal": lambda M: M.diagonal(),
    "absolute": lambda M: abs(M),
    "power": lambda M: M.power(2),
    "vstack": lambda M: sp.vstack([M, M]),
    "hstack": lambda M: sp.hstack([M, M]),
    "kron": lambda M: sp.kron(M, sp.eye_array(2)),
    "triangle": lambda M: sp.tril(M),
    "slice": lambda M: M[2:4],
    "columns": lambda M: M[:, [3, 0]],
    "multiply": lambda M: M.multiply(np.arange(9.0)[:, None]),
    "multiply by itself": lambda M: M.multiply(M),
    "scale rows": lambda M: sp.diags_array(np.arange(1.0, 10)) @ M,
    "times a vector": lambda M: M @ np.arange(9.0),
    "transpose times a vector": lambda M: M.T @ np.arange(9.0),
    "times a matrix": lambda M: M @ np.ones((9, 2)),
    "norm": lambda M: spl.norm(M),
    "norms of columns": lambda M: spl.norm(M, axis=0),
    "splu": lambda M: spl.splu(M.tocsc()).solve(np.ones(9)),
    "splu of the transpose": lambda M: spl.splu(M.T).solve(np.ones(9)),
    "factorized": lambda M: spl.factorized(M.tocsc())(np.ones(9)),
    "spsolve": lambda M: spl.spsolve(M, np.ones(9)),
    "lsmr": lambda M: spl.lsmr(M, np.ones(9), atol=1e-13, btol=1e-13)[0],
    "lsqr": lambda M: spl.lsqr(M, np.ones(9), atol=1e-13, btol=1e-13)[0],
    "gmres": lambda M: spl.gmres(M, np.ones(9), rtol=1e-12)[0],
    "linear operator": lambda M: spl.aslinearoperator(M).rmatvec(np.ones(9)),
    "sum_duplicates": lambda M: (M.sum_duplicates(), M)[1],
    "sort_indices": lambda M: (M.sort_indices(), M)[1],
    "prune": lambda M: (M.prune(), M)[1],
    "pickle": lambda M: pickle.loads(pickle.dumps(M)),
    "copy": lambda M: copy.copy(M),
    "deep copy": lambda M: copy.deepcopy(M),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("order", ["C", "F"])
def test_what_people_do_with_a_matrix(operation, order):
    """The same as with a matrix of anyone's; and the matrix, its pattern and those to come are as before."""
    F = mj.compile(SHARED["triangles"][0], (3, 3), order=order)
    X = square(4)
    kept = Kept()
    for M in (F.jac_csr(F.pack(X)), F.jacobian(X).tocsr()):
        kept(M)
        anyones = sp.csr_array((M.data.copy(), M.indices.copy(), M.indptr.copy()), shape=M.shape)
        results = [OPERATIONS[operation](matrix) for matrix in (M, anyones)]
        found, wanted = (r.toarray() if sp.issparse(r) else np.asarray(r) for r in results)
        assert np.abs(wanted).max() > 0
        assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)
        kept.check()
    assert_array_equal(F.jac_csr(F.pack(X)).indices, M.indices)
    assert_array_equal(F.jac_csr(F.pack(X)).data, kept.matrices[0][1])


@pytest.mark.parametrize("loss", ["linear", "soft_l1"])
@pytest.mark.parametrize("method", ["trf", "dogbox"])
def test_in_least_squares(method, loss):
    """Steps are those with a dense Jacobian; a robust loss scales the rows of what it was handed, in place."""
    rng = np.random.default_rng(0)
    K = np.cov(rng.standard_normal((6, 40)))
    F = mj.compile(lambda R: R.T @ R - K, (2, 6))
    x = rng.standard_normal(12)
    kept = Kept()
    out = kept(F.jac_csr(x)).copy()
    settings = {"method": method, "loss": loss, "tr_solver": "lsmr", "max_nfev": 8}
    theirs = least_squares(F.fun, x, jac=lambda x: F.jac_csr(x).toarray(), **settings)
    assert theirs.cost < 0.5 * np.sum(F.fun(x) ** 2)
    for jac in (F.jac_csr, lambda x: F.jac_csr(x, out=out), lambda x: F.jac(x).tocsr()):
        ours = least_squares(F.fun, x, jac=jac, **settings)
        assert ours.nfev == theirs.nfev
        assert_allclose(ours.x, theirs.x, atol=1e-6)
    kept.check()
    assert_array_equal(F.jac_csr(x).data, kept.matrices[0][1])


# memory -----------------------------------------------------------------------------------------------

data = np.random.default_rng(5).standard_normal((2000, 20))


def network(depth):
    def layers(*weights):
        H = data
        for P in weights:
            H = np.tanh(H @ P)
        return H

    return layers, [(20, 20)] * (depth - 1) + [(20, 3)]


#: A function, its variables' shapes, and how many numbers there may be at once: 25 arrays like its largest value, twice
#: that where it is deep. These are 8, 8 and 16 MB; the Jacobians' entries alone would be 12.8 GB, 20 MB and 78 MB.
LARGE = {
    "tanh of a Gram matrix": (lambda Z: np.tanh(Z @ Z.T) @ Z, [(200, 200)], 25 * 200 * 200),
    "two layers": (*network(2), 25 * 2000 * 20),
    "five layers": (*network(5), 2 * 25 * 2000 * 20),
}


@pytest.mark.parametrize("name", LARGE)
def test_products_need_the_memory_of_the_function(name, compiled):
    """However deep, a product makes a few arrays like the function's own, and nothing of the Jacobian's size."""
    fun, shapes, most = LARGE[name]
    rng = np.random.default_rng(0)
    arguments = [rng.standard_normal(shape) / np.sqrt(shape[0]) for shape in shapes]
    # what is loaded or compiled on a first call is not of this function
    warm = mj.compile(lambda Z: np.tanh(np.tanh(Z @ Z.T) @ Z), (3, 3))
    for product in (warm.jacobian(np.eye(3)), warm.jacobian(np.eye(3)).T):
        product @ np.ones(9)
    F = mj.compile(fun, *shapes)
    v, W = rng.standard_normal(sum(map(np.size, arguments))), rng.standard_normal(F.out_shape)
    # first calls too: no plan for a product is larger
    acts = {
        "J @ v": lambda: F.jacobian(*arguments) @ v,
        "J.T @ u": lambda: F.jacobian(*arguments).T @ W.ravel(),
        "jvp": lambda: F.jacobian(*arguments).jvp(arguments[0] if len(shapes) == 1 else tuple(arguments)),
        "vjp": lambda: F.jacobian(*arguments).vjp(W),
        "gradient": lambda: F.gradient(*arguments, weights=W),
    }
    found = {act: peak(acts[act]) for act in acts}
    assert {act: bytes for act, bytes in found.items() if bytes > 8 * most} == {}
