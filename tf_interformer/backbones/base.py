"""What every backbone has in common."""

from collections.abc import Sequence
from typing import Any

from tf_interformer.layers._common import Tensor
from tf_interformer.layers._soft_norms import WithSoftNorms
from tf_interformer.layers._token_norm import SOFT_EPSILON


class Backbone(WithSoftNorms):
    """Base class of the backbones: tokens in, one representation per task out.

    A subclass implements `build`, `call` and `representation_size`, and `shared` where a part of its work depends on
    the sequences alone.

    Args:
        tasks: list of str. Names of the tasks. Defaults to `("label",)`.
        norm_epsilon: float. What the layer normalisations where tokens enter and where residuals join add to the
            variance; those inside a branch keep their 1e-5. With the usual tiny number each token comes out at the same
            scale: the noise of an id that was hardly ever seen is as loud as a number that tells much, and a log is
            learned by heart. With `1.0` a token keeps its scale while that is small. Ours; the papers' is `1e-5` or so.
            Defaults to `1.0`.

    Input: `{"features": [batch, N, dim], "sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}`, and
        optionally `"ids": [batch, N]`, the id behind each feature token, for layers that remember pairs of ids.
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

    def representation_size(self, input_shape: Any) -> int:
        """Returns the width of a task's representation."""
        raise NotImplementedError

    def shared(self, tokens: dict[str, Any]) -> dict[str, Any]:
        """Returns what the sequences come to before they meet the features.

        The items that are ranked for one user share their sequences: this is computed for one row, every tensor of it
        is repeated for each item, and `call` takes it in place of the sequences. By default it is the sequences.

        Args:
            tokens: dict. `"sequences"` and `"lengths"`, as in the input of `call`.
        """
        return tokens

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
