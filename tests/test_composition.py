"""Sums, products, stacks and samples of Jacobians against the same of their dense matrices."""

import operator
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from oracles import complex_step, lay_out
from strategies import LAYOUTS, ORDERS

import matjac as mj
from matjac.entries import blocks
from matjac.entries.blocks import TransposedAssembler
from matjac.entries.listed import SweepAssembler
from matjac.linear.factors import Sparse

both_orders = pytest.mark.parametrize("order", ORDERS)
both_layouts = pytest.mark.parametrize("layout", LAYOUTS)


def maps_between(rng, out, into, **kw):
    """Jacobians of every kind from a matrix of shape `into` to one of shape `out`, where there are any."""
    (m, n), (p, q) = out, into
    A, B = rng.standard_normal((m, p)), rng.standard_normal((q, n))
    sparse = sp.random_array((m, p), density=0.5, rng=rng, format="csr")
    found = [mj.d_sandwich_dX(A, B, **kw), mj.d_sandwich_dX(sparse, B, **kw), mj.d_constant_dX(out, into, **kw)]
    if out == into:
        S = rng.standard_normal(out)
        found += [mj.d_hadamard_dA(S, **kw), mj.d_hadamard_dA(sp.csr_array(np.triu(S)), **kw)]
    if m == p:
        found.append(mj.d_matmul_dA(B, m, **kw))
    if n == q:
        found.append(mj.d_matmul_dB(A, n, **kw))
    if out == into[::-1]:
        found.append(mj.d_transpose_dX(into, **kw))
    if m == n == q:
        found.append(mj.d_gram_dR(rng.standard_normal(into), **kw))
        found.append(mj.d_congruence_dX(rng.standard_normal(into), rng.standard_normal((p, p)), **kw))
    if m == n == p:
        found.append(mj.d_outer_gram_dR(rng.standard_normal(into), **kw))
    return found


def check(J, expected, exact=True):
    """Every face of J against the dense matrix and, where `exact`, its entries against the places other than zero."""
    A = J.tocsr()
    fresh = sp.csr_array((A.data, A.indices, A.indptr), shape=A.shape)
    fresh.check_format(full_check=True)
    assert fresh.has_canonical_format
    assert J.shape == expected.shape
    assert_allclose(A.toarray(), expected, atol=1e-10)
    assert J.nnz == A.nnz
    if exact:
        assert A.nnz == np.count_nonzero(expected)
    rng = np.random.default_rng(0)
    v, u = rng.standard_normal(J.shape[1]), rng.standard_normal((J.shape[0], 2))
    assert_allclose(J @ v, expected @ v, atol=1e-9)
    assert_allclose(J.T @ u, expected.T @ u, atol=1e-9)
    assert_allclose(J.T.toarray(), expected.T, atol=1e-10)
    assert_allclose(J.tocsc().toarray(), expected, atol=1e-10)
    assert_allclose(J.diagonal_normal(), (np.abs(expected) ** 2).sum(axis=0), atol=1e-9)
    assert_allclose(J.T.column_norms(), np.linalg.norm(expected, axis=1), atol=1e-9)
    assert_allclose(J.normal().toarray(), expected.conj().T @ expected, atol=1e-9)
    assert J.normal().nnz == J.normal().tocsr().nnz
    assert_allclose(J.H @ u, expected.conj().T @ u, atol=1e-9)
    assert_array_equal(pickle.loads(pickle.dumps(J)).toarray(), A.toarray())
    again = J.T.tocsr()
    assert J.T.tocsr(out=sp.csr_array((again.data, again.indices.copy(), again.indptr), shape=again.shape)).nnz == J.nnz
    start = J.shape[0] // 3
    assert_array_equal(J.rows(start, J.shape[0]).toarray(), A.toarray()[start:])


@st.composite
def shapes(draw):
    return draw(st.integers(1, 3)), draw(st.integers(1, 3))


kinds = {"order": st.sampled_from(ORDERS), "layout": st.sampled_from(LAYOUTS)}


