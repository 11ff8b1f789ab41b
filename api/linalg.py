"""Functions of `scipy.linalg` on plain and on recorded arrays alike, with the names and arguments they have there.

SciPy's functions are written for plain numbers and can't be recorded; on plain arrays these are SciPy's own.

Examples
--------
>>> import numpy as np, matjac as mj
>>> F = mj.compile(lambda A: mj.linalg.expm(A), (2, 2))
>>> F.jacobian(np.zeros((2, 2))).toarray()
array([[1., 0., 0., 0.],
       [0., 1., 0., 0.],
       [0., 0., 1., 0.],
       [0., 0., 0., 1.]])
"""

from functools import partial
from inspect import signature
from typing import Any

import numpy as np
import scipy.linalg

from matjac.tracing import (
    decompositions,
    matrix_functions,
    rules,  # noqa: F401  (what is listed below must not depend on what was imported before)
)
from matjac.tracing import linalg as of_numpy
from matjac.tracing.arrays import Recorded, shape_of
from matjac.tracing.counterparts import counterpart_in
from matjac.tracing.handlers import HANDLED, TracingError
from matjac.tracing.moving import MOVES, rearranged
from matjac.tracing.whole import whole

_recorded = counterpart_in(scipy.linalg)


#: Options that say how SciPy computes.
_IGNORED = {"overwrite_a", "overwrite_b", "check_finite", "driver", "lapack_driver", "lwork"}


def _ignored(function: Any, options: dict[str, Any]) -> None:
    """Refuse options of SciPy's function but those that say how it computes, and those that are as they are there."""
    known = signature(function).parameters
    for option, value in options.items():
        if option not in known:
            raise TypeError(f"scipy.linalg.{function.__name__} has no option {option}")
        default = known[option].default
        if option not in _IGNORED and not (type(value) is type(default) and value == default):
            raise TracingError(f"scipy.linalg.{function.__name__} with {option}= can't be recorded: leave it out")


# solutions and inverses ---------------------------------------------------------------------------------


@_recorded
def inv(a: Any, **options: Any) -> Any:
    """The inverse; the other options say how it is computed, and have no effect."""
    return np.linalg.inv(a)


@_recorded
def det(a: Any, **options: Any) -> Any:
    """The determinant."""
    _ignored(scipy.linalg.det, options)
    return np.linalg.det(a)


@_recorded
def pinv(a: Any, *, rtol: Any = None, **options: Any) -> Any:
    """The pseudoinverse, where the rank does not change."""
    _ignored(scipy.linalg.pinv, options)
    return np.linalg.pinv(a, rtol=rtol)


@_recorded
def lstsq(a: Any, b: Any, cond: Any = None, **options: Any) -> Any:
    """The least-squares solution, the sums of squares, the rank and the singular values."""
    _ignored(scipy.linalg.lstsq, options)
    return of_numpy.lstsq(a, b, cond)


@_recorded
def solve(
    a: Any, b: Any, lower: bool = False, *, assume_a: Any = None, transposed: bool = False, **options: Any
) -> Any:
    """The solution of ``a x = b``; of a symmetric matrix one triangle is read, as SciPy does."""
    _ignored(scipy.linalg.solve, options)
    kind = assume_a or "general"
    if kind in ("her", "hermitian", "pos", "positive definite"):
        a = whole(matrix_functions.positive_definite_matrix, a)
    if kind in ("sym", "symmetric", "her", "hermitian", "pos", "positive definite"):
        a = decompositions.from_lower(a if lower else a.mT)
    elif kind in ("lower triangular", "upper triangular"):
        return solve_triangular(a, b, lower=kind.startswith("lower"), trans=int(transposed))
    elif kind == "diagonal":
        numbers = np.linalg.diagonal(a)
        return b / (numbers if len(np.shape(b)) == 1 else numbers[..., None])
    elif kind not in ("gen", "general"):
        raise TracingError(f"scipy.linalg.solve with assume_a={kind!r} can't be recorded: leave it out")
    return np.linalg.solve(a.mT if transposed else a, b)


