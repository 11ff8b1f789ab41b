"""Matrix differential equations: SciPy's `solve_ivp`, implicit methods with the exact Jacobian, dense or sparse."""

import inspect
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import integrate

from matjac import checks
from matjac.conventions import Array
from matjac.flat import Flat, Variables
from matjac.solvers import arguments
from matjac.solvers.blas import calm
from matjac.solvers.fit import Fit
from matjac.solvers.steps import factors_stay_sparse
from matjac.solvers.watch import ENDS, Callback, Stopped, Watch
from matjac.tracing.compiled import Compiled

#: Methods that take a Jacobian.
IMPLICIT = ("Radau", "BDF")
FACES = ("dense", "csr")
#: What solvers of SciPy's take that is not for the caller to give.
_OURS = {"fun", "t0", "y0", "t_bound", "vectorized", "extraneous", "jac", "jac_sparsity"}


class _Flow:
    """A right-hand side as a function of the time and the flat unknowns, whether F is of the time or not."""

    def __init__(self, F: Flat) -> None:
        kinds, names = F.variables.kinds, F.variables.names
        self.F, self.timed = F, len(kinds) > 1 and kinds[0] == ()
        self.variables = Variables(*kinds[1:], order=F.order, names=names[1:]) if self.timed else F.variables
        self.pack, self.unpack = self.variables.pack, self.variables.unpack
        #: the last matrix, whose index arrays the next one shares
        self._kept: Any = None

    def point(self, t: float, x: Array) -> Array:
        """The flat vector of F's variables."""
        return np.concatenate([[t], x]) if self.timed else x

    def fun(self, t: float, x: Array) -> Array:
        """The slope."""
        return self.F.values(self.point(t, x))

    def jac(self, t: float, x: Array, face: str) -> Any:
        """Its Jacobian by the unknowns, an array or a csr_array."""
        if self.timed and isinstance(self.F, Compiled):
            J, cut = self.F.jacobian(t, *self.unpack(x), wrt=self.variables.names), 0
        else:
            J, cut = self.F.jac(self.point(t, x)), int(self.timed)
        if face == "dense":
            return J.toarray()[:, cut:]
        self._kept = J.tocsr()
        return self._kept[:, cut:] if cut else self._kept


