"""Terms: the differential of a matrix function as a sum of ``scale ∘ (U · dX · Wᵀ)``, some rows kept.

With row-major vec, row r of such a term is ``scale[r] * (u_i ⊗ w_j)``, u_i and w_j rows of U and W. The map
from r to (i, j) is the term's `Rows`: all entries of a matrix, the same read transposed (for ``L·dXᵀ·R``),
or a list. Column-major vec is the row-major vec of the transposed matrices, so it needs nothing of its own:
`Term.transpose_vec` exchanges the two factors.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from typing import Any

import numpy as np
from matjac.factors import Dense, Factor, Select, sandwich
from matjac.layout import NONE, Array


@dataclass(frozen=True, eq=False)
class Rows:
    """Which entry (i, j) of P = U·dX·Wᵀ each row takes: a grid of m × n entries, or the lists f and g.

    Row r of a grid is ``divmod(r, n)``, with the two parts exchanged where `swap` is true.
    """

    m: int
    n: int
    swap: bool = False
    f: Array | None = None
    g: Array | None = None

    @property
    def listed(self) -> bool:
        """Whether rows are listed, rather than a grid."""
        return self.f is not None

    @property
    def lists(self) -> tuple[Array, Array]:
        """f and g, empty for a grid: as kernels take them."""
        return (NONE, NONE) if self.f is None or self.g is None else (self.f, self.g)

    @property
    def count(self) -> int:
        """Number of rows."""
        return self.m * self.n if self.f is None else self.f.size

    def same(self, other: "Rows") -> bool:
        """Whether both map every row alike."""
        if self is other:
            return True
        if self.listed or other.listed:
            return self.listed and other.listed and all(map(np.array_equal, self.lists, other.lists))
        return (self.m, self.n, self.swap) == (other.m, other.n, other.swap)

    def mirrors(self, other: "Rows") -> bool:
        """Whether the other reads (j, i) where this reads (i, j)."""
        if self.listed or other.listed:
            return self.listed and other.listed and self.f is other.g and self.g is other.f
        return (self.m, self.n, self.swap) == (other.m, other.n, not other.swap)

    def pairs(self, start: int, stop: int) -> tuple[Array, Array]:
        """(i, j) of rows ``start:stop``, as two int64 arrays."""
        if self.listed:
            f, g = self.lists
            return f[start:stop], g[start:stop]
        i, j = np.divmod(np.arange(start, stop, dtype=np.int64), max(self.n, 1))
        return (j, i) if self.swap else (i, j)

    def gather(self, p: Array) -> Array:
        """The rows' entries of P (on its last two axes), flat."""
        if self.listed:
            return p[..., *self.lists]
        return (np.swapaxes(p, -1, -2) if self.swap else p).reshape(*p.shape[:-2], self.count)

    def scatter(self, y: Array, shape: tuple[int, int]) -> Array:
        """The adjoint of `gather`: a P of that shape with y at the rows' entries, zero elsewhere."""
        if not self.listed:
            p = y.reshape(*y.shape[:-1], self.m, self.n)
            return np.swapaxes(p, -1, -2) if self.swap else p
        p = np.zeros((*y.shape[:-1], *shape), dtype=y.dtype)
        np.add.at(p, (..., *self.lists), y)  # type: ignore[arg-type]
        return p


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
        return not self.rows.listed and self.scale is None

    def transpose(self) -> "Term":
        """The transposed term (of a closed one): Pᵀ's adjoint swaps the factors, P's does not."""
        (p, q), swap = (self.u.shape[1], self.w.shape[1]), self.rows.swap
        u, w = (self.w.T, self.u.T) if swap else (self.u.T, self.w.T)
        return Term(u, w, Rows(p, q, swap))

    def transpose_vec(self) -> "Term":
        """The same term (a grid) where input and output are both vectorised column-major."""
        return replace(self, u=self.w, w=self.u, rows=replace(self.rows, m=self.rows.n, n=self.rows.m))

    def conj(self) -> "Term":
        """The complex conjugate."""
        scale = None if self.scale is None else self.scale.conj()
        return replace(self, u=self.u.conj, w=self.w.conj, scale=scale)

    def squared_norms(self) -> Array:
        """The squared norm of each column: the transposed term, all squared, of ones."""
        u, w = self.u.abs2(), self.w.abs2()
        if self.closed:
            return np.outer(u.column_sums(), w.column_sums()).reshape(-1)
        weight = np.ones(self.rows.count) if self.scale is None else np.abs(self.scale) ** 2
        p = self.rows.scatter(weight, (u.shape[0], w.shape[0]))
        return sandwich(u.T, p, w.T).reshape(-1)

    def after(self, first: "Term") -> "Term":
        """This closed term of `first`'s output: its factors multiply."""
        if first.rows.swap:
            return Term(self.w @ first.u, self.u @ first.w, replace(self.rows, swap=not self.rows.swap))
        return Term(self.u @ first.u, self.w @ first.w, self.rows)


def grid(u: Factor, w: Factor) -> Term:
    """The term ``U · dX · Wᵀ``."""
    return Term(u, w, Rows(u.shape[0], w.shape[0]))


