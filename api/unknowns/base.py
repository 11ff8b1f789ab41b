"""What all structures share: checks of whole arrays, and derivatives by the free entries."""

from typing import Any

import numpy as np

from matjac import checks
from matjac.conventions import LAYOUTS, ORDERS, Array, Layout, Order, Shape, size
from matjac.jacobian import Jacobian
from matjac.structured import FreeShape, Unknown
from matjac.tracing.arrays import Recorded
from matjac.tracing.compile import compile
from matjac.tracing.compiled import Compiled

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
        return {name: value for name, value in vars(self).items() if name not in ("_functions", "inverse")}

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


def index(place: int, shape: Shape) -> str:
    """What an entry at that flat position is called, after the array's name."""
    at = ", ".join(str(int(k)) for k in np.unravel_index(place, shape))
    return f"[{at}]" if shape else ""
