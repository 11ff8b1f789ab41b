"""The fits of `fit_problems` as others solve them: each a run that returns a list of (seconds, cost)."""

import time
from contextlib import suppress
from importlib.util import find_spec

import numba
import numpy as np
from scipy import optimize

import matjac as mj

#: after so many seconds a run ends
LIMIT = 60.0


class Trace:
    """(seconds, cost) at each step of a run; it ends where the cost is low enough, or the time is over."""

    def __init__(self, enough=-np.inf, steps=None):
        self.enough, self.steps, self.points = enough, steps, []
        self.began = time.perf_counter()

    def note(self, cost):
        """Note a step; whether the run is to end."""
        seconds = time.perf_counter() - self.began
        self.points.append((seconds, float(cost)))
        return cost <= self.enough or seconds > LIMIT or len(self.points) == self.steps


# matjac ----------------------------------------------------------------------------------------------


def least_squares(fit, trace):
    """matjac, least_squares"""
    found = mj.solvers.least_squares(fit.F, *fit.start, bounds=fit.bounds, progress=lambda at: trace.note(at.value))
    trace.note(found.cost)


def minimize(fit, trace):
    """matjac, minimize"""
    loss = fit.F.half_squares()
    found = mj.solvers.minimize(loss, *fit.start, bounds=fit.bounds, progress=lambda at: trace.note(at.value))
    trace.note(found.fun if np.ndim(found.fun) == 0 else found.fun[0])


# SciPy -----------------------------------------------------------------------------------------------


def lbfgs(fit, trace):
    """L-BFGS-B, gradient by hand"""

    def stepped(intermediate_result):
        if trace.note(intermediate_result.fun):
            raise StopIteration

    bounds = None if fit.bounds is None else optimize.Bounds(*(np.inf if b is None else b for b in fit.bounds))
    # on to the last digits: what is measured is when it passes a cost
    options = {"maxiter": 100_000, "maxfun": 200_000, "ftol": 1e-15, "gtol": 1e-10}
    optimize.minimize(
        fit.by_hand, fit.x0, jac=True, method="L-BFGS-B", bounds=bounds, options=options, callback=stepped
    )


def scipy_csr(fit, trace):
    """SciPy's trf, exact CSR by hand"""
    residuals, jacobian = fit.data.by_hand()

    def stepped(x):
        e = residuals(x)
        if trace.note(0.5 * (e @ e)):
            raise StopIteration
        return jacobian(x)

    with suppress(StopIteration):
        optimize.least_squares(residuals, fit.x0, stepped, x_scale="jac")


# Alternating least squares ---------------------------------------------------------------------------


@numba.njit(fastmath=True)
def cholesky_solve(A, b):
    """A⁻¹ b into b, for A whose lower triangle becomes its factor."""
    n = b.size
    for i in range(n):
        for j in range(i + 1):
            s = A[i, j]
            for m in range(j):
                s -= A[i, m] * A[j, m]
            A[i, j] = np.sqrt(s) if i == j else s / A[j, j]
        s = b[i]
        for m in range(i):
            s -= A[i, m] * b[m]
        b[i] = s / A[i, i]
    for i in range(n - 1, -1, -1):
        b[i] /= A[i, i]
        for m in range(i):
            b[m] -= A[i, m] * b[i]


@numba.njit(fastmath=True)
def solve_rows(indptr, indices, stars, V, U, ridge):
    """Each row of U anew: (WᵀW + ridge I) u = Wᵀ y, W the rows of V; of few ratings u = Wᵀ (W Wᵀ + ridge I)⁻¹ y."""
    k = V.shape[1]
    for row in range(indptr.size - 1):
        first, last = indptr[row], indptr[row + 1]
        W, y = V[indices[first:last]], stars[first:last].copy()
        few = last - first < k
        A, b = (W @ W.T, y) if few else (W.T @ W, W.T @ y)
        for i in range(b.size):
            A[i, i] += ridge
        cholesky_solve(A, b)
        U[row] = W.T @ b if few else b


def compressed(rows, columns, stars, count):
    """Ratings row by row."""
    order = np.argsort(rows, kind="stable")
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=count))])
    return indptr, columns[order], stars[order]


