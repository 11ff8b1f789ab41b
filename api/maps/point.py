"""A plan at a point: a linear map with its numbers, which are made when a product or an entry asks for them."""

from typing import Any

import numpy as np

from matjac import memory
from matjac.conventions import Array, size
from matjac.entries.assembler import Fill, Place, run
from matjac.entries.plan import Entries, Part, Plan, ready
from matjac.linear.expression import Expression
from matjac.linear.factors import Dense, Factor


class Point:
    """The map of a plan for given values; `conjugate` where all its numbers are to be conjugated."""

    def __init__(self, plan: Plan, values: list[Any], dtype: np.dtype[Any], conjugate: bool = False) -> None:
        self.plan, self.values, self.dtype, self.conjugate = plan, values, dtype, conjugate
        self._fills: dict[Part, Fill] = {}
        self._started = self._swept = False

    def __getstate__(self) -> dict[str, Any]:
        # what can be computed again is left behind
        expression = self.plan.expression
        kept = {*self.plan.known, *expression.coefficients, *expression.program.constants}
        values = [v if k in kept else None for k, v in enumerate(self.start())]
        return {**vars(self), "values": values, "_fills": {}, "_swept": False}

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.plan.shape

    def start(self) -> list[Any]:
        """The values, with all that products need."""
        if not self._started:
            with self.plan.lock:
                if not self._started:
                    steps, free = self.plan.schedule
                    ready(self.plan.expression.program, steps, self.values, free)
                    self._started = True
        return self.values

    def conj(self) -> "Point":
        """The complex conjugate."""
        if self.dtype.kind != "c":
            return self
        self.start()
        made = Point(self.plan, self.values, self.dtype, not self.conjugate)
        made._started = True
        return made

    # products ----------------------------------------------------------------------------------------

    def apply(self, x: Array) -> Array:
        """J x for x of shape (..., columns)."""
        expression, at, parts = self.plan.expression, 0, []
        self._require(expression, x)
        values = self.start()
        if self.conjugate:
            x = x.conj()
        for shape in expression.in_shapes:
            count = size(shape)
            parts.append(x[..., at : at + count].reshape(x.shape[:-1] + shape))
            at += count
        y = expression.forward(values, parts).reshape(*x.shape[:-1], self.shape[0])
        return self._own(y, x, np.result_type(self.dtype, x))

    def apply_transposed(self, y: Array) -> Array:
        """Jᵀ y for y of shape (..., rows)."""
        backward = self.plan.backward
        self._require(backward, y)
        values = self.start()
        if not self._swept:
            with self.plan.lock:
                ready(backward.program, self.plan.backward_steps, values)
                self._swept = True
        if self.conjugate:
            y = y.conj()
        x = backward.forward(values, [y.reshape(y.shape[:-1] + backward.in_shapes[0])])
        return self._own(x.reshape(*y.shape[:-1], self.shape[1]), y, np.result_type(self.dtype, y))

    def _require(self, expression: Expression, x: Array) -> None:
        """Refuse a product whose steps would not fit in memory."""
        count = 1 if x.ndim == 1 else size(x.shape[:-1])
        needed = count * (expression.held + sum(self.plan.shape)) * max(self.dtype.itemsize, x.itemsize)
        if not memory.fits(needed):
            memory.require(f"a product with {count:,} vectors", needed, "fewer vectors at a time take less")

    def _own(self, result: Array, given: Array, dtype: np.dtype[Any]) -> Array:
        """The result as an array of its own, in the dtype of a product."""
        if result.dtype != dtype:
            result = result.astype(dtype)
        elif np.may_share_memory(result, given):
            result = result.copy()
        return result.conj() if self.conjugate else result

    # entries -----------------------------------------------------------------------------------------

    def entries(self, layout: Part) -> Entries:
        """How the entries of the matrix in that layout are made."""
        return self.plan.entries(layout)

    def fill(self, layout: Part) -> Fill:
        """Fills the values of a range of rows."""
        if layout not in self._fills:
            self._fills[layout] = self._bound(layout)
        return self._fills[layout]

    def numbers(self, layout: Part) -> int:
        """Bytes of what entries are made of, where it is not there yet."""
        return 0 if layout in self._fills else self.dtype.itemsize * self.entries(layout).numbers

    def _bound(self, layout: Part) -> Fill:
        entries = self.entries(layout)
        self.start()
        memory.require("what entries are made of", self.numbers(layout))
        with self.plan.lock:
            ready(self.plan.expression.program, entries.steps, self.values)
        plain = entries.assembler.bind(self.values, self.dtype)
        if not self.conjugate:
            return plain

        def fill(out: Array, start: int, stop: int, place: Place) -> None:
            plain(out, start, stop, place)
            here = out[: entries.assembler.offset(stop) - entries.assembler.offset(start)]
            np.conj(here, out=here)

        return fill

    def run(self, layout: Part, out: Array) -> None:
        """Fill all values."""
        self.entries(layout).require(itemsize=self.dtype.itemsize, pattern=False)
        run(self.fill(layout), self.entries(layout).assembler, out)

    def csr(self, layout: Part) -> Any:
        """The matrix in that layout as a csr_array."""
        self.entries(layout).require(self.dtype.itemsize, itemsize=self.dtype.itemsize)
        pattern = self.entries(layout).pattern
        data = np.empty(pattern.indices.size, self.dtype)
        self.run(layout, data)
        return pattern.matrix(data)

    def ready_terms(self) -> None:
        """Compute what the terms are made of."""
        plan = self.plan
        self.start()
        with plan.lock:
            ready(plan.expression.program, plan.steps_of_terms, self.values)

    def matrix(self, factor: Factor) -> Any:
        """The matrix of a factor of a term: dense, a csr_array, or None for the identity."""
        if factor.value is None:
            return None
        self.ready_terms()
        numbers = factor.data(self.values, self.dtype)
        numbers = numbers.conj() if self.conjugate else numbers
        if isinstance(factor, Dense):
            return numbers.reshape(factor.shape)
        result = factor.structure()
        result.data = numbers
        return result
