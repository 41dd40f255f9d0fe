"""A turn at something shared: ``with turn:``, ``async with turn:``, ``@turn``.

Every entry asks anew and gets a lease of its own, so one turn may be used by many threads and tasks
at once, and again and again. A turn that waits in an asyncio program blocks no thread: it asks the
coordinator a few hundred times a second, which costs well under a microsecond each.
"""

from __future__ import annotations

import asyncio
import collections.abc
import contextvars
import functools
import inspect
import typing
from types import TracebackType

from ._core import Coord, Lease, NotFound, Ticket, Timeout, now_ns

_P = typing.ParamSpec("_P")
_T = typing.TypeVar("_T")

_FIRST_NAP = 0.0002  # seconds
_LONGEST_NAP = 0.004
_LOOK = 0.1


async def granted(coord: Coord, ticket: Ticket) -> Lease:
    """Wait for a place in line without blocking a thread; cancelled, it leaves the line."""
    nap, slept = _FIRST_NAP, 0.0
    try:
        while True:
            lease = ticket.poll()
            if lease is not None:
                return lease
            await asyncio.sleep(nap)
            slept += nap
            nap = min(nap * 2, _LONGEST_NAP)
            if slept >= _LOOK:  # those who have it may have died
                slept = 0.0
                coord.tick()
    except asyncio.CancelledError:
        try:
            ticket.cancel()
        except NotFound:
            pass
        raise


class Held:
    """A lease while it is used, as ``with`` hands it out."""

    def __init__(self, turn: Turn, lease: Lease) -> None:
        self._turn = turn
        self.lease = lease
        self._begun_ns = now_ns()

    @property
    def token(self) -> int:
        """Fencing token: who is shown one refuses those that are older than any it has seen."""
        return self.lease.token

    def is_due(self) -> bool:
        """Whether to finish now: it was given notice; or, of a slice, its time is over and somebody
        waits. NotFound when it has ended already."""
        turn = self._turn
        if turn._gpu is None or not self.lease.check():
            return not self.lease.check()
        if turn._ms is None:
            return self.lease.is_due(turn._gpu)
        if now_ns() - self._begun_ns < turn._ms * 1e6:
            return False
        return turn._coord.stats()["n_waiting"] > 0

    def next(self, timeout: float | None = None) -> None:
        """Of a slice: end it and begin the next. As long as it is our turn nobody gets in between,
        so this, and not a new block for each step, keeps to the weights exactly. timeout: seconds
        to wait (None: for ever); after Timeout there is no slice, and the block is to be left."""
        turn = self._turn
        if turn._gpu is None:
            raise TypeError("only a slice has a next one")
        self.lease.next(
            turn._component,
            turn._gpu,
            turn._amounts[turn._gpu],
            lease_class=turn._class,
            hold_ns=turn._hold_ns,
            timeout=timeout,
        )
        self._begun_ns = now_ns()


class Turn:
    """Made by Coordinator.lease() and Coordinator.gpu_slice()."""

    def __init__(
        self,
        coord: Coord,
        component: str,
        amounts: dict[str, int],
        *,
        lease_class: int,
        hold_ns: int,
        timeout: float | None,
        gpu: str | None = None,
        ms: float | None = None,
    ) -> None:
        self._coord = coord
        self._component = component
        self._amounts = amounts
        self._class = lease_class
        self._hold_ns = hold_ns
        self._timeout = timeout
        self._gpu = gpu
        self._ms = ms
        # Of the thread or task that is inside: what it holds, the innermost last.
        self._inside: contextvars.ContextVar[tuple[Held, ...]] = contextvars.ContextVar(
            "inside", default=()
        )

    def _enter(self, lease: Lease) -> Held:
        held = Held(self, lease)
        self._inside.set((*self._inside.get(), held))
        return held

    def _leave(self, exc: BaseException | None) -> None:
        *outer, held = self._inside.get()
        self._inside.set(tuple(outer))
        held.lease.__exit__(None if exc is None else type(exc), exc, None)

    def __enter__(self) -> Held:
        lease = self._coord.acquire(
            self._component,
            self._amounts,
            timeout=self._timeout,
            lease_class=self._class,
            hold_ns=self._hold_ns,
        )
        if lease is None:
            raise Timeout(f"{', '.join(self._amounts)}: not free")
        return self._enter(lease)

    def __exit__(
        self,
        cls: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave(exc)

    async def __aenter__(self) -> Held:
        if self._timeout == 0:
            return self.__enter__()
        ticket = self._coord.request(
            self._component,
            self._amounts,
            timeout=self._timeout,
            lease_class=self._class,
            hold_ns=self._hold_ns,
        )
        return self._enter(await granted(self._coord, ticket))

    async def __aexit__(
        self,
        cls: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave(exc)

    def __call__(
        self, fn: collections.abc.Callable[_P, _T]
    ) -> collections.abc.Callable[_P, _T]:
        """As a decorator: each call of the function, or coroutine function, is one turn."""
        if inspect.iscoroutinefunction(fn):

            @functools.wraps(fn)
            async def awaited(*args: typing.Any, **kwargs: typing.Any) -> typing.Any:
                async with self:
                    return await fn(*args, **kwargs)

            return typing.cast(collections.abc.Callable[_P, _T], awaited)

        @functools.wraps(fn)
        def called(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            with self:
                return fn(*args, **kwargs)

        return called
