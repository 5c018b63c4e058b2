"""The metrics against naive loops, against scikit-learn, and the streaming ones against the exact ones."""

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import ndcg_score, roc_auc_score

from tf_interformer import metrics
from tf_interformer._keras import keras, ops


def clicks_and_scores(seed, size=400, levels=12):
    """Random labels and tied scores in (0, 1) that know something about them."""
    generator = np.random.default_rng(seed)
    scores = generator.integers(1, levels, size) / levels
    return (generator.random(size) < 0.1 + 0.5 * scores).astype(np.int64), scores


def naive_auc(labels, scores):
    wins = [
        1.0 if s > t else 0.5 if s == t else 0.0
        for y, s in zip(labels, scores, strict=True)
        for z, t in zip(labels, scores, strict=True)
        if y == 1 and z == 0
    ]
    return sum(wins) / len(wins) if wins else math.nan


def naive_gauc(labels, scores, groups, weighting):
    total = weight_sum = 0.0
    for group in set(groups.tolist()):
        mine = groups == group
        if 0 < labels[mine].sum() < mine.sum():
            weight = mine.sum() if weighting == "impressions" else labels[mine].sum()
            total += weight * roc_auc_score(labels[mine], scores[mine])
            weight_sum += weight
    return total / weight_sum


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("levels", [2, 12, 10**9])
def test_auc_equals_naive_loop_and_sklearn(seed, levels):
    labels, scores = clicks_and_scores(seed, 150, levels)
    assert metrics.auc(labels, scores) == pytest.approx(naive_auc(labels, scores), abs=1e-14)
    assert metrics.auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-14)


def test_auc_takes_columns_booleans_and_infinite_scores():
    assert metrics.auc(np.array([[False], [True]]), np.array([[-np.inf], [np.inf]])) == 1.0
    assert metrics.auc([1.0, 0.0], np.float16([-1, 1])) == 0.0


def test_auc_of_constant_scores_is_one_half():
    assert metrics.auc([0, 1, 1, 0, 0], np.full(5, 0.3)) == 0.5


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_has_no_auc(label):
    assert math.isnan(metrics.auc([label] * 3, [0.1, 0.2, 0.3]))
    assert math.isnan(metrics.gauc([label] * 3, [0.1, 0.2, 0.3], [1, 1, 2]))
    assert math.isnan(metrics.normalized_entropy([label] * 3, [0.1, 0.2, 0.3]))


@pytest.mark.parametrize("weighting", ["impressions", "clicks"])
@pytest.mark.parametrize("kind", [np.int64, np.int32, np.float64, "U5", "S5", object])
def test_gauc_equals_loop_over_users(kind, weighting):
    labels, scores = clicks_and_scores(4, 600, 6)
    groups = np.random.default_rng(5).integers(0, 150, 600)
    groups = groups.astype("S5").astype(object) if kind is object else groups.astype(kind)
    actual = metrics.gauc(labels, scores, groups, weighting=weighting)
    assert actual == pytest.approx(naive_gauc(labels, scores, groups, weighting), abs=1e-14)


def test_gauc_does_not_depend_on_the_order_of_the_rows():
    labels, scores = clicks_and_scores(6)
    groups = np.random.default_rng(7).integers(-50, 50, labels.size)
    order = np.random.default_rng(8).permutation(labels.size)
    assert metrics.gauc(labels, scores, groups) == metrics.gauc(labels[order], scores[order], groups[order])


def test_gauc_of_one_group_is_the_auc():
    labels, scores = clicks_and_scores(9)
    expected = metrics.auc(labels, scores)
    assert metrics.gauc(labels, scores, ["all"] * labels.size) == pytest.approx(expected, rel=1e-14)


