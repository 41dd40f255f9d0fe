"""Ways of reading and of holding back: conflation, priorities, eviction, budgets, stalls."""

from __future__ import annotations

import itertools
import re
import time
from pathlib import Path

import pytest

import jimbot
from conftest import Spawn

ROOT = Path(__file__).resolve().parents[3]


def publish_until_full(bus: jimbot.Bus) -> int:
    for n in itertools.count():
        try:
            bus.publish("METRIC", {"name": "n", "value": n})
        except jimbot.Full:
            return n
    raise AssertionError


def test_a_conflating_subscription_sees_the_newest_of_each_topic(bus: jimbot.Bus) -> None:
    with bus.subscribe("game.>", "conflate") as sub:
        for i in range(100):
            bus.publish("MONEY_CHANGED", {"new_value": i})
        bus.publish("HEARTBEAT", {})
        bus.publish("ROUND_CHANGED", {"new_round": 7})
        batch = sub.poll()
        assert [e.topic for e in batch] == ["game.money.changed", "game.round.changed"]
        assert batch.column("money_changed.new_value").tolist()[0] == 99
        stats = sub.stats()
        assert (stats["policy"], stats["n_conflated"], stats["n_delivered"]) == ("conflate", 99, 2)
        assert stats["n_filtered"] == 1 and len(sub.poll()) == 0


def test_high_events_come_first(bus: jimbot.Bus) -> None:
    with bus.subscribe(">", high_first=True) as sub:
        for i in range(5):
            bus.publish("METRIC", {"name": "n", "value": i})
        bus.publish("ERROR", {}, priority="high")
        bus.publish("METRIC", {"name": "n", "value": 5}, priority="low")
        first, rest = sub.poll(), sub.poll()
        assert first.priority.tolist() == [2] and first.priority.dtype == "u1"
        assert rest.column("metric.value").tolist() == [0, 1, 2, 3, 4, 5]
        assert rest.priority.tolist() == [0, 0, 0, 0, 0, 1]


def test_one_who_stands_still_is_evicted_and_told() -> None:
    with jimbot.Bus.open(None, capacity=1 << 16) as bus:
        with bus.subscribe("metrics.>", evict_after_ns=20_000_000) as sub:
            n = publish_until_full(bus)
            held = sub.stats()
            assert 0 < held["held_since_ns"] <= jimbot.now_ns()
            assert held["evict_after_ns"] == 20_000_000 and held["lag_events"] == n
            time.sleep(0.03)
            bus.publish("METRIC", {"name": "n", "value": n}, timeout=5)
            batch = sub.poll(1 << 16)
            assert sub.stats()["n_evicted"] == 1 and batch.n_missed[0] > 0
            assert int(batch.n_missed.sum()) + len(batch) == n + 1
            assert batch.column("metric.value").tolist()[-1] == n


def test_a_budget_leaves_room_for_others() -> None:
    with jimbot.Bus.create("test", capacity=1 << 18, budget_bytes=1 << 14) as bus:
        with bus.subscribe(">") as sub, jimbot.Bus.attach("test") as other:
            n = publish_until_full(bus)
            assert bus.stats()["n_over_budget"] == 1 and bus.stats()["n_full"] == 0
            assert 0 < n * 64 <= 1 << 14
            other.publish("HEARTBEAT", {})
            (peer,) = [p for p in bus.peers() if p["idx"] == bus.stats()["peer"]]
            assert peer["n_over_budget"] == 1
            begun = time.monotonic()
            with pytest.raises(jimbot.Full):
                bus.publish("METRIC", {"name": "n", "value": n}, timeout=0.1)
            assert 0.09 < time.monotonic() - begun < 5
            assert len(sub.poll(1 << 16)) == n + 1


@pytest.mark.parametrize("wait", ["block", "spin", "busy"])
def test_each_way_of_waiting_wakes(bus: jimbot.Bus, spawn: Spawn, wait: str) -> None:
    code = """
import sys, jimbot
with jimbot.Bus.attach("test") as bus:
    sys.stdin.readline()
    bus.publish("HEARTBEAT", {})
"""
    with bus.subscribe(">", wait=wait, spin_ns=1000) as sub:  # type: ignore[arg-type]
        assert len(sub.poll(timeout=0.06)) == 0
        process = spawn(code)
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
        assert len(sub.poll(timeout=20)) == 1


def test_figures_are_those_of_the_header(bus: jimbot.Bus) -> None:
    header = (ROOT / "include/jimbot/stats.h").read_text()
    header = re.sub(r"/\*.*?\*/", "", header, flags=re.S)
    with bus.subscribe(">") as sub:
        found = {
            "jb_bus_stats": bus.stats(),
            "jb_peer_stats": bus.peers()[0],
            "jb_sub_stats": sub.stats(),
        }
    for struct, figures in found.items():
        (body,) = re.findall(r"typedef struct %s {(.*?)} %s;" % (struct, struct), header, re.S)
        members = set(re.findall(r"(\w+)(?:\[\d+\])?;", body)) - {"size", "_reserved"}
        assert set(figures) == members


def test_a_stalled_publisher_is_named(bus: jimbot.Bus) -> None:
    assert bus.stats()["stall_after_ns"] == 0
    (peer,) = bus.peers()
    assert peer["stalled_since_ns"] == 0
    with jimbot.Bus.open(None, capacity=1 << 16, stall_after_ns=1_000_000) as other:
        assert other.stats()["stall_after_ns"] == 1_000_000
