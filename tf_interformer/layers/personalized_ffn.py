"""A feed-forward network whose weights are made for each example."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    build_sublayer,
    check_choice,
    check_factor,
    check_positive,
    gelu,
    project,
    sequence_shape,
    small,
)
from tf_interformer.layers._token_norm import TokenNorm
from tf_interformer.layers.mlp import MLP

# Those that read a summary of the features.
PERSONALIZED = ("linear", "two_layer")
MODES = (*PERSONALIZED, "plain")


@register
class PersonalizedFFN(keras.layers.Layer):
    """Personalized feed-forward network (PFFN): weights for the sequence from the summary of the features.

    `"linear"` is InterFormer's appendix A.2.2: `PFFN(X_sum, S) = W_PFFN S` with `W_PFFN = X_sum W`, `X_sum` in
    `R^{d x n}` and the hyper-weights `W` in `R^{n x d}`.

    `"two_layer"` is the form of Meta's KernelEvolve report,
    `RMSNorm(RMSNorm(GELU(S W_1 + b_1)) W_2 + b_2)`, with `W_1` `[D, K]` and `W_2` `[K, D]` for each example. How
    they come from `X_sum` is not published; here by linear hyper-weights as above: `W_1 = X_sum^T A_1`,
    `W_2 = A_2 X_sum`.

    `"plain"` is a shared MLP of one hidden layer, for comparison and where no summary may reach the sequence.

    Args:
        mode: str. `"linear"`, `"two_layer"` or `"plain"`. Defaults to `"linear"`.
        hidden_dim: int or `None`. K, for `"two_layer"` and `"plain"`; `None` means D. Defaults to `None`.
        start: float. Factor of the initial weights of the last map. At `1.0` unit variance in gives unit variance out;
            a residual branch takes `0.1` and so starts near the identity. Defaults to `1.0`.

    Input: `{"sequence": [batch, time, dim], "summary": [batch, tokens, dim]}`; `"plain"` needs no summary.
    Output shape: `[batch, time, dim]`.

    Raises:
        ValueError: If `mode` is unknown, `hidden_dim` is not a positive integer, `start` not a positive number, or
            summary and sequence are of different width.

    Example:

    >>> ffn = PersonalizedFFN()
    >>> ffn({"sequence": np.ones((2, 50, 16), "float32"), "summary": np.ones((2, 4, 16), "float32")}).shape
    TensorShape([2, 50, 16])

    Reference:
        [InterFormer, arXiv 2411.09852](https://arxiv.org/abs/2411.09852)
    """

    def __init__(self, mode: str = "linear", hidden_dim: int | None = None, start: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mode = check_choice("mode", mode, MODES)
        self.hidden_dim = None if hidden_dim is None else check_positive("hidden_dim", hidden_dim)
        self.start = check_factor("start", start)

    def build(self, input_shape: Any) -> None:
        batch, time, width = sequence_shape(input_shape["sequence"])
        width = width or 0
        hidden = self.hidden_dim or width
        if self.mode == "plain":
            last = small(self.start)
            self.mlp = MLP((hidden, width), final_kernel_initializer=last, dtype=self.dtype_policy, name="mlp")
            build_sublayer(self.mlp, (batch, time, width))
        else:
            _, tokens, summary_width = sequence_shape(input_shape["summary"], "summary")
            if tokens is None or summary_width != width:
                raise ValueError(
                    "The summary must have a known number of tokens, as wide as the sequence. "
                    f"Received: summary {input_shape['summary']}, sequence {input_shape['sequence']}"
                )
            if self.mode == "linear":
                self.hyper_kernel = self._hyper_kernel("hyper_kernel", tokens, width, self.start)
            else:
                self._build_two_layer((batch, time), tokens, width, hidden)
        super().build(input_shape)

    def _hyper_kernel(self, name: str, tokens: int, width: int, start: float = 1.0) -> Any:
        # Unit variance in, unit variance out: the two products sum over `tokens` times `width` terms.
        initializer = keras.initializers.RandomNormal(stddev=start * (tokens * width) ** -0.5)
        return self.add_weight(name=name, shape=(tokens, width), initializer=initializer)

    def _build_two_layer(self, outer: tuple[Any, Any], tokens: int, width: int, hidden: int) -> None:
        first = keras.initializers.RandomNormal(stddev=(tokens * width) ** -0.5)
        self.first_hyper_kernel = self.add_weight(name="first_hyper_kernel", shape=(tokens, hidden), initializer=first)
        self.first_bias = self.add_weight(name="first_bias", shape=(hidden,), initializer="zeros")
        self.second_hyper_kernel = self._hyper_kernel("second_hyper_kernel", tokens, hidden)
        self.second_bias = self.add_weight(name="second_bias", shape=(width,), initializer="zeros")
        self.hidden_norm = TokenNorm(rms=True, dtype=self.dtype_policy, name="hidden_norm")
        build_sublayer(self.hidden_norm, (*outer, hidden))
        self.output_norm = TokenNorm(rms=True, start=self.start, dtype=self.dtype_policy, name="output_norm")
        build_sublayer(self.output_norm, (*outer, width))

    def call(self, inputs: dict[str, Tensor]) -> Tensor:
        sequence = inputs["sequence"]
        if self.mode == "plain":
            return self.mlp(sequence)
        summary = inputs["summary"]
        if self.mode == "linear":
            # (S W^T) X_sum, never S (X_sum W)^T: n instead of D columns, and no D x D matrix for each example.
            return ops.matmul(project(sequence, ops.transpose(self.hyper_kernel)), summary)
        hidden = project(ops.matmul(sequence, ops.transpose(summary, (0, 2, 1))), self.first_hyper_kernel)
        hidden = self.hidden_norm(gelu(hidden + ops.cast(self.first_bias, hidden.dtype)))
        output = ops.matmul(project(hidden, ops.transpose(self.second_hyper_kernel)), summary)
        return self.output_norm(output + ops.cast(self.second_bias, output.dtype))

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return sequence_shape(input_shape["sequence"])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mode": self.mode, "hidden_dim": self.hidden_dim, "start": self.start}
