"""Unknowns with structure, as examples for `matjac.compile`: symmetric, triangular, diagonal, partly known matrices.

A function is written on the whole matrix; the unknowns that solvers see are its free entries alone. With X = X₀ + S θ
the Jacobian by the free entries θ is J_X S: it has a column for each of them, and entries for those alone.

Examples
--------
>>> import numpy as np, matjac as mj
>>> F = mj.compile(lambda X: X @ X, mj.unknowns.symmetric(2))
>>> F.pack([[1.0, 2.0], [2.0, 3.0]])
array([1., 2., 3.])
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from matjac import checks, special
from matjac.conventions import LAYOUTS, ORDERS, Array, Layout, Order, Shape, cached_property, canonical, size
from matjac.jacobian import Jacobian
from matjac.linear.program import contents
from matjac.linear.spread import Spread, selection
from matjac.structured import FreeShape, Unknown
from matjac.tracing.compile import compile
from matjac.tracing.compiled import Compiled
from matjac.tracing.recorded import Recorded, TracingError, apply

__all__ = [
    "affine",
    "diagonal",
    "free",
    "lower",
    "row_stochastic",
    "simplex",
    "skew",
    "symmetric",
    "upper",
]

#: How far, in parts of the largest entry, a whole array may be from its structure: rounding, of either precision.
ROUNDING = {np.dtype(np.float32): 1e-5, np.dtype(np.complex64): 1e-5}


class Structured(Unknown):
    """What all structures share: they are said by the whole array as a function of the free entries."""

    #: what `repr` calls it
    name: str
    affine = True

    def __repr__(self) -> str:
        return f"{self.name}: {self.size} of {size(self.shape)} entries"

    @property
    def key(self) -> Any:
        """What tells it from others."""
        return self.name, self.shape

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Structured) and self.key == other.key

    def __hash__(self) -> int:
        return hash((self.name, self.shape))

    def jacobian(self, X: Any = None, order: Order = "C", layout: Layout = "numerator") -> Jacobian:
        """The derivative of the whole matrix by its free entries: what a closed form is multiplied by.

        Parameters
        ----------
        X : array_like, optional
            The whole matrix. It is needed where the matrix is not affine in the free entries.
        order : {"C", "F"}, optional
            Order of the rows. Columns are the free entries, row by row.
        layout : {"numerator", "denominator"}, optional
            Whether rows are entries of the whole matrix, or free ones.

        Returns
        -------
        Jacobian
            With the whole shape as out_shape, and ``(size,)`` as in_shape; its `jvp` takes whole matrices.

        Raises
        ------
        TypeError, ValueError
            Where X is needed and is not there, or has not the structure; or `order` or `layout` is another word.

        Examples
        --------
        >>> import numpy as np, matjac as mj
        >>> L = np.array([[1.0, 0.0], [2.0, 3.0]])
        >>> (mj.d_outer_gram_dR(L) @ mj.unknowns.lower(2).jacobian()).toarray()
        array([[2., 0., 0.],
               [2., 1., 0.],
               [2., 1., 0.],
               [0., 4., 6.]])
        """
        checks.one_of("order", order, ORDERS)
        checks.one_of("layout", layout, LAYOUTS)
        if X is None and not self.affine:
            raise TypeError(f"X: got none, expected the matrix: {self.name} is not affine in its free entries")
        at = np.zeros(self.size) if X is None else self.free(X)
        J = self.function(order).jacobian(at)
        J = Jacobian(J._point, self.shape, FreeShape.of(self, at), order)
        return J if layout == "numerator" else J.T

    def function(self, order: Order = "C") -> Compiled:
        """The whole matrix as a compiled function of the free entries."""
        made: dict[Order, Compiled] = vars(self).setdefault("_functions", {})
        if order not in made:
            made[order] = compile(self.whole, (self.size,), order=order)
        return made[order]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_functions", "_kept")}

    def free(self, X: Any, name: str = "X") -> Array:
        if isinstance(X, Recorded):
            return self._of_recorded(X)  # type: ignore[no-any-return]
        X = checks.shaped(name, X, self.shape)
        free = np.asarray(self._of(X, name))
        self._same(name, self.whole(free), X)
        return free

    def _of(self, X: Array, name: str) -> Array:
        """The free entries of an array that is taken to have the structure."""
        raise NotImplementedError

    def _of_recorded(self, X: Recorded) -> Any:
        """The same of a recorded one."""
        raise NotImplementedError

    def slopes(self, free: Array) -> Any:
        return self.function().jacobian(free).tocsr()

    def curvature(self, free: Array, weights: Array) -> Any:
        return None if self.affine else self.function().hessian(free, weights=weights)

    def moved(self, dX: Array, free: Array, name: str) -> Array:
        S = self.slopes(free)
        change = self.inverse(S)(np.asarray(S.T.conj() @ dX.reshape(-1)))
        self._same(name, np.asarray(S @ change).reshape(self.shape), dX)
        return change

    def gradient(self, slope: Array, free: Array) -> Array:
        S = self.slopes(free)
        return np.asarray(S.conj() @ self.inverse(S)(slope.conj()).conj()).reshape(self.shape)

    def inverse(self, S: Any) -> Callable[[Array], Array]:
        """``(SᵀS)⁻¹`` of the slopes S."""
        return _inverse(S)

    def _same(self, name: str, structured: Array, given: Array) -> None:
        """Refuse an array that is not what its free entries make."""
        allowed = ROUNDING.get(given.dtype, 1e-10) * np.abs(given).max(initial=0, where=np.isfinite(given))
        with np.errstate(invalid="ignore"):
            same = (np.abs(given - structured) <= allowed) | (given == structured)
        bad = np.argwhere(~(same | (np.isnan(given) & np.isnan(structured))))
        if len(bad):
            at = tuple(bad[0].tolist())
            where = ", ".join(map(str, at))
            # digits that show where they differ
            came, expected = (f"{X[at]:.6g}" for X in (given, structured))
            if came == expected:
                came, expected = (f"{X[at]:.16g}" for X in (given, structured))
            raise ValueError(f"{name}: got {came} at [{where}], expected {expected} there: {self.name}")


class Affine(Structured):
    """``X₀ + S θ``; `own` is the flat position of the entry that each free one is called by, −1 where there is none."""

    def __init__(self, name: str, shape: Shape, matrix: Any, own: Array, offset: Any = None) -> None:
        self.name, self.shape, self.size = name, shape, matrix.shape[1]
        self.matrix, self.own, self.offset = matrix, own, offset

    @cached_property
    def key(self) -> Any:
        return self.name, self.shape, contents(self.matrix), contents(self.offset)

    def whole(self, free: Any) -> Any:
        given = free if isinstance(free, Recorded) else checks.shaped("free entries", free, (self.size,))
        X = self.changed(given)
        return X if self.offset is None else X + self.offset

    def changed(self, d: Any) -> Any:
        spread = Spread((self.size,), self.matrix, self.shape)
        return apply(spread, d, shape=self.shape) if isinstance(d, Recorded) else spread.value(d)

    def _of(self, X: Array, name: str) -> Array:
        flat = (X if self.offset is None else X - self.offset).reshape(-1)
        if (self.own >= 0).all():
            return flat[self.own]
        return self.inverse(self.matrix)(np.asarray(self.matrix.T.conj() @ flat))

    @cached_property
    def _kept(self) -> Callable[[Array], Array]:
        return _inverse(self.matrix)

    def inverse(self, S: Any) -> Callable[[Array], Array]:
        return self._kept if S is self.matrix else _inverse(S)

    def _of_recorded(self, X: Recorded) -> Any:
        return self.changing(X if self.offset is None else X - self.offset)

    def changing(self, dX: Any) -> Any:
        if (self.own < 0).any():
            raise TracingError(f"the free entries of a recorded array can't be found: {self.name} does not name them")
        return dX.reshape(-1)[self.own]

    def near(self, X: Array) -> Array:
        linear = X if self.offset is None else X - self.offset
        return self.inverse(self.matrix)(np.asarray(self.matrix.T @ linear.reshape(-1))).real

    def slopes(self, free: Array) -> Any:
        return self.matrix

    def entry(self, number: int) -> str:
        place = int(self.own[number])
        return f".free[{number}]" if place < 0 else _index(place, self.shape)

    def spread(self, name: str, value: Array) -> Array:
        if not np.ndim(value):
            return np.broadcast_to(value, (self.size,))
        try:
            whole = np.broadcast_to(value, self.shape)
        except ValueError:
            raise ValueError(
                f"{name}: got shape {value.shape}, expected {self.shape} or ({self.size},), or a number"
            ) from None
        if (self.own < 0).any():
            raise ValueError(f"{name}: got shape {value.shape}, expected ({self.size},), one for each free entry")
        flat = whole.reshape(-1)
        made, several = flat[self.own], np.flatnonzero(np.diff(self.matrix.indptr))
        # the places of one free entry, which has one number
        own = self.own[self.matrix.indices]
        bad = np.flatnonzero(flat[several] != flat[own])
        if len(bad):
            one, other = several[bad[0]], own[bad[0]]
            raise ValueError(
                f"{name}: got {flat[one]} at {_index(one, self.shape)} and {flat[other]} at "
                f"{_index(other, self.shape)}, expected the same: they are one free entry"
            )
        return made


class Positive(Affine):
    """The same with a positive diagonal, the exponentials of free entries."""

    def __init__(self, base: Affine, name: str) -> None:
        super().__init__(name, base.shape, base.matrix, base.own)
        self.positive = base.own % (base.shape[1] + 1) == 0

    affine = False

    def whole(self, free: Any) -> Any:
        if not isinstance(free, Recorded):
            free = checks.shaped("free entries", free, (self.size,))
        return super().whole(np.where(self.positive, np.exp(np.where(self.positive, free, 0)), free))

    def _of_recorded(self, X: Recorded) -> Any:
        linear = super()._of_recorded(X)
        return np.where(self.positive, np.log(np.where(self.positive, linear, 1)), linear)

    def near(self, X: Array) -> Array:
        return np.where(self.positive, 0, super().near(X))

    def _of(self, X: Array, name: str) -> Array:
        linear = super()._of(X, name)
        bad = np.flatnonzero(self.positive & ~(linear > 0)) if linear.dtype.kind != "c" else [0]
        if len(bad):
            raise ValueError(f"{name}: got {linear[bad[0]]} at {super().entry(bad[0])}, expected a positive number")
        return np.where(self.positive, np.log(np.where(self.positive, linear, 1)), linear)

    def slopes(self, free: Array) -> Any:
        return canonical(self.matrix @ sp.diags_array(np.where(self.positive, np.exp(free), 1)))

    def entry(self, number: int) -> str:
        name = super().entry(number)
        return f"{name} (its logarithm)" if self.positive[number] else name

    def spread(self, name: str, value: Array) -> Array:
        if name.startswith("x_scale"):
            return super().spread(name, value)
        edges = super().spread(name, value)
        bad = np.flatnonzero(self.positive & ~(edges > 0))
        if name.startswith("bounds[1]") and len(bad):
            raise ValueError(f"{name}: got {edges[bad[0]]} for {super().entry(bad[0])}, expected a positive number")
        with np.errstate(divide="ignore"):
            return np.where(self.positive, np.log(np.maximum(edges, 0)), edges)


class Stochastic(Structured):
    """Positive rows that sum to one: the softmax of free entries and a last one that is zero."""

    def __init__(self, name: str, shape: Shape) -> None:
        self.name, self.shape = name, shape
        self.size = size(shape[:-1]) * (shape[-1] - 1)

    affine = False

    @cached_property
    def _spread(self) -> Spread:
        """The logits of all entries, of which those of the last column are zero."""
        columns = np.arange(self.size)
        rows = columns + columns // max(self.shape[-1] - 1, 1)
        return Spread((self.size,), selection(rows, columns, (size(self.shape), self.size)), self.shape)

    def whole(self, free: Any) -> Any:
        if isinstance(free, Recorded):
            return special.softmax(apply(self._spread, free, shape=self.shape), axis=-1)
        return special.softmax(self._spread.value(checks.shaped("free entries", free, (self.size,))), axis=-1)

    def near(self, X: Array) -> Array:
        return np.zeros(self.size)

    def moved(self, dX: Array, free: Array, name: str) -> Array:
        # each row on its own: d(θ_j) = dp_j / p_j − dp_n / p_n
        P = self.whole(free)
        self._same(name, dX - P * dX.sum(axis=-1, keepdims=True), dX)
        ratio = dX / P
        return np.asarray((ratio[..., :-1] - ratio[..., -1:]).reshape(-1))

    def gradient(self, slope: Array, free: Array) -> Array:
        P, by = self.whole(free), slope.reshape(*self.shape[:-1], self.shape[-1] - 1)
        G = np.concatenate([by, -by.sum(axis=-1, keepdims=True)], axis=-1) / P
        # its rows have the sum 0, as changes have
        return np.asarray(G - G.mean(axis=-1, keepdims=True))

    def _of_recorded(self, X: Recorded) -> Any:
        logits: Any = np.log(X)
        return (logits[..., :-1] - logits[..., -1:]).reshape(-1)

    def _of(self, X: Array, name: str) -> Array:
        if X.dtype.kind == "c" or not (X > 0).all():
            bad = 0 if X.dtype.kind == "c" else int(np.argmin(X))
            raise ValueError(
                f"{name}: got {X.reshape(-1)[bad]} at {_index(bad, self.shape)}, expected a positive number"
            )
        logits: Array = np.log(X)
        return (logits[..., :-1] - logits[..., -1:]).reshape(-1)

    def entry(self, number: int) -> str:
        row, column = divmod(number, self.shape[-1] - 1)
        place = row * self.shape[-1] + column
        return f"{_index(place, self.shape)} (its logit)"

    def spread(self, name: str, value: Array) -> Array:
        if not np.ndim(value) and (np.isinf(value) or name.startswith("x_scale")):
            return np.broadcast_to(value, (self.size,))
        raise ValueError(
            f"{name}: got {value if not np.ndim(value) else checks.describe(value)}, expected ({self.size},), one for "
            f"each logit: entries of {self.name} are between 0 and 1 of themselves"
        )


def symmetric(n: int) -> Affine:
    """A symmetric n × n matrix; its free entries are those on and below the diagonal.

    Parameters
    ----------
    n : int
        Rows and columns.

    Returns
    -------
    Unknown
        An example for `matjac.compile`, `matjac.Variables`, `matjac.Function` and `matjac.from_differential`. The
        gradient by it is a symmetric matrix G, with ``df = ⟨G, dX⟩``.

    Raises
    ------
    TypeError, ValueError
        Where n is no size.

    Notes
    -----
    Source: Magnus & Neudecker, *Matrix Differential Calculus*, §3.8: X = unvec(D vech X) with the duplication matrix D.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> F = mj.compile(lambda X: X @ X, mj.unknowns.symmetric(2))
    >>> F.jacobian([[1.0, 2.0], [2.0, 3.0]]).toarray()
    array([[2., 4., 0.],
           [2., 4., 2.],
           [2., 4., 2.],
           [0., 4., 6.]])
    """
    return _mirrored("symmetric", n, 1)


def skew(n: int) -> Affine:
    """A skew-symmetric n × n matrix, ``Xᵀ = −X``; its free entries, of which bounds are, are those below the diagonal.

    Parameters
    ----------
    n : int
        Rows and columns.

    Returns
    -------
    Unknown
        See `symmetric`.

    Raises
    ------
    TypeError, ValueError
        Where n is no size.

    Examples
    --------
    >>> import matjac as mj
    >>> mj.unknowns.skew(2).jacobian().toarray()
    array([[ 0.],
           [-1.],
           [ 1.],
           [ 0.]])
    """
    return _mirrored("skew", n, -1)


def lower(n: int, positive_diagonal: bool = False) -> Affine:
    """A lower triangular n × n matrix.

    Parameters
    ----------
    n : int
        Rows and columns.
    positive_diagonal : bool, optional
        Whether the diagonal is positive: its free entries are then the logarithms, ``L_ii = exp(θ_ii)``.
        Each positive definite matrix is L Lᵀ of exactly one such L. Bounds that are one number or a whole matrix are of
        the entries themselves, those that are given for the free entries are of the logarithms.

    Returns
    -------
    Unknown
        See `symmetric`.

    Raises
    ------
    TypeError, ValueError
        Where n is no size.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> F = mj.compile(lambda L: L @ L.T, mj.unknowns.lower(4))
    >>> F.jacobian(np.tri(4)).nnz
    50
    """
    return _triangle("lower", n, np.tri, positive_diagonal)


def upper(n: int, positive_diagonal: bool = False) -> Affine:
    """An upper triangular n × n matrix.

    Parameters
    ----------
    n : int
        Rows and columns.
    positive_diagonal : bool, optional
        Whether the diagonal is positive, the exponential of its free entries: see `lower`.

    Returns
    -------
    Unknown
        See `symmetric`.

    Raises
    ------
    TypeError, ValueError
        Where n is no size.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> mj.Variables(mj.unknowns.upper(2)).pack([[1.0, 2.0], [0.0, 3.0]])
    array([1., 2., 3.])
    """
    return _triangle("upper", n, lambda n: np.tri(n).T, positive_diagonal)


def diagonal(n: int, positive: bool = False) -> Affine:
    """A diagonal n × n matrix.

    Parameters
    ----------
    n : int
        Rows and columns.
    positive : bool, optional
        Whether the diagonal is positive: its free entries are then the logarithms, ``D_ii = exp(θ_i)``.

    Returns
    -------
    Unknown
        See `symmetric`.

    Raises
    ------
    TypeError, ValueError
        Where n is no size.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> F = mj.compile(lambda A, D: A @ D, (3, 2), mj.unknowns.diagonal(2))
    >>> F.jacobian(np.ones((3, 2)), np.eye(2), wrt="D").nnz
    6
    """
    n = checks.count("n", n)
    made = _taken(f"diagonal({n})", (n, n), np.arange(n) * (n + 1))
    return Positive(made, f"diagonal({n}, positive=True)") if positive else made


def free(mask: Any, values: Any = None) -> Affine:
    """An array of which some entries are free, and the others stay what they are.

    Parameters
    ----------
    mask : array_like of bool
        Of the array's shape: true where an entry is free.
    values : array_like, optional
        What the others are: a number, or an array of that shape, of which only those entries count. Without it they
        are zeros that the pattern of the Jacobian knows of; zeros in `values` are numbers like others.

    Returns
    -------
    Unknown
        See `symmetric`. Free entries are counted row by row.

    Raises
    ------
    TypeError, ValueError
        Where `mask` is not of truth values, or `values` not numeric or of another shape.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> A = mj.unknowns.free([[True, False], [True, True]], np.eye(2))
    >>> mj.Variables(A).unpack(np.array([5.0, 6.0, 7.0]))[0]
    array([[5., 0.],
           [6., 7.]])
    """
    where = np.asarray(mask)
    if where.dtype != bool:
        raise TypeError(f"mask: got {checks.describe(where)}, expected an array of truth values")
    offset = None
    if values is not None:
        given = checks.numeric("values", values)
        if given.shape not in ((), where.shape):
            raise ValueError(f"values: got shape {given.shape}, expected {where.shape}, that of the mask, or a number")
        offset = np.where(where, np.zeros((), given.dtype), given)
    return _taken("free(mask, values)", where.shape, np.flatnonzero(where), offset)


def affine(S: Any, offset: Any) -> Affine:
    """An array that is an affine function of free numbers, ``vec X = vec X₀ + S θ``.

    Parameters
    ----------
    S : array_like or scipy.sparse matrix
        With a row for each entry of the array, row by row, and a column for each of the free numbers; its columns
        are linearly independent. Zeros of a dense one are entries of the pattern; a sparse one has its own.
    offset : array_like
        X₀, in the shape of the array.

    Returns
    -------
    Unknown
        See `symmetric`.

    Raises
    ------
    TypeError, ValueError
        Where S or `offset` is not numeric, S has another number of rows, or its columns depend on one another.

    Examples
    --------
    A Toeplitz matrix:

    >>> import numpy as np, matjac as mj
    >>> S = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]])
    >>> F = mj.compile(lambda T: T @ np.ones(2), mj.unknowns.affine(S, np.zeros((2, 2))))
    >>> F.fun(np.array([1.0, 2.0, 3.0]))
    array([3., 4.])
    """
    base = checks.numeric("offset", offset)
    matrix = checks.matrix("S", S)
    if matrix.shape[0] != base.size:
        raise ValueError(f"S: got {matrix.shape[0]} rows, expected {base.size}, one for each entry of the offset")
    if not sp.issparse(matrix):
        rows, columns = np.indices(matrix.shape).reshape(2, -1)
        matrix = sp.csr_array((matrix.reshape(-1), (rows, columns)), shape=matrix.shape)
    made = Affine("affine(S, offset)", base.shape, canonical(matrix), np.full(matrix.shape[1], -1), base.copy())
    # so that its columns are checked
    made.inverse(made.matrix)
    return made


def simplex(n: int) -> Stochastic:
    """A vector of n positive numbers whose sum is one: the softmax of n − 1 free ones and a zero.

    Parameters
    ----------
    n : int
        Number of entries, at least 1.

    Returns
    -------
    Unknown
        See `symmetric`. Its free numbers are the logarithms of ``p_i / p_n``.

    Raises
    ------
    TypeError, ValueError
        Where n is no size, or 0.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> fit = mj.solvers.least_squares(mj.compile(lambda p: p - [0.2, 0.8], mj.unknowns.simplex(2)), [0.5, 0.5])
    >>> fit.variables[0].round(6)
    array([0.2, 0.8])
    """
    n = checks.count("n", n)
    if not n:
        raise ValueError("n: got 0, expected at least 1: no numbers have the sum one")
    return Stochastic(f"simplex({n})", (n,))


def row_stochastic(m: int, n: int) -> Stochastic:
    """An m × n matrix of positive numbers, each of whose rows has the sum one: see `simplex`.

    Parameters
    ----------
    m, n : int
        Rows and columns; at least one column.

    Returns
    -------
    Unknown
        See `symmetric`.

    Raises
    ------
    TypeError, ValueError
        Where m or n is no size, or n is 0.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> P = mj.unknowns.row_stochastic(2, 2)
    >>> mj.Variables(P).unpack(np.zeros(2))[0]
    array([[0.5, 0.5],
           [0.5, 0.5]])
    """
    m, n = checks.count("m", m), checks.count("n", n)
    if not n:
        raise ValueError("n: got 0, expected at least 1: no numbers have the sum one")
    return Stochastic(f"row_stochastic({m}, {n})", (m, n))


def _mirrored(name: str, n: int, sign: int) -> Affine:
    n = checks.count("n", n)
    i, j = np.nonzero(np.tri(n, k=0 if sign > 0 else -1))
    number, off = np.arange(i.size), i != j
    rows, columns = np.concatenate([i * n + j, (j * n + i)[off]]), np.concatenate([number, number[off]])
    signs = np.concatenate([np.ones(i.size), np.full(off.sum(), sign)])
    matrix = selection(rows, columns, (n * n, i.size), signs)
    return Affine(f"{name}({n})", (n, n), matrix, i * n + j)


def _triangle(name: str, n: int, ones: Any, positive_diagonal: bool) -> Affine:
    n = checks.count("n", n)
    made = _taken(f"{name}({n})", (n, n), np.flatnonzero(ones(n)))
    return Positive(made, f"{name}({n}, positive_diagonal=True)") if positive_diagonal else made


def _taken(name: str, shape: Shape, positions: Array, offset: Any = None) -> Affine:
    """Free entries at positions."""
    matrix = selection(positions, np.arange(positions.size), (size(shape), positions.size))
    return Affine(name, shape, matrix, positions, offset)


def _index(place: int, shape: Shape) -> str:
    at = ", ".join(str(int(k)) for k in np.unravel_index(place, shape))
    return f"[{at}]" if shape else ""


def _inverse(S: Any) -> Callable[[Array], Array]:
    """``(SᵀS)⁻¹`` as a function of a vector, for a matrix with independent columns."""
    gram = canonical(S.T.conj() @ S) if S.dtype.kind != "i" else canonical(S.T.astype(float) @ S)
    diagonal = gram.diagonal().real
    if (diagonal == 0).any():
        raise _dependent()
    if gram.nnz == diagonal.size:
        return lambda right: np.asarray(right / diagonal)
    # columns of length one, so that small ones don't seem to depend on others
    each = 1 / np.sqrt(diagonal)
    gram = canonical(sp.diags_array(each) @ gram @ sp.diags_array(each))
    try:
        factors = splu(gram.tocsc())
    except RuntimeError:
        raise _dependent() from None
    pivots = np.abs(factors.U.diagonal())
    if pivots.min() <= 1e-12 * pivots.max():
        raise _dependent()

    def solve(right: Array) -> Array:
        right = each * right
        if right.dtype.kind == "c" and gram.dtype.kind != "c":
            return np.asarray(each * (factors.solve(right.real) + 1j * factors.solve(right.imag)))
        return np.asarray(each * factors.solve(right.astype(gram.dtype)))

    return solve


def _dependent() -> ValueError:
    return ValueError("S: got columns that depend on one another, expected linearly independent ones")


def __dir__() -> list[str]:
    return [*__all__, "__all__", "__doc__", "__file__", "__name__"]
