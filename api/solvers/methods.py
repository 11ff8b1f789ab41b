"""The methods of `least_squares`: each from a checked problem to SciPy's result."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import optimize

from matjac import checks, unknowns
from matjac.conventions import Array
from matjac.flat import Flat, Variables
from matjac.solvers import arguments
from matjac.solvers.damped import Damped
from matjac.solvers.eliminate import Eliminated, Linear, Unknown
from matjac.solvers.fit import Fit
from matjac.solvers.gauss_newton import gauss_newton
from matjac.solvers.lbfgs import Ended, Tolerances, lbfgs
from matjac.solvers.losses import Loss
from matjac.solvers.projection import Projected
from matjac.solvers.squares import Linearised, SumOfSquares
from matjac.solvers.watch import ENDS, Callback, Stopped, Watch

#: What ours take of SciPy's options, and how they stop unless told otherwise. Steps of Gauss–Newton are few, and the
#: last ones bring digits that the cost no longer shows, which NIST's certified values are asked for.
OPTIONS = {"loss": "linear", "f_scale": 1.0, "ftol": 1e-8, "xtol": 1e-10, "gtol": 1e-8, "max_nfev": None}
NEWTON = {**OPTIONS, "ftol": None, "gtol": 1e-15}
#: Rounding, by which sums over ranks differ with their number, must not decide when those end.
SUMMED = {"ftol": 1e-10, "gtol": 1e-10}
#: Evaluations of Gauss–Newton, in all and for each unknown, the more of both: it may crawl.
EVALUATIONS = 5000, 100


@dataclass
class Problem:
    """A fit, checked: its function, where to start, and the flat bounds."""

    F: Flat
    watch: Watch
    x0: Array
    low: Array
    high: Array

    @property
    def start(self) -> dict[str, Array]:
        """Where to start, by the variables' names."""
        return self.F.variables.by_name(self.x0)

    def linear(self, unknown: Unknown) -> Linear:
        """The unknown that is eliminated, between its bounds."""
        low, high = (self.F.variables.by_name(edge)[unknown[0]] for edge in (self.low, self.high))
        return Linear(self.F, *unknown, low, high)

    def of(self, variables: Variables, x: Array) -> Array:
        """The part of a flat vector that is of those variables."""
        return variables.pack_named(self.F.variables.by_name(x))

    def without(self, unknown: Unknown) -> "Problem":
        """What is left when an unknown is eliminated from the residuals."""
        watch, projected = self.watch, Projected(self.linear(unknown), self.start)
        parts = (self.of(projected.variables, x) for x in (self.x0, self.low, self.high))
        inner = watch.of(projected, _of_all(watch.progress, projected))
        inner.why = watch.why
        return Problem(projected, inner, *parts)

    def of_all(self, rest: "Problem", fit: Fit) -> Fit:
        """The result of what was left, as one of all unknowns."""
        P: Any = rest.F
        fit.x, fit.unknowns, fit.eliminated = P.whole(fit.x), self.F.variables, P.linear.name
        fit.variables = self.F.unpack(fit.x)
        # what SciPy says of the others alone
        fit.pop("jac", None)
        known, fit.active_mask = fit.get("active_mask"), active(fit.x, self.low, self.high)
        if known is not None:
            for name, part in P.variables.places.items():
                fit.active_mask[self.F.variables.places[name]] = known[part]
        if fit.get("fun") is not None:
            fit.grad = self.slope(fit.x, fit.fun, rest.F.variables, fit.grad)
        return fit

    def slope(self, x: Array, y: Array, variables: Variables, gradient: Array) -> Array:
        """The gradient by all unknowns, where that by some of them is known."""
        mine: Array = np.ravel(self.F.jac(x).rmatvec(y))
        for name, place in variables.places.items():
            mine[self.F.variables.places[name]] = gradient[place]
        return mine


def _of_all(progress: Callback | None, projected: Projected) -> Callback | None:
    """A callback that is told of all unknowns."""
    if progress is None:
        return None
    return lambda at: progress(replace(at, x=projected.whole(at.x)))


def active(x: Array, low: Array, high: Array) -> Array:
    """Which entries are at a bound, as SciPy says it: −1 at the lower one, 1 at the upper one, else 0."""
    return np.where(x <= low, -1, np.where(x >= high, 1, 0))


def by_lbfgs(problem: Problem, unknown: Unknown | None, options: dict[str, Any]) -> Fit:
    """By L-BFGS, of all unknowns or of all but one."""
    options = OPTIONS | options
    F, watch = problem.F, problem.watch
    loss, tolerances = Loss(options["loss"], options["f_scale"]), _tolerances(options)
    objective: Any = SumOfSquares(F, watch, loss, problem.x0)
    edges = problem.low, problem.high
    if unknown is not None:
        objective = Eliminated(problem.linear(unknown), problem.start, watch)
        variables = objective.rest.variables
        edges = problem.of(variables, problem.low), problem.of(variables, problem.high)
    found = {"method": "lbfgs", "eliminated": unknown and unknown[0]}
    try:
        kept = watch.kept(objective.about)
        if kept is not None:
            objective.resume(kept[1])
            value, _ = objective.value_and_gradient(kept[0].x)
            watch.go_on(objective.whole(kept[0].x), value, kept[0].value)
        end = lbfgs(objective, objective.start, *edges, tolerances, kept and kept[0])
    except ENDS as why:
        return watch.stopped(why, problem.x0, cost=watch.value, **found)
    x = objective.whole(end.x)
    fun = F.values(x)
    gradient = end.gradient
    if unknown is not None:
        gradient = problem.slope(x, fun, objective.rest.variables, gradient)
    return _finish(problem, end, x, fun, gradient, message=end.message, **found)


