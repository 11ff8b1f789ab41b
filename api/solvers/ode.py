"""Matrix differential equations: SciPy's `solve_ivp`, implicit methods with the sparse Jacobian."""

from typing import Any

import numpy as np
from scipy import integrate, optimize

from matjac import checks
from matjac.conventions import Array
from matjac.solvers import arguments
from matjac.solvers.watch import ENDS, Callback, Stopped, Watch

#: Methods that take a Jacobian, as a sparse matrix.
IMPLICIT = ("Radau", "BDF")


def solve_ivp(
    F: Any,
    t_span: Any,
    start: Any,
    method: str = "BDF",
    progress: Callback | None = None,
    seconds: float | None = None,
    **options: Any,
) -> optimize.OptimizeResult:
    r"""Integrate Ẋ = F(X) for one matrix X, F not of the time, by ``scipy.integrate.solve_ivp``.

    Parameters
    ----------
    F : Compiled or Function
        The right-hand side: of one variable, with as many values.
    t_span : tuple of float
        From when, until when.
    start : array_like
        X at the beginning.
    method : str, optional
        SciPy's. "BDF" and "Radau" get the sparse Jacobian of F; explicit methods need none.
    progress, seconds
        As in `least_squares`; the value of a `Progress` is the time.
    **options
        Of ``scipy.integrate.solve_ivp``: ``rtol``, ``atol``, ``events``, ``t_eval``, … Events get, and ``sol`` of
        ``dense_output`` gives, flat vectors: `F.unpack` makes matrices of them.

    Returns
    -------
    scipy.optimize.OptimizeResult
        SciPy's, with ``states``, an array (times, \*shape), ``variables``, the last of them, and ``seconds``. Where it
        was stopped ``t`` and ``states`` are the steps until then, ``status`` is -9 and ``message`` says why.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as described.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> K = np.array([[2.0, 1.0], [1.0, 2.0]])
    >>> flow = mj.compile(lambda R: -R @ (R.T @ R - K), (2, 2))
    >>> (R,) = mj.solvers.solve_ivp(flow, (0, 50), np.eye(2)).variables
    >>> np.allclose(R.T @ R, K, atol=1e-3)
    True
    """
    F = arguments.flat(F)
    arguments.refuse(options, "fun", "y0", "args", "jac", "vectorized")
    x0 = arguments.start(F, (start,), allow_complex=True)
    t0 = checks.shaped("t_span", t_span, (2,))[0]
    watch = Watch(F, progress, seconds)
    times: list[float] = []
    points: list[Array] = []

    def slope(t: float, x: Array) -> Array:
        y = watch.call(F.fun, x)
        if x0.dtype.kind != "c":
            arguments.real(y)
        watch.evaluated("right-hand side", x, y, f" at t = {t:.6g}")
        return y

    def jacobian(t: float, x: Array) -> Any:
        J = F.jac_csr(x)
        watch.derived(f"Jacobian at t = {t:.6g}", x, J.data)
        return J

    def stepped(t: float, x: Array) -> float:
        # an event that never happens is how SciPy tells of each step it took; LSODA goes on with NaN
        if not np.isfinite(x).all():
            raise Stopped(watch.trouble)
        times.append(t)
        points.append(x)
        watch.went(x, t)
        return 1.0

    events = options.pop("events", None) or []
    try:
        arguments.square(F, slope(float(t0), x0))
        if method in IMPLICIT:
            options["jac"] = jacobian
        given = [events] if callable(events) else list(events)
        result = integrate.solve_ivp(slope, t_span, x0, method=method, events=[*given, stepped], **options)
        result.t_events, result.y_events = ((a or [])[:-1] or None for a in (result.t_events, result.y_events))
    except ENDS as why:
        result = watch.stopped(why, x0, t=np.array(times or [float(t0)]), y=np.stack(points or [x0], axis=1))
    if result.status == -1:
        result.message = f"at t = {(times or [t0])[-1]:.6g}: {result.message}"
    # no states where it ended before the first of t_eval; then the last is that of the event, or of the last step
    states = list(np.transpose(result.y)) if len(result.t) else []
    result.states = np.array([F.unpack(x)[0] for x in states]).reshape(len(states), *F.variables.shapes[0])
    last = (points or [x0])[-1]
    if result.status == 1:
        at = [(abs(t[-1] - t0), x[-1]) for t, x in zip(result.t_events, result.y_events, strict=True) if len(t)]
        last = max(at, key=lambda event: event[0])[1]
    result.x = states[-1] if states else last
    return watch.finish(result)
