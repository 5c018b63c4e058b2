"""The first requests of a version, before it serves."""

import tensorflow as tf
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from serving.server.model import LoadedModel
from serving.server.tensors import examples_of, to_array


def replay(model: LoadedModel) -> int:
    """Run `assets.extra/tf_serving_warmup_requests`, as TensorFlow Serving does.

    Requests to signatures that the engine leaves out are passed over.

    Args:
        model: The version.

    Returns:
        The number of requests computed; 0 without such a file.

    Raises:
        ServingError: A request does not fit the model.
    """
    file = model.path / "assets.extra" / "tf_serving_warmup_requests"
    if not file.exists():
        return 0
    count = 0
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        log = PredictionLog.FromString(record)
        kind = log.WhichOneof("log_type")
        if kind not in ("predict_log", "classify_log", "regress_log"):
            continue
        request = getattr(log, kind).request
        name = request.model_spec.signature_name or "serving_default"
        if name in model.left_out:
            continue
        if kind == "predict_log":
            inputs = {key: to_array(key, tensor) for key, tensor in request.inputs.items()}
        else:
            inputs = {next(iter(model.signatures[name].inputs)): examples_of(request.input)}
        model.run(name, inputs)
        count += 1
    return count
