"""Terms of every kind, and sums of them, against matrices written from their definition."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from terms import DTYPES, Maker, Sum, by_loops, dense, recorded, run, sums

from matjac.entries.assembler import Place
from matjac.entries.kron import CaseSplitAssembler, KronAssembler, is_case_split
from matjac.entries.merge import DenseSumAssembler, MergeAssembler, is_dense_sum, overlap
from matjac.linear.factors import Dense, Eye, Sparse
from matjac.linear.rowmap import counting
from matjac.linear.terms import Term, seed
from matjac.linear.transposes import pairs_of, transposed, transposed_factor


def filler_of(total):
    """What fills that sum."""
    if len(total.terms) == 1:
        return KronAssembler(total.terms[0])
    return CaseSplitAssembler(*total.terms) if is_case_split(total.terms) else MergeAssembler(total.terms)


def check_entries(assembler, total):
    matrix, places = dense(total)
    rows, dtype = total.shape[0], np.dtype(total.dtype)
    assert assembler.rows == rows
    pointers = assembler.indptr(0, rows)
    assert pointers.dtype == np.int64
    assert_array_equal(pointers, np.concatenate([[0], np.cumsum(places.sum(axis=1))]))
    assert assembler.nnz == pointers[-1]
    assert [assembler.offset(r) for r in range(rows + 1)] == pointers.tolist()
    assert assembler.per_row is None or set(np.diff(pointers)) <= {assembler.per_row}
    columns, values = np.full(assembler.nnz + 2, -7, np.int32), np.full(assembler.nnz + 2, 7, dtype)
    assembler.columns(columns[:-2], 0, rows)
    assembler.bind(total.values, dtype)(values[:-2], 0, rows, Place())
    assert_array_equal(columns[:-2], np.nonzero(places)[1])
    tolerance = 1e-5 if dtype.itemsize == 4 else 1e-14
    assert_allclose(values[:-2], matrix[places], atol=tolerance * max(1, np.abs(matrix).max(initial=0)))
    assert_array_equal([*columns[-2:], *values[-2:]], [-7, -7, 7, 7])


@given(sums(dtypes=DTYPES))
def test_entries(total):
    check_entries(filler_of(total), total)


@given(sums(dtypes=DTYPES))
def test_entries_by_merging(total):
    """Of one term too, and of those that another assembler would take."""
    check_entries(MergeAssembler(total.terms), total)


def check_ranges(assembler, total, start, stop):
    """Rows with a gap before each, as beside another variable's entries."""
    plain = assembler.indptr(start, stop)
    assert_array_equal(plain, assembler.indptr(0, assembler.rows)[start : stop + 1] - assembler.offset(start))
    ptr = plain[:-1] + 2 * np.arange(1, stop - start + 1)
    fill = assembler.bind(total.values, np.dtype(float))
    whole = np.empty(assembler.nnz)
    for method, base in ((fill, 0), (assembler.columns, 5)):
        method(whole, 0, assembler.rows, Place(base=base))
        close, apart = np.full(plain[-1] + 1, np.nan), np.full(plain[-1] + 2 * (stop - start) + 1, np.nan)
        method(close, start, stop, Place(base=base))
        assert_array_equal(close[:-1], whole[assembler.offset(start) : assembler.offset(stop)])
        method(apart, start, stop, Place(ptr=ptr, base=base))
        for r in range(stop - start):
            # in another loop, products of three numbers may be taken in another order
            mine, its = apart[ptr[r] : ptr[r] + plain[r + 1] - plain[r]], close[plain[r] : plain[r + 1]]
            assert_allclose(mine, its, rtol=1e-15)
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
    check_ranges(MergeAssembler(total.terms), total, *data.draw(ranges(total.shape[0])))


def test_no_rows_write_nothing():
    """Those of an identity too, whose entries are copied at a distance."""
    out = np.full(5, np.nan)
    KronAssembler(seed((2, 3))).bind([], np.dtype(float))(out, 2, 2, Place(gap=2))
    assert np.isnan(out).all()


