"""Consumer groups: each event to one worker, in one process or several, until it is acknowledged."""

from __future__ import annotations

import re
import sys
import threading
import time
from pathlib import Path

import pytest

import jimbot
from conftest import Spawn

ROOT = Path(__file__).resolve().parents[3]


def publish(bus: jimbot.Bus, first: int, n: int) -> None:
    bus.publish_many("a.b", [{"type": "X", "payload": {"n": first + i}} for i in range(n)])


def numbers(events: jimbot.Batch) -> list[int]:
    return [event.to_dict()["payload"]["n"] for event in events]


def group_of(bus: jimbot.Bus) -> dict[str, object]:
    (group,) = bus.groups()
    return group


def test_each_event_goes_to_one_worker(bus: jimbot.Bus) -> None:
    with bus.join("g", "a.>") as one, bus.join("g", "a.>") as two:
        publish(bus, 0, 5)
        bus.publish("other.topic", {"type": "X"})
        mine, others = one.take(2), two.take()
        assert numbers(mine) == [0, 1] and numbers(others) == [2, 3, 4]
        assert list(mine.n_deliveries) == [1, 1] and mine[0].n_deliveries == 1
        assert len(one.take()) == 0
        one.ack(mine[0])
        one.ack(mine[1].sequence)
        assert two.ack_all() == 3
        assert group_of(bus)["n_acked"] == 5 and group_of(bus)["n_workers"] == 2


def test_what_was_not_acknowledged_goes_to_another(bus: jimbot.Bus) -> None:
    with bus.join("g", "a.>") as one, bus.join("g", "a.>") as two:
        publish(bus, 0, 3)
        taken = one.take()
        one.nack(taken[1])
        again = two.take()
        assert numbers(again) == [1] and again[0].n_deliveries == 2
        with pytest.raises(jimbot.State, match="event 2 "):
            one.ack(taken[1])
        one.ack(taken[0])
        one.leave()
        assert numbers(two.take()) == [2]
        assert two.ack_all() == 2 and group_of(bus)["n_redelivered"] == 2


def test_a_worker_is_an_iterator(bus: jimbot.Bus) -> None:
    seen = []
    with bus.join("g", "a.>") as worker:
        publish(bus, 0, 4)
        for event in worker:
            seen.append(event.to_dict()["payload"]["n"])
            worker.ack(event)
            if len(seen) == 3:
                break
        assert seen == [0, 1, 2]
        assert numbers(worker.take()) == [3]


def test_who_is_too_late_is_told_why(bus: jimbot.Bus) -> None:
    slow = bus.join("g", "a.>", ack_timeout_ns=10_000_000, evict_after_ns=10_000_000)
    with slow, bus.join("g", "a.>") as other:
        publish(bus, 0, 2)
        (late,) = slow.take(1)
        again = other.take(1, timeout=0.0)
        assert numbers(again) == [1]
        other.ack(again[0])
        again = other.take(1, timeout=10)
        assert numbers(again) == [0] and again[0].n_deliveries == 2
        with pytest.raises(jimbot.Timeout):
            slow.ack(late)
        for _ in range(2000):
            bus.publish("b.b", {"type": "X", "payload": "x" * 1000}, timeout=5)
        with pytest.raises(jimbot.Evicted):
            other.ack(again[0])
        slow.take()
        assert group_of(bus)["n_lost"] == 1


def test_a_group_waits_for_its_next_worker_and_can_be_removed(bus: jimbot.Bus) -> None:
    worker = bus.join("g", "a.>")
    with pytest.raises(jimbot.State):
        bus.remove_group("g")
    worker.leave()
    publish(bus, 0, 2)
    with bus.join("g", "a.>") as worker:
        assert numbers(worker.take()) == [0, 1]
    bus.remove_group("g")
    assert bus.groups() == []
    with pytest.raises(jimbot.NotFound):
        bus.remove_group("g")


def test_a_worker_sleeps_until_there_is_something(bus: jimbot.Bus) -> None:
    with bus.join("g", "a.>", spin_ns=0) as worker:
        timer = threading.Timer(0.05, publish, (bus, 7, 1))
        timer.start()
        assert numbers(worker.take(timeout=20)) == [7]
        timer.join()
        start = time.monotonic()
        assert len(worker.take(timeout=0.1)) == 0
        assert 0.09 < time.monotonic() - start < 5


