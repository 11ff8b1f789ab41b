"""A recorded function: steps that are replayed for the value, and for the differential of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import scipy.sparse as sp

from matjac import compose
from matjac.factors import Select
from matjac.layout import Array, Shape, size
from matjac.maps import Blocks, LinearMap, Sum
from matjac.terms import grid
from matjac.tracing.operations import Concatenate, Operation


@dataclass(frozen=True)
class Step:
    """An operation and its inputs: numbers of earlier values, or constants."""

    operation: Operation
    inputs: tuple[Any, ...]
    #: which inputs are numbers of values
    traced: tuple[bool, ...]


@dataclass
class Program:
    """Steps in the order of their execution; values 0, 1, … are the variables, the rest the steps'."""

    variables: list[Shape]
    steps: list[Step] = field(default_factory=list)
    _known: dict[Any, int] = field(default_factory=dict)

    def add(self, operation: Operation, inputs: Sequence[Any], traced: Sequence[bool]) -> int:
        """Record a step, unless the same was recorded before; returns the number of its value."""
        parts = [vars(operation)[f.name] for f in fields(operation) if f.compare]  # type: ignore[arg-type]
        key = (type(operation), *map(_key, parts), *map(_key, inputs), *traced)
        if key not in self._known:
            self.steps.append(Step(operation, tuple(inputs), tuple(traced)))
            self._known[key] = len(self.variables) + len(self.steps) - 1
        return self._known[key]

    def close(self) -> None:
        """Forget what only recording needs."""
        self._known.clear()

    def values(self, variables: Sequence[Array]) -> list[Any]:
        """Every value, at those variables."""
        values: list[Any] = list(variables)
        for step in self.steps:
            values.append(step.operation.value(*self._inputs(step, values)))
        return values

    def differential(
        self, values: Sequence[Any], wanted: int, wrt: Sequence[int], trail: dict[int, LinearMap] | None = None
    ) -> LinearMap:
        """The differential of that value with respect to those variables, side by side; `trail` gets every step's."""
        widths = [size(self.variables[k]) for k in wrt]
        needed = self._needed(wanted, wrt)
        maps: dict[int, LinearMap] = {}
        for at, k in enumerate(wrt):
            maps[k] = self._seed(k, at, widths, np.asarray(values[k]).dtype)
        for number, step in enumerate(self.steps, len(self.variables)):
            if number not in needed or step.operation.flat:
                continue
            inputs = self._inputs(step, values)
            output = np.asarray(values[number])
            active = [at for at, k in enumerate(step.inputs) if step.traced[at] and k in maps]
            if isinstance(step.operation, Concatenate):
                maps[number] = _stack(step, inputs, maps, widths, output)
                continue
            parts = [step.operation.push(maps[step.inputs[at]], at, inputs, output) for at in active]
            if parts:
                total = parts[0]
                for part in parts[1:]:
                    total = compose.add(total, part)
                maps[number] = total
        if trail is not None:
            trail.update(maps)
        return maps.get(wanted) or _zero(np.asarray(values[wanted]), widths)

    def _seed(self, variable: int, at: int, widths: Sequence[int], dtype: Any) -> LinearMap:
        shape = self.variables[variable]
        p, q = shape if len(shape) == 2 else (size(shape), 1)
        cells = [Sum([grid(Select(p), Select(q))], dtype) if k == at else None for k in range(len(widths))]
        return compose.simplest(Blocks([cells], [p * q], widths, dtype))

    def _inputs(self, step: Step, values: Sequence[Any]) -> list[Any]:
        return [values[k] if traced else k for k, traced in zip(step.inputs, step.traced, strict=True)]

    def _needed(self, wanted: int, wrt: Sequence[int]) -> set[int]:
        """The values on a way from a variable to the wanted one."""
        first = len(self.variables)
        backwards = {wanted}
        for number in range(first + len(self.steps) - 1, first - 1, -1):
            if number in backwards:
                step = self.steps[number - first]
                backwards.update(k for k, traced in zip(step.inputs, step.traced, strict=True) if traced)
        forwards = set(wrt)
        for number, step in enumerate(self.steps, first):
            if any(traced and k in forwards for k, traced in zip(step.inputs, step.traced, strict=True)):
                forwards.add(number)
        return backwards & forwards


def _key(part: Any) -> Any:
    """What tells equal parts of two steps: the contents of arrays, the identity of functions."""
    if isinstance(part, np.ndarray):
        return part.shape, part.dtype.str, part.tobytes()
    if sp.issparse(part):
        return part.shape, *map(_key, (part.indptr, part.indices, part.data))
    if isinstance(part, tuple):
        return tuple(map(_key, part))
    return type(part), part


def _zero(value: Array, widths: Sequence[int]) -> LinearMap:
    return Blocks([[None] * len(widths)], [value.size], widths, value.dtype)


def _stack(
    step: Step, inputs: Sequence[Any], maps: dict[int, LinearMap], widths: Sequence[int], output: Array
) -> LinearMap:
    parts = [
        maps[k] if traced and k in maps else _zero(np.asarray(value), widths)
        for k, traced, value in zip(step.inputs, step.traced, inputs, strict=True)
    ]
    return compose.above(parts)
