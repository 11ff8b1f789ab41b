"""How functions are called and differentiated: arguments by place and by name, examples that are no guess."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import matjac as mj

rng = np.random.default_rng(9)
U, V = rng.standard_normal((3, 2)), rng.standard_normal((4, 2))
W = rng.standard_normal((3, 4))


def product(U, V):
    return np.tanh(U @ V.T)


COMPILED = mj.compile(product, U.shape, V.shape)
WRITTEN = mj.Function(
    product,
    lambda U, V: COMPILED.jacobian(U, V),
    *(U.shape, V.shape),
    hessian=lambda U, V, W: COMPILED.hessian(U, V, weights=W),
    names=["U", "V"],
)
CALLS = {
    "value": lambda F, *a, **n: F(*a, **n),
    "jacobian": lambda F, *a, **n: F.jacobian(*a, **n).toarray(),
    "gradient": lambda F, *a, **n: F.gradient(*a, weights=W, **n)[0],
    "value_and_gradient": lambda F, *a, **n: F.value_and_gradient(*a, weights=W, **n)[1][1],
    "hessian": lambda F, *a, **n: F.hessian(*a, weights=W, **n).toarray(),
    "value_and_jacobian": lambda F, *a, **n: F.value_and_jacobian(*a, **n)[1].toarray(),
    "one variable's": lambda F, *a, **n: F.jacobian(*a, wrt="V", **n).toarray(),
}


@pytest.mark.parametrize("F", [COMPILED, WRITTEN], ids=["compiled", "written"])
@pytest.mark.parametrize("name", CALLS)
def test_by_place_and_by_name(F, name):
    call = CALLS[name]
    if F is WRITTEN and name in ("value_and_jacobian", "one variable's"):
        return
    expected = call(F, U, V)
    for found in (call(F, U=U, V=V), call(F, V=V, U=U), call(F, U, V=V)):
        assert_array_equal(found, expected)
    for given, message in (
        (lambda: call(F, U=U), r"^V: got none, expected 2 arguments: U, V"),
        (lambda: call(F, U, X=V), r"^X: got an argument of that name, expected U, V"),
        (lambda: call(F, U, U=U, V=V), r"^U: got it twice, by its place and by its name"),
    ):
        with pytest.raises(TypeError, match=message):
            given()


def test_by_name_where_data_are_bound_and_inside_another():
    assert_array_equal(COMPILED.bind(V=V)(U=U), COMPILED(U, V))
    outer = mj.compile(lambda R: COMPILED(V=R[:4], U=R[4:]), (7, 2))
    R = np.concatenate([V, U])
    assert_array_equal(outer(R), COMPILED(U, V))
    assert_array_equal(outer.jacobian(R).toarray()[:, 8:], COMPILED.jacobian(U, V, wrt="U").toarray())
    # whatever the argument is called
    assert mj.compile(lambda self: 2 * self, ())(self=3.0) == 6.0


def test_variables_by_their_places():
    J, H = COMPILED.jacobian(U, V), COMPILED.hessian(U, V, weights=W)
    for place, part in ((0, slice(6)), (1, slice(6, 14)), ([0], slice(6)), ((0, 1), slice(14)), (["U", 1], slice(14))):
        assert_array_equal(COMPILED.jacobian(U, V, wrt=place).toarray(), J.toarray()[:, part])
        assert_array_equal(COMPILED.hessian(U, V, weights=W, wrt=place).toarray(), H.toarray()[part, part])
    assert COMPILED.jacobian(U, V, wrt=(1, 0)).in_shape == ((4, 2), (3, 2))


@pytest.mark.parametrize(
    ("wrt", "error", "message"),
    [
        (2, ValueError, r"^wrt: got 2, expected one of 'U', 'V', or its place, from 0 to 1"),
        (-1, ValueError, r"^wrt: got -1, expected one of"),
        (True, TypeError, r"^wrt: got bool True, expected one of"),
        ([0, "U"], ValueError, r"^wrt: got \[0, 'U'\], expected different ones"),
        ([[0]], ValueError, r"^wrt: got \[0\], expected one of"),
        (1.0, TypeError, r"^wrt: got float 1.0, expected one of"),
    ],
)
def test_what_is_no_variable(wrt, error, message):
    with pytest.raises(error, match=message):
        COMPILED.jacobian(U, V, wrt=wrt)


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (5, r"^examples\[0\]: got int 5, expected a shape, \(5,\), or a number, 5.0"),
        (np.int64(5), r"^examples\[0\]: got int64 .*, expected a shape, \(5,\), or a number, 5.0"),
        ([3, 4], r"^examples\[0\]: got list \[3, 4\], expected a shape, \(3, 4\), or an array, np.array\(\[3, 4\]\)"),
        ([3], r"^examples\[0\]: got list \[3\], expected a shape, \(3,\), or an array"),
        ((3.0, 4.0), r"^examples\[0\]\[0\]: got float 3.0, expected an integer"),
    ],
)
def test_examples_that_may_be_shapes_or_numbers(example, message):
    with pytest.raises(TypeError, match=message):
        mj.compile(lambda x: 2 * x, example)


@pytest.mark.parametrize(
    ("example", "shape"),
    [(5.0, ()), ((), ()), ((5,), (5,)), ([3.0, 4.0], (2,)), ([[3, 4]], (1, 2)), (np.array([3, 4]), (2,)),
     (np.array(5), ()), (True, ()), ((3, 4), (3, 4))],
)  # fmt: skip
def test_examples_that_are_clear(example, shape):
    assert mj.compile(lambda x: 2 * x, example).in_shapes == (shape,)
