"""NIST's Statistical Reference Datasets of nonlinear regression: the files as published, and each file's model.

The data are in the public domain: https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

FOLDER = Path(__file__).parent / "nist"


class Dataset(NamedTuple):
    """A file: two starts, and what is certified."""

    y: np.ndarray
    #: one predictor, or a column for each
    x: np.ndarray
    starts: tuple[np.ndarray, np.ndarray]
    parameters: np.ndarray
    deviations: np.ndarray
    #: the sum of squares of the residuals
    squares: float


def load(name):
    """The file of that name."""
    lines = (FOLDER / f"{name}.dat").read_text().splitlines()
    rows = [line.split("=")[1].split() for line in lines if re.fullmatch(r"\s*b\d+ =(\s+\S+){4}", line)]
    table = np.array(rows, float).T
    (squares,) = [line.split()[-1] for line in lines if re.match(r"Residual Sum of Squares|Residual sum", line)]
    data = np.array([line.split() for line in lines[60:] if line.strip()], float)
    return Dataset(data[:, 0], data[:, 1:].squeeze(), (table[0], table[1]), table[2], table[3], float(squares))


def bennett5(b, x):
    return b[0] * (b[1] + x) ** (-1 / b[2])


def boxbod(b, x):
    return b[0] * (1 - np.exp(-b[1] * x))


def chwirut(b, x):
    return np.exp(-b[0] * x) / (b[1] + b[2] * x)


def danwood(b, x):
    return b[0] * x ** b[1]


def enso(b, x):
    def wave(months, cosine, sine):
        return cosine * np.cos(2 * np.pi * x / months) + sine * np.sin(2 * np.pi * x / months)

    return b[0] + wave(12, b[1], b[2]) + wave(b[3], b[4], b[5]) + wave(b[6], b[7], b[8])


def eckerle4(b, x):
    return b[0] / b[1] * np.exp(-0.5 * ((x - b[2]) / b[1]) ** 2)


def gauss(b, x):
    first, second = (b[k] * np.exp(-((x - b[k + 1]) ** 2) / b[k + 2] ** 2) for k in (2, 5))
    return b[0] * np.exp(-b[1] * x) + first + second


def cubics(b, x):
    return (b[0] + b[1] * x + b[2] * x**2 + b[3] * x**3) / (1 + b[4] * x + b[5] * x**2 + b[6] * x**3)


def kirby2(b, x):
    return (b[0] + b[1] * x + b[2] * x**2) / (1 + b[3] * x + b[4] * x**2)


def lanczos(b, x):
    return b[0] * np.exp(-b[1] * x) + b[2] * np.exp(-b[3] * x) + b[4] * np.exp(-b[5] * x)


def mgh09(b, x):
    return b[0] * (x**2 + x * b[1]) / (x**2 + x * b[2] + b[3])


def mgh10(b, x):
    return b[0] * np.exp(b[1] / (x + b[2]))


def mgh17(b, x):
    return b[0] + b[1] * np.exp(-x * b[3]) + b[2] * np.exp(-x * b[4])


def misra1b(b, x):
    return b[0] * (1 - (1 + b[1] * x / 2) ** (-2))


def misra1c(b, x):
    return b[0] * (1 - (1 + 2 * b[1] * x) ** (-0.5))


def misra1d(b, x):
    return b[0] * b[1] * x / (1 + b[1] * x)


def nelson(b, x):
    return b[0] - b[1] * x[:, 0] * np.exp(-b[2] * x[:, 1])


def rat42(b, x):
    return b[0] / (1 + np.exp(b[1] - b[2] * x))


def rat43(b, x):
    return b[0] / (1 + np.exp(b[1] - b[2] * x)) ** (1 / b[3])


def roszman1(b, x):
    return b[0] - b[1] * x - np.arctan(b[2] / (x - b[3])) / np.pi


MODELS = {
    "Bennett5": bennett5,
    "BoxBOD": boxbod,
    "Chwirut1": chwirut,
    "Chwirut2": chwirut,
    "DanWood": danwood,
    "ENSO": enso,
    "Eckerle4": eckerle4,
    "Gauss1": gauss,
    "Gauss2": gauss,
    "Gauss3": gauss,
    "Hahn1": cubics,
    "Kirby2": kirby2,
    "Lanczos1": lanczos,
    "Lanczos2": lanczos,
    "Lanczos3": lanczos,
    "MGH09": mgh09,
    "MGH10": mgh10,
    "MGH17": mgh17,
    "Misra1a": boxbod,
    "Misra1b": misra1b,
    "Misra1c": misra1c,
    "Misra1d": misra1d,
    "Nelson": nelson,
    "Rat42": rat42,
    "Rat43": rat43,
    "Roszman1": roszman1,
    "Thurber": cubics,
}


def residuals(name):
    """The residuals of a file's model, as a function of its parameters; Nelson's response is a logarithm."""
    data, model = load(name), MODELS[name]
    y = np.log(data.y) if name == "Nelson" else data.y
    return lambda b: model(b, data.x) - y
