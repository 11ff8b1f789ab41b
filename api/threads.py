"""One small pool for all fills: split a row range, run a serial kernel on each part."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from itertools import pairwise

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


if hasattr(os, "register_at_fork"):
    # a forked child inherits the pool without its threads
    os.register_at_fork(after_in_child=_pool.cache_clear)


def split(task: Callable[[int, int], None], start: int, stop: int, entries: int) -> None:
    """Run ``task(first, last)`` on parts of ``start:stop``, at the same time where there is enough work."""
    if thread_count() == 1 or entries < 2 * GRAIN:
        task(start, stop)
        return
    bounds = edges(start, stop, entries)
    others = [_pool().submit(task, *pair) for pair in pairwise(bounds[1:])]
    try:
        task(bounds[0], bounds[1])
    finally:
        # no part may go on writing once the caller has its buffers back
        wait(others)
    for other in others:
        other.result()


def edges(start: int, stop: int, entries: int) -> list[int]:
    """Where `split` cuts that range of rows with so many entries."""
    parts = max(1, min(thread_count(), entries // GRAIN, stop - start))
    return [start + (stop - start) * part // parts for part in range(parts + 1)]
