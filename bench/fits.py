"""Fits beside those that specialists write: ``python bench/fits.py [--quick] [--only WORD …] [--rounds N]``.

All begin at the same start with one thread, in turns; times are medians of the rounds, to 1.001 and to 1 + 10⁻⁶ times
the least cost that a formula gives or any of them found. Costs are noted at each step, by a callback. What has to be
compiled was, by a run of one step. "× ours" is how many times as long as ``mj.solvers.least_squares`` by its plain call
a peer takes. Of the peers, `pyceres` and `scikit-surprise` (``pip install "matjac[peers]"``) and `cmfrec`, which is
compiled where it is installed, are used where they are.
"""

import os

# before NumPy is imported
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MATJAC_NUM_THREADS"] = "1"

import argparse
import time
import warnings
from importlib.util import find_spec
from statistics import median

import numpy as np
from fit_peers import Trace, als, als_sweeps, least_squares, peers
from fit_problems import FITS
from scipy import optimize

import matjac as mj

#: how far above the least cost
TARGETS = (1e-3, 1e-6)
#: of alternating least squares, whose costs others are to reach
SWEEPS = (10, 60)
QUICK = ("gram", "gram_masked", "gram_digits", "movielens_10", "bundle_2k", "nmf_digits", "exponentials")


def when(points, cost):
    """Seconds until the cost was reached; infinity where it never was."""
    return next((seconds for seconds, value in points if value <= cost), np.inf)


def shown(seconds):
    return "never" if np.isinf(seconds) else f"{seconds:.3f} s" if seconds >= 0.1 else f"{1e3 * seconds:.2f} ms"


def ratio(peer, ours):
    """How many times as long as ours a peer takes."""
    if np.isinf(ours):
        return "-" if np.isinf(peer) else "0"
    return "∞" if np.isinf(peer) else f"{peer / ours:.2f}"


def line(*cells):
    widths = 62, 7, 12, 12, 9, 7, 7
    print("  ".join(str(cell).ljust(width) for cell, width in zip(cells, widths, strict=False)).rstrip(), flush=True)


def race(fit, runs, rounds):
    """The steps of each run, by rounds."""
    for run in runs:
        run(fit, Trace(steps=1))
    traces = {run: [] for run in runs}
    for _ in range(rounds):
        for run in runs:
            trace = Trace()
            run(fit, trace)
            traces[run].append(trace.points)
    return traces


def table(name, rounds):
    """Times to the targets of one fit."""
    fit, runs = FITS[name](), peers(name)
    traces = race(fit, runs, rounds)
    ends = {run: min(value for points in found for _, value in points) for run, found in traces.items()}
    least = min(ends.values()) if fit.least is None else fit.least
    times = {
        run: [median(when(points, (1 + above) * least) for points in found) for above in TARGETS]
        for run, found in traces.items()
    }
    ours = times[least_squares]
    print()
    line(FITS[name].__doc__, "steps", "to 1.001", "to 1+1e-6", "ends at", "× ours", "× ours")
    for run in runs:
        cells = [shown(t) for t in times[run]]
        end = f"1+{max(ends[run] / least - 1, 0):.0e}"
        line(f"  {run.__doc__}", len(traces[run][-1]), *cells, end, *map(ratio, times[run], ours))
    if als in traces:
        sweeps(traces)


def sweeps(traces):
    """Times to what alternating least squares reaches after some sweeps."""
    for count in SWEEPS:
        cost = traces[als][0][count - 1][1]
        theirs = median(points[count - 1][0] for points in traces[als])
        line(f"  alternating least squares, after {count} sweeps: {cost:.8g}", count, shown(theirs))
        for run in traces:
            if run is not als:
                ours = median(when(points, cost) for points in traces[run])
                line(
                    f"    {run.__doc__}, to that cost", "", shown(ours), "", "", f"{ratio(theirs, ours)} times as fast"
                )


def recommenders(rank):
    """Seconds and held-out errors of packages that complete matrices, and of ours."""
    fit = FITS[f"movielens_{rank}"]()
    data, rows = fit.data, []
    least_squares(fit, Trace(steps=1))
    for cost in (None, als_sweeps(fit, SWEEPS[0])):
        enough = -np.inf if cost is None else fit.by_hand(fit.F.pack(*cost[-1][1:]))[0]
        found = mj.solvers.least_squares(fit.F, *fit.start, progress=lambda at, enough=enough: at.value <= enough)
        words = "plain call" if cost is None else f"stopped at the cost of {SWEEPS[0]} sweeps"
        rows.append((f"matjac, least_squares, {words}", found.seconds, data.held_out(*found.variables)))
    for count in SWEEPS:
        seconds, U, V = als_sweeps(fit, count)[-1]
        rows.append((f"{als.__doc__}, {count} sweeps", seconds, data.held_out(U, V)))
    if find_spec("cmfrec"):
        rows.extend(of_cmfrec(data, rank))
    if find_spec("surprise"):
        rows.append(of_surprise(data, rank))
    print()
    line(f"MovieLens, rank {rank}: 10 % held out", "", "seconds", "RMSE")
    for who, seconds, error in rows:
        line(f"  {who}", "", shown(seconds), f"{error:.4f}")


