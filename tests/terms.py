"""Random terms, and the matrices that they are by definition."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp
from hypothesis import strategies as st

from matjac.linear.factors import Dense, Eye, Sparse
from matjac.linear.program import Program
from matjac.linear.rowmap import RowMap, counting, listed
from matjac.linear.terms import Term, Terms

DTYPES = (np.float64, np.float32, np.complex128)


@dataclass
class Sum:
    """Terms with the numbers of a point, and how many columns they have."""

    terms: list[Term]
    values: list[Any]
    columns: int
    dtype: Any = np.float64
    #: places and numbers of each factor as dense arrays, by the factor
    known: dict[int, tuple[Any, Any]] = field(default_factory=dict)

    @property
    def shape(self):
        return self.terms[0].count, self.columns


class Maker:
    """Makes random factors, row maps and scales."""

    def __init__(self, draw, dtype=np.float64):
        self.draw, self.dtype = draw, np.dtype(dtype)
        self.rng = np.random.default_rng(draw(st.integers(0, 999)))
        self.values: list[Any] = []
        self.known: dict[int, tuple[Any, Any]] = {}

    def numbers(self, shape):
        a = self.rng.standard_normal(shape)
        a = a + 1j * self.rng.standard_normal(shape) if self.dtype.kind == "c" else a
        return a.astype(self.dtype)

    def value(self, array):
        self.values.append(array)
        return len(self.values) - 1

    def factor(self, rows, columns, kinds=("dense", "sparse", "one a row", "identity")):
        kind = self.draw(st.sampled_from(kinds))
        if kind == "identity" and rows == columns:
            made, matrix, places = Eye((rows, rows)), np.eye(rows), np.eye(rows) > 0
        elif kind == "dense" or columns == 0 or kind == "identity":
            matrix = self.numbers((rows, columns))
            made, places = Dense((rows, columns), value=self.value(matrix)), np.ones((rows, columns), bool)
        else:
            places = self.rng.random((rows, columns)) < 0.5
            if kind == "one a row":
                places = np.eye(columns, dtype=bool)[self.rng.integers(0, columns, rows)]
            # a zero by value is an entry
            data = self.numbers(np.count_nonzero(places)) * (self.rng.random(np.count_nonzero(places)) < 0.8)
            pointers = np.concatenate([[0], np.cumsum(places.sum(axis=1))]).astype(np.int64)
            matrix = np.zeros((rows, columns), self.dtype)
            matrix[places] = data
            # a constant sparse matrix is a value itself, others are one vector of numbers
            given = sp.csr_array((data, np.nonzero(places)[1], pointers), shape=(rows, columns))
            number = self.value(given if self.draw(st.booleans()) else data)
            made = Sparse((rows, columns), number, pointers, np.nonzero(places)[1].astype(np.int64))
        self.known[id(made)] = places, matrix
        return made

    def affine(self, shape):
        """An affine map and the number of rows that it reaches."""
        steps = tuple(self.draw(st.integers(-2, 3)) for _ in shape)
        reach = [step * (n - 1) for n, step in zip(shape, steps, strict=True) if n]
        start = -sum(min(r, 0) for r in reach) + self.draw(st.integers(0, 1))
        return RowMap(shape, steps, start), start + sum(max(r, 0) for r in reach) + 1

    def listed(self, shape, rows, absent):
        return listed(np.array(self.rng.integers(-1 if absent else 0, rows, shape), dtype=np.int64))

    def pair(self, shape, absent=True):
        """A pair of row maps, and how many rows each of the factors has."""
        kind = self.draw(st.sampled_from(["grid", "swapped grid", "affine", "listed", "mixed"]))
        if kind in ("grid", "swapped grid"):
            at = self.draw(st.integers(0, len(shape)))
            f, g = counting(shape, range(at)), counting(shape, range(at, len(shape)))
            m, n = int(np.prod(shape[:at])), int(np.prod(shape[at:]))
            return (f, g, m, n) if kind == "grid" else (g, f, n, m)
        if kind == "affine":
            (f, m), (g, n) = self.affine(shape), self.affine(shape)
            return f, g, m, n
        m, n = self.draw(st.integers(1, 3)), self.draw(st.integers(1, 3))
        f = self.listed(shape, m, absent)
        if kind == "listed":
            return f, self.listed(shape, n, False), m, n
        g, n = self.affine(shape)
        return f, g, m, n

    def scale(self, shape):
        """None, or a value that broadcasts to the shape."""
        kind = self.draw(st.sampled_from(["none", "each", "some", "one"]))
        if kind == "none":
            return None
        own = tuple(1 if kind == "one" or (kind == "some" and self.draw(st.booleans())) else n for n in shape)
        if kind == "one" and self.draw(st.booleans()):
            own = ()
        return self.value(self.numbers(own))


@st.composite
def sums(draw, most=3, dtypes=(np.float64,)):
    """One to three terms on one variable, of as many rows each."""
    dtype = draw(st.sampled_from(dtypes))
    make = Maker(draw, dtype)
    shape = tuple(draw(st.integers(0, 3)) for _ in range(draw(st.integers(0, 3))))
    p, q = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    terms = []
    for _ in range(draw(st.integers(1, most))):
        # the same rows may be counted as another array's entries
        own = draw(st.sampled_from([shape, (int(np.prod(shape)),), (1, *shape)]))
        f, g, m, n = make.pair(own)
        terms.append(Term(make.factor(m, p), f, make.factor(n, q), g, make.scale(own)))
    return Sum(terms, make.values, p * q, dtype, make.known)


def row_of(rows, index):
    """A map's value by definition."""
    if rows.listed is not None:
        return int(rows.listed[index])
    return rows.start + sum(step * k for step, k in zip(rows.steps, index, strict=True))


