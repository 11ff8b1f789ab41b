"""Normal equations by a sparse Cholesky factorisation: analysed once, factorised anew at each step."""

import importlib.util
from typing import Any, Literal, TypeAlias

import numpy as np
import scipy.sparse as sp

from matjac import checks
from matjac.conventions import Array
from matjac.elimination import LOWER, require_factors
from matjac.extras import optional
from matjac.jacobian import Jacobian

#: The packages that factorise, and their modules.
Backend: TypeAlias = Literal["cholmod", "qdldl"]
BACKENDS: dict[Backend, str] = {"cholmod": "sksparse", "qdldl": "qdldl"}


class NormalEquations:
    """Solves ``(JᵀWJ + d² I) p = b`` for Jacobians of one pattern, by CHOLMOD or QDLDL.

    The first `factorize` finds the pattern of JᵀWJ and analyses it (its fill-reducing order); later ones compute
    values and factorise.

    Parameters
    ----------
    backend : {"cholmod", "qdldl"}, optional
        CHOLMOD by scikit-sparse (``pip install matjac[cholmod]``, which needs SuiteSparse's headers), or QDLDL
        (``pip install matjac[qdldl]``, a wheel). Whichever is installed, CHOLMOD first, unless given.

    Raises
    ------
    ImportError
        Where that package is absent.
    ValueError
        Where `backend` is another.

    Examples
    --------
    Gauss–Newton steps are one line each:

    >>> import numpy as np, matjac as mj
    >>> a, b = np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 5.0])
    >>> F = mj.compile(lambda u, v: np.outer(u, v) - np.outer(a, b), (3,), (3,))
    >>> x = F.pack(a + 0.3, b - 0.3)
    >>> equations = mj.solvers.NormalEquations("qdldl")
    >>> for _ in range(8):
    ...     J = F.jac(x)
    ...     x = x - equations.factorize(J, damping=1e-3).solve(J.T @ F.fun(x))
    >>> bool(np.abs(F.fun(x)).max() < 1e-6)
    True
    """

    def __init__(self, backend: Backend | None = None) -> None:
        if backend is None:
            installed = (name for name, module in BACKENDS.items() if importlib.util.find_spec(module))
            backend = next(installed, "qdldl")
        self.backend = checks.one_of("backend", backend, tuple(BACKENDS))
        self._package = optional("sksparse.cholmod" if backend == "cholmod" else "qdldl", f"matjac[{backend}]")
        #: what it raises where a matrix is not positive definite
        self._failure: Any = self._package.CholmodError if backend == "cholmod" else RuntimeError
        #: the first matrix, whose pattern was analysed
        self._matrix: Any = None
        self._factors: Any = None

    def __repr__(self) -> str:
        n = None if self._matrix is None else self._matrix.shape[0]
        return f"<NormalEquations by {self.backend}: {'nothing analysed yet' if n is None else f'{n} × {n}'}>"

    def factorize(self, J: Jacobian, weights: Any = None, damping: float = 0.0) -> "NormalEquations":
        """Factorise ``JᵀWJ + d² I``.

        Parameters
        ----------
        J : Jacobian
            Real, in numerator layout, of the pattern that the first one had.
        weights : array_like, optional
            W, one for each row of J.
        damping : float, optional
            d.

        Returns
        -------
        NormalEquations
            This one.

        Raises
        ------
        numpy.linalg.LinAlgError
            Where the matrix is not positive definite: a larger `damping` helps.
        MemoryError
            Where the factors would not fit in memory, by a count in an order of minimum degree.
        TypeError, ValueError
            Where an argument is not as described.
        """
        if not isinstance(J, Jacobian) or J.layout != "numerator" or J.dtype.kind == "c":
            raise TypeError(f"J: got {checks.describe(J)}, expected a real matjac.Jacobian in numerator layout")
        shift = float(checks.array("damping", damping, 0)) ** 2
        if not np.isfinite(shift):
            raise ValueError(f"damping: got {damping}, expected a finite number")
        matrix = J.normal(weights).tocsr()
        first = matrix if self._matrix is None else self._matrix
        if not all(np.array_equal(getattr(matrix, part), getattr(first, part)) for part in ("indptr", "indices")):
            raise ValueError(
                f"J: got a normal matrix of {matrix.shape} with {matrix.nnz} entries, expected {first.shape} "
                f"and {first.nnz}, in the same places as at first"
            )
        if not np.isfinite(matrix.data).all():
            raise ValueError("J: got a normal matrix with entries that are not finite")
        # it is its own transpose, so its rows are columns
        csc = sp.csc_array((matrix.data.astype(float), matrix.indices, matrix.indptr), shape=matrix.shape)
        if self._factors is None:
            require_factors(csc, LOWER)
        try:
            if self.backend == "cholmod":
                self._cholmod(csc, shift)
            else:
                self._qdldl(csc, shift)
        except self._failure as error:
            self._matrix = self._factors = None
            raise np.linalg.LinAlgError(
                f"JᵀWJ + {shift:g} I is not positive definite ({error}): try a larger damping"
            ) from None
        self._matrix = matrix
        return self

    def solve(self, b: Any) -> Array:
        """The solution p for a right-hand side b, a vector or a matrix of columns."""
        if self._matrix is None:
            raise ValueError("solve: got no factors, expected a call of factorize before")
        right = checks.vectors("b", b, self._matrix.shape[0], (1, 2))
        if right.dtype.kind == "c":
            raise TypeError(f"b: got dtype {right.dtype}, expected real numbers")
        if self.backend == "cholmod":
            return np.asarray(self._factors(right.astype(float)))
        solution = right.astype(float)
        for column in np.atleast_2d(solution.T):
            column[:] = self._factors.solve(column)
        return solution

    def _cholmod(self, matrix: Any, shift: float) -> None:
        matrix = sp.csc_matrix(matrix)
        if self._factors is None:
            # LLᵀ, which fails where the matrix is not positive definite; the simplicial LDLᵀ does not
            self._factors = self._package.analyze(matrix, mode="supernodal")
        self._factors.cholesky_inplace(matrix, beta=shift)

    def _qdldl(self, matrix: Any, shift: float) -> None:
        # SciPy's sum would drop entries that are zero by chance, and with them the pattern
        entries, diagonal = matrix.tocoo(), np.arange(matrix.shape[0])
        values = np.concatenate([entries.data, np.full(diagonal.size, shift)])
        places = tuple(np.concatenate([along, diagonal]) for along in (entries.row, entries.col))
        lifted = sp.csc_matrix((values, places), shape=matrix.shape)
        if self._factors is None:
            self._factors = self._package.Solver(lifted)
        else:
            self._factors.update(lifted)
        # LDLᵀ exists for more than positive definite matrices
        pivots = self._factors.factors()[1]
        if not np.all(pivots > 0):
            raise RuntimeError(f"a pivot is {pivots.min():.3g}")
