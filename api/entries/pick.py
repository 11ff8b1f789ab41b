"""The columns of a structured unknown's free entries, from the terms by its whole matrix.

Each entry of the whole matrix is one free entry, with its sign, or none. So an entry of the Jacobian is a number of a
factor, or of a row by the whole matrix, or the sum of two where two entries are one free entry. Which, is found once.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from matjac import kernels
from matjac.conventions import Array, cached_property, cumulative, index_dtype
from matjac.entries.assembler import CHUNK, PLAIN, TILE, Assembler, Fill, Place, scales, steps
from matjac.entries.kron import KronAssembler
from matjac.entries.merge import DenseSumAssembler, is_dense_sum
from matjac.linear.factors import Eye, Factor, taken_rows
from matjac.linear.terms import Term

#: Entries up to which it is kept which number each is: beyond, that is found anew for the rows that are filled.
KEPT = 1 << 28


class Picks(NamedTuple):
    """Which numbers the entries of some rows are, as the kernel takes it."""

    source: Array
    turned: Array
    begins: Array
    to: Array
    more: Array
    signs: Array
    sums: Array


class PickAssembler(Assembler):
    """The product of a sum of terms and a matrix with at most one entry, ±1, in each row."""

    def __init__(self, terms: Sequence[Term], matrix: Any) -> None:
        self.terms, self.rows = tuple(terms), terms[0].count
        self.count = matrix.shape[1]
        counts = np.diff(matrix.indptr)
        #: for each entry of the whole matrix the free one that it is, −1 for none, and its sign
        self.number = np.full(matrix.shape[0], -1, np.int64)
        self.number[counts > 0] = matrix.indices
        self.sign = np.zeros(matrix.shape[0], np.int8)
        self.sign[counts > 0] = matrix.data

    def _merged(self, count: int, rows: Array, whole: Array, source: Array) -> tuple[Array, Array, Picks]:
        """Where each of so many rows begins, the columns of its entries, and which numbers they are.

        Given are the row, the place in the whole matrix, and the number of each that may be one.
        """
        kept = np.flatnonzero(self.number[whole] >= 0)
        rows, whole, source = rows[kept], whole[kept], source[kept]
        key = rows * self.count + self.number[whole]
        order = np.argsort(key, kind="stable")
        key, source, sign = key[order], source[order], self.sign[whole[order]]
        first = np.ones(key.size, bool)
        first[1:] = key[1:] != key[:-1]
        places = np.cumsum(first) - 1
        key = key[first]
        pointers = cumulative(np.bincount(key // max(self.count, 1), minlength=count))
        added = np.flatnonzero(~first)
        row = rows[order][added]
        to = places[added] - pointers[row]
        sums = cumulative(np.bincount(row, minlength=count))
        turned = sign[first] if (self.sign < 0).any() else sign[:0]
        picks = Picks(source[first], turned, pointers, to, source[added], sign[added], sums)
        return pointers, key % max(self.count, 1), picks

    @cached_property
    def offsets(self) -> Array:
        self.require_pointers()
        counts = [np.diff(self._found(*part)[0]) for part in self._parts(0, self.rows)]
        return cumulative(np.concatenate(counts))

    def _parts(self, start: int, stop: int) -> Any:
        widest = sum(
            max(t.u.nnz // max(t.u.shape[0], 1), 1) * max(t.w.nnz // max(t.w.shape[0], 1), 1) for t in self.terms
        )
        return steps(start, stop, TILE // widest)

    def _found(self, start: int, stop: int) -> tuple[Array, Array, Picks]:
        """The pointers, columns and numbers of those rows."""
        raise NotImplementedError

    def columns(self, out: Array, start: int, stop: int, place: Place = PLAIN) -> None:
        pointers = self.indptr(start, stop)
        for first, last in self._parts(start, stop):
            begins, found, _ = self._found(first, last)
            to = _places(place, pointers, start, first, last)
            shift = np.repeat(to - begins[:-1], np.diff(begins))
            out[shift + np.arange(found.size)] = found + place.base


class FactorPicks(PickAssembler):
    """Of terms with an identity for a factor: numbers of the other one."""

    @property
    def found(self) -> bool:  # type: ignore[override]
        return "_kept" in vars(self)

    def beside(self, itemsize: int, whole: bool = True) -> int:
        # which number each entry is, of all that are kept, and a part as it is merged
        kept = self.nnz if self.nnz <= KEPT else 0
        return 24 * self.rows + 128 * min(self.nnz, TILE) + (0 if self.found else 32 * kept)

    @cached_property
    def _begins(self) -> list[int]:
        """Where each term's factor begins in the table."""
        return np.cumsum([0, *(_numbers(term).nnz for term in self.terms)]).tolist()  # type: ignore[no-any-return]

    def _found(self, start: int, stop: int) -> tuple[Array, Array, Picks]:
        rows, whole, source = [], [], []
        for term, begin in zip(self.terms, self._begins, strict=False):
            f, g = (m.rows(start, stop) for m in (term.f, term.g))
            right = _numbers(term) is term.w
            which, other = (g, f) if right else (f, g)
            pointers, columns, positions = taken_rows(_numbers(term), np.where(f < 0, -1, which))
            row = np.repeat(np.arange(stop - start), np.diff(pointers))
            width = term.w.shape[1]
            rows.append(row)
            whole.append(other[row] * width + columns if right else columns * width + other[row])
            source.append(positions + begin)
        return self._merged(stop - start, *map(np.concatenate, (rows, whole, source)))

    @cached_property
    def _kept(self) -> Picks:
        """Which numbers the entries of all rows are."""
        parts = [self._found(*part)[2] for part in self._parts(0, self.rows)]
        source, turned, _, to, more, signs, _ = (np.concatenate(column) for column in zip(*parts, strict=True))
        sums = cumulative(np.concatenate([np.diff(part.sums) for part in parts]))
        dtype = index_dtype(self._begins[-1])
        return Picks(source.astype(dtype), turned, self.offsets, to.astype(dtype), more.astype(dtype), signs, sums)

    def _picks(self, start: int, stop: int) -> Picks:
        if self.nnz > KEPT:
            return self._found(start, stop)[2]
        kept, rows = self._kept, slice(start, stop + 1)
        return kept._replace(begins=kept.begins[rows], sums=kept.sums[rows])

    def bind(self, values: Sequence[Any], dtype: np.dtype[Any]) -> Fill:
        table = np.concatenate([_numbers(term).data(values, dtype) for term in self.terms])
        scale = scales(self.terms[0], values, dtype)

        def fill(out: Array, start: int, stop: int, place: Place) -> None:
            pointers = self.indptr(start, stop)
            parts = [(start, stop)] if self.nnz <= KEPT else self._parts(start, stop)
            for first, last in parts:
                mine = scale if scale.size == 1 else scale[first:last]
                to = _places(place, pointers, start, first, last)
                kernels.pick_values(table, 0, *self._picks(first, last), mine, to, out, 0, last - first)

        return fill


