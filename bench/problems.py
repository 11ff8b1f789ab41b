"""The problems of `test_products`, `test_calls` and `report`, each with what one writes for it by hand in NumPy.

By hand, a product has two parts. `point` is what an evaluation leaves behind: the values and slopes that products
need, computed once, without the function's last value where no product needs that. From there go the products, the
fastest way first; what depends on the pattern of some entries alone is made with the problem. `check` compares them
with the function at a complex step, and matjac's with both.
"""

import numpy as np
import scipy.sparse as sp
from floors import write

import matjac as mj


class Problem:
    """A function of one or more matrices, a point, and its products by hand."""

    name: str
    #: how many times the time by hand a point and a product may take
    asked = 1.5
    #: methods that are its products by hand, the fastest first
    jvps: tuple[str, ...] = ("jvp",)
    vjps: tuple[str, ...] = ("vjp",)

    def __init__(self, *shapes, scale=1.0):
        self.args = tuple(scale * np.random.default_rng(k).standard_normal(shape) for k, shape in enumerate(shapes))
        ends = np.cumsum([a.size for a in self.args]).tolist()
        self.parts = [(slice(e - a.size, e), a.shape) for e, a in zip(ends, self.args, strict=True)]
        self.x = np.concatenate([a.ravel() for a in self.args])
        self.out_shape = np.shape(self.fun(*self.args))

    def fun(self, *args):
        raise NotImplementedError

    def steps(self, *args):
        """The values of the function's steps as `fun` writes them, the last of which is the function's."""
        raise NotImplementedError

    def point(self, *args):
        raise NotImplementedError

    def compile(self):
        return mj.compile(self.fun, *(a.shape for a in self.args))

    def unpack(self, x):
        return [x[part].reshape(shape) for part, shape in self.parts]

    def pack(self, args):
        return args[0].ravel() if len(args) == 1 else np.concatenate([a.ravel() for a in args])

    def directions(self):
        """A v and a u to multiply with, flat."""
        rng = np.random.default_rng(100)
        return rng.standard_normal(self.x.size), rng.standard_normal(self.out_shape).ravel()

    def forward(self, v, jvp="jvp"):
        """The point and one J v by hand, from flat to flat."""
        return getattr(self, jvp)(self.point(*self.args), *self.unpack(v)).ravel()

    def backward(self, u, vjp="vjp"):
        """The point and one Jᵀ u by hand, from flat to flat."""
        return self.pack(getattr(self, vjp)(self.point(*self.args), u.reshape(self.out_shape)))


class Network(Problem):
    """tanh(X W₁) W₂ by both W."""

    def __init__(self, rows=20_000, inputs=50, units=50, outputs=3):
        self.name = f"network {rows:,} × {inputs} × {units} × {outputs}"
        self.X = np.random.default_rng(50).standard_normal((rows, inputs))
        #: entries of the Jacobian: of a row, all of W₁ and one column of W₂
        self.entries = rows * outputs * (inputs * units + units)
        super().__init__((inputs, units), (units, outputs), scale=0.2)

    def fun(self, W1, W2):
        return np.tanh(self.X @ W1) @ W2

    def steps(self, W1, W2):
        A = self.X @ W1
        H = np.tanh(A)
        return A, H, H @ W2

    def point(self, W1, W2):
        H = np.tanh(self.X @ W1)
        return W2, H, 1 - H * H

    def jvp(self, point, dW1, dW2):
        W2, H, slopes = point
        return (slopes * (self.X @ dW1)) @ W2 + H @ dW2

    def vjp(self, point, u):
        W2, H, slopes = point
        return self.X.T @ (slopes * (u @ W2.T)), H.T @ u


