"""From an expression to terms: what each step makes of the terms of its operand, decided from structure alone."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp

from matjac.conventions import Shape, canonical, size
from matjac.linear.collect import collected
from matjac.linear.contraction import contract
from matjac.linear.expression import Expression, LinearStep
from matjac.linear.factors import Dense, Eye
from matjac.linear.maps import Linear, matrix_of
from matjac.linear.operators import Apply
from matjac.linear.primitives import (
    Add,
    Broadcast,
    Join,
    Mask,
    MatMul,
    Multilinear,
    Multiply,
    Pad,
    Real,
    Reshape,
    Scatter,
    Sddmm,
    Slice,
    SpMM,
    Sum,
    Take,
    Transpose,
)
from matjac.linear.real import real_parts
from matjac.linear.rowmap import counting, listed
from matjac.linear.spread import Spread
from matjac.linear.terms import Term, Terms, seed

#: For each variable, the terms of a differential.
ByVariable: TypeAlias = dict[int, list[Term]]


def terms_of(
    expression: Expression, trail: dict[int, ByVariable] | None = None, leave: int = 0, whole: Iterable[int] = ()
) -> ByVariable:
    """The terms of an expression's result; `trail` gets those of every step.

    Results of at most `leave` entries, and what comes of them, are left out. Those of the variables `whole` are by
    what `spreads` says that they are free entries of.
    """
    terms = Terms(expression.program)
    found: dict[int, ByVariable] = {} if trail is None else trail
    for variable, shape in enumerate(_seen_as(expression)):
        found[variable] = {variable: [seed(shape)]} if size(shape) else {}
    for variable, step in spreads(expression).items():
        if variable in whole:
            found[step.out] = {variable: [seed(expression.shapes[step.out])]}
    for step in expression.steps:
        if step.out in found:
            continue
        operands = [k for k, linear in zip(step.operands, step.linear, strict=True) if linear and k is not None]
        if all(k in found for k in operands) and not (leave and size(expression.shapes[step.out]) <= leave):
            found[step.out] = _reduced(expression, terms, step, found)
    return {} if expression.out is None else found[expression.out]


def spreads(expression: Expression) -> dict[int, LinearStep]:
    """The variables whose whole array alone is used, and the steps that make it."""
    uses: dict[int, list[LinearStep]] = {}
    for step in expression.steps:
        for k, linear in zip(step.operands, step.linear, strict=True):
            if linear and k is not None and k < len(expression.in_shapes):
                uses.setdefault(k, []).append(step)
    alone = {k: steps[0] for k, steps in uses.items() if len(steps) == 1}
    return {k: step for k, step in alone.items() if isinstance(step.primitive, Spread)}


def _seen_as(expression: Expression) -> list[Shape]:
    """The shapes in which the variables' entries are first used: a flat vector may hold a matrix."""
    shapes = list(expression.in_shapes)
    for variable, shape in enumerate(shapes):
        uses = [s.primitive for s in expression.steps if (variable, True) in zip(s.operands, s.linear, strict=True)]
        after = {p.after if isinstance(p, Reshape) else shape for p in uses}
        if len(after) == 1:
            shapes[variable] = after.pop()
    return shapes


def _reduced(expression: Expression, terms: Terms, step: LinearStep, found: dict[int, ByVariable]) -> ByVariable:
    shapes = expression.shapes
    if isinstance(step.primitive, Add):
        return _added(terms, step, found, shapes[step.out])
    if isinstance(step.primitive, Join):
        return _joined(step, found)
    at = step.linear.index(True)
    number = step.operands[at]
    assert number is not None
    if isinstance(step.primitive, Real):
        return {
            variable: collected(terms, [part for term in mine for part in real_parts(terms, term)])
            for variable, mine in found[number].items()
        }
    others = [k for k, linear in zip(step.operands, step.linear, strict=True) if not linear and k is not None]
    if 0 in (size(shapes[number]), size(shapes[step.out])):
        # there is nothing to move, and a sum over nothing is zero
        return {}
    return {
        variable: [_changed(step.primitive, terms, term, shapes[number], shapes[step.out], at, others) for term in mine]
        for variable, mine in found[number].items()
    }


def _changed(
    primitive: Multilinear, terms: Terms, term: Term, shape: Shape, after: Shape, at: int, others: Sequence[int]
) -> Term:
    """What a primitive with one differential among its operands makes of a term."""
    if isinstance(primitive, Reshape):
        return term
    if isinstance(primitive, Transpose):
        return terms.transposed(term, shape, primitive.axes)
    if isinstance(primitive, Broadcast):
        return terms.broadcast(term, shape, after)
    if isinstance(primitive, Slice):
        return terms.sliced(term, shape, primitive.slices)
    if isinstance(primitive, Take):
        return terms.taken(term, shape, primitive)
    if isinstance(primitive, Mask):
        term = terms.aligned(term, shape)
        return replace(term, f=term.f.masked(primitive.mask))
    if isinstance(primitive, Scatter):
        return terms.scattered(term, shape, primitive)
    if isinstance(primitive, Spread):
        number = terms.values.program.constant(primitive.matrix)
        return contract_matrix(terms, term, (size(shape), 1), 1, number)
    if isinstance(primitive, Pad):
        return terms.scattered(term, shape, Scatter(shape, primitive.positions, after))
    if isinstance(primitive, Sum):
        for axis in sorted(primitive.axes, reverse=True):
            term = contract(terms, term, shape, axis)
            shape = (*shape[:axis], *shape[axis + 1 :])
        return term
    if isinstance(primitive, Apply):
        number = terms.values.program.constant(primitive.operator.matrix())
        return contract_matrix(terms, term, (size(shape), 1), 1, number)
    if isinstance(primitive, Linear):
        return _mapped(terms, term, shape, primitive, others)
    (other,) = others
    if isinstance(primitive, Multiply):
        return terms.scaled(term, other, after)
    if isinstance(primitive, MatMul):
        return contract_matrix(terms, term, shape, at, other)
    if isinstance(primitive, SpMM):
        return _spread(terms, term, shape, at, other, primitive)
    assert isinstance(primitive, Sddmm)
    return _sampled(terms, term, shape, at, other, primitive)


