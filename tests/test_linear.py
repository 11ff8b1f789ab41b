"""The algebra: row maps, primitives and their adjoints, what becomes of terms, and expressions."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from terms import Maker, Sum, by_loops, dense, places_by_loops, recorded, row_of, run

from matjac.conventions import canonical
from matjac.entries.plan import ready
from matjac.linear.adjoint import adjoint, swept
from matjac.linear.contraction import contract, merged
from matjac.linear.expression import Expression
from matjac.linear.factors import (
    Dense,
    Eye,
    KhatriRao,
    Sparse,
    SpGemm,
    WeightedRows,
    khatri_rao_structure,
    plan,
    product_nnz,
)
from matjac.linear.operators import Apply, EntriesOf, TransposedOperator
from matjac.linear.primitives import (
    Add,
    Broadcast,
    Join,
    Mask,
    MatMul,
    Multiply,
    Pad,
    Reshape,
    Scatter,
    Sddmm,
    Slice,
    SpMM,
    Take,
    Transpose,
    run_length,
)
from matjac.linear.primitives import (
    Sum as Total,
)
from matjac.linear.program import Primitive, Program
from matjac.linear.reduce import collected
from matjac.linear.rowmap import RowMap, constant, counting, listed, regroup
from matjac.linear.terms import Term, seed

# row maps ---------------------------------------------------------------------------------------------

shapes = st.lists(st.integers(0, 3), max_size=4).map(tuple)


@st.composite
def maps(draw, shape=None, least=0):
    """An affine map, or a listed one with absent rows."""
    shape = draw(shapes) if shape is None else shape
    if draw(st.booleans()):
        steps = tuple(draw(st.integers(least, 5)) for _ in shape)
        return RowMap(shape, steps, draw(st.integers(0, 3)))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    return listed(np.array(rng.integers(-1, 4, shape)))


def by_hand(rows):
    """The map's values, one by one."""
    result = np.empty(rows.shape, np.int64)
    for index in np.ndindex(rows.shape):
        result[index] = row_of(rows, index)
    return result


