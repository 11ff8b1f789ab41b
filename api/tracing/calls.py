"""What a recorded function returns, and compiled functions that are called inside one."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from matjac.checks import describe, shaped
from matjac.conventions import Order
from matjac.flat import Variables
from matjac.structured import Unknown
from matjac.tracing import lazy
from matjac.tracing.arrays import Recorded, Symbol, Traced
from matjac.tracing.complexes import RECORDED_REAL
from matjac.tracing.handlers import TracingError
from matjac.tracing.record import Record
from matjac.tracing.recorded import united
from matjac.tracing.recorder import Recorder


def is_plain(result: Any) -> bool:
    """Whether a function's value is one array, rather than several."""
    return not isinstance(result, list | tuple)


def flat(result: Any, order: Order) -> Any:
    """Several arrays flat and one after another, each counted in `order`; one as it is."""
    if is_plain(result):
        return result
    parts = [part for piece in result for part in ([flat(piece, order)] if not is_plain(piece) else [piece])]
    return np.concatenate([np.ravel(part, order) for part in map(united, parts)])


def value_of(result: Any, order: Order) -> Traced:
    """A recorded function's value as one recorded array."""
    result = result.to_numpy() if hasattr(type(result), "to_numpy") else result
    found = united(flat(result, order)) if not is_plain(result) or isinstance(result, np.ndarray) else result
    if not isinstance(found, Traced):
        came = describe(result)
        raise TracingError(f"fun: got {came} as its value, expected an array that depends on its arguments, or several")
    return found


def called(record: Record, variables: Variables, args: Sequence[Any], whole: bool = True) -> Traced:
    """The result of a recorded function on recorded arrays: its steps are recorded again.

    The arrays are whole ones, or the parts of a flat vector.
    """
    arguments = [united(x) for x in args]
    if len(arguments) != len(variables.names):
        names = ", ".join(variables.names)
        raise TypeError(f"arguments: got {len(arguments)}, expected {len(variables.names)}: {names}")
    shapes = variables.shapes if whole else variables.free_shapes
    for x, plain, name, shape in zip(arguments, args, variables.names, shapes, strict=True):
        if not isinstance(x, Recorded):
            shaped(name, plain, shape)
        elif x.shape != shape:
            raise ValueError(f"{name}: got shape {x.shape}, expected {shape}")
    if any(isinstance(x, Symbol) for x in arguments):
        raise TracingError("a compiled function of a differential is not linear")
    if whole and variables.structured:
        named = zip(arguments, variables.names, variables.kinds, strict=True)
        arguments = [kind.free(x, name) if isinstance(kind, Unknown) else x for x, name, kind in named]
    recorder = next(x.recorder for x in arguments if isinstance(x, Recorded))
    numbers = {
        k: x.number if isinstance(x, Recorded) else recorder.constant(x)
        for k, x in zip(record.arguments, arguments, strict=True)
    }
    source = record.program
    if source.real:
        if any(np.iscomplexobj(recorder.examples[k]) for k in numbers.values()):
            raise TracingError(RECORDED_REAL)
        recorder.program.real = True
    numbers |= {k: recorder.constant(value) for k, value in record.data.items()}
    for step in source.steps(record.results, numbers):
        for k in step.operands:
            if k not in numbers:
                numbers[k] = _constant(recorder, source.constants[k], source.patterns.get(k))
        operands = [numbers[k] for k in step.operands]
        value = lazy.example(step.primitive, [recorder.examples[k] for k in operands])
        number = recorder.program.add(step.primitive, operands, np.shape(value))
        recorder.examples[number] = value
        if step.out in source.patterns:
            # some are known from more than the step
            recorder.program.patterns.setdefault(number, source.patterns[step.out])
        numbers[step.out] = number
    (out,) = record.results
    return recorder.traced(numbers[out], recorder.examples[numbers[out]])


def _constant(recorder: Recorder, value: Any, pattern: Any) -> int:
    number = recorder.program.constant(value, pattern)
    recorder.examples[number] = value
    return number
