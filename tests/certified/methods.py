"""How the certified problems are solved: by the plain call."""

import numpy as np

from matjac.solvers import least_squares

PLAIN = "default"
#: what is tried
METHODS = [PLAIN]


def solve(F, *start, method=PLAIN, **options):
    """A fit whose trial points may overflow, which is no error of the solver's."""
    named = {} if method == PLAIN else {"method": method}
    with np.errstate(all="ignore"):
        return least_squares(F, *start, **named, **options)
