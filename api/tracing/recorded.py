"""Recorded arrays: what functions and rules are run on, once, to record what they do.

A `Traced` array stands for a value of a program, a `Symbol` for a differential: an array that depends linearly on the
variables' differentials. NumPy's functions take both; what they do is broken down into primitives.
"""

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np
import scipy.sparse as sp

from matjac.conventions import Array, Shape, canonical, size
from matjac.linear.expression import Expression
from matjac.linear.maps import Linear, Map
from matjac.linear.primitives import (
    Add,
    Broadcast,
    Join,
    MatMul,
    Multilinear,
    Multiply,
    Reshape,
    Slice,
    Sum,
    Take,
    Transpose,
)
from matjac.linear.program import Primitive, Program

#: NumPy's functions, and what is recorded for each.
HANDLED: dict[Any, Callable[..., Any]] = {}
#: What is done with a ufunc that has no handler of its own: `elementwise` says it.
UNKNOWN: list[Any] = [None]

BRANCH = (
    "that depends on a variable can't be recorded: the function is run once. "
    "Write np.where(condition, a, b), np.maximum or np.clip, which choose by value at each call; "
    "for `and`, `or`, `not` write &, |, ~"
)


class TracingError(TypeError):
    """A function did what can't be recorded; the message says what to write instead."""


class Recorder:
    """A program and an expression that are being recorded, with the values at an example."""

    def __init__(self, program: Program | None = None) -> None:
        self.program = Program() if program is None else program
        self.expression = Expression(self.program, ())
        self.examples: dict[int, Any] = {}

    def argument(self, example: Array) -> "Traced":
        """A value that is given."""
        return self.traced(self.program.given(np.shape(example)), example)

    def variables(self, shapes: Sequence[Shape]) -> list["Symbol"]:
        """The differentials of variables of those shapes."""
        self.expression = Expression(self.program, shapes)
        return [Symbol(self, number, shape) for number, shape in enumerate(shapes)]

    def traced(self, number: int, value: Any) -> "Traced":
        """A value by its number."""
        self.examples[number] = value
        return Traced(self, number, value)

    def constant(self, value: Any) -> int:
        """The number of a constant, which is copied."""
        if sp.issparse(value):
            value = sp.csr_array(value, copy=True)
            value.sum_duplicates()
        elif isinstance(value, int | float | complex) and not isinstance(value, bool):
            pass  # a Python number takes the dtype of what it meets
        else:
            array = np.asarray(value)
            if array.dtype.kind not in "biufc":
                raise TracingError(f"a constant of dtype {array.dtype} can't be recorded: use numbers")
            value = snapshot(array)
        number = self.program.constant(value)
        self.examples[number] = value
        return number


