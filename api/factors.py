"""Factors: the small matrices a term is made of, as kernels and as products see them.

A factor is dense, sparse, or a selection of rows of the identity. Kernels read all three alike, as rows
stored one after another (`values`, `indices`, `pointers`); products use what suits the kind: BLAS, SciPy's
sparse product, or indexing.
"""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp

from matjac import kernels
from matjac.caching import Cached
from matjac.layout import NONE, Array, index_dtype, size
from matjac.patterns import Pattern, pattern_of

Matrix: TypeAlias = Any  # what scipy and numpy multiply: an ndarray or a csr_array


class Factor(Cached, ABC):
    """A matrix whose structure is exact: what it stores is what can be other than zero."""

    shape: tuple[int, int]
    dtype: np.dtype[Any]

    #: What it is, in a word
    kind: str
    #: True where all rows have the same indices, stored once
    shared: bool = False

    @property
    @abstractmethod
    def nnz(self) -> int:
        """Number of stored entries."""

    @cached_property
    @abstractmethod
    def per_row(self) -> int | None:
        """Entries in every row, or None where rows differ."""

    @cached_property
    @abstractmethod
    def pointers(self) -> Array:
        """Where each row begins in `values`, and the end (int64)."""

    @abstractmethod
    def values(self, dtype: np.dtype[Any]) -> Array:
        """The stored entries, row after row."""

    def rows(self, dtype: np.dtype[Any]) -> tuple[Array, Array, int, int]:
        """The values as `kron_values` takes them: values, pointers (empty where rows are alike), step, length."""
        if self.per_row is None:
            return self.values(dtype), self.pointers, 0, 0
        return self.values(dtype), NONE, self.per_row, self.per_row

    def places(self) -> tuple[Array, Array, int, int]:
        """The indices as `kron_columns` takes them: indices, pointers (or none), step, length."""
        if self.per_row is None:
            return self.indices, self.pointers, 0, 0
        return self.indices, NONE, 0 if self.shared else self.per_row, self.per_row

    @cached_property
    @abstractmethod
    def indices(self) -> Array:
        """The sorted column of each stored entry (int64); one row's only, where they are `shared`."""

    @property
    @abstractmethod
    def matrix(self) -> Matrix:
        """The factor as NumPy or SciPy would hold it."""

    @cached_property
    @abstractmethod
    def T(self) -> "Factor":
        """The transposed factor."""

    @cached_property
    @abstractmethod
    def conj(self) -> "Factor":
        """The factor's complex conjugate."""

    @abstractmethod
    def left(self, x: Array, out: Array | None = None) -> Array:
        """``factor @ x`` on the last two axes of x, into `out` where that is given; else it may be a view of x."""

    @abstractmethod
    def right(self, x: Array, out: Array | None = None) -> Array:
        """``x @ factor.T``, in the same way."""

    @abstractmethod
    def abs2(self) -> "Factor":
        """The squared absolute value of each entry."""

    def ones(self) -> "Factor":
        """Ones in the same places."""
        if isinstance(self, Dense):
            return Dense(np.broadcast_to(np.ones(1), self.shape))
        ones = np.ones(self.nnz)
        return (
            self if isinstance(self, Select) else Sparse(canonical_csr(ones, self.indices, self.pointers, self.shape))
        )

    def column_sums(self) -> Array:
        """The sum of each column."""
        return self.T.left(np.ones((self.shape[0], 1), dtype=self.dtype))[:, 0]

    def toarray(self) -> Array:
        """As a dense array."""
        matrix = self.matrix
        return matrix if isinstance(matrix, np.ndarray) else matrix.toarray()

    def __matmul__(self, other: "Factor") -> "Factor":
        if isinstance(self, Select):
            return other if self.index is None else other.take(self.index)
        if isinstance(other, Select) and other.identity:
            return self
        if isinstance(self, Dense) and isinstance(other, Dense) and other.shape[0] > 0:
            return Dense(self.array @ other.array)
        mine, its = (f.matrix if sp.issparse(f.matrix) else _stored(f.matrix) for f in (self, other))
        result = product(mine, its)
        full = result.nnz == result.shape[0] * result.shape[1]
        return Dense(result.toarray()) if full else Sparse(result)

    @abstractmethod
    def take(self, index: Array) -> "Factor":
        """Those rows alone, in that order."""

    @abstractmethod
    def times(self, number: Any) -> "Factor":
        """The factor times a number."""

    def same_pattern(self, other: "Factor") -> bool:
        """Whether both are of one kind and store the same places."""
        if self is other:
            return True
        return type(self) is type(other) and self.shape == other.shape and self._same_places(other)

    @abstractmethod
    def _same_places(self, other: Any) -> bool:
        """The same, of two factors of one kind and shape."""


