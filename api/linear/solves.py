"""Linear maps of matrices that SciPy computes: solutions of matrix equations, derivatives of matrix functions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg

from matjac.conventions import Array, Shape
from matjac.linear.maps import Map


def each(function: Callable[..., Any], x: Array, *coefficients: Array) -> Array:
    """A function of matrices on each of a stack, and of the coefficients that belong to it."""
    if x.ndim == 2 and all(c.ndim == 2 for c in coefficients):
        return np.asarray(function(x, *coefficients))
    stack = np.broadcast_shapes(*(v.shape[:-2] for v in (x, *coefficients)))
    wide = [np.broadcast_to(v, stack + v.shape[-2:]) for v in (x, *coefficients)]
    made = [function(*(v[at] for v in wide)) for at in np.ndindex(stack)]
    if not made:
        return np.zeros(stack + x.shape[-2:], x.dtype)
    return np.reshape(made, stack + np.shape(made[0]))


@dataclass(frozen=True)
class Sylvester(Map):
    """Q as X with ``A X + X B = Q``."""

    name = "solve sylvester"
    axes = (2, 2)

    def product(self, x: Array, *coefficients: Any) -> Array:
        return each(_sylvester, x, *coefficients)

    def transposed(self, y: Array, *coefficients: Any) -> Array:
        return each(lambda q, a, b: _sylvester(q, a.T, b.T), y, *coefficients)


def _sylvester(q: Array, a: Array, b: Array) -> Array:
    # of real a and b and complex q SciPy's solution is wrong (1.17)
    a, b, q = (np.asarray(v, np.result_type(a, b, q)) for v in (a, b, q))
    return np.asarray(scipy.linalg.solve_sylvester(a, b, q))


@dataclass(frozen=True)
class Triangular(Map):
    """b as x with ``T x = b`` for vectors b along the last axis; only one triangle of T is read."""

    lower: bool
    unit_diagonal: bool
    name = "solve triangular"
    axes = (2,)

    def product(self, x: Array, *coefficients: Any) -> Array:
        return self._solved(x, coefficients[0], self.lower)

    def transposed(self, y: Array, *coefficients: Any) -> Array:
        return self._solved(y, coefficients[0].mT, not self.lower)

    def _solved(self, x: Array, T: Array, lower: bool) -> Array:
        if T.ndim > 2:
            # a triangle for each of a stack
            columns = each(lambda b, t: self._solved(b.T, t, lower).T, np.expand_dims(x, -1), T)
            return columns[..., 0]
        flat = x.reshape(-1, x.shape[-1]).T
        if not flat.size:
            return np.zeros(x.shape, np.result_type(x, T))
        found = scipy.linalg.solve_triangular(T, flat, lower=lower, unit_diagonal=self.unit_diagonal)
        return np.reshape(found.T, x.shape)

    def places(self, before: Shape, after: Shape) -> Array | None:
        full = np.ones((*after, *before), bool)
        return np.tril(full) if self.lower else np.triu(full)


@dataclass(frozen=True)
class Frechet(Map):
    """E as the derivative of a matrix function at A in the direction E: of the first order, or of the second.

    It is the last block of the function of a block triangular matrix (Higham, *Functions of Matrices*, theorem 3.6).
    The coefficients are A and, of the second order, the other direction.
    """

    #: the function's name in `scipy.linalg`
    function: str
    order: int = 1

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"derivative of {self.function}"

    @property
    def axes(self) -> tuple[int, ...]:  # type: ignore[override]
        return (2,) * self.order

    def product(self, x: Array, *coefficients: Any) -> Array:
        return each(self._derivative, x, *coefficients)

    def transposed(self, y: Array, *coefficients: Any) -> Array:
        return each(lambda e, *given: self._derivative(e, *(c.T for c in given)), y, *coefficients)

    def _derivative(self, E: Array, A: Array, *other: Array) -> Array:
        n = len(A)
        if not n:
            return E
        if self.function == "expm" and not other:
            return np.asarray(scipy.linalg.expm_frechet(A, E, compute_expm=False))
        zero = np.zeros_like(A)
        blocks = [[A, E], [zero, A]]
        if other:
            (D,) = other
            blocks = [[A, D, E, zero], [zero, A, zero, E], [zero, zero, A, D], [zero, zero, zero, A]]
        whole = getattr(scipy.linalg, self.function)(np.block(blocks))
        return np.asarray(whole[:n, -n:], np.result_type(A, E))
