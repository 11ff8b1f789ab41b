"""Differentials as a textbook writes them: `from_differential`, and the rules of `mj.rule`."""

import gc
import operator
import pickle
import weakref

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from oracles import complex_step, lay_out
from strategies import LAYOUTS, ORDERS

import matjac as mj

both_orders = pytest.mark.parametrize("order", ORDERS)
both_layouts = pytest.mark.parametrize("layout", LAYOUTS)


def by_basis(rule, shapes, order, layout):
    """The matrix of a linear rule, which is NumPy: it is run on each direction alone."""

    def run(*directions):
        result = rule(*directions)
        return result.toarray() if sp.issparse(result) else np.asarray(result)

    blocks = []
    for k, shape in enumerate(shapes):
        zero = [np.zeros(s) for s in shapes]
        tensor = np.zeros((*run(*zero).shape, *shape), run(*zero).dtype)
        for index in np.ndindex(shape):
            direction = [z.copy() for z in zero]
            direction[k][index] = 1
            tensor[(..., *index)] = run(*direction)
        blocks.append(lay_out(tensor, len(shape), order, "numerator"))
    matrix = np.hstack(blocks)
    return matrix if layout == "numerator" else matrix.T


def check(J, dense, exact=True):
    """Every face of a Jacobian against the dense matrix, whose zeros are zeros by structure where `exact`."""
    A = J.tocsr()
    fresh = sp.csr_array((A.data, A.indices, A.indptr), shape=A.shape)
    fresh.check_format(full_check=True)
    assert fresh.has_canonical_format
    assert J.shape == dense.shape
    scale = max(1.0, float(np.abs(dense).max(initial=0)))
    assert_allclose(A.toarray(), dense, atol=1e-12 * scale)
    assert J.nnz == A.nnz
    places = sp.csr_array((np.ones(A.nnz), A.indices, A.indptr), shape=A.shape).toarray() > 0
    if exact:
        assert_array_equal(places, dense != 0)
    turned = J.T.tocsr()
    assert_allclose(turned.toarray(), dense.T, atol=1e-12 * scale)
    there = sp.csr_array((np.ones(A.nnz), turned.indices, turned.indptr), shape=J.T.shape).toarray() > 0
    assert_array_equal(there, places.T)
    rng = np.random.default_rng(0)
    v, u = rng.standard_normal(J.shape[1]), rng.standard_normal((J.shape[0], 2))
    assert_allclose(J @ v, dense @ v, atol=1e-11 * scale)
    assert_allclose(J.T @ u, dense.T @ u, atol=1e-11 * scale)
    half = J.shape[0] // 2
    assert_allclose(J.rows(half, J.shape[0]).toarray(), dense[half:], atol=1e-12 * scale)
    assert_allclose(J.column_norms(), np.linalg.norm(dense, axis=0), atol=1e-7 * scale)
    assert_allclose(J.normal().toarray(), dense.conj().T @ dense, atol=1e-11 * scale**2)


# from_differential ------------------------------------------------------------------------------------

constants = np.random.default_rng(5)
R, A, B, C = (constants.standard_normal(s) for s in ((3, 4), (2, 3), (4, 2), (3, 4)))
Q = constants.standard_normal((3, 3))
S = sp.csr_array(np.array([[1.0, 0, -2], [0, 0, 0], [0, 3, 0], [0, 0.5, 1]]))
T = sp.coo_array(np.array([[0, 1.5], [0, 0], [-1, 0], [2, 0.5]]))
LOWER = np.tri(3, 4, dtype=bool)
X = ((3, 4),)
RULES = {
    "gram": (lambda dR: dR.T @ R + R.T @ dR, X),
    "sandwich": (lambda dX: A @ dX @ B, X),
    "inverse": (lambda dX: -Q @ dX @ Q, ((3, 3),)),
    "entry by entry": (lambda dX: (1 - np.tanh(R) ** 2) * dX, X),
    "divided": (lambda dX: dX / (1 + R * R) - dX, X),
    "trace": (lambda dX: np.trace(Q @ dX), ((3, 3),)),
    "inner": (lambda dX: np.sum(C * dX), X),
    "several": (lambda dU, dV: dU @ C[:2] + 2 * (A @ R @ dV @ C[:2]), ((2, 2), (4, 2))),
    "several of which one is not used": (lambda dU, dV, dw: 3 * dV.T, ((2, 2), (4, 2), (3,))),
    "sparse on the left": (lambda dX: S @ dX, X),
    "sparse on the right": (lambda dX: dX @ T, X),
    "sparse on both sides of a product": (lambda dX: S @ (C * dX) @ T, X),
    "sparse entry by entry": (lambda dX: S * dX, ((4, 3),)),
    "sparse by a column": (lambda dX: S * dX[:, None], ((4,),)),
    "triangle": (lambda dL: np.tril(dL) @ np.tril(Q).T + np.tril(Q) @ np.tril(dL).T, ((3, 3),)),
    "masked": (lambda dX: np.where(LOWER, dX, 0) @ B, X),
    "sum of rows": (lambda dX: sum(row * k for k, row in enumerate(dX, 1)), X),
    "scalars": (lambda ds, dt: 2 * ds - 3 * dt, ((), ())),
    "scalar times a matrix": (lambda ds: C * ds, ((),)),
    "stacks": (lambda dX: np.einsum("bij,kj->bik", dX, C), ((2, 3, 4),)),
    "stack and its transpose": (lambda dX: dX @ TURNED + STACK @ dX.transpose(0, 2, 1), ((2, 3, 4),)),
    "joined": (lambda dX: np.concatenate([dX.ravel(), 0.5 * (A @ dX).ravel(), np.zeros(2)]), X),
    "zero": (lambda dX: 0 * dX, ((2, 2),)),
}
STACK = constants.standard_normal((2, 3, 4))
TURNED = STACK.transpose(0, 2, 1)