def snapshot(array: Array) -> Array:
    """A C-contiguous copy; an axis that is one entry broadcast stays so, whatever its length."""
    compact = array[tuple(slice(0, 1) if step == 0 else slice(None) for step in array.strides)]
    copy = np.array(compact, order="C", copy=True)
    return copy if copy.shape == array.shape else np.broadcast_to(copy, array.shape)


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    """NumPy's function as a method of recorded arrays."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    return method


class Recorded(np.lib.mixins.NDArrayOperatorsMixin):
    """What both kinds of recorded arrays have of an array, by its names there."""

    __array_priority__ = 1000  # scipy.sparse asks for it before it multiplies

    recorder: Recorder
    number: int
    shape: Shape

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return size(self.shape)

    @property
    def T(self) -> Any:
        return transposed(self, tuple(range(self.ndim))[::-1])

    @property
    def mT(self) -> Any:
        return np.swapaxes(self, -1, -2)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __iter__(self) -> Any:
        return (self[k] for k in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        parts = index if isinstance(index, tuple) else (index,)
        if any(isinstance(k, Traced) and k.dtype == bool for k in parts):
            raise TracingError(
                "an index by a condition on values can't be recorded: its shape depends on values. "
                "Write np.where(X > 0, a, b) or X * (X > 0), which keep the shape"
            )
        if any(isinstance(k, Recorded) for k in parts):
            raise TracingError("an index that depends on a variable can't be recorded: index by constants")
        plain = slice, int, np.integer, type(None), type(Ellipsis)
        if all(isinstance(k, plain) and not isinstance(k, bool) for k in parts):
            return _sliced(self, parts)
        return taken(self, positions(self)[index])

    def reshape(self: Any, *shape: Any, order: Any = "C") -> Any:
        return np.reshape(self, shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape, order)

    def transpose(self: Any, *axes: Any) -> Any:
        return np.transpose(self, axes[0] if len(axes) == 1 and isinstance(axes[0], tuple | list) else axes or None)

    ravel = flatten = _method(np.ravel)
    sum, mean = _method(np.sum), _method(np.mean)
    clip, round, any, all = _method(np.clip), _method(np.round), _method(np.any), _method(np.all)
    argmax, argmin, argsort, conj = _method(np.argmax), _method(np.argmin), _method(np.argsort), _method(np.conjugate)
    dot, trace, diagonal = _method(np.dot), _method(np.trace), _method(np.diagonal)

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

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or {k for k, v in kwargs.items() if v is not None}:
            options = ", ".join(kwargs) or method
            raise TracingError(f"np.{ufunc.__name__} with {options} can't be recorded: call it plainly")
        return HANDLED.get(ufunc, UNKNOWN[0])(ufunc, *inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function not in HANDLED:
            name = f"{function.__module__}.{function.__name__}".replace("numpy", "np", 1)
            raise TracingError(
                f"{name} can't be recorded: write it with other functions, or register your own with mj.rule"
            )
        return HANDLED[function](*args, **kwargs)


class Traced(Recorded):
    """A value of a program, with what it is at the example."""

    def __init__(self, recorder: Recorder, number: int, value: Any) -> None:
        self.recorder, self.number, self.value = recorder, number, value
        self.shape = shape_of(value)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.value.dtype  # type: ignore[no-any-return]


class Symbol(Recorded):
    """A differential."""

    def __init__(self, recorder: Recorder, number: int, shape: Shape) -> None:
        self.recorder, self.number, self.shape = recorder, number, shape

    @property
    def dtype(self) -> np.dtype[Any]:
        raise TracingError("a differential has no dtype")


def handles(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register what to do for NumPy functions."""

    def register(handler: Callable[..., Any]) -> Callable[..., Any]:
        for function in functions:
            HANDLED[function] = handler
        return handler

    return register


def shape_of(x: Any) -> Shape:
    """The shape of a recorded array or a constant."""
    return x.shape if isinstance(x, Recorded) or sp.issparse(x) else np.shape(x)


def positions(x: Recorded) -> Array:
    """The flat position of each entry, in the array's shape."""
    return np.arange(x.size).reshape(x.shape)


def apply(primitive: Primitive, *operands: Any, shape: Shape | None = None) -> Any:
    """Record a primitive: a step of the expression where a differential is among its operands, else of the program.

    The shape is needed with differentials; None among the operands of a `Join` is zeros.
    """
    recorder = next(x.recorder for x in operands if isinstance(x, Recorded))
    linear = [isinstance(x, Symbol) or x is None for x in operands]
    numbers = [None if x is None else x.number if isinstance(x, Recorded) else recorder.constant(x) for x in operands]
    if any(linear):
        assert shape is not None
        assert isinstance(primitive, Multilinear)
        return Symbol(recorder, recorder.expression.add(primitive, numbers, linear, shape), shape)
    if any(sp.issparse(x) for x in operands) and not isinstance(primitive, MatMul):
        raise TracingError("a scipy.sparse constant can be recorded in matrix products alone: else use its .toarray()")
    examples = [recorder.examples[k] for k in numbers if k is not None]
    value = primitive.value(*examples)
    return recorder.traced(
        recorder.program.add(primitive, [k for k in numbers if k is not None], np.shape(value)), value
    )


