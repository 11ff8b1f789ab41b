"""Ufuncs and NumPy's functions that write into an array: ``out=``, ``np.add.at``, ``np.fill_diagonal``."""

from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp

from matjac.conventions import size
from matjac.tracing.arrays import Recorded, Traced, shape_of
from matjac.tracing.assignment import constant_index
from matjac.tracing.handlers import HANDLED, METHODS, TracingError, module_name
from matjac.tracing.recorded import broadcast, positions, reshaped, united

#: What is wrong with writing into one.
INTO_A_PLAIN_ARRAY = (
    "can't write into a plain array what depends on a variable: make it with np.zeros_like(x, shape=…) or "
    "np.zeros(shape, like=x), or use np.stack"
)


def _call(ufunc: np.ufunc, *inputs: Any, out: Any = None, where: Any = True, dtype: Any = None) -> Any:
    """A ufunc with ``out=``, ``where=`` and ``dtype=``; what a constant mask leaves out is not computed."""
    if dtype is not None:
        inputs = tuple(x.astype(dtype) if isinstance(x, Traced) else np.asarray(x, dtype) for x in inputs)
    if isinstance(out, tuple) and len(out) > 1:
        raise TracingError(f"{module_name(ufunc)} with several out= can't be recorded: leave them out")
    target = out[0] if isinstance(out, tuple) else out
    if target is not None:
        _writeable(target, ufunc)
    if isinstance(where, Recorded) and target is not None:
        # one is in the domain of nearly all
        target[...] = np.where(where, ufunc(*(np.where(where, x, 1) for x in inputs)), target)
        return target
    mask = np.asarray(where, bool)
    if mask.all():
        result = ufunc(*inputs)
        if target is None:
            return result
        target[...] = result
        return target
    if target is None:
        raise TracingError(
            f"{module_name(ufunc)} with where= leaves entries undefined: give out=np.zeros_like(x), or np.where"
        )
    mask = np.broadcast_to(mask, target.shape)
    target[mask] = ufunc(*(broadcast(x, target.shape)[mask] for x in inputs))
    return target


def _at(ufunc: np.ufunc, target: Any, index: Any, *values: Any) -> None:
    """``ufunc.at``: of entries that are there several times all values are added up."""
    _writeable(target, ufunc)
    where = positions(target)[constant_index(index)]
    if np.unique(where).size == where.size:
        target[index] = ufunc(target[index], *values)
    elif ufunc not in (np.add, np.subtract):
        raise TracingError(f"{module_name(ufunc)}.at can't be recorded where an entry is there twice: only np.add.at")
    else:
        places = np.ones(where.size, np.int8), (where.reshape(-1), np.arange(where.size))
        sums = sp.csr_array(places, shape=(target.size, where.size))
        column = reshaped(broadcast(united(values[0]), where.shape), (where.size, 1))
        target[...] = ufunc(target, reshaped(sums @ column, target.shape))


def _outer(ufunc: np.ufunc, a: Any, b: Any) -> Any:
    """``ufunc.outer``."""
    a, b = united(a), united(b)
    return ufunc(reshaped(a, (*shape_of(a), *(1,) * len(shape_of(b)))), b)


METHODS |= {"__call__": _call, "at": _at, "outer": _outer}

#: Functions that write into their first argument, and where their values are among the arguments.
WRITING: dict[Any, tuple[int, str]] = {
    np.fill_diagonal: (1, "val"),
    np.copyto: (1, "src"),
    np.put: (2, "v"),
    np.place: (2, "vals"),
    np.putmask: (2, "values"),
    np.put_along_axis: (2, "values"),
}


def _written(function: Any, target: Any, *args: Any, **kwargs: Any) -> None:
    """Run on positions in the values, which says what is written where."""
    _writeable(target, function)
    at, name = WRITING[function]
    value = united(kwargs[name] if name in kwargs else args[at - 1])
    where = kwargs.get("where") if function is np.copyto else args[0] if args else kwargs.get("mask")
    if function in (np.copyto, np.putmask) and isinstance(where, Recorded) and shape_of(value) in ((), target.shape):
        target[...] = np.where(where, value, target)
        return
    shape = shape_of(value)
    numbers = np.arange(size(shape)).reshape(shape)
    given = [numbers if k == at else x for k, x in enumerate(args, 1)]
    options = {k: numbers if k == name else x for k, x in kwargs.items()}
    if any(isinstance(x, Recorded) for x in (*given, *options.values())):
        raise TracingError(f"{module_name(function)} at places that depend on a variable can't be recorded")
    grid = np.full(target.shape, -1)
    function(grid, *given, **options)
    mask = grid >= 0
    target[mask] = reshaped(value, (size(shape),))[grid[mask]]


def _writeable(target: Any, function: Any) -> None:
    if not isinstance(target, Traced):
        raise TracingError(f"{module_name(function)} {INTO_A_PLAIN_ARRAY}")


HANDLED |= {function: partial(_written, function) for function in WRITING}
