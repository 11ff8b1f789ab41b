"""A solver's watch on ranks: what they make is summed, and what stops one of them stops all."""

import zlib
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from matjac.conventions import Array
from matjac.distributed.checkpoint import RanksCheckpoint
from matjac.distributed.ranks import STOPS, Ranks, Word
from matjac.flat import Flat
from matjac.solvers.fit import Fit
from matjac.solvers.watch import Callback, Stopped, Timed, Watch

T = TypeVar("T")


class RanksWatch(Watch):
    """The watch of one rank, which does the same as those of the others.

    A number that is not finite is one of the sum, and so of all ranks. An error of the function, a callback's stop, the
    time and SIGTERM are told to the others before the next sum, and all stop at the last good point.
    """

    def __init__(
        self, F: Flat, progress: Callback | None, seconds: float | None, ranks: Ranks, owned: Collection[str]
    ) -> None:
        super().__init__(F, progress, seconds)
        self.ranks, self.owned, self._sent = ranks, owned, ranks.sent
        #: what this rank's function or callback raised
        self.error: Exception | None = None

    @property
    def over(self) -> bool:
        """Never: the ranks' clocks differ, and are asked before each sum."""
        return False

    def of(self, F: Flat, progress: Callback | None) -> Watch:
        """A watch of another function in the same run."""
        watch = RanksWatch(F, progress, self.limit, self.ranks, self.owned)
        watch.checkpoint = self.checkpoint
        return watch

    def keeps(self, path: Any, seconds: Any) -> None:
        """Write checkpoints, and go on from one that is there."""
        self.checkpoint = RanksCheckpoint(path, seconds, self.ranks)

    def begin(self, x: Array) -> None:
        """Refuse a start whose shared unknowns differ."""
        arrays = self.F.variables.by_name(x)
        shared = {name: zlib.crc32(array.tobytes()) for name, array in arrays.items() if name not in self.owned}
        first, *others = self.ranks.each(shared)
        for rank, sums in enumerate(others, 1):
            for name, number in sums.items():
                if number != first[name]:
                    raise ValueError(f"start: got another {name} on rank {rank} than on rank 0, expected the same")

    def summed(self, make: Callable[[Array], T], x: Array) -> T:
        """The sum of what is made at x, of shared unknowns, on each rank."""
        return self._stopping(lambda: self.ranks.summed(lambda: self._made(make, x), self._word, x))

    def added(self, array: Array) -> Array:
        """The sum over ranks of an array that each has."""
        return self._stopping(lambda: self.ranks.summed(lambda: array, self._word))

    def largest(self, value: float) -> float:
        """The largest over ranks of a number."""
        return float(max(self.ranks.each(value)))

    def timed(self, J: Any) -> Any:
        """An operator whose products are summed."""
        return Timed(self, J)

    def went(self, x: Array, value: float) -> None:
        """Note a point that the solver went to, and report it on each rank."""
        said = None
        try:
            super().went(x, value)
        except Exception as error:
            said = Word(STOPS, str(error) if isinstance(error, Stopped) else f"progress: {self._named(error)}")
        self._stopping(lambda: self.ranks.agree(said or self._word()))

    def _save(self) -> None:
        self._stopping(super()._save)

    def finish(self, result: Any) -> Fit:
        """The solver's result, which has the number of ranks, the bytes that this one sent, and its error."""
        fit = super().finish(result)
        fit.ranks, fit.sent, fit.error = self.ranks.size, self.ranks.sent - self._sent, self.error
        return fit

    def _made(self, make: Callable[[Array], T], x: Array) -> T:
        try:
            return make(x)
        except Exception as error:
            if self.point is None:
                # there is nothing to return
                raise
            raise Word(STOPS, self._named(error)) from None

    def _named(self, error: Exception) -> str:
        self.error = error
        return f"{type(error).__name__}: {error}"

    def _word(self) -> Word | None:
        """What this rank has to say before a sum."""
        if self.ranks.terminated:
            return Word(STOPS, f"SIGTERM came after evaluation {self.evaluations}")
        if self.limit is not None and self.seconds > self.limit:
            return Word(STOPS, f"the {self.limit:g} seconds were over after evaluation {self.evaluations}")
        return None

    def _stopping(self, do: Callable[[], T]) -> T:
        """The same, where the word that stops all ranks is the solvers'."""
        try:
            return do()
        except Word as said:
            raise Stopped(str(said)) from None

    def _at(self, x: Array, times: str = "") -> str:
        """Where that was; the largest unknown may be another rank's."""
        return f", at evaluation {self.evaluations}{times}"

    def _trouble(self, what: str, x: Array, y: Array | float | Callable[[], Array]) -> str:
        """What is not finite, with the rank where that is."""
        if not callable(y):
            text = super()._trouble(what, x, y)
            return f"rank {self.ranks.not_finite[0]}: {text}" if text and self.ranks.not_finite else text
        mine, bad = "", self.ranks.not_finite
        try:
            if self.ranks.rank in bad or not bad:
                mine = super()._trouble(what, x, y)
        except Exception as error:
            mine = f"{what}: {self._named(error)}"
        return next((f"rank {rank}: {text}" for rank, text in enumerate(self.ranks.each(mine)) if text), "")
