"""The features of AmazonElectronics_x1, declared."""

from __future__ import annotations

from collections.abc import Iterable

from tf_interformer.schema import Categorical, FeatureSchema, Label, Sequence

MAX_LENGTH = 100


def schema(labels: Iterable[str] | None = None) -> FeatureSchema:
    """Returns the schema of the examples that `AmazonElectronics` writes.

    As in the benchmark the user is no feature: `user_id` only groups the impressions for gAUC.

    Args:
        labels: iterable of str or None. There is one, `"label"`. Defaults to `None`.

    Raises:
        SchemaError: If there is no such label.
    """
    item, category = (Categorical(name=name, dtype="int64") for name in ("item_id", "cate_id"))
    made = FeatureSchema(
        name="amazon_electronics",
        features=(item, category),
        sequences=(
            Sequence(
                name="reviewed",
                fields=tuple(Categorical(name=f.name, dtype="int64", table=f.name) for f in (item, category)),
                max_length=MAX_LENGTH,
            ),
        ),
        labels=(Label(name="label"),),
        group="user_id",
        candidate=(item.name, category.name),
    )
    return made if labels is None else made.with_labels(*labels)
