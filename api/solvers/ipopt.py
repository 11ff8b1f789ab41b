"""Ipopt: problems whose variables are matrices, for `ipyopt` and for `cyipopt`."""

import importlib.util
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import OptimizeResult

from matjac import checks
from matjac.conventions import Array
from matjac.extras import optional
from matjac.flat import Flat
from matjac.solvers import arguments
from matjac.solvers.blas import solver
from matjac.solvers.fit import Fit
from matjac.solvers.hessians import MANY, LagrangianHessian
from matjac.solvers.watch import Callback, Stopped, Watch

#: What counts as no bound.
INFINITY = 2e19
BACKENDS = ("ipyopt", "cyipopt")
HESSIANS = ("exact", "gauss-newton", "limited-memory")
MESSAGES = {
    0: "Ipopt: solved",
    1: "Ipopt: solved to an acceptable level",
    2: "Ipopt: the problem may be infeasible",
    3: "Ipopt: the search direction became too small",
    4: "Ipopt: the iterates diverge",
    5: "Ipopt: stopped by the user",
    6: "Ipopt: a feasible point was found",
    -1: "Ipopt: the maximum number of iterations was reached",
    -2: "Ipopt: restoration failed",
    -3: "Ipopt: a step could not be computed",
    -4: "Ipopt: the maximum CPU time was reached",
    -10: "Ipopt: there are fewer variables than equality constraints",
    -12: "Ipopt: an option is not valid",
    -13: "Ipopt: a number is not finite",
}


