"""The kernels' contract: a row range and nothing else, from Python and from compiled code."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import matjac as mj
from matjac import kernels

NONE = np.empty(0, np.int64)


def gram_arguments(R):
    """What `casesplit_values` takes for RᵀR, before the range."""
    return np.ascontiguousarray(R.T), 0, False, np.ones(1), NONE, NONE, R.shape[1], NONE, 0


def test_fills_its_rows_and_nothing_else():
    R = np.random.default_rng(0).standard_normal((3, 4))
    A = mj.d_gram_dR(R).tocsr()
    for start, stop in ((0, 16), (0, 0), (3, 7), (15, 16)):
        first, last = A.indptr[start], A.indptr[stop]
        out = np.full(A.nnz, np.nan)
        kernels.casesplit_values(*gram_arguments(R), out, start, stop)
        assert_array_equal(out[: last - first], A.data[first:last])
        assert np.isnan(out[last - first :]).all()


def test_called_from_a_users_compiled_code(compiled):
    casesplit_values = kernels.casesplit_values

    @numba.njit
    def largest(a, shift, blocks, scale, f, g, n, ptr, gap, out):
        casesplit_values(a, shift, blocks, scale, f, g, n, ptr, gap, out, 0, n * n)
        return out.max()

    R = np.random.default_rng(0).standard_normal((3, 4))
    J = mj.d_gram_dR(R)
    assert largest(*gram_arguments(R), np.empty(J.nnz)) == J.toarray().max()


DTYPES = (np.float64, np.float32, np.complex128)
sizes = st.integers(0, 4)
seeds = st.integers(0, 999)
dtypes = st.sampled_from(DTYPES)
indices = st.sampled_from([np.int32, np.int64])


def numbers(rng, shape, dtype):
    a = rng.standard_normal(shape)
    return (a + 1j * rng.standard_normal(shape) if np.dtype(dtype).kind == "c" else a).astype(dtype)


def close(found, wanted):
    wanted = np.asarray(wanted)
    assert found.shape == wanted.shape
    assert_allclose(found, wanted, rtol=0, atol=1e-5 if found.dtype == np.float32 else 1e-14)


def random_csr(rng, rows, columns, dtype):
    """Values, indices, pointers and the dense matrix; some values are zero."""
    places = rng.random((rows, columns)) < 0.5
    dense = np.where(places, numbers(rng, (rows, columns), dtype), 0).astype(dtype)
    dense[rng.random(dense.shape) < 0.2] = 0
    pointers = np.concatenate([[0], np.cumsum(places.sum(axis=1))])
    return dense[places], np.nonzero(places)[1], pointers, dense, places


def cut(rng, rows):
    """A range of rows, and all of them."""
    start, stop = np.sort(rng.integers(0, rows + 1, 2))
    return (int(start), int(stop)), (0, rows)


@given(sizes, sizes, sizes, dtypes, indices, seeds)
def test_product_of_sparse_matrices(m, n, p, dtype, index, seed):
    rng = np.random.default_rng(seed)
    a, aidx, aptr, A, a_places = random_csr(rng, m, n, dtype)
    b, bidx, bptr, B, b_places = random_csr(rng, n, p, dtype)
    product = np.zeros((m, p), dtype)
    places = np.zeros((m, p), bool)
    for i in range(m):
        for k in range(n):
            for j in range(p):
                product[i, j] += A[i, k] * B[k, j]
                places[i, j] |= a_places[i, k] and b_places[k, j]
    ptr, idx = np.concatenate([[0], np.cumsum(places.sum(axis=1))]), np.nonzero(places)[1]
    given = [x.astype(index) for x in (aidx, aptr, bidx, bptr, idx, ptr)]
    for start, stop in cut(rng, m):
        out, sums = np.full(ptr[stop] - ptr[start] + 1, 7, dtype), np.zeros(p, dtype)
        kernels.spgemm(a, *given[:2], b, *given[2:], sums, out, start, stop)
        close(out[:-1], product[start:stop][places[start:stop]])
        assert out[-1] == 7
        assert not sums.any()
        counts = np.full(stop - start + 1, -7)
        kernels.count_spgemm(*given[:4], np.full(p, -1), counts, start, stop)
        assert counts.tolist() == [*places[start:stop].sum(axis=1), -7]


@given(sizes, sizes, sizes, st.integers(0, 6), dtypes, seeds)
def test_some_entries_of_a_product(m, n, rank, count, dtype, seed):
    rng = np.random.default_rng(seed)
    count = count if m and n else 0
    a, b = numbers(rng, (m, rank), dtype), numbers(rng, (n, rank), dtype)
    i, j = rng.integers(0, max(m, 1), count), rng.integers(0, max(n, 1), count)
    for start, stop in cut(rng, count):
        out = np.full(stop - start + 1, 7, dtype)
        kernels.sddmm(a, b, i, j, out, start, stop)
        close(
            out[:-1], np.array([sum(a[i[r], k] * b[j[r], k] for k in range(rank)) for r in range(start, stop)], dtype)
        )
        assert out[-1] == 7


@given(sizes, sizes, sizes, st.integers(0, 6), dtypes, seeds)
def test_the_adjoint_of_some_entries_of_a_product(m, n, rank, count, dtype, seed):
    """Added to what is there, in rows of the range alone."""
    rng = np.random.default_rng(seed)
    count = count if m and n else 0
    b, y = numbers(rng, (n, rank), dtype), numbers(rng, (count,), dtype)
    i, j = rng.integers(0, max(m, 1), count), rng.integers(0, max(n, 1), count)
    order = np.argsort(i, kind="stable")
    group = np.searchsorted(i[order], np.arange(m + 1))
    for start, stop in cut(rng, m):
        out = numbers(rng, (m, rank), dtype)
        wanted = out.copy()
        for r in range(count):
            if start <= i[r] < stop:
                wanted[i[r]] += y[r] * b[j[r]]
        kernels.spmm(y, order, group, b, j[order], out, start, stop)
        close(out, wanted)


@given(sizes, sizes, dtypes, seeds, st.integers(0, 3))
def test_entries_dealt_out_by_column(m, n, dtype, seed, base):
    """Rows become columns: the entries of some columns, and the rows that they come from."""
    rng = np.random.default_rng(seed)
    data, idx, ptr, A, places = random_csr(rng, m, n, dtype)
    rows = np.repeat(np.arange(m), np.diff(ptr))
    for first, last in cut(rng, n):
        counts = places[:, first:last].sum(axis=0)
        begin = np.concatenate([[0], np.cumsum(counts)])
        found, sources = np.full(begin[-1] + 1, 7, dtype), np.full(begin[-1] + 1, 7, np.int64)
        for k, (source, out, add) in enumerate(((data, found, 0), (rows, sources, base))):
            cursor = begin[:-1].copy()
            # in two parts, as passes in bounded memory deal them
            for part in (slice(0, idx.size // 2), slice(idx.size // 2, None)):
                kernels.scatter_entries(idx[part], source[part], cursor, first, last, add, out)
            assert_array_equal(cursor, begin[1:])
            assert out[-1] == 7, k
        turned = np.argwhere(places[:, first:last].T)
        assert_array_equal(found[:-1], [A[i, first + j] for j, i in turned])
        assert_array_equal(sources[:-1], [i + base for _, i in turned])


@given(sizes, sizes, dtypes, seeds, st.integers(0, 3))
def test_the_first_entries_of_each_row(m, n, dtype, seed, base):
    """Of a range of rows, to places that leave gaps; nothing else is written."""
    rng = np.random.default_rng(seed)
    data, idx, ptr, *_ = random_csr(rng, m, n, dtype)
    counts = np.array([rng.integers(0, k + 1) for k in np.diff(ptr)], np.int64)
    place = np.cumsum([1, *(counts + 2)])[:-1].astype(np.int64)
    for start, stop in cut(rng, m):
        found, columns = np.full(int(counts.sum()) + 2 * m + 2, 7, dtype), np.full(int(counts.sum()) + 2 * m + 2, -1)
        wanted, wanted_columns = found.copy(), columns.copy()
        for r in range(start, stop):
            for k in range(counts[r]):
                wanted[place[r] + k] = data[ptr[r] + k]
                wanted_columns[place[r] + k] = idx[ptr[r] + k] + base
        kernels.copy_prefixes(data, ptr[:-1], counts, place, 0, found, start, stop)
        kernels.copy_prefixes(idx, ptr[:-1], counts, place, base, columns, start, stop)
        assert_array_equal(found, wanted)
        assert_array_equal(columns, wanted_columns)


@given(sizes, dtypes, seeds)
def test_a_lower_triangle_mirrored(n, dtype, seed):
    rng = np.random.default_rng(seed)
    lower = np.tril(numbers(rng, (n, n), dtype)) * (rng.random((n, n)) < 0.6)
    places = np.tril(rng.random((n, n)) < 0.6)
    columns = np.concatenate([np.flatnonzero(row) for row in places] or [np.empty(0, np.int64)])
    ptr = np.cumsum([0, *places.sum(axis=1)]).astype(np.int64)
    both = places | places.T
    offsets = np.cumsum([0, *both.sum(axis=1)]).astype(np.int64)
    out = np.zeros(offsets[-1] + 1, dtype)
    for r in range(n):
        out[offsets[r] : offsets[r] + places[r].sum()] = lower[r][places[r]]
    kernels.mirror(columns, ptr, out, offsets, offsets[:-1] + places.sum(axis=1), out)
    whole = np.where(np.tri(n, dtype=bool), lower, lower.T)
    assert_array_equal(out[:-1], whole[both])
    assert out[-1] == 0


@st.composite
def absent(draw):
    """Two sparse matrices, pairs (f, g) of their rows of which some are absent, and scales."""
    rng, dtype = np.random.default_rng(draw(seeds)), draw(dtypes)
    m, n, count = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(0, 6))
    u, w = random_csr(rng, m, draw(sizes), dtype), random_csr(rng, n, draw(sizes), dtype)
    f, g = rng.integers(-1, m, count), rng.integers(0, n, count)
    f[rng.random(count) < 0.3] = -1
    return rng, u, w, f, g, numbers(rng, (count if draw(st.booleans()) else 1,), dtype)


def row_by_row(u, w, f, g, scale):
    """What a row of the term is, as lists of columns and values."""
    q, rows = w[3].shape[1], []
    for r, (i, j) in enumerate(zip(f, g, strict=True)):
        s = scale[0 if scale.size == 1 else r]
        pairs = [(k, m) for k in np.flatnonzero(u[4][i]) for m in np.flatnonzero(w[4][j])] if i >= 0 else []
        rows.append(([k * q + m for k, m in pairs], [s * u[3][i, k] * w[3][j, m] for k, m in pairs]))
    return rows


@given(absent(), st.integers(0, 2), st.integers(0, 2))
def test_rows_that_are_absent_have_no_entries(drawn, gap, base):
    rng, u, w, f, g, scale = drawn
    rows, q = row_by_row(u, w, f, g, scale), w[3].shape[1]
    for start, stop in cut(rng, f.size):
        columns, values = [], []
        for mine, its in rows[start:stop]:
            columns += [*(c + base for c in mine), *[-7] * gap]
            values += [*its, *[-7] * gap]
        lengths = [len(mine) + gap for mine, _ in rows[start:stop]]
        ptr = np.concatenate([[0], np.cumsum(lengths)])[:-1].astype(np.int64)
        # either rows follow one another at a distance, or it is said where each begins
        for place, by in ((NONE, gap), (ptr, 0)):
            found, there = np.full(len(values) + 1, -7, u[0].dtype), np.full(len(values) + 1, -7, np.int32)
            sides = u[0], u[2], 0, 0, w[0], w[2], 0, 0
            kernels.kron_values(*sides, scale, f, g, 0, False, place, by, found, start, stop)
            close(found, np.array([*values, -7], found.dtype))
            sides = u[1], u[2], 0, 0, w[1], w[2], 0, 0
            kernels.kron_columns(*sides, q, f, g, 0, False, base, place, by, there, start, stop)
            assert_array_equal(there, [*columns, -7])


# one entry a row is a case of its own
@example(3, 4, 1, 1, False, False, np.float64, 0, 2)
@example(3, 4, 1, 1, True, False, np.float64, 0, 0)
@given(
    sizes, sizes, st.integers(0, 6), st.integers(0, 6), st.booleans(), st.booleans(), dtypes, seeds, st.integers(0, 2)
)
def test_rows_of_a_grid(m, n, p, q, swap, scaled, dtype, seed, gap):
    """Row r is of the pair ``divmod(r, n)``, exchanged where `swap` says so; factors are dense, or the identity."""
    rng = np.random.default_rng(seed)
    u, w = numbers(rng, (n if swap else m, p), dtype), numbers(rng, (m if swap else n, q), dtype)
    scale, base = numbers(rng, (m * n if scaled else 1,), dtype), 3
    listed = np.arange(p), np.arange(q)
    for start, stop in cut(rng, m * n):
        values, columns, identity = [], [], []
        for r in range(start, stop):
            i, j = divmod(r, n)[:: -1 if swap else 1]
            s = scale[r if scaled else 0]
            values += [*(s * u[i, k] * w[j, h] for k in range(p) for h in range(q)), *[-7] * gap]
            columns += [*(base + k * q + h for k in range(p) for h in range(q)), *[-7] * gap]
            identity += [*(base + i * q + h for h in range(q)), *[-7] * gap]
        ptr = np.arange(stop - start) * (p * q + gap)
        for place, by in ((NONE, gap), (ptr, 0)):
            found, there = np.full(len(values) + 1, -7, dtype), np.full(len(values) + 1, -7)
            kernels.kron_values(
                u.ravel(), NONE, p, p, w.ravel(), NONE, q, q, scale, NONE, NONE, n, swap, place, by, found, start, stop
            )
            close(found, np.array([*values, -7], dtype))
            sides = listed[0], NONE, 0, p, listed[1], NONE, 0, q
            if p and q:
                kernels.kron_columns(*sides, q, NONE, NONE, n, swap, base, place, by, there, start, stop)
                assert_array_equal(there, [*columns, -7])
        if q:
            there = np.full(len(identity) + 1, -7)
            sides = NONE, NONE, 0, 1, listed[1], NONE, 0, q
            kernels.kron_columns(*sides, q, NONE, NONE, n, swap, base, NONE, gap, there, start, stop)
            assert_array_equal(there, [*identity, -7])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("size", range(7))
def test_rows_of_the_case_split(size, blocks, dtype):
    """Row (i, j) has a's row j at the columns of i, and b's row i at those of j; long rows are made in other loops."""
    rng, n = np.random.default_rng(0), 3
    ab, scale = numbers(rng, (2 * n, size), dtype), numbers(rng, (n * n,), dtype)
    wanted, places = np.zeros((n * n, n * size), dtype), np.zeros((n * n, n * size), bool)
    for r in range(n * n):
        i, j = divmod(r, n)
        for side, row in ((i, j), (j, n + i)):
            at = slice(side * size, (side + 1) * size) if blocks else slice(side, None, n)
            wanted[r, at] += scale[r] * ab[row]
            places[r, at] = True
    found, there = np.full(places.sum() + 1, 7, dtype), np.full(places.sum() + 1, -7)
    kernels.casesplit_values(ab, n, blocks, scale, NONE, NONE, n, NONE, 0, found, 0, n * n)
    kernels.casesplit_columns(size, size if blocks else n, blocks, NONE, NONE, n, 0, NONE, 0, there, 0, n * n)
    assert_array_equal(there, [*np.nonzero(places)[1], -7])
    close(found, np.array([*wanted[places], 7], dtype))


@given(absent(), absent(), st.integers(0, 2), st.integers(0, 2))
def test_merged_rows_that_are_absent(first, second, gap, base):
    """Entries in one place add up; a row is there as far as one of the terms has it."""
    rng, u, w, f, g, scale = first
    _, z, _, f2, g2, scale2 = second
    # the second term has rows of as many columns, and as many
    count = min(f.size, f2.size)
    dtype = np.result_type(u[0], z[0])
    p = min(u[3].shape[1], z[3].shape[1])
    terms = []
    for side, rows, others, s in ((u, f, g, scale), (z, f2, g2 % w[3].shape[0], scale2)):
        narrow = side[4][:, :p]
        pointers = np.concatenate([[0], np.cumsum(narrow.sum(axis=1))])
        left = side[3][:, :p][narrow].astype(dtype), np.nonzero(narrow)[1], pointers, side[3][:, :p], narrow
        s = np.broadcast_to(s if s.size == 1 else s[:count], (count,)).astype(dtype)
        terms.append((left, rows[:count], others[:count], s))
    q = w[3].shape[1]
    wanted = [{} for _ in range(count)]
    for left, rows, others, s in terms:
        s = s if s.size != 1 else np.repeat(s, max(count, 1))
        for r, (columns, values) in enumerate(row_by_row(left, w, rows, others, s)):
            for column, value in zip(columns, values, strict=True):
                wanted[r][column] = wanted[r].get(column, 0) + value
    a, b = terms
    table = np.array([
        [2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0],
        [2, 0, count, count, 1, a[0][2].size, a[0][1].size, 0, w[2].size, w[1].size, 0],
    ])  # fmt: skip
    given = (
        table,
        np.concatenate([a[0][0], b[0][0]]),
        np.concatenate([a[0][1], b[0][1]]),
        np.concatenate([a[0][2], b[0][2] + a[0][0].size]),
        np.concatenate([w[0], w[0]]).astype(dtype),
        np.concatenate([w[1], w[1]]),
        np.concatenate([w[2], w[2] + w[0].size]),
        np.concatenate([a[3], b[3]]),
        np.concatenate([a[1], b[1]]),
        np.concatenate([a[2], b[2]]),
        q,
        base,
    )
    for start, stop in cut(rng, count):
        lengths = [len(row) for row in wanted[start:stop]]
        columns = [part for row in wanted[start:stop] for part in [*(c + base for c in sorted(row)), *[-7] * gap]]
        values = [part for row in wanted[start:stop] for part in [*(row[c] for c in sorted(row)), *[-7] * gap]]
        cursor, coef = np.empty((2, 8), np.int64), np.empty(2, dtype)
        counts = np.full(stop - start, -7, np.int64)
        none = np.empty(0, dtype)
        kernels.merge_rows(*given, cursor, coef, counts, NONE, none, NONE, 0, start, stop)
        assert_array_equal(counts, lengths)
        there, found = np.full(len(columns) + 1, -7, np.int64), np.full(len(values) + 1, -7, dtype)
        kernels.merge_rows(*given, cursor, coef, NONE, there, none, NONE, gap, start, stop)
        kernels.merge_rows(*given, cursor, coef, NONE, NONE, found, NONE, gap, start, stop)
        assert_array_equal(there, [*columns, -7])
        close(found, np.array([*values, -7], dtype))
        ptr = np.concatenate([[0], np.cumsum([length + gap for length in lengths])])[:-1].astype(np.int64)
        again = np.full(len(values) + 1, -7, dtype)
        kernels.merge_rows(*given, cursor, coef, NONE, NONE, again, ptr, 0, start, stop)
        assert_array_equal(again, found)


def test_sums_beyond_the_index_type_of_the_factors(compiled):
    """Positions and columns are reckoned in int64, whatever the index arrays of factors and matrices are."""
    u = np.array([2**15], np.int32)
    out = np.empty(1, np.int64)
    one = np.array([0, 1], np.int64)
    kernels.kron_columns(u, one, 0, 0, u, one, 0, 0, 2**17, NONE, NONE, 1, False, 0, NONE, 0, out, 0, 1)
    assert out[0] == 2**32 + 2**15


def test_sparse_kernels_agree_with_scipy(compiled):
    """At a size where threads and vectors matter."""
    rng = np.random.default_rng(0)
    A, B = (sp.random_array(shape, density=0.05, rng=rng, format="csr") for shape in ((300, 200), (200, 250)))
    product = A @ B
    product.sort_indices()
    out, sums = np.empty(product.nnz), np.zeros(250)
    parts = A.data, A.indices, A.indptr, B.data, B.indices, B.indptr, product.indices, product.indptr
    kernels.spgemm(*parts, sums, out, 0, 300)
    assert_allclose(out, product.data, rtol=1e-12)


def test_read_only_and_strided_arguments_compile_nothing_new(compiled):
    x, R = np.arange(4.0), np.arange(6.0).reshape(2, 3)
    mj.d_matvec_dA(x, 2).tocsr()
    mj.d_gram_dR(R).tocsr()
    known = [len(k.signatures) for k in (kernels.kron_values, kernels.casesplit_values)]
    frozen = x.copy()
    frozen.flags.writeable = False
    for argument in (frozen, np.broadcast_to(1.0, (4,)), np.arange(8.0)[::2], x[::-1]):
        mj.d_matvec_dA(argument, 2).tocsr()
        mj.d_gram_dR(argument[None, :]).tocsr()
    mj.d_gram_dR(np.broadcast_to(2.0, (2, 3))).tocsr()
    assert known == [len(k.signatures) for k in (kernels.kron_values, kernels.casesplit_values)]


def test_one_pool_for_fills_of_every_size(compiled):
    code = """
