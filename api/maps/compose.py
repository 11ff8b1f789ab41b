"""Maps from maps: products, sums, stacks, rows taken and scaled. Nothing is multiplied out: steps are put together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from matjac.conventions import Array, Layout, Shape, size
from matjac.entries.plan import Plan
from matjac.linear.expression import Expression
from matjac.linear.operators import Apply, Operator
from matjac.linear.primitives import (
    Add,
    Join,
    MatMul,
    Multilinear,
    Multiply,
    Reshape,
    Slice,
    Take,
    Transpose,
)
from matjac.linear.program import Program
from matjac.linear.spread import Spread
from matjac.maps.point import Point


class Combination:
    """An expression put together from the steps of maps at their points."""

    def __init__(self, in_shapes: Sequence[Shape]) -> None:
        self.program = Program()
        self.expression = Expression(self.program, in_shapes)
        self.values: list[Any] = []
        self._known: dict[Point, dict[int, int]] = {}

    def value(self, value: Any) -> int:
        """The number of a given value."""
        scalar_or_sparse = sp.issparse(value) or np.ndim(value) == 0
        number = self.program.constant(value) if scalar_or_sparse else self.program.given(np.shape(value))
        self.values.extend([None] * (number + 1 - len(self.values)))
        self.values[number] = value
        return number

    def numbers(self, point: Point) -> Callable[[int], int]:
        """Where the map's values went; a map that comes twice has its values once."""
        found = self._known.setdefault(point, {})
        values, program = point.start(), point.plan.expression.program

        def number(k: int) -> int:
            if k not in found:
                value = values[k].conj() if point.conjugate and np.iscomplexobj(values[k]) else values[k]
                found[k] = self.value(value)
                if k in program.patterns:
                    self.program.patterns[found[k]] = program.patterns[k]
            return found[k]

        return number

    def replay(self, point: Point, variables: Sequence[int]) -> int | None:
        """The map's result for those variables, flat; None is zero."""
        expression = point.plan.expression
        operators = point.conjugate and any(isinstance(step.primitive, Apply) for step in expression.steps)
        if operators or expression.real_linear:
            # an operator's numbers are its own, and a real part of a sum of complex numbers is not this map's alone
            return self.apply(Whole(point, "numerator"), variables, size(expression.out_shape))
        given = [self.reshape(k, shape) for k, shape in zip(variables, expression.in_shapes, strict=True)]
        out = expression.replay(self.expression, given, self.numbers(point))
        return None if out is None else self.reshape(out, (size(expression.out_shape),))

    def step(self, primitive: Multilinear, operands: Sequence[int | None], linear: Sequence[bool], shape: Shape) -> int:
        """Record a step."""
        return self.expression.add(primitive, operands, linear, shape)

    def reshape(self, number: int, shape: Shape) -> int:
        """The same entries in another shape."""
        return self.step(Reshape(self.expression.shapes[number], shape), (number,), (True,), shape)

    def apply(self, operator: Operator, variables: Sequence[int], rows: int) -> int:
        """An operator of variables one after another."""
        return self.step(Apply(operator, (rows,)), (self.flat(variables),), (True,), (rows,))

    def flat(self, numbers: Sequence[int]) -> int | None:
        """Results one after another, as one vector."""
        sizes = [size(self.expression.shapes[k]) for k in numbers]
        return self.join([self.reshape(k, (n,)) for k, n in zip(numbers, sizes, strict=True)], sizes)

    def split(self, flat: int, shapes: Sequence[Shape]) -> list[int]:
        """The parts of a flat result, one after another."""
        (total,) = self.expression.shapes[flat]
        if len(shapes) == 1:
            return [self.reshape(flat, shapes[0])]
        at, parts = 0, []
        for shape in shapes:
            index = (slice(at, at + size(shape)),)
            part = self.step(Slice((total,), index), (flat,), (True,), (size(shape),))
            parts.append(self.reshape(part, shape))
            at += size(shape)
        return parts

    def join(self, parts: Sequence[int | None], sizes: Sequence[int]) -> int | None:
        """Flat results one after another; None is zero."""
        if len(parts) == 1 or all(part is None for part in parts):
            return parts[0]
        shapes: tuple[Shape, ...] = tuple((n,) for n in sizes)
        return self.step(Join(shapes), parts, (True,) * len(parts), (sum(sizes),))

    def add(self, parts: Sequence[int | None]) -> int | None:
        """The sum of results; None is zero."""
        kept = [part for part in parts if part is not None]
        if len(kept) < 2:
            return kept[0] if kept else None
        return self.step(Add((1,) * len(kept)), kept, (True,) * len(kept), self.expression.shapes[kept[0]])

    def multiply(self, by: Any, number: int | None) -> int | None:
        """A result times numbers."""
        if number is None:
            return None
        return self.step(Multiply(), (self.value(by), number), (False, True), self.expression.shapes[number])

    def two_sided(self, left: Any, number: int, right: Any) -> int:
        """``left · X · right`` of a matrix; None is the identity."""
        m, n = self.expression.shapes[number]
        if left is not None:
            m = left.shape[0]
            number = self.step(MatMul(), (self.value(left), number), (False, True), (m, n))
        if right is not None:
            number = self.step(MatMul(), (number, self.value(right)), (True, False), (m, right.shape[1]))
        return number

    def transpose(self, number: int) -> int:
        """The transposed matrix."""
        m, n = self.expression.shapes[number]
        return self.step(Transpose((m, n), (1, 0)), (number,), (True,), (n, m))

    def finish(self, out: int | None, rows: int, dtype: np.dtype[Any]) -> Point:
        """The map to that result, which is flat."""
        self.expression.finish(out, (rows,))
        self.values.extend([None] * (len(self.program.shapes) - len(self.values)))
        for k, constant in self.program.constants.items():
            self.values[k] = constant
        known = [k for k, value in enumerate(self.values) if value is not None]
        plan = Plan(self.expression, known, keep=False)
        return Point(plan, self.values, dtype)


