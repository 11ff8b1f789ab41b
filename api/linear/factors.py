"""Factors: the small matrices whose rows a term multiplies, as structure; their numbers are values of a program."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import scipy.sparse as sp

from matjac import kernels, memory
from matjac.conventions import NONE, Array, Shape, cached_property, cumulative, index_dtype
from matjac.linear.program import Primitive


class Factor:
    """A matrix of that shape, whose numbers are a value of the program (None for ones)."""

    #: what it is, in a word
    kind = "identity"

    def __init__(self, shape: tuple[int, int], value: int | None = None) -> None:
        self.shape, self.value = shape, value

    @property
    def per_row(self) -> int | None:
        """Entries in every row, None where rows differ."""
        return 1

    def same(self, other: "Factor") -> bool:
        """Whether both are one matrix."""
        return type(self) is type(other) and self.shape == other.shape and self.value == other.value

    @property
    def nnz(self) -> int:
        """Number of entries."""
        return self.shape[0]

    @property
    def pointers(self) -> Array:
        """Where each row begins among the entries, and the end (int64)."""
        return np.arange(self.shape[0] + 1, dtype=np.int64)

    @property
    def indices(self) -> Array:
        """The sorted column of each entry (int64); one row's alone for a dense factor."""
        return np.arange(self.shape[0], dtype=np.int64)

    def places(self) -> tuple[Array, Array, int, int]:
        """The columns as `kron_columns` takes them: indices, pointers, step, length."""
        return NONE, NONE, 0, 1

    def rows(self, values: Any, dtype: np.dtype[Any]) -> tuple[Array, Array, int, int]:
        """The numbers as `kron_values` takes them: values, pointers, step, length."""
        return ones(dtype), NONE, 0, 1

    def data(self, values: Any, dtype: np.dtype[Any]) -> Array:
        """The numbers, row after row."""
        if self.value is None:
            return np.ones(self.nnz, dtype)
        given = values[self.value]
        return as_given(given.data if sp.issparse(given) else given, dtype)

    def structure(self) -> Any:
        """The places of its entries as a csr_array of ones."""
        ones = np.ones(self.nnz)
        return sp.csr_array((ones, self.indices, self.pointers), shape=self.shape)


class Eye(Factor):
    """The identity."""


class Dense(Factor):
    """A matrix all of whose entries count, given row by row."""

    value: int
    kind = "dense"

    @property
    def per_row(self) -> int:
        return self.shape[1]

    @property
    def nnz(self) -> int:
        return self.shape[0] * self.shape[1]

    @property
    def pointers(self) -> Array:
        return np.arange(self.shape[0] + 1, dtype=np.int64) * self.shape[1]

    @property
    def indices(self) -> Array:
        return np.arange(self.shape[1], dtype=np.int64)

    def places(self) -> tuple[Array, Array, int, int]:
        return self.indices, NONE, 0, self.shape[1]

    def rows(self, values: Any, dtype: np.dtype[Any]) -> tuple[Array, Array, int, int]:
        return self.data(values, dtype), NONE, self.shape[1], self.shape[1]

    def structure(self) -> Any:
        return sp.csr_array((np.ones(self.nnz), np.tile(self.indices, self.shape[0]), self.pointers), shape=self.shape)


class Sparse(Factor):
    """A matrix by its sorted rows, whose entries are given row after row."""

    value: int
    kind = "sparse"

    def __init__(self, shape: tuple[int, int], value: int, pointers: Array, indices: Array) -> None:
        super().__init__(shape, value)
        self._pointers, self._indices = pointers, indices

    def same(self, other: Factor) -> bool:
        return super().same(other) and all(
            a is b or np.array_equal(a, b) for a, b in ((self.pointers, other.pointers), (self.indices, other.indices))
        )

    @property
    def pointers(self) -> Array:
        return self._pointers

    @property
    def indices(self) -> Array:
        return self._indices

    @property
    def nnz(self) -> int:
        return self.indices.size

    @cached_property
    def per_row(self) -> int | None:
        counts = np.diff(self.pointers)
        return int(counts[0]) if counts.size and np.all(counts == counts[0]) else None

    def places(self) -> tuple[Array, Array, int, int]:
        if self.per_row is None:
            return self.indices, self.pointers, 0, 0
        return self.indices, NONE, self.per_row, self.per_row

    def rows(self, values: Any, dtype: np.dtype[Any]) -> tuple[Array, Array, int, int]:
        return self.data(values, dtype), *self.places()[1:]


@cache
def ones(dtype: np.dtype[Any]) -> Array:
    """A single one."""
    return np.ones(1, dtype)


def as_given(numbers: Any, dtype: np.dtype[Any]) -> Array:
    """Numbers as kernels take them: flat, and writeable, for Numba compiles a second kernel for what is not."""
    flat = np.ascontiguousarray(numbers, dtype).reshape(-1)
    return flat if flat.flags.writeable else flat.copy()


@dataclass(frozen=True, eq=False)
class SpGemm(Primitive):
    """The values of a product of two sparse matrices whose patterns are known; `plan` makes it."""

    keeps_real = True

    a: tuple[Array, Array]
    b: tuple[Array, Array]
    result: tuple[Array, Array]
    columns: int

    def value(self, *operands: Any) -> Any:
        dtype = np.result_type(*operands)
        first, second = (as_given(x, dtype) for x in operands)
        out, sums = np.empty(self.result[1].size, dtype), np.zeros(self.columns, dtype)
        (aptr, aidx), (bptr, bidx), (ptr, idx) = self.a, self.b, self.result
        kernels.spgemm(first, aidx, aptr, second, bidx, bptr, idx, ptr, sums, out, 0, ptr.size - 1)
        return out


