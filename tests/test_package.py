"""matjac as a package: one version, every folder listed, archives that install and run from an empty folder."""

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import matjac as mj

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SOURCES = sorted(path for folder in ("api", "kernels") for path in (ROOT / folder).rglob("*.py"))


def test_one_version():
    assert metadata.version("matjac") == mj.__version__
    assert "version" not in PROJECT["project"]
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert newest.group(1) == mj.__version__


def test_every_folder_is_listed():
    settings = PROJECT["tool"]["setuptools"]
    folders = {str(path.parent.relative_to(ROOT)) for path in SOURCES if path.name == "__init__.py"}
    assert set(settings["package-dir"].values()) == folders
    assert set(settings["package-dir"]) == set(settings["packages"])


def run(*command, cwd, **environment):
    result = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=600, check=False, env=environment or None
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """An sdist, and the wheel that is built from it."""
    pytest.importorskip("build.env")  # a folder "build" beside the tests is no such package
    made = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", str(made), str(ROOT), cwd=made)
    return sorted(made.iterdir())


@pytest.mark.slow
def test_what_is_in_the_archives(archives):
    wheel, sdist = archives
    assert wheel.name == f"matjac-{mj.__version__}-py3-none-any.whl"
    assert sdist.name == f"matjac-{mj.__version__}.tar.gz"
    inside = set(zipfile.ZipFile(wheel).namelist())
    expected = {"matjac/" + str(path.relative_to(ROOT)).removeprefix("api/") for path in SOURCES} | {"matjac/py.typed"}
    assert {name for name in inside if not name.startswith(f"matjac-{mj.__version__}.dist-info/")} == expected
    top = f"matjac-{mj.__version__}/"
    with tarfile.open(sdist) as archive:
        packed = {name.removeprefix(top) for name in archive.getnames()}
    wanted = [*SOURCES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "docs").glob("*.md")]
    wanted += [ROOT / name for name in ("README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "pyproject.toml")]
    assert not {str(path.relative_to(ROOT)) for path in wanted} - packed


@pytest.mark.slow
@pytest.mark.parametrize("which", [0, 1], ids=["wheel", "sdist"])
def test_an_archive_installs_and_runs_from_an_empty_folder(archives, which, tmp_path):
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    # what it depends on is here already
    install = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site))
    run(*install, str(archives[which]), cwd=empty)
    code = "import matjac as mj; print(mj.__file__, mj.__version__, mj.d_gram_dR([[1.0, 2.0]]).tocsr().sum())"
    where = {"PYTHONPATH": str(site), "PATH": "", "NUMBA_CACHE_DIR": str(tmp_path / "numba")}
    assert run(sys.executable, "-c", code, cwd=empty, **where).split() == [
        str(site / "matjac" / "__init__.py"),
        mj.__version__,
        "12.0",
    ]
    picture = empty / "fit.png"
    run(sys.executable, "-m", "matjac", "--size", "8", "--rank", "2", "--output", str(picture), cwd=empty, **where)
    assert picture.stat().st_size
    assert [path.name for path in empty.iterdir()] == ["fit.png"]
