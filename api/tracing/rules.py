"""All modules that say what is recorded for NumPy's functions: importing them registers it."""

from matjac.tracing import (  # noqa: F401
    calculus,
    callers,
    complexes,
    conditions,
    creation,
    decompositions,
    einsum,
    elementwise,
    fourier,
    functions,
    inplace,
    linalg,
    moving,
    norms,
    ordering,
    polynomials,
    products,
    reductions,
    ufuncs,
)
