"""Ranks: functions and Jacobians that are spread over the processes of an MPI job.

The extra ``matjac[mpi]`` brings mpi4py and an MPI to run it on, with its ``mpiexec``. Each rank runs the same program:

    mpiexec -n 4 python program.py

What takes a communicator checks it by `communicator`. What is done on it is collective:
all of its ranks call it.

Examples
--------
>>> import matjac as mj
>>> from mpi4py import MPI  # doctest: +SKIP
>>> mj.distributed.communicator(MPI.COMM_WORLD).size  # doctest: +SKIP
4
"""

from matjac.distributed.comm import communicator

__all__ = ["communicator"]