class IpoptProblem:
    """min F subject to lower ≤ G ≤ upper and bounds, as Ipopt's two Python interfaces call it.

    The pattern of G's Jacobian is fixed: `jacobianstructure` gives it once, and values are filled into Ipopt's buffer.
    What a callback raises is kept in ``error``, for Ipopt's may not raise; values are NaN from then on. For ``cyipopt``
    it has ``objective``, ``gradient``, ``constraints``, ``jacobianstructure``, ``jacobian`` and ``intermediate``; for
    ``ipyopt``, ``eval_f``, ``eval_grad_f``, ``eval_g`` and ``eval_jac_g``. Where the Hessian is asked for it has
    ``hessianstructure`` and ``hessian``, or ``eval_h``: the lower triangle of the Lagrangian's.

    Parameters
    ----------
    F : Compiled or Function
        The objective, one number.
    constraints : sequence of (G, lower, upper), optional
        Functions of the same variables; bounds are numbers or arrays of the shape of G's value.
    start : tuple of array_like
        Where patterns are found.
    hessian : {"exact", "gauss-newton", "limited-memory"}, optional
        See `ipopt`.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> F = mj.compile(lambda R: np.sum(R), (3, 2))
    >>> half = np.triu_indices(2)
    >>> G = mj.compile(lambda R: (R.T @ R)[half], (3, 2))
    >>> problem = mj.solvers.IpoptProblem(F, [(G, np.eye(2)[half], np.eye(2)[half])], (np.ones((3, 2)),))
    >>> rows, columns = problem.jacobianstructure()
    >>> out = np.empty(rows.size)
    >>> problem.eval_jac_g(np.ones(6), out)
    >>> out[rows == 0]
    array([2., 2., 2.])
    """

    def __init__(
        self,
        F: Any,
        constraints: Sequence[Any],
        start: Sequence[Any],
        progress: Callback | None = None,
        seconds: float | None = None,
        hessian: str | None = None,
    ) -> None:
        self.F = arguments.scalar(F, start)
        self.watch = Watch(self.F, progress, seconds)
        self.x0 = arguments.start(self.F, start)
        #: what was raised in a callback, once: Ipopt's may not raise, so all are not a number from then on
        self.error: BaseException | None = None
        #: each constraint, and its Jacobian, which is refilled
        self.parts: list[tuple[Flat, Any]] = []
        lower, upper, rows, columns = [], [], [], []
        top = 0
        for G, low, high in arguments.constraints(self.F, constraints, self.x0):
            matrix = G.jac_csr(self.x0)
            self.parts.append((G, matrix))
            lower.append(low)
            upper.append(high)
            i, j = matrix.tocoo().coords
            rows.append(i.astype(np.int64) + top)
            columns.append(j.astype(np.int64))
            top += low.size
        self.lower, self.upper = (np.clip(_joined(b, float), -INFINITY, INFINITY) for b in (lower, upper))
        self._rows, self._columns = _joined(rows, np.int64), _joined(columns, np.int64)
        self.iterate, self.iterations = np.array(self.x0), 0
        if hessian is not None:
            checks.one_of("hessian", hessian, HESSIANS)
        self.curvature: LagrangianHessian | None = None
        try:
            self.curvature = self._curvature(hessian)
        except np.linalg.LinAlgError as error:
            # a singular matrix at the start is no good point to start from
            self.error = error

    def __repr__(self) -> str:
        return f"<IpoptProblem of {self.F.variables}: {self.lower.size} constraints>"

    def _curvature(self, hessian: str | None) -> LagrangianHessian | None:
        """The Hessian of the Lagrangian; None is for Ipopt to approximate."""
        functions = [self.F, *(G for G, _ in self.parts)]
        if hessian == "limited-memory" or (hessian is None and not all(G.has_hessian for G in functions)):
            return None
        made = LagrangianHessian(self.F, functions[1:], self.x0, hessian or "exact")
        # a size that no one asked for must fit
        return made if hessian is not None or made.count <= MANY else None

    # cyipopt ------------------------------------------------------------------------------------------

    def objective(self, x: Array) -> float:
        """F at x."""

        def value() -> float:
            y = arguments.number(self.F.fun(x))
            self.watch.evaluated("objective", x, np.asarray(y))
            self.iterate = np.array(x)
            return y

        return float(self._safely(value))

    def gradient(self, x: Array) -> Array:
        """The gradient of F at x."""
        out = np.empty(self.x0.size)
        self.eval_grad_f(x, out)
        return out

    def constraints(self, x: Array) -> Array:
        """G at x."""
        out = np.empty(self.lower.size)
        self.eval_g(x, out)
        return out

    def jacobianstructure(self) -> tuple[Array, Array]:
        """Row and column of each entry of the constraints' Jacobian."""
        return self._rows, self._columns

    def jacobian(self, x: Array) -> Array:
        """Their values, in that order."""
        out = np.empty(self._rows.size)
        self.eval_jac_g(x, out)
        return out

    def hessianstructure(self) -> tuple[Array, Array]:
        """Row and column of each entry of the lower triangle of the Lagrangian's Hessian."""
        if self.curvature is None:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        return self.curvature.places

    def hessian(self, x: Array, multipliers: Array, factor: float) -> Array:
        """Their values, in that order."""
        out = np.empty(self.hessianstructure()[0].size)
        self.eval_h(x, multipliers, factor, out)
        return out

    def intermediate(self, *state: Any) -> bool:
        """Called by Ipopt at each iteration; False stops it."""
        self.iterations = int(state[1])
        if self.error is None:
            self._safely(lambda: self.watch.went(self.iterate, float(state[2])))
        return self.error is None

    # ipyopt -------------------------------------------------------------------------------------------

    def eval_f(self, x: Array) -> float:
        """F at x."""
        return self.objective(x)

    def eval_grad_f(self, x: Array, out: Array) -> None:
        """The gradient of F, into `out`."""

        def value() -> Array:
            slope: Array = self.F.grad(x)
            self.watch.derived("gradient", x, slope)
            return slope

        out[:] = self._safely(value)

    def eval_g(self, x: Array, out: Array) -> None:
        """G, into `out`."""

        def value() -> Array:
            y = _joined([G.values(x) for G, _ in self.parts], float)
            self.watch.evaluated("constraints", x, y)
            return y

        out[:] = self._safely(value)

    def eval_jac_g(self, x: Array, out: Array) -> None:
        """The values of the constraints' Jacobian, filled into `out`."""

        def fill() -> Array:
            at = 0
            for G, matrix in self.parts:
                # refused where the pattern is another
                out[at : at + matrix.nnz] = G.jac_csr(x, out=matrix).data
                at += matrix.nnz
            self.watch.derived("constraints' Jacobian", x, out)
            return out

        if self._safely(fill) is not out:
            out[:] = np.nan

    def eval_h(self, x: Array, multipliers: Array, factor: float, out: Array) -> None:
        """The values of the lower triangle of the Lagrangian's Hessian, filled into `out`."""
        curvature = self.curvature
        assert curvature is not None

        def fill() -> Array:
            curvature.fill(x, factor, multipliers, out)
            self.watch.derived("Hessian", x, out)
            return out

        if self._safely(fill) is not out:
            out[:] = np.nan

    def _safely(self, task: Callable[[], Any]) -> Any:
        """The task's result; not a number where it raised, or another did before."""
        if self.error is None:
            try:
                return task()
            except BaseException as error:  # Ctrl-C too: Ipopt's own callbacks would lose it
                self.error = error
        return np.nan


