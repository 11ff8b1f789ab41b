"""One small pool for all fills: split a row range, run a serial kernel on each part."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

#: Entries below which a second thread costs more than it saves: handing over a task takes some 50 µs,
#: in which one thread writes about 2·10⁵ entries.
GRAIN = 1 << 19


@cache
def thread_count() -> int:
    """Threads a fill may use: MATJAC_NUM_THREADS, or the processors this process may run on."""
    text = os.environ.get("MATJAC_NUM_THREADS", "")
    if text:
        if not text.isdigit() or int(text) < 1:
            raise ValueError(f"MATJAC_NUM_THREADS: got {text!r}, expected a positive integer")
        return int(text)
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="matjac")


if hasattr(os, "register_at_fork"):
    # a forked child inherits the pool without its threads
    os.register_at_fork(after_in_child=_pool.cache_clear)


def split(task: Callable[[int, int], None], start: int, stop: int, entries: int) -> None:
    """Run ``task(first, last)`` on parts of ``start:stop``, at the same time where there is enough work."""
    parts = min(thread_count(), entries // GRAIN, stop - start)
    if parts < 2:
        task(start, stop)
        return
    edges = [start + (stop - start) * part // parts for part in range(parts + 1)]
    others = [_pool(parts - 1).submit(task, *pair) for pair in pairwise(edges[1:])]
    task(edges[0], edges[1])
    for other in others:
        other.result()
