"""Batches: columns against dicts, views that outlive everything, release."""

from __future__ import annotations

import gc
import math
import random
import subprocess
import sys
from typing import Any

import numpy
import pytest

import jimbot


def random_state(rng: random.Random) -> dict[str, Any]:
    state: dict[str, Any] = {
        "in_game": rng.random() < 0.9,
        "ante": rng.randrange(-3, 40),
        "money": rng.choice([0, -5, 4.5, 1e14, 12]),
        "chips": rng.choice([0.0, 1e308, 300, 7.25]),
        "hands_remaining": rng.randrange(5),
        "ui_state": rng.choice(["SHOP", "BLIND_SELECT", ""]),
        "hand": [{"id": str(i)} for i in range(rng.randrange(4))],
    }
    return {key: value for key, value in state.items() if rng.random() < 0.8}


@pytest.fixture
def states(bus: jimbot.Bus) -> tuple[jimbot.Batch, list[dict[str, Any]]]:
    rng = random.Random(7)
    with bus.subscribe(">") as sub:
        for _ in range(300):
            if rng.random() < 0.2:
                bus.publish("HEARTBEAT", {"uptime": 5})
            else:
                bus.publish("GAME_STATE", random_state(rng), timestamp=rng.random() * 1e6)
        batch = sub.poll()
    assert len(batch) == 300
    return batch, [event.to_dict() for event in batch]


@pytest.mark.parametrize("name", ["in_game", "ante", "money", "chips", "hands_remaining"])
def test_a_column_agrees_with_the_dicts(
    states: tuple[jimbot.Batch, list[dict[str, Any]]], name: str
) -> None:
    batch, dicts = states
    expected = [
        d["payload"].get(name) if d["type"] == "GAME_STATE" else None for d in dicts
    ]
    values, valid = batch.column(f"game_state.{name}", with_valid=True)
    assert values.dtype == numpy.float64 and valid.dtype == numpy.bool_
    assert valid.tolist() == [x is not None for x in expected]
    assert values[valid].tolist() == [float(x) for x in expected if x is not None]
    assert numpy.isnan(values[~valid]).all()
    assert 0 < valid.sum() < len(batch)


def test_an_integer_column_is_zero_where_absent(
    states: tuple[jimbot.Batch, list[dict[str, Any]]],
) -> None:
    batch, dicts = states
    values = batch.column("game_state.ante", "i8")
    assert values.dtype == numpy.int64
    assert values.tolist() == [d.get("payload", {}).get("ante", 0) for d in dicts]
    _, valid = batch.column("game_state.ante", dtype="i8", with_valid=True)
    assert valid.sum() == sum("ante" in d.get("payload", {}) for d in dicts)


def test_strings_and_lengths(states: tuple[jimbot.Batch, list[dict[str, Any]]]) -> None:
    batch, dicts = states
    assert batch.strings("game_state.ui_state") == [
        d["payload"].get("ui_state") if d["type"] == "GAME_STATE" else None for d in dicts
    ]
    lengths = batch.column("game_state.hand.length", "i8")
    assert lengths.tolist() == [len(d.get("payload", {}).get("hand", [])) for d in dicts]


def test_headers_agree_with_the_events(
    states: tuple[jimbot.Batch, list[dict[str, Any]]],
) -> None:
    batch, dicts = states
    assert batch.sequence.tolist() == [e.sequence for e in batch]
    assert (numpy.diff(batch.sequence.astype("i8")) == 1).all()
    assert batch.time_ns.tolist() == [e.time_ns for e in batch]
    assert batch.n_missed.sum() == 0
    assert [jimbot.EventType(n).name for n in batch.type.tolist()] == [e.type for e in batch]
    times = [None if math.isnan(t) else t for t in batch.source_time.tolist()]
    assert times == [e.source_time for e in batch] == [d.get("timestamp") for d in dicts]


def test_arrays_are_the_callers_own(bus: jimbot.Bus) -> None:
    with bus.subscribe(">") as sub:
        bus.publish("GAME_STATE", {"money": 4})
        batch = sub.poll()
        values = batch.column("game_state.money")
        values += 1
        batch.release()
    del batch
    gc.collect()
    assert values.tolist() == [5]


@pytest.mark.parametrize("path", ["game_state.nothing", "", "nothing", "game_state..money", "."])
def test_an_unknown_field_is_refused(bus: jimbot.Bus, path: str) -> None:
    with bus.subscribe(">") as sub:
        batch = sub.poll()
    with pytest.raises((jimbot.NotFound, jimbot.Invalid)):
        batch.column(path)


