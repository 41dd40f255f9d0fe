"""What may be published, on which topic it goes, and what is refused where."""

from __future__ import annotations

import decimal
import fractions
import json
import math
from typing import Any

import numpy
import pytest

import jimbot


def take_one(sub: jimbot.Subscription) -> jimbot.Event:
    batch = sub.poll(timeout=1.0)
    assert len(batch) == 1
    return batch[0]


def round_trip(bus: jimbot.Bus, payload: dict[str, Any]) -> Any:
    with bus.subscribe(">") as sub:
        bus.publish("GAME_STATE", payload)
        return take_one(sub).to_dict()["payload"]


def test_a_type_name_gets_its_own_topic(bus: jimbot.Bus) -> None:
    with bus.subscribe("game.>") as sub:
        bus.publish("MONEY_CHANGED", {"old_value": 4, "new_value": 9, "difference": 5})
        event = take_one(sub)
    assert (event.topic, event.type) == ("game.money.changed", "MONEY_CHANGED")
    assert event.to_dict() == {
        "type": "MONEY_CHANGED",
        "payload": {"old_value": 4, "new_value": 9, "difference": 5},
    }


def test_the_envelope_is_given_by_keyword(bus: jimbot.Bus) -> None:
    with bus.subscribe(">") as sub:
        bus.publish(
            "LEARNING_DECISION",
            {"request_id": "r1"},
            subtype="REQUEST",
            event_id="e1",
            source="test",
            timestamp=1000016.5,
            priority="high",
        )
        event = take_one(sub)
    assert event.topic == "learning.decision.request"
    assert event.subtype == "REQUEST"
    assert event.source_time == 1000016.5
    assert event.priority == 2
    assert event.to_dict() == {
        "type": "LEARNING_DECISION",
        "subtype": "REQUEST",
        "event_id": "e1",
        "source": "test",
        "timestamp": 1000016.5,
        "priority": "high",
        "payload": {"request_id": "r1"},
    }


def test_an_event_may_have_no_payload(bus: jimbot.Bus) -> None:
    with bus.subscribe(">") as sub:
        bus.publish("HEARTBEAT")
        event = take_one(sub)
    assert event.topic == "system.heartbeat"
    assert event.source_time is None
    assert event.to_dict() == {"type": "HEARTBEAT"}


def test_an_unknown_type_is_kept(bus: jimbot.Bus) -> None:
    with bus.subscribe("custom.*") as sub:
        bus.publish("MY_OWN_THING", {"a": [1, {"b": None}]})
        event = take_one(sub)
    assert (event.topic, event.type) == ("custom.my_own_thing", "MY_OWN_THING")
    assert event.to_dict()["payload"] == {"a": [1, {"b": None}]}


WHOLE = {"type": "MONEY_CHANGED", "event_id": "e7", "payload": {"new_value": 3.5}, "extra": [1]}


@pytest.mark.parametrize("data", [WHOLE, json.dumps(WHOLE), jimbot.encode(None, WHOLE)])
@pytest.mark.parametrize("topic", ["agent.notes", "game.money.changed", None])
def test_a_whole_event_goes_on_any_topic(bus: jimbot.Bus, data: Any, topic: str | None) -> None:
    with bus.subscribe(">") as sub:
        bus.publish(topic, data)
        event = take_one(sub)
    assert event.topic == (topic or "game.money.changed")
    assert event.type == "MONEY_CHANGED"
    assert event.to_dict() == WHOLE


def test_json_text_under_a_type_is_its_payload(bus: jimbot.Bus) -> None:
    with bus.subscribe(">") as sub:
        bus.publish("MONEY_CHANGED", '{"new_value": 12}')
        assert take_one(sub).to_dict() == {"type": "MONEY_CHANGED", "payload": {"new_value": 12}}


def test_an_event_can_be_published_again(bus: jimbot.Bus) -> None:
    with bus.subscribe(">") as sub:
        bus.publish("HAND_PLAYED", {"hand_number": 2})
        first = take_one(sub)
        bus.publish("replay.hand", first)
        again = take_one(sub)
    assert again.topic == "replay.hand"
    assert bytes(again.payload) == bytes(first.payload)


@pytest.mark.parametrize(
    "value",
    [0, -1, 2**63 - 1, -(2**63), 2**80, 1.5, -0.25, 1e308, True, False, None, "", "a\u00e9\U0001f0cf"],
)
def test_scalars_come_back_as_they_went(bus: jimbot.Bus, value: Any) -> None:
    back = round_trip(bus, {"x": value})["x"]
    assert back == value
    assert isinstance(back, bool) == isinstance(value, bool)


