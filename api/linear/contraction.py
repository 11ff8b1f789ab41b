"""Sums over an index: ``Σ_k c[…, k] · row(…, k, …)`` of a term is a term again.

Where the index lives in one factor alone only that factor changes: its rows are combined, once for each value of the other
indices on which they or the coefficients depend. Where it lives in both, the two become one factor first.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from matjac.conventions import Array, Shape, size
from matjac.linear.factors import Dense, Eye, Factor, KhatriRao, Sparse, khatri_rao_structure, plan
from matjac.linear.primitives import MatMul, Multiply, Sum
from matjac.linear.rowmap import RowMap, constant, counting
from matjac.linear.terms import Term, Terms


def contract(terms: Terms, term: Term, shape: Shape, axis: int, by: int | None = None, length: int = 1) -> Term:
    """The sum over an axis of a differential's array of that shape.

    `by` is a value of coefficients that broadcasts to the result's shape with the summed axis last. With it the axis is
    replaced by one of `length`, without it the axis is dropped.
    """
    values = terms.values
    term = terms.aligned(term, shape)
    order = (*(k for k in range(len(shape)) if k != axis), axis)
    f, g = term.f.transpose(order), term.g.transpose(order)
    scale = None if term.scale is None else values.transpose(values.pad(term.scale, len(shape)), order)
    out = [shape[k] for k in order[:-1]]
    if by is not None:
        f, g = f.insert(axis), g.insert(axis)
        if scale is not None:
            own = values.shape(scale)
            scale = values.reshape(scale, (*own[:axis], 1, *own[axis:]))
        out.insert(axis, length)
        by = values.pad(by, len(out) + 1)
    count = shape[axis]

    coefficients = by
    if scale is not None:
        if values.shape(scale)[-1] > 1:
            coefficients, scale = values.multiply(by, scale), None
        else:
            scale = values.reshape(scale, values.shape(scale)[:-1])

    in_f, in_g = f.depends(-1), g.depends(-1)
    whole = tuple(out)
    if not in_f and not in_g:
        if coefficients is None:
            number: int | None = values.program.constant(count) if count != 1 else None
            number = None if number is None else values.reshape(number, (1,) * len(out))
        else:
            number = _total(terms, coefficients, count)
        rest = term
        scale = values.multiply(scale, number)
        f, g = _dropped(f, whole), _dropped(g, whole)
    elif in_f and in_g:
        u, f, single = _both(terms, term.u, f, term.w, g, coefficients, whole)
        rest = replace(term, u=u, w=single)
        g = constant(whole)
    elif in_f:
        u, f = _one(terms, term.u, f, coefficients, whole)
        rest, g = replace(term, u=u), _dropped(g, whole)
    else:
        w, new = _one(terms, term.w, g, coefficients, whole)
        # a row is absent where f says so, or where nothing was summed
        f = _dropped(f, whole)
        if not new.full:
            f, new = f.masked(new.dense() >= 0), RowMap(new.shape, listed=np.maximum(new.dense(), 0))
        rest, g = replace(term, w=w), new
    return replace(rest, f=f, g=g, scale=scale, offset=0)


def contract_sparse(terms: Terms, term: Term, shape: Shape, axis: int, number: int) -> Term:
    """The same with a constant sparse matrix as coefficients, a row for each entry of the new axis."""
    values = terms.values
    program = values.program
    matrix = program.constants[number]
    term = terms.aligned(term, shape)
    order = (*(k for k in range(len(shape)) if k != axis), axis)
    f, g = (m.transpose(order).insert(axis) for m in (term.f, term.g))
    whole = (*shape[:axis], matrix.shape[0], *shape[axis + 1 :])
    scale = None if term.scale is None else values.transpose(values.pad(term.scale, len(shape)), order)
    inner = None
    if scale is not None:
        own = values.shape(scale)
        scale = values.reshape(scale, (*own[:axis], 1, *own[axis:]))
        if own[-1] > 1:
            inner, scale = scale, None
        else:
            scale = values.reshape(scale, values.shape(scale)[:-1])
    in_u = not g.depends(-1)
    if not in_u and f.depends(-1):
        u, f = merged(terms, term.u, f, term.w, g)
        term, g, in_u = replace(term, u=u, w=Eye((1, 1))), constant(f.shape), True
    factor, rows = (term.u, f) if in_u else (term.w, g)
    axes = [k for k in _varying(rows, None if inner is None else values.shape(inner)) if k != axis]
    new, places = _sparse_rows(terms, factor, rows, number, inner, axes, axis, whole)
    if in_u:
        return replace(term, u=new, f=places, g=_dropped(g, whole), scale=scale, offset=0)
    return replace(term, w=new, f=_dropped(f, whole), g=places, scale=scale, offset=0)


def _sparse_rows(
    terms: Terms, factor: Factor, f: RowMap, number: int, scale: int | None, axes: list[int], axis: int, whole: Shape
) -> tuple[Factor, RowMap]:
    """Rows of a factor combined by the rows of a sparse matrix, for each value of the indices on other axes."""
    values = terms.values
    program = values.program
    matrix = program.constants[number]
    height, count = matrix.shape
    simple = f.listed is None and f.start == 0 and f.steps[-1] == 1 and count == factor.shape[0]
    if isinstance(factor, Eye) and simple and not axes:
        pointers, indices = (part.astype(np.int64) for part in (matrix.indptr, matrix.indices))
        return Sparse(matrix.shape, number, pointers, indices), counting(whole, [axis])
    grid = _grid(f, axes, whole)
    kept = [*axes, len(f.shape) - 1]
    index = tuple(slice(None) if k in kept else 0 for k in range(len(f.shape)))
    rows = np.broadcast_to(f.dense()[index], (*grid, count)).reshape(size(grid), count)[:, matrix.indices]
    at = np.arange(rows.shape[0])[:, None] * height + np.repeat(np.arange(height), np.diff(matrix.indptr))
    keep = rows >= 0
    counts = np.bincount(at[keep], minlength=rows.shape[0] * height)
    pointers = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
    entries = np.broadcast_to(np.arange(matrix.nnz), rows.shape)[keep]
    data = values.take(program.constant(matrix.data), entries, (entries.size,))
    if scale is not None:
        spread = _spread(terms, scale, axes, whole, count)
        positions = np.arange(rows.shape[0])[:, None] * count + matrix.indices
        weights = values.take(spread, positions[keep], (entries.size,))
        data = values.multiply(data, weights) or data
    left = sp.csr_array((np.ones(entries.size), rows[keep], pointers), shape=(counts.size, factor.shape[0]))
    product = plan(left, factor.structure())
    own = program.constant(np.ones(factor.nnz)) if factor.value is None else factor.value
    result = program.add(product, (data, _entries(terms, own, factor)), (product.result[1].size,))
    pointers, indices = (part.astype(np.int64) for part in product.result)
    steps, step = [0] * len(whole), 1
    for k in (axis, *reversed(axes)):
        steps[k], step = step, step * whole[k]
    return Sparse((counts.size, factor.shape[1]), result, pointers, indices), RowMap(whole, tuple(steps))


def _dropped(rows: RowMap, whole: Shape) -> RowMap:
    """A map that does not depend on the last axis, without it, on the whole result."""
    return rows.first(len(rows.shape) - 1).broadcast(whole)


def _total(terms: Terms, coefficients: int, count: int) -> int:
    """The sums of the coefficients over the last axis, which they may only repeat along."""
    values = terms.values
    shape = values.shape(coefficients)
    if shape[-1] == 1:
        total = values.reshape(coefficients, shape[:-1])
        return total if count == 1 else values.multiply(total, values.program.constant(count)) or total
    return values.program.add(Sum(shape, (len(shape) - 1,)), (coefficients,), shape[:-1])


def _varying(f: RowMap, shape: Shape | None) -> list[int]:
    """The axes but the last on which a map or coefficients depend."""
    return [k for k in range(len(f.shape) - 1) if f.depends(k) or (shape is not None and shape[k] > 1)]


def _one(terms: Terms, factor: Factor, f: RowMap, coefficients: int | None, whole: Shape) -> tuple[Factor, RowMap]:
    """The factor of combined rows, and its row map."""
    values = terms.values
    own = None if coefficients is None else values.shape(coefficients)
    axes = _varying(f, own)
    count = f.shape[-1]
    pattern = None if coefficients is None else values.program.patterns.get(coefficients)
    if pattern is not None and pattern.all():
        pattern = None
    if isinstance(factor, Eye) and f.listed is None and pattern is None:
        found = _selected(terms, factor, f, coefficients, axes, whole, count)
        if found is not None:
            return found
    elif isinstance(factor, Dense):
        return _combined(terms, factor, f, coefficients, axes, whole, pattern)
    return _sparse(terms, factor, f, coefficients, axes, whole, pattern)


def _grid(f: RowMap, axes: Sequence[int], whole: Shape) -> Shape:
    return tuple(whole[k] for k in axes)


def _spread(terms: Terms, coefficients: int | None, axes: Sequence[int], whole: Shape, count: int) -> int:
    """The coefficients as a value of shape (those axes, count)."""
    values = terms.values
    shape = (*(whole[k] for k in axes), count)
    if coefficients is None:
        return values.broadcast(values.program.constant(np.ones(())), shape)
    own = values.shape(coefficients)
    compact = tuple(own[k] for k in (*axes, len(own) - 1))
    return values.broadcast(values.reshape(coefficients, compact), shape)


def _selected(
    terms: Terms, factor: Factor, f: RowMap, coefficients: int | None, axes: list[int], whole: Shape, count: int
) -> tuple[Factor, RowMap] | None:
    """Rows of the identity: the coefficients are the rows, at the columns that the map says."""
    step, values = f.steps[-1], terms.values
    rows = size(_grid(f, axes, whole))
    everywhere = counting(whole, axes)
    if step == 1 and f.start == 0 and count == factor.shape[1] and not any(f.depends(k) for k in axes):
        return Dense((rows, count), value=_spread(terms, coefficients, axes, whole, count)), everywhere
    if step <= 0:
        return None
    # the columns of each row, which follow one another in steps
    base = RowMap(tuple(f.shape[k] if f.depends(k) else whole[k] for k in axes), tuple(f.steps[k] for k in axes), f.start)
    columns = base.dense().reshape(-1, 1) + step * np.arange(count)
    data = _spread(terms, coefficients, axes, whole, count)
    pointers = np.arange(rows + 1, dtype=np.int64) * count
    return Sparse((rows, factor.shape[1]), data, pointers, columns.reshape(-1)), everywhere


def _combined(
    terms: Terms,
    factor: Factor,
    f: RowMap,
    coefficients: int | None,
    axes: list[int],
    whole: Shape,
    pattern: Array | None,
) -> tuple[Factor, RowMap]:
    """Rows of a dense factor: a matrix product, for each value of the indices on which the rows depend."""
    values = terms.values
    program = values.program
    count, width = f.shape[-1], factor.shape[1]
    assert factor.value is not None
    batch = [k for k in axes if f.depends(k)]
    rest = [k for k in axes if k not in batch]
    picked = _rows_of(terms, factor, f, batch, whole)
    mask = _mask(f, pattern, axes, whole)
    heights = size(_grid(f, batch, whole)), size(_grid(f, rest, whole))
    order = (*batch, *rest)
    if coefficients is None and mask is None:
        shape = (*values.shape(picked)[:-2], width)
        result = program.add(Sum((*shape[:-1], count, width), (len(shape) - 1,)), (picked,), shape)
    else:
        if mask is not None:
            coefficients = values.multiply(coefficients, program.constant(mask.astype(float)))
        assert coefficients is not None
        own = values.shape(coefficients)
        compact = values.reshape(coefficients, tuple(own[k] for k in (*order, len(own) - 1)))
        spread = values.broadcast(compact, (*(whole[k] for k in order), count))
        left = values.reshape(spread, (*heights, count) if batch else (heights[1], count))
        shape = (*heights, width) if batch else (heights[1], width)
        result = program.add(MatMul(), (left, picked), shape)
    table = values.reshape(result, (heights[0] * heights[1], width))
    new = Dense((heights[0] * heights[1], width), value=table)
    # rows are counted along the batch first
    steps, step = [0] * len(whole), 1
    for axis in reversed(order):
        steps[axis], step = step, step * whole[axis]
    rows = RowMap(whole, tuple(steps))
    if mask is not None and not (some := mask.any(axis=-1)).all():
        rows = rows.masked(some)
    return new, rows


def _rows_of(terms: Terms, factor: Factor, f: RowMap, batch: list[int], whole: Shape) -> int:
    """The rows of a dense factor that are summed: (count, width), or (batch, count, width)."""
    values = terms.values
    count, width = f.shape[-1], factor.shape[1]
    assert factor.value is not None
    table = values.reshape(factor.value, factor.shape)
    if not batch and f.listed is None and f.start == 0 and f.steps[-1] == 1 and count == factor.shape[0]:
        return table
    wanted = _restricted(f, batch)
    if f.listed is None and f.start == 0 and wanted.steps == counting(wanted.shape, range(len(wanted.shape))).steps:
        rows = size(wanted.shape)
        if rows == factor.shape[0]:
            shape = (rows // max(count, 1), count, width) if batch else (count, width)
            return values.reshape(table, shape)
    index = np.maximum(wanted.dense().reshape(-1), 0)
    shape = (index.size // max(count, 1), count, width) if batch else (count, width)
    return values.take(table, index, shape, block=width)


def _restricted(f: RowMap, axes: Sequence[int]) -> RowMap:
    """The map on some axes and the last, where the others' indices are 0."""
    kept = [*axes, len(f.shape) - 1]
    if f.listed is None:
        return RowMap(tuple(f.shape[k] for k in kept), tuple(f.steps[k] for k in kept), f.start)
    index = tuple(slice(None) if k in kept else 0 for k in range(len(f.shape)))
    return RowMap(tuple(f.shape[k] for k in kept), listed=f.listed[index])


