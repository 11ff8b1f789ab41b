"""Products of a term whose rows are listed: a few entries of U·X·Wᵀ, and the adjoint.

One factor has multiplied X already; `h` holds that product row by row, and row r of the term is the scalar
product of h's row ``left[r]`` with the other factor's row ``right[r]``, stored as in `kron_values`.
"""

from typing import Any

from matjac.kernels.decorator import kernel

A = Any  # an array; Numba infers the rest


@kernel
def sampled_dot(
    h: A, left: A, values: A, indices: A, ptr: A, step: int, size: int, right: A, out: A, start: int, stop: int
) -> None:
    """Fill ``out[r] = h[left[r]] · w[right[r]]`` for rows ``start:stop``, from out's beginning.

    `indices` is empty where a row of w is dense, or one entry of the identity.
    """
    ragged = ptr.size > 0
    listed = indices.size > 0
    zero = out.dtype.type(0)
    for r in range(start, stop):
        i = left[r]
        j = right[r]
        at = j * step
        n = size
        if ragged:
            at = ptr[j]
            n = ptr[j + 1] - at
        total = zero
        if listed:
            for k in range(n):
                total += h[i, indices[at + k]] * values[at + k]
        elif step == 0 and size == 1:
            total = h[i, j]
        else:
            for k in range(n):
                total += h[i, k] * values[at + k]
        out[r - start] = total


@kernel
def sampled_outer(
    y: A, left: A, values: A, indices: A, ptr: A, step: int, size: int, right: A, h: A, start: int, stop: int
) -> None:
    """Add ``y[r] * w[right[r]]`` to h's row ``left[r]`` for rows ``start:stop``: the adjoint."""
    ragged = ptr.size > 0
    listed = indices.size > 0
    for r in range(start, stop):
        i = left[r]
        j = right[r]
        at = j * step
        n = size
        if ragged:
            at = ptr[j]
            n = ptr[j + 1] - at
        c = y[r]
        if listed:
            for k in range(n):
                h[i, indices[at + k]] += c * values[at + k]
        elif step == 0 and size == 1:
            h[i, j] += c
        else:
            for k in range(n):
                h[i, k] += c * values[at + k]
