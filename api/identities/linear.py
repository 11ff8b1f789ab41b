"""Linear functions of a vector or a matrix: their Jacobians are constants."""

import numpy.typing as npt
import scipy.sparse as sp

from matjac import inputs
from matjac.factors import Dense, Select, factor, snapshot
from matjac.jacobian import Jacobian, assemble
from matjac.layout import Layout, Order, Shape, size
from matjac.maps import Sum
from matjac.terms import grid, swapped


def d_identity_dx(n: int, *, order: Order = "C", layout: Layout = "numerator") -> Jacobian:
    """Jacobian of f = x with respect to the vector x, or of xᵀ with respect to xᵀ or x: the identity.

    ∂x_i / ∂x_j = 1 where i = j, else 0.

    Parameters
    ----------
    n : int
        Length of x. The Jacobian has no unit; its dtype is float64.
    order : {"C", "F"}, optional
        Order in which entries are counted: row by row, or column by column.
    layout : {"numerator", "denominator"}, optional
        Whether rows are outputs, or variables.

    Returns
    -------
    Jacobian
        With out_shape and in_shape ``(n,)``.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as said.

    Notes
    -----
    Source: *Toy matrix gradient* (the third text), example 1.1.

    Examples
    --------
    >>> import matjac as mj
    >>> mj.d_identity_dx(2).toarray()
    array([[1., 0.],
           [0., 1.]])
    """
    n = inputs.count("n", n)
    return assemble([grid(Select(n), Select(1))], (n,), (n,), order, layout)


def d_constant_dX(out_shape: Shape, in_shape: Shape, *, order: Order = "C", layout: Layout = "numerator") -> Jacobian:
    """Jacobian of a constant with respect to X: zero, without an entry.

    ∂c / ∂X_ij = 0.

    Parameters
    ----------
    out_shape : tuple of int
        Shape of the constant; ``()`` for a scalar.
    in_shape : tuple of int
        Shape of X.
    order : {"C", "F"}, optional
        Order in which entries are counted: row by row, or column by column.
    layout : {"numerator", "denominator"}, optional
        Whether rows are outputs, or variables.

    Returns
    -------
    Jacobian
        Of float64, with those shapes and ``nnz`` 0.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as said.

    Notes
    -----
    Source: *Toy matrix gradient* (the third text), example 1.2.

    Examples
    --------
    >>> import matjac as mj
    >>> J = mj.d_constant_dX((), (2, 3))
    >>> J.shape, J.nnz
    ((1, 6), 0)
    """
    out_shape, in_shape = inputs.shape("out_shape", out_shape), inputs.shape("in_shape", in_shape)
    inputs.conventions(order, layout)
    # the rows are those of a matrix, so that neither factor has as many rows as the Jacobian
    first, others = (out_shape[0], size(out_shape[1:])) if out_shape else (1, 1)
    u, w = factor(sp.csr_array((first, size(in_shape)))), factor(sp.csr_array((others, 1)))
    return Jacobian(Sum([grid(u, w)]), out_shape, in_shape, order, layout)


def d_matvec_dx(A: npt.ArrayLike, *, order: Order = "C", layout: Layout = "numerator") -> Jacobian:
    """Jacobian of f = A x with respect to x: A.

    ∂f_i / ∂x_j = A_ij.

    Parameters
    ----------
    A : array_like or scipy.sparse, shape (m, n)
        Dense or sparse (a sparse one stays sparse); entries of the Jacobian have its unit.
    order : {"C", "F"}, optional
        Order in which entries are counted: row by row, or column by column.
    layout : {"numerator", "denominator"}, optional
        Whether rows are outputs, or variables.

    Returns
    -------
    Jacobian
        With out_shape ``(m,)`` and in_shape ``(n,)``.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as said.

    Notes
    -----
    Source: *An introduction to matrix calculus* (the second text), first proposition.

    Examples
    --------
    >>> import matjac as mj
    >>> mj.d_matvec_dx([[1.0, 2.0], [3.0, 4.0]]).toarray()
    array([[1., 2.],
           [3., 4.]])
    """
    u = inputs.factor("A", A)
    return assemble([grid(u, Select(1))], u.shape[:1], u.shape[1:], order, layout)


