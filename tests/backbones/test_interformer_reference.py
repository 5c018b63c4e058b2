"""InterFormer, as printed and as it comes, against naive loops in float64."""

import numpy as np
import pytest

from tests.layer_case import scramble, tensors
from tests.reference import interformer as reference
from tests.reference.weights import weights_of
from tf_interformer.backbones import InterFormer

CONFIGS = {"dot": {}, "dcn_v2": {"num_layers": 2}, "dhen": {"num_layers": 2, "rank": 3}}


def batch(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "features": 0.5 * rng.normal(size=(4, 3, 8)),
        "sequences": {"a": 0.5 * rng.normal(size=(4, 5, 6)), "b": 0.5 * rng.normal(size=(4, 3, 4))},
        "lengths": {"a": np.array([5, 2, 0, 0], "int32"), "b": np.array([3, 3, 1, 0], "int32")},
    }


def example(inputs, i):
    """Features, sequences and lengths of one example, as the references take them."""
    sequences = [inputs["sequences"][name][i] for name in ("a", "b")]
    return inputs["features"][i], sequences, [int(inputs["lengths"][name][i]) for name in ("a", "b")]


@pytest.mark.parametrize("final_summary", ["recompute", "algorithm1"])
@pytest.mark.parametrize("interaction", ["dot", "dcn_v2", "dhen"])
def test_equals_the_equations(interaction, final_summary):
    layer = InterFormer(
        num_layers=2,
        interaction=interaction,
        interaction_config=CONFIGS[interaction],
        interaction_mlp_units=[7],
        num_summary_tokens=3,
        num_pma_tokens=2,
        num_recent_tokens=2,
        num_heads=2,
        rotary="joint",
        final_summary=final_summary,
        faithful=True,
        dtype="float64",
    )
    inputs = batch()
    layer(tensors(inputs))
    scramble(layer, scale=0.1)
    outputs = layer(tensors(inputs))["label"].numpy()
    weights = weights_of(layer)
    for i in range(4):
        expected = reference.interformer(
            *example(inputs, i),
            weights,
            layers=2,
            interaction=interaction,
            heads=2,
            recents=2,
            final_summary=final_summary,
        )
        np.testing.assert_allclose(outputs[i], expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


def ages():
    rng = np.random.default_rng(2)
    return {"a": rng.uniform(0, 12, size=(4, 5)), "b": rng.uniform(0, 12, size=(4, 3))}


def ages_of(i, rotary):
    return [ages()[name][i] for name in ("a", "b")] if rotary == "time" else None


@pytest.mark.parametrize("rotary", ["recent", "time"])
@pytest.mark.parametrize("interaction", ["dot", "dcn_v2", "dhen"])
def test_the_default_form_equals_its_equations(interaction, rotary):
    layer = InterFormer(
        num_layers=2,
        interaction=interaction,
        interaction_config=CONFIGS[interaction],
        num_summary_tokens=3,
        num_heads=2,
        targets={"a": [2, -1, 0], "b": [2, -1]},
        rotary=rotary,
        dtype="float64",
    )
    inputs = {**batch(), "ages": ages()}
    layer(tensors(inputs))
    scramble(layer, scale=0.1)
    outputs = layer(tensors(inputs))["label"].numpy()
    weights = weights_of(layer)
    for i in range(4):
        expected = reference.interformer_by_default(
            *example(inputs, i),
            weights,
            targets=[0, 2],
            layers=2,
            interaction=interaction,
            heads=2,
            recents=2,
            ages=ages_of(i, rotary),
        )
        np.testing.assert_allclose(outputs[i], expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("interaction", ["dot", "dhen"])
@pytest.mark.parametrize("told", ["summary", "tokens"])
@pytest.mark.parametrize("candidate", [[2], [0, 1, 2]], ids=["with user tokens", "without"])
def test_the_request_form_equals_its_equations(interaction, candidate, told):
    """Five candidates of four users, whose first has an empty history in neither sequence."""
    layer = InterFormer(
        num_layers=2,
        interaction=interaction,
        interaction_config=CONFIGS[interaction],
        num_summary_tokens=3,
        num_heads=2,
        targets={"a": [2, -1, 0], "b": [2, -1]},
        candidate_flow="request",
        candidate_tokens=candidate,
        user_tokens=told,
        rotary="time" if interaction == "dot" else "recent",
        dtype="float64",
    )
    inputs = batch()
    row = np.array([0, 0, 1, 2, 2], "int32")
    rng = np.random.default_rng(1)
    features = 0.5 * rng.normal(size=(5, 3, 8))
    users = [i for i in range(3) if i not in candidate]
    features[:, users] = inputs["features"][row][:, users]
    compared = {"b": 0.5 * rng.normal(size=(5, 3, 4))}
    inputs |= {"features": features, "row": row, "compared": compared, "ages": ages()}
    if users:
        inputs["user_features"] = batch()["features"][:, users]
    layer(tensors(inputs))
    scramble(layer, scale=0.1)
    outputs = layer(tensors(inputs))["label"].numpy()
    weights = weights_of(layer)
    for i in range(5):
        _, sequences, lengths = example(inputs, row[i])
        expected = reference.interformer_by_request(
            features[i],
            sequences,
            lengths,
            [None, compared["b"][i]],
            weights,
            candidate=candidate,
            told=told,
            asking=[index for index in candidate if index in (0, 2)],
            layers=2,
            interaction=interaction,
            heads=2,
            recents=2,
            ages=ages_of(row[i], layer.rotary),
        )
        np.testing.assert_allclose(outputs[i], expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())
