"""Functions entry by entry, with broadcasting: recorded, and differentiated by the table of slopes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

import numpy as np
import scipy.sparse as sp
import scipy.special

from matjac.conventions import Array, Shape
from matjac.linear.program import Primitive
from matjac.tracing.arrays import Recorded, Symbol, Traced
from matjac.tracing.conditions import narrow
from matjac.tracing.handlers import HANDLED, UNKNOWN, TracingError, handles
from matjac.tracing.recorded import added, apply, broadcast, matmul, multiplied
from matjac.tracing.slopes import (
    FLAT_SLOPES,
    SLOPES,
    STEPS,
    ZERO_AT_ZERO,
    ZERO_AT_ZEROS,
    ZERO_BESIDE_ZERO,
    direction,
    module_name,
    times_power,
)
from matjac.tracing.special import SEVERAL, PartOf


@dataclass(frozen=True)
class Elementwise(Primitive):
    """A ufunc, or another function entry by entry."""

    is_entrywise = True

    ufunc: Any

    @property
    def name(self) -> str:
        return self.ufunc.__name__  # type: ignore[no-any-return]

    @property
    def keeps_real(self) -> bool:  # type: ignore[override]
        # some of SciPy's have complex values of real numbers
        return self.ufunc is direction or any(set(kinds) <= set("fd->") for kinds in getattr(self.ufunc, "types", ()))

    def value(self, *operands: Any) -> Any:
        if self.ufunc is np.sign and np.iscomplexobj(operands[0]):
            raise TypeError("np.sign of complex values has no derivative: compile a function of real ones")
        if self.ufunc is np.power and type(operands[1]) in (int, float) and operands[1] in (3, 4):
            # NumPy's own power is some thirty times slower
            square = np.square(operands[0])
            return square * (operands[0] if operands[1] == 3 else square)
        return self.ufunc(*operands)

    def pattern(self, patterns: Sequence[Array | None], shapes: Sequence[Shape], shape: Shape) -> Array | None:
        known = [np.broadcast_to(p, shape) for p in patterns if p is not None]
        if self.ufunc in ZERO_AT_ZEROS:
            return reduce(np.logical_or, known) if len(known) == len(patterns) else None
        if self.ufunc in ZERO_BESIDE_ZERO:
            return reduce(np.logical_and, known) if known else None
        return known[0] if self.ufunc in ZERO_AT_ZERO and patterns[0] is not None else None


@dataclass(frozen=True)
class Slope(Primitive):
    """The slope by operand number `at` where its own derivative is zero; its operands are the ufunc's and the value."""

    keeps_real = True

    ufunc: Any
    at: int

    def value(self, *operands: Any) -> Any:
        return FLAT_SLOPES[self.ufunc](self.at, operands[:-1], operands[-1])


def _constant_power(x: Any, exponent: Any) -> Any:
    """The slope of x to a constant power, recorded; 0 where it is zero."""
    if np.ndim(exponent) == 0:
        return 0 if exponent == 0 else exponent * x ** (exponent - 1)
    return times_power(exponent, x, exponent - 1)


def _constant(x: Any) -> Any:
    """The value of an operand that is a constant, else None."""
    if not isinstance(x, Traced):
        return x
    return x.recorder.program.constants.get(x.number)


def _slope(ufunc: Any, at: int, x: Sequence[Any], y: Any) -> Any:
    if ufunc in (np.power, np.float_power) and (exponent := _constant(x[1])) is not None:
        return _constant_power(x[0], exponent)
    if ufunc in FLAT_SLOPES:
        return apply(Slope(ufunc, at), *x, y)
    slope = SLOPES[ufunc][at]
    if slope is None:
        name = module_name(getattr(ufunc, "ufunc", ufunc))
        raise TracingError(f"{name} has no derivative here by its operand number {at}, which must be a constant")
    return slope(*x, y) if callable(slope) else slope