def _mapped(terms: Terms, term: Term, shape: Shape, linear: Linear, coefficients: Sequence[int]) -> Term:
    """A linear map of the last axes, which become one axis that is contracted with the map's matrices."""
    stack = linear.stack(shape)
    matrix = matrix_of(terms.values.program, linear, coefficients, len(stack))
    flat = (*stack, size(linear.before))
    return contract(terms, terms.aligned(term, flat), flat, len(stack), matrix, size(linear.after))


def contract_matrix(terms: Terms, term: Term, shape: Shape, at: int, other: int) -> Term:
    """A product with a matrix, or a stack of them, on the left (`at` is 1) or on the right."""
    values = terms.values
    matrix, own = values.program.sparse(other), values.shape(other)
    if matrix is not None:
        matrix, axis = (matrix, len(shape) - 2) if at == 1 else (canonical(matrix.T), len(shape) - 1)
        return contract(terms, term, shape, axis, values.program.constant(matrix), matrix.shape[0])
    (*batch, m, n), ndim = own, len(own)
    if at == 1:
        # A[…, i, k] as coefficients […, i, 1, k]
        return contract(terms, term, shape, len(shape) - 2, values.reshape(other, (*batch, m, 1, n)), m)
    turned = values.transpose(other, (*range(ndim - 2), ndim - 1, ndim - 2))
    return contract(terms, term, shape, len(shape) - 1, values.reshape(turned, (*batch, 1, n, m)), n)


def _sampled(terms: Terms, term: Term, shape: Shape, at: int, other: int, entries: Sddmm) -> Term:
    """Σ_k dA[i, k] B[k, j] at listed (i, j), or the same with dB."""
    values = terms.values
    if at == 0:
        other = values.transpose(other, (1, 0))
    else:
        term, shape = terms.transposed(term, shape, (1, 0)), shape[::-1]
    mine, its = (entries.rows, entries.columns) if at == 0 else (entries.columns, entries.rows)
    count = shape[1]
    # rows of the differential and of the other matrix, listed, so that what is summed is the last axis of both
    picked = Take(shape, mine, count, (mine.size, count))
    if _alone(term, shape):
        # the last axis is in w alone, of the identity: w's rows are the other matrix's
        f, table = term.f.dense()[:, 0][mine], Dense((values.shape(other)[0], count), other)
        made = Term(term.u, listed(f), table, listed(its))
    else:
        rows = values.take(other, its, (its.size, 1, count), block=count)
        made = contract(terms, terms.taken(term, shape, picked), (mine.size, count), 1, rows)
    return terms.aligned(made, entries.after)


def _spread(terms: Terms, term: Term, shape: Shape, at: int, other: int, sparse: SpMM) -> Term:
    """Σ_j S[i, j] B[j, k] by the entries of S (`at` is 0), or by B: the entries' rows, added up by row."""
    values, count = terms.values, sparse.rows.size
    if at == 0:
        width = values.shape(other)[1]
        term = terms.broadcast(terms.aligned(term, (count, 1)), (count, 1), (count, width))
        factors = values.take(other, sparse.columns, (count, width), block=width)
    else:
        width = shape[1]
        term = terms.taken(term, shape, Take(shape, sparse.columns, width, (count, width)))
        factors = values.reshape(other, (count, 1))
    term = terms.scaled(term, factors, (count, width))
    sums = canonical(sp.csr_array((np.ones(count, np.int8), (sparse.rows, np.arange(count))), (sparse.count[0], count)))
    return contract(terms, term, (count, width), 0, values.program.constant(sums), sparse.count[0])


def _alone(term: Term, shape: Shape) -> bool:
    return (
        term.scale is None
        and term.shape == shape
        and not term.f.depends(1)
        and isinstance(term.w, Eye)
        and term.w.shape[0] == shape[1]
        and term.g.same(counting(shape, [1]))
    )


def _joined(step: LinearStep, found: dict[int, ByVariable]) -> ByVariable:
    """The operands' rows one after another."""
    assert isinstance(step.primitive, Join)
    result: ByVariable = {}
    for number, end, shape in zip(step.operands, step.primitive.ends, step.primitive.shapes, strict=True):
        if number is not None:
            for variable, mine in found[number].items():
                moved = [replace(t, offset=t.offset + end - size(shape)) for t in mine]
                result.setdefault(variable, []).extend(moved)
    return result


def _added(terms: Terms, step: LinearStep, found: dict[int, ByVariable], shape: Shape) -> ByVariable:
    assert isinstance(step.primitive, Add)
    result: ByVariable = {}
    minus = terms.values.program.constant(-1)
    for sign, number in zip(step.primitive.signs, step.operands, strict=True):
        assert number is not None
        for variable, mine in found[number].items():
            signed = mine if sign > 0 else [terms.scaled(t, minus, shape) for t in mine]
            result.setdefault(variable, []).extend(signed)
    return {variable: collected(terms, mine) for variable, mine in result.items()}
