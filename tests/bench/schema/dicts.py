"""A dict into an event, beside orjson and Google's protobuf, which are PyPI's.

One JSON object a line; medians of 7 turns, which the entries of a row take in turn. The events are a
full game state and a small one. protobuf reads the dict of its own JSON mapping of the same event.
Its `FromString` is upb, in C, which leaves the fields where nobody looks at them yet: what parsing
alone costs there.
"""

from __future__ import annotations

import json
import pathlib
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from typing import Any

import jimbot

N_TURNS, TURN_S = 7, 0.02
PROTO = pathlib.Path(__file__).parents[3] / "proto"
SUITS, RANKS = ("Hearts", "Diamonds", "Clubs", "Spades"), ("2", "7", "10", "Jack", "Queen", "Ace")

Entry = tuple[str, Callable[[], object], float]


def card(i: int) -> dict[str, Any]:
    return {"id": i, "rank": RANKS[i % 6], "suit": SUITS[i % 4], "enhancement": "none", "edition": "foil",
            "seal": "Red", "position": i}


def joker(i: int) -> dict[str, Any]:
    properties = {"mult": i, "chips": 2.5 * i, "cost": 5, "sell_value": 2, "edition": "holo"}
    return {"id": f"j_{i}", "name": f"Joker {i}", "position": i, "properties": properties}


def game_state() -> dict[str, Any]:
    # Read from text, so that equal words are objects of their own, as they are in a program.
    state = {"in_game": True, "game_id": "SEED0007", "ante": 3, "round": 8, "hand_number": 2, "chips": 12345.5,
             "mult": 32, "money": 17, "hands_remaining": 3, "discards_remaining": 2, "game_state": "SELECTING_HAND",
             "frame_count": 81234, "hand": [card(i) for i in range(8)], "jokers": [joker(i) for i in range(5)],
             "deck": {"remaining_count": 52, "full_deck": [card(i) for i in range(52)]}}
    return json.loads(json.dumps(state))


def event_class() -> Any:
    """jimbot.v1.Event of PyPI's protobuf; None where it or protoc is missing."""
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ImportError:
        return None
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(["protoc", f"--proto_path={PROTO}", "--include_imports", f"--descriptor_set_out={out.name}",
                        "jimbot/v1/event.proto"], check=True)
        files = descriptor_pb2.FileDescriptorSet.FromString(out.read())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("jimbot.v1.Event"))


def entries_of(type: str, payload: dict[str, Any]) -> list[Entry]:
    event = jimbot.encode(type, payload)
    whole = {"type": type, "payload": payload}
    entries: list[Entry] = [("jimbot.encode", lambda: jimbot.encode(type, payload), 0)]
    if cls := event_class():
        from google.protobuf import json_format

        mapped = json_format.MessageToDict(cls.FromString(event))
        assert json_format.ParseDict(mapped, cls()) == cls.FromString(event)
        entries.append(("protobuf: ParseDict", lambda: json_format.ParseDict(mapped, cls()).SerializeToString(), 5))
        entries.append(("protobuf (upb): FromString, nothing touched", lambda: cls.FromString(event), 0))
    try:
        import orjson
    except ImportError:
        return entries
    assert json.loads(orjson.dumps(whole)) == whole
    entries.append(("orjson.dumps", lambda: orjson.dumps(whole), 1))
    return entries


def turn(work: Callable[[], object]) -> float:
    """Nanoseconds of one call."""
    n, begun = 0, time.thread_time()
    while (spent := time.thread_time() - begun) < TURN_S:
        for _ in range(16):
            work()
        n += 16
    return spent / n * 1e9


def measure(name: str, entries: list[Entry]) -> None:
    turns = [[turn(work) for _, work, _ in entries] for _ in range(N_TURNS + 1)][1:]
    medians = [statistics.median(column) for column in zip(*turns)]
    for (what, _work, wanted), ns in zip(entries, medians):
        figures: dict[str, Any] = {"name": f"schema.dict_to_pb.{name}", "what": what, "ns_per_op": round(ns)}
        if what != entries[0][0]:
            figures["ratio"] = round(ns / medians[0], 2)
        if wanted:
            figures |= {"wanted": f">= {wanted}", "reached": ns / medians[0] >= wanted}
        print(json.dumps(figures), flush=True)


def main() -> None:
    measure("state", entries_of("GAME_STATE", game_state()))
    measure("small", entries_of("MONEY_CHANGED", {"old_value": 4, "new_value": 9, "difference": 5}))


if __name__ == "__main__":
    main()
