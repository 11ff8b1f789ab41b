"""Differences, slopes and areas of sampled functions, convolutions, equally spaced points."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from matjac.conventions import Array
from matjac.linear.primitives import SpMM
from matjac.tracing.arrays import Recorded, Symbol, shape_of
from matjac.tracing.complexes import conjugated
from matjac.tracing.handlers import TracingError, handles
from matjac.tracing.recorded import apply, matmul, taken
from matjac.tracing.reductions import back, last, plain

# differences --------------------------------------------------------------------------------------------


@handles(np.diff)
def difference(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """``np.diff``, recorded."""
    if n < 0:
        raise ValueError(f"np.diff: got n = {n}, expected 0 or more")
    parts = [_beside(part, a, axis) for part in (prepend, a, append) if part is not None]
    y = last(parts[0] if len(parts) == 1 else np.concatenate(parts, axis=axis), axis)
    for _ in range(n):
        y = y[..., 1:] - y[..., :-1]
    return back(y, axis)


def _beside(part: Any, a: Any, axis: int) -> Any:
    if part is a or len(shape_of(part)):
        return part
    shape = list(shape_of(a))
    shape[axis] = 1
    return np.broadcast_to(part, tuple(shape))


@handles(np.ediff1d)
def _ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    middle = difference(np.ravel(ary))
    parts = [np.ravel(_as(part, middle)) for part in (to_begin, middle, to_end) if part is not None]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


@handles(np.gradient)
def _gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    ndim = f.ndim
    axes = range(ndim) if axis is None else np.atleast_1d(np.lib.array_utils.normalize_axis_tuple(axis, ndim)).tolist()
    spacings = varargs or (1.0,)
    if len(spacings) == 1:
        spacings = tuple(spacings) * len(axes)
    if len(spacings) != len(axes):
        raise TypeError(f"np.gradient: got {len(spacings)} spacings, expected one, or one for each of {len(axes)} axes")
    found = []
    for k, h in zip(axes, spacings, strict=True):
        if isinstance(h, Recorded):
            raise TracingError("np.gradient with a spacing that depends on a variable can't be recorded: divide by it")
        found.append(back(_slopes(last(f, k), np.asarray(h, float), edge_order), k))
    return found[0] if len(found) == 1 else tuple(found)


def _slopes(y: Any, spacing: Array, edge_order: int) -> Any:
    """The slopes along the last axis: central inside, of the first or second order at both ends."""
    n = y.shape[-1]
    if edge_order not in (1, 2):
        raise ValueError(f"edge_order: got {edge_order!r}, expected 1 or 2")
    if n < edge_order + 1:
        raise ValueError(f"np.gradient: got {n} points, expected at least {edge_order + 1}")
    if spacing.shape not in ((), (n,)):
        raise ValueError(f"np.gradient: got coordinates of shape {spacing.shape}, expected ({n},)")
    h = np.full(n - 1, spacing) if spacing.ndim == 0 else np.diff(spacing)
    a, b = h[:-1], h[1:]
    total = a + b
    if np.all(h == h[:1]):
        inner = (y[..., 2:] - y[..., :-2]) / (2 * float(h[0]))
    else:
        weights = -b / (a * total), (b - a) / (a * b), a / (b * total)
        inner = sum(_as(w, y) * y[..., k : n - 2 + k] for k, w in enumerate(weights))
    if edge_order == 1:
        first, final = (y[..., 1:2] - y[..., :1]) / float(h[0]), (y[..., -1:] - y[..., -2:-1]) / float(h[-1])
    else:
        first = _edge(y[..., :3], h[0], h[1])
        final = -_edge(y[..., :-4:-1], h[-1], h[-2])
    return np.concatenate([first, inner, final], axis=-1)


def _edge(y: Any, a: float, b: float) -> Any:
    """The slope at the first of three points, a and b apart."""
    weights = -(2 * a + b) / (a * (a + b)), (a + b) / (a * b), -a / (b * (a + b))
    return sum(float(w) * y[..., k : k + 1] for k, w in enumerate(weights))


def _as(numbers: Any, array: Any) -> Any:
    """Constants in the dtype of an array."""
    if isinstance(numbers, Recorded):
        return numbers
    made = np.empty_like(array, shape=np.shape(numbers))
    made[...] = numbers
    return made


@handles(np.trapezoid)
def _trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    y = last(y, axis)
    if x is not None:
        dx = np.diff(x) if len(shape_of(x)) == 1 else last(np.diff(x, axis=axis), axis)
    return np.sum(dx * (y[..., 1:] + y[..., :-1]) / 2.0, axis=-1)


@handles(np.bincount)
def _bincount(x: Any, /, weights: Any = None, minlength: int = 0) -> Any:
    if isinstance(x, Recorded):
        raise TracingError("np.bincount of what depends on a variable can't be recorded: only weights= may")
    bins = np.asarray(x)
    places = np.ones(bins.size, np.int8), (bins, np.arange(bins.size))
    count = max(int(bins.max(initial=-1)) + 1, minlength)
    # NumPy's result is not narrower
    return matmul(sp.csr_array(places, shape=(count, bins.size)), weights * np.float64(1))


# convolutions -------------------------------------------------------------------------------------------


def _lags(m: int, n: int, mode: str) -> tuple[int, int]:
    """Which entries of the full convolution of m and n numbers, m ≥ n, a mode keeps."""
    if mode not in ("full", "same", "valid"):
        raise ValueError(f"mode: got {mode!r}, expected 'full', 'same' or 'valid'")
    return {"full": (0, m + n - 1), "same": ((n - 1) // 2, (n - 1) // 2 + m), "valid": (n - 1, m)}[mode]


@handles(np.convolve)
def convolve(a: Any, v: Any, mode: str = "full") -> Any:
    """``np.convolve``, recorded: a banded matrix, made of one of the two, times the other."""
    if isinstance(a, Symbol) and isinstance(v, Symbol):
        raise TracingError("a product of two differentials is not linear")
    a, v = np.ravel(a), np.ravel(v)
    if shape_of(a)[0] < shape_of(v)[0]:
        a, v = v, a
    m, n = shape_of(a)[0], shape_of(v)[0]
    if n == 0:
        raise ValueError("np.convolve: got an empty array, expected at least one number")
    if not isinstance(v, Recorded):
        return _banded(a, v, mode, m, n)
    start, stop = _lags(m, n, mode)
    # row k has a[k − j] in column j
    rows, columns = (x.reshape(-1) for x in np.meshgrid(np.arange(start, stop), np.arange(n), indexing="ij"))
    inside = (rows - columns >= 0) & (rows - columns < m)
    rows, columns = rows[inside], columns[inside]
    if not isinstance(a, Recorded):
        matrix = sp.csr_array((np.asarray(a)[rows - columns], (rows - start, columns)), shape=(stop - start, n))
        return matmul(matrix, v)
    spread = taken(a, rows - columns)
    multiply = SpMM(rows - start, columns, (rows.size,), (stop - start, n))
    return np.reshape(apply(multiply, spread, np.reshape(v, (n, 1)), shape=(stop - start, 1)), (-1,))


def _banded(a: Any, v: Array, mode: str, m: int, n: int) -> Any:
    """The convolution with constants: row k has v[k − j] in column j."""
    start, stop = _lags(m, n, mode)
    shape = m + n - 1, m
    matrix = sp.dia_array((np.repeat(v[:, None], m, axis=1), -np.arange(n)), shape=shape).tocsr()
    return matmul(matrix[start:stop], a)


@handles(np.correlate)
def _correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    v = conjugated(v)
    if shape_of(a)[0] >= shape_of(v)[0]:
        return convolve(a, v[::-1], mode)
    # the shorter one is slid the other way
    return convolve(v, a[::-1], mode)[::-1]


@handles(np.linspace)
def _linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
    *,
    device: Any = None,
) -> Any:
    plain("np.linspace", dtype=dtype, device=device)
    step = (stop - start) / (max(num - 1 if endpoint else num, 1))
    shape = (-1, *(1,) * len(shape_of(step)))
    points = start + np.reshape(_as(np.arange(num if num > 1 else 0), step), shape) * step
    points = np.moveaxis(points if num != 1 else np.expand_dims(start + 0 * step, 0), 0, axis)
    return (points, step) if retstep else points