def d_vecmat_dx(A: npt.ArrayLike, *, order: Order = "C", layout: Layout = "numerator") -> Jacobian:
    """Jacobian of f = xᵀ A with respect to x: Aᵀ.

    ∂f_j / ∂x_i = A_ij.

    Parameters
    ----------
    A : array_like or scipy.sparse, shape (m, n)
        Dense or sparse (a sparse one stays sparse); entries of the Jacobian have its unit.
    order : {"C", "F"}, optional
        Order in which entries are counted: row by row, or column by column.
    layout : {"numerator", "denominator"}, optional
        Whether rows are outputs, or variables.

    Returns
    -------
    Jacobian
        With out_shape ``(n,)`` and in_shape ``(m,)``.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as said.

    Notes
    -----
    Source: *An introduction to matrix calculus* (the second text), first proposition.

    Examples
    --------
    >>> import matjac as mj
    >>> mj.d_vecmat_dx([[1.0, 2.0], [3.0, 4.0]]).toarray()
    array([[1., 3.],
           [2., 4.]])
    """
    u = inputs.factor("A", A).T
    return assemble([grid(u, Select(1))], u.shape[:1], u.shape[1:], order, layout)


def d_matvec_dA(x: npt.ArrayLike, m: int, *, order: Order = "C", layout: Layout = "numerator") -> Jacobian:
    """Jacobian of f = A x with respect to A: xᵀ in every row, block-diagonally.

    ∂f_i / ∂A_kl = x_l where k = i, else 0: the matrix I ⊗ xᵀ, with m·n entries.

    Parameters
    ----------
    x : array_like, shape (n,)
        The vector; entries of the Jacobian have its unit. float32, float64, complex64 and complex128
        stay, integers become float64: so for every identity.
    m : int
        Number of rows of A.
    order : {"C", "F"}, optional
        Order in which entries are counted: row by row, or column by column.
    layout : {"numerator", "denominator"}, optional
        Whether rows are outputs, or variables.

    Returns
    -------
    Jacobian
        With out_shape ``(m,)`` and in_shape ``(m, n)``.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as said.

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
    vector, m = inputs.array("x", x, 1), inputs.count("m", m)
    w = Dense(snapshot(vector)[None, :])
    return assemble([grid(Select(m), w)], (m,), (m, vector.size), order, layout)


def d_vecmat_dA(x: npt.ArrayLike, n: int, *, order: Order = "C", layout: Layout = "numerator") -> Jacobian:
    """Jacobian of f = xᵀ A with respect to A: xᵀ ⊗ I.

    ∂f_j / ∂A_kl = x_k where l = j, else 0.

    Parameters
    ----------
    x : array_like, shape (m,)
        The vector; entries of the Jacobian have its unit.
    n : int
        Number of columns of A.
    order : {"C", "F"}, optional
        Order in which entries are counted: row by row, or column by column.
    layout : {"numerator", "denominator"}, optional
        Whether rows are outputs, or variables.

    Returns
    -------
    Jacobian
        With out_shape ``(n,)`` and in_shape ``(m, n)``.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as said.

    Notes
    -----
    Source: *Mathematics for Machine Learning*, example 5.12, of the transposed matrix.

    Examples
    --------
    >>> import matjac as mj
    >>> mj.d_vecmat_dA([5.0, 7.0], 2).toarray()
    array([[5., 0., 7., 0.],
           [0., 5., 0., 7.]])
    """
    vector, n = inputs.array("x", x, 1), inputs.count("n", n)
    u = Dense(snapshot(vector)[None, :])
    return assemble([grid(u, Select(n))], (n,), (vector.size, n), order, layout)


def d_matmul_dA(B: npt.ArrayLike, m: int, *, order: Order = "C", layout: Layout = "numerator") -> Jacobian:
    """Jacobian of C = A B with respect to A: I ⊗ Bᵀ.

    ∂C_ij / ∂A_kl = B_lj where k = i, else 0.

    Parameters
    ----------
    B : array_like or scipy.sparse, shape (p, n)
        Dense or sparse (a sparse one stays sparse); entries of the Jacobian have its unit.
    m : int
        Number of rows of A.
    order : {"C", "F"}, optional
        Order in which entries are counted: row by row, or column by column.
    layout : {"numerator", "denominator"}, optional
        Whether rows are outputs, or variables.

    Returns
    -------
    Jacobian
        With out_shape ``(m, n)`` and in_shape ``(m, p)``.

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
    >>> mj.d_matmul_dA([[5.0], [7.0]], 2).toarray()
    array([[5., 7., 0., 0.],
           [0., 0., 5., 7.]])
    """
    w, m = inputs.factor("B", B).T, inputs.count("m", m)
    return assemble([grid(Select(m), w)], (m, w.shape[0]), (m, w.shape[1]), order, layout)


def d_matmul_dB(A: npt.ArrayLike, p: int, *, order: Order = "C", layout: Layout = "numerator") -> Jacobian:
    """Jacobian of C = A B with respect to B: A ⊗ I.

    ∂C_ij / ∂B_kl = A_ik where l = j, else 0.

    Parameters
    ----------
    A : array_like or scipy.sparse, shape (m, n)
        Dense or sparse (a sparse one stays sparse); entries of the Jacobian have its unit.
    p : int
        Number of columns of B.
    order : {"C", "F"}, optional
        Order in which entries are counted: row by row, or column by column.
    layout : {"numerator", "denominator"}, optional
        Whether rows are outputs, or variables.

    Returns
    -------
    Jacobian
        With out_shape ``(m, p)`` and in_shape ``(n, p)``.

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
    >>> mj.d_matmul_dB([[5.0, 7.0]], 2).toarray()
    array([[5., 0., 7., 0.],
           [0., 5., 0., 7.]])
    """
    u, p = inputs.factor("A", A), inputs.count("p", p)
    return assemble([grid(u, Select(p))], (u.shape[0], p), (u.shape[1], p), order, layout)


def d_sandwich_dX(A: npt.ArrayLike, B: npt.ArrayLike, *, order: Order = "C", layout: Layout = "numerator") -> Jacobian:
    """Jacobian of Y = A X B with respect to X: A ⊗ Bᵀ.

    ∂Y_ij / ∂X_kl = A_ik B_lj.

    Parameters
    ----------
    A : array_like or scipy.sparse, shape (m, p)
        Dense or sparse (a sparse one stays sparse); entries of the Jacobian have the unit of A times B.
    B : array_like or scipy.sparse, shape (q, n)
        Dense or sparse.
    order : {"C", "F"}, optional
        Order in which entries are counted: row by row, or column by column.
    layout : {"numerator", "denominator"}, optional
        Whether rows are outputs, or variables.

    Returns
    -------
    Jacobian
        With out_shape ``(m, n)`` and in_shape ``(p, q)``.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as said.

    Notes
    -----
    Source: *Mathematics for Machine Learning*, §5.4: vec(A X B) = (A ⊗ Bᵀ) vec(X), row by row.

    Examples
    --------
    >>> import matjac as mj
    >>> mj.d_sandwich_dX([[1.0, 2.0]], [[3.0], [5.0]]).toarray()
    array([[ 3.,  5.,  6., 10.]])
    """
    u, w = inputs.factor("A", A), inputs.factor("B", B).T
    return assemble([grid(u, w)], (u.shape[0], w.shape[0]), (u.shape[1], w.shape[1]), order, layout)


def d_transpose_dX(shape: Shape, *, order: Order = "C", layout: Layout = "numerator") -> Jacobian:
    """Jacobian of Y = Xᵀ with respect to X: a permutation, the commutation matrix.

    ∂Y_ij / ∂X_kl = 1 where k = j and l = i, else 0.

    Parameters
    ----------
    shape : tuple of int, (m, n)
        Shape of X. The Jacobian has no unit; its dtype is float64.
    order : {"C", "F"}, optional
        Order in which entries are counted: row by row, or column by column.
    layout : {"numerator", "denominator"}, optional
        Whether rows are outputs, or variables.

    Returns
    -------
    Jacobian
        With out_shape ``(n, m)`` and in_shape ``(m, n)``.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as said.

    Notes
    -----
    Source: Magnus and Neudecker, *The commutation matrix: some properties and applications*, 1979.

    Examples
    --------
    >>> import matjac as mj
    >>> mj.d_transpose_dX((2, 2)).toarray()
    array([[1., 0., 0., 0.],
           [0., 0., 1., 0.],
           [0., 1., 0., 0.],
           [0., 0., 0., 1.]])
    """
    m, n = inputs.shape("shape", shape, 2)
    return assemble([swapped(Select(m), Select(n))], (n, m), (m, n), order, layout)
