"""Every identity against its definition in loops, and against complex-step differentiation."""

import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import complex_step, lay_out
from registry import REGISTRY
from strategies import cases

import matjac as mj

every_row = pytest.mark.parametrize("row", REGISTRY, ids=lambda row: row.name)


def test_every_identity_has_a_row():
    public = {name for name, thing in vars(mj).items() if name.startswith("d_") and inspect.isfunction(thing)}
    assert public == {row.name for row in REGISTRY}


def definition(case):
    """The tensor of the entries by definition, and a mask of where they are."""
    J, a = case.jacobian, case.plain
    tensor = np.zeros(J.out_shape + J.in_shape, J.dtype)
    mask = np.zeros(tensor.shape, bool)
    for out in np.ndindex(J.out_shape):
        for into in np.ndindex(J.in_shape):
            value = case.row.entry(out, into, a)
            if value is not None:
                tensor[out + into] = value
                # where a constant is sparse, an entry that is zero is none
                mask[out + into] = value != 0 if case.sparse and case.row.sparse else True
    return tensor, mask


@every_row
@given(data=st.data())
def test_places_are_the_definitions(row, data):
    case = data.draw(cases(row))
    J = case.jacobian
    _, mask = definition(case)
    matrix = J.tocsr()
    places = np.zeros(J.shape, bool)
    places[np.repeat(np.arange(J.shape[0]), np.diff(matrix.indptr)), matrix.indices] = True
    np.testing.assert_array_equal(places, lay_out(mask, len(J.in_shape), case.order, case.layout))
    assert J.nnz == matrix.nnz == mask.sum()


@every_row
@given(data=st.data())
def test_values_are_the_definitions(row, data):
    case = data.draw(cases(row))
    J = case.jacobian
    expected, _ = definition(case)
    expected = lay_out(expected, len(J.in_shape), case.order, case.layout)
    np.testing.assert_allclose(J.toarray(), expected, rtol=case.tolerance, atol=case.tolerance)


@every_row
@given(data=st.data())
def test_values_are_the_derivative(row, data):
    case = data.draw(cases(row))
    J = case.jacobian
    tensor = complex_step(lambda X: case.row.value(X, case.plain), case.point)
    assert J.out_shape + J.in_shape == tensor.shape
    expected = lay_out(tensor, case.point.ndim, case.order, case.layout)
    np.testing.assert_allclose(J.toarray(), expected, rtol=case.tolerance, atol=case.tolerance)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("float32", "float32"),
        ("float64", "float64"),
        ("complex64", "complex64"),
        ("complex128", "complex128"),
        ("int8", "float64"),
        ("uint64", "float64"),
        ("bool", "float64"),
        (">f4", "float32"),
        ("float16", "float32"),
    ],
)
def test_dtype(given, expected):
    assert mj.d_gram_dR(np.ones((2, 3), given)).dtype == expected
    assert mj.d_matvec_dA(np.ones(3, given), 2).tocsr().dtype == expected


def test_inputs_are_copied():
    R = np.ones((2, 3))
    J = mj.d_gram_dR(R)
    before = J.toarray()
    R[:] = 7
    np.testing.assert_array_equal(J.toarray(), before)
    assert J.jvp(R)[0, 0] == 28


def test_a_list_will_do():
    np.testing.assert_array_equal(mj.d_matvec_dA([1, 2], 1).toarray(), [[1.0, 2.0]])