class RowPicks(PickAssembler):
    """Of terms whose rows are dense: numbers of the rows by the whole matrix, which are made in the cache."""

    def beside(self, itemsize: int, whole: bool = True) -> int:
        # some rows by the whole matrix, and which numbers of one they are
        width = self.number.size
        return 24 * self.rows + itemsize * max(TILE, width) + 128 * width

    @cached_property
    def _base(self) -> Assembler:
        return KronAssembler(self.terms[0]) if len(self.terms) == 1 else DenseSumAssembler(self.terms)

    @cached_property
    def _row(self) -> tuple[Array, Picks]:
        """The columns of every row, and which numbers they are."""
        every = np.arange(self.number.size)
        _, columns, picks = self._merged(1, np.zeros(every.size, np.int64), every, every)
        return columns, picks

    @cached_property
    def per_row(self) -> int | None:
        return self._row[0].size

    @cached_property
    def offsets(self) -> Array:
        return np.arange(self.rows + 1) * self._row[0].size

    def columns(self, out: Array, start: int, stop: int, place: Place = PLAIN) -> None:
        found = self._row[0]
        to = _places(place, self.indptr(start, stop), start, start, stop)
        out[to[:, None] + np.arange(found.size)] = found + place.base

    def bind(self, values: Sequence[Any], dtype: np.dtype[Any]) -> Fill:
        of_base, picks, width = self._base.bind(values, dtype), self._row[1], self.number.size
        one = np.ones(1, dtype)

        def fill(out: Array, start: int, stop: int, place: Place) -> None:
            pointers, step = self.indptr(start, stop), max(TILE // max(width, 1), 1)
            table = np.empty(min(step, stop - start) * width, dtype)
            for first, last in steps(start, stop, step):
                of_base(table[: (last - first) * width], first, last, PLAIN)
                to = _places(place, pointers, start, first, last)
                kernels.pick_values(table, width, *picks, one, to, out, 0, last - first)

        return fill


class Runs(NamedTuple):
    """Where the free entries are in the rows of a whole matrix, or of its transpose, one after another.

    Row p has those from column ``lo[p]`` to ``hi[p]``. Entry (q, p) is 1 or -1 times entry (p, q) as `mirrored` says,
    and where that is 0 no free entry.
    """

    lo: Array
    hi: Array
    mirrored: int
    transposed: bool


class RunPicks(RowPicks):
    """Of one term with dense rows where the free entries are runs: a triangle, a symmetric matrix."""

    def __init__(self, terms: Sequence[Term], matrix: Any, runs: Runs) -> None:
        super().__init__(terms, matrix)
        self.runs = runs

    def bind(self, values: Sequence[Any], dtype: np.dtype[Any]) -> Fill:
        (term,), (lo, hi, mirrored, transposed) = self.terms, self.runs
        scale = scales(term, values, dtype)
        a, b = (factor.data(values, dtype).reshape(factor.shape) for factor in (term.u, term.w))

        def fill(out: Array, start: int, stop: int, place: Place) -> None:
            pointers = self.indptr(start, stop)
            # the numbers of so many rows stay in the cache
            for first, last in steps(start, stop, CHUNK):
                f, g = (m.rows(first, last) for m in (term.f, term.g))
                x, y = ((b, g), (a, f)) if transposed else ((a, f), (b, g))
                mine = scale if scale.size == 1 else scale[first:last]
                to = _places(place, pointers, start, first, last)
                kernels.pick_products(x[0], y[0], x[1], y[1], mine, lo, hi, mirrored, to, out, 0, last - first)

        return fill


def runs_of(number: Array, sign: Array) -> Runs | None:
    """The runs of a matrix whose entries are these free ones, or -1 for none, with signs; None where it has others."""
    above = np.triu(number >= 0, 1)
    signs = np.unique(sign[above])
    twice = above.any() and signs.size == 1 and np.array_equal(number, number.T)
    if twice:
        number = np.where(above, -1, number)
    for transposed in (False, True):
        n, s = (number.T, sign.T) if transposed else (number, sign)
        there = n >= 0
        lo, count = there.argmax(axis=1), np.count_nonzero(there, axis=1)
        columns = np.arange(n.shape[1])
        runs = (columns >= lo[:, None]) & (columns < (lo + count)[:, None])
        if np.array_equal(there, runs) and np.array_equal(n[there], np.arange(count.sum())) and np.all(s[there] == 1):
            return Runs(lo, lo + count, int(signs[0]) if twice else 0, transposed)
    return None


def picked(terms: Sequence[Term], matrix: Any) -> PickAssembler | None:
    """How to fill the product of a sum of terms and that matrix by picking numbers; None where it can't be done so."""
    if np.diff(matrix.indptr).max(initial=0) > 1 or not ((matrix.data == 1) | (matrix.data == -1)).all():
        return None
    first = terms[0]
    if all(isinstance(t.u, Eye) or isinstance(t.w, Eye) for t in terms) and all(
        t.scale == first.scale and t.shape == first.shape for t in terms
    ):
        return FactorPicks(terms, matrix)
    if not is_dense_sum(terms):
        return None
    made = RowPicks(terms, matrix)
    whole = first.u.shape[1], first.w.shape[1]
    runs = runs_of(made.number.reshape(whole), made.sign.reshape(whole)) if len(terms) == 1 else None
    return made if runs is None else RunPicks(terms, matrix, runs)


def _numbers(term: Term) -> Factor:
    """The factor that is not an identity."""
    return term.w if isinstance(term.u, Eye) else term.u


def _places(place: Place, pointers: Array, start: int, first: int, last: int) -> Array:
    """Where each of the rows ``first:last`` begins in what is filled for those from `start` on."""
    rows = slice(first - start, last - start)
    if place.ptr.size:
        return place.ptr[rows]
    return pointers[rows] + place.gap * np.arange(first - start, last - start)
