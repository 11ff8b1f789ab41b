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
    assert ("estimates" in table) == ("cost" in fit)
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


def lines_of(fit):
    """The lines of a report on the estimates, the first without its word."""
    rows = fit.report().splitlines()
    at = next(k for k, row in enumerate(rows) if row.startswith("estimates"))
    return [rows[at].split(maxsplit=1)[1], *rows[at + 1 :]]


t = np.linspace(0, 4, 30)
decay = 2.5 * np.exp(-1.3 * t) + 0.1 * rng.standard_normal(30)


def curve(a, k, c):
    return a * np.exp(-k * t) + c - decay


def test_estimates_with_their_errors():
    fit = solvers.least_squares(curve, 1.0, 1.0, 0.5)
    J = mj.compile(curve, (), (), ()).jacobian(*fit.variables).toarray()
    sigma2 = np.sum(curve(*fit.variables) ** 2) / 27
    errors = np.sqrt(sigma2 * np.diag(np.linalg.inv(J.T @ J)))
    first, *lines = lines_of(fit)
    assert first == f"sigma2 {sigma2:.4g} by 27 degrees of freedom"
    values = [f"{x:.6g}" for x in fit.x]
    wide = max(map(len, values))
    assert lines == [
        f"  {name}  {x:>{wide}}  ± {e:.3g}" for name, x, e in zip("akc", values, errors, strict=True)
    ]  # fmt: skip


@pytest.mark.parametrize("method", ["gauss-newton", "lbfgs", "trf"])
def test_estimates_at_bounds(method):
    fit = solvers.least_squares(curve, 1.0, 1.0, 0.5, bounds=((None, None, 0.2), (2.0, None, None)), method=method)
    assert fit.active_mask.tolist() == [1, 0, -1]
    first, a, k, c = lines_of(fit)
    assert a.endswith("at its upper bound")
    assert c.endswith("at its lower bound")
    # of the model with k alone
    (x,) = fit.x[1:2]
    slope = -2.0 * t * np.exp(-x * t)
    sigma2 = np.sum(curve(2.0, x, 0.2) ** 2) / 29
    assert first == f"sigma2 {sigma2:.4g} by 29 degrees of freedom"
    assert k.endswith(f"± {np.sqrt(sigma2 / (slope @ slope)):.3g}")


@pytest.mark.parametrize("method", ["gauss-newton", "trf", "lbfgs"])
def test_bounds_of_an_unknown_that_is_eliminated(method):
    fit = solvers.least_squares(
        residuals, np.abs(U0), 0.1 * np.abs(V0), bounds=(0, (None, 0.3)), method=method, eliminate="V"
    )
    low, high = np.zeros(22), np.concatenate([np.full(12, np.inf), np.full(10, 0.3)])
    near = 1e-8 if method == "trf" else 0.0
    expected = np.where(fit.x <= low + near, -1, np.where(fit.x >= high - near, 1, 0))
    assert fit.active_mask.tolist() == expected.tolist()
    assert np.any(expected)


def test_estimates_that_are_not_determined():
    first, *lines = lines_of(FITS["lbfgs"]())
    assert first.endswith("by 12 degrees of freedom")
    assert len(lines) == 23
    assert all(line.endswith("not estimable") for line in lines[:-1])
    assert lines[-1].startswith("  4 free directions: ")
    assert lines[-1].endswith("mj.solvers.uncertainty(F, fit, of=G)")


def test_estimates_of_many_unknowns(monkeypatch):
    X = rng.standard_normal((300, 60))
    y = X @ rng.standard_normal(60) + 0.1 * rng.standard_normal(300)
    run = lambda: solvers.least_squares(lambda a, b: X[:, :50] @ a + X[:, 50:] @ b - y, np.ones(50), np.ones(10))  # noqa: E731
    fit = run()
    first, a, b = lines_of(fit)
    errors = np.sqrt(2 * fit.cost / 240 * np.diag(np.linalg.inv(X.T @ X)))
    for line, name, part in ((a, "a (50,)  50", slice(50)), (b, "b (10,)  10", slice(50, 60))):
        x, e = fit.x[part], errors[part]
        assert line == f"  {name} entries, {x.min():.4g} to {x.max():.4g}, ± {e.min():.3g} to {e.max():.3g}"
    # one that is empty has no line
    empty = solvers.least_squares(lambda a, n: X[:, :50] @ a - y + np.sum(n), np.ones(50), np.ones(0))
    assert [line.split()[0] for line in lines_of(empty)[1:]] == ["a"]
    # a report takes no long time unasked
    monkeypatch.setattr(sys.modules["matjac.solvers.estimates"], "WORK", 1000)
    first, *lines = lines_of(run())
    assert first == "standard errors of so many unknowns take long: mj.solvers.uncertainty(F, fit).stderr"
    assert not any("±" in line for line in lines)
    # once made they are kept
    assert lines_of(fit)[1:] == [a, b]


def test_why_there_are_no_errors():
    assert "not of a robust loss" in lines_of(solvers.least_squares(curve, 1.0, 1.0, 0.5, loss="huber"))[0]
    assert "has not ended" in lines_of(solvers.least_squares(curve, 1.0, 1.0, 0.5, max_nfev=2))[0]
    first, *lines = lines_of(solvers.least_squares(lambda b: b - decay[:2], np.zeros(2)))
    assert "no degree of freedom" in first
    assert [line.split() for line in lines] == [[f"b[{k}]", f"{decay[k]:.6g}"] for k in range(2)]
    assert "estimates" not in solvers.least_squares(lambda X: X**2 - 2.0, np.ones((3, 2)), batch=1).report()


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
    # of a robust loss SciPy alone knows the cost
    fit = FITS["trf"](loss="huber", progress=lambda at: at.steps == 2)
    assert "cost" not in fit
    assert [row.split()[0] for row in fit.report().splitlines()][1:3] == ["unknowns", "value"]


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
