"""`explain`: what each step makes of the differential, which steps cost most, and what would be cheaper."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from matjac.conventions import Array, Order, size
from matjac.entries.plan import ready
from matjac.linear.factors import KhatriRao, Sparse, SpGemm
from matjac.linear.maps import Linear
from matjac.linear.primitives import Broadcast, MatMul
from matjac.linear.program import Program, Step
from matjac.linear.reduce import ByVariable, terms_of
from matjac.tracing.record import Record
from matjac.tracing.whole import Whole

#: Steps of one number each, from which a loop over entries is worth a word.
NUMBERS = 30
#: Multiplications of a product up to which many of them cost more than one large one (measured: 1.3 to 6 times).
SMALL = 1 << 12


def explain(record: Record, names: Sequence[str], order: Order) -> str:
    """The lines of `Compiled.explain`."""
    program, (expression, symbols) = record.program, record.differential
    (result,) = record.results
    trail: dict[int, ByVariable] = {}
    if size(program.shapes[result]) == 1:
        # its one row is made by a sweep
        terms_of(expression, trail, leave=1)
    else:
        terms_of(expression, trail, whole=record.plan(order, tuple(range(len(names)))).cells.matrices)
    shown = _shown(record)
    lines = [f"{shown[k]} {name} {program.shapes[k]}" for k, name in zip(record.arguments, names, strict=True)]
    general: dict[int, int] = {}
    for step in record.steps:
        if step.out not in symbols:
            continue
        found = trail.get(symbols[step.out])
        factors = [f for mine in (found or {}).values() for t in mine for f in (t.u, t.w)]
        entries = max((f.nnz for f in factors if _is_general(program, f)), default=None)
        if entries is not None:
            general[step.out] = entries
        count = sum(map(len, (found or {}).values()))
        what = "general sparse product" if entries is not None else f"{count} term{'s' * (count != 1)}"
        what = "by an adjoint sweep" if found is None else what
        lines.append(f"{_said(step, shown)} → {program.shapes[step.out]}: {what}")
    lines += [f"costly: {advice}" for advice in _advice(record, shown, general)]
    fallen = f"{len(general)} steps fell back to a general sparse product"
    return "\n".join([*lines, fallen if general else "every step is structured"])


def _shown(record: Record) -> dict[int, int]:
    """The numbers of arguments and steps as they are shown: constants have some too, which no one needs to see."""
    return {number: k for k, number in enumerate([*record.arguments, *(step.out for step in record.steps)])}


def _said(step: Step, shown: dict[int, int]) -> str:
    given = ", ".join(str(shown.get(k, "constant")) for k in step.operands)
    return f"{shown[step.out]} {step.primitive.name}({given})"


def coarsest(record: Record, arguments: Sequence[Array]) -> float:
    """The rounding of the coarsest dtype among the values at a point."""
    values = record.start(arguments)
    record.run(values)
    # some are several arrays at once
    dtypes = {values[step.out].dtype for step in record.steps if isinstance(values[step.out], np.ndarray | np.generic)}
    return max((float(np.finfo(d).eps) for d in dtypes if d.kind in "fc"), default=0.0)


def not_finite(record: Record, arguments: Sequence[Array], directions: Sequence[Array]) -> str:
    """The first step at a finite point whose value is not finite, or its differential in those directions."""
    program, (expression, symbols), shown = record.program, record.differential, _shown(record)
    values = record.start(arguments)
    with np.errstate(all="ignore"):
        record.run(values)
        ready(program, program.steps(expression.coefficients, record.known), values)
        differentials = [*directions, *[None] * (len(expression.shapes) - len(directions))]
        for made in expression.steps:
            pairs = zip(made.operands, made.linear, strict=True)
            operands = [None if k is None else differentials[k] if linear else values[k] for k, linear in pairs]
            differentials[made.out] = made.primitive.value(*operands)
    for step in record.steps:
        parts = {"value": values[step.out], "differential": differentials[symbols.get(step.out, 0)]}
        for what, array in parts.items():
            if isinstance(array, np.ndarray | np.generic) and not np.all(np.isfinite(array)):
                x = values[step.operands[0]]
                of = f", of {x[_index(array)]:.6g}" if np.shape(x) == np.shape(array) else ""
                return f"first in the {what} of step {_said(step, shown)}{_place(array)}{of}"
    return "from steps that are finite"


def _index(array: Any) -> tuple[int, ...]:
    """Where the first entry is that is not finite."""
    return tuple(int(k) for k in np.unravel_index(np.argmin(np.isfinite(array)), np.shape(array)))


def _place(array: Any) -> str:
    return f" at [{', '.join(map(str, _index(array)))}]" if np.ndim(array) else ""


def _is_general(program: Program, factor: Any) -> bool:
    made = program.makers.get(factor.value)
    return isinstance(factor, Sparse) and made is not None and isinstance(made.primitive, SpGemm | KhatriRao)


def _advice(record: Record, shown: dict[int, int], general: dict[int, int]) -> list[str]:
    """What is costly, and what would be cheaper."""
    program, found = record.program, []
    if general:
        worst = max(general, key=lambda k: general[k])
        found.append(
            f"entries of step {shown[worst]}, a general product of {general[worst]:,} entries. Products J v and Jᵀ u "
            "make none of them: give a solver the operator F.jac, not F.jac_csr"
        )
    for step in record.steps:
        for cheaper in CHEAPER:
            if (advice := cheaper(record, step)) is not None:
                found.append(f"step {shown[step.out]}, {advice}")
    numbers = [step for step in record.steps if size(program.shapes[step.out]) == 1]
    if len(numbers) > NUMBERS and 2 * len(numbers) > len(record.steps):
        found.append(
            f"{len(numbers)} steps make one number each, some microseconds apiece: write loops over entries as "
            "operations on whole arrays"
        )
    return found


def _inverse(record: Record, step: Step) -> str | None:
    """An inverse that is multiplied by, and used for nothing else."""
    if not (isinstance(step.primitive, Whole) and step.primitive.function is np.linalg.inv):
        return None
    uses = [other for other in record.steps if step.out in other.operands]
    if len(uses) != 1 or not isinstance(uses[0].primitive, MatMul) or uses[0].operands[0] != step.out:
        return None
    return "an inverse times a matrix: np.linalg.solve(A, B) takes less work than inv(A) @ B"


def _stack(record: Record, step: Step) -> str | None:
    """A stack of small matrices times one matrix, which are multiplied one by one."""
    program = record.program
    if not isinstance(step.primitive, MatMul) or not _is_one_matrix(program, step.operands[1]):
        return None
    a, b = (program.shapes[k] for k in step.operands)
    stack = program.shapes[step.out][:-2]
    if size(stack) < 2 or a[:-2] != stack or size(a[-2:]) * b[-1] > SMALL:
        return None
    return (
        f"{size(stack):,} small products with one matrix: X.reshape(-1, {a[-1]}) @ W is one product, "
        "and up to six times as fast"
    )


def _is_one_matrix(program: Program, number: int) -> bool:
    """Whether it is one matrix, or one repeated for a stack."""
    made = program.makers.get(number)
    source = made.operands[0] if made is not None and isinstance(made.primitive, Broadcast) else number
    return size(program.shapes[source][:-2]) == 1


def _whole(record: Record, step: Step) -> str | None:
    """A map of whole matrices, whose entries are all of a dense block."""
    if not isinstance(step.primitive, Linear) or len(step.primitive.before) < 2:
        return None
    n = size(step.primitive.before)
    if n * size(step.primitive.after) < 1 << 20:
        return None
    return f"{step.primitive.name} of {n:,} numbers: products run it, but entries need its {n:,} columns one by one"


CHEAPER: tuple[Callable[[Record, Step], str | None], ...] = (_inverse, _stack, _whole)
