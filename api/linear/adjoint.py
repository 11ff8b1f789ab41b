"""Adjoints: the transpose of a linear expression is one of the same primitives, recorded from the result back.

So Jᵀ u is run as J v is, and the gradient Jᵀ w is made of steps that can be recorded as a program's and
differentiated again.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from matjac.conventions import Shape, size
from matjac.linear.expression import Expression, transposed_value
from matjac.linear.maps import Linear
from matjac.linear.operators import Apply, TransposedOperator
from matjac.linear.primitives import (
    Add,
    Broadcast,
    Join,
    Mask,
    MatMul,
    Move,
    Multiply,
    Pad,
    Real,
    Reshape,
    Scatter,
    Sddmm,
    Slice,
    SpMM,
    Sum,
    Take,
    Transpose,
)
from matjac.linear.spread import Spread


def adjoint(expression: Expression) -> Expression:
    """Jᵀ of the result; of several variables the parts are flat, one after another."""
    made, parts = swept(expression)
    if len(parts) == 1:
        return made.finish(parts[0], expression.in_shapes[0])
    total = sum(map(size, expression.in_shapes))
    if all(part is None for part in parts):
        return made.finish(None, (total,))
    joined = made.add(Join(expression.in_shapes), parts, [True] * len(parts), (total,))
    return made.finish(joined, (total,))


def swept(expression: Expression) -> tuple[Expression, list[int | None]]:
    """The adjoint as an expression of the result, with what there is for each variable; None is zero."""
    made = Expression(expression.program, [expression.out_shape])
    parts: dict[int | None, list[int]] = {} if expression.out is None else {expression.out: [0]}
    for step in reversed(expression.steps):
        if step.out in parts:
            y = _total(made, parts.pop(step.out))
            for at, (k, linear) in enumerate(zip(step.operands, step.linear, strict=True)):
                if linear and k is not None:
                    others = (*step.operands[:at], *step.operands[at + 1 :])
                    part = ADJOINTS[type(step.primitive)](made, step.primitive, at, y, others, expression.shapes[k])
                    parts.setdefault(k, []).append(part)
    found = [_total(made, parts[k]) if k in parts else None for k in range(len(expression.in_shapes))]
    if expression.real_linear:
        # the variables are real
        found = [None if k is None else made.add(Real(), (k,), (True,), made.shapes[k]) for k in found]
    return made, found


def _total(made: Expression, parts: Sequence[int]) -> int:
    if len(parts) == 1:
        return parts[0]
    return made.add(Add((1,) * len(parts)), parts, [True] * len(parts), made.shapes[parts[0]])


def _move(made: Expression, primitive: Move, y: int, shape: Shape) -> int:
    return made.add(primitive, (y,), (True,), shape)


def _add(made: Expression, add: Add, at: int, y: int, others: Any, shape: Shape) -> int:
    return y if add.signs[at] > 0 else made.add(Add((-1,)), (y,), (True,), shape)


def _multiply(made: Expression, multiply: Multiply, at: int, y: int, others: Sequence[int], shape: Shape) -> int:
    return made.add(multiply, (*others, y), (False, True), shape)


def _matmul(made: Expression, matmul: MatMul, at: int, y: int, others: Sequence[int], shape: Shape) -> int:
    turned = transposed_value(made.program, others[0])
    pair = (y, turned) if at == 0 else (turned, y)
    return made.add(matmul, pair, (at == 0, at == 1), shape)


def _real(made: Expression, real: Real, at: int, y: int, others: Any, shape: Shape) -> int:
    return made.add(real, (y,), (True,), shape)


def _reshape(made: Expression, reshape: Reshape, at: int, y: int, others: Any, shape: Shape) -> int:
    return _move(made, Reshape(reshape.after, shape), y, shape)


def _transpose(made: Expression, transpose: Transpose, at: int, y: int, others: Any, shape: Shape) -> int:
    return _move(made, Transpose(made.shapes[y], tuple(int(k) for k in np.argsort(transpose.axes))), y, shape)


def _broadcast(made: Expression, broadcast: Broadcast, at: int, y: int, others: Any, shape: Shape) -> int:
    after = broadcast.after
    wide = (1,) * (len(after) - len(shape)) + shape
    axes = tuple(k for k, (m, n) in enumerate(zip(wide, after, strict=True)) if m != n or k < len(after) - len(shape))
    left = tuple(n for k, n in enumerate(after) if k not in axes)
    return _move(made, Reshape(left, shape), _move(made, Sum(after, axes), y, left), shape)


def _sum(made: Expression, total: Sum, at: int, y: int, others: Any, shape: Shape) -> int:
    kept = tuple(1 if k in total.axes else n for k, n in enumerate(shape))
    return _move(made, Broadcast(kept, shape), _move(made, Reshape(made.shapes[y], kept), y, kept), shape)


def _slice(made: Expression, cut: Slice, at: int, y: int, others: Any, shape: Shape) -> int:
    return _move(made, Pad(made.shapes[y], shape, cut.slices), y, shape)


def _pad(made: Expression, pad: Pad, at: int, y: int, others: Any, shape: Shape) -> int:
    return _move(made, Slice(pad.after, pad.slices), y, shape)


def _take(made: Expression, take: Take, at: int, y: int, others: Any, shape: Shape) -> int:
    count, blocks = take.positions.size, size(shape) // max(take.block, 1)
    times = np.bincount(take.positions, minlength=1)
    if count == blocks and np.all(times == 1):
        # all in another order
        return _move(made, Take(take.after, np.argsort(take.positions), take.block, shape), y, shape)
    if np.all(times <= 1):
        # each once: put back, four times as fast as a sparse product
        entries = (take.positions[:, None] * take.block + np.arange(take.block)).reshape(-1)
        return _move(made, Scatter(take.after, entries, shape), y, shape)
    # a sum of blocks where one is taken several times; small integers leave the dtype as it is
    places = np.ones(count, np.int8), (take.positions, np.arange(count))
    sums = made.program.constant(sp.csr_array(places, shape=(blocks, count)))
    rows = _move(made, Reshape(take.after, (count, take.block)), y, (count, take.block))
    added = made.add(MatMul(), (sums, rows), (False, True), (blocks, take.block))
    return _move(made, Reshape((blocks, take.block), shape), added, shape)


def _scatter(made: Expression, scatter: Scatter, at: int, y: int, others: Any, shape: Shape) -> int:
    return _move(made, Take(scatter.after, scatter.positions, 1, shape), y, shape)


def _spread(made: Expression, spread: Spread, at: int, y: int, others: Any, shape: Shape) -> int:
    return _move(made, spread.adjoint(), y, shape)


def _mask(made: Expression, mask: Mask, at: int, y: int, others: Any, shape: Shape) -> int:
    return _move(made, mask, y, shape)


def _join(made: Expression, join: Join, at: int, y: int, others: Any, shape: Shape) -> int:
    end, count = join.ends[at], size(shape)
    part = _move(made, Slice(made.shapes[y], (slice(end - count, end),)), y, (count,))
    return _move(made, Reshape((count,), shape), part, shape)


def _sddmm(made: Expression, entries: Sddmm, at: int, y: int, others: Sequence[int], shape: Shape) -> int:
    rows, columns, after, count = entries.rows, entries.columns, entries.after, entries.count
    if at == 0:
        turned = transposed_value(made.program, others[0])
        return made.add(SpMM(rows, columns, after, count), (y, turned), (True, False), shape)
    product = made.add(SpMM(columns, rows, after, count[::-1]), (y, *others), (True, False), shape[::-1])
    return _move(made, Transpose(shape[::-1], (1, 0)), product, shape)


def _spmm(made: Expression, spmm: SpMM, at: int, y: int, others: Sequence[int], shape: Shape) -> int:
    if at == 0:
        turned = transposed_value(made.program, others[0])
        entries = Sddmm(spmm.rows, spmm.columns, shape, spmm.count)
        return made.add(entries, (y, turned), (True, False), shape)
    back = SpMM(spmm.columns, spmm.rows, spmm.before, spmm.count[::-1])
    return made.add(back, (*others, y), (False, True), shape)


def _apply(made: Expression, apply: Apply, at: int, y: int, others: Any, shape: Shape) -> int:
    return made.add(Apply(TransposedOperator(apply.operator), shape), (y,), (True,), shape)


def _linear(made: Expression, linear: Linear, at: int, y: int, others: Sequence[int], shape: Shape) -> int:
    return made.add(linear.adjoint(), (*others, y), (*(False for _ in others), True), shape)


#: What each primitive adds to the adjoint of its operand number `at`, of that shape, where y is that of its result.
ADJOINTS: dict[type, Callable[..., int]] = {
    Add: _add,
    Multiply: _multiply,
    MatMul: _matmul,
    Real: _real,
    Reshape: _reshape,
    Transpose: _transpose,
    Broadcast: _broadcast,
    Sum: _sum,
    Slice: _slice,
    Pad: _pad,
    Take: _take,
    Scatter: _scatter,
    Spread: _spread,
    Mask: _mask,
    Join: _join,
    Sddmm: _sddmm,
    SpMM: _spmm,
    Apply: _apply,
    Linear: _linear,
}
