"""TensorFlow Serving's REST API."""

import json
import time
from typing import Any

import httpx
import numpy as np

from serving.client.deadline import Busy
from serving.client.errors import ServerError
from serving.client.request import Request

_BUSY = (429, 503)


class RestTransport:
    """Sends a request in the column format, in which the inputs need not have equally many rows.

    A missing number is the token `NaN`, as TensorFlow Serving's documentation has it; it refuses `null`.
    """

    def __init__(self, address: str, name: str, version: int | None) -> None:
        part = "" if version is None else f"/versions/{version}"
        self.url = f"{address}/v1/models/{name}{part}:predict"
        self._client = httpx.Client()

    def predict(self, request: Request, seconds: float) -> dict[str, np.ndarray]:
        """The outputs, by name."""
        columns = {name: array.tolist() for name, array in request.inputs.items()}
        body = json.dumps({"signature_name": request.signature, "inputs": columns})
        end = time.monotonic() + seconds
        chunks = []
        try:
            headers = {"Content-Type": "application/json"}
            with self._client.stream("POST", self.url, content=body, headers=headers, timeout=seconds) as response:
                for chunk in response.iter_bytes():
                    chunks.append(chunk)
                    if time.monotonic() > end:  # the time-out of httpx is one of each read
                        raise ServerError(f"{self.url}: the answer took longer than the deadline")
        except httpx.TimeoutException:
            raise ServerError(f"{self.url}: no answer before the deadline") from None
        except httpx.TransportError as error:
            raise Busy(f"{self.url}: {error}") from None
        text = b"".join(chunks)
        if response.status_code in _BUSY:
            raise Busy(f"{self.url}: {response.status_code} {_message(text)}")
        if response.status_code != 200:
            raise ServerError(f"{self.url}: {response.status_code} {_message(text)}")
        return _outputs(text, self.url)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _message(text: bytes) -> str:
    try:
        return str(json.loads(text)["error"])
    except (ValueError, RecursionError, KeyError, TypeError):
        return text.decode(errors="replace")[:200]


def _outputs(text: bytes, url: str) -> dict[str, np.ndarray]:
    try:
        outputs: Any = json.loads(text)["outputs"]
        return {name: np.asarray(values, np.float32) for name, values in outputs.items()}
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        raise ServerError(f"{url}: the answer is not TensorFlow Serving's. Received: {text[:80]!r}") from None
