"""matjac: compiled sparse Jacobians for matrix calculus.

Name an identity, get its exact Jacobian as one object with three faces: a ``scipy.sparse`` matrix filled by
a compiled kernel, a ``LinearOperator`` that never forms the matrix, and the normal matrix JᵀJ.
"""

from matjac import distributed, linalg, solvers, special, unknowns
from matjac.check import CheckError, check
from matjac.conventions import unvec, vec
from matjac.differentials import from_differential
from matjac.flat import Variables
from matjac.function import Function
from matjac.identities.hessians import (
    d2_congruence_dX,
    d2_factors_dUdV,
    d2_gram_dR,
    d2_inv_dA,
    d2_logdet_dA,
    d2_quadratic_dx,
)
from matjac.identities.linear import (
    d_constant_dX,
    d_identity_dx,
    d_matmul_dA,
    d_matmul_dB,
    d_matvec_dA,
    d_matvec_dx,
    d_sandwich_dX,
    d_transpose_dX,
    d_vecmat_dA,
    d_vecmat_dx,
)
from matjac.identities.products import d_elementwise_dX, d_hadamard_dA, d_inner_dA, d_kron_dA, d_kron_dB
from matjac.identities.quadratic import (
    d_bilinear_dX,
    d_congruence_dX,
    d_gram_dR,
    d_outer_gram_dR,
    d_quadratic_dA,
    d_quadratic_dx,
    d_sqnorm_dx,
)
from matjac.identities.regression import d_halfsq_dw, d_residual_dw, d_residual_dX
from matjac.identities.spectral import d_det_dA, d_inv_dA, d_logdet_dA, d_trace_dX
from matjac.jacobian import Hessian, Jacobian
from matjac.memory import set_memory_limit
from matjac.stacking import hstack, scale_rows, vstack
from matjac.tracing.compile import compile, jacobian
from matjac.tracing.compiled import Compiled
from matjac.tracing.custom import rule
from matjac.tracing.handlers import TracingError

__all__ = [
    "CheckError",
    "Compiled",
    "Function",
    "Hessian",
    "Jacobian",
    "TracingError",
    "Variables",
    "check",
    "compile",
    "d2_congruence_dX",
    "d2_factors_dUdV",
    "d2_gram_dR",
    "d2_inv_dA",
    "d2_logdet_dA",
    "d2_quadratic_dx",
    "d_bilinear_dX",
    "d_congruence_dX",
    "d_constant_dX",
    "d_det_dA",
    "d_elementwise_dX",
    "d_gram_dR",
    "d_hadamard_dA",
    "d_halfsq_dw",
    "d_identity_dx",
    "d_inner_dA",
    "d_inv_dA",
    "d_kron_dA",
    "d_kron_dB",
    "d_logdet_dA",
    "d_matmul_dA",
    "d_matmul_dB",
    "d_matvec_dA",
    "d_matvec_dx",
    "d_outer_gram_dR",
    "d_quadratic_dA",
    "d_quadratic_dx",
    "d_residual_dX",
    "d_residual_dw",
    "d_sandwich_dX",
    "d_sqnorm_dx",
    "d_trace_dX",
    "d_transpose_dX",
    "d_vecmat_dA",
    "d_vecmat_dx",
    "distributed",
    "from_differential",
    "hstack",
    "jacobian",
    "linalg",
    "rule",
    "scale_rows",
    "set_memory_limit",
    "solvers",
    "special",
    "unknowns",
    "unvec",
    "vec",
    "vstack",
]
__version__ = "0.1.0"


def __dir__() -> list[str]:
    return [*__all__, "__all__", "__doc__", "__file__", "__name__", "__version__"]
