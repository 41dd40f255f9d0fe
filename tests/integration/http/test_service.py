"""Paths of a program's own: answered at once, later, or never because the client has gone."""

import http.client
import json
import os
import threading
import unittest

from daemon import DaemonCase, wait_until


class ServiceCase(DaemonCase):
    def get(self, path, **kwargs):
        status, headers, body = self.daemon.request("GET", path, **kwargs)
        return status, headers, body

    def state(self):
        return json.loads(self.get("/api/v1/state")[2])

    def wait_open(self, n):
        self.assertTrue(wait_until(lambda: self.state()["open"] == n), self.state())

    def send(self, *lines, body=b""):
        """A request on a socket of its own, whose answer is not awaited."""
        s = self.daemon.connect()
        self.addCleanup(s.close)
        s.sendall("\r\n".join([*lines, "Host: localhost", "", ""]).encode() + body)
        return s


class Paths(ServiceCase):
    def test_a_body_comes_back_at_once(self):
        self.assertEqual(self.daemon.post("/api/v1/echo", {"a": [1]}), (200, {"a": [1]}))

    def test_methods_are_known_and_named(self):
        status, headers, _ = self.daemon.request("DELETE", "/api/v1/park")
        self.assertEqual((status, headers["Allow"]), (405, "GET, HEAD, OPTIONS, POST"))
        status, headers, body = self.daemon.request("HEAD", "/api/v1/who")
        self.assertEqual((status, headers["Content-Length"], body), (200, "19", b""))
        self.assertEqual(self.daemon.request("OPTIONS", "/api/v1/echo")[0], 204)

    def test_the_paths_of_the_bus_are_none_without_one(self):
        for method, path in (("POST", "/api/v1/events"), ("GET", "/api/v1/topics"), ("GET", "/api/v1/ws")):
            self.assertEqual(self.daemon.request(method, path, b"{}")[0], 404, path)
        for path in ("/health", "/ready", "/metrics"):
            self.assertEqual(self.get(path)[0], 200, path)

    def test_each_code_is_a_status_and_the_query_is_decoded(self):
        for code, status in ((3, 400), (4, 504), (5, 404), (7, 403), (8, 429), (11, 422), (13, 500), (14, 503),
                             (0, 500), (99, 500)):
            answer = self.get(f"/api/v1/fail?code={code}&text=a%20b+c")
            self.assertEqual(answer[0], status, code)
            self.assertEqual(json.loads(answer[2]), {"status": "error", "error": "a b c"})
        self.assertEqual(json.loads(self.get("/api/v1/fail?text=%4")[2])["error"], "malformed")
        self.assertEqual(self.get("/api/v1/fail?code=8")[1]["Retry-After"], "1")

    def test_a_body_larger_than_allowed_is_refused(self):
        status, answer = self.daemon.post("/api/v1/echo", b"x" * (9 << 20))
        self.assertEqual(status, 413, answer)

    def test_readiness_and_metrics_are_the_programs_too(self):
        self.daemon.post("/api/v1/ill", {})
        status, _, body = self.get("/ready")
        self.assertEqual((status, json.loads(body)["error"]), (503, "it is ill"))
        self.daemon.post("/api/v1/ill", {})
        self.assertEqual(self.get("/ready")[0], 200)
        metrics = self.daemon.metrics()
        self.assertEqual(metrics["drive_closed_total"][""], 0)
        self.assertEqual(metrics["jimbot_http_handler_seconds_count"]['method="POST",path="/api/v1/ill"'], 2)
        self.assertNotIn("jimbot_bus_events_published_total", metrics)


