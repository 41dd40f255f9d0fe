"""Many events at once: in order, each batch as a whole, and the books right when one fails."""

from __future__ import annotations

import array
import itertools
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy
import pytest

import jimbot


def payloads(n: int) -> list[Any]:
    return [{"name": "n", "value": i} for i in range(n)]


def values(sub: jimbot.Subscription) -> list[float]:
    got: list[float] = []
    while len(batch := sub.poll(1 << 16)) > 0:
        got += batch.column("metric.value").tolist()
    return got


def test_items_of_every_kind_go_in_order(bus: jimbot.Bus) -> None:
    whole = jimbot.encode("METRIC", {"name": "n", "value": 2})
    with bus.subscribe(">") as sub:
        assert bus.publish_many("METRIC", [{"name": "n", "value": 0}, '{"name":"n","value":1}']) == 2
        assert bus.publish_many(None, (whole, {"type": "HEARTBEAT"}, '{"type":"ERROR"}')) == 3
        assert bus.publish_many("agent.notes", iter([{"type": "NOTE"}])) == 1
        assert bus.publish_many("HEARTBEAT", [None]) == 1
        assert bus.publish_many("METRIC", []) == 0
        events = list(sub.poll())
    topics = ["metrics.n"] * 3 + ["system.heartbeat", "system.error", "agent.notes"]
    assert [event.topic for event in events] == topics + ["system.heartbeat"]


def test_a_batch_has_one_time_and_follows_itself(bus: jimbot.Bus) -> None:
    with bus.subscribe(">") as sub:
        assert bus.publish_many("METRIC", payloads(500)) == 500
        batch = sub.poll(1000)
        assert len(set(batch.time_ns.tolist())) == 1
        assert (numpy.diff(batch.sequence) == 1).all()


def test_more_than_fits_one_batch_goes_in_several(bus: jimbot.Bus) -> None:
    n = 9000
    with jimbot.Bus.open(None, capacity=1 << 22) as big, big.subscribe(">") as sub:
        assert big.publish_many("METRIC", payloads(n)) == n
        assert values(sub) == list(range(n))


def test_keys_and_topics_go_with_their_events(bus: jimbot.Bus) -> None:
    with bus.subscribe(">") as sub:
        bus.publish_many("METRIC", [{"name": name} for name in "abba"])
        assert [e.topic[-2:] for e in sub.poll()] == [".a", ".b", ".b", ".a"]
    with bus.subscribe(">") as sub, bus.subscribe(">", "conflate") as newest:
        bus.publish_many("METRIC", payloads(6), keys=[1, 2, 1, 2, 3, 1])
        bus.publish("METRIC", {"name": "n", "value": 6}, key=2**32 - 1)
        bus.publish_many("METRIC", payloads(1), keys=numpy.array([7], "i8"))
        assert sub.poll().key.tolist() == [1, 2, 1, 2, 3, 1, 2**32 - 1, 7]
        assert [(e.key, e.to_dict()["payload"]["value"]) for e in newest.poll()] == [
            (2, 3),
            (3, 4),
            (1, 5),
            (2**32 - 1, 6),
            (7, 0),
        ]


@pytest.mark.parametrize("key", [-1, 1 << 32, 1 << 64])
def test_a_key_has_32_bits(bus: jimbot.Bus, key: int) -> None:
    with pytest.raises(OverflowError):
        bus.publish("HEARTBEAT", {}, key=key)
    with pytest.raises(OverflowError):
        bus.publish_many("HEARTBEAT", [{}], keys=[key])
    with pytest.raises(ValueError, match="fewer keys"):
        bus.publish_many("HEARTBEAT", [{}, {}], keys=[1])
    assert bus.stats()["n_published"] == 0


def test_a_bad_item_is_named_and_nothing_of_its_batch_is_there(bus: jimbot.Bus) -> None:
    with pytest.raises(TypeError, match="payload.value: cannot encode a set") as caught:
        bus.publish_many("METRIC", [*payloads(3), {"value": {1}}])
    assert caught.value.n_published == 0  # type: ignore[attr-defined]
    assert caught.value.__notes__ == ["item 3; the first 0 events are published"]
    with pytest.raises(jimbot.Parse) as failed:
        bus.publish_many(None, ['{"type": "X"}', "{"])
    assert failed.value.n_published == 0
    one: Any
    for one in ("{}", b"", {}):
        with pytest.raises(TypeError, match="iterable of events"):
            bus.publish_many("METRIC", one)
    with pytest.raises(TypeError):
        bus.publish_many("METRIC", 5)  # type: ignore[arg-type]
    assert bus.stats()["n_published"] == 0

    def broken() -> Iterator[dict[str, int]]:
        yield {"value": 1}
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        bus.publish_many("METRIC", broken())
    assert bus.stats()["n_published"] == 0


def test_a_full_bus_tells_how_many_went() -> None:
    with jimbot.Bus.open(None, capacity=1 << 16) as bus, bus.subscribe(">") as sub:
        items = payloads(5000)
        with pytest.raises(jimbot.Full) as caught:
            bus.publish_many("METRIC", items)
        n = caught.value.n_published
        assert 0 < n < 5000 and bus.stats()["n_published"] == n
        got = values(sub)
        reader = threading.Thread(target=lambda: got.extend(drain(sub, 5000 - n)))
        reader.start()
        assert bus.publish_many("METRIC", items[n:], timeout=20) == 5000 - n
        reader.join(20)
        assert got == list(range(5000))


