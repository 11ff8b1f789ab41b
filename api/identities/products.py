"""The product rule d(A∘B) = dA∘B + A∘dB for other products than the matrix product."""

import numpy as np
import numpy.typing as npt

from matjac import checks
from matjac.conventions import Shape
from matjac.differentials import Differential
from matjac.identities.identity import identity, inner


@identity
def d_hadamard_dA(B: npt.ArrayLike) -> Differential:
    """Jacobian of C = A ∘ B, entry by entry, with respect to A: diag(vec B).

    dC = dA ∘ B, so that ∂C_ij / ∂A_kl is B_ij where (k, l) = (i, j), else 0.
    The out_shape and the in_shape are ``(m, n)``.
    Source: *The Matrix Cookbook* (Petersen and Pedersen, 2012), formula (38).

    Parameters
    ----------
    B : array_like or scipy.sparse, shape (m, n)
        Dense or sparse (a sparse one stays sparse); entries of the Jacobian have its unit.

    Examples
    --------
    >>> mj.d_hadamard_dA([[2.0, 3.0]]).toarray()
    array([[2., 0.],
           [0., 3.]])
    """
    matrix = checks.matrix("B", B)
    return Differential(lambda dA, B: B * dA, matrix.shape, matrix)


@identity
def d_elementwise_dX(slope: npt.ArrayLike) -> Differential:
    """Jacobian of Y = φ(X), φ entry by entry, with respect to X: diag(vec φ′(X)).

    dY = φ′(X) ∘ dX, so that ∂Y_ij / ∂X_kl is φ′(X_ij) where (k, l) = (i, j), else 0.
    The out_shape and the in_shape are the shape of `slope`.
    Source: *Mathematics for Machine Learning* (Deisenroth, Faisal, Ong), §5.2.2: the chain rule, entry by entry.

    Parameters
    ----------
    slope : array_like, of any shape
        φ′(X); entries of the Jacobian have its unit, that of Y divided by that of X.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[0.0, 1.0]])
    >>> J = mj.d_elementwise_dX(1 - np.tanh(X) ** 2)
    >>> J.toarray().round(2)
    array([[1.  , 0.  ],
           [0.  , 0.42]])
    """
    values = checks.numeric("slope", slope)
    return Differential(lambda dX, slope: slope * dX, values.shape, values)


@identity
def d_inner_dA(B: npt.ArrayLike) -> Differential:
    """Jacobian of y = ⟨A, B⟩ = Σ A ∘ B with respect to A: the row (vec B)ᵀ.

    dy = ⟨dA, B⟩, so that ∂y / ∂A_ij is B_ij. The out_shape is ``()``, the in_shape ``(m, n)``.
    Source: *The Matrix Cookbook* (Petersen and Pedersen, 2012), §2.5: ∂ tr(AᵀB) / ∂A = B.

    Parameters
    ----------
    B : array_like or scipy.sparse, shape (m, n)
        Dense or sparse (a sparse one stays sparse); entries of the Jacobian have its unit.

    Examples
    --------
    >>> mj.d_inner_dA([[2.0, 3.0]]).toarray()
    array([[2., 3.]])
    """
    matrix = checks.matrix("B", B)
    return Differential(lambda dA, B: inner(B, dA), matrix.shape, matrix)


@identity
def d_kron_dA(B: npt.ArrayLike, shape: Shape) -> Differential:
    """Jacobian of C = A ⊗ B, the Kronecker product, with respect to A.

    dC = dA ⊗ B, so that ∂C_(i·r+a, j·s+b) / ∂A_kl is B_ab where (k, l) = (i, j), else 0.
    The out_shape is ``(m·r, n·s)``, the in_shape ``(m, n)``.
    Source: *The Matrix Cookbook* (Petersen and Pedersen, 2012), formula (39).

    Parameters
    ----------
    B : array_like or scipy.sparse, shape (r, s)
        Dense or sparse (a sparse one stays sparse); entries of the Jacobian have its unit.
    shape : tuple of int, (m, n)
        Shape of A.

    Examples
    --------
    >>> mj.d_kron_dA([[2.0, 3.0]], (1, 2)).toarray()
    array([[2., 0.],
           [3., 0.],
           [0., 2.],
           [0., 3.]])
    """
    matrix, shape = checks.matrix("B", B), checks.shape("shape", shape, 2)
    return Differential(lambda dA, B: np.kron(dA, B), shape, matrix)


@identity
def d_kron_dB(A: npt.ArrayLike, shape: Shape) -> Differential:
    """Jacobian of C = A ⊗ B, the Kronecker product, with respect to B.

    dC = A ⊗ dB, so that ∂C_(i·r+a, j·s+b) / ∂B_kl is A_ij where (k, l) = (a, b), else 0.
    The out_shape is ``(m·r, n·s)``, the in_shape ``(r, s)``.
    Source: *The Matrix Cookbook* (Petersen and Pedersen, 2012), formula (39).

    Parameters
    ----------
    A : array_like or scipy.sparse, shape (m, n)
        Dense or sparse (a sparse one stays sparse); entries of the Jacobian have its unit.
    shape : tuple of int, (r, s)
        Shape of B.

    Examples
    --------
    >>> mj.d_kron_dB([[2.0, 3.0]], (1, 2)).toarray()
    array([[2., 0.],
           [0., 2.],
           [3., 0.],
           [0., 3.]])
    """
    matrix, shape = checks.matrix("A", A), checks.shape("shape", shape, 2)
    return Differential(lambda dB, A: np.kron(A, dB), shape, matrix)
