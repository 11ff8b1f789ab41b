"""Refilling a matrix in place: what stays, what is allocated, and what a refusal leaves behind."""

import gc
import pickle
import tracemalloc
import weakref

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from numpy.testing import assert_allclose, assert_array_equal
from strategies import cases

import matjac as mj
from matjac.entries import pattern


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


@given(cases())
def test_index_arrays_are_shared_and_read_only(case):
    first, second = case.jacobian.tocsr(), case.jacobian.tocsr()
    again = first.data.copy()
    for part in ("indices", "indptr"):
        mine, its = (getattr(matrix, part) for matrix in (first, second))
        # of dense arguments the places follow from the shapes
        assert case.sparse or np.shares_memory(mine, its) or mine.size == 0
        assert not mine.flags.writeable
        assert getattr(first.copy(), part).flags.writeable
    assert not np.shares_memory(first.data, second.data) or first.nnz == 0
    second.data[:] = 7
    assert_array_equal(first.data, again)


def test_another_values_pattern_is_known(monkeypatch):
    """Told by the index arrays, which it shares: nothing is compared."""
    rng = np.random.default_rng(0)
    first, second = (mj.d_gram_dR(rng.standard_normal((30, 50))) for _ in range(2))
    out = first.tocsr()
    compared = []
    plain = np.array_equal
    monkeypatch.setattr(pattern.np, "array_equal", lambda *args: compared.append(1) or plain(*args))
    second.tocsr(out=out)
    assert not compared
    first.tocsr(out=out.copy())
    assert compared
    monkeypatch.undo()
    assert_array_equal(out.toarray(), second.toarray())


@pytest.mark.parametrize("shape", [(3, 4), (30, 50)])
def test_a_stranger_with_the_pattern_will_do(shape):
    J = mj.d_gram_dR(np.random.default_rng(0).standard_normal(shape))
    expected = J.toarray()
    for stranger in (sp.csr_array(J.toarray() * 3), sp.csr_matrix(J.toarray() * 3), J.tocsr().copy()):
        assert_array_equal(J.tocsr(out=stranger).toarray(), expected)


def test_a_pattern_that_changed_is_refused():
    R = np.random.default_rng(0).standard_normal((30, 50))
    R[:, 3] = 0
    J = mj.d_gram_dR(R)
    dense = J.toarray()
    with pytest.raises(ValueError, match="read-only"):
        J.tocsr().eliminate_zeros()
    out = J.tocsr().copy()
    J.tocsr(out=out)
    out.eliminate_zeros()
    fewer = out.copy()
    with pytest.raises(ValueError, match=r"^out"):
        J.tocsr(out=out)
    assert_array_equal(out.indices, fewer.indices)
    assert_array_equal(out.data, fewer.data)
    # a copy's index arrays, shared with another matrix that drops its entries: as long, but for gaps that are closed
    shared = J.tocsr().copy()
    J.tocsr(out=shared)
    sp.csr_array(shared).eliminate_zeros()
    before = shared.data.copy()
    with pytest.raises(ValueError, match=r"^out: got entries in other places"):
        J.tocsr(out=shared)
    assert_array_equal(shared.data, before)
    out = J.tocsr()
    out.indices = out.indices[::-1].copy()
    with pytest.raises(ValueError, match=r"^out: got entries in other places"):
        J.tocsr(out=out)
    assert_array_equal(J.toarray(), dense)


def test_a_pickled_matrix_needs_no_matjac():
    A = mj.d_gram_dR(np.ones((2, 3))).tocsr()
    assert b"matjac" not in pickle.dumps(A)


CLOSED = {
    "gram": lambda t: mj.d_gram_dR(np.full((2, 3), t)),
    "gram, denominator": lambda t: mj.d_gram_dR(np.full((2, 3), t), layout="denominator"),
    "triangle": lambda t: mj.d_gram_dR(np.full((2, 3), t), triangle="upper"),
    "matvec": lambda t: mj.d_matvec_dA(np.full(3, t), 2),
    "kron": lambda t: mj.d_kron_dA(np.full((2, 3), t), (2, 2), order="F"),
    "det": lambda t: mj.d_det_dA(t * np.eye(3)),
}


@pytest.mark.parametrize("name", CLOSED)
def test_what_is_known_of_a_matrix_leaves_with_it(name):
    """Index arrays of identities live as long as the last matrix that uses them, without a garbage collector."""
    make = CLOSED[name]
    gc.disable()
    try:
        A, B = make(1.0).tocsr(), make(2.0).tocsr()
        assert np.shares_memory(A.indices, B.indices)
        assert np.shares_memory(A.indptr, B.indptr)
        gone = [weakref.ref(root(part)) for part in (A.indices, A.indptr)]
        del A
        # the second keeps them, and a third has them still
        C = make(3.0).tocsr()
        assert [ref() is root(part) for ref, part in zip(gone, (C.indices, C.indptr), strict=True)] == [True, True]
        assert np.shares_memory(B.indices, C.indices)
        del B, C
        assert [ref() for ref in gone] == [None, None]
        # cofactors of t · I are t²
        assert_allclose(make(4.0).toarray(), (16 if name == "det" else 4) * make(1.0).toarray(), rtol=1e-14)
    finally:
        gc.enable()


def root(array):
    """The array that owns the memory."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def test_another_shape_order_or_layout_has_a_pattern_of_its_own():
    made = [
        mj.d_gram_dR(np.ones(shape), order=order, layout=layout).tocsr()
        for shape in ((2, 3), (3, 2), (2, 4))
        for order in ("C", "F")
        for layout in ("numerator", "denominator")
    ]
    for number, first in enumerate(made):
        for second in made[:number]:
            assert not np.shares_memory(first.indices, second.indices)


def test_a_broadcast_argument_has_the_same_values():
    """Plans are kept by shapes; an argument that is one number broadcast is another kind."""
    for R in (
        np.ones((2, 3)),
        np.broadcast_to(2.0, (2, 3)),
        np.broadcast_to(np.arange(3.0), (2, 3)),
        np.full((2, 3), 3.0),
    ):
        assert_array_equal(mj.d_gram_dR(R).toarray(), mj.d_gram_dR(np.array(R)).toarray())
        out = mj.d_gram_dR(np.zeros((2, 3))).tocsr()
        assert_array_equal(mj.d_gram_dR(R).tocsr(out=out).toarray(), mj.d_gram_dR(R).toarray())


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
    in_place = J.tocsr().copy()
    J.tocsr(out=in_place)
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
