"""Least squares: SciPy's `least_squares` on functions of matrices."""

from typing import Any

import numpy as np
from scipy import optimize

from matjac import checks
from matjac.conventions import Array
from matjac.solvers import arguments
from matjac.solvers.watch import ENDS, Callback, Watch

FACES = ("operator", "csr")


def least_squares(
    F: Any,
    *start: Any,
    jac: str = "operator",
    bounds: Any = None,
    x_scale: Any = "jac",
    progress: Callback | None = None,
    seconds: float | None = None,
    **options: Any,
) -> optimize.OptimizeResult:
    """Minimise ½‖F‖² by ``scipy.optimize.least_squares``, for a function of one or several matrices.

    The driver is SciPy's; what it lacks for matrices is here: packing, scales that need no matrix, a report of each
    step, and an end with the last good point where a value is not finite or the time is over.

    Parameters
    ----------
    F : Compiled or Function
        The residuals, an array of any shape.
    *start : array_like
        One for each variable.
    jac : {"operator", "csr"}, optional
        The Jacobian's face: matrix-free products, or a sparse matrix, fresh values on one pattern.
    bounds : tuple, optional
        ``(lower, upper)``, each a number for all entries, or a tuple with a number or an array for each variable: for U
        and V, ``((lower of U, lower of V), (upper of U, upper of V))``. None is no bound.
    x_scale : "jac", float or tuple, optional
        Scales of the variables: one over the norms of the Jacobian's columns at the start, or numbers, one for all
        or one part for each variable.
    progress : callable, optional
        Called with a `Progress` at each step; to return True stops the solver.
    seconds : float, optional
        Time after which it stops at the last good point.
    **options
        Of SciPy's ``least_squares``: ``method``, ``loss``, ``f_scale``, ``ftol``, ``max_nfev``, ``tr_options``, …

    Returns
    -------
    scipy.optimize.OptimizeResult
        SciPy's, with ``variables``, the arrays, and ``seconds``. Where it was stopped ``success`` is False, ``status``
        is -9, ``message`` says why and where, and of SciPy's fields there are ``x``, ``nfev``, ``njev``
        and, of a linear loss, ``cost``.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as described.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> K = np.array([[2.0, 1.0], [1.0, 2.0]])
    >>> F = mj.compile(lambda R: R.T @ R - K, (2, 2))
    >>> fit = mj.solvers.least_squares(F, np.eye(2))
    >>> (R,) = fit.variables
    >>> np.allclose(R.T @ R, K)
    True
    """
    F = arguments.flat(F)
    arguments.refuse(options, "fun", "x0", "args", "kwargs", "callback")
    checks.one_of("jac", jac, FACES)
    watch, x0 = Watch(F, progress, seconds), arguments.start(F, start)
    # arrays, for SciPy spreads numbers slowly
    options["bounds"] = arguments.bounds(F, bounds)
    arguments.within(F, x0, *options["bounds"])
    # SciPy's inner solver for operators wants two unknowns
    dense = options.get("method") == "lm" or x0.size == 1
    last: tuple[Array, Array] | None = None

    def residual(x: Array) -> Array:
        nonlocal last
        y = arguments.real(watch.call(F.fun, x))
        watch.evaluated("residuals", x, y)
        last = np.array(x), y
        return y

    def jacobian(x: Array) -> Any:
        y = last[1] if last is not None and np.array_equal(last[0], x) else F.fun(x)
        J = F.jac(x) if jac == "operator" else F.jac_csr(x)
        watch.derived("Jᵀ · residuals", x, J.T @ y)
        watch.went(x, 0.5 * float(y @ y))
        return J.toarray() if dense else J

    try:
        if isinstance(x_scale, str):
            checks.one_of("x_scale", x_scale, ("jac",))
            J = F.jac(x0)
            watch.derived("Jᵀ · residuals", x0, J.T @ residual(x0))
            norms = J.column_norms()
            options["x_scale"] = 1 / np.where(norms > 0, norms, 1)
        else:
            options["x_scale"] = F.variables.spread("x_scale", x_scale)
        result = optimize.least_squares(residual, x0, jacobian, **options)
    except ENDS as why:
        return watch.stopped(why, x0, **({"cost": watch.value} if options.get("loss", "linear") == "linear" else {}))
    return watch.finish(result)
