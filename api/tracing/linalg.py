"""Linear algebra: inverses, solutions, determinants, powers and products of matrices and of stacks of them."""

from functools import partial
from itertools import pairwise
from operator import index
from typing import Any

import numpy as np

from matjac.conventions import Array, size
from matjac.linear.adjugate import adjugate, second_products
from matjac.linear.solves import Solve, Triangular, factored
from matjac.tracing.arrays import Recorded, Symbol, shape_of
from matjac.tracing.handlers import HANDLED, TracingError, handles
from matjac.tracing.recorded import apply, mapped, matmul, reshaped
from matjac.tracing.whole import DIFFERENTIALS, KEPT, OF_COEFFICIENTS, real, together, whole


def square(name: str, a: Any) -> Any:
    """A matrix, or a stack of them, as many rows as columns; not a differential."""
    if isinstance(a, Symbol):
        raise TracingError(f"{name} of a differential is not linear")
    shape = shape_of(a)
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise ValueError(f"{name}: got shape {shape}, expected square matrices")
    return a


def traces(a: Any, b: Any) -> Any:
    """``tr(Aᵀ B)`` of each pair of two stacks."""
    return np.sum(a * b, axis=(-2, -1))


# inverses -----------------------------------------------------------------------------------------------


@handles(np.linalg.inv)
def inv(a: Any) -> Any:
    """``np.linalg.inv``, recorded."""
    return whole(np.linalg.inv, square("np.linalg.inv", a))


DIFFERENTIALS[np.linalg.inv] = lambda x, y, dx: -y @ dx[0] @ y
KEPT.add(np.linalg.inv)


def over(A: Any, B: Any) -> Any:
    """A⁻¹ B for a matrix B: A is factored, once for a point. Stacks of small matrices are multiplied by inverses."""
    if len(shape_of(A)) > 2 or len(shape_of(B)) > 2:
        return whole(np.linalg.inv, A) @ B
    triangle, rows = _triangle_of(A), np.transpose(B)
    if triangle is not None:
        return np.transpose(mapped(Triangular(triangle == "lower", False), rows, A))
    return np.transpose(mapped(Solve(), rows, A, together(factored, A)))


def _triangle_of(A: Any) -> str | None:
    """The triangle that a matrix is by structure."""
    # zeros of a constant are data
    places = A.recorder.program.patterns.get(A.number) if isinstance(A, Recorded) else None
    if places is not None:
        for name, triangle in (("lower", np.tril), ("upper", np.triu)):
            if np.array_equal(triangle(places), places):
                return name
    return None


def _of_solve(linear: Any, A: Any, factors: Any, x: Any, y: Any, dA: Any, _: Any) -> Any:
    """A y = x has the differential A dy + dA y = dx."""
    return -apply(linear, A, factors, y @ (dA if linear.turned else dA.mT), shape=y.shape)


OF_COEFFICIENTS[Solve] = _of_solve


@handles(np.linalg.solve)
def solve(a: Any, b: Any) -> Any:
    """``np.linalg.solve``, recorded."""
    square("np.linalg.solve", a)
    if isinstance(b, Symbol):
        column = len(shape_of(b)) == 1
        x = over(a, np.reshape(b, (-1, 1)) if column else b)
        return np.reshape(x, shape_of(x)[:-1]) if column else x
    if len(shape_of(b)) == 1:
        (n,) = shape_of(b)
        solution = whole(np.linalg.solve, a, reshaped(b, (n, 1)))
        return reshaped(solution, shape_of(solution)[:-1])
    return whole(np.linalg.solve, a, b)


def _of_solution(x: Any, X: Any, dx: Any) -> Any:
    dA, dB = dx
    if dA is None:
        return over(x[0], dB)
    return over(x[0], -(dA @ X) if dB is None else dB - dA @ X)


DIFFERENTIALS[np.linalg.solve] = _of_solution


@real
def _pinv(a: Array, rcond: Any) -> Array:
    return np.asarray(np.linalg.pinv(a) if rcond is None else np.linalg.pinv(a, rcond))


@handles(np.linalg.pinv)
def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:
    """``np.linalg.pinv``, recorded: where the rank does not change, and `rcond` cuts rounding alone (else NaN)."""
    if hermitian:
        a = np.tril(a) + np.tril(a, -1).mT
    if isinstance(rcond, Recorded) or isinstance(rtol, Recorded):
        raise TracingError(
            "np.linalg.pinv with rcond= that depends on a variable can't be recorded: make it a constant"
        )
    return whole(_pinv, a, rcond=rcond if rtol is None else rtol)


