"""Runs test_client.lua beside a jimbotd that it orders to stop, start, freeze and thaw."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../http"))
from daemon import Daemon  # noqa: E402

LUAJIT = os.environ.get("LUAJIT", "luajit")
HERE = os.path.dirname(os.path.abspath(__file__))


class Lua(unittest.TestCase):
    def run_with(self, *flags):
        folder = tempfile.mkdtemp(prefix="jimbot-client-lua-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        daemon = Daemon("--http", "127.0.0.1:0", shm=folder)
        # The bus outlives the daemon in a program of its own, as it does where a game runs.
        holder = daemon.tap("hold", ">", stdin=subprocess.PIPE)
        self.addCleanup(holder.communicate)
        place = f"{daemon.host}:{daemon.port}"
        process = subprocess.Popen(
            [LUAJIT, *flags, os.path.join(HERE, "test_client.lua"), "ws://" + place, folder],
            text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said = []
        for line in process.stdout:
            if not line.startswith("> "):
                said.append(line)
                continue
            word = line[2:].strip()
            if word == "stop":
                self.assertEqual(daemon.stop(), 0, daemon.log)
            elif word == "start":
                daemon = Daemon("--http", place, shm=folder)
            else:
                daemon.process.send_signal(signal.SIGSTOP if word == "freeze" else signal.SIGCONT)
            process.stdin.write("done\n")
            process.stdin.flush()
        process.stdin.close()
        process.stdout.close()
        code = process.wait()
        daemon.stop()
        print("".join(said), file=sys.stderr)
        self.assertEqual(code, 0, "".join(said))

    def test_compiled(self):
        self.run_with()

    def test_interpreted(self):
        self.run_with("-joff")


if __name__ == "__main__":
    unittest.main()
