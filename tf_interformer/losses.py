"""A loss within lists, beside the binary one."""

from typing import Any

from tf_interformer._keras import ops


def list_losses(labels: Any, logits: Any, lists: Any) -> Any:
    """Loss of each clicked example against those of its list that were not clicked.

    `l_i = y_i log(1 + sum_j exp(s_j - s_i))` over the examples j of the same list, in this batch, with y_j = 0: the
    softmax cross-entropy of each clicked one among the others, in which two that were clicked do not compete. It is 0
    for lists of one class. Binary cross-entropy can be lowered by knowing the user; this one only by knowing the items
    apart, so that its sum with the binary one ranks better within a user and stays calibrated.

    Args:
        labels: array of 0 and 1, `[B, 1]` or `[B]`.
        logits: array of floats, of the same shape.
        lists: array of integers `[B]`. Which list each example is of, in any order.

    Returns:
        The losses `[B]`, float32 or as wide as the logits.

    References:
        - [Yan et al., 2022](https://arxiv.org/abs/2211.01494) on sums of regression and ranking losses.
        - [Sheng et al., 2023](https://arxiv.org/abs/2208.06164), whose sum goes by the user.
        - [Lin et al., 2024](https://arxiv.org/abs/2403.14144) on why such sums help the binary loss.

    Example:

    >>> import numpy as np
    >>> losses = list_losses(np.array([1.0, 0, 1, 0]), np.array([0.5, 0.5, 2.0, 1.0]), np.array([7, 7, 8, 9]))
    >>> np.asarray(losses).round(3).tolist()
    [0.693, 0.0, 0.0, 0.0]
    """
    scores = ops.reshape(ops.convert_to_tensor(logits), (-1,))
    clicked = ops.cast(ops.reshape(labels, (-1,)), scores.dtype)
    lists = ops.reshape(ops.convert_to_tensor(lists), (-1,))
    count = ops.shape(scores)[0]
    order = ops.argsort(lists)
    ordered = ops.take(lists, order)
    begins = ops.concatenate([ops.zeros_like(ordered[:1]), ops.cast(ordered[1:] != ordered[:-1], ordered.dtype)])
    segments = ops.cast(ops.cumsum(begins), "int32")  # the number of its list, list by list
    scores, is_clicked = ops.take(scores, order), ops.take(clicked, order) > 0.5
    zeros = ops.zeros_like(scores)

    def of_list(values: Any) -> Any:
        return ops.take(ops.segment_sum(values, segments, num_segments=count), segments)

    # log sum_j exp(s_j) over what was not clicked, from the highest on, so that nothing overflows
    highest = ops.segment_max(ops.where(is_clicked, zeros - 1e30, scores), segments, num_segments=count)
    highest = ops.stop_gradient(ops.maximum(ops.take(highest, segments), -1e30))
    total = of_list(ops.where(is_clicked, zeros, ops.exp(ops.where(is_clicked, zeros, scores - highest))))
    has_others = total > 0
    rivals = ops.where(has_others, highest, zeros) + ops.log(ops.where(has_others, total, zeros + 1))
    found = ops.where(ops.logical_and(is_clicked, has_others), ops.softplus(rivals - scores), zeros)
    return ops.take(found, ops.argsort(order))
