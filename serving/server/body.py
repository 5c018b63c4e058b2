"""The body of a REST request."""

import asyncio
import zlib

import grpc
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest

from serving.server.body_budget import BodyBudget
from serving.server.errors import HttpError, ServingError, invalid

# A body that is a little too large is read to its end: a client that still sends would miss the answer.
_DRAINED = 4
# Files joined by hand have a few; each costs a copy of what is left.
_MOST_MEMBERS = 16


async def read_body(request: HttpRequest, limit: int, seconds: float, share: BodyBudget.Share) -> bytes:
    """The body as it was sent.

    Args:
        request: The request.
        limit: Bytes that it may hold.
        seconds: Time in which it must have arrived.
        share: What counts the bytes.

    Raises:
        ServingError: It is too large or too late, or its sender is gone.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > _DRAINED * limit:
        raise too_large(limit)
    body, size = bytearray(), 0
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                size += len(part)
                if size <= limit:
                    share.add(len(part))
                    body += part
                elif size > _DRAINED * limit:
                    break
    except TimeoutError:
        raise HttpError(
            408, grpc.StatusCode.DEADLINE_EXCEEDED, f"the body did not arrive within {seconds:g} s"
        ) from None
    except ClientDisconnect:
        raise ServingError(grpc.StatusCode.CANCELLED, "the caller is gone") from None
    if size > limit:
        raise too_large(limit)
    return bytes(body)


def is_compressed(request: HttpRequest) -> bool:
    """Whether the body is compressed by gzip.

    Raises:
        ServingError: It is compressed in another way.
    """
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise HttpError(
            415,
            grpc.StatusCode.INVALID_ARGUMENT,
            f"`Content-Encoding` must be gzip or absent. Received: {encoding!r:.80}",
        )
    return encoding.endswith("gzip")


def unpack(body: bytes, limit: int) -> bytes:
    """What a body that is compressed by gzip holds.

    Args:
        body: The body.
        limit: Bytes that it may hold.

    Raises:
        ServingError: It is no gzip, or cut short, or holds more.
    """
    text = bytearray()
    for _ in range(_MOST_MEMBERS):
        member = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            text += member.decompress(body, limit - len(text) + 1)
        except zlib.error as error:
            raise invalid(f"the body is not gzip, as its `Content-Encoding` says: {error}") from None
        if len(text) > limit:
            raise too_large(limit)
        if not member.eof:
            raise invalid("the body, which is gzip, is cut short")
        body = member.unused_data.lstrip(b"\0")
        if not body:
            return bytes(text)
    raise invalid(f"the body holds more than {_MOST_MEMBERS} gzip files")


def too_large(limit: int) -> HttpError:
    """The error of a body that is too large."""
    message = f"the body may hold at most {limit} bytes; --max-body-mb of the server sets that"
    return HttpError(413, grpc.StatusCode.INVALID_ARGUMENT, message)
