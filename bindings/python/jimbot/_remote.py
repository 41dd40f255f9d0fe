"""A bus elsewhere, with the methods of a Bus: ``jimbot.connect("ws://127.0.0.1:8080")``.

Connecting, sending and listening are done by a thread of libjimbot-client. ``publish`` returns when
the event lies in the client's own buffer; ``flush`` and ``close`` say whether it has arrived. What
needs the ring itself (requests, consumer groups, topic numbers) raises NotImplementedError.
"""

from __future__ import annotations

import collections.abc
import math
import time
import typing
from typing import TYPE_CHECKING, Any, Literal, NoReturn, SupportsIndex

from ._async import AsyncEvents
from ._core import Batch, Bus, Closed, Error, Event, Full, _batch, encode

if TYPE_CHECKING:
    from . import _client

_POLICIES = ("lossless", "latest", "conflate")
_STATES = ("connecting", "up", "backing off")
_WAYS = ("websocket", "http", "memory", "grpc")
_SLICE_NS = 50_000_000  # longest wait without a look at signals
_T = typing.TypeVar("_T")

_FLAGS = {"rest_fallback": 1, "drop_oldest": 2, "no_ids": 4, "tls_any": 8}


def _raise(code: int, text: str) -> NoReturn:
    kinds: dict[int, type[Error]] = {kind.code: kind for kind in Error.__subclasses__()}
    error = kinds.get(code, Error)(text)
    error.code, error.message, error.offset, error.os_errno = code, text, 0, 0
    raise error


def _ns(seconds: float | None) -> int:
    return 2**63 if seconds is None else max(0, math.ceil(seconds * 1e9))


def _deadline(timeout: float | None) -> float:
    return math.inf if timeout is None else time.monotonic() + timeout


class RemoteSubscription:
    """A subscription of a RemoteBus; one thread at a time. Iterate for events, also with async for,
    or poll() for batches."""

    def __init__(self, bus: RemoteBus, sub: _client.Sub, patterns: tuple[str, ...]) -> None:
        self.bus = bus
        self.patterns = patterns
        self._sub = sub
        self._n_received = 0
        self._n_missed = 0

    @property
    def closed(self) -> bool:
        """Whether it was closed, or its bus."""
        return self._sub.closed

    def _take(self, max_events: int) -> Batch:
        events = self.bus._do(self._sub.poll, max_events)
        for event in events:
            self._n_missed += event[5]
        self._n_received += len(events)
        number = self.bus._number
        return _batch([(*e[:4], number(e[4]), *e[5:]) for e in events], self.bus._topics)

    def poll(self, max_events: int = 1024, timeout: float | None = 0.0) -> Batch:
        """Take up to max_events as a Batch; wait up to timeout seconds (None: for ever) for the
        first."""
        end = _deadline(timeout)
        while True:
            batch = self._take(max_events)
            left = end - time.monotonic()
            if len(batch) > 0 or left <= 0:
                return batch
            self.bus._do(self._sub.wait, int(min(_SLICE_NS, left * 1e9)))

    def fileno(self) -> int:
        """A descriptor for selectors and asyncio: readable until a poll() finds nothing. -1 once
        closed."""
        return self.bus._do(self._sub.fileno)

    def is_live(self) -> bool:
        """Whether the server delivers to it now."""
        return self.bus._do(self._sub.is_live)

    def stats(self) -> dict[str, Any]:
        """Counters, as a dict: n_delivered and n_missed."""
        return {"n_delivered": self._n_received, "n_missed": self._n_missed}

    def close(self) -> None:
        """End it; a thread that waits in it gets jimbot.Closed."""
        self._sub.close()

    def __iter__(self) -> RemoteSubscription:
        return self

    def __next__(self) -> Event:
        return self.poll(1, None)[0]

    def __aiter__(self) -> AsyncEvents:
        return AsyncEvents(self)

    def __enter__(self) -> RemoteSubscription:
        if self.closed:
            _raise(Closed.code, "subscription: it was closed")
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<jimbot.RemoteSubscription {self.patterns}{', closed' if self.closed else ''}>"


