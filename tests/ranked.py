"""What the tests run on ranks, by mpiexec: ``python ranked.py scenario folder``, where each leaves what it found."""

import hashlib
import os
import pickle
import signal
import sys
import time
from pathlib import Path

import numpy as np
from mpi4py import MPI

import matjac as mj

COMM = MPI.COMM_WORLD
M, N, K, RIDGE = 24, 12, 2, 0.3


def completion(rank=COMM.rank, size=COMM.size):
    """This rank's users of a completion, with an even share of V's ridge; where to start from."""
    rng = np.random.default_rng(0)
    U, V = rng.standard_normal((M, K)), rng.standard_normal((N, K))
    users, films = np.nonzero(rng.random((M, N)) < 0.6)
    stars = (U @ V.T)[users, films] + 0.1 * rng.standard_normal(users.size)
    U, V = U + 0.3 * rng.standard_normal(U.shape), V + 0.3 * rng.standard_normal(V.shape)
    first, last = np.linspace(0, M, size + 1).astype(int)[rank : rank + 2]
    mine = (users >= first) & (users < last)
    rows, cols, data = users[mine] - first, films[mine], stars[mine]

    def residuals(U, V):
        ridges = np.sqrt(RIDGE) * U.ravel(), np.sqrt(RIDGE / size) * V.ravel()
        return np.concatenate([(U @ V.T)[rows, cols] - data, *ridges])

    return mj.compile(residuals, (last - first, K), (N, K)), U[first:last], V


def network(rank=COMM.rank, size=COMM.size):
    """This rank's samples of a layer of a network, and where to start from."""
    rng = np.random.default_rng(1)
    X, A, b = rng.standard_normal((60, 3)), rng.standard_normal((3, 2)), rng.standard_normal(2)
    Y, start = np.tanh(X @ A + b) + 0.1 * rng.standard_normal((60, 2)), (A + 0.3, b - 0.3)
    X, Y = X[rank::size], Y[rank::size]
    return mj.compile(lambda A, b: np.tanh(X @ A + b) - Y, (3, 2), (2,)), start


def total(F, owned=()):
    return mj.distributed.total(F, COMM, owned)


