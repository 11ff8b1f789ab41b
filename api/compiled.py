"""`compile`: a function written in NumPy, its value and its Jacobian."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from matjac import compose, inputs
from matjac.flat import Flat, Variables
from matjac.jacobian import Jacobian
from matjac.layout import ORDERS, Array, Order, Shape
from matjac.maps import LinearMap, Sum
from matjac.patterns import Found, replaying
from matjac.tracing import einsum, functions  # noqa: F401  (they register what they handle)
from matjac.tracing.operations import Custom
from matjac.tracing.program import Program
from matjac.tracing.traced import Traced, TracingError, record


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

    def __init__(self, program: Program, output: int, names: Sequence[str], shape: Shape, order: Order) -> None:
        self._program, self._output = program, output
        self.variables, self.out_shape = Variables(*program.variables, order=order, names=names), shape
        #: the patterns of general products on the way there, by the variables chosen
        self._products: dict[tuple[int, ...], list[Found]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "original"}

    def __repr__(self) -> str:
        arguments = ", ".join(f"{n}: {s}" for n, s in zip(self.names, self.in_shapes, strict=True))
        return f"<Compiled ({arguments}) → {self.out_shape}, {len(self._program.steps)} steps>"

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
        return self._value(self._values(args))

    def _value(self, values: Sequence[Any]) -> Array:
        # a copy: the Jacobian may be made of the program's own array (the slope of exp is its value)
        return np.array(values[self._output])

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
        return self._jacobian(self._values(args), wrt)

    def value_and_jacobian(self, *args: Any, wrt: Any = None) -> tuple[Array, Jacobian]:
        """The function's value and its Jacobian, from one evaluation."""
        values = self._values(args)
        return self._value(values), self._jacobian(values, wrt)

    def _jacobian(self, values: Sequence[Any], wrt: Any) -> Jacobian:
        chosen = self._chosen(wrt)
        known = self._products.get(tuple(chosen))
        with replaying(known) as replay:
            linear = self._program.differential(values, self._output, chosen)
        linear = compose.cast(linear, np.asarray(values[self._output]).dtype)
        if known is None:
            self._products[tuple(chosen)] = replay.found
        shapes = [self.in_shapes[k] for k in chosen]
        if self.order == "F":
            linear = compose.column_major(linear, self.out_shape, shapes)
        return Jacobian(linear, self.out_shape, shapes[0] if len(shapes) == 1 else tuple(shapes), self.order)

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
        rng = np.random.default_rng(0)
        values = self._program.values([rng.uniform(0.5, 1.5, shape) for shape in self.in_shapes])
        trail: dict[int, LinearMap] = {}
        self._program.differential(values, self._output, range(len(self.names)), trail)
        lines = [f"{k} {name} {shape}" for k, (name, shape) in enumerate(zip(self.names, self.in_shapes, strict=True))]
        general = 0
        for number, step in enumerate(self._program.steps, len(self.names)):
            if number not in trail:
                continue
            terms = [len(c.terms) for row in compose.blocks_of(trail[number]).cells for c in row if isinstance(c, Sum)]
            inside = compose.is_structured(trail[number])
            general += not inside
            what = f"{sum(terms)} term{'s' * (sum(terms) != 1)}" if inside else "general sparse product"
            given = ", ".join(str(k) if t else "constant" for k, t in zip(step.inputs, step.traced, strict=True))
            lines.append(f"{number} {step.operation.name}({given}) → {np.shape(values[number])}: {what}")
        fallen = f"{general} steps fell back to a general sparse product"
        lines.append(fallen if general else "every step is structured")
        return "\n".join(lines)

    def _values(self, args: Sequence[Any]) -> list[Any]:
        return self._program.values(self.variables.arrays(args))

    def _chosen(self, wrt: Any) -> list[int]:
        if wrt is None:
            return list(range(len(self.names)))
        names = [wrt] if isinstance(wrt, str) else list(wrt)
        chosen = [self.names.index(inputs.one_of("wrt", name, self.names)) for name in names]
        if not chosen or len(set(chosen)) < len(chosen):
            raise ValueError(f"wrt: got {wrt!r}, expected one or more different names of {', '.join(self.names)}")
        return chosen


