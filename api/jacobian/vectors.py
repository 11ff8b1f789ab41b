"""Arrays of one shape, or of several, as one vector, and back."""

from typing import Any

import numpy as np

from matjac import checks
from matjac.conventions import Array, Order, Shapes, parts, several, size, vec
from matjac.structured import direction, slope


def joined(name: str, value: Any, shapes: Shapes, order: Order) -> Array:
    """The vector of an array of that shape, or of one array for each of several shapes."""
    if not several(shapes):
        return direction(name, value, shapes, order)  # type: ignore[arg-type]
    if not isinstance(value, tuple | list) or len(value) != len(shapes):
        raise ValueError(f"{name}: got {checks.describe(value)}, expected {len(shapes)} arrays of shapes {shapes}")
    arrays = [
        direction(f"{name}[{at}]", part, shape, order)
        for at, (part, shape) in enumerate(zip(value, parts(shapes), strict=True))
    ]
    return np.concatenate(arrays)


def divided(vector: Array, shapes: Shapes, order: Order) -> Any:
    """The array of that shape, or the arrays of several shapes, whose vector it is."""
    ends = np.cumsum([size(shape) for shape in parts(shapes)])
    arrays = [slope(part, shape, order) for part, shape in zip(np.split(vector, ends[:-1]), parts(shapes), strict=True)]
    return tuple(arrays) if several(shapes) else arrays[0]


def positions(rows: Any, shape: Shapes, total: int, order: Order) -> Array:
    """Places in the vector of an array of that shape: numbers, of which negative ones count from the end, or a mask."""
    index = checks.plain("rows", rows)
    if index.dtype == bool:
        if index.shape not in (shape, (total,)):
            raise ValueError(f"rows: got a mask of shape {index.shape}, expected {shape}")
        index = np.flatnonzero(vec(index, order))
    if index.ndim != 1:
        raise ValueError(f"rows: got shape {index.shape}, expected a 1-D array of row numbers")
    if index.dtype.kind not in "iu" and index.size:
        raise TypeError(f"rows: got dtype {index.dtype}, expected integers or booleans")
    if index.size and not -total <= int(index.min()) <= int(index.max()) < total:
        raise IndexError(f"rows: got numbers from {index.min()} to {index.max()}, expected less than {total}")
    index = index.astype(np.int64)
    return np.where(index < 0, index + total, index)
