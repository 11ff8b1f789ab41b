"""Systems of equations of matrices: Newton's method with the Jacobian as it is cheapest, or SciPy's `root`."""

from functools import partial
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
from scipy import optimize
from scipy.sparse.linalg import LinearOperator

from matjac import checks
from matjac.conventions import Array
from matjac.flat import Flat
from matjac.solvers import arguments, newton
from matjac.solvers.blas import solver
from matjac.solvers.fit import Fit
from matjac.solvers.steps import choose, sparse_lu
from matjac.solvers.watch import ENDS, Callback, Stopped, Watch

Face: TypeAlias = Literal["dense", "csr", "operator"]
FACES: tuple[Face, ...] = get_args(Face)
#: SciPy's methods, the first of which approximate the Jacobian.
Quasi: TypeAlias = Literal[
    "krylov", "broyden1", "broyden2", "anderson", "linearmixing", "diagbroyden", "excitingmixing"
]
Method: TypeAlias = Literal[Quasi, "df-sane", "hybr", "lm"]
QUASI: tuple[Quasi, ...] = get_args(Quasi)
METHODS: tuple[Method, ...] = get_args(Method)
#: The largest residual that SciPy calls zero where no `tol` is given.
LARGEST = float(np.finfo(float).eps ** (1 / 3))
#: Evaluations without a residual smaller by a hundredth after which SciPy's Newton–Krylov stalls.
STALL = 200
#: Steps of Newton's method unless given, damped ones before another way is tried, and the steps of that.
STEPS, DAMPED, OTHER = 200, 30, 200


class NewtonPreconditioner(LinearOperator):  # type: ignore[misc]
    """The inverse of the sparse Jacobian at the last iterate: ``inner_M`` of SciPy's Newton–Krylov.

    Parameters
    ----------
    F : Compiled or Function
        With as many values as entries of its variables.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> from scipy.optimize import newton_krylov
    >>> A = np.array([[4.0, 1.0], [0.0, 9.0]])
    >>> F = mj.compile(lambda X: X @ X - A, (2, 2))
    >>> M = mj.solvers.NewtonPreconditioner(F)
    >>> M.update(F.pack(A), None)
    >>> x = newton_krylov(F.fun, F.pack(A), method="gmres", inner_M=M)
    >>> np.allclose(F.fun(x), 0, atol=1e-4)
    True
    """

    def __init__(self, F: Any) -> None:
        self.F: Flat = arguments.flat(F)
        size = self.F.variables.size
        super().__init__(np.dtype(float), (size, size))
        self._solve: Any = None

    def update(self, x: Array, f: Any) -> None:
        """Factorise the Jacobian at x; SciPy calls it at each iterate."""
        self._solve = sparse_lu(self.F.jac_csr(np.ravel(x)))

    def _matvec(self, x: Array) -> Array:
        return self._solve(np.ravel(x))  # type: ignore[no-any-return]