@_recorded
def solve_triangular(
    a: Any, b: Any, trans: Any = 0, lower: bool = False, unit_diagonal: bool = False, **options: Any
) -> Any:
    """The solution of ``a x = b`` for a triangular matrix, of which that triangle alone is read."""
    _ignored(scipy.linalg.solve_triangular, options)
    turned = trans in (1, "T")
    if trans in (2, "C"):
        raise TracingError(
            "scipy.linalg.solve_triangular with trans=2 conjugates, which has no derivative: use trans=1"
        )
    return matrix_functions.solve_triangular(a.mT if turned else a, b, lower != turned, unit_diagonal)


@_recorded
def cho_factor(a: Any, lower: bool = False, **options: Any) -> Any:
    """The Cholesky factor for `cho_solve`, and whether it is the lower one."""
    _ignored(scipy.linalg.cho_factor, options)
    return cholesky(a, lower), lower


@_recorded
def cho_solve(c_and_lower: Any, b: Any, **options: Any) -> Any:
    """The solution of ``a x = b`` by what `cho_factor` returned."""
    _ignored(scipy.linalg.cho_solve, options)
    c, lower = c_and_lower
    inside = solve_triangular(c, b, trans=0 if lower else 1, lower=lower)
    return solve_triangular(c, inside, trans=1 if lower else 0, lower=lower)


@_recorded
def lu_factor(a: Any, **options: Any) -> Any:
    """The factors for `lu_solve`: both triangles in one matrix, and the interchanges of rows."""
    _ignored(scipy.linalg.lu_factor, options)
    return decompositions.lu_factor(a)


@_recorded
def lu_solve(lu_and_piv: Any, b: Any, trans: int = 0, **options: Any) -> Any:
    """The solution of ``a x = b`` by what `lu_factor` returned, as it is."""
    _ignored(scipy.linalg.lu_solve, options)
    if trans == 2:
        raise TracingError("scipy.linalg.lu_solve with trans=2 conjugates, which has no derivative: use trans=1")
    if isinstance(lu_and_piv, decompositions.Factors):
        return np.linalg.solve(lu_and_piv.matrix.mT if trans else lu_and_piv.matrix, b)
    if isinstance(lu_and_piv[0], Recorded):
        raise TracingError("scipy.linalg.lu_solve can be recorded with what mj.linalg.lu_factor returned, unchanged")
    eye = np.eye(len(lu_and_piv[0]))
    return np.matmul(scipy.linalg.lu_solve(lu_and_piv, eye, trans), b)


@_recorded
def solve_toeplitz(c_or_cr: Any, b: Any, check_finite: bool = True) -> Any:
    """The solution of ``toeplitz(c, r) x = b``."""
    return np.linalg.solve(_toeplitz(c_or_cr), b)


@_recorded
def matmul_toeplitz(c_or_cr: Any, x: Any, check_finite: bool = False, workers: Any = None) -> Any:
    """``toeplitz(c, r) @ x``."""
    return np.matmul(_toeplitz(c_or_cr), x)


MOVES[scipy.linalg.toeplitz] = "c r"


@_recorded
def toeplitz(c: Any, r: Any = None) -> Any:
    """The matrix of that first column and first row: of its conjugate where no row is given."""
    return rearranged(scipy.linalg.toeplitz, c, np.conjugate(c) if r is None else r)


def _toeplitz(c_or_cr: Any) -> Any:
    return toeplitz(*(c_or_cr if isinstance(c_or_cr, tuple) else (c_or_cr,)))


@_recorded
def solve_circulant(c: Any, b: Any) -> Any:
    """The solution of ``circulant(c) x = b``."""
    return np.linalg.solve(__getattr__("circulant")(c), b)


# decompositions -----------------------------------------------------------------------------------------


@_recorded
def cholesky(a: Any, lower: bool = False, **options: Any) -> Any:
    """The Cholesky factor: of the triangle that is asked for."""
    _ignored(scipy.linalg.cholesky, options)
    return np.linalg.cholesky(a, upper=not lower)


