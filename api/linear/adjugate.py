"""The adjugate of a matrix, which exists where the inverse does not."""

from collections.abc import Callable

import numpy as np

from matjac.conventions import Array


def adjugate(A: Array) -> Array:
    """adj(A) = det(A) A⁻¹ where that is well-conditioned, else from adj(U Σ Vᴴ) = det(U) det(Vᴴ) · V adj(Σ) Uᴴ.

    Of a stack of matrices, each one's.
    """
    if A.ndim > 2:
        return _each(adjugate, A)
    if (inverse := _inverse(A)) is not None:
        return np.asarray(np.linalg.det(A) * inverse)
    u, sigma, vh = np.linalg.svd(A)
    if sigma.size and sigma[-1] > 1e-6 * sigma[0]:
        return np.asarray(np.linalg.det(A) * np.linalg.inv(A))
    sign = np.linalg.det(u) * np.linalg.det(vh)
    found: Array = sign * (vh.conj().T * _others(sigma)) @ u.conj().T
    return found.astype(A.dtype, copy=False)


def _inverse(A: Array) -> Array | None:
    """The inverse where it is surely well-conditioned, by a bound that costs less than singular values."""
    try:
        inverse: Array = np.linalg.inv(A)
    except np.linalg.LinAlgError:
        return None
    return inverse if np.linalg.norm(A) * np.linalg.norm(inverse) < 1e6 else None


def _each(function: Callable[[Array], Array], stack: Array) -> Array:
    made = [function(A) for A in stack.reshape(-1, *stack.shape[-2:])]
    return np.reshape(made, stack.shape).astype(stack.dtype, copy=False)


def _others(sigma: Array) -> Array:
    """The product of all numbers but one, for each: of those before it, times of those after it."""
    one = np.ones(1, sigma.dtype)
    before = np.cumprod(np.concatenate([one, sigma]))[: sigma.size]
    after = np.cumprod(np.concatenate([one, sigma[::-1]]))[: sigma.size][::-1]
    return before * after


def second_products(A: Array) -> Array:
    """``P[i, j]``, of A = U Σ Vᴴ: det(U) det(Vᴴ) times all singular values but numbers i and j; 0 where i = j.

    Of a stack of matrices, each one's.
    """
    if A.ndim > 2:
        return _each(second_products, A)
    u, sigma, vh = np.linalg.svd(A)
    products = np.zeros(A.shape, np.result_type(u, sigma))
    for i in range(sigma.size):
        rest = sigma.copy()
        rest[i] = 1
        products[i] = _others(rest)
    np.fill_diagonal(products, 0)
    return np.asarray(np.linalg.det(u) * np.linalg.det(vh) * products, A.dtype)
