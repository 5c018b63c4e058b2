"""How much a model attends to each event of the history."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from tf_interformer.diagnostics import attention_maps
from tf_interformer.ranker import Ranker

_SEQUENCE_ARCH = re.compile(r"backbone/sequence_arch_(\d+)/mha")


class EventAttention(NamedTuple):
    """One way to look at the attention onto the history.

    Attributes:
        title: What is shown, in a few words.
        explanation: What is shown, in a sentence.
        weights: `[B, T]`, by the position in the merged history; zero at padding.
    """

    title: str
    explanation: str
    weights: np.ndarray


def event_attention(ranker: Ranker, encoded: Mapping[str, Any]) -> list[EventAttention]:
    """What an InterFormer attends to in the history: at its end, and in its last Sequence Arch.

    Args:
        ranker: `Ranker`.
        encoded: dict. Encoded batch.

    Returns:
        list: empty where the backbone has no attention over events, as the others, which pool each history first.
    """
    time = max((sequence.max_length for sequence in ranker.schema.sequences), default=0)
    if not time or not hasattr(ranker.backbone, "merge"):
        return []
    try:
        maps = attention_maps(ranker, encoded)
    except ValueError:
        return []
    length = np.max([np.asarray(encoded[sequence.length_column]) for sequence in ranker.schema.sequences], axis=0)
    views = []
    pooled = maps.get("backbone/final_cross_arch/pma")
    if pooled is not None:
        views.append(
            EventAttention(
                "What the prediction reads from the history",
                "Pooling by attention (PMA) in the final Cross Arch, which summarises the history for the prediction: "
                "mean over its heads and its tokens. The weights of the positions add up to 100 %.",
                _masked(pooled.mean(axis=(1, 2)), length),
            )
        )
    arches = {int(found[1]): path for path in maps if (found := _SEQUENCE_ARCH.fullmatch(path))}
    if arches:
        weights = maps[arches[max(arches)]].mean(axis=1)  # [B, C + T, C + T]
        tokens = weights.shape[-1] - time
        if tokens:
            onto = weights[:, :tokens, tokens:].mean(axis=1)
            who = "The CLS tokens, which carry the summary of all features,"
        else:
            onto = np.take_along_axis(weights, np.maximum(length - 1, 0)[:, None, None], axis=1)[:, 0]
            who = "The most recent event"
        views.append(
            EventAttention(
                "What the last Sequence Arch attends to",
                f"{who} attend to each event with this weight in the last Sequence Arch: mean over heads. What goes "
                "to the CLS tokens themselves is left out, so the weights add up to less than 100 %."
                if tokens
                else f"{who} attends to each event with this weight in the last Sequence Arch: mean over heads.",
                _masked(onto, length),
            )
        )
    return views


def event_positions(ranker: Ranker, lengths: Mapping[str, int]) -> dict[str, list[int]]:
    """Where the events of each history stand in the merged one."""
    longest = max(lengths.values(), default=0)
    recent = getattr(ranker.backbone, "sequence_alignment", None) == "recent"
    return {name: [i + (longest - count if recent else 0) for i in range(count)] for name, count in lengths.items()}


def _masked(weights: np.ndarray, length: np.ndarray) -> np.ndarray:
    return np.where(np.arange(weights.shape[1]) < length[:, None], weights, 0.0)
