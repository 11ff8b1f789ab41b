"""Sums, products, means and spreads along axes, and running ones."""

from typing import Any

import numpy as np

from matjac.conventions import size
from matjac.linear.along import Recurrence, RunningSum
from matjac.tracing.arrays import Recorded, shape_of
from matjac.tracing.complexes import conjugated, squared
from matjac.tracing.conditions import stepwise
from matjac.tracing.handlers import HANDLED, TracingError, handles
from matjac.tracing.recorded import apply, mapped, reshaped, summed
from matjac.tracing.whole import DIFFERENTIALS, OF_COEFFICIENTS, whole


def axes_of(a: Any, axis: Any) -> tuple[int, ...]:
    """The axes that are meant, sorted; all where None."""
    ndim = len(shape_of(a))
    return tuple(range(ndim)) if axis is None else tuple(sorted(np.lib.array_utils.normalize_axis_tuple(axis, ndim)))


def kept(result: Any, a: Any, axes: tuple[int, ...]) -> Any:
    """A reduced array with the axes that are gone, of length one."""
    return reshaped(result, tuple(1 if k in axes else n for k, n in enumerate(shape_of(a))))


def plain(name: str, **options: Any) -> None:
    """Refuse options that are not recorded."""
    for option, value in options.items():
        if value is not None:
            raise TracingError(f"{name} with {option}= can't be recorded: leave it out")


def last(a: Any, axis: int | None) -> Any:
    """The axis as the last one; all entries as one axis where None."""
    return np.ravel(a) if axis is None else np.moveaxis(a, axis, -1)


def back(a: Any, axis: int | None) -> Any:
    """The last axis back where it was."""
    return a if axis is None else np.moveaxis(a, -1, axis)


def converted(a: Any, dtype: Any) -> Any:
    """An array in that dtype; as it is where None."""
    return a if dtype is None else (a if isinstance(a, Recorded) else np.asarray(a)).astype(dtype)


# sums and products --------------------------------------------------------------------------------------


@handles(np.sum)
def total(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = None,
) -> Any:
    """``np.sum``, recorded."""
    plain("np.sum", out=out)
    a = converted(a, dtype)
    if where is not None:
        a = np.where(where, a, 0)
    axes = axes_of(a, axis)
    result = summed(a, axes)
    result = kept(result, a, axes) if keepdims else result
    return result if initial is None else result + initial


@handles(np.mean)
def mean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False, *, where: Any = None
) -> Any:
    """``np.mean``, recorded."""
    plain("np.mean", out=out)
    result = total(a, axis, dtype, keepdims=keepdims, where=where)
    if where is not None:
        return result / _count(a, axis, keepdims, where)
    return result * (size(shape_of(result)) / max(size(shape_of(a)), 1))


@handles(np.prod)
def product(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = None,
) -> Any:
    """``np.prod``, recorded."""
    plain("np.prod", out=out)
    a = converted(a, dtype)
    if where is not None:
        a = np.where(where, a, 1)
    axes = axes_of(a, axis)
    result = whole(np.prod, a, axis=axes)
    result = kept(result, a, axes) if keepdims else result
    return result if initial is None else result * initial


def _of_product(x: Any, y: Any, dx: Any, axis: tuple[int, ...]) -> Any:
    """Each factor's differential times the product of the others, which are exact where one is zero."""
    (a,), (da,) = x, dx
    order = (*(k for k in range(a.ndim) if k not in axis), *axis)
    count = size(tuple(a.shape[k] for k in axis))
    lengths = *(a.shape[k] for k in order[: a.ndim - len(axis)]), count
    a, da = (np.reshape(np.transpose(v, order), lengths) for v in (a, da))
    if count == 0:
        return None
    ones = np.ones_like(a[..., :1])
    before = np.concatenate([ones, np.cumprod(a, axis=-1)[..., :-1]], axis=-1)
    after = np.concatenate([ones, np.cumprod(a[..., ::-1], axis=-1)[..., :-1]], axis=-1)[..., ::-1]
    return np.sum(before * after * da, axis=-1)


DIFFERENTIALS[np.prod] = _of_product


@handles(np.cumsum)
def _cumsum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    plain("np.cumsum", out=out)
    return back(mapped(RunningSum(), last(converted(a, dtype), axis)), axis)


