"""Sums and products of maps: structured wherever the terms allow, else a sparse product on its exact pattern."""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
import scipy.sparse as sp

from matjac.assembly import explicit, tocsr
from matjac.factors import Dense, Select, canonical, canonical_csr, product
from matjac.layout import Array, Shape, index_dtype
from matjac.maps import Blocks, Cell, LinearMap, Normal, Sum, collect
from matjac.rows import Grid
from matjac.terms import Term, grid


def blocks_of(linear: LinearMap) -> Blocks:
    """The map as blocks, of one where it is a sum."""
    if isinstance(linear, Blocks):
        return linear
    if isinstance(linear, Normal):
        linear = explicit(tocsr(linear))
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
    terms = [_compose_terms(second, first) for second in outer.terms for first in inner.terms]
    found = [term for term in terms if term is not None]
    if len(found) == len(terms):
        return Sum(collect(found), dtype)
    if outer.shape[0] == 1:
        return _row(outer, inner, dtype)
    if outer.shape[0] > 0 and _is_dense(outer) and _reaches_all(inner):
        # rows of a dense matrix: each is a product with the inner map, and dense again
        rows = inner.apply_transposed(tocsr(outer).toarray())
        return Sum([grid(Dense(rows), Select(1))], dtype)
    return explicit(product(tocsr(outer), tocsr(inner)))


def _row(outer: Sum, inner: Sum, dtype: Any) -> Sum:
    """The gradient of a scalar function of the inner one: two products, and the places by the same of ones."""
    values, places = (
        f.apply_transposed(g.apply_transposed(np.ones(1, dtype)))
        for f, g in ((inner, outer), (inner.ones(), outer.ones()))
    )
    columns = np.flatnonzero(places)
    if columns.size == values.size:
        return Sum([grid(Dense(values[None, :].astype(dtype, copy=False)), Select(1))], dtype)
    index = index_dtype(values.size)
    pointers = np.array([0, columns.size], index)
    matrix = canonical_csr(values[columns].astype(dtype), columns.astype(index), pointers, (1, values.size))
    return explicit(matrix)


def _is_dense(outer: Sum) -> bool:
    """Whether the map is a dense matrix of the whole variable."""
    return all(
        (isinstance(t.u, Dense) and t.w.shape == (1, 1)) or (isinstance(t.w, Dense) and t.u.shape == (1, 1))
        for t in outer.terms
    )


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


def take(linear: LinearMap, index: Array, memo: dict[Any, Any] | None = None) -> LinearMap:
    """Those rows of a map, in that order."""
    blocks = blocks_of(linear)
    if len(blocks.heights) == 1:
        band_cells = [None if cell is None else _take_cell(cell, index, memo) for cell in blocks.cells[0]]
        return simplest(Blocks([band_cells], [index.size], blocks.widths, blocks.dtype))
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


def _take_cell(cell: LinearMap, index: Array, memo: dict[Any, Any] | None = None) -> LinearMap:
    assert isinstance(cell, Sum)
    return cell.take(index, memo)


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
    dtype = np.result_type(linear.dtype, number)
    # ones are float32, and so would be a Python float times them
    exact = dtype.type(number)
    blocks = blocks_of(linear).map(lambda cell: cell.times(exact))
    blocks.dtype = dtype
    return simplest(blocks)


def normal(linear: LinearMap, weights: Array | None = None) -> LinearMap:
    """``Jᴴ W J``: of closed terms without weights their products, else a map that multiplies by one after the other."""
    turned = linear.transpose().conj()
    cells = [cell for blocks in map(blocks_of, (linear, turned)) for band in blocks.cells for cell in band]
    if weights is None and all(cell is None or isinstance(cell, Sum) for cell in cells):
        return compose(turned, linear)
    return Normal(linear, weights)


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


def of_matrix(
    linear: LinearMap, shape: tuple[int, int], change: Callable[[Term], Term], otherwise: Callable[[], LinearMap]
) -> LinearMap:
    """Change the terms of a map whose rows are a matrix of that shape; what has other terms goes the other way."""
    blocks = blocks_of(linear)
    grids = [
        isinstance(cell, Sum) and all(isinstance(t.rows, Grid) and (t.rows.m, t.rows.n) == shape for t in cell.terms)
        for band in blocks.cells
        for cell in band
        if cell is not None
    ]
    if len(blocks.heights) > 1 or not all(grids):
        return otherwise()
    cells = [[Sum(map(change, c.terms), c.dtype) if isinstance(c, Sum) else None for c in blocks.cells[0]]]
    height = next((c.shape[0] for c in cells[0] if c is not None), None)
    if height is None:
        return otherwise()
    return simplest(Blocks(cells, [height], blocks.widths, blocks.dtype))


