"""`compile`: written functions and random expressions against the complex step, and its other promises."""

import gc
import operator
import pickle
import sys
import threading
import weakref

import numpy as np
import pytest
import scipy.sparse as sp
from functions import FUNCTIONS, REAL, ZEROS_BY_VALUE, S
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from oracles import complex_step, lay_out
from scipy.optimize import least_squares

import matjac as mj
from matjac.entries.kron import CaseSplitAssembler, KronAssembler
from matjac.linear import factors, reduce


def central(fun, x, step=1e-6):
    columns = []
    for at in np.ndindex(x.shape):
        direction = np.zeros(x.shape)
        direction[at] = step
        columns.append((np.asarray(fun(x + direction)) - np.asarray(fun(x - direction))) / (2 * step))
    return np.stack(columns, axis=-1).reshape(*np.shape(columns[0]), *x.shape)


def expected(fun, points, order, derivative):
    """The Jacobian matrix by all variables side by side."""
    blocks = []
    for k, point in enumerate(points):
        tensor = derivative(lambda x, k=k: fun(*points[:k], x, *points[k + 1 :]), point)
        blocks.append(lay_out(tensor, point.ndim, order, "numerator"))
    return np.hstack(blocks)


def check_faces(J, dense, tolerance=1e-12):
    A = J.tocsr()
    fresh = sp.csr_array((A.data, A.indices, A.indptr), shape=A.shape)
    fresh.check_format(full_check=True)
    assert fresh.has_canonical_format
    assert A.nnz == J.nnz
    scale = max(1.0, float(np.abs(dense).max(initial=0)))
    assert_allclose(A.toarray(), dense, atol=tolerance * scale)
    v = np.random.default_rng(0).standard_normal(J.shape[1])
    assert_allclose(J @ v, dense @ v, atol=20 * tolerance * scale)
    assert_allclose(J.T @ (dense @ v), dense.T @ (dense @ v), atol=200 * tolerance * scale**2)
    return A


