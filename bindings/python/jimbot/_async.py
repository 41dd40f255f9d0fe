"""A subscription in an asyncio program: ``async for event in sub``.

Nothing is taken ahead: an event that the loop was not handed is still in the ring. The descriptor
that the event loop watches is a duplicate of the subscription's, which becomes readable when
somebody closes the subscription; so a task that waits then wakes, with jimbot.Closed.
"""

from __future__ import annotations

import asyncio
import os
import typing

from ._core import Batch, Event


class Pollable(typing.Protocol):
    """What an asynchronous iterator asks of a subscription."""

    def poll(self, max_events: int = 1024, timeout: float | None = 0.0) -> Batch:
        """Take up to max_events."""

    def fileno(self) -> int:
        """Readable until a poll() finds nothing."""


class AsyncEvents:
    """An asynchronous iterator over a subscription, made by ``aiter(sub)``."""

    def __init__(self, subscription: Pollable) -> None:
        self._fd = -1
        self.subscription = subscription

    def __aiter__(self) -> AsyncEvents:
        return self

    async def __anext__(self) -> Event:
        return (await self.poll(1))[0]

    async def poll(self, max_events: int = 1024) -> Batch:
        """Take up to max_events as a Batch, never empty. For a deadline use asyncio.timeout();
        a poll that is cancelled has taken nothing."""
        while True:
            batch = self.subscription.poll(max_events)
            if len(batch) > 0:
                return batch
            await self._readable()

    async def _readable(self) -> None:
        if self._fd < 0:
            self._fd = os.dup(self.subscription.fileno())
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        loop.add_reader(self._fd, _set, ready)
        try:
            await ready
        finally:
            loop.remove_reader(self._fd)

    def __del__(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
