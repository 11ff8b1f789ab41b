"""Linear maps made of terms: sums of them, sums beside and above one another, transposes and normal maps.

All answer the same questions; products act on the last axis of an array.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property, reduce
from typing import Any, TypeAlias

import numpy as np

from matjac.caching import Cached
from matjac.factors import Dense, Factor, Select, sandwich
from matjac.layout import Array
from matjac.rows import Grid, Listed
from matjac.terms import Term, sampled, spread


class LinearMap(Cached, ABC):
    """A matrix that is held as its terms."""

    shape: tuple[int, int]
    dtype: np.dtype[Any]

    def apply(self, x: Array) -> Array:
        """J x for x of shape (..., columns)."""
        y = np.empty((*x.shape[:-1], self.shape[0]), np.result_type(self.dtype, x))
        self.into(y, x)
        return y

    def apply_transposed(self, y: Array) -> Array:
        """Jᵀ y for y of shape (..., rows)."""
        x = np.empty((*y.shape[:-1], self.shape[1]), np.result_type(self.dtype, y))
        self.transposed_into(x, y)
        return x

    @abstractmethod
    def into(self, out: Array, x: Array, add: bool = False) -> None:
        """J x into `out`, contiguous on the last axis, or added to it."""

    @abstractmethod
    def transposed_into(self, out: Array, y: Array, add: bool = False) -> None:
        """The same of Jᵀ y."""

    @abstractmethod
    def transpose(self) -> "LinearMap":
        """The transposed map."""

    @abstractmethod
    def conj(self) -> "LinearMap":
        """The complex conjugate."""

    @abstractmethod
    def squared_norms(self) -> Array | None:
        """The squared norm of each column, or None where terms meet in a way without a closed form."""

    @abstractmethod
    def same_pattern(self, other: "LinearMap") -> bool:
        """Whether both have their entries in the same places, for they are made of the same kinds of parts."""


class Sum(LinearMap):
    """A sum of terms on one variable."""

    def __init__(self, terms: Iterable[Term], dtype: np.dtype[Any] | None = None) -> None:
        self.terms = tuple(terms)
        self.shape = self.terms[0].shape
        # merging them needs the same blocks of columns
        assert len({(term.u.shape[1], term.w.shape[1]) for term in self.terms}) == 1
        parts = [part for term in self.terms for part in term.dtypes]
        # a sum of selections alone is float64
        self.dtype = dtype or (np.result_type(*parts) if parts else np.dtype(np.float64))

    @property
    def turns(self) -> bool:
        """Whether the transpose is such a sum: every term's is one, and all see the output as matrices of one shape."""
        grids = {(t.rows.m, t.rows.n) if isinstance(t.rows, Grid) else None for t in self.terms}
        return len(grids) == 1 and all(term.turns for term in self.terms)

    @cached_property
    def sandwiches(self) -> list[list[Term]]:
        """Terms that share their factors, and so one product U·X·Wᵀ (both terms of RᵀR do)."""
        groups: dict[tuple[int, int], list[Term]] = {}
        for term in self.terms:
            groups.setdefault((id(term.u), id(term.w)), []).append(term)
        return list(groups.values())

    @cached_property
    def scalings(self) -> list[list[Term]]:
        """Terms that share their scale: their products are scaled together."""
        groups: dict[int, list[Term]] = {}
        for term in self.terms:
            groups.setdefault(id(term.scale), []).append(term)
        return list(groups.values())

    def into(self, out: Array, x: Array, add: bool = False) -> None:
        products: dict[tuple[int, int], Array] = {}
        for group in self.scalings:
            scale = group[0].scale
            direct = scale is None or not add
            part, onto = (out, add) if direct else (np.empty_like(out), False)
            for term in group:
                matrix = x.reshape(*x.shape[:-1], term.u.shape[1], term.w.shape[1])
                if isinstance(term.rows, Listed):
                    sampled(term.u, matrix, term.w, term.rows, part, onto)
                elif isinstance(term.rows, Grid) and not onto and self._alone(term):
                    sandwich(term.u, matrix, term.w, term.rows.scatter(part))
                else:
                    factors = id(term.u), id(term.w)
                    if factors not in products:
                        products[factors] = sandwich(term.u, matrix, term.w)
                    term.rows.put(products[factors], part, onto)
                onto = True
            if scale is not None:
                part *= scale
            if not direct:
                out += part
            add = True

    def transposed_into(self, out: Array, y: Array, add: bool = False) -> None:
        scaled = {id(t[0].scale): y if t[0].scale is None else y * t[0].scale for t in self.scalings}
        for group in self.sandwiches:
            u, w = group[0].u, group[0].w
            matrix = out.reshape(*out.shape[:-1], u.shape[1], w.shape[1])
            whole = []
            for term in group:
                part = scaled[id(term.scale)]
                if isinstance(term.rows, Listed):
                    spread(u, part, w, term.rows, matrix, add)
                    add = True
                else:
                    whole.append(term.rows.scatter(part))
            if whole and add:
                matrix += sandwich(u.T, reduce(np.add, whole), w.T)
            elif whole:
                sandwich(u.T, reduce(np.add, whole), w.T, matrix)
            add = True

    def _alone(self, term: Term) -> bool:
        """Whether no other term shares its product."""
        return any(len(group) == 1 and group[0] is term for group in self.sandwiches)

    def transpose(self) -> LinearMap:
        if not self.turns:
            return Transposed(self)
        return Sum((term.transpose() for term in self.terms), self.dtype)

    def conj(self) -> "Sum":
        return self if self.dtype.kind != "c" else self._map(lambda term: term.conj())

    def take(self, index: Array, memo: dict[Any, Any] | None = None) -> "Sum":
        """Those rows alone, in that order."""
        return self._map(lambda term: term.take(index, memo))

    def ones(self) -> "Sum":
        """The same places, with ones for values: what it makes of positive numbers shows what it reaches."""
        return Sum((replace(t, u=t.u.ones(), w=t.w.ones(), scale=None) for t in self.terms), np.dtype(np.float64))

    def scale_rows(self, factors: Array) -> "Sum":
        """Each row times its number."""
        return Sum((t.scale_rows(factors) for t in self.terms), np.result_type(self.dtype, factors))

    def times(self, number: Any) -> "Sum":
        """The map times a number."""
        terms = []
        for group in self.sandwiches:
            # terms that share their factors go on sharing them
            first = group[0].times(number)
            terms.append(first)
            for term in group[1:]:
                both = term.scale is None and group[0].scale is None
                terms.append(replace(term, u=first.u, w=first.w) if both else term.times(number))
        return Sum(terms, np.result_type(self.dtype, number))

    def plus(self, other: "Sum") -> "Sum":
        """The sum of both; their terms see the variable as matrices of one shape."""
        return Sum(collect([*self.terms, *other.terms]), np.result_type(self.dtype, other.dtype))

    def squared_norms(self) -> Array | None:
        total = np.zeros(self.shape[1], dtype=np.zeros(0, self.dtype).real.dtype)
        for at, first in enumerate(self.terms):
            total += first.squared_norms()
            for second in self.terms[at + 1 :]:
                if not (first.closed and second.closed and first.rows.mirrors(second.rows)):
                    return None
                # Σ_ij u1[j,k] w1[i,l] · u2[i,k] w2[j,l] splits into a sum over i and one over j
                over_i = (second.u.T @ first.w.conj).toarray()
                over_j = (first.u.conj.T @ second.w).toarray()
                total += 2 * (over_i * over_j).real.reshape(-1)
        return total

    def same_pattern(self, other: LinearMap) -> bool:
        return self is other or (
            isinstance(other, Sum)
            and len(self.terms) == len(other.terms)
            and all(a.same_pattern(b) for a, b in zip(self.terms, other.terms, strict=True))
        )

    def _map(self, change: Callable[[Term], Term]) -> "Sum":
        # terms that share a scale go on sharing it: a case split is known by that
        scales: dict[int, Any] = {}
        terms = []
        for term in self.terms:
            changed = change(term)
            terms.append(replace(changed, scale=scales.setdefault(id(term.scale), changed.scale)))
        return Sum(terms, self.dtype)