def points_for(shapes, dtype, seed=1):
    rng = np.random.default_rng(seed)
    points = [rng.standard_normal(s) for s in shapes]
    if np.dtype(dtype).kind == "c":
        points = [p + 0.3j * rng.standard_normal(p.shape) for p in points]
    return [np.asarray(p, dtype) for p in points]


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_written_functions(name, order, dtype):
    fun, shapes = FUNCTIONS[name]
    points = points_for(shapes, dtype)
    F = mj.compile(fun, *shapes, order=order)
    assert_allclose(F(*points), fun(*points), rtol=1e-12)
    J = F.jacobian(*points)
    assert J.dtype == dtype
    dense = expected(fun, points, order, complex_step)
    A = check_faces(J, dense)
    if name not in ZEROS_BY_VALUE:
        # no entry is stored where the derivative is zero by structure
        assert A.nnz == np.count_nonzero(np.abs(dense) > 1e-13), name
    x = F.pack(*points)
    assert_allclose(F.fun(x), np.ravel(fun(*points), order=order), rtol=1e-12)
    # the same but for rounding: BLAS sums in another order where an array is laid out in another
    assert_allclose(F.jac_csr(x).toarray(), A.toarray(), rtol=1e-9, atol=1e-13)
    assert_allclose(F.jac(x).toarray(), A.toarray(), rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("name", REAL)
def test_functions_of_real_points(name):
    fun, shapes = REAL[name]
    points = points_for(shapes, float)
    F = mj.compile(fun, *shapes)
    assert_allclose(F(*points), fun(*points), rtol=1e-12)
    check_faces(F.jacobian(*points), expected(fun, points, "C", central), tolerance=1e-6)
    mj.check(F, *points)


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize("name", ["gram", "outer gram", "transpose", "softmax32", "masked"])
def test_narrow_dtypes_stay(name, dtype):
    narrow = np.asarray(FUNCTIONS["hadamard"][0](np.ones((3, 4))), dtype)
    fun = {
        "gram": lambda X: X.T @ X,
        "outer gram": lambda X: X @ X.T,
        "transpose": lambda X: X.T * 2,
        "softmax32": lambda X: np.exp(X @ narrow.T) / np.exp(X @ narrow.T).sum(axis=1, keepdims=True),
        "masked": lambda X: (X @ X.T)[[0, 2], [1, 1]],
    }[name]
    points = points_for([(3, 4)], dtype)
    J = mj.compile(fun, (3, 4)).jacobian(*points)
    assert J.dtype == dtype
    assert J.tocsr().dtype == dtype
    dense = expected(fun, [p.astype(np.result_type(dtype, np.float64)) for p in points], "C", complex_step)
    assert_allclose(J.toarray(), dense, atol=2e-4 * np.abs(dense).max())


def leaf(draw, size, count):
    k = draw(st.integers(0, count + 1))
    constant = np.random.default_rng(k).standard_normal((size, size))
    return lambda *x: x[k] if k < count else constant


@st.composite
def expressions(draw):
    """A function of one to three n × n matrices, from the list of what can be written."""
    size, count = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    depth = draw(st.integers(1, 4))
    C = np.random.default_rng(draw(st.integers(0, 99))).standard_normal((size, size))
    unary = [
        np.tanh,
        np.sin,
        np.transpose,
        np.negative,
        np.square,
        lambda x: np.exp(x / 4),
        lambda x: x[::-1],
        lambda x: x[:, [0] * size],
        lambda x: np.tril(x),
        lambda x: x.sum(axis=0) + C,
        lambda x: x - x.mean(axis=1, keepdims=True),
        lambda x: sp.csr_array(np.tril(C)) @ x,
        lambda x: C @ x,
        lambda x: x @ C,
        lambda x: x.reshape(-1).reshape(size, size, order="F"),
        lambda x: np.diag(np.diagonal(x)),
        lambda x: np.concatenate([x, C])[-size - 1 : -1],
        lambda x: np.einsum("ij,kj->ki", x, C),
        lambda x: np.where(C > 0, x, 0.5 * x),
        lambda x: x / (4 + np.sum(x * x)),
    ]
    binary = [operator.add, operator.sub, operator.mul, operator.matmul, lambda x, y: x @ y.T, lambda x, y: x * y[0]]
    pool = [leaf(draw, size, count) for _ in range(2)] + [lambda *x, k=k: x[k] for k in range(count)]
    for _ in range(depth):
        if draw(st.booleans()):
            f, a = draw(st.sampled_from(unary)), draw(st.sampled_from(pool))
            pool.append(lambda *x, f=f, a=a: f(a(*x)))
        else:
            f, a, b = draw(st.sampled_from(binary)), draw(st.sampled_from(pool)), draw(st.sampled_from(pool))
            pool.append(lambda *x, f=f, a=a, b=b: f(a(*x), b(*x)))
    # every variable is used, so that the value surely depends on one
    return (lambda *x: pool[-1](*x) + sum(x)), [(size, size)] * count


@given(expressions(), st.sampled_from(["C", "F"]), st.sampled_from(["float64", "complex128", "float32", "complex64"]))
def test_random_expressions(drawn, order, dtype):
    fun, shapes = drawn
    points = points_for(shapes, dtype)
    F = mj.compile(fun, *shapes, order=order)
    narrow = np.dtype(dtype).char in "fF"
    value = fun(*points)
    assert F(*points).dtype == value.dtype == F.jacobian(*points).dtype
    largest = max(1.0, float(np.abs(value).max()))
    assert_allclose(F(*points), value, atol=(1e-4 if narrow else 1e-12) * largest)
    wide = [p.astype(np.result_type(p.dtype, np.float64)) for p in points]
    dense = expected(fun, wide, order, complex_step)
    check_faces(F.jacobian(*points), dense, tolerance=2e-3 if narrow else 1e-11)


def assembler(J):
    """What fills the entries of a Jacobian as it is laid out."""
    return J.plan.entries(J.layout).assembler


def test_the_closed_forms_bit_for_bit():
    rng = np.random.default_rng(0)
    X, A, B = rng.standard_normal((5, 7)), rng.standard_normal((5, 5)), rng.standard_normal((7, 3))
    for fun, point, closed in (
        (lambda R: R.T @ R, X, mj.d_gram_dR(X)),
        (lambda R: R @ R.T, X, mj.d_outer_gram_dR(X)),
        (lambda M: M @ B, X, mj.d_matmul_dA(B, 5)),
        (lambda M: A @ M, X, mj.d_matmul_dB(A, 7)),
        (lambda M: A @ M @ B, X, mj.d_sandwich_dX(A, B)),
        (lambda M: X * M, X, mj.d_hadamard_dA(X)),
        (lambda M: M.T, X, mj.d_transpose_dX((5, 7))),
        (lambda M: M @ B[:, 0], X, mj.d_matvec_dA(B[:, 0], 5)),
        (lambda M: np.linalg.inv(M), A, mj.d_inv_dA(A)),
        (lambda M: np.kron(M, B), A, mj.d_kron_dA(B, (5, 5))),
        (lambda R: (R.T @ R)[np.triu_indices(7)], X, mj.d_gram_dR(X, triangle="upper")),
    ):
        J = mj.compile(fun, point.shape).jacobian(point)
        ours, theirs = J.tocsr(), closed.tocsr()
        assert_array_equal(ours.indptr, theirs.indptr)
        assert_array_equal(ours.indices, theirs.indices)
        assert_array_equal(ours.data, theirs.data)
        if not isinstance(assembler(closed), KronAssembler):
            assert type(assembler(J)) is type(assembler(closed))
    X = rng.standard_normal((3, 4))
    assert isinstance(assembler(mj.compile(lambda X: X.T @ np.eye(3) @ X, (3, 4)).jacobian(X)), CaseSplitAssembler)


def test_what_is_structured():
    for name in (
        "gram",
        "congruence",
        "sandwich",
        "tanh with bias",
        "softmax",
        "masked factorisation",
        "few entries of a Gram matrix",
        "einsum pairs of rows",
        "boolean mask",
        "triangle",
        "hadamard",
        "kron by a constant",
        "ridge",
        "three factors",
        "half squares",
    ):
        fun, shapes = FUNCTIONS[name]
        assert mj.compile(fun, *shapes).explain().endswith("every step is structured"), name
    text = mj.compile(lambda X: 2 * np.linalg.inv(np.tanh(X) + 3 * np.eye(3)), (3, 3)).explain()
    assert "inv(2) → (3, 3): general sparse product" in text
    # what follows has a factor that was made by one
    assert text.endswith("2 steps fell back to a general sparse product")


def test_few_entries_of_a_product_are_made_alone():
    def explained(name):
        fun, shapes = FUNCTIONS[name]
        return mj.compile(fun, *shapes).explain()

    assert "matmul, taken(0, 2) → (4,): 2 terms" in explained("few entries of a product")
    # a BLAS makes many faster, and all are there where they have another use
    assert "matmul, taken" not in explained("triangle")
    assert "matmul, taken" not in explained("few entries, and all")


def test_named_arguments():
    F = mj.compile(lambda U, V: U @ V.T, (2, 1), (3, 1))
    U, V = np.ones((2, 1)), np.arange(3.0)[:, None]
    whole = F.jacobian(U, V).toarray()
    assert_array_equal(F.jacobian(U, V, wrt="V").toarray(), whole[:, 2:])
    assert_array_equal(F.jacobian(U, V, wrt=["V", "U"]).toarray(), np.hstack([whole[:, 2:], whole[:, :2]]))
    assert F.jacobian(U, V, wrt="U").in_shape == (2, 1)
    assert F.names == ("U", "V")
    value, J = F.value_and_jacobian(U, V, wrt="U")
    assert_array_equal(value, F(U, V))
    assert_array_equal(J.toarray(), whole[:, :2])
    x = F.pack(U, V)
    assert all(map(np.array_equal, F.unpack(x), (U, V)))


def test_constants_are_taken_as_they_are():
    weights = np.ones((2, 2))
    F = mj.compile(lambda X: weights * X, (2, 2))
    weights[:] = 5
    assert_array_equal(F(np.ones((2, 2))), np.ones((2, 2)))


def test_a_function_that_is_constant_in_one_variable():
    F = mj.compile(lambda U, V: 2 * U, (2,), (3,))
    J = F.jacobian(np.ones(2), np.ones(3))
    assert J.shape == (2, 5)
    assert J.nnz == 2
    assert F.jacobian(np.ones(2), np.ones(3), wrt="V").nnz == 0


def test_in_least_squares_as_a_dense_exact_jacobian():
    rng = np.random.default_rng(0)
    K = np.cov(rng.standard_normal((6, 40)))
    F = mj.compile(lambda R: R.T @ R - K, (2, 6))
    x0 = rng.standard_normal(12)
    for jac in (F.jac, F.jac_csr):
        ours, theirs = (
            least_squares(F.fun, x0, jac=j, tr_solver="lsmr", max_nfev=8) for j in (jac, lambda x: F.jac(x).toarray())
        )
        assert ours.nfev == theirs.nfev
        assert_allclose(ours.x, theirs.x, atol=1e-6)


def test_fresh_values_on_one_pattern():
    F = mj.compile(lambda R: R.T @ R, (2, 3))
    x, y = np.arange(6.0), np.ones(6)
    first = F.jac_csr(x)
    kept = first.toarray()
    second = F.jac_csr(y)
    assert_array_equal(first.toarray(), kept)
    assert np.shares_memory(second.indices, first.indices)
    assert F.jac_csr(x, out=second) is second
    assert_array_equal(second.toarray(), kept)


def noted(monkeypatch, function):
    """A list that grows with each call of a function of matjac's, by whichever module."""
    found = []

    def noting(*args, **kwargs):
        found.append(args)
        return function(*args, **kwargs)

    modules = [m for name, m in sys.modules.items() if name.split(".")[0] == "matjac"]
    for module in modules:
        for name, thing in list(vars(module).items()):
            if thing is function:
                monkeypatch.setattr(module, name, noting)
    return found


def test_general_products_find_their_pattern_once(monkeypatch):
    found, reduced = noted(monkeypatch, factors.plan), noted(monkeypatch, reduce.terms_of)

    def fun(X):
        return np.tanh(S @ np.tanh(np.tril(X) @ np.tril(X).T))

    F = mj.compile(fun, (3, 3))
    rng = np.random.default_rng(0)
    first = F.jacobian(rng.standard_normal((3, 3)))
    A = first.tocsr()
    first.T.tocsr()
    assert len(reduced) == 1
    N = first.normal().tocsr()
    assert found
    for layout in ("numerator", "denominator"):
        assert first.plan.entries(layout).pattern is first.plan.entries(layout).pattern
    del found[:], reduced[:]
    X = rng.standard_normal((3, 3))
    second = F.jacobian(X)
    B = second.tocsr()
    second.T.tocsr()
    assert not reduced
    M = second.normal().tocsr()
    assert not found
    assert second.plan is first.plan
    assert assembler(second) is assembler(first)
    assert np.shares_memory(B.indices, A.indices)
    assert np.shares_memory(B.indptr, A.indptr)
    dense = expected(fun, [X], "C", complex_step)
    assert_allclose(B.toarray(), dense, atol=1e-12)
    assert_allclose(M.toarray(), dense.T @ dense, atol=1e-12)
    assert_array_equal(M.indices, N.indices)


def test_each_set_of_variables_has_one_plan():
    F = mj.compile(lambda U, V: U @ V.T, (2, 2), (3, 2))
    points = [points_for(((2, 2), (3, 2)), float, seed) for seed in (0, 1)]
    for wrt in (None, "U", "V", ["V", "U"]):
        first, second = (F.jacobian(*point, wrt=wrt) for point in points)
        assert first.plan is second.plan
        assert np.shares_memory(first.tocsr().indices, second.tocsr().indices)
    assert F.jacobian(*points[0], wrt="U").plan is not F.jacobian(*points[0], wrt="V").plan


def test_nothing_is_planned_for_products(monkeypatch):
    """Terms are made when entries are asked for and not before."""
    reduced = noted(monkeypatch, reduce.terms_of)
    J = mj.compile(lambda X: np.tanh(X.T @ X), (2, 3)).jacobian(np.ones((2, 3)))
    J @ np.ones(6)
    J.T @ np.ones(9)
    assert not reduced
    assert J.nnz > 0
    assert reduced


PICKLED = (
    "gram",
    "softmax",
    "squared norm",
    "bundle adjustment",
    "triangle times its transpose",
    "stacked losses",
    "det",
)
pickled = pytest.mark.parametrize("name", PICKLED)
in_both_orders = pytest.mark.parametrize("order", ["C", "F"])


@in_both_orders
@pickled
def test_pickle(name, order):
    """Before it was used, and after: what was planned for entries is made again where it is needed."""
    fun, shapes = FUNCTIONS[name]
    points = [points_for(shapes, float, seed) for seed in (1, 2)]
    F = mj.compile(fun, *shapes, order=order)
    unused = pickle.dumps(F)
    matrices = [F.jacobian(*point).tocsr() for point in points]
    for text in (unused, pickle.dumps(F)):
        again = pickle.loads(text)
        assert again.explain() == F.explain()
        for point, matrix in zip(points, matrices, strict=True):
            assert_array_equal(again(*point), F(*point))
            found = again.jacobian(*point).tocsr()
            assert_array_equal(found.toarray(), matrix.toarray())
            assert_array_equal(found.indices, matrix.indices)


@in_both_orders
@pickled
def test_pickle_of_a_jacobian(name, order):
    fun, shapes = FUNCTIONS[name]
    J = mj.compile(fun, *shapes, order=order).jacobian(*points_for(shapes, float))
    unused = pickle.dumps(J)
    dense = J.toarray()
    J.T.tocsr()
    texts = [unused, pickle.dumps(J)]
    J.normal().toarray(), J.diagonal_normal(), J.T.diagonal_normal()
    for text in (*texts, pickle.dumps(J)):
        again = pickle.loads(text)
        assert_array_equal(again.toarray(), dense)
        assert_allclose(again @ np.ones(J.shape[1]), dense.sum(axis=1), atol=1e-12)
        assert_array_equal(again.T.toarray(), dense.T)
        assert_allclose(again.normal().toarray(), dense.T @ dense, atol=1e-12 * max(1, np.abs(dense).max() ** 2))


@pickled
def test_pickle_of_a_normal_matrix(name):
    fun, shapes = FUNCTIONS[name]
    J = mj.compile(fun, *shapes).jacobian(*points_for(shapes, float))
    for normal in (J.normal(), J.normal(np.arange(1.0, 1 + J.shape[0])), J.T.normal()):
        again = pickle.loads(pickle.dumps(normal))
        assert_array_equal(again.toarray(), normal.toarray())
        assert_array_equal(again @ np.ones(normal.shape[1]), normal @ np.ones(normal.shape[1]))


def test_no_cycle_keeps_old_buffers():
    F = mj.compile(lambda R: R.T @ R, (2, 3))
    gc.disable()
    try:
        J = F.jacobian(np.ones((2, 3)))
        A = J.tocsr()
        gone = [weakref.ref(J), weakref.ref(A.data)]
        del J, A
        assert [ref() for ref in gone] == [None, None]
    finally:
        gc.enable()


def test_several_threads_at_once():
    F = mj.compile(lambda U, V: np.tanh(U @ V.T)[[0, 1, 1], [0, 2, 1]] ** 2, (2, 2), (3, 2))
    rng = np.random.default_rng(0)
    points = [(rng.standard_normal((2, 2)), rng.standard_normal((3, 2))) for _ in range(20)]
    wanted = [F.jacobian(*p).toarray() for p in points]
    found = {}

    def work(start):
        for k in range(start, 20, 4):
            found[k] = F.jac_csr(F.pack(*points[k])).toarray()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for k, dense in enumerate(wanted):
        assert_array_equal(found[k], dense)


def test_what_is_handed_out_is_ones_own():
    F = mj.compile(lambda x: np.exp(x), (3,))
    x = np.arange(3.0)
    value, J = F.value_and_jacobian(x)
    before = J.toarray()
    value -= 100
    x += 10
    assert_array_equal(J.toarray(), before)
    flat = np.arange(6.0)
    G = mj.compile(lambda X: X.T @ X, (2, 3))
    J = G.jac(flat)
    before = J.toarray()
    flat += 1
    assert_array_equal(J.toarray(), before)


def test_the_sign_of_a_determinant():
    F = mj.compile(lambda X: np.linalg.slogdet(X)[0] * np.exp(np.linalg.slogdet(X)[1]), (2, 2))
    for X in (np.array([[0, 1.0], [1, 0.5]]), np.array([[1.0, 0.3], [0, 2]])):
        assert_allclose(F(X), np.linalg.det(X))
        assert_allclose(F.jacobian(X).toarray(), mj.d_det_dA(X).toarray(), atol=1e-12)


def test_powers_at_zero():
    F = mj.compile(lambda x: x[:, None] ** np.arange(4), (2,))
    dense = F.jacobian([0.0, 2.0]).toarray()
    assert_array_equal(dense[:4, 0], [0, 1, 0, 0])
    assert_array_equal(dense[4:, 1], [0, 1, 4, 12])


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_general_matrix_of_several_variables(order):
    fun, shapes = lambda x, Y: np.stack([x, Y[0]], axis=-1), ((3,), (2, 3))
    points = points_for(shapes, float)
    check_faces(mj.compile(fun, *shapes, order=order).jacobian(*points), expected(fun, points, order, complex_step))


W0 = np.arange(1.0, 9).reshape(4, 2)
#: Functions in which some array has no entries, and shapes of their variables.
EMPTY = {
    "no rows above": (lambda U, V: np.vstack([U, V]), ((0, 3), (2, 3))),
    "no rows, backwards": (lambda U, V: np.vstack([U, V])[::-1], ((0, 3), (2, 3))),
    "no entries, joined": (lambda U, V: np.concatenate([U.ravel(), V.ravel()]) * 2, ((0, 3), (2, 3))),
    "no columns": (lambda U, V: np.hstack([U, V]) @ W0, ((3, 0), (3, 4))),
    "product over nothing": (lambda U, V: U.T @ U + V, ((0, 2), (2,))),
    "product over nothing, after a function": (lambda U, V: np.tanh(U).T @ np.ones((0, 2)) + V, ((0, 2), (2,))),
    "products one after another": (lambda U, V: np.cos(np.tanh(U).T @ np.ones((0, 2))) @ V, ((0, 2), (2, 2))),
    "Gram matrix of nothing": (lambda U, V: np.concatenate([(U @ U.T).ravel(), V]), ((0, 2), (2,))),
    "contracted stack": (lambda U, V: np.concatenate([np.einsum("aij,bi->abj", U, W0).ravel(), V]), ((0, 2, 3), (2,))),
    "stack by a matrix": (lambda U, V: np.concatenate([np.ravel(W0 @ U), V]), ((0, 2, 3), (2,))),
    "scaled, turned": (lambda X: np.concatenate([(np.ones((0, 3)) * X[:0]).T.ravel(), X.ravel()]), ((2, 3),)),
    "no columns of a product": (
        lambda X: np.concatenate([np.tanh(X[:0]).reshape(3, 0) @ np.ones((0, 2)), X.T]),
        ((2, 3),),
    ),
    "summed over nothing": (lambda X: np.concatenate([np.sin(X[:0]).reshape(3, 0).sum(axis=1), X.ravel()]), ((2, 3),)),
    "sum of nothing": (lambda X: np.tanh(X[:0]).reshape(3, 0).sum() + X.sum(), ((2, 3),)),
    "two of nothing": (lambda X: np.tanh(X[:0]).reshape(3, 0) @ X[:0] + X[:1], ((2, 3),)),
    "pairs over nothing": (lambda X: np.einsum("ik,kj->ij", np.tanh(X[:0]).reshape(3, 0), X[:0]) + X[:1], ((2, 3),)),
    "outer product of nothing": (lambda X: np.sum(X[:0].T[:, None] * X[:0].T[None], axis=2) + X[:1], ((2, 3),)),
    "nothing at all": (lambda X: np.tanh(X[:0]), ((2, 3),)),
    "of nothing": (lambda X: np.tanh(X).sum(axis=0), ((0, 3),)),
    "few entries, none": (lambda U, V: (U @ V.T)[[], []], ((2, 3), (4, 3))),
}


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("name", EMPTY)
def test_where_there_is_nothing(name, order):
    """Sums over nothing are zero, and have no entries."""
    fun, shapes = EMPTY[name]
    points = points_for(shapes, float)
    F = mj.compile(fun, *shapes, order=order)
    assert_allclose(F(*points), fun(*points), rtol=1e-12)
    J = F.jacobian(*points)
    dense = expected(fun, points, order, complex_step)
    assert check_faces(J, dense).nnz == np.count_nonzero(dense)
    assert_allclose(J.T.toarray(), dense.T, atol=1e-12)
    assert_allclose(J.normal().toarray(), dense.T @ dense, atol=1e-11)
    assert_allclose(J.column_norms(), np.linalg.norm(dense, axis=0), atol=1e-12)
    assert mj.check(F, *points) < 1e-9


@pytest.mark.parametrize(
    "name", ["gram", "boolean mask", "diag of a vector", "triangle", "sum", "few entries of a product"]
)
def test_products_with_no_columns(name):
    fun, shapes = FUNCTIONS[name]
    J = mj.compile(fun, *shapes).jacobian(*points_for(shapes, float))
    assert (J @ np.ones((J.shape[1], 0))).shape == (J.shape[0], 0)
    assert (J.T @ np.ones((J.shape[0], 0))).shape == (J.shape[1], 0)
    assert J.rmatmat(np.ones((J.shape[0], 0))).shape == (J.shape[1], 0)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 1), (2, 3), (4, 2, 3), (4, 1, 1), (1, 3)])
