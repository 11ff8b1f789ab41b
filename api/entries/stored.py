"""A matrix that is stored: that of an operator."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from matjac.conventions import Array
from matjac.entries.assembler import PLAIN, Assembler, Fill, Place
from matjac.entries.pattern import Pattern, frozen


class StoredAssembler(Assembler):
    """The rows of a canonical csr_array."""

    def __init__(self, matrix: Any) -> None:
        self.rows, self.data = matrix.shape[0], matrix.data
        self.pattern: Pattern = frozen(matrix.shape, matrix.indptr, matrix.indices)

    def offset(self, row: int) -> int:
        return int(self.pattern.indptr[row])

    def indptr(self, start: int, stop: int) -> Array:
        pointers = self.pattern.indptr
        shifted: Array = pointers[start : stop + 1].astype(np.int64) - int(pointers[start])
        return shifted

    def columns(self, out: Array, start: int, stop: int, place: Place = PLAIN) -> None:
        here = self.pattern.indices[self.offset(start) : self.offset(stop)]
        out[: here.size] = here

    def bind(self, values: Sequence[Any], dtype: np.dtype[Any]) -> Fill:
        def fill(out: Array, start: int, stop: int, place: Place) -> None:
            here = self.data[self.offset(start) : self.offset(stop)]
            out[: here.size] = here

        return fill
