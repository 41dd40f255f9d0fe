"""Leases, lines and slices in Python: with, async with, decorators, signals, threads, processes."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator

import pytest

import jimbot
from jimbot import Coordinator


@pytest.fixture
def coord() -> Iterator[Coordinator]:
    with jimbot.coordinator(
        resources={
            "ram": {"kind": "memory", "capacity": 1000, "headroom": 100},
            "gpu0": {"kind": "gpu_time", "capacity": 1},
        },
        components={
            "trainer": {"weight": 3, "shares": {"ram": {"guaranteed": 300, "ceiling": 800}}},
            "advisor": {},
        },
    ) as coord:
        yield coord


def allocated(coord: Coordinator, name: str = "ram") -> int:
    return int(next(r["allocated"] for r in coord.resources() if r["name"] == name))


def test_a_lease_is_held_as_long_as_its_block(coord: Coordinator) -> None:
    with coord.acquire("trainer", {"ram": 400}) as lease:
        assert lease.check() and lease.deadline_ns is None
        assert allocated(coord) == 400
    assert allocated(coord) == 0
    with pytest.raises(jimbot.NotFound):
        lease.check()


def test_tokens_grow(coord: Coordinator) -> None:
    tokens = []
    for _ in range(50):
        with coord.acquire("trainer", {"ram": 1}) as lease:
            tokens.append(lease.token)
    assert tokens == sorted(set(tokens))


def test_a_second_release_is_an_error_that_changes_nothing(coord: Coordinator) -> None:
    lease = coord.acquire("trainer", {"ram": 400})
    other = coord.acquire("advisor", {"ram": 100})
    lease.release()
    with pytest.raises(jimbot.NotFound):
        lease.release()
    assert allocated(coord) == 100
    other.release()


def test_what_is_not_free_is_a_timeout(coord: Coordinator) -> None:
    with coord.acquire("trainer", {"ram": 800}):
        with pytest.raises(jimbot.Timeout):
            coord.acquire("advisor", {"ram": 200}, timeout=0)
        before = time.monotonic()
        with pytest.raises(jimbot.Timeout):
            coord.acquire("advisor", {"ram": 200}, timeout=0.05)
        assert time.monotonic() - before >= 0.05
    assert coord.stats()["n_waiting"] == 0


def test_what_can_never_be_had_is_said_at_once(coord: Coordinator) -> None:
    with pytest.raises(jimbot.TooBig):
        coord.acquire("trainer", {"ram": 801})
    with pytest.raises(jimbot.NotFound, match="'rum'"):
        coord.acquire("trainer", {"rum": 1})
    with pytest.raises(jimbot.NotFound, match="'nobody'"):
        coord.acquire("nobody", {"ram": 1})
    with pytest.raises(jimbot.Invalid):
        coord.acquire("trainer", {})
    with pytest.raises(TypeError):
        coord.coord.acquire("trainer", [("ram", 1)])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="priority"):
        coord.acquire("trainer", {"ram": 1}, priority="urgent")


def test_a_waiter_gets_it_from_the_one_who_lets_go(coord: Coordinator) -> None:
    held = coord.acquire("trainer", {"gpu0": 1})
    got: list[int] = []

    def wait() -> None:
        with coord.acquire("advisor", {"gpu0": 1}) as lease:
            got.append(lease.token)

    thread = threading.Thread(target=wait)
    thread.start()
    while coord.stats()["n_waiting"] == 0:
        time.sleep(0.001)
    assert coord.waiters()[0]["component"] == "advisor"
    held.release()
    thread.join(10)
    assert got and got[0] > held.token


def test_a_lease_nobody_refers_to_is_given_back(coord: Coordinator) -> None:
    coord.acquire("trainer", {"ram": 400})
    gc.collect()
    assert allocated(coord) == 0
    held = coord.acquire("trainer", {"gpu0": 1})
    ticket = coord.request("advisor", {"gpu0": 1})
    assert ticket.poll() is None
    del ticket
    assert coord.stats()["n_waiting"] == 0
    held.release()


def test_a_lease_ends_by_itself(coord: Coordinator) -> None:
    with pytest.raises(jimbot.NotFound):
        with coord.acquire("trainer", {"ram": 400}, hold=0.02):
            while allocated(coord):
                coord.tick()
    with pytest.raises(KeyError):  # what the block fails with is not hidden
        with coord.acquire("trainer", {"ram": 400}, hold=0.02):
            while allocated(coord):
                coord.tick()
            raise KeyError


def test_renew_and_shrink(coord: Coordinator) -> None:
    lease = coord.acquire("trainer", {"ram": 400, "gpu0": 1}, hold=60)
    deadline = lease.deadline_ns
    assert deadline is not None
    lease.renew(120 * 10**9)
    assert lease.deadline_ns is not None and lease.deadline_ns > deadline
    lease.shrink("ram", 100)
    assert allocated(coord) == 100
    with pytest.raises(jimbot.Invalid):
        lease.shrink("ram", 200)
    assert coord.leases()[0]["amounts"] == {"ram": 100, "gpu0": 1}
    lease.release()


def test_a_slice_says_when_it_is_due(coord: Coordinator) -> None:
    with coord.gpu_slice("trainer", ms=1) as turn:
        while jimbot.now_ns() < turn.lease.granted_ns + 2_000_000:
            assert not turn.is_due()  # nobody waits
        ticket = coord.request("advisor", {"gpu0": 1})
        assert turn.is_due()
        assert ticket.poll() is None
    lease = ticket.poll()
    assert lease is not None and lease.token > turn.token
    lease.release()


def test_a_slice_goes_on_as_another(coord: Coordinator) -> None:
    with coord.gpu_slice("trainer", ms=0) as turn:
        tokens = [turn.token]
        for _ in range(5):
            turn.next()
            tokens.append(turn.token)
        assert tokens == sorted(set(tokens))
        assert coord.components()[0]["n_granted"] == 6
    with coord.lease("trainer", {"ram": 1}) as held:
        assert not held.is_due()
        with pytest.raises(TypeError):
            held.next()


@pytest.mark.parametrize("style", ["next", "with"])
def test_shares_are_those_of_the_weights(coord: Coordinator, style: str) -> None:
    end = time.monotonic() + 1.5

    def work(component: str) -> None:
        slices = coord.gpu_slice(component, ms=0)
        while style == "with" and time.monotonic() < end:
            with slices:
                time.sleep(0.002)
        if style == "next":
            with slices as turn:
                while time.monotonic() < end:
                    time.sleep(0.002)
                    turn.next()

    threads = [threading.Thread(target=work, args=(c,)) for c in ("trainer", "advisor")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    used = [c["shares"]["gpu0"]["used_ns"] for c in coord.components()]
    assert 0.68 < used[0] / sum(used) < 0.82


def test_a_turn_may_be_nested_and_used_again(coord: Coordinator) -> None:
    turn = coord.lease("trainer", {"ram": 200})
    with turn as outer:
        with turn as inner:
            assert allocated(coord) == 400 and inner.token > outer.token
        assert allocated(coord) == 200
    with turn:
        assert allocated(coord) == 200
    assert allocated(coord) == 0


def test_turns_leave_nothing_in_the_context(coord: Coordinator) -> None:
    with coord.gpu_slice("trainer", ms=1):
        pass
    before = len(contextvars.copy_context())
    for _ in range(100):
        with coord.gpu_slice("trainer", ms=1), coord.lease("advisor", {"ram": 1}):
            pass
    assert len(contextvars.copy_context()) == before


def test_a_turn_may_be_left_in_another_context(coord: Coordinator) -> None:
    turn = coord.lease("trainer", {"ram": 200})

    async def steps() -> AsyncIterator[int]:
        async with turn as held:
            yield held.token

    async def main() -> None:
        generator = steps()
        await anext(generator)

        async def end() -> None:
            assert [token async for token in generator] == []

        await asyncio.create_task(end(), context=contextvars.Context())

    asyncio.run(asyncio.wait_for(main(), 20))
    assert allocated(coord) == 0


def test_a_decorated_function_takes_a_turn_each_call(coord: Coordinator) -> None:
    @coord.gpu_slice("trainer", ms=10)
    def step(x: int) -> int:
        """A step."""
        assert allocated(coord, "gpu0") == 1
        return x + 1

    assert step(1) == 2 and step(2) == 3
    assert step.__doc__ == "A step."
    assert allocated(coord, "gpu0") == 0


def test_tasks_take_turns_and_block_no_thread(coord: Coordinator) -> None:
    order: list[str] = []
    inside = 0

    @coord.gpu_slice("advisor")
    async def decorated() -> None:
        order.append("decorated")

    async def worker(name: str, beats: list[int]) -> None:
        nonlocal inside
        async with coord.gpu_slice("trainer"):
            inside += 1
            assert inside == 1
            await asyncio.sleep(0.01)
            beats.append(1)
            inside -= 1
        order.append(name)

    async def main() -> None:
        beats: list[int] = []
        await asyncio.gather(*(worker(str(i), beats) for i in range(5)), decorated())
        assert len(beats) == 5

    asyncio.run(asyncio.wait_for(main(), 20))
    assert sorted(order) == ["0", "1", "2", "3", "4", "decorated"]
    assert allocated(coord, "gpu0") == 0


def test_a_cancelled_task_leaves_the_line(coord: Coordinator) -> None:
    async def main() -> None:
        held = coord.acquire("trainer", {"gpu0": 1})
        task = asyncio.create_task(coord.acquire_async("advisor", {"gpu0": 1}))
        while coord.stats()["n_waiting"] == 0:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert coord.stats()["n_waiting"] == 0
        held.release()
        with pytest.raises(jimbot.Timeout):
            async with coord.gpu_slice("advisor"):
                await coord.acquire_async("trainer", {"gpu0": 1}, timeout=0.02)

    asyncio.run(asyncio.wait_for(main(), 20))


def test_a_timeout_of_nearly_nothing_ends(coord: Coordinator) -> None:
    async def main() -> None:
        with coord.acquire("trainer", {"gpu0": 1}):
            for timeout in (0, 1e-10, 1e-9):
                with pytest.raises(jimbot.Timeout):
                    await coord.acquire_async("advisor", {"gpu0": 1}, timeout=timeout)
            assert coord.stats()["n_waiting"] == 0

    asyncio.run(asyncio.wait_for(main(), 10))


def test_a_signal_ends_a_wait_and_leaves_the_line(coord: Coordinator) -> None:
    def stop(*_: object) -> None:
        raise InterruptedError

    before = signal.signal(signal.SIGUSR1, stop)
    held = coord.acquire("trainer", {"gpu0": 1})
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1))
    timer.start()
    with pytest.raises(InterruptedError):
        coord.acquire("advisor", {"gpu0": 1})
    signal.signal(signal.SIGUSR1, before)
    assert coord.stats()["n_waiting"] == 0
    held.release()


def test_closing_ends_those_who_wait(coord: Coordinator) -> None:
    held = coord.acquire("trainer", {"gpu0": 1})
    caught: list[type[BaseException]] = []

    def wait() -> None:
        try:
            coord.acquire("advisor", {"gpu0": 1})
        except jimbot.Error as error:
            caught.append(type(error))

    thread = threading.Thread(target=wait)
    thread.start()
    while coord.stats()["n_waiting"] == 0:
        time.sleep(0.001)
    coord.close()
    thread.join(10)
    assert caught == [jimbot.Closed]
    with pytest.raises(jimbot.Closed):
        held.release()
    with pytest.raises(jimbot.Closed):
        coord.stats()


def test_threads_never_both_have_the_last_one(coord: Coordinator) -> None:
    inside, most, turns = 0, 0, 0
    lock = threading.Lock()

    def work(component: str) -> None:
        nonlocal inside, most, turns
        for _ in range(100):
            with coord.gpu_slice(component):
                with lock:
                    inside += 1
                    most = max(most, inside)
                    turns += 1
                with lock:
                    inside -= 1

    threads = [threading.Thread(target=work, args=(c,)) for c in ("trainer", "advisor") * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (turns, most) == (400, 1)
    coord.audit()


def test_what_others_use_is_not_given_out(coord: Coordinator) -> None:
    coord.set_foreign("ram", 700)
    with pytest.raises(jimbot.Timeout):
        coord.acquire("trainer", {"ram": 300}, timeout=0)
    coord.set_foreign("ram", 0)
    coord.acquire("trainer", {"ram": 300}, timeout=0).release()


def test_a_configuration_that_is_wrong_is_refused() -> None:
    with pytest.raises(jimbot.Invalid):
        jimbot.coordinator(resources={}, components={})
    with pytest.raises(ValueError, match="kind"):
        jimbot.coordinator(resources={"x": {"kind": "gold"}})
    with pytest.raises(ValueError, match="'y'"):
        jimbot.coordinator(
            resources={"x": {"kind": "cpu", "capacity": 1}},
            components={"a": {"shares": {"y": {"guaranteed": 1}}}},
        )
    with pytest.raises(jimbot.Invalid):
        jimbot.coordinator(resources={"x": {"kind": "cpu", "capacity": 0}}, components={"a": {}})
    with pytest.raises(OverflowError):
        jimbot.coordinator(resources={"x": {"kind": "cpu", "capacity": 1 << 64}})


def test_components_tell_what_they_had(coord: Coordinator) -> None:
    coord.acquire("trainer", {"ram": 300}).release()
    trainer, advisor = coord.components()
    assert (trainer["name"], trainer["weight"], advisor["weight"]) == ("trainer", 3, 1)
    assert (trainer["n_granted"], trainer["n_released"]) == (1, 1)
    assert trainer["shares"]["ram"]["ceiling"] == 800
    assert advisor["shares"]["ram"]["ceiling"] == 900
