"""Sums of terms: fewer terms, wherever two have a factor and its row map in common."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from matjac.conventions import Array, Shape, cumulative, size
from matjac.linear.contraction import merged
from matjac.linear.factors import Dense, Eye, Factor, Sparse, UnionRows, WeightedRows, taken_rows
from matjac.linear.primitives import Add
from matjac.linear.rowmap import RowMap, counting
from matjac.linear.terms import Term, Terms, entries_of

#: Terms beyond which a sum becomes one sparse matrix: a loop would double their number at each turn.
MANY = 8
#: Rows of a factor, each with its scale.
Piece: TypeAlias = tuple[Factor, RowMap, int | None]


def collected(terms: Terms, given: Sequence[Term]) -> list[Term]:
    """The same sum with fewer terms."""
    result = _pairwise(terms, given)
    if len(result) <= MANY:
        return result
    return _pairwise(terms, [merged(terms, term) for term in result])


def _pairwise(terms: Terms, given: Sequence[Term]) -> list[Term]:
    result: list[Term] = []
    for term in given:
        for at, other in enumerate(result):
            together = _together(terms, other, term)
            if together is not None:
                result[at] = together
                break
        else:
            result.append(term)
    return result


def _together(terms: Terms, a: Term, b: Term) -> Term | None:
    """Two terms as one, where they have the same rows on one side: then the other sides' rows add up."""
    if a.offset != b.offset or a.count != b.count:
        return None
    b = b if a.shape == b.shape else replace(terms.aligned(replace(b, offset=0), a.shape), offset=b.offset)
    if a.u.same(b.u) and a.f.same(b.f):
        if a.w.same(b.w) and a.g.same(b.g):
            return replace(a, scale=_sum(terms, a.scale, b.scale))
        w, g = _added(terms, [(a.w, a.g, a.scale), (b.w, b.g, b.scale)], a.shape)
        return replace(a, w=w, g=g, scale=None)
    if a.w.same(b.w) and a.g.same(b.g):
        u, f = _added(terms, [(a.u, a.f, a.scale), (b.u, b.f, b.scale)], a.shape)
        return replace(a, u=u, f=f, scale=None)
    return None


def _sum(terms: Terms, a: int | None, b: int | None) -> int:
    program = terms.values.program
    a, b = (program.constant(1) if k is None else k for k in (a, b))
    return program.add(Add((1, 1)), (a, b), np.broadcast_shapes(program.shapes[a], program.shapes[b]))


def _added(terms: Terms, pieces: Sequence[Piece], shape: Shape) -> tuple[Factor, RowMap]:
    """The sum of scaled rows, as one factor with a row for each value of the indices on which they depend."""
    values = terms.values
    factors, maps, scales = zip(*pieces, strict=True)
    padded = [None if s is None else values.pad(s, len(shape)) for s in scales]
    own = [values.shape(s) for s in padded if s is not None]
    axes = [k for k in range(len(shape)) if any(m.depends(k) for m in maps) or any(s[k] > 1 for s in own)]
    grid = tuple(shape[k] for k in axes)

    def flat(scale: int) -> int:
        compact = values.reshape(scale, tuple(values.shape(scale)[k] for k in axes))
        return values.reshape(values.broadcast(compact, grid), (size(grid),))

    rows = [m.restricted(axes).dense().reshape(-1) for m in maps]
    return _rows(terms, factors, rows, [None if s is None else flat(s) for s in padded]), counting(shape, axes)


def _rows(terms: Terms, factors: Sequence[Factor], rows: Sequence[Array], scales: Sequence[int | None]) -> Factor:
    program = terms.values.program
    count, width = rows[0].size, factors[0].shape[1]
    operands: list[int] = []
    kinds = set(map(type, factors))
    if Dense in kinds and kinds <= {Dense, Eye} and all((r >= 0).all() for r in rows):
        for factor, scale in zip(factors, scales, strict=True):
            operands += [k for k in (factor.value, scale) if k is not None]
        parts = tuple((m, r, s is not None) for m, r, s in zip(factors, rows, scales, strict=True))
        return Dense((count, width), program.add(WeightedRows(parts, (count, width)), operands, (count, width)))
    # keys of entries sort by row and column
    takes, keys = [], []
    for factor, which in zip(factors, rows, strict=True):
        pointers, columns, positions = taken_rows(factor, which)
        of = np.repeat(np.arange(count), np.diff(pointers))
        takes.append((positions, of))
        keys.append(of * width + columns)
    places = np.unique(np.concatenate(keys))
    for factor, scale in zip(factors, scales, strict=True):
        operands += [k for k in (entries_of(terms.values, factor), scale) if k is not None]
    union = UnionRows(
        tuple(
            (positions, of if scale is not None else None, np.searchsorted(places, key))
            for (positions, of), key, scale in zip(takes, keys, scales, strict=True)
        ),
        places.size,
    )
    number = program.add(union, operands, (places.size,))
    pointers = cumulative(np.bincount(places // max(width, 1), minlength=count))
    return Sparse((count, width), number, pointers, places % max(width, 1))