def test_weights_that_repeat(shape, order):
    """A sum with weights that broadcast: of every number of axes, alone and after something else."""
    C = np.random.default_rng(0).standard_normal(shape)
    for fun in (
        lambda X: np.sum(C * X),
        lambda X: np.sum(X * C, axis=(0, 2)),
        lambda X: np.sum(C * np.sin(X)),
        lambda X: np.sum((C * X) * X),
        lambda X: np.stack([np.sum(C * X), np.sum(X)]),
    ):
        (X,) = points_for([(4, 2, 3)], float)
        F = mj.compile(fun, (4, 2, 3), order=order)
        J = F.jacobian(X)
        dense = expected(fun, [X], order, complex_step)
        assert check_faces(J, dense).nnz == np.count_nonzero(dense)
        if J.shape[0] == 1:
            gradient = complex_step(fun, X)
            assert F.gradient(X).shape == X.shape
            assert_allclose(F.gradient(X), gradient, atol=1e-12)
            assert_allclose(F.jacobian(X).vjp(np.ones(J.out_shape)), gradient, atol=1e-12)
            assert_allclose(J.T @ np.ones((1, 1)), dense.T, atol=1e-12)


#: What moves entries of a function entry by entry, whose slopes move along.
MOVED = {
    "backwards": (lambda X: np.tanh(X)[::-1], (3,)),
    "backwards along rows": (lambda X: np.sin(np.tanh(X)[:, ::-1]), (2, 3)),
    "backwards both ways": (lambda X: np.tanh(X)[::-1, ::-1] * X, (2, 3)),
    "backwards in steps": (lambda X: np.tanh(X)[::-2], (5,)),
    "backwards, flipped": (lambda X: np.flip(np.tanh(X)), (2, 3)),
    "backwards twice": (lambda X: np.sin(np.tanh(X)[::-1])[::-1], (3,)),
    "a scalar repeated": (lambda X: np.repeat(np.tanh(X.sum()), 2), (3,)),
    "a scalar tiled, times a vector": (lambda X: np.tile(X.sum(), 3) * X, (3,)),
    "a scalar taken": (lambda X: np.take(np.sin(X), [0, 0]), ()),
    "a scalar masked": (lambda X: np.where(np.array(False), np.tanh(X), 0.0) + X, ()),
    "a scalar where": (lambda X: np.where(np.array(True), np.tanh(X.sum()), X[0]), (3,)),
    "a scalar in a triangle": (lambda X: np.tril(np.broadcast_to(np.tanh(X), (2, 2))), ()),
    "a scalar on a diagonal": (lambda X: np.diag(np.reshape(np.tanh(X), (1,))), ()),
}


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("name", MOVED)
def test_slopes_move_with_the_entries(name, order):
    fun, shape = MOVED[name]
    (X,) = points_for([shape], float)
    J = mj.compile(fun, shape, order=order).jacobian(X)
    dense = expected(fun, [X], order, complex_step)
    assert check_faces(J, dense).nnz == np.count_nonzero(dense)
    assert_allclose(J.T.toarray(), dense.T, atol=1e-12)


