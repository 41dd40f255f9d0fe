"""Events of a game, for programs that learn to play it.

    import jimbot

    with jimbot.Bus.open("jimbot") as bus, bus.subscribe("game.>") as sub:
        batch = sub.poll(timeout=1.0)
        money = batch.column("game_state.money")      # a numpy array, NaN where absent
        bus.send_command("play_hand")

The C half is ``jimbot._core``; docs/design/python.md says why it is as it is.
"""

from ._answerer import Answerer
from ._api import Api, Denied, Reservation
from ._arrays import as_array
from ._async import AsyncEvents
from ._core import (
    Batch,
    Buffer,
    Bus,
    Closed,
    Column,
    Command,
    Corrupt,
    Error,
    Event,
    EventError,
    Evicted,
    Exists,
    Full,
    Invalid,
    Layout,
    Lease,
    Limit,
    Memory,
    NotFound,
    Outcome,
    Parse,
    Permission,
    Proto,
    Requester,
    State,
    Subscription,
    System,
    Ticket,
    Timeout,
    TooBig,
    Usage,
    UsageTicket,
    Worker,
    _set_array_factory,
    _set_async_factory,
    canonical,
    encode,
    now_ns,
    to_json,
    unlink,
    unlink_coordinator,
    version,
)
from ._quota import (
    ComponentSpec,
    Coordinator,
    LimitSpec,
    ResourceSpec,
    ShareSpec,
    coordinator,
)
from ._remote import RemoteBus, RemoteSubscription, connect
from ._training import SlicedEnv, rllib_callback
from ._turn import Held, Turn
from ._types import EventType

_set_array_factory(as_array)
_set_async_factory(AsyncEvents)

__version__ = version

__all__ = [
    "Answerer",
    "Api",
    "AsyncEvents",
    "Batch",
    "Buffer",
    "Bus",
    "Closed",
    "Column",
    "Command",
    "ComponentSpec",
    "Coordinator",
    "Corrupt",
    "Denied",
    "Error",
    "Event",
    "EventError",
    "EventType",
    "Evicted",
    "Exists",
    "Full",
    "Held",
    "Invalid",
    "Layout",
    "Lease",
    "Limit",
    "LimitSpec",
    "Memory",
    "NotFound",
    "Outcome",
    "Parse",
    "Permission",
    "Proto",
    "RemoteBus",
    "RemoteSubscription",
    "Requester",
    "Reservation",
    "ResourceSpec",
    "ShareSpec",
    "SlicedEnv",
    "State",
    "Subscription",
    "System",
    "Ticket",
    "Timeout",
    "TooBig",
    "Turn",
    "Usage",
    "UsageTicket",
    "Worker",
    "canonical",
    "connect",
    "coordinator",
    "encode",
    "now_ns",
    "rllib_callback",
    "to_json",
    "unlink",
    "unlink_coordinator",
    "version",
]
