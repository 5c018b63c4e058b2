"""One layer of the candidate's side."""

from collections.abc import Sequence
from typing import Any

from tf_interformer._keras import ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    build_sublayer,
    check_choice,
    check_units,
    histories_read,
    read_history,
    rows_of,
    tokens_shape,
)
from tf_interformer.layers._copies import config_of, copy_of
from tf_interformer.layers._soft_norms import WithSoftNorms
from tf_interformer.layers.gating import ACTIVATIONS, Gating
from tf_interformer.layers.interaction_arch import InteractionArch
from tf_interformer.layers.target_pooling import TargetPooling


@register
class CandidateBlock(WithSoftNorms):
    """What a candidate asks of the user's history, and its interaction with the answer and the user's tokens.

        P = gate(LN(TargetPooling(x_c, S)))
        X_c' = InteractionArch([X_c || P || U])

    with the candidate's tokens `X_c`, of which `x_c` are its question, the events `S` and the tokens `U` of the user's
    side. These are as they are whoever the candidate is, and so each user has one row of them, whose candidates are
    many. Ours; InterFormer as printed lets the candidate change the events.

    Args:
        interaction_arch: `InteractionArch`, of which a copy is taken, its Keras config, or `None`: there is only `P`.
        target_pooling: `TargetPooling`, likewise, or `None`: there is no `P`.
        gating, gating_units: As of `CrossArch`.
        normalize: bool. Whether `P` is normalised. Defaults to `True`.
        norm_epsilon: float. What this norm adds to the variance, see `Backbone`. Defaults to `1.0`.

    Input: `{"features": [N, F, dim], "user": [R, M, dim], "sequence": [R, time, dim], "lengths": [R], "target":
    [N, any]}`; with `"row"`, int `[N]`, which of the R users each candidate is for, else R is N; with `"compared"`,
    `[N, time, 2 dim]`, `[A || E]` of `ComparedEvents`: for a candidate the events are `S * (1 + A) + E`; with `"ids"`,
    int `[N, F]`, those of the features.
    Output: `{"features": [N, F, dim], "answer": [N, k, dim]}`: `X_c'` and `P`, those of them that there are.

    Raises:
        ValueError: There is neither an arch nor a pooling.

    Example:

    >>> block = CandidateBlock(InteractionArch("dhen"), TargetPooling(2, num_heads=2))
    >>> made = block({
    ...     "features": np.ones((5, 3, 16), "float32"), "target": np.ones((5, 32), "float32"),
    ...     "user": np.ones((2, 6, 16), "float32"), "sequence": np.ones((2, 50, 16), "float32"),
    ...     "lengths": np.array([0, 7]), "row": np.array([0, 0, 1, 1, 1]),
    ... })
    >>> made["features"].shape, made["answer"].shape
    (TensorShape([5, 3, 16]), TensorShape([5, 2, 16]))
    """

    def __init__(
        self,
        interaction_arch: Any = None,
        target_pooling: Any = None,
        gating: str | None = "identity",
        gating_units: Sequence[int] = (),
        normalize: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if interaction_arch is None and target_pooling is None:
            raise ValueError("At least one of `interaction_arch` and `target_pooling` must be given. Received: neither")
        self.interaction_arch: InteractionArch | None = copy_of(interaction_arch, self.dtype_policy)
        self.target_pooling: TargetPooling | None = copy_of(target_pooling, self.dtype_policy)
        self.gating = check_choice("gating", gating, (*ACTIVATIONS, None))
        self.gating_units = check_units("gating_units", gating_units)
        self.normalize = normalize

    def build(self, input_shape: Any) -> None:
        batch, tokens, width = tokens_shape(input_shape["features"])
        self.norm = self.gate = None
        if self.target_pooling is not None:
            asked = {name: input_shape[name] for name in ("sequence", "lengths", "target")}
            build_sublayer(self.target_pooling, asked)
            answer = self.target_pooling.compute_output_shape(asked)
            if self.normalize:
                self.norm = self.make_norm("norm")
                build_sublayer(self.norm, answer)
            if self.gating is not None:
                self.gate = Gating(self.gating, self.gating_units, dtype=self.dtype_policy, name="gate")
                build_sublayer(self.gate, answer)
        if self.interaction_arch is not None:
            shapes = {"features": (batch, tokens, width), "shared": input_shape["user"]}
            if self.target_pooling is not None:
                shapes["summary"] = (batch, self.target_pooling.num_tokens, width)
            build_sublayer(self.interaction_arch, shapes)
        super().build(input_shape)

    def call(self, inputs: dict[str, Any], training: bool | None = None) -> dict[str, Tensor]:
        row = inputs.get("row")
        made = {}
        if self.target_pooling is not None:
            made["answer"] = self._answer(inputs, row)
        if self.interaction_arch is not None:
            x: dict[str, Tensor] = {name: inputs[name] for name in ("features", "ids", "row") if name in inputs}
            x["shared"] = inputs["user"]
            if "answer" in made:
                x["summary"] = made["answer"]
            made["features"] = self.interaction_arch(x, training=training)
        return made

    def _answer(self, inputs: dict[str, Any], row: Tensor | None) -> Tensor:
        sequence, lengths = read_history(inputs["sequence"], inputs["lengths"])
        asked = {"sequence": sequence, "lengths": lengths, "target": inputs["target"]}
        if "compared" in inputs:
            lengths = rows_of(lengths, row)
            factor, summand = ops.split(read_history(inputs["compared"], lengths)[0], 2, axis=-1)
            asked |= {"sequence": rows_of(sequence, row) * (1 + factor) + summand, "lengths": lengths}
        elif row is not None:
            asked["row"] = row
        with histories_read():
            answer = self.target_pooling(asked)  # type: ignore[misc]
        if self.norm is not None:
            answer = self.norm(answer)
        return answer if self.gate is None else self.gate(answer)

    def compute_output_shape(self, input_shape: Any) -> dict[str, Shape]:
        made = {}
        if self.target_pooling is not None:
            made["answer"] = self.target_pooling.compute_output_shape(input_shape)
        if self.interaction_arch is not None:
            made["features"] = tokens_shape(input_shape["features"])
        return made

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "interaction_arch": config_of(self.interaction_arch),
            "target_pooling": config_of(self.target_pooling),
            "gating": self.gating,
            "gating_units": list(self.gating_units),
            "normalize": self.normalize,
        }
