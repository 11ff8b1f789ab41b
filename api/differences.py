"""Derivatives of a plain function along lines, by differences that tell how far they may be off."""

from collections.abc import Callable

import numpy as np

from matjac.conventions import Array

#: Steps of the differences: each is an eighth of the one before, and the last 10⁻¹⁰ of the smallest entry of x.
LEVELS, MOST, RATIO = 12, 30, 8.0
#: Columns of Richardson's table: the error of the last falls with the eighth power of the step.
COLUMNS = 3
#: Values that tell the rounding, and how far from the point they are, relative to each entry of x.
NEAR, SPACING = 9, 2.0**-18


class Differences:
    """Derivatives of ``fun`` at ``x`` along directions, entry by entry of its value, each with its error.

    Central differences of smaller and smaller steps are extrapolated to a step of zero, and for each entry that
    extrapolation is kept which agrees best with those it was made of (C. Ridders, *Advances in Engineering Software*
    4, 1982) and does not contradict those of smaller steps. Added to its error is how much the function's rounding
    makes of a difference (J. Moré and S. Wild, *Estimating Computational Noise*, SIAM J. Sci. Comput. 33, 2011), and
    half of what the derivatives to the left and to the right differ by: where an entry has a kink, any between them is
    its derivative.
    """

    def __init__(self, fun: Callable[[Array], Array], x: Array, accuracy: float, eps: float = 0.0) -> None:
        #: `eps` is the rounding of the coarsest dtype on the way to the value
        self._fun, self._x, self._eps = fun, x, max(eps, float(np.finfo(float).eps))
        #: an error, of entries of size 1, below which nothing is to be gained
        self._accuracy = accuracy
        sizes = np.abs(x[np.isfinite(x) & (x != 0)])
        sizes = sizes if sizes.size else np.ones(1)
        self._least, most = float(sizes.min()), float(sizes.max())
        levels = LEVELS + int((np.log(most) - np.log(self._least)) / np.log(RATIO))
        self._steps = most * RATIO ** -np.arange(1.0, min(levels, MOST) + 1)
        #: the function's value at x
        self.center = np.asarray(fun(x)) + 0.0
        #: by how much rounding moves each entry of it; coarse rounding may be of what is larger than the entries of x
        coarse = self._eps > 1e-10
        self.noise = self._rounding(np.full(x.shape, most) if coarse else np.where(x == 0, self._least, x))

    def value(self, at: Array) -> Array:
        """The function's value, NaN where it has none."""
        try:
            value: Array = np.asarray(self._fun(at)) + 0.0
            return value
        except np.linalg.LinAlgError:  # a matrix without an inverse or a Cholesky factor
            return np.full(self.center.shape, np.nan)

    def _rounding(self, sizes: Array) -> Array:
        """The root mean square of what a cubic leaves of values beside x."""
        rng = np.random.default_rng(4)
        v, t = rng.uniform(1, 2, sizes.size) * sizes, rng.uniform(-1, 1, NEAR)
        near = np.stack([self.value(self._x + self._eps**0.6 * k * v) for k in t]) - self.center
        cubics = np.linalg.qr(np.vander(t, 4)).Q
        left = near - np.tensordot(cubics, np.tensordot(cubics.T, near, 1), 1)
        found = np.sqrt(np.sum(np.abs(left) ** 2, axis=0) / (NEAR - 4))
        noise: Array = np.fmax(found, self._eps * np.abs(self.center))
        return noise

    def along(self, v: Array) -> tuple[Array, Array]:
        """The derivative in the direction v, and how far it may be off: infinitely far where nothing is known."""
        best = np.zeros(self.center.shape, np.result_type(self.center, float))
        error = np.full(best.shape, np.inf)
        central: list[Array] = []
        bent: list[Array] = []
        for step in self._steps:
            ahead, behind = self.value(self._x + step * v), self.value(self._x - step * v)
            before, central = central, extrapolated((ahead - behind) / (2 * step), central[:COLUMNS], 2)
            bent = extrapolated((ahead - 2 * self.center + behind) / step, bent[:COLUMNS], 1)
            own = 3 * self.noise / step + np.abs(bent[-1]) / 2
            for finer, coarser, others in zip(central[1:], central, before, strict=False):
                off = np.maximum(np.abs(finer - coarser), np.abs(finer - others)) + own
                better = (off < error) | (np.abs(finer - best) > 4 * (off + error))
                best, error = np.where(better, finer, best), np.where(better, off, error)
            if step < self._least and np.all(error <= self._accuracy * np.maximum(1, np.abs(best))):
                break
        return best, error


def extrapolated(newest: Array, before: list[Array], power: int) -> list[Array]:
    """A row of Richardson's table, of estimates whose error begins with the step to that power; the row before it."""
    row = [newest]
    for at, other in enumerate(before):
        # errors are powers of the step: power, power + 2, …
        factor = RATIO ** (power + 2 * at)
        row.append(row[-1] + (row[-1] - other) / (factor - 1))
    return row