class Later(ServiceCase):
    def test_a_tick_answers_and_the_connection_goes_on(self):
        c = http.client.HTTPConnection(self.daemon.host, self.daemon.port, timeout=20)
        self.addCleanup(c.close)
        for _ in range(2):
            c.request("GET", "/api/v1/late")
            r = c.getresponse()
            self.assertEqual((r.status, json.loads(r.read())), (200, {"late": True}))
            self.assertIsNone(r.getheader("Connection"))
            sock = c.sock
        self.assertIs(sock, c.sock)

    def test_another_request_answers_those_that_wait(self):
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(json.loads(self.get("/api/v1/park")[2])))
                   for _ in range(20)]
        for t in threads:
            t.start()
        self.wait_open(20)
        self.assertEqual(self.daemon.post("/api/v1/free", {}), (200, {"n": 20}))
        for t in threads:
            t.join()
        self.assertEqual(sorted(a["freed"] for a in answers), list(range(20)))

    def test_who_waits_and_goes_is_told_of(self):
        waiting = [self.send("GET /api/v1/park HTTP/1.1") for _ in range(5)]
        self.wait_open(5)
        for s in waiting[:3]:
            s.close()
        self.wait_open(2)
        self.assertEqual(self.state()["closed"], 3)
        self.assertEqual(self.daemon.post("/api/v1/free", {})[1], {"n": 2})
        for s in waiting[3:]:
            self.assertIn(b"freed", s.recv(4096))

    def test_a_request_sent_meanwhile_is_not_answered_and_the_client_sees_it(self):
        s = self.send("GET /api/v1/park HTTP/1.1")
        self.wait_open(1)
        s.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.get("/health")
        self.daemon.post("/api/v1/free", {})
        answer = b""
        while chunk := s.recv(4096):
            answer += chunk
        self.assertEqual(answer.count(b"HTTP/1.1"), 1)
        self.assertIn(b"Connection: close\r\n", answer)

    def test_head_and_http_1_0_and_the_page_are_remembered(self):
        s = self.send("HEAD /api/v1/park HTTP/1.1", "Origin: http://localhost")
        t = self.send("GET /api/v1/park HTTP/1.0")
        self.wait_open(2)
        self.daemon.post("/api/v1/free", {})
        answer = s.recv(4096)
        self.assertTrue(answer.endswith(b"\r\n\r\n"), answer)
        t.settimeout(20)
        answer = b""
        while chunk := t.recv(4096):
            answer += chunk
        self.assertIn(b"Connection: close", answer)

    def test_a_stop_answers_those_that_wait(self):
        s = self.send("GET /api/v1/park HTTP/1.1")
        self.wait_open(1)
        self.daemon.process.terminate()
        answer = b""
        while chunk := s.recv(4096):
            answer += chunk
        self.assertIn(b"503", answer.splitlines()[0])
        self.assertIn(b"the host is stopping", answer)
        self.end()
        self.assertIn("closed 1, open 0", self.daemon.log)

    def test_a_stop_is_told_to_what_would_have_answered(self):
        s = self.send("GET /api/v1/late HTTP/1.1")
        self.wait_open(1)
        self.daemon.process.terminate()  # the answer was to be given half a second later
        self.assertIn(b"503", s.recv(4096).splitlines()[0])
        self.end()
        self.assertIn("closed 1, open 0", self.daemon.log)

    def test_waiting_outlives_the_idle_timeout(self):
        self.end()
        type(self).FLAGS = ("--idle-timeout", "0.2")
        self.addCleanup(setattr, type(self), "FLAGS", ())
        self.setUp()
        self.assertEqual(json.loads(self.get("/api/v1/late")[2]), {"late": True})


class Guarded(ServiceCase):
    def setUp(self):
        import hashlib
        import tempfile

        lines = ["%s %s %s\n" % (hashlib.sha256(t.encode()).hexdigest(), scopes, t)
                 for t, scopes in (("holder", "resource"), ("reader", "subscribe"))]
        fd, path = tempfile.mkstemp()
        self.addCleanup(os.unlink, path)
        with open(fd, "w", encoding="ascii") as f:
            f.writelines(lines)
        type(self).FLAGS = ("--tokens", path)
        super().setUp()

    def who(self, token):
        headers = {"Authorization": "Bearer " + token} if token else {}
        status, _, body = self.get("/api/v1/who", headers=headers)
        return status, json.loads(body)

    def test_a_path_wants_its_scope_and_knows_who_asks(self):
        self.assertEqual(self.who("holder"), (200, {"who": "holder", "grpc": 0}))
        self.assertEqual(self.who("reader")[0], 403)
        self.assertEqual(self.who(None)[0], 401)
        self.assertEqual(self.get("/api/v1/fail")[0], 500)


if __name__ == "__main__":
    unittest.main()
