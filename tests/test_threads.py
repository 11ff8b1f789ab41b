"""Threads and processes: the bits are those of one thread, no one waits for ever, and nothing is left behind."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from matjac import threads

SCRIPT = Path(__file__).parent / "parallel.py"


def run(*arguments, **environment):
    """Its output; it may say nothing else."""
    # from Python 3.12 on it warns of every fork of a process with threads
    warnings = ["-W", "error", "-W", "ignore:This process:DeprecationWarning"]
    made = subprocess.run(
        [sys.executable, *warnings, SCRIPT, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (made.returncode, made.stderr) == (0, ""), made.stderr
    return made.stdout


@pytest.mark.slow
def test_many_threads_make_the_bits_of_one():
    assert len({run("threads", MATJAC_NUM_THREADS=count) for count in ("1", "2", "3", "7")}) == 1


@pytest.mark.slow
def test_threads_that_are_the_first_to_ask():
    assert run("first_calls", MATJAC_NUM_THREADS="2") == ""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fork", "spawn"])
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_processes(kind):
    assert run("processes", kind, MATJAC_NUM_THREADS="2") == ""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_forks_while_threads_work():
    assert run("fork_while_threads_work", MATJAC_NUM_THREADS="2") == ""


def test_fills_at_the_interpreters_end():
    assert run("the_end", MATJAC_NUM_THREADS="2") == "filled\n"


def test_a_thread_that_cannot_begin_leaves_no_other_writing(monkeypatch):
    done, began = [], threading.Event()

    def task(start, stop):
        began.wait(10)
        done.append((start, stop))

    class Full(ThreadPoolExecutor):
        def submit(self, *given):
            if self._threads:
                began.set()
                raise RuntimeError("can't start new thread")
            return super().submit(*given)

    monkeypatch.setattr(threads, "thread_count", lambda: 3)
    with Full(2) as pool:
        monkeypatch.setattr(threads, "_pool", lambda: pool)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            threads.split(task, 0, 9, 9 * threads.GRAIN)
        assert done == [(3, 6)]


def test_all_parts_are_made_once(monkeypatch):
    monkeypatch.setattr(threads, "thread_count", lambda: 3)
    done = []
    threads.split(lambda start, stop: done.append((start, stop)), 2, 11, 9 * threads.GRAIN)
    assert sorted(done) == [(2, 5), (5, 8), (8, 11)]


@pytest.mark.parametrize(
    ("text", "count"),
    [("3", 3), ("", len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())],
)
def test_how_many_threads_there_are(text, count, monkeypatch):
    monkeypatch.setenv("MATJAC_NUM_THREADS", text)
    assert threads.thread_count.__wrapped__() == count


def test_a_part_that_fails_leaves_no_other_writing(monkeypatch):
    monkeypatch.setattr(threads, "thread_count", lambda: 3)
    done, first = [], threading.Event()

    def task(start, stop):
        if start == 0:
            first.set()
            raise ZeroDivisionError
        first.wait(10)
        done.append((start, stop))

    with pytest.raises(ZeroDivisionError):
        threads.split(task, 0, 9, 9 * threads.GRAIN)
    assert sorted(done) == [(3, 6), (6, 9)]
