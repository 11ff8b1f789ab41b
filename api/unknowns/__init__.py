"""Unknowns with structure, as examples for `matjac.compile`: symmetric, triangular, diagonal, partly known matrices.

A function is written on the whole matrix; the unknowns that solvers see are its free entries alone. With X = X₀ + S θ
the Jacobian by the free entries θ is J_X S: it has a column for each of them, and entries for those alone.

Examples
--------
>>> import numpy as np, matjac as mj
>>> F = mj.compile(lambda X: X @ X, mj.unknowns.symmetric(2))
>>> F.pack([[1.0, 2.0], [2.0, 3.0]])
array([1., 2., 3.])
"""

from typing import Any

import numpy as np
import scipy.sparse as sp

from matjac import checks
from matjac.conventions import Array, Shape, canonical, size
from matjac.linear.spread import selection
from matjac.unknowns.affine import Affine, Positive
from matjac.unknowns.stochastic import Stochastic

__all__ = [
    "affine",
    "diagonal",
    "free",
    "lower",
    "row_stochastic",
    "simplex",
    "skew",
    "symmetric",
    "upper",
]


def symmetric(n: int) -> Affine:
    """A symmetric n × n matrix; its free entries are those on and below the diagonal.

    Parameters
    ----------
    n : int
        Rows and columns.

    Returns
    -------
    Unknown
        An example for `matjac.compile`, `matjac.Variables`, `matjac.Function` and `matjac.from_differential`. The
        gradient by it is a symmetric matrix G, with ``df = ⟨G, dX⟩``.

    Raises
    ------
    TypeError, ValueError
        Where n is no size.

    Notes
    -----
    Source: Magnus & Neudecker, *Matrix Differential Calculus*, §3.8: X = unvec(D vech X) with the duplication matrix D.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> F = mj.compile(lambda X: X @ X, mj.unknowns.symmetric(2))
    >>> F.jacobian([[1.0, 2.0], [2.0, 3.0]]).toarray()
    array([[2., 4., 0.],
           [2., 4., 2.],
           [2., 4., 2.],
           [0., 4., 6.]])
    """
    return _mirrored("symmetric", n, 1)


def skew(n: int) -> Affine:
    """A skew-symmetric n × n matrix, ``Xᵀ = −X``; its free entries, of which bounds are, are those below the diagonal.

    Parameters
    ----------
    n : int
        Rows and columns.

    Returns
    -------
    Unknown
        See `symmetric`.

    Raises
    ------
    TypeError, ValueError
        Where n is no size.

    Examples
    --------
    >>> import matjac as mj
    >>> mj.unknowns.skew(2).jacobian().toarray()
    array([[ 0.],
           [-1.],
           [ 1.],
           [ 0.]])
    """
    return _mirrored("skew", n, -1)


def lower(n: int, positive_diagonal: bool = False) -> Affine:
    """A lower triangular n × n matrix.

    Parameters
    ----------
    n : int
        Rows and columns.
    positive_diagonal : bool, optional
        Whether the diagonal is positive: its free entries are then the logarithms, ``L_ii = exp(θ_ii)``.
        Each positive definite matrix is L Lᵀ of exactly one such L. Bounds that are one number or a whole matrix are of
        the entries themselves, those that are given for the free entries are of the logarithms.

    Returns
    -------
    Unknown
        See `symmetric`.

    Raises
    ------
    TypeError, ValueError
        Where n is no size, or the other no truth value.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> F = mj.compile(lambda L: L @ L.T, mj.unknowns.lower(4))
    >>> F.jacobian(np.tri(4)).nnz
    50
    """
    return _triangle("lower", n, np.tri, positive_diagonal)


def upper(n: int, positive_diagonal: bool = False) -> Affine:
    """An upper triangular n × n matrix.

    Parameters
    ----------
    n : int
        Rows and columns.
    positive_diagonal : bool, optional
        Whether the diagonal is positive, the exponential of its free entries: see `lower`.

    Returns
    -------
    Unknown
        See `symmetric`.

    Raises
    ------
    TypeError, ValueError
        Where n is no size, or the other no truth value.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> mj.Variables(mj.unknowns.upper(2)).pack([[1.0, 2.0], [0.0, 3.0]])
    array([1., 2., 3.])
    """
    return _triangle("upper", n, lambda n: np.tri(n).T, positive_diagonal)


def diagonal(n: int, positive: bool = False) -> Affine:
    """A diagonal n × n matrix.

    Parameters
    ----------
    n : int
        Rows and columns.
    positive : bool, optional
        Whether the diagonal is positive: its free entries are then the logarithms, ``D_ii = exp(θ_i)``.

    Returns
    -------
    Unknown
        See `symmetric`.

    Raises
    ------
    TypeError, ValueError
        Where n is no size, or the other no truth value.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> F = mj.compile(lambda A, D: A @ D, (3, 2), mj.unknowns.diagonal(2))
    >>> F.jacobian(np.ones((3, 2)), np.eye(2), wrt="D").nnz
    6
    """
    n, positive = checks.count("n", n), checks.flag("positive", positive)
    made = _taken(f"diagonal({n})", (n, n), np.arange(n) * (n + 1))
    return Positive(made, f"diagonal({n}, positive=True)") if positive else made


