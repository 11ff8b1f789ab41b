"""Linear functions of a vector or a matrix: their Jacobians are constants."""

import numpy.typing as npt

from matjac import checks
from matjac.conventions import Shape
from matjac.differentials import Differential
from matjac.identities.identity import identity


@identity
def d_identity_dx(n: int) -> Differential:
    """Jacobian of f = x with respect to the vector x, or of xᵀ with respect to xᵀ or x: the identity.

    df = dx, so that ∂x_i / ∂x_j is 1 where i = j, else 0. The out_shape and the in_shape are ``(n,)``.
    Source: *The Matrix Cookbook* (Petersen and Pedersen, 2012), §2: ∂X_kl / ∂X_ij = δ_ik δ_lj.

    Parameters
    ----------
    n : int
        Length of x. The Jacobian has no unit.

    Examples
    --------
    >>> mj.d_identity_dx(2).toarray()
    array([[1., 0.],
           [0., 1.]])
    """
    return Differential(lambda dx: dx, (checks.count("n", n),))


@identity
def d_constant_dX(out_shape: Shape, in_shape: Shape) -> Differential:
    """Jacobian of a constant with respect to X: zero, without an entry.

    dc = 0, so that ∂c / ∂X_ij is 0. The out_shape and the in_shape are those given.
    Source: *The Matrix Cookbook* (Petersen and Pedersen, 2012), formula (33).

    Parameters
    ----------
    out_shape : tuple of int
        Shape of the constant; ``()`` for a scalar.
    in_shape : tuple of int
        Shape of X.

    Examples
    --------
    >>> J = mj.d_constant_dX((), (2, 3))
    >>> J.shape, J.nnz
    ((1, 6), 0)
    """
    out_shape, in_shape = checks.shape("out_shape", out_shape), checks.shape("in_shape", in_shape)
    return Differential(None, in_shape, out_shape=out_shape)


@identity
def d_matvec_dx(A: npt.ArrayLike) -> Differential:
    """Jacobian of f = A x with respect to x: A.

    df = A dx, so that ∂f_i / ∂x_j is A_ij. The out_shape is ``(m,)``, the in_shape ``(n,)``.
    Source: *Mathematics for Machine Learning* (Deisenroth, Faisal, Ong), example 5.9.

    Parameters
    ----------
    A : array_like or scipy.sparse, shape (m, n)
        Dense or sparse (a sparse one stays sparse); entries of the Jacobian have its unit.

    Examples
    --------
    >>> mj.d_matvec_dx([[1.0, 2.0], [3.0, 4.0]]).toarray()
    array([[1., 2.],
           [3., 4.]])
    """
    matrix = checks.matrix("A", A)
    return Differential(lambda dx, A: A @ dx, matrix.shape[1:], matrix)


@identity
def d_vecmat_dx(A: npt.ArrayLike) -> Differential:
    """Jacobian of f = xᵀ A with respect to x: Aᵀ.

    df = dxᵀ A, so that ∂f_j / ∂x_i is A_ij. The out_shape is ``(n,)``, the in_shape ``(m,)``.
    Source: *Mathematics for Machine Learning* (Deisenroth, Faisal, Ong), example 5.9, for fᵀ = Aᵀ x.

    Parameters
    ----------
    A : array_like or scipy.sparse, shape (m, n)
        Dense or sparse (a sparse one stays sparse); entries of the Jacobian have its unit.

    Examples
    --------
    >>> mj.d_vecmat_dx([[1.0, 2.0], [3.0, 4.0]]).toarray()
    array([[1., 3.],
           [2., 4.]])
    """
    matrix = checks.matrix("A", A)
    return Differential(lambda dx, A: dx @ A, matrix.shape[:1], matrix)


@identity
def d_matvec_dA(x: npt.ArrayLike, m: int) -> Differential:
    """Jacobian of f = A x with respect to A: xᵀ in every row, block-diagonally.

    df = dA x, so that ∂f_i / ∂A_kl is x_l where k = i, else 0: the matrix I ⊗ xᵀ, with m·n entries.
    The out_shape is ``(m,)``, the in_shape ``(m, n)``.
    Source: *Mathematics for Machine Learning* (Deisenroth, Faisal, Ong), example 5.12, equations (5.85) to (5.92).

    Parameters
    ----------
    x : array_like, shape (n,)
        The vector; entries of the Jacobian have its unit.
    m : int
        Number of rows of A.

    Examples
    --------
    >>> mj.d_matvec_dA([5.0, 7.0], 2).toarray()
    array([[5., 7., 0., 0.],
           [0., 0., 5., 7.]])
    """
    vector, m = checks.array("x", x, 1), checks.count("m", m)
    return Differential(lambda dA, x: dA @ x, (m, vector.size), vector)


