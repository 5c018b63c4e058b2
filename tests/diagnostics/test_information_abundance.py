import numpy as np
import pytest
import tensorflow as tf

from tests.reference.dual_enhanced_attention import abundance
from tests.small_log import learned_schema, raw_batch
from tf_interformer import Ranker
from tf_interformer._keras import keras
from tf_interformer.diagnostics import (
    InformationAbundance,
    abundance_of,
    abundance_table,
    information_abundance,
    plot_information_abundance,
)

BACKBONES = {
    "interformer": {"num_layers": 1, "information_flow": "sole", "interaction": "dot"},
    "dual_enhanced_attention": {"num_layers": 1, "num_heads": 2, "combo": False},
}


@pytest.fixture(params=BACKBONES)
def ranker(request):
    keras.utils.set_random_seed(0)
    return Ranker(learned_schema(), request.param, BACKBONES[request.param], {"dim": 8}, tower_units=(8,))


@pytest.mark.parametrize("shape", [(50, 4), (3, 8), (1, 5), (7, 7)])
def test_abundance_of_a_matrix(shape):
    matrix = np.random.default_rng(0).normal(size=shape)
    assert abundance_of(matrix) == pytest.approx(abundance(matrix), rel=1e-9)
    assert 1 <= abundance_of(matrix) <= min(shape)
    assert abundance_of(1e-20 * matrix) == pytest.approx(abundance_of(matrix))
    assert abundance_of(np.outer(matrix[:, 0], matrix[0])) == pytest.approx(1.0)
    assert abundance_of(0 * matrix) == 0.0


def test_abundance_needs_a_matrix():
    with pytest.raises(ValueError, match="two axes"):
        abundance_of(np.ones(3))


def test_tables(ranker):
    found = information_abundance(ranker)
    assert list(found) == [
        "price_bucket",
        "item",
        "user",
        "tags",
        "country",
        "viewed_item",
        "viewed_tag",
        "bought_item",
    ]
    table = np.asarray(ranker.embedder.rows_of("item"))
    assert table.shape == (ranker.schema["item"].num_ids, 8)
    assert found["item"] == pytest.approx(abundance(table[1:]))
    assert found["bought_item"] == found["item"]
    assert found["country"] <= 4
    # Each vocabulary's rows are its own.
    encoded = {k: np.asarray(v) for k, v in ranker.preprocessor(raw_batch()).items()}
    token = np.asarray(ranker.embedder(encoded)["features"])[:, ranker.embedder.feature_names.index("item")]
    np.testing.assert_allclose(token[encoded["item"] > 0], table[encoded["item"][encoded["item"] > 0]], atol=1e-7)


def test_tokens_of_a_batch(ranker):
    encoded = ranker.preprocessor(raw_batch())
    found = information_abundance(ranker, encoded)
    assert list(found) == ranker.embedder.feature_names
    tokens = np.asarray(ranker.embedder(encoded)["features"])
    for i, name in enumerate(found):
        assert found[name] == pytest.approx(abundance(tokens[:, i]), rel=1e-6)


def test_table_as_text(ranker):
    lines = abundance_table(ranker).splitlines()
    assert lines[0].split() == ["field", "abundance", "at", "most"] and len(lines) == 9
    values = [float(line.split()[1]) for line in lines[1:]]
    assert values == sorted(values)
    assert {line.split()[0]: int(line.split()[2]) for line in lines[1:]}["country"] == 3
    assert len(abundance_table(ranker, ranker.preprocessor(raw_batch())).splitlines()) == 7


def test_picture(tmp_path):
    path = tmp_path / "abundance.png"
    figure = plot_information_abundance({"user": 5.5, "gender": 1.2}, path, most={"user": 8, "gender": 2})
    assert path.stat().st_size > 1000
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["gender", "user"]
    with pytest.raises(ValueError, match="values"):
        plot_information_abundance({}, path)


def test_callback(ranker, tmp_path):
    ranker.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    data = tf.data.Dataset.from_tensor_slices(raw_batch(48)).batch(16)
    encode = ranker.preprocessor
    data = data.map(lambda b: (encode(b), encode.labels(b)))
    callback = InformationAbundance(log_dir=tmp_path, every=2)
    history = ranker.fit(data, epochs=2, verbose=0, shuffle=False, callbacks=[callback]).history
    assert [reading["step"] for reading in callback.values] == [2, 3, 4, 6]
    assert len(history["abundance_item"]) == 2
    assert history["abundance_item"][-1] == pytest.approx(information_abundance(ranker)["item"])
    tags = set()
    for file in tmp_path.iterdir():
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            tags |= {value.tag for value in event.summary.value}
    assert "information_abundance/item" in tags
    with pytest.raises(ValueError, match="every=0"):
        InformationAbundance(every=0)
