"""What `test_threads` runs in processes of its own: ``python parallel.py NAME``."""

import atexit
import hashlib
import multiprocessing
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import matjac as mj

R = np.random.default_rng(0).standard_normal((9, 260))
x = np.random.default_rng(1).standard_normal(900)
J = mj.d_gram_dR(R)  # 1.2·10⁶ entries: filled by two threads


def function():
    return mj.compile(lambda X: np.tanh(X @ X.T), (30, 30))


F = function()


def digest(*arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()


def work(number=0):
    """Fills, products and derivatives, as the bits that they have."""
    G = F if number % 2 else function()
    A, B, v = J.tocsr(), G.jac_csr(x + number), np.ones(J.shape[1])
    return digest(A.data, A.indices, J @ v, J.T @ (J @ v), B.data, B.indices, G.hessp(x, x, np.ones(900)), G.grad(x, x))


def threads():
    """The bits that many threads make at once, and that one makes after them."""
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(work, range(16)))
    assert found == [work(k) for k in range(16)]
    print(digest(*map(np.bytes_, found)))


def begin(barrier, G):
    barrier.wait()
    return digest(G.jac_csr(x).data, G.hess_csr(x, x).data, G.jac(x) @ x, G.jac(x).T @ x)


def first_calls():
    """Threads that are the first to ask, all at once."""
    for _ in range(4):
        G, barrier = function(), threading.Barrier(6)
        with ThreadPoolExecutor(6) as pool:
            found = {f.result() for f in [pool.submit(begin, barrier, G) for _ in range(6)]}
        assert found == {begin(threading.Barrier(1), function())}


def processes(kind):
    """Children before the pool was used, and after."""
    context = multiprocessing.get_context(kind)
    if kind == "fork":
        with context.Pool(2) as pool:
            found = pool.map(work, [0, 1])
        assert found == [work(0), work(1)]
    else:
        work()
    with context.Pool(2) as pool:
        assert pool.map_async(work, [0, 1]).get(60) == [work(0), work(1)]


def fit(number):
    return mj.solvers.least_squares(F, x.reshape(30, 30), max_nfev=3).cost


def fork_while_threads_work():
    """A child waits for no thread that it has not: of matjac's, Numba's compiler or BLAS."""
    over = threading.Event()

    def repeat(task):
        while not over.is_set():
            task(0)

    workers = [threading.Thread(target=repeat, args=(task,)) for task in (work, fit)]
    for worker in workers:
        worker.start()
    for _ in range(6):
        with multiprocessing.get_context("fork").Pool(2) as pool:
            found = pool.map_async(fit, [0, 1]).get(60), pool.map_async(work, [0, 1]).get(60)
    over.set()
    for worker in workers:
        worker.join()
    assert found == ([fit(0), fit(1)], [work(0), work(1)])


def the_end():
    """Fills while the interpreter ends: by those that are called then, and in a thread that is let go."""
    first = J.tocsr()

    def late():
        assert np.array_equal(J.tocsr().data, first.data)
        print("filled")

    def loop():
        while True:
            J.tocsr()

    atexit.register(late)
    threading.Thread(target=loop, daemon=True).start()
    time.sleep(0.2)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
