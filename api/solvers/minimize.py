"""Minimisation: SciPy's `minimize` on functions of matrices, with constraints that are such functions too."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import optimize

from matjac import checks
from matjac.conventions import Array
from matjac.flat import Flat
from matjac.solvers import arguments
from matjac.solvers.blas import solver
from matjac.solvers.checkpoint import SECONDS
from matjac.solvers.fit import Fit
from matjac.solvers.hessians import hessian_at
from matjac.solvers.summed import Summed, watched
from matjac.solvers.watch import ENDS, Callback, Stopped, Watch
from matjac.tracing.compiled import Compiled

#: SciPy's methods, in either case.
Method: TypeAlias = Literal[
    "Nelder-Mead", "Powell", "CG", "BFGS", "Newton-CG", "L-BFGS-B", "TNC", "COBYLA", "COBYQA", "SLSQP", "trust-constr",
    "dogleg", "trust-ncg", "trust-krylov", "trust-exact",
    "nelder-mead", "powell", "cg", "bfgs", "newton-cg", "l-bfgs-b", "tnc", "cobyla", "cobyqa", "slsqp",
]  # fmt: skip
#: Methods that take constraints, and those that take a sparse Jacobian of them.
CONSTRAINED = ("trust-constr", "slsqp", "cobyla", "cobyqa")
SPARSE = ("trust-constr",)
BOUNDED = ("nelder-mead", "powell", "l-bfgs-b", "tnc", *CONSTRAINED)
#: Methods without gradients, and those that want one wherever they want a value.
VALUES = ("nelder-mead", "powell", "cobyla", "cobyqa")
TOGETHER = ("l-bfgs-b", "bfgs", "cg", "tnc")
#: The form of the Hessian that a method takes. Two of SciPy's fail on operators, and take products.
PRODUCTS = ("newton-cg", "trust-ncg", "trust-krylov")
OPERATOR = ("trust-constr",)
DENSE = ("trust-exact", "dogleg")
HESSIANS = ("exact", "gauss-newton", "none")


def constraint(G: Any, lower: Any, upper: Any, dense: bool = False) -> optimize.NonlinearConstraint:
    """SciPy's ``NonlinearConstraint`` lower ≤ G ≤ upper, with the Jacobian as a sparse matrix.

    The Hessian of the sum that a multiplier for each entry makes is an operator, where G has second derivatives.

    Its values are fresh each time: ``trust-constr`` keeps the last Jacobian while it asks for the next.

    Parameters
    ----------
    G : Compiled or Function
        Of the same variables as the objective.
    lower, upper : float or array_like
        Bounds of its entries: a number, or an array of the shape of its value.
    dense : bool, optional
        A dense Jacobian, as ``SLSQP`` wants it.

    Returns
    -------
    scipy.optimize.NonlinearConstraint

    Raises
    ------
    TypeError, ValueError
        Where G is no such function, or a bound is no number and not of the shape of its value.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> upper_half = np.triu_indices(2)
    >>> G = mj.compile(lambda R: (R.T @ R)[upper_half], (3, 2))
    >>> c = mj.solvers.constraint(G, [1.0, 0.0, 1.0], [1.0, 0.0, 1.0])
    >>> c.jac(np.ones(6)).shape
    (3, 6)
    """
    G = arguments.flat(G, name="G")
    edges = [arguments.edge("lower", lower, G, -np.inf), arguments.edge("upper", upper, G, np.inf)]
    jacobian = (lambda x: G.jac(x).toarray()) if dense else G.jac_csr
    more = {} if dense or not G.has_hessian else {"hess": G.hess}
    return optimize.NonlinearConstraint(G.values, *edges, jac=jacobian, **more)


@solver
def minimize(
    F: arguments.Callee,
    *start: npt.ArrayLike,
    method: Method | Callable[..., Any] | None = None,
    bounds: Any = None,
    constraints: Sequence[Any] = (),
    hessian: Literal["exact", "gauss-newton", "none"] | None = None,
    progress: Callback | None = None,
    seconds: float | None = None,
    checkpoint: Any = None,
    checkpoint_seconds: float = SECONDS,
    **options: Any,
) -> Fit:
    """Minimise a scalar function of one or several matrices by ``scipy.optimize.minimize``.

    Gradients are adjoint sweeps. Methods of second order get the Hessian in the form that they take: products
    ("Newton-CG", "trust-ncg", "trust-krylov"), an operator ("trust-constr", constraints' Hessians too) or a dense
    matrix ("trust-exact", "dogleg").

    Parameters
    ----------
    F : Compiled, Function or callable
        The objective, one number; a plain function is compiled.
    *start : array_like
        One for each variable.
    method : str or callable, optional
        SciPy's; "L-BFGS-B", or "trust-constr" where there are constraints, unless given.
    bounds : tuple, optional
        Lower and upper bounds, as in `least_squares`.
    constraints : sequence of (G, lower, upper), optional
        See `constraint`; a plain G is compiled. Of a symmetric matrix constrain one half: of equal rows only one
        counts, and they make the constraints' Jacobian rank-deficient.
    hessian : {"exact", "gauss-newton", "none"}, optional
        What methods of second order get: the Hessian, of a sum of squares the part 2 JᵀJ, or with "none" (of
        "trust-constr" alone) an approximation of SciPy's. "exact" where there is one, unless given. "dogleg" wants
        positive definite ones.
    progress, seconds
        As in `least_squares`.
    checkpoint, checkpoint_seconds
        As in `least_squares`, but the file has the point alone: a run begins anew from there, without SciPy's memory of
        the steps before.
    **options
        Of ``scipy.optimize.minimize``: ``tol``, ``options``, …

    Returns
    -------
    Fit
        SciPy's result, with ``variables``, ``method``, ``nit`` and ``seconds``; stopped as in `least_squares`.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as described.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> S = np.array([[2.0, 0.5], [0.5, 1.0]])
    >>> F = mj.compile(lambda L: 0.5 * np.sum((S @ L) * L) - np.linalg.slogdet(L)[1], (2, 2))
    >>> (L,) = mj.solvers.minimize(F, np.eye(2)).variables
    >>> np.allclose(L @ L.T, np.linalg.inv(S), atol=1e-4)
    True
    """
    F = arguments.scalar(F)
    if isinstance(F, Summed) and F.owned:
        raise ValueError(f"F: got {F.owned[0]} owned by its rank, expected shared unknowns: least_squares has both")
    arguments.refuse(options, "fun", "x0", "args", "jac", "hess", "hessp", "callback")
    if not isinstance(constraints, Sequence):
        raise TypeError(f"constraints: got {checks.describe(constraints)}, expected a sequence of (G, lower, upper)")
    if options.get("tol") is not None:
        checks.finite("tol", options["tol"])
    F, watch = watched(F, progress, seconds, scalar=True)
    x0 = arguments.start(F, start)
    watch.begin(x0)
    if checkpoint is not None:
        watch.keeps(checkpoint, checkpoint_seconds)
    about = f"minimize on {F.variables!r}"
    kept = watch.kept(about)
    if kept is not None:
        x0, before = kept[0]
        watch.go_on(x0, arguments.number(watch.summed(F.fun, x0)), before)
    watch.why = "as asked" if method else "there are constraints" if len(constraints) else "no method was asked for"
    method = method or ("trust-constr" if len(constraints) else "L-BFGS-B")
    name = method.lower() if isinstance(method, str) else ""
    if bounds is not None:
        if name:
            checks.one_of("method (with bounds)", name, BOUNDED)
        options["bounds"] = optimize.Bounds(*arguments.bounds(F, bounds))
    if name:
        unknown = sorted(options.keys() - {"tol", "options", "bounds"})
        if unknown:
            raise TypeError(f"{unknown[0]}: got an argument that minimize has not, expected it in options=…")
        arguments.documented(dict(options.get("options") or {}), "minimize", name)
    if len(constraints):
        checks.one_of("method (with constraints)", name, CONSTRAINED)
        dense = name not in SPARSE
        given = arguments.constraints(F, constraints, x0)
        options["constraints"] = [
            _watched(watch, f"constraints[{at}]", constraint(G, low, high, dense))
            for at, (G, low, high) in enumerate(given)
        ]

    options |= _second(F, name, hessian, watch)
    last: tuple[Array, float] | None = None

    def note(x: Array, value: float) -> None:
        nonlocal last
        watch.evaluated("objective", x, value)
        last = np.array(x), value
        if watch.point is None:
            watch.went(x, value)

    def objective(x: Array) -> float:
        value = arguments.number(watch.summed(F.fun, x))
        note(x, value)
        return value

    def gradient(x: Array) -> Array:
        slope: Array = watch.summed(F.grad, x)
        watch.derived("gradient", x, slope)
        return slope

    def both(x: Array) -> tuple[float, Array]:
        found, slope = watch.summed(F.value_and_grad, x)
        value = arguments.number(found)
        note(x, value)
        if np.isfinite(value):
            watch.derived("gradient", x, slope)
        return value, slope

    def stepped(x: Array, *state: Any) -> None:
        known = last is not None and np.array_equal(last[0], x)
        value = last[1] if known else arguments.number(watch.summed(F.fun, x))  # type: ignore[index]
        watch.went(x, value)
        watch.keep(about, (np.array(x), value))

    asked: dict[str, Any] = {"fun": objective, "jac": None if name in VALUES else gradient}
    if name in TOGETHER and isinstance(F, Compiled):
        asked = {"fun": both, "jac": True}
    try:
        for each in options.get("constraints", ()):
            # before there is any good point: it stops where the start is none
            each.fun(x0)
        result = optimize.minimize(x0=x0, method=method, callback=stepped, **asked, **options)
        if not np.isfinite(result.fun) or (watch.failures and not result.success):
            raise Stopped(watch.trouble)
    except ENDS as error:
        result = watch.stopped(error, x0, fun=watch.value)
    result.method = method if isinstance(method, str) else getattr(method, "__name__", "a callable")
    return watch.finish(result)


def _second(F: Flat, method: str, hessian: str | None, watch: Watch) -> dict[str, Any]:
    """The Hessian as SciPy's method takes it."""
    if method not in (*PRODUCTS, *OPERATOR, *DENSE):
        if hessian is not None:
            raise ValueError(f"hessian: got {hessian!r} for {method}, which takes none")
        return {}
    part = hessian or ("exact" if F.has_hessian or method not in OPERATOR else "none")
    checks.one_of("hessian", part, HESSIANS)
    if part == "none":
        if method not in OPERATOR:
            raise ValueError(f'hessian: got "none" for {method}, which takes one')
        return {}
    if method in PRODUCTS:
        return {"hessp": _Products(F, part, watch)}
    if method in DENSE:
        return {"hess": lambda x: watch.summed(lambda x: hessian_at(F, x, None, part).toarray(), x)}
    return {"hess": lambda x: watch.timed(hessian_at(F, x, None, part))}


class _Products:
    """Products with the Hessian, of which SciPy asks many at one point."""

    def __init__(self, F: Flat, part: str, watch: Watch) -> None:
        self.F, self.part, self.watch = F, part, watch
        self._last: tuple[Array, Any] | None = None

    def __call__(self, x: Array, p: Array) -> Array:
        self.watch.in_time("Hessian's products")
        if self._last is None or not np.array_equal(self._last[0], x):
            self._last = np.array(x), hessian_at(self.F, x, None, self.part)
        product: Array = self.watch.summed(self._last[1].matvec, p)
        return product


def _watched(watch: Watch, name: str, given: optimize.NonlinearConstraint) -> optimize.NonlinearConstraint:
    """The constraint, whose values must be finite too."""
    fun = given.fun

    def values(x: Array) -> Array:
        y: Array = watch.call(fun, x)
        watch.evaluated(name, x, y)
        return y

    given.fun = values
    return given
