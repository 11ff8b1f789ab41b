"""Terms of every kind, and sums of them, against matrices written from their definition."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from matjac.entries.filler import Place
from matjac.entries.kron import CaseSplitFiller, KronFiller, is_case_split
from matjac.entries.merge import MergeFiller, overlap
from matjac.linear.factors import Dense, Eye, Sparse
from matjac.linear.program import Program
from matjac.linear.rowmap import RowMap, counting, listed
from matjac.linear.terms import Term, Terms
from matjac.linear.transposes import grid_of, transposed, turned

DTYPES = (np.float64, np.float32, np.complex128)


@dataclass
class Sum:
    """Terms with the numbers of a point, and how many columns they have."""

    terms: list[Term]
    values: list[Any]
    columns: int
    dtype: Any = np.float64
    #: places and numbers of each factor as dense arrays, by the factor
    known: dict[int, tuple[Any, Any]] = field(default_factory=dict)

    @property
    def shape(self):
        return self.terms[0].count, self.columns


class Maker:
    """Makes random factors, row maps and scales."""

    def __init__(self, draw, dtype=np.float64):
        self.draw, self.dtype = draw, np.dtype(dtype)
        self.rng = np.random.default_rng(draw(st.integers(0, 999)))
        self.values: list[Any] = []
        self.known: dict[int, tuple[Any, Any]] = {}

    def numbers(self, shape):
        a = self.rng.standard_normal(shape)
        a = a + 1j * self.rng.standard_normal(shape) if self.dtype.kind == "c" else a
        return a.astype(self.dtype)

    def value(self, array):
        self.values.append(array)
        return len(self.values) - 1

    def factor(self, rows, columns, kinds=("dense", "sparse", "one a row", "identity")):
        kind = self.draw(st.sampled_from(kinds))
        if kind == "identity" and rows == columns:
            made, matrix, places = Eye((rows, rows)), np.eye(rows), np.eye(rows) > 0
        elif kind == "dense" or columns == 0 or kind == "identity":
            matrix = self.numbers((rows, columns))
            made, places = Dense((rows, columns), value=self.value(matrix)), np.ones((rows, columns), bool)
        else:
            places = self.rng.random((rows, columns)) < 0.5
            if kind == "one a row":
                places = np.eye(columns, dtype=bool)[self.rng.integers(0, columns, rows)]
            # a zero by value is an entry
            data = self.numbers(np.count_nonzero(places)) * (self.rng.random(np.count_nonzero(places)) < 0.8)
            pointers = np.concatenate([[0], np.cumsum(places.sum(axis=1))]).astype(np.int64)
            matrix = np.zeros((rows, columns), self.dtype)
            matrix[places] = data
            # a constant sparse matrix is a value itself, others are one vector of numbers
            given = sp.csr_array((data, np.nonzero(places)[1], pointers), shape=(rows, columns))
            number = self.value(given if self.draw(st.booleans()) else data)
            made = Sparse((rows, columns), number, pointers, np.nonzero(places)[1].astype(np.int64))
        self.known[id(made)] = places, matrix
        return made

    def affine(self, shape):
        """An affine map and the number of rows that it reaches."""
        steps = tuple(self.draw(st.integers(-2, 3)) for _ in shape)
        reach = [step * (n - 1) for n, step in zip(shape, steps, strict=True) if n]
        start = -sum(min(r, 0) for r in reach) + self.draw(st.integers(0, 1))
        return RowMap(shape, steps, start), start + sum(max(r, 0) for r in reach) + 1

    def listed(self, shape, rows, absent):
        return listed(np.array(self.rng.integers(-1 if absent or rows == 0 else 0, rows, shape), dtype=np.int64))

    def pair(self, shape, absent=True):
        """A pair of row maps, and how many rows each of the factors has."""
        kind = self.draw(st.sampled_from(["grid", "swapped grid", "affine", "listed", "mixed"]))
        if kind in ("grid", "swapped grid"):
            at = self.draw(st.integers(0, len(shape)))
            f, g = counting(shape, range(at)), counting(shape, range(at, len(shape)))
            m, n = int(np.prod(shape[:at])), int(np.prod(shape[at:]))
            return (f, g, m, n) if kind == "grid" else (g, f, n, m)
        if kind == "affine":
            (f, m), (g, n) = self.affine(shape), self.affine(shape)
            return f, g, m, n
        m, n = self.draw(st.integers(0 if absent else 1, 3)), self.draw(st.integers(1, 3))
        f = self.listed(shape, m, absent)
        if kind == "listed":
            return f, self.listed(shape, n, False), m, n
        g, n = self.affine(shape)
        return f, g, m, n

    def scale(self, shape):
        """None, or a value that broadcasts to the shape."""
        kind = self.draw(st.sampled_from(["none", "each", "some", "one"]))
        if kind == "none":
            return None
        own = tuple(1 if kind == "one" or (kind == "some" and self.draw(st.booleans())) else n for n in shape)
        if kind == "one" and self.draw(st.booleans()):
            own = ()
        return self.value(self.numbers(own))


@st.composite
def sums(draw, most=3, dtypes=(np.float64,)):
    """One to three terms on one variable, of as many rows each."""
    dtype = draw(st.sampled_from(dtypes))
    make = Maker(draw, dtype)
    shape = tuple(draw(st.integers(0, 3)) for _ in range(draw(st.integers(0, 3))))
    p, q = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    terms = []
    for _ in range(draw(st.integers(1, most))):
        # the same rows may be counted as another array's entries
        own = draw(st.sampled_from([shape, (int(np.prod(shape)),), (1, *shape)]))
        f, g, m, n = make.pair(own)
        terms.append(Term(make.factor(m, p), f, make.factor(n, q), g, make.scale(own)))
    return Sum(terms, make.values, p * q, dtype, make.known)


def row_of(rows, index):
    """A map's value by definition."""
    if rows.listed is not None:
        return int(rows.listed[index])
    return rows.start + sum(step * k for step, k in zip(rows.steps, index, strict=True))


