"""Sums over ranks, as solvers see them: each rank's own function, and a watch that adds up what they make."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from matjac.flat import Flat
from matjac.solvers.watch import Callback, Watch


class Summed(Flat):
    """A sum over ranks of functions of the same unknowns: half the squares of residuals, or numbers.

    Solvers run each rank's own function, and sum up by the watch wherever the ranks' rows meet: so all ranks go through
    the same steps. `matjac.distributed.total` makes it.
    """

    #: this rank's function, and half its squares where it is one of residuals
    mine: Flat
    scalar: Any
    #: the unknowns that are this rank's alone
    owned: tuple[str, ...]

    @abstractmethod
    def together(self, run: Callable[[], Any]) -> Any:
        """What all ranks run; an error on one of them is one on all."""

    @abstractmethod
    def watch(self, F: Flat, progress: Callback | None, seconds: float | None) -> Watch:
        """What sums up over ranks while this rank's F is minimised."""


def watched(F: Flat, progress: Callback | None, seconds: float | None, scalar: bool = False) -> tuple[Flat, Watch]:
    """The function that is run here, and its watch."""
    if not isinstance(F, Summed):
        return F, Watch(F, progress, seconds)
    mine: Flat = F.scalar if scalar else F.mine
    return mine, F.watch(mine, progress, seconds)
