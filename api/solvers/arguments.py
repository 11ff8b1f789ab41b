"""What solvers are given, checked before they start: functions of matrices, where to start, bounds and constraints."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import optimize

from matjac import checks
from matjac.conventions import Array, Shape, size
from matjac.flat import Flat


def flat(F: Any, name: str = "F") -> Flat:
    """What a solver can be given: a compiled function, or a `Function`."""
    if not isinstance(F, Flat):
        raise TypeError(
            f"{name}: got {checks.describe(F)}, expected what matjac.compile(f, *shapes) made, or a matjac.Function"
        )
    return F


def scalar(F: Any) -> Flat:
    """A function whose value is one number."""
    # a `Function` shows the shape of its value only when it is called: see `number`
    shape = getattr(flat(F), "out_shape", ())
    if size(shape) != 1:
        raise ValueError(f"F: got a function with values of shape {shape}, expected one number")
    return F  # type: ignore[no-any-return]


def number(y: Array) -> float:
    """The one number that a scalar function's value is."""
    if y.size != 1:
        raise ValueError(f"F: got {y.size} values, expected one number")
    return float(real(y)[0])


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
        G = flat(each[0], f"{name}[0]")
        if (G.variables.shapes, G.order) != (F.variables.shapes, F.order):
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


def refuse(options: dict[str, Any], *names: str) -> None:
    """Refuse what matjac gives the solver itself."""
    for name in names:
        if name in options:
            raise TypeError(f"{name}: got an argument that matjac gives the solver itself")


def _unbounded(value: Any, none: float) -> Any:
    if isinstance(value, tuple | list):
        return type(value)(_unbounded(part, none) for part in value)
    return none if value is None else value
