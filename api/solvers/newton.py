"""Newton's method for systems of equations: a line search along Newton's direction, damped steps where it fails."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from matjac.conventions import Array
from matjac.solvers.steps import Steps
from matjac.solvers.watch import Stopped, Watch

#: Residuals that small beside the terms that cancel in them, or beside those of the start, are zero.
RELATIVE, REDUCED = 1e-10, 1e-14
#: The share of the decrease that a model promises with which a step is taken.
SUFFICIENT = 1e-4
#: The shortest part of Newton's direction that is tried.
SHORTEST = 1e-2
#: The damping of the first damped step, that from which Newton's direction is tried again, and the greatest.
FIRST, LIGHT, HEAVY = 1e-3, 1e-7, 1e8
#: So many steps that together bring less than a hundredth are a stall.
STALL = 40


@dataclass
class State:
    """A point and its values."""

    x: Array
    y: Array

    def __post_init__(self) -> None:
        self.norm = float(np.linalg.norm(self.y))
        self.largest = float(np.abs(self.y).max(initial=0.0))


def solve(
    residual: Callable[[Array], Array], x0: Array, steps: Steps, watch: Watch, tol: float | None, maxiter: int
) -> OptimizeResult:
    """Solve F(x) = 0 from x0; the values and steps are the caller's."""
    at = State(x0, residual(x0))
    if not np.isfinite(at.norm):
        raise Stopped(watch.trouble)
    first, before, damping, damped, nit = at.largest, np.inf, 0.0, 0, 0
    history = [at.norm]

    def result(status: int, message: str) -> OptimizeResult:
        said = f"{message}: the largest residual is {at.largest:.3g}, after {nit} steps"
        found = {"success": status == 1, "status": status, "message": said + f", {damped} of them damped." * (damped > 0)}
        counts = {"nit": nit, "nfev": watch.evaluations, "njev": watch.derivatives, "damped": damped}
        return OptimizeResult(x=at.x, fun=at.y, method=steps.name, **found, **counts)

    while True:
        if at.norm == 0:
            return result(1, "solved")
        steps.at(at.x)
        gradient = steps.J.T @ at.y
        watch.derived("Jacobian", at.x, gradient)
        # at a solution J x is what the other terms are, with the other sign
        scale = max(RELATIVE * float(np.abs(steps.J @ at.x).max()), REDUCED * first)
        target = scale if tol is None else tol
        if at.largest <= target:
            return result(1, "solved")
        if nit == maxiter:
            return result(0, "too many steps")
        if len(history) > STALL and at.norm > 0.99 * history[-STALL]:
            return result(3, "stalled")
        new = None
        if damping == 0:
            # Eisenstat and Walker's second choice, no smaller than is of use
            forcing = np.clip(0.9 * (at.norm / before) ** 2, 0.1 * target / at.largest, 0.1)
            new = line_search(residual, at, steps, min(max(forcing, 1e-12), 0.1))
            damping = FIRST if new is None else 0.0
        if new is None:
            cosine = np.abs(gradient / steps.norms()).max() / at.norm
            if cosine <= 1e-9:
                return result(2, "no solution near, the residuals' norm is least here")
            new, damping = damped_step(residual, at, steps, gradient, damping)
            damped += new is not None
        if new is None:
            if watch.failures:
                raise Stopped(watch.trouble)
            return result(3, "no step makes the residuals smaller")
        before, at = at.norm, new
        history.append(at.norm)
        nit += 1
        watch.went(at.x, at.largest)


def line_search(residual: Callable[[Array], Array], at: State, steps: Steps, forcing: float) -> State | None:
    """A point along Newton's direction where the norm is less, by halves and by a parabola; None where there is none."""
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


def damped_step(
    residual: Callable[[Array], Array], at: State, steps: Steps, gradient: Array, damping: float
) -> tuple[State | None, float]:
    """A step of Levenberg and Marquardt that makes the norm less, and the damping of the next; 0 where none is needed."""
    while damping <= HEAVY:
        try:
            p = steps.damped(at.y, damping)
        except np.linalg.LinAlgError:
            damping *= 10
            continue
        new = State(at.x + p, residual(at.x + p))
        promised = at.norm**2 - float(np.linalg.norm(at.y + steps.J @ p)) ** 2
        gain = (at.norm**2 - new.norm**2) / promised if promised > 0 else -1.0
        if gain > SUFFICIENT:
            damping *= 0.1 if gain > 0.75 else 1.0 if gain > 0.25 else 4.0
            return new, damping if damping > LIGHT else 0.0
        damping *= 10
    return None, damping