@both_orders
@both_layouts
@pytest.mark.parametrize("name", RULES)
def test_textbook_differentials(name, order, layout):
    rule, shapes = RULES[name]
    J = mj.from_differential(rule, *shapes, order=order, layout=layout)
    assert (J.order, J.layout, J.dtype) == (order, layout, np.float64)
    assert J.in_shape == (shapes[0] if len(shapes) == 1 else shapes)
    assert J.out_shape == rule(*map(np.zeros, shapes)).shape
    dense = by_basis(rule, shapes, order, layout)
    # np.tril(Q) of a constant is as dense as any matrix, and a factor of 0 is a number
    check(J, dense, exact=name not in ("triangle", "zero"))
    directions = [constants.standard_normal(s) for s in shapes]
    expected = rule(*directions)
    expected = expected.toarray() if sp.issparse(expected) else expected
    assert_allclose(J.jvp(directions[0] if len(shapes) == 1 else tuple(directions)), expected, atol=1e-12)
    W = constants.standard_normal(J.out_shape)
    back = J.vjp(W)
    inner = sum(np.sum(g * d) for g, d in zip([back] if len(shapes) == 1 else back, directions, strict=True))
    assert_allclose(inner, np.sum(W * expected), rtol=1e-9)


@both_orders
@both_layouts
def test_a_differential_is_the_identity_bit_for_bit(order, layout):
    kw = {"order": order, "layout": layout}
    for J, closed in (
        (mj.from_differential(lambda dR: dR.T @ R + R.T @ dR, (3, 4), **kw), mj.d_gram_dR(R, **kw)),
        (mj.from_differential(lambda dX: A @ dX @ B, (3, 4), **kw), mj.d_sandwich_dX(A, B, **kw)),
        (mj.from_differential(lambda dX: dX.T, (3, 4), **kw), mj.d_transpose_dX((3, 4), **kw)),
    ):
        for found, wanted in zip(
            (*J.structure(), J.tocsr().data), (*closed.structure(), closed.tocsr().data), strict=True
        ):
            assert_array_equal(found, wanted)
        assert type(J.plan.entries(layout).assembler) is type(closed.plan.entries(layout).assembler)
        out = closed.tocsr()
        assert J.tocsr(out=out) is out


def test_dtypes_are_those_of_the_arrays():
    narrow = R.astype(np.float32)
    for rule, dtype in (
        (lambda dX: dX.T, np.float64),
        (lambda dX: 2 * dX, np.float64),
        (lambda dX: 2j * dX, np.complex128),
        (lambda dX: narrow * dX, np.float32),
        (lambda dX: 2.5 * narrow * dX, np.float32),
        (lambda dX: 2.5 * (narrow * dX), np.float32),
        (lambda dX: 1j * (narrow * dX), np.complex64),
        (lambda dX: narrow * dX + R * dX, np.float64),
        (lambda dX: np.arange(4) * dX, np.float64),
        (lambda dX: S.astype(np.float32) @ dX, np.float32),
    ):
        J = mj.from_differential(rule, (3, 4))
        dense = by_basis(rule, X, "C", "numerator")
        assert J.dtype == J.tocsr().dtype == (J @ np.ones(12, np.float32)).dtype == dtype
        assert_allclose(J.toarray(), dense, rtol=1e-6)
        assert_allclose(J @ np.ones(12, np.float32), dense.sum(axis=1), rtol=1e-6)


