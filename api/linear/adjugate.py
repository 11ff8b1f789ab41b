"""The adjugate of a matrix, which exists where the inverse does not."""

import numpy as np

from matjac.conventions import Array


def adjugate(A: Array) -> Array:
    """adj(A) = det(A) A⁻¹ where that is well-conditioned, else from adj(U Σ Vᴴ) = det(U) det(Vᴴ) · V adj(Σ) Uᴴ."""
    u, sigma, vh = np.linalg.svd(A)
    if sigma.size and sigma[-1] > 1e-6 * sigma[0]:
        return np.asarray(np.linalg.det(A) * np.linalg.inv(A))
    sign = np.linalg.det(u) * np.linalg.det(vh)
    adjugate: Array = sign * (vh.conj().T * _others(sigma)) @ u.conj().T
    return adjugate.astype(A.dtype, copy=False)


def _others(sigma: Array) -> Array:
    """The product of all numbers but one, for each: of those before it, times of those after it."""
    one = np.ones(1, sigma.dtype)
    before = np.cumprod(np.concatenate([one, sigma]))[: sigma.size]
    after = np.cumprod(np.concatenate([one, sigma[::-1]]))[: sigma.size][::-1]
    return before * after


def second_products(A: Array) -> Array:
    """``P[i, j]``, of A = U Σ Vᴴ: det(U) det(Vᴴ) times all singular values but numbers i and j; 0 where i = j."""
    u, sigma, vh = np.linalg.svd(A)
    products = np.zeros(A.shape, np.result_type(u, sigma))
    for i in range(sigma.size):
        rest = sigma.copy()
        rest[i] = 1
        products[i] = _others(rest)
    np.fill_diagonal(products, 0)
    return np.asarray(np.linalg.det(u) * np.linalg.det(vh) * products, A.dtype)
