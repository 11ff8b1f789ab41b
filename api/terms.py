"""Terms: what the differential of a matrix function is a sum of, ``scale ∘ (U · dX · Wᵀ)`` with some rows kept.

With row-major vec, row r of such a term is ``scale[r] * (u_i ⊗ w_j)``, u_i and w_j rows of U and W. The map
from r to (i, j) is the term's `Rows`: all entries of a matrix, the same read transposed (for ``L·dXᵀ·R``),
or a list. Column-major vec is the row-major vec of the transposed matrices, so it needs nothing of its own:
`Term.transpose_vec` exchanges the two factors.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from matjac import kernels
from matjac.factors import Dense, Factor, Select, Sparse, kernel_rows, sandwich
from matjac.layout import Array
from matjac.rows import Grid, Listed, Rows, write
from matjac.threads import split


@dataclass(frozen=True, eq=False)
class Term:
    """One term: factors u (a × p) and w (b × q), the row map, and a scale per row (None for all ones)."""

    u: Factor
    w: Factor
    rows: Rows
    scale: Array | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the term as a matrix."""
        return self.rows.count, self.u.shape[1] * self.w.shape[1]

    @property
    def closed(self) -> bool:
        """Whether it is all of ``U·dX·Wᵀ`` or its transpose: then transposes and products are terms too."""
        return isinstance(self.rows, Grid) and self.scale is None

    @property
    def selects(self) -> bool:
        """Whether each row has one entry, the scale."""
        return isinstance(self.u, Select) and isinstance(self.w, Select)

    @property
    def dtypes(self) -> list[np.dtype[Any]]:
        """The dtypes of its parts; selections are ones of any dtype."""
        parts = [f.dtype for f in (self.u, self.w) if not isinstance(f, Select)]
        return parts if self.scale is None else [*parts, self.scale.dtype]

    def describe(self) -> str:
        """Its factors, in a few words."""
        kinds = [f"{name} {f.shape[0]} × {f.shape[1]} {f.kind}" for name, f in (("U", self.u), ("W", self.w))]
        return ", ".join(kinds) + (", scaled" if self.scale is not None else "")

    @property
    def stored(self) -> bool:
        """Whether it is a stored sparse matrix of the whole variable: the way out of the family."""
        return isinstance(self.u, Sparse) and self.w.shape == (1, 1) and self.u.per_row != 1

    @property
    def turns(self) -> bool:
        """Whether the transpose is a term too: of a closed one, and of a scaled permutation of all entries."""
        permutes = all(isinstance(f, Select) and f.identity for f in (self.u, self.w))
        return self.closed or (permutes and isinstance(self.rows, Grid))

    def transpose(self) -> "Term":
        """The transposed term: Pᵀ's adjoint swaps the factors, P's does not."""
        assert self.turns
        assert isinstance(self.rows, Grid)
        if self.scale is not None:
            return self.transpose_vec() if self.rows.swap else self
        u, w = (self.w.T, self.u.T) if self.rows.swap else (self.u.T, self.w.T)
        return Term(u, w, Grid(self.u.shape[1], self.w.shape[1], self.rows.swap))

    def transpose_vec(self) -> "Term":
        """The same term where input and output are both vectorised column-major: matrices are transposed."""
        assert isinstance(self.rows, Grid)
        rows = Grid(self.rows.n, self.rows.m, self.rows.swap)
        scale = None if self.scale is None else self.scale.reshape(self.rows.m, self.rows.n).T.ravel()
        return Term(self.w, self.u, rows, scale)

    def conj(self) -> "Term":
        """The complex conjugate."""
        scale = None if self.scale is None else self.scale.conj()
        return replace(self, u=self.u.conj, w=self.w.conj, scale=scale)

    def times(self, number: Any) -> "Term":
        """The term times a number, which goes into a factor that has values."""
        if self.scale is not None:
            return replace(self, scale=self.scale * number)
        if isinstance(self.w, Dense) or not isinstance(self.u, Dense | Sparse):
            return replace(self, w=self.w.times(number))
        return replace(self, u=self.u.times(number))

    def scale_rows(self, factors: Array) -> "Term":
        """Each row times its number."""
        return replace(self, scale=factors if self.scale is None else self.scale * factors)

    def take(self, index: Array, memo: dict[Any, Any] | None = None) -> "Term":
        """Those rows alone, in that order; `memo` keeps the row maps of grids for the same index's next use."""
        scale = None if self.scale is None else self.scale[index]
        if isinstance(self.rows, Grid) and self.rows.n == 1 and not self.rows.swap:
            # rows of one factor alone: still a grid
            return Term(self.u.take(index), self.w, Grid(index.size, 1), scale)
        if memo is None or not isinstance(self.rows, Grid):
            return replace(self, rows=self.rows.take(index), scale=scale)
        if self.rows not in memo:
            memo[self.rows] = self.rows.take(index)
        return replace(self, rows=memo[self.rows], scale=scale)

    def take_grid(self, rows: Array, columns: Array) -> "Term":
        """Those rows and columns of a grid's matrix: of the factors, that is, and a grid again."""
        assert isinstance(self.rows, Grid)
        of_u, of_w = (columns, rows) if self.rows.swap else (rows, columns)
        scale = self.scale
        if scale is not None:
            scale = scale.reshape(self.rows.m, self.rows.n)[np.ix_(rows, columns)].reshape(-1)
        return Term(self.u.take(of_u), self.w.take(of_w), Grid(rows.size, columns.size, self.rows.swap), scale)

    def transpose_columns(self) -> "Term":
        """The same rows, of the variable's vector in the order of the transposed matrix."""
        return replace(self, u=self.w, w=self.u, rows=self.rows.mirror())

    def transpose_rows(self) -> "Term":
        """The rows of a grid in the order of its transposed matrix."""
        assert isinstance(self.rows, Grid)
        m, n = self.rows.m, self.rows.n
        scale = None if self.scale is None else np.ascontiguousarray(self.scale.reshape(m, n).T).reshape(-1)
        return replace(self, rows=Grid(n, m, not self.rows.swap), scale=scale)

    def sum_last(self) -> "Term":
        """The sums along the rows of a grid's matrix: the rows of one factor are summed, weighted by the scale.

        Row i of ``Σ_j scale_ij u_i ⊗ w_j`` is ``u_i ⊗ (scale · W)_i``.
        """
        assert isinstance(self.rows, Grid)
        m, n, swap = self.rows.m, self.rows.n, self.rows.swap
        summed = self.u if swap else self.w
        if self.scale is None:
            total = Dense(np.ones((1, n), dtype=summed.dtype)) @ summed
            rows: Rows = Grid(m, 1, swap)
        else:
            total = Dense(self.scale.reshape(m, n)) @ summed
            every = np.arange(m, dtype=np.int64)
            rows = Listed(every, every)
        return Term(total, self.w, rows) if swap else Term(self.u, total, rows)

    def after(self, first: "Term") -> "Term":
        """This term of a closed one's output: its factors multiply, rows and scale stay."""
        assert isinstance(first.rows, Grid)
        assert first.scale is None
        if first.rows.swap:
            return Term(self.w @ first.u, self.u @ first.w, self.rows.mirror(), self.scale)
        return Term(self.u @ first.u, self.w @ first.w, self.rows, self.scale)

    def squared_norms(self) -> Array:
        """The squared norm of each column: the transposed term, all squared, of ones."""
        u, w = self.u.abs2(), self.w.abs2()
        if self.scale is None and self.rows.whole:
            return np.outer(u.column_sums(), w.column_sums()).reshape(-1)
        weight = np.ones(self.rows.count) if self.scale is None else np.abs(self.scale) ** 2
        if isinstance(self.rows, Listed):
            norms = np.empty((u.shape[1], w.shape[1]), np.result_type(weight, u.dtype, w.dtype))
            spread(u, weight, w, self.rows, norms)
            return norms.reshape(-1)
        return sandwich(u.T, self.rows.scatter(weight), w.T).reshape(-1)

    def same_pattern(self, other: "Term") -> bool:
        """Whether both have their entries in the same places, for they are made of the same kinds of parts."""
        return self.rows.same(other.rows) and self.u.same_pattern(other.u) and self.w.same_pattern(other.w)


