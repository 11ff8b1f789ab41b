"""Real parts of terms, whose factors may be complex on the way from real arguments to real results."""

from dataclasses import replace
from itertools import product

import numpy as np
import scipy.sparse as sp

from matjac.linear.factors import Dense, Factor, Sparse
from matjac.linear.primitives import Multiply, Real
from matjac.linear.program import Program
from matjac.linear.terms import Term, Terms


def real_parts(terms: Terms, term: Term) -> list[Term]:
    """The real part of a term as a sum of real ones: of a b, real times real less imaginary times imaginary."""
    program = terms.values.program
    given = {"u": term.u.value, "w": term.w.value, "scale": term.scale}
    complexes = [name for name, number in given.items() if number is not None and not is_real(program, number)]
    made = []
    for imaginary in product((False, True), repeat=len(complexes)):
        if sum(imaginary) % 2:
            continue
        part = term
        for name, turned in zip(complexes, imaginary, strict=True):
            number = given[name]
            assert number is not None
            new = _part(program, number, turned)
            part = replace(part, **{name: new if name == "scale" else _with(getattr(part, name), new)})  # type: ignore[arg-type]
        if sum(imaginary) == 2:
            minus = program.constant(-1)
            scale = minus if part.scale is None else part.scale
            shape = (1,) * len(part.shape)
            minus = terms.values.reshape(minus, shape)
            part = replace(part, scale=minus if part.scale is None else terms.values.multiply(scale, minus))
        made.append(part)
    return made


def _part(program: Program, number: int, imaginary: bool) -> int:
    """The real or the imaginary part of a value."""
    constant, shape = program.constants.get(number), program.shapes[number]
    if constant is not None:
        part = constant.imag if imaginary else constant.real
        return program.constant(sp.csr_array(part) if sp.issparse(constant) else np.array(part))
    if imaginary:
        number = program.add(Multiply(), (program.constant(-1j), number), shape)
    return program.add(Real(), (number,), shape)


def _with(factor: Factor, number: int) -> Factor:
    """The factor with other numbers."""
    if isinstance(factor, Sparse):
        return Sparse(factor.shape, number, factor.pointers, factor.indices)
    return Dense(factor.shape, number)


def is_real(program: Program, number: int) -> bool:
    """Whether a value is known to be real where the arguments are."""
    seen: dict[int, bool] = {}
    waiting = [number]
    while waiting:
        k = waiting[-1]
        step = program.makers.get(k)
        if step is None:
            constant = program.constants.get(k)
            seen[k] = constant is None or getattr(constant, "dtype", np.dtype(type(constant))).kind != "c"
        elif isinstance(step.primitive, Real):
            seen[k] = True
        else:
            unknown = [operand for operand in step.operands if operand not in seen]
            if unknown:
                waiting.extend(unknown)
                continue
            seen[k] = step.primitive.keeps_real and all(seen[operand] for operand in step.operands)
        waiting.pop()
    return seen[number]
