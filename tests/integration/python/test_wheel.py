"""`pip install .` gives a module that needs nothing of ours on the machine it lands on.

The isolated build fetches meson-python. Where no package index can be reached the test is skipped,
unless JIMBOT_TEST_WHEEL=1 insists.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PIP = ("-m", "pip", "-q", "--disable-pip-version-check")

USE = """
import jimbot
with jimbot.Bus.open() as bus, bus.subscribe("game.>") as sub:
    bus.publish("MONEY_CHANGED", {"old_value": 4, "new_value": 9})
    batch = sub.poll(timeout=1.0)
    assert batch.column("money_changed.new_value").tolist() == [9]
    assert batch[0].to_dict()["payload"] == {"old_value": 4, "new_value": 9}
print(jimbot._core.__file__)
"""


def build(folder: Path, env: dict[str, str]) -> Path:
    """The wheel that `pip install .` would install."""
    done = subprocess.run(
        [sys.executable, *PIP, "wheel", "--no-deps", "-w", folder, ROOT],
        env=env,
        capture_output=True,
        text=True,
    )
    no_index = "No matching distribution found for meson-python" in done.stderr
    if no_index and not os.environ.get("JIMBOT_TEST_WHEEL"):
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("jimbot-*.whl")
    return wheel


def output_of(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.skipif("LD_PRELOAD" in os.environ, reason="the wheel has no sanitizer to run under")
def test_a_wheel_installs_and_works_in_a_fresh_venv(tmp_path: Path) -> None:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "JIMBOT", "LD_"))}
    wheel = build(tmp_path, env)
    assert "-cp311-abi3-linux" in wheel.name
    names = zipfile.ZipFile(wheel).namelist()
    assert [n for n in names if not n.startswith("jimbot")] == []
    assert {"jimbot/_core.abi3.so", "jimbot/_core.pyi", "jimbot/py.typed"} <= set(names)

    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True, env=env)
    python = venv / "bin" / "python"
    subprocess.run([python, *PIP, "install", "--no-index", wheel], check=True, env=env)
    done = subprocess.run(
        [python, "-c", USE], check=True, env=env, cwd=tmp_path, capture_output=True, text=True
    )
    module = done.stdout.strip()
    libraries = output_of("ldd", module)
    needed = {line.split()[0] for line in libraries.splitlines()}
    allowed = ("linux-vdso", "libc.so", "libm.so", "libpthread.so", "/lib")
    assert [name for name in needed if not name.startswith(allowed)] == []
    exported = output_of("nm", "-D", "--defined-only", module).split("\n")
    assert [line.split()[-1] for line in exported if line] == ["PyInit__core"]
