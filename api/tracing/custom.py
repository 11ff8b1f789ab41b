"""Users' own rules: a function with its Jacobians, or with its differential."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

import numpy as np
import scipy.sparse as sp

from matjac.checks import describe, numeric, shaped
from matjac.conventions import Array, Shape, canonical, size
from matjac.entries.plan import Plan
from matjac.jacobian import Jacobian
from matjac.linear.primitives import MatMul, Scatter
from matjac.linear.program import Primitive
from matjac.tracing.arrays import Recorded, Symbol, Traced
from matjac.tracing.recorded import apply, mask_of, reshaped, united


@dataclass(frozen=True, eq=False)
class Custom(Primitive):
    """A user's function, with the Jacobian with respect to each argument, or with its differential."""

    #: of the value, at every point
    shape: Shape
    function: Callable[..., Any]
    jacobians: tuple[Callable[..., Any] | None, ...]
    differential: Callable[..., Any] | None = None

    def value(self, *operands: Any) -> Any:
        return shaped("mj.rule's value", self.function(*operands), self.shape)


@dataclass(frozen=True, eq=False)
class Local(Primitive):
    """The numbers of a user's Jacobian at a point: its coefficients, where it has the structure it had at first."""

    jacobian: Callable[..., Any]
    at: int
    shape: tuple[int, int]
    #: what the first one was: a Jacobian's plan, where a sparse matrix had entries, or None for a dense one
    first: Any

    def value(self, *operands: Any) -> Any:
        J = checked(self.jacobian(*operands), self.at, self.shape)
        return numbers(J, self.first, self.at)


@dataclass(frozen=True)
class Part(Primitive):
    """One of several numbers."""

    at: int

    def value(self, *operands: Any) -> Any:
        return operands[0][self.at]


def checked(J: Any, at: int, shape: tuple[int, int]) -> Any:
    """A user's Jacobian: a `Jacobian`, a csr_array, or a dense matrix, of that shape."""
    if isinstance(J, Jacobian):
        if (J.order, J.layout) != ("C", "numerator"):
            raise ValueError(
                f"mj.rule: got a Jacobian of order {J.order!r} in {J.layout} layout, expected 'C', numerator"
            )
    else:
        J = canonical(J) if sp.issparse(J) else numeric(f"mj.rule's Jacobian for argument {at}", J)
    if J.shape != shape:
        raise ValueError(f"mj.rule: got a Jacobian of shape {J.shape} for argument {at}, expected {shape}")
    return J


def numbers(J: Any, first: Any, at: int) -> list[Any]:
    """A Jacobian's numbers, in the structure that the first one had."""
    changed = f"mj.rule: the Jacobian for argument {at} has entries in other places than when it was recorded"
    if isinstance(J, Jacobian):
        if first is not J.plan and not (isinstance(first, Plan) and first.same(J.plan)):
            raise ValueError(f"{changed}: its terms differ")
        given = [J.values[k] for k in sorted(J.plan.expression.coefficients)]
        given = [v.toarray() if sp.issparse(v) else v for v in given]
        return [v.conj() if J.conjugated and np.iscomplexobj(v) else v for v in given]
    matrix = J.toarray() if sp.issparse(J) else J
    if first is not None and np.any(matrix, where=~first):
        raise ValueError(f"{changed}: return a dense matrix, or store every entry that can be other than zero")
    return [matrix]


def _zero(some: Symbol, shape: Shape) -> Any:
    """The differential of a constant, in the recording of another one."""
    return apply(Scatter((0,), np.empty(0, np.int64), shape), some.reshape(-1)[:0], shape=shape)


def differential(primitive: Custom, x: Sequence[Traced], y: Traced, dx: Sequence[Symbol | None]) -> Any:
    """The sum of the arguments' parts."""
    if primitive.differential is not None:
        some = next(d for d in dx if d is not None)
        whole = (_zero(some, k.shape) if d is None else d for k, d in zip(x, dx, strict=True))
        value = [y] if _takes_value(primitive.differential, len(x)) else []
        result = primitive.differential(*value, *x, *whole)
        result = united(result) if isinstance(result, np.ndarray) else result
        if not isinstance(result, Symbol):
            raise TypeError(f"mj.rule: got {describe(result)}, expected what is linear in the differentials")
        if result.shape != y.shape:
            raise ValueError(f"mj.rule: got a differential of shape {result.shape}, expected {y.shape}")
        return result
    total: Any = 0
    for at, d in enumerate(dx):
        if d is not None:
            total = total + _part(primitive, x, y, at, d)
    return total


def _takes_value(differential: Callable[..., Any], count: int) -> bool:
    """Whether a rule of so many arguments takes the function's value before them and their differentials."""
    try:
        parameters = inspect.signature(differential).parameters.values()
    except ValueError:
        return False
    given = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty]
    return len(given) == 2 * count + 1


