"""One small pool for all fills: split a row range, run a serial kernel on each part."""

import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from itertools import pairwise
from typing import Any

from numba.core.compiler_lock import global_compiler_lock

#: Entries below which a second thread costs more than it saves: handing over a task takes some 50 µs,
#: in which one thread writes about 2·10⁵ entries.
GRAIN = 1 << 19


@cache
def thread_count() -> int:
    """Threads a fill may use: MATJAC_NUM_THREADS as it was at the first fill, or this process's processors."""
    text = os.environ.get("MATJAC_NUM_THREADS", "")
    if text:
        if not (text.isascii() and text.isdecimal() and int(text) > 0):
            raise ValueError(f"MATJAC_NUM_THREADS: got {text!r}, expected a positive integer")
        return int(text)
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


@cache
def _pool() -> ThreadPoolExecutor:
    # the caller's thread takes the first part itself
    return ThreadPoolExecutor(thread_count() - 1, thread_name_prefix="matjac")


#: Locks that no one holds in a forked child, and those that a fork waits for: a library works while they are held.
_free: weakref.WeakSet[Any] = weakref.WeakSet()
_awaited: list[Any] = [global_compiler_lock]


def lock(awaited: bool = False) -> Any:
    """A lock that its holder may take again; a forked child has it free, and a fork waits for it where `awaited`."""
    made = threading.RLock()
    if awaited:
        _awaited.append(made)
    else:
        _free.add(made)
    return made


def _before_fork() -> None:
    for each in _awaited:
        each.acquire()


def _after_fork() -> None:
    for each in _awaited:
        each.release()


def _in_child() -> None:
    # it has neither the pool's threads nor those that held locks
    _after_fork()
    _pool.cache_clear()
    for each in list(_free):
        each._at_fork_reinit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)


def split(task: Callable[[int, int], None], start: int, stop: int, entries: int) -> None:
    """Run ``task(first, last)`` on parts of ``start:stop``, at the same time where there is enough work."""
    if thread_count() == 1 or entries < 2 * GRAIN:
        task(start, stop)
        return
    parts = list(pairwise(edges(start, stop, entries)))
    others: list[Future[None]] = []
    try:
        for pair in parts[1:]:
            if (other := _submitted(task, *pair)) is not None:
                others.append(other)
        for pair in [parts[0], *parts[1 + len(others) :]]:
            task(*pair)
    finally:
        # no part may go on writing once the caller has its buffers back
        wait(others)
    for other in others:
        other.result()


def _submitted(task: Callable[[int, int], None], start: int, stop: int) -> Future[None] | None:
    """That part in the pool; None at the interpreter's end, when it takes no more."""
    try:
        return _pool().submit(task, start, stop)
    except RuntimeError as error:
        if "shutdown" not in str(error):
            raise
        return None


def edges(start: int, stop: int, entries: int) -> list[int]:
    """Where `split` cuts that range of rows with so many entries."""
    parts = max(1, min(thread_count(), entries // GRAIN, stop - start))
    return [start + (stop - start) * part // parts for part in range(parts + 1)]
