"""Lists of what is on the bus, events in protobuf, and bodies that come compressed."""

import gzip
import json
import shutil
import subprocess
import unittest
import zlib
from urllib.parse import quote

from daemon import DaemonCase, event
from test_sse import Stream
from test_ws_wire import field
from wsclient import WebSocket

PROTOBUF = {"Content-Type": "application/x-protobuf"}


class Lists(DaemonCase):
    def get(self, path):
        status, _, body = self.daemon.request("GET", path)
        return status, json.loads(body)

    def test_topics_come_in_pages(self):
        for i in range(250):
            status, _, _ = self.daemon.request("POST", f"/api/v1/publish?topic=t.n{i}", field(1, 2), PROTOBUF)
            self.assertEqual(status, 200)
        names, after = [], 0
        while after is not None:
            status, page = self.get(f"/api/v1/topics?after={after}")
            self.assertEqual(status, 200)
            self.assertLessEqual(len(page["topics"]), 100)
            names += [t["name"] for t in page["topics"]]
            after = page.get("next")
        self.assertEqual(sorted(n for n in names if n.startswith("t.")), sorted(f"t.n{i}" for i in range(250)))
        self.assertEqual(len(self.get("/api/v1/topics?limit=1000")[1]["topics"]), len(names))
        for query in ["limit=0", "limit=1001", "limit=x", "after=-1", "after=%"]:
            self.assertEqual(self.get("/api/v1/topics?" + query)[0], 400)
        self.assertEqual(self.get("/api/v1/topics?after=99999999999")[1]["topics"], [])

    def test_clients_that_read_are_listed_with_what_they_got(self):
        ws = WebSocket(self.daemon)
        self.addCleanup(ws.close)
        ws.subscribe("game.>", "x", policy="lossless", name="agent")
        stream = Stream(self.daemon, "topic=" + quote("system.*.*.*"))
        self.addCleanup(stream.close)
        self.daemon.post("/api/v1/events", event())
        ws.events(1)
        status, answer = self.get("/api/v1/subscriptions")
        self.assertEqual(status, 200)
        sse, agent = answer["clients"]
        self.assertEqual((agent["name"], agent["via"], agent["pattern"], agent["policy"]),
                         ("agent", "websocket", "game.>", "lossless"))
        self.assertEqual((agent["delivered"], agent["missed"], agent["next_sequence"]), (1, 0, 2))
        self.assertGreater(agent["bytes"], 100)
        self.assertEqual((sse["via"], sse["policy"], sse["delivered"]), ("sse", "latest", 0))
        self.assertTrue(sse["name"].startswith("127.0.0.1:"))
        names = {s["slot"]: s["name"] for s in answer["subscriptions"]}
        self.assertEqual(names[agent["slot"]], "agent")
        self.assertIn("http-commands", names.values())
        sent = self.daemon.metrics()["jimbot_client_sent_bytes_total"]
        self.assertEqual(sent[f'slot="{agent["slot"]}",via="websocket",name="agent"'], agent["bytes"])


class Protobuf(DaemonCase):
    def publish(self, body, query="", fields=None):
        status, _, answer = self.daemon.request("POST", "/api/v1/publish" + query, body, fields or PROTOBUF)
        return status, json.loads(answer)

    def test_the_bytes_of_an_event_reach_the_bus_as_they_are(self):
        ws = WebSocket(self.daemon, "jimbot.v1.proto")
        self.addCleanup(ws.close)
        ws.send(field(2, field(2, field(1, b">"))))
        ws.recv()
        body = field(1, 4) + field(2, b"id") + field(50001, b"private")
        self.assertEqual(self.publish(body, "?topic=my%2Etopic&key=3"),
                         (200, {"status": "ok", "accepted": 1, "duplicates": 0}))
        delivery = ws.recv()
        self.assertIn(body, delivery)
        self.assertIn(b"my.topic", delivery)
        self.assertEqual(self.publish(body)[1]["duplicates"], 1)

    def test_what_is_no_event_is_refused(self):
        good = field(1, 4)
        for body, query, status in [(b"", "", 400), (b"\xff", "", 400), (field(5, b"x"), "", 400),
                                    (good, "?topic=no+topic", 400), (good, "?topic=" + "a" * 128, 400),
                                    (good, "?key=x", 400), (good, "?key=4294967296", 400), (good, "?topic=%", 400)]:
            with self.subTest(body=body, query=query):
                self.assertEqual(self.publish(body, query)[0], status)
        self.assertEqual(self.publish(good, "", {"Content-Type": "application/json"})[0], 415)
        self.assertEqual(self.publish(good + field(5, b"x" * 1200000))[0], 413)
        self.assertEqual(self.publish(good, "", {"Content-Type": "Application/X-Protobuf; v=1"})[0], 200)


