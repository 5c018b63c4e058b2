"""Information abundance: how many directions the embeddings of a field use."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tf_interformer._keras import ops


def abundance_of(matrix: ArrayLike) -> float:
    """Returns the information abundance of a matrix: the sum of its singular values divided by the largest.

    It is 1 for a matrix of rank one, a collapsed one, and at most `min(rows, columns)` (arXiv 2310.04400, section 3).
    It does not depend on the matrix's scale. A matrix of zeros has 0.

    Example:

    >>> float(abundance_of(np.eye(3))), float(abundance_of(np.ones((5, 3))))
    (3.0, 1.0)
    """
    values = np.asarray(matrix, np.float64)
    if values.ndim != 2:
        raise ValueError(f"`matrix` must have two axes. Received: shape {values.shape}")
    if values.shape[0] > values.shape[1]:
        # The same singular values from a matrix that is small however many rows there are.
        values = np.asarray(np.linalg.qr(values, mode="r"))
    singular = np.linalg.svd(values, compute_uv=False)
    largest = singular.max(initial=0.0)
    return float(singular.sum() / largest) if largest else 0.0


def information_abundance(model: Any, batch: Mapping[str, Any] | None = None) -> dict[str, float]:
    """Returns the information abundance of each field of a Ranker, whatever its backbone.

    Args:
        model: `Ranker`.
        batch: dict or `None`. An encoded batch: then the matrix of a field is its tokens `[batch, dim]`, as the
            embedder makes them, and the dense tokens have a value too. `None` takes the rows of each field's
            vocabulary from its embedding table (without id 0, which is always zeros). Defaults to `None`.

    Returns:
        dict: field -> value in `[1, min(rows, dim)]`.

    Example:

    >>> from tf_interformer import Categorical, FeatureSchema, Label, Ranker
    >>> schema = FeatureSchema(features=[Categorical("a", vocabulary=["x"]), Categorical("b", hash_buckets=8)],
    ...                        labels=[Label("click", mean=0.5)])
    >>> ranker = Ranker(schema, "dual_enhanced_attention", {"combo": False})
    >>> list(information_abundance(ranker))
    ['a', 'b']

    Reference:
        [On the Embedding Collapse, arXiv 2310.04400](https://arxiv.org/abs/2310.04400)
    """
    embedder = model.embedder
    if batch is None:
        return {column: abundance_of(embedder.rows_of(column)[1:]) for column in embedder.columns}
    tokens = ops.convert_to_numpy(ops.cast(embedder(batch, training=False)["features"], "float32"))
    return {name: abundance_of(tokens[:, i]) for i, name in enumerate(embedder.feature_names)}


def abundance_table(model: Any, batch: Mapping[str, Any] | None = None) -> str:
    """Returns `information_abundance` as text, the poorest field first, with the most that each could have.

    Args:
        model: `Ranker`.
        batch: dict or `None`. As in `information_abundance`. Defaults to `None`.

    Example:

    >>> from tf_interformer import Categorical, FeatureSchema, Label, Ranker
    >>> schema = FeatureSchema(features=[Categorical("a", vocabulary=["x"])], labels=[Label("click", mean=0.5)])
    >>> ranker = Ranker(schema, "dual_enhanced_attention", {"combo": False})
    >>> print(abundance_table(ranker))
    field  abundance  at most
    a           1...        2
    """
    values = information_abundance(model, batch)
    embedder = model.embedder
    size = None if batch is None else len(next(iter(batch.values())))
    width = max(map(len, [*values, "field"]))
    lines = [f"{'field':<{width}}  abundance  at most"]
    for name, value in sorted(values.items(), key=lambda item: item[1]):
        most = min(size, embedder.dim) if size is not None else min(embedder.rows_of(name)[1:].shape)
        lines.append(f"{name:<{width}}  {value:9.2f}  {most:7d}")
    return "\n".join(lines)
