"""The Jacobian of many separate problems, stacked along the first axes, as one dense block for each."""

from collections.abc import Sequence

import numpy as np

from matjac import kernels, memory
from matjac.conventions import Array, Order, Shape, index_dtype, size
from matjac.entries.assembler import Assembler, run
from matjac.entries.kron import KronAssembler
from matjac.entries.plan import Plan, ready
from matjac.maps.point import Point
from matjac.threads import split


class CoupledError(ValueError):
    """An entry of the Jacobian joins two problems: that of row `row` and that of column `column`."""

    def __init__(self, row: int, column: int) -> None:
        super().__init__(row, column)
        self.row, self.column = row, column


class Layout:
    """Which entries of the flat vectors belong to each problem, where `axes` leading axes of each array count them.

    ``columns[b]`` are those of problem b's unknowns, one variable after another, and ``rows[b]`` those of its values.
    """

    def __init__(self, shapes: Sequence[Shape], out_shape: Shape, axes: int, order: Order) -> None:
        self.batch = out_shape[:axes]
        self.count = size(self.batch)
        parts, at = [], 0
        for shape in shapes:
            parts.append(at + _numbers(shape, self.count, order))
            at += size(shape)
        self.columns = np.concatenate(parts, axis=1)
        self.rows = _numbers(out_shape, self.count, order)


def _numbers(shape: Shape, count: int, order: Order) -> Array:
    """Places in the flat vector of an array's entries, a row for each problem."""
    entries = size(shape)
    return np.arange(entries).reshape(shape, order=order).reshape(count, entries // max(count, 1))


class Separable:
    """How a plan's entries fill the dense blocks of separate problems: of (unknowns, values), the transposed Jacobians.

    They are made of the terms, or of the matrix where there are none; no pattern is made.
    """

    def __init__(self, plan: Plan, layout: Layout) -> None:
        self.shape = layout.count, layout.columns.shape[1], layout.rows.shape[1]
        if plan.operator is not None:
            self._assemblers: list[tuple[Assembler, int]] = [(plan.entries("numerator").assembler, 0)]
            wanted: set[int] = set()
        else:
            terms = [t for mine in plan.terms.values() for t in mine]
            firsts = np.cumsum([0, *map(size, plan.expression.in_shapes)]).tolist()
            self._assemblers = [
                (KronAssembler(t), firsts[variable]) for variable, mine in plan.terms.items() for t in mine
            ]
            wanted = {k for t in terms for k in (t.u.value, t.w.value, t.scale) if k is not None}
        entries = sum(assembler.nnz for assembler, _ in self._assemblers)
        memory.require(f"{entries:,} entries in blocks", 48 * entries + 8 * size(self.shape))
        program = plan.expression.program
        self._steps = program.steps(wanted, plan.known | plan.expression.coefficients)
        owners, places = (_owned(numbers, numbers.size) for numbers in (layout.rows, layout.columns))
        self._places = [self._placed(a, first, owners, places) for a, first in self._assemblers]
        self._buffers = [np.empty(0)] * len(self._places)

    def _placed(
        self, assembler: Assembler, first: int, rows: tuple[Array, Array], columns: tuple[Array, Array]
    ) -> Array:
        """Where each entry goes, in the flat array of all blocks."""
        _, unknowns, values = self.shape
        found, count = np.empty(assembler.nnz, np.int64), assembler.rows
        assembler.columns(found, 0, count)
        found += first
        offset = assembler.term.offset if isinstance(assembler, KronAssembler) else 0
        row = np.repeat(offset + np.arange(count), np.diff(assembler.indptr(0, count)))
        problem = rows[0][row]
        other = np.flatnonzero(problem != columns[0][found])
        if other.size:
            raise CoupledError(int(row[other[0]]), int(found[other[0]]))
        dtype = index_dtype(size(self.shape))
        places: Array = ((problem * unknowns + columns[1][found]) * values + rows[1][row]).astype(dtype)
        return places

    def fill(self, point: Point, out: Array) -> None:
        """Fill the blocks, of `shape`."""
        values = point.start()
        with point.plan.lock:
            ready(point.plan.expression.program, self._steps, values)
        flat = out.reshape(-1)
        flat[:] = 0
        for at, ((assembler, _), places) in enumerate(zip(self._assemblers, self._places, strict=True)):
            if self._buffers[at].dtype != point.dtype or self._buffers[at].size != places.size:
                self._buffers[at] = np.empty(places.size, point.dtype)
            data = self._buffers[at]
            run(assembler.bind(values, point.dtype), assembler, data)
            _added(places, data, flat)


def _owned(numbers: Array, total: int) -> tuple[Array, Array]:
    """For each entry of a flat vector which problem it belongs to, and which of its entries it is."""
    owner, place = np.empty(total, np.int64), np.empty(total, np.int64)
    owner[numbers] = np.arange(numbers.shape[0])[:, None]
    place[numbers] = np.arange(numbers.shape[1])
    return owner, place


def _added(places: Array, data: Array, out: Array) -> None:
    def task(start: int, stop: int) -> None:
        kernels.add_entries(places, data, out, start, stop)

    # a term has one entry in one place: no two threads meet
    split(task, 0, places.size, places.size)