@pytest.mark.parametrize(
    ("value", "back"),
    [
        (numpy.int64(-7), -7),
        (numpy.uint8(200), 200),
        (numpy.float32(0.5), 0.5),
        (numpy.float64(2.25), 2.25),
        (numpy.bool_(True), True),
        (numpy.array(3), 3),
        (decimal.Decimal("1.5"), 1.5),
        (fractions.Fraction(1, 4), 0.25),
        ((1, 2), [1, 2]),
        (jimbot.EventType.METRIC, 20),
        ({1: "a"}, {"1": "a"}),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
    ],
)
def test_what_has_a_json_value_is_taken(bus: jimbot.Bus, value: Any, back: Any) -> None:
    assert round_trip(bus, {"x": value})["x"] == back


def test_nan_is_a_number_of_a_column(bus: jimbot.Bus) -> None:
    with bus.subscribe(">") as sub:
        bus.publish("GAME_STATE", {"money": math.nan, "chips": math.inf})
        batch = sub.poll()
    values, valid = batch.column("game_state.money", with_valid=True)
    assert valid.tolist() == [True] and math.isnan(values[0])
    assert batch.column("game_state.chips").tolist() == [math.inf]


@pytest.mark.parametrize(
    ("payload", "error", "says"),
    [
        ({"a": {"b": [0, {1}]}}, TypeError, r"payload\.a\.b\[1\]: cannot encode a set"),
        ({"a": object()}, TypeError, r"payload\.a: cannot encode a object"),
        ({"a": b"bytes"}, TypeError, r"payload\.a: cannot encode a bytes"),
        ({"a": numpy.zeros(3)}, TypeError, r"payload\.a: .*ndarray with dimensions.*tolist"),
        ({"a": numpy.zeros(1)}, TypeError, r"payload\.a: .*ndarray with dimensions.*tolist"),
        ({"a": 1j}, TypeError, r"payload\.a: cannot encode a complex"),
        ({"a": 2**64 + 1}, ValueError, r"payload\.a: the int fits neither"),
        ({"a": 10**400}, ValueError, r"payload\.a: the int fits neither"),
        ({"a": "\ud800"}, ValueError, r"payload\.a: .*surrogate"),
        ({"a": {"\udfff": 1}}, ValueError, r"payload\.a: a key has a lone surrogate"),
        ({"a": {1.5: 1}}, TypeError, r"payload\.a: keys must be str, not float"),
        ({"a": {True: 1}}, TypeError, r"payload\.a: keys must be str, not bool"),
        (object(), TypeError, r"payload: cannot encode a object"),
    ],
)
def test_a_refusal_names_the_place(
    bus: jimbot.Bus, payload: Any, error: type[Exception], says: str
) -> None:
    with bus.subscribe(">") as sub, pytest.raises(error, match=says):
        bus.publish("GAME_STATE", payload)
    assert bus.stats()["n_published"] == 0
    assert sub.closed


def test_nesting_is_bounded(bus: jimbot.Bus) -> None:
    cycle: dict[str, Any] = {}
    cycle["self"] = [cycle]
    with pytest.raises(jimbot.Limit, match=r"payload\.self\[0\]\.self\[0\]"):
        bus.publish("GAME_STATE", cycle)
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(jimbot.Limit):
        bus.publish("GAME_STATE", {"x": deep})
    bus.publish("GAME_STATE", {"x": 1})


class Nested:
    """Its conversion to an int publishes an event and can change the dict it stands in."""

    def __init__(self, bus: jimbot.Bus, victim: dict[str, Any] | None = None) -> None:
        self.bus = bus
        self.victim = victim

    def __index__(self) -> int:
        self.bus.publish("HEARTBEAT", {"uptime": 1})
        if self.victim is not None:
            for i in range(1000):
                self.victim[f"new{i}"] = i
        return 42


def test_a_value_may_publish_while_it_is_encoded(bus: jimbot.Bus) -> None:
    with bus.subscribe(">") as sub:
        bus.publish("GAME_STATE", {"ante": 1, "nested": Nested(bus), "round": 2})
        heartbeat, state = sub.poll()
    assert heartbeat.type == "HEARTBEAT"
    assert state.to_dict()["payload"] == {"ante": 1, "nested": 42, "round": 2}


def test_a_dict_that_changes_meanwhile_is_refused(bus: jimbot.Bus) -> None:
    payload: dict[str, Any] = {}
    payload.update(a=1, b=Nested(bus, payload), c=3)
    with pytest.raises(RuntimeError, match="payload: the dict changed"):
        bus.publish("GAME_STATE", payload)


