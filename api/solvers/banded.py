"""Damped steps where JᵀJ is a band in some order of the unknowns, as along a chain of equations."""

from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.linalg import lapack
from scipy.sparse.csgraph import reverse_cuthill_mckee

from matjac import kernels
from matjac.conventions import Array
from matjac.jacobian import Jacobian
from matjac.solvers.damped import Damped, Places, weighted_rows, without

#: The widest band: beyond it sparse factors are as fast.
WIDEST = 48


class Banded(Damped):
    """Cholesky factors of a band by LAPACK."""

    name = "banded"

    def __init__(self, matrix: Any, order: Array, width: int) -> None:
        self.places = Places(matrix)
        #: the unknown at each place of the band, each unknown's place, and how many diagonals are below the first
        self.order, self.place, self.width = order, np.empty_like(order), width
        self.place[order] = np.arange(order.size)

    def face(self, J: Jacobian, weights: Array | None = None) -> Any:
        return weighted_rows(J.tocsr(), weights)

    def take(self, J: Any, held: Array | None = None, y: Array | None = None) -> None:
        self.places.check(J)
        self._band = np.zeros((self.width + 1, self.order.size), order="F")
        data = without(J, held).data
        kernels.band_sums(data, J.indptr, J.indices, self.place, self._band, 0, J.shape[0])

    def norms(self) -> Array:
        return np.sqrt(self._band[0])[self.place]  # type: ignore[no-any-return]

    def solve(self, g: Array, shift: Array) -> Array:
        lifted = self._band.copy(order="F")
        lifted[0] += shift[self.order]
        _, p, failed = lapack.dpbsv(lifted, g[self.order], lower=True, overwrite_ab=True, overwrite_b=True)
        if failed:
            raise np.linalg.LinAlgError(f"pivot {failed} of the band is not positive")
        return -p[self.place]  # type: ignore[no-any-return]


def band(matrix: Any) -> tuple[Array, int]:
    """An order of a csr_array's columns by Cuthill and McKee, and how far apart a row's columns are in it."""
    graph = (matrix.T @ matrix).tocsr()
    order = reverse_cuthill_mckee(graph, symmetric_mode=True).astype(np.int64)
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    entries = sp.coo_array(graph)
    return order, int(np.abs(place[entries.row] - place[entries.col]).max(initial=0))