def differential(primitive: Elementwise, x: Sequence[Any], y: Any, dx: Sequence[Any], guard: Any = None) -> Any:
    """The sum of slope · dx over the operands that have a differential.

    Where the guard is false y is not used: there the slope, which may not be finite, is zero.
    """
    total: Any = 0
    if primitive.ufunc in STEPS:
        return total
    for at, d in enumerate(dx):
        if d is None:
            continue
        slope = _slope(primitive.ufunc, at, x, y)
        if isinstance(slope, int) and slope == 0:
            continue
        pattern = y.recorder.program.patterns.get(y.number)
        if isinstance(slope, Recorded):
            # a slope may not be finite where y is zero by structure, and so is its differential; or where it is unused
            slope = slope if pattern is None else np.where(pattern, slope, 0)
            slope = slope if guard is None else np.where(guard, slope, 0)
        total = total + slope * broadcast(d, y.shape)
    return total


def _elementwise(ufunc: Any, *inputs: Any) -> Any:
    if ufunc not in SLOPES and ufunc not in FLAT_SLOPES and ufunc not in STEPS:
        raise TracingError(
            f"{module_name(ufunc)} has no derivative here: docs/functions.md lists the functions that have one. "
            "Write it with those, or register your own with mj.rule"
        )
    if any(isinstance(x, Symbol) for x in inputs):
        raise TracingError(f"{module_name(ufunc)} of a differential is not linear")
    if any(map(sp.issparse, inputs)):
        raise TracingError("a scipy.sparse constant can be recorded in matrix products alone: else use its .toarray()")
    if ufunc in ZERO_AT_ZEROS:
        inputs = tuple(narrow(a, b) for a, b in zip(inputs, inputs[::-1], strict=True))
    return apply(Elementwise(ufunc), *inputs)


UNKNOWN[0] = _elementwise


@handles(np.add)
def _add(_: Any, a: Any, b: Any) -> Any:
    return added((1, 1), a, b)


@handles(np.subtract)
def _subtract(_: Any, a: Any, b: Any) -> Any:
    return added((1, -1), a, b)


@handles(np.negative)
def _negative(_: Any, a: Any) -> Any:
    return added((-1,), a)


@handles(np.positive)
def _positive(_: Any, a: Any) -> Any:
    return a


@handles(np.multiply)
def _multiply(_: Any, a: Any, b: Any) -> Any:
    return multiplied(a, b)


@handles(np.matmul)
def _matmul(_: Any, a: Any, b: Any) -> Any:
    return matmul(a, b)


@handles(np.divide)
def _divide(_: Any, a: Any, b: Any) -> Any:
    if isinstance(b, Symbol):
        raise TracingError("a quotient by a differential is not linear")
    return multiplied(a, 1 / b) if isinstance(a, Symbol) else _elementwise(np.divide, a, b)


#: What powers are called that have a name.
POWERS = {-1: np.reciprocal, 0.5: np.sqrt, 2: np.square}


@handles(np.power)
def _powered(_: Any, a: Any, b: Any) -> Any:
    # as arrays' own operator does: NumPy's power is slow
    if isinstance(a, Traced) and isinstance(b, int | float) and b in POWERS and a.dtype.kind in "fc":
        return _elementwise(POWERS[b], a)
    return _elementwise(np.power, a, b)


@handles(np.fabs)
def _fabs(_: Any, a: Any) -> Any:
    return _elementwise(np.absolute, a)


SLOPES[np.hypot] = (
    lambda x, z, y: _elementwise(direction, x, y),
    lambda x, z, y: _elementwise(direction, z, y),
)
HANDLED[np.sinc] = partial(_elementwise, np.sinc)
HANDLED |= {
    several: lambda ufunc, *x: tuple(_elementwise(PartOf(ufunc, at), *x) for at in range(ufunc.nout))
    for several in SEVERAL
}
#: Those of two results, and those that are known by other names.
HANDLED |= {
    np.divmod: lambda _, a, b: (np.floor_divide(a, b), np.remainder(a, b)),
    np.modf: lambda _, a: (np.fmod(a, 1), np.trunc(a)),
    np.i0: scipy.special.i0,
}
