"""The row space of a Jacobian, by dense or sparse factors, or products: its rank, and ``gᵀ (JᵀJ)⁺ h`` for g, h in it.

For g in the row space ``gᵀ A⁻ h`` is the same number for each generalised inverse A⁻ of A = JᵀJ, the pseudo-inverse
among them, so each way takes the one that costs it least. All are in the scale of J's columns.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, lsmr, splu

from matjac.conventions import Array, parts
from matjac.elimination import require_factors
from matjac.extras import optional
from matjac.jacobian import Jacobian
from matjac.solvers.normal_equations import BACKENDS
from matjac.solvers.precondition import block_views, direct
from matjac.solvers.steps import factors_stay_sparse
from matjac.solvers.ways import EACH, MOST, pattern

#: Unknowns up to which singular values are found, and numbers of a block of rows that are dense at once.
DENSE, BLOCK = 1500, 2**23
#: Around the tolerance of the rank, how far a singular value is looked at, and the gap that is to be there.
WINDOW, GAP = 1e3, 100.0
#: The least part of a gradient outside the row space that is no rounding, and the most that may be taken for it.
LEAK, MOST_LEAK = 1e-8, 1e-4
#: The shifts of a matrix with a diagonal of ones, beside which its factors are compared.
SHIFTS = 1e-12, 1e-10
#: The largest ``‖Jn‖ / ‖n‖`` along a direction that is called free, where columns of J have norm one.
FREE = 1e-12
#: Of diagonal blocks of JᵀJ with a diagonal of ones: eigenvalues that are zero, and what is added to all of them.
ZERO, DAMPING = 1e-12, 1e-3
#: Times that sparse factors are used for one system.
REFINED = 6
#: Directions that are tried at once, at most, and iterations of one system, where there are products alone.
PROBES, ITERATIONS = 128, 20_000


class RowSpace(ABC):
    """The row space of one Jacobian."""

    #: what a result calls the way
    name: str
    #: the rank of J
    rank: int
    #: how large a part of a gradient may be outside, by rounding
    tolerance = LEAK

    @abstractmethod
    def halves(self, G: Array) -> tuple[Array, Array]:
        """For gradients, the columns of G, W with ``WᵀW = Gᵀ (JᵀJ)⁺ G``, and which part of each is outside."""

    @abstractmethod
    def direction(self, g: Array) -> Array:
        """A free direction along which g changes, in the columns' scale."""

    @property
    def height(self) -> int:
        """How many rows `halves` have."""
        return self.rank


class Dense(RowSpace):
    """By the singular values of J, its columns scaled to norm one.

    Those up to ``max(m, n) · eps`` of the largest are zero. Where one is near that, the widest gap there decides, if it
    is a factor of 100 or more; otherwise the rank is not clear, and is refused.
    """

    name = "singular values"

    def __init__(self, J: Jacobian, rtol: float | None) -> None:
        R = _triangle(J)
        self._scale = _norms(np.linalg.norm(R, axis=0))
        _, values, V = np.linalg.svd(R / self._scale, full_matrices=True)
        eps = float(np.finfo(J.dtype).eps)
        self.rank = _rank(values, max(J.shape) * eps if rtol is None else rtol, asked=rtol is not None)
        self._row, self._null, self._values = V[: self.rank], V[self.rank :], values[: self.rank]
        if self.rank and rtol is None:
            condition = values[0] / values[self.rank - 1]
            self.tolerance = min(MOST_LEAK, max(LEAK, 100 * eps * condition))

    def halves(self, G: Array) -> tuple[Array, Array]:
        scaled = G / self._scale[:, None]
        return (self._row @ scaled) / self._values[:, None], _part(self._null @ scaled, scaled)

    def direction(self, g: Array) -> Array:
        return (self._null @ (g / self._scale)) @ self._null  # type: ignore[no-any-return]


