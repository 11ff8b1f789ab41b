"""NumPy's functions on tracing arrays, each by way of the few operations that a program knows."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from matjac.layout import Array
from matjac.tracing import operations as op
from matjac.tracing.traced import (
    Traced,
    TracingError,
    handles,
    matmul,
    plain,
    record,
    reshape,
    reshape_any,
    taken,
    total,
)


def _rearranger(function: Any) -> None:
    """A function that only moves entries of its first argument."""

    @handles(function)
    def rearrange(a: Traced, *args: Any, **kwargs: Any) -> Any:
        return taken(a, function(np.arange(a.size).reshape(a.shape), *args, **kwargs))


MOVERS = (np.squeeze, np.expand_dims, np.flip, np.roll, np.diagonal, np.moveaxis, np.broadcast_to, np.repeat, np.tile)
for _function in MOVERS:
    _rearranger(_function)


@handles(np.take)
def _take(a: Traced, indices: Any, axis: Any = None) -> Any:
    return taken(a, np.take(np.arange(a.size).reshape(a.shape), indices, axis))


@handles(np.concatenate)
def concatenate(arrays: Sequence[Any], axis: Any = 0) -> Any:
    """``np.concatenate``, recorded."""
    arrays = [x if isinstance(x, Traced) else np.asarray(x) for x in arrays]
    flat = record(op.Concatenate(), *arrays)
    starts = np.cumsum([0, *[x.size for x in arrays]])
    parts = [np.arange(x.size).reshape(x.shape) + start for x, start in zip(arrays, starts, strict=False)]
    positions = np.concatenate(parts, axis=axis)
    joined = taken(flat, positions.reshape(-1))
    return reshape(joined, positions.shape)


@handles(np.stack)
def stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    """``np.stack``, recorded."""
    return concatenate([np.expand_dims(x, axis) for x in arrays], axis)


@handles(np.hstack)
def hstack(tup: Sequence[Any]) -> Any:
    """``np.hstack``, recorded."""
    arrays = [np.reshape(x, (1,)) if np.ndim(plain(x)) == 0 else x for x in tup]
    return concatenate(arrays, 0 if np.ndim(plain(arrays[0])) == 1 else 1)


@handles(np.vstack)
def vstack(tup: Sequence[Any]) -> Any:
    """``np.vstack``, recorded."""
    return concatenate([np.reshape(x, (1, -1)) if np.ndim(plain(x)) < 2 else x for x in tup], 0)


@handles(np.trace)
def trace(a: Traced, offset: int = 0) -> Any:
    """``np.trace``, recorded."""
    return total(a.diagonal(offset), -1)


@handles(np.diag)
def diag(v: Traced, k: int = 0) -> Any:
    """``np.diag``, recorded."""
    if v.ndim == 2:
        return v.diagonal(k)
    n = v.size + abs(k)
    return record(op.Scatter(np.flatnonzero(np.diag(np.ones(v.size), k)), (n, n)), v)


def _mask(a: Traced, mask: Array) -> Any:
    kept = np.flatnonzero(np.broadcast_to(mask, a.shape))
    return record(op.Scatter(kept, a.shape), taken(a, kept))


@handles(np.tril)
def tril(m: Traced, k: int = 0) -> Any:
    """``np.tril``, recorded."""
    return _mask(m, np.tril(np.ones(m.shape, dtype=bool), k))


@handles(np.triu)
def triu(m: Traced, k: int = 0) -> Any:
    """``np.triu``, recorded."""
    return _mask(m, np.triu(np.ones(m.shape, dtype=bool), k))


@handles(np.where)
def where(condition: Any, x: Any, y: Any) -> Any:
    """``np.where``, recorded."""
    if isinstance(condition, Traced):
        raise TracingError("np.where on a condition that depends on a variable can't be recorded: use np.maximum")
    condition = np.asarray(condition, dtype=bool)
    shape = np.broadcast_shapes(condition.shape, plain(x).shape, plain(y).shape)
    mask = np.broadcast_to(condition, shape)
    parts: list[Any] = []
    for part, kept in ((x, mask), (y, ~mask)):
        wide: Any = np.broadcast_to(part, shape)
        parts.append(_mask(wide, kept) if isinstance(part, Traced) else np.where(kept, wide, 0))
    return parts[0] + parts[1]


@handles(np.vdot)
def vdot(a: Any, b: Any) -> Any:
    """``np.vdot``, recorded."""
    if any(plain(x).dtype.kind == "c" for x in (a, b)):
        raise TracingError("np.vdot conjugates, which has no complex derivative: use np.sum(a * b)")
    return total(np.ravel(a) * np.ravel(b))


@handles(np.inner)
def inner(a: Any, b: Any) -> Any:
    """``np.inner``, recorded."""
    dims = {np.ndim(plain(a)), np.ndim(plain(b))}
    if 0 in dims:
        return a * b
    if max(dims) > 2:
        raise TracingError("np.inner of arrays with more than two dimensions can't be recorded: use np.einsum")
    return matmul(a, np.transpose(b)) if np.ndim(plain(b)) == 2 else matmul(a, b)


@handles(np.outer)
def outer(a: Any, b: Any) -> Any:
    """``np.outer``, recorded."""
    return np.reshape(a, (-1, 1)) @ np.reshape(b, (1, -1))


@handles(np.kron)
def kron(a: Any, b: Any) -> Any:
    """``np.kron``, recorded."""
    if np.ndim(plain(a)) == np.ndim(plain(b)) == 1:
        return np.ravel(outer(a, b))
    if np.ndim(plain(a)) != 2 or np.ndim(plain(b)) != 2:
        raise TracingError("np.kron can be recorded of two vectors or two matrices: reshape them")
    (m, n), (r, s) = plain(a).shape, plain(b).shape
    rows, columns = np.arange(m * r), np.arange(n * s)
    wide = _grid(a, rows // max(r, 1), columns // max(s, 1))
    return wide * _grid(b, rows % max(r, 1), columns % max(s, 1))


def _grid(x: Any, rows: Array, columns: Array) -> Any:
    return x[rows[:, None], columns]


def _square(a: Any) -> Any:
    if np.ndim(plain(a)) != 2:
        raise TracingError("np.linalg functions of a stack of matrices can't be recorded: take each, and np.stack them")
    return a


@handles(np.linalg.inv)
def inv(a: Traced) -> Any:
    """``np.linalg.inv``, recorded."""
    return record(op.Inverse(), _square(a))


@handles(np.linalg.det)
def det(a: Traced) -> Any:
    """``np.linalg.det``, recorded."""
    return record(op.Det(), _square(a))


@handles(np.linalg.slogdet)
def slogdet(a: Traced) -> Any:
    """``np.linalg.slogdet``, recorded."""
    return record(op.SignDet(), _square(a)), record(op.LogDet(), _square(a))


@handles(np.linalg.solve)
def solve(a: Any, b: Any) -> Any:
    """``np.linalg.solve``, recorded."""
    _square(a)
    if np.ndim(plain(b)) > 2:
        raise TracingError("np.linalg.solve of a stack can't be recorded: solve each, and np.stack them")
    if np.ndim(plain(b)) == 1:
        return reshape(record(op.Solve(), a, reshape_any(b, (-1, 1))), (-1,))
    return record(op.Solve(), a, b)


@handles(np.linalg.norm)
def norm(x: Traced, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """``np.linalg.norm``, recorded."""
    axes = x.ndim if axis is None else len(axis) if isinstance(axis, tuple) else 1
    if ord not in (None, 2, "fro") or (ord == 2 and axes > 1):
        raise TracingError(f"np.linalg.norm with ord={ord!r} can't be recorded: only the Euclidean and Frobenius norms")
    return np.sqrt(total(x * x, axis, keepdims))