class Chain(Problem):
    """tanh(Z Zᵀ) Z, where a Jacobian's entries would be n⁴."""

    def __init__(self, n=200):
        self.name = f"tanh(Z Zᵀ) Z, n = {n}"
        super().__init__((n, n), scale=n**-0.5)

    def fun(self, Z):
        return np.tanh(Z @ Z.T) @ Z

    def steps(self, Z):
        K = Z @ Z.T
        T = np.tanh(K)
        return K, T, T @ Z

    def point(self, Z):
        T = np.tanh(Z @ Z.T)
        return Z, T, 1 - T * T

    def jvp(self, point, dZ):
        Z, T, slopes = point
        P = dZ @ Z.T
        return (slopes * (P + P.T)) @ Z + T @ dZ

    def vjp(self, point, u):
        Z, T, slopes = point
        G = slopes * (u @ Z.T)
        return ((G + G.T) @ Z + T.T @ u,)


class Gram(Problem):
    """RᵀR."""

    def __init__(self, m=100, n=300):
        self.name = f"RᵀR, {m} × {n}"
        super().__init__((m, n))

    def fun(self, R):
        return R.T @ R

    def steps(self, R):
        return (R.T @ R,)

    def point(self, R):
        return R

    def jvp(self, R, dR):
        P = R.T @ dR
        return P + P.T

    def vjp(self, R, u):
        return (R @ (u + u.T),)


class Masked(Problem):
    """Some entries of U Vᵀ, in no order."""

    jvps = "jvp", "jvp_gathered"
    vjps = "vjp", "vjp_bincount", "vjp_add_at"

    def __init__(self, m=943, n=1682, entries=100_000, rank=20):
        self.name = f"(U Vᵀ)[rows, cols], {m} × {n} × {rank}, {entries:,} entries"
        self.taken = np.random.default_rng(50).choice(m * n, entries, replace=False)
        self.rows, self.cols = np.divmod(self.taken, n)
        # the entries' places row by row, made once: a sparse matrix of u is then u[places] on these index arrays
        places = sp.csr_array((np.arange(entries), (self.rows, self.cols)), shape=(m, n))
        self.places, self.pattern, self.shape = places.data, (places.indices, places.indptr), (m, n)
        super().__init__((m, rank), (n, rank))

    def fun(self, U, V):
        return (U @ V.T)[self.rows, self.cols]

    def steps(self, U, V):
        K = U @ V.T
        return K, K[self.rows, self.cols]

    def point(self, U, V):
        return U, V

    def jvp(self, point, dU, dV):
        # both terms in one product, of all entries: one in 16 is taken, and it is still faster than gathering rows
        U, V = point
        return (np.hstack([U, dU]) @ np.hstack([dV, V]).T).take(self.taken)

    def jvp_gathered(self, point, dU, dV):
        (U, V), rows, cols = point, self.rows, self.cols
        return np.einsum("ij,ij->i", U[rows], dV[cols]) + np.einsum("ij,ij->i", dU[rows], V[cols])

    def vjp(self, point, u):
        U, V = point
        S = sp.csr_array((u[self.places], *self.pattern), shape=self.shape)
        return S @ V, S.T @ U

    def vjp_bincount(self, point, u):
        U, V = point
        by_U, by_V = u[:, None] * V[self.cols], u[:, None] * U[self.rows]
        return (
            np.stack([np.bincount(self.rows, column, len(U)) for column in by_U.T], axis=1),
            np.stack([np.bincount(self.cols, column, len(V)) for column in by_V.T], axis=1),
        )

    def vjp_add_at(self, point, u):
        U, V = point
        dU, dV = np.zeros_like(U), np.zeros_like(V)
        np.add.at(dU, self.rows, u[:, None] * V[self.cols])
        np.add.at(dV, self.cols, u[:, None] * U[self.rows])
        return dU, dV