def check_map(made, expected):
    """A map has those values, and every way to ask for them agrees."""
    assert made.shape == expected.shape
    assert_array_equal(by_hand(made), expected)
    assert_array_equal(made.dense(), expected)
    flat = expected.reshape(-1)
    assert_array_equal(made.rows(0, flat.size), flat)
    half = flat.size // 2
    assert_array_equal(made.rows(half // 2, half), flat[half // 2 : half])
    assert_array_equal(made.rows(half, flat.size), flat[half:])
    if made.listed is None:
        assert made.full
    else:
        assert made.full == bool(np.all(expected >= 0))
    for axis in range(expected.ndim):
        changes = expected.shape[axis] > 1 and np.any(np.diff(expected, axis=axis))
        # a listed map may depend on an axis for all it knows; none may vary along one that it does not depend on
        assert made.depends(axis) or not changes
        assert made.listed is not None or not made.depends(axis) or changes or expected.size == 0


@given(maps(least=-4))
def test_a_row_map_has_its_values(rows):
    check_map(rows, by_hand(rows))


@given(maps(), st.data())
def test_transposed_rows(rows, data):
    axes = data.draw(st.permutations(range(len(rows.shape))))
    check_map(rows.transpose(axes), by_hand(rows).transpose(axes))


@given(maps(), st.data())
def test_a_new_axis_of_rows(rows, data):
    axis = data.draw(st.integers(0, len(rows.shape)))
    check_map(rows.insert(axis), np.expand_dims(by_hand(rows), axis))


@given(maps(), st.data())
def test_rows_at_the_first_of_an_axis(rows, data):
    assume(any(rows.shape))
    axis = data.draw(st.sampled_from([k for k, n in enumerate(rows.shape) if n]))
    check_map(rows.restricted([k for k in range(len(rows.shape)) if k != axis]), by_hand(rows).take(0, axis))


@given(maps(), st.data())
def test_repeated_rows(rows, data):
    wide = tuple(data.draw(st.integers(0, 3)) if n == 1 else n for n in rows.shape)
    ahead = tuple(data.draw(st.integers(0, 3)) for _ in range(data.draw(st.integers(0, 2))))
    made = rows.broadcast(ahead + wide)
    check_map(made, np.broadcast_to(by_hand(rows), ahead + wide))
    repeated = [*range(len(ahead)), *(len(ahead) + k for k, n in enumerate(rows.shape) if n == 1)]
    assert not any(made.depends(axis) for axis in repeated)


def slices_of(draw, shape):
    """A slice for each axis."""
    ends, steps = st.none() | st.integers(-4, 4), st.sampled_from([None, 1, 2, -1, -2])
    return tuple(slice(draw(ends), draw(ends), draw(steps)) for _ in shape)


@given(maps(), st.data())
def test_some_rows(rows, data):
    slices = slices_of(data.draw, rows.shape)
    check_map(rows.slice(slices), by_hand(rows)[slices])


def is_affine(array):
    """Whether equal steps lead from each entry to the next along every axis."""
    steps = [np.diff(array, axis=k) for k, n in enumerate(array.shape) if n > 1]
    return array.size == 0 or all(np.all(step == step.flat[0]) for step in steps)


@st.composite
def groupings(draw):
    """Two shapes of as many entries."""
    primes = draw(st.lists(st.sampled_from([2, 2, 3]), max_size=4))

    def grouped(order):
        shape = []
        for n in order:
            if shape and draw(st.booleans()):
                shape[-1] *= n
            else:
                shape += [1] * draw(st.integers(0, 1)) + [n]
        return tuple(shape)

    if draw(st.integers(0, 9)) == 0:
        return (0, 3, 2), draw(st.sampled_from([(0,), (2, 0), (3, 0, 1), (0, 3, 2)]))
    return grouped(primes), grouped(draw(st.permutations(primes)))


@given(groupings(), st.data())
def test_reshaped_rows(pair, data):
    """An affine map stays one wherever it is one on the other shape."""
    before, after = pair
    steps = tuple(data.draw(st.integers(0, 2)) for _ in before)
    rows = data.draw(st.sampled_from([RowMap(before, steps, 1), counting(before, range(len(before)))]))
    array = by_hand(rows).reshape(after)
    made = rows.reshape(after)
    assert (made.listed is None) == is_affine(array)
    check_map(made, array)
    found = regroup(before, rows.steps, after)
    assert (found is not None) == (made.listed is None)
    check_map(listed(by_hand(rows)).reshape(after), array)


def test_steps_are_regrouped_only_for_as_many_rows():
    assert regroup((2, 3), (3, 1), (5,)) is None
    assert regroup((2, 3), (3, 1), (6,)) == (1,)
    assert regroup((2, 3), (1, 2), (6,)) is None
    assert regroup((6,), (2,), (3, 2)) == (4, 2)
    assert regroup((), (), (1, 1)) == (0, 0)


@given(st.data())
def test_sums_of_row_maps(data):
    rows = data.draw(maps())
    other = data.draw(maps(rows.shape))
    factor = data.draw(st.integers(1, 4))
    # an affine map has no absent rows, and the other's count as none where this one is there
    mine, its = by_hand(rows), by_hand(other)
    check_map(rows.plus(other, factor), np.where(mine < 0, -1, factor * mine + its))


@given(maps(), st.data())
def test_masked_rows(rows, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    own = tuple(1 if data.draw(st.booleans()) else n for n in rows.shape)
    mask = np.array(rng.random(own) < 0.5)
    check_map(rows.masked(mask), np.where(mask, by_hand(rows), -1))


@given(st.data())
def test_same_maps(data):
    rows = data.draw(maps())
    other = data.draw(st.just(rows) | maps(rows.shape) | st.just(listed(by_hand(rows))) | maps())
    alike = rows.shape == other.shape and np.array_equal(by_hand(rows), by_hand(other))
    if rows.listed is None and other.listed is None and 0 in rows.shape:
        # of maps of no rows it may say either, but not of other shapes
        assert alike or not rows.same(other)
    else:
        assert rows.same(other) == other.same(rows) == alike


@given(shapes, st.data())
def test_maps_that_count(shape, data):
    axes = data.draw(st.lists(st.sampled_from(range(len(shape))), unique=True) if shape else st.just([]))
    own = tuple(n if k in axes else 1 for k, n in enumerate(shape))
    in_order = np.arange(np.prod(own, dtype=int)).reshape([shape[k] for k in axes])
    numbers = in_order.transpose(np.argsort(axes)).reshape(own)
    if 0 not in shape:
        check_map(counting(shape, axes), np.broadcast_to(numbers, shape))
    check_map(constant(shape), np.zeros(shape, int))


def test_rows_of_a_map_too_large_to_hold():
    n = 10**6
    rows = counting((n, n), [1])
    assert_array_equal(rows.rows(n * n - 2, n * n), [n - 2, n - 1])
    assert_array_equal(counting((n, n), [0]).transpose((1, 0)).rows(n + 5, n + 7), [5, 6])
    assert_array_equal(rows.slice((slice(None), slice(None, None, -1))).rows(n, n + 2), [n - 1, n - 2])


# primitives -------------------------------------------------------------------------------------------

rng = np.random.default_rng(3)
SPARSE = sp.csr_array(np.array([[0, 1.5, 0], [2, 0, -1], [0, 0, 0], [0.5, 0, 0]]))
WIDE = sp.csr_array(SPARSE.T)
# small integers, exact in every dtype
TABLE = np.array([[0, 2, 0], [1, 0, -1], [0, 0, 0], [3, 0, 0]], np.float32)


class Table:
    """An operator by its products."""

    def product(self, x):
        return x @ TABLE.T

    def transposed(self, y):
        return y @ TABLE

    def matrix(self):
        return sp.csr_array(TABLE)


class Number(tuple):
    """The shape of an operand that is always a number: no differential."""


#: Makers of a primitive, the shapes of its operands and of its result; a constant sparse matrix is given as it is.
PRIMITIVES = {
    "add": lambda: (Add((1, -1, 1)), [(2, 3)] * 3, (2, 3)),
    "negative": lambda: (Add((-1,)), [(2,)], (2,)),
    "minus first": lambda: (Add((-1, 1)), [()] * 2, ()),
    "multiply": lambda: (Multiply(), [(2, 3), (2, 3)], (2, 3)),
    "multiply, scalars": lambda: (Multiply(), [(), ()], ()),
    "multiply by fewer axes": lambda: (Multiply(), [(2, 1, 3), Number((3,))], (2, 1, 3)),
    "multiply by two of three axes": lambda: (Multiply(), [Number((4, 3)), (2, 4, 3)], (2, 4, 3)),
    "multiply by a number": lambda: (Multiply(), [Number(()), (2, 3)], (2, 3)),
    "multiply by a column": lambda: (Multiply(), [(2, 3), Number((2, 1))], (2, 3)),
    "multiply, empty": lambda: (Multiply(), [(0, 3), (0, 3)], (0, 3)),
    "matmul": lambda: (MatMul(), [(2, 3), (3, 4)], (2, 4)),
    "matmul of a row": lambda: (MatMul(), [(1, 3), (3, 1)], (1, 1)),
    "matmul over nothing": lambda: (MatMul(), [(2, 0), (0, 4)], (2, 4)),
    "matmul of stacks": lambda: (MatMul(), [(2, 5, 3), (2, 3, 4)], (2, 5, 4)),
    "matmul of stacks of stacks": lambda: (MatMul(), [(2, 2, 1, 3), (2, 2, 3, 2)], (2, 2, 1, 2)),
    "sparse on the left": lambda: (MatMul(), [SPARSE, (3, 2)], (4, 2)),
    "sparse on the right": lambda: (MatMul(), [(2, 3), WIDE], (2, 4)),
    "sparse, no columns": lambda: (MatMul(), [SPARSE, (3, 0)], (4, 0)),
    "reshape": lambda: (Reshape((2, 3), (3, 1, 2)), [(2, 3)], (3, 1, 2)),
    "reshape to a scalar": lambda: (Reshape((1, 1), ()), [(1, 1)], ()),
    "reshape, empty": lambda: (Reshape((0, 3), (2, 0)), [(0, 3)], (2, 0)),
    "transpose": lambda: (Transpose((2, 3, 4), (2, 0, 1)), [(2, 3, 4)], (4, 2, 3)),
    "transpose of a matrix": lambda: (Transpose((2, 3), (1, 0)), [(2, 3)], (3, 2)),
    "transpose of a scalar": lambda: (Transpose((), ()), [()], ()),
    "broadcast": lambda: (Broadcast((3, 1), (2, 3, 4)), [(3, 1)], (2, 3, 4)),
    "broadcast a scalar": lambda: (Broadcast((), (2, 3)), [()], (2, 3)),
    "broadcast to nothing": lambda: (Broadcast((1, 2), (0, 2)), [(1, 2)], (0, 2)),
    "broadcast ones": lambda: (Broadcast((1,), (1, 1)), [(1,)], (1, 1)),
    "slice": lambda: (Slice((4, 3), (slice(3, None, -2), slice(1, 2))), [(4, 3)], (2, 1)),
    "slice of stacks": lambda: (Slice((2, 4, 3), (slice(None), slice(1, 3), slice(None))), [(2, 4, 3)], (2, 2, 3)),
    "slice to one": lambda: (Slice((4, 3), (slice(-1, None), slice(0, 1))), [(4, 3)], (1, 1)),
    "slice to nothing": lambda: (Slice((4, 3), (slice(2, 2), slice(None))), [(4, 3)], (0, 3)),
    "take": lambda: (Take((2, 3), np.array([5, 0, 0, 4]), 1, (2, 2)), [(2, 3)], (2, 2)),
    "take each once": lambda: (Take((2, 3), np.array([5, 0, 4]), 1, (3,)), [(2, 3)], (3,)),
    "take blocks": lambda: (Take((4, 3), np.array([3, 0, 3]), 3, (3, 3)), [(4, 3)], (3, 3)),
    "take blocks once": lambda: (Take((4, 3), np.array([3, 0]), 3, (2, 3)), [(4, 3)], (2, 3)),
    "take nothing": lambda: (Take((2, 3), np.array([], int), 1, (0,)), [(2, 3)], (0,)),
    "pad": lambda: (Pad((2, 1), (4, 3), (slice(3, None, -2), slice(1, 2))), [(2, 1)], (4, 3)),
    "pad with nothing": lambda: (Pad((0, 3), (2, 3), (slice(2, 2), slice(None))), [(0, 3)], (2, 3)),
    "scatter": lambda: (Scatter((3,), np.array([8, 0, 4]), (3, 3)), [(3,)], (3, 3)),
    "scatter nothing": lambda: (Scatter((0,), np.array([], int), (2, 2)), [(0,)], (2, 2)),
    "mask": lambda: (Mask((3, 3), np.tri(3, dtype=bool)), [(3, 3)], (3, 3)),
    "sum": lambda: (Total((2, 3, 4), (0, 2)), [(2, 3, 4)], (3,)),
    "sum of all": lambda: (Total((2, 3), (0, 1)), [(2, 3)], ()),
    "sum over nothing": lambda: (Total((2, 0), (1,)), [(2, 0)], (2,)),
    "join": lambda: (Join(((2, 3), (), (0, 2), (2,))), [(2, 3), (), (0, 2), (2,)], (9,)),
    "sddmm": lambda: (
        Sddmm(np.array([1, 0, 1, 1]), np.array([3, 0, 3, 1]), (2, 2), (2, 4)),
        [(2, 3), (3, 4)],
        (2, 2),
    ),
    "sddmm of nothing": lambda: (
        Sddmm(np.array([], int), np.array([], int), (0,), (2, 4)),
        [(2, 3), (3, 4)],
        (0,),
    ),
    "spmm": lambda: (
        SpMM(np.array([1, 0, 1, 1]), np.array([3, 0, 3, 1]), (2, 2), (2, 4)),
        [(2, 2), (4, 3)],
        (2, 3),
    ),
    "spmm of nothing": lambda: (
        SpMM(np.array([], int), np.array([], int), (0,), (2, 4)),
        [(0,), (4, 3)],
        (2, 3),
    ),
    "apply": lambda: (Apply(Table(), (4,)), [(3,)], (4,)),
}
BATCHES = [(), (1,), (2,), (3, 2), (0,)]


def operands_of(given_shapes, dtype, seed=0):
    """An array for each operand."""
    own = np.random.default_rng(seed)

    def array(shape):
        a = own.standard_normal(shape)
        return np.asarray(a + 1j * own.standard_normal(shape) if np.dtype(dtype).kind == "c" else a, dtype)

    return [s.astype(dtype) if sp.issparse(s) else array(s) for s in given_shapes]


def linear_operands():
    """Each primitive with each operand in which it is linear."""
    found = []
    for name, make in PRIMITIVES.items():
        for at, given_shape in enumerate(make()[1]):
            if not sp.issparse(given_shape) and not isinstance(given_shape, Number):
                found.append(pytest.param(make, at, id=f"{name}, {at}"))
    return found


def with_zeros_elsewhere(primitive, operands, at):
    """The operands where only one is a differential: of a sum or a joint the others are zero."""
    if isinstance(primitive, Add | Join):
        return [x if k == at else np.zeros_like(x) for k, x in enumerate(operands)]
    return operands


def adjoint_in(primitive, at, operands, shape):
    """The adjoint of a primitive in one operand, as a function of y."""
    program, values, numbers = Program(), [], []
    linear = [k == at or isinstance(primitive, Add | Join) for k in range(len(operands))]
    for operand, differential in zip(operands, linear, strict=True):
        if differential:
            numbers.append(sum(linear[: len(numbers)]))
        else:
            numbers.append(program.constant(operand) if sp.issparse(operand) else program.given(np.shape(operand)))
            values.append(operand)
    made = Expression(program, [np.shape(x) for x, differential in zip(operands, linear, strict=True) if differential])
    made.finish(made.add(primitive, numbers, linear, shape), shape)
    back, parts = swept(made)
    back.finish(parts[numbers[at]], np.shape(operands[at]))
    ready(program, program.steps(back.coefficients), values)
    return lambda y: back.forward(values, [y])


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.complex128])
@pytest.mark.parametrize("batch", BATCHES, ids=str)
@pytest.mark.parametrize(("make", "at"), linear_operands())
def test_primitives_on_many_directions(make, at, batch, dtype):
    """Forwards and backwards, the result is that of each direction alone; and backwards is the adjoint."""
    primitive, given_shapes, shape = make()
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    operands = with_zeros_elsewhere(primitive, operands_of(given_shapes, dtype), at)
    (x,) = operands_of([batch + given_shapes[at]], dtype, 1)
    (y,) = operands_of([batch + shape], dtype, 2)

    def forward(direction):
        # the other differentials of a sum have the batch's axes too
        many = isinstance(primitive, Add | Join) and direction.ndim > len(given_shapes[at])
        others = [np.broadcast_to(o, batch + np.shape(o)) if many else o for o in operands]
        return primitive.value(*others[:at], direction, *others[at + 1 :])

    backward = adjoint_in(primitive, at, operands, shape)
    before = x.copy(), y.copy()
    ahead, back = forward(x), backward(y)
    assert ahead.shape == batch + shape
    assert ahead.dtype == back.dtype == dtype
    for index in np.ndindex(batch):
        assert_allclose(ahead[index], forward(x[index]), atol=tolerance)
        assert_allclose(back[index], backward(y[index]), atol=tolerance)
        assert_allclose(np.sum(y[index] * ahead[index]), np.sum(back[index] * x[index]), atol=20 * tolerance)
    assert_array_equal(x, before[0])
    assert_array_equal(y, before[1])


@pytest.mark.parametrize(("make", "at"), linear_operands())
def test_primitives_are_linear(make, at):
    primitive, given_shapes, _ = make()
    operands = with_zeros_elsewhere(primitive, operands_of(given_shapes, float), at)
    one, other = operands_of([given_shapes[at]] * 2, float, 1)

    def value(x):
        return primitive.value(*operands[:at], x, *operands[at + 1 :])

    assert_allclose(value(2 * one - 3 * other), 2 * value(one) - 3 * value(other), atol=1e-12)
    # on integers every step is exact, so it is what NumPy makes of them
    assert_allclose(value(np.zeros(given_shapes[at])), 0)


@given(st.integers(0, 99), st.integers(1, 4), st.integers(1, 5), st.integers(0, 3))
def test_runs_of_positions(seed, block, count, more):
    """The longest blocks, in so many entries, whose order alone is changed."""
    blocks = np.random.default_rng(seed).permutation(count + more)[:count]
    positions, total = (blocks[:, None] * block + np.arange(block)).ravel(), (count + more) * block

    def whole(n):
        parts = positions.reshape(-1, n)
        return np.array_equal(parts, parts[:, :1] + np.arange(n)) and not (parts[:, 0] % n).any()

    lengths = [n for n in range(1, positions.size + 1) if positions.size % n == 0 and total % n == 0 and whole(n)]
    assert run_length(positions, total) == max(lengths)


#: What NumPy makes of the operands.
NUMPY = {
    "add": lambda a, b, c: a - b + c,
    "minus first": lambda a, b: b - a,
    "multiply": lambda a, b: a * b,
    "matmul of stacks": lambda a, b: np.einsum("bij,bjk->bik", a, b),
    "sparse on the left": lambda a, b: a.toarray() @ b,
    "sparse on the right": lambda a, b: a @ b.toarray(),
    "reshape": lambda a: a.reshape(3, 1, 2),
    "transpose": lambda a: np.moveaxis(a, 2, 0),
    "broadcast": lambda a: np.stack([np.repeat(a, 4, axis=1)] * 2),
    "slice": lambda a: np.array([[a[3, 1]], [a[1, 1]]]),
    "slice of stacks": lambda a: np.stack([a[:, 1], a[:, 2]], axis=1),
    "take": lambda a: np.array([[a[1, 2], a[0, 0]], [a[0, 0], a[1, 1]]]),
    "take blocks": lambda a: np.stack([a[3], a[0], a[3]]),
    "scatter": lambda a: np.diag(a[[1, 2, 0]]),
    "mask": np.tril,
    "sum": lambda a: a.sum(axis=2).sum(axis=0),
    "join": lambda a, b, c, d: np.array([*a.ravel(), b, *d]),
    "sddmm": lambda a, b: np.array([[(a @ b)[1, 3], (a @ b)[0, 0]], [(a @ b)[1, 3], (a @ b)[1, 1]]]),
    "spmm": lambda y, b: np.array([y[0, 1] * b[0], y[0, 0] * b[3] + y[1, 0] * b[3] + y[1, 1] * b[1]]),
    "pad": lambda a: np.array([[0, 0, 0], [0, a[1, 0], 0], [0, 0, 0], [0, a[0, 0], 0]]),
    "apply": lambda a: TABLE @ a,
}


@pytest.mark.parametrize("name", NUMPY)
def test_primitives_are_numpys(name):
    primitive, given_shapes, shape = PRIMITIVES[name]()
    operands = operands_of(given_shapes, float)
    expected = NUMPY[name](*operands)
    assert np.shape(expected) == shape
    assert_allclose(primitive.value(*operands), expected, atol=1e-14)


@pytest.mark.parametrize("name", [n for n in PRIMITIVES if n != "apply" and not n.startswith("sddmm")])
def test_zeros_by_structure(name):
    """Where a primitive says that its result can be other than zero, it is for numbers that do not cancel."""
    primitive, given_shapes, shape = PRIMITIVES[name]()
    own = np.random.default_rng(0)
    shapes_of = [s.shape if sp.issparse(s) else s for s in given_shapes]
    for known in itertools.product([False, True], repeat=len(given_shapes)):
        patterns, operands = [], []
        for k, s in zip(known, given_shapes, strict=True):
            places = s if sp.issparse(s) else np.asarray(own.random(s) < 0.6) if k else None
            patterns.append(places)
            operands.append(abs(s) if sp.issparse(s) else np.ones(s) if places is None else places * 1.0)
        if not primitive.makes_zeros and all(p is None for p in patterns):
            continue
        found = primitive.pattern(patterns, shapes_of, shape)
        places = primitive.positive().value(*operands) > 0
        assert_array_equal(np.ones(shape, bool) if found is None else found, places)


def test_equal_primitives_have_equal_keys():
    keys = {name: make()[0].key for name, make in PRIMITIVES.items() if name != "apply"}
    for name, key in keys.items():
        assert PRIMITIVES[name]()[0].key == key
        hash(key)
    # those that differ in shapes of operands alone are one primitive
    alike = [{n for n in keys if n.startswith(kind)} for kind in ("multiply", ("matmul", "sparse"))]
    for first, second in itertools.combinations(keys, 2):
        assert (keys[first] == keys[second]) == any({first, second} <= group for group in alike), (first, second)


@given(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4), st.integers(0, 99))
def test_planned_sparse_products(m, n, p, seed):
    """The pattern is that of the factors, whatever the values; dtypes are NumPy's."""
    own = np.random.default_rng(seed)
    matrices, places = [], []
    for shape in ((m, n), (n, p)):
        there = own.random(shape) < 0.5
        data = own.integers(-1, 2, np.count_nonzero(there)).astype(float)
        pointers = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
        matrices.append(sp.csr_array((data, np.nonzero(there)[1], pointers), shape=shape))
        places.append(there)
    A, B = matrices
    product = plan(A, B)
    assert isinstance(product, SpGemm)
    pointers, indices = product.result
    expected = places[0].astype(int) @ places[1].astype(int) > 0
    assert_array_equal(indices, np.nonzero(expected)[1])
    assert_array_equal(pointers, np.concatenate([[0], np.cumsum(expected.sum(axis=1))]))
    values = product.value(A.data, B.data.astype(np.complex64))
    assert values.dtype == np.complex128
    assert_array_equal(values, (A @ B).toarray()[expected])