class RemoteBus:
    """A bus elsewhere, made by jimbot.connect()."""

    def __init__(self, name: str, client: _client.Client, fault: type[Exception]) -> None:
        self.name = name
        self._client = client
        self._fault = fault
        self._topics: list[str | None] = [None]
        self._numbers: dict[str, int] = {}

    def _do(self, call: collections.abc.Callable[..., _T], *args: object) -> _T:
        try:
            return call(*args)
        except self._fault as fault:
            code, text = fault.args
        _raise(code, text)

    def _number(self, topic: str) -> int:
        number = self._numbers.get(topic)
        if number is None:
            number = self._numbers[topic] = len(self._topics)
            self._topics.append(topic)
        return number

    def _until(
        self, timeout: float | None, call: collections.abc.Callable[..., object], *args: object
    ) -> None:
        """Again while there is no room in the buffer and time is left."""
        end = _deadline(timeout)
        while True:
            try:
                self._do(call, *args)
                return
            except Full:
                if time.monotonic() >= end:
                    raise
            time.sleep(0.001)

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._client.closed

    def publish(
        self,
        topic_or_type: str | None,
        data: Any = None,
        *,
        timeout: float | None = 0.0,
        subtype: str | None = None,
        event_id: Any = None,
        source: Any = None,
        timestamp: Any = None,
        priority: Any = None,
        key: SupportsIndex = 0,
    ) -> None:
        """Put one event into the buffer of what is on its way, as Bus.publish() would publish it.
        Raises Full when it has no room in time."""
        topic = topic_or_type if topic_or_type is not None and "." in topic_or_type else None
        payload = encode(
            None if topic else topic_or_type,
            data,
            subtype=subtype,
            event_id=event_id,
            source=source,
            timestamp=timestamp,
            priority=priority,
        )
        self._until(timeout, self._client.publish, payload, topic, key)

    def publish_many(
        self,
        topic_or_type: str | None,
        items: collections.abc.Iterable[Any],
        *,
        keys: collections.abc.Iterable[SupportsIndex] | None = None,
        timeout: float | None = 0.0,
    ) -> int:
        """publish() for each; returns how many. Full: `n_published` of them are in the buffer."""
        chosen = None if keys is None else iter(keys)
        n = 0
        for item in items:
            try:
                key = 0 if chosen is None else next(chosen)
                self.publish(topic_or_type, item, timeout=timeout, key=key)
            except Error as error:
                error.n_published = n
                raise
            n += 1
        return n

    def send_command(
        self,
        name: str,
        *params: str | float | SupportsIndex,
        id: str | None = None,
        timeout: float | None = 0.0,
    ) -> None:
        """Send a command to the game."""
        if len(params) > 8:
            raise ValueError(f"a command has at most 8 parameters, not {len(params)}")
        for param in params:
            if isinstance(param, bool) or not isinstance(param, str | int | float | SupportsIndex):
                raise TypeError(f"a command's parameters are str, int or float, not {type(param)}")
        texts = [str(param) for param in params]
        self._until(timeout, self._client.send_command, name, id or "", *texts)

    def subscribe(
        self,
        pattern: str | collections.abc.Sequence[str],
        policy: Literal["lossless", "latest", "conflate"] = "lossless",
        *,
        start: Literal["now", "oldest"] | int = "now",
        max_unacked: int = 0,
        buffer_bytes: int = 0,
    ) -> RemoteSubscription:
        """Subscribe to a pattern or several. start is a sequence, too. max_unacked: events on their
        way and not taken; buffer_bytes: for those that came; 0: the default."""
        patterns = (pattern,) if isinstance(pattern, str) else tuple(pattern)
        if policy not in _POLICIES:
            raise ValueError(f"policy is one of {_POLICIES}, not {policy!r}")
        if isinstance(start, str) and start not in ("now", "oldest"):
            raise ValueError(f"start is 'now', 'oldest' or a sequence, not {start!r}")
        where = ("now", "oldest").index(start) if isinstance(start, str) else 2
        sequence = start if isinstance(start, int) else 0
        sub = self._do(
            self._client.subscribe,
            ",".join(patterns),
            _POLICIES.index(policy),
            where,
            sequence,
            max_unacked,
            buffer_bytes,
        )
        return RemoteSubscription(self, sub, patterns)

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until every event has an answer; False when time ran out."""
        end = _deadline(timeout)
        while True:
            left = end - time.monotonic()
            if self._do(self._client.flush, int(max(0.0, min(_SLICE_NS, left * 1e9)))):
                return True
            if left <= 0:
                return False

    def status(self) -> dict[str, Any]:
        """state ('connecting', 'up', 'backing off'), way ('websocket', 'grpc', 'http'), seconds in this
        state, failures in a row, error: why the last connection ended, or None."""
        state, way, failures, ns, code, message = self._do(self._client.status)
        return {
            "state": _STATES[state],
            "way": _WAYS[way],
            "seconds": ns / 1e9,
            "failures": failures,
            "error": message if code else None,
        }

    def stats(self) -> dict[str, int]:
        """Counters: those of jb_client_stats."""
        return self._do(self._client.stats)

    def close(self, timeout: float | None = 1.0) -> int:
        """Close it and its subscriptions; what waits has so long to leave. Returns how many events
        were not known to be on the bus."""
        return self._client.close(_ns(timeout))

    def _cannot(self, what: str) -> NoReturn:
        raise NotImplementedError(f"a bus elsewhere has no {what}: open it with shm:// or Bus.open()")

    def request(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raises NotImplementedError."""
        self._cannot("request()")

    def requester(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raises NotImplementedError."""
        self._cannot("requester()")

    def reply(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raises NotImplementedError."""
        self._cannot("reply()")

    def join(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raises NotImplementedError."""
        self._cannot("join()")

    def remove_group(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raises NotImplementedError."""
        self._cannot("remove_group()")

    def publish_columns(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raises NotImplementedError."""
        self._cannot("publish_columns()")

    def topic_id(self, *args: Any) -> NoReturn:
        """Raises NotImplementedError."""
        self._cannot("topic_id()")

    def topic_name(self, *args: Any) -> NoReturn:
        """Raises NotImplementedError."""
        self._cannot("topic_name()")

    def peers(self) -> NoReturn:
        """Raises NotImplementedError."""
        self._cannot("peers()")

    def subscriptions(self) -> NoReturn:
        """Raises NotImplementedError."""
        self._cannot("subscriptions()")

    def groups(self) -> NoReturn:
        """Raises NotImplementedError."""
        self._cannot("groups()")

    def __enter__(self) -> RemoteBus:
        if self.closed:
            _raise(Closed.code, "bus: it was closed")
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def __repr__(self) -> str:
        # Path and query may hold a secret; the place does not.
        where = self.name if self.name.startswith("unix:") else "/".join(self.name.split("/")[:3])
        return f"<jimbot.RemoteBus {where.split('?')[0]!r}{', closed' if self.closed else ''}>"


def connect(
    url: str,
    *,
    token: str | None = None,
    tls_ca: str | None = None,
    tls_cert: str | None = None,
    tls_key: str | None = None,
    name: str | None = None,
    rest_fallback: bool = False,
    drop_oldest: bool = False,
    no_ids: bool = False,
    tls_any: bool = False,
    buffer_bytes: int = 0,
    connect_timeout: float = 0.0,
    backoff_min: float = 0.0,
    backoff_max: float = 0.0,
    idle: float = 0.0,
    poll: float = 0.0,
) -> Bus | RemoteBus:
    """The bus at an address: "ws://HOST:PORT", "wss://…", "unix:PATH", "grpc://…", "grpcs://…",
    "http://…", "https://…", or "shm://NAME", which is Bus.open(NAME). Returns at once, whether
    there is a server or not.

    Options as jb_client_opts in jimbot/client.h, times in seconds; 0: the default. Raises
    NotImplementedError where the package was built without libjimbot-client, Invalid for what is no
    address.
    """
    if url.startswith("shm://"):
        return Bus.open(url.removeprefix("shm://"), peer_name=name)
    try:
        from . import _client
    except ImportError:
        why = "this jimbot was built without libjimbot-client: only shm:// is possible"
        raise NotImplementedError(why) from None
    given = {
        "rest_fallback": rest_fallback,
        "drop_oldest": drop_oldest,
        "no_ids": no_ids,
        "tls_any": tls_any,
    }
    try:
        client = _client.open(
            url,
            flags=sum(_FLAGS[flag] for flag, is_set in given.items() if is_set),
            token=token,
            tls_ca=tls_ca,
            tls_cert=tls_cert,
            tls_key=tls_key,
            name=name,
            buffer_bytes=buffer_bytes,
            connect_timeout_ns=_ns(connect_timeout),
            backoff_min_ns=_ns(backoff_min),
            backoff_max_ns=_ns(backoff_max),
            idle_ns=_ns(idle),
            poll_ns=_ns(poll),
        )
    except _client.Fault as fault:
        code, text = fault.args
    else:
        return RemoteBus(url, client, _client.Fault)
    _raise(code, text)