@solver
def ipopt(
    F: arguments.Callee,
    *start: npt.ArrayLike,
    constraints: Sequence[Any] = (),
    bounds: Any = None,
    hessian: Literal["exact", "gauss-newton", "limited-memory"] | None = None,
    backend: Literal["ipyopt", "cyipopt"] | None = None,
    progress: Callback | None = None,
    seconds: float | None = None,
    options: dict[str, Any] | None = None,
) -> Fit:
    """Minimise a scalar function of matrices subject to constraints, by Ipopt.

    Parameters
    ----------
    F : Compiled, Function or callable
        The objective, one number; a plain function is compiled.
    *start : array_like
        One for each variable.
    constraints : sequence of (G, lower, upper), optional
        See `IpoptProblem`; a plain G is compiled. Of a symmetric matrix constrain one half, as in `minimize`.
    bounds : tuple, optional
        Lower and upper bounds, as in `least_squares`.
    hessian : {"exact", "gauss-newton", "limited-memory"}, optional
        The Hessian of the Lagrangian; of an objective that is a sum of squares its part 2 JᵀJ, without the
        constraints'; or Ipopt's approximation from gradients. "exact" unless given, where all functions have second
        derivatives and their lower triangles at most 10⁷ entries.
    backend : {"ipyopt", "cyipopt"}, optional
        The package: ``pip install matjac[ipopt]`` gets ipyopt, whose wheel bundles Ipopt. Whichever is installed,
        unless given.
    progress, seconds
        As in `least_squares`.
    options : dict, optional
        Ipopt's own, save ``hessian_approximation``, for which there is `hessian`. Unknown ones are refused.

    Returns
    -------
    Fit
        ``x``, ``variables``, ``fun``, ``status`` (Ipopt's), ``message``, ``success``, ``nit``, ``nfev``, ``njev``,
        ``seconds``, and:

        - ``constr_violation``, by how much the worst constraint or bound is missed;
        - ``multipliers``, λ of the Lagrangian ``F + Σ λ ∘ G``, for each constraint an array of the shape of G's value;
        - ``bound_multipliers``, those of the lower and of the upper bounds, not negative, each a tuple of an array for
          each variable;
        - ``optimality``, the largest entry of the gradient of ``F + Σ λ ∘ G − z_lower ∘ X + z_upper ∘ X``.

        Stopped as in `least_squares`, without these four.

    Raises
    ------
    ImportError
        Where neither package is installed.
    TypeError, ValueError
        Where an argument is not as described.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> F = mj.compile(lambda x: np.sum((x - 3.0) ** 2), (2,))
    >>> G = mj.compile(lambda x: x @ x, (2,))
    >>> fit = mj.solvers.ipopt(F, np.ones(2), constraints=[(G, 0.0, 2.0)])
    >>> np.allclose(fit.x, 1.0)
    True
    """
    if "hessian_approximation" in (options or {}):
        raise TypeError("options: got hessian_approximation, which the argument hessian sets")
    problem = IpoptProblem(F, constraints, start, progress, seconds, hessian)
    x0 = problem.x0
    low, high = (np.clip(bound, -INFINITY, INFINITY) for bound in arguments.bounds(problem.F, bounds))
    approximation = "limited-memory" if problem.curvature is None else "exact"
    settings = {"hessian_approximation": approximation, "print_level": 0, "sb": "yes", **(options or {})}
    part = "limited-memory" if problem.curvature is None else problem.curvature.part
    problem.watch.why = f"{part} Hessian"
    run = {"ipyopt": _ipyopt, "cyipopt": _cyipopt}[_backend(backend)]
    problem.objective(x0)
    if problem.error is None:
        end = run(problem, low, high, settings)
    if isinstance(problem.error, Stopped | np.linalg.LinAlgError):
        return problem.watch.stopped(problem.error, x0, fun=problem.watch.value, method="Ipopt")
    if problem.error is not None:
        raise problem.error
    watch = problem.watch
    result = OptimizeResult(
        x=end.x,
        fun=end.value,
        status=end.status,
        message=MESSAGES.get(end.status, f"Ipopt: status {end.status}"),
        success=end.status in (0, 1),
        nit=problem.iterations,
        nfev=watch.evaluations,
        njev=watch.derivatives,
        method="Ipopt",
    )
    result.update(_conditions(problem, end, low, high))
    return watch.finish(result)


