"""The layers that the backbones are made of, one idea of a paper per file."""

from tf_interformer.layers.bilinear_pairs import BilinearPairs
from tf_interformer.layers.candidate_block import CandidateBlock
from tf_interformer.layers.collapse_avoiding_attention import CollapseAvoidingAttention
from tf_interformer.layers.combo_id_attention import ComboIdAttention
from tf_interformer.layers.compared_events import ComparedEvents
from tf_interformer.layers.composite_attention import CompositeAttention
from tf_interformer.layers.composite_projection import CompositeProjection
from tf_interformer.layers.compressed_interaction import CompressedInteraction
from tf_interformer.layers.cross_arch import CrossArch
from tf_interformer.layers.dual_enhanced_attention import DualEnhancedAttention
from tf_interformer.layers.dual_enhanced_attention_block import DualEnhancedAttentionBlock
from tf_interformer.layers.feature_tokens import FeatureTokens
from tf_interformer.layers.gated_feed_forward import GatedFeedForward
from tf_interformer.layers.gating import Gating
from tf_interformer.layers.generalized_attention import GeneralizedAttention
from tf_interformer.layers.heterogeneous_attention import HeterogeneousAttention
from tf_interformer.layers.heterogeneous_feed_forward import HeterogeneousFeedForward
from tf_interformer.layers.hierarchical_seed_pooling import HierarchicalSeedPooling
from tf_interformer.layers.hiformer_block import HiformerBlock
from tf_interformer.layers.interaction_arch import InteractionArch
from tf_interformer.layers.interactions.autoint import AutoIntInteraction
from tf_interformer.layers.interactions.cross import CrossInteraction
from tf_interformer.layers.interactions.dhen import DHENInteraction
from tf_interformer.layers.interactions.dot import DotInteraction
from tf_interformer.layers.interactions.dual_enhanced_attention import DualEnhancedAttentionInteraction
from tf_interformer.layers.interactions.expert_cross import ExpertCrossInteraction
from tf_interformer.layers.interactions.hcnet import HCNetInteraction
from tf_interformer.layers.interactions.heterogeneous_attention import HeterogeneousAttentionInteraction
from tf_interformer.layers.interactions.hiformer import HiformerInteraction
from tf_interformer.layers.interactions.hstu import HSTUInteraction
from tf_interformer.layers.interactions.squeeze_excitation import SqueezeExcitationInteraction
from tf_interformer.layers.interactions.transformer import TransformerInteraction
from tf_interformer.layers.interactions.vector_cross import VectorCrossInteraction
from tf_interformer.layers.interactions.wukong import WukongInteraction
from tf_interformer.layers.interformer_block import InterFormerBlock
from tf_interformer.layers.linear_compression import LinearCompression
from tf_interformer.layers.linear_terms import LinearTerms
from tf_interformer.layers.masknet_merge import MaskNetMerge
from tf_interformer.layers.mlp import MLP
from tf_interformer.layers.multi_head_attention import MultiHeadAttention
from tf_interformer.layers.pair_attention import PairAttention
from tf_interformer.layers.personalized_ffn import PersonalizedFFN
from tf_interformer.layers.pooling_by_attention import PoolingByAttention
from tf_interformer.layers.recent_tokens import RecentTokens
from tf_interformer.layers.rotary import rotary_angles, rotate
from tf_interformer.layers.sequence_arch import SequenceArch
from tf_interformer.layers.sequence_join import SequenceJoin
from tf_interformer.layers.sequence_pooling import SequencePooling
from tf_interformer.layers.target_pooling import TargetPooling
from tf_interformer.layers.token_mixing import TokenMixing
from tf_interformer.layers.tokenformer_block import TokenFormerBlock
from tf_interformer.layers.unified_block import UnifiedBlock

__all__ = [
    "MLP",
    "AutoIntInteraction",
    "BilinearPairs",
    "CandidateBlock",
    "CollapseAvoidingAttention",
    "ComboIdAttention",
    "ComparedEvents",
    "CompositeAttention",
    "CompositeProjection",
    "CompressedInteraction",
    "CrossArch",
    "CrossInteraction",
    "DHENInteraction",
    "DotInteraction",
    "DualEnhancedAttention",
    "DualEnhancedAttentionBlock",
    "DualEnhancedAttentionInteraction",
    "ExpertCrossInteraction",
    "FeatureTokens",
    "GatedFeedForward",
    "Gating",
    "GeneralizedAttention",
    "HCNetInteraction",
    "HSTUInteraction",
    "HeterogeneousAttention",
    "HeterogeneousAttentionInteraction",
    "HeterogeneousFeedForward",
    "HierarchicalSeedPooling",
    "HiformerBlock",
    "HiformerInteraction",
    "InterFormerBlock",
    "InteractionArch",
    "LinearCompression",
    "LinearTerms",
    "MaskNetMerge",
    "MultiHeadAttention",
    "PairAttention",
    "PersonalizedFFN",
    "PoolingByAttention",
    "RecentTokens",
    "SequenceArch",
    "SequenceJoin",
    "SequencePooling",
    "SqueezeExcitationInteraction",
    "TargetPooling",
    "TokenFormerBlock",
    "TokenMixing",
    "TransformerInteraction",
    "UnifiedBlock",
    "VectorCrossInteraction",
    "WukongInteraction",
    "rotary_angles",
    "rotate",
]
