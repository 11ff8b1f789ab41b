"""How the certified problems are solved: the plain call, and each method by name."""

import numpy as np

from matjac.solvers import least_squares

#: what is tried: options of `least_squares` by name
METHODS = {"default": {}, "trf": {"method": "trf"}}


def solve(F, *start, method="default", **options):
    """A fit whose trial points may overflow, which is no error of the solver's."""
    with np.errstate(all="ignore"):
        return least_squares(F, *start, **METHODS[method], **options)
