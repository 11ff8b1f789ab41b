"""Views of recorded arrays and assignments into them, as NumPy has them.

A view shows entries of another array: what is written to one is seen in the other. What is written waits until the
whole array is read; then all of it is one step, which takes each entry from where it was last written. So an array that
is built entry by entry costs a step, and reading an entry back takes it from what was written there.
"""

import operator
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice, permutations
from typing import Any

import numpy as np

from matjac.conventions import Array, Shape, size
from matjac.linear.primitives import Join
from matjac.linear.program import Primitive
from matjac.tracing.arrays import Recorded, Symbol, Traced, shape_of
from matjac.tracing.handlers import CURRENT, TracingError, handles
from matjac.tracing.lazy import whole
from matjac.tracing.recorded import apply, compacted, indexed, positions, reshaped, sliced, taken, united


@dataclass(frozen=True)
class Like(Primitive):
    """An array of one number, in the dtype of the operand."""

    after: Shape
    fill: Any

    @property
    def makes_zeros(self) -> bool:  # type: ignore[override]
        """Whether it is zeros."""
        return bool(self.fill == 0)

    def value(self, *operands: Any) -> Any:
        return np.full(self.after, self.fill, np.asarray(operands[0]).dtype)

    def pattern(self, patterns: Any, shapes: Any, shape: Shape) -> Array | None:
        return np.zeros(self.after, bool) if self.makes_zeros else None


@dataclass(frozen=True, eq=False)
class Assigned(Primitive):
    """Entries of the operands after the first, at positions in them one after another, in the dtype of the first."""

    positions: Array
    after: Shape

    def value(self, *operands: Any) -> Any:
        like, *parts = operands
        entries = np.concatenate([np.ravel(part) for part in parts])[self.positions].reshape(self.after)
        dtype = np.asarray(like).dtype
        # NumPy would drop imaginary parts
        return entries.astype(np.result_type(dtype, entries.dtype) if entries.dtype.kind == "c" else dtype, copy=False)

    def pattern(self, patterns: Sequence[Array | None], shapes: Sequence[Shape], shape: Shape) -> Array | None:
        joined = Join(tuple(shapes[1:])).pattern(patterns[1:], shapes[1:], shape)
        return None if joined is None else joined[self.positions].reshape(shape)


def differential(primitive: Assigned, x: Sequence[Any], y: Any, dx: Sequence[Any]) -> Any:
    """The same entries of the differentials; what is constant has none."""
    parts = dx[1:]
    if all(d is None for d in parts):
        return 0
    if len(parts) == 1:
        return taken(parts[0], primitive.positions.reshape(primitive.after))
    shapes = tuple(shape_of(v) for v in x[1:])
    whole = apply(Join(shapes), *parts, shape=(sum(map(size, shapes)),))
    return taken(whole, primitive.positions.reshape(primitive.after))


class Writes:
    """What was written to an array since it was last read whole: parts, and where each of its entries is in them."""

    def __init__(self, root: Traced) -> None:
        self.old = Traced(root.recorder, root._number, root._value)
        self.parts: list[Any] = [self.old]
        self.ends = [root.size]
        self.places = np.arange(root.size)

    def write(self, where: Array, value: Any) -> None:
        """Write a value of a shape that broadcasts, at positions in the array; the last one in a place stays."""
        start, shape = self.ends[-1], shape_of(value)
        self.parts.append(value)
        self.ends.append(start + size(shape))
        numbers = np.arange(start, self.ends[-1]).reshape(shape)
        self.places[where.reshape(-1)] = np.broadcast_to(numbers, where.shape).reshape(-1)

    def read(self, where: Array) -> Traced:
        """The entries at positions in the array."""
        places = self.places[where]
        flat = places.reshape(-1)
        if np.all(flat < self.ends[0]):
            return taken(self.old, places)  # type: ignore[no-any-return]
        if flat.size == 1:
            # found at once: there may be many parts
            k = bisect_right(self.ends, int(flat[0]))
            part = self.parts[k]
            at = flat - (self.ends[k] - size(shape_of(part)))
            part, at = (taken(part, at), at - at) if isinstance(part, Recorded) and part.size > 1 else (part, at)
            parts, numbers = [part], at
        else:
            parts, numbers = compacted(self.parts, flat, self.ends)
        return apply(Assigned(numbers, places.shape), self._kind(), *parts)  # type: ignore[no-any-return]

    def _kind(self) -> Traced:
        """What has the array's dtype: of one that was made like another, that one."""
        recorder, number = self.old.recorder, self.old.number
        while number in recorder.program.makers and isinstance(recorder.program.makers[number].primitive, Like):
            (number,) = recorder.program.makers[number].operands
        return Traced(recorder, number, recorder.examples[number])


