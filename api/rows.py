"""Row maps: which entry (i, j) of P = U·dX·Wᵀ each row of a term takes."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from matjac import kernels
from matjac.caching import Cached
from matjac.layout import NONE, Array

Pairs: TypeAlias = tuple[Array, Array]
Groups: TypeAlias = tuple[Array, Array, Array]


class Rows(ABC):
    """A map from rows to pairs (i, j)."""

    #: True where rows are all entries of P, each once: then products need no more than P itself
    whole: bool = True

    @property
    @abstractmethod
    def count(self) -> int:
        """Number of rows."""

    @abstractmethod
    def pairs(self, start: int, stop: int) -> Pairs:
        """(i, j) of rows ``start:stop``, as two int64 arrays."""

    @abstractmethod
    def arguments(self) -> tuple[Array, Array, int, bool]:
        """``f, g, n, swap``, as kernels take the map."""

    @abstractmethod
    def mirror(self) -> "Rows":
        """The map with the two parts of each pair exchanged."""

    @abstractmethod
    def same(self, other: "Rows") -> bool:
        """Whether both map every row alike."""

    def mirrors(self, other: "Rows") -> bool:
        """Whether the other reads (j, i) where this reads (i, j)."""
        return self.mirror().same(other)

    def put(self, p: Array, out: Array, add: bool) -> None:
        """P (on its last two axes) into a flat `out` of the rows, or added; only where they are the `whole` of it."""
        raise NotImplementedError

    def scatter(self, y: Array) -> Array:
        """The P whose entries are y."""
        raise NotImplementedError

    def take(self, index: Array) -> "Listed":
        """The map of those rows alone."""
        f, g = self.pairs_of(index)
        return Listed(f, g)

    @abstractmethod
    def pairs_of(self, index: Array) -> Pairs:
        """(i, j) of those rows."""


@dataclass(frozen=True)
class Grid(Rows):
    """All entries of an m × n matrix, row by row: P itself, or Pᵀ where `swap` is true."""

    m: int
    n: int
    swap: bool = False

    @property
    def count(self) -> int:
        return self.m * self.n

    def pairs(self, start: int, stop: int) -> Pairs:
        return self.pairs_of(np.arange(start, stop, dtype=np.int64))

    def pairs_of(self, index: Array) -> Pairs:
        i, j = np.divmod(index, max(self.n, 1))
        return (j, i) if self.swap else (i, j)

    def arguments(self) -> tuple[Array, Array, int, bool]:
        # kernels run along rows, so a matrix of one column is read as one row
        return (NONE, NONE, self.m, not self.swap) if self.n == 1 else (NONE, NONE, self.n, self.swap)

    def mirror(self) -> "Grid":
        return Grid(self.m, self.n, not self.swap)

    def same(self, other: Rows) -> bool:
        return self == other

    def put(self, p: Array, out: Array, add: bool) -> None:
        write(self.scatter(out), p, add)

    def scatter(self, y: Array) -> Array:
        p = y.reshape(*y.shape[:-1], self.m, self.n)
        return np.swapaxes(p, -1, -2) if self.swap else p


@dataclass(frozen=True, eq=False)
class Listed(Cached, Rows):
    """The pairs ``(f[r], g[r])``: any entries, in any order."""

    f: Array
    g: Array
    whole = False

    @cached_property
    def by_first(self) -> Groups:
        """The rows in groups of the same i: an order of them, where each group begins in it, and j in it."""
        return _grouped(self.f, self.g)

    @cached_property
    def by_second(self) -> Groups:
        """The same the other way round."""
        return _grouped(self.g, self.f)

    @property
    def count(self) -> int:
        return self.f.size

    def pairs(self, start: int, stop: int) -> Pairs:
        return self.f[start:stop], self.g[start:stop]

    def pairs_of(self, index: Array) -> Pairs:
        return self.f[index], self.g[index]

    def arguments(self) -> tuple[Array, Array, int, bool]:
        return self.f, self.g, 0, False

    def mirror(self) -> "Listed":
        return Listed(self.g, self.f)

    def same(self, other: Rows) -> bool:
        return self is other or (
            isinstance(other, Listed)
            and all(a is b or np.array_equal(a, b) for a, b in ((self.f, other.f), (self.g, other.g)))
        )


@dataclass(frozen=True)
class KronGrid(Cached, Rows):
    """All entries of A ⊗ B, A of m × n and B of r × s: P has a row an entry of A, a column an entry of B."""

    m: int
    n: int
    r: int
    s: int
    swap: bool = False

    @property
    def count(self) -> int:
        return self.m * self.n * self.r * self.s

    def pairs(self, start: int, stop: int) -> Pairs:
        return self.pairs_of(np.arange(start, stop, dtype=np.int64))

    def pairs_of(self, index: Array) -> Pairs:
        row, column = np.divmod(index, max(self.n * self.s, 1))
        (i, a), (j, b) = np.divmod(row, max(self.r, 1)), np.divmod(column, max(self.s, 1))
        pair = i * self.n + j, a * self.s + b
        return pair[::-1] if self.swap else pair

    @cached_property
    def _lists(self) -> Any:
        # as many as A ⊗ B has entries, and so as the Jacobian has rows
        return self.pairs(0, self.count)

    def arguments(self) -> tuple[Array, Array, int, bool]:
        return *self._lists, 0, False

    def mirror(self) -> "KronGrid":
        return KronGrid(self.m, self.n, self.r, self.s, not self.swap)

    def same(self, other: Rows) -> bool:
        return self == other

    def put(self, p: Array, out: Array, add: bool) -> None:
        p = np.swapaxes(p, -1, -2) if self.swap else p
        places = out.reshape(*out.shape[:-1], self.m, self.r, self.n, self.s)
        write(np.swapaxes(places, -2, -3), p.reshape(*p.shape[:-2], self.m, self.n, self.r, self.s), add)

    def scatter(self, y: Array) -> Array:
        blocks = np.swapaxes(y.reshape(*y.shape[:-1], self.m, self.r, self.n, self.s), -2, -3)
        p = blocks.reshape(*y.shape[:-1], self.m * self.n, self.r * self.s)
        return np.swapaxes(p, -1, -2) if self.swap else p


def _grouped(keys: Array, others: Array) -> Groups:
    group = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.bincount(keys), dtype=np.int64)])
    order = np.empty(keys.size, np.int64)
    kernels.scatter_entries(keys, np.arange(keys.size), group[:-1].copy(), 0, group.size - 1, 0, order)
    return order, group, others[order]


def write(out: Array, values: Array, add: bool) -> None:
    """Values into `out`, or added to it."""
    if add:
        np.add(out, values, out=out)
    else:
        out[...] = values
