"""Block-Jacobi preconditioning, and damped steps by an inner solver on an augmented operator."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from scipy.sparse.linalg import LinearOperator, aslinearoperator, lsmr

from matjac import checks
from matjac.conventions import Array, Order, Shape, as_matrix, parts, size
from matjac.jacobian import Jacobian
from matjac.linear.factors import Sparse
from matjac.maps.gram import alone, shared_basis
from matjac.maps.normal import block_axis
from matjac.solvers.blockwise import BlockCholesky
from matjac.solvers.lbfgs import Metric

#: Part of a block's largest diagonal entry that `metric` adds to its diagonal, and the most entries of one variable's
#: blocks, and tenths of those of J, for which it makes them.
SHIFT, LARGEST = 1e-8, 20_000_000


class BlockJacobi(LinearOperator):  # type: ignore[misc]
    """An approximate inverse of JᵀWJ + D²: that of its diagonal blocks, B = LLᵀ.

    As an operator it is B⁻¹, what ``cg`` takes as M. `right` is L⁻ᵀ, what ``lsmr`` wants J multiplied by.
    `block_jacobi` makes it.

    Attributes
    ----------
    shape : tuple of int
        As many rows and columns as J has columns.
    dtype : numpy.dtype
        float64.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> M = mj.solvers.block_jacobi(mj.d_matvec_dA([1.0, 2.0], 3), damping=1.0)
    >>> b = np.arange(6.0)
    >>> np.allclose(M.right(M.right_transposed(b)), M @ b)
    True
    """

    def __init__(self, factors: list[BlockCholesky], views: Callable[[Array], Iterable[Array]], total: int) -> None:
        self._factors, self._views = factors, views
        super().__init__(np.dtype(float), (total, total))

    def _matvec(self, x: Array) -> Array:
        return self._each(BlockCholesky.solve, np.ravel(x))

    _rmatvec = _matvec

    def right(self, z: Array) -> Array:
        """``L⁻ᵀ z``."""
        return self._each(BlockCholesky.solve_upper, z)

    def right_transposed(self, x: Array) -> Array:
        """``L⁻¹ x``."""
        return self._each(BlockCholesky.solve_lower, x)

    def columns(self, J: Any) -> LinearOperator:
        """``J L⁻ᵀ``, whose columns are nearly orthonormal within each block."""
        operator = aslinearoperator(J)
        return LinearOperator(
            J.shape,
            dtype=J.dtype,
            matvec=lambda z: operator.matvec(self.right(np.ravel(z))),
            rmatvec=lambda y: self.right_transposed(np.ravel(operator.rmatvec(y))),
        )

    def _each(self, solve: Callable[[BlockCholesky, Array], Array], x: Array) -> Array:
        """The solutions for the parts of a flat vector."""
        x = checks.shaped("x", x, (self.shape[0],))
        out = np.empty(x.size)
        for factors, mine, its in zip(self._factors, self._views(x), self._views(out), strict=True):
            its[...] = solve(factors, mine)
        return out


def block_jacobi(J: Jacobian, damping: Any = 0.0, weights: Any = None, axis: int | None = None) -> BlockJacobi:
    """The block-Jacobi preconditioner of JᵀWJ + D², from the diagonal blocks of JᵀWJ, without forming it.

    Parameters
    ----------
    J : Jacobian
        In numerator layout, of matrices or vectors.
    damping : float or array_like, optional
        D, a number or one for each column, none negative. Where a block is not positive definite without it, for J does
        not reach it in all directions, such blocks are given √ε of their largest diagonal entry (a zero block, the
        identity).
    weights : array_like, optional
        W, one for each row.
    axis : {0, 1}, optional
        As in `Jacobian.normal_blocks`: blocks along rows (1) or columns (0), the shorter ones unless given.

    Returns
    -------
    BlockJacobi
        A LinearOperator to give to ``scipy.sparse.linalg.cg`` as M, with ``columns(J)`` for ``lsmr``.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as described.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> J = mj.d_matvec_dA([1.0, 2.0], 3)
    >>> M = mj.solvers.block_jacobi(J, damping=1.0)
    >>> b = np.arange(6.0)
    >>> np.allclose(J.normal() @ (M @ b) + M @ b, b)
    True
    """
    if not isinstance(J, Jacobian) or J.layout != "numerator":
        raise TypeError(f"J: got {checks.describe(J)}, expected a matjac.Jacobian in numerator layout")
    if J.dtype.kind == "c":
        raise TypeError(f"J: got dtype {J.dtype}, expected a real Jacobian")
    scale = _damping(damping, J.shape[1])
    if scale.dtype.kind == "c" or np.any(scale < 0):
        raise ValueError(f"damping: got {checks.describe(damping)}, expected real numbers of at least 0")
    squares = np.broadcast_to(scale, (J.shape[1],)) ** 2
    views = partial(block_views, parts(J.in_shape), axis, J.order)
    return _factored(J.normal_blocks(axis, weights), squares, views)


def metric(J: Jacobian, weights: Array | None = None, added: Callable[[Array], Array] = alone) -> Metric | None:
    """Products with an approximate inverse of JᵀWJ, positive definite: in a basis that blocks share, or by blocks.

    None where blocks would cost more than many gradients: they are large, or J's entries would have to be made.
    What `added` makes of an array is its sum over ranks, each of which has rows of J.
    """
    shared = shared_metric(J, weights, added)
    if shared is not None or not direct(J, added):
        return shared
    return summed_blocks(J, np.zeros(J.shape[1]), weights, SHIFT, added).matvec  # type: ignore[no-any-return]


def summed_blocks(
    J: Jacobian, squares: Array, weights: Array | None, shift: float, added: Callable[[Array], Array]
) -> BlockJacobi:
    """`block_jacobi` with those squares on the diagonals, of blocks that are sums over ranks."""
    blocks = J.normal_blocks(None, weights)
    each = [added(block) for block in (blocks if isinstance(blocks, tuple) else (blocks,))]
    return _factored(tuple(each), squares, partial(block_views, parts(J.in_shape), None, J.order), shift)


def shared_metric(J: Jacobian, weights: Array | None = None, added: Callable[[Array], Array] = alone) -> Metric | None:
    """Products with an approximate inverse of the diagonal blocks of JᵀWJ, diagonal in the basis that blocks share.

    It costs little more than a gradient, whatever the blocks' size. None where rows of J are not of one block each.
    """
    if any(len(shape) > 2 for shape in parts(J.in_shape)):
        return None
    point, shapes = J.blocked()
    made = [shared_basis(point, variable, shape, weights, added) for variable, shape in enumerate(shapes)]
    found = [pair for pair in made if pair is not None]
    if len(found) < len(made):
        return None
    inverses = [(basis, 1 / (squares + _least(squares))) for basis, squares in found]
    return SharedMetric(inverses, partial(block_views, parts(J.in_shape), None, J.order))


class SharedMetric:
    """Products with blocks that are diagonal in one basis a variable: its basis, and their diagonals."""

    def __init__(self, inverses: list[tuple[Array, Array]], views: Callable[[Array], Iterable[Array]]) -> None:
        self.inverses, self.views = inverses, views

    def __call__(self, x: Array) -> Array:
        """The product with a flat vector."""
        out = np.empty(x.size)
        for (basis, inverse), mine, its in zip(self.inverses, self.views(x), self.views(out), strict=True):
            its[...] = (mine @ basis * inverse) @ basis.T
        return out


def _least(squares: Array) -> Array:
    """What is added to the diagonals of blocks: part of a block's largest entry, 1 to a zero block."""
    largest = squares.max(axis=1, initial=0.0, keepdims=True)
    return np.where(largest > 0, SHIFT * largest, 1.0)


