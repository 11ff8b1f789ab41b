"""Write docs/functions.md from the tables that `mj.compile` records by: ``python docs/list_functions.py``."""

import sys
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy

import matjac as mj
from matjac.tracing import rules  # noqa: F401
from matjac.tracing.conditions import REFUSED
from matjac.tracing.handlers import HANDLED, module_name
from matjac.tracing.slopes import FLAT_SLOPES, SLOPES, STEPS

PAGE = Path(__file__).with_name("functions.md")
#: The groups of the page: the modules whose handlers are in it, its title and how its functions are treated.
GROUPS: list[tuple[set[str], str, str]] = [
    (
        {"moving", "assignment", "functions"},
        "Moving entries",
        "NumPy's function is run once on the positions of the entries; what it did is a view, a gather or a pattern of "
        "zeros. The Jacobian has one entry a row. Indexing, slices and masks of constants, `.T`, `.mT`, `.reshape` and "
        "the other methods of arrays are the same.",
    ),
    (
        {"creation", "inplace"},
        "Making and writing arrays",
        "Arrays like a recorded one are recorded: `np.zeros_like(x)`, `np.zeros(shape, like=x)`, "
        "`np.array([x[0], x[1]])`. `Y[i, j] = …`, `Y[mask] = …`, `Y += …` are recorded with NumPy's views; what was "
        "overwritten has no entry. A plain `np.zeros(shape)` cannot take entries that depend on a variable: write "
        "`np.zeros(shape, like=x)`.",
    ),
    (
        {"conditions"},
        "Conditions and counts",
        "Evaluated anew at each call; their derivative is zero. `np.where`, `np.select`, `np.clip`, `X * (X > 0)` "
        "choose by value, and the pattern has the entries of every branch. A slope that is not finite where a branch "
        "is not taken does not count, nor where an entry is not taken, as in `((U @ V.T - data) ** 2)[seen]`, or is "
        "written over.",
    ),
    (
        {"reductions"},
        "Sums, products, means and spreads",
        "Written by sums and products. A product's derivative is exact where factors are zero. Running sums and "
        "products have the pattern of a triangle, and products J v that cost what they do.",
    ),
    (
        {"ordering"},
        "What is chosen by order",
        "The order is that of the values at each call; the pattern has every entry along the axis. Equal extremes "
        "share the derivative in equal parts; a sort is stable.",
    ),
    (
        {"calculus", "polynomials"},
        "Differences, convolutions, polynomials, interpolation",
        "Linear ones have exact patterns: two entries a row for `np.diff`, a band for `np.convolve`.",
    ),
    (
        {"products", "einsum", "numpy"},
        "Products",
        "By matrix products; `np.einsum` pair by pair, in the order of NumPy's planner.",
    ),
    (
        {"linalg", "decompositions", "norms", "whole"},
        "Linear algebra, of stacks too",
        "A decomposition is computed once a point. Of symmetric matrices the triangle that NumPy reads has entries, "
        "the other has none. Vectors of equal eigenvalues or singular values have no derivative: it is not a number. "
        "`pinv` and `lstsq` are differentiated where the rank does not change and rcond= cuts rounding alone; else "
        "the derivative is NaN. The derivative of `slogdet` is that of log det, of complex matrices too. Real "
        "matrices alone, where a rule conjugates.",
    ),
    (
        {"fourier", "complexes"},
        "Fourier transforms and complex parts",
        "Transforms by linearity: J v is a transform, Jᵀ u the transposed one. Complex values may stand between real "
        "arguments and a real result: `np.abs(np.fft.rfft(x)) ** 2`, `np.fft.ifft(…).real`. At complex arguments real "
        "parts, conjugates and absolute values have no complex derivative, and are refused.",
    ),
]
#: What autograd or JAX differentiate (tests/peer_lists.py) and matjac does not, and why.
LEFT_OUT = {
    "np.frexp": "its parts are a number and an integer of its binary form: write np.log2",
    "np.ldexp": "its exponent is an integer: write x * 2.0**n",
    "scipy.linalg.solve_banded": "its matrix is given by diagonals: write np.linalg.solve of the whole",
    "scipy.signal.convolve": "of several dimensions: np.convolve is of one; write np.einsum of sliding_window_view",
    "scipy.integrate.odeint": "not differentiated through; mj.solvers.solve_ivp takes Jacobians",
    "scipy.stats.norm": "distributions are Python objects: write the density, with mj.special.log_ndtr for logcdf",
    "scipy.stats.t": "the same: mj.special.gammaln, and mj.special.stdtr for the distribution function",
    "scipy.stats.beta": "the same: mj.special.betaln, mj.special.betainc in x",
    "scipy.stats.gamma": "the same: mj.special.gammaln, mj.special.gammainc in x",
    "scipy.stats.chi2": "the same: mj.special.gammaln, mj.special.chdtr in x",
    "scipy.stats.poisson": "the same: mj.special.xlogy, mj.special.gammaln",
    "scipy.stats.dirichlet": "the same: mj.special.xlogy, mj.special.gammaln",
    "scipy.stats.multivariate_normal": "the same: np.linalg.cholesky and mj.linalg.solve_triangular",
}


