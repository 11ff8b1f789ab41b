"""Optional packages, and the one line that says what to install where one is absent."""

import importlib
from typing import Any


def optional(module: str, extra: str) -> Any:
    """Import a module that comes with an extra."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{module} is not installed: pip install '{extra}' ({error})") from None
