"""What solvers are given, checked before they start: functions of matrices, constraints and bounds."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from matjac import inputs
from matjac.flat import Flat
from matjac.layout import Array


def flat(F: Any) -> Flat:
    """What a solver can be given: a compiled function, or a `Function`."""
    if not isinstance(F, Flat):
        raise TypeError(f"F: got {inputs.describe(F)}, expected what matjac.compile made, or a matjac.Function")
    return F


def scalar(name: str, F: Any) -> Flat:
    """A function whose value is one number."""
    shape = getattr(flat(F), "out_shape", ())
    if np.prod(shape, dtype=int) != 1:
        raise ValueError(f"{name}: got a function with values of shape {shape}, expected one number")
    return flat(F)


def checked(F: Flat, constraints: Sequence[Any]) -> Iterator[tuple[Flat, Any, Any]]:
    """Each constraint's function and bounds; of the objective's variables."""
    for at, given in enumerate(constraints):
        if not isinstance(given, tuple | list) or len(given) != 3:
            raise TypeError(f"constraints[{at}]: got {inputs.describe(given)}, expected (G, lower, upper)")
        G = flat(given[0])
        if (G.variables.shapes, G.order) != (F.variables.shapes, F.order):
            raise ValueError(f"constraints[{at}]: got a function of {G.variables}, expected one of {F.variables}")
        yield G, given[1], given[2]


def number(name: str, y: Array) -> float:
    """The one number that a scalar function's value is."""
    if y.size != 1:
        raise ValueError(f"{name}: got {y.size} values, expected one number")
    return float(y[0])


def square(F: Flat, y: Array) -> None:
    """Refuse a function whose value y hasn't as many entries as its variables."""
    if y.size != F.variables.size:
        raise ValueError(f"F: got {y.size} values of {F.variables.size} unknowns, expected as many")


def edge(name: str, value: Any, G: Flat) -> Array:
    """The flat bound of G's entries; a number stays one."""
    array = inputs.numeric(name, value)
    return array if array.ndim == 0 else array.reshape(-1, order=G.order)
