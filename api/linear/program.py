"""Programs: what computes numbers, recorded once, and run at every point.

A value has a number: an argument, a constant, or the result of a step. Beside its shape a value may have a *pattern*:
where it can be other than zero, which is known from structure alone (a triangle, a diagonal, a constant mask).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import scipy.sparse as sp

from matjac.conventions import Array, Shape
from matjac.threads import lock


class Primitive:
    """An operation on arrays; equal ones have equal `key`."""

    #: whether it makes zeros by structure of operands that have none
    makes_zeros = False
    #: whether each entry is made from one entry of each operand, with NumPy's broadcasting
    is_entrywise = False
    #: whether the result is a view of an operand, which takes no memory
    makes_view = False
    #: whether the result is known to be real where the operands are
    keeps_real = False

    @property
    def key(self) -> Any:
        """What tells it from others: its type and its fields, arrays by their contents."""
        return (type(self), *(contents(getattr(self, field.name)) for field in fields(self)))  # type: ignore[arg-type]

    @property
    def idle(self) -> bool:
        """Whether its result is its operand."""
        return False

    @property
    def name(self) -> str:
        """What `explain` calls it."""
        return type(self).__name__.lower()

    def value(self, *operands: Any) -> Any:
        """The result for those operands."""
        raise NotImplementedError

    def following(self, first: "Primitive") -> "Primitive | None":
        """The primitive that does what the first and then this one do, where one does."""
        return None

    def pattern(self, patterns: Sequence[Array | None], shapes: Sequence[Shape], shape: Shape) -> Array | None:
        """Where the result can be other than zero, from the same of the operands; None is everywhere."""
        return None


@dataclass(frozen=True)
class Indicator(Primitive):
    """Truth values as ones and zeros, of the narrowest dtype that leaves others as they are."""

    keeps_real = True

    def value(self, *operands: Any) -> Any:
        return np.asarray(operands[0], np.float32)

    def pattern(self, patterns: Sequence[Array | None], shapes: Sequence[Shape], shape: Shape) -> Array | None:
        return patterns[0]


class Parts(tuple[Any, ...]):
    """Several arrays that are one value of a program: what linear maps are made of."""

    shape: Shape = ()
    ndim = 0

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(object)


@dataclass(frozen=True, eq=False)
class Step:
    """An operation on earlier values."""

    primitive: Primitive
    operands: tuple[int, ...]
    out: int

    @property
    def key(self) -> Any:
        """What tells it from others."""
        return self.primitive.key, self.operands, self.out


class Program:
    """Steps in the order of their execution."""

    def __init__(self) -> None:
        self.shapes: list[Shape] = []
        self.patterns: dict[int, Array] = {}
        self.constants: dict[int, Any] = {}
        self.makers: dict[int, Step] = {}
        #: whether conjugates were left out where values are real: then arguments are not complex
        self.real = False
        self._known: dict[Any, int] = {}
        #: held while more is recorded than there was at first
        self.lock = lock()

    def __getstate__(self) -> dict[str, Any]:
        # the keys hold contents of every constant
        return {**vars(self), "_known": {}, "lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, lock=lock())
        for number, value in self.constants.items():
            self._known[_constant_key(value, self.patterns.get(number))] = number
        for number, step in self.makers.items():
            self._known[step.primitive.key, step.operands] = number

    def given(self, shape: Shape) -> int:
        """A value that every run starts from."""
        self.shapes.append(shape)
        return len(self.shapes) - 1

    def constant(self, value: Any, pattern: Array | None = None) -> int:
        """A number, an array or a csr_array; equal ones are one value."""
        if isinstance(value, np.ndarray) and value.dtype == bool:
            pattern = value
        key = _constant_key(value, pattern)
        if key not in self._known:
            number = self.given(np.shape(value) if not sp.issparse(value) else value.shape)
            self.constants[number] = value
            if pattern is not None:
                self.patterns[number] = pattern
            self._known[key] = number
        return self._known[key]

    def add(self, primitive: Primitive, operands: Sequence[int], shape: Shape) -> int:
        """Record a step, unless the same is there; returns the number of its result."""
        primitive, operands = shortened(primitive, operands, self.makers)
        if primitive.idle:
            return operands[0]
        operands = tuple(operands)
        key = primitive.key, operands
        if key not in self._known:
            number = self.given(shape)
            self.makers[number] = Step(primitive, operands, number)
            patterns = [self.patterns.get(k, self.sparse(k)) for k in operands]
            if primitive.makes_zeros or any(p is not None for p in patterns):
                pattern = primitive.pattern(patterns, [self.shapes[k] for k in operands], shape)
                if pattern is not None:
                    self.patterns[number] = pattern
            # last: a child may be forked while a thread is here
            self._known[key] = number
        return self._known[key]

    def sparse(self, number: int | None) -> Any:
        """The csr_array that a value is, None where it is none."""
        constant = None if number is None else self.constants.get(number)
        return constant if sp.issparse(constant) else None

    def start(self) -> list[Any]:
        """Room for all values, where the constants are."""
        return [self.constants.get(k) for k in range(len(self.shapes))]

    def steps(self, wanted: Iterable[int], known: Iterable[int] = ()) -> tuple[Step, ...]:
        """The steps that make the wanted values from the known ones."""
        found: set[int] = set()
        waiting, known = list(wanted), set(known)
        while waiting:
            number = waiting.pop()
            if number in self.makers and number not in found and number not in known:
                found.add(number)
                waiting.extend(self.makers[number].operands)
        return tuple(self.makers[number] for number in sorted(found))


def _constant_key(value: Any, pattern: Array | None) -> Any:
    return "constant", contents(value), contents(pattern)


def shortened(primitive: Any, operands: Sequence[Any], makers: Mapping[Any, Any]) -> tuple[Any, Any]:
    """A primitive and its operands, as one primitive with the step that makes the first operand where that is one."""
    if operands and (made := makers.get(operands[0])) is not None:
        together = primitive.following(made.primitive)
        if together is not None:
            return together, made.operands
    return primitive, operands


def contents(part: Any) -> Any:
    """What tells equal parts from others: the contents of arrays, the identity of functions."""
    if isinstance(part, np.ndarray):
        return part.shape, part.dtype.str, part.tobytes()
    if sp.issparse(part):
        return part.shape, *map(contents, (part.indptr, part.indices, part.data))
    if isinstance(part, tuple):
        return tuple(map(contents, part))
    # zeros of either sign are equal, and are not one
    return type(part), repr(part) if isinstance(part, float | complex) else part
