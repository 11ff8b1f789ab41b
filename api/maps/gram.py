"""Diagonal blocks of JᵀWJ where each row reaches one block: ``Σ c w wᵀ`` over a block's rows, without J.

Blocks that are alike have nearly one basis of eigenvectors, in which their diagonals say what the blocks would.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import scipy.sparse as sp

from matjac import kernels
from matjac.conventions import Array, cumulative
from matjac.linear.factors import Dense, Eye, Factor
from matjac.linear.terms import Term
from matjac.maps.point import Point
from matjac.threads import split

#: Rows that are gathered at a time: with 50 columns they fit a first-level cache.
WIDTH = 64


@dataclass(frozen=True, eq=False)
class Group:
    """Rows of one factor, or of a sum of two, by the block they belong to.

    `order` has their numbers among the term's, `others` which rows of the factor they are.
    """

    parts: tuple[tuple[Term, Array], ...]
    order: Array
    pointers: Array


def gram_blocks(
    point: Point, shapes: Sequence[tuple[int, int]], weights: Array | None, results: Sequence[Array]
) -> list[int]:
    """Fill the blocks of the variables whose terms are ``e_f ⊗ w_g`` with dense or identity w; the other variables.

    A variable's terms may meet in the same rows, two at a time.
    """
    if point.dtype.kind == "c":
        return list(range(len(shapes)))
    left = []
    for variable, (shape, result) in enumerate(zip(shapes, results, strict=True)):
        groups = point.plan.derived(("gram", variable, shape), _groups, point.plan.terms.get(variable, []), shape)
        if groups is None:
            left.append(variable)
            continue
        for group in groups:
            _add(point, group, weights, result)
    return left


def separates(point: Point, variable: int, shape: tuple[int, int]) -> bool:
    """Whether, by the terms, no row reaches two of the variable's blocks: JᵀJ has no others than those."""
    if point.plan.operator is not None:
        return False
    owner = np.full(point.shape[0], -1)
    for term in point.plan.terms.get(variable, []):
        if not isinstance(term.u, Eye) or (term.u.shape[1], term.w.shape[1]) != shape:
            return False
        f, mine = term.f.dense().reshape(-1), owner[term.offset : term.offset + term.count]
        if np.any((mine >= 0) & (f >= 0) & (mine != f)):
            return False
        np.maximum(mine, f, out=mine)
    return True


def alone(array: Array) -> Array:
    """The sum over ranks of an array that each has, where there is one rank."""
    return array


def shared_basis(
    point: Point,
    variable: int,
    shape: tuple[int, int],
    weights: Array | None = None,
    added: Callable[[Array], Array] = alone,
) -> tuple[Array, Array] | None:
    """The eigenvectors of the sum of a variable's blocks, in columns, and in a row for each block ``qᵀ B q``.

    None where rows are not ``e_f ⊗ w_g``. What `added` makes of an array is its sum over ranks.
    """
    groups = point.plan.derived(("gram", variable, shape), _groups, point.plan.terms.get(variable, []), shape)
    if point.dtype.kind == "c" or groups is None:
        return None
    made = [_factored(point, group, weights) for group in groups]
    total = np.zeros((shape[1], shape[1]))
    for others, c, w in made:
        counts = np.bincount(others, c, shape[1] if w is None else len(w))
        total += np.diag(counts) if w is None else (w.T * counts) @ w
    _, basis = np.linalg.eigh(added(total))
    result = np.zeros(shape)
    for group, (others, c, w) in zip(groups, made, strict=True):
        if w is None and (ridge := _multiples(c, others, shape)) is not None:
            result += ridge
            continue
        squares = (basis if w is None else w @ basis) ** 2
        result += sp.csr_array((c, others, group.pointers), shape=(shape[0], len(squares))) @ squares
    return basis, added(result)


def _factored(point: Point, group: Group, weights: Array | None) -> tuple[Array, Array, Array | None]:
    """A group's rows as rows of one matrix: which they are, what their squares are multiplied with, and the matrix.

    The matrix is None where it is the identity.
    """
    term, others = group.parts[0]
    c = np.ones(group.order.size) if weights is None else weights[term.offset + group.order]
    if len(group.parts) == 2:
        dtype = np.dtype(float)
        first, second = (_rows(point, t, its, group.order + (term.offset - t.offset), dtype) for t, its in group.parts)
        return np.arange(group.order.size), c, first + second
    scale = _scale(point, term)
    if scale is not None:
        c = c * scale[group.order] ** 2
    return others, c, None if isinstance(term.w, Eye) else _matrix(point, term.w, np.dtype(float))


def _multiples(c: Array, others: Array, shape: tuple[int, int]) -> Array | None:
    """A number for each block where it is a multiple of the identity, in which nothing changes with the basis."""
    if c.size != shape[0] * shape[1] or not np.array_equal(others, np.tile(np.arange(shape[1]), shape[0])):
        return None
    numbers = c.reshape(shape)[:, :1]
    return numbers if np.array_equal(np.broadcast_to(numbers, shape).reshape(-1), c) else None