def _mask(f: RowMap, pattern: Array | None, axes: Sequence[int], whole: Shape) -> Array | None:
    """Which summands are there by structure, where not all are: an array that broadcasts like coefficients."""
    absent = None if f.full else f.dense() >= 0
    if absent is None or pattern is None:
        return pattern if absent is None else absent
    return absent & pattern


def _sparse(
    terms: Terms,
    factor: Factor,
    f: RowMap,
    coefficients: int | None,
    axes: list[int],
    whole: Shape,
    pattern: Array | None,
) -> tuple[Factor, RowMap]:
    """Any rows: a product of sparse matrices on its exact pattern."""
    values = terms.values
    program = values.program
    grid, count = _grid(f, axes, whole), f.shape[-1]
    kept = [*axes, len(f.shape) - 1]
    index = tuple(slice(None) if k in kept else 0 for k in range(len(f.shape)))
    rows = np.broadcast_to(f.dense()[index], (*grid, count)).reshape(size(grid), count)
    keep = rows >= 0
    if pattern is not None:
        at = tuple(slice(None) if k in kept else 0 for k in range(pattern.ndim))
        keep = keep & np.broadcast_to(pattern[at], (*grid, count)).reshape(size(grid), count)
    pointers = np.concatenate([np.zeros(1, np.int64), np.cumsum(keep.sum(axis=1), dtype=np.int64)])
    data = _spread(terms, coefficients, axes, whole, count)
    if keep.all():
        data = values.reshape(data, (keep.size,))
    else:
        data = values.take(data, np.flatnonzero(keep), (int(pointers[-1]),))
    left = sp.csr_array((np.ones(int(pointers[-1])), rows[keep], pointers), shape=(keep.shape[0], factor.shape[0]))
    product = plan(left, factor.structure())
    own = program.constant(np.ones(factor.nnz)) if factor.value is None else factor.value
    entries = _entries(terms, own, factor)
    number = program.add(product, (data, entries), (product.result[1].size,))
    pointers, indices = (part.astype(np.int64) for part in product.result)
    return Sparse((keep.shape[0], factor.shape[1]), number, pointers, indices), counting(whole, axes)


