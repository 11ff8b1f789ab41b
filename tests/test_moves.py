"""Functions that move, join, make and fill arrays: values against NumPy's, derivatives against the complex step."""

import numpy as np
import pytest
from functions_moves import ASSIGNED, MOVES, OBJECTS, REAL, ZEROS_BY_VALUE
from numpy.testing import assert_allclose, assert_array_equal
from oracles import complex_step
from test_compile import central, check_faces, expected, points_for

import matjac as mj
from matjac.linear.primitives import Broadcast, Reshape, Slice, Transpose

WRITTEN = MOVES | ASSIGNED


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("name", WRITTEN)
def test_written_functions(name, order, dtype):
    fun, shapes = WRITTEN[name]
    points = points_for(shapes, dtype)
    F = mj.compile(fun, *shapes, order=order)
    given = [p.copy() for p in points]
    assert_allclose(F(*points), fun(*[p.copy() for p in points]), rtol=1e-12)
    J = F.jacobian(*points)
    for point, before in zip(points, given, strict=True):
        assert_allclose(point, before, rtol=0)
    dense = expected(lambda *x: fun(*[p.copy() for p in x]), points, order, complex_step)
    A = check_faces(J, dense)
    if name not in ZEROS_BY_VALUE:
        # no entry is stored where the derivative is zero by structure
        assert A.nnz == np.count_nonzero(np.abs(dense) > 1e-13)
    rng = np.random.default_rng(0)
    v, u = rng.standard_normal(J.shape[1]), rng.standard_normal(J.shape[0])
    assert_allclose(u @ (J @ v), (J.T @ u) @ v, rtol=1e-9)


@pytest.mark.parametrize("name", WRITTEN)
def test_narrow_dtypes_stay(name):
    fun, shapes = WRITTEN[name]
    points = points_for(shapes, "float32")
    value = fun(*[p.copy() for p in points])
    F = mj.compile(fun, *shapes)
    assert name in OBJECTS or F(*points).dtype == value.dtype
    assert_allclose(F(*points), value, rtol=1e-4)


@pytest.mark.parametrize("name", WRITTEN)
def test_second_derivatives(name):
    fun, shapes = WRITTEN[name]
    points = points_for(shapes, float)
    F = mj.compile(fun, *shapes)
    weights = np.random.default_rng(0).standard_normal(F.out_shape)
    G = F.gradient_function()
    given = (*points, weights) if F.out_shape else points
    names = F.names if len(F.names) > 1 else F.names[0]
    H = F.hessian(*points, weights=weights).toarray()
    dense = G.jacobian(*given, wrt=names).toarray()
    assert_allclose(H, dense, atol=1e-10)

    def slope(x):
        return np.ravel(F.grad(x, weights.ravel()))

    x = F.pack(*points)
    assert_allclose(H, central(slope, x), atol=1e-6)


@pytest.mark.parametrize("name", REAL)
def test_functions_of_real_points(name):
    fun, shapes = REAL[name]
    points = points_for(shapes, float)
    F = mj.compile(fun, *shapes)
    assert_allclose(F(*points), fun(*points), rtol=1e-12)
    check_faces(F.jacobian(*points), expected(fun, points, "C", central), tolerance=1e-6)


VIEWS = {
    "flip": lambda X: np.flip(X),
    "flip of one axis": lambda X: np.flip(X, 1),
    "rot90": lambda X: np.rot90(X),
    "split": lambda X: np.split(X, 2, axis=1)[1],
    "array_split": lambda X: np.array_split(X, 3)[2],
    "unstack": lambda X: np.unstack(X)[1],
    "swapaxes": lambda X: np.swapaxes(X[None], 0, 2),
    "rollaxis": lambda X: np.rollaxis(X[None], 2),
    "moveaxis": lambda X: np.moveaxis(X[:, None], 0, -1),
    "squeeze": lambda X: np.squeeze(X[:, None]),
    "expand_dims": lambda X: np.expand_dims(X, 1),
    "matrix_transpose": lambda X: np.matrix_transpose(X),
    "atleast_3d": lambda X: np.atleast_3d(X),
    "broadcast_to": lambda X: np.broadcast_to(X, (2, 3, 4)),
    "broadcast_arrays": lambda X: np.broadcast_arrays(X, np.ones((2, 1, 1)))[0],
    "slices": lambda X: X[::-2, 1:3][..., None, ::-1],
    "flat": lambda X: X.flat[2:7],
}


