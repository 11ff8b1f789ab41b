"""Recorded functions: a program with arguments and results, their differentials, and the gradient as such a record."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from matjac.conventions import Array, Order, Shape, size
from matjac.entries.plan import Plan, ready, spent
from matjac.linear.adjoint import swept
from matjac.linear.expression import Expression
from matjac.linear.primitives import Add, Broadcast, Join, MatMul, Multiply, Real, Reshape, Transpose
from matjac.linear.program import Indicator, Primitive, Program, Step
from matjac.tracing.complexes import REAL_ALONE, RECORDED_REAL
from matjac.tracing.differentiate import One, differentiate
from matjac.tracing.handlers import TracingError
from matjac.tracing.recorder import Recorder
from matjac.tracing.reuse import reused, run
from matjac.tracing.sums import doubled, late_factor, masked, sum_of_squares


class Record:
    """Some values of a program, the results, as functions of others, the arguments.

    `points` are arguments at which it can be evaluated: differentials are recorded there. The values in `data` are
    bound: by them nothing is differentiated. All that is decided once holds for any other data of the same shapes.
    """

    def __init__(
        self,
        program: Program,
        arguments: Sequence[int],
        results: Sequence[int],
        points: Sequence[Array],
        data: Mapping[int, Array] | None = None,
        squared: int | None = None,
    ) -> None:
        self.program, self.arguments, self.results = program, tuple(arguments), tuple(results)
        self.points, self._samples = tuple(points), dict(data or {})
        #: of half a sum of squares, what is squared
        self._squared = squared
        #: what is differentiated; the way to a sum of squares may go past what is squared
        self._ends = [*results, *([] if squared is None else [squared])]
        steps = program.steps(self._ends)
        self._before = _before(program, steps, self._samples)
        #: the values that are there before a run: bound, and made of those and constants alone
        self.fixed = frozenset([*self._samples, *(step.out for step in self._before)])
        self.steps = tuple(step for step in steps if step.out not in self.fixed)
        #: what derivatives are made from
        self.known = frozenset([*self.arguments, *self.fixed])
        self._spent = spent(self.steps, [*results, *self.known])
        self._constants: list[Any] = program.start()
        self._derived: dict[Any, Any] = {}
        self._dtypes: dict[Any, np.dtype[Any]] = {}
        self._begin(self._samples)

    def _begin(self, data: Mapping[int, Array]) -> None:
        if self.program.real:
            _refuse_complex(data.values())
        self._data, self._kept = dict(data), {}  # type: ignore[var-annotated]
        self._start = self._constants
        if data:
            self._start = self._constants.copy()
            for k, array in data.items():
                self._start[k] = array
            ready(self.program, self._before, self._start)

    def on(self, data: Mapping[int, Array]) -> "Record":
        """The same record with other data; what was decided for one is decided for all."""
        made = object.__new__(Record)
        vars(made).update(vars(self))
        made._begin({k: data[k] for k in self._samples})
        return made

    def bound(self, by: Sequence[int]) -> "Record":
        """The same with those arguments bound, for `on` to be given; their points are there until then."""
        free = [at for at in range(len(self.arguments)) if at not in by]
        arguments, points = [self.arguments[at] for at in free], [self.points[at] for at in free]
        samples = {self.arguments[at]: self.points[at] for at in by}
        return Record(self.program, arguments, self.results, points, self._samples | samples, self._squared)

    @property
    def data(self) -> dict[int, Array]:
        """The bound values, by their numbers."""
        return self._data

    @property
    def shapes(self) -> list[Shape]:
        """The results' shapes."""
        return [self.program.shapes[k] for k in self.results]

    # values ------------------------------------------------------------------------------------------

    def constants(self) -> list[Any]:
        """The program's values that no argument changes."""
        return self._start.copy()

    def start(self, arrays: Sequence[Array]) -> list[Any]:
        """The program's values where the arguments are those arrays and nothing is computed yet."""
        values = self._start.copy()
        if self.program.real:
            _refuse_complex(arrays)
        for k, array in zip(self.arguments, arrays, strict=True):
            values[k] = array
        return values

    def run(self, values: list[Any], keep: bool = True) -> list[Any]:
        """Compute the results; unless they are kept, other values are let go when no step needs them any more."""
        program = self.program
        if keep:
            ready(program, self.steps, values)
        else:
            values.extend([program.constants.get(k) for k in range(len(values), len(program.shapes))])
            over = self.derived("over", lambda: reused(program, self.steps, self._spent))
            run(self.steps, over, values, self._spent)
        return [values[k] for k in self.results]

    def own(self, values: list[Any], *dtypes: Any) -> list[Array]:
        """The results as arrays of their own, each of that dtype; None is as it comes."""
        # one may be an argument, a constant, a view of one, or the one before
        taken, made = [values[k] for k in self.known], []
        for k, part, dtype in zip(self.results, map(np.asarray, self.run(values, keep=False)), dtypes, strict=True):
            own = part.base is None and k not in self.program.constants and not any(part is a for a in taken)
            made.append(part if own and dtype in (None, part.dtype) else np.array(part, dtype))
            taken.append(part)
        return made

    def dtype(self, values: list[Any]) -> np.dtype[Any]:
        """The dtype of derivatives, which the arguments' decide: the results', complex where an argument is."""
        given = *self.arguments, *self._samples
        key = tuple(values[k].dtype.char for k in given)
        if key not in self._dtypes:
            # log|det| of a complex matrix is real, but its derivative, which is that of log det, is not
            complexes = [np.complex64 for k in given if values[k].dtype.kind == "c"]
            dtype = np.result_type(*self.run(values), *complexes)
            if dtype.kind == "c" and self._real_linear:
                raise TracingError(REAL_ALONE)
            # truth values and counts have derivatives too, which are zero
            inexact = dtype.kind in "fc"
            self._dtypes[key] = dtype if inexact else np.result_type(*(values[k] for k in given))
        return self._dtypes[key]

    @property
    def _real_linear(self) -> bool:
        """Whether real parts are taken of complex values, so that arguments and results are real."""

        def find() -> bool:
            taken = any(isinstance(step.primitive, Real) for step in self.steps)
            return taken and self._expression("C", range(len(self.arguments)), self.results).real_linear

        return self.derived("real linear", find)  # type: ignore[no-any-return]

    # differentials -----------------------------------------------------------------------------------

    @property
    def differential(self) -> tuple[Expression, dict[int, int]]:
        """An expression of the arguments' differentials, and the number in it of each value's that is not zero."""
        with self.program.lock:
            if "failure" in self._derived:
                raise self._derived["failure"]
            try:
                return self.derived(  # type: ignore[no-any-return]
                    "differential", lambda: differentiate(self.recorder(), self.arguments, self._ends)
                )
            except (TypeError, ValueError) as error:
                # it is not recorded again
                self._derived["failure"] = error
                raise

    def recorder(self) -> Recorder:
        """What records more in the program, with its values at the points."""
        recorder, values = Recorder(self.program), self.start(self.points)
        # they are of no use but for their shapes
        with np.errstate(all="ignore"):
            self.run(values)
        recorder.examples = {k: value for k, value in enumerate(values) if value is not None}
        return recorder

    def plan(self, order: Order, by: tuple[int, ...], of: tuple[int, ...] | None = None) -> Plan:
        """The plan of the Jacobian by those arguments, whose entries are counted in `order`.

        `of` are the results, all unless given; where there are several they follow one another. With it the matrix is
        known to be symmetric.
        """

        def make() -> Plan:
            numbers = self.results if of is None else [self.results[k] for k in of]
            return Plan(self._expression(order, by, numbers), self.known, symmetric=of is not None)

        return self.derived((order, by, of), make)  # type: ignore[no-any-return]

    @property
    def affine(self) -> bool:
        """Whether the differential is made of no argument."""

        def find() -> bool:
            coefficients = self.differential[0].coefficients
            steps = self.program.steps(coefficients, self.fixed)
            return coefficients.union(*(step.operands for step in steps)).isdisjoint(self.arguments)

        return self.derived("affine", find)  # type: ignore[no-any-return]

    def derived(self, key: Any, make: Callable[[], Any]) -> Any:
        """What is decided once, when it is first asked for, by its name, whatever the data."""
        return self._once(self._derived, key, make)

    def kept(self, key: Any, make: Callable[[], Any]) -> Any:
        """What is made once for these data."""
        return self._once(self._kept, key, make)

    def _once(self, made: dict[Any, Any], key: Any, make: Callable[[], Any]) -> Any:
        if key not in made:
            with self.program.lock:
                if key not in made:
                    made[key] = make()
        return made[key]

    def _related(self, key: Any, make: Callable[[], "Record"]) -> "Record":
        """Another record of the program, which is decided once, with these data."""
        found: Record = self.derived(key, make)
        return found if not self._data else self.kept(key, lambda: found.on(self._data))

    def _another(self, arguments: Sequence[int], results: Sequence[int], points: Sequence[Array]) -> "Record":
        return Record(self.program, arguments, results, points, self._samples)

    def _expression(self, order: Order, by: Sequence[int], numbers: Sequence[int]) -> Expression:
        """The differentials of values, flat and one after another where there are several."""
        made, variables = self.begun(order, by)
        found = self.differentials(made, variables, numbers)
        return finished(made, found, [self.program.shapes[k] for k in numbers], order)

    def begun(self, order: Order, by: Sequence[int]) -> tuple[Expression, list[int | None]]:
        """An expression of those arguments' differentials, and the number in it of each argument's, None of others'."""
        shapes = [self.program.shapes[self.arguments[k]] for k in by]
        backwards = order == "F"
        made = Expression(self.program, [s[::-1] if backwards else s for s in shapes])
        variables: list[int | None] = [None] * len(self.arguments)
        for number, (k, shape) in enumerate(zip(by, shapes, strict=True)):
            variables[k] = _backwards(made, number, shape[::-1]) if backwards else number
        return made, variables

    def differentials(
        self, made: Expression, variables: Sequence[int | None], numbers: Sequence[int]
    ) -> list[int | None]:
        """Record the differentials of values in an expression; None is zero."""
        source, symbols = self.differential
        kept = {symbols[k] for k in numbers if k in symbols}
        found = source.replay(made, variables, lambda k: k, kept) if kept else {}
        return [found.get(symbols.get(k)) for k in numbers]

    def gradient(self, weighted: bool) -> "Record":
        """The gradient of ``Σ weights ∘ result``: a result for each argument. The weights are the last argument.

        Unless `weighted` that of a scalar itself.
        """
        return self._related(("gradient", weighted), lambda: self._gradient(weighted))

    def _gradient(self, weighted: bool) -> "Record":
        program, (out,) = self.program, self.results
        shape = program.shapes[out]
        if weighted:
            weights = program.given(shape)
            return self._swept(out, weights, set(), weights)
        squares = self._squares
        if squares is not None:
            # the product rule's way there would add y to itself and halve it
            y, factor = squares
            weights = (
                y if factor == 0.5 else program.add(Multiply(), (program.constant(2 * factor), y), program.shapes[y])
            )
            return self._swept(y, weights, set())
        weights = program.add(Reshape((), shape), (self.one(),), shape)
        return self._swept(out, weights, {weights})

    @property
    def _squares(self) -> tuple[int, float] | None:
        """y and c where the result is ``c Σ y²``."""
        if self._squared is not None:
            return self._squared, 0.5
        return sum_of_squares(self.program, self.results[0])

    def _swept(self, of: int, weights: int, ones: set[int], *more: int) -> "Record":
        """``Jᵀ weights`` of a value, a result for each argument; the weights are a value, or `more` arguments."""
        program = self.program
        back, parts = swept(self._expression("C", range(len(self.arguments)), [of]))
        numbers = recorded(back, weights, ones)
        results = [
            self._zeros(program.shapes[k]) if part is None else numbers[part]
            for k, part in zip(self.arguments, parts, strict=True)
        ]
        points = [*self.points, *(np.ones(program.shapes[k]) for k in more)]
        return self._another([*self.arguments, *more], results, points)

    def value_and_gradient(self, weighted: bool) -> "Record":
        """The result, and the gradient after it: what both need is computed once."""

        def make() -> Record:
            slope, squares = self.gradient(weighted), None if weighted else self._squares
            # a product of BLAS is faster than squares and their sum
            values = self.results if squares is None else [self._summed(*squares)]
            return self._another(slope.arguments, [*values, *slope.results], slope.points)

        return self._related(("value and gradient", weighted), make)

    def _summed(self, y: int, factor: float) -> int:
        """``factor Σ y²``, of the result's shape."""
        program, (out,) = self.program, self.results
        n, shape = size(program.shapes[y]), program.shapes[out]
        row, column = (program.add(Reshape(program.shapes[y], s), (y,), s) for s in ((1, n), (n, 1)))
        total = program.add(MatMul(), (row, column), (1, 1))
        whole = program.add(Reshape((1, 1), shape), (total,), shape)
        return whole if factor == 1 else program.add(Multiply(), (program.constant(factor), whole), shape)

    def half_squares(self) -> "Record":
        """Half the sum of the result's squares, whose gradient is Jᵀ times the result."""

        def make() -> Record:
            recorder, (out,) = self.recorder(), self.results
            if recorder.examples[out].dtype.kind == "c":
                raise TypeError("half_squares: got a function with complex values, expected real ones")
            y = recorder.traced(out, recorder.examples[out])
            flat = y.reshape(-1)
            half = (0.5 * (flat @ flat)).number
            return Record(self.program, self.arguments, [half], self.points, self._samples, squared=out)

        return self._related("half squares", make)

    def one(self) -> int:
        """The number 1 in the dtype of the arguments: where sweeps of scalars begin."""
        return self.program.add(One(), self.arguments, ())

    def _zeros(self, shape: Shape) -> int:
        zero = self.program.add(Multiply(), (self.one(), self.program.constant(0)), ())
        return self.program.add(Broadcast((), shape), (zero,), shape)

    def joined(self, order: Order) -> "Record":
        """The same with one result: flat vectors in `order`, one after another, where there are several."""
        if len(self.results) == 1:
            return self
        program, flat = self.program, []
        for k, shape in zip(self.results, self.shapes, strict=True):
            axes = tuple(range(len(shape)))[::-1]
            turned = k if order == "C" else program.add(Transpose(shape, axes), (k,), shape[::-1])
            flat.append(program.add(Reshape(program.shapes[turned], (size(shape),)), (turned,), (size(shape),)))
        sizes = tuple((size(shape),) for shape in self.shapes)
        out = program.add(Join(sizes), flat, (sum(map(size, self.shapes)),))
        made = self._another(self.arguments, [out], self.points)
        return made.on(self._data) if self._data else made


