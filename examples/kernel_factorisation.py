"""A kernel matrix with missing entries: K ≈ RᵀR at the entries that were seen, K the similarity of handwritten digits.

The Jacobian of RᵀR has the rows of R at two places of each row; entries that were not seen have weight zero.
"""

import numpy as np
from common import console, options, progress, save
from matplotlib import colormaps
from matplotlib.figure import Figure
from rich.table import Table
from scipy.spatial.distance import pdist, squareform
from sklearn.datasets import load_digits

import matjac as mj


def kernel(samples):
    """exp(−d²/median d²) of the first so many images, sorted by digit."""
    digits = load_digits()
    order = np.argsort(digits.target[:samples], kind="stable")
    squares = squareform(pdist(digits.data[:samples][order] / 16, "sqeuclidean"))
    return np.exp(-squares / np.median(squares))


def seen_entries(size, missing, seed=0):
    """A symmetric mask; the diagonal is always seen."""
    hidden = np.triu(np.random.default_rng(seed).random((size, size)) < missing, 1)
    return ~(hidden | hidden.T)


def model(K, seen, rank):
    """The weighted residuals: all entries of RᵀR at once, so that its products are those of whole matrices."""
    weights, known = seen.astype(float), np.where(seen, K, 0.0)
    return mj.compile(lambda R: weights * (R.T @ R) - known, (rank, K.shape[0]))


def start(K, rank, seed=0):
    """A small random R."""
    return 0.1 * np.random.default_rng(seed).standard_normal((rank, K.shape[0]))


def main(argv=None):
    """Fit each rank, print the errors at entries that were not seen, and draw them."""
    given = options(
        __doc__, "kernel_factorisation", argv, ranks=[2, 5, 10, 20, 40], samples=170, missing=0.4, steps=100
    )
    K = kernel(given.samples)
    seen = seen_entries(len(K), given.missing)
    table = Table("rank", "cost", "RMSE seen", "RMSE not seen", "steps", "seconds", title="K ≈ RᵀR")
    errors, fitted = [], []
    with progress() as report:
        for rank in given.ranks:
            fit = mj.solvers.least_squares(
                *(model(K, seen, rank), start(K, rank)), progress=report(f"rank {rank}"), max_nfev=given.steps
            )
            (R,) = fit.variables
            fitted.append(R.T @ R)
            errors.append([float(np.sqrt(np.mean((fitted[-1] - K)[part] ** 2))) for part in (seen, ~seen)])
            row = (rank, f"{fit.cost:.4f}", *(f"{e:.4f}" for e in errors[-1]), fit.njev, f"{fit.seconds:.2f}")
            table.add_row(*map(str, row))
    console.print(table)

    figure = Figure(figsize=(14, 4.2), layout="constrained")
    curve, *maps = figure.subplots(1, 4, width_ratios=(1.3, 1, 1, 1))
    for values, label in zip(np.transpose(errors), ("seen", "not seen"), strict=True):
        curve.loglog(given.ranks, values, "o-", label=label)
    curve.set(title="Error by rank", xlabel="rank", ylabel="RMSE")
    curve.set_xticks(given.ranks, given.ranks)
    curve.minorticks_off()
    curve.legend()
    curve.grid(alpha=0.3)
    best = int(np.argmin([unseen for _, unseen in errors]))
    shown = (K, "K"), (np.where(seen, K, np.nan), "what was seen"), (fitted[best], f"RᵀR, rank {given.ranks[best]}")
    colours = colormaps["magma"].with_extremes(bad="lightsteelblue")  # what is missing
    for axes, (matrix, title) in zip(maps, shown, strict=True):
        image = axes.imshow(matrix, vmin=0, vmax=1, cmap=colours)
        axes.set(title=title, xticks=[], yticks=[], xlabel="images, by digit")
    figure.colorbar(image, ax=maps, shrink=0.7)
    save(figure, given.output)
    return dict(zip(given.ranks, errors, strict=True))


if __name__ == "__main__":
    main()
