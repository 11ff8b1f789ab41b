"""Sums of squares: the part of their Hessian that first derivatives make, Gauss's and Newton's."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from matjac.conventions import Order
from matjac.entries.plan import Plan
from matjac.linear.adjoint import swept
from matjac.linear.maps import Linear
from matjac.linear.primitives import Add, Join, Multilinear, Multiply, Reshape
from matjac.linear.program import Step
from matjac.tracing.differentiate import differentiate
from matjac.tracing.elementwise import Elementwise
from matjac.tracing.record import Record, finished, recorded
from matjac.tracing.sums import squared


def gauss_newton(record: Record, order: Order, by: tuple[int, ...]) -> Plan:
    """The plan of ``2 Jᵀ diag(c) J`` for a sum of squares ``Σ c ∘ r²``, J being the Jacobian of r."""
    program = record.program
    made, variables = record.begun(order, by)
    squares = _squares(record)
    source, symbols = differentiate(record.recorder(), list(squares), record.results)
    rest, weights = swept(source.finish(symbols[record.results[0]], program.shapes[record.results[0]]))
    whole = program.shapes[record.results[0]]
    one = program.add(Reshape((), whole), (record.one(),), whole)
    values = recorded(rest, one, {one})
    every: list[list[int]] = [[] for _ in by]
    for (square, r), weight in zip(squares.items(), weights, strict=True):
        shape = program.shapes[r]
        (dr,) = record.differentials(made, variables, [r])
        if dr is None or weight is None:
            continue
        before = program.shapes[square]
        twice = program.add(Multiply(), (program.constant(2), values[weight]), before)
        if before != shape:
            # a product of a vector with itself has one weight
            twice = program.add(Reshape(before, ()), (twice,), ())
        scaled = made.add(Multiply(), (twice, dr), (False, True), shape)
        inner, start = record.begun("C", by)
        (out,) = record.differentials(inner, start, [r])
        back, parts = swept(inner.finish(out, shape))
        found = back.replay(made, [scaled], lambda k: k, {k for k in parts if k is not None})
        for mine, part in zip(every, parts, strict=True):
            if part is not None:
                mine.append(found[part])
    outs = [_sum(made, parts) for parts in every]
    shapes = [program.shapes[record.arguments[k]] for k in by]
    return Plan(finished(made, outs, shapes, order), record.known, symmetric=True)


def _sum(made: Any, parts: Sequence[int]) -> int | None:
    if len(parts) < 2:
        return parts[0] if parts else None
    return made.add(Add((1,) * len(parts)), parts, [True] * len(parts), made.shapes[parts[0]])  # type: ignore[no-any-return]


def _squares(record: Record) -> dict[int, int]:
    """The squares of which the result is a linear function, each with what is squared."""
    program, (out,) = record.program, record.results
    _, symbols = record.differential
    found: dict[int, int] = {}
    waiting = [out]
    while waiting:
        number = waiting.pop()
        step = program.makers.get(number)
        if step is None:
            raise _refused("it depends on a variable without a square")
        live = [k for k in step.operands if k in symbols]
        square = squared(program, step)
        root = program.makers.get(square)  # type: ignore[arg-type]
        if root is not None and isinstance(root.primitive, Elementwise) and root.primitive.ufunc is np.sqrt:
            # the square of a norm is what was under the root
            waiting.append(root.operands[0])
        elif square is not None:
            found[number] = square
        elif _is_linear(step, live):
            waiting.extend(live)
        else:
            raise _refused(f"a step of it is {step.primitive.name}, of shape {program.shapes[number]}")
    return found


def _is_linear(step: Step, live: Sequence[int]) -> bool:
    """Whether a step is linear in those of its operands that depend on the variables."""
    primitive = step.primitive
    if isinstance(primitive, Elementwise):
        return primitive.ufunc is np.divide and live == [step.operands[0]]
    if isinstance(primitive, Linear):
        # its coefficients are not what it is linear in
        return live == [step.operands[-1]]
    return isinstance(primitive, Multilinear) and (len(live) == 1 or isinstance(primitive, Add | Join))


def _refused(why: str) -> ValueError:
    return ValueError(
        f"F: got a function that is no sum of squares ({why}), expected one such as np.sum(r**2) for the "
        "Gauss-Newton part of its Hessian"
    )