def test_wrong_kinds_of_fields_are_refused(bus: jimbot.Bus) -> None:
    with bus.subscribe(">") as sub:
        batch = sub.poll()
    with pytest.raises(TypeError, match="use strings"):
        batch.column("game_state.ui_state")
    with pytest.raises(TypeError, match="use column"):
        batch.strings("game_state.money")
    with pytest.raises(jimbot.Invalid):
        batch.column("game_state")
    with pytest.raises(ValueError, match="dtype is 'f8' or 'i8'"):
        batch.column("game_state.money", "f4")  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        batch.column(3)  # type: ignore[call-overload]


def test_a_batch_is_a_sequence(bus: jimbot.Bus) -> None:
    with bus.subscribe(">") as sub:
        for i in range(5):
            bus.publish("METRIC", {"name": "n", "value": i})
        batch = sub.poll()
    sequences = batch.sequence.tolist()
    assert [e.sequence for e in batch] == sequences
    assert batch[-1].sequence == sequences[-1]
    assert [e.sequence for e in batch[::-2]] == sequences[::-2]
    assert [e.sequence for e in batch[1:3]] == sequences[1:3]
    assert batch[10:] == []
    for i in (5, -6, 1 << 70):
        with pytest.raises(IndexError):
            batch[i]
    assert repr(batch) == "<jimbot.Batch of 5>"
    assert repr(batch[0]).startswith(f"<jimbot.Event {sequences[0]} METRIC on metrics.n, ")


def test_a_view_outlives_bus_subscription_batch_and_event() -> None:
    bus = jimbot.Bus.open(None, capacity=1 << 16)
    sub = bus.subscribe(">")
    bus.publish("METRIC", {"name": "n", "value": 1})
    view = sub.poll()[0].payload
    before = bytes(view)
    for i in range(5000):
        bus.publish("METRIC", {"name": "n", "value": i})
        sub.poll()
    bus.close()
    del bus, sub
    gc.collect()
    assert bytes(view) == before
    assert view.readonly
    assert jimbot.to_json(view) == jimbot.to_json(before)


def test_release_waits_for_views(bus: jimbot.Bus) -> None:
    with bus.subscribe(">") as sub:
        bus.publish("HEARTBEAT", {})
        batch = sub.poll()
        event = batch[0]
        view = event.payload
        with pytest.raises(BufferError):
            batch.release()
        assert event.type == "HEARTBEAT"
        view.release()
        batch.release()
        batch.release()
    for call in (
        lambda: len(batch),
        lambda: batch[0],
        lambda: iter(batch),
        lambda: batch.sequence,
        lambda: batch.column("timestamp"),
        lambda: batch.strings("source"),
        lambda: event.type,
        lambda: event.payload,
        lambda: event.to_json(),
        lambda: event.to_command(),
    ):
        with pytest.raises(jimbot.Closed):
            call()
    assert "released" in repr(batch) and "released" in repr(event)


def test_a_batch_is_a_context_manager(bus: jimbot.Bus) -> None:
    with bus.subscribe(">") as sub:
        bus.publish("HEARTBEAT", {})
        with sub.poll() as batch:
            assert len(batch) == 1
        with pytest.raises(jimbot.Closed):
            len(batch)


def test_a_kept_batch_stops_no_publisher() -> None:
    with jimbot.Bus.open(None, capacity=1 << 16) as bus, bus.subscribe(">") as sub:
        kept = []
        for i in range(3000):
            bus.publish("METRIC", {"name": "n", "value": i})
            kept.append(sub.poll())
        assert [b.column("metric.value")[0] for b in kept] == list(range(3000))


def test_an_empty_batch_has_empty_columns(bus: jimbot.Bus) -> None:
    with bus.subscribe(">") as sub:
        batch = sub.poll()
    assert batch.sequence.shape == (0,)
    assert batch.column("game_state.money").tolist() == []
    assert list(batch) == []


def test_without_numpy_columns_are_memoryviews() -> None:
    code = """
import sys
sys.modules["numpy"] = None
import jimbot
with jimbot.Bus.open() as bus, bus.subscribe(">") as sub:
    bus.publish("GAME_STATE", {"money": 2.5})
    batch = sub.poll()
    values, valid = batch.column("game_state.money", with_valid=True)
    assert type(values) is memoryview and values.format == "d", values
    assert values.tolist() == [2.5] and valid.tolist() == [True]
    assert batch.sequence.format == "Q" and batch.type.tolist() == [3]
"""
    subprocess.run([sys.executable, "-c", code], check=True)
