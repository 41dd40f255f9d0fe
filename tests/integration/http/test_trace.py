"""A W3C trace context goes through: header in, event out."""

import json
import unittest

from daemon import DaemonCase, event

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER = "00-11111111111111111111111111111111-2222222222222222-00"


class Trace(DaemonCase):
    def post(self, body, trace):
        headers = {"Content-Type": "application/json", "traceparent": trace}
        status, _, _ = self.daemon.request("POST", "/api/v1/events", json.dumps(body).encode(), headers)
        self.assertEqual(status, 200)

    def test_the_header_becomes_part_of_each_event(self):
        tap = self.daemon.tap("collect", ">", 2, 10)
        self.post([event(n=1), event(n=2)], TRACE)
        got = [json.loads(line)["event"] for line in tap.communicate(timeout=20)[0].splitlines()]
        self.assertEqual([e["traceparent"] for e in got], [TRACE, TRACE])
        self.assertEqual([e["payload"] for e in got], [{"n": 1}, {"n": 2}])

    def test_what_the_event_says_itself_counts(self):
        tap = self.daemon.tap("collect", ">", 1, 10)
        self.post({**event(), "traceparent": OTHER}, TRACE)
        self.assertEqual(json.loads(tap.communicate(timeout=20)[0])["event"]["traceparent"], OTHER)

    def test_a_request_without_it_is_not_in_the_span_of_the_one_before(self):
        tap = self.daemon.tap("collect", ">", 2, 10)
        self.post(event(), TRACE)
        self.assertEqual(self.daemon.post("/api/v1/events", event())[0], 200)
        got = [json.loads(line)["event"] for line in tap.communicate(timeout=20)[0].splitlines()]
        self.assertEqual(["traceparent" in e for e in got], [True, False])

    def test_what_is_no_trace_context_is_ignored(self):
        wrong = ("", "00", TRACE + "-", TRACE.upper(), "ff" + TRACE[2:], TRACE.replace("-", "_"),
                 "00-" + "0" * 32 + TRACE[35:], TRACE[:36] + "0" * 16 + TRACE[52:])
        tap = self.daemon.tap("collect", ">", len(wrong), 10)
        for trace in wrong:
            self.post(event(), trace)
        for line in tap.communicate(timeout=20)[0].splitlines():
            self.assertNotIn("traceparent", json.loads(line)["event"])


if __name__ == "__main__":
    unittest.main()