def dense(total):
    """The matrix of a sum and the places of its entries, row by row from the definition."""
    matrix, places = np.zeros(total.shape, np.result_type(total.dtype, float)), np.zeros(total.shape, bool)
    for term in total.terms:
        (pu, u), (pw, w) = total.known[id(term.u)], total.known[id(term.w)]
        for r, index in enumerate(np.ndindex(term.shape)):
            i, j = row_of(term.f, index), row_of(term.g, index)
            if i >= 0:
                scale = 1 if term.scale is None else np.broadcast_to(total.values[term.scale], term.shape)[index]
                matrix[r] += scale * np.kron(u[i], w[j])
                places[r] |= np.kron(pu[i], pw[j])
    return matrix, places


def filler_of(total):
    """What fills that sum."""
    if len(total.terms) == 1:
        return KronFiller(total.terms[0])
    return CaseSplitFiller(*total.terms) if is_case_split(total.terms) else MergeFiller(total.terms)


def check_entries(filler, total):
    matrix, places = dense(total)
    rows, dtype = total.shape[0], np.dtype(total.dtype)
    assert filler.rows == rows
    pointers = filler.indptr(0, rows)
    assert pointers.dtype == np.int64
    assert_array_equal(pointers, np.concatenate([[0], np.cumsum(places.sum(axis=1))]))
    assert filler.nnz == pointers[-1]
    assert [filler.offset(r) for r in range(rows + 1)] == pointers.tolist()
    assert filler.per_row is None or set(np.diff(pointers)) <= {filler.per_row}
    columns, values = np.full(filler.nnz + 2, -7, np.int32), np.full(filler.nnz + 2, 7, dtype)
    filler.columns(columns[:-2], 0, rows)
    filler.bind(total.values, dtype)(values[:-2], 0, rows, Place())
    assert_array_equal(columns[:-2], np.nonzero(places)[1])
    tolerance = 1e-5 if dtype.itemsize == 4 else 1e-14
    assert_allclose(values[:-2], matrix[places], atol=tolerance * max(1, np.abs(matrix).max(initial=0)))
    assert_array_equal([*columns[-2:], *values[-2:]], [-7, -7, 7, 7])


