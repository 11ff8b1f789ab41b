"""The public object and its faces."""

from matjac.jacobian.jacobian import Jacobian

__all__ = ["Jacobian"]
