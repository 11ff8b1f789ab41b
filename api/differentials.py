"""Jacobians from a differential, as a textbook writes it: an array expression that is linear in dX."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from matjac import checks
from matjac.conventions import Array, Layout, Order, Shape, Shapes, parts
from matjac.entries.plan import Plan
from matjac.jacobian import Hessian, Jacobian
from matjac.linear.expression import Expression
from matjac.linear.program import Program
from matjac.maps.point import Point
from matjac.structured import FreeShape, Unknown, free_shape
from matjac.threads import lock
from matjac.tracing import rules  # noqa: F401  (importing it registers what is handled)
from matjac.tracing.arrays import Symbol, snapshot
from matjac.tracing.recorded import joined, transposed, united
from matjac.tracing.recorder import Recorder

#: Plans of identities that are kept: those used last.
KEPT = 64


class Differential:
    """The differential of an identity: ``rule(dX, *arguments)``, for a variable of shape `in_shape`.

    `take` is a mask of the entries of the function's value that are kept. Without a rule it is zero, of `out_shape`.
    Of several variables `in_shape` has the shapes, and the rule returns as many differentials. That of a gradient is
    `symmetric`.
    """

    def __init__(
        self,
        rule: Callable[..., Any] | None,
        in_shape: Shapes,
        *arguments: Any,
        take: Array | None = None,
        out_shape: Shape = (),
        symmetric: bool = False,
    ) -> None:
        self.rule, self.in_shape, self.arguments = rule, in_shape, arguments
        self.take, self.out_shape, self.symmetric = take, out_shape, symmetric


def jacobian_of(differential: Differential, order: Order, layout: Layout, key: Any) -> Jacobian:
    """The Jacobian of an identity; what is the same for all its arguments of those shapes is decided once, by `key`."""
    given = [a for a in differential.arguments if not sp.issparse(a)]
    if len(given) < len(differential.arguments):
        plan, out_shape = _recorded(differential, order, keep=False)
    else:
        full = key, order, differential.in_shape, differential.out_shape, *(a.shape for a in given)
        with _lock:
            made = _plans.get(full)
        if made is None:
            made = _recorded(differential, order, keep=False)
        with _lock:
            _plans[full] = made
            _plans.move_to_end(full)
            while len(_plans) > KEPT:
                _plans.popitem(last=False)
        plan, out_shape = made
    values = plan.expression.program.start()
    for number, argument in enumerate(given):
        values[number] = snapshot(argument)
    dtype = np.result_type(*differential.arguments) if differential.arguments else np.dtype(np.float64)
    point = Point(plan, values, dtype)
    if differential.symmetric:
        return Hessian(point, differential.in_shape, differential.in_shape, order)
    return Jacobian(point, out_shape, differential.in_shape, order, layout)


_plans: OrderedDict[Any, tuple[Plan, Shape]] = OrderedDict()
_lock = lock()


def _recorded(differential: Differential, order: Order, keep: bool) -> tuple[Plan, Shape]:
    """The plan of a differential, and the shape of its value; dense arguments are its first values."""
    recorder = Recorder()
    arguments = [None if sp.issparse(a) else recorder.argument(a) for a in differential.arguments]
    arguments = [sp.csr_array(a) if t is None else t for a, t in zip(differential.arguments, arguments, strict=True)]
    known = range(len(recorder.program.shapes))
    if differential.rule is None:
        expression = Expression(recorder.program, parts(differential.in_shape))
        return Plan(expression.finish(None, differential.out_shape), known, keep), differential.out_shape
    result = differential.rule(*variables(recorder, parts(differential.in_shape), order), *arguments)
    if isinstance(result, tuple):
        result = joined([(transposed(d, axes_back(d.shape)) if order == "F" else d).reshape(-1) for d in result])
    if differential.take is not None:
        mask = differential.take
        numbers = np.arange(mask.size).reshape(mask.shape)
        result = result.reshape(-1)[numbers[mask] if order == "C" else numbers.T[mask.T]]
    return finished(recorder, result, order, known, keep, differential.symmetric), result.shape


def variables(recorder: Recorder, shapes: Sequence[Shape], order: Order) -> list[Symbol]:
    """The differentials of variables whose entries are counted in that order."""
    if order == "C":
        return recorder.variables(shapes)
    backwards = recorder.variables([shape[::-1] for shape in shapes])
    return [transposed(d, axes_back(d.shape)) for d in backwards]


def axes_back(shape: Shape) -> tuple[int, ...]:
    """The axes in the opposite order."""
    return tuple(range(len(shape)))[::-1]


def finished(recorder: Recorder, result: Symbol, order: Order, known: Any, keep: bool, symmetric: bool = False) -> Plan:
    """The plan of a recorded differential whose entries are counted in that order."""
    shape = result.shape
    if order == "F":
        result, shape = transposed(result, axes_back(shape)), shape[::-1]
    return Plan(recorder.expression.finish(result.number, shape), known, keep, symmetric)


def from_differential(
    rule: Callable[..., Any], *shapes: Shape | Unknown, order: Order = "C", layout: Layout = "numerator"
) -> Jacobian:
    """The Jacobian whose differential you write, as the textbooks do: ``dR.T @ R + R.T @ dR``.

    Parameters
    ----------
    rule : callable
        From the variables' differentials dX, which stand for arrays of the given shapes, the function's
        differential: an expression in NumPy that is linear in them. Arrays in it (dense, or ``scipy.sparse`` in
        matrix products) are copied.
    *shapes : tuple of int or unknown
        The shape of each variable; one with structure, such as ``matjac.unknowns.symmetric(3)``, has whole matrices for
        differentials, and a column for each free entry. It is affine in these.
    order : {"C", "F"}, optional
        Order in which entries are counted: row by row, or column by column.
    layout : {"numerator", "denominator"}, optional
        Whether rows are outputs, or variables.

    Returns
    -------
    Jacobian
        With the shape of the differential as out_shape; in_shape is a tuple of shapes where there are several.
        Its dtype is that of the arrays in the rule, float64 where there are none.

    Raises
    ------
    TracingError
        Where the rule is not linear, or does what can't be recorded.
    TypeError, ValueError
        Where a shape is none, or `order` or `layout` is another word.

    Notes
    -----
    Source: Magnus & Neudecker, *Matrix Differential Calculus*, chapter 5: the differential determines the Jacobian.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> R = np.array([[1.0, 2.0]])
    >>> J = mj.from_differential(lambda dR: dR.T @ R + R.T @ dR, R.shape)
    >>> J.toarray()
    array([[2., 0.],
           [2., 1.],
           [2., 1.],
           [0., 4.]])
    """
    checks.conventions(order, layout)
    if not callable(rule) or not shapes:
        raise TypeError(f"from_differential: got {checks.describe(rule)} and {len(shapes)} shapes, expected a function")
    kinds = [s if isinstance(s, Unknown) else checks.shape(f"shapes[{at}]", s) for at, s in enumerate(shapes)]
    for at, kind in enumerate(kinds):
        if isinstance(kind, Unknown) and not kind.affine:
            raise TypeError(f"shapes[{at}]: got {kind}, expected one that is affine in its free entries")
    recorder = Recorder()
    free = variables(recorder, list(map(free_shape, kinds)), order)
    result = rule(*[k.whole_change(d) if isinstance(k, Unknown) else d for k, d in zip(kinds, free, strict=True)])
    result = united(result) if isinstance(result, np.ndarray) else result
    if not isinstance(result, Symbol):
        raise TypeError(f"rule: got {checks.describe(result)}, expected an array that is linear in the differentials")
    plan = finished(recorder, result, order, (), keep=True)
    program: Program = recorder.program
    values: list[Any] = program.start()
    arrays = [v for v in program.constants.values() if isinstance(v, np.ndarray) or sp.issparse(v)]
    numbers = [v for v in program.constants.values() if isinstance(v, complex)]
    if not all(step.primitive.keeps_real for step in recorder.expression.steps):
        numbers.append(1j)
    dtype = np.result_type(*(v.dtype for v in arrays), *numbers) if arrays else np.result_type(np.float64, *numbers)
    given = tuple(FreeShape.of(k, np.zeros(k.size)) if isinstance(k, Unknown) else k for k in kinds)
    in_shape: Shapes = given[0] if len(given) == 1 else given
    return Jacobian(Point(plan, values, checks.dtype_of("rule", dtype)), result.shape, in_shape, order, layout)
