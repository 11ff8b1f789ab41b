"""A sum over ranks of functions, each of its rank's rows, as one function that solvers minimise."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import scipy.sparse as sp

from matjac import checks
from matjac.conventions import Array, Shape, cached_property
from matjac.distributed.comm import communicator
from matjac.distributed.ranks import Ranks
from matjac.distributed.watch import RanksWatch
from matjac.flat import Flat, weighted
from matjac.jacobian import Hessian, Jacobian
from matjac.maps.compose import applied
from matjac.solvers import arguments
from matjac.solvers.hessians import hessian_at
from matjac.solvers.squares import half_squares
from matjac.solvers.summed import Summed
from matjac.solvers.watch import Callback, Watch
from matjac.tracing.compiled import Compiled

T = TypeVar("T")


def total(F: Any, comm: Any, owned: str | Sequence[str] = ()) -> "Total":
    """The sum over ranks of ``½ ‖F‖²``, or of F where it is a number, each rank's F being of its own rows.

    All ranks call it, and then the same solver with the same arguments: each goes through the same steps, of which the
    parts that rows make are summed. Nothing but sums travels, of the size of the shared unknowns.

    Parameters
    ----------
    F : Compiled or Function
        This rank's residuals, an array of any shape, or a number. Each rank has other data, and as many rows as it
        likes.
    comm : mpi4py.MPI.Intracomm
        The ranks, such as ``MPI.COMM_WORLD``. It is duplicated.
    owned : str or sequence of str, optional
        The name of an unknown that belongs to this rank's rows, of a shape of its own on each: it stays there.
        `least_squares` eliminates it, so the residuals must be linear in it, given the others. All other unknowns are
        shared: they have the same shapes, and the same start, on all ranks.

    Returns
    -------
    Total
        For `matjac.solvers.least_squares` and `minimize`.

    Raises
    ------
    ImportError
        Where mpi4py is not installed.
    TypeError, ValueError
        On all ranks, where an argument is not as described on one of them, or shared unknowns differ.

    Notes
    -----
    Sums are made in the order of the ranks: every rank has the same bits, and runs on as many ranks are the same bit
    for bit. From one number of ranks to another results differ by rounding.

    In a run a value that is not finite, an error, a callback's stop, the end of the time and SIGTERM on one rank end it
    on all, with the last good point and a message that names the rank. An error outside of a run is that of its rank
    alone: start programs by ``mpiexec -n 4 python -m mpi4py program.py``, which ends the job then.

    Source: variable projection by Golub & Pereyra, 1973; the sum of ranks' Schur complements as in distributed bundle
    adjustment.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> def part(rank, size):
    ...     rows = np.arange(6.0)[rank::size]
    ...     return mj.compile(lambda w: w[0] + w[1] * rows - (1.0 + 2.0 * rows), (2,))
    >>> from mpi4py import MPI  # doctest: +SKIP
    >>> T = mj.distributed.total(part(MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size), MPI.COMM_WORLD)  # doctest: +SKIP
    >>> mj.solvers.least_squares(T, np.zeros(2)).variables  # doctest: +SKIP
    (array([1., 2.]),)
    """
    ranks = Ranks(communicator(comm))
    return ranks.together(lambda: _checked(F, ranks, owned))


def _checked(F: Any, ranks: Ranks, owned: str | Sequence[str]) -> "Total":
    """The total of arguments that are as described, on all ranks."""
    if isinstance(F, Summed):
        raise TypeError("F: got a sum over ranks, expected this rank's function")
    F = arguments.flat(F)
    names = F.variables.names
    mine = (owned,) if isinstance(owned, str) else tuple(owned)
    for name in mine:
        checks.one_of("owned", name, names)
    if len(mine) > 1 or len(mine) == len(names):
        raise ValueError(
            f"owned: got {', '.join(mine)}, expected one unknown at the most, beside others: put those of a row side "
            "by side in one"
        )
    shapes = [f"{n} of shape {s}" for n, s in zip(names, F.variables.kinds, strict=True) if n not in mine]
    kind = "a number" if getattr(F, "out_shape", None) == () else "residuals"
    told = ranks.each((f"{kind} in order {F.order!r}", f"owned {mine}", *shapes))
    for rank, other in enumerate(told):
        for came, expected in zip((*other, "nothing else"), (*told[0], "nothing else"), strict=False):
            if came != expected:
                raise ValueError(f"F: got {came} on rank {rank}, expected {expected}, as on rank 0")
    return Total(F, ranks, mine)


class Total(Summed):
    """A sum over ranks as a function of this rank's unknowns: `matjac.distributed.total` makes it.

    Its value is a number. Each method is called by all ranks, and is one sum over them; derivatives by an unknown that
    a rank owns are its own, and do not travel. In products the vectors have each rank's own part, and the same shared
    one.

    Attributes
    ----------
    out_shape : tuple
        (), that of a number.
    mine : Flat
        This rank's function.
    ranks : Ranks
        The ranks: their number ``ranks.size``, this one's ``ranks.rank``, and the bytes that it ``sent``.

    Examples
    --------
    >>> import numpy as np, matjac as mj
    >>> F = mj.compile(lambda x: x**2 - 2.0, (3,))
    >>> from mpi4py import MPI  # doctest: +SKIP
    >>> T = mj.distributed.total(F, MPI.COMM_WORLD)  # doctest: +SKIP
    >>> T(np.ones(3)), T.gradient(np.ones(3))  # doctest: +SKIP
    (array(1.5), array([-2., -2., -2.]))
    """

    out_shape: Shape = ()

    def __init__(self, F: Flat, ranks: Ranks, owned: tuple[str, ...]) -> None:
        self.mine, self.ranks, self.owned = F, ranks, owned
        self.variables = F.variables
        places = np.ones(self.variables.size, bool)
        for name in owned:
            places[self.variables.places[name]] = False
        #: where shared unknowns are in the flat vector
        self._shared: Any = places if owned else slice(None)

    def __repr__(self) -> str:
        return f"<Total over {self.ranks.size} ranks of {self.variables!r}>"

    @cached_property
    def scalar(self) -> Any:
        """This rank's number: half the squares of what are residuals of a compiled function."""
        F = self.mine
        return F.half_squares() if isinstance(F, Compiled) and F.out_shape != () else F

    # what solvers ask for ------------------------------------------------------------------------------------

    def together(self, run: Callable[[], T]) -> T:
        """What all ranks run; an error on one of them is one on all."""
        return self.ranks.together(run)

    def watch(self, F: Flat, progress: Callback | None, seconds: float | None) -> Watch:
        """What sums up over ranks while this rank's F is minimised."""
        return RanksWatch(F, progress, seconds, self.ranks, self.owned)

    # the function --------------------------------------------------------------------------------------------

    def __call__(self, *args: Any) -> Array:
        """The sum's value."""
        arrays = self.variables.arrays(args)
        return self._value(arrays)

    def _value(self, parts: Sequence[Array]) -> Array:
        value: float = self.ranks.summed(lambda: _cost(self.mine._value(parts)), x=self._point(parts))
        return np.array(value)

    def jacobian(self, *args: Any) -> Jacobian:
        """The gradient as a matrix of one row."""
        return self._at(self.variables.arrays(args))

    def _at(self, parts: list[Array]) -> Jacobian:
        _, gradient = self._both(parts)
        point = applied(self.variables.free_shapes, 1, np.dtype(float), _Row(gradient))
        return Jacobian(point, (), self.variables.in_shape(parts), self.order)

    def normal_blocks(self, *args: Any, axis: int | None = None) -> Any:
        """The diagonal blocks of JᵀJ, J being the Jacobian of all ranks' residuals: see `Jacobian.normal_blocks`."""
        arrays = self.variables.arrays(args)
        names = self.variables.names

        def blocks() -> tuple[Array, ...]:
            made = self.mine._at(arrays).normal_blocks(axis)
            every = made if isinstance(made, tuple) else (made,)
            kept.update(zip(names, every, strict=True))
            return tuple(block for name, block in kept.items() if name not in self.owned)

        kept: dict[str, Array] = {}
        sums = iter(self.ranks.summed(blocks, x=self._point(arrays)))
        found = [kept[name] if name in self.owned else next(sums) for name in names]
        return found[0] if len(found) == 1 else tuple(found)

    def hessian(self, *args: Any, weights: Any = None, part: str = "whole") -> Hessian:
        """The Hessian of the sum at a point, an operator; with `part` "gauss-newton" that of ``½ ‖F‖²`` is JᵀJ."""
        checks.one_of("part", part, ("whole", "gauss-newton"))
        return self._second(self.variables.arrays(args), weights, part)

    def bind(self, /, **data: Any) -> "Total":
        """The sum with some arguments of each rank's function as constants."""
        return Total(self.mine.bind(**data), self.ranks, tuple(name for name in self.owned if name not in data))

    def bind_parts(self, data: Mapping[str, Array]) -> "Total":
        """The same from parts of a flat vector, which are not checked."""
        return Total(self.mine.bind_parts(data), self.ranks, tuple(name for name in self.owned if name not in data))

    @property
    def has_hessian(self) -> bool:
        """Whether this rank's function has second derivatives."""
        return isinstance(self.scalar, Flat) and self.scalar.has_hessian

    def _is_number(self, x: Array) -> bool:
        """Whether this rank's function is a number; what others than `compile` made shows it by its value."""
        shape = self.mine.out_shape if isinstance(self.mine, Compiled) else np.shape(self.mine.fun(x))
        return shape == ()

    def _point(self, arrays: Sequence[Array]) -> Array:
        """The shared unknowns."""
        x: Array = self.variables.joined(arrays)[self._shared]
        return x

    def _hessian(self, arrays: list[Array], weights: Any, flat: bool) -> Hessian:
        return self._second(arrays, weights, "whole")

    def _second(self, arrays: list[Array], weights: Any, part: str) -> Hessian:
        factor = float(weighted(weights, (), self.order, False, np.dtype(float)))
        x = self.variables.joined(arrays)

        def product() -> Callable[[Array], Array]:
            if part == "gauss-newton" and not self._is_number(x):
                J = self.mine.jac(x)
                return lambda p: J.T @ (J @ p)
            H = hessian_at(self.scalar, x, None, part)
            return lambda p: H @ p

        operator = _Symmetric(self, self.ranks.made(product), factor)
        shape = self.variables.in_shape(arrays)
        return Hessian(applied(self.variables.free_shapes, x.size, np.dtype(float), operator), shape, shape, self.order)

    def _gradient(self, arrays: list[Array], weights: Any, flat: bool) -> list[Array]:
        return self._value_and_gradient(arrays, weights, flat)[1]

    def _value_and_gradient(self, arrays: list[Array], weights: Any, flat: bool) -> tuple[Array, list[Array]]:
        factor = float(weighted(weights, (), self.order, flat, np.dtype(float)))
        value, gradient = self._both(arrays)
        return np.array(value), list(self.variables.split(factor * gradient))

    def _both(self, arrays: Sequence[Array]) -> tuple[float, Array]:
        """The value, and the gradient as a flat vector."""
        x = self.variables.joined(arrays)

        def both() -> tuple[float, Array]:
            value, gradient = (self.mine if self._is_number(x) else half_squares(self.mine)).value_and_grad(x)
            return float(value), gradient

        return self.sum_shared(both, x)

    def sum_shared(self, make: Callable[[], tuple[float, Array]], x: Array) -> tuple[float, Array]:
        """The sums of a number and of an array by all unknowns, of whose rows those that a rank owns stay its own."""
        kept = []

        def shared() -> tuple[float, Array]:
            number, rows = make()
            kept.append(np.array(rows, float))
            return number, rows[self._shared]

        number, sums = self.ranks.summed(shared, x=x[self._shared])
        kept[0][self._shared] = sums
        return number, kept[0]


