"""Sums of exponentials, from which the largest is taken out: no number overflows."""

from typing import Any

import numpy as np

from matjac.tracing.conditions import stepwise


def _largest(a: Any, b: Any = None, axis: Any = None) -> Any:
    """The largest entries, of complex ones the largest real part; 0 in place of what is not finite."""
    a = np.real(a) if b is None else np.where(b == 0, -np.inf, np.real(a))
    largest = np.max(a, axis=axis, keepdims=True)
    return np.where(np.isfinite(largest), largest, 0).astype(largest.dtype)


def log_sum_exp(a: Any, axis: Any = None, b: Any = None, keepdims: bool = False) -> Any:
    """``log(sum(b * exp(a)))``, recorded."""
    # a constant is subtracted, which the logarithm gives back: nothing of it is in the derivative
    shift = stepwise(_largest, a, b, axis=axis) if b is not None else stepwise(_largest, a, axis=axis)
    terms = np.exp(a - shift)
    if b is not None:
        terms = np.where(np.equal(b, 0), 0, terms) * b
    total = np.log(np.sum(terms, axis=axis, keepdims=True)) + shift
    return total if keepdims else np.squeeze(total, axis=axis)


def softmax(x: Any, axis: Any = None) -> Any:
    """Exponentials over their sum, recorded."""
    terms = np.exp(x - stepwise(_largest, x, axis=axis))
    return terms / np.sum(terms, axis=axis, keepdims=True)


def log_softmax(x: Any, axis: Any = None) -> Any:
    """The logarithm of `softmax`, recorded."""
    shifted = x - stepwise(_largest, x, axis=axis)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))
