"""Any sum of terms on one variable: the sorted lists of their rows are merged as they are filled."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from matjac import kernels
from matjac.conventions import NONE, Array, cached_property, cumulative
from matjac.entries.assembler import PLAIN, TILE, Assembler, Fill, Place, kernel_rows, row_bytes, scales, steps
from matjac.entries.kron import KronAssembler
from matjac.linear.factors import Dense, Factor
from matjac.linear.terms import Term
from matjac.linear.transposes import pairs_of

NO_VALUES = np.empty(0)


class MergeAssembler(Assembler):
    """A sum of terms whose factors split the columns alike."""

    def __init__(self, terms: Sequence[Term]) -> None:
        self.terms, self.rows = tuple(terms), terms[0].count
        self.q = terms[0].w.shape[1]

    @cached_property
    def nnz(self) -> int:
        common = overlap(*self.terms) if len(self.terms) == 2 else None
        return self.offset(self.rows) if common is None else sum(KronAssembler(t).nnz for t in self.terms) - common

    def indptr(self, start: int, stop: int) -> Array:
        if "offsets" in vars(self):
            # they were counted for all rows
            return super().indptr(start, stop)
        counts = np.empty(stop - start, dtype=np.int64)
        self._merge(self._structure(), counts, NONE, NO_VALUES, start, stop, PLAIN)
        return cumulative(counts)

    def beside(self, itemsize: int, whole: bool = True) -> int:
        lists = sum(row_bytes(t.f, t.g) + itemsize * (t.count if t.scale is not None else 1) for t in self.terms)
        return 2 * (lists + sum((8 + itemsize) * m.nnz for t in self.terms for m in (t.u, t.w)))

    def columns(self, out: Array, start: int, stop: int, place: Place = PLAIN) -> None:
        self._merge(self._structure(), NONE, out, NO_VALUES, start, stop, place)

    def bind(self, values: Sequence[Any], dtype: np.dtype[Any]) -> Fill:
        u, w = (np.concatenate([getattr(t, side).data(values, dtype) for t in self.terms]) for side in "uw")
        given = self._structure(u, w, np.concatenate([scales(t, values, dtype, wide=True) for t in self.terms]))

        return lambda out, start, stop, place: self._merge(given, NONE, NONE, out, start, stop, place)

    @cached_property
    def _table(self) -> tuple[Array, list[Array]]:
        """Where each term's parts begin (see the kernel), and the parts that are structure alone."""
        table = np.zeros((len(self.terms), 11), dtype=np.int64)
        rows = [kernel_rows(term.f, term.g) for term in self.terms]
        table[:, 0] = [2 if f.size or not n else int(swap) for f, _, n, swap in rows]
        table[:, 1] = [n for *_, n, _ in rows]
        table[:, 2] = _begins(f.size for f, *_ in rows)
        table[:, 3] = _begins(1 if term.scale is None else term.count for term in self.terms)
        table[:, 4] = [term.scale is not None for term in self.terms]
        parts = []
        for first, side in ((5, "u"), (8, "w")):
            factors: list[Factor] = [getattr(term, side) for term in self.terms]
            indices, pointers = [m.indices for m in factors], [m.pointers for m in factors]
            table[:, first] = _begins(p.size for p in pointers)
            table[:, first + 1] = _begins(i.size for i in indices)
            table[:, first + 2] = [isinstance(m, Dense) for m in factors]
            entries = _begins(m.nnz for m in factors)
            parts += [np.concatenate(indices), np.concatenate([p + e for p, e in zip(pointers, entries, strict=True)])]
        return table, [*parts, *(np.concatenate(side) for side in ([f for f, *_ in rows], [g for _, g, *_ in rows]))]

    def _structure(self, u: Array = NO_VALUES, w: Array = NO_VALUES, scale: Array = NO_VALUES) -> tuple[Any, ...]:
        table, (uidx, uptr, widx, wptr, f, g) = self._table
        return table, u, uidx, uptr, w, widx, wptr, scale, f, g, self.q

    def _merge(
        self, given: tuple[Any, ...], counts: Array, columns: Array, values: Array, start: int, stop: int, place: Place
    ) -> None:
        terms = len(self.terms)
        cursor, coef = np.empty((terms, 8), dtype=np.int64), np.empty(terms, dtype=values.dtype)
        kernels.merge_rows(*given, place.base, cursor, coef, counts, columns, values, place.ptr, place.gap, start, stop)


