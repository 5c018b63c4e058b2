"""Hiformer as a backbone, and its layers as interactions of InterFormer."""

from functools import partial

import numpy as np
import pytest
import tensorflow as tf

from tests.backbones.case import batch, with_garbage
from tests.layer_case import assert_close, assert_every_weight_learns, check_layer, gradients, scramble, tensors
from tests.reference import hiformer as reference
from tests.reference.weights import weights_of
from tf_interformer import backbones
from tf_interformer._keras import keras
from tf_interformer.backbones import Hiformer, InterFormer

VARIANTS = {
    "default": {},
    "heterogeneous": {"attention": "heterogeneous"},
    "low_rank": {"rank_k": 3, "rank_v": [5, None]},
    "rank_per_head": {"rank_k": 3, "rank_v": 5, "rank_per_head": True},
    "own_query": {"composite_query": False},
    "pre": {"norm": "pre", "dropout": 0.1},
    "one_layer": {"num_layers": 1, "key_dim": 3, "value_dim": 5, "ffn_dim": 7},
    "two_tasks": {"tasks": ["click", "like"], "activation": "swish"},
    "attention_pooling": {"sequence_pooling": "attention", "num_sequence_tokens": 2},
}
# The others differ from these in nothing that a compiler or a file could see, or by layers with tests of their own.
COMPILED = {"low_rank", "two_tasks"}


def make(name="default", **kwargs):
    return Hiformer(**{"num_heads": 2, **VARIANTS[name], **kwargs})


@pytest.mark.parametrize("name", VARIANTS)
def test_contract(name):
    check_layer(partial(make, name), batch(), saves=name in COMPILED, xla=name in COMPILED)


@pytest.mark.parametrize("interaction", ["hiformer", "heterogeneous_attention"])
def test_as_an_interaction_of_interformer(interaction):
    variant = partial(
        InterFormer, num_layers=1, num_heads=2, interaction=interaction, interaction_config={"num_heads": 2}
    )
    check_layer(variant, batch(), saves=False, xla=False)


@pytest.mark.parametrize("prune", [True, False])
@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("name", ["heterogeneous", "low_rank", "rank_per_head", "own_query", "two_tasks"])
def test_equals_the_equations(name, norm, prune):
    arguments = {"norm": norm, "prune_last_layer": prune, "activation": "gelu", "dtype": "float64"}
    arguments["entry_norm"] = name != "own_query"
    layer = make(name, **arguments)
    inputs = batch(size=4, tokens=3, width=4, events=(3, 5), dtype="float64")
    layer(tensors(inputs))
    scramble(layer, scale=0.2)
    got = layer(tensors(inputs))
    weights = weights_of(layer)
    for i in range(4):
        expected = reference.hiformer(
            inputs["features"][i],
            [inputs["sequences"][key][i] for key in ("a", "b")],
            [int(inputs["lengths"][key][i]) for key in ("a", "b")],
            weights,
            heads=2,
            key_dim=2,
            value_dim=2,
            norm=norm,
            prune=prune,
        )
        for task, vector in zip(layer.tasks, expected, strict=True):
            np.testing.assert_allclose(got[task][i], vector, rtol=1e-9, atol=1e-9)


def last_rows(values, number):
    return values[len(values) - number :]


