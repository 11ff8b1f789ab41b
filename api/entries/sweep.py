"""The Jacobian of a function with few values: its rows by adjoint sweeps, their places by the same of ones."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from matjac.conventions import Array, cumulative, size
from matjac.entries.assembler import PLAIN, Assembler, Fill, Place
from matjac.linear.expression import Expression


class SweepAssembler(Assembler):
    """Rows by one sweep; `upright` where they are the columns of the matrix."""

    ranged = False

    def __init__(self, expression: Expression, upright: bool) -> None:
        self.expression, self.upright = expression, upright
        places = self._swept(expression.positive(), expression.ones(), np.dtype(np.float64)) != 0
        self._rows, self._columns = np.nonzero(places.T if upright else places)
        self.rows = places.shape[upright]
        self.offsets = cumulative(np.bincount(self._rows, minlength=self.rows))

    def _swept(self, expression: Expression, values: Sequence[Any], dtype: np.dtype[Any]) -> Array:
        count = size(expression.out_shape)
        parts = expression.adjoint(values, np.eye(count, dtype=dtype).reshape(count, *expression.out_shape))
        return np.concatenate([part.reshape(count, -1) for part in parts], axis=1)

    def indptr(self, start: int, stop: int) -> Array:
        pointers: Array = self.offsets[start : stop + 1] - self.offsets[start]
        return pointers

    def columns(self, out: Array, start: int, stop: int, place: Place = PLAIN) -> None:
        first, last = self.offset(start), self.offset(stop)
        out[: last - first] = self._columns[first:last] + place.base

    def bind(self, values: Sequence[Any], dtype: np.dtype[Any]) -> Fill:
        def fill(out: Array, start: int, stop: int, place: Place) -> None:
            first, last = self.offset(start), self.offset(stop)
            swept = self._swept(self.expression, values, dtype)
            swept = swept.T if self.upright else swept
            out[: last - first] = swept[self._rows[first:last], self._columns[first:last]]

        return fill
