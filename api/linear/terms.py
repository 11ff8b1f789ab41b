"""Terms: rows ``scale[r] · (u[f(r)] ⊗ w[g(r)])`` of a differential, and what moves and scales them.

With row-major vec, a variable of p × q entries has the columns of ``u ⊗ w``, u with p columns and w with q. The rows
are the entries of an array; f and g are row maps on it, and a scale is a value that broadcasts to it. Terms are
structure alone: their numbers are values of a program, in which new ones are recorded as terms change.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from matjac.conventions import Array, Shape, size
from matjac.linear.factors import Eye, Factor
from matjac.linear.primitives import Broadcast, Multiply, Reshape, Scatter, Slice, Take, Transpose
from matjac.linear.program import Program
from matjac.linear.rowmap import RowMap, constant, counting, listed, regroup


@dataclass(frozen=True, eq=False)
class Term:
    """One term, of the rows from number `offset` on of a larger array."""

    u: Factor
    f: RowMap
    w: Factor
    g: RowMap
    scale: int | None = None
    offset: int = 0

    @property
    def shape(self) -> Shape:
        """The array whose entries are the rows."""
        return self.f.shape

    @property
    def count(self) -> int:
        """Number of rows."""
        return size(self.f.shape)

    def describe(self) -> str:
        """Its factors, in a few words."""
        kinds = [f"{name} {m.shape[0]} × {m.shape[1]} {m.kind}" for name, m in (("U", self.u), ("W", self.w))]
        return ", ".join(kinds) + (", scaled" if self.scale is not None else "")


def seed(shape: Shape) -> Term:
    """The identity on a variable: the last axis is w's, the others u's."""
    if len(shape) < 2:
        n = size(shape)
        return Term(Eye((n, n)), counting(shape, range(len(shape))), Eye((1, 1)), constant(shape))
    p, q = size(shape[:-1]), shape[-1]
    last = len(shape) - 1
    return Term(Eye((p, p)), counting(shape, range(last)), Eye((q, q)), counting(shape, [last]))


class Values:
    """Records what terms need of a program's values; None is one."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def shape(self, number: int) -> Shape:
        return self.program.shapes[number]

    def reshape(self, number: int, shape: Shape) -> int:
        return self.program.add(Reshape(self.shape(number), shape), (number,), shape)

    def broadcast(self, number: int, shape: Shape) -> int:
        before = self.shape(number)
        return number if before == shape else self.program.add(Broadcast(before, shape), (number,), shape)

    def transpose(self, number: int, axes: tuple[int, ...]) -> int:
        before = self.shape(number)
        return self.program.add(Transpose(before, axes), (number,), tuple(before[k] for k in axes))

    def take(self, number: int, positions: Array, shape: Shape, block: int = 1) -> int:
        """Blocks of entries at flat positions."""
        return self.program.add(Take(self.shape(number), positions, block, shape), (number,), shape)

    def slice(self, number: int, slices: tuple[slice, ...]) -> int:
        """By a slice for each axis."""
        before = self.shape(number)
        shape = tuple(len(range(n)[k]) for n, k in zip(before, slices, strict=True))
        return self.program.add(Slice(before, slices), (number,), shape)

    def multiply(self, a: int | None, b: int | None) -> int | None:
        """The product of two scales."""
        if a is None or b is None:
            return b if a is None else a
        return self.program.add(Multiply(), (a, b), np.broadcast_shapes(self.shape(a), self.shape(b)))

    def pad(self, number: int, ndim: int) -> int:
        """With leading axes of length one, up to that many."""
        shape = self.shape(number)
        return self.reshape(number, (1,) * (ndim - len(shape)) + shape)

    def regrid(self, scale: int | None, before: Shape, after: Shape) -> int | None:
        """A scale that broadcasts to one shape, as one that broadcasts to another of as many entries."""
        if scale is None or before == after:
            return scale
        scale = self.pad(scale, len(before))
        shape = self.shape(scale)
        if size(shape) == 1:
            return self.reshape(scale, (1,) * len(after))
        axes = [k for k, n in enumerate(shape) if n > 1]
        steps = regroup(before, counting(before, axes).steps, after)
        if steps is None:
            return self.reshape(self.broadcast(scale, before), after)
        return self.reshape(scale, tuple(n if s else 1 for n, s in zip(after, steps, strict=True)))


def entries_of(values: Values, factor: Factor) -> int:
    """A factor's numbers as one vector, row after row."""
    program = values.program
    if factor.value is None:
        return program.constant(np.ones(factor.nnz))
    if (matrix := program.sparse(factor.value)) is not None:
        return program.constant(matrix.data)
    return values.reshape(factor.value, (factor.nnz,))


