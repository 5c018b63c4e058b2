"""What the models have in common that take events and features for tokens of one kind."""

from collections.abc import Sequence
from typing import Any

from tf_interformer._keras import ops
from tf_interformer.backbones.base import Backbone, State, sequences_of
from tf_interformer.layers._common import (
    Tensor,
    build_sublayer,
    check_positive,
    histories_read,
    rows_of,
    stack_tokens,
    tokens_shape,
)
from tf_interformer.layers.sequence_join import SequenceJoin
from tf_interformer.tokens import Tokens


class JoinedSequence(Backbone):
    """Base of the models that join their sequences to one, as wide as its feature tokens or as `event_width` says.

    With `apart` each sequence stays one of its own. A history is `{"sequence", "lengths"}`. A subclass implements
    `build_parts`, `interact` and `size`.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        max_positions: int. See `SequenceJoin`. Defaults to `128`.
    """

    apart = False

    def __init__(self, tasks: Sequence[str] = ("label",), max_positions: int = 128, **kwargs: Any) -> None:
        super().__init__(tasks=tasks, **kwargs)
        self.max_positions = check_positive("max_positions", max_positions)

    def event_width(self, width: int) -> int:
        """Returns the width of the joined events, of that of the feature tokens."""
        return width

    def build_parts(self, features: Any, histories: list[dict[str, Any]]) -> None:
        """Makes and builds what `interact` needs, of the shapes of its arguments."""
        raise NotImplementedError

    def interact(self, features: Tensor, histories: list[dict[str, Tensor]], training: bool | None) -> Tensor:
        """Returns the representation `[batch, size]` of feature tokens and histories, one unless they are `apart`."""
        raise NotImplementedError

    def size(self, tokens: int, width: int) -> int:
        """Returns the width of the representation."""
        raise NotImplementedError

    def _groups(self, given: Any) -> list[dict[str, Any]]:
        """What is about sequences, for each join."""
        raw = sequences_of(given)
        names = sorted(raw["sequences"])
        groups = [[name] for name in names] if self.apart else [names]
        return [{key: {name: raw[key][name] for name in group} for key in raw} for group in groups]

    def part(self, layer: Any, input_shape: Any) -> Any:
        """Builds a sub-layer and returns it."""
        build_sublayer(layer, input_shape)
        return layer

    def build(self, input_shape: Any) -> None:
        features = tokens_shape(input_shape["features"])
        if not input_shape["sequences"]:
            raise ValueError(
                f"{type(self).__name__} reads behaviour sequences. Give the schema one, or take a model of features, "
                'such as "rankmixer". Received: no sequences'
            )
        policy = self.dtype_policy
        width = self.event_width(features[2] or 0)
        self.feature_norm = self.part(self.make_norm("feature_norm"), features)
        self.joins, self.sequence_norms, histories = [], [], []
        for i, raw in enumerate(self._groups(input_shape)):
            self.joins.append(self.part(SequenceJoin(width, self.max_positions, dtype=policy, name=f"join_{i}"), raw))
            histories.append(self.joins[i].compute_output_shape(raw))
            self.sequence_norms.append(self.part(self.make_norm(f"sequence_norm_{i}"), histories[i]["sequence"]))
        self.build_parts(features, histories)
        super().build(input_shape)

    def histories_of(self, tokens: Tokens) -> list[dict[str, Tensor]]:
        """Returns the joined histories, normalised."""
        histories = []
        for join, norm, raw in zip(self.joins, self.sequence_norms, self._groups(tokens), strict=True):
            joined = join(raw)
            histories.append({**joined, "sequence": norm(joined["sequence"])})
        return histories

    def user_side(self, tokens: Tokens, training: bool | None = None) -> State:
        return {f"{part}_{i}": x for i, history in enumerate(self.histories_of(tokens)) for part, x in history.items()}

    def candidate_side(
        self, tokens: Tokens, state: State, row: Tensor | None = None, training: bool | None = None
    ) -> dict[str, Tensor]:
        state = rows_of(state, row)
        parts = ("sequence", "lengths")
        histories = [{part: state[f"{part}_{i}"] for part in parts} for i in range(len(self.joins))]
        features = self.feature_norm(stack_tokens(tokens["features"]))
        with histories_read():  # by the joins
            return self.for_each_task(self.interact(features, histories, training))

    def representation_size(self, input_shape: Any) -> int:
        _, tokens, width = tokens_shape(input_shape["features"])
        return self.size(tokens or 0, width or 0)

    def compute_output_shape(self, input_shape: Any) -> dict[str, tuple[int | None, int]]:
        batch = tokens_shape(input_shape["features"])[0]
        return dict.fromkeys(self.tasks, (batch, self.representation_size(input_shape)))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "max_positions": self.max_positions}


def with_learned(tokens: Tensor, learned: Any) -> Tensor:
    """The tokens, and learned ones `[C, D]` behind them in every row."""
    rows = ops.cast(ops.convert_to_tensor(learned), tokens.dtype)[None]
    return ops.concatenate([tokens, ops.broadcast_to(rows, (ops.shape(tokens)[0], *ops.shape(learned)))], axis=1)
