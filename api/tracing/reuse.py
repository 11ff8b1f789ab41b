"""Results written over operands that no later step needs: large arrays are not asked of the system anew."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from matjac.conventions import size
from matjac.linear.primitives import Add, MatMul, Multiply, Sum
from matjac.linear.program import Program, Step
from matjac.tracing.conditions import Where
from matjac.tracing.elementwise import Elementwise
from matjac.tracing.slopes import FLAT_SLOPES, SLOPES

#: Entries from which it pays: smaller arrays are kept at hand by the allocator.
LARGE = 1 << 14


def _same_dtype(ufunc: Any) -> bool:
    """Whether the value has the dtype of what it is of."""
    if not isinstance(ufunc, np.ufunc) or ufunc.nout > 1 or ufunc is np.power:
        return False
    if ufunc.nin > 1 and getattr(np, ufunc.__name__, None) is not ufunc:
        # beside a Python number some of SciPy's are of 64 bits
        return False
    alike = [t for t in ufunc.types if set(t.split("->")[0]) in ({"f"}, {"d"}, {"F"}, {"D"})]
    return {"f", "d"} <= {t[0] for t in alike} and all(t[0] == t[-1] for t in alike)


#: Functions whose value has the dtype of what they are of.
SAME_DTYPE = {ufunc for ufunc in (*SLOPES, *FLAT_SLOPES) if _same_dtype(ufunc)}
#: Of sums of two, what NumPy calls them.
SUMS: dict[tuple[int, ...], np.ufunc] = {(1, 1): np.add, (1, -1): np.subtract}


def reused(program: Program, steps: Sequence[Step], spent: Sequence[Iterable[int]]) -> list[tuple[Any, int] | None]:
    """For each step the ufunc that it is and the operand that it may be written over, None where there is none.

    An operand may be where it was made as an array of its own, this is its last use, and no step looked at it through
    a view.
    """
    own = {step.out for step in steps if _is_fresh(step)}
    for step in steps:
        if not (_is_fresh(step) or (isinstance(step.primitive, Sum) and step.primitive.axes)):
            own.difference_update(step.operands)
    found: list[tuple[Any, int] | None] = []
    for step, last in zip(steps, spent, strict=True):
        ufunc, shape = _ufunc(step), program.shapes[step.out]
        fits = [k for k in step.operands if k in own and k in last and program.shapes[k] == shape]
        found.append((ufunc, fits[0]) if ufunc is not None and fits and size(shape) >= LARGE else None)
    return found


def _ufunc(step: Step) -> Any:
    primitive = step.primitive
    if isinstance(primitive, Add):
        return SUMS.get(primitive.signs)
    if isinstance(primitive, Elementwise):
        return primitive.ufunc if primitive.ufunc in SAME_DTYPE else None
    return np.multiply if isinstance(primitive, Multiply) else None


def _is_fresh(step: Step) -> bool:
    """Whether the result is an array of its own, of which no part is an operand's."""
    primitive = step.primitive
    return isinstance(primitive, MatMul | Multiply | Elementwise | Where) or (
        isinstance(primitive, Add) and len(step.operands) > 1
    )


def run(steps: Sequence[Step], over: Sequence[tuple[Any, int] | None], values: list[Any], spent: Any) -> None:
    """Run the steps, where no one else has the values between, and let go what no later one needs."""
    for step, place, last in zip(steps, over, spent, strict=True):
        if values[step.out] is None:
            operands = [values[k] for k in step.operands]
            if place is not None and all(_alike(x, values[place[1]]) for x in operands):
                values[step.out] = place[0](*operands, out=values[place[1]])
            else:
                values[step.out] = step.primitive.value(*operands)
        for k in last:
            values[k] = None


def _alike(x: Any, out: Any) -> bool:
    """Whether an operand leaves the dtype as it is."""
    if isinstance(x, np.ndarray):
        return x.dtype == out.dtype and out.dtype.kind in "fc"
    return type(x) in (int, float)
