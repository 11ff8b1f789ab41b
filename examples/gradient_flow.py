"""Gradient flow Ẋ = −∇f(X) of a photograph: f(X) = ½‖X − Y‖² + λ Σ √(ε² + (D X)²) + λ Σ √(ε² + (X Dᵀ)²), D differences.

The flow ends at the minimiser, the photograph without its noise. It is stiff: an explicit method takes many small
steps, an implicit one few, with the sparse Jacobian of the flow, minus the Hessian of f.
"""

import numpy as np
import scipy.sparse as sp
from common import console, options, progress, save
from matplotlib.figure import Figure
from rich.table import Table
from sklearn.datasets import load_sample_image

import matjac as mj


def photograph(size, noise, seed=0):
    """A square of grey pixels, and the same with noise."""
    pixels = load_sample_image("flower.jpg").mean(axis=2) / 255
    block = min(pixels.shape) // size
    grey = pixels[: size * block, 80 : 80 + size * block].reshape(size, block, size, block).mean(axis=(1, 3))
    return grey, grey + noise * np.random.default_rng(seed).standard_normal(grey.shape)


def differences(size):
    """D: each entry's successor less itself."""
    return sp.diags_array([-np.ones(size - 1), np.ones(size - 1)], offsets=[0, 1], shape=(size - 1, size)).tocsr()


def model(Y, smooth, rounding):
    """−∇f, and f."""
    D = differences(len(Y))

    def falls(X):
        # the derivative of √(ε² + t²) is t / √(ε² + t²)
        down, across = D @ X, X @ D.T
        pull = D.T @ (down / np.sqrt(rounding**2 + down**2)) + (across / np.sqrt(rounding**2 + across**2)) @ D
        return Y - X - smooth * pull

    def f(X):
        total = np.sum(np.sqrt(rounding**2 + (D @ X) ** 2)) + np.sum(np.sqrt(rounding**2 + (X @ D.T) ** 2))
        return 0.5 * np.sum((X - Y) ** 2) + smooth * total

    return mj.compile(falls, Y.shape), f


def main(argv=None):
    """Integrate by an explicit and an implicit method, and draw where they arrive."""
    settings = {"size": 64, "noise": 0.1, "smooth": 0.1, "rounding": 0.003, "until": 20.0}
    given = options(__doc__, "gradient_flow", argv, **settings)
    clean, Y = photograph(given.size, given.noise)
    F, f = model(Y, given.smooth, given.rounding)
    with progress() as report:
        least = mj.solvers.minimize(
            *(mj.compile(f, Y.shape), Y),
            progress=report("the minimiser, by L-BFGS"),
            tol=1e-14,
            options={"maxfun": 10**5},
        )
        fits = {
            method: mj.solvers.solve_ivp(F, (0, given.until), Y, method, progress=report(method), rtol=1e-4, atol=1e-6)
            for method in ("RK45", "BDF", "Radau")
        }
    table = Table("method", "steps", "slopes", "Jacobians", "f − minimum", "largest distance", "seconds")
    (best,) = least.variables  # by another way: it needs no Hessian
    apart = {}
    for method, fit in fits.items():
        (X,) = fit.variables
        apart[method] = float(np.abs(X - best).max())
        counts = str(fit.nit), str(fit.nfev), str(fit.njev)
        table.add_row(method, *counts, f"{f(X) - f(best):.1e}", f"{apart[method]:.1e}", f"{fit.seconds:.2f}")
    J = F.jacobian(best)
    console.print(table)
    console.print(f"Jacobian: {J.shape[0]:,} × {J.shape[1]:,}, {J.nnz:,} entries")
    console.print(f"at the minimiser |∇f| is {np.abs(F(best)).max():.1e}")

    figure = Figure(figsize=(12, 7.5), layout="constrained")
    (given_axes, noisy, found), (curve, pattern, steps) = figure.subplots(2, 3)
    for axes, image, title in (
        (given_axes, clean, "photograph"),
        (noisy, Y, "with noise"),
        (found, fits["Radau"].variables[0], "where the flow ends (Radau)"),
    ):
        axes.imshow(image, cmap="gray", vmin=0, vmax=1)
        axes.set(title=title, xticks=[], yticks=[])
    lowest = min(f(fit.variables[0]) for fit in (least, *fits.values()))
    for method, fit in fits.items():
        excess = [f(X) - lowest + 1e-12 for X in fit.states]
        curve.loglog(np.maximum(fit.t, 1e-3), excess, label=method)
        steps.loglog(fit.t[1:], np.diff(fit.t), ".", ms=3, label=f"{method}: {fit.nit} steps")
    curve.set(title="f(X(t)) above the lowest f", xlabel="t", ylabel="difference + 1e-12")
    steps.set(title="step sizes", xlabel="t", ylabel="step")
    curve.legend()
    steps.legend()
    shown = J.rows(0, min(3 * given.size, J.shape[0])).tocoo()
    pattern.plot(shown.col, shown.row, ",")
    pattern.set(title="Jacobian of −∇f: the first rows", xlabel="X, row by row", ylabel="−∇f, row by row")
    pattern.set(xlim=(0, 4 * given.size), ylim=(3 * given.size, 0))
    save(figure, given.output)
    return apart


if __name__ == "__main__":
    main()
