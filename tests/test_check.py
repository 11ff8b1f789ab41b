"""`check` says nothing of what is right, at whatever point and in whatever dtype, and finds what is wrong."""

import numpy as np
import pytest
from functions import FUNCTIONS
from functions_entries import CONDITIONS, WRITTEN
from numpy.testing import assert_allclose

import matjac as mj
from matjac.differences import Differences

RIGHT = {
    "in float32 on the way": (lambda x: np.sin(x.astype(np.float32)), [1.0, 2.0, 3.0]),
    "in both": (lambda x: x.astype(np.float32) * 2 + x, [1.0, 2.0, 3.0]),
    "of a large sum in float32": (lambda x: np.log((1000 + x * x).astype(np.float32)), [0.03, -1.0, 2.0]),
    "of entries of every size": (lambda x: np.abs(x) ** 1.5 + np.sqrt(np.abs(x)), [1.0, 1e6, 1e-6]),
    "at the edge of the domain": (lambda x: x**1.5, [1.0, 0.0, 3.0]),
    "at kinks": (lambda x: np.where(x > 0, x, 0) + np.maximum(x, 0) + np.abs(x), [1.0, 0.0, 3.0]),
    "at a kink in float32": (lambda x: np.maximum(x.astype("f4"), 1), [1.0, 0.0, 3.0]),
    "at a jump": (lambda x: np.floor(x) * x, [1.0, 0.0, 3.0]),
    "of equal entries in order": (lambda x: np.sort(x) * [1.0, 2.0, 3.0, 4.0], [1.0, 1.0, 0.0, 1.0]),
    "of the median of equal entries": (np.median, [1.0, 1.0, 1.0, 0.0, 2.0]),
    "near a singular matrix": (lambda A: np.linalg.inv(A + 1e-6 * np.eye(3)), np.ones((3, 3))),
    "where others are no Cholesky factors": (np.linalg.cholesky, [[1.0, 0.99999], [0.99999, 1.0]]),
    "of large values": (lambda x: x**30, [1.0, 20.0, 3e-9]),
    "of angles beside large numbers": (lambda x: np.sin(x[1:]) * x[0], [1e6, 0.1, 3e3]),
    "of a bump beside large numbers": (lambda x: np.exp(-(x[1:] ** 2)) + x[0], [1e9, 0.1, 0.2]),
    "of fast changes": (lambda x: np.exp(50 * x) * np.sin(300 * x), [1.0, 0.2, -0.3]),
    "written to its argument": (lambda x: x.__setitem__(0, x[1] ** 2) or x * x, np.array([1.0, 2.0])),
    "constant": (lambda x: 0 * x + 2, [1.0, 2.0]),
    "of counts": (lambda x: np.sum(x > 1), [1.0, 2.0]),
}


@pytest.mark.parametrize("name", RIGHT)
def test_no_false_alarm(name):
    fun, x = RIGHT[name]
    F = mj.compile(fun, np.array(x))
    largest = np.abs(F.jacobian(x).toarray()).max()
    assert mj.check(F, x) <= 1e-4 * max(largest, 1)


@pytest.mark.parametrize("kind", ["zeros", "equal entries", "every size", "float32", "cast to float32"])
def test_no_false_alarm_of_functions_that_people_write(kind):
    rng, count = np.random.default_rng(0), 0
    # at zero itself np.where(X, X, 0) is a constant
    written = [(f, s) for name, (f, s, *_) in (WRITTEN | CONDITIONS).items() if name != "where of truth values"]
    for fun, shapes in [*FUNCTIONS.values(), *written][::4]:
        points = [rng.standard_normal(s) for s in shapes]
        if kind == "zeros":
            points = [np.where(rng.random(x.shape) < 0.3, 0, x) for x in points]
        elif kind == "equal entries":
            points = [np.round(x, 1) for x in points]
        elif kind == "every size":
            points = [x * 10.0 ** rng.integers(-3, 3, x.shape) for x in points]
        elif kind == "float32":
            points = [x.astype("f4") for x in points]
        with np.errstate(all="ignore"):
            F = mj.compile(fun, *points)
            if kind == "cast to float32":
                F = mj.compile(lambda *args, fun=fun: fun(*(x.astype("f4") for x in args)), *points)
            if np.all(np.isfinite(F.jacobian(*points).toarray())):
                mj.check(F, *points)
                count += 1
    assert count > 30


def test_zeros_of_narrow_functions_and_sizes_far_apart():
    x = np.zeros(2, np.float32)
    assert mj.check(mj.compile(lambda x: x * x, x), x) < 1e-6
    assert mj.check(mj.compile(lambda x: x * np.array([1e200, 1e-150]), (2,)), [1e-200, 1e150]) < 1e-6
    with pytest.raises(mj.CheckError, match="first in the value of step 1 exp"):
        mj.check(mj.compile(np.exp, x), x + np.float32(90))


@pytest.mark.parametrize("error", [1e-3, 1e-5])
@pytest.mark.parametrize("after", [lambda y: y, np.abs])
def test_what_is_wrong_is_found(error, after):
    wrong = mj.rule(np.square, lambda x: mj.d_elementwise_dX(2 * x + error * np.array([0, 1])))
    with pytest.raises(mj.CheckError, match=r"∂F\[1\] / ∂x\[1\]: matjac 4\.00"):
        mj.check(mj.compile(lambda x: after(wrong(x)), (2,)), [1.0, 2.0])


