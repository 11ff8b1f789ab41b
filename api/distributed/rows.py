"""Which rows of a Jacobian are a rank's: consecutive ones, with as many entries as those of any other rank."""

from bisect import bisect_left
from typing import Any

from matjac import checks
from matjac.distributed.comm import communicator
from matjac.jacobian import Jacobian


def rows(J: Jacobian, comm: Any) -> tuple[int, int]:
    """The rows of a Jacobian that are this rank's, balanced by entries.

    Each rank has the same J, whose entries none of them needs to hold, and makes its own rows of it:
    ``J.rows(start, stop)``, or ``J.iter_rows(start, stop)`` where these are too many still. Nothing is sent.

    Parameters
    ----------
    J : Jacobian
        The same on all ranks.
    comm : mpi4py.MPI.Intracomm
        Such as ``MPI.COMM_WORLD``.

    Returns
    -------
    start, stop : int
        The ranges of all ranks follow one another and cover all rows. Entries differ by less than those of a row.
        A rank may have no row, where there are more ranks than rows.

    Raises
    ------
    ImportError
        Where mpi4py is not installed.
    TypeError, ValueError
        Where J is no Jacobian, or `comm` no communicator.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> from mpi4py import MPI  # doctest: +SKIP
    >>> J = mj.d_gram_dR(np.ones((50, 10_000)))  # 10¹⁰ entries
    >>> squares = np.zeros(J.shape[1])  # doctest: +SKIP
    >>> for start, block in J.iter_rows(*mj.distributed.rows(J, MPI.COMM_WORLD)):  # doctest: +SKIP
    ...     squares += np.bincount(block.indices, block.data**2, squares.size)
    >>> squares = MPI.COMM_WORLD.allreduce(squares)  # doctest: +SKIP
    """
    comm = communicator(comm)
    return part(jacobian(J), comm.rank, comm.size)


def jacobian(J: Any) -> Jacobian:
    """A Jacobian, checked."""
    if not isinstance(J, Jacobian):
        raise TypeError(f"J: got {checks.describe(J)}, expected a matjac.Jacobian")
    return J


def part(J: Jacobian, rank: int, size: int) -> tuple[int, int]:
    """The rows of one of so many ranks."""
    count = J.shape[0]

    def edge(number: int) -> int:
        if number == size:
            return count
        # where nothing has entries, rows are shared out
        before, total = (J.offset, J.nnz) if J.nnz else (lambda row: row, count)
        return bisect_left(range(count), -(-total * number // size), key=before)

    return edge(rank), edge(rank + 1)