def chain(outer: Point, inner: Point) -> Point:
    """The product ``outer @ inner``."""
    made = Combination(inner.plan.expression.in_shapes)
    flat = made.replay(inner, range(len(inner.plan.expression.in_shapes)))
    out = None if flat is None else made.replay(outer, made.split(flat, outer.plan.expression.in_shapes))
    return made.finish(out, outer.shape[0], np.result_type(outer.dtype, inner.dtype))


def add(points: Sequence[Point]) -> Point:
    """The sum of maps of the same variables."""
    made, variables = _of_same(points)
    out = made.add([made.replay(point, variables) for point in points])
    return made.finish(out, points[0].shape[0], np.result_type(*(p.dtype for p in points)))


def above(points: Sequence[Point]) -> Point:
    """Maps of the same variables, one above another."""
    made, variables = _of_same(points)
    rows = [point.shape[0] for point in points]
    out = made.join([made.replay(point, variables) for point in points], rows)
    return made.finish(out, sum(rows), np.result_type(*(p.dtype for p in points)))


def _of_same(points: Sequence[Point]) -> tuple[Combination, range]:
    shapes = points[0].plan.expression.in_shapes
    return Combination(shapes), range(len(shapes))


def beside(points: Sequence[Point]) -> Point:
    """Maps of equally many rows, side by side."""
    shapes = [point.plan.expression.in_shapes for point in points]
    made = Combination([shape for mine in shapes for shape in mine])
    starts = np.cumsum([0, *map(len, shapes)]).tolist()
    parts = [made.replay(p, range(a, b)) for p, a, b in zip(points, starts, starts[1:], strict=False)]
    return made.finish(made.add(parts), points[0].shape[0], np.result_type(*(p.dtype for p in points)))


def columns(point: Point, kept: Sequence[int]) -> Point:
    """The map of those of its variables alone, in that order; the others are zero."""
    if point.conjugate:
        return columns(point.conj(), kept).conj()
    expression, rows = point.plan.expression, point.shape[0]
    made = Combination([expression.in_shapes[k] for k in kept])
    variables = [kept.index(k) if k in kept else None for k in range(len(expression.in_shapes))]
    out = expression.replay(made.expression, variables, made.numbers(point))
    return made.finish(None if out is None else made.reshape(out, (rows,)), rows, point.dtype)


def of_free(point: Point, spreads: Sequence[Spread | None], curvatures: Sequence[Point | None] | None = None) -> Point:
    """The map of the free entries of unknowns with structure; None is one without.

    With `curvatures` it is a Hessian's: its results are by free entries too, and those Hessians are added.
    """
    shapes = point.plan.expression.in_shapes
    made = Combination([s if p is None else p.before for s, p in zip(shapes, spreads, strict=True)])
    wholes = [k if p is None else made.step(p, (k,), (True,), p.after) for k, p in enumerate(spreads)]
    out, rows, dtype = made.replay(point, wholes), point.shape[0], point.dtype
    if curvatures is not None:
        parts: list[int | None] = [None] * len(shapes) if out is None else [*made.split(out, shapes)]
        sizes = [size(shape) for shape in made.expression.in_shapes]
        for k, (spread, curvature) in enumerate(zip(spreads, curvatures, strict=True)):
            part = parts[k]
            if spread is not None and part is not None:
                part = made.step(spread.adjoint(), (part,), (True,), spread.before)
            flat = None if part is None else made.reshape(part, (sizes[k],))
            parts[k] = made.add([flat, None if curvature is None else made.replay(curvature, [k])])
        out, rows = made.join(parts, sizes), sum(sizes)
        dtype = np.result_type(dtype, *(c.dtype for c in curvatures if c is not None))
    return made.finish(out, rows, dtype)


def scaled(point: Point, by: Any) -> Point:
    """A map times a number, or each row times its own."""
    dtype = np.result_type(point.dtype, by)
    made, variables = _of_same([point])
    return made.finish(made.multiply(np.array(by, dtype), made.replay(point, variables)), point.shape[0], dtype)


def take(point: Point, index: Array) -> Point:
    """Those rows, in that order."""
    made, variables = _of_same([point])
    out = made.replay(point, variables)
    if out is not None:
        shape = (index.size,)
        out = made.step(Take((point.shape[0],), index, 1, shape), (out,), (True,), shape)
    return made.finish(out, index.size, point.dtype)


def applied(shapes: Sequence[Shape], rows: int, dtype: np.dtype[Any], operator: Operator) -> Point:
    """The map of an operator."""
    made = Combination(shapes)
    point = made.finish(made.apply(operator, range(len(shapes)), rows), rows, dtype)
    point.plan.operator = operator
    return point


@dataclass(frozen=True, eq=False)
class Whole:
    """A map in a layout, as an operator."""

    point: Point
    layout: Layout

    def product(self, x: Array) -> Array:
        """The product with the matrix as laid out."""
        return self.point.apply(x) if self.layout == "numerator" else self.point.apply_transposed(x)

    def transposed(self, y: Array) -> Array:
        """The product with its transpose."""
        return self.point.apply_transposed(y) if self.layout == "numerator" else self.point.apply(y)

    def matrix(self) -> Any:
        """The matrix as a csr_array."""
        return self.point.csr(self.layout)