def added(signs: tuple[int, ...], *operands: Any) -> Any:
    """The sum of arrays with signs, broadcast."""
    shape = np.broadcast_shapes(*map(shape_of, operands))
    if any(isinstance(x, Symbol) for x in operands):
        # sum() begins with 0
        kept = [(s, x) for s, x in zip(signs, operands, strict=True) if not (isinstance(x, int) and x == 0)]
        if not all(isinstance(x, Symbol) for _, x in kept):
            raise TracingError("a differential plus what is none is not linear: multiply by a differential")
        signs, operands = tuple(s for s, _ in kept), tuple(broadcast(x, shape) for _, x in kept)
        if signs == (1,):
            return operands[0]
    return apply(Add(signs), *operands, shape=shape)


def multiplied(a: Any, b: Any) -> Any:
    """The product entry by entry, broadcast."""
    if isinstance(a, Symbol) and isinstance(b, Symbol):
        raise TracingError("a product of two differentials is not linear")
    shape = np.broadcast_shapes(shape_of(a), shape_of(b))
    if isinstance(a, Symbol) or isinstance(b, Symbol):
        a, b = with_zeros(a, b)
        a, b = (broadcast(x, shape) if isinstance(x, Symbol) else x for x in (a, b))
    return apply(Multiply(), a, b, shape=shape)


def with_zeros(*operands: Any) -> Any:
    """Sparse constants as dense ones, whose zeros are known to be zeros by structure."""
    recorder = next(x.recorder for x in operands if isinstance(x, Recorded))

    def dense(matrix: Any) -> Traced:
        matrix = canonical(matrix)
        number = recorder.program.constant(matrix.toarray(), mask_of(matrix))
        return recorder.traced(number, recorder.program.constants[number])

    return tuple(dense(x) if sp.issparse(x) else x for x in operands)


def mask_of(matrix: Any) -> Array:
    """Where a csr_array has entries, as a dense mask."""
    ones = np.ones(matrix.nnz, bool)
    return sp.csr_array((ones, matrix.indices, matrix.indptr), shape=matrix.shape).toarray()  # type: ignore[no-any-return]


def broadcast(x: Any, shape: Shape) -> Any:
    """The entries repeated to a wider shape."""
    if shape_of(x) == shape:
        return x
    if not isinstance(x, Recorded):
        return np.broadcast_to(x, shape)
    return apply(Broadcast(x.shape, shape), x, shape=shape)


def reshaped(x: Any, shape: Shape) -> Any:
    """The entries in another shape, in C order."""
    if not isinstance(x, Recorded):
        return np.reshape(x, shape)
    return x if x.shape == shape else apply(Reshape(x.shape, shape), x, shape=shape)


def transposed(x: Any, axes: tuple[int, ...]) -> Any:
    """The axes in another order."""
    if not isinstance(x, Recorded):
        return np.transpose(x, axes)
    if axes == tuple(range(x.ndim)):
        return x
    return apply(Transpose(x.shape, axes), x, shape=tuple(x.shape[k] for k in axes))


def summed(x: Any, axes: tuple[int, ...]) -> Any:
    """The sums over some axes."""
    if not isinstance(x, Recorded):
        return np.sum(x, axis=axes)
    if not axes:
        return x
    return apply(Sum(x.shape, axes), x, shape=tuple(n for k, n in enumerate(x.shape) if k not in axes))


def joined(parts: Sequence[Any]) -> Any:
    """The entries of several arrays, one after another; what is constant among differentials is zeros."""
    arrays = [x if isinstance(x, Recorded) else np.asarray(x) for x in parts]
    symbols = any(isinstance(x, Symbol) for x in arrays)
    if symbols and any(isinstance(x, Traced) or (not isinstance(x, Symbol) and np.any(x)) for x in arrays):
        raise TracingError("differentials can be joined with differentials and zeros alone")
    shapes = tuple(shape_of(x) for x in arrays)
    operands = [x if isinstance(x, Symbol) or not symbols else None for x in arrays]
    return apply(Join(shapes), *operands, shape=(sum(map(size, shapes)),))


def taken(x: Recorded, where: Any) -> Any:
    """Entries at flat positions, in the positions' shape; blocks that follow one another are taken as blocks."""
    where = np.asarray(where, dtype=np.int64)
    flat = where.reshape(-1)
    if where.size == x.size and np.array_equal(flat, np.arange(x.size)):
        return reshaped(x, where.shape)
    block = _block(x, where)
    if block > 1:
        flat = flat[::block] // block
    return apply(Take(x.shape, flat, block, where.shape), x, shape=where.shape)


