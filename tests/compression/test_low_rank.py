"""Trained models made smaller: identity at full rank, ranks by energy, reports."""

import numpy as np
import pytest
import tensorflow as tf

from tests.backbones.case import batch
from tests.layer_case import assert_close, scramble, tensors
from tests.small_log import learned_schema, raw_batch
from tf_interformer import Ranker
from tf_interformer._keras import keras
from tf_interformer.backbones import Hiformer, InterFormer
from tf_interformer.compression import low_rank
from tf_interformer.layers import CompositeAttention, HiformerInteraction

TASKS = ("click", "buy")


def built(layer, inputs):
    """A layer with every weight away from its initial value."""
    keras.utils.set_random_seed(1)
    layer(tensors(inputs))
    scramble(layer, scale=0.2)
    return layer


def make(**kwargs):
    return built(Hiformer(**{"num_heads": 2, "tasks": TASKS, **kwargs}), batch())


def attentions(model):
    return [block.attention for block in model.blocks]


def plant(projection, rank, noise=1e-7):
    """Gives the matrix, or every head's, a rank, up to noise; the singular values are near one."""
    random = np.random.default_rng(0)
    number = projection.num_heads if projection.rank_per_head else 1
    rows, columns = projection.kernel.shape[0], projection.kernel.shape[1] // number
    matrices = []
    for head in range(number):
        own = min(rank - head % 2, rows, columns)  # heads need not agree
        left = np.linalg.qr(random.normal(size=(rows, own)))[0]
        right = np.linalg.qr(random.normal(size=(columns, own)))[0]
        matrices.append(left @ right.T + noise * random.normal(size=(rows, columns)))
    projection.kernel.assign(np.concatenate(matrices, axis=1).astype("float32"))


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"composite_query": False},
        {"norm": "pre", "prune_last_layer": False},
        {"rank_k": 3, "rank_v": [None, 5]},
        {"rank_per_head": True},
        {"rank_k": 3, "rank_v": [None, 5], "rank_per_head": True},
        {"tasks": ["click"], "sequence_pooling": "attention"},
    ],
)
def test_full_rank_changes_nothing(arguments):
    model = make(dtype="float64", **arguments)
    before = model.get_weights()
    smaller, report = low_rank(model, rank=10**6, batch=tensors(batch(dtype="float64")))
    assert report.max_error < 1e-10
    assert report.mean_error <= report.max_error
    assert all(p.rank == p.spectrum.shape[1] and p.energy > 1 - 1e-12 for p in report.projections)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert type(smaller) is Hiformer
    assert smaller.tasks == model.tasks


@pytest.mark.parametrize("rank_per_head", [False, True])
def test_energy_finds_the_planted_ranks_layer_by_layer(rank_per_head):
    model = make(prune_last_layer=False, rank_per_head=rank_per_head)
    for attention, (query, key, value) in zip(attentions(model), [(3, 5, 4), (6, 2, 7)], strict=True):
        plant(attention.query, query)
        plant(attention.key, key)
        plant(attention.value, value)
    smaller, report = low_rank(model, energy=1 - 1e-9, batch=tensors(batch()))
    assert (smaller.rank_k, smaller.rank_v) == ((5, 6), (4, 7))
    assert [p.rank for p in report.projections] == [5, 5, 4, 6, 6, 7]
    assert report.max_error < 1e-4
    assert smaller.count_params() < model.count_params()
    assert smaller.rank_per_head == rank_per_head


def test_what_would_not_become_cheaper_stays_as_it_is():
    smaller, report = low_rank(make(), energy=1.0)
    assert smaller.rank_k == smaller.rank_v == (None, None)
    assert report.multiplications[0] == report.multiplications[1]
    assert all(p.rank is None and p.energy == 1.0 and p.before == p.after for p in report.projections)
    again, report = low_rank(make(rank_k=3, rank_v=4), energy=1.0)
    assert (again.rank_k, again.rank_v) == ((3, 3), (4, 4))
    assert report.projections[1].rank == 3


