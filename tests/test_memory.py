"""The size contract: entries are counted before they are made, and what does not fit is refused, nothing half done."""

import ctypes
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from measures import peak
from registry import REGISTRY
from strategies import make_case

import matjac as mj
from matjac import memory

KIB = 2**10
rng = np.random.default_rng(0)
SEEN = np.nonzero(rng.random((300, 250)) < 0.3)
U, V = rng.standard_normal((300, 5)), rng.standard_normal((250, 5))
X = rng.standard_normal((30, 30))


@pytest.fixture
def limit():
    """Sets the limit, and takes it back."""
    yield mj.set_memory_limit
    mj.set_memory_limit(None)


def completion():
    return mj.compile(lambda U, V: (U @ V.T)[SEEN], U.shape, V.shape)


def scalar():
    return mj.compile(lambda X: np.sum(np.tanh(X @ X.T)), X.shape)


#: Jacobians of every kind of entries, made anew: nothing is counted or held yet.
KINDS = {
    "kronecker": lambda: mj.d_sandwich_dX(rng.standard_normal((20, 30)), rng.standard_normal((30, 20))),
    "case split": lambda: mj.d_gram_dR(rng.standard_normal((30, 60))),
    "merged": lambda: mj.d_gram_dR(rng.standard_normal((30, 60)), layout="denominator"),
    "column by column": lambda: mj.d_hadamard_dA(rng.standard_normal((400, 500)), order="F"),
    "sparse constant": lambda: mj.d_kron_dB(sp.csr_array(np.eye(20)), (30, 20)),
    "transposed": lambda: mj.d_kron_dB(rng.standard_normal((20, 20)), (20, 20), layout="denominator"),
    "blocks": lambda: completion().jacobian(U, V),
    "dense sum": lambda: mj.compile(lambda X: X @ X @ X, X.shape).jacobian(X),
    "factors computed": lambda: mj.compile(lambda X: np.tanh(np.tanh(X @ X) @ X), X.shape).jacobian(X),
    "map": lambda: mj.compile(lambda X: np.cumsum(X**2, 1), (30, 120)).jacobian(rng.standard_normal((30, 120))),
    "sweeps": lambda: scalar().jacobian(X),
    "product": lambda: mj.d_gram_dR(U[:60].T).normal(weights=np.ones((60, 60))),
    "picked": lambda: mj.compile(lambda S: S @ X @ X, mj.unknowns.symmetric(30)).jacobian(X + X.T),
    "picked rows": lambda: mj.compile(lambda S: X @ S @ S, mj.unknowns.symmetric(30)).jacobian(X + X.T),
    "hessian": lambda: scalar().hessian(X),
    "hessian of blocks": lambda: completion().hessian(U, V, weights=rng.standard_normal(SEEN[0].size)),
}
FACES = {
    "structure": lambda J: J.structure(),
    "coo_structure": lambda J: J.coo_structure(),
    "tocsr": lambda J: J.tocsr(),
    "tocsc": lambda J: J.tocsc(),
    "tocoo": lambda J: J.tocoo(),
    "tobsr": lambda J: J.tobsr((1, 1)),
    "toarray": lambda J: J.toarray(),
    "tensor": lambda J: J.tensor(),
    "rows": lambda J: J.rows(0, J.shape[0]),
    "normal": lambda J: J.normal(weights=np.ones(J.shape[0])).tocsr(),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def has(J, face):
    """Whether that Jacobian has the face: several variables have no one tensor."""
    several = any(shape and isinstance(shape[0], tuple) for shape in (J.in_shape, J.out_shape))
    return not (face == "tensor" and several)


@pytest.mark.parametrize("layout", ["numerator", "denominator"])
@pytest.mark.parametrize("row", REGISTRY, ids=lambda row: row.name)
def test_entries_are_counted_as_they_are_made(row, layout):
    for order in ("C", "F"):
        for sparse in (False, True) if row.sparse else (False,):
            J = make_case(row, (5, 3, 4, 2)[: len(row.dims)], "float64", order, layout, 1, np.array, sparse).jacobian
            counted, nbytes, offsets = J.nnz, J.nbytes, [J.offset(r) for r in range(J.shape[0] + 1)]
            assert isinstance(counted, int)
            assert isinstance(nbytes, int)
            A = J.tocsr()
            assert counted == A.data.size == A.indptr[-1]
            assert nbytes == A.data.nbytes + A.indices.nbytes + A.indptr.nbytes
            np.testing.assert_array_equal(offsets, A.indptr)


@pytest.mark.parametrize("face", ["structure", "coo_structure", "tocsr", "tocsc", "tocoo", "toarray"])
def test_what_takes_long_to_count_is_refused_at_once(face):
    """Counting the entries of these row by row takes minutes."""
    N = mj.d_gram_dR(np.ones((50, 3000))).normal()
    H = mj.compile(lambda Z: np.sum(np.tanh(Z @ Z.T)), (300, 300)).hessian(np.ones((300, 300)))
    for J in (N, H):
        began = time.perf_counter()
        with pytest.raises(MemoryError, match=r"at least|a dense array"):
            FACES[face](J)
        assert time.perf_counter() - began < 5


@every_kind
def test_kinds_are_counted_as_they_are_made(kind):
    J = KINDS[kind]()
    counted = J.nnz
    A = J.tocsr()
    assert counted == A.data.size
    for row in (0, 1, J.shape[0] // 2, J.shape[0]):
        assert J.offset(row) == A.indptr[row]


@every_kind
@pytest.mark.parametrize("face", FACES)
def test_what_does_not_fit_is_refused_before_it_is_made(kind, face, limit, compiled):
    J = KINDS[kind]()
    if not has(J, face):
        pytest.skip("several variables have no one tensor")
    if kind != "product":
        # the entries of a weighted normal matrix are a stored product: it is made to be counted
        assert J.nnz
    limit(KIB)

    def refused():
        with pytest.raises(
            MemoryError, match=r"memory: got .* of [\d,]+ bytes, expected at most 1,024 \(mj.set_memory"
        ):
            FACES[face](J)

    refused()
    # what plans and programs made is small beside the entries
    assert peak(refused) < 64 * KIB + J._point.shape[0] * 40
    limit(None)
    # nothing that is half made is left behind
    A, v = J.tocsr(), rng.standard_normal(J.shape[1])
    np.testing.assert_allclose(A @ v, J @ v, rtol=1e-9, atol=1e-9)
    assert A.has_sorted_indices


@pytest.mark.slow
@every_kind
@pytest.mark.parametrize("face", [*FACES, "fill", "refill"])
def test_what_is_asked_for_covers_what_is_taken(kind, face, monkeypatch, compiled):
    """The peak of what a face makes is at most what it asked for, but for what a pass of bounded size holds."""
    asked, fits = [], memory.fits
    monkeypatch.setattr(memory, "fits", lambda needed: asked.append(needed) or fits(needed))
    calls = {**FACES, "fill": lambda J: J.fill(data), "refill": lambda J: J.tocsr(out=kept)}
    J, data, kept = KINDS[kind](), None, None
    if not has(J, face):
        pytest.skip("several variables have no one tensor")
    if face == "toarray" and np.prod(J.shape) > 10**7:
        pytest.skip("too large for a dense array")
    data, kept = np.empty(J.nnz), J.tocsr()
    kept.indices, kept.indptr = kept.indices.copy(), kept.indptr.copy()
    calls[face](J)  # kernels are compiled
    J = KINDS[kind]()
    kept = J.tocsr().copy() if face == "refill" else None
    J = KINDS[kind]() if face != "refill" else J
    J.nnz  # noqa: B018
    asked.clear()
    assert peak(lambda: calls[face](J)) < max(asked, default=0) + 3 * 2**20


@every_kind
@pytest.mark.parametrize("count", [1, 20])
def test_products_ask_for_what_they_take(kind, count, limit, monkeypatch, compiled):
    J = KINDS[kind]()
    V, U = (rng.standard_normal((n, count)) for n in reversed(J.shape))
    asked, fits = [], memory.fits
    for product in (lambda: J @ V, lambda: J.T @ U, lambda: J @ V[:, 0], lambda: U[:, 0] @ J):
        product()  # kernels are compiled, and what is kept is there
        asked.clear()
        with monkeypatch.context() as watched:
            watched.setattr(memory, "fits", lambda needed: asked.append(needed) or fits(needed))
            taken = peak(product)
        # of a composition each part asks for itself
        assert taken < 1.2 * sum(asked) + 16 * KIB
        limit(max(asked) - 1)
        with pytest.raises(MemoryError, match="memory: got a product"):
            product()
        limit(None)


def test_products_with_too_many_vectors_are_refused():
    J = mj.d_matmul_dA(np.ones((10, 10**5)), 10)
    with pytest.raises(MemoryError, match="memory: got a product with 1,000,000 vectors of "):
        J @ np.broadcast_to(1.0, (J.shape[1], 10**6))


def test_reprs_count_what_can_be_counted(limit):
    J = mj.compile(lambda X: np.sort(X @ X, axis=1) @ X, (10, 10)).jacobian(X[:10, :10])
    limit(KIB)
    assert "entries not counted yet" in repr(J)
    limit(None)
    assert f"{J.nnz} entries" in repr(J)


def test_fills_of_views_and_pickles_are_bounded(limit):
    J = mj.d_gram_dR(rng.standard_normal((3, 40)))
    wide = np.zeros(2 * J.nnz)
    limit(KIB)
    with pytest.raises(MemoryError, match="entries"):
        J.fill(wide[::2])
    assert not wide.any()


def test_refills_are_not_half_written(limit):
    F = completion()
    A = F.jac_csr(F.pack(U, V))
    kept = A.data.copy()
    limit(KIB)
    with pytest.raises(MemoryError):
        F.jac_csr(F.pack(2 * U, V), out=A)
    with pytest.raises(MemoryError):
        F.jac_csr(F.pack(2 * U, V))
    np.testing.assert_array_equal(A.data, kept)
    limit(None)
    expected = completion().jac_csr(F.pack(2 * U, V))
    np.testing.assert_array_equal(F.jac_csr(F.pack(2 * U, V), out=A).data, expected.data)


@pytest.mark.parametrize("triangle", ["lower", "upper"])
def test_triangles_are_bounded(triangle, limit):
    H = scalar().hessian(X)
    assert H.count(triangle)
    limit(KIB)
    for face in (H.tocsr, H.structure, H.coo_structure):
        with pytest.raises(MemoryError, match="entries"):
            face(triangle=triangle)
    limit(None)
    np.testing.assert_array_equal(H.tocsr(triangle=triangle).toarray(), getattr(np, f"tri{triangle[0]}")(H.toarray()))


def test_parts_of_normal_matrices_are_bounded(limit):
    A, B = rng.standard_normal((200, 150)), rng.standard_normal((150, 200))
    J = mj.d_sandwich_dX(A, B)
    limit(10 * KIB)
    for face in (J.normal, J.normal_blocks):
        with pytest.raises(MemoryError, match="memory: got"):
            face()
    limit(None)
    assert J.normal().nnz == 150**4


def test_products_of_sparse_factors_are_counted(limit):
    """One dense row makes JᵀJ dense, and its count is exact where the simple bound says no."""
    n = 300
    dense_row = sp.csr_array((np.ones(n), (np.zeros(n, int), np.arange(n))), shape=(n, n))
    J = mj.d_matvec_dx(sp.csr_array(dense_row + sp.eye_array(n)))
    normal = J.normal(weights=np.ones(n))
    J.tocsr()
    limit(500 * KIB)
    with pytest.raises(MemoryError, match=f"a product of {n * n:,} entries"):
        normal.tocsr()
    limit(None)
    assert normal.nnz == n * n


def test_blocks_are_counted(limit):
    J = mj.d_matmul_dA(rng.standard_normal((40, 30)), 50)  # 50 dense blocks of 30 × 40
    blocks = J.tobsr((30, 40))
    assert blocks.data.shape == (50, 30, 40)
    np.testing.assert_array_equal(blocks.toarray(), J.toarray())
    limit(3 * 2**19)
    # by entries there could be 60,000 such blocks
    assert J.tobsr((30, 40)).nnz == J.nnz
    with pytest.raises(MemoryError, match="memory: got 10 blocks of 150 × 400 entries"):
        J.tobsr((150, 400))
    with pytest.raises(ValueError, match=r"blocksize: got \(7, 2\), expected one that divides \(1500, 2000\)"):
        J.tobsr((7, 2))


@pytest.mark.parametrize("jac", ["dense", "csr"])
def test_solvers_refuse_a_jacobian_that_does_not_fit(jac, limit):
    F = mj.compile(lambda U, V: np.tanh(U @ V.T) - 0.1, U.shape, V.shape)
    limit(6000 * KIB)
    with pytest.raises(MemoryError, match="memory: got"):
        mj.solvers.least_squares(F, U, V, jac=jac)
    fit = mj.solvers.least_squares(F, U, V, jac="operator", max_nfev=3)
    assert np.isfinite(fit.cost)


def test_batches_are_bounded(limit):
    F = mj.compile(lambda W: np.tanh(W) - 0.5, (500, 8))
    limit(10 * KIB)
    with pytest.raises(MemoryError, match="memory: got"):
        mj.solvers.least_squares(F, np.zeros((500, 8)), batch=1)


# row blocks ------------------------------------------------------------------------------------------


@every_kind
def test_row_blocks_are_the_matrix(kind):
    J = KINDS[kind]()
    A = J.tocsr()
    room = 2 * 48 * max(int(np.diff(A.indptr).max()), A.nnz // 7)
    found = list(J.iter_rows(max_bytes=room))
    assert len(found) > 1 or J.shape[0] == 1
    ends = [start + block.shape[0] for start, block in found]
    assert [start for start, _ in found] == [0, *ends[:-1]]
    assert ends[-1] == J.shape[0]
    for start, block in found:
        assert block.data.nbytes + block.indices.nbytes + block.indptr.nbytes <= room // 2
        expected = A[start : start + block.shape[0]]
        for name in ("indptr", "indices", "data"):
            np.testing.assert_array_equal(getattr(block, name), getattr(expected, name))


def test_row_blocks_of_a_range():
    J = mj.d_gram_dR(rng.standard_normal((3, 20)))
    start, stop = 7, 311
    blocks = [block for _, block in J.iter_rows(start, stop, max_bytes=2000)]
    np.testing.assert_array_equal(sp.vstack(blocks).toarray(), J.toarray()[start:stop])
    assert list(J.iter_rows(5, 5)) == []


@every_kind
def test_row_blocks_are_made_in_bounded_memory(kind, compiled):
    room = 2**20
    J = KINDS[kind]()
    J.nnz  # noqa: B018
    next(J.iter_rows(max_bytes=2**24))

    total = [0]

    def stream():
        for _, block in J.iter_rows(max_bytes=room):
            total[0] += block.nnz

    # what is computed at the point and a pass holds comes on top, and which numbers are picked, which is kept
    kept = J._assembler.beside(8, False) if kind == "picked" else 0
    assert peak(stream) < room + 2**20 + 8 * J._point.shape[0] + kept
    assert total == [J.nnz]


def test_row_blocks_that_are_too_small_are_refused():
    J = mj.d_gram_dR(np.ones((3, 5)))
    with pytest.raises(ValueError, match="max_bytes: got 10, expected at least 152 for row 0"):
        next(J.iter_rows(max_bytes=10))
    assert len(list(J.iter_rows(max_bytes=240))) == J.shape[0]
    with pytest.raises(TypeError, match="max_bytes: got float"):
        J.iter_rows(max_bytes=1.5)
    with pytest.raises(ValueError, match="start, stop: got 3, 99"):
        J.iter_rows(3, 99)
    with pytest.raises(TypeError, match="row: got"):
        J.offset(None)
    with pytest.raises(ValueError, match="row: got 26, expected at most 25"):
        J.offset(26)


# what there is ---------------------------------------------------------------------------------------


def tree(root, **files):
    """A machine's files: `__` in a name stands for a slash."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


MEMINFO = "MemTotal:       24000000 kB\nMemFree:         1000000 kB\nMemAvailable:    2000000 kB\n"


def test_available_memory_is_the_machines(tmp_path):
    root = tree(tmp_path, proc__meminfo=MEMINFO)
    assert memory.available(root) == 2_000_000 * 1024


def test_available_memory_is_what_control_groups_leave(tmp_path):
    root = tree(
        tmp_path,
        proc__meminfo=MEMINFO,
        proc__self__cgroup="0::/jobs/mine\n",
        sys__fs__cgroup__jobs__mine__placeholder="",
    )
    groups = root / "sys/fs/cgroup"
    tree(groups / "jobs/mine", **{"memory.max": "max\n", "memory.current": "5000\n"})
    tree(groups / "jobs", **{"memory.max": "90000\n", "memory.current": "50000\n"})
    tree(groups / "jobs", **{"memory.stat": "anon 7\ninactive_file 1000\nactive_file 5\n"})
    assert memory.available(root) == 90_000 - 50_000 + 1000
    tree(groups / "jobs", **{"memory.current": "95000\n"})
    assert memory.available(root) == 0


def test_available_memory_is_what_old_control_groups_leave(tmp_path):
    root = tree(tmp_path, proc__meminfo=MEMINFO, proc__self__cgroup="3:cpu:/x\n4:cpuset,memory:/mine\n0::/\n")
    group = root / "sys/fs/cgroup/memory/mine"
    tree(group, **{"memory.limit_in_bytes": "70000\n", "memory.usage_in_bytes": "30000\n"})
    tree(group, **{"memory.stat": "inactive_file 3\ntotal_inactive_file 500\n"})
    assert memory.available(root) == 40_500


def test_available_memory_without_such_files(tmp_path):
    assert 2**20 < memory.available(tmp_path) < 2**50


def test_available_memory_is_what_windows_says(tmp_path, monkeypatch):
    class Status(ctypes.Structure):
        """MEMORYSTATUSEX, as Microsoft documents it."""

        _fields_ = [("length", ctypes.c_uint32), ("load", ctypes.c_uint32)] + [
            (name, ctypes.c_uint64)
            for name in ("total", "available", "total_page", "page", "total_virtual", "virtual", "extended")
        ]

    works = True

    def told(reference):
        status = Status.from_buffer(reference._obj)
        assert status.length == ctypes.sizeof(Status)
        status.total, status.available, status.page = 8 * 2**30, 3 * 2**30, 5 * 2**30
        return works

    dll = SimpleNamespace(kernel32=SimpleNamespace(GlobalMemoryStatusEx=told))
    monkeypatch.setattr(ctypes, "windll", dll, raising=False)
    assert memory.available(tmp_path) == 3 * 2**30
    works = False
    assert memory.available(tmp_path) == sys.maxsize


def test_the_limit_is_checked(limit):
    for wrong, error in ((-1, ValueError), (1.5, TypeError), ("1GB", TypeError), (True, TypeError)):
        with pytest.raises(error, match="limit: got"):
            limit(wrong)
    limit(0)
    with pytest.raises(MemoryError, match="expected at most 0 "):
        mj.d_matvec_dA([1.0], 2).tocsr()


@pytest.mark.parametrize(
    ("text", "said"),
    [("1000", "expected at most 1,000 "), ("1GB", "MATJAC_MEMORY_LIMIT: got '1GB', expected a number of bytes")],
)
def test_the_environment_sets_the_limit(text, said):
    code = "import matjac as mj\nmj.d_matvec_dA([1.0, 2.0], 1000).tocsr()"
    ran = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "MATJAC_MEMORY_LIMIT": text}, capture_output=True, text=True
    )
    assert said in ran.stderr


def test_sizes_beyond_the_machine_are_refused():
    """What would have the process killed: terabytes, told at once."""
    J = mj.d_matvec_dA(np.ones(10**6), 10**6)
    for face in (J.tocsr, J.structure, J.tocoo, J.tocsc, J.tensor, J.coo_structure):
        with pytest.raises(MemoryError, match="1,000,000,000,000 entries"):
            face()
    with pytest.raises(MemoryError, match="a dense array of 1,000,000 × 1,000,000,000,000 of"):
        J.toarray()
    assert "1000000000000 entries" in repr(J)
