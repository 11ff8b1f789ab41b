"""The Jacobian object: one linear map with three faces, a sparse matrix, an operator and a normal matrix."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from matjac import inputs
from matjac.fill import Filler, filler
from matjac.layout import Array, Layout, Order, Shape, flip, index_dtype, size
from matjac.terms import Sum
from matjac.threads import split
from scipy.sparse.linalg import LinearOperator

#: Entries that a pass in bounded memory holds at a time.
CHUNK = 1 << 14
#: Entries up to which a refill compares the whole pattern each time; beyond, once per matrix.
ALWAYS_COMPARED = 1 << 16


class Jacobian(LinearOperator):  # type: ignore[misc]
    """The Jacobian of a matrix function, held as the few small matrices it is made of.

    Row ``r`` counts the entries of the output in `order`, column ``c`` those of the variable in the same
    order; in denominator layout the matrix is transposed. All members speak of the matrix as laid out,
    save `jvp`, `vjp` and `tensor`, which speak of the function.

    Identities such as `matjac.d_gram_dR` make it in O(size of their arguments), which it copies; nothing
    of the Jacobian's own size exists before `tocsr` or another member asks for it.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns of the matrix.
    dtype : numpy.dtype
        float32, float64, complex64 or complex128.
    out_shape, in_shape : tuple of int
        Shapes of the function's value and of its variable.
    order : {"C", "F"}
        Order of vec: row by row, or column by column.
    layout : {"numerator", "denominator"}
        Whether rows are outputs, or variables.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> J = mj.d_gram_dR(np.array([[1.0, 2.0]]))
    >>> J.toarray()
    array([[2., 0.],
           [2., 1.],
           [2., 1.],
           [0., 4.]])
    >>> J.nnz, J.nbytes
    (6, 92)
    >>> J @ np.array([1.0, 0.0])
    array([2., 2., 2., 0.])
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]

    def __init__(
        self, forward: Sum, out_shape: Shape, in_shape: Shape, order: Order = "C", layout: Layout = "numerator"
    ) -> None:
        # `forward` maps vec(dX) to vec(dF), both in `order`, whatever the layout
        rows, columns = forward.shape
        super().__init__(forward.dtype, (rows, columns) if layout == "numerator" else (columns, rows))
        self.out_shape, self.in_shape = out_shape, in_shape
        self.order, self.layout = order, layout
        self._forward = forward

    def __repr__(self) -> str:
        return (
            f"<Jacobian {self.shape[0]} × {self.shape[1]} of {self.dtype}: {self.out_shape} by {self.in_shape}, "
            f'order "{self.order}", {self.layout} layout, {self.nnz} entries, {self.nbytes} bytes as CSR>'
        )

    @cached_property
    def _entries(self) -> Sum:
        """The sum whose rows are the rows of the matrix as laid out."""
        return self._forward if self.layout == "numerator" else self._forward.transpose()

    @cached_property
    def _filler(self) -> Filler:
        return filler(self._entries)

    # Sizes -------------------------------------------------------------------------------------------

    @property
    def nnz(self) -> int:
        """Number of entries that can be other than zero: exact, without making any of them."""
        return self._filler.nnz

    @property
    def nbytes(self) -> int:
        """Bytes that `tocsr` will take for values, indices and row pointers."""
        index = self._index_dtype.itemsize
        return self.nnz * (self.dtype.itemsize + index) + (self.shape[0] + 1) * index

    @property
    def _index_dtype(self) -> np.dtype[Any]:
        return index_dtype(*self.shape, self.nnz)

    # The matrix --------------------------------------------------------------------------------------

    def structure(self) -> tuple[Array, Array]:
        """Row pointers and sorted column indices of the CSR matrix, as new arrays.

        Returns
        -------
        indptr, indices : numpy.ndarray
            int32 where the number of entries and both dimensions fit in it, else int64.
        """
        indptr = self._filler.indptr(0, self.shape[0]).astype(self._index_dtype)
        indices = np.empty(self.nnz, dtype=self._index_dtype)
        self._fill(self._filler.columns, indices, indptr)
        return indptr, indices

    def coo_structure(self) -> tuple[Array, Array]:
        """Row and column of each entry, in the order of `fill`, as new arrays."""
        indptr, indices = self.structure()
        return _row_indices(indptr), indices

    def fill(self, data: Array) -> None:
        """Write the values, in the order of `structure`, into a caller's buffer.

        Parameters
        ----------
        data : numpy.ndarray
            One-dimensional, of length `nnz` and the Jacobian's dtype. A strided one is filled by way of a
            contiguous copy.

        Raises
        ------
        TypeError, ValueError
            Where `data` is no such array; then nothing was written.
        """
        data = inputs.buffer("data", data, self.dtype, self.nnz)
        self._fill_values(data, None)

    def _fill_values(self, data: Array, indptr: Array | None) -> None:
        target = data if data.flags.c_contiguous and data.flags.aligned else np.empty(data.shape, data.dtype)
        self._fill(self._filler.values, target, indptr)
        if target is not data:
            data[:] = target

    def _fill(self, task: Any, out: Array, indptr: Array | None) -> None:
        """Run a filler's method over all rows, in parts that begin where `indptr` says."""

        def offset(row: int) -> int:
            return self._filler.offset(row) if indptr is None else int(indptr[row])

        def part(start: int, stop: int) -> None:
            whole = start == 0 and stop == self.shape[0]
            task(out if whole else out[offset(start) : offset(stop)], start, stop)

        split(part, 0, self.shape[0], out.size)

    def tocsr(self, out: Any = None) -> Any:
        """The Jacobian as a canonical ``scipy.sparse.csr_array``: sorted, without duplicates.

        Parameters
        ----------
        out : scipy.sparse.csr_array, optional
            A matrix with this Jacobian's pattern, as an earlier call made it for other values. Its values
            are overwritten where they stand and nothing of its size is allocated. Up to 65,536 entries,
            and for a matrix that matjac sees for the first time, the whole pattern is compared; a larger
            one that matjac made or compared before is known by its index arrays, whose contents must not
            be changed.

        Returns
        -------
        scipy.sparse.csr_array
            `out`, where it was given.

        Raises
        ------
        TypeError, ValueError
            Where `out` has another type, shape, dtype or pattern; then it is as it was.
        """
        if out is not None:
            self._check_pattern(out)
            self._fill_values(out.data, out.indptr)
            return out
        indptr, indices = self.structure()
        data = np.empty(self.nnz, dtype=self.dtype)
        self._fill_values(data, indptr)
        result = sp.csr_array((data, indices, indptr), shape=self.shape)
        result.has_canonical_format = True
        self._remember_pattern(result)
        return result

    def _check_pattern(self, out: Any) -> None:
        if not isinstance(out, (sp.csr_array, sp.csr_matrix)):
            raise TypeError(f"out: got {inputs.describe(out)}, expected a csr_array, as tocsr() makes it")
        if out.shape != self.shape or out.dtype != self.dtype:
            raise ValueError(f"out: got {inputs.describe(out)}, expected shape {self.shape} and dtype {self.dtype}")
        if out.data.size != self.nnz or out.indices.size != self.nnz:
            raise ValueError(f"out: got {out.data.size} entries, expected the pattern of {self.nnz} entries")
        inputs.buffer("out.data", out.data, self.dtype, self.nnz)
        known = getattr(out, "_matjac_pattern", None)
        if (
            known is not None
            and self.nnz > ALWAYS_COMPARED
            and known[0].same_pattern(self._entries)
            and known[1] is out.indices
            and known[2] is out.indptr
        ):
            return
        if not self._has_pattern(out.indptr, out.indices):
            raise ValueError("out: got entries in other places, expected this Jacobian's pattern, as tocsr() makes it")
        self._remember_pattern(out)

    def _remember_pattern(self, matrix: Any) -> None:
        matrix._matjac_pattern = (self._entries, matrix.indices, matrix.indptr)

    def _has_pattern(self, indptr: Array, indices: Array) -> bool:
        if indptr.size != self.shape[0] + 1 or indptr[0] != 0 or indptr[-1] != self.nnz:
            return False
        for start, stop in self._chunks():
            expected = self._filler.indptr(start, stop)
            if not np.array_equal(indptr[start : stop + 1], expected + int(indptr[start])):
                return False
            columns = np.empty(int(expected[-1]), dtype=self._index_dtype)
            self._filler.columns(columns, start, stop)
            if not np.array_equal(indices[indptr[start] : indptr[stop]], columns):
                return False
        return True

    def _chunks(self) -> Iterator[tuple[int, int]]:
        """Ranges that cover all rows, of about CHUNK entries (or one row) each."""
        rows = self.shape[0]
        step = max(1, min(CHUNK, CHUNK * rows // max(self.nnz, 1)))
        return ((start, min(start + step, rows)) for start in range(0, rows, step))

    def rows(self, start: int, stop: int) -> Any:
        """The rows ``start:stop`` alone, as a ``csr_array``, in the memory that they need.

        Parameters
        ----------
        start, stop : int
            ``0 <= start <= stop <= shape[0]``.

        Raises
        ------
        TypeError, ValueError
            Where they are not.

        Examples
        --------
        >>> import matjac as mj
        >>> mj.d_matvec_dA([5.0, 7.0], 10**9).rows(1, 2).nnz
        2
        """
        start, stop = inputs.row_range(start, stop, self.shape[0])
        pointers = self._filler.indptr(start, stop)
        nnz, shape = int(pointers[-1]), (stop - start, self.shape[1])
        dtype = index_dtype(*shape, nnz)
        indices, data = np.empty(nnz, dtype=dtype), np.empty(nnz, dtype=self.dtype)
        self._filler.columns(indices, start, stop)
        self._filler.values(data, start, stop)
        result = sp.csr_array((data, indices, pointers.astype(dtype)), shape=shape)
        result.has_canonical_format = True
        return result

    def tocsc(self) -> Any:
        """The Jacobian as a canonical ``scipy.sparse.csc_array``, filled column by column."""
        turned = self.T.tocsr()
        result = sp.csc_array((turned.data, turned.indices, turned.indptr), shape=self.shape)
        result.has_canonical_format = True
        return result

    def tocoo(self) -> Any:
        """The Jacobian as a canonical ``scipy.sparse.coo_array``."""
        rows, columns = self.coo_structure()
        data = np.empty(self.nnz, dtype=self.dtype)
        self._fill_values(data, None)
        result = sp.coo_array((data, (rows, columns)), shape=self.shape)
        result.has_canonical_format = True
        return result

    def tobsr(self, blocksize: tuple[int, int] | None = None) -> Any:
        """The Jacobian as a ``scipy.sparse.bsr_array``; SciPy estimates the block size unless given."""
        return sp.bsr_array(self.tocsr(), blocksize=blocksize)

    def toarray(self) -> Array:
        """The Jacobian as a dense array."""
        return self.tocsr().toarray()  # type: ignore[no-any-return]

    def tensor(self) -> Any:
        """The Jacobian as an n-dimensional ``coo_array``, ``J[i, j, k, l] = ∂F[i, j] / ∂X[k, l]``.

        Its shape is ``out_shape + in_shape``, whatever the order and the layout.
        """
        numerator = self if self.layout == "numerator" else self.T
        matrix = numerator.tocoo()
        outer = np.unravel_index(matrix.row, self.out_shape, self.order)
        inner = np.unravel_index(matrix.col, self.in_shape, self.order)
        return sp.coo_array((matrix.data, (*outer, *inner)), shape=self.out_shape + self.in_shape)

    # The operator ------------------------------------------------------------------------------------

    def matvec(self, x: Array) -> Array:
        """``J @ x`` for a vector, of shape (columns,) or (columns, 1)."""
        return super().matvec(self._vector("x", x, self.shape[1]))  # type: ignore[no-any-return]

    def rmatvec(self, x: Array) -> Array:
        """``J.H @ x`` for a vector, of shape (rows,) or (rows, 1)."""
        return super().rmatvec(self._vector("x", x, self.shape[0]))  # type: ignore[no-any-return]

    def matmat(self, X: Array) -> Array:
        """``J @ X`` for a matrix of columns."""
        return super().matmat(inputs.vectors("X", X, self.shape[1], (2,)))  # type: ignore[no-any-return]

    def rmatmat(self, X: Array) -> Array:
        """``J.H @ X`` for a matrix of columns."""
        return super().rmatmat(inputs.vectors("X", X, self.shape[0], (2,)))  # type: ignore[no-any-return]

    def dot(self, x: Any) -> Any:
        """``J @ x`` for a vector, a matrix of columns, a number, or another operator."""
        if isinstance(x, LinearOperator) or np.isscalar(x):
            return super().dot(x)
        return super().dot(inputs.vectors("x", x, self.shape[1], (1, 2)))

    @staticmethod
    def _vector(name: str, x: Any, length: int) -> Array:
        vector = inputs.vectors(name, x, length, (1, 2))
        if vector.ndim == 2 and vector.shape[1] != 1:
            raise ValueError(f"{name}: got shape {vector.shape}, expected ({length},) or ({length}, 1)")
        return vector

    def _apply(self, x: Array, transposed: bool) -> Array:
        """The product with the matrix as laid out, or its transpose, on the last axis of x."""
        forward = (self.layout == "numerator") != transposed
        y = self._forward.apply(x) if forward else self._forward.apply_transposed(x)
        # a product with identities alone is a view of x
        return np.array(y, dtype=np.result_type(self.dtype, x), copy=np.may_share_memory(x, y) or None)

    def _matvec(self, x: Array) -> Array:
        return self._apply(x.reshape(-1), transposed=False)

    def _rmatvec(self, x: Array) -> Array:
        return self._apply(x.reshape(-1).conj(), transposed=True).conj()

    def _matmat(self, X: Array) -> Array:
        return self._apply(np.ascontiguousarray(X.T), transposed=False).T

    def _rmatmat(self, X: Array) -> Array:
        return self._apply(np.ascontiguousarray(X.T.conj()), transposed=True).T.conj()

    def _transpose(self) -> "Jacobian":
        return Jacobian(self._forward, self.out_shape, self.in_shape, self.order, flip(self.layout))

    def _adjoint(self) -> "Jacobian":
        return Jacobian(self._forward.conj(), self.out_shape, self.in_shape, self.order, flip(self.layout))

    def jvp(self, dX: Array) -> Array:
        """The function's differential in the direction dX.

        Parameters
        ----------
        dX : array_like
            Of shape `in_shape`.

        Returns
        -------
        numpy.ndarray
            dF, of shape `out_shape`.

        Examples
        --------
        >>> import numpy as np, matjac as mj
        >>> R, dR = np.array([[1.0, 2.0]]), np.array([[0.0, 1.0]])
        >>> mj.d_gram_dR(R).jvp(dR)
        array([[0., 1.],
               [1., 4.]])
        """
        x = inputs.shaped("dX", dX, self.in_shape).reshape(-1, order=self.order)
        numerator = self if self.layout == "numerator" else self.T
        return numerator.matvec(x).reshape(self.out_shape, order=self.order)

    def vjp(self, W: Array) -> Array:
        """The gradient of ``Σ W ∘ F``: the transposed differential (not conjugated) of W.

        Parameters
        ----------
        W : array_like
            Of shape `out_shape`.

        Returns
        -------
        numpy.ndarray
            Of shape `in_shape`.
        """
        w = inputs.shaped("W", W, self.out_shape).reshape(-1, order=self.order)
        denominator = self.T if self.layout == "numerator" else self
        return denominator.matvec(w).reshape(self.in_shape, order=self.order)

    # The normal matrix -------------------------------------------------------------------------------

    def normal(self) -> "Jacobian":
        """The normal matrix ``J.H @ J`` (JᵀJ for real J), again as a `Jacobian` with all its faces.

        Its factors are products of J's factors: ``(L ⊗ Rᵀ)ᵀ(L ⊗ Rᵀ) = LᵀL ⊗ RRᵀ``.
        """
        shape = self.in_shape if self.layout == "numerator" else self.out_shape
        product = self._entries.transpose().conj().after(self._entries)
        return Jacobian(product, shape, shape, self.order)

    def diagonal_normal(self) -> Array:
        """The diagonal of `normal`: the squared norm of each column, without forming J or JᵀJ."""
        squares = self._entries.squared_norms()
        if squares is None:
            squares = np.zeros(self.shape[1], dtype=np.zeros(0, self.dtype).real.dtype)
            for start, stop in self._chunks():
                squares += (abs(self.rows(start, stop)) ** 2).sum(axis=0)
        return squares

    def column_norms(self) -> Array:
        """The norm of each column, as ``x_scale=1 / J.column_norms()`` in ``least_squares`` wants it."""
        return np.sqrt(self.diagonal_normal())


def _row_indices(indptr: Array) -> Array:
    return np.repeat(np.arange(indptr.size - 1, dtype=indptr.dtype), np.diff(indptr))


def assemble(forward: Sum, out_shape: Shape, in_shape: Shape, order: Order, layout: Layout) -> Jacobian:
    """The Jacobian of a sum of closed terms, which are written for row-major vec."""
    inputs.conventions(order, layout)
    assert forward.shape == (size(out_shape), size(in_shape))
    if order == "F":
        forward = Sum((term.transpose_vec() for term in forward.terms), forward.dtype)
    return Jacobian(forward, out_shape, in_shape, order, layout)
