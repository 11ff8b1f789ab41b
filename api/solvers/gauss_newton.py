"""Gauss–Newton in a trust region: Levenberg and Marquardt's steps, between bounds."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from matjac.conventions import Array
from matjac.solvers.lbfgs import Ended, Tolerances

#: The share of the decrease that the model promises with which a step is taken; those below and above which the
#: region shrinks, to that part of the step, and grows, so many times.
SUFFICIENT, POOR, GOOD, SHRINK, GROW = 1e-4, 0.25, 0.75, 0.25, 2.0
#: What the columns' largest norms are multiplied with at each step: what they were far away is forgotten. Without it
#: the columns of a polynomial from afar (Chebyquad) stay scaled by what they were there.
FADE = 0.98
#: The first guess of a damping, how many are tried, and how often a step between bounds is made anew.
GUESS, TRIALS, PASSES = 1e-3, 30, 10
#: The part of the cost that rounding decides, and the part of the first cost, or of 1, that is nothing.
ROUNDING, NOTHING = 4 * float(np.finfo(float).eps), 1e-28


class Model(Protocol):
    """A cost, and its model ``cost + gᵀp + ½ ‖J p‖²`` at the point that was last accepted."""

    @property
    def evaluations(self) -> int:
        """Values that were asked for."""

    @property
    def slack(self) -> float:
        """By which part a step may be longer or shorter than the region where it is restricted."""

    @property
    def floor(self) -> float:
        """The least damping, beside the columns' squares, with which systems can be solved."""

    def value(self, x: Array) -> float:
        """The cost at a point, or what is not finite."""

    def gradient(self, x: Array) -> Array:
        """The gradient at the point whose value was asked for last, where the model is from now on."""

    def accepted(self, x: Array, value: float) -> None:
        """Told of each point that the minimisation goes to."""

    def keep(self, state: Any) -> None:
        """Told between steps of what a minimisation can go on from."""

    def hold(self, held: Array | None, gone: Array | None = None) -> Array:
        """Make ready for steps that leave some unknowns where they are; the norms of J's columns, of those 0.

        They begin where a step has `gone` already.
        """

    def step(self, gradient: Array, shift: Array) -> Array:
        """The p with ``(JᵀJ + diag(shift)) p = −gradient``; LinAlgError where that fails."""

    def squared(self, p: Array) -> float:
        """``‖J p‖²``, of all columns."""

    def normal(self, p: Array) -> Array:
        """``JᵀJ p``."""


@dataclass
class State:
    """All that the next steps depend on, beside the model at x."""

    x: Array
    value: float
    #: the value at the start
    first: float
    #: the columns' largest norms
    largest: Array
    radius: float = np.inf
    damping: float = 0.0
    steps: int = 0