def als_sweeps(fit, sweeps):
    """Seconds after each sweep, which begins with the users, and the factors there."""
    data, (U, V) = fit.data, (part.copy() for part in fit.start)
    began = time.perf_counter()
    by_user = compressed(data.users, data.films, data.stars, data.sizes[0])
    by_film = compressed(data.films, data.users, data.stars, data.sizes[1])
    found, away = [], 0.0
    for _ in range(sweeps):
        solve_rows(*by_user, V, U, data.ridge)
        solve_rows(*by_film, U, V, data.ridge)
        at = time.perf_counter()
        found.append((at - began - away, U.copy(), V.copy()))
        away += time.perf_counter() - at
    return found


def als(fit, trace, sweeps=60):
    """alternating least squares, Numba"""
    for seconds, U, V in als_sweeps(fit, 1 if trace.steps else sweeps):
        # its cost is no part of its time
        trace.points.append((seconds, fit.by_hand(fit.F.pack(U, V))[0]))


# Ceres -----------------------------------------------------------------------------------------------


def ceres(fit, trace):
    """Ceres, dense Schur, slopes in Python"""
    _ceres(fit, trace, lambda at: at.cumulative_time_in_seconds)


def ceres_linear(fit, trace):
    """Ceres, its linear solver alone"""
    spent = 0.0

    def seconds(at):
        nonlocal spent
        spent += at.step_solver_time_in_seconds
        return spent

    _ceres(fit, trace, seconds)


def _ceres(fit, trace, seconds):
    # pyceres takes no slopes of many observations at once, and has none of its own for these
    import pyceres

    data = fit.data
    T, P = (part.copy() for part in fit.start)
    cameras, points = list(T.reshape(-1, 12)), list(P)

    class Observation(pyceres.CostFunction):
        """One pixel, by numbers: faster than arrays as small as these."""

        def __init__(self, seen):
            super().__init__()
            self.seen = seen
            self.set_num_residuals(2)
            self.set_parameter_block_sizes([12, 3])

        def Evaluate(self, parameters, residuals, jacobians):
            a, b, c, d, e, f, g, h, i, j, k, t = parameters[0].tolist()
            x, y, z = parameters[1].tolist()
            depth = 1 / (i * x + j * y + k * z + t)
            q, r = (a * x + b * y + c * z + d) * depth, (e * x + f * y + g * z + h) * depth
            residuals[0], residuals[1] = q - self.seen[0], r - self.seen[1]
            if jacobians is not None:
                u, v, w = x * depth, y * depth, z * depth
                qd, rd = -q * depth, -r * depth
                if jacobians[0] is not None:
                    near, zero = (u, v, w, depth), (0.0, 0.0, 0.0, 0.0)
                    far = (-q * u, -q * v, -q * w, qd), (-r * u, -r * v, -r * w, rd)
                    jacobians[0][:] = (*near, *zero, *far[0], *zero, *near, *far[1])
                if jacobians[1] is not None:
                    rows = (a * depth + i * qd, b * depth + j * qd, c * depth + k * qd)
                    jacobians[1][:] = (*rows, e * depth + i * rd, f * depth + j * rd, g * depth + k * rd)
            return True

    class Stepped(pyceres.IterationCallback):
        def __call__(self, at):
            trace.points.append((seconds(at), at.cost))
            enough = at.cost <= trace.enough or len(trace.points) == trace.steps
            kinds = pyceres.CallbackReturnType
            return kinds.SOLVER_TERMINATE_SUCCESSFULLY if enough else kinds.SOLVER_CONTINUE

    problem, stepped = pyceres.Problem(), Stepped()
    observations = [Observation(seen) for seen in data.seen.tolist()]
    for observation, camera, point in zip(observations, data.cams.tolist(), data.pts.tolist(), strict=True):
        problem.add_residual_block(observation, None, [cameras[camera], points[point]])
    options = pyceres.SolverOptions()
    options.linear_solver_type = pyceres.LinearSolverType.DENSE_SCHUR
    options.num_threads, options.max_num_iterations = 1, 200
    options.function_tolerance = 1e-12
    options.minimizer_progress_to_stdout = False
    options.callbacks = [stepped]
    pyceres.solve(options, problem, pyceres.SolverSummary())


def peers(name):
    """The runs that are compared on a fit of that name."""
    kind = name.split("_")[0]
    found = [least_squares, minimize, lbfgs]
    if kind == "movielens":
        found.append(als)
    if kind == "bundle":
        found.append(scipy_csr)
        if find_spec("pyceres"):
            found += [ceres, ceres_linear]
    return found
