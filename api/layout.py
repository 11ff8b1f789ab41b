"""Conventions: the order of vec, the layout of a Jacobian, shapes and index types."""

from math import prod
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Shape: TypeAlias = tuple[int, ...]
Order: TypeAlias = Literal["C", "F"]
Layout: TypeAlias = Literal["numerator", "denominator"]

#: What a kernel takes where there is nothing to give.
NONE: Array = np.empty(0, dtype=np.int64)

ORDERS: tuple[Order, ...] = ("C", "F")
LAYOUTS: tuple[Layout, ...] = ("numerator", "denominator")


def size(shape: Shape) -> int:
    """Number of entries of an array of that shape, as a Python integer that cannot overflow."""
    return prod(shape)


def index_dtype(*counts: int) -> np.dtype[Any]:
    """int32 while every count fits in it, int64 beyond."""
    return np.dtype(np.int32 if max(counts) <= np.iinfo(np.int32).max else np.int64)


def flip(layout: Layout) -> Layout:
    """The layout of the transposed Jacobian."""
    return "denominator" if layout == "numerator" else "numerator"
