"""Least squares: residuals, and half their squared norm."""

import numpy.typing as npt

from matjac import inputs
from matjac.factors import Dense, Select
from matjac.jacobian import Jacobian, assemble
from matjac.layout import Layout, Order
from matjac.terms import grid


def d_residual_dw(X: npt.ArrayLike, *, order: Order = "C", layout: Layout = "numerator") -> Jacobian:
    """Jacobian of r = y − X w with respect to w: −X.

    ∂r_i / ∂w_j = −X_ij.

    Parameters
    ----------
    X : array_like or scipy.sparse, shape (n, p)
        The data; dense or sparse (a sparse one stays sparse). Entries of the Jacobian have its unit.
    order : {"C", "F"}, optional
        Order in which entries are counted: row by row, or column by column.
    layout : {"numerator", "denominator"}, optional
        Whether rows are outputs, or variables.

    Returns
    -------
    Jacobian
        With out_shape ``(n,)`` and in_shape ``(p,)``.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as said.

    Notes
    -----
    Source: *An introduction to matrix calculus* (the second text), the least-squares example.

    Examples
    --------
    >>> import matjac as mj
    >>> mj.d_residual_dw([[1.0, 2.0]]).toarray()
    array([[-1., -2.]])
    """
    u = inputs.factor("X", X).times(-1)
    return assemble([grid(u, Select(1))], u.shape[:1], u.shape[1:], order, layout)


def d_residual_dX(w: npt.ArrayLike, n: int, *, order: Order = "C", layout: Layout = "numerator") -> Jacobian:
    """Jacobian of r = y − X w with respect to X: −(I ⊗ wᵀ).

    ∂r_i / ∂X_kl = −w_l where k = i, else 0.

    Parameters
    ----------
    w : array_like, shape (p,)
        The coefficients; entries of the Jacobian have its unit.
    n : int
        Number of rows of X.
    order : {"C", "F"}, optional
        Order in which entries are counted: row by row, or column by column.
    layout : {"numerator", "denominator"}, optional
        Whether rows are outputs, or variables.

    Returns
    -------
    Jacobian
        With out_shape ``(n,)`` and in_shape ``(n, p)``.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as said.

    Notes
    -----
    Source: *Mathematics for Machine Learning*, example 5.12, negated.

    Examples
    --------
    >>> import matjac as mj
    >>> mj.d_residual_dX([5.0, 7.0], 2).toarray()
    array([[-5., -7.,  0.,  0.],
           [ 0.,  0., -5., -7.]])
    """
    vector, n = inputs.array("w", w, 1), inputs.count("n", n)
    term = grid(Select(n), Dense(-vector[None, :]))
    return assemble([term], (n,), (n, vector.size), order, layout)


def d_halfsq_dw(
    X: npt.ArrayLike, y: npt.ArrayLike, w: npt.ArrayLike, *, order: Order = "C", layout: Layout = "numerator"
) -> Jacobian:
    """Jacobian of L = ½‖y − X w‖² with respect to w: −(y − X w)ᵀX.

    ∂L / ∂w_j = −Σ_i (y_i − Σ_k X_ik w_k) X_ij; zero at the least-squares solution. (The second text prints it
    without the minus.) For complex data, of ½ Σ r² (not conjugated).

    Parameters
    ----------
    X : array_like or scipy.sparse, shape (n, p)
        The data, dense or sparse.
    y : array_like, shape (n,)
        The observations; entries of the Jacobian have the unit of y times X.
    w : array_like, shape (p,)
        The point.
    order : {"C", "F"}, optional
        Order in which entries are counted: row by row, or column by column.
    layout : {"numerator", "denominator"}, optional
        Whether rows are outputs, or variables.

    Returns
    -------
    Jacobian
        With out_shape ``()`` and in_shape ``(p,)``.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as said.

    Notes
    -----
    Source: *An introduction to matrix calculus* (the second text), the least-squares example, its sign corrected.

    Examples
    --------
    >>> import matjac as mj
    >>> mj.d_halfsq_dw([[1.0], [1.0]], [2.0, 4.0], [3.0]).toarray()
    array([[0.]])
    >>> mj.d_halfsq_dw([[1.0], [1.0]], [2.0, 4.0], [4.0]).toarray()
    array([[2.]])
    """
    observed, point = inputs.array("y", y, 1), inputs.array("w", w, 1)
    data = inputs.factor("X", X, (observed.size, point.size))
    residual = observed[:, None] - data.left(point[:, None])
    u = Dense(-data.T.left(residual).T)
    return assemble([grid(u, Select(1))], (), point.shape, order, layout)
