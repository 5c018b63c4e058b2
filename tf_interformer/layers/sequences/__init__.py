"""Layers over one behaviour sequence, most of them with a target: what the behaviour-sequence models are made of."""

from tf_interformer.layers.sequences.attentional_gru import AttentionalGRU
from tf_interformer.layers.sequences.candidate_transformer import CandidateTransformer
from tf_interformer.layers.sequences.event_merging import EventMerging
from tf_interformer.layers.sequences.hstu_block import HSTUBlock
from tf_interformer.layers.sequences.interest_decoder import InterestDecoder
from tf_interformer.layers.sequences.interest_evolution import InterestEvolution
from tf_interformer.layers.sequences.match_to_rank import MatchToRank
from tf_interformer.layers.sequences.multi_interest import MultiInterest
from tf_interformer.layers.sequences.recency_positions import RecencyPositions
from tf_interformer.layers.sequences.sequence_attention import SequenceAttention
from tf_interformer.layers.sequences.sequence_transformer import SequenceTransformer
from tf_interformer.layers.sequences.target_attention import TargetAttention
from tf_interformer.layers.sequences.target_transducer import TargetTransducer
from tf_interformer.layers.sequences.transformer_block import TransformerBlock

__all__ = [
    "AttentionalGRU",
    "CandidateTransformer",
    "EventMerging",
    "HSTUBlock",
    "InterestDecoder",
    "InterestEvolution",
    "MatchToRank",
    "MultiInterest",
    "RecencyPositions",
    "SequenceAttention",
    "SequenceTransformer",
    "TargetAttention",
    "TargetTransducer",
    "TransformerBlock",
]