@_recorded
def eigh(
    a: Any, b: Any = None, *, lower: bool = True, eigvals_only: bool = False, driver: Any = None, **options: Any
) -> Any:
    """Eigenvalues and eigenvectors of a symmetric matrix; of a pencil ``a v = w b v``."""
    _ignored(scipy.linalg.eigh, options)
    if b is None and eigvals_only:
        return decompositions.eigvalsh(a, "L" if lower else "U")
    if b is None:
        return decompositions.scipys_eigh(a, lower, driver)
    # b = L Lᵀ: the eigenvalues of L⁻¹ a L⁻ᵀ, whose vectors are Lᵀ v
    L = np.linalg.cholesky(b if lower else b.mT)
    symmetric = decompositions.from_lower(a if lower else a.mT)
    half = solve_triangular(L, symmetric, lower=True)
    inside = solve_triangular(L, half.mT, lower=True)
    if eigvals_only:
        return np.linalg.eigvalsh(inside)
    w, V = np.linalg.eigh(inside)
    return w, solve_triangular(L, V, trans=1, lower=True)


@_recorded
def eigvalsh(a: Any, b: Any = None, *, lower: bool = True, **options: Any) -> Any:
    """Eigenvalues of a symmetric matrix, or of a pencil."""
    _ignored(scipy.linalg.eigvalsh, options)
    return eigh(a, b, lower=lower, eigvals_only=True)


@_recorded
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, **options: Any) -> Any:
    """Singular values and vectors."""
    _ignored(scipy.linalg.svd, options)
    found = decompositions.svd(a, full_matrices, compute_uv)
    return tuple(found) if compute_uv else found


@_recorded
def svdvals(a: Any, **options: Any) -> Any:
    """Singular values."""
    _ignored(scipy.linalg.svdvals, options)
    return np.linalg.svdvals(a)


@_recorded
def qr(a: Any, lwork: Any = None, mode: str = "full", pivoting: bool = False, **options: Any) -> Any:
    """Q and R; write mode="economic" where the matrix has more rows than columns."""
    _ignored(scipy.linalg.qr, options)
    if pivoting:
        raise TracingError("scipy.linalg.qr with pivoting=True can't be recorded: leave it out")
    if mode not in ("full", "economic", "r"):
        raise TracingError(f"scipy.linalg.qr with mode={mode!r} can't be recorded: use 'full', 'economic' or 'r'")
    m, n = shape_of(a)[-2:]
    if mode == "full" and m > n:
        raise TracingError(
            f"scipy.linalg.qr with mode='full' of a matrix of {m} rows and {n} columns can't be recorded: the last "
            "columns of Q are not determined. Write mode='economic'"
        )
    if mode != "r":
        return tuple(decompositions.qr(a))
    R = decompositions.qr(a, "r")
    # SciPy's R has as many rows as the matrix, those below the triangle of zeros
    return (np.concatenate([R, np.zeros_like(a[..., n:, :])], axis=-2) if m > n else R,)


@_recorded
def lu(a: Any, permute_l: bool = False, **options: Any) -> Any:
    """The permutation and the two triangles of a square matrix."""
    _ignored(scipy.linalg.lu, options)
    P, L, U = decompositions.lu(a)
    return (P @ L, U) if permute_l else (P, L, U)


@_recorded
def pinvh(a: Any, *, rtol: Any = None, lower: bool = True, **options: Any) -> Any:
    """The pseudoinverse of a symmetric matrix, of which one triangle is read."""
    _ignored(scipy.linalg.pinvh, options)
    return np.linalg.pinv(a if lower else a.mT, rtol=rtol, hermitian=True)


@_recorded
def polar(a: Any, side: str = "right") -> Any:
    """The orthogonal and the symmetric factor."""
    U, s, Vh = np.linalg.svd(a, full_matrices=False)
    values = s[..., None, :]
    return U @ Vh, (Vh.mT * values) @ Vh if side == "right" else (U * values) @ U.mT


# functions of matrices and equations --------------------------------------------------------------------

_FUNCTIONS = {}
for _name in matrix_functions.FUNCTIONS:
    _of = partial(matrix_functions.function, _name)
    _of.__name__ = _name  # type: ignore[attr-defined]
    _of.__doc__ = getattr(scipy.linalg, _name).__doc__
    _FUNCTIONS[_name] = _recorded(_of)


@_recorded
def fractional_matrix_power(A: Any, t: float) -> Any:
    """A power with a constant exponent, of a matrix without eigenvalues that are zero or negative."""
    if isinstance(t, Recorded):
        raise TracingError("scipy.linalg.fractional_matrix_power can be recorded with a constant exponent alone")
    if float(t).is_integer():
        return np.linalg.matrix_power(A, int(t))
    return matrix_functions.function("expm", float(t) * matrix_functions.function("logm", A))


