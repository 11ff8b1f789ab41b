"""Quadratic functions: Gram matrices, congruences and forms."""

from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from matjac import checks
from matjac.conventions import Array
from matjac.differentials import Differential
from matjac.identities.identity import identity

Triangle: TypeAlias = Literal["upper", "lower"]


def _half(n: int, triangle: Triangle | None) -> Array | None:
    """A mask of one triangle of an n × n matrix, with its diagonal; None is the whole matrix."""
    if triangle is None:
        return None
    checks.one_of("triangle", triangle, ("upper", "lower"))
    lower = np.tri(n, dtype=np.bool)
    return lower if triangle == "lower" else lower.T


@identity
def d_gram_dR(R: npt.ArrayLike, *, triangle: Triangle | None = None) -> Differential:
    """Jacobian of K = RᵀR with respect to R: the case split.

    dK = dRᵀ R + Rᵀ dR, so that ∂K_pq / ∂R_ij is R_iq where j = p ≠ q, R_ip where j = q ≠ p, 2 R_iq where j = p = q,
    else 0. A row (p, q) has 2m entries, or m where p = q.
    The out_shape is ``(n, n)``, or ``(n(n+1)/2,)`` for a triangle, the in_shape ``(m, n)``.
    Source: *Mathematics for Machine Learning* (Deisenroth, Faisal, Ong), example 5.13, equations (5.93) to (5.98).

    Parameters
    ----------
    R : array_like, shape (m, n)
        The matrix; entries of the Jacobian have its unit. A complex R is transposed, not conjugated.
    triangle : {None, "upper", "lower"}, optional
        Keep only the entries of K with p ≤ q, or with p ≥ q, as a vector (half-vec): K is symmetric.

    Examples
    --------
    >>> J = mj.d_gram_dR([[1.0, 2.0]])
    >>> J.toarray()
    array([[2., 0.],
           [2., 1.],
           [2., 1.],
           [0., 4.]])
    >>> J.normal().toarray()
    array([[12.,  4.],
           [ 4., 18.]])
    """
    matrix = checks.array("R", R, 2)
    kept = _half(matrix.shape[1], triangle)
    return Differential(lambda dR, R: dR.T @ R + R.T @ dR, matrix.shape, matrix, take=kept)


@identity
def d_outer_gram_dR(R: npt.ArrayLike, *, triangle: Triangle | None = None) -> Differential:
    """Jacobian of K = RRᵀ with respect to R: the case split, row by row.

    dK = dR Rᵀ + R dRᵀ, so that ∂K_pq / ∂R_ij is R_qj where i = p ≠ q, R_pj where i = q ≠ p, 2 R_pj where i = p = q,
    else 0. The out_shape is ``(m, m)``, or ``(m(m+1)/2,)`` for a triangle, the in_shape ``(m, n)``.
    Source: *Mathematics for Machine Learning* (Deisenroth, Faisal, Ong), example 5.13, for Rᵀ in place of R.

    Parameters
    ----------
    R : array_like, shape (m, n)
        The matrix; entries of the Jacobian have its unit. A complex R is transposed, not conjugated.
    triangle : {None, "upper", "lower"}, optional
        Keep only the entries of K with p ≤ q, or with p ≥ q, as a vector (half-vec): K is symmetric.

    Examples
    --------
    >>> mj.d_outer_gram_dR([[1.0], [2.0]], triangle="lower").toarray()
    array([[2., 0.],
           [2., 1.],
           [0., 4.]])
    """
    matrix = checks.array("R", R, 2)
    kept = _half(matrix.shape[0], triangle)
    return Differential(lambda dR, R: dR @ R.T + R @ dR.T, matrix.shape, matrix, take=kept)


@identity
def d_congruence_dX(X: npt.ArrayLike, A: npt.ArrayLike) -> Differential:
    """Jacobian of Y = XᵀAX with respect to X: two terms, merged like those of RᵀR.

    dY = dXᵀ (AX) + (XᵀA) dX, so that ∂Y_pq / ∂X_ij is (AX)_iq where j = p, plus (XᵀA)_pi where j = q.
    The out_shape is ``(n, n)``, the in_shape ``(m, n)``.
    Source: *The Matrix Cookbook* (Petersen and Pedersen, 2012), formula (79).

    Parameters
    ----------
    X : array_like, shape (m, n)
        The point; entries of the Jacobian have the unit of A times X.
    A : array_like or scipy.sparse, shape (m, m)
        Need not be symmetric. Its products with X are dense.

    Examples
    --------
    >>> mj.d_congruence_dX([[1.0, 2.0]], [[3.0]]).toarray()
    array([[ 6.,  0.],
           [ 6.,  3.],
           [ 6.,  3.],
           [ 0., 12.]])
    """
    point = checks.array("X", X, 2)
    form = checks.matrix("A", A, (point.shape[0], point.shape[0]))
    return Differential(lambda dX, AX, XA: dX.T @ AX + XA @ dX, point.shape, form @ point, point.T @ form)


