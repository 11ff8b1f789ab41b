"""Refilling a matrix in place: what stays, what is allocated, and what a refusal leaves behind."""

import gc
import pickle
import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from numpy.testing import assert_array_equal
from strategies import cases

import matjac as mj
from matjac import refill


@given(cases())
def test_refill_is_a_fresh_matrix(case):
    J = case.jacobian
    expected = J.tocsr()
    out = J.tocsr()
    parts = out.data, out.indices, out.indptr
    out.data[:] = -1
    assert J.tocsr(out=out) is out
    assert all(now is before for now, before in zip((out.data, out.indices, out.indptr), parts, strict=True))
    assert_array_equal(out.toarray(), expected.toarray())


def test_another_values_pattern_is_known():
    rng = np.random.default_rng(0)
    first, second = (mj.d_gram_dR(rng.standard_normal((30, 50))) for _ in range(2))
    out = first.tocsr()
    assert out.nnz > 1 << 16
    second.tocsr(out=out)
    assert_array_equal(out.toarray(), second.toarray())


@pytest.mark.parametrize("shape", [(3, 4), (30, 50)])
def test_a_stranger_with_the_pattern_will_do(shape):
    J = mj.d_gram_dR(np.random.default_rng(0).standard_normal(shape))
    expected = J.toarray()
    for stranger in (sp.csr_array(J.toarray() * 3), sp.csr_matrix(J.toarray() * 3), J.tocsr().copy()):
        assert_array_equal(J.tocsr(out=stranger).toarray(), expected)


def test_index_arrays_changed_behind_its_back():
    R = np.random.default_rng(0).standard_normal((30, 50))
    R[:, 3] = 0
    J = mj.d_gram_dR(R)
    out = J.tocsr()
    assert out.nnz > 1 << 16
    sp.csr_array(out).eliminate_zeros()  # shares out's index arrays, and closes the gaps
    with pytest.raises(ValueError, match=r"^out: got entries in other places"):
        J.tocsr(out=out)
    out = J.tocsr()
    out.indices = out.indices[::-1].copy()
    with pytest.raises(ValueError, match=r"^out: got entries in other places"):
        J.tocsr(out=out)


def test_a_pickled_matrix_needs_no_matjac():
    A = mj.d_gram_dR(np.ones((2, 3))).tocsr()
    assert b"matjac" not in pickle.dumps(A)


def test_what_is_known_of_a_matrix_leaves_with_it():
    A = mj.d_gram_dR(np.ones((2, 3))).tocsr()
    key = id(A.indices)
    assert key in refill._known
    del A
    gc.collect()
    assert key not in refill._known


def refusals():
    J = mj.d_gram_dR(np.arange(1.0, 7).reshape(2, 3))
    good = J.tocsr()

    def change(**parts):
        names = {"data": good.data.copy(), "indices": good.indices.copy(), "indptr": good.indptr.copy()} | parts
        return sp.csr_array((names["data"], names["indices"], names["indptr"]), shape=good.shape)

    swapped = good.indices.copy()
    swapped[[0, 1]] = swapped[[1, 0]]
    frozen = good.copy()
    frozen.data.flags.writeable = False
    moved = good.indptr.copy()
    moved[1] += 1
    in_place = J.tocsr()
    in_place.indices[0] += 1
    yield "type", J, good.toarray(), TypeError
    yield "format", J, good.tocsc(), TypeError
    yield "shape", J, mj.d_gram_dR(np.ones((3, 3))).tocsr(), ValueError
    yield "dtype", J, good.astype(np.float32), ValueError
    yield "order", J, mj.d_gram_dR(np.arange(1.0, 7).reshape(2, 3), order="F").tocsr(), ValueError
    yield "indices", J, change(indices=swapped), ValueError
    yield "indptr", J, change(indptr=moved), ValueError
    yield "fewer", J, sp.csr_array(good.shape), ValueError
    yield "read-only", J, frozen, ValueError
    yield "changed", J, in_place, ValueError
    large = mj.d_gram_dR(np.ones((30, 50)))
    yield "large order", large, mj.d_gram_dR(np.ones((30, 50)), order="F").tocsr(), ValueError


@pytest.mark.parametrize(("J", "out", "error"), [r[1:] for r in refusals()], ids=[r[0] for r in refusals()])
def test_a_refusal_leaves_out_as_it_was(J, out, error):
    parts = [out] if isinstance(out, np.ndarray) else [out.data, out.indices, out.indptr]
    before = [part.copy() for part in parts]
    with pytest.raises(error, match=r"^out"):
        J.tocsr(out=out)
    for part, old in zip(parts, before, strict=True):
        assert_array_equal(part, old)


@pytest.mark.parametrize("layout", ["numerator", "denominator"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_refill_allocates_nothing_of_its_size(compiled, order, layout):
    rng = np.random.default_rng(0)
    arguments = [
        (mj.d_gram_dR, (rng.standard_normal((50, 360)),)),
        (mj.d_matvec_dA, (rng.standard_normal(3600), 3500)),
    ]
    for function, args in arguments:
        out = function(*args, order=order, layout=layout).tocsr()
        assert out.data.nbytes > 100e6 * 0.99
        function(*args, order=order, layout=layout).tocsr(out=out)
        J = function(*args, order=order, layout=layout)
        tracemalloc.start()
        J.tocsr(out=out)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2**20, (function.__name__, order, layout, peak)
