"""A constrained problem: the k orthonormal columns of R that keep most variance, by Ipopt with exact Hessians.

It is max ½ tr(Rᵀ S R) with RᵀR = I. RᵀR is symmetric, so its upper half is all there is to constrain: k(k+1)/2 rows of
its Jacobian. The optimum is known: half the sum of the k largest eigenvalues of S.
"""

import numpy as np
from common import console, options, progress, save
from matplotlib.figure import Figure
from sklearn.datasets import load_breast_cancer

import matjac as mj


def main(argv=None):
    """Solve it, beside the eigenvalues, and draw the projection."""
    given = options(__doc__, "orthogonality", argv, k=3, features=30, seed=0)
    data = load_breast_cancer()
    X = data.data[:, : given.features]
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    S, k = X.T @ X / len(X), given.k
    half = np.triu_indices(k)
    F = mj.compile(lambda R: -0.5 * np.sum((S @ R) * R), (len(S), k))
    G = mj.compile(lambda R: (R.T @ R)[half], (len(S), k))
    identity = np.eye(k)[half]
    # from a point that meets the constraints
    R0 = np.linalg.qr(np.random.default_rng(given.seed).standard_normal((len(S), k)))[0]
    fits, values = {}, {}
    with progress() as report:
        for hessian in ("limited-memory", "exact"):
            shown = report(f"R, {hessian} Hessian")
            fits[hessian] = mj.solvers.ipopt(
                *(F, R0),
                constraints=[(G, identity, identity)],
                hessian=hessian,
                progress=shown,
            )
            values[hessian] = np.array(shown.values)
    fit = fits["exact"]
    (R,) = fit.variables
    best = -0.5 * np.linalg.eigvalsh(S)[-k:].sum()
    for hessian, each in fits.items():
        console.print(
            f"{hessian} Hessian: {each.message}, {each.fun:.9f}, by eigenvalues {best:.9f}; {each.nit} steps, "
            f"{each.seconds:.2f} s"
        )
    console.print(f"largest entry of RᵀR − I: {np.abs(R.T @ R - np.eye(k)).max():.1e}; Jacobian {G.jacobian(R)!r}")

    figure = Figure(figsize=(13, 4.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for hessian, each in values.items():
        left.semilogy(np.maximum(np.abs(each - best), 1e-16), label=f"{hessian} Hessian")
    left.legend()
    left.set(
        title="Distance from the optimum",
        xlabel="iteration",
        ylabel="|objective − optimum| (off the constraints at first)",
    )
    left.grid(alpha=0.3)
    J = G.jacobian(R).toarray()
    middle.imshow(J != 0, aspect="auto", cmap="Greys", interpolation="none")
    middle.set(
        title=f"Jacobian of the upper half of RᵀR: {len(J)} rows",
        xlabel="R, row by row",
        ylabel="entry of the upper half",
    )
    for kind, name in enumerate(data.target_names):
        right.plot(*(X[data.target == kind] @ R[:, :2]).T, ".", ms=4, alpha=0.6, label=name)
    right.set(title="Tumours in two of the directions", xlabel="X R[:, 0]", ylabel="X R[:, 1]")
    right.legend()
    save(figure, given.output)
    return fit.fun, best


if __name__ == "__main__":
    main()