def _uncut(a: Array, rcond: Any) -> Array:
    """Of each matrix 1, or NaN where `rcond` cuts singular values that are more than rounding."""
    values = np.linalg.svd(a, compute_uv=False)
    largest = values.max(axis=-1, keepdims=True, initial=0)
    rounding = max(a.shape[-2:]) * np.finfo(values.dtype).eps * largest
    cut = (values <= np.expand_dims(rcond, -1) * largest) & (values > rounding)
    return np.where(cut.any(axis=-1)[..., None, None], np.nan, 1).astype(values.dtype)


def _of_pseudoinverse(x: Any, P: Any, dx: Any, rcond: Any) -> Any:
    """Golub and Pereyra, 1973."""
    (A,), (dA,) = x, dx
    # theirs is the derivative of the pseudoinverse of all of A
    P = P if rcond is None else P * whole(_uncut, A, rcond=rcond)
    m, n = A.shape[-2:]
    first = -P @ dA @ P
    rows = (P @ P.mT) @ (dA.mT @ (np.eye(m) - A @ P))
    columns = ((np.eye(n) - P @ A) @ dA.mT) @ (P.mT @ P)
    return first + rows + columns


DIFFERENTIALS[_pinv] = _of_pseudoinverse


@real
def _least_squares(a: Array, b: Array, rcond: Any) -> Array:
    return np.asarray(np.linalg.lstsq(a, b, rcond=rcond)[0])


def _of_least_squares(x: Any, X: Any, dx: Any, rcond: Any) -> Any:
    (A, B), (dA, dB) = x, dx
    P = pinv(A, rcond=rcond)
    P = P if rcond is None else P * whole(_uncut, A, rcond=rcond)
    total = None if dB is None else P @ dB
    if dA is not None:
        residual = B - A @ X
        part = (P @ P.mT) @ (dA.mT @ residual) - P @ (dA @ X)
        part = part + (dA.mT - (P @ A) @ dA.mT) @ (P.mT @ X)
        total = part if total is None else total + part
    return total


DIFFERENTIALS[_least_squares] = _of_least_squares


@handles(np.linalg.lstsq)
def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    """``np.linalg.lstsq``, recorded: where the rank does not change, and `rcond` cuts rounding alone (else NaN)."""
    columns = np.reshape(b, (-1, 1)) if len(shape_of(b)) == 1 else b
    m, n = shape_of(a)
    X = whole(_least_squares, a, columns, rcond=rcond)
    squares = np.sum((columns - matmul(a, X)) ** 2, axis=0) if m > n else np.empty(0)
    solution = np.reshape(X, (-1,)) if columns is not b else X
    return solution, squares, whole(np.linalg.matrix_rank, a), np.linalg.svdvals(a)


HANDLED[np.linalg.matrix_rank] = partial(whole, np.linalg.matrix_rank)

# determinants -------------------------------------------------------------------------------------------


@handles(np.linalg.det)
def det(a: Any) -> Any:
    """``np.linalg.det``, recorded."""
    return whole(np.linalg.det, square("np.linalg.det", a))


DIFFERENTIALS[np.linalg.det] = lambda x, y, dx: traces(whole(adjugate, x[0]).mT, dx[0])


def left_singular_vectors(A: Array) -> Array:
    """Uᴴ of A = U Σ Vᴴ."""
    return np.asarray(np.linalg.svd(A)[0].conj().mT)


def right_singular_vectors(A: Array) -> Array:
    """V of A = U Σ Vᴴ."""
    return np.asarray(np.linalg.svd(A)[2].conj().mT)


def _of_adjugate(x: Any, Y: Any, dx: Any) -> Any:
    """With A = U Σ Vᴴ: V D Uᴴ, where D is the differential of adj(Σ) in the direction F = Uᴴ dA V.

    P[i, j] being the product of all singular values but numbers i and j, D[i, j] is −P[i, j] F[i, j], and D[i, i] is
    Σ_j P[i, j] F[j, j]. So it exists where A has no inverse.
    """
    (A,), (dA,) = x, dx
    Uh, V, P = (whole(f, A) for f in (left_singular_vectors, right_singular_vectors, second_products))
    F = Uh @ dA @ V
    sums = P @ np.diagonal(F, 0, -2, -1)[..., None]
    return V @ (np.eye(A.shape[-1], dtype=bool) * sums - P * F) @ Uh


