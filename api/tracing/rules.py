"""All modules that say what is recorded for NumPy's functions: importing them registers it."""

from matjac.tracing import conditions, creation, einsum, elementwise, functions, linalg, moving  # noqa: F401