def drain(sub: jimbot.Subscription, n: int) -> list[float]:
    got: list[float] = []
    while len(got) < n:
        got += sub.poll(1000, timeout=20).column("metric.value").tolist()
        time.sleep(0.001)
    return got


def test_one_event_too_big_is_too_big(bus: jimbot.Bus) -> None:
    with pytest.raises(jimbot.TooBig):
        bus.publish_many("METRIC", [{"name": "x" * 300_000}])
    assert bus.publish_many("METRIC", [{"name": "x" * 100_000}] * 5) == 5


def test_columns_become_events(bus: jimbot.Bus) -> None:
    with bus.subscribe(">") as sub:
        n = bus.publish_columns(
            "METRIC",
            {
                "name": "loss",
                "value": numpy.array([0.5, numpy.nan, -1e300]),
                "step": array.array("q", [1, -(2**62), 3]),
                "small": numpy.array([255, 0, 1], "u1"),
                "signed": numpy.array([-1, 5, -128], "i1"),
                "half": numpy.array([9, 1.5, 9, 2.5, 9, 3.5], "f4")[1::2],
                "good": numpy.array([True, False, True]),
                "labels": ["a", None, {"k": [1]}],
                "fixed": numpy.float64(2.5),
            },
            keys=numpy.arange(3, dtype="u4"),
            source="trainer",
            priority="high",
        )
        assert n == 3
        batch = sub.poll()
    first, second, third = (event.to_dict() for event in batch)
    assert first == {
        "type": "METRIC",
        "source": "trainer",
        "priority": "high",
        "payload": {
            "name": "loss",
            "value": 0.5,
            "step": 1,
            "small": 255,
            "signed": -1,
            "half": 1.5,
            "good": True,
            "labels": "a",
            "fixed": 2.5,
        },
    }
    assert [p["payload"]["half"] for p in (first, second, third)] == [1.5, 2.5, 3.5]
    assert second["payload"]["step"] == -(2**62) and second["payload"]["labels"] is None
    assert third["payload"]["labels"] == {"k": [1]} and third["payload"]["signed"] == -128
    assert batch.key.tolist() == [0, 1, 2] and batch.priority.tolist() == [2, 2, 2]
    assert batch[0].topic == "metrics.loss"


def test_columns_are_the_same_as_one_publish_each(bus: jimbot.Bus) -> None:
    with bus.subscribe(">") as sub:
        old, new = numpy.arange(5), numpy.linspace(0.0, 1.0, 5)
        bus.publish_columns("MONEY_CHANGED", {"old_value": old, "new_value": new})
        for i in range(5):
            bus.publish("MONEY_CHANGED", {"old_value": old[i], "new_value": new[i]})
        texts = [event.to_json() for event in sub.poll()]
    assert texts[:5] == texts[5:]


@pytest.mark.parametrize(
    "columns, why",
    [
        ({"a": numpy.zeros(3), "b": numpy.zeros(4)}, "b has 4 rows, those before it 3"),
        ({"a": numpy.zeros((2, 2))}, "a: an array of one dimension"),
        ({"a": numpy.zeros(2, "c16")}, "a: an array of one dimension of numbers"),
        ({"a": numpy.zeros(2, ">i4")}, "a: an array of one dimension of numbers"),
        ({"a": 1.0}, "no column is an array"),
        ({}, "no column is an array"),
        ({1: [1]}, "str|int"),
        ({"a": [1], "b": [object()]}, "payload.b|b: cannot encode"),
        ({"a": numpy.array([2**63], "u8")}, "does not fit 63 bits"),
        ({f"c{i}": [1] for i in range(65)}, "more than 64 columns"),
    ],
)
def test_columns_that_cannot_be_are_refused(
    bus: jimbot.Bus, columns: dict[Any, Any], why: str
) -> None:
    with pytest.raises((TypeError, ValueError, OverflowError), match=why):
        bus.publish_columns("METRIC", columns)
    with pytest.raises((TypeError, OverflowError), match="keys|key does not fit"):
        bus.publish_columns("METRIC", {"a": [1]}, keys=numpy.array([-1.0]))
    with pytest.raises(OverflowError, match="key does not fit"):
        bus.publish_columns("METRIC", {"a": [1]}, keys=numpy.array([-1]))
    assert bus.stats()["n_published"] == 0


def test_nothing_stays_exported(bus: jimbot.Bus) -> None:
    values, numbers = bytearray(1), array.array("q", [1])
    for bad in (object(), 5):
        try:
            bus.publish_columns(
                "METRIC", {"a": memoryview(values), "b": numbers, "c": [bad]}, keys=numbers
            )
        except (TypeError, ValueError):
            pass
    assert bus.stats()["n_published"] == 1
    numbers.append(2)  # BufferError while somebody holds it
    values.append(1)


def test_an_item_that_closes_the_bus_ends_it(bus: jimbot.Bus) -> None:
    class Closes:
        def __index__(self) -> int:
            bus.close()
            return 1

    with pytest.raises(jimbot.Closed):
        bus.publish_many("METRIC", [{"value": 1}, {"value": Closes()}])
    with jimbot.Bus.open() as bus:
        with pytest.raises(jimbot.Closed):
            bus.publish_columns("METRIC", {"value": [1, Closes()]})


def test_waiting_ends_at_the_deadline_of_the_whole_call() -> None:
    with jimbot.Bus.open(None, capacity=1 << 16) as bus, bus.subscribe(">"):
        begun = time.monotonic()
        with pytest.raises(jimbot.Full):
            bus.publish_many("METRIC", itertools.repeat({"value": 1}), timeout=0.2)
        assert 0.19 < time.monotonic() - begun < 5
