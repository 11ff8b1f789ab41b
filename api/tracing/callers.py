"""Which of SciPy's functions asks for plain numbers: written in Python, it is not handed over to be recorded."""

import sys
from types import CodeType

import numpy as np

from matjac.tracing.handlers import TracingError, handles


@handles(np.ndarray.__array__)
def refuse_scipy() -> None:
    """Raise where a function of SciPy's asks for a recorded array's values, unless it is a sparse matrix's product."""
    frame, found = sys._getframe(1), list[tuple[str, CodeType]]()
    caller = frame.f_back
    while caller is not None:
        module = str(caller.f_globals.get("__name__", ""))
        if module.startswith("scipy."):
            # SciPy wraps functions of matrices, to call them for each of a stack
            wrapped = getattr(caller.f_locals.get("f"), "__code__", None) if module == "scipy._lib._util" else None
            found.append((module, caller.f_code) if wrapped is None else (caller.f_locals["f"].__module__, wrapped))
        elif not module.startswith(("numpy", "matjac.tracing.arrays")):
            break
        caller = caller.f_back
    if not found or any(module.startswith("scipy.sparse._") for module, _ in found):
        return
    package, name = _public(found)
    # the name of a decorator's function says nothing
    called = f"a function of {package}" if "<locals>" in name else f"{package}.{name}"
    ours = f"{package.rpartition('.')[2]}.{name}"
    there = hasattr(sys.modules.get(f"matjac.{package.rpartition('.')[2]}"), name)
    instead = (
        f"write mj.{ours}, which is the same of plain arrays"
        if there
        else "write it with NumPy's functions, or register it with mj.rule"
    )
    raise TracingError(f"{called} takes plain arrays alone, and can't be recorded: {instead}")


def _public(found: list[tuple[str, CodeType]]) -> tuple[str, str]:
    """The package and the name of the outermost function that a user can have called."""
    for module, code in reversed(found):
        package = f"{module}."
        while not code.co_name.startswith("_") and (package := package.rpartition(".")[0]) != "scipy":
            if "._" not in package and hasattr(sys.modules.get(package), code.co_name):
                return package, code.co_name
    module, code = found[-1]
    return module.partition("._")[0], code.co_qualname
