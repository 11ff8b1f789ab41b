"""Normal equations by rows, where some unknowns are to be eliminated block by block (a Schur complement).

Unknowns that are kept are numbered; those of a block have places in it. The kept unknowns that meet block k in a row
are ``cols[ptr[k]:ptr[k + 1]]``, ascending; those that follow one another are a run. Its coupling with them is a matrix
of a row for each unknown of the block, that begins at ``ptr[k] * q``, q being the size of blocks.
"""

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from matjac.kernels.decorator import kernel

A = Any  # an array; Numba infers the rest

# unsigned: see sddmm.py
u = np.uint64


class SchurRows(NamedTuple):
    """The entries of rows in the order of their blocks: of kept unknowns, and of those of the block.

    Row t has the kept entries ``kept[kept_ptr[t]:kept_ptr[t + 1]]``, numbers in the data, whose unknowns are
    `kept_column`, with places in the block's list `kept_place`; and so those of its block, with places in it. The rows
    of block k are ``rows[k]:rows[k + 1]``.
    """

    rows: A
    kept: A
    kept_ptr: A
    kept_column: A
    kept_place: A
    inner: A
    inner_ptr: A
    inner_place: A


class SchurLists(NamedTuple):
    """The kept unknowns that meet each block, and their runs: the first place in the list of each, and the end."""

    ptr: A
    cols: A
    runs: A
    run_place: A


@kernel
def schur_link(
    indptr: A, indices: A, inside: A, parent: A, size: A, most: int, failed: A, start: int, stop: int
) -> None:
    """Join the columns that are `inside` and have entries in one of the rows ``start:stop``.

    `parent` leads from each column to the first one of its set, and `size` has at these the sets' sizes. ``failed[0]``
    becomes 1 where a set has more than `most`; then it ends.
    """
    for r in range(start, stop):
        root = -1
        for e in range(indptr[r], indptr[r + 1]):
            column = indices[e]
            if not inside[column]:
                continue
            while parent[column] != column:
                parent[column] = parent[parent[column]]
                column = parent[column]
            if root < 0:
                root = column
            elif root != column:
                low = min(root, column)
                parent[max(root, column)] = low
                size[low] = size[root] + size[column]
                root = low
                if size[low] > most:
                    failed[0] = 1
                    return


@kernel
def schur_owners(
    indptr: A, indices: A, label: A, owner: A, kept_count: A, inner_count: A, start: int, stop: int
) -> None:
    """Fill the block of each row ``start:stop``, where it meets one, and how many entries are kept unknowns', or not.

    `label` is the block of each unknown, negative for those that are kept.
    """
    for r in range(start, stop):
        kept = 0
        for e in range(indptr[r], indptr[r + 1]):
            block = label[indices[e]]
            if block < 0:
                kept += 1
            else:
                owner[r] = block
        kept_count[r] = kept
        inner_count[r] = indptr[r + 1] - indptr[r] - kept


@kernel
def schur_deal(indptr: A, indices: A, label: A, place: A, order: A, rows: SchurRows, start: int, stop: int) -> None:
    """Fill the entries of `rows` for its rows ``start:stop``, which are the rows `order`; all but `kept_place`.

    `place` is each unknown's place in its block, or its number among those that are kept.
    """
    for t in range(start, stop):
        kept = rows.kept_ptr[t]
        inner = rows.inner_ptr[t]
        for e in range(indptr[order[t]], indptr[order[t] + 1]):
            column = indices[e]
            if label[column] < 0:
                rows.kept[kept] = e
                rows.kept_column[kept] = place[column]
                kept += 1
            else:
                rows.inner[inner] = e
                rows.inner_place[inner] = place[column]
                inner += 1


@kernel
def schur_lists(rows: SchurRows, ptr: A, cols: A, seen: A, slot: A, start: int, stop: int) -> None:
    """Fill the lists of blocks ``start:stop``, from ``ptr[start]`` on, and `kept_place`.

    `seen` and `slot` are scratch, as long as there are kept unknowns; in `seen` there is no number of a block.
    """
    for k in range(start, stop):
        end = ptr[k]
        first = rows.kept_ptr[rows.rows[k]]
        last = rows.kept_ptr[rows.rows[k + 1]]
        for e in range(first, last):
            column = rows.kept_column[e]
            if seen[column] != k:
                seen[column] = k
                cols[end] = column
                end += 1
        cols[ptr[k] : end].sort()
        for at in range(ptr[k], end):
            slot[cols[at]] = at - ptr[k]
        for e in range(first, last):
            rows.kept_place[e] = slot[rows.kept_column[e]]
        ptr[k + 1] = end