class Transposed(LinearMap):
    """The transpose of a map that has none of the same kind."""

    def __init__(self, base: LinearMap) -> None:
        self.base = base
        self.shape = base.shape[1], base.shape[0]
        self.dtype = base.dtype

    def into(self, out: Array, x: Array, add: bool = False) -> None:
        self.base.transposed_into(out, x, add)

    def transposed_into(self, out: Array, y: Array, add: bool = False) -> None:
        self.base.into(out, y, add)

    def transpose(self) -> LinearMap:
        return self.base

    def conj(self) -> "Transposed":
        return Transposed(self.base.conj())

    def squared_norms(self) -> None:
        return None

    def same_pattern(self, other: LinearMap) -> bool:
        return isinstance(other, Transposed) and self.base.same_pattern(other.base)


class Normal(LinearMap):
    """``Jᴴ W J`` of a map, for weights W, one a row: products alone need neither J nor its own entries."""

    def __init__(self, base: LinearMap, weights: Array | None = None) -> None:
        self.base, self.weights = base, weights
        self.shape = base.shape[1], base.shape[1]
        self.dtype = base.dtype if weights is None else np.result_type(base.dtype, weights)

    def into(self, out: Array, x: Array, add: bool = False) -> None:
        y = self.base.apply(x)
        self.base.conj().transposed_into(out, y if self.weights is None else y * self.weights, add)

    def transposed_into(self, out: Array, y: Array, add: bool = False) -> None:
        self.transpose().into(out, y, add)

    def transpose(self) -> "Normal":
        # (Jᴴ W J)ᵀ is the conjugate of Jᴴ W J for real W
        return self.conj()

    def conj(self) -> "Normal":
        return Normal(self.base.conj(), self.weights)

    def squared_norms(self) -> None:
        return None

    def same_pattern(self, other: LinearMap) -> bool:
        return isinstance(other, Normal) and self.base.same_pattern(other.base)


