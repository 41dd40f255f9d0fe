"""A descriptor per subscription: selectors, asyncio, and what closing does to those who wait."""

from __future__ import annotations

import asyncio
import os
import selectors
import threading
import time

import pytest

import jimbot
from conftest import Spawn, finish

PUBLISHER = """
import sys, jimbot
with jimbot.Bus.attach("test") as bus:
    for line in sys.stdin:
        bus.publish_many("METRIC", [{"name": "n", "value": i} for i in range(int(line))])
"""


def is_readable(sub: jimbot.Subscription, timeout: float) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(sub, selectors.EVENT_READ)
        return len(selector.select(timeout)) == 1


@pytest.mark.parametrize("policy", ["lossless", "latest", "conflate"])
def test_it_is_readable_until_a_poll_finds_nothing(bus: jimbot.Bus, policy: str) -> None:
    with bus.subscribe("metrics.>", policy) as sub:  # type: ignore[arg-type]
        assert sub.fileno() == sub.fileno() >= 0
        assert len(sub.poll()) == 0 and not is_readable(sub, 0.05)
        for i in range(3):
            bus.publish("METRIC", {"name": str(i)})
        assert is_readable(sub, 20)
        assert len(sub.poll(2)) == 2 and is_readable(sub, 20)
        assert len(sub.poll()) == 1
        assert len(sub.poll()) == 0 and not is_readable(sub, 0.05)


def test_another_process_makes_it_readable(bus: jimbot.Bus, spawn: Spawn) -> None:
    process = spawn(PUBLISHER)
    assert process.stdin is not None
    with bus.subscribe(">") as one, bus.subscribe("system.>") as none:
        with selectors.DefaultSelector() as selector:
            for sub in (one, none):
                selector.register(sub, selectors.EVENT_READ, sub)
                while len(sub.poll()) > 0:
                    pass
            process.stdin.write("500\n")
            process.stdin.flush()
            got: list[int] = []
            end = time.monotonic() + 20
            while len(got) < 500 and time.monotonic() < end:
                for key, _ in selector.select(1):
                    got += key.data.poll(100).column("metric.value", "i8").tolist()
            assert got == list(range(500))
    finish(process)


def test_a_closed_one_leaves_a_selector(bus: jimbot.Bus) -> None:
    sub = bus.subscribe(">")
    with selectors.DefaultSelector() as selector:
        selector.register(sub, selectors.EVENT_READ)
        sub.close()
        assert sub.fileno() == -1
        assert selector.unregister(sub).fileobj is sub
        with pytest.raises(ValueError):
            selector.register(sub, selectors.EVENT_READ)


def test_descriptors_are_given_back(bus: jimbot.Bus) -> None:
    async def wait(sub: jimbot.Subscription) -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(anext(aiter(sub)), 0.01)

    before = None
    for _ in range(3):
        with jimbot.Bus.attach("test") as other, other.subscribe(">") as sub:
            sub.fileno()
            asyncio.run(wait(sub))
        open_now = len(os.listdir("/proc/self/fd"))
        assert before is None or open_now == before
        before = open_now


def test_a_thread_that_polls_keeps_others_out(bus: jimbot.Bus) -> None:
    with bus.subscribe(">") as sub:
        waiter = threading.Thread(target=lambda: sub.poll(timeout=0.3))
        waiter.start()
        time.sleep(0.1)
        with pytest.raises(jimbot.State, match="another thread"):
            sub.fileno()
        waiter.join(10)


def test_add_reader(bus: jimbot.Bus, spawn: Spawn) -> None:
    process = spawn(PUBLISHER)
    assert process.stdin is not None
    stdin = process.stdin
    got: list[int] = []

    async def main(sub: jimbot.Subscription) -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def ready() -> None:
            got.extend(sub.poll(64).column("metric.value", "i8").tolist())
            if len(got) >= 1000 and not done.done():
                done.set_result(None)

        loop.add_reader(sub, ready)
        for _ in range(10):
            stdin.write("100\n")
            stdin.flush()
            await asyncio.sleep(0.01)
        await asyncio.wait_for(done, 20)
        loop.remove_reader(sub)

    with bus.subscribe(">") as sub:
        asyncio.run(main(sub))
    assert got == list(range(100)) * 10
    finish(process)


def test_async_for_takes_one_at_a_time(bus: jimbot.Bus) -> None:
    async def read(sub: jimbot.Subscription) -> list[int]:
        got = []
        async for event in sub:
            got.append(event.to_dict()["payload"]["value"])
            if len(got) == 30:
                return got
        raise AssertionError

    async def publish() -> None:
        for i in range(40):
            bus.publish("METRIC", {"name": "n", "value": i})
            await asyncio.sleep(0.001 if i % 10 == 0 else 0)

    async def main(sub: jimbot.Subscription) -> list[int]:
        got, _ = await asyncio.wait_for(asyncio.gather(read(sub), publish()), 20)
        return got

    with bus.subscribe(">") as sub:
        assert asyncio.run(main(sub)) == list(range(30))
        assert len(sub.poll()) == 10


def test_batches_come_whole_and_a_cancelled_poll_takes_nothing(bus: jimbot.Bus) -> None:
    async def main(sub: jimbot.Subscription) -> int:
        reader = aiter(sub)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(reader.poll(), 0.05)
        bus.publish_many("HEARTBEAT", [{}] * 50)
        return len(await asyncio.wait_for(reader.poll(), 20))

    with bus.subscribe(">") as sub:
        assert asyncio.run(main(sub)) == 50


@pytest.mark.parametrize("what", ["subscription", "bus"])
def test_closing_wakes_a_task_that_waits(what: str) -> None:
    async def main(bus: jimbot.Bus, sub: jimbot.Subscription) -> None:
        async def wait() -> None:
            async for _ in sub:
                raise AssertionError

        task = asyncio.create_task(wait())
        await asyncio.sleep(0.05)
        (sub if what == "subscription" else bus).close()
        with pytest.raises(jimbot.Closed):
            await asyncio.wait_for(task, 20)

    with jimbot.Bus.open(None, capacity=1 << 16) as bus:
        asyncio.run(main(bus, bus.subscribe(">")))


def test_two_tasks_share_one_subscription(bus: jimbot.Bus) -> None:
    async def read(sub: jimbot.Subscription, got: list[int]) -> None:
        async for event in sub:
            got.append(event.to_dict()["payload"]["value"])
            await asyncio.sleep(0)

    async def main(sub: jimbot.Subscription) -> list[list[int]]:
        shares: list[list[int]] = [[], []]
        tasks = [asyncio.create_task(read(sub, share)) for share in shares]
        for i in range(200):
            bus.publish("METRIC", {"name": "n", "value": i})
            await asyncio.sleep(0)
        while sum(map(len, shares)) < 200:
            await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        return shares

    with bus.subscribe(">") as sub:
        shares = asyncio.run(asyncio.wait_for(main(sub), 30))
    assert sorted(shares[0] + shares[1]) == list(range(200))
    assert shares[0] and shares[1]