import threading, numpy as np, matjac as mj
for n in (150, 200, 300, 400):
    mj.d_gram_dR(np.ones((50, n))).tocsr()
print(threading.active_count())
"""
    assert int(run(code, MATJAC_NUM_THREADS="6").stdout) <= 6


def test_no_part_writes_on_after_another_failed(compiled):
    code = """
import time
from matjac.threads import split
late = []
def task(start, stop):
    if start == 0:
        raise RuntimeError
    time.sleep(0.2)
    late.append(start)
try:
    split(task, 0, 10, 10**8)
except RuntimeError:
    print(len(late))
"""
    assert run(code, MATJAC_NUM_THREADS="2").stdout.strip() == "1"


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.slow
def test_no_writable_cache_folder(compiled, tmp_path):
    """An import from a folder that can't be written, by a user whose own cache can't be either."""
    home = tmp_path / "home"
    package = tmp_path / "site" / "matjac"
    shutil.copytree(Path(mj.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    if not (package / "kernels").exists():
        shutil.copytree(Path(kernels.__file__).parent, package / "kernels")
    # a file where a folder would be made: root may write anywhere else
    home.write_text("")
    (package / "kernels" / "__pycache__").write_text("")
    code = "import matjac as mj; print(mj.__file__, mj.d_matvec_dA([1.0, 2.0], 2).toarray().sum())"
    result = run(code, PYTHONPATH=str(tmp_path / "site"), HOME=str(home), XDG_CACHE_HOME=str(home / "cache"))
    assert result.returncode == 0, result.stderr
    assert str(package) in result.stdout
    assert "6.0" in result.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_threads_survive_a_fork(compiled):
    code = """
