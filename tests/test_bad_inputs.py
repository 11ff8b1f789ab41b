"""Whatever is given, the result is right, or a clear error says what was wrong and nothing has changed."""

import numpy as np
import pytest
import scipy.sparse as sp
from bad_inputs import CALLS, FITS, FORMS, NOT_A_TUPLE, REFUSED, WRONG
from numpy.testing import assert_allclose, assert_array_equal

import matjac as mj

#: Functions of a 2 × 3 matrix, and their Jacobians.
FUNCTIONS = {
    "square": (lambda X: X * X, lambda X: np.diag(2 * X.ravel())),
    "row sums of squares": (
        lambda X: np.sum(X * X, axis=1),
        lambda X: np.where(np.kron(np.eye(2), np.ones(3)), 2 * X.ravel(), 0),
    ),
    "a column times another": (
        lambda X: X[:, 1] * X[:, 2],
        lambda X: np.array([[0, X[0, 2], X[0, 1], 0, 0, 0], [0, 0, 0, 0, X[1, 2], X[1, 1]]]),
    ),
    "where": (
        lambda X: np.where(X[:, 2:] > 4, X * 2.0, X * X),
        lambda X: np.diag(np.where(np.repeat(X[:, 2:] > 4, 3, axis=1), 2.0, 2 * X).ravel()),
    ),
}

pytestmark = [
    pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore::scipy.sparse.SparseEfficiencyWarning"),
]


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("name", CALLS)
def test_what_is_no_such_array(name, kind):
    call, array, argument = CALLS[name]
    make, error, message = WRONG[kind]
    if (kind, name) in FITS or (kind, array.ndim) == ("sparse", 0):
        return
    before = call(array)
    with pytest.raises(error, match=rf"^({argument}: {message}|.*mj\.rule: {message})"):
        call(make(array))
    assert_array_equal(call(array), before)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", CALLS)
def test_other_forms_of_an_array(name, form):
    call, array, _ = CALLS[name]
    if form == "a tuple" and name in NOT_A_TUPLE:
        return
    kept = array.copy()
    assert_allclose(call(FORMS[form](array)), call(array), rtol=1e-12, atol=1e-14)
    assert_array_equal(array, kept)


def changed(matrix, how):
    """A copy of a matrix whose index arrays, values or form are not what they were."""
    A = matrix.copy()
    how(A)
    return A


def set_index(A):
    A.indices[-1] = 0


def swap_indices(A):
    A.indices[:2] = A.indices[1::-1].copy()


def set_pointer(A):
    A.indptr[1] += 1


def drop_zeros(A):
    A.data[::7] = 0
    A.eliminate_zeros()


def add_entry(A):
    A[0, 11] = 1.0


def strided(A):
    A.data = np.zeros(2 * A.nnz)[::2]


def unaligned(A):
    A.data = np.zeros(8 * A.nnz + 1, np.uint8)[1:].view(float)


def read_only(A):
    A.data.flags.writeable = False


def one_entry(A):
    A.data = np.lib.stride_tricks.as_strided(np.zeros(1), (A.nnz,), (0,))


R = np.arange(12.0).reshape(3, 4) + 1
J = mj.d_gram_dR(R)
A = J.tocsr()
#: What `tocsr` may not write to, by what was done to its result.
OUT = {
    "one index": (lambda: changed(A, set_index), "out: got entries in other places"),
    "swapped indices": (lambda: changed(A, swap_indices), "out: got entries in other places"),
    "a pointer": (lambda: changed(A, set_pointer), "out: got entries in other places"),
    "eliminate_zeros": (lambda: changed(A, drop_zeros), "out.data: got ndarray of shape"),
    "another entry": (lambda: changed(A, add_entry), "out.data: got ndarray of shape"),
    "strides": (lambda: changed(A, strided), "out.data: got a strided array"),
    "not aligned": (lambda: changed(A, unaligned), "out.data: got a strided array"),
    "read-only": (lambda: changed(A, read_only), "out.data: got a read-only array"),
    "one entry for all": (lambda: changed(A, one_entry), "out.data: got entries in the same memory"),
    "another dtype": (lambda: A.astype(np.float32), "out: got csr_array .* expected shape"),
    "complex": (lambda: A.astype(complex), "out: got csr_array .* expected shape"),
    "another shape": (lambda: A[:-1], "out: got csr_array .* expected shape"),
    "transposed": (lambda: A.T, "out: got csc_array"),
    "dense": (A.toarray, "out: got ndarray"),
    "coo": (A.tocoo, "out: got coo_array"),
    "a list": (lambda: [A], "out: got list"),
}


