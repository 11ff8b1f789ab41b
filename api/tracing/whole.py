"""Functions of whole arrays: one step each, computed by NumPy, with a differential that is written in NumPy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

import numpy as np

from matjac.conventions import Array, Shape
from matjac.linear.program import Parts, Primitive
from matjac.tracing.arrays import Recorded, Symbol
from matjac.tracing.handlers import TracingError, module_name
from matjac.tracing.recorded import apply


@dataclass(frozen=True)
class Whole(Primitive):
    """A function of arrays, with options that are no arrays."""

    function: Callable[..., Any]
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def name(self) -> str:
        return self.function.__name__.strip("_").replace("_", " ")

    @property
    def makes_zeros(self) -> bool:  # type: ignore[override]
        return self.function in TRIANGLES

    def value(self, *operands: Any) -> Any:
        return np.asarray(self.function(*operands, **dict(self.options)))

    def pattern(self, patterns: Sequence[Array | None], shapes: Sequence[Shape], shape: Shape) -> Array | None:
        triangle = TRIANGLES.get(self.function)
        if self.function in KEPT and patterns[0] is not None:
            read = (t for t in (np.tril, np.triu) if np.array_equal(t(patterns[0]), patterns[0]))
            triangle = next(read, None)
        return None if triangle is None else triangle(np.ones(shape, bool))


@dataclass(frozen=True)
class Several(Primitive):
    """A function of arrays that returns several ones."""

    function: Callable[..., Any]

    def value(self, *operands: Any) -> Any:
        return Parts(self.function(*operands))


#: Functions whose value is zero outside a triangle, and what takes it.
TRIANGLES: dict[Callable[..., Any], Callable[[Array], Array]] = {}
#: Functions whose value is the triangle that the operand is.
KEPT: set[Callable[..., Any]] = set()


#: The differentials: from the operands, the value, the operands' differentials (None where there is none) and the
#: options. A function that is not there is constant between jumps.
DIFFERENTIALS: dict[Callable[..., Any], Callable[..., Any]] = {}
#: The rules of linear maps (`linear/maps.py`) whose coefficients depend on a variable, by the map's type: from the
#: primitive, its operands, its value and the coefficients' differentials (None where there is none), their part.
OF_COEFFICIENTS: dict[type, Callable[..., Any]] = {}


def whole(function: Callable[..., Any], *operands: Any, **options: Any) -> Any:
    """Record a function of arrays; of plain ones it is their value."""
    if not any(isinstance(x, Recorded) for x in operands):
        return function(*operands, **options)
    primitive = Whole(function, tuple(options.items()))
    if any(isinstance(x, Symbol) for x in operands):
        name = primitive.name if function.__name__.startswith("_") else module_name(function)
        raise TracingError(f"{name} of a differential is not linear")
    return apply(primitive, *operands)


def together(function: Callable[..., Any], *operands: Any) -> Any:
    """Record a function that returns several arrays, as one value without a differential."""
    primitive = Several(function)
    return apply(primitive, *operands) if any(isinstance(x, Recorded) for x in operands) else primitive.value(*operands)


def real(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that has no complex derivative: complex arrays are refused when it is computed."""

    @wraps(function)
    def of_real(*operands: Any, **options: Any) -> Any:
        if any(np.iscomplexobj(x) for x in operands):
            name = function.__name__.strip("_").replace("_", " ")
            raise TypeError(f"the {name} of complex numbers has no complex derivative: call it with real ones")
        return function(*operands, **options)

    return of_real


def differential(primitive: Whole, x: Sequence[Any], y: Any, dx: Sequence[Any]) -> Any:
    """What the function's rule makes of the operands' differentials."""
    rule = DIFFERENTIALS.get(primitive.function)
    return None if rule is None else rule(x, y, dx, **dict(primitive.options))
