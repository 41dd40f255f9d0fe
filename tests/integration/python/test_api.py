"""Rates in Python: a service that counts calls and tokens."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest
from conftest import Spawn, finish

import jimbot
from jimbot import Api, Coordinator


@pytest.fixture
def coord() -> Iterator[Coordinator]:
    with jimbot.coordinator(
        "api",
        resources={
            "claude.calls": {"kind": "calls", "capacity": 4},
            "claude.tokens": {"kind": "tokens", "capacity": 1},
            "slow.calls": {"kind": "calls", "capacity": 1},
            "single.calls": {"kind": "calls", "capacity": 1},
        },
        components={"advisor": {}, "analytics": {}},
        limits=[
            {"resource": "claude.calls", "kind": "window", "amount": 10, "period": 3600},
            {"resource": "claude.tokens", "kind": "rate", "amount": 1000, "period": 60},
            {
                "resource": "claude.calls",
                "component": "analytics",
                "kind": "window",
                "amount": 2,
                "period": 3600,
            },
            {"resource": "slow.calls", "kind": "rate", "amount": 20, "period": 1, "burst": 1},
            {"resource": "single.calls", "kind": "open", "amount": 1},
        ],
    ) as coord:
        yield coord


@pytest.fixture
def api(coord: Coordinator) -> Api:
    return coord.api("claude", "advisor")


def remaining(coord: Coordinator, idx: int = 0) -> int:
    return int(coord.limits()[idx]["remaining"])


def test_what_was_not_used_comes_back(coord: Coordinator, api: Api) -> None:
    with api.acquire(tokens=900) as call:
        assert remaining(coord, 1) in range(100, 116)
        call.commit(tokens=400)
    assert remaining(coord, 1) in range(600, 632)
    assert remaining(coord) == 9
    with api.acquire(tokens=100):
        pass  # as reserved
    assert remaining(coord, 1) in range(500, 548)
    api.acquire(tokens=100).refund()
    assert remaining(coord) == 8


def test_a_reservation_ends_once(coord: Coordinator, api: Api) -> None:
    call = api.acquire(tokens=1)
    call.commit()
    with pytest.raises(jimbot.NotFound):
        call.commit()
    with pytest.raises(jimbot.NotFound):
        call.refund()
    call = api.acquire(tokens=1)
    del call  # may have been made
    assert remaining(coord) == 8
    with pytest.raises(KeyError):
        with api.acquire(tokens=1):
            raise KeyError
    assert remaining(coord) == 7


def test_never_one_more_than_the_window_allows(coord: Coordinator, api: Api) -> None:
    for _ in range(10):
        api.try_acquire().commit()
    with pytest.raises(jimbot.Denied) as denied:
        api.try_acquire()
    assert isinstance(denied.value, jimbot.Full)
    assert denied.value.retry_after is not None and 3590 < denied.value.retry_after <= 3600
    with pytest.raises(jimbot.Timeout):
        api.acquire(timeout=0.02)
    with pytest.raises(jimbot.TooBig):
        api.try_acquire(calls=11)


def test_a_component_has_less_than_all(coord: Coordinator) -> None:
    analytics = coord.api("claude", "analytics")
    for _ in range(2):
        analytics.try_acquire()
    with pytest.raises(jimbot.Denied):
        analytics.try_acquire()
    coord.api("claude", "advisor").try_acquire()


def test_who_waits_gets_it_when_it_is_time(coord: Coordinator) -> None:
    slow = coord.api("slow", "advisor")
    begin = time.monotonic()
    for _ in range(5):
        slow.acquire(timeout=5).commit()
    assert time.monotonic() - begin >= 0.19

    async def main() -> None:
        await asyncio.gather(*(slow.acquire_async() for _ in range(4)))
        with pytest.raises(jimbot.Timeout):
            await slow.acquire_async(timeout=0.001)

    begin = time.monotonic()
    asyncio.run(asyncio.wait_for(main(), 20))
    assert time.monotonic() - begin >= 0.14


def wait_for_line(coord: Coordinator, n: int) -> None:
    end = time.monotonic() + 10
    while coord.coord.stats()["n_waiting"] != n:
        assert time.monotonic() < end
        time.sleep(0.001)


def test_all_who_wait_are_in_one_line(coord: Coordinator) -> None:
    single = coord.api("single", "advisor")
    order: list[str] = []
    open_call = single.acquire()

    def in_a_thread(priority: str) -> None:
        with single.acquire(timeout=20, priority=priority):
            order.append(priority)

    async def in_a_task(priority: str) -> None:
        with await single.acquire_async(timeout=20, priority=priority):
            order.append(priority)

    threads = []
    for n, priority in enumerate(("low", "critical")):
        threads.append(threading.Thread(target=in_a_thread, args=[priority]))
        threads[-1].start()
        wait_for_line(coord, n + 1)

    async def main() -> None:
        tasks = [asyncio.create_task(in_a_task(priority)) for priority in ("normal", "high")]
        while coord.coord.stats()["n_waiting"] < 4:
            await asyncio.sleep(0.001)
        open_call.commit()
        await asyncio.gather(*tasks)

    asyncio.run(asyncio.wait_for(main(), 20))
    for thread in threads:
        thread.join()
    assert order == ["critical", "high", "normal", "low"]
    assert coord.limits()[4]["n_waiting"] == 0
    with pytest.raises(ValueError, match="priority"):
        single.try_acquire(priority="best")


def test_who_is_cancelled_leaves_the_line(coord: Coordinator) -> None:
    slow = coord.api("slow", "advisor")
    coord.coord.block("slow.calls", 3600_000_000_000)

    async def main() -> None:
        task = asyncio.create_task(slow.acquire_async())
        while coord.limits()[3]["n_waiting"] == 0:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(main(), 20))
    wait_for_line(coord, 0)
    ticket = coord.coord.request_take("advisor", {"slow.calls": 1})
    assert isinstance(left := ticket.poll(), int) and left > 3000_000_000_000
    wait_for_line(coord, 1)
    del ticket
    wait_for_line(coord, 0)
    ticket = coord.coord.request_take("advisor", {"slow.calls": 1}, timeout=0)
    with pytest.raises(jimbot.Timeout):
        ticket.poll()
    with pytest.raises(jimbot.State):
        ticket.cancel()


def test_who_is_cancelled_after_closing_is_cancelled(coord: Coordinator) -> None:
    slow = coord.api("slow", "advisor")
    coord.coord.block("slow.calls", 3600_000_000_000)

    async def main() -> None:
        held = coord.acquire("analytics", {"single.calls": 1})
        lease = asyncio.create_task(coord.acquire_async("advisor", {"single.calls": 1}))
        call = asyncio.create_task(slow.acquire_async())
        while coord.stats()["n_waiting"] == 0 or coord.limits()[3]["n_waiting"] == 0:
            await asyncio.sleep(0.001)
        coord.close()
        for task in (lease, call):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        with pytest.raises(jimbot.Closed):
            held.release()

    asyncio.run(asyncio.wait_for(main(), 20))


def test_headers_correct_the_limits(coord: Coordinator, api: Api) -> None:
    api.answered(
        {
            "Anthropic-RateLimit-Tokens-Limit": "800",
            "anthropic-ratelimit-tokens-remaining": "100",
            "anthropic-ratelimit-tokens-reset": "nonsense",
            "content-type": "application/json",
        }
    )
    assert remaining(coord, 1) in range(100, 114)
    assert coord.limits()[1]["in_force"] == 800
    api.answered({"retry-after": "30"})
    with pytest.raises(jimbot.Denied) as denied:
        api.try_acquire(tokens=1)
    assert denied.value.retry_after is not None and 29 < denied.value.retry_after <= 30


def test_what_is_wrong_is_refused(coord: Coordinator, api: Api) -> None:
    with pytest.raises(ValueError, match="who asks"):
        coord.api("claude")
    with pytest.raises(ValueError, match="gpt"):
        coord.api("gpt", "advisor")
    with pytest.raises(ValueError, match="input_tokens"):
        api.try_acquire(input_tokens=5)
    with pytest.raises(jimbot.NotFound):
        api.acquire(tokens=5).commit(output_tokens=2)
    with pytest.raises(ValueError, match="not reserved"):
        api.acquire().commit(tokens=2)
    for limit in ({"kind": "bucket"}, {"resource": "y"}, {"component": "nobody"}):
        spec = {"resource": "x.calls", "kind": "rate", "amount": 1, "period": 1.0} | limit
        with pytest.raises(ValueError):
            jimbot.coordinator(
                resources={"x.calls": {"kind": "calls", "capacity": 1}},
                components={"a": {}},
                limits=[spec],  # type: ignore[list-item]
            )


TAKE = """
import jimbot
api = jimbot.coordinator("api").api("claude", "advisor")
n = 0
for _ in range(50):
    try:
        api.try_acquire().commit()
        n += 1
    except jimbot.Denied:
        pass
print(n)
"""


def test_threads_and_processes_share_one_window(coord: Coordinator, spawn: Spawn) -> None:
    children = [spawn(TAKE) for _ in range(2)]
    taken: list[int] = []

    def take() -> None:
        api = coord.api("claude", "advisor")
        for _ in range(50):
            try:
                api.try_acquire().commit()
                taken.append(1)
            except jimbot.Denied:
                pass

    threads = [threading.Thread(target=take) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(taken) + sum(int(finish(child)) for child in children) == 10
