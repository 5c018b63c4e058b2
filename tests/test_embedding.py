import numpy as np
import pytest
import tensorflow as tf

from tests.small_log import learned_schema, raw_batch
from tf_interformer._keras import LEGACY, keras, ops
from tf_interformer.embedding import TokenEmbedder
from tf_interformer.preprocessing import Preprocessor
from tf_interformer.schema import Categorical, FeatureSchema, Label, Numeric, SchemaError, Sequence


@pytest.fixture(scope="module")
def schema():
    return learned_schema()


@pytest.fixture(scope="module")
def encoded(schema):
    return {name: value.numpy() for name, value in Preprocessor(schema)(raw_batch()).items()}


def naive(embedder, encoded):
    """Look every id up by itself, table by table, row by row."""
    schema, dim = embedder.schema, embedder.dim
    weights = {w.name.split("/")[-1].split(":")[0]: np.asarray(w) for w in embedder.trainable_weights}
    offsets, tables = {}, {}
    for name, owner in [(f"{f.name}_bucket", f) for f in schema.numerics if f.buckets] + list(schema.tables.items()):
        width = getattr(owner, "embedding_dim", None) or dim
        start = offsets.get(width, 0)
        tables[name] = (width, weights[f"table_{width}"][start : start + owner.num_ids])
        offsets[width] = start + owner.num_ids

    def embed(table, index):
        width, rows = tables[table]
        row = rows[index] if index else np.zeros(width)
        return row if width == dim else row @ np.asarray(getattr(embedder, f"project_{width}").kernel)

    examples = []
    for i in range(len(encoded["item"])):
        numbers = np.array([encoded[f.name][i] for f in schema.numerics])
        tokens = [numbers @ weights["kernel_0"] + weights["bias_0"]]
        tokens += [embed(f"{f.name}_bucket", encoded[f"{f.name}_bucket"][i]) for f in schema.numerics if f.buckets]
        for f in schema.categoricals:
            ids = np.atleast_1d(encoded[f.name][i])
            found = [embed(schema.table_of(f.name), index) for index in ids if index or f.max_values is None]
            tokens.append(np.mean(found, axis=0) if found else np.zeros(dim))
        examples.append(tokens)
    sequences = {
        s.name: np.array(
            [
                [
                    np.concatenate(
                        [embed(schema.table_of(s.column(f.name)), encoded[s.column(f.name)][i, t]) for f in s.fields]
                    )
                    for t in range(s.max_length)
                ]
                for i in range(len(encoded["item"]))
            ]
        )
        for s in schema.sequences
    }
    return np.array(examples), sequences


def test_equals_a_naive_lookup(schema, encoded):
    embedder = TokenEmbedder(schema, dim=8)
    tokens = embedder(encoded)
    features, sequences = naive(embedder, encoded)
    np.testing.assert_allclose(tokens["features"], features, atol=1e-6)
    for name, expected in sequences.items():
        np.testing.assert_allclose(tokens["sequences"][name], expected, atol=1e-6)
        np.testing.assert_array_equal(tokens["lengths"][name], encoded[f"{name}_length"])
    assert embedder.feature_names == ["dense", "price_bucket", "item", "user", "tags", "country"]
    assert tokens["features"].shape[1] == len(embedder.feature_names)


def test_output_shapes_agree(schema, encoded):
    embedder = TokenEmbedder(schema, dim=8, dense_tokens=3, dense_units=[5])
    tokens = embedder(encoded)
    shapes = embedder.compute_output_shape({name: (None, *value.shape[1:]) for name, value in encoded.items()})
    assert tuple(tokens["features"].shape)[1:] == shapes["features"][1:] == (8, 8)
    for name, value in tokens["sequences"].items():
        assert tuple(value.shape)[1:] == shapes["sequences"][name][1:]


@pytest.mark.parametrize("pooling", ["mean", "sum", "max"])
def test_pooling_ignores_padding(pooling):
    schema = FeatureSchema(
        features=[Categorical("tags", vocabulary=["a", "b"], max_values=3, pooling=pooling)],
        labels=[Label("y", mean=0.5)],
    )
    embedder = TokenEmbedder(schema, dim=4)
    tokens = np.asarray(embedder({"tags": np.array([[2, 3, 0], [3, 2, 2], [0, 0, 0]])})["features"])[:, 0]
    table = np.asarray(embedder.trainable_weights[0])
    reduce = {"mean": np.mean, "sum": np.sum, "max": np.max}[pooling]
    np.testing.assert_allclose(tokens[0], reduce(table[[2, 3]], axis=0), atol=1e-6)
    np.testing.assert_allclose(tokens[1], reduce(table[[3, 2, 2]], axis=0), atol=1e-6)
    np.testing.assert_array_equal(tokens[2], 0.0)


