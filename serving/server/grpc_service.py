"""TensorFlow Serving's gRPC services."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import grpc
import numpy as np
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_pb2,
    predict_pb2,
    regression_pb2,
)

from serving.server.classify_regress import Method, classification_result, regression_result, require_method
from serving.server.errors import ServingError, invalid
from serving.server.metrics import Seen
from serving.server.model import LoadedModel
from serving.server.service import Answer, Decode, Service, Unread
from serving.server.signature import Signature
from serving.server.tensors import declared, examples_of, require_size, to_array, to_proto
from serving.server.validation import EXAMPLE, check_declared, check_names

_LOG = logging.getLogger("serving")
_METHODS: dict[str, Method] = {"tensorflow/serving/classify": "classify", "tensorflow/serving/regress": "regress"}


class _Call(NamedTuple):
    """What is known of a call beside its message."""

    seen: Seen
    timeout: float | None
    size: int


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
            "MultiInference": (inference_pb2.MultiInferenceRequest, self._multi_inference),
            "GetModelMetadata": (get_model_metadata_pb2.GetModelMetadataRequest, self._metadata),
        }
        status = {"GetModelStatus": (get_model_status_pb2.GetModelStatusRequest, self._status)}
        for name, methods in (("PredictionService", prediction), ("ModelService", status)):
            # To the wire a stream of one message is a single one; but it is read here, within a time.
            handlers = {
                method: grpc.stream_unary_rpc_method_handler(self._handler(message, answer))
                for method, (message, answer) in methods.items()
            }
            handler = grpc.method_handlers_generic_handler(f"tensorflow.serving.{name}", handlers)
            server.add_generic_rpc_handlers((handler,))

    def _handler(
        self, message: Any, answer: Callable[[Any, _Call], Awaitable[Any]]
    ) -> Callable[[Any, grpc.aio.ServicerContext], Awaitable[bytes]]:
        async def handle(messages: Any, context: grpc.aio.ServicerContext) -> bytes:
            try:
                with self._service.metrics.request("grpc") as seen:
                    data = await self._read(context)
                    with self._service.bodies.hold(len(data)):
                        try:
                            request = message.FromString(data)
                        except DecodeError:
                            raise invalid(f"the message is no {message.DESCRIPTOR.name}") from None
                        made = await answer(request, _Call(seen, context.time_remaining(), len(data)))
                    return made.SerializeToString()
            except ServingError as error:
                code, text = error.code, str(error)
            except Exception:
                _LOG.exception("a %s failed", message.DESCRIPTOR.name)
                code, text = grpc.StatusCode.INTERNAL, "the server failed; its log says why"
            return await context.abort(code, text)

        return handle

    async def _read(self, context: grpc.aio.ServicerContext) -> bytes:
        seconds = self._service.options.read_timeout
        try:
            async with asyncio.timeout(seconds):
                data = await context.read()
        except TimeoutError:
            raise ServingError(
                grpc.StatusCode.DEADLINE_EXCEEDED, f"the message did not arrive within {seconds:g} s"
            ) from None
        if not isinstance(data, bytes):
            raise invalid("the call holds no message")
        return data

    async def _predict(self, request: Any, call: _Call) -> Any:
        options = self._service.options

        def decode(model: LoadedModel, signature: Signature) -> Unread:
            _require_filter(signature, request.output_filter)
            check_names(signature, request.inputs)
            given = {name: declared(name, tensor) for name, tensor in request.inputs.items()}
            rows = check_declared(signature, model.schema, given, options.max_rows)
            size = require_size(given, call.size, options.max_body_bytes)
            if signature.kind == "examples":
                size += rows * EXAMPLE
            return Unread(size, lambda: {name: to_array(name, tensor) for name, tensor in request.inputs.items()})

        answer = await self._run(request, request.model_spec, decode, call)
        wanted = set(request.output_filter) or set(answer.outputs)
        outputs = {name: to_proto(value) for name, value in answer.outputs.items() if name in wanted}
        return predict_pb2.PredictResponse(model_spec=self._spec(answer), outputs=outputs)

    async def _classify(self, request: Any, call: _Call) -> Any:
        answer = await self._run(request, request.model_spec, self._examples(request, "classify", call), call)
        result = classification_result(answer.outputs, answer.rows)
        return classification_pb2.ClassificationResponse(model_spec=self._spec(answer), result=result)

    async def _regress(self, request: Any, call: _Call) -> Any:
        answer = await self._run(request, request.model_spec, self._examples(request, "regress", call), call)
        result = regression_result(answer.outputs, answer.rows)
        return regression_pb2.RegressionResponse(model_spec=self._spec(answer), result=result)

    async def _multi_inference(self, request: Any, call: _Call) -> Any:
        """Classify and Regress of the same examples, on one version."""
        if not request.tasks:
            raise invalid("the request holds no task")
        names = [task.model_spec.signature_name or "serving_default" for task in request.tasks]
        if len({task.model_spec.name for task in request.tasks}) > 1:
            raise invalid("all tasks of a request must be for the same model")
        if len(set(names)) < len(names):
            raise invalid(f"each task of a request must be for another signature. Received: {names}")
        for task in request.tasks:
            if task.method_name not in _METHODS:
                raise ServingError(
                    grpc.StatusCode.UNIMPLEMENTED,
                    f"`method_name` must be one of {list(_METHODS)}. Received: {task.method_name!r:.80}",
                )
        first = request.tasks[0].model_spec
        version = self._service.find(first.name, _version(first)).model.version
        response = inference_pb2.MultiInferenceResponse()
        for task in request.tasks:
            method = _METHODS[task.method_name]
            spec = model_pb2.ModelSpec(name=first.name, signature_name=task.model_spec.signature_name)
            spec.version.value = version
            answer = await self._run(request, spec, self._examples(request, method, call), call)
            made = response.results.add(model_spec=self._spec(answer))
            if method == "classify":
                made.classification_result.CopyFrom(classification_result(answer.outputs, answer.rows))
            else:
                made.regression_result.CopyFrom(regression_result(answer.outputs, answer.rows))
        return response

    async def _metadata(self, request: Any, call: _Call) -> Any:
        call.seen.signature = "metadata"
        if set(request.metadata_field) != {"signature_def"}:
            raise invalid(f"`metadata_field` must be 'signature_def'. Received: {list(request.metadata_field)}")
        _require_spec(request)
        served = self._service.find(request.model_spec.name, _version(request.model_spec))
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = self._service.options.name
        response.model_spec.version.value = served.model.version
        response.metadata["signature_def"].Pack(signature_map(served.model))
        return response

    async def _status(self, request: Any, call: _Call) -> Any:
        call.seen.signature = "status"
        _require_spec(request)
        self._service.require_model(request.model_spec.name)
        return status_response(self._service, _version(request.model_spec))

    async def _run(self, request: Any, spec: Any, decode: Any, call: _Call) -> Answer:
        if not isinstance(request, inference_pb2.MultiInferenceRequest):
            _require_spec(request)
        # TensorFlow Serving's Predict has this code of its own for it.
        missing = grpc.StatusCode.INVALID_ARGUMENT
        if isinstance(request, predict_pb2.PredictRequest):
            missing = grpc.StatusCode.FAILED_PRECONDITION
        return await self._service.predict(
            spec.name, _version(spec), spec.signature_name, decode, call.seen, call.timeout, missing
        )

    def _examples(self, request: Any, method: Method, call: _Call) -> Decode:
        given = request.input
        count = len(given.example_list.examples) + len(given.example_list_with_context.examples)
        return examples_decoder(self._service, lambda: given, method, call.size + count * EXAMPLE)

    def _spec(self, answer: Answer) -> Any:
        spec = model_pb2.ModelSpec(name=self._service.options.name, signature_name=answer.signature.name)
        spec.version.value = answer.version
        return spec


def examples_decoder(service: Service, given: Callable[[], Any], method: Method, size: int) -> Decode:
    """What reads the examples of a Classify or Regress request.

    Args:
        service: `Service`, for its limits.
        given: Gives the `Input`.
        method: For which method.
        size: Bytes of the request.
    """

    def read() -> dict[str, np.ndarray]:
        return {"inputs": examples_of(given(), service.options.max_rows, service.options.max_body_bytes)}

    def decode(model: LoadedModel, signature: Signature) -> Unread:
        require_method(signature, method)
        return Unread(size, read)

    return decode


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


def _require_spec(request: Any) -> None:
    if not request.HasField("model_spec"):
        raise invalid("the request must say in `model_spec` which model it is for")


def _require_filter(signature: Signature, names: Any) -> None:
    unknown = sorted(set(names) - set(signature.outputs))
    if unknown:
        raise invalid(f"`output_filter`: {signature.name!r} gives {sorted(signature.outputs)}, not {unknown}")
    if len(set(names)) < len(names):
        raise invalid(f"`output_filter` must not name an output twice. Received: {list(names)}")


def _version(spec: Any) -> int | None:
    if spec.version_label:
        raise invalid(f"this server knows no version labels. Received: {spec.version_label!r:.80}")
    return spec.version.value if spec.HasField("version") else None
