"""NumPy's functions that move entries: each is run on the entries' positions, which say what was moved where.

Positions count from 1 through all arrays that it takes entries of, one after another; 0 is where NumPy filled in zeros.
"""

import inspect
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import numpy as np

from matjac.conventions import Array, size
from matjac.linear.primitives import Pad, Scatter
from matjac.tracing.arrays import Recorded, renewed, shape_of
from matjac.tracing.assignment import shown
from matjac.tracing.conditions import SHAPED
from matjac.tracing.handlers import HANDLED, TracingError, handles, module_name
from matjac.tracing.recorded import apply, broadcast, compacted, joined, reshaped, sliced, taken, transposed, united

#: Functions that move entries, and the parameters that they take them from.
MOVES: dict[Any, str] = {
    **dict.fromkeys((np.flip, np.fliplr, np.flipud, np.rot90, np.roll, np.diagonal, np.linalg.diagonal), ""),
    **dict.fromkeys((np.repeat, np.tile, np.resize, np.take, np.squeeze, np.expand_dims), ""),
    **dict.fromkeys((np.diag, np.diagflat, np.delete, np.take_along_axis), ""),
    **dict.fromkeys((np.split, np.array_split, np.hsplit, np.vsplit, np.dsplit), ""),
    **dict.fromkeys((np.lib.stride_tricks.sliding_window_view, np.fft.fftshift, np.fft.ifftshift), ""),
    **dict.fromkeys((np.matrix_transpose, np.linalg.matrix_transpose), ""),
    **dict.fromkeys((np.atleast_1d, np.atleast_2d, np.atleast_3d), "arys"),
    **dict.fromkeys((np.hstack, np.vstack, np.dstack, np.column_stack), "tup"),
    np.stack: "arrays",
    np.block: "arrays",
    np.pad: "array",
    np.append: "arr values",
    np.compress: "a",
    np.extract: "arr",
    np.choose: "choices",
    np.meshgrid: "xi",
    np.unstack: "",
}


@cache
def _signature(function: Any) -> inspect.Signature:
    return inspect.signature(function)


def rearranged(function: Any, *args: Any, **kwargs: Any) -> Any:
    """What a function that moves entries is recorded as."""
    if kwargs.get("copy") is False:
        raise TracingError(f"{module_name(function)} with copy=False can't be recorded: leave it out")
    bound = _signature(function).bind(*args, **kwargs)
    given = bound.arguments
    names = MOVES[function].split() or [next(iter(given))]
    parts: list[Any] = []
    ends, grids = [1], []

    def numbered(x: Any) -> Any:
        """Positions in place of what holds entries."""
        if isinstance(x, list | tuple) and type(x) in (list, tuple):
            return type(x)(map(numbered, x))
        x = united(x)
        parts.append(x if isinstance(x, Recorded) else np.asarray(x))
        shape = shape_of(x)
        ends.append(ends[-1] + size(shape))
        grids.append(np.arange(ends[-2], ends[-1]).reshape(shape))
        return grids[-1]

    numbers = {name: numbered(given[name]) for name in names if name in given}
    for name, value in given.items():
        if name not in names and _holds(value):
            shaped = SHAPED if name == "condition" else f"with {name}= that depends on a variable can't be recorded"
            raise TracingError(f"{module_name(function)} {shaped}")
    dtype = given.pop("dtype", None)
    given.update(numbers)
    if len(parts) > 1 and "copy" in _signature(function).parameters:
        # repetitions are recorded as such
        given["copy"] = False
    found = function(*bound.args, **bound.kwargs)
    lone = parts[0] if len(parts) == 1 else None

    def result(where: Any, pick: Callable[[Any], Any]) -> Any:
        if isinstance(where, list | tuple):
            made = (result(part, partial(_part, pick, k)) for k, part in enumerate(where))
            return list(made) if isinstance(where, list) else tuple(made)
        if lone is None:
            for part, grid in zip(parts, grids, strict=True):
                if isinstance(part, Recorded) and (view := _as_view(part, where, grid)) is not None:
                    return view
            return gathered(parts, where)
        if not np.may_share_memory(where, grids[0]):
            # no view; and where NumPy filled in zeros there is nothing to show of another array
            return gathered(parts, where)

        def again(places: Array) -> Any:
            """The same of other positions."""
            return pick(function(*_with(bound.args, grids[0], places), **_with(bound.kwargs, grids[0], places)))

        def record() -> Any:
            view = _as_view(lone, where, grids[0])
            return gathered(parts, where) if view is None else view

        return shown(lone, again, record)

    made = result(found, lambda made: made)
    return made if dtype is None else made.astype(dtype)


def _part(pick: Callable[[Any], Any], k: int, made: Any) -> Any:
    return pick(made)[k]


def _with(given: Any, before: Array, after: Array) -> Any:
    """Arguments with one array in place of another."""
    if given is before:
        return after
    if isinstance(given, dict):
        return {name: _with(value, before, after) for name, value in given.items()}
    if type(given) in (list, tuple):
        return type(given)(_with(part, before, after) for part in given)
    return given


def _holds(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_holds, value))
    return isinstance(value, Recorded)


