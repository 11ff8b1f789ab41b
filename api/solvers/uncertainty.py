"""How sure a least-squares fit is: standard errors and covariances of what its residuals determine."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.optimize import OptimizeResult

from matjac import checks
from matjac.conventions import Array, cached_property
from matjac.flat import Flat, Variables
from matjac.identities.linear import d_matvec_dx
from matjac.solvers import arguments
from matjac.solvers.blas import calm, limit
from matjac.solvers.fit import Fit
from matjac.solvers.rowspace import RowSpace, row_space

#: Numbers of right-hand sides that are solved for at once, and of solutions that are kept for a covariance.
BLOCK, KEPT = 2**24, 2**26
#: Unknowns of a free direction that a message names.
NAMED = 3


class Uncertainty:
    r"""How sure a fit is of its unknowns, or of a function of them; `uncertainty` makes it.

    Attributes
    ----------
    value : numpy.ndarray or tuple of numpy.ndarray
        The function's value at the fit; of the unknowns themselves one array, or a tuple of one for each.
    dof : int
        Degrees of freedom: how many residuals there are beyond the rank of J.
    sigma2 : float
        The variance of a residual, ``‖r‖² / dof`` unless it was given.
    free : int
        How many directions of the unknowns change no residual to first order: the dimension of the null space of J.
    held : numpy.ndarray or tuple of numpy.ndarray
        Which unknowns are at a bound, and so held fixed; in their shapes.
    rank : int
        The rank of J by the unknowns that are not held: their number less that of the free directions.
    method : str
        How the row space of J was found: "singular values", "sparse factors" or "products".

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> t, y = np.arange(4.0), np.array([1.0, 3.0, 4.0, 7.0])
    >>> q = mj.solvers.uncertainty(lambda p: p[0] + p[1] * t - y, [0.9, 1.9])
    >>> q
    <Uncertainty of p (2,): dof 2, free 0, sigma2 0.35>
    >>> q.stderr.round(3)
    array([0.495, 0.265])
    >>> q.covariance([0], [1]).round(3)
    array([[-0.105]])
    """

    def __init__(
        self,
        fit: "_Fit",
        rows: Callable[[Array], Any],
        value: tuple[Array, ...],
        name: str | None,
    ) -> None:
        space, unknowns = fit.space, fit.F.variables
        self._space, self._unknowns, self._rows, self._moving = space, unknowns, rows, fit.moving
        self._limit = limit(fit.F)
        self.dof, self.sigma2 = fit.dof, fit.sigma2
        self.rank, self.free, self.method = space.rank, fit.moving.size - space.rank, space.name
        self.value: Any = value if len(value) > 1 else value[0]
        moves = np.zeros(unknowns.size)
        moves[fit.moving] = 1
        wholes = Variables(*unknowns.shapes, order=unknowns.order)
        self.held: Any = _shaped(wholes, abs(unknowns.slopes(fit.x)) @ moves == 0)
        names = unknowns.names if name is None else (name,)
        self._entries = Variables(*(part.shape for part in value), order=unknowns.order, names=names)

    def __repr__(self) -> str:
        each = ", ".join(f"{n} {s}" for n, s in zip(self._entries.names, self._entries.shapes, strict=True))
        return f"<Uncertainty of {each}: dof {self.dof}, free {self.free}, sigma2 {self.sigma2:.4g}>"

    @property
    def estimable(self) -> Any:
        """Which entries the residuals determine, in the shape of the value: those that no free direction changes."""
        return _shaped(self._entries, self.errors[1])

    @property
    def stderr(self) -> Any:
        """The standard errors, in the shape of the value; ValueError where an entry is not estimable.

        All of them are computed, some at a time: of a large function ask for a few by `covariance`.
        """
        parts = self._all[1]
        self._check(parts, np.arange(parts.size))
        return _shaped(self._entries, self.errors[0])

    @property
    def errors(self) -> tuple[Array, Array]:
        """The standard errors of all entries as one flat vector, and which of them are estimable."""
        variances, parts = self._all
        return np.sqrt(variances), parts <= self._space.tolerance

    def covariance(self, rows: Any, cols: Any = None) -> Array:
        """The covariances of chosen entries of the value with others.

        Parameters
        ----------
        rows : array_like of int, tuple or str
            Flat indices of entries in F's order (of several unknowns one after another, as in ``F.pack``); or a tuple
            of one array of indices for each axis, as ``np.nonzero`` gives, where the value is one array; or an
            unknown's name, for all its entries.
        cols : array_like of int, tuple or str, optional
            Which others; the same unless given.

        Returns
        -------
        numpy.ndarray
            Of shape (number of rows, number of cols).

        Raises
        ------
        IndexError, TypeError
            Where there is no such entry, or what is given is no index.
        ValueError
            Where an entry is not estimable.
        """
        first = self._places("rows", rows)
        second = first if cols is None else self._places("cols", cols)
        found = np.empty((first.size, second.size))
        each = max(1, KEPT // max(self._space.height, 1))
        for row in range(0, first.size, each):
            W = self._halves(first[row : row + each])
            if cols is None:
                found[row : row + each, row : row + each] = W.T @ W
            # of a symmetric one those beyond the diagonal are enough
            for col in range(0 if cols is not None else row + each, second.size, each):
                part = W.T @ self._halves(second[col : col + each])
                found[row : row + each, col : col + each] = part
                if cols is None:
                    found[col : col + each, row : row + each] = part.T
        return self.sigma2 * found

    @cached_property
    def _all(self) -> tuple[Array, Array]:
        """The variances of all entries, and which part of their gradients is outside the row space."""
        variances, parts = np.empty(self._entries.size), np.empty(self._entries.size)
        for numbers in self._blocks(np.arange(self._entries.size)):
            W, parts[numbers] = self._solved(numbers)
            variances[numbers] = self.sigma2 * np.einsum("ij,ij->j", W, W)
        return variances, parts

    def _blocks(self, numbers: Array) -> Iterator[Array]:
        """As many entries at a time as there is room for."""
        each = max(1, BLOCK // max(self._unknowns.size, self._space.height, 1))
        for start in range(0, numbers.size, each):
            yield numbers[start : start + each]

    def _halves(self, numbers: Array) -> Array:
        found, parts, done = np.empty((self._space.height, numbers.size)), np.empty(numbers.size), 0
        for some in self._blocks(numbers):
            W, parts[done : done + some.size] = self._solved(some)
            found[:, done : done + some.size] = W
            done += some.size
        self._check(parts, numbers)
        return found

    def _solved(self, numbers: Array) -> tuple[Array, Array]:
        with self._limit:
            return self._space.halves(self._gradients(numbers))

    def _gradients(self, numbers: Array) -> Array:
        """The columns are the gradients of those entries by the unknowns that are not held."""
        rows = self._rows(numbers)
        rows = rows if self._moving.size == self._unknowns.size else rows[:, self._moving]
        return rows.toarray().T.astype(float)  # type: ignore[no-any-return]

    def _check(self, parts: Array, numbers: Array) -> None:
        """Refuse entries that a free direction changes."""
        bad = np.flatnonzero(~(parts <= self._space.tolerance))
        if not bad.size:
            return
        number = int(numbers[bad[0]])
        along = np.abs(self._space.direction(self._gradients(numbers[bad[:1]])[:, 0]))
        most = [k for k in np.argsort(-along, kind="stable")[:NAMED] if along[k] > 1e-6 * along.max()]
        which = ", ".join(self._unknowns.entry(int(self._moving[k])) for k in most)
        others = f", nor are {bad.size - 1} more of those asked for" if bad.size > 1 else ""
        apart = " that are not at a bound" if self._moving.size < self._unknowns.size else ""
        free = f"{self.free} free direction{'s' * (self.free != 1)}"
        raise ValueError(
            f"uncertainty: {self._entries.entry(number)} is not estimable{others}: to first order no residual changes "
            f"along {free} of the {self._moving.size} unknowns{apart}, and it does, along one that moves {which}; "
            "expected what the residuals determine: ask by of= for such a function, an entry of a product U Vᵀ rather "
            "than of U, or fix unknowns"
        )

    def _places(self, name: str, given: Any) -> Array:
        """Flat indices of entries."""
        total = self._entries.size
        if isinstance(given, str):
            checks.one_of(name, given, self._entries.names)
            return np.arange(total)[self._entries.places[given]]
        if isinstance(given, tuple):
            shape = self._entries.shapes[0]
            if len(self._entries.shapes) > 1 or len(given) != len(shape):
                expected = f"one for each axis of {shape}" if len(self._entries.shapes) == 1 else "flat indices"
                raise TypeError(f"{name}: got a tuple of {len(given)} parts, expected {expected}")
            indices = [
                _integers(f"{name}[{at}]", part, n) for at, (part, n) in enumerate(zip(given, shape, strict=True))
            ]
            return np.ravel(
                np.ravel_multi_index(tuple(np.broadcast_arrays(*indices)), shape, order=self._unknowns.order)
            )
        return np.ravel(_integers(name, given, total))


@dataclass(frozen=True)
class _Fit:
    """What is known of the residuals at a fit: J's row space by the unknowns that move, and their variance."""

    F: Flat
    x: Array
    space: RowSpace
    #: the flat indices of the unknowns that are not at a bound
    moving: Array
    dof: int
    sigma2: float


