"""Functions of several matrices as functions of one flat vector, which is what solvers call."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from matjac import checks
from matjac.conventions import ORDERS, Array, Order, Shape, Shapes, several, size
from matjac.jacobian import Hessian, Jacobian
from matjac.structured import FreeShape, Unknown, free_shape, whole_shape, wholes


class Variables:
    """Several matrices as one flat vector, and back.

    Parameters
    ----------
    *shapes : tuple of int or unknown
        One for each variable. Of one with structure, such as ``matjac.unknowns.symmetric(3)``, the flat vector holds
        the free entries alone, row by row; `pack` takes whole matrices and checks their structure, `unpack` gives them.
    order : {"C", "F"}, optional
        Whether each is laid out row by row or column by column.
    names : sequence of str, optional
        What messages call them; x0, x1, … unless given.

    Raises
    ------
    TypeError, ValueError
        Where a shape is none, or there are more names than shapes.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> variables = mj.Variables((2, 1), (1, 3))
    >>> x = variables.pack(np.ones((2, 1)), np.zeros((1, 3)))
    >>> x
    array([1., 1., 0., 0., 0.])
    >>> variables.unpack(x)[1].shape
    (1, 3)
    >>> mj.Variables(mj.unknowns.symmetric(2)).pack([[1.0, 2.0], [2.0, 3.0]])
    array([1., 2., 3.])
    """

    def __init__(self, *shapes: Shape | Unknown, order: Order = "C", names: Sequence[str] | None = None) -> None:
        checks.one_of("order", order, ORDERS)
        #: the unknowns with structure, and the shapes of the others
        self.kinds: tuple[Shape | Unknown, ...] = tuple(
            shape if isinstance(shape, Unknown) else checks.shape(f"shapes[{at}]", shape)
            for at, shape in enumerate(shapes)
        )
        self.shapes = tuple(map(whole_shape, self.kinds))
        #: the shapes in which the flat vector holds them
        self.free_shapes = tuple(map(free_shape, self.kinds))
        self.structured = any(isinstance(kind, Unknown) for kind in self.kinds)
        self.order = order
        self.names = tuple(f"x{at}" for at in range(len(shapes))) if names is None else checks.words("names", names)
        if not shapes or len(self.names) != len(shapes):
            raise ValueError(f"Variables: got {len(shapes)} shapes and {len(self.names)} names, expected as many")
        ends = np.cumsum([0, *map(size, self.free_shapes)]).tolist()
        self.size = ends[-1]
        self._parts = [(slice(a, b), s) for a, b, s in zip(ends, ends[1:], self.free_shapes, strict=False)]

    @property
    def places(self) -> dict[str, slice]:
        """Where each variable is in the flat vector, by its name."""
        return {name: part for name, (part, _) in zip(self.names, self._parts, strict=True)}

    def __repr__(self) -> str:
        return f"<Variables {', '.join(f'{n}: {s}' for n, s in zip(self.names, self.kinds, strict=True))}>"

    def same(self, other: "Variables") -> bool:
        """Whether a flat vector of the one is one of the other."""
        return (self.kinds, self.order) == (other.kinds, other.order)

    def pack(self, *arrays: Any) -> Array:
        """The flat vector of the variables: one after another, each in `order`."""
        return self.joined(self.arrays(arrays, copy=False))

    def unpack(self, x: Array) -> tuple[Array, ...]:
        """The variables that a flat vector holds; views of it where it can be viewed so."""
        return self.wholes(self.split(x))

    def split(self, x: Array) -> tuple[Array, ...]:
        """The parts of a flat vector, in the shapes `free_shapes`; views of it where it can be viewed so."""
        vector = checks.shaped("x", x, (self.size,))
        return tuple([vector[part].reshape(shape, order=self.order) for part, shape in self._parts])

    def joined(self, parts: Sequence[Array]) -> Array:
        """The flat vector of such parts."""
        return np.concatenate([part.reshape(-1, order=self.order) for part in parts])

    def wholes(self, parts: Sequence[Array]) -> tuple[Array, ...]:
        """The variables of such parts: whole matrices of those with structure."""
        return tuple(wholes(self.kinds, parts)) if self.structured else tuple(parts)

    def in_shape(self, parts: Sequence[Array]) -> Shapes:
        """What derivatives at those parts of a flat vector have for their in_shape: one shape, or one for each."""
        found: tuple[Shape, ...] = tuple(
            FreeShape.of(kind, part) if isinstance(kind, Unknown) else kind
            for kind, part in zip(self.kinds, parts, strict=True)
        )
        return found[0] if len(found) == 1 else found

    def slopes(self, x: Array) -> Any:
        """The derivatives of all entries of the variables (rows, in `order`) by those of the flat vector x."""
        blocks = [
            kind.spread_at(part, self.order).matrix if isinstance(kind, Unknown) else sp.eye_array(part.size)
            for kind, part in zip(self.kinds, self.split(x), strict=True)
        ]
        return sp.block_diag(blocks, format="csr")

    def by_name(self, x: Array) -> dict[str, Array]:
        """`split`, by the variables' names."""
        return dict(zip(self.names, self.split(x), strict=True))

    def pack_named(self, arrays: Mapping[str, Array]) -> Array:
        """`joined` of the parts of those names; there may be others."""
        return self.joined([arrays[name] for name in self.names])

    def in_order(self, args: tuple[Any, ...], named: Mapping[str, Any]) -> tuple[Any, ...]:
        """The variables that were given by place and by name, as a call's arguments are."""
        if not named:
            return args
        rest = dict(named)
        for name in rest:
            if name not in self.names:
                raise TypeError(f"{name}: got an argument of that name, expected {', '.join(self.names)}")
            if name in self.names[: len(args)]:
                raise TypeError(f"{name}: got it twice, by its place and by its name")
        absent = [name for name in self.names[len(args) :] if name not in rest]
        if absent:
            raise TypeError(f"{absent[0]}: got none, expected {len(self.names)} arguments: {', '.join(self.names)}")
        return *args, *(rest[name] for name in self.names[len(args) :])

    def spread(self, name: str, value: Any) -> Array:
        """The flat vector of what is given for all entries (a number or a flat vector) or one for each variable."""
        # of one variable a list is a matrix
        if isinstance(value, tuple) or (isinstance(value, list) and len(self.shapes) > 1):
            if len(value) != len(self.shapes):
                raise ValueError(f"{name}: got {len(value)} parts, expected one for each of {', '.join(self.names)}")
            pairs = enumerate(zip(value, self.kinds, strict=True))
            return self.joined([_spread(f"{name}[{at}]", *part) for at, part in pairs])
        vector = checks.numeric(name, value)
        if len(self.shapes) == 1 and (vector.ndim > 1 or self.structured):
            return self.joined([_spread(name, vector, self.kinds[0])])
        if vector.ndim == 0 and self.structured:
            return self.joined([_spread(name, vector, kind) for kind in self.kinds])
        return _broadcast(name, vector, (self.size,))

    def entry(self, number: int) -> str:
        """The name of an entry of the flat vector: ``U[0, 2]``."""
        number = checks.count("number", number)
        for name, shape, kind in zip(self.names, self.free_shapes, self.kinds, strict=True):
            if number < size(shape):
                if isinstance(kind, Unknown):
                    return name + kind.entry(number)
                at = ", ".join(str(int(k)) for k in np.unravel_index(number, shape, order=self.order))
                return f"{name}[{at}]" if shape else name
            number -= size(shape)
        raise IndexError(f"entry: got a number beyond the {self.size} entries")

    def arrays(self, values: Sequence[Any], copy: bool = True) -> list[Array]:
        """The parts of variables, one array for each, which are checked; copies don't change when they do."""
        if len(values) != len(self.shapes):
            raise TypeError(f"arguments: got {len(values)}, expected {len(self.shapes)}: {', '.join(self.names)}")
        arrays = [checks.shaped(*part) for part in zip(self.names, values, self.shapes, strict=True)]
        if self.structured:
            arrays = [
                kind.free(array, name) if isinstance(kind, Unknown) else array
                for name, array, kind in zip(self.names, arrays, self.kinds, strict=True)
            ]
        return [np.array(array) for array in arrays] if copy else arrays