def _module(handler: Any) -> str:
    while isinstance(handler, partial):
        handler = handler.func
    return str(getattr(handler, "__module__", None) or "").rpartition(".")[2]


def known() -> dict[str, str]:
    """The functions that are recorded, by name, and the module that says how."""
    found = {}
    for function, handler in HANDLED.items():
        if callable(function) and function not in REFUSED and not hasattr(function, "__objclass__"):
            found[module_name(function)] = _module(handler)
    for function in (*SLOPES, *FLAT_SLOPES, *STEPS):
        found[module_name(function)] = "slopes"
    for name in np.__all__:
        # other names of the same functions
        same = getattr(np, name, None)
        if isinstance(same, np.ufunc) and module_name(same) in found:
            found[f"np.{name}"] = found[module_name(same)]
    return {name: module for name, module in found.items() if not name.startswith("_operator")}


def names_of(public: Any, package: str) -> list[str]:
    """Names of `mj.special` or `mj.linalg`, with SciPy's package."""
    return [f"{package}.{name}" for name in dir(public)]


def _line(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names, key=lambda name: name.lower()))


def text() -> str:
    """The page."""
    found = known()
    by_module: dict[str, list[str]] = defaultdict(list)
    for name, module in found.items():
        by_module[module].append(name)
    refused = {name for name in found if module_name(np.linalg.eig) == name or name == "np.linalg.eigvals"}
    lines = [
        "# Functions that are recorded",
        "",
        "What `mj.compile` knows of NumPy and SciPy, and how each is differentiated. The page is made from the tables",
        f"that the library uses: `python docs/list_functions.py` (here with NumPy {np.__version__}, SciPy "
        f"{scipy.__version__}). What is not listed raises a",
        "`TracingError` that says what to write instead; `mj.rule` adds a function of your own.",
        "",
        "Most options are taken as NumPy documents them. Those that can't be recorded raise a `TracingError` with "
        'their name: `out=`, `dtype=` and `where=` of some functions; `order="A"` and `"K"`; the modes of `np.pad` '
        "that compute numbers, and its odd reflections; methods of `np.nanquantile` but the linear one; weights of "
        "quantiles; `full=` and `cov=` of `np.polyfit`; `axes=` of `np.matmul`.",
    ]
    for modules, title, how in GROUPS:
        names = [name for module in modules for name in by_module.get(module, []) if name not in refused]
        if names:
            lines += ["", f"## {title}", "", how, "", _line(names)]
    numpys = [name for name in (*by_module["slopes"], *by_module["elementwise"]) if name.startswith("np.")]
    steps = {module_name(function) for function in STEPS}
    lines += [
        "",
        "## Entry by entry",
        "",
        "Each has a slope for each operand, in one table and written in the same functions: second derivatives follow.",
        "Functions whose value is zero at zero keep the pattern of what they are of.",
        "",
        _line(name for name in numpys if name not in steps),
        "",
        f"Constant between steps, with a derivative of zero: {_line(name for name in steps if name[:3] == 'np.')}",
        "",
        "## `mj.special`",
        "",
        "The functions of `scipy.special` by their names; those that are ufuncs there may be called from either.",
        "Of the ones that SciPy writes in Python, `mj.special` has a version that can be recorded. Orders and shape",
        "parameters (the `a` of `gammainc`, the order of `jv`) must be constants.",
        "",
        _line(names_of(mj.special, "mj.special")),
        "",
        "## `mj.linalg`",
        "",
        "The functions of `scipy.linalg`, which cannot be recorded themselves; on plain arrays they are SciPy's own.",
        "",
        _line(names_of(mj.linalg, "mj.linalg")),
        "",
        "## Not recorded, and why",
        "",
        "| function | reason |",
        "|---|---|",
        "| `np.linalg.eig`, `np.linalg.eigvals` | eigenvalues of a general matrix may be complex, in no order: "
        "`np.linalg.eigh`, or a function of the matrix in `mj.linalg` |",
    ]
    lines += [f"| `{module_name(function)}` | {why} |" for function, why in REFUSED.items()]
    lines += [
        "",
        "Of what autograd and JAX differentiate, by their public tests, these are left out:",
        "",
        "| function | reason |",
        "|---|---|",
        *(f"| `{name}` | {why} |" for name, why in LEFT_OUT.items()),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(text())
    sys.stdout.write(f"{PAGE.name}: {len(known())} functions\n")
