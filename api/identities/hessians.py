"""Hessians of weighted sums ``Σ W ∘ F(X)``: the differentials of gradients."""

from typing import Any

import numpy as np
import numpy.typing as npt

from matjac import checks
from matjac.conventions import Array
from matjac.differentials import Differential
from matjac.identities.identity import second


@second
def d2_gram_dR(R: npt.ArrayLike, W: npt.ArrayLike) -> Differential:
    """Hessian of ⟨W, RᵀR⟩ = Σ W ∘ RᵀR with respect to R: I ⊗ (W + Wᵀ).

    The gradient is R (W + Wᵀ), its differential dR (W + Wᵀ). The in_shape is ``(m, n)``.
    Source: Magnus and Neudecker, *Matrix Differential Calculus*, chapter 10.

    Parameters
    ----------
    R : array_like, shape (m, n)
        The point, of which the shape alone counts.
    W : array_like, shape (n, n)
        The weights of the entries of RᵀR; entries of the Hessian have their unit.

    Examples
    --------
    >>> mj.d2_gram_dR([[1.0, 2.0]], [[1.0, 2.0], [0.0, 3.0]]).toarray()
    array([[2., 2.],
           [2., 6.]])
    """
    point, weights = checks.array("R", R, 2), checks.square("W", W)
    _alike("W", weights.shape, (point.shape[1],) * 2)
    return Differential(lambda dR, W: dR @ (W + W.T), point.shape, _typed(weights, point), symmetric=True)


@second
def d2_congruence_dX(X: npt.ArrayLike, A: npt.ArrayLike, W: npt.ArrayLike) -> Differential:
    """Hessian of ⟨W, XᵀAX⟩ with respect to X: A ⊗ W + Aᵀ ⊗ Wᵀ.

    The gradient is A X Wᵀ + Aᵀ X W, its differential A dX Wᵀ + Aᵀ dX W. The in_shape is ``(m, n)``.
    Source: Magnus and Neudecker, *Matrix Differential Calculus*, chapter 10.

    Parameters
    ----------
    X : array_like, shape (m, n)
        The point, of which the shape alone counts.
    A : array_like, shape (m, m)
        The matrix in the middle.
    W : array_like, shape (n, n)
        The weights of the entries; entries of the Hessian have the unit of A's times theirs.

    Examples
    --------
    >>> mj.d2_congruence_dX([[1.0], [2.0]], [[1.0, 2.0], [0.0, 3.0]], [[1.0]]).toarray()
    array([[2., 2.],
           [2., 6.]])
    """
    point, matrix, weights = checks.array("X", X, 2), checks.square("A", A), checks.square("W", W)
    _alike("A", matrix.shape, (point.shape[0],) * 2)
    _alike("W", weights.shape, (point.shape[1],) * 2)
    return Differential(
        lambda dX, A, W: A @ dX @ W.T + A.T @ dX @ W, point.shape, _typed(matrix, point), weights, symmetric=True
    )


@second
def d2_factors_dUdV(U: npt.ArrayLike, V: npt.ArrayLike, W: Any) -> Differential:
    """Hessian of ⟨W, UVᵀ⟩ with respect to U and V: the blocks 0, W ⊗ I, Wᵀ ⊗ I, 0.

    The gradients are W V and Wᵀ U, their differentials W dV and Wᵀ dU. The in_shape is ``((m, k), (n, k))``.
    Source: Magnus and Neudecker, *Matrix Differential Calculus*, chapter 10.

    Parameters
    ----------
    U, V : array_like, shapes (m, k) and (n, k)
        The point, of which the shapes alone count.
    W : array_like or scipy.sparse, shape (m, n)
        The weights of the entries of UVᵀ, dense or sparse (a sparse one stays sparse); entries of the Hessian have
        their unit.

    Examples
    --------
    >>> mj.d2_factors_dUdV([[1.0]], [[1.0], [2.0]], [[3.0, 4.0]]).toarray()
    array([[0., 3., 4.],
           [3., 0., 0.],
           [4., 0., 0.]])
    """
    left, right, weights = checks.array("U", U, 2), checks.array("V", V, 2), checks.matrix("W", W)
    _alike("V", right.shape, (right.shape[0], left.shape[1]))
    _alike("W", weights.shape, (left.shape[0], right.shape[0]))
    shapes: Any = (left.shape, right.shape)
    return Differential(lambda dU, dV, W: (W @ dV, W.T @ dU), shapes, _typed(weights, left, right), symmetric=True)