@given(st.data(), shapes(), shapes(), shapes(), kinds["order"], kinds["layout"])
def test_chain(data, out, mid, into, order, layout):
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    outer = data.draw(st.sampled_from(maps_between(rng, out, mid, order=order, layout=layout)))
    inner = data.draw(st.sampled_from(maps_between(rng, mid, into, order=order, layout=layout)))
    if data.draw(st.booleans()):
        outer = (1 - 2j) * outer
    first, second = (outer, inner) if layout == "numerator" else (inner, outer)
    J = first @ second
    assert isinstance(J, mj.Jacobian)
    assert (J.out_shape, J.in_shape, J.order, J.layout) == (out, into, order, layout)
    # a product of dense factors may have a zero by structure that the factors don't show
    check(J, first.toarray() @ second.toarray(), exact=False)
    structural = (first.toarray() != 0).astype(int) @ (second.toarray() != 0).astype(int)
    assert J.nnz == np.count_nonzero(structural)


@given(st.data(), shapes(), shapes(), kinds["order"], kinds["layout"])
def test_sums_and_multiples(data, out, into, order, layout):
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    choices = maps_between(rng, out, into, order=order, layout=layout)
    first, second = data.draw(st.sampled_from(choices)), data.draw(st.sampled_from(choices))
    a, b = first.toarray(), second.toarray()
    check(first + second, a + b)
    check(2 * first - second * 0.5, 2 * a - 0.5 * b)
    check(1j * first + second, 1j * a + b, exact=False)
    check(-first / 4, -a / 4)
    check(first + first, 2 * a)


def test_stacks_of_rows_without_entries():
    nothing = mj.compile(lambda X: np.where(np.zeros((3, 2), bool), X, 1.0), (3, 2)).jacobian(np.ones((3, 2)))
    assert nothing.nnz == 0
    check(mj.hstack([nothing, nothing]), np.zeros((6, 12)))
    check(mj.vstack([nothing, nothing]), np.zeros((12, 6)))


@given(st.data(), shapes(), shapes(), shapes(), kinds["order"], kinds["layout"])
def test_stacks(data, out, into, other, order, layout):
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))

    def one(a, b):
        return data.draw(st.sampled_from(maps_between(rng, a, b, order=order, layout=layout)))

    beside = [one(out, into), one(out, other), one(out, into)]
    join, across = (np.hstack, np.vstack) if layout == "numerator" else (np.vstack, np.hstack)
    J = mj.hstack(beside)
    assert J.in_shape == (into, other, into)
    check(J, join([part.toarray() for part in beside]))
    above = [one(into, out), one(other, out)]
    K = mj.vstack(above)
    assert K.out_shape == (into, other)
    check(K, across([part.toarray() for part in above]))
    grid = mj.vstack([J, 3.0 * J])
    check(grid, across([J.toarray(), 3 * J.toarray()]))
    check(grid + grid, 2 * grid.toarray())
    # products of stacks: over the variables in the middle
    L = mj.hstack([one(out, into), one(out, other)])
    M = mj.vstack([one(into, out), one(other, out)])
    chain = (L, M) if layout == "numerator" else (M, L)
    check(chain[0] @ chain[1], chain[0].toarray() @ chain[1].toarray(), exact=False)


@given(st.data(), shapes(), shapes(), kinds["order"], kinds["layout"])
def test_rows_taken_and_scaled(data, out, into, order, layout):
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    J = data.draw(st.sampled_from(maps_between(rng, out, into, order=order, layout=layout)))
    total = out[0] * out[1]
    rows = data.draw(st.lists(st.integers(-total, total - 1), max_size=5))
    dense = J.toarray() if layout == "numerator" else J.toarray().T

    def laid(matrix):
        return matrix if layout == "numerator" else matrix.T

    taken = J.take(np.array(rows, dtype=int))
    assert taken.out_shape == (len(rows),)
    check(taken, laid(dense[rows]))
    mask = rng.random(out) < 0.5
    check(J.take(mask), laid(dense[mask.ravel(order)]))
    s = rng.standard_normal(out)
    scaled = mj.scale_rows(J, s)
    check(scaled, laid(s.ravel(order)[:, None] * dense))
    check(scaled.take(np.array(rows, dtype=int)), laid((s.ravel(order)[:, None] * dense)[rows]))
    double = mj.vstack([J, scaled])
    both = np.vstack([dense, s.ravel(order)[:, None] * dense])
    check(
        double.take(list(range(total)) + [total + r % total for r in rows]),
        laid(both[list(range(total)) + [total + r % total for r in rows]]),
    )
    check(double.take([total, 0]), laid(both[[total, 0]]))
    assert_allclose(
        mj.scale_rows(double, np.arange(2.0 * total)).toarray(), laid(np.arange(2.0 * total)[:, None] * both)
    )


