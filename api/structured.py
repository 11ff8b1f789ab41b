"""Unknowns with structure: a whole array that is made of fewer free entries, and the shape of those."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from matjac import checks
from matjac.conventions import Array, Order, Shape, canonical, size, unvec, vec
from matjac.linear.spread import Spread


class Unknown(ABC):
    """An array of that shape whose entries are made of `size` free ones: what the functions of `matjac.unknowns` make.

    Attributes
    ----------
    shape : tuple of int
        Of the whole array.
    size : int
        Number of free entries, which are counted row by row.
    """

    shape: Shape
    size: int
    #: whether the whole array is an affine function of the free entries
    affine: bool

    @abstractmethod
    def whole(self, free: Any) -> Any:
        """The whole array of those free entries, or of recorded ones."""

    def whole_change(self, d: Any) -> Any:
        """What a change of the free entries changes, as an array or recorded, where that is the same everywhere."""
        raise NotImplementedError

    def free_change(self, dX: Any) -> Any:
        """The change of the free entries from a recorded one of the whole array, where that is the same everywhere."""
        raise NotImplementedError

    @abstractmethod
    def free(self, X: Any, name: str = "X") -> Array:
        """The free entries of a whole array; ValueError where it has not the structure, with the entry."""

    @abstractmethod
    def near(self, X: Array) -> Array:
        """The free entries of an array of the structure that is near a real one, for a start."""

    @abstractmethod
    def slopes(self, free: Array) -> Any:
        """The derivatives of the whole array's entries (rows, row by row) by the free ones, a csr_array."""

    @abstractmethod
    def curvature(self, free: Array, weights: Array) -> Any:
        """The Hessian by the free entries of ``Σ weights ∘ X``; None where it is zero."""

    def spread_at(self, free: Array, order: Order) -> Spread:
        """The linear map from changes of the free entries to those of the whole array, whose axes `order` counts."""
        matrix = self.slopes(free)
        if order == "F":
            places = np.arange(size(self.shape)).reshape(self.shape).reshape(-1, order="F")
            return Spread((self.size,), canonical(matrix[places]), self.shape[::-1])
        return Spread((self.size,), matrix, self.shape)

    @abstractmethod
    def entry(self, number: int) -> str:
        """What a free entry is called, after the unknown's name: ``[1, 0]``."""

    @abstractmethod
    def spread(self, name: str, value: Array) -> Array:
        """One number for each free entry (a bound, a scale) from one for all or for each entry of the whole array."""

    @abstractmethod
    def moved(self, dX: Array, free: Array, name: str) -> Array:
        """The change of the free entries that changes the whole array by dX; ValueError where there is none."""

    @abstractmethod
    def gradient(self, slope: Array, free: Array) -> Array:
        """The gradient as an array G of the structure, ``⟨G, dX⟩ = slope · d(free)`` for each dX of the structure."""


class FreeShape(tuple[int, ...]):
    """The shape ``(k,)`` of an unknown's free entries at a point, which says what whole array stands for them."""

    unknown: Unknown
    at: Array

    @classmethod
    def of(cls, unknown: Unknown, at: Array) -> "FreeShape":
        """The shape of that unknown's free entries, which are those numbers."""
        made = cls((unknown.size,))
        made.unknown, made.at = unknown, at
        return made


def direction(name: str, value: Any, shape: Shape, order: Order) -> Array:
    """The vector of a direction, which is given as an array of that shape, or as a whole array."""
    if isinstance(shape, FreeShape):
        return shape.unknown.moved(checks.shaped(name, value, shape.unknown.shape), shape.at, name)
    return vec(checks.shaped(name, value, shape), order)


def slope(vector: Array, shape: Shape, order: Order) -> Array:
    """The array of that shape whose vector it is, or the gradient as a whole array."""
    return shape.unknown.gradient(vector, shape.at) if isinstance(shape, FreeShape) else unvec(vector, shape, order)


def whole_shape(part: "Shape | Unknown") -> Shape:
    """The shape of the whole array."""
    return part.shape if isinstance(part, Unknown) else part


def free_shape(part: "Shape | Unknown") -> Shape:
    """The shape in which a flat vector holds it."""
    return (part.size,) if isinstance(part, Unknown) else part


def wholes(parts: Sequence["Shape | Unknown"], free: Sequence[Any]) -> list[Any]:
    """The whole arrays of free entries; arrays without structure are what they are."""
    return [p.whole(a) if isinstance(p, Unknown) else a for p, a in zip(parts, free, strict=True)]
