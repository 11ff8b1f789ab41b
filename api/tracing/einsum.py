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
                first = own.index(label)
                second = own.index(label, first + 1)
                x = np.diagonal(x, 0, first, second)
                own = own[:first] + own[first + 1 : second] + own[second + 1 :] + label
        spread.append((x, own))
    if len(spread) == 2:
        return _contract(*spread[0], *spread[1], out)
    x, own = spread[0]
    x = total(x, tuple(k for k, c in enumerate(own) if c not in out))
    own = "".join(c for c in own if c in out)
    return np.transpose(x, tuple(own.index(c) for c in out))


def _contract(x: Any, a: str, y: Any, b: str, out: str) -> Any:
    """Two operands: what only one has is summed first, then a (batched) matrix product."""
    for _ in range(2):
        lone = tuple(k for k, c in enumerate(a) if c not in b and c not in out)
        x, a, y, b = y, b, np.sum(x, axis=lone), "".join(c for k, c in enumerate(a) if k not in lone)
    batch = [c for c in a if c in b and c in out]
    inside = [c for c in a if c in b and c not in out]
    left, right = [c for c in a if c not in b], [c for c in b if c not in a]
    pairs = list(zip(a + b, shape_of(x) + shape_of(y), strict=True))
    sizes = dict(pairs)
    if any(sizes[label] != length for label, length in pairs):
        raise TracingError("np.einsum of operands whose sizes differ can't be recorded: np.broadcast_to one of them")

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
