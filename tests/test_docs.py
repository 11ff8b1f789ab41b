"""Every example that a reader may copy: docstrings, and the README's blocks."""

import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest

import matjac as mj

OPTIONAL = {"matjac.__main__", "matjac.demo"}
MODULES = ["matjac"] + [name for _, name, _ in pkgutil.walk_packages(mj.__path__, "matjac.") if name not in OPTIONAL]
ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
BLOCKS = [
    pytest.param(block, id=f"{name}-{at}")
    for name in ("README.md", "CONTRIBUTING.md", "docs/large.md")
    for at, block in enumerate(re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), re.S))
]


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def public(module):
    things = {name: getattr(module, name) for name in module.__all__}
    return [pytest.param(thing, id=name) for name, thing in things.items() if not isinstance(thing, int)]


def sections(thing):
    """The names of a docstring's sections."""
    return re.findall(r"^(\w[\w ]+)\n-+$", inspect.getdoc(thing) or "", re.M)


def described(text, name):
    """Whether a line of a docstring is about that parameter."""
    return re.search(rf"^ *(\*{{0,2}}\w+, )*\*{{0,2}}{name}(, \*{{0,2}}\w+)*( :.*)?$", text, re.M)


@pytest.mark.parametrize("thing", [*public(mj), *public(mj.solvers), *public(mj.distributed), *public(mj.unknowns)])
def test_every_public_name_is_documented_with_an_example(thing):
    text = inspect.getdoc(thing)
    assert ">>> " in text
    if inspect.ismodule(thing):
        return
    expected = ["Examples"]
    if inspect.isfunction(thing):
        parameters = inspect.signature(thing).parameters
        expected += ["Returns", "Raises", *(["Parameters"] if parameters else [])]
        assert [name for name in parameters if not described(text, name)] == []
    elif not issubclass(thing, Exception | mj.Jacobian) or thing is mj.Jacobian:
        expected.append("Parameters" if "Parameters" in sections(thing) else "Attributes")
    assert [name for name in expected if name not in sections(thing)] == []
    assert not thing.__name__.startswith("d_") or "Source:" in text


@pytest.mark.parametrize("thing", [*public(mj), *public(mj.solvers), *public(mj.distributed), *public(mj.unknowns)])
def test_every_public_member_of_a_class_is_documented(thing):
    if not inspect.isclass(thing):
        return
    own = {
        name
        for base in thing.__mro__
        if base.__module__.startswith("matjac")
        for name, member in vars(base).items()
        if not name.startswith("_") and (callable(member) or isinstance(member, property))
    }
    assert [name for name in own if not inspect.getdoc(getattr(thing, name))] == []


@pytest.mark.parametrize(
    "module", [mj, mj.solvers, mj.linalg, mj.special, mj.unknowns], ids=lambda module: module.__name__
)
def test_only_public_names_are_listed(module):
    listed = {name for name in dir(module) if not name.startswith("__")}
    rooms = {"distributed", "linalg", "solvers", "special", "unknowns"}
    assert not any(inspect.ismodule(getattr(module, name)) for name in listed - rooms)
    if hasattr(module, "__all__"):
        assert listed == {*module.__all__}


def objects():
    """One of each public class, and what its short text begins with."""
    seen = []
    fit = mj.solvers.least_squares(lambda X: X - 1.0, np.zeros((50, 60)), progress=seen.append)
    J, F = mj.d_gram_dR(np.ones((2, 3))), mj.compile(lambda X: X @ X, (2, 2))
    yield "<Progress: step 1, evaluation 1, value 1500, ", seen[0]
    yield "<Jacobian 9 × 6", J
    yield "<Hessian 6 × 6", mj.d2_gram_dR(np.ones((2, 3)), np.ones((3, 3)))
    yield "<Compiled (X: (2, 2)) → (2, 2)", F
    yield "<Variables X: (2, 2)>", F.variables
    yield "<Function of <Variables", mj.Function(lambda b: b, lambda b: mj.d_identity_dx(4), (4,))
    yield "<NormalEquations by qdldl: nothing analysed yet>", mj.solvers.NormalEquations("qdldl")
    yield "<NormalEquations by qdldl: 6 × 6>", mj.solvers.NormalEquations("qdldl").factorize(J, damping=1.0)
    yield "<6x6 BlockJacobi", mj.solvers.block_jacobi(J, damping=1.0)
    yield "<4x4 NewtonPreconditioner", mj.solvers.NewtonPreconditioner(F)
    yield "<Uncertainty of X (50, 60)", mj.solvers.uncertainty(lambda X: X - 1.0, fit, sigma2=1.0)
    yield "<IpoptProblem of <Variables x: (2,)>: 1 constraints>", problem()


def problem():
    return mj.solvers.IpoptProblem(lambda x: x @ x, [(lambda x: np.sum(x), 0.0, 1.0)], [np.ones(2)])


def test_every_object_has_a_short_text():
    shown = dict(objects())
    kinds = {type(thing) for thing in shown.values()} | {mj.solvers.Fit, mj.TracingError, mj.CheckError}
    classes = {thing for module in (mj, mj.solvers) for thing in vars(module).values() if inspect.isclass(thing)}
    assert classes <= kinds
    for begin, thing in shown.items():
        assert repr(thing).startswith(begin)
        assert len(repr(thing)) < 200
    seen = []
    mj.compile(lambda X: seen.append(repr(X)) or X @ X, (2, 2))
    assert seen == ["<recorded array of shape (2, 2), float64>"]


def test_functions_of_a_users_own_keep_their_names():
    def polar(A):
        return A @ A

    recorded = mj.rule(polar, differential=lambda A, dA: dA @ A + A @ dA)
    assert (recorded.__name__, str(inspect.signature(recorded))) == ("polar", "(A)")
    assert repr(mj.linalg.expm).startswith("<function expm at")


@pytest.mark.parametrize("block", BLOCKS)
def test_blocks_run(block, capsys):
    exec(compile(block, "a block", "exec"), {"__name__": "block"})
    printed = capsys.readouterr().out
    for expected in re.findall(r"print\(.*#(?= \()(.*)", block):
        assert expected.strip() in printed
    assert "False" not in printed


def test_the_page_of_identities_has_every_one():
    text = (README.parent / "docs" / "identities.md").read_text()
    assert not [name for name in mj.__all__ if name.startswith("d_") and f"`mj.{name}(" not in text]
    assert all((README.parent / "docs" / picture).exists() for picture in re.findall(r"\]\((\w+\.png)\)", text))
