"""Numba's cache on disk: whatever becomes of it, results are right, and kept code is used where it can be."""

import os
import pickle
import subprocess
import sys

import numba
import pytest

PROGRAM = """
import sys
if sys.argv[1:] == ["full"]:
    # nothing more can be written, as on a full disk
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
import matjac as mj
print(mj.d_gram_dR([[1.0, 2.0], [3.0, 4.0]]).tocsr().data.tolist())
"""
EXPECTED = "[2.0, 6.0, 2.0, 1.0, 4.0, 3.0, 2.0, 1.0, 4.0, 3.0, 4.0, 8.0]\n"

pytestmark = [
    pytest.mark.slow,  # each process compiles anew
    pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="kernels are interpreted"),
]


def start(folder, *arguments, **environment):
    env = {**os.environ, "NUMBA_CACHE_DIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    command = [sys.executable, "-W", "error", "-c", PROGRAM, *arguments]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(folder, *arguments, **environment):
    process = start(folder, *arguments, **environment)
    said, errors = process.communicate(timeout=300)
    assert (process.returncode, said.splitlines()[-1:], errors) == (0, EXPECTED.splitlines(), ""), errors
    return said


def loaded(folder):
    """How many functions were not compiled."""
    return run(folder, NUMBA_DEBUG_CACHE="1").count("data loaded from")


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder where two processes that began at the same time kept what they compiled."""
    folder = tmp_path_factory.mktemp("numba")
    both = [start(folder) for _ in range(2)]
    assert [process.communicate(timeout=300) for process in both] == [(EXPECTED, "")] * 2
    return folder


def test_two_processes_that_compile_at_once(kept):
    assert loaded(kept) > 0
    assert not list(kept.rglob("*.tmp.*"))


@pytest.mark.parametrize("name", ["a file", "below a file"])
def test_a_folder_that_cannot_be_written(tmp_path, name):
    file = tmp_path / "file"
    file.write_text("")
    run(file if name == "a file" else file / "folder")


def test_a_full_disk(tmp_path):
    pytest.importorskip("resource")
    run(tmp_path, "full")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


WAYS = ("cut short", "another version", "garbage", "empty", "code of nothing", "code that is gone")


@pytest.mark.parametrize("what", WAYS)
def test_what_is_kept_and_cannot_be_used(kept, what):
    """It is compiled anew, and kept in place of what was there."""
    for path in sorted(kept.rglob("*.nb?")):
        is_index = path.suffix == ".nbi"
        content = path.read_bytes()
        if what == "code that is gone" and not is_index:
            path.unlink()
        elif what == "code of nothing" and not is_index:
            path.write_bytes(pickle.dumps((1, 2, 3)))
        elif what in ("cut short", "garbage", "empty"):
            path.write_bytes({"cut short": content[: len(content) // 2], "garbage": b"garbage", "empty": b""}[what])
        elif what == "another version" and is_index:
            version = pickle.dumps(pickle.loads(content), protocol=-1)
            assert content.startswith(version)
            path.write_bytes(pickle.dumps("0.0.1", protocol=-1) + content[len(version) :])
    run(kept)
    assert loaded(kept) > 0
