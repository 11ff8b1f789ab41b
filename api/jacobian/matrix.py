"""A Jacobian as a sparse matrix: its sizes, its pattern and its entries, in SciPy's formats."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from matjac import checks
from matjac.conventions import Array, Order, Shapes, cached_property, index_dtype, several
from matjac.entries.assembler import PLAIN, Assembler
from matjac.entries.pattern import Pattern
from matjac.entries.plan import Plan
from matjac.jacobian import picture, show
from matjac.maps.point import Point


class Matrix:
    """The matrix of a map from vec(dX) to vec(dF), as laid out."""

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    #: whether it is its own transpose, so that it has no layout
    symmetric = False

    def __init__(
        self, point: Point, out_shape: Shapes, in_shape: Shapes, order: Order = "C", layout: Any = "numerator"
    ) -> None:
        # the point maps vec(dX) to vec(dF), both in `order`, whatever the layout
        rows, columns = point.shape
        if rows >= 2**63 or columns >= 2**63:
            raise ValueError(f"shapes: got {out_shape} by {in_shape}, expected fewer than 2**63 rows and columns")
        self.dtype, self.shape = point.dtype, (columns, rows) if layout == "denominator" else (rows, columns)
        self.out_shape, self.in_shape = out_shape, in_shape
        self.order, self.layout = order, layout
        self._point = point

    def __reduce__(self) -> Any:
        return type(self), (self._point, self.out_shape, self.in_shape, self.order, self.layout)

    def __repr__(self) -> str:
        return show.line(self)

    def _repr_html_(self) -> str:
        return show.table(self)

    @property
    def plan(self) -> Plan:
        """What was decided once for Jacobians of this function."""
        return self._point.plan

    @property
    def conjugated(self) -> bool:
        """Whether the numbers are to be conjugated."""
        return self._point.conjugate

    @property
    def values(self) -> list[Any]:
        """The numbers that products are made of, by their numbers in the plan's program."""
        return self._point.start()

    @cached_property
    def _assembler(self) -> Assembler:
        return self._point.entries(self.layout).assembler

    @property
    def _pattern(self) -> Pattern:
        return self._point.entries(self.layout).pattern

    # Sizes -------------------------------------------------------------------------------------------

    @property
    def nnz(self) -> int:
        """Number of entries that can be other than zero: exact, without making any of them."""
        return self._assembler.nnz

    @property
    def nbytes(self) -> int:
        """Bytes that `tocsr` will take for values, indices and row pointers."""
        index = index_dtype(*self.shape, self.nnz).itemsize
        return self.nnz * (self.dtype.itemsize + index) + (self.shape[0] + 1) * index

    # The matrix --------------------------------------------------------------------------------------

    def structure(self) -> tuple[Array, Array]:
        """Row pointers and sorted column indices of the CSR matrix, as new arrays.

        Returns
        -------
        indptr, indices : numpy.ndarray
            int32 where the number of entries and both dimensions fit in it, else int64.
        """
        pattern = self._pattern
        return pattern.indptr.copy(), pattern.indices.copy()

    def coo_structure(self) -> tuple[Array, Array]:
        """Row and column of each entry, in the order of `fill`, as new arrays."""
        pattern = self._pattern
        return pattern.rows.copy(), pattern.indices.copy()

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
        data = checks.buffer("data", data, self.dtype, self.nnz)
        target = data if data.flags.c_contiguous and data.flags.aligned else np.empty(data.shape, data.dtype)
        self._point.run(self.layout, target)
        if target is not data:
            data[:] = target

    def tocsr(self, out: Any = None) -> sp.csr_array:
        """The Jacobian as a canonical ``scipy.sparse.csr_array``: sorted, without duplicates.

        Matrices of one function share their index arrays, which cannot be written to: what would change the pattern
        in place (``eliminate_zeros``) raises ValueError, and ``.copy()`` has index arrays of its own.

        Parameters
        ----------
        out : scipy.sparse.csr_array, optional
            A matrix with this Jacobian's pattern, as an earlier call made it for other values. Its values
            are overwritten where they stand and nothing of its size is allocated. One with index arrays of its own
            is compared entry by entry.

        Returns
        -------
        scipy.sparse.csr_array
            `out`, where it was given.

        Raises
        ------
        TypeError, ValueError
            Where `out` has another type, shape, dtype or pattern; then it is as it was.
        """
        if out is None:
            return self._point.csr(self.layout)
        if not isinstance(out, sp.csr_array | sp.csr_matrix):
            raise TypeError(f"out: got {checks.describe(out)}, expected a csr_array, as tocsr() makes it")
        if out.shape != self.shape or out.dtype != self.dtype:
            raise ValueError(f"out: got {checks.describe(out)}, expected shape {self.shape} and dtype {self.dtype}")
        pattern = self._pattern
        checks.buffer("out.data", out.data, self.dtype, pattern.indices.size)
        if not (out.data.flags.c_contiguous and out.data.flags.aligned):
            raise ValueError("out.data: got a strided array, expected a contiguous one")
        if not pattern.holds(out):
            raise ValueError("out: got entries in other places, expected this Jacobian's pattern, as tocsr() makes it")
        self._point.run(self.layout, out.data)
        return out

    def rows(self, start: int, stop: int) -> sp.csr_array:
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
        start, stop = checks.row_range(start, stop, self.shape[0])
        assembler = self._assembler
        pointers = assembler.indptr(start, stop)
        nnz, shape = int(pointers[-1]), (stop - start, self.shape[1])
        dtype = index_dtype(*shape, nnz)
        indices, data = np.empty(nnz, dtype=dtype), np.empty(nnz, dtype=self.dtype)
        assembler.columns(indices, start, stop)
        self._point.fill(self.layout)(data, start, stop, PLAIN)
        return Pattern(shape, pointers.astype(dtype), indices).matrix(data)

    def tocsc(self) -> sp.csc_array:
        """The Jacobian as a canonical ``scipy.sparse.csc_array``, filled column by column."""
        turned = self.T.tocsr()  # type: ignore[attr-defined]
        result = sp.csc_array((turned.data, turned.indices, turned.indptr), shape=self.shape)
        result.has_canonical_format = True
        return result

    def tocoo(self) -> sp.coo_array:
        """The Jacobian as a canonical ``scipy.sparse.coo_array``."""
        matrix = self.tocsr()
        places = self._pattern.rows.copy(), matrix.indices.copy()
        result = sp.coo_array((matrix.data, places), shape=self.shape)
        result.has_canonical_format = True
        return result

    def tobsr(self, blocksize: tuple[int, int] | None = None) -> sp.bsr_array:
        """The Jacobian as a ``scipy.sparse.bsr_array``; SciPy estimates the block size unless given."""
        if blocksize is not None:
            blocks = checks.shape("blocksize", blocksize, 2)
            if 0 in blocks or any(n % block for n, block in zip(self.shape, blocks, strict=True)):
                raise ValueError(f"blocksize: got {blocks}, expected one that divides {self.shape}")
        return sp.bsr_array(self.tocsr(), blocksize=blocksize)

    def toarray(self) -> Array:
        """The Jacobian as a dense array."""
        if self.nnz < self.shape[0] * self.shape[1]:
            return self.tocsr().toarray()  # type: ignore[no-any-return]
        # all entries are there, row by row
        data = np.empty(self.nnz, self.dtype)
        self._point.run(self.layout, data)
        return data.reshape(self.shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        # NumPy asks for it wherever it meets a Jacobian: too easily, for what it may cost
        raise TypeError("a Jacobian is not made dense unasked: say J.toarray(), or J.tocsr() for a sparse matrix")

    def tensor(self) -> sp.coo_array:
        """The Jacobian as an n-dimensional ``coo_array``, ``J[i, j, k, l] = ∂F[i, j] / ∂X[k, l]``.

        Its shape is ``out_shape + in_shape``, whatever the order and the layout. Several variables or outputs
        have no one tensor.
        """
        for name, shape in (("out_shape", self.out_shape), ("in_shape", self.in_shape)):
            if several(shape):
                raise ValueError(f"tensor: got {name} {shape}, expected one shape")
        if self.out_shape == self.in_shape == ():
            raise ValueError("tensor: got a scalar function of a scalar, expected at least one dimension")
        numerator: Any = self if self.layout == "numerator" else self.T  # type: ignore[attr-defined]
        matrix = numerator.tocoo()
        coordinates = *self._unravel(matrix.row, self.out_shape), *self._unravel(matrix.col, self.in_shape)
        return sp.coo_array((matrix.data, coordinates), shape=self.out_shape + self.in_shape)

    def spy(self, ax: Any = None, tiles: int = 200) -> Any:
        """Draw where there are entries, tile by tile: the darker, the more of a tile's places have one.

        Entries are counted a few rows at a time, and nothing of the Jacobian's size is made: 10⁹ entries take seconds.
        A Jacobian with no more rows and columns than tiles is drawn entry by entry. Lines separate several variables or
        outputs.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; a figure of its own unless given.
        tiles : int, optional
            The most tiles along either side.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        ImportError
            Where matplotlib is not installed: ``pip install matjac[plot]``.
        TypeError, ValueError
            Where `tiles` is not a positive integer, or there are no rows or no columns.

        Examples
        --------
        >>> import numpy as np, matjac as mj
        >>> from matplotlib.figure import Figure
        >>> ax = mj.d_gram_dR(np.ones((50, 200))).spy(Figure().add_subplot())
        >>> ax.get_title().splitlines()
        ['40,000 × 10,000, 3,990,000 entries', 'tiles of 200 × 50']
        """
        return picture.spy(self, ax, tiles)

    def _unravel(self, index: Array, shape: Any) -> tuple[Array, ...]:
        # NumPy has no coordinates for the one entry of a scalar
        return np.unravel_index(index, shape, self.order) if shape else ()
