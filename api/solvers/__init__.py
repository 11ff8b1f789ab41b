"""The solvers people use, for functions of matrices: SciPy's, Ipopt, and sparse Cholesky.

No solver is ours. What theirs lack for matrices is here: packing, scales and preconditioners that need no matrix, a
report of each step, and an end with the last good point and a message that says where.
"""

from matjac.solvers.ipopt import IpoptProblem, ipopt
from matjac.solvers.least_squares import least_squares
from matjac.solvers.minimize import constraint, minimize
from matjac.solvers.normal_equations import NormalEquations
from matjac.solvers.ode import solve_ivp
from matjac.solvers.precondition import BlockJacobi, augmented, block_jacobi, damped_step
from matjac.solvers.root import NewtonPreconditioner, root
from matjac.solvers.watch import STOPPED, Progress

__all__ = [
    "STOPPED",
    "BlockJacobi",
    "IpoptProblem",
    "NewtonPreconditioner",
    "NormalEquations",
    "Progress",
    "augmented",
    "block_jacobi",
    "constraint",
    "damped_step",
    "ipopt",
    "least_squares",
    "minimize",
    "root",
    "solve_ivp",
]
