"""What is chosen by order: extremes, medians, quantiles, sorted arrays. The order is that of each call's values."""

from typing import Any

import numpy as np

from matjac.conventions import Array
from matjac.linear.along import TakeAlong
from matjac.tracing import moving  # noqa: F401  (constant places are its)
from matjac.tracing.arrays import Recorded, renewed, shape_of
from matjac.tracing.handlers import HANDLED, TracingError, handles
from matjac.tracing.recorded import mapped
from matjac.tracing.reductions import axes_of, back, kept, last, plain
from matjac.tracing.whole import DIFFERENTIALS, whole


def _shares(x: Array, y: Array, axis: tuple[int, ...]) -> Array:
    """Of each extreme value, one in as many parts as entries have it."""
    same: Array = x == np.expand_dims(y, axis)
    return np.asarray(same / np.sum(same, axis=axis, keepdims=True, dtype=x.dtype))


def _of_extreme(x: Any, y: Any, dx: Any, axis: tuple[int, ...]) -> Any:
    return np.sum(whole(_shares, x[0], y, axis=axis) * dx[0], axis=axis)


def _extreme(function: Any) -> Any:
    def recorded(
        a: Any,
        axis: Any = None,
        out: Any = None,
        keepdims: bool = False,
        initial: Any = None,
        where: Any = None,
    ) -> Any:
        plain(f"np.{function.__name__}", out=out)
        if where is not None:
            if initial is None:
                raise ValueError(f"np.{function.__name__} with where= needs initial=")
            a = np.where(where, a, initial)
        axes = axes_of(a, axis)
        if initial is not None and not all(shape_of(a)[k] for k in axes):
            # of no entries: the sum is zero
            return np.sum(a, axis=axes, keepdims=keepdims) + initial
        result = whole(function, a, axis=axes)
        result = kept(result, a, axes) if keepdims else result
        if initial is None:
            return result
        return (np.maximum if function is np.max else np.minimum)(result, initial)

    DIFFERENTIALS[function] = _of_extreme
    return recorded


HANDLED[np.max] = HANDLED[np.amax] = _extreme(np.max)
HANDLED[np.min] = HANDLED[np.amin] = _extreme(np.min)


@handles(np.ptp)
def _ptp(a: Any, axis: Any = None, out: Any = None, keepdims: bool = False) -> Any:
    plain("np.ptp", out=out)
    return np.max(a, axis=axis, keepdims=keepdims) - np.min(a, axis=axis, keepdims=keepdims)


def _order(x: Array) -> Array:
    return np.argsort(x, axis=-1, kind="stable")


def _sorted(x: Array) -> Array:
    return np.sort(x, axis=-1)


DIFFERENTIALS[_sorted] = lambda x, y, dx: mapped(TakeAlong(y.shape[-1]), dx[0], whole(_order, x[0]))


def _at_ranks(x: Array, ranks: tuple[int, ...]) -> Array:
    # what is not a number comes last, and then there is no rank
    ordered = np.partition(x, (*ranks, -1), axis=-1)
    unordered = np.isnan(ordered[..., -1:])
    found = ordered[..., list(ranks)]
    return np.asarray(np.where(unordered, np.nan, found) if unordered.any() else found)


DIFFERENTIALS[_at_ranks] = lambda x, y, dx, ranks: mapped(
    TakeAlong(x[0].shape[-1]), dx[0], whole(_of_ranks, x[0], ranks=ranks), after=(len(ranks),)
)


def _of_ranks(x: Array, ranks: tuple[int, ...]) -> Array:
    """Where the entries of these ranks are."""
    return np.argpartition(x, ranks, axis=-1)[..., list(ranks)]


def ranked(a: Any, ranks: tuple[int, ...]) -> Any:
    """The entries of these different ranks along the last axis."""
    return whole(_at_ranks, a, ranks=ranks)


@handles(np.sort)
def _sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    plain("np.sort", order=order)
    a = last(a, axis)
    return back(whole(_sorted, a) if a.shape[-1] else a, axis)


