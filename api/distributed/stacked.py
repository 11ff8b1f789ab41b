"""A matrix whose rows are spread over ranks: which of them each has, and what goes wrong on one ends it on all."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np

from matjac import checks
from matjac.conventions import Array
from matjac.distributed.rows import part
from matjac.jacobian import Jacobian

T = TypeVar("T")


class Rows(NamedTuple):
    """A rank's rows ``start:stop`` of its Jacobian, and which number the first has in the whole, of `height` rows."""

    J: Jacobian
    start: int
    stop: int
    first: int
    height: int

    @property
    def size(self) -> int:
        """How many rows they are."""
        return self.stop - self.start

    def product(self, x: Array) -> Array:
        """These rows of J x, for an x that is whole."""
        return (self.J @ x)[self.start : self.stop]

    def transposed(self, y: Array) -> Array:
        """What these rows add to Jᵀ y, for their part of y."""
        if self.size < self.J.shape[0]:
            whole = np.zeros(self.J.shape[0], y.dtype)
            whole[self.start : self.stop] = y
            y = whole
        return self.J.T @ y


def spread(J: Jacobian, comm: Any, local: bool) -> Rows:
    """This rank's rows: a part of J, or where it is `local` all of it. The ranks must agree about what they are of."""
    if not isinstance(local, bool):
        raise TypeError(f"local: got {checks.describe(local)}, expected True or False")
    given = comm.allgather((J.shape, J.dtype.str, local))
    for rank, (shape, dtype, its) in enumerate(given):
        mine, other = (given[0][0][1:], shape[1:]) if local else (given[0][0], shape)
        if (mine, given[0][1:]) != (other, (dtype, its)):
            raise ValueError(
                f"J: got {given[0][0]} of {given[0][1]} with local={given[0][2]} on rank 0 and {shape} of {dtype} with "
                f"local={its} on rank {rank}, expected {'as many columns' if local else 'the same'} on all ranks"
            )
    if local:
        heights = [shape[0] for shape, *_ in given]
        return Rows(J, 0, J.shape[0], sum(heights[: comm.rank]), sum(heights))
    start, stop = part(J, comm.rank, comm.size)
    return Rows(J, start, stop, start, J.shape[0])


def together(comm: Any, work: Callable[[], T]) -> T:
    """Do this rank's part of something; an error on one rank is raised on all of them, and none waits for another."""
    made, error = None, None
    try:
        made = work()
    except Exception as found:
        error = found
    texts = comm.allgather(None if error is None else (type(error).__name__, str(error)))
    if error is not None:
        raise error
    for rank, text in enumerate(texts):
        if text is not None:
            raise RuntimeError(f"rank {rank}: {text[0]}: {text[1]}")
    return made  # type: ignore[return-value]
