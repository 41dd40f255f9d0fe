"""check: examined from outside, in any state, without joining."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Ctl, overwrite

import jimbot


def crash(keep: bool, name: str = "test") -> int:
    """A process that dies with a bus, a subscription and five events; its id."""
    code = f"""if True:
        import jimbot, os, signal
        bus = jimbot.Bus.create({name!r}, capacity=65536, peer_name="\\x1b[2Jghost", keep={keep})
        sub = bus.subscribe("game.>", name="left")
        for i in range(5):
            bus.publish("MONEY_CHANGED", {{"new_value": i}})
        os.kill(os.getpid(), signal.SIGKILL)
    """
    process = subprocess.Popen([sys.executable, "-c", code], env=os.environ)
    process.wait()
    return process.pid


def test_a_bus_in_use_is_sound_and_nobody_joins_it(bus: jimbot.Bus, ctl: Ctl) -> None:
    with bus.subscribe("game.>", "latest", name="viewer"):
        for i in range(3):
            bus.publish("MONEY_CHANGED", {"new_value": i})
        out = ctl.good("check", "test")
    assert "verdict    sound\n" in out
    assert "peers      1 of 64, 0 dead\n" in out
    assert "events     3 in the ring, 0 before them, 0 places without one, 0 claims open\n" in out
    assert f"by pid {os.getpid()}, which is alive" in out
    assert re.search(rf" 1  game +{os.getpid()}  alive  ", out)
    assert re.search(r" 0  viewer  1 alive  latest +\d+ B  no     game\.>\n", out)


@pytest.mark.parametrize("keep", [True, False])
def test_what_a_crash_left_is_seen_and_stays(ctl: Ctl, shm_dir: Path, keep: bool) -> None:
    pid = crash(keep)
    files = [(x.name, x.read_bytes()) for x in shm_dir.iterdir()]
    for words in (["check", "test"], ["check", str(next(shm_dir.iterdir()))], ["check"], ["--bus", "test", "check"]):
        out = ctl.good(*words)
        assert re.search(rf"made       \d+s ago by pid {pid}, which is gone", out)
        assert "peers      1 of 64, 1 dead" in out
        assert ("it is over, the next open replaces it" in out) == (not keep)
        assert ("kept when nobody uses it" in out) == keep
        assert re.search(rf" 1  \\x1b\[2Jghost +{pid}  DEAD  ", out)
        assert re.search(r" 0  left  1 DEAD +lossless +\d+ B  yes +game\.>\n", out)
    assert [(x.name, x.read_bytes()) for x in shm_dir.iterdir()] == files


def test_damage_is_told_with_its_place(bus: jimbot.Bus, ctl: Ctl, shm_dir: Path) -> None:
    bus.publish("MONEY_CHANGED", {"new_value": 1})
    overwrite(shm_dir, b"game.money.changed", b"\x1b[2J.money.chang\xff\xff")
    code, out, err = ctl.run("check", "test")
    assert (code, err) == (1, "")
    assert re.search(r"verdict    [1-9]\d* faults", out)
    assert re.search(r"^FAULT at byte [1-9]\d*: \S", out, re.M)
    assert out.replace("\n", "").isprintable()


def test_all_buses_are_named_without_arguments(bus: jimbot.Bus, ctl: Ctl, shm_dir: Path) -> None:
    crash(True, "left")
    out = ctl.good("check")
    assert sorted(re.findall(r"^bus +(\S+)$", out, re.M)) == ["left", "test"]
    assert out.count("verdict    sound") == 2 and out.count("\n\n") == 1
    bus.close()
    jimbot.unlink("left")
    assert ctl.good("check") == "there is no bus\n"


def test_none_of_that_name_and_no_bus(bus: jimbot.Bus, ctl: Ctl, shm_dir: Path) -> None:
    code, out, err = ctl.run("check", "nobody", "test")
    assert code == 2 and "nobody" in err and "verdict    sound" in out
    foreign = shm_dir / "foreign"
    foreign.write_bytes(b"x" * 100000)
    code, out, err = ctl.run("check", str(foreign))
    assert (code, out) == (1, "") and str(foreign) in err


def test_an_open_claim_is_shown_with_its_owner(bus: jimbot.Bus, ctl: Ctl, stalled: subprocess.Popen[bytes]) -> None:
    out = ctl.good("check", "test")
    assert "places without one, 1 claims open" in out
    assert re.search(rf"1\.1 KiB     2  {stalled.pid}  alive  wait\n", out)
    stalled.kill()
    stalled.wait()
    assert re.search(rf" 2  {stalled.pid}  DEAD   wait\n", ctl.good("check", "test"))
