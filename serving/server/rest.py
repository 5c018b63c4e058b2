"""TensorFlow Serving's REST API."""

import asyncio
import base64
import json
import logging
import re
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import unquote

import numpy as np
import orjson
from google.protobuf.json_format import MessageToDict
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from serving.request import RequestError, read_json, shown
from serving.server.body import is_compressed, read_body, unpack
from serving.server.classify_regress import Method, classification_result, regression_result
from serving.server.errors import HttpError, ServingError, invalid
from serving.server.grpc_service import examples_decoder, signature_map, status_response
from serving.server.json_examples import input_of
from serving.server.json_inputs import inputs_of
from serving.server.metrics import Seen
from serving.server.model import LoadedModel
from serving.server.service import Answer, Decode, Service, Unread
from serving.server.signature import Signature

_LOG = logging.getLogger("serving")
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
_MODEL = r"/v1/models{name}(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
_CALL = re.compile(_MODEL.format(name="/(?P<model>[^/:]+)") + r":(?P<method>[a-z]+)", re.IGNORECASE)
_STATUS = re.compile(_MODEL.format(name="(?:/(?P<model>[^/:]+))?") + "(?P<metadata>/metadata)?", re.IGNORECASE)
_METHODS = ("predict", "classify", "regress")
# What JSON cannot hold, in TensorFlow Serving either.
_NOT_IN_JSON = ("complex64", "complex128", "bfloat16", "float16")


class _Target(NamedTuple):
    """What a path names."""

    model: str
    version: int | None
    what: str


