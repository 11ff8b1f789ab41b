"""Where values are used: in ``np.where(x > 0, np.log(x), 0)`` the logarithm is where x is positive, and only there.

Elsewhere its slope may not be finite, and zero times infinity is no number. So slopes are zero where the value is not
used, and J v, Jᵀ u and the entries are finite all the same. Entries that are not taken, as in
``((U @ V.T - data) ** 2)[seen]``, or are written over, are not used either.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from matjac.conventions import Shape, size
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
    Sum,
    Take,
    Transpose,
)
from matjac.linear.program import Indicator, Primitive, Step
from matjac.tracing.arrays import Recorded, Traced, shape_of
from matjac.tracing.assignment import Assigned, Like
from matjac.tracing.conditions import Stepwise, Where, sides
from matjac.tracing.creation import Cast
from matjac.tracing.elementwise import Elementwise, Slope
from matjac.tracing.lazy import entries_of
from matjac.tracing.recorded import apply
from matjac.tracing.recorder import Recorder
from matjac.tracing.slopes import FINITE, STEPS
from matjac.tracing.whole import DIFFERENTIALS, Whole


def guards_of(recorder: Recorder, steps: Sequence[Step], results: Sequence[int]) -> dict[int, Any]:
    """Of values that are used in some places alone and may not be finite elsewhere, or may their slopes: a mask."""
    program = recorder.program
    wild = _wild(recorder, steps) if any(isinstance(step.primitive, CHOICES) for step in steps) else set()
    uses = {k: _Uses(program.shapes[k]) for k in wild}
    for k in wild.intersection(results):
        uses[k].add(None)
    found: dict[int, Any] = {}
    for step in reversed(steps):
        if step.out in wild:
            # all that use it come later, and were here before
            guard = uses.pop(step.out).guard
            if guard is not None:
                found[step.out] = guard
        else:
            guard = None
        if wild.isdisjoint(step.operands):
            continue
        if isinstance(step.primitive, Slice | Take) and not isinstance(guard, Recorded):
            uses[step.operands[0]].pick(step.primitive, guard)
            continue
        for k, use in _used(recorder, step, guard):
            if k in wild:
                uses[k].add(use)
    return found


class _Uses:
    """Where a value is used: nowhere at first."""

    def __init__(self, shape: Shape) -> None:
        self.shape, self.everywhere = shape, False
        #: in places that are the same at each call
        self.mask: Any = None
        #: and by conditions
        self.recorded: dict[int, Any] = {}

    def add(self, use: Any) -> None:
        """Use it where a mask is true, which may be recorded; None is everywhere."""
        if use is None:
            self.everywhere = True
        elif isinstance(use, Recorded):
            self.recorded[use.number] = use
        else:
            self._constant()[...] |= use

    def pick(self, primitive: Slice | Take, guard: Any) -> None:
        """Use what a step takes of it, of that where the mask is true."""
        mask = self._constant()
        if isinstance(primitive, Slice):
            mask[primitive.slices] |= True if guard is None else guard
        else:
            entries = entries_of(primitive)
            mask.reshape(-1)[(entries if guard is None else entries[guard]).reshape(-1)] = True

    def _constant(self) -> Any:
        if self.mask is None:
            self.mask = np.zeros(self.shape, bool)
        return self.mask

    @property
    def guard(self) -> Any:
        """A mask of where it is used; None is everywhere."""
        if self.everywhere or (self.mask is not None and self.mask.all()):
            return None
        found = self.mask
        for use in self.recorded.values():
            found = use if found is None else np.logical_or(found, use)
        return found


def _wild(recorder: Recorder, steps: Sequence[Step]) -> set[int]:
    """The values that may not be finite, or have slopes that are not."""
    made = {step.out for step in steps}
    # data that are missing, among constants or in an argument's example
    given = {k for step in steps for k in step.operands if k not in made}
    found = {k for k in given if _is_not_finite(recorder.examples.get(k))}
    for step in steps:
        primitive = step.primitive
        if _has_steps(primitive):
            continue
        tame = isinstance(primitive, Multilinear | Where | Assigned | Cast) or (
            isinstance(primitive, Elementwise) and primitive.ufunc in FINITE
        )
        if not tame or not found.isdisjoint(step.operands):
            found.add(step.out)
    return found & made


def _is_not_finite(value: Any) -> bool:
    numbers = value.data if sp.issparse(value) else value
    return isinstance(numbers, np.ndarray | float | complex) and not np.all(np.isfinite(numbers))


#: Steps that may leave some of a value unused.
CHOICES = Where, Mask, Slice, Take, Assigned


def _has_steps(primitive: Primitive) -> bool:
    """Whether it is constant between its steps."""
    if isinstance(primitive, Whole):
        return primitive.function not in DIFFERENTIALS
    return isinstance(primitive, Stepwise | Slope | Indicator | Like) or (
        isinstance(primitive, Elementwise) and primitive.ufunc in STEPS
    )


def flowing(steps: Sequence[Step], results: Sequence[int]) -> set[int]:
    """The values by which the results can be differentiated: not those that decide conditions alone."""
    found = set(results)
    for step in reversed(steps):
        if step.out in found and not _has_steps(step.primitive):
            found.update(step.operands[1:] if isinstance(step.primitive, Where) else step.operands)
    return found


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
    elif isinstance(primitive, Assigned) and not isinstance(guard, Recorded):
        positions = primitive.positions.reshape(-1) if guard is None else primitive.positions[guard.reshape(-1)]
        shapes = [program.shapes[k] for k in operands[1:]]
        used = np.zeros(sum(map(size, shapes)), bool)
        used[positions] = True
        for k, shape, part in zip(operands[1:], shapes, np.split(used, np.cumsum([*map(size, shapes)])), strict=False):
            yield k, part.reshape(shape)
    else:
        for k in operands:
            yield k, None if guard is None else _through(primitive, guard, program.shapes[k])


def _through(primitive: Any, guard: Any, shape: Shape) -> Any:
    """Where an operand of that shape is used, of a result that is where the guard is true; None is everywhere."""
    if isinstance(primitive, Add | Multiply | Elementwise | Broadcast | Cast):
        return _fitted(guard, shape)
    if isinstance(primitive, Reshape) and shape_of(guard) == primitive.after:
        return np.reshape(guard, shape)
    if isinstance(primitive, Transpose) and len(shape_of(guard)) == len(shape):
        return np.transpose(guard, [int(k) for k in np.argsort(primitive.axes)])
    if isinstance(primitive, Slice):
        after = np.broadcast_to(np.empty((), bool), shape)[primitive.slices].shape
        return _put(Pad(after, shape, primitive.slices), guard) if shape_of(guard) == after else None
    if isinstance(primitive, Sum):
        return np.broadcast_to(np.expand_dims(guard, primitive.axes), shape)
    if isinstance(primitive, Take) and shape_of(guard) == primitive.after:
        entries = entries_of(primitive).reshape(-1)
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
