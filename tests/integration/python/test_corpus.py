"""Bodies of a real client, when JIMBOT_CORPUS names a folder of them: nothing is lost on the way."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import jimbot

CORPUS = os.environ.get("JIMBOT_CORPUS")


def events_of(path: Path) -> list[dict[str, Any]]:
    body = json.loads(path.read_text())
    return body["events"] if path.name.endswith(".batch.json") else [body]


@pytest.mark.skipif(not CORPUS, reason="JIMBOT_CORPUS is not set")
def test_every_event_comes_back_value_for_value() -> None:
    paths = sorted(Path(CORPUS or "").glob("*.json"))
    assert len(paths) > 0
    with jimbot.Bus.open(None) as bus, bus.subscribe(">") as sub:
        for path in paths:
            for sent in events_of(path):
                bus.publish(None, sent)
                bus.publish(None, json.dumps(sent))
                from_dict, from_text = sub.poll()
                assert from_dict.to_dict() == sent, path.name
                assert from_text.to_dict() == sent, path.name
                assert len(from_dict.payload) == len(from_text.payload), path.name
                assert from_dict.topic == from_text.topic
