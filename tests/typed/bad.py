"""Mistakes that ``mypy --strict`` is to find: each line with the word of its error's kind."""

import numpy as np

import matjac as mj

F = mj.compile(lambda U: U @ U.T, (3, 2))
J = F.jacobian(np.ones((3, 2)))
fit = mj.solvers.least_squares(F, np.ones((3, 2)))
print(fit.sucess)  # attr-defined
print(fit.variable)  # attr-defined
mj.solvers.least_squares(3.0, np.ones((3, 2)))  # arg-type
mj.solvers.minimize("F", np.ones((3, 2)))  # arg-type
mj.solvers.root(F, np.ones((3, 2)), jac="sparse")  # arg-type
mj.solvers.least_squares(F, np.ones((3, 2)), method="newton")  # arg-type
mj.solvers.least_squares(F, np.ones((3, 2)), progress=3)  # arg-type
mj.solvers.minimize(F, np.ones((3, 2)), method="LBFGS")  # arg-type
mj.solvers.uncertainty(F, fit).sterr  # attr-defined
mj.d_gram_dR(np.ones((3, 2)), order="row")  # arg-type
mj.d_gram_dR(np.ones((3, 2)), layout="denomenator")  # arg-type
J.jvp(np.ones((3, 2))).shpe  # union-attr
(J.T @ np.ones(9)).reshpe(3, 2)  # attr-defined
J.T.tocsr(outt=None)  # call-arg
J.rows("0", 3)  # arg-type
fit.report(3)  # call-arg
mj.compile(3.0, (3, 2))  # arg-type
F.jacobian(np.ones((3, 2)), wrt=1.5)  # arg-type
F.hessian(np.ones((3, 2)), part="half")  # arg-type
F.jacobien(np.ones((3, 2)))  # attr-defined
mj.solvers.least_sqares(F)  # attr-defined