def _running_product(a: Any) -> Any:
    return np.cumprod(a, axis=-1)


DIFFERENTIALS[_running_product] = lambda x, y, dx: mapped(
    Recurrence(), np.concatenate([np.ones_like(y[..., :1]), y[..., :-1]], axis=-1) * dx[0], x[0]
)


@handles(np.cumprod)
def _cumprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    plain("np.cumprod", out=out)
    a = last(converted(a, dtype), axis)
    return back(whole(_running_product, a) if a.shape[-1] else a, axis)


def _of_recurrence(linear: Any, x: Any, c: Any, z: Any, dx: Any) -> Any:
    """``dz[k] = x[k] dz[k − 1] + dx[k] z[k − 1]``; of the transposed one with k + 1 in place of k and of k − 1."""
    zero = np.zeros_like(z[..., :1])
    if linear.turned:
        parts = [z[..., 1:] * np.broadcast_to(dx, z.shape)[..., 1:], 0 * dx[..., :1] * zero]
    else:
        parts = [0 * dx[..., :1] * zero, z[..., :-1] * np.broadcast_to(dx, z.shape)[..., 1:]]
    return apply(linear, x, np.concatenate(parts, axis=-1), shape=z.shape)


OF_COEFFICIENTS[Recurrence] = _of_recurrence


def _cumulative(name: str, running: Any, first: Any) -> Any:
    """``np.cumulative_sum`` and its kin."""

    def recorded(
        x: Any, /, *, axis: Any = None, dtype: Any = None, out: Any = None, include_initial: bool = False
    ) -> Any:
        plain(name, out=out)
        x = converted(x, dtype)
        if axis is None and x.ndim != 1:
            raise ValueError(f"{name}: got {x.ndim} dimensions and no axis, expected an axis")
        axis = 0 if axis is None else axis
        result = running(x, axis=axis)
        shape = tuple(1 if k == axis % x.ndim else n for k, n in enumerate(x.shape))
        return np.concatenate([first(x, shape=shape), result], axis) if include_initial else result

    return recorded


HANDLED[np.cumulative_sum] = _cumulative("np.cumulative_sum", np.cumsum, np.zeros_like)
HANDLED[np.cumulative_prod] = _cumulative("np.cumulative_prod", np.cumprod, np.ones_like)

# means and spreads --------------------------------------------------------------------------------------


@handles(np.var)
def variance(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: Any = None,
    mean: Any = None,
    correction: Any = None,
) -> Any:
    """``np.var``, recorded."""
    plain("np.var", out=out)
    a, axes = converted(a, dtype), axes_of(a, axis)
    ddof = ddof if correction is None else correction
    if where is None:
        centred = a - (np.mean(a, axis=axes, keepdims=True) if mean is None else mean)
        count = size(tuple(a.shape[k] for k in axes)) - ddof
        return np.sum(squared(centred), axis=axes, keepdims=keepdims) * (1 / count if count > 0 else np.inf)
    # the mean may be that of nothing
    centred = np.where(where, a - (np.mean(a, axis=axes, keepdims=True, where=where) if mean is None else mean), 0)
    count = np.maximum(_count(a, axes, keepdims, where) - ddof, 0)
    return np.sum(squared(centred), axis=axes, keepdims=keepdims) / count


def _count(a: Any, axis: Any, keepdims: bool, where: Any) -> Any:
    """How many there are, in the dtype of the array."""
    return np.sum(np.where(where, np.ones_like(a), 0), axis=axis, keepdims=keepdims)


@handles(np.std)
def _std(a: Any, axis: Any = None, *args: Any, mean: Any = None, **kwargs: Any) -> Any:
    spread = np.sqrt(variance(a, axis, *args, mean=mean, **kwargs))
    alone = size(tuple(shape_of(a)[k] for k in axes_of(a, axis))) == 1
    # one entry alone has none, wherever it is: no derivative is taken of a root at zero
    return stepwise(np.copy, spread) if alone and mean is None else spread


