"""Whether a caller's matrix may be refilled: of the right kind, with the pattern at hand, and ready to be written."""

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from matjac import inputs
from matjac.assembly import chunks
from matjac.fill import Filler
from matjac.layout import Array
from matjac.maps import LinearMap
from matjac.threads import edges

#: Entries up to which the whole pattern is compared each time. Beyond, once per matrix, and then a sample, which
#: moves when entries are dropped: comparing every index takes longer than writing the values.
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
    """Index arrays that matjac made or compared, whose pattern they are, offsets of parts, and a sample of indices."""

    linear: LinearMap
    indices: Any
    indptr: Any
    offsets: dict[int, int]
    sampled: Array
    sample: Array

    def holds_for(self, out: Any, linear: LinearMap, fill: Filler) -> bool:
        """Whether those are still the arrays for that map, with no sign that their contents changed."""
        return (
            fill.nnz > ALWAYS_COMPARED
            and self.indices() is out.indices
            and self.indptr() is out.indptr
            and self.linear.same_pattern(linear)
            and int(out.indptr[-1]) == fill.nnz
            and np.array_equal(out.indices[self.sampled], self.sample)
        )


# by the identity of the index array: it leaves with the array, and a pickled matrix knows nothing of it
_known: dict[int, Known] = {}


def remember(matrix: Any, linear: LinearMap, fill: Filler) -> Known:
    """Note whose pattern those very index arrays are."""
    key, rows = id(matrix.indices), matrix.shape[0]

    def forget(_: object) -> None:
        _known.pop(key, None)

    offsets = {row: int(matrix.indptr[row]) for row in edges(0, rows, fill.nnz)}
    sampled = np.linspace(0, max(fill.nnz - 1, 0), min(fill.nnz, 16), dtype=np.int64)
    arrays = weakref.ref(matrix.indices, forget), weakref.ref(matrix.indptr)
    known = Known(linear, *arrays, offsets, sampled, matrix.indices[sampled])
    _known[key] = known
    return known


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
