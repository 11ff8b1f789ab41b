"""Draw the pictures of docs/identities.md: ``python docs/draw_patterns.py`` (needs matjac[demo])."""

from pathlib import Path

import numpy as np
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from scipy.sparse import csr_array

import matjac as mj

rng = np.random.default_rng(3)


def random(*shape):
    """A random array away from zero, so that every entry shows."""
    return rng.choice([-1, 1], shape) * rng.uniform(0.3, 1, shape)


R, S, x, y = random(3, 4), random(4, 4), random(4), random(3)
sparse = csr_array(np.where(rng.random((4, 4)) < 0.4, S, 0))
FAMILIES = {
    "linear": {
        "d_identity_dx(4)": mj.d_identity_dx(4),
        "d_matvec_dx(A)": mj.d_matvec_dx(R),
        "d_matvec_dA(x, 3)": mj.d_matvec_dA(x, 3),
        "d_vecmat_dA(y, 4)": mj.d_vecmat_dA(y, 4),
        "d_matmul_dA(B, 3)": mj.d_matmul_dA(S, 3),
        "d_matmul_dB(A, 3)": mj.d_matmul_dB(S, 3),
        "d_sandwich_dX(A, B), A sparse": mj.d_sandwich_dX(sparse, random(3, 3)),
        "d_transpose_dX((3, 4))": mj.d_transpose_dX((3, 4)),
    },
    "quadratic": {
        "d_gram_dR(R)": mj.d_gram_dR(R),
        "d_outer_gram_dR(R)": mj.d_outer_gram_dR(R),
        'd_gram_dR(R, triangle="upper")': mj.d_gram_dR(R, triangle="upper"),
        "d_congruence_dX(X, A)": mj.d_congruence_dX(R, random(3, 3)),
        "d_bilinear_dX(a, b)": mj.d_bilinear_dX(y, x),
        "d_quadratic_dx(A, x)": mj.d_quadratic_dx(S, x),
    },
    "products": {
        "d_hadamard_dA(B)": mj.d_hadamard_dA(R),
        "d_inner_dA(B)": mj.d_inner_dA(R),
        "d_kron_dA(B, (2, 3))": mj.d_kron_dA(random(2, 2), (2, 3)),
        "d_kron_dB(A, (2, 3))": mj.d_kron_dB(random(2, 2), (2, 3)),
    },
    "regression": {
        "d_residual_dw(X)": mj.d_residual_dw(R),
        "d_residual_dX(w, 3)": mj.d_residual_dX(x, 3),
        "d_halfsq_dw(X, y, w)": mj.d_halfsq_dw(R, y, x),
    },
    "spectral": {
        "d_trace_dX(A)": mj.d_trace_dX(R),
        "d_logdet_dA(A)": mj.d_logdet_dA(S),
        "d_inv_dA(A)": mj.d_inv_dA(np.eye(4) + 0.2 * S),
    },
    "composition": {
        "hstack: U Vᵀ by U and V": mj.hstack(
            [mj.d_matmul_dA(random(2, 4), 3), mj.d_matmul_dB(random(3, 2), 4) @ mj.d_transpose_dX((4, 2))]
        ),
        "… .take(a mask)": mj.hstack(
            [mj.d_matmul_dA(random(2, 4), 3), mj.d_matmul_dB(random(3, 2), 4) @ mj.d_transpose_dX((4, 2))]
        ).take(rng.random((3, 4)) < 0.5),
        "d_gram_dR(R).normal()": mj.d_gram_dR(R).normal(),
        "vstack: RᵀR above R": mj.vstack([mj.d_gram_dR(R), mj.d_elementwise_dX(np.full((3, 4), 0.5))]),
    },
}


def draw(family, jacobians, folder):
    """One picture of a family: a square an entry, its colour the value, white where there is none."""
    columns = min(4, len(jacobians))
    rows = -(-len(jacobians) // columns)
    figure = Figure(figsize=(3.4 * columns, 3.2 * rows), layout="constrained")
    for axes, (title, J) in zip(figure.subplots(rows, columns, squeeze=False).flat, jacobians.items(), strict=False):
        places = np.full(J.shape, np.nan)
        A = J.tocoo()
        places[A.row, A.col] = A.data
        largest = float(np.abs(A.data).max())
        axes.imshow(places, cmap="RdBu", norm=TwoSlopeNorm(0, -largest, largest), interpolation="none")
        axes.set_facecolor("0.93")
        axes.set_title(title, fontsize=9)
        axes.set_xlabel(f"{J.shape[0]} × {J.shape[1]}, {J.nnz} entries", fontsize=8)
        axes.set(xticks=[], yticks=[])
    for axes in list(figure.axes)[len(jacobians) :]:
        axes.set_axis_off()
    figure.savefig(folder / f"{family}.png", dpi=80)


if __name__ == "__main__":
    for name, members in FAMILIES.items():
        draw(name, members, Path(__file__).parent)