def uncertainty(
    F: arguments.Callee,
    *at: npt.ArrayLike | Fit,
    of: arguments.Callee | None = None,
    sigma2: float | None = None,
    rtol: float | None = None,
    bounds: Any = None,
) -> Uncertainty:
    r"""Standard errors and covariances of a least-squares fit: of its unknowns, or of a function of them.

    The unknowns at a minimum of ``‖F‖²``, whose residuals have independent errors of one variance σ², have to first
    order the covariance ``σ² (JᵀJ)⁺``, and a function G of them ``σ² J_G (JᵀJ)⁺ J_Gᵀ`` (the delta method), with
    ``σ² = ‖F‖² / (m − rank J)`` for m residuals. J may have a null space: ``U Vᵀ`` is the same for ``U A`` and
    ``V A⁻ᵀ``, so k² directions of its factors are free. What no free direction changes is estimable: its gradient is in
    the row space of J, and its variance is the same whichever of the equal fits was found.

    An unknown at a bound is held fixed: its standard error is 0, and those of the others are the ones of the model
    without it, by the columns of J that are left.

    Source: Y. Bard, *Nonlinear Parameter Estimation* (1974), chapter 7, for the covariance; Å. Björck, *Numerical
    Methods for Least Squares Problems* (1996), chapters 1.2 and 2.7, for the pseudo-inverse and the rank; J. R. Magnus
    and H. Neudecker, *Matrix Differential Calculus* (1988), chapter 13, for estimable functions.

    Parameters
    ----------
    F : Compiled, Function or callable
        The residuals; a plain function is compiled. Weights are part of it: each residual is to have the same variance.
    *at : array_like or Fit
        The fitted unknowns, one array each; or what `least_squares` returned.
    of : Compiled, Function or callable, optional
        A function G of the same unknowns. The unknowns themselves unless given.
    sigma2 : float, optional
        The variance of a residual, where it is known.
    rtol : float, optional
        Which singular values of J, its columns scaled to norm one, are zero, beside the largest; of 1,500 or fewer
        unknowns. Unless given, ``max(m, n)`` roundings; where a singular value is near that, a gap must be clear.
    bounds : tuple, optional
        Lower and upper bounds of the unknowns, as in `least_squares`: those equal to one of theirs are held. A fit
        knows its own (``fit.active_mask``).

    Returns
    -------
    Uncertainty
        With ``stderr``, ``covariance(rows, cols)``, ``estimable``, ``value``, ``dof``, ``sigma2``, ``free`` and
        ``held``.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as described, there are no more residuals than the rank of J and no `sigma2`, or the
        rank of J is not clear. What is not estimable raises where it is asked for.

    Notes
    -----
    Of 1,500 or fewer unknowns J's singular values are found. Of more, JᵀJ has sparse factors, without the columns that
    depend on others; where these would fill, systems are solved by LSMR with products alone. No inverse is formed: each
    entry that is asked for is a right-hand side. That an unknown is held says nothing of how sure its bound is; where
    its multiplier is near zero the others' errors are those of one of two models.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> rng = np.random.default_rng(0)
    >>> U, V = rng.standard_normal((8, 2)), rng.standard_normal((6, 2))
    >>> Y, seen = U @ V.T + 0.1 * rng.standard_normal((8, 6)), np.nonzero(rng.random((8, 6)) < 0.9)
    >>> F = mj.compile(lambda U, V: (U @ V.T)[seen] - Y[seen], (8, 2), (6, 2))
    >>> fit = mj.solvers.least_squares(F, U, V)
    >>> q = mj.solvers.uncertainty(F, fit, of=lambda U, V: U @ V.T)
    >>> q.free, q.stderr.shape
    (4, (8, 6))
    """
    arrays = _unknowns(at)
    F = arguments.flat(F, arrays)
    x = arguments.start(F, arrays)
    if rtol is not None:
        rtol = arguments.tolerance("rtol", rtol)
    if sigma2 is not None and not np.isfinite(sigma2 := arguments.tolerance("sigma2", sigma2)):
        raise ValueError(f"sigma2: got {sigma2}, expected a finite number")
    found = _found(F, x, _held(F, x, at, bounds), sigma2, rtol)
    if of is None:
        return Uncertainty(found, _entries(F, x), F.unpack(x), None)
    G = _function(F, of, x)
    value = arguments.real(np.asarray(G(*F.unpack(x))), "of")
    _finite("of", value)
    by = G.jac(x)
    return Uncertainty(found, lambda k: by.take(k).tocsr(), (value,), "G")


