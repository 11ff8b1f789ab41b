"""Real and imaginary parts, conjugates, absolute values and angles of complex values on the way from real arguments.

None is holomorphic. All are made of one step, the real part, which is linear in real multiples: so derivatives are
right where arguments and results are real, and refused elsewhere (`Record.dtype`).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from matjac.linear.primitives import Real
from matjac.tracing.arrays import Symbol, Traced
from matjac.tracing.handlers import HANDLED, UNKNOWN, TracingError, handles
from matjac.tracing.recorded import apply, multiplied

#: Why there is no derivative where an argument or a result is complex.
REAL_ALONE = (
    "np.real, np.imag, np.conjugate, np.absolute and np.angle of complex values have a derivative where arguments and "
    "results are real, not complex: compile a function of the real and imaginary parts, that returns them "
    "(np.stack([y.real, y.imag]))"
)
#: Why it can't be called with complex arguments.
RECORDED_REAL = (
    "fun takes conjugates or squared absolute values (np.linalg.norm, np.var, np.vdot), and was recorded at real "
    "examples: got complex arguments. Compile it at complex examples for its values; by complex arguments it has no "
    "derivative"
)


def real_part(z: Any) -> Any:
    """The real part of a complex value, recorded."""
    return apply(Real(), z)


def imaginary_part(z: Any) -> Any:
    """That of −i z."""
    return real_part(multiplied(-1j, z))


#: What is recorded of complex values; of real ones the functions are entry by entry.
PARTS: dict[Any, Callable[[Any], Any]] = {
    np.real: real_part,
    np.imag: imaginary_part,
    np.conjugate: lambda z: real_part(z) - 1j * imaginary_part(z),
    np.absolute: lambda z: np.hypot(real_part(z), imaginary_part(z)),
}


def _of(function: Any) -> Callable[[Any], Any]:
    def recorded(z: Any) -> Any:
        if isinstance(z, Symbol):
            raise TracingError(f"np.{function.__name__} of a differential is not linear")
        complexes = isinstance(z, Traced) and z.dtype.kind == "c"
        if function is np.real and isinstance(z, Traced) and not complexes and not z.is_number():
            return z[...]
        return PARTS[function](z) if complexes else UNKNOWN[0](function, z)

    return recorded


HANDLED |= {function: _of(function) for function in (np.real, np.imag)}
HANDLED |= {function: lambda ufunc, z: _of(ufunc)(z) for function in (np.conjugate, np.absolute)}


def conjugated(x: Any) -> Any:
    """The conjugate of what is complex."""
    return np.conjugate(x) if _is_complex(x) else x


def _is_complex(x: Any) -> bool:
    """Whether an array is complex; what is recorded of a real one does not hold for others."""
    if isinstance(x, Symbol):
        return False
    found = bool(np.iscomplexobj(x))
    if isinstance(x, Traced) and not found:
        x.recorder.program.real = True
    return found


def squared(x: Any) -> Any:
    """``|x|²``."""
    return np.real(x) ** 2 + np.imag(x) ** 2 if _is_complex(x) else x * x


@handles(np.angle)
def _angle(z: Any, deg: bool = False) -> Any:
    if isinstance(z, Symbol):
        raise TracingError("np.angle of a differential is not linear")
    y = np.arctan2(np.imag(z), np.real(z))
    return np.rad2deg(y) if deg else y