def test_grouped_auc_reports_every_group():
    by_user = metrics.grouped_auc([1, 0, 1, 1, 0], [5, 4, 3, 3, 3], ["b", "b", "a", "c", "c"])
    assert by_user.groups.tolist() == ["b", "a", "c"]
    np.testing.assert_array_equal(by_user.auc, [1.0, np.nan, 0.5])
    assert by_user.impressions.tolist() == [2, 1, 2]
    assert by_user.clicks.tolist() == [1, 1, 1]
    assert by_user.counted.tolist() == [True, False, True]
    assert by_user.coverage == 0.8


def naive_by_list(labels, scores, groups, value):
    """The mean over lists with a click of `value(clicks in the order shown)`, itself the mean over all orders."""
    lists = []
    for group in dict.fromkeys(groups.tolist()):
        clicked, score = labels[groups == group].tolist(), scores[groups == group].tolist()
        orders = itertools.permutations(range(len(score)))
        sorted_orders = [o for o in orders if all(score[a] >= score[b] for a, b in itertools.pairwise(o))]
        if any(clicked):
            lists.append(np.mean([value([clicked[i] for i in order]) for order in sorted_orders]))
    return np.mean(lists)


def naive_reciprocal_ranks(shown):
    return np.mean([1 / rank for rank, clicked in enumerate(shown, start=1) if clicked])


def naive_ndcg(shown, k):
    def gain(clicks):
        return sum(clicked / math.log2(1 + rank) for rank, clicked in enumerate(clicks[:k], start=1))

    return gain(shown) / gain(sorted(shown, reverse=True))


# Levels of the scores: with one everything ties, with three much does, with so many nothing
@pytest.mark.parametrize("levels", [2, 4, 10**9])
@pytest.mark.parametrize("kind", [np.int64, "U5"])
def test_metrics_by_list_equal_the_mean_over_all_orders(kind, levels):
    labels, scores = clicks_and_scores(22, 148, levels)
    groups = np.random.default_rng(23).permutation(np.repeat(np.arange(43), [1, 1, *[2, 3, 4, 5] * 10, 6]))
    labels[np.isin(groups, [0, 2])] = 1  # one item alone, and two, both clicked; nothing clicked
    labels[np.isin(groups, [1, 3])] = 0
    groups = groups.astype(kind)
    expected = naive_by_list(labels, scores, groups, naive_reciprocal_ranks)
    assert metrics.mrr(labels, scores, groups) == pytest.approx(expected, abs=1e-14)
    for k in (1, 2, 3, 10):
        expected = naive_by_list(labels, scores, groups, lambda shown, k=k: naive_ndcg(shown, k))
        assert metrics.ndcg(labels, scores, groups, k=k) == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("levels", [2, 12, 10**9])
def test_ndcg_equals_sklearn(levels):
    labels, scores = clicks_and_scores(24, 600, levels)
    groups = np.random.default_rng(25).integers(0, 20, 600)
    lists = [(labels[groups == g][None], scores[groups == g][None]) for g in range(20)]
    expected = np.mean([ndcg_score(*one, k=10) for one in lists if one[0].any()])
    assert metrics.ndcg(labels, scores, groups) == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("metric", [metrics.mrr, metrics.ndcg])
def test_lists_without_a_click_are_skipped(metric):
    assert math.isnan(metric([0, 0, 0], [3, 2, 1], ["a", "a", "b"]))
    assert metric([1], [0.2], ["a"]) == 1.0
    assert metric([0, 1, 0, 0], [1, 2, 5, 4], [1, 1, 2, 2]) == 1.0
    assert metric(np.array([[False], [True]]), np.array([[-np.inf], [np.inf]]), [[3], [3]]) == 1.0


def test_mrr_takes_all_clicks_of_a_list():
    assert metrics.mrr([1, 0, 0, 1], [4, 3, 2, 1], [0, 0, 0, 0]) == pytest.approx((1 + 1 / 4) / 2)


