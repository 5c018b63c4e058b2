"""The signatures of an exported model."""

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tf_interformer._keras import ops
from tf_interformer._names import safe_name
from tf_interformer._output_names import output_name
from tf_interformer.ranker import Ranker
from tf_interformer.schema._name import STATE_PREFIX

# In a user's state: of which weights it is.
_MODEL = f"{STATE_PREFIX}model"
# The method names by which TensorFlow Serving finds the signatures of its Classify and Regress calls.
METHOD_NAMES = {"classify": "tensorflow/serving/classify", "regress": "tensorflow/serving/regress"}


@dataclass(frozen=True)
class Signature:
    """One signature: its name, what computes it, and what that takes."""

    name: str
    function: Callable[[Any], dict[str, Any]]
    takes: Any


def signatures(ranker: Ranker) -> Iterator[Signature]:
    """The signatures of a ranker: all of those that take rows share one graph of the model."""
    schema = ranker.schema
    raw_rows = schema.signature()
    outputs = tf.function(ranker.served.outputs, input_signature=[raw_rows], autograph=False)

    def logits(raw: Mapping[str, tf.Tensor]) -> dict[str, Any]:
        return dict(outputs(raw)[0])

    def parsed(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return schema.parse_examples(examples, labels=False)

    def first_probability(examples: tf.Tensor) -> Any:
        return ops.sigmoid(logits(parsed(examples))[schema.tasks[0]])  # [B, 1]

    def serving_default(raw: dict[str, tf.Tensor]) -> dict[str, Any]:
        return named_outputs(logits(raw))

    def serve_examples(examples: tf.Tensor) -> dict[str, Any]:
        return named_outputs(logits(parsed(examples)))

    def score_candidates(raw: dict[str, tf.Tensor]) -> dict[str, Any]:
        return named_outputs(ranker.served.candidate_logits(raw))

    def embed_user(raw: dict[str, tf.Tensor]) -> dict[str, Any]:
        state = ranker.served.state(raw)
        rows = tf.shape(next(iter(state.values())))[0]
        return {**state, _MODEL: tf.fill([rows], tf.constant(mark, tf.int64))}

    def score_known_user(raw: dict[str, tf.Tensor]) -> dict[str, Any]:
        raw = dict(raw)
        told = "this state was made by another model, or another version of it: ask for `embed_user` again"
        with tf.control_dependencies([tf.debugging.assert_equal(raw.pop(_MODEL), tf.constant(mark, tf.int64), told)]):
            raw = {name: tf.identity(value) for name, value in raw.items()}
        return named_outputs(ranker.served.state_logits(raw))

    def embed(raw: dict[str, tf.Tensor]) -> dict[str, Any]:
        # Without a copy of its own the second of two equal outputs would be left out.
        return {
            output_name("representation", task, len(schema.tasks)): tf.identity(value)
            for task, value in outputs(raw)[1].items()
        }

    def classify(inputs: tf.Tensor) -> dict[str, Any]:
        probability = first_probability(inputs)
        classes = tf.tile(tf.constant([["0", "1"]]), [tf.shape(probability)[0], 1])
        return {"scores": tf.concat([1.0 - probability, probability], axis=1), "classes": classes}

    def regress(inputs: tf.Tensor) -> dict[str, Any]:
        return {"outputs": first_probability(inputs)}

    yield Signature("serving_default", serving_default, raw_rows)
    yield Signature("serve_examples", serve_examples, tf.TensorSpec([None], tf.string, "examples"))
    if schema.served_candidate:
        yield Signature("score_candidates", score_candidates, schema.candidate_signature())
    if ranker.served.has_state and ranker.backbone.caches_users:
        mark = _mark(ranker)
        yield Signature("embed_user", embed_user, ranker.served.user_signature)
        state = {**ranker.served.state_signature, _MODEL: tf.TensorSpec([1], tf.int64, safe_name(_MODEL))}
        yield Signature("score_known_user", score_known_user, {**schema.candidate_signature(), **state})
    yield Signature("embed", embed, raw_rows)
    for name, function in (("classify", classify), ("regress", regress)):
        yield Signature(name, function, tf.TensorSpec([None], tf.string, "inputs"))


def _mark(ranker: Ranker) -> int:
    """A number that other weights do not have."""
    mark = 0
    for weight in ranker.get_weights():
        mark = zlib.crc32(np.ascontiguousarray(weight).tobytes(), mark)
    return mark


def named_outputs(logits: dict[str, Any]) -> dict[str, Any]:
    """`probability` and `logit` of each task, prefixed by the task when there are several."""
    outputs = {}
    for task, logit in logits.items():
        outputs[output_name("probability", task, len(logits))] = ops.sigmoid(logit)
        outputs[output_name("logit", task, len(logits))] = logit
    return outputs
