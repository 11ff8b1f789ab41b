"""The residuals after an unknown is eliminated, and their Jacobian: variable projection for any solver."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp

from matjac.conventions import Array, size
from matjac.flat import Flat
from matjac.jacobian import Hessian, Jacobian
from matjac.maps.compose import applied
from matjac.solvers.eliminate import Linear, inverse


class Projected(Flat):
    """``F(U(V), V)`` as a function of V, U(V) being the best U: half its square is what is minimised over both.

    Its Jacobian is Kaufman's, ``(I − P) J_V`` with the projection P on the columns of J_U (*A variable projection
    method for solving separable nonlinear least squares problems*, 1975): it lacks a part that is zero with the
    residuals, and has the gradient all the same.
    """

    def __init__(self, linear: Linear, arrays: Mapping[str, Array]) -> None:
        self.linear, self._start = linear, arrays[linear.name]
        self._rest = linear.F.bind(**{linear.name: self._start})
        self.variables = self._rest.variables
        self._last: tuple[Array, Array] | None = None

    def whole(self, x: Array) -> Array:
        """The flat vector of all unknowns."""
        F, name = self.linear.F, self.linear.name
        arrays = dict(zip(self.variables.names, self.unpack(x), strict=True)) | {name: self._best(self.unpack(x))}
        return F.pack(*[arrays[each] for each in F.variables.names])

    def _best(self, others: Any) -> Array:
        """The eliminated unknown's values for those others, which are kept until there are other ones."""
        x, last = self.pack(*others), self._last
        if last is None or not np.array_equal(last[0], x):
            last = self._last = x, self.linear.best(self._start, dict(zip(self.variables.names, others, strict=True)))
        return last[1]

    def _fixed(self, others: Any) -> Flat:
        return self.linear.F.bind(**{self.linear.name: self._best(others)})

    def __call__(self, *args: Any) -> Array:
        """The residuals."""
        others = self.variables.arrays(args)
        return self._fixed(others)(*others)

    def jacobian(self, *args: Any) -> Jacobian:
        """Kaufman's Jacobian, an operator; as a matrix it is dense."""
        others = self.variables.arrays(args)
        outer = self._fixed(others).jacobian(*others)
        given = dict(zip(self.variables.names, others, strict=True))
        inner = self.linear.F.bind(**given).jacobian(self._best(others))
        rows, shapes = outer.shape[0], self.variables.shapes
        point = applied(shapes, rows, np.dtype(float), Kaufman(inner, outer, self.linear))
        return Jacobian(point, outer.out_shape, outer.in_shape, self.order)

    def bind(self, /, **data: Any) -> "Projected":
        """Refused: which unknowns are left was decided."""
        raise TypeError("bind: got a function with an unknown eliminated, expected the arguments bound before")

    @property
    def has_hessian(self) -> bool:
        """It has none."""
        return False

    def _hessian(self, arrays: list[Array], weights: Any, flat: bool) -> Hessian:
        raise TypeError("hessian: got a function with an unknown eliminated, expected one with second derivatives")


class Kaufman:
    """``(I − J_U (J_UᵀJ_U)⁻¹ J_Uᵀ) J_V`` as an operator."""

    def __init__(self, inner: Jacobian, outer: Jacobian, linear: Linear) -> None:
        self._inner, self._outer = inner, outer
        blocks = linear.blocks
        numbers = np.arange(size(blocks.shape)).reshape(blocks.shape, order=blocks.order)
        self._places, self._solve = blocks.rows(numbers), inverse(blocks.normal(inner))

    def _rejected(self, y: Array) -> Array:
        """Columns less their projections on those of J_U."""
        along = self._inner.T @ y
        along[self._places] = self._solve(along[self._places])
        return y - self._inner @ along  # type: ignore[no-any-return]

    def product(self, x: Array) -> Array:
        """J x for x of shape (..., columns)."""
        columns = x.reshape(-1, x.shape[-1]).T
        return self._rejected(self._outer @ columns).T.reshape(*x.shape[:-1], -1)

    def transposed(self, y: Array) -> Array:
        """Jᵀ y for y of shape (..., rows)."""
        columns = y.reshape(-1, y.shape[-1]).T
        return (self._outer.T @ self._rejected(columns)).T.reshape(*y.shape[:-1], -1)  # type: ignore[no-any-return]

    def matrix(self) -> Any:
        """As a canonical csr_array, with an entry in each place."""
        dense = self._rejected(self._outer.toarray())
        rows, columns = dense.shape
        places = np.tile(np.arange(columns), rows), columns * np.arange(rows + 1)
        return sp.csr_array((dense.reshape(-1), *places), shape=dense.shape)
