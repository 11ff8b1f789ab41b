"""Newton's method for systems of equations: a line search along Newton's direction, damped steps where it fails."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.optimize import OptimizeResult

from matjac.conventions import Array
from matjac.solvers.steps import Steps
from matjac.solvers.watch import Stopped, Watch

#: Residuals that small beside the terms that cancel in them, or beside those of the start, or what rounding makes of
#: the terms of J x, are zero.
RELATIVE, REDUCED, ROUNDING = 1e-10, 1e-14, 4 * float(np.finfo(float).eps)
#: The share of the decrease that a model promises with which a step is taken.
SUFFICIENT = 1e-4
#: The shortest part of Newton's direction that is tried.
SHORTEST = 1e-2
#: The damping of the first damped step, that from which Newton's direction is tried again, and the greatest.
FIRST, LIGHT, HEAVY = 1e-3, 1e-7, 1e8
#: So many steps that together bring less than a tenth are a stall.
STALL = 20


#: How a run ended: as it should, with too many steps, at a local minimum of the norm, or crawling.
SOLVED, LONG, STATIONED, SLOW = 1, 0, 2, 3
HERE = "not solved, the residuals' norm has a local minimum here"
#: The largest forcing term; and the largest entry of JᵀF at a local minimum, beside ‖F‖ and J's columns.
LOOSE, STATIONARY = 0.1, 1e-6
Residual: TypeAlias = Callable[[Array], Array]


@dataclass
class State:
    """A point and its values."""

    x: Array
    y: Array

    def __post_init__(self) -> None:
        self.norm = float(np.linalg.norm(self.y))
        self.largest = float(np.abs(self.y).max(initial=0.0))


def solve(
    at: State,
    residual: Residual,
    went: Callable[[State], None],
    steps: Steps,
    watch: Watch,
    tol: float | None,
    first: float,
    maxiter: int,
    most: int,
    damping: float = 0.0,
) -> OptimizeResult:
    """Solve F(x) = 0 from a point, with at most `maxiter` steps, `most` of them damped; `first` is as in `zero`."""
    before, damped, norms = np.inf, 0, [at.norm]

    def ended(status: int, message: str) -> OptimizeResult:
        return OptimizeResult(x=at.x, state=at, status=status, message=message, nit=len(norms) - 1, damped=damped)

    while True:
        if at.norm == 0:
            return ended(SOLVED, "solved")
        steps.at(at.x)
        gradient = steps.J.T @ at.y
        watch.derived("Jacobian", at.x, gradient)
        if not np.isfinite(steps.lengths).all():
            raise np.linalg.LinAlgError("the norms of the Jacobian's columns are not finite")
        target = zero(steps, at.x, tol, first)
        if at.largest <= target:
            return ended(SOLVED, "solved")
        if len(norms) > maxiter:
            return ended(LONG, f"not solved in {maxiter} steps")
        stationary = np.abs(gradient).max() <= STATIONARY * at.norm * steps.lengths.max()
        if damped == most or (len(norms) > STALL and at.norm > 0.9 * norms[-STALL]):
            return ended(STATIONED, HERE) if stationary else ended(SLOW, "not solved, the residuals fall slowly")
        new = None
        if damping == 0:
            # Eisenstat and Walker's second choice, no smaller than is of use
            forcing = min(max(0.9 * (at.norm / before) ** 2, 0.1 * target / at.largest, 1e-12), LOOSE)
            new = line_search(residual, at, steps, forcing)
            damping = FIRST if new is None else 0.0
        if new is None:
            if stationary:
                return ended(STATIONED, HERE)
            new, damping = damped_step(residual, at, steps, damping)
            damped += new is not None
        if new is None:
            if watch.failures:
                raise Stopped(watch.trouble)
            return ended(SLOW, "not solved, no step makes the residuals smaller")
        before, at = at.norm, new
        norms.append(at.norm)
        went(at)


def zero(steps: Steps, x: Array, tol: float | None, first: float) -> float:
    """How large residuals may be at a solution: `tol`, or the largest of three.

    10⁻¹⁰ of the terms that cancel: at a solution J x is the sum of those that grow with x, and so of the others with
    the other sign. 10⁻¹⁴, or that of the `first` residuals if these are less than 1: at 0 no term is left. And what
    rounding makes of J x, whose own terms may cancel too.
    """
    if tol is not None:
        return tol
    terms = float(np.abs(steps.J @ x).max(initial=0.0))
    rounding = ROUNDING * float(steps.lengths.max(initial=0.0) * np.abs(x).max(initial=0.0))
    return max(RELATIVE * terms, REDUCED * min(first, 1.0), rounding)


def line_search(residual: Residual, at: State, steps: Steps, forcing: float) -> State | None:
    """A point along Newton's direction where the norm is less, by parabolas; None where there is none."""
    p = steps.newton(at.y, forcing)
    if p is None or not np.isfinite(p).all():
        return None
    # ½‖F‖² along p has this slope at the start, −‖F‖² where the step is exact
    slope, length = float(at.y @ (steps.J @ p)), 1.0
    if slope >= 0:
        return None
    while length >= SHORTEST:
        new = State(at.x + length * p, residual(at.x + length * p))
        if new.norm**2 <= at.norm**2 + 2 * SUFFICIENT * length * slope:
            return new
        excess = 0.5 * (new.norm**2 - at.norm**2) - length * slope
        best = -slope * length**2 / (2 * excess) if np.isfinite(excess) and excess > 0 else 0.0
        length = float(np.clip(best, 0.1 * length, 0.5 * length))
    return None


def damped_step(residual: Residual, at: State, steps: Steps, damping: float) -> tuple[State | None, float]:
    """A step of Levenberg and Marquardt to a smaller norm, and the damping of the next; 0 where none is needed."""
    while damping <= HEAVY:
        p = steps.damped(at.y, damping)
        new = State(at.x + p, residual(at.x + p))
        promised = at.norm**2 - float(np.linalg.norm(at.y + steps.J @ p)) ** 2
        gain = (at.norm**2 - new.norm**2) / promised if promised > 0 else -1.0
        if gain > SUFFICIENT:
            damping *= 0.1 if gain > 0.75 else 1.0 if gain > 0.25 else 4.0
            return new, damping if damping > LIGHT else 0.0
        damping *= 10
    return None, damping