def take_grid(linear: LinearMap, shape: tuple[int, int], rows: Array, columns: Array) -> LinearMap:
    """The differential of ``Y[rows][:, columns]``."""
    positions = rows[:, None] * shape[1] + columns

    def otherwise() -> LinearMap:
        return take(linear, positions.reshape(-1))

    return of_matrix(linear, shape, lambda term: term.take_grid(rows, columns), otherwise)


def transpose_rows(linear: LinearMap, shape: tuple[int, int]) -> LinearMap:
    """The differential of Yᵀ."""

    def otherwise() -> LinearMap:
        return take(linear, np.arange(shape[0] * shape[1]).reshape(shape).T.reshape(-1))

    return of_matrix(linear, shape, Term.transpose_rows, otherwise)


def sum_last(linear: LinearMap, shape: tuple[int, int]) -> LinearMap:
    """The differential of the sums along the rows of Y."""
    m, n = shape

    def otherwise() -> LinearMap:
        rows = sp.csr_array((np.ones(m * n), np.arange(m * n), np.arange(m + 1) * n), shape=(m, m * n))
        return compose(explicit(rows), linear)

    return of_matrix(linear, shape, Term.sum_last, otherwise)


def is_structured(linear: LinearMap) -> bool:
    """Whether a map is terms of small factors, with no stored product among them."""
    cells = [cell for band in blocks_of(linear).cells for cell in band]
    return not any(isinstance(c, Sum) and any(t.stored for t in c.terms) for c in cells)


def turn_columns(linear: LinearMap, in_shapes: Sequence[Shape], turned: Sequence[bool]) -> LinearMap:
    """The map where the entries of those variables are counted column by column."""
    if not any(turned):
        return linear
    blocks = blocks_of(linear)
    if len(blocks.widths) != len(in_shapes):
        # one general matrix of all variables
        starts = np.cumsum([0, *[np.prod(shape, dtype=int) for shape in in_shapes]])
        parts = [
            start + np.arange(np.prod(shape, dtype=int)).reshape(shape).reshape(-1, order="F" if turn else "C")
            for start, shape, turn in zip(starts, in_shapes, turned, strict=False)
        ]
        return explicit(canonical(tocsr(linear)[:, np.concatenate(parts)]))
    cells = [
        [
            _columns_turned(cell, shape) if turn and cell is not None else cell
            for cell, shape, turn in zip(band, in_shapes, turned, strict=True)
        ]
        for band in blocks.cells
    ]
    return simplest(Blocks(cells, blocks.heights, blocks.widths, blocks.dtype))


def column_major(linear: LinearMap, out_shape: Shape, in_shapes: Sequence[Shape]) -> LinearMap:
    """The map where the output's and the variables' entries are counted column by column."""
    turned = turn_columns(linear, in_shapes, [True] * len(in_shapes))
    if len(out_shape) < 2:
        return turned
    if len(out_shape) == 2:
        return transpose_rows(turned, (out_shape[0], out_shape[1]))
    return take(turned, np.arange(np.prod(out_shape)).reshape(out_shape).reshape(-1, order="F"))


def _columns_turned(cell: LinearMap, shape: Any) -> LinearMap:
    if len(shape) < 2:
        return cell
    if len(shape) == 2 and isinstance(cell, Sum) and all((t.u.shape[1], t.w.shape[1]) == shape for t in cell.terms):
        return Sum((t.transpose_columns() for t in cell.terms), cell.dtype)
    matrix = tocsr(cell)
    order = np.arange(np.prod(shape)).reshape(shape).reshape(-1, order="F")
    return explicit(canonical(matrix[:, order]))


def cast(linear: LinearMap, dtype: np.dtype[Any]) -> LinearMap:
    """The map with values of the function's own dtype; a real one stays real."""
    if linear.dtype == dtype or (linear.dtype.kind == "c") != (dtype.kind == "c"):
        return linear
    blocks = blocks_of(linear).map(lambda cell: Sum(cell.terms, dtype))
    return simplest(Blocks(blocks.cells, blocks.heights, blocks.widths, dtype))