class Dense(Factor):
    """A dense matrix, which no one else changes: identities take a `snapshot` of their arguments."""

    shared = True
    kind = "dense"

    def __init__(self, array: Array) -> None:
        self.array = array
        self.shape = array.shape[0], array.shape[1]
        self.dtype = array.dtype

    @property
    def nnz(self) -> int:
        return self.shape[0] * self.shape[1]

    @cached_property
    def per_row(self) -> int:
        return self.shape[1]

    @cached_property
    def pointers(self) -> Array:
        return np.arange(self.shape[0] + 1, dtype=np.int64) * self.shape[1]

    def values(self, dtype: np.dtype[Any]) -> Array:
        return np.ascontiguousarray(self.array, dtype=dtype).reshape(-1)

    @cached_property
    def indices(self) -> Array:
        return np.arange(self.shape[1], dtype=np.int64)

    @property
    def matrix(self) -> Array:
        return self.array

    @cached_property
    def T(self) -> "Dense":
        return Dense(self.array.T)

    def left(self, x: Array, out: Array | None = None) -> Array:
        return np.matmul(self.array, x, out=out)

    def right(self, x: Array, out: Array | None = None) -> Array:
        return np.matmul(x, self.array.T, out=out)

    @cached_property
    def conj(self) -> "Dense":
        return Dense(self.array.conj())

    def abs2(self) -> "Dense":
        return Dense(_abs2(self.array))

    def take(self, index: Array) -> "Dense":
        return Dense(self.array[index])

    def times(self, number: Any) -> "Dense":
        return Dense(self.array * number)

    def _same_places(self, other: "Dense") -> bool:
        return True


