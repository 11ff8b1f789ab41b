"""What a Jacobian says of itself, in a line or as a table for notebooks, without making any of its entries."""

from html import escape
from typing import TYPE_CHECKING

from matjac.conventions import LAYOUTS
from matjac.entries.assembler import Assembler
from matjac.entries.blocks import BlockAssembler, TransposedAssembler
from matjac.entries.kron import CaseSplitAssembler, KronAssembler
from matjac.entries.listed import ListedAssembler
from matjac.linear.expression import Expression
from matjac.linear.primitives import Add, Broadcast, MatMul, Multiply, Reshape, Slice, Take, Transpose

if TYPE_CHECKING:
    from matjac.jacobian.matrix import Matrix

#: Places of a matrix in which entries are counted one by one, and up to which terms are made, unasked.
COUNTED, PLANNED = 10**8, 10**6
#: Terms that a table shows.
SHOWN = 3
SIMPLE = Add, Broadcast, MatMul, Multiply, Reshape, Slice, Take, Transpose


def line(matrix: "Matrix") -> str:
    """What `repr` gives."""
    kind = "symmetric" if matrix.symmetric else f"{matrix.layout} layout"
    shape = f"{matrix.shape[0]} × {matrix.shape[1]}"
    nnz = known_nnz(matrix)
    entries = (
        "entries not counted yet"
        if nnz is None
        else f"{nnz} entries, {matrix._bytes(matrix.shape[0], nnz)} bytes as CSR"
    )
    return (
        f"<{type(matrix).__name__} {shape} of {matrix.dtype}: {matrix.out_shape} by {matrix.in_shape}, "
        f'order "{matrix.order}", {kind}, {entries}>'
    )


def table(matrix: "Matrix") -> str:
    """What a notebook shows: HTML."""
    rows, columns = matrix.shape
    nnz, full = known_nnz(matrix), rows * columns
    kind = "symmetric" if matrix.symmetric else f"{matrix.layout} layout"
    cells = [
        ("shape", f"{rows:,} × {columns:,}, {matrix.dtype}"),
        ("function", f"values {matrix.out_shape}, variables {matrix.in_shape}"),
        ("order", f"{matrix.order}, {kind}"),
    ]
    if nnz is None:
        cells.append(("entries", "not counted yet: J.nnz"))
    else:
        share = f" ({100 * nnz / full:.3g} %)" if full else ""
        cells += [
            ("entries", f"{nnz:,}{share}"),
            ("as CSR", f"{_bytes(matrix._bytes(rows, nnz))}, when it is asked for"),
        ]
    cells.append(("made of", _made_of(matrix, nnz is not None)))
    body = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in cells)
    return f"<table><caption>{type(matrix).__name__}</caption>{body}</table>"


def known_nnz(matrix: "Matrix") -> int | None:
    """The number of entries, where it was found before, or costs little."""
    try:
        return _known(matrix)
    except MemoryError:
        # of what it takes to count them
        return None


def _known(matrix: "Matrix") -> int | None:
    plan, (rows, columns) = matrix.plan, matrix.shape
    # both layouts have as many, a triangle has not
    layouts = LAYOUTS if matrix.layout in LAYOUTS else (matrix.layout,)
    counts = [_count(plan.entries(at).assembler, rows * columns) for at in layouts if plan.was_planned(at)]
    if counts or plan.operator is not None or (rows * columns > PLANNED and not _is_simple(plan.expression)):
        return next((count for count in counts if count is not None), None)
    return _count(matrix._assembler, rows * columns)


def _is_simple(expression: Expression) -> bool:
    """Whether its terms are found at once: sums over rows that are scaled may be products of large sparse matrices."""
    scaled = False
    for step in expression.steps:
        if not isinstance(step.primitive, SIMPLE) or (scaled and isinstance(step.primitive, MatMul)):
            return False
        scaled = scaled or isinstance(step.primitive, Multiply)
    return True


def _count(assembler: Assembler, places: int) -> int | None:
    if isinstance(assembler, TransposedAssembler):
        return _count(assembler.base, places)
    if isinstance(assembler, BlockAssembler):
        parts = [_count(block, places) for band in assembler.bands for block, _ in band]
        return None if None in parts else sum(part for part in parts if part is not None)
    at_once = isinstance(assembler, KronAssembler | CaseSplitAssembler | ListedAssembler)
    return assembler.nnz if at_once or "nnz" in vars(assembler) or places <= COUNTED else None


def _made_of(matrix: "Matrix", planned: bool) -> str:
    """The terms, or what there is instead."""
    plan = matrix.plan
    if plan.operator is not None:
        return (
            "products with other Jacobians; its entries are a stored product of matrices, made when they are asked for"
        )
    steps = f"{len(plan.expression.steps)} linear steps, run by products"
    if not planned:
        return steps
    terms = [term.describe() for mine in plan.terms.values() for term in mine]
    if not terms:
        return "nothing: it is zero"
    more = f"; and {len(terms) - SHOWN} more" if len(terms) > SHOWN else ""
    return f"{steps}; {len(terms)} term{'s' * (len(terms) != 1)}: {'; '.join(terms[:SHOWN])}{more}"


def _bytes(count: int) -> str:
    """A number of bytes in a unit of which there are few."""
    value, units = float(count), ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{value:.3g} {units[0]}" if units[0] != "bytes" else f"{count} bytes"
