"""Linear maps that are faster run than multiplied by: sums along an axis, permutations by value, solves of equations.

A map acts on the last axes of an array. What it is made of, beside its shape, are values of a program, its
coefficients. Its matrix is made only where entries are asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from matjac import memory
from matjac.conventions import Array, Shape, canonical, size
from matjac.linear.primitives import Multilinear
from matjac.linear.program import Primitive, Program


class Map:
    """A linear map of arrays; subclasses are frozen dataclasses, so that equal ones are one.

    Coefficients are arrays with as many leading axes as the array has before those that the map acts on, or fewer.
    """

    #: what `explain` calls it
    name: str
    #: for each coefficient, how many last axes of it are one map's
    axes: tuple[int, ...] = ()
    #: the narrowest dtype that holds its own numbers exactly, or that they are made in; complex ones are of its width
    exact: Any = np.float32
    #: whether it makes real numbers of real ones
    real = True

    def product(self, x: Array, *coefficients: Any) -> Array:
        """The map of the last axes of an array; others before them are a stack."""
        raise NotImplementedError

    def transposed(self, y: Array, *coefficients: Any) -> Array:
        """Its transpose, the same way."""
        raise NotImplementedError

    def places(self, before: Shape, after: Shape) -> Array | None:
        """Where its matrix (flat results by flat operands) can be other than zero; None is everywhere."""
        return None


@dataclass(frozen=True)
class Linear(Multilinear):
    """A map, or its transpose, of the last axes of the last operand; the operands before it are coefficients.

    It is linear in the last operand alone: by the others it is differentiated by a rule.
    """

    map: Map
    #: the lengths of the axes that the map acts on, and of those that it makes of them
    before: Shape
    after: Shape
    turned: bool = False

    @property
    def name(self) -> str:
        return self.map.name

    def value(self, *operands: Any) -> Any:
        *coefficients, x = operands
        run = self.map.transposed if self.turned else self.map.product
        return run(np.asarray(x), *coefficients)

    @property
    def keeps_real(self) -> bool:  # type: ignore[override]
        return self.map.real

    def adjoint(self) -> "Linear":
        """The transposed map."""
        return Linear(self.map, self.after, self.before, not self.turned)

    def positive(self) -> "Multilinear":
        return Places(self)

    def places(self) -> Array | None:
        """Where the matrix can be other than zero."""
        if not self.turned:
            return self.map.places(self.before, self.after)
        places = self.map.places(self.after, self.before)
        return None if places is None else places.T

    def stack(self, shape: Shape) -> Shape:
        """The axes before those that the map acts on, of an operand's shape."""
        return _ahead(shape, len(self.before))


@dataclass(frozen=True)
class Places(Multilinear):
    """What a map could make other than zero of its operand: a product with ones where its matrix has entries."""

    linear: Linear

    def value(self, *operands: Any) -> Any:
        x, linear = operands[-1], self.linear
        stack, places = linear.stack(x.shape), linear.places()
        flat = x.reshape(*stack, size(linear.before))
        if places is None:
            total = flat.sum(axis=-1, keepdims=True)
            return np.broadcast_to(total, (*stack, size(linear.after))).reshape(stack + linear.after)
        return (flat @ places.T.astype(x.dtype)).reshape(stack + linear.after)


@dataclass(frozen=True)
class MatrixOf(Primitive):
    """The matrices (..., results, operands) of a map, of its coefficients; `stacked` axes come before them."""

    makes_zeros = True

    linear: Linear
    stacked: int

    @property
    def keeps_real(self) -> bool:  # type: ignore[override]
        return self.linear.keeps_real

    def value(self, *operands: Any) -> Any:
        n = size(self.linear.before)
        dtype = np.result_type(self.linear.map.exact, *(x.dtype for x in operands if x.dtype.kind in "fc"))
        pairs = zip(operands, self.linear.map.axes, strict=True)
        stack = size(np.broadcast_shapes(*(_ahead(x.shape, own) for x, own in pairs)))
        entries = n * size(self.linear.after) * stack
        memory.require(f"a matrix of {entries:,} entries", dtype.itemsize * (n * n + 2 * entries))
        unit = np.eye(n, dtype=dtype).reshape(n, *(1,) * self.stacked, *self.linear.before)
        made = self.linear.value(*operands, unit)
        flat = made.reshape(*made.shape[: 1 + self.stacked], size(self.linear.after))
        return np.moveaxis(flat, 0, -1)

    def pattern(self, patterns: Sequence[Array | None], shapes: Sequence[Shape], shape: Shape) -> Array | None:
        places = self.linear.places()
        return None if places is None else np.broadcast_to(places, shape)


def matrix_of(program: Program, linear: Linear, coefficients: Sequence[int], stacked: int) -> int:
    """The number of a map's matrices; of one that has no coefficients, of one constant."""
    rows, columns = size(linear.after), size(linear.before)
    if not coefficients:
        dense, places = MatrixOf(linear, 0).value(), linear.places()
        if places is None:
            return program.constant(dense)
        at = np.nonzero(places)
        return program.constant(canonical(sp.csr_array((dense[at], at), shape=(rows, columns))))
    pairs = zip(coefficients, linear.map.axes, strict=True)
    stack = np.broadcast_shapes((1,) * stacked, *(_ahead(program.shapes[k], own) for k, own in pairs))
    return program.add(MatrixOf(linear, stacked), coefficients, (*stack, rows, columns))


def _ahead(shape: Shape, own: int) -> Shape:
    return shape[: len(shape) - own]
