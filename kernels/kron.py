"""One term: row r of the Jacobian is ``scale[r] * (u[i] ⊗ w[j])``, u and w stored row after row."""

from typing import Any

import numpy as np

from matjac.kernels.decorator import kernel

A = Any  # an array; Numba infers the rest

# Inner loops index by unsigned integers, and by those alone: a signed index may count from the end, which
# costs a test an entry and the vector instructions, and a view of a row costs more than a short row.
ZERO, ONE, TWO, THREE, FOUR = (np.uint64(k) for k in range(5))


@kernel
def kron_values(
    u: A,
    uptr: A,
    ustep: int,
    ulen: int,
    w: A,
    wptr: A,
    wstep: int,
    wlen: int,
    scale: A,
    f: A,
    g: A,
    n: int,
    swap: bool,
    ptr: A,
    gap: int,
    out: A,
    start: int,
    stop: int,
) -> None:
    """Fill the values of rows ``start:stop``.

    Row ``i`` of the first factor is ``u[uptr[i]:uptr[i + 1]]``, or where ``uptr`` is empty the ``ulen``
    entries from ``i * ustep`` on; likewise ``w``. ``scale`` has one entry a row, or one for all. ``swap``
    exchanges the two parts of ``divmod(r, n)``.
    """
    listed = f.size > 0
    placed = ptr.size > 0
    step = 0 if scale.size == 1 else 1
    uragged = uptr.size > 0
    wragged = wptr.size > 0
    nu = np.uint64(ulen)
    nw = np.uint64(wlen)
    jump = np.uint64(gap)
    i = 0
    j = 0
    row = 0
    col = -1
    if not listed and n > 0:
        row = start // n
        col = start - row * n - 1
    pos = np.uint64(0)
    single = ulen == 1 and wlen == 1 and step == 0 and gap == 0
    if single and n > 0 and not (listed or placed or uragged or wragged):
        # one entry a row: along a row of the grid one factor stays, and the other is read in one loop
        s = scale[0]
        r = start
        row = start // n
        while r < stop:
            col = r - row * n
            end = min(n, col + stop - r)
            size = np.uint64(end - col)
            if swap:
                c = s * w[row * wstep]
                at = np.uint64(col * ustep)
                for k in range(size):
                    out[pos + k] = c * u[at + k * np.uint64(ustep)]
            else:
                c = s * u[row * ustep]
                at = np.uint64(col * wstep)
                for k in range(size):
                    out[pos + k] = c * w[at + k * np.uint64(wstep)]
            pos += size
            r += end - col
            row += 1
        return
    for r in range(start, stop):
        if listed:
            i = f[r]
            j = g[r]
        else:
            col += 1
            if col == n:
                col = 0
                row += 1
            if swap:
                i = col
                j = row
            else:
                i = row
                j = col
        if placed:
            pos = np.uint64(ptr[r - start])
        if i < 0:
            pos += jump
            continue
        s = scale[r * step]
        if uragged:
            at = np.uint64(uptr[i])
            nu = np.uint64(uptr[i + 1]) - at
        else:
            at = np.uint64(i * ustep)
        if wragged:
            to = np.uint64(wptr[j])
            nw = np.uint64(wptr[j + 1]) - to
        else:
            to = np.uint64(j * wstep)
        if nw == ONE:
            c = s * w[to]
            for k in range(nu):
                out[pos + k] = c * u[at + k]
            pos += nu
        elif ZERO < nw <= FOUR:
            # a loop over so few entries takes twice as long as its entries one by one
            for k in range(nu):
                c = s * u[at + k]
                out[pos] = c * w[to]
                out[pos + ONE] = c * w[to + ONE]
                if nw > TWO:
                    out[pos + TWO] = c * w[to + TWO]
                if nw > THREE:
                    out[pos + THREE] = c * w[to + THREE]
                pos += nw
        else:
            for k in range(nu):
                c = s * u[at + k]
                for m in range(nw):
                    out[pos + m] = c * w[to + m]
                pos += nw
        pos += jump


@kernel
def kron_columns(
    uidx: A,
    uptr: A,
    ustep: int,
    ulen: int,
    widx: A,
    wptr: A,
    wstep: int,
    wlen: int,
    q: int,
    f: A,
    g: A,
    n: int,
    swap: bool,
    base: int,
    ptr: A,
    gap: int,
    out: A,
    start: int,
    stop: int,
) -> None:
    """Fill the sorted column indices of rows ``start:stop``: ``base + uidx * q + widx``.

    Index lists are stored like the values; rows of one entry and no list are rows of the identity.
    """
    listed = f.size > 0
    placed = ptr.size > 0
    uragged = uptr.size > 0
    wragged = wptr.size > 0
    uidentity = uidx.size == 0 and ulen == 1
    widentity = widx.size == 0 and wlen == 1
    nu = ulen
    nw = wlen
    i = 0
    j = 0
    pos = 0
    for r in range(start, stop):
        if listed:
            i = f[r]
            j = g[r]
        else:
            i = r // n
            j = r - i * n
            if swap:
                i, j = j, i
        if placed:
            pos = ptr[r - start]
        if i < 0:
            pos += gap
            continue
        at = i * ustep
        to = j * wstep
        if uragged:
            at = uptr[i]
            nu = uptr[i + 1] - at
        if wragged:
            to = wptr[j]
            nw = wptr[j + 1] - to
        if nw == 1:
            column = base + (j if widentity else widx[to])
            if uidentity:
                out[pos] = i * q + column
            else:
                x = uidx[at : at + nu]
                o = out[pos : pos + nu]
                for k in range(nu):
                    o[k] = x[k] * q + column
        else:
            y = widx[to : to + nw]
            for k in range(nu):
                first = base + (i if uidentity else uidx[at + k]) * q
                o = out[pos + k * nw : pos + (k + 1) * nw]
                for m in range(nw):
                    o[m] = first + y[m]
        pos += nu * nw + gap