Cell: TypeAlias = LinearMap | None


class Blocks(LinearMap):
    """Maps beside one another (one a variable) and above one another (one an output); None is zero."""

    def __init__(
        self, cells: Sequence[Sequence[Cell]], heights: Sequence[int], widths: Sequence[int], dtype: np.dtype[Any]
    ) -> None:
        self.cells = tuple(tuple(band) for band in cells)
        self.heights, self.widths = tuple(heights), tuple(widths)
        self.shape = sum(heights), sum(widths)
        self.dtype = dtype

    def into(self, out: Array, x: Array, add: bool = False) -> None:
        parts = np.split(x, np.cumsum(self.widths)[:-1], axis=-1)
        bands = np.split(out, np.cumsum(self.heights)[:-1], axis=-1)
        for band, total in zip(self.cells, bands, strict=True):
            onto = add
            for cell, part in zip(band, parts, strict=True):
                if cell is not None:
                    cell.into(total, part, onto)
                    onto = True
            if not onto:
                total[...] = 0

    def transposed_into(self, out: Array, y: Array, add: bool = False) -> None:
        # no cell needs transposed factors for it
        self._turn(Transposed).into(out, y, add)

    def transpose(self) -> "Blocks":
        return self._turn(lambda cell: cell.transpose())

    def conj(self) -> "Blocks":
        return self.map(lambda cell: cell.conj())

    def squared_norms(self) -> Array | None:
        columns = []
        for at, width in enumerate(self.widths):
            total = np.zeros(width, dtype=np.zeros(0, self.dtype).real.dtype)
            for cell in (band[at] for band in self.cells):
                norms = 0 if cell is None else cell.squared_norms()
                if norms is None:
                    return None
                total += norms
            columns.append(total)
        return np.concatenate(columns)

    def same_pattern(self, other: LinearMap) -> bool:
        return self is other or (
            isinstance(other, Blocks)
            and (self.heights, self.widths) == (other.heights, other.widths)
            and all(
                a is b if a is None or b is None else a.same_pattern(b)
                for mine, its in zip(self.cells, other.cells, strict=True)
                for a, b in zip(mine, its, strict=True)
            )
        )

    def map(self, change: Callable[[Any], LinearMap]) -> "Blocks":
        """The same blocks with each cell changed."""
        cells = [[None if cell is None else change(cell) for cell in band] for band in self.cells]
        return Blocks(cells, self.heights, self.widths, self.dtype)

    def _turn(self, change: Callable[[LinearMap], LinearMap]) -> "Blocks":
        turned = self.map(change)
        return Blocks(list(zip(*turned.cells, strict=True)), self.widths, self.heights, self.dtype)


def collect(terms: Iterable[Term]) -> list[Term]:
    """The same sum with fewer terms.

    Equal terms become one; dense factors add where the other factor is the identity in both.
    """
    result: list[Term] = []
    for term in terms:
        for at, other in enumerate(result):
            if (gathered := _gathered(other, term)) is not None:
                result[at] = gathered
                break
            if term.closed and other.closed and term.rows.same(other.rows):
                if term.u is other.u and term.w is other.w:
                    result[at] = other.times(2)
                    break
                if _identities(term.w, other.w) and isinstance(term.u, Dense) and isinstance(other.u, Dense):
                    result[at] = replace(other, u=Dense(other.u.array + term.u.array))
                    break
                if _identities(term.u, other.u) and isinstance(term.w, Dense) and isinstance(other.w, Dense):
                    result[at] = replace(other, w=Dense(other.w.array + term.w.array))
                    break
        else:
            result.append(term)
    return result


def _gathered(first: Term, second: Term) -> Term | None:
    """The sum of two terms whose rows take the same row of one dense factor: then the others' rows add up.

    ``s u_i ⊗ w_j + t u_i ⊗ z_k`` is ``u_i ⊗ (s w_j + t z_k)``: the two terms of a softmax become one.
    """
    if first.u is not second.u or not isinstance(first.u, Dense) or first.closed or second.closed:
        return None
    if not (isinstance(first.w, Dense) or isinstance(second.w, Dense)):
        return None
    pairs = [term.rows.pairs(0, term.rows.count) for term in (first, second)]
    if not np.array_equal(pairs[0][0], pairs[1][0]):
        return None
    parts = []
    for term, (_, rows) in zip((first, second), pairs, strict=True):
        w = term.w.take(rows).toarray()
        parts.append(w if term.scale is None else w * term.scale[:, None])
    return Term(first.u, Dense(parts[0] + parts[1]), Listed(pairs[0][0], np.arange(first.rows.count)))


def _identities(*factors: Factor) -> bool:
    return all(isinstance(f, Select) and f.identity for f in factors) and len({f.shape for f in factors}) == 1
