"""Every example that a reader may copy: docstrings, and the README's blocks."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import matjac as mj

OPTIONAL = {"matjac.__main__", "matjac.demo"}
MODULES = ["matjac"] + [name for _, name, _ in pkgutil.walk_packages(mj.__path__, "matjac.") if name not in OPTIONAL]
README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def public(module):
    names = [n for n in module.__all__ if not n.endswith("Error")]
    return [
        pytest.param(getattr(module, name), id=name) for name in names if not isinstance(getattr(module, name), int)
    ]


@pytest.mark.parametrize("thing", [*public(mj), *public(mj.solvers), *public(mj.distributed)])
def test_every_public_name_has_an_example(thing):
    text = thing.__doc__
    assert ">>> " in text
    identity = getattr(thing, "__name__", "").startswith("d_")
    assert not identity or all(part in text for part in ("Parameters", "Returns", "Raises", "Source:"))


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_readme_blocks_run(block, capsys):
    exec(compile(block, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    for expected in re.findall(r"print\(.*#(?= \()(.*)", block):
        assert expected.strip() in printed
    assert "False" not in printed


def test_the_page_of_identities_has_every_one():
    text = (README.parent / "docs" / "identities.md").read_text()
    assert not [name for name in mj.__all__ if name.startswith("d_") and f"`mj.{name}(" not in text]
    assert all((README.parent / "docs" / picture).exists() for picture in re.findall(r"\]\((\w+\.png)\)", text))
