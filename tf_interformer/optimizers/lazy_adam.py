"""Adam that touches the rows of a batch."""

from tf_interformer._keras import keras, register
from tf_interformer.optimizers._adam_rows import AdamRows


@register
class LazyAdam(AdamRows, keras.optimizers.Adam):
    """Adam that updates, of an embedding table, the rows that the batch has read, and their moments.

    A step costs what the batch costs, however large the tables are. A table is a variable whose gradient is a
    `tf.IndexedSlices`, as a gather gives it; what several examples give to one row is added up first. Dense gradients
    are left to Keras's Adam.

    On Keras's other backends all gradients are dense, and a step costs what the tables cost. There a table is one of
    `TokenEmbedder` or `keras.layers.Embedding`, and a row whose gradient is all zeros counts as not read: the result is
    the same, but for rows that are read and whose gradient is zero.

    It is not Adam with a cheaper step: for a row that no batch reads, Adam's moments decay and go on moving the row,
    step after step; here row and moments stay as they are until the row is read again.

    The bias correction counts all steps, as Adam's does. After t of them a row that is read for the first time moves by
    `(1 - beta_1) / sqrt(1 - beta_2)`, 3.2 times the rate, for its moments still lie near their start. With
    `bias_correction="rows"` the steps are those of the row alone, and it moves by the rate. InterFormer's AUC on Globo
    is the same by both, see docs/figures.md; the default is the one that keeps no counts.

    Args:
        learning_rate: float or schedule. Defaults to `0.001`.
        beta_1: float. Defaults to `0.9`.
        beta_2: float. Defaults to `0.999`.
        epsilon: float. Defaults to `1e-7`.
        amsgrad: bool. Defaults to `False`.
        bias_correction: str. Which steps it counts: `"steps"`, all of them, or `"rows"`, for each row of a table those
            that read it (a count per row, ours). Defaults to `"steps"`.
        weight_decay: float or `None`. Decoupled; of a table only the batch's rows decay. Defaults to `None`.
        clipnorm: float or `None`. Clips the norm of each variable's gradient; of a table that of the rows, each
            counted once. Replicas are added up first. Defaults to `None`.
        global_clipnorm: float or `None`. The same for the norm of all gradients together. Defaults to `None`.
        clipvalue: float or `None`. The same for every component. Defaults to `None`.
        **kwargs: As for `keras.optimizers.Adam`. `use_ema` passes over whole tables in every step.

    Raises:
        ValueError: If `gradient_accumulation_steps` is given.

    Reference:
        [Kingma and Ba, 2014](https://arxiv.org/abs/1412.6980)

    Example:

    >>> import tensorflow as tf
    >>> table = tf.Variable(tf.ones((5, 2)))
    >>> with tf.GradientTape() as tape:
    ...     loss = tf.reduce_sum(tf.gather(table, [1, 3, 3]))
    >>> _ = LazyAdam(0.1).apply_gradients([(tape.gradient(loss, table), table)])
    >>> table.numpy()[:, 0].round(3).tolist()
    [1.0, 0.8999999761581421, 1.0, 0.8999999761581421, 1.0]
    """