def test_metrics_by_list_do_not_depend_on_the_order_of_the_rows():
    labels, scores = clicks_and_scores(26)
    groups = np.random.default_rng(27).integers(-50, 50, labels.size)
    order = np.random.default_rng(28).permutation(labels.size)
    for metric in (metrics.mrr, metrics.ndcg):
        expected = metric(labels, scores, groups)
        assert metric(labels[order], scores[order], groups[order]) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_log_loss_equals_sklearn(dtype):
    labels, scores = clicks_and_scores(10)
    scores = scores.astype(dtype)
    scores[:4] = [0, 1, 0, 1]
    labels[:4] = [0, 0, 1, 1]
    assert metrics.log_loss(labels, scores) == pytest.approx(sklearn_log_loss(labels, scores), rel=1e-6)


def test_log_loss_from_logits_is_exact_where_the_sigmoid_saturates():
    assert metrics.log_loss([0, 1], [800.0, -800.0], from_logits=True) == 800.0
    labels, scores = clicks_and_scores(11)
    logits = np.log(scores) - np.log1p(-scores)
    assert metrics.log_loss(labels, logits, from_logits=True) == pytest.approx(
        metrics.log_loss(labels, scores), rel=1e-12
    )


def test_normalized_entropy_divides_by_the_entropy_of_the_training_rate():
    labels, scores = clicks_and_scores(12)
    entropy = -(0.2 * math.log(0.2) + 0.8 * math.log(0.8))
    assert metrics.normalized_entropy(labels, scores, base_rate=0.2) == pytest.approx(
        metrics.log_loss(labels, scores) / entropy, rel=1e-12
    )
    average = np.full(labels.size, labels.mean())
    assert metrics.normalized_entropy(labels, average) == pytest.approx(1.0, rel=1e-12)
    assert metrics.normalized_entropy(labels, 0.1 + 0.5 * scores) < 1.0


def test_calibration_ratio():
    assert metrics.calibration_ratio([1, 0, 1, 0], [0.5, 0.5, 0.25, 0.25]) == 0.75
    assert math.isnan(metrics.calibration_ratio([0, 0], [0.5, 0.5]))


@pytest.mark.parametrize("strategy", ["quantile", "uniform"])
@pytest.mark.parametrize("bins", [1, 2, 7, 20])
def test_reliability_table_and_ece_equal_a_loop(bins, strategy):
    generator = np.random.default_rng(13)
    scores = generator.random(420) ** 3
    labels = (generator.random(420) < scores).astype(np.int64)
    if strategy == "uniform":
        index = np.minimum((scores * bins).astype(int), bins - 1)
    else:
        index = np.argsort(np.argsort(scores)) * bins // 420
    expected = []
    for b in range(bins):
        inside = index == b
        if inside.any():
            row = [inside.sum(), scores[inside].mean(), labels[inside].mean()]
            expected.append([*row, scores[inside].min(), scores[inside].max()])
    table = metrics.reliability_table(labels, scores, bins, strategy)
    assert list(table) == ["count", "mean_probability", "click_rate", "lowest", "highest"]
    np.testing.assert_allclose(np.stack(list(table.values()), 1), expected, rtol=1e-12)
    ece = sum(n * abs(p - y) for n, p, y, _, _ in expected) / 420
    assert metrics.expected_calibration_error(labels, scores, bins, strategy) == pytest.approx(ece, rel=1e-12)


def test_equal_probabilities_stay_in_one_bin():
    table = metrics.reliability_table([0, 1] * 50, [0.1, 0.9] * 50, bins=20)
    assert table["count"].tolist() == [50, 50]
    assert table["click_rate"].tolist() == [0.0, 1.0]
    assert metrics.reliability_table([0, 1], [1.0, 1.0], bins=5, strategy="uniform")["count"].tolist() == [2]


