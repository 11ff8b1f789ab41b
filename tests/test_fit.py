"""What solvers return: histories, reports and pictures."""

import pickle
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import OptimizeResult

import matjac as mj
from matjac import solvers

rng = np.random.default_rng(2)
A = rng.standard_normal((6, 2)) @ rng.standard_normal((2, 5)) + 0.1 * rng.standard_normal((6, 5))
U0, V0 = rng.standard_normal((6, 2)), rng.standard_normal((5, 2))


def residuals(U, V):
    return U @ V.T - A


def objective(U, V):
    return np.sum((U @ V.T - A) ** 2) + 0.1 * (np.sum(U**2) + np.sum(V**2))


FITS = {
    "lbfgs": lambda **o: solvers.least_squares(residuals, U0, V0, method="lbfgs", **o),
    "trf": lambda **o: solvers.least_squares(residuals, U0, V0, method="trf", **o),
    "L-BFGS-B": lambda **o: solvers.minimize(objective, U0, V0, **o),
    "SLSQP": lambda **o: solvers.minimize(
        objective,
        *(U0, V0),
        method="SLSQP",
        constraints=[(lambda U, V: np.sum(U), 1.0, 1.0)],
        options={"maxiter": 500},
        **o,
    ),
    "Ipopt": lambda **o: solvers.ipopt(objective, U0, V0, constraints=[(lambda U, V: np.sum(U), 1.0, 1.0)], **o),
    "BDF": lambda **o: solvers.solve_ivp(lambda X: -X @ X, (0, 2), np.eye(3), **o),
    "newton-dense": lambda **o: solvers.root(lambda X: X @ X - np.eye(3) - 0.1, np.eye(3) + 0.5 * np.tri(3), **o),
}


@pytest.mark.parametrize("name", FITS)
def test_a_report_of_what_ran(name):
    seen = []
    fit = FITS[name](progress=seen.append)
    assert isinstance(fit, solvers.Fit)
    assert isinstance(fit, OptimizeResult)
    # two numbers a step, those that the callback got
    assert fit.history.shape == (len(seen), 2)
    assert_allclose(fit.history[:, 1], [at.value for at in seen])
    assert np.all(np.diff(fit.history[:, 0]) >= 0)
    assert np.all(fit.history[:, 0] <= fit.seconds)
    text = fit.report()
    head, *rows = text.splitlines()
    why = {"L-BFGS-B": "no method was asked for", "Ipopt": "exact Hessian", "BDF": "dense Jacobian",
           "newton-dense": "by size and fill"}.get(name, "as asked")  # fmt: skip
    assert head == f"{name} ({why}): success"
    table = {row.split()[0]: row.split(maxsplit=1)[1] for row in rows}
    assert table["unknowns"] == {
        "BDF": "X (3, 3): 9 numbers", "newton-dense": "X (3, 3): 9 numbers",
    }.get(name, "U (6, 2), V (5, 2): 22 numbers")  # fmt: skip
    assert f"{fit.nit} step" in text
    assert f"{fit.nfev} evaluations" in text
    assert table["time"] == f"{fit.seconds:.3g} s"
    assert table["end"] == " ".join(fit.message.split())
    kind = {"lbfgs": "cost", "trf": "cost", "BDF": "t", "newton-dense": "residual"}.get(name, "objective")
    assert table[kind].startswith(f"{fit.history[0, 1]:.6g} → ")
    again = pickle.loads(pickle.dumps(fit))
    assert again.report() == text


def test_why_least_squares_chose():
    wide = rng.standard_normal((40, 60))
    for head, run in {
        "gauss-newton (its steps cost little): success": lambda: solvers.least_squares(residuals, U0, V0),
        "trf (an argument of SciPy's): success": lambda: solvers.least_squares(residuals, U0, V0, jac="csr"),
        "gauss-newton (as asked): success": lambda: solvers.least_squares(residuals, U0, V0, method="gauss-newton"),
        "lbfgs (J is large): success": lambda: solvers.least_squares(lambda R: R.T @ R - np.eye(60), wide),
    }.items():
        assert run().report().splitlines()[0] == head


def test_the_largest_entries_of_the_gradient():
    fit = solvers.minimize(objective, U0, V0, options={"maxiter": 3})
    gradient = mj.compile(objective, (6, 2), (5, 2)).gradient(*fit.variables)
    names = [(f"U[{i}, {j}]", gradient[0][i, j]) for i in range(6) for j in range(2)]
    names += [(f"V[{i}, {j}]", gradient[1][i, j]) for i in range(5) for j in range(2)]
    names.sort(key=lambda pair: -abs(pair[1]))
    (row,) = [row for row in fit.report().splitlines() if row.startswith("gradient")]
    assert row.split(maxsplit=1)[1] == "largest " + ", ".join(f"{value:.3g} at {name}" for name, value in names[:3])
    assert fit.report().splitlines()[0] == "L-BFGS-B (no method was asked for): no success"


def test_reports_of_runs_that_were_stopped():
    for name, call in FITS.items():
        fit = call(progress=lambda at: at.steps == 2)
        text = fit.report()
        assert text.splitlines()[0].endswith(": no success"), name
        assert "the callback stopped it at step 2" in text
        assert "1 step" in text
    with np.errstate(all="ignore"):
        fit = solvers.minimize(lambda x: np.sum(1 / x), np.zeros(2))
    assert "objective: got inf" in fit.report()
    assert fit.history.shape == (0, 2)
    fit = mj.solvers.least_squares(lambda X: X**2 - 2.0, np.ones((3, 2)), batch=1)
    assert "X (3, 2): 6 numbers" in fit.report()


def test_a_picture():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    fit = FITS["lbfgs"]()
    _, given = pyplot.subplots()
    for ax in (given, None):
        drawn = fit.plot(ax)
        assert ax is None or drawn is ax
        above = next(a for a in drawn.figure.axes if a is not drawn)
        assert_allclose(drawn.lines[0].get_xydata(), np.column_stack([np.arange(fit.nit + 1), fit.history[:, 1]]))
        assert_allclose(above.lines[0].get_xydata(), fit.history)
        assert drawn.get_yscale() == "log"
        assert (drawn.get_xlabel(), drawn.get_ylabel(), above.get_xlabel()) == ("step", "cost", "seconds")
    negative = solvers.minimize(lambda x: np.sum(x**2) - 3.0, np.ones(2)).plot()
    assert negative.get_yscale() == "linear"
    assert negative.get_ylabel() == "objective"
    with np.errstate(all="ignore"):
        nothing = solvers.minimize(lambda x: np.sum(1 / x), np.zeros(2))
    assert nothing.plot().lines[0].get_xydata().shape == (0, 2)
    pyplot.close("all")


def test_without_matplotlib_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"^matplotlib.pyplot is not installed: pip install 'matjac\[plot\]'"):
        FITS["L-BFGS-B"]().plot()