class Sparse(RowSpace):
    """By sparse factors of JᵀJ without the columns that depend on others, by QDLDL where it is installed, or SuperLU.

    Which depend is told by factors LDLᵀ of JᵀJ with two small shifts of its diagonal: the pivots of such columns grow
    in proportion to the shift, others don't grow. What is found so is checked by products with J: the directions that
    are called free leave it unchanged.
    """

    name = "sparse factors"

    def __init__(self, J: Jacobian) -> None:
        matrix = J.tocsr().astype(float)
        squares = np.bincount(matrix.indices, matrix.data**2, matrix.shape[1])
        self._scale = _norms(np.sqrt(squares))
        self._J = (matrix @ sp.diags_array(1 / self._scale)).tocsr()
        self._transposed = self._J.T.tocsr()
        dependent = squares == 0
        some = np.flatnonzero(~dependent)
        normal = (self._transposed @ self._J).tocsc()[:, some][some]
        low, high = (_Factors(normal, shift).pivots for shift in SHIFTS)
        growth = high / low
        dependent[some] = growth > np.sqrt(SHIFTS[1] / SHIFTS[0])
        unclear = growth[(growth > 2) & (growth < SHIFTS[1] / SHIFTS[0] / 2)]
        if unclear.size or not np.all(low > 0):
            raise ValueError(_unclear("pivots of JᵀJ are as small as rounding errors"))
        self._kept, self._left = np.flatnonzero(~dependent), np.flatnonzero(dependent)
        self.rank = self._kept.size
        inner = normal if not dependent[some].any() else normal[:, ~dependent[some]][~dependent[some]]
        self._factors = _Factors(inner, 0.0)
        if self._left.size:
            # a combination of all free directions is free if all are
            w = np.random.default_rng(0).standard_normal(self._left.size)
            n = self._along(w)
            change = float(np.linalg.norm(self._J @ n) / np.linalg.norm(n))
            if change > FREE * max(1.0, np.finfo(J.dtype).eps / np.finfo(float).eps):
                raise ValueError(_unclear(f"along directions that seem to be free J changes by {change:.1g}"))

    @property
    def height(self) -> int:
        return int(self._J.shape[0])

    def halves(self, G: Array) -> tuple[Array, Array]:
        scaled = G / self._scale[:, None]
        W, outside = np.zeros((self.height, G.shape[1])), scaled
        for _ in range(REFINED):
            # of what is in the row space the rest falls to rounding, as fast as the factors are exact
            W += self._J @ self._solve(outside)
            outside = scaled - self._transposed @ W
            unsolved = _part(outside[self._kept], scaled).max(initial=0.0)
            if unsolved <= self.tolerance / 1e4:
                break
        if not unsolved <= self.tolerance:
            raise ValueError(_unclear(f"sparse factors leave {unsolved:.1g} of a system with JᵀJ"))
        return W, _part(outside, scaled)

    def direction(self, g: Array) -> Array:
        scaled = (g / self._scale)[:, None]
        outside = scaled - self._transposed @ (self._J @ self._solve(scaled))
        return self._along(outside[self._left, 0])

    def _solve(self, G: Array) -> Array:
        """Z of which the rows of columns left out are zero."""
        Z = np.zeros(G.shape)
        Z[self._kept] = self._factors.solve(G[self._kept])
        return Z

    def _along(self, w: Array) -> Array:
        """The free direction that has the entries w in the columns left out."""
        n = np.zeros(self._scale.size)
        n[self._left] = w
        for _ in range(3):
            n -= self._solve((self._transposed @ (self._J @ n))[:, None])[:, 0]
        return n


