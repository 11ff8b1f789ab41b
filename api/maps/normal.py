"""Normal matrices JᴴWJ: in closed form where terms allow, else one product after the other; and their diagonals."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp

from matjac import kernels, memory
from matjac.conventions import NONE, Array, Order, Shape, as_matrix, size
from matjac.entries.assembler import PLAIN, passes
from matjac.entries.plan import FEW, Plan
from matjac.linear.expression import Expression
from matjac.linear.factors import Sparse, plan
from matjac.linear.primitives import Transpose
from matjac.linear.terms import Term
from matjac.linear.transposes import pairs_of
from matjac.maps.compose import Combination, Whole, applied
from matjac.maps.gram import gram_blocks
from matjac.maps.point import Point


def normal(point: Point, weights: Array | None = None) -> Point:
    """``Jᴴ W J``."""
    closed = None if weights is not None else _of_factors(point)
    if closed is not None:
        return closed
    dtype = point.dtype if weights is None else np.result_type(point.dtype, weights)
    return applied(point.plan.expression.in_shapes, point.shape[1], dtype, Normal(point, weights))


@dataclass(frozen=True, eq=False)
class Normal:
    """``Jᴴ W J`` as an operator: one product after the other."""

    point: Point
    weights: Array | None

    def product(self, x: Array) -> Array:
        """``Jᴴ W J x``."""
        y = self.point.apply(x)
        return self.point.conj().apply_transposed(y if self.weights is None else y * self.weights)

    def transposed(self, y: Array) -> Array:
        """The same of its transpose, which for real W is its conjugate."""
        return self.product(y.conj()).conj()

    def matrix(self) -> Any:
        """The entries, on a pattern that is found once for a plan."""
        point = self.point
        matrix = point.csr("numerator")
        data = matrix.data
        # J by columns, and the rows of its entries, twice
        memory.require(f"{data.size:,} entries by columns", (32 + 3 * data.itemsize) * data.size)

        def find() -> Any:
            # J's values in the order of its columns, and the product's pattern
            pattern = point.entries("numerator").pattern
            places = pattern.matrix(np.arange(data.size)).T.tocsr()
            places.sort_indices()
            return places.data, pattern.rows[places.data], plan(places, matrix)

        order, rows, product = point.plan.derived("normal", find)
        turned = data.conj()[order] if self.weights is None else data.conj()[order] * self.weights[rows]
        indptr, indices = product.result
        # they are copied when a matrix is made of them
        memory.require(f"{indices.size:,} entries", 2 * turned.itemsize * indices.size)
        result = sp.csr_array((product.value(turned, data), indices, indptr), shape=(point.shape[1],) * 2)
        result.has_canonical_format = True
        return result


def _by_rows(point: Point) -> bool:
    """Whether the entries are not made of terms: rows of a function with few values, or a stored matrix."""
    return point.shape[0] <= FEW or point.plan.operator is not None


def _whole(point: Point) -> list[tuple[int, Term, bool]] | None:
    """The terms with their variables, where each is all of ``U·dX·Wᵀ`` or its transpose, in each band of one size."""
    if _by_rows(point):
        return None
    found, bands = [], set()
    for variable, terms in point.plan.terms.items():
        for term in terms:
            grid = None if term.scale is not None else pairs_of(term)
            if grid is None or any(isinstance(m, Sparse) for m in (term.u, term.w)):
                return None
            bands.add((term.offset, term.offset + term.count, grid[:2]))
            found.append((variable, term, grid[2]))
    alone = all(a[1] <= b[0] for a, b in pairwise(sorted(bands)))
    return found if bands and alone else None


def _of_factors(point: Point) -> Point | None:
    """Sums of products of small matrices: ``(U ⊗ W)ᴴ(U' ⊗ W') = UᴴU' ⊗ WᴴW'``."""
    found = _whole(point)
    if found is None:
        return None
    shapes = point.plan.expression.in_shapes
    made, matrix = Combination(shapes), point.matrix
    parts: list[list[int | None]] = [[] for _ in shapes]
    for a, s, s_swap in found:
        u, w = matrix(s.u), matrix(s.w)
        for b, t, t_swap in found:
            if s.offset != t.offset:
                continue
            x = made.reshape(b, (t.u.shape[1], t.w.shape[1]))
            u2, w2 = matrix(t.u), matrix(t.w)
            if s_swap == t_swap:
                y = made.two_sided(_product(u, u2), x, _product(w2, w, conj=False))
            else:
                # one reads (j, i) where the other reads (i, j)
                y = made.two_sided(_product(u, w2), made.transpose(x), _product(u2, w, conj=False))
            parts[a].append(made.reshape(y, (size(shapes[a]),)))
    out = made.join([made.add(part) for part in parts], [size(shape) for shape in shapes])
    return made.finish(out, point.shape[1], point.dtype)


def transposed(point: Point, shapes: Sequence[Shape]) -> Point:
    """The transposed map, of variables of the function's output shapes: of small matrices again where it can be."""
    found = _whole(point)
    if found is None or any(term.count < point.shape[0] for _, term, _ in found):
        return applied(shapes, point.shape[1], point.dtype, Whole(point, "denominator"))
    made, matrix = Combination(shapes), point.matrix
    sizes = [size(shape) for shape in point.plan.expression.in_shapes]
    parts: list[list[int | None]] = [[] for _ in sizes]
    flat = made.flat(range(len(shapes)))
    assert flat is not None
    for variable, term, swap in found:
        u, w = term.u, term.w
        y = made.reshape(flat, (w.shape[0], u.shape[0]) if swap else (u.shape[0], w.shape[0]))
        left = matrix(u)
        x = made.two_sided(None if left is None else left.T, made.transpose(y) if swap else y, matrix(w))
        parts[variable].append(made.reshape(x, (sizes[variable],)))
    out = made.join([made.add(part) for part in parts], sizes)
    return made.finish(out, point.shape[1], point.dtype)


