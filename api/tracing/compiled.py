"""`compile`: a function written in NumPy, its value and its Jacobian."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from matjac import checks
from matjac.conventions import ORDERS, Array, Order, Shape, size
from matjac.entries.plan import Plan, ready, spent
from matjac.flat import Flat, Variables, weighted
from matjac.jacobian import Jacobian
from matjac.linear.expression import Expression
from matjac.linear.factors import KhatriRao, Sparse, SpGemm
from matjac.linear.primitives import Transpose
from matjac.linear.reduce import ByVariable, terms_of
from matjac.maps.point import Point
from matjac.tracing import einsum, functions, linalg  # noqa: F401  (they register what they handle)
from matjac.tracing.differentiate import differentiate, sample_products
from matjac.tracing.recorded import Recorder, Traced, TracingError


class Compiled(Flat):
    """A recorded function, as `matjac.compile` makes it: its value, and its Jacobian.

    Attributes
    ----------
    names : tuple of str
        Names of the arguments.
    in_shapes, out_shape : tuple
        Shapes of the arguments, and of the value.
    order : {"C", "F"}
        The order of flat vectors, and so of the Jacobian's rows and columns.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> F = mj.compile(lambda U, V: U @ V.T, (2, 1), (3, 1))
    >>> U, V = np.ones((2, 1)), np.full((3, 1), 2.0)
    >>> F(U, V)
    array([[2., 2., 2.],
           [2., 2., 2.]])
    >>> F.jacobian(U, V, wrt="U").toarray()[0]
    array([2., 0.])
    >>> F.jac_csr(np.array([1.0, 1, 2, 2, 2])).shape
    (6, 5)
    """

    #: the function that was recorded, for `check`; a pickled Compiled does without
    original: Callable[..., Any] | None = None

    def __init__(self, recorder: Recorder, out: int, names: Sequence[str], order: Order) -> None:
        program = recorder.program
        known = range(len(names))
        self.variables = Variables(*(program.shapes[k] for k in known), order=order, names=names)
        self.out_shape: Shape = program.shapes[out]
        self._program, self._out = program, out
        #: the differential of every value by its number, of all variables in C order
        self._symbols: dict[int, int] = {}
        self._failure: Exception | None = None
        try:
            symbols = differentiate(recorder, known, out)
            self._symbols = {number: symbol.number for number, symbol in symbols.items()}
        except (TypeError, ValueError) as error:
            # a value needs no derivative
            self._failure = error
        self._expression = recorder.expression
        self._steps = program.steps([out])
        self._spent = spent(self._steps, [out, *known])
        self._start: list[Any] = [program.constants.get(k) for k in range(len(program.shapes))]
        self._plans: dict[tuple[int, ...], Plan] = {}
        self._dtypes: dict[Any, np.dtype[Any]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "original"}

    def __repr__(self) -> str:
        arguments = ", ".join(f"{n}: {s}" for n, s in zip(self.names, self.in_shapes, strict=True))
        return f"<Compiled ({arguments}) → {self.out_shape}, {len(self._steps)} steps>"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the arguments."""
        return self.variables.names

    @property
    def in_shapes(self) -> tuple[Shape, ...]:
        """Shapes of the arguments."""
        return self.variables.shapes

    def __call__(self, *args: Any) -> Array:
        """The function's value."""
        values = self._values(self.variables.arrays(args))
        ready(self._program, self._steps, values, self._spent)
        return np.array(values[self._out])

    def _values(self, arrays: Sequence[Array]) -> list[Any]:
        values = self._start.copy()
        values[: len(arrays)] = arrays
        return values

    def _value(self, values: list[Any]) -> Array:
        ready(self._program, self._steps, values)
        # a copy: the Jacobian may be made of the program's own array (the slope of exp is its value)
        return np.array(values[self._out])

    def jacobian(self, *args: Any, wrt: Any = None) -> Jacobian:
        """The Jacobian at a point.

        Parameters
        ----------
        *args : array_like
            The arguments, of the shapes that were compiled.
        wrt : str or sequence of str, optional
            Names of the arguments to differentiate by; all, side by side, unless given.

        Returns
        -------
        Jacobian
            In numerator layout; `in_shape` is a tuple of shapes where there are several arguments.

        Raises
        ------
        TypeError, ValueError
            Where an argument has another shape or is not numeric, or `wrt` names none.
        """
        return self._jacobian(self._values(self.variables.arrays(args)), self._chosen(wrt))

    def value_and_jacobian(self, *args: Any, wrt: Any = None) -> tuple[Array, Jacobian]:
        """The function's value and its Jacobian, from one evaluation."""
        values, chosen = self._values(self.variables.arrays(args)), self._chosen(wrt)
        return self._value(values), self._jacobian(values, chosen)

    def _at(self, arrays: list[Array]) -> Jacobian:
        return self._jacobian(self._values(arrays), tuple(range(len(arrays))))

    def _jacobian(self, values: list[Any], chosen: tuple[int, ...]) -> Jacobian:
        shapes = [self.in_shapes[k] for k in chosen]
        point = Point(self._plan(chosen), values, self._dtype(values))
        return Jacobian(point, self.out_shape, shapes[0] if len(shapes) == 1 else tuple(shapes), self.order)

    def _dtype(self, values: list[Any]) -> np.dtype[Any]:
        """The dtype of the value, which its arguments' decide."""
        key = tuple(values[k].dtype.char for k in range(len(self.names)))
        if key not in self._dtypes:
            ready(self._program, self._steps, values)
            self._dtypes[key] = np.asarray(values[self._out]).dtype
        return self._dtypes[key]

    def _plan(self, chosen: tuple[int, ...]) -> Plan:
        """The plan of the Jacobian by those variables, whose entries are counted in `order`."""
        if self._failure is not None:
            raise self._failure
        if chosen not in self._plans:
            with self._program.lock:
                if chosen not in self._plans:
                    self._plans[chosen] = Plan(self._ordered(chosen), range(len(self.names)))
        return self._plans[chosen]

    def _ordered(self, chosen: Sequence[int]) -> Expression:
        backwards = self.order == "F"
        shapes = [self.in_shapes[k] for k in chosen]
        made = Expression(self._program, [s[::-1] if backwards else s for s in shapes])
        variables: list[int | None] = [None] * len(self.names)
        for number, (k, shape) in enumerate(zip(chosen, shapes, strict=True)):
            variables[k] = _backwards(made, number, shape[::-1]) if backwards else number
        out: int | None = self._replayed(made, variables, [self._out])[self._out]
        if backwards and out is not None:
            out = _backwards(made, out, self.out_shape)
        return made.finish(out, self.out_shape[::-1] if backwards else self.out_shape)

    def _replayed(self, made: Expression, variables: Sequence[int | None], numbers: Sequence[int]) -> dict[int, Any]:
        """The differentials of values in another expression."""
        wanted = {number: self._symbols.get(number) for number in numbers}
        kept = {k for k in wanted.values() if k is not None}
        found = self._expression.replay(made, variables, lambda k: k, kept) if kept else {}
        return {number: None if k is None else found[k] for number, k in wanted.items()}

    def explain(self) -> str:
        """What each step makes of the differential: structured terms, or a general sparse product.

        Examples
        --------
        >>> import numpy as np, matjac as mj
        >>> print(mj.compile(lambda X: np.tanh(X.T @ X), (2, 3)).explain())
        0 X (2, 3)
        1 transpose(0) → (3, 2): 1 term
        2 matmul(1, 0) → (3, 3): 2 terms
        3 tanh(2) → (3, 3): 2 terms
        every step is structured
        """
        program = self._program
        lines = [f"{k} {name} {shape}" for k, (name, shape) in enumerate(zip(self.names, self.in_shapes, strict=True))]
        trail: dict[int, ByVariable] = {}
        # the row of a scalar function is made by a sweep
        terms_of(self._expression, trail, 1 if size(self.out_shape) == 1 else 0)
        # constants have numbers of their own, which no one needs to see
        shown = {k: k for k in range(len(self.names))}
        general = 0
        for step in self._steps:
            shown[step.out] = len(shown)
            if step.out not in self._symbols:
                continue
            found = trail.get(self._symbols[step.out])
            terms = [t for mine in (found or {}).values() for t in mine]
            inside = not any(self._is_general(f) for t in terms for f in (t.u, t.w))
            general += not inside
            what = f"{len(terms)} term{'s' * (len(terms) != 1)}" if inside else "general sparse product"
            what = "by an adjoint sweep" if found is None else what
            given = ", ".join("constant" if k in program.constants else str(shown[k]) for k in step.operands)
            lines.append(f"{shown[step.out]} {step.primitive.name}({given}) → {program.shapes[step.out]}: {what}")
        fallen = f"{general} steps fell back to a general sparse product"
        lines.append(fallen if general else "every step is structured")
        return "\n".join(lines)

    def _is_general(self, factor: Any) -> bool:
        made = self._program.makers.get(factor.value)
        return isinstance(factor, Sparse) and made is not None and isinstance(made.primitive, SpGemm | KhatriRao)

    def _chosen(self, wrt: Any) -> tuple[int, ...]:
        if wrt is None:
            return tuple(range(len(self.names)))
        if not isinstance(wrt, Sequence):
            raise TypeError(f"wrt: got {checks.describe(wrt)}, expected names of {', '.join(self.names)}")
        names = [wrt] if isinstance(wrt, str) else list(wrt)
        chosen = tuple(self.names.index(checks.one_of("wrt", name, self.names)) for name in names)
        if not chosen or len(set(chosen)) < len(chosen):
            raise ValueError(f"wrt: got {wrt!r}, expected one or more different names of {', '.join(self.names)}")
        return chosen


