"""Levenberg–Marquardt steps of many small problems at once, each with a damping and an end of its own."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from matjac import kernels, memory
from matjac.conventions import Array
from matjac.solvers.blockwise import BlockCholesky
from matjac.solvers.watch import STOPPED, Watch
from matjac.threads import split

#: How far a damping may grow above the scale of the normal matrix: then no step is left that is one.
LARGEST = 1e16
#: What it does not fall below: a normal matrix of less than full rank has a Cholesky factor still.
SMALLEST = 1e-13
_NONE = np.empty((0, 0))
#: The status of a problem where something is not finite.
FAILED = STOPPED


@dataclass(frozen=True)
class Rules:
    """When a problem is done."""

    ftol: float
    xtol: float
    gtol: float
    steps: int


class Fits:
    """The state of so many problems: points, residuals, normal equations, dampings."""

    def __init__(self, rules: Rules, count: int, unknowns: int, values: int) -> None:
        self.rules, self.count = rules, count
        entries = count * unknowns * (values + 2 * unknowns)
        memory.require(f"{count:,} problems with {entries:,} entries", 8 * entries)
        self.X, self.Y = np.zeros((count, unknowns)), np.zeros((count, values))
        self.cost, self.optimality = np.zeros(count), np.zeros(count)
        self.status, self.steps, self.moves = (np.zeros(count, np.int64) for _ in range(3))
        #: whether a problem is here, goes on, and is only to be evaluated where it begins
        self.used, self.going, self.new = (np.zeros(count, bool) for _ in range(3))
        #: the lower triangles of JᵀJ, and Jᵀ residuals
        self.A, self.g = np.zeros((count, unknowns, unknowns)), np.zeros((count, unknowns))
        #: the largest diagonals of JᵀJ so far, by which the damping is scaled
        self.scale, self.shift = np.zeros((count, unknowns)), np.ones((count, unknowns))
        self.damping, self.growth = np.zeros(count), np.zeros(count)
        self.bounds: list[Array] | None = None
        self._factors = BlockCholesky()

    def begin(self, slots: Array, X: Array, bounds: Any) -> None:
        """Put problems that begin at X in those places."""
        if bounds is not None:
            self.bounds = self.bounds or [np.zeros_like(self.X), np.zeros_like(self.X)]
            for mine, edge in zip(self.bounds, bounds, strict=True):
                mine[slots] = edge
        self.X[slots] = X
        for array in (self.A, self.g, self.scale, self.status, self.steps, self.moves):
            array[slots] = 0
        self.cost[slots] = self.optimality[slots] = np.nan
        self.damping[slots], self.growth[slots], self.shift[slots] = 1e-3, 2.0, 1.0
        self.used[slots] = self.going[slots] = self.new[slots] = True

    def keep(self, slots: Array, first: int) -> None:
        """Keep what is in those places; after the first ones they are room that is not used."""
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                setattr(self, name, value[slots])
        self.bounds = None if self.bounds is None else [edge[slots] for edge in self.bounds]
        self.count = slots.size
        self.used[first:] = self.going[first:] = False

    def step(self, model: Any, watch: Watch) -> None:
        """One step of all problems that go on, and of new ones a first evaluation."""
        X, Y, A, g, rules = self.X, self.Y, self.A, self.g, self.rules
        low, high = self.bounds or (_NONE, _NONE)
        step = self._solved(low, high)
        trial, predicted, moved = np.empty_like(X), np.empty(self.count), np.empty(self.count, bool)
        given = X, A, g, self.shift, step, self._factors.failed, self.going, low, high, trial, predicted
        self._split(kernels.marquardt_trial, given)
        values, point = model.value(trial)
        after = 0.5 * np.einsum("bi,bi->b", values, values)
        watch.evaluated("residuals", trial, after[np.isfinite(after)])
        state = X, Y, self.cost, self.damping, self.growth, self.status, self.steps, self.going, self.new
        tried = trial, step, values, after, predicted
        limits = rules.ftol, rules.xtol, rules.steps, LARGEST, SMALLEST, FAILED
        self._split(kernels.marquardt_judge, (*state, *tried, *limits, moved))
        if moved.any():
            # of those that are done too, for their gradient is told
            blocks = model.blocks(point)
            residuals = Y.astype(blocks.dtype, copy=False)
            self._split(kernels.normal_equations, (blocks, residuals, moved, A, g), 2 * blocks.size)
            self.moves[moved] += 1
        at = X, A, g, low, high, moved, self.damping, rules.gtol, FAILED
        self._split(kernels.marquardt_scale, (*at, self.scale, self.shift, self.optimality, self.status, self.going))

    def _split(self, kernel: Any, given: tuple[Any, ...], entries: int = 0) -> None:
        split(lambda start, stop: kernel(*given, start, stop), 0, self.count, entries or 8 * self.X.size)

    def _solved(self, low: Array, high: Array) -> Array:
        """Solve for the damped step; what is at a bound, and would go beyond it, is held."""
        A, g = self.A, self.g
        if low.size:
            held = ((low >= self.X) & (g > 0)) | ((high <= self.X) & (g < 0))
            A = A * ~(held[:, :, None] | held[:, None, :])
            np.einsum("bii->bi", A)[held] = 1
            g = np.where(held, 0, g)
        return self._factors.factor(A, self.shift).solve(g)
