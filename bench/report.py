"""All ratios that are asked of matjac, in one table: ``python bench/report.py [--quick] [--only WORD …]``.

The tasks of a comparison run in turns, matjac's and its peer's one after the other over many rounds, so that what else
the machine does hits both; the table has their medians. Peaks are of what Python and NumPy allocate during one task,
in units of the values that the function's own steps make, each kept. BLAS has one thread; the floor of a fill has as
many threads as the fill, see `floors`.
"""

import os

# before NumPy is imported: BLAS spins for a while after a product, on the processors that fills would use
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import gc
import math
import time
import tracemalloc
from dataclasses import dataclass
from functools import partial
from statistics import median

from problems import (
    CALLS,
    FILLS,
    LARGE,
    PRODUCTS,
    TINY,
    Bundle,
    Weighted,
    call_tasks,
    check,
    product_tasks,
    refill_tasks,
    too_large,
)

WIDTHS = 53, 26, 8, 22, 8, 8, 6, 6, 6
HEADINGS = "problem", "matjac", "time", "beside", "time", "ratio", "asked", "peak", "peer's"
BY_HAND = {"jvp": "by hand", "vjp": "by hand", "jvp_gathered": "by hand, rows gathered"}


@dataclass
class Comparison:
    """Tasks by name that run in turns, and the lines to print of them."""

    tasks: dict
    #: of each line matjac's task, the peer's, and how many times as long it may take
    pairs: list
    #: bytes of the function's own values, where peaks are to be shown
    values: int = 0


def products(name, kind):
    """A point and one product."""
    problem = PRODUCTS[name]()
    F = problem.compile()
    check(problem, F.jacobian(*problem.args))
    tasks = product_tasks(problem, F, kind)
    ways = [way for way in tasks if way in BY_HAND]
    ours, named = f"F.jacobian(…), {kind}", {BY_HAND[way]: tasks[way] for way in ways}
    pairs = [(ours, way, None if at else problem.asked) for at, way in enumerate(named)]
    tasks = {ours: tasks["matjac"], **named, "the function": lambda: problem.fun(*problem.args)}
    values = sum(value.nbytes for value in problem.steps(*problem.args))
    return problem.name, Comparison(tasks, [*pairs, (ours, "the function", None)], values)


def gradient():
    """Of a number, as arrays and flat."""
    problem = Weighted()
    F, x, args = problem.compile(), problem.x, problem.args
    tasks = {
        "F.gradient(U, V)": lambda: F.gradient(*args),
        "by hand": lambda: problem.gradient(*args),
        "F.grad(x)": lambda: F.grad(x),
        "by hand, flat": lambda: problem.grad(x),
        "the function": lambda: problem.fun(*args),
    }
    pairs = [
        ("F.gradient(U, V)", "by hand", 1.5),
        ("F.grad(x)", "by hand, flat", 1.5),
        ("F.grad(x)", "the function", None),
    ]
    values = 4 * problem.W.nbytes  # U Vᵀ, less Y, times W, squared
    return problem.name, Comparison(tasks, pairs, values)


def refill(name, most):
    """Values into a matrix that has been filled before, where there are no more than so many."""
    problem = FILLS[name]()
    if problem.entries > most:
        return f"{problem.entries:,} entries"
    if reason := too_large(problem):
        return reason
    F = problem.compile()
    tasks = refill_tasks(problem, F, F.jac_csr(problem.x))
    ours = [task for task in tasks if task != "floor"]
    return f"{problem.name}, {problem.entries:,} entries", Comparison(tasks, [(task, "floor", 1.5) for task in ours])


def bundle():
    """One Jacobian as a matrix, of each spelling."""
    problems = {spelling: Bundle(spelling) for spelling in Bundle.spellings}
    problem = problems["einsum"]
    tasks = {"by hand": lambda: problem.jac_csr(problem.x)}
    for spelling, spelt in problems.items():
        tasks[f"F.jac_csr(x), {spelling}"] = partial(spelt.compile().jac_csr, problem.x)
    return problem.name, Comparison(tasks, [(task, "by hand", None) for task in tasks if task != "by hand"])