@given(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5), st.integers(0, 99))
def test_products_are_counted_as_they_are_made(m, n, p, seed):
    rng = np.random.default_rng(seed)
    A, B = (sp.csr_array(rng.random(shape) < 0.4) for shape in ((m, n), (n, p)))
    assert product_nnz(A, B) == np.count_nonzero(A.toarray().astype(int) @ B.toarray().astype(int))


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("scaled", [False, True])
def test_rows_of_factors_of_several_dtypes(turned, scaled):
    """The sum is made in the dtype of the result, whatever the first factor's is."""
    ones, rows, units = np.ones((2, 3), np.float32), np.array([1, 0, 1, 1]), np.array([0, 2, 1, 1])
    numbers = np.array([0.1, 0.2, 0.3, 0.7])
    parts = [(Dense((2, 3), 0), rows, scaled), (Eye((3, 3)), units, True)]
    operands = [[ones, *[numbers] * scaled], [numbers]]
    if turned:
        parts, operands = parts[::-1], operands[::-1]
    found = WeightedRows(tuple(parts), (4, 3)).value(*operands[0], *operands[1])
    expected = np.outer(numbers if scaled else np.ones(4), np.ones(3))
    for r in range(4):
        expected[r, units[r]] += numbers[r]
    assert found.dtype == np.float64
    assert_array_equal(found, expected)


