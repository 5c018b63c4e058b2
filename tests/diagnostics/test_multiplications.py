import pytest
import tensorflow as tf

from tf_interformer.diagnostics import multiplications
from tf_interformer.layers.sequences import AttentionalGRU


def test_products_are_counted_and_nothing_else():
    def call(a, b):
        tf.matmul(a, b)  # needed by nobody
        return tf.einsum("ij,jk->ik", a, b) + tf.matmul(a, tf.transpose(b), transpose_b=True)

    assert multiplications(call, tf.TensorSpec((4, 3)), tf.TensorSpec((3, 5))) == 2 * 60


def test_a_loop_counts_for_each_of_its_steps():
    def count(steps):
        specs = {"sequence": tf.TensorSpec((1, steps, 4)), "lengths": tf.TensorSpec((1,), "int32")}
        layer = AttentionalGRU(8)
        layer.build({"sequence": (None, steps, 4), "lengths": (None,)})
        return multiplications(layer, specs)

    # Eight units, three gates: of the event, for all steps at once, and of the state, step by step
    assert count(5) == 5 * (4 * 24 + 8 * 24)
    assert count(10) == 2 * count(5)


def test_a_loop_of_unknown_length_is_told():
    def call(square):
        return tf.while_loop(lambda x: tf.reduce_sum(x) < 10, lambda x: (tf.matmul(x, x),), (square,))[0]

    with pytest.raises(ValueError, match="how often it runs is not known"):
        multiplications(call, tf.TensorSpec((3, 3)))
