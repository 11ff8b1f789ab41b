"""What public calls may be given: a row a case, for `test_bad_inputs`."""

import numpy as np
import pandas as pd
import scipy.sparse as sp
from registry import REGISTRY
from strategies import backwards, every_other, fortran, other_endian

import matjac as mj

solvers = mj.solvers
rng = np.random.default_rng(0)
R, x, w = np.round(rng.standard_normal((2, 3)), 2), np.array([1.0, -0.5, 2.0]), np.array([0.5, 2.0, 1.0])
J = mj.d_gram_dR(R)  # 9 × 6
F = mj.compile(lambda X: X.T @ X - np.eye(3), (2, 3))
f = mj.compile(lambda x: np.sum(np.exp(x - 1) - x), (3,))
square = mj.compile(lambda x: x**2 - 2, (3,))
flow = mj.compile(lambda x: -x, (3,))
both = mj.compile(lambda x, y: x * y, (3,), (3,))
value = mj.Function(lambda x: x * x, lambda x: mj.d_elementwise_dX(2 * x), (3,))
equations = solvers.NormalEquations()
W, nine, six = np.abs(R.T @ R), np.arange(9.0), np.arange(6.0)


def by_rule(jacobian):
    """The Jacobian that a rule is given."""
    return mj.compile(mj.rule(lambda x: 2 * x, lambda x: jacobian), (3,)).jac(x).toarray()


def of_rule(result):
    """The value that a rule is given."""
    return mj.compile(mj.rule(lambda x: result, lambda x: np.eye(3)), x).fun(x)


def ends(fit):
    """Where a solver ends."""
    return fit.x


#: Public calls: what they make of an array, an array that is right, and what messages call it.
CALLS = {
    "J @ x": (lambda x: J @ x, six, "x"),
    "J.T @ x": (lambda x: J.T @ x, nine, "x"),
    "x @ J": (J.__rmatmul__, nine, "x"),
    "matvec": (J.matvec, six, "x"),
    "rmatvec": (J.rmatvec, nine, "x"),
    "matmat": (J.matmat, np.outer(six, w), "X"),
    "rmatmat": (J.rmatmat, np.outer(nine, w), "X"),
    "jvp": (J.jvp, R + 1, "dX"),
    "vjp": (J.vjp, W, "W"),
    "normal": (lambda w: J.normal(weights=w).toarray(), W, "weights"),
    "normal_blocks": (lambda w: J.normal_blocks(weights=w), W, "weights"),
    "scale_rows": (lambda s: mj.scale_rows(J, s).toarray(), W, "s"),
    "F": (F, R, "X"),
    "jacobian": (lambda X: F.jacobian(X).toarray(), R, "X"),
    "value_and_jacobian": (lambda X: F.value_and_jacobian(X)[0], R, "X"),
    "gradient": (f.gradient, x, "x"),
    "gradient, weights": (lambda w: F.gradient(R, weights=w), W, "weights"),
    "value_and_gradient": (lambda x: f.value_and_gradient(x)[1], x, "x"),
    "hessian": (lambda x: f.hessian(x).toarray(), x, "x"),
    "hessian, weights": (lambda w: F.hessian(R, weights=w).toarray(), W, "weights"),
    "fun": (f.fun, x, "x"),
    "jac": (lambda x: f.jac(x).toarray(), x, "x"),
    "jac_csr": (lambda x: f.jac_csr(x).toarray(), x, "x"),
    "grad": (f.grad, x, "x"),
    "grad, weights": (lambda w: F.grad(six, w), nine, "w"),
    "value_and_grad": (lambda x: f.value_and_grad(x)[1], x, "x"),
    "hess": (lambda x: f.hess(x).toarray(), x, "x"),
    "hess, weights": (lambda w: F.hess(six, w).toarray(), nine, "w"),
    "hess_csr": (lambda x: f.hess_csr(x).toarray(), x, "x"),
    "hessp, point": (lambda at: f.hessp(at, w), x, "x"),
    "hessp": (lambda p: f.hessp(x, p), w, "x"),
    "bind": (lambda x: both.bind(y=x).fun(w), x, "y"),
    "pack": (F.pack, R, "X"),
    "unpack": (lambda x: F.unpack(x)[0], six, "x"),
    "Variables.spread": (lambda b: F.variables.spread("b", b), R, "b"),
    "Function": (value, x, "x0"),
    "Function's Jacobian": (lambda x: value.jacobian(x).toarray(), x, "x0"),
    "Function's value": (lambda v: mj.Function(lambda x: v, mj.d_sqnorm_dx, (3,))(x), w, "value"),
    "an example": (lambda x: mj.compile(lambda y: y * w, x).fun(w), x, r"examples\[0\]"),
    "mj.jacobian": (lambda x: mj.jacobian(lambda y: y * y)(x).toarray(), x, r"arguments\[0\]"),
    "a rule's Jacobian": (by_rule, W, r"mj\.rule's Jacobian for argument 0"),
    "a rule's value": (of_rule, w, r"fun can't be recorded, it raised TypeError: mj\.rule's value"),
    "check": (lambda x: mj.check(f, x) < 1e-8, x, "x"),
    "least_squares": (lambda X: ends(solvers.least_squares(F, X)), R, "X"),
    "uncertainty": (lambda X: solvers.uncertainty(F, X).free, R, "X"),
    "minimize": (lambda x: ends(solvers.minimize(f, x)), x, "x"),
    "root": (lambda x: ends(solvers.root(square, x)), w, "x"),
    "ipopt": (lambda x: ends(solvers.ipopt(f, x)), x, "x"),
    "solve_ivp": (lambda x: ends(solvers.solve_ivp(flow, (0, 1), x)), x, "x"),
    "block_jacobi": (lambda w: solvers.block_jacobi(J, 1.0, weights=w) @ six, W, "weights"),
    "damped_step": (lambda r: solvers.damped_step(J, r, 1.0), nine, "residual"),
    "factorize": (lambda w: equations.factorize(J, w, damping=1.0).solve(six), nine, "weights"),
    "solve": (lambda b: equations.factorize(J, damping=1.0).solve(b), six, "b"),
}
#: Identities too: each of their arrays.
for row in REGISTRY:
    arrays = row.arguments(lambda *shape: np.round(rng.standard_normal(shape), 2), *[3] * len(row.dims))
    for name, array in arrays.items():
        if isinstance(array, np.ndarray) and name not in (*row.sparse, *row.sparse_input):
            CALLS[f"{row.name}, {name}"] = (
                lambda a, row=row, name=name, arrays=arrays: row.function(**{**arrays, name: a}).toarray(),
                array,
                name,
            )

