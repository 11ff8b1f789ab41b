"""The arguments: what every public argument is checked by, once, before any work.

A message names the argument, says what came and what was expected.
"""

import operator
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import scipy.sparse as sp

from matjac.conventions import LAYOUTS, ORDERS, Array, Layout, Order, Shape, canonical

T = TypeVar("T")
#: The dtypes that matjac computes in.
NATIVE = {np.dtype(kind) for kind in (np.float32, np.float64, np.complex64, np.complex128)}
DIMENSIONS = {0: "a scalar", 1: "a 1-D array", 2: "a 2-D array"}


def describe(value: Any) -> str:
    """What came, in a few words."""
    if isinstance(value, np.ndarray) or sp.issparse(value):
        return f"{type(value).__name__} of shape {value.shape} and dtype {value.dtype}"
    text = " ".join(repr(value).split())
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"


def dtype_of(name: str, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype matjac computes in: float32, float64, complex64 or complex128."""
    if dtype.kind in "biu":
        return np.dtype(np.float64)
    if dtype == np.float16:
        return np.dtype(np.float32)
    native = dtype.newbyteorder("=")
    if native in NATIVE:
        return native
    raise TypeError(f"{name}: got dtype {dtype}, expected integers, float32, float64, complex64 or complex128")


def plain(name: str, value: object) -> Array:
    """An array of any dtype; a mask, or what is not stored, would be lost."""
    if sp.issparse(value) or isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name}: got {describe(value)}, expected a dense array")
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name}: got {describe(value)}, expected a rectangular array ({error})") from None


def numeric(name: str, value: object) -> Array:
    """An array of one of matjac's dtypes (no copy where `value` is one already)."""
    if type(value) is np.ndarray and value.dtype in NATIVE:
        return value
    array = plain(name, value)
    dtype = dtype_of(name, array.dtype)
    return array.astype(dtype, copy=False) if array.dtype != dtype else array


def array(name: str, value: object, ndim: int) -> Array:
    """A numeric array with that many dimensions."""
    result = numeric(name, value)
    if result.ndim != ndim:
        raise ValueError(f"{name}: got {result.ndim} dimensions (shape {result.shape}), expected {DIMENSIONS[ndim]}")
    return result


def shaped(name: str, value: object, shape: Shape) -> Array:
    """A numeric array of exactly that shape."""
    result = numeric(name, value)
    if result.shape != shape:
        raise ValueError(f"{name}: got shape {result.shape}, expected {shape}")
    return result


def matrix(name: str, value: Any, shape: tuple[int | None, int | None] = (None, None)) -> Any:
    """A constant matrix: a numeric array, or a canonical csr_array; None is any size."""
    sparse = sp.issparse(value)
    result = value.astype(dtype_of(name, value.dtype)) if sparse else numeric(name, value)
    if result.ndim != 2:
        raise ValueError(f"{name}: got {result.ndim} dimensions (shape {result.shape}), expected {DIMENSIONS[2]}")
    if any(wanted not in (None, came) for wanted, came in zip(shape, result.shape, strict=True)):
        expected = " × ".join("any" if n is None else str(n) for n in shape)
        raise ValueError(f"{name}: got shape {result.shape}, expected {expected}")
    return canonical(result) if sparse else result


def square(name: str, value: object) -> Array:
    """A dense square matrix."""
    result = array(name, value, 2)
    if result.shape[0] != result.shape[1]:
        raise ValueError(f"{name}: got shape {result.shape}, expected a square matrix")
    return result


def shape(name: str, value: object, ndim: int | None = None) -> Shape:
    """A shape: a tuple of sizes."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise TypeError(f"{name}: got {describe(value)}, expected a tuple of sizes")
    if ndim is not None and len(value) != ndim:
        raise ValueError(f"{name}: got {value!r}, expected {ndim} sizes")
    return tuple(count(f"{name}[{at}]", n) for at, n in enumerate(value))


def finite(name: str, value: object) -> Array:
    """A numeric array without NaN and infinities."""
    result = numeric(name, value)
    if not np.isfinite(result).all():
        raise ValueError(f"{name}: got {describe(value)}, expected finite numbers")
    return result


def count(name: str, value: object) -> int:
    """A size: an integer that is not negative."""
    if isinstance(value, (bool, np.bool)):
        raise TypeError(f"{name}: got {describe(value)}, expected an integer")
    try:
        result = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name}: got {describe(value)}, expected an integer") from None
    if not 0 <= result <= np.iinfo(np.int64).max:
        raise ValueError(f"{name}: got {result}, expected a size of at least 0 and below 2**63")
    return result


def flag(name: str, value: object) -> bool:
    """A truth value."""
    if not isinstance(value, (bool, np.bool)):
        raise TypeError(f"{name}: got {describe(value)}, expected True or False")
    return bool(value)


def one_of(name: str, value: T, choices: Sequence[T]) -> T:
    """One of a few words."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name}: got {value!r}, expected one of {', '.join(map(repr, choices))}")
    return value


def words(name: str, value: object) -> tuple[str, ...]:
    """Different words."""
    given = tuple(value) if isinstance(value, Sequence) else ()
    if not given or len({*given}) < len(given) or not all(isinstance(word, str) for word in given):
        raise ValueError(f"{name}: got {describe(value)}, expected a sequence of different words")
    return given


def conventions(order: Order, layout: Layout) -> None:
    """The two keywords that every Jacobian takes."""
    one_of("order", order, ORDERS)
    one_of("layout", layout, LAYOUTS)


def row_range(start: object, stop: object, rows: int) -> tuple[int, int]:
    """A range of rows, ``0 <= start <= stop <= rows``."""
    first, last = count("start", start), count("stop", stop)
    if not first <= last <= rows:
        raise ValueError(f"start, stop: got {first}, {last}, expected 0 <= start <= stop <= {rows}")
    return first, last


def vectors(name: str, value: object, length: int, ndim: tuple[int, ...]) -> Array:
    """What a product takes: a vector (or matrix of columns) whose first axis has that length."""
    result = numeric(name, value)
    if result.ndim not in ndim or result.shape[0] != length:
        wanted = " or ".join(f"({length},)" if n == 1 else f"({length}, k)" for n in ndim)
        raise ValueError(f"{name}: got shape {result.shape}, expected {wanted}")
    return result


def buffer(name: str, value: object, dtype: np.dtype[Any], length: int) -> Array:
    """A caller's one-dimensional buffer that is about to be filled."""
    if not isinstance(value, np.ndarray) or isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name}: got {describe(value)}, expected a NumPy array")
    if value.shape != (length,) or value.dtype != dtype:
        raise ValueError(f"{name}: got {describe(value)}, expected shape ({length},) and dtype {dtype}")
    if not value.flags.writeable:
        raise ValueError(f"{name}: got a read-only array, expected one that can be written")
    if length > 1 and abs(value.strides[0]) < value.itemsize:
        raise ValueError(f"{name}: got entries in the same memory, expected each in its own")
    return value


def is_number(value: Any) -> bool:
    """Whether that is a scalar."""
    scalar = np.isscalar(value) and not isinstance(value, str | bytes)
    return scalar or (isinstance(value, np.ndarray) and value.ndim == 0)