@partial(solver, factors=True)
def root(
    F: arguments.Callee,
    *start: npt.ArrayLike,
    method: Method | None = None,
    jac: Face | None = None,
    tol: float | None = None,
    progress: Callback | None = None,
    seconds: float | None = None,
    options: dict[str, Any] | None = None,
) -> Fit:
    """Solve F = 0 for one or several matrices, by Newton's method or by those of ``scipy.optimize.root``.

    Newton's direction is searched along for a smaller ‖F‖; where there is none, as where the Jacobian is singular, the
    steps are those of Levenberg and Marquardt, ``(JᵀJ + λD²) p = −JᵀF``. Where these crawl too, SciPy's Newton–Krylov,
    which may go uphill, is tried from the start.

    Parameters
    ----------
    F : Compiled, Function or callable
        With as many values as entries of its variables; a plain function is compiled.
    *start : array_like
        One for each variable.
    method : str, optional
        One of SciPy's, instead of Newton's: "hybr" and "lm", which get a dense Jacobian; "krylov", its Newton–Krylov
        by differences, preconditioned by the sparse Jacobian's factors at each iterate; "df-sane", "broyden1", …
    jac : {"dense", "csr", "operator"}, optional
        How Newton's method solves with the Jacobian: by LAPACK, by sparse factors (SuperLU), or by products alone
        (GMRES, and LSMR for damped steps). Unless given it is dense for few unknowns, sparse where a bound of the
        factors' fill says that this pays, else by products; where these converge slowly they are preconditioned by
        dense factors of a point before, up to 6,000 unknowns.
    tol : float, optional
        The largest residual at a solution, in absolute value. Unless given it is the largest of three: 10⁻¹⁰ times the
        largest entry of J x, which is what the terms of F are that cancel at a solution; 10⁻¹⁴, or that times the
        largest residual at the start where this is below 1; and what rounding makes of the terms of J x. SciPy's
        methods have their own ways to end; what they end at is a solution where the largest residual is at most `tol`
        (6·10⁻⁶ unless given), times the largest entry of J x where that is above 1.
    progress, seconds
        As in `least_squares`; inner iterations end with the time too, a factorisation that has begun does not.
    options : dict, optional
        ``maxiter``, the most steps of Newton's method (200); of another method SciPy's.

    Returns
    -------
    Fit
        ``x``, ``variables``, ``fun`` (the residuals, flat), ``success``, ``status``, ``message``, ``method`` (what was
        chosen), ``nit``, ``nfev``, ``njev`` and ``seconds``. Success is judged by the residuals alone. Newton's status
        is 1 at a solution, 0 where there were too many steps, 2 at a local minimum of ‖F‖, 3 where no step makes it
        smaller or all do by little; of SciPy's methods it is SciPy's, or -1 where that said success at residuals that
        are not small. Stopped as in `least_squares`.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as described.

    Notes
    -----
    Source: Dennis and Schnabel, *Numerical Methods for Unconstrained Optimization and Nonlinear Equations*, chapter 6;
    Eisenstat and Walker, *Choosing the forcing terms in an inexact Newton method* (1996), choice 2.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> A = np.array([[4.0, 1.0], [0.0, 9.0]])
    >>> F = mj.compile(lambda X: X @ X - A, (2, 2))
    >>> fit = mj.solvers.root(F, A)
    >>> (X,) = fit.variables
    >>> fit.method, np.allclose(X @ X, A)
    ('newton-dense', True)
    """
    F, given = arguments.by_free(arguments.flat(F), start), dict(options or {})
    if method is not None:
        checks.one_of("method", method, METHODS)
    if jac is not None:
        checks.one_of("jac", jac, FACES)
        if method is not None:
            raise ValueError(f"jac: got {jac!r} for SciPy's {method!r}, expected it for Newton's method alone")
    if tol is not None:
        arguments.tolerance("tol", tol)
    if method is not None:
        arguments.documented(given, "root", method)
    elif set(given) - {"maxiter"}:
        raise ValueError(f"options: got {sorted(given)}, expected maxiter alone for Newton's method")
    run = _Run(F, arguments.start(F, start), Watch(F, progress, seconds), tol)
    run.watch.why = "by size and fill" if method is None and jac is None else "as asked"
    try:
        result = run.by_newton(jac, given) if method is None else run.by_scipy(method, given)
    except ENDS as why:
        if isinstance(why, np.linalg.LinAlgError) and run.watch.value == 0:
            # SciPy asks for the factors at a solution too, where they need not exist
            solved = {"success": True, "status": 1, "message": "The residuals are zero."}
            result = optimize.OptimizeResult(x=run.watch.point, fun=run.values, nit=run.watch.nit, **solved)
        else:
            stalled = "yielded zero vector" in str(why)  # SciPy's Krylov solver: no direction helps
            why = Stopped(f"equations: {why}") if stalled else why
            chosen = {"method": method or run.name, "fun": run.values}
            return run.watch.stopped(why, run.x0, **chosen)
    result.method, result.nfev, result.njev = method or run.name, run.watch.evaluations, run.watch.derivatives
    result.setdefault("nit", run.watch.nit)
    return run.watch.finish(result)


