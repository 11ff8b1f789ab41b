"""The Jacobian object: one linear map with three faces, a sparse matrix, an operator and a normal matrix."""

from collections.abc import Sequence
from typing import Any, TypeAlias, overload

import numpy as np
import numpy.typing as npt
from scipy.sparse.linalg import LinearOperator

from matjac import checks
from matjac.conventions import Array, Layout, Order, Shapes, flip, parts, same_vector, several, vec
from matjac.entries.plan import Plan
from matjac.jacobian.matrix import Matrix
from matjac.jacobian.vectors import divided, joined, positions
from matjac.maps import compose, normal
from matjac.maps.point import Point

#: An array, or one for each of several variables or outputs.
Arrays: TypeAlias = npt.ArrayLike | Sequence[npt.ArrayLike]


class Jacobian(Matrix, LinearOperator):  # type: ignore[misc]
    """The Jacobian of a matrix function, held as the few small matrices it is made of.

    Row ``r`` counts the entries of the output in `order`, column ``c`` those of the variable in the same
    order; in denominator layout the matrix is transposed. All members speak of the matrix as laid out,
    save `jvp`, `vjp` and `tensor`, which speak of the function.

    Identities such as `matjac.d_gram_dR` make it in O(size of their arguments), which it copies; nothing
    of the Jacobian's own size exists before `tocsr` or another member asks for it.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns of the matrix.
    dtype : numpy.dtype
        float32, float64, complex64 or complex128.
    out_shape, in_shape : tuple of int
        Shapes of the function's value and of its variable; tuples of shapes where there are several, whose
        entries follow one another.
    order : {"C", "F"}
        Order of vec: row by row, or column by column.
    layout : {"numerator", "denominator"}
        Whether rows are outputs, or variables.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> J = mj.d_gram_dR(np.array([[1.0, 2.0]]))
    >>> J.toarray()
    array([[2., 0.],
           [2., 1.],
           [2., 1.],
           [0., 4.]])
    >>> J.nnz, J.nbytes
    (6, 92)
    >>> J @ np.array([1.0, 0.0])
    array([2., 2., 2., 0.])
    """

    def __init__(
        self, point: Point, out_shape: Shapes, in_shape: Shapes, order: Order = "C", layout: Layout = "numerator"
    ) -> None:
        Matrix.__init__(self, point, out_shape, in_shape, order, layout)
        LinearOperator.__init__(self, self.dtype, self.shape)

    # The operator ------------------------------------------------------------------------------------

    # SciPy's own checks differ between its releases, so none of them is leant on

    def matvec(self, x: Array) -> Array:
        """``J @ x`` for a vector, of shape (columns,) or (columns, 1)."""
        x = self._vector("x", x, self.shape[1])
        return self._matvec(x).reshape(self.shape[0], *x.shape[1:])

    def rmatvec(self, x: Array) -> Array:
        """``J.H @ x`` for a vector, of shape (rows,) or (rows, 1)."""
        x = self._vector("x", x, self.shape[0])
        return self._rmatvec(x).reshape(self.shape[1], *x.shape[1:])

    def matmat(self, X: Array) -> Array:
        """``J @ X`` for a matrix of columns."""
        return self._matmat(checks.vectors("X", X, self.shape[1], (2,)))

    def rmatmat(self, X: Array) -> Array:
        """``J.H @ X`` for a matrix of columns."""
        return self._rmatmat(checks.vectors("X", X, self.shape[0], (2,)))

    def dot(self, x: Any) -> Any:
        """``J @ x`` for a vector, a matrix of columns, a number, or another Jacobian or operator.

        The product of two Jacobians is the chain rule, and again a `Jacobian`, whose products are those of the one
        after the other.
        """
        if isinstance(x, Jacobian):
            return self._chain(x)
        if checks.is_number(x):
            return self._times(x)
        if isinstance(x, LinearOperator):
            return super().dot(x)
        x = checks.vectors("x", x, self.shape[1], (1, 2))
        return self._matvec(x) if x.ndim == 1 else self._matmat(x)

    @overload
    def __matmul__(self, other: "Jacobian") -> "Jacobian": ...
    @overload
    def __matmul__(self, other: Array | Sequence[Any]) -> Array: ...
    @overload
    def __matmul__(self, other: LinearOperator) -> LinearOperator: ...
    def __matmul__(self, other: Any) -> Any:
        if checks.is_number(other):
            raise ValueError("J @ a: got a number, expected a vector, a matrix or a Jacobian: use J * a")
        return self.dot(other)

    def __rmatmul__(self, other: Any) -> Any:
        """``X @ J`` for a vector, or a matrix of rows."""
        return super().__rmatmul__(other) if isinstance(other, LinearOperator) else self._from_left(other)

    def _from_left(self, other: Any) -> Any:
        x = checks.numeric("x", other)
        if x.ndim not in (1, 2) or x.shape[-1] != self.shape[0]:
            raise ValueError(f"x: got shape {x.shape}, expected ({self.shape[0]},) or (k, {self.shape[0]})")
        return self.T.dot(x.T).T

    @staticmethod
    def _vector(name: str, x: Any, length: int) -> Array:
        vector = checks.vectors(name, x, length, (1, 2))
        if vector.ndim == 2 and vector.shape[1] != 1:
            raise ValueError(f"{name}: got shape {vector.shape}, expected ({length},) or ({length}, 1)")
        return vector

    def _apply(self, x: Array, transposed: bool) -> Array:
        """The product with the matrix as laid out, or its transpose, on the last axis of x."""
        forward = (self.layout == "numerator") != transposed
        return self._point.apply(x) if forward else self._point.apply_transposed(x)

    def _matvec(self, x: Array) -> Array:
        return self._apply(x.reshape(-1), transposed=False)

    def _rmatvec(self, x: Array) -> Array:
        return self._apply(x.reshape(-1).conj(), transposed=True).conj()

    def _matmat(self, X: Array) -> Array:
        return self._apply(np.ascontiguousarray(X.T), transposed=False).T

    def _rmatmat(self, X: Array) -> Array:
        return self._apply(np.ascontiguousarray(X.T.conj()), transposed=True).T.conj()

    # Composition -------------------------------------------------------------------------------------

    def _chain(self, other: "Jacobian") -> "Jacobian":
        self._check_conventions(other)
        layout = other.layout if self.symmetric else self.layout
        outer, inner = (self, other) if layout == "numerator" else (other, self)
        if not same_vector(outer.in_shape, inner.out_shape):
            raise ValueError(
                f"J1 @ J2: got a function of an argument of shape {outer.in_shape} after one with values of shape "
                f"{inner.out_shape}, expected the same shape"
            )
        point = compose.chain(outer._point, inner._point)
        return Jacobian(point, outer.out_shape, inner.in_shape, self.order, layout)

    def _times(self, number: Any) -> "Jacobian":
        checks.numeric("number", number)
        return self._with(compose.scaled(self._point, number))

    def _check_conventions(self, other: "Jacobian") -> None:
        for name in ("order", "layout"):
            mine, its = getattr(self, name), getattr(other, name)
            if mine != its and not (name == "layout" and (self.symmetric or other.symmetric)):
                hint = "; J.T @ J is J.normal()" if name == "layout" else ""
                raise ValueError(f"{name}: got Jacobians with {name} {mine!r} and {its!r}, expected the same{hint}")

    def on(self, plan: Plan) -> "Jacobian":
        """The same Jacobian with another plan that decides alike."""
        if plan is self.plan:
            return self
        given, program = self.values, plan.expression.program
        # what was recorded later has other numbers there
        values = program.start()
        for k in plan.known | plan.expression.coefficients:
            values[k] = given[k]
        return self._with(Point(plan, values, self.dtype, self._point.conjugate))

    def _with(self, point: Point) -> "Jacobian":
        """The Jacobian of another map between the same shapes."""
        return Jacobian(point, self.out_shape, self.in_shape, self.order, self.layout)

    def __add__(self, other: Any) -> Any:
        if not isinstance(other, Jacobian):
            return super().__add__(other)
        self._check_conventions(other)
        if (self.out_shape, self.in_shape) != (other.out_shape, other.in_shape):
            raise ValueError(
                f"J1 + J2: got Jacobians of {self.out_shape} by {self.in_shape} and of {other.out_shape} by "
                f"{other.in_shape}, expected the same shapes"
            )
        return self._with(compose.add([self._point, other._point]))

    def __radd__(self, other: Any) -> Any:
        # so that sum() of Jacobians works
        if not (checks.is_number(other) and other == 0):
            raise TypeError(f"a + J: got {checks.describe(other)}, expected a Jacobian")
        return self

    def __neg__(self) -> "Jacobian":
        return self._times(-1)

    def __sub__(self, other: Any) -> Any:
        return self + (-other) if isinstance(other, LinearOperator) else NotImplemented

    def __rmul__(self, other: Any) -> Any:
        if isinstance(other, LinearOperator):
            return super().__rmul__(other)
        return self._times(other) if checks.is_number(other) else self._from_left(other)

    def __truediv__(self, other: Any) -> Any:
        if not checks.is_number(other):
            raise TypeError(f"J / a: got {checks.describe(other)}, expected a number")
        checks.numeric("a", other)
        return self._times(1 / other)

    def take(self, rows: Any) -> "Jacobian":
        """The Jacobian of some of the function's entries: masks, triangles, samples.

        Parameters
        ----------
        rows : array_like
            Numbers of entries of the function's value in `order`, in any order and more than once; negative
            ones count from the end. Or a mask: booleans of shape `out_shape`, whose true entries are taken in
            `order`.

        Returns
        -------
        Jacobian
            With ``out_shape (k,)``.

        Raises
        ------
        TypeError, ValueError, IndexError
            Where `rows` is neither, or a number is out of range.

        Examples
        --------
        >>> import matjac as mj
        >>> mj.d_gram_dR([[1.0, 2.0]]).take([3, 0]).toarray()
        array([[0., 4.],
               [2., 0.]])
        """
        index = positions(rows, self.out_shape, self._point.shape[0], self.order)
        point = compose.take(self._point, index)
        return Jacobian(point, (index.size,), self.in_shape, self.order, self.layout)

    @property
    def T(self) -> "Jacobian":
        """The transposed matrix: the same Jacobian in the other layout."""
        return self._transpose()

    @property
    def H(self) -> "Jacobian":
        """The conjugated transposed matrix."""
        return self._adjoint()

    def _transpose(self) -> "Jacobian":
        return Jacobian(self._point, self.out_shape, self.in_shape, self.order, flip(self.layout))

    def _adjoint(self) -> "Jacobian":
        return Jacobian(self._point.conj(), self.out_shape, self.in_shape, self.order, flip(self.layout))

    def jvp(self, dX: Arrays) -> Array | Any:
        """The function's differential in the direction dX.

        Parameters
        ----------
        dX : array_like
            Of shape `in_shape`; a sequence of arrays where that is several shapes.

        Returns
        -------
        numpy.ndarray
            dF, of shape `out_shape`; a tuple where that is several shapes.

        Examples
        --------
        >>> import numpy as np, matjac as mj
        >>> R, dR = np.array([[1.0, 2.0]]), np.array([[0.0, 1.0]])
        >>> mj.d_gram_dR(R).jvp(dR)
        array([[0., 1.],
               [1., 4.]])
        """
        return divided(self._point.apply(joined("dX", dX, self.in_shape, self.order)), self.out_shape, self.order)

    def vjp(self, W: Arrays) -> Array | Any:
        """The gradient of ``Σ W ∘ F``: the transposed differential (not conjugated) of W.

        Parameters
        ----------
        W : array_like
            Of shape `out_shape`; a sequence of arrays where that is several shapes.

        Returns
        -------
        numpy.ndarray
            Of shape `in_shape`; a tuple where that is several shapes.
        """
        vector = self._point.apply_transposed(joined("W", W, self.out_shape, self.order))
        return divided(vector, self.in_shape, self.order)

    def gradient(self) -> Array | Any:
        """The gradient of a scalar function, as a dense array.

        Returns
        -------
        numpy.ndarray
            In denominator layout of the variable's shape, ``G[i, j] = ∂f / ∂X[i, j]``; in numerator layout
            transposed. A tuple of them where there are several variables.

        Raises
        ------
        ValueError
            Where the function's value is not a scalar.

        Examples
        --------
        >>> import matjac as mj
        >>> mj.d_bilinear_dX([1.0, 2.0], [3.0, 5.0], layout="denominator").gradient()
        array([[ 3.,  5.],
               [ 6., 10.]])
        """
        if self.out_shape != ():
            raise ValueError(f"gradient: got a function with out_shape {self.out_shape}, expected a scalar, ()")
        gradient = self.vjp(np.ones((), dtype=self.dtype))
        if self.layout == "denominator":
            return gradient
        return tuple(part.T for part in gradient) if several(self.in_shape) else gradient.T

    # The normal matrix -------------------------------------------------------------------------------

    def normal(self, weights: Any = None) -> "Jacobian":
        """The normal matrix ``J.H @ J`` (JᵀJ for real J), or JᴴWJ, again as a `Jacobian` with all its faces.

        Its factors are products of J's factors: ``(L ⊗ Rᵀ)ᵀ(L ⊗ Rᵀ) = LᵀL ⊗ RRᵀ``. Where rows were taken, scaled or
        weighted its products are J's, one after the other; only its entries are a stored sparse product.

        Parameters
        ----------
        weights : array_like, optional
            Real, one for each row of J, or of shape `out_shape` in numerator layout.

        Raises
        ------
        TypeError, ValueError
            Where `weights` is complex or has another shape.

        Examples
        --------
        >>> import matjac as mj
        >>> mj.d_matvec_dA([1.0, 2.0], 2).normal(weights=[1.0, 3.0]).toarray()
        array([[ 1.,  2.,  0.,  0.],
               [ 2.,  4.,  0.,  0.],
               [ 0.,  0.,  3.,  6.],
               [ 0.,  0.,  6., 12.]])
        """
        shape = self.in_shape if self.layout == "numerator" else self.out_shape
        return Jacobian(normal.normal(self._laid_out(), self._weights(weights)), shape, shape, self.order)

    def normal_blocks(self, axis: int | None = None, weights: Any = None) -> Any:
        """The diagonal blocks of `normal`: one for each row, or each column, of a variable that is a matrix.

        They precondition (`matjac.solvers.block_jacobi`). Of closed terms they are products of small factors, and J
        is not formed; else a few rows of it at a time.

        Parameters
        ----------
        axis : {0, 1}, optional
            The axis along which a block goes: 1 for a block for each row, 0 for each column. The shorter one
            unless given. A vector is a matrix of one column.
        weights : array_like, optional
            As in `normal`.

        Returns
        -------
        numpy.ndarray
            Of shape (p, q, q) for a variable of shape (p, q) and axis 1, or (q, p, p) for axis 0. A tuple of such
            where there are several variables.

        Raises
        ------
        TypeError, ValueError
            Where `axis` or `weights` is none, or a variable has more than two dimensions.

        Examples
        --------
        >>> import matjac as mj
        >>> mj.d_matvec_dA([1.0, 2.0], 3).normal_blocks(axis=1).shape
        (3, 2, 2)
        """
        kept, of = self._weights(weights), self.in_shape if self.layout == "numerator" else self.out_shape
        blocks = normal.normal_blocks(*self.blocked(axis), kept)
        return tuple(blocks) if several(of) else blocks[0]

    def blocked(self, axis: int | None = None) -> tuple[Point, list[tuple[int, int]]]:
        """The map with each variable counted along its `normal_blocks`, and how many there are, of which size."""
        if not (axis is None or (isinstance(axis, int | np.integer) and axis in (0, 1))) or isinstance(axis, bool):
            raise ValueError(f"axis: got {axis!r}, expected 0, 1 or None")
        of = self.in_shape if self.layout == "numerator" else self.out_shape
        return normal.along_blocks(self._laid_out(), parts(of), axis, self.order)

    def _laid_out(self) -> Point:
        """The map whose rows are the rows of the matrix as laid out."""
        if self.layout == "numerator":
            return self._point
        shapes = [shape if self.order == "C" else shape[::-1] for shape in parts(self.out_shape)]
        return normal.transposed(self._point, shapes)

    def _weights(self, weights: Any) -> Array | None:
        if weights is None:
            return None
        array = checks.numeric("weights", weights)
        if array.dtype.kind == "c":
            raise TypeError(f"weights: got dtype {array.dtype}, expected real numbers")
        if self.layout == "numerator" and not several(self.out_shape) and array.shape == self.out_shape:
            array = vec(array, self.order)
        if array.shape != (self.shape[0],):
            raise ValueError(f"weights: got shape {array.shape}, expected ({self.shape[0]},), one for each row")
        return np.array(array)

    def diagonal_normal(self) -> Array:
        """The diagonal of `normal`: the squared norm of each column, without forming J or JᵀJ."""
        return normal.column_squares(self._point) if self.layout == "numerator" else normal.row_squares(self._point)

    def column_norms(self) -> Array:
        """The norm of each column: what ``least_squares(x_scale="jac")`` works out from a matrix.

        Give it ``x_scale=1 / np.where(norms > 0, norms, 1)`` along with the operator.
        """
        return np.sqrt(self.diagonal_normal())
