"""What a user may write, under ``mypy --strict``; it runs too."""

import numpy as np
import numpy.typing as npt

import matjac as mj
from matjac.solvers import Fit, Progress, Uncertainty

Array = npt.NDArray[np.float64]
Y = np.arange(6.0).reshape(3, 2)


def residuals(U: Array, V: Array) -> Array:
    """A fit of a matrix of rank one."""
    return np.asarray(U @ V.T - Y)


def watch(at: Progress) -> bool:
    """Stop when it takes long."""
    return at.seconds > 60 or at.value < 0


U0, V0 = np.ones((3, 1)), np.ones((2, 1))
F = mj.compile(residuals, U0.shape, V0.shape)
J: mj.Jacobian = F.jacobian(U0, V0)
x = np.ones(J.shape[1])
y: npt.NDArray[np.float64] = J @ x
turned: mj.Jacobian = J.T
back: npt.NDArray[np.float64] = J.T @ y
normal: mj.Jacobian = J.T.T.normal(weights=np.ones((3, 2)))
first: int = J.nnz + J.tocsr().nnz + J.rows(0, 1).nnz
change = J.jvp((U0, V0)).shape[0] + J.vjp(np.ones((3, 2)))[0].size
chained: mj.Jacobian = mj.d_gram_dR(np.ones((1, 3)), order="F", layout="numerator") @ mj.d_identity_dx(3, order="F")

value: npt.NDArray[np.float64] = F(U=U0, V=V0)
by_one: mj.Jacobian = F.jacobian(U0, V=V0, wrt=0)
curved: mj.Hessian = F.hessian(U0, V0, weights=value, wrt=["U", 1])
stored = F.jac_csr(F.pack(U0, V0)).nnz + F.bind(V=V0).jacobian(U0).nnz

fit: Fit = mj.solvers.least_squares(F, U0, V0, method="gauss-newton", jac="dense", progress=watch)
plain: Fit = mj.solvers.least_squares(residuals, U0, V0, bounds=(0, None), ftol=1e-10)
U, V = fit.variables
cost: float = fit.cost
print(
    fit.success, fit.report(), U.shape, V @ np.ones(1), fit.history[-1, 1], fit.message.strip(), first + stored, change
)
q: Uncertainty = mj.solvers.uncertainty(F, fit, of=lambda U, V: U @ V.T)
print(q.stderr.shape, q.covariance([0, 1]).sum(), q.dof + 1, q.sigma2 / 2)
least = mj.solvers.minimize(lambda U: np.sum(U**2), U0, method="trust-constr", hessian="exact")
zero = mj.solvers.root(lambda X: X @ X - np.eye(2), np.eye(2) + 0.1, jac="csr")
path = mj.solvers.solve_ivp(lambda X: -X, (0.0, 1.0), np.eye(2), method="BDF")
print(least.nit + zero.nit, path.states.shape)
