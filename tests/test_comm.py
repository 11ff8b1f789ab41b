"""The communicator that is given."""

import sys

import pytest
from measures import mpi

from matjac.distributed.comm import communicator


def test_without_mpi4py_the_error_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", None)
    with pytest.raises(ImportError, match=r"pip install 'matjac\[mpi\]'") as caught:
        communicator(None)
    assert "\n" not in str(caught.value)


def test_an_mpiexec_of_another_mpi_is_told(monkeypatch):
    MPI = mpi()
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    with pytest.raises(RuntimeError, match=r"^comm: got 1 rank where mpiexec began 2, expected the mpiexec of the MPI"):
        communicator(MPI.COMM_WORLD)
    assert communicator(MPI.COMM_SELF) is MPI.COMM_SELF


def test_what_is_no_communicator_is_refused():
    MPI = mpi()
    for wrong in (None, 2, "world", MPI):
        with pytest.raises(TypeError, match=r"^comm: got .*, expected one of mpi4py's, such as MPI.COMM_WORLD$"):
            communicator(wrong)
    with pytest.raises(ValueError, match="null"):
        communicator(MPI.COMM_NULL)
    assert communicator(MPI.COMM_SELF) is MPI.COMM_SELF
