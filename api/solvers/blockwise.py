"""Many small symmetric positive definite systems at once: Cholesky factors of a stack of blocks."""

from typing import Any

import numpy as np

from matjac import checks, kernels
from matjac.conventions import Array
from matjac.threads import split


class BlockCholesky:
    """Factors ``A_b + D_b = L_b L_bᵀ`` of a stack of small blocks, made once and solved with many times.

    Compiled, and spread over threads where the stack is large. It neither raises nor stops where a block is not
    positive definite: that is in `failed`.

    Attributes
    ----------
    failed : numpy.ndarray
        (b,): 0, or the number, from 1, of the first pivot of a block that was not positive and finite.

    Examples
    --------
    >>> import numpy as np
    >>> from matjac.solvers.blockwise import BlockCholesky
    >>> blocks = np.array([[[2.0, 1.0], [1.0, 2.0]], [[1.0, 3.0], [3.0, 1.0]]])
    >>> factors = BlockCholesky().factor(blocks, 1.0)
    >>> factors.failed
    array([0, 2])
    >>> factors.solve(np.array([[4.0, 4.0], [1.0, 1.0]]))
    array([[ 1.,  1.],
           [nan, nan]])
    """

    def __init__(self) -> None:
        self.failed: Array = np.empty(0, np.int64)
        #: L in the lower triangles, the inverses of its diagonal entries on the diagonals
        self.factors: Array = np.empty((0, 0, 0))

    def factor(self, blocks: Array, shift: Any = 0.0, *, overwrite: bool = False) -> "BlockCholesky":
        """Factor ``blocks[b] + diag(shift[b])``.

        Parameters
        ----------
        blocks : numpy.ndarray
            (b, q, q), real; of each the lower triangle is read.
        shift : array_like, optional
            A number for all, (b, 1) for a number for each block, (q,) for one diagonal, or (b, q).
        overwrite : bool, optional
            Whether the factors may be written into `blocks`.

        Returns
        -------
        BlockCholesky
            This one.

        Raises
        ------
        TypeError, ValueError
            Where an argument is not as described.
        """
        blocks = checks.numeric("blocks", blocks)
        count, q = (*blocks.shape, 0, 0)[:2]
        if blocks.shape != (count, q, q) or blocks.dtype.kind == "c":
            raise ValueError(f"blocks: got {checks.describe(blocks)}, expected a stack of real square matrices")
        lift = np.atleast_2d(checks.numeric("shift", shift))
        if lift.shape not in ((1, 1), (count, 1), (1, q), (count, q)):
            raise ValueError(
                f"shift: got shape {lift.shape}, expected a number, ({count}, 1), ({q},) or ({count}, {q})"
            )
        blocks = np.ascontiguousarray(blocks)
        lift = np.ascontiguousarray(lift, blocks.dtype)
        out = blocks if overwrite and blocks.flags.writeable else np.empty_like(blocks)
        failed = np.empty(count, np.int64)

        def task(start: int, stop: int) -> None:
            kernels.cholesky_factor(blocks, lift, out, failed, start, stop)

        # a block costs as much as writing some five times its entries, from q = 3 to 50
        split(task, 0, count, 5 * blocks.size)
        self.factors, self.failed = out, failed
        return self

    def solve(self, b: Array) -> Array:
        """The solutions for right-hand sides (b, q), or (b, q, r) for r of each block; NaN for what failed."""
        return self._solved(b, True, True)

    def solve_lower(self, b: Array) -> Array:
        """``L⁻¹ b``."""
        return self._solved(b, True, False)

    def solve_upper(self, b: Array) -> Array:
        """``L⁻ᵀ b``."""
        return self._solved(b, False, True)

    def _solved(self, b: Array, lower: bool, upper: bool) -> Array:
        factors, failed = self.factors, self.failed
        right = checks.numeric("b", b)
        if right.ndim not in (2, 3) or right.shape[:2] != factors.shape[:2] or right.dtype.kind == "c":
            expected = f"real numbers of shape {factors.shape[:2]}, or so with columns"
            raise ValueError(f"b: got {checks.describe(right)}, expected {expected}")
        right = np.ascontiguousarray(right, factors.dtype)
        out = np.empty_like(right)
        solve = kernels.cholesky_solve if right.ndim == 2 else kernels.cholesky_solve_columns

        def task(start: int, stop: int) -> None:
            solve(factors, failed, right, lower, upper, out, start, stop)

        split(task, 0, factors.shape[0], 2 * factors.size * (right.shape[2] if right.ndim == 3 else 1))
        return out
