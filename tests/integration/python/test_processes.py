"""Two processes are two processes here."""

from __future__ import annotations

import numpy
import pytest

import jimbot
from conftest import Spawn, finish

PUBLISHER = """
import sys, jimbot
first, n = int(sys.argv[1]), int(sys.argv[2])
with jimbot.Bus.attach("test") as bus:
    for i in range(first, first + n):
        bus.publish("METRIC", {"name": "n", "value": i, "unit": "x" * (i % 50)}, timeout=30)
"""

READER = """
import sys, jimbot
n = int(sys.argv[1])
with jimbot.Bus.attach("test") as bus, bus.subscribe("metrics.>") as sub:
    print("ready", flush=True)
    got = []
    while len(got) < n:
        batch = sub.poll(4096, timeout=30)
        assert len(batch) > 0
        got += batch.column("metric.value", "i8").tolist()
    assert got == list(range(n)), "out of order"
    assert sub.stats()["n_missed"] == 0
    print(len(got))
"""


def test_100_000_events_arrive_in_order_in_two_processes(bus: jimbot.Bus, spawn: Spawn) -> None:
    n = 100_000
    readers = [spawn(READER, n) for _ in range(2)]
    for reader in readers:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
    finish(spawn(PUBLISHER, 0, n), timeout=120)
    assert [finish(reader, timeout=120) for reader in readers] == [f"{n}\n"] * 2
    assert bus.stats()["n_published"] == n
    assert bus.stats()["n_subs"] == 0


def test_several_publishers_lose_nothing(bus: jimbot.Bus, spawn: Spawn) -> None:
    n = 20_000
    with bus.subscribe("metrics.>") as sub:
        publishers = [spawn(PUBLISHER, i * n, n) for i in range(3)]
        parts = []
        total = 0
        while total < 3 * n:
            batch = sub.poll(8192, timeout=60)
            assert len(batch) > 0
            total += len(batch)
            parts.append((batch.sequence, batch.column("metric.value", "i8")))
        for publisher in publishers:
            finish(publisher)
    sequence = numpy.concatenate([p[0] for p in parts]).astype("i8")
    value = numpy.concatenate([p[1] for p in parts])
    assert (numpy.diff(sequence) == 1).all()
    assert sorted(value.tolist()) == list(range(3 * n))
    for i in range(3):
        own = value[(value >= i * n) & (value < (i + 1) * n)]
        assert (numpy.diff(own) == 1).all()


LATEST = """
import jimbot
with jimbot.Bus.attach("test") as bus, bus.subscribe("metrics.>", "latest") as sub:
    print("ready", flush=True)
    got, missed, last = 0, 0, -1
    while last != 49_999:
        batch = sub.poll(64, timeout=30)
        assert len(batch) > 0
        values = batch.column("metric.value", "i8").tolist()
        for value, n_missed in zip(values, batch.n_missed.tolist()):
            assert value == last + 1 + n_missed, (last, value, n_missed)
            last = value
        got += len(batch)
        missed += int(batch.n_missed.sum())
    assert got + missed == 50_000
    assert sub.stats()["n_missed"] == missed
"""


def test_a_latest_reader_knows_every_gap(bus: jimbot.Bus, spawn: Spawn) -> None:
    reader = spawn(LATEST)
    assert reader.stdout is not None
    assert reader.stdout.readline() == "ready\n"
    finish(spawn(PUBLISHER, 0, 50_000))
    finish(reader)


AGENT = """
import jimbot
with jimbot.Bus.attach("test") as bus, bus.subscribe("learning.decision.request") as sub:
    print("ready", flush=True)
    for event in sub:
        request = event.to_dict()["payload"]
        bus.send_command("play_hand", request["n"], id=request["request_id"])
        if request["n"] == 49:
            break
"""


def test_commands_travel_back(bus: jimbot.Bus, spawn: Spawn) -> None:
    agent = spawn(AGENT)
    assert agent.stdout is not None
    assert agent.stdout.readline() == "ready\n"
    with bus.subscribe("command.>") as sub:
        for n in range(50):
            bus.publish("LEARNING_DECISION", {"request_id": f"r{n}", "n": n}, subtype="REQUEST")
            (event,) = sub.poll(timeout=30)
            assert event.to_command() == ("play_hand", (str(n),), f"r{n}")
    finish(agent)


def test_open_create_attach_say_who_is_there(bus: jimbot.Bus, spawn: Spawn) -> None:
    with pytest.raises(jimbot.Exists):
        jimbot.Bus.create("test")
    with pytest.raises(jimbot.NotFound) as caught:
        jimbot.Bus.attach("nobody")
    assert caught.value.code == -6 and "nobody" in str(caught.value)
    with jimbot.Bus.open("test") as same:
        assert same.name == "test"
        assert same.stats()["n_peers"] == 2
    for bad in ("a b", "", "x" * 300):
        with pytest.raises(jimbot.Error):
            jimbot.Bus.open(bad)
    with pytest.raises(ValueError):
        jimbot.Bus.open("nul\0inside")
    with pytest.raises(TypeError):
        jimbot.Bus.open(3)  # type: ignore[arg-type]
    with pytest.raises(jimbot.Invalid):
        jimbot.Bus.open("odd", capacity=12345)
    for n in (1 << 70, -1):
        with pytest.raises(OverflowError):
            jimbot.Bus.open("odd", capacity=n)
    with pytest.raises(OverflowError):
        jimbot.Bus.open("odd", max_subs=(1 << 32) + 4)


def test_unlink_removes_the_name(bus: jimbot.Bus) -> None:
    jimbot.unlink("test")
    with pytest.raises(jimbot.NotFound):
        jimbot.Bus.attach("test")
    with pytest.raises(jimbot.NotFound):
        jimbot.unlink("test")
    with bus.subscribe(">") as sub:
        bus.publish("HEARTBEAT")
        assert len(sub.poll()) == 1


def test_a_foreign_file_is_refused(shm_dir: object) -> None:
    path = f"{shm_dir}/foreign"
    with open(path, "wb") as file:
        file.write(b"not a bus" * 10000)
    with pytest.raises(jimbot.Layout, match="foreign"):
        jimbot.Bus.open(path)
