"""What Hypothesis draws: an identity with its arguments, in every representation a user may bring."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from hypothesis import strategies as st
from registry import REGISTRY, Row, plain

import matjac as mj

DTYPES = ("float64", "float32", "complex128", "complex64", "int64")
ORDERS = ("C", "F")
LAYOUTS = ("numerator", "denominator")


def fortran(a: Any) -> Any:
    return np.asfortranarray(a)


def backwards(a: Any) -> Any:
    return a[::-1].copy()[::-1]


def every_other(a: Any) -> Any:
    wide = np.zeros(tuple(2 * n for n in a.shape), a.dtype)
    wide[tuple(slice(None, None, 2) for _ in a.shape)] = a
    return wide[tuple(slice(None, None, 2) for _ in a.shape)]


def read_only(a: Any) -> Any:
    a.flags.writeable = False
    return a


def other_endian(a: Any) -> Any:
    return a.astype(a.dtype.newbyteorder())


REPRESENTATIONS = (np.array, fortran, backwards, every_other, read_only, other_endian)


@dataclass
class Case:
    """An identity at random arguments."""

    row: Row
    args: dict[str, Any]
    point: Any
    order: Any
    layout: Any
    sparse: bool

    @property
    def plain(self) -> Any:
        """The arguments as dense arrays."""
        return plain(self.args)

    @property
    def jacobian(self) -> mj.Jacobian:
        return self.row.function(**self.args, order=self.order, layout=self.layout)

    @property
    def tolerance(self) -> float:
        narrow = np.dtype(self.jacobian.dtype).char in "fF"
        return 2e-5 if narrow else 1e-10


def make_case(
    row: Row, dims: tuple[int, ...], dtype: str, order: str, layout: str, seed: int, represent: Any, sparse: bool
) -> Case:
    rng = np.random.default_rng(seed)

    def make(*shape: int) -> Any:
        a = rng.integers(-4, 5, shape) if dtype == "int64" else rng.standard_normal(shape)
        if dtype.startswith("complex"):
            a = a + 1j * rng.standard_normal(shape)
        return represent(a.astype(dtype))

    args = row.arguments(make, *dims)
    point = args[row.variable] if row.variable in args else make(*row.shape(*dims))
    for name in (*row.sparse, *row.sparse_input) if sparse else ():
        dense = np.array(args[name], dtype=dtype)
        dense[rng.random(dense.shape) < 0.5] = 0
        args[name] = sp.csr_array(dense) if rng.random() < 0.5 else sp.coo_array(dense)
    return Case(row, args, np.array(point), order, layout, sparse)


@st.composite
def cases(draw: Any, row: Row | None = None, dtypes: tuple[str, ...] = DTYPES) -> Case:
    row = row or draw(st.sampled_from(REGISTRY))
    return make_case(
        row,
        tuple(draw(st.integers(0, 4)) for _ in row.dims),
        draw(st.sampled_from(dtypes)),
        draw(st.sampled_from(ORDERS)),
        draw(st.sampled_from(LAYOUTS)),
        draw(st.integers(0, 2**16)),
        draw(st.sampled_from(REPRESENTATIONS)),
        bool(row.sparse or row.sparse_input) and draw(st.booleans()),
    )
