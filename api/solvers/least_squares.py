"""Least squares: preconditioned L-BFGS, or SciPy's `least_squares`, on functions of matrices."""

from typing import Any

import numpy as np
from scipy import optimize

from matjac import checks
from matjac.conventions import Array
from matjac.flat import Flat
from matjac.solvers import arguments
from matjac.solvers import eliminate as elimination
from matjac.solvers.blas import solver
from matjac.solvers.lbfgs import Tolerances, lbfgs
from matjac.solvers.losses import Loss
from matjac.solvers.squares import SumOfSquares
from matjac.solvers.watch import ENDS, Callback, Stopped, Watch

FACES = ("operator", "csr", "dense")
SCIPY = ("trf", "dogbox", "lm")
METHODS = ("lbfgs", *SCIPY)
#: Unknowns and entries of a dense Jacobian up to which SciPy's methods with one are chosen.
SMALL, ENTRIES = 150, 100_000
#: Entries a column up to which SciPy's "trf" is chosen: along a chain of equations Gauss–Newton steps go all at once,
#: and L-BFGS may end in a valley (Broyden's tridiagonal function of 1,000 unknowns).
FEW = 10
#: How those stop unless told otherwise: they are cheap, and SciPy's own limits leave 20 of NIST's 54 fits with less
#: than 6 digits. These, with "trf", leave none.
DENSE = {"ftol": None, "xtol": 1e-10, "gtol": 1e-15, "max_nfev": 5000}
#: What `lbfgs` takes of SciPy's options.
OPTIONS = {"loss": "linear", "f_scale": 1.0, "ftol": 1e-8, "xtol": 1e-10, "gtol": 1e-8, "max_nfev": None}


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

    "lbfgs" is limited-memory BFGS, without bounds in the metric of the diagonal blocks of JᵀJ, which the terms of a
    Jacobian give without it: one value and one gradient a step, and no matrix of J's size. The other methods are
    SciPy's; what they lack for matrices is here: packing, scales that need no matrix, a report of each step. All end
    with the last good point where a value is not finite or the time is over.

    Parameters
    ----------
    F : Compiled, Function or callable
        The residuals, an array of any shape; a plain function is compiled.
    *start : array_like
        One for each variable.
    method : {"lbfgs", "trf", "dogbox", "lm"}, optional
        Unless given: "trf" where an argument of SciPy's alone is given (`jac`, `x_scale`, ``tr_options``, …); "trf"
        with a dense Jacobian where that is small, run until the unknowns have ten digits, and "trf" where J has no
        more than ten entries a column; else "lbfgs". The result's ``method`` says which it was.
    eliminate : str or False, optional
        The name of an unknown in which the residuals are linear, given the others: "lbfgs" then minimises over the
        others, and solves for it at each point, exactly and between its bounds (variable projection). Its rows or
        columns are solved for one by one where each residual reaches one of them (U or V of UVᵀ with gaps, weights or
        ridges), else all together. Unless given, such an unknown is found from what was recorded of F, where its rows
        or columns have at most 64 entries and the loss is linear; False is none. The result's ``eliminated`` says
        which.
    jac : {"operator", "csr", "dense"}, optional
        The Jacobian's face for SciPy's methods: matrix-free products, a sparse matrix, fresh values on one pattern, or
        a dense one. A dense one for "lm", an operator for others, unless given.
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
        Of SciPy's ``least_squares``. "lbfgs" takes ``loss``, ``f_scale``, ``max_nfev``, and ``ftol``, ``xtol`` and
        ``gtol``: it stops where ten steps together reduce the cost by less than ftol of it, where a step is shorter
        than xtol of x, or where the residuals are orthogonal, up to gtol, to what J reaches.

    Returns
    -------
    scipy.optimize.OptimizeResult
        A `Fit`: SciPy's, with ``variables``, the arrays, ``method``, ``nit`` and ``seconds``; from "lbfgs" without
        ``jac``.
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
    watch.why = "as asked"
    if method is None:
        scipys = jac is not None or x_scale is not None or not options.keys() <= OPTIONS.keys()
        asked = eliminate not in (None, False)
        small = not (scipys or asked) and _small(F, x0)
        method = "trf" if scipys or small or not (asked or not _few(F, x0)) else "lbfgs"
        if small:
            jac, options = "dense", DENSE | options
        reasons = "an argument of SciPy's", "a dense J is small", "J has few entries a column", "J is large"
        watch.why = reasons[0 if scipys else 1 if small else 2 if method == "trf" else 3]
    if checks.one_of("method", method, METHODS) in SCIPY:
        if eliminate not in (None, False):
            raise ValueError(f"eliminate: got {eliminate!r} for {method}, expected it for lbfgs alone")
        # arrays, for SciPy spreads numbers slowly
        given = {"method": method, "bounds": (low, high), **options}
        return _scipy(F, watch, x0, jac or "operator", "jac" if x_scale is None else x_scale, given)
    for name, value in (("jac", jac), ("x_scale", x_scale)):
        if value is not None:
            raise ValueError(f"{name}: got {value!r} for lbfgs, which takes none")
    unknown = sorted(options.keys() - OPTIONS.keys())
    if unknown:
        raise TypeError(f"{unknown[0]}: got an option that lbfgs does not take, expected one of {', '.join(OPTIONS)}")
    return _lbfgs(F, watch, x0, (low, high), eliminate, OPTIONS | options)


def _small(F: Flat, x0: Array) -> bool:
    """Whether a dense Jacobian is nothing to speak of."""
    return x0.size <= SMALL and np.size(F.fun(x0)) * x0.size <= ENTRIES


def _few(F: Flat, x0: Array) -> bool:
    """Whether the Jacobian has few entries a column."""
    return F.jac(x0).nnz <= FEW * x0.size


def _lbfgs(
    F: Flat, watch: Watch, x0: Array, bounds: tuple[Array, Array], eliminate: Any, options: dict[str, Any]
) -> Any:
    """By L-BFGS, of all unknowns or of all but one."""
    loss = Loss(options["loss"], options["f_scale"])
    ftol, xtol, gtol = (_tolerance(name, options[name], 0.0) for name in ("ftol", "xtol", "gtol"))
    tolerances = Tolerances(ftol, xtol, gtol, _tolerance("max_nfev", options["max_nfev"], np.inf))
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
        message=end.message,
        success=end.status > 0,
        **found,
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
