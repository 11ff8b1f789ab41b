"""Least squares: Gauss–Newton, preconditioned L-BFGS, or SciPy's `least_squares`, on functions of matrices."""

from typing import Any

import numpy as np
from scipy import optimize

from matjac import checks
from matjac.conventions import Array
from matjac.flat import Flat
from matjac.solvers import arguments
from matjac.solvers import eliminate as elimination
from matjac.solvers.blas import solver
from matjac.solvers.damped import Damped
from matjac.solvers.gauss_newton import gauss_newton
from matjac.solvers.lbfgs import Ended, Tolerances, lbfgs
from matjac.solvers.losses import Loss
from matjac.solvers.squares import Linearised, SumOfSquares
from matjac.solvers.watch import ENDS, Callback, Stopped, Watch
from matjac.solvers.ways import cheap, choose, few

FACES = ("operator", "csr", "dense")
SCIPY = ("trf", "dogbox", "lm")
METHODS = ("gauss-newton", "lbfgs", *SCIPY)
#: What ours take of SciPy's options, and how they stop unless told otherwise. Steps of Gauss–Newton are few, and the
#: last ones bring digits that the cost no longer shows, which NIST's certified values are asked for.
OPTIONS = {"loss": "linear", "f_scale": 1.0, "ftol": 1e-8, "xtol": 1e-10, "gtol": 1e-8, "max_nfev": None}
NEWTON = {**OPTIONS, "ftol": None, "gtol": 1e-15}
#: Evaluations of Gauss–Newton, in all and for each unknown, the more of both: it may crawl.
EVALUATIONS = 5000, 100


