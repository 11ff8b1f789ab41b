"""Normal equations of a sparse Jacobian where unknowns come in small blocks that no residual couples: they are
eliminated, and what is left is dense.

So it is in bundle adjustment, whose residuals meet one point each.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.linalg import lapack

from matjac import kernels
from matjac.conventions import Array, cumulative
from matjac.jacobian import Jacobian
from matjac.solvers.blockwise import BlockCholesky
from matjac.solvers.damped import Damped, Places, weighted_rows, without

#: The most unknowns of a block.
LARGEST = 24


class Plan:
    """Where the entries of rows go: found once for a pattern, and which unknowns are eliminated.

    `blocks` has the unknowns of a block in each row, -1 where a block has fewer than others; the last one is of the
    rows that meet no block, and empty.
    """

    def __init__(self, matrix: Any, label: Array) -> None:
        """Of the pattern of a csr_array, and the number of each column's block, -1 of those that are kept."""
        self.places = Places(matrix)
        count, height = int(label.max(initial=-1)) + 1, matrix.shape[0]
        self.kept = np.flatnonzero(label < 0)
        inside = np.flatnonzero(label >= 0)
        by_block = inside[_order(label[inside], count)]
        sizes = np.bincount(label[inside], minlength=count + 1)
        self.size = int(sizes.max())
        place = np.empty(label.size, np.int64)
        place[by_block] = np.arange(by_block.size) - np.repeat(cumulative(sizes)[:-1], sizes)
        place[self.kept] = np.arange(self.kept.size)
        self.blocks = np.full((count + 1, self.size), -1)
        self.blocks[label[by_block], place[by_block]] = by_block
        #: which places of a block are unknowns
        self.used = self.blocks >= 0
        owner, outer, inner = np.full(height, count), np.empty(height, np.int64), np.empty(height, np.int64)
        given = matrix.indptr, matrix.indices, label
        kernels.schur_owners(*given, owner, outer, inner, 0, height)
        order = _order(owner, count + 1)
        starts = (cumulative(counts[order]) for counts in (outer, inner))
        self.rows = self._rows(cumulative(np.bincount(owner, minlength=count + 1)), *starts)
        kernels.schur_deal(*given, place, order, self.rows, 0, height)
        self.lists = self._lists(count)

    def _rows(self, rows: Array, kept: Array, inner: Array) -> kernels.SchurRows:
        """Room for the entries of the rows, which begin there."""
        room = [np.empty(int(ptr[-1]), np.int64) for ptr in (kept, kept, kept, inner, inner)]
        return kernels.SchurRows(rows, room[0], kept, room[1], room[2], room[3], inner, room[4])

    def _lists(self, count: int) -> kernels.SchurLists:
        """The lists of kept unknowns of the blocks, and their runs; rows without a block have an empty one."""
        rows, ptr = self.rows, np.zeros(count + 2, np.int64)
        cols = np.empty(rows.kept.size, np.int64)
        seen, slot = np.full(self.kept.size, -1), np.empty(self.kept.size, np.int64)
        kernels.schur_lists(rows, ptr, cols, seen, slot, 0, count)
        ptr[-1] = ptr[-2]
        cols = cols[: ptr[-1]].copy()
        begins = np.ones(cols.size, bool)
        begins[1:] = cols[1:] != cols[:-1] + 1
        begins[ptr[:-1][np.diff(ptr) > 0]] = True
        runs = np.flatnonzero(begins)
        first = np.searchsorted(runs, ptr)
        return kernels.SchurLists(ptr, cols, first, runs - np.repeat(ptr[:-1], np.diff(first)))

    @property
    def work(self) -> float:
        """Multiplications of a step, about."""
        widths, runs = np.diff(self.lists.ptr).astype(float), np.diff(self.lists.runs)
        along = np.diff(self.rows.kept_ptr).astype(float)
        # of a run of unknowns that follow one another some thirty cost as much as its beginning
        reduced = self.size * np.sum(widths * (widths + 10 * runs)) / 2
        return float(self.kept.size**3 / 3 + reduced + np.sum(along**2))


