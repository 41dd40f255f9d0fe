"""Types of the C half; the C sources carry the documentation of each call."""

import os
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import (
    Any,
    Final,
    Literal,
    SupportsFloat,
    SupportsIndex,
    TypeAlias,
    final,
    overload,
)

import numpy
from _typeshed import structseq

from ._async import AsyncEvents

# One dimension. With numpy absent at run time each is a memoryview of the same numbers.
_Floats: TypeAlias = numpy.ndarray[tuple[int], numpy.dtype[numpy.float64]]
_Ints: TypeAlias = numpy.ndarray[tuple[int], numpy.dtype[numpy.int64]]
_Mask: TypeAlias = numpy.ndarray[tuple[int], numpy.dtype[numpy.bool_]]
_Uint64: TypeAlias = numpy.ndarray[tuple[int], numpy.dtype[numpy.uint64]]
_Uint32: TypeAlias = numpy.ndarray[tuple[int], numpy.dtype[numpy.uint32]]
_Uint16: TypeAlias = numpy.ndarray[tuple[int], numpy.dtype[numpy.uint16]]
_Uint8: TypeAlias = numpy.ndarray[tuple[int], numpy.dtype[numpy.uint8]]

_Readable: TypeAlias = bytes | bytearray | memoryview | Event
_Scalar: TypeAlias = str | bool | SupportsIndex | SupportsFloat | None
_Json: TypeAlias = _Scalar | dict[str, Any] | list[Any] | tuple[Any, ...]
_Data: TypeAlias = _Json | _Readable
_Cls: TypeAlias = type[BaseException] | None  # for classes that have a member `type`
_Name: TypeAlias = str | os.PathLike[str] | None
# One dimension of numbers: a numpy array, an array.array, a memoryview.
_Array: TypeAlias = numpy.ndarray[Any, Any] | array[Any] | memoryview
_Column: TypeAlias = _Array | list[Any] | _Scalar
_Policy: TypeAlias = Literal["lossless", "latest", "conflate"]
_Wait: TypeAlias = Literal["block", "spin", "busy"]

version: str

class Error(Exception):
    code: int
    offset: int
    os_errno: int
    message: str
    n_published: int  # of publish_many() and publish_columns(): events in the ring all the same

class Invalid(Error, ValueError): ...
class Memory(Error, MemoryError): ...
class System(Error): ...
class Full(Error): ...
class Timeout(Error): ...
class NotFound(Error): ...
class Exists(Error): ...
class Layout(Error): ...
class Corrupt(Error): ...
class Limit(Error): ...
class TooBig(Error): ...
class Parse(Error, ValueError): ...
class EventError(Error, ValueError): ...
class Proto(Error, ValueError): ...
class State(Error): ...
class Permission(Error): ...
class Buffer(Error): ...
class Closed(Error): ...
class Evicted(Error): ...

def encode(
    type: str | None,
    data: _Data = None,
    *,
    subtype: str | None = None,
    event_id: _Scalar = None,
    source: _Scalar = None,
    timestamp: _Scalar = None,
    priority: _Scalar = None,
    dialect: str = "balatromcp",
) -> bytes: ...
def to_json(data: _Readable, /, *, dialect: str = "balatromcp") -> str: ...
def canonical(data: _Readable, /) -> bytes: ...
def unlink(name: str | os.PathLike[str], /) -> None: ...
def unlink_coordinator(name: str | os.PathLike[str], /) -> None: ...
def now_ns() -> int: ...
def event_types() -> dict[str, int]: ...
def _batch(
    events: list[tuple[int, int, float, bytes, int, int, int, int, int, int, int]],
    topics: list[str | None],
    /,
) -> Batch: ...
def _set_async_factory(factory: Callable[[Subscription], Any], /) -> None: ...
def _set_array_factory(factory: Callable[[Column], Any] | None, /) -> None: ...

@final
class Command(structseq[Any], tuple[str, tuple[str, ...], str | None]):
    __match_args__: Final = ("name", "params", "id")
    @property
    def name(self) -> str: ...
    @property
    def params(self) -> tuple[str, ...]: ...
    @property
    def id(self) -> str | None: ...

@final
class Outcome(structseq[Any], tuple[int, Event | None, int]):
    __match_args__: Final = ("id", "reply", "elapsed_ns")
    @property
    def id(self) -> int: ...
    @property
    def reply(self) -> Event | None: ...
    @property
    def elapsed_ns(self) -> int: ...