def direct(J: Jacobian, added: Callable[[Array], Array] = alone) -> bool:
    """Whether the blocks are small and are made from the factors, or from few entries of J; on all ranks."""
    return not added(np.array([float(not _direct(J))])).any()


def _direct(J: Jacobian) -> bool:
    shapes = [block_axis(shape, None)[1] if len(shape) < 3 else None for shape in parts(J.in_shape)]
    if any(shape is None or shape[0] * shape[1] ** 2 > LARGEST for shape in shapes):
        return False
    factors = (factor for terms in J.plan.terms.values() for term in terms for factor in (term.u, term.w))
    structured = J.plan.operator is None and not any(isinstance(factor, Sparse) for factor in factors)
    return structured and J.nnz <= 10 * LARGEST


def _factored(
    blocks: Any, squares: Array, views: Callable[[Array], Iterable[Array]], shift: float = 0.0
) -> BlockJacobi:
    """The factors of the blocks with those squares on their diagonals, and `shift` times a block's largest entry there.

    A block that is not positive definite is given √ε of its largest entry (a zero block, the identity).
    """
    factors = []
    for given, mine in zip(blocks if isinstance(blocks, tuple) else (blocks,), views(squares), strict=True):
        block = given.astype(float)
        diagonal = np.einsum("bii->bi", block)
        diagonal += mine
        largest = diagonal.max(axis=1, initial=0.0, keepdims=True)
        made = BlockCholesky().factor(block, shift * largest)
        if made.failed.any():
            small = np.where(largest > 0, np.sqrt(np.finfo(float).eps) * largest, 1.0)
            made.factor(block, np.where(made.failed[:, None] > 0, small, shift * largest))
        factors.append(made)
    return BlockJacobi(factors, views, squares.size)