def plan(a: Any, b: Any) -> SpGemm:
    """The product of two sparse matrices, given as their places: what is zero by chance stays an entry."""
    require_product(a, b)
    # SciPy drops sums that are zero; sums of ones are not
    places = _ones(a) @ _ones(b)
    places.sort_indices()
    dtype = index_dtype(*places.shape, places.nnz, a.nnz, b.nnz)
    first, second, result = ((m.indptr.astype(dtype), m.indices.astype(dtype)) for m in (a, b, places))
    return SpGemm(first, second, result, places.shape[1])


def require_product(a: Any, b: Any) -> None:
    """Refuse a product of two csr_arrays that would not fit in memory, with its values and its places twice."""
    lengths = np.diff(b.indptr).astype(np.int64)
    most = int(lengths[a.indices].sum())
    if memory.fits(24 * most):
        return
    total = product_nnz(a, b)
    memory.require(f"a product of {total:,} entries", 24 * total)


def product_nnz(a: Any, b: Any) -> int:
    """How many entries a product of two csr_arrays has, none of which is made."""
    counts, seen = np.empty(a.shape[0], np.int64), np.full(b.shape[1], -1, np.int64)
    kernels.count_spgemm(a.indices, a.indptr, b.indices, b.indptr, seen, counts, 0, a.shape[0])
    return int(counts.sum())


def _ones(matrix: Any) -> Any:
    return sp.csr_array((np.ones(matrix.nnz), matrix.indices, matrix.indptr), shape=matrix.shape)


@dataclass(frozen=True, eq=False)
class KhatriRao(Primitive):
    """Rows u_i ⊗ w_j of two factors for listed pairs (i, j): the entries of their face-splitting product."""

    keeps_real = True

    u: Factor
    w: Factor
    i: Array
    j: Array
    nnz: int

    def value(self, *operands: Any) -> Any:
        given = iter(operands)
        parts = {factor.value: next(given) for factor in (self.u, self.w) if factor.value is not None}
        dtype = np.result_type(*(x.dtype for x in parts.values()))
        out = np.empty(self.nnz, dtype)
        sides = *self.u.rows(parts, dtype), *self.w.rows(parts, dtype)
        kernels.kron_values(*sides, np.ones(1, dtype), self.i, self.j, 0, False, NONE, 0, out, 0, self.i.size)
        return out


def khatri_rao_structure(u: Factor, w: Factor, i: Array, j: Array) -> tuple[Array, Array]:
    """Row pointers and columns of those rows; a row with i < 0 is empty."""
    counts = np.where(i < 0, 0, np.diff(u.pointers)[i] * np.diff(w.pointers)[j])
    pointers = cumulative(counts)
    # indices and numbers
    memory.require(f"a factor of {int(pointers[-1]):,} entries", 16 * int(pointers[-1]))
    indices = np.empty(int(pointers[-1]), np.int64)
    kernels.kron_columns(*u.places(), *w.places(), w.shape[1], i, j, 0, False, 0, NONE, 0, indices, 0, i.size)
    return pointers, indices


@dataclass(frozen=True, eq=False)
class WeightedRows(Primitive):
    """Σ_t scale_t[r] · w_t[g_t[r]] as a dense matrix: rows of several factors, dense or the identity, added up."""

    keeps_real = True

    parts: tuple[tuple[Factor, Array, bool], ...]
    shape: Shape

    def value(self, *operands: Any) -> Any:
        given, total = iter(operands), None
        dtype = np.result_type(*operands) if operands else np.dtype(float)
        for factor, rows, scaled in self.parts:
            matrix = next(given) if factor.value is not None else None
            scale = np.reshape(next(given), -1) if scaled else None
            if matrix is None:
                total = np.zeros(self.shape, dtype) if total is None else total
                total[np.arange(rows.size), rows] += 1 if scale is None else scale
            else:
                # of the result's dtype from the first part on: what is added in place would be rounded to its own
                taken = np.reshape(matrix, factor.shape)[rows].astype(dtype, copy=False)
                taken = taken if scale is None else taken * scale[:, None]
                total = taken if total is None else total + taken
        return total


def taken_rows(factor: Factor, rows: Array) -> tuple[Array, Array, Array]:
    """Pointers, columns and positions of the entries of listed rows; a negative row is empty."""
    begins, counts = factor.pointers[:-1][rows], np.where(rows < 0, 0, np.diff(factor.pointers)[rows])
    pointers = cumulative(counts)
    # positions, columns, keys, and what sorts them
    memory.require(f"a sum of {int(pointers[-1]):,} entries", 64 * int(pointers[-1]))
    positions = np.arange(int(pointers[-1])) + np.repeat(begins - pointers[:-1], counts)
    columns = positions % factor.shape[1] if isinstance(factor, Dense) else factor.indices[positions]
    return pointers, columns, positions


@dataclass(frozen=True, eq=False)
class UnionRows(Primitive):
    """The entries of a sum of scaled sparse rows: for each part which of its entries, which scales, and where to."""

    keeps_real = True

    parts: tuple[tuple[Array, Array | None, Array], ...]
    nnz: int

    def value(self, *operands: Any) -> Any:
        given = iter(operands)
        dtype = np.result_type(*operands)
        out = np.zeros(self.nnz, dtype)
        for positions, of, places in self.parts:
            entries = as_given(next(given), dtype)
            scale = entries if of is None else as_given(next(given), dtype)
            numbers = NONE if of is None else of
            kernels.add_products(places, entries, positions, scale, numbers, out, 0, places.size)
        return out
