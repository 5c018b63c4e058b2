"""What the models have in common that weigh behaviours by the target."""

from collections.abc import Mapping, Sequence
from typing import Any

from tf_interformer._keras import keras, ops
from tf_interformer.backbones._targets import Targets
from tf_interformer.backbones.base import Backbone, State
from tf_interformer.layers._common import (
    Tensor,
    build_sublayer,
    histories_read,
    read_history,
    rows_of,
    sequence_shape,
    stack_tokens,
    tokens_shape,
)
from tf_interformer.tokens import Tokens


class BehaviourSequence(Targets, Backbone):
    """Base of the models in which each sequence meets the target in a layer of its own.

    The representation is `[features, flattened || what each sequence came to]`. A subclass implements
    `sequence_layer`; a layer that does a part of its work before it meets the target has a method `before_target`.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        targets: dict. Name of a sequence -> for each field of its events the index of the feature token that shares
            its table, -1 where there is none: a learned vector then stands in. A `Ranker` that makes the backbone by
            name fills it in.
    """

    def __init__(
        self,
        tasks: Sequence[str] = ("label",),
        targets: Mapping[str, Sequence[int]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(tasks=tasks, **kwargs)
        self.keep_targets(targets)

    def sequence_layer(self, name: str) -> Any:
        """Returns a new layer `{"sequence", "lengths", "target"}` -> `[batch, any]`."""
        raise NotImplementedError

    def build(self, input_shape: Any) -> None:
        batch, tokens, width = tokens_shape(input_shape["features"])
        self.sequence_layers = []
        self.stand_ins = {}
        self._sequence_names = sorted(input_shape["sequences"])
        for i, name in enumerate(self._sequence_names):
            shape = sequence_shape(input_shape["sequences"][name], name)
            self._check_targets(name, shape[2] or 0, tokens or 0, width or 0)
            missing = self.targets[name].count(-1)
            if missing:
                self.stand_ins[name] = self.add_weight(
                    name=f"stand_in_{i}",
                    shape=(missing, width),
                    initializer=keras.initializers.RandomNormal(stddev=0.05),
                )
            self.sequence_layers.append(self.sequence_layer(f"sequence_{i}"))
            build_sublayer(
                self.sequence_layers[i], {"sequence": shape, "lengths": (batch,), "target": (batch, shape[2])}
            )
        super().build(input_shape)

    @property
    def caches_users(self) -> bool:
        return any(hasattr(layer, "before_target") for layer in self.sequence_layers)

    def _check_targets(self, name: str, event: int, tokens: int, width: int) -> None:
        if name not in self.targets:
            raise ValueError(
                f"`targets` must say which feature tokens are the target of sequence {name!r}. "
                f"Received: targets={self.targets}"
            )
        chosen = self.targets[name]
        if len(chosen) * width != event:
            raise ValueError(
                f"`targets[{name!r}]` must name a feature token for each of the {event // width} fields of an event. "
                f"Received: targets={self.targets}, events of width {event}, tokens of width {width}"
            )
        if not all(-1 <= index < tokens for index in chosen):
            raise ValueError(
                f"`targets[{name!r}]` must be indices of the {tokens} feature tokens, or -1. Received: {chosen}"
            )

    def user_side(self, tokens: Tokens, training: bool | None = None) -> State:
        """Returns for each sequence the events, and what its layer makes of them before it meets the target."""
        state: State = {}
        for i, (layer, name) in enumerate(zip(self.sequence_layers, sorted(tokens["sequences"]), strict=True)):
            sequence, lengths = read_history(tokens["sequences"][name], tokens["lengths"][name])
            found = {"sequence": sequence, "lengths": lengths}
            if hasattr(layer, "before_target"):
                with histories_read():
                    found |= layer.before_target(found, training=training)
            state |= {f"{part}_{i}": value for part, value in found.items()}
        return state

    def candidate_side(
        self, tokens: Tokens, state: State, row: Tensor | None = None, training: bool | None = None
    ) -> dict[str, Tensor]:
        features = stack_tokens(tokens["features"])
        parts = [ops.reshape(features, (-1, features.shape[1] * features.shape[2]))]
        state = rows_of(state, row)
        for i, (layer, name) in enumerate(zip(self.sequence_layers, self._sequence_names, strict=True)):
            given = {part.removesuffix(f"_{i}"): value for part, value in state.items() if part.endswith(f"_{i}")}
            x = {**given, "target": self._target(name, features)}
            with histories_read():
                parts.append(layer(x, training=training))
        return self.for_each_task(ops.concatenate(parts, axis=1) if len(parts) > 1 else parts[0])

    def _target(self, name: str, features: Tensor) -> Tensor:
        """The target of a sequence, `[batch, fields * dim]`, its fields in the order of an event's."""
        fields, missing = [], 0
        for index in self.targets[name]:
            if index >= 0:
                fields.append(features[:, index])
                continue
            stand_in = ops.cast(ops.convert_to_tensor(self.stand_ins[name]), features.dtype)[missing]
            fields.append(ops.broadcast_to(ops.expand_dims(stand_in, 0), ops.shape(features[:, 0])))
            missing += 1
        return ops.concatenate(fields, axis=1) if len(fields) > 1 else fields[0]

    def representation_size(self, input_shape: Any) -> int:
        _, tokens, width = tokens_shape(input_shape["features"])
        size = (tokens or 0) * (width or 0)
        for name, shape in input_shape["sequences"].items():
            shapes = {"sequence": shape, "lengths": (shape[0],), "target": (shape[0], shape[2])}
            size += self.sequence_layer(name).compute_output_shape(shapes)[1]
        return size

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "targets": self.targets}
