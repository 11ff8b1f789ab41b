"""Where values are used: in ``np.where(x > 0, np.log(x), 0)`` the logarithm is where x is positive, and only there.

Elsewhere its slope may not be finite, and zero times infinity is no number. So slopes are zero where the value is not
used, and J v, Jᵀ u and the entries are finite all the same.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from matjac.conventions import Shape
from matjac.linear.primitives import (
    Add,
    Broadcast,
    Mask,
    Multilinear,
    Multiply,
    Pad,
    Reshape,
    Scatter,
    Slice,
    Take,
    Transpose,
)
from matjac.linear.program import Indicator, Primitive, Step
from matjac.tracing.arrays import Recorded, Traced, shape_of
from matjac.tracing.conditions import Stepwise, Where, sides
from matjac.tracing.elementwise import Elementwise, Slope
from matjac.tracing.recorded import apply
from matjac.tracing.recorder import Recorder
from matjac.tracing.slopes import FINITE, STEPS
from matjac.tracing.whole import DIFFERENTIALS, Whole


def guards_of(recorder: Recorder, steps: Sequence[Step], results: Sequence[int]) -> dict[int, Any]:
    """Of values that are used in some places alone and may not be finite elsewhere, or may their slopes: a mask."""
    wild = _wild(steps) if any(isinstance(step.primitive, Where | Mask) for step in steps) else set()
    if not wild:
        return {}
    uses: dict[int, list[Any]] = {k: [None] for k in results}
    found: dict[int, Any] = {}
    for step in reversed(steps):
        if step.out in uses:
            guard = _either(uses.pop(step.out))
            if guard is not None and step.out in wild:
                found[step.out] = guard
            for k, use in _used(recorder, step, guard):
                uses.setdefault(k, []).append(use)
    return found


def _wild(steps: Sequence[Step]) -> set[int]:
    """The values that may not be finite, or have slopes that are not."""
    found: set[int] = set()
    for step in steps:
        primitive = step.primitive
        if _has_steps(primitive):
            continue
        tame = isinstance(primitive, Multilinear | Where) or (
            isinstance(primitive, Elementwise) and primitive.ufunc in FINITE
        )
        if not tame or not found.isdisjoint(step.operands):
            found.add(step.out)
    return found


def _has_steps(primitive: Primitive) -> bool:
    """Whether it is constant between its steps."""
    if isinstance(primitive, Whole):
        return primitive.function not in DIFFERENTIALS
    return isinstance(primitive, Stepwise | Slope | Indicator) or (
        isinstance(primitive, Elementwise) and primitive.ufunc in STEPS
    )


def flowing(steps: Sequence[Step], results: Sequence[int]) -> set[int]:
    """The values by which the results can be differentiated: not those that decide conditions alone."""
    found = set(results)
    for step in reversed(steps):
        if step.out in found and not _has_steps(step.primitive):
            found.update(step.operands[1:] if isinstance(step.primitive, Where) else step.operands)
    return found


def _either(uses: Sequence[Any]) -> Any:
    """Where any of the uses is; None is everywhere."""
    different = {use.number if isinstance(use, Recorded) else id(use): use for use in uses}
    if any(use is None for use in different.values()):
        return None
    first, *rest = different.values()
    for use in rest:
        first = np.logical_or(first, use)
    return first


def _used(recorder: Recorder, step: Step, guard: Any) -> Iterator[tuple[int, Any]]:
    """The operands of a step that is used where the guard is true, and where it uses them."""
    primitive, operands, program = step.primitive, step.operands, recorder.program
    if _has_steps(primitive):
        return
    if isinstance(primitive, Where):
        condition = Traced(recorder, operands[0], recorder.examples[operands[0]])
        for k, mask in zip(operands[1:], sides(condition), strict=True):
            yield k, _fitted(mask if guard is None else np.logical_and(mask, guard), program.shapes[k])
    elif isinstance(primitive, Mask):
        yield operands[0], primitive.mask if guard is None else np.logical_and(primitive.mask, guard)
    else:
        for k in operands:
            yield k, None if guard is None else _through(primitive, guard, program.shapes[k])


def _through(primitive: Any, guard: Any, shape: Shape) -> Any:
    """Where an operand of that shape is used, of a result that is where the guard is true; None is everywhere."""
    if isinstance(primitive, Add | Multiply | Elementwise | Broadcast):
        return _fitted(guard, shape)
    if isinstance(primitive, Reshape) and shape_of(guard) == primitive.after:
        return np.reshape(guard, shape)
    if isinstance(primitive, Transpose) and len(shape_of(guard)) == len(shape):
        return np.transpose(guard, [int(k) for k in np.argsort(primitive.axes)])
    if isinstance(primitive, Slice):
        after = np.broadcast_to(np.empty((), bool), shape)[primitive.slices].shape
        return _put(Pad(after, shape, primitive.slices), guard) if shape_of(guard) == after else None
    if isinstance(primitive, Take) and shape_of(guard) == primitive.after:
        entries = (primitive.positions.reshape(-1, 1) * primitive.block + np.arange(primitive.block)).reshape(-1)
        if np.unique(entries).size == entries.size:
            return _put(Scatter(primitive.after, entries, shape), guard)
    return None


def _put(primitive: Pad | Scatter, guard: Any) -> Any:
    return apply(primitive, guard) if isinstance(guard, Recorded) else primitive.value(guard)


def _fitted(guard: Any, shape: Shape) -> Any:
    """The guard of an array that is broadcast to what the guard is of: its entries are used where any copy is."""
    before = shape_of(guard)
    ahead = len(before) - len(shape)
    if ahead > 0:
        guard = np.any(guard, axis=tuple(range(ahead)))
    axes = tuple(k for k, (m, n) in enumerate(zip(shape[::-1], before[::-1], strict=False)) if m == 1 != n)
    if axes:
        guard = np.any(guard, axis=tuple(-1 - k for k in axes), keepdims=True)
    return guard


def kept(guard: Any, x: Any) -> Any:
    """A factor that may not be finite where the guard is false, as zero there."""
    return np.where(guard, x, 0) if isinstance(x, Recorded) else x
