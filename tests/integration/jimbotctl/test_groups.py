"""Consumer groups, as groups, subs, stat, top and check show them."""

from __future__ import annotations

import json
import os
import re
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Ctl, Worker, wait_until

import jimbot

Join = Callable[..., Worker]


def fill(bus: jimbot.Bus, n: int) -> None:
    for i in range(n):
        bus.publish("MONEY_CHANGED", {"new_value": i})


def test_who_has_the_oldest_event_is_named(bus: jimbot.Bus, ctl: Ctl, join: Join) -> None:
    worker = join()
    fill(bus, 25)
    assert worker.take(1) == 10
    out = ctl.good("groups")
    assert re.split(r" {2,}", out.splitlines()[1].strip())[:5] == ["0", "rollouts", "1", "6", "5"]
    assert re.search(r"  5  +\ds  2 python\S*  +10  +0  +0  +0  +<?0\.\d %  -  +game\.>\n", out), out
    assert "groups     1 of 8, 1 workers, 6 events pending, 0 delivered again, 0 lost" in ctl.good("stat")
    (found,) = json.loads(ctl.good("groups", "--json"))
    assert (found["name"], found["pattern"], found["n_workers"], found["is_holding"]) == ("rollouts", "game.>", 1, True)
    assert (found["n_delivered"], found["n_acked"], found["n_pending"]) == (10, 4, 6)
    assert (found["oldest_sequence"], found["oldest_peer"]) == (5, 2)
    assert json.loads(ctl.good("stat", "--json"))["groups"][0]["name"] == "rollouts"
    assert re.search(r"^ *0  rollouts  group 0  lossless .*  game\.>$", ctl.good("subs"), re.M)


def test_what_the_dead_had_is_with_nobody_and_then_with_another(bus: jimbot.Bus, ctl: Ctl, join: Join) -> None:
    first, second = join(), join(n_take=3, n_ack=1)
    fill(bus, 10)
    assert first.take(1) == 10
    first.kill()
    assert re.search(r"  6  +5  +\ds  nobody  +10  +0  ", ctl.good("groups"))
    assert second.take(5) == 3
    assert re.search(r"  5  +6  +\ds  3 python\S*  +10  +3  ", ctl.good("groups"))
    second.kill()
    out = ctl.good("groups")
    assert re.search(r"rollouts  +0  +5  +6 .*  no worker  +game\.>", out), out


def test_a_stuck_worker_that_holds_publishers_back_is_named(bus: jimbot.Bus, ctl: Ctl, join: Join) -> None:
    worker = join()
    fill(bus, 10)
    assert worker.take(1) == 10
    os.kill(worker.pid, signal.SIGSTOP)
    with pytest.raises(jimbot.Full):
        while True:
            bus.publish("MONEY_CHANGED", {"new_value": 1})
    sentence = rf"publishers wait for group 0, rollouts: \d+s; peer 2 \S+, pid {worker.pid}, has event 5 for \d+s"
    assert re.search(f"^waiting    {sentence}$", ctl.good("stat"), re.M)
    assert re.search(f"^{sentence}$", ctl.good("groups"), re.M)
    assert re.search(r"  HOLDS \d+s  game\.>$", ctl.good("groups"), re.M)
    assert re.search(f"^wait  {sentence}$", ctl.good("top", "-n", "1", "-i", "0.1"), re.M)
    code, _, err = ctl.run("pub", "--timeout", "0.1", '{"type":"NOTE"}')
    assert code == 1 and re.search(f": {sentence}$", err, re.M)
    worker.kill()
    bus.publish("MONEY_CHANGED", {"new_value": 1})
    assert "waiting    nobody\n" in ctl.good("stat")


def test_the_screen_has_a_list_of_groups(bus: jimbot.Bus, ctl: Ctl, join: Join) -> None:
    terminal = ctl.terminal("top", "-i", "0.1", columns=110)
    assert terminal.until(lambda: "flow" in terminal.text())
    assert "GROUP" not in terminal.text()
    worker = join()
    fill(bus, 20)
    worker.take(1)
    row = r"0  rollouts  +1  +[\d.]+  +6  +\ds  3 python\S*  +0  +0  -  +game\.>"
    assert terminal.until(lambda: re.search(row, terminal.text())), terminal.text()
    worker.kill()
    row = r"0  rollouts  +\d  +0  +6  +\d+s  (3 python\S*|nobody|3 \?) "
    assert terminal.until(lambda: re.search(row, terminal.text())), terminal.text()
    narrow = ctl.terminal("top", "-i", "60")
    for rows in (12, 8, 3):
        assert narrow.until(lambda: narrow.text().strip()), rows
        narrow.resize(rows, 80)  # the terminal fails when it is made to scroll
    assert narrow.until(lambda: narrow.text().strip())


