"""Any sum of terms: the sorted lists of their rows are merged, and entries in one place add up.

Every term's row is a Kronecker product, so its list is one of *blocks*: an entry k of the first factor's
row, and under it the second factor's row. Blocks of several terms with the same k are merged; a block of
one term alone is copied through.
"""

from typing import Any

from matjac.kernels.decorator import kernel

A = Any  # an array; Numba infers the rest


@kernel
def merge_rows(
    table: A,
    uval: A,
    uidx: A,
    uptr: A,
    wval: A,
    widx: A,
    wptr: A,
    scale: A,
    f: A,
    g: A,
    q: int,
    base: int,
    cursor: A,
    coef: A,
    counts: A,
    columns: A,
    values: A,
    ptr: A,
    gap: int,
    start: int,
    stop: int,
) -> None:
    """Fill, for rows ``start:stop``, whichever of `counts`, `columns` and `values` is not empty.

    The factors of all terms stand one after another in ``uval, uidx, uptr`` and ``wval, widx, wptr``; a row
    of `table` says where a term's parts begin: 0 the row map (0 grid, 1 swapped grid, 2 listed), 1 its n,
    2 its first entry in ``f, g``, 3 its first scale, 4 the scale's step (0 or 1), 5 its first entry in
    ``uptr``, 6 in ``uidx``, 7 whether all rows of u share one index list, 8 to 10 the same for w.
    `cursor` (terms × 8) and `coef` (terms) are scratch, one pair a thread.
    """
    terms = table.shape[0]
    placed = ptr.size > 0
    pos = 0
    for r in range(start, stop):
        if placed:
            pos = ptr[r - start]
        first = pos
        for t in range(terms):
            kind = table[t, 0]
            if kind == 2:
                i = f[table[t, 2] + r]
                j = g[table[t, 2] + r]
            else:
                i = r // table[t, 1]
                j = r - i * table[t, 1]
                if kind == 1:
                    i, j = j, i
            if i < 0:
                cursor[t, 0] = 0
                cursor[t, 1] = 0
                continue
            # u's entries from, to, and the way from an entry to its index; the same for w
            at = table[t, 5] + i
            cursor[t, 0] = uptr[at]
            cursor[t, 1] = uptr[at + 1]
            cursor[t, 2] = table[t, 6] - (uptr[at] if table[t, 7] else uptr[table[t, 5]])
            at = table[t, 8] + j
            cursor[t, 3] = wptr[at]
            cursor[t, 4] = wptr[at + 1]
            cursor[t, 5] = table[t, 9] - (wptr[at] if table[t, 10] else wptr[table[t, 8]])
        while True:
            # the next block, how many terms have it, and where the first of the others comes in
            block = -1
            other = -1
            active = 0
            only = 0
            for t in range(terms):
                if cursor[t, 0] < cursor[t, 1]:
                    k = uidx[cursor[t, 0] + cursor[t, 2]]
                    if block < 0 or k < block:
                        other = block
                        block = k
                        active = 1
                        only = t
                    elif k == block:
                        active += 1
                    elif other < 0 or k < other:
                        other = k
            if active == 0:
                break
            if active == 1:
                wa = cursor[only, 3]
                nw = cursor[only, 4] - wa
                s = scale[table[only, 3] + r * table[only, 4]] if values.size > 0 else scale.dtype.type(1)
                a = cursor[only, 0]
                end = cursor[only, 1]
                shift = cursor[only, 2]
                y = widx[wa + cursor[only, 5] : wa + cursor[only, 5] + nw]
                x = wval[wa : wa + nw]
                while a < end and (other < 0 or uidx[a + shift] < other):
                    if columns.size > 0:
                        corner = base + uidx[a + shift] * q
                        for m in range(nw):
                            columns[pos + m] = corner + y[m]
                    if values.size > 0:
                        c = s * uval[a]
                        if nw == 1:
                            values[pos] = c * x[0]
                        else:
                            o = values[pos : pos + nw]
                            for m in range(nw):
                                o[m] = c * x[m]
                    a += 1
                    pos += nw
                cursor[only, 0] = a
                continue
            for t in range(terms):
                cursor[t, 7] = 0
                if cursor[t, 0] < cursor[t, 1] and uidx[cursor[t, 0] + cursor[t, 2]] == block:
                    cursor[t, 7] = 1
                    cursor[t, 6] = cursor[t, 3]
                    if values.size > 0:
                        coef[t] = scale[table[t, 3] + r * table[t, 4]] * uval[cursor[t, 0]]
                    cursor[t, 0] += 1
            while True:
                column = -1
                for t in range(terms):
                    if cursor[t, 7] == 1 and cursor[t, 6] < cursor[t, 4]:
                        m = widx[cursor[t, 6] + cursor[t, 5]]
                        if column < 0 or m < column:
                            column = m
                if column < 0:
                    break
                if columns.size > 0:
                    columns[pos] = base + block * q + column
                if values.size > 0:
                    values[pos] = 0
                for t in range(terms):
                    here = cursor[t, 6]
                    if cursor[t, 7] == 1 and here < cursor[t, 4] and widx[here + cursor[t, 5]] == column:
                        if values.size > 0:
                            values[pos] += coef[t] * wval[here]
                        cursor[t, 6] += 1
                pos += 1
        if counts.size > 0:
            counts[r - start] = pos - first
        pos += gap
