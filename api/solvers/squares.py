"""Half the sum of squares of a function, as what L-BFGS and Gauss–Newton minimise."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from matjac.conventions import Array
from matjac.flat import Flat
from matjac.jacobian import Jacobian
from matjac.solvers import arguments
from matjac.solvers.damped import Damped
from matjac.solvers.lbfgs import Metric
from matjac.solvers.losses import Loss
from matjac.solvers.precondition import metric
from matjac.solvers.watch import Watch


class HalfSquares:
    """``½ ‖F‖²`` of any function, as `Compiled.half_squares` records it of a compiled one."""

    def __init__(self, F: Flat) -> None:
        self.F = F

    def bind_parts(self, data: Mapping[str, Array]) -> "HalfSquares":
        """The same with some parts of the flat vector as constants."""
        return HalfSquares(self.F.bind_parts(data))

    def value_and_grad(self, x: Array) -> tuple[Array, Array]:
        """The value and the gradient ``JᵀF`` at a flat vector."""
        y = arguments.residual(self.F.fun(x))
        return 0.5 * (y @ y), self.F.jac(x).rmatvec(y)

    def grad(self, x: Array) -> Array:
        """The gradient alone."""
        return self.value_and_grad(x)[1]


def half_squares(F: Flat) -> Any:
    """``½ ‖F‖²``, value and gradient from one recorded program where F is one."""
    recorded = getattr(F, "half_squares", None)
    return HalfSquares(F) if recorded is None else recorded()


class Watched:
    """What of a minimisation goes to its watch, and what of a checkpoint is a rank's own."""

    watch: Watch
    #: what checkpoints are of
    about: str

    @property
    def evaluations(self) -> int:
        """Values that were asked for."""
        return self.watch.evaluations

    def accepted(self, x: Array, value: float) -> None:
        """Report a step."""
        self.watch.went(x, value)

    def keep(self, state: Any) -> None:
        """Write a checkpoint in time."""
        self.watch.keep(self.about, state, self.own)

    def own(self) -> Any:
        """What the next steps depend on beside the state."""
        return None

    def resume(self, own: Any) -> None:
        """Go on from that."""


class SumOfSquares(Watched):
    """``½ ‖F(x)‖²``, or a robust loss of it, watched."""

    eager, refresh, memory = False, 15, 10

    def __init__(self, F: Flat, watch: Watch, loss: Loss, start: Array) -> None:
        self.F, self.watch, self.loss, self.start = F, watch, loss, start
        self.about = f"L-BFGS on {F.variables!r}"
        self._half = half_squares(F) if loss.linear else None

    def whole(self, x: Array) -> Array:
        """The flat vector of all unknowns."""
        return x

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        """The cost and its gradient."""
        found, gradient = self.watch.summed(self._robust if self._half is None else self._half.value_and_grad, x)
        value = float(found)
        # which residuals are not finite is worth another evaluation
        self.watch.evaluated("residuals", x, value, look=lambda: self.F.fun(x))
        if np.isfinite(value):
            self.watch.derived("Jᵀ · residuals", x, gradient)
        return value, gradient

    def _robust(self, x: Array) -> tuple[float, Array]:
        """Both of a robust loss."""
        y = arguments.residual(self.F.fun(x))
        value, weights = self.loss(y)
        return value, np.ravel(self.F.jac(x).rmatvec(y if weights is None else weights * y))

    def preconditioner(self, x: Array) -> Metric | None:
        """The inverse of the diagonal blocks of JᵀWJ, W the loss's weights, where they cost little."""
        weights = None if self.loss.linear else self.loss(self.F.fun(x))[1]
        return metric(self.F.jac(x), weights, self.watch.added)


class Linearised(Watched):
    """``½ ‖F(x)‖²``, or a robust loss of it, watched, with F's first-order model ``F + J p`` where it was accepted.

    Of a robust loss the model is that of the weighted squares ``½ Σ w (y + J p)²``: its gradient is the loss's, and its
    curvature ``Jᵀ W J`` leaves out how the weights change.
    """

    def __init__(self, F: Flat, watch: Watch, loss: Loss, way: Damped) -> None:
        self.watch, self.loss, self.way = watch, loss, way
        self.about = f"Gauss-Newton on {F.variables!r}"
        self._evaluate: Any = F.value_then_jac
        #: the residuals where the value was asked for last, what makes the Jacobian, the loss's weights
        self._last: tuple[Array, Callable[[], Jacobian], Array | None]
        #: the residuals at the point that was accepted
        self.residuals: Array

    @property
    def slack(self) -> float:
        """By which part a step may miss the length it is to have."""
        return self.way.slack

    @property
    def floor(self) -> float:
        """The least damping, beside the columns' squares."""
        return self.way.floor

    def value(self, x: Array) -> float:
        """The cost."""

        def cost(x: Array) -> float:
            y, jacobian = self._evaluate(x)
            value, weights = self.loss(arguments.residual(y))
            self._last = y, jacobian, weights
            return value

        value = self.watch.summed(cost, x)
        self.watch.evaluated("residuals", x, value, look=lambda: self._last[0])
        return value

    def gradient(self, x: Array) -> Array:
        """The gradient at the point whose value was asked for last."""

        def slope(x: Array) -> Array:
            y, jacobian, weights = self._last
            self.residuals = y
            root = None if weights is None else np.sqrt(weights)
            self._J = self.way.face(jacobian(), root)
            self._y = y if root is None else root * y
            return self._J.T @ self._y  # type: ignore[no-any-return]

        gradient = self.watch.summed(slope, x)
        self.watch.derived("Jᵀ · residuals", x, gradient)
        return gradient

    def hold(self, held: Array | None, gone: Array | None = None) -> Array:
        """The norms of J's columns, 0 of those that are held from now on, where a step has gone that far."""
        self.way.take(self._J, held, self._y if gone is None else self._y + self._J @ gone)
        return self.way.norms()

    def step(self, gradient: Array, shift: Array) -> Array:
        """The damped step."""
        return self.way.solve(gradient, shift)

    def squared(self, p: Array) -> float:
        """``‖J p‖²``, of rows times the roots of the weights."""

        def squares(p: Array) -> float:
            along = self._J @ p
            return float(along @ along)

        return self.watch.summed(squares, p)

    def normal(self, p: Array) -> Array:
        """``JᵀJ p``."""
        return self.watch.summed(lambda p: self._J.T @ (self._J @ p), p)
