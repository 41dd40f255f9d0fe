"""HTTP/2 by curl and by hand: the same answers as over HTTP/1.1, cuts, floods, limits, the end."""

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import unittest

from daemon import DaemonCase, event, wait_until

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS = 1, 4
ENHANCE_YOUR_CALM = 11


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    """A header field without compression and without indexing."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def headers(method, path, *fields):
    pairs = [(b":method", method), (b":path", path), (b":scheme", b"http"), (b":authority", b"localhost")]
    return b"".join(literal(*pair) for pair in [*pairs, *fields])


def get(stream, path=b"/health"):
    return frame(HEADERS, END_STREAM | END_HEADERS, stream, headers(b"GET", path))


def read_exactly(sock, n):
    data = b""
    while len(data) < n:
        piece = sock.recv(n - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def read_frame(sock):
    head = read_exactly(sock, 9)
    length = int.from_bytes(head[:3], "big")
    return head[3], head[4], int.from_bytes(head[5:9], "big") & 0x7FFFFFFF, read_exactly(sock, length)


def read_until(sock, check):
    """Frames up to and with the first for which check() is true."""
    frames = []
    while not frames or not check(frames[-1]):
        frames.append(read_frame(sock))
    return frames


def is_end(f):
    return f[0] in (DATA, HEADERS) and f[1] & END_STREAM


def goaway_code(f):
    return int.from_bytes(f[3][4:8], "big")


class ByHand(DaemonCase):
    FLAGS = ("--max-streams", "16", "--header-timeout", "1", "--body-timeout", "1", "--drain-timeout", "10")

    def open(self, data=b""):
        s = self.daemon.connect()
        self.addCleanup(s.close)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.sendall(PREFACE + frame(SETTINGS) + data)
        return s

    def test_a_request_cut_at_every_byte_is_answered(self):
        data = PREFACE + frame(SETTINGS) + get(1)
        for cut in range(1, len(data)):
            with self.daemon.connect() as s:
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                s.sendall(data[:cut])
                s.sendall(data[cut:])
                body = b"".join(f[3] for f in read_until(s, is_end) if f[0] == DATA)
                self.assertEqual(json.loads(body)["status"], "ok", cut)

    def test_what_only_begins_like_http2_is_http1(self):
        for text in (b"P", b"PRI * HTTP/1.1\r\nHost: x\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSMX"):
            with self.daemon.connect() as s:
                rest = b"OST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
                s.sendall(text + (rest if text == b"P" else b""))
                s.settimeout(10)
                self.assertIn(b"HTTP/1.1 404" if text == b"P" else b"HTTP/1.1 ", s.recv(65536))

    def test_streams_beyond_the_limit_are_refused_and_the_others_answered(self):
        post = headers(b"POST", b"/api/v1/events")
        s = self.open(b"".join(frame(HEADERS, END_HEADERS, 2 * i + 1, post) for i in range(17)))
        refused = read_until(s, lambda f: f[0] == RST_STREAM)[-1]
        self.assertEqual((refused[2], refused[3]), (33, struct.pack(">I", 7)))
        body = json.dumps(event()).encode()
        s.sendall(b"".join(frame(DATA, END_STREAM, 2 * i + 1, body) for i in range(16)))
        ended = set()
        while len(ended) < 16:
            ended.add(read_until(s, is_end)[-1][2])
        self.assertEqual(self.daemon.published(), 16)

    def test_streams_begun_and_reset_without_end_are_stopped(self):
        s = self.open()
        data = b"".join(get(i) + frame(RST_STREAM, 0, i, struct.pack(">I", 8)) for i in range(1, 4001, 2))
        try:
            s.sendall(data)
        except OSError:
            pass
        last = read_until(s, lambda f: f[0] == GOAWAY)[-1]
        self.assertEqual(goaway_code(last), ENHANCE_YOUR_CALM)

    def test_a_flood_of_pings_is_stopped(self):
        s = self.open()
        try:
            for _ in range(200):
                s.sendall(frame(PING, payload=b"12345678") * 4000)
        except OSError:
            return
        last = read_until(s, lambda f: f[0] == GOAWAY)[-1]
        self.assertEqual(goaway_code(last), ENHANCE_YOUR_CALM)

    def test_a_header_that_does_not_end_is_not_waited_for(self):
        s = self.open(frame(HEADERS, 0, 1, headers(b"GET", b"/health")))
        s.settimeout(10)
        read_until(s, lambda f: f[0] == GOAWAY)

    def test_a_body_that_does_not_come_is_answered_408(self):
        s = self.open(frame(HEADERS, END_HEADERS, 1, headers(b"POST", b"/api/v1/events")))
        frames = read_until(s, is_end)
        self.assertIn(b"in time", frames[-1][3])
        s.sendall(get(3))
        self.assertIn(b'"ok"', read_until(s, is_end)[-1][3])

    def test_a_body_that_stops_is_no_longer_kept(self):
        s = self.open(frame(HEADERS, END_HEADERS, 1, headers(b"POST", b"/api/v1/events")))
        s.sendall(frame(DATA, 0, 1, b"x" * 16000))
        read_until(s, is_end)
        self.assertEqual(self.daemon.metrics()["jimbot_http_buffered_bytes"][""], 0)

    def test_a_message_of_a_call_that_stops_is_not_waited_for(self):
        grpc = (b"content-type", b"application/grpc"), (b"te", b"trailers")
        path = b"/jimbot.v1.EventBus/"
        s = self.open(frame(HEADERS, END_HEADERS, 1, headers(b"POST", path + b"PublishMany", *grpc)))
        s.sendall(frame(DATA, 0, 1, b"\0\0\1\0\0half of it"))
        self.assertEqual(read_until(s, is_end)[-1][:3], (HEADERS, END_STREAM | END_HEADERS, 1))
        s.sendall(frame(HEADERS, END_HEADERS, 3, headers(b"POST", path + b"ListTopics", *grpc)))
        self.assertEqual(read_until(s, is_end)[-1][2], 3)
        figures = self.daemon.metrics()
        self.assertEqual(figures["jimbot_grpc_calls_total"]['code="DEADLINE_EXCEEDED"'], 2)
        self.assertEqual(figures["jimbot_http_buffered_bytes"][""], 0)

    def test_requests_in_flight_end_after_a_stop(self):
        s = self.open(frame(HEADERS, END_HEADERS, 1, headers(b"POST", b"/api/v1/events")))
        self.assertTrue(self.daemon.wait_for_connections(1))
        self.daemon.process.send_signal(signal.SIGTERM)
        read_until(s, lambda f: f[0] == GOAWAY)
        s.sendall(frame(DATA, END_STREAM, 1, json.dumps(event()).encode()))
        self.assertIn(b'"accepted":1', read_until(s, is_end)[-1][3])
        read_until(s, lambda f: f[0] == GOAWAY)
        self.assertEqual(s.recv(1), b"")
        self.assertEqual(self.daemon.process.wait(timeout=10), 0)

    def test_who_was_answered_and_sends_on_holds_up_no_stop(self):
        s = self.open(frame(HEADERS, END_HEADERS, 1, headers(b"POST", b"/api/v1/events")))
        read_until(s, is_end)  # it is 408
        self.daemon.process.send_signal(signal.SIGTERM)
        self.assertEqual(read_until(s, lambda f: f[0] == RST_STREAM)[-1][2:], (1, bytes(4)))
        self.assertEqual(self.daemon.process.wait(timeout=5), 0)

    def test_connections_cut_at_any_byte_leave_nothing(self):
        body = json.dumps(event()).encode()
        data = PREFACE + frame(SETTINGS) + frame(HEADERS, END_HEADERS, 1, headers(b"POST", b"/api/v1/events"))
        data += frame(DATA, 0, 1, body) + get(3)
        for cut in range(0, len(data), 3):
            with self.daemon.connect() as s:
                s.sendall(data[:cut])
        self.assertTrue(wait_until(lambda: self.daemon.metrics()["jimbot_http_connections"][""] == 1))
        self.assertEqual(self.daemon.metrics()["jimbot_http_buffered_bytes"][""], 0)


@unittest.skipUnless(shutil.which("curl"), "no curl")
class HalfClosed(DaemonCase):
    def test_who_closes_its_side_gets_every_answer_whole(self):
        windows = frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 24))
        windows += frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 30))
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.settimeout(20)
            s.connect((self.daemon.host, self.daemon.port))
            s.sendall(PREFACE + windows + b"".join(get(2 * i + 1, b"/metrics") for i in range(400)))
            s.shutdown(socket.SHUT_WR)
            for _ in range(400):
                read_until(s, is_end)


class Curl(DaemonCase):
    FLAGS = ("--max-body-bytes", "64K", "--max-header-bytes", "4K")

    def curl(self, path, *flags, stdin=b""):
        """(version, status, body)."""
        words = ["curl", "-sS", "--http2-prior-knowledge", "-w", "\n%{http_version} %{http_code}", *flags]
        words.append("http://%s:%d%s" % (self.daemon.host, self.daemon.port, path))
        done = subprocess.run(words, input=stdin, capture_output=True, timeout=30)
        body, _, end = done.stdout.rpartition(b"\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        version, status = end.split()
        return version, int(status), body

    def post(self, body, *flags):
        return self.curl("/api/v1/events", "--data-binary", "@-", *flags, stdin=body)

    def test_answers_are_those_of_http1(self):
        self.assertEqual(self.curl("/health")[:2], (b"2", 200))
        self.assertEqual(self.curl("/nothing")[1], 404)
        self.assertEqual(self.curl("/health", "-X", "DELETE")[1], 405)
        version, status, body = self.post(json.dumps(event()).encode())
        self.assertEqual((version, status, json.loads(body)["accepted"]), (b"2", 200, 1))
        self.assertEqual(self.post(b"{nonsense")[1], 400)
        self.assertEqual(self.daemon.published(), 1)

    def test_a_body_of_many_frames_arrives_whole(self):
        text = os.urandom(15000).hex()
        status, body = self.post(json.dumps(event(text=text)).encode())[1:]
        self.assertEqual((status, json.loads(body)["accepted"]), (200, 1))

    def test_what_is_too_large_is_refused(self):
        self.assertEqual(self.post(b" " * 70000)[1], 413)
        self.assertEqual(self.curl("/health", "-H", "x-big: " + "a" * 5000)[1], 431)
        self.assertEqual(self.curl("/" + "a" * 3000)[1], 414)
        self.assertEqual(self.daemon.metrics()["jimbot_http_buffered_bytes"][""], 0)
