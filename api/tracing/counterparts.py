"""Counterparts of SciPy's functions that can be recorded: on plain arrays they are SciPy's own."""

from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

from matjac.tracing.arrays import Recorded, number


def counterpart_in(package: ModuleType) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator: the package's function of that name on plain arrays, the decorated one on recorded ones."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        plain = getattr(package, function.__name__)

        @wraps(function)
        def either(*args: Any, **kwargs: Any) -> Any:
            called = function if any(map(_holds, (*args, *kwargs.values()))) else plain
            return number(called(*args, **kwargs))

        either.__qualname__ = function.__name__
        either.__doc__ = (
            f"{function.__doc__}\n\nIts arguments are those of `{package.__name__}.{function.__name__}`, which it is "
            "of plain arrays. Options that say how SciPy computes (check_finite, overwrite_a) have no effect."
        )
        return either

    return decorate


def _holds(x: Any) -> bool:
    """Whether it is recorded, or a tuple that holds what is (a factor and how it was made)."""
    return isinstance(x, Recorded) or (isinstance(x, tuple) and any(map(_holds, x)))
