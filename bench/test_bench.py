"""Fill, refill, build and products of every identity, each in one group with its floor or peer.

``python -m pytest bench`` prints a table a group; the figure in brackets is the ratio to the best of it.
"""

import numpy as np
import pytest
from floors import write, write_fresh
from registry import plain

ROUNDS = {"rounds": 30, "warmup_rounds": 3}


@pytest.fixture
def problem(row, dims, benchmark):
    """The identity's arguments and its point, and the benchmark with its group named."""
    rng = np.random.default_rng(0)

    def make(*shape):
        return rng.standard_normal(shape)

    args = row.arguments(make, *dims)
    point = args.get(row.variable)
    return row.function, args, make(*row.shape(*dims)) if point is None else point


def group(benchmark, kind, row, dims, J):
    benchmark.group = f"{kind}: {row.name} {dims}, {J.nnz:,} entries"


@pytest.mark.parametrize("what", ["floor", "fill", "refill"])
def test_fill(benchmark, problem, row, dims, what):
    """Values only: `fill` of one Jacobian, `refill` with the Jacobian itself made anew each time."""
    function, args, _ = problem
    J = function(**args)
    out = J.tocsr()
    group(benchmark, "values", row, dims, J)
    tasks = {
        "floor": lambda: write(out.data),
        "fill": lambda: J.fill(out.data),
        "refill": lambda: function(**args).tocsr(out=out),
    }
    benchmark.pedantic(tasks[what], **ROUNDS)


@pytest.mark.parametrize("what", ["floor", "tocsr"])
def test_build(benchmark, problem, row, dims, what):
    """Pattern and values, into fresh memory."""
    function, args, _ = problem
    J = function(**args)
    group(benchmark, "build", row, dims, J)
    tasks = {"floor": lambda: write_fresh(J), "tocsr": lambda: function(**args).tocsr()}
    benchmark.pedantic(tasks[what], rounds=7, warmup_rounds=1)


@pytest.mark.parametrize("what", ["numpy", "J @ v", "csr @ v"])
def test_product(benchmark, problem, row, dims, what):
    """``J @ v`` beside the NumPy formula for the differential, and beside the stored matrix."""
    function, args, point = problem
    J = function(**args)
    dX = np.random.default_rng(1).standard_normal(point.shape)
    v = dX.ravel()
    group(benchmark, "product", row, dims, J)
    a, A = plain(args), J.tocsr() if what == "csr @ v" else None
    tasks = {
        "numpy": lambda: np.ravel(row.differential(dX, point, a)),
        "J @ v": lambda: J @ v,
        "csr @ v": lambda: A @ v,
    }
    benchmark.pedantic(tasks[what], **ROUNDS)
