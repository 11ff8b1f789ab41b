"""Plans: what is decided once for a function's Jacobian, from structure alone: terms, assemblers, pattern."""

import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from matjac import memory
from matjac.conventions import Layout, cached_property, index_dtype, size
from matjac.entries.assembler import Assembler
from matjac.entries.blocks import Band, BlockAssembler, TransposedAssembler
from matjac.entries.kron import CaseSplitAssembler, KronAssembler, is_case_split
from matjac.entries.listed import StoredAssembler, SweepAssembler
from matjac.entries.merge import DenseSumAssembler, MergeAssembler, is_dense_sum
from matjac.entries.pattern import Pattern, pattern_of
from matjac.entries.pick import picked
from matjac.entries.triangle import SymmetricAssembler, lower
from matjac.linear.adjoint import adjoint
from matjac.linear.contraction import merged
from matjac.linear.expression import Expression
from matjac.linear.operators import Operator
from matjac.linear.program import Program, Step, contents
from matjac.linear.reduce import ByVariable, spreads, terms_of
from matjac.linear.terms import Term, Terms
from matjac.linear.transposes import transposed

#: A layout, or a triangle of a symmetric matrix.
Part: TypeAlias = Layout | Literal["lower", "upper"]
#: Blocks by rows, None where there is nothing, and the heights and widths of them.
Grid: TypeAlias = tuple[Sequence[Sequence[Assembler | None]], Sequence[int], Sequence[int]]
#: Values of a function up to which its Jacobian's rows are made by adjoint sweeps, where terms would take more numbers.
FEW = 4


class Cells(NamedTuple):
    """Terms by bands of rows and by variables.

    Those of the variables in `matrices` are by a whole array, whose entries that matrix makes of the variable's.
    """

    terms: Terms
    rows: list[list[list[Term]]]
    heights: list[int]
    matrices: dict[int, Any]


