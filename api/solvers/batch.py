"""Many small least-squares problems at once: Levenberg–Marquardt on a stack, one compiled function for all of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from matjac import checks, kernels
from matjac.conventions import Array, Shape
from matjac.flat import Flat
from matjac.maps.separable import CoupledError, Layout, Separable
from matjac.solvers import arguments
from matjac.solvers.blockwise import BlockCholesky
from matjac.solvers.watch import ENDS, STOPPED, Callback, Stopped, Watch
from matjac.threads import split
from matjac.tracing.compiled import Compiled

#: How far a problem's damping may grow above the scale of its normal matrix: then no step is left that is one.
LARGEST = 1e16
#: What it does not fall below: a normal matrix of less than full rank has a Cholesky factor still.
SMALLEST = 1e-13
MESSAGES = {
    STOPPED: "values or derivatives are not finite",
    0: "the maximum number of steps was made",
    1: "the gradient is small (gtol)",
    2: "the cost changes little (ftol)",
    3: "the steps are small (xtol)",
    4: "the cost changes little and the steps are small (ftol and xtol)",
}


def batch_least_squares(
    F: Any,
    *start: Any,
    batch: int = 1,
    bounds: Any = None,
    ftol: float = 1e-8,
    xtol: float = 1e-8,
    gtol: float = 1e-8,
    max_nit: int = 200,
    progress: Callback | None = None,
    seconds: float | None = None,
) -> OptimizeResult:
    """Minimise ½‖F_b‖² for each problem b of a stack, all at once.

    One call evaluates all problems, and each has a damping, an acceptance and an end of its own (Levenberg–Marquardt,
    scaled by the normal matrix's diagonal). What is done stays where it is, and a value that is not finite
    stops that problem alone.

    Parameters
    ----------
    F : Compiled or Function
        The residuals of all problems: the first axes of its value, and of each variable, count them, and those of a
        problem depend on its own unknowns alone.
    *start : array_like
        One for each variable, for all problems.
    batch : int, optional
        How many axes count problems.
    bounds : tuple, optional
        As in `least_squares`. Unknowns at a bound are held while the cost falls only beyond it.
    ftol, xtol, gtol : float, optional
        A problem is done where its cost changes by less than ``ftol`` of it, a step is shorter than
        ``xtol * (xtol + ‖x‖)``, or no entry of its gradient (within the bounds) is larger than ``gtol``.
    max_nit : int, optional
        The most steps of a problem.
    progress : callable, optional
        Called with a `Progress` at each step, whose value is the sum of the costs; to return True stops all.
    seconds : float, optional
        Time after which all stop.

    Returns
    -------
    scipy.optimize.OptimizeResult
        With ``variables``, ``x``, ``fun``, ``nit``, ``nfev``, ``njev``, ``seconds``, ``message``; and in arrays of the
        batch's shape ``cost``, ``optimality``, ``converged`` and ``statuses`` (as SciPy's ``status``: 0 for too many
        steps, 1 gtol, 2 ftol, 3 xtol, 4 both; -9 where something is not finite). ``status`` is the least of them, and
        ``success`` says whether all have converged.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as described, or problems depend on one another.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> from matjac.solvers.batch import batch_least_squares
    >>> K = np.array([[[2.0, 1.0], [1.0, 2.0]], [[5.0, 2.0], [2.0, 1.0]]])
    >>> F = mj.compile(lambda R: R.mT @ R - K, (2, 2, 2))
    >>> fit = batch_least_squares(F, np.stack([np.eye(2), np.eye(2)]))
    >>> (R,) = fit.variables
    >>> fit.success, np.allclose(R.mT @ R, K, atol=1e-4)
    (True, True)
    """
    F = arguments.flat(F)
    tolerances = [_tolerance(*pair) for pair in (("ftol", ftol), ("xtol", xtol), ("gtol", gtol))]
    steps = checks.count("max_nit", max_nit)
    watch, x0 = Watch(F, progress, seconds), arguments.start(F, start)
    low, high = arguments.bounds(F, bounds)
    arguments.within(F, x0, low, high)
    problems = _Problems(F, x0, checks.count("batch", batch))
    edges = None if bounds is None else (low[problems.layout.columns], high[problems.layout.columns])
    run = _Run(problems, watch, edges, tolerances)
    try:
        run.solve(steps)
    except ENDS as why:
        return run.result(why)
    return run.result(None)


def _tolerance(name: str, value: Any) -> float:
    number = float(checks.array(name, value, 0))
    if not 0 <= number < np.inf:
        raise ValueError(f"{name}: got {value}, expected a number that is not negative")
    return number


class _Problems:
    """A function's values and Jacobian with an axis for problems, in arrays of their own."""

    def __init__(self, F: Flat, x0: Array, axes: int) -> None:
        self.F = F
        value, self.first = self._evaluated(x0)
        arguments.real(value)
        of = zip(("F's value", *F.variables.names), (value.shape, *F.variables.shapes), strict=True)
        for name, shape in of:
            if axes == 0 or len(shape) < axes or shape[:axes] != value.shape[:axes]:
                expected = f"the same first {axes} of all, which count the problems" if axes else "one axis or more"
                raise ValueError(f"batch: got {axes} axes and {name} of shape {shape}, expected {expected}")
        self.batch: Shape = value.shape[:axes]
        self.layout = Layout(F.variables.shapes, value.shape, axes, F.order)
        self.start, self.residuals = x0[self.layout.columns], self._split(value)
        self._plan: Any = None
        self._separable = self._of(self.first)

    def _evaluated(self, x: Array) -> tuple[Array, Any]:
        arrays = self.F.unpack(x)
        # one problem's overflow is no other's trouble
        with np.errstate(all="ignore"):
            if isinstance(self.F, Compiled):
                return self.F.value_and_jacobian(*arrays)
            return self.F(*arrays), self.F.jacobian(*arrays)

    def _split(self, value: Array) -> Array:
        return np.ascontiguousarray(value.reshape(-1, order=self.F.order)[self.layout.rows], float)

    def value(self, X: Array) -> tuple[Array, Any]:
        """The residuals (problems, residuals), and what `blocks` takes."""
        value, J = self._evaluated(self.flat(X))
        return self._split(value), J

    def blocks(self, J: Any, out: Array | None) -> Array:
        """The transposed Jacobians of all problems."""
        separable, point = self._of(J), J._point
        if out is None or out.dtype != point.dtype:
            out = np.zeros(separable.shape, point.dtype)
        with np.errstate(all="ignore"):
            separable.fill(point, out)
        return out

    def flat(self, X: Array) -> Array:
        """The flat vector of all problems' unknowns."""
        x = np.empty(X.size)
        x[self.layout.columns] = X
        return x

    def _of(self, J: Any) -> Separable:
        plan = J._point.plan
        if plan is not self._plan:
            try:
                self._separable = plan.derived(("separable", len(self.batch)), Separable, plan, self.layout)
            except CoupledError as pair:
                raise self._coupled(pair) from None
            self._plan = plan
        return self._separable

    def _coupled(self, pair: CoupledError) -> ValueError:
        by_row, by_column = (
            int(np.argwhere(numbers == k)[0, 0])
            for numbers, k in ((self.layout.rows, pair.row), (self.layout.columns, pair.column))
        )
        return ValueError(
            f"F: got residuals of problem {by_row} that depend on {self.F.variables.entry(pair.column)}, of problem "
            f"{by_column}, expected problems with nothing in common"
        )


