"""Values and Jacobians of separate problems as arrays with a row for each: of all of them, or of a few at a time."""

from typing import Any

import numpy as np

from matjac.conventions import Array, Shape, size
from matjac.flat import Flat
from matjac.maps.point import Point
from matjac.maps.separable import CoupledError, Layout, Separable
from matjac.solvers import arguments
from matjac.tracing.compiled import Compiled
from matjac.tracing.restrict import Restricted, restricted


class Problems:
    """A function whose values and variables count problems by their first axes."""

    def __init__(self, F: Flat, x0: Array, axes: int) -> None:
        self.F, self.axes = F, axes
        if isinstance(F, Compiled):
            out_shape: Shape = F.out_shape
        else:
            with np.errstate(all="ignore"):
                out_shape = F(*F.unpack(x0)).shape
        if F.variables.structured:
            raise ValueError(f"batch: got {F.variables}, expected arrays without structure")
        of = zip(("F's value", *F.variables.names), (out_shape, *F.variables.shapes), strict=True)
        for name, shape in of:
            if axes == 0 or len(shape) < axes or shape[:axes] != out_shape[:axes]:
                expected = f"the same first {axes} of all, which count the problems" if axes else "one axis or more"
                raise ValueError(f"batch: got {axes} axes and {name} of shape {shape}, expected {expected}")
        self.batch = out_shape[:axes]
        self.layout = Layout(F.variables.shapes, out_shape, axes, F.order)
        self.count, self.unknowns = self.layout.columns.shape
        self.residuals = self.layout.rows.shape[1]
        self.start = x0[self.layout.columns]

    def flat(self, X: Array) -> Array:
        """The flat vector of all problems' unknowns."""
        x = np.empty(X.size)
        x[self.layout.columns] = X
        return x

    def few(self, count: int) -> "Few | None":
        """So many of the problems at a time, where the function's steps are known to act on each alone."""
        if not isinstance(self.F, Compiled) or self.axes != 1 or not 0 < count < self.count:
            return None
        F, record = self.F, self.F._record
        made = record.kept(("restricted", count), lambda: restricted(record, count))
        return None if made is None else Few(F, made, count)

    def all(self) -> "All":
        """All of them, for which the Jacobian must not join any two."""
        return All(self)


class All:
    """All problems at once, by the function itself."""

    def __init__(self, problems: Problems) -> None:
        self.problems, self.count = problems, problems.count
        self._plan: Any = None
        self._out: Array | None = None

    def choose(self, which: Array) -> None:
        """Evaluate those from now on: here always all."""

    def value(self, X: Array) -> tuple[Array, Any]:
        """The residuals, a row for each problem, and what `blocks` takes."""
        F, layout = self.problems.F, self.problems.layout
        arrays = F.unpack(self.problems.flat(X))
        if isinstance(F, Compiled):
            value, J = F.value_and_jacobian(*arrays)
        else:
            value, J = F(*arrays), F.jacobian(*arrays)
        flat = arguments.real(value).reshape(-1, order=F.order)
        return np.ascontiguousarray(flat[layout.rows], float), J._point

    def blocks(self, point: Point) -> Array:
        """The transposed Jacobian of each problem, valid until the next are made."""
        if point.plan is not self._plan:
            self._plan, problems = point.plan, self.problems
            try:
                key = "separable", problems.axes
                self._separable: Separable = point.plan.derived(key, Separable, point.plan, problems.layout)
            except CoupledError as pair:
                raise self._coupled(pair) from None
        if self._out is None or self._out.dtype != point.dtype:
            self._out = np.zeros(self._separable.shape, point.dtype)
        self._separable.fill(point, self._out)
        return self._out

    def _coupled(self, pair: CoupledError) -> ValueError:
        layout = self.problems.layout
        by_row, by_column = (
            int(np.argwhere(numbers == k)[0, 0])
            for numbers, k in ((layout.rows, pair.row), (layout.columns, pair.column))
        )
        name = self.problems.F.variables.entry(pair.column)
        return ValueError(
            f"F: got residuals of problem {by_row} that depend on {name}, of problem {by_column}, expected problems "
            "with nothing in common"
        )


class Few:
    """Some problems at a time, by a record of as many: what they need stays in the processor's cache."""

    def __init__(self, F: Compiled, made: Restricted, count: int) -> None:
        self.count, self._made = count, made
        self._constants: list[Array] = []
        self._shapes = [(count, *shape[1:]) for shape in F.variables.shapes]
        self._ends = np.cumsum([0, *(size(shape[1:]) for shape in self._shapes)]).tolist()
        record = made.record
        self._plan = record.plan("C", tuple(range(len(self._shapes))))
        layout = Layout(self._shapes, record.shapes[0], 1, "C")
        self._separable: Separable = self._plan.derived("separable", Separable, self._plan, layout)
        self._out = np.zeros(self._separable.shape)

    def choose(self, which: Array) -> None:
        """Evaluate those from now on."""
        self._constants = [constant[which] for constant in self._made.constants]

    def value(self, X: Array) -> tuple[Array, Any]:
        """The residuals, a row for each problem, and what `blocks` takes."""
        arrays = [
            np.ascontiguousarray(X[:, first:last]).reshape(shape)
            for first, last, shape in zip(self._ends, self._ends[1:], self._shapes, strict=False)
        ]
        record = self._made.record
        values = record.start([*arrays, *self._constants])
        (value,) = record.run(values)
        return arguments.real(value).reshape(self.count, -1).astype(float), Point(self._plan, values, value.dtype)

    def blocks(self, point: Point) -> Array:
        """The transposed Jacobian of each problem, valid until the next are made."""
        self._separable.fill(point, self._out)
        return self._out
