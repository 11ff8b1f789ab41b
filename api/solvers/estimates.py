"""What a report says of a fit's unknowns: the estimates, and their standard errors where those cost little."""

from typing import Any

import numpy as np

from matjac.conventions import Array
from matjac.flat import Flat
from matjac.solvers.uncertainty import Uncertainty, of_free_entries

#: Unknowns up to which each has a line of its own; of more each variable has one.
EACH = 40
#: Multiplications of singular values up to which a report makes them: about a second.
WORK = 2 * 10**9
ASK = "mj.solvers.uncertainty(F, fit)"


def estimates(F: Flat, fit: Any, without: str = "") -> list[str]:
    """On the unknowns of a least-squares fit: what is said of all of them, and more lines.

    `without` says why there are no standard errors, where there are none.
    """
    found, first = _errors(F, fit, without)
    lines = _each(F, fit, found) if F.variables.size <= EACH else _by_variable(F, fit, found)
    if found is not None and found.free:
        free = f"{found.free} free direction{'s' * (found.free != 1)}: no residual changes along them"
        lines.append(f"  {free}; what does not change either has errors, {ASK[:-1]}, of=G)")
    return [first, *lines]


def _errors(F: Flat, fit: Any, without: str) -> tuple[Uncertainty | None, str]:
    """How sure the fit is, where that is known and costs little, and what to say of it."""
    n = F.variables.size
    if not fit.success:
        return None, "without standard errors: the solver has not ended at a minimum"
    if without:
        return None, f"without standard errors: {without}"
    if n**2 * (fit.fun.size + 10 * n) > WORK:
        return None, f"standard errors of so many unknowns take long: {ASK}.stderr"
    try:
        found = of_free_entries(F, fit)
        noise = f"sigma2 {found.sigma2:.4g} by {found.dof} degree{'s' * (found.dof != 1)} of freedom"
    except ValueError as error:
        return None, f"without standard errors: {error}"
    return found, noise


def _each(F: Flat, fit: Any, found: Uncertainty | None) -> list[str]:
    """A line for each unknown."""
    names = [F.variables.entry(k) for k in range(fit.x.size)]
    values = [f"{x:.6g}" for x in fit.x]
    told = [""] * fit.x.size if found is None else _stderr(fit, found)
    wide, long = (max(map(len, column), default=0) for column in (names, values))
    rows = zip(names, values, told, strict=True)
    return [f"  {name:<{wide}}  {value:>{long}}  {text}".rstrip() for name, value, text in rows]


def _stderr(fit: Any, found: Uncertainty) -> list[str]:
    errors, known = found.errors
    at = {-1: "at its lower bound", 1: "at its upper bound"}
    sure = [f"± {error:.3g}" if is_known else "not estimable" for error, is_known in zip(errors, known, strict=True)]
    return [at.get(int(side), text) for side, text in zip(_mask(fit), sure, strict=True)]


def _by_variable(F: Flat, fit: Any, found: Uncertainty | None) -> list[str]:
    """A line for each variable."""
    lines, mask = [], _mask(fit)
    for (name, part), shape in zip(F.variables.places.items(), F.variables.shapes, strict=True):
        x, held = fit.x[part], mask[part] != 0
        if not x.size:
            continue
        line = f"  {name} {shape}  {x.size:,} entries, {x.min():.4g} to {x.max():.4g}"
        if found is not None:
            errors, known = (numbers[part] for numbers in found.errors)
            some = errors[known & ~held]
            line += f", ± {some.min():.3g} to {some.max():.3g}" if some.size else ""
            line += f", {np.count_nonzero(~known):,} not estimable" if not known.all() else ""
        lines.append(line + (f", {np.count_nonzero(held):,} at a bound" if held.any() else ""))
    return lines


def _mask(fit: Any) -> Array:
    """Which unknowns are at a bound, and at which."""
    return np.asarray(fit.get("active_mask", np.zeros(fit.x.size, int)))
