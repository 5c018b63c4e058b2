"""How much of requests is held at a time."""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from serving.server.errors import ServingError


class BodyBudget:
    """Bytes that all requests under way may hold together: else many callers of large bodies would fill the memory.

    Args:
        limit: That many.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0

    @contextmanager
    def hold(self, size: int = 0) -> Iterator["BodyBudget.Share"]:
        """A share of them until the block ends.

        Args:
            size: Bytes to begin with. Defaults to 0.

        Raises:
            ServingError: RESOURCE_EXHAUSTED: others hold them.
        """
        share = BodyBudget.Share(self)
        try:
            share.add(size)
            yield share
        finally:
            self._held -= share.size

    class Share:
        """What one request holds."""

        def __init__(self, budget: "BodyBudget") -> None:
            self._budget = budget
            self.size = 0

        def add(self, size: int) -> None:
            """Take more, or raise RESOURCE_EXHAUSTED."""
            budget = self._budget
            if budget._held + size > budget._limit:
                raise ServingError(
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    f"requests under way hold {budget._held} bytes of {budget._limit} already: try again later",
                )
            budget._held += size
            self.size += size
