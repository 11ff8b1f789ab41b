"""What ranks do together: sums in the order of the ranks, and one word on which all of them go on or end."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, TypeVar

import numpy as np

from matjac.conventions import Array, size
from matjac.extras import optional

T = TypeVar("T")
#: What a rank says before each sum: it goes on; it has ended; all are to stop at the last good point; it failed.
GOES_ON, ENDS, STOPS, FAILS = range(4)
#: Numbers in that word: it, how many numbers are to be summed, a sum of the bits of the point, whether the rank's
#: numbers are finite, and the first of them.
WORDS = 5


class Word(Exception):  # noqa: N818
    """What a rank says other than that it goes on: which of the above, and why."""

    def __init__(self, status: int, why: str, kind: str = "") -> None:
        super().__init__(why)
        self.status, self.kind = status, kind


class Ranks:
    """The ranks of a communicator: what each of these methods does all ranks must call, in the same order.

    Sums are made in the order of the ranks, whatever the MPI and its choice of algorithm: each rank has the same bits,
    and so has each run on as many ranks. Before a sum the ranks exchange a word of five numbers. A rank that has failed
    says so there, wherever the others are: none of them waits for it.

    Of n numbers on p ranks each sends 8 · 2(n − 1)(p − 1) / p bytes, and 40 (p − 1) for the word and the first number.
    """

    def __init__(self, comm: Any) -> None:
        self.comm = comm.Get_attr(_key())
        if self.comm is None:
            # our messages never meet the caller's; there are not many communicators to be had, so one is kept
            self.comm = comm.Dup()
            comm.Set_attr(_key(), self.comm)
        self.rank, self.size = self.comm.rank, self.comm.size
        #: bytes that this rank sent, and how many sums there were
        self.sent = self.sums = 0
        #: the ranks whose numbers were not finite in the last sum
        self.not_finite: list[int] = []
        self._word = np.zeros(WORDS, np.int64)
        self._words = np.zeros((self.size, WORDS), np.int64)
        self._room: dict[int, tuple[Array, Array, Array]] = {}
        #: what was agreed to be raised
        self.raised: BaseException | None = None
        #: whether SIGTERM came, and whether the ranks have stopped, for that or another reason
        self.terminated = self.told = False

    def summed(self, make: Callable[[], T], word: Callable[[], Word | None] | None = None, x: Array | None = None) -> T:
        """The sum over ranks of what is made: a number, an array, or a tuple of them, at the point x.

        What raises a `Word` there, or any other error, ends it on all ranks, and so does what `word` returns.
        """
        made, mine = _attempt(make, word)
        numbers = np.empty(0) if mine is not None else _flat(made)
        self._agree(mine, numbers, 0 if x is None else _bits(x))
        self.sums += 1
        return _like(made, self._total(numbers))  # type: ignore[no-any-return]

    def made(self, make: Callable[[], T]) -> T:
        """What each rank makes for itself; an error on one is one on all."""
        made, mine = _attempt(make)
        self._agree(mine, np.empty(0), 0)
        return made  # type: ignore[return-value]

    def agree(self, mine: Word | None = None) -> None:
        """Go on where all ranks do."""
        self._agree(mine, np.empty(0), 0)

    def together(self, run: Callable[[], T]) -> T:
        """The result of what all ranks run: an error that one of them raises anywhere in it is raised by all."""
        self.raised = None
        try:
            with self._listening():
                result = run()
                self.agree(Word(ENDS, ""))
        except BaseException as error:
            if error is not self.raised:
                # the others raise what this says
                with suppress(Exception):
                    self._agree(Word(FAILS, str(error), type(error).__name__), np.empty(0), 0)
            raise
        return result

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """SIGTERM is noted, for the ranks to stop together; a second one, or one that came too late, ends as before."""
        self.terminated = self.told = False
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def note(*_: Any) -> None:
            self.terminated = True
            signal.signal(signal.SIGTERM, before)

        # None is a handler that is not Python's
        before = signal.signal(signal.SIGTERM, note) or signal.SIG_DFL
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)
        if self.terminated and not self.told:
            signal.raise_signal(signal.SIGTERM)

    def each(self, value: Any) -> list[Any]:
        """What each rank has, on all of them; for a few words."""
        self.agree()
        found: list[Any] = self.comm.allgather(value)
        return found

    def first(self, value: T) -> T:
        """What rank 0 has, on all of them."""
        self.agree()
        found: T = self.comm.bcast(value, root=0)
        return found

    def _agree(self, mine: Word | None, numbers: Array, point: int) -> None:
        """Raise on all ranks what one of them says, or that they are not at the same place."""
        words = self._say(mine, numbers, point)
        worst = int(words[:, 0].max())
        if worst >= STOPS:
            self._raise(mine, int(np.argmax(words[:, 0] == worst)))
        apart = np.flatnonzero((words[:, :3] != words[0, :3]).any(axis=1))
        if apart.size:
            different = words[apart[0], :3] != words[0, :3]
            what = "point" if different[2] and not different[:2].any() else "step"
            expected = "the same program, arguments and kind of processor on all ranks"
            raise self._agreed(RuntimeError(f"rank {apart[0]}: got to another {what} than rank 0, expected {expected}"))

    def _say(self, mine: Word | None, numbers: Array, point: int) -> Array:
        word = self._word
        word[:3] = GOES_ON if mine is None else mine.status, numbers.size, point
        word[3] = np.isfinite(numbers).all()
        word[4:].view(float)[0] = numbers[0] if numbers.size else 0.0
        self.comm.Allgather(word, self._words)
        self.sent += word.nbytes * (self.size - 1)
        self.not_finite = np.flatnonzero(self._words[:, 3] == 0).tolist()
        return self._words

    def _raise(self, mine: Word | None, who: int) -> None:
        """What that rank said, on all."""
        said = (mine.status, str(mine), mine.kind) if mine is not None and who == self.rank else None
        status, why, kind = self.comm.bcast(said, root=who)
        if status == FAILS and who == self.rank and mine is not None and isinstance(mine.__cause__, Exception):
            raise self._agreed(mine.__cause__)
        text = f"rank {who}: {why}"
        if status == STOPS:
            # whatever came to this rank: it stops
            self.told = True
            raise self._agreed(Word(STOPS, text))
        known = {"ValueError": ValueError, "TypeError": TypeError}
        raise self._agreed(known[kind](text) if kind in known else RuntimeError(f"rank {who}: {kind}: {why}"))

    def _agreed(self, error: BaseException) -> BaseException:
        self.raised = error
        return error

    def _total(self, numbers: Array) -> Array:
        """The sums of numbers, of which the first have come with the words."""
        if self.size == 1 or not numbers.size:
            return numbers
        first = np.add.reduce(np.ascontiguousarray(self._words[:, 4]).view(float))
        rest = numbers.size - 1
        if not rest:
            return np.array([first])
        # each rank adds up its share of the numbers, and sends the sums to all
        share = -(-rest // self.size)
        if rest not in self._room:
            self._room[rest] = tuple(np.zeros((self.size, share)) for _ in range(3))  # type: ignore[assignment]
        out, parts, totals = self._room[rest]
        out.reshape(-1)[:rest] = numbers[1:]
        self.comm.Alltoall(out, parts)
        self.comm.Allgather(np.add.reduce(parts, axis=0), totals)
        self.sent += 2 * 8 * share * (self.size - 1)
        return np.concatenate([[first], totals.reshape(-1)[:rest]])


@cache
def _key() -> int:
    """Where a communicator keeps its duplicate."""
    number: int = optional("mpi4py.MPI", "matjac[mpi]").Comm.Create_keyval()
    return number


def _attempt(make: Callable[[], T], word: Callable[[], Word | None] | None = None) -> tuple[T | None, Word | None]:
    """What is made, or what to say where that fails."""
    try:
        return make(), None if word is None else word()
    except Word as said:
        return None, said
    except Exception as error:
        failed = Word(FAILS, str(error), type(error).__name__)
        failed.__cause__ = error
        return None, failed


def _bits(x: Array) -> int:
    """A number that tells points apart: the sum of the bits of theirs."""
    return int(np.add.reduce(np.ravel(np.asarray(x, float)).view(np.int64)))


def _flat(made: Any) -> Array:
    """Numbers and arrays as one vector, each array as it is laid out in memory."""
    parts = made if isinstance(made, tuple) else (made,)
    return np.concatenate([np.ravel(np.asarray(part, float), order="K") for part in parts])


def _like(made: Any, total: Array) -> Any:
    """The sums in the form of what was summed."""
    found, at = [], 0
    for part in made if isinstance(made, tuple) else (made,):
        shape = np.shape(part)
        numbers = total[at : at + size(shape)]
        at += numbers.size
        columns = len(shape) > 1 and part.flags.f_contiguous and not part.flags.c_contiguous
        found.append(numbers.reshape(shape, order="F" if columns else "C") if shape else float(numbers[0]))
    return tuple(found) if isinstance(made, tuple) else found[0]
