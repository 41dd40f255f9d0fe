"""jimbotctl resources --url: a coordinator that nobody else can open, and servers that are none."""

import itertools
import json
import os
import socket
import subprocess
import tempfile
import threading
import unittest

from daemon_case import COORDINATORD, JIMBOTCTL, CoordinatorCase

SECOND = 1_000_000_000
SUMS = {"is_serving": True, "uptime_ns": "1", "n_leases": 1, "n_waiting": 0, "version": "1", "max_leases": 9}
RAM = {"name": "ram", "kind": "RESOURCE_KIND_MEMORY", "capacity": "1000", "allocated": "10", "n_leases": 1}
ALLOCATED = [{"resource": "ram", "amount": 10}]
STATUS = {"resources": [RAM], "components": [{"name": "a", "weight": 1, "allocated": ALLOCATED}]}
LEASE = {"lease_id": "0.1", "token": "1", "component": "a", "amounts": [{"resource": "ram", "amount": "10"}]}


def look(url, *words, env=None):
    done = subprocess.run([JIMBOTCTL, "resources", "--url", url, "-n", "1", *words], text=True, check=False,
                          stdin=subprocess.DEVNULL, capture_output=True, env={**os.environ, **(env or {})}, timeout=60)
    return done.returncode, done.stdout + done.stderr


class Real(CoordinatorCase):
    def url(self):
        return f"http://{self.daemon.host}:{self.daemon.port}"

    def test_one_without_a_name_is_seen(self):
        self.lease(ram=400, gpu=10, lease_class="high")
        self.lease(component="game", ram=100, hold_ns=3600 * SECOND)
        self.request(ram=900)
        code, said = look(self.url())
        self.assertEqual(code, 0, said)
        for words in ("2 of 1024 leases", "ram 400 B, gpu 10", "trainer         3", "high", "59m", "gpu_time"):
            self.assertIn(words, said)
        code, said = look(self.url() + "/", "--json")
        found = json.loads(said)
        self.assertEqual([(r["name"], r["kind"], r["allocated"], r["headroom"], r["n_denied"])
                          for r in found["resources"]], [("ram", "memory", 500, 0, 0), ("gpu", "gpu_time", 10, 10, 0)])
        self.assertEqual([(c["name"], c["n_leases"]) for c in found["components"]], [("trainer", 1), ("game", 1)])

    def test_all_pages_are_read(self):
        for _ in range(230):
            self.lease(ram=1)
        code, said = look(self.url())
        self.assertEqual((code, said.count("ram 1 B")), (0, 230), said)

    def test_an_empty_token_is_none(self):
        code, said = look(self.url(), env={"JIMBOT_TOKEN": ""})
        self.assertEqual(code, 0, said)

    def test_wrong_words_are_refused(self):
        for words, hint in (([self.url(), "name"], "name"), (["ftp://x"], "http://"), (["http://"], "HOST"),
                            (["http://" + "x" * 5000], "HOST"), ([self.url(), "--token", "a b"], "token")):
            code, said = look(*words)
            self.assertEqual(code, 64, said)
            self.assertIn(hint, said)
        done = subprocess.run([JIMBOTCTL, "resources", "--token", "x"], text=True, check=False, capture_output=True)
        self.assertEqual((done.returncode, "--url" in done.stderr), (64, True), done.stderr)


class Guarded(CoordinatorCase):
    def setUp(self):
        made = subprocess.run([COORDINATORD, "--make-token", "me"], text=True, check=True, capture_output=True)
        self.token, line = made.stdout.splitlines()
        f = tempfile.NamedTemporaryFile("w", prefix="jimbot-tokens-")
        self.addCleanup(f.close)
        f.write(line + "\n")
        f.flush()
        self.HOST = "tokens = " + f.name
        super().setUp()
        self.url = f"http://{self.daemon.host}:{self.daemon.port}"

    def test_the_token_is_asked_for_and_never_shown(self):
        wrong = self.token[:-1] + ("a" if self.token[-1] != "a" else "b")
        for words in ((), ("--token", wrong)):
            code, said = look(self.url, *words)
            self.assertEqual((code, "token" in said, self.url in said), (1, True, True), said)
            self.assertNotIn(wrong, said)
        self.assertEqual(look(self.url, "--token", self.token)[0], 0)
        self.assertEqual(look(self.url, env={"JIMBOT_TOKEN": self.token})[0], 0)


