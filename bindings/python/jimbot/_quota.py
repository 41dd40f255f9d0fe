"""Who may use how much of what: the coordinator of jimbot/quota.h.

    coord = jimbot.coordinator(
        "workstation",
        resources={
            "gpu0": {"kind": "gpu_time", "capacity": 1},
            "vram0": {"kind": "gpu_memory", "capacity": 24 << 30, "headroom": 1 << 30},
        },
        components={"trainer": {"weight": 3}, "advisor": {"weight": 1}},
    )
    with coord.gpu_slice("trainer", ms=100):
        step()
"""

from __future__ import annotations

import collections.abc
import os
import typing
from typing import Any

from ._api import Api
from ._ask import Ask, Terms, class_of
from ._core import Coord, Lease, Ticket
from ._turn import Turn

_KINDS = {"memory": 1, "gpu_memory": 2, "gpu_time": 3, "cpu": 4, "calls": 5, "tokens": 6}
_LIMITS = {"rate": 1, "window": 2, "open": 3}
_ALL = 0xFFFF
_LINGER = 0.002  # seconds that a GPU waits for who leaves a block to enter the next
_STRICT = 1
_DRF = 1


class ResourceSpec(typing.TypedDict, total=False):
    """Something to be shared; ``kind`` and ``capacity`` are needed."""

    kind: str  # memory, gpu_memory, gpu_time, cpu, calls or tokens
    capacity: int  # bytes, thousandths of a core, calls at a time; of GPU time: parts
    headroom: int  # of it, never given out
    device: int
    quantum: float  # seconds, of GPU time
    linger: float  # seconds that it is kept for the one whose turn it is; of a GPU 0.002
    strict: bool  # of GPU time: each gets exactly its share


class ShareSpec(typing.TypedDict, total=False):
    """What a component may have of one resource."""

    guaranteed: int
    ceiling: int


class ComponentSpec(typing.TypedDict, total=False):
    """Somebody who asks."""

    weight: int  # 1 unless said otherwise
    shares: collections.abc.Mapping[str, ShareSpec]  # by resource


class LimitSpec(typing.TypedDict, total=False):
    """So much of a resource in a period; ``resource``, ``kind`` and ``amount`` are needed."""

    resource: str
    component: str  # what this one takes; left out: what all take together
    kind: str  # rate (a burst and a rate), window (so many in any period) or open (at a time)
    amount: int
    period: float  # seconds
    burst: int  # of a rate: most at once


def _ns(seconds: float | None) -> int:
    if seconds is not None and not seconds >= 0:
        raise ValueError("a time is a number of seconds >= 0, or None")
    return 0 if seconds is None else int(seconds * 1e9)


def _resource_row(name: str, spec: ResourceSpec) -> tuple[Any, ...]:
    if spec["kind"] not in _KINDS:
        raise ValueError(f"{name}: kind is one of {', '.join(_KINDS)}, not {spec['kind']!r}")
    return (
        name,
        _KINDS[spec["kind"]],
        spec.get("device", 0),
        spec["capacity"],
        spec.get("headroom", 0),
        _ns(spec.get("quantum")),
        _ns(spec.get("linger", _LINGER if spec["kind"] == "gpu_time" else None)),
        _STRICT if spec.get("strict") else 0,
    )


def _limit_row(
    spec: LimitSpec, resources: list[str], components: list[str]
) -> tuple[int, int, int, int, int, int]:
    if spec["kind"] not in _LIMITS:
        raise ValueError(f"a limit is one of {', '.join(_LIMITS)}, not {spec['kind']!r}")
    if spec["resource"] not in resources:
        raise ValueError(f"a limit: no resource of the name {spec['resource']!r}")
    component = spec.get("component")
    if component is not None and component not in components:
        raise ValueError(f"a limit: no component of the name {component!r}")
    return (
        resources.index(spec["resource"]),
        _ALL if component is None else components.index(component),
        _LIMITS[spec["kind"]],
        spec["amount"],
        _ns(spec.get("period")),
        spec.get("burst", 0),
    )


