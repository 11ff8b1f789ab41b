"""What fits in memory: how much there is, and the one check of what is about to be made."""

import ctypes
import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath

from matjac import checks

#: Bytes that are taken without a look at what is left, which costs some 50 µs.
SMALL = 1 << 26
#: The part of the memory available that is left for everything else.
SPARE = 1 / 16

_limit: int | None = None


def set_memory_limit(limit: int | None) -> None:
    """Bound what one call may make in memory, in this process.

    What would take more than the bound raises ``MemoryError``, whose message says how many bytes it would have been;
    nothing was made or written then. Counted are entries, the arrays that a product takes at a time, and factors of
    sparse normal equations; not the function's own values, factors in ``root``, nor what SciPy's solvers and Ipopt make
    of a matrix.

    Parameters
    ----------
    limit : int or None
        In bytes. None is the default: what the machine and the process's control groups have available at that moment,
        less a sixteenth. The environment variable ``MATJAC_MEMORY_LIMIT`` does the same from the start.

    Returns
    -------
    None
        It holds from now on, for all threads.

    Raises
    ------
    TypeError, ValueError
        Where it is not a number of bytes.

    Examples
    --------
    >>> import matjac as mj
    >>> J = mj.d_matvec_dA([1.0, 2.0], 10**6)
    >>> mj.set_memory_limit(10**6)
    >>> J.tocsr()  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    MemoryError: memory: got 2,000,000 entries of ... bytes, expected at most 1,000,000 (mj.set_memory_limit); ...
    >>> mj.set_memory_limit(None)
    >>> J.tocsr().nnz
    2000000
    """
    global _limit
    _limit = None if limit is None else checks.count("limit", limit)


@cache
def _from_environment() -> int | None:
    """The limit that the environment sets, as it was when it was first asked for."""
    text = os.environ.get("MATJAC_MEMORY_LIMIT", "")
    if text and not (text.isascii() and text.isdecimal()):
        raise ValueError(f"MATJAC_MEMORY_LIMIT: got {text!r}, expected a number of bytes")
    return int(text) if text else None


#: What takes less than entries.
LESS = "products (J @ v), J.rows(start, stop) and J.iter_rows() take less"


def require(what: str | int, needed: int, less: str = LESS) -> None:
    """Raise MemoryError where that many bytes are more than there may be; `what` is a number of entries, or words.

    `less` says what takes less.
    """
    if not fits(needed):
        what = f"{what:,} entries" if isinstance(what, int) else what
        raise MemoryError(
            f"memory: got {what} of {needed:,} bytes, expected at most {_most():,} (mj.set_memory_limit); {less}"
        )


def fits(needed: int) -> bool:
    """Whether there may be that many bytes more."""
    limit = _given()
    return needed <= (SMALL if limit is None else limit) or needed <= _most()


def _given() -> int | None:
    return _from_environment() if _limit is None else _limit


def _most() -> int:
    limit = _given()
    return int(available() * (1 - SPARE)) if limit is None else limit


def available(root: Path = Path("/")) -> int:
    """Bytes that this process can still take, by what the system says in files below `root`, or by its calls."""
    found = [*_machine(root), *_groups(root)] or [*_calls()]
    return max(0, min(found, default=sys.maxsize))


def _machine(root: Path) -> Iterator[int]:
    """What Linux has available, with caches that it would give up."""
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * 1024


def _groups(root: Path) -> Iterator[int]:
    """What is left in each of the control groups that the process is in, of either version."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if not controllers:
            base, names = root / "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            base = root / "sys/fs/cgroup/memory"
            names = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
        else:
            continue
        for group in (PurePosixPath(path), *PurePosixPath(path).parents):
            yield from _left(base / str(group).lstrip("/"), *names)


def _left(folder: Path, limit: str, usage: str, cache_name: str) -> Iterator[int]:
    """What a control group may still take; its caches of files are given up first."""
    most, used = ("".join(_lines(folder / name)).strip() for name in (limit, usage))
    if most.isdecimal() and used.isdecimal():
        caches = (line.split() for line in _lines(folder / "memory.stat"))
        yield int(most) - int(used) + sum(int(size) for name, size in caches if name == cache_name)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _calls() -> Iterator[int]:
    """Where there are no such files: what is free on Windows, or the pages that are free, or all of them, on others."""
    windows = getattr(ctypes, "windll", None)
    if windows is not None:
        # MEMORYSTATUSEX: its own length, the load in percent, then total and available bytes
        status = (ctypes.c_uint64 * 8)(64)
        if windows.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
            yield status[2]
        return
    names = getattr(os, "sysconf_names", {})
    for pages in ("SC_AVPHYS_PAGES", "SC_PHYS_PAGES"):
        if pages in names and "SC_PAGE_SIZE" in names:
            yield os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE")
            return
