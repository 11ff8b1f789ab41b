"""Jacobians whose rows are spread over ranks; in PyLops-MPI and PETSc where they are installed."""

import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from measures import LONG, mpi
from test_distributed import MPIEXEC, job

import matjac as mj
from matjac.distributed.rows import part

HERE = Path(__file__).parent


def needs(*modules):
    absent = [module for module in modules if importlib.util.find_spec(module) is None]
    return pytest.mark.skipif(bool(absent), reason=f"{', '.join(absent)} is absent")


ranked = [pytest.mark.skipif(MPIEXEC is None, reason="mpiexec is absent")]


def printed(ranks, program, *arguments, timeout=300):
    """What so many ranks print."""
    done, _ = job(ranks, *arguments, timeout=timeout, program=HERE / program)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "what",
    [
        pytest.param("rows", marks=ranked),
        pytest.param("pylops", marks=[*ranked, needs("pylops_mpi")]),
        pytest.param("petsc", marks=[*ranked, needs("petsc4py")]),
        pytest.param("refusals", marks=[*ranked, needs("petsc4py", "pylops_mpi")]),
    ],
)
@pytest.mark.parametrize("ranks", [1, 2, pytest.param(3, marks=pytest.mark.slow)])
def test_ranks_have_the_whole_matrix_together(what, ranks):
    assert printed(ranks, "ranked_rows.py", what).count("ok") == ranks


def streamed(*arguments, timeout=300):
    """Megabytes that each rank took at most."""
    told = printed(2, "ranked_stream.py", *arguments, timeout=timeout)
    return [int(megabytes) for megabytes in re.findall(r"at most (\d+) MB", told)]


@pytest.mark.slow
@pytest.mark.parametrize("what", [pytest.param("stream", marks=ranked)])
def test_two_ranks_stream_what_neither_holds(what):
    """4·10⁷ entries, 480 MB, in blocks of 8 MB; Python, NumPy and Numba take some 200 MB."""
    first, second = streamed(20, 1000, 2**23)
    assert max(first, second) < 350


@pytest.mark.parametrize("what", [pytest.param("stream", marks=[*ranked, needs("petsc4py")])])
def test_two_ranks_fill_petsc(what):
    """4·10⁷ entries, each of which PETSc holds in 12 bytes, and gives back as a copy."""
    first, second = streamed(20, 1000, 2**23, "petsc")
    assert max(first, second) < 1200


@pytest.mark.slow
@pytest.mark.parametrize("what", [pytest.param("stream", marks=ranked)])
def test_two_ranks_stream_billions_of_entries_in_a_gigabyte_each(what):
    """2.5·10⁹ entries, more than 32 bits count; 10¹⁰ of them, which take minutes, in a long run."""
    first, second = streamed(50, 10_000 if LONG else 5000, 2**28, timeout=3000)
    assert max(first, second) < 1000


# without ranks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_parts_are_balanced_by_entries(size):
    J = mj.compile(lambda X: np.tril(X) @ np.tril(X).T, (12, 12)).jacobian(np.ones((12, 12)))
    lengths = np.diff([J.offset(row) for row in range(J.shape[0] + 1)])
    parts = [part(J, rank, size) for rank in range(size)]
    assert [start for start, _ in parts] == [0, *(stop for _, stop in parts[:-1])]
    assert parts[-1][1] == J.shape[0]
    counts = np.array([lengths[start:stop].sum() for start, stop in parts])
    assert counts.sum() == J.nnz
    assert (abs(counts - J.nnz / size) < lengths.max()).all()


def test_parts_of_what_no_machine_holds():
    J = mj.d_gram_dR(np.broadcast_to(1.0, (10**3, 10**6)))
    ends = [part(J, rank, 1000)[1] for rank in range(1000)]
    assert ends[-1] == 10**12
    counts = np.diff([0, *(J.offset(end) for end in ends)])
    assert counts.min() > 0.999 * J.nnz / 1000


def test_parts_of_what_no_machine_holds_by_rows_of_different_lengths():
    """Rows (i, j) with (i mod 3) entries: half of them are in the last of any two that have entries."""
    n = 10**6
    lengths = np.arange(n) % 3
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    A = sp.csr_array((np.ones(indptr[-1]), np.arange(indptr[-1]) % 2, indptr), shape=(n, 2))
    A.sum_duplicates()
    J = mj.d_matmul_dB(A, n)
    assert J.shape == (n * n, 2 * n)
    assert J.nnz == int(lengths.sum()) * n
    start, stop = part(J, 1, 2)
    assert stop == n * n
    assert abs(2 * J.offset(start) - J.nnz) <= 4
    for i in (4, 999_998):
        assert J.offset(i * n + 7) == int(indptr[i]) * n + 7 * int(lengths[i])


@pytest.mark.parametrize("module", ["pylops_mpi", "petsc4py.PETSc"])
def test_without_the_package_the_error_is_one_line(module, monkeypatch):
    MPI = mpi()
    pytest.importorskip("pylops") if module == "pylops_mpi" else None
    monkeypatch.setitem(sys.modules, module, None)
    call = mj.distributed.to_pylops if module == "pylops_mpi" else mj.distributed.to_petsc
    with pytest.raises(ImportError, match=rf"^{module} is not installed: pip install") as caught:
        call(mj.d_identity_dx(3), MPI.COMM_SELF)
    assert "\n" not in str(caught.value)
