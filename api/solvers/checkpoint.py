"""The file from which a run that was killed goes on."""

import os
import pickle
import time
from pathlib import Path
from typing import Any

from matjac import checks

#: Seconds between two checkpoints unless told otherwise.
SECONDS = 60.0
#: How far the value at a checkpoint's point may be from what it was: other data make more of a difference.
SAME = 1e-6


class Checkpoint:
    """What a run needs to go on, in a file that is replaced at once: whenever a job is killed, there is a whole one."""

    def __init__(self, path: Any, seconds: Any = SECONDS) -> None:
        if not isinstance(path, str | os.PathLike):
            raise TypeError(f"checkpoint: got {checks.describe(path)}, expected the path of a file")
        self.path, self.seconds = Path(path), float(checks.array("checkpoint_seconds", seconds, 0))
        if not self.seconds >= 0:
            raise ValueError(f"checkpoint_seconds: got {seconds}, expected a number that is not negative")
        if not self.path.parent.is_dir():
            raise ValueError(f"checkpoint: got {str(path)!r}, expected a file in a folder that there is")
        self._last = time.perf_counter()

    def due(self) -> bool:
        """Whether it is time for another."""
        return time.perf_counter() - self._last >= self.seconds

    def save(self, kept: dict[str, Any], own: Any) -> None:
        """Replace the file: what all ranks have in common, and what is this one's own."""
        replace(self.path, (kept, own))
        self._last = time.perf_counter()

    def load(self) -> tuple[dict[str, Any], Any] | None:
        """What the file has; None where there is none."""
        return load(self.path)  # type: ignore[no-any-return]


def replace(path: Path, value: Any) -> None:
    """Write a file beside, and put it in the place of that one."""
    beside = path.with_name(path.name + ".new")
    with open(beside, "wb") as file:
        pickle.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def load(path: Path) -> Any:
    """What `replace` wrote; None where there is no file."""
    if not path.exists():
        return None
    try:
        with open(path, "rb") as file:
            return pickle.load(file)
    except Exception as error:
        raise ValueError(
            f"checkpoint: got {path}, which is none ({type(error).__name__}: {error}): remove it to begin anew"
        ) from None