def test_shared_table_is_one_set_of_rows(schema):
    embedder = TokenEmbedder(schema, dim=8)
    embedder.build(None)
    shared = {"item", "viewed_item", "bought_item"}
    assert len({embedder._layout.places[key].offset for key in shared}) == 1
    price = schema["price"].num_ids
    assert embedder._layout.rows[8] == price + schema["item"].num_ids + 22 + schema["tags"].num_ids


def test_gradient_touches_only_rows_of_the_batch(schema, encoded):
    embedder = TokenEmbedder(schema, dim=8)
    embedder.build(None)
    with tf.GradientTape() as tape:
        tokens = embedder(encoded)
        loss = ops.sum(tokens["features"] ** 2) + sum(ops.sum(s**2) for s in tokens["sequences"].values())
    table = next(w for w in embedder.trainable_weights if tuple(w.shape) == (embedder._layout.rows[8], 8))
    gradient = tape.gradient(loss, table if LEGACY else table.value)
    assert isinstance(gradient, tf.IndexedSlices)
    dense = tf.convert_to_tensor(gradient).numpy()
    offset = embedder._layout.places["item"].offset
    used = set(encoded["item"]) | set(encoded["viewed_item"].ravel()) | set(encoded["bought_item"].ravel())
    for index in range(schema["item"].num_ids):
        assert (np.abs(dense[offset + index]).sum() > 0) == (index in used - {0})


def test_l2_penalises_rows_of_the_batch():
    schema = FeatureSchema(features=[Categorical("a", vocabulary=["x", "y", "z"])], labels=[Label("y", mean=0.5)])
    embedder = TokenEmbedder(schema, dim=4, l2=0.5)
    embedder({"a": np.array([2, 4, 0, 4])})
    table = np.asarray(embedder.trainable_weights[0])
    assert float(embedder.losses[-1]) == pytest.approx(0.5 * (table[[2, 4, 4]] ** 2).sum() / 4, rel=1e-5)


def test_dropout_takes_components_of_features_and_of_events_in_training(schema, encoded):
    embedder = TokenEmbedder(schema, dim=8, stddev=1.0, dropout=0.25)
    whole, dropped = embedder(encoded), embedder(encoded, training=True)
    parts = [(whole["features"], dropped["features"])]
    parts += [(whole["sequences"][name], dropped["sequences"][name]) for name in ("viewed", "bought")]
    for before, after in parts:
        before, after = np.asarray(before), np.asarray(after)
        kept = after != 0
        np.testing.assert_allclose(after[kept], before[kept] / 0.75, rtol=1e-5)
        assert 0.65 < kept[before != 0].mean() < 0.85
    np.testing.assert_array_equal(embedder(encoded, training=False)["features"], whole["features"])


def test_an_id_out_of_range_is_an_error_at_the_edge(schema, encoded):
    embedder = TokenEmbedder(schema, dim=8)
    for wrong in (-1, schema["item"].num_ids):
        broken = encoded | {"item": np.full_like(encoded["item"], wrong)}
        with pytest.raises(
            ValueError, match=rf"ids of 'item' must lie in \[0, {schema['item'].num_ids}\)\. Received: {wrong}"
        ):
            embedder(broken)


@pytest.mark.parametrize("jit", [False, True])
def test_an_id_out_of_range_in_a_graph_reads_the_unknown_row_on_every_device(schema, encoded, jit):
    embedder = TokenEmbedder(schema, dim=8)
    embedder.build(None)
    run = tf.function(lambda batch: embedder(batch)["features"], jit_compile=jit)
    unknown = run(encoded | {"item": np.ones_like(encoded["item"])})
    for wrong in (-5, 10_000_000):
        np.testing.assert_array_equal(run(encoded | {"item": np.full_like(encoded["item"], wrong)}), unknown)


def test_a_missing_column_is_named(schema, encoded):
    with pytest.raises(ValueError, match=r"lacks the columns \['viewed_tag'\]: run the raw batch through the Prep"):
        TokenEmbedder(schema)({name: value for name, value in encoded.items() if name != "viewed_tag"})


