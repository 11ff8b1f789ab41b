"""Functions entry by entry: a table of slopes, each written in NumPy of the operands x and the value y."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from matjac.conventions import Array, Shape
from matjac.linear.program import Primitive
from matjac.tracing.recorded import (
    UNKNOWN,
    Recorded,
    Symbol,
    Traced,
    TracingError,
    added,
    apply,
    handles,
    matmul,
    multiplied,
)


@dataclass(frozen=True)
class Elementwise(Primitive):
    """A ufunc, with broadcasting."""

    ufunc: np.ufunc

    @property
    def name(self) -> str:
        return self.ufunc.__name__

    def value(self, *operands: Any) -> Any:
        return self.ufunc(*operands)

    def pattern(self, patterns: Sequence[Array | None], shapes: Sequence[Shape], shape: Shape) -> Array | None:
        if self.ufunc not in ZERO_AT_ZERO or patterns[0] is None:
            return None
        return np.broadcast_to(patterns[0], shape)


@dataclass(frozen=True)
class Slope(Primitive):
    """The slope by operand number `at` where it branches on values; its operands are the ufunc's and the value."""

    ufunc: np.ufunc
    at: int

    def value(self, *operands: Any) -> Any:
        return BRANCHED[self.ufunc](self.at, operands[:-1], operands[-1])


@dataclass(frozen=True)
class Curvature(Primitive):
    """The slope by operand number `by` of the slope by number `at` of a power whose exponent varies."""

    at: int
    by: int

    def value(self, *operands: Any) -> Any:
        base, exponent = operands
        log = _log(base)
        if self.at == self.by == 0:
            return _times_power(exponent * (exponent - 1), base, exponent - 2)
        if self.at == self.by == 1:
            return base**exponent * log**2
        return _times_power(1 + exponent * log, base, exponent - 1)


def _log(base: Any) -> Any:
    """The logarithm, of which only products with a power of zero are wanted at zero."""
    return np.where(base == 0, 0, np.log(np.where(base == 0, 1, base)))


def _times_power(factor: Any, base: Any, exponent: Any) -> Any:
    """factor · base^exponent, 0 where the factor is, also for a negative power of zero."""
    return factor * base ** np.where(factor == 0, 1, exponent)


def _power(at: int, x: Sequence[Any], y: Any) -> Any:
    base, exponent = x[0], np.asarray(x[1])
    return _times_power(exponent, base, exponent - 1) if at == 0 else y * _log(base)


def _constant_power(x: Any, exponent: Any) -> Any:
    """The slope of x to a constant power, recorded; None where it is zero."""
    if np.ndim(exponent) == 0:
        return None if exponent == 0 else exponent * x ** (exponent - 1)
    return _times_power(exponent, x, exponent - 1)


def _constant(x: Any) -> Any:
    """The value of an operand that is a constant, else None."""
    if not isinstance(x, Traced):
        return x
    return x.recorder.program.constants.get(x.number)


def _absolute(at: int, x: Sequence[Any], y: Any) -> Any:
    if np.iscomplexobj(x[0]):
        raise TypeError("np.absolute has no complex derivative: compile a function of the real and imaginary parts")
    return np.sign(x[0])


def _chosen(chosen: Array, tie: Array, y: Array) -> Array:
    """One where an input was chosen, a half where both were."""
    return np.where(tie, 0.5, np.where(chosen, 1.0, 0.0)).astype(y.dtype)


