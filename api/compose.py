"""Sums and products of maps: structured wherever the terms allow, else a sparse product on its exact pattern."""

from functools import reduce
from typing import Any

import numpy as np

from matjac.assembly import explicit, tocsr
from matjac.factors import Dense, Select, product
from matjac.layout import Array
from matjac.maps import Blocks, Cell, LinearMap, Sum, collect
from matjac.rows import Grid
from matjac.terms import Term, grid


def blocks_of(linear: LinearMap) -> Blocks:
    """The map as blocks, of one where it is a sum."""
    if isinstance(linear, Blocks):
        return linear
    return Blocks([[linear]], [linear.shape[0]], [linear.shape[1]], linear.dtype)


def simplest(blocks: Blocks) -> LinearMap:
    """The map of those blocks, a sum where there is but one."""
    cell = blocks.cells[0][0] if len(blocks.heights) == len(blocks.widths) == 1 else None
    return blocks if cell is None else cell


def add(first: LinearMap, second: LinearMap) -> LinearMap:
    """The sum of two maps of one shape."""
    a, b = blocks_of(first), blocks_of(second)
    dtype = np.result_type(a.dtype, b.dtype)
    if (a.heights, a.widths) != (b.heights, b.widths):
        return _add_sums(explicit(tocsr(first)), explicit(tocsr(second)))
    cells = [
        [_add_cells(x, y) for x, y in zip(mine, its, strict=True)] for mine, its in zip(a.cells, b.cells, strict=True)
    ]
    return simplest(Blocks(cells, a.heights, a.widths, dtype))


def _add_cells(first: Cell, second: Cell) -> Cell:
    if first is None or second is None:
        return first or second
    assert isinstance(first, Sum)
    assert isinstance(second, Sum)
    return _add_sums(first, second)


def _add_sums(first: Sum, second: Sum) -> Sum:
    shapes = {(term.u.shape[1], term.w.shape[1]) for term in (*first.terms, *second.terms)}
    if len(shapes) > 1:
        first, second = explicit(tocsr(first)), explicit(tocsr(second))
    return first.plus(second)


def compose(outer: LinearMap, inner: LinearMap) -> LinearMap:
    """The product of two maps, ``outer @ inner``."""
    a, b = blocks_of(outer), blocks_of(inner)
    dtype = np.result_type(a.dtype, b.dtype)
    if a.widths != b.heights:
        return explicit(product(tocsr(outer), tocsr(inner)))
    cells: list[list[Cell]] = []
    for band in a.cells:
        cells.append([])
        for column in zip(*b.cells, strict=True):
            parts = [
                _compose_sums(x, y)
                for x, y in zip(band, column, strict=True)
                if isinstance(x, Sum) and isinstance(y, Sum)
            ]
            cells[-1].append(reduce(_add_sums, parts) if parts else None)
    return simplest(Blocks(cells, a.heights, b.widths, dtype))


def _compose_sums(outer: Sum, inner: Sum) -> Sum:
    dtype = np.result_type(outer.dtype, inner.dtype)
    flat = all(isinstance(t.u, Dense) and isinstance(t.w, Select) and t.w.shape[1] == 1 for t in outer.terms)
    if flat and outer.shape[0] > 0 and _reaches_all(inner):
        # rows of a dense matrix: each is a product with the inner map, and dense again
        rows = inner.apply_transposed(tocsr(outer).toarray())
        return Sum([grid(Dense(rows), Select(1))], dtype)
    terms = [_compose_terms(second, first) for second in outer.terms for first in inner.terms]
    found = [term for term in terms if term is not None]
    if len(found) < len(terms) or len({t.w.shape[1] for t in found}) > 1:
        return explicit(product(tocsr(outer), tocsr(inner)))
    return Sum(collect(found), dtype)


