"""Events in the dialects that the library knows."""

from __future__ import annotations

import json

import pytest

import jimbot

STATE = {
    "state": "SHOP",
    "round_num": 3,
    "round": {"hands_left": 2, "zzz": 1},
    "jokers": {"count": 1, "limit": 5, "cards": [{"id": 7, "modifier": [], "value": {"effect": "x"}}]},
}


def test_state_of_balatrobot_comes_back_and_is_read_in_every_dialect() -> None:
    data = jimbot.encode(None, json.dumps(STATE), dialect="balatrobot")
    assert json.loads(jimbot.to_json(data, dialect="balatrobot")) == STATE
    assert json.loads(jimbot.to_json(data))["payload"]["hands_remaining"] == 2
    assert json.loads(jimbot.to_json(data, dialect="protobuf"))["gameState"]["round"] == "3"


def test_payload_of_a_dialect_is_given_as_a_dict() -> None:
    as_text = jimbot.encode(None, json.dumps(STATE), dialect="balatrobot")
    assert jimbot.encode("GAME_STATE", STATE, dialect="balatrobot") == as_text
    money = jimbot.encode("MONEY_CHANGED", {"newValue": 7}, dialect="protobuf")
    assert json.loads(jimbot.to_json(money)) == {"type": "MONEY_CHANGED", "payload": {"new_value": 7}}


def test_event_of_a_bus_is_written_in_a_dialect(bus: jimbot.Bus) -> None:
    with bus.subscribe("game.>") as sub:
        bus.publish(None, jimbot.encode(None, json.dumps(STATE), dialect="balatrobot"))
        event = sub.poll(timeout=1.0)[0]
        assert json.loads(event.to_json(dialect="balatrobot")) == STATE


def test_what_a_dialect_has_no_word_for_is_refused() -> None:
    money = jimbot.encode("MONEY_CHANGED", {"new_value": 7})
    with pytest.raises(jimbot.EventError, match="balatrobot"):
        jimbot.to_json(money, dialect="balatrobot")
    with pytest.raises(ValueError, match="klingon"):
        jimbot.to_json(money, dialect="klingon")
    with pytest.raises(TypeError, match="JSON text"):
        jimbot.encode(None, STATE, dialect="balatrobot")
    with pytest.raises(jimbot.EventError, match="result"):
        jimbot.encode(None, '{"jsonrpc":"2.0","error":{}}', dialect="balatrobot")
