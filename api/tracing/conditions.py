"""Conditions: values between whose steps nothing changes, and what is chosen by them, evaluated anew at each call."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from matjac.conventions import Array, Shape
from matjac.linear.program import Primitive
from matjac.tracing.arrays import Recorded, Symbol, shape_of
from matjac.tracing.handlers import BRANCH, HANDLED, TracingError, handles
from matjac.tracing.recorded import apply, broadcast
from matjac.tracing.slopes import module_name


@dataclass(frozen=True, eq=False)
class Stepwise(Primitive):
    """A function whose derivative is zero almost everywhere, with what it is called with beside its operands."""

    function: Callable[..., Any]
    #: where the operands go: a position, or a keyword
    places: tuple[int | str, ...]
    args: tuple[Any, ...]
    options: tuple[tuple[str, Any], ...]

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def along(self) -> tuple[int, ...] | None:
        """The axes that it acts along, none where it acts entry by entry; None where that is not known."""
        # of np.isin and np.digitize the other operand is read whole
        if self.function in ENTRYWISE and self.places == (0,):
            return ()
        given = dict(self.options).get("axis", self.args[1] if len(self.args) == 2 else None)
        if any(isinstance(x, np.ndarray) for x in self.args) or not isinstance(given, int | tuple):
            return None
        return given if isinstance(given, tuple) else (given,)

    @property
    def is_entrywise(self) -> bool:  # type: ignore[override]
        # of np.isin and np.digitize the other operand is read whole
        alone = self.places == (0,) or isinstance(self.function, np.ufunc)
        return (
            self.function in ENTRYWISE and alone and not any(map(np.ndim, (*self.args, *dict(self.options).values())))
        )

    def value(self, *operands: Any) -> Any:
        args, options = list(self.args), dict(self.options)
        for place, operand in zip(self.places, operands, strict=True):
            if isinstance(place, int):
                args[place] = operand
            else:
                options[place] = operand
        return np.asarray(self.function(*args, **options))


def stepwise(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Record a function of which the value alone counts."""
    if options.pop("out", None) is not None:
        raise TracingError(f"{module_name(function)} with out= can't be recorded: call it plainly")
    given: dict[Any, Any] = {**dict(enumerate(args)), **options}
    operands = {place: x for place, x in given.items() if isinstance(x, Recorded)}
    if any(isinstance(x, Symbol) for x in operands.values()):
        raise TracingError(f"{module_name(function)} of a differential is not linear")
    fixed = {
        place: None if place in operands else np.array(x) if isinstance(x, list | np.ndarray) else x
        for place, x in given.items()
    }
    positional = tuple(fixed[k] for k in range(len(args)))
    named = tuple((str(k), x) for k, x in fixed.items() if not isinstance(k, int) and k not in operands)
    return apply(Stepwise(function, tuple(operands), positional, named), *operands.values())


@dataclass(frozen=True)
class Where(Primitive):
    """The entries of the second operand where the first is true, and of the third elsewhere."""

    keeps_real = True
    is_entrywise = True

    def value(self, *operands: Any) -> Any:
        return np.where(*operands)

    def pattern(self, patterns: Sequence[Array | None], shapes: Sequence[Shape], shape: Shape) -> Array | None:
        _, a, b = patterns
        return None if a is None or b is None else np.broadcast_to(a | b, shape)


def chosen(condition: Any, x: Any, y: Any) -> Any:
    """``np.where`` on a condition that depends on a variable."""
    if isinstance(condition, Symbol):
        raise TracingError("np.where on a differential is not linear")
    if isinstance(x, Symbol) or isinstance(y, Symbol):
        shape = np.broadcast_shapes(*map(shape_of, (condition, x, y)))
        parts = [
            (side, d) for side, d in zip(sides(condition), (x, y), strict=True) if isinstance(d, Recorded) or np.any(d)
        ]
        return sum(side * broadcast(d, shape) for side, d in parts)
    return apply(Where(), condition, narrow(x, y), narrow(y, x))


def narrow(part: Any, other: Any) -> Any:
    """Zeros beside a recorded array, as zeros by structure: Python's of a dtype that leaves its own as it is."""
    if part is None or isinstance(part, Recorded) or not isinstance(other, Recorded):
        return part
    if np.any(part) or other.dtype.kind not in "fc":
        return part
    nowhere = np.zeros(np.shape(part), bool)
    if type(part) in (bool, int, float):
        return nowhere
    # an array's or a NumPy number's dtype counts, as it does there
    number = other.recorder.program.constant(np.zeros_like(part), nowhere)
    return other.recorder.traced(number, other.recorder.program.constants[number])


