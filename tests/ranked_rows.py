"""What the tests run on each rank: a Jacobian's rows spread over ranks, in PETSc and PyLops-MPI; "ok" is printed."""

import sys

import numpy as np
import pytest
from mpi4py import MPI
from scipy.sparse.linalg import lsqr

import matjac as mj

comm = MPI.COMM_WORLD
rng = np.random.default_rng(0)
R = rng.standard_normal((3, 8))
#: Wholes of several kinds, among them one with rows of different lengths, and one with none
WHOLES = {
    "gram": mj.d_gram_dR(R),
    "transposed": mj.d_gram_dR(R, layout="denominator"),
    "triangle": mj.compile(lambda X: np.tril(X) @ X, (5, 5)).jacobian(rng.standard_normal((5, 5))),
    "hessian": mj.compile(lambda X: np.sum(np.tanh(X @ X.T)), (4, 5)).hessian(rng.standard_normal((4, 5))),
    "float32": mj.d_gram_dR(R.astype("f4")),
    "zero": mj.d_constant_dX((3, 2), (2, 2)),
    "one row": mj.d_sqnorm_dx(rng.standard_normal(7)),
}
#: this rank's rows alone: of each rank another number, and other numbers
LOCAL = mj.d_gram_dR(R).take(np.arange(5 * comm.rank, 7 * comm.rank + 4))


def whole(local):
    """The dense matrix of those of all ranks, one above another."""
    return np.concatenate(comm.allgather(local.toarray()))


def cases():
    """Jacobians, whether they are this rank's alone, and the whole matrix; and this rank's rows of it."""
    for J in WHOLES.values():
        dense = J.toarray()
        yield J, False, dense, slice(*mj.distributed.rows(J, comm))
    first = sum(comm.allgather(LOCAL.shape[0])[: comm.rank])
    yield LOCAL, True, whole(LOCAL), slice(first, first + LOCAL.shape[0])


def rows():
    for J in WHOLES.values():
        ranges = comm.allgather(mj.distributed.rows(J, comm))
        assert [start for start, _ in ranges] == [0, *(stop for _, stop in ranges[:-1])]
        assert ranges[-1][1] == J.shape[0]
        counts = [J.offset(stop) - J.offset(start) for start, stop in ranges]
        longest = np.diff([J.offset(r) for r in range(J.shape[0] + 1)]).max(initial=0)
        assert max(counts) - J.nnz / comm.size < max(longest, 1)


def pylops():
    pylops_mpi = pytest.importorskip("pylops_mpi")
    for J, local, dense, mine in cases():
        A = mj.distributed.to_pylops(J, comm, local=local)
        assert isinstance(A, pylops_mpi.MPIVStack)
        assert A.shape == dense.shape
        x, y = (rng.standard_normal(n).astype(J.dtype) for n in dense.shape[::-1])
        unknowns = pylops_mpi.DistributedArray(
            dense.shape[1], comm, partition=pylops_mpi.Partition.BROADCAST, dtype=J.dtype
        )
        unknowns[:] = x
        values = A @ unknowns
        np.testing.assert_allclose(values.local_array, dense[mine] @ x, rtol=1e-5, atol=1e-5)
        values[:] = y[mine]
        np.testing.assert_allclose((A.H @ values).local_array, dense.T @ y, rtol=1e-5, atol=1e-5)
    # a fit by PyLops-MPI's solver is SciPy's
    J, dense = WHOLES["gram"], WHOLES["gram"].toarray()
    A, b = mj.distributed.to_pylops(J, comm), rng.standard_normal(len(dense))
    start = pylops_mpi.DistributedArray(dense.shape[1], comm, partition=pylops_mpi.Partition.BROADCAST)
    start[:] = 0
    right = A @ start
    right[:] = b[slice(*mj.distributed.rows(J, comm))]
    fit = pylops_mpi.cgls(A, right, start, niter=200, damp=0.1, tol=1e-14)[0].local_array
    np.testing.assert_allclose(fit, lsqr(dense, b, damp=0.1, atol=1e-14, btol=1e-14)[0], atol=1e-7)