def grid(u: Factor, w: Factor, scale: Array | None = None) -> Term:
    """The term ``scale ∘ (U · dX · Wᵀ)``."""
    return Term(u, w, Grid(u.shape[0], w.shape[0]), scale)


def swapped(u: Factor, w: Factor) -> Term:
    """The term ``W · dXᵀ · Uᵀ``, which is the transposed ``U · dX · Wᵀ``."""
    return Term(u, w, Grid(w.shape[0], u.shape[0], swap=True))


def sampled(u: Factor, x: Array, w: Factor, rows: Listed, out: Array, add: bool = False) -> None:
    """The listed entries of ``u @ x @ w.T`` alone, for x of shape (..., p, q), into `out`, or added to it."""
    first, second, left, right, turned = _sides(u, w, rows)
    h = np.ascontiguousarray(first.left(np.swapaxes(x, -1, -2) if turned else x), dtype=out.dtype)
    arguments = _second(second, out.dtype)
    for at in np.ndindex(x.shape[:-2]):

        def task(start: int, stop: int, part: Array = h[at], y: Array = out[at]) -> None:
            kernels.sampled_dot(part, left, *arguments, right, add, y[start:stop], start, stop)

        split(task, 0, rows.count, rows.count * (second.per_row or 1))


def spread(u: Factor, y: Array, w: Factor, rows: Listed, out: Array, add: bool = False) -> None:
    """The adjoint of `sampled`: ``Σ_r y[r] u_iᵀ w_j``, of shape (..., p, q), into `out`, or added to it."""
    first, second, _, _, turned = _sides(u, w, rows)
    y = np.ascontiguousarray(y, dtype=out.dtype)
    # the kernel adds row by row: straight to the result where no other factor comes after it
    direct = isinstance(first, Select) and first.identity and not turned
    h = out if direct else np.empty((*y.shape[:-1], first.shape[0], second.shape[1]), dtype=out.dtype)
    if not (direct and add):
        h[...] = 0
    arguments = _second(second, out.dtype)
    order, group, right = rows.by_second if turned else rows.by_first
    for at in np.ndindex(y.shape[:-1]):

        def task(start: int, stop: int, part: Array = y[at], x: Array = h[at]) -> None:
            # cut among the listed rows, so that parts have equal work: each takes the groups that begin in it
            first_group, last_group = np.searchsorted(group[:-1], (start, stop))
            kernels.sampled_outer(part, order, group, *arguments, right, x, first_group, last_group)

        split(task, 0, rows.count, rows.count * (second.per_row or 1))
    if not direct:
        write(np.swapaxes(out, -1, -2) if turned else out, first.T.left(h), add)


def _sides(u: Factor, w: Factor, rows: Listed) -> tuple[Factor, Factor, Array, Array, bool]:
    """Which factor multiplies x whole (the cheaper), which one only row by row, and their rows; whether w is first."""
    (a, p), (b, q) = u.shape, w.shape
    listed = rows.count
    if u.nnz * q + listed * w.nnz // max(b, 1) <= w.nnz * p + listed * u.nnz // max(a, 1):
        return u, w, rows.f, rows.g, False
    return w, u, rows.g, rows.f, True


def _second(second: Factor, dtype: np.dtype[Any]) -> tuple[Any, ...]:
    """The factor's values and places as `sampled_dot` takes them."""
    values, ptr, step, size = kernel_rows(second, dtype)
    indices = second.places()[0][:0] if second.shared else second.places()[0]
    if isinstance(second, Select) and second.index is not None:
        values, step = np.ones(second.shape[0], dtype), 1
    return values, indices, ptr, step, size