def test_the_message_has_digits_and_an_error():
    wrong = mj.rule(np.square, lambda x: mj.d_elementwise_dX(2 * x + 1e-4))
    with pytest.raises(mj.CheckError, match=r"matjac 4\.0001, complex step 4 ± \d"):
        mj.check(mj.compile(lambda x: wrong(x), (1,)), [2.0])
    with pytest.raises(mj.CheckError, match=r"matjac 4\.0001, central differences 4 ± \de-\d\d, from term 0"):
        mj.check(mj.compile(lambda x: np.abs(wrong(x)), (1,)), [2.0])
    worse = mj.rule(np.square, lambda x: mj.d_elementwise_dX(2 * x + 1e-2))
    with pytest.raises(mj.CheckError, match=r"matjac 4\.01\d*, central differences (4|[34]\.\d+) ± "):
        mj.check(mj.compile(lambda x: worse(x.astype("f4")), (1,)), [2.0])


def test_a_wrong_slope_beside_a_kink_is_found():
    wrong = mj.rule(np.abs, lambda x: mj.d_elementwise_dX(np.where(x > 0, 1.1, -1.0)))
    with pytest.raises(mj.CheckError, match=r"∂F\[1\] / ∂x\[1\]: matjac 1\.1, central differences 1 ±"):
        mj.check(mj.compile(lambda x: wrong(x), (2,)), [0.0, 1e-3])


@pytest.mark.parametrize("order", [1, 2])
def test_what_is_not_finite_is_named_by_its_step(order):
    F = mj.compile(lambda X: np.linalg.norm(X, axis=1), (3, 2))
    assert "3 sqrt(2)" in F.explain()
    with pytest.raises(
        mj.CheckError,
        match=r"^∂F\[1\] / ∂X\[1, 0\]: matjac nan, first in the differential of step 3 sqrt\(2\) at \[1\], of 0$",
    ):
        mj.check(F, [[1.0, 2.0], [0.0, 0.0], [3.0, 4.0]], order=order)


def test_other_places_where_nothing_is_finite():
    with pytest.raises(
        mj.CheckError, match=r"^∂F\[1\] / ∂x\[1\]: matjac nan, first in the value of step 1 log\(0\) at \[1\], of 0$"
    ):
        mj.check(mj.compile(lambda x: np.log(x) * x, (2,)), [1.0, 0.0])
    # the slope of √x is finite at 0 nowhere; its square has a gradient, and no second derivative
    F = mj.compile(lambda x: np.sum(np.abs(x) ** 1.5), (2,))
    mj.check(F, [0.0, 1.0])
    with pytest.raises(
        mj.CheckError, match=r"^∂²F / ∂x\[0\] ∂x\[0\]: matjac (nan|inf), first in the (value|differential) of step \d+ "
    ):
        mj.check(F, [0.0, 1.0], order=2)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize("fun", [np.exp, lambda x: 2 * x, lambda x: x * x, lambda x: np.where(x > 0, x, 0)])
def test_a_point_that_is_not_finite(fun, number, order):
    """There both derivatives may be no numbers, or the same ones, which says nothing of either."""
    F = mj.compile(lambda x, y: fun(y) + x, (2,), (2,))
    with pytest.raises(mj.CheckError, match=rf"^y\[1\] is {number}: nothing can be compared where an argument is not"):
        mj.check(F, [1.0, 2.0], [0.0, number], order=order)


@pytest.mark.parametrize("directions", [0, -1])
def test_no_directions(directions):
    with pytest.raises(ValueError, match=r"^directions: got"):
        mj.check(mj.compile(np.exp, (2,)), [1.0, 0.0], directions=directions)


def test_the_value_is_compared():
    F = mj.compile(lambda X: X * 2.0, (2, 2))
    with pytest.raises(mj.CheckError, match=r"^the value: compiled to shape \(2, 2\), the function's has \(4,\)"):
        mj.check(F, np.ones((2, 2)), fun=lambda X: 2 * X.ravel())
    with pytest.raises(mj.CheckError, match=r"^the value: F\[1, 0\] is 2 compiled, and the function's 3"):
        mj.check(F, np.ones((2, 2)), fun=lambda X: 2 * X + [[0, 0], [1, 0]])


@pytest.mark.parametrize("at", [0.5, -3.0, 1e8])
def test_differences_tell_their_error(at):
    v = np.array([0.7])
    for fun, slope in (
        (np.sin, np.cos),
        (np.tanh, lambda x: 1 / np.cosh(x) ** 2),
        (np.cbrt, lambda x: np.cbrt(x) / x / 3),
    ):
        found, error = Differences(fun, np.array([at]), 1e-10).along(v)
        with np.errstate(over="ignore"):
            assert_allclose(found, slope(at) * v, rtol=0, atol=float(error[0]) + 1e-300)
        assert error < (1e-6 if at < 1e8 else 1e-4)
    if at > 1e7:  # float32 has not one number in each period there
        return
    rounded = Differences(lambda x: np.sin(x.astype("f4")).astype(float), np.array([at]), 1e-10, np.finfo("f4").eps)
    found, error = rounded.along(v)
    assert_allclose(found, np.cos(at) * v, rtol=0, atol=4 * error[0])