class Products(RowSpace):
    """By LSMR, preconditioned by the diagonal blocks of JᵀJ, or by the norms of J's columns.

    Directions that are free within a block (a row of U that is seen less often than it has entries) are told by its
    eigenvalues, and held. What least squares leave of random directions spans the other free ones, which are counted
    so. Then ``Jᵀ u = g`` is solved for the shortest u, whose squared length is ``gᵀ (JᵀJ)⁺ g``.
    """

    name = "products"

    def __init__(self, J: Jacobian) -> None:
        n, random = J.shape[1], np.random.default_rng(0)
        self._inner, self._scale = J, _Blocks(J) if direct(J) else _Columns(J)
        limit = 10 * FREE * max(1.0, float(np.finfo(J.dtype).eps / np.finfo(float).eps))
        held, self._held = self._scale.free, np.zeros(n, bool)
        if held.any() and self._change(held * random.standard_normal(n)) <= limit:
            self._held = held
        self._J = LinearOperator(J.shape, matvec=self._product, rmatvec=self._transposed, dtype=float)
        inside, count, left = n - int(np.count_nonzero(self._held)), 8, np.zeros((n, 0))
        while True:
            new = [self._remainder(~self._held * random.standard_normal(n)) for _ in range(count - left.shape[1])]
            left = np.column_stack([left, *new])
            basis, values, _ = np.linalg.svd(left, full_matrices=False)
            free = int(np.count_nonzero(values > 1e-6))
            if free < min(count, inside) or inside == free:
                break
            if count >= PROBES:
                raise ValueError(
                    f"F: got a Jacobian with more than {count} free directions beside those of single rows or columns "
                    f"of unknowns, expected fewer for {n} unknowns whose Jacobian has no sparse factors"
                )
            count *= 2
        self.rank = inside - free
        # where they are not free to rounding, once more: what is left of the others falls again
        again = [v if self._change(v) <= FREE else self._remainder(v) for v in basis[:, :free].T]
        self._null = np.linalg.qr(np.array(again).reshape(free, n).T)[0]
        change = max((self._change(v) for v in self._null.T), default=0.0)
        if change > limit:
            raise ValueError(_unclear(f"along directions that seem to be free J changes by {change:.1g}"))

    @property
    def height(self) -> int:
        return int(self._J.shape[0])

    def halves(self, G: Array) -> tuple[Array, Array]:
        W, outsides = np.empty((self._J.shape[0], G.shape[1])), np.empty(G.shape[1])
        for at, g in enumerate(G.T):
            scaled = self._scale.right_transposed(np.ascontiguousarray(g))
            outside = self._outside(scaled)
            W[:, at] = _least(self._J.T, scaled - outside)
            outsides[at] = _part(outside[:, None], scaled[:, None])[0]
        return W, outsides

    def direction(self, g: Array) -> Array:
        return self._scale.right(self._outside(self._scale.right_transposed(g)))

    def _product(self, y: Array) -> Array:
        return self._inner @ self._scale.right(~self._held * np.ravel(y))

    def _transposed(self, u: Array) -> Array:
        return ~self._held * self._scale.right_transposed(self._inner.T @ np.ravel(u))

    def _change(self, v: Array) -> float:
        return float(np.linalg.norm(self._inner @ self._scale.right(v)) / np.linalg.norm(v))

    def _outside(self, scaled: Array) -> Array:
        """The part of a scaled gradient in the null space."""
        return np.where(self._held, scaled, self._null @ (self._null.T @ scaled))

    def _remainder(self, v: Array) -> Array:
        return v - _least(self._J, self._J @ v)


class _Columns:
    """A scale of J's columns: ``J right`` has columns of norm one, save those that are `free`, which are zero."""

    def __init__(self, J: Jacobian) -> None:
        norms = np.asarray(J.column_norms(), float)
        self.free, self._scale = norms == 0, _norms(norms)

    def right(self, y: Array) -> Array:
        return y / self._scale

    right_transposed = right


class _Blocks:
    """The same by the eigenvectors of J's diagonal normal blocks: ``J right`` is nearly orthonormal in each block."""

    def __init__(self, J: Jacobian) -> None:
        blocks = J.normal_blocks()
        self._views = partial(block_views, parts(J.in_shape), None, J.order)
        self.free, self._maps = np.zeros(J.shape[1], bool), []
        for B, free in zip(blocks if isinstance(blocks, tuple) else (blocks,), self._views(self.free), strict=True):
            scale = _norms(np.sqrt(np.einsum("nii->ni", B).astype(float)))
            values, vectors = np.linalg.eigh(B / scale[:, :, None] / scale[:, None, :])
            free[:] = values <= ZERO
            # small ones are damped: their inverses would magnify rounding
            self._maps.append(vectors / scale[:, :, None] / np.sqrt(np.maximum(values, 0.0) + DAMPING)[:, None, :])

    def right(self, y: Array) -> Array:
        return self._each("nij,nj->ni", y)

    def right_transposed(self, x: Array) -> Array:
        return self._each("nij,ni->nj", x)

    def _each(self, product: str, x: Array) -> Array:
        found = np.empty(x.size)
        for M, given, made in zip(self._maps, self._views(x), self._views(found), strict=True):
            made[:] = np.einsum(product, M, given)
        return found


