"""What a program is made of: operations that compute a value, and push an input's differential on to the output's.

A differential is a `LinearMap` with a row an entry of the value, in row-major order. `push` gets the differential
of one input, the values of all, and the output's value; what it returns is that input's part of the output's.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from weakref import WeakValueDictionary

import numpy as np
import scipy.sparse as sp

from matjac import compose
from matjac.adjugate import adjugate
from matjac.assembly import explicit
from matjac.factors import Dense, Factor, Select, factor
from matjac.jacobian import Jacobian
from matjac.layout import Array, Shape, size
from matjac.maps import LinearMap, Sum
from matjac.rows import Listed
from matjac.terms import Term, grid, sampled

Values = Sequence[Any]


class Operation(ABC):
    """One step of a program."""

    #: whether the derivative is zero wherever there is one
    flat: bool = False

    @property
    def name(self) -> str:
        """What `explain` calls it."""
        return type(self).__name__.lower()

    @abstractmethod
    def value(self, *inputs: Any) -> Array:
        """The output's value."""

    @abstractmethod
    def push(self, linear: LinearMap, at: int, inputs: Values, output: Array) -> LinearMap:
        """The part of the output's differential that comes from input number `at`."""


@dataclass(frozen=True)
class Elementwise(Operation):
    """A ufunc, with broadcasting: the differential's rows are repeated, and scaled by the slope."""

    ufunc: np.ufunc
    memo: dict[Any, Any] = field(default_factory=dict, compare=False)

    @property
    def name(self) -> str:
        return self.ufunc.__name__

    def value(self, *inputs: Any) -> Array:
        return np.asarray(self.ufunc(*inputs))

    def push(self, linear: LinearMap, at: int, inputs: Values, output: Array) -> LinearMap:
        shape = np.shape(inputs[at])
        if shape != output.shape:
            linear = self._broadcast(linear, shape, output.shape)
        slope = SLOPES[self.ufunc](at, inputs, output)
        if slope is None:
            return linear
        if np.ndim(slope) == 0:
            # whatever its value: what a step makes of the terms must not depend on values
            return compose.times(linear, slope)
        return compose.scale_rows(linear, np.broadcast_to(slope, output.shape).reshape(-1))

    def _broadcast(self, linear: LinearMap, shape: Shape, wider: Shape) -> LinearMap:
        """The differential of an input that is broadcast to a wider shape."""
        if (shape, wider) not in self.memo:
            positions = np.broadcast_to(np.arange(size(shape), dtype=np.int64).reshape(shape), wider)
            self.memo[shape, wider] = positions.reshape(-1), {}
        return compose.take(linear, *self.memo[shape, wider])


Slope = Callable[[int, Values, Array], Any]


def unary(slope: Callable[[Array, Array], Any]) -> Slope:
    """A slope that depends on the input and the output."""
    return lambda at, x, y: slope(x[0], y)


def _power(at: int, x: Values, y: Array) -> Any:
    base, exponent = x[0], np.asarray(x[1])
    if at == 0:
        # x⁰ is 1 also at 0, where the rule says 0 · 0⁻¹
        return exponent * base ** np.where(exponent == 0, 1, exponent - 1)
    return np.where(base == 0, 0, y * np.log(np.where(base == 0, 1, base)))


def _absolute(x: Array, y: Array) -> Array:
    if np.iscomplexobj(x):
        raise TypeError("np.absolute has no complex derivative: compile a function of the real and imaginary parts")
    return np.sign(x)


SLOPES: dict[np.ufunc, Slope] = {
    np.add: lambda at, x, y: None,
    np.subtract: lambda at, x, y: (None, -1)[at],
    np.multiply: lambda at, x, y: x[1 - at],
    np.divide: lambda at, x, y: 1 / np.asarray(x[1]) if at == 0 else -y / x[1],
    np.power: _power,
    np.logaddexp: lambda at, x, y: np.exp(x[at] - y),
    np.maximum: lambda at, x, y: _chosen(x[at] >= x[1 - at], x[0] == x[1], y),
    np.minimum: lambda at, x, y: _chosen(x[at] <= x[1 - at], x[0] == x[1], y),
    np.negative: unary(lambda x, y: -1),
    np.positive: unary(lambda x, y: None),
    np.exp: unary(lambda x, y: y),
    np.expm1: unary(lambda x, y: y + 1),
    np.log: unary(lambda x, y: 1 / x),
    np.log1p: unary(lambda x, y: 1 / (1 + x)),
    np.sqrt: unary(lambda x, y: 0.5 / y),
    np.square: unary(lambda x, y: 2 * x),
    np.reciprocal: unary(lambda x, y: -(y**2)),
    np.sin: unary(lambda x, y: np.cos(x)),
    np.cos: unary(lambda x, y: -np.sin(x)),
    np.tan: unary(lambda x, y: 1 + y**2),
    np.arctan: unary(lambda x, y: 1 / (1 + x**2)),
    np.sinh: unary(lambda x, y: np.cosh(x)),
    np.cosh: unary(lambda x, y: np.sinh(x)),
    np.tanh: unary(lambda x, y: 1 - y**2),
    np.absolute: unary(_absolute),
}


