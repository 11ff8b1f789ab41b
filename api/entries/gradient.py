"""The one row of a scalar function's Jacobian: its entries by an adjoint sweep, their places by the same of ones."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from matjac.conventions import Array
from matjac.entries.filler import PLAIN, Fill, Filler, Place, cumulative
from matjac.linear.expression import Expression


class GradientFiller(Filler):
    """A row, or where it is `upright` a column."""

    ranged = False

    def __init__(self, expression: Expression, upright: bool) -> None:
        self.expression, self.upright = expression, upright
        self._places = np.flatnonzero(np.concatenate([np.ravel(part) for part in expression.support()]))
        self.size = sum(int(np.prod(shape)) for shape in expression.in_shapes)
        self.rows = self.size if upright else 1

    @cached_property
    def nnz(self) -> int:
        return self._places.size

    @cached_property
    def offsets(self) -> Array:
        if not self.upright:
            return np.array([0, self.nnz])
        return cumulative(np.bincount(self._places, minlength=self.size))

    def indptr(self, start: int, stop: int) -> Array:
        pointers: Array = self.offsets[start : stop + 1] - self.offsets[start]
        return pointers

    def columns(self, out: Array, start: int, stop: int, place: Place = PLAIN) -> None:
        first, last = self.offset(start), self.offset(stop)
        out[: last - first] = place.base if self.upright else self._places[first:last] + place.base

    def bind(self, values: Sequence[Any], dtype: np.dtype[Any]) -> Fill:
        def fill(out: Array, start: int, stop: int, place: Place) -> None:
            first, last = self.offset(start), self.offset(stop)
            parts = self.expression.adjoint(values, np.ones(self.expression.out_shape, dtype))
            row = np.concatenate([np.ravel(part) for part in parts])
            out[: last - first] = (row if self.nnz == self.size else row[self._places])[first:last]

        return fill
