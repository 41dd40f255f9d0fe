"""Events as server-sent events: what a browser's EventSource would see."""

import json
import unittest
from urllib.parse import quote

from daemon import DaemonCase, event, wait_until


class Stream:
    """A client of GET /api/v1/stream that reads its lines."""

    def __init__(self, daemon, query, fields=None):
        self.sock = daemon.connect(timeout=15)
        lines = [f"GET /api/v1/stream?{query} HTTP/1.1", f"Host: {daemon.host}:{daemon.port}"]
        lines += [f"{name}: {value}" for name, value in (fields or {}).items()]
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.reader = self.sock.makefile("rb")
        self.status = int(self.reader.readline().split()[1])
        self.fields = {}
        while (line := self.reader.readline()) not in (b"\r\n", b""):
            name, value = line.decode().split(":", 1)
            self.fields[name.lower()] = value.strip()

    def block(self):
        """The lines up to the next empty one: {field: value}, comments under ""; None at the end."""
        found = {}
        while (line := self.reader.readline()) != b"\n":
            if not line:
                return None
            name, _, value = line.decode().rstrip("\n").partition(":")
            found[name] = found.get(name, "") + value.removeprefix(" ")
        return found

    def event(self):
        """The next block that is an event."""
        while (block := self.block()) is not None:
            if "data" in block:
                return block
        return None

    def close(self):
        self.reader.close()
        self.sock.close()


class SseCase(DaemonCase):
    def open(self, query, fields=None):
        stream = Stream(self.daemon, query, fields)
        self.addCleanup(stream.close)
        return stream

    def publish(self, *events):
        status, answer = self.daemon.post("/api/v1/events/batch", list(events))
        self.assertEqual(status, 200, answer)


class Events(SseCase):
    def test_an_event_has_its_sequence_its_type_and_its_json(self):
        stream = self.open("topic=game.%3E")
        self.assertEqual((stream.status, stream.fields["content-type"]), (200, "text/event-stream"))
        self.assertNotIn("content-length", stream.fields)
        sent = [event(old_value=1), event("SCORE_CHANGED", text="a\nb\u20ac")]
        self.publish(*sent)
        for i, want in enumerate(sent):
            got = stream.event()
            self.assertEqual((got["id"], got["event"]), (str(i + 1), want["type"]))
            self.assertEqual(json.loads(got["data"]), want)

    def test_several_topics_and_types(self):
        stream = self.open("topic=game.money.*&topic=system.%3e&types=MONEY_CHANGED,ERROR&topic=x")
        self.publish(event("HEARTBEAT"), event("SCORE_CHANGED"), event("ERROR"), event())
        self.assertEqual([stream.event()["event"] for _ in range(2)], ["ERROR", "MONEY_CHANGED"])

    def test_what_the_event_line_says_is_the_clients_choice(self):
        streams = {n: self.open(f"topic=%3E&event={n}") for n in ["topic", "none"]}
        self.publish(event())
        self.assertEqual(streams["topic"].event()["event"], "game.money.changed")
        self.assertNotIn("event", streams["none"].event())

    def test_the_dialect_is_the_clients_choice(self):
        stream = self.open("topic=%3E&dialect=protobuf")
        self.publish(event(old_value=1))
        self.assertEqual(json.loads(stream.event()["data"])["moneyChanged"], {"oldValue": 1.0})

    def test_a_query_that_means_nothing_is_refused(self):
        wrong = ["", "topic=", "topic=a..b", "topic=%zz", "topic=%3", "types=MONEY_CHANGED", "topic=a&types=NO",
                 "topic=a&policy=none", "topic=a&dialect=klingon", "topic=a&event=all", "topic=a&start=-1",
                 "topic=a&start=0", "topic=" + quote("\u00fc"), "&".join(["topic=a"] * 65)]
        for query in wrong:
            with self.subTest(query=query):
                status, _, body = self.daemon.request("GET", "/api/v1/stream?" + query)
                self.assertEqual(status, 400)
                self.assertEqual(json.loads(body)["status"], "error")

    def test_a_stop_ends_the_stream(self):
        stream = self.open("topic=%3E")
        self.publish(event())
        self.assertIsNotNone(stream.event())
        self.daemon.process.terminate()
        self.assertIsNone(stream.event())

    def test_a_subscription_ends_with_its_client(self):
        def n_subs():
            return json.loads(self.daemon.request("GET", "/api/v1/stats")[2])["bus"]["subscriptions"]

        before = n_subs()
        streams = [Stream(self.daemon, "topic=%3E") for _ in range(10)]
        self.assertEqual(n_subs(), before + 10)
        for stream in streams:
            stream.close()
        self.assertTrue(wait_until(lambda: n_subs() == before))


class Resume(SseCase):
    FLAGS = ("--bus-bytes", "65536")

    def test_a_browser_goes_on_behind_the_last_event_it_had(self):
        self.publish(*[event(n=i) for i in range(5)])
        stream = self.open("topic=%3E", {"Last-Event-ID": "3"})
        self.assertEqual([stream.event()["id"] for _ in range(2)], ["4", "5"])
        stream = self.open("topic=%3E&start=5")
        self.assertEqual(stream.event()["id"], "5")
        stream = self.open("topic=%3E&start=oldest", {"Last-Event-ID": "not ours"})
        self.assertEqual(stream.event()["id"], "1")

    def test_what_was_missed_is_told_before_the_next(self):
        for _ in range(40):
            self.publish(*[event(pad="p" * 400) for _ in range(10)])
        stream = self.open("topic=%3E", {"Last-Event-ID": "4"})
        missed, first = stream.event(), stream.event()
        self.assertEqual(missed["event"], "missed")
        self.assertNotIn("id", missed)
        self.assertEqual(int(missed["data"]), int(first["id"]) - 5)
        self.assertGreater(int(first["id"]), 5)

    def test_a_reader_that_sleeps_misses_and_is_told_how_many(self):
        stream = self.open("topic=%3E")
        n = 400 * 50
        for _ in range(400):
            self.publish(*[event(pad="q" * 300) for _ in range(50)])
        n_read = n_missed = last = 0
        while last < n:
            got = stream.event()
            if got["event"] == "missed":
                n_missed += int(got["data"])
            else:
                n_read, last = n_read + 1, int(got["id"])
            self.assertEqual(n_read + n_missed, last if got["event"] != "missed" else n_read + n_missed)
        self.assertGreater(n_missed, 0)


class Silence(SseCase):
    FLAGS = ("--idle-timeout", "0.3")

    def test_a_silent_stream_gets_a_comment_now_and_then(self):
        stream = self.open("topic=%3E")
        stream.block()
        self.assertEqual([stream.block() for _ in range(3)], [{"": ""}] * 3)


if __name__ == "__main__":
    unittest.main()