class Plan:
    """An expression, the steps that make its coefficients from what is `known`, and its entries in either layout.

    `keep` says whether patterns stay with the plan, or only as long as a matrix uses them; `symmetric` that the matrix
    is, so that half of it decides.
    """

    def __init__(
        self, expression: Expression, known: Iterable[int], keep: bool = True, symmetric: bool = False
    ) -> None:
        self.expression, self.known, self.keep, self.symmetric = expression, frozenset(known), keep, symmetric
        self._backward: Expression | None = None
        self._schedule(expression.coefficients)
        self.shape = size(expression.out_shape), sum(map(size, expression.in_shapes))
        #: what the map is as a whole, where its matrix is at hand
        self.operator: Operator | None = None
        self._derived: dict[Any, Any] = {}
        self.lock = expression.program.lock

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_derived": {}, "lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, lock=state["expression"].program.lock)

    def _schedule(self, wanted: set[int]) -> None:
        """Decide which steps make the coefficients, and after which of them the other values are let go."""
        program = self.expression.program
        steps = program.steps(wanted, self.known)
        self.schedule = steps, spent(steps, {*self.known, *wanted, *program.constants})

    @property
    def backward(self) -> Expression:
        """The adjoint of the expression, made when it is first asked for; later points keep what it needs."""
        if self._backward is None:
            with self.lock:
                if self._backward is None:
                    made, forward = adjoint(self.expression), self.expression.coefficients
                    #: what it needs at a point that was begun before
                    self.backward_steps = made.program.steps(made.coefficients, self.known | forward)
                    self._schedule(forward | made.coefficients)
                    self._backward = made
        return self._backward

    def same(self, other: "Plan") -> bool:
        """Whether the other decides alike, so that its numbers can be used here."""
        mine, its = self.expression.program, other.expression.program
        steps = [plan.expression.program.steps(plan.expression.coefficients, plan.known) for plan in (self, other)]
        numbers = self.known | {step.out for step in steps[0]}
        keys = ([step.key for step in made] for made in steps)
        alike = self.known == other.known and self.expression.same(other.expression) and next(keys) == next(keys)
        return alike and all(
            contents(mine.patterns.get(k)) == contents(its.patterns.get(k))
            and contents(_places(mine.sparse(k))) == contents(_places(its.sparse(k)))
            for k in numbers
        )

    def entries(self, layout: Part) -> "Entries":
        """How to make the entries of the matrix in that layout, or of a triangle of it."""
        return self.derived(layout, Entries, self, layout)  # type: ignore[no-any-return]

    def was_planned(self, layout: Part) -> bool:
        """Whether `entries` was asked for before."""
        return layout in self._derived

    @property
    def terms(self) -> ByVariable:
        """The terms for each variable."""
        return self.derived("terms", lambda: {} if 0 in self.shape else terms_of(self.expression))  # type: ignore[no-any-return]

    @property
    def steps_of_terms(self) -> tuple[Step, ...]:
        """The steps that compute what the terms are made of."""

        def find() -> tuple[Step, ...]:
            every = [term for mine in self.terms.values() for term in mine]
            known = self.known | self.expression.coefficients
            return self.expression.program.steps(_numbers(every), known)

        return self.derived("steps of terms", find)  # type: ignore[no-any-return]

    @property
    def terms_by_whole(self) -> tuple[ByVariable, dict[int, Any]]:
        """The terms, of variables that are free entries of an array by that, and the matrices that make it of them."""
        steps = spreads(self.expression)
        if not steps:
            return self.terms, {}
        matrices = {k: step.primitive.matrix for k, step in steps.items()}  # type: ignore[attr-defined]
        return self.derived("by whole", lambda: terms_of(self.expression, whole=steps)), matrices

    @property
    def cells(self) -> "Cells":
        """The terms as blocks of entries are filled from them."""

        def make() -> Cells:
            terms = Terms(self.expression.program)
            rows, variables = self.shape[0], len(self.expression.in_shapes)
            found, matrices = self.terms_by_whole
            cells, heights = _cells(terms, found, rows, variables)
            if all(
                row[k] == [] or picked(row[k], matrix) is not None for row in cells for k, matrix in matrices.items()
            ):
                return Cells(terms, cells, heights, matrices)
            return Cells(terms, *_cells(terms, self.terms, rows, variables), {})

        return self.derived("cells", make)  # type: ignore[no-any-return]

    def derived(self, key: Any, make: Callable[..., Any], *given: Any) -> Any:
        """What is made of what is given, once, when it is first asked for, by its name."""
        if key not in self._derived:
            with self.lock:
                if key not in self._derived:
                    self._derived[key] = make(*given)
        return self._derived[key]


def _places(matrix: Any) -> Any:
    return None if matrix is None else (matrix.indptr, matrix.indices)


