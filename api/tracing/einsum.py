"""``np.einsum``: pair by pair in the order that NumPy's planner gives, each a batched matrix product."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from matjac.conventions import size
from matjac.tracing.arrays import Recorded, renewed, shape_of
from matjac.tracing.handlers import TracingError, handles
from matjac.tracing.recorded import reshaped
from matjac.tracing.reductions import converted, plain, total

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@handles(np.einsum)
def einsum(*operands: Any, out: Any = None, optimize: Any = None, **options: Any) -> Any:
    """``np.einsum``, recorded."""
    plain("np.einsum", out=out, **{k: v for k, v in options.items() if k not in ("order", "casting", "dtype")})
    labels, result, arrays = _parsed(operands)
    arrays = [converted(x, options.get("dtype")) for x in arrays]
    sizes = _sizes(arrays, labels)
    left = [_own(x, own, sizes) for x, own in zip(arrays, labels, strict=True)]
    for pair in _path(left, result, optimize):
        taken = [left.pop(k) for k in sorted(pair, reverse=True)][::-1]
        rest = {*result, *(c for _, own in left for c in own)}
        while len(taken) > 1:
            (x, a), (y, b), *others = taken
            kept = rest | {c for _, own in others for c in own}
            into = "".join(c for c in dict.fromkeys(a + b) if c in kept)
            taken = [(_contract(x, a, y, b, into), into), *others]
        left += taken
    ((x, own),) = left
    x = total(x, tuple(k for k, c in enumerate(own) if c not in result))
    own = "".join(c for c in own if c in result)
    found = np.transpose(x, tuple(own.index(c) for c in result))
    # a sum is an array of its own, and how NumPy lays it out is not said
    return renewed(found) if len(arrays) > 1 or set(labels[0]) != set(result) else found


@handles(np.einsum_path)
def _einsum_path(*operands: Any, **options: Any) -> Any:
    # shapes alone matter
    shapes: list[Any] = [np.empty(x.shape) if isinstance(x, Recorded) else x for x in operands]
    return np.einsum_path(*shapes, **options)


def _path(left: Sequence[tuple[Any, str]], result: str, optimize: Any) -> Sequence[tuple[int, ...]]:
    """Which operands are contracted, one after another."""
    if len(left) < 3:
        return [tuple(range(len(left)))]
    shapes = [np.broadcast_to(np.empty((), bool), shape_of(x)) for x, _ in left]
    subscripts = ",".join(own for _, own in left) + "->" + result
    path, _ = np.einsum_path(subscripts, *shapes, optimize="greedy" if optimize in (None, True, False) else optimize)
    return path[1:]


def _parsed(operands: Sequence[Any]) -> tuple[list[str], str, list[Any]]:
    """A letter for each axis of every operand and of the result, and the operands."""
    if isinstance(operands[0], str):
        inputs, arrow, result = operands[0].replace(" ", "").partition("->")
        labels, arrays = inputs.split(","), list(operands[1:])
    else:
        arrays = list(operands[::2])
        labels = ["".join("..." if k is Ellipsis else LETTERS[int(k)] for k in part) for part in operands[1::2]]
        arrow, result = "", ""
        if len(operands) % 2:
            arrow, result = "->", "".join("..." if k is Ellipsis else LETTERS[int(k)] for k in arrays.pop())
    if len(labels) != len(arrays):
        raise ValueError(f"np.einsum: got {len(arrays)} operands for {len(labels)} terms")
    if any(map(sp.issparse, arrays)):
        raise TracingError("a scipy.sparse constant can be recorded in matrix products alone: else use its .toarray()")
    spare = [c for c in LETTERS if c not in "".join(labels) + result]
    pairs = list(zip(arrays, labels, strict=True))
    wide = [len(shape_of(x)) - len(own.replace("...", "")) if "..." in own else 0 for x, own in pairs]
    dots = "".join(spare[: max(wide, default=0)])
    labels = [own.replace("...", dots[len(dots) - count :]) for own, count in zip(labels, wide, strict=True)]
    every = "".join(labels)
    if not arrow:
        result = dots + "".join(sorted(c for c in set(every) - set(dots) if every.count(c) == 1))
    result = result.replace("...", dots)
    for x, own in zip(arrays, labels, strict=True):
        if len(shape_of(x)) != len(own):
            raise ValueError(f"np.einsum: got an operand of shape {shape_of(x)}, expected {len(own)} axes ({own})")
    if len(set(result)) < len(result) or not set(result) <= set(every):
        raise ValueError(f"np.einsum: got the result's axes {result!r}, expected different ones of the operands'")
    return labels, result, arrays


def _own(x: Any, own: str, sizes: dict[str, int]) -> tuple[Any, str]:
    """An operand with each of its letters once: diagonals are taken, and axes of length one that others repeat go."""
    ones = [k for k, (n, c) in enumerate(zip(shape_of(x), own, strict=True)) if n == 1 and sizes[c] > 1]
    if ones:
        x = reshaped(x, tuple(n for k, n in enumerate(shape_of(x)) if k not in ones))
        own = "".join(c for k, c in enumerate(own) if k not in ones)
    for label in set(own):
        while own.count(label) > 1:
            first = own.index(label)
            second = own.index(label, first + 1)
            x = np.diagonal(x, 0, first, second)
            own = own[:first] + own[first + 1 : second] + own[second + 1 :] + label
    return x, own


def _sizes(arrays: Sequence[Any], labels: Sequence[str]) -> dict[str, int]:
    """The length of each letter's axis."""
    found: dict[str, int] = {}
    for x, own in zip(arrays, labels, strict=True):
        axes = dict(zip(own, shape_of(x), strict=True))
        for n, c in zip(shape_of(x), own, strict=True):
            if n != axes[c]:
                raise ValueError(f"np.einsum: got an operand of shape {shape_of(x)}, expected equal axes {c!r} ({own})")
            if found.setdefault(c, n) == 1:
                found[c] = n
            elif n not in (1, found[c]):
                raise ValueError(f"np.einsum: got axes {c!r} of {found[c]} and {n} entries, expected equal ones")
    return found


def _contract(x: Any, a: str, y: Any, b: str, out: str) -> Any:
    """Two operands: what only one has is summed first, then a (batched) matrix product."""
    for _ in range(2):
        lone = tuple(k for k, c in enumerate(a) if c not in b and c not in out)
        x, a, y, b = y, b, np.sum(x, axis=lone), "".join(c for k, c in enumerate(a) if k not in lone)
    batch = [c for c in a if c in b and c in out]
    inside = [c for c in a if c in b and c not in out]
    left, right = [c for c in a if c not in b], [c for c in b if c not in a]
    sizes = dict(zip(a + b, shape_of(x) + shape_of(y), strict=True))

    def grouped(z: Any, own: str, *groups: list[str]) -> Any:
        """An axis for each group of labels."""
        turned = np.transpose(z, tuple(own.index(c) for group in groups for c in group))
        return np.reshape(turned, tuple(size(tuple(sizes[c] for c in group)) for group in groups))

    if not batch:
        product = grouped(x, a, left, inside) @ grouped(y, b, inside, right)
    elif left or right:
        product = grouped(x, a, batch, left, inside) @ grouped(y, b, batch, inside, right)
    else:
        # scalar products of pairs of rows
        product = np.sum(grouped(x, a, batch, inside) * grouped(y, b, batch, inside), axis=1)
    labels = batch + left + right
    return np.transpose(np.reshape(product, tuple(sizes[c] for c in labels)), tuple(labels.index(c) for c in out))