class Compressed(DaemonCase):
    FLAGS = ("--max-body-bytes", "100000")

    def post(self, body, coding, path="/api/v1/events/batch"):
        status, fields, answer = self.daemon.request("POST", path, body, {"Content-Encoding": coding})
        return status, json.loads(answer), fields

    def test_a_body_is_worth_what_is_in_it(self):
        plain = json.dumps([event(n=i) for i in range(100)]).encode()
        half = len(plain) // 2
        for body in [gzip.compress(plain), gzip.compress(plain, 0),
                     gzip.compress(plain[:half]) + gzip.compress(plain[half:])]:
            self.assertEqual(self.post(body, "gzip")[:2], (200, {"status": "ok", "accepted": 100, "duplicates": 0}))
        self.assertEqual(self.post(plain, "identity")[0], 200)
        self.assertEqual(self.daemon.published(), 400)

    @unittest.skipUnless(shutil.which("zstd"), "needs the program zstd")
    def test_zstd_too(self):
        plain = json.dumps([event(n=i) for i in range(100)]).encode()
        body = subprocess.run(["zstd", "-c"], input=plain, capture_output=True, check=True).stdout
        self.assertEqual(self.post(body, "zstd")[0], 200)
        self.assertEqual(self.post(body[:-5], "zstd")[0], 400)
        self.assertEqual(self.post(body + b"x", "zstd")[0], 400)
        bomb = subprocess.run(["zstd", "-c"], input=b" " * 10000000, capture_output=True, check=True).stdout
        self.assertLess(len(bomb), 2000)
        self.assertEqual(self.post(bomb, "zstd")[0], 413)

    def test_contents_of_any_length_are_taken(self):
        codings = {"gzip": gzip.compress}
        if shutil.which("zstd"):
            codings["zstd"] = lambda b: subprocess.run(["zstd", "-c"], input=b, capture_output=True, check=True).stdout
        for coding, compress in codings.items():
            for n in (65535, 65536, 65537, 99999, 100000):
                with self.subTest(coding=coding, n=n):
                    body = compress(json.dumps([event()]).encode().ljust(n))
                    self.assertEqual(self.post(body, coding)[0], 200)
                    self.assertEqual(self.post(body[:-1], coding)[0], 400)
            self.assertEqual(self.post(compress(b" " * 100001), coding)[0], 413)

    def test_a_body_that_is_not_what_it_says_is_refused(self):
        body = gzip.compress(json.dumps(event()).encode())
        for wrong in [b"{}", body[:-1], body[:20], body + b"x", zlib.compress(b"{}"), body[:12] + b"\0\0" + body[14:]]:
            with self.subTest(wrong=wrong):
                self.assertEqual(self.post(wrong, "gzip")[0], 400)
        self.assertEqual(self.daemon.published(), 0)

    def test_a_bomb_is_found_at_the_limit(self):
        self.assertEqual(self.post(gzip.compress(b" " * 50000000), "gzip")[0], 413)
        self.assertEqual(self.post(gzip.compress(b" " * 100001), "gzip")[0], 413)
        self.assertEqual(self.post(gzip.compress(json.dumps(event()).encode().ljust(100000)), "gzip")[0], 200)

    def test_other_codings_are_415_and_ours_are_named(self):
        for coding in ["br", "deflate", "gzip, gzip", "gzip,identity", "x"]:
            status, _, fields = self.post(b"{}", coding)
            self.assertEqual((status, fields["Accept-Encoding"]), (415, "gzip, zstd"))

    def test_commands_and_protobuf_too(self):
        command = gzip.compress(b'{"type":"play_hand"}')
        self.assertEqual(self.post(command, "gzip", "/api/v1/commands")[0], 200)
        status, _, _ = self.daemon.request("POST", "/api/v1/publish", gzip.compress(field(1, 4)),
                                           {**PROTOBUF, "Content-Encoding": "gzip"})
        self.assertEqual(status, 200)


if __name__ == "__main__":
    unittest.main()