def test_an_exception_of_a_value_is_a_refusal(bus: jimbot.Bus) -> None:
    class Bad:
        def __float__(self) -> float:
            raise KeyError("no")

    with pytest.raises(TypeError, match=r"payload\.x: cannot encode a Bad"):
        bus.publish("GAME_STATE", {"x": Bad()})


@pytest.mark.parametrize("text", ['{"type": "X"', "[1,", '{"type":"X",}'])
def test_bad_json_tells_the_byte(bus: jimbot.Bus, text: str) -> None:
    with pytest.raises(jimbot.Parse) as caught:
        bus.publish(None, text)
    assert 0 < caught.value.offset <= len(text)
    assert caught.value.code == jimbot.Parse.code == -12


def test_bad_json_of_a_payload_tells_the_byte(bus: jimbot.Bus) -> None:
    with pytest.raises(jimbot.Parse) as caught:
        bus.publish("GAME_STATE", '{"\u00e9": ]')
    assert caught.value.offset == len('{"\u00e9": '.encode())


@pytest.mark.parametrize("data", ["[1]", "{}", '{"type": 3}', {"a": 1}, {"type": 3}, {}])
def test_what_is_no_event_is_refused(bus: jimbot.Bus, data: Any) -> None:
    with pytest.raises(jimbot.EventError):
        bus.publish(None, data)


@pytest.mark.parametrize("data", [b"", b"\xff", b"\x12\x7fabc", bytes(range(256))])
def test_bytes_that_are_no_event_are_refused(bus: jimbot.Bus, data: bytes) -> None:
    with pytest.raises((jimbot.Proto, jimbot.EventError)):
        bus.publish("some.topic", data)


def test_bytes_must_hold_the_type_that_is_named(bus: jimbot.Bus) -> None:
    data = jimbot.encode("MONEY_CHANGED", {"new_value": 1})
    bus.publish("MONEY_CHANGED", data)
    with pytest.raises(jimbot.EventError, match="another type"):
        bus.publish("SCORE_CHANGED", data)
    with pytest.raises(jimbot.EventError, match="another type"):
        bus.publish("MY_A", jimbot.encode("MY_B", {}))


def test_calls_that_make_no_sense_are_refused(bus: jimbot.Bus) -> None:
    with pytest.raises(TypeError):
        bus.publish(3, {})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a whole event has its own envelope"):
        bus.publish("a.b", {"type": "X"}, event_id="e")
    with pytest.raises(TypeError, match="an event is a dict"):
        bus.publish(None, [1, 2])
    with pytest.raises(jimbot.Invalid):
        bus.publish("a..b", {"type": "X"})
    with pytest.raises(jimbot.Invalid):
        bus.publish("a.*", {"type": "X"})
    with pytest.raises(ValueError):
        bus.publish("X", {}, timeout=-1)
    with pytest.raises(ValueError):
        bus.publish("X", {}, timeout=math.nan)
    with pytest.raises(jimbot.TooBig):
        bus.publish("GAME_STATE", {"x": "y" * (2 << 20)})
    assert bus.stats()["n_published"] == 0


def test_encode_and_to_json_are_each_others_inverse() -> None:
    data = jimbot.encode("MONEY_CHANGED", {"new_value": 1e14, "odd": {"a": []}}, event_id="e")
    assert json.loads(jimbot.to_json(data)) == {
        "type": "MONEY_CHANGED",
        "event_id": "e",
        "payload": {"new_value": 1e14, "odd": {"a": []}},
    }
    with pytest.raises(jimbot.Proto):
        jimbot.to_json(b"\xff\xff")
    with pytest.raises(TypeError):
        jimbot.to_json("text")  # type: ignore[arg-type]


def test_big_text_is_encoded_without_the_gil(bus: jimbot.Bus) -> None:
    cards = [{"id": str(i), "rank": "Ace", "suit": "Spades"} for i in range(2000)]
    event = {"type": "GAME_STATE", "payload": {"hand": cards}}
    with bus.subscribe(">") as sub:
        bus.publish(None, json.dumps(event))
        assert take_one(sub).to_dict() == event


def test_canonical_is_one_form() -> None:
    """Whatever order the members came in."""
    one = jimbot.encode(None, '{"type":"X","b":{"y":1,"x":2},"a":1}')
    other = jimbot.encode(None, '{"a":1, "b":{"x":2,"y":1}, "type":"X"}')
    assert one != other
    form = jimbot.canonical(one)
    assert form == jimbot.canonical(other) == jimbot.canonical(form)
    assert json.loads(jimbot.to_json(form)) == json.loads(jimbot.to_json(one))
    with pytest.raises(jimbot.Proto, match="event_id: a value is cut off"):
        jimbot.canonical(b"\x12\x7f")
