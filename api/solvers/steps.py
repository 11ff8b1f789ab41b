"""Newton's and damped steps for systems of equations: by a dense or sparse factorisation, or by products alone."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.linalg import lapack
from scipy.sparse.csgraph import reverse_cuthill_mckee
from scipy.sparse.linalg import LinearOperator, gmres, lsmr, splu

from matjac.conventions import Array
from matjac.flat import Flat
from matjac.jacobian import Jacobian
from matjac.solvers import damped

#: Unknowns up to which sparse factors are not worth a look.
TINY = 50
#: Unknowns up to which a dense factorisation costs no more than what it would take to look for better.
SMALL = 300
#: Unknowns up to which one is affordable.
AFFORDABLE = 6000
#: Entries of sparse factors that are affordable.
FILL = 10**8
#: Products between restarts, and those of one step: alone, where a factorisation is at hand, and preconditioned by one.
RESTART, PATIENT, BRIEF, PRECONDITIONED = 50, 400, 100, 20


class Steps(ABC):
    """Steps from a point: the Jacobian there, and the systems that are solved with it."""

    #: what a result calls it
    name: str

    def __init__(self, F: Flat, in_time: Callable[[], None]) -> None:
        self.F, self.in_time = F, in_time
        #: what multiplies, and the norms of its columns
        self.J: Any = None
        self.lengths = np.zeros(F.variables.size)
        #: the largest norms of the columns at any point, or 1: one that shrinks must not lengthen damped steps
        self.D = np.ones(F.variables.size)

    def at(self, x: Array) -> None:
        """Go to x."""
        self.in_time()
        self.x, self.J = x, self.matrix(x)
        lengths = self.norms()
        self.D = np.maximum(self.D, lengths) if self.lengths.any() else np.where(lengths > 0, lengths, 1.0)
        self.lengths = lengths

    @abstractmethod
    def matrix(self, x: Array) -> Any:
        """The Jacobian at x."""

    @abstractmethod
    def norms(self) -> Array:
        """The norms of J's columns."""

    @abstractmethod
    def newton(self, y: Array, rtol: float) -> Array | None:
        """p with ‖J p + y‖ ≤ rtol ‖y‖, or less exact where that can't be had; None where J is singular."""

    @abstractmethod
    def damped(self, y: Array, damping: float) -> Array:
        """The p that minimises ‖J p + y‖² + damping ‖D p‖²."""


class Dense(Steps):
    """LU factors by LAPACK."""

    name = "newton-dense"

    def matrix(self, x: Array) -> Any:
        return self.F.jac(x).toarray().astype(float, copy=False)

    def newton(self, y: Array, rtol: float) -> Array | None:
        return self.solve(-y) if self.factorize() else None

    def factorize(self) -> bool:
        """Factorise J; whether it is regular."""
        # the transpose is laid out as LAPACK wants it
        self._factors, self._pivots, singular = lapack.dgetrf(self.J.T)
        return not singular

    def solve(self, b: Array) -> Array:
        """J⁻¹ b, with the last factors."""
        return lapack.dgetrs(self._factors, self._pivots, b, trans=1)[0]  # type: ignore[no-any-return]

    def damped(self, y: Array, damping: float) -> Array:
        return _damped(damped.Dense(), self, y, damping)

    def norms(self) -> Array:
        return np.linalg.norm(self.J, axis=0)  # type: ignore[no-any-return]


class Sparse(Steps):
    """Sparse LU factors by SuperLU."""

    name = "newton-sparse"

    def matrix(self, x: Array) -> Any:
        return self.F.jac_csr(x)

    def newton(self, y: Array, rtol: float) -> Array | None:
        try:
            return sparse_lu(self.J)(-y)
        except np.linalg.LinAlgError:
            return None

    def damped(self, y: Array, damping: float) -> Array:
        return _damped(damped.Sparse(), self, y, damping)

    def norms(self) -> Array:
        return np.sqrt((self.J * self.J).sum(axis=0))  # type: ignore[no-any-return]


