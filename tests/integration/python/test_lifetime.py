"""References, memory, forks, interpreters: what outlives what, and what must not grow."""

from __future__ import annotations

import gc
import os
import pickle
import sys
import weakref

import pytest

import jimbot
from conftest import Spawn, finish


def test_a_subscription_keeps_its_bus() -> None:
    sub = jimbot.Bus.open(None, capacity=1 << 16).subscribe(">")
    gc.collect()
    sub.bus.publish("HEARTBEAT", {})
    assert len(sub.poll()) == 1


def test_dropping_everything_removes_the_segment(shm_dir: object) -> None:
    bus = jimbot.Bus.create("gone", capacity=1 << 16)
    sub = bus.subscribe(">")
    assert os.listdir(str(shm_dir)) != []
    del bus, sub
    assert os.listdir(str(shm_dir)) == []


def test_keep_leaves_the_segment() -> None:
    with jimbot.Bus.create("kept", capacity=1 << 16, keep=True) as bus:
        bus.publish("HEARTBEAT", {})
    with jimbot.Bus.attach("kept") as bus, bus.subscribe(">", start="oldest") as sub:
        assert len(sub.poll()) == 1
    jimbot.unlink("kept")


def test_calls_leave_no_references(bus: jimbot.Bus) -> None:
    payload = {"text": "x" * 20, "list": [1.5, None, {"k": "v" * 9}], "n": 12345678901}
    objects = [payload, payload["list"], "x" * 20, payload["n"], bus, jimbot.Full]
    with bus.subscribe(">") as sub:

        def everything() -> None:
            bus.publish("MY_TYPE", payload, source="s" * 30)
            bus.publish("a.topic", {"type": "X", "payload": payload})
            bus.publish(None, '{"type": "X"}')
            for call in (
                lambda: bus.publish("GAME_STATE", {"a": payload, "b": {1, 2}}),
                lambda: bus.publish(None, "{"),
                lambda: bus.publish("X", "{"),
                lambda: bus.subscribe([">", "x..y"]),
                lambda: jimbot.Bus.attach("nobody"),
            ):
                with pytest.raises((TypeError, jimbot.Error)):
                    call()
            batch = sub.poll()
            for event in batch:
                event.to_dict(), event.type, event.topic, event.subtype, event.payload, repr(event)
            batch.column("timestamp", with_valid=True), batch.strings("source"), batch.type
            bus.stats(), bus.peers(), bus.subscriptions(), sub.stats()

        everything()
        before = [sys.getrefcount(o) for o in objects]
        for _ in range(20):
            everything()
        after = [sys.getrefcount(o) for o in objects]
    assert after == before


LEAK = """
import array, gc, resource, tracemalloc, jimbot

numbers = array.array("i", [1, 2, 3, 4])

bus = jimbot.Bus.open(None, capacity=1 << 16)
state = {"money": 4, "hand": [{"id": str(i), "rank": "Ace"} for i in range(8)], "odd": {"a": []}}

def work(n):
    for i in range(n):
        sub = bus.subscribe([">", "game.*"])
        bus.publish("GAME_STATE", state, source="s")
        try:
            bus.publish("GAME_STATE", {"a": {"b": object()}})
        except TypeError:
            pass
        try:
            bus.publish(None, '{"type": "X", ')
        except jimbot.Parse:
            pass
        batch = sub.poll()
        event = batch[0]
        event.to_dict(), event.to_json(), bytes(event.payload), repr(event), event.subtype
        batch.column("game_state.money"), batch.strings("source"), batch.sequence
        bus.publish_many("METRIC", [{"value": i}] * 3, keys=[1, 2, 3])
        bus.publish_columns("METRIC", {"value": numbers, "name": ["a"] * 4}, keys=numbers)
        try:
            bus.publish_columns("METRIC", {"value": numbers, "name": [object()] * 4})
        except TypeError:
            pass
        with jimbot.Bus.open(None, capacity=1 << 16) as other:
            other.subscribe(">")
            try:
                other.request("METRIC", {"value": 1}, timeout=1e-9)
            except jimbot.Timeout:
                pass
        with bus.requester() as requester:
            requester.send("METRIC", {})
            request = sub.poll(100)[-1]
            bus.reply(request, "METRIC", {})
            requester.poll(timeout=1)[0].reply.to_dict()
        sub.close()

def rss():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

work(300)
gc.collect()
tracemalloc.start()
before, blocks = rss(), tracemalloc.get_traced_memory()[0]
work(2000)
gc.collect()
grown, traced = rss() - before, tracemalloc.get_traced_memory()[0] - blocks
assert traced < 50_000, traced
assert grown < 2_000_000, grown
"""


