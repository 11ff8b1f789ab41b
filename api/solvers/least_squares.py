"""Least squares: Gauss–Newton, preconditioned L-BFGS, or SciPy's `least_squares`, on functions of matrices."""

from collections.abc import Collection
from functools import partial
from typing import Any, Literal, TypeAlias, get_args

import numpy.typing as npt

from matjac import checks
from matjac.solvers import arguments
from matjac.solvers import batch as batches
from matjac.solvers.blas import solver
from matjac.solvers.checkpoint import SECONDS
from matjac.solvers.damped import Damped, Dense
from matjac.solvers.eliminate import Unknown, asked_for, separable
from matjac.solvers.estimates import estimates
from matjac.solvers.fit import Fit
from matjac.solvers.losses import Loss
from matjac.solvers.methods import OPTIONS, SUMMED, Problem, by_gauss_newton, by_lbfgs, by_scipy
from matjac.solvers.summed import Summed, watched
from matjac.solvers.watch import Callback
from matjac.solvers.ways import cheap, choose, choose_summed, few, is_small

Face: TypeAlias = Literal["operator", "csr", "dense"]
Method: TypeAlias = Literal["gauss-newton", "lbfgs", "trf", "dogbox", "lm"]
FACES: tuple[Face, ...] = get_args(Face)
SCIPY: tuple[Method, ...] = ("trf", "dogbox", "lm")
METHODS: tuple[Method, ...] = get_args(Method)


