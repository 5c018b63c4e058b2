"""What the package's own models have learned: attention maps and information abundance, as pictures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.compare.costs import ROWS
from pipelines.compare.pictures import svg_of
from pipelines.input import Source
from tf_interformer import diagnostics
from tf_interformer.backbones import DualEnhancedAttentionNetwork, Hiformer, InterFormer
from tf_interformer.ranker import Ranker
from tf_interformer.run_directory import RunDirectory

_OURS = (InterFormer, Hiformer, DualEnhancedAttentionNetwork)


def draw_insides(runs: Mapping[str, Path], sources: Mapping[str, Source]) -> dict[str, dict[str, str]]:
    """Pictures of the first model of each of the package's own backbones.

    Args:
        runs: Model -> folder of a run, the best first.
        sources: Model -> its data; the first rows of the test split are what the models attend to.

    Returns:
        dict: model -> title -> SVG.
    """
    made: dict[str, dict[str, str]] = {}
    seen: set[type] = set()
    for name, run in runs.items():
        if not RunDirectory(run).model.is_file():
            continue
        ranker = RunDirectory(run).load_model()
        if not isinstance(ranker.backbone, _OURS) or type(ranker.backbone) in seen:
            continue
        seen.add(type(ranker.backbone))
        made[name] = {"Information abundance of the embeddings": _abundance(ranker)}
        for title, figure in _attention(ranker, sources[name]).items():
            made[name][title] = svg_of(figure)
    return made


def _abundance(ranker: Ranker) -> str:
    values = diagnostics.information_abundance(ranker)
    most = {field: min(ranker.embedder.rows_of(field)[1:].shape) for field in values}
    return svg_of(diagnostics.plot_information_abundance(values, most=most, title=""))


def _attention(ranker: Ranker, source: Source) -> dict[str, Any]:
    """The first attention over named tokens, averaged over examples and heads."""
    if not hasattr(ranker.backbone, "token_names"):
        return {}
    raw = next(source.raw_batches("test", ROWS).as_numpy_iterator())
    names = diagnostics.token_names(ranker)
    for path, weights in diagnostics.attention_maps(ranker, ranker.preprocessor(raw)).items():
        if weights.shape[-1] == len(names) >= weights.shape[-2]:
            return {f"Attention, {path}": diagnostics.plot_attention(weights, names)}
    return {}
