"""The Hessian: a Jacobian, that of a gradient, which is symmetric, so that half of it is enough."""

from typing import Any, Literal, TypeAlias, get_args

import scipy.sparse as sp

from matjac import checks
from matjac.conventions import Array
from matjac.jacobian.jacobian import Jacobian
from matjac.jacobian.matrix import Matrix
from matjac.maps.point import Point

Triangle: TypeAlias = Literal["lower", "upper"]
TRIANGLES: tuple[Triangle, ...] = get_args(Triangle)


class Hessian(Jacobian):
    """The Hessian of a scalar function of matrices, or of a weighted sum of a function's values.

    It is the Jacobian of the gradient, with all its members; `in_shape` and `out_shape` are the same. Its entries are
    computed once for each pair (i, j), (j, i), so that the matrix is symmetric to the last bit. `count`, `structure`,
    `coo_structure`, `fill` and `tocsr` take ``triangle="lower"`` or ``"upper"``, each half with the diagonal, as Ipopt
    and sparse Cholesky want it. Sums and multiples of Hessians are Hessians; it has no layout, for it is its own
    transpose.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> H = mj.compile(lambda x: x[0] ** 2 * x[1], (2,)).hessian([1.0, 3.0])
    >>> H.toarray()
    array([[6., 2.],
           [2., 0.]])
    >>> H.count("lower"), H.tocsr(triangle="lower").nnz
    (2, 2)
    """

    symmetric = True

    def _symmetric(self, point: Point) -> "Hessian":
        point.plan.symmetric = True
        return Hessian(point, self.out_shape, self.in_shape, self.order)

    def _times(self, number: Any) -> Jacobian:
        return self._symmetric(super()._times(number)._point)

    def __add__(self, other: Any) -> Any:
        total = super().__add__(other)
        return self._symmetric(total._point) if isinstance(other, Hessian) else total

    def _transpose(self) -> Jacobian:
        return self

    def _adjoint(self) -> Jacobian:
        return self if self.dtype.kind != "c" else self._symmetric(self._point.conj())

    def _half(self, triangle: Any) -> Matrix:
        checks.one_of("triangle", triangle, TRIANGLES)
        return Matrix(self._point, self.out_shape, self.in_shape, self.order, triangle)

    def count(self, triangle: Triangle | None = None) -> int:
        """Number of entries, of one triangle where that is given, without making any of them."""
        return self.nnz if triangle is None else self._half(triangle).nnz

    def structure(self, triangle: Triangle | None = None) -> tuple[Array, Array]:
        """Row pointers and sorted column indices, of one triangle where that is given; see `Jacobian.structure`."""
        return super().structure() if triangle is None else self._half(triangle).structure()

    def coo_structure(self, triangle: Triangle | None = None) -> tuple[Array, Array]:
        """Row and column of each entry, of one triangle where that is given; see `Jacobian.coo_structure`."""
        return super().coo_structure() if triangle is None else self._half(triangle).coo_structure()

    def fill(self, data: Array, triangle: Triangle | None = None) -> None:
        """Write the values, of one triangle where that is given, into a caller's buffer; see `Jacobian.fill`."""
        if triangle is None:
            super().fill(data)
        else:
            self._half(triangle).fill(data)

    def tocsr(self, out: Any = None, triangle: Triangle | None = None) -> sp.csr_array:
        """The Hessian, or one triangle of it, as a canonical ``csr_array``; see `Jacobian.tocsr`."""
        return super().tocsr(out) if triangle is None else self._half(triangle).tocsr(out)

    def _apply(self, x: Array, transposed: bool) -> Array:
        # it is its own transpose
        return self._point.apply(x)
