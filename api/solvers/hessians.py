"""Hessians as solvers want them: which there are, and those of an objective and its constraints in one triangle."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from matjac.conventions import Array, cached_property
from matjac.flat import Flat
from matjac.jacobian import Hessian
from matjac.tracing.compiled import Compiled

#: Entries of a triangle up to which it is made where no one asked for it: beyond, its factors would not fit.
MANY = 10**7


def hessian_at(F: Flat, x: Array, w: Array | None = None, part: Any = "exact") -> Hessian:
    """The Hessian at a flat vector, or its Gauss–Newton part."""
    if part == "exact":
        return F.hess(x, w)
    if not isinstance(F, Compiled):
        raise ValueError('hessian: got "gauss-newton" for a Function, expected a compiled function')
    return F.hessian(*F.unpack(x), part=part)


class LagrangianHessian:
    """The lower triangle of the Hessian of ``factor · F + Σ multipliers · G``, filled into a buffer.

    With `part` "gauss-newton" it is that part of F's alone.
    """

    def __init__(self, F: Flat, constraints: Sequence[Flat], x0: Array, part: str) -> None:
        self.F, self.part = F, part
        self.constraints = [] if part == "gauss-newton" else list(constraints)
        self._ends = np.cumsum([0, *(G.values(x0).size for G in self.constraints)])
        self._first = self._hessians(x0, np.ones(self._ends[-1]))
        #: entries of all parts, before any is made
        self.count = sum(H.count("lower") for H in self._first)

    @cached_property
    def places(self) -> tuple[Array, Array]:
        """Row and column of each entry."""
        return np.divmod(self._union, max(self._first[0].shape[0], 1))

    @cached_property
    def _keys(self) -> list[Array]:
        halves = [H.coo_structure("lower") for H in self._first]
        return [rows.astype(np.int64) * self._first[0].shape[0] + columns for rows, columns in halves]

    @cached_property
    def _union(self) -> Array:
        return np.unique(np.concatenate(self._keys))

    @cached_property
    def _parts(self) -> list[tuple[Array, Array]]:
        """Where each part's entries go, and what they are filled into."""
        return [(np.searchsorted(self._union, key), np.empty(key.size)) for key in self._keys]

    def _hessians(self, x: Array, multipliers: Array) -> list[Hessian]:
        weights = [multipliers[first:last] for first, last in zip(self._ends[:-1], self._ends[1:], strict=True)]
        first = hessian_at(self.F, x, None, self.part)
        return [first, *(G.hess(x, w) for G, w in zip(self.constraints, weights, strict=True))]

    def fill(self, x: Array, factor: float, multipliers: Array, out: Array) -> None:
        """The values at those places."""
        out[:] = 0
        scales = [factor, *(1.0 for _ in self.constraints)]
        for H, scale, (places, buffer) in zip(self._hessians(x, multipliers), scales, self._parts, strict=True):
            H.fill(buffer, "lower")
            out[places] += scale * buffer
