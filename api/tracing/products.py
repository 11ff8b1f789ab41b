"""Products of arrays: scalar, outer, matrix, Kronecker and tensor products."""

from typing import Any

import numpy as np

from matjac.conventions import size
from matjac.tracing.arrays import shape_of
from matjac.tracing.complexes import conjugated
from matjac.tracing.handlers import HANDLED, OPTIONS, handles
from matjac.tracing.recorded import matmul, with_zeros
from matjac.tracing.reductions import last, plain


@handles(np.dot)
def dot(a: Any, b: Any, out: Any = None) -> Any:
    """``np.dot``, recorded."""
    plain("np.dot", out=out)
    dims = len(shape_of(a)), len(shape_of(b))
    if 0 in dims:
        return a * b
    return matmul(a, b) if max(dims) <= 2 else tensordot(a, b, ((-1,), (-2 if dims[1] > 1 else -1,)))


@handles(np.inner)
def _inner(a: Any, b: Any) -> Any:
    dims = len(shape_of(a)), len(shape_of(b))
    if 0 in dims:
        return a * b
    return matmul(a, np.transpose(b)) if max(dims) <= 2 else tensordot(a, b, ((-1,), (-1,)))


@handles(np.vdot)
def _vdot(a: Any, b: Any) -> Any:
    return np.sum(np.ravel(conjugated(a)) * np.ravel(b))


@handles(np.outer)
def _outer(a: Any, b: Any, out: Any = None) -> Any:
    plain("np.outer", out=out)
    return np.reshape(a, (-1, 1)) * np.reshape(b, (1, -1))


@handles(np.tensordot)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """``np.tensordot``, recorded: one matrix product."""
    shapes = shape_of(a), shape_of(b)
    if isinstance(axes, int | np.integer):
        axes = range(len(shapes[0]) - int(axes), len(shapes[0])), range(int(axes))
    mine, its = (
        [int(k) % len(s) for k in np.atleast_1d(np.asarray(part, int))] for part, s in zip(axes, shapes, strict=True)
    )
    lengths = tuple(shapes[0][k] for k in mine)
    if len(mine) != len(its) or lengths != tuple(shapes[1][k] for k in its):
        raise ValueError(f"np.tensordot: got shapes {shapes[0]} and {shapes[1]}, which differ along the axes {axes}")
    left = [k for k in range(len(shapes[0])) if k not in mine]
    right = [k for k in range(len(shapes[1])) if k not in its]
    first = np.reshape(np.transpose(a, (*left, *mine)), (-1 if left else 1, size(lengths)))
    second = np.reshape(np.transpose(b, (*its, *right)), (size(lengths), -1 if right else 1))
    return np.reshape(matmul(first, second), (*(shapes[0][k] for k in left), *(shapes[1][k] for k in right)))


@handles(np.vecdot)
def _vecdot(_: Any, a: Any, b: Any, axis: int = -1) -> Any:
    return np.sum(np.multiply(conjugated(last(a, axis)), last(b, axis)), axis=-1)


OPTIONS[np.vecdot] = {"axis"}


def _column(x: Any) -> Any:
    return np.expand_dims(x, -1)


HANDLED[np.matvec] = lambda _, a, x: np.squeeze(matmul(a, _column(x)), -1)


@handles(np.vecmat)
def _vecmat(_: Any, x: Any, a: Any) -> Any:
    return np.squeeze(matmul(np.expand_dims(conjugated(x), -2), a), -2)


@handles(np.cross)
def _cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: Any = None) -> Any:
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = np.moveaxis(a, axisa, -1), np.moveaxis(b, axisb, -1)
    lengths = shape_of(a)[-1], shape_of(b)[-1]
    if not set(lengths) <= {2, 3}:
        raise ValueError(f"np.cross: got vectors of {lengths[0]} and {lengths[1]} numbers, expected 2 or 3")
    x, y = ([v[..., k] for k in range(n)] for v, n in zip((a, b), lengths, strict=True))
    third = x[0] * y[1] - x[1] * y[0]
    if lengths == (2, 2):
        return third
    x, y = ([*v, np.zeros(())][:3] for v in (x, y))
    parts = [x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], third]
    return np.moveaxis(np.stack(np.broadcast_arrays(*parts), axis=-1), -1, axisc)


@handles(np.kron)
def _kron(a: Any, b: Any) -> Any:
    a, b = with_zeros(a, b)
    ndim = max(len(shape_of(a)), len(shape_of(b)))
    m, n = ((1,) * (ndim - len(shape_of(v))) + shape_of(v) for v in (a, b))
    first = np.reshape(a, tuple(k for pair in zip(m, (1,) * ndim, strict=True) for k in pair))
    second = np.reshape(b, tuple(k for pair in zip((1,) * ndim, n, strict=True) for k in pair))
    return np.reshape(first * second, tuple(p * q for p, q in zip(m, n, strict=True)))
