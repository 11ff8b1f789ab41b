"""Objects whose cached properties stay behind when they are pickled or copied."""

from functools import cached_property
from typing import Any


class Cached:
    """A base for objects with `functools.cached_property`: what can be computed again is not pickled."""

    def __getstate__(self) -> dict[str, Any]:
        return {
            name: value
            for name, value in vars(self).items()
            if not isinstance(getattr(type(self), name, None), cached_property)
        }
