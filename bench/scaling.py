"""Weak scaling: ``python bench/scaling.py [--ranks 1 2] [--ratings 1000000] [--films 10000] [--rank 10] [--rounds 3]``.

Each rank has as many ratings of users of its own, one thread, and the same films: a completion of which the users'
factors are eliminated. Jobs of each number of ranks run in turns, a fit several times in each; of each the best time of
an evaluation counts. The bytes of one are those of the buffers that MPI was given, beside what docs/scaling.md
predicts; the peak is of a rank's memory.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

THREADS = {name: "1" for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MATJAC_NUM_THREADS")}
#: Evaluations of a fit, and fits of a job.
EVALUATIONS, FITS = 12, 4


class Counted:
    """A communicator that counts what its ranks exchange: bytes that this one sends to others, and seconds in calls."""

    def __init__(self, comm):
        self.comm, self.bytes, self.seconds = comm, 0, 0.0

    def __getattr__(self, name):
        return getattr(self.comm, name)

    def _timed(self, call, out, into, nbytes):
        began = time.perf_counter()
        call(out, into)
        self.seconds += time.perf_counter() - began
        self.bytes += nbytes

    def Allgather(self, out, into):
        self._timed(self.comm.Allgather, out, into, out.nbytes * (self.comm.size - 1))

    def Alltoall(self, out, into):
        self._timed(self.comm.Alltoall, out, into, out.nbytes // self.comm.size * (self.comm.size - 1))


def predicted(ranks, films, rank, fit):
    """Bytes that a rank sends in a fit."""

    def summed(numbers):
        return 40 * (ranks - 1) + 16 * (ranks - 1) * -(-(numbers - 1) // ranks)

    # at the start and after each third step, also the last one
    metrics = fit.nit // 3 + 1
    shared = films * rank
    words = 40 * (ranks - 1) * (fit.nit + 3)
    return fit.nfev * summed(1 + shared) + metrics * (summed(rank**2) + summed(shared)) + words


def worker(given):
    """One rank of a job: what rank 0 prints is the best fit."""
    from mpi4py import MPI

    import matjac as mj

    comm = MPI.COMM_WORLD
    rng, shared = np.random.default_rng(1 + comm.rank), np.random.default_rng(0)
    users = given.ratings // 100
    rows = np.sort(rng.integers(0, users, given.ratings))
    # some films have most of the ratings
    cols = (given.films * rng.random(given.ratings) ** 2).astype(int)
    truth = shared.standard_normal((given.films, given.rank))
    stars = np.einsum("ij,ij->i", rng.standard_normal((users, given.rank))[rows], truth[cols])
    stars += rng.standard_normal(given.ratings)
    mine, part = np.sqrt(5.0), np.sqrt(5.0 / comm.size)

    def residuals(U, V):
        return np.concatenate([(U @ V.T)[rows, cols] - stars, mine * U.ravel(), part * V.ravel()])

    F = mj.compile(residuals, (users, given.rank), (given.films, given.rank))
    T = mj.distributed.total(F, comm, owned="U")
    U, V = 0.1 * rng.standard_normal((users, given.rank)), 0.1 * shared.standard_normal((given.films, given.rank))
    mj.solvers.least_squares(T, U, V, max_nfev=2)
    T.ranks.comm = counted = Counted(T.ranks.comm)
    best = None
    for _ in range(FITS):
        comm.Barrier()
        counted.bytes, counted.seconds = 0, 0.0
        fit = mj.solvers.least_squares(T, U, V, max_nfev=EVALUATIONS)
        # the word with which a run ends is sent when the fit is made
        row = {
            "seconds": fit.seconds / fit.nfev,
            "exchange": counted.seconds / fit.nfev,
            "bytes": counted.bytes - 40 * (comm.size - 1),
            "predicted": predicted(comm.size, given.films, given.rank, fit),
            "evaluations": fit.nfev,
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
        best = row if best is None or row["seconds"] < best["seconds"] else best
    if comm.rank == 0:
        print(json.dumps(best))


def main():
    """Run the jobs in turns, and print the best of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    for name, default in {"ratings": 1_000_000, "films": 10_000, "rank": 10, "rounds": 3}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        worker(given)
        return
    mpiexec = Path(sys.executable).with_name("mpiexec")
    options = [f"--{name}={getattr(given, name)}" for name in ("ratings", "films", "rank")]
    found = {ranks: [] for ranks in given.ranks}
    for _ in range(given.rounds):
        for ranks in given.ranks:
            command = [
                mpiexec if mpiexec.exists() else "mpiexec",
                "-n",
                str(ranks),
                sys.executable,
                __file__,
                "--worker",
            ]
            done = subprocess.run(
                [*command, *options], env=os.environ | THREADS, capture_output=True, text=True, check=True
            )
            found[ranks].append(json.loads(done.stdout.splitlines()[-1]))
    print(f"{given.ratings:,} ratings a rank, {given.films:,} films, rank {given.rank}, one thread a rank")
    print(f"{'ranks':>5} {'ms':>8} {'in MPI':>8} {'efficiency':>10} {'bytes sent':>14} {'predicted':>14} {'peak':>7}")
    first = min(row["seconds"] for row in found[given.ranks[0]])
    for ranks, rows in found.items():
        best = min(rows, key=lambda row: row["seconds"])
        sent, expected = (best[name] / best["evaluations"] for name in ("bytes", "predicted"))
        print(
            f"{ranks:>5} {1e3 * best['seconds']:>8.1f} {1e3 * best['exchange']:>8.1f} "
            f"{first / best['seconds']:>10.2f} {sent:>14,.0f} {expected:>14,.0f} {best['peak'] / 1e6:>4.0f} MB"
        )


if __name__ == "__main__":
    main()
