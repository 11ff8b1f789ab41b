"""Rows of positive numbers whose sum is one, by the softmax of free entries."""

from typing import Any

import numpy as np

from matjac import checks, special
from matjac.conventions import Array, Shape, cached_property, size
from matjac.linear.spread import Spread, selection
from matjac.tracing.arrays import Recorded
from matjac.tracing.recorded import apply
from matjac.unknowns.base import Structured, index


class Stochastic(Structured):
    """Positive rows that sum to one: the softmax of free entries and a last one that is zero."""

    def __init__(self, name: str, shape: Shape) -> None:
        self.name, self.shape = name, shape
        self.size = size(shape[:-1]) * (shape[-1] - 1)

    affine = False

    @cached_property
    def _spread(self) -> Spread:
        """The logits of all entries, of which those of the last column are zero."""
        columns = np.arange(self.size)
        rows = columns + columns // max(self.shape[-1] - 1, 1)
        return Spread((self.size,), selection(rows, columns, (size(self.shape), self.size)), self.shape)

    def whole(self, free: Any) -> Any:
        if isinstance(free, Recorded):
            return special.softmax(apply(self._spread, free, shape=self.shape), axis=-1)
        return special.softmax(self._spread.value(checks.shaped("free entries", free, (self.size,))), axis=-1)

    def near(self, X: Array) -> Array:
        return np.zeros(self.size)

    def moved(self, dX: Array, free: Array, name: str) -> Array:
        # each row on its own: d(θ_j) = dp_j / p_j − dp_n / p_n
        P = self.whole(free)
        self._same(name, dX - P * dX.sum(axis=-1, keepdims=True), dX)
        ratio = dX / P
        return np.asarray((ratio[..., :-1] - ratio[..., -1:]).reshape(-1))

    def gradient(self, slope: Array, free: Array) -> Array:
        P, by = self.whole(free), slope.reshape(*self.shape[:-1], self.shape[-1] - 1)
        G = np.concatenate([by, -by.sum(axis=-1, keepdims=True)], axis=-1) / P
        # its rows have the sum 0, as changes have
        return np.asarray(G - G.mean(axis=-1, keepdims=True))

    def _of_recorded(self, X: Recorded) -> Any:
        logits: Any = np.log(X)
        return (logits[..., :-1] - logits[..., -1:]).reshape(-1)

    def _of(self, X: Array, name: str) -> Array:
        if X.dtype.kind == "c" or not (X > 0).all():
            bad = 0 if X.dtype.kind == "c" else int(np.argmin(X))
            raise ValueError(
                f"{name}: got {X.reshape(-1)[bad]} at {index(bad, self.shape)}, expected a positive number"
            )
        logits: Array = np.log(X)
        return (logits[..., :-1] - logits[..., -1:]).reshape(-1)

    def entry(self, number: int) -> str:
        row, column = divmod(number, self.shape[-1] - 1)
        place = row * self.shape[-1] + column
        return f"{index(place, self.shape)} (its logit)"

    def spread(self, name: str, value: Array) -> Array:
        if not np.ndim(value) and (np.isinf(value) or name.startswith("x_scale")):
            return np.broadcast_to(value, (self.size,))
        raise ValueError(
            f"{name}: got {value if not np.ndim(value) else checks.describe(value)}, expected ({self.size},), one for "
            f"each logit: entries of {self.name} are between 0 and 1 of themselves"
        )
