"""One row an identity: all that the tests and the benchmarks need to know of it."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import matjac as mj
import numpy as np

Array = Any
Maker = Callable[..., Array]  # makes a random array of the shape given


@dataclass(frozen=True)
class Row:
    """An identity: its arguments, the plain function it differentiates, and the definition in loops."""

    function: Callable[..., mj.Jacobian]
    dims: tuple[str, ...]
    #: from a maker of random arrays and the dims, the arguments by name
    arguments: Callable[..., dict[str, Any]]
    #: from the same, the point at which to differentiate (None: the argument of that name)
    variable: str
    shape: Callable[..., tuple[int, ...]]
    #: the function of the variable, given the arguments
    value: Callable[[Array, dict[str, Any]], Array]
    #: its differential in the direction dX at X, as NumPy would write it
    differential: Callable[[Array, Array, dict[str, Any]], Array]
    #: the structure and the values by definition: {(out index, in index): value}
    entries: Callable[[dict[str, Any], dict[str, int]], dict[tuple[tuple[int, ...], tuple[int, ...]], Any]]
    #: dims of the benchmarks, from small to large
    bench: tuple[tuple[int, ...], ...]

    @property
    def name(self) -> str:
        return self.function.__name__


def matvec_entries(args: dict[str, Any], dims: dict[str, int]) -> dict[Any, Any]:
    x, found = np.asarray(args["x"]), {}
    for i, k, j in product(range(dims["m"]), range(dims["m"]), range(dims["n"])):
        if i == k:
            found[(i,), (k, j)] = x[j]
    return found


def gram_entries(args: dict[str, Any], dims: dict[str, int]) -> dict[Any, Any]:
    R, n, found = np.asarray(args["R"]), dims["n"], {}
    for p, q, i, j in product(range(n), range(n), range(dims["m"]), range(n)):
        if j == p != q:
            found[(p, q), (i, j)] = R[i, q]
        elif j == q != p:
            found[(p, q), (i, j)] = R[i, p]
        elif j == p == q:
            found[(p, q), (i, j)] = 2 * R[i, q]
    return found


REGISTRY = [
    Row(
        function=mj.d_matvec_dA,
        dims=("m", "n"),
        arguments=lambda make, m, n: {"x": make(n), "m": m},
        variable="A",
        shape=lambda m, n: (m, n),
        value=lambda A, args: A @ np.asarray(args["x"]),
        differential=lambda dA, A, args: dA @ np.asarray(args["x"]),
        entries=matvec_entries,
        bench=((100, 100), (2000, 2000), (4472, 4472), (40_000, 100)),
    ),
    Row(
        function=mj.d_gram_dR,
        dims=("m", "n"),
        arguments=lambda make, m, n: {"R": make(m, n)},
        variable="R",
        shape=lambda m, n: (m, n),
        value=lambda R, args: R.T @ R,
        differential=lambda dR, R, args: dR.T @ R + R.T @ dR,
        entries=gram_entries,
        bench=((10, 64), (50, 200), (100, 300), (100, 317)),
    ),
]
