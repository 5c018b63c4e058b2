"""What the models have in common whose events never see a feature."""

from typing import Any

from tf_interformer.backbones.base import State
from tf_interformer.backbones.baselines._interaction_only import flatten
from tf_interformer.backbones.baselines._joined_sequence import JoinedSequence
from tf_interformer.layers._common import Tensor, histories_read, rows_of, stack_tokens
from tf_interformer.layers.unified_block import UnifiedBlock
from tf_interformer.tokens import Tokens


class UnifiedStack(JoinedSequence):
    """Base of the models that are a stack of `UnifiedBlock`: all that becomes of the events is computed for the user.

    A subclass makes `blocks` and `output_norm` in `build_parts`, and implements `tokens_of` and, where it changes the
    events first, `events_of`.
    """

    blocks: list[UnifiedBlock]
    output_norm: Any

    @property
    def caches_users(self) -> bool:
        return True

    def events_of(self, history: dict[str, Tensor], training: bool | None) -> dict[str, Tensor]:
        """Returns the history that the first block sees."""
        return history

    def tokens_of(self, features: Tensor) -> Tensor:
        """Returns the tokens behind the events, of the feature tokens."""
        raise NotImplementedError

    def user_side(self, tokens: Tokens, training: bool | None = None) -> State:
        state: State = {}
        (history,) = self.histories_of(tokens)
        with histories_read():  # by the join
            history = self.events_of(history, training)
            for i, block in enumerate(self.blocks):
                told, history = block.events_side(history, training)
                state |= {f"{part}_{i}": value for part, value in told.items()}
        return state

    def candidate_side(
        self, tokens: Tokens, state: State, row: Tensor | None = None, training: bool | None = None
    ) -> dict[str, Tensor]:
        state = rows_of(state, row)
        x = self.tokens_of(self.feature_norm(stack_tokens(tokens["features"])))
        for i, block in enumerate(self.blocks):
            told = {part: state[f"{part}_{i}"] for part in ("keys", "values", "lengths")}
            x = block.features_side(x, told, training)
        return self.for_each_task(flatten(self.output_norm(x)))