@pytest.mark.parametrize("rank_per_head", [False, True])
def test_the_error_falls_with_the_rank(rank_per_head):
    model = make(dtype="float64", rank_per_head=rank_per_head)
    for attention in attentions(model):
        for projection in (attention.query, attention.key, attention.value):
            number = projection.num_heads if rank_per_head else 1
            decaying = []
            for matrix in np.split(projection.kernel.numpy(), number, axis=1):
                u, s, v = np.linalg.svd(matrix, full_matrices=False)
                decaying.append((u * s[0] * 0.3 ** np.arange(len(s))) @ v)
            projection.kernel.assign(np.concatenate(decaying, axis=1))
    inputs = tensors(batch(dtype="float64"))
    reports = [low_rank(model, rank=rank, batch=inputs)[1] for rank in (1, 5, 9)]
    assert reports[0].mean_error > 10 * reports[1].mean_error > 100 * reports[2].mean_error
    assert reports[0].projections[1].energy == pytest.approx(1 - 0.3**2, abs=1e-3)
    assert low_rank(model, energy=0.999)[0].rank_v == (3, 3)  # 1 - 0.3^6


@pytest.mark.parametrize("rank_per_head", [False, True])
def test_a_low_rank_model_can_be_made_smaller_still(rank_per_head):
    model = make(rank_k=9, rank_v=9, rank_per_head=rank_per_head)
    smaller, report = low_rank(model, rank=4)
    assert smaller.rank_k == (4, 4)
    key = report.projections[1]
    assert key.spectrum.shape == ((2, 36) if rank_per_head else (1, 72))
    assert np.abs(key.spectrum[:, 9:]).max() < 1e-5
    assert 0.5 < key.energy < 1.0
    # The truncated decomposition is that of the product of the two factors.
    old, new = attentions(model)[0].key, attentions(smaller)[0].key
    assert len(old.weights) == len(new.weights) == 2
    singular = np.linalg.svd(first_matrix(new), compute_uv=False)
    np.testing.assert_allclose(singular[:4], key.spectrum[0, :4], rtol=1e-4)


def first_matrix(projection):
    left, right = projection.get_weights()
    return left[:, : right.shape[1]] @ right[0] if projection.rank_per_head else left @ right


def test_all_heads_are_decomposed_together():
    """Of all matrices of that rank, the new one is the nearest to the old one, whichever heads its parts are."""
    model = make(dtype="float64")
    smaller, report = low_rank(model, rank=6)
    for old, new in zip(attentions(model), attentions(smaller), strict=True):
        left, right = new.value.get_weights()
        assert (left.shape[1], right.shape[0]) == (6, 6)
        kernel = old.value.kernel.numpy()
        spectrum = np.linalg.svd(kernel, compute_uv=False)
        lost = np.linalg.norm(kernel - left @ right)
        np.testing.assert_allclose(lost, np.sqrt(np.sum(spectrum[6:] ** 2)), rtol=1e-10)
    np.testing.assert_allclose(report.projections[-1].spectrum[0], spectrum, rtol=1e-10)


@pytest.mark.parametrize("rank_per_head", [False, True])
def test_multiplications_are_counted(rank_per_head):
    inputs = {**batch(tokens=3, width=4), "sequences": {}, "lengths": {}}  # with the task: four tokens
    sizes = {"num_layers": 2, "num_heads": 2, "key_dim": 3, "value_dim": 5, "ffn_dim": 6}
    model = built(Hiformer(rank_per_head=rank_per_head, **sizes), inputs)
    _, report = low_rank(model, rank=2)
    size, first, last = 4 * 4, 4, 1

    def block(queries, projections):
        output, ffn = queries * 2 * 5 * 4, queries * 2 * 4 * 6
        return projections + output + ffn + 2 * queries * 4 * (3 + 5)

    full = [2 * size * 3 * (queries + 4) + 2 * size * 4 * 5 for queries in (first, last)]
    lefts = 2 if rank_per_head else 1
    low = [2 * (3 * lefts * size + 2 * (3 * queries + 4 * 3 + 4 * 5)) for queries in (first, last)]
    assert report.multiplications == tuple(
        sum(block(queries, projections) for queries, projections in zip((first, last), some, strict=True))
        for some in (full, low)
    )
    assert (sum(p.before for p in report.projections), sum(p.after for p in report.projections)) == (
        sum(full),
        sum(low),
    )
    assert report.parameters[0] - report.parameters[1] == sum(full) - sum(low)


