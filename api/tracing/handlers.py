"""What is recorded of Python's and NumPy's functions is looked up here; other files fill the tables in."""

from collections.abc import Callable
from typing import Any

import numpy as np

#: NumPy's functions (and Python's, of an index), and what is recorded for each.
HANDLED: dict[Any, Callable[..., Any]] = {}
#: What is done with a ufunc that has no handler of its own: `elementwise` says it.
UNKNOWN: list[Any] = [None]
#: What is recorded for methods of ufuncs other than a call ("at", "outer"): of the ufunc and its arguments.
METHODS: dict[str, Callable[..., Any]] = {}
#: The options, beside those of all ufuncs, that the handler of a ufunc takes.
OPTIONS: dict[Any, set[str]] = {}
#: What makes a recorded array of an array of objects.
UNITED: list[Any] = [None]
#: What makes up-to-date the number of an array that shows another's entries, or that was written to.
CURRENT: list[Any] = [None]

BRANCH = (
    "that depends on a variable can't be recorded: the function is run once. "
    "Write np.where(condition, a, b), np.maximum or np.clip, which choose by value at each call; "
    "for `and`, `or`, `not` write &, |, ~"
)


class TracingError(TypeError):
    """A function did what can't be recorded; the message says what to write instead. `compile` raises it.

    Examples
    --------
    >>> import matjac as mj
    >>> mj.compile(lambda X: float(X[0, 0]) * X, (2, 2))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    matjac.tracing.handlers.TracingError: ...
    """


class NoMethodError(TracingError, AttributeError):
    """An attribute that recorded arrays do not have."""


def handles(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register what to do for NumPy functions."""

    def register(handler: Callable[..., Any]) -> Callable[..., Any]:
        for function in functions:
            HANDLED[function] = handler
        return handler

    return register


def module_name(function: Any) -> str:
    """What a function is called, with its module."""
    name: str = function.__name__
    if getattr(np, name, None) is function:
        return f"np.{name}"
    if isinstance(function, np.ufunc):
        return f"scipy.special.{name.lstrip('_')}"
    module = (function.__module__ or "").replace("numpy", "np", 1)
    return f"{module}.{name}" if module else name
