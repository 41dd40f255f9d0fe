"""`pip install .` gives a module that needs nothing of ours on the machine it lands on.

Slow and in need of a package index: runs when JIMBOT_TEST_WHEEL is set.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

USE = """
import jimbot
with jimbot.Bus.open() as bus, bus.subscribe("game.>") as sub:
    bus.publish("MONEY_CHANGED", {"old_value": 4, "new_value": 9})
    batch = sub.poll(timeout=1.0)
    assert batch.column("money_changed.new_value").tolist() == [9]
    assert batch[0].to_dict()["payload"] == {"old_value": 4, "new_value": 9}
print(jimbot._core.__file__)
"""


@pytest.mark.skipif(not os.environ.get("JIMBOT_TEST_WHEEL"), reason="JIMBOT_TEST_WHEEL is not set")
def test_a_wheel_installs_and_works_in_a_fresh_venv(tmp_path: Path) -> None:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "JIMBOT", "LD_"))}
    pip = ["-m", "pip", "-q", "--disable-pip-version-check"]
    subprocess.run(
        [sys.executable, *pip, "wheel", "--no-deps", "-w", tmp_path, ROOT], check=True, env=env
    )
    (wheel,) = tmp_path.glob("jimbot-*.whl")
    assert "-cp311-abi3-linux" in wheel.name
    names = zipfile.ZipFile(wheel).namelist()
    assert [n for n in names if not n.startswith("jimbot")] == []
    assert {"jimbot/_core.abi3.so", "jimbot/_core.pyi", "jimbot/py.typed"} <= set(names)

    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True, env=env)
    python = venv / "bin" / "python"
    subprocess.run([python, *pip, "install", "--no-index", wheel], check=True, env=env)
    done = subprocess.run(
        [python, "-c", USE], check=True, env=env, cwd=tmp_path, capture_output=True, text=True
    )
    libraries = subprocess.run(
        ["ldd", done.stdout.strip()], check=True, capture_output=True, text=True
    ).stdout
    needed = {line.split()[0] for line in libraries.splitlines()}
    allowed = ("linux-vdso", "libc.so", "libm.so", "libpthread.so", "/lib")
    assert [name for name in needed if not name.startswith(allowed)] == []
