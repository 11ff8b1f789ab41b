"""What solvers are given, checked before they start: functions of matrices, where to start, bounds and constraints."""

import inspect
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from scipy import optimize

from matjac import checks
from matjac.conventions import Array, Order, Shape, size
from matjac.flat import Flat
from matjac.structured import Unknown
from matjac.tracing.compile import compile
from matjac.tracing.compiled import Compiled

#: What solvers are given: what `matjac.compile` made, a `matjac.Function`, or a plain function of arrays.
Callee: TypeAlias = Callable[..., Any]

_TRUST = {"initial_trust_radius", "max_trust_radius", "eta", "gtol", "maxiter", "disp", "return_all"}
#: Options that SciPy's methods take beside those in their documentation.
UNDOCUMENTED = {
    "slsqp": {"iprint"},
    "tnc": {"mesg_num"},
    "trust-constr": {"initial_tr_radius", "initial_barrier_parameter", "initial_barrier_tolerance"},
    **dict.fromkeys(("dogleg", "trust-ncg", "trust-krylov", "trust-exact"), _TRUST),
}


def flat(F: Any, start: Sequence[Any] | None = None, name: str = "F", order: Order = "C") -> Flat:
    """What a solver can be given: a compiled function, a `Function`, or a plain one, compiled where it is to start."""
    if isinstance(F, Flat):
        return F
    if start is None or not callable(F) or isinstance(F, type):
        plain = "" if start is None else "a function of matrices, "
        raise TypeError(
            f"{name}: got {checks.describe(F)}, expected {plain}what matjac.compile(f, *shapes) made, "
            "or a matjac.Function"
        )
    points = [checks.numeric(f"start[{at}]", value) for at, value in enumerate(start)]
    fewest, most = parameters(F)
    if not fewest <= len(points) <= most or not points:
        takes = f"{fewest}" if most == fewest else f"{fewest} or more"
        raise TypeError(f"start: got {len(points)} arrays for {name}, which takes {takes}, expected one for each")
    made: Flat = compile(F, *points, order=order)
    return made


def of_same(G: Any, F: Flat, x: Array, name: str) -> Flat:
    """A function of the same unknowns as F; a plain one is compiled for them."""
    if not isinstance(G, Flat) and callable(G) and F.variables.structured:
        made: Flat = compile(G, *F.variables.kinds, order=F.order)
        return made
    return flat(G, F.unpack(x), name, F.order)


def by_free(F: Flat, start: Sequence[Any]) -> Flat:
    """A function from an affine unknown to whole arrays of its structure, with the free entries of its values."""
    kind = F.variables.kinds[-1]
    if not isinstance(F, Compiled) or not isinstance(kind, Unknown) or F.out_shape != kind.shape or not kind.affine:
        return F
    # at the start its values must have the structure
    kind.moved(F(*start), np.zeros(kind.size), "F's value at the start")
    made = compile(lambda *args: kind.free_change(F(*args)), *F.variables.kinds, order=F.order)
    made.variables = F.variables
    return made


def parameters(F: Callable[..., Any]) -> tuple[int, float]:
    """The fewest and the most arrays that a plain function takes."""
    try:
        given = inspect.signature(F).parameters.values()
    except ValueError:
        # of some written in C no one knows
        return 0, np.inf
    kinds = inspect.Parameter
    places = [p for p in given if p.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)]
    fewest = sum(p.default is kinds.empty for p in places)
    return fewest, np.inf if any(p.kind is kinds.VAR_POSITIONAL for p in given) else len(places)


def scalar(F: Any, start: Sequence[Any] | None = None) -> Flat:
    """A function whose value is one number."""
    made = flat(F, start)
    # a `Function` shows the shape of its value only when it is called: see `number`
    shape = getattr(made, "out_shape", ())
    if size(shape) != 1:
        raise ValueError(f"F: got a function with values of shape {shape}, expected one number")
    return made


def residuals(F: Any) -> Flat:
    """A function whose value is an array of residuals."""
    made = flat(F)
    if getattr(made, "out_shape", None) == ():
        residual(np.zeros(()))
    return made


def residual(y: Array) -> Array:
    """Real residuals, which are no number that is meant to be minimised itself."""
    if np.ndim(y) == 0:
        raise ValueError(
            "F: got a function whose value is a number, expected one of residuals, an array of which half the sum of "
            "squares is minimised: to minimise a number use matjac.solvers.minimize"
        )
    return real(y)


def number(y: Array) -> float:
    """The one number that a scalar function's value is."""
    if isinstance(y, float):
        return float(y)
    if np.size(y) != 1:
        raise ValueError(f"F: got {np.size(y)} values, expected one number")
    return float(np.ravel(real(y))[0])


def real(y: Array, name: str = "F") -> Array:
    """Values that aren't complex: solvers would drop the imaginary part."""
    if y.dtype.kind == "c":
        raise TypeError(f"{name}: got values of dtype {y.dtype}, expected real ones")
    return y


def square(F: Flat, y: Array) -> None:
    """Refuse a function whose value y hasn't as many entries as its variables."""
    if y.size != F.variables.size:
        raise ValueError(f"F: got {y.size} values of {F.variables.size} unknowns, expected as many")