def _groups(terms: Sequence[Term], shape: tuple[int, int]) -> list[Group] | None:
    """A variable's rows by their blocks, or None where its terms are others."""
    for term in terms:
        if not isinstance(term.u, Eye) or not isinstance(term.w, Eye | Dense):
            return None
        if (term.u.shape[1], term.w.shape[1]) != shape:
            return None
    maps = [(term.f.dense().reshape(-1), term.g.dense().reshape(-1)) for term in terms]
    alone = [f >= 0 for f, _ in maps]
    groups, met = [], set()
    for i, j in combinations(range(len(terms)), 2):
        a, b = terms[i], terms[j]
        first, last = max(a.offset, b.offset), min(a.offset + a.count, b.offset + b.count)
        if first >= last:
            continue
        if i in met or j in met:
            return None
        met |= {i, j}
        mine, its = slice(first - a.offset, last - a.offset), slice(first - b.offset, last - b.offset)
        # where both reach one block, their sum is the row
        both = alone[i][mine] & (maps[i][0][mine] == maps[j][0][its])
        alone[i][mine] &= ~both
        alone[j][its] &= ~both
        rows = first + np.flatnonzero(both)
        if rows.size:
            order, pointers = _sorted(maps[i][0], rows - a.offset, shape[0])
            parts = (a, maps[i][1][order]), (b, maps[j][1][order + (a.offset - b.offset)])
            groups.append(Group(parts, order, pointers))
    for term, (f, g), kept in zip(terms, maps, alone, strict=True):
        order, pointers = _sorted(f, np.flatnonzero(kept), shape[0])
        groups.append(Group(((term, np.ascontiguousarray(g[order])),), order, pointers))
    return groups


def _sorted(f: Array, rows: Array, count: int) -> tuple[Array, Array]:
    """Those rows by their blocks, and where each block's begin."""
    order = rows[np.argsort(f[rows], kind="stable")]
    return order, cumulative(np.bincount(f[rows], minlength=count))


def _add(point: Point, group: Group, weights: Array | None, out: Array) -> None:
    """Add a group's part to the blocks."""
    term = group.parts[0][0]
    w: Array | None = None if weights is None else weights[term.offset : term.offset + term.count]
    if len(group.parts) == 2:
        first, second = (
            _rows(point, t, its, group.order + (term.offset - t.offset), out.dtype) for t, its in group.parts
        )
        numbers = np.arange(group.order.size)
        kept = np.empty(0, out.dtype) if w is None else w[group.order].astype(out.dtype)
        _kernel(first + second, group.pointers, numbers, numbers, kept, out)
        return
    scale = _scale(point, term)
    c = w if scale is None else (scale**2 if w is None else scale**2 * w)
    others = group.parts[0][1]
    if isinstance(term.w, Eye):
        f = np.repeat(np.arange(out.shape[0]), np.diff(group.pointers))
        sums = np.bincount(f * out.shape[1] + others, None if c is None else c[group.order], out[..., 0].size)
        diagonal = np.einsum("bii->bi", out)
        diagonal += sums.reshape(diagonal.shape)
        return
    kept = np.empty(0, out.dtype) if c is None else np.ascontiguousarray(c, out.dtype)
    _kernel(_matrix(point, term.w, out.dtype), group.pointers, others, group.order, kept, out)


def _scale(point: Point, term: Term) -> Array | None:
    """A number for each row, or None for ones."""
    if term.scale is None:
        return None
    point.ready_terms()
    return np.broadcast_to(np.asarray(point.values[term.scale]), term.shape).reshape(-1)


def _matrix(point: Point, factor: Factor, dtype: np.dtype[Any]) -> Array:
    return np.ascontiguousarray(point.matrix(factor), dtype)


def _rows(point: Point, term: Term, others: Array, rows: Array, dtype: np.dtype[Any]) -> Array:
    """The rows ``s_r w[g(r)]``."""
    if isinstance(term.w, Eye):
        taken = np.zeros((others.size, term.w.shape[1]), dtype)
        taken[np.arange(others.size), others] = 1
    else:
        taken = _matrix(point, term.w, dtype)[others]
    scale = _scale(point, term)
    return taken if scale is None else taken * scale[rows, None].astype(dtype)


def _kernel(w: Array, pointers: Array, others: Array, order: Array, c: Array, out: Array) -> None:
    q = out.shape[1]

    def task(start: int, stop: int) -> None:
        room = np.empty(WIDTH, out.dtype), np.empty((q, WIDTH), out.dtype)
        kernels.gram_blocks(w, pointers, others, order, c, *room, out, start, stop)

    # a row costs as much as writing some q² / 4 entries, from q = 10 to 50
    split(task, 0, out.shape[0], order.size * q * q // 4)
