"""The peer of the speed benchmarks is the same model, in PyTorch: with the same weights it scores alike."""

import numpy as np
import pytest

from tests.small_log import raw_batch
from tf_interformer import Categorical, FeatureSchema, Label, Numeric, Ranker, Sequence

torch = pytest.importorskip("torch", reason="needs torch: pip install torch")


def test_scores_as_the_ranker_whose_weights_it_has():
    from benchmarks.peers.torch_interformer import TorchInterFormer

    schema = FeatureSchema(
        features=[Categorical("item"), Categorical("user", dtype="int64", hash_buckets=20), Numeric("age")],
        sequences=[
            Sequence(
                "viewed", fields=[Categorical("item", table="item"), Categorical("tag", dtype="int64")], max_length=6
            ),
            Sequence("bought", fields=[Categorical("item", table="item")], max_length=4),
        ],
        labels=[Label("click")],
    ).learn([raw_batch(64, seed=1)])
    ranker = Ranker(schema, "interformer", {"num_layers": 2}, embedding={"dim": 8}, tower_units=(8,))
    random = np.random.default_rng(0)
    for weight in ranker.trainable_weights:
        weight.assign(weight + random.normal(0, 0.1, weight.shape))
    encoded = ranker.preprocessor(raw_batch(32, seed=5))
    peer = TorchInterFormer(ranker)
    peer.load_ranker(ranker)
    columns = {name: np.asarray(column) for name, column in encoded.items()}
    columns = {n: torch.from_numpy(x.astype("int64" if x.dtype.kind == "i" else "float32")) for n, x in columns.items()}
    np.testing.assert_allclose(peer(columns).detach(), ranker(encoded)["click"], atol=1e-4)
    # Nothing is left on the processor where the model and its columns are elsewhere.
    elsewhere = {name: column.to("meta") for name, column in columns.items()}
    assert peer.to("meta")(elsewhere).device.type == "meta"