def start(F: Flat, arrays: Sequence[Any], allow_complex: bool = False) -> Array:
    """The flat vector to start from: finite, and real unless said otherwise."""
    x = F.pack(*arrays)
    if x.dtype.kind == "c" and not allow_complex:
        raise TypeError(f"start: got dtype {x.dtype}, expected real numbers")
    bad = np.flatnonzero(~np.isfinite(x))
    if bad.size:
        raise ValueError(f"start: got {F.variables.entry(bad[0])} = {x[bad[0]]}, expected finite numbers")
    return x if x.dtype.kind == "c" else x.astype(float)


def bounds(F: Flat, given: Any) -> tuple[Array, Array]:
    """The flat lower and upper bounds; None is no bound."""
    if isinstance(given, optimize.Bounds):
        given = given.lb, given.ub
    pair = (None, None) if given is None else given
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise TypeError(f"bounds: got {checks.describe(given)}, expected (lower, upper), each for all variables")
    low, high = (
        real(F.variables.spread(f"bounds[{at}]", _unbounded(side, none)), f"bounds[{at}]")
        for at, (side, none) in enumerate(zip(pair, (-np.inf, np.inf), strict=True))
    )
    bad = np.flatnonzero(~(low <= high))
    if bad.size:
        which, at = F.variables.entry(bad[0]), bad[0]
        raise ValueError(f"bounds: got {low[at]:g} to {high[at]:g} for {which}, expected the lower one first")
    return low, high


def within(F: Flat, x0: Array, low: Array, high: Array) -> None:
    """Refuse a start that is outside its bounds."""
    bad = np.flatnonzero((x0 < low) | (x0 > high))
    if bad.size:
        which, at = F.variables.entry(bad[0]), bad[0]
        raise ValueError(f"start: got {which} = {x0[at]:g}, expected it within its bounds, {low[at]:g} to {high[at]:g}")


def constraints(F: Flat, given: Sequence[Any], x0: Array) -> list[tuple[Flat, Array, Array]]:
    """Each constraint's function, of the objective's variables, and the flat bounds of its entries."""
    found = []
    for at, each in enumerate(given):
        name = f"constraints[{at}]"
        if not isinstance(each, tuple | list) or len(each) != 3:
            raise TypeError(f"{name}: got {checks.describe(each)}, expected (G, lower, upper)")
        G = of_same(each[0], F, x0, f"{name}[0]")
        if not G.variables.same(F.variables):
            raise ValueError(f"{name}: got a function of {G.variables}, expected one of {F.variables}")
        shape = real(G(*F.unpack(x0)), f"{name}[0]").shape
        low, high = (edge(f"{name}[{k}]", each[k], G, none, shape) for k, none in ((1, -np.inf), (2, np.inf)))
        bad = np.flatnonzero(~(low <= high))
        if bad.size:
            values = f"{low[bad[0]]:g} to {high[bad[0]]:g} for entry {bad[0]}"
            raise ValueError(f"{name}: got {values}, expected the lower bound first")
        found.append((G, low, high))
    return found


def edge(name: str, value: Any, G: Flat, none: float, shape: Shape | None = None) -> Array:
    """The flat bound of G's value, of that shape; without a shape, a number stays one."""
    array = real(checks.numeric(name, _unbounded(value, none)), name)
    if shape is not None and array.shape not in ((), shape, (size(shape),)):
        raise ValueError(f"{name}: got shape {array.shape}, expected a number or {shape}, the shape of G's value")
    if array.ndim:
        array = array.reshape(-1, order=G.order)
    return array if shape is None else np.array(np.broadcast_to(array, (size(shape),)), dtype=float)


def tolerance(name: str, given: Any, none: float | None = None) -> float:
    """A number that is not negative; where None may be given it is `none`."""
    value = none if given is None and none is not None else float(checks.array(name, given, 0))
    if not value >= 0:
        raise ValueError(f"{name}: got {given}, expected a number that is not negative")
    return value


def refuse(options: dict[str, Any], *names: str) -> None:
    """Refuse what matjac gives the solver itself."""
    for name in names:
        if name in options:
            raise TypeError(f"{name}: got an argument that matjac gives the solver itself")


def documented(options: dict[str, Any], solver: str, method: str) -> None:
    """Refuse options that SciPy's method has not: it would ignore them."""
    names = _options(solver, method) if options else frozenset()
    unknown = sorted(options.keys() - names) if names else []
    if unknown:
        expected = ", ".join(sorted(names))
        raise TypeError(f"options: got {unknown[0]!r}, which {method} does not take, expected some of {expected}")


@cache
def _options(solver: str, method: str) -> frozenset[str]:
    """What SciPy's method takes, by its documentation; nothing where there is none."""
    try:
        text = optimize.show_options(solver, method, disp=False) or ""
    except ValueError:
        # SciPy has a better word on methods that there are not
        return frozenset()
    lines = re.findall(r"^(\w+(?:, \w+)*) : ", inspect.cleandoc(text), re.M)
    names = {name for line in lines for name in line.split(", ")}
    return frozenset(names | UNDOCUMENTED.get(method.lower(), set())) if names else frozenset()


def _unbounded(value: Any, none: float) -> Any:
    if isinstance(value, tuple | list):
        return type(value)(_unbounded(part, none) for part in value)
    return none if value is None else value