def _part(primitive: Custom, x: Sequence[Traced], y: Traced, at: int, d: Symbol) -> Any:
    jacobian = primitive.jacobians[at] if at < len(primitive.jacobians) else None
    if jacobian is None:
        raise TypeError(f"mj.rule: argument {at} of {primitive.function} depends on a variable, but has no Jacobian")
    shape = size(y.shape), size(x[at].shape)
    J = checked(jacobian(*(k.value for k in x)), at, shape)
    recorder = y.recorder
    if isinstance(J, Jacobian):
        expression, program = J.plan.expression, J.plan.expression.program
        coefficients = sorted(expression.coefficients)
        masks = [program.patterns.get(k) if (m := program.sparse(k)) is None else mask_of(m) for k in coefficients]
        numbered = dict(zip(coefficients, _parts(Local(jacobian, at, shape, J.plan), x, masks), strict=True))
        (inner,) = expression.in_shapes
        out = expression.replay(recorder.expression, [reshaped(d, inner).number], lambda k: numbered[k].number)
        return 0 if out is None else reshaped(Symbol(recorder, out, expression.out_shape), y.shape)
    first = mask_of(J) if sp.issparse(J) else None
    (matrix,) = _parts(Local(jacobian, at, shape, first), x, [first])
    return reshaped(apply(MatMul(), matrix, reshaped(d, (shape[1], 1)), shape=(shape[0], 1)), y.shape)


def _parts(local: Local, x: Sequence[Traced], masks: Sequence[Array | None]) -> list[Traced]:
    """The numbers of a Jacobian as values, each with the mask of where it can be other than zero."""
    whole = apply(local, *x) if masks else None
    parts = [apply(Part(k), whole) for k in range(len(masks))]
    for part, mask in zip(parts, masks, strict=True):
        if mask is not None:
            part.recorder.program.patterns[part.number] = mask
    return parts


def rule(
    fun: Callable[..., Any], *jacobians: Callable[..., Any] | None, differential: Callable[..., Any] | None = None
) -> Callable[..., Any]:
    """Let a function of your own be recorded, with its Jacobians or its differential.

    Parameters
    ----------
    fun : callable
        Of arrays, returning an array.
    *jacobians : callable or None
        One for each argument: from the same arguments, the Jacobian of `fun` with respect to that one, as a
        `Jacobian` (an identity of matjac, say), a sparse or a dense matrix, in numerator layout and
        row-major order. None for an argument that is always constant. Its entries must be in the same places at
        every point.
    differential : callable, optional
        Instead of them the differential, as a textbook writes it: an array expression in NumPy that is linear in the
        arguments' differentials. It takes the arguments, then their differentials (zeros for a constant one); one
        that takes one more argument gets the function's value first: ``lambda Y, A, dA: -Y @ dA @ Y``.

    Returns
    -------
    callable
        To be called in place of `fun`, on arrays or inside a function that is compiled.

    Raises
    ------
    TypeError
        Where `fun`, a Jacobian or the differential is not callable, or both kinds are given.

    Notes
    -----
    When a function that calls it is compiled, `fun` is called twice, the first time to learn the shape of its value;
    later values must have that shape.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> from scipy.special import expit
    >>> logistic = mj.rule(expit, lambda x: mj.d_elementwise_dX(expit(x) * (1 - expit(x))))
    >>> mj.compile(lambda x: logistic(2 * x), (2,)).jacobian([0.0, 0.0]).toarray()
    array([[0.5, 0. ],
           [0. , 0.5]])
    >>> square = mj.rule(lambda A: A @ A, differential=lambda A, dA: dA @ A + A @ dA)
    >>> mj.compile(lambda A: square(A), (1, 1)).jacobian([[3.0]]).toarray()
    array([[6.]])
    >>> inverse = mj.rule(np.linalg.inv, differential=lambda Y, A, dA: -Y @ dA @ Y)
    >>> mj.compile(lambda A: inverse(A), (1, 1)).jacobian([[2.0]]).toarray()
    array([[-0.25]])
    """
    for given in (fun, *jacobians, differential):
        if given is not None and not callable(given):
            raise TypeError(f"mj.rule: got {type(given).__name__}, expected functions")
    if jacobians and differential is not None:
        raise TypeError("mj.rule: got Jacobians and a differential, expected one or the other")

    @wraps(fun)
    def recorded(*args: Any) -> Any:
        args = tuple(united(a) if isinstance(a, np.ndarray) else a for a in args)
        if not any(isinstance(a, Recorded) for a in args):
            return fun(*args)
        shape = np.shape(fun(*(a.value if isinstance(a, Traced) else a for a in args)))
        return apply(Custom(shape, fun, jacobians, differential), *args)

    return recorded
