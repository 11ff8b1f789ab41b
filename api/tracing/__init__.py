"""Functions written in NumPy: recorded once as a program of differentiable operations, then replayed."""