def _chosen(chosen: Array, tie: Array, y: Array) -> Array:
    """One where an input was chosen, a half where both were."""
    return np.where(tie, 0.5, np.where(chosen, 1.0, 0.0)).astype(y.dtype)


@dataclass(frozen=True, eq=False)
class Take(Operation):
    """Entries of the input at flat positions, in the positions' shape: indices, masks, diagonals, broadcasts."""

    positions: Array
    memo: dict[Any, Any] = field(default_factory=dict, compare=False)

    def value(self, *inputs: Any) -> Array:
        return np.take(np.asarray(inputs[0]).reshape(-1), self.positions)

    def push(self, linear: LinearMap, at: int, inputs: Values, output: Array) -> LinearMap:
        return compose.take(linear, self.positions.reshape(-1), self.memo)


@dataclass(frozen=True, eq=False)
class TakeGrid(Operation):
    """Some rows and columns of a matrix: ``X[rows][:, columns]``."""

    rows: Array
    columns: Array

    def value(self, *inputs: Any) -> Array:
        return np.asarray(inputs[0])[self.rows[:, None], self.columns]

    def push(self, linear: LinearMap, at: int, inputs: Values, output: Array) -> LinearMap:
        return compose.take_grid(linear, np.shape(inputs[0]), self.rows, self.columns)


@dataclass(frozen=True)
class Transpose(Operation):
    """The transposed matrix."""

    def value(self, *inputs: Any) -> Array:
        return np.asarray(inputs[0]).T

    def push(self, linear: LinearMap, at: int, inputs: Values, output: Array) -> LinearMap:
        return compose.transpose_rows(linear, np.shape(inputs[0]))


@dataclass(frozen=True, eq=False)
class Scatter(Operation):
    """Entries put at flat positions of an array that is zero elsewhere: triangles, diagonals, constant masks."""

    positions: Array
    shape: Shape

    def value(self, *inputs: Any) -> Array:
        entries = np.asarray(inputs[0])
        out: Array = np.zeros(size(self.shape), dtype=entries.dtype)
        out[self.positions] = entries
        return out.reshape(self.shape)

    def push(self, linear: LinearMap, at: int, inputs: Values, output: Array) -> LinearMap:
        count = self.positions.size
        places = (np.ones(count, output.dtype), (self.positions, np.arange(count)))
        return compose.compose(explicit(sp.csr_array(places, shape=(output.size, count))), linear)


@dataclass(frozen=True)
class Reshape(Operation):
    """The same entries in another shape."""

    shape: Shape

    def value(self, *inputs: Any) -> Array:
        return np.asarray(inputs[0]).reshape(self.shape)

    def push(self, linear: LinearMap, at: int, inputs: Values, output: Array) -> LinearMap:
        return linear


@dataclass(frozen=True)
class Concatenate(Operation):
    """Entries of several inputs, one after another."""

    def value(self, *inputs: Any) -> Array:
        return np.concatenate([np.reshape(x, -1) for x in inputs])

    def push(self, linear: LinearMap, at: int, inputs: Values, output: Array) -> LinearMap:
        raise NotImplementedError  # the program stacks all inputs at once


@dataclass(frozen=True)
class SumLast(Operation):
    """The sum over the last of two axes, (m, n) to (m,)."""

    def value(self, *inputs: Any) -> Array:
        return np.asarray(np.sum(inputs[0], axis=1))

    def push(self, linear: LinearMap, at: int, inputs: Values, output: Array) -> LinearMap:
        return compose.sum_last(linear, np.shape(inputs[0]))


@dataclass(frozen=True)
class MatMul(Operation):
    """The product of two matrices, or of stacks of them; a constant may be sparse."""

    def value(self, *inputs: Any) -> Array:
        return np.asarray(inputs[0] @ inputs[1])

    def push(self, linear: LinearMap, at: int, inputs: Values, output: Array) -> LinearMap:
        a, b = inputs
        if output.ndim == 2:
            term = (
                grid(Select(output.shape[0]), constant(b.T)) if at == 0 else grid(constant(a), Select(output.shape[1]))
            )
            return compose.compose(Sum([term]), linear)
        blocks = []
        for x, y in zip(a.reshape(-1, *a.shape[-2:]), b.reshape(-1, *b.shape[-2:]), strict=True):
            left, right = (sp.eye_array(x.shape[0]), y.T) if at == 0 else (x, sp.eye_array(y.shape[1]))
            blocks.append(sp.kron(left, right, format="csr"))
        return compose.compose(explicit(sp.csr_array(sp.block_diag(blocks, format="csr"))), linear)


