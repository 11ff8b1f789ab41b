"""Linear maps along the last axis: running sums, and entries taken in an order that depends on values."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from matjac.conventions import Array, Shape
from matjac.linear.maps import Map


@dataclass(frozen=True)
class RunningSum(Map):
    """``np.cumsum`` along the last axis."""

    name = "cumsum"

    def product(self, x: Array, *coefficients: Any) -> Array:
        return np.cumsum(x, axis=-1, dtype=x.dtype)

    def transposed(self, y: Array, *coefficients: Any) -> Array:
        return np.cumsum(y[..., ::-1], axis=-1, dtype=y.dtype)[..., ::-1]

    def places(self, before: Shape, after: Shape) -> Array | None:
        return np.tri(*after, *before, dtype=bool)


@dataclass(frozen=True)
class TakeAlong(Map):
    """``np.take_along_axis`` on the last axis, by positions that are a value; each is taken at most once."""

    #: the length of the axis
    length: int
    name = "take along axis"
    axes = (1,)

    def product(self, x: Array, *coefficients: Any) -> Array:
        (positions,) = coefficients
        stack = np.broadcast_shapes(x.shape[:-1], positions.shape[:-1])
        wide = np.broadcast_to(positions, (*stack, positions.shape[-1]))
        return np.take_along_axis(np.broadcast_to(x, (*stack, x.shape[-1])), wide, axis=-1)

    def transposed(self, y: Array, *coefficients: Any) -> Array:
        (positions,) = coefficients
        stack = np.broadcast_shapes(y.shape[:-1], positions.shape[:-1])
        out = np.zeros((*stack, self.length), y.dtype)
        np.put_along_axis(out, np.broadcast_to(positions, (*stack, positions.shape[-1])), y, axis=-1)
        return out