def _entries(terms: Terms, number: int, factor: Factor) -> int:
    """A factor's numbers as one vector."""
    constant = terms.values.program.constants.get(number)
    if sp.issparse(constant):
        return terms.values.program.constant(constant.data)
    if len(terms.values.shape(number)) == 1 and terms.values.shape(number)[0] == factor.nnz:
        return number
    return terms.values.reshape(number, (factor.nnz,))


def merged(terms: Terms, u: Factor, f: RowMap, w: Factor, g: RowMap) -> tuple[Factor, RowMap]:
    """Rows u ⊗ w as rows of one factor."""
    p, q = u.shape[1], w.shape[1]
    if isinstance(u, Eye) and isinstance(w, Eye):
        return Eye((p * q, p * q)), f.plus(g, q)
    if w.shape == (1, 1) and isinstance(w, Eye):
        return u, f
    if u.shape == (1, 1) and isinstance(u, Eye):
        return w, g if f.full else RowMap(g.shape, listed=np.where(f.dense() < 0, -1, g.dense()))
    axes = [k for k in range(len(f.shape)) if f.depends(k) or g.depends(k)]
    index = tuple(slice(None) if k in axes else 0 for k in range(len(f.shape)))
    i, j = (np.ascontiguousarray(m.dense()[index]).reshape(-1) for m in (f, g))
    pointers, indices = khatri_rao_structure(u, w, i, j)
    primitive = KhatriRao(u, w, i, j, indices.size)
    numbers = [m.value for m in (u, w) if m.value is not None]
    number = terms.values.program.add(primitive, numbers, (indices.size,))
    return Sparse((i.size, p * q), number, pointers, indices), counting(f.shape, axes)