def test_nothing_grows(spawn: Spawn, monkeypatch: pytest.MonkeyPatch) -> None:
    # AddressSanitizer would keep what was freed for a while.
    options = os.environ.get("ASAN_OPTIONS", "")
    monkeypatch.setenv(
        "ASAN_OPTIONS", f"{options}:quarantine_size_mb=0:thread_local_quarantine_size_kb=0"
    )
    finish(spawn(LEAK), timeout=120)


FORK = """
import os, jimbot
bus = jimbot.Bus.attach("test")
sub = bus.subscribe(">")
bus.publish("METRIC", {"name": "n", "value": 1})
pid = os.fork()
if pid == 0:
    n = 0
    for call in (sub.poll, lambda: sub.poll(timeout=1), lambda: next(sub),
                 lambda: bus.publish("HEARTBEAT", {}), lambda: bus.subscribe("x")):
        try:
            call()
        except jimbot.State:
            n += 1
    sub.close()
    bus.close()
    with jimbot.Bus.attach("test") as own:
        own.publish("METRIC", {"name": "n", "value": 2})
    os._exit(n)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
assert sub.poll().column("metric.value").tolist() == [1, 2]
bus.publish("HEARTBEAT", {})
assert len(sub.poll()) == 1
"""


def test_a_handle_after_fork_raises_and_the_parent_goes_on(bus: jimbot.Bus, spawn: Spawn) -> None:
    finish(spawn(FORK))
    assert bus.stats()["n_peers"] == 1


FORK_WAITING = """
import os, threading, time, jimbot
bus = jimbot.Bus.attach("test")
sub = bus.subscribe(">")
thread = threading.Thread(target=lambda: sub.poll(timeout=20))
thread.start()
time.sleep(0.2)
pid = os.fork()
if pid == 0:
    bus.close()
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
bus.publish("HEARTBEAT", {})
thread.join(10)
assert not thread.is_alive()
"""


def test_a_child_of_a_waiting_process_can_close(bus: jimbot.Bus, spawn: Spawn) -> None:
    finish(spawn(FORK_WAITING), timeout=30)


def test_errors_tell_everything_and_can_be_pickled() -> None:
    with pytest.raises(jimbot.Parse) as caught:
        jimbot.encode(None, '{"type": ')
    error = caught.value
    assert isinstance(error, jimbot.Error) and isinstance(error, ValueError)
    assert error.message == str(error) != ""
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is jimbot.Parse
    assert (copy.code, copy.offset, copy.message) == (error.code, error.offset, error.message)
    assert jimbot.Full.code == -4 and jimbot.Full("x").code == -4


def test_types_cannot_be_made_or_changed() -> None:
    for cls in (jimbot.Bus, jimbot.Subscription, jimbot.Batch, jimbot.Event, jimbot.Column):
        with pytest.raises(TypeError):
            cls()
        with pytest.raises(TypeError):
            type("Sub", (cls,), {})
        with pytest.raises(TypeError):
            setattr(cls, "x", 1)


def test_a_second_copy_of_the_module_has_a_state_of_its_own(spawn: Spawn) -> None:
    code = """
import sys, gc, jimbot
first = jimbot._core
bus = jimbot.Bus.open()
for name in [n for n in sys.modules if n.startswith("jimbot")]:
    del sys.modules[name]
import jimbot
assert jimbot._core is not first and jimbot.Error is not first.Error
with jimbot.Bus.open() as other, other.subscribe(">") as sub:
    other.publish("HEARTBEAT", {})
    assert len(sub.poll()) == 1
del first
gc.collect()
bus.publish("HEARTBEAT", {})
try:
    bus.publish(None, "{")
except Exception as error:
    assert type(error).__name__ == "Parse" and not isinstance(error, jimbot.Error)
"""
    finish(spawn(code))


def test_objects_are_freed_at_once(bus: jimbot.Bus) -> None:
    class Marked(dict):  # type: ignore[type-arg]
        pass

    payload = Marked(a=1)
    gone = weakref.ref(payload)
    bus.publish("MY_TYPE", payload)
    del payload
    assert gone() is None