class Stack(Problem):
    """X Xᵀ of each matrix of a stack."""

    asked = 3

    def __init__(self, count=2_000, m=4, k=3):
        self.name = f"X Xᵀ of {count:,} matrices {m} × {k}"
        #: an entry (i, j) depends on two rows, one on the diagonal on one
        self.entries = count * (m * (m - 1) * 2 * k + m * k)
        super().__init__((count, m, k))

    def fun(self, X):
        return X @ X.transpose(0, 2, 1)

    def steps(self, X):
        return (X @ X.transpose(0, 2, 1),)

    def point(self, X):
        return X

    def jvp(self, X, dX):
        P = dX @ X.transpose(0, 2, 1)
        return P + P.transpose(0, 2, 1)

    def vjp(self, X, u):
        return ((u + u.transpose(0, 2, 1)) @ X,)


class Bundle(Problem):
    """Points seen by cameras, T p for each observation, in three spellings; by hand, the Jacobian's entries."""

    spellings = ("einsum", "matmul", "sum")

    def __init__(self, spelling="einsum", observations=2_000, cameras=20, points=400):
        self.name, self.spelling = f"bundle adjustment, {observations:,} observations", spelling
        rng = np.random.default_rng(50)
        self.cams, self.pts = rng.integers(cameras, size=observations), rng.integers(points, size=observations)
        self.entries = observations * 3 * 6
        super().__init__((cameras, 3, 3), (points, 3))
        i = np.arange(3)
        by_T = 9 * self.cams[:, None, None] + 3 * i[:, None] + i
        by_P = np.broadcast_to(9 * cameras + 3 * self.pts[:, None, None] + i, by_T.shape)
        self.indices = np.concatenate([by_T, by_P], axis=2).ravel().astype(np.int32)
        self.indptr = np.arange(0, self.indices.size + 1, 6, dtype=np.int32)

    def fun(self, T, P):
        cams, pts = self.cams, self.pts
        if self.spelling == "einsum":
            return np.einsum("oij,oj->oi", T[cams], P[pts])
        if self.spelling == "matmul":
            return T[cams] @ P[pts][:, :, None]
        return np.sum(T[cams] * P[pts][:, None, :], axis=2)

    def jac_csr(self, x):
        T, P = self.unpack(x)
        data = np.empty((self.cams.size, 3, 6))
        data[:, :, :3] = P[self.pts][:, None]
        data[:, :, 3:] = T[self.cams]
        return sp.csr_array((data.ravel(), self.indices, self.indptr), shape=(3 * self.cams.size, x.size))


class Weighted(Problem):
    """‖W ∘ (U Vᵀ − Y)‖², a number, and its gradient by hand."""

    def __init__(self, m=200, rank=8, n=150):
        self.name = f"‖W ∘ (U Vᵀ − Y)‖², {m} × {rank} × {n}"
        rng = np.random.default_rng(50)
        self.W, self.Y = rng.random((m, n)), rng.standard_normal((m, n))
        super().__init__((m, rank), (n, rank))

    def fun(self, U, V):
        return np.sum((self.W * (U @ V.T - self.Y)) ** 2)

    def gradient(self, U, V):
        E = self.W * (U @ V.T - self.Y)
        G = 2 * self.W * E
        return G @ V, G.T @ U

    def grad(self, x):
        return self.pack(self.gradient(*self.unpack(x)))


#: whose products are compared
PRODUCTS = {"network": Network, "chain": Chain, "gram": Gram, "masked": Masked, "stack": Stack}
#: whose entries are filled again
FILLS = {
    "stack 2,000 of 4 x 3": Stack,
    "stack 200,000 of 4 x 3": lambda: Stack(200_000),
    "stack 2,000 of 40 x 30": lambda: Stack(2_000, 40, 30),
    "network": Network,
}
#: on which whole calls are timed
TINY = {
    "gram": lambda: Gram(2, 3),
    "masked": lambda: Masked(3, 4, 5, 2),
    "network": lambda: Network(4, 3, 2, 2),
}
#: how many times as long as one csr_array a call may take
CALLS = {
    "F(X)": None,
    "F.jac_csr(x)": 4,
    "F.jac(x) @ v": 3,
    "J.tocsr(out=A)": 1.5,
    "F.grad(x) of a sum of squares": None,
}
#: entries from which a fill is tried only where so many bytes are free
LARGE, BYTES = 5 * 10**7, 8 * 10**9


