"""Discrete Fourier transforms (`numpy.fft`): linear maps along one axis after another."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from matjac.linear.fourier import HalfInverse, HalfTransform, Transform
from matjac.linear.maps import Map
from matjac.tracing.arrays import Symbol, shape_of
from matjac.tracing.handlers import HANDLED, TracingError
from matjac.tracing.recorded import mapped
from matjac.tracing.reductions import plain

#: A transform of one axis: of the array, the length, the axis and the norm.
Along: TypeAlias = Callable[[Any, int | None, int, str], Any]
#: The norms with forward and backward swapped.
SWAPPED = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


def _sized(a: Any, n: int, axis: int) -> Any:
    """The first n entries of an axis, followed by zeros where there are fewer."""
    have = shape_of(a)[axis]
    if n < have:
        return a[(slice(None),) * (axis % a.ndim) + (slice(0, n),)]
    if n == have:
        return a
    widths = [(0, 0)] * a.ndim
    widths[axis] = (0, n - have)
    return np.pad(a, widths)


def _mapped(made: Map, a: Any, n: int, axis: int, after: int) -> Any:
    if n < 1:
        raise ValueError(f"np.fft.{made.name}: got {n} data points, expected at least 1")
    turned = np.moveaxis(_sized(a, n, axis), axis, -1)
    return np.moveaxis(mapped(made, turned, after=(after,)), -1, axis)


def _full(inverse: bool) -> Along:
    def along(a: Any, n: int | None, axis: int, norm: str) -> Any:
        n = shape_of(a)[axis] if n is None else n
        return _mapped(Transform(norm, inverse), a, n, axis, n)

    return along


def _half(a: Any, n: int | None, axis: int, norm: str) -> Any:
    if not isinstance(a, Symbol) and np.iscomplexobj(a):
        raise TypeError("np.fft.rfft: got complex values, expected real ones: use np.fft.fft")
    n = shape_of(a)[axis] if n is None else n
    return _mapped(HalfTransform(n, norm), a, n, axis, n // 2 + 1)


def _half_inverse(a: Any, n: int | None, axis: int, norm: str) -> Any:
    if isinstance(a, Symbol):
        raise TracingError("np.fft.irfft of a differential takes a real part, which is not linear: use np.fft.ifft")
    n = 2 * (shape_of(a)[axis] - 1) if n is None else n
    if n < 1:
        raise ValueError(f"np.fft.irfft: got {n} data points, expected at least 1")
    kept = n // 2 + 1
    # of real values it is real too, and of complex ones the real part
    return np.real(_mapped(HalfInverse(n, norm), a, kept, axis, n))


def _norm(norm: Any) -> str:
    norm = "backward" if norm is None else norm
    if norm not in SWAPPED:
        raise ValueError(f"np.fft: got norm {norm!r}, expected 'backward', 'ortho' or 'forward'")
    return str(norm)


def _of_one(name: str, along: Along) -> Any:
    def recorded(a: Any, n: Any = None, axis: int = -1, norm: Any = None, out: Any = None) -> Any:
        plain(f"np.fft.{name}", out=out)
        return along(a, None if n is None else int(n), axis, _norm(norm))

    return recorded


def _of_several(name: str, default: Any, first: Along | None, along: Along, last: Along | None) -> Any:
    """The transform of several axes: `first` of the last axis, then of the others, or those first and then `last`."""

    def recorded(a: Any, s: Any = None, axes: Any = default, norm: Any = None, out: Any = None) -> Any:
        plain(f"np.fft.{name}", out=out)
        norm, shape = _norm(norm), shape_of(a)
        if axes is None:
            axes = range(len(shape)) if s is None else range(-len(s), 0)
        axes = list(axes)
        lengths: Sequence[int | None] = [None] * len(axes) if s is None else [None if n == -1 else int(n) for n in s]
        if len(lengths) != len(axes):
            raise ValueError(f"np.fft.{name}: got {len(lengths)} lengths and {len(axes)} axes, expected as many")
        pairs = list(zip(lengths, axes, strict=True))
        if first is not None and pairs:
            a = first(a, *pairs.pop(), norm)
        end = pairs.pop() if last is not None and pairs else None
        for n, axis in pairs[::-1]:
            a = along(a, n, axis, norm)
        return a if end is None or last is None else last(a, *end, norm)

    return recorded


def _hermitian(a: Any, n: int | None, axis: int, norm: str) -> Any:
    return _half_inverse(np.conjugate(a), n, axis, SWAPPED[norm])


def _hermitian_inverse(a: Any, n: int | None, axis: int, norm: str) -> Any:
    return np.conjugate(_half(a, n, axis, SWAPPED[norm]))


fft, ifft = _full(False), _full(True)
HANDLED |= {
    getattr(np.fft, name): _of_one(name, along)
    for name, along in (
        ("fft", fft),
        ("ifft", ifft),
        ("rfft", _half),
        ("irfft", _half_inverse),
        ("hfft", _hermitian),
        ("ihfft", _hermitian_inverse),
    )
}
HANDLED |= {
    getattr(np.fft, name): _of_several(name, default, *steps)
    for end, default in (("2", (-2, -1)), ("n", None))
    for name, steps in (
        (f"fft{end}", (None, fft, None)),
        (f"ifft{end}", (None, ifft, None)),
        (f"rfft{end}", (_half, fft, None)),
        (f"irfft{end}", (None, ifft, _half_inverse)),
    )
}
