"""Conventions: the order of vec, the layout of a Jacobian, shapes and index types."""

import sys
from math import prod
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

if TYPE_CHECKING or sys.version_info >= (3, 12):
    from functools import cached_property as cached_property
else:

    class cached_property:  # noqa: N801
        """``functools.cached_property`` as it is from Python 3.12 on.

        Before, all instances of a class share one lock: threads that compute properties of one another's wait for ever.
        """

        def __init__(self, function: Any) -> None:
            self.function, self.__doc__ = function, function.__doc__

        def __set_name__(self, owner: Any, name: str) -> None:
            self.name = name

        def __get__(self, instance: Any, owner: Any = None) -> Any:
            if instance is None:
                return self
            value = instance.__dict__[self.name] = self.function(instance)
            return value


Array: TypeAlias = npt.NDArray[Any]
Shape: TypeAlias = tuple[int, ...]
Order: TypeAlias = Literal["C", "F"]
Layout: TypeAlias = Literal["numerator", "denominator"]

#: What a kernel takes where there is nothing to give.
NONE: Array = np.empty(0, dtype=np.int64)

#: One shape, or a tuple of shapes where there are several variables or outputs.
Shapes: TypeAlias = Shape | tuple[Shape, ...]

ORDERS: tuple[Order, ...] = ("C", "F")
LAYOUTS: tuple[Layout, ...] = ("numerator", "denominator")


def size(shape: Shape) -> int:
    """Number of entries of an array of that shape, as a Python integer that cannot overflow."""
    return prod(shape)


def several(shapes: Shapes) -> bool:
    """Whether that is a tuple of shapes, rather than one shape."""
    return len(shapes) > 0 and isinstance(shapes[0], tuple)


def parts(shapes: Shapes) -> tuple[Shape, ...]:
    """The shapes, of which there may be one alone."""
    return shapes if several(shapes) else (shapes,)  # type: ignore[return-value]


def as_matrix(shape: Shape) -> tuple[int, int]:
    """The shape of a matrix; a vector is one column, a number one entry."""
    p, q = (*shape, 1, 1)[:2]
    return p, q


def index_dtype(*counts: int) -> np.dtype[Any]:
    """int32 while every count fits in it, int64 beyond."""
    return np.dtype(np.int32 if max(counts) <= np.iinfo(np.int32).max else np.int64)


def cumulative(counts: Array) -> Array:
    """Row pointers of rows with that many entries (int64)."""
    result = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts, out=result[1:])
    return result


def flip(layout: Layout) -> Layout:
    """The layout of the transposed Jacobian."""
    return "denominator" if layout == "numerator" else "numerator"


def canonical(matrix: Any) -> Any:
    """A sparse matrix as csr_array, sorted and without duplicates or a change to the caller's own."""
    result = sp.csr_array(matrix)
    if not result.has_canonical_format:
        result = result.copy() if result is matrix or np.shares_memory(result.data, matrix.data) else result
        result.sum_duplicates()
    return result


def vec(X: npt.ArrayLike, order: Order = "C") -> Array:
    """The entries of an array as one vector, row by row or column by column.

    Parameters
    ----------
    X : array_like
        An array of any shape and dtype.
    order : {"C", "F"}, optional
        Row by row (NumPy's ``ravel``), or column by column (the textbooks' vec).

    Returns
    -------
    numpy.ndarray
        One-dimensional; a view where that is possible.

    Raises
    ------
    TypeError, ValueError
        Where X is sparse or masked, or `order` is neither.

    Notes
    -----
    Source: *Mathematics for Machine Learning*, §5.4: the isomorphism between matrices and vectors.

    Examples
    --------
    >>> import matjac as mj
    >>> mj.vec([[1, 2], [3, 4]], order="F")
    array([1, 3, 2, 4])
    """
    _check_order(order)
    if sp.issparse(X) or isinstance(X, np.ma.MaskedArray):
        raise TypeError(f"X: got a {type(X).__name__}, expected a dense array")
    return np.asarray(X).reshape(-1, order=order)


def unvec(x: npt.ArrayLike, shape: Shape, order: Order = "C") -> Array:
    """The array of that shape whose `vec` is x.

    Parameters
    ----------
    x : array_like
        One-dimensional.
    shape : tuple of int
        The array's shape.
    order : {"C", "F"}, optional
        Row by row, or column by column.

    Returns
    -------
    numpy.ndarray
        A view where that is possible.

    Raises
    ------
    ValueError
        Where x does not have as many entries as the shape, that is none, or `order` is neither.

    Examples
    --------
    >>> import matjac as mj
    >>> mj.unvec([1, 3, 2, 4], (2, 2), order="F")
    array([[1, 2],
           [3, 4]])
    """
    _check_order(order)
    if not isinstance(shape, tuple | list) or not all(isinstance(n, int | np.integer) and n >= 0 for n in shape):
        raise ValueError(f"shape: got {shape!r}, expected a tuple of sizes")
    vector = np.asarray(x)
    if vector.shape != (size(shape),):
        raise ValueError(f"x: got shape {vector.shape}, expected ({size(shape)},) for an array of shape {shape}")
    return vector.reshape(shape, order=order)


def _check_order(order: Order) -> None:
    if order not in ORDERS:
        raise ValueError(f"order: got {order!r}, expected one of 'C', 'F'")


def same_vector(first: Shapes, second: Shapes) -> bool:
    """Whether both shapes are the same, or one of them the other's vector."""
    sizes = [sum(size(shape) for shape in parts(shapes)) for shapes in (first, second)]
    flat = any(not several(shapes) and len(shapes) == 1 for shapes in (first, second))
    return first == second or (flat and sizes[0] == sizes[1])
