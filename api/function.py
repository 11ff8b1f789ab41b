"""Functions whose value and Jacobian you write: the closed-form sibling of what `compile` makes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from matjac import checks
from matjac.conventions import Array, Order, Shape, Shapes, parts, size
from matjac.entries.plan import Plan
from matjac.flat import Flat, Variables, weighted
from matjac.jacobian import Hessian, Jacobian
from matjac.linear.spread import Spread
from matjac.maps import compose
from matjac.structured import Unknown


class Function(Flat):
    """A function and its Jacobian as you write them, for the solvers: the closed-form sibling of `compile`.

    Parameters
    ----------
    value, jacobian : callable
        Of one array for each variable: the value, an array, and its `Jacobian` by all of them side by side
        (`matjac.hstack` of one for each), in numerator layout.
    *shapes : tuple of int or unknown
        The variables' shapes. Of one with structure, such as ``matjac.unknowns.symmetric(3)``, both functions take the
        whole matrix, and the Jacobian is by all its entries: it is multiplied by their derivatives by the free ones.
    hessian : callable, optional
        The `Hessian` of a scalar function, from one array for each variable; of another that of the weighted sum of its
        values, from those arrays and the weights, such as `matjac.d2_gram_dR`. Without it `hess` and the solvers that
        need it raise.
    order : {"C", "F"}, optional
        The order of flat vectors; the Jacobian must have it too.
    names : sequence of str, optional
        The variables' names.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> K = np.array([[2.0, 1.0], [1.0, 2.0]])
    >>> F = mj.Function(lambda R: R.T @ R - K, mj.d_gram_dR, (2, 2))
    >>> F.fun(F.pack(np.eye(2)))
    array([-1., -1., -1., -1.])
    >>> F.jac(F.pack(np.eye(2))).nnz
    12
    """

    def __init__(
        self,
        value: Callable[..., Any],
        jacobian: Callable[..., Jacobian],
        *shapes: Shape | Unknown,
        hessian: Callable[..., Any] | None = None,
        order: Order = "C",
        names: Sequence[str] | None = None,
    ) -> None:
        given = [("value", value), ("jacobian", jacobian)] + ([] if hessian is None else [("hessian", hessian)])
        for name, came in given:
            if not callable(came):
                raise TypeError(f"{name}: got {checks.describe(came)}, expected a function of the variables")
        self.variables = Variables(*shapes, order=order, names=names)
        self._function, self._derivative, self.second = value, jacobian, hessian
        #: the plan of the first Jacobian, which holds for later ones of the same structure
        self._plan: Plan | None = None

    def __repr__(self) -> str:
        return f"<Function of {self.variables!r}>"

    def __call__(self, /, *args: Any, **named: Any) -> Array:
        """The function's value; variables by their places, or by their names."""
        return self._value(self.variables.arrays(self.variables.in_order(args, named), copy=False))

    def _value(self, parts: Sequence[Array]) -> Array:
        return checks.numeric("value", self._function(*map(np.array, self.variables.wholes(parts))))

    def _given(self, args: tuple[Any, ...], named: dict[str, Any]) -> list[Array]:
        return self.variables.arrays(self.variables.in_order(args, named))

    def jacobian(self, *args: Any, **named: Any) -> Jacobian:
        """The Jacobian at a point, by all variables side by side."""
        return self._at(self._given(args, named))

    def _at(self, parts: Sequence[Array]) -> Jacobian:
        J = self._of_wholes(self.variables.wholes(parts))
        if self.variables.structured:
            spreads, in_shape = self._spreads(parts)
            J = Jacobian(compose.of_free(J._point, spreads), J.out_shape, in_shape, self.order)
        if self._plan is None:
            self._plan = J.plan
        return J.on(self._plan) if self._plan.same(J.plan) else J

    def _of_wholes(self, wholes: Sequence[Array]) -> Jacobian:
        """The Jacobian by whole matrices, as it was given."""
        J = self._derivative(*wholes)
        if not isinstance(J, Jacobian):
            raise TypeError(f"jacobian: got {checks.describe(J)}, expected a matjac.Jacobian")
        expected = (self.order, "numerator", self.variables.shapes)
        if (J.order, J.layout, _shapes(J.in_shape)) != expected:
            raise ValueError(
                f"jacobian: got one by {J.in_shape} of order {J.order!r} in {J.layout} layout, expected by "
                f"{self.variables.shapes}, {self.order!r}, numerator"
            )
        return J

    def value_then_jac(self, x: Array) -> tuple[Array, Callable[[], Jacobian]]:
        """`fun`, and what makes `jac` at that point, with a row for each value."""
        value = self.fun(x)

        def jac() -> Jacobian:
            J = self.jac(x)
            if J.shape[0] != np.size(value):
                raise ValueError(f"jacobian: got {J.shape[0]} rows, expected {np.size(value)}, one for each value")
            return J

        return value, jac

    def _spreads(self, at: Sequence[Array]) -> tuple[list[Spread | None], Shapes]:
        """The maps from free entries to whole matrices at a point, and the in_shape of derivatives there."""
        pairs = list(zip(self.variables.kinds, at, strict=True))
        spreads = [kind.spread_at(free, self.order) if isinstance(kind, Unknown) else None for kind, free in pairs]
        return spreads, self.variables.in_shape(at)

    def bind(self, /, **data: Any) -> "Function":
        """The function of the other arguments, with these as constants.

        Parameters
        ----------
        **data : array_like
            Values of some arguments, by their names (``x0``, ``x1``, … unless given), which are copied.

        Returns
        -------
        Function
            Its Jacobian is the columns of the other arguments, its Hessian those and their rows.

        Raises
        ------
        TypeError, ValueError
            Where a name is no argument's, a value has another shape or is not numeric, or no argument is left.

        Examples
        --------
        >>> import numpy as np, matjac as mj
        >>> def by_both(U, V):
        ...     return mj.hstack([mj.d_matmul_dA(V, 2), mj.d_matmul_dB(U, 1)])
        >>> F = mj.Function(lambda U, V: U @ V, by_both, (2, 1), (1, 1), names=("U", "V"))
        >>> F.bind(U=[[1.0], [2.0]]).jacobian([[3.0]]).toarray()
        array([[1.],
               [2.]])
        """
        given = self._bound(data)
        names, kinds, shapes = self.variables.names, self.variables.kinds, self.variables.shapes
        kept = [at for at in range(len(kinds)) if at not in given]
        mine: Shapes = shapes[kept[0]] if len(kept) == 1 else tuple(shapes[at] for at in kept)

        def every(args: Sequence[Any]) -> list[Any]:
            rest = iter(args)
            return [given[at].copy() if at in given else next(rest) for at in range(len(kinds))]

        def jacobian(*args: Any) -> Jacobian:
            J = self._of_wholes(every(args))
            return Jacobian(compose.columns(J._point, kept), J.out_shape, mine, self.order)

        def hessian(*args: Any) -> Hessian:
            H = self._hessian_of_wholes(every(args), args[len(kept) :])
            ends = np.cumsum([0, *map(size, shapes)])
            rows = np.concatenate([np.arange(ends[at], ends[at + 1]) for at in kept])
            part = compose.take(compose.columns(H._point, kept), rows)
            part.plan.symmetric = True
            return Hessian(part, mine, mine, self.order)

        return Function(
            lambda *args: self(*every(args)),
            jacobian,
            *(kinds[at] for at in kept),
            hessian=None if self.second is None else hessian,
            order=self.order,
            names=[names[at] for at in kept],
        )

    def bind_parts(self, data: Mapping[str, Array]) -> "Function":
        """The same from parts of a flat vector, which are not checked."""
        kinds = dict(zip(self.variables.names, self.variables.kinds, strict=True))
        return self.bind(**{n: k.whole(a) if isinstance(k := kinds[n], Unknown) else a for n, a in data.items()})

    @property
    def has_hessian(self) -> bool:
        """Whether it was given a function for them."""
        return self.second is not None

    def hessian(self, *args: Any, weights: Any = None, **named: Any) -> Hessian:
        """The Hessian of a scalar function, or of ``Σ weights ∘ F``, as the function that was given makes it."""
        return self._hessian(self._given(args, named), weights, flat=False)

    def _hessian(self, arrays: list[Array], weights: Any, flat: bool) -> Hessian:
        if self.second is None:
            raise ValueError("hessian: got a Function without one, expected Function(…, hessian=…)")
        value, whole = self._value(arrays), self.variables.wholes(arrays)
        W = weighted(weights, value.shape, self.order, flat, value.dtype)
        H = self._hessian_of_wholes(whole, () if value.shape == () else (W,))
        H = H if value.shape != () or weights is None else W.item() * H
        return self._by_free(H, arrays, W) if self.variables.structured else H

    def _hessian_of_wholes(self, wholes: Sequence[Array], weights: Sequence[Array]) -> Hessian:
        """The Hessian by whole matrices, as it was given."""
        assert self.second is not None
        H = self.second(*wholes, *weights)
        if not isinstance(H, Hessian) or (H.order, _shapes(H.in_shape)) != (self.order, self.variables.shapes):
            raise TypeError(
                f"hessian: got {checks.describe(H)}, expected a matjac.Hessian by {self.variables.shapes} "
                f"of order {self.order!r}"
            )
        return H

    def _by_free(self, H: Hessian, at: Sequence[Array], weights: Array) -> Hessian:
        """The Hessian by free entries, from that by whole matrices."""
        spreads, shape = self._spreads(at)
        curvatures: list[Any] = [None] * len(at)
        if not all(kind.affine for kind in self.variables.kinds if isinstance(kind, Unknown)):
            slopes = self._derivative(*self.variables.wholes(at)).vjp(weights)
            found = [slopes] if len(at) == 1 else slopes
            curvatures = [
                kind.curvature(free, slope) if isinstance(kind, Unknown) else None
                for kind, free, slope in zip(self.variables.kinds, at, found, strict=True)
            ]
        points = [None if c is None else c._point for c in curvatures]
        point = compose.of_free(H._point, spreads, points)
        point.plan.symmetric = True
        return Hessian(point, shape, shape, self.order)


def _shapes(in_shape: Shapes) -> tuple[Shape, ...]:
    return tuple(parts(in_shape))