def terms(J):
    """All terms of a Jacobian."""
    return [term for mine in J.plan.terms.values() for term in mine]


def structured(J):
    """Whether a Jacobian is all terms of dense matrices and identities without a stored matrix, or an adjoint sweep."""
    if isinstance(J.plan.entries(J.layout).assembler, SweepAssembler):
        return True
    return not any(isinstance(f, Sparse) for t in terms(J) for f in (t.u, t.w))


@both_orders
@both_layouts
def test_what_stays_structured(order, layout):
    rng = np.random.default_rng(0)
    kw = {"order": order, "layout": layout}
    X, A, B = rng.standard_normal((4, 3)), rng.standard_normal((5, 4)), rng.standard_normal((3, 2))
    gram = mj.d_gram_dR(X, **kw)

    def chain(outer, inner):
        return outer @ inner if layout == "numerator" else inner @ outer

    for J in (
        chain(mj.d_sandwich_dX(A, B, **kw), mj.d_matmul_dB(rng.standard_normal((4, 4)), 3, **kw)),
        chain(mj.d_sandwich_dX(rng.standard_normal((2, 3)), B, **kw), gram),
        chain(mj.d_elementwise_dX(rng.standard_normal((5, 2)), **kw), mj.d_sandwich_dX(A, B, **kw)),
        chain(mj.d_matvec_dx(A, **kw), mj.d_matvec_dA(B[:, 0], 4, **kw)),
        gram.take([0, 4]),
        gram.take(np.eye(3, dtype=bool)),
        chain(mj.d_transpose_dX((3, 3), **kw), gram),
        gram + gram,
        gram + mj.d_congruence_dX(X, np.eye(4), **kw),
        3 * gram,
        mj.scale_rows(gram, np.arange(9.0)),
        chain(mj.d_halfsq_dw(np.ones((9, 9)), np.ones(9), np.ones(9), **kw), gram),
        chain(mj.d_inner_dA(rng.standard_normal((3, 3)), **kw), mj.scale_rows(gram, np.arange(9.0))),
        chain(mj.d_bilinear_dX(np.ones(3), np.ones(3), **kw), mj.scale_rows(gram, np.arange(9.0))),
        mj.hstack([gram, mj.d_matmul_dA(rng.standard_normal((2, 3)), 3, **kw)]),
        mj.hstack([gram, mj.d_matmul_dA(rng.standard_normal((2, 3)), 3, **kw)]).normal(),
        gram.normal(),
    ):
        assert structured(J), J
        # no factor is larger than the largest matrix that went in, or than a gradient
        assert all(f.nnz <= 9 * 3 for t in terms(J) for f in (t.u, t.w)), J
    assert len(terms(gram + gram)) == 2
    # two matrices around a product entry by entry: a matrix of the Jacobian's own size
    around = chain(mj.d_sandwich_dX(A, B, **kw), mj.d_hadamard_dA(X, **kw))
    assert max(f.nnz for t in terms(around) for f in (t.u, t.w)) == around.nnz == 10 * 12
    few = sp.csr_array(np.tri(5, 4))
    assert not structured(chain(mj.d_sandwich_dX(few, B, **kw), mj.d_hadamard_dA(X, **kw)))


def test_factorisation_on_a_mask():
    """(U Vᵀ)[rows, cols] with respect to U and V: the one residual that everybody writes."""
    rng = np.random.default_rng(0)
    m, n, k = 6, 5, 2
    U, V = rng.standard_normal((m, k)), rng.standard_normal((n, k))
    rows, cols = rng.integers(0, m, 9), rng.integers(0, n, 9)
    whole = mj.hstack([mj.d_matmul_dA(V.T, m), mj.d_matmul_dB(U, n) @ mj.d_transpose_dX((n, k))])
    J = whole.take(rows * n + cols)
    assert structured(J)
    assert J.nnz == 9 * 2 * k
    dU = complex_step(lambda U: (U @ V.T)[rows, cols], U)
    dV = complex_step(lambda V: (U @ V.T)[rows, cols], V)
    check(J, np.hstack([lay_out(dU, 2, "C", "numerator"), lay_out(dV, 2, "C", "numerator")]))
    a, b = rng.standard_normal((m, k)), rng.standard_normal((n, k))
    assert_allclose(J.jvp((a, b)), (a @ V.T + U @ b.T)[rows, cols])
    gU, gV = J.vjp(np.ones(9))
    assert gU.shape == (m, k)
    assert gV.shape == (n, k)


