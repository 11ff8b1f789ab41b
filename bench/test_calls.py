"""Whole calls on problems so small that all of the time is Python's, beside one `csr_array` of ready arrays."""

from functools import cache

import pytest
from problems import CALLS, TINY, call_tasks, check, close


@cache
def calls(name):
    """A problem's calls; its products were checked on both sides."""
    problem = TINY[name]()
    F = problem.compile()
    check(problem, F.jac(problem.x))
    return problem, call_tasks(problem)


@pytest.mark.parametrize("what", ["csr_array", *CALLS])
@pytest.mark.parametrize("name", TINY)
def test_call(benchmark, name, what):
    problem, tasks = calls(name)
    benchmark.group = f"calls: {problem.name}"
    result = benchmark.pedantic(tasks[what], rounds=200, iterations=20, warmup_rounds=5)
    v, _ = problem.directions()
    value = problem.fun(*problem.args)
    if what == "F(X)":
        close(result, value)
    elif what == "F.jac(x) @ v":
        close(result, problem.forward(v))
    elif what.startswith("F.grad"):
        close(result, 2 * problem.backward(value.ravel()))
    else:
        close(result @ v, problem.forward(v))
