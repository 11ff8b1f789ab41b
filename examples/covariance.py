"""A covariance by maximum likelihood: −log det L + ½ tr(Lᵀ S L) over lower triangles L, the precision being L Lᵀ.

The measurements are those of breast tumours; the optimum is known: (L Lᵀ)⁻¹ = S.
"""

import numpy as np
from common import console, options, progress, save
from matplotlib.figure import Figure
from sklearn.datasets import load_breast_cancer

import matjac as mj


def sample_covariance(features=30):
    """S of standardised measurements, and their names."""
    data = load_breast_cancer()
    X = data.data[:, :features]
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    return X.T @ X / len(X), data.feature_names[:features]


def model(S):
    """The negative log-likelihood of a sample, but for a constant."""

    def likelihood(L):
        T = np.tril(L)
        return 0.5 * np.sum((S @ T) * T) - np.linalg.slogdet(T)[1]

    return mj.compile(likelihood, S.shape)


def optimum(S):
    """The value at (L Lᵀ)⁻¹ = S."""
    return 0.5 * (len(S) + np.linalg.slogdet(S)[1])


def main(argv=None):
    """Fit L by L-BFGS, beside the closed form, and draw both."""
    given = options(__doc__, "covariance", argv, features=20, iterations=3000)
    S, names = sample_covariance(given.features)
    best = optimum(S)
    with progress() as report:
        shown = report("L")
        fit = mj.solvers.minimize(
            *(model(S), np.eye(len(S))),
            progress=shown,
            tol=1e-12,
            options={"maxiter": given.iterations, "maxfun": 4 * given.iterations, "maxcor": 50},
        )
    L = np.tril(fit.variables[0])
    Sigma = np.linalg.inv(L @ L.T)
    apart = float(np.abs(Sigma - S).max())
    console.print(f"{len(S)} features, −log-likelihood {fit.fun:.9f}, at the closed form {best:.9f}")
    console.print(f"{len(shown.values)} steps, {fit.seconds:.2f} s; largest difference of covariances {apart:.1e}")

    figure = Figure(figsize=(15, 4.4), layout="constrained")
    left, *maps = figure.subplots(1, 3)
    left.semilogy(np.maximum(np.array(shown.values) - best, 1e-16))
    left.set(title="Above the optimum", xlabel="step", ylabel="negative log-likelihood − optimum")
    left.grid(alpha=0.3)
    for axes, (matrix, title) in zip(maps, ((S, "S"), (Sigma, "(L Lᵀ)⁻¹")), strict=True):
        image = axes.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1)
        axes.set_title(title)
        axes.set_xticks([])
        axes.set_yticks(range(len(S)), names, fontsize=6)
        figure.colorbar(image, ax=axes, shrink=0.8)
    save(figure, given.output)
    return Sigma, S


if __name__ == "__main__":
    main()