def dense(total):
    """The matrix of a sum and the places of its entries, row by row from the definition."""
    matrix, places = np.zeros(total.shape, np.result_type(total.dtype, float)), np.zeros(total.shape, bool)
    for term in total.terms:
        (pu, u), (pw, w) = total.known[id(term.u)], total.known[id(term.w)]
        for r, index in enumerate(np.ndindex(term.shape)):
            i, j = row_of(term.f, index), row_of(term.g, index)
            if i >= 0:
                scale = 1 if term.scale is None else np.broadcast_to(total.values[term.scale], term.shape)[index]
                matrix[r] += scale * np.kron(u[i], w[j])
                places[r] |= np.kron(pu[i], pw[j])
    return matrix, places


def recorded(total):
    """The same terms in a program of their own, in which new values can be recorded: (terms, values)."""
    program = Program()
    for value in total.values:
        if sp.issparse(value):
            program.constants[program.given(value.shape)] = value
        else:
            program.given(np.shape(value))
    return Terms(program)


def run(terms, values):
    """The numbers of all that was recorded."""
    program = terms.values.program
    values = [*values, *[None] * (len(program.shapes) - len(values))]
    for number in range(len(values)):
        if values[number] is None:
            made = program.makers.get(number)
            values[number] = (
                program.constants[number] if made is None else made.primitive.value(*[values[k] for k in made.operands])
            )
    return values


def by_loops(term, values):
    """A term's matrix from the definition, with factors as a program has them."""

    def matrix(factor):
        if isinstance(factor, Eye):
            return np.eye(factor.shape[0])
        out = np.zeros(factor.shape, complex)
        given = values[factor.value]
        data = np.ravel(given.data if sp.issparse(given) else given)
        at = 0
        for row in range(factor.shape[0]):
            if isinstance(factor, Dense):
                out[row] = data[row * factor.shape[1] : (row + 1) * factor.shape[1]]
            else:
                for column in factor.indices[factor.pointers[row] : factor.pointers[row + 1]]:
                    out[row, column] = data[at]
                    at += 1
        return out

    u, w = matrix(term.u), matrix(term.w)
    result = np.zeros((term.count, u.shape[1] * w.shape[1]), complex)
    for r, index in enumerate(np.ndindex(term.shape)):
        i, j = row_of(term.f, index), row_of(term.g, index)
        if i >= 0:
            scale = 1 if term.scale is None else np.broadcast_to(values[term.scale], term.shape)[index]
            result[r] = scale * np.kron(u[i], w[j])
    return result


def places_by_loops(term):
    """Where a term has entries, from the definition."""
    u, w = (factor.structure().toarray() > 0 for factor in (term.u, term.w))
    result = np.zeros((term.count, u.shape[1] * w.shape[1]), bool)
    for r, index in enumerate(np.ndindex(term.shape)):
        i, j = row_of(term.f, index), row_of(term.g, index)
        if i >= 0:
            result[r] = np.kron(u[i], w[j])
    return result
