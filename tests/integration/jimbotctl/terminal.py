"""A terminal that a program runs on: a pty, and the screen that its bytes make.

It knows the sequences that jimbotctl may use; any other, and any control character, is a failure.
"""

from __future__ import annotations

import fcntl
import os
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence

TOKEN = re.compile(
    r"\x1b\[(?P<mode>\?(?:1049|25|7)[hl])|\x1b\[(?P<op>[HKJ]|2J|[01]m)"
    r"|(?P<cr>\r)|(?P<lf>\n)|(?P<text>[^\x00-\x1f\x7f-\x9f])"
)


class Terminal:
    def __init__(self, command: Sequence[str], env: Mapping[str, str], rows: int, columns: int) -> None:
        self.master, self.slave = os.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.cells: list[list[str]] = []
        self.modes: dict[str, bool] = {"1049": False, "25": True, "7": True}
        self.rest = ""
        self.row = self.column = 0
        self.set_size(rows, columns)
        slave = self.slave

        def own_terminal() -> None:
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            command, env=dict(env), stdin=slave, stdout=slave, stderr=subprocess.PIPE, preexec_fn=own_terminal
        )

    def resize(self, rows: int, columns: int) -> None:
        """The kernel tells the program; what it drew for the old size is taken before."""
        while select.select([self.master], [], [], 0.3)[0]:
            self.show(0.0)
        self.set_size(rows, columns)

    def set_size(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        self.cells = [[" "] * columns for _ in range(rows)]
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def text(self) -> str:
        return "\n".join("".join(row).rstrip() for row in self.cells)

    def line(self, start: str) -> str:
        """The line that begins so, spaces aside."""
        return next((x for x in self.text().splitlines() if x.strip().startswith(start)), "")

    def press(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def show(self, seconds: float) -> None:
        """Takes what the program wrote within that time."""
        if not select.select([self.master], [], [], seconds)[0]:
            return
        data = self.rest + os.read(self.master, 65536).decode("utf-8", "surrogateescape")
        at = 0
        while at < len(data):
            token = TOKEN.match(data, at)
            if not token:
                assert len(data) - at < 8, f"a terminal is not to see {data[at : at + 20]!r}"
                break
            self.apply(token)
            at = token.end()
        self.rest = data[at:]

    def apply(self, token: re.Match[str]) -> None:
        if token["mode"]:
            self.modes[token["mode"][1:-1]] = token["mode"].endswith("h")
        elif token["cr"]:
            self.column = 0
        elif token["lf"]:
            self.row += 1
            assert self.row < self.rows, "the screen scrolled"
        elif token["text"]:
            assert self.column < self.columns, f"row {self.row} is too long"
            self.cells[self.row][self.column] = token["text"]
            self.column += 1
        elif token["op"] == "H":
            self.row = self.column = 0
        elif token["op"] in ("K", "J", "2J"):
            self.wipe(token["op"])

    def wipe(self, op: str) -> None:
        first = 0 if op == "2J" else self.row
        last = self.row if op == "K" else self.rows - 1
        for row in range(first, last + 1):
            start = self.column if row == self.row and op != "2J" else 0
            self.cells[row][start:] = [" "] * (self.columns - start)

    def until(self, check: Callable[[], object], seconds: float = 10.0) -> bool:
        """Goes on showing until it is true; returns whether it became so."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.show(0.05)
            if check():
                return True
        return False

    def ended(self) -> int:
        """Exit code, after everything it wrote is shown."""
        self.until(lambda: self.process.poll() is not None)
        self.show(0.0)
        assert self.process.stderr and self.process.stderr.read() == b""
        return self.process.wait(10)

    def is_as_before(self) -> bool:
        modes = self.modes == {"1049": False, "25": True, "7": True}
        return modes and termios.tcgetattr(self.slave) == self.before

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.process.stderr:
            self.process.stderr.close()
        os.close(self.master)
        os.close(self.slave)
