"""The product of two sparse matrices on a pattern that is known, and entries dealt out by column."""

from typing import Any

from matjac.kernels.decorator import kernel

A = Any  # an array; Numba infers the rest


@kernel
def spgemm(
    a: A, aidx: A, aptr: A, b: A, bidx: A, bptr: A, idx: A, ptr: A, sums: A, out: A, start: int, stop: int
) -> None:
    """Fill the values of rows ``start:stop`` of A·B, whose pattern is ``idx, ptr``.

    `sums` is scratch, as long as B has columns, all zero before and after.
    """
    for r in range(start, stop):
        for k in range(aptr[r], aptr[r + 1]):
            c = a[k]
            row = aidx[k]
            for m in range(bptr[row], bptr[row + 1]):
                sums[bidx[m]] += c * b[m]
        for k in range(ptr[r], ptr[r + 1]):
            out[k - ptr[start]] = sums[idx[k]]
            sums[idx[k]] = 0


@kernel
def count_entries(columns: A, counts: A) -> None:
    """Add to ``counts`` how many of the entries each column has."""
    for k in range(columns.size):
        counts[columns[k]] += 1


@kernel
def count_spgemm(aidx: A, aptr: A, bidx: A, bptr: A, seen: A, counts: A, start: int, stop: int) -> None:
    """How many entries each of the rows ``start:stop`` of A·B has.

    `seen` is scratch, as long as B has columns, negative before.
    """
    for r in range(start, stop):
        found = 0
        for k in range(aptr[r], aptr[r + 1]):
            row = aidx[k]
            for m in range(bptr[row], bptr[row + 1]):
                if seen[bidx[m]] != r:
                    seen[bidx[m]] = r
                    found += 1
        counts[r - start] = found


@kernel
def scatter_entries(columns: A, source: A, cursor: A, first: int, last: int, base: int, out: A) -> None:
    """Deal entries out by column: those of columns ``first:last`` go to ``out[cursor[column - first]]``, in turn.

    So rows become columns; `cursor` moves on. `base` is added to each.
    """
    for k in range(columns.size):
        column = columns[k] - first
        if 0 <= column < last - first:
            out[cursor[column]] = source[k] + base
            cursor[column] += 1
