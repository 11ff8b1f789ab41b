"""Types as users meet them: ``mypy --strict`` passes what is right, and finds mistakes on their lines."""

import re
import runpy
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "typed"


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What mypy says of both scripts: the file, line and kind of each error."""
    api = pytest.importorskip("mypy.api")
    cache = tmp_path_factory.mktemp("mypy")
    config = cache / "none.ini"
    config.write_text("[mypy]\n")
    scripts = [str(HERE / name) for name in ("good.py", "bad.py")]
    out, err, _ = api.run(["--strict", "--config-file", str(config), "--cache-dir", str(cache), *scripts])
    assert not err
    errors = re.findall(r"^(?:.*[\\/])?(\w+\.py):(\d+): error: .*\[([\w-]+)\]$", out, re.M)
    assert len(errors) == out.count("error: ")
    return {(name, int(line), kind) for name, line, kind in errors}


@pytest.mark.slow
def test_a_script_that_is_right(found):
    assert not [error for error in found if error[0] != "bad.py"]


@pytest.mark.slow
def test_mistakes_are_found_on_their_lines(found):
    lines = (HERE / "bad.py").read_text().splitlines()
    marked = {(at, line.rpartition("# ")[2]) for at, line in enumerate(lines, 1) if re.search(r"  # [\w-]+$", line)}
    assert len(marked) > 15
    assert {error[1:] for error in found if error[0] == "bad.py"} == marked


def test_the_script_that_is_right_runs(capsys):
    runpy.run_path(str(HERE / "good.py"))
    assert capsys.readouterr().out.startswith("True gauss-newton")
