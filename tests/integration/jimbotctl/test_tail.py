"""tail: what comes is shown, whole and in order; what did not is counted; nobody is held back unasked."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import Ctl, overwrite, subscribed, wait_until

import jimbot


def read_lines(process: subprocess.Popen[bytes], n: int, seconds: float = 10.0) -> list[str]:
    assert process.stdout
    data = b""
    end = time.monotonic() + seconds
    while data.count(b"\n") < n and time.monotonic() < end:
        if select.select([process.stdout], [], [], 0.1)[0]:
            data += os.read(process.stdout.fileno(), 65536)
    return data.decode().splitlines()


def test_a_line_says_all_about_an_event(bus: jimbot.Bus, ctl: Ctl) -> None:
    bus.publish("MONEY_CHANGED", {"new_value": 7}, timestamp=12.5)
    (line,) = ctl.good("tail", "--from", "oldest", "-n", "1", "game.>").splitlines()
    pattern = r" +1  \d\d:\d\d:\d\d\.\d{6}  game\.money\.changed +1 game +(\d+) B  (\{.*\})"
    found = re.fullmatch(pattern, line)
    assert found and 0 < int(found[1]) < 100
    value = json.loads(found[2])
    assert (value["type"], value["payload"], value["timestamp"]) == ("MONEY_CHANGED", {"new_value": 7}, 12.5)


def test_the_time_is_that_of_publishing(bus: jimbot.Bus, ctl: Ctl) -> None:
    before = time.time()
    bus.publish("HEARTBEAT", {})
    after = time.time()
    line = ctl.good("tail", "--from", "oldest", "-n", "1", ">")
    shown = re.findall(r"(\d\d):(\d\d):(\d\d\.\d{6})", line)[0]
    seconds = int(shown[0]) * 3600 + int(shown[1]) * 60 + float(shown[2])
    assert any(abs(seconds + day - before % 86400) < after - before + 0.1 for day in (-86400, 0, 86400))


def test_only_what_comes_later_is_shown_and_the_end_is_clean(bus: jimbot.Bus, ctl: Ctl) -> None:
    bus.publish("MONEY_CHANGED", {"new_value": 1})
    process = ctl.start("tail", "--json", "game.*.changed", "learning.>")
    assert subscribed(bus)
    bus.publish("MONEY_CHANGED", {"new_value": 2})
    bus.publish("HEARTBEAT", {})
    bus.publish("LEARNING_DECISION", {"request_id": "r"}, subtype="REQUEST")
    shown = [json.loads(line) for line in read_lines(process, 2)]
    assert [x["payload"] for x in shown] == [{"new_value": 2}, {"request_id": "r"}]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, b"", b"")
    assert bus.subscriptions() == [] and len(bus.peers()) == 1


def test_json_is_what_pub_reads(bus: jimbot.Bus, ctl: Ctl) -> None:
    events: list[dict[str, Any]] = [
        {"a": 'x\n"\\\u0000\u2028'},
        {"big": 2**62, "list": [1, None, True, {}]},
        {"name": "Ü\x9b\u202e\U0001f0a1"},
    ]
    for event in events:
        bus.publish("SOMETHING_NEW", event)
    text = ctl.good("tail", "--json", "--from", "oldest", "-n", "3", ">")
    assert [json.loads(x)["payload"] for x in text.splitlines()] == events
    with jimbot.Bus.create("other") as other, other.subscribe(">") as sub:
        assert ctl.good("--bus", "other", "pub", text=text) == ""
        assert [x.to_dict()["payload"] for x in sub.poll(timeout=5)] == events


def test_payloads_cannot_steer_the_terminal(bus: jimbot.Bus, ctl: Ctl) -> None:
    bus.publish("CUSTOM_THING", {"k\x1b[2J\x7f": "\x1b]0;title\x07\x9b2J\u202e\u0000\r\n"}, source="\x1b[31m")
    for flags in ([], ["--json"]):
        out = ctl.good("tail", *flags, "--from", "oldest", "-n", "1", ">")
        assert all(x.isprintable() for x in out[:-1]) and out.endswith("\n")


def test_bytes_that_are_no_event_are_told_of(bus: jimbot.Bus, ctl: Ctl, shm_dir: Path) -> None:
    bus.publish("MONEY_CHANGED", {"new_value": 1})
    bus.publish("ERROR", {"message": "m"})
    overwrite(shm_dir, jimbot.encode("ERROR", {"message": "m"})[:3], b"\xff\xff\xff")
    assert "not an event: " in ctl.good("tail", "--from", "oldest", "-n", "2", ">").splitlines()[1]
    code, out, err = ctl.run("tail", "--json", "--from", "oldest", "-n", "2", ">")
    assert (code, out.count("\n")) == (1, 1)
    assert "event 2 is left out" in err


def flood(bus: jimbot.Bus, n: int) -> None:
    event = jimbot.encode("ERROR", {"message": "x" * 1000})
    for _ in range(n):
        bus.publish("system.error", event)


def test_a_viewer_that_stands_still_holds_nobody_back(bus: jimbot.Bus, ctl: Ctl) -> None:
    process = ctl.start("tail", "--json", "--from", "oldest", ">")
    assert subscribed(bus)
    flood(bus, 5000)  # five rings full; Full would be raised here
    bus.publish("GAME_OVER", {})
    lines, missed = 0, 0
    assert process.stdout and process.stderr
    while True:
        line = process.stdout.readline()
        lines += 1
        if b"GAME_OVER" in line:
            break
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=10)
    found = re.search(rb"tail: (\d+) events of any topic were missed", err)
    assert found
    missed = int(found[1])
    assert lines + missed == 5001 and missed > 0 and process.returncode == 0


def test_what_was_missed_is_said_where_it_would_have_been(bus: jimbot.Bus, ctl: Ctl) -> None:
    flood(bus, 3000)
    process = ctl.start("tail", "--from", "oldest", ">")
    assert subscribed(bus)
    flood(bus, 3000)
    bus.publish("GAME_OVER", {})
    assert process.stdout
    n, last = 0, 0
    while True:
        line = process.stdout.readline().decode()
        gap = re.fullmatch(r" +\.\.\.  (\d+) events missed, of any topic\n", line)
        if gap:
            n += int(gap[1])
            continue
        sequence = int(line.split()[0])
        assert last == 0 or sequence - last - 1 == n
        last, n = sequence, 0
        if "GAME_OVER" in line:
            break
    assert last == 6001


def test_lossless_sees_all_and_makes_publishers_wait(bus: jimbot.Bus, ctl: Ctl) -> None:
    process = ctl.start("tail", "--json", "--lossless", "system.error")
    assert subscribed(bus)
    with pytest.raises(jimbot.Full):
        flood(bus, 5000)
    n = bus.stats()["n_published"]
    assert len(read_lines(process, n)) == n
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=10)[1] == b"" and process.returncode == 0


def test_it_ends_when_its_reader_does(bus: jimbot.Bus, ctl: Ctl) -> None:
    process = ctl.start("tail", ">")
    assert subscribed(bus) and process.stdout
    process.stdout.close()  # and nothing more is published
    assert wait_until(lambda: process.poll() is not None)
    assert process.returncode == 0 and process.stderr and process.stderr.read() == b""
    assert bus.subscriptions() == []


def test_a_pipe_that_breaks_in_a_flood_is_no_error(bus: jimbot.Bus, ctl: Ctl) -> None:
    flood(bus, 900)
    process = ctl.start("tail", "--from", "oldest", "-n", "900", ">")
    assert len(read_lines(process, 1)) >= 1 and process.stdout
    process.stdout.close()
    assert process.wait(10) == 0 and process.stderr and process.stderr.read() == b""


def test_a_huge_count_is_as_good_as_none(bus: jimbot.Bus, ctl: Ctl) -> None:
    bus.publish("HEARTBEAT", {})
    process = ctl.start("tail", "--from", "oldest", "-n", "18446744073709551614", ">")
    assert "system.heartbeat" in read_lines(process, 1)[0]
    assert process.poll() is None


@pytest.mark.parametrize("pattern", ["", "a..b", ">.a", "a b", "x" * 128, "\x1b[31m"])
def test_a_wrong_pattern_is_an_error(bus: jimbot.Bus, ctl: Ctl, pattern: str) -> None:
    code, out, err = ctl.run("tail", "-n", "1", pattern)
    assert (code, out) == (1, "") and err.startswith("jimbotctl: tail: ")
    assert ctl.run("tail", "-n", "1", "good", pattern)[0] == 1
    assert err[:-1].isprintable()