class _End(NamedTuple):
    """Where Ipopt ended, and its multipliers of the constraints, and of the lower and upper bounds."""

    x: Array
    value: float
    status: int
    of_constraints: Array
    of_lower: Array
    of_upper: Array


def _conditions(problem: IpoptProblem, end: _End, low: Array, high: Array) -> dict[str, Any]:
    """How well the conditions of a minimum hold, and by which multipliers."""
    F, x, at = problem.F, end.x, 0
    slope = F.grad(x) - end.of_lower + end.of_upper
    missed, multipliers = [low - x, x - high], []
    for G, _ in problem.parts:
        value = G(*F.unpack(x))
        part, flat = slice(at, at + value.size), value.reshape(-1, order=G.order)
        at += value.size
        mine = end.of_constraints[part]
        slope = slope + G.grad(x, mine)
        missed += [problem.lower[part] - flat, flat - problem.upper[part]]
        multipliers.append(mine.reshape(value.shape, order=G.order))
    return {
        "constr_violation": max(0.0, *(float(m.max(initial=0.0)) for m in missed)),
        "multipliers": multipliers,
        "bound_multipliers": (F.variables.split(end.of_lower), F.variables.split(end.of_upper)),
        "optimality": float(np.abs(slope).max(initial=0.0)),
    }


def _backend(name: str | None) -> str:
    if name is not None:
        return checks.one_of("backend", name, BACKENDS)
    return next((found for found in BACKENDS if importlib.util.find_spec(found)), "ipyopt")


def _ipyopt(problem: IpoptProblem, low: Array, high: Array, settings: dict[str, Any]) -> _End:
    package = optional("ipyopt", "matjac[ipopt]")
    second = None if problem.curvature is None else problem.eval_h
    made = package.Problem(
        *(problem.x0.size, low, high, problem.lower.size, problem.lower, problem.upper),
        *(problem.jacobianstructure(), problem.hessianstructure()),
        *(problem.eval_f, problem.eval_grad_f, problem.eval_g, problem.eval_jac_g, second),
        intermediate_callback=problem.intermediate,
        ipopt_options=settings,
    )
    found = [np.zeros(problem.lower.size), np.zeros(problem.x0.size), np.zeros(problem.x0.size)]
    x, value, status = made.solve(
        np.array(problem.x0), **dict(zip(("mult_g", "mult_x_L", "mult_x_U"), found, strict=True))
    )
    return _End(x, float(value), int(status), *found)


def _cyipopt(problem: IpoptProblem, low: Array, high: Array, settings: dict[str, Any]) -> _End:
    package = optional("cyipopt", "cyipopt")
    made = package.Problem(
        n=problem.x0.size,
        m=problem.lower.size,
        problem_obj=problem,
        lb=low,
        ub=high,
        cl=problem.lower,
        cu=problem.upper,
    )
    for name, value in settings.items():
        made.add_option(name, value)
    x, info = made.solve(np.array(problem.x0))
    found = (np.array(info[name]) for name in ("mult_g", "mult_x_L", "mult_x_U"))
    return _End(x, float(info["obj_val"]), int(info["status"]), *found)


def _joined(arrays: Sequence[Array], dtype: Any) -> Array:
    joined: Array = np.concatenate([*arrays, np.empty(0, dtype)])
    return joined