@given(sums(dtypes=DTYPES))
def test_entries(total):
    check_entries(filler_of(total), total)


@given(sums(dtypes=DTYPES))
def test_entries_by_merging(total):
    """Of one term too, and of those that another filler would take."""
    check_entries(MergeFiller(total.terms), total)


def check_ranges(filler, total, start, stop):
    """Rows with a gap before each, as beside another variable's entries."""
    plain = filler.indptr(start, stop)
    assert_array_equal(plain, filler.indptr(0, filler.rows)[start : stop + 1] - filler.offset(start))
    ptr = plain[:-1] + 2 * np.arange(1, stop - start + 1)
    fill = filler.bind(total.values, np.dtype(float))
    whole = np.empty(filler.nnz)
    for method, base in ((fill, 0), (filler.columns, 5)):
        method(whole, 0, filler.rows, Place(base=base))
        close, apart = np.full(plain[-1] + 1, np.nan), np.full(plain[-1] + 2 * (stop - start) + 1, np.nan)
        method(close, start, stop, Place(base=base))
        assert_array_equal(close[:-1], whole[filler.offset(start) : filler.offset(stop)])
        method(apart, start, stop, Place(ptr=ptr, base=base))
        for r in range(stop - start):
            assert_array_equal(apart[ptr[r] : ptr[r] + plain[r + 1] - plain[r]], close[plain[r] : plain[r + 1]])
        assert np.isnan(apart).sum() == 2 * (stop - start) + 1
        assert np.isnan(close[-1])
        evenly = np.full(apart.size, np.nan)
        method(evenly[2:], start, stop, Place(gap=2, base=base))
        assert_array_equal(evenly, apart)


@st.composite
def ranges(draw, rows):
    stop = draw(st.integers(0, rows))
    return draw(st.integers(0, stop)), stop


@given(sums(), st.data())
def test_ranges_of_rows_placed_apart(total, data):
    check_ranges(filler_of(total), total, *data.draw(ranges(total.shape[0])))


@given(sums(), st.data())
def test_merged_ranges_of_rows_placed_apart(total, data):
    check_ranges(MergeFiller(total.terms), total, *data.draw(ranges(total.shape[0])))


# the case split ---------------------------------------------------------------------------------------


@st.composite
def case_splits(draw):
    """dXᵀ·B + A·dX on random A and B, or RᵀR; or B·dXᵀ + dX·A; whole, or listed and scaled rows of it."""
    dtype = draw(st.sampled_from(DTYPES))
    make = Maker(draw, dtype)
    p, n = draw(st.integers(0, 4)), draw(st.integers(0, 4))
    a = make.factor(n, p, ["dense"])
    b = a if draw(st.booleans()) else make.factor(n, p, ["dense"])
    w = Eye((n, n))
    make.known[id(w)] = np.eye(n) > 0, np.eye(n)
    if draw(st.booleans()):
        shape = draw(st.sampled_from([(n, n), (1, n, n), (n, 1, n), (n, n, 1)]))
        middle = len(shape) - 1 if shape[-1] == n and shape != (n, 1, n) else 1
        middle = next(k for k in range(len(shape) + 1) if np.prod(shape[:k]) == n and np.prod(shape[k:]) == n)
        i, j = counting(shape, range(middle)), counting(shape, range(middle, len(shape)))
    else:
        shape = (draw(st.integers(0, 6)) if n else 0,)
        i, j = make.listed(shape, n or 1, False), make.listed(shape, n or 1, False)
    # as compiled functions have it: one scale for both
    scale = make.scale(shape)
    terms = [Term(a, j, w, i, scale), Term(b, i, w, j, scale)]
    if draw(st.booleans()):
        terms = [Term(w, t.g, t.u, t.f, scale) for t in terms]
    return Sum(terms if draw(st.booleans()) else terms[::-1], make.values, n * p, dtype, make.known)


