"""The derivative of a Cholesky factor, as a linear map of the matrix's lower triangle: by halves of the matrix.

Murray, *Differentiation of the Cholesky decomposition*, 2016, has the blocks. With A = L Lᵀ and K = L⁻¹, the formula
``dL = L Φ(K dA Kᵀ)`` is used for small blocks alone: of the whole matrix it would take six times the work.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from matjac.conventions import Array, Shape
from matjac.linear.maps import Map

#: Rows up to which the formula is faster than halves.
SMALL = 64


@dataclass(frozen=True)
class CholeskyDerivative(Map):
    """dA as dL; of dA the lower triangle counts. The coefficients are L and its inverse."""

    name = "derivative of cholesky"
    axes = (2, 2)

    def product(self, x: Array, *coefficients: Any) -> Array:
        return _derivative(x, *coefficients)

    def transposed(self, y: Array, *coefficients: Any) -> Array:
        return _gradient(y, *coefficients)

    def places(self, before: Shape, after: Shape) -> Array | None:
        i, j, row, column = np.ogrid[: after[0], : after[1], : before[0], : before[1]]
        # L[i, j] is made of columns up to j, in rows up to j and in row i
        found: Array = (i >= j) & (row >= column) & (column <= j) & ((row <= j) | (row == i))
        return found.reshape(after[0] * after[1], before[0] * before[1])


def halved(M: Any) -> Any:
    """Φ: the lower triangle, with half of the diagonal."""
    return np.tril(M) * np.where(np.eye(M.shape[-1], dtype=bool), np.float32(0.5), np.float32(1))


def _derivative(dA: Array, L: Array, K: Array) -> Array:
    n = dA.shape[-1]
    if n <= SMALL:
        symmetric = np.tril(dA) + np.tril(dA, -1).mT
        return np.asarray(L @ halved(K @ symmetric @ K.mT))
    h = n // 2
    out = np.zeros(np.broadcast_shapes(dA.shape, L.shape), np.result_type(dA, L))
    first, below, last = _blocks(out, h)
    L11, L21, L22 = _blocks(L, h)
    K11, _, K22 = _blocks(K, h)
    dA11, dA21, dA22 = _blocks(dA, h)
    first[...] = _derivative(dA11, L11, K11)
    below[...] = (dA21 - L21 @ first.mT) @ K11.mT
    product = below @ L21.mT
    last[...] = _derivative(dA22 - product - product.mT, L22, K22)
    return out


def _gradient(G: Array, L: Array, K: Array) -> Array:
    n = G.shape[-1]
    if n <= SMALL:
        R = K.mT @ halved(L.mT @ np.tril(G)) @ K
        return np.asarray(np.tril(R) + np.triu(R, 1).mT)
    h = n // 2
    out = np.zeros(np.broadcast_shapes(G.shape, L.shape), np.result_type(G, L))
    first, below, last = _blocks(out, h)
    L11, L21, L22 = _blocks(L, h)
    K11, _, K22 = _blocks(K, h)
    G11, G21, G22 = _blocks(G, h)
    last[...] = _gradient(G22, L22, K22)
    below[...] = (G21 - (last + last.mT) @ L21) @ K11
    first[...] = _gradient(G11 - below.mT @ L21, L11, K11)
    return out


def _blocks(M: Array, h: int) -> tuple[Array, Array, Array]:
    """The blocks of the lower triangle."""
    return M[..., :h, :h], M[..., h:, :h], M[..., h:, h:]
