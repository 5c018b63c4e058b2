"""What a configuration leaves to the log: values that depend on how many rows and ids there are."""

from pipelines.config import AUTO, TrainConfig
from tf_interformer.embedding import FEW_IDS
from tf_interformer.schema import FeatureSchema


def sized(config: TrainConfig, schema: FeatureSchema, examples: int) -> tuple[TrainConfig, list[str]]:
    """The configuration with a value for every key that says `auto`, and why, a line for each.

    Args:
        config: As it was given.
        schema: Learned.
        examples: Rows of the training split.
    """
    training, embedding = config.training, dict(config.model.embedding)
    chosen: dict[str, int] = {}
    lines = []
    if training.batch_size == AUTO:
        size = 256 if examples < 50_000 else 1024 if examples < 20_000_000 else 4096
        chosen["batch_size"] = size
        lines.append(
            f"training.batch_size: {size}, for {examples:,} rows: about {-(-examples // size):,} steps an epoch"
        )
    if embedding.get("unknown") == AUTO:
        rows, table = _rows_per_id(schema, examples)
        share = 0.5 if rows < 30 else 0.2 if rows < 300 else 0.0
        embedding["unknown"] = share
        why = f"{rows:,.0f} rows for each id of {table!r}" if table else "there is no large vocabulary"
        lines.append(f"model.embedding.unknown: {share}, since {why}: the fewer, the more are learned by heart")
    model = config.model.model_copy(update={"embedding": embedding})
    made = config.model_copy(update={"model": model, "training": training.model_copy(update=chosen)})
    return made, lines


def _rows_per_id(schema: FeatureSchema, examples: int) -> tuple[float, str]:
    """Rows per id of the largest vocabulary that a feature has; no table where all are small."""
    sizes = {schema.table_of(f.name): schema.tables[schema.table_of(f.name)].num_ids for f in schema.categoricals}
    table = max(sizes, key=lambda name: sizes[name], default="")
    if not table or sizes[table] <= FEW_IDS:
        return float("inf"), ""
    return examples / sizes[table], table
