"""A Jacobian as a sparse matrix: its sizes, its pattern and its entries, in SciPy's formats."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp

from matjac import checks, memory
from matjac.conventions import Array, Order, Shapes, cached_property, index_dtype, several
from matjac.entries.assembler import PLAIN, POINTERS, Assembler, ranges
from matjac.entries.pattern import Pattern
from matjac.entries.plan import Plan
from matjac.jacobian import picture, show
from matjac.linear.factors import product_nnz
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
        return self._bytes(self.shape[0], self.nnz)

    def _bytes(self, rows: int, nnz: int) -> int:
        """Bytes of a CSR matrix of so many of the rows, with so many entries."""
        index = index_dtype(rows, self.shape[1], nnz).itemsize
        return nnz * (self.dtype.itemsize + index) + (rows + 1) * index

    def offset(self, row: int) -> int:
        """Number of entries in the rows before that one, which is where it begins in `fill`.

        Parameters
        ----------
        row : int
            ``0 <= row <= shape[0]``.

        Raises
        ------
        TypeError, ValueError
            Where it is not.

        Examples
        --------
        >>> import matjac as mj
        >>> mj.d_matvec_dA([5.0, 7.0], 10**9).offset(10**8)
        200000000
        """
        before = checks.count("row", row)
        if before > self.shape[0]:
            raise ValueError(f"row: got {before}, expected at most {self.shape[0]}")
        return self._assembler.offset(before)

    @property
    def _index(self) -> int:
        """Bytes of an index."""
        # where so many are enough to tell, counting them all may take minutes
        wide = index_dtype(*self.shape, self._point.entries(self.layout).at_least)
        return (wide if wide == np.int64 else index_dtype(*self.shape, self.nnz)).itemsize

    def _require(self, each: int, more: int = 0, fill: bool = True, pattern: bool = True) -> None:
        """Refuse what would not fit in memory; see `Entries.require`."""
        self._point.entries(self.layout).require(each, more, self.dtype.itemsize if fill else 0, pattern)

    # The matrix --------------------------------------------------------------------------------------

    def structure(self) -> tuple[Array, Array]:
        """Row pointers and sorted column indices of the CSR matrix, as new arrays.

        Returns
        -------
        indptr, indices : numpy.ndarray
            int32 where the number of entries and both dimensions fit in it, else int64.
        """
        self._require(self._index, (self.shape[0] + 1) * self._index, fill=False)
        pattern = self._pattern
        return pattern.indptr.copy(), pattern.indices.copy()

    def coo_structure(self) -> tuple[Array, Array]:
        """Row and column of each entry, in the order of `fill`, as new arrays."""
        self._require(3 * self._index, 2 * self.shape[0] * self._index, fill=False)
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
        plain = data.flags.c_contiguous and data.flags.aligned
        memory.require(self.nnz, 0 if plain else data.nbytes)
        target = data if plain else np.empty(data.shape, data.dtype)
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
        assembler, rows = self._assembler, stop - start
        memory.require("row pointers", POINTERS * rows)
        pointers = assembler.indptr(start, stop)
        nnz, shape = int(pointers[-1]), (rows, self.shape[1])
        beside = self._point.entries(self.layout).beside(self.dtype.itemsize, rows == self.shape[0])
        memory.require(nnz, self._bytes(rows, nnz) + 32 * rows + beside + self._point.numbers(self.layout))
        dtype = index_dtype(*shape, nnz)
        indices, data = np.empty(nnz, dtype=dtype), np.empty(nnz, dtype=self.dtype)
        assembler.columns(indices, start, stop)
        self._point.fill(self.layout)(data, start, stop, PLAIN)
        return Pattern(shape, pointers.astype(dtype), indices).matrix(data)

    def iter_rows(
        self, start: int = 0, stop: int | None = None, *, max_bytes: int = 1 << 28
    ) -> Iterator[tuple[int, sp.csr_array]]:
        """The rows ``start:stop`` block by block, in bounded memory: for what is too large to be stored.

        Parameters
        ----------
        start, stop : int, optional
            ``0 <= start <= stop <= shape[0]``; all rows unless given.
        max_bytes : int, optional
            Of the block that was given last and the one that is being made, together: each takes half of it at most.
            Where rows have different numbers of entries, 8 bytes for each row of the Jacobian come on top.

        Yields
        ------
        start : int
            The number of the block's first row.
        block : scipy.sparse.csr_array
            As `rows` makes it, with arrays of its own.

        Raises
        ------
        TypeError, ValueError
            Where an argument is none, at once; or where a row is larger than a block may be, when its turn comes.

        Notes
        -----
        A block costs in proportion to its entries, but where a row's entries are made from columns: in the other layout
        of some identities, and above the diagonal of Hessians, a block costs one pass over them all.

        Examples
        --------
        >>> import numpy as np, matjac as mj
        >>> J = mj.d_gram_dR(np.ones((2, 500)))
        >>> squares = np.zeros(J.shape[1])
        >>> for start, block in J.iter_rows(max_bytes=10**6):
        ...     squares += np.bincount(block.indices, block.data**2, squares.size)
        >>> np.allclose(squares, J.diagonal_normal())
        True
        """
        start, stop = checks.row_range(start, self.shape[0] if stop is None else stop, self.shape[0])
        return self._blocks(start, stop, checks.count("max_bytes", max_bytes))

    def _blocks(self, start: int, stop: int, max_bytes: int) -> Iterator[tuple[int, sp.csr_array]]:
        # while a block is made its pointers are int64 too
        index = index_dtype(self.shape[1], min(max_bytes, self.nnz)).itemsize
        entry, row = self.dtype.itemsize + index, index + 16
        for first, last, pointers in ranges(self._assembler, max_bytes // 2 - row, entry, row, start, stop):
            if last == first + 1 and (needed := 2 * (entry * int(pointers[-1]) + 2 * row)) > max_bytes:
                raise ValueError(f"max_bytes: got {max_bytes}, expected at least {needed} for row {first}")
            yield first, self.rows(first, last)

    def tocsc(self) -> sp.csc_array:
        """The Jacobian as a canonical ``scipy.sparse.csc_array``, filled column by column."""
        turned = self.T.tocsr()  # type: ignore[attr-defined]
        result = sp.csc_array((turned.data, turned.indices, turned.indptr), shape=self.shape)
        result.has_canonical_format = True
        return result

    def tocoo(self) -> sp.coo_array:
        """The Jacobian as a canonical ``scipy.sparse.coo_array``."""
        self._require(self.dtype.itemsize + 3 * self._index, 2 * self.shape[0] * self._index)
        matrix = self.tocsr()
        places = self._pattern.rows.copy(), matrix.indices.copy()
        result = sp.coo_array((matrix.data, places), shape=self.shape)
        result.has_canonical_format = True
        return result

    def tobsr(self, blocksize: tuple[int, int] | None = None) -> sp.bsr_array:
        """The Jacobian as a ``scipy.sparse.bsr_array``; SciPy estimates the block size unless given.

        Parameters
        ----------
        blocksize : tuple of int, optional
            Rows and columns of a block, of which there are whole numbers.

        Raises
        ------
        TypeError, ValueError
            Where it is none.
        """
        size, (rows, columns) = self.dtype.itemsize, self.shape
        if blocksize is None:
            # SciPy chooses blocks that are more than 0.7 full
            self._require(3 * size + self._index)
            return sp.bsr_array(self.tocsr())
        p, q = checks.shape("blocksize", blocksize, 2)
        if not p * q or rows % p or columns % q:
            raise ValueError(f"blocksize: got {(p, q)}, expected one that divides {self.shape}")
        matrix = self.tocsr()
        each = p * q * size + self._index
        # beside the CSR matrix
        if not memory.fits(self.nbytes + each * self.nnz):
            sums = sp.csr_array((np.ones(rows, np.int8), np.arange(rows), np.arange(0, rows + 1, p)))
            blocks = sp.csr_array((matrix.data, matrix.indices // q, matrix.indptr), shape=(rows, columns // q))
            count = product_nnz(sums, blocks)
            memory.require(f"{count:,} blocks of {p} × {q} entries", self.nbytes + each * count)
        return sp.bsr_array(matrix, blocksize=(p, q))

    def toarray(self) -> Array:
        """The Jacobian as a dense array."""
        dense = self.shape[0] * self.shape[1]
        # before entries are counted, which may take minutes
        memory.require(f"a dense array of {self.shape[0]:,} × {self.shape[1]:,}", dense * self.dtype.itemsize)
        sparse = self.nnz < dense
        self._require(self.dtype.itemsize if sparse else 0, dense * self.dtype.itemsize, pattern=sparse)
        if sparse:
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
        # coordinates are int64 at first
        wide = 12 * (len(self.out_shape) + len(self.in_shape))
        numerator._require(self.dtype.itemsize + 3 * self._index + wide, 2 * self.shape[0] * self._index)
        matrix = numerator.tocoo()
        coordinates = *self._unravel(matrix.row, self.out_shape), *self._unravel(matrix.col, self.in_shape)
        return sp.coo_array((matrix.data, coordinates), shape=self.out_shape + self.in_shape)

    def spy(self, ax: Any = None, tiles: int = 200) -> Any:
        """Draw where there are entries, tile by tile: the darker, the more of a tile's places have one.

        Entries are counted a few rows at a time, and nothing of the Jacobian's size is made: 10⁹ entries take seconds.
        A Jacobian with no more rows and columns than tiles is drawn entry by entry. Lines separate several variables or
        outputs. What `nnz` needs is made before: of a weighted normal matrix that is the product itself.

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