def _backwards(made: Expression, number: int, shape: Shape) -> int:
    """The axes of a differential in the opposite order."""
    axes = tuple(range(len(shape)))[::-1]
    before = made.shapes[number]
    return made.add(Transpose(before, axes), (number,), (True,), before[::-1])


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
    *examples : array_like or tuple of int
        One for each argument: an array, or a shape. Shapes are fixed from then on, dtypes are not.
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
        Where an example is neither an array nor a shape.

    Notes
    -----
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
    """
    checks.one_of("order", order, ORDERS)
    if not callable(fun) or not examples:
        came = f"{checks.describe(fun)} and {len(examples)} examples"
        raise TypeError(f"compile: got {came}, expected a function and an example for each argument")
    rng = np.random.default_rng(0)
    points = [_example(f"examples[{at}]", example, rng) for at, example in enumerate(examples)]
    recorder = Recorder()
    arguments = [recorder.argument(point) for point in points]
    try:
        # values at the examples are of no use but for their shapes
        with np.errstate(all="ignore"):
            result = fun(*arguments)
    except TracingError:
        raise
    except (TypeError, ValueError) as error:
        assigned = "setting an array element" in str(error)
        instead = ". Entries can't be assigned: use np.where, np.concatenate or np.stack" if assigned else ""
        raise TracingError(f"fun can't be recorded, it raised {type(error).__name__}: {error}{instead}") from error
    if not isinstance(result, Traced):
        came = checks.describe(result)
        raise TracingError(f"fun: got {came} as its value, expected one array that depends on its arguments")
    sample_products(recorder.program, result.number)
    with np.errstate(all="ignore"):
        compiled = Compiled(recorder, result.number, _names(fun, len(points)), order)
    compiled.original = fun
    return compiled


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

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> mj.jacobian(lambda x: x**2)(np.array([1.0, 2.0])).toarray()
    array([[2., 0.],
           [0., 4.]])
    """

    def of(*args: Any) -> Jacobian:
        return compile(fun, *(np.asarray(arg) for arg in args)).jacobian(*args)

    return of


def _example(name: str, example: Any, rng: np.random.Generator) -> Array:
    if isinstance(example, tuple):
        # where only a shape is given, a point inside the domain of log, sqrt and inv
        shape = checks.shape(name, example)
        point = rng.uniform(0.5, 1.5, shape)
        return point + 2 * np.eye(shape[0]) if len(shape) == 2 and shape[0] == shape[1] else point
    return checks.numeric(name, example)


def _names(fun: Callable[..., Any], count: int) -> list[str]:
    try:
        parameters = inspect.signature(fun).parameters.values()
        names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    except ValueError:
        names = []
    return names[:count] if len(names) >= count else [f"x{number}" for number in range(count)]
