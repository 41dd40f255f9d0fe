"""jimbotctl as a program of its own, on buses that the tests make with the Python binding.

JIMBOTCTL names the program. Every test gets a shared-memory folder of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from terminal import Terminal

import jimbot

PROGRAM = os.environ.get("JIMBOTCTL", "jimbotctl")


@pytest.fixture(autouse=True)
def shm_dir(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="jimbot-ctl-", dir="/dev/shm") as folder:
        monkeypatch.setenv("JIMBOT_SHM_DIR", folder)
        yield Path(folder)


@pytest.fixture
def bus(shm_dir: Path) -> Iterator[jimbot.Bus]:
    with jimbot.Bus.create("test", capacity=1 << 20, peer_name="game") as bus:
        yield bus


class Ctl:
    """Runs the program; whatever still runs at the end is killed. Its leaks are failures."""

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[bytes]] = []
        self.terminals: list[Terminal] = []

    def env(self, **more: str) -> dict[str, str]:
        env = {k: v for k, v in os.environ.items() if k not in ("LD_PRELOAD", "LANG", "LC_ALL")}
        return {**env, "ASAN_OPTIONS": "exitcode=99", "TZ": "UTC", "LC_ALL": "C.UTF-8", **more}

    def start(
        self,
        *words: str,
        env: dict[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.PIPE,
    ) -> subprocess.Popen[bytes]:
        bus = [] if words[:1] == ("check",) else ["--bus", "test"]
        process = subprocess.Popen(
            [PROGRAM, *bus, *words], env=env or self.env(), stdin=stdin, stdout=stdout, stderr=subprocess.PIPE
        )
        self.started.append(process)
        return process

    def run(self, *words: str, text: bytes | str = b"", **more: str) -> Outcome:
        """To its end: exit code, standard output, standard error."""
        process = self.start(*words, env=self.env(**more), stdin=subprocess.PIPE)
        out, err = process.communicate(text.encode() if isinstance(text, str) else text, timeout=30)
        assert b"Sanitizer" not in err and b"runtime error" not in err, err.decode()
        return Outcome((process.returncode, out.decode(), err.decode()))

    def good(self, *words: str, text: bytes | str = b"", **more: str) -> str:
        """Its standard output, when it has nothing to complain about."""
        code, out, err = self.run(*words, text=text, **more)
        assert (code, err) == (0, "")
        return out

    def terminal(self, *words: str, rows: int = 24, columns: int = 80) -> Terminal:
        terminal = Terminal([PROGRAM, "--bus", "test", *words], self.env(TERM="xterm"), rows, columns)
        self.terminals.append(terminal)
        return terminal

    def close(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe:
                    pipe.close()
        for terminal in self.terminals:
            terminal.close()


class Outcome(tuple[int, str, str]):
    """Exit code, standard output, standard error."""


@pytest.fixture
def ctl() -> Iterator[Ctl]:
    ctl = Ctl()
    yield ctl
    ctl.close()


def wait_until(check: Callable[[], object], seconds: float = 10.0) -> bool:
    """Ask again until it is true; returns whether it became so."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(0.01)
    return False


def subscribed(bus: jimbot.Bus, n: int = 1) -> bool:
    """Wait until so many subscriptions are open."""
    return wait_until(lambda: len(bus.subscriptions()) == n)


def overwrite(folder: Path, old: bytes, new: bytes) -> None:
    """Somebody hostile who has the segment open too."""
    assert len(old) == len(new)
    (path,) = folder.iterdir()
    data = path.read_bytes()
    assert old in data
    with path.open("r+b") as file:
        at = data.find(old)
        while at >= 0:
            file.seek(at)
            file.write(new)
            at = data.find(old, at + len(old))


STALLED = """if True:
    import ctypes, os, sys, time
    lib = ctypes.CDLL(os.environ["JIMBOT_LIBRARY"])
    bus, topic = ctypes.c_void_p(), ctypes.c_uint32()
    assert lib.jb_bus_attach(b"test", None, ctypes.byref(bus), None) == 0
    assert lib.jb_bus_topic(bus, b"a.b", ctypes.c_size_t(3), ctypes.byref(topic)) == 0
    head = (ctypes.c_uint32 * 16)(topic.value)
    assert lib.jb_bus_claim(bus, head, ctypes.c_size_t(1000), ctypes.create_string_buffer(256)) == 0
    print("claimed", flush=True)
    time.sleep(60)
"""


WORKER = """if True:
    import ctypes, os, sys, time
    lib = ctypes.CDLL(os.environ["JIMBOT_LIBRARY"])
    name, n_take, n_ack = sys.argv[1].encode(), int(sys.argv[2]), int(sys.argv[3])
    bus, worker = ctypes.c_void_p(), ctypes.c_void_p()
    assert lib.jb_bus_attach(b"test", None, ctypes.byref(bus), None) == 0
    assert lib.jb_group_join(bus, name, b"game.>", ctypes.c_size_t(6), None, ctypes.byref(worker), None) == 0
    print("joined", flush=True)
    for line in sys.stdin:
        events = ctypes.create_string_buffer(n_take * 256)
        assert lib.jb_worker_wait(worker, ctypes.c_uint64(5000000000)) == 1
        n = lib.jb_worker_take(worker, events, n_take)
        for i in range(n_ack):
            assert lib.jb_worker_ack(worker, ctypes.c_uint64(int(line) + i)) == 0
        print("took", n, flush=True)
"""


class Worker:
    """Of a consumer group, in a process of its own."""

    def __init__(self, group: str, n_take: int, n_ack: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, group, str(n_take), str(n_ack)],
            env=os.environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.line() == "joined"

    @property
    def pid(self) -> int:
        return self.process.pid

    def line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def take(self, first: int) -> int:
        """Takes events, of which it acknowledges some from that sequence on; how many it took."""
        assert self.process.stdin
        print(first, file=self.process.stdin, flush=True)
        return int(self.line().removeprefix("took "))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()


@pytest.fixture
def join(bus: jimbot.Bus) -> Iterator[Callable[..., Worker]]:
    """Starts a worker of a group of the test's bus, for game.>."""
    if "JIMBOT_LIBRARY" not in os.environ:
        pytest.skip("JIMBOT_LIBRARY names no library")
    workers: list[Worker] = []

    def start(group: str = "rollouts", n_take: int = 10, n_ack: int = 4) -> Worker:
        workers.append(Worker(group, n_take, n_ack))
        return workers[-1]

    yield start
    for worker in workers:
        worker.kill()


@pytest.fixture
def stalled(bus: jimbot.Bus) -> Iterator[subprocess.Popen[bytes]]:
    """A publisher of another process that has claimed 1000 bytes and goes no further."""
    if "JIMBOT_LIBRARY" not in os.environ:
        pytest.skip("JIMBOT_LIBRARY names no library")
    process = subprocess.Popen([sys.executable, "-c", STALLED], env=os.environ, stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.readline() == b"claimed\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()
