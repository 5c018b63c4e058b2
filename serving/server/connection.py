"""One REST connection: limited in number and in time."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.flow_control import CLOSE_HEADER
from uvicorn.protocols.http.h11_impl import H11Protocol

# An end of the server waits so long for what is on its way over an idle connection.
_LAST_WORDS = 0.2
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: 41\r\n"
    b'connection: close\r\n\r\n{"error": "too many connections at once"}'
)


class Connection(H11Protocol):
    """Uvicorn's connection with a limit to their number, and to the time in which a request must arrive.

    When there are too many, the one that has kept the server waiting for a request longest is closed for the new one;
    where every other is being answered, the new one gets 503. At the end of the server, what has begun to arrive is
    answered, too.

    Args:
        limit: Connections at a time.
        seconds: Time for a request to arrive; a body's own time is the application's.
        arguments: Uvicorn's.
    """

    def __init__(self, limit: int, seconds: float, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._limit = limit
        self._seconds = seconds
        self._since = self.loop.time()
        self._late: asyncio.TimerHandle | None = None
        self._ends = False

    @property
    def waits(self) -> bool:
        """Whether the server waits for the caller, not the caller for the server."""
        return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if len(self.connections) >= self._limit:
            waiting = [other for other in self.connections if isinstance(other, Connection) and other.waits]
            if not waiting:
                self.transport = transport
                transport.write(_FULL)
                transport.close()
                return
            min(waiting, key=lambda other: other._since).abort()
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.waits:
            self._watch()
        else:
            self._unwatch()
        if self._ends:
            self._close_after_answer()

    def on_response_complete(self) -> None:
        self._unwatch()  # uvicorn closes what stays idle
        self._since = self.loop.time()
        super().on_response_complete()

    def abort(self) -> None:
        """Close at once."""
        self.connections.discard(self)
        self.transport.abort()

    def shutdown(self) -> None:
        """Answer what has arrived, or begun to; then close."""
        self._ends = True
        if self.cycle is not None and not self.cycle.response_complete:
            self._close_after_answer()
        else:
            # What was sent before the end may still be on its way.
            self.loop.call_later(_LAST_WORDS, self._close_if_idle)

    def _close_if_idle(self) -> None:
        begun = self.conn.trailing_data[0] or (self.cycle is not None and not self.cycle.response_complete)
        if not begun and not self.transport.is_closing():
            self.conn.send(h11.ConnectionClosed())
            self.transport.close()

    def _close_after_answer(self) -> None:
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.keep_alive = False
            if CLOSE_HEADER not in cycle.scope["headers"]:
                cycle.scope["headers"] = [*cycle.scope["headers"], CLOSE_HEADER]

    def _watch(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(self._seconds, self._end_late)

    def _unwatch(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _end_late(self) -> None:
        self._late = None
        if self.cycle is None or self.cycle.response_complete:
            self.abort()
