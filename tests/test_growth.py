"""Memory stays as it is, however often a matrix is filled and a function compiled."""

import gc
import os
from pathlib import Path

import numpy as np
import pytest
from measures import LONG

import matjac as mj

#: Compiled functions.
COMPILES = max(LONG, 2_000)
STATM = Path("/proc/self/statm")


def resident():
    """MiB that the process holds."""
    gc.collect()
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def grown(act, count):
    """MiB by which the process grows after the first tenth."""
    for k in range(count // 10):
        act(k)
    before = resident()
    for k in range(count // 10, count):
        act(k)
    return resident() - before


pytestmark = [pytest.mark.slow, pytest.mark.skipif(not STATM.exists(), reason="no /proc here")]
x, w = np.linspace(0.5, 2.0, 24), np.ones(36)


def test_refills():
    F = mj.compile(lambda R: R.T @ R, (4, 6))
    A = F.jac_csr(x)
    assert grown(lambda k: F.jac_csr(x + 1e-6 * k, out=A), 100_000) < 2


def test_matrices_and_products():
    F = mj.compile(lambda R: R.T @ R, (4, 6))
    K = np.eye(6)

    def act(k):
        F.jac_csr(x), F.hess_csr(x, w), F.jac(x) @ x, F.grad(x, w), mj.d_gram_dR(x.reshape(4, 6)).tocsr()
        F.jac(x).normal().tocsr(), (2 * F.jac(x)).take([k % 36]).T.tocsr(), mj.d_matmul_dA(K * k, 2).rows(0, 2)

    assert grown(act, 3_000) < 3


def test_compiled_functions():
    def act(k):
        F = mj.compile(lambda R: np.tanh(R.T @ R) * k, (4, 6))
        F.jac_csr(x), F.hessp(x, x, w)

    assert grown(act, COMPILES) < 3