@_recorded
def expm_frechet(A: Any, E: Any, method: Any = None, compute_expm: bool = True, check_finite: bool = True) -> Any:
    """The exponential, and its derivative in a direction."""
    derivative = matrix_functions.expm_frechet(A, E)
    return (matrix_functions.function("expm", A), derivative) if compute_expm else derivative


@_recorded
def sqrtm(A: Any, **options: Any) -> Any:
    """The square root of a matrix without eigenvalues that are zero or negative."""
    return matrix_functions.sqrtm(A)


@_recorded
def solve_sylvester(a: Any, b: Any, q: Any) -> Any:
    """X with ``a X + X b = q``."""
    return matrix_functions.solve_sylvester(a, b, q)


@_recorded
def solve_continuous_lyapunov(a: Any, q: Any) -> Any:
    """X with ``a X + X aᵀ = q``, of real numbers."""
    return matrix_functions.solve_continuous_lyapunov(a if isinstance(a, Recorded) else np.asarray(a), q)


solve_lyapunov = solve_continuous_lyapunov


@_recorded
def solve_discrete_lyapunov(a: Any, q: Any, method: Any = None) -> Any:
    """X with ``a X aᵀ − X + q = 0``, of real numbers."""
    return matrix_functions.solve_discrete_lyapunov(a if isinstance(a, Recorded) else np.asarray(a), q)


@_recorded
def solve_continuous_are(a: Any, b: Any, q: Any, r: Any, e: Any = None, s: Any = None, balanced: bool = True) -> Any:
    """X with ``aᵀ X + X a − X b r⁻¹ bᵀ X + q = 0``, of real numbers and symmetric q and r."""
    if e is not None or s is not None:
        raise TracingError("scipy.linalg.solve_continuous_are with e or s can't be recorded: leave them out")
    return matrix_functions.solve_continuous_are(a, b, q, r)


# norms and products -------------------------------------------------------------------------------------


@_recorded
def norm(a: Any, ord: Any = None, axis: Any = None, keepdims: bool = False, check_finite: bool = True) -> Any:
    """Norms of vectors and matrices."""
    return np.linalg.norm(a, ord, axis, keepdims)


@_recorded
def khatri_rao(a: Any, b: Any) -> Any:
    """The Kronecker products of columns."""
    return np.reshape(np.einsum("ik,jk->ijk", a, b), (-1, shape_of(a)[-1]))


#: Functions that only place entries, and the parameters that they take them from.
_MOVES = {"hankel": "c r", "circulant": "c", "block_diag": "arrs", "convolution_matrix": "a"}
for _name, _places in _MOVES.items():
    MOVES[getattr(scipy.linalg, _name)] = _places
    _of = partial(rearranged, getattr(scipy.linalg, _name))
    _of.__name__ = _name  # type: ignore[attr-defined]
    _of.__doc__ = getattr(scipy.linalg, _name).__doc__
    _FUNCTIONS[_name] = _recorded(_of)

_WRITTEN = [
    *("cho_factor", "cho_solve", "cholesky", "det", "eigh", "eigvalsh", "inv", "khatri_rao", "lstsq", "norm", "pinv"),
    *("polar", "qr", "solve", "solve_continuous_are", "solve_continuous_lyapunov", "solve_discrete_lyapunov"),
    *("solve_lyapunov", "solve_sylvester", "solve_triangular", "sqrtm", "svd", "svdvals"),
    *("expm_frechet", "fractional_matrix_power", "lu", "lu_factor", "lu_solve", "matmul_toeplitz", "pinvh"),
    *("solve_circulant", "solve_toeplitz", "toeplitz"),
]
#: Names of `numpy.linalg` that SciPy has none of.
_NUMPYS = [
    name for name in np.linalg.__all__ if getattr(np.linalg, name) in HANDLED and not hasattr(scipy.linalg, name)
]


def __dir__() -> list[str]:
    return sorted([*_FUNCTIONS, *_WRITTEN, *_NUMPYS])


def __getattr__(name: str) -> Any:
    if name in _NUMPYS:
        return getattr(np.linalg, name)
    if name not in _FUNCTIONS:
        raise AttributeError(f"mj.linalg has no {name}: dir(mj.linalg) lists what can be recorded of scipy.linalg")
    return _FUNCTIONS[name]
