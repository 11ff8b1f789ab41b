"""Ipopt with exact Hessians beside its limited-memory approximation: time, and steps in `extra_info`.

``python -m pytest bench/test_ipopt.py``, with the extra ``matjac[ipopt]``.
"""

import pytest
from constrained import likelihood, nonnegative, orthogonality

import matjac as mj

pytest.importorskip("ipyopt")


@pytest.mark.parametrize("hessian", ["exact", "limited-memory"])
@pytest.mark.parametrize("make", [orthogonality, likelihood, nonnegative])
def test_ipopt(benchmark, make, hessian):
    F, start, more = make()

    def solve():
        return mj.solvers.ipopt(F, *start, hessian=hessian, options={"max_iter": 3000}, **more)

    benchmark.group = make.__doc__
    fit = benchmark.pedantic(solve, rounds=3, warmup_rounds=1)
    benchmark.extra_info.update(steps=fit.nit, objective=fit.fun, message=fit.message)
    print(f"{make.__name__}, {hessian}: {fit.nit} steps, {fit.fun:.9g}, {fit.message}")
