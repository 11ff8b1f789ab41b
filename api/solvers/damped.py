"""Damped steps of least squares: ``(JᵀJ + S) p = −g`` with a diagonal S, by dense or sparse factors, or products."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.linalg import blas, lapack
from scipy.sparse.linalg import LinearOperator, cg, splu

from matjac import memory
from matjac.conventions import Array
from matjac.elimination import require_factors
from matjac.jacobian import Jacobian
from matjac.linear.factors import require_product
from matjac.maps.gram import alone
from matjac.solvers.precondition import direct, summed_blocks

#: The residual of an inexact step, beside the gradient, and the products of one step.
FORCING, PRODUCTS = 0.1, 200
#: The part of a diagonal entry of JᵀJ that is left of it as a pivot where JᵀJ is nearly singular.
NEARLY = 1e-10


class Damped(ABC):
    """Systems with JᵀJ + S, for Jacobians of one function, by one way to solve them."""

    #: what a result calls it
    name: str
    #: by which part a step may miss the length it is to have: each try costs a factorisation
    slack = 0.25
    #: the least shift, beside the columns' squares: a matrix without full rank has factors still
    floor = 1e-14

    @abstractmethod
    def face(self, J: Jacobian, weights: Array | None = None) -> Any:
        """J as it is multiplied and taken here, its rows times `weights`."""

    @abstractmethod
    def take(self, J: Any, held: Array | None = None, y: Array | None = None) -> None:
        """Make ready for a J of that face; of unknowns that are `held` the columns are zero.

        With the residuals y, of which the gradients to come are Jᵀ y, a step can be more exact.
        """

    @abstractmethod
    def norms(self) -> Array:
        """The norms of the columns of the J that was taken."""

    @abstractmethod
    def solve(self, g: Array, shift: Array) -> Array:
        """The p with ``(JᵀJ + diag(shift)) p = −g``; LinAlgError where that matrix is not positive definite."""


class Dense(Damped):
    """Cholesky factors by LAPACK; singular values where JᵀJ is nearly singular, which has the squares of J's."""

    name = "dense"
    slack = 0.02

    def __init__(self, added: Callable[[Array], Array] = alone) -> None:
        self.added = added
        # singular values, which are those of one rank's rows, need none
        self.floor = 0.0 if added is alone else Damped.floor

    def face(self, J: Jacobian, weights: Array | None = None) -> Array:
        dense = J.toarray().astype(float, copy=False)
        return dense if weights is None else weights[:, None] * dense

    def take(self, J: Array, held: Array | None = None, y: Array | None = None) -> None:
        rows, n = J.shape
        memory.require(f"dense normal equations of {n:,} unknowns", 8 * (2 * n * n + (0 if held is None else rows * n)))
        self._matrix, self._y = J if held is None else np.where(held, 0.0, J), y if self.added is alone else None
        # the upper triangle alone; the transpose is laid out as BLAS wants it
        self._normal = self.added(blas.dsyrk(1.0, self._matrix.T))
        self._diagonal = self._normal.diagonal()

    def norms(self) -> Array:
        return np.sqrt(self._diagonal)

    def solve(self, g: Array, shift: Array) -> Array:
        lifted = self._normal.copy(order="F")
        lifted.reshape(-1, order="F")[:: g.size + 1] += shift
        factor, p, failed = lapack.dposv(lifted, g)
        nearly = failed or not (factor.diagonal() ** 2 > NEARLY * lifted.diagonal()).all()
        if nearly and self._y is not None:
            return self._least(shift)
        if failed:
            raise np.linalg.LinAlgError(f"pivot {failed} is not positive")
        return -p  # type: ignore[no-any-return]

    def _least(self, shift: Array) -> Array:
        """The shortest of the steps that minimise, by singular values of J above its shifts, in the columns' scale."""
        augmented = np.concatenate([self._matrix, np.diag(np.sqrt(shift))])
        norms = np.linalg.norm(augmented, axis=0)
        scale = np.where(norms > 0, norms, 1.0)
        right = np.concatenate([-self._y, np.zeros(shift.size)])  # type: ignore[operator]
        return np.linalg.lstsq(augmented / scale, right, rcond=None)[0] / scale  # type: ignore[no-any-return]