def test_rows_that_repeat_times_zeros_by_structure():
    """Every column of a strict triangle but the last has an entry to multiply by."""
    F = mj.compile(lambda x, Z: np.broadcast_to(x[:, None], (3, 3)) @ np.tril(Z, -1), (3,), (3, 3))
    J = F.jacobian(*points_for([(3,), (3, 3)], float), wrt="x")
    assert J.nnz == np.count_nonzero(J.toarray()) == 6


def test_a_scalar_function_of_sparse_constants():
    """What the constants leave out is no entry of its gradient, whichever way that is made."""
    K = sp.csr_array(np.array([[1.0, 0, 2, 0], [0, 0, 3, 0]]))
    for fun in (
        lambda x: np.sum((K @ x) ** 2),
        lambda x: np.sum(np.sin(K @ np.sin(K.T @ (K @ x)))),
        lambda x: np.sum(K @ x),
    ):
        F = mj.compile(fun, (4,))
        for layout in ("numerator", "denominator"):
            J = F.jacobian(np.arange(1.0, 5))
            J = J if layout == "numerator" else J.T
            assert J.nnz == 2, layout
            assert_array_equal(np.sort(J.coo_structure(), axis=0)[1], [0, 2])
    assert (-mj.d_sandwich_dX(sp.csr_array((1, 1)), np.ones((1, 1))) / 4).nnz == 0


