"""Systems of equations: SciPy's `root` on functions of matrices, Newton–Krylov with the exact Jacobian's factors."""

from typing import Any

import numpy as np
from scipy import optimize
from scipy.sparse.linalg import LinearOperator, splu

from matjac.conventions import Array
from matjac.flat import Flat
from matjac.solvers import arguments
from matjac.solvers.watch import ENDS, Callback, Stopped, Watch

#: Evaluations without a residual smaller by a hundredth after which Newton–Krylov stalls: it would go on for long.
STALL = 200


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
    >>> x = newton_krylov(F.fun, F.pack(A), inner_M=M)
    >>> np.allclose(F.fun(x), 0, atol=1e-4)
    True
    """

    def __init__(self, F: Any) -> None:
        self.F: Flat = arguments.flat(F)
        size = self.F.variables.size
        super().__init__(np.dtype(float), (size, size))
        self._factors: Any = None

    def update(self, x: Array, f: Any) -> None:
        """Factorise the Jacobian at x; SciPy calls it at each iterate."""
        matrix = self.F.jac_csr(np.ravel(x)).tocsc().astype(float)
        if not np.isfinite(matrix.data).all():
            raise np.linalg.LinAlgError("Jacobian: entries are not finite")
        try:
            self._factors = splu(matrix)
        except RuntimeError as error:
            raise np.linalg.LinAlgError(f"Jacobian: {error}") from None

    def _matvec(self, x: Array) -> Array:
        return self._factors.solve(np.ravel(x))  # type: ignore[no-any-return]


def root(
    F: Any,
    *start: Any,
    method: str = "krylov",
    progress: Callback | None = None,
    seconds: float | None = None,
    **options: Any,
) -> optimize.OptimizeResult:
    """Solve F = 0 for one or several matrices by ``scipy.optimize.root``.

    Parameters
    ----------
    F : Compiled or Function
        With as many values as entries of its variables.
    *start : array_like
        One for each variable.
    method : str, optional
        SciPy's. "krylov", Newton–Krylov, is preconditioned by the sparse Jacobian's factors at each iterate; "hybr" and
        "lm" get a dense one; the others use none.
    progress, seconds
        As in `least_squares`.
    **options
        Of ``scipy.optimize.root``: ``tol``, ``options``.

    Returns
    -------
    scipy.optimize.OptimizeResult
        SciPy's, with ``variables`` and ``seconds``; stopped as in `least_squares`.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as described.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> A = np.array([[4.0, 1.0], [0.0, 9.0]])
    >>> F = mj.compile(lambda X: X @ X - A, (2, 2))
    >>> (X,) = mj.solvers.root(F, A).variables
    >>> np.allclose(X @ X, A, atol=1e-4)
    True
    """
    F = arguments.flat(F)
    arguments.refuse(options, "fun", "x0", "args", "jac", "callback")
    watch, x0 = Watch(F, progress, seconds), arguments.start(F, start)

    best, improved = np.inf, 0

    def residual(x: Array) -> Array:
        nonlocal best, improved
        y = arguments.real(watch.call(F.fun, x))
        watch.evaluated("equations", x, y)
        largest = float(np.abs(y).max(initial=0.0))
        if largest < watch.value:
            watch.went(x, largest)
        if largest < 0.99 * best:
            best, improved = largest, watch.evaluations
        elif method == "krylov" and watch.evaluations - improved > STALL:
            raise Stopped(f"equations: the largest is still {watch.value:.3g}, after {STALL} more evaluations")
        return y

    def dense(x: Array) -> Array:
        matrix: Array = F.jac(x).toarray()
        watch.derived("Jacobian", x, matrix)
        return matrix

    try:
        arguments.square(F, residual(x0))
        if method == "krylov":
            preconditioner = NewtonPreconditioner(F)
            preconditioner.update(x0, None)
            settings = options.get("options") or {}
            inner = {"inner_M": preconditioner, **settings.get("jac_options", {})}
            options["options"] = {**settings, "jac_options": inner}
        result = optimize.root(residual, x0, method=method, jac=dense if method in ("hybr", "lm") else None, **options)
        if not np.isfinite(result.fun).all():
            raise Stopped(watch.trouble)
    except ENDS as why:
        if isinstance(why, np.linalg.LinAlgError) and watch.value == 0:
            # SciPy asks for the factors at a solution too, where they need not exist
            found = {"success": True, "status": 1, "message": "The residuals are zero.", "fun": np.zeros(x0.size)}
            return watch.finish(optimize.OptimizeResult(x=watch.point, nfev=watch.evaluations, **found))
        stalled = "yielded zero vector" in str(why)  # SciPy's Krylov solver: no direction helps
        return watch.stopped(Stopped(f"equations: {why}") if stalled else why, x0, fun=watch.value)
    return watch.finish(result)