class Entries:
    """The assembler of a plan's matrix in one layout, the steps that make its numbers, and the pattern."""

    def __init__(self, plan: Plan, layout: Part) -> None:
        self.keep = plan.keep
        rows, columns = plan.shape
        self.shape = (rows, columns) if layout == "numerator" else (columns, rows)
        #: the values that fills need, and which of them are scales of rows
        self.wanted: set[int] = set()
        self.scales: set[int] = set()
        #: entries that there are at least, of sums whose rows have to be merged to count all, which may take minutes
        self.at_least = 0
        if plan.symmetric:
            self.assembler = self._symmetric(plan, layout)
        else:
            self.assembler = _blocks(*self._grid(plan, upright=layout == "denominator"))
        self.program = plan.expression.program
        self.steps: tuple[Step, ...] = self.program.steps(self.wanted, plan.known | plan.expression.coefficients)
        self._pattern: Any = None
        self._beside: dict[tuple[int, bool, bool], int] = {}

    def _held(self) -> Pattern | None:
        """The pattern, where it was made and is still there."""
        made = self._pattern
        if isinstance(made, tuple):
            arrays = [part() for part in made]
            return None if any(part is None for part in arrays) else Pattern(self.shape, *arrays)
        return made  # type: ignore[no-any-return]

    @property
    def pattern(self) -> Pattern:
        """Where the entries are."""
        made = self._held()
        if made is None:
            self.require()
            stored = isinstance(self.assembler, StoredAssembler)
            made = self.assembler.pattern if stored else pattern_of(self.assembler, self.shape)  # type: ignore[attr-defined]
            # arrays and not the pattern: a matrix that uses them keeps them alive
            self._pattern = made if self.keep else (weakref.ref(made.indptr), weakref.ref(made.indices))
        return made

    @cached_property
    def numbers(self) -> int:
        """How many numbers a fill computes at a point, or copies."""
        program = self.program
        made = {step.out for step in self.steps if not step.primitive.makes_view}
        factors = {k for k in self.wanted - self.scales if program.sparse(k) is None}
        # what is made, and factors, are laid out anew for a kernel or the next step, and so are scales at most
        parts = made, made, factors, factors, self.scales
        return sum(size(program.shapes[k]) for part in parts for k in part)

    def beside(self, itemsize: int, whole: bool = True) -> int:
        """What the assembler says that a fill holds beside its result, which is worked out once."""
        key = itemsize, whole, self.assembler.found
        if key not in self._beside:
            self._beside[key] = self.assembler.beside(itemsize, whole)
        return self._beside[key]

    def require(self, each: int = 0, more: int = 0, itemsize: int = 0, pattern: bool = True) -> None:
        """Refuse what would not fit in memory.

        That is the pattern, unless it is there or not wanted; `each` bytes an entry and `more`; and what a fill of
        numbers of that size takes beside its result, where there is one.
        """
        made = pattern and self._held() is None and not isinstance(self.assembler, StoredAssembler)
        least = self.at_least
        memory.require(f"at least {least:,} entries", least * (each + made * index_dtype(*self.shape, least).itemsize))
        rows, nnz, first = self.shape[0], self.assembler.nnz, 0
        if made:
            index = index_dtype(*self.shape, nnz).itemsize
            each, more = each + index, more + (rows + 1) * index
            # row pointers are int64 at first, when there is nothing else
            first = (rows + 1) * (48 if self.assembler.per_row is None else 24 + index)
        beside = itemsize * self.numbers + self.beside(itemsize)
        memory.require(nnz, max(first, nnz * each + more + beside))

    def _symmetric(self, plan: Plan, part: Part) -> Assembler:
        grid, heights, widths = self._grid(plan, upright=False)
        half = _blocks(lower(grid, heights, widths), heights, widths)
        if part in ("lower", "upper"):
            self.at_least //= 2
        if part == "lower":
            return half
        return TransposedAssembler(half, half.rows) if part == "upper" else SymmetricAssembler(half)

    def _grid(self, plan: Plan, upright: bool) -> Grid:
        """The blocks, and how many rows and columns each has."""
        expression = plan.expression
        rows, columns = plan.shape
        sizes = ([columns], [rows]) if upright else ([rows], [columns])
        if expression.out is None or 0 in plan.shape:
            return [[None]], *sizes
        if plan.operator is not None:
            stored = StoredAssembler(plan.operator.matrix())
            return [[TransposedAssembler(stored, columns) if upright else stored]], *sizes
        if rows <= FEW and not _cheap(expression, plan):
            self.wanted |= plan.backward.coefficients
            return [[SweepAssembler(plan.backward, upright)]], *sizes
        widths = [size(shape) for shape in expression.in_shapes]
        terms, cells, heights, matrices = plan.cells
        if upright:
            made = [[self._upright(terms, cell, matrices.get(k), h, widths[k]) for k, cell in enumerate(row)]
                    for row, h in zip(cells, heights, strict=True)]  # fmt: skip
            return list(zip(*made, strict=True)), widths, heights
        return [[self._cell(cell, matrices.get(k)) for k, cell in enumerate(row)] for row in cells], heights, widths

    def _cell(self, terms: Sequence[Term], matrix: Any = None) -> Assembler | None:
        """How to fill a sum of terms, times a matrix where there is one."""
        self.wanted |= _numbers(terms)
        self.scales |= {term.scale for term in terms if term.scale is not None}
        if not terms:
            return None
        if matrix is not None:
            return picked(terms, matrix)
        if len(terms) == 1:
            return KronAssembler(terms[0])
        if is_case_split(terms):
            return CaseSplitAssembler(*terms)
        if is_dense_sum(terms):
            return DenseSumAssembler(terms)
        self.at_least += max(KronAssembler(term).at_least for term in terms)
        return MergeAssembler(terms)

    def _upright(
        self, recorder: Terms, terms: Sequence[Term], matrix: Any, rows: int, columns: int
    ) -> Assembler | None:
        """How to fill the transpose of a sum of terms."""
        if matrix is not None:
            base = self._cell(terms, matrix)
            return None if base is None else TransposedAssembler(base, columns)
        turned = [transposed(recorder, term) for term in terms]
        # merging them needs the same blocks of columns
        if len({(t.u.shape[1], t.w.shape[1]) for t in turned if t is not None}) == 1 and None not in turned:
            return self._cell([t for t in turned if t is not None])
        base = self._cell(terms)
        return None if base is None else TransposedAssembler(base, columns)