def test_ranking_metrics_agree_with_the_single_ones():
    labels, scores = clicks_and_scores(14)
    groups = np.random.default_rng(15).integers(0, 40, labels.size)
    logits = np.log(scores) - np.log1p(-scores)
    result = metrics.ranking_metrics(labels, logits, groups, base_rate=0.3, from_logits=True)
    assert result == pytest.approx(
        {
            "auc": metrics.auc(labels, scores),
            "gauc": metrics.gauc(labels, scores, groups),
            "gauc_click_weighted": metrics.gauc(labels, scores, groups, "clicks"),
            "grouped_users": metrics.grouped_auc(labels, scores, groups).coverage,
            "log_loss": metrics.log_loss(labels, scores),
            "ne": metrics.normalized_entropy(labels, scores, 0.3),
            "calibration": metrics.calibration_ratio(labels, scores),
            "ece": metrics.expected_calibration_error(labels, scores),
            "examples": 400.0,
            "positives": float(labels.sum()),
        },
        rel=1e-9,
    )
    assert metrics.ranking_metrics(labels, scores, groups, 0.3) == pytest.approx(result, rel=1e-9)
    assert all(type(value) is float for value in result.values())


def test_ranking_metrics_without_groups_keeps_the_keys():
    result = metrics.ranking_metrics([0, 1], [[0.2], [0.7]])
    undefined = [name for name, value in result.items() if math.isnan(value)]
    assert undefined == ["gauc", "gauc_click_weighted", "grouped_users"]


