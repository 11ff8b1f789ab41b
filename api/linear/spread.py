"""The whole of a structured unknown from its free entries: a constant sparse matrix times a vector."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from matjac.conventions import Array, Shape, cached_property, canonical, size
from matjac.linear.primitives import Move


@dataclass(frozen=True, eq=False)
class Spread(Move):
    """A constant sparse matrix times the entries of an array, in the shape `after`.

    What it makes of a variable alone keeps the terms of a function of the whole array: see `terms_of`.
    """

    makes_zeros = True

    matrix: Any
    after: Shape

    @cached_property
    def transposed(self) -> Any:
        """The transposed matrix."""
        return canonical(self.matrix.T)

    def move(self, x: Array, batch: Shape) -> Array:
        flat = x.reshape(size(batch), size(self.before))
        # small integers leave the dtype as it is
        made = (self.matrix @ flat.T).T if batch else self.matrix @ flat[0]
        return np.asarray(made).reshape(batch + self.after)

    def pattern(self, patterns: Sequence[Array | None], shapes: Sequence[Shape], shape: Shape) -> Array | None:
        ones = np.ones(size(self.before)) if patterns[0] is None else patterns[0].reshape(-1).astype(float)
        places: Array = (abs(self.matrix) @ ones > 0).reshape(self.after)
        return None if places.all() else places

    def positive(self) -> "Spread":
        return Spread(self.before, abs(self.matrix), self.after)

    def adjoint(self) -> "Spread":
        """The transpose, as a primitive of the same kind."""
        return Spread(self.after, self.transposed, self.before)


def selection(rows: Array, columns: Array, shape: tuple[int, int], signs: Array | None = None) -> Any:
    """The canonical csr_array with ones (or signs) at those places, of a narrow dtype that changes no other."""
    ones = np.ones(len(rows), np.int8) if signs is None else signs.astype(np.int8)
    return canonical(sp.csr_array((ones, (rows, columns)), shape=shape))
