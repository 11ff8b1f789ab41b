"""What tests measure, and what they need of a machine."""

import os
import tracemalloc

import pytest

#: How much a long run draws: programs, state machines, compiled functions, and examples of every property.
LONG = int(os.environ.get("MATJAC_FUZZ", "0"))


def peak(call):
    """The most memory that was held at once of what the call made."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def mpi():
    """mpi4py's MPI; the test is skipped where that or an MPI library is absent."""
    missing = ImportError, RuntimeError
    return pytest.importorskip("mpi4py.MPI", reason="mpi4py or an MPI library is absent", exc_type=missing)