def _no_third(x: Any, y: Any, dx: Any) -> Any:
    raise TracingError("np.linalg.det has no third derivative")


DIFFERENTIALS[adjugate] = _of_adjugate
DIFFERENTIALS |= dict.fromkeys((left_singular_vectors, right_singular_vectors, second_products), _no_third)


def sign_of_det(A: Array) -> Array:
    """The sign of the determinant, 0 of a singular matrix."""
    return np.asarray(np.linalg.slogdet(A)[0])


def log_of_det(A: Array) -> Array:
    """The logarithm of the determinant's absolute value."""
    return np.asarray(np.linalg.slogdet(A)[1])


DIFFERENTIALS[log_of_det] = lambda x, y, dx: traces(whole(np.linalg.inv, x[0]).mT, dx[0])
#: The named tuple that NumPy returns.
SIGN_AND_LOG: Any = type(np.linalg.slogdet(np.eye(1)))


@handles(np.linalg.slogdet)
def slogdet(a: Any) -> Any:
    """``np.linalg.slogdet``, recorded."""
    square("np.linalg.slogdet", a)
    return SIGN_AND_LOG(whole(sign_of_det, a), whole(log_of_det, a))


# powers and products ------------------------------------------------------------------------------------


@handles(np.linalg.matrix_power)
def _matrix_power(a: Any, n: int) -> Any:
    square("np.linalg.matrix_power", a)
    n = index(n)
    if n == 0:
        return np.zeros_like(a) + np.eye(shape_of(a)[-1], dtype=np.float32)
    base, result = inv(a) if n < 0 else a, None
    for bit in f"{abs(n):b}":
        if result is not None:
            result = matmul(result, result)
        if bit == "1":
            result = base if result is None else matmul(result, base)
    return result


@handles(np.linalg.multi_dot)
def _multi_dot(arrays: Any, *, out: Any = None) -> Any:
    if out is not None:
        raise TracingError("np.linalg.multi_dot with out= can't be recorded: leave it out")
    letters = [chr(ord("a") + k) for k in range(len(arrays) + 1)]
    terms = [a + b for a, b in pairwise(letters)]
    first, last = (len(shape_of(arrays[k])) == 1 for k in (0, -1))
    terms[0], terms[-1] = terms[0][first:], terms[-1][: 1 if last else 2]
    return np.einsum(f"{','.join(terms)}->{letters[0][first:]}{letters[-1][last:]}", *arrays)


@handles(np.linalg.tensorinv)
def _tensorinv(a: Any, ind: int = 2) -> Any:
    shape = shape_of(a)
    return np.reshape(inv(np.reshape(a, (size(shape[:ind]), -1))), shape[ind:] + shape[:ind])


@handles(np.linalg.tensorsolve)
def _tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    if axes is not None:
        a = np.moveaxis(a, axes, range(len(shape_of(a)) - len(axes), len(shape_of(a))))
    shape = shape_of(a)[len(shape_of(b)) :]
    return np.reshape(solve(np.reshape(a, (-1, size(shape))), np.ravel(b)), shape)


#: Names of `numpy.linalg` for functions of `numpy`.
for _name in ("outer", "cross", "tensordot"):
    HANDLED[getattr(np.linalg, _name)] = getattr(np, _name)
HANDLED[np.linalg.vecdot] = lambda x1, x2, /, *, axis=-1: np.vecdot(
    np.moveaxis(x1, axis, -1), np.moveaxis(x2, axis, -1)
)
HANDLED[np.linalg.matmul] = lambda x1, x2: matmul(x1, x2)
HANDLED[np.linalg.trace] = lambda x, offset=0: np.trace(x, offset, -2, -1)


def _refused(why: str) -> Any:
    def handler(*args: Any, **kwargs: Any) -> Any:
        raise TracingError(why)

    return handler


for _general in (np.linalg.eig, np.linalg.eigvals):
    HANDLED[_general] = _refused(
        f"np.linalg.{_general.__name__} can't be recorded: eigenvalues of a general matrix may be complex. "
        "Of a symmetric one write np.linalg.eigh; functions of a matrix are in mj.linalg (expm, sqrtm)"
    )
