"""Patterns of general sparse products: found the first time a program runs, replayed from then on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias

from matjac.layout import Array

Pattern: TypeAlias = tuple[Array, Array]
#: A product's pattern, and the shapes and entries of what it is of: a sign that the replay is in step.
Found: TypeAlias = tuple[Any, Pattern]


class Replay:
    """The products of one run, in their order; `known` are those of an earlier run of the same program."""

    def __init__(self, known: list[Found] | None) -> None:
        self.known = known or []
        self.found: list[Found] = []

    def pattern(self, operands: Any, find: Callable[[], Pattern]) -> Pattern:
        """The next product's pattern."""
        at = len(self.found)
        replayed = at < len(self.known) and self.known[at][0] == operands
        pattern = self.known[at][1] if replayed else find()
        self.found.append((operands, pattern))
        return pattern


_running: ContextVar[Replay | None] = ContextVar("matjac_replay", default=None)


def pattern_of(operands: Any, find: Callable[[], Pattern]) -> Pattern:
    """A product's pattern: replayed inside `replaying`, else found."""
    replay = _running.get()
    return find() if replay is None else replay.pattern(operands, find)


@contextmanager
def replaying(known: list[Found] | None) -> Iterator[Replay]:
    """Within it, products take their patterns from `known`, as far as those go."""
    replay = Replay(known)
    token = _running.set(replay)
    try:
        yield replay
    finally:
        _running.reset(token)
