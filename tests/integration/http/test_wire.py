"""HTTP itself: cuts, pipelines, chunks, limits, slow and rude clients."""

import json
import socket
import threading
import time
import unittest

from daemon import DaemonCase, event, read_answers, wait_until

HOST = b"Host: localhost\r\n"


def post(body, path=b"/api/v1/events", extra=b""):
    return b"POST %s HTTP/1.1\r\n%s%sContent-Length: %d\r\n\r\n%s" % (path, HOST, extra, len(body), body)


def get(path=b"/health", extra=b"", version=b"1.1"):
    return b"GET %s HTTP/%s\r\n%s%s\r\n" % (path, version, HOST, extra)


class Wire(DaemonCase):
    def ask(self, data, n=1):
        with self.daemon.connect() as s:
            s.sendall(data)
            return read_answers(s, n)

    def assert_closed(self, sock, seconds=10.0):
        sock.settimeout(seconds)
        try:
            while sock.recv(65536):
                pass
        except ConnectionResetError:
            pass

    def test_a_pipeline_cut_at_every_byte_gives_the_same_answers(self):
        body = json.dumps(event(event_id="p")).encode()
        data = post(body) + get() + post(body, extra=b"X: y\r\n") + get(b"/nothing")
        for cut in range(1, len(data)):
            with self.daemon.connect() as s:
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                s.sendall(data[:cut])
                time.sleep(0.0005)
                s.sendall(data[cut:])
                self.assertEqual([a[0] for a in read_answers(s, 4)], [200, 200, 200, 404], cut)
        self.assertEqual(self.daemon.published(), 1)

    def test_answers_to_one_read_come_in_one_segment(self):
        with self.daemon.connect() as s:
            s.sendall(get() * 20)
            time.sleep(0.3)
            self.assertEqual(s.recv(1 << 20).count(b"HTTP/1.1 200 OK"), 20)

    def test_byte_by_byte(self):
        body = json.dumps(event()).encode()
        with self.daemon.connect() as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in post(body):
                s.sendall(bytes([byte]))
            self.assertEqual(read_answers(s, 1)[0][0], 200)

    def test_a_chunked_body_is_taken(self):
        body = json.dumps(event()).encode()
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(body[i : i + 7]), body[i : i + 7]) for i in range(0, len(body), 7))
        head = b"POST /api/v1/events HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
        answers = self.ask(head + chunks + b"0\r\nTrailer: x\r\n\r\n" + get(), 2)
        self.assertEqual([a[0] for a in answers], [200, 200])
        self.assertEqual(self.daemon.published(), 1)

    def test_a_chunked_body_over_the_limit_is_413(self):
        head = b"POST /api/v1/events HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
        chunk = b"%x\r\n%s\r\n" % (1 << 20, b"x" * (1 << 20))
        with self.daemon.connect() as s:
            try:
                s.sendall(head + chunk * 9)
            except OSError:
                pass  # it may close before it has read all
            self.assertEqual(read_answers(s, 1)[0][0], 413)

    def test_a_length_over_the_limit_is_413_before_the_body_is_sent(self):
        head = b"POST /api/v1/events HTTP/1.1\r\n" + HOST + b"Content-Length: 8388609\r\n\r\n"
        (status, headers, body), = self.ask(head)
        self.assertEqual((status, headers["connection"]), (413, "close"))
        self.assertEqual(json.loads(body)["status"], "error")

    def test_expect_continue_is_told_to_go_on(self):
        body = json.dumps(event()).encode()
        data = post(body, extra=b"Expect: 100-continue\r\n")
        with self.daemon.connect() as s:
            s.sendall(data[: -len(body)])
            self.assertEqual(read_answers(s, 1)[0][0], 100)
            s.sendall(body)
            self.assertEqual(read_answers(s, 1)[0][0], 200)

    def test_expect_continue_of_a_body_too_large_is_413_at_once(self):
        head = b"POST /api/v1/events HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n"
        self.assertEqual(self.ask(head)[0][0], 413)

    def test_another_expectation_is_417(self):
        self.assertEqual(self.ask(post(b"{}", extra=b"Expect: tea\r\n"))[0][0], 417)

    def test_a_carriage_return_alone_is_400_and_closes(self):
        for bad in (b"A: b\rContent-Length: 9\r\n", b"A: b\r\r\n"):
            with self.daemon.connect() as s:
                s.sendall(get(extra=bad))
                (status, headers, _), = read_answers(s, 1)
                self.assertEqual((status, headers["connection"]), (400, "close"))

    def test_nothing_after_a_refused_request_is_answered(self):
        with self.daemon.connect() as s:
            s.sendall(b"NONSENSE\r\n\r\n" + get())
            answers = read_answers(s, 2)
            self.assertEqual([a[0] for a in answers], [400])

    def test_a_header_too_large_is_431(self):
        self.assertEqual(self.ask(get(extra=b"X: " + b"y" * 20000 + b"\r\n"))[0][0], 431)

    def test_a_target_too_long_is_414(self):
        self.assertEqual(self.ask(get(b"/" + b"x" * 9000))[0][0], 414)

    def test_a_query_is_ignored(self):
        self.assertEqual(self.ask(get(b"/health?probe=" + b"1" * 500))[0][0], 200)

    def test_absolute_targets_are_understood(self):
        self.assertEqual(self.ask(get(b"http://localhost/health"))[0][0], 200)

    def test_http_1_0_closes_unless_asked(self):
        with self.daemon.connect() as s:
            s.sendall(get(version=b"1.0"))
            (status, headers, _), = read_answers(s, 1)
            self.assertEqual((status, headers["connection"]), (200, "close"))
            self.assert_closed(s)
        answers = self.ask(get(version=b"1.0", extra=b"Connection: keep-alive\r\n") * 2, 2)
        self.assertEqual([(a[0], a[1]["connection"]) for a in answers], [(200, "keep-alive")] * 2)

    def test_connection_close_is_obeyed(self):
        with self.daemon.connect() as s:
            s.sendall(get(extra=b"Connection: close\r\n") + get())
            self.assertEqual(len(read_answers(s, 2)), 1)

    def test_a_request_of_another_version_is_505(self):
        self.assertEqual(self.ask(get(version=b"2.0"))[0][0], 505)

    def test_head_and_options(self):
        status, headers, body = self.daemon.request("HEAD", "/metrics")
        self.assertEqual((status, body), (200, b""))
        self.assertGreater(int(headers["Content-Length"]), 100)
        status, headers, body = self.daemon.request("OPTIONS", "/api/v1/events")
        self.assertEqual((status, headers["Allow"], body), (204, "POST, OPTIONS", b""))

    def test_unknown_path_and_wrong_method(self):
        self.assertEqual(self.daemon.request("GET", "/")[0], 404)
        status, headers, _ = self.daemon.request("DELETE", "/api/v1/events")
        self.assertEqual((status, headers["Allow"]), (405, "POST, OPTIONS"))
        self.assertEqual(self.ask(b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n")[0][0], 405)

    def test_a_client_that_shuts_its_side_still_gets_its_answers(self):
        with self.daemon.connect() as s:
            s.sendall(get() * 3)
            s.shutdown(socket.SHUT_WR)
            self.assertEqual(len(read_answers(s, 4)), 3)

    def test_a_client_that_does_not_read_is_no_burden(self):
        one = get(b"/metrics", extra=b"X: " + b"y" * 1000 + b"\r\n")
        with self.daemon.connect() as s:
            s.settimeout(1)
            sent = 0
            try:
                while sent < 1 << 25:
                    sent += s.send((one * 21)[sent % len(one) :][: 20 * len(one)])
            except OSError:
                pass
            self.assertLess(sent, 1 << 25)
            self.assertEqual(self.daemon.request("GET", "/health")[0], 200)
            n = sent // len(one)
            answers = read_answers(s, n)
            self.assertEqual({a[0] for a in answers}, {200})
            self.assertEqual(len(answers), n)

    def test_broken_connections_are_forgotten(self):
        for _ in range(50):
            s = self.daemon.connect()
            s.sendall(post(b"x" * 100)[:-50])
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            s.close()
        self.assertTrue(wait_until(lambda: self.daemon.metrics()["jimbot_http_connections"][""] <= 1))
        self.assertEqual(self.daemon.metrics()["jimbot_http_buffered_bytes"][""], 0)


class Slow(DaemonCase):
    FLAGS = (
        "--header-timeout", "0.3", "--body-timeout", "0.3", "--idle-timeout", "1", "--write-timeout", "0.5",
        "--max-connections", "3",
    )

    def trickle(self, data):
        """Send a byte at a time until the server has enough; returns the status and how long it took."""
        start = time.monotonic()
        with self.daemon.connect() as s:
            for byte in data:
                try:
                    s.sendall(bytes([byte]))
                except OSError:
                    break
                if time.monotonic() - start > 5:
                    break
                time.sleep(0.02)
                s.setblocking(False)
                try:
                    if s.recv(1, socket.MSG_PEEK):
                        break
                except BlockingIOError:
                    pass
                s.setblocking(True)
            return read_answers(s, 1)[0][0], time.monotonic() - start

    def test_a_trickled_header_is_408(self):
        status, seconds = self.trickle(get(extra=b"X: " + b"y" * 400 + b"\r\n"))
        self.assertEqual(status, 408)
        self.assertLess(seconds, 3)

    def test_a_pipeline_that_takes_longer_than_a_header_may_is_answered_whole(self):
        n = 8000
        with self.daemon.connect() as s:
            sender = threading.Thread(target=s.sendall, args=(get(b"/metrics") * n,))
            sender.start()
            tail, answers = b"", 0
            while answers < n and (piece := s.recv(1 << 20)):
                answers += (tail + piece).count(b"HTTP/1.1 200 OK") - tail.count(b"HTTP/1.1 200 OK")
                tail = piece[-14:]
            sender.join(10)
        self.assertEqual(answers, n)

    def test_a_silent_body_is_408(self):
        with self.daemon.connect() as s:
            s.sendall(post(b"x" * 100)[:-50])
            self.assertEqual(read_answers(s, 1)[0][0], 408)

    def test_a_trickled_body_ends_too(self):
        status, seconds = self.trickle(post(b"x" * 1000))
        self.assertEqual(status, 408)
        self.assertLess(seconds, 5)

    def test_an_idle_connection_is_closed_without_a_word(self):
        with self.daemon.connect() as s:
            s.settimeout(5)
            self.assertEqual(s.recv(1), b"")

    def test_a_used_connection_idles_as_long(self):
        with self.daemon.connect() as s:
            for _ in range(4):
                s.sendall(get())
                self.assertEqual(read_answers(s, 1)[0][0], 200)
                time.sleep(0.4)

    def test_connections_over_the_limit_are_refused_and_counted(self):
        held = [self.daemon.connect() for _ in range(3)]
        with self.daemon.connect() as s:
            s.settimeout(5)
            try:
                self.assertEqual(s.recv(1), b"")
            except ConnectionResetError:
                pass
        for s in held:
            s.close()
        time.sleep(0.2)
        self.assertGreaterEqual(self.daemon.metrics()["jimbot_http_connections_refused_total"]['limit="all"'], 1)


if __name__ == "__main__":
    unittest.main()