def gauss_newton(
    model: Model, x: Array, low: Array, high: Array, tolerances: Tolerances, state: State | None = None
) -> Ended:
    """Minimise between bounds from x: each step p minimises ``‖J p + y‖²`` in the region ``‖D p‖ ≤ r``.

    So it minimises ``‖J p + y‖² + λ ‖D p‖²``, with λ = 0 inside the region (Moré, *The Levenberg–Marquardt Algorithm*,
    1978). D has the largest norms of the columns so far, which fade, and r begins as ‖D x‖. Unknowns at a bound are
    held while the cost falls only beyond it, and those that a step takes beyond one are left there, and it is made anew
    for the others.

    It ends by ftol where the cost fell by less than that part of it, and the model promised no more; by xtol where a
    step is shorter than that part of x; by gtol where the residuals' cosine with each column of J is less; and where
    rounding decides which cost is less. With a state, of the point whose value was asked for last, it goes on from
    there.
    """
    bounded = bool(np.isfinite(low).any() or np.isfinite(high).any())
    if state is None:
        value = model.value(x)
        gradient = model.gradient(x)
        state = State(x, value, value, np.zeros(x.size))
        model.accepted(x, value)
    else:
        gradient = model.gradient(state.x)
    at = state

    def ended(status: int, message: str) -> Ended:
        return Ended(status, message, at.x, at.value, gradient, at.steps)

    while True:
        model.keep(at)
        x, value = at.x, at.value
        held = ((x <= low) & (gradient > 0)) | ((x >= high) & (gradient < 0)) if bounded else None
        slope = gradient if held is None else np.where(held, 0.0, gradient)
        if not slope.any():
            return ended(1, "The gradient is zero.")
        norms = model.hold(held)
        if not np.isfinite(norms).all():
            raise np.linalg.LinAlgError("the norms of J's columns are not finite")
        some = norms > 0
        if (np.abs(slope) <= tolerances.gtol * np.sqrt(2 * value) * norms).all():
            return ended(1, "`gtol`: the residuals are orthogonal to the columns of J.")
        if value <= NOTHING * min(at.first, 1.0):
            return ended(1, "Nothing is left of the residuals.")
        largest = np.maximum(FADE * at.largest, norms)
        scale = np.where(largest > 0, largest, 1.0)
        radius, damping = at.radius if at.steps else _norm(scale * x) or 1.0, at.damping
        # a column of zeros leaves its unknown where it is, whatever is added there
        floor = np.where(some, model.floor * norms**2, 1.0)
        taken = False
        while not taken:
            if model.evaluations >= tolerances.evaluations:
                return ended(0, "The number of evaluations is at its limit.")
            p, damping = _within(model, slope, scale, floor, radius, damping)
            length = _norm(scale * p)
            new = x + p
            if held is not None:
                new = _between(model, x, p, gradient, damping * scale**2 + floor, held, low, high)
                p = new - x
            predicted = -float(gradient @ p) - 0.5 * model.squared(p)
            if not predicted > 0 and held is not None and p.any():
                # the bounds have turned it
                radius = SHRINK * min(radius, length)
                continue
            after = model.value(new)
            finite = bool(np.isfinite(after))
            ratio = (value - after) / predicted if finite and predicted > 0 else -1.0
            taken = ratio > SUFFICIENT
            level = taken and max(value - after, predicted) <= tolerances.ftol * value
            short = finite and _norm(p) <= tolerances.xtol * _norm(x)
            rounded = finite and not taken and (predicted <= ROUNDING * value or np.array_equal(new, x))
            if ratio < POOR:
                radius = SHRINK * min(radius, length)
            elif ratio > GOOD and damping:
                radius *= GROW
            if taken:
                gradient = model.gradient(new)
                at.x, at.value, at.largest, at.radius, at.damping = new, after, largest, radius, damping
                at.steps += 1
                model.accepted(new, after)
            if level:
                return ended(2, "`ftol`: a step reduced the cost by less than this part of it.")
            if short:
                return ended(3, "`xtol`: the step is small beside the unknowns.")
            if rounded:
                return ended(2, "No step reduces the cost: rounding is reached.")


def _within(
    model: Model, slope: Array, scale: Array, floor: Array, radius: float, damping: float
) -> tuple[Array, float]:
    """The step whose scaled length is up to the radius, and its damping, beginning with that of the step before."""
    short, long = (1 - model.slack) * radius, (1 + model.slack) * radius
    longest, undamped, few, many = np.inf, False, 0.0, np.inf
    last: tuple[float, float] | None = None
    inside: tuple[Array, float] | None = None
    for _ in range(TRIALS):
        try:
            p = model.step(slope, damping * scale**2 + floor)
            length = _norm(scale * p)
        except np.linalg.LinAlgError:
            length = np.inf
        if not np.isfinite(length):
            if damping and inside is not None:
                # by rounding JᵀJ is singular, and this is the least that it takes
                return inside
            length = np.inf
        if length <= long and (length >= short or not damping):
            return p, damping
        if damping:
            last = damping, length
            if length > long:
                few = damping
            else:
                many, inside = damping, (p, damping)
        else:
            longest, undamped = length, True
        if last is None:
            damping = GUESS
        elif last[1] < short and not undamped:
            damping = 0.0
        elif last[1] < short and longest == np.inf and not few:
            damping = 0.1 * many
        else:
            # one over the length grows about linearly
            slant = (1 / last[1] - 1 / longest) / last[0]
            damping = (1 / radius - 1 / longest) / slant if slant > 0 else 0.0
            if not few < damping < many:
                damping = 10 * few if many == np.inf else 0.1 * many if few == 0 else np.sqrt(few * many)
    if not np.isfinite(length):
        raise np.linalg.LinAlgError("no damping of JᵀJ makes a step that is finite")
    return p, damping


def _between(
    model: Model, x: Array, p: Array, gradient: Array, shift: Array, held: Array, low: Array, high: Array
) -> Array:
    """Where a step ends that stays between bounds: what it takes beyond them is left there, and others step anew."""
    fixed = held
    for _ in range(PASSES):
        new = np.clip(x + p, low, high)
        beyond = (new != x + p) & ~fixed
        if not beyond.any():
            break
        fixed = fixed | beyond
        gone = np.where(fixed, new - x, 0.0)
        if fixed.all():
            break
        model.hold(fixed, gone)
        try:
            p = gone + model.step(np.where(fixed, 0.0, gradient + model.normal(gone)), np.where(fixed, 1.0, shift))
        except np.linalg.LinAlgError:
            break
    if fixed is not held:
        model.hold(held)
    return np.clip(x + p, low, high)  # type: ignore[no-any-return]


def _norm(x: Array) -> float:
    return float(np.sqrt(x @ x))
