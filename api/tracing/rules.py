"""All modules that say what is recorded for NumPy's functions: importing them registers it."""

from matjac.tracing import einsum, elementwise, functions, linalg  # noqa: F401