#: What is said where NumPy's view or copy can't be told.
UNKNOWN_LAYOUT = (
    "whether this .ravel() or .reshape() is a view or a copy in NumPy depends on how the array lies in memory, which "
    "is not known here: write into the array itself, or into a .copy() of it"
)


def rooted(array: Traced) -> tuple[Traced, Array]:
    """The array whose entries one shows, itself if it shows no other's, and the position there of each entry."""
    root, grids = _chain(array)
    return root, grids[0]


def _chain(array: Traced) -> tuple[Traced, list[Array]]:
    """The same, with the positions as they lie in memory: several where it is not known how the array lies."""
    if array.shows is None:
        return array, _grids(array)
    base, move = array.shows
    root, grids = _chain(base)
    moved = [np.asarray(move(grid)) for grid in grids]
    views = _views(moved, grids)
    if views == {True}:
        return root, moved
    if len(views) > 1:
        raise TracingError(UNKNOWN_LAYOUT)
    array.shows = None
    array.ordered = array.ndim < 2 or (len(moved) == 1 and moved[0].flags.c_contiguous)
    return array, _grids(array)


def _views(moved: Sequence[Array], grids: Sequence[Array]) -> set[bool]:
    """Whether NumPy makes a view, for each way in which the array may lie in memory."""
    return {np.may_share_memory(a, b) for a, b in zip(moved, grids, strict=True)}


def _grids(array: Traced) -> list[Array]:
    """The flat position of each entry, for each way in which the array may lie in memory; first row by row."""
    if array.grids is None:
        grid = positions(array)
        axes = range(array.ndim)
        ways = [] if array.ordered else list(islice(permutations(axes), 1, 24))
        array.grids = [grid, *(np.transpose(np.transpose(grid, way).copy(), np.argsort(way)) for way in ways)]
    return array.grids


def _written_since(array: Traced) -> bool:
    """Whether anything that it may show the entries of was written to since it was last up-to-date."""
    seen = array.seen
    while array.shows is not None:
        array = array.shows[0]
        if array.written > seen:
            return True
    return False


def _current(array: Traced) -> None:
    """Record what was written."""
    if array.shows is not None and (array._number is None or _written_since(array)):
        root, places = rooted(array)
        if root is not array:
            found = taken(root, places) if root.writes is None else root.writes.read(places)
            array.set(found._number, found._value)
    array.seen = array.recorder.clock
    if array.writes is not None:
        writes, array.writes = array.writes, None
        found = writes.read(positions(array))
        array.set(found._number, found._value)


CURRENT[0] = _current


@handles(np.ndarray.flat)
def _flat(array: Any) -> Any:
    """All entries one after another, as a view."""
    flat = array.reshape(-1)
    if isinstance(array, Traced) and rooted(flat)[0] is not rooted(array)[0]:
        raise TracingError("the array method .flat of an array that isn't laid out row by row: use .ravel()")
    return flat


def shown(array: Any, move: Callable[[Any], Any], record: Callable[[], Any], plain: bool = False) -> Any:
    """What `record` records of moved entries, as a view where NumPy makes one: `move` is the same of any array.

    It is `plain` where NumPy always makes one, by slices.
    """
    if not isinstance(array, Traced):
        return record()
    recorder = array.recorder
    waiting = _waiting(array, move) if recorder.clock else None
    if waiting is not None:
        return waiting
    found = record()
    made = Traced(recorder, found.number, found.later)
    made.shows = array, move
    if plain and array.ordered:
        steps = [step for step, n in zip(np.asarray(whole(made._value)).strides, made.shape, strict=True) if n > 1]
        made.ordered = steps == sorted(steps, reverse=True) and all(step >= 0 for step in steps)
    return made


def _waiting(array: Traced, move: Callable[[Any], Any]) -> Traced | None:
    """Moved entries of an array to which there are writes that are not recorded yet, taken from those."""
    top = array
    while top.shows is not None:
        top = top.shows[0]
    if top.writes is None or _written_since(array):
        return None
    _, grids = _chain(array)
    moved = [np.asarray(move(grid)) for grid in grids]
    views = _views(moved, grids)
    if views == {True}:
        made = Traced(array.recorder, None, None, moved[0].shape)
        made.shows = array, move
        return made
    return top.writes.read(moved[0]) if views == {False} else None


