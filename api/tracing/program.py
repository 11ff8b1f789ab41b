"""A recorded function: steps that are replayed for the value, and for the differential of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from matjac import compose
from matjac.factors import Select
from matjac.layout import Array, Shape, size
from matjac.maps import Blocks, LinearMap, Sum
from matjac.terms import grid
from matjac.tracing.operations import Concatenate, MatMul, Operation, SampledMatMul, Take


@dataclass(frozen=True)
class Step:
    """An operation and its inputs: numbers of earlier values, or constants."""

    operation: Operation
    inputs: tuple[Any, ...]
    #: which inputs are numbers of values
    traced: tuple[bool, ...]
    #: shape of the value
    shape: Shape


@dataclass
class Program:
    """Steps in the order of their execution; values 0, 1, … are the variables, the rest the steps'."""

    variables: list[Shape]
    steps: list[Step] = field(default_factory=list)
    _known: dict[Any, int] = field(default_factory=dict)
    _live: set[int] = field(default_factory=set)

    def add(self, operation: Operation, inputs: Sequence[Any], traced: Sequence[bool], shape: Shape) -> int:
        """Record a step, unless the same was recorded before; returns the number of its value."""
        parts = [vars(operation)[f.name] for f in fields(operation) if f.compare]  # type: ignore[arg-type]
        key = (type(operation), *map(_key, parts), *map(_key, inputs), *traced)
        if key not in self._known:
            self.steps.append(Step(operation, tuple(inputs), tuple(traced), shape))
            self._known[key] = len(self.variables) + len(self.steps) - 1
        return self._known[key]

    def close(self, wanted: int) -> None:
        """Forget what only recording needs; of a matrix product of which a few entries are taken, make those alone."""
        self._known.clear()
        first = len(self.variables)
        live = self._needed(wanted, range(first))
        users: dict[int, list[int]] = {}
        for number in sorted(live - set(range(first))):
            step = self.steps[number - first]
            for k in (k for k, traced in zip(step.inputs, step.traced, strict=True) if traced):
                users.setdefault(k, []).append(number)
        for number, product in enumerate(self.steps, first):
            takes = users.get(number, [])
            if takes and all(_takes_few(self.steps[k - first], product) for k in takes):
                for k in takes:
                    take = self.steps[k - first]
                    entries = SampledMatMul(take.operation.positions, product.shape)  # type: ignore[attr-defined]
                    self.steps[k - first] = replace(product, operation=entries, shape=take.shape)
        self._live = self._needed(wanted, range(first))

    def values(self, variables: Sequence[Array]) -> list[Any]:
        """Every value that is of use, at those variables."""
        values: list[Any] = list(variables)
        for number, step in enumerate(self.steps, len(variables)):
            values.append(step.operation.value(*self._inputs(step, values)) if number in self._live else None)
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


def _takes_few(step: Step, product: Step) -> bool:
    """Whether it takes so few entries of a product of dense matrices that they cost less than the product."""
    # entry by entry, a product is some 8 times slower than in a BLAS
    few = isinstance(step.operation, Take) and 8 * size(step.shape) <= size(product.shape)
    matrices = isinstance(product.operation, MatMul) and len(product.shape) == 2
    return few and matrices and not any(map(sp.issparse, product.inputs))


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