@pytest.mark.parametrize("order", ["C", "F"])
def test_transposes_of_sums_of_scaled_permutations(order):
    T = mj.d_transpose_dX((3, 2), order=order)
    dense = T.toarray()
    for J, number in ((T + T, 2), (3 * T + T, 4), (mj.vstack([T, T]) + mj.vstack([T, T]), None)):
        wanted = np.vstack([2 * dense] * 2) if number is None else number * dense
        assert_array_equal(J.T.toarray(), wanted.T)
        assert_array_equal(J.tocsc().toarray(), wanted)
    F = mj.compile(lambda X: X.T + X.T, (3, 2), order=order)
    assert_array_equal(F.jacobian(np.ones((3, 2))).T.toarray(), 2 * dense.T)


def test_dtype_is_the_values():
    for fun in (lambda X: X**2, lambda X: X.sum(), lambda X: X[[0, 0]] @ X.T, lambda X: np.mean(X, axis=0)):
        F = mj.compile(fun, (2, 3))
        X = np.ones((2, 3), np.float32)
        assert F(X).dtype == F.jacobian(X).dtype == F.jacobian(X).tocsr().dtype == np.float32


def test_rule():
    def softplus(x):
        return np.log1p(np.exp(x))

    named = mj.rule(softplus, lambda x: mj.d_elementwise_dX(1 / (1 + np.exp(-x))))
    X = np.random.default_rng(0).standard_normal((2, 3))
    F = mj.compile(lambda X: named(X.T @ X), (2, 3))
    plain = mj.compile(lambda X: softplus(X.T @ X), (2, 3))
    assert_allclose(F.jacobian(X).toarray(), plain.jacobian(X).toarray())
    assert F.explain().endswith("every step is structured")
    assert_array_equal(named(X), softplus(X))
    two = mj.rule(lambda a, b: a * b, lambda a, b: np.diag(b), lambda a, b: sp.diags_array(a))
    assert_array_equal(
        mj.compile(two, (2,), (2,)).jacobian([1.0, 2.0], [3.0, 4.0]).toarray(), [[3, 0, 1, 0], [0, 4, 0, 2]]
    )
    wrong = mj.compile(mj.rule(np.sin, lambda x: np.eye(2)), (3,))
    with pytest.raises(
        ValueError, match=r"^mj.rule: got a Jacobian of shape \(2, 2\) for argument 0, expected \(3, 3\)"
    ):
        wrong.jacobian(np.ones(3))
    missing = mj.compile(mj.rule(np.sin), (3,))
    with pytest.raises(TypeError, match=r"^mj.rule: argument 0 of .* has no Jacobian"):
        missing.jacobian(np.ones(3))