def _begins(sizes: Iterable[int]) -> Array:
    """Where each of several parts begins that follow one another."""
    return cumulative(np.fromiter(sizes, np.int64))[:-1]


class DenseSumAssembler(KronAssembler):
    """A sum of terms whose rows are all dense: their values add up place by place."""

    def __init__(self, terms: Sequence[Term]) -> None:
        super().__init__(terms[0])
        self.terms = tuple(terms)

    def beside(self, itemsize: int, whole: bool = True) -> int:
        # two tiles, and each term's scale
        held = 2 * min(self.nnz, TILE) + sum(t.count for t in self.terms if t.scale is not None)
        return itemsize * held + len(self.terms) * row_bytes(self.term.f, self.term.g)

    def bind(self, values: Sequence[Any], dtype: np.dtype[Any]) -> Fill:
        first, *others = (KronAssembler(term).bind(values, dtype) for term in self.terms)
        width = self.offset(1)

        def fill(out: Array, start: int, stop: int, place: Place) -> None:
            plain = not (place.ptr.size or place.gap)
            # as many rows at a time as stay in the cache
            for top, bottom in steps(start, stop, TILE // max(width, 1)):
                at, count = (top - start) * width, (bottom - top) * width
                total = out[at : at + count] if plain else np.empty(count, dtype)
                first(total, top, bottom, PLAIN)
                part = np.empty(count, dtype)
                for other in others:
                    other(part, top, bottom, PLAIN)
                    total += part
                if not plain:
                    rows = np.arange(bottom - top)
                    to = place.ptr[top - start :] if place.ptr.size else (top - start + rows) * (width + place.gap)
                    kernels.copy_prefixes(total, rows * width, np.full_like(rows, width), to, 0, out, 0, rows.size)

        return fill


def is_dense_sum(terms: Sequence[Term]) -> bool:
    """Whether every row of every term is dense."""
    return all(isinstance(t.u, Dense) and isinstance(t.w, Dense) and t.f.full and t.g.full for t in terms)


def overlap(a: Term, b: Term) -> int | None:
    """Number of places in which two terms both have an entry; None if only counting tells."""
    if a.shape != b.shape or any(pairs_of(t) is None for t in (a, b)):
        return None
    if a.f.same(b.f) and a.g.same(b.g):
        # row i of one meets row i of the other, on both sides alone
        return _diagonal_sum(_common(a.u, b.u)) * _diagonal_sum(_common(a.w, b.w))
    if not (a.f.same(b.g) and a.g.same(b.f)):
        return None
    # rows (i, j): one has u_i ⊗ w_j, the other u_j ⊗ w_i
    u, w = _common(a.u, b.u), _common(b.w, a.w)
    height, width = a.u.shape[0], a.w.shape[0]
    if isinstance(u, np.ndarray) and isinstance(w, np.ndarray):
        if u.shape == w.shape:
            return int((u * w).sum()) * (height * width // max(u.size, 1))
        return int(u.sum()) * int(w.sum())
    return int((w.multiply(u) if isinstance(u, np.ndarray) else u.multiply(w)).sum())


def _common(a: Factor, b: Factor) -> Any:
    """How many places row i of one factor and row j of the other share: an array that broadcasts, or sparse."""
    if isinstance(a, Dense):
        return np.diff(b.pointers)[None, :]
    if isinstance(b, Dense):
        return np.diff(a.pointers)[:, None]
    return a.structure() @ b.structure().T


def _diagonal_sum(counts: Any) -> int:
    """The sum of a square `_common`'s diagonal."""
    return int(counts.sum() if isinstance(counts, np.ndarray) else counts.diagonal().sum())
