"""Linear algebra: functions of whole matrices, each with its differential, the rule."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from matjac.linear.adjugate import adjugate, second_products
from matjac.linear.program import Primitive
from matjac.tracing.recorded import Recorded, Symbol, TracingError, apply, handles, reshaped, shape_of


@dataclass(frozen=True)
class OfMatrix(Primitive):
    """A function of one matrix, or of two, by its name in FUNCTIONS."""

    function: str

    @property
    def name(self) -> str:
        return self.function

    def value(self, *operands: Any) -> Any:
        return np.asarray(FUNCTIONS[self.function](*operands))


#: What is computed, by name.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "inverse": np.linalg.inv,
    "solve": np.linalg.solve,
    "det": np.linalg.det,
    "adjugate": adjugate,
    "left singular vectors": lambda A: np.linalg.svd(A)[0].conj().T,
    "right singular vectors": lambda A: np.linalg.svd(A)[2].conj().T,
    "adjugate's second products": second_products,
    "sign of det": lambda A: np.linalg.slogdet(A)[0],
    "logdet": lambda A: np.linalg.slogdet(A)[1],
}
#: The differentials, of the operands, the value and the operands' differentials (None where there is none).
RULES: dict[str, Callable[..., Any]] = {
    "inverse": lambda A, Y, dA: -Y @ dA @ Y,
    "solve": lambda A, B, X, dA, dB: _of_matrix("inverse", A) @ _difference(dB, None if dA is None else dA @ X),
    "det": lambda A, y, dA: np.sum(_of_matrix("adjugate", A).T * dA),
    "logdet": lambda A, y, dA: np.sum(_of_matrix("inverse", A).T * dA),
    "adjugate": lambda A, Y, dA: _of_adjugate(A, dA),
}


def _of_adjugate(A: Any, dA: Any) -> Any:
    """With A = U Σ Vᴴ: V D Uᴴ, where D is the differential of adj(Σ) in the direction F = Uᴴ dA V.

    P[i, j] being the product of all singular values but numbers i and j, D[i, j] is −P[i, j] F[i, j], and D[i, i] is
    Σ_j P[i, j] F[j, j]. So it exists where A has no inverse.
    """
    Uh, V, P = (_of_matrix(name, A) for name in _SECOND)
    F = Uh @ dA @ V
    return V @ (np.diag(P @ np.diagonal(F)) - P * F) @ Uh


_SECOND = "left singular vectors", "right singular vectors", "adjugate's second products"


def _difference(first: Any, second: Any) -> Any:
    if second is None:
        return first
    return -second if first is None else first - second


def differential(primitive: OfMatrix, x: Sequence[Any], y: Any, dx: Sequence[Any]) -> Any:
    """The differential, None where it is zero wherever there is one (a sign's)."""
    if primitive.function in _SECOND:
        raise TracingError("np.linalg.det has no third derivative")
    rule = RULES.get(primitive.function)
    return None if rule is None else rule(*x, y, *dx)


def _of_matrix(name: str, *operands: Any) -> Any:
    if not any(isinstance(x, Recorded) for x in operands):
        return FUNCTIONS[name](*operands)
    return apply(OfMatrix(name), *operands)


def _square(a: Any) -> Any:
    if isinstance(a, Symbol):
        raise TracingError("a function of a differential is not linear")
    if len(shape_of(a)) != 2:
        raise TracingError("np.linalg functions of a stack of matrices can't be recorded: take each, and np.stack them")
    return a


@handles(np.linalg.inv)
def inv(a: Any) -> Any:
    """``np.linalg.inv``, recorded."""
    return _of_matrix("inverse", _square(a))


@handles(np.linalg.det)
def det(a: Any) -> Any:
    """``np.linalg.det``, recorded."""
    return _of_matrix("det", _square(a))


#: The named tuple that NumPy returns.
SIGN_AND_LOG: Any = type(np.linalg.slogdet(np.eye(1)))


@handles(np.linalg.slogdet)
def slogdet(a: Any) -> Any:
    """``np.linalg.slogdet``, recorded."""
    return SIGN_AND_LOG(_of_matrix("sign of det", _square(a)), _of_matrix("logdet", a))


@handles(np.linalg.solve)
def solve(a: Any, b: Any) -> Any:
    """``np.linalg.solve``, recorded."""
    _square(a)
    if len(shape_of(b)) > 2:
        raise TracingError("np.linalg.solve of a stack can't be recorded: solve each, and np.stack them")
    if isinstance(b, Symbol):
        return _of_matrix("inverse", a) @ b
    if len(shape_of(b)) == 1:
        (n,) = shape_of(b)
        return reshaped(_of_matrix("solve", a, reshaped(b, (n, 1))), (n,))
    return _of_matrix("solve", a, b)


@handles(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """``np.linalg.norm``, recorded."""
    axes = x.ndim if axis is None else len(axis) if isinstance(axis, tuple) else 1
    if ord not in (None, 2, "fro") or (ord == 2 and axes > 1):
        raise TracingError(f"np.linalg.norm with ord={ord!r} can't be recorded: only the Euclidean and Frobenius norms")
    return np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims))
