"""Clients that mean harm: requests that two servers would read differently, floods, and the end of descriptors."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
import unittest

from daemon import Daemon, DaemonCase, event, read_answers, wait_until
from test_access import AccessCase, bearer, make_token
from test_wire import HOST, get, post

BODY = json.dumps(event()).encode()
HEAD = b"POST /api/v1/events HTTP/1.1\r\n" + HOST
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
HIDDEN = b"GET /hidden HTTP/1.1\r\n" + HOST + b"\r\n"

# Each is a request whose end, or whose fields, another server might see elsewhere than we do.
SMUGGLED = {
    "length and chunks": HEAD + LENGTH + CHUNKED + b"\r\n" + CHUNKS,
    "chunks and length": HEAD + CHUNKED + LENGTH + b"\r\n" + CHUNKS,
    "two lengths": HEAD + LENGTH + b"Content-Length: 5\r\n\r\n" + BODY,
    "the same length twice": HEAD + LENGTH + LENGTH + b"\r\n" + BODY,
    "a list of lengths": HEAD + b"Content-Length: 5, 5\r\n\r\n12345",
    "a signed length": HEAD + b"Content-Length: +5\r\n\r\n12345",
    "a negative length": HEAD + b"Content-Length: -5\r\n\r\n12345",
    "a hexadecimal length": HEAD + b"Content-Length: 0x5\r\n\r\n12345",
    "an empty length": HEAD + b"Content-Length: \r\n\r\n12345",
    "a length of words": HEAD + b"Content-Length: 5 5\r\n\r\n12345",
    "a length that overflows": HEAD + b"Content-Length: 18446744073709551621\r\n\r\n12345",
    "another coding": HEAD + b"Transfer-Encoding: gzip\r\n\r\n" + CHUNKS,
    "chunked and then another": HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\n" + CHUNKS,
    "identity": HEAD + b"Transfer-Encoding: identity\r\n" + LENGTH + b"\r\n" + BODY,
    "a coding misspelt": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKS,
    "a coding with a tab before": HEAD + b"Transfer-Encoding:\x0bchunked\r\n\r\n" + CHUNKS,
    "space before the colon": HEAD + b"Content-Length : %d\r\n\r\n" % len(BODY) + BODY,
    "space in a name": HEAD + b"Content Length: 5\r\n\r\n12345",
    "a folded line": HEAD + b"X: a\r\n " + LENGTH + b"\r\n" + BODY,
    "a folded line by tab": HEAD + b"X: a\r\n\tb\r\n" + LENGTH + b"\r\n" + BODY,
    "a first line that is folded": b"GET /health HTTP/1.1\r\n X: y\r\n" + HOST + b"\r\n",
    "a CR alone in a value": HEAD + b"X: a\rContent-Length: 0\r\n" + LENGTH + b"\r\n" + BODY,
    "a CR alone after an empty value": HEAD + b"X:\rContent-Length: 0\r\n" + LENGTH + b"\r\n" + BODY,
    "a CR alone after blanks": HEAD + b"X: \rContent-Length: 0\r\n" + LENGTH + b"\r\n" + BODY,
    "a CR alone in the request line": b"GET /health\rx HTTP/1.1\r\n" + HOST + b"\r\n",
    "two CRs": HEAD + b"X: a\r\r\n" + LENGTH + b"\r\n" + BODY,
    "a NUL in a value": HEAD + b"X: a\0b\r\n" + LENGTH + b"\r\n" + BODY,
    "a NUL in a name": HEAD + b"X\0: a\r\n" + LENGTH + b"\r\n" + BODY,
    "a NUL in the target": b"GET /health\0 HTTP/1.1\r\n" + HOST + b"\r\n",
    "no name": HEAD + b": a\r\n" + LENGTH + b"\r\n" + BODY,
    "no colon": HEAD + b"Content-Length\r\n\r\n",
    "two hosts": b"GET /health HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    "no host": b"GET /health HTTP/1.1\r\n\r\n",
    "a chunk of no length": HEAD + CHUNKED + b"\r\n\r\n" + BODY,
    "a chunk of a signed length": HEAD + CHUNKED + b"\r\n-1\r\n" + BODY,
    "a chunk of a length with 0x": HEAD + CHUNKED + b"\r\n0x5\r\n12345\r\n0\r\n\r\n",
    "a chunk whose length overflows": HEAD + CHUNKED + b"\r\n10000000000000005\r\n12345\r\n0\r\n\r\n",
    "a chunk longer than its length": HEAD + CHUNKED + b"\r\n3\r\n12345\r\n0\r\n\r\n",
    "a CR alone after a chunk's length": HEAD + CHUNKED + b"\r\n5\r12345\r\n0\r\n\r\n",
    "a version of one digit": b"GET /health HTTP/1\r\n" + HOST + b"\r\n",
}


class Smuggling(DaemonCase):
    def test_what_two_servers_could_read_differently_is_refused(self):
        for name, data in SMUGGLED.items():
            with self.subTest(name), self.daemon.connect(timeout=5) as s:
                s.sendall(data + HIDDEN)
                answers = read_answers(s, 3)
                self.assertEqual(len(answers), 1, name)
                status, headers, _ = answers[0]
                self.assertIn(status, (400, 413, 505))
                self.assertEqual(headers["connection"], "close")
        self.assertEqual(self.daemon.published(), 0)

    def test_the_same_in_single_bytes(self):
        for name, data in SMUGGLED.items():
            with self.subTest(name), self.daemon.connect(timeout=5) as s:
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                try:
                    for byte in data + HIDDEN:
                        s.sendall(bytes([byte]))
                except OSError:
                    pass  # it has seen enough
                try:
                    answers = read_answers(s, 3)
                except ConnectionResetError:
                    continue
                self.assertLessEqual(len(answers), 1, name)
                self.assertTrue(all(a[0] in (400, 413, 505) for a in answers), name)
        self.assertEqual(self.daemon.published(), 0)

    def test_a_line_feed_alone_ends_no_line(self):
        for data in (
            (HEAD + LENGTH + b"\r\n").replace(b"\r\n", b"\n") + BODY,
            HEAD + b"X: a\nContent-Length: 0\r\n" + LENGTH + b"\r\n" + BODY,
            HEAD + LENGTH + b"\n" + BODY,
            HEAD + CHUNKED + b"\r\n" + CHUNKS.replace(b"\r\n", b"\n"),
        ):
            with self.subTest(data), self.daemon.connect(timeout=5) as s:
                s.sendall(data + HIDDEN)
                self.assertEqual([a[0] for a in read_answers(s, 3)], [400])
        self.assertEqual(self.daemon.published(), 0)

    def test_chunk_extensions_without_end_are_refused(self):
        with self.daemon.connect() as s:
            s.sendall(HEAD + CHUNKED + b"\r\n")
            try:
                for _ in range(200):
                    s.sendall(b"1;x=" + b"y" * 400 + b"\r\n{\r\n")
            except OSError:
                pass
            try:
                self.assertEqual(read_answers(s, 1)[0][0], 431)
            except ConnectionResetError:
                pass
        self.assertEqual(self.daemon.metrics()["jimbot_http_buffered_bytes"][""], 0)

    def test_trailers_without_end_are_refused(self):
        with self.daemon.connect() as s:
            s.sendall(HEAD + CHUNKED + b"\r\n1\r\n{\r\n0\r\n" + b"X: y\r\n" * 10000)
            try:
                self.assertEqual(read_answers(s, 1)[0][0], 431)
            except ConnectionResetError:
                pass

    def test_a_trailer_is_no_field_of_the_request(self):
        with self.daemon.connect() as s:
            s.sendall(HEAD + CHUNKED + b"\r\n" + CHUNKS[:-2] + b"Origin: https://evil.example\r\n\r\n" + get())
            self.assertEqual([a[0] for a in read_answers(s, 2)], [200, 200])


class Rate(AccessCase):
    def test_more_than_the_rate_is_429_with_a_time_to_come_again(self):
        self.start("--rate-limit", "1", "--rate-burst", "5")
        answers = [self.daemon.request("POST", "/api/v1/events", BODY) for _ in range(7)]
        self.assertEqual([a[0] for a in answers], [200] * 5 + [429] * 2)
        self.assertIn(int(answers[-1][1]["Retry-After"]), (1, 2))
        self.assertEqual(self.daemon.request("GET", "/health")[0], 200)
        time.sleep(int(answers[-1][1]["Retry-After"]))
        page = self.daemon.metrics()
        self.assertEqual(page["jimbot_access_refused_total"]['reason="rate"'], 2)
        self.assertEqual(sum(page["jimbot_events_published_total"].values()), 5)

    def test_events_of_a_batch_count_one_by_one(self):
        self.start("--rate-limit", "1", "--rate-burst", "10")
        batch = json.dumps([event()] * 30).encode()
        self.assertEqual(self.daemon.request("POST", "/api/v1/events/batch", batch)[0], 200)
        status, headers, _ = self.daemon.request("POST", "/api/v1/events", BODY)
        self.assertEqual(status, 429)
        self.assertIn(int(headers["Retry-After"]), range(20, 23))

    def test_each_token_has_a_limit_of_its_own(self):
        (one, line_one), (two, line_two) = make_token("one", "publish"), make_token("two", "publish")
        self.start("--rate-limit", "1", "--rate-burst", "2", "--tokens", self.write(line_one, line_two))
        got = [self.status("POST", "/api/v1/events", bearer(t), BODY) for t in (one, one, one, two, two, two)]
        self.assertEqual(got, [200, 200, 429] * 2)


class Connections(DaemonCase):
    FLAGS = ("--max-client-connections", "4")

    def test_a_client_has_no_more_than_its_share(self):
        held = [self.daemon.connect() for _ in range(4)]
        for s in held:
            s.sendall(get())
            self.assertEqual(read_answers(s, 1)[0][0], 200)
        with self.daemon.connect() as s:
            self.assertEqual(self.closed(s), b"")
        # Another address of loopback is another client.
        with socket.create_connection((self.daemon.host, self.daemon.port), 20, ("127.0.0.2", 0)) as s:
            s.sendall(get())
            self.assertEqual(read_answers(s, 1)[0][0], 200)
        for s in held:
            s.close()
        self.assertTrue(wait_until(self.is_served))
        refused = self.daemon.metrics()["jimbot_http_connections_refused_total"]
        self.assertGreaterEqual(refused['limit="client"'], 1)

    def closed(self, s):
        try:
            return s.recv(1)
        except ConnectionResetError:
            return b""

    def is_served(self):
        try:
            return self.daemon.request("GET", "/health")[0] == 200
        except OSError:
            return False


class Descriptors(unittest.TestCase):
    def test_their_end_is_survived_and_reported(self):
        # Less than that of the clients' process, which keeps its own.
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        try:
            daemon = Daemon()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        self.addCleanup(daemon.stop)
        held = []
        for _ in range(100):
            held.append(daemon.connect())
        self.assertIn("out of descriptors", daemon.process.stderr.readline())
        held[0].sendall(get())
        self.assertEqual(read_answers(held[0], 1)[0][0], 200)
        for s in held:
            s.close()

        def refused():
            try:
                return daemon.metrics()["jimbot_http_connections_refused_total"]['limit="files"']
            except OSError:
                return 0

        self.assertTrue(wait_until(refused))
        self.assertEqual(daemon.request("GET", "/health")[0], 200)
        self.assertEqual(daemon.stop(), 0)


CLIENT = """
import os, signal, socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.sendall(sys.stdin.buffer.read())
os.kill(os.getpid(), signal.SIGKILL)
"""


class Killed(DaemonCase):
    def test_a_client_killed_at_any_byte_leaves_nothing_behind(self):
        data = post(BODY, extra=b"X: y\r\n") + HEAD + CHUNKED + b"\r\n" + CHUNKS
        whole = len(post(BODY, extra=b"X: y\r\n"))
        cuts = sorted({0, 1, 20, whole - 1, whole, whole + 1, len(data) - 1, *range(0, len(data), 60)})
        for cut in cuts:
            done = subprocess.run(
                [sys.executable, "-S", "-c", CLIENT, str(self.daemon.port)], input=data[:cut], timeout=20, check=False
            )
            self.assertEqual(done.returncode, -signal.SIGKILL)
        self.assertTrue(wait_until(lambda: self.daemon.metrics()["jimbot_http_connections"][""] == 1))
        page = self.daemon.metrics()
        self.assertEqual(page["jimbot_http_buffered_bytes"][""], 0)
        self.assertEqual(self.daemon.published(), sum(cut >= whole for cut in cuts))
        self.assertLess(len(os.listdir(f"/proc/{self.daemon.process.pid}/fd")), 40)


if __name__ == "__main__":
    unittest.main()
