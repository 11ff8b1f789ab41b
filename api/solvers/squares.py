"""Half the sum of squares of a function, as what L-BFGS minimises."""

from typing import Any

import numpy as np

from matjac.conventions import Array
from matjac.flat import Flat
from matjac.solvers import arguments
from matjac.solvers.lbfgs import Metric
from matjac.solvers.losses import Loss
from matjac.solvers.precondition import metric
from matjac.solvers.watch import Watch


class SumOfSquares:
    """``½ ‖F(x)‖²``, or a robust loss of it, watched."""

    def __init__(self, F: Flat, watch: Watch, loss: Loss) -> None:
        self.F, self.watch, self.loss = F, watch, loss
        # one recorded program for the value and the gradient, where there can be one
        recorded = loss.linear and hasattr(F, "half_squares")
        self._half: Any = F.half_squares() if recorded else None  # type: ignore[attr-defined]

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        """The cost and its gradient."""
        if self._half is None:
            y = arguments.residual(self.watch.call(self.F.fun, x))
            value, weights = self.loss(y)
            self.watch.evaluated("residuals", x, y)
            gradient = np.ravel(self.F.jac(x).rmatvec(y if weights is None else weights * y))
        else:
            found, gradient = self.watch.call(self._half.value_and_grad, x)
            value = float(np.ravel(found)[0])
            # which residuals are not finite is worth another evaluation
            self.watch.evaluated("residuals", x, np.ravel(found) if np.isfinite(value) else self.F.fun(x))
        if np.isfinite(value):
            self.watch.derived("Jᵀ · residuals", x, gradient)
        return value, gradient

    @property
    def evaluations(self) -> int:
        """Values that were asked for."""
        return self.watch.evaluations

    def preconditioner(self, x: Array) -> Metric | None:
        """The inverse of the diagonal blocks of JᵀWJ, W the loss's weights, where they cost little."""
        weights = None if self.loss.linear else self.loss(self.F.fun(x))[1]
        found = metric(self.F.jac(x), weights)
        return None if found is None else found.matvec

    def accepted(self, x: Array, value: float) -> None:
        """Report a step."""
        self.watch.went(x, value)
