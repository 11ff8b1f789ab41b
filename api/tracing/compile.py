"""`compile`: a function written in NumPy, recorded once."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from matjac import checks
from matjac.conventions import ORDERS, Array, Order
from matjac.jacobian import Jacobian
from matjac.structured import Unknown, wholes
from matjac.tracing import rules  # noqa: F401  (importing it registers what is handled)
from matjac.tracing.calls import flat, is_plain, value_of
from matjac.tracing.compiled import Compiled
from matjac.tracing.handlers import TracingError
from matjac.tracing.inplace import INTO_A_PLAIN_ARRAY
from matjac.tracing.record import Record
from matjac.tracing.recorded import LEFT_OVER
from matjac.tracing.recorder import Recorder
from matjac.tracing.sampling import sampled


def compile(fun: Callable[..., Any], *examples: Any, order: Order = "C") -> Compiled:
    """Compile a function written in NumPy: record what it does, once, and differentiate the record.

    By the product rule the differential of most matrix functions is a sum of terms ``scale ∘ (L · dX · R)``;
    an evaluation is NumPy for the values and compiled fills for the entries. What falls outside that family
    goes through a general sparse product on its exact pattern: `Compiled.explain` says what did.

    Parameters
    ----------
    fun : callable
        Of one or more arrays, written with NumPy's functions; constants in it (dense or ``scipy.sparse``) are
        copied when it is compiled; later changes of them have no effect. It may not branch on its arguments' values.
        It may assign into arrays that are made of its arguments (``np.zeros_like(x)``, ``np.zeros(n, like=x)``), and
        into an argument: it changes within the function alone. A tuple or a list of arrays as its value is one flat
        vector, of each after the other. A compiled function may be called in it; of an unknown with structure
        it takes the free entries of what it is given, which is not checked there.
    *examples : array_like, tuple of int or unknown
        One for each argument: an array, or a shape, which is a tuple, or an unknown with structure such as
        ``matjac.unknowns.symmetric(3)``, of which `fun` gets whole matrices and x has the free entries. Shapes are
        fixed from then on, dtypes are not.
    order : {"C", "F"}, optional
        The order of flat vectors, of the Jacobian's rows and columns.

    Returns
    -------
    Compiled
        Callable like `fun`, with ``jacobian``, and ``fun``, ``jac``, ``jac_csr`` of one flat vector.

    Raises
    ------
    TracingError
        Where `fun` does what can't be recorded; the message says what to write instead.
    TypeError, ValueError
        Where an example is neither an array nor a shape, or may be either: 5, or [3, 4].

    Notes
    -----
    Of a large array of which few entries are taken, as in ``(U @ V.T + b)[rows, columns]``, those alone are made, also
    while `fun` is recorded.

    Source: Magnus & Neudecker, *Matrix Differential Calculus*, chapter 5 (product and chain rule of differentials);
    *Mathematics for Machine Learning*, §5.2.2.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> rows, cols, ratings = [0, 1], [2, 0], [3.0, 4.0]
    >>> F = mj.compile(lambda U, V: (U @ V.T)[rows, cols] - ratings, (2, 1), (3, 1))
    >>> F.jacobian(np.ones((2, 1)), np.ones((3, 1))).toarray()
    array([[1., 0., 0., 0., 1.],
           [0., 1., 1., 0., 0.]])
    >>> def heat(u):
    ...     r = np.zeros_like(u)
    ...     r[1:-1] = u[2:] - 2 * u[1:-1] + u[:-2]
    ...     return r
    >>> mj.compile(heat, (4,)).jacobian(np.ones(4)).toarray()
    array([[ 0.,  0.,  0.,  0.],
           [ 1., -2.,  1.,  0.],
           [ 0.,  1., -2.,  1.],
           [ 0.,  0.,  0.,  0.]])
    """
    checks.one_of("order", order, ORDERS)
    if not callable(fun) or not examples:
        came = f"{checks.describe(fun)} and {len(examples)} examples"
        raise TypeError(f"compile: got {came}, expected a function and an example for each argument")
    rng = np.random.default_rng(0)
    points = [_example(f"examples[{at}]", example, rng) for at, example in enumerate(examples)]
    recorder = Recorder()
    given = [recorder.argument(point) for point in points]
    kinds = [e if isinstance(e, Unknown) else point.shape for e, point in zip(examples, points, strict=True)]
    arguments = wholes(kinds, given)
    for argument, example in zip(arguments, examples, strict=True):
        argument.writeable = isinstance(example, np.ndarray)
    try:
        # values at the examples are of no use but for their shapes
        with np.errstate(all="ignore"):
            returned = fun(*arguments)
            result = value_of(returned, order)
        if result.recorder is not recorder:
            raise TracingError(LEFT_OVER)
    except TracingError:
        raise
    except (TypeError, ValueError, IndexError, AttributeError) as error:
        if isinstance(error, AttributeError) and not isinstance(getattr(error, "obj", None), float):
            raise  # of numbers it is NumPy's, which asks entries of an array of objects for what it calls
        raise TracingError(
            f"fun can't be recorded, it raised {type(error).__name__}: {error}{_instead(error)}"
        ) from error
    program, out = sampled(recorder.program, len(points), result.number)
    record = Record(program, range(len(points)), [out], points)
    compiled = Compiled(record, _names(fun, len(points)), order, kinds)
    compiled.original = fun if is_plain(returned) else lambda *args: flat(fun(*args), order)
    return compiled


def _instead(error: Exception) -> str:
    """What to write instead."""
    text = str(error)
    if isinstance(error, np.linalg.LinAlgError):
        return ". Values at the examples are computed too: give arrays at which they can be, in place of shapes"
    if "setting an array element" in text:
        return f". It {INTO_A_PLAIN_ARRAY}"
    if "read-only" in text:
        return ". What np.asarray makes of an argument can't be written to: write into x.copy(), or np.array(x)"
    if any(part in text for part in ("not supported for the input types", "object", "dtype('O')", "loop of ufunc")):
        return (
            ". np.array of recorded numbers is an array of objects, which few functions take: make it with np.stack, "
            "or np.array(…, like=x)"
        )
    return ""


def jacobian(fun: Callable[..., Any]) -> Callable[..., Jacobian]:
    """The Jacobian of a function written in NumPy, as a function of the same arguments.

    It compiles `fun` at each call: `compile` it once where it is to be called often.

    Parameters
    ----------
    fun : callable
        See `compile`.

    Returns
    -------
    callable
        Takes the arguments, returns the `Jacobian` with respect to all of them.

    Raises
    ------
    TracingError
        When it is called, where `fun` does what can't be recorded; and what `compile` raises.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> mj.jacobian(lambda x: x**2)(np.array([1.0, 2.0])).toarray()
    array([[2., 0.],
           [0., 4.]])
    """

    def of(*args: Any) -> Jacobian:
        return compile(fun, *(checks.numeric(f"arguments[{at}]", arg) for at, arg in enumerate(args))).jacobian(*args)

    return of


def _example(name: str, example: Any, rng: np.random.Generator) -> Array:
    if isinstance(example, tuple):
        # where only a shape is given, a point inside the domain of log, sqrt, inv and cholesky
        shape = checks.shape(name, example)
        point = rng.uniform(0.5, 1.5, shape)
        square = len(shape) > 1 and shape[-2] == shape[-1]
        return point + (2 + shape[-1] ** 0.5) * np.eye(shape[-1]) if square else point
    if isinstance(example, Unknown):
        return example.near(_example(name, example.shape, rng))
    _unambiguous(name, example)
    return checks.numeric(name, example)


def _unambiguous(name: str, example: Any) -> None:
    """Refuse integers that may be meant for sizes, and functions that make examples."""
    if callable(example):
        came = getattr(example, "__name__", type(example).__name__)
        raise TypeError(f"{name}: got {came}, which is not called, expected an array, a shape or an unknown")
    if isinstance(example, int | np.integer) and not isinstance(example, bool):
        raise TypeError(
            f"{name}: got {checks.describe(example)}, expected a shape, ({example},), or a number, {example}.0"
        )
    if isinstance(example, list) and example and all(isinstance(n, int | np.integer) for n in example):
        sizes = f"({', '.join(map(str, example))}{',' * (len(example) == 1)})"
        raise TypeError(
            f"{name}: got {checks.describe(example)}, expected a shape, {sizes}, or an array, np.array({example})"
        )


def _names(fun: Callable[..., Any], count: int) -> list[str]:
    try:
        parameters = inspect.signature(fun).parameters.values()
        names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    except ValueError:
        names = []
    return names[:count] if len(names) >= count else [f"x{number}" for number in range(count)]
