"""Trace, determinant and inverse of a matrix."""

import numpy as np
import numpy.typing as npt

from matjac import inputs
from matjac.adjugate import adjugate
from matjac.factors import Dense, Factor, Select, factor
from matjac.jacobian import Jacobian, assemble
from matjac.layout import Array, Layout, Order, size
from matjac.terms import grid


def d_trace_dX(A: npt.ArrayLike, *, order: Order = "C", layout: Layout = "numerator") -> Jacobian:
    """Jacobian of y = tr(A X) with respect to X: the row (vec Aᵀ)ᵀ.

    dy = tr(A dX), so that ∂y / ∂X_ij = A_ji: the gradient is A in numerator layout.

    Parameters
    ----------
    A : array_like or scipy.sparse, shape (n, m)
        Dense or sparse (a sparse one stays sparse); entries of the Jacobian have its unit.
    order : {"C", "F"}, optional
        Order in which entries are counted: row by row, or column by column.
    layout : {"numerator", "denominator"}, optional
        Whether rows are outputs, or variables.

    Returns
    -------
    Jacobian
        With out_shape ``()`` and in_shape ``(m, n)``.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as said.

    Notes
    -----
    Source: *An introduction to matrix calculus* (the second text), the definition of the differential.

    Examples
    --------
    >>> import matjac as mj
    >>> mj.d_trace_dX([[1.0, 2.0], [3.0, 4.0]]).gradient()
    array([[1., 2.],
           [3., 4.]])
    """
    return _gradient(inputs.factor("A", A).T, order, layout)


def d_det_dA(A: npt.ArrayLike, *, order: Order = "C", layout: Layout = "numerator") -> Jacobian:
    """Jacobian of y = det A with respect to A: Jacobi's formula.

    d det A = tr(adj(A) dA), so that ∂y / ∂A_ij is the cofactor of A_ij: the gradient is adj(A) in numerator
    layout, also for a singular A.

    Parameters
    ----------
    A : array_like, shape (n, n)
        The point; entries of the Jacobian have its unit to the power n − 1.
    order : {"C", "F"}, optional
        Order in which entries are counted: row by row, or column by column.
    layout : {"numerator", "denominator"}, optional
        Whether rows are outputs, or variables.

    Returns
    -------
    Jacobian
        With out_shape ``()`` and in_shape ``(n, n)``.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as said.

    Notes
    -----
    Source: *An introduction to matrix calculus* (the second text), Jacobi's formula; for singular matrices
    Stewart, *On the adjugate matrix*, 1998.

    Examples
    --------
    >>> import matjac as mj
    >>> mj.d_det_dA([[1.0, 2.0], [3.0, 4.0]]).gradient().round(12)
    array([[ 4., -2.],
           [-3.,  1.]])
    >>> mj.d_det_dA([[1.0, 0.0], [0.0, 0.0]]).gradient().round(12) + 0.0
    array([[0., 0.],
           [0., 1.]])
    """
    return _gradient(Dense(adjugate(inputs.square("A", A)).T), order, layout)


def d_logdet_dA(A: npt.ArrayLike, *, order: Order = "C", layout: Layout = "numerator") -> Jacobian:
    """Jacobian of y = log|det A| with respect to A: the row (vec A⁻ᵀ)ᵀ.

    dy = tr(A⁻¹ dA): the gradient is A⁻¹ in numerator layout. For a complex A, of log det A, which is
    holomorphic where log|det A| is not.

    Parameters
    ----------
    A : array_like, shape (n, n)
        The point; entries of the Jacobian have the inverse of its unit.
    order : {"C", "F"}, optional
        Order in which entries are counted: row by row, or column by column.
    layout : {"numerator", "denominator"}, optional
        Whether rows are outputs, or variables.

    Returns
    -------
    Jacobian
        With out_shape ``()`` and in_shape ``(n, n)``.

    Raises
    ------
    TypeError, ValueError, numpy.linalg.LinAlgError
        Where A is not as said, or singular.

    Notes
    -----
    Source: *An introduction to matrix calculus* (the second text), Jacobi's formula divided by det A.

    Examples
    --------
    >>> import matjac as mj
    >>> mj.d_logdet_dA([[2.0, 0.0], [0.0, 4.0]]).gradient()
    array([[0.5 , 0.  ],
           [0.  , 0.25]])
    """
    return _gradient(Dense(_inverse(A).T), order, layout)


def d_inv_dA(A: npt.ArrayLike, *, order: Order = "C", layout: Layout = "numerator") -> Jacobian:
    """Jacobian of Y = A⁻¹ with respect to A: −A⁻¹ ⊗ A⁻ᵀ.

    dY = −A⁻¹ dA A⁻¹, so that ∂Y_ij / ∂A_kl = −Y_ik Y_lj. The matrix is dense, with n⁴ entries: products cost
    two small matrix products, and only `tocsr` and its kin make it.

    Parameters
    ----------
    A : array_like, shape (n, n)
        The point; entries of the Jacobian have the inverse of its unit squared.
    order : {"C", "F"}, optional
        Order in which entries are counted: row by row, or column by column.
    layout : {"numerator", "denominator"}, optional
        Whether rows are outputs, or variables.

    Returns
    -------
    Jacobian
        With out_shape and in_shape ``(n, n)``.

    Raises
    ------
    TypeError, ValueError, numpy.linalg.LinAlgError
        Where A is not as said, or singular.

    Notes
    -----
    Source: *An introduction to matrix calculus* (the second text), the product rule for A A⁻¹ = I.

    Examples
    --------
    >>> import matjac as mj
    >>> mj.d_inv_dA([[2.0]]).toarray()
    array([[-0.25]])
    """
    inverse = _inverse(A)
    u, w = Dense(-inverse), Dense(np.ascontiguousarray(inverse.T))
    return assemble([grid(u, w)], inverse.shape, inverse.shape, order, layout)


def _gradient(gradient: Factor, order: Order, layout: Layout) -> Jacobian:
    """The Jacobian of a scalar function from its gradient in denominator layout."""
    inputs.conventions(order, layout)
    row = factor(gradient.matrix.reshape((1, size(gradient.shape)), order=order))
    return assemble([grid(row, Select(1))], (), gradient.shape, order, layout)


def _inverse(A: npt.ArrayLike) -> Array:
    matrix = inputs.square("A", A)
    try:
        return np.linalg.inv(matrix)
    except np.linalg.LinAlgError:
        raise np.linalg.LinAlgError(
            f"A: got a singular matrix of shape {matrix.shape}, expected a regular one"
        ) from None
