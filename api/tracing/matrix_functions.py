"""Functions of matrices and solutions of matrix equations, as `scipy.linalg` has them; `mj.linalg` names them."""

from typing import Any

import numpy as np
import scipy.linalg

from matjac.conventions import Array
from matjac.linear.solves import Frechet, Sylvester, Triangular, each, schur_forms
from matjac.tracing.arrays import shape_of
from matjac.tracing.linalg import square
from matjac.tracing.recorded import apply, mapped
from matjac.tracing.whole import DIFFERENTIALS, OF_COEFFICIENTS, real, together, whole

# functions of a matrix ----------------------------------------------------------------------------------

#: Those of `scipy.linalg` that a power series makes.
FUNCTIONS = "expm", "logm", "sinm", "cosm", "tanm", "sinhm", "coshm", "tanhm", "signm"


def _function(A: Array, name: str) -> Array:
    found = each(getattr(scipy.linalg, name), A) if name != "expm" else scipy.linalg.expm(A)
    return _as_real(found, A, name)


def _as_real(found: Any, A: Array, name: str) -> Array:
    """Real numbers of a real matrix, which a function need not have."""
    found = np.asarray(found)
    if np.iscomplexobj(found) and not np.iscomplexobj(A):
        if np.any(np.abs(found.imag) > np.sqrt(np.finfo(A.dtype).eps) * np.abs(found).max(initial=0)):
            raise ValueError(f"scipy.linalg.{name}: got a real matrix whose {name} is complex, expected a real one")
        found = found.real
    return np.asarray(found, np.result_type(A, np.float32))


DIFFERENTIALS[_function] = lambda x, y, dx, name: mapped(Frechet(name), dx[0], x[0], axes=2)


def function(name: str, a: Any) -> Any:
    """The function of that name of a matrix, recorded."""
    return whole(_function, square(f"scipy.linalg.{name}", a), name=name)


def _of_frechet(linear: Any, *given: Any) -> Any:
    """By A it is the derivative of the next order, by another direction that of this order."""
    order, function = linear.map.order, linear.map.function
    A, *others, E, _ = given[: order + 2]
    if linear.turned:
        A, others = A.mT, [D.mT for D in others]
    total: Any = 0
    for at, d in enumerate(given[order + 2 :]):
        if d is not None:
            d = d.mT if linear.turned else d
            rest = [*others, E] if at == 0 else [*others[: at - 1], *others[at:], E]
            total = total + mapped(Frechet(function, len(rest) + 1), d, A, *rest, axes=2)
    return total


OF_COEFFICIENTS[Frechet] = _of_frechet


def expm_frechet(a: Any, e: Any) -> Any:
    """The derivative of ``scipy.linalg.expm`` at a in the direction e, recorded."""
    square("scipy.linalg.expm_frechet", a)
    return mapped(Frechet("expm"), e, a, axes=2)


def _square_root(A: Array) -> Array:
    return _as_real(each(scipy.linalg.sqrtm, A), A, "sqrtm")


DIFFERENTIALS[_square_root] = lambda x, Y, dx: _sylvester(Y, Y, dx[0])


def sqrtm(a: Any) -> Any:
    """``scipy.linalg.sqrtm``, recorded: Y dY + dY Y = dA."""
    return whole(_square_root, square("scipy.linalg.sqrtm", a))


# matrix equations ---------------------------------------------------------------------------------------


def _sylvester(A: Any, B: Any, Q: Any) -> Any:
    return mapped(Sylvester(), Q, A, B, together(schur_forms, A, B), axes=2)


def _of_sylvester(linear: Any, A: Any, B: Any, forms: Any, Q: Any, X: Any, dA: Any, dB: Any, _: Any) -> Any:
    parts = []
    if dA is not None:
        parts.append((dA.mT if linear.turned else dA) @ X)
    if dB is not None:
        parts.append(X @ (dB.mT if linear.turned else dB))
    return apply(linear, A, B, forms, -sum(parts), shape=X.shape)


