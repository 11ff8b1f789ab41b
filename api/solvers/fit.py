"""What a solver returns: SciPy's result, with a report and a picture of the way there."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from matjac.conventions import Array
from matjac.extras import axes
from matjac.flat import Variables

if TYPE_CHECKING:
    # of SciPy's any attribute would do, also one that is misspelt
    Result = dict[str, Any]
else:
    from scipy.optimize import OptimizeResult as Result

#: Entries of the gradient that a report shows.
SHOWN = 3


class Fit(Result):
    r"""The result of a solver: a dictionary with attributes, as SciPy's ``OptimizeResult``.

    Attributes
    ----------
    variables : tuple of numpy.ndarray
        The unknowns, one array each; ``x`` is all of them as one flat vector.
    history : numpy.ndarray
        Of shape (points, 2): the seconds since the start, and the value there, of the start and of each step. The value
        is what a `Progress` tells.
    unknowns : Variables
        The unknowns' names and shapes.
    method, why : str
        What was run, and why it was chosen, in a few words.
    nit : int
        Steps.
    seconds : float
        The time that it took.
    ranks, sent, error
        Of a sum over ranks: how many, the bytes that this one sent, and what its function or callback raised.
    success, status, message
        Whether it ended well, and how.
    fun, cost, grad, jac, optimality, active_mask, ...
        What SciPy's results of such a solver have; each solver says what its own have beside that.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> A = np.array([[2.0, 0.0], [1.0, 3.0]])
    >>> fit = mj.solvers.minimize(lambda X: np.sum((A @ X - 1.0) ** 2), np.zeros((2, 1)), method="BFGS")
    >>> print("\n".join(fit.report().splitlines()[:3]))  # doctest: +ELLIPSIS
    BFGS (as asked): success
    unknowns   X (2, 1): 2 numbers
    objective  2 → ... in ... steps, ... evaluations, ... derivatives
    """

    x: Array
    variables: tuple[Array, ...]
    unknowns: Variables
    history: Array
    success: bool
    status: int
    message: str
    method: str
    why: str
    nit: int
    nfev: int
    njev: int
    seconds: float
    # of one number, of many, or of many problems
    fun: Any
    cost: Any
    optimality: Any
    jac: Any
    hess_inv: Any
    grad: Array
    active_mask: Array
    linear_algebra: str
    eliminated: str | None
    statuses: Array
    converged: Array
    constr: list[Array]
    constr_violation: float
    multipliers: Any
    bound_multipliers: Any
    damped: int
    t: Array
    y: Array
    states: Any
    t_events: Any
    y_events: Any
    sol: Any
    ranks: int
    sent: int
    error: Exception | None

    #: what tells the lines on the estimates, and what it told
    _tell: Callable[["Fit"], list[str]] | None = None
    _told: list[str] | None = None

    def telling(self, tell: Callable[["Fit"], list[str]]) -> "Fit":
        """The same, whose report ends with those lines, which are made when they are first asked for."""
        # attributes of SciPy's result are its entries
        self.__dict__.update(_tell=tell)
        return self

    def __getstate__(self) -> dict[str, Any]:
        # functions can often not be pickled
        return {"_told": self._told}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def report(self) -> str:
        """What was done, in a few lines: the method and why, values, counts, time, the end, and the gradient's largest.

        Of least squares it ends with the estimates: a line for each of up to 40 unknowns, with its standard error, or
        that it is at a bound, or not estimable; of more a line for each variable. Standard errors are `uncertainty`'s,
        where they take no more than about a second; else it says how to ask for them.

        Returns
        -------
        str
        """
        get, rows = self.get, []
        reason = f" ({self.why})" if get("why") else ""
        unknowns = self.unknowns
        each = ", ".join(f"{n} {s}" for n, s in zip(unknowns.names, unknowns.kinds, strict=True))
        rows.append(("unknowns", f"{each}: {unknowns.size} number{'s' * (unknowns.size != 1)}"))
        rows.append((self._value_name, f"{self._way()}in {self._counts()}"))
        rows.append(("time", f"{self.seconds:.3g} s"))
        if get("ranks") is not None:
            rows.append(("ranks", f"{self.ranks}; this one sent {self.sent / 1e6:.3g} MB"))
        rows.append(("end", " ".join(str(self.message).split())))
        largest = self._largest()
        if largest:
            rows.append(largest)
        if get("constr_violation") is not None:
            rows.append(("violation", f"{float(self.constr_violation):.3g}"))
        if self._told is None and self._tell is not None:
            self.__dict__.update(_told=self._tell(self))
        first, *lines = self._told or [""]
        if first:
            rows.append(("estimates", first))
        width = max(len(name) for name, _ in rows) + 2
        head = f"{get('method') or 'solver'}{reason}: {'success' if self.success else 'no success'}"
        return "\n".join([head, *(f"{name:<{width}}{text}" for name, text in rows), *lines])

    def plot(self, ax: Any = None) -> Any:
        """Draw the value against steps, and against time.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; a figure of its own unless given.

        Returns
        -------
        matplotlib.axes.Axes
            Of the steps; that of the time is its twin, above.

        Raises
        ------
        ImportError
            Where matplotlib is not installed: ``pip install matjac[plot]``.
        """
        ax = axes(ax)
        seconds, values = self.history.T
        above = ax.twiny()
        (by_step,) = ax.plot(np.arange(len(values)), values, color="C0", label="by step")
        (by_time,) = above.plot(seconds, values, color="C1", linestyle="--", label="by time")
        if len(values) and values.min() > 0:
            ax.set_yscale("log")
        above.set_xlim(left=0)
        ax.set_xlabel("step", color="C0")
        above.set_xlabel("seconds", color="C1")
        ax.set_ylabel(self._value_name)
        ax.legend(handles=[by_step, by_time])
        return ax

    @property
    def _value_name(self) -> str:
        if "states" in self:
            return "t"
        if "cost" in self:
            return "cost"
        if "fun" in self:
            return "objective" if np.ndim(self.fun) == 0 else "residual"
        return "value"

    @property
    def _value(self) -> Any:
        return self.get("cost", self.get("fun", np.nan))

    def _way(self) -> str:
        """The value at the start and at the end."""
        if "states" not in self and np.ndim(self._value) == 0:
            last = float(self._value)
            if not len(self.history):
                return f"{last:.6g} "
            return f"{self.history[0, 1]:.6g} → {last:.6g} "
        values = self.history[:, 1]
        return f"{values[0]:.6g} → {values[-1]:.6g} " if len(values) else ""

    def _counts(self) -> str:
        named = (("nit", "step"), ("nfev", "evaluation"), ("njev", "derivative"))
        counts = [(int(self[key]), word) for key, word in named if self.get(key) is not None]
        return ", ".join(f"{count} {word}{'s' * (count != 1)}" for count, word in counts)

    def _largest(self) -> tuple[str, str] | None:
        """The largest entries of the gradient, or of what else should be zero at an end."""
        residuals = self._value_name == "residual"
        found: list[tuple[str, Any]] = [("gradient", self.get("grad")), ("gradient", self.get("jac"))]
        for name, vector in [("residual", self.get("fun"))] if residuals else found:
            if isinstance(vector, np.ndarray) and vector.shape == self.x.shape:
                return f"{name}s" if residuals else name, self._entries(vector)
        optimality = self.get("optimality")
        if optimality is not None and np.ndim(optimality) == 0:
            return "optimality", f"{float(optimality):.3g}"
        return None

    def _entries(self, vector: Array) -> str:
        most = np.argsort(-np.abs(vector), kind="stable")[:SHOWN]
        return "largest " + ", ".join(f"{vector[k]:.3g} at {self.unknowns.entry(int(k))}" for k in most)
