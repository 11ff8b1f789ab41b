"""matjac: compiled sparse Jacobians for matrix calculus.

Name an identity, get its exact Jacobian as one object with three faces: a ``scipy.sparse`` matrix filled by
a compiled kernel, a ``LinearOperator`` that never forms the matrix, and the normal matrix JᵀJ.
"""

from matjac.identities import d_gram_dR, d_matvec_dA
from matjac.jacobian import Jacobian

__all__ = ["Jacobian", "d_gram_dR", "d_matvec_dA"]
__version__ = "0.1.0"
