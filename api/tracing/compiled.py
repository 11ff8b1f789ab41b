"""Compiled functions: a recorded function's value, and its derivatives."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from matjac import checks
from matjac.conventions import Array, Order, Shape, Shapes, cached_property, parts, size
from matjac.flat import Flat, Variables, weighted
from matjac.jacobian import Hessian, Jacobian
from matjac.maps.point import Point
from matjac.structured import Unknown
from matjac.tracing.arrays import Recorded
from matjac.tracing.calls import called
from matjac.tracing.explain import explain
from matjac.tracing.handlers import TracingError
from matjac.tracing.record import Record
from matjac.tracing.squares import gauss_newton

#: What to differentiate by: an argument's name or place, or several; None is all.
Wrt: TypeAlias = str | int | Sequence[str | int] | None


class Compiled(Flat):
    """A recorded function, as `matjac.compile` makes it: its value, and its Jacobian.

    Attributes
    ----------
    names : tuple of str
        Names of the arguments.
    in_shapes, out_shape : tuple
        Shapes of the arguments, and of the value.
    order : {"C", "F"}
        The order of flat vectors, and so of the Jacobian's rows and columns.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> F = mj.compile(lambda U, V: U @ V.T, (2, 1), (3, 1))
    >>> U, V = np.ones((2, 1)), np.full((3, 1), 2.0)
    >>> F(U, V)
    array([[2., 2., 2.],
           [2., 2., 2.]])
    >>> F.jacobian(U, V, wrt="U").toarray()[0]
    array([2., 0.])
    >>> F.jac_csr(np.array([1.0, 1, 2, 2, 2])).shape
    (6, 5)
    """

    #: the function that was recorded, for `check`; a pickled Compiled does without
    original: Callable[..., Any] | None = None

    def __init__(
        self, record: Record, names: Sequence[str], order: Order, kinds: Sequence[Shape | Unknown] | None = None
    ) -> None:
        self._record = record
        kinds = [record.program.shapes[k] for k in record.arguments] if kinds is None else kinds
        self.variables = Variables(*kinds, order=order, names=names)
        (self.out_shape,) = record.shapes
        #: by the places of arguments that were bound, the function of the others
        self._bindings: dict[tuple[int, ...], Compiled] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "original"}

    def __repr__(self) -> str:
        arguments = ", ".join(f"{n}: {s}" for n, s in zip(self.names, self.variables.kinds, strict=True))
        return f"<Compiled ({arguments}) → {self.out_shape}, {len(self._record.steps)} steps>"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the arguments."""
        return self.variables.names

    @property
    def in_shapes(self) -> tuple[Shape, ...]:
        """Shapes of the arguments: of those with structure the whole matrices'."""
        return self.variables.shapes

    def __call__(self, /, *args: Any, **named: Any) -> Array:
        """The function's value; arguments by their places, or by their names."""
        if named:
            args = self.variables.in_order(args, named)
        for x in args:
            if isinstance(x, Recorded) or (type(x) is np.ndarray and x.dtype.char == "O"):
                return called(self._record, self.variables, args)  # type: ignore[return-value]
        return self._value(self.variables.arrays(args, copy=False))

    def _value(self, parts: Sequence[Array]) -> Array:
        record = self._record
        (value,) = record.own(record.start(parts), None)
        return value

    def fun(self, x: Array) -> Any:
        """The function of one flat vector, as one, or a number where the value is one: what SciPy's solvers call."""
        if isinstance(x, Recorded):
            places = zip(self.variables.places.values(), self.variables.free_shapes, strict=True)
            parts = [x[at].reshape(shape, order=self.order) for at, shape in places]
            return self._flat_value(called(self._record, self.variables, parts, whole=False))
        return super().fun(x)

    def bind(self, /, **data: Any) -> "Compiled":
        """The function of the other arguments, with these as constants: compiled once, for any data.

        Nothing is recorded or planned anew for other data of the same names: patterns and plans are those of the
        first. Nothing is made for derivatives by the bound arguments, and what depends on them alone is computed here,
        once.

        Parameters
        ----------
        **data : array_like
            Values of some arguments, by their names, of the shapes that were compiled. They are copied: later changes
            have no effect.

        Returns
        -------
        Compiled
            With all that a compiled function has; several of them may be used at the same time, in threads too.

        Raises
        ------
        TypeError, ValueError
            Where a name is no argument's, a value has another shape or is not numeric, or no argument is left.

        Examples
        --------
        >>> import numpy as np, matjac as mj
        >>> F = mj.compile(lambda R, K: R.T @ R - K, (2, 2), (2, 2))
        >>> for K in (np.eye(2), 4 * np.eye(2)):
        ...     (R,) = mj.solvers.least_squares(F.bind(K=K), np.eye(2) + 0.5).variables
        ...     print(np.allclose(R.T @ R, K))
        True
        True
        """
        given = self._bound(data)
        made = self._with(self._free(given))
        original, count = self.original, len(self.names)
        if original is not None:

            def of_the_others(*args: Any) -> Any:
                rest = iter(args)
                return original(*[given[at] if at in given else next(rest) for at in range(count)])

            made.original = of_the_others
        return made

    def bind_parts(self, data: Mapping[str, Array]) -> "Compiled":
        """The same from parts of a flat vector, which are not checked."""
        return self._with({at: np.array(data[name]) for at, name in enumerate(self.names) if name in data})

    def _with(self, given: dict[int, Array]) -> "Compiled":
        """The function of the other arguments, without what it was recorded from."""
        places = tuple(given)
        if places not in self._bindings:
            with self._record.program.lock:
                if places not in self._bindings:
                    left = [at for at in range(len(self.names)) if at not in given]
                    names, kinds = [self.names[at] for at in left], [self.variables.kinds[at] for at in left]
                    self._bindings[places] = Compiled(self._record.bound(places), names, self.order, kinds)
        made, numbers = object.__new__(Compiled), self._record.arguments
        values = {numbers[at]: array for at, array in given.items()} | self._record.data
        vars(made).update(vars(self._bindings[places]), _bindings={})
        made._record = made._record.on(values)
        return made

    def _free(self, given: dict[int, Array]) -> dict[int, Array]:
        """Whole matrices of some arguments as the parts of a flat vector."""
        kinds = {at: self.variables.kinds[at] for at in given}
        return {at: k.free(given[at]) if isinstance(k, Unknown) else given[at] for at, k in kinds.items()}

    def jacobian(self, *args: Any, wrt: Wrt = None, **named: Any) -> Jacobian:
        """The Jacobian at a point.

        Parameters
        ----------
        *args, **named : array_like
            The arguments, of the shapes that were compiled, by their places or by their names.
        wrt : str, int or sequence of them, optional
            Names, or places, of the arguments to differentiate by; all, side by side, unless given.

        Returns
        -------
        Jacobian
            In numerator layout; `in_shape` is a tuple of shapes where there are several arguments.

        Raises
        ------
        TypeError, ValueError
            Where an argument has another shape or is not numeric, or `wrt` names none.
        """
        args = self.variables.in_order(args, named)
        return self._jacobian(self._record.start(self.variables.arrays(args)), self._chosen(wrt))

    def value_and_jacobian(self, *args: Any, wrt: Wrt = None, **named: Any) -> tuple[Array, Jacobian]:
        """The function's value and its Jacobian, from one evaluation."""
        record, args = self._record, self.variables.in_order(args, named)
        values, chosen = record.start(self.variables.arrays(args)), self._chosen(wrt)
        (value,) = record.run(values)
        # a copy: the Jacobian may be made of the program's own array (the slope of exp is its value)
        return np.array(value), self._jacobian(values, chosen)

    def value_then_jac(self, x: Array) -> tuple[Array, Callable[[], Jacobian]]:
        """`fun`, and what makes `jac` at that point from the same evaluation."""
        values = self._record.start(self._unpacked(x))
        (value,) = self._record.run(values)
        # a copy: see above
        return self._flat_value(np.array(value)), lambda: self._jacobian(values, self._every)

    def _at(self, arrays: list[Array]) -> Jacobian:
        return self._jacobian(self._record.start(arrays), self._every)

    @cached_property
    def _every(self) -> tuple[int, ...]:
        return tuple(range(len(self.names)))

    def _jacobian(self, values: list[Any], chosen: tuple[int, ...]) -> Jacobian:
        point = Point(self._record.plan(self.order, chosen), values, self._record.dtype(values))
        return Jacobian(point, self.out_shape, self._shape(chosen, values), self.order)

    def _shape(self, chosen: Sequence[int], values: Sequence[Any]) -> Shapes:
        """The in_shape of derivatives at a point."""
        if self.variables.structured:
            shapes = parts(self.variables.in_shape([values[k] for k in self._record.arguments]))
        else:
            shapes = self.in_shapes
        found = tuple(shapes[k] for k in chosen)
        return found[0] if len(found) == 1 else found

    def _gradient(self, arrays: list[Array], weights: Any, flat: bool) -> list[Array]:
        given, dtype = self._weighted(arrays, weights, flat)
        record = self._record.gradient(weighted=len(given) > len(arrays))
        return record.own(record.start(given), *(dtype for _ in arrays))

    def _value_and_gradient(self, arrays: list[Array], weights: Any, flat: bool) -> tuple[Array, list[Array]]:
        given, dtype = self._weighted(arrays, weights, flat)
        record = self._record.value_and_gradient(weighted=len(given) > len(arrays))
        value, *slope = record.own(record.start(given), None, *(dtype for _ in arrays))
        return value, slope

    def hessian(
        self,
        *args: Any,
        weights: Any = None,
        wrt: Wrt = None,
        part: Literal["whole", "gauss-newton"] = "whole",
        **named: Any,
    ) -> Hessian:
        """The Hessian of a scalar function, or of ``Σ weights ∘ F``, at a point.

        Its products are one sweep forwards and one back: nothing of its size is made before entries are asked for.

        Parameters
        ----------
        *args, **named : array_like
            The arguments, of the shapes that were compiled, by their places or by their names.
        weights : array_like, optional
            Of the function's shape; not needed where that is ().
        wrt : str, int or sequence of them, optional
            Names, or places, of the arguments to differentiate by, twice; all unless given.
        part : {"whole", "gauss-newton"}, optional
            All of it, or of a sum of squares ``Σ c ∘ r(X)²`` the part ``2 Jᵀ diag(c) J``, J being the Jacobian of r.

        Returns
        -------
        Hessian
            Symmetric; `in_shape` and `out_shape` are tuples of shapes where there are several arguments.

        Raises
        ------
        TypeError, ValueError
            Where an argument or `weights` has another shape or is not numeric, `wrt` names none, or part is
            "gauss-newton" and the function is no sum of squares.
        TracingError
            Where a step has no second derivative; the message says which.

        Notes
        -----
        Where a slope jumps (``np.abs``, ``np.maximum``) the second derivative is taken as 0. Entries are those that the
        steps can make: the Hessian of a determinant, which is made of the adjugate, is dense.

        Source: Magnus & Neudecker, *Matrix Differential Calculus*, chapter 6: the second differential.

        Examples
        --------
        >>> import numpy as np, matjac as mj
        >>> F = mj.compile(lambda R: R.T @ R, (1, 2))
        >>> H = F.hessian([[1.0, 2.0]], weights=[[1.0, 2.0], [0.0, 3.0]])
        >>> H.toarray()
        array([[2., 2.],
               [2., 6.]])
        >>> H.tocsr(triangle="lower").toarray()
        array([[2., 0.],
               [2., 6.]])
        """
        checks.one_of("part", part, ("whole", "gauss-newton"))
        kept = None if weights is None else np.array(checks.numeric("weights", weights))
        arrays = self.variables.arrays(self.variables.in_order(args, named))
        return self._second(arrays, kept, False, self._chosen(wrt), part)

    def _hessian(self, arrays: list[Array], weights: Any, flat: bool) -> Hessian:
        return self._second(arrays, weights, flat, self._every, "whole")

    def _second(self, arrays: list[Array], weights: Any, flat: bool, chosen: tuple[int, ...], part: str) -> Hessian:
        if part == "gauss-newton":
            record = self._record
            if weights is not None or size(self.out_shape) != 1:
                raise ValueError(
                    "F: got weights or several values, expected one sum of squares for the Gauss-Newton part"
                )
            key = "gauss-newton", self.order, chosen
            plan = record.derived(key, lambda: gauss_newton(record, self.order, chosen))
            values = record.start(arrays)
            shape = self._shape(chosen, values)
            return Hessian(Point(plan, values, record.dtype(values)), shape, shape, self.order)
        given, dtype = self._weighted(arrays, weights, flat)
        record = self._record.gradient(weighted=len(given) > len(arrays))
        values = record.start(given)
        shape = self._shape(chosen, values)
        return Hessian(Point(record.plan(self.order, chosen, chosen), values, dtype), shape, shape, self.order)

    def _weighted(self, arrays: list[Array], weights: Any, flat: bool) -> tuple[list[Array], np.dtype[Any]]:
        """What the gradient's record begins with, the weights last unless there are none, and its dtype."""
        dtype = self._record.dtype(self._record.start(arrays))
        if weights is None and self.out_shape == ():
            return arrays, dtype
        W = weighted(weights, self.out_shape, self.order, flat, dtype)
        return [*arrays, W], np.result_type(dtype, W)

    @property
    def affine(self) -> bool:
        """Whether, by its structure, the Jacobian is the same at all points: a least-squares problem is linear.

        Examples
        --------
        >>> import numpy as np, matjac as mj
        >>> F = mj.compile(lambda U, V: U @ V.T, (2, 1), (3, 1))
        >>> F.affine, F.bind(V=np.ones((3, 1))).affine
        (False, True)
        """
        return self._record.affine

    @cached_property
    def has_hessian(self) -> bool:
        """Whether each step has a second derivative: not where `rule` was given Jacobians alone."""
        try:
            return bool(self._record.gradient(weighted=self.out_shape != ()).differential)
        except TracingError:
            return False

    def gradient_function(self) -> "Compiled":
        """The gradient as a compiled function of the same arguments, for `root` and `solve_ivp`.

        Returns
        -------
        Compiled
            With a value of the argument's shape, or by the free entries of one with structure; of several arguments one
            flat vector, as `grad` makes it. Where this function is no scalar the weights of its values are one more
            argument, `weights`.

        Examples
        --------
        >>> import numpy as np, matjac as mj
        >>> G = mj.compile(lambda x: np.sum(x**3), (2,)).gradient_function()
        >>> G([1.0, 2.0]), G.jacobian([1.0, 2.0]).toarray()
        (array([ 3., 12.]), array([[ 6.,  0.],
               [ 0., 12.]]))
        """
        weighted = self.out_shape != ()
        name = "weights" if "weights" not in self.names else "weights_of_values"
        names = (*self.names, name) if weighted else self.names
        kinds = (*self.variables.kinds, self.out_shape) if weighted else self.variables.kinds
        return Compiled(self._record.gradient(weighted).joined(self.order), names, self.order, kinds)

    def half_squares(self) -> "Compiled":
        """Half the sum of squares ``½ ‖F‖²`` as a compiled function of the same arguments, of real numbers.

        It is recorded from what was recorded of F, and F is not run again; its gradient is ``Jᵀ F``.

        Returns
        -------
        Compiled
            With a value of shape (). Its Hessian has the part "gauss-newton", ``JᵀJ``.

        Examples
        --------
        >>> import numpy as np, matjac as mj
        >>> F = mj.compile(lambda x: x**2 - 1.0, (2,))
        >>> F.half_squares().value_and_gradient([1.0, 2.0])
        (array(4.5), array([ 0., 12.]))
        >>> F.half_squares().hessian([1.0, 2.0], part="gauss-newton").toarray()
        array([[ 4.,  0.],
               [ 0., 16.]])
        """
        return self._half

    @cached_property
    def _half(self) -> "Compiled":
        return Compiled(self._record.half_squares(), self.names, self.order, self.variables.kinds)

    def explain(self) -> str:
        """What each step makes of the differential: structured terms, or a general sparse product.

        Lines that begin with "costly:" say which steps cost most, and what would be cheaper: a general product, an
        inverse that a matrix is multiplied by, a stack of small products, a loop over single numbers.

        Examples
        --------
        >>> import numpy as np, matjac as mj
        >>> print(mj.compile(lambda X: np.tanh(X.T @ X), (2, 3)).explain())
        0 X (2, 3)
        1 transpose(0) → (3, 2): 1 term
        2 matmul(1, 0) → (3, 3): 2 terms
        3 tanh(2) → (3, 3): 2 terms
        every step is structured
        >>> print(mj.compile(lambda A, B: np.linalg.inv(A) @ B, (2, 2), (2, 3)).explain().splitlines()[-2])
        costly: step 2, an inverse times a matrix: np.linalg.solve(A, B) takes less work than inv(A) @ B
        """
        return explain(self._record, self.names, self.order)

    def _chosen(self, wrt: Wrt) -> tuple[int, ...]:
        if wrt is None:
            return self._every
        expected = f"one of {', '.join(map(repr, self.names))}, or its place, from 0 to {len(self.names) - 1}"
        if not isinstance(wrt, int | Sequence) or isinstance(wrt, bool):
            raise TypeError(f"wrt: got {checks.describe(wrt)}, expected {expected}")
        chosen = tuple(self._place(one, expected) for one in ([wrt] if isinstance(wrt, str | int) else wrt))
        if not chosen or len(set(chosen)) < len(chosen):
            raise ValueError(f"wrt: got {wrt!r}, expected different ones: {expected}")
        return chosen

    def _place(self, one: Any, expected: str) -> int:
        """The place of the argument of that name, or place."""
        if isinstance(one, int) and not isinstance(one, bool) and 0 <= one < len(self.names):
            return one
        if isinstance(one, str) and one in self.names:
            return self.names.index(one)
        raise ValueError(f"wrt: got {one!r}, expected {expected}")