@identity
def d_vecmat_dA(x: npt.ArrayLike, n: int) -> Differential:
    """Jacobian of f = xᵀ A with respect to A: xᵀ ⊗ I.

    df = xᵀ dA, so that ∂f_j / ∂A_kl is x_k where l = j, else 0. The out_shape is ``(n,)``, the in_shape ``(m, n)``.
    Source: *Mathematics for Machine Learning* (Deisenroth, Faisal, Ong), example 5.12, for fᵀ = Aᵀ x.

    Parameters
    ----------
    x : array_like, shape (m,)
        The vector; entries of the Jacobian have its unit.
    n : int
        Number of columns of A.

    Examples
    --------
    >>> mj.d_vecmat_dA([5.0, 7.0], 2).toarray()
    array([[5., 0., 7., 0.],
           [0., 5., 0., 7.]])
    """
    vector, n = checks.array("x", x, 1), checks.count("n", n)
    return Differential(lambda dA, x: x @ dA, (vector.size, n), vector)


@identity
def d_matmul_dA(B: npt.ArrayLike, m: int) -> Differential:
    """Jacobian of C = A B with respect to A: I ⊗ Bᵀ.

    dC = dA B, so that ∂C_ij / ∂A_kl is B_lj where k = i, else 0. The out_shape is ``(m, n)``, the in_shape ``(m, p)``.
    Source: *The Matrix Cookbook* (Petersen and Pedersen, 2012), formula (37).

    Parameters
    ----------
    B : array_like or scipy.sparse, shape (p, n)
        Dense or sparse (a sparse one stays sparse); entries of the Jacobian have its unit.
    m : int
        Number of rows of A.

    Examples
    --------
    >>> mj.d_matmul_dA([[5.0], [7.0]], 2).toarray()
    array([[5., 7., 0., 0.],
           [0., 0., 5., 7.]])
    """
    matrix, m = checks.matrix("B", B), checks.count("m", m)
    return Differential(lambda dA, B: dA @ B, (m, matrix.shape[0]), matrix)


@identity
def d_matmul_dB(A: npt.ArrayLike, p: int) -> Differential:
    """Jacobian of C = A B with respect to B: A ⊗ I.

    dC = A dB, so that ∂C_ij / ∂B_kl is A_ik where l = j, else 0. The out_shape is ``(m, p)``, the in_shape ``(n, p)``.
    Source: *The Matrix Cookbook* (Petersen and Pedersen, 2012), formula (37).

    Parameters
    ----------
    A : array_like or scipy.sparse, shape (m, n)
        Dense or sparse (a sparse one stays sparse); entries of the Jacobian have its unit.
    p : int
        Number of columns of B.

    Examples
    --------
    >>> mj.d_matmul_dB([[5.0, 7.0]], 2).toarray()
    array([[5., 0., 7., 0.],
           [0., 5., 0., 7.]])
    """
    matrix, p = checks.matrix("A", A), checks.count("p", p)
    return Differential(lambda dB, A: A @ dB, (matrix.shape[1], p), matrix)


@identity
def d_sandwich_dX(A: npt.ArrayLike, B: npt.ArrayLike) -> Differential:
    """Jacobian of Y = A X B with respect to X: A ⊗ Bᵀ.

    dY = A dX B, so that ∂Y_ij / ∂X_kl is A_ik B_lj. The out_shape is ``(m, n)``, the in_shape ``(p, q)``.
    Source: Magnus and Neudecker, *Matrix Differential Calculus*, chapter 2: vec(A X B) = (Bᵀ ⊗ A) vec X where vec
    goes column by column, hence A ⊗ Bᵀ row by row.

    Parameters
    ----------
    A : array_like or scipy.sparse, shape (m, p)
        Dense or sparse (a sparse one stays sparse); entries of the Jacobian have the unit of A times B.
    B : array_like or scipy.sparse, shape (q, n)
        Dense or sparse.

    Examples
    --------
    >>> mj.d_sandwich_dX([[1.0, 2.0]], [[3.0], [5.0]]).toarray()
    array([[ 3.,  5.,  6., 10.]])
    """
    left, right = checks.matrix("A", A), checks.matrix("B", B)
    return Differential(lambda dX, A, B: A @ dX @ B, (left.shape[1], right.shape[0]), left, right)


@identity
def d_transpose_dX(shape: Shape) -> Differential:
    """Jacobian of Y = Xᵀ with respect to X: a permutation, the commutation matrix.

    dY = dXᵀ, so that ∂Y_ij / ∂X_kl is 1 where k = j and l = i, else 0.
    The out_shape is ``(n, m)``, the in_shape ``(m, n)``.
    Source: Magnus and Neudecker, *Matrix Differential Calculus*, chapter 3, on the commutation matrix.

    Parameters
    ----------
    shape : tuple of int, (m, n)
        Shape of X. The Jacobian has no unit.

    Examples
    --------
    >>> mj.d_transpose_dX((2, 2)).toarray()
    array([[1., 0., 0., 0.],
           [0., 0., 1., 0.],
           [0., 1., 0., 0.],
           [0., 0., 0., 1.]])
    """
    return Differential(lambda dX: dX.T, checks.shape("shape", shape, 2))