def test_operators_of_operators():
    class Stored:
        def __init__(self, matrix):
            self.of = matrix

        def product(self, x):
            return x @ self.of.T

        def transposed(self, y):
            return y @ self.of

        def matrix(self):
            return sp.csr_array(self.of)

    D = np.array([[2.0, 0, -1], [0, 3, 0]])
    for made, expected in ((TransposedOperator(Stored(D)), D.T), (EntriesOf(Stored(D)), (D != 0).astype(float))):
        assert_array_equal(made.matrix().toarray(), expected)
        for batch in ((), (2,)):
            x, y = np.arange(6.0)[: expected.shape[1]], np.arange(6.0)[: expected.shape[0]]
            x, y = np.broadcast_to(x, (*batch, x.size)), np.broadcast_to(y, (*batch, y.size))
            assert_array_equal(made.product(x), x @ expected.T)
            assert_array_equal(made.transposed(y), y @ expected)


def test_canonical_matrices():
    given_matrix = sp.csr_array((np.array([1.0, 2, 3]), np.array([2, 0, 2]), np.array([0, 3, 3])), shape=(2, 3))
    before = [part.copy() for part in (given_matrix.data, given_matrix.indices, given_matrix.indptr)]
    made = canonical(given_matrix)
    assert made.has_canonical_format
    assert_array_equal(made.indices, [0, 2])
    assert_array_equal(made.data, [2, 4])
    for part, old in zip((given_matrix.data, given_matrix.indices, given_matrix.indptr), before, strict=True):
        assert_array_equal(part, old)
    assert_array_equal(canonical(sp.coo_array(given_matrix)).toarray(), made.toarray())