def test_ranking_metrics_by_list():
    labels, scores = clicks_and_scores(29)
    users = np.random.default_rng(30).integers(0, 40, labels.size)
    requests = np.char.add(users.astype("U3"), np.random.default_rng(31).choice([":a", ":b", ":c"], labels.size))
    without = metrics.ranking_metrics(labels, scores, users, 0.3)
    result = metrics.ranking_metrics(labels, scores, users, 0.3, requests=requests)
    by_list = {
        "request_gauc": metrics.gauc(labels, scores, requests),
        "mrr": metrics.mrr(labels, scores, requests),
        "ndcg_10": metrics.ndcg(labels, scores, requests),
    }
    assert result == pytest.approx(without | by_list, rel=1e-12)
    assert list(result) == [*without, *by_list] and all(type(value) is float for value in result.values())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.auc([], []), "`labels` must hold at least one example"),
        (lambda: metrics.auc([0, 1], [0.1]), r"`scores` must be as long as `labels`. Received: 1 against 2"),
        (lambda: metrics.auc([0, 2], [0.1, 0.2]), r"`labels` must be 0 or 1. Received: 2 at position 1"),
        (
            lambda: metrics.auc([0, np.nan], [0.1, 0.2]),
            "`labels` must be 0 or 1. Received: nan at position 1",
        ),
        (lambda: metrics.auc([0, 1], [0.1, np.nan]), "`scores` must not contain NaN. Received: nan at pos"),
        (lambda: metrics.auc([[0, 1]], [0.1, 0.2]), r"`labels` must have shape .* shape \(1, 2\)"),
        (lambda: metrics.gauc([0, 1], [0.1, 0.2], [1]), "`groups` must be as long as `labels`"),
        (lambda: metrics.gauc([0, 1], [0.1, 0.2], [1, np.nan]), "`groups` must not contain NaN"),
        (lambda: metrics.gauc([0, 1], [0.1, 0.2], ["a", None]), r"`groups` must name a group .* None"),
        (lambda: metrics.gauc([0, 1], [0.1, 0.2], [1, 1], "users"), r"`weighting` must be .* 'users'"),
        (lambda: metrics.mrr([0, 1], [0.1, 0.2], [1]), "`groups` must be as long as `labels`"),
        (lambda: metrics.mrr([0, 1], [0.1, np.nan], [1, 1]), "`scores` must not contain NaN"),
        (lambda: metrics.ndcg([0, 1], [0.1, 0.2], ["a", None]), r"`groups` must name a group .* None"),
        (lambda: metrics.ndcg([0, 1], [0.1, 0.2], [1, 1], k=0), "`k` must be at least 1. Received: 0"),
        (lambda: metrics.ranking_metrics([0, 1], [0.1, 0.2], requests=[1]), "`requests` must be as long as `labels`"),
        (
            lambda: metrics.log_loss([0, 1], [0.1, 1.5]),
            r"`probabilities` must lie in \[0, 1\]. Received: 1.5",
        ),
        (lambda: metrics.log_loss([0], [np.nan]), "`probabilities` must not contain NaN"),
        (lambda: metrics.calibration_ratio([0], [-0.1]), r"`probabilities` must lie in \[0, 1\]"),
        (
            lambda: metrics.normalized_entropy([0, 1], [0.1, 0.5], 1.0),
            r"`base_rate` must lie .* Received: 1.0",
        ),
        (lambda: metrics.reliability_table([0], [0.1], bins=0), "`bins` must be at least 1. Received: 0"),
        (lambda: metrics.reliability_table([0], [0.1], strategy="x"), r"`strategy` must be .* 'x'"),
        (lambda: metrics.ranking_metrics([0, 1], [0.1, 3.0]), r"`predictions` must lie in \[0, 1\]"),
        (lambda: metrics.NormalizedEntropy(base_rate=0.0), r"`base_rate` must lie .* Received: 0.0"),
        (
            lambda: metrics.Calibration().update_state([0, 1], [0.1]),
            r"one prediction per label. .* 1 against 2",
        ),
    ],
)
def test_errors_name_the_argument_and_the_value(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_labels_and_scores_must_be_numbers():
    with pytest.raises(TypeError, match=r"`labels` must be numbers or booleans. Received: dtype <U1"):
        metrics.auc(["0", "1"], [0.1, 0.2])
    with pytest.raises(TypeError, match=r"`scores` must be numbers. Received: dtype <U1"):
        metrics.auc([0, 1], ["a", "b"])


def streamed(metric, labels, predictions, batch=96):
    for start in range(0, labels.size, batch):
        metric.update_state(labels[start : start + batch], predictions[start : start + batch])
    return float(metric.result())


STREAMING = [
    (metrics.NormalizedEntropy, {"base_rate": 0.3}, lambda y, p: metrics.normalized_entropy(y, p, 0.3)),
    (metrics.NormalizedEntropy, {}, metrics.normalized_entropy),
    (metrics.Calibration, {}, metrics.calibration_ratio),
]


@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize(("kind", "arguments", "exact"), STREAMING)
def test_streaming_equals_exact_with_uneven_last_batch(kind, arguments, exact, from_logits):
    labels, scores = clicks_and_scores(16)
    predictions = np.log(scores) - np.log1p(-scores) if from_logits else scores
    metric = kind(from_logits=from_logits, **arguments)
    assert streamed(metric, labels, predictions) == pytest.approx(exact(labels, scores), rel=1e-6)
    # Labels [B] and logits [B, 1], as a tower gives them, must not broadcast to [B, B].
    metric.reset_state()
    assert streamed(metric, labels, predictions[:, None]) == pytest.approx(exact(labels, scores), rel=1e-6)


@pytest.mark.parametrize(("kind", "arguments", "exact"), STREAMING)
def test_the_states_of_two_replicas_add_up(kind, arguments, exact):
    labels, scores = clicks_and_scores(17)
    replicas = [kind(from_logits=False, **arguments) for _ in range(2)]
    streamed(replicas[0], labels[:150], scores[:150])
    streamed(replicas[1], labels[150:], scores[150:])
    merged = kind(from_logits=False, **arguments)
    for variable, left, right in zip(merged.variables, *(r.variables for r in replicas), strict=True):
        variable.assign(ops.convert_to_tensor(left) + ops.convert_to_tensor(right))
    assert float(merged.result()) == pytest.approx(exact(labels, scores), rel=1e-6)


@pytest.mark.parametrize(("kind", "arguments", "exact"), STREAMING)
def test_sample_weights_count_an_example_more_than_once(kind, arguments, exact):
    labels, scores = clicks_and_scores(18)
    repeats = np.random.default_rng(19).integers(0, 4, labels.size)
    metric = kind(from_logits=False, **arguments)
    metric.update_state(labels, scores, sample_weight=repeats)
    expected = exact(np.repeat(labels, repeats), np.repeat(scores, repeats))
    assert float(metric.result()) == pytest.approx(expected, rel=1e-6)


def test_streaming_sums_resolve_one_batch_among_a_billion():
    metric = metrics.Calibration(from_logits=False)
    for variable in metric.variables:
        variable.assign(1e9)
    metric.update_state([1.0], [0.0])
    assert [float(ops.convert_to_tensor(v)) for v in metric.variables] == [1e9, 1e9 + 1]


@pytest.mark.parametrize(("kind", "arguments", "exact"), STREAMING)
def test_streaming_metrics_survive_their_config(kind, arguments, exact):
    metric = keras.metrics.deserialize(keras.metrics.serialize(kind(from_logits=False, **arguments)))
    assert type(metric) is kind
    assert metric.get_config() == kind(from_logits=False, **arguments).get_config()


def test_streaming_metrics_are_undefined_before_the_first_click():
    for metric in (metrics.NormalizedEntropy(), metrics.Calibration(), metrics.NormalizedEntropy(0.1)):
        assert math.isnan(float(metric.result()))
    metric.update_state([0.0, 0.0], [0.0, 0.0])
    assert float(metric.result()) > 1.0


# Keras 3.15 saves variables through an `__array__` of TensorFlow 2.21 that predates NumPy 2.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")
def test_streaming_metrics_in_compile_evaluate_and_saved_file(tmp_path):
    labels, _ = clicks_and_scores(20)
    features = np.random.default_rng(21).normal(size=(labels.size, 3)).astype("float32")
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    model.compile(
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[metrics.NormalizedEntropy(base_rate=0.3), metrics.Calibration()],
    )
    model.fit(features, labels.astype("float32"), batch_size=96, verbose=0)
    logits = model.predict(features, verbose=0)
    expected = metrics.ranking_metrics(labels, logits, base_rate=0.3, from_logits=True)
    model.save(tmp_path / "model.keras")
    for candidate in (model, keras.models.load_model(tmp_path / "model.keras")):
        result = candidate.evaluate(features, labels, batch_size=96, verbose=0, return_dict=True)
        assert result["ne"] == pytest.approx(expected["ne"], rel=1e-5)
        assert result["calibration"] == pytest.approx(expected["calibration"], rel=1e-5)


def measured_on_two_replicas(labels, logits):
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        streaming = [metrics.NormalizedEntropy(), metrics.Calibration()]
    rows = strategy.experimental_distribute_dataset(tf.data.Dataset.from_tensor_slices((labels, logits)).batch(4))

    @tf.function
    def step(labels, logits):
        for metric in streaming:
            metric.update_state(labels, logits)

    for batch in rows:
        strategy.run(step, args=batch)
    return [float(metric.result()) for metric in streaming]


def test_streaming_metrics_under_two_replicas(two_cpus):
    labels = np.float32([0, 1, 0, 0, 1, 0])
    logits = np.float32([-1, 2, 0, -3, 0.5, 0.25])
    exact = metrics.ranking_metrics(labels, logits, from_logits=True)
    actual = two_cpus(measured_on_two_replicas, labels, logits)
    np.testing.assert_allclose(actual, [exact["ne"], exact["calibration"]], rtol=1e-6)


def test_every_public_name_is_there_and_no_submodule_hides_one():
    assert set(metrics.__all__) <= set(dir(metrics))
    assert all(callable(getattr(metrics, name)) for name in metrics.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'roc'"):
        _ = metrics.roc


def test_the_exact_metrics_do_not_load_keras():
    program = (
        "import sys, tf_interformer; before = set(sys.modules); import tf_interformer.metrics as m;"
        "m.auc([0, 1], [0, 1]);"
        "sys.exit(bool({'keras', 'tf_keras', 'tensorflow'} & set(sys.modules) - before))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