def _before(program: Program, steps: Sequence[Step], data: Mapping[int, Array]) -> tuple[Step, ...]:
    """The steps that can be run as soon as the data are there; none where there are no data."""
    there, found = {*program.constants, *data}, []
    for step in steps if data else ():
        if there.issuperset(step.operands):
            there.add(step.out)
            found.append(step)
    return tuple(found)


def finished(made: Expression, outs: Sequence[int | None], shapes: Sequence[Shape], order: Order) -> Expression:
    """The expression of results of those shapes, counted in `order`; several are flat and follow one another."""
    if order == "F":
        outs = [None if k is None else _backwards(made, k, shape) for k, shape in zip(outs, shapes, strict=True)]
        shapes = [shape[::-1] for shape in shapes]
    if len(outs) == 1:
        return made.finish(outs[0], shapes[0])
    total = sum(map(size, shapes))
    zero = all(k is None for k in outs)
    out = None if zero else made.add(Join(tuple(shapes)), outs, [True] * len(outs), (total,))
    return made.finish(out, (total,))


def recorded(expression: Expression, variable: int, ones: set[int]) -> dict[int, int]:
    """The steps of an expression as steps of its program, of a value in place of the variable's differential.

    `ones` are values that are 1 everywhere, by which what depends on the arguments is not multiplied.
    """
    program = expression.program
    found = {0: variable}
    for step in expression.steps:
        shape = expression.shapes[step.out]
        operands = [
            found[k] if linear else k for k, linear in zip(step.operands, step.linear, strict=True) if k is not None
        ]
        kept = next((k for k in operands if k not in ones), None)
        # a constant may be of integers, which would overflow, and truth values of a narrow dtype
        narrow = kept in program.constants or isinstance(_primitive(program, kept), Indicator)
        if isinstance(step.primitive, Multiply) and len({*operands} & ones) == 1 and not narrow:
            assert kept is not None
            before = program.shapes[kept]
            found[step.out] = kept if before == shape else program.add(Broadcast(before, shape), (kept,), shape)
            continue
        primitive = step.primitive
        if (
            isinstance(primitive, Add)
            and primitive.signs == (1, 1)
            and (twice := doubled(program, operands)) is not None
        ):
            found[step.out] = program.add(Multiply(), (program.constant(2), twice), shape)
            continue
        same = masked(program, operands) if isinstance(primitive, Multiply) else None
        if same is not None and program.shapes[same] == shape:
            found[step.out] = same
            continue
        factor, operands = late_factor(program, operands, shape) if isinstance(primitive, MatMul) else (None, operands)
        found[step.out] = program.add(primitive, operands, shape)
        if factor is not None:
            found[step.out] = program.add(Multiply(), (factor, found[step.out]), shape)
        if isinstance(step.primitive, Reshape | Broadcast | Transpose) and operands[0] in ones:
            ones.add(found[step.out])
    return found


def _primitive(program: Program, number: int | None) -> Primitive | None:
    """What makes a value."""
    step = None if number is None else program.makers.get(number)
    return None if step is None else step.primitive


def _refuse_complex(arrays: Iterable[Array]) -> None:
    if any(array.dtype.kind == "c" for array in arrays):
        raise TracingError(RECORDED_REAL)


def _backwards(made: Expression, number: int, shape: Shape) -> int:
    """The axes of a differential in the opposite order."""
    before = made.shapes[number]
    return made.add(Transpose(before, tuple(range(len(shape)))[::-1]), (number,), (True,), before[::-1])
