"""Every layer keeps the contract of `tests/layer_case.py`."""

from functools import partial

import numpy as np
import pytest

from tests.layer_case import check_layer
from tf_interformer import layers
from tf_interformer.layers._token_norm import TokenNorm

rng = np.random.default_rng(0)


def normal(*shape):
    return rng.normal(size=shape).astype("float32")


TOKENS = normal(4, 5, 6)
LENGTHS = np.array([7, 3, 1, 0], "int32")
HISTORY = {"sequence": normal(4, 7, 6), "lengths": LENGTHS}
SUMMARY = normal(4, 3, 6)
BOTH = {"features": TOKENS, **HISTORY}
SHARED = {"tokens": TOKENS, "shared": SUMMARY}
EVENTS = {
    "sequences": {"long": normal(4, 7, 4), "short": normal(4, 3, 5)},
    "lengths": {"long": LENGTHS, "short": np.array([0, 3, 2, 1], "int32")},
}

ARCHES = {
    "cross_arch": layers.CrossArch(num_summary_tokens=2, num_heads=2, num_target_tokens=1),
    "interaction_arch": layers.InteractionArch("dot"),
    "sequence_arch": layers.SequenceArch(num_heads=3, num_cls_tokens=2),
}
APART = {
    "cross_arch": None,
    "interaction_arch": layers.InteractionArch("dot"),
    "sequence_arch": layers.SequenceArch("plain", num_heads=1),
}
CASES = {
    "mlp": (layers.MLP, {"units": [8, 5], "final_activation": "tanh"}, TOKENS),
    "mlp_shared": (layers.MLP, {"units": [8, 5]}, {"tokens": TOKENS[:, 0], "shared": SUMMARY[:, 0]}),
    "token_norm": (TokenNorm, {}, TOKENS),
    "rms_norm": (TokenNorm, {"rms": True}, TOKENS),
    "soft_norm": (TokenNorm, {"soft": True, "start": 0.5}, TOKENS),
    "lce": (layers.LinearCompression, {"num_tokens": 3}, TOKENS),
    "lce_expands": (layers.LinearCompression, {"num_tokens": 9}, TOKENS),
    "gating_identity": (layers.Gating, {}, TOKENS),
    "gating_tanh": (layers.Gating, {"activation": "tanh", "hidden_units": [4]}, TOKENS),
    "gating_sigmoid": (layers.Gating, {"activation": "sigmoid"}, TOKENS),
    "gating_glu": (layers.Gating, {"activation": "glu"}, TOKENS),
    "merge": (layers.MaskNetMerge, {"dim": 6}, EVENTS),
    "merge_recent_sigmoid": (
        layers.MaskNetMerge,
        {"dim": 6, "alignment": "oldest", "mask_activation": "sigmoid", "mask_ratio": 0.5},
        EVENTS,
    ),
    "merge_without_mask": (
        layers.MaskNetMerge,
        {"dim": 6, "mask_ratio": None},
        {"sequences": {"one": normal(4, 7, 4)}, "lengths": {"one": LENGTHS}},
    ),
    "attention": (
        layers.MultiHeadAttention,
        {"num_heads": 3},
        {
            "sequence": HISTORY["sequence"],
            "mask": np.arange(7) < LENGTHS[:, None],
            "positions": np.arange(28, dtype="int32").reshape(4, 7) % 5,
        },
    ),
    "attention_without_mask": (layers.MultiHeadAttention, {"num_heads": 2, "rotary": False}, TOKENS),
    "pffn_linear": (layers.PersonalizedFFN, {}, {"sequence": HISTORY["sequence"], "summary": SUMMARY}),
    "pffn_two_layer": (
        layers.PersonalizedFFN,
        {"mode": "two_layer", "hidden_dim": 5},
        {"sequence": HISTORY["sequence"], "summary": SUMMARY},
    ),
    "pffn_plain": (layers.PersonalizedFFN, {"mode": "plain"}, {"sequence": HISTORY["sequence"]}),
    "pma": (layers.PoolingByAttention, {"num_tokens": 3, "num_heads": 2}, HISTORY),
    "pma_full": (layers.PoolingByAttention, {"num_heads": 3, "full": True}, HISTORY),
    "sequence_join": (layers.SequenceJoin, {"dim": 6, "max_positions": 3}, EVENTS),
    "unified_block": (layers.UnifiedBlock, {"num_heads": 2, "num_queries": 2, "dropout": 0.1}, BOTH),
    "unified_block_shared": (
        layers.UnifiedBlock,
        {"num_heads": 3, "ffn_dim": 5, "own_weights": False, "causal_features": False},
        BOTH,
    ),
    "unified_block_last": (layers.UnifiedBlock, {"num_heads": 2, "num_queries": 0}, BOTH),
    "sequence_pooling": (layers.SequencePooling, {"dim": 6}, EVENTS),
    "sequence_pooling_attention": (
        layers.SequencePooling,
        {"dim": 6, "pooling": "attention", "num_tokens": 2},
        EVENTS,
    ),
    "target_pooling": (layers.TargetPooling, {"num_tokens": 3, "num_heads": 2}, {**HISTORY, "target": normal(4, 10)}),
    "compared_events": (
        layers.ComparedEvents,
        {"dim": 6},
        {
            "compared": {"short": normal(4, 3, 5)},
            "lengths": {"short": np.array([0, 3, 2, 1], "int32")},
            "longest": LENGTHS,
            "events": HISTORY["sequence"],
        },
    ),
    "candidate_block": (
        layers.CandidateBlock,
        {
            "interaction_arch": layers.InteractionArch("dot"),
            "target_pooling": layers.TargetPooling(2, num_heads=2),
            "gating": "tanh",
        },
        {**BOTH, "user": SUMMARY, "target": normal(4, 10), "compared": normal(4, 7, 12)},
    ),
    "candidate_block_that_asks": (
        layers.CandidateBlock,
        {"target_pooling": layers.TargetPooling(2, num_heads=3, seeds=True), "gating": None},
        {**BOTH, "target": normal(4, 10)},
    ),
    "candidate_block_that_does_not": (
        layers.CandidateBlock,
        {"interaction_arch": layers.InteractionArch("dot")},
        {**BOTH, "user": SUMMARY},
    ),
    "feature_tokens": (layers.FeatureTokens, {"num_tokens": 3, "dim": 4}, TOKENS),
    "feature_tokens_uneven": (layers.FeatureTokens, {"num_tokens": 5, "global_token": True}, TOKENS),
    "feature_tokens_joint": (layers.FeatureTokens, {"num_tokens": 2, "tokenizer": "joint"}, TOKENS),
    "gated_feed_forward": (layers.GatedFeedForward, {"hidden_dim": 5, "dropout": 0.1}, TOKENS),
    "generalized_attention": (
        layers.GeneralizedAttention,
        {"num_heads": 2},
        {"sequence": HISTORY["sequence"], "summary": SUMMARY},
    ),
    "seed_pooling": (
        layers.HierarchicalSeedPooling,
        {"num_tokens": 2, "num_seeds": 3, "num_products": 2, "num_heads": 2},
        HISTORY,
    ),
    "tokenformer_block": (
        layers.TokenFormerBlock,
        {"num_heads": 3, "ffn_dim": 5, "window": 3, "dropout": 0.1},
        {
            "sequence": HISTORY["sequence"],
            "mask": np.arange(7) < LENGTHS[:, None],
            "order": np.tile(np.arange(7, dtype="int32"), (4, 1)),
            "positions": np.arange(28, dtype="int32").reshape(4, 7) % 5,
        },
    ),
    "token_mixing": (layers.TokenMixing, {}, TOKENS[:, :3]),
    "recent": (layers.RecentTokens, {"num_tokens": 3}, HISTORY),
    "cross_arch": (layers.CrossArch, {"num_heads": 2, "num_recent_tokens": 3}, BOTH),
    "cross_arch_with_cls": (
        layers.CrossArch,
        {"num_heads": 2, "gating": None, "normalize": False, "num_pma_tokens": 0},
        {**BOTH, "cls": SUMMARY},
    ),
    "cross_arch_with_target": (
        layers.CrossArch,
        {"num_heads": 2, "num_target_tokens": 3, "num_pma_tokens": 0},
        {**BOTH, "target": normal(4, 12)},
    ),
    "cross_arch_average": (layers.CrossArch, {"aggregation": "average", "gating": "tanh"}, BOTH),
    "cross_arch_mlp": (layers.CrossArch, {"aggregation": "mlp", "cls_tokens": False}, BOTH),
    "cross_arch_mha": (layers.CrossArch, {"aggregation": "mha", "num_heads": 2}, BOTH),
    "cross_arch_features_only": (layers.CrossArch, {"summarize_sequence": False}, {"features": TOKENS}),
    "dot": (layers.DotInteraction, {}, TOKENS),
    "dot_even": (layers.DotInteraction, {}, TOKENS[:, :4]),
    "dot_pair": (layers.DotInteraction, {}, TOKENS[:, :2]),
    "dot_shared": (layers.DotInteraction, {}, SHARED),
    "dcn_shared": (layers.CrossInteraction, {"num_layers": 2}, SHARED),
    "dcn_low_rank_shared": (layers.CrossInteraction, {"rank": 3}, SHARED),
    "dhen_shared": (layers.DHENInteraction, {"num_layers": 2, "rank": 4}, SHARED),
    "dhen_identity_shared": (layers.DHENInteraction, {"shortcut": "identity", "rank": 4}, SHARED),
    "dcn": (layers.CrossInteraction, {"num_layers": 2}, TOKENS),
    "dcn_low_rank": (layers.CrossInteraction, {"num_layers": 2, "rank": 3}, TOKENS),
    "dhen": (layers.DHENInteraction, {"num_layers": 2, "rank": 4}, TOKENS),
    "dhen_identity": (layers.DHENInteraction, {"shortcut": "identity", "rank": None, "cross_layers": 2}, TOKENS),
    "interaction_arch": (
        layers.InteractionArch,
        {"interaction_config": {"rank": 4}, "mlp_units": [9]},
        {"features": TOKENS, "summary": SUMMARY},
    ),
    "interaction_arch_lce": (
        layers.InteractionArch,
        {"interaction": "dot", "mlp": "lce", "residual": False},
        {"features": TOKENS, "summary": SUMMARY},
    ),
    "interaction_arch_alone": (layers.InteractionArch, {"interaction": "cross", "dropout": 0.1}, TOKENS),
    "sequence_arch": (
        layers.SequenceArch,
        {"num_heads": 3, "dropout": 0.1, "num_cls_tokens": 1},
        {**HISTORY, "lengths": np.maximum(LENGTHS - 1, 0), "summary": SUMMARY},
    ),
    "sequence_arch_faithful_cls": (
        layers.SequenceArch,
        {"num_heads": 3, "residual": False, "num_cls_tokens": 2, "rotary": "behaviours"},
        {"sequence": HISTORY["sequence"], "lengths": LENGTHS - 2, "summary": SUMMARY},
    ),
    "interformer_block": (layers.InterFormerBlock, ARCHES, {**BOTH, "target": normal(4, 12), "cls": SUMMARY[:, :2]}),
    "interformer_block_first": (layers.InterFormerBlock, ARCHES, {**BOTH, "target": normal(4, 12)}),
    "interformer_block_apart": (layers.InterFormerBlock, APART, BOTH),
    "sequence_arch_ffn_only": (layers.SequenceArch, {"attention": False}, {**HISTORY, "summary": SUMMARY}),
    "sequence_arch_attention_only": (
        layers.SequenceArch,
        {"personalized_ffn": None, "num_heads": 1, "rotary": None},
        HISTORY,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_contract(case):
    layer, arguments, inputs = CASES[case]
    check_layer(partial(layer, **arguments), inputs)
