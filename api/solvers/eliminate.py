"""Variable projection: an unknown in which the residuals are linear is eliminated from a fit."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from matjac import kernels
from matjac.conventions import Array, Order, Shape, as_matrix, size
from matjac.flat import Flat
from matjac.jacobian import Jacobian
from matjac.maps import gram, normal
from matjac.solvers.blockwise import BlockCholesky
from matjac.solvers.lbfgs import Metric
from matjac.solvers.precondition import shared_metric
from matjac.solvers.squares import Watched, half_squares
from matjac.solvers.watch import Watch
from matjac.threads import split

#: Unknowns of one block up to which an unknown is eliminated without being asked to, or at all.
SMALL, LARGEST = 64, 2000
#: How small slopes between bounds are at the end, beside the largest.
SLOPES = 1e-10
#: How often steps of singular blocks are refined: what is added to their diagonals is no part of them.
REFINED = 2
#: How far the residuals may be from linear, beside themselves.
LINEAR = 1e-8


class Blocks(NamedTuple):
    """How an unknown falls into blocks of which each residual reaches one: rows (axis 1), columns (0), or it is one."""

    shape: Shape
    order: Order
    axis: int | None

    @property
    def counted(self) -> tuple[int, int]:
        """How many blocks there are, and of which size."""
        return (1, size(self.shape)) if self.axis is None else normal.block_axis(self.shape, self.axis)[1]

    def rows(self, array: Array) -> Array:
        """An array of the unknown's shape with a row for each block, a view where it can be."""
        if self.axis is None:
            return array.reshape((1, -1), order=self.order)
        matrix = array.reshape(as_matrix(self.shape))
        return matrix if self.axis == 1 else matrix.T

    def array(self, rows: Array) -> Array:
        """The array of which those are the rows."""
        if self.axis is None:
            return rows.reshape(self.shape, order=self.order)
        return np.ascontiguousarray(rows if self.axis == 1 else rows.T).reshape(self.shape)

    def normal(self, J: Jacobian) -> Array:
        """The blocks of JᵀJ."""
        if self.axis is not None:
            return J.normal_blocks(self.axis)  # type: ignore[no-any-return]
        # along this axis a variable is counted as it is
        point, _ = J.blocked(1 if self.order == "C" else 0)
        return normal.normal_blocks(point, [self.counted], None)[0]


#: The name of an unknown, and how it is solved for.
Unknown: TypeAlias = tuple[str, Blocks]


class Linear:
    """The unknown that is eliminated: its best value, given the others, between its bounds."""

    def __init__(self, F: Flat, name: str, blocks: Blocks, low: Array, high: Array) -> None:
        self.F, self.name, self.blocks, self.half = F, name, blocks, half_squares(F)
        bounds = [np.ascontiguousarray(blocks.rows(edge)) for edge in (low, high)]
        self.bounds = bounds if any(np.isfinite(edge).any() for edge in bounds) else None

    def whole(self, value: Array, others: Mapping[str, Array]) -> Array:
        """The flat vector of all unknowns."""
        return self.F.variables.pack_named({**others, self.name: value})

    def free(self, value: Array) -> Array | None:
        """Which entries no bound holds, a row for each block; None where there are no bounds."""
        if self.bounds is None:
            return None
        rows, (low, high) = self.blocks.rows(value), self.bounds
        return (low < rows) & (rows < high)

    def best(self, value: Array, others: Mapping[str, Array]) -> Array:
        """The minimiser of ½‖F‖² by this unknown, from a value of it."""
        flat = value.reshape(-1, order=self.F.order)
        gradient = self.half.bind_parts(others).grad(flat).reshape(value.shape, order=self.F.order)
        H = self.blocks.normal(self.F.bind_parts(others).jac(flat))
        slopes = np.ascontiguousarray(self.blocks.rows(gradient))
        if not (np.isfinite(H).all() and np.isfinite(slopes).all()):
            return np.full(value.shape, np.nan)
        if self.bounds is None:
            return self.blocks.array(self.blocks.rows(value) - inverse(H)(slopes))
        return self.blocks.array(_between(H, slopes, np.array(self.blocks.rows(value), order="C"), *self.bounds))


