"""The optimisers for tables in plain loops over rows, written from their equations in float64, nothing faster.

Every function makes one step. `table` `[rows, dim]` and `state` are changed in place; `gradients` is a list of
`(row, gradient [dim])` pairs in which a row may come several times.
"""

import math

import numpy as np


def by_row(gradients):
    """`{row: what the batch gives to it, added up}`."""
    summed = {}
    for row, gradient in gradients:
        summed[row] = summed.get(row, 0.0) + np.asarray(gradient, np.float64)
    return summed


def clip_by_global_norm(summed, dense, limit):
    """The gradients of rows and of dense variables, scaled so that the norm of all together is at most `limit`."""
    total = sum(float(g) ** 2 for gradient in summed.values() for g in gradient)
    total += sum(float(g) ** 2 for gradient in dense for g in np.ravel(gradient))
    scale = min(1.0, limit / math.sqrt(total))
    return {row: gradient * scale for row, gradient in summed.items()}, [gradient * scale for gradient in dense]


def adam(table, state, gradients, step, rate, beta_1=0.9, beta_2=0.999, epsilon=1e-7, weight_decay=0.0, amsgrad=False):
    """Adam; `step` counts from 1 and is the same for all rows; `None`: every row has its own, `state["count"]`."""
    all_steps = step
    for row, gradient in by_row(gradients).items():
        if all_steps is None:
            state["count"][row] += 1
            step = state["count"][row]
        for j in range(table.shape[1]):
            table[row, j] -= rate * weight_decay * table[row, j]
            g = gradient[j]
            state["m"][row, j] = beta_1 * state["m"][row, j] + (1 - beta_1) * g
            state["v"][row, j] = beta_2 * state["v"][row, j] + (1 - beta_2) * g * g
            state["highest"][row, j] = max(state["highest"][row, j], state["v"][row, j])
            second = state["highest" if amsgrad else "v"][row, j]
            corrected = rate * math.sqrt(1 - beta_2**step) / (1 - beta_1**step)
            table[row, j] -= corrected * state["m"][row, j] / (math.sqrt(second) + epsilon)


def adagrad(table, state, gradients, rate, epsilon=1e-7, weight_decay=0.0):
    for row, gradient in by_row(gradients).items():
        for j in range(table.shape[1]):
            table[row, j] -= rate * weight_decay * table[row, j]
            state["accumulator"][row, j] += gradient[j] ** 2
            table[row, j] -= rate * gradient[j] / math.sqrt(state["accumulator"][row, j] + epsilon)


def row_wise_adagrad(table, state, gradients, rate, epsilon=1e-7, weight_decay=0.0):
    for row, gradient in by_row(gradients).items():
        table[row] -= rate * weight_decay * table[row]
        state["accumulator"][row] += sum(float(g) ** 2 for g in gradient) / len(gradient)
        table[row] -= rate * gradient / math.sqrt(state["accumulator"][row] + epsilon)


def ftrl_start(table, accumulator, rate, power=-0.5, l1=0.0, l2=0.0, beta=0.0):
    """The linear state of which `table` is the solution; 0 where a weight is 0."""
    linear = np.zeros_like(table)
    for at, w in np.ndenumerate(table):
        if w != 0:
            linear[at] = -w * (accumulator[at] ** -power / rate + 2 * (l2 + beta / (2 * rate))) - math.copysign(l1, w)
    return linear


def ftrl(table, state, gradients, rate, power=-0.5, l1=0.0, l2=0.0, shrinkage=0.0, beta=0.0):
    for row, gradient in by_row(gradients).items():
        for j in range(table.shape[1]):
            w, n = table[row, j], state["accumulator"][row, j]
            new = n + gradient[j] ** 2
            sigma = (new**-power - n**-power) / rate
            state["linear"][row, j] += gradient[j] + 2 * shrinkage * w - sigma * w
            state["accumulator"][row, j] = new
            z = state["linear"][row, j]
            if abs(z) <= l1:
                table[row, j] = 0.0
            else:
                table[row, j] = (math.copysign(l1, z) - z) / (new**-power / rate + 2 * (l2 + beta / (2 * rate)))
