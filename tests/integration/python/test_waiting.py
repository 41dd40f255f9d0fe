"""What other threads, signals and close() may do while a call waits."""

from __future__ import annotations

import signal
import threading
import time

import pytest

import jimbot
from conftest import Spawn, finish


def test_other_threads_run_while_one_waits(bus: jimbot.Bus) -> None:
    with bus.subscribe(">") as sub:
        result: list[jimbot.Batch] = []
        waiter = threading.Thread(target=lambda: result.append(sub.poll(timeout=20)))
        waiter.start()
        count = 0
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            count += 1
        assert waiter.is_alive() and count > 1000
        bus.publish("HEARTBEAT", {})
        waiter.join(10)
        assert [len(batch) for batch in result] == [1]


def test_a_publisher_waits_for_room_without_the_gil() -> None:
    with jimbot.Bus.open(None, capacity=1 << 16) as bus, bus.subscribe(">") as sub:
        n = 0
        with pytest.raises(jimbot.Full):
            while True:
                bus.publish("METRIC", {"name": "n", "value": n})
                n += 1
        publisher = threading.Thread(
            target=lambda: bus.publish("METRIC", {"name": "n", "value": -1}, timeout=20)
        )
        publisher.start()
        time.sleep(0.1)
        assert publisher.is_alive()
        assert len(sub.poll(1 << 16)) == n
        publisher.join(10)
        assert sub.poll().column("metric.value").tolist() == [-1]


def test_a_second_thread_is_turned_away(bus: jimbot.Bus) -> None:
    with bus.subscribe(">") as sub:
        waiter = threading.Thread(target=lambda: sub.poll(timeout=20))
        waiter.start()
        time.sleep(0.1)
        with pytest.raises(jimbot.State, match="another thread"):
            sub.poll()
        with pytest.raises(jimbot.State, match="another thread"):
            next(sub)
        bus.publish("HEARTBEAT", {})
        waiter.join(10)
        assert len(sub.poll()) == 0


@pytest.mark.parametrize("what", ["subscription", "bus"])
def test_close_ends_a_wait(what: str) -> None:
    bus = jimbot.Bus.open(None, capacity=1 << 16)
    sub = bus.subscribe(">")
    caught: list[BaseException] = []

    def wait() -> None:
        try:
            sub.poll(timeout=None)
        except BaseException as error:
            caught.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    time.sleep(0.1)
    (sub if what == "subscription" else bus).close()
    waiter.join(10)
    assert [type(error) for error in caught] == [jimbot.Closed]
    assert sub.closed
    bus.close()


def test_a_waiter_may_hold_the_last_reference_when_the_bus_closes() -> None:
    for _ in range(10):
        bus = jimbot.Bus.open(None, capacity=1 << 16)
        ends: list[type[BaseException]] = []

        def wait(sub: jimbot.Subscription, ends: list[type[BaseException]] = ends) -> None:
            try:
                sub.poll(timeout=None)
            except jimbot.Closed as error:
                ends.append(type(error))

        waiters = [threading.Thread(target=wait, args=(bus.subscribe(">"),)) for _ in range(3)]
        for waiter in waiters:
            waiter.start()
        time.sleep(0.02)
        bus.close()
        for waiter in waiters:
            waiter.join(10)
        assert ends == [jimbot.Closed] * 3


def test_close_ends_a_publisher_that_waits() -> None:
    bus = jimbot.Bus.open(None, capacity=1 << 16)
    bus.subscribe(">")
    sub = bus.subscribe(">")
    caught: list[BaseException] = []

    def publish() -> None:
        try:
            while True:
                bus.publish("HEARTBEAT", {}, timeout=None)
        except BaseException as error:
            caught.append(error)

    publisher = threading.Thread(target=publish)
    publisher.start()
    time.sleep(0.2)
    bus.close()
    publisher.join(10)
    assert [type(error) for error in caught] == [jimbot.Closed]
    assert sub.closed


def test_everything_on_a_closed_bus_says_so(bus: jimbot.Bus) -> None:
    sub = bus.subscribe(">")
    bus.close()
    bus.close()
    sub.close()
    assert bus.closed and sub.closed and "closed" in repr(bus) and "closed" in repr(sub)
    for call in (
        lambda: bus.publish("HEARTBEAT", {}),
        lambda: bus.subscribe(">"),
        lambda: bus.send_command("play_hand"),
        lambda: bus.stats(),
        lambda: bus.peers(),
        lambda: bus.subscriptions(),
        lambda: bus.topic_id("a"),
        lambda: bus.topic_name(1),
        lambda: bus.__enter__(),
        lambda: sub.poll(),
        lambda: next(sub),
        lambda: sub.stats(),
        lambda: sub.__enter__(),
    ):
        with pytest.raises(jimbot.Closed):
            call()


def test_threads_publish_through_one_bus() -> None:
    n, n_threads = 2000, 4
    with jimbot.Bus.open(None, capacity=1 << 16) as bus, bus.subscribe(">") as sub:

        def publish(thread: int) -> None:
            for i in range(n):
                bus.publish("METRIC", {"name": f"t{thread}", "value": i}, timeout=30)

        threads = [threading.Thread(target=publish, args=(t,)) for t in range(n_threads)]
        for thread in threads:
            thread.start()
        values: dict[str, list[int]] = {f"metrics.t{t}": [] for t in range(n_threads)}
        while sum(map(len, values.values())) < n * n_threads:
            batch = sub.poll(timeout=30)
            assert len(batch) > 0
            for event, value in zip(batch, batch.column("metric.value", "i8").tolist()):
                values[event.topic].append(value)
        for thread in threads:
            thread.join()
    assert all(got == list(range(n)) for got in values.values())


WAITER = """
import sys, time, jimbot
with jimbot.Bus.attach("test") as bus, bus.subscribe(">") as sub:
    print("ready", flush=True)
    begun = time.monotonic()
    try:
        if sys.argv[1] == "poll":
            sub.poll(timeout=None)
        elif sys.argv[1] == "next":
            for event in sub:
                pass
        else:
            while True:
                bus.publish("METRIC", {"name": "n"}, timeout=None)
    except KeyboardInterrupt:
        print("interrupted", time.monotonic(), flush=True)
"""


@pytest.mark.parametrize("call", ["poll", "next", "publish"])
def test_a_keyboard_interrupt_ends_a_wait_within_100_ms(
    bus: jimbot.Bus, spawn: Spawn, call: str
) -> None:
    process = spawn(WAITER, call)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(1.0)
    sent = time.monotonic()
    process.send_signal(signal.SIGINT)
    word, when = finish(process, timeout=10).split()
    assert word == "interrupted"
    assert float(when) - sent < 0.1


def test_a_handler_that_closes_the_bus_is_no_deadlock(spawn: Spawn) -> None:
    code = """
import signal, jimbot
bus = jimbot.Bus.open()
sub = bus.subscribe(">")
signal.signal(signal.SIGALRM, lambda *_: bus.close())
signal.setitimer(signal.ITIMER_REAL, 0.2)
try:
    sub.poll(timeout=None)
except jimbot.Closed:
    print("closed")
"""
    assert finish(spawn(code), timeout=10) == "closed\n"