class Coordinator:
    """Made by coordinator(). Any number of threads and tasks may use one."""

    def __init__(self, coord: Coord) -> None:
        self.coord = coord

    def _ask(
        self,
        component: str,
        amounts: collections.abc.Mapping[str, int],
        priority: str,
        hold: float | None,
        timeout: float | None,
        tag: int = 0,
        detached: bool = False,
    ) -> Ask:
        terms: Terms = {
            "lease_class": class_of(priority),
            "hold_ns": _ns(hold),
            "timeout": timeout,
            "tag": tag,
            "detached": detached,
        }
        return Ask(self.coord, component, dict(amounts), terms)

    def acquire(
        self,
        component: str,
        amounts: collections.abc.Mapping[str, int],
        *,
        priority: str = "normal",
        hold: float | None = None,
        timeout: float | None = None,
        detached: bool = False,
        tag: int = 0,
    ) -> Lease:
        """A Lease on all of the amounts ({resource: amount}, bytes or what the kind says).

        hold: seconds until it ends by itself (None: as long as the coordinator allows).
        timeout: seconds to wait in line (None: for ever; 0: not at all); Timeout when they ran out.
        TooBig when it can never be had, Limit when too many wait, NotFound for unknown names.
        """
        return self._ask(component, amounts, priority, hold, timeout, tag, detached).lease()

    async def acquire_async(
        self,
        component: str,
        amounts: collections.abc.Mapping[str, int],
        *,
        priority: str = "normal",
        hold: float | None = None,
        timeout: float | None = None,
        tag: int = 0,
    ) -> Lease:
        """The same in an asyncio program; no thread is blocked."""
        ask = self._ask(component, amounts, priority, hold, timeout, tag)
        return await ask.lease_async()

    def request(
        self,
        component: str,
        amounts: collections.abc.Mapping[str, int],
        *,
        priority: str = "normal",
        hold: float | None = None,
        timeout: float | None = None,
        tag: int = 0,
    ) -> Ticket:
        """Stand in line for at most timeout seconds (None: without end), and return the Ticket."""
        return self._ask(component, amounts, priority, hold, timeout, tag).ticket()

    def lease(
        self,
        component: str,
        amounts: collections.abc.Mapping[str, int],
        *,
        priority: str = "normal",
        hold: float | None = None,
        timeout: float | None = None,
    ) -> Turn:
        """The same for ``with``, ``async with`` and as a decorator: each entry asks anew."""
        return Turn(self._ask(component, amounts, priority, hold, timeout))

    def gpu_slice(
        self,
        component: str,
        *,
        ms: float | None = None,
        gpu: str = "gpu0",
        priority: str = "normal",
        hold: float | None = None,
        timeout: float | None = None,
    ) -> Turn:
        """A slice of time on a GPU (a resource of kind "gpu_time"): all of it, for one at a time.

        ms: how many milliseconds it is meant to last (None: the resource's quantum); is_due() of
        what ``with`` hands out says when they are over and somebody else waits, and next() ends it
        and begins another. What counts in the books, and decides whose turn is next, is how long
        it really lasted.
        """
        whole = {gpu: self._whole_of(gpu)}
        return Turn(self._ask(component, whole, priority, hold, timeout), gpu=gpu, ms=ms)

    def api(self, name: str, component: str | None = None) -> Api:
        """A service outside that counts, see Api. component: who asks; may be left out when there
        is but one."""
        if component is None:
            names = [str(info["name"]) for info in self.coord.components()]
            if len(names) != 1:
                raise ValueError(f"who asks: {', '.join(names)}?")
            component = names[0]
        return Api(self.coord, name, component)

    def limits(self) -> list[dict[str, Any]]:
        """Every limit: what is in force, what remains, what was taken."""
        return self.coord.limits()

    def _whole_of(self, name: str) -> int:
        for info in self.coord.resources():
            if info["name"] == name:
                return int(info["capacity"] - info["headroom"])
        raise ValueError(f"no resource of the name {name!r}")

    def tick(self) -> int:
        """Do what is due, as every other call does too; returns how many leases ended."""
        return self.coord.tick()

    def set_foreign(self, resource: str, amount: int) -> None:
        """Say how much of a resource is in use that no lease stands for."""
        self.coord.set_foreign(resource, amount)

    def stats(self) -> dict[str, int]:
        """Numbers of the whole."""
        return self.coord.stats()

    def resources(self) -> list[dict[str, Any]]:
        """Every resource: capacity, what is allocated, who waits, histograms."""
        return self.coord.resources()

    def components(self) -> list[dict[str, Any]]:
        """Every component: weight, leases, how they ended, its share of each resource."""
        return self.coord.components()

    def leases(self) -> list[dict[str, Any]]:
        """Every lease there is."""
        return self.coord.leases()

    def waiters(self) -> list[dict[str, Any]]:
        """Everyone in line."""
        return self.coord.waiters()

    def audit(self) -> None:
        """Recompute the books and compare; Corrupt when they differ."""
        self.coord.audit()

    def close(self) -> None:
        """Give up places in line and leases, except detached ones."""
        self.coord.close()

    def __enter__(self) -> Coordinator:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


def coordinator(
    name: str | os.PathLike[str] | None = None,
    *,
    resources: collections.abc.Mapping[str, ResourceSpec] | None = None,
    components: collections.abc.Mapping[str, ComponentSpec] | None = None,
    limits: collections.abc.Sequence[LimitSpec] = (),
    reservation: float | None = None,
    drf: bool = False,
    aging: float | None = None,
    notice: float | None = None,
    max_hold: float | None = None,
    **options: Any,
) -> Coordinator:
    """Attach to the coordinator of that name, or make it; None: one for this process alone.

    Who attaches may leave out resources, components and limits. aging, notice, max_hold and
    reservation (how long one stays open) are seconds and, as drf (dominant shares inside a class),
    matter to the one who makes it; options are max_leases, max_waiters, max_peers, max_records,
    max_reservations, mode and peer_name. Invalid says which option is wrong, Layout that something
    else has the name.
    """
    specs = dict(resources or {})
    order = {resource: i for i, resource in enumerate(specs)}
    rows, shares = [], []
    for i, (component, spec) in enumerate((components or {}).items()):
        rows.append((component, spec.get("weight", 1)))
        for resource, share in spec.get("shares", {}).items():
            if resource not in order:
                raise ValueError(f"{component}: no resource of the name {resource!r}")
            at = order[resource]
            shares.append((i, at, share.get("guaranteed", 0), share.get("ceiling", 0)))
    if aging is not None:
        options["aging_ns"] = _ns(aging)
    if reservation is not None:
        options["reservation_ns"] = _ns(reservation)
    return Coordinator(
        Coord(
            name,
            [_resource_row(resource, spec) for resource, spec in specs.items()],
            rows,
            shares,
            [_limit_row(limit, list(specs), list(components or {})) for limit in limits],
            flags=_DRF if drf else 0,
            notice_ns=_ns(notice),
            max_hold_ns=_ns(max_hold),
            **options,
        )
    )