@handles(np.partition)
def _partition(a: Any, kth: Any, axis: Any = -1, kind: Any = "introselect", order: Any = None) -> Any:
    # a sorted array is partitioned, but NumPy's order of the others is another
    plain("np.partition", order=order)
    a = last(a, axis)
    kth = kth if isinstance(kth, int) else tuple(int(k) for k in np.ravel(kth))
    return back(whole(_partitioned, a, kth=kth), axis)


def _partitioned(x: Array, kth: Any) -> Array:
    # np.partition may leave the others in another order than np.argpartition
    return np.take_along_axis(x, _places(x, kth), axis=-1)


def _places(x: Array, kth: Any) -> Array:
    return np.argpartition(x, kth, axis=-1)


DIFFERENTIALS[_partitioned] = lambda x, y, dx, kth: mapped(TakeAlong(y.shape[-1]), dx[0], whole(_places, x[0], kth=kth))


def _flattened(a: Any, axis: Any) -> Any:
    """The axes as one last axis."""
    axes = axes_of(a, axis)
    rest = tuple(k for k in range(len(shape_of(a))) if k not in axes)
    return np.reshape(np.transpose(a, (*rest, *axes)), (*(shape_of(a)[k] for k in rest), -1))


def _constant_shares(q: Any) -> Array:
    if isinstance(q, Recorded):
        raise TracingError("np.quantile can be recorded with a constant q alone")
    q = np.asarray(q, float)
    if not np.all((q >= 0) & (q <= 1)):
        raise ValueError(f"np.quantile: got q = {q}, expected shares from 0 to 1")
    return np.asarray(q)


@handles(np.quantile)
def quantile(
    a: Any,
    q: Any,
    axis: Any = None,
    out: Any = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
    *,
    weights: Any = None,
) -> Any:
    """``np.quantile``, recorded."""
    plain("np.quantile", out=out, weights=weights)
    q = _constant_shares(q)
    flat = _flattened(a, axis)
    count = flat.shape[-1]
    at = np.ravel(q) * (count - 1)
    if method != "linear":
        # of numbers that are their own ranks
        at = np.quantile(np.arange(float(count)), np.ravel(q), method=method)  # type: ignore[call-overload]
    low = np.minimum(np.floor(at), max(count - 2, 0)).astype(int)
    high = np.minimum(low + 1, count - 1)
    ranks, places = np.unique([low, high], return_inverse=True)
    found = ranked(flat, tuple(ranks.tolist()))
    # a Python number leaves the dtype as it is
    share = at - low if q.ndim else float((at - low)[0])
    below, above = (found[..., k] for k in places.reshape(2, -1))
    return _by_quantile(below + (above - below) * share, q, flat, a, axis, keepdims)


def _by_quantile(found: Any, q: Array, flat: Any, a: Any, axis: Any, keepdims: bool) -> Any:
    """What was found for each q along the last axis, as NumPy lays it out."""
    result = np.reshape(np.moveaxis(found, -1, 0), (*q.shape, *flat.shape[:-1]))
    if not keepdims:
        return result
    axes = axes_of(a, axis)
    return np.reshape(result, (*q.shape, *(1 if k in axes else n for k, n in enumerate(shape_of(a)))))


def _ranks_of_numbers(x: Array, q: tuple[float, ...]) -> Array:
    """Where each quantile is among the entries in their order that are numbers, counted from 0."""
    last_rank = np.sum(~np.isnan(x), axis=-1, keepdims=True) - 1
    return np.asarray(np.maximum(last_rank * np.array(q), 0))


def _beside_quantiles(x: Array, q: tuple[float, ...]) -> Array:
    """Which entries are next to each quantile: those below, and then those above."""
    at = _ranks_of_numbers(x, q)
    ranks = np.concatenate([np.floor(at), np.ceil(at)], axis=-1).astype(int)
    return np.take_along_axis(_order(x), ranks, axis=-1)


def _shares_above(x: Array, q: tuple[float, ...], narrow: bool) -> Array:
    shares = _ranks_of_numbers(x, q) % 1
    return shares.astype(x.dtype) if narrow else shares


