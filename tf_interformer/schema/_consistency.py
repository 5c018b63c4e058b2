"""What must agree within a schema."""

from tf_interformer.schema._parts import SchemaParts


def check_consistent(schema: SchemaParts) -> None:
    """Refuse a schema whose parts contradict each other.

    Raises:
        ValueError: They do; the message names them.
    """
    _check_names(schema)
    _check_keys(schema)
    if len(schema.labels) > 1 and any(label.negative_rate < 1 for label in schema.labels):
        raise ValueError(f"`negative_rate` needs a schema with one label. Received: {list(schema.tasks)}")
    if len(schema.served_as) == len(schema.features) and not schema.sequences:
        raise ValueError("every feature has `serve_as`: nothing is left to ask for")
    _check_tables(schema)
    _check_served_values(schema)
    _check_candidate(schema)
    _check_comparisons(schema)


def _check_names(schema: SchemaParts) -> None:
    raw = [column.name for column in schema.raw_columns if column.kind != "key"]
    others = [column.name for column in schema.raw_columns if column.kind in ("label", "weight")]
    made = [column.name for column in schema.encoded_columns]
    twice = sorted({name for names in (raw, made + others) for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"every column needs a name of its own. Received twice: {', '.join(twice)}")
    if len({s.name for s in schema.sequences}) != len(schema.sequences):
        raise ValueError(f"sequence names must differ. Received: {[s.name for s in schema.sequences]}")


def _check_keys(schema: SchemaParts) -> None:
    for role, (column, _) in schema.key_columns.items():
        if column in schema.tasks:
            raise ValueError(f"`{role}` may not be a label. Received: {column!r}")
        if column == schema.weight:
            raise ValueError(f"`{role}` may not be the weight. Received: {column!r}")
    if schema.group is not None and schema.group == schema.request and schema.group_dtype != schema.request_dtype:
        raise ValueError(f"`group` and `request` of one column must have one dtype. Received: {schema.key_columns}")


def _check_tables(schema: SchemaParts) -> None:
    owners = schema.tables
    for key, feature in schema.keyed_features():
        table = feature.shares_table
        if table is None:
            continue
        if table not in owners:
            known = ", ".join(sorted(owners)) or "none"
            raise ValueError(f"feature {key!r} shares table {table!r}, which no feature owns. Tables: {known}")
        if owners[table].dtype != feature.raw_column(key).dtype:
            raise ValueError(
                f"feature {key!r} has dtype {feature.raw_column(key).dtype} but shares table {table!r} of dtype "
                f"{owners[table].dtype}"
            )


def _check_served_values(schema: SchemaParts) -> None:
    for feature in schema.categoricals:
        owner = schema.tables[schema.table_of(feature.name)]
        if feature.serve_as is None or owner.vocabulary is None:
            continue
        if feature.serve_as != feature.missing and feature.serve_as not in owner.vocabulary:
            raise ValueError(
                f"feature {feature.name!r}: `serve_as` must be in the vocabulary or the missing value: no other "
                f"has a trained embedding. Received: {feature.serve_as!r}"
            )


def _check_candidate(schema: SchemaParts) -> None:
    names = [f.name for f in schema.features]
    unknown = [name for name in schema.candidate if name not in names]
    if unknown:
        raise ValueError(f"`candidate` must name features, which are {names}. Received: {unknown}")
    if len(set(schema.candidate)) != len(schema.candidate):
        raise ValueError(f"`candidate` must name each feature once. Received: {list(schema.candidate)}")


def _check_comparisons(schema: SchemaParts) -> None:
    known = {f.name: f for f in schema.categoricals if not schema.candidate or f.name in schema.candidate}
    for comparison in schema.comparisons:
        if comparison.feature not in known:
            raise ValueError(
                f"{comparison.field!r} is compared with {comparison.feature!r}, which must be a feature of the "
                f"candidate: one of {list(known)}"
            )
        if comparison.of_one_value and known[comparison.feature].max_values is not None:
            raise ValueError(f"the distance of {comparison.field!r} needs a feature of one value. "
                             f"Received: {comparison.feature!r} has max_values")  # fmt: skip
