"""Norms of vectors and matrices, of every order that has a derivative."""

from typing import Any

import numpy as np

from matjac.tracing.arrays import Recorded, shape_of
from matjac.tracing.complexes import squared
from matjac.tracing.handlers import HANDLED, TracingError, handles


@handles(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """``np.linalg.norm``, recorded."""
    if isinstance(ord, Recorded):
        raise TracingError("np.linalg.norm can be recorded with a constant ord= alone: write np.sum(np.abs(x) ** p)")
    ndim = len(shape_of(x))
    axes = tuple(range(ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    if ord is None or (ord == "fro" and len(axes) == 2) or (ord == 2 and len(axes) == 1):
        return np.sqrt(np.sum(squared(x), axis=axis, keepdims=keepdims))
    if len(axes) == 1:
        return _vector(x, ord, axes[0], keepdims)
    if len(axes) != 2:
        raise ValueError(f"np.linalg.norm: got ord={ord!r} for {len(axes)} axes, expected one or two")
    return _matrix(x, ord, tuple(k % ndim for k in axes), keepdims)


def _vector(x: Any, ord: Any, axis: int, keepdims: bool) -> Any:
    if ord in (np.inf, -np.inf):
        return (np.max if ord > 0 else np.min)(np.abs(x), axis=axis, keepdims=keepdims)
    if ord == 0:
        raise TracingError("np.linalg.norm of order 0 counts entries, and has no derivative: use np.count_nonzero")
    if isinstance(ord, str):
        raise ValueError(f"np.linalg.norm: got ord={ord!r} for vectors, expected a number")
    size = np.abs(x)
    if ord == 1:
        return np.sum(size, axis=axis, keepdims=keepdims)
    return np.sum(size**ord, axis=axis, keepdims=keepdims) ** (1 / ord)


def _matrix(x: Any, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    y = np.moveaxis(x, axes, (-2, -1))
    if ord in ("nuc", 2, -2):
        s = np.linalg.svdvals(y)
        # they are sorted, largest first
        found = np.sum(s, axis=-1) if ord == "nuc" else s[..., 0 if ord == 2 else -1]
    elif ord in (1, -1, np.inf, -np.inf):
        sums = np.sum(np.abs(y), axis=-2 if abs(ord) == 1 else -1)
        found = (np.max if ord > 0 else np.min)(sums, axis=-1)
    else:
        raise ValueError(f"np.linalg.norm: got ord={ord!r} for matrices, expected None, 'fro', 'nuc', ±1, ±2 or ±inf")
    return np.expand_dims(found, axes) if keepdims else found


@handles(np.linalg.vector_norm)
def _vector_norm(x: Any, /, *, axis: Any = None, ord: Any = 2, keepdims: bool = False) -> Any:
    ndim = len(shape_of(x))
    axes = tuple(range(ndim)) if axis is None else tuple(k % ndim for k in np.atleast_1d(axis).tolist())
    rest = [k for k in range(ndim) if k not in axes]
    flat = np.reshape(np.transpose(x, (*axes, *rest)), (-1, *(shape_of(x)[k] for k in rest)))
    found = norm(flat, ord, 0)
    return np.expand_dims(found, axes) if keepdims else found


HANDLED[np.linalg.matrix_norm] = lambda x, /, *, keepdims=False, ord="fro": norm(x, ord, (-2, -1), keepdims)
