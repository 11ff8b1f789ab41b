"""A covariance by maximum likelihood: −log det L + ½ tr(Lᵀ S L) over lower triangles L, the precision being L Lᵀ.

By a quasi-Newton method, and by a trust region with exact products of the Hessian.

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
    quasi_newton = {"maxiter": given.iterations, "maxfun": 4 * given.iterations, "maxcor": 50}
    ways = {
        "L-BFGS-B": {"tol": 1e-12, "options": quasi_newton},
        "trust-krylov": {"options": {"maxiter": given.iterations, "gtol": 1e-8}},
    }
    fits, values = {}, {}
    with progress() as report:
        for method, options_of_it in ways.items():
            shown = report(f"L, {method}")
            fits[method] = mj.solvers.minimize(
                *(model(S), np.eye(len(S))),
                method=method,
                progress=shown,
                **options_of_it,
            )
            values[method] = np.array(shown.values)
    fit = min(fits.values(), key=lambda each: each.fun)
    L = np.tril(fit.variables[0])
    Sigma = np.linalg.inv(L @ L.T)
    apart = float(np.abs(Sigma - S).max())
    console.print(f"{len(S)} features, −log-likelihood {fit.fun:.9f}, at the closed form {best:.9f}")
    for method, each in fits.items():
        console.print(
            f"{method}: {each.fun - best:.1e} above it after {len(values[method])} steps, {each.seconds:.2f} s"
        )
    console.print(f"largest difference of covariances {apart:.1e}")

    figure = Figure(figsize=(15, 4.4), layout="constrained")
    left, *maps = figure.subplots(1, 3)
    for method, each in values.items():
        left.semilogy(np.maximum(each - best, 1e-16), label=method)
    left.legend()
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