@final
class Requester:
    @property
    def bus(self) -> Bus: ...
    @property
    def closed(self) -> bool: ...
    def send(
        self,
        topic_or_type: str | None,
        data: _Data = None,
        *,
        timeout: float | None = 1.0,
        subtype: str | None = None,
        event_id: _Scalar = None,
        source: _Scalar = None,
        timestamp: _Scalar = None,
        priority: _Scalar = None,
    ) -> int: ...
    def request(
        self,
        topic_or_type: str | None,
        data: _Data = None,
        *,
        timeout: float | None = 1.0,
        subtype: str | None = None,
        event_id: _Scalar = None,
        source: _Scalar = None,
        timestamp: _Scalar = None,
        priority: _Scalar = None,
    ) -> Event: ...
    def poll(self, max_outcomes: int = 64, timeout: float | None = 0.0) -> list[Outcome]: ...
    def cancel(self, id: int, /) -> bool: ...
    def stats(self) -> dict[str, int]: ...
    def close(self) -> None: ...
    def __enter__(self) -> Requester: ...
    def __exit__(
        self,
        cls: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

@final
class Bus:
    @classmethod
    def open(
        cls,
        name: _Name = None,
        *,
        capacity: int = ...,
        max_topics: int = ...,
        max_subs: int = ...,
        max_peers: int = ...,
        mode: int = ...,
        peer_name: str | None = None,
        keep: bool = False,
        stall_after_ns: int = 0,
        budget_bytes: int = 0,
        max_groups: int = ...,
    ) -> Bus: ...
    @classmethod
    def create(
        cls,
        name: _Name = None,
        *,
        capacity: int = ...,
        max_topics: int = ...,
        max_subs: int = ...,
        max_peers: int = ...,
        mode: int = ...,
        peer_name: str | None = None,
        keep: bool = False,
        stall_after_ns: int = 0,
        budget_bytes: int = 0,
        max_groups: int = ...,
    ) -> Bus: ...
    @classmethod
    def attach(
        cls,
        name: _Name = None,
        *,
        capacity: int = ...,
        max_topics: int = ...,
        max_subs: int = ...,
        max_peers: int = ...,
        mode: int = ...,
        peer_name: str | None = None,
        keep: bool = False,
        stall_after_ns: int = 0,
        budget_bytes: int = 0,
        max_groups: int = ...,
    ) -> Bus: ...
    @property
    def name(self) -> _Name: ...
    @property
    def closed(self) -> bool: ...
    def close(self) -> None: ...
    def publish(
        self,
        topic_or_type: str | None,
        data: _Data = None,
        *,
        timeout: float | None = 0.0,
        subtype: str | None = None,
        event_id: _Scalar = None,
        source: _Scalar = None,
        timestamp: _Scalar = None,
        priority: _Scalar = None,
        key: SupportsIndex = 0,
    ) -> None: ...
    def publish_many(
        self,
        topic_or_type: str | None,
        items: Iterable[_Data],
        *,
        keys: Iterable[SupportsIndex] | None = None,
        timeout: float | None = 0.0,
    ) -> int: ...
    def publish_columns(
        self,
        type: str,
        columns: Mapping[str, _Column],
        *,
        keys: _Array | None = None,
        timeout: float | None = 0.0,
        source: _Scalar = None,
        priority: _Scalar = None,
        subtype: str | None = None,
    ) -> int: ...
    def request(
        self,
        topic_or_type: str | None,
        data: _Data = None,
        *,
        timeout: float | None = 1.0,
        subtype: str | None = None,
        event_id: _Scalar = None,
        source: _Scalar = None,
        timestamp: _Scalar = None,
        priority: _Scalar = None,
    ) -> Event: ...
    def requester(
        self,
        *,
        max_in_flight: int = 64,
        policy: _Policy = "latest",
        wait: _Wait = "spin",
        name: str | None = None,
    ) -> Requester: ...
    def reply(
        self,
        request: Event,
        topic_or_type: str | None,
        data: _Data = None,
        *,
        timeout: float | None = 0.0,
        subtype: str | None = None,
        event_id: _Scalar = None,
        source: _Scalar = None,
        timestamp: _Scalar = None,
        priority: _Scalar = None,
    ) -> None: ...
    def subscribe(
        self,
        pattern: str | Sequence[str],
        policy: _Policy = "lossless",
        *,
        start: Literal["now", "oldest"] = "now",
        name: str | None = None,
        wait: _Wait = "spin",
        spin_ns: int = 10_000,
        evict_after_ns: int = 0,
        high_first: bool = False,
    ) -> Subscription: ...
    def send_command(
        self,
        name: str,
        *params: str | float | SupportsIndex,
        id: str | None = None,
        timeout: float | None = 0.0,
    ) -> None: ...
    def join(
        self,
        group: str,
        pattern: str,
        *,
        start: Literal["now", "oldest"] = "now",
        ack_timeout_ns: int = 0,
        evict_after_ns: int = 0,
        spin_ns: int = 10_000,
    ) -> Worker: ...
    def remove_group(self, name: str, /) -> None: ...
    def topic_id(self, name: str, /) -> int: ...
    def topic_name(self, number: int, /) -> str: ...
    def stats(self) -> dict[str, int]: ...
    def peers(self) -> list[dict[str, Any]]: ...
    def subscriptions(self) -> list[dict[str, Any]]: ...
    def groups(self) -> list[dict[str, Any]]: ...
    def __enter__(self) -> Bus: ...
    def __exit__(
        self,
        cls: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

@final
class Subscription:
    @property
    def patterns(self) -> tuple[str, ...]: ...
    @property
    def bus(self) -> Bus: ...
    @property
    def closed(self) -> bool: ...
    def poll(self, max_events: int = 1024, timeout: float | None = 0.0) -> Batch: ...
    def fileno(self) -> int: ...
    def stats(self) -> dict[str, Any]: ...
    def close(self) -> None: ...
    def __iter__(self) -> Subscription: ...
    def __aiter__(self) -> AsyncEvents: ...
    def __next__(self) -> Event: ...
    def __enter__(self) -> Subscription: ...
    def __exit__(
        self,
        cls: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

@final
class Worker:
    @property
    def group(self) -> str: ...
    @property
    def pattern(self) -> str: ...
    @property
    def bus(self) -> Bus: ...
    @property
    def closed(self) -> bool: ...
    def take(self, max_events: int = 64, timeout: float | None = 0.0) -> Batch: ...
    def ack(self, event: Event | SupportsIndex, /) -> None: ...
    def ack_all(self) -> int: ...
    def nack(self, event: Event | SupportsIndex, /) -> None: ...
    def leave(self) -> None: ...
    def __iter__(self) -> Worker: ...
    def __next__(self) -> Event: ...
    def __enter__(self) -> Worker: ...
    def __exit__(
        self,
        cls: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

@final
class Batch:
    @property
    def sequence(self) -> _Uint64: ...
    @property
    def time_ns(self) -> _Uint64: ...
    @property
    def source_time(self) -> _Floats: ...
    @property
    def n_missed(self) -> _Uint64: ...
    @property
    def n_deliveries(self) -> _Uint32: ...
    @property
    def topic_id(self) -> _Uint32: ...
    @property
    def type(self) -> _Uint16: ...
    @property
    def key(self) -> _Uint32: ...
    @property
    def priority(self) -> _Uint8: ...
    @property
    def flags(self) -> _Uint8: ...
    @property
    def publisher(self) -> _Uint32: ...
    @property
    def len_bytes(self) -> _Uint32: ...
    @overload
    def column(
        self, path: str, dtype: Literal["f8"] = "f8", *, with_valid: Literal[False] = False
    ) -> _Floats: ...
    @overload
    def column(
        self, path: str, dtype: Literal["i8"], *, with_valid: Literal[False] = False
    ) -> _Ints: ...
    @overload
    def column(
        self, path: str, dtype: Literal["f8"] = "f8", *, with_valid: Literal[True]
    ) -> tuple[_Floats, _Mask]: ...
    @overload
    def column(
        self, path: str, dtype: Literal["i8"], *, with_valid: Literal[True]
    ) -> tuple[_Ints, _Mask]: ...
    def strings(self, path: str, /) -> list[str | None]: ...
    def release(self) -> None: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Event]: ...
    @overload
    def __getitem__(self, key: SupportsIndex, /) -> Event: ...
    @overload
    def __getitem__(self, key: slice, /) -> list[Event]: ...
    def __enter__(self) -> Batch: ...
    def __exit__(
        self,
        cls: _Cls,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

@final
class Event:
    @property
    def topic(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def subtype(self) -> str | None: ...
    @property
    def sequence(self) -> int: ...
    @property
    def time_ns(self) -> int: ...
    @property
    def source_time(self) -> float | None: ...
    @property
    def n_missed(self) -> int: ...
    @property
    def n_deliveries(self) -> int: ...
    @property
    def priority(self) -> int: ...
    @property
    def publisher(self) -> int: ...
    @property
    def key(self) -> int: ...
    @property
    def is_request(self) -> bool: ...
    @property
    def is_reply(self) -> bool: ...
    @property
    def payload(self) -> memoryview: ...
    def to_dict(self) -> dict[str, Any]: ...
    def to_json(self, *, dialect: str = "balatromcp") -> str: ...
    def to_command(self) -> Command: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

@final
class Column:
    def __len__(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

@final
class Coord:
    def __new__(
        cls,
        name: _Name,
        resources: Iterable[tuple[Any, ...]],
        components: Iterable[tuple[str, int]],
        shares: Iterable[tuple[int, int, int, int]],
        limits: Iterable[tuple[int, int, int, int, int, int]],
        *,
        flags: int = ...,
        max_leases: int = ...,
        max_waiters: int = ...,
        max_peers: int = ...,
        max_records: int = ...,
        mode: int = ...,
        aging_ns: int = ...,
        notice_ns: int = ...,
        max_hold_ns: int = ...,
        peer_name: str | None = ...,
        max_reservations: int = ...,
        reservation_ns: int = ...,
    ) -> Coord: ...
    def acquire(
        self,
        component: str | int,
        amounts: dict[str, int],
        *,
        lease_class: int = 0,
        hold_ns: int = 0,
        timeout: float | None = 0.0,
        detached: bool = False,
        tag: int = 0,
    ) -> Lease | None: ...
    def request(
        self,
        component: str | int,
        amounts: dict[str, int],
        *,
        lease_class: int = 0,
        hold_ns: int = 0,
        timeout: float | None = 0.0,
        detached: bool = False,
        tag: int = 0,
    ) -> Ticket: ...
    def take(
        self,
        component: str | int,
        amounts: dict[str, int],
        *,
        timeout: float | None = 0.0,
        for_good: bool = False,
    ) -> Usage | int | None: ...
    def limits(self) -> list[dict[str, Any]]: ...
    def correct(
        self, limit_idx: int, *, limit: int | None = None, remaining: int | None = None
    ) -> None: ...
    def block(self, resource: str | int, after_ns: int, /) -> None: ...
    def tick(self) -> int: ...
    def set_foreign(self, resource: str | int, amount: int, /) -> None: ...
    def audit(self) -> None: ...
    def stats(self) -> dict[str, int]: ...
    def resources(self) -> list[dict[str, Any]]: ...
    def components(self) -> list[dict[str, Any]]: ...
    def leases(self) -> list[dict[str, Any]]: ...
    def waiters(self) -> list[dict[str, Any]]: ...
    def close(self) -> None: ...
    @property
    def name(self) -> str | None: ...
    @property
    def closed(self) -> bool: ...

@final
class Lease:
    def release(self) -> None: ...
    def renew(self, hold_ns: int = 0) -> None: ...
    def shrink(self, resource: str | int, amount: int, /) -> None: ...
    def check(self) -> bool: ...
    def next(
        self,
        component: str | int,
        resource: str | int,
        amount: int,
        *,
        lease_class: int = 0,
        hold_ns: int = 0,
        timeout: float | None = None,
    ) -> None: ...
    def is_due(self, resource: str | int, /) -> bool: ...
    def __enter__(self) -> Lease: ...
    def __exit__(
        self,
        cls: _Cls,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    @property
    def token(self) -> int: ...
    @property
    def slot(self) -> int: ...
    @property
    def granted_ns(self) -> int: ...
    @property
    def deadline_ns(self) -> int | None: ...

@final
class Usage:
    def commit(self, used: dict[str, int] = ..., /) -> None: ...
    def refund(self) -> None: ...
    @property
    def is_over(self) -> bool: ...

def rate_answer(headers: Iterable[tuple[str, str]], /) -> dict[str, int]: ...

@final
class Ticket:
    def poll(self) -> Lease | None: ...
    def wait(self, timeout: float | None = None) -> Lease | None: ...
    def cancel(self) -> None: ...