def _product(a: Any, b: Any, conj: bool = True) -> Any:
    """``aᴴ b``, or ``aᵀ conj(b)``; None is the identity."""
    if a is None:
        return b if conj or b is None else b.conj()
    if b is not None:
        _require(a, b)
    a = a.conj() if conj else a
    return a.T if b is None else a.T @ (b if conj else b.conj())


def _require(a: Any, b: Any) -> None:
    """Refuse ``aᵀ b`` where it would not fit in memory."""
    entries = a.shape[1] * b.shape[1]
    memory.require(f"a product of {entries:,} entries", entries * np.result_type(a.dtype, b.dtype).itemsize)


# diagonals -------------------------------------------------------------------------------------------


def column_squares(point: Point) -> Array:
    """The squared norm of each column, without J where its terms do not overlap in ways without a closed form."""
    if _by_rows(point):
        return _streamed_squares(point)
    total = np.zeros(point.shape[1], np.zeros(0, point.dtype).real.dtype)
    ends = np.cumsum([0, *map(size, point.plan.expression.in_shapes)])
    for variable, terms in point.plan.terms.items():
        squares = _squares(point, terms)
        if squares is None:
            return _streamed_squares(point)
        total[ends[variable] : ends[variable + 1]] = squares
    return total


def _squares(point: Point, terms: Sequence[Term]) -> Array | None:
    matrix = point.matrix
    bands = [(t.offset, t.offset + t.count) for t in terms]
    disjoint = all(a[1] <= b[0] for a, b in pairwise(sorted(bands)))
    total: Array | None = None
    point.ready_terms()
    for term in terms:
        u, w = (None if m is None else _abs2(m) for m in (matrix(term.u), matrix(term.w)))
        if term.scale is None and pairs_of(term) is not None:
            # all pairs of a row of u and a row of w, once each
            over_u, over_w = (
                np.ones(factor.shape[1]) if m is None else np.asarray(m.sum(axis=0))
                for m, factor in ((u, term.u), (w, term.w))
            )
            squares = np.outer(over_u, over_w).reshape(-1)
            total = squares if total is None else total + squares
            continue
        weights = 1.0 if term.scale is None else np.abs(np.asarray(point.values[term.scale])) ** 2
        f, g = (m.dense().reshape(-1) for m in (term.f, term.g))
        weight = np.broadcast_to(weights, term.shape).reshape(-1)
        kept = f >= 0
        counts: Any = sp.coo_array((weight[kept], (f[kept], g[kept])), shape=(term.u.shape[0], term.w.shape[0])).tocsr()
        counts = counts if u is None else u.T @ counts
        counts = counts if w is None else counts @ w
        squares = counts.toarray() if sp.issparse(counts) else np.asarray(counts)
        total = squares.reshape(-1) if total is None else total + squares.reshape(-1)
    if disjoint or total is None:
        return total
    cross = _crossed(point, terms)
    return None if cross is None else total + cross


