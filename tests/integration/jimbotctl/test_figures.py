"""stat, peers, subs, and what every command has in common: flags, exit codes, streams."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from conftest import PROGRAM, Ctl, overwrite

import jimbot

SOURCES = Path(__file__).parents[3] / "examples" / "jimbotctl"


def fill(bus: jimbot.Bus, n: int = 3) -> None:
    for i in range(n):
        bus.publish("MONEY_CHANGED", {"new_value": i})


def columns(line: str) -> list[str]:
    return re.split(r" {2,}", line.strip())


def test_stat_says_what_the_bus_counts(bus: jimbot.Bus, ctl: Ctl) -> None:
    with bus.subscribe("game.>", name="slow"):
        fill(bus, 5)
        out = ctl.good("stat")
    assert "published  5 events, " in out
    assert "topics     1 of 4096\n" in out
    assert "peers      2 of 64, 0 dead" in out
    assert re.search(r"behind     slow by 5 events, <?0\.\d % of the ring \(subscription 0, lossless\)\n", out)
    assert "waiting    nobody\n" in out


def test_json_holds_every_figure_of_the_binding(bus: jimbot.Bus, ctl: Ctl) -> None:
    with bus.subscribe("game.>", "latest", name="slow"):
        fill(bus, 5)
        out = ctl.good("stat", "--json")
        subscriptions = bus.subscriptions()
    found = json.loads(out)
    assert out.count("\n") == 1
    assert (found["bus"], found["n_published"], found["capacity_bytes"]) == ("test", 5, 1 << 20)
    assert (found["n_bytes"], found["used_bytes"]) == (bus.stats()["n_bytes"], bus.stats()["used_bytes"])
    game, this = found["peers"]
    assert (game["name"], game["pid"], game["n_published"], game["is_alive"]) == ("game", os.getpid(), 5, True)
    assert this["idx"] == found["self"]
    (sub,) = found["subs"]
    assert (sub["name"], sub["pattern"], sub["policy"], sub["peer"]) == ("slow", "game.>", "latest", game["idx"])
    assert sub["lag_bytes"] == subscriptions[0]["lag_bytes"] > 0
    assert (sub["lag_events"], sub["held_since_ns"], game["stalled_since_ns"]) == (5, 0, 0)


def test_who_holds_publishers_back_is_named(bus: jimbot.Bus, ctl: Ctl) -> None:
    event = jimbot.encode("ERROR", {"message": "x" * 1000})
    with bus.subscribe(">", name="slow\x1b"):
        with pytest.raises(jimbot.Full):
            while True:
                bus.publish("system.error", event)
        sentence = rf"publishers wait for subscription 0, slow\\x1b, pid {os.getpid()}: \d+s\n"
        assert re.search("^waiting    " + sentence, ctl.good("stat"), re.M)
        assert re.search("^" + sentence, ctl.good("subs"), re.M)
        assert re.search(r"  HOLDS \d+s  >$", ctl.good("subs"), re.M)
        assert json.loads(ctl.good("subs", "--json"))[0]["held_since_ns"] > 0
        assert re.search("^wait  " + sentence, ctl.good("top", "-n", "1", "-i", "0.1"), re.M)
        assert re.search("^refused    [1-9]\\d* times for want of room", ctl.good("stat"), re.M)
    assert "waiting    nobody\n" in ctl.good("stat")


def test_who_stalls_everybody_is_named(bus: jimbot.Bus, ctl: Ctl, stalled: subprocess.Popen[bytes]) -> None:
    with bus.subscribe(">") as sub:
        bus.publish("HEARTBEAT", {})
        assert len(sub.poll(timeout=0.3)) == 0, "the claim stands before it"
        sentence = rf"everybody waits for a claim of peer 2, \S+, pid {stalled.pid}: \d+s"
        assert re.search("^waiting    " + sentence, ctl.good("stat"), re.M)
        assert re.search(rf"{stalled.pid}  STALLS \d+s  ", ctl.good("peers"))
        assert json.loads(ctl.good("peers", "--json"))[1]["stalled_since_ns"] > 0
        stalled.kill()
        stalled.wait()
        assert "system.heartbeat" in [x.topic for x in sub.poll(timeout=5)]
        assert "waiting    nobody\n" in ctl.good("stat")


def test_peers_and_subs_are_tables(bus: jimbot.Bus, ctl: Ctl) -> None:
    with bus.subscribe("game.>", "latest", name="viewer") as sub:
        fill(bus, 4)
        sub.poll()
        bus.publish("HEARTBEAT", {})
        sub.poll()
        peers = ctl.good("peers").splitlines()
        subs = ctl.good("subs").splitlines()
    assert columns(peers[0])[:4] == ["#", "NAME", "PID", "STATE"]
    assert columns(peers[1])[:4] == ["1", "game", str(os.getpid()), "alive"]
    assert columns(peers[1])[5] == "5"
    assert columns(peers[2])[1::2][:2] == ["jimbotctl", "this"]
    assert columns(subs[1]) == ["0", "viewer", "1 game", "latest", *"410000", "0 %", "-", "game.>"]


def test_tables_are_json_too(bus: jimbot.Bus, ctl: Ctl) -> None:
    assert [x["name"] for x in json.loads(ctl.good("peers", "--json"))] == ["game", "jimbotctl"]
    assert json.loads(ctl.good("subs", "--json")) == []


@pytest.mark.parametrize("command", [["stat"], ["peers"], ["subs"], ["top"], ["tail", ">"], ["pub", "{}"]])
def test_no_such_bus_is_exit_code_2(ctl: Ctl, command: list[str], shm_dir: Path) -> None:
    code, out, err = ctl.run(*command)
    assert (code, out) == (2, "")
    assert "test" in err
    assert list(shm_dir.iterdir()) == [], "looking for a bus must not make one"


def test_a_foreign_file_is_an_error_that_names_it(ctl: Ctl, shm_dir: Path) -> None:
    foreign = shm_dir / "foreign"
    foreign.write_bytes(b"no bus" * 5000)
    code, out, err = ctl.run("--bus", str(foreign), "stat")
    assert (code, out) == (1, "")
    assert str(foreign) in err


def test_a_bus_can_be_named_by_the_environment_and_by_its_file(bus: jimbot.Bus, ctl: Ctl, shm_dir: Path) -> None:
    (path,) = shm_dir.iterdir()
    assert str(path) in ctl.good("--bus", str(path), "stat")
    found = subprocess.run(
        [PROGRAM, "stat"], env=ctl.env(JIMBOT_BUS="test"), capture_output=True, text=True, check=True
    )
    assert found.stdout.startswith("bus        test\n")


def test_hostile_names_cannot_steer_the_terminal(bus: jimbot.Bus, ctl: Ctl, shm_dir: Path) -> None:
    with bus.subscribe(">", name="evil-evil-evil"):
        overwrite(shm_dir, b"evil-evil-evil", b'"\x1b[2J\xff\x9b\xc2\x9bm\xe2\x80\xae\n')
        subs, text, stat = ctl.good("subs"), ctl.good("subs", "--json"), ctl.good("stat")
    shown = '"\\x1b[2J\\xff\\x9b\\xc2\\x9bm\\xe2\\x80\\xae\\x0a'
    assert shown in subs
    assert all(x.isprintable() for x in (subs + stat + text).replace("\n", ""))
    assert json.loads(text)[0]["name"] == '"\x1b[2J\ufffd\ufffd\x9bm\u202e\n'


def test_letters_stay_letters_where_the_terminal_has_them(bus: jimbot.Bus, ctl: Ctl) -> None:
    with bus.subscribe(">", name="Zuschauer Ü 桜"):
        assert "Zuschauer Ü 桜  1 game" in ctl.good("subs")
        plain = ctl.good("subs", LC_ALL="C")
        text = ctl.good("subs", "--json", LC_ALL="C")
    assert "Zuschauer \\xc3\\x9c \\xe6\\xa1\\x9c  1 game" in plain
    assert text.isascii() and json.loads(text)[0]["name"] == "Zuschauer Ü 桜"


@pytest.mark.parametrize("words", ["", "walk", "stat more", "tail", "stat --raw", "top --json", "tail > -n 0",
                                   "tail > -n 18446744073709551616", "tail > -n -1", "tail > --from later",
                                   "top -i 0", "top -i nan", "pub --timeout x", "pub --raw {}", "--wrong"])
def test_wrong_usage_is_exit_code_64(bus: jimbot.Bus, ctl: Ctl, words: str) -> None:
    code, out, err = ctl.run(*words.split())
    assert (code, out) == (64, "")
    assert err.count("\n") == 1


def test_help_and_the_list_of_options_agree(ctl: Ctl) -> None:
    helped = set(re.findall(r"--([a-z]+)", ctl.good("--help")))
    known = set(re.findall(r'\{"(\w+)", (?:no|required)_argument', (SOURCES / "options.c").read_text()))
    assert helped == known and len(known) > 10
    commands = set(re.findall(r'\{"(\w+)", OF_', (SOURCES / "jimbotctl.c").read_text()))
    assert commands == set(re.findall(r"^  ([a-z]+)  ?(?: |[A-Z\[])", ctl.good("--help"), re.M)) - {"jimbotctl"}


def test_version(ctl: Ctl) -> None:
    assert ctl.good("--version") == f"jimbotctl {jimbot.__version__}\n"


@pytest.mark.parametrize("command", ["stat", "stat --json", "peers", "tail --from oldest -n 3 >", "--help", "top -n 1"])
def test_a_full_disk_is_an_error(bus: jimbot.Bus, ctl: Ctl, command: str) -> None:
    fill(bus)
    with open("/dev/full", "wb") as full:
        process = ctl.start(*command.split(), stdout=full.fileno())
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (1, b"jimbotctl: cannot write: No space left on device\n")


@pytest.mark.parametrize("closed", [">&-", "<&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_do_not_become_the_bus(bus: jimbot.Bus, ctl: Ctl, shm_dir: Path, closed: str) -> None:
    """What is meant for a closed stream must not be written over the segment."""
    fill(bus)
    command = f'"$0" --bus test stat {closed}; echo $?; "$0" --bus test pub "{{" {closed}; :'
    done = subprocess.run(["sh", "-c", command, PROGRAM], env=ctl.env(), capture_output=True, timeout=20, check=True)
    assert done.stdout.split()[-1] == (b"1" if ">&-" in closed.replace("2>&-", "") else b"0")
    (path,) = shm_dir.iterdir()
    assert not re.search(rb"published  3|jimbotctl: event", path.read_bytes())
    assert bus.stats()["n_published"] == 3