@given(case_splits(), st.data())
def test_the_case_split(total, data):
    assert is_case_split(total.terms)
    split = filler_of(total)
    assert isinstance(split, CaseSplitFiller)
    check_entries(split, total)
    check_entries(MergeFiller(total.terms), total)


@given(case_splits().filter(lambda total: total.dtype == np.float64), st.data())
def test_ranges_of_the_case_split(total, data):
    check_ranges(filler_of(total), total, *data.draw(ranges(total.shape[0])))


def test_what_is_no_case_split():
    """Mirrored terms with scales of their own, rows that are absent, or pairs that are not mirrored."""
    n = 3
    a, w = Dense((n, 2), value=0), Eye((n, n))
    i, j = counting((n, n), [0]), counting((n, n), [1])
    assert is_case_split([Term(a, j, w, i), Term(a, i, w, j)])
    assert is_case_split([Term(a, j, w, i, 7), Term(a, i, w, j, 7)])
    some = j.masked(np.tri(n, dtype=bool))
    for first, second in (
        (Term(a, j, w, i, 7), Term(a, i, w, j, 8)),
        (Term(a, j, w, i), Term(a, i, w, j, 8)),
        (Term(a, j, w, i), Term(a, j, w, i)),
        (Term(a, some, w, i), Term(a, i, w, some)),
        (Term(a, j, w, i), Term(Dense((n, 4), value=1), i, w, j)),
        (Term(w, j, w, i), Term(w, i, w, j)),
        (Term(a, j, a, i), Term(a, i, a, j)),
    ):
        assert not is_case_split([first, second])
    assert not is_case_split([Term(a, j, w, i)])


# counts -----------------------------------------------------------------------------------------------


@given(sums(most=2).filter(lambda total: len(total.terms) == 2))
def test_overlaps_are_counted_from_the_factors(total):
    """In how many places both terms have an entry, where that is known without counting rows."""
    common = overlap(*total.terms)
    if common is not None:
        parts = [dense(Sum([t], total.values, total.columns, total.dtype, total.known))[1] for t in total.terms]
        assert common == np.count_nonzero(parts[0] & parts[1])


def test_grids_are_counted_from_the_factors():
    """Nothing of the size of the rows: a million squared."""
    n = 10**6
    a, w = Dense((n, n), value=0), Eye((n, n))
    i, j = counting((n, n), [0]), counting((n, n), [1])
    assert KronFiller(Term(a, j, w, i)).nnz == n**3
    assert MergeFiller([Term(a, j, w, i), Term(a, i, w, j)]).nnz == 2 * n**3 - n**2
    assert CaseSplitFiller(Term(a, j, w, i), Term(a, i, w, j)).nnz == 2 * n**3 - n**2
    pointers = np.arange(n + 1, dtype=np.int64)
    sparse = Sparse((n, n), 0, pointers, np.arange(n, dtype=np.int64)[::-1].copy())
    assert KronFiller(Term(sparse, i, a, j)).nnz == n**3


# transposes -------------------------------------------------------------------------------------------


def recorded(total):
    """The same terms in a program of their own, in which new values can be recorded: (terms, values)."""
    program = Program()
    for value in total.values:
        if sp.issparse(value):
            program.constants[program.given(value.shape)] = value
        else:
            program.given(np.shape(value))
    return Terms(program)


def run(terms, values):
    """The numbers of all that was recorded."""
    program = terms.values.program
    values = [*values, *[None] * (len(program.shapes) - len(values))]
    for number in range(len(values)):
        if values[number] is None:
            made = program.makers.get(number)
            values[number] = (
                program.constants[number] if made is None else made.primitive.value(*[values[k] for k in made.operands])
            )
    return values


