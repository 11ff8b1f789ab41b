"""Streams a Jacobian that no rank holds: JᵀJ's diagonal and ‖J‖, against closed forms. Prints what each rank took."""

import resource
import sys
import time

import numpy as np
from mpi4py import MPI

import matjac as mj

comm = MPI.COMM_WORLD
m, n, max_bytes = map(int, sys.argv[1:4])
R = np.random.default_rng(0).standard_normal((m, n))
J = mj.d_gram_dR(R)
start, stop = mj.distributed.rows(J, comm)
began, entries = time.perf_counter(), 0
squares = np.zeros(J.shape[1])
for _, block in J.iter_rows(start, stop, max_bytes=max_bytes):
    squares += np.bincount(block.indices, block.data**2, squares.size)
    entries += block.nnz
seconds = time.perf_counter() - began
comm.Allreduce(MPI.IN_PLACE, squares)
# column (i, j) of d(RᵀR)/dR has R[i, q] at rows (j, q) and (q, j), twice that where q is j
expected = (2 * (R**2).sum(axis=1, keepdims=True) + 2 * R**2).ravel()
np.testing.assert_allclose(squares, expected, rtol=1e-11)
np.testing.assert_allclose(J.diagonal_normal(), expected, rtol=1e-11)
norm = 2 * (n + 1) * np.sum(R**2)
np.testing.assert_allclose(squares.sum(), norm, rtol=1e-11)
assert comm.allreduce(entries) == J.nnz
if "petsc" in sys.argv:
    from petsc4py import PETSc

    began = time.perf_counter()
    A = mj.distributed.to_petsc(J, comm)
    made = time.perf_counter()
    mj.distributed.to_petsc(mj.d_gram_dR(2 * R), comm, out=A)
    print(f"rank {comm.rank}: into PETSc in {made - began:.1f} s, again in {time.perf_counter() - made:.1f} s")
    assert A.getInfo(A.InfoType.GLOBAL_SUM)["nz_used"] == J.nnz
    np.testing.assert_allclose(A.norm(PETSc.NormType.FROBENIUS) ** 2, 4 * norm, rtol=1e-11)
    indices, data = A.getValuesCSR()[1:]
    squares = np.bincount(indices, data**2, J.shape[1])
    comm.Allreduce(MPI.IN_PLACE, squares)
    np.testing.assert_allclose(squares, 4 * expected, rtol=1e-11)
megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"rank {comm.rank}: {entries} entries in {seconds:.1f} s, at most {megabytes:.0f} MB", flush=True)
