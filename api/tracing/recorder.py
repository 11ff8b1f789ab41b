"""The recorder: a program and a linear expression, to which recorded arrays add what is done with them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from matjac.conventions import Array, Shape
from matjac.linear.expression import Expression
from matjac.linear.program import Parts, Program
from matjac.tracing.arrays import Symbol, Traced, snapshot
from matjac.tracing.handlers import TracingError


class Recorder:
    """A program and an expression that are being recorded, with the values at an example, which may be lazy."""

    def __init__(self, program: Program | None = None) -> None:
        self.program = Program() if program is None else program
        self.expression = Expression(self.program, ())
        self.examples: dict[int, Any] = {}
        #: how many assignments there were
        self.clock = 0

    def argument(self, example: Array) -> Traced:
        """A value that is given."""
        made = self.traced(self.program.given(np.shape(example)), snapshot(np.asarray(example)))
        made.ordered = True
        return made

    def variables(self, shapes: Sequence[Shape]) -> list[Symbol]:
        """The differentials of variables of those shapes."""
        self.expression = Expression(self.program, shapes)
        return [Symbol(self, number, shape) for number, shape in enumerate(shapes)]

    def traced(self, number: int, value: Any) -> Traced:
        """A value by its number."""
        self.examples[number] = value
        return Traced(self, number, value)

    def constant(self, value: Any) -> int:
        """The number of a constant, which is copied."""
        if sp.issparse(value):
            value = sp.csr_array(value, copy=True)
            value.sum_duplicates()
        elif isinstance(value, int | float | complex) and not isinstance(value, bool):
            pass  # a Python number takes the dtype of what it meets
        elif isinstance(value, Parts):
            pass  # made of constants that are copies
        else:
            if isinstance(value, np.ma.MaskedArray):
                raise TracingError(
                    "a masked constant can't be recorded, its mask would be lost: use np.where, or fill it"
                )
            array = np.asarray(value)
            if array.dtype.kind not in "biufc":
                raise TracingError(f"a constant of dtype {array.dtype} can't be recorded: use numbers")
            if array.dtype.char in "gG":
                raise TracingError(f"a constant of dtype {array.dtype} can't be recorded: use float64 or complex128")
            value = snapshot(array)
        number = self.program.constant(value)
        self.examples[number] = value
        return number
