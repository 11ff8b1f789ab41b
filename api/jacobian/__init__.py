"""The public objects and their faces."""

from matjac.jacobian.hessian import Hessian
from matjac.jacobian.jacobian import Jacobian

__all__ = ["Hessian", "Jacobian"]