def test_config_round_trip(schema, encoded):
    embedder = TokenEmbedder(
        schema, dim=8, dense_tokens=2, dense_units=[6], l2=0.1, dropout=0.1, dtype="mixed_bfloat16"
    )
    again = TokenEmbedder.from_config(embedder.get_config())
    assert again.get_config() == embedder.get_config()
    tokens = again(encoded)
    assert tokens["features"].dtype == tf.bfloat16


@pytest.mark.parametrize("argument", ["dim", "dense_tokens"])
def test_sizes_must_be_positive(schema, argument):
    with pytest.raises(ValueError, match=f"`{argument}` must be at least 1. Received: {argument}=0"):
        TokenEmbedder(schema, **{argument: 0})


@pytest.mark.parametrize("dense_units", [(), (2000,)])
def test_how_loud_the_dense_tokens_start(dense_units):
    names = [f"x{i}" for i in range(20)]
    features = [Numeric(name, mean=0.0, std=1.0) for name in names]
    schema = FeatureSchema(features=features, labels=[Label("y", mean=0.5)])
    numbers = np.random.default_rng(0).normal(size=(20, 500)).astype("float32")
    keras.utils.set_random_seed(0)
    for stddev in (0.1, 0.02):
        embedder = TokenEmbedder(schema, dim=64, dense_units=dense_units, dense_stddev=stddev)
        tokens = np.asarray(embedder(dict(zip(names, numbers, strict=True)))["features"])
        # Behind ReLU numbers of deviation 1 have a mean square of about 1 / 2 of Glorot's 2 * 20 / 2020.
        loud = stddev if not dense_units else stddev * (0.5 * 2 * 20 / 2020) ** 0.5
        assert tokens.std() == pytest.approx(loud, rel=0.15)


def test_needs_a_learned_schema():
    with pytest.raises(SchemaError, match="call"):
        TokenEmbedder(FeatureSchema(features=[Categorical("a")], labels=[Label("y")]))


def test_ids_of_the_tokens(schema, encoded):
    embedder = TokenEmbedder(schema, dim=4, dense_tokens=2)
    ids = embedder(encoded)["ids"].numpy()
    for name, column in zip(embedder.feature_names, ids.T, strict=True):
        single = encoded.get(name) if np.ndim(encoded.get(name)) == 1 else None
        np.testing.assert_array_equal(column, np.zeros(len(ids)) if single is None else single, name)
    assert ids.any()


def test_ids_taken_for_unknown():
    """Wherever an id stands in a batch it is known or not; other ids at each step; never in inference."""
    keras.utils.set_random_seed(3)
    schema = FeatureSchema(
        features=[
            Categorical("item", dtype="int64", vocabulary=list(range(1000))),
            Categorical("hour", dtype="int64", vocabulary=list(range(24))),
        ],
        sequences=[Sequence("seen", fields=[Categorical("item", dtype="int64", table="item")], max_length=3)],
        labels=[Label("click", mean=0.5)],
    )
    embedder = TokenEmbedder(schema, dim=4, stddev=1.0, unknown=0.4)
    ids = np.arange(1002, dtype=np.int32)
    batch = {"item": ids, "hour": ids % 26, "seen_item": np.stack([ids, ids, 0 * ids], 1), "seen_length": 0 * ids + 2}
    whole = embedder(batch, training=False)
    shares = []
    for _ in range(3):
        found = embedder(batch, training=True)
        unknown = np.asarray(found["ids"])[:, 0] == 1
        shares.append(unknown[2:].mean())
        assert unknown[1] and not unknown[0], "the reserved ids are what they are"
        expected = np.where(unknown[:, None], embedder.rows_of("item")[1], np.asarray(whole["features"])[:, 0])
        np.testing.assert_allclose(np.asarray(found["features"])[:, 0], expected)
        np.testing.assert_allclose(np.asarray(found["sequences"]["seen"])[:, 0], expected)
        np.testing.assert_allclose(np.asarray(found["features"])[:, 1], np.asarray(whole["features"])[:, 1])
    assert 0.3 < np.mean(shares) < 0.5 and len(set(shares)) > 1
    np.testing.assert_array_equal(np.asarray(whole["ids"])[:, 0], ids)
    with pytest.raises(ValueError, match="unknown"):
        TokenEmbedder(schema, unknown=1.0)
