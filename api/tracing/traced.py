"""Tracing arrays: what a function is run on, once, to record what it does."""

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
import scipy.sparse as sp

from matjac.layout import Array, Shape, size
from matjac.tracing import operations as op
from matjac.tracing.program import Program

HANDLED: dict[Any, Callable[..., Any]] = {}


BRANCH = (
    "that depends on a variable can't be recorded: the function is run once. "
    "Use np.maximum, np.minimum, np.absolute, or np.where with a constant condition"
)
COMPARISONS = {np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal, np.isfinite, np.isnan}


class TracingError(TypeError):
    """A function did what can't be recorded; the message says what to write instead."""


class Traced(np.lib.mixins.NDArrayOperatorsMixin):
    """An array whose operations are recorded: it has a value, and the number of that value in a program."""

    __array_priority__ = 1000  # scipy.sparse asks for it before it multiplies

    def __init__(self, program: Program, number: int, value: Array) -> None:
        self.program, self.number, self.value = program, number, value

    # what an array has -------------------------------------------------------------------------------

    @property
    def shape(self) -> Shape:
        """As of an array."""
        return self.value.shape

    @property
    def ndim(self) -> int:
        """As of an array."""
        return self.value.ndim

    @property
    def size(self) -> int:
        """As of an array."""
        return self.value.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """As of an array."""
        return self.value.dtype

    @property
    def T(self) -> Any:
        """The transposed array."""
        return transpose(self)

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Any:
        return (self[k] for k in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, Traced) or (isinstance(index, tuple) and any(isinstance(k, Traced) for k in index)):
            raise TracingError("an index that depends on a variable can't be recorded: index by constants")
        return taken(self, np.arange(self.size).reshape(self.shape)[index])

    def reshape(self, *shape: Any, order: str = "C") -> Any:
        """As of an array."""
        return reshape(self, shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape, order)

    def ravel(self, order: str = "C") -> Any:
        """As of an array."""
        return reshape(self, (-1,), order)

    flatten = ravel

    def transpose(self, *axes: Any) -> Any:
        """As of an array."""
        return transpose(self, axes[0] if len(axes) == 1 and isinstance(axes[0], tuple | list) else axes or None)

    def sum(self, axis: Any = None, keepdims: bool = False) -> Any:
        """As of an array."""
        return total(self, axis, keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Any:
        """As of an array."""
        return mean(self, axis, keepdims)

    def dot(self, other: Any) -> Any:
        """As of an array."""
        return dot(self, other)

    def trace(self) -> Any:
        """As of an array."""
        return total(self.diagonal(), -1)

    def diagonal(self, offset: int = 0) -> Any:
        """As of an array."""
        return taken(self, np.diagonal(np.arange(self.size).reshape(self.shape), offset))

    # what can't be recorded --------------------------------------------------------------------------

    def __bool__(self) -> NoReturn:
        raise TracingError(f"a branch on a value {BRANCH}")

    def __float__(self) -> NoReturn:
        raise TracingError(
            "a plain number of a value that depends on a variable would lose its derivative: use NumPy's functions "
            "(np.exp, not math.exp), or register your own with mj.rule"
        )

    __int__ = __index__ = __complex__ = __float__

    def __array__(self, *args: Any, **kwargs: Any) -> Array:
        # not the values, which would lose the derivative: an object that scipy.sparse hands its product over to
        wrapped = np.empty((), dtype=object)
        wrapped[()] = self
        return wrapped

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        raise TracingError("assignment into an array can't be recorded: use np.where, np.concatenate or np.stack")

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise TracingError(f"the array method .{name} can't be recorded: write it with NumPy's functions")

    # NumPy's protocols -------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or {k for k, v in kwargs.items() if v is not None}:
            options = ", ".join(kwargs) or method
            raise TracingError(f"np.{ufunc.__name__} with {options} can't be recorded: call it plainly")
        if ufunc is np.matmul:
            return matmul(*inputs)
        if ufunc in COMPARISONS:
            raise TracingError(f"np.{ufunc.__name__}, or a branch on a value {BRANCH}")
        if ufunc in ALIASES:
            return ALIASES[ufunc](*inputs)
        if ufunc not in op.SLOPES:
            raise TracingError(
                f"np.{ufunc.__name__} has no derivative here: write it with {', '.join(sorted(NAMES))}, "
                "or register your own with mj.rule"
            )
        return record(op.Elementwise(ufunc), *inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function not in HANDLED:
            name = f"{function.__module__}.{function.__name__}".replace("numpy", "np", 1)
            raise TracingError(
                f"{name} can't be recorded: write it with other functions, or register your own with mj.rule"
            )
        return HANDLED[function](*args, **kwargs)


NAMES = {f"np.{ufunc.__name__}" for ufunc in op.SLOPES}
ALIASES: dict[np.ufunc, Callable[..., Any]] = {
    np.float_power: lambda x, y: record(op.Elementwise(np.power), x, y),
    np.fabs: lambda x: record(op.Elementwise(np.absolute), x),
}


def record(operation: op.Operation, *inputs: Any) -> Traced:
    """Record an operation on traced values and constants."""
    if any(map(sp.issparse, inputs)) and not isinstance(operation, op.MatMul):
        raise TracingError("a scipy.sparse constant can be recorded in matrix products alone: else use its .toarray()")
    program = next(x.program for x in inputs if isinstance(x, Traced))
    plain = [x.value if isinstance(x, Traced) else _constant(x) for x in inputs]
    numbers = [x.number if isinstance(x, Traced) else _constant(x) for x in inputs]
    value = operation.value(*plain)
    number = program.add(operation, numbers, [isinstance(x, Traced) for x in inputs], value.shape)
    return Traced(program, number, value)


def _constant(x: Any) -> Any:
    if sp.issparse(x):
        return sp.csr_array(x)
    array = np.asarray(x)
    if array.dtype.kind not in "biufc":
        raise TracingError(f"a constant of dtype {array.dtype} can't be recorded: use numbers")
    # a Python number takes the dtype of what it meets
    return x if isinstance(x, int | float | complex) else np.array(array)


def handles(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register what to do for NumPy functions."""

    def register(handler: Callable[..., Any]) -> Callable[..., Any]:
        for function in functions:
            HANDLED[function] = handler
        return handler

    return register


def taken(x: Traced, positions: Any) -> Any:
    """Entries at flat positions, in the positions' shape."""
    positions = np.asarray(positions, dtype=np.int64)
    if positions.shape == x.shape and np.array_equal(positions.reshape(-1), np.arange(x.size)):
        return x
    operation: op.Operation = op.Take(positions)
    if x.ndim == 2 and positions.ndim == 2 and positions.size:
        n = max(x.shape[1], 1)
        rows, columns = positions[:, 0] // n, positions[0] % n
        if np.array_equal(positions, rows[:, None] * n + columns):
            operation = op.TakeGrid(rows, columns)
        elif np.array_equal(positions, np.arange(x.size).reshape(x.shape).T):
            operation = op.Transpose()
    return record(operation, x)


def plain(x: Any) -> Any:
    """The value of a traced array, or a constant as an array."""
    return x.value if isinstance(x, Traced) else np.asarray(x)


@handles(np.iscomplexobj)
def iscomplexobj(x: Traced) -> bool:
    """``np.iscomplexobj``: as it is at the example."""
    return bool(np.iscomplexobj(x.value))


@handles(np.shape)
def shape_of(a: Traced) -> Shape:
    """``np.shape``: known, and so not recorded."""
    return a.shape


@handles(np.ndim)
def ndim_of(a: Traced) -> int:
    """``np.ndim``: known, and so not recorded."""
    return a.ndim


@handles(np.transpose)
def transpose(a: Traced, axes: Any = None) -> Any:
    """``np.transpose``, recorded."""
    return taken(a, np.transpose(np.arange(a.size).reshape(a.shape), axes or None))


@handles(np.swapaxes)
def swapaxes(a: Traced, axis1: int, axis2: int) -> Any:
    """``np.swapaxes``, recorded."""
    return taken(a, np.swapaxes(np.arange(a.size).reshape(a.shape), axis1, axis2))


@handles(np.reshape)
def reshape(a: Traced, shape: Any, order: Any = "C") -> Any:
    """``np.reshape``, recorded."""
    positions = np.arange(a.size).reshape(a.shape).reshape(shape, order=order)
    if order == "C":
        return a if positions.shape == a.shape else record(op.Reshape(positions.shape), a)
    return taken(a, positions)


@handles(np.ravel)
def ravel(a: Traced, order: Any = "C") -> Any:
    """``np.ravel``, recorded."""
    return reshape(a, (-1,), order)


@handles(np.sum)
def total(a: Traced, axis: Any = None, keepdims: bool = False) -> Any:
    """``np.sum``: the axes are moved last, and summed as one."""
    axes = tuple(range(a.ndim)) if axis is None else np.lib.array_utils.normalize_axis_tuple(axis, a.ndim)
    kept = tuple(k for k in range(a.ndim) if k not in axes)
    ordered = transpose(a, (*kept, *axes)) if axes and axes != tuple(range(len(kept), a.ndim)) else a
    shape = tuple(a.shape[k] for k in kept)
    rows, columns = size(shape), size(tuple(a.shape[k] for k in axes))
    summed = record(op.SumLast(), reshape(ordered, (rows, columns)))
    if keepdims:
        shape = tuple(1 if k in axes else n for k, n in enumerate(a.shape))
    return reshape(summed, shape)


@handles(np.mean)
def mean(a: Traced, axis: Any = None, keepdims: bool = False) -> Any:
    """``np.mean``: a sum, scaled."""
    summed = total(a, axis, keepdims)
    return summed * (summed.size / max(a.size, 1))


def matmul(a: Any, b: Any) -> Any:
    """The matrix product, of vectors, matrices and stacks of matrices."""
    x, y = (v if isinstance(v, Traced) or sp.issparse(v) else np.asarray(v) for v in (a, b))
    if x.ndim == 0 or y.ndim == 0:
        raise TracingError("np.matmul of a scalar: use *")
    left = reshape_any(x, (1, *x.shape)) if x.ndim == 1 else x
    right = reshape_any(y, (*y.shape, 1)) if y.ndim == 1 else y
    if (left.ndim > 2 or right.ndim > 2) and (sp.issparse(left) or sp.issparse(right)):
        raise TracingError("a product of a scipy.sparse matrix and a stack can't be recorded: reshape it to a matrix")
    if left.ndim > 2 or right.ndim > 2:
        batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
        left = np.broadcast_to(left, (*batch, *left.shape[-2:]))
        right = np.broadcast_to(right, (*batch, *right.shape[-2:]))
    product = record(op.MatMul(), left, right)
    shape = list(product.shape)
    if y.ndim == 1:
        del shape[-1]
    if x.ndim == 1:
        del shape[-1 if y.ndim == 1 else -2]
    return reshape(product, tuple(shape))


def reshape_any(x: Any, shape: Shape) -> Any:
    """The reshaped array, traced or constant."""
    return reshape(x, shape) if isinstance(x, Traced) else np.reshape(x, shape)


@handles(np.dot)
def dot(a: Any, b: Any) -> Any:
    """``np.dot``, recorded."""
    if np.ndim(plain(a)) == 0 or np.ndim(plain(b)) == 0:
        return a * b
    if np.ndim(plain(a)) > 2 or np.ndim(plain(b)) > 2:
        raise TracingError("np.dot of arrays with more than two dimensions can't be recorded: use @ or np.einsum")
    return matmul(a, b)