def _compose_terms(outer: Term, inner: Term) -> Term | None:
    """The product of two terms, where it is a term."""
    p, q = outer.u.shape[1], outer.w.shape[1]
    if inner.closed and isinstance(inner.rows, Grid) and (p, q) == (inner.rows.m, inner.rows.n):
        return outer.after(inner)
    if not outer.selects:
        return None
    assert isinstance(outer.u, Select)
    assert isinstance(outer.w, Select)
    # each row is one of the inner's rows: all in their order, or those that it selects
    if not (outer.rows == Grid(p, q) and outer.u.identity and outer.w.identity):
        i, j = outer.rows.pairs(0, outer.rows.count)
        inner = inner.take(outer.u.indices[i] * q + outer.w.indices[j])
    return inner if outer.scale is None else inner.scale_rows(outer.scale)


def _reaches_all(inner: Sum) -> bool:
    """Whether certainly no column of the map is empty."""
    term = inner.terms[0]
    return (
        min(inner.shape) > 0
        and term.rows.whole
        and all(isinstance(f, Dense) or (isinstance(f, Select) and f.identity) for f in (term.u, term.w))
    )


def take(linear: LinearMap, index: Array) -> LinearMap:
    """Those rows of a map, in that order."""
    blocks = blocks_of(linear)
    tops = np.cumsum([0, *blocks.heights])
    band = np.searchsorted(tops, index, side="right") - 1
    if np.any(band[1:] < band[:-1]):
        # rows of the bands in turn: not bands again
        return explicit(tocsr(linear)[index])
    cells, heights = [], []
    for number, row in enumerate(blocks.cells):
        mine = index[band == number] - tops[number]
        cells.append([None if cell is None else _take_cell(cell, mine) for cell in row])
        heights.append(mine.size)
    return simplest(Blocks(cells, heights, blocks.widths, blocks.dtype))


def _take_cell(cell: LinearMap, index: Array) -> LinearMap:
    assert isinstance(cell, Sum)
    return cell.take(index)


def scale_rows(linear: LinearMap, factors: Array) -> LinearMap:
    """Each row of a map times its number."""
    blocks = blocks_of(linear)
    parts = np.split(factors, np.cumsum(blocks.heights)[:-1])
    cells: list[list[Cell]] = [
        [cell.scale_rows(part) if isinstance(cell, Sum) else None for cell in row]
        for row, part in zip(blocks.cells, parts, strict=True)
    ]
    return simplest(Blocks(cells, blocks.heights, blocks.widths, np.result_type(blocks.dtype, factors)))


def times(linear: LinearMap, number: Any) -> LinearMap:
    """A map times a number."""
    blocks = blocks_of(linear).map(lambda cell: cell.times(number))
    blocks.dtype = np.result_type(blocks.dtype, number)
    return simplest(blocks)


def normal(linear: LinearMap) -> LinearMap:
    """``Jᴴ J``: of closed terms their products, else a stored matrix."""
    turned = linear.transpose().conj()
    if isinstance(linear, Sum) and isinstance(turned, Sum):
        return _compose_sums(turned, linear)
    return explicit(product(tocsr(turned), tocsr(linear)))


def beside(maps: list[LinearMap]) -> LinearMap:
    """Maps of equally many rows, side by side."""
    parts = [blocks_of(linear) for linear in maps]
    if len({b.heights for b in parts}) > 1:
        parts = [blocks_of(explicit(tocsr(b))) for b in parts]
    cells = [[cell for row in rows for cell in row] for rows in zip(*(b.cells for b in parts), strict=True)]
    widths = [width for b in parts for width in b.widths]
    return simplest(Blocks(cells, parts[0].heights, widths, np.result_type(*(b.dtype for b in parts))))


def above(maps: list[LinearMap]) -> LinearMap:
    """Maps of equally many columns, one above another."""
    parts = [blocks_of(linear) for linear in maps]
    if len({b.widths for b in parts}) > 1:
        parts = [blocks_of(explicit(tocsr(b))) for b in parts]
    cells = [row for b in parts for row in b.cells]
    heights = [height for b in parts for height in b.heights]
    return simplest(Blocks(cells, heights, parts[0].widths, np.result_type(*(b.dtype for b in parts))))
