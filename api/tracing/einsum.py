"""``np.einsum`` of one or two operands: diagonals, sums, transposes and a batched matrix product."""

from typing import Any

import numpy as np

from matjac.conventions import size
from matjac.tracing.functions import total
from matjac.tracing.recorded import TracingError, handles, shape_of


@handles(np.einsum)
def einsum(subscripts: str, *operands: Any) -> Any:
    """``np.einsum``, recorded."""
    if not isinstance(subscripts, str) or "." in subscripts or len(operands) > 2:
        raise TracingError("np.einsum can be recorded with a subscript string without '...', of one or two operands")
    inputs, _, given = subscripts.replace(" ", "").partition("->")
    labels = inputs.split(",")
    every = "".join(labels)
    out = given if "->" in subscripts else "".join(sorted(c for c in set(every) if every.count(c) == 1))
    spread = []
    for x, own in zip(operands, labels, strict=True):
        for label in set(own):
            while own.count(label) > 1:
                first, second = _pair(own, label)
                x = _diagonal(x, first, second)
                own = own[:first] + own[first + 1 : second] + own[second + 1 :] + label
        spread.append((x, own))
    if len(spread) == 2:
        return _contract(*spread[0], *spread[1], out)
    x, own = spread[0]
    summed = tuple(k for k, c in enumerate(own) if c not in out)
    x = total(x, summed) if summed else x
    own = "".join(c for c in own if c in out)
    return np.transpose(x, tuple(own.index(c) for c in out)) if own != out else x


def _pair(own: str, label: str) -> tuple[int, int]:
    first = own.index(label)
    return first, own.index(label, first + 1)


def _diagonal(x: Any, first: int, second: int) -> Any:
    return np.diagonal(x, 0, first, second)


def _contract(x: Any, a: str, y: Any, b: str, out: str) -> Any:
    """Two operands: what only one has is summed first, then a (batched) matrix product."""
    for _ in range(2):
        lone = tuple(k for k, c in enumerate(a) if c not in b and c not in out)
        if lone:
            x, a = np.sum(x, axis=lone), "".join(c for k, c in enumerate(a) if k not in lone)
        x, a, y, b = y, b, x, a
    batch = [c for c in a if c in b and c in out]
    inside = [c for c in a if c in b and c not in out]
    left, right = [c for c in a if c not in b], [c for c in b if c not in a]
    pairs = list(zip(a + b, shape_of(x) + shape_of(y), strict=True))
    sizes = dict(pairs)
    if any(sizes[label] != length for label, length in pairs):
        raise TracingError("np.einsum of operands whose sizes differ can't be recorded: np.broadcast_to one of them")

    def count(names: list[str]) -> int:
        return size(tuple(sizes[c] for c in names))

    x = np.reshape(
        np.transpose(x, tuple(a.index(c) for c in batch + left + inside)), (count(batch), count(left), count(inside))
    )
    y = np.reshape(
        np.transpose(y, tuple(b.index(c) for c in batch + inside + right)), (count(batch), count(inside), count(right))
    )
    if batch and not left and not right:
        # scalar products of pairs of rows
        products = np.reshape(x, (count(batch), count(inside))) * np.reshape(y, (count(batch), count(inside)))
        sums = np.reshape(np.sum(products, axis=1), tuple(sizes[c] for c in batch))
        return np.transpose(sums, tuple(batch.index(c) for c in out)) if batch != list(out) else sums
    if not batch:
        x, y = np.reshape(x, x.shape[1:]), np.reshape(y, y.shape[1:])
    product = np.reshape(x @ y, tuple(sizes[c] for c in batch + left + right))
    order = tuple((batch + left + right).index(c) for c in out)
    return np.transpose(product, order) if order != tuple(range(len(order))) else product