def test_names_of_arguments_that_are_not_known(monkeypatch):
    def unknown(fun):
        raise ValueError("no signature found")

    # which functions written in C have one differs between releases of Python
    monkeypatch.setattr("inspect.signature", unknown)
    assert mj.compile(np.tanh, (2,)).names == ("x0",)


def test_check_names_the_entry():
    X = np.arange(6.0).reshape(2, 3) + 1
    wrong = mj.rule(lambda x: x**2, lambda x: mj.d_elementwise_dX(np.where(np.arange(3) == 1, 3 * x, 2 * x)))
    F = mj.compile(lambda X: wrong(X), (2, 3))
    with pytest.raises(
        mj.CheckError, match=r"^∂F\[1, 1\] / ∂X\[1, 1\]: matjac 15, complex step 10 ± .*, from term 0 \(U 2"
    ):
        mj.check(F, X)
    assert mj.check(mj.compile(lambda X: X**2, (2, 3)), X) < 1e-12
    G = mj.compile(lambda U, V: np.abs(U @ V.T), (2, 2), (3, 2))
    assert mj.check(G, X[:, :2], X.T) < 1e-6
    with pytest.raises(mj.CheckError, match=r"^the value: F\[0, 0\] is 9 compiled, and the function's 10"):
        mj.check(G, X[:, :2], X.T, fun=lambda U, V: np.abs(U @ V.T) + np.abs(V[0, 0]))
    bent = mj.rule(lambda x: np.abs(x), lambda x: mj.d_elementwise_dX(2 * np.sign(x)))
    with pytest.raises(mj.CheckError, match=r"∂F\[\d, \d\] / ∂V\[\d, \d\]: matjac .* central differences"):
        mj.check(mj.compile(lambda U, V: U @ bent(V).T, (2, 2), (3, 2)), X[:, :2], X.T)