@handles(np.nanquantile)
def nanquantile(
    a: Any,
    q: Any,
    axis: Any = None,
    out: Any = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
    *,
    weights: Any = None,
) -> Any:
    """``np.nanquantile``, recorded."""
    plain("np.nanquantile", out=out, weights=weights)
    if method != "linear":
        raise TracingError(f"np.nanquantile by method {method!r} can't be recorded: use 'linear'")
    q, flat = _constant_shares(q), _flattened(a, axis)
    wanted = tuple(q.reshape(-1).tolist())
    places = whole(_beside_quantiles, flat, q=wanted)
    found = mapped(TakeAlong(flat.shape[-1], once=False), flat, places, after=(2 * len(wanted),))
    below, above = found[..., : len(wanted)], found[..., len(wanted) :]
    result = below + (above - below) * whole(_shares_above, flat, q=wanted, narrow=q.ndim == 0)
    return _by_quantile(result, q, flat, a, axis, keepdims)


@handles(np.nanmedian)
def _nanmedian(a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: bool = False) -> Any:
    return nanquantile(a, 0.5, axis, out, keepdims=keepdims)


def _of_hundred(of: Any) -> Any:
    return lambda a, q, *args, **options: of(a, np.asarray(q, float) / 100, *args, **options)


HANDLED |= {np.percentile: _of_hundred(quantile), np.nanpercentile: _of_hundred(nanquantile)}


@handles(np.median)
def _median(a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: bool = False) -> Any:
    plain("np.median", out=out)
    flat = _flattened(a, axis)
    half, odd = divmod(flat.shape[-1], 2)
    found = ranked(flat, (half,) if odd else (half - 1, half))
    result = np.mean(found, axis=-1)
    return kept(result, a, axes_of(a, axis)) if keepdims else result


def _by_value(a: Any, positions: Any, axis: int) -> Any:
    """Entries along an axis at positions that depend on values, which may be there several times."""
    a = np.moveaxis(a, axis, -1)
    length = a.shape[-1]
    flat = np.ravel(whole(_counted, positions, length=length))
    found = mapped(TakeAlong(length, once=False), a, flat, after=flat.shape)
    whole_shape = *a.shape[:-1], *positions.shape
    ndim, ahead = len(positions.shape), a.ndim - 1
    found = np.reshape(found, whole_shape)
    return np.moveaxis(found, range(ahead, ahead + ndim), range(axis % a.ndim, axis % a.ndim + ndim))


def _counted(positions: Array, length: int) -> Array:
    """Positions counted from the beginning."""
    if positions.size and not -length <= positions.min() <= positions.max() < length:
        raise IndexError(f"an index is out of bounds for an axis of {length} entries")
    return np.where(positions < 0, positions + length, positions)


_take, _take_along_axis = HANDLED[np.take], HANDLED[np.take_along_axis]


@handles(np.take)
def _taken(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Any:
    plain("np.take", out=out)
    if not isinstance(indices, Recorded):
        if mode != "raise" or not isinstance(a, Recorded):
            return _take(a, indices, axis, mode=mode)
        # an index makes positions of what is taken alone
        a, axis = (np.ravel(a), 0) if axis is None else (a, axis)
        ahead = np.lib.array_utils.normalize_axis_index(axis, a.ndim)
        return renewed(a[(slice(None),) * ahead + (np.asarray(indices),)])
    if getattr(indices, "dtype", np.dtype(float)).kind not in "iu":
        raise TracingError(
            "np.take with indices= that depends on a variable can't be recorded, unless np.argsort made it"
        )
    if mode != "raise":
        raise TracingError(f"np.take with mode={mode!r} at places that depend on values can't be recorded")
    return _by_value(np.ravel(a), indices, 0) if axis is None else _by_value(a, indices, axis)


@handles(np.take_along_axis)
def _taken_along(arr: Any, indices: Any, axis: Any = -1) -> Any:
    if not isinstance(indices, Recorded):
        return _take_along_axis(arr, indices, axis)
    a, positions = last(arr, axis), last(indices, axis)
    length = shape_of(a)[-1]
    counted = whole(_counted, positions, length=length)
    return back(mapped(TakeAlong(length, once=False), a, counted, after=positions.shape[-1:]), axis)