class Sparse(Factor):
    """A sparse matrix with a sorted, duplicate-free pattern."""

    kind = "sparse"

    def __init__(self, array: Any) -> None:
        self.array = array
        self.shape = array.shape
        self.dtype = array.dtype

    @property
    def nnz(self) -> int:
        return int(self.array.nnz)

    @cached_property
    def per_row(self) -> int | None:
        counts = np.diff(self.pointers)
        return int(counts[0]) if counts.size and np.all(counts == counts[0]) else None

    @cached_property
    def pointers(self) -> Array:
        return self.array.indptr.astype(np.int64)  # type: ignore[no-any-return]

    def values(self, dtype: np.dtype[Any]) -> Array:
        return self.array.data.astype(dtype, copy=False)  # type: ignore[no-any-return]

    @cached_property
    def indices(self) -> Array:
        return self.array.indices.astype(np.int64)  # type: ignore[no-any-return]

    @property
    def matrix(self) -> Any:
        return self.array

    @cached_property
    def T(self) -> "Sparse":
        return Sparse(canonical(self.array.T))

    @cached_property
    def _diagonal(self) -> Array | None:
        """The entries of a diagonal matrix: a number times the identity is one, and its products are fast."""
        places = np.arange(self.shape[0])
        diagonal = self.shape == (self.nnz, self.nnz) and np.array_equal(self.array.indices, places)
        return self.array.data if diagonal and np.array_equal(self.array.indptr[:-1], places) else None

    def left(self, x: Array, out: Array | None = None) -> Array:
        if self._diagonal is not None:
            return np.multiply(self._diagonal[:, None], x, out=out)
        return _into(self._left(x), out)

    def _left(self, x: Array) -> Array:
        if x.ndim == 2:
            return self.array @ x  # type: ignore[no-any-return]
        # SciPy multiplies by one matrix at a time: lay the others beside it
        flat = np.moveaxis(x, -2, 0)
        product = self.array @ flat.reshape(flat.shape[0], size(flat.shape[1:]))
        return np.moveaxis(product.reshape(self.shape[0], *flat.shape[1:]), 0, -2)

    def right(self, x: Array, out: Array | None = None) -> Array:
        if self._diagonal is not None:
            return np.multiply(x, self._diagonal, out=out)
        return _into(np.swapaxes(self._left(np.swapaxes(x, -1, -2)), -1, -2), out)

    @cached_property
    def conj(self) -> "Sparse":
        return Sparse(self.array.conj())

    def abs2(self) -> "Sparse":
        squared = self.array.copy()
        squared.data = _abs2(squared.data)
        return Sparse(squared)

    def take(self, index: Array) -> "Sparse":
        return Sparse(canonical(self.array[index]))

    def times(self, number: Any) -> "Sparse":
        result = self.array.copy()
        result.data = result.data * number
        return Sparse(result)

    def _same_places(self, other: "Sparse") -> bool:
        mine, its = self.array, other.array
        return np.array_equal(mine.indptr, its.indptr) and np.array_equal(mine.indices, its.indices)


class Select(Factor):
    """Rows of the n × n identity: all of them, or those of `index`, in that order."""

    dtype = np.dtype(np.float32)  # ones: they take any other factor's dtype

    def __init__(self, n: int, index: Array | None = None) -> None:
        self.index = index
        self.shape = (n if index is None else index.size, n)

    @property
    def kind(self) -> str:  # type: ignore[override]
        return "identity" if self.index is None else "selection"

    @property
    def identity(self) -> bool:
        """Whether it is the whole identity, in its order."""
        return self.index is None

    @property
    def nnz(self) -> int:
        return self.shape[0]

    @cached_property
    def per_row(self) -> int:
        return 1

    @cached_property
    def pointers(self) -> Array:
        return np.arange(self.shape[0] + 1, dtype=np.int64)

    def values(self, dtype: np.dtype[Any]) -> Array:
        return np.ones(self.shape[0], dtype=dtype)

    def rows(self, dtype: np.dtype[Any]) -> tuple[Array, Array, int, int]:
        return np.ones(1, dtype=dtype), NONE, 0, 1  # one 1 for every row

    def places(self) -> tuple[Array, Array, int, int]:
        return (NONE, NONE, 0, 1) if self.index is None else (self.index, NONE, 1, 1)

    @cached_property
    def indices(self) -> Array:
        return np.arange(self.shape[0], dtype=np.int64) if self.index is None else self.index

    @property
    def matrix(self) -> Any:
        return sp.csr_array((self.values(self.dtype), self.indices, self.pointers), shape=self.shape)

    @cached_property
    def T(self) -> Factor:
        return self if self.index is None else Sparse(canonical(self.matrix.T))

    def left(self, x: Array, out: Array | None = None) -> Array:
        return _into(x if self.index is None else x[..., self.index, :], out)

    def right(self, x: Array, out: Array | None = None) -> Array:
        return _into(x if self.index is None else x[..., self.index], out)

    @cached_property
    def conj(self) -> "Select":
        return self

    def abs2(self) -> "Select":
        return self

    def take(self, index: Array) -> "Select":
        return Select(self.shape[1], index if self.index is None else self.index[index])

    def times(self, number: Any) -> "Sparse":
        return Sparse(self.matrix * number)

    def _same_places(self, other: "Select") -> bool:
        if self.index is None or other.index is None:
            return self.index is other.index
        return np.array_equal(self.index, other.index)


