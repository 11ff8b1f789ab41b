"""Whether a caller's matrix may be refilled: of the right kind, with the pattern at hand, and ready to be written."""

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from matjac import inputs
from matjac.assembly import CHUNK, chunks
from matjac.fill import Filler
from matjac.layout import Array
from matjac.maps import LinearMap
from matjac.threads import edges

#: Entries up to which the whole pattern is compared each time. Beyond, once per matrix, and then three rows of
#: it: comparing every index takes longer than writing the values.
ALWAYS_COMPARED = 1 << 16


def check(out: Any, linear: LinearMap, fill: Filler) -> Callable[[int], int]:
    """Raise where `out` is not a csr_array with that map's pattern; returns where the parts of a fill begin."""
    if not isinstance(out, sp.csr_array | sp.csr_matrix):
        raise TypeError(f"out: got {inputs.describe(out)}, expected a csr_array, as tocsr() makes it")
    if out.shape != linear.shape or out.dtype != linear.dtype:
        raise ValueError(f"out: got {inputs.describe(out)}, expected shape {linear.shape} and dtype {linear.dtype}")
    inputs.buffer("out.data", out.data, linear.dtype, fill.nnz)
    if not out.data.flags.c_contiguous:
        raise ValueError("out.data: got a strided array, expected a contiguous one")
    if out.indices.shape != (fill.nnz,) or out.indices.dtype.kind != "i" or out.indptr.dtype.kind != "i":
        raise ValueError(f"out: got {inputs.describe(out.indices)} for indices, expected {fill.nnz} integers")
    known = _known.get(id(out.indices))
    if known is None or not known.holds_for(out, linear, fill):
        if not _has_pattern(out.indptr, out.indices, linear, fill):
            raise ValueError("out: got entries in other places, expected this Jacobian's pattern, as tocsr() makes it")
        known = remember(out, linear, fill)
    return known.offsets.__getitem__


@dataclass(frozen=True)
class Known:
    """Index arrays that matjac made or compared, whose pattern they are, and offsets at the edges of parts."""

    linear: LinearMap
    indices: Any
    indptr: Any
    offsets: dict[int, int]

    def holds_for(self, out: Any, linear: LinearMap, fill: Filler) -> bool:
        """Whether those are still the arrays for that map, with no sign that their contents changed."""
        return (
            fill.nnz > ALWAYS_COMPARED
            and self.indices() is out.indices
            and self.indptr() is out.indptr
            and self.linear.same_pattern(linear)
            and out.indptr[0] == 0
            and out.indptr[-1] == fill.nnz
            and all(_row_matches(out, row, fill) for row in {0, out.shape[0] // 2, out.shape[0] - 1})
        )


# by the identity of the index array: it leaves with the array, and a pickled matrix knows nothing of it
_known: dict[int, Known] = {}


def remember(matrix: Any, linear: LinearMap, fill: Filler) -> Known:
    """Note whose pattern those very index arrays are."""
    key, rows = id(matrix.indices), matrix.shape[0]

    def forget(_: object) -> None:
        _known.pop(key, None)

    offsets = {row: int(matrix.indptr[row]) for row in edges(0, rows, fill.nnz)}
    known = Known(linear, weakref.ref(matrix.indices, forget), weakref.ref(matrix.indptr), offsets)
    _known[key] = known
    return known


def _row_matches(out: Any, row: int, fill: Filler) -> bool:
    """Whether a row has its columns; rows too long to be worth it pass."""
    count = int(fill.indptr(row, row + 1)[-1])
    first = int(out.indptr[row])
    if count > CHUNK:
        return True
    columns = np.empty(count, dtype=np.int64)
    fill.columns(columns, row, row + 1)
    return int(out.indptr[row + 1]) - first == count and np.array_equal(out.indices[first : first + count], columns)


def _has_pattern(indptr: Array, indices: Array, linear: LinearMap, fill: Filler) -> bool:
    rows = linear.shape[0]
    if indptr.size != rows + 1 or indptr[0] != 0 or indptr[-1] != fill.nnz:
        return False
    for start, stop in chunks(fill, rows):
        expected = fill.indptr(start, stop)
        if not np.array_equal(indptr[start : stop + 1], expected + int(indptr[start])):
            return False
        columns = np.empty(int(expected[-1]), dtype=np.int64)
        fill.columns(columns, start, stop)
        if not np.array_equal(indices[indptr[start] : indptr[stop]], columns):
            return False
    return True
