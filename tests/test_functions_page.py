"""docs/functions.md: made from the tables; what autograd and JAX differentiate is there, or explained."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
import scipy
from peer_lists import AUTOGRAD, JAX

import matjac as mj

DOCS = Path(__file__).parent.parent / "docs"
spec = importlib.util.spec_from_file_location("list_functions", DOCS / "list_functions.py")
page = importlib.util.module_from_spec(spec)
spec.loader.exec_module(page)


def test_the_page_is_up_to_date():
    written = (DOCS / "functions.md").read_text()
    versions = re.search(r"NumPy ([\d.]+), SciPy ([\d.]+)\)", written).groups()
    if versions != (np.__version__, scipy.__version__):
        pytest.skip(f"it was made with NumPy {versions[0]} and SciPy {versions[1]}")
    assert written == page.text(), "run python docs/list_functions.py"


def is_known(name):
    package, _, function = name.rpartition(".")
    ours = {"scipy.special": mj.special, "scipy.linalg": mj.linalg}.get(package)
    return name in page.known() or (ours is not None and function in dir(ours))


@pytest.mark.parametrize("name", sorted({*AUTOGRAD, *JAX}))
def test_what_others_differentiate_is_recorded_or_explained(name):
    assert is_known(name) != (name in page.LEFT_OUT)


def test_every_group_has_functions():
    text = page.text()
    modules = {module for group in page.GROUPS for module in group[0]}
    assert not {module for module in page.known().values()} - modules - {"slopes", "elementwise", "ufuncs", ""}
    assert all(f"## {title}" in text for _, title, _ in page.GROUPS)