def _numbers(terms: Iterable[Term]) -> set[int]:
    """The values that terms are made of."""
    return {k for term in terms for k in (term.u.value, term.w.value, term.scale) if k is not None}


def _cheap(expression: Expression, plan: Plan) -> bool:
    """Whether the terms take no more numbers than the sweeps' results."""
    # of many steps, or of larger arrays, terms are dear to find
    if len(expression.steps) > 5 or max(map(size, expression.shapes)) > plan.shape[1]:
        return False
    program, found = expression.program, plan.terms
    known = plan.known | expression.coefficients
    made = program.steps(_numbers(term for mine in found.values() for term in mine), known)
    work = sum(size(program.shapes[step.out]) for step in made if not step.primitive.makes_view)
    return work <= plan.shape[0] * plan.shape[1]


def _cells(terms: Terms, found: ByVariable, rows: int, variables: int) -> tuple[list[list[list[Term]]], list[int]]:
    """The terms by bands of rows, on each of which those that are there cover all of it, and by variables."""
    every = [t for mine in found.values() for t in mine]
    edges = sorted({0, rows, *(t.offset for t in every), *(t.offset + t.count for t in every)})
    cells = [
        [_alike(terms, [_rows(terms, t, first, last) for t in found.get(k, [])
                        if t.offset <= first and last <= t.offset + t.count])
         for k in range(variables)]
        for first, last in pairwise(edges)
    ]  # fmt: skip
    return cells, [last - first for first, last in pairwise(edges)]


def _rows(terms: Terms, term: Term, first: int, last: int) -> Term:
    """The rows ``first:last`` of a term alone, counted from the first."""
    start, stop, alone = first - term.offset, last - term.offset, replace(term, offset=0)
    return alone if stop - start == term.count else terms.sliced(alone, (term.count,), (slice(start, stop),))


def _alike(terms: Terms, mine: list[Term]) -> list[Term]:
    """The same terms, with factors that split the columns alike."""
    same = len({(t.u.shape[1], t.w.shape[1]) for t in mine}) < 2
    return mine if same else [merged(terms, term) for term in mine]


def _blocks(bands: Sequence[Sequence[Assembler | None]], heights: Sequence[int], widths: Sequence[int]) -> Assembler:
    if len(heights) == len(widths) == 1 and (alone := bands[0][0]) is not None:
        return alone
    lefts = np.cumsum([0, *widths]).tolist()
    made: list[Band] = [
        [(assembler, left) for assembler, left in zip(band, lefts, strict=False) if assembler is not None]
        for band in bands
    ]
    return BlockAssembler(made, heights)


def spent(steps: Sequence[Step], kept: Iterable[int]) -> list[tuple[int, ...]]:
    """For each step the values that no later one needs, but for those to be kept."""
    seen, result = set(kept), []
    for step in reversed(steps):
        result.append(tuple(k for k in {*step.operands} if k not in seen))
        seen.update(step.operands)
    return result[::-1]


def ready(program: Program, steps: Sequence[Step], values: list[Any], free: Sequence[tuple[int, ...]] = ()) -> None:
    """Compute what those steps make, where it is not there; after each step the values to `free` are let go."""
    if len(values) < len(program.shapes):
        values.extend([program.constants.get(k) for k in range(len(values), len(program.shapes))])
    for at, step in enumerate(steps):
        if values[step.out] is None:
            values[step.out] = step.primitive.value(*[values[k] for k in step.operands])
        if free:
            for k in free[at]:
                values[k] = None