#: Slopes that branch on values, computed by one function.
BRANCHED: dict[np.ufunc, Callable[[int, Sequence[Any], Any], Any]] = {
    np.power: _power,
    np.absolute: _absolute,
    np.maximum: lambda at, x, y: _chosen(x[at] >= x[1 - at], x[0] == x[1], y),
    np.minimum: lambda at, x, y: _chosen(x[at] <= x[1 - at], x[0] == x[1], y),
}
#: The others, one for each operand.
SLOPES: dict[np.ufunc, tuple[Callable[..., Any], ...]] = {
    np.divide: (lambda x, z, y: 1 / z, lambda x, z, y: -y / z),
    np.logaddexp: (lambda x, z, y: np.exp(x - y), lambda x, z, y: np.exp(z - y)),
    np.exp: (lambda x, y: y,),
    np.expm1: (lambda x, y: y + 1,),
    np.log: (lambda x, y: 1 / x,),
    np.log1p: (lambda x, y: 1 / (1 + x),),
    np.sqrt: (lambda x, y: 0.5 / y,),
    np.square: (lambda x, y: 2 * x,),
    np.reciprocal: (lambda x, y: -y * y,),
    np.sin: (lambda x, y: np.cos(x),),
    np.cos: (lambda x, y: -np.sin(x),),
    np.tan: (lambda x, y: 1 + y * y,),
    np.arctan: (lambda x, y: 1 / (1 + x * x),),
    np.sinh: (lambda x, y: np.cosh(x),),
    np.cosh: (lambda x, y: np.sinh(x),),
    np.tanh: (lambda x, y: 1 - y * y,),
}
#: Functions whose value is zero where the first operand's is.
ZERO_AT_ZERO = {
    np.divide,
    np.expm1,
    np.log1p,
    np.sqrt,
    np.square,
    np.sin,
    np.tan,
    np.arctan,
    np.sinh,
    np.tanh,
    np.absolute,
}
NAMES = {f"np.{ufunc.__name__}" for ufunc in (*SLOPES, *BRANCHED, np.add, np.subtract, np.multiply, np.negative)}


def differential(primitive: Elementwise, x: Sequence[Any], y: Any, dx: Sequence[Any]) -> Any:
    """The sum of slope · dx over the operands that have a differential."""
    total: Any = 0
    for at, d in enumerate(dx):
        if d is None:
            continue
        ufunc = primitive.ufunc
        if ufunc is np.power and (exponent := _constant(x[1])) is not None:
            slope = _constant_power(x[0], exponent)
            if slope is None:
                continue
        else:
            slope = apply(Slope(ufunc, at), *x, y) if ufunc in BRANCHED else SLOPES[ufunc][at](*x, y)
        pattern = y.recorder.program.patterns.get(y.number)
        if pattern is not None:
            # a slope may not be finite where y is zero by structure, and so is its differential
            slope = np.where(pattern, slope, 0)
        total = total + slope * d
    return total


def of_slope(primitive: Slope, x: Sequence[Any], y: Any, dx: Sequence[Any]) -> Any:
    """The differential of a slope that branches: zero, save of a power."""
    if primitive.ufunc is not np.power:
        return 0
    return sum(apply(Curvature(primitive.at, by), *x[:2]) * d for by, d in enumerate(dx[:2]) if d is not None)


def _elementwise(ufunc: np.ufunc, *inputs: Any) -> Any:
    if ufunc not in SLOPES and ufunc not in BRANCHED:
        raise TracingError(
            f"np.{ufunc.__name__} has no derivative here: write it with {', '.join(sorted(NAMES))}, "
            "or register your own with mj.rule"
        )
    if any(isinstance(x, Symbol) for x in inputs):
        raise TracingError(f"np.{ufunc.__name__} of a differential is not linear")
    if any(map(sp.issparse, inputs)):
        raise TracingError("a scipy.sparse constant can be recorded in matrix products alone: else use its .toarray()")
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


@handles(np.power, np.float_power)
def _powered(_: Any, a: Any, b: Any) -> Any:
    # NumPy's own power is slow
    if isinstance(a, Traced) and not isinstance(b, Recorded) and np.ndim(b) == 0 and b == 2:
        return _elementwise(np.square, a)
    return _elementwise(np.power, a, b)


@handles(np.fabs)
def _fabs(_: Any, a: Any) -> Any:
    return _elementwise(np.absolute, a)
