"""TensorFlow Serving's gRPC API. Its protos import TensorFlow, so this module is imported for gRPC addresses only."""

from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from serving.client.deadline import Busy
from serving.client.errors import ServerError
from serving.client.request import Request

# The channel itself waits a second and more before it connects again; the pauses between attempts are shorter.
_RECONNECT = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.min_reconnect_backoff_ms", 100),
              ("grpc.max_reconnect_backoff_ms", 1000)]  # fmt: skip
_BUSY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)


class GrpcTransport:
    """Sends a request to `PredictionService.Predict`."""

    def __init__(self, address: str, name: str, version: int | None) -> None:
        self.address, self.name, self.version = address, name, version
        self._channel = grpc.insecure_channel(address, options=_RECONNECT)
        self._predict = prediction_service_pb2_grpc.PredictionServiceStub(self._channel).Predict

    def predict(self, request: Request, seconds: float) -> dict[str, np.ndarray]:
        """The outputs, by name."""
        message = predict_pb2.PredictRequest()
        message.model_spec.name = self.name
        message.model_spec.signature_name = request.signature
        if self.version is not None:
            message.model_spec.version.value = self.version
        for name, array in request.inputs.items():
            message.inputs[name].CopyFrom(_tensor(array))
        try:
            answer = self._predict(message, timeout=seconds)
        except grpc.RpcError as error:
            problem = f"{self.address}: {error.code().name} {error.details()}"
            raise (Busy if error.code() in _BUSY else ServerError)(problem) from None
        return {name: tf.make_ndarray(tensor) for name, tensor in answer.outputs.items()}

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()


def _tensor(array: np.ndarray) -> Any:
    return tf.make_tensor_proto(array, tf.string if array.dtype == object else None)
