"""What all identities have in common: two keywords, the step to a Jacobian, and the words that say so."""

import functools
import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

import numpy as np
import scipy.sparse as sp

from matjac import checks
from matjac.conventions import Layout, Order
from matjac.differentials import Differential, jacobian_of
from matjac.jacobian import Hessian, Jacobian

KEYWORDS = (
    inspect.Parameter("order", inspect.Parameter.KEYWORD_ONLY, default="C", annotation=Order),
    inspect.Parameter("layout", inspect.Parameter.KEYWORD_ONLY, default="numerator", annotation=Layout),
)
PARAMETERS = """\
order : {"C", "F"}, optional
    Order in which the entries of the value and of the variable are counted: row by row (NumPy's ``ravel``), or
    column by column (the textbooks' vec).
layout : {"numerator", "denominator"}, optional
    Whether the rows of the Jacobian are entries of the value and its columns those of the variable, or the
    transpose."""
RETURNS = """\
Jacobian
    With the out_shape and the in_shape stated above. Its dtype is NumPy's result type of the arrays, where integers
    count as float64; float64 where there are no arrays."""
SYMMETRIC = """\
Hessian
    Symmetric, with the in_shape stated above as its out_shape too. Its dtype is NumPy's result type of the arrays,
    where integers count as float64."""
RAISES = """\
TypeError
    If the dtype of an array is none of integers, float32, float64, complex64 and complex128, if a sparse matrix is
    given where only dense arrays are accepted, or if a size is not an integer.
ValueError
    If an array has another shape or number of dimensions than stated, if a size is negative, or if a keyword is
    none of the listed values."""


class First(Protocol):
    """An identity, as type checkers see it."""

    __name__: str

    def __call__(self, *arguments: Any, order: Order = "C", layout: Layout = "numerator", **named: Any) -> Jacobian:
        """The Jacobian."""


class Second(Protocol):
    """One of a Hessian."""

    __name__: str

    def __call__(self, *arguments: Any, order: Order = "C", **named: Any) -> Hessian:
        """The Hessian."""


def identity(function: Callable[..., Differential]) -> First:
    """Turn a function that gives a differential into one that gives its Jacobian.

    The result takes the keywords `order` and `layout` as well, and its signature and its docstring say so. The rule of
    the differential is recorded once for each name, shapes and values of the function's own keyword-only arguments.
    """
    return cast(First, _with_keywords(function, KEYWORDS, Jacobian))


def second(function: Callable[..., Differential]) -> Second:
    """The same of a function that gives the differential of a gradient, which gives its Hessian, in either layout."""
    return cast(Second, _with_keywords(function, KEYWORDS[:1], Hessian))


def _with_keywords(
    function: Callable[..., Differential], keywords: Sequence[inspect.Parameter], returned: type
) -> Callable[..., Jacobian]:
    signature = inspect.signature(function)
    options = [(p.name, p.default) for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY]

    @functools.wraps(function)
    def jacobian(*arguments: Any, order: Order = "C", layout: Layout = "numerator", **named: Any) -> Jacobian:
        checks.conventions(order, layout)
        differential = function(*arguments, **named)
        key = (function.__name__, *((name, named.get(name, default)) for name, default in options))
        return jacobian_of(differential, order, layout, key)

    parameters = [*signature.parameters.values(), *keywords]
    jacobian.__signature__ = inspect.Signature(parameters, return_annotation=returned)  # type: ignore[attr-defined]
    jacobian.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": returned}
    # python -OO has none
    jacobian.__doc__ = _documented(function.__doc__, returned is Hessian) if function.__doc__ else None
    return jacobian


def _documented(text: str, symmetric: bool) -> str:
    """The docstring of an identity: its own words, and in each section what all identities have in common."""
    summary, *sections = re.split(r"\n\n(?=[A-Z][A-Za-z ]+\n-+\n)", inspect.cleandoc(text))
    own = dict(re.split(r"\n-+\n", section, maxsplit=1) for section in sections)
    examples = own.pop("Examples")
    bodies = {
        "Parameters": f"{own.pop('Parameters')}\n{PARAMETERS.partition('layout :')[0] if symmetric else PARAMETERS}",
        "Returns": SYMMETRIC if symmetric else RETURNS,
        "Raises": f"{RAISES}\n{own.pop('Raises', '')}".rstrip(),
        **own,
        "Examples": f">>> import matjac as mj\n{examples}",
    }
    return "\n\n".join([summary, *(f"{title}\n{'-' * len(title)}\n{body}" for title, body in bodies.items())])


def inner(C: Any, dX: Any) -> Any:
    """``Σ C ∘ dX``, the differential of a scalar function with the gradient C: one product of vectors."""
    return np.sum(C * dX) if sp.issparse(C) else C.reshape(-1) @ dX.reshape(-1)
