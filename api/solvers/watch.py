"""What stands between a function and a solver: it counts, reports, keeps the last good point, and stops."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np
import scipy.sparse as sp
from scipy.optimize import OptimizeResult
from scipy.sparse.linalg import LinearOperator

from matjac import checks
from matjac.conventions import Array
from matjac.flat import Flat
from matjac.solvers.checkpoint import SAME, Checkpoint
from matjac.solvers.fit import Fit

#: The status of a result that was stopped here; the solvers' own are greater.
STOPPED = -9
#: Values in a row that may be other than finite: a solver shortens its step after each.
PATIENCE = 20
#: What goes on with a checkpoint.
COUNTS = "steps", "evaluations", "derivatives", "history"


@dataclass(frozen=True)
class Progress:
    """Where a solver is: what a `progress` callback gets.

    Attributes
    ----------
    steps, evaluations : int
        Points that the solver went to (of `root`, those with a smaller residual), and values it asked for.
    value : float
        Half the sum of squares (before a robust loss), the objective, the largest residual of a system of equations,
        or the time of a differential equation.
    seconds : float
        Since the start.
    x : numpy.ndarray
        The flat vector.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> F = mj.compile(lambda X: X - 1.0, (2, 2))
    >>> seen = []
    >>> fit = mj.solvers.least_squares(F, np.zeros((2, 2)), progress=seen.append)
    >>> seen[0].steps, seen[0].value
    (1, 2.0)
    """

    steps: int
    evaluations: int
    value: float
    seconds: float
    x: Array

    def __repr__(self) -> str:
        counts = f"step {self.steps}, evaluation {self.evaluations}"
        return f"<Progress: {counts}, value {self.value:.6g}, {self.seconds:.3g} s, {self.x.size} unknowns>"


Callback: TypeAlias = Callable[[Progress], Any]
T = TypeVar("T")


class Stopped(Exception):  # noqa: N818
    """The solver is to go no further; the message says why, and where."""


#: What ends a run: our own word, or what solvers raise for a value that is not finite.
ENDS = (Stopped, ValueError, np.linalg.LinAlgError)


class Watch:
    """The counts and the last good point of one run."""

    def __init__(self, F: Flat, progress: Callback | None, seconds: float | None) -> None:
        if progress is not None and not callable(progress):
            raise TypeError(f"progress: got {checks.describe(progress)}, expected a function of a Progress")
        if seconds is not None and not float(checks.array("seconds", seconds, 0)) > 0:
            raise ValueError(f"seconds: got {seconds}, expected a positive number")
        self.F, self.progress, self.limit = F, progress, seconds
        self.began = time.perf_counter()
        self.steps = self.evaluations = self.derivatives = self.failures = 0
        #: what was last not finite, a message that says where, and that point
        self.failing = self.trouble = ""
        self.bad: Array | None = None
        #: what the user's own function raised
        self.mistake: Exception | None = None
        #: the last point that was good, and its value
        self.point: Array | None = None
        self.value = np.inf
        #: why the method was chosen, in a few words
        self.why = ""
        #: the seconds and the value of each point that the solver went to
        self.history: list[tuple[float, float]] = []
        #: the file to go on from, the last state, what was found there, and the seconds of the runs before
        self.checkpoint: Checkpoint | None = None
        self._state: tuple[str, Any, Callable[[], Any]] | None = None
        self._found: dict[str, Any] = {}
        self.earlier = 0.0

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.perf_counter() - self.began

    @property
    def nit(self) -> int:
        """The steps from the start on."""
        return max(self.steps - 1, 0)

    @property
    def over(self) -> bool:
        """Whether the time is over."""
        return self.limit is not None and self.seconds > self.limit

    def in_time(self, what: str) -> None:
        """Stop where the time is over, between evaluations too."""
        if self.over:
            raise Stopped(f"{what}: the {self.limit:g} seconds were over after evaluation {self.evaluations}")

    def timed(self, J: Any) -> Any:
        """A matrix or an operator whose products stop where the time is over: solvers may make thousands in a step."""
        return J if self.limit is None else Timed(self, J)

    def of(self, F: Flat, progress: Callback | None) -> "Watch":
        """A watch of another function in the same run."""
        watch = Watch(F, progress, self.limit)
        watch.checkpoint = self.checkpoint
        return watch

    def begin(self, x: Array) -> None:
        """Told of the flat vector of all unknowns where a run begins."""

    def keeps(self, path: Any, seconds: Any) -> None:
        """Write checkpoints into that file, so many seconds apart, and go on from one that is there."""
        self.checkpoint = Checkpoint(path, seconds)

    def keep(self, about: str, state: Any, own: Callable[[], Any] = lambda: None) -> None:
        """Told between steps of what the next ones depend on, and what of that is this rank's own: write it in time."""
        if self.checkpoint is None:
            return
        self._state = about, state, own
        if self.checkpoint.due():
            self._save()

    def _save(self) -> None:
        """Write the last state there was, and the counts; stop where that fails."""
        if self.checkpoint is None or self._state is None:
            return
        about, state, own = self._state
        kept = {"about": about, "state": state, "counts": {name: getattr(self, name) for name in COUNTS}}
        try:
            self.checkpoint.save({**kept, "seconds": self.earlier + self.seconds}, own())
        except OSError as error:
            raise Stopped(f"checkpoint: {error}") from None

    def kept(self, about: str) -> tuple[Any, Any] | None:
        """The state that a run of the same kind can go on from, and what is this rank's own; None is there none."""
        found = None if self.checkpoint is None else self.checkpoint.load()
        if found is None:
            return None
        self._found, own = found
        if self._found["about"] != about:
            raise ValueError(f"checkpoint: got {self._found['about']}, expected {about}: remove the file to begin anew")
        return self._found["state"], own

    def go_on(self, x: Array, value: float, before: float) -> None:
        """Go on from a state at x, where the value is as it was before: with the same counts."""
        if not abs(value - before) <= SAME * abs(before):
            raise ValueError(
                f"checkpoint: got a point of value {before:.6g}, where that of F is {value:.6g}: remove the file to "
                "begin anew"
            )
        vars(self).update(self._found["counts"])
        self.point, self.value, self.earlier = np.array(x), value, self._found["seconds"]

    def call(self, fun: Callable[[Array], T], x: Array) -> T:
        """The value at x of a function that may raise errors of its own."""
        try:
            return fun(x)
        except np.linalg.LinAlgError:
            raise
        except Exception as error:
            self.mistake = error
            raise

    def summed(self, make: Callable[[Array], T], x: Array) -> T:
        """`call`, of what is a number, an array or a tuple of them: over ranks the sum of what is made on each."""
        return self.call(make, x)

    def added(self, array: Array) -> Array:
        """The sum over ranks of an array that each has: here there is one."""
        return array

    def largest(self, value: float) -> float:
        """The largest over ranks of a number."""
        return value

    def evaluated(
        self, what: str, x: Array, y: Array | float, where: str = "", look: Callable[[], Array] | None = None
    ) -> None:
        """Note a value y at x; stop where it is not finite once too often, or the time is over.

        What is `what` is counted together, whatever other values are asked for in between. Where y is a sum that is not
        finite, what `look` makes, its parts, are looked at.
        """
        self.evaluations += 1
        if self.over:
            raise Stopped(f"{what}{where}: the {self.limit:g} seconds were over at evaluation {self.evaluations}")
        finite = math.isfinite(y) if isinstance(y, float) else np.isfinite(y).all()
        trouble = "" if finite else self._trouble(what + where, x, y if look is None else look)
        if not trouble:
            if what == self.failing:
                self.failures = 0
            return
        self.failures = self.failures + 1 if what == self.failing else 1
        self.failing = what
        times = f", {self.failures} times in a row" if self.failures > 1 else ""
        self.trouble, self.bad = trouble + self._at(x, times), np.array(x)
        if self.point is None or self.failures >= PATIENCE:
            raise Stopped(self.trouble)

    def derived(self, what: str, x: Array, gradient: Array) -> None:
        """Note a derivative at x; stop where it is not finite."""
        self.derivatives += 1
        if not np.isfinite(gradient).all():
            raise Stopped(self._trouble(what, x, gradient) + self._at(x))

    def went(self, x: Array, value: float) -> None:
        """Note a point that the solver went to, and report it; one where something is not finite is not good."""
        if not np.isfinite(value) or (self.bad is not None and np.array_equal(x, self.bad)):
            return
        self.steps += 1
        self.point, self.value = np.array(x), float(value)
        self.history.append((self.earlier + self.seconds, self.value))
        if self.progress is None:
            return
        answer = self.progress(Progress(self.steps, self.evaluations, self.value, self.seconds, np.array(x)))
        if isinstance(answer, bool | np.bool_) and answer:
            raise Stopped(f"progress: the callback stopped it at step {self.steps}")

    def stopped(self, why: Exception, start: Array, **more: Any) -> Fit:
        """The result that tells where it stopped, with the last good point; any other error is raised again.

        A solver's own error on a value that is not finite is a stop too, and so is a singular matrix anywhere.
        """
        if not isinstance(why, Stopped):
            singular = isinstance(why, np.linalg.LinAlgError)
            if why is self.mistake or not (self.failures or singular):
                raise why
            why = Stopped(self.trouble if self.failures else f"at evaluation {self.evaluations}: {why}")
        try:
            self._save()
        except Stopped as error:
            why = Stopped(f"{why}; {error}")
        none = self.point is None
        where = "the start, where nothing good was found" if none else f"the last good point, of step {self.steps}"
        x = start if self.point is None else self.point
        message, counts = (
            f"{why}. Returned: {where}.",
            {"nfev": self.evaluations, "njev": self.derivatives, "nit": self.nit},
        )
        result = OptimizeResult(x=x, success=False, status=STOPPED, message=message, **{**counts, **more})
        return self.finish(result)

    def finish(self, result: OptimizeResult) -> Fit:
        """The solver's result, with the variables that its x holds, and the way there."""
        fit: Fit = Fit(result)
        fit.variables = self.F.unpack(fit.x)
        fit.setdefault("nit", self.nit)
        if isinstance(fit.get("jac"), Timed):
            fit.jac = fit.jac.inner
        if self.why:
            fit.setdefault("why", self.why)
        fit.unknowns = self.F.variables
        fit.history = np.array(self.history).reshape(-1, 2)
        fit.seconds = self.seconds
        return fit

    def _trouble(self, what: str, x: Array, y: Array | float | Callable[[], Array]) -> str:
        """Which entries are not finite of y, or of what it makes; where all are finite their squares are not."""
        values = np.ravel(y() if callable(y) else y)
        bad = np.flatnonzero(~np.isfinite(values))
        if not bad.size:
            return f"{what}: the sum of their squares is not finite"
        first = values[bad[0]]
        if values.size == 1:
            return f"{what}: got {first}"
        return f"{what}: {bad.size} of {values.size} entries are not finite, the first is number {bad[0]}, {first}"

    def _at(self, x: Array, times: str = "") -> str:
        """Where that was."""
        # of a vector with NaN, argmax is the first of those
        at = int(np.argmax(np.abs(x))) if np.size(x) else 0
        largest = f"; the largest unknown is {self.F.variables.entry(at)} = {x[at]:.3g}" if np.size(x) else ""
        return f", at evaluation {self.evaluations}{times}{largest}"


class Timed(LinearOperator):  # type: ignore[misc]
    """A matrix or an operator, within the limit of time."""

    def __init__(self, watch: Watch, inner: Any) -> None:
        super().__init__(inner.dtype, inner.shape)
        self.watch, self.inner = watch, inner
        self._adjoint_of = inner.conj().T.tocsr() if sp.issparse(inner) else inner.H

    def _matvec(self, x: Array) -> Array:
        self.watch.in_time("Jacobian's products")
        return self.watch.summed(lambda x: self.inner @ x, x)

    def _rmatvec(self, x: Array) -> Array:
        self.watch.in_time("Jacobian's products")
        return self.watch.summed(lambda x: self._adjoint_of @ x, x)

    _matmat, _rmatmat = _matvec, _rmatvec