def test_arrays_in_a_rule_are_copied():
    own, sparse = R.copy(), S.copy()
    J = mj.from_differential(lambda dX: sparse @ (own * dX), (3, 4))
    before = J.toarray()
    own[:] = 7
    sparse.data[:] = 7
    assert_array_equal(J.toarray(), before)
    assert_array_equal(mj.from_differential(lambda dX: own * dX, (3, 4)).toarray(), 7 * np.eye(12))


def test_it_has_the_members_of_a_jacobian():
    J = mj.from_differential(lambda dX: np.sum(C * dX), (3, 4), layout="denominator")
    assert_allclose(J.gradient(), C)
    K = mj.from_differential(lambda dX: A @ dX, (3, 4))
    chain = mj.from_differential(lambda dY: dY @ B, (2, 4)) @ K
    assert_allclose(chain.toarray(), mj.d_sandwich_dX(A, B).toarray())
    assert_allclose((K + 2 * K).toarray(), 3 * mj.d_matmul_dB(A, 4).toarray())
    again = pickle.loads(pickle.dumps(chain))
    assert_array_equal(again.toarray(), chain.toarray())
    assert_array_equal(K.take([1, 0]).toarray(), K.toarray()[[1, 0]])
    both = mj.from_differential(lambda dU, dV: dU + dV, (2,), (2,))
    left, right = both.vjp(np.array([1.0, 2]))
    assert_array_equal(left, right)
    F = mj.Function(
        lambda X: np.tanh(X), lambda X: mj.from_differential(lambda d: (1 - np.tanh(X) ** 2) * d, (2,)), (2,)
    )
    assert_allclose(F.jac_csr(np.array([0.0, 1])).toarray(), np.diag([1, 1 - np.tanh(1) ** 2]))


def test_it_leaves_no_cycle():
    gc.disable()
    try:
        J = mj.from_differential(lambda dX: R * dX, (3, 4))
        J.tocsr(), J.T.tocsr(), J @ np.ones(12)
        gone = weakref.ref(J)
        del J
        assert gone() is None
    finally:
        gc.enable()


NOT_LINEAR = {
    "a product of two": lambda dX: dX * dX,
    "a matrix product of two": lambda dX: dX @ dX.T,
    "a product of two by einsum": lambda dX: np.einsum("ij,ij->i", dX, dX),
    "a constant": lambda dX: dX + 1,
    "a constant array": lambda dX: dX - R,
    "a constant ahead": lambda dX: R - dX,
    "a power": lambda dX: dX**2,
    "a function": lambda dX: np.exp(dX),
    "a maximum": lambda dX: np.maximum(dX, 0),
    "an absolute value": lambda dX: abs(dX),
    "a quotient": lambda dX: R / dX,
    "an inverse": lambda dX: np.linalg.inv(dX[:, :3]),
    "a determinant": lambda dX: np.linalg.det(dX[:, :3]),
    "solved by it": lambda dX: np.linalg.solve(dX[:, :3], R),
    "a norm": lambda dX: np.linalg.norm(dX),
    "a branch": lambda dX: dX if dX.sum() > 0 else -dX,
    "a condition": lambda dX: np.where(dX, dX, 0),
    "an index": lambda dX: dX[dX],
    "a number": lambda dX: float(dX[0, 0]) * dX,
    "joined with a constant": lambda dX: np.concatenate([dX, R]),
    "an unknown function": lambda dX: np.linalg.qr(dX)[0],
    "set": lambda dX: operator.setitem(dX, 0, 1),
}


@pytest.mark.parametrize("name", NOT_LINEAR)
def test_what_is_not_linear_is_refused(name):
    with pytest.raises(mj.TracingError):
        mj.from_differential(NOT_LINEAR[name], (3, 4))


BAD = [
    ("nothing", lambda: mj.from_differential(), TypeError, "rule"),
    ("no shape", lambda: mj.from_differential(lambda: 0), TypeError, r"^from_differential: got .*0 shapes"),
    ("no function", lambda: mj.from_differential(R, (3, 4)), TypeError, r"^from_differential: got ndarray"),
    ("an array", lambda: mj.from_differential(lambda d: R, (3, 4)), TypeError, r"^rule: got ndarray of shape \(3, 4\)"),
    (
        "a number",
        lambda: mj.from_differential(lambda d: 0, (3,)),
        TypeError,
        r"^rule: got int 0, expected an array that",
    ),
    ("none", lambda: mj.from_differential(lambda d: None, (3,)), TypeError, r"^rule: got NoneType None"),
    ("a pair", lambda: mj.from_differential(lambda d: (d, d), (3,)), TypeError, r"^rule: got tuple"),
    ("a shape", lambda: mj.from_differential(lambda d: d, 3), TypeError, r"^shapes\[0\]: got int 3, expected a tuple"),
    (
        "sizes",
        lambda: mj.from_differential(lambda d, e: d, (3,), (2.0,)),
        TypeError,
        r"^shapes\[1\]\[0\]: got float 2.0",
    ),
    ("negative", lambda: mj.from_differential(lambda d: d, (-1,)), ValueError, r"^shapes\[0\]\[0\]: got -1"),
    ("order", lambda: mj.from_differential(lambda d: d, (3,), order="K"), ValueError, r"^order: got 'K'"),
    ("layout", lambda: mj.from_differential(lambda d: d, (3,), layout="num"), ValueError, r"^layout: got 'num'"),
    (
        "too many",
        lambda: mj.from_differential(lambda d: d, (3,), (3,)),
        TypeError,
        r"takes 1 positional argument but 2",
    ),
    ("too wide", lambda: mj.from_differential(lambda d: R.astype("g") * d, (3, 4)), TypeError, "float128"),
    (
        "text",
        lambda: mj.from_differential(lambda d: np.array(["a"]) * d, (1,)),
        mj.TracingError,
        r"^a constant of dtype",
    ),
]