class RestApp:
    """The REST API, health and metrics, as an ASGI application.

    `/v1/models/NAME[/versions/N][:predict|:classify|:regress|/metadata]`, `/healthz`, `/metrics` and TensorFlow
    Serving's `/monitoring/prometheus/metrics`.

    Args:
        service: `Service`.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            response = await self._respond(HttpRequest(scope, receive))
            await response(scope, receive, send)

    async def _respond(self, request: HttpRequest) -> Response:
        path = request.scope["path"]  # `request.url` is made from the Host header, too
        if "content-length" in request.headers and "transfer-encoding" in request.headers:
            # A proxy in front may take the other of the two for the end of the request.
            return _error(400, "`Content-Length` and `Transfer-Encoding` must not come together", close=True)
        if path.lower().startswith("/v1/"):
            return await self._api(request)
        if path not in ("/healthz", "/metrics", "/monitoring/prometheus/metrics"):
            return _error(404, f"{request.method} {path:.200}: Not Found")
        if request.method not in ("GET", "HEAD"):
            return _error(405, f"{request.method} {path}: Method Not Allowed", {"Allow": "GET, HEAD"})
        if path == "/healthz":
            versions = self._service.versions.serving
            answer = {"status": "ok" if versions else "no version", "versions": versions}
            return JSONResponse(answer, 200 if versions else 503)
        return Response(self._service.metrics.text(), media_type=_PROMETHEUS)

    async def _api(self, request: HttpRequest) -> Response:
        try:
            with self._service.metrics.request("rest") as seen:
                target = _target(request)
                answer = {"metadata": self._metadata, "status": self._status}.get(target.what)
                made = answer(target, seen) if answer else await self._call(request, target, seen)
                return Response(made, media_type="application/json")
        except ServingError as error:
            return _error(error.http_status, str(error), close=isinstance(error, HttpError))
        except asyncio.CancelledError:  # the server stops, and its grace is over
            return _error(503, "the server stops", close=True)
        except Exception:
            _LOG.exception("a REST request failed")
            return _error(500, "the server failed; its log says why")

    def _metadata(self, target: _Target, seen: Seen) -> bytes:
        seen.signature = "metadata"
        model = self._service.find(target.model, target.version).model
        spec = {"name": target.model, "signature_name": "", "version": str(model.version)}
        return orjson.dumps({"model_spec": spec, "metadata": {"signature_def": _dict(signature_map(model))}})

    def _status(self, target: _Target, seen: Seen) -> bytes:
        seen.signature = "status"
        self._service.require_model(target.model)
        return orjson.dumps(_dict(status_response(self._service, target.version)))

    async def _call(self, request: HttpRequest, target: _Target, seen: Seen) -> bytes:
        options = self._service.options
        limit = options.max_body_bytes
        self._service.find(target.model, target.version)
        compressed = is_compressed(request)
        with self._service.bodies.hold() as share:
            text = await read_body(request, limit, options.read_timeout, share)
            # Before the work of reading it.
            self._service.find(target.model, target.version).batcher.require_room()
            if compressed:
                text = await self._service.read(limit, lambda packed=text: unpack(packed, limit))  # type: ignore[misc]
                share.add(len(text))
            body = await self._service.read(len(text), lambda: _object(text))
            answer, write = await self._computed(body, target, seen, len(text))
        size = sum(value.nbytes for value in answer.outputs.values())
        return await self._service.read(size, lambda: write(answer))

    async def _computed(
        self, body: dict[str, Any], target: _Target, seen: Seen, size: int
    ) -> tuple[Answer, Callable[[Answer], bytes]]:
        service = self._service
        signature = body.get("signature_name", "")
        if not isinstance(signature, str):
            raise invalid(f"`signature_name` must be a string. Received: {shown(signature)}")

        def columns(model: LoadedModel, known: Signature) -> Unread:
            return Unread(size, lambda: inputs_of(body, known, service.options.max_rows))

        decode: Decode = columns
        if target.what != "predict":
            method: Method = "classify" if target.what == "classify" else "regress"
            decode = examples_decoder(service, lambda: input_of(body, service.options.max_rows), method, size)
        answer = await service.predict(target.model, target.version, signature, decode, seen)
        if target.what == "predict":
            return answer, _predictions if "instances" in body else _outputs
        return answer, _classes if target.what == "classify" else _values


def _target(request: HttpRequest) -> _Target:
    path = request.scope["raw_path"].decode("latin-1")
    query = request.scope["query_string"].decode("latin-1")
    found = {"POST": _CALL, "GET": _STATUS}.get(request.method, _CALL).fullmatch(f"{path}?{query}" if query else path)
    call = request.method == "POST"
    if found is None or request.method not in ("POST", "GET") or (call and found["method"] not in _METHODS):
        raise invalid(f"malformed request: {request.method} {path:.200}")
    if found["model"] is None:
        raise invalid("the path must name a model: /v1/models/NAME")
    if found["label"] is not None:
        raise invalid(f"this server knows no version labels. Received: {unquote(found['label'])!r:.80}")
    version = found["version"]
    if version is not None and (len(version) > 19 or int(version) >= 2**63):
        raise invalid(f"a version is a number below 2**63. Received: {version:.80}")
    what = found["method"] if call else "metadata" if found["metadata"] else "status"
    return _Target(unquote(found["model"]), None if version is None else int(version), what)


def _error(status: int, message: str, headers: dict[str, str] | None = None, close: bool = False) -> Response:
    return JSONResponse(
        {"error": message}, status, headers={**(headers or {}), **({"connection": "close"} if close else {})}
    )


def _object(text: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError:  # it does not read NaN
        try:
            body = read_json(text)
        except RequestError as error:
            raise invalid(str(error)) from None
    if not isinstance(body, dict):
        raise invalid(f"the request must be a JSON object. Received: {shown(body)}")
    return body


def _dict(message: Any) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def _predictions(answer: Answer) -> bytes:
    outputs = {name: _plain(name, value) for name, value in answer.outputs.items()}
    if len(outputs) == 1:
        (values,) = outputs.values()
        return _dumps({"predictions": values}, _finite(answer))
    counts = {name: np.shape(value)[:1] for name, value in answer.outputs.items()}
    if len(set(counts.values())) != 1 or () in counts.values():
        raise invalid(f"the outputs differ in their rows, {counts}: ask in the column format, with `inputs`")
    names = list(outputs)
    rows = [dict(zip(names, row, strict=True)) for row in zip(*outputs.values(), strict=True)]
    return _dumps({"predictions": rows}, _finite(answer))


def _outputs(answer: Answer) -> bytes:
    outputs = {name: _plain(name, value) for name, value in answer.outputs.items()}
    return _dumps({"outputs": outputs if len(outputs) > 1 else next(iter(outputs.values()))}, _finite(answer))


def _classes(answer: Answer) -> bytes:
    result = classification_result(answer.outputs, answer.rows)
    rows = [[[made.label, np.float32(made.score)] for made in row.classes] for row in result.classifications]
    return _dumps({"results": rows}, np.isfinite(answer.outputs.get("scores", 0.0)).all())


def _values(answer: Answer) -> bytes:
    result = regression_result(answer.outputs, answer.rows)
    values = [np.float32(made.value) for made in result.regressions]
    return _dumps({"results": values}, np.isfinite(values).all())


def _dumps(value: Any, finite: Any) -> bytes:
    if finite:
        return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    # orjson writes null for NaN and the infinities, where TensorFlow Serving writes these words.
    return json.dumps(value, default=_with_own_digits).encode()


def _with_own_digits(array: Any) -> Any:
    """Python's numbers, of float32 with no more digits than it has."""
    if array.dtype.kind == "f":
        return array.astype(str).astype(np.float64).tolist()
    return array.tolist()


def _finite(answer: Answer) -> bool:
    return all(np.isfinite(value).all() for value in answer.outputs.values() if value.dtype.kind == "f")


def _plain(name: str, value: Any) -> Any:
    """What orjson writes: arrays as they are, so that float32 keeps its own digits; strings as text, or as base64
    where the output's name ends in `_bytes`."""
    array = np.asarray(value)
    if array.dtype.name in _NOT_IN_JSON:
        raise invalid(f"output {name!r} is {array.dtype.name}, which JSON cannot hold: ask over gRPC")
    if array.dtype == object:
        return _text(array.tolist(), name.endswith("_bytes"))
    return np.ascontiguousarray(array) if array.ndim else array[()]


def _text(value: Any, encode: bool) -> Any:
    if isinstance(value, list):
        return [_text(item, encode) for item in value]
    raw = value if isinstance(value, bytes) else str(value).encode()
    return {"b64": base64.b64encode(raw).decode()} if encode else raw.decode(errors="replace")
