"""Trace, determinant and inverse of a matrix."""

import numpy as np
import numpy.typing as npt

from matjac import checks
from matjac.conventions import Array
from matjac.differentials import Differential
from matjac.identities.identity import identity, inner
from matjac.linear.adjugate import adjugate


@identity
def d_trace_dX(A: npt.ArrayLike) -> Differential:
    """Jacobian of y = tr(A X) with respect to X: the row (vec Aᵀ)ᵀ.

    dy = tr(A dX), so that ∂y / ∂X_ij is A_ji: the gradient is A in numerator layout.
    The out_shape is ``()``, the in_shape ``(m, n)``.
    Source: *The Matrix Cookbook* (Petersen and Pedersen, 2012), formula (36).

    Parameters
    ----------
    A : array_like or scipy.sparse, shape (n, m)
        Dense or sparse (a sparse one stays sparse); entries of the Jacobian have its unit.

    Examples
    --------
    >>> mj.d_trace_dX([[1.0, 2.0], [3.0, 4.0]]).gradient()
    array([[1., 2.],
           [3., 4.]])
    """
    matrix = checks.matrix("A", A)
    return Differential(lambda dX, A: inner(A.T, dX), matrix.shape[::-1], matrix)


@identity
def d_det_dA(A: npt.ArrayLike) -> Differential:
    """Jacobian of y = det A with respect to A: Jacobi's formula.

    dy = tr(adj(A) dA), so that ∂y / ∂A_ij is the cofactor of A_ij: the gradient is adj(A) in numerator layout, also for
    a singular A. The out_shape is ``()``, the in_shape ``(n, n)``.
    Source: *The Matrix Cookbook* (Petersen and Pedersen, 2012), formula (41); for singular matrices Stewart, *On the
    adjugate matrix*, 1998.

    Parameters
    ----------
    A : array_like, shape (n, n)
        The point; entries of the Jacobian have its unit to the power n − 1.

    Examples
    --------
    >>> mj.d_det_dA([[1.0, 2.0], [3.0, 4.0]]).gradient().round(12)
    array([[ 4., -2.],
           [-3.,  1.]])
    >>> mj.d_det_dA([[1.0, 0.0], [0.0, 0.0]]).gradient().round(12) + 0.0
    array([[0., 0.],
           [0., 1.]])
    """
    matrix = checks.square("A", A)
    return Differential(lambda dA, adj: inner(adj.T, dA), matrix.shape, adjugate(matrix))


@identity
def d_logdet_dA(A: npt.ArrayLike) -> Differential:
    """Jacobian of y = log|det A| with respect to A: the row (vec A⁻ᵀ)ᵀ.

    dy = tr(A⁻¹ dA), so that ∂y / ∂A_ij is (A⁻¹)_ji: the gradient is A⁻¹ in numerator layout. For a complex A, of
    log det A, which is holomorphic where log|det A| is not. The out_shape is ``()``, the in_shape ``(n, n)``.
    Source: *The Matrix Cookbook* (Petersen and Pedersen, 2012), formula (43).

    Parameters
    ----------
    A : array_like, shape (n, n)
        The point; entries of the Jacobian have the inverse of its unit.

    Raises
    ------
    numpy.linalg.LinAlgError
        If A is singular.

    Examples
    --------
    >>> mj.d_logdet_dA([[2.0, 0.0], [0.0, 4.0]]).gradient()
    array([[0.5 , 0.  ],
           [0.  , 0.25]])
    """
    inverse = _inverse(A)
    return Differential(lambda dA, Y: inner(Y.T, dA), inverse.shape, inverse)


@identity
def d_inv_dA(A: npt.ArrayLike) -> Differential:
    """Jacobian of Y = A⁻¹ with respect to A: −A⁻¹ ⊗ A⁻ᵀ.

    dY = −A⁻¹ dA A⁻¹, so that ∂Y_ij / ∂A_kl is −Y_ik Y_lj. The matrix is dense, with n⁴ entries: products cost two small
    matrix products, and only `tocsr` and its kin make it. The out_shape and the in_shape are ``(n, n)``.
    Source: *Mathematics for Machine Learning* (Deisenroth, Faisal, Ong), equation (5.102).

    Parameters
    ----------
    A : array_like, shape (n, n)
        The point; entries of the Jacobian have the inverse of its unit squared.

    Raises
    ------
    numpy.linalg.LinAlgError
        If A is singular.

    Examples
    --------
    >>> mj.d_inv_dA([[2.0]]).toarray()
    array([[-0.25]])
    """
    inverse = _inverse(A)
    return Differential(lambda dA, Y: -Y @ dA @ Y, inverse.shape, inverse)


def _inverse(A: npt.ArrayLike) -> Array:
    """The inverse of the argument A."""
    matrix = checks.square("A", A)
    try:
        return np.linalg.inv(matrix)
    except np.linalg.LinAlgError:
        raise np.linalg.LinAlgError(
            f"A: got a singular matrix of shape {matrix.shape}, expected a regular one"
        ) from None