@both_orders
@both_layouts
def test_the_chain_rule_on_a_composed_function(order, layout):
    """tanh(Xᵀ A X) entry by entry, then half its squared norm."""
    rng = np.random.default_rng(0)
    X, A = rng.standard_normal((3, 2)) / 2, rng.standard_normal((3, 3))
    Y = np.tanh(X.T @ A @ X)
    kw = {"order": order, "layout": layout}
    parts = [
        mj.d_sqnorm_dx(Y.ravel(order), **kw) * 0.5,
        mj.d_elementwise_dX(1 - Y**2, **kw),
        mj.d_congruence_dX(X, A, **kw),
    ]
    J = (parts[0] @ parts[1] @ parts[2]) if layout == "numerator" else (parts[2] @ parts[1] @ parts[0])
    expected = complex_step(lambda X: 0.5 * np.sum(np.tanh(X.T @ A @ X) ** 2), X)
    assert_allclose(J.toarray(), lay_out(expected, 2, order, layout), atol=1e-12)
    assert_allclose(J.gradient(), expected if layout == "denominator" else expected.T, atol=1e-12)


def test_products_keep_zeros_by_chance_and_drop_none():
    """The pattern of a general product doesn't depend on its values."""
    b = mj.d_hadamard_dA(np.array([[1.0], [-1.0], [2.0]])) @ mj.d_matmul_dB(np.ones((3, 1)), 1)
    J = mj.d_matvec_dx(sp.csr_array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])) @ mj.d_identity_dx(3)
    assert J.nnz == 3
    J = mj.d_matmul_dB(sp.csr_array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), 1) @ b
    assert_array_equal(J.toarray(), [[0.0], [2.0]])
    assert J.nnz == 2


def test_a_transposed_map_is_passed_once(monkeypatch):
    """Norms and comparisons of a transpose that has no terms of its own cost one pass, not one a chunk."""
    J = mj.d_gram_dR(np.random.default_rng(0).standard_normal((10, 80)), triangle="upper", layout="denominator")
    assert isinstance(J.plan.entries("denominator").assembler, TransposedAssembler)
    passes, plain = [], blocks.passes
    monkeypatch.setattr(blocks, "passes", lambda *given: passes.append(1) or plain(*given))
    out = J.tocsr().copy()
    built = len(passes)
    J.tocsr(out=out)
    J.column_norms()
    assert len(passes) - built <= 4


def test_sum_of_jacobians():
    J = mj.d_transpose_dX((2, 3))
    assert_array_equal(sum([J, J]).toarray(), 2 * J.toarray())


def test_refill_of_a_composed_jacobian():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((3, 2))
    for build in (
        lambda t: mj.hstack([mj.d_gram_dR(t * X), mj.d_congruence_dX(t * X, np.eye(3))]),
        lambda t: mj.vstack([mj.d_gram_dR(t * X), t * mj.d_hadamard_dA(X)]),
        lambda t: mj.scale_rows(mj.d_gram_dR(t * X), np.full(4, t)).T,
        lambda t: mj.d_gram_dR(t * X, triangle="upper").T,
    ):
        out = build(1.0).tocsr()
        second = build(2.0)
        assert second.tocsr(out=out) is out
        assert_array_equal(out.toarray(), second.toarray())


