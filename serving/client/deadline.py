"""Retries within one deadline."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from serving.client.errors import ServerError

Answer = TypeVar("Answer")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0


class Busy(Exception):
    """An attempt failed in a way that may pass: the server is overloaded, starting or gone for a moment."""


def within_deadline(attempt: Callable[[float], Answer], seconds: float) -> Answer:
    """The answer of the first attempt that is not `Busy`.

    Scoring changes nothing on the server, so that trying again is safe. The pauses double, up to a second, and are
    drawn at random from the upper half, so that many clients do not come back at the same moment.

    Args:
        attempt: Called with the seconds that are left.
        seconds: Time for all attempts together.

    Raises:
        ServerError: Every attempt within the deadline was `Busy`.
    """
    end = time.monotonic() + seconds
    pause, attempts = _FIRST_PAUSE, 0
    while True:
        attempts += 1
        try:
            return attempt(max(end - time.monotonic(), 0.001))
        except Busy as error:
            wait = pause * random.uniform(0.5, 1.0)
            if time.monotonic() + wait >= end:
                raise ServerError(f"no answer within {seconds} s, {attempts} attempts. The last: {error}") from None
        time.sleep(wait)
        pause = min(2 * pause, _LONGEST_PAUSE)