@solver
def least_squares(
    F: Any,
    *start: Any,
    method: str | None = None,
    eliminate: Any = None,
    jac: str | None = None,
    bounds: Any = None,
    x_scale: Any = None,
    progress: Callback | None = None,
    seconds: float | None = None,
    **options: Any,
) -> optimize.OptimizeResult:
    """Minimise ½‖F‖² for a function of one or several matrices.

    "gauss-newton" takes steps of Levenberg and Marquardt in a trust region. "lbfgs" is limited-memory BFGS, without
    bounds in the metric of the diagonal blocks of JᵀJ, which the terms of a Jacobian give without it: one value and one
    gradient a step, and no matrix of J's size. The other methods are SciPy's; what they lack for matrices is here:
    packing, scales that need no matrix, a report of each step. All end with the last good point where a value is not
    finite or the time is over.

    Parameters
    ----------
    F : Compiled, Function or callable
        The residuals, an array of any shape; a plain function is compiled.
    *start : array_like
        One for each variable.
    method : {"gauss-newton", "lbfgs", "trf", "dogbox", "lm"}, optional
        Unless given: "trf" where an argument of SciPy's alone is given (`jac`, `x_scale`, ``tr_options``, …);
        "gauss-newton" where J is small, or sparse with factors that cost little; "trf" where J has no more than ten
        entries a column, but its factors cost much; else "lbfgs". The result's ``method`` says which it was.
    eliminate : str or False, optional
        The name of an unknown in which the residuals are linear, given the others: "lbfgs" then minimises over the
        others, and solves for it at each point, exactly and between its bounds (variable projection). Its rows or
        columns are solved for one by one where each residual reaches one of them (U or V of UVᵀ with gaps, weights or
        ridges), else all together. Unless given, such an unknown is found from what was recorded of F, where its rows
        or columns have at most 64 entries and the loss is linear; False is none. The result's ``eliminated`` says
        which.
    jac : {"operator", "csr", "dense"}, optional
        The Jacobian's face for SciPy's methods: matrix-free products, a sparse matrix, fresh values on one pattern, or
        a dense one. A dense one for "lm", an operator for others, unless given. With ``method="gauss-newton"`` how its
        systems are solved: "dense" by Cholesky factors of JᵀJ; "csr" by a Schur complement where a variable, or its
        rows or columns, is in each residual by one small block (as the points in bundle adjustment, which are found
        from the pattern), by banded factors, or sparse ones; "operator" by conjugate gradients, preconditioned by the
        diagonal blocks of JᵀJ, to a tenth of the gradient. Unless given, whichever is affordable in that order.
    bounds : tuple, optional
        ``(lower, upper)``, each a number for all entries, or a tuple with a number or an array for each variable: for U
        and V, ``((lower of U, lower of V), (upper of U, upper of V))``. None is no bound.
    x_scale : "jac", float or tuple, optional
        Scales of the variables for SciPy's methods: one over the norms of the Jacobian's columns at the start ("jac",
        unless given), or numbers, one for all or one part for each variable.
    progress : callable, optional
        Called with a `Progress` at each step; to return True stops the solver.
    seconds : float, optional
        Time after which it stops at the last good point.
    **options
        Of SciPy's ``least_squares``. Our methods take ``loss``, ``f_scale``, ``max_nfev``, ``ftol``, ``xtol`` and
        ``gtol``. "lbfgs" stops where ten steps together reduce the cost by less than ftol of it, where a step is
        shorter than xtol of x, or where the residuals are orthogonal, up to gtol, to what J reaches. "gauss-newton"
        stops where one step reduced the cost by less than ftol of it and the model promised no more (not unless
        given), by xtol (10⁻¹⁰), where no cosine of the residuals with a column of J is above gtol, and where rounding
        decides which cost is less. Of a robust loss its model is that of the squares weighted by the loss's slopes.

    Returns
    -------
    scipy.optimize.OptimizeResult
        A `Fit`: SciPy's, with ``variables``, the arrays, ``method``, ``nit`` and ``seconds``; from our methods without
        ``jac``, and from "gauss-newton" with ``linear_algebra``, how its systems were solved.
        Where it was stopped ``success`` is False, ``status`` is -9, ``message`` says why and where, and of SciPy's
        fields there are ``x``, ``nfev``, ``njev`` and, of a linear loss, ``cost``.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as described.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> K = np.array([[2.0, 1.0], [1.0, 2.0]])
    >>> F = mj.compile(lambda R: R.T @ R - K, (2, 2))
    >>> fit = mj.solvers.least_squares(F, np.eye(2))
    >>> (R,) = fit.variables
    >>> np.allclose(R.T @ R, K)
    True
    """
    F = arguments.residuals(F)
    arguments.refuse(options, "fun", "x0", "args", "kwargs", "callback")
    if jac is not None:
        checks.one_of("jac", jac, FACES)
    watch, x0 = Watch(F, progress, seconds), arguments.start(F, start)
    low, high = arguments.bounds(F, bounds)
    arguments.within(F, x0, low, high)
    way = None
    watch.why = "as asked"
    if method is None:
        scipys = jac is not None or x_scale is not None or not options.keys() <= OPTIONS.keys()
        asked, J = eliminate not in (None, False), F.jac(x0)
        way = None if scipys or asked else cheap(J, F.variables)
        if scipys:
            method, watch.why = "trf", "an argument of SciPy's"
        elif way is not None:
            method, watch.why = "gauss-newton", "its steps cost little"
        elif few(J) and not asked:
            method, watch.why = "trf", "J has few entries a column"
        else:
            method, watch.why = "lbfgs", "J is large"
    if checks.one_of("method", method, METHODS) != "lbfgs" and eliminate not in (None, False):
        raise ValueError(f"eliminate: got {eliminate!r} for {method}, expected it for lbfgs alone")
    if method in SCIPY:
        # arrays, for SciPy spreads numbers slowly
        given = {"method": method, "bounds": (low, high), **options}
        return _scipy(F, watch, x0, jac or "operator", "jac" if x_scale is None else x_scale, given)
    for name, value in (("jac", jac if method == "lbfgs" else None), ("x_scale", x_scale)):
        if value is not None:
            raise ValueError(f"{name}: got {value!r} for {method}, which takes none")
    unknown = sorted(options.keys() - OPTIONS.keys())
    if unknown:
        expected = ", ".join(OPTIONS)
        raise TypeError(f"{unknown[0]}: got an option that {method} does not take, expected one of {expected}")
    if method == "lbfgs":
        return _lbfgs(F, watch, x0, (low, high), eliminate, OPTIONS | options)
    way = way or choose(F.jac(x0), F.variables, jac, lambda: watch.in_time("residuals"))
    return _gauss_newton(F, watch, x0, (low, high), NEWTON | options, way)


def _lbfgs(
    F: Flat, watch: Watch, x0: Array, bounds: tuple[Array, Array], eliminate: Any, options: dict[str, Any]
) -> Any:
    """By L-BFGS, of all unknowns or of all but one."""
    loss = Loss(options["loss"], options["f_scale"])
    tolerances = _tolerances(options)
    eliminated, blocks = _eliminated(F, x0, eliminate, loss)
    objective: Any = None
    if eliminated is None:
        objective, edges = SumOfSquares(F, watch, loss, x0), bounds
    else:
        low, high = (dict(zip(F.variables.names, F.unpack(edge), strict=True)) for edge in bounds)
        linear = elimination.Linear(F, eliminated, blocks, low.pop(eliminated), high.pop(eliminated))
        objective = elimination.Eliminated(linear, dict(zip(F.variables.names, F.unpack(x0), strict=True)), watch)
        edges = objective.rest.pack(*low.values()), objective.rest.pack(*high.values())
    found = {"method": "lbfgs", "eliminated": eliminated}
    try:
        end = lbfgs(objective, objective.start, *edges, tolerances)
    except ENDS as why:
        return watch.stopped(why, x0, cost=watch.value, **found)
    x = objective.whole(end.x)
    fun = F.fun(x)
    gradient = end.gradient if eliminated is None else F.jac(x).rmatvec(fun)
    return _finish(watch, end, x, fun, gradient, bounds, message=end.message, **found)


