"""The communicator that is given: an mpi4py one, of ranks that run the same program."""

from typing import Any

from matjac import checks
from matjac.extras import optional


def communicator(comm: Any, name: str = "comm") -> Any:
    """An mpi4py communicator, checked.

    Parameters
    ----------
    comm : mpi4py.MPI.Intracomm
        Such as ``MPI.COMM_WORLD``.
    name : str, optional
        What messages call it.

    Returns
    -------
    mpi4py.MPI.Intracomm
        The same.

    Raises
    ------
    ImportError
        Where mpi4py is not installed: ``pip install matjac[mpi]``.
    TypeError, ValueError
        Where it is none, or the null communicator.

    Examples
    --------
    >>> from matjac.distributed.comm import communicator
    >>> from mpi4py import MPI  # doctest: +SKIP
    >>> communicator(MPI.COMM_WORLD).size  # doctest: +SKIP
    1
    """
    MPI = optional("mpi4py.MPI", "matjac[mpi]")
    if isinstance(comm, MPI.Comm) and comm == MPI.COMM_NULL:
        raise ValueError(f"{name}: got the null communicator, expected one that this rank is in")
    if not isinstance(comm, MPI.Intracomm):
        raise TypeError(f"{name}: got {checks.describe(comm)}, expected one of mpi4py's, such as MPI.COMM_WORLD")
    return comm