class _Run:
    """One run: values on their way to a solver, and what it takes of them."""

    def __init__(self, F: Flat, x0: Array, watch: Watch, tol: float | None) -> None:
        self.F, self.x0, self.watch, self.tol = F, x0, watch, tol
        #: the residuals at the last good point
        self.values = np.full(x0.size, np.nan)
        self.name = "newton"

    def value(self, x: Array) -> Array:
        """The residuals, counted."""
        y = arguments.real(self.watch.call(self.F.values, x))
        self.watch.evaluated("equations", x, y)
        return y

    def better(self, x: Array) -> Array:
        """The residuals, noted where the largest is smaller than before."""
        y = self.value(x)
        largest = float(np.abs(y).max(initial=0.0))
        if largest < self.watch.value:
            self.values = y
            self.watch.went(x, largest)
        return y

    def in_time(self) -> None:
        """Stop where the time is over: between evaluations too."""
        self.watch.in_time("equations")

    def went(self, at: newton.State) -> None:
        """Note a point that Newton's method went to."""
        self.values = at.y
        self.watch.went(at.x, at.largest)

    def by_newton(self, jac: str | None, options: dict[str, Any]) -> optimize.OptimizeResult:
        """Newton's method; where it crawls SciPy's Newton–Krylov, and Newton's from there, if it is better."""
        maxiter = int(checks.array("maxiter", options.get("maxiter", STEPS), 0))
        at = newton.State(self.x0, self.value(self.x0))
        arguments.square(self.F, at.y)
        self.went(at)
        steps, first = choose(self.F, self.x0, jac, self.in_time), at.largest
        self.name = steps.name

        def solve(at: newton.State, maxiter: int, damped: int, damping: float = 0.0) -> optimize.OptimizeResult:
            limits = first, maxiter, damped, damping
            fit = newton.solve(at, self.value, self.went, steps, self.watch, self.tol, *limits)
            self.name = steps.name
            return fit

        fit = solve(at, maxiter, DAMPED)
        if fit.status in (newton.STATIONED, newton.SLOW):
            other = self._uphill()
            if other is not None and other.norm < fit.state.norm:
                self.went(other)
                self.name += ", Newton–Krylov uphill"
                more = solve(other, maxiter - fit.nit, maxiter)
            else:
                more = solve(fit.state, maxiter - fit.nit, maxiter, newton.FIRST)
            more.nit, more.damped = more.nit + fit.nit, more.damped + fit.damped
            fit = more
        at = fit.pop("state")
        damped = f", {fit.damped} of them damped" if fit.damped else ""
        fit.message = f"{self.name}: {fit.message}; the largest residual is {at.largest:.3g}, {fit.nit} steps{damped}"
        return optimize.OptimizeResult(fit, fun=at.y, success=fit.status == newton.SOLVED)

    def _uphill(self) -> newton.State | None:
        """Where SciPy's Newton–Krylov comes from the start: its short inexact steps are taken uphill too."""
        try:
            settings = {"fatol": LARGEST, "maxiter": OTHER}
            with np.errstate(all="ignore"):
                found = optimize.root(self.value, self.x0, method="krylov", options=settings)
        except ENDS as why:
            self.in_time()
            if why is self.watch.mistake:
                raise
            return None
        finally:
            # what was not finite there is no trouble of where we are
            self.watch.failures = 0
        at = newton.State(found.x, np.ravel(found.fun))
        return at if np.isfinite(at.norm) else None

    def by_scipy(self, method: str, options: dict[str, Any]) -> optimize.OptimizeResult:
        """SciPy's method; what it ends at is a solution where its residuals are small."""
        best, improved, tol = np.inf, 0, self.tol

        def residual(x: Array) -> Array:
            nonlocal best, improved
            y = self.better(x)
            largest = float(np.abs(y).max(initial=0.0))
            if largest < 0.99 * best:
                best, improved = largest, self.watch.evaluations
            elif method == "krylov" and self.watch.evaluations - improved > STALL:
                still = f"the largest is still {self.watch.value:.3g}, after {STALL} more evaluations"
                raise Stopped(f"equations: {still}")
            return y

        def dense(x: Array) -> Array:
            matrix: Array = self.F.jac(x).toarray()
            self.watch.derived("Jacobian", x, matrix)
            return matrix

        arguments.square(self.F, residual(self.x0))
        if method == "krylov":
            preconditioner = NewtonPreconditioner(self.F)
            preconditioner.update(self.x0, None)
            # SciPy's own choice, LGMRES, goes astray where it is preconditioned
            inner = {"method": "gmres", "inner_M": preconditioner, **(options.get("jac_options") or {})}
            options["jac_options"] = inner
        if tol is not None and method in QUASI:
            # by a `tol` SciPy means that of steps here, and a short one is no solution
            options.setdefault("fatol", tol)
        elif tol is not None and method == "df-sane":
            options.update({"fatol": tol, "ftol": 0.0, **options})
        given = {"jac": dense, "tol": tol} if method in ("hybr", "lm") else {}
        result = optimize.root(residual, self.x0, method=method, options=options, **given)
        if not np.isfinite(result.fun).all():
            raise Stopped(self.watch.trouble)
        largest = float(np.abs(result.fun).max(initial=0.0))
        terms = float(np.abs(self.F.jac(result.x) @ result.x).max(initial=0.0))
        if result.success and largest > (LARGEST if tol is None else tol) * max(1.0, terms):
            said = f"{method} ended ({result.message.strip()}), but the largest residual is {largest:.3g}"
            result.success, result.status, result.message = False, -1, said
        return result
