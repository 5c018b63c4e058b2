"""TensorFlow Serving's gRPC services."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import numpy as np
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    predict_pb2,
    regression_pb2,
)

from serving.server.errors import ServingError, invalid
from serving.server.metrics import Seen
from serving.server.model import LoadedModel
from serving.server.service import Answer, Service
from serving.server.signature import Signature
from serving.server.tensors import examples_of, to_array, to_proto

_LOG = logging.getLogger("serving")
_METHOD = "tensorflow/serving/"


class GrpcService:
    """`PredictionService` and `ModelService`.

    It takes bytes and parses them itself, so that a broken message is INVALID_ARGUMENT.

    Args:
        service: `Service`.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    def add_to(self, server: grpc.aio.Server) -> None:
        """Register the methods."""
        prediction = {
            "Predict": (predict_pb2.PredictRequest, self._predict),
            "Classify": (classification_pb2.ClassificationRequest, self._classify),
            "Regress": (regression_pb2.RegressionRequest, self._regress),
            "GetModelMetadata": (get_model_metadata_pb2.GetModelMetadataRequest, self._metadata),
        }
        status = {"GetModelStatus": (get_model_status_pb2.GetModelStatusRequest, self._status)}
        for name, methods in (("PredictionService", prediction), ("ModelService", status)):
            handlers = {
                method: grpc.unary_unary_rpc_method_handler(self._handler(message, answer))
                for method, (message, answer) in methods.items()
            }
            handler = grpc.method_handlers_generic_handler(f"tensorflow.serving.{name}", handlers)
            server.add_generic_rpc_handlers((handler,))

    def _handler(
        self, message: Any, answer: Callable[[Any, Seen, float | None], Awaitable[Any]]
    ) -> Callable[[bytes, grpc.aio.ServicerContext], Awaitable[bytes]]:
        async def handle(data: bytes, context: grpc.aio.ServicerContext) -> bytes:
            try:
                with self._service.metrics.request("grpc") as seen:
                    try:
                        request = message.FromString(data)
                    except DecodeError:
                        raise invalid(f"the message is no {message.DESCRIPTOR.name}") from None
                    return (await answer(request, seen, context.time_remaining())).SerializeToString()
            except ServingError as error:
                code, text = error.code, str(error)
            except Exception:
                _LOG.exception("a %s failed", message.DESCRIPTOR.name)
                code, text = grpc.StatusCode.INTERNAL, "the server failed; its log says why"
            return await context.abort(code, text)

        return handle

    async def _predict(self, request: Any, seen: Seen, timeout: float | None) -> Any:
        def decode(model: LoadedModel, signature: Signature) -> dict[str, np.ndarray]:
            unknown = sorted(set(request.output_filter) - set(signature.outputs))
            if unknown:
                raise invalid(f"`output_filter`: {signature.name!r} gives {sorted(signature.outputs)}, not {unknown}")
            return {name: to_array(name, tensor) for name, tensor in request.inputs.items()}

        answer = await self._run(request.model_spec, decode, seen, timeout)
        wanted = set(request.output_filter) or set(answer.outputs)
        outputs = {name: to_proto(value) for name, value in answer.outputs.items() if name in wanted}
        return predict_pb2.PredictResponse(model_spec=self._spec(answer), outputs=outputs)

    async def _classify(self, request: Any, seen: Seen, timeout: float | None) -> Any:
        answer = await self._run(request.model_spec, _examples(request, "classify"), seen, timeout)
        response = classification_pb2.ClassificationResponse(model_spec=self._spec(answer))
        scores, classes = answer.outputs.get("scores"), answer.outputs.get("classes")
        for row in range(len(next(iter(answer.outputs.values())))):
            made = response.result.classifications.add()
            count = len(scores[row] if scores is not None else classes[row] if classes is not None else ())
            for place in range(count):
                label = classes[row][place].decode(errors="replace") if classes is not None else ""
                made.classes.add(label=label, score=scores[row][place] if scores is not None else 0.0)
        return response

    async def _regress(self, request: Any, seen: Seen, timeout: float | None) -> Any:
        answer = await self._run(request.model_spec, _examples(request, "regress"), seen, timeout)
        response = regression_pb2.RegressionResponse(model_spec=self._spec(answer))
        for value in np.ravel(answer.outputs["outputs"]).tolist():
            response.result.regressions.add(value=value)
        return response

    async def _metadata(self, request: Any, seen: Seen, timeout: float | None) -> Any:
        seen.signature = "metadata"
        if list(request.metadata_field) != ["signature_def"]:
            raise invalid(f"`metadata_field` must be 'signature_def'. Received: {list(request.metadata_field)}")
        served = self._service.find(request.model_spec.name, _version(request.model_spec))
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = self._service.options.name
        response.model_spec.version.value = served.model.version
        response.metadata["signature_def"].Pack(signature_map(served.model))
        return response

    async def _status(self, request: Any, seen: Seen, timeout: float | None) -> Any:
        seen.signature = "status"
        self._service.require_model(request.model_spec.name)
        return status_response(self._service, _version(request.model_spec))

    async def _run(self, spec: Any, decode: Any, seen: Seen, timeout: float | None) -> Answer:
        return await self._service.predict(spec.name, _version(spec), spec.signature_name, decode, seen, timeout)

    def _spec(self, answer: Answer) -> Any:
        spec = model_pb2.ModelSpec(name=self._service.options.name, signature_name=answer.signature.name)
        spec.version.value = answer.version
        return spec


def signature_map(model: LoadedModel) -> Any:
    """The `SignatureDefMap` of a version."""
    made = get_model_metadata_pb2.SignatureDefMap()
    for name, signature in model.signatures.items():
        made.signature_def[name].CopyFrom(signature.definition)
    return made


def status_response(service: Service, version: int | None) -> Any:
    """The `GetModelStatusResponse` of a model."""
    response = get_model_status_pb2.GetModelStatusResponse()
    for status in service.versions.statuses(version):
        made = response.model_version_status.add(version=status.version)
        made.state = get_model_status_pb2.ModelVersionStatus.State.Value(status.state)
        made.status.error_code = grpc.StatusCode.UNKNOWN.value[0] if status.error else 0
        made.status.error_message = status.error
    return response


def _examples(request: Any, method: str) -> Any:
    def decode(model: LoadedModel, signature: Signature) -> dict[str, np.ndarray]:
        if signature.method != _METHOD + method:
            raise invalid(f"signature {signature.name!r} is for {signature.method!r}, not for {_METHOD + method!r}")
        return {next(iter(signature.inputs)): examples_of(request.input)}

    return decode


def _version(spec: Any) -> int | None:
    if spec.version_label:
        raise invalid(f"this server knows no version labels. Received: {spec.version_label!r}")
    return spec.version.value if spec.HasField("version") else None