def _block(x: Recorded, where: Array) -> int:
    """The longest block of the array's last axes that the positions always take whole."""
    for k in range(1, x.ndim):
        block = size(x.shape[k:])
        if block <= 1 or where.size == 0 or where.size % block or where.shape[-1] % x.shape[-1]:
            continue
        rows = where.reshape(-1, block)
        if np.all(rows[:, 0] % block == 0) and np.array_equal(rows, rows[:, :1] + np.arange(block)):
            return block
    return 1


def _sliced(x: Recorded, index: tuple[Any, ...]) -> Any:
    """Entries by integers, slices and new axes: slices of every axis, then a reshape."""
    after = np.broadcast_to(np.empty((), bool), x.shape)[index].shape
    given = [k for k in index if k is not None]
    at = given.index(Ellipsis) if Ellipsis in given else len(given)
    rest = [k for k in given if k is not Ellipsis]
    rest[at:at] = [slice(None)] * (x.ndim - len(rest))
    slices = tuple(
        k if isinstance(k, slice) else slice(int(k) % n, int(k) % n + 1) for k, n in zip(rest, x.shape, strict=True)
    )
    shape = tuple(len(range(n)[k]) for k, n in zip(slices, x.shape, strict=True))
    cut = Slice(x.shape, slices)
    return reshaped(apply(cut, x, shape=shape), after)


def matmul(a: Any, b: Any) -> Any:
    """The matrix product, of vectors, matrices and stacks of matrices."""
    x, y = (v if isinstance(v, Recorded) or sp.issparse(v) else np.asarray(v) for v in (a, b))
    if isinstance(x, Symbol) and isinstance(y, Symbol):
        raise TracingError("a product of two differentials is not linear")
    shapes = shape_of(x), shape_of(y)
    if () in shapes:
        raise TracingError("np.matmul of a scalar: use *")
    left = reshaped(x, (1, *shapes[0])) if len(shapes[0]) == 1 else x
    right = reshaped(y, (*shapes[1], 1)) if len(shapes[1]) == 1 else y
    (*heads, m, k), (*tails, n, p) = shape_of(left), shape_of(right)
    if k != n:
        raise ValueError(f"matmul: got shapes {shapes[0]} and {shapes[1]}, whose inner dimensions differ")
    batch: Shape = ()
    if heads or tails:
        if sp.issparse(left) or sp.issparse(right):
            raise TracingError(
                "a product of a scipy.sparse matrix and a stack can't be recorded: reshape it to a matrix"
            )
        batch = np.broadcast_shapes(tuple(heads), tuple(tails))
        # a constant repeats by itself
        left, right = (broadcast(v, (*batch, *v.shape[-2:])) if isinstance(v, Recorded) else v for v in (left, right))
    product = apply(MatMul(), left, right, shape=(*batch, m, p))
    shape = (*batch, *((m,) if len(shapes[0]) > 1 else ()), *((p,) if len(shapes[1]) > 1 else ()))
    return reshaped(product, shape)


def mapped(linear_map: Map, x: Any, *coefficients: Any, axes: int = 1, after: Shape | None = None) -> Any:
    """A linear map of the last `axes` axes of an array, which become axes of lengths `after` (as they are, if None)."""
    shape = shape_of(x)
    before = shape[len(shape) - axes :]
    after = before if after is None else after
    owns = zip(coefficients, linear_map.axes, strict=True)
    ahead = [shape_of(c)[: len(shape_of(c)) - own] for c, own in owns]
    stack = np.broadcast_shapes(shape[: len(shape) - axes], *ahead)
    x = broadcast(x, stack + before)
    if not any(isinstance(v, Recorded) for v in (x, *coefficients)):
        return linear_map.product(np.asarray(x), *coefficients)
    if any(isinstance(c, Symbol) for c in coefficients):
        raise TracingError(f"{linear_map.name} is not linear in what it is made of: only in what it is applied to")
    return apply(Linear(linear_map, before, after), *coefficients, x, shape=stack + after)