@pytest.mark.parametrize(("act", "error", "message"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_bad_input(act, error, message):
    with pytest.raises(error, match=message):
        act()


# random rules -----------------------------------------------------------------------------------------


def moves(rng, shape):
    """What can be done to an array of that shape that is linear in it: functions, by name."""

    def numbers(*size):
        # none is zero, so that what is zero is so by structure
        return rng.uniform(0.5, 1.5, size) * rng.choice([-1, 1], size)

    def sparse(*size):
        return sp.csr_array(np.where(rng.random(size) < 0.5, numbers(*size), 0))

    n, mask = len(shape), rng.random(shape) < 0.7
    c, alone = numbers(*shape), numbers()[()]
    along = numbers(*(k if rng.random() < 0.5 else 1 for k in shape))
    found = {
        "scaled": lambda x: c * x,
        "scaled along": lambda x: x * along,
        "divided": lambda x: -x / alone,
        "masked": lambda x: np.where(mask, x, 0),
        "raveled": lambda x: x.ravel(order="F"),
        "summed": lambda x: np.sum(x),
        "stacked": lambda x: np.stack([x, c * x], axis=n),
        "new axis": lambda x: x[..., None],
    }
    if n == 0:
        return found
    axis = int(rng.integers(n))
    where = rng.integers(0, shape[0], rng.integers(1, 4))
    start = int(rng.integers(0, shape[axis]))
    some = tuple(slice(start, None) if k == axis else slice(None) for k in range(n))
    axes = tuple(int(k) for k in rng.permutation(n))
    right = numbers(shape[-1], 2)
    found |= {
        "transposed": lambda x: np.transpose(x, axes),
        "summed along": lambda x: x.sum(axis=axis, keepdims=bool(start)),
        "mean": lambda x: np.mean(x, axis=axis),
        "sliced": lambda x: x[some],
        "backwards": lambda x: x[::-1],
        "one": lambda x: x[start if axis == 0 else 0],
        "taken": lambda x: x[where],
        "rolled": lambda x: np.roll(x, 1, axis=axis),
        "repeated": lambda x: np.repeat(x, 2, axis=axis),
        "joined": lambda x: np.concatenate([x, alone * x], axis=axis),
        "plus its mean": lambda x: x + 0.3 * x.sum(axis=axis, keepdims=True),
        "plus its first": lambda x: x + alone * x[:1],
        "times a matrix": lambda x: x @ right,
    }
    if n == 1:
        found |= {"on the diagonal": np.diag, "outer": lambda x: np.outer(x, right[0])}
    if n == 2:
        left, few, other = numbers(2, shape[0]), sparse(3, shape[0]), sparse(shape[1], 2)
        diagonal = sp.diags_array(numbers(shape[1])).tocsr()
        pairs = rng.integers(0, shape[0], 3), rng.integers(0, shape[1], 3)
        column, row, stack = numbers(2, 1), numbers(1, 2), numbers(2, *shape)
        found |= {
            "by a matrix": lambda x: left @ x,
            "by a sparse matrix": lambda x: few @ x,
            "times a sparse matrix": lambda x: x @ other,
            "times a diagonal": lambda x: x @ diagonal,
            "lower": np.tril,
            "upper": lambda x: np.triu(x, 1),
            "diagonal": np.diagonal,
            "trace": np.trace,
            "pairs": lambda x: x[pairs],
            "kron": lambda x: np.kron(x, column),
            "kron by": lambda x: np.kron(row, x),
            "contracted": lambda x: np.einsum("bij,ij->bi", stack, x),
            "reshaped": lambda x: x.reshape(shape[::-1]),
        }
    if n == 3:
        left, stacked, behind = numbers(2, shape[1]), numbers(shape[0], 2, shape[1]), numbers(shape[0], shape[2], 2)
        found |= {
            "stack by a matrix": lambda x: left @ x,
            "stack by a stack": lambda x: stacked @ x,
            "stack times a stack": lambda x: x @ behind,
            "pairs of rows": lambda x: np.einsum("bij,bij->bi", x, c),
            "diagonal of a stack": lambda x: np.diagonal(x, 0, 0, 2),
        }
    return found


@st.composite
def rules(draw):
    """A random rule, as NumPy code, and the shapes of its variables."""
    rng = np.random.default_rng(draw(st.integers(0, 9999)))
    shapes = [
        tuple(draw(st.integers(1, 3)) for _ in range(draw(st.integers(0, 3)))) for _ in range(draw(st.integers(1, 2)))
    ]
    pool = [((lambda *d, k=k: d[k]), shape) for k, shape in enumerate(shapes)]
    names = []
    for _ in range(draw(st.integers(1, 6))):
        f, shape = draw(st.sampled_from(pool[-2:] + pool))
        if draw(st.integers(0, 3)) == 0:
            # sums of different arrays, with numbers for which nothing cancels
            g, other = draw(st.sampled_from(pool))
            try:
                after = np.broadcast_shapes(shape, other)
            except ValueError:
                continue
            c = rng.uniform(0.5, 1.5)
            pool.append(((lambda *d, f=f, g=g, c=c: f(*d) - c * g(*d)), after))
            names.append("minus")
        else:
            found = moves(rng, shape)
            name = draw(st.sampled_from(sorted(found)))
            move = found[name]
            after = np.shape(move(np.zeros(shape)))
            if np.prod(after) > 60 or len(after) > 3:
                continue
            pool.append(((lambda *d, f=f, move=move: move(f(*d))), after))
            names.append(name)
    return pool[-1][0], shapes, names


@given(rules(), st.sampled_from(ORDERS), st.sampled_from(LAYOUTS))
def test_random_rules(drawn, order, layout):
    rule, shapes, _ = drawn
    dense = by_basis(rule, shapes, order, layout)
    assume(dense.size < 10_000)
    check(mj.from_differential(rule, *shapes, order=order, layout=layout), dense)


@given(rules(), st.sampled_from(ORDERS))
def test_random_rules_after_functions_entry_by_entry(drawn, order):
    """The same compiled, of tanh of the variables: the patterns are those of the rule."""
    rule, shapes, _ = drawn
    rng = np.random.default_rng(0)
    points = [rng.standard_normal(s) for s in shapes]
    F = mj.compile(lambda *x: np.sin(rule(*map(np.tanh, x))), *shapes, order=order)
    inner = by_basis(rule, shapes, order, "numerator")
    assume(inner.size < 10_000)
    value = np.asarray(rule(*map(np.tanh, points)))
    slopes = np.concatenate([(1 - np.tanh(x) ** 2).ravel(order) for x in points])
    check(F.jacobian(*points), np.cos(value).ravel(order)[:, None] * inner * slopes)


@given(st.data(), st.sampled_from(ORDERS))
def test_indices_are_numpys(data, order):
    """By integers, slices, new axes, an ellipsis, lists and masks."""
    shape = tuple(data.draw(st.integers(1, 3)) for _ in range(data.draw(st.integers(1, 3))))
    ends = st.none() | st.integers(-4, 4)
    index = []
    for n in shape[: data.draw(st.integers(0, len(shape)))]:
        kind = data.draw(st.sampled_from(["integer", "slice", "slice", "list", "new axis"]))
        if kind == "new axis":
            index.append(None)
        if kind == "integer":
            index.append(data.draw(st.integers(-n, n - 1)))
        elif kind == "list":
            index.append(data.draw(st.lists(st.integers(-n, n - 1), min_size=2, max_size=2)))
        else:
            index.append(slice(data.draw(ends), data.draw(ends), data.draw(st.sampled_from([None, 1, 2, -1, -2]))))
    index.insert(data.draw(st.integers(0, len(index))), Ellipsis)
    if data.draw(st.integers(0, 4)) == 0:
        index = [np.random.default_rng(0).random(shape) < 0.5]
    index = tuple(index)
    try:
        numbers = np.arange(np.prod(shape)).reshape(shape)[index]
    except IndexError:
        assume(False)
    J = mj.from_differential(lambda dX: 2 * dX[index], shape, order=order)
    assert J.out_shape == numbers.shape
    check(J, by_basis(lambda d: 2 * d[index], [shape], order, "numerator"))


# mj.rule ----------------------------------------------------------------------------------------------


def softplus(x):
    return np.log1p(np.exp(x))


def logistic(x):
    return 1 / (1 + np.exp(-x))


WAYS = {
    "differential": lambda: mj.rule(softplus, differential=lambda x, dx: logistic(x) * dx),
    "differential by the value": lambda: mj.rule(softplus, differential=lambda y, x, dx: (1 - np.exp(-y)) * dx),
    "identity": lambda: mj.rule(softplus, lambda x: mj.d_elementwise_dX(logistic(x))),
    "diagonal": lambda: mj.rule(softplus, lambda x: sp.diags_array(logistic(x).ravel())),
    "dense": lambda: mj.rule(softplus, lambda x: np.diag(logistic(x).ravel())),
}


@both_orders
@pytest.mark.parametrize("dtype", [np.float64, np.complex128, np.float32])
@pytest.mark.parametrize("way", WAYS)
def test_a_rule_of_every_kind(way, dtype, order):
    """Inside a function, at several points: the value, and the Jacobian of the function written out."""
    named = WAYS[way]()
    F = mj.compile(lambda X, A: A @ named(X.T @ X), (2, 3), (4, 3), order=order)
    plain = mj.compile(lambda X, A: A @ softplus(X.T @ X), (2, 3), (4, 3), order=order)
    for seed in range(2):
        rng = np.random.default_rng(seed)
        points = [rng.standard_normal(s) for s in ((2, 3), (4, 3))]
        points = [(p + 0.1j * p if dtype == np.complex128 else p).astype(dtype) for p in points]
        assert_allclose(F(*points), plain(*points), rtol=1e-5)
        J, wanted = F.jacobian(*points), plain.jacobian(*points)
        assert J.dtype == dtype
        tolerance = 1e-4 if dtype == np.float32 else 1e-11
        assert_allclose(J.toarray(), wanted.toarray(), atol=tolerance)
        if way != "dense":
            # known to be a diagonal matrix, also to what comes after it
            assert J.nnz == wanted.nnz
        v = rng.standard_normal(J.shape[1]).astype(dtype)
        assert_allclose(J @ v, wanted @ v, atol=10 * tolerance)
        assert_allclose(J.T @ (J @ v), wanted.T @ (wanted @ v), atol=100 * tolerance)


def test_a_rule_s_differential_is_recorded_once():
    calls = []

    def differential(A, dA):
        calls.append(A)
        return dA @ A + A @ dA

    square = mj.rule(lambda A: A @ A, differential=differential)
    F = mj.compile(lambda A: square(A), (2, 2))
    for seed in range(3):
        X = np.random.default_rng(seed).standard_normal((2, 2))
        check(F.jacobian(X), lay_out(complex_step(lambda A: A @ A, X), 2, "C", "numerator"))
    assert len(calls) == 1
    # by the rules of products, so its entries are where theirs are
    assert F.jacobian(np.zeros((2, 2))).nnz == mj.compile(lambda A: A @ A, (2, 2)).jacobian(np.ones((2, 2))).nnz
    assert_array_equal(square(np.eye(2) * 3), np.eye(2) * 9)
    assert "custom" in F.explain()


def test_a_rule_of_several_arguments():
    product = mj.rule(lambda A, B: A @ B, differential=lambda A, B, dA, dB: dA @ B + A @ dB)
    rng = np.random.default_rng(0)
    U, V, K = rng.standard_normal((2, 3)), rng.standard_normal((3, 2)), rng.standard_normal((3, 2))
    J = mj.compile(lambda U, V: product(U, V), (2, 3), (3, 2)).jacobian(U, V)
    check(J, mj.compile(lambda U, V: U @ V, (2, 3), (3, 2)).jacobian(U, V).toarray())
    # one variable for both
    both = mj.compile(lambda U: product(U, U.T), (2, 3)).jacobian(U)
    assert_allclose(both.toarray(), mj.d_outer_gram_dR(U).toarray())
    by_value = mj.rule(np.linalg.solve, differential=lambda X, A, B, dA, dB: np.linalg.solve(A, dB - dA @ X))
    at = rng.standard_normal((2, 2)), rng.standard_normal((2, 3))
    solved = mj.compile(lambda A, B: by_value(A, B), (2, 2), (2, 3))
    assert_allclose(
        solved.jacobian(*at).toarray(), mj.compile(np.linalg.solve, (2, 2), (2, 3)).jacobian(*at).toarray(), rtol=1e-12
    )
    mj.check(solved, *at, order=2)
    plus = mj.rule(lambda a, b: a + 2 * b, differential=lambda a, b, da, db: da + 2 * db)
    assert_array_equal(mj.compile(lambda x: plus(x, np.ones(2)), (2,)).jacobian(np.ones(2)).toarray(), np.eye(2))
    assert_array_equal(mj.compile(lambda x: plus(np.ones(2), x), (2,)).jacobian(np.ones(2)).toarray(), 2 * np.eye(2))
    # as the textbook writes it, where one of them is constant
    F = mj.compile(lambda U: product(U, K), (2, 3))
    check(F.jacobian(U), mj.d_matmul_dA(K, 2).toarray())


@both_orders
@pytest.mark.parametrize("kind", [lambda J: J, lambda J: J.toarray(), lambda J: J.tocsr()], ids=["J", "dense", "csr"])
def test_rules_in_other_orders_and_of_other_shapes(kind, order):
    """A rule's Jacobian counts row by row, whatever the order of the function that it is in."""
    rng = np.random.default_rng(0)
    P = rng.standard_normal((2, 3))
    named = mj.rule(lambda x: P @ x, lambda x: kind(mj.d_matmul_dB(P, 2)))
    F = mj.compile(lambda X: named(X.T).sum(axis=0) * X[:, 0], (2, 3), order=order)
    plain = mj.compile(lambda X: (P @ X.T).sum(axis=0) * X[:, 0], (2, 3), order=order)
    X = rng.standard_normal((2, 3))
    assert_allclose(F.jacobian(X).toarray(), plain.jacobian(X).toarray(), atol=1e-12)


def test_a_rule_whose_value_changes_its_shape_is_refused():
    def shorter(x):
        return 2 * x if x[0] < 2 else 2 * x[:1]

    doubled = mj.rule(shorter, lambda x: 2 * np.eye(3))
    F = mj.compile(lambda x: doubled(x) * x, np.ones(3))
    assert_allclose(F(np.ones(3)), 2)
    with pytest.raises(ValueError, match=r"^mj\.rule's value: got shape \(1,\), expected \(3,\)"):
        F(np.full(3, 5.0))


def test_a_rule_of_a_scalar():
    inner = mj.rule(lambda x: x @ x, lambda x: 2 * x[None, :])
    F = mj.compile(lambda x: inner(x) * x, (3,))
    x = np.array([1.0, 2, 3])
    assert_allclose(F.jacobian(x).toarray(), 14 * np.eye(3) + 2 * np.outer(x, x))
    assert_allclose(F.gradient(x, weights=np.ones(3)), 14 + 2 * x * x.sum())


def test_entries_of_a_rule_s_matrix_that_are_missing_are_zero():
    """At another point SciPy may drop what is zero: the pattern stays that of the example."""

    def jacobian(x):
        J = sp.csr_array(np.diag(2 * x) + np.diag(np.ones(2), 1))
        J.eliminate_zeros()
        return J

    named = mj.rule(lambda x: x**2 + np.append(x[1:], 0), jacobian)
    F = mj.compile(lambda x: named(x) * 3, np.ones(3))
    first = F.jacobian(np.ones(3)).tocsr()
    for x in (np.array([0.0, 2, 0]), np.zeros(3), np.array([1.0, 0, 5])):
        A = F.jacobian(x).tocsr()
        assert_array_equal(A.toarray(), 3 * (np.diag(2 * x) + np.diag(np.ones(2), 1)))
        assert_array_equal(A.indices, first.indices)
        assert_allclose(F.jacobian(x) @ np.ones(3), A.toarray().sum(axis=1))


def test_entries_of_a_rule_s_matrix_without_a_place():
    def jacobian(x):
        return sp.csr_array(np.diag(x))

    F = mj.compile(mj.rule(lambda x: x * x / 2, jacobian), np.array([1.0, 0.0]))
    # here the second entry of the diagonal was not stored when it was recorded
    assert_array_equal(F.jacobian([3.0, 0.0]).toarray(), [[3, 0], [0, 0]])
    for ask in (lambda J: J.toarray(), lambda J: J @ np.ones(2), lambda J: J.T @ np.ones(2)):
        with pytest.raises(ValueError, match=r"^mj.rule: the Jacobian for argument 0 has entries in other places"):
            ask(F.jacobian([3.0, 1.0]))


def test_a_rule_s_jacobian_of_other_terms():
    """As a Jacobian, at another point, of another structure."""

    def jacobian(x):
        return mj.d_matvec_dx(np.eye(2)) if x[0] > 0 else mj.d_elementwise_dX(np.ones(2))

    F = mj.compile(mj.rule(lambda x: 1 * x, jacobian), np.ones(2))
    assert_array_equal(F.jacobian([2.0, 1.0]).toarray(), np.eye(2))
    with pytest.raises(ValueError, match=r"^mj.rule: the Jacobian for argument 0 has entries in other places"):
        F.jacobian([-2.0, 1.0]).toarray()


def test_entries_of_a_rule_s_sparse_jacobian_without_a_place():
    """The same for a Jacobian with a sparse matrix in it."""
    named = mj.rule(lambda x: x * x / 2, lambda x: mj.d_hadamard_dA(sp.csr_array(x[:, None])) @ COLUMN)
    F = mj.compile(lambda x: named(x), np.array([1.0, 0.0]))
    assert_array_equal(F.jacobian([3.0, 0.0]).toarray(), [[3, 0], [0, 0]])
    for ask in (lambda J: J.toarray(), lambda J: J @ np.ones(2), lambda J: J.T @ np.ones(2)):
        with pytest.raises(ValueError, match=r"^mj.rule: the Jacobian for argument 0 has entries in other places"):
            ask(F.jacobian([3.0, 1.0]))


COLUMN = mj.compile(lambda x: x[:, None], (2,)).jacobian(np.ones(2))


JACOBIANS = {
    "identity": lambda X: mj.d_gram_dR(X),
    "congruence": lambda X: mj.d_congruence_dX(X, np.eye(3)),
    "chain and sum": lambda X: mj.d_matmul_dA(X, 3) @ mj.d_transpose_dX((3, 3)) + mj.d_matmul_dB(X.T, 3),
    "differential": lambda X: mj.from_differential(lambda d: d.T @ X + X.T @ d, (3, 3)),
    "compiled": lambda X: mj.compile(lambda X: X.T @ X, (3, 3)).jacobian(X),
}


@pytest.mark.parametrize("name", JACOBIANS)
def test_a_rule_s_jacobian_changes_with_the_point(name):
    """Made anew by the same code: the numbers are those of each point."""
    P = np.random.default_rng(0).standard_normal((3, 3))
    gram = mj.rule(lambda X: X.T @ X, JACOBIANS[name])
    F = mj.compile(lambda X: gram(np.sin(P @ X)), (3, 3))
    for seed in range(2):
        X = np.random.default_rng(seed).standard_normal((3, 3))
        wanted = lay_out(complex_step(lambda X: np.sin(P @ X).T @ np.sin(P @ X), X), 2, "C", "numerator")
        assert_allclose(F.jacobian(X).toarray(), wanted, atol=1e-12)
        assert_allclose(F.jacobian(X) @ np.ones(9), wanted.sum(axis=1), atol=1e-11)


BAD_RULES = [
    ("fun", lambda: mj.rule(3, differential=lambda x, dx: dx), TypeError, r"^mj.rule: got int, expected functions"),
    ("jacobian", lambda: mj.rule(np.sin, np.eye(2)), TypeError, r"^mj.rule: got ndarray, expected functions"),
    ("differential", lambda: mj.rule(np.sin, differential=2.0), TypeError, r"^mj.rule: got float, expected functions"),
    (
        "both",
        lambda: mj.rule(np.sin, lambda x: np.eye(2), differential=lambda x, dx: dx),
        TypeError,
        r"^mj.rule: got Jacobians and a differential",
    ),
    (
        "not linear",
        lambda: use(mj.rule(np.sin, differential=lambda x, dx: dx * dx)),
        mj.TracingError,
        r"^a product of two differentials is not linear",
    ),
    (
        "a constant",
        lambda: use(mj.rule(np.sin, differential=lambda x, dx: dx + x)),
        mj.TracingError,
        r"^a differential plus what is none",
    ),
    (
        "layout",
        lambda: use(mj.rule(np.sin, lambda x: mj.d_identity_dx(3, order="F"))),
        ValueError,
        r"^mj.rule: got a J",
    ),
    ("shape", lambda: use(mj.rule(np.sin, lambda x: np.eye(2))), ValueError, r"^mj.rule: got a Jacobian of shape"),
    ("no Jacobian", lambda: use(mj.rule(np.sin)), TypeError, r"^mj.rule: argument 0 of .* has no Jacobian"),
    ("None", lambda: use(mj.rule(np.sin, None)), TypeError, r"^mj.rule: argument 0 of .* has no Jacobian"),
    ("other shape", lambda: use(mj.rule(np.sin, differential=lambda x, dx: np.sum(dx))), ValueError, r"^mj.rule: got"),
    (
        "no differential",
        lambda: use(mj.rule(np.sin, differential=lambda x, dx: np.cos(x))),
        TypeError,
        r"^mj.rule: got",
    ),
    ("an array", lambda: use(mj.rule(np.sin, differential=lambda x, dx: np.ones(3))), TypeError, r"^mj.rule: got"),
]


def use(rule):
    return mj.compile(lambda x: rule(x), (3,)).jacobian(np.ones(3)).toarray()


@pytest.mark.parametrize(("act", "error", "message"), [b[1:] for b in BAD_RULES], ids=[b[0] for b in BAD_RULES])
def test_bad_rules(act, error, message):
    with pytest.raises(error, match=message):
        act()
