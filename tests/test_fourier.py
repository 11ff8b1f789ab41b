"""Fourier transforms and complex values on the way from real arguments to real results."""

import numpy as np
import pytest
from functions_fourier import ANALYTIC, HALVES, REAL
from numpy.testing import assert_allclose
from test_compile import check_faces, points_for
from test_compile import expected as by_variables
from test_conditions import central, expected

import matjac as mj

ALL = ANALYTIC | HALVES | REAL


def differentiated(fun, points, order):
    """The Jacobian by differences, of complex results that of their real and imaginary parts."""
    real = expected(lambda *x: np.real(fun(*x)), points, order)
    if not np.iscomplexobj(fun(*points)):
        return real
    return real + 1j * expected(lambda *x: np.imag(fun(*x)), points, order)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("name", ALL)
def test_written_functions(name, order):
    fun, shapes = ALL[name]
    F = mj.compile(fun, *shapes, order=order)
    for seed in range(2):
        points = points_for(shapes, float, seed)
        value = fun(*points)
        assert F(*points).dtype == value.dtype
        assert_allclose(F(*points), value, rtol=1e-12, atol=1e-13)
        J, dense = F.jacobian(*points), differentiated(fun, points, order)
        assert J.dtype == value.dtype
        A = check_faces(J, dense, tolerance=1e-9)
        check_faces(J.T, dense.T, tolerance=1e-9)
        assert (np.abs(A.toarray()) > 1e-9).sum() == (np.abs(dense) > 1e-9).sum()


@pytest.mark.parametrize("name", ALL)
def test_products_with_complex_directions(name):
    """A real Jacobian is a matrix like another: products are linear in complex multiples."""
    fun, shapes = ALL[name]
    points = points_for(shapes, float)
    J = mj.compile(fun, *shapes).jacobian(*points)
    dense = J.toarray()
    rng = np.random.default_rng(0)
    v, u = (rng.standard_normal((n, 2)) @ [1, 1j] for n in J.shape[::-1])
    assert_allclose(J @ v, dense @ v, rtol=1e-10, atol=1e-11)
    assert_allclose(J.T @ u, dense.T @ u, rtol=1e-10, atol=1e-11)
    assert_allclose(J.H @ u, dense.conj().T @ u, rtol=1e-10, atol=1e-11)
    # products of maps, with complex ones before and after
    left, right = rng.standard_normal((2, u.size, 2)) @ [1, 1j], rng.standard_normal((v.size, 3, 2)) @ [1, 1j]
    assert_allclose(left @ J, left @ dense, rtol=1e-9, atol=1e-9)
    assert_allclose(J @ right, dense @ right, rtol=1e-9, atol=1e-9)
    before, after = mj.d_matvec_dx(right), mj.d_matvec_dx(left)
    for product, wanted in ((J @ before, dense @ right), (after @ J, left @ dense), (J * 2j, 2j * dense)):
        w = rng.standard_normal((product.shape[1], 2)) @ [1, 1j]
        assert_allclose(product @ w, wanted @ w, rtol=1e-9, atol=1e-9)
        assert_allclose(product.toarray(), wanted, rtol=1e-9, atol=1e-9)
    assert_allclose(J.normal() @ v, dense.conj().T @ (dense @ v), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ANALYTIC)
def test_complex_points(name):
    fun, shapes = ANALYTIC[name]
    points = points_for(shapes, complex)
    F = mj.compile(fun, *shapes)
    assert_allclose(F(*points), fun(*points), rtol=1e-12, atol=1e-13)

    def derivative(f, x):
        at = np.zeros(x.shape)
        return central(lambda t: np.real(f(x + t)), at) + 1j * central(lambda t: np.imag(f(x + t)), at)

    check_faces(F.jacobian(*points), by_variables(fun, points, "C", derivative), tolerance=1e-9)


@pytest.mark.parametrize("name", REAL)
def test_second_derivatives(name):
    fun, shapes = REAL[name]
    F = mj.compile(fun, *shapes)
    points = points_for(shapes, float, 4)
    x, w = F.pack(*points), np.random.default_rng(0).standard_normal(F.out_shape).reshape(-1)
    assert_allclose(F.grad(x, w), F.jac(x).toarray().T @ w, atol=1e-9)
    H = F.hess_csr(x, w).toarray()
    wanted = central(lambda x: F.grad(x, w), x)
    assert_allclose(H, wanted, atol=1e-6 * max(1, np.abs(wanted).max()))
    assert_allclose(F.hess(x, w) @ x, H @ x, atol=1e-10 * max(1, np.abs(H).max()))


