"""A server in a thread of this process, for programs that ask it themselves."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from serving.server.options import Options
from serving.server.server import Server


@contextmanager
def in_thread(options: Options) -> Iterator[tuple[Server, asyncio.AbstractEventLoop]]:
    """Serve until the block ends; gives the server and the event loop that it runs in.

    Args:
        options: `Options`; ports of 0 are chosen freely.

    Raises:
        StartError: The server cannot start.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        server = Server(options)
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(120)
        try:
            yield server, loop
        finally:
            asyncio.run_coroutine_threadsafe(server.stop(), loop).result(60)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
