"""The kernels' contract: a row range and nothing else, from Python and from compiled code."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import matjac as mj
from matjac import kernels
from matjac.assembly import filler
from matjac.factors import Dense, Select
from matjac.fill import CaseSplitFill, MergeFill
from matjac.maps import Sum
from matjac.rows import Listed
from matjac.terms import Term, grid, swapped

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


def random_dense(rng, *shape):
    return Dense(rng.standard_normal(shape))


@st.composite
def case_splits(draw):
    """dXᵀ·B + A·dX on random A and B, or RᵀR; or B·dXᵀ + dX·A; whole, or listed and scaled rows of it."""
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    p, n = draw(st.integers(0, 4)), draw(st.integers(0, 4))
    a = random_dense(rng, n, p)
    b = a if draw(st.booleans()) else random_dense(rng, n, p)
    w = Select(n)
    if draw(st.booleans()):
        terms = [swapped(a, w), grid(b, w)] if draw(st.booleans()) else [grid(w, a), swapped(w, b)]
        return Sum(terms if draw(st.booleans()) else terms[::-1])
    count = draw(st.integers(0, 6)) if n else 0
    f, g = rng.integers(0, max(n, 1), (2, count))
    scale = rng.standard_normal(count) if draw(st.booleans()) else None
    return Sum([Term(a, w, Listed(g, f), scale), Term(b, w, Listed(f, g), scale)])


@given(case_splits())
def test_case_split_is_the_sum_of_its_two_terms(total):
    rows = total.shape[0]
    split, merged = filler(total), MergeFill(total)
    assert isinstance(split, CaseSplitFill)
    pointers = split.indptr(0, rows)
    assert_array_equal(pointers, merged.indptr(0, rows))
    assert split.nnz == merged.nnz == pointers[-1]
    assert [split.offset(r) for r in range(rows + 1)] == pointers.tolist()
    columns, values = np.empty((2, 2, split.nnz))
    for way, fill in enumerate((split, merged)):
        fill.columns(columns[way], 0, rows)
        fill.values(values[way], 0, rows)
    assert_array_equal(*columns)
    assert_allclose(*values, rtol=1e-15, atol=1e-15)


def test_mirrored_terms_with_scales_of_their_own_do_not_split():
    rng = np.random.default_rng(0)
    a, w, (f, g) = random_dense(rng, 3, 2), Select(3), rng.integers(0, 3, (2, 5))
    one, other = rng.standard_normal((2, 5))
    total = Sum([Term(a, w, Listed(f, g), one), Term(a, w, Listed(g, f), other)])
    assert isinstance(filler(total), MergeFill)


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
