"""What the Hiformer blocks of a model cost."""

import numpy as np

from tf_interformer.compression._stacks import Stack, projections_of
from tf_interformer.layers.hiformer_block import HiformerBlock


def multiplications_of(stacks: list[Stack]) -> int:
    """Per example; every entry of a matrix of these blocks takes part in one multiplication."""
    total = 0
    for stack in stacks:
        for block in stack.blocks:
            total += _matrix_entries(block) + _scores_and_sums(block)
    return total


def _matrix_entries(block: HiformerBlock) -> int:
    matrices = [
        block.attention.output_kernel,
        block.feed_forward.first_kernel,
        block.feed_forward.second_kernel,
        *(weight for group in ("k", "v") for p in projections_of(block.attention, group) for weight in p.weights),
    ]
    if not block.attention.composite_query:
        matrices.append(block.attention.query_kernel)
    return sum(int(np.prod(tuple(matrix.shape))) for matrix in matrices)


def _scores_and_sums(block: HiformerBlock) -> int:
    attention = block.attention
    queries, value_width, width = attention.output_kernel.shape
    key = attention.key
    rows = (key.kernel if key.rank is None else key.left_kernel).shape[0]
    return int(queries * (rows // width) * (key.num_heads * key.head_dim + value_width))