@handles(np.average)
def _average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: bool = False) -> Any:
    if weights is None:
        result = np.mean(a, axis=axis, keepdims=keepdims)
        return (result, 0 * result + size(shape_of(a)) / size(shape_of(result))) if returned else result
    weights = weights if isinstance(weights, Recorded) else np.asarray(weights)
    if shape_of(weights) != shape_of(a):
        axes = tuple(range(len(shape_of(a)))) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        if len(shape_of(weights)) != len(axes):
            raise TypeError("np.average: got weights of another shape and no axis that is theirs, expected the axis")
        # the weights' axes are those that are averaged, in their order
        ndim = len(shape_of(a))
        wide = np.reshape(weights, (*(1,) * (ndim - len(axes)), *shape_of(weights)))
        places = [k % ndim for k in axes]
        weights = np.moveaxis(wide, range(ndim - len(axes), ndim), places)
    sums = np.sum(np.broadcast_to(weights, shape_of(a)), axis=axis, keepdims=keepdims)
    result = np.sum(np.multiply(a, weights), axis=axis, keepdims=keepdims) / sums
    return (result, sums) if returned else result


@handles(np.cov)
def _cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: Any = None,
    fweights: Any = None,
    aweights: Any = None,
    *,
    dtype: Any = None,
) -> Any:
    # NumPy's m is transposed where it has one row too, y is not
    X = np.transpose(m) if not rowvar and len(shape_of(m)) == 2 else _observations(m, rowvar)
    if y is not None:
        X = np.concatenate([X, _observations(y, rowvar)], axis=0)
    # NumPy's is not narrower
    X = X * np.float64(1) if dtype is None else converted(X, dtype)
    ddof = ddof if ddof is not None else 0 if bias else 1
    if fweights is None and aweights is None:
        centred = X - np.mean(X, axis=1, keepdims=True)
        count = X.shape[1] - ddof
        return np.squeeze(centred @ conjugated(centred).T * (1 / count if count > 0 else np.inf))
    weights = np.multiply(1.0 if fweights is None else fweights, 1.0 if aweights is None else aweights)
    total = np.sum(weights)
    centred = X - np.sum(X * weights, axis=1, keepdims=True) / total
    lost = ddof if aweights is None else ddof * np.sum(weights * aweights) / total
    return np.squeeze((centred * weights) @ conjugated(centred).T / np.maximum(total - lost, 0))


def _observations(m: Any, rowvar: bool) -> Any:
    """A row for each variable."""
    if len(shape_of(m)) > 2:
        raise ValueError(f"np.cov: got an array of {len(shape_of(m))} dimensions, expected at most 2")
    X = np.atleast_2d(m)
    return np.transpose(X) if not rowvar and X.shape[0] != 1 else X


@handles(np.corrcoef)
def _corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    plain("np.corrcoef", dtype=dtype)
    c = np.cov(x, y, rowvar)
    if c.ndim == 0:
        return c / c
    spread = np.sqrt(np.diagonal(c))
    return np.clip(c / np.reshape(spread, (-1, 1)) / spread, -1, 1)


# where entries are not numbers --------------------------------------------------------------------------


def _there(a: Any, where: Any) -> Any:
    """Where there are numbers that are asked for."""
    there = np.logical_not(np.isnan(a))
    return there if where is None else np.logical_and(where, there)


def _with(otherwise: float) -> Any:
    """NumPy's function with another number in place of what is none."""

    def of(function: Any) -> Any:
        return lambda a, *args, **options: function(np.where(np.isnan(a), otherwise, a), *args, **options)

    return of


def _where(function: Any) -> Any:
    """NumPy's function of the entries that are numbers."""
    return lambda a, *args, where=None, **options: function(a, *args, where=_there(a, where), **options)


#: Those that leave entries out that are not numbers.
WITHOUT_NAN: dict[Any, Any] = {
    np.nansum: _with(0)(np.sum),
    np.nanprod: _with(1)(np.prod),
    np.nancumsum: _with(0)(np.cumsum),
    np.nancumprod: _with(1)(np.cumprod),
    np.nanmax: _with(-np.inf)(np.max),
    np.nanmin: _with(np.inf)(np.min),
    np.nanmean: _where(np.mean),
    np.nanvar: _where(np.var),
    np.nanstd: _where(np.std),
}
HANDLED |= WITHOUT_NAN


@handles(np.apply_over_axes)
def _apply_over_axes(func: Any, a: Any, axes: Any) -> Any:
    for axis in np.atleast_1d(axes).tolist():
        found = func(a, axis)
        a = found if len(shape_of(found)) == len(shape_of(a)) else np.expand_dims(found, axis)
    return a
