"""Limited-memory BFGS in the metric of a preconditioner, between bounds."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from scipy.linalg.lapack import dtrtrs

from matjac.conventions import Array

#: Steps over which the decrease of the value is judged.
SPAN = 10
#: The spread of the pairs above which a problem is ill-conditioned. Gram fits that L-BFGS solves in 20 to 30 steps stay
#: below 2, for which a preconditioner comes too late; those that take it hundreds are above 4 at the 20th step.
SPREAD = 4.0
#: Of the line search: the share of the predicted decrease that is enough, the share of the slope that may be left,
#: and the number of points it may ask for.
DECREASE, SLOPE, TRIALS = 1e-4, 0.9, 30

Metric: TypeAlias = Callable[[Array], Array]


class Objective(Protocol):
    """What is minimised."""

    #: whether the preconditioner is made at once, or where the first steps are those of an ill-conditioned problem
    eager: bool
    #: after how many steps it is made anew
    refresh: int
    #: how many pairs of steps and changes of the gradient are kept
    memory: int

    @property
    def evaluations(self) -> int:
        """Values that were asked for."""

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        """Both at a point."""

    def preconditioner(self, x: Array) -> Metric | None:
        """Products with an approximate inverse of the Hessian at the point that was last accepted; None is a multiple
        of the identity, of which nothing is known.
        """

    def accepted(self, x: Array, value: float) -> None:
        """Told of each point that the minimisation goes to."""

    def keep(self, state: Any) -> None:
        """Told between steps of what a minimisation can go on from."""


class Tolerances(NamedTuple):
    """When to stop.

    ftol: where `SPAN` steps together reduce the value by less than this part of it. xtol: where a step is shorter
    than this part of x. gtol: where the gradient's norm in the method's metric is less than this part of √(2 · value),
    for least squares an estimate of the cosine of the angle between the residuals and what J reaches. evaluations:
    after a step with which there were as many.
    """

    ftol: float
    xtol: float
    gtol: float
    evaluations: float = np.inf


class Ended(NamedTuple):
    """Where a minimisation ended: SciPy's status and message, the point, the gradient there, and the steps."""

    status: int
    message: str
    x: Array
    value: float
    gradient: Array
    steps: int


@dataclass
class State:
    """All that the next steps depend on."""

    x: Array
    value: float
    gradient: Array
    pairs: "Pairs"
    #: the values of the last steps
    values: deque[float]
    #: after how many steps a preconditioner is due
    due: float
    metric: Metric | None = None
    #: after how many steps the metric was made
    made: int = -1
    steps: int = 0
    #: of the last step
    length: float = np.inf


def lbfgs(
    objective: Objective, x: Array, low: Array, high: Array, tolerances: Tolerances, state: State | None = None
) -> Ended:
    """Minimise between bounds from x by L-BFGS, whose first matrix is the preconditioner; without bounds, that is.

    With a state it goes on from there.

    In the first steps, which may be all, unless the objective is eager, and between bounds that matrix is a multiple of
    the identity: of a block's inverse the free unknowns' part need not be a good metric for them (non-negative factors
    of the digits: 117 steps, and 4,813 with blocks).

    Each step searches along the projection of the half-line ``x + α p`` on the bounds, where p is zero for
    unknowns that a bound holds (Bertsekas, *Projected Newton Methods*, 1982), until the decrease and the slope satisfy
    Wolfe's weak conditions.
    """
    bounded = bool(np.isfinite(low).any() or np.isfinite(high).any())
    if state is None:
        value, gradient = objective.value_and_gradient(x)
        values, due = deque([value], maxlen=SPAN + 1), 0 if objective.eager else np.inf
        state = State(x, value, gradient, Pairs(x.size, objective.memory), values, due)
        objective.accepted(x, value)
    at, pairs, free = state, state.pairs, None

    def ended(status: int, message: str) -> Ended:
        return Ended(status, message, at.x, at.value, at.gradient, at.steps)

    while True:
        objective.keep(at)
        if at.values[0] - at.value <= tolerances.ftol * at.value and len(at.values) > SPAN:
            return ended(2, f"`ftol`: {SPAN} steps together reduced the cost by less than this part of it.")
        if at.length <= tolerances.xtol * float(np.linalg.norm(at.x)):
            return ended(3, "`xtol`: the step is small beside the unknowns.")
        if bounded:
            free = ~(((at.x <= low) & (at.gradient > 0)) | ((at.x >= high) & (at.gradient < 0)))
        if at.steps >= at.due or (at.made < 0 and pairs.spread > SPREAD):
            at.metric = None if bounded else objective.preconditioner(at.x)
            at.made, at.due = at.steps, at.steps + objective.refresh
        slope = at.gradient if free is None else np.where(free, at.gradient, 0.0)
        direction = pairs.direction(slope, at.metric, free)
        descent = float(slope @ direction)
        if not -np.inf < descent < 0:
            # a slope of nothing, or a memory that misleads
            if pairs.slots:
                pairs.slots.clear()
                continue
            if not np.isfinite(descent):
                raise np.linalg.LinAlgError("the square of the gradient, in the steps' metric, is not finite")
            return ended(1, "The gradient is zero.")
        # the identity says nothing of lengths
        scaled = bool(pairs.slots) or at.metric is not None
        if scaled and np.sqrt(-descent) <= tolerances.gtol * np.sqrt(2 * abs(at.value)):
            return ended(1, "`gtol`: the gradient is small beside the residuals.")
        if objective.evaluations >= tolerances.evaluations:
            return ended(0, "The number of evaluations is at its limit.")
        length = 1.0 if scaled else min(1.0, 1 / float(np.linalg.norm(slope)))
        found = _search(objective, at.x, at.value, slope, direction, length, (low, high) if bounded else None)
        if found is None:
            # no decrease: a fresh metric and no memory are the last thing to try
            if pairs.slots or at.made < at.steps:
                pairs.slots.clear()
                at.due = at.steps
                continue
            return ended(2, "No step against the gradient reduces the value: rounding is reached.")
        new, value, following = found
        step, change = new - at.x, following - at.gradient
        at.x, at.value, at.gradient, at.length = new, value, following, float(np.linalg.norm(step))
        at.steps += 1
        at.values.append(value)
        curvature = float(step @ change)
        if curvature > np.finfo(float).eps * float(change @ change):
            pairs.add(step, change, curvature)
        objective.accepted(new, value)