def showing(function: Any, record: Callable[..., Any]) -> Callable[..., Any]:
    """What is recorded for a function that moves entries of its first argument, as views where NumPy makes them."""

    def handler(a: Any, *args: Any, **kwargs: Any) -> Any:
        return shown(a, lambda places: function(places, *args, **kwargs), lambda: record(a, *args, **kwargs))

    return handler


def _is_plain(index: tuple[Any, ...]) -> bool:
    plain = slice, int, np.integer, type(None), type(Ellipsis)
    return all(isinstance(k, plain) and not isinstance(k, bool) for k in index)


def constant_index(index: Any) -> tuple[Any, ...]:
    """The parts of an index, none of which depends on a variable."""
    parts = index if isinstance(index, tuple) else (index,)
    objects = (isinstance(k, list | np.ndarray) and np.asarray(k).dtype == object for k in parts)
    if any(isinstance(k, Traced) and k.dtype == bool for k in parts):
        raise TracingError(
            "an index by a condition on values can't be recorded: its shape depends on values. "
            "Write np.where(X > 0, a, b) or X * (X > 0), which keep the shape"
        )
    if any(objects) or any(isinstance(k, Recorded) for k in parts):
        raise TracingError("an index that depends on a variable can't be recorded: index by constants")
    return parts


@handles(operator.getitem)
def _item(array: Any, index: Any) -> Any:
    """``array[index]``."""
    if isinstance(index, Traced) and index.dtype.kind in "iu":
        return np.take(array, index, axis=0)
    parts = constant_index(index)

    def record() -> Any:
        return sliced(array, parts) if _is_plain(parts) else taken(array, indexed(array, parts))

    return shown(array, lambda places: places[parts], record, plain=_is_plain(parts))


@handles(operator.setitem)
def _assign(array: Any, index: Any, value: Any) -> None:
    """``array[index] = value``."""
    if isinstance(array, Symbol) or isinstance(value, Symbol):
        raise TracingError("assignment of differentials can't be recorded: use np.concatenate or np.stack")
    if isinstance(index, Traced) and index.dtype == bool and shape_of(value) == ():
        # a number where a condition is true
        _check(array, index)
        condition = reshaped(index, index.shape + (1,) * (array.ndim - index.ndim))
        array[...] = np.where(condition, value, array)
        return
    parts = constant_index(index)
    root, places = rooted(array)
    if not places.flags.writeable:
        raise ValueError("assignment destination is read-only")
    where = np.asarray(places[parts])
    value = united(value)
    if isinstance(value, Traced):
        if root._value.dtype.kind in "biu" and value.dtype.kind in "fc":
            raise TracingError(
                f"an assignment into an array of dtype {root._value.dtype} would round what depends on a variable, and "
                "has no derivative: make the array with dtype=float, or write np.trunc"
            )
        if value.shows is not None and np.array_equal(_places_in(root, value), where):
            return  # Y[1:] += 1 writes the part that was added to back where it is
        value = Traced(value.recorder, value.number, value.later)
    elif not isinstance(value, int | float | complex):
        value = np.array(value)  # as it is now
    shape = shape_of(value)
    while len(shape) > where.ndim and shape[0] == 1:
        value, shape = value[0], shape[1:]
    if len(shape) > where.ndim or any(n not in (1, m) for n, m in zip(shape[::-1], where.shape[::-1], strict=False)):
        raise ValueError(f"assignment: got a value of shape {shape}, expected {where.shape}")
    write(root, where, value)


def _places_in(root: Traced, value: Traced) -> Any:
    """Where the entries are that a value shows of an array; None where it shows none, or that is not known."""
    try:
        source, places = rooted(value)
    except TracingError:
        return None
    return places if source is root else None


def _check(array: Any, condition: Any) -> None:
    if condition.shape != array.shape[: condition.ndim]:
        raise IndexError(f"got a condition of shape {condition.shape} for an array of shape {array.shape}")


def write(root: Traced, where: Array, value: Any) -> None:
    """Write a value at positions in an array that shows no other's entries."""
    if where.size == 0:
        return
    if any(held() is not None for held in root.lent):
        raise TracingError(
            "an array that np.asarray was called with is written to while the result is in use, which shows the same "
            "entries in NumPy: leave np.asarray out, or write np.array(x)"
        )
    if root.writes is None:
        root.writes = Writes(root)
    root.writes.write(where, value)
    root.recorder.clock += 1
    root.written = root.recorder.clock
