"""Optional packages, and the one line that says what to install where one is absent."""

import importlib
from typing import Any

from matjac import checks


def optional(module: str, extra: str) -> Any:
    """Import a module that comes with an extra."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{module} is not installed: pip install '{extra}' ({error})") from None


def axes(ax: Any) -> Any:
    """Matplotlib's axes to draw on: those given, else of a figure of their own."""
    pyplot = optional("matplotlib.pyplot", "matjac[plot]")
    if ax is None:
        return pyplot.figure().add_subplot()
    if not hasattr(ax, "pcolormesh"):
        raise TypeError(f"ax: got {checks.describe(ax)}, expected matplotlib's Axes, or None for a figure of its own")
    return ax