@both_orders
@both_layouts
@pytest.mark.parametrize("triangle", ["upper", "lower"])
def test_triangles(order, layout, triangle):
    R = np.random.default_rng(0).standard_normal((3, 4))
    keep = np.triu if triangle == "upper" else np.tril
    for function, n in ((mj.d_gram_dR, 4), (mj.d_outer_gram_dR, 3)):
        J = function(R, triangle=triangle, order=order, layout=layout)
        full = function(R, order=order).toarray()[np.flatnonzero(keep(np.ones((n, n))).ravel(order))]
        check(J, full if layout == "numerator" else full.T)
        assert J.out_shape == (n * (n + 1) // 2,)
    with pytest.raises(ValueError, match=r"^triangle: got 'both', expected one of 'upper', 'lower'"):
        mj.d_gram_dR(R, triangle="both")


def test_gradients_of_the_texts():
    x, y = np.array([1.0, 2.0]), np.array([3.0, 4.0, 5.0])
    assert_array_equal(mj.d_bilinear_dX(x, y, layout="denominator").gradient(), np.outer(x, y))
    assert_array_equal(mj.d_bilinear_dX(x, y).gradient(), np.outer(y, x))
    A = np.array([[1.0, 2.0], [3.0, 5.0]])
    assert_array_equal(mj.d_trace_dX(A).gradient(), A)
    assert_allclose(mj.d_logdet_dA(A).gradient(), np.linalg.inv(A))
    assert_allclose(mj.d_det_dA(A).gradient(), [[5, -2], [-3, 1]])
    assert_array_equal(mj.d_quadratic_dx(A, x).gradient(), (A + A.T) @ x)
    with pytest.raises(ValueError, match=r"^gradient: got a function with out_shape \(2, 2\), expected a scalar"):
        mj.d_transpose_dX((2, 2)).gradient()


def test_a_gradient_that_vanishes():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 4)), rng.standard_normal(20)
    w = np.linalg.lstsq(X, y)[0]
    assert np.abs(mj.d_halfsq_dw(X, y, w).toarray()).max() < 1e-12
    away = w + np.array([1.0, 0, 0, 0])
    gradient = mj.d_halfsq_dw(X, y, away).gradient()
    # uphill is away from the solution
    assert gradient @ (away - w) > 0
    assert_allclose(gradient, -X.T @ (y - X @ away))


@pytest.mark.parametrize("rank", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [float, complex])
def test_adjugate_of_every_rank(rank, dtype):
    rng = np.random.default_rng(rank)
    A = (rng.standard_normal((4, rank)) @ rng.standard_normal((rank, 4))).astype(dtype)
    if dtype is complex:
        A = A * np.exp(1j * np.arange(4))
    gradient = mj.d_det_dA(A).gradient()
    expected = complex_step(np.linalg.det, A).T if rank >= 3 else np.zeros((4, 4))
    assert_allclose(gradient, expected, atol=1e-11)


def test_singular_matrices_are_named():
    for function in (mj.d_inv_dA, mj.d_logdet_dA):
        with pytest.raises(np.linalg.LinAlgError, match=r"^A: got a singular matrix"):
            function(np.ones((2, 2)))


@both_orders
def test_vec_and_unvec(order):
    X = np.arange(6).reshape(2, 3)
    assert_array_equal(mj.vec(X, order), X.ravel(order))
    assert_array_equal(mj.unvec(mj.vec(X, order), (2, 3), order), X)
    with pytest.raises(ValueError, match=r"^x: got shape \(5,\), expected \(6,\)"):
        mj.unvec(np.ones(5), (2, 3), order)
    with pytest.raises(ValueError, match=r"^order: got 'A'"):
        mj.vec(X, "A")


def test_elementwise_of_any_shape():
    for shape in ((), (3,), (2, 3), (2, 3, 2)):
        slope = np.random.default_rng(0).standard_normal(shape)
        for order in ORDERS:
            J = mj.d_elementwise_dX(slope, order=order)
            assert J.out_shape == J.in_shape == shape
            assert_array_equal(J.toarray(), np.diag(slope.ravel(order)))


