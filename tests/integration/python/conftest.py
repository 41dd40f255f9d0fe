"""Every test gets a shared-memory folder of its own, so nothing it leaves can meet another test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import jimbot


@pytest.fixture(autouse=True)
def shm_dir(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="jimbot-test-", dir="/dev/shm") as folder:
        monkeypatch.setenv("JIMBOT_SHM_DIR", folder)
        yield Path(folder)


@pytest.fixture
def bus() -> Iterator[jimbot.Bus]:
    with jimbot.Bus.create("test", capacity=1 << 20) as bus:
        yield bus


Spawn = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Start a Python program in another process; whatever still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, *args: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, args)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ.copy(),
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def finish(process: subprocess.Popen[str], timeout: float = 60.0) -> str:
    """Its standard output; fails with its standard error when it failed."""
    out, err = process.communicate(timeout=timeout)
    assert process.returncode == 0, err
    return out
