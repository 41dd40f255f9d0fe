"""A turn at something shared: ``with turn:``, ``async with turn:``, ``@turn``.

Every entry asks anew and gets a lease of its own, so one turn may be used by many threads and tasks
at once, and again and again.
"""

from __future__ import annotations

import collections.abc
import contextvars
import functools
import inspect
import typing
from types import TracebackType

from ._ask import Ask
from ._core import Lease, now_ns

_P = typing.ParamSpec("_P")
_T = typing.TypeVar("_T")

# Of the thread or task: what it holds by ``with``, of all turns, the innermost last. One variable
# for all of them: a context keeps each that was ever set in it.
_inside: contextvars.ContextVar[tuple[Held, ...]] = contextvars.ContextVar("inside", default=())


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
        return turn._ask.coord.stats()["n_waiting"] > 0

    def next(self, timeout: float | None = None) -> None:
        """Of a slice: end it and begin the next. As long as it is our turn nobody gets in between,
        so this, and not a new block for each step, keeps to the weights exactly. timeout: seconds
        to wait (None: for ever); after Timeout there is no slice, and the block is to be left."""
        turn = self._turn
        if turn._gpu is None:
            raise TypeError("only a slice has a next one")
        ask = turn._ask
        self.lease.next(
            ask.component,
            turn._gpu,
            ask.amounts[turn._gpu],
            lease_class=ask.terms["lease_class"],
            hold_ns=ask.terms["hold_ns"],
            timeout=timeout,
        )
        self._begun_ns = now_ns()


class Turn:
    """Made by Coordinator.lease() and Coordinator.gpu_slice(). Any number of threads and tasks may
    be inside at once; blocks of one turn in the same one have to nest."""

    def __init__(self, ask: Ask, *, gpu: str | None = None, ms: float | None = None) -> None:
        self._ask = ask
        self._gpu = gpu
        self._ms = ms
        self._helds: list[Held] = []  # all that are inside

    def _enter(self, lease: Lease) -> Held:
        held = Held(self, lease)
        self._helds.append(held)
        _inside.set((*_inside.get(), held))
        return held

    def _leave(self, exc: BaseException | None) -> None:
        # A generator may be closed in another context than the one that ran it.
        ours = [held for held in _inside.get() if held in self._helds]
        held = (ours or self._helds)[-1]
        self._helds.remove(held)
        _inside.set(tuple(other for other in _inside.get() if other is not held))
        held.lease.__exit__(None if exc is None else type(exc), exc, None)

    def __enter__(self) -> Held:
        return self._enter(self._ask.lease())

    def __exit__(
        self,
        cls: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave(exc)

    async def __aenter__(self) -> Held:
        return self._enter(await self._ask.lease_async())

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