def bits(*arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()


def found(fit, seen=(), shared=-1):
    """What the ranks must have in common of a fit, the shared unknown, and what is this rank's."""
    keep = {
        name: fit.get(name) for name in ("cost", "nit", "nfev", "success", "message", "method", "optimality", "sent")
    }
    return keep | {"shared": fit.variables[shared], "variables": fit.variables, "iterates": [np.array(x) for x in seen]}


def fits():
    """Fits by each method, their iterates, and the same once more."""
    F, U, V = completion()
    results = {}
    for name, options in {
        "eliminated": {},
        "Schur complement": {"method": "gauss-newton"},
        "Schur complement by products": {"method": "gauss-newton", "jac": "operator", "max_nfev": 12},
    }.items():
        for again in ("", " again"):
            T, seen = total(F, "U"), []
            fit = mj.solvers.least_squares(T, U, V, progress=lambda at, s=seen: s.append(at.x[-V.size :]), **options)
            results[name + again] = found(fit, seen)
    F, (A, b) = network()
    for name, options in {
        "small": {},
        "lbfgs": {"method": "lbfgs"},
        "robust": {"method": "lbfgs", "loss": "soft_l1", "f_scale": 0.1},
        "bounds": {"method": "gauss-newton", "bounds": (-0.9, 0.9)},
    }.items():
        seen, start = [], [np.clip(x, -0.9, 0.9) for x in (A, b)]
        fit = mj.solvers.least_squares(total(F), *start, progress=lambda at, s=seen: s.append(at.x), **options)
        results[name] = found(fit, seen)
    for method in ("L-BFGS-B", "trust-ncg", "trust-constr", "trust-exact"):
        for name, G in (("residuals", F), ("number", F.half_squares())):
            seen = []
            options = {"options": {"maxiter": 15}}
            fit = mj.solvers.minimize(
                total(G), A, b, method=method, progress=lambda at, s=seen: s.append(at.x), **options
            )
            results[f"{method} {name}"] = found(fit, seen)
    return results


def parts():
    """The total's faces beside those of one function of all rows."""
    F, (A, b) = network()
    whole, _ = network(0, 1)
    G, H = F.half_squares(), whole.half_squares()
    x = whole.pack(A, b)
    p = np.linspace(-1, 1, x.size)
    apart = {}
    for name, T in {"residuals": total(F), "number": total(G)}.items():
        value, gradient = T.value_and_grad(x)
        pairs = {
            "value": (value, H.fun(x)),
            "alone": (T(A, b), H(A, b)),
            "gradient": (gradient, H.grad(x)),
            "by name": (T.gradient(A, b)[0], H.gradient(A, b)[0]),
            "row": (T.jac(x).toarray()[0], H.grad(x)),
            "row times": (T.jac(x) @ p, H.grad(x) @ p),
            "hessp": (T.hessp(x, p), H.hessp(x, p)),
            "hessian": (T.hess(x).toarray(), H.hess(x).toarray()),
            "gauss-newton": (T.hessian(A, b, part="gauss-newton") @ p, whole.jac(x).normal() @ p),
            "bound": (T.bind(b=b)(A), H(A, b)),
        }
        if name == "residuals":
            blocks = zip(T.normal_blocks(A, b), whole.jac(x).normal_blocks(), strict=True)
            pairs |= {f"block {at}": pair for at, pair in enumerate(blocks)}
        apart |= {f"{name} {key}": float(np.abs(np.subtract(*pair)).max()) for key, pair in pairs.items()}
    # with an owned unknown: its own part, and the shared one
    C, U, V = completion()
    whole, allU, _ = completion(0, 1)
    T = total(C, "U")
    first, last = np.linspace(0, M, COMM.size + 1).astype(int)[COMM.rank : COMM.rank + 2]
    p = np.ones((M, K)), np.linspace(-1, 1, V.size)
    mine, every = np.concatenate([p[0][first:last].ravel(), p[1]]), np.concatenate([p[0].ravel(), p[1]])

    def cut(x):
        dU, dV = whole.unpack(x)
        return np.concatenate([dU[first:last].ravel(), dV.ravel()])

    half, x = whole.half_squares(), whole.pack(allU, V)
    hessian = T.hess(T.pack(U, V)) @ mine, cut(half.hess(x) @ every)
    apart["owned gradient"] = float(np.abs(T.grad(T.pack(U, V)) - cut(half.grad(x))).max())
    apart["owned hessian"] = float(np.abs(np.subtract(*hessian)).max())
    blocks, all_blocks = T.normal_blocks(U, V), whole.jac(x).normal_blocks()
    apart["owned blocks"] = float(np.abs(blocks[0] - all_blocks[0][first:last]).max())
    apart["shared blocks"] = float(np.abs(blocks[1] - all_blocks[1]).max())
    return apart


def ends(solve):
    """How a run ends: the fit, or what it raised."""
    began = time.perf_counter()
    try:
        return found(solve()) | {"seconds": time.perf_counter() - began}
    except Exception as error:
        return {"raised": f"{type(error).__name__}: {error}", "seconds": time.perf_counter() - began}


def faults():
    """What goes wrong on the last rank alone, and how all end."""
    F, U, V = completion()
    last, results = COMM.rank == COMM.size - 1, {}

    def at_step(step, do):
        return lambda at: do() if last and at.steps == step else None

    def fail():
        raise ZeroDivisionError("mine")

    def least(G=F, U=U, V=V, owned="U", **options):
        return ends(lambda: mj.solvers.least_squares(total(G, owned), U, V, **options))

    def failing(value, after=3):
        """The fit of what is F up to that step, and then what `value` makes of it."""
        on = [last and after == 0]
        G = mj.Function(lambda U, V: value(F(U, V)) if on[0] else F(U, V), F.jacobian, *F.in_shapes, names=F.names)
        return least(G, progress=at_step(after, lambda: on.__setitem__(0, True)))

    results["callback stops"] = least(progress=at_step(3, lambda: True))
    results["callback fails"] = least(progress=at_step(3, fail))
    results["time"] = least(seconds=0.2 if last else None, progress=lambda at: time.sleep(0.1))
    results["error"] = failing(lambda y: fail())
    results["error at the start"] = failing(lambda y: fail(), 0)
    results["NaN"] = failing(lambda y: y * np.nan)
    results["NaN at the start"] = failing(lambda y: y * np.nan, 0)
    results["SIGTERM"] = least(progress=at_step(3, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    results["another start"] = least(V=V + last)
    results["another shape"] = least(
        mj.compile(lambda U, V: (U @ V.T).ravel(), U.shape, (N + last, K)), V=np.ones((N + last, K))
    )
    results["another argument"] = least(method="lbfgs" if last else "gauss-newton")
    results["another tolerance"] = least(max_nfev=5 if last else 6)
    results["wrong argument"] = least(ftol=-1.0 if last else 1e-8)
    results["no function"] = least("F" if last else F)
    results["numbers"] = least(
        mj.compile(lambda U, V: np.sum(U) + np.sum(V), U.shape, V.shape) if last else F,
    )
    # all is well afterwards
    results["then"] = least()
    return results


def sums():
    """Sums of what ranks make, and what the order of the ranks makes of them; many totals on one communicator."""
    from matjac.distributed.ranks import Ranks

    ranks, apart = Ranks(COMM), []
    for n in (0, 1, 2, 3, 5, 64, 1000):
        every = [10.0 ** np.random.default_rng(r).integers(-9, 9, n) / 3 for r in range(COMM.size)]
        expected = np.zeros(n)
        for part in every:
            expected = expected + part
        apart.append(ranks.summed(lambda e=every: e[COMM.rank]).tobytes() == expected.tobytes())
    number, matrix, columns = ranks.summed(
        lambda: (1.5, np.ones((2, 3)), np.asfortranarray(np.arange(6.0).reshape(2, 3)))
    )
    apart += [number == 1.5 * COMM.size, (matrix == COMM.size).all()]
    apart.append(np.array_equal(columns, COMM.size * np.arange(6.0).reshape(2, 3)))
    F, _ = network()
    first, second = total(F), total(F)
    apart.append(first.ranks.comm is second.ranks.comm is ranks.comm is not COMM)
    return [bool(one) for one in apart]


def refused():
    """What is refused on all ranks."""
    (F, U, V), (G, (A, b)) = completion(), network()
    solve = mj.solvers.least_squares
    calls = {
        "owned": lambda: total(F, "W"),
        "all owned": lambda: total(F, ("U", "V")),
        "trf": lambda: solve(total(F), U, V, method="trf"),
        "csr": lambda: solve(total(F), U, V, jac="csr"),
        "x_scale": lambda: solve(total(F), U, V, x_scale=1.0),
        "batch": lambda: solve(total(F), U, V, batch=1),
        "option": lambda: solve(total(F), U, V, tr_solver="lsmr"),
        "eliminate": lambda: solve(total(F, "U"), U, V, eliminate=False),
        "eliminate V": lambda: solve(total(F, "U"), U, V, eliminate="V"),
        "eliminate shared": lambda: solve(total(F), U, V, eliminate="U"),
        "minimize": lambda: mj.solvers.minimize(total(F, "U"), U, V),
        "number": lambda: solve(total(F.half_squares()), U, V),
        "uncertainty": lambda: mj.solvers.uncertainty(total(G), A, b),
        "root": lambda: mj.solvers.root(total(G), A, b),
        "twice": lambda: total(total(F)),
    }
    return {name: ends(call).get("raised") for name, call in calls.items()}


KEPT = {"eliminated": {}, "Schur complement": {"method": "gauss-newton"}, "shared": {"method": "lbfgs"}}


def kept(name, path, number=0):
    """A fit that goes on from a file, and the same without; the last rank gets a signal at the sixth step."""

    def steps(at):
        seen.append(at.x[-V.size :])
        if number and COMM.rank == COMM.size - 1 and at.steps == 6:
            os.kill(os.getpid(), int(number))

    (F, U, V), seen, owned = completion(), [], "U"
    if name == "shared":
        F, (U, V) = network()
        owned = ()
    made = []
    for files in ({"checkpoint": path, "checkpoint_seconds": 0}, {}):
        seen.clear()
        fit = mj.solvers.least_squares(total(F, owned), U, V, progress=steps, **files, **KEPT[name])
        made.append(found(fit, seen))
        number = 0
    return made


def slow():
    """A fit of which each step takes half a second, of ranks that say when they are in it."""
    (F, U, V), begun = completion(), Path(sys.argv[2]) / f"began {COMM.rank}"

    def wait(at):
        begun.touch()
        time.sleep(0.5)

    fit = mj.solvers.least_squares(total(F, "U"), U, V, progress=wait, checkpoint=Path(sys.argv[2]) / "state")
    return found(fit)


if __name__ == "__main__":
    name, folder, *arguments = sys.argv[1:]
    made = globals()[name](*arguments)
    (Path(folder) / f"{COMM.rank}").write_bytes(pickle.dumps(made))