def _both(
    terms: Terms, u: Factor, f: RowMap, w: Factor, g: RowMap, coefficients: int | None, whole: Shape
) -> tuple[Factor, RowMap, Factor]:
    """Combined rows of u ⊗ w, as rows of one factor of all columns."""
    p, q = u.shape[1], w.shape[1]
    pattern = None if coefficients is None else terms.values.program.patterns.get(coefficients)
    single = Eye((1, 1))
    if f.full and (pattern is None or pattern.all()):
        table = _outer_sums(terms, u, f, w, g, coefficients, whole)
        if table is not None:
            own = None if coefficients is None else terms.values.shape(coefficients)
            axes = sorted({*_varying(f, own), *_varying(g, own)})
            rows = size(_grid(f, axes, whole))
            return Dense((rows, p * q), value=table), counting(whole, axes), single
    u, f = merged(terms, u, f, w, g)
    u, f = _one(terms, u, f, coefficients, whole)
    return u, f, single


def _outer_sums(
    terms: Terms, u: Factor, f: RowMap, w: Factor, g: RowMap, coefficients: int | None, whole: Shape
) -> int | None:
    """Σ_k c_k u_k w_kᵀ as a dense row of all columns, where every column is reached."""
    values = terms.values
    program = values.program
    count, p, q = f.shape[-1], u.shape[1], w.shape[1]
    own = None if coefficients is None else values.shape(coefficients)
    axes = sorted({*_varying(f, own), *_varying(g, own)})
    rows = size(_grid(f, axes, whole))

    def every(m: RowMap, n: int) -> bool:
        return m.listed is None and m.steps[-1] == 1 and m.start == 0 and count == n and not _varying(m, None)

    if isinstance(u, Eye) and isinstance(w, Dense) and every(f, p) and g.listed is None:
        flip = False
    elif isinstance(w, Eye) and isinstance(u, Dense) and every(g, q) and f.listed is None:
        flip = True
    elif isinstance(u, Dense) and isinstance(w, Dense):
        picked = []
        for m, factor in ((f, u), (g, w)):
            batch = _varying(m, None)
            rows_of = _rows_of(terms, factor, m, batch, whole)
            shape = (*(whole[k] if k in batch else 1 for k in axes), count, factor.shape[1])
            picked.append(values.reshape(rows_of, shape))
        grid = _grid(f, axes, whole)
        left, right = picked
        if coefficients is not None:
            spread = _spread(terms, coefficients, axes, whole, count)
            weights = values.reshape(spread, (*grid, count, 1))
            product = values.multiply(left, weights)
            assert product is not None
            left = product
        ndim = len(values.shape(left))
        turned = values.transpose(left, (*range(ndim - 2), ndim - 1, ndim - 2))
        result = program.add(MatMul(), (turned, right), (*grid, p, q))
        return values.reshape(result, (rows, p * q))
    else:
        return None
    dense, m = (u, f) if flip else (w, g)
    batch = _varying(m, None)
    table = values.reshape(
        _rows_of(terms, dense, m, batch, whole),
        (*(whole[k] if k in batch else 1 for k in axes), count, dense.shape[1]),
    )
    if coefficients is not None:
        grid = _grid(f, axes, whole)
        weights = values.reshape(_spread(terms, coefficients, axes, whole, count), (*grid, count, 1))
        table = program.add(Multiply(), (table, weights), (*grid, count, dense.shape[1]))
    if flip:
        ndim = len(values.shape(table))
        table = values.transpose(table, (*range(ndim - 2), ndim - 1, ndim - 2))
    return values.reshape(table, (rows, p * q))
