"""Affine functions of free entries, X = X₀ + S θ, and those of which some free entries are logarithms."""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from matjac import checks
from matjac.conventions import Array, Shape, cached_property, canonical
from matjac.elimination import require_factors
from matjac.linear.program import contents
from matjac.linear.spread import Spread
from matjac.tracing.arrays import Recorded
from matjac.tracing.handlers import TracingError
from matjac.tracing.recorded import apply
from matjac.unknowns.base import Structured, index


class Affine(Structured):
    """``X₀ + S θ``; `own` is the flat position of the entry that each free one is called by, −1 where there is none."""

    def __init__(self, name: str, shape: Shape, matrix: Any, own: Array, offset: Any = None) -> None:
        self.name, self.shape, self.size = name, shape, matrix.shape[1]
        self.matrix, self.own, self.offset = matrix, own, offset

    @cached_property
    def key(self) -> Any:
        return self.name, self.shape, contents(self.matrix), contents(self.offset)

    def whole(self, free: Any) -> Any:
        given = free if isinstance(free, Recorded) else checks.shaped("free entries", free, (self.size,))
        X = self.whole_change(given)
        return X if self.offset is None else X + self.offset

    def whole_change(self, d: Any) -> Any:
        spread = Spread((self.size,), self.matrix, self.shape)
        return apply(spread, d, shape=self.shape) if isinstance(d, Recorded) else spread.value(d)

    def _of(self, X: Array, name: str) -> Array:
        flat = (X if self.offset is None else X - self.offset).reshape(-1)
        if (self.own >= 0).all():
            return flat[self.own]
        return self.inverse(np.asarray(self.matrix.T.conj() @ flat))

    @cached_property
    def inverse(self) -> Callable[[Array], Array]:
        """``(SᵀS)⁻¹``; ValueError where columns of S depend on one another."""
        return _inverse(self.matrix)

    def _inverse(self, S: Any) -> Callable[[Array], Array]:
        """The same of slopes, which are S where the array is affine."""
        return self.inverse if S is self.matrix else _inverse(S)

    def moved(self, dX: Array, free: Array, name: str) -> Array:
        S = self.slopes(free)
        change = self._inverse(S)(np.asarray(S.T.conj() @ dX.reshape(-1)))
        self._same(name, np.asarray(S @ change).reshape(self.shape), dX)
        return change

    def gradient(self, slope: Array, free: Array) -> Array:
        S = self.slopes(free)
        return np.asarray(S.conj() @ self._inverse(S)(slope.conj()).conj()).reshape(self.shape)

    def _of_recorded(self, X: Recorded) -> Any:
        return self.free_change(X if self.offset is None else X - self.offset)

    def free_change(self, dX: Any) -> Any:
        if (self.own < 0).any():
            raise TracingError(f"the free entries of a recorded array can't be found: {self.name} does not name them")
        return dX.reshape(-1)[self.own]

    def near(self, X: Array) -> Array:
        linear = X if self.offset is None else X - self.offset
        return self.inverse(np.asarray(self.matrix.T @ linear.reshape(-1))).real

    def slopes(self, free: Array) -> Any:
        return self.matrix

    def entry(self, number: int) -> str:
        place = int(self.own[number])
        return f".free[{number}]" if place < 0 else index(place, self.shape)

    def spread(self, name: str, value: Array) -> Array:
        if not np.ndim(value):
            return np.broadcast_to(value, (self.size,))
        try:
            whole = np.broadcast_to(value, self.shape)
        except ValueError:
            raise ValueError(
                f"{name}: got shape {value.shape}, expected {self.shape} or ({self.size},), or a number"
            ) from None
        if (self.own < 0).any():
            raise ValueError(f"{name}: got shape {value.shape}, expected ({self.size},), one for each free entry")
        flat = whole.reshape(-1)
        made, several = flat[self.own], np.flatnonzero(np.diff(self.matrix.indptr))
        # the places of one free entry, which has one number
        own = self.own[self.matrix.indices]
        bad = np.flatnonzero(flat[several] != flat[own])
        if len(bad):
            one, other = several[bad[0]], own[bad[0]]
            raise ValueError(
                f"{name}: got {flat[one]} at {index(one, self.shape)} and {flat[other]} at "
                f"{index(other, self.shape)}, expected the same: they are one free entry"
            )
        return made


