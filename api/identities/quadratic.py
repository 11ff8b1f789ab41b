"""Quadratic functions: Gram matrices, congruences and forms."""

from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from matjac import inputs
from matjac.factors import Dense, Select, snapshot
from matjac.jacobian import Jacobian, assemble
from matjac.layout import Array, Layout, Order, Shape, parts
from matjac.terms import grid, swapped

Triangle: TypeAlias = Literal["upper", "lower"]


def _triangle(J: Jacobian, triangle: Triangle | None) -> Jacobian:
    """The rows of one triangle of a symmetric K."""
    if triangle is None:
        return J
    inputs.one_of("triangle", triangle, ("upper", "lower"))
    keep = np.triu if triangle == "upper" else np.tril
    return J.take(keep(np.ones(parts(J.out_shape)[0], dtype=np.bool)))


def d_gram_dR(
    R: npt.ArrayLike, *, triangle: Triangle | None = None, order: Order = "C", layout: Layout = "numerator"
) -> Jacobian:
    """Jacobian of K = RᵀR with respect to R: the case split.

    dK = dRᵀ·R + Rᵀ·dR, so that ∂K_pq / ∂R_ij is R_iq where j = p ≠ q, R_ip where j = q ≠ p, 2 R_iq where
    j = p = q, else 0. A row (p, q) has 2m entries, or m where p = q.

    Parameters
    ----------
    R : array_like, shape (m, n)
        The matrix; entries of the Jacobian have its unit. A complex R is transposed, not conjugated.
    triangle : {None, "upper", "lower"}, optional
        Keep only the entries of K with p ≤ q, or with p ≥ q, as a vector (half-vec): K is symmetric.
    order : {"C", "F"}, optional
        Order in which entries are counted: row by row, or column by column.
    layout : {"numerator", "denominator"}, optional
        Whether rows are outputs, or variables.

    Returns
    -------
    Jacobian
        With out_shape ``(n, n)``, or ``(n(n+1)/2,)`` for a triangle, and in_shape ``(m, n)``.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as said.

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
    return _triangle(assemble([swapped(u, w), grid(u, w)], (n, n), (m, n), order, layout), triangle)


def d_outer_gram_dR(
    R: npt.ArrayLike, *, triangle: Triangle | None = None, order: Order = "C", layout: Layout = "numerator"
) -> Jacobian:
    """Jacobian of K = RRᵀ with respect to R: the case split, row by row.

    dK = dR·Rᵀ + R·dRᵀ, so that ∂K_pq / ∂R_ij is R_qj where i = p ≠ q, R_pj where i = q ≠ p, 2 R_pj where
    i = p = q, else 0.

    Parameters
    ----------
    R : array_like, shape (m, n)
        The matrix; entries of the Jacobian have its unit. A complex R is transposed, not conjugated.
    triangle : {None, "upper", "lower"}, optional
        Keep only the entries of K with p ≤ q, or with p ≥ q, as a vector (half-vec): K is symmetric.
    order : {"C", "F"}, optional
        Order in which entries are counted: row by row, or column by column.
    layout : {"numerator", "denominator"}, optional
        Whether rows are outputs, or variables.

    Returns
    -------
    Jacobian
        With out_shape ``(m, m)``, or ``(m(m+1)/2,)`` for a triangle, and in_shape ``(m, n)``.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as said.

    Notes
    -----
    Source: *Mathematics for Machine Learning*, example 5.13, of the transposed matrix.

    Examples
    --------
    >>> import matjac as mj
    >>> mj.d_outer_gram_dR([[1.0], [2.0]], triangle="lower").toarray()
    array([[2., 0.],
           [2., 1.],
           [0., 4.]])
    """
    matrix = inputs.array("R", R, 2)
    m, n = matrix.shape
    u, w = Select(m), Dense(snapshot(matrix))
    return _triangle(assemble([grid(u, w), swapped(u, w)], (m, m), (m, n), order, layout), triangle)


def d_congruence_dX(
    X: npt.ArrayLike, A: npt.ArrayLike, *, order: Order = "C", layout: Layout = "numerator"
) -> Jacobian:
    """Jacobian of Y = XᵀAX with respect to X: two terms, merged like RᵀR.

    dY = dXᵀ·(AX) + (XᵀA)·dX, so that ∂Y_pq / ∂X_ij is (AX)_iq where j = p, plus (XᵀA)_pi where j = q.

    Parameters
    ----------
    X : array_like, shape (m, n)
        The point; entries of the Jacobian have the unit of A times X.
    A : array_like or scipy.sparse, shape (m, m)
        Need not be symmetric. Its products with X are dense.
    order : {"C", "F"}, optional
        Order in which entries are counted: row by row, or column by column.
    layout : {"numerator", "denominator"}, optional
        Whether rows are outputs, or variables.

    Returns
    -------
    Jacobian
        With out_shape ``(n, n)`` and in_shape ``(m, n)``.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as said.

    Notes
    -----
    Source: *An introduction to matrix calculus* (the second text), the product rule d(A∘B) = dA∘B + A∘dB.

    Examples
    --------
    >>> import matjac as mj
    >>> mj.d_congruence_dX([[1.0, 2.0]], [[3.0]]).toarray()
    array([[ 6.,  0.],
           [ 6.,  3.],
           [ 6.,  3.],
           [ 0., 12.]])
    """
    matrix = inputs.array("X", X, 2)
    m, n = matrix.shape
    form = inputs.factor("A", A, (m, m))
    left, right = Dense(form.left(matrix).T), Dense(form.T.left(matrix).T)
    w = Select(n)
    return assemble([swapped(left, w), grid(right, w)], (n, n), (m, n), order, layout)


def d_bilinear_dX(a: npt.ArrayLike, b: npt.ArrayLike, *, order: Order = "C", layout: Layout = "numerator") -> Jacobian:
    """Jacobian of y = aᵀXb with respect to X: the row (vec abᵀ)ᵀ.

    ∂y / ∂X_ij = a_i b_j: the gradient is abᵀ in denominator layout, baᵀ in numerator layout.

    Parameters
    ----------
    a : array_like, shape (m,)
        Entries of the Jacobian have the unit of a times b.
    b : array_like, shape (n,)
        The other vector.
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
    Source: *An introduction to matrix calculus* (the second text), last proposition; *Toy matrix gradient*
    (the third text), example 1.3.

    Examples
    --------
    >>> import matjac as mj
    >>> mj.d_bilinear_dX([1.0, 2.0], [3.0, 5.0]).gradient()
    array([[ 3.,  6.],
           [ 5., 10.]])
    """
    u, w = (Dense(snapshot(inputs.array(name, v, 1))[None, :]) for name, v in (("a", a), ("b", b)))
    return assemble([grid(u, w)], (), (u.shape[1], w.shape[1]), order, layout)


def d_quadratic_dx(A: npt.ArrayLike, x: npt.ArrayLike, *, order: Order = "C", layout: Layout = "numerator") -> Jacobian:
    """Jacobian of y = xᵀAx with respect to x: xᵀ(A + Aᵀ).

    ∂y / ∂x_k = Σ_i (A_ki + A_ik) x_i; 2xᵀA where A is symmetric.

    Parameters
    ----------
    A : array_like or scipy.sparse, shape (n, n)
        Dense or sparse; need not be symmetric.
    x : array_like, shape (n,)
        The point; entries of the Jacobian have the unit of A times x.
    order : {"C", "F"}, optional
        Order in which entries are counted: row by row, or column by column.
    layout : {"numerator", "denominator"}, optional
        Whether rows are outputs, or variables.

    Returns
    -------
    Jacobian
        With out_shape ``()`` and in_shape ``(n,)``.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as said.

    Notes
    -----
    Source: *An introduction to matrix calculus* (the second text), the quadratic form's gradient (A + Aᵀ)x.

    Examples
    --------
    >>> import matjac as mj
    >>> mj.d_quadratic_dx([[1.0, 2.0], [0.0, 3.0]], [1.0, 1.0]).toarray()
    array([[4., 8.]])
    """
    vector = inputs.array("x", x, 1)
    form = inputs.factor("A", A, (vector.size, vector.size))
    column = vector[:, None]
    return _row_of(form.left(column) + form.T.left(column), (vector.size,), order, layout)


def d_quadratic_dA(x: npt.ArrayLike, *, order: Order = "C", layout: Layout = "numerator") -> Jacobian:
    """Jacobian of y = xᵀAx with respect to A: the row (vec xxᵀ)ᵀ.

    ∂y / ∂A_ij = x_i x_j.

    Parameters
    ----------
    x : array_like, shape (n,)
        The vector; entries of the Jacobian have its unit squared.
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
    Source: *An introduction to matrix calculus* (the second text), last proposition, with a = b.

    Examples
    --------
    >>> import matjac as mj
    >>> mj.d_quadratic_dA([1.0, 2.0]).toarray()
    array([[1., 2., 2., 4.]])
    """
    u = Dense(snapshot(inputs.array("x", x, 1))[None, :])
    return assemble([grid(u, u)], (), (u.shape[1], u.shape[1]), order, layout)


def d_sqnorm_dx(x: npt.ArrayLike, *, order: Order = "C", layout: Layout = "numerator") -> Jacobian:
    """Jacobian of y = ‖x‖² = xᵀx with respect to x: 2xᵀ.

    ∂y / ∂x_k = 2 x_k; for a complex x, of xᵀx (not conjugated).

    Parameters
    ----------
    x : array_like, shape (n,)
        The point; entries of the Jacobian have its unit.
    order : {"C", "F"}, optional
        Order in which entries are counted: row by row, or column by column.
    layout : {"numerator", "denominator"}, optional
        Whether rows are outputs, or variables.

    Returns
    -------
    Jacobian
        With out_shape ``()`` and in_shape ``(n,)``.

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
    >>> mj.d_sqnorm_dx([1.0, 2.0]).toarray()
    array([[2., 4.]])
    """
    vector = inputs.array("x", x, 1)
    return _row_of(2 * vector, vector.shape, order, layout)


def _row_of(gradient: Array, shape: Shape, order: Order, layout: Layout) -> Jacobian:
    """The Jacobian of a scalar function of a vector."""
    return assemble([grid(Dense(gradient.reshape(1, -1)), Select(1))], (), shape, order, layout)
