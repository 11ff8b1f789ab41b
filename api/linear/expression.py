"""Linear expressions: a differential as a graph of steps. Run, it is J v; its adjoint (`adjoint.py`) is another one.

A step is a primitive of which some operands are linear (variables' differentials, or results of earlier steps) and the
others numbers of values in a `Program`. So an expression is structure alone; values come in when it is run.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from matjac.conventions import Array, Shape, cached_property, canonical, size
from matjac.linear.primitives import Add, AtMostOne, MatMul, Multilinear, Multiply, Real, Reshape, Transpose
from matjac.linear.program import Program, shortened


@dataclass(frozen=True)
class LinearStep:
    """A primitive and its operands: numbers of linear results where `linear` is true, else of values."""

    primitive: Multilinear
    operands: tuple[int | None, ...]
    linear: tuple[bool, ...]
    out: int


class Expression:
    """A linear function of some variables: 0, 1, … are their differentials, the rest results of steps."""

    def __init__(self, program: Program, in_shapes: Sequence[Shape]) -> None:
        self.program, self.in_shapes = program, tuple(in_shapes)
        self.shapes: list[Shape] = list(in_shapes)
        self.steps: list[LinearStep] = []
        #: the result, None where it is zero
        self.out: int | None = None
        self.out_shape: Shape = ()
        self._known: dict[Any, int] = {}
        self._makers: dict[int, LinearStep] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_known": {}, "_makers": {}}

    # recording ---------------------------------------------------------------------------------------

    def add(self, primitive: Multilinear, operands: Sequence[int | None], linear: Sequence[bool], shape: Shape) -> int:
        """Record a step, unless the same is there."""
        primitive, operands = shortened(primitive, operands, self._makers)
        if primitive.idle:
            return operands[0]  # type: ignore[return-value]
        if isinstance(primitive, MatMul) and (turned := self._pulled_transpose(operands, linear, shape)) is not None:
            return turned
        key = primitive.key, tuple(operands), tuple(linear)
        if key not in self._known:
            number = self._known[key] = len(self.shapes)
            self.shapes.append(shape)
            step = LinearStep(primitive, tuple(operands), tuple(linear), number)
            self.steps.append(step)
            self._makers[number] = step
        return self._known[key]

    def _pulled_transpose(self, operands: Sequence[int | None], linear: Sequence[bool], shape: Shape) -> int | None:
        """``dXᵀ B`` as ``(Bᵀ dX)ᵀ``: so the two terms of RᵀR share one product."""
        at = linear.index(True)
        inner = self._makers.get(operands[at])  # type: ignore[arg-type]
        if inner is None or not isinstance(inner.primitive, Transpose) or inner.primitive.axes != (1, 0):
            return None
        other = operands[1 - at]
        assert other is not None
        turned, back = inner.operands[0], transposed_value(self.program, other)
        pair = (back, turned) if at == 0 else (turned, back)
        product = self.add(MatMul(), pair, (at == 1, at == 0), shape[::-1])
        return self.add(Transpose(shape[::-1], (1, 0)), (product,), (True,), shape)

    def finish(self, out: int | None, out_shape: Shape) -> "Expression":
        """Make that the result, and forget the steps it does not need."""
        self.out, self.out_shape = out, out_shape
        needed = {out}
        for step in reversed(self.steps):
            if step.out in needed:
                needed.update(k for k, linear in zip(step.operands, step.linear, strict=True) if linear)
        self.steps = [step for step in self.steps if step.out in needed]
        self._known.clear()
        return self

    def same(self, other: "Expression") -> bool:
        """Whether the other takes the same steps, of values of the same numbers."""
        if (self.in_shapes, self.out_shape, self.out) != (other.in_shapes, other.out_shape, other.out):
            return False
        keys = ([(s.primitive.key, s.operands, s.linear) for s in e.steps] for e in (self, other))
        return next(keys) == next(keys)

    def replay(
        self, target: "Expression", variables: Sequence[int | None], value: Callable[[int], int], wanted: Any = ()
    ) -> Any:
        """Record the steps again in another expression, on those variables; None is zero.

        `value` gives the number of a value in the target's program. Returns what became of the result, or of those
        `wanted`.
        """
        found: dict[int, int | None] = dict(enumerate(variables))
        for step in self.steps:
            found[step.out] = _again(step, target, found, value, self.shapes[step.out])
        return {k: found.get(k) for k in wanted} if wanted else None if self.out is None else found[self.out]

    # running -----------------------------------------------------------------------------------------

    @property
    def coefficients(self) -> set[int]:
        """The values that a run needs."""
        pairs = [pair for step in self.steps for pair in zip(step.operands, step.linear, strict=True)]
        return {k for k, linear in pairs if not linear and k is not None}

    @cached_property
    def _run(self) -> tuple[int, list[tuple[Multilinear, tuple[int, ...], int, list[int]]]]:
        """The steps, whose operands are in one list of the values, the linear results, and None at its end.

        Beside each are the results that no later step needs.
        """
        values, seen = len(self.program.shapes), {self.out, *range(len(self.in_shapes))}
        steps = []
        for step in reversed(self.steps):
            pairs = list(zip(step.operands, step.linear, strict=True))
            operands = tuple(-1 if k is None else values + k if linear else k for k, linear in pairs)
            last = {k for k, linear in pairs if linear and k is not None} - seen
            seen |= last
            steps.append((step.primitive, operands, values + step.out, [values + k for k in last]))
        return values, steps[::-1]

    @cached_property
    def held(self) -> int:
        """Numbers that a run holds at a time, of one direction."""
        values, steps = self._run
        live = most = 0
        owned: dict[int, int] = {}
        scattered: set[int] = set()
        for primitive, operands, out, spent in steps:
            released = sum(owned.pop(k, 0) for k in spent)
            # entries that do not follow one another are copied to be reshaped
            copied = isinstance(primitive, Reshape) and operands[0] in scattered
            if primitive.makes_view and not copied:
                # what it is a view of stays as long as it
                owned[out] = released
                if not isinstance(primitive, Reshape):
                    scattered.add(out)
                continue
            owned[out] = size(self.shapes[out - values])
            live += owned[out]
            most = max(most, live)
            live -= released
        return most

    @property
    def real_linear(self) -> bool:
        """Whether a real part is taken on the way, so that directions are real."""
        return any(isinstance(step.primitive, Real) for step in self.steps)

    def forward(self, values: Sequence[Any], x: Sequence[Array]) -> Array:
        """J v of arrays in the variables' shapes, which axes of their own may precede."""
        if any(map(np.iscomplexobj, x)) and self.real_linear:
            real, imaginary = (self.forward(values, list(map(part, x))) for part in (np.real, np.imag))
            return real + 1j * imaginary
        if self.out is None:
            batch = x[0].shape[: x[0].ndim - len(self.in_shapes[0])]
            return np.zeros(batch + self.out_shape, x[0].dtype)
        count, steps = self._run
        # the last values may not be there yet; one more for None
        found = [*values[:count], *[None] * (count - len(values)), *x, *[None] * (len(self.shapes) - len(x) + 1)]
        for primitive, operands, out, spent in steps:
            found[out] = primitive.value(*[found[k] for k in operands])
            for k in spent:
                found[k] = None
        return found[count + self.out]  # type: ignore[no-any-return]

    def positive(self) -> "Expression":
        """The same steps of zeros and numbers up to one: with `ones` for values nothing cancels, nor overflows."""

        def bounded(primitive: Multilinear) -> Multilinear:
            made = primitive.positive()
            return made if made.makes_view or isinstance(made, Multiply) else AtMostOne(made)

        made = Expression(self.program, self.in_shapes)
        made.shapes, made.out, made.out_shape = self.shapes, self.out, self.out_shape
        made.steps = [LinearStep(bounded(s.primitive), s.operands, s.linear, s.out) for s in self.steps]
        return made

    def ones(self) -> list[Any]:
        """Ones for values, and zeros where they are zero by structure."""
        program = self.program
        values: list[Any] = [None] * len(program.shapes)
        for k in self.coefficients:
            matrix, pattern = program.sparse(k), program.patterns.get(k)
            if matrix is not None:
                values[k] = sp.csr_array((np.ones(matrix.nnz), matrix.indices, matrix.indptr), shape=matrix.shape)
            else:
                values[k] = np.ones(program.shapes[k]) if pattern is None else pattern.astype(float)
        return values


def transposed_value(program: Program, number: int) -> int:
    """The transposed matrix, or each of a stack of them."""
    matrix, shape = program.sparse(number), program.shapes[number]
    if matrix is not None:
        return program.constant(canonical(matrix.T))
    n = len(shape)
    return program.add(Transpose(shape, (*range(n - 2), n - 1, n - 2)), (number,), (*shape[:-2], shape[-1], shape[-2]))


def _again(
    step: LinearStep, target: Expression, found: dict[int, int | None], value: Callable[[int], int], shape: Shape
) -> int | None:
    primitive = step.primitive
    operands = [
        None if k is None else found[k] if linear else value(k)
        for k, linear in zip(step.operands, step.linear, strict=True)
    ]
    live = [k is not None for k, linear in zip(operands, step.linear, strict=True) if linear]
    if not any(live):
        return None
    if isinstance(primitive, Add) and not all(live):
        kept = [(sign, k) for sign, k in zip(primitive.signs, operands, strict=True) if k is not None]
        if len(kept) == 1 and kept[0][0] > 0:
            return kept[0][1]
        return target.add(Add(tuple(s for s, _ in kept)), [k for _, k in kept], [True] * len(kept), shape)
    return target.add(primitive, operands, step.linear, shape)
