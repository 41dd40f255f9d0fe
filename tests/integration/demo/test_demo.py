"""The demo as a user runs it: it must balance, and it must notice when it does not.

usage: test_demo.py DEMO. The environment says where the parts are, as ./dev sets it.
"""

import os
import signal
import subprocess
import sys
import time
import unittest

DEMO = sys.argv.pop(1)


def start(*options: str) -> subprocess.Popen:
    command = [sys.executable, DEMO, *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def children_of(pid: int) -> dict[str, int]:
    """Program names and ids of the demo's children."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        pids = [int(x) for x in file.read().split()]
    names = {}
    for child in pids:
        with open(f"/proc/{child}/cmdline", encoding="utf-8") as file:
            names[os.path.basename(file.read().split("\0")[0])] = child
    return names


class DemoTest(unittest.TestCase):
    def test_books_balance(self) -> None:
        demo = start("--rounds", "3", "--fps", "200")
        out, err = demo.communicate(timeout=50)
        self.assertEqual(demo.returncode, 0, out + err)
        self.assertNotIn("BAD", out)
        self.assertIn("ok  lost: 0", out)
        self.assertGreaterEqual(out.count("ok "), 12, out)

    def test_a_killed_reader_fails_the_demo(self) -> None:
        demo = start("--rounds", "3", "--fps", "60")
        limit = time.monotonic() + 20
        while time.monotonic() < limit and "demo-reader" not in children_of(demo.pid):
            time.sleep(0.05)
        time.sleep(1.0)
        os.kill(children_of(demo.pid)["demo-reader"], signal.SIGKILL)
        out, err = demo.communicate(timeout=50)
        self.assertEqual(demo.returncode, 1, out + err)
        self.assertIn("C reader", err)

    def test_nothing_is_left_behind(self) -> None:
        demo = start("--rounds", "1", "--fps", "60")
        time.sleep(1.5)
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=30)
        left = [x for x in os.listdir("/dev/shm") if x.endswith(f"-demo-{demo.pid}")]
        self.assertEqual(left, [])


if __name__ == "__main__":
    unittest.main()
