"""NumPy's functions on recorded arrays, each by way of the few primitives that are linear in each operand."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from matjac.conventions import Array, size
from matjac.linear.primitives import Mask
from matjac.tracing.arrays import Recorded, renewed, shape_of
from matjac.tracing.assignment import showing
from matjac.tracing.conditions import SHAPED, chosen
from matjac.tracing.handlers import HANDLED, TracingError, handles
from matjac.tracing.recorded import apply, broadcast, joined, reshaped, taken, transposed


def _of_zeros(function: Any, a: Recorded, *args: Any, **kwargs: Any) -> Any:
    """What depends on the shape alone."""
    return function(np.broadcast_to(np.empty((), bool), a.shape), *args, **kwargs)


def _permuted(function: Any, a: Recorded, *args: Any, **kwargs: Any) -> Any:
    """What only permutes the axes is run on an array whose lengths are the axes' numbers."""
    return transposed(a, function(np.empty(tuple(range(a.ndim))), *args, **kwargs).shape)


for _permuting in (np.transpose, np.swapaxes, np.moveaxis, np.rollaxis):
    HANDLED[_permuting] = showing(_permuting, partial(_permuted, _permuting))
#: What depends on the shape alone.
for _of_shape in (np.shape, np.ndim, np.size, np.triu_indices_from, np.tril_indices_from, np.diag_indices_from):
    HANDLED[_of_shape] = partial(_of_zeros, _of_shape)
#: Those that one line says.
LINES: dict[Any, Any] = {
    np.iscomplexobj: lambda x: x.dtype.kind == "c",
    np.isrealobj: lambda x: x.dtype.kind != "c",
    np.ravel: showing(np.ravel, lambda a, order="C": np.reshape(a, (-1,), order)),
    np.trace: lambda a, offset=0, axis1=0, axis2=1: np.sum(np.diagonal(a, offset, axis1, axis2), -1),
    np.tril: lambda m, k=0: masked(m, np.tril(np.ones(m.shape, bool), k)),
    np.triu: lambda m, k=0: masked(m, np.triu(np.ones(m.shape, bool), k)),
}
HANDLED |= LINES


def _reshape(a: Recorded, shape: Any, order: Any = "C") -> Any:
    if order not in ("C", "F"):
        raise TracingError(f"np.reshape in order {order!r} can't be recorded: use 'C' or 'F'")
    after = np.broadcast_to(np.empty((), bool), a.shape).reshape(shape).shape
    if order == "C":
        return reshaped(a, after)
    backwards = reshaped(transposed(a, tuple(range(a.ndim))[::-1]), after[::-1])
    return transposed(backwards, tuple(range(len(after)))[::-1])


HANDLED[np.reshape] = showing(np.reshape, _reshape)


@handles(np.broadcast_arrays)
def _broadcast_arrays(*args: Any, subok: bool = False) -> Any:
    shape = np.broadcast_shapes(*map(shape_of, args))
    return tuple(np.broadcast_to(array, shape) for array in args)


def _broadcast_to(array: Recorded, shape: Any, subok: bool = False) -> Any:
    return broadcast(array, np.broadcast_to(np.broadcast_to(np.empty(()), array.shape), shape).shape)


HANDLED[np.broadcast_to] = showing(np.broadcast_to, _broadcast_to)


@handles(np.concatenate)
def concatenate(arrays: Sequence[Any], axis: Any = 0, dtype: Any = None, casting: str = "same_kind") -> Any:
    """``np.concatenate``, recorded."""
    if dtype is not None:
        return concatenate(arrays, axis).astype(dtype)
    shapes = [shape_of(x) for x in arrays]
    starts = np.cumsum([0, *map(size, shapes)])
    numbers = [np.arange(b - a).reshape(s) + a for (a, b), s in zip(pairwise(starts), shapes, strict=True)]
    return taken(joined(arrays), np.concatenate(numbers, axis=axis))


@handles(np.vander)
def _vander(x: Any, N: Any = None, increasing: bool = False) -> Any:
    count, column = x.size if N is None else int(N), np.reshape(x, (-1, 1))
    powers = concatenate([np.ones_like(column), column ** np.arange(1, max(count, 1))], 1)[:, :count]
    return powers if increasing else renewed(powers[:, ::-1])


def masked(a: Recorded, mask: Array) -> Any:
    """The entries where a constant mask is true, else zero."""
    return a if mask.all() else apply(Mask(a.shape, np.array(np.broadcast_to(mask, a.shape))), a, shape=a.shape)


@handles(np.where)
def _where(condition: Any, *branches: Any) -> Any:
    if len(branches) != 2:
        raise TracingError(f"np.where of a condition alone {SHAPED}")
    x, y = branches
    if isinstance(condition, Recorded):
        return chosen(condition, x, y)
    condition = np.asarray(condition, dtype=bool)
    shape = np.broadcast_shapes(condition.shape, shape_of(x), shape_of(y))
    mask = np.broadcast_to(condition, shape)
    parts = []
    for part, kept in ((x, mask), (y, ~mask)):
        wide = broadcast(part, shape)
        if isinstance(part, Recorded):
            parts.append(masked(wide, kept))
        elif np.any(part):
            # a Python number takes the dtype of what it meets: float32 is the narrowest, where it holds the number
            narrow = isinstance(part, int | float) and (float(np.float32(part)) == part or part != part)
            parts.append(np.where(kept, wide, 0).astype(np.float32 if narrow else np.result_type(part)))
    return parts[0] if len(parts) == 1 else parts[0] + parts[1]


@handles(np.apply_along_axis)
def _apply_along_axis(func1d: Any, axis: int, arr: Any, *args: Any, **kwargs: Any) -> Any:
    last = np.moveaxis(arr, axis, -1)
    rows = np.reshape(last, (-1, last.shape[-1]))
    made = np.stack([np.asarray(func1d(row, *args, **kwargs), like=row) for row in rows])
    spread = np.reshape(made, last.shape[:-1] + made.shape[1:])
    ahead, inner = last.ndim - 1, made.ndim - 1
    at = axis % arr.ndim
    return np.moveaxis(spread, tuple(range(ahead, ahead + inner)), tuple(range(at, at + inner)))
