"""The layers and models of the cases."""

from typing import Any

from benchmarks import standard_work
from benchmarks.gpu.cases import Case
from tf_interformer import Ranker, layers
from tf_interformer.layers._common import build_sublayer

TOKENS = 32
SUMMARY = 4
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
HEADS = {"interformer": 2, "hiformer": 4}


def ranker(case: Case) -> Ranker:
    """Returns a compiled `Ranker` of the standard work, with the optimizer that it takes by itself."""
    made = Ranker(
        standard_work.schema(events=case.events),
        case.kind,
        {"num_layers": case.layers, "num_heads": HEADS[case.kind]},
        embedding={"dim": case.width},
        tower_units=(256, 64),
        dtype=POLICIES[case.dtype],
    )
    made.compile()
    return made


def layer(case: Case) -> tuple[Any, Any]:
    """Returns a layer that is built, and the shapes of its input by name, or the one shape."""
    tokens = (case.rows, TOKENS, case.width)
    history = {"sequence": (case.rows, case.events, case.width), "lengths": (case.rows,)}
    policy = POLICIES[case.dtype]
    shapes: Any
    if case.kind == "sequence_arch":
        made = layers.SequenceArch(num_cls_tokens=SUMMARY, dtype=policy)
        with_cls = (case.rows, SUMMARY + case.events, case.width)
        shapes = {**history, "sequence": with_cls, "summary": (case.rows, SUMMARY, case.width)}
    elif case.kind == "cross_arch":
        made, shapes = layers.CrossArch(dtype=policy), {**history, "features": tokens}
    elif case.kind == "interaction_arch":
        made, shapes = layers.InteractionArch("dhen", dtype=policy), tokens
    else:
        made, shapes = layers.HiformerBlock(dtype=policy), tokens
    build_sublayer(made, shapes)
    return made, shapes