def _crossed(point: Point, terms: Sequence[Term]) -> Array | None:
    """What two terms with the same entries add to the squares, where one is all of U·dX·Wᵀ, the other transposed."""
    found = _whole(point)
    if found is None or len(terms) != 2:
        return None
    swaps = [swap for _, t, swap in found if any(t is term for term in terms)]
    if len(set(swaps)) != 2:
        return None
    a, b = terms
    matrix = point.matrix
    # Σ_ij u1[j,k] w1[i,l] · u2[i,k] w2[j,l] splits into a sum over i and one over j
    over_i = _dense(_product(matrix(b.u), matrix(a.w), conj=False), b.u.shape[1])
    over_j = _dense(_product(matrix(a.u), matrix(b.w)), a.u.shape[1])
    return 2 * (over_i * over_j).real.reshape(-1)


def _dense(matrix: Any, size: int) -> Array:
    return np.eye(size) if matrix is None else np.asarray(matrix)


def _abs2(matrix: Any) -> Any:
    if sp.issparse(matrix):
        return sp.csr_array((np.abs(matrix.data) ** 2, matrix.indices, matrix.indptr), shape=matrix.shape)
    return np.abs(matrix) ** 2


def _streamed_squares(point: Point) -> Array:
    total = np.zeros(point.shape[1])
    for *_, columns, values in _passes(point):
        kernels.add_entries(columns, np.abs(values).astype(float) ** 2, total, 0, columns.size)
    return total.astype(np.zeros(0, point.dtype).real.dtype)


def row_squares(point: Point) -> Array:
    """The squared norm of each row."""
    total = np.zeros(point.shape[0])
    for start, stop, pointers, _, values in _passes(point):
        rows = np.repeat(np.arange(stop - start), np.diff(pointers))
        total[start:stop] = np.bincount(rows, np.abs(values) ** 2, stop - start)
    return total.astype(np.zeros(0, point.dtype).real.dtype)


def _passes(point: Point) -> Iterator[tuple[int, int, Array, Array, Array]]:
    """Rows in bounded memory: their range, their row pointers, and the columns and values of their entries."""
    fill = point.fill("numerator")
    for start, stop, pointers, columns in passes(point.entries("numerator").assembler):
        values = np.empty(columns.size, point.dtype)
        fill(values, start, stop, PLAIN)
        yield start, stop, pointers, columns, values


# diagonal blocks -------------------------------------------------------------------------------------


def block_axis(shape: Shape, axis: int | None) -> tuple[int, tuple[int, int]]:
    """The axis along which that variable's blocks go, the shorter unless given; and how many of which size."""
    p, q = as_matrix(shape)
    along = (1 if q <= p else 0) if axis is None else axis
    return along, ((p, q) if along == 1 else (q, p))


def along_blocks(
    point: Point, given: Sequence[Shape], axis: int | None, order: Order
) -> tuple[Point, list[tuple[int, int]]]:
    """The map with variables of those shapes counted along their blocks, and how many there are, of which size."""
    shapes, turned = [], []
    for shape in given:
        if len(shape) > 2:
            raise ValueError(f"normal_blocks: got a variable of shape {shape}, expected at most two dimensions")
        along, blocked = block_axis(shape, axis)
        # blocks are consecutive where the variable is counted along them
        turned.append((along == 0) == (order == "C") and min(blocked) > 1)
        shapes.append(blocked)
    return with_axes_exchanged(point, turned), shapes