def petsc():
    pytest.importorskip("petsc4py")
    from petsc4py import PETSc

    for J, local, dense, mine in cases():
        for shell in (False, True):
            A = mj.distributed.to_petsc(J, comm, local=local, shell=shell)
            assert A.getSize() == dense.shape
            assert A.getOwnershipRange() == (mine.start, mine.stop)
            u, v = A.createVecs()
            x, y = rng.standard_normal(dense.shape[1]), rng.standard_normal(dense.shape[0])
            u.array = x[slice(*u.owner_range)]
            A.mult(u, v)
            np.testing.assert_allclose(v.array, dense[mine] @ x, rtol=1e-5, atol=1e-5)
            v.array = y[mine]
            A.multTranspose(v, u)
            np.testing.assert_allclose(u.array, (dense.T @ y)[slice(*u.owner_range)], rtol=1e-5, atol=1e-5)
            if shell:
                continue
            indptr, indices, data = A.getValuesCSR()
            own = J.tocsr() if local else J.rows(mine.start, mine.stop)
            np.testing.assert_array_equal(indptr, own.indptr)
            np.testing.assert_array_equal(indices, own.indices)
            np.testing.assert_array_equal(data, own.data)
            again = mj.distributed.to_petsc(2 * J if J.nnz else J, comm, local=local, out=A)
            assert again is A
            np.testing.assert_array_equal(A.getValuesCSR()[2], 2 * own.data)
            assert A.getInfo(A.InfoType.GLOBAL_SUM)["mallocs"] == 0
    # a fit by PETSc's solver is SciPy's, filled and by products
    J, dense = WHOLES["gram"], WHOLES["gram"].toarray()
    b = rng.standard_normal(len(dense))
    expected = np.linalg.lstsq(dense, b, rcond=None)[0]
    for shell in (False, True):
        A = mj.distributed.to_petsc(J, comm, shell=shell)
        x, right = A.createVecs()
        right.array = b[slice(*right.owner_range)]
        solver = PETSc.KSP().create(comm)
        solver.setType(PETSc.KSP.Type.LSQR)
        solver.setOperators(A)
        solver.getPC().setType(PETSc.PC.Type.NONE)
        solver.setTolerances(rtol=1e-14, atol=1e-14, max_it=500)
        solver.solve(right, x)
        found = np.concatenate(comm.allgather(x.array))
        np.testing.assert_allclose(dense @ found, dense @ expected, atol=1e-6)


def refusals():
    """Mistakes are refused on all ranks, with nothing changed."""
    J = WHOLES["gram"]
    for call in (mj.distributed.rows, mj.distributed.to_petsc, mj.distributed.to_pylops):
        with pytest.raises(TypeError, match="J: got ndarray of shape"):
            call(J.toarray(), comm)
        with pytest.raises(TypeError, match="comm: got int 2, expected one of mpi4py's"):
            call(J, 2)
    for call in (mj.distributed.to_petsc, mj.distributed.to_pylops):
        if comm.size > 1:
            different = mj.d_gram_dR(np.ones((3, 8 if comm.rank else 9)))
            for local, said in ((False, "expected the same on all ranks"), (True, "expected as many columns")):
                with pytest.raises(ValueError, match=f"J: got .* on rank 0 and .* on rank 1, {said}"):
                    call(different, comm, local=local)
        # what goes wrong on the last rank alone is told by all
        mj.set_memory_limit(100 if comm.rank == comm.size - 1 else None)
        last = comm.rank == comm.size - 1
        with pytest.raises(MemoryError if last else RuntimeError, match="memory: got"):
            call(J, comm)
        mj.set_memory_limit(None)
        with pytest.raises(TypeError, match="local: got int 1, expected True or False"):
            call(J, comm, local=1)
    A = mj.distributed.to_petsc(J, comm)
    before = A.getValuesCSR()[2]
    with pytest.raises(ValueError, match="out: got local and whole sizes"):
        mj.distributed.to_petsc(WHOLES["triangle"], comm, out=A)
    other = mj.compile(lambda X: X.T @ np.ones((3, 8)), (3, 8)).jacobian(R)
    with pytest.raises(ValueError, match="out: got entries in other places"):
        mj.distributed.to_petsc(other, comm, out=A)
    with pytest.raises(TypeError, match="out: got ndarray of shape"):
        mj.distributed.to_petsc(J, comm, out=before)
    with pytest.raises(ValueError, match="out: got a matrix for shell=True"):
        mj.distributed.to_petsc(J, comm, shell=True, out=A)
    with pytest.raises(ValueError, match="out: got a matrix of another making"):
        mj.distributed.to_petsc(J, comm, out=A.duplicate())
    with pytest.raises(TypeError, match="J: got dtype complex128, expected real numbers"):
        mj.distributed.to_petsc(mj.d_gram_dR(R * 1j), comm)
    with pytest.raises(OverflowError, match="--with-64-bit-indices"):
        mj.distributed.to_petsc(mj.d_matvec_dA(np.ones(2), 2**31), comm)
    np.testing.assert_array_equal(A.getValuesCSR()[2], before)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
    print(f"rank {comm.rank} of {comm.size}: ok", flush=True)
