"""TensorFlow Serving's REST API."""

import base64
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import orjson
from google.protobuf.json_format import MessageToDict
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from serving.request import RequestError, read_json
from serving.server.errors import ServingError, invalid, not_found
from serving.server.grpc_service import signature_map, status_response
from serving.server.json_inputs import inputs_of
from serving.server.metrics import Seen
from serving.server.model import LoadedModel
from serving.server.service import Answer, Service
from serving.server.signature import Signature

_LOG = logging.getLogger("serving")
# A body that is a little too large is read to its end: a client that still sends would miss the answer.
_DRAINED = 4
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


def rest_app(service: Service) -> Starlette:
    """The REST API, health and metrics.

    Args:
        service: `Service`.

    Returns:
        A Starlette application with `/v1/models/NAME[/versions/N][:predict|/metadata]`, `/healthz`, `/metrics` and
        TensorFlow Serving's `/monitoring/prometheus/metrics`.
    """
    rest = _Rest(service)
    routes = [
        Route("/healthz", rest.health, methods=["GET"]),
        Route("/metrics", rest.metrics, methods=["GET"]),
        Route("/monitoring/prometheus/metrics", rest.metrics, methods=["GET"]),
    ]
    for model in ("/v1/models/{model}", "/v1/models/{model}/versions/{version}"):
        routes += [
            Route(f"{model}:predict", rest.predict, methods=["POST"]),
            Route(f"{model}/metadata", rest.metadata, methods=["GET"]),
            Route(model, rest.status, methods=["GET"]),
        ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _refuse})


async def _refuse(request: HttpRequest, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.url.path}: {error.detail}"
    return JSONResponse({"error": message}, error.status_code, headers=error.headers)


class _Rest:
    def __init__(self, service: Service) -> None:
        self._service = service

    async def health(self, request: HttpRequest) -> Response:
        versions = self._service.versions.serving
        return JSONResponse(
            {"status": "ok" if versions else "no version", "versions": versions}, 200 if versions else 503
        )

    async def metrics(self, request: HttpRequest) -> Response:
        return Response(self._service.metrics.text(), media_type=_PROMETHEUS)

    async def predict(self, request: HttpRequest) -> Response:
        async def answer(seen: Seen) -> bytes:
            name, version = _model(request)
            self._service.find(name, version)
            text = await self._body(request)
            self._service.find(name, version).batcher.require_room()  # before the work of reading it
            body = _object(text)
            signature = body.get("signature_name", "")
            if not isinstance(signature, str):
                raise invalid(f"`signature_name` must be a string. Received: {signature!r:.80}")

            def decode(model: LoadedModel, known: Signature) -> dict[str, np.ndarray]:
                return inputs_of(body, model.schema, known, self._service.options.max_rows)

            made = await self._service.predict(name, version, signature, decode, seen)
            return _predictions(made) if "instances" in body else _outputs(made)

        return await self._answer(answer)

    async def metadata(self, request: HttpRequest) -> Response:
        async def answer(seen: Seen) -> bytes:
            seen.signature = "metadata"
            name, version = _model(request)
            model = self._service.find(name, version).model
            return orjson.dumps(
                {
                    "model_spec": {"name": name, "signature_name": "", "version": str(model.version)},
                    "metadata": {"signature_def": _dict(signature_map(model))},
                }
            )

        return await self._answer(answer)

    async def status(self, request: HttpRequest) -> Response:
        async def answer(seen: Seen) -> bytes:
            seen.signature = "status"
            name, version = _model(request)
            self._service.require_model(name)
            return orjson.dumps(_dict(status_response(self._service, version)))

        return await self._answer(answer)

    async def _answer(self, answer: Callable[[Seen], Awaitable[bytes]]) -> Response:
        try:
            with self._service.metrics.request("rest") as seen:
                return Response(await answer(seen), media_type="application/json")
        except _TooLarge as error:
            return JSONResponse({"error": str(error)}, 413, headers={"connection": "close"})
        except ServingError as error:
            return JSONResponse({"error": str(error)}, error.http_status)
        except Exception:
            _LOG.exception("a REST request failed")
            return JSONResponse({"error": "the server failed; its log says why"}, 500)

    async def _body(self, request: HttpRequest) -> bytes:
        limit = self._service.options.max_body_bytes
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > _DRAINED * limit:
            raise _TooLarge(limit)
        body, size = bytearray(), 0
        async for part in request.stream():
            size += len(part)
            if size <= limit:
                body += part
            elif size > _DRAINED * limit:
                break
        if size > limit:
            raise _TooLarge(limit)
        return bytes(body)


class _TooLarge(ServingError):
    def __init__(self, limit: int) -> None:
        error = invalid(f"the body may hold at most {limit} bytes; --max-body-mb of the server sets that")
        super().__init__(error.code, str(error))


def _model(request: HttpRequest) -> tuple[str, int | None]:
    version = request.path_params.get("version")
    if version is None:
        return request.path_params["model"], None
    if not version.isascii() or not version.isdigit() or len(version) > 18:
        raise not_found(f"a version is a number. Received: {version!r:.80}")
    return request.path_params["model"], int(version)


def _object(text: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError:  # it does not read NaN
        try:
            body = read_json(text)
        except RequestError as error:
            raise invalid(str(error)) from None
    if not isinstance(body, dict):
        raise invalid(f"the request must be a JSON object. Received: {body!r:.80}")
    return body


def _dict(message: Any) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def _predictions(answer: Answer) -> bytes:
    outputs = {name: _plain(name, value) for name, value in answer.outputs.items()}
    if len(outputs) == 1:
        (values,) = outputs.values()
        return _dumps({"predictions": values})
    counts = {name: np.shape(value)[:1] for name, value in answer.outputs.items()}
    if len(set(counts.values())) != 1 or () in counts.values():
        raise invalid(f"the outputs differ in their rows, {counts}: ask in the column format, with `inputs`")
    names = list(outputs)
    return _dumps({"predictions": [dict(zip(names, row, strict=True)) for row in zip(*outputs.values(), strict=True)]})


def _outputs(answer: Answer) -> bytes:
    outputs = {name: _plain(name, value) for name, value in answer.outputs.items()}
    return _dumps({"outputs": outputs if len(outputs) > 1 else next(iter(outputs.values()))})


def _dumps(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def _plain(name: str, value: Any) -> Any:
    """What orjson writes: arrays as they are, so that float32 keeps its own digits; strings as text, or as base64
    where the output's name ends in `_bytes`."""
    array = np.asarray(value)
    if array.dtype == object:
        return _text(array.tolist(), name.endswith("_bytes"))
    return np.ascontiguousarray(array) if array.ndim else array.item()


def _text(value: Any, encode: bool) -> Any:
    if isinstance(value, list):
        return [_text(item, encode) for item in value]
    raw = value if isinstance(value, bytes) else str(value).encode()
    return {"b64": base64.b64encode(raw).decode()} if encode else raw.decode(errors="replace")