def test_scales_that_repeat_are_copied_to_their_rows_alone():
    """Of an identity, one entry a row: ranges of whole rows of the array and of parts of them."""
    scale = np.arange(1.0, 5)[:, None]
    fill = KronAssembler(replace(seed((4, 3)), scale=0)).bind([scale], np.dtype(float))
    for start, stop in ((0, 12), (3, 9), (6, 12), (4, 9), (3, 8)):
        out = np.full(stop - start + 2, np.nan)
        fill(out, start, stop, Place())
        assert_array_equal(out[:-2], np.repeat(scale, 3)[start:stop])
        assert np.isnan(out[-2:]).all()


@st.composite
def dense_sums(draw, dtypes=(np.float64,)):
    """Two or three terms all of whose rows are dense."""
    dtype = draw(st.sampled_from(dtypes))
    make = Maker(draw, dtype)
    shape = tuple(draw(st.integers(0, 3)) for _ in range(draw(st.integers(0, 3))))
    p, q = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    terms = []
    for _ in range(draw(st.integers(2, 3))):
        f, g, m, n = make.pair(shape, absent=False)
        terms.append(Term(make.factor(m, p, ["dense"]), f, make.factor(n, q, ["dense"]), g, make.scale(shape)))
    return Sum(terms, make.values, p * q, dtype, make.known)


@given(dense_sums(dtypes=DTYPES))
def test_sums_of_dense_rows(total):
    assert is_dense_sum(total.terms)
    check_entries(DenseSumAssembler(total.terms), total)


@given(dense_sums(), st.data())
def test_ranges_of_sums_of_dense_rows(total, data):
    check_ranges(DenseSumAssembler(total.terms), total, *data.draw(ranges(total.shape[0])))


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
    assert isinstance(split, CaseSplitAssembler)
    check_entries(split, total)
    check_entries(MergeAssembler(total.terms), total)


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
    assert KronAssembler(Term(a, j, w, i)).nnz == n**3
    assert MergeAssembler([Term(a, j, w, i), Term(a, i, w, j)]).nnz == 2 * n**3 - n**2
    assert CaseSplitAssembler(Term(a, j, w, i), Term(a, i, w, j)).nnz == 2 * n**3 - n**2
    pointers = np.arange(n + 1, dtype=np.int64)
    sparse = Sparse((n, n), 0, pointers, np.arange(n, dtype=np.int64)[::-1].copy())
    assert KronAssembler(Term(sparse, i, a, j)).nnz == n**3


def test_offsets_among_rows_of_different_lengths():
    """Of pairs of rows of two sparse factors, read row by row or column by column."""
    u = Sparse((3, 4), 0, np.array([0, 2, 2, 5]), np.array([1, 3, 0, 1, 2]))
    w = Sparse((2, 3), 1, np.array([0, 1, 4]), np.array([2, 0, 1, 2]))
    i, j = counting((3, 2), [0]), counting((3, 2), [1])
    expected = np.cumsum([0, *np.outer([2, 0, 3], [1, 3]).ravel()]).tolist()
    for term in (Term(u, i, w, j), Term(w, j, u, i)):
        assert [KronAssembler(term).offset(r) for r in range(7)] == expected


# transposes -------------------------------------------------------------------------------------------


@given(sums(most=1, dtypes=DTYPES))
def test_transposed_terms(total):
    (term,) = total.terms
    terms = recorded(total)
    other = transposed(terms, term)
    grid = pairs_of(term)
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
    m, n, p, q = (draw(st.integers(1, 3)) for _ in range(4))
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
    assembler = KronAssembler(other)
    columns = np.empty(assembler.nnz, np.int64)
    assembler.columns(columns, 0, assembler.rows)
    rows = np.repeat(np.arange(assembler.rows), np.diff(assembler.indptr(0, assembler.rows)))
    assert_array_equal(np.stack([rows, columns]), np.stack(np.nonzero(dense(total)[1].T)))


@given(st.data(), st.integers(0, 4), st.integers(0, 4))
def test_turned_factors(data, rows, columns):
    make = Maker(data.draw)
    factor = make.factor(rows, columns)
    total = Sum([], make.values, 0, np.float64, make.known)
    terms = recorded(total)
    other = transposed_factor(terms, factor)
    values = run(terms, make.values)
    places, matrix = make.known[id(factor)]
    assert other.shape == (columns, rows)
    assert_array_equal(other.structure().toarray() > 0, places.T)
    found = np.zeros(other.shape)
    found[places.T] = other.data(values, np.dtype(float))
    assert_array_equal(found, matrix.T)