DTYPES = "integers, float32, float64, complex64 or complex128"
#: What is no array of numbers of that shape: what it is made of a right one, and the message.
WRONG = {
    "None": (lambda a: None, TypeError, f"got dtype object, expected {DTYPES}"),
    "text": (lambda a: np.full(a.shape, "1"), TypeError, f"got dtype <U1, expected {DTYPES}"),
    "objects": (lambda a: a.astype(object), TypeError, f"got dtype object, expected {DTYPES}"),
    "sparse": (
        lambda a: sp.csr_array(a),
        TypeError,
        r"got csr_array of shape \(.*\) and dtype float64, expected a dense",
    ),
    "masked": (
        lambda a: np.ma.array(a),
        TypeError,
        r"got MaskedArray of shape \(.*\) and dtype float64, expected a dense",
    ),
    "long doubles": (lambda a: a.astype(np.longdouble), TypeError, f"got dtype float128, expected {DTYPES}"),
    "dates": (lambda a: a.astype("M8[D]"), TypeError, rf"got dtype datetime64\[D\], expected {DTYPES}"),
    "one more of each": (
        lambda a: np.ones([n + 1 for n in a.shape]),
        ValueError,
        "got (a Jacobian of )?(shape|3 ).*, expected",
    ),
    "four axes": (
        lambda a: np.ones((1, 1, *a.shape)[:4]),
        ValueError,
        "got (a Jacobian of )?(shape|3|4|[23] dim).*, expected",
    ),
}
SHAPES = ("one more of each", "four axes")
#: Where a None, or another shape, is right.
FITS = {
    ("sparse", "a rule's Jacobian"),
    *(("None", name) for name in ("normal", "normal_blocks", "block_jacobi", "factorize")),
    *(("None", f"{name}, weights") for name in ("gradient", "hessian", "grad", "hess")),
    *((kind, name) for kind in SHAPES for name in ("an example", "mj.jacobian", "a rule's value", "Function's value")),
    *((kind, name) for kind in SHAPES for name in CALLS if name.startswith("d_")),
}
#: Other forms of a right array, of which the results are the same.
FORMS = {
    "a list": lambda a: a.tolist(),
    "a tuple": lambda a: tuple(map(tuple, a.tolist())) if a.ndim == 2 else tuple(a.tolist()),
    "np.matrix": lambda a: np.matrix(a) if a.ndim == 2 else a,
    "pandas": lambda a: pd.DataFrame(a) if a.ndim == 2 else pd.Series(a),
    "big-endian": other_endian,
    "negative strides": backwards,
    "other strides": every_other,
    "column by column": fortran,
    "read-only": lambda a: np.broadcast_to(a, a.shape),
    "not aligned": lambda a: np.frombuffer(b"\0" + a.tobytes(), np.uint8)[1:].view(a.dtype).reshape(a.shape),
}
#: A tuple is one array for each variable there.
NOT_A_TUPLE = {"Variables.spread", "solve_ivp", "an example"}