def compile(fun: Callable[..., Any], *examples: Any, order: Order = "C") -> Compiled:
    """Compile a function written in NumPy: record what it does, once, and differentiate the record.

    By the product rule the differential of most matrix functions is a sum of terms ``scale ∘ (L · dX · R)``;
    an evaluation is NumPy for the values and compiled fills for the entries. What falls outside that family
    goes through a general sparse product on its exact pattern: `Compiled.explain` says what did.

    Parameters
    ----------
    fun : callable
        Of one or more arrays, written with NumPy's functions; constants in it (dense or ``scipy.sparse``) are
        recorded as they are at the time. It may not branch on its arguments' values.
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
    Source: d(A∘B) = dA∘B + A∘dB, the product rule of the second text, and the chain rule of *Mathematics for
    Machine Learning*, §5.2.2.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> rows, cols, ratings = [0, 1], [2, 0], [3.0, 4.0]
    >>> F = mj.compile(lambda U, V: (U @ V.T)[rows, cols] - ratings, (2, 1), (3, 1))
    >>> F.jacobian(np.ones((2, 1)), np.ones((3, 1))).toarray()
    array([[1., 0., 0., 0., 1.],
           [0., 1., 1., 0., 0.]])
    """
    inputs.one_of("order", order, ORDERS)
    if not callable(fun) or not examples:
        came = f"{inputs.describe(fun)} and {len(examples)} examples"
        raise TypeError(f"compile: got {came}, expected a function and an example for each argument")
    rng = np.random.default_rng(0)
    points = [_example(f"examples[{at}]", example, rng) for at, example in enumerate(examples)]
    program = Program([point.shape for point in points])
    try:
        # values at the examples are of no use but for their shapes
        with np.errstate(all="ignore"):
            result = fun(*(Traced(program, number, point) for number, point in enumerate(points)))
    except TracingError:
        raise
    except (TypeError, ValueError) as error:
        assigned = "setting an array element" in str(error)
        instead = ". Entries can't be assigned: use np.where, np.concatenate or np.stack" if assigned else ""
        raise TracingError(f"fun can't be recorded, it raised {type(error).__name__}: {error}{instead}") from error
    if not isinstance(result, Traced):
        came = inputs.describe(result)
        raise TracingError(f"fun: got {came} as its value, expected one array that depends on its arguments")
    program.close(result.number)
    compiled = Compiled(program, result.number, _names(fun, len(points)), result.shape, order)
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


def rule(fun: Callable[..., Any], *jacobians: Callable[..., Any] | None) -> Callable[..., Any]:
    """Let a function of your own be recorded, with its differential.

    Parameters
    ----------
    fun : callable
        Of arrays, returning an array.
    *jacobians : callable or None
        One for each argument: from the same arguments, the Jacobian of `fun` with respect to that one, as a
        `Jacobian` (an identity of matjac, say), a sparse or a dense matrix, in numerator layout and
        row-major order. None for an argument that is always constant.

    Returns
    -------
    callable
        To be called in place of `fun`, on arrays or inside a function that is compiled.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> from scipy.special import expit
    >>> logistic = mj.rule(expit, lambda x: mj.d_elementwise_dX(expit(x) * (1 - expit(x))))
    >>> mj.compile(lambda x: logistic(2 * x), (2,)).jacobian([0.0, 0.0]).toarray()
    array([[0.5, 0. ],
           [0. , 0.5]])
    """
    operation = Custom(fun, jacobians)

    def recorded(*args: Any) -> Any:
        return record(operation, *args) if any(isinstance(a, Traced) for a in args) else fun(*args)

    return recorded


def _example(name: str, example: Any, rng: np.random.Generator) -> Array:
    if isinstance(example, tuple):
        # where only a shape is given, a point inside the domain of log, sqrt and inv
        shape = inputs.shape(name, example)
        point = rng.uniform(0.5, 1.5, shape)
        return point + 2 * np.eye(shape[0]) if len(shape) == 2 and shape[0] == shape[1] else point
    return inputs.numeric(name, example)


def _names(fun: Callable[..., Any], count: int) -> list[str]:
    try:
        parameters = inspect.signature(fun).parameters.values()
        names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    except ValueError:
        names = []
    return names[:count] if len(names) >= count else [f"x{number}" for number in range(count)]
