"""A service outside that counts: so many calls an hour, so many tokens a minute."""

from __future__ import annotations

import asyncio
import collections.abc
from types import TracebackType

from ._ask import class_of
from ._core import Coord, Error, Full, Timeout, Usage, rate_answer

_SHORTEST_NAP = 0.0002  # seconds
_LONGEST_NAP = 0.01
_NEVER = (1 << 64) - 1
# What its resources are called, after the service's name and a dot; and what headers call them.
_PARTS = {
    "calls": "requests",
    "tokens": "tokens",
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
}


class Denied(Full):
    """A limit does not allow it now, or others are first in line. retry_after: seconds until it
    would, exactly, if nobody takes or gives back before; no earlier, while others are first; None:
    when somebody's reservation ends."""

    retry_after: float | None = None


def _denied(name: str, retry_after_ns: int) -> Denied:
    error = Denied(f"{name}: not now")
    error.retry_after = None if retry_after_ns == _NEVER else retry_after_ns / 1e9
    return error


class Reservation:
    """What was reserved for one call. ``with`` ends it: as reserved, unless commit() said what was
    really used or refund() that nothing was."""

    def __init__(self, api: Api, usage: Usage) -> None:
        self._api = api
        self.usage = usage

    def commit(self, **used: int) -> None:
        """Say what was used: commit(tokens=812); what is not named was used as reserved. NotFound
        when it had ended by itself."""
        self.usage.commit({f"{self._api.name}.{part}": n for part, n in used.items()})

    def refund(self) -> None:
        """The call was not made."""
        self.usage.refund()

    def __enter__(self) -> Reservation:
        return self

    def __exit__(
        self,
        cls: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self.usage.is_over:
            self.usage.commit()


class Api:
    """Made by Coordinator.api(): the resources NAME.calls, NAME.tokens, NAME.input_tokens and
    NAME.output_tokens, as far as there are any."""

    def __init__(self, coord: Coord, name: str, component: str) -> None:
        self._coord = coord
        self.name = name
        self.component = component
        named = [str(info["name"]) for info in coord.resources()]
        self._index = {
            part: named.index(f"{name}.{part}") for part in _PARTS if f"{name}.{part}" in named
        }
        if not self._index:
            raise ValueError(f"no resource of the name {name}.calls or {name}.tokens")

    def _amounts(self, calls: int, amounts: dict[str, int]) -> dict[str, int]:
        for part in amounts:
            if part not in self._index:
                raise ValueError(f"no resource of the name {self.name}.{part}")
        if "calls" in self._index:
            amounts = {"calls": calls} | amounts
        return {f"{self.name}.{part}": n for part, n in amounts.items()}

    def try_acquire(
        self, calls: int = 1, *, priority: str = "normal", **amounts: int
    ) -> Reservation:
        """Reserve a call and its tokens now; Denied with retry_after when a limit does not allow
        it or others are first in line, TooBig when it never will be."""
        usage = self._coord.take(
            self.component, self._amounts(calls, amounts), lease_class=class_of(priority)
        )
        if isinstance(usage, int):
            raise _denied(self.name, usage)
        assert usage is not None
        return Reservation(self, usage)

    def acquire(
        self,
        calls: int = 1,
        *,
        timeout: float | None = None,
        priority: str = "normal",
        **amounts: int,
    ) -> Reservation:
        """The same, waiting in line up to timeout seconds (None: for ever): Timeout. Amounts are
        tokens=, input_tokens= and output_tokens=, as estimates."""
        usage = self._coord.take(
            self.component,
            self._amounts(calls, amounts),
            timeout=timeout,
            lease_class=class_of(priority),
        )
        if isinstance(usage, int):
            raise Timeout(f"{self.name}: the limits did not allow it in time")
        assert usage is not None
        return Reservation(self, usage)

    async def acquire_async(
        self,
        calls: int = 1,
        *,
        timeout: float | None = None,
        priority: str = "normal",
        **amounts: int,
    ) -> Reservation:
        """The same in an asyncio program: in the same line, and no thread is blocked. Who is
        cancelled leaves the line."""
        ticket = self._coord.request_take(
            self.component,
            self._amounts(calls, amounts),
            timeout=timeout,
            lease_class=class_of(priority),
        )
        try:
            while isinstance(usage := ticket.poll(), int):
                await asyncio.sleep(min(max(usage / 1e9, _SHORTEST_NAP), _LONGEST_NAP))
        except asyncio.CancelledError:
            try:
                ticket.cancel()
            except Error:
                pass
            raise
        return Reservation(self, usage)

    def answered(self, headers: collections.abc.Mapping[str, str]) -> None:
        """Correct the limits after the headers of an answer: ``anthropic-ratelimit-*`` those of the
        kind "rate" of all components, ``retry-after`` every limit of the service."""
        said = rate_answer(list(headers.items()))
        limits = self._coord.limits()
        for part, resource in self._index.items():
            subject = _PARTS[part]
            limit, remaining = said.get(f"{subject}.limit"), said.get(f"{subject}.remaining")
            for i, info in enumerate(limits):
                is_meant = info["resource"] == resource and info["is_total"]
                if is_meant and info["kind"] == "rate" and (limit, remaining) != (None, None):
                    self._coord.correct(i, limit=limit, remaining=remaining)
            if "retry_after_ns" in said and any(
                info["resource"] == resource and info["is_total"] for info in limits
            ):
                self._coord.block(resource, said["retry_after_ns"])
