"""The communicator that is given: an mpi4py one, of ranks that run the same program."""

import os
from typing import Any

from matjac import checks
from matjac.extras import optional

#: Where an mpiexec says how many processes it began: Open MPI's, MPICH's and its kin's, Slurm's.
SIZES = "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"


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
    RuntimeError
        Where mpiexec is of another MPI than mpi4py, so that each process is a job of its own.

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
    if comm == MPI.COMM_WORLD and comm.size == 1:
        # each process would fit the whole by itself
        begun = max(int(os.environ.get(name, 1)) for name in SIZES)
        if begun > 1:
            raise RuntimeError(
                f"{name}: got 1 rank where mpiexec began {begun}, expected the mpiexec of the MPI that mpi4py is of, "
                f"{MPI.Get_library_version().splitlines()[0].strip()}"
            )
    return comm