@partial(calm, factors=True)
def solve_ivp(
    F: arguments.Callee,
    t_span: npt.ArrayLike,
    start: npt.ArrayLike | tuple[npt.ArrayLike, ...],
    method: Any = "BDF",
    jac: Literal["dense", "csr"] | None = None,
    progress: Callback | None = None,
    seconds: float | None = None,
    **options: Any,
) -> Fit:
    r"""Integrate Ẋ = F(X) or Ẋ = F(t, X), for one matrix X or several, by ``scipy.integrate.solve_ivp``.

    Parameters
    ----------
    F : Compiled, Function or callable
        The right-hand side, with as many values as X has entries; of a symmetric, triangular, diagonal or partly known
        X whole matrices of that structure. A first variable of shape (), where there are others, is the time. A plain
        function is compiled: of the time first where it takes one argument more than there are unknowns.
    t_span : tuple of float
        From when, until when.
    start : array_like or tuple of array_like
        X at the beginning; where there are several unknowns, a tuple with one for each.
    method : str, optional
        SciPy's. "BDF" and "Radau" get the exact Jacobian of F by X; the others need none.
    jac : {"dense", "csr"}, optional
        How "BDF" and "Radau" get it: dense, whose factors are LAPACK's, or sparse, whose factors are SuperLU's. Unless
        given it is sparse where a bound of the factors' fill says that this pays.
    progress, seconds
        As in `least_squares`; the value of a `Progress` is the time.
    **options
        Of ``scipy.integrate.solve_ivp``: ``rtol``, ``atol``, ``events``, ``t_eval``, … Events get, and ``sol`` of
        ``dense_output`` gives, flat vectors: `F.unpack` makes matrices of them where F is not of the time.

    Returns
    -------
    Fit
        SciPy's result, with ``states``, an array (times, \*shape), or a tuple of one for each of several unknowns;
        ``variables``, the last of them; ``nit``, the steps taken; ``jac``, how the Jacobian was given, or None; and
        ``seconds``. Where it was stopped ``t`` and ``states`` are the steps until then, ``status`` is -9 and
        ``message`` says why.

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

    Where F is of the time it is the first variable, a number:

    >>> forced = mj.compile(lambda t, X: np.cos(t) * X, (), (2, 2))
    >>> (X,) = mj.solvers.solve_ivp(forced, (0, 2), np.eye(2), rtol=1e-8, atol=1e-8).variables
    >>> np.allclose(X, np.exp(np.sin(2)) * np.eye(2), atol=1e-5)
    True
    """
    flow = _Flow(_flat(F, start))
    arguments.refuse(options, "fun", "y0", "args", "vectorized")
    _known(method, options)
    if jac is not None:
        checks.one_of("jac", jac, FACES)
        if method not in IMPLICIT:
            raise ValueError(f"jac: got {jac!r} for {method}, which takes no Jacobian: expected it for Radau or BDF")
    x0 = _start(flow, start)
    t0 = checks.shaped("t_span", checks.finite("t_span", t_span), (2,))[0]
    flow.F = arguments.by_free(flow.F, flow.F.unpack(flow.point(t0, x0)))
    watched: Any = flow
    watch = Watch(watched, progress, seconds)
    times: list[float] = []
    points: list[Array] = []

    def slope(t: float, x: Array) -> Array:
        y = watch.call(lambda x: flow.fun(t, x), x)
        if x0.dtype.kind != "c":
            arguments.real(y)
        watch.evaluated("right-hand side", x, y, f" at t = {t:.6g}")
        return y

    def jacobian(t: float, x: Array) -> Any:
        J = flow.jac(t, x, face)
        watch.derived(f"Jacobian at t = {t:.6g}", x, J if face == "dense" else J.data)
        return J

    def stepped(t: float, x: Array) -> float:
        # an event that never happens is how SciPy tells of each step it took; LSODA goes on with NaN
        if not np.isfinite(x).all():
            raise Stopped(watch.trouble)
        times.append(t)
        points.append(x)
        watch.went(x, t)
        return 1.0

    events, face = options.pop("events", None) or [], jac or "dense"
    try:
        y0 = slope(float(t0), x0)
        if y0.size != x0.size:
            raise ValueError(f"F: got {y0.size} values of {x0.size} unknowns, expected as many")
        if method in IMPLICIT:
            if jac is None and factors_stay_sparse(flow.jac(float(t0), x0, "csr")):
                face = "csr"
            options["jac"] = jacobian
        given = [events] if callable(events) else list(events)
        result = integrate.solve_ivp(slope, t_span, x0, method=method, events=[*given, stepped], **options)
        result.t_events, result.y_events = ((a or [])[:-1] or None for a in (result.t_events, result.y_events))
    except ENDS as why:
        result = watch.stopped(why, x0, t=np.array(times or [float(t0)]), y=np.stack(points or [x0], axis=1))
    if result.status == -1:
        result.message = f"at t = {(times or [t0])[-1]:.6g}: {result.message}"
    # no states where it ended before the first of t_eval; then the last is that of the event, or of the last step
    states = np.transpose(result.y) if len(result.t) else np.empty((0, x0.size))
    parts = [flow.unpack(x) for x in states]
    shapes = flow.variables.shapes
    arrays = [np.array([p[k] for p in parts]).reshape(len(parts), *shape) for k, shape in enumerate(shapes)]
    result.states = arrays[0] if len(arrays) == 1 else tuple(arrays)
    last = (points or [x0])[-1]
    if result.status == 1:
        at = [(abs(t[-1] - t0), x[-1]) for t, x in zip(result.t_events, result.y_events, strict=True) if len(t)]
        last = max(at, key=lambda event: event[0])[1]
    result.x = states[-1] if len(states) else last
    result.method = method if isinstance(method, str) else method.__name__
    watch.why = f"{face} Jacobian" if method in IMPLICIT else "no Jacobian"
    result.nit, result.jac = max(len(times) - 1, 0), face if method in IMPLICIT else None
    return watch.finish(result)


def _flat(F: Any, start: Any) -> Flat:
    """The right-hand side; a plain function is compiled for the unknowns, and for the time where it is of that too."""
    if isinstance(F, Flat) or not callable(F):
        return arguments.flat(F, ())
    unknowns = start if isinstance(start, tuple) else (start,)
    timed = arguments.parameters(F)[0] == len(unknowns) + 1
    return arguments.flat(F, (0.0, *unknowns) if timed else unknowns)


def _known(method: Any, options: dict[str, Any]) -> None:
    """Refuse options that the method has not: SciPy would ignore them."""
    solver = getattr(integrate, method, None) if isinstance(method, str) else method
    if not isinstance(solver, type):
        # SciPy has a better word on that
        return
    names = {"t_eval", "dense_output", "events", *inspect.signature(solver).parameters} - _OURS
    unknown = sorted(options.keys() - names)
    if unknown:
        expected = ", ".join(sorted(names))
        raise TypeError(f"options: got {unknown[0]!r}, which {method} does not take, expected some of {expected}")


def _start(flow: Any, start: Any) -> Array:
    """The flat vector of the unknowns at the beginning."""
    several = len(flow.variables.shapes) > 1
    if several and not isinstance(start, tuple | list):
        raise TypeError(f"start: got {checks.describe(start)}, expected a tuple with {', '.join(flow.variables.names)}")
    return arguments.start(flow, start if several else (start,), allow_complex=True)
