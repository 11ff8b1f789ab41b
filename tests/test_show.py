"""Pictures of patterns, and what Jacobians say of themselves: exact, and without making any entries."""

import sys
import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from strategies import cases

import matjac as mj
from matjac.entries import tiles as counting
from matjac.entries.assembler import Piece
from matjac.entries.listed import StoredAssembler

rng = np.random.default_rng(4)


def counted(J, down, across):
    return counting.tiles(J._assembler, J.shape, down, across)


def by_hand(matrix, down, across):
    """The entries of a formed matrix, put into tiles one by one."""
    found, (rows, columns) = np.zeros((down, across), np.int64), matrix.shape
    tops = [t * rows // down for t in range(down + 1)]
    lefts = [t * columns // across for t in range(across + 1)]
    for r in range(rows):
        for c in matrix.indices[matrix.indptr[r] : matrix.indptr[r + 1]]:
            tile = next(t for t in range(down) if r < tops[t + 1]), next(t for t in range(across) if c < lefts[t + 1])
            found[tile] += 1
    return found


@given(cases(dtypes=("float64",)), st.data())
def test_counts_of_tiles(case, data):
    J = case.jacobian
    if 0 in J.shape:
        return
    down, across = (data.draw(st.integers(1, n)) for n in J.shape)
    assert_array_equal(counted(J, down, across), by_hand(J.tocsr(), down, across))


def several(U, V):
    return np.tril(U @ V.T) * 2.0, np.tanh(V) @ V.T, U[0]


def made():
    """Jacobians whose entries are made in every way."""
    U, V, x = rng.standard_normal((5, 2)), rng.standard_normal((4, 2)), rng.standard_normal(6)
    W = rng.standard_normal((5, 4))
    F = mj.compile(several, U.shape, V.shape)
    product = mj.compile(lambda U, V: np.sum(W * np.tanh(U @ V.T) ** 2), U.shape, V.shape)
    few = mj.compile(lambda x: np.stack([np.prod(x[:3]), np.sum(np.sin(x) * x[::-1])]), (6,))
    loss = mj.compile(lambda U, V: (U @ V.T)[[0, 3, 4], [1, 2, 3]], U.shape, V.shape)
    yield from (F.jacobian(U, V), product.jacobian(U, V), few.jacobian(x), product.hessian(U, V))
    yield from (few.hessian(x, weights=np.ones(2)), loss.hessian(U, V, weights=np.ones(3)))
    yield mj.d_gram_dR(U).normal(weights=np.ones((2, 2)))
    yield mj.hstack([mj.d_gram_dR(U), mj.d_gram_dR(V), mj.d_constant_dX((2, 2), (3,))])
    yield mj.d2_gram_dR(rng.standard_normal((2, 3)), np.ones((3, 3)))


@pytest.mark.parametrize("number", range(9))
@pytest.mark.parametrize("tile", [1, 3, 10])
def test_counts_however_entries_are_made(number, tile):
    J = list(made())[number]
    for turned in (J, J.T):
        down, across = (min(tile, n) for n in turned.shape)
        assert_array_equal(counted(turned, down, across), by_hand(turned.tocsr(), down, across))
    if isinstance(J, mj.Hessian):
        for triangle in ("lower", "upper"):
            half = J._half(triangle)
            down, across = (min(tile, n) for n in J.shape)
            assert_array_equal(
                counting.tiles(half._assembler, J.shape, down, across),
                by_hand(J.tocsr(triangle=triangle), down, across),
            )


moves = st.one_of(
    st.tuples(st.just("shifted"), st.integers(0, 3), st.integers(0, 3)),
    st.tuples(st.just("transposed")),
    st.tuples(st.just("below"), st.integers(-2, 3)),
)


@given(st.integers(0, 99), st.lists(moves, max_size=5))
def test_pieces_are_moved_as_matrices_are(seed, made):
    """Put into a larger matrix, transposed, and cut along a diagonal, in any order."""
    matrix = (np.random.default_rng(seed).random((3, 4)) < 0.7).astype(np.int64)
    piece = Piece(StoredAssembler(sp.csr_array(matrix)))
    for name, *numbers in made:
        piece = getattr(piece, name)(*numbers)
        if name == "shifted":
            matrix = np.pad(matrix, [(n, 0) for n in numbers])
        else:
            matrix = matrix.T if name == "transposed" else np.tril(matrix, *numbers)
    total = np.zeros_like(matrix)
    counting._count(piece, matrix.shape, total)
    assert_array_equal(total, matrix)


def test_counts_in_bounded_memory(monkeypatch):
    n, m = 60, 300
    J = mj.compile(lambda X, y: (X.T @ X * y, y[:3]), (n, m), (m,)).jacobian(np.ones((n, m)), np.ones(m))
    whole = counted(J, 20, 20)
    assert whole.sum() == J.nnz > 10**7
    tracemalloc.start()
    assert_array_equal(counted(J, 20, 20), whole)
    assert tracemalloc.get_traced_memory()[1] < 2e7
    tracemalloc.stop()
    # in other parts they are the same
    for rows, entries in ((7, 1 << 17), (1 << 16, 1), (1000, 5000)):
        small = mj.compile(lambda X, y: (X.T @ X * y, y[:3]), (3, 9), (9,)).jacobian(np.ones((3, 9)), np.ones(9))
        monkeypatch.setattr(counting, "ROWS", rows)
        monkeypatch.setattr(counting, "TILE", entries)
        assert_array_equal(counted(small, 20, 20), by_hand(small.tocsr(), 20, 20))


def test_counts_beyond_int32():
    # a row of few entries among 4·10⁹ columns
    n = 4 * 10**9
    J = mj.d_identity_dx(n).take([0, n - 1, n // 2, 2**31])
    assert_array_equal(counted(J, 4, 4), [[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0], [0, 0, 1, 0]])


@pytest.fixture
def pyplot():
    made = pytest.importorskip("matplotlib.pyplot")
    made.switch_backend("Agg")
    yield made
    made.close("all")


def drawn(ax):
    return ax.collections[0].get_array().reshape(ax.collections[0].get_coordinates().shape[0] - 1, -1)


def test_a_picture_of_every_entry(pyplot):
    J = mj.d_gram_dR(np.ones((2, 3)))
    _, ax = pyplot.subplots()
    assert J.spy(ax) is ax
    assert_array_equal(drawn(ax), J.tocsr().toarray() != 0)
    assert ax.get_title() == "9 × 6, 30 entries"
    assert (ax.get_xlim(), ax.get_ylim()) == ((-0.5, 5.5), (8.5, -0.5))
    # as matplotlib's own: entry (r, c) is at x = c, y = r
    corners = ax.collections[0].get_coordinates()
    assert corners[0, 0].tolist() == [-0.5, -0.5]
    assert corners[2, 4].tolist() == [3.5, 1.5]


def test_a_picture_of_tiles(pyplot):
    U, V = rng.standard_normal((30, 2)), rng.standard_normal((20, 2))
    parts = [mj.compile(f, U.shape, V.shape).jacobian(U, V) for f in (lambda U, V: U @ V.T, lambda U, V: U[0] + V[0])]
    J = mj.vstack(parts)
    ax = J.spy(tiles=10)
    counts = by_hand(J.tocsr(), 10, 10)
    rows, columns = (np.diff([t * n // 10 for t in range(11)]) for n in J.shape)
    shade, share = drawn(ax), counts / np.outer(rows, columns)
    assert_array_equal(shade > 0, counts > 0)
    assert_allclose(shade.max(), 1.0)
    # the fuller the darker
    order = np.argsort(share, axis=None)
    assert np.all(np.diff(np.ravel(shade)[order]) >= -1e-12)
    assert ax.get_title() == f"602 × 100, {J.nnz:,} entries\ntiles of 61 × 10"
    across, down = (line.get_xydata()[0] for line in ax.lines)
    assert (across[0], down[1]) == (59.5, 599.5)
    assert J.T.spy().lines[0].get_xydata()[0][0] == 599.5
    # a diagonal of single entries in large tiles is seen
    assert np.diag(drawn(mj.d_identity_dx(10**6).spy(tiles=50))).min() > 0.3


def test_what_cannot_be_drawn(pyplot, monkeypatch):
    J = mj.d_gram_dR(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"^tiles: got 0, expected at least one"):
        J.spy(tiles=0)
    with pytest.raises(TypeError, match=r"^tiles: got float 2.5, expected an integer"):
        J.spy(tiles=2.5)
    with pytest.raises(ValueError, match=r"^spy: got a Jacobian of shape \(0, 0\), expected one with rows and columns"):
        mj.d_gram_dR(np.ones((0, 0))).spy()
    with pytest.raises(TypeError, match=r"^ax: got int 50, expected matplotlib's Axes, or None"):
        J.spy(50)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"^matplotlib.pyplot is not installed: pip install 'matjac\[plot\]'"):
        J.spy()


def test_a_table_for_notebooks():
    J = mj.d_gram_dR(np.ones((50, 200)))
    text = J._repr_html_()
    for part in (
        "<caption>Jacobian</caption>",
        "<th>shape</th><td>40,000 × 10,000, float64</td>",
        "<td>values (200, 200), variables (50, 200)</td>",
        "<th>order</th><td>C, numerator layout</td>",
        "<td>3,990,000 (0.998 %)</td>",
        "<td>45.8 MiB, when it is asked for</td>",
        "2 terms: U 200 × 50 dense, W 200 × 200 identity",
    ):
        assert part in text, part
    H = mj.d2_gram_dR(np.ones((2, 3)), np.ones((3, 3)))
    assert "<caption>Hessian</caption>" in H._repr_html_()
    assert "symmetric" in H._repr_html_()
    N = J.normal(weights=np.ones((200, 200)))
    assert "a stored product of matrices" in N._repr_html_()
    assert "not counted yet" in N._repr_html_()
    F = mj.compile(lambda x, y: (x * 2.0, y), (3,), (3,))
    assert "variables ((3,), (3,))" in F.jacobian(np.ones(3), np.ones(3))._repr_html_()
    assert "nothing: it is zero" in mj.d_constant_dX((2, 2), (3,))._repr_html_()


@pytest.mark.parametrize("show", [repr, lambda J: J._repr_html_()], ids=["repr", "html"])
def test_showing_a_jacobian_makes_nothing(show):
    # its terms would take seconds and gigabytes
    X = np.eye(80) + 0.1 * rng.standard_normal((80, 80))
    general = mj.compile(lambda X: np.linalg.inv(np.tanh(X) @ X), X.shape).jacobian(X)
    product = mj.d_gram_dR(rng.standard_normal((50, 100))).normal(weights=np.ones((100, 100)))
    large = mj.d_gram_dR(np.broadcast_to(1.0, (10**5, 10**5)))
    tracemalloc.start()
    for J in (general, product, large):
        text = show(J)
        assert ("not counted yet" in text) == (J is not large)
    assert tracemalloc.get_traced_memory()[1] < 2e7
    tracemalloc.stop()
    # what was counted is told
    small = mj.compile(lambda X: np.tanh(X) @ X, (40, 40)).jacobian(np.ones((40, 40)))
    assert "not counted yet" in show(small)
    assert f"{small.nnz}" in show(small).replace(",", "")
    assert f"{small.nnz}" in show(small.T).replace(",", "")
