"""Entries whose places are listed: of a stored matrix, and of a function with few values, whose rows are swept."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from matjac import memory
from matjac.conventions import Array, cumulative, size
from matjac.entries.assembler import PLAIN, Assembler, Fill, Place
from matjac.entries.pattern import Pattern, frozen
from matjac.linear.expression import Expression


class ListedAssembler(Assembler):
    """Entries by their row pointers (int64) and columns."""

    def __init__(self, offsets: Array, indices: Array) -> None:
        self.rows, self.offsets, self.indices = offsets.size - 1, offsets, indices

    @abstractmethod
    def numbers(self, values: Sequence[Any], dtype: np.dtype[Any]) -> Array:
        """The numbers of all entries."""

    def columns(self, out: Array, start: int, stop: int, place: Place = PLAIN) -> None:
        first, last = self.offset(start), self.offset(stop)
        np.add(self.indices[first:last], place.base, out=out[: last - first])

    def bind(self, values: Sequence[Any], dtype: np.dtype[Any]) -> Fill:
        def fill(out: Array, start: int, stop: int, place: Place) -> None:
            first, last = self.offset(start), self.offset(stop)
            out[: last - first] = self.numbers(values, dtype)[first:last]

        return fill


class StoredAssembler(ListedAssembler):
    """A canonical csr_array: that of an operator."""

    def __init__(self, matrix: Any) -> None:
        super().__init__(matrix.indptr.astype(np.int64), matrix.indices)
        self.data = matrix.data
        self.pattern: Pattern = frozen(matrix.shape, matrix.indptr, matrix.indices)

    def numbers(self, values: Sequence[Any], dtype: np.dtype[Any]) -> Array:
        return self.data  # type: ignore[no-any-return]


class SweepAssembler(ListedAssembler):
    """Rows by adjoint sweeps, their places by the same of ones; `upright` where they are the columns of the matrix."""

    ranged = False

    def __init__(self, backward: Expression, upright: bool) -> None:
        self.backward, self.upright = backward, upright
        (shape,) = backward.in_shapes
        memory.require(f"{size(shape)} rows", self._bytes(8) + 24 * size(shape) * size(backward.out_shape))
        matrix = self._swept(backward.positive(), backward.ones(), np.dtype(np.float64))
        self.places = np.nonzero(matrix)
        super().__init__(cumulative(np.bincount(self.places[0], minlength=len(matrix))), self.places[1])

    def beside(self, itemsize: int, whole: bool = True) -> int:
        return self._bytes(itemsize) + itemsize * self.indices.size

    def _bytes(self, itemsize: int) -> int:
        """What the sweeps hold at a time."""
        (shape,) = self.backward.in_shapes
        return itemsize * size(shape) * self.backward.held

    def numbers(self, values: Sequence[Any], dtype: np.dtype[Any]) -> Array:
        return self._swept(self.backward, values, dtype)[self.places]

    def _swept(self, backward: Expression, values: Sequence[Any], dtype: np.dtype[Any]) -> Array:
        (shape,) = backward.in_shapes
        count = size(shape)
        matrix = backward.forward(values, [np.eye(count, dtype=dtype).reshape(count, *shape)]).reshape(count, -1)
        return matrix.T if self.upright else matrix
