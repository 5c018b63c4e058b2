"""What every backbone has in common."""

from collections.abc import Sequence
from typing import Any

from tf_interformer.layers._common import Tensor
from tf_interformer.layers._soft_norms import WithSoftNorms
from tf_interformer.layers._token_norm import SOFT_EPSILON
from tf_interformer.tokens import Tokens

State = dict[str, Any]


class Backbone(WithSoftNorms):
    """Base class of the backbones: tokens in, one representation per task out.

    A subclass implements `build`, `candidate_side` and `representation_size`, and `user_side` where a part of its work
    is the same for all candidates that are ranked for one user.

    Args:
        tasks: list of str. Names of the tasks. Defaults to `("label",)`.
        norm_epsilon: float. What the layer normalisations where tokens enter and where residuals join add to the
            variance; those inside a branch keep their 1e-5. With the usual tiny number each token comes out at the same
            scale: the noise of an id that was hardly ever seen is as loud as a number that tells much, and a log is
            learned by heart. With `1.0` a token keeps its scale while that is small. Ours; the papers' is `1e-5` or so.
            Defaults to `1.0`.

    Input: `{"features": [batch, N, dim], "sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}` and
        what else `Tokens` names. With `"row": [batch]` the sequences have a row for each user, not for each example.
    Output: `{task: [batch, representation]}`.

    Raises:
        ValueError: If `tasks` is not a list of different names or `norm_epsilon` is not a positive number.
    """

    # Whether the constructor takes `targets`: for each sequence the feature tokens that its events are compared with.
    needs_targets = False

    def __init__(self, tasks: Sequence[str] = ("label",), norm_epsilon: float = SOFT_EPSILON, **kwargs: Any) -> None:
        super().__init__(norm_epsilon=norm_epsilon, **kwargs)
        if (
            isinstance(tasks, str)
            or not tasks
            or not all(isinstance(task, str) and task for task in tasks)
            or len(set(tasks)) != len(tasks)
        ):
            raise ValueError(f"`tasks` must be a list of different names. Received: tasks={tasks!r}")
        self.tasks = tuple(tasks)

    @property
    def compiled_training(self) -> bool:
        """Whether XLA may compile the network in training, without the gradients and added losses."""
        return True

    @property
    def compiled_on_processors(self) -> bool:
        """Whether `jit_compile="auto"` lets XLA compile the network on a machine without a GPU."""
        return True

    @property
    def caches_users(self) -> bool:
        """Whether most of the work on histories is done in `user_side`, so that what it returns is worth a cache."""
        return False

    def representation_size(self, input_shape: Any) -> int:
        """Returns the width of a task's representation."""
        raise NotImplementedError

    def user_side(self, tokens: Tokens, training: bool | None = None) -> State:
        """Returns what is computed once for each user, whatever the candidates: a dict of tensors, R rows each.

        By default nothing is computed: it is the sequences as they come, in the order of their names: `"sequence_0"`,
        `"lengths_0"`, `"sequence_1"` and so on.

        Args:
            tokens: `Tokens` of R users. The feature tokens have no part in it.
            training: bool. As in `call`.
        """
        state: State = {}
        for i, name in enumerate(sorted(tokens["sequences"])):
            state |= {f"sequence_{i}": tokens["sequences"][name], f"lengths_{i}": tokens["lengths"][name]}
        return state

    def candidate_side(
        self, tokens: Tokens, state: State, row: Tensor | None = None, training: bool | None = None
    ) -> dict[str, Tensor]:
        """Returns `{task: [N, representation]}` of N examples.

        Args:
            tokens: `Tokens`. What of them is about sequences is not read: `state` has it.
            state: What `user_side` returned.
            row: int tensor `[N]`: which row of the state each example is of. `None`: its own.
            training: bool. As in `call`.
        """
        raise NotImplementedError

    def candidate_parts(
        self, tokens: Tokens, state: State, row: Tensor | None = None, training: bool | None = None
    ) -> dict[str, Any]:
        """`candidate_side`, with what the examples of one user have in common kept apart.

        A representation is then `{"tokens": [N, own], "shared": [R, rest], "row": [N]}` in place of the two side by
        side, so that what stands behind the backbone can multiply the rest once for each user. By default nothing is
        apart.
        """
        return self.candidate_side(tokens, state, row, training=training)

    def call(self, inputs: Tokens, training: bool | None = None, apart: bool = False) -> dict[str, Any]:
        state = self.user_side(inputs, training=training)
        side = self.candidate_parts if apart else self.candidate_side
        return side(inputs, state, inputs.get("row"), training=training)

    def for_each_task(self, representation: Tensor) -> dict[str, Tensor]:
        """Returns the same representation for every task."""
        return dict.fromkeys(self.tasks, representation)

    def compute_output_shape(self, input_shape: Any) -> dict[str, tuple[int | None, int]]:
        size = self.representation_size(input_shape)
        return dict.fromkeys(self.tasks, (input_shape["features"][0], size))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "tasks": list(self.tasks)}


def sequences_of(tokens: Any) -> dict[str, Any]:
    """Returns what of the tokens, or of their shapes, is about sequences."""
    return {"sequences": dict(tokens["sequences"]), "lengths": dict(tokens["lengths"])}