import os, warnings, numpy as np, matjac as mj
warnings.simplefilter("ignore")
J = mj.d_gram_dR(np.ones((50, 200)))
expected = J.tocsr().data.sum()
child = os.fork()
if child == 0:
    os._exit(0 if J.tocsr().data.sum() == expected else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    result = run(code, MATJAC_NUM_THREADS="2")
    assert result.stdout.strip() == "0", result.stderr


def test_threads_agree_with_one(compiled):
    code = """
import numpy as np, matjac as mj
J = mj.d_gram_dR(np.arange(12000.0).reshape(60, 200))
A = J.tocsr()
print(J.nnz, hash(A.data.tobytes()), hash(A.indices.tobytes()))
"""
    results = {run(code, MATJAC_NUM_THREADS=n, PYTHONHASHSEED="0").stdout for n in ("1", "2", "3")}
    assert len(results) == 1
    assert results.pop().startswith("4788000 ")


def test_a_bad_thread_count_is_named(compiled):
    code = "import numpy as np, matjac as mj; mj.d_gram_dR(np.ones((2, 2))).tocsr()"
    result = run(code, MATJAC_NUM_THREADS="many")
    assert "MATJAC_NUM_THREADS: got 'many', expected a positive integer" in result.stderr


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 1), (4, 7)])
def test_a_recurrence(rows, columns, dtype):
    rng = np.random.default_rng(0)
    x, c = numbers(rng, (rows, columns), dtype), numbers(rng, (rows, columns), dtype)
    wanted = np.zeros((rows, columns), dtype)
    for r in range(rows):
        for k in range(columns):
            wanted[r, k] = c[r, k] + (x[r, k] * wanted[r, k - 1] if k else 0)
    # whatever was in the output before
    out = np.full((rows, columns), np.nan, dtype)
    kernels.recurrence(x, c, out, 0, rows)
    close(out, wanted)
    part = np.full((1, columns), np.nan, dtype)
    kernels.recurrence(x, c, part, rows - 1, rows)
    close(part, wanted[-1:])