class Sparse(Damped):
    """Sparse factors by SuperLU, for symmetric matrices."""

    name = "sparse"
    _checked = False

    def face(self, J: Jacobian, weights: Array | None = None) -> Any:
        return weighted_rows(J.tocsr(), weights)

    def take(self, J: Any, held: Array | None = None, y: Array | None = None) -> None:
        matrix = without(J, held)
        self._normal = _normal(matrix)
        if not self._checked:
            # of all columns: others may be held next time
            require_factors(self._normal if held is None else _normal(J))
            self._checked = True
        self._norms = np.sqrt(np.bincount(matrix.indices, matrix.data**2, matrix.shape[1]))

    def norms(self) -> Array:
        return self._norms

    def solve(self, g: Array, shift: Array) -> Array:
        lifted = (self._normal + sp.diags_array(shift)).tocsc()
        try:
            factors = splu(lifted, "MMD_AT_PLUS_A", 0.0, options={"SymmetricMode": True})
        except RuntimeError as error:
            raise np.linalg.LinAlgError(str(error)) from None
        p = -factors.solve(g)
        if not np.isfinite(p).all():
            raise np.linalg.LinAlgError("the solution is not finite")
        return p  # type: ignore[no-any-return]


class Products(Damped):
    """Conjugate gradients with products alone, preconditioned by the diagonal blocks of JᵀJ where these cost little.

    The residual of what they end with is a tenth of the gradient.
    """

    name = "products"

    def __init__(self, in_time: Callable[[], None], added: Callable[[Array], Array] = alone) -> None:
        self.in_time, self.added = in_time, added

    def face(self, J: Jacobian, weights: Array | None = None) -> Any:
        self._jacobian, self._weights = J, None if weights is None else weights**2
        if weights is None:
            return J
        scale: Array = weights
        return LinearOperator(
            J.shape,
            matvec=lambda p: scale * (J @ np.ravel(p)),
            rmatvec=lambda y: J.T @ (scale * np.ravel(y)),
            dtype=float,
        )

    def take(self, J: Any, held: Array | None = None, y: Array | None = None) -> None:
        self._J, self._free = J, None if held is None else ~held

    def norms(self) -> Array:
        J = self._jacobian
        if direct(J, self.added):
            return np.sqrt(self.added(J.column_norms() ** 2))
        # one number for all, of the size of J: its columns' norms may need its entries
        v = np.cos(np.arange(J.shape[1]))
        along = self._J @ v
        return np.full(v.size, np.sqrt(self.added(np.array([along @ along])) / (v @ v)))

    def solve(self, g: Array, shift: Array) -> Array:
        J, free = self._J, self._free
        M: Any = None
        if direct(self._jacobian, self.added):
            M = summed_blocks(self._jacobian, shift, self._weights, 0.0, self.added)

        def product(p: Array) -> Array:
            self.in_time()
            p = np.ravel(p) if free is None else free * np.ravel(p)
            found = self.added(J.T @ (J @ p)) + shift * p
            return found if free is None else free * found  # type: ignore[no-any-return]

        inverse = M
        if M is not None and free is not None:
            inverse = LinearOperator(M.shape, lambda b: free * (M @ (free * np.ravel(b))), dtype=float)
        matrix = LinearOperator((g.size, g.size), product, dtype=float)
        b = -g if free is None else np.where(free, -g, 0.0)
        return cg(matrix, b, rtol=FORCING, atol=0.0, maxiter=PRODUCTS, M=inverse)[0]  # type: ignore[no-any-return]


class Places:
    """The pattern that something was planned for: kernels write where it says, and check nothing."""

    def __init__(self, matrix: Any) -> None:
        self.arrays = matrix.indptr, matrix.indices

    def check(self, matrix: Any) -> None:
        """Refuse a csr_array with entries in other places."""
        arrays = matrix.indptr, matrix.indices
        if all(mine is its for mine, its in zip(self.arrays, arrays, strict=True)):
            return
        if not all(map(np.array_equal, self.arrays, arrays)):
            raise ValueError(
                "Jacobian: got entries in other places than at the start, expected the same; jac='operator' takes any"
            )
        # told at once next time
        self.arrays = arrays


def weighted_rows(matrix: Any, weights: Array | None) -> Any:
    """A csr_array of numbers of double precision, its rows times `weights`."""
    if weights is None and matrix.dtype == float:
        return matrix
    data = matrix.data.astype(float, copy=False)
    if weights is not None:
        data = data * np.repeat(weights, np.diff(matrix.indptr))
    return _valued(matrix, data)


def without(matrix: Any, held: Array | None) -> Any:
    """A csr_array whose columns that are held have zeros."""
    return matrix if held is None else _valued(matrix, np.where(held[matrix.indices], 0.0, matrix.data))


def _normal(matrix: Any) -> Any:
    """JᵀJ of a csr_array J, where it fits in memory."""
    if not memory.fits(24 * int(np.sum(np.diff(matrix.indptr).astype(np.int64) ** 2))):
        require_product(matrix.T.tocsr(), matrix)
    return (matrix.T @ matrix).tocsc()


def _valued(matrix: Any, data: Array) -> Any:
    return sp.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)