def product_tasks(problem, F, kind):
    """A point and one product, "J v" or "J.T u": matjac's under its name, then those by hand."""
    v, u = problem.directions()
    if kind == "J v":
        tasks = {"matjac": lambda: F.jacobian(*problem.args) @ v}
        return tasks | {way: lambda way=way: problem.forward(v, way) for way in problem.jvps}
    tasks = {"matjac": lambda: F.jacobian(*problem.args).T @ u}
    return tasks | {way: lambda way=way: problem.backward(u, way) for way in problem.vjps}


def refill_tasks(problem, F, A):
    """Values into a matrix that has been filled before: `fill` of one Jacobian, a whole call at a point, the floor."""
    J = F.jac(problem.x)
    return {
        "J.fill(data)": lambda: J.fill(A.data),
        "F.jac_csr(x, out=A)": lambda: F.jac_csr(problem.x, out=A),
        "floor": lambda: write(A.data),
    }


def call_tasks(problem):
    """The calls of `CALLS`, and one csr_array of ready arrays."""
    F = problem.compile()
    S = mj.compile(lambda *args: np.sum(problem.fun(*args) ** 2), *(a.shape for a in problem.args))
    (v, _), x, args = problem.directions(), problem.x, problem.args
    A, J = F.jac_csr(x), F.jac(x)
    data, indices, indptr, shape = A.data, A.indices, A.indptr, A.shape
    tasks = (
        lambda: F(*args),
        lambda: F.jac_csr(x),
        lambda: F.jac(x) @ v,
        lambda: J.tocsr(out=A),
        lambda: S.grad(x),
    )
    return {"csr_array": lambda: sp.csr_array((data, indices, indptr), shape=shape)} | dict(
        zip(CALLS, tasks, strict=True)
    )


def free_memory():
    """Bytes that can be had, or None where the system doesn't say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return None


def too_large(problem):
    """Why a problem's entries should not be made here, or an empty string."""
    free = free_memory()
    if problem.entries < LARGE or (free is not None and free >= BYTES):
        return ""
    known = "an unknown amount is" if free is None else f"{free / 1e9:.1f} GB are"
    return f"{problem.entries:,} entries: wants {BYTES / 1e9:.0f} GB of free memory, {known} free"


def at_complex_step(problem, v):
    """J v to rounding, by one evaluation of the function beside the point in the imaginary direction."""
    step = 1e-30
    moved = [a + 1j * step * d for a, d in zip(problem.args, problem.unpack(v), strict=True)]
    return np.ravel(np.imag(problem.fun(*moved)) / step)


def close(got, expected):
    got, expected = np.ravel(got), np.ravel(expected)
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-10 * max(1.0, np.abs(expected).max()))


def check(problem, J=None):
    """By hand against the function itself; and a Jacobian's products against both."""
    v, u = problem.directions()
    forward, backward = at_complex_step(problem, v), problem.backward(u)
    close(problem.steps(*problem.args)[-1], problem.fun(*problem.args))
    for way in problem.jvps:
        close(problem.forward(v, way), forward)
    # ⟨u, J w⟩ = ⟨Jᵀ u, w⟩ for whatever w
    for seed in range(3):
        w = np.random.default_rng(seed).standard_normal(v.size)
        close(backward @ w, u @ at_complex_step(problem, w))
    for way in problem.vjps:
        close(problem.backward(u, way), backward)
    if J is not None:
        close(J @ v, forward)
        close(J.T @ u, backward)


def check_gradient(problem):
    """The gradient by hand against the function itself."""
    gradient = problem.grad(problem.x)
    for seed in range(3):
        w = np.random.default_rng(seed).standard_normal(problem.x.size)
        close(gradient @ w, at_complex_step(problem, w))