def calls(name):
    """Whole calls on a tiny problem, beside one csr_array of ready arrays."""
    problem = TINY[name]()
    pairs = [(task, "csr_array", asked) for task, asked in CALLS.items()]
    return problem.name, Comparison(call_tasks(problem), pairs)


def sections(most):
    """What to measure, by names that ``--only`` looks into; nothing is made yet."""
    parts = {}
    for name in PRODUCTS:
        for kind in ("J v", "J.T u"):
            parts[f"products {name} {kind}"] = partial(products, name, kind)
    parts["gradient"] = gradient
    parts |= {f"refill {name}": partial(refill, name, most) for name in FILLS}
    parts["bundle"] = bundle
    parts |= {f"calls {name}": partial(calls, name) for name in TINY}
    return parts


def in_turns(tasks, seconds, rounds):
    """Medians in seconds of tasks that run one after the other, for so long and at least so many rounds."""
    loops = {}
    for name, task in tasks.items():
        began = time.perf_counter()
        task()
        # long enough for the clock
        loops[name] = math.ceil(2e-4 / max(time.perf_counter() - began, 1e-7))
    times, done, end = {name: [] for name in tasks}, 0, time.perf_counter() + seconds
    while done < rounds or time.perf_counter() < end:
        for name, task in tasks.items():
            began = time.perf_counter()
            for _ in range(loops[name]):
                task()
            times[name].append((time.perf_counter() - began) / loops[name])
        done += 1
    return {name: median(taken) for name, taken in times.items()}


def peak(task):
    """The most bytes that are allocated at one time while a task runs."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    task()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most - before


def span(seconds):
    unit, size = next((u, s) for u, s in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)) if seconds >= s or s == 1e-6)
    return f"{seconds / size:.3g} {unit}" if seconds < 100 * size else f"{seconds / size:.0f} {unit}"


def line(*cells):
    texts = [
        cell.ljust(w) if k in (0, 1, 3) else cell.rjust(w)
        for k, (cell, w) in enumerate(zip(cells, WIDTHS, strict=True))
    ]
    print("  ".join(texts).rstrip(), flush=True)


def works(name, problem, task):
    """Whether a task runs, which warms it up too; says so where it doesn't."""
    try:
        task()
    except Exception as error:
        print(f"{problem}, {name}: failed, {reason(error)}", flush=True)
        return False
    return True


def reason(error):
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def lines(problem, comparison, seconds, rounds):
    """Measure and print; for each ratio that is asked yields whether it was met, and None where it couldn't be had."""
    tasks = {name: task for name, task in comparison.tasks.items() if works(name, problem, task)}
    times = in_turns(tasks, seconds, rounds)
    for ours, peer, asked in comparison.pairs:
        if ours not in tasks or peer not in tasks:
            yield None
            continue
        ratio, peaks = times[ours] / times[peer], ("", "")
        if comparison.values:
            peaks = [f"{peak(tasks[name]) / comparison.values:.1f}" for name in (ours, peer)]
        met = "" if asked is None else f"{asked:g} {'✓' if ratio <= asked else '✗'}"
        line(problem, ours, span(times[ours]), peer, span(times[peer]), f"{ratio:.2f}", met, *peaks)
        if asked is not None:
            yield ratio <= asked


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few rounds, and no fills that take gigabytes")
    parser.add_argument(
        "--only", nargs="+", default=[""], metavar="WORD", help="parts whose name has one of these words"
    )
    parser.add_argument("--list", action="store_true", help="names of the parts")
    options = parser.parse_args()
    chosen = {
        name: part
        for name, part in sections(LARGE if options.quick else math.inf).items()
        if any(word in name for word in options.only)
    }
    if options.list:
        print("\n".join(chosen))
        return
    seconds, rounds = (0.3, 5) if options.quick else (2.0, 9)
    met = []
    line(*HEADINGS)
    for label, part in chosen.items():
        made = None  # a large problem is let go before the next is made
        gc.collect()
        try:
            made = part()
        except Exception as error:
            print(f"{label}: failed, {reason(error)}", flush=True)
            met.append(None)
            continue
        if isinstance(made, str):
            print(f"{label}: left out, {made}", flush=True)
        else:
            met += lines(*made, seconds, rounds)
    failed = met.count(None)
    print(f"{met.count(True)} of {len(met) - failed} ratios that are asked were met; failed: {failed}")
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