def factor(matrix: Matrix) -> Factor:
    """The factor of a dense or a sparse matrix."""
    return Sparse(canonical(matrix)) if sp.issparse(matrix) else Dense(matrix)


def canonical(matrix: Any) -> Any:
    """A sparse matrix as csr_array, sorted and without duplicates or a change to the caller's own."""
    result = sp.csr_array(matrix)
    if not result.has_canonical_format:
        result = result.copy() if result is matrix or np.shares_memory(result.data, matrix.data) else result
        result.sum_duplicates()
    return result


def canonical_csr(data: Array, indices: Array, indptr: Array, shape: tuple[int, int]) -> Any:
    """The csr_array of those arrays, which are sorted and without duplicates."""
    result = sp.csr_array((data, indices, indptr), shape=shape)
    result.has_canonical_format = True
    return result


def product(first: Any, second: Any) -> Any:
    """The product of two canonical csr_arrays, on its structural pattern: what is zero by chance stays."""
    dtype = np.result_type(first.dtype, second.dtype)

    def find() -> Pattern:
        # SciPy drops sums that are zero; counts of ones can't be
        places = _ones(first) @ _ones(second)
        places.sort_indices()
        index = index_dtype(*places.shape, places.nnz)
        return places.indptr.astype(index), places.indices.astype(index)

    indptr, indices = pattern_of((first.shape, first.nnz, second.shape, second.nnz), find)
    data = np.empty(indices.size, dtype=dtype)
    parts = [
        *(first.data.astype(dtype), first.indices, first.indptr),
        *(second.data.astype(dtype), second.indices, second.indptr),
    ]
    sums = np.zeros(second.shape[1], dtype=dtype)
    kernels.product_values(*parts, indices, indptr, sums, data, 0, first.shape[0])
    return canonical_csr(data, indices, indptr, (first.shape[0], second.shape[1]))


def _ones(matrix: Any) -> Any:
    return sp.csr_array((np.ones(matrix.nnz), matrix.indices, matrix.indptr), shape=matrix.shape)


def _stored(array: Array) -> Any:
    """A dense matrix as a csr_array that stores every entry, zero or not."""
    rows, columns = array.shape
    indices = np.tile(np.arange(columns), rows)
    return canonical_csr(np.ravel(array), indices, np.arange(rows + 1) * columns, array.shape)


def kernel_rows(factor: Factor, dtype: np.dtype[Any]) -> tuple[Array, Array, int, int]:
    """A factor's values and where its rows begin, as kernels take them."""
    values, *where = factor.rows(dtype)
    return (writeable(values), *where)  # type: ignore[return-value]


def writeable(array: Array) -> Array:
    """The array, or a copy of a read-only one: Numba compiles a second kernel for those."""
    return array if array.flags.writeable else array.copy()


def snapshot(array: Array) -> Array:
    """A C-contiguous copy; an axis that is one entry broadcast stays so, whatever its length."""
    compact = array[tuple(slice(0, 1) if step == 0 else slice(None) for step in array.strides)]
    copy = np.array(compact, order="C", copy=True)
    return copy if copy.shape == array.shape else np.broadcast_to(copy, array.shape)


def sandwich(u: Factor, x: Array, w: Factor, out: Array | None = None) -> Array:
    """``u @ x @ w.T``, multiplied in the order that takes fewer operations, into `out` where that is given."""
    (a, p), (b, q) = u.shape, w.shape
    if u.nnz * q + w.nnz * a <= w.nnz * p + u.nnz * b:
        return w.right(u.left(x), out)
    return u.left(w.right(x), out)


def _into(product: Array, out: Array | None) -> Array:
    if out is None:
        return product
    out[...] = product
    return out


def _abs2(values: Array) -> Array:
    return values.real**2 + values.imag**2 if values.dtype.kind == "c" else values**2
