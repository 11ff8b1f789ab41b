"""Linear maps of matrices that SciPy computes: solutions of matrix equations, derivatives of matrix functions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from scipy.linalg import lapack

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


def factored(A: Array) -> tuple[Array, Array]:
    """The LU factors of a matrix and its row interchanges."""
    getrf = lapack.get_lapack_funcs("getrf", (A,))
    lu, pivots, info = getrf(A)
    if info > 0:
        raise np.linalg.LinAlgError("Singular matrix")
    return lu, pivots


@dataclass(frozen=True)
class Solve(Map):
    """x as y with ``A y = x`` along the last axis; the coefficients are one matrix A and its factors."""

    name = "solve"
    axes = (2, 0)

    def product(self, x: Array, *coefficients: Any) -> Array:
        return _by_factors(x, coefficients[1], 0)

    def transposed(self, y: Array, *coefficients: Any) -> Array:
        return _by_factors(y, coefficients[1], 1)


def _by_factors(x: Array, factors: Any, turned: int) -> Array:
    lu, pivots = factors
    x = np.asarray(x, np.result_type(x, lu))
    getrs = lapack.get_lapack_funcs("getrs", (lu, x))
    columns = x.reshape(-1, x.shape[-1]).T
    return np.reshape(getrs(lu, pivots, columns, trans=turned)[0].T, x.shape) if columns.size else x


def schur_forms(A: Array, B: Array) -> tuple[Array, ...]:
    """Schur forms of two matrices and the bases that they are in, of one dtype; of stacks there are none."""
    if A.ndim > 2 or B.ndim > 2:
        return ()
    dtype = np.result_type(A, B, np.float32)
    output = "complex" if dtype.kind == "c" else "real"
    first = scipy.linalg.schur(np.asarray(A, dtype), output=output)
    return *first, *(first if A is B else scipy.linalg.schur(np.asarray(B, dtype), output=output))


@dataclass(frozen=True)
class Sylvester(Map):
    """Q as X with ``A X + X B = Q``; the coefficients are A, B and their Schur forms."""

    name = "solve sylvester"
    axes = (2, 2, 0)

    def product(self, x: Array, *coefficients: Any) -> Array:
        A, B, forms = coefficients
        if forms:
            return _by_schur_forms(x, forms, "N")
        return each(lambda q, a, b: _by_schur_forms(q, schur_forms(a, b), "N"), x, A, B)

    def transposed(self, y: Array, *coefficients: Any) -> Array:
        # Aᵀ Y + Y Bᵀ = Q; of complex matrices LAPACK has the conjugate's
        A, B, forms = coefficients
        if not forms:
            return each(lambda q, a, b: _by_schur_forms(q, schur_forms(a.T, b.T), "N"), y, A, B)
        if np.iscomplexobj(forms[0]):
            return _by_schur_forms(y.conj(), forms, "C").conj()
        return _by_schur_forms(y, forms, "T")


def _by_schur_forms(Q: Array, forms: Any, turned: str) -> Array:
    R, U, S, V = forms
    if np.iscomplexobj(Q) and not np.iscomplexobj(R):
        # LAPACK's of real forms solves real equations
        return np.asarray(_by_schur_forms(Q.real, forms, turned) + 1j * _by_schur_forms(Q.imag, forms, turned))
    trsyl = lapack.get_lapack_funcs("trsyl", (R,))
    F = np.asarray(U.conj().T @ Q @ V, R.dtype)
    made = np.empty_like(F)
    for at in np.ndindex(F.shape[:-2]):
        Y, scale, info = trsyl(R, S, F[at], trana=turned, tranb=turned)
        if info > 0 or not scale:
            raise np.linalg.LinAlgError("a and −b have an eigenvalue in common, or nearly: there is no one solution")
        made[at] = Y / scale
    return np.asarray(U @ made @ V.conj().T)


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
    """E as the derivative of a matrix function at A in the direction E: of the first order, or of a higher one.

    It is the last block of the function of a block triangular matrix (Higham, *Functions of Matrices*, theorem 3.6).
    The coefficients are A and, of a higher order, the other directions, in which it is symmetric.
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
        blocks = A
        for direction in (*other, E):
            beside = np.kron(np.eye(len(blocks) // n, dtype=A.dtype), direction)
            blocks = np.block([[blocks, beside], [np.zeros_like(beside), blocks]])
        whole = getattr(scipy.linalg, self.function)(blocks)
        return np.asarray(whole[:n, -n:], np.result_type(A, E))