OF_COEFFICIENTS[Sylvester] = _of_sylvester


def solve_sylvester(a: Any, b: Any, q: Any) -> Any:
    """``scipy.linalg.solve_sylvester``, recorded."""
    for matrix in (a, b):
        square("scipy.linalg.solve_sylvester", matrix)
    return _sylvester(a, b, q)


@real
def matrix_of_an_equation(A: Array) -> Array:
    """The matrix itself."""
    return A


@real
def positive_definite_matrix(A: Array) -> Array:
    """The matrix itself."""
    return A


DIFFERENTIALS |= dict.fromkeys((matrix_of_an_equation, positive_definite_matrix), lambda x, y, dx: dx[0])


def solve_continuous_lyapunov(a: Any, q: Any) -> Any:
    """``scipy.linalg.solve_continuous_lyapunov``, recorded."""
    a = whole(matrix_of_an_equation, a)
    return solve_sylvester(a, a.mT, q)


def solve_discrete_lyapunov(a: Any, q: Any) -> Any:
    """``scipy.linalg.solve_discrete_lyapunov``, recorded: by the bilinear transformation."""
    a = whole(matrix_of_an_equation, a)
    eye = np.eye(shape_of(square("scipy.linalg.solve_discrete_lyapunov", a))[-1])
    plus = np.linalg.inv(a.mT + eye)
    b = (a.mT - eye) @ plus
    c = 2 * np.linalg.inv(a + eye) @ q @ plus
    return solve_sylvester(b.mT, b, -c)


@real
def riccati_equation(A: Array, B: Array, Q: Array, R: Array) -> Array:
    """Its solution."""
    return np.asarray(scipy.linalg.solve_continuous_are(A, B, Q, R))


def _of_riccati(x: Any, X: Any, dx: Any) -> Any:
    """``Aᵀ X + X A − X G X + Q = 0`` with G = B R⁻¹ Bᵀ: a Lyapunov equation for dX with A − G X."""
    (A, B, _, R), (dA, dB, dQ, dR) = x, dx
    gain = np.linalg.solve(R, B.mT @ X)
    closed = A - B @ gain
    half: Any = 0
    if dA is not None:
        half = half + X @ dA
    if dB is not None:
        half = half - X @ dB @ gain
    total = half + half.mT if dA is not None or dB is not None else 0
    if dQ is not None:
        total = total + dQ
    if dR is not None:
        total = total + gain.mT @ dR @ gain
    return _sylvester(closed.mT, closed, -total)


DIFFERENTIALS[riccati_equation] = _of_riccati


def solve_continuous_are(a: Any, b: Any, q: Any, r: Any) -> Any:
    """``scipy.linalg.solve_continuous_are``, recorded."""
    return whole(riccati_equation, a, b, q, r)


def _of_triangular(linear: Any, T: Any, b: Any, x: Any, dT: Any) -> Any:
    lower, unit = linear.map.lower, linear.map.unit_diagonal
    read = np.tril(dT, -1 if unit else 0) if lower else np.triu(dT, 1 if unit else 0)
    turned = read.mT if linear.turned else read
    return apply(linear, T, -np.squeeze(turned @ np.expand_dims(x, -1), -1), shape=x.shape)


OF_COEFFICIENTS[Triangular] = _of_triangular


def solve_triangular(a: Any, b: Any, lower: bool, unit_diagonal: bool) -> Any:
    """``scipy.linalg.solve_triangular``, recorded: b is a vector, or a matrix of them, or a stack of such."""
    square("scipy.linalg.solve_triangular", a)
    solve = Triangular(lower, unit_diagonal)
    if len(shape_of(b)) == 1:
        return mapped(solve, b, a)
    # of a stack each column has a matrix of its own
    matrices = a if len(shape_of(a)) == 2 else np.expand_dims(a, -3)
    return mapped(solve, b.mT, matrices).mT
