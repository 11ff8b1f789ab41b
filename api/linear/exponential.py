"""The derivative of a matrix exponential as a linear map: what depends on the matrix alone is made once for a point.

Al-Mohy and Higham, *Computing the Fréchet derivative of the matrix exponential*, 2009: Padé's approximant of order 13,
scaled and squared, is differentiated step by step.
"""

from dataclasses import dataclass
from math import ceil, frexp, isfinite, log2
from typing import Any

import numpy as np
from scipy.linalg import lapack

from matjac.conventions import Array
from matjac.linear.maps import Map
from matjac.linear.solves import side_by_side

#: The approximant's coefficients, and up to which norm it and its derivative have all digits.
PADE = (
    *(64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0),
    *(10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0, 1.0),
)
LARGEST = 4.74


def exponential_powers(A: Array) -> tuple[Any, ...]:
    """What derivatives of exp(A) are made of: powers of the scaled matrix, factors of a denominator, and squares."""
    norm, b = float(np.abs(A).sum(axis=0).max(initial=0)), PADE
    squarings = max(0, ceil(log2(norm / LARGEST))) if isfinite(norm) and frexp(norm)[0] else 0
    A = A * 2.0**-squarings
    eye = np.eye(len(A), dtype=A.dtype)
    A2 = A @ A
    A4 = A2 @ A2
    A6 = A4 @ A2
    odd, even = (b[k + 4] * A6 + b[k + 2] * A4 + b[k] * A2 for k in (9, 8))
    inside = A6 @ odd + b[7] * A6 + b[5] * A4 + b[3] * A2 + b[1] * eye
    U, V = A @ inside, A6 @ even + b[6] * A6 + b[4] * A4 + b[2] * A2 + b[0] * eye
    getrf, getrs = lapack.get_lapack_funcs(("getrf", "getrs"), (A,))
    lu, pivots, _ = getrf(V - U)
    squares = [getrs(lu, pivots, V + U)[0]]
    for _ in range(squarings):
        squares.append(squares[-1] @ squares[-1])
    return A, A2, A4, A6, odd, even, inside, lu, pivots, *squares


@dataclass(frozen=True)
class OfExponential(Map):
    """E as the derivative of exp(A) in the direction E; the coefficients are A and its `exponential_powers`."""

    name = "derivative of expm"
    axes = (2, 0)

    def product(self, x: Array, *coefficients: Any) -> Array:
        A, A2, A4, A6, odd, even, inside, lu, pivots, *squares = coefficients[1]
        b = PADE
        E = x * 2.0 ** (1 - len(squares))
        M2 = A @ E + E @ A
        M4 = A2 @ M2 + M2 @ A2
        M6 = A4 @ M2 + M4 @ A2
        of_odd, of_even = (b[k + 4] * M6 + b[k + 2] * M4 + b[k] * M2 for k in (9, 8))
        of_inside = A6 @ of_odd + M6 @ odd + b[7] * M6 + b[5] * M4 + b[3] * M2
        U = A @ of_inside + E @ inside
        V = A6 @ of_even + M6 @ even + b[6] * M6 + b[4] * M4 + b[2] * M2
        right = U + V + (U - V) @ squares[0]
        getrs = lapack.get_lapack_funcs("getrs", (lu, right))
        L = side_by_side(lambda r: getrs(lu, pivots, r)[0], right.mT).mT
        for square in squares[:-1]:
            L = square @ L + L @ square
        return np.asarray(L)

    def transposed(self, y: Array, *coefficients: Any) -> Array:
        return self.product(y.mT, *coefficients).mT