def augmented(J: Any, damping: Any) -> LinearOperator:
    """``[J; D]``: the operator of the damped least squares ‖J p + r‖² + ‖D p‖².

    Parameters
    ----------
    J : Jacobian, LinearOperator or sparse matrix
        Of (rows, columns).
    damping : float or array_like
        D, a number or one for each column.

    Returns
    -------
    scipy.sparse.linalg.LinearOperator
        Of (rows + columns, columns).

    Raises
    ------
    TypeError, ValueError
        Where `damping` is no number and has not one for each column.

    Examples
    --------
    >>> import matjac as mj
    >>> mj.solvers.augmented(mj.d_matvec_dA([1.0, 2.0], 3), 0.5).shape
    (9, 6)
    """
    rows, columns = J.shape
    scale, operator = _damping(damping, columns), aslinearoperator(J)
    return LinearOperator(
        (rows + columns, columns),
        dtype=np.result_type(J.dtype, scale),
        matvec=lambda p: np.concatenate([J @ np.ravel(p), scale * np.ravel(p)]),
        rmatvec=lambda y: operator.rmatvec(np.ravel(y)[:rows]) + scale.conj() * np.ravel(y)[rows:],
    )


def damped_step(J: Jacobian, residual: Any, damping: Any = 0.0, axis: int | None = None, **options: Any) -> Array:
    """The step p that minimises ‖J p + r‖² + ‖D p‖², by ``lsmr`` on the preconditioned augmented operator.

    Parameters
    ----------
    J : Jacobian
        In numerator layout.
    residual : array_like
        r, one entry for each row.
    damping : float or array_like, optional
        D, a number or one for each column.
    axis : {0, 1}, optional
        As in `block_jacobi`.
    **options
        Of ``scipy.sparse.linalg.lsmr``: ``atol``, ``btol``, ``maxiter``, …

    Returns
    -------
    numpy.ndarray
        The flat step.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as described.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> K = np.array([[2.0, 1.0], [1.0, 2.0]])
    >>> R = np.eye(2)
    >>> for _ in range(6):
    ...     step = mj.solvers.damped_step(mj.d_gram_dR(R), (R.T @ R - K).ravel(), damping=1e-3)
    ...     R = R + step.reshape(2, 2)
    >>> np.allclose(R.T @ R, K)
    True
    """
    M = block_jacobi(J, damping, axis=axis)
    whole = M.columns(augmented(J, damping))
    y = checks.shaped("residual", residual, (J.shape[0],))
    z = lsmr(whole, np.concatenate([-y, np.zeros(J.shape[1])]), **options)[0]
    return M.right(z)


def _damping(damping: Any, columns: int) -> Array:
    scale = checks.finite("damping", damping)
    if scale.shape not in ((), (columns,)):
        raise ValueError(f"damping: got shape {scale.shape}, expected a number or ({columns},)")
    return scale


def block_views(shapes: Sequence[Shape], axis: int | None, order: Order, x: Array) -> Iterator[Array]:
    """A view of each variable's part of a flat vector, with a row for each block."""
    at = 0
    for shape in shapes:
        matrix = x[at : at + size(shape)].reshape(as_matrix(shape), order=order)
        yield matrix if block_axis(shape, axis)[0] == 1 else matrix.T
        at += size(shape)
