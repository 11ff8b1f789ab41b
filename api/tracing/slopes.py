"""The slopes of NumPy's functions entry by entry: each written in NumPy of the operands and the value y.

They are recorded, so that second derivatives follow from the same table. The slopes of `scipy.special` are in
`special.py`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from matjac.conventions import Array
from matjac.tracing import special
from matjac.tracing.handlers import module_name as module_name

LOG2, LOG10, DEGREE = float(np.log(2)), float(np.log(10)), float(np.pi / 180)


def times_power(factor: Any, base: Any, exponent: Any) -> Any:
    """factor · base^exponent, 0 where the factor is, also for a negative power of zero."""
    return factor * base ** np.where(np.logical_and(factor == 0, base == 0), 1, exponent)


def _log(base: Any) -> Any:
    """The logarithm, of which only products with a power of zero are wanted at zero."""
    return np.log(np.where(base == 0, 1, base))


def direction(x: Any, y: Any) -> Any:
    """x / y, and 0 where y is zero, where it has no derivative."""
    return x / np.where(y == 0, 1, y)


def _real(name: str, x: Any, slope: Any) -> Any:
    if np.iscomplexobj(x):
        raise TypeError(f"{name} has no complex derivative: compile a function of the real and imaginary parts")
    return slope(x)


def _chosen(chosen: Array, tie: Array, y: Array) -> Array:
    """One where an input was chosen, a half where both were."""
    slope = np.array(chosen, y.dtype)
    np.copyto(slope, 0.5, where=tie)
    return slope


def _larger(at: int, x: Sequence[Any], y: Any) -> Any:
    return _chosen(x[at] >= x[1 - at], x[0] == x[1], y)


def _smaller(at: int, x: Sequence[Any], y: Any) -> Any:
    return _chosen(x[at] <= x[1 - at], x[0] == x[1], y)


def _but_nan(chosen: Callable[..., Any]) -> Callable[..., Any]:
    """Of functions that take the other input where one is not a number."""
    return lambda at, x, y: np.where(np.isnan(x[1 - at]), np.ones((), y.dtype), chosen(at, x, y))


#: Slopes whose own derivative is zero, of the operand's place, the operands and y: computed by plain NumPy.
FLAT_SLOPES: dict[Any, Callable[[int, Sequence[Any], Any], Any]] = {
    np.absolute: lambda at, x, y: _real("np.absolute", x[0], np.sign),
    np.conjugate: lambda at, x, y: _real("np.conjugate", x[0], np.ones_like),
    np.real: lambda at, x, y: _real("np.real", x[0], np.ones_like),
    np.imag: lambda at, x, y: _real("np.imag", x[0], np.zeros_like),
    np.maximum: _larger,
    np.minimum: _smaller,
    np.fmax: _but_nan(_larger),
    np.fmin: _but_nan(_smaller),
}
#: The others, one for each operand. None: it must be a constant; 0: its derivative is zero almost everywhere.
SLOPES: dict[Any, tuple[Any, ...]] = {
    np.power: (lambda x, z, y: times_power(z, x, z - 1), lambda x, z, y: y * _log(x)),
    np.float_power: (lambda x, z, y: times_power(z, x, z - 1), lambda x, z, y: y * _log(x)),
    np.divide: (lambda x, z, y: 1 / z, lambda x, z, y: -y / z),
    np.logaddexp: (lambda x, z, y: np.exp(x - y), lambda x, z, y: np.exp(z - y)),
    np.logaddexp2: (lambda x, z, y: np.exp2(x - y), lambda x, z, y: np.exp2(z - y)),
    np.copysign: (lambda x, z, y: np.sign(x) * np.sign(y), 0),
    direction: (lambda x, z, y: 1 / z, lambda x, z, y: -y / z),
    np.arctan2: (lambda x, z, y: z / (x * x + z * z), lambda x, z, y: -x / (x * x + z * z)),
    np.fmod: (lambda x, z, y: 1, lambda x, z, y: -np.trunc(x / z)),
    np.remainder: (lambda x, z, y: 1, lambda x, z, y: -np.floor_divide(x, z)),
    np.heaviside: (0, lambda x, z, y: x == 0),
    np.exp: (lambda x, y: y,),
    np.exp2: (lambda x, y: LOG2 * y,),
    np.expm1: (lambda x, y: y + 1,),
    np.log: (lambda x, y: 1 / x,),
    np.log2: (lambda x, y: 1 / (LOG2 * x),),
    np.log10: (lambda x, y: 1 / (LOG10 * x),),
    np.log1p: (lambda x, y: 1 / (1 + x),),
    np.sqrt: (lambda x, y: 0.5 / y,),
    np.cbrt: (lambda x, y: 1 / (3 * y * y),),
    np.square: (lambda x, y: 2 * x,),
    np.reciprocal: (lambda x, y: -y * y,),
    np.sin: (lambda x, y: np.cos(x),),
    np.cos: (lambda x, y: -np.sin(x),),
    np.tan: (lambda x, y: 1 + y * y,),
    # of the products each factor is exact near ±1, where 1 − x² is not; complex ones keep to the function's branch
    np.arcsin: (lambda x, y: 1 / (np.sqrt(1 - x) * np.sqrt(1 + x)),),
    np.arccos: (lambda x, y: -1 / (np.sqrt(1 - x) * np.sqrt(1 + x)),),
    np.arctan: (lambda x, y: 1 / (1 + x * x),),
    np.sinh: (lambda x, y: np.cosh(x),),
    np.cosh: (lambda x, y: np.sinh(x),),
    np.tanh: (lambda x, y: 1 - y * y,),
    np.arcsinh: (lambda x, y: 1 / np.sqrt(1 + x * x),),
    np.arccosh: (lambda x, y: 1 / (np.sqrt(x - 1) * np.sqrt(x + 1)),),
    np.arctanh: (lambda x, y: 1 / ((1 - x) * (1 + x)),),
    np.deg2rad: (lambda x, y: DEGREE,),
    np.radians: (lambda x, y: DEGREE,),
    np.rad2deg: (lambda x, y: 1 / DEGREE,),
    np.degrees: (lambda x, y: 1 / DEGREE,),
    # sinc(x) is ₀F₁(; 3/2; −(πx)²/4), whose derivatives have no quotient at zero
    np.sinc: (lambda x, y: -(np.pi**2) / 3 * x * special.hyp0f1(2.5, -((np.pi / 2 * x) ** 2)),),
    **special.SLOPES,
}
#: Functions that are constant between their steps: comparisons, signs, roundings. They have no differential.
STEPS = {
    *(np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal),
    *(np.isfinite, np.isnan, np.isinf, np.signbit, np.sign),
    *(np.logical_and, np.logical_or, np.logical_not, np.logical_xor),
    *(np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.invert),
    *(np.floor, np.ceil, np.rint, np.trunc, np.floor_divide),
    *special.STEPS,
}
#: Functions whose value is zero where the first operand's is.
ZERO_AT_ZERO = {
    *(np.divide, direction, np.expm1, np.log1p, np.sqrt, np.cbrt, np.square, np.sin, np.tan, np.arcsin, np.arctan),
    *(np.sinh, np.tanh, np.arcsinh, np.arctanh, np.deg2rad, np.radians, np.rad2deg, np.degrees),
    *(np.absolute, np.conjugate, np.real, np.imag, np.copysign, np.fmod, np.remainder),
    *(np.sign, np.floor, np.ceil, np.rint, np.trunc, np.floor_divide),
    *special.ZERO_AT_ZERO,
}
#: Those whose value is zero where both operands are, and those where either is.
ZERO_AT_ZEROS = {np.maximum, np.minimum, np.fmax, np.fmin, np.hypot, np.logical_or, np.bitwise_or}
ZERO_BESIDE_ZERO = {np.logical_and, np.bitwise_and}
#: Functions that are finite at every finite point, with slopes that are too, as far as floating point goes.
FINITE = {
    *(np.sin, np.cos, np.tanh, np.arctan, np.arcsinh, np.square, np.deg2rad, np.radians, np.rad2deg, np.degrees),
    *(
        np.absolute,
        np.conjugate,
        np.real,
        np.imag,
        np.maximum,
        np.minimum,
        np.fmax,
        np.fmin,
        np.copysign,
        np.hypot,
        np.sinc,
    ),
    *special.FINITE,
}