def free(mask: Any, values: Any = None) -> Affine:
    """An array of which some entries are free, and the others stay what they are.

    Parameters
    ----------
    mask : array_like of bool
        Of the array's shape: true where an entry is free.
    values : array_like, optional
        What the others are: a number, or an array of that shape, of which only those entries count. Without it they
        are zeros that the pattern of the Jacobian knows of; zeros in `values` are numbers like others.

    Returns
    -------
    Unknown
        See `symmetric`. Free entries are counted row by row.

    Raises
    ------
    TypeError, ValueError
        Where `mask` is not of truth values, or `values` not numeric or of another shape.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> A = mj.unknowns.free([[True, False], [True, True]], np.eye(2))
    >>> mj.Variables(A).unpack(np.array([5.0, 6.0, 7.0]))[0]
    array([[5., 0.],
           [6., 7.]])
    """
    where = np.asarray(mask)
    if where.dtype != bool:
        raise TypeError(f"mask: got {checks.describe(where)}, expected an array of truth values")
    offset = None
    if values is not None:
        given = checks.numeric("values", values)
        if given.shape not in ((), where.shape):
            raise ValueError(f"values: got shape {given.shape}, expected {where.shape}, that of the mask, or a number")
        offset = np.where(where, np.zeros((), given.dtype), given)
    return _taken("free(mask, values)", where.shape, np.flatnonzero(where), offset)


def affine(S: Any, offset: Any) -> Affine:
    """An array that is an affine function of free numbers, ``vec X = vec X₀ + S θ``.

    Parameters
    ----------
    S : array_like or scipy.sparse matrix
        With a row for each entry of the array, row by row, and a column for each of the free numbers; its columns
        are linearly independent. Zeros of a dense one are entries of the pattern; a sparse one has its own.
    offset : array_like
        X₀, in the shape of the array.

    Returns
    -------
    Unknown
        See `symmetric`.

    Raises
    ------
    TypeError, ValueError
        Where S or `offset` is not numeric, S is not finite or has another number of rows, or its columns depend on
        one another.

    Examples
    --------
    A Toeplitz matrix:

    >>> import numpy as np, matjac as mj
    >>> S = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]])
    >>> F = mj.compile(lambda T: T @ np.ones(2), mj.unknowns.affine(S, np.zeros((2, 2))))
    >>> F.fun(np.array([1.0, 2.0, 3.0]))
    array([3., 4.])
    """
    base = checks.numeric("offset", offset)
    matrix = checks.matrix("S", S)
    if matrix.shape[0] != base.size:
        raise ValueError(f"S: got {matrix.shape[0]} rows, expected {base.size}, one for each entry of the offset")
    checks.finite("S", matrix.data if sp.issparse(matrix) else matrix)
    if not sp.issparse(matrix):
        rows, columns = np.indices(matrix.shape).reshape(2, -1)
        matrix = sp.csr_array((matrix.reshape(-1), (rows, columns)), shape=matrix.shape)
    made = Affine("affine(S, offset)", base.shape, canonical(matrix), np.full(matrix.shape[1], -1), base.copy())
    # it refuses columns that depend on one another
    made.inverse  # noqa: B018
    return made


def simplex(n: int) -> Stochastic:
    """A vector of n positive numbers whose sum is one: the softmax of n − 1 free ones and a zero.

    Parameters
    ----------
    n : int
        Number of entries, at least 1.

    Returns
    -------
    Unknown
        See `symmetric`. Its free numbers are the logarithms of ``p_i / p_n``.

    Raises
    ------
    TypeError, ValueError
        Where n is no size, or 0.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> fit = mj.solvers.least_squares(mj.compile(lambda p: p - [0.2, 0.8], mj.unknowns.simplex(2)), [0.5, 0.5])
    >>> fit.variables[0].round(6)
    array([0.2, 0.8])
    """
    n = checks.count("n", n)
    if not n:
        raise ValueError("n: got 0, expected at least 1: no numbers have the sum one")
    return Stochastic(f"simplex({n})", (n,))


def row_stochastic(m: int, n: int) -> Stochastic:
    """An m × n matrix of positive numbers, each of whose rows has the sum one: see `simplex`.

    Parameters
    ----------
    m, n : int
        Rows and columns; at least one column.

    Returns
    -------
    Unknown
        See `symmetric`.

    Raises
    ------
    TypeError, ValueError
        Where m or n is no size, or n is 0.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> P = mj.unknowns.row_stochastic(2, 2)
    >>> mj.Variables(P).unpack(np.zeros(2))[0]
    array([[0.5, 0.5],
           [0.5, 0.5]])
    """
    m, n = checks.count("m", m), checks.count("n", n)
    if not n:
        raise ValueError("n: got 0, expected at least 1: no numbers have the sum one")
    return Stochastic(f"row_stochastic({m}, {n})", (m, n))


def _mirrored(name: str, n: int, sign: int) -> Affine:
    n = checks.count("n", n)
    i, j = np.nonzero(np.tri(n, k=0 if sign > 0 else -1))
    number, off = np.arange(i.size), i != j
    rows, columns = np.concatenate([i * n + j, (j * n + i)[off]]), np.concatenate([number, number[off]])
    signs = np.concatenate([np.ones(i.size), np.full(off.sum(), sign)])
    matrix = selection(rows, columns, (n * n, i.size), signs)
    return Affine(f"{name}({n})", (n, n), matrix, i * n + j)


def _triangle(name: str, n: int, ones: Any, positive_diagonal: bool) -> Affine:
    n, positive_diagonal = checks.count("n", n), checks.flag("positive_diagonal", positive_diagonal)
    made = _taken(f"{name}({n})", (n, n), np.flatnonzero(ones(n)))
    return Positive(made, f"{name}({n}, positive_diagonal=True)") if positive_diagonal else made


def _taken(name: str, shape: Shape, positions: Array, offset: Any = None) -> Affine:
    """Free entries at positions."""
    matrix = selection(positions, np.arange(positions.size), (size(shape), positions.size))
    return Affine(name, shape, matrix, positions, offset)


def __dir__() -> list[str]:
    return [*__all__, "__all__", "__doc__", "__file__", "__name__"]
