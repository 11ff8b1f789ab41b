"""Limited-memory BFGS in the metric of a preconditioner, between bounds."""

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from matjac.conventions import Array

#: Pairs of steps and gradients that are kept.
MEMORY = 10
#: Steps after which the preconditioner is made anew. On Gram fits, full, masked and ill-conditioned, each step anew
#: takes a tenth fewer steps than each tenth, and never anew up to six times as many.
REFRESH = 10
#: Of the line search: the share of the predicted decrease that is enough, the share of the slope that may be left,
#: and the number of points it may ask for.
DECREASE, SLOPE, TRIALS = 1e-4, 0.9, 30

Metric: TypeAlias = Callable[[Array], Array]


class Objective(Protocol):
    """What is minimised."""

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        """Both at a point."""

    def preconditioner(self, x: Array) -> Metric:
        """Products with an approximate inverse of the Hessian at the point that was last accepted."""

    def accepted(self, x: Array, value: float) -> None:
        """Told of each point that the minimisation goes to."""


class Tolerances(NamedTuple):
    """When to stop.

    ftol: where `MEMORY` steps together reduce the value by less than this part of it. xtol: where a step is shorter
    than this part of x. gtol: where the gradient's norm in the preconditioner's metric is less than this part of
    √(2 · value), which for least squares is the cosine of the angle between the residuals and what J reaches.
    """

    ftol: float
    xtol: float
    gtol: float


class Ended(NamedTuple):
    """Where a minimisation ended: SciPy's status and message, the point, the gradient there, and the steps."""

    status: int
    message: str
    x: Array
    value: float
    gradient: Array
    steps: int


def lbfgs(
    objective: Objective, x: Array, low: Array, high: Array, tolerances: Tolerances, max_steps: float = np.inf
) -> Ended:
    """Minimise between bounds from x by L-BFGS, whose first matrix is the preconditioner; without bounds, that is.

    Between bounds it is a multiple of the identity: of a block's inverse the free unknowns' part need not be a good
    metric for them (non-negative factors of the digits: 117 steps, and 4,813 with blocks).

    Each step searches along the projection of the half-line ``x + α p`` on the bounds, where p is zero for
    unknowns that a bound holds (Bertsekas, *Projected Newton Methods*, 1982), until the decrease and the slope satisfy
    Wolfe's weak conditions.
    """
    bounded = bool(np.isfinite(low).any() or np.isfinite(high).any())
    value, gradient = objective.value_and_gradient(x)
    objective.accepted(x, value)
    pairs: deque[tuple[Array, Array, float]] = deque(maxlen=MEMORY)
    values = deque([value], maxlen=MEMORY + 1)
    steps, age, free = 0, REFRESH, None
    while True:
        if bounded:
            free = ~(((x <= low) & (gradient > 0)) | ((x >= high) & (gradient < 0)))
        if age >= REFRESH:
            metric, age = (np.array if bounded else objective.preconditioner(x)), 0
        slope = gradient if free is None else np.where(free, gradient, 0.0)
        direction = _direction(slope, pairs, metric, free)
        descent = float(slope @ direction)
        if not descent < 0:
            # a slope of nothing, or a memory that misleads
            if pairs:
                pairs.clear()
                continue
            return Ended(1, "The gradient is zero.", x, value, gradient, steps)
        if not pairs and np.sqrt(-descent) <= tolerances.gtol * np.sqrt(2 * abs(value)):
            return Ended(1, "`gtol`: the gradient is small beside the residuals.", x, value, gradient, steps)
        if steps >= max_steps:
            return Ended(0, "The number of steps is at its limit.", x, value, gradient, steps)
        # the identity says nothing of lengths
        length = 1.0 if pairs or not bounded else min(1.0, 1 / float(np.linalg.norm(slope)))
        found = _search(objective, x, value, slope, direction, low, high, bounded, length)
        if found is None:
            # no decrease: a fresh metric and no memory are the last thing to try
            if pairs or age:
                pairs.clear()
                age = REFRESH
                continue
            return Ended(
                2,
                "No step along the preconditioned gradient reduces the value: rounding is reached.",
                x,
                value,
                gradient,
                steps,
            )
        new, value, following = found
        step, change = new - x, following - gradient
        x, gradient = new, following
        steps, age = steps + 1, age + 1
        objective.accepted(x, value)
        values.append(value)
        curvature = float(step @ change)
        if curvature > np.finfo(float).eps * float(change @ change):
            pairs.append((step, change, 1 / curvature))
        if values[0] - value <= tolerances.ftol * value and len(values) > MEMORY:
            return Ended(
                2,
                f"`ftol`: {MEMORY} steps together reduced the cost by less than this part of it.",
                x,
                value,
                gradient,
                steps,
            )
        if float(np.linalg.norm(step)) <= tolerances.xtol * float(np.linalg.norm(x)):
            return Ended(3, "`xtol`: the step is small beside the unknowns.", x, value, gradient, steps)


def _direction(slope: Array, pairs: Any, metric: Metric, free: Array | None) -> Array:
    """``−H g``: L-BFGS's two loops over the pairs (Nocedal & Wright, algorithm 7.4), of the free unknowns."""
    q, shares = -slope, []
    for step, change, inverse in reversed(pairs):
        shares.append(inverse * float(step @ q))
        q -= shares[-1] * change
    q = metric(q if free is None else np.where(free, q, 0.0))
    if pairs:
        step, change, inverse = pairs[-1]
        q *= 1 / (inverse * float(change @ metric(change)))
    for (step, change, inverse), share in zip(pairs, reversed(shares), strict=True):
        q += (share - inverse * float(change @ q)) * step
    return q if free is None else np.where(free, q, 0.0)


def _search(
    objective: Objective,
    x: Array,
    value: float,
    slope: Array,
    direction: Array,
    low: Array,
    high: Array,
    bounded: bool,
    length: float,
) -> tuple[Array, float, Array] | None:
    """A point along the projected half-line with enough decrease and enough change of slope, its value and gradient.

    Bracketing and halving, with interpolation (Lewis & Overton, 2013, algorithm 2.6). None where there is no decrease.
    """
    short, long = 0.0, np.inf
    best: tuple[Array, float, Array] | None = None
    for _ in range(TRIALS):
        new = x + length * direction
        if bounded:
            new = np.clip(new, low, high)
        predicted = float(slope @ (new - x))
        there, gradient = objective.value_and_gradient(new)
        if not there <= value + DECREASE * predicted:
            long = length
            # the parabola through both values with the slope here, kept away from the ends
            bend = 2 * (there - value - predicted)
            turn = -predicted / bend * length if np.isfinite(bend) and bend > 0 else 0.0
            length = min(max(turn, short + 0.1 * (long - short)), short + 0.5 * (long - short))
        elif float(gradient @ direction) < SLOPE * float(slope @ direction):
            best = new, there, gradient
            short = length
            length = 2 * length if long == np.inf else (short + long) / 2
        else:
            return new, there, gradient
        if best is not None and long < np.inf and long - short < 0.1 * long:
            return best
        if np.array_equal(new, x):
            break
    return best