@dataclass(frozen=True, eq=False)
class SampledMatMul(Operation):
    """Entries of the product of two matrices at flat positions, which alone are made."""

    positions: Array
    whole: Shape
    memo: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def name(self) -> str:
        return "matmul, taken"

    @property
    def rows(self) -> Listed:
        """Row and column of each entry; one object, that maps made of it go on sharing."""
        if "rows" not in self.memo:
            self.memo["rows"] = Listed(*np.divmod(self.positions.reshape(-1), max(self.whole[1], 1)))
        return cast("Listed", self.memo["rows"])

    def value(self, *inputs: Any) -> Array:
        a, b = map(np.asarray, inputs)
        entries = np.empty(self.rows.count, np.result_type(a, b))
        sampled(Select(self.whole[0]), a, Dense(b.T), self.rows, entries)
        return entries.reshape(self.positions.shape)

    def push(self, linear: LinearMap, at: int, inputs: Values, output: Array) -> LinearMap:
        a, b = map(np.asarray, inputs)
        u, w = (Select(self.whole[0]), Dense(b.T)) if at == 0 else (Dense(a), Select(self.whole[1]))
        return compose.compose(Sum([Term(u, w, self.rows)]), linear)


@dataclass(frozen=True)
class Inverse(Operation):
    """A⁻¹: dY = −Y dA Y."""

    def value(self, *inputs: Any) -> Array:
        return np.linalg.inv(inputs[0])

    def push(self, linear: LinearMap, at: int, inputs: Values, output: Array) -> LinearMap:
        return compose.compose(Sum([grid(Dense(-output), Dense(np.ascontiguousarray(output.T)))]), linear)


@dataclass(frozen=True)
class Solve(Operation):
    """X = A⁻¹ B for a matrix B: dX = A⁻¹ (dB − dA X)."""

    def value(self, *inputs: Any) -> Array:
        return np.asarray(np.linalg.solve(*inputs))

    def push(self, linear: LinearMap, at: int, inputs: Values, output: Array) -> LinearMap:
        inverse = np.linalg.inv(inputs[0])
        if at == 1:
            term = grid(Dense(inverse), Select(output.shape[1]))
        else:
            term = grid(Dense(-inverse), Dense(np.ascontiguousarray(output.T)))
        return compose.compose(Sum([term]), linear)


@dataclass(frozen=True)
class SignDet(Operation):
    """The sign of det A."""

    flat = True

    def value(self, *inputs: Any) -> Array:
        return np.asarray(np.linalg.slogdet(inputs[0])[0])

    def push(self, linear: LinearMap, at: int, inputs: Values, output: Array) -> LinearMap:
        raise NotImplementedError  # a flat operation pushes nothing


@dataclass(frozen=True)
class LogDet(Operation):
    """log|det A|: dy = tr(A⁻¹ dA)."""

    def value(self, *inputs: Any) -> Array:
        return np.asarray(np.linalg.slogdet(inputs[0])[1])

    def push(self, linear: LinearMap, at: int, inputs: Values, output: Array) -> LinearMap:
        return row_after(np.linalg.inv(inputs[0]).T, linear)


@dataclass(frozen=True)
class Det(Operation):
    """det A, also where A is singular."""

    def value(self, *inputs: Any) -> Array:
        return np.asarray(np.linalg.det(inputs[0]))

    def push(self, linear: LinearMap, at: int, inputs: Values, output: Array) -> LinearMap:
        return row_after(adjugate(inputs[0]).T, linear)


def constant(matrix: Any) -> Factor:
    """A value or a constant, dense or sparse, as a factor; one object for views of the same entries.

    Both terms of RᵀR have the factor Rᵀ: that they share it makes them one product.
    """
    if sp.issparse(matrix):
        return factor(matrix)
    array = np.asarray(matrix)
    key = array.__array_interface__["data"], array.shape, array.strides, array.dtype.str
    return _factors.setdefault(key, Dense(array)) if array.size else Dense(array)


# while a factor lives its memory is no one else's
_factors: WeakValueDictionary[Any, Dense] = WeakValueDictionary()


def row_after(gradient: Array, linear: LinearMap) -> LinearMap:
    """The differential of a scalar whose gradient that is."""
    return compose.compose(Sum([grid(Dense(gradient.reshape(1, -1)), Select(1))]), linear)


@dataclass(frozen=True, eq=False)
class Custom(Operation):
    """A user's function, with the Jacobian with respect to each argument."""

    function: Callable[..., Any]
    jacobians: tuple[Callable[..., Any] | None, ...]

    def value(self, *inputs: Any) -> Array:
        return np.asarray(self.function(*inputs))

    def push(self, linear: LinearMap, at: int, inputs: Values, output: Array) -> LinearMap:
        jacobian = self.jacobians[at] if at < len(self.jacobians) else None
        if jacobian is None:
            raise TypeError(f"mj.rule: argument {at} of {self.function} depends on a variable, but has no Jacobian")
        J = jacobian(*inputs)
        if isinstance(J, Jacobian):
            if (J.order, J.layout) != ("C", "numerator"):
                raise ValueError(
                    f"mj.rule: got a Jacobian of order {J.order!r} in {J.layout} layout, expected 'C', numerator"
                )
            local = J._forward
        else:
            local = explicit(sp.csr_array(J))
        expected = (output.size, np.size(inputs[at]))
        if local.shape != expected:
            raise ValueError(f"mj.rule: got a Jacobian of shape {local.shape} for argument {at}, expected {expected}")
        return compose.compose(local, linear)
