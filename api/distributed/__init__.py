"""Ranks: functions and Jacobians that are spread over the processes of an MPI job.

The extra ``matjac[mpi]`` brings mpi4py and an MPI to run it on, with its ``mpiexec``. Each rank runs the same program:

    mpiexec -n 4 python program.py

What takes a communicator checks it by `communicator`. What is done on it is collective:
all of its ranks call it.

Examples
--------
>>> import matjac as mj
>>> from mpi4py import MPI  # doctest: +SKIP
>>> comm = MPI.COMM_WORLD  # doctest: +SKIP
>>> F = mj.compile(lambda w: w - float(comm.rank), (2,))  # doctest: +SKIP
>>> T = mj.distributed.total(F, comm)  # doctest: +SKIP
>>> mj.solvers.least_squares(T, [0.0, 0.0]).variables  # the mean of 0, 1, 2 and 3  # doctest: +SKIP
(array([1.5, 1.5]),)
"""

from matjac.distributed.comm import communicator
from matjac.distributed.petsc import to_petsc
from matjac.distributed.pylops import to_pylops
from matjac.distributed.rows import rows
from matjac.distributed.total import Total, total

__all__ = ["Total", "communicator", "rows", "to_petsc", "to_pylops", "total"]
