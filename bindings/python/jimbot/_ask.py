"""What somebody asks of a coordinator, and the ways to come by it: here and now, by a place in
line, or in an asyncio program.

Who waits in one blocks no thread: it asks the coordinator a few hundred times a second, which costs
well under a microsecond each.
"""

from __future__ import annotations

import asyncio
import typing

from ._core import Coord, Error, Lease, Ticket, Timeout

_FIRST_NAP = 0.0002  # seconds
_LONGEST_NAP = 0.004
_LOOK = 0.1
_CLASSES = {"low": 1, "normal": 2, "high": 3, "critical": 4}


def class_of(priority: str) -> int:
    """Who goes first, as jimbot/quota.h numbers it."""
    try:
        return _CLASSES[priority]
    except KeyError:
        raise ValueError(f"priority is one of {', '.join(_CLASSES)}, not {priority!r}") from None


class Terms(typing.TypedDict, total=False):
    """How Coord.acquire() and Coord.request() may be asked."""

    lease_class: int
    hold_ns: int
    timeout: float | None
    detached: bool
    tag: int


class Ask(typing.NamedTuple):
    """Amounts of resources, for whom, and on which terms. It may be used again and again."""

    coord: Coord
    component: str
    amounts: dict[str, int]
    terms: Terms

    def lease(self) -> Lease:
        """Wait without the GIL; Timeout when the time ran out."""
        lease = self.coord.acquire(self.component, self.amounts, **self.terms)
        if lease is None:
            raise Timeout(f"{', '.join(self.amounts)}: not free")
        return lease

    def ticket(self) -> Ticket:
        """Stand in line."""
        return self.coord.request(self.component, self.amounts, **self.terms)

    async def lease_async(self) -> Lease:
        """As lease(); who is cancelled leaves the line."""
        timeout = self.terms["timeout"]
        if timeout is not None and 0 <= timeout < 1e-9:  # a ticket of 0 ns is one without end
            return self.lease()
        ticket = self.ticket()
        try:
            return await self._granted(ticket)
        except asyncio.CancelledError:
            try:
                ticket.cancel()
            except Error:
                pass
            raise

    async def _granted(self, ticket: Ticket) -> Lease:
        nap, slept = _FIRST_NAP, 0.0
        while True:
            lease = ticket.poll()
            if lease is not None:
                return lease
            await asyncio.sleep(nap)
            slept += nap
            nap = min(nap * 2, _LONGEST_NAP)
            if slept >= _LOOK:  # those who have it may have died
                slept = 0.0
                self.coord.tick()
