"""A server in a thread of this process, and the calls of a client."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import httpx
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from serving.server.in_thread import in_thread
from serving.server.options import Options


class Running:
    """Calls of a client; `server` may be looked into."""

    def __init__(self, server, loop):
        self.server, self.loop = server, loop
        self.channel = grpc.insecure_channel(f"127.0.0.1:{server.port}")
        self.stub = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{server.rest_port}", timeout=30)
        self.model = f"/v1/models/{server.options.name}"

    def predict(self, signature, columns, version=None, name=None, **options):
        return self.stub.Predict(self.request(signature, columns, version, name), timeout=30, **options)

    def request(self, signature, columns, version=None, name=None):
        request = predict_pb2.PredictRequest()
        request.model_spec.name = name or self.server.options.name
        request.model_spec.signature_name = signature
        if version is not None:
            request.model_spec.version.value = version
        for column, value in columns.items():
            request.inputs[column].CopyFrom(tf.make_tensor_proto(value))
        return request

    def post(self, body, path=":predict", **options):
        content = body if isinstance(body, bytes) else json.dumps(body)  # which writes NaN, as httpx does not
        return self.http.post(self.model + path, content=content, **options)

    def do(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)


@contextmanager
def running(base, **options) -> Iterator[Running]:
    """Serves `base` until the block ends."""
    options = Options(base, name="clicks", port=0, rest_port=0, grace=2, **options)
    with in_thread(options) as (server, loop):
        client = Running(server, loop)
        try:
            yield client
        finally:
            client.http.close()
            client.channel.close()
