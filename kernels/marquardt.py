"""Levenberg–Marquardt for many small problems: what a step does to each, between evaluations of all."""

from typing import Any

import numpy as np

from matjac.kernels.decorator import kernel

A = Any  # an array; Numba infers the rest

# unsigned: see sddmm.py
u = np.uint64


@kernel
def marquardt_trial(
    X: A, normal: A, g: A, shift: A, step: A, failed: A, going: A, low: A, high: A, trial: A, predicted: A,
    start: int, stop: int,
) -> None:  # fmt: skip
    """Fill ``trial[b] = X[b] - step[b]`` within the bounds, and how the cost falls by the model, for ``start:stop``.

    `step` solves ``(normal[b] + diag(shift[b])) step = g[b]``, and becomes the step that is made. Problems that are not
    `going` stay; those that `failed` do too, and their prediction is NaN. `low` and `high` may be empty.
    """
    for at in range(start, stop):
        b = u(at)
        total = 0.0
        if not going[b] or failed[b] != 0:
            for i in range(X.shape[1]):
                step[b, u(i)] = 0.0
                trial[b, u(i)] = X[b, u(i)]
            predicted[b] = np.nan if failed[b] != 0 else 0.0
        elif low.size == 0:
            for i in range(X.shape[1]):
                p = -step[b, u(i)]
                step[b, u(i)] = p
                trial[b, u(i)] = X[b, u(i)] + p
                total += p * (shift[b, u(i)] * p - g[b, u(i)])
            predicted[b] = 0.5 * total
        else:
            for i in range(X.shape[1]):
                trial[b, u(i)] = min(max(X[b, u(i)] - step[b, u(i)], low[b, u(i)]), high[b, u(i)])
                step[b, u(i)] = trial[b, u(i)] - X[b, u(i)]
            for i in range(X.shape[1]):
                p = step[b, u(i)]
                curved = 0.5 * normal[b, u(i), u(i)] * p
                for j in range(i):
                    curved += normal[b, u(i), u(j)] * step[b, u(j)]
                total -= p * (g[b, u(i)] + curved)
            predicted[b] = total


@kernel
def marquardt_judge(
    X: A, Y: A, cost: A, damping: A, growth: A, status: A, steps: A, going: A, new: A,
    trial: A, step: A, values: A, after: A, predicted: A, ftol: float, xtol: float, most: int, largest: float,
    smallest: float, bad: int, moved: A, start: int, stop: int,
) -> None:  # fmt: skip
    """Go to the trial points, of cost `after`, where that is better, and change the dampings; b in ``start:stop``.

    New problems have no cost yet, and are where they are tried. The statuses of what is done are those of SciPy's
    `least_squares`, and `bad` where nothing is finite. `moved` says where there are new values.
    """
    for at in range(start, stop):
        b = u(at)
        moved[b] = False
        if not going[b]:
            continue
        finite = after[b] < np.inf
        drop = cost[b] - after[b]
        ended = 0
        if new[b]:
            new[b] = False
            moved[b] = finite
            if not finite:
                ended = bad
        else:
            steps[b] += 1
            ratio = drop / predicted[b]
            moved[b] = predicted[b] > 0 and ratio > 1e-4
            if moved[b]:
                # Nielsen's rule, but for a faster fall where the model is good
                fall = 0.1 if ratio > 0.75 else max(1 / 3, 1 - (2 * ratio - 1) ** 3)
                damping[b] = max(damping[b] * fall, smallest)
                growth[b] = 2.0
            else:
                damping[b] *= growth[b]
                growth[b] *= 2
            # as MINPACK ends: also where rounding decides which cost is the less
            near = ftol * cost[b]
            level = abs(drop) <= near and predicted[b] <= near
            length = 0.0
            reach = 0.0
            for i in range(X.shape[1]):
                length += step[b, u(i)] ** 2
                reach += X[b, u(i)] ** 2
            short = finite and predicted[b] == predicted[b] and np.sqrt(length) < xtol * (xtol + np.sqrt(reach))
            if level:
                ended = 4 if short else 2
            elif short:
                ended = 3
            elif damping[b] > largest:
                ended = bad
            if ended == 0 and steps[b] >= most:
                going[b] = False
        if ended != 0:
            status[b] = ended
            going[b] = False
        if moved[b]:
            cost[b] = after[b]
            for i in range(X.shape[1]):
                X[b, u(i)] = trial[b, u(i)]
            for i in range(Y.shape[1]):
                Y[b, u(i)] = values[b, u(i)]


@kernel
def marquardt_scale(
    X: A, normal: A, g: A, low: A, high: A, moved: A, damping: A, gtol: float, bad: int,
    scale: A, shift: A, optimality: A, status: A, going: A, start: int, stop: int,
) -> None:  # fmt: skip
    """Fill the largest entry of each gradient and end by it, and ``shift[b]``, the damping times the scale.

    The scale is the largest diagonal of the normal matrix so far. `low` and `high` may be empty.
    """
    for at in range(start, stop):
        b = u(at)
        if moved[b]:
            most = 0.0
            finite = True
            for i in range(X.shape[1]):
                x = X[b, u(i)]
                gradient = g[b, u(i)]
                if low.size > 0:
                    gradient = x - min(max(x - gradient, low[b, u(i)]), high[b, u(i)])
                most = max(most, abs(gradient))
                scale[b, u(i)] = max(scale[b, u(i)], normal[b, u(i), u(i)])
                finite &= abs(gradient) < np.inf and normal[b, u(i), u(i)] < np.inf
            optimality[b] = most if finite else np.nan
            if going[b] and not finite:
                status[b] = bad
                going[b] = False
            elif going[b] and most <= gtol:
                status[b] = 1
                going[b] = False
        for i in range(X.shape[1]):
            shift[b, u(i)] = damping[b] * (scale[b, u(i)] if scale[b, u(i)] > 0 else 1.0)
