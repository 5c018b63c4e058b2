"""InterFormerBlock: what its arches exchange, and what is refused."""

import numpy as np
import pytest
import tensorflow as tf

from tests.layer_case import assert_close, scramble, tensors
from tests.layers.test_contract import APART, ARCHES, BOTH, normal
from tf_interformer.layers import CrossArch, InterFormerBlock, SequenceArch


def test_it_is_its_arches_joined_by_hand():
    given = {**BOTH, "target": normal(4, 12)}
    block = InterFormerBlock(**ARCHES)
    block(tensors(given))
    scramble(block)
    out = block(tensors(given))
    summaries = block.cross_arch(tensors(given))
    mixed = block.interaction_arch({"features": given["features"], "summary": summaries["sequence"]})
    joined = tf.concat([summaries["features"], given["sequence"]], axis=1)
    history = block.sequence_arch(
        {"sequence": joined, "lengths": given["lengths"], "summary": summaries["features"]}
    ).numpy()
    assert_close(out["features"], mixed)
    assert_close(out["cls"], history[:, :2])
    for row, length in enumerate(given["lengths"]):
        assert_close(out["sequence"][row, :length], history[row, 2 : 2 + length])


def test_without_a_cross_arch_neither_side_sees_the_other():
    block = InterFormerBlock(**APART)
    before = block(tensors(BOTH))
    other = block(tensors({**BOTH, "features": BOTH["features"] + 1}))
    assert_close(other["sequence"], before["sequence"])
    assert np.abs(other["features"] - before["features"]).max() > 1e-2


@pytest.mark.parametrize(
    ("cross", "sequence"),
    [
        (None, SequenceArch(num_heads=2)),
        (CrossArch(num_heads=2, summarize_features=False, cls_tokens=False), SequenceArch("plain", num_cls_tokens=2)),
    ],
)
def test_a_summary_that_nothing_makes(cross, sequence):
    block = InterFormerBlock(cross, APART["interaction_arch"], sequence)
    with pytest.raises(ValueError, match=r"are made of a summary of the features\. Received: a Cross Arch that makes"):
        block(tensors(BOTH))