def inverse(H: Array) -> Callable[[Array], Array]:
    """The function that solves with each block, of columns too; in directions that no residual sees it does little."""
    made = BlockCholesky().factor(H)
    if not made.failed.any():
        return made.solve
    largest = np.einsum("bii->bi", H).max(axis=1, keepdims=True)
    made.factor(H, np.where(largest > 0, np.sqrt(np.finfo(float).eps) * largest, 1.0))

    def solve(b: Array) -> Array:
        x = made.solve(b)
        for _ in range(REFINED):
            x += made.solve(b - np.einsum("bij,bj...->bi...", H, x))
        return x

    return solve


def _between(H: Array, slopes: Array, values: Array, low: Array, high: Array) -> Array:
    """The best values of each block between bounds."""
    q = H.shape[1]

    def task(start: int, stop: int) -> None:
        room = np.empty((3, q)), np.empty((q, q)), np.empty(q, np.uint64)
        kernels.box_minimize(H, slopes, low, high, SLOPES, values, *room, start, stop)

    split(task, 0, len(H), 10 * H.size)
    return values


class Eliminated(Watched):
    """``min over U of ½ ‖F(U, V)‖²`` as a function of V, watched: what L-BFGS minimises.

    Its gradient is that of ½‖F‖² by V, for that by U is zero (Golub & Pereyra, *The differentiation of pseudo-inverses
    and nonlinear least squares problems whose variables separate*, 1973).
    """

    # its steps are few, and the metric is good: with ten pairs they are as many, and take a tenth longer
    eager, refresh, memory = True, 3, 5

    def __init__(self, linear: Linear, arrays: Mapping[str, Array], watch: Watch) -> None:
        self.linear, self.watch, self.best = linear, watch, arrays[linear.name]
        self.rest = linear.F.bind_parts({linear.name: self.best})
        self.start = self.rest.variables.pack_named(arrays)
        self.about = f"L-BFGS on {self.rest.variables!r} with {linear.name} eliminated"
        #: the last point that a value was asked for, and what is best there
        self._tried = self.start, self.best

    def whole(self, x: Array) -> Array:
        """The flat vector of all unknowns, the eliminated one's as it was at the last accepted point."""
        return self.linear.whole(self.best, self.rest.variables.by_name(x))

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        """The cost, and its gradient by the others."""
        linear, name = self.linear, self.linear.name

        def reduced(x: Array) -> Any:
            best = self._best(x)
            self._tried = x, best
            return linear.half.bind_parts({name: best}).value_and_grad(x)

        found, gradient = self.watch.summed(reduced, x)
        value = float(found)
        # only messages need all unknowns
        at = x if np.isfinite(value) and np.isfinite(gradient).all() else self.whole(x)
        self.watch.evaluated("residuals", at, value, look=lambda: self._trouble(x))
        if np.isfinite(value):
            self.watch.derived("Jᵀ · residuals", at, gradient)
        return value, gradient

    def _best(self, x: Array) -> Array:
        return self.linear.best(self.best, self.rest.variables.by_name(x))

    def _trouble(self, x: Array) -> Array:
        """Values that are not finite at x: which residuals are not is worth another evaluation."""
        y = np.ravel(self.linear.F.bind_parts({self.linear.name: self.best}).fun(x))
        return np.full(1, np.nan) if np.isfinite(y).all() else y

    def preconditioner(self, x: Array) -> Metric | None:
        """The inverse of what the diagonal blocks of JᵀJ by the others nearly are, where that costs little."""
        J = self.linear.F.bind_parts({self.linear.name: self.best}).jac(x)
        return shared_metric(J, None, self.watch.added)

    def accepted(self, x: Array, value: float) -> None:
        """Report a step."""
        # a search may go back to a point before the last
        tried, best = self._tried
        self.best = best if tried is x else self._best(x)
        self.watch.went(self.whole(x), value)

    def own(self) -> Any:
        """What was best at the last accepted point."""
        return self.best

    def resume(self, own: Any) -> None:
        """Go on from what was best."""
        self.best = own


