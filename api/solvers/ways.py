"""Which linear algebra makes the steps of Gauss–Newton, by shapes, entries and what factors would cost."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from matjac.conventions import Array
from matjac.flat import Flat, Variables
from matjac.jacobian import Jacobian
from matjac.solvers.banded import WIDEST, Banded, band
from matjac.solvers.damped import Damped, Dense, Products, Sparse
from matjac.solvers.schur import Plan, Schur, separable
from matjac.solvers.steps import factors_stay_sparse
from matjac.solvers.watch import Watch

#: Unknowns and entries of a dense Jacobian that is nothing to speak of.
SMALL, ENTRIES = 150, 100_000
#: Entries of a Jacobian, in all and for each column, beyond which its pattern is not looked at.
MOST, EACH = 10**7, 100
#: Entries of each column up to which sparse factors are chosen unasked: along a chain of equations Gauss–Newton steps
#: go all at once, and L-BFGS may end in a valley (Broyden's tridiagonal function of 1,000 unknowns).
FEW = 10
#: Multiplications for each entry of J that an elimination may cost, unasked and asked for. Bundle adjustment takes some
#: hundred, and a tenth of L-BFGS's time; completions of matrices 500, and ten times as long as L-BFGS.
WORK, MORE = 200, 2000
#: Unknowns and entries up to which a dense Jacobian is affordable.
AFFORDABLE, LARGE = 2000, 10**7


def cheap(J: Jacobian, variables: Variables) -> Damped | None:
    """What makes a step cost little beside many gradients, None where nothing does."""
    if J.nnz > min(MOST, EACH * J.shape[1]):
        return None
    matrix = pattern(J)
    found = eliminating(matrix, variables, WORK)
    return found or (factors(matrix) if few(J) else None)


def is_small(rows: int, columns: int) -> bool:
    """Whether a dense Jacobian of that shape is nothing to speak of."""
    return columns <= SMALL and rows * columns <= ENTRIES


def few(J: Jacobian) -> bool:
    """Whether a Jacobian has few entries a column."""
    return J.nnz <= FEW * J.shape[1]


def choose(J: Jacobian, variables: Variables, jac: str | None, watch: Watch) -> Damped:
    """What makes the steps by the Jacobian's face, or of what is affordable the cheapest."""
    rows, columns = J.shape
    if jac == "operator":
        return products(watch)
    if jac == "dense" or (jac is None and is_small(rows, columns)):
        return Dense()
    if jac == "csr" or J.nnz <= min(MOST, EACH * columns):
        matrix = pattern(J)
        found = eliminating(matrix, variables, MORE) or factors(matrix) or summed(matrix, MORE)
        if found or jac == "csr":
            return found or Sparse()
    return Dense() if columns <= AFFORDABLE and rows * columns <= LARGE else products(watch)


def choose_summed(
    F: Flat, x: Array, watch: Watch, method: str | None, jac: str | None, eliminated: bool
) -> tuple[str, str, Damped | None]:
    """The method, why, and what makes its steps, of a sum over ranks each of which has rows of J."""
    why, columns = "as asked", F.variables.size
    if method is None:
        small = not eliminated and is_small(int(watch.largest(F.values(x).size)), columns)
        method = "gauss-newton" if small else "lbfgs"
        why = "its steps cost little" if small else "its rank owns an unknown" if eliminated else "J is large"
    if method == "lbfgs":
        return method, why, None
    dense = jac == "dense" or (jac is None and columns <= AFFORDABLE)
    return method, why, Dense(watch.added) if dense else products(watch)


def products(watch: Watch) -> Damped:
    """Products, while there is time."""
    return Products(lambda: watch.in_time("residuals"), watch.added)


def eliminating(matrix: Any, variables: Variables, work: float) -> Damped | None:
    """A Schur complement, where it takes so many multiplications for each entry."""
    names, label = separable(matrix, variables.places)
    limit = work * matrix.nnz
    if not names or np.count_nonzero(label < 0) ** 3 / 3 > limit:
        return None
    plan = Plan(matrix, label)
    return Schur(plan, names) if plan.work <= limit else None


def factors(matrix: Any) -> Damped | None:
    """Banded or sparse factors, where they cost less than dense ones."""
    if not factors_stay_sparse(matrix):
        return None
    order, width = band(matrix)
    return Banded(matrix, order, width) if width <= WIDEST else Sparse()


def summed(matrix: Any, work: float) -> Damped | None:
    """Dense factors of the sum of sparse rows, where these take so many multiplications for each entry."""
    if matrix.shape[1] ** 3 / 3 > work * matrix.nnz:
        return None
    plan = Plan(matrix, np.full(matrix.shape[1], -1))
    return Schur(plan, ()) if plan.work <= work * matrix.nnz else None


def pattern(J: Jacobian) -> Any:
    """The pattern of J."""
    indptr, indices = J.structure()
    return sp.csr_array((np.ones(indices.size, np.float32), indices, indptr), shape=J.shape)