def of_free_entries(F: Flat, fit: Any) -> Uncertainty:
    """How sure the entries of a fit's flat vector are, which of unknowns with structure are the free ones."""
    return Uncertainty(_found(F, fit.x, _held(F, fit.x, [fit], None), None, None), _identity(fit.x.size),
                       F.variables.split(fit.x), None)  # fmt: skip


@calm
def _found(F: Flat, x: Array, held: Array, sigma2: float | None, rtol: float | None) -> _Fit:
    residual = arguments.residual(np.asarray(F(*F.unpack(x))))
    J = F.jac(x)
    _finite("residuals", residual)
    moving = np.flatnonzero(~held)
    if held.any():
        J = J @ d_matvec_dx(_identity(x.size)(moving).T.astype(J.dtype), order=J.order)
    space = row_space(J, rtol)
    dof = residual.size - space.rank
    if sigma2 is not None:
        return _Fit(F, x, space, moving, dof, sigma2)
    if dof <= 0:
        raise ValueError(
            f"F: got {residual.size} residuals and a Jacobian of rank {space.rank}, which leave no degree of "
            "freedom to estimate their variance by, expected more residuals, or sigma2="
        )
    return _Fit(F, x, space, moving, dof, float(np.sum(residual.astype(float) ** 2)) / dof)


