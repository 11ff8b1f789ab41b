"""All modules that say what is recorded for NumPy's functions: importing them registers it."""

from matjac.tracing import (  # noqa: F401
    calculus,
    callers,
    conditions,
    creation,
    decompositions,
    einsum,
    elementwise,
    functions,
    inplace,
    linalg,
    moving,
    norms,
    ordering,
    products,
    reductions,
    ufuncs,
)
