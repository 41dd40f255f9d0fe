"""A real jimbotd on a free port with a bus of its own, and helpers to speak HTTP to it.

Standard library only, so that the tests run with any python3: `python3 -m unittest` in this folder with
JIMBOTD and BUSTAP set to the programs, or `meson test`.
"""

import http.client
import json
import os
import select
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

JIMBOTD = os.environ.get("JIMBOTD", "jimbotd")
BUSTAP = os.environ.get("BUSTAP", "bustap")


def read_line(process, seconds=20.0):
    """First line a program prints, without waiting for ever for one that hangs."""
    ready, _, _ = select.select([process.stdout], [], [], seconds)
    return process.stdout.readline() if ready else ""


class Daemon:
    """jimbotd as a child process."""

    def __init__(self, *flags, env=None, bus="test", shm=None, tls=None):
        self.tls = tls  # an ssl.SSLContext: connections speak TLS
        self.own_shm = shm is None
        self.shm = shm or tempfile.mkdtemp(prefix="jimbot-http-")
        self.bus = bus
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("JIMBOTD_")}
        self.env.update(env or {}, JIMBOT_SHM_DIR=self.shm)
        words = [JIMBOTD, "--http", "127.0.0.1:0", "--grpc", "none", "--bus", bus, *flags]
        self.process = subprocess.Popen(
            words, env=self.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.banner = read_line(self.process)
        if "://" not in self.banner:
            raise RuntimeError("jimbotd did not start: " + self.process.communicate()[1])
        address = self.banner.split("://")[1].split(",")[0]
        self.host, port = address.rsplit(":", 1)
        self.port = int(port)
        self.log = ""

    def tap(self, *words, stdin=None):
        """Start bustap on the daemon's bus; for all but `send` wait until it is subscribed."""
        words = [BUSTAP, words[0], self.bus, *map(str, words[1:])]
        process = subprocess.Popen(
            words, env=self.env, text=True, stdout=subprocess.PIPE, stdin=stdin or subprocess.DEVNULL
        )
        if words[1] != "send" and read_line(process) != "ready\n":
            raise RuntimeError("bustap did not start")
        return process

    def connect(self, timeout=20.0):
        s = socket.create_connection((self.host, self.port), timeout=timeout)
        if not self.tls:
            return s
        return self.tls.wrap_socket(s, server_hostname="localhost", suppress_ragged_eofs=False)

    def request(self, method, path, body=None, headers=None):
        """One request on a connection of its own: (status, headers, body)."""
        c = http.client.HTTPConnection(self.host, self.port, timeout=20)
        c.sock = self.connect()
        try:
            c.request(method, path, body=body, headers=headers or {})
            r = c.getresponse()
            return r.status, r.headers, r.read()
        finally:
            c.close()

    def post(self, path, value):
        """POST a value as JSON, or bytes as they are: (status, answer)."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        status, _, answer = self.request(
            "POST", path, body, {"Content-Type": "application/json", "User-Agent": "BalatroMCP/1.0"}
        )
        return status, json.loads(answer)

    def metrics(self):
        """{name: {labels: value}} of the metrics page."""
        _, _, page = self.request("GET", "/metrics")
        found = {}
        for line in page.decode().splitlines():
            if not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                name, _, labels = name.partition("{")
                found.setdefault(name, {})[labels.rstrip("}")] = float(value)
        return found

    def wait_for_connections(self, n):
        """Wait until n connections beside the one that asks are open."""
        return wait_until(lambda: self.metrics()["jimbot_http_connections"][""] > n)

    def published(self):
        return sum(self.metrics()["jimbot_events_published_total"].values())

    def speaks_http2(self):
        """Whether it is built with it."""
        with self.connect() as s:
            s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            return s.recv(8) != b"HTTP/1.1"

    def stop(self):
        """SIGTERM and wait; returns the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        _, self.log = self.process.communicate(timeout=20)
        if self.own_shm:
            shutil.rmtree(self.shm, ignore_errors=True)
        return self.process.returncode


class DaemonCase(unittest.TestCase):
    """A test with a daemon; a class may set FLAGS."""

    FLAGS = ()

    def setUp(self):
        self.daemon = Daemon(*self.FLAGS)
        self.addCleanup(self.end)

    def end(self):
        code = self.daemon.stop()
        self.assertEqual(code, 0, self.daemon.log)
        self.assertNotIn("Sanitizer", self.daemon.log)
        self.assertNotIn("runtime error", self.daemon.log)


def event(kind="MONEY_CHANGED", event_id=None, **payload):
    """An event as BalatroMCP would send it."""
    value = {"type": kind, "source": "BalatroMCP", "version": 1, "timestamp": 1000016.5, "payload": payload}
    if event_id:
        value["event_id"] = event_id
    return value


def read_answers(sock, n, seconds=20.0):
    """Read n answers from a raw socket: [(status, headers, body)]."""
    reader = sock.makefile("rb")
    sock.settimeout(seconds)
    answers = []
    while len(answers) < n:
        status = reader.readline()
        if not status:
            break
        fields = {}
        while (line := reader.readline()) not in (b"\r\n", b""):
            name, value = line.decode().split(":", 1)
            fields[name.lower()] = value.strip()
        code = int(status.split()[1])
        body = reader.read(int(fields.get("content-length", 0)))
        answers.append((code, fields, body))
    return answers


def wait_until(check, seconds=10.0):
    """Ask again until it is true; returns whether it became so."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(0.02)
    return False
