"""Who answers: the requests on a pattern, one at a time, each by a call of a function."""

from __future__ import annotations

import collections.abc
from typing import Any, Literal

from ._core import Bus, Closed, Event

_Answer = tuple[str | None, Any] | None


class Answerer:
    """Takes the requests on a pattern and answers each with what a function makes of it.

    ``answer(request)`` returns ``(type, data)`` as Bus.reply() takes them, or None to leave the
    request to somebody else. What it raises comes out of poll() or run(); that request stays
    without an answer from here, those behind it are still there. Events that are no requests are
    passed over. One thread at a time.

    The policy is "latest" unless told otherwise: one who answers slowly holds no publisher back,
    and requests it never saw time out.
    """

    def __init__(
        self,
        bus: Bus,
        pattern: str | collections.abc.Sequence[str],
        answer: collections.abc.Callable[[Event], _Answer],
        *,
        policy: Literal["lossless", "latest"] = "latest",
        reply_timeout: float | None = 0.0,
        **options: Any,
    ) -> None:
        """``options`` are those of Bus.subscribe(); reply_timeout: seconds to wait for room."""
        self.subscription = bus.subscribe(pattern, policy, **options)
        self._answer = answer
        self._reply_timeout = reply_timeout
        self.n_answered = 0

    def poll(self, timeout: float | None = 0.0) -> bool:
        """Take one event, waiting up to timeout seconds (None: for ever). False: none came."""
        batch = self.subscription.poll(1, timeout)
        for event in batch:
            answer = self._answer(event) if event.is_request else None
            if answer is not None:
                kind, data = answer
                self.subscription.bus.reply(event, kind, data, timeout=self._reply_timeout)
                self.n_answered += 1
        return len(batch) > 0

    def run(self) -> None:
        """Answer until somebody closes it, or the bus."""
        while not self.subscription.closed:
            try:
                self.poll(None)
            except Closed:
                if not self.subscription.closed:
                    raise

    def close(self) -> None:
        """End it; run() in another thread returns."""
        self.subscription.close()

    def __enter__(self) -> Answerer:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()