@solver
def least_squares(
    F: arguments.Callee,
    *start: npt.ArrayLike,
    method: Method | None = None,
    eliminate: str | Literal[False] | None = None,
    batch: int | None = None,
    jac: Face | None = None,
    bounds: Any = None,
    x_scale: Any = None,
    progress: Callback | None = None,
    seconds: float | None = None,
    checkpoint: Any = None,
    checkpoint_seconds: float = SECONDS,
    **options: Any,
) -> Fit:
    """Minimise ½‖F‖² for a function of one or several matrices.

    "gauss-newton" takes steps of Levenberg and Marquardt in a trust region. "lbfgs" is limited-memory BFGS, without
    bounds in the metric of the diagonal blocks of JᵀJ, which the terms of a Jacobian give without it: one value and one
    gradient a step, and no matrix of J's size. The other methods are SciPy's; what they lack for matrices is here:
    packing, scales that need no matrix, a report of each step. All end with the last good point where a value is not
    finite or the time is over.

    Parameters
    ----------
    F : Compiled, Function or callable
        The residuals, an array of any shape; a plain function is compiled.
    *start : array_like
        One for each variable.
    method : {"gauss-newton", "lbfgs", "trf", "dogbox", "lm"}, optional
        Unless given: "trf" where an argument of SciPy's alone is given (`jac`, `x_scale`, ``tr_options``, …);
        "gauss-newton" where J is small; "lbfgs" where an unknown is eliminated; "gauss-newton" where J is sparse with
        factors that cost little; "trf" where J has no more than ten entries a column, but its factors cost much; else
        "lbfgs". The result's ``method`` says which it was, its `Fit.report` why.
    eliminate : str or False, optional
        The name of an unknown in which the residuals are linear, given the others: the method then minimises over the
        others, and solves for it at each point, exactly and between its bounds (variable projection; with Kaufman's
        Jacobian, which is dense as a matrix, where the method is not "lbfgs"). Its rows or columns are solved for one
        by one where each residual reaches one of them (U or V of UVᵀ with gaps, weights or ridges), else all together.
        Unless given, "lbfgs" eliminates such an unknown where the record of F shows it, its rows or columns have at
        most 64 entries and the loss is linear; False is none. The result's ``eliminated`` says which.
    batch : int, optional
        How many of the first axes of F's value, and of each variable, count problems of their own, whose residuals
        depend on their own unknowns alone: each is fitted for itself, all at the same time, by Levenberg and
        Marquardt's steps with a damping and an end of its own. Of the other arguments there are then `bounds`,
        `progress`, `seconds`, ``ftol``, ``xtol``, ``gtol`` (10⁻⁸ unless given; gtol is of the gradient's largest entry)
        and ``max_nit``, the most steps of a problem (200). In the result ``cost``, ``optimality``, ``converged`` and
        ``statuses`` are arrays of a number for each problem, and ``success`` says whether all have converged.
    jac : {"operator", "csr", "dense"}, optional
        The Jacobian's face for SciPy's methods: matrix-free products, a sparse matrix, fresh values on one pattern, or
        a dense one. A dense one for "lm", an operator for others, unless given. With ``method="gauss-newton"`` how its
        systems are solved: "dense" by Cholesky factors of JᵀJ, by singular values where that is nearly singular; "csr"
        by a Schur complement where a variable, or its rows or columns, is in each residual by one small block (as the
        points in bundle adjustment, which are found from the pattern), by banded factors, or sparse ones; "operator" by
        conjugate gradients, preconditioned by the diagonal blocks of JᵀJ, to a tenth of the gradient. Unless given,
        whichever is affordable in that order.
    bounds : tuple, optional
        ``(lower, upper)``, each a number for all entries, or a tuple with a number or an array for each variable: for U
        and V, ``((lower of U, lower of V), (upper of U, upper of V))``. None is no bound.
    x_scale : "jac", float or tuple, optional
        Scales of the variables for SciPy's methods: one over the norms of the Jacobian's columns at the start ("jac",
        unless given), or numbers, one for all or one part for each variable.
    progress : callable, optional
        Called with a `Progress` at each step; to return True stops the solver.
    seconds : float, optional
        Time after which it stops at the last good point.
    checkpoint : path, optional
        A file, for "gauss-newton" and "lbfgs": the state of the run is written there from time to time, and where it is
        stopped. Where the file is there at the start, the run goes on from it, with the same steps as if it had not
        ended. The file is replaced at once: a job may be killed at any time. It is a pickle: go on from your own only.
    checkpoint_seconds : float, optional
        The time between two of them, 60 unless given; 0 is at each step.
    **options
        Of SciPy's ``least_squares``. Our methods take ``loss``, ``f_scale``, ``max_nfev``, ``ftol``, ``xtol`` and
        ``gtol``. "lbfgs" stops where ten steps together reduce the cost by less than ftol of it, where a step is
        shorter than xtol of x, or where the residuals are orthogonal, up to gtol, to what J reaches. "gauss-newton"
        stops where one step reduced the cost by less than ftol of it and the model promised no more (not unless
        given), by xtol (10⁻¹⁰), where no cosine of the residuals with a column of J is above gtol, and where rounding
        decides which cost is less. Of a robust loss its model is that of the squares weighted by the loss's slopes.

    Returns
    -------
    Fit
        SciPy's result, with ``variables``, the arrays, ``method``, ``nit`` and ``seconds``; from our methods without
        ``jac``, and from "gauss-newton" with ``linear_algebra``, how its systems were solved.
        Where it was stopped ``success`` is False, ``status`` is -9, ``message`` says why and where, and of SciPy's
        fields there are ``x``, ``nfev``, ``njev`` and, of a linear loss, ``cost``.

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
    summed = isinstance(F, Summed)
    if isinstance(F, Summed):
        arguments.residuals(F.mine)
        _refuse("a sum over ranks", {"batch": batch, "x_scale": x_scale}, options)
        method, eliminate = _of_ranks(F, method, eliminate, jac)
    else:
        F = arguments.residuals(F)
    if batch is not None:
        alone = {"method": method, "eliminate": eliminate, "jac": jac, "x_scale": x_scale, "checkpoint": checkpoint}
        _refuse("batch", alone, options, batches.OPTIONS)
        given = {"bounds": bounds, "progress": progress, "seconds": seconds}
        return batches.batch_least_squares(F, *start, batch=batch, **given, **options)
    arguments.refuse(options, "fun", "x0", "args", "kwargs", "callback")
    if jac is not None:
        checks.one_of("jac", jac, FACES)
    if method is not None:
        checks.one_of("method", method, METHODS)
    F, watch = watched(F, progress, seconds)
    x0 = arguments.start(F, start)
    watch.begin(x0)
    if checkpoint is not None:
        watch.keeps(checkpoint, checkpoint_seconds)
    low, high = arguments.bounds(F, bounds)
    arguments.within(F, x0, low, high)
    problem = Problem(F, watch, x0, low, high)
    robust = not Loss(options.get("loss", "linear"), options.get("f_scale", 1.0)).linear
    scipys = jac is not None or x_scale is not None or not options.keys() <= OPTIONS.keys()
    why = "they are those of the sum of squares, not of a robust loss" if robust else ""
    told = partial(estimates, F, without="this rank has some of the rows alone" if summed else why)
    unknown = way = None
    if eliminate not in (None, False):
        if robust:
            raise ValueError(f"eliminate: got {eliminate!r} with a robust loss, expected loss='linear'")
        unknown = asked_for(F, eliminate, problem.start)
    rest = problem if unknown is None else problem.without(unknown)
    unasked = eliminate is None and not robust
    chosen: str = method or "trf"
    if summed:
        chosen, watch.why, way = choose_summed(rest.F, rest.x0, rest.watch, method, jac, unknown is not None)
    elif method is not None:
        watch.why = "as asked"
        if method == "lbfgs" and unasked:
            unknown = separable(F, problem.start)
    elif scipys:
        watch.why = "an argument of SciPy's"
    else:
        chosen, watch.why, way, unknown = _chosen(rest, unknown, unasked)
    if chosen == "lbfgs":
        _refuse(chosen, {"jac": jac, "x_scale": x_scale}, options)
        return by_lbfgs(problem, unknown, options).telling(told)
    rest.watch.why = watch.why
    if chosen == "gauss-newton":
        _refuse(chosen, {"x_scale": x_scale}, options)
        way = way or choose(rest.F.jac(rest.x0), rest.F.variables, jac, rest.watch)
        fit = by_gauss_newton(rest, way, SUMMED | options if summed else options)
    else:
        _refuse(chosen, {"checkpoint": checkpoint}, options, options)
        fit = by_scipy(rest, chosen, jac or "operator", "jac" if x_scale is None else x_scale, options)
    fit.setdefault("eliminated", None)
    fit = fit if rest is problem else problem.of_all(rest, fit)
    return fit.telling(told)


def _chosen(problem: Problem, unknown: Unknown | None, unasked: bool) -> tuple[str, str, Damped | None, Unknown | None]:
    """The method, why, what makes its steps, and the unknown that it eliminates: the one asked for, or one unasked."""
    F, J = problem.F, problem.F.jac(problem.x0)
    if is_small(*J.shape):
        return "gauss-newton", "its steps cost little", Dense(), unknown
    if unknown is None and unasked:
        unknown = separable(F, problem.start)
    if unknown is not None:
        return "lbfgs", f"the residuals are linear in {unknown[0]}", None, unknown
    way = cheap(J, F.variables)
    if way is not None:
        return "gauss-newton", "its steps cost little", way, None
    return ("trf", "J has few entries a column", None, None) if few(J) else ("lbfgs", "J is large", None, None)


def _of_ranks(F: Summed, method: Method | None, eliminate: Any, jac: Face | None) -> tuple[Method | None, Any]:
    """The method and what is eliminated, as asked for of a sum over ranks."""
    if method in SCIPY:
        raise ValueError(f"method: got {method!r} for a sum over ranks, expected 'gauss-newton', 'lbfgs' or None")
    if jac == "csr":
        raise ValueError("jac: got 'csr' for a sum over ranks, expected 'dense', 'operator' or None")
    expected = F.owned[0] if F.owned else None
    if eliminate is None:
        eliminate = expected or False
    elif (eliminate or None) != expected:
        rest = f"{expected!r}, which its rank owns" if expected else "an unknown that its rank owns, or None"
        raise ValueError(f"eliminate: got {eliminate!r} for a sum over ranks, expected {rest}")
    return method or ("gauss-newton" if jac else None), eliminate


def _refuse(method: str, given: dict[str, Any], options: dict[str, Any], taken: Collection[str] = OPTIONS) -> None:
    """Refuse what a method of ours does not take, of arguments and of options."""
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"{name}: got {value!r} for {method}, which takes none")
    unknown = sorted(options.keys() - {*taken})
    if unknown:
        expected = ", ".join(taken)
        raise TypeError(f"{unknown[0]}: got an option that {method} does not take, expected one of {expected}")