@pytest.mark.parametrize("name", VIEWS)
def test_views_are_not_gathered(name):
    """Slices, transposes and repetitions: no positions are kept, and nothing is copied."""
    fun = VIEWS[name]
    (X,) = points_for([(3, 4)], float)
    F = mj.compile(fun, (3, 4))
    assert {type(step.primitive) for step in F._record.steps} <= {Slice, Transpose, Reshape, Broadcast}
    assert_allclose(F(X), fun(X), rtol=0)
    assert_allclose(F.jacobian(X).toarray(), expected(fun, [X], "C", complex_step))


def kinds(fun, *shapes):
    return [type(step.primitive).__name__ for step in mj.compile(fun, *shapes)._record.steps]


def test_what_an_assignment_costs():
    """One step for all that is written before an array is read, and one for each entry that is read back."""

    def built(x):
        Y = np.zeros_like(x, shape=(4, 4))
        for i in range(4):
            for j in range(4):
                Y[i, j] = x[i] * x[j]
        return Y

    assert kinds(built, (4,)).count("Assigned") == 1
    steps = kinds(lambda x: ASSIGNED["a recurrence"][0](x), (20,))
    assert len(steps) < 20 * 7
    assert kinds(lambda X: X.copy(), (3, 4)) == []
    # what is all overwritten leaves no trace but its dtype

    def doubled(X):
        Y = np.zeros_like(X)
        Y[:] = X
        return Y * 2

    assert kinds(doubled, (3,)) == ["Assigned", "Multiply"]
    assert mj.compile(doubled, (3,)).affine


def test_arrays_that_show_others_are_let_go():
    F = mj.compile(lambda x: np.stack([np.flip(x[k:]).sum() for k in range(3)]), (4,))
    assert_allclose(F.jacobian(np.ones(4)).toarray(), [[1, 1, 1, 1], [0, 1, 1, 1], [0, 0, 1, 1]])


EMPTY = {
    "nothing written": (lambda X: filled_at(X, []), (3, 4)),
    "into nothing": (lambda X: np.concatenate([filled_at(X[:0], slice(None)), X]), (3, 4)),
    "no parts": (lambda X: np.concatenate([X[:0], X, np.zeros((0, 4))]), (3, 4)),
    "padded from nothing": (lambda X: np.pad(X, ((1, 1), (0, 0))), (0, 3)),
    "nothing repeated": (lambda X: np.repeat(X, 0, axis=0), (3, 4)),
    "a number": (lambda x: np.atleast_2d(np.tile(x, 3)), ()),
}


def filled_at(X, index):
    Y = np.sin(X)
    Y[index] = np.cos(X)[index] ** 2
    return Y


@pytest.mark.parametrize("name", EMPTY)
def test_where_there_is_little(name):
    fun, shape = EMPTY[name]
    (X,) = points_for([shape], float)
    F = mj.compile(fun, shape)
    assert F(X).shape == fun(X).shape
    assert_allclose(F(X), fun(X), rtol=1e-14)
    if X.size:
        dense = expected(fun, [X], "C", complex_step)
        assert check_faces(F.jacobian(X), dense).nnz == np.count_nonzero(dense)
    else:
        assert F.jacobian(X).nnz == 0


