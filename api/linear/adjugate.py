"""The adjugate of a matrix, which exists where the inverse does not."""

import numpy as np

from matjac.conventions import Array


def adjugate(A: Array) -> Array:
    """adj(A) = det(A) A⁻¹ where that is well-conditioned, else from adj(U Σ Vᴴ) = det(U) det(Vᴴ) · V adj(Σ) Uᴴ."""
    u, sigma, vh = np.linalg.svd(A)
    if sigma.size and sigma[-1] > 1e-6 * sigma[0]:
        return np.asarray(np.linalg.det(A) * np.linalg.inv(A))
    # the product of all singular values but one: of those before it, times of those after it
    before = np.cumprod(np.concatenate([np.ones(1, sigma.dtype), sigma]))[: sigma.size]
    after = np.cumprod(np.concatenate([np.ones(1, sigma.dtype), sigma[::-1]]))[: sigma.size][::-1]
    sign = np.linalg.det(u) * np.linalg.det(vh)
    adjugate: Array = sign * (vh.conj().T * (before * after)) @ u.conj().T
    return adjugate.astype(A.dtype, copy=False)
