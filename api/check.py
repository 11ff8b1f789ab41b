"""`check`: a Jacobian beside an independent derivative, and where they part."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from matjac import checks
from matjac.conventions import Array, size
from matjac.differences import Differences
from matjac.flat import Variables
from matjac.tracing.compiled import Compiled
from matjac.tracing.explain import coarsest, not_finite

#: Estimated errors of a derivative up to which a difference is put down to them.
SAFETY = 4
#: How many points close by tell the sides of a kink, and how close they are.
AROUND, BESIDE = 20, 1e-6


class CheckError(AssertionError):
    """A Jacobian that differs from the derivative; the message says where. `check` raises it.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> square = mj.rule(lambda x: x**2, differential=lambda x, dx: x * dx)  # a factor of 2 is missing
    >>> mj.check(mj.compile(square, (2,)), np.array([1.0, 2.0]))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    matjac.check.CheckError: ...
    """


def check(
    F: Compiled,
    *args: Any,
    fun: Callable[..., Any] | None = None,
    directions: int = 5,
    tol: float = 1e-6,
    order: int = 1,
) -> float:
    """Compare a compiled function's Jacobian, or Hessian, with an independent derivative along random directions.

    The derivative is the complex step ``Im f(x + i h v) / h`` where the function is analytic (both ways of
    evaluating it agree), else central differences that are extrapolated to a step of zero. They tell their own error,
    from rounding, kinks and the edge of the function's domain, and what is within it is no difference.

    Parameters
    ----------
    F : Compiled
        The function.
    *args : array_like
        The point, real.
    fun : callable, optional
        The function to differentiate numerically; the one that was compiled, unless given. A function that
        was unpickled has what it recorded alone.
    directions : int, optional
        Number of random directions, at least one.
    tol : float, optional
        Largest difference allowed, relative to the largest entry of the derivative (at least 1). Of a Jacobian in
        float32 a thousand roundings are allowed.
    order : {1, 2}, optional
        With 2 the Jacobian is compared, and then the Hessian with the derivative of the gradient; where F is no
        scalar, of a sum of its values with random weights.

    Returns
    -------
    float
        The largest difference found, of entries whose derivative could be estimated within what is allowed.

    Raises
    ------
    CheckError
        Where they differ by more: names the row, the column, both values, and the terms the entry is from. Where an
        entry is not finite, names the step that made it so; where the point is not, the entry of the argument.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> F = mj.compile(lambda X: X.T @ X, (2, 3))
    >>> bool(mj.check(F, np.arange(6.0).reshape(2, 3)) < 1e-12)
    True
    >>> wrong = mj.rule(np.square, lambda x: mj.d_elementwise_dX(3 * x))
    >>> mj.check(mj.compile(lambda x: wrong(x), (2,)), [1.0, 2.0])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    matjac.check.CheckError: ∂F[1] / ∂x[1]: matjac 6, complex step 4 ± ..., from term 0 (U 2 × 2 identity, ...
    """
    if isinstance(order, bool) or order not in (1, 2):
        raise ValueError(f"order: got {order!r}, expected 1 or 2")
    if not isinstance(F, Compiled):
        raise TypeError(f"F: got {checks.describe(F)}, expected a compiled function")
    if not (fun is None or callable(fun)):
        raise TypeError(f"fun: got {checks.describe(fun)}, expected a function")
    if checks.count("directions", directions) < 1:
        raise ValueError(f"directions: got {directions}, expected a positive integer")
    if not checks.array("tol", tol, 0) > 0:
        raise ValueError(f"tol: got {tol!r}, expected a positive number")
    x = F.pack(*args)
    if not np.all(np.isfinite(x)):
        at = int(np.argmin(np.isfinite(x)))
        raise CheckError(f"{F.variables.entry(at)} is {x[at]}: nothing can be compared where an argument is not finite")
    with np.errstate(all="ignore"), warnings.catch_warnings():
        # of points beyond the function's domain
        warnings.simplefilter("ignore")
        worst = _first(F, x, fun or F.original or F, directions, tol)
        return worst if order == 1 else max(worst, _second(F, x, directions, tol))


def _first(F: Compiled, x: Array, fun: Callable[..., Any], directions: int, tol: float) -> float:
    """The largest difference of values and first derivatives."""

    def flat(vector: Array) -> Array:
        # a function may write into its arguments
        value = np.asarray(fun(*F.unpack(vector.copy())))
        if value.shape != F.out_shape:
            raise CheckError(f"the value: compiled to shape {F.out_shape}, the function's has {value.shape}")
        return value.reshape(-1, order=F.order)

    values = Variables(F.out_shape, order=F.order, names=["F"])

    def entry(row: int, column: int) -> str:
        return f"∂{values.entry(row)} / ∂{F.variables.entry(column)}"

    def why(v: Array) -> str:
        return not_finite(F._record, F.variables.split(x), F.variables.split(v))

    numeric = _Numeric(flat, x, tol, coarsest(F._record, F.variables.split(x)))
    _compare_values(F.values(x), numeric, values)
    return _compare(F.jac(x), numeric, directions, entry, why)


def _second(F: Compiled, x: Array, directions: int, tol: float) -> float:
    """The largest difference of second derivatives."""
    given, J = list(F.variables.split(x)), F.jac(x)
    weights = [] if F.out_shape == () else [np.random.default_rng(3).uniform(0.5, 1.5, F.out_shape)]
    w = weights[0].reshape(-1, order=F.order) if weights else None
    gradient, transposed = F.grad(x, w), J.T @ (np.ones(1) if w is None else w)
    if not np.allclose(gradient, transposed, rtol=_allowed(tol, J), atol=_allowed(tol, J), equal_nan=True):
        raise CheckError("the gradient: it is not the weighted sum of the Jacobian's rows")

    def entry(row: int, column: int) -> str:
        return f"∂²F / ∂{F.variables.entry(row)} ∂{F.variables.entry(column)}"

    record = F._record.gradient(weighted=bool(weights))

    def why(v: Array) -> str:
        return not_finite(record, [*given, *weights], [*F.variables.split(v), *map(np.zeros_like, weights)])

    numeric = _Numeric(lambda v: F.grad(v, w), x, tol, coarsest(record, [*given, *weights]))
    return _compare(F.hess(x, w), numeric, directions, entry, why)


class _Numeric:
    """Derivatives of a plain function along directions: by complex step where that agrees with differences."""

    def __init__(self, flat: Callable[[Array], Array], x: Array, tol: float, eps: float) -> None:
        self._flat, self._x, self.tol, self._eps = flat, x, tol, eps
        self.differences = Differences(flat, x, 0.01 * tol, eps)
        v = np.random.default_rng(1).standard_normal(x.size)
        reference, error = self.differences.along(v)
        self.name, self.along = "central differences", self.differences.along
        try:
            found, its = self._complex_step(v)
        except (TypeError, ValueError, Warning):
            return
        allowed = tol * _largest(reference)
        # beside a kink the complex step takes one side
        if np.all(error <= allowed) and np.all(np.abs(found - reference) <= SAFETY * (error + its) + allowed):
            self.name, self.along = "complex step", self._complex_step

    def _complex_step(self, v: Array) -> tuple[Array, Array]:
        found = self._flat(self._x + 1e-30j * v).imag / 1e-30
        noise = _largest(self.differences.noise, 0.0) / _largest(self.differences.center, 1e-300)
        return found, np.full(found.shape, noise * _largest(found))

    def around(self, v: Array) -> tuple[Array, Array]:
        """The least and the largest derivatives at points close by: where entries are equal, all sides of a kink."""
        rng = np.random.default_rng(5)
        low = high = self.along(v)[0]
        for _ in range(AROUND):
            beside = self._x + BESIDE * rng.uniform(-1, 1, v.size) * np.maximum(np.abs(self._x), _largest(self._x, 0.0))
            found, error = Differences(self._flat, beside, 0.01 * self.tol, self._eps).along(v)
            known = np.isfinite(error)
            low = np.where(known, np.minimum(low, found - SAFETY * error), low)
            high = np.where(known, np.maximum(high, found + SAFETY * error), high)
        return low, high


def _largest(values: Array, least: float = 1.0) -> float:
    """The largest size of an entry that is a number."""
    return max(least, float(np.abs(values).max(initial=0, where=np.isfinite(values))))


def _allowed(tol: float, J: Any) -> float:
    return max(tol, 1e3 * float(np.finfo(J.dtype).eps))


def _compare_values(ours: Array, numeric: _Numeric, values: Variables) -> None:
    theirs, noise = numeric.differences.center, numeric.differences.noise
    near = np.isclose(ours, theirs, rtol=1e-6, atol=numeric.tol, equal_nan=True) | (np.abs(ours - theirs) <= 10 * noise)
    if not np.all(near):
        at = int(np.argmin(near))
        raise CheckError(
            f"the value: {values.entry(at)} is {ours[at]:.10g} compiled, and the function's {theirs[at]:.10g}"
        )


def _compare(
    J: Any, numeric: _Numeric, directions: int, entry: Callable[[int, int], str], why: Callable[[Array], str]
) -> float:
    """The largest difference of a Jacobian's products from a function's derivatives; raises where it is too large."""
    rng = np.random.default_rng(0)
    worst = 0.0
    for _ in range(directions):
        v = rng.standard_normal(J.shape[1])
        ours, (theirs, error) = J @ v, numeric.along(v)
        if not np.all(np.isfinite(ours)):
            row = int(np.argmin(np.isfinite(ours)))
            column = int(np.argmin(np.isfinite(J.rows(row, row + 1).toarray()[0])))
            raise CheckError(f"{entry(row, column)}: matjac {ours[row]}, {why(v)}")
        allowed = _allowed(numeric.tol, J) * _largest(theirs)
        difference = np.abs(ours - theirs)
        beyond = difference - np.minimum(SAFETY * error, np.finfo(float).max)
        if np.any(beyond > allowed):
            low, high = numeric.around(v)
            inside = (ours >= low - allowed) & (ours <= high + allowed)
            difference, beyond = (np.where(inside, 0.0, part) for part in (difference, beyond))
        if np.any(beyond > allowed):
            raise CheckError(_where(J, numeric, int(np.argmax(beyond)), entry))
        worst = max(worst, float(difference.max(initial=0, where=error <= allowed)))
    return worst


def _where(J: Any, numeric: _Numeric, row: int, entry: Callable[[int, int], str]) -> str:
    """The entry of that row that differs most, found by halving the columns."""
    columns = np.arange(J.shape[1])
    ours = J.rows(row, row + 1).toarray()[0]
    rng = np.random.default_rng(2)
    weights = rng.uniform(1, 2, columns.size) * rng.choice([-1, 1], columns.size)

    def gap(part: Array) -> float:
        v = np.zeros(J.shape[1])
        v[part] = weights[part]
        theirs, error = (float(a[row]) for a in numeric.along(v))
        return abs(float(ours @ v) - theirs) - error

    while columns.size > 1:
        halves = np.array_split(columns, 2)
        columns = max(halves, key=gap)
    column = int(columns[0])
    unit = np.zeros(J.shape[1])
    unit[column] = 1
    theirs, error = (float(a[row]) for a in numeric.along(unit))
    return (
        f"{entry(row, column)}: matjac {ours[column]:.10g}, {numeric.name} {theirs:.10g} ± {error:.1g}, "
        f"from {_terms(J, row, column)}"
    )


def _terms(J: Any, row: int, column: int) -> str:
    """The terms of that entry's block."""
    at = int(np.searchsorted(np.cumsum([size(s) for s in J.plan.expression.in_shapes]), column, side="right"))
    mine = [t for t in J.plan.terms.get(at, []) if t.offset <= row < t.offset + t.count]
    return ", ".join(f"term {number} ({t.describe()})" for number, t in enumerate(mine)) or "no term"
