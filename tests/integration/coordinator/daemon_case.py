"""A real coordinatord on a free port, and REST to it."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "http"))

from daemon import Daemon, read_line, wait_until  # noqa: F401

COORDINATORD = os.environ.get("COORDINATORD", "coordinatord")
JIMBOTCTL = os.environ.get("JIMBOTCTL", "jimbotctl")
RESOURCES = """
[resource ram]
kind = memory
capacity = 1000
[resource gpu]
kind = gpu_time
capacity = 100
headroom = 10
[component trainer]
weight = 3
ram = 100..800
[component game]
weight = 1
"""


class Coordinator(Daemon):
    """coordinatord as a child process."""

    def __init__(self, folder, coordinator="", host="", resources=RESOURCES):
        self.tls, self.own_shm, self.shm = None, False, folder
        self.path = os.path.join(folder, "c.ini")
        with open(self.path, "w", encoding="ascii") as f:
            f.write(f"[host]\nhttp = 127.0.0.1:0\n{host}\n[coordinator]\n{coordinator}\n{resources}")
        self.process = subprocess.Popen([COORDINATORD, "--config", self.path], text=True, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env={**os.environ, "JIMBOT_SHM_DIR": folder})
        self.banner = read_line(self.process)
        if "://" not in self.banner:
            raise RuntimeError("coordinatord did not start: " + self.process.communicate()[1])
        self.host, port = self.banner.split("://")[1].split(",")[0].rsplit(":", 1)
        self.port, self.log = int(port), ""

    def kill(self):
        self.process.kill()
        self.process.communicate()


class CoordinatorCase(unittest.TestCase):
    """A test with a coordinator; a class may set the lines of the sections."""

    COORDINATOR = HOST = ""
    RESOURCES = RESOURCES

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="jimbot-coord-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.daemon = Coordinator(self.folder, self.COORDINATOR.format(folder=self.folder), self.HOST,
                                  self.RESOURCES)
        self.addCleanup(self.end)

    def end(self):
        if self.daemon.process.returncode is None:
            code = self.daemon.stop()
            self.assertEqual(code, 0, self.daemon.log)
        self.assertNotIn("Sanitizer", self.daemon.log)
        self.assertNotIn("runtime error", self.daemon.log)

    def get(self, path):
        status, _, body = self.daemon.request("GET", path)
        return status, json.loads(body)

    def request(self, component="trainer", wait_ns=0, hold_ns=0, lease_class=None, **amounts):
        wish = {"component": component, "amounts": [{"resource": r, "amount": a} for r, a in amounts.items()]}
        if wait_ns:
            wish["wait_ns"] = wait_ns
        if hold_ns:
            wish["hold_ns"] = hold_ns
        if lease_class:
            wish["lease_class"] = lease_class
        return self.daemon.post("/api/v1/leases/request", wish)

    def lease(self, **kwargs):
        status, answer = self.request(**kwargs)
        self.assertEqual(status, 200, answer)
        return answer["lease"]

    def release(self, lease):
        return self.daemon.post("/api/v1/leases/release", {k: lease[k] for k in ("lease_id", "token")})

    def resource(self, name="ram"):
        status, answer = self.get("/api/v1/resources?resource=" + name)
        self.assertEqual(status, 200)
        return answer["resources"][0]

    def allocated(self, name="ram"):
        return int(self.resource(name)["allocated"])

    def wait_allocated(self, amount, name="ram"):
        self.assertTrue(wait_until(lambda: self.allocated(name) == amount), self.resource(name))

    def wait_waiting(self, n, name="ram"):
        self.assertTrue(wait_until(lambda: self.resource(name)["n_waiting"] == n), self.resource(name))
