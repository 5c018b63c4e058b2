"""Which feature tokens show the candidate in the terms of a sequence's events."""

from collections.abc import Sequence

from tf_interformer.schema import FeatureSchema


def targets_of(schema: FeatureSchema, feature_names: Sequence[str]) -> dict[str, list[int]]:
    """Returns for each sequence, and each field of its events, the feature token of the same table, or -1.

    Where several features share the table, one that the schema names as a candidate's comes first.

    Args:
        schema: `FeatureSchema`.
        feature_names: list of str. Names of the feature tokens in their order.
    """
    tokens: dict[str, int] = {}
    for feature in sorted(schema.categoricals, key=lambda feature: feature.name not in schema.candidate):
        tokens.setdefault(schema.table_of(feature.name), list(feature_names).index(feature.name))
    return {
        sequence.name: [
            *(tokens.get(schema.table_of(sequence.column(field.name)), -1) for field in sequence.fields),
            *(-1 for _ in sequence.matches),
        ]
        for sequence in schema.sequences
    }