def test_how_a_subscription_reads_is_shown(bus: jimbot.Bus, ctl: Ctl) -> None:
    with bus.subscribe(">", "conflate", name="c") as conflated, bus.subscribe(">", high_first=True, name="h"):
        fill(bus, 7)
        assert len(conflated.poll()) == 1
        out = ctl.good("subs")
        stat = ctl.good("stat")
        _, high = json.loads(ctl.good("subs", "--json"))
    assert re.search(r"0  c  +1 game  conflate  +1  +0  +0  +6  +0  ", out), out
    assert re.search(r"1  h  +1 game  high-first  +0  +0  ", out)
    assert "missed     0 events by open subscriptions, 6 conflated, 0 evictions" in stat
    assert (high["policy"], high["flags"], high["group"], high["is_asleep"]) == ("high-first", 1, 0, False)


def test_a_sleeper_is_shown_asleep(bus: jimbot.Bus, ctl: Ctl) -> None:
    tail = ctl.start("tail", ">")
    assert wait_until(lambda: "asleep" in ctl.good("subs"))
    with bus.subscribe(">", name="armed") as sub:
        sub.fileno()
        sub.poll()
        assert wait_until(lambda: re.search(r"armed .* asleep ", ctl.good("subs")))
    tail.terminate()
    tail.communicate(timeout=10)


def test_check_sees_groups_without_joining(bus: jimbot.Bus, ctl: Ctl, join: Join) -> None:
    worker = join()
    fill(bus, 25)
    worker.take(1)
    out = ctl.good("check", "test")
    assert "groups     1 of 8, 1 workers\n" in out
    assert re.search(r"^ +0  rollouts  +6  +\ds  2 alive +[\d.]+ \S+  yes    game\.>$", out, re.M), out
    assert re.search(rf"^ +0  +0  +2  {worker.pid}  alive  +6$", out, re.M), out
    worker.kill()
    out = ctl.good("check", "test")
    assert re.search(r"^ +0  rollouts  +6  +\d+s  2 DEAD  ", out, re.M), out
    assert re.search(rf"^ +0  +0  +2  {worker.pid}  DEAD  +6$", out, re.M), out


BUSY = """if True:
    import jimbot
    bus = jimbot.Bus.attach("test")
    print("on", flush=True)
    while True:
        for i in range(50):
            bus.publish("MONEY_CHANGED", {"new_value": i}, timeout=5)
"""


def test_a_group_at_work_is_sound(bus: jimbot.Bus, ctl: Ctl, join: Join) -> None:
    """What workers and publishers are in the middle of is no damage."""
    workers = [join(n_take=8, n_ack=0), join(n_take=8, n_ack=0)]
    busy = subprocess.Popen([sys.executable, "-c", BUSY], env=os.environ, stdout=subprocess.PIPE)
    assert busy.stdout and busy.stdout.readline()
    try:
        for turn in range(20):
            workers[turn % 2].take(0)
            assert "verdict    sound\n" in ctl.good("check", "test")
    finally:
        busy.kill()
        busy.wait()
        busy.stdout.close()


LOCK, GATE, STATE, NAME, PLACES, WORKERS, ENTRIES = 0, 24, 32, 64, 256, 512, 512 + 128 * 64

# Where in a group's slot, what is put there, and what is said of it.
DAMAGE = [
    (LOCK, struct.pack("<Q", 255), "the lock of group 0 is held by peer 255 of 64"),
    (GATE, struct.pack("<Q", 9999), "group 0: it holds the ring with subscription 9998 of 64"),
    (STATE, struct.pack("<I", 7), "group 0: its state is 7, not 0 or 1"),
    (NAME, b"\xff" * 32, "group 0: its name or pattern is none"),
    (PLACES, struct.pack("<QQ", 1 << 60, 5) * 16, f"group 0: it has entries {1 << 60} to 5 and stands at {1 << 60}"),
    (WORKERS, struct.pack("<Q", 3), "group 0: worker 0 has a state of 3"),
    (WORKERS, struct.pack("<Q", 200 << 8 | 1), "group 0: worker 0 is of peer 200 of 64"),
    (ENTRIES, struct.pack("<Q", 0), "group 0: entry 1024 is none: word 0x0{16}, at \\d+, event 1"),
    (ENTRIES + 64 + 24, struct.pack("<Q", 77), r"group 0: entry 1025 is none: .*, event 77"),
]


@pytest.mark.parametrize("at, what, told", DAMAGE)
def test_a_damaged_group_is_told_with_its_place(
    bus: jimbot.Bus, ctl: Ctl, shm_dir: Path, join: Join, at: int, what: bytes, told: str
) -> None:
    worker = join(n_ack=0)
    fill(bus, 10)
    worker.take(1)
    (path,) = shm_dir.iterdir()
    slot = path.read_bytes().rfind(b"rollouts") - NAME  # the first one is its subscription's
    with path.open("r+b") as file:
        file.seek(slot + at)
        file.write(what)
    code, out, err = ctl.run("check", "test")
    assert (code, err) == (1, "")
    faults = re.findall(r"^FAULT at byte (\d+): (.*)$", out, re.M)
    assert any(slot <= int(where) < slot + 74 * 1024 and re.fullmatch(told, what) for where, what in faults), out
    for command in (["groups"], ["stat"], ["top", "-n", "1", "-i", "0.1"], ["subs"]):
        assert ctl.run(*command)[0] in (0, 1)
