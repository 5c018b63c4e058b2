"""What an optimizer makes of tables whose gradients are given for all rows."""

import tensorflow as tf


def dense(optimizer):
    """An optimizer of the same kind and configuration that spreads the gradients of tables over whole tables."""
    kind = type(optimizer)

    class Dense(kind):
        def apply_gradients(self, grads_and_vars, **kwargs):
            gradients, variables = zip(*grads_and_vars, strict=True)
            return super().apply_gradients(zip(_whole(gradients), variables, strict=True), **kwargs)

        def apply(self, grads, trainable_variables=None):  # Keras 3, whose loss scale calls it
            super().apply(_whole(grads), trainable_variables)

    return Dense.from_config(optimizer.get_config())


def _whole(gradients):
    return [gradient if gradient is None else tf.convert_to_tensor(gradient) for gradient in gradients]