class Krylov(Steps):
    """GMRES with products alone; where it is slow, preconditioned by dense factors of a point before."""

    name = "newton-krylov"

    def __init__(self, F: Flat, in_time: Callable[[], None], dense: Dense | None = None) -> None:
        super().__init__(F, in_time)
        self.dense, self.factorised = dense, False

    def matrix(self, x: Array) -> Any:
        return self.F.jac(x)

    def newton(self, y: Array, rtol: float) -> Array | None:
        M = None
        if self.dense is not None and self.factorised:
            M = LinearOperator(self.J.shape, self.dense.solve, dtype=float)
        budget = PRECONDITIONED if M is not None else PATIENT if self.dense is None else BRIEF
        restart = min(RESTART if self.dense is None else budget, y.size)
        p, missed = gmres(self._timed(), -y, rtol=rtol, restart=restart, maxiter=-(-budget // restart), M=M)
        if not missed or self.dense is None:
            return p if np.isfinite(p).all() else None
        self.dense.at(self.x)
        self.factorised = self.dense.factorize()
        if not self.factorised:
            return None
        self.name = "newton-krylov, preconditioned by dense factors"
        return self.dense.solve(-y)

    def damped(self, y: Array, damping: float) -> Array:
        if self.dense is not None:
            self.dense.at(self.x)
            return self.dense.damped(y, damping)
        found = lsmr(self._timed(), -y, damp=np.sqrt(damping) * self.D[0], atol=1e-3, btol=1e-3, maxiter=PATIENT)
        return found[0]  # type: ignore[no-any-return]

    def norms(self) -> Array:
        # one number for all, of the size of J: its columns' norms may need its entries
        v = np.cos(np.arange(self.J.shape[1]))
        return np.full(v.size, np.linalg.norm(self.J @ v) / np.linalg.norm(v))

    def _timed(self) -> LinearOperator:
        """J, as long as there is time."""

        def product(v: Array) -> Array:
            self.in_time()
            return self.J.matvec(np.ravel(v))  # type: ignore[no-any-return]

        def adjoint(u: Array) -> Array:
            self.in_time()
            return self.J.rmatvec(np.ravel(u))  # type: ignore[no-any-return]

        return LinearOperator(self.J.shape, product, adjoint, dtype=float)


def _damped(way: damped.Damped, steps: Steps, y: Array, damping: float) -> Array:
    way.take(steps.J)
    return way.solve(steps.J.T @ y, damping * steps.D**2)


def sparse_lu(matrix: Any) -> Callable[[Array], Array]:
    """The function b → A⁻¹ b of a csr_array A; a singular one raises LinAlgError."""
    if not np.isfinite(matrix.data).all():
        raise np.linalg.LinAlgError("Jacobian: entries are not finite")
    # its rows are the columns of the transpose, whose factors serve as well
    transposed = sp.csc_array((matrix.data.astype(float), matrix.indices, matrix.indptr), shape=matrix.shape[::-1])
    try:
        factors = splu(transposed)
    except RuntimeError as error:
        raise np.linalg.LinAlgError(f"Jacobian: {error}") from None
    return lambda b: factors.solve(b, "T")


def choose(F: Flat, x: Array, jac: str | None, in_time: Callable[[], None]) -> Steps:
    """The steps by the Jacobian's face, or by its size and fill."""
    if jac == "dense" or (jac is None and x.size <= SMALL):
        return Dense(F, in_time)
    if jac == "csr" or (jac is None and is_sparse(F.jac(x))):
        return Sparse(F, in_time)
    return Krylov(F, in_time, Dense(F, in_time) if jac is None and x.size <= AFFORDABLE else None)


def is_sparse(J: Jacobian) -> bool:
    """Whether sparse factors of a Jacobian cost less than dense ones, and are affordable."""
    if J.nnz > min(FILL, J.shape[1] * J.shape[0] / 10):
        return False
    indptr, indices = J.structure()
    return factors_stay_sparse(sp.csr_array((np.ones(indices.size, np.float32), indices, indptr), shape=J.shape))


def factors_stay_sparse(matrix: Any) -> bool:
    """Whether sparse factors of a square csr_array cost less than dense ones, and are affordable.

    The bound of their fill is the profile of AᵀA in the order of Cuthill and McKee, which holds for any pivots; a few
    long rows, which fill a part of AᵀA but little of the factors, are counted apart.
    """
    n = matrix.shape[1]
    if n <= TINY:
        return False
    lengths = np.diff(matrix.indptr)
    long = lengths > 16 + 10 * np.sqrt(n)
    # what it costs to make AᵀA, and more than it can have where rows overlap as little as they can
    if np.sum(lengths[~long].astype(float) ** 2) > min(FILL / 2, 2.0 * n * n):
        return False
    ones = np.ones(matrix.indices.size, np.float32)
    pattern = sp.csr_array((ones, matrix.indices, matrix.indptr), shape=matrix.shape)[~long]
    graph = (pattern.T @ pattern).tocsr()
    place = np.empty(n, np.int64)
    place[reverse_cuthill_mckee(graph, symmetric_mode=True)] = np.arange(n)
    entries = graph.tocoo()
    widths = np.zeros(n)
    np.maximum.at(widths, place[entries.row], place[entries.row] - place[entries.col])
    widths += np.count_nonzero(long)
    # SuperLU does some 15 times fewer operations a second than LAPACK
    return bool(2 * widths.sum() <= FILL and 15 * np.sum(widths**2) <= float(n) ** 3 / 3)