class Schur(Damped):
    """Cholesky factors of the blocks that are eliminated, and a dense one of what is left."""

    def __init__(self, plan: Plan, names: Sequence[str]) -> None:
        self.plan, self.names = plan, names
        self.name = f"Schur complement of {', '.join(names)}" if names else "dense, from sparse rows"
        self._factors = BlockCholesky()

    def face(self, J: Jacobian, weights: Array | None = None) -> Any:
        return weighted_rows(J.tocsr(), weights)

    def take(self, J: Any, held: Array | None = None, y: Array | None = None) -> None:
        plan = self.plan
        plan.places.check(J)
        (count, q), kept = plan.blocks.shape, plan.kept.size
        self._kept, self._blocks = np.zeros((kept, kept)), np.zeros((count, q, q))
        self._coupling = np.zeros(plan.lists.cols.size * q)
        data = J.data if held is None else without(J, held).data
        kernels.schur_sums(data, plan.rows, plan.lists, self._kept, self._blocks, self._coupling, 0, count)

    def norms(self) -> Array:
        plan = self.plan
        squares = np.zeros(plan.kept.size + plan.used.sum())
        squares[plan.kept] = np.einsum("ii->i", self._kept)
        squares[plan.blocks[plan.used]] = np.einsum("bii->bi", self._blocks)[plan.used]
        return np.sqrt(squares)

    def solve(self, g: Array, shift: Array) -> Array:
        plan, ptr = self.plan, self.plan.lists.ptr
        count, q = plan.blocks.shape
        lift, right = np.ones((count, q)), np.zeros((count, q))
        lift[plan.used], right[plan.used] = shift[plan.blocks[plan.used]], g[plan.blocks[plan.used]]
        factors = self._factors.factor(self._blocks, lift)
        if factors.failed.any():
            raise np.linalg.LinAlgError("a block is not positive definite")
        inner, white = factors.solve_lower(right), np.empty_like(self._coupling)
        kernels.schur_whiten(self._coupling, factors.factors, ptr, white, 0, count)
        reduced, outer = self._kept.copy(), g[plan.kept]
        reduced.reshape(-1)[:: plan.kept.size + 1] += shift[plan.kept]
        kernels.schur_reduce(white, plan.lists, q, reduced, 0, count)
        kernels.schur_gather(white, inner, plan.lists, outer, 0, count)
        p = np.empty(g.size)
        if plan.kept.size:
            # the lower triangle, row by row, is the upper one as LAPACK reads it
            _, solution, failed = lapack.dposv(reduced.T, outer, overwrite_a=True)
            if failed:
                raise np.linalg.LinAlgError(f"pivot {failed} of the Schur complement is not positive")
            p[plan.kept] = -solution
        kernels.schur_spread(white, -p[plan.kept], plan.lists, inner, 0, count)
        p[plan.blocks[plan.used]] = -factors.solve_upper(inner)[plan.used]
        return p


def _order(keys: Array, count: int) -> Array:
    """What sorts numbers below `count`, equal ones in turn: by counting."""
    cursor = cumulative(np.bincount(keys, minlength=count))[:-1].copy()
    out = np.empty(keys.size, np.int64)
    kernels.scatter_entries(keys, np.arange(keys.size), cursor, 0, count, 0, out)
    return out


def blocks_of(matrix: Any, columns: Sequence[slice]) -> Array | None:
    """The number of each column's block where those columns fall into small blocks that no row couples, else None.

    Other columns have -1. Columns are in one block where a chain of rows with entries in both links them.
    """
    n = matrix.shape[1]
    inside, parent = np.zeros(n, bool), np.arange(n)
    for part in columns:
        inside[part] = True
    failed = np.zeros(1, np.int64)
    rows = matrix.indptr, matrix.indices
    kernels.schur_link(*rows, inside, parent, np.ones(n, np.int64), LARGEST, failed, 0, matrix.shape[0])
    first = inside & (parent == np.arange(n))
    if failed[0] or np.count_nonzero(first) < 2:
        return None
    while (parent[parent] != parent).any():
        parent = parent[parent]
    # numbers in the order of the columns, so that rows of consecutive blocks are near one another
    return np.where(inside, (np.cumsum(first) - 1)[parent], -1)


def separable(matrix: Any, columns: dict[str, slice]) -> tuple[list[str], Array]:
    """The names of variables that fall into small blocks together, and the number of each column's block, or -1.

    Beginning with the one of most unknowns; none where there is no such variable.
    """
    names: list[str] = []
    label = np.full(matrix.shape[1], -1)
    for name in sorted(columns, key=lambda name: columns[name].start - columns[name].stop):
        if columns[name].stop - columns[name].start > 1:
            found = blocks_of(matrix, [columns[other] for other in (*names, name)])
            if found is not None:
                names, label = [*names, name], found
    return names, label
