"""The residuals after an unknown is eliminated, and their Jacobian: variable projection for any solver."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from matjac.conventions import Array, size
from matjac.flat import Flat
from matjac.jacobian import Hessian, Jacobian
from matjac.maps.compose import applied
from matjac.solvers.eliminate import Blocks, Linear, inverse


class Projected(Flat):
    """``F(U(V), V)`` as a function of V, U(V) being the best U: half its square is what is minimised over both.

    Its Jacobian is Kaufman's, ``(I − P) J_V`` with the projection P on the columns of J_U (*A variable projection
    method for solving separable nonlinear least squares problems*, 1975): it lacks a part that is zero with the
    residuals, and has the gradient all the same.
    """

    def __init__(self, linear: Linear, arrays: Mapping[str, Array]) -> None:
        self.linear, self._start = linear, arrays[linear.name]
        self._rest = linear.F.bind_parts({linear.name: self._start})
        self.variables = self._rest.variables
        self._last: tuple[Array, Array] | None = None

    def whole(self, x: Array) -> Array:
        """The flat vector of all unknowns."""
        others = self.variables.by_name(x)
        return self.linear.whole(self._best(others), others)

    def _best(self, others: Mapping[str, Array]) -> Array:
        """The eliminated unknown's values for those others, which are kept until there are other ones."""
        x, last = self.variables.pack_named(others), self._last
        if last is None or not np.array_equal(last[0], x):
            last = self._last = x, self.linear.best(self._start, others)
        return last[1]

    def __call__(self, *args: Any) -> Array:
        """The residuals."""
        return self._value(self.variables.arrays(args))

    def _value(self, parts: Sequence[Array]) -> Array:
        best = self._best(dict(zip(self.variables.names, parts, strict=True)))
        return self.linear.F.bind_parts({self.linear.name: best})._value(parts)

    def jacobian(self, *args: Any) -> Jacobian:
        """Kaufman's Jacobian, an operator; as a matrix it is dense."""
        return self._at(self.variables.arrays(args))

    def _at(self, parts: list[Array]) -> Jacobian:
        linear, others = self.linear, dict(zip(self.variables.names, parts, strict=True))
        best = self._best(others)
        outer, inner = linear.F.bind_parts({linear.name: best})._at(parts), linear.F.bind_parts(others)._at([best])
        operator = Kaufman(inner, outer, linear.blocks, linear.free(best))
        point = applied(self.variables.free_shapes, outer.shape[0], np.dtype(float), operator)
        return Jacobian(point, outer.out_shape, outer.in_shape, self.order)

    def bind(self, /, **data: Any) -> "Projected":
        """Refused: which unknowns are left was decided."""
        return self.bind_parts(data)

    def bind_parts(self, data: Mapping[str, Array]) -> "Projected":
        """Refused too."""
        raise TypeError("bind: got a function with an unknown eliminated, expected the arguments bound before")

    @property
    def has_hessian(self) -> bool:
        """It has none."""
        return False

    def _hessian(self, arrays: list[Array], weights: Any, flat: bool) -> Hessian:
        raise TypeError("hessian: got a function with an unknown eliminated, expected one with second derivatives")


class Kaufman:
    """``(I − J_U (J_UᵀJ_U)⁻¹ J_Uᵀ) J_V`` as an operator, of the columns of J_U whose entries of U are `free`."""

    def __init__(self, inner: Jacobian, outer: Jacobian, blocks: Blocks, free: Array | None) -> None:
        self._inner, self._outer = inner, outer
        numbers = np.arange(size(blocks.shape)).reshape(blocks.shape, order=blocks.order)
        self._places, H = blocks.rows(numbers), blocks.normal(inner)
        self._free = 1.0 if free is None else free[:, :, None].astype(float)
        if free is not None:
            # U(V) stays where bounds hold it
            H = H * (free[:, :, None] & free[:, None, :])
            diagonal = np.einsum("bii->bi", H)
            diagonal += ~free
        self._solve = inverse(H)

    def _rejected(self, y: Array) -> Array:
        """Columns less their projections on those of J_U."""
        along = self._inner.T @ y
        along[self._places] = self._free * self._solve(self._free * along[self._places])
        return y - self._inner @ along

    def product(self, x: Array) -> Array:
        """J x for x of shape (..., columns)."""
        columns = x.reshape(-1, x.shape[-1]).T
        return self._rejected(self._outer @ columns).T.reshape(*x.shape[:-1], -1)

    def transposed(self, y: Array) -> Array:
        """Jᵀ y for y of shape (..., rows)."""
        columns = y.reshape(-1, y.shape[-1]).T
        return (self._outer.T @ self._rejected(columns)).T.reshape(*y.shape[:-1], -1)

    def matrix(self) -> Any:
        """As a canonical csr_array, with an entry in each place."""
        dense = self._rejected(self._outer.toarray())
        rows, columns = dense.shape
        places = np.tile(np.arange(columns), rows), columns * np.arange(rows + 1)
        return sp.csr_array((dense.reshape(-1), *places), shape=dense.shape)