def with_axes_exchanged(point: Point, flags: Sequence[bool]) -> Point:
    """The map where those variables, matrices, are counted along their other axis."""
    if not any(flags):
        return point
    expression = point.plan.expression

    def make() -> Plan:
        shapes = [as_matrix(s)[::-1] if flag else s for s, flag in zip(expression.in_shapes, flags, strict=True)]
        again = Expression(expression.program, shapes)
        variables = [
            again.add(Transpose(shape, (1, 0)), (k,), (True,), shape[::-1]) if flag else k
            for k, (shape, flag) in enumerate(zip(shapes, flags, strict=True))
        ]
        out = expression.replay(again, variables, lambda k: k)
        return Plan(again.finish(out, expression.out_shape), point.plan.known | expression.coefficients, False)

    return Point(point.plan.derived(("turned", tuple(flags)), make), point.start(), point.dtype, point.conjugate)


def normal_blocks(point: Point, shapes: list[tuple[int, int]], weights: Array | None) -> list[Array]:
    """For each variable, counted as a matrix (p, q) row by row, the p diagonal blocks of q × q."""
    dtype = point.dtype if weights is None else np.result_type(point.dtype, weights)
    entries = sum(p * q * q for p, q in shapes)
    memory.require(f"blocks of {entries:,} entries", 2 * entries * dtype.itemsize)
    results = [np.zeros((p, q, q), dtype) for p, q in shapes]
    found = None if weights is not None else _whole(point)
    if found is not None and all((t.u.shape[1], t.w.shape[1]) == shapes[k] for k, t, _ in found):
        for variable, s, s_swap in found:
            for other, t, t_swap in found:
                if other == variable and s.offset == t.offset:
                    results[variable] += _block_of_factors(point, s, t, s_swap == t_swap)
        return results
    left = list(range(len(shapes))) if _by_rows(point) else gram_blocks(point, shapes, weights, results)
    if left:
        _add_rows(point, weights, shapes, {k: results[k] for k in left})
    return results


def _block_of_factors(point: Point, s: Term, t: Term, alike: bool) -> Array:
    matrix = point.matrix
    u, w, u2, w2 = (matrix(m) for m in (s.u, s.w, t.u, t.w))
    if alike:
        # Σ_ij conj(u_s[i,k] w_s[j,a]) u_t[i,k] w_t[j,b] splits into a sum over i and one over j
        return _column_products(u, u2, s.u.shape[1])[:, None, None] * _dense(_product(w, w2), s.w.shape[1])
    # t reads (j, i) where s reads (i, j)
    over_j, over_i = _product(u2, w, conj=False), _product(u, w2)
    # of two identities the products are the identity too
    p, q = s.u.shape[1], s.w.shape[1]
    left, right = (np.eye(p, q) if m is None else np.asarray(m) for m in (over_j, over_i))
    return left[:, :, None] * right[:, None, :]


def _column_products(u: Any, u2: Any, count: int) -> Array:
    """``Σ_i conj(u[i,k]) u2[i,k]`` for each k; None is the identity."""
    if u is None or u2 is None:
        other = u2 if u is None else u.conj()
        return np.ones(count) if other is None else np.diagonal(other)
    return np.einsum("ik,ik->k", u.conj(), u2)  # type: ignore[no-any-return]


def _add_rows(point: Point, weights: Array | None, shapes: list[tuple[int, int]], results: dict[int, Array]) -> None:
    """Add the outer products of the rows of J, which are made a few at a time, to the blocks of those variables."""
    ends = np.cumsum([0, *[p * q for p, q in shapes]])
    kept = NONE.astype(float) if weights is None else weights
    for start, stop, indptr, indices, data in _passes(point):
        for variable, result in results.items():
            left, right = ends[variable], ends[variable + 1]
            columns, values, pointers = indices, data, indptr
            if len(shapes) > 1:
                mine = (indices >= left) & (indices < right)
                columns, values = indices[mine] - left, data[mine]
                pointers = np.concatenate([[0], np.cumsum(mine)])[indptr]
            q = shapes[variable][1]
            kernels.add_row_blocks(values, values.conj(), columns, pointers, kept, q, result, start, stop)
