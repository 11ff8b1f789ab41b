"""Functions that move, join, make and fill arrays: values against NumPy's, derivatives against the complex step."""

import numpy as np
import pytest
from functions_moves import ASSIGNED, MOVES, OBJECTS, REAL, ZEROS_BY_VALUE
from numpy.testing import assert_allclose
from oracles import complex_step
from test_compile import central, check_faces, expected, points_for

import matjac as mj

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
