"""The checkpoint of ranks: what they share in one file of rank 0, what is a rank's own in a file of its."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from matjac.distributed.ranks import STOPS, Ranks, Word
from matjac.solvers.checkpoint import Checkpoint, load, replace


class RanksCheckpoint(Checkpoint):
    """Rank 0's file counts: it is replaced when all ranks have written theirs, which are removed by the next one.

    So whenever a rank is killed, rank 0's file and those that it names are of one step.
    """

    def __init__(self, path: Any, seconds: Any, ranks: Ranks) -> None:
        super().__init__(path, seconds)
        self.ranks = ranks
        self._mine: Path | None = None

    def due(self) -> bool:
        """Whether it is time by rank 0's clock."""
        return bool(self.ranks.each(super().due())[0])

    def save(self, kept: dict[str, Any], own: Any) -> None:
        """Replace the files."""
        ranks, step = self.ranks, kept["counts"]["steps"]
        mine = None if own is None else self._part(step)
        if mine is not None:
            self._written(lambda: replace(mine, own))
        self._written(
            lambda: super(RanksCheckpoint, self).save(kept | {"parts": 0 if mine is None else ranks.size}, None),
            ranks.rank == 0,
        )
        if self._mine is not None and self._mine != mine:
            self._mine.unlink(missing_ok=True)
        self._mine = mine

    def _written(self, write: Callable[[], None], here: bool = True) -> None:
        """Go on where all ranks have written; stop where one could not."""

        def attempt() -> None:
            try:
                if here:
                    write()
            except OSError as error:
                raise Word(STOPS, f"checkpoint: {error}") from None

        self.ranks.made(attempt)

    def load(self) -> tuple[dict[str, Any], Any] | None:
        """What rank 0's file has, and this rank's."""
        ranks = self.ranks
        found = ranks.made(super().load if ranks.rank == 0 else lambda: None)
        found = ranks.first(found)
        if found is None:
            return None
        kept = found[0]
        if kept["parts"] not in (0, ranks.size):
            raise ValueError(f"checkpoint: got the parts of {kept['parts']} ranks, expected {ranks.size}")
        self._mine = self._part(kept["counts"]["steps"]) if kept["parts"] else None
        return kept, ranks.made(self._own)

    def _own(self) -> Any:
        """What this rank's file has."""
        if self._mine is None:
            return None
        own = load(self._mine)
        if own is None:
            raise ValueError(f"checkpoint: got no file {self._mine}, expected that of this rank beside {self.path}")
        return own

    def _part(self, step: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{self.ranks.rank}of{self.ranks.size}.{step}")