@second
def d2_inv_dA(A: npt.ArrayLike, W: npt.ArrayLike) -> Differential:
    """Hessian of ⟨W, A⁻¹⟩ with respect to A.

    With Y = A⁻¹ the gradient is G = −Yᵀ W Yᵀ, its differential −(Yᵀ dAᵀ G + G dAᵀ Yᵀ). The in_shape is ``(n, n)``.
    Source: *The Matrix Cookbook* (Petersen and Pedersen, 2012), formula (59), for dY.

    Parameters
    ----------
    A : array_like, shape (n, n)
        The point.
    W : array_like, shape (n, n)
        The weights of the entries of A⁻¹; entries of the Hessian have their unit over that of A cubed.

    Raises
    ------
    numpy.linalg.LinAlgError
        If A is singular.

    Examples
    --------
    >>> mj.d2_inv_dA([[2.0]], [[1.0]]).toarray()
    array([[0.25]])
    """
    matrix, weights = checks.square("A", A), checks.square("W", W)
    _alike("W", weights.shape, matrix.shape)
    T = np.linalg.inv(matrix).T
    return Differential(
        lambda dA, T, G: -(T @ dA.T @ G + G @ dA.T @ T), matrix.shape, T, -T @ weights @ T, symmetric=True
    )


@second
def d2_logdet_dA(A: npt.ArrayLike) -> Differential:
    """Hessian of log|det A| with respect to A: −(Yᵀ ⊗ Y) K with Y = A⁻¹ and the commutation matrix K.

    The gradient is Yᵀ, its differential −(Y dA Y)ᵀ. The in_shape is ``(n, n)``.
    Source: Magnus and Neudecker, *Matrix Differential Calculus*, chapter 10.

    Parameters
    ----------
    A : array_like, shape (n, n)
        The point; entries of the Hessian have its unit to the power −2.

    Raises
    ------
    numpy.linalg.LinAlgError
        If A is singular.

    Examples
    --------
    >>> mj.d2_logdet_dA([[2.0]]).toarray()
    array([[-0.25]])
    """
    matrix = checks.square("A", A)
    return Differential(lambda dA, T: -(T @ dA.T @ T), matrix.shape, np.linalg.inv(matrix).T, symmetric=True)


@second
def d2_quadratic_dx(A: Any) -> Differential:
    """Hessian of xᵀAx with respect to x: A + Aᵀ.

    The in_shape is ``(n,)``. Source: *The Matrix Cookbook* (Petersen and Pedersen, 2012), formula (98).

    Parameters
    ----------
    A : array_like or scipy.sparse, shape (n, n)
        Dense or sparse (a sparse one stays sparse); entries of the Hessian have its unit.

    Examples
    --------
    >>> mj.d2_quadratic_dx([[1.0, 2.0], [0.0, 3.0]]).toarray()
    array([[2., 2.],
           [2., 6.]])
    """
    matrix = checks.matrix("A", A)
    _alike("A", matrix.shape, (matrix.shape[0],) * 2)
    return Differential(lambda dx, A: A @ dx + A.T @ dx, (matrix.shape[0],), matrix, symmetric=True)


def _alike(name: str, came: Any, expected: Any) -> None:
    if came != expected:
        raise ValueError(f"{name}: got shape {came}, expected {expected}")


def _typed(matrix: Any, *points: Array) -> Any:
    """The matrix in the result type of all arrays, of which the points' numbers do not count."""
    return matrix.astype(np.result_type(matrix.dtype, *(point.dtype for point in points)), copy=False)