def test_a_second_thread_is_turned_away_and_a_close_wakes_the_first(bus: jimbot.Bus) -> None:
    worker = bus.join("g", "a.>")
    failures: list[BaseException] = []

    def wait() -> None:
        try:
            worker.take(timeout=None)
        except jimbot.Closed as error:
            failures.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.05)
    for call in (worker.take, worker.ack_all, lambda: worker.ack(1)):
        with pytest.raises(jimbot.State, match="another thread"):
            call()
    bus.close()
    thread.join(timeout=10)
    assert len(failures) == 1 and worker.closed
    with pytest.raises(jimbot.Closed):
        worker.ack_all()
    worker.leave()


def test_bad_arguments_are_refused(bus: jimbot.Bus) -> None:
    with pytest.raises(jimbot.Invalid, match="no name"):
        bus.join("no name", "a.>")
    with pytest.raises(jimbot.Invalid, match="a..b"):
        bus.join("g", "a..b")
    with pytest.raises(ValueError, match="'now' or 'oldest'"):
        bus.join("g", "a.b", start="then")  # type: ignore[arg-type]
    with bus.join("g", "a.b") as worker:
        with pytest.raises(jimbot.Invalid, match="has the pattern 'a.b'"):
            bus.join("g", "a.c")
        for wrong in (0, 1025):
            with pytest.raises(ValueError):
                worker.take(wrong)
        with pytest.raises(TypeError):
            worker.ack("1")  # type: ignore[arg-type]
    with jimbot.Bus.open(None, capacity=1 << 16, max_groups=0) as none:
        with pytest.raises(jimbot.Limit):
            none.join("g", "a.b")


def test_figures_are_those_of_the_header(bus: jimbot.Bus) -> None:
    header = (ROOT / "include/jimbot/group.h").read_text()
    header = re.sub(r"/\*.*?\*/", "", header, flags=re.S)
    (body,) = re.findall(r"typedef struct jb_group_stats {(.*?)} jb_group_stats;", header, re.S)
    members = set(re.findall(r"(\w+)(?:\[\d+\])?;", body)) - {"size", "_reserved"}
    with bus.join("g", "a.>", ack_timeout_ns=5):
        assert set(group_of(bus)) == members
        assert group_of(bus)["ack_timeout_ns"] == 5


def test_calls_leave_no_references(bus: jimbot.Bus) -> None:
    group = f"group-{id(bus)}"

    def everything() -> None:
        with bus.join(group, "a.>") as worker:
            publish(bus, 0, 2)
            batch = worker.take()
            worker.ack(batch[0]), worker.nack(batch[1]), repr(worker), worker.bus, bus.groups()
            with pytest.raises(jimbot.State):
                worker.ack(batch[0])
        with pytest.raises(jimbot.Invalid):
            bus.join(group, "a.b")

    everything()
    before = [sys.getrefcount(o) for o in (bus, group)]
    for _ in range(20):
        everything()
    assert [sys.getrefcount(o) for o in (bus, group)] == before


WORKER = """
import sys, jimbot
with jimbot.Bus.attach("test") as bus, bus.join("g", "a.>") as worker:
    print("ready", flush=True)
    for event in worker:
        print(event.to_dict()["payload"]["n"], event.n_deliveries, flush=True)
        if sys.argv[1] == "hold":
            sys.stdin.read()
        worker.ack(event)
"""


def test_what_a_killed_process_had_goes_to_another(bus: jimbot.Bus, spawn: Spawn) -> None:
    process = spawn(WORKER, "hold")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    publish(bus, 0, 3)
    assert process.stdout.readline() == "0 1\n"
    with bus.join("g", "a.>") as worker:
        assert numbers(worker.take()) == [1, 2]
        assert worker.ack_all() == 2
        process.kill()
        process.wait()
        batch = worker.take(timeout=20)
        assert numbers(batch) == [0] and batch[0].n_deliveries == 2
        worker.ack(batch[0])
        assert group_of(bus)["n_acked"] == 3


def test_processes_share_the_work(bus: jimbot.Bus, spawn: Spawn) -> None:
    workers = [spawn(WORKER, "go") for _ in range(3)]
    for process in workers:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    publish(bus, 0, 300)
    deadline = time.monotonic() + 30
    while group_of(bus)["n_acked"] != 300 and time.monotonic() < deadline:
        time.sleep(0.01)
    seen = []
    for process in workers:
        process.kill()
        seen += [int(line.split()[0]) for line in process.communicate()[0].splitlines()]
    assert sorted(seen) == list(range(300))
