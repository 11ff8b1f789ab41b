"""Recorded arrays: what functions and rules are run on, once, to record what they do.

A `Traced` array stands for a value of a program, a `Symbol` for a differential: an array that depends linearly on the
variables' differentials. What Python and NumPy do with them is looked up in `HANDLED`.
"""

import operator
import sys
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import scipy.sparse as sp

from matjac.conventions import Array, Shape, size
from matjac.tracing.handlers import (
    BRANCH,
    CURRENT,
    HANDLED,
    METHODS,
    OPTIONS,
    UNITED,
    UNKNOWN,
    NoMethodError,
    TracingError,
    module_name,
)
from matjac.tracing.lazy import Lazy, whole

if TYPE_CHECKING:
    from matjac.tracing.recorder import Recorder

#: Entries above which no array of objects is made of a recorded array.
MOST_OBJECTS = 2000


def snapshot(array: Array) -> Array:
    """A C-contiguous copy; an axis that is one entry broadcast stays so, whatever its length."""
    compact = array[tuple(slice(0, 1) if step == 0 else slice(None) for step in array.strides)]
    copy = np.array(compact, order="C", copy=True)
    return copy if copy.shape == array.shape else np.broadcast_to(copy, array.shape)


class Recorded(np.lib.mixins.NDArrayOperatorsMixin):
    """What both kinds of recorded arrays have of an array, by its names there."""

    # scipy.sparse and pandas ask for them before they multiply
    __array_priority__ = 1000
    __pandas_priority__ = 10_000

    recorder: "Recorder"
    number: int
    _shape: Shape

    @property
    def shape(self) -> Shape:
        return self._shape

    @shape.setter
    def shape(self, shape: Any) -> NoReturn:
        raise TracingError("an assignment to .shape can't be recorded: use np.reshape")

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return size(self.shape)

    @property
    def T(self) -> Any:
        return np.transpose(self)

    @property
    def mT(self) -> Any:
        return np.swapaxes(self, -1, -2)

    @property
    def flat(self) -> Any:
        return HANDLED[np.ndarray.flat](self)

    @flat.setter
    def flat(self, value: Any) -> None:
        values = value if isinstance(value, Recorded) else _united(np.asarray(value))
        # NumPy repeats values that are too few, and leaves out those that are too many
        if values.size:
            self[...] = np.resize(values, self.shape)

    def __repr__(self) -> str:
        return f"<recorded array of shape {self.shape}>"

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __iter__(self) -> Any:
        return (self[k] for k in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        return HANDLED[operator.getitem](self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        HANDLED[operator.setitem](self, index, value)

    def reshape(self: Any, *shape: Any, order: Any = "C") -> Any:
        return np.reshape(self, shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape, order)

    def transpose(self: Any, *axes: Any) -> Any:
        return np.transpose(self, axes[0] if len(axes) == 1 and isinstance(axes[0], tuple | list) else axes or None)

    def flatten(self: Any, order: Any = "C") -> Any:
        return np.copy(np.ravel(self, order))

    def copy(self, order: Any = "C") -> Any:
        if order == "F" and self.ndim > 1:
            return self.T.copy().T
        made: Any = np.copy(self)
        if isinstance(self, Traced):
            made.writeable = not self.is_number()
        return in_order(made) if order == "C" else made

    def tolist(self) -> Any:
        return [part.tolist() for part in self] if self.shape else self

    def item(self, *at: Any) -> Any:
        if at:
            at = at[0] if isinstance(at[0], tuple) else at
            return (self.ravel()[at[0]] if len(at) == 1 else self[at]).item()
        if self.size != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        return number(self.reshape(()))

    def fill(self, value: Any) -> None:
        self[...] = value

    def compress(self, condition: Any, axis: Any = None) -> Any:
        return np.compress(condition, self, axis)

    def __round__(self, decimals: int = 0) -> Any:
        return np.round(self, decimals)

    def __bool__(self) -> NoReturn:
        raise TracingError(
            f"a branch on a value {BRANCH}; of an array that np.array made of recorded numbers, make it with np.stack"
        )

    def __float__(self) -> NoReturn:
        raise TracingError(
            "a plain number of a value that depends on a variable would lose its derivative: use NumPy's functions "
            "(np.exp, not math.exp), or register your own with mj.rule"
        )

    __int__ = __index__ = __complex__ = __float__

    def __array__(self, *args: Any, **kwargs: Any) -> Array:
        # not the values, which would lose the derivative
        dtype = args[0] if args else kwargs.get("dtype")
        if dtype is not None and np.dtype(dtype) != object:
            raise TracingError(
                f"numbers of dtype {np.dtype(dtype)} can't be made of what depends on a variable. Of a plain array "
                "that it is put into: make it with np.zeros_like(x, shape=…), np.zeros(shape, like=x) or np.stack. "
                "Of np.asarray(x, dtype=…): leave dtype= out, or write like=x beside it"
            )
        asking = sys._getframe(1).f_globals.get("__name__", "").partition(".")[0]
        if asking == "pandas":
            raise TracingError("a recorded array can't be put in a DataFrame or a Series: write df.to_numpy()")
        if asking in ("scipy", "numpy"):
            HANDLED[np.ndarray.__array__]()
        # scipy.sparse hands its product over to what it sees as one object
        shape = () if asking == "scipy" else self.shape
        if size(shape) > MOST_OBJECTS:
            raise TracingError(
                f"np.array and np.asarray make an array of {self.size} objects of a recorded array: leave them out, "
                "use np.stack or np.concatenate, or np.asarray(…, like=x)"
            )
        entries = np.empty(shape, object) if shape == () else np.empty_like(_layout(self), object)
        for at in np.ndindex(shape):
            entries[at] = self[at] if shape else self
        # in NumPy np.asarray shows the array's own entries: what is written to either is seen in the other
        if asking != "scipy" and kwargs.get("copy") is not True:
            entries.flags.writeable = False
            self._lend(entries)
        return entries

    def _lend(self, entries: Array) -> None:
        """Remember who holds the entries; what is no `Traced` is never written to."""

    def __getattr__(self, name: str) -> Any:
        """NumPy's function of that name as a method; that of a ufunc is called for each of an array of objects."""
        function: Any = None if name.startswith("_") or name == "resize" else getattr(np, name, None)
        known = function in HANDLED if callable(function) else False
        if known and name in ("sort", "partition"):
            return lambda *args, **kwargs: self.__setitem__(..., function(self, *args, **kwargs))
        if known and (hasattr(np.ndarray, name) or isinstance(function, np.ufunc)):
            return lambda *args, **kwargs: function(self, *args, **kwargs)
        if isinstance(function, np.ufunc):
            return lambda *args: function(self, *args)
        if hasattr(np.ndarray, name) and not name.startswith("_"):
            raise NoMethodError(f"the array method .{name} can't be recorded: write it with NumPy's functions")
        raise NoMethodError(f"a recorded array has no attribute {name}")

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        inputs, given = _united(inputs), {k: v for k, v in kwargs.items() if v is not None}
        if (method != "__call__" and method in METHODS) or (given and given.keys() <= {"out", "where", "dtype"}):
            return METHODS[method](ufunc, *inputs, **kwargs)
        if method != "__call__" or not given.keys() <= OPTIONS.get(ufunc, set()):
            options = ", ".join(given) or method
            raise TracingError(f"{module_name(ufunc)} with {options} can't be recorded: call it plainly")
        result = number(_fresh(HANDLED.get(ufunc, UNKNOWN[0])(ufunc, *inputs, **given), inputs))
        return in_order(result) if ufunc is np.matmul or _in_order(inputs) else result

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if not _any_recorded((*args, *kwargs.values())):
            # np.zeros(…, like=x)
            made = function(*args, **kwargs)
            return HANDLED[np.asarray](np.zeros_like(made) if function is np.empty else made, like=self)
        if function not in HANDLED:
            name = module_name(function)
            raise TracingError(
                f"{name} can't be recorded: write it with other functions, or register your own with mj.rule"
            )
        args, kwargs = _united(args), dict(zip(kwargs, _united(tuple(kwargs.values())), strict=True))
        if isinstance(out := kwargs.get("out"), Traced):
            del kwargs["out"]
            out[...] = HANDLED[function](*args, **kwargs)
            return out
        result = _fresh(HANDLED[function](*args, **kwargs), args)
        if function in NEVER_NUMBERS and isinstance(result, Traced):
            result.writeable = True
        elif function not in VIEWS:
            result = number(result)
        return in_order(result) if function in KEEP_ORDER and _in_order(args) else result


#: Functions whose result is laid out row by row where all arguments are.
KEEP_ORDER = {
    *(np.where, np.concatenate, np.stack, np.vstack, np.hstack, np.outer, np.tril, np.triu, np.dot, np.clip, np.pad),
    *(np.sum, np.mean, np.block, np.append, np.copy),
}


#: Functions that make an array also where it has no axes, and not a number.
NEVER_NUMBERS = {
    *(np.where, np.select, np.piecewise, np.tensordot, np.copy, np.array, np.asarray, np.asanyarray),
    *(np.zeros_like, np.ones_like, np.empty_like, np.full_like),
}
#: Functions that show entries of an array also where the result has no axes.
VIEWS = {np.reshape, np.squeeze, np.transpose, np.broadcast_to, np.real, np.diagonal, np.einsum}


def number(result: Any) -> Any:
    """What has no axes, as a number, which is never written into."""
    made = isinstance(result, Traced) and not result.ndim and (result.writeable or result.shows is not None)
    return renewed(result) if made else result


def _layout(array: Any) -> Array:
    """A plain array that is laid out in memory as this one is, where that is known."""
    moves = []
    while isinstance(array, Traced) and array.shows is not None:
        array, move = array.shows
        moves.append(move)
    places = np.empty(array.shape, bool)
    for move in reversed(moves):
        places = np.asarray(move(places))
    return places


def in_order(array: Any) -> Any:
    """An array that is known to be laid out row by row."""
    if isinstance(array, Traced) and array.shows is None and not array.ordered:
        array.ordered = True
        if not isinstance(array._value, Lazy):
            # a lazy one will be row by row as its operands are
            value = np.asarray(array._value)
            array._value = value if value.flags.c_contiguous else snapshot(value)
    return array


def _in_order(parts: Any) -> bool:
    """Whether all arrays among arguments are laid out row by row."""
    for part in parts:
        if isinstance(part, list | tuple):
            if not _in_order(part):
                return False
        elif not (part.ordered if isinstance(part, Traced) else np.ndim(part) < 2 or _is_in_order(part)):
            return False
    return True


def _is_in_order(constant: Any) -> bool:
    return isinstance(constant, np.ndarray) and constant.flags.c_contiguous


def _any_recorded(parts: Any) -> bool:
    for part in parts:
        if isinstance(part, Recorded) or (isinstance(part, np.ndarray) and part.dtype == object):
            return True
        if isinstance(part, list | tuple) and _any_recorded(part):
            return True
    return False


def _united(parts: Any) -> Any:
    """Arrays of objects among arguments as recorded arrays."""
    if isinstance(parts, np.matrix):
        raise TracingError(
            "an np.matrix can't be recorded, for which * is the matrix product: write np.asarray(S) and @"
        )
    if isinstance(parts, np.ndarray):
        return UNITED[0](parts) if parts.dtype == object else parts
    if type(parts) in (tuple, list):
        changed = [_united(part) for part in parts]
        return parts if all(a is b for a, b in zip(changed, parts, strict=True)) else type(parts)(changed)
    # a DataFrame or a Series
    return parts.to_numpy() if hasattr(type(parts), "to_numpy") else parts


def _fresh(result: Any, arguments: Sequence[Any]) -> Any:
    """A result that is an argument as an array of its own, which can be written to."""
    return renewed(result) if any(result is given for given in arguments) else result


def renewed(array: Any) -> Any:
    """The same as an array of its own, which shows no other's entries."""
    return Traced(array.recorder, array.number, array.later) if isinstance(array, Traced) else array


class Traced(Recorded):
    """A value of a program, with what it is at the example.

    It may show entries of another one, as NumPy's views do: `shows` is that one and the move that makes the entries
    of its. It may have been written to: `writes` are what is not yet recorded. Its number is what it is by now.
    """

    def __init__(self, recorder: "Recorder", number: int | None, value: Any, shape: Shape | None = None) -> None:
        self.recorder, self._number, self._value = recorder, number, value
        self._shape = shape_of(value) if shape is None else shape
        self.shows: tuple[Traced, Callable[[Any], Any]] | None = None
        self.writes: Any = None
        #: whether NumPy surely lays it out row by row, and the positions of its entries
        self.ordered = len(self._shape) < 2
        self.grids: list[Array] | None = None
        #: whether NumPy has an array of no axes here, which can be written to, and not a number
        self.writeable = False
        #: the plain arrays of its entries that np.asarray made, for as long as someone holds them
        self.lent: list[Any] = []
        #: the recorder's clock when it was last written to, and when it was up-to-date
        self.written, self.seen = 0, recorder.clock

    def _now(self) -> None:
        stale = self._number is None or self.seen != self.recorder.clock
        if self.writes is not None or (self.shows is not None and stale):
            CURRENT[0](self)

    def set(self, number: int, value: Any) -> None:
        """Give it another value."""
        self._number, self._value, self.seen = number, value, self.recorder.clock

    @property
    def number(self) -> int:  # type: ignore[override]
        self._now()
        assert self._number is not None
        return self._number

    @property
    def value(self) -> Any:
        """What it is at the example."""
        self._now()
        self._value = whole(self._value)
        return self._value

    @property
    def later(self) -> Any:
        """The same, or what makes it when it is wanted."""
        self._now()
        return self._value

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.later.dtype  # type: ignore[no-any-return]

    def _lend(self, entries: Array) -> None:
        owner = self
        while owner.shows is not None:
            owner = owner.shows[0]
        owner.lent.append(weakref.ref(entries))

    def is_number(self) -> bool:
        """Whether NumPy has a number here, which an assignment like ``s += 1`` replaces and does not write into."""
        if self.ndim or self.writeable:
            return False
        if self.shows is None:
            return True
        base, move = self.shows
        if base.is_number():
            return True
        return not isinstance(move(np.empty(base.shape, bool)), np.ndarray)

    def __repr__(self) -> str:
        return f"<recorded array of shape {self.shape}, {self.dtype}>"

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.size * self.itemsize

    @property
    def real(self) -> Any:
        return np.real(self)

    def conj(self) -> Any:
        return np.conjugate(self) if self.dtype.kind == "c" else self

    conjugate = conj

    @property
    def imag(self) -> Any:
        return np.imag(self)

    def astype(self, dtype: Any, order: Any = "K", casting: Any = None, subok: bool = True, copy: bool = True) -> Any:
        made = HANDLED[np.ndarray.astype](self, dtype, copy=copy)
        return made.copy("F") if order == "F" else made

    def view(self, *args: Any, **kwargs: Any) -> Any:
        if args or kwargs:
            raise TracingError("the array method .view with another type can't be recorded")
        return self[...]


def _in_place(name: str) -> Callable[[Traced, Any], Any]:
    """An operator like ``+=``: it replaces a number; of arrays it writes into the first."""
    new, write = getattr(Traced, f"__{name}__"), getattr(Traced, f"__i{name}__")
    return lambda array, other: (new if array.is_number() else write)(array, other)


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor"):
    setattr(Traced, f"__i{_name}__", _in_place(_name))


class Symbol(Recorded):
    """A differential."""

    def __init__(self, recorder: "Recorder", number: int, shape: Shape) -> None:
        self.recorder, self.number, self._shape = recorder, number, shape

    @property
    def dtype(self) -> np.dtype[Any]:
        raise TracingError("a differential has no dtype")


def shape_of(x: Any) -> Shape:
    """The shape of a recorded array or a constant."""
    return x.shape if isinstance(x, Recorded) or sp.issparse(x) else np.shape(x)
