"""Decompositions of matrices and of stacks of them: Cholesky, eigenvalues, singular values, QR.

Each is computed once. What it gives are parts of one packed array, and each part has a rule of its own, so that nothing
is made for vectors where only values are used. The rules: Giles, *Collected matrix derivative results*, 2008; for QR
Walter and Lehmann, *Algorithmic differentiation of linear algebra functions*, 2010. Vectors whose values are equal
have no derivative: it is not a number.
"""

from typing import Any

import numpy as np
import scipy.linalg
from scipy.linalg import lapack

from matjac.conventions import Array
from matjac.linear.cholesky import CholeskyDerivative, halved
from matjac.tracing.arrays import shape_of
from matjac.tracing.handlers import TracingError, handles
from matjac.tracing.linalg import square
from matjac.tracing.recorded import mapped, matmul
from matjac.tracing.whole import DIFFERENTIALS, OF_COEFFICIENTS, TRIANGLES, real, whole

# triangles ----------------------------------------------------------------------------------------------


def inverse_of_lower(L: Array) -> Array:
    """The inverse of a lower triangular matrix."""
    if L.ndim > 2 or not L.size:
        return np.tril(np.linalg.inv(L))
    # LAPACK's arrays are in the other order
    trtri = lapack.get_lapack_funcs("trtri", (L,))
    inverse: Array = trtri(L.T, lower=0)[0].T
    return np.tril(inverse)


def inverse_of_upper(R: Array) -> Array:
    """The inverse of an upper triangular matrix."""
    return np.asarray(inverse_of_lower(R.mT).mT)


TRIANGLES |= {inverse_of_lower: np.tril, inverse_of_upper: np.triu}
DIFFERENTIALS |= dict.fromkeys((inverse_of_lower, inverse_of_upper), lambda x, y, dx: -y @ dx[0] @ y)

# Cholesky -----------------------------------------------------------------------------------------------


@real
def _cholesky(A: Array) -> Array:
    return np.asarray(np.linalg.cholesky(A))


def _of_cholesky(x: Any, L: Any, dx: Any) -> Any:
    return mapped(CholeskyDerivative(), dx[0], L, whole(inverse_of_lower, L), axes=2)


def _of_derivative(linear: Any, L: Any, K: Any, E: Any, y: Any, dL: Any, _: Any) -> Any:
    """The differential by L of ``L Φ(K E Kᵀ)``, and of its transpose in E; K is the inverse of L."""
    turn = K @ dL
    if not linear.turned:
        M = K @ from_lower(E) @ K.mT
        changed = turn @ M
        return dL @ halved(M) - L @ halved(changed + changed.mT)
    R = K.mT @ halved(L.mT @ np.tril(E)) @ K
    dR = K.mT @ (halved(dL.mT @ np.tril(E)) @ K - dL.mT @ R) - R @ dL @ K
    return np.tril(dR) + np.triu(dR, 1).mT


TRIANGLES[_cholesky] = np.tril
DIFFERENTIALS[_cholesky] = _of_cholesky
OF_COEFFICIENTS[CholeskyDerivative] = _of_derivative


def from_lower(dA: Any) -> Any:
    """A symmetric matrix from its lower triangle: nothing else is read by NumPy."""
    return np.tril(dA) + np.tril(dA, -1).mT


@handles(np.linalg.cholesky)
def cholesky(a: Any, /, *, upper: bool = False) -> Any:
    """``np.linalg.cholesky``, recorded: of one triangle of the matrix."""
    square("np.linalg.cholesky", a)
    return whole(_cholesky, a.mT).mT if upper else whole(_cholesky, a)


# eigenvalues of symmetric matrices ----------------------------------------------------------------------


@real
def _eigenvalues_and_vectors(A: Array, triangle: str) -> Array:
    values, vectors = np.linalg.eigh(A, triangle)  # type: ignore[call-overload]
    return np.concatenate([values[..., None, :], vectors], axis=-2)


