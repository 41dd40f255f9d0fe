"""The example of a shared GPU as a user runs it, shorter: shares, limits and a clean end.

usage: test_sharing.py EXAMPLE
"""

import os
import re
import subprocess
import sys
import time
import unittest

EXAMPLE = sys.argv.pop(1)


def start(seconds: float) -> subprocess.Popen:
    command = [sys.executable, EXAMPLE, "--seconds", str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def children_of(pid: int) -> dict[str, int]:
    """Components and ids of the example's programs."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        pids = [int(x) for x in file.read().split()]
    found = {}
    for child in pids:
        with open(f"/proc/{child}/cmdline", encoding="utf-8") as file:
            words = file.read().split("\0")
        found[words[4] if len(words) > 4 else words[0]] = child
    return found


class SharingTest(unittest.TestCase):
    def test_shares_are_as_configured_and_nothing_is_left(self) -> None:
        example = start(8)
        out, err = example.communicate(timeout=60)
        self.assertEqual(example.returncode, 0, out + err)
        shares = [float(x) for x in re.findall(r"([\d.]+)% of the GPU", out)]
        self.assertEqual(len(shares), 3, out)
        for share, due in zip(shares, (50, 30, 20)):
            self.assertLessEqual(abs(share - due), 2, out)
        self.assertIn("called 100 times", out)
        left = [x for x in os.listdir("/dev/shm") if x.endswith(f"-sharing-{example.pid}")]
        self.assertEqual(left, [])

    def test_a_program_that_is_missing_fails_it(self) -> None:
        example = start(4)
        limit = time.monotonic() + 20
        while time.monotonic() < limit and "probe" not in children_of(example.pid):
            time.sleep(0.02)
        os.kill(children_of(example.pid)["probe"], 9)
        out, err = example.communicate(timeout=60)
        self.assertEqual(example.returncode, 1, out + err)


if __name__ == "__main__":
    unittest.main()
