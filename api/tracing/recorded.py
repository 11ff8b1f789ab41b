"""What is recorded of arrays: primitives applied to values and differentials, and what all else is made of."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from matjac.conventions import Array, Shape, canonical, size
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
    run_length,
)
from matjac.linear.program import Indicator, Parts, Primitive
from matjac.tracing import lazy
from matjac.tracing.arrays import Recorded, Symbol, Traced, shape_of
from matjac.tracing.handlers import UNITED, TracingError
from matjac.tracing.recorder import Recorder

LEFT_OVER = (
    "an array that was recorded for another function is used here, which an earlier call must have kept (in a cache, "
    "an attribute, a global variable): compute it anew in each call"
)


def positions(x: Recorded) -> Array:
    """The flat position of each entry, in the array's shape."""
    return np.arange(x.size).reshape(x.shape)


def indexed(x: Recorded, index: tuple[Any, ...]) -> Array:
    """The flat positions of the entries at an index; where there are many others, theirs are not made."""
    if x.size <= lazy.LARGE:
        return positions(x)[index]  # type: ignore[no-any-return]
    # along each axis; what is wrong with the index NumPy says here
    taken = np.broadcast_to(False, x.shape)[index]
    at, step = np.zeros(taken.shape, np.int64), 1
    plain = len(index) == x.ndim and all(np.asarray(k).dtype.kind in "iu" for k in index)
    for axis in reversed(range(x.ndim)):
        n = x.shape[axis]
        if plain:
            at += step * (np.asarray(index[axis], np.int64) % n)
        else:
            along = np.arange(n).reshape(-1, *(1,) * (x.ndim - axis - 1))
            at += step * np.broadcast_to(along, x.shape)[index]
        step *= n
    return at


def united(x: Any) -> Any:
    """An operand; an array or a list of recorded arrays is one recorded array."""
    if isinstance(x, Parts):
        return x
    if isinstance(x, list | tuple) or (isinstance(x, np.ndarray) and x.dtype == object):
        array = np.asarray(x)
        return UNITED[0](array) if array.dtype == object else array
    return x


def apply(primitive: Primitive, *operands: Any, shape: Shape | None = None) -> Any:
    """Record a primitive: a step of the expression where a differential is among its operands, else of the program.

    The shape is needed with differentials; None among the operands of a `Join` is zeros.
    """
    recorder = next(x.recorder for x in operands if isinstance(x, Recorded))
    operands = tuple(united(x) for x in operands)
    if any(isinstance(x, Recorded) and x.recorder.program is not recorder.program for x in operands):
        raise TracingError(LEFT_OVER)
    linear = [isinstance(x, Symbol) or x is None for x in operands]
    numbers = [None if x is None else x.number if isinstance(x, Recorded) else recorder.constant(x) for x in operands]
    if any(linear):
        if not any(isinstance(x, Symbol) for x in operands):
            raise TracingError("None can't be recorded: use numbers")
        if not isinstance(primitive, Multilinear):
            raise TracingError(f"{primitive.name} of a differential is not linear")
        assert shape is not None
        numbers = [k if k is None or one else _number(recorder, k) for k, one in zip(numbers, linear, strict=True)]
        return Symbol(recorder, recorder.expression.add(primitive, numbers, linear, shape), shape)
    if any(sp.issparse(x) for x in operands) and not isinstance(primitive, MatMul):
        raise TracingError("a scipy.sparse constant can be recorded in matrix products alone: else use its .toarray()")
    value = lazy.example(primitive, [recorder.examples[k] for k in numbers if k is not None])
    return recorder.traced(
        recorder.program.add(primitive, [k for k in numbers if k is not None], np.shape(value)), value
    )


def _number(recorder: Recorder, number: int) -> int:
    """A factor of a differential; truth values become numbers, since the sum of two would be a truth value."""
    example = recorder.examples[number]
    if getattr(example, "dtype", np.dtype(float)).kind != "b" or number in recorder.program.constants:
        return number
    return apply(Indicator(), Traced(recorder, number, example)).number  # type: ignore[no-any-return]


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
        if any(isinstance(x, sp.spmatrix) for x in (a, b)):
            raise TracingError("* with a scipy.sparse matrix is a product of matrices: write @, or make it an array")
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
    if axes == tuple(range(x.ndim)):
        return x
    return apply(Transpose(x.shape, axes), x, shape=tuple(x.shape[k] for k in axes))


def summed(x: Any, axes: tuple[int, ...]) -> Any:
    """The sums over some axes."""
    if not axes:
        return x
    return apply(Sum(x.shape, axes), x, shape=tuple(n for k, n in enumerate(x.shape) if k not in axes))


def joined(parts: Sequence[Any]) -> Any:
    """The entries of several arrays, one after another; what is constant among differentials is zeros."""
    arrays = [x if isinstance(x, Recorded) else np.asarray(x) for x in map(united, parts)]
    symbols = any(isinstance(x, Symbol) for x in arrays)
    if symbols and any(isinstance(x, Traced) or (not isinstance(x, Symbol) and np.any(x)) for x in arrays):
        raise TracingError("differentials can be joined with differentials and zeros alone")
    shapes = tuple(shape_of(x) for x in arrays)
    operands = [x if isinstance(x, Symbol) or not symbols else None for x in arrays]
    return apply(Join(shapes), *operands, shape=(sum(map(size, shapes)),))


def taken(x: Recorded, where: Any) -> Any:
    """Entries at flat positions, in the positions' shape; what follows one another is taken together."""
    where = np.asarray(where, dtype=np.int64)
    flat = where.reshape(-1)
    if flat.size and (flat.size == x.size or x.ndim == 1) and np.all(np.diff(flat) == 1):
        start = int(flat[0])
        cut = Slice((x.size,), (slice(start, start + flat.size),))
        return reshaped(x if flat.size == x.size else apply(cut, x, shape=(flat.size,)), where.shape)
    block = run_length(flat, x.size)
    return apply(Take(x.shape, flat[::block] // block, block, where.shape), x, shape=where.shape)


def compacted(parts: Sequence[Any], where: Array, ends: Any = None) -> tuple[list[Any], Array]:
    """Those parts that hold entries at positions in all of them one after another, and the positions in those."""
    ends = np.cumsum([size(shape_of(part)) for part in parts]) if ends is None else np.asarray(ends)
    owners = np.searchsorted(ends, where, side="right") if len(parts) > 1 else np.zeros(where.size, np.int64)
    kept: list[Any] = []
    numbers, end = np.empty(where.size, np.int64), 0
    for k in np.flatnonzero(np.bincount(owners, minlength=1)).tolist():
        part = parts[k]
        count = size(shape_of(part))
        mine: Any = slice(None) if len(parts) == 1 else owners == k
        local = where[mine] - (ends[k] - count)
        if isinstance(part, Recorded) and len(parts) > 1:
            used = np.zeros(count, bool)
            used[local] = True
            needed = np.flatnonzero(used)
            if 2 * needed.size < count:
                # a few of many entries
                part, local, count = taken(part, needed), np.cumsum(used)[local] - 1, needed.size
        numbers[mine] = local + end
        end += count
        kept.append(part)
    return kept, numbers


def sliced(x: Recorded, index: tuple[Any, ...]) -> Any:
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
    return reshaped(apply(Slice(x.shape, slices), x, shape=shape), after)


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
    return apply(Linear(linear_map, before, after), *coefficients, x, shape=stack + after)