def _cost(y: Array) -> float:
    return float(y) if y.ndim == 0 else 0.5 * float(np.vdot(y, y))


class _Row:
    """A gradient as the operator of one row."""

    def __init__(self, gradient: Array) -> None:
        self._gradient = gradient

    def product(self, x: Array) -> Array:
        """J x for x of shape (..., columns)."""
        return (x @ self._gradient)[..., None]

    def transposed(self, y: Array) -> Array:
        """Jᵀ y for y of shape (..., 1)."""
        return y * self._gradient

    def matrix(self) -> Any:
        """As a csr_array, with an entry in each place."""
        return sp.csr_array(
            (self._gradient, np.arange(self._gradient.size), [0, self._gradient.size]), shape=(1, self._gradient.size)
        )


class _Symmetric:
    """A Hessian's products, of which those parts are summed that are by shared unknowns."""

    def __init__(self, total: Total, product: Callable[[Array], Array], factor: float) -> None:
        self._total, self._product, self._factor = total, product, factor

    def product(self, x: Array) -> Array:
        """H x for x of shape (..., columns)."""
        columns = x.reshape(-1, x.shape[-1]).T
        _, found = self._total.sum_shared(lambda: (0.0, self._factor * self._product(columns)), columns)
        return found.T.reshape(x.shape)

    transposed = product

    def matrix(self) -> Any:
        """As a csr_array, with an entry in each place; of shared unknowns alone."""
        if self._total.owned:
            raise TypeError(f"hessian: got entries asked for with {self._total.owned[0]} owned, expected products")
        n = self._total.variables.size
        dense = self.product(np.eye(n))
        return sp.csr_array((np.ravel(dense), np.tile(np.arange(n), n), n * np.arange(n + 1)), shape=(n, n))