@real
def _scipys_eigenvalues_and_vectors(A: Array, triangle: str, driver: Any) -> Array:
    # another routine of LAPACK's than NumPy's, whose vectors may have other signs; what is not read may be anything
    read = np.tril(A) if triangle == "L" else np.triu(A)
    *stack, n, _ = A.shape
    packed = np.empty((*stack, n + 1, n), np.result_type(A, np.float32))
    # SciPy takes no stacks before 1.16
    for at in np.ndindex(*stack):
        packed[at][0], packed[at][1:] = scipy.linalg.eigh(read[at], lower=triangle == "L", driver=driver)
    return packed


def _eigenvalues(A: Array, packed: Array, triangle: str) -> Array:
    return packed[..., 0, :]


def _eigenvectors(A: Array, packed: Array, triangle: str) -> Array:
    return packed[..., 1:, :]


@real
def _eigenvalues_alone(A: Array, triangle: str) -> Array:
    return np.asarray(np.linalg.eigvalsh(A, triangle))  # type: ignore[call-overload]


def _symmetric(dA: Any, triangle: str) -> Any:
    return from_lower(dA if triangle == "L" else dA.mT)


def _of_eigenvalues(x: Any, w: Any, dx: Any, triangle: str) -> Any:
    V = whole(_eigenvectors, *x, triangle=triangle)
    return np.sum(V * (_symmetric(dx[0], triangle) @ V), axis=-2)


def _of_eigenvectors(x: Any, V: Any, dx: Any, triangle: str) -> Any:
    w = whole(_eigenvalues, *x, triangle=triangle)
    return V @ (quotients(w[..., None, :] - w[..., :, None]) * (V.mT @ _symmetric(dx[0], triangle) @ V))


def _of_eigenvalues_alone(x: Any, w: Any, dx: Any, triangle: str) -> Any:
    return _of_eigenvalues((*x, whole(_eigenvalues_and_vectors, *x, triangle=triangle)), w, dx, triangle)


def quotients(differences: Any) -> Any:
    """One over each difference of two numbers, 0 on the diagonal; not a number where two are equal."""
    n = differences.shape[-1]
    apart = np.where(np.eye(n, dtype=bool), 1, np.where(differences == 0, np.nan, differences))
    return np.where(~np.eye(n, dtype=bool), 1 / apart, 0)


DIFFERENTIALS |= {
    _eigenvalues: _of_eigenvalues,
    _eigenvectors: _of_eigenvectors,
    _eigenvalues_alone: _of_eigenvalues_alone,
}


def _triangle(UPLO: str) -> str:
    if UPLO.upper() not in ("L", "U"):
        raise ValueError(f"UPLO: got {UPLO!r}, expected 'L' or 'U'")
    return UPLO.upper()


@handles(np.linalg.eigh)
def eigh(a: Any, UPLO: str = "L") -> Any:
    """``np.linalg.eigh``, recorded: of one triangle of the matrix."""
    triangle = _triangle(UPLO)
    packed = whole(_eigenvalues_and_vectors, square("np.linalg.eigh", a), triangle=triangle)
    return EIGENVALUES_AND_VECTORS(*_unpacked(a, packed, triangle))


def scipys_eigh(a: Any, lower: bool, driver: Any) -> tuple[Any, Any]:
    """``scipy.linalg.eigh`` of a matrix alone, recorded."""
    triangle = "L" if lower else "U"
    packed = whole(_scipys_eigenvalues_and_vectors, square("scipy.linalg.eigh", a), triangle=triangle, driver=driver)
    return _unpacked(a, packed, triangle)


def _unpacked(a: Any, packed: Any, triangle: str) -> tuple[Any, Any]:
    return whole(_eigenvalues, a, packed, triangle=triangle), whole(_eigenvectors, a, packed, triangle=triangle)


@handles(np.linalg.eigvalsh)
def eigvalsh(a: Any, UPLO: str = "L") -> Any:
    """``np.linalg.eigvalsh``, recorded."""
    return whole(_eigenvalues_alone, square("np.linalg.eigvalsh", a), triangle=_triangle(UPLO))


# singular values ----------------------------------------------------------------------------------------


@real
def _singular_values_and_vectors(A: Array) -> Array:
    U, s, Vh = np.linalg.svd(A, full_matrices=False)
    return np.concatenate([U, s[..., None, :], Vh.mT], axis=-2)


