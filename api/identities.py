"""The identities of matrix calculus, each one or two terms."""

import numpy.typing as npt
from matjac import inputs
from matjac.factors import Dense, Select, snapshot
from matjac.jacobian import Jacobian, assemble
from matjac.layout import Layout, Order
from matjac.terms import Sum, grid, swapped


def d_matvec_dA(x: npt.ArrayLike, m: int, *, order: Order = "C", layout: Layout = "numerator") -> Jacobian:
    """Jacobian of f = A x with respect to A: xᵀ in every row, block-diagonally.

    ∂f_i / ∂A_kl = x_l where k = i, else 0; that is I ⊗ xᵀ, with m·n entries.

    Parameters
    ----------
    x : array_like, shape (n,)
        The vector. Entries of the Jacobian have its unit. float32, float64, complex64 and complex128
        stay, integers become float64.
    m : int
        Number of rows of A.
    order : {"C", "F"}, optional
        Order in which the entries of A are counted: row by row, or column by column.
    layout : {"numerator", "denominator"}, optional
        Whether rows are outputs (m × mn), or variables (mn × m).

    Returns
    -------
    Jacobian
        With ``out_shape (m,)`` and ``in_shape (m, n)``.

    Raises
    ------
    TypeError, ValueError
        Where x is not a numeric vector, m not a size, or a keyword none of its words.

    Notes
    -----
    Source: *Mathematics for Machine Learning*, example 5.12, equations (5.85) to (5.92).

    Examples
    --------
    >>> import matjac as mj
    >>> mj.d_matvec_dA([5.0, 7.0], 2).toarray()
    array([[5., 7., 0., 0.],
           [0., 0., 5., 7.]])
    """
    vector = inputs.array("x", x, 1)
    m = inputs.count("m", m)
    term = grid(Select(m), Dense(snapshot(vector)[None, :]))
    return assemble(Sum([term]), (m,), (m, vector.size), order, layout)


def d_gram_dR(R: npt.ArrayLike, *, order: Order = "C", layout: Layout = "numerator") -> Jacobian:
    """Jacobian of K = RᵀR with respect to R: the case split.

    dK = dRᵀ·R + Rᵀ·dR, so that ∂K_pq / ∂R_ij is R_iq where j = p ≠ q, R_ip where j = q ≠ p, 2 R_iq where
    j = p = q, else 0. A row (p, q) has 2m entries, or m where p = q.

    Parameters
    ----------
    R : array_like, shape (m, n)
        The matrix. Entries of the Jacobian have its unit. float32, float64, complex64 and complex128
        stay, integers become float64; a complex R is transposed, not conjugated.
    order : {"C", "F"}, optional
        Order in which the entries of K and of R are counted: row by row, or column by column.
    layout : {"numerator", "denominator"}, optional
        Whether rows are outputs (n² × mn), or variables (mn × n²).

    Returns
    -------
    Jacobian
        With ``out_shape (n, n)`` and ``in_shape (m, n)``.

    Raises
    ------
    TypeError, ValueError
        Where R is not a numeric matrix, or a keyword none of its words.

    Notes
    -----
    Source: *Mathematics for Machine Learning*, example 5.13, equations (5.93) to (5.98).

    Examples
    --------
    >>> import matjac as mj
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
    matrix = inputs.array("R", R, 2)
    m, n = matrix.shape
    u, w = Dense(snapshot(matrix.T)), Select(n)
    return assemble(Sum([swapped(u, w), grid(u, w)]), (n, n), (m, n), order, layout)
