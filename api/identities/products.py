"""The product rule d(A∘B) = dA∘B + A∘dB for other products than the matrix product."""

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from matjac import inputs
from matjac.factors import Dense, Factor, Select, factor
from matjac.jacobian import Jacobian, assemble
from matjac.layout import Array, Layout, Order, Shape, size, vec
from matjac.maps import Sum
from matjac.rows import KronGrid
from matjac.terms import Term, grid


def d_hadamard_dA(B: npt.ArrayLike, *, order: Order = "C", layout: Layout = "numerator") -> Jacobian:
    """Jacobian of C = A ∘ B, entry by entry, with respect to A: diag(vec B).

    ∂C_ij / ∂A_kl = B_ij where (k, l) = (i, j), else 0.

    Parameters
    ----------
    B : array_like or scipy.sparse, shape (m, n)
        Dense or sparse (a sparse one stays sparse); entries of the Jacobian have its unit.
    order : {"C", "F"}, optional
        Order in which entries are counted: row by row, or column by column.
    layout : {"numerator", "denominator"}, optional
        Whether rows are outputs, or variables.

    Returns
    -------
    Jacobian
        With out_shape and in_shape ``(m, n)``.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as said.

    Notes
    -----
    Source: *An introduction to matrix calculus* (the second text), the product rule for the Hadamard product.

    Examples
    --------
    >>> import matjac as mj
    >>> mj.d_hadamard_dA([[2.0, 3.0]]).toarray()
    array([[2., 0.],
           [0., 3.]])
    """
    constant = inputs.factor("B", B)
    if isinstance(constant, Dense):
        return _diagonal(constant.array, order, layout)
    entries = constant.matrix.reshape((1, -1), order=order).tocoo()
    count = size(constant.shape)
    u = factor(sp.csr_array((entries.data, (entries.col, entries.col)), shape=(count, count)))
    return assemble([grid(u, Select(1))], constant.shape, constant.shape, order, layout)


def d_elementwise_dX(slope: npt.ArrayLike, *, order: Order = "C", layout: Layout = "numerator") -> Jacobian:
    """Jacobian of Y = φ(X), φ entry by entry, with respect to X: diag(vec φ′(X)).

    ∂Y_ij / ∂X_kl = φ′(X_ij) where (k, l) = (i, j), else 0.

    Parameters
    ----------
    slope : array_like, of any shape
        φ′(X); entries of the Jacobian have its unit, Y's by X's.
    order : {"C", "F"}, optional
        Order in which entries are counted: row by row, or column by column.
    layout : {"numerator", "denominator"}, optional
        Whether rows are outputs, or variables.

    Returns
    -------
    Jacobian
        With out_shape and in_shape that of `slope`.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as said.

    Notes
    -----
    Source: *Mathematics for Machine Learning*, §5.2.2: the chain rule, entry by entry.

    Examples
    --------
    >>> import matjac as mj
    >>> import numpy as np
    >>> X = np.array([[0.0, 1.0]])
    >>> J = mj.d_elementwise_dX(1 - np.tanh(X) ** 2)
    >>> J.toarray().round(2)
    array([[1.  , 0.  ],
           [0.  , 0.42]])
    """
    return _diagonal(np.array(inputs.numeric("slope", slope)), order, layout)


def _diagonal(slope: Array, order: Order, layout: Layout) -> Jacobian:
    """The Jacobian of a function that works entry by entry."""
    inputs.conventions(order, layout)
    if slope.ndim == 2:
        m, n = slope.shape
        return assemble([grid(Select(m), Select(n), slope.ravel())], slope.shape, slope.shape, order, layout)
    term = grid(Select(slope.size), Select(1), vec(slope, order))
    return Jacobian(Sum([term]), slope.shape, slope.shape, order, layout)