dense, other, backward = J.tocsr().toarray(), mj.d_gram_dR(R, order="F"), mj.d_gram_dR(R, layout="denominator")
names = "expected an integer"
fd, ls, V, H = mj.from_differential, solvers.least_squares, mj.Variables((2, 2), (3,)), f.hess(x)
half = mj.Function(lambda x: np.ones(5), lambda x: mj.d_identity_dx(3), (3,))
#: Other wrong arguments: what is called, the error, and how the message begins.
REFUSED = {
    "take None": (lambda: J.take(None), ValueError, r"rows: got shape \(\), expected a 1-D array"),
    "take fractions": (lambda: J.take([0.5]), TypeError, "rows: got dtype float64, expected integers or booleans"),
    "take beyond": (lambda: J.take([9]), IndexError, "rows: got numbers from 9 to 9, expected less than 9"),
    "take far beyond": (
        lambda: J.take(np.array([2**63], "u8")),
        IndexError,
        "rows: got numbers from 9223372036854775808",
    ),
    "take before": (lambda: J.take([-10]), IndexError, "rows: got numbers from -10"),
    "take 2-D": (lambda: J.take([[0, 1]]), ValueError, r"rows: got shape \(1, 2\)"),
    "take np.matrix": (lambda: J.take(np.matrix([0, 1])), ValueError, r"rows: got shape \(1, 2\)"),
    "take a short mask": (lambda: J.take(np.ones(3, bool)), ValueError, r"rows: got a mask of shape \(3,\)"),
    "take masked": (lambda: J.take(np.ma.array([0, 1], mask=[0, 1])), TypeError, "rows: got MaskedArray"),
    "take sparse": (lambda: J.take(sp.eye_array(3)), TypeError, "rows: got dia_array"),
    "take ragged": (lambda: J.take([[0], [1, 2]]), ValueError, r"rows: got list .*rectangular"),
    "rows None": (lambda: J.rows(None, 1), TypeError, "start: got NoneType None"),
    "rows text": (lambda: J.rows(0, "1"), TypeError, "stop: got str '1'"),
    "rows huge": (lambda: J.rows(2**70, 2**71), ValueError, "start: got 1180591620717411303424"),
    "rows before": (lambda: J.rows(-1, 1), ValueError, "start: got -1"),
    "axis 2": (lambda: J.normal_blocks(axis=2), ValueError, "axis: got 2, expected 0, 1 or None"),
    "axis True": (lambda: J.normal_blocks(axis=True), ValueError, "axis: got True"),
    "complex weights": (lambda: J.normal(weights=W * 1j), TypeError, "weights: got dtype complex128"),
    "array + J": (lambda: dense + J, TypeError, "a \\+ J: got ndarray"),
    "J + array": (lambda: J + dense, TypeError, "(unsupported|operand)"),
    "J - None": (lambda: J - None, TypeError, "unsupported"),
    "J + sparse": (lambda: J + J.tocsr(), TypeError, "unsupported"),
    "J + 1": (lambda: J + 1, TypeError, "unsupported"),
    "1 + J": (lambda: 1 + J, TypeError, "a \\+ J: got int 1, expected a Jacobian"),
    "J * text": (lambda: J * "a", TypeError, "x: got dtype <U1"),
    "J @ text": (lambda: J @ "a", TypeError, "x: got dtype <U1"),
    "J @ 2": (lambda: J @ 2, ValueError, "J @ a: got a number"),
    "J / array": (lambda: J / six, TypeError, "J / a: got ndarray"),
    "J / a frame": (lambda: J / pd.Series(six), TypeError, "J / a: got Series .*, expected a number"),
    "J @ J": (lambda: J @ J, ValueError, "J1 @ J2: got a function of an argument of shape"),
    "J + other order": (lambda: J + other, ValueError, "order: got Jacobians with order"),
    "J + other layout": (lambda: J + backward, ValueError, "layout: got Jacobians with layout"),
    "np.asarray": (lambda: np.asarray(J), TypeError, "a Jacobian is not made dense unasked"),
    "np.dot": (lambda: np.dot(nine, J), TypeError, "a Jacobian is not made dense unasked"),
    "sparse @ J": (lambda: sp.eye_array(9) @ J, TypeError, "a Jacobian is not made dense unasked"),
    "J @ sparse": (lambda: J @ sp.eye_array(6), TypeError, "x: got dia_array"),
    "tobsr text": (lambda: J.tobsr("a"), TypeError, "blocksize: got str 'a'"),
    "tobsr that divides nothing": (lambda: J.tobsr((2, 4)), ValueError, r"blocksize: got \(2, 4\), expected one that"),
    "tobsr of nothing": (lambda: J.tobsr((0, 0)), ValueError, r"blocksize: got \(0, 0\)"),
    "gradient of a matrix": (J.gradient, ValueError, "gradient: got a function with out_shape"),
    "triangle": (lambda: H.tocsr(triangle="left"), ValueError, "triangle: got 'left'"),
    "count": (lambda: H.count(1), ValueError, "triangle: got 1"),
    "hstack nothing": (lambda: mj.hstack([]), ValueError, r"jacobians: got list \[\]"),
    "hstack one": (lambda: mj.hstack(J), ValueError, "jacobians: got Jacobian"),
    "hstack sparse": (lambda: mj.hstack([J.tocsr(), J]), TypeError, r"jacobians\[0\]: got csr_array"),
    "hstack a generator": (lambda: mj.hstack(j for j in [J]), ValueError, "jacobians: got generator"),
    "hstack orders": (lambda: mj.hstack([J, other]), ValueError, r"jacobians\[1\]: got order 'F'"),
    "vstack None": (lambda: mj.vstack(None), ValueError, "jacobians: got NoneType None"),
    "vstack text": (lambda: mj.vstack("ab"), TypeError, r"jacobians\[0\]: got str 'a'"),
    "vstack layouts": (lambda: mj.vstack([J, backward]), ValueError, r"jacobians\[1\]: got layout 'denominator'"),
    "scale_rows of 3": (lambda: mj.scale_rows(3, nine), TypeError, r"jacobians\[0\]: got int 3"),
    "vec sparse": (lambda: mj.vec(sp.eye_array(2)), TypeError, "X: got a dia_array, expected a dense array"),
    "vec masked": (lambda: mj.vec(np.ma.ones(2)), TypeError, "X: got a MaskedArray"),
    "vec order": (lambda: mj.vec(R, "K"), ValueError, "order: got 'K'"),
    "unvec short": (lambda: mj.unvec(np.ones(4), (2, 3)), ValueError, r"x: got shape \(4,\), expected \(6,\)"),
    "unvec to a number": (lambda: mj.unvec(np.ones(4), 4), ValueError, "shape: got 4, expected a tuple of sizes"),
    "unvec to text": (lambda: mj.unvec(np.ones(4), "22"), ValueError, "shape: got '22'"),
    "unvec by -1": (lambda: mj.unvec(np.ones(4), (-2, -2)), ValueError, r"shape: got \(-2, -2\)"),
    "no variables": (mj.Variables, ValueError, "Variables: got 0 shapes"),
    "a shape of text": (lambda: mj.Variables("a"), TypeError, r"shapes\[0\]: got str 'a'"),
    "a negative shape": (lambda: mj.Variables((2, -1)), ValueError, r"shapes\[0\]\[1\]: got -1"),
    "a broken shape": (lambda: mj.Variables((2.5,)), TypeError, r"shapes\[0\]\[0\]: got float 2.5"),
    "the same names": (
        lambda: mj.Variables((2,), (2,), names="aa"),
        ValueError,
        "names: got str 'aa', expected a sequence",
    ),
    "numbers for names": (lambda: mj.Variables((2,), names=[1]), ValueError, r"names: got list \[1\]"),
    "a number for names": (lambda: mj.Variables((2,), names=3), ValueError, "names: got int 3"),
    "too many names": (lambda: mj.Variables((2,), names="ab"), ValueError, "Variables: got 1 shapes and 2 names"),
    "pack too few": (lambda: V.pack(np.eye(2)), TypeError, "arguments: got 1, expected 2: x0, x1"),
    "an entry beyond": (lambda: V.entry(7), IndexError, "entry: got a number beyond the 7 entries"),
    "an entry before": (lambda: V.entry(-1), ValueError, "number: got -1"),
    "an entry of text": (lambda: V.entry("a"), TypeError, "number: got str 'a'"),
    "Function of None": (lambda: mj.Function(None, mj.d_sqnorm_dx, (2,)), TypeError, "value: got NoneType None"),
    "Function, dense": (lambda: mj.Function(np.sin, np.diag, (3,)).jac(x), TypeError, "jacobian: got ndarray"),
    "Function, other rows": (lambda: ls(half, x), ValueError, "jacobian: got 3 rows, expected 5, one for each value"),
    "Function, Hessian": (lambda: value.hess(x, w), ValueError, "hessian: got a Function without one"),
    "compile a number": (lambda: mj.compile(3, (2,)), TypeError, "compile: got int 3"),
    "compile alone": (lambda: mj.compile(np.sin), TypeError, "compile: got ufunc .* and 0 examples"),
    "compile, order": (lambda: mj.compile(np.sin, (2,), order="K"), ValueError, "order: got 'K'"),
    "compile None": (lambda: mj.compile(lambda x: None, (2,)), mj.TracingError, "fun: got NoneType None as its value"),
    "compile a constant": (lambda: mj.compile(lambda x: 3.0, (2,)), mj.TracingError, "fun: got float 3.0 as its value"),
    "compile sparse": (lambda: mj.compile(lambda x: sp.eye_array(2), (2,)), mj.TracingError, "fun: got dia_array"),
    "compile, two arguments": (lambda: mj.compile(np.add, (2,)), mj.TracingError, "fun can't be recorded"),
    "a masked constant": (lambda: mj.compile(lambda x: x * np.ma.ones(2), (2,)), mj.TracingError, "a masked constant"),
    "long doubles": (
        lambda: mj.compile(lambda x: x * np.ones(2, "g"), (2,)),
        mj.TracingError,
        "a constant of dtype float128",
    ),
    "text": (lambda: mj.compile(lambda x: x * "a", (2,)), mj.TracingError, "a constant of dtype <U1"),
    "None as a constant": (lambda: mj.compile(lambda x: x * None, (2,)), mj.TracingError, "None can't be recorded"),
    "a sparse factor": (
        lambda: mj.compile(lambda x: x * sp.eye_array(2), (2, 2)),
        mj.TracingError,
        "a scipy.sparse constant",
    ),
    "a sparse operand": (
        lambda: mj.compile(lambda x: np.maximum(x, sp.eye_array(2)), (2, 2)),
        mj.TracingError,
        "a scipy.sparse constant",
    ),
    "one argument of two": (lambda: both(x), TypeError, "arguments: got 1, expected 2: x, y"),
    "wrt nothing": (lambda: both.jacobian(x, w, wrt=[]), ValueError, r"wrt: got \[\]"),
    "wrt another": (lambda: both.jacobian(x, w, wrt="z"), ValueError, "wrt: got 'z', expected one of 'x', 'y'"),
    "wrt twice": (lambda: both.jacobian(x, w, wrt=["x", "x"]), ValueError, "wrt: got "),
    "bind nothing": (lambda: both.bind(), TypeError, "bind: got no argument"),
    "bind all": (lambda: both.bind(x=x, y=w), TypeError, "bind: got all arguments"),
    "bind another": (lambda: both.bind(z=x), ValueError, "bind: got 'z'"),
    "no weights": (lambda: F.grad(six), ValueError, "w: got none for a function of shape"),
    "part": (lambda: f.hessian(x, part="half"), ValueError, "part: got 'half'"),
    "Gauss-Newton of no squares": (
        lambda: f.hessian(x, part="gauss-newton"),
        ValueError,
        "F: got a function that is no",
    ),
    "differential of 3": (lambda: fd(3, (2, 2)), TypeError, "from_differential: got int 3"),
    "differential of nothing": (lambda: fd(lambda d: d), TypeError, "from_differential: got function .* and 0 shapes"),
    "differential squared": (lambda: fd(lambda d: d * d, (2, 2)), mj.TracingError, "a product of two differentials"),
    "differential plus 1": (lambda: fd(lambda d: d + 1, (2, 2)), mj.TracingError, "a differential plus what is none"),
    "rounding of a differential": (lambda: fd(np.round, (2, 2)), mj.TracingError, "np.round of a differential"),
    "angle of a differential": (lambda: fd(np.angle, (2, 2)), mj.TracingError, "np.angle of a differential"),
    "differential, sorted": (lambda: fd(np.sort, (2, 2)), mj.TracingError, "sorted of a differential is not linear"),
    "differential, converted": (
        lambda: fd(lambda d: d.astype(complex), (2, 2)),
        mj.TracingError,
        "cast of a diff",
    ),
    "differential, convolved": (
        lambda: fd(lambda d: np.convolve(d, d), (2,)),
        mj.TracingError,
        "a product of two",
    ),
    "like a differential": (
        lambda: fd(np.zeros_like, (2, 2)),
        mj.TracingError,
        "an array like a differential",
    ),
    "dtype of a differential": (lambda: fd(lambda d: d.dtype, (2, 2)), mj.TracingError, "a differential has no dtype"),
    "function of a differential": (
        lambda: fd(lambda d: square(d), (3,)),
        mj.TracingError,
        "a compiled function of a",
    ),
    "sine of a differential": (lambda: fd(np.sin, (2, 2)), mj.TracingError, "np.sin of a differential"),
    "differential times sparse": (
        lambda: fd(lambda d: d * sp.eye(2), (2, 2)),
        mj.TracingError,
        "\\* with a scipy.sparse",
    ),
    "differential times masked": (lambda: fd(lambda d: d * np.ma.ones((2, 2)), (2, 2)), mj.TracingError, "a masked"),
    "rule of 3": (lambda: mj.rule(3), TypeError, "mj.rule: got int, expected functions"),
    "rule of both": (lambda: mj.rule(np.sin, np.cos, differential=max), TypeError, "mj.rule: got Jacobians and a"),
    "check 3": (lambda: mj.check(3), TypeError, "F: got int 3, expected a compiled function"),
    "check, directions": (lambda: mj.check(f, x, directions=-1), ValueError, "directions: got -1"),
    "check, tol": (lambda: mj.check(f, x, tol=0), ValueError, "tol: got 0, expected a positive number"),
    "check, tol of text": (lambda: mj.check(f, x, tol="a"), TypeError, "tol: got dtype <U1"),
    "check, tol of NaN": (lambda: mj.check(f, x, tol=np.nan), ValueError, "tol: got nan"),
    "check, fun": (lambda: mj.check(f, x, fun=3), TypeError, "fun: got int 3, expected a function"),
    "check, order": (lambda: mj.check(f, x, order=3), ValueError, "order: got 3"),
    "fit a number": (lambda: ls(5, x), TypeError, "F: got int 5, expected a function of matrices"),
    "fit from NaN": (lambda: ls(F, R * np.nan), ValueError, r"start: got X\[0, 0\] = nan, expected finite"),
    "fit from infinity": (lambda: ls(F, R / 0), ValueError, r"start: got X\[0, 0\] = -?inf, expected finite"),
    "fit complex": (lambda: ls(F, R * 1j), TypeError, "start: got dtype complex128, expected real numbers"),
    "fit, loss": (lambda: ls(F, R, loss="x"), ValueError, "loss: got 'x'"),
    "fit, jac": (lambda: ls(F, R, jac="x"), ValueError, "jac: got 'x'"),
    "fit, eliminate": (lambda: ls(F, R, eliminate=3), ValueError, "eliminate: got 3"),
    "fit, batch": (lambda: ls(F, R, batch="a"), TypeError, "batch: got str 'a'"),
    "fit, bounds": (lambda: ls(F, R, bounds=(1, 0)), ValueError, r"bounds: got 1 to 0 for X\[0, 0\]"),
    "fit, bounds of text": (lambda: ls(F, R, bounds="ab"), TypeError, "bounds: got str 'ab'"),
    "fit, progress": (lambda: ls(F, R, progress=3), TypeError, "progress: got int 3"),
    "minimize a matrix": (lambda: solvers.minimize(F, R), ValueError, "F: got a function with values of shape"),
    "minimize, an option": (lambda: solvers.minimize(f, x, foo=1), TypeError, "foo: got an argument that minimize has"),
    "minimize, tol": (lambda: solvers.minimize(f, x, tol="a"), TypeError, "tol: got dtype <U1"),
    "minimize, bounds of NaN": (lambda: solvers.minimize(f, x, bounds=(np.nan, 2)), ValueError, "bounds: got nan to 2"),
    "minimize, constraints": (lambda: solvers.minimize(f, x, constraints=3), TypeError, "constraints: got int 3"),
    "minimize, a constraint": (
        lambda: solvers.minimize(f, x, constraints=[3]),
        TypeError,
        r"constraints\[0\]: got int 3",
    ),
    "root of text": (lambda: solvers.root("a", x), TypeError, "F: got str 'a'"),
    "root, method": (lambda: solvers.root(square, x, method="x"), ValueError, "method: got 'x'"),
    "root, tol": (lambda: solvers.root(square, x, tol="a"), TypeError, "tol: got dtype <U1"),
    "solve_ivp, t_span": (lambda: solvers.solve_ivp(flow, 3, x), ValueError, r"t_span: got shape \(\)"),
    "solve_ivp, to NaN": (lambda: solvers.solve_ivp(flow, (0, np.nan), x), ValueError, "t_span: got tuple .*nan"),
    "ipopt of two starts": (lambda: solvers.ipopt(f, x, x), TypeError, "arguments: got 2, expected 1: x"),
    "covariance beyond": (
        lambda: solvers.uncertainty(square, x, sigma2=1.0).covariance([9]),
        IndexError,
        "rows: got 9",
    ),
    "uncertainty, sigma2": (lambda: solvers.uncertainty(square, x, sigma2=-1), ValueError, "sigma2: got -1"),
    "uncertainty, of": (lambda: solvers.uncertainty(square, x, of=3, sigma2=1.0), TypeError, "of: got int 3"),
    "block_jacobi of 3": (lambda: solvers.block_jacobi(3), TypeError, "J: got int 3"),
    "negative damping": (lambda: solvers.block_jacobi(J, damping=-1), ValueError, "damping: got int -1, expected"),
    "a negative damping of a column": (
        lambda: solvers.block_jacobi(J, damping=[0, 1, -2, 0, 0, 0]),
        ValueError,
        r"damping: got list \[0, 1, -2, 0, 0, 0\], expected",
    ),
    "complex damping": (lambda: solvers.block_jacobi(J, damping=1j), ValueError, "damping: got complex 1j, expected"),
    "damping of NaN": (lambda: solvers.block_jacobi(J, damping=np.nan), ValueError, "damping: got float nan"),
    "damping of text": (lambda: solvers.damped_step(J, nine, "a"), TypeError, "damping: got dtype <U1"),
    "no factors": (lambda: solvers.NormalEquations().solve(x), ValueError, "solve: got no factors"),
    "no such backend": (lambda: solvers.NormalEquations("x"), ValueError, "backend: got 'x'"),
    "no such function": (lambda: mj.linalg.foo, AttributeError, r"mj\.linalg has no foo"),
}
