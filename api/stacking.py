"""Jacobians beside and above one another, and scaled row by row."""

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from matjac import checks
from matjac.conventions import parts, several, size, vec
from matjac.jacobian import Jacobian
from matjac.maps import compose


def hstack(jacobians: Sequence[Jacobian]) -> Jacobian:
    """The Jacobian with respect to several variables: J₁, J₂, … side by side.

    Parameters
    ----------
    jacobians : sequence of Jacobian
        Of one function (`out_shape`), in one order and layout, each with respect to another variable.

    Returns
    -------
    Jacobian
        Its `in_shape` is the tuple of the variables' shapes. In denominator layout the transposed Jacobians
        stand one above another.

    Raises
    ------
    TypeError, ValueError
        Where `jacobians` is empty or not of Jacobians, or they differ in out_shape, order or layout.

    Notes
    -----
    Source: the chain rule in *Mathematics for Machine Learning*, §5.2.2, for a function of several variables.

    Examples
    --------
    U Vᵀ with respect to U and V:

    >>> import numpy as np, matjac as mj
    >>> U, V = np.ones((2, 1)), np.full((3, 1), 2.0)
    >>> J = mj.hstack([mj.d_matmul_dA(V.T, 2), mj.d_matmul_dB(U, 3) @ mj.d_transpose_dX((3, 1))])
    >>> J.in_shape, J.nnz
    (((2, 1), (3, 1)), 12)
    >>> J.jvp((U, V)).tolist()
    [[4.0, 4.0, 4.0], [4.0, 4.0, 4.0]]
    """
    first = _check(jacobians, "out_shape")
    in_shapes = tuple(shape for J in jacobians for shape in parts(J.in_shape))
    point = compose.beside([J._point for J in jacobians])
    return Jacobian(point, first.out_shape, in_shapes, first.order, first.layout)


def vstack(jacobians: Sequence[Jacobian]) -> Jacobian:
    """The Jacobian of several functions of the same variables: J₁, J₂, … one above another.

    Parameters
    ----------
    jacobians : sequence of Jacobian
        With respect to one variable (`in_shape`), in one order and layout.

    Returns
    -------
    Jacobian
        Its `out_shape` is the tuple of the functions' shapes. In denominator layout the transposed Jacobians
        stand side by side.

    Raises
    ------
    TypeError, ValueError
        Where `jacobians` is empty or not of Jacobians, or they differ in in_shape, order or layout.

    Notes
    -----
    Source: *Mathematics for Machine Learning*, §5.3: the Jacobian of a vector of functions.

    Examples
    --------
    A residual and a ridge penalty:

    >>> import numpy as np, matjac as mj
    >>> X = np.array([[1.0, 2.0]])
    >>> mj.vstack([mj.d_residual_dw(X), 0.1 * mj.d_identity_dx(2)]).toarray()
    array([[-1. , -2. ],
           [ 0.1,  0. ],
           [ 0. ,  0.1]])
    """
    first = _check(jacobians, "in_shape")
    out_shapes = tuple(shape for J in jacobians for shape in parts(J.out_shape))
    point = compose.above([J._point for J in jacobians])
    return Jacobian(point, out_shapes, first.in_shape, first.order, first.layout)


def scale_rows(J: Jacobian, s: npt.ArrayLike) -> Jacobian:
    """The Jacobian of ``s ∘ F``: each entry of the function times a constant.

    Parameters
    ----------
    J : Jacobian
        The Jacobian of F.
    s : array_like
        Of F's shape, or its vector in J's order. Entries of the result have the units of both multiplied.

    Returns
    -------
    Jacobian
        Of the same shapes as J.

    Raises
    ------
    TypeError, ValueError
        Where J is no Jacobian, or s not a numeric array of that shape.

    Notes
    -----
    Source: d(s ∘ F) = s ∘ dF, Magnus & Neudecker, *Matrix Differential Calculus*, on Hadamard products.

    Examples
    --------
    >>> import matjac as mj
    >>> mj.scale_rows(mj.d_identity_dx(2), [3.0, 5.0]).toarray()
    array([[3., 0.],
           [0., 5.]])
    """
    _check([J], "out_shape")
    factors = checks.numeric("s", s)
    total = sum(size(shape) for shape in parts(J.out_shape))
    if factors.shape != (total,):
        if several(J.out_shape) or factors.shape != J.out_shape:
            raise ValueError(f"s: got shape {factors.shape}, expected {J.out_shape} or ({total},)")
        factors = vec(factors, J.order)
    return J._with(compose.scaled(J._point, factors))


def _check(jacobians: Any, shared: str) -> Jacobian:
    if not isinstance(jacobians, Sequence) or not jacobians:
        raise ValueError(f"jacobians: got {checks.describe(jacobians)}, expected at least one Jacobian in a sequence")
    for at, J in enumerate(jacobians):
        if not isinstance(J, Jacobian):
            raise TypeError(f"jacobians[{at}]: got {checks.describe(J)}, expected a Jacobian")
        for name in (shared, "order", "layout"):
            mine, expected = getattr(J, name), getattr(jacobians[0], name)
            if mine != expected:
                raise ValueError(f"jacobians[{at}]: got {name} {mine!r}, expected {expected!r} as in jacobians[0]")
    return jacobians[0]  # type: ignore[no-any-return]
