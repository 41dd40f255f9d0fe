"""Whatever a dict holds comes back from the ring: random events of every shape, seeded."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

import jimbot

TYPES = "GAME_STATE MONEY_CHANGED SCORING METRIC LEARNING_DECISION ERROR WEIRD connection_test"
KEYS = (
    "money hand jokers id name properties rank ante value extras payload type game_state blind "
    "boss rarity score_history deck timestamp changes subtype headers consumables shop_items \u00e9"
).split() + [""]
SCALARS = [None, True, False, 0, 1, -1, 2**63 - 1, -(2**63), 1.5, 1e308, -0.25, "", "x", "1", "-0"]
ODD = ["true", "1e5", "none", "\u00e9\0\x01\U0001f0cf", {}, [], "Infinity"]


def random_value(rng: random.Random, depth: int = 0) -> Any:
    kind = rng.random() if depth < 5 else 1.0
    if kind < 0.25:
        return random_object(rng, depth)
    if kind < 0.4:
        return [random_value(rng, depth + 1) for _ in range(rng.randrange(5))]
    return rng.choice([*SCALARS, *ODD, rng.random(), rng.randrange(-(10**6), 10**6)])


def random_object(rng: random.Random, depth: int = 0) -> dict[str, Any]:
    return {rng.choice(KEYS): random_value(rng, depth + 1) for _ in range(rng.randrange(7))}


def exact(value: Any) -> Any:
    """1, 1.0 and True are equal in Python, but only the first two are the same JSON value."""
    if isinstance(value, dict):
        return {key: exact(item) for key, item in value.items()}
    if isinstance(value, list):
        return [exact(item) for item in value]
    return ("bool", value) if isinstance(value, bool) else value


@pytest.mark.parametrize("seed", range(4))
def test_random_events_come_back(bus: jimbot.Bus, seed: int) -> None:
    rng = random.Random(seed)
    with bus.subscribe(">") as sub:
        for _ in range(1500):
            event = random_object(rng) | {"type": rng.choice(TYPES.split())}
            if rng.random() < 0.7:
                event["payload"] = random_object(rng)
            bus.publish(None, event)
            bus.publish("a.topic", json.dumps(event))
            from_dict, from_text = sub.poll()
            assert exact(from_dict.to_dict()) == exact(event)
            assert exact(from_text.to_dict()) == exact(event)