class Positive(Affine):
    """The same with a positive diagonal, the exponentials of free entries."""

    def __init__(self, base: Affine, name: str) -> None:
        super().__init__(name, base.shape, base.matrix, base.own)
        self.positive = base.own % (base.shape[1] + 1) == 0

    affine = False

    def whole(self, free: Any) -> Any:
        if not isinstance(free, Recorded):
            free = checks.shaped("free entries", free, (self.size,))
        return super().whole(np.where(self.positive, np.exp(np.where(self.positive, free, 0)), free))

    def _of_recorded(self, X: Recorded) -> Any:
        linear = super()._of_recorded(X)
        return np.where(self.positive, np.log(np.where(self.positive, linear, 1)), linear)

    def near(self, X: Array) -> Array:
        return np.where(self.positive, 0, super().near(X))

    def _of(self, X: Array, name: str) -> Array:
        linear = super()._of(X, name)
        bad = np.flatnonzero(self.positive & ~(linear > 0)) if linear.dtype.kind != "c" else [0]
        if len(bad):
            raise ValueError(f"{name}: got {linear[bad[0]]} at {super().entry(bad[0])}, expected a positive number")
        return np.where(self.positive, np.log(np.where(self.positive, linear, 1)), linear)

    def slopes(self, free: Array) -> Any:
        return canonical(self.matrix @ sp.diags_array(np.where(self.positive, np.exp(free), 1)))

    def entry(self, number: int) -> str:
        name = super().entry(number)
        return f"{name} (its logarithm)" if self.positive[number] else name

    def spread(self, name: str, value: Array) -> Array:
        if name.startswith("x_scale"):
            return super().spread(name, value)
        edges = super().spread(name, value)
        bad = np.flatnonzero(self.positive & ~(edges > 0))
        if name.startswith("bounds[1]") and len(bad):
            raise ValueError(f"{name}: got {edges[bad[0]]} for {super().entry(bad[0])}, expected a positive number")
        with np.errstate(divide="ignore"):
            return np.where(self.positive, np.log(np.maximum(edges, 0)), edges)


def _inverse(S: Any) -> Callable[[Array], Array]:
    """``(SᵀS)⁻¹`` as a function of a vector, for a matrix with independent columns."""
    gram = canonical(S.T.conj() @ S) if S.dtype.kind != "i" else canonical(S.T.astype(float) @ S)
    diagonal = gram.diagonal().real
    if (diagonal == 0).any():
        raise _dependent()
    if gram.nnz == diagonal.size:
        return lambda right: np.asarray(right / diagonal)
    # columns of length one, so that small ones don't seem to depend on others
    each = 1 / np.sqrt(diagonal)
    gram = canonical(sp.diags_array(each) @ gram @ sp.diags_array(each))
    require_factors(gram.tocsc())
    try:
        factors = splu(gram.tocsc())
    except RuntimeError:
        raise _dependent() from None
    pivots = np.abs(factors.U.diagonal())
    if pivots.min() <= 1e-12 * pivots.max():
        raise _dependent()

    def solve(right: Array) -> Array:
        right = each * right
        if right.dtype.kind == "c" and gram.dtype.kind != "c":
            return np.asarray(each * (factors.solve(right.real) + 1j * factors.solve(right.imag)))
        return np.asarray(each * factors.solve(right.astype(gram.dtype)))

    return solve


def _dependent() -> ValueError:
    return ValueError("S: got columns that depend on one another, expected linearly independent ones")