def copy_to_pruned(full, pruned, number):
    """Gives the pruned model the weights that it shares with the unpruned one.

    The unpruned last layer has in addition the query columns, the output projection and the feed-forward network of
    every token that is no task token.
    """
    for source, target in zip(full.blocks[:-1], pruned.blocks[:-1], strict=True):
        target.set_weights(source.get_weights())
    pruned.task_tokens.assign(full.task_tokens)
    pruned.token_norm.set_weights(full.token_norm.get_weights())
    if full.pooling is not None:
        pruned.pooling.set_weights(full.pooling.get_weights())
    source, target = full.blocks[-1], pruned.blocks[-1]
    for name in ("attention_norm", "feed_forward_norm"):
        getattr(target, name).set_weights(getattr(source, name).get_weights())
    target.feed_forward.set_weights([last_rows(w, number) for w in source.feed_forward.get_weights()])
    source, target = source.attention, target.attention
    target.output_kernel.assign(last_rows(source.output_kernel.numpy(), number))
    if hasattr(source, "key"):
        target.key.set_weights(source.key.get_weights())
        target.value.set_weights(source.value.get_weights())
    else:
        target.key_value_kernel.assign(source.key_value_kernel)
    if not hasattr(source, "query"):
        target.query_kernel.assign(last_rows(source.query_kernel.numpy(), number))
        return
    heads, columns = source.num_heads, number * source.query.head_dim
    if source.rank_k is None:
        kernel = source.query.kernel.numpy().reshape(-1, heads, source.query.kernel.shape[1] // heads)
        target.query.kernel.assign(kernel[:, :, -columns:].reshape(-1, heads * columns))
        return
    left, right = source.query.get_weights()
    if not source.rank_per_head:
        right = right.reshape(right.shape[0], heads, -1)[:, :, -columns:].reshape(-1, heads * columns)
        if target.query.right_kernel.shape[0] < right.shape[0]:
            # So few columns have a lower rank than the whole matrix: the same product, in other factors.
            left, right = left @ right, np.eye(heads * columns)
        target.query.set_weights([left, right])
        return
    right = right[:, :, -columns:]
    if target.query.right_kernel.shape[1] < right.shape[1]:
        by_head = left.reshape(-1, heads, right.shape[1])
        left = np.einsum("shr,hrc->shc", by_head, right).reshape(-1, heads * columns)
        right = np.stack([np.eye(columns)] * heads)
    target.query.set_weights([left, right])


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("default", {}),
        ("heterogeneous", {}),
        ("own_query", {}),
        ("default", {"rank_k": 3, "rank_v": 3}),
        ("default", {"rank_k": 9, "rank_v": 9}),
        ("rank_per_head", {}),
        ("rank_per_head", {"rank_k": 6}),
        ("two_tasks", {"rank_k": 9}),
        ("two_tasks", {"rank_k": 40}),
        ("one_layer", {}),
    ],
)
def test_pruning_loses_nothing(name, arguments):
    inputs = tensors(batch(dtype="float64"))
    full = make(name, prune_last_layer=False, dtype="float64", **arguments)
    pruned = make(name, dtype="float64", **arguments)
    full(inputs), pruned(inputs)
    scramble(full)
    copy_to_pruned(full, pruned, len(full.tasks))
    assert pruned.count_params() < full.count_params()
    for task, expected in full(inputs).items():
        np.testing.assert_allclose(pruned(inputs)[task], expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_weight_of_the_pruned_model_learns(name):
    inputs = batch()
    layer = make(name, dropout=0.0)
    layer(tensors(inputs))
    assert_every_weight_learns(layer, inputs)  # from the initial values too


def test_tasks_get_representations_of_their_own():
    layer = make(tasks=["click", "like", "follow"])
    outputs = layer(tensors(batch()))
    assert list(outputs) == ["click", "like", "follow"]
    for one, other in (("click", "like"), ("click", "follow"), ("like", "follow")):
        assert np.abs((outputs[one] - outputs[other]).numpy()).max() > 0.1


@pytest.mark.parametrize("name", ["default", "pre"])
def test_without_sequences(name):
    inputs = {**batch(), "sequences": {}, "lengths": {}}
    layer = make(name)
    assert tuple(layer(tensors(inputs))["label"].shape) == (4, 8)
    assert layer.compute_output_shape({"features": (4, 5, 8), "sequences": {}, "lengths": {}}) == {"label": (4, 8)}
    assert_every_weight_learns(layer, inputs)


@pytest.mark.parametrize("name", ["default", "attention_pooling"])
def test_padding_never_changes_the_output(name):
    layer = make(name)
    inputs = batch()
    expected = layer(tensors(inputs))
    for scale in (1e4, 1e30, np.nan):
        assert_close(layer(tensors(with_garbage(inputs, scale=scale))), expected, 1e-6)
    longer = {name: np.pad(x, ((0, 0), (0, 3), (0, 0))) for name, x in inputs["sequences"].items()}
    assert_close(layer(tensors({**inputs, "sequences": longer})), expected, 1e-5, "more padding")


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("name", ["default", "attention_pooling"])
def test_an_empty_history_is_finite(name, policy):
    lengths = {"a": np.zeros(4, "int32"), "b": np.zeros(4, "int32")}
    inputs = with_garbage(batch(lengths=lengths))
    layer = make(name, dtype=policy)
    assert np.isfinite(tf.cast(layer(tensors(inputs))["label"], "float32").numpy()).all()
    for weight, gradient in gradients(layer, inputs).items():
        assert np.isfinite(gradient.astype("float32")).all(), weight


@pytest.mark.parametrize("sizes", [{"tokens": 1}, {"size": 1}, {"times": (1,), "events": (3,)}, {"width": 6}])
def test_sizes_need_not_coincide(sizes):
    inputs = batch(**sizes)
    output = make()(tensors(inputs))["label"]
    assert tuple(output.shape) == (sizes.get("size", 4), sizes.get("width", 8))
    assert np.isfinite(output.numpy()).all()


def test_features_may_be_a_list_and_ids_are_ignored():
    inputs = tensors(batch())
    layer = make()
    expected = layer(inputs)["label"]
    as_list = {**inputs, "features": [inputs["features"][:, i] for i in range(5)]}
    assert_close(layer(as_list)["label"], expected, 1e-6)
    assert_close(layer({**inputs, "ids": tf.ones((4, 5), "int32")})["label"], expected, 1e-6)


@pytest.mark.parametrize("name", ["default", "heterogeneous", "pre", "low_rank"])
def test_the_variance_neither_grows_nor_dies_with_depth(name):
    inputs = batch(size=64, tokens=12, width=16, times=(10, 6), events=(32, 16))
    for scale in (0.05, 1.0):
        sequences = {name: scale * x for name, x in inputs["sequences"].items()}
        scaled = {**inputs, "features": scale * inputs["features"], "sequences": sequences}
        squares = []
        for layers in (1, 6):
            keras.utils.set_random_seed(layers)
            ranks = {"rank_v": 5} if name == "low_rank" else {}
            output = make(name, num_layers=layers, **ranks)(tensors(scaled))["label"].numpy()
            squares.append(np.mean(output**2))
            # The examples still differ.
            assert np.mean(np.var(output, axis=0)) > 0.02 * squares[-1], (scale, layers)
        assert 0.5 < squares[1] / squares[0] < 15 and max(squares) < 2.0, (scale, squares)


def test_token_names():
    layer = make("attention_pooling", tasks=["click", "like"])
    names = layer.token_names(["user", "item"], ["views", "buys"])
    assert names == ["user", "item", "buys_0", "buys_1", "views_0", "views_1", "click", "like"]
    assert make().token_names(["user"], ["views"]) == ["user", "views", "label"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"tasks": "label"}, "tasks"),
        ({"num_layers": 0}, "num_layers"),
        ({"attention": "vanilla"}, "attention"),
        ({"num_heads": 0}, "num_heads"),
        ({"rank_k": [3]}, r"rank_k=\[3\], num_layers=2"),
        ({"rank_v": 0}, "rank_v"),
        ({"attention": "heterogeneous", "rank_v": 2}, "rank_v=2"),
        ({"ffn_dim": -1}, "ffn_dim"),
        ({"norm": None}, "norm"),
        ({"sequence_pooling": "max"}, "sequence_pooling"),
        ({"num_sequence_tokens": 2}, "num_sequence_tokens=2"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_a_wrong_argument_is_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        Hiformer(**arguments)


def test_registry():
    layer = backbones.get("hiformer", tasks=["click"], num_layers=3, rank_k=[2, None, 4])
    assert isinstance(layer, Hiformer)
    clone = backbones.get(keras.saving.serialize_keras_object(layer))
    assert (clone.tasks, clone.rank_k) == (("click",), (2, None, 4))