@identity
def d_bilinear_dX(a: npt.ArrayLike, b: npt.ArrayLike) -> Differential:
    """Jacobian of y = aᵀXb with respect to X: the row (vec abᵀ)ᵀ.

    dy = aᵀ dX b, so that ∂y / ∂X_ij is a_i b_j: the gradient is abᵀ in denominator layout, baᵀ in numerator layout.
    The out_shape is ``()``, the in_shape ``(m, n)``.
    Source: *Mathematics for Machine Learning* (Deisenroth, Faisal, Ong), equation (5.106).

    Parameters
    ----------
    a : array_like, shape (m,)
        The vector on the left; entries of the Jacobian have the unit of a times b.
    b : array_like, shape (n,)
        The vector on the right.

    Examples
    --------
    >>> mj.d_bilinear_dX([1.0, 2.0], [3.0, 5.0]).gradient()
    array([[ 3.,  6.],
           [ 5., 10.]])
    """
    left, right = checks.array("a", a, 1), checks.array("b", b, 1)
    return Differential(lambda dX, a, b: a @ dX @ b, (left.size, right.size), left, right)


@identity
def d_quadratic_dx(A: npt.ArrayLike, x: npt.ArrayLike) -> Differential:
    """Jacobian of y = xᵀAx with respect to x: xᵀ(A + Aᵀ).

    dy = xᵀ(A + Aᵀ) dx, so that ∂y / ∂x_k is Σ_i (A_ki + A_ik) x_i; the row is 2xᵀA where A is symmetric.
    The out_shape is ``()``, the in_shape ``(n,)``.
    Source: *Mathematics for Machine Learning* (Deisenroth, Faisal, Ong), equation (5.107).

    Parameters
    ----------
    A : array_like or scipy.sparse, shape (n, n)
        Dense or sparse; need not be symmetric.
    x : array_like, shape (n,)
        The point; entries of the Jacobian have the unit of A times x.

    Examples
    --------
    >>> mj.d_quadratic_dx([[1.0, 2.0], [0.0, 3.0]], [1.0, 1.0]).toarray()
    array([[4., 8.]])
    """
    point = checks.array("x", x, 1)
    form = checks.matrix("A", A, (point.size, point.size))
    return Differential(lambda dx, gradient: gradient @ dx, point.shape, form @ point + form.T @ point)


@identity
def d_quadratic_dA(x: npt.ArrayLike) -> Differential:
    """Jacobian of y = xᵀAx with respect to A: the row (vec xxᵀ)ᵀ.

    dy = xᵀ dA x, so that ∂y / ∂A_ij is x_i x_j. The out_shape is ``()``, the in_shape ``(n, n)``.
    Source: *Mathematics for Machine Learning* (Deisenroth, Faisal, Ong), equation (5.106), with a = b = x.

    Parameters
    ----------
    x : array_like, shape (n,)
        The vector; entries of the Jacobian have its unit squared.

    Examples
    --------
    >>> mj.d_quadratic_dA([1.0, 2.0]).toarray()
    array([[1., 2., 2., 4.]])
    """
    vector = checks.array("x", x, 1)
    return Differential(lambda dA, x: x @ dA @ x, (vector.size, vector.size), vector)


@identity
def d_sqnorm_dx(x: npt.ArrayLike) -> Differential:
    """Jacobian of y = ‖x‖² = xᵀx with respect to x: 2xᵀ.

    dy = 2xᵀ dx, so that ∂y / ∂x_k is 2 x_k; for a complex x, of xᵀx (not conjugated).
    The out_shape is ``()``, the in_shape ``(n,)``.
    Source: *Mathematics for Machine Learning* (Deisenroth, Faisal, Ong), equation (5.107), with B = I.

    Parameters
    ----------
    x : array_like, shape (n,)
        The point; entries of the Jacobian have its unit.

    Examples
    --------
    >>> mj.d_sqnorm_dx([1.0, 2.0]).toarray()
    array([[2., 4.]])
    """
    point = checks.array("x", x, 1)
    return Differential(lambda dx, x: 2 * (x @ dx), point.shape, point)