@real
def _singular_values_and_vectors_of_symmetric(A: Array) -> Array:
    # NumPy makes them of eigenvectors, whose signs may be others
    U, s, Vh = np.linalg.svd(A, hermitian=True)
    return np.concatenate([U, s[..., None, :], Vh.mT], axis=-2)


def _singular_values(A: Array, packed: Array) -> Array:
    return packed[..., A.shape[-2], :]


def _left(A: Array, packed: Array) -> Array:
    return packed[..., : A.shape[-2], :]


def _right(A: Array, packed: Array) -> Array:
    return packed[..., A.shape[-2] + 1 :, :]


@real
def _singular_values_alone(A: Array) -> Array:
    return np.asarray(np.linalg.svd(A, compute_uv=False))


def _of_singular_values_alone(x: Any, s: Any, dx: Any) -> Any:
    return _of_singular_values((*x, whole(_singular_values_and_vectors, *x)), s, dx)


def _of_singular_values(x: Any, s: Any, dx: Any) -> Any:
    return np.sum(whole(_left, *x) * (dx[0] @ whole(_right, *x)), axis=-2)


def _of_singular_vectors(x: Any, U: Any, V: Any, dA: Any) -> Any:
    """The differential of U, where A = U Σ Vᵀ; that of V is the same of Aᵀ."""
    s = whole(_singular_values, *x)
    row, column = s[..., None, :], s[..., :, None]
    P = U.mT @ dA @ V
    squares = quotients((row - column) * (row + column))
    inside = U @ (squares * (P * row + column * P.mT))
    if U.shape[-2] == U.shape[-1]:
        return inside
    beside = dA @ V / np.where(row == 0, np.nan, row)
    return inside + beside - U @ (U.mT @ beside)


DIFFERENTIALS |= {
    _singular_values: _of_singular_values,
    _singular_values_alone: _of_singular_values_alone,
    _left: lambda x, U, dx: _of_singular_vectors(x, U, whole(_right, *x), dx[0]),
    _right: lambda x, V, dx: _of_singular_vectors(x, V, whole(_left, *x), dx[0].mT),
}


@handles(np.linalg.svd)
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    """``np.linalg.svd``, recorded."""
    if hermitian:
        a = from_lower(a)
    shape = shape_of(a)
    if compute_uv and full_matrices and shape[-1] != shape[-2]:
        raise TracingError(
            "np.linalg.svd with full_matrices=True of a matrix that is not square can't be recorded: the vectors that "
            "belong to no singular value are not determined. Write full_matrices=False"
        )
    if not compute_uv:
        return whole(_singular_values_alone, a)
    packed = whole(_singular_values_and_vectors_of_symmetric if hermitian else _singular_values_and_vectors, a)
    values = whole(_singular_values, a, packed)
    return LEFT_VALUES_RIGHT(whole(_left, a, packed), values, whole(_right, a, packed).mT)


@handles(np.linalg.svdvals)
def svdvals(x: Any, /) -> Any:
    """``np.linalg.svdvals``, recorded."""
    return svd(x, compute_uv=False)


@handles(np.linalg.cond)
def cond(x: Any, p: Any = None) -> Any:
    """``np.linalg.cond``, recorded."""
    if p in (None, 2, -2):
        s = svdvals(x)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    norms = (np.linalg.norm(y, ord=p, axis=(-2, -1)) for y in (x, np.linalg.inv(x)))
    return next(norms) * next(norms)


# QR -----------------------------------------------------------------------------------------------------


@real
def _qr(A: Array) -> Array:
    return np.concatenate(np.linalg.qr(A), axis=-2)


def _orthogonal(A: Array, packed: Array) -> Array:
    return packed[..., : A.shape[-2], :]


def _triangular(A: Array, packed: Array) -> Array:
    return packed[..., A.shape[-2] :, :]


def _of_orthogonal(x: Any, Q: Any, dx: Any) -> Any:
    quotient, turn = _turning(x, dx)
    if Q.shape[-2] == Q.shape[-1]:
        return Q @ turn
    return Q @ turn + quotient - Q @ (Q.mT @ quotient)