#: Arrays whose layout in memory NumPy derives from their operands', and whether it is known when they are recorded.
LAYOUTS = {
    "an argument": (lambda X: X, True),
    "entry by entry": (lambda X: np.tanh(X * 2 + X[0]), True),
    "a product": (lambda X: X.T @ X, True),
    "of slices": (lambda X: np.exp(X[1:, ::2]), True),
    "zeros like": (lambda X: np.zeros_like(X) + X, True),
    "zeros of a shape": (lambda X: np.zeros((2, 3), like=X) + X[0, 0], True),
    "stacked": (lambda X: np.stack([X, X]), True),
    "joined": (lambda X: np.concatenate([X, X], axis=1), True),
    "copied": (lambda X: X.T.copy(), True),
    "of numbers": (lambda X: np.array([[X[0, 0], X[0, 1]], [1.0, X[0, 2]]]), True),
    "of a transpose": (lambda X: np.exp(X.T), False),
    "of a transpose and a row": (lambda X: X.T - X.T.mean(axis=0), False),
    "like a transpose": (lambda X: np.zeros_like(X.T) + X.T, False),
    "copied as it is": (lambda X: np.copy(X.T), False),
    "columns": (lambda X: X[:, [0, 1]], False),
    "rolled": (lambda X: np.roll(X.T, 1, axis=0), False),
    "stacked transposes": (lambda X: np.stack([X.T, X.T]), False),
    "padded": (lambda X: np.pad(X.T, 1), False),
    "running sums": (lambda X: np.cumsum(X.T, axis=0), False),
    "one alone": (lambda X: np.concatenate([X.T]), False),
    "a transpose": (lambda X: (X * 2).T, True),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_writing_through_a_flat_view(name):
    """NumPy makes a view or a copy, by the layout in memory; where that is not known it is refused, never guessed."""
    made, known = LAYOUTS[name]

    def into_the_view(X):
        Y = made(X)
        flat = Y.ravel() if name != "a transpose" else Y.reshape(-1)
        flat[1] = 4
        return Y * 1

    def into_the_array(X):
        Y = made(X)
        flat = Y.reshape(-1)
        Y[0] = 4
        return np.append(flat, Y)

    (X,) = points_for([(3, 4)], float)
    for fun in (into_the_view, into_the_array):
        if known:
            assert_allclose(mj.compile(fun, (3, 4))(X), fun(X.copy()), rtol=1e-12)
        else:
            with pytest.raises(mj.TracingError, match=r"^whether this .ravel\(\) or .reshape\(\) is a view"):
                mj.compile(fun, (3, 4))
    # what is not written to may be of any layout
    assert_allclose(mj.compile(lambda X: made(X).ravel() * 2, (3, 4))(X), made(X).ravel() * 2, rtol=1e-12)


def _sums(x):
    total, seen = 0.0, []
    for k in range(3):
        total += x[k] ** 2
        seen.append(total)
    return np.array(seen)


def _twice(first):
    def fun(x):
        s = first(x)
        t = s
        t *= x[1]
        return s + t * x

    return fun


def _objects(x):
    made = np.array([x[0], x[1]])
    copy = made.copy()
    copy[0] *= 2
    return made * copy


NUMBERS = {
    "running sums": _sums,
    "an entry": _twice(lambda x: x[0]),
    "a sum": _twice(np.sum),
    "a norm": _twice(np.linalg.norm),
    "an array of no axes": _twice(lambda x: x[0, ...]),
    "a median": _twice(np.median),
    "logsumexp": _twice(lambda x: mj.special.logsumexp(x)),
    "np.nan_to_num": _twice(lambda x: np.nan_to_num(x[0])),
    "a transpose": _twice(lambda x: x[0].T),
    "an item": _twice(lambda x: x[0].item()),
    "np.where": _twice(lambda x: np.where(x[0] > 0, x[0], 1)),
    "np.zeros_like": _twice(lambda x: np.zeros_like(x[0]) + np.ones_like(x[0])),
    "an array of objects": _objects,
}


@pytest.mark.parametrize("fun", NUMBERS.values(), ids=NUMBERS)
def test_numbers_are_replaced_and_arrays_written_into(fun):
    """``t = s; t *= 2`` leaves s what it was where NumPy has a number there, and not where it has an array."""
    F = mj.compile(fun, (3,))
    for (x,) in (points_for([(3,)], float), [np.array([-1.0, 2.0, 0.5])]):
        assert_allclose(F(x), fun(x.copy()), rtol=1e-12)
        slopes = [np.imag(fun(x + 1e-30j * e)) / 1e-30 for e in np.eye(3)] if fun is _sums else None
        if slopes is not None:
            assert_allclose(F.jacobian(x).toarray(), np.transpose(slopes), rtol=1e-12)


def _written(view):
    def fun(x):
        view(x)[0] = 2
        return x**2

    return fun


SAME = {
    "real": lambda x: x.real,
    "np.real": np.real,
    "conj": lambda x: x.conj(),
    "astype": lambda x: x.astype(float, copy=False),
    "np.nan_to_num": lambda x: np.nan_to_num(x, copy=False),
    "copies": lambda x: np.conj(x.astype(float).copy()),
}


@pytest.mark.parametrize("view", SAME.values(), ids=SAME)
def test_what_numpy_does_not_copy(view):
    fun, x = _written(view), np.array([1.0, 3.0])
    assert_allclose(mj.compile(fun, (2,))(x), fun(x.copy()))


@pytest.mark.parametrize("made", [np.asarray, np.ascontiguousarray, lambda x: np.asarray(x.T)])
def test_writing_into_what_asarray_made_of_an_argument(made):
    with pytest.raises(mj.TracingError, match=r"write into x.copy\(\), or np.array\(x\)"):
        mj.compile(_written(made), (3,))


COLUMNWISE = {
    "copy": lambda X: X.copy("F"),
    "np.copy": lambda X: np.copy(X, "F"),
    "zeros": lambda X: np.zeros_like(X, order="F") + 0 * X,
    "zeros_like": lambda X: np.zeros_like(X, order="F"),
    "full_like": lambda X: np.full_like(X, 2, order="F"),
    "astype": lambda X: X.astype(float, order="F"),
    "np.array": lambda X: np.array(X, order="F"),
    "np.array of a transpose": lambda X: np.array(X.T),
}


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("made", COLUMNWISE.values(), ids=COLUMNWISE)
def test_arrays_that_are_laid_out_column_by_column(made, order):
    def fun(X):
        Y = made(X)
        flat = Y.reshape(-1, order=order)
        flat[1] = X[0, 0]
        return np.append(Y, flat)

    X = np.arange(12.0).reshape(3, 4)
    if made is COLUMNWISE["zeros"]:
        with pytest.raises(mj.TracingError, match="is a view or a copy"):
            mj.compile(fun, (3, 4))
    else:
        assert_allclose(mj.compile(fun, (3, 4))(X), fun(X.copy()))


@pytest.mark.parametrize("made", [lambda X: np.einsum("ij,jk->ki", X, X), lambda X: np.vander(X[0], 3)])
def test_results_that_are_no_views_are_not_taken_for_them(made):
    def fun(X):
        Y = made(X)
        Y.reshape(-1)[1] = 4
        return Y * 1

    with pytest.raises(mj.TracingError, match="is a view or a copy"):
        mj.compile(fun, (3, 3))


def test_a_plain_array_is_written_as_it_is_then():
    def fun(x):
        rows, row = np.zeros_like(x, shape=(3, 2)), np.zeros(2)
        for k in range(3):
            row[:] = k + 1
            rows[k] = row
        row[:] = 9
        return rows @ x

    F, x = mj.compile(fun, (2,)), np.array([1.0, 2.0])
    assert_allclose(F(x), fun(x))
    assert_allclose(F.jacobian(x).toarray(), [[1, 1], [2, 2], [3, 3]])


@pytest.mark.parametrize(
    "made", [lambda x: np.zeros_like(x, dtype=int), lambda x: np.arange(3, like=x), lambda x: np.zeros_like(x > 0)]
)
def test_writing_into_an_array_of_integers(made):
    def fun(x):
        y = made(x)
        y[1:] = x[1:]
        return y * x

    with pytest.raises(mj.TracingError, match="would round"):
        mj.compile(fun, (3,))


def kept_by_asarray(x):
    y = np.asarray(x)
    x[0] = 5
    return y * 1


def part_kept_by_asarray(x):
    part = np.asarray(x)[1:]
    x[1] = 5
    return part * 1


def used_before_the_write(x):
    doubled = np.asarray(x) * 2
    x[0] = 5
    return doubled + x


def collected(x):
    y, found = x * 1, []
    for _ in range(3):
        y += x
        found.append(np.array([y, x]))
    return np.stack(found)


def broadcast_and_written(x):
    wide, _ = np.broadcast_arrays(x, np.zeros((2, 3)))
    x[0] = 7
    return wide + 0


@pytest.mark.parametrize("fun", [kept_by_asarray, part_kept_by_asarray])
def test_arrays_that_asarray_shows_are_not_written_to(fun):
    with pytest.raises(mj.TracingError, match="written to while the result is in use"):
        mj.compile(fun, (3,))


@pytest.mark.parametrize("fun", [used_before_the_write, collected, broadcast_and_written])
def test_writes_beside_arrays_made_of_an_array(fun):
    x = np.array([1.0, 2, 3])
    assert_array_equal(mj.compile(fun, (3,))(x), fun(x.copy()))


def test_a_value_read_through_what_may_be_a_copy():
    """What is read before the write is the same whether the flat array is a view or not."""

    def fun(X):
        Y = np.exp(X.T)
        Y[0] = Y.ravel()[:3]
        return Y * 1

    (X,) = points_for([(3, 4)], float)
    assert_allclose(mj.compile(fun, (3, 4))(X), fun(X))


def test_sizes_in_memory():
    F = mj.compile(lambda X: X * X.itemsize + X[0].nbytes, (3, 4))
    assert_array_equal(F(np.ones((3, 4))), np.full((3, 4), 8.0 + 32.0))


def test_a_conversion_keeps_zeros():
    F = mj.compile(lambda X: np.tril(X).astype(np.float32), (3, 3))
    assert F.jacobian(np.ones((3, 3))).nnz == 6


@pytest.mark.parametrize("fill", [2.5j, [1.0, 0.1j]])
def test_complex_numbers_around_an_array(fill):
    z = np.array([1 + 1j, 2.0])
    F = mj.compile(lambda x: np.pad(x, 1, constant_values=fill), z)
    assert_array_equal(F(z), np.pad(z, 1, constant_values=fill))


def written(write):
    def fun(x):
        y = x * 1.0
        write(y, x)
        return y

    return fun


REFUSED = {
    "view": (lambda x: x.view(dtype=np.float32), r"^the array method \.view with another type can't be recorded"),
    "meshgrid": (lambda x: np.meshgrid(x, x, copy=False)[0], r"^np\.meshgrid with copy=False can't be recorded"),
    "casting": (lambda x: np.add(x, x, casting="safe"), r"^np\.add with casting can't be recorded"),
    "order": (lambda x: x.reshape(3, 1, order="A"), r"^np\.reshape in order 'A' can't be recorded"),
    "places of item": (lambda x: np.outer(x, x).item((0, ...)), "of size 1 to a Python scalar"),
    "several out=": (lambda x: np.divmod(x, 2, out=(x, x))[0], r"^np\.divmod with several out= can't be recorded"),
    "what is put around": (lambda x: np.pad(x, 1, constant_values=[0.0, x[0]]), r"^np\.pad with constant_values= that"),
    "put": (written(lambda y, x: np.put(y, np.argsort(x), x)), r"^np\.put at places that depend on a variable"),
    "a deep value": (written(lambda y, x: y.__setitem__(0, x[:2])), r"got a value of shape \(2,\), expected \(\)"),
    "a condition": (written(lambda y, x: y.__setitem__(x[:2] > 0, 1)), r"got a condition of shape \(2,\) for"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name):
    fun, message = REFUSED[name]
    with pytest.raises(mj.TracingError, match=message):
        mj.compile(fun, (3,))