def weighted(weights: Any, shape: Shapes, order: Order, flat: bool, dtype: np.dtype[Any]) -> Array:
    """Weights of a function's values in its shape, checked: given flat, or so; 1 where there is one value and none."""
    name = "w" if flat else "weights"
    assert not several(shape)
    if weights is None:
        if size(shape) != 1:  # type: ignore[arg-type]
            raise ValueError(f"{name}: got none for a function of shape {shape}, expected them in that shape")
        return np.ones(shape, dtype)  # type: ignore[arg-type]
    if flat:
        return checks.shaped(name, weights, (size(shape),)).reshape(shape, order=order)  # type: ignore[arg-type]
    return checks.shaped(name, weights, shape)  # type: ignore[arg-type]


def _spread(name: str, value: Any, kind: Shape | Unknown) -> Array:
    array = checks.numeric(name, value)
    if not isinstance(kind, Unknown):
        return _broadcast(name, array, kind)
    return array if array.shape == (kind.size,) else kind.spread(name, array)


def _broadcast(name: str, value: Any, shape: Shape) -> Array:
    array = checks.numeric(name, value)
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        raise ValueError(f"{name}: got shape {array.shape}, expected {shape}, or a number for all") from None


class Flat(ABC):
    """A function of several matrices with its Jacobian, and both as functions of one flat vector."""

    #: the matrices it takes
    variables: Variables

    @abstractmethod
    def __call__(self, /, *args: Any, **named: Any) -> Array:
        """The function's value; variables by their places, or by their names."""

    @abstractmethod
    def _value(self, parts: Sequence[Array]) -> Array:
        """The function's value, from the parts of a flat vector."""

    @abstractmethod
    def jacobian(self, *args: Any, **named: Any) -> Jacobian:
        """The Jacobian at a point, by all variables side by side."""

    @abstractmethod
    def bind(self, /, **data: Any) -> "Flat":
        """The function of the other arguments, with these as constants: the same function, for other data."""

    @abstractmethod
    def bind_parts(self, data: Mapping[str, Array]) -> "Flat":
        """The same from parts of a flat vector, which are not checked."""

    def _bound(self, data: dict[str, Any]) -> dict[int, Array]:
        """What `bind` is given, checked and copied, by the places of the arguments."""
        names, shapes = self.variables.names, self.variables.shapes
        for name in data:
            checks.one_of("bind", name, names)
        if not data or len(data) == len(names):
            came = "all arguments" if data else "no argument"
            raise TypeError(f"bind: got {came}, expected some of {', '.join(names)}, and one or more to be left")
        places = [at for at, name in enumerate(names) if name in data]
        found = {at: np.array(checks.shaped(names[at], data[names[at]], shapes[at])) for at in places}
        for at, kind in enumerate(self.variables.kinds):
            if at in found and isinstance(kind, Unknown):
                # so that it is checked
                kind.free(found[at], names[at])
        return found

    @property
    def order(self) -> Order:
        """The order of flat vectors, and so of the Jacobian's rows and columns."""
        return self.variables.order

    def fun(self, x: Array) -> Any:
        """The function of one flat vector, as one, or a number where the value is one: what SciPy's solvers call."""
        return self._flat_value(self._value(self.variables.split(x)))

    def values(self, x: Array) -> Array:
        """The same, and a number is a vector of one too."""
        return self._value(self.variables.split(x)).reshape(-1, order=self.order)

    def _flat_value(self, value: Array) -> Any:
        return value.reshape(-1, order=self.order) if value.shape else value[()]

    def jac(self, x: Array) -> Jacobian:
        """The Jacobian at a flat vector."""
        return self._at(self._unpacked(x))

    def value_then_jac(self, x: Array) -> tuple[Array, Callable[[], Jacobian]]:
        """`fun`, and what makes `jac` at that point; of a compiled function from the same evaluation."""
        return self.fun(x), lambda: self.jac(x)

    def jac_csr(self, x: Array, out: Any = None) -> sp.csr_array:
        """The Jacobian at a flat vector as a csr_array: fresh values on a pattern that is found once.

        Parameters
        ----------
        x : array_like
            The variables' entries, one variable after another, each in `order`.
        out : scipy.sparse.csr_array, optional
            An earlier result, to be overwritten. Without it every result has values of its own and shares
            its index arrays, which cannot be written to, with the others.
        """
        matrix = self.jac(x).tocsr(out=out)
        if out is None:
            # a plan may not keep them itself
            self._arrays = matrix.indptr, matrix.indices
        return matrix

    def gradient(self, *args: Any, weights: Any = None, **named: Any) -> Array | Any:
        """The gradient of a scalar function, or of ``Σ weights ∘ F``, by one adjoint sweep.

        Parameters
        ----------
        *args, **named : array_like
            The variables, by their places or by their names.
        weights : array_like, optional
            Of the function's shape; not needed where that is ().

        Returns
        -------
        numpy.ndarray
            ``∂f / ∂X`` of X's shape; a tuple of them where there are several variables.

        Raises
        ------
        TypeError, ValueError
            Where an argument or `weights` has another shape or is not numeric.

        Examples
        --------
        >>> import numpy as np, matjac as mj
        >>> F = mj.compile(lambda X: np.sum(X * X), (2, 2))
        >>> F.gradient([[1.0, 2.0], [3.0, 4.0]])
        array([[2., 4.],
               [6., 8.]])
        """
        at = self.variables.arrays(self.variables.in_order(args, named), copy=False)
        arrays = self._wholes_of_gradient(at, self._gradient(at, weights, flat=False))
        return arrays[0] if len(arrays) == 1 else tuple(arrays)

    def _wholes_of_gradient(self, at: Sequence[Array], parts: list[Array]) -> list[Array]:
        """Gradients by the parts of a flat vector as whole matrices."""
        if not self.variables.structured:
            return parts
        return [
            kind.gradient(part, free) if isinstance(kind, Unknown) else part
            for kind, part, free in zip(self.variables.kinds, parts, at, strict=True)
        ]

    def grad(self, x: Array, w: Any = None) -> Array:
        """`gradient` at a flat vector, as one; w is flat too, in `order`."""
        return self._joined(self._gradient(list(self.variables.split(x)), w, flat=True))

    def _joined(self, arrays: list[Array]) -> Array:
        """The variables' parts as one flat vector."""
        flat = [part.reshape(-1, order=self.order) for part in arrays]
        return flat[0] if len(flat) == 1 else np.concatenate(flat)

    def value_and_gradient(self, *args: Any, weights: Any = None, **named: Any) -> tuple[Array, Array | Any]:
        """The function's value and its `gradient`; of a compiled function both from one run.

        Parameters
        ----------
        *args, **named : array_like
            The variables, by their places or by their names.
        weights : array_like, optional
            Of the gradient of ``Σ weights ∘ F``, in F's shape; not needed where that is ().

        Returns
        -------
        value : numpy.ndarray
            F's own, without the weights.
        gradient : numpy.ndarray
            Of the variable's shape; a tuple of them where there are several variables.

        Raises
        ------
        TypeError, ValueError
            Where an argument or `weights` has another shape or is not numeric.

        Examples
        --------
        >>> import numpy as np, matjac as mj
        >>> F = mj.compile(lambda X: np.sum(X * X), (2, 2))
        >>> F.value_and_gradient([[1.0, 2.0], [3.0, 4.0]])
        (array(30.), array([[2., 4.],
               [6., 8.]]))
        """
        at = self.variables.arrays(self.variables.in_order(args, named), copy=False)
        value, arrays = self._value_and_gradient(at, weights, flat=False)
        arrays = self._wholes_of_gradient(at, arrays)
        return value, arrays[0] if len(arrays) == 1 else tuple(arrays)

    def value_and_grad(self, x: Array, w: Any = None) -> tuple[Any, Array]:
        """`fun` and `grad` at a flat vector, from one run: what solvers of first order ask for at each point."""
        value, arrays = self._value_and_gradient(list(self.variables.split(x)), w, flat=True)
        return self._flat_value(value), self._joined(arrays)

    def hess(self, x: Array, w: Any = None) -> Hessian:
        """The Hessian of a scalar function, or of ``Σ w ∘ F``, at a flat vector; w is flat too, in `order`."""
        return self._hessian(self._unpacked(x), None if w is None else np.array(checks.numeric("w", w)), flat=True)

    def hess_csr(self, x: Array, w: Any = None, out: Any = None) -> sp.csr_array:
        """`hess` as a csr_array: fresh values on a pattern that is found once; into `out`, an earlier result."""
        return self.hess(x, w).tocsr(out=out)

    def hessp(self, x: Array, p: Array, w: Any = None) -> Array:
        """The product of `hess` and a flat vector p, by one sweep forwards and one back."""
        return self.hess(x, w).matvec(p)

    def _unpacked(self, x: Array) -> list[Array]:
        """The parts of a flat vector, as copies."""
        return list(self.variables.split(np.array(checks.numeric("x", x))))

    def _gradient(self, arrays: list[Array], weights: Any, flat: bool) -> list[Array]:
        """Jᵀ w in the shapes of the parts, as arrays of their own."""
        J = self._at(arrays)
        W = weighted(weights, J.out_shape, self.order, flat, J.dtype)
        return list(self.variables.split(J.T.dot(W.reshape(-1, order=self.order))))

    def _value_and_gradient(self, arrays: list[Array], weights: Any, flat: bool) -> tuple[Array, list[Array]]:
        """The value, and Jᵀ w in the shapes of the parts."""
        return self._value(arrays), self._gradient(arrays, weights, flat)

    @property
    @abstractmethod
    def has_hessian(self) -> bool:
        """Whether it has second derivatives: not where a rule gives Jacobians alone."""

    @abstractmethod
    def _hessian(self, arrays: list[Array], weights: Any, flat: bool) -> Hessian:
        """The Hessian of ``Σ weights ∘ F`` by all variables."""

    @abstractmethod
    def _at(self, arrays: list[Array]) -> Jacobian:
        """The Jacobian at parts of a flat vector that no one else changes."""

    def pack(self, *args: Any) -> Array:
        """The flat vector of the variables: one after another, each in `order`."""
        return self.variables.pack(*args)

    def unpack(self, x: Array) -> tuple[Array, ...]:
        """The variables that a flat vector holds."""
        return self.variables.unpack(x)
