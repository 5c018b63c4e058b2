"""How a request may fail."""

import grpc

_HTTP = {
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
# gRPC sends the message in a header, whose size is limited.
_LONGEST = 1000


class ServingError(Exception):
    """A request that gets no scores, and why.

    Args:
        code: The gRPC status; `http_status` is the same for REST.
        message: What is wrong, with the name of the feature, signature or model.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message if len(message) <= _LONGEST else f"{message[:_LONGEST]}...")
        self.code = code

    @property
    def http_status(self) -> int:
        """The status of the REST answer."""
        return _HTTP[self.code]


class HttpError(ServingError):
    """An error for which HTTP has a status of its own; the connection is closed after it.

    Args:
        status: That status.
        code: The gRPC status that comes closest, for the metrics.
        message: What is wrong.
    """

    def __init__(self, status: int, code: grpc.StatusCode, message: str) -> None:
        super().__init__(code, message)
        self._status = status

    @property
    def http_status(self) -> int:
        """The status of the REST answer."""
        return self._status


def invalid(message: str) -> ServingError:
    """The request itself is wrong: INVALID_ARGUMENT, 400."""
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, message)


def not_found(message: str) -> ServingError:
    """No such model or version: NOT_FOUND, 404."""
    return ServingError(grpc.StatusCode.NOT_FOUND, message)


def reason_of(error: BaseException) -> str:
    """What an error says, in one line; TensorFlow's say it just before the node, behind much else."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    for place, line in enumerate(lines):
        if "assertion failed" in line:
            return line
        if line.startswith("[[{{node") and place:
            return lines[place - 1]
    return "; ".join(lines)[:_LONGEST] or "no reason is given"
