"""What a `TokenEmbedder` makes and a backbone takes."""

from typing import Any, TypedDict


class _Needed(TypedDict):
    features: Any
    sequences: dict[str, Any]
    lengths: dict[str, Any]


class Tokens(_Needed, total=False):
    """A batch of N examples of R users as tokens: a dict with these names, of tensors or of their shapes.

    Without `"row"` every example has a user of its own, so R is N.

    Attributes:
        features: `[N, F, dim]`, the feature tokens of an example: the user's, the context's and the candidate's.
        sequences: Name -> `[R, time, width]`, the embedded events of a history, oldest first, padded on the right.
        lengths: Name -> `[R]`, how many events there are.
        ids: `[N, F]`, the id behind each feature token, 0 where it has none. For layers that remember pairs of ids.
        numbers: `[N, M]`, the numeric features as they come.
        user_features: `[R, U, dim]`, those of the feature tokens that are the user's and the context's.
        candidate_features: `[N, C, dim]`, those that are the candidate's.
        ages: Name -> `[R, time]`, the logarithm of how long ago each event was, of the histories that say so.
        compared: Name -> `[N, time, width]`, what is told of each event by comparing it with the candidate, where that
            is not in the sequences.
        row: `[N]`, int32: which of the R users each example is of.
        linear: `[N, L]`, weights of ids, for the linear terms of a `Ranker`.

    Example:

    >>> tokens: Tokens = {
    ...     "features": np.ones((3, 20, 16), "float32"),
    ...     "sequences": {"views": np.ones((2, 50, 48), "float32")},
    ...     "lengths": {"views": np.array([7, 50])},
    ...     "row": np.array([0, 0, 1]),
    ... }
    >>> sorted(tokens)
    ['features', 'lengths', 'row', 'sequences']
    """

    ids: Any
    numbers: Any
    user_features: Any
    candidate_features: Any
    ages: dict[str, Any]
    compared: dict[str, Any]
    row: Any
    linear: Any
