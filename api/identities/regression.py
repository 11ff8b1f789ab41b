"""Least squares: residuals, and half their squared norm."""

import numpy.typing as npt

from matjac import checks
from matjac.differentials import Differential
from matjac.identities.identity import identity


@identity
def d_residual_dw(X: npt.ArrayLike) -> Differential:
    """Jacobian of r = y − X w with respect to w: −X.

    dr = −X dw, so that ∂r_i / ∂w_j is −X_ij. The out_shape is ``(n,)``, the in_shape ``(p,)``.
    Source: *Mathematics for Machine Learning* (Deisenroth, Faisal, Ong), example 5.11: ∂e / ∂θ = −Φ.

    Parameters
    ----------
    X : array_like or scipy.sparse, shape (n, p)
        The data; dense or sparse (a sparse one stays sparse). Entries of the Jacobian have its unit.

    Examples
    --------
    >>> mj.d_residual_dw([[1.0, 2.0]]).toarray()
    array([[-1., -2.]])
    """
    data = checks.matrix("X", X)
    return Differential(lambda dw, X: -(X @ dw), data.shape[1:], data)


@identity
def d_residual_dX(w: npt.ArrayLike, n: int) -> Differential:
    """Jacobian of r = y − X w with respect to X: −(I ⊗ wᵀ).

    dr = −dX w, so that ∂r_i / ∂X_kl is −w_l where k = i, else 0. The out_shape is ``(n,)``, the in_shape ``(n, p)``.
    Source: *Mathematics for Machine Learning* (Deisenroth, Faisal, Ong), example 5.12, negated.

    Parameters
    ----------
    w : array_like, shape (p,)
        The coefficients; entries of the Jacobian have their unit.
    n : int
        Number of rows of X.

    Examples
    --------
    >>> mj.d_residual_dX([5.0, 7.0], 2).toarray()
    array([[-5., -7.,  0.,  0.],
           [ 0.,  0., -5., -7.]])
    """
    coefficients, n = checks.array("w", w, 1), checks.count("n", n)
    return Differential(lambda dX, w: -(dX @ w), (n, coefficients.size), coefficients)


@identity
def d_halfsq_dw(X: npt.ArrayLike, y: npt.ArrayLike, w: npt.ArrayLike) -> Differential:
    """Jacobian of L = ½‖y − X w‖² with respect to w: −(y − X w)ᵀX.

    dL = −(y − X w)ᵀX dw, so that ∂L / ∂w_j is −Σ_i (y_i − Σ_k X_ik w_k) X_ij, which is zero at the least-squares
    solution. Some texts omit the minus sign, which comes from d(y − X w) = −X dw. For complex data, of ½ Σ r² (not
    conjugated). The out_shape is ``()``, the in_shape ``(p,)``.
    Source: *Mathematics for Machine Learning* (Deisenroth, Faisal, Ong), equation (5.108), halved, with W = I.

    Parameters
    ----------
    X : array_like or scipy.sparse, shape (n, p)
        The data, dense or sparse.
    y : array_like, shape (n,)
        The observations; entries of the Jacobian have the unit of y times X.
    w : array_like, shape (p,)
        The point.

    Examples
    --------
    >>> mj.d_halfsq_dw([[1.0], [1.0]], [2.0, 4.0], [3.0]).toarray()
    array([[0.]])
    >>> mj.d_halfsq_dw([[1.0], [1.0]], [2.0, 4.0], [4.0]).toarray()
    array([[2.]])
    """
    observed, point = checks.array("y", y, 1), checks.array("w", w, 1)
    data = checks.matrix("X", X, (observed.size, point.size))
    return Differential(lambda dw, gradient: gradient @ dw, point.shape, data.T @ (data @ point - observed))
