"""Recorded arrays made like others, copied, or made of arrays of objects that hold recorded ones."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from matjac.conventions import Array, Shape
from matjac.linear.program import Primitive
from matjac.tracing.arrays import Recorded, Symbol, Traced, in_order, shape_of
from matjac.tracing.assignment import Like, rooted
from matjac.tracing.handlers import HANDLED, UNITED, TracingError, handles
from matjac.tracing.moving import gathered
from matjac.tracing.recorded import apply, broadcast


def _constant(array: Any, value: Any) -> Traced:
    """A constant as a recorded array beside another one; zeros are zeros by structure."""
    recorder = array.recorder
    number = recorder.constant(value)
    if not np.any(value):
        number = recorder.program.constant(recorder.examples[number], np.zeros(np.shape(value), bool))
    made = recorder.traced(number, np.array(value))
    return in_order(made) if np.asarray(value).flags.c_contiguous else made  # type: ignore[no-any-return]


def _filled(array: Any, fill: Any, dtype: Any, shape: Any) -> Any:
    """``np.full_like``, recorded."""
    if isinstance(array, Symbol):
        raise TracingError("an array like a differential can't be made: use 0 * dX")
    after = array.shape if shape is None else (int(shape),) if np.ndim(shape) == 0 else tuple(int(n) for n in shape)
    if isinstance(fill, Recorded):
        made = _filled(array, 0, dtype, shape)
        made[...] = fill
        return made
    if dtype is None and np.ndim(fill) == 0:
        made = apply(Like(after, np.asarray(fill).item()), array)
    else:
        made = _constant(array, np.full(after, fill, array.dtype if dtype is None else dtype))
        made.ordered = False
    return in_order(made) if array.ordered or len(after) != array.ndim else made


def _in(order: Any, array: Any, fill: Any, dtype: Any, shape: Any) -> Any:
    """The same in an order: column by column it is the transpose of one that is laid out row by row."""
    made = _filled(array, fill, dtype, shape)
    return made if order == "K" or isinstance(array, Symbol) else made.copy(order)


for _function, _fill in ((np.zeros_like, 0), (np.empty_like, 0), (np.ones_like, 1)):

    def _like(
        a: Any, dtype: Any = None, order: Any = "K", subok: Any = True, shape: Any = None, fill: Any = _fill
    ) -> Any:
        return _in(order, a, fill, dtype, shape)

    HANDLED[_function] = _like


@handles(np.full_like)
def _full_like(
    a: Any, fill_value: Any, dtype: Any = None, order: Any = "K", subok: bool = True, shape: Any = None
) -> Any:
    return _in(order, a, fill_value, dtype, shape)


@handles(np.copy)
def _copy(a: Any, order: Any = "K", subok: bool = False) -> Any:
    if order == "F" and isinstance(a, Traced):
        return a.copy(order)
    return type(a)(a.recorder, a.number, a.later) if isinstance(a, Traced) else a


@dataclass(frozen=True)
class Cast(Primitive):
    """The values in another dtype."""

    is_entrywise = True

    dtype: np.dtype[Any]

    @property
    def keeps_real(self) -> bool:  # type: ignore[override]
        return self.dtype.kind != "c"

    def value(self, *operands: Any) -> Any:
        x = np.asarray(operands[0])
        if x.dtype.kind == "c" and self.dtype.kind == "f":
            raise TracingError("a conversion of complex numbers to real ones has no complex derivative: leave it out")
        return x.astype(self.dtype)

    def pattern(self, patterns: Any, shapes: Any, shape: Shape) -> Array | None:
        return patterns[0]  # type: ignore[no-any-return]


@handles(np.ndarray.astype)
def _astype(x: Any, dtype: Any, copy: bool = True) -> Any:
    wanted = np.dtype(dtype)
    if not copy and wanted == x.dtype:
        return x
    if wanted.kind not in "fc" and x.dtype.kind in "fc":
        raise TracingError(
            f"a conversion to {wanted} has no derivative: leave .astype out, or write np.floor or a comparison"
        )
    return apply(Cast(wanted), x)


if hasattr(np, "astype"):  # from NumPy 2.1 on
    HANDLED[np.astype] = _astype


@handles(np.array, np.asarray, np.asanyarray)
def _array(object: Any, dtype: Any = None, *_: Any, like: Any = None, **__: Any) -> Any:
    if isinstance(object, Recorded):
        made = _copy(object)
    else:
        array = np.asarray(object)
        made = _united(array) if array.dtype == np.dtype(np.object_) else _constant(like, array)
    return made if dtype is None else _astype(made, dtype)


@handles(np.real_if_close)
def _real_if_close(a: Any, tol: Any = 100) -> Any:
    if isinstance(a, Traced) and a.dtype.kind == "c":
        raise TracingError("np.real_if_close of complex values depends on how large they are: write np.real(a)")
    return np.real(a)


def _united(array: Array) -> Any:
    """An array of objects, recorded ones of one shape and numbers among them, as one recorded array."""
    entries = array.reshape(-1).tolist()
    if not any(isinstance(x, Recorded) for x in entries):
        return np.array(array.tolist())
    shapes = {shape_of(x) for x in entries if isinstance(x, Recorded)}
    if len(shapes) > 1:
        raise TracingError(f"an array of recorded arrays of different shapes {sorted(shapes)} can't be recorded")
    (shape,) = shapes
    parts: list[Any] = []
    starts: dict[int, int] = {}
    end = 1
    numbers = np.empty((len(entries), *shape), np.int64)
    for at, x in enumerate(entries):
        root, places = (
            rooted(x)
            if isinstance(x, Traced) and x.ndim < 2
            else (x if isinstance(x, Recorded) else broadcast(x, shape), None)
        )
        if id(root) not in starts or not isinstance(root, Recorded):
            starts[id(root)] = end
            parts.append(root if isinstance(root, Recorded) else np.asarray(root))
            end += int(np.prod(shape_of(root)))
        start = starts[id(root)]
        numbers[at] = start + (np.arange(int(np.prod(shape))).reshape(shape) if places is None else places)
    made = gathered(parts, numbers.reshape(*array.shape, *shape))
    return in_order(made) if array.flags.c_contiguous else made


UNITED[0] = _united
