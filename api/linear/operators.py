"""Operators as steps: linear maps of flat vectors that are known by their products."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp

from matjac.conventions import Array, Shape, canonical
from matjac.linear.primitives import Multilinear


class Operator(Protocol):
    """A linear map of flat vectors: its product, that of its transpose, and its matrix."""

    def product(self, x: Array) -> Array:
        """J x for x of shape (..., columns)."""

    def transposed(self, y: Array) -> Array:
        """Jᵀ y for y of shape (..., rows)."""

    def matrix(self) -> Any:
        """As a canonical csr_array."""


@dataclass(frozen=True, eq=False)
class TransposedOperator:
    """The transpose of an operator."""

    operator: Operator

    def product(self, x: Array) -> Array:
        """Jᵀ x."""
        return self.operator.transposed(x)

    def transposed(self, y: Array) -> Array:
        """J y."""
        return self.operator.product(y)

    def matrix(self) -> Any:
        """As a canonical csr_array."""
        return canonical(self.operator.matrix().T)


@dataclass(frozen=True, eq=False)
class EntriesOf:
    """The operator whose matrix has ones where another's has entries."""

    operator: Operator

    def product(self, x: Array) -> Array:
        """The product with ones."""
        return np.asarray(x @ self.matrix().T)

    def transposed(self, y: Array) -> Array:
        """The product with the transpose."""
        return np.asarray(y @ self.matrix())

    def matrix(self) -> Any:
        """Ones as a csr_array."""
        made = self.operator.matrix()
        return sp.csr_array((np.ones(made.nnz), made.indices, made.indptr), shape=made.shape)


@dataclass(frozen=True, eq=False)
class Apply(Multilinear):
    """An operator on flat vectors."""

    keeps_real = False

    operator: Operator
    after: Shape

    def positive(self) -> "Multilinear":
        return Apply(EntriesOf(self.operator), self.after)

    def value(self, *operands: Any) -> Any:
        return self.operator.product(operands[0])