def swapped(u: Factor, w: Factor) -> Term:
    """The term ``W · dXᵀ · Uᵀ``, which is the transposed ``U · dX · Wᵀ``."""
    return Term(u, w, Rows(w.shape[0], u.shape[0], swap=True))


def collect(terms: Iterable[Term]) -> list[Term]:
    """The same sum with fewer terms: dense factors add where the other factor is the identity in both."""
    result: list[Term] = []
    for term in terms:
        for at, other in enumerate(result):
            if term.closed and other.closed and term.rows.same(other.rows):
                if _identities(term.w, other.w) and isinstance(term.u, Dense) and isinstance(other.u, Dense):
                    result[at] = replace(other, u=Dense(other.u.array + term.u.array))
                    break
                if _identities(term.u, other.u) and isinstance(term.w, Dense) and isinstance(other.w, Dense):
                    result[at] = replace(other, w=Dense(other.w.array + term.w.array))
                    break
        else:
            result.append(term)
    return result


def _identities(*factors: Factor) -> bool:
    return all(isinstance(f, Select) and f.identity for f in factors) and len({f.shape for f in factors}) == 1


class Sum:
    """A sum of terms on one variable: a linear map, as products see it."""

    def __init__(self, terms: Iterable[Term], dtype: np.dtype[Any] | None = None) -> None:
        self.terms = tuple(terms)
        self.shape = self.terms[0].shape
        parts = [f.dtype for t in self.terms for f in (t.u, t.w) if not isinstance(f, Select)]
        parts += [t.scale.dtype for t in self.terms if t.scale is not None]
        # selections are ones of any dtype: a sum of nothing else is float64
        self.dtype = dtype or (np.result_type(*parts) if parts else np.dtype(np.float64))

    @property
    def closed(self) -> bool:
        """Whether every term is closed."""
        return all(term.closed for term in self.terms)

    @cached_property
    def sandwiches(self) -> list[list[Term]]:
        """Terms that share their factors, and so one product U·X·Wᵀ (both terms of RᵀR do)."""
        groups: dict[tuple[int, int], list[Term]] = {}
        for term in self.terms:
            groups.setdefault((id(term.u), id(term.w)), []).append(term)
        return list(groups.values())

    def apply(self, x: Array) -> Array:
        """J x for x of shape (..., columns); the result may be a view of x."""
        parts = []
        for group in self.sandwiches:
            u, w = group[0].u, group[0].w
            product = sandwich(u, x.reshape(*x.shape[:-1], u.shape[1], w.shape[1]), w)
            for term in group:
                part = term.rows.gather(product)
                parts.append(part if term.scale is None else part * term.scale)
        return reduce(np.add, parts)

    def apply_transposed(self, y: Array) -> Array:
        """Jᵀ y for y of shape (..., rows); the result may be a view of y."""
        parts = []
        for group in self.sandwiches:
            u, w = group[0].u, group[0].w
            scaled = (y if term.scale is None else y * term.scale for term in group)
            p = reduce(
                np.add,
                [t.rows.scatter(part, (u.shape[0], w.shape[0])) for t, part in zip(group, scaled, strict=True)],
            )
            parts.append(sandwich(u.T, p, w.T).reshape(*y.shape[:-1], self.shape[1]))
        return reduce(np.add, parts)

    def transpose(self) -> "Sum":
        """The transposed map, of closed terms."""
        return Sum((term.transpose() for term in self.terms), self.dtype)

    def conj(self) -> "Sum":
        """The complex conjugate."""
        if self.dtype.kind != "c":
            return self
        return Sum((term.conj() for term in self.terms), self.dtype)

    def after(self, first: "Sum") -> "Sum":
        """The composition of closed sums: every term of one with every term of the other."""
        terms = collect(second.after(term) for second in self.terms for term in first.terms)
        return Sum(terms, np.result_type(self.dtype, first.dtype))

    def same_pattern(self, other: "Sum") -> bool:
        """Whether both have their entries in the same places, for they are made of the same kinds of terms."""
        return self is other or (
            len(self.terms) == len(other.terms)
            and all(
                a.rows.same(b.rows) and a.u.same_pattern(b.u) and a.w.same_pattern(b.w)
                for a, b in zip(self.terms, other.terms, strict=True)
            )
        )

    def squared_norms(self) -> Array | None:
        """The squared norm of each column, or None where two terms meet in a way without a closed form."""
        total = np.zeros(self.shape[1], dtype=np.zeros(0, self.dtype).real.dtype)
        for at, first in enumerate(self.terms):
            total += first.squared_norms()
            for second in self.terms[at + 1 :]:
                if not (first.closed and second.closed and first.rows.swap != second.rows.swap):
                    return None
                # Σ_ij u1[j,k] w1[i,l] · u2[i,k] w2[j,l] splits into a sum over i and one over j
                over_i = (second.u.T @ first.w.conj).toarray()
                over_j = (first.u.conj.T @ second.w).toarray()
                total += 2 * (over_i * over_j).real.reshape(-1)
        return total
