"""Robust losses ρ of SciPy's `least_squares`: values, and weights of the residuals in the gradient."""

from collections.abc import Callable
from typing import Any

import numpy as np

from matjac import checks
from matjac.conventions import Array

#: For z = (residual / scale)²: ρ(z) and ρ'(z).
LOSSES: dict[str, Callable[[Array], tuple[Array, Array]]] = {
    "soft_l1": lambda z: (2 * (np.sqrt(1 + z) - 1), 1 / np.sqrt(1 + z)),
    "huber": lambda z: (
        np.where(z <= 1, z, 2 * np.sqrt(np.maximum(z, 1)) - 1),
        1 / np.sqrt(np.maximum(z, 1)),
    ),
    "cauchy": lambda z: (np.log1p(z), 1 / (1 + z)),
    "arctan": lambda z: (np.arctan(z), 1 / (1 + z**2)),
}


class Loss:
    """``½ C² Σ ρ((y / C)²)``, and its weights: the gradient is ``Jᵀ (weights ∘ y)``."""

    def __init__(self, loss: Any, scale: Any) -> None:
        names = ("linear", *LOSSES)
        if not callable(loss) and loss not in names:
            raise ValueError(f"loss: got {loss!r}, expected one of {', '.join(names)}, or a function")
        self.linear = loss == "linear"
        self._scale = float(checks.array("f_scale", scale, 0))
        if not self._scale > 0:
            raise ValueError(f"f_scale: got {scale}, expected a positive number")
        # a function gives three rows: ρ, ρ' and ρ''
        self._rho = loss if callable(loss) else LOSSES.get(loss)

    def __call__(self, y: Array) -> tuple[float, Array | None]:
        """The cost, and the weights; None where they are 1."""
        if self.linear:
            return 0.5 * float(y @ y), None
        rho = self._rho((y / self._scale) ** 2)  # type: ignore[misc]
        # ρ of what is not finite may be a number
        value = 0.5 * self._scale**2 * float(np.sum(rho[0])) if np.isfinite(y).all() else np.nan
        return value, np.asarray(rho[1])