# what becomes of terms --------------------------------------------------------------------------------


@st.composite
def term_on(draw):
    """A term on an array of some shape, which it covers or of which it is some rows; and that shape."""
    make = Maker(draw)
    shape = tuple(draw(st.integers(1, 3)) for _ in range(draw(st.integers(1, 3))))
    p, q = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    own, offset = shape, 0
    total = int(np.prod(shape))
    if draw(st.integers(0, 4)) == 0:
        stop = draw(st.integers(1, total))
        offset = draw(st.integers(0, stop - 1))
        own = (stop - offset,)
    elif draw(st.integers(0, 3)) == 0:
        own = (total,)
    f, g, m, n = make.pair(own)
    term = Term(make.factor(m, p), f, make.factor(n, q), g, make.scale(own), offset)
    return Sum([term], make.values, p * q, np.float64, make.known), shape


def arrays(total, shape):
    """The rows' matrix and places as arrays of that shape, with a last axis of columns; zero where a row is absent."""
    (term,) = total.terms
    result = []
    for part in dense(total):
        whole = np.zeros((int(np.prod(shape)), total.columns), part.dtype)
        whole[term.offset : term.offset + term.count] = part
        result.append(whole.reshape(*shape, total.columns))
    return result


def check_term(terms, total, made, shape, expected):
    """A term has those rows, and its entries are there alone."""
    matrix, places = expected
    assert made.count == int(np.prod(shape))
    assert made.offset == 0
    assert made.u.shape[1] * made.w.shape[1] == total.columns
    assert made.f.shape == made.g.shape
    values = run(terms, total.values)
    assert_allclose(by_loops(made, values), matrix.reshape(made.count, total.columns), atol=1e-12)
    assert_array_equal(places_by_loops(made), places.reshape(made.count, total.columns))
    # a row that is there takes one that the factor has
    for rows, factor in ((made.f, made.u), (made.g, made.w)):
        there = rows.dense()[made.f.dense() >= 0]
        assert np.all((there >= 0) & (there < factor.shape[0]))
    if made.scale is not None:
        assert np.broadcast_shapes(np.shape(values[made.scale]), made.shape) == made.shape
        assert np.shape(values[made.scale]) == terms.values.shape(made.scale)


def aligned(data, terms, total, shape):
    return terms.aligned(total.terms[0], shape), shape, arrays(total, shape)


def transposed_rows(data, terms, total, shape):
    axes = tuple(data.draw(st.permutations(range(len(shape)))))
    moved = [part.transpose(*axes, len(shape)) for part in arrays(total, shape)]
    return terms.transposed(total.terms[0], shape, axes), moved[0].shape[:-1], moved


def broadcast(data, terms, total, shape):
    after = tuple(data.draw(st.integers(1, 3)) if n == 1 else n for n in shape)
    after = (*(data.draw(st.integers(1, 2)) for _ in range(data.draw(st.integers(0, 1)))), *after)
    wide = [np.broadcast_to(part, (*after, total.columns)) for part in arrays(total, shape)]
    return terms.broadcast(total.terms[0], shape, after), after, wide


def sliced(data, terms, total, shape):
    slices = slices_of(data.draw, shape)
    some = [part[slices] for part in arrays(total, shape)]
    return terms.sliced(total.terms[0], shape, slices), some[0].shape[:-1], some