@kernel
def schur_sums(
    data: A, rows: SchurRows, lists: SchurLists, kept: A, blocks: A, coupling: A, start: int, stop: int
) -> None:
    """Add the rows of blocks ``start:stop`` to the normal matrix: kept unknowns, blocks (lower triangles), coupling."""
    for k in range(start, stop):
        b = u(k)
        count = lists.ptr[b + u(1)] - lists.ptr[b]
        base = lists.ptr[b] * blocks.shape[1]
        for at in range(rows.rows[b], rows.rows[b + u(1)]):
            t = u(at)
            first = rows.kept_ptr[t]
            last = rows.kept_ptr[t + u(1)]
            for e in range(first, last):
                x = data[u(rows.kept[u(e)])]
                row = u(rows.kept_column[u(e)])
                for f in range(first, e + 1):
                    kept[row, u(rows.kept_column[u(f)])] += x * data[u(rows.kept[u(f)])]
            for e in range(rows.inner_ptr[t], rows.inner_ptr[t + u(1)]):
                x = data[u(rows.inner[u(e)])]
                place = rows.inner_place[u(e)]
                for f in range(rows.inner_ptr[t], e + 1):
                    blocks[b, u(place), u(rows.inner_place[u(f)])] += x * data[u(rows.inner[u(f)])]
                line = base + place * count
                for f in range(first, last):
                    coupling[u(line + rows.kept_place[u(f)])] += x * data[u(rows.kept[u(f)])]


@partial(kernel, reassociate=True)
def schur_whiten(coupling: A, factors: A, ptr: A, out: A, start: int, stop: int) -> None:
    """Fill ``L⁻¹`` times the coupling of blocks ``start:stop``, where `factors` are as `cholesky_factor` makes them."""
    q = factors.shape[1]
    for k in range(start, stop):
        b = u(k)
        count = ptr[b + u(1)] - ptr[b]
        base = ptr[b] * q
        for i in range(q):
            at = base + i * count
            for c in range(count):
                out[u(at + c)] = coupling[u(at + c)]
            for j in range(i):
                x = factors[b, u(i), u(j)]
                before = base + j * count
                for c in range(count):
                    out[u(at + c)] -= x * out[u(before + c)]
            x = factors[b, u(i), u(i)]
            for c in range(count):
                out[u(at + c)] *= x


@partial(kernel, reassociate=True)
def schur_reduce(white: A, lists: SchurLists, q: int, kept: A, start: int, stop: int) -> None:
    """Take the products of whitened couplings of blocks ``start:stop`` from the lower triangle of `kept`."""
    for k in range(start, stop):
        b = u(k)
        first = lists.ptr[b]
        count = lists.ptr[b + u(1)] - first
        base = first * q
        for i in range(count):
            row = u(lists.cols[u(first + i)])
            for t in range(lists.runs[b], lists.runs[b + u(1)]):
                place = lists.run_place[u(t)]
                if place > i:
                    break
                end = lists.run_place[u(t + 1)] if t + 1 < lists.runs[b + u(1)] else count
                length = min(end, i + 1) - place
                column = lists.cols[u(first + place)]
                j = 0
                while j + 3 <= q:
                    at = base + j * count
                    x0 = white[u(at + i)]
                    x1 = white[u(at + count + i)]
                    x2 = white[u(at + 2 * count + i)]
                    at += place
                    for c in range(length):
                        kept[row, u(column + c)] -= (
                            x0 * white[u(at + c)] + x1 * white[u(at + count + c)] + x2 * white[u(at + 2 * count + c)]
                        )
                    j += 3
                while j < q:
                    at = base + j * count
                    x0 = white[u(at + i)]
                    at += place
                    for c in range(length):
                        kept[row, u(column + c)] -= x0 * white[u(at + c)]
                    j += 1


@kernel
def schur_gather(white: A, inner: A, lists: SchurLists, out: A, start: int, stop: int) -> None:
    """Take the products of whitened couplings and `inner` (a row for each block) from `out`, of kept unknowns."""
    q = inner.shape[1]
    for k in range(start, stop):
        b = u(k)
        first = lists.ptr[b]
        count = lists.ptr[b + u(1)] - first
        for i in range(q):
            x = inner[b, u(i)]
            at = first * q + i * count
            for c in range(count):
                out[u(lists.cols[u(first + c)])] -= x * white[u(at + c)]


@kernel
def schur_spread(white: A, p: A, lists: SchurLists, out: A, start: int, stop: int) -> None:
    """Take the products of whitened couplings and p, of kept unknowns, from `out`, a row for each block."""
    q = out.shape[1]
    for k in range(start, stop):
        b = u(k)
        first = lists.ptr[b]
        count = lists.ptr[b + u(1)] - first
        for i in range(q):
            at = first * q + i * count
            total = 0.0
            for c in range(count):
                total += p[u(lists.cols[u(first + c)])] * white[u(at + c)]
            out[b, u(i)] -= total