def ranker(**kwargs):
    keras.utils.set_random_seed(1)
    arguments = {"backbone_config": {"num_heads": 2, "num_layers": 2}, "embedding": {"dim": 8}, "tower_units": (8,)}
    return Ranker(learned_schema(TASKS), "hiformer", **{**arguments, **kwargs})


def dataset(model, count=64):
    encode = model.preprocessor
    data = tf.data.Dataset.from_tensor_slices(raw_batch(count, 3, TASKS)).batch(16)
    return data.map(lambda raw: (encode(raw), encode.labels(raw)))


def test_a_ranker_is_compressed_tuned_and_saved(tmp_path):
    model = ranker()
    model.compile("adam", jit_compile=False)
    scramble(model, scale=0.2)
    raw = raw_batch(seed=9, labels=TASKS)
    encoded = model.preprocessor(raw)
    assert low_rank(model, rank=10**6, batch=encoded)[1].max_error < 1e-5
    smaller, report = low_rank(model, rank=8, batch=encoded)
    assert report.projections[0].path == "backbone/block_0/attention/query"
    assert 0 < report.mean_error < report.max_error
    assert np.array_equal(smaller.towers["buy"].kernels[0].numpy(), model.towers["buy"].kernels[0].numpy())

    smaller.compile(keras.optimizers.Adam(1e-3), jit_compile=False)
    assert np.isfinite(smaller.fit(dataset(model), epochs=1, verbose=0, shuffle=False).history["loss"]).all()
    smaller.save(tmp_path / "smaller.keras")
    again = Ranker.from_file(tmp_path / "smaller.keras")
    assert again.backbone.rank_k == (8, 8)
    for task, scores in smaller.score(raw).items():
        np.testing.assert_array_equal(again.score(raw)[task], scores)


@pytest.mark.parametrize("as_layer", [False, True])
def test_hiformer_within_interformer(as_layer):
    config = {"num_heads": 2, "num_layers": 2}
    interaction = {"interaction": "hiformer", "interaction_config": config}
    if as_layer:
        interaction = {"interaction": HiformerInteraction(**config)}
    inputs = {**batch(dtype="float64"), "sequences": {}, "lengths": {}}
    model = built(InterFormer(num_layers=2, tasks=TASKS, dtype="float64", **interaction), inputs)
    same, report = low_rank(model, rank=10**6, batch=tensors(inputs))
    assert report.max_error < 1e-9
    assert len(report.projections) == 2 * 2 * 3
    assert "interaction_arch_1/interaction/block_0/attention/value" in {p.path for p in report.projections}
    smaller, _ = low_rank(model, rank=4)
    assert smaller.interaction_arches[1].interaction.rank_v == (4, 4)
    assert smaller.count_params() < same.count_params()


def test_an_interaction_alone():
    tokens = batch()["features"]
    layer = built(HiformerInteraction(num_heads=2), tokens)
    same, report = low_rank(layer, rank=10**6, batch=tensors(tokens))
    assert report.max_error < 1e-4
    assert_close(same(tokens), layer(tokens), 1e-5)
    assert isinstance(attentions(same)[0], CompositeAttention)


def test_the_report_as_text_and_as_a_picture(tmp_path):
    _, report = low_rank(make(), rank=5, batch=tensors(batch()))
    lines = report.table().splitlines()
    assert lines[1].startswith("block_0/attention/query")
    assert "parameters" in lines[-2]
    assert "error of the outputs" in lines[-1]
    report.plot(tmp_path / "spectra.png")
    assert (tmp_path / "spectra.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("model", "arguments", "named"),
    [
        (lambda: make(attention="heterogeneous"), {}, r"What can be compressed.*Received: Hiformer"),
        (lambda: Hiformer(), {}, "once built"),
        (
            lambda: built(InterFormer(num_layers=1, num_heads=2, interaction="dot"), batch()),
            {},
            "Received: InterFormer",
        ),
        (lambda: keras.layers.Dense(3), {}, "Received: Dense"),
        (lambda: make(), {"rank": 0}, "rank=0"),
        (lambda: make(), {"energy": 0.0}, "energy=0.0"),
        (lambda: make(), {"energy": 1.5}, "energy=1.5"),
    ],
)
def test_what_cannot_be_compressed_is_named(model, arguments, named):
    with pytest.raises(ValueError, match=named):
        low_rank(model(), **arguments)
