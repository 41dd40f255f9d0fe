"""The same clients over bad lines: single bytes, odd sizes, delays, cuts, one side closed.

A line that only slows and chops changes no answer. One that is cut loses no event that was answered for, and when the
client sends again what was not answered, none comes twice.
"""

import copy
import http.client
import json
import os
import random
import shutil
import socket
import ssl
import subprocess
import sys
import unittest
import warnings

from certs import Certs
from daemon import Daemon, event, read_answers, wait_until
from test_wire import get, post
from wsclient import Closed, WebSocket

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../support"))
from faultproxy import FaultProxy, Line  # noqa: E402

LINES = {
    "single bytes": Line(sizes=(1, 1)),
    "odd sizes": Line(sizes=(1, 700), seed=1),
    "delays": Line(sizes=(1, 3000), delay=0.004, seed=2),
}


def ids_of(tap):
    out = tap.communicate(timeout=30)[0]
    return [json.loads(line)["event"]["event_id"] for line in out.splitlines()]


class LineCase(unittest.TestCase):
    FLAGS = ()
    TLS = None

    def setUp(self):
        # A connection that is cut while it is made is left to the collector.
        warnings.simplefilter("ignore", ResourceWarning)
        self.daemon = Daemon(*self.FLAGS, tls=self.TLS)
        self.addCleanup(self.end)

    def end(self):
        self.assertEqual(self.daemon.stop(), 0, self.daemon.log)
        self.assertNotIn("Sanitizer", self.daemon.log)
        self.assertNotIn("runtime error", self.daemon.log)

    def via(self, line):
        """The daemon as it is seen through a proxy."""
        proxy = FaultProxy(self.daemon.host, self.daemon.port, line)
        self.addCleanup(proxy.close)
        seen = copy.copy(self.daemon)
        seen.host, seen.port, seen.proxy = proxy.host, proxy.port, proxy
        return seen


class Rest(LineCase):
    def test_a_pipeline_gets_the_same_answers(self):
        body = json.dumps(event()).encode()
        data = post(body) + get() + get(b"/nothing") + post(b"{") + post(body, extra=b"X: " + b"y" * 3000 + b"\r\n")
        for name, line in LINES.items():
            seen = self.via(line)
            with self.subTest(name), seen.connect() as s:
                s.sendall(data)
                self.assertEqual([a[0] for a in read_answers(s, 5)], [200, 200, 404, 400, 200])
                if line.sizes == (1, 1):
                    self.assertGreater(seen.proxy.n_writes, len(data))

    def test_a_client_that_closes_its_side_gets_all_answers(self):
        for name, line in LINES.items():
            with self.subTest(name), self.via(line).connect() as s:
                s.sendall(get() * 5)
                s.shutdown(socket.SHUT_WR)
                self.assertEqual([a[0] for a in read_answers(s, 6)], [200] * 5)

    def test_a_large_answer_comes_whole(self):
        for name, line in list(LINES.items())[1:]:
            with self.subTest(name):
                status, headers, page = self.via(line).request("GET", "/metrics")
                self.assertEqual((status, len(page)), (200, int(headers["Content-Length"])))

    def test_cut_and_sent_again_is_published_once(self):
        rng = random.Random(5)
        names = [f"cut-{i}" for i in range(25)]
        tap = self.daemon.tap("collect", ">", len(names), 20)
        seen = self.via(Line())
        for name in names:
            body = json.dumps(event(event_id=name)).encode()
            status = None
            while status != 200:
                whole = len(post(body)) + 200
                seen.proxy.line = Line(
                    sizes=(1, 90),
                    cut_in=rng.choice([-1, rng.randrange(whole)]),
                    cut_out=rng.choice([-1, rng.randrange(300)]),
                )
                try:
                    status = seen.request("POST", "/api/v1/events", body)[0]
                except (OSError, http.client.HTTPException):
                    status = None
        self.assertGreater(seen.proxy.n_cuts, 5)
        self.assertEqual(ids_of(tap), names)
        self.assertEqual(self.daemon.published(), len(names))
        self.assertTrue(wait_until(lambda: self.daemon.metrics()["jimbot_http_connections"][""] == 1))

    @unittest.skipUnless(shutil.which("curl"), "curl is not installed")
    def test_http_2_is_the_same(self):
        if not self.daemon.speaks_http2():
            self.skipTest("this jimbotd is built without HTTP/2")
        body = json.dumps([event(text="x" * 200)] * 20)
        for name, line in LINES.items():
            url = f"http://127.0.0.1:{self.via(line).port}"
            for words in (["--json", body, url + "/api/v1/events/batch"], [url + "/metrics"]):
                with self.subTest(name, words=words[-1]):
                    done = subprocess.run(
                        ["curl", "-sS", "--http2-prior-knowledge", "-o", "/dev/null",
                         "-w", "%{http_version} %{http_code}", *words],
                        capture_output=True, text=True, timeout=30, check=False,
                    )  # fmt: skip
                    self.assertEqual(done.stdout, "2 200", done.stderr)


