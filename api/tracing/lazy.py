"""Large values at the examples are made when something asks for them: few of their entries may be all that counts."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import scipy.sparse as sp

from matjac.conventions import Array, Shape, size
from matjac.linear.primitives import Broadcast, MatMul, Reshape, Sddmm, Take, Transpose
from matjac.linear.program import Primitive, contents

#: Entries of an array that takes no time or memory to speak of.
LARGE = 1 << 20
#: How many times as many entries as are wanted an array has of which few are: one by one they take that much longer.
FEW = 8
#: Steps that are put off one after the other.
DEEP = 100
MOVES = Broadcast, Reshape, Transpose


class Lazy:
    """What a primitive makes of operands, which may be such values too."""

    def __init__(self, primitive: Primitive, operands: Sequence[Any], shape: Shape) -> None:
        self.primitive, self.operands, self.shape = primitive, operands, shape
        self.ndim, self.size = len(shape), size(shape)
        self.depth: int = 1 + max((x.depth for x in operands if isinstance(x, Lazy)), default=0)
        ones = [_one_entry(x) for x in operands]
        self.dtype = np.result_type(*ones) if isinstance(primitive, (MatMul, *MOVES)) else primitive.value(*ones).dtype
        self._whole: Any = None

    def whole(self) -> Any:
        """The array."""
        if self._whole is None:
            self._whole = self.primitive.value(*map(whole, self.operands))
        return self._whole

    def taken(self, at: Array) -> Any:
        """The entries at flat positions, in the positions' shape."""
        places = Places()
        return self._taken(places.number(at), places, {})

    def _taken(self, place: int, places: "Places", known: dict[Any, Any]) -> Any:
        if (self, place) not in known:
            known[self, place] = self._made(place, places, known)
        return known[self, place]

    def _made(self, place: int, places: "Places", known: dict[Any, Any]) -> Any:
        at = places.arrays[place]
        if isinstance(self.primitive, MatMul):
            return pairs(at, self.shape).value(*map(whole, self.operands))
        parts = []
        shapes = [np.shape(x) for x in self.operands]
        for x, behind in zip(self.operands, places.behind(self.primitive, place, self.shape, shapes), strict=True):
            if isinstance(x, Lazy):
                parts.append(x._taken(behind, places, known))
            else:
                parts.append(x[np.unravel_index(places.arrays[behind], x.shape)] if np.ndim(x) else x)
        value = parts[0] if isinstance(self.primitive, MOVES) else self.primitive.value(*parts)
        return np.broadcast_to(value, at.shape)


class Places:
    """Arrays of flat positions by number: equal ones have one number, so that what is taken there is made once."""

    def __init__(self) -> None:
        self.arrays: list[Array] = []
        self._numbers: dict[Any, int] = {}

    def number(self, at: Array) -> int:
        """The number of an array."""
        key = contents(at)
        if key not in self._numbers:
            self._numbers[key] = len(self.arrays)
            self.arrays.append(at)
        return self._numbers[key]

    def behind(self, primitive: Primitive, place: int, shape: Shape, shapes: Sequence[Shape]) -> list[int]:
        """The positions, in each operand, of what a move or a step entry by entry makes entries from."""
        at = self.arrays[place]
        if isinstance(primitive, Reshape):
            return [place]
        if isinstance(primitive, Transpose):
            index = dict(zip(primitive.axes, np.unravel_index(at, shape), strict=True))
            return [self.number(np.ravel_multi_index([index[k] for k in range(len(shape))], primitive.before))]
        return [place if before == shape else self.number(_below(at, shape, before)) for before in shapes]


def _below(at: Array, shape: Shape, before: Shape) -> Array:
    """Positions in an array of what is at some positions in a wider one that it is broadcast to."""
    index = np.unravel_index(at, shape)[len(shape) - len(before) :]
    kept = [k if n > 1 else np.zeros_like(k) for k, n in zip(index, before, strict=True)]
    return np.ravel_multi_index(kept, before) if kept else np.zeros_like(at)


def whole(x: Any) -> Any:
    """A value as it is, when it is wanted."""
    return x.whole() if isinstance(x, Lazy) else x


def example(primitive: Primitive, operands: Sequence[Any]) -> Any:
    """What a primitive makes of values at the examples; one that is large beside them is lazy."""
    if isinstance(primitive, Take) and isinstance(operands[0], Lazy):
        return operands[0].taken(entries_of(primitive))
    moved = isinstance(primitive, MOVES) and isinstance(operands[0], Lazy)
    product = isinstance(primitive, MatMul) and not any(sp.issparse(x) or np.ndim(x) != 2 for x in operands)
    if (moved or product or primitive.is_entrywise) and prod(map(np.size, operands)) > LARGE:
        shape = _shape(primitive, [np.shape(x) for x in operands])
        if size(shape) > max(LARGE, FEW * sum(map(_distinct, operands))):
            made = Lazy(primitive, operands, shape)
            return made if made.depth <= DEEP else made.whole()
    return primitive.value(*map(whole, operands))


def entries_of(take: Take) -> Array:
    """The flat positions that it takes, in the shape of what it makes."""
    return (take.positions[:, None] * take.block + np.arange(take.block)).reshape(take.after)


def pairs(at: Array, shape: Shape) -> Sddmm:
    """What makes the entries of a product of matrices at flat positions."""
    rows, columns = np.divmod(at.reshape(-1), max(shape[1], 1))
    return Sddmm(rows, columns, at.shape, shape)  # type: ignore[arg-type]


def _shape(primitive: Any, shapes: Sequence[Shape]) -> Shape:
    """The shape of what a product of matrices, a move, or a step entry by entry makes."""
    if isinstance(primitive, MatMul):
        return shapes[0][0], shapes[1][1]
    if isinstance(primitive, Transpose):
        return tuple(primitive.before[k] for k in primitive.axes)
    return primitive.after if isinstance(primitive, Broadcast | Reshape) else np.broadcast_shapes(*shapes)


def _distinct(x: Any) -> int:
    """How many entries are there, those that are broadcast counted once."""
    if isinstance(x, Lazy):
        return 0
    return size(tuple(n for n, step in zip(np.shape(x), np.asarray(x).strides, strict=True) if step))


def _one_entry(x: Any) -> Any:
    """An array of one entry with as many axes."""
    if isinstance(x, Lazy):
        return np.ones((1,) * x.ndim, x.dtype)
    return x[(slice(0, 1),) * np.ndim(x)] if np.ndim(x) else x
