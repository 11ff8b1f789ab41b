"""The differential of a recorded function: the product rule for what is linear in each operand, else the rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from matjac.linear.expression import Expression
from matjac.linear.maps import Linear
from matjac.linear.primitives import Add, Join, MatMul, Multilinear, Multiply, Sddmm, SpMM
from matjac.linear.program import Primitive, Step
from matjac.tracing import assignment, conditions, elementwise, whole
from matjac.tracing.arrays import Symbol, Traced
from matjac.tracing.creation import Cast
from matjac.tracing.custom import Custom
from matjac.tracing.custom import differential as of_custom
from matjac.tracing.guards import flowing, guards_of, kept
from matjac.tracing.handlers import TracingError
from matjac.tracing.recorded import added, apply, broadcast
from matjac.tracing.recorder import Recorder


@dataclass(frozen=True)
class One(Primitive):
    """1 in the dtype of its operands, where the sweep of a scalar begins."""

    keeps_real = True

    def value(self, *operands: Any) -> Any:
        return np.ones((), np.result_type(*operands))


#: The rules of primitives that are not linear in each operand.
RULES: dict[type, Any] = {
    elementwise.Slope: lambda *_: 0,
    conditions.Where: conditions.differential,
    conditions.Stepwise: lambda *_: 0,
    Custom: of_custom,
    One: lambda *_: 0,
    assignment.Like: lambda *_: 0,
    Cast: lambda cast, x, y, dx: dx[0],
    whole.Whole: whole.differential,
    whole.Several: lambda *_: None,
    assignment.Assigned: assignment.differential,
}


def differentiate(
    recorder: Recorder, variables: Sequence[int], results: Sequence[int]
) -> tuple[Expression, dict[int, int]]:
    """An expression of the variables' differentials, and the number in it of that of each value that depends on them.

    Those are values on the way from the variables to the results.
    """
    program = recorder.program
    symbols = recorder.variables([program.shapes[k] for k in variables])
    found: dict[int, Symbol] = dict(zip(variables, symbols, strict=True))
    with np.errstate(all="ignore"):
        steps = program.steps(results)
        guards, live = guards_of(recorder, steps, results), flowing(steps, results)
        for step in steps:
            if step.out in live and any(k in found for k in step.operands) and step.out not in found:
                symbol = _of_step(recorder, step, found, guards.get(step.out))
                if isinstance(symbol, Symbol):
                    found[step.out] = symbol
    return recorder.expression, {number: symbol.number for number, symbol in found.items()}


def _of_step(recorder: Recorder, step: Step, found: dict[int, Symbol], guard: Any) -> Any:
    # Python numbers take the dtype of what they meet
    examples = [recorder.examples[k] for k in step.operands]
    operands = [
        example if type(example) in (int, float, complex) else Traced(recorder, k, example)
        for k, example in zip(step.operands, examples, strict=True)
    ]
    differentials = [found.get(k) for k in step.operands]
    shape = recorder.program.shapes[step.out]
    primitive = step.primitive
    if isinstance(primitive, Add):
        # what is constant has no differential
        pairs = [(s, d) for s, d in zip(primitive.signs, differentials, strict=True) if d is not None]
        signs, given = tuple(s for s, _ in pairs), [broadcast(d, shape) for _, d in pairs]
        return given[0] if signs == (1,) else added(signs, *given)
    if isinstance(primitive, Join):
        return apply(primitive, *differentials, shape=shape)
    if isinstance(primitive, Linear):
        return _of_map(recorder, step, primitive, operands, differentials)
    if isinstance(primitive, Multilinear):
        if isinstance(primitive, Multiply) and guard is not None:
            operands = [kept(guard, x) for x in operands]
        parts = []
        for at, d in enumerate(differentials):
            if d is not None:
                wide = d if isinstance(primitive, MatMul | Sddmm | SpMM) or len(operands) == 1 else broadcast(d, shape)
                parts.append(apply(primitive, *operands[:at], wide, *operands[at + 1 :], shape=shape))
        return parts[0] if len(parts) == 1 else added((1,) * len(parts), *parts)
    if type(primitive) not in RULES and not isinstance(primitive, elementwise.Elementwise):
        raise TracingError(
            "a function whose Jacobian was given to mj.rule has no second derivative: give its differential= in NumPy "
            "instead, which can be differentiated again"
        )
    y = Traced(recorder, step.out, recorder.examples[step.out])
    if isinstance(primitive, elementwise.Elementwise):
        return elementwise.differential(primitive, operands, y, differentials, guard)
    return RULES[type(primitive)](primitive, operands, y, differentials)


def _of_map(
    recorder: Recorder, step: Step, linear: Linear, operands: Sequence[Any], differentials: Sequence[Symbol | None]
) -> Any:
    """A map of its operand's differential, and what its rule makes of its coefficients' differentials."""
    *of_coefficients, dx = differentials
    shape = recorder.program.shapes[step.out]
    total = None if dx is None else apply(linear, *operands[:-1], dx, shape=shape)
    if any(d is not None for d in of_coefficients):
        y = Traced(recorder, step.out, recorder.examples[step.out])
        part = whole.OF_COEFFICIENTS[type(linear.map)](linear, *operands, y, *of_coefficients)
        total = part if total is None else total if part is None else total + part
    return total
