"""Matrix completion on MPI ranks: stars ≈ mean + (U Vᵀ)[user, film] + a[user] + b[film], of MovieLens.

    mpiexec -n 2 python examples/distributed_completion.py

Each rank has some of the users with their ratings, and owns their rows of U, which are eliminated there; a is U's last
column. The films' factors V and b are shared: their gradient is all that travels. On one rank, without mpiexec, it is
the same fit.
"""

from contextlib import nullcontext

import numpy as np
from common import console, options, progress, save
from matplotlib.figure import Figure
from matrix_completion import load
from mpi4py import MPI
from rich.table import Table

import matjac as mj

COMM = MPI.COMM_WORLD


def share(users):
    """The first user of each rank, and the number of users: as many ratings on each rank as there can be."""
    before = np.concatenate([[0], np.cumsum(np.bincount(users))])
    return np.searchsorted(before, np.linspace(0, users.size, COMM.size + 1))


def model(users, films, stars, sizes, rank, ridge):
    """The residuals of this rank's ratings, its users' ridge, and its share of the films'."""
    (m, n), root = sizes, np.sqrt(ridge)
    part = root / np.sqrt(COMM.size)

    def residuals(U, V, b):
        errors = (U[:, :-1] @ V.T)[users, films] + U[users, -1] + b[films] - stars
        return np.concatenate([errors, root * U.ravel(), part * V.ravel(), part * b])

    return mj.compile(residuals, (m, rank + 1), (n, rank), (n,))


def predict(variables, users, films):
    """The fitted stars of this rank's users, less their mean."""
    U, V, b = variables
    return np.einsum("ij,ij->i", U[users, :-1], V[films]) + U[users, -1] + b[films]


def main(argv=None):
    """Fit, print what each rank held and sent, and draw the cost by time."""
    given = options(__doc__, "distributed_completion", argv, rank=10, ridge=8.0, ratings=0, steps=25)
    users, films, stars = load(given.ratings)
    test = np.random.default_rng(0).random(stars.size) < 0.1
    mean, sizes = stars[~test].mean(), (users.max() + 1, films.max() + 1)
    first, last = share(users[~test])[COMM.rank : COMM.rank + 2]
    here = (first <= users) & (users < last)
    training, held_out = here & ~test, here & test

    F = model(
        users[training] - first,
        films[training],
        stars[training] - mean,
        (last - first, sizes[1]),
        given.rank,
        given.ridge,
    )
    T = mj.distributed.total(F, COMM, owned="U")
    # the same start on any number of ranks: all draw all of U, and take their own
    rng = np.random.default_rng(0)
    U = 0.1 * rng.standard_normal((sizes[0], given.rank + 1))
    start = U[first:last], 0.1 * rng.standard_normal((sizes[1], given.rank)), np.zeros(sizes[1])
    mj.solvers.least_squares(T, *start, max_nfev=1)  # compiles: not to be timed
    with progress() if COMM.rank == 0 else nullcontext() as report:
        shown = report and report(f"{COMM.size} ranks")
        fit = mj.solvers.least_squares(T, *start, progress=shown, max_nfev=given.steps)

    def rmse(part):
        fitted = np.clip(mean + predict(fit.variables, users[part] - first, films[part]), stars.min(), stars.max())
        squares, count = COMM.allreduce(np.sum((fitted - stars[part]) ** 2)), COMM.allreduce(part.sum())
        return float(np.sqrt(squares / count))

    errors = rmse(training), rmse(held_out)
    rows = COMM.gather(
        (str(COMM.rank), f"{last - first:,}", f"{training.sum():,}", f"{fit.sent / fit.nfev / 1e3:,.0f} kB")
    )
    if COMM.rank == 0:
        table = Table("rank", "users", "ratings", "sent an evaluation", title="MovieLens")
        for row in rows:
            table.add_row(*row)
        console.print(table)
        console.print(
            f"cost {fit.cost:,.1f} after {fit.nit} steps, {fit.seconds:.2f} s; "
            f"RMSE {errors[0]:.4f}, held out {errors[1]:.4f}"
        )
        draw(fit, given)
    return fit, errors


def draw(fit, given):
    """The cost by time."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.semilogy(*fit.history.T, ".-")
    axes.set(title=f"{COMM.size} ranks, rank {given.rank} of U Vᵀ", xlabel="seconds", ylabel="½‖residuals‖² + ridge")
    axes.grid(alpha=0.3)
    save(figure, given.output)


if __name__ == "__main__":
    main()
