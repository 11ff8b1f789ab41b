"""Jacobians for PETSc: matrices that are filled row range by row range, and shells that only multiply."""

import hashlib
from typing import Any

import numpy as np

from matjac import checks, memory
from matjac.conventions import Array
from matjac.distributed.comm import communicator
from matjac.distributed.rows import jacobian
from matjac.distributed.stacked import Rows, spread, together
from matjac.extras import optional
from matjac.jacobian import Jacobian

#: The name under which a PETSc matrix keeps what tells where its entries are.
KEPT = "matjac"


def to_petsc(J: Jacobian, comm: Any, *, local: bool = False, shell: bool = False, out: Any = None) -> Any:
    """A Jacobian whose rows are spread over ranks, as a PETSc matrix.

    Parameters
    ----------
    J : Jacobian
        The whole, the same on all ranks, of which each makes its own `rows`; or this rank's rows alone.
    comm : mpi4py.MPI.Intracomm
        Such as ``MPI.COMM_WORLD``. All of its ranks call this together.
    local : bool, optional
        Whether J is this rank's: the whole is then those of all ranks, one above another.
    shell : bool, optional
        A matrix that only multiplies: no entry is made. Vectors of unknowns are gathered on each rank. Where J is not
        `local` each rank multiplies by the whole of it.
    out : petsc4py.PETSc.Mat, optional
        A matrix that an earlier call made, of a Jacobian with the same pattern: its values are overwritten in place.

    Returns
    -------
    petsc4py.PETSc.Mat
        `out`, where it was given; else a new matrix of type ``aij`` (``mpiaij`` on several ranks) or ``python``.
        Rows are allocated exactly, and set in blocks of bounded size: beside PETSc's own memory a rank takes 256 MB.

    Raises
    ------
    ImportError
        Where petsc4py is not installed: ``pip install matjac[petsc]``.
    TypeError, ValueError
        Where an argument is none, the ranks' Jacobians do not fit one another, J is complex and PETSc's numbers are
        real, or `out` has another shape or pattern: then it is as it was.
    OverflowError
        Where PETSc's index type is too narrow: PETSc is to be configured with ``--with-64-bit-indices``.
    MemoryError
        Where a rank's rows do not fit in its memory.

    Notes
    -----
    PETSc's numbers are double precision, real or complex as it was configured; J's are converted.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> from mpi4py import MPI  # doctest: +SKIP
    >>> A = mj.distributed.to_petsc(mj.d_gram_dR(np.ones((2, 3))), MPI.COMM_WORLD)  # doctest: +SKIP
    >>> A = mj.distributed.to_petsc(mj.d_gram_dR(np.eye(2, 3)), MPI.COMM_WORLD, out=A)  # doctest: +SKIP
    >>> A.getSize()  # doctest: +SKIP
    (9, 6)
    """
    comm, mine = communicator(comm), jacobian(J)
    PETSc = optional("petsc4py.PETSc", "matjac[petsc]")
    if mine.dtype.kind == "c" and np.dtype(PETSc.ScalarType).kind != "c":
        raise TypeError(f"J: got dtype {mine.dtype}, expected real numbers, for which this PETSc was configured")
    if shell and out is not None:
        raise ValueError("out: got a matrix for shell=True, expected None: a shell has nothing to refill")
    rows = spread(mine, comm, local)
    if max(rows.height, mine.shape[1]) > np.iinfo(PETSc.IntType).max:
        raise OverflowError(
            f"J: got {rows.height} × {mine.shape[1]}, expected sizes that fit {np.dtype(PETSc.IntType)}: configure "
            "PETSc with --with-64-bit-indices"
        )
    sizes = (rows.size, rows.height), PETSc.Sys.splitOwnership(mine.shape[1], comm=comm)
    if shell:
        return PETSc.Mat().createPython(sizes, _Shell(rows, comm), comm=comm)
    if out is None:
        out = _allocated(PETSc, sizes, rows, comm)
    else:
        together(comm, lambda: _check(PETSc, out, sizes, rows))
    together(comm, lambda: _set(PETSc, out, rows))
    out.assemble()
    # an entry elsewhere would be a mistake from now on
    out.setOption(PETSc.Mat.Option.NEW_NONZERO_LOCATION_ERR, True)
    return out


