"""Many small quadratic problems between bounds, solved exactly: of non-negative factors, a row's given the others."""

from typing import Any

import numpy as np

from matjac.kernels.decorator import kernel

A = Any  # an array; Numba infers the rest

# unsigned: see sddmm.py
u = np.uint64

#: How often the free unknowns of a block may change.
CHANGES = 100
#: A pivot is at least that part of its diagonal entry.
LEAST = 1e-14


@kernel
def box_minimize(
    H: A, g: A, low: A, high: A, tolerance: float, x: A, room: A, factor: A, free: A, start: int, stop: int
) -> None:
    """Minimise ``½ pᵀ H[b] p + g[b] p`` by a step p from ``x[b]`` that stays between the bounds; x becomes x + p.

    Newton's step of the unknowns that no bound holds is cut at the bounds, or where this is no decrease shortened until
    the first bound; until slopes are `tolerance` of the largest there was. `room` (3, q), `factor` (q, q) and `free`
    (q, integers) are room to work in, a thread's own. Of each block the lower triangle is read.
    """
    q = H.shape[1]
    slope, step, cut = room[0], room[1], room[2]
    for at in range(start, stop):
        b = u(at)
        for i in range(q):
            slope[u(i)] = g[b, u(i)]
        steepest = 0.0
        for _ in range(CHANGES):
            count = 0
            largest = 0.0
            for i in range(q):
                s = slope[u(i)]
                steepest = max(steepest, abs(s))
                held = (s >= 0 and x[b, u(i)] <= low[b, u(i)]) or (s <= 0 and x[b, u(i)] >= high[b, u(i)])
                if not held:
                    free[u(count)] = u(i)
                    count += 1
                    largest = max(largest, abs(s))
            if not largest > tolerance * steepest:
                break
            while True:
                # without those that the step would take out of the box at once
                _newton(H[b], slope, free, count, factor, step)
                kept = _inside(x[b], step, free, count, low[b], high[b])
                if kept == count or kept == 0:
                    break
                count = kept
            length = _cut(x[b], step, free, count, low[b], high[b], cut)
            if length < 1.0:
                promised = 0.0
                for i in range(count):
                    promised += slope[free[u(i)]] * cut[u(i)]
                if not _change(H[b], slope, free, count, cut) <= 0.1 * promised:
                    for i in range(count):
                        cut[u(i)] = length * step[u(i)]
            for i in range(count):
                f = free[u(i)]
                x[b, f] = min(max(x[b, f] + cut[u(i)], low[b, f]), high[b, f])
                for k in range(q):
                    slope[u(k)] += (H[b, f, u(k)] if u(k) <= f else H[b, u(k), f]) * cut[u(i)]


@kernel
def _newton(H: A, slope: A, free: A, count: int, factor: A, step: A) -> None:
    """Newton's step of the free unknowns."""
    for i in range(count):
        for j in range(i + 1):
            total = H[free[u(i)], free[u(j)]]
            for k in range(j):
                total -= factor[u(i), u(k)] * factor[u(j), u(k)]
            if i > j:
                factor[u(i), u(j)] = total / factor[u(j), u(j)]
            else:
                factor[u(i), u(i)] = np.sqrt(max(total, LEAST * H[free[u(i)], free[u(i)]], 1e-300))
    for i in range(count):
        total = -slope[free[u(i)]]
        for k in range(i):
            total -= factor[u(i), u(k)] * step[u(k)]
        step[u(i)] = total / factor[u(i), u(i)]
    for back in range(count):
        i = count - 1 - back
        total = step[u(i)]
        for k in range(i + 1, count):
            total -= factor[u(k), u(i)] * step[u(k)]
        step[u(i)] = total / factor[u(i), u(i)]


@kernel
def _inside(x: A, step: A, free: A, count: int, low: A, high: A) -> int:
    """Leave in `free` the unknowns that the step does not take beyond a bound at which they are; their number."""
    kept = 0
    for i in range(count):
        f = free[u(i)]
        if not ((step[u(i)] < 0 and x[f] <= low[f]) or (step[u(i)] > 0 and x[f] >= high[f])):
            free[u(kept)] = f
            kept += 1
    return kept


@kernel
def _cut(x: A, step: A, free: A, count: int, low: A, high: A, cut: A) -> float:
    """Fill the step's part between the bounds, and return the part of the step at which the first bound is met."""
    length = 1.0
    for i in range(count):
        f = free[u(i)]
        p = step[u(i)]
        edge = min(max(x[f] + p, low[f]), high[f])
        cut[u(i)] = p
        if edge != x[f] + p:
            cut[u(i)] = edge - x[f]
            length = min(length, cut[u(i)] / p)
    return length


@kernel
def _change(H: A, slope: A, free: A, count: int, step: A) -> float:
    """``slope · p + ½ pᵀ H p``."""
    total = 0.0
    for i in range(count):
        f = free[u(i)]
        curved = 0.5 * H[f, f] * step[u(i)]
        for k in range(i):
            curved += H[f, free[u(k)]] * step[u(k)]
        total += step[u(i)] * (slope[f] + curved)
    return total
