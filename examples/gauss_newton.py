"""Gauss–Newton on CHOLMOD (or QDLDL): matrix completion by its normal equations, in a loop of twenty lines.

JᵀJ has one pattern, so it is analysed once and factorised at each step; the damping follows what a step achieves.
"""

import importlib.util
import time

import numpy as np
from common import console, options, progress, save
from matplotlib.figure import Figure
from matrix_completion import load, model, start

import matjac as mj


def gauss_newton(F, x, steps, report, backend):
    """Minimise ½‖F‖² from x, with steps that are damped until they help; returns the last good point and the costs."""
    equations = mj.solvers.NormalEquations(backend)
    y, damping, costs = F.fun(x), 1.0, []
    for step in range(steps):
        costs.append(0.5 * y @ y)
        report(mj.solvers.Progress(step, step, costs[-1], time.perf_counter(), x))
        J = F.jac(x)
        gradient = J.T @ y
        while damping < 1e8:
            tried = x - equations.factorize(J, damping=damping).solve(gradient)
            errors = F.fun(tried)
            if errors @ errors < y @ y:
                break
            damping *= 4
        else:
            return x, costs, f"stalled at step {step}: no damping up to 1e8 makes a step that helps"
        if np.abs(tried - x).max() < 1e-6 * np.abs(x).max():
            return tried, costs, f"converged at step {step}"
        x, y, damping = tried, errors, damping / 3
    return x, costs, f"{steps} steps"


def main(argv=None):
    """Fit the ratings beside least_squares, and draw the costs."""
    given = options(__doc__, "gauss_newton", argv, rank=2, ridge=8.0, ratings=0, steps=15, backend="")
    backend = given.backend or ("cholmod" if importlib.util.find_spec("sksparse") else "qdldl")
    users, films, stars = load(given.ratings)
    F = model(users, films, stars - stars.mean(), (users.max() + 1, films.max() + 1), given.rank, given.ridge)
    x0 = F.pack(*start(F))
    with progress() as report:
        began = time.perf_counter()
        x, costs, why = gauss_newton(F, x0, given.steps, report(f"Gauss–Newton, {backend}"), backend)
        seconds = time.perf_counter() - began
        shown = report("least_squares")
        fit = mj.solvers.least_squares(
            *(F, *F.unpack(x0)),
            progress=shown,
            max_nfev=3 * given.steps,
        )
    cost = 0.5 * float(np.sum(F.fun(x) ** 2))
    console.print(
        f"Gauss–Newton, {backend}: {why}, cost {cost:,.3f}, {seconds:.2f} s ({seconds / len(costs):.2f} s a step)"
    )
    console.print(f"least_squares, operator: {fit.njev} steps, cost {fit.cost:,.3f}, {fit.seconds:.2f} s")
    best = min(cost, fit.cost)
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for values, label in ((costs, f"Gauss–Newton, {backend}"), (shown.values, "least_squares, operator")):
        axes.semilogy(np.maximum(np.array(values) - best, 1e-9 * best), ".-", label=label)
    axes.set(title=f"MovieLens, rank {given.rank}", xlabel="step", ylabel="cost − best")
    axes.grid(alpha=0.3)
    axes.legend()
    save(figure, given.output)
    return cost, fit.cost


if __name__ == "__main__":
    main()