def d_inner_dA(B: npt.ArrayLike, *, order: Order = "C", layout: Layout = "numerator") -> Jacobian:
    """Jacobian of y = ⟨A, B⟩ = Σ A ∘ B with respect to A: the row (vec B)ᵀ.

    ∂y / ∂A_ij = B_ij.

    Parameters
    ----------
    B : array_like or scipy.sparse, shape (m, n)
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
    Source: *An introduction to matrix calculus* (the second text), the product rule for the Frobenius inner product.

    Examples
    --------
    >>> import matjac as mj
    >>> mj.d_inner_dA([[2.0, 3.0]]).toarray()
    array([[2., 3.]])
    """
    constant = inputs.factor("B", B)
    inputs.conventions(order, layout)
    return assemble([grid(_line(constant, order), Select(1))], (), constant.shape, order, layout)


def d_kron_dA(B: npt.ArrayLike, shape: Shape, *, order: Order = "C", layout: Layout = "numerator") -> Jacobian:
    """Jacobian of C = A ⊗ B, the Kronecker product, with respect to A.

    ∂C_(i·r+a, j·s+b) / ∂A_kl = B_ab where (k, l) = (i, j), else 0.

    Parameters
    ----------
    B : array_like or scipy.sparse, shape (r, s)
        Dense or sparse (a sparse one stays sparse); entries of the Jacobian have its unit.
    shape : tuple of int, (m, n)
        Shape of A.
    order : {"C", "F"}, optional
        Order in which entries are counted: row by row, or column by column.
    layout : {"numerator", "denominator"}, optional
        Whether rows are outputs, or variables.

    Returns
    -------
    Jacobian
        With out_shape ``(m·r, n·s)`` and in_shape ``(m, n)``.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as said.

    Notes
    -----
    Source: *An introduction to matrix calculus* (the second text), the product rule for the Kronecker product.

    Examples
    --------
    >>> import matjac as mj
    >>> mj.d_kron_dA([[2.0, 3.0]], (1, 2)).toarray()
    array([[2., 0.],
           [3., 0.],
           [0., 2.],
           [0., 3.]])
    """
    constant, (m, n) = inputs.factor("B", B), inputs.shape("shape", shape, 2)
    inputs.conventions(order, layout)
    r, s = constant.shape
    term = Term(Select(m * n), _line(constant, order).T, _kron_rows(m, n, r, s, order))
    return Jacobian(Sum([term]), (m * r, n * s), (m, n), order, layout)


def d_kron_dB(A: npt.ArrayLike, shape: Shape, *, order: Order = "C", layout: Layout = "numerator") -> Jacobian:
    """Jacobian of C = A ⊗ B, the Kronecker product, with respect to B.

    ∂C_(i·r+a, j·s+b) / ∂B_kl = A_ij where (k, l) = (a, b), else 0.

    Parameters
    ----------
    A : array_like or scipy.sparse, shape (m, n)
        Dense or sparse (a sparse one stays sparse); entries of the Jacobian have its unit.
    shape : tuple of int, (r, s)
        Shape of B.
    order : {"C", "F"}, optional
        Order in which entries are counted: row by row, or column by column.
    layout : {"numerator", "denominator"}, optional
        Whether rows are outputs, or variables.

    Returns
    -------
    Jacobian
        With out_shape ``(m·r, n·s)`` and in_shape ``(r, s)``.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as said.

    Notes
    -----
    Source: *An introduction to matrix calculus* (the second text), the product rule for the Kronecker product.

    Examples
    --------
    >>> import matjac as mj
    >>> mj.d_kron_dB([[2.0, 3.0]], (1, 2)).toarray()
    array([[2., 0.],
           [0., 2.],
           [3., 0.],
           [0., 3.]])
    """
    constant, (r, s) = inputs.factor("A", A), inputs.shape("shape", shape, 2)
    inputs.conventions(order, layout)
    m, n = constant.shape
    term = Term(_line(constant, order).T, Select(r * s), _kron_rows(m, n, r, s, order))
    return Jacobian(Sum([term]), (m * r, n * s), (r, s), order, layout)


def _kron_rows(m: int, n: int, r: int, s: int, order: Order) -> KronGrid:
    """The entries of A ⊗ B in that order; column by column they are those of Aᵀ ⊗ Bᵀ row by row."""
    return KronGrid(m, n, r, s) if order == "C" else KronGrid(n, m, s, r)


def _line(constant: Factor, order: Order) -> Factor:
    """(vec B)ᵀ as a factor of one row."""
    return factor(constant.matrix.reshape((1, size(constant.shape)), order=order))
