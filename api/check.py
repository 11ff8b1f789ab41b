"""`check`: a Jacobian beside an independent derivative, and where they part."""

from collections.abc import Callable
from typing import Any

import numpy as np

from matjac import checks
from matjac.conventions import Array, size
from matjac.flat import Variables
from matjac.tracing.compiled import Compiled


class CheckError(AssertionError):
    """A Jacobian that differs from the derivative; the message says where."""


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
    evaluating it agree), else central differences.

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
        Number of random directions.
    tol : float, optional
        Largest difference allowed, relative to the largest entry of the derivative (at least 1).
    order : {1, 2}, optional
        With 2 the Jacobian is compared, and then the Hessian with the derivative of the gradient; where F is no
        scalar, of a sum of its values with random weights.

    Returns
    -------
    float
        The largest difference found.

    Raises
    ------
    CheckError
        Where they differ by more: names the row, the column, both values, and the terms the entry is from.

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
    matjac.check.CheckError: ∂F[1] / ∂x[1]: matjac 6, complex step 4, from term 0 (U 2 × 2 identity, ...
    """
    if isinstance(order, bool) or order not in (1, 2):
        raise ValueError(f"order: got {order!r}, expected 1 or 2")
    if not isinstance(F, Compiled):
        raise TypeError(f"F: got {checks.describe(F)}, expected a compiled function")
    J = F.jacobian(*args)
    x = F.pack(*args)
    function = fun or F.original or F
    value, wanted = F(*args), np.asarray(function(*args))
    if wanted.shape != value.shape or not np.allclose(value, wanted, rtol=1e-6, atol=tol, equal_nan=True):
        raise CheckError(
            f"the value: compiled to shape {value.shape}, the function's has {wanted.shape} or other entries"
        )

    def flat(vector: Array) -> Array:
        return np.asarray(function(*F.unpack(vector))).reshape(-1, order=F.order)

    values = Variables(F.out_shape, order=F.order, names=["F"])

    def first(row: int, column: int) -> str:
        return f"∂{values.entry(row)} / ∂{F.variables.entry(column)}"

    worst = _compare(J, flat, x, directions, tol, first)
    if order == 1:
        return worst
    w = None if F.out_shape == () else np.random.default_rng(3).uniform(0.5, 1.5, J.shape[0])

    gradient, transposed = F.grad(x, w), J.T @ (np.ones(1) if w is None else w)
    if not np.allclose(gradient, transposed, rtol=tol, atol=tol, equal_nan=True):
        raise CheckError("the gradient: it is not the weighted sum of the Jacobian's rows")

    def second(row: int, column: int) -> str:
        return f"∂²F / ∂{F.variables.entry(row)} ∂{F.variables.entry(column)}"

    return max(worst, _compare(F.hess(x, w), lambda v: F.grad(v, w), x, directions, tol, second))


def _compare(
    J: Any, flat: Callable[[Array], Array], x: Array, directions: int, tol: float, entry: Callable[[int, int], str]
) -> float:
    """The largest difference of a Jacobian's products from a function's derivatives; raises where it is too large."""
    derivative, name = _derivative(flat, x)
    rng = np.random.default_rng(0)
    worst = 0.0
    for _ in range(directions):
        v = rng.standard_normal(x.size)
        ours, theirs = J @ v, derivative(v)
        allowed = tol * max(1.0, float(np.abs(theirs).max(initial=0)))
        difference = np.abs(ours - theirs)
        worst = max(worst, float(difference.max(initial=0)))
        if not np.all(difference <= allowed):
            row = int(np.argmax(np.where(np.isnan(difference), np.inf, difference)))
            raise CheckError(_where(J, derivative, name, row, entry))
    return worst


def _derivative(flat: Callable[[Array], Array], x: Array) -> tuple[Callable[[Array], Array], str]:
    """The directional derivative: by complex step where that agrees with central differences."""
    step = 6e-6 * max(1.0, float(np.abs(x).max(initial=0)))

    def central(v: Array) -> Array:
        return (flat(x + step * v) - flat(x - step * v)) / (2 * step)

    def complex_step(v: Array) -> Array:
        return flat(x + 1e-30j * v).imag / 1e-30

    v = np.random.default_rng(1).standard_normal(x.size)
    reference = central(v)
    try:
        found = complex_step(v)
    except (TypeError, ValueError):
        return central, "central differences"
    scale = max(1.0, float(np.abs(reference).max(initial=0)))
    analytic = np.all(np.abs(found - reference) <= 1e-4 * scale)
    return (complex_step, "complex step") if analytic else (central, "central differences")


def _where(J: Any, derivative: Callable[[Array], Array], name: str, row: int, entry: Callable[[int, int], str]) -> str:
    """The entry of that row that differs most, found by halving the columns."""
    columns = np.arange(J.shape[1])
    ours = J.rows(row, row + 1).toarray()[0]
    rng = np.random.default_rng(2)
    weights = rng.uniform(1, 2, columns.size) * rng.choice([-1, 1], columns.size)

    def gap(part: Array) -> float:
        v = np.zeros(J.shape[1])
        v[part] = weights[part]
        return abs(float(ours @ v) - float(derivative(v)[row]))

    while columns.size > 1:
        halves = np.array_split(columns, 2)
        columns = max(halves, key=gap)
    column = int(columns[0])
    unit = np.zeros(J.shape[1])
    unit[column] = 1
    theirs = float(derivative(unit)[row])
    terms = _terms(J, row, column)
    return f"{entry(row, column)}: matjac {ours[column]:.6g}, {name} {theirs:.6g}, from {terms}"


def _terms(J: Any, row: int, column: int) -> str:
    """The terms of that entry's block."""
    at = int(np.searchsorted(np.cumsum([size(s) for s in J.plan.expression.in_shapes]), column, side="right"))
    mine = [t for t in J.plan.terms.get(at, []) if t.offset <= row < t.offset + t.count]
    return ", ".join(f"term {number} ({t.describe()})" for number, t in enumerate(mine)) or "no term"