J22 = mj.d_transpose_dX((2, 2))
J23 = mj.d_transpose_dX((2, 3))
BAD = [
    ("chain", lambda: J22 @ J23, ValueError, r"^J1 @ J2: got .* shape \(2, 2\) after .* shape \(3, 2\), expected"),
    ("chain order", lambda: J22 @ mj.d_transpose_dX((2, 2), order="F"), ValueError, r"^order: got .*'C' and 'F'"),
    ("chain layout", lambda: J22 @ J22.T, ValueError, r"^layout: got .*'numerator' and 'denominator'"),
    ("sum", lambda: J22 + J23, ValueError, r"^J1 \+ J2: got .*expected the same shapes"),
    ("product with a number", lambda: J22 @ 2.0, ValueError, r"^J @ a: got a number"),
    ("times text", lambda: J22 * "a", TypeError, r"^x: got dtype <U1"),
    ("division", lambda: J22 / J22, TypeError, r"^J / a: got"),
    ("sparse from the left", lambda: sp.eye_array(4) @ J22, TypeError, r"not made dense unasked: .*J.tocsr\(\)"),
    ("hstack of none", lambda: mj.hstack([]), ValueError, r"^jacobians: got list \[\], expected at least one"),
    ("hstack of arrays", lambda: mj.hstack([J22, np.eye(4)]), TypeError, r"^jacobians\[1\]: got ndarray"),
    ("hstack outputs", lambda: mj.hstack([J22, J23]), ValueError, r"^jacobians\[1\]: got out_shape \(3, 2\), expected"),
    ("vstack inputs", lambda: mj.vstack([J22, J23]), ValueError, r"^jacobians\[1\]: got in_shape \(2, 3\), expected"),
    ("stack orders", lambda: mj.vstack([J22, mj.d_transpose_dX((2, 2), order="F")]), ValueError, r"got order 'F'"),
    ("take beyond", lambda: J22.take([4]), IndexError, r"^rows: got numbers from 4 to 4, expected less than 4"),
    ("take floats", lambda: J22.take([0.5]), TypeError, r"^rows: got dtype float64, expected integers or booleans"),
    ("take matrix", lambda: J22.take([[1]]), ValueError, r"^rows: got shape \(1, 1\), expected a 1-D array"),
    ("mask", lambda: J22.take(np.ones((3, 2), bool)), ValueError, r"^rows: got a mask of shape \(3, 2\), expected"),
    ("take far beyond", lambda: J22.take(np.array([2**64 - 1], np.uint64)), IndexError, r"^rows: got numbers from 184"),
    ("tensor of scalars", lambda: mj.d_elementwise_dX(2.0).tensor(), ValueError, r"^tensor: got a scalar function"),
    ("scale", lambda: mj.scale_rows(J22, np.ones(3)), ValueError, r"^s: got shape \(3,\), expected \(2, 2\) or \(4,\)"),
    ("scale of", lambda: mj.scale_rows(np.eye(2), [1, 1]), TypeError, r"^jacobians\[0\]: got ndarray"),
    ("tensor", lambda: mj.hstack([J22, J22]).tensor(), ValueError, r"^tensor: got in_shape .*expected one shape"),
    ("jvp", lambda: mj.hstack([J22, J22]).jvp(np.ones((2, 2))), ValueError, r"^dX: got ndarray .*expected 2 arrays"),
    (
        "jvp part",
        lambda: mj.hstack([J22, J22]).jvp((np.eye(2), np.eye(3))),
        ValueError,
        r"^dX\[1\]: got shape \(3, 3\)",
    ),
    ("sparse vector", lambda: mj.d_matvec_dA(sp.coo_array([1.0]), 2), TypeError, r"^x: got coo_array"),
    (
        "congruence",
        lambda: mj.d_congruence_dX(np.ones((2, 3)), np.eye(3)),
        ValueError,
        r"^A: got shape \(3, 3\), expec",
    ),
    ("square", lambda: mj.d_inv_dA(np.ones((2, 3))), ValueError, r"^A: got shape \(2, 3\), expected a square matrix"),
    ("shape", lambda: mj.d_transpose_dX(3), TypeError, r"^shape: got int 3, expected a tuple of sizes"),
    ("shape of three", lambda: mj.d_transpose_dX((1, 2, 3)), ValueError, r"^shape: got \(1, 2, 3\), expected 2 sizes"),
    ("shape of floats", lambda: mj.d_transpose_dX((1.0, 2)), TypeError, r"^shape\[0\]: got float 1.0"),
    (
        "y",
        lambda: mj.d_halfsq_dw(np.ones((2, 3)), np.ones(3), np.ones(3)),
        ValueError,
        r"^X: got shape \(2, 3\), expected 3",
    ),
    ("too large", lambda: mj.d_matvec_dA(np.ones(4), 2**62), ValueError, r"^shapes: got .*expected fewer than 2\*\*63"),
]


@pytest.mark.parametrize(("act", "error", "message"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_bad_input(act, error, message):
    with pytest.raises(error, match=message):
        act()


def test_numbers_of_every_kind():
    for number in (2, 2.0, np.float32(2), np.array(2.0), True + 1):
        for act in (operator.mul, lambda J, a: a * J):
            assert_array_equal(act(J22, number).toarray(), 2 * J22.toarray())
    assert (mj.d_gram_dR(np.ones((2, 2), np.float32)) * 2.0).dtype == np.float32
    assert (J22 * 1j).dtype == np.complex128
    # the ones of an identity are stored narrow, a number times them is not
    assert (0.1 * mj.d_identity_dx(2)).toarray()[0, 0] == 0.1
    with pytest.raises(TypeError, match=r"not made dense unasked: say J.toarray\(\)"):
        np.asarray(J22)
