"""What is a sum of squares in a program, and what is symmetric: gradients are shorter where that is known."""

import numpy as np
import scipy.sparse as sp

from matjac.conventions import Shape, size
from matjac.linear.primitives import Add, MatMul, Multiply, Reshape, Sum, Transpose
from matjac.linear.program import Program, Step
from matjac.tracing.elementwise import Elementwise


def squared(program: Program, step: Step) -> int | None:
    """What a step squares: entry by entry, or a vector that it multiplies as a row with itself as a column."""
    primitive, operands = step.primitive, step.operands
    if isinstance(primitive, Elementwise) and primitive.ufunc is np.square:
        return operands[0]
    if isinstance(primitive, Multiply) and operands[0] == operands[1]:
        return operands[0]
    if isinstance(primitive, MatMul):
        first, second = (_unshaped(program, k) for k in operands)
        row, column = (program.shapes[k] for k in operands)
        if first == second and row[:-1] == (1,) == column[1:]:
            return first
    return None


def _unshaped(program: Program, number: int) -> int:
    """What a value is in another shape."""
    made = program.makers.get(number)
    return made.operands[0] if made is not None and isinstance(made.primitive, Reshape) else number


def sum_of_squares(program: Program, number: int) -> tuple[int, float] | None:
    """y and c of a scalar that is ``c Σ y²``."""
    factor = 1.0
    while size(program.shapes[number]) == 1 and (step := program.makers.get(number)) is not None:
        if (alone := squared(program, step)) is not None:
            return alone, factor
        if isinstance(step.primitive, Sum):
            inner = program.makers.get(step.operands[0])
            found = None if inner is None else squared(program, inner)
            return None if found is None else (found, factor)
        constants = [_number(program, k) for k in step.operands]
        if isinstance(step.primitive, Multiply) and constants.count(None) == 1:
            factor *= next(c for c in constants if c is not None)
            number = step.operands[constants.index(None)]
        elif isinstance(step.primitive, Elementwise) and step.primitive.ufunc is np.divide and constants[1]:
            factor /= constants[1]
            number = step.operands[0]
        elif isinstance(step.primitive, Reshape):
            number = step.operands[0]
        else:
            return None
    return None


def _number(program: Program, number: int) -> float | None:
    constant = program.constants.get(number)
    if constant is None or sp.issparse(constant) or np.size(constant) != 1 or np.iscomplexobj(constant):
        return None
    return float(np.ravel(constant)[0])


def is_symmetric(program: Program, number: int) -> bool:
    """Whether a value is a symmetric matrix at every point: a product with the transpose, constants that are, sums."""
    found: set[int] = set()

    def known(k: int) -> bool:
        constant = program.constants.get(k)
        if k in found or size(program.shapes[k]) == 1:
            return True
        return isinstance(constant, np.ndarray) and constant.ndim == 2 and np.array_equal(constant, constant.T)

    for step in program.steps([number]):
        primitive, shape, (first, *rest) = step.primitive, program.shapes[step.out], step.operands
        if len(shape) != 2 or shape[0] != shape[1]:
            continue
        if isinstance(primitive, MatMul):
            alike = _transposes(program, first, rest[0]) or _transposes(program, rest[0], first)
        else:
            alike = isinstance(primitive, Add | Multiply | Elementwise | Transpose) and all(map(known, step.operands))
        if alike:
            found.add(step.out)
    return known(number)


def _transposes(program: Program, first: int, second: int) -> bool:
    """Whether the first matrix is the transpose of the second."""
    step = program.makers.get(first)
    return step is not None and isinstance(step.primitive, Transpose) and step.operands == (second,)


def doubled(program: Program, operands: list[int]) -> int | None:
    """Of a sum ``E + Eᵀ`` where E is symmetric, the number of E."""
    for a, b in (operands, operands[::-1]):
        if _transposes(program, a, b) and is_symmetric(program, b):
            return b
    return None


def masked(program: Program, operands: list[int]) -> int | None:
    """Of a constant of zeros and ones times what is zero where it is, the number of that."""
    for mask, product in (operands, operands[::-1]):
        constant = program.constants.get(mask)
        if isinstance(constant, np.ndarray) and bool(np.all(constant * constant == constant)):
            return product if _under(program, mask, product) else None
    return None


def _under(program: Program, mask: int, number: int) -> bool:
    """Whether a value is zero where the mask is: what it multiplies, constants that are, sums of such."""
    zeros = program.constants[mask]
    found: set[int] = set()

    def known(k: int) -> bool:
        constant = program.constants.get(k)
        if not isinstance(constant, np.ndarray) or constant.shape != zeros.shape:
            return k in found
        return np.array_equal(zeros * constant, constant)

    for step in program.steps([number]):
        if program.shapes[step.out] != zeros.shape:
            continue
        needed = {Multiply: any, Add: all}.get(type(step.primitive))
        if needed is not None and needed(map(known, step.operands)):
            found.add(step.out)
    return known(number)


def late_factor(program: Program, operands: list[int], shape: Shape) -> tuple[int | None, list[int]]:
    """A constant number that an operand of a product was multiplied by, and the operands without it.

    So it multiplies the product, which is smaller; None where there is none.
    """
    for at, k in enumerate(operands):
        step = program.makers.get(k)
        if step is None or not isinstance(step.primitive, Multiply) or size(program.shapes[k]) <= size(shape):
            continue
        for number, other in (step.operands, step.operands[::-1]):
            if _number(program, number) is not None and program.shapes[other] == program.shapes[k]:
                return number, [*operands[:at], other, *operands[at + 1 :]]
    return None, operands