def test_jacobian_in_one_go():
    X = np.arange(6.0).reshape(2, 3)
    assert_array_equal(mj.jacobian(lambda X: X.T @ X)(X).toarray(), mj.d_gram_dR(X).toarray())


def branch(X):
    if X.sum() > 0:
        return X
    return -X


BAD = [
    ("branch", lambda: mj.compile(branch, (2,)), mj.TracingError, r"^a branch on a value that depends"),
    ("truth", lambda: mj.compile(lambda X: X if X[0] else -X, (2,)), mj.TracingError, r"^a branch on a value"),
    ("float", lambda: mj.compile(lambda X: X * float(X[0]), (2,)), mj.TracingError, r"^a plain number"),
    (
        "math",
        lambda: mj.compile(lambda X: X * __import__("math").exp(X[0]), (2,)),
        mj.TracingError,
        r"np.exp, not math",
    ),
    (
        "unknown function",
        lambda: mj.compile(lambda X: np.histogram(X)[0], (2,)),
        mj.TracingError,
        r"^np.histogram can",
    ),
    ("unknown ufunc", lambda: mj.compile(lambda X: np.spacing(X), (2,)), mj.TracingError, r"^np.spacing has no deriv"),
    ("unknown method", lambda: mj.compile(lambda X: X.tobytes(), (2,)), mj.TracingError, r"^the array method .tobytes"),
    ("assignment", lambda: mj.compile(lambda X: X.__setitem__(0, 1), (2,)), mj.TracingError, r"^fun: got NoneType"),
    (
        "traced condition",
        lambda: mj.compile(lambda X: np.where(X > 0)[0] * X, (2,)),
        mj.TracingError,
        r"^np.where of a condition alone",
    ),
    ("traced index", lambda: mj.compile(lambda X: X[X], (2,)), mj.TracingError, r"^an index that depends on"),
    (
        "out=",
        lambda: mj.compile(lambda X: np.exp(X, out=np.ones(2)), (2,)),
        mj.TracingError,
        r"^np.exp can't write",
    ),
    ("reduce", lambda: mj.compile(lambda X: np.subtract.reduce(X), (2,)), mj.TracingError, r"^np.subtract.reduce can"),
    (
        "count norm",
        lambda: mj.compile(lambda X: np.linalg.norm(X, 0), (2,)),
        mj.TracingError,
        r"^np.linalg.norm of ord",
    ),
    ("constant value", lambda: mj.compile(lambda X: np.ones(2), (2,)), mj.TracingError, r"^fun: got ndarray"),
    ("tuple value", lambda: mj.compile(lambda X: (2, "a"), (2,)), mj.TracingError, r"^fun: got tuple"),
    ("no example", lambda: mj.compile(lambda X: X), TypeError, r"^compile: got .*0 examples"),
    ("example", lambda: mj.compile(lambda X: X, "a"), TypeError, r"^examples\[0\]: got dtype <U1"),
    ("order", lambda: mj.compile(lambda X: X, (2,), order="K"), ValueError, r"^order: got 'K'"),
    (
        "too few",
        lambda: mj.compile(lambda U, V: U + V, (2,), (2,))(1.0),
        TypeError,
        r"^arguments: got 1, expected 2: U, V",
    ),
    (
        "shape",
        lambda: mj.compile(lambda U: 2 * U, (2,))(np.ones(3)),
        ValueError,
        r"^U: got shape \(3,\), expected \(2,\)",
    ),
    (
        "wrt of numbers",
        lambda: mj.compile(lambda U: 2 * U, (2,)).jacobian([1, 2], wrt=1.5),
        TypeError,
        r"^wrt: got float",
    ),
    ("wrt twice", lambda: mj.compile(lambda U: 2 * U, (2,)).jacobian([1, 2], wrt=["U", "U"]), ValueError, r"^wrt: got"),
    (
        "into an array",
        lambda: mj.compile(lambda x: np.zeros(2).__setitem__(0, x[0] ** 2), (2,)),
        mj.TracingError,
        r"It can't write into a plain array .* make it with np.zeros_like",
    ),
    ("sparse entries", lambda: mj.compile(lambda X: X * sp.eye_array(2), (2, 2)), mj.TracingError, r"^a scipy.sparse"),
    ("inverse", lambda: mj.compile(np.linalg.inv, (2, 3)), mj.TracingError, r"np.linalg.inv: got shape \(2, 3\)"),
    ("axis", lambda: mj.compile(lambda X: X.sum(axis=2), (2, 3)), mj.TracingError, r"axis 2 is out of bounds"),
    ("wrt", lambda: mj.compile(lambda U: 2 * U, (2,)).jacobian(np.ones(2), wrt="V"), ValueError, r"^wrt: got 'V', exp"),
    ("flat", lambda: mj.compile(lambda U: 2 * U, (2,)).fun(np.ones(3)), ValueError, r"^x: got shape \(3,\), expected"),
]


@pytest.mark.parametrize(("act", "error", "message"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_bad_input(act, error, message):
    with pytest.raises(error, match=message):
        act()