class _Factors:
    """LDLᵀ of a symmetric matrix with a shift of its diagonal; `pivots` are D, a number for each column."""

    _solve: Callable[[Array], Array]

    def __init__(self, matrix: Any, shift: float) -> None:
        n = matrix.shape[0]
        lifted = sp.csc_matrix(matrix + shift * sp.eye_array(n, format="csc")) if shift else sp.csc_matrix(matrix)
        if n == 0:
            self.pivots, self._solve = np.zeros(0), lambda G: G
            return
        require_factors(lifted)
        try:
            qdldl = optional(BACKENDS["qdldl"], "matjac[qdldl]")
        except ImportError:
            factors = splu(lifted, "MMD_AT_PLUS_A", 0.0, options={"SymmetricMode": True})
            self.pivots = factors.U.diagonal()[factors.perm_c]
            self._solve = factors.solve
            return
        solver = qdldl.Solver(lifted)
        _, found, places = solver.factors()
        self.pivots = np.empty(n)
        self.pivots[places] = found
        self._solve = lambda G: np.column_stack([solver.solve(np.ascontiguousarray(g)) for g in G.T])

    def solve(self, G: Array) -> Array:
        """The solutions for right-hand sides, the columns of G."""
        return self._solve(G)


def row_space(J: Jacobian, rtol: float | None = None) -> RowSpace:
    """The row space of J in the way that is affordable."""
    n = J.shape[1]
    if n <= DENSE:
        return Dense(J, rtol)
    if rtol is not None:
        raise ValueError(f"rtol: got {rtol} for {n} unknowns, expected it for {DENSE} or fewer")
    if J.nnz <= min(MOST, EACH * n) and factors_stay_sparse(pattern(J)):
        try:
            return Sparse(J)
        except ValueError:
            # products tell from zero what is lost in the squares
            return Products(J)
    return Products(J)


def _triangle(J: Jacobian) -> Array:
    """An upper triangle R with ``RᵀR = JᵀJ``, J itself where it has no more rows than columns."""
    rows, n = J.shape
    if rows <= n:
        return J.toarray().astype(float)
    R, each = np.zeros((0, n)), max(n, BLOCK // max(n, 1))
    for start in range(0, rows, each):
        block = J.rows(start, min(start + each, rows)).toarray().astype(float)
        R = scipy.linalg.qr(np.concatenate([R, block]), mode="r", overwrite_a=True, check_finite=False)[0][:n]
    return R


def _rank(values: Array, relative: float, asked: bool) -> int:
    """How many singular values are not zero."""
    if not values.size or values[0] == 0:
        return 0
    limit = relative * values[0]
    rank = int(np.count_nonzero(values > limit))
    if asked or values[rank - 1] > WINDOW * limit:
        return rank
    # rounding in J itself may lift zeros above the limit: the widest gap about it decides
    near = [k for k in range(1, values.size + 1) if k <= rank and values[k - 1] < WINDOW * limit]
    ends = np.append(values, 0.0)
    places = np.array([near[0] - 1, *near]) if near[0] > 1 else np.array(near)
    gaps = ends[places - 1] / np.maximum(ends[places], limit / WINDOW)
    best = int(np.argmax(gaps))
    if gaps[best] < GAP:
        smallest = ", ".join(f"{value / values[0]:.1g}" for value in values[places - 1][-4:])
        raise ValueError(_unclear(f"of its singular values, beside the largest, there are {smallest}, without a gap"))
    return int(places[best])


def _unclear(what: str) -> str:
    return (
        f"F: got a Jacobian whose rank is not clear: {what}; expected directions that are free, or not, beyond "
        f"rounding. Fix or remove unknowns that the residuals hardly determine, or, of {DENSE} or fewer unknowns, say "
        "by rtol= which singular values, beside the largest, are zero"
    )


def _least(A: Any, b: Array) -> Array:
    """The shortest least-squares solution, to rounding."""
    if not b.any():
        return np.zeros(A.shape[1])
    x, stop, *_ = lsmr(A, b, atol=1e-14, btol=1e-14, conlim=0, maxiter=ITERATIONS)
    if stop == 7:
        raise ValueError(_unclear(f"{ITERATIONS} iterations did not solve a system with it"))
    return x  # type: ignore[no-any-return]


def _norms(norms: Array) -> Array:
    return np.where(norms > 0, norms, 1.0)


def _part(outside: Array, whole: Array) -> Array:
    """How large columns are beside others."""
    lengths = np.linalg.norm(whole, axis=0)
    return np.linalg.norm(outside, axis=0) / np.where(lengths > 0, lengths, 1.0)  # type: ignore[no-any-return]