def _allocated(PETSc: Any, sizes: Any, rows: Rows, comm: Any) -> Any:
    """A matrix with room for exactly the entries of these rows."""
    (columns, _), J = sizes[1], rows.J
    left = comm.scan(columns) - columns

    def count() -> tuple[Array, Array, tuple[bytes, ...]]:
        entries = J.offset(rows.stop) - J.offset(rows.start)
        index, scalar = (np.dtype(kind).itemsize for kind in (PETSc.IntType, PETSc.ScalarType))
        if entries > np.iinfo(PETSc.IntType).max:
            raise OverflowError(
                f"J: got {entries:,} entries in a rank's rows, expected a number that fits {np.dtype(PETSc.IntType)}: "
                "take more ranks, or configure PETSc with --with-64-bit-indices"
            )
        memory.require(f"{entries:,} entries for PETSc", entries * (index + scalar) + 4 * index * rows.size)
        inside, outside = np.zeros(rows.size, PETSc.IntType), np.zeros(rows.size, PETSc.IntType)
        places = _Places()
        for start, block in J.iter_rows(rows.start, rows.stop):
            own = (block.indices >= left) & (block.indices < left + columns)
            ends = np.concatenate([[0], np.cumsum(own)])[block.indptr]
            part = slice(start - rows.start, start - rows.start + block.shape[0])
            inside[part] = np.diff(ends)
            outside[part] = np.diff(block.indptr) - inside[part]
            places.add(block)
        return inside, outside, places.digest

    inside, outside, digest = together(comm, count)
    A = PETSc.Mat().create(comm)
    A.setSizes(sizes)
    A.setType(PETSc.Mat.Type.AIJ)
    A.setPreallocationNNZ((inside, outside))
    # said on every rank: PETSc leaves it out where there are no rows, and then its ranks wait for one another
    A.setOption(PETSc.Mat.Option.NEW_NONZERO_ALLOCATION_ERR, True)
    A.setAttr(KEPT, ((J.plan, J.layout), digest))
    return A


class _Places:
    """What tells patterns from one another, of blocks of rows in whatever number."""

    def __init__(self) -> None:
        self._counts, self._columns = hashlib.blake2b(), hashlib.blake2b()

    def add(self, block: Any) -> None:
        """The next rows."""
        self._counts.update(np.diff(block.indptr).astype(np.int64))
        self._columns.update(block.indices.astype(np.int64))

    @property
    def digest(self) -> tuple[bytes, ...]:
        """Of all rows so far."""
        return self._counts.digest(), self._columns.digest()


def _check(PETSc: Any, out: Any, sizes: Any, rows: Rows) -> None:
    """Refuse what was made for another pattern, before anything of it is written."""
    if not isinstance(out, PETSc.Mat):
        raise TypeError(f"out: got {checks.describe(out)}, expected a petsc4py.PETSc.Mat that to_petsc made")
    kept = out.getAttr(KEPT)
    if kept is None:
        raise ValueError("out: got a matrix of another making, expected one that to_petsc made")
    if out.getSizes() != sizes:
        raise ValueError(f"out: got local and whole sizes {out.getSizes()}, expected {sizes}")
    (plan, layout), digest = kept
    J = rows.J
    # a function's Jacobians have one plan, and so one pattern
    if plan is not J.plan or layout != J.layout:
        places = _Places()
        for _, block in J.iter_rows(rows.start, rows.stop):
            places.add(block)
        if places.digest != digest:
            raise ValueError("out: got entries in other places, expected this Jacobian's pattern, as to_petsc makes it")
        out.setAttr(KEPT, ((J.plan, J.layout), digest))


def _set(PETSc: Any, out: Any, rows: Rows) -> None:
    """Write these rows' values, block by block."""
    for start, block in rows.J.iter_rows(rows.start, rows.stop):
        first = start - rows.start + rows.first
        numbers = np.arange(first, first + block.shape[0], dtype=PETSc.IntType)
        places = (part.astype(PETSc.IntType, copy=False) for part in (block.indptr, block.indices))
        out.setValuesIJV(*places, block.data.astype(PETSc.ScalarType, copy=False), rowmap=numbers)


class _Shell:
    """What PETSc calls for products: the unknowns are gathered, and what rows add to them is summed."""

    def __init__(self, rows: Rows, comm: Any) -> None:
        self.rows, self.comm = rows, comm

    def mult(self, A: Any, x: Any, y: Any) -> None:
        """y = J x."""
        counts = np.diff(x.owner_ranges)
        whole = np.empty(self.rows.J.shape[1], x.array_r.dtype)
        self.comm.Allgatherv(np.ascontiguousarray(x.array_r), [whole, counts])
        y.array = self.rows.product(whole)

    def multTranspose(self, A: Any, y: Any, x: Any) -> None:
        """x = Jᵀ y."""
        part = np.ascontiguousarray(self.rows.transposed(y.array_r), y.array_r.dtype)
        mine = np.empty(x.getLocalSize(), part.dtype)
        self.comm.Reduce_scatter(part, mine, np.diff(x.owner_ranges))
        x.array = mine