@pytest.mark.parametrize("name", ALL)
def test_narrow_dtypes_stay(name):
    fun, shapes = ALL[name]
    points = points_for(shapes, "float32")
    value = fun(*points)
    F = mj.compile(fun, *shapes)
    J = F.jacobian(*points)
    assert F(*points).dtype == J.dtype == J.tocsr().dtype == value.dtype
    scale = np.abs(J.toarray()).max()
    assert_allclose(J.toarray(), F.jacobian(*[p.astype(float) for p in points]).toarray(), atol=2e-3 * scale)


def test_least_squares():
    """A fit of a signal to its blurred self in the frequencies, by magnitudes and by a filter."""
    rng = np.random.default_rng(0)
    wanted, H = rng.standard_normal(16), 1 / (1 + np.arange(9) / 4) * np.exp(0.3j * np.arange(9))
    data = np.fft.irfft(np.fft.rfft(wanted) * H, 16)
    F = mj.compile(lambda x: np.fft.irfft(np.fft.rfft(x) * H, 16) - data, (16,))
    assert F.affine
    assert_allclose(mj.solvers.least_squares(F, np.zeros(16)).x, wanted, atol=1e-6)
    assert_allclose(mj.check(F, wanted), mj.check(F, wanted))


BAD = [
    ("out", lambda x: np.fft.fft(x, out=np.zeros(3, complex)), r"^np.fft.fft with out= can't be recorded"),
    ("norm", lambda x: np.fft.fft(x, norm="unit"), r"np.fft: got norm 'unit', expected 'backward', 'ortho'"),
    ("no points", lambda x: np.fft.fft(x, 0), r"np.fft.fft: got 0 data points"),
    ("no points of irfft", lambda x: np.fft.irfft(x[:1]), r"np.fft.irfft: got 0 data points"),
    ("lengths", lambda x: np.fft.fftn(x, (2, 3), axes=(0,)), r"np.fft.fftn: got 2 lengths and 1 axes"),
    ("rfft of complex ones", lambda x: np.fft.rfft(x * 1j), r"np.fft.rfft: got complex values.*use np.fft.fft"),
    ("real if close", lambda x: np.real_if_close(x * 1j), r"^np.real_if_close of complex values.*np.real"),
]


@pytest.mark.parametrize(("fun", "message"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_what_cannot_be_recorded(fun, message):
    with pytest.raises(mj.TracingError, match=message):
        mj.compile(fun, (3,))


def test_rules_with_real_parts():
    with pytest.raises(mj.TracingError, match=r"np.real of a differential is not linear"):
        mj.from_differential(lambda dX: np.real(dX), (3,))
    with pytest.raises(mj.TracingError, match=r"np.fft.irfft of a differential takes a real part"):
        mj.from_differential(lambda dX: np.fft.irfft(dX), (3,))
    J = mj.from_differential(lambda dX: np.fft.fft(dX), (3,))
    assert_allclose(J.toarray(), np.fft.fft(np.eye(3)))


@pytest.mark.parametrize("fun", [np.linalg.norm, np.var, lambda x: np.vdot(x, x), np.std])
def test_conjugates_of_real_examples(fun):
    """What was recorded without conjugates is not run at complex points."""
    F, x = mj.compile(fun, (3,)), np.array([1, 2j, 3])
    G = mj.compile(lambda a, b: fun(a) * b, (3,), (3,))
    for of in (F, F.jacobian, mj.compile(lambda x: F(x) * 2, (3,)), lambda x: mj.compile(F, x), lambda x: G.bind(a=x)):
        with pytest.raises(mj.TracingError, match=r"recorded at real examples: got complex"):
            of(x)
    F = mj.compile(fun, x)
    assert_allclose(F(x), fun(x))
    with pytest.raises(mj.TracingError, match=r"where arguments and results are real"):
        F.jacobian(x)


COMPLEX_ENDS = {
    "complex results": (lambda x: np.fft.fft(np.abs(np.fft.fft(x))), np.ones(3)),
    "conjugates": (lambda x: np.conj(x * 1j), np.ones(3)),
    "complex arguments": (lambda x: np.abs(np.fft.fft(x)), np.ones(3) + 1j),
}


@pytest.mark.parametrize("name", COMPLEX_ENDS)
def test_complex_results_of_real_parts_are_refused(name):
    """Values are NumPy's; derivatives are those of real results by real arguments."""
    fun, x = COMPLEX_ENDS[name]
    F = mj.compile(fun, (3,))
    assert_allclose(F(x), fun(x))
    for derivative in (F.jacobian, lambda x: F.gradient(x, weights=x), lambda x: F.hessian(x, weights=x)):
        with pytest.raises(mj.TracingError, match=r"where arguments and results are real.*np.stack"):
            derivative(x)