class _Run:
    """The state of all problems: points, residuals, normal equations, dampings."""

    def __init__(self, problems: _Problems, watch: Watch, bounds: Any, tolerances: Sequence[float]) -> None:
        self.problems, self.watch, self.bounds = problems, watch, bounds
        self.ftol, self.xtol, self.gtol = tolerances
        self.X, self.Y = problems.start.copy(), problems.residuals
        count, unknowns = self.X.shape
        self.cost = _half_squares(self.Y)
        #: the lower triangles of JᵀJ, and Jᵀ residuals
        self.A, self.g = np.zeros((count, unknowns, unknowns)), np.zeros((count, unknowns))
        self.optimality = np.full(count, np.nan)
        self.status, self.going = np.zeros(count, np.int64), np.ones(count, bool)
        #: the largest diagonals of JᵀJ so far, by which the damping is scaled
        self.scale = np.zeros((count, unknowns))
        self.damping, self.growth = np.full(count, 1e-3), np.full(count, 2.0)
        self.nit = 0
        self._blocks: Array | None = None
        self._factors = BlockCholesky()

    def solve(self, steps: int) -> None:
        """Step until all problems are done."""
        self._evaluated(self.X, self.cost)
        self._end(~np.isfinite(self.cost), STOPPED)
        self._linearise(self.problems.first, self.going.copy())
        self._went()
        while self.going.any() and self.nit < steps:
            self.nit += 1
            self._step()

    def _evaluated(self, X: Array, cost: Array) -> None:
        # what is not finite ends one problem, and not the run
        self.watch.evaluated("residuals", self.problems.flat(X), cost[np.isfinite(cost)])

    def _went(self) -> None:
        self.watch.went(self.problems.flat(self.X), float(self.cost[np.isfinite(self.cost)].sum()))

    def _end(self, which: Array, status: int) -> None:
        which = which & self.going
        self.status[which] = status
        self.going &= ~which

    def _linearise(self, J: Any, which: Array) -> None:
        """Make the normal equations of those problems, and see which are done."""
        self._blocks = blocks = self.problems.blocks(J, self._blocks)
        self.watch.derivatives += 1
        Y, A, g = self.Y.astype(blocks.dtype, copy=False), self.A, self.g

        def task(start: int, stop: int) -> None:
            kernels.normal_equations(blocks, Y, which, A, g, start, stop)

        split(task, 0, which.size, 2 * blocks.size)
        diagonal = np.einsum("bii->bi", A)
        finite = np.isfinite(g).all(axis=1) & np.isfinite(diagonal).all(axis=1)
        self._end(which & ~finite, STOPPED)
        np.maximum(self.scale, diagonal, out=self.scale, where=finite[:, None])
        gradient = g if self.bounds is None else np.clip(self.X - g, *self.bounds) - self.X
        self.optimality[which] = np.abs(gradient).max(axis=1, initial=0.0)[which]
        self._end(which & (self.optimality <= self.gtol), 1)

    def _step(self) -> None:
        """One step of all problems that go on."""
        p, predicted = self._direction(self.damping[:, None] * np.where(self.scale > 0, self.scale, 1.0))
        trial = self.X + p
        values, J = self.problems.value(trial)
        cost = _half_squares(values)
        self._evaluated(trial, cost)
        solved, finite = ~np.isnan(predicted), np.isfinite(cost)
        with np.errstate(all="ignore"):
            drop = self.cost - cost
            ratio = drop / predicted
            accepted = self.going & (predicted > 0) & (ratio > 1e-4)
            # as MINPACK ends: also where rounding decides which cost is the less
            level = (np.abs(drop) <= self.ftol * self.cost) & (predicted <= self.ftol * self.cost)
        short = finite & solved & (_norms(p) < self.xtol * (self.xtol + _norms(self.X)))
        self._damp(accepted, ratio)
        self.X[accepted], self.Y[accepted], self.cost[accepted] = trial[accepted], values[accepted], cost[accepted]
        self._end(level & short, 4)
        self._end(level, 2)
        self._end(short, 3)
        if accepted.any():
            # of those that are done too, for their gradient is told
            self._linearise(J, accepted)
            self._went()
        self._end(self.damping > LARGEST, STOPPED)

    def _damp(self, accepted: Array, ratio: Array) -> None:
        """Nielsen's rule, but for a faster fall where the model is good."""
        with np.errstate(all="ignore"):
            fall = np.where(ratio > 0.75, 0.1, np.clip(1 - (2 * ratio - 1) ** 3, 1 / 3, 2.0))
            self.damping = np.where(accepted, np.maximum(self.damping * fall, SMALLEST), self.damping * self.growth)
        self.growth = np.where(accepted, 2.0, 2 * self.growth)

    def _direction(self, shift: Array) -> tuple[Array, Array]:
        """The damped steps, within the bounds, and by how much the cost falls if the model is right; NaN for failures.

        What is at a bound, and would go beyond it, is held: steps of the others are solved for, and clipped.
        """
        held = np.zeros(0, bool)
        A, g = self.A, self.g
        if self.bounds is not None:
            low, high = self.bounds
            held = ((low >= self.X) & (g > 0)) | ((high <= self.X) & (g < 0))
            A = A * ~(held[:, :, None] | held[:, None, :])
            np.einsum("bii->bi", A)[held] = 1
            g = np.where(held, 0, g)
        p = -self._factors.factor(A, shift).solve(g)
        failed = self._factors.failed != 0
        p[failed | ~self.going] = 0
        if self.bounds is None:
            # of (A + D) p = −g
            with np.errstate(invalid="ignore"):
                predicted = 0.5 * np.einsum("bi,bi->b", p, shift * p - g)
        else:
            p = np.clip(self.X + p, low, high) - self.X
            whole = self.A + np.tril(self.A, -1).mT
            predicted = -np.einsum("bi,bi->b", p, self.g) - 0.5 * np.einsum("bi,bij,bj->b", p, whole, p)
        predicted[failed] = np.nan
        return p, predicted

    def result(self, why: Exception | None) -> OptimizeResult:
        """What came of all problems; `why` it was stopped before they were done."""
        problems, watch = self.problems, self.watch
        if why is not None and not isinstance(why, Stopped):
            # another error than a solver's is raised again
            why = Stopped(watch.stopped(why, problems.flat(self.X)).message)
        residuals = np.empty(self.Y.size)
        residuals[problems.layout.rows] = self.Y
        converged = self.status > 0
        counts = [(int(np.count_nonzero(self.status == k)), text) for k, text in MESSAGES.items()]
        told = "; ".join(f"{count} of {self.status.size} problems: {text}" for count, text in counts if count)
        result = OptimizeResult(
            x=problems.flat(self.X),
            fun=residuals,
            success=bool(converged.all()) and why is None,
            status=STOPPED if why is not None else int(self.status.min(initial=1)),
            message=told if why is None else f"{why}. {told}",
            nit=self.nit,
            nfev=watch.evaluations,
            njev=watch.derivatives,
        )
        arrays = {"cost": self.cost, "optimality": self.optimality, "statuses": self.status, "converged": converged}
        result.update({name: array.reshape(problems.batch) for name, array in arrays.items()})
        return watch.finish(result)


def _half_squares(Y: Array) -> Array:
    with np.errstate(all="ignore"):
        return 0.5 * np.einsum("bi,bi->b", Y, Y)  # type: ignore[no-any-return]


def _norms(X: Array) -> Array:
    return np.sqrt(np.einsum("bi,bi->b", X, X))  # type: ignore[no-any-return]
