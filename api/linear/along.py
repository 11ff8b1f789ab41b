"""Linear maps along the last axis: running sums, recurrences, and entries taken in an order that depends on values."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from matjac import kernels
from matjac.conventions import Array, Shape, size
from matjac.linear.maps import Map
from matjac.threads import split


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
class Recurrence(Map):
    """c as z with ``z[k] = x[k] · z[k − 1] + c[k]`` along the last axis, x being the coefficient."""

    name = "recurrence"
    axes = (1,)

    def product(self, x: Array, *coefficients: Any) -> Array:
        return _solved(coefficients[0], x)

    def transposed(self, y: Array, *coefficients: Any) -> Array:
        # z[k] = x[k + 1] · z[k + 1] + y[k], from the end
        (x,) = coefficients
        following = np.concatenate([np.zeros_like(x[..., :1]), x[..., :0:-1]], axis=-1)
        return _solved(following, y[..., ::-1])[..., ::-1]

    def places(self, before: Shape, after: Shape) -> Array | None:
        return np.tri(*after, *before, dtype=bool)


def _solved(x: Array, c: Array) -> Array:
    shape, dtype = np.broadcast_shapes(x.shape, c.shape), np.result_type(x, c)
    x, c = (np.ascontiguousarray(np.broadcast_to(v, shape), dtype).reshape(-1, max(shape[-1], 1)) for v in (x, c))
    out = np.empty(c.shape, dtype)
    if out.size:
        split(lambda a, b: kernels.recurrence(x, c, out[a:b], a, b), 0, len(c), c.size)
    return out.reshape(shape)


@dataclass(frozen=True)
class TakeAlong(Map):
    """``np.take_along_axis`` on the last axis, by positions that are a value."""

    #: the length of the axis
    length: int
    #: whether each position is there at most once
    once: bool = True
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
        wide = np.broadcast_to(positions, (*stack, positions.shape[-1]))
        if self.once:
            np.put_along_axis(out, wide, y, axis=-1)
        else:
            rows = np.arange(size(stack)).reshape(*stack, 1) * self.length
            np.add.at(out.reshape(-1), (rows + wide).reshape(-1), np.broadcast_to(y, wide.shape).reshape(-1))
        return out