def taken(data, terms, total, shape):
    size = int(np.prod(shape))
    own = np.random.default_rng(data.draw(st.integers(0, 99)))
    block = data.draw(st.sampled_from([b for b in (1, 2, 3) if size % b == 0]))
    count = data.draw(st.integers(0, 4)) if size else 0
    positions = own.integers(0, max(size // block, 1), count)
    after = data.draw(st.sampled_from([(count, block), (count * block,), (block, count, 1)]))
    where = (positions[:, None] * block + np.arange(block)).reshape(-1)
    some = [part.reshape(size, total.columns)[where] for part in arrays(total, shape)]
    return terms.taken(total.terms[0], shape, Take(shape, positions, block, after)), after, some


def scattered(data, terms, total, shape):
    size = int(np.prod(shape))
    own = np.random.default_rng(data.draw(st.integers(0, 99)))
    larger = size + data.draw(st.integers(0, 3))
    positions = own.permutation(larger)[:size]
    after = data.draw(st.sampled_from([(larger,), (1, larger), (larger, 1)]))
    spread = []
    for part in arrays(total, shape):
        wide = np.zeros((larger, total.columns), part.dtype)
        wide[positions] = part.reshape(size, total.columns)
        spread.append(wide)
    return terms.scattered(total.terms[0], shape, Scatter(shape, positions, after)), after, spread


def scaled(data, terms, total, shape):
    """By a value that broadcasts; where it is zero by structure there are no entries."""
    own = np.random.default_rng(data.draw(st.integers(0, 99)))
    kind = data.draw(st.sampled_from(["whole", "some", "fewer axes"]))
    by = {"whole": shape, "some": tuple(1 if k % 2 else n for k, n in enumerate(shape)), "fewer axes": shape[1:]}[kind]
    weights, mask = np.asarray(own.standard_normal(by)), None
    if data.draw(st.booleans()):
        mask = np.asarray(own.random(by) < 0.6)
        weights = np.where(mask, weights, 0)
    number = terms.values.program.constant(weights, mask)
    made = terms.scaled(total.terms[0], number, shape)
    matrix, places = arrays(total, shape)
    there = True if mask is None else np.broadcast_to(mask, shape)[..., None]
    if made.offset or made.count < int(np.prod(shape)):
        made = terms.aligned(made, shape)
    return made, shape, (matrix * np.broadcast_to(weights, shape)[..., None], places & there)


def two_factors_as_one(data, terms, total, shape):
    term = terms.aligned(total.terms[0], shape)
    return merged(terms, term), shape, arrays(total, shape)


def coefficients_for(data, terms, total, shape):
    """A value that broadcasts to that shape, perhaps with zeros by structure: number, array and places."""
    own = np.random.default_rng(data.draw(st.integers(0, 99)))
    compact = tuple(1 if data.draw(st.integers(0, 3)) == 0 else n for n in shape)
    weights, mask = np.asarray(own.standard_normal(compact)), None
    if data.draw(st.integers(0, 3)) == 0:
        mask = np.asarray(own.random(compact) < 0.6)
        weights = np.where(mask, weights, 0)
    # a value of the program, or a constant
    if data.draw(st.booleans()) and mask is None:
        number = terms.values.program.given(compact)
        total.values = [*total.values, *[None] * (number - len(total.values)), weights]
    else:
        number = terms.values.program.constant(weights, mask)
    places = np.ones(compact, bool) if mask is None else mask
    return number, np.broadcast_to(weights, shape), np.broadcast_to(places, shape)


def summed(data, terms, total, shape):
    axis = data.draw(st.sampled_from(range(len(shape))))
    matrix, places = (part.sum(axis=axis) for part in arrays(total, shape))
    after = (*shape[:axis], *shape[axis + 1 :])
    return contract(terms, total.terms[0], shape, axis), after, (matrix, places > 0)


def contracted(data, terms, total, shape):
    """Σ_k c[…, k] · row(…, k, …), with an axis of another length in place of the summed one."""
    axis = data.draw(st.sampled_from(range(len(shape))))
    length = data.draw(st.integers(1, 3))
    out = (*shape[:axis], length, *shape[axis + 1 :])
    number, weights, kept = coefficients_for(data, terms, total, (*out, shape[axis]))
    made = contract(terms, total.terms[0], shape, axis, number, length)
    matrix, places = (np.expand_dims(np.moveaxis(part, axis, -2), axis) for part in arrays(total, shape))
    expected = np.zeros((*out, total.columns)), np.zeros((*out, total.columns), bool)
    for k in range(shape[axis]):
        expected[0][...] += weights[..., k, None] * matrix[..., k, :]
        expected[1][...] |= kept[..., k, None] & places[..., k, :]
    return made, out, expected


def contracted_by_a_sparse_matrix(data, terms, total, shape):
    axis = data.draw(st.sampled_from(range(len(shape))))
    length = data.draw(st.integers(1, 3))
    own = np.random.default_rng(data.draw(st.integers(0, 99)))
    there = own.random((length, shape[axis])) < 0.5
    matrix = own.standard_normal(there.shape) * there
    pointers = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    given_matrix = sp.csr_array((matrix[there], np.nonzero(there)[1], pointers), shape=there.shape)
    made = contract(terms, total.terms[0], shape, axis, terms.values.program.constant(given_matrix), length)
    expected = [
        np.moveaxis(np.tensordot(left, part * 1.0, (1, axis)), 0, axis)
        for left, part in zip((matrix, there * 1.0), arrays(total, shape), strict=True)
    ]
    return made, (*shape[:axis], length, *shape[axis + 1 :]), (expected[0], expected[1] > 0)


MOVES = (
    aligned,
    transposed_rows,
    broadcast,
    sliced,
    taken,
    scattered,
    scaled,
    two_factors_as_one,
    summed,
    contracted,
    contracted_by_a_sparse_matrix,
)


@pytest.mark.parametrize("move", MOVES, ids=lambda move: move.__name__)
@given(data=st.data())
def test_what_becomes_of_terms(move, data):
    total, shape = data.draw(term_on())
    terms = recorded(total)
    made, after, expected = move(data, terms, total, shape)
    if move in (aligned, sliced, taken):
        assert made.shape == after
    check_term(terms, total, made, after, expected)


@given(st.data())
def test_collected_terms_have_the_same_sum(data):
    """With no more terms, and each place that one of them had."""
    make = Maker(data.draw)
    shape = tuple(data.draw(st.integers(1, 3)) for _ in range(data.draw(st.integers(1, 2))))
    p, q = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    f, g, m, n = make.pair(shape)
    u, w = make.factor(m, p), make.factor(n, q)
    given_terms = []
    for _ in range(data.draw(st.integers(1, 4))):
        # the same factors or rows come again
        again, other = data.draw(st.booleans()), data.draw(st.booleans())
        h, rows = (g, n) if other else make.affine(shape)
        right = w if again and other else make.factor(rows, q)
        flat = data.draw(st.booleans())
        term = Term(u, f, right, h, make.scale(shape))
        given_terms.append((term, flat))
    total = Sum([t for t, _ in given_terms], make.values, p * q, np.float64, make.known)
    terms = recorded(total)
    matrix, places = dense(total)
    mixed = [terms.aligned(t, (t.count,)) if flat else t for t, flat in given_terms]
    made = collected(terms, mixed)
    assert len(made) <= len(mixed)
    values = run(terms, total.values)
    assert_allclose(sum(by_loops(t, values) for t in made), matrix, atol=1e-12)
    assert_array_equal(np.logical_or.reduce([places_by_loops(t) for t in made]), places)


def test_terms_that_become_one():
    """Two terms of the same rows, and two that share a dense factor: those of a softmax."""
    n, p = 3, 2
    i, j = counting((n, n), [0]), counting((n, n), [1])
    x = Dense((n, p), value=0)
    total = Sum([], [np.ones((n, p)), np.ones((n, n)), np.ones((n, n))], p * n)
    terms = recorded(total)
    softmax = [Term(x, i, Eye((n, n)), j, 1), Term(x, i, Dense((n, n), value=2), i, 1)]
    assert len(collected(terms, softmax)) == 1
    assert len(collected(terms, [softmax[0]] * 3)) == 1
    # RᵀR's two terms have other rows
    assert len(collected(terms, [Term(x, j, Eye((n, n)), i), Term(x, i, Eye((n, n)), j)])) == 2
    # rows of one band alone
    assert len(collected(terms, [softmax[0], replace(softmax[0], offset=9)])) == 2


@given(shapes)
def test_the_identity_on_a_variable(shape):
    term = seed(shape)
    assert term.shape == shape
    size = int(np.prod(shape))
    assert_array_equal(by_loops(term, []), np.eye(size))


def test_rows_of_pairs():
    """A face-splitting product of two factors, with absent rows."""
    u = Sparse((2, 3), 0, np.array([0, 2, 3]), np.array([0, 2, 1]))
    w = Dense((2, 2), value=1)
    i, j = np.array([1, -1, 0]), np.array([0, 0, 1])
    pointers, indices = khatri_rao_structure(u, w, i, j)
    assert_array_equal(pointers, [0, 2, 2, 6])
    assert_array_equal(indices, [2, 3, 0, 1, 4, 5])
    values = KhatriRao(u, w, i, j, 6).value(np.array([1.0, 2, 3]), np.array([[10.0, 20], [30, 40]]))
    assert_array_equal(values, [30, 60, 30, 40, 60, 80])


# programs and expressions -----------------------------------------------------------------------------


def test_a_program_knows_what_it_has():
    program = Program()
    x = program.given((2, 3))
    ones = program.constant(np.ones(3))
    assert program.constant(np.ones(3)) == ones
    others = [np.ones((3, 1)), np.ones(3, np.float32), 2 * np.ones(3), 1.0, 1, True, 1j, sp.eye_array(3).tocsr()]
    assert len({ones, *(program.constant(other) for other in others)}) == 9
    # where zeros are by structure it is another value
    assert program.constant(np.ones(3), np.ones(3, bool)) != ones
    product = program.add(Multiply(), (x, ones), (2, 3))
    assert program.add(Multiply(), (x, ones), (2, 3)) == product
    assert program.add(Multiply(), (ones, x), (2, 3)) != product
    turned = program.add(Transpose((2, 3), (1, 0)), (product,), (3, 2))
    program.add(Transpose((2, 3), (1, 0)), (x,), (3, 2))
    assert [step.out for step in program.steps([turned])] == [product, turned]
    assert [step.out for step in program.steps([turned], known=[product])] == [turned]
    assert program.steps([x, ones]) == ()
    values = [np.arange(6.0).reshape(2, 3), *[program.constants.get(k) for k in range(1, len(program.shapes))]]
    ready(program, program.steps([turned]), values)
    assert_array_equal(values[turned], np.arange(6.0).reshape(2, 3).T)


def test_a_constant_mask_is_its_pattern():
    program = Program()
    mask = program.constant(np.tri(2, dtype=bool))
    x = program.given((2, 2))
    product = program.add(Multiply(), (x, mask), (2, 2))
    assert_array_equal(program.patterns[product], np.tri(2) > 0)
    total = program.add(Add((1, 1)), (product, x), (2, 2))
    assert total not in program.patterns
    diagonal = program.add(Scatter((2,), np.array([0, 3]), (2, 2)), (program.given((2,)),), (2, 2))
    assert_array_equal(program.patterns[program.add(Add((1, -1)), (product, diagonal), (2, 2))], np.tri(2) > 0)
    assert_array_equal(program.patterns[program.add(MatMul(), (product, diagonal), (2, 2))], np.tri(2) > 0)


class Nothing(Primitive):
    pass


def test_a_primitive_must_say_what_it_is():
    with pytest.raises(NotImplementedError):
        Nothing().value()


@st.composite
def expressions(draw):
    """A random expression of one or two variables, and the values of its program."""
    own = np.random.default_rng(draw(st.integers(0, 999)))
    program = Program()
    in_shapes = [tuple(draw(st.integers(1, 3)) for _ in range(2)) for _ in range(draw(st.integers(1, 2)))]
    made = Expression(program, in_shapes)
    values = []

    def value(shape):
        number = program.given(shape)
        values.extend([None] * (number + 1 - len(values)))
        values[number] = own.standard_normal(shape)
        return number

    pool = list(range(len(in_shapes)))
    for _ in range(draw(st.integers(1, 6))):
        k = draw(st.sampled_from(pool))
        shape = made.shapes[k]
        kind = draw(st.sampled_from(["multiply", "left", "right", "transpose", "take", "sum", "add", "mask", "join"]))
        if kind == "multiply":
            pool.append(made.add(Multiply(), (k, value(shape)), (True, False), shape))
        elif kind == "left" and len(shape) == 2:
            height = draw(st.integers(1, 3))
            after = (height, shape[1])
            pool.append(made.add(MatMul(), (value((height, shape[0])), k), (False, True), after))
        elif kind == "right" and len(shape) == 2:
            width = draw(st.integers(1, 3))
            pool.append(made.add(MatMul(), (k, value((shape[1], width))), (True, False), (shape[0], width)))
        elif kind == "transpose":
            axes = tuple(range(len(shape)))[::-1]
            pool.append(made.add(Transpose(shape, axes), (k,), (True,), shape[::-1]))
        elif kind == "take":
            count = draw(st.integers(1, 4))
            positions = own.integers(0, int(np.prod(shape)), count)
            pool.append(made.add(Take(shape, positions, 1, (count, 1)), (k,), (True,), (count, 1)))
        elif kind == "sum" and shape:
            pool.append(made.add(Total(shape, (0,)), (k,), (True,), shape[1:]))
        elif kind == "add":
            alike = [n for n in pool if made.shapes[n] == shape]
            other = draw(st.sampled_from(alike))
            pool.append(made.add(Add((1, -1)), (k, other), (True, True), shape))
        elif kind == "mask":
            pool.append(made.add(Mask(shape, np.array(own.random(shape) < 0.7)), (k,), (True,), shape))
        elif kind == "join":
            other = draw(st.sampled_from([*pool, None]))
            its = shape if other is None else made.shapes[other]
            size = int(np.prod(shape)) + int(np.prod(its))
            pool.append(made.add(Join((shape, its)), (k, other), (True, True), (size,)))
    out = pool[-1]
    values = [*values, *[None] * (len(program.shapes) - len(values))]
    ready(program, program.steps(range(len(program.shapes))), values)
    return made.finish(out, made.shapes[out]), values


def matrix_of(expression, values):
    """Column by column."""
    columns = []
    for k, shape in enumerate(expression.in_shapes):
        for index in np.ndindex(shape):
            x = [np.zeros(s) for s in expression.in_shapes]
            x[k][index] = 1
            columns.append(np.ravel(expression.forward(values, x)))
    return np.stack(columns, axis=1)


def support(expression):
    """Which entries of the variables can reach the result, from structure alone."""
    back = adjoint(expression)
    flat = np.ravel(back.positive().forward(back.ones(), [np.ones(expression.out_shape)])) > 0
    return split(flat, expression)


def split(flat, expression):
    """The parts of a flat result for each variable."""
    ends = np.cumsum([int(np.prod(s)) for s in expression.in_shapes])[:-1]
    return [part.reshape(s) for part, s in zip(np.split(flat, ends), expression.in_shapes, strict=True)]


@given(expressions(), st.sampled_from([(), (2,), (2, 3)]))
def test_expressions_forwards_and_backwards(drawn, batch):
    expression, values = drawn
    matrix = matrix_of(expression, values)
    own = np.random.default_rng(0)
    x = [own.standard_normal(batch + s) for s in expression.in_shapes]
    y = own.standard_normal(batch + expression.out_shape)
    flat = np.concatenate([part.reshape(*batch, -1) for part in x], axis=-1)
    assert_allclose(expression.forward(values, x).reshape(*batch, -1), flat @ matrix.T, atol=1e-10)
    back = adjoint(expression)
    ready(back.program, back.program.steps(back.coefficients), values)
    assert_allclose(back.forward(values, [y]).reshape(*batch, -1), y.reshape(*batch, -1) @ matrix, atol=1e-10)
    # and that of the adjoint is the expression again
    again = adjoint(back)
    ready(back.program, back.program.steps(again.coefficients), values)
    (v,) = (np.random.default_rng(1).standard_normal(batch + s) for s in again.in_shapes)
    assert_allclose(again.forward(values, [v]).reshape(*batch, -1), v.reshape(*batch, -1) @ matrix.T, atol=1e-10)
    # an entry of a variable that cannot reach the result has a column of zeros
    reached = np.concatenate([np.ravel(part) for part in support(expression)])
    assert not matrix[:, ~reached].any()


@given(expressions())
def test_expressions_replayed(drawn):
    """In another expression of other variables: of their transposes, or of fewer."""
    expression, values = drawn
    again = Expression(expression.program, [s[::-1] for s in expression.in_shapes])
    variables = [again.add(Transpose(s[::-1], (1, 0)), (k,), (True,), s) for k, s in enumerate(expression.in_shapes)]
    out = expression.replay(again, variables, lambda k: k)
    again.finish(out, expression.out_shape)
    values = [*values, *[None] * (len(expression.program.shapes) - len(values))]
    ready(expression.program, expression.program.steps(again.coefficients), values)
    x = [np.random.default_rng(0).standard_normal(s) for s in expression.in_shapes]
    wanted = expression.forward(values, x)
    assert_allclose(again.forward(values, [part.T for part in x]), wanted, atol=1e-10)
    if len(x) == 2:
        fewer = Expression(expression.program, expression.in_shapes[:1])
        fewer.finish(expression.replay(fewer, [0, None], lambda k: k), expression.out_shape)
        assert_allclose(
            fewer.forward(values, x[:1]), expression.forward(values, [x[0], np.zeros_like(x[1])]), atol=1e-10
        )


def test_the_support_is_exact():
    """From structure alone: what a mask, a sparse matrix or a slice leaves out, at any depth."""
    program = Program()
    made = Expression(program, [(3, 3), (2,)])
    kept = made.add(Mask((3, 3), np.tri(3, dtype=bool)), (0,), (True,), (3, 3))
    sparse = program.constant(sp.csr_array(np.array([[1.0, 0, 0], [0, 0, 1]])))
    some = made.add(MatMul(), (sparse, kept), (False, True), (2, 3))
    weights = program.given((2, 3))
    scaled = made.add(Multiply(), (some, weights), (True, False), (2, 3))
    out = made.add(Total((2, 3), (0, 1)), (scaled,), (True,), ())
    made.finish(out, ())
    first, second = support(made)
    assert_array_equal(first, [[True, False, False], [False, False, False], [True, True, True]])
    assert not second.any()


def test_steps_that_undo_one_another_are_none():
    program = Program()
    made = Expression(program, [(2, 3)])
    turned = made.add(Transpose((2, 3), (1, 0)), (0,), (True,), (3, 2))
    assert made.add(Transpose((3, 2), (1, 0)), (turned,), (True,), (2, 3)) == 0
    assert made.add(Reshape((2, 3), (2, 3)), (0,), (True,), (2, 3)) == 0
    assert made.add(Transpose((2, 3), (1, 0)), (0,), (True,), (3, 2)) == turned


def test_both_terms_of_a_gram_matrix_share_one_product():
    program = Program()
    R = program.given((2, 3))
    Rt = program.add(Transpose((2, 3), (1, 0)), (R,), (3, 2))
    made = Expression(program, [(2, 3)])
    dRt = made.add(Transpose((2, 3), (1, 0)), (0,), (True,), (3, 2))
    first = made.add(MatMul(), (dRt, R), (True, False), (3, 3))
    second = made.add(MatMul(), (Rt, 0), (False, True), (3, 3))
    made.finish(made.add(Add((1, 1)), (first, second), (True, True), (3, 3)), (3, 3))
    assert sum(isinstance(step.primitive, MatMul) for step in made.steps) == 1
    r, dr = rng.standard_normal((2, 2, 3))
    values = [r, r.T, *[None] * (len(program.shapes) - 2)]
    assert_allclose(made.forward(values, [dr]), dr.T @ r + r.T @ dr)


def test_a_zero_differential():
    made = Expression(Program(), [(2,), ()]).finish(None, (3,))
    assert_array_equal(made.forward([], [np.ones((4, 2)), np.ones(4)]), np.zeros((4, 3)))
    assert_array_equal(adjoint(made).forward([], [np.ones((4, 3))]), np.zeros((4, 3)))