@pytest.mark.parametrize("name", OUT)
def test_out_that_was_changed(name):
    make, message = OUT[name]
    out = make()
    kept = out.copy()
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        J.tocsr(out=out)
    if sp.issparse(out):
        assert_array_equal(out.data, kept.data)
        out, kept = out.tocoo(), kept.tocoo()
        assert_array_equal(out.coords, kept.coords)
    else:
        assert_array_equal(out if isinstance(out, np.ndarray) else out[0].data, kept if name == "dense" else A.data)


def test_one_index_of_a_million():
    J = mj.d_matvec_dA(np.ones(1000), 1000)
    out = J.tocsr().copy()
    out.data[:] = 7
    out.indices[654_321] -= 1
    with pytest.raises(ValueError, match=r"^out: got entries in other places"):
        J.tocsr(out=out)
    assert np.all(out.data == 7)
    out.indices[654_321] += 1
    assert np.all(J.tocsr(out=out).data == 1)


def test_out_of_a_matrix_of_ones_own():
    """Index arrays of another kind, of the same contents, are the pattern too."""
    for own in (
        sp.csr_matrix(A),
        sp.csr_array((A.data.copy(), A.indices.astype(np.int64), A.indptr.astype(np.int64)), A.shape),
    ):
        own.data[:] = 0
        assert J.tocsr(out=own) is own
        assert_array_equal(own.toarray(), A.toarray())


def test_shared_patterns_cannot_be_edited():
    F = mj.compile(lambda R: R.T @ R, (3, 4))
    for A in (J.tocsr(), F.jac_csr(R.ravel()), F.hess_csr(R.ravel(), np.ones(16)), J.rows(0, 16), J.T.tocsr()):
        rest = J.tocsr() if A.shape == J.shape else None
        for part in (A.indices, A.indptr):
            if part.flags.writeable:
                continue  # of these rows alone
            with pytest.raises(ValueError, match="read-only"):
                part[0] = 1
            with pytest.raises(ValueError, match="WRITEABLE"):
                part.flags.writeable = True
        A.data[:] = 0
        if not A.indices.flags.writeable:
            with pytest.raises(ValueError, match="read-only"):
                A.eliminate_zeros()
        A.sum_duplicates()
        A.sort_indices()
        if rest is not None:
            assert_array_equal(rest.toarray(), J.toarray())
    indptr, indices = J.structure()
    rows, columns = J.coo_structure()
    for part in (indptr, indices, rows, columns):
        part[:] = 0
    assert_array_equal(J.tocsr().toarray(), F.jac_csr(R.ravel()).toarray())


def test_out_in_the_memory_of_what_is_differentiated():
    """Values are written over the arrays that they are made of."""
    x, R = np.arange(1.0, 5.0), np.arange(1.0, 13.0).reshape(3, 4)
    slope, gram = mj.d_elementwise_dX(x), mj.d_gram_dR(R)
    F = mj.compile(lambda x: x * x, (4,))
    at = F.jac(x)
    wanted, of_gram = slope.toarray(), gram.tocsr().data.copy()
    slope.fill(x)
    assert_array_equal(x, np.diag(wanted))
    assert_array_equal(slope.toarray(), wanted)
    at.fill(x)
    assert_array_equal(at.toarray(), 2 * wanted)
    memory = np.zeros(gram.nnz)
    memory[:12] = R.ravel()
    J = mj.d_gram_dR(memory[:12].reshape(3, 4))
    J.fill(memory)
    assert_array_equal(memory, of_gram)
    J.fill(memory[::-1])
    assert_array_equal(memory[::-1], of_gram)