def _held(F: Flat, x: Array, at: Sequence[Any], bounds: Any) -> Array:
    """Which unknowns are at a bound."""
    if bounds is not None:
        low, high = arguments.bounds(F, bounds)
        arguments.within(F, x, low, high)
        return (x <= low) | (x >= high)
    known = at[0].get("active_mask") if isinstance(at[0], OptimizeResult) else None
    return np.zeros(x.size, bool) if known is None else np.asarray(known) != 0


def _unknowns(at: Sequence[Any]) -> tuple[Any, ...]:
    """One array for each unknown; a fit has them."""
    if len(at) == 1 and isinstance(at[0], OptimizeResult):
        if "variables" not in at[0]:
            raise TypeError("at: got SciPy's result, expected arrays, or what matjac.solvers.least_squares returned")
        return tuple(at[0].variables)
    return tuple(at)


def _function(F: Flat, of: Any, x: Array) -> Flat:
    G = arguments.of_same(of, F, x, "of")
    if not G.variables.same(F.variables):
        raise ValueError(f"of: got a function of {G.variables}, order {G.order!r}, expected one of {F.variables}, "
                         f"{F.order!r}")  # fmt: skip
    return G


def _shaped(variables: Variables, vector: Array) -> Any:
    """One array for each variable, or one alone."""
    parts = [np.array(part, vector.dtype) for part in variables.unpack(vector)]
    return tuple(parts) if len(parts) > 1 else parts[0]


def _entries(F: Flat, x: Array) -> Callable[[Array], Any]:
    """The gradients of the unknowns' own entries, by their numbers; of those with structure of all entries."""
    if F.variables.structured:
        J = F.variables.slopes(x)
        return lambda k: J[k]
    return _identity(x.size)


def _identity(n: int) -> Callable[[Array], Any]:
    return lambda k: sp.csr_array((np.ones(k.size), (np.arange(k.size), k)), shape=(k.size, n))


def _integers(name: str, given: Any, total: int) -> Array:
    """Indices below `total`, negative ones from the end."""
    numbers = np.asarray(given)
    if numbers.dtype.kind not in "iu" and numbers.size:
        raise TypeError(f"{name}: got {checks.describe(given)}, expected integers")
    bad = np.flatnonzero((numbers < -total) | (numbers >= total))
    if bad.size:
        raise IndexError(f"{name}: got {np.ravel(numbers)[bad[0]]}, expected an index of {total} entries")
    return np.where(numbers < 0, numbers + total, numbers).astype(np.int64)


def _finite(name: str, values: Array) -> None:
    bad = np.count_nonzero(~np.isfinite(values))
    if bad:
        raise ValueError(f"{name}: got {bad} values that are not finite at these unknowns, expected finite ones")