@given(seeds, st.integers(1, 6), st.integers(1, 5), st.booleans(), st.booleans(), st.booleans())
def test_picks(seed, rows, width, alike, signed, scaled):
    """Numbers of a table and sums of some, where they are put; all rows alike, or each with its own."""
    rng = np.random.default_rng(seed)
    count = np.full(rows, width) if alike else rng.integers(0, width + 1, rows)
    extra = np.where(count > 0, 1 if alike else rng.integers(0, 3, rows), 0)
    kinds = 1 if alike else rows
    begins, sums = (np.concatenate([[0], np.cumsum(n[:kinds])]) for n in (count, extra))
    step = 7 if alike else 0
    table = rng.standard_normal(step * rows + 7)
    source, more = rng.integers(0, 7, begins[-1]), rng.integers(0, 7, sums[-1])
    to = np.concatenate([rng.integers(0, max(count[k], 1), extra[k]) for k in range(kinds)])
    turned = rng.choice([-1, 1], source.size if signed else 0).astype(np.int8)
    signs, scale = rng.choice([-1, 1], more.size).astype(np.int8), rng.standard_normal(rows if scaled else 1)
    place = np.concatenate([[0], np.cumsum(count + 1)])[:-1]
    wanted = np.zeros(int((count + 1).sum()))
    for r in range(rows):
        k = 0 if alike else r
        for e in range(count[r]):
            number = table[step * r + source[begins[k] + e]]
            wanted[place[r] + e] = scale[r if scaled else 0] * number * (turned[begins[k] + e] if signed else 1)
        for m in range(sums[k], sums[k + 1]):
            wanted[place[r] + to[m]] += scale[r if scaled else 0] * signs[m] * table[step * r + more[m]]
    out = np.zeros(wanted.size)
    kernels.pick_values(table, step, source, turned, begins, to, more, signs, sums, scale, place, out, 0, rows)
    close(out, wanted)


