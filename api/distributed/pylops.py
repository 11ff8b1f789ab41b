"""Jacobians for PyLops-MPI's solvers."""

from typing import Any

from matjac.distributed.comm import communicator
from matjac.distributed.rows import jacobian
from matjac.distributed.stacked import spread, together
from matjac.extras import optional
from matjac.jacobian import Jacobian


def to_pylops(J: Jacobian, comm: Any, *, local: bool = False) -> Any:
    """A Jacobian whose rows are spread over ranks, as PyLops-MPI's operator.

    Its products take a vector of unknowns that all ranks have (``Partition.BROADCAST``) to one of which each has its
    rows (``Partition.SCATTER``), and back by one sum over the ranks.

    Parameters
    ----------
    J : Jacobian
        The whole, the same on all ranks, or this rank's rows alone.
    comm : mpi4py.MPI.Intracomm
        Such as ``MPI.COMM_WORLD``. All of its ranks call this together.
    local : bool, optional
        Whether J is this rank's: the whole is then those of all ranks, one above another, and each multiplies
        without making its entries. Otherwise each rank makes its rows of J (`rows`), and multiplies by them.

    Returns
    -------
    pylops_mpi.MPIVStack
        Of one block on each rank.

    Raises
    ------
    ImportError
        Where pylops-mpi is not installed: ``pip install matjac[pylops]``.
    TypeError, ValueError
        Where an argument is none, or the ranks' Jacobians do not fit one another.
    MemoryError
        Where the rows of a rank do not fit in memory.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> from mpi4py import MPI  # doctest: +SKIP
    >>> A = mj.distributed.to_pylops(mj.d_gram_dR(np.ones((2, 3))), MPI.COMM_WORLD)  # doctest: +SKIP
    >>> A.shape  # doctest: +SKIP
    (9, 6)
    """
    comm, mine = communicator(comm), jacobian(J)
    pylops, pylops_mpi = optional("pylops", "matjac[pylops]"), optional("pylops_mpi", "matjac[pylops]")
    rows = spread(mine, comm, local)
    if local:
        block = pylops.aslinearoperator(mine)
    else:
        block = together(comm, lambda: pylops.MatrixMult(mine.rows(rows.start, rows.stop), dtype=mine.dtype))
    return pylops_mpi.MPIVStack([block], base_comm=comm, dtype=mine.dtype)
