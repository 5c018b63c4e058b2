"""AdamW that touches the rows of a batch."""

from tf_interformer._keras import keras, register
from tf_interformer.optimizers._adam_rows import AdamRows


@register
class LazyAdamW(AdamRows, keras.optimizers.AdamW):
    """AdamW that updates, and decays, the rows of an embedding table that the batch has read.

    `LazyAdam` with weight decay: a row shrinks by `learning_rate * weight_decay` of itself in the steps in which it is
    read, and in no other. Rare rows decay rarely, where AdamW would take all of them to zero. Dense gradients are left
    to Keras's AdamW.

    Args:
        learning_rate: float or schedule. Defaults to `0.001`.
        weight_decay: float. Defaults to `0.004`.
        beta_1: float. Defaults to `0.9`.
        beta_2: float. Defaults to `0.999`.
        epsilon: float. Defaults to `1e-7`.
        amsgrad: bool. Defaults to `False`.
        **kwargs: As for `LazyAdam`.

    Raises:
        ValueError: If `gradient_accumulation_steps` is given.

    Reference:
        [Loshchilov and Hutter, 2019](https://arxiv.org/abs/1711.05101)

    Example:

    >>> import tensorflow as tf
    >>> table = tf.Variable(tf.ones((3, 1)))
    >>> gradient = tf.IndexedSlices(tf.zeros((1, 1)), [1], (3, 1))
    >>> _ = LazyAdamW(0.5, weight_decay=0.5).apply_gradients([(gradient, table)])
    >>> table.numpy()[:, 0].tolist()
    [1.0, 0.75, 1.0]
    """