def _gauss_newton(
    F: Flat, watch: Watch, x0: Array, bounds: tuple[Array, Array], options: dict[str, Any], way: Damped
) -> Any:
    """By Gauss–Newton."""
    model = Linearised(F, watch, Loss(options["loss"], options["f_scale"]), way)
    if options["max_nfev"] is None:
        options["max_nfev"] = max(EVALUATIONS[0], EVALUATIONS[1] * x0.size)
    tolerances = _tolerances(options)
    chosen = {"method": "gauss-newton", "linear_algebra": way.name}
    try:
        end = gauss_newton(model, x0, *bounds, tolerances)
    except ENDS as why:
        return watch.stopped(why, x0, cost=watch.value, **chosen)
    message = f"{end.message} Linear algebra: {way.name}."
    return _finish(watch, end, end.x, model.residuals, end.gradient, bounds, message=message, **chosen)


def _finish(
    watch: Watch, end: Ended, x: Array, fun: Array, gradient: Array, bounds: tuple[Array, Array], **more: Any
) -> Any:
    """The result of a method of ours, at the point of all unknowns."""
    result = optimize.OptimizeResult(
        x=x,
        cost=end.value,
        fun=fun,
        grad=gradient,
        optimality=float(np.abs(np.clip(x - gradient, *bounds) - x).max(initial=0.0)),
        nfev=watch.evaluations,
        njev=watch.derivatives,
        nit=end.steps,
        status=end.status,
        success=end.status > 0,
        **more,
    )
    return watch.finish(result)


def _eliminated(F: Flat, x0: Array, eliminate: Any, loss: Loss) -> tuple[str | None, Any]:
    """The unknown that is to be eliminated, and its blocks; or None."""
    arrays = dict(zip(F.variables.names, F.unpack(x0), strict=True))
    if eliminate is False or (eliminate is None and not loss.linear):
        return None, None
    if eliminate is None:
        return elimination.separable(F, arrays) or (None, None)
    if not loss.linear:
        raise ValueError(f"eliminate: got {eliminate!r} with a robust loss, expected loss='linear'")
    return elimination.asked_for(F, eliminate, arrays)


def _tolerances(options: dict[str, Any]) -> Tolerances:
    """When to stop."""
    ftol, xtol, gtol = (_tolerance(name, options[name], 0.0) for name in ("ftol", "xtol", "gtol"))
    return Tolerances(ftol, xtol, gtol, _tolerance("max_nfev", options["max_nfev"], np.inf))


def _tolerance(name: str, given: Any, none: float) -> float:
    """A number that is not negative; None is no such test."""
    value = none if given is None else float(checks.array(name, given, 0))
    if not value >= 0:
        raise ValueError(f"{name}: got {given}, expected a number that is not negative")
    return value


def _scipy(F: Flat, watch: Watch, x0: Array, jac: str, x_scale: Any, options: dict[str, Any]) -> Any:
    """By a method of SciPy's."""
    # SciPy's inner solver for operators wants two unknowns
    dense = jac == "dense" or options["method"] == "lm" or x0.size == 1
    last: tuple[Array, Array] | None = None

    def residual(x: Array) -> Array:
        nonlocal last
        y = arguments.residual(watch.call(F.fun, x))
        watch.evaluated("residuals", x, y)
        last = np.array(x), y
        return y

    def jacobian(x: Array) -> Any:
        y = last[1] if last is not None and np.array_equal(last[0], x) else F.fun(x)
        if not np.isfinite(y).all():
            # MINPACK goes on from such points
            raise Stopped(watch.trouble)
        J = F.jac_csr(x) if jac == "csr" else F.jac(x)
        watch.derived("Jᵀ · residuals", x, J.T @ y)
        watch.went(x, 0.5 * float(y @ y))
        return J.toarray() if dense else watch.timed(J)

    try:
        if isinstance(x_scale, str) and dense:
            # SciPy's own, which it renews at each step
            options["x_scale"] = checks.one_of("x_scale", x_scale, ("jac",))
        elif isinstance(x_scale, str):
            checks.one_of("x_scale", x_scale, ("jac",))
            J = F.jac(x0)
            watch.derived("Jᵀ · residuals", x0, J.T @ residual(x0))
            norms = J.column_norms()
            options["x_scale"] = 1 / np.where(norms > 0, norms, 1)
        else:
            options["x_scale"] = F.variables.spread("x_scale", x_scale)
        result = optimize.least_squares(residual, x0, jacobian, **options)
    except ENDS as why:
        cost = {"cost": watch.value} if options.get("loss", "linear") == "linear" else {}
        return watch.stopped(why, x0, method=options["method"], **cost)
    result.method = options["method"]
    return watch.finish(result)