@given(seeds, st.integers(0, 5), st.integers(1, 5), st.sampled_from([-1, 0, 1]), st.booleans())
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_picked_products(dtype, seed, rows, n, mirrored, scaled):
    """Runs of products of two rows, and of the same with places exchanged; anything between rows stays."""
    rng = np.random.default_rng(seed)
    a, b, f, g = numbers(rng, (3, n), dtype), numbers(rng, (4, n), dtype), *rng.integers(0, 3, (2, rows))
    scale = numbers(rng, rows if scaled else 1, dtype)
    lo, hi = np.sort(rng.integers(0, n + 1, (2, n)), axis=0)
    place = np.arange(rows) * (int((hi - lo).sum()) + 1)
    wanted, out = np.full((2, int((hi - lo).sum() + 1) * rows + 1), 7, dtype)
    for r in range(rows):
        at, s = place[r], scale[r if scaled else 0]
        for p in range(n):
            for q in range(lo[p], hi[p]):
                wanted[at] = s * a[f[r], p] * b[g[r], q]
                if mirrored and p != q:
                    wanted[at] += mirrored * s * a[f[r], q] * b[g[r], p]
                at += 1
    kernels.pick_products(a, b, f, g, scale, lo, hi, mirrored, place, out, 0, rows)
    close(out, wanted)


