"""The part of a schema that this package's models and those of others can both read."""

from tf_interformer import Categorical, FeatureSchema, Label, SchemaError, Sequence


def readable_by_both(schema: FeatureSchema) -> FeatureSchema:
    """Returns the schema, not learned, with what FuxiCTR's DIN and DCNv2 can read, too.

    Kept are numeric and single-valued categorical features, all of one width, and the first history with fields that
    share a table with a single-valued feature of the candidate: of it these fields, one for each table. Multi-valued
    features, vectors, the other fields, what `match` and `distance` tell, weights and all labels but the first are
    left out.

    Args:
        schema: `FeatureSchema`.

    Raises:
        SchemaError: If there is no such history.
    """
    several = {f.name for f in schema.categoricals if f.max_values is not None}
    single = [f for f in schema.categoricals if not {f.name, schema.table_of(f.name)} & several]
    candidate = schema.candidate or tuple(f.name for f in schema.features)
    shared = {schema.table_of(f.name) for f in single if f.name in candidate}
    histories = [_restricted(schema, sequence, shared) for sequence in schema.sequences]
    history = next((history for history in histories if history is not None), None)
    if history is None:
        raise SchemaError(f"{schema.name!r} has no history with a field in the table of a feature of the candidate")
    features = tuple(
        f.replace(embedding_dim=None) if f in single else f
        for f in schema.features
        if f in single or f in schema.numerics
    )
    names = {feature.name for feature in features}
    return FeatureSchema(
        name=schema.name,
        features=features,
        sequences=(history,),
        labels=(Label(name=schema.tasks[0]),),
        group=schema.group,
        group_dtype=schema.group_dtype,
        request=schema.request,
        request_dtype=schema.request_dtype,
        candidate=tuple(name for name in schema.candidate if name in names),
    )


def _restricted(schema: FeatureSchema, sequence: Sequence, shared: set[str]) -> Sequence | None:
    fields: dict[str, Categorical] = {}
    for field in sequence.categoricals:
        table = schema.table_of(sequence.column(field.name))
        if table in shared:
            fields.setdefault(table, field.replace(embedding_dim=None))
    if not fields:
        return None
    return Sequence(name=sequence.name, fields=tuple(fields.values()), max_length=sequence.max_length)
