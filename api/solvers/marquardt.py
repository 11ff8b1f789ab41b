"""Levenberg–Marquardt steps of many small problems at once, each with a damping and an end of its own."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from matjac import kernels
from matjac.conventions import Array
from matjac.solvers.blockwise import BlockCholesky
from matjac.solvers.watch import STOPPED, Watch
from matjac.threads import split

#: How far a damping may grow above the scale of the normal matrix: then no step is left that is one.
LARGEST = 1e16
#: What it does not fall below: a normal matrix of less than full rank has a Cholesky factor still.
SMALLEST = 1e-13
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
        self.X, self.Y = np.zeros((count, unknowns)), np.zeros((count, values))
        self.cost, self.optimality = np.zeros(count), np.zeros(count)
        self.status, self.steps, self.moves = (np.zeros(count, np.int64) for _ in range(3))
        #: whether a problem is here, goes on, and is only to be evaluated where it begins
        self.used, self.going, self.new = (np.zeros(count, bool) for _ in range(3))
        #: the lower triangles of JᵀJ, and Jᵀ residuals
        self.A, self.g = np.zeros((count, unknowns, unknowns)), np.zeros((count, unknowns))
        #: the largest diagonals of JᵀJ so far, by which the damping is scaled
        self.scale = np.zeros((count, unknowns))
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
        self.damping[slots], self.growth[slots] = 1e-3, 2.0
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
        p, predicted = self._direction()
        trial = self.X + p
        values, point = model.value(trial)
        cost = 0.5 * np.einsum("bi,bi->b", values, values)
        finite = np.isfinite(cost)
        watch.evaluated("residuals", trial, cost[finite])
        new, old = self.new, self.going & ~self.new
        drop = self.cost - cost
        ratio = drop / predicted
        better = old & (predicted > 0) & (ratio > 1e-4)
        # as MINPACK ends: also where rounding decides which cost is the less
        near = self.rules.ftol * self.cost
        level = old & (np.abs(drop) <= near) & (predicted <= near)
        short = old & finite & ~np.isnan(predicted)
        short &= _norms(p) < self.rules.xtol * (self.rules.xtol + _norms(self.X))
        self._damp(better, old & ~better, ratio)
        self.steps[old] += 1
        moved = better | (new & finite)
        self._end(new & ~finite, FAILED)
        self._go(moved, trial, values, cost)
        self._end(level & short, 4)
        self._end(level, 2)
        self._end(short, 3)
        if moved.any():
            # of those that are done too, for their gradient is told
            self._linearise(model.blocks(point), moved)
            self.moves[better] += 1
        self.new = np.zeros(self.count, bool)
        self._end(self.damping > LARGEST, FAILED)
        self._end(self.steps >= self.rules.steps, 0)

    def _end(self, which: Array, status: int) -> None:
        which = which & self.going
        self.status[which] = status
        self.going &= ~which

    def _go(self, moved: Array, trial: Array, values: Array, cost: Array) -> None:
        for mine, its in ((self.X, trial), (self.Y, values)):
            np.copyto(mine, its, where=moved[:, None])
        np.copyto(self.cost, cost, where=moved)

    def _damp(self, better: Array, worse: Array, ratio: Array) -> None:
        """Nielsen's rule, but for a faster fall where the model is good."""
        fall = np.where(ratio > 0.75, 0.1, np.clip(1 - (2 * ratio - 1) ** 3, 1 / 3, 2.0))
        change = np.where(better, fall, np.where(worse, self.growth, 1.0))
        self.damping = np.maximum(self.damping * change, SMALLEST)
        self.growth = np.where(better, 2.0, np.where(worse, 2 * self.growth, self.growth))

    def _linearise(self, blocks: Array, which: Array) -> None:
        """Make the normal equations of those problems, and see which are done."""
        Y, A, g = self.Y.astype(blocks.dtype, copy=False), self.A, self.g

        def task(start: int, stop: int) -> None:
            kernels.normal_equations(blocks, Y, which, A, g, start, stop)

        split(task, 0, which.size, 2 * blocks.size)
        diagonal = np.einsum("bii->bi", A)
        gradient = g if self.bounds is None else np.clip(self.X - g, *self.bounds) - self.X
        largest = np.abs(gradient).max(axis=1, initial=0.0)
        # a sum is finite where its parts are
        self._end(which & ~np.isfinite(largest + diagonal.sum(axis=1)), FAILED)
        np.fmax(self.scale, diagonal, out=self.scale)
        np.copyto(self.optimality, largest, where=which)
        self._end(which & (largest <= self.rules.gtol), 1)

    def _direction(self) -> tuple[Array, Array]:
        """The damped steps, within the bounds, and by how much the cost falls if the model is right; NaN for failures.

        What is at a bound, and would go beyond it, is held: steps of the others are solved for, and clipped.
        """
        shift = self.damping[:, None] * np.where(self.scale > 0, self.scale, 1.0)
        A, g = self.A, self.g
        if self.bounds is not None:
            low, high = self.bounds
            held = ((low >= self.X) & (g > 0)) | ((high <= self.X) & (g < 0))
            A = A * ~(held[:, :, None] | held[:, None, :])
            np.einsum("bii->bi", A)[held] = 1
            g = np.where(held, 0, g)
        p = self._factors.factor(A, shift).solve(g)
        np.negative(p, out=p)
        failed = self._factors.failed != 0
        p[failed | ~self.going] = 0
        if self.bounds is None:
            # of (A + D) p = −g
            predicted = 0.5 * np.einsum("bi,bi->b", p, shift * p - g)
        else:
            p = np.clip(self.X + p, low, high) - self.X
            whole = self.A + np.tril(self.A, -1).mT
            predicted = -np.einsum("bi,bi->b", p, self.g) - 0.5 * np.einsum("bi,bij,bj->b", p, whole, p)
        predicted[failed] = np.nan
        return p, predicted


def _norms(X: Array) -> Array:
    return np.sqrt(np.einsum("bi,bi->b", X, X))  # type: ignore[no-any-return]
