"""The main job, as a person runs it."""

import subprocess
import sys

import pytest

from matjac.__main__ import main


def run(*arguments, **options):
    command = [sys.executable, "-m", "matjac", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **options)


def test_fits_and_draws(tmp_path):
    picture = tmp_path / "fit.png"
    result = run("--size", "12", "--rank", "2", "--output", str(picture))
    assert result.returncode == 0, result.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")
    for word in ("144 × 24", "552", "evaluations", "cost", "operator", "refilled CSR", "fill rate"):
        assert word in result.stdout
    excess = next(line for line in result.stdout.splitlines() if "optimum" in line and "│" in line)
    assert all(abs(float(part)) < 1e-4 for part in excess.split("│")[2:4])


def test_help_says_what_it_does():
    result = run("--help")
    assert result.returncode == 0
    assert "Gram matrix" in result.stdout
    assert all(option in result.stdout for option in ("--rank", "--size", "--output"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rank", "0"], "argument --rank: got 0, expected an integer of at least 1"),
        (["--rank", "2.5"], "argument --rank: got 2.5, expected an integer of at least 1"),
        (["--seed", "-1"], "argument --seed: got -1, expected at least 0"),
        (["--size", "1", "--rank", "1"], "expected at least two unknowns"),
        (["--output", "fit.xyz"], "argument --output: got fit.xyz, expected a file (.png, .pdf, .svg)"),
        (["--output", "."], "argument --output: got ., expected a file"),
        (["--size", "65"], "argument --size: got 65, expected at most 64"),
        (["--samples", "9999"], "argument --samples: got 9999, expected at most 1797"),
        (["--output", "/nowhere/at/all.png"], "argument --output: got /nowhere/at/all.png"),
    ],
)
def test_bad_options(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("absent", ["rich", "matplotlib", "sklearn"])
def test_without_the_extra_one_line_says_what_to_install(absent, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, absent, None)
    for name in [n for n in sys.modules if n == "matjac.demo" or n.startswith(f"{absent}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(sys.modules["matjac"], "demo", raising=False)
    assert main([]) == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert 'pip install "matjac[demo]"' in message
    assert absent in message
