"""Methods of ufuncs that are functions of NumPy's: ``np.add.reduce`` is a sum, ``np.add.accumulate`` a running one."""

from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp

from matjac.tracing.conditions import stepwise
from matjac.tracing.exponentials import log_sum_exp
from matjac.tracing.handlers import METHODS, TracingError, module_name


def _places(a: Any, better: np.ufunc, axis: int) -> Any:
    """Where the best entry is of those up to each place."""
    best = np.maximum if better is np.greater_equal else np.minimum
    counts = np.arange(a.shape[axis]).reshape([-1 if k == axis % a.ndim else 1 for k in range(a.ndim)])
    return np.maximum.accumulate(np.where(better(a, best.accumulate(a, axis)), counts, 0), axis)


def _running(better: np.ufunc, a: Any, axis: int = 0) -> Any:
    """The best entry of those up to each place; which one that is, its value says."""
    return np.take_along_axis(a, stepwise(_places, a, better, axis), axis)


#: What reduces and accumulates by a ufunc.
REDUCED: dict[np.ufunc, Any] = {
    **{np.add: np.sum, np.multiply: np.prod, np.maximum: np.max, np.minimum: np.min},
    **{np.logical_and: np.all, np.logical_or: np.any, np.logaddexp: log_sum_exp},
}
ACCUMULATED: dict[np.ufunc, Any] = {
    np.add: np.cumsum,
    np.multiply: np.cumprod,
    np.maximum: partial(_running, np.greater_equal),
    np.minimum: partial(_running, np.less_equal),
}


def _given(ufunc: np.ufunc, table: dict[np.ufunc, Any], method: str, options: dict[str, Any]) -> Any:
    given = [name for name, value in options.items() if value is not None]
    if ufunc not in table or given:
        written = ", ".join(f"{module_name(known)}.{method}" for known in table)
        of = f" with {', '.join(given)}=" if given else ""
        raise TracingError(
            f"{module_name(ufunc)}.{method}{of} can't be recorded: write NumPy's function (np.sum, np.cumsum), or "
            f"one of {written} without options"
        )
    return table[ufunc]


def _reduce(ufunc: np.ufunc, array: Any, axis: Any = 0, keepdims: bool = False, **options: Any) -> Any:
    function = _given(ufunc, REDUCED, "reduce", options)
    return function(array, axis=axis, keepdims=keepdims) if keepdims else function(array, axis=axis)


def _accumulate(ufunc: np.ufunc, array: Any, axis: int = 0, **options: Any) -> Any:
    return _given(ufunc, ACCUMULATED, "accumulate", options)(array, axis=axis)


def _reduceat(ufunc: np.ufunc, array: Any, indices: Any, axis: int = 0, **options: Any) -> Any:
    _given(ufunc, {np.add: None}, "reduceat", options)
    lines = np.moveaxis(array, axis, 0)
    length, rest = lines.shape[0], lines.shape[1:]
    starts = np.asarray(indices)
    counts = np.maximum(np.diff(starts, append=length), 1)
    if starts.size and not 0 <= starts.min() <= starts.max() < length:
        raise IndexError(f"np.add.reduceat: got an index out of bounds for an axis of {length} entries")
    pointers = np.concatenate([[0], np.cumsum(counts)])
    columns = np.arange(pointers[-1]) - np.repeat(pointers[:-1] - starts, counts)
    sums = sp.csr_array((np.ones(columns.size, np.int8), columns, pointers), shape=(starts.size, length))
    found = np.reshape(sums @ np.reshape(lines, (length, -1)), (starts.size, *rest))
    return np.moveaxis(found, 0, axis)


METHODS |= {"reduce": _reduce, "accumulate": _accumulate, "reduceat": _reduceat}
