"""Independent derivatives: they share no code with the library, and none of its ideas."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

Array = Any


def complex_step(fun: Callable[[Array], Array], x: Array) -> Array:
    """The tensor ``∂F[...] / ∂X[...]`` of an analytic function, entry of X by entry of X.

    At a real X it is Im F(X + i h E) / h, with no cancellation. At a complex one it is Cauchy's integral
    over a small circle around X, by the trapezoid rule, whose error falls exponentially.
    """
    x = np.asarray(x)
    wide = x.astype(np.complex128)
    shape = np.shape(fun(wide))
    tensor = np.zeros(shape + x.shape, np.complex128 if x.dtype.kind == "c" else np.float64)
    for at in product(*map(range, x.shape)):
        direction = np.zeros(x.shape, np.complex128)
        direction[at] = 1
        if x.dtype.kind == "c":
            points = np.exp(2j * np.pi * np.arange(8) / 8)
            column = sum(np.asarray(fun(wide + 0.01 * z * direction)) / z for z in points) / (8 * 0.01)
        else:
            column = np.asarray(fun(wide + 1e-30j * direction)).imag / 1e-30
        tensor[(..., *at)] = column
    return tensor


def lay_out(tensor: Array, variable_ndim: int, order: str, layout: str) -> Array:
    """The Jacobian matrix of a tensor ``∂F[...] / ∂X[...]``."""
    split = tensor.ndim - variable_ndim
    rows, columns = (int(np.prod(part)) for part in (tensor.shape[:split], tensor.shape[split:]))
    matrix = tensor.reshape((rows, columns), order=order)
    return matrix if layout == "numerator" else matrix.T
