"""A picture of where a matrix has entries."""

from typing import TYPE_CHECKING, Any

import numpy as np

from matjac import checks
from matjac.conventions import Array, Shapes, parts, size
from matjac.entries.tiles import edges, tiles
from matjac.extras import axes

if TYPE_CHECKING:
    from matjac.jacobian.matrix import Matrix

#: The lightest grey of a tile with entries, and how much longer a side may be than the other before it is shortened.
LIGHT, LONG = 0.35, 3


def spy(matrix: "Matrix", ax: Any, most: int) -> Any:
    """Draw it: see `Jacobian.spy`."""
    if checks.count("tiles", most) == 0:
        raise ValueError("tiles: got 0, expected at least one")
    rows, columns = matrix.shape
    if rows == 0 or columns == 0:
        raise ValueError(f"spy: got a Jacobian of shape {matrix.shape}, expected one with rows and columns")
    ax = axes(ax)
    down, across = min(most, rows), min(most, columns)
    counts = tiles(matrix._assembler, matrix.shape, down, across)
    sides = edges(columns, across), edges(rows, down)
    # the first entry is drawn around 0, as by matplotlib's own
    ax.pcolormesh(*(side - 0.5 for side in sides), shades(counts, *sides), cmap="Greys", vmin=0, vmax=1)
    outputs, variables = matrix.out_shape, matrix.in_shape
    if matrix.layout == "denominator":
        outputs, variables = variables, outputs
    for edge in _between(variables):
        ax.axvline(edge - 0.5, color="C0", linewidth=0.8)
    for edge in _between(outputs):
        ax.axhline(edge - 0.5, color="C0", linewidth=0.8)
    ax.set_xlim(-0.5, columns - 0.5)
    ax.set_ylim(rows - 0.5, -0.5)
    ax.set_aspect("equal" if max(rows, columns) <= LONG * min(rows, columns) else "auto")
    ax.xaxis.tick_top()
    tile = "" if (down, across) == matrix.shape else f"\ntiles of {-(-rows // down):,} × {-(-columns // across):,}"
    ax.set_title(f"{rows:,} × {columns:,}, {int(counts.sum()):,} entries{tile}", fontsize="medium")
    return ax


def shades(counts: Array, across: Array, down: Array) -> Array:
    """How dark each tile is: 0 without entries, 1 the fullest, between them by the logarithm of the share filled."""
    filled = counts > 0
    share = np.log(np.where(filled, counts, 1) / (np.diff(down)[:, None] * np.diff(across).astype(float)))
    least, most = share.min(where=filled, initial=0), share.max(where=filled, initial=-np.inf)
    between = (share - least) / (most - least) if most > least else np.ones(share.shape)
    return np.where(filled, LIGHT + (1 - LIGHT) * between, 0.0)


def _between(shapes: Shapes) -> list[int]:
    """Where one of several variables ends and the next begins."""
    return np.cumsum([size(shape) for shape in parts(shapes)])[:-1].tolist()  # type: ignore[no-any-return]