# what can be eliminated ----------------------------------------------------------------------------------


def separable(F: Flat, arrays: Mapping[str, Array]) -> Unknown | None:
    """The unknown that is worth being eliminated, by the structure of a compiled function: of the fewest blocks."""
    found: list[tuple[int, str, Blocks]] = []
    for name, value in arrays.items():
        if len(arrays) < 2 or value.ndim > 2 or value.size == 0:
            continue
        fixed = F.bind_parts(_without(arrays, name))
        if not getattr(fixed, "affine", False):
            continue
        J = fixed.jac(value.reshape(-1, order=F.order))
        for axis in (1, 0):
            blocks = Blocks(value.shape, F.order, axis)
            if blocks.counted[1] <= SMALL and _separates(J, blocks):
                found.append((blocks.counted[0], name, blocks))
    return min(found)[1:] if found else None


def asked_for(F: Flat, name: Any, arrays: Mapping[str, Array]) -> Unknown:
    """The unknown of that name, checked: the residuals are linear in it, and its blocks are of a size to solve with."""
    if not isinstance(name, str) or name not in arrays:
        raise ValueError(f"eliminate: got {name!r}, expected one of {', '.join(arrays)}, None or False")
    if len(arrays) < 2:
        raise ValueError(f"eliminate: got {name!r}, the only unknown, expected one of several")
    value = arrays[name]
    fixed = F.bind_parts(_without(arrays, name))
    J = fixed.jac(value.reshape(-1, order=F.order))
    known = getattr(fixed, "affine", None)
    if not (_is_affine(fixed, J, value) if known is None else known):
        raise ValueError(f"eliminate: got {name!r}, expected an unknown in which the residuals are linear")
    for axis in (1, 0) if value.ndim <= 2 else ():
        blocks = Blocks(value.shape, F.order, axis)
        if blocks.counted[1] <= LARGEST and (_separates(J, blocks) or _rows_separate(J, blocks)):
            return name, blocks
    if value.size > LARGEST:
        raise ValueError(
            f"eliminate: got {name!r} of {value.size} entries that belong together, expected rows or columns of which "
            f"each residual reaches one, or at most {LARGEST} entries"
        )
    return name, Blocks(value.shape, F.order, None)


def _without(arrays: Mapping[str, Array], name: str) -> dict[str, Array]:
    return {other: array for other, array in arrays.items() if other != name}


def _separates(J: Jacobian, blocks: Blocks) -> bool:
    """Whether by its terms each residual reaches one block."""
    point, (counted,) = J.blocked(blocks.axis)
    return gram.separates(point, 0, counted)


def _rows_separate(J: Jacobian, blocks: Blocks) -> bool:
    """Whether by its entries each residual reaches one block."""
    numbers = blocks.array(np.repeat(np.arange(blocks.counted[0]), blocks.counted[1]).reshape(blocks.counted))
    indptr, indices = J.structure()
    owner = numbers.reshape(-1, order=blocks.order)[indices]
    rows = np.flatnonzero(np.diff(indptr))
    if rows.size == 0:
        return True
    least, most = (ufunc.reduceat(owner, indptr[rows]) for ufunc in (np.minimum, np.maximum))
    return bool(np.array_equal(least, most))


def _is_affine(fixed: Flat, J: Jacobian, value: Array) -> bool:
    """Whether a function seems linear: whether it is in a direction taken by chance."""
    x = value.reshape(-1, order=fixed.order)
    d = np.random.default_rng(0).standard_normal(x.size)
    before, after, step = (np.ravel(y) for y in (fixed.fun(x), fixed.fun(x + d), J @ d))
    scale = np.abs(before).max(initial=0.0) + np.abs(after).max(initial=0.0) + np.abs(step).max(initial=0.0)
    return bool(np.abs(after - before - step).max(initial=0.0) <= LINEAR * scale)