class Fake(unittest.TestCase):
    """A server that answers each path with what a test says: bytes, or JSON of a value or of what a call returns."""

    def serve(self, **answers):
        bodies = {"coordinator": SUMS, "resources": STATUS, "leases": {"leases": [LEASE]}, **answers}
        server = socket.create_server(("127.0.0.1", 0))

        def work():
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                with peer:
                    line = peer.recv(65536).decode().split("\r\n")[0]
                    body = bodies[line.split()[1].split("?")[0].rsplit("/", 1)[1]]
                    body = body() if callable(body) else body
                    if not isinstance(body, bytes):
                        text = json.dumps(body).encode()
                        body = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)
                    try:
                        peer.sendall(body)
                    except OSError:
                        pass

        thread = threading.Thread(target=work)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.close)
        self.addCleanup(server.shutdown, socket.SHUT_RDWR)
        return "http://127.0.0.1:%d" % server.getsockname()[1]

    def refused(self, hint, code=1, **answers):
        url = self.serve(**answers)
        got, said = look(url)
        self.assertEqual(got, code, said)
        self.assertIn(url, said)
        self.assertIn(hint, said)
        self.assertNotIn("\x1b", said)

    def test_what_it_says_is_believed_as_far_as_it_can_be_shown(self):
        code, said = look(self.serve())
        self.assertEqual(code, 0, said)
        self.assertIn("1 of 9 leases", said)
        odd = {**LEASE, "component": "who", "lease_class": "LEASE_CLASS_BEST", "left_ns": "5",
               "amounts": [{"resource": "what", "amount": 1}]}
        code, said = look(self.serve(leases={"leases": [odd]}))
        self.assertEqual((code, "\n?" in said), (0, True), said)

    def test_no_server_and_one_that_is_silent(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            url = "http://127.0.0.1:%d" % server.getsockname()[1]
            code, said = look(url, "--timeout", "0.2")
            self.assertEqual((code, "in time" in said, url in said), (1, True, True), said)
        code, said = look(url)
        self.assertEqual((code, "refused" in said, url in said), (2, True, True), said)
        self.assertEqual(look("http://no-such-host.invalid")[0], 2)
        self.assertEqual(look(url.replace("http", "https"), "--ca", "/nonexistent")[0], 1)

    def test_one_that_is_no_coordinator(self):
        gone = b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot found"
        self.refused("no coordinator", 2, coordinator=gone)
        self.refused("no coordinator", 2, coordinator={"status": "ok"})
        self.refused("no coordinator", 2, coordinator=[1])
        self.refused("not HTTP", coordinator=b"SSH-2.0-OpenSSH_9.2\r\n")
        self.refused("closed", coordinator=b"")

    def test_cut_and_spoilt_answers(self):
        self.refused("closed", resources=b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"resou')
        self.refused("no JSON: byte", resources=b'HTTP/1.1 200 OK\r\n\r\n{"resources":[{"na')
        self.refused("1 MiB", resources=b"HTTP/1.1 200 OK\r\n\r\n" + b" " * (2 << 20))
        self.refused("no JSON", resources=b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 100000)
        self.refused("503: busy\\x1b", coordinator=b'HTTP/1.1 503 No\r\n\r\n{"error":"busy\\u001b[2J"}')

    def test_fields_that_cannot_be(self):
        for hint, change in (("resources[1].capacity", {"capacity": -1}),
                             ("resources[1].capacity", {"capacity": "1e3"}),
                             ("resources[1].capacity", {"capacity": str(1 << 64)}), ("resources[1].name", {"name": 5}),
                             ("resources[1].name", {"name": "x" * 32}), ("resources[1].headroom", {"headroom": 1001}),
                             ("resources[1].n_leases", {"n_leases": 1 << 40})):
            self.refused(hint, resources={"resources": [RAM, {**RAM, **change}]})
        component = {"name": "a", "memory": {"used_bytes": -1}}
        self.refused("components[0].used_bytes", resources={"components": [component]})
        self.refused("resources[0]", resources={"resources": [5]})
        self.refused("resources is no list", resources={"resources": {}})
        self.refused("longer", resources={"resources": [RAM] * 65})
        self.refused("leases[0].amounts", leases={"leases": [{**LEASE, "amounts": LEASE["amounts"] * 9}]})
        self.refused("leases[0].held_ns", leases={"leases": [{**LEASE, "held_ns": str((1 << 64) - 1)}]})
        self.refused("no end", leases={"leases": [LEASE], "next_page_token": "7"})
        self.refused("next_page_token", leases={"leases": [LEASE], "next_page_token": "../x"})

    def test_pages_that_bring_nothing_end(self):
        pages = itertools.count(1)
        self.refused("no end", leases=lambda: {"leases": [], "next_page_token": str(next(pages))})

    def test_names_cannot_steer_the_terminal(self):
        code, said = look(self.serve(resources={"resources": [{**RAM, "name": "a\x1b[2J\u202e"}]}))
        self.assertEqual((code, "\x1b" in said, "\\x1b[2J" in said), (0, False, True), said)


if __name__ == "__main__":
    unittest.main()
