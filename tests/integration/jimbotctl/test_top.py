"""top: on a terminal, and where there is none."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from conftest import Ctl, wait_until
from terminal import Terminal

import jimbot


@contextmanager
def game(bus: jimbot.Bus) -> Iterator[None]:
    """Some two hundred events a second."""
    end = threading.Event()

    def run() -> None:
        while not end.wait(0.005):
            bus.publish("MONEY_CHANGED", {"new_value": 1})

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def rate(terminal: Terminal) -> float:
    found = re.search(r"flow  ([\d.]+) events/s", terminal.text())
    return float(found[1]) if found else 0


def test_the_screen_shows_rates_and_lags(bus: jimbot.Bus, ctl: Ctl) -> None:
    with game(bus), bus.subscribe("game.>", "latest", name="slow"):
        terminal = ctl.terminal("top", "-i", "0.2")
        assert terminal.until(lambda: 50 < rate(terminal) < 400), terminal.text()
        assert terminal.modes == {"1049": True, "25": False, "7": False}
        rates = r"alive +\d\d+(\.\d)? +[\d.]+ (B|KiB) +0 +\d+ +[\d.]+ (B|KiB)$"
        assert terminal.until(lambda: re.search(rates, terminal.line("1  game"))), terminal.text()
        lag = r"\[#\.{5}\] +\d+  -      game\.>$"
        assert terminal.until(lambda: re.search(lag, terminal.line("0  slow"))), terminal.text()
        assert terminal.until(lambda: "this" in terminal.line("2  jimbotctl")), terminal.text()
        terminal.press(b"q")
        assert terminal.ended() == 0
    assert terminal.is_as_before()


def test_it_is_drawn_anew_each_interval(bus: jimbot.Bus, ctl: Ctl) -> None:
    terminal = ctl.terminal("top", "-i", "0.1")
    assert terminal.until(lambda: "ever  0 events" in terminal.text())
    bus.publish("HEARTBEAT", {})
    assert terminal.until(lambda: "ever  1 events" in terminal.text())
    assert terminal.until(lambda: "1 topics" in terminal.text())


@pytest.mark.parametrize("end", ["key q", "key Q", "key \x03", "key \x04", "2", "15", "1", "3"])
def test_every_end_restores_the_terminal(bus: jimbot.Bus, ctl: Ctl, end: str) -> None:
    terminal = ctl.terminal("top", "-i", "60")
    assert terminal.until(lambda: "flow" in terminal.text())
    assert not terminal.is_as_before()
    if end.startswith("key "):
        terminal.press(end[4:].encode())
    else:
        terminal.process.send_signal(int(end))
    assert terminal.ended() == 0
    assert terminal.is_as_before()
    assert len(bus.peers()) == 1


def test_other_keys_do_nothing(bus: jimbot.Bus, ctl: Ctl) -> None:
    terminal = ctl.terminal("top", "-i", "0.1")
    terminal.press(b"abc\x1b[A \n")
    assert terminal.until(lambda: "flow" in terminal.text())
    terminal.until(lambda: False, 0.3)
    assert terminal.process.poll() is None


def test_a_new_size_is_drawn_at_once(bus: jimbot.Bus, ctl: Ctl) -> None:
    terminal = ctl.terminal("top", "-i", "60")
    assert terminal.until(lambda: "jimbotctl" in terminal.text())
    for rows, columns in ((10, 40), (3, 10), (1, 1), (50, 200)):
        terminal.resize(rows, columns)
        assert terminal.until(lambda: terminal.text().strip()), (rows, columns)
    assert terminal.until(lambda: "jimbotctl" in terminal.text())
    terminal.press(b"q")
    assert terminal.ended() == 0


def test_eighty_by_twenty_four_is_enough_for_a_crowd(bus: jimbot.Bus, ctl: Ctl) -> None:
    others = [jimbot.Bus.attach("test", peer_name=f"publisher-number-{i}-of-them") for i in range(30)]
    subs = [bus.subscribe("a." * 40 + "b", name=f"subscription-number-{i}") for i in range(30)]
    others[17].publish("HEARTBEAT", {})
    terminal = ctl.terminal("top", "-i", "0.2")
    assert terminal.until(lambda: "subscriptions\n" in terminal.text() or "more subscriptions" in terminal.text())
    lines = terminal.text().splitlines()
    assert re.search(r"\.\.\. and \d+ more publishers", terminal.text())
    assert re.search(r"\.\.\. and \d+ more subscriptions", terminal.text())
    assert sum("publisher-number" in x for x in lines) + sum("subscription-number" in x for x in lines) >= 12
    others[23].publish("HEARTBEAT", {})
    assert terminal.until(lambda: "publisher-number-23" in terminal.text()), "the busiest comes first"
    for sub in subs:
        sub.close()
    for other in others:
        other.close()


def test_stopped_and_continued(bus: jimbot.Bus, ctl: Ctl) -> None:
    terminal = ctl.terminal("top", "-i", "60")
    assert terminal.until(lambda: "flow" in terminal.text())
    terminal.process.send_signal(signal.SIGTSTP)
    state = f"/proc/{terminal.process.pid}/stat"
    assert wait_until(lambda: open(state).read().split()[2] == "T")
    assert terminal.until(terminal.is_as_before)
    terminal.process.send_signal(signal.SIGCONT)
    assert terminal.until(lambda: terminal.modes["1049"])
    terminal.press(b"q")
    assert terminal.ended() == 0 and terminal.is_as_before()


def test_a_peer_that_dies_is_shown_dead(bus: jimbot.Bus, ctl: Ctl) -> None:
    code = "import jimbot, time; b = jimbot.Bus.attach('test', peer_name='victim'); time.sleep(60)"
    victim = subprocess.Popen([sys.executable, "-c", code], env=os.environ)
    terminal = ctl.terminal("top", "-i", "0.1")
    try:
        assert terminal.until(lambda: " alive " in terminal.line("2  victim") + terminal.line("3  victim"))
    finally:
        victim.kill()
        victim.wait()
    assert terminal.until(lambda: re.search(r"victim .* DEAD ", terminal.text())), terminal.text()


def test_hostile_names_stay_on_their_line(bus: jimbot.Bus, ctl: Ctl) -> None:
    with bus.subscribe(">", name="\x1b[2J\x1b[H\r\nfoo"):
        terminal = ctl.terminal("top", columns=120)  # the terminal fails on a sequence that is not ours
        assert terminal.until(lambda: r"\x1b[2J\x1b[H\x0d\x0afoo" in terminal.text())


def test_wide_letters_keep_the_columns(bus: jimbot.Bus, ctl: Ctl) -> None:
    with bus.subscribe("a.b", name="桜桜"), bus.subscribe("a.b", name="abcd"):
        lines = ctl.good("top", "-n", "1", "-i", "0.1").splitlines()
    one, two = (next(x for x in lines if name in x) for name in ("桜桜", "abcd"))
    assert len(one) == len(two) - 2
    assert one.replace("桜桜", "....")[1:] == two.replace("abcd", "....")[1:]


def test_without_a_terminal_there_are_plain_frames(bus: jimbot.Bus, ctl: Ctl) -> None:
    with bus.subscribe("game.>", name="slow"):
        bus.publish("MONEY_CHANGED", {"new_value": 1})
        out = ctl.good("top", "-n", "3", "-i", "0.1")
    assert out.count("flow  ") == out.count("1  game ") == out.count("0  slow ") == 3
    assert out.replace("\n", "").isprintable()
    assert len(ctl.good("top", "-n", "1", TERM="dumb").split("\n\n")) == 4


def test_a_reader_that_goes_ends_it(bus: jimbot.Bus, ctl: Ctl) -> None:
    process = ctl.start("top", "-i", "0.1")
    assert process.stdout and process.stdout.readline()
    process.stdout.close()
    assert process.wait(10) == 0 and process.stderr and process.stderr.read() == b""
