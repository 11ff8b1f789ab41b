"""Many small least-squares problems at once: Levenberg–Marquardt on a stack, one compiled function for all of them."""

from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from matjac import checks
from matjac.conventions import Array
from matjac.solvers import arguments
from matjac.solvers.fit import Fit
from matjac.solvers.marquardt import FAILED, Fits, Rules
from matjac.solvers.separate import Problems
from matjac.solvers.watch import STOPPED, Callback, Stopped, Watch

#: What it takes of options.
OPTIONS = ("ftol", "xtol", "gtol", "max_nit")
#: Numbers of the Jacobian that are worked on at a time: with what else a step makes they fit a second-level cache.
ROOM = 1 << 16
#: Problems below which a step's time is that of its calls.
LEAST = 32
#: Where one in so many places is used, that many times fewer are gone on with.
SHRINK = 8
MESSAGES = {
    FAILED: "values or derivatives are not finite",
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
) -> Fit:
    """Minimise ½‖F_b‖² for each problem b of a stack, all at once.

    One call evaluates all problems, and each has a damping, an acceptance and an end of its own (Levenberg–Marquardt,
    scaled by the normal matrix's diagonal). What is done stays where it is, and a value that is not finite
    stops that problem alone.

    Parameters
    ----------
    F : Compiled, Function or callable
        The residuals of all problems: the first axes of its value, and of each variable, count them, and those of a
        problem depend on its own unknowns alone. A plain function is compiled.
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
    Fit
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
    >>> K = np.array([[[2.0, 1.0], [1.0, 2.0]], [[5.0, 2.0], [2.0, 1.0]]])
    >>> F = mj.compile(lambda R: R.mT @ R - K, (2, 2, 2))
    >>> fit = mj.solvers.least_squares(F, np.stack([np.eye(2), np.eye(2)]), batch=1)
    >>> (R,) = fit.variables
    >>> fit.success, np.allclose(R.mT @ R, K, atol=1e-4)
    (True, True)
    """
    F = arguments.flat(F)
    tolerance = arguments.tolerance
    ends = tolerance("ftol", ftol), tolerance("xtol", xtol), tolerance("gtol", gtol)
    rules = Rules(*ends, checks.count("max_nit", max_nit))
    watch, x0 = Watch(F, progress, seconds), arguments.start(F, start)
    low, high = arguments.bounds(F, bounds)
    arguments.within(F, x0, low, high)
    problems = Problems(F, x0, checks.count("batch", batch))
    edges = None if bounds is None else (low[problems.layout.columns], high[problems.layout.columns])
    run = _Run(problems, watch, rules, edges)
    # one problem's overflow is no other's trouble
    with np.errstate(all="ignore"):
        try:
            run.solve()
        except Stopped as why:
            return run.result(why)
        except np.linalg.LinAlgError as why:
            # of a stack it is not said which
            return run.result(Stopped(f"at evaluation {watch.evaluations + 1}: {why}"))
    return run.result(None)


class _Run:
    """All problems, of which some at a time are stepped on; who is done makes room for another."""

    def __init__(self, problems: Problems, watch: Watch, rules: Rules, bounds: Any) -> None:
        self.problems, self.watch, self.bounds = problems, watch, bounds
        count, unknowns, values = problems.count, problems.unknowns, problems.residuals
        self.X, self.Y = problems.start.copy(), np.full((count, values), np.nan)
        self.cost, self.optimality = np.full(count, np.nan), np.full(count, np.nan)
        self.status, self.steps, self.moves = (np.zeros(count, np.int64) for _ in range(3))
        size = max(LEAST, ROOM // max(unknowns * values, 1))
        self.model: Any = (problems.few(size) if count > size else None) or problems.all()
        self.fits = Fits(rules, self.model.count, unknowns, values)
        #: which problems are stepped on, and how many were begun
        self.which, self.begun = np.arange(self.model.count), 0

    def solve(self) -> None:
        """Step until all problems are done."""
        fits, watch = self.fits, self.watch
        if watch.progress is not None:
            value = np.ravel(self.problems.F.fun(self.problems.flat(self.X)))[self.problems.layout.rows]
            self.cost[:] = 0.5 * np.einsum("bi,bi->b", value, value)
        self._fill(np.arange(fits.count))
        while fits.going.any():
            fits.step(self.model, watch)
            if watch.progress is not None:
                self._store()
                watch.went(self.problems.flat(self.X), float(self.cost[np.isfinite(self.cost)].sum()))
            idle = np.flatnonzero(~fits.going)
            left = self.problems.count - self.begun
            if left and 4 * idle.size >= fits.count:
                self._store()
                self._fill(idle)
            elif not left and 0 < SHRINK * (fits.count - idle.size) <= fits.count:
                self._shrink()

    def _fill(self, slots: Array) -> None:
        """Begin with the next problems in those places."""
        slots = slots[: self.problems.count - self.begun]
        new = np.arange(self.begun, self.begun + slots.size)
        self.begun += slots.size
        self.which[slots] = new
        self.model.choose(self.which)
        bounds = None if self.bounds is None else [edge[new] for edge in self.bounds]
        self.fits.begin(slots, self.X[new], bounds)

    def _shrink(self) -> None:
        """Go on with the few problems that are left, without the places of others."""
        going = np.flatnonzero(self.fits.going)
        model = self.problems.few(max(LEAST, self.fits.count // SHRINK)) if self.fits.count >= 2 * LEAST else None
        if model is None:
            return
        self._store()
        kept = np.resize(going, model.count)
        self.model, self.which = model, self.which[kept]
        self.fits.keep(kept, going.size)
        model.choose(self.which)

    def _store(self) -> None:
        """Note how far the problems are."""
        fits = self.fits
        # a place that is another's double, or was never begun, has nothing to tell
        used = np.flatnonzero(fits.used)
        at = self.which[used]
        for mine, its in (
            (self.X, fits.X), (self.Y, fits.Y), (self.cost, fits.cost), (self.optimality, fits.optimality),
            (self.status, fits.status), (self.steps, fits.steps), (self.moves, fits.moves),
        ):  # fmt: skip
            mine[at] = its[used]

    def result(self, why: Stopped | None) -> Fit:
        """What came of all problems; `why` it was stopped before they were done."""
        problems, watch = self.problems, self.watch
        self._store()
        residuals = np.empty(self.Y.size)
        residuals[problems.layout.rows] = self.Y
        converged = self.status > 0
        counts = [(int(np.count_nonzero(self.status == k)), text) for k, text in MESSAGES.items()]
        if why is not None:
            counts = [(n, "not done") if text == MESSAGES[0] else (n, text) for n, text in counts]
        told = "; ".join(f"{count} of {self.status.size} problems: {text}" for count, text in counts if count)
        most = [int(number.max(initial=0)) for number in (self.steps, self.moves)]
        result = OptimizeResult(
            x=problems.flat(self.X),
            fun=residuals,
            success=bool(converged.all()) and why is None,
            status=STOPPED if why is not None else int(self.status.min(initial=1)),
            message=told if why is None else f"{why}. {told}",
            nit=most[0],
            nfev=most[0] + 1,
            njev=most[1],
        )
        arrays = {"cost": self.cost, "optimality": self.optimality, "statuses": self.status, "converged": converged}
        result.update({name: array.reshape(problems.batch) for name, array in arrays.items()})
        return watch.finish(result)
