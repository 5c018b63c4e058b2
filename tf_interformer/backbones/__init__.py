"""Models from tokens to one representation per task."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

from tf_interformer.backbones._targets import targets_of
from tf_interformer.backbones.base import Backbone
from tf_interformer.backbones.baselines._of_one_layer import OfOneLayer
from tf_interformer.backbones.baselines.afm import AFM
from tf_interformer.backbones.baselines.autoint import AutoInt
from tf_interformer.backbones.baselines.bst import BST
from tf_interformer.backbones.baselines.dcn import DCN
from tf_interformer.backbones.baselines.dcn_v2 import DCNv2
from tf_interformer.backbones.baselines.dhen import DHEN
from tf_interformer.backbones.baselines.dien import DIEN
from tf_interformer.backbones.baselines.din import DIN
from tf_interformer.backbones.baselines.dlrm import DLRM
from tf_interformer.backbones.baselines.dmin import DMIN
from tf_interformer.backbones.baselines.dmr import DMR
from tf_interformer.backbones.baselines.dmt import DMT
from tf_interformer.backbones.baselines.fibinet import FiBiNET
from tf_interformer.backbones.baselines.fm import FM
from tf_interformer.backbones.baselines.fmfm import FmFM
from tf_interformer.backbones.baselines.hstu import HSTU
from tf_interformer.backbones.baselines.hstu_fields import FieldHSTU
from tf_interformer.backbones.baselines.hyformer import HyFormer
from tf_interformer.backbones.baselines.kunlun import Kunlun
from tf_interformer.backbones.baselines.longer import LONGER
from tf_interformer.backbones.baselines.memonet import MemoNet
from tf_interformer.backbones.baselines.onetrans import OneTrans
from tf_interformer.backbones.baselines.rankmixer import RankMixer
from tf_interformer.backbones.baselines.tokenformer import TokenFormer
from tf_interformer.backbones.baselines.transact import TransAct
from tf_interformer.backbones.baselines.transformer import FieldTransformer
from tf_interformer.backbones.baselines.wukong import Wukong
from tf_interformer.backbones.baselines.xdeepfm import XDeepFM
from tf_interformer.backbones.dual_enhanced_attention import DualEnhancedAttentionNetwork
from tf_interformer.backbones.hiformer import Hiformer
from tf_interformer.backbones.interformer import InterFormer
from tf_interformer.embedding import TokenEmbedder
from tf_interformer.layers._registry import Registry

_REGISTRY = Registry(
    "backbone",
    {
        "afm": AFM,
        "autoint": AutoInt,
        "bst": BST,
        "dcn": DCN,
        "dcn_v2": DCNv2,
        "dhen": DHEN,
        "dien": DIEN,
        "din": DIN,
        "dlrm": DLRM,
        "dmin": DMIN,
        "dmr": DMR,
        "dmt": DMT,
        "dual_enhanced_attention": DualEnhancedAttentionNetwork,
        "fibinet": FiBiNET,
        "fm": FM,
        "fmfm": FmFM,
        "hiformer": Hiformer,
        "hstu": HSTU,
        "hstu_fields": FieldHSTU,
        "hyformer": HyFormer,
        "interformer": InterFormer,
        "kunlun": Kunlun,
        "longer": LONGER,
        "memonet": MemoNet,
        "onetrans": OneTrans,
        "rankmixer": RankMixer,
        "tokenformer": TokenFormer,
        "transact": TransAct,
        "transformer": FieldTransformer,
        "wukong": Wukong,
        "xdeepfm": XDeepFM,
    },
)


def get(identifier: Any, **config: Any) -> Any:
    """Returns a backbone.

    Args:
        identifier: str, dict or layer. A name, the Keras config of a backbone, or a backbone, which is returned as
            it is.
        **config: Arguments for the constructor; for a Keras config they replace its own.

    Raises:
        ValueError: If the name is unknown; the message lists the known ones.

    Example:

    >>> get("interformer", tasks=["click"], num_layers=2).num_layers
    2
    """
    return _REGISTRY.get(identifier, **config)


def arguments(name: str) -> list[str]:
    """Returns the names of the arguments that the backbone of this name takes, without those of every Keras layer.

    Raises:
        KeyError: If the name is unknown.

    Example:

    >>> "num_heads" in arguments("interformer"), "layers" in arguments("interformer")
    (True, False)
    """
    kinds = [kind for kind in _REGISTRY.classes[name].__mro__ if issubclass(kind, Backbone)]
    found = {argument for kind in kinds for argument in signature(kind.__init__).parameters}
    if issubclass(kinds[0], OfOneLayer):
        found |= set(kinds[0].layer_arguments())
    return sorted(found - {"self", "args", "kwargs"})


def needs_targets(name: str) -> bool:
    """Returns whether the backbone of this name takes `targets`."""
    return bool(getattr(_REGISTRY.classes.get(name), "needs_targets", False))


def is_by_side(identifier: Any, config: Mapping[str, Any] | None = None) -> bool:
    """Returns whether a backbone needs tokens of `TokenEmbedder(by_side=True)`.

    Args:
        identifier: str, dict or layer. As in `get`.
        config: dict or None. Arguments for a backbone given by name.
    """
    if isinstance(identifier, str):
        flow = (config or {}).get("candidate_flow")
    elif isinstance(identifier, Mapping):
        flow = identifier.get("config", {}).get("candidate_flow")
    else:
        flow = getattr(identifier, "candidate_flow", None)
    return bool(flow == "request")


def for_embedder(embedder: TokenEmbedder, identifier: Any, config: Mapping[str, Any] | None, dtype: Any) -> Backbone:
    """Returns the backbone behind an embedder: its tasks are the schema's labels; which tokens are what is filled in.

    Args:
        embedder: `TokenEmbedder`.
        identifier: str, dict or layer. As in `get`.
        config: dict or None. Arguments for a backbone given by name.
        dtype: The dtype policy of a backbone given by name.

    Raises:
        ValueError: `config` comes with a backbone that is not given by name, or its tasks are not the labels.
    """
    schema = embedder.schema
    if isinstance(identifier, str):
        config = dict(config or {})
        if needs_targets(identifier):
            config.setdefault("targets", targets_of(schema, embedder.feature_names))
        if is_by_side(identifier, config):
            config.setdefault("candidate_tokens", embedder.candidate_tokens)
        by_name: Backbone = get(identifier, tasks=schema.tasks, name="backbone", dtype=dtype, **config)
        return by_name
    if config is not None:
        raise ValueError(f"`backbone_config` needs a backbone given by name. Received: backbone={identifier!r:.80}")
    made: Backbone = get(identifier)
    if tuple(made.tasks) != schema.tasks:
        raise ValueError(f"the backbone's tasks must be the schema's labels {schema.tasks}. Received: {made.tasks}")
    return made


def names() -> list[str]:
    """Returns the names that `get` knows."""
    return sorted(_REGISTRY.classes)


__all__ = [
    "AFM",
    "BST",
    "DCN",
    "DHEN",
    "DIEN",
    "DIN",
    "DLRM",
    "DMIN",
    "DMR",
    "DMT",
    "FM",
    "HSTU",
    "LONGER",
    "AutoInt",
    "Backbone",
    "DCNv2",
    "DualEnhancedAttentionNetwork",
    "FiBiNET",
    "FieldHSTU",
    "FieldTransformer",
    "FmFM",
    "Hiformer",
    "HyFormer",
    "InterFormer",
    "Kunlun",
    "MemoNet",
    "OneTrans",
    "RankMixer",
    "TokenFormer",
    "TransAct",
    "Wukong",
    "XDeepFM",
    "arguments",
    "for_embedder",
    "get",
    "is_by_side",
    "names",
    "needs_targets",
    "targets_of",
]