def by_gauss_newton(problem: Problem, way: Damped, options: dict[str, Any]) -> Fit:
    """By Gauss–Newton."""
    options = NEWTON | options
    watch, x0 = problem.watch, problem.x0
    model = Linearised(problem.F, watch, Loss(options["loss"], options["f_scale"]), way)
    if options["max_nfev"] is None:
        options["max_nfev"] = max(EVALUATIONS[0], EVALUATIONS[1] * x0.size)
    tolerances = _tolerances(options)
    chosen = {"method": "gauss-newton", "linear_algebra": way.name}
    try:
        kept = watch.kept(model.about)
        if kept is not None:
            watch.go_on(kept[0].x, model.value(kept[0].x), kept[0].value)
        end = gauss_newton(model, x0, problem.low, problem.high, tolerances, kept and kept[0])
    except ENDS as why:
        return watch.stopped(why, x0, cost=watch.value, **chosen)
    message = f"{end.message} Linear algebra: {way.name}."
    return _finish(problem, end, end.x, model.residuals, end.gradient, message=message, **chosen)


def _finish(problem: Problem, end: Ended, x: Array, fun: Array, gradient: Array, **more: Any) -> Fit:
    """The result of a method of ours, at the point of all unknowns."""
    watch, inside = problem.watch, np.clip(x - gradient, problem.low, problem.high)
    result = optimize.OptimizeResult(
        x=x,
        cost=end.value,
        fun=fun,
        grad=gradient,
        optimality=watch.largest(float(np.abs(inside - x).max(initial=0.0))),
        active_mask=active(x, problem.low, problem.high),
        nfev=watch.evaluations,
        njev=watch.derivatives,
        nit=end.steps,
        status=end.status,
        success=end.status > 0,
        **more,
    )
    return watch.finish(result)


def _tolerances(options: dict[str, Any]) -> Tolerances:
    """When to stop."""
    ftol, xtol, gtol = (arguments.tolerance(name, options[name], 0.0) for name in ("ftol", "xtol", "gtol"))
    return Tolerances(ftol, xtol, gtol, arguments.tolerance("max_nfev", options["max_nfev"], np.inf))


def _slope(F: Flat, x: Array, options: dict[str, Any]) -> Array:
    """The gradient by all entries, those that are held too, of the loss that was asked for: SciPy's where it starts."""
    of_loss = {name: options[name] for name in ("loss", "f_scale") if name in options}
    slope: Array = optimize.least_squares(F.values, x, F.jac, max_nfev=1, **of_loss).grad
    return slope


def by_scipy(problem: Problem, method: str, jac: str, x_scale: Any, options: dict[str, Any]) -> Fit:
    """By a method of SciPy's."""
    F, watch, x0 = problem.F, problem.watch, problem.x0
    # SciPy refuses entries whose bounds are equal
    free = problem.low < problem.high
    chosen = None if free.all() else unknowns.free(free).jacobian(order=F.order)
    # arrays, for SciPy spreads numbers slowly
    options = {"method": method, "bounds": (problem.low[free], problem.high[free]), **options}
    # SciPy's inner solver for operators wants two unknowns
    dense = jac == "dense" or options["method"] == "lm" or np.count_nonzero(free) == 1
    last: tuple[Array, Array] | None = None

    def whole(part: Array) -> Array:
        x = problem.low.copy()
        x[free] = part
        return x

    def residual(part: Array) -> Array:
        nonlocal last
        x = whole(part)
        y = arguments.residual(watch.call(F.fun, x))
        watch.evaluated("residuals", x, 0.5 * float(y @ y), look=lambda: y)
        last = x, y
        return y

    def jacobian(part: Array) -> Any:
        x = whole(part)
        y = last[1] if last is not None and np.array_equal(last[0], x) else F.fun(x)
        if not np.isfinite(y).all():
            # MINPACK goes on from such points
            raise Stopped(watch.trouble)
        J = F.jac_csr(x) if jac == "csr" else F.jac(x)
        watch.derived("Jᵀ · residuals", x, J.T @ y)
        watch.went(x, 0.5 * float(y @ y))
        if chosen is not None:
            J = J[:, free] if jac == "csr" else J @ chosen
        return J.toarray() if dense else watch.timed(J)

    try:
        if isinstance(x_scale, str) and dense:
            # SciPy's own, which it renews at each step
            options["x_scale"] = checks.one_of("x_scale", x_scale, ("jac",))
        elif isinstance(x_scale, str):
            checks.one_of("x_scale", x_scale, ("jac",))
            J = F.jac(x0)
            watch.derived("Jᵀ · residuals", x0, J.T @ residual(x0[free]))
            norms = J.column_norms()[free]
            if not np.isfinite(norms).all():
                raise np.linalg.LinAlgError("the norms of J's columns are not finite")
            options["x_scale"] = 1 / np.where(norms > 0, norms, 1)
        else:
            options["x_scale"] = F.variables.spread("x_scale", x_scale)[free]
        result = optimize.least_squares(residual, x0[free], jacobian, **options)
    except ENDS as why:
        cost = {"cost": watch.value} if options.get("loss", "linear") == "linear" else {}
        return watch.stopped(why, x0, method=options["method"], **cost)
    result.method, result.x = options["method"], whole(result.x)
    if chosen is not None:
        held = np.where(free, 0, -1)
        held[free] = result.active_mask
        result.grad, result.active_mask = _slope(F, result.x, options), held
        J = F.jac(result.x)
        # SciPy's is by the entries that were free
        result.jac = J.toarray() if dense else J
    return watch.finish(result)
