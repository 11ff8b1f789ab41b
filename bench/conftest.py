import pytest
from registry import REGISTRY

from matjac.threads import thread_count


def pytest_generate_tests(metafunc):
    """Every benchmark runs on every identity of the registry, at its sizes."""
    if {"row", "dims"} <= set(metafunc.fixturenames):
        sizes = [(row, dims) for row in REGISTRY for dims in row.bench]
        ids = [f"{row.name}-{'x'.join(map(str, dims))}" for row, dims in sizes]
        metafunc.parametrize(("row", "dims"), sizes, ids=ids)


@pytest.hookimpl(trylast=True)
def pytest_report_header():
    return f"fills and their floors use {thread_count()} threads; products use BLAS with its own"