def test_buffers_are_refused_before_anything_is_written():
    n = J.nnz
    for data, message in (
        (None, "got NoneType None"),
        ([0.0] * n, "got list"),
        (np.zeros(n + 1), "got ndarray of shape"),
        (np.zeros((n, 1)), "got ndarray of shape"),
        (np.zeros(n, np.float32), "got ndarray of shape"),
        (np.zeros(n, ">f8"), "got ndarray of shape"),
        (np.ma.zeros(n), "got MaskedArray"),
        (np.matrix(np.zeros(n)), "got matrix"),
        (memoryview(np.zeros(n)), "got memoryview"),
        (np.broadcast_to(0.0, n), "got a read-only array"),
        (np.lib.stride_tricks.as_strided(np.zeros(1), (n,), (0,)), "got entries in the same memory"),
    ):
        with pytest.raises((TypeError, ValueError), match=f"^data: {message}"):
            J.fill(data)
        assert not np.any(np.asarray(0 if data is None else data))
    for data in (np.zeros(n)[::-1], np.zeros(2 * n)[::2], np.zeros(8 * n + 1, np.uint8)[1:].view(float)):
        J.fill(data)
        assert_array_equal(data, A.data)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_not_finite_goes_where_it_belongs(name, bad):
    """Entries that depend on a value are not finite, and no others; so are products, on either side."""
    fun, wanted = FUNCTIONS[name]
    X = np.arange(1.0, 7.0).reshape(2, 3)
    X[0, 1] = bad
    F = mj.compile(fun, (2, 3))
    with np.errstate(all="ignore"):
        J = F.jacobian(X)
        A = J.toarray()
        assert_array_equal(np.isfinite(A), np.isfinite(wanted(X)))
        assert_array_equal(A[np.isfinite(A)], wanted(X)[np.isfinite(A)])
        # the pattern is that of finite points
        assert_array_equal(F.jac_csr(X.ravel()).indices, F.jac_csr(np.ones(6)).indices)
        finite = F.jacobian(np.ones((2, 3)))
        for J, transposed in ((finite, False), (finite, True)):
            matrix, rows = finite.tocsr(), J.shape[0 if transposed else 1]
            v = np.ones(rows)
            v[rows // 2] = bad
            ours, theirs = (J.T @ v, matrix.T @ v) if transposed else (J @ v, matrix @ v)
            assert_array_equal(np.isfinite(ours), np.isfinite(theirs))
        gradient = F.grad(X.ravel(), np.ones(A.shape[0]))
        assert_array_equal(np.isfinite(gradient), np.all(np.isfinite(A), axis=0))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0), ()])
def test_nothing_and_numbers(shape):
    x, n = np.ones(shape), int(np.prod(shape))
    F = mj.compile(lambda X: X * X, x)
    J = F.jacobian(x)
    assert J.shape == (n, n)
    assert_array_equal(J.toarray(), 2 * np.eye(n))
    assert (J @ np.ones(n)).shape == J.column_norms().shape == (n,)
    assert J.jvp(x).shape == J.vjp(x).shape == F.gradient(x, weights=x).shape == shape
    assert F.hessian(x, weights=x).shape == J.normal().shape == (n, n)
    assert F.jac_csr(np.ones(n)).nnz == J.nnz == n
    J.fill(np.zeros(n))
    assert J.rows(0, n).shape == (n, n)
    assert (2 * J - J).take(np.arange(n)).T.tocsr().shape == (n, n)
    assert mj.check(F, x) < 1e-9


@pytest.mark.parametrize("name", REFUSED)
def test_other_arguments(name):
    act, error, message = REFUSED[name]
    with np.errstate(divide="ignore"), pytest.raises(error, match=f"^{message}"):
        act()