@given(seeds, st.integers(1, 6), st.integers(1, 8), st.data())
def test_count_tiles(seed, rows, columns, data):
    random = np.random.default_rng(seed)
    A = sp.csr_array(random.random((rows, columns)) < 0.5)
    top, left, low, high = (data.draw(st.integers(-3, 3)) for _ in range(4))
    top, left = abs(top), abs(left)
    height, width = rows + top + 2, columns + left + 1
    down, across = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    start, stop = sorted(data.draw(st.tuples(st.integers(0, rows), st.integers(0, rows))))
    tops, lefts = (np.arange(count + 1) * size // count for count, size in ((down, height), (across, width)))
    expected = np.ones((down, across), np.int64)
    for r, c in zip(*A[start:stop].nonzero(), strict=True):
        row, column = start + r + top, c + left
        if low <= column - row <= high:
            expected[np.searchsorted(tops, row, "right") - 1, np.searchsorted(lefts, column, "right") - 1] += 1
    counts = np.ones((down, across), np.int64)
    pointers = A.indptr[start : stop + 1].astype(np.int64) - A.indptr[start]
    own = A.indices[A.indptr[start] : A.indptr[stop]].astype(np.int64)
    kernels.count_tiles(pointers, own, top, left, low, high, tops, lefts, counts, start, stop)
    assert_array_equal(counts, expected)