class Sockets(LineCase):
    def test_a_session_gets_the_same_responses(self):
        for name, line in LINES.items():
            with self.subTest(name):
                w = WebSocket(self.via(line))
                w.subscribe("game.>")
                events = [event(event_id=f"{name}-{i}") for i in range(30)]
                self.assertEqual(w.publish(*events), ["ACCEPTED"] * 30)
                got = [e["event"]["event_id"] for e in w.events(30)]
                self.assertEqual(got, [e["event_id"] for e in events])
                w.close()

    def test_a_session_that_is_cut_goes_on_behind_the_last_event_it_has(self):
        rng = random.Random(7)
        seen = self.via(Line())
        names = [f"event-{i}" for i in range(60)]
        got, last, tries = [], 0, 0
        first = WebSocket(self.daemon)
        first.publish(*[event(event_id=name) for name in names])
        first.close()
        while len(got) < len(names):
            tries += 1
            seen.proxy.line = Line(sizes=(1, 400), cut_out=rng.randrange(250, 6000), seed=tries)
            start = {"start": "START_POSITION_OLDEST"}
            if last:
                start = {"start": "START_POSITION_SEQUENCE", "start_sequence": str(last + 1)}
            try:
                w = WebSocket(seen)
                w.subscribe("game.>", max_events=3, **start)
                while len(got) < len(names):
                    for e in w.events(1):
                        got.append(e["event"]["event_id"])
                        last = int(e["sequence"])
            except (OSError, Closed, IndexError, AssertionError):
                pass
            self.assertLess(tries, 200)
        self.assertEqual(got, names)
        self.assertGreater(seen.proxy.n_cuts, 2)


class Tls(LineCase):
    @classmethod
    def setUpClass(cls):
        cls.certs = Certs()
        cls.addClassCleanup(cls.certs.close)
        cls.FLAGS = cls.certs.flags()
        cls.TLS = cls.certs.client()

    def test_a_pipeline_gets_the_same_answers(self):
        body = json.dumps(event()).encode()
        for name, line in LINES.items():
            with self.subTest(name), self.via(line).connect() as s:
                s.sendall(post(body) + get() + get(b"/nothing") + post(body))
                self.assertEqual([a[0] for a in read_answers(s, 4)], [200, 200, 404, 200])

    def test_a_session_gets_the_same_responses(self):
        for name, line in LINES.items():
            with self.subTest(name):
                w = WebSocket(self.via(line))
                self.assertEqual(w.publish(*[event()] * 20), ["ACCEPTED"] * 20)
                w.close()

    def test_a_cut_anywhere_is_survived(self):
        for at in (0, 1, 5, 100, 300, 500, 517, 600, 800, 1000, 1500):
            for way in ("cut_in", "cut_out"):
                seen = self.via(Line(sizes=(1, 50), **{way: at}))
                with self.subTest(at=at, way=way):
                    try:
                        with seen.connect() as s:
                            s.sendall(get())
                            read_answers(s, 1)
                    except (OSError, ssl.SSLError):
                        pass
        self.assertEqual(self.daemon.request("GET", "/health")[0], 200)
        self.assertTrue(wait_until(lambda: self.daemon.metrics()["jimbot_http_connections"][""] == 1))


if __name__ == "__main__":
    unittest.main()