def by_loops(term, values):
    """A term's matrix from the definition, with factors as a program has them."""

    def matrix(factor):
        if isinstance(factor, Eye):
            return np.eye(factor.shape[0])
        out = np.zeros(factor.shape, complex)
        given = values[factor.value]
        data = np.ravel(given.data if sp.issparse(given) else given)
        at = 0
        for row in range(factor.shape[0]):
            if isinstance(factor, Dense):
                out[row] = data[row * factor.shape[1] : (row + 1) * factor.shape[1]]
            else:
                for column in factor.indices[factor.pointers[row] : factor.pointers[row + 1]]:
                    out[row, column] = data[at]
                    at += 1
        return out

    u, w = matrix(term.u), matrix(term.w)
    result = np.zeros((term.count, u.shape[1] * w.shape[1]), complex)
    for r, index in enumerate(np.ndindex(term.shape)):
        i, j = row_of(term.f, index), row_of(term.g, index)
        if i >= 0:
            scale = 1 if term.scale is None else np.broadcast_to(values[term.scale], term.shape)[index]
            result[r] = scale * np.kron(u[i], w[j])
    return result


@given(sums(most=1, dtypes=DTYPES))
def test_transposed_terms(total):
    (term,) = total.terms
    terms = recorded(total)
    other = transposed(terms, term)
    grid = grid_of(term)
    if other is None:
        # only what is scaled, or reads other rows than all pairs, has none
        assert grid is None or term.scale is not None
        return
    assert grid is not None
    m, n, _ = grid
    assert other.count == total.columns
    assert other.u.shape[1] * other.w.shape[1] == m * n == term.count
    assert_allclose(by_loops(other, run(terms, total.values)), dense(total)[0].T, atol=1e-14)


@st.composite
def whole(draw):
    """All of U·dX·Wᵀ or its transpose, and scaled permutations."""
    make = Maker(draw)
    m, n, p, q = (draw(st.integers(0, 3)) for _ in range(4))
    scaled = draw(st.booleans())
    if scaled:
        p, q = m, n
    kinds = ("identity",) if scaled else ("dense", "sparse", "one a row", "identity")
    shape = draw(st.sampled_from([(m, n), (m * n,) if 1 in (m, n) else (m, n), (m, 1, n)]))
    at = 1 if len(shape) > 1 else int(n == 1)
    i, j = counting(shape, range(at)), counting(shape, range(at, len(shape)))
    u, w = make.factor(m, p, kinds), make.factor(n, q, kinds)
    term = Term(u, i, w, j, make.scale(shape) if scaled else None)
    if draw(st.booleans()):
        # rows (j, i) of what has U on the other side
        u, w = make.factor(n, q, kinds), make.factor(m, p, kinds)
        term = Term(u, j, w, i, term.scale)
        p, q = q, p
    return Sum([term], make.values, p * q, np.float64, make.known)


@given(whole())
def test_transposes_of_whole_terms(total):
    """They all have one, and it has the same entries."""
    (term,) = total.terms
    terms = recorded(total)
    other = transposed(terms, term)
    assert other is not None
    values = run(terms, total.values)
    assert_allclose(by_loops(other, values), dense(total)[0].T, atol=1e-14)
    filler = KronFiller(other)
    columns = np.empty(filler.nnz, np.int64)
    filler.columns(columns, 0, filler.rows)
    rows = np.repeat(np.arange(filler.rows), np.diff(filler.indptr(0, filler.rows)))
    assert_array_equal(np.stack([rows, columns]), np.stack(np.nonzero(dense(total)[1].T)))


@given(st.data(), st.integers(0, 4), st.integers(0, 4))
def test_turned_factors(data, rows, columns):
    make = Maker(data.draw)
    factor = make.factor(rows, columns)
    total = Sum([], make.values, 0, np.float64, make.known)
    terms = recorded(total)
    other = turned(terms, factor)
    values = run(terms, make.values)
    places, matrix = make.known[id(factor)]
    assert other.shape == (columns, rows)
    assert_array_equal(other.structure().toarray() > 0, places.T)
    found = np.zeros(other.shape)
    found[places.T] = other.data(values, np.dtype(float))
    assert_array_equal(found, matrix.T)
