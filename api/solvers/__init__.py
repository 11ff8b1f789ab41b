"""The solvers people use, for functions of matrices: SciPy's, Ipopt, and sparse Cholesky.

Ours are Gauss–Newton in a trust region (`gauss_newton`), for SciPy's knows nothing of blocks, bands and patterns;
L-BFGS in the metric of normal blocks (`lbfgs`), for SciPy's takes no preconditioner; variable projection for both
(`eliminate`); Levenberg–Marquardt on stacks of small fits (`batch`); and Newton's method (`newton`).
What the others lack for matrices is here: packing, scales and preconditioners that need no matrix, a report of each
step, and an end with the last good point and a message that says where.

While a solver runs, BLAS has one thread, unless a product of the function is so large that it takes tens of
milliseconds: small ones gain nothing from a second thread, and wait for it where the processors are taken. Afterwards
BLAS is as it was, also where the solver raised. The number is the process's: products in your other threads have one
thread too until then. Numbers that another thread of yours set by threadpoolctl stay.

Examples
--------
Each takes what `matjac.compile` made, a `matjac.Function`, or a plain function, which is compiled, and the arrays to
start from:

>>> import numpy as np, matjac as mj
>>> K = np.array([[2.0, 1.0], [1.0, 2.0]])
>>> F = mj.compile(lambda R: R.T @ R - K, (2, 2))
>>> fit = mj.solvers.least_squares(F, np.eye(2))
>>> fit.success, fit.variables[0].shape
(True, (2, 2))

Each returns a `Fit`, which has a `report`, and a `plot` of the way there:

>>> print(fit.report().splitlines()[1])
unknowns   R (2, 2): 4 numbers
"""

from matjac.solvers.fit import Fit
from matjac.solvers.ipopt import IpoptProblem, ipopt
from matjac.solvers.least_squares import least_squares
from matjac.solvers.minimize import constraint, minimize
from matjac.solvers.normal_equations import NormalEquations
from matjac.solvers.ode import solve_ivp
from matjac.solvers.precondition import BlockJacobi, augmented, block_jacobi, damped_step
from matjac.solvers.root import NewtonPreconditioner, root
from matjac.solvers.uncertainty import Uncertainty, uncertainty
from matjac.solvers.watch import STOPPED, Progress

__all__ = [
    "STOPPED",
    "BlockJacobi",
    "Fit",
    "IpoptProblem",
    "NewtonPreconditioner",
    "NormalEquations",
    "Progress",
    "Uncertainty",
    "augmented",
    "block_jacobi",
    "constraint",
    "damped_step",
    "ipopt",
    "least_squares",
    "minimize",
    "root",
    "solve_ivp",
    "uncertainty",
]


def __dir__() -> list[str]:
    return [*__all__, "__all__", "__doc__", "__file__", "__name__"]