def of_cmfrec(data, rank):
    """Its alternating least squares of the same cost, and with biases as it is called plainly."""
    import scipy.sparse as sp
    from cmfrec import CMF

    matrix = sp.coo_matrix((data.stars + data.mean, (data.users, data.films)), shape=data.sizes)
    same = {"user_bias": False, "item_bias": False, "lambda_": data.ridge, "use_cg": False, "finalize_chol": False}
    for words, options in (("the same cost", same), ("plain call, biases", {})):
        model = CMF(k=rank, nthreads=1, verbose=False, **options)
        began = time.perf_counter()
        model.fit(matrix)
        seconds = time.perf_counter() - began
        users, films, stars = data.test
        fitted = np.clip(model.predict(users, films), *data.range)
        yield f"cmfrec, {words}", seconds, float(np.sqrt(np.mean((fitted - stars) ** 2)))


def of_surprise(data, rank):
    """Its stochastic gradient descent, with biases, as it is called plainly."""
    import pandas
    from surprise import SVD, Dataset, Reader

    rows = pandas.DataFrame({"user": data.users, "film": data.films, "stars": data.stars + data.mean})
    training = Dataset.load_from_df(rows, Reader(rating_scale=data.range)).build_full_trainset()
    began = time.perf_counter()
    model = SVD(n_factors=rank, random_state=0).fit(training)
    seconds = time.perf_counter() - began
    users, films, stars = data.test
    fitted = [model.predict(u, f).est for u, f in zip(users.tolist(), films.tolist(), strict=True)]
    return "scikit-surprise, SVD, plain call, biases", seconds, float(np.sqrt(np.mean((fitted - stars) ** 2)))


def factors(rounds):
    """NMF to the error where scikit-learn's plain call ends, from a start of its own and from ours."""
    from sklearn.decomposition import NMF

    fit = FITS["nmf_digits"]()
    (U, V), rank = fit.start, fit.start[0].shape[1]
    least_squares(fit, Trace(steps=1))
    print()
    line("NMF of the digits, to the cost where scikit-learn ends", "", "theirs", "ours", "cost", "× ours")
    for words, init in (("plain call", None), ("from our start", "custom")):
        times = []
        for _ in range(rounds):
            given = {} if init is None else {"W": U.copy(), "H": np.ascontiguousarray(V.T)}
            model = NMF(rank, init=init)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it stops at 200 sweeps
                began = time.perf_counter()
                W = model.fit_transform(fit.data, **given)
                theirs = time.perf_counter() - began
            cost = 0.5 * np.sum((W @ model.components_ - fit.data) ** 2)
            trace = Trace(enough=cost)
            least_squares(fit, trace)
            times.append((theirs, when(trace.points, cost)))
        theirs, ours = (median(column) for column in zip(*times, strict=True))
        line(f"  scikit-learn, {words}", "", shown(theirs), shown(ours), f"{cost:.7g}", ratio(theirs, ours))


def small(rounds):
    """Whole calls of a small fit beside SciPy's with a Jacobian by hand."""
    fit = FITS["exponentials"]()
    residuals, jacobian = fit.data
    (start,) = fit.start
    tasks = {"matjac, least_squares": lambda: mj.solvers.least_squares(fit.F, start)}
    for method in ("trf", "lm"):
        tasks[f"SciPy, {method}, dense Jacobian by hand"] = lambda method=method: optimize.least_squares(
            residuals, start, jacobian, method=method, x_scale="jac", ftol=1e-15, xtol=1e-10, gtol=1e-15
        )
    times, costs = {name: [] for name in tasks}, {}
    for _ in range(4 * rounds + 1):
        for name, task in tasks.items():
            began = time.perf_counter()
            costs[name] = task()
            times[name].append(time.perf_counter() - began)
    ours = median(times["matjac, least_squares"])
    print()
    line(FITS["exponentials"].__doc__, "values", "time", "", "cost", "× ours")
    for name, found in costs.items():
        spent = median(times[name])
        line(f"  {name}", found.nfev, shown(spent), "", f"{found.cost:.7g}", ratio(spent, ours))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer fits, and each once")
    parser.add_argument("--only", nargs="+", default=[], help="fits whose names have one of these words in them")
    parser.add_argument("--rounds", type=int, default=3, help="runs of which medians are taken (default: %(default)s)")
    given = parser.parse_args()
    rounds = 1 if given.quick else given.rounds
    chosen = [n for n in (QUICK if given.quick else FITS) if not given.only or any(word in n for word in given.only)]
    for name in chosen:
        if name == "exponentials":
            small(rounds)
        else:
            table(name, rounds)
    for rank in (10, 50):
        if f"movielens_{rank}" in chosen:
            recommenders(rank)
    if "nmf_digits" in chosen:
        factors(rounds)


if __name__ == "__main__":
    main()