class Terms:
    """What primitives make of terms, for differentials whose values have a given shape."""

    def __init__(self, program: Program) -> None:
        self.values = Values(program)

    def aligned(self, term: Term, shape: Shape) -> Term:
        """The term with its rows as entries of that array, which it then covers."""
        if term.count != size(shape):
            return self._on_all_rows(term, shape)
        if term.shape == shape:
            return term
        scale = self.values.regrid(term.scale, term.shape, shape)
        return replace(term, f=term.f.reshape(shape), g=term.g.reshape(shape), scale=scale)

    def _on_all_rows(self, term: Term, shape: Shape) -> Term:
        """A term of some rows as one of all, absent elsewhere."""
        positions = np.arange(term.offset, term.offset + term.count)
        return self.scattered(replace(term, offset=0), term.shape, Scatter(term.shape, positions, shape))

    def scaled(self, term: Term, number: int, shape: Shape) -> Term:
        """Each row times its number: a value that broadcasts to the shape."""
        values = self.values
        mask = values.program.patterns.get(number)
        if mask is not None and not mask.all():
            term = self.aligned(term, shape)
            term = replace(term, f=term.f.masked(mask))
        if size(values.shape(number)) == 1:
            number = values.reshape(number, (1,) * len(term.shape))
        elif term.count != size(shape):
            flat = values.reshape(values.broadcast(number, shape), (size(shape),))
            part = values.slice(flat, (slice(term.offset, term.offset + term.count),))
            number = values.reshape(part, term.shape)
        else:
            regrid = values.regrid(number, shape, term.shape)
            assert regrid is not None
            number = regrid
        return replace(term, scale=values.multiply(term.scale, number))

    def transposed(self, term: Term, shape: Shape, axes: tuple[int, ...]) -> Term:
        term = self.aligned(term, shape)
        scale = None if term.scale is None else self.values.transpose(self.values.pad(term.scale, len(shape)), axes)
        return replace(term, f=term.f.transpose(axes), g=term.g.transpose(axes), scale=scale)

    def broadcast(self, term: Term, shape: Shape, after: Shape) -> Term:
        """The rows repeated."""
        term = self.aligned(term, shape)
        scale = None if term.scale is None else self.values.pad(term.scale, len(shape))
        return replace(term, f=term.f.broadcast(after), g=term.g.broadcast(after), scale=scale)

    def sliced(self, term: Term, shape: Shape, slices: tuple[slice, ...]) -> Term:
        """Some rows, by a slice for each axis."""
        term = self.aligned(term, shape)
        scale = term.scale
        if scale is not None:
            scale = self.values.pad(scale, len(shape))
            # where the scale repeats there is but one of it
            pairs = zip(slices, self.values.shape(scale), strict=True)
            scale = self.values.slice(scale, tuple(slice(None) if n == 1 else k for k, n in pairs))
        return replace(term, f=term.f.slice(slices), g=term.g.slice(slices), scale=scale)

    def taken(self, term: Term, shape: Shape, take: Take) -> Term:
        """Rows at flat positions."""
        positions = (take.positions.reshape(-1, 1) * take.block + np.arange(take.block)).reshape(take.after)
        if term.count != size(shape):
            term = self._on_all_rows(term, (size(shape),))
        elif not term.shape:
            term = self.aligned(term, (1,))
        grid = term.shape
        at: Any = np.unravel_index(positions, grid)
        scale = term.scale
        if scale is not None and size(self.values.shape(scale)) > 1:
            scale = self.values.pad(scale, len(grid))
            own = self.values.shape(scale)
            inside = tuple(np.minimum(k, n - 1) for k, n in zip(at, own, strict=True))
            scale = self.values.take(scale, np.ravel_multi_index(inside, own).reshape(-1), take.after)
        elif scale is not None:
            scale = self.values.reshape(scale, (1,) * len(take.after))
        whole = take.block > 1 and grid[-1:] == take.after[-1:] == (take.block,)
        f, g = (_moved(m, at, take.after, whole) for m in (term.f, term.g))
        return replace(term, f=f, g=g, scale=scale)

    def scattered(self, term: Term, shape: Shape, scatter: Scatter) -> Term:
        """Rows put at flat positions of a larger array."""
        term, total = self.aligned(term, shape), size(scatter.after)
        f, g = np.full(total, -1, np.int64), np.zeros(total, np.int64)
        f[scatter.positions], g[scatter.positions] = term.f.dense().reshape(-1), term.g.dense().reshape(-1)
        scale = term.scale
        if scale is not None and size(self.values.shape(scale)) == 1:
            scale = self.values.reshape(scale, (1,) * len(scatter.after))
        elif scale is not None:
            whole = self.values.broadcast(self.values.pad(scale, len(shape)), shape)
            scale = self.values.program.add(Scatter(shape, scatter.positions, scatter.after), (whole,), scatter.after)
        return replace(term, f=listed(f.reshape(scatter.after)), g=listed(g.reshape(scatter.after)), scale=scale)


def _moved(rows: RowMap, at: tuple[Array, ...], shape: Shape, whole: bool) -> RowMap:
    """A map at those indices; where whole rows of the last axis are taken it depends on that axis as before."""
    last = len(rows.shape) - 1
    if whole and rows.listed is None and not any(rows.depends(k) for k in range(last)):
        return RowMap(shape, (*(0,) * (len(shape) - 1), rows.steps[last]), rows.start)
    if whole and not rows.depends(last):
        first = tuple(k[..., :1] for k in at)
        return RowMap(shape, listed=np.broadcast_to(_at(rows, first, (*shape[:-1], 1)), shape))
    return listed(_at(rows, at, shape))


def _at(rows: RowMap, at: tuple[Array, ...], shape: Shape) -> Array:
    if rows.listed is not None:
        return rows.listed[at].reshape(shape)
    total = np.full(shape, rows.start, np.int64)
    for n, step, k in zip(rows.shape, rows.steps, at, strict=True):
        if step and n > 1:
            total += step * k
    return total
