"""pub: events in the order they came, complaints that name line and byte, and no endless waiting."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import Ctl, wait_until

import jimbot

EVENT = '{"type":"MONEY_CHANGED","payload":{"new_value":%d}}'


def payloads(sub: jimbot.Subscription, n: int) -> list[int]:
    found: list[int] = []
    end = time.monotonic() + 10
    while len(found) < n and time.monotonic() < end:
        found += [x.to_dict()["payload"]["new_value"] for x in sub.poll(timeout=0.1)]
    assert len(sub.poll()) == 0
    return found


def test_lines_become_events_in_order(bus: jimbot.Bus, ctl: Ctl) -> None:
    text = "".join(EVENT % i + "\n" for i in range(2000))
    with bus.subscribe("game.money.changed") as sub:
        assert ctl.good("pub", text=text) == ""
        assert payloads(sub, 2000) == list(range(2000))


def test_odd_line_ends_and_empty_lines(bus: jimbot.Bus, ctl: Ctl) -> None:
    text = f"\n  \t\r\n{EVENT % 1}\r\n\n  {EVENT % 2}  \n{EVENT % 3}"
    with bus.subscribe(">") as sub:
        assert ctl.good("pub", text=text) == ""
        assert payloads(sub, 3) == [1, 2, 3]
        assert ctl.good("pub", text="") == ""


def test_bad_lines_are_named_and_the_rest_is_published(bus: jimbot.Bus, ctl: Ctl) -> None:
    lines = [EVENT % 1, '{"type":"X",', "[]", EVENT % 2, '{"type":"X","payload":tru}', "\0", '"\x1b[2J"', EVENT % 3]
    with bus.subscribe(">") as sub:
        code, out, err = ctl.run("pub", text="\n".join(lines))
        assert payloads(sub, 3) == [1, 2, 3]
    told = err.splitlines()
    assert (code, out) == (1, "")
    assert [x.split(",")[0] for x in told[:-1]] == [f"jimbotctl: line {n}" for n in (2, 3, 5, 6, 7)]
    assert told[0].startswith("jimbotctl: line 2, byte 12: ")
    assert told[2].startswith("jimbotctl: line 5, byte 2")
    assert told[-1] == "jimbotctl: 3 published, 5 not"
    assert err.replace("\n", "").isprintable()


def test_a_line_without_an_end_is_bounded(bus: jimbot.Bus, ctl: Ctl) -> None:
    huge = '{"type":"' + "x" * (9 << 20)
    with bus.subscribe(">") as sub:
        code, _, err = ctl.run("pub", text=f"{EVENT % 1}\n{huge}\n{EVENT % 2}\n{huge}")
        assert payloads(sub, 2) == [1, 2]
    assert code == 1
    assert "line 2: longer than 8388608 bytes\n" in err and "line 4: longer" in err


def test_arguments_are_events(bus: jimbot.Bus, ctl: Ctl) -> None:
    with bus.subscribe(">") as sub:
        assert ctl.good("pub", EVENT % 1, EVENT % 2) == ""
        code, _, err = ctl.run("pub", EVENT % 3, "{", EVENT % 4)
        assert payloads(sub, 4) == [1, 2, 3, 4]
    assert code == 1 and "event 2, byte 1: " in err


def test_a_topic_can_be_given(bus: jimbot.Bus, ctl: Ctl) -> None:
    with bus.subscribe("my.own") as sub:
        ctl.good("pub", "--topic", "my.own", EVENT % 1)
        (event,) = sub.poll(timeout=5)
        assert (event.topic, event.to_dict()["type"]) == ("my.own", "MONEY_CHANGED")
        code, _, err = ctl.run("pub", "--topic", "not.*", EVENT % 1)
    assert code == 1 and 'topic "not.*"' in err


def test_raw_bytes_are_one_checked_event(bus: jimbot.Bus, ctl: Ctl) -> None:
    raw = jimbot.encode("LEARNING_DECISION", {"request_id": "\n\n"}, subtype="REQUEST", priority="high", timestamp=5)
    with bus.subscribe(">") as sub:
        assert ctl.good("pub", "--raw", text=raw) == ""
        (event,) = sub.poll(timeout=5)
        assert (bytes(event.payload), event.topic) == (raw, "learning.decision.request")
        assert (event.priority, event.source_time) == (2, 5.0)
        for bad in (raw[:-1], b"", b"\xff" * 9, b"\x0a" * (2 << 20)):
            code, _, err = ctl.run("pub", "--raw", text=bad)
            assert code == 1 and "standard input, byte " in err
        assert len(sub.poll()) == 0


def test_an_event_is_published_when_it_is_typed(bus: jimbot.Bus, ctl: Ctl) -> None:
    with bus.subscribe(">") as sub:
        process = ctl.start("pub", stdin=subprocess.PIPE)
        assert process.stdin
        process.stdin.write((EVENT % 7 + "\n").encode())
        process.stdin.flush()
        assert payloads(sub, 1) == [7]
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    assert process.returncode == 1 and b"stopped: what came after line 1" in err


def fill(bus: jimbot.Bus) -> None:
    event = jimbot.encode("ERROR", {"message": "x" * 1000})
    with pytest.raises(jimbot.Full):
        while True:
            bus.publish("system.error", event)


def test_no_room_ends_it_after_the_timeout(bus: jimbot.Bus, ctl: Ctl) -> None:
    with bus.subscribe(">"):
        fill(bus)
        start = time.monotonic()
        big = json.dumps({"type": "ERROR", "payload": {"message": "x" * 5000}})
        code, _, err = ctl.run("pub", "--timeout", "0.5", text=big + "\n" + big)
        assert time.monotonic() - start >= 0.5
    assert code == 1
    who = f"publishers wait for subscription 0, game, pid {os.getpid()}: "
    assert f"line 1: no room within 0.5 s: {who}" in err and "line 2" not in err and "0 published, 1 not" in err


def test_it_goes_on_when_there_is_room(bus: jimbot.Bus, ctl: Ctl) -> None:
    with bus.subscribe(">") as sub:
        fill(bus)
        process = ctl.start("pub", "--timeout", "20", EVENT % 5)
        full = bus.stats()["n_full"]
        assert wait_until(lambda: bus.stats()["n_full"] > full)
        while not any(x.topic == "game.money.changed" for x in sub.poll(timeout=5)):
            pass
        assert process.wait(10) == 0


def test_what_is_too_big_for_the_bus_is_told_of(ctl: Ctl) -> None:
    with jimbot.Bus.create("small", capacity=65536) as small, small.subscribe(">") as sub:
        big = json.dumps({"type": "ERROR", "payload": {"message": "x" * 20000}})
        code, _, err = ctl.run("--bus", "small", "pub", text=f"{big}\n{EVENT % 1}\n")
        assert payloads(sub, 1) == [1]
    assert code == 1 and "line 1: more than the bus" in err


def test_real_events_come_back_as_they_were(ctl: Ctl) -> None:
    folder = os.environ.get("JIMBOT_CORPUS")
    if not folder:
        pytest.skip("JIMBOT_CORPUS names no folder")
    texts = [x.read_text() for x in sorted(Path(folder).glob("*.single.json"))]
    with jimbot.Bus.create("real", capacity=1 << 25) as real:
        assert ctl.good("--bus", "real", "pub", text="\n".join(texts)) == ""
        out = ctl.good("--bus", "real", "tail", "--json", "--from", "oldest", "-n", str(len(texts)), ">")
        assert real.stats()["n_published"] == len(texts)
    assert [x["type"] for x in map(json.loads, out.splitlines())] == [json.loads(x)["type"] for x in texts]
