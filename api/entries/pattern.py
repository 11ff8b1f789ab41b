"""Patterns: where a sparse matrix has entries, made once from structure and shared by every matrix that is filled."""

from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from matjac.conventions import Array, cached_property, index_dtype
from matjac.entries.assembler import Assembler, run


@dataclass(frozen=True, eq=False)
class Pattern:
    """Row pointers and sorted columns of a CSR matrix, as arrays that cannot be written to."""

    shape: tuple[int, int]
    indptr: Array
    indices: Array

    @cached_property
    def rows(self) -> Array:
        """The row of each entry."""
        return np.repeat(np.arange(self.shape[0], dtype=self.indptr.dtype), np.diff(self.indptr))

    @cached_property
    def _empty(self) -> Any:
        nothing = np.broadcast_to(np.int8(0), self.indices.size)
        result = sp.csr_array((nothing, self.indices, self.indptr), shape=self.shape)
        result.has_canonical_format = True
        # SciPy may hold views of them; these very arrays tell `holds` at once whose they are
        result.data, result.indices, result.indptr = result.data[:0], self.indices, self.indptr
        return result

    def matrix(self, data: Array) -> Any:
        """The csr_array of those values; it shares the index arrays."""
        # SciPy checks the index arrays of a matrix that it makes: six times as long as a copy
        result = copy(self._empty)
        result.data = data
        return result

    def holds(self, matrix: Any) -> bool:
        """Whether a matrix has its entries there: told at once where it shares the arrays, else by their contents."""
        return all(
            mine is its or np.array_equal(mine, its)
            for mine, its in ((self.indptr, matrix.indptr), (self.indices, matrix.indices))
        )


def pattern_of(assembler: Assembler, shape: tuple[int, int]) -> Pattern:
    """The pattern of an assembler's entries."""
    nnz = assembler.nnz
    dtype = index_dtype(*shape, nnz)
    indptr = assembler.indptr(0, shape[0]).astype(dtype)
    indices = np.empty(nnz, dtype)
    run(assembler.columns, assembler, indices)
    return frozen(shape, indptr, indices)


def frozen(shape: tuple[int, int], indptr: Array, indices: Array) -> Pattern:
    """The pattern of those arrays, which no one can write to from then on."""
    for part in (indptr, indices):
        part.flags.writeable = False
    # of a view of what cannot be written to the flag cannot be set
    return Pattern(shape, indptr.view(), indices.view())
