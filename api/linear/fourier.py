"""Discrete Fourier transforms of the last axis. Their matrices are symmetric, and no transpose is conjugated."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from matjac.conventions import Array
from matjac.linear.maps import Map


@dataclass(frozen=True)
class Transform(Map):
    """``np.fft.fft``, or ``np.fft.ifft`` where `inverse`: its matrix is its own transpose."""

    norm: str = "backward"
    inverse: bool = False
    exact = np.float64
    real = False

    @property
    def name(self) -> str:  # type: ignore[override]
        return "ifft" if self.inverse else "fft"

    def product(self, x: Array, *coefficients: Any) -> Array:
        run = np.fft.ifft if self.inverse else np.fft.fft
        return run(x, norm=self.norm)  # type: ignore[arg-type]

    def transposed(self, y: Array, *coefficients: Any) -> Array:
        return self.product(y)


@dataclass(frozen=True)
class HalfTransform(Map):
    """``np.fft.rfft`` of an axis of that length: the first rows of the matrix of `np.fft.fft`."""

    length: int
    norm: str = "backward"
    name = "rfft"
    exact = np.float64
    real = False

    def product(self, x: Array, *coefficients: Any) -> Array:
        if np.iscomplexobj(x):
            return np.fft.fft(x, norm=self.norm)[..., : self.length // 2 + 1]  # type: ignore[arg-type]
        return np.fft.rfft(x, norm=self.norm)  # type: ignore[arg-type]

    def transposed(self, y: Array, *coefficients: Any) -> Array:
        return np.fft.fft(y, self.length, norm=self.norm)  # type: ignore[arg-type]


@dataclass(frozen=True)
class HalfInverse(Map):
    """What `np.fft.irfft` to an axis of that length is the real part of: frequencies that have a mirror count twice."""

    length: int
    norm: str = "backward"
    name = "irfft"
    exact = np.float64
    real = False

    @property
    def _times(self) -> Array:
        times = np.full(self.length // 2 + 1, 2, np.float32)
        times[0] = 1
        if self.length % 2 == 0:
            times[-1] = 1
        return times

    def product(self, x: Array, *coefficients: Any) -> Array:
        return np.fft.ifft(x * self._times, self.length, norm=self.norm)  # type: ignore[arg-type]

    def transposed(self, y: Array, *coefficients: Any) -> Array:
        if np.iscomplexobj(y):
            return np.fft.ifft(y, norm=self.norm)[..., : self.length // 2 + 1] * self._times  # type: ignore[arg-type]
        return np.fft.ihfft(y, norm=self.norm) * self._times  # type: ignore[arg-type]
