"""BLAS inside a solver: one thread where its products are small.

A small product is done before a second thread has begun. Where processors are taken, by a fill or by another program,
each waits some milliseconds for the scheduler, and a solver makes thousands of them: L-BFGS-B on non-negative factors
of 1,797 × 64 digits took 0.4 s with one thread and 2.1 s with two.
"""

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

from threadpoolctl import OpenBLASController, ThreadpoolController

from matjac.conventions import size
from matjac.flat import Flat
from matjac.linear.primitives import MatMul
from matjac.solvers import arguments
from matjac.solvers.summed import Summed
from matjac.threads import lock
from matjac.tracing.compiled import Compiled

#: Multiplications of a product from which BLAS is left as it is: it takes some 20 ms, beside which a wait is little.
LARGE = 2 * 10**8
#: Unknowns up to which factors may be dense.
DENSE = 6000

Solver = TypeVar("Solver", bound=Callable[..., Any])


class _OneThread(AbstractContextManager[None]):
    """BLAS has one thread while anyone is inside, in whatever thread; after the last one it is as it was before."""

    def __init__(self) -> None:
        # a child that is forked while another thread sets numbers would wait for OpenBLAS for ever
        self._lock, self._inside = lock(awaited=True), 0
        #: the libraries that had more, and how many
        self._before: list[tuple[Any, int]] = []

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                numbers = [(library, library.num_threads) for library in _libraries()]
                for library, _ in numbers:
                    library.set_num_threads(1)
                self._before = [(library, n) for library, n in numbers if library.num_threads != n]
                _release()

    def __exit__(self, *error: Any) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                for library, n in self._before:
                    library.set_num_threads(n)
                _release()


def _release() -> None:
    """Let any thread set numbers: whoever sets OpenBLAS's first would keep the others from it as long as it lives."""
    release = getattr(OpenBLASController, "clear_controlling_thread", None)
    if release is not None:
        release()


one_thread = _OneThread()


@functools.cache
def _libraries() -> list[Any]:
    # to look for them takes milliseconds; NumPy's and SciPy's are loaded by now
    return [library for library in ThreadpoolController().lib_controllers if library.user_api == "blas"]


def multiplications(F: Any) -> int:
    """Of the largest product of matrices in one run of a function, as far as is known."""
    if not isinstance(F, Compiled):
        return 0
    program, most = F._record.program, 0
    for step in F._record.steps:
        if isinstance(step.primitive, MatMul):
            most = max(most, size(program.shapes[step.out]) * program.shapes[step.operands[0]][-1])
    return most


def limit(F: Any, factors: bool = False) -> AbstractContextManager[Any]:
    """One BLAS thread where products of a function, and dense `factors` of its Jacobian, are small; else as it is."""
    work = multiplications(F)
    if factors and isinstance(F, Flat) and F.variables.size <= DENSE:
        work = max(work, F.variables.size**3 // 3)
    return nullcontext() if work >= LARGE else one_thread


def calm(solve: Solver, factors: bool = False) -> Solver:
    """The solver, with one BLAS thread where products, and dense `factors` of the Jacobian, are small."""

    @functools.wraps(solve)
    def run(F: Any, *given: Any, **options: Any) -> Any:
        with limit(F, factors):
            return solve(F, *given, **options)

    return run  # type: ignore[return-value]


def solver(solve: Solver, factors: bool = False) -> Solver:
    """A solver of functions that `arguments.flat` knows, plain ones too, from starts, `calm`."""
    inner = calm(solve, factors)

    @functools.wraps(solve)
    def run(F: Any, *start: Any, **options: Any) -> Any:
        made = arguments.flat(F, start)
        if isinstance(made, Summed):
            return made.together(lambda: inner(made, *start, **options))
        return inner(made, *start, **options)

    return run  # type: ignore[return-value]
