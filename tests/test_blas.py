"""BLAS has one thread inside a solver whose products are small, and after it as many as before."""

import threading

import numpy as np
import pytest
from threadpoolctl import OpenBLASController, ThreadpoolController, threadpool_limits

import matjac as mj
from matjac import solvers
from matjac.solvers import blas

K = (lambda B: B.T @ B)(np.random.default_rng(0).standard_normal((4, 4)))
START = np.eye(4) + 0.2 * np.tri(4)


def threads():
    return {lib["num_threads"] for lib in ThreadpoolController().info() if lib["user_api"] == "blas"}


@pytest.fixture(autouse=True)
def two():
    """Two threads of BLAS, whatever the environment says."""
    with threadpool_limits(2, user_api="blas"):
        # whoever sets a number first would keep other threads from it
        getattr(OpenBLASController, "clear_controlling_thread", lambda: None)()
        if threads() != {2}:
            pytest.skip("BLAS has no number of threads to be set here")
        yield
        assert threads() == {2}


def gram(R):
    return R.T @ R - K


def half(R):
    return 0.5 * np.sum((R.T @ R - K) ** 2)


CALLS = {
    "least_squares": lambda p: solvers.least_squares(gram, START, progress=p),
    "trf": lambda p: solvers.least_squares(gram, START, method="trf", progress=p),
    "minimize": lambda p: solvers.minimize(half, START, progress=p),
    "root": lambda p: solvers.root(lambda X: X @ X - K, START, progress=p),
    "ipopt": lambda p: solvers.ipopt(half, START, progress=p),
    "solve_ivp": lambda p: solvers.solve_ivp(lambda R: -R @ gram(R), (0, 1), START, progress=p),
    "batch": lambda p: mj.solvers.least_squares(lambda X: X**2 - 2.0, np.ones((3, 2)), progress=p, batch=1),
}


@pytest.mark.parametrize("name", CALLS)
def test_one_thread_inside_and_as_many_as_before_after_it(name):
    seen = []
    CALLS[name](lambda at: seen.append(threads()))
    assert seen
    assert all(inside == {1} for inside in seen)
    assert threads() == {2}

    def wrong(at):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        CALLS[name](wrong)
    assert threads() == {2}


def test_large_products_keep_their_threads(monkeypatch):
    F, seen = mj.compile(half, (4, 4)), []
    assert blas.multiplications(F) == 4 * 4 * 4
    assert blas.multiplications(mj.compile(lambda X: X @ np.ones((5, 6)), (3, 5))) == 3 * 5 * 6
    assert blas.multiplications(mj.compile(lambda X: X @ X.mT, (7, 3, 5))) == 7 * 3 * 3 * 5
    monkeypatch.setattr(blas, "LARGE", 64)
    solvers.minimize(F, START, progress=lambda at: seen.append(threads()))
    assert all(inside == {2} for inside in seen)
    # dense factors of many unknowns are such products too
    monkeypatch.setattr(blas, "LARGE", 1000)
    solvers.minimize(F, START, progress=lambda at: seen.append(threads()))
    assert seen.pop() == {1}
    solvers.root(lambda X: X @ X - K, START, progress=lambda at: seen.append(threads()))
    assert seen.pop() == {2}


def test_errors_of_a_fit_are_asked_for_with_one_thread():
    seen = []

    def jacobian(R):
        seen.append(threads())
        return mj.d_gram_dR(R)

    F = mj.Function(gram, jacobian, (4, 4))
    q = solvers.uncertainty(F, START, of=lambda R: R.T @ R, sigma2=1.0)
    assert seen == [{1}]
    halves = q._space.halves
    q._space.halves = lambda G: (seen.append(threads()), halves(G))[1]
    assert q.stderr.shape == (4, 4)
    assert q.covariance([0]).shape == (1, 1)
    assert seen == [{1}] * 3


def test_solvers_at_the_same_time_and_inside_one_another():
    seen, entered, leave = [], threading.Event(), threading.Event()

    def wait(at):
        entered.set()
        leave.wait(30)

    other = threading.Thread(target=lambda: solvers.minimize(half, START, progress=wait))
    other.start()
    entered.wait(30)
    solvers.minimize(half, START, progress=lambda at: solvers.root(lambda X: X @ X - K, START))
    # the other one still runs
    seen.append(threads())
    leave.set()
    other.join()
    assert seen == [{1}]
    assert threads() == {2}
    # the one that came first goes first, and the last one is in another thread
    entered.clear()
    leave.clear()
    with blas.one_thread:
        other = threading.Thread(target=lambda: solvers.minimize(half, START, progress=wait))
        other.start()
        entered.wait(30)
    assert threads() == {1}
    leave.set()
    other.join()
    assert threads() == {2}


def test_other_threads_may_set_their_numbers_afterwards():
    solvers.minimize(half, START)
    seen = []

    def mine():
        with threadpool_limits(1, user_api="blas"):
            seen.append(threads())

    other = threading.Thread(target=mine)
    other.start()
    other.join()
    assert seen == [{1}]
    assert threads() == {2}