def _turning(x: Any, dx: Any) -> tuple[Any, Any]:
    """dA R⁻¹, and the skew Ω of dQ = Q Ω + …, which is made of its lower triangle in Q."""
    quotient = dx[0] @ whole(inverse_of_upper, whole(_triangular, *x))
    below = np.tril(whole(_orthogonal, *x).mT @ quotient, -1)
    return quotient, below - below.mT


def _of_triangular(x: Any, R: Any, dx: Any) -> Any:
    """R = Qᵀ A."""
    return np.triu(whole(_orthogonal, *x).mT @ dx[0] - _turning(x, dx)[1] @ R)


TRIANGLES[_triangular] = np.triu
DIFFERENTIALS |= {_orthogonal: _of_orthogonal, _triangular: _of_triangular}


@handles(np.linalg.qr)
def qr(a: Any, mode: str = "reduced") -> Any:
    """``np.linalg.qr``, recorded: of matrices whose first columns are independent."""
    m, n = shape_of(a)[-2:]
    if mode not in ("reduced", "r") and not (mode == "complete" and m <= n):
        raise TracingError(f"np.linalg.qr with mode={mode!r} can't be recorded: use 'reduced' or 'r'")
    first = a[..., :m]
    packed = whole(_qr, first)
    Q, R = whole(_orthogonal, first, packed), whole(_triangular, first, packed)
    if n > m:
        R = np.concatenate([R, matmul(Q.mT, a[..., m:])], axis=-1)
    return R if mode == "r" else ORTHOGONAL_AND_TRIANGULAR(Q, R)


# LU ------------------------------------------------------------------------------------------------------


def _lu(A: Array) -> Array:
    return np.concatenate(scipy.linalg.lu(A), axis=-2)


def _factor(A: Array, packed: Array, at: int) -> Array:
    n = A.shape[-1]
    return packed[..., at * n : (at + 1) * n, :]


def _permutation(A: Array, packed: Array) -> Array:
    return _factor(A, packed, 0)


def _unit_lower(A: Array, packed: Array) -> Array:
    return _factor(A, packed, 1)


def _upper(A: Array, packed: Array) -> Array:
    return _factor(A, packed, 2)


def _pivots(A: Array) -> Array:
    return np.asarray(scipy.linalg.lu_factor(A)[1])


def _between(x: Any, dx: Any) -> Any:
    """L⁻¹ Pᵀ dA U⁻¹."""
    P, L, U = (whole(part, *x) for part in (_permutation, _unit_lower, _upper))
    return whole(inverse_of_lower, L) @ (P.mT @ dx[0]) @ whole(inverse_of_upper, U)


TRIANGLES |= {_unit_lower: np.tril, _upper: np.triu}
DIFFERENTIALS |= {
    _unit_lower: lambda x, L, dx: np.tril(L @ np.tril(_between(x, dx), -1), -1),
    _upper: lambda x, U, dx: np.triu(np.triu(_between(x, dx)) @ U),
}


def lu(a: Any) -> tuple[Any, Any, Any]:
    """``scipy.linalg.lu`` of square matrices, recorded: the permutation has no derivative."""
    packed = whole(_lu, square("scipy.linalg.lu", a))
    P, L, U = (whole(part, a, packed) for part in (_permutation, _unit_lower, _upper))
    return P, L, U


class Factors(tuple[Any, Any]):
    """What `scipy.linalg.lu_factor` returns, with the matrix that was factored."""

    matrix: Any


def lu_factor(a: Any) -> Factors:
    """``scipy.linalg.lu_factor``, recorded."""
    _, L, U = lu(a)
    factors = Factors((np.tril(L, -1) + U, whole(_pivots, a)))
    factors.matrix = a
    return factors


#: The named tuples that NumPy returns.
EIGENVALUES_AND_VECTORS: Any = type(np.linalg.eigh(np.eye(1)))
LEFT_VALUES_RIGHT: Any = type(np.linalg.svd(np.eye(1)))
ORTHOGONAL_AND_TRIANGULAR: Any = type(np.linalg.qr(np.eye(1)))