def _as_view(x: Recorded, where: Array, grid: Array) -> Any:
    """What is a view of a grid of positions, by slices, a transpose and repetitions; None where they do not make it."""
    if not where.size or not np.may_share_memory(where, grid):
        return None
    item = grid.itemsize
    offset = (where.__array_interface__["data"][0] - grid.__array_interface__["data"][0]) // item
    starts = np.unravel_index(offset, x.shape)
    steps = [step // item for step in grid.strides]
    order: list[tuple[int, int]] = []
    slices = [slice(int(k), int(k) + 1) for k in starts]
    for at, (count, step) in enumerate(zip(where.shape, (s // item for s in where.strides), strict=True)):
        if count == 1 or step == 0:
            continue
        fits = [k for k, n in enumerate(x.shape) if n > 1 and step % steps[k] == 0 and abs(step) >= steps[k]]
        axis = min(fits, key=lambda k: abs(step) // steps[k], default=None)
        if axis is None or any(axis == known for known, _ in order):
            return None
        by, first = step // steps[axis], int(starts[axis])
        last = first + by * (count - 1)
        if not 0 <= last < x.shape[axis]:
            return None
        stop = last + (1 if by > 0 else -1)
        slices[axis] = slice(first, None if stop < 0 else stop, by)
        order.append((axis, at))
    kept = [axis for axis, _ in sorted(order)]
    cut = sliced(x, tuple(slices))
    turned = transposed(reshaped(cut, tuple(cut.shape[k] for k in kept)), tuple(kept.index(axis) for axis, _ in order))
    moved = {at for _, at in order}
    wide = reshaped(turned, tuple(n if at in moved else 1 for at, n in enumerate(where.shape)))
    return broadcast(wide, where.shape)


def gathered(parts: Sequence[Any], where: Array) -> Any:
    """The entries at positions in several arrays one after another, counted from 1, and zeros at 0."""
    flat = where.reshape(-1)
    live, recorded = flat > 0, next(x for x in parts if isinstance(x, Recorded))
    if live.all():
        kept, numbers = compacted(parts, flat - 1)
        if not kept:
            return taken(recorded, where)
        numbers = numbers.reshape(where.shape)
        if not any(isinstance(x, Recorded) for x in kept):
            return HANDLED[np.asarray](np.concatenate([np.ravel(x) for x in kept])[numbers], like=recorded)
        return taken(kept[0] if len(kept) == 1 else joined(kept), numbers)
    once = np.bincount(flat, minlength=1)[1:].max(initial=0) <= 1
    if not once or len(parts) > 1:
        # an entry is in several places, or there are several arrays: zeros are those of one more
        zero = 1 + sum(size(shape_of(x)) for x in parts)
        return gathered([*parts, np.zeros(1, bool)], np.where(where > 0, where, zero))
    box = _box(where)
    inside = where[box]
    if np.all(inside):
        inner = taken(recorded, inside - 1)
        return apply(Pad(inner.shape, where.shape, box), inner, shape=where.shape)
    entries = taken(recorded, flat[live] - 1)
    return apply(Scatter(entries.shape, np.flatnonzero(live), where.shape), entries, shape=where.shape)


def _box(where: Array) -> tuple[slice, ...]:
    """The smallest box that holds all that is not zero."""
    slices = []
    for axis in range(where.ndim):
        along = np.flatnonzero(np.any(where != 0, axis=tuple(k for k in range(where.ndim) if k != axis)))
        slices.append(slice(int(along[0]), int(along[-1]) + 1) if along.size else slice(0, 0))
    return tuple(slices)


@handles(np.insert)
def _insert(arr: Any, obj: Any, values: Any, axis: Any = None) -> Any:
    """As in NumPy: a longer array of the same dtype, which values are assigned to."""
    arr, values = united(arr), united(values)
    if isinstance(obj, Recorded):
        raise TracingError("np.insert with obj= that depends on a variable can't be recorded")

    def longer(x: Any, inserted: Any) -> Array:
        return np.insert(x, obj, inserted, axis)

    places = longer(_counted(arr), np.zeros(shape_of(values), int))
    if isinstance(arr, Recorded):
        made = renewed(gathered([arr], places))
    else:
        made = HANDLED[np.asarray](longer(arr, np.zeros(shape_of(values))), like=values)
    new = places == 0
    if isinstance(values, Recorded) or np.ndim(values):
        at = longer(np.zeros(shape_of(arr), int), _counted(values))[new] - 1
        values = np.ravel(values)[at]
    made[new] = values
    return made


def _counted(x: Any) -> Array:
    """The positions of an array's entries, from 1."""
    return 1 + np.arange(size(shape_of(x))).reshape(shape_of(x))


@handles(np.pad)
def _pad(array: Any, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Any:
    if not isinstance(mode, str) or mode not in PADDED:
        raise TracingError(f"np.pad with mode={mode!r} can't be recorded: use {', '.join(sorted(PADDED))}")
    if kwargs.get("reflect_type", "even") != "even":
        raise TracingError(f"np.pad with reflect_type={kwargs['reflect_type']!r} can't be recorded: use 'even'")
    fill = kwargs.pop("constant_values", 0)
    if isinstance(pad_width, Recorded) or _holds(fill):
        raise TracingError("np.pad with constant_values= that depend on a variable can't be recorded: np.concatenate")
    made = rearranged(np.pad, array, pad_width, mode, **kwargs)
    if not np.any(fill):
        return made
    wide, narrow = (complex, np.complex64) if array.dtype.kind == "c" else (float, np.float32)
    outside: Array = np.pad(np.zeros(array.shape, wide), pad_width, constant_values=fill)
    return made + (outside.astype(narrow) if np.array_equal(outside.astype(narrow), outside) else outside)


#: What np.pad can move.
PADDED = {"constant", "edge", "reflect", "symmetric", "wrap"}


HANDLED |= {function: partial(rearranged, function) for function in MOVES if function is not np.pad}
