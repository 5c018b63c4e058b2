"""Requests that TensorFlow Serving replays before a version answers: the first caller then waits no longer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from tf_interformer.export.example_rows import candidate_rows, example_rows, serialized_examples
from tf_interformer.schema import FeatureSchema

BATCH_SIZES = (1, 64)
CANDIDATES = 100


def write_warmup(folder: Path, model_name: str, schema: FeatureSchema) -> bool:
    """Write `tf_serving_warmup_requests` to a model's `assets.extra`: every signature at typical batch sizes.

    Args:
        folder: The model's `assets.extra`.
        model_name: Name under which TensorFlow Serving knows the model.
        schema: `FeatureSchema` of the model.

    Returns:
        Whether it was written: without `tensorflow-serving-api`, which has the format, it is not.
    """
    try:
        logs = list(_logs(model_name, schema))
    except ImportError:
        return False
    with tf.io.TFRecordWriter(str(folder / "tf_serving_warmup_requests")) as writer:
        for log in logs:
            writer.write(log.SerializeToString())
    return True


def _logs(model_name: str, schema: FeatureSchema) -> Iterator[Any]:
    """`PredictionLog` messages."""
    from tensorflow_serving.apis import classification_pb2, input_pb2, predict_pb2, prediction_log_pb2, regression_pb2

    def named(request: Any, signature: str) -> Any:
        request.model_spec.name = model_name
        request.model_spec.signature_name = signature
        return request

    def predict(signature: str, columns: dict[str, Any]) -> Any:
        request = named(predict_pb2.PredictRequest(), signature)
        for name, value in columns.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        return prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))

    for count in BATCH_SIZES:
        rows = example_rows(schema, count)
        serialized = serialized_examples(schema, rows)
        yield predict("serving_default", rows)
        yield predict("serve_examples", {"examples": serialized})
        yield predict("embed", rows)
        examples = [tf.train.Example.FromString(data) for data in serialized]
        held = input_pb2.Input(example_list=input_pb2.ExampleList(examples=examples))
        classification = named(classification_pb2.ClassificationRequest(input=held), "classify")
        yield prediction_log_pb2.PredictionLog(
            classify_log=prediction_log_pb2.ClassifyLog(request=classification),
        )
        regression = named(regression_pb2.RegressionRequest(input=held), "regress")
        yield prediction_log_pb2.PredictionLog(regress_log=prediction_log_pb2.RegressLog(request=regression))
    if schema.served_candidate:
        yield predict("score_candidates", candidate_rows(schema, CANDIDATES))