def differential(primitive: Where, x: Sequence[Any], y: Any, dx: Sequence[Any]) -> Any:
    """The differential of what is chosen."""
    return sum(side * broadcast(d, y.shape) for side, d in zip(sides(x[0]), dx[1:], strict=True) if d is not None)


def sides(condition: Any) -> tuple[Any, Any]:
    """Where a condition is true, and where it is not."""
    kept = condition if condition.dtype == bool else condition != 0
    return kept, np.logical_not(kept)


#: Functions of which the value alone counts.
ENTRYWISE = {np.round, np.around, np.fix, np.isposinf, np.isneginf, np.isreal, np.iscomplex, np.isin, np.digitize}
STEPWISE: tuple[Any, ...] = (
    *ENTRYWISE,
    *(np.any, np.all, np.count_nonzero, np.isclose, np.searchsorted),
    *(np.argmax, np.argmin, np.nanargmax, np.nanargmin, np.argsort, np.argpartition),
)


def _refused(why: str, function: Any, *args: Any, **kwargs: Any) -> Any:
    raise TracingError(f"{module_name(function)} {why}")


TRUTH = f"is one truth value, and a branch on a value {BRANCH}"
#: What is said of functions whose result has as many entries as a condition has where it is true.
SHAPED = "can't be recorded: its shape depends on values. Write np.where(condition, a, b) or X * (X > 0), which keep it"
#: Functions that can't be recorded, and why.
REFUSED: dict[Any, str] = {
    **dict.fromkeys((np.allclose, np.array_equal, np.array_equiv), TRUTH),
    **dict.fromkeys((np.nonzero, np.flatnonzero, np.argwhere, np.unique), SHAPED),
}
HANDLED |= {function: partial(stepwise, function) for function in STEPWISE}
HANDLED |= {function: partial(_refused, why, function) for function, why in REFUSED.items()}


@handles(np.clip)
def _clip(a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, *, min: Any = None, max: Any = None) -> Any:
    if out is not None:
        raise TracingError("np.clip with out= can't be recorded: call it plainly")
    low, high = (x if x is not None else y for x, y in ((a_min, min), (a_max, max)))
    above = a if low is None else np.maximum(a, low)
    return above if high is None else np.minimum(above, high)


@handles(np.select)
def _select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    if len(condlist) != len(choicelist):
        raise ValueError(f"np.select: got {len(condlist)} conditions and {len(choicelist)} choices, expected as many")
    result = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        result = np.where(condition, choice, result)
    return result


@handles(np.piecewise)
def _piecewise(x: Any, condlist: Any, funclist: Sequence[Any], *args: Any, **kw: Any) -> Any:
    def of(function: Any) -> Any:
        if not callable(function):
            return function
        made = function(x, *args, **kw)
        if x.ndim:
            # NumPy calls it on the entries of its piece alone, which changes what a mean or a sort makes
            part = function(np.ravel(x)[: (x.size + 1) // 2], *args, **kw)
            alone, there = (np.ravel(getattr(value, "value", value)) for value in (part, made))
            if not np.array_equal(alone, there[: alone.size], equal_nan=True):
                raise TracingError(
                    "np.piecewise can be recorded with functions that act entry by entry alone: write np.where"
                )
        return made

    several = isinstance(condlist, list | tuple)
    if several and x.ndim and all(isinstance(part, bool | np.bool_) for part in condlist):
        several, condlist = False, np.array(condlist)
    # one more axis is that of several conditions
    conditions = list(condlist) if several or len(shape_of(condlist)) > x.ndim else [condlist]
    functions = list(funclist)
    if len(functions) not in (len(conditions), len(conditions) + 1):
        raise ValueError(f"np.piecewise: got {len(functions)} functions, expected {len(conditions)} or one more")
    result = of(functions.pop()) if len(functions) > len(conditions) else 0
    for condition, function in zip(conditions, functions, strict=True):
        result = np.where(condition, of(function), result)
    return result


def _turns(p: Any, **options: Any) -> Any:
    return np.unwrap(p, **options) - p


@handles(np.unwrap)
def _unwrap(p: Any, *args: Any, **options: Any) -> Any:
    if isinstance(options.get("period"), Recorded):
        raise TracingError("np.unwrap with period= that depends on a variable can't be recorded: make it a constant")
    return p + stepwise(_turns, p, **dict(zip(("discont", "axis"), args, strict=False)), **options)


@handles(np.nan_to_num)
def _nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    if any(isinstance(number, Recorded) for number in (nan, posinf, neginf)):
        raise TracingError("np.nan_to_num with a number that depends on a variable can't be recorded: write np.where")
    replaced = stepwise(np.nan_to_num, x, nan=nan, posinf=posinf, neginf=neginf)
    found = np.where(np.isfinite(x), x, replaced)
    if copy or shape_of(x) == ():
        return found
    x[...] = found
    return x[...]