class Pairs:
    """The last steps S and changes of the gradient Y, in rows, and the inverse Hessian that they make of a metric.

    The two loops over the pairs (Nocedal & Wright, algorithm 7.4) are two products with all of them and a triangular
    solution each: of ``sᵢ · yⱼ``, i no newer than j, both loops take the same.
    """

    def __init__(self, size: int, most: int) -> None:
        self._steps, self._changes = np.empty((most, size)), np.empty((most, size))
        self._products, self._curvature = np.zeros((most, most)), 1.0
        self._spreads, self._most = np.ones(most), most
        #: the rows, from the oldest pair to the newest
        self.slots: list[int] = []

    def add(self, step: Array, change: Array, curvature: float) -> None:
        """Keep a pair, in place of the oldest where there are too many."""
        slot = self.slots.pop(0) if len(self.slots) == self._most else len(self.slots)
        self.slots.append(slot)
        self._steps[slot], self._changes[slot] = step, change
        count = len(self.slots)
        self._products[:count, slot] = self._steps[:count] @ change
        squares = float(change @ change)
        self._curvature = curvature / squares
        self._spreads[slot] = squares * float(step @ step) / curvature**2

    @property
    def spread(self) -> float:
        """The mean of ``|s|² |y|² / (s · y)²`` over as many pairs as are kept; 1 of the identity, and until then."""
        return float(np.exp(np.mean(np.log(self._spreads)))) if len(self.slots) == self._most else 1.0

    def direction(self, slope: Array, metric: Metric | None, free: Array | None) -> Array:
        """``−H g``, of the free unknowns."""
        q, count = -slope, len(self.slots)
        if count:
            order = np.array(self.slots)
            steps, changes = self._steps[:count], self._changes[:count]
            products = self._products[np.ix_(order, order)]
            shares, along = np.empty(count), np.empty(count)
            shares[order], _ = dtrtrs(products, (steps @ q)[order])
            q -= shares @ changes
        if free is not None:
            q = np.where(free, q, 0.0)
        if metric is not None:
            q = metric(q)
        elif count:
            q *= self._curvature
        if count:
            right = np.diagonal(products) * shares[order] - (changes @ q)[order]
            along[order], _ = dtrtrs(products, right, trans=1)
            q += along @ steps
        return q if free is None else np.where(free, q, 0.0)


def _search(
    objective: Objective,
    x: Array,
    value: float,
    slope: Array,
    direction: Array,
    length: float,
    bounds: tuple[Array, Array] | None,
) -> tuple[Array, float, Array] | None:
    """A point along the projected half-line with enough decrease and enough change of slope, its value and gradient.

    Bracketing and halving, with interpolation (Lewis & Overton, 2013, algorithm 2.6). None where there is no decrease.
    """
    short, long = 0.0, np.inf
    best: tuple[Array, float, Array] | None = None
    for _ in range(TRIALS):
        new = x + length * direction
        if bounds is not None:
            new = np.clip(new, *bounds)
        predicted = float(slope @ (new - x))
        there, gradient = objective.value_and_gradient(new)
        if not there <= value + DECREASE * predicted:
            long = length
            # the parabola through both values with the slope here, kept away from the ends
            bend = 2 * (there - value - predicted)
            turn = -predicted / bend * length if np.isfinite(bend) and bend > 0 else 0.0
            length = min(max(turn, short + 0.1 * (long - short)), short + 0.5 * (long - short))
        elif (ahead := float(gradient @ direction)) < SLOPE * float(slope @ direction):
            best = new, there, gradient
            short = length
            length = _farther(length, float(slope @ direction), ahead) if long == np.inf else (short + long) / 2
        else:
            return new, there, gradient
        if best is not None and long < np.inf and long - short < 0.1 * long:
            return best
        if np.array_equal(new, x):
            break
    return best


def _farther(length: float, slope: float, ahead: float) -> float:
    """Where the slope would be zero if it went on as from the start to here: from two to ten times as far."""
    bend = ahead - slope
    return length * min(max(-slope / bend, 2.0), 10.0) if bend > 0 else 10.0 * length
