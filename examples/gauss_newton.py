"""Gauss–Newton on CHOLMOD (or QDLDL): matrix completion by its normal equations, in a loop of twenty lines.

JᵀJ has one pattern, so it is analysed once and factorised at each step; the damping follows what a step gains beside
what was foreseen. A step costs a factorisation, many times what one of `least_squares` costs here.
"""

import time

import numpy as np
from common import console, options, progress, save
from matplotlib.figure import Figure
from matrix_completion import load, model, start

import matjac as mj


def gauss_newton(F, x, steps, shown, equations):
    """Minimise ½‖F‖² from x, with steps that are damped as far as they fall short; the last good point, and why."""
    began, y, damping = time.perf_counter(), F.fun(x), 10.0
    for step in range(steps):
        shown(mj.solvers.Progress(step, step + 1, 0.5 * y @ y, time.perf_counter() - began, x))
        J = F.jac(x)
        p = -equations.factorize(J, damping=damping).solve(J.T @ y)
        tried, foreseen = F.fun(x + p), y + J @ p
        gain = (y @ y - tried @ tried) / (y @ y - foreseen @ foreseen)
        if gain > 0:
            x, y = x + p, tried
            if np.abs(p).max() < 1e-6 * np.abs(x).max():
                return x, f"converged at step {step}"
        # the last case is also that of a gain that is not a number
        damping = damping / 2 if gain > 0.8 else damping if gain > 0.5 else 2 * damping
        if damping > 1e8:
            return x, f"stalled at step {step}: no step helps"
    return x, f"{steps} steps"


def main(argv=None):
    """Fit the ratings beside least_squares, and draw the costs."""
    given = options(__doc__, "gauss_newton", argv, rank=2, ridge=8.0, ratings=0, steps=20, backend="")
    equations = mj.solvers.NormalEquations(given.backend or None)
    users, films, stars = load(given.ratings)
    F = model(users, films, stars - stars.mean(), (users.max() + 1, films.max() + 1), given.rank, given.ridge)
    with progress() as report:
        ours, theirs = report(f"Gauss–Newton, {equations.backend}"), report("least_squares")
        x, why = gauss_newton(F, F.pack(*start(F)), given.steps, ours, equations)
        fit = mj.solvers.least_squares(F, *start(F), progress=theirs, max_nfev=3 * given.steps)
    cost = 0.5 * float(np.sum(F.fun(x) ** 2))
    console.print(f"Gauss–Newton, {equations.backend}: {why}, cost {cost:,.3f}, {ours.seconds[-1]:.2f} s")
    console.print(f"least_squares, {fit.method}: {fit.nit} steps, cost {fit.cost:,.3f}, {fit.seconds:.2f} s")

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    for axes, along in zip(figure.subplots(1, 2, sharey=True), ("step", "seconds"), strict=True):
        for shown, label in ((ours, f"Gauss–Newton, {equations.backend}"), (theirs, f"least_squares, {fit.method}")):
            axes.semilogy(
                shown.seconds if along == "seconds" else range(len(shown.values)), shown.values, ".-", label=label
            )
        axes.set(title=f"MovieLens, rank {given.rank}", xlabel=along, ylabel="½‖residuals‖² + ridge")
        axes.grid(alpha=0.3)
        axes.legend()
    save(figure, given.output)
    return cost, fit.cost


if __name__ == "__main__":
    main()
