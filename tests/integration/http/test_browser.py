"""A page in a real browser, and Python's own WebSocket library: what users will use."""

import asyncio
import json
import os
import sys
import unittest

from browser import PROGRAM, Browser
from daemon import DaemonCase, event

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../support"))
from faultproxy import FaultProxy, reset  # noqa: E402

try:
    import websockets
except ImportError:
    websockets = None


@unittest.skipUnless(PROGRAM, "chromium is not installed")
class Page(DaemonCase):
    def setUp(self):
        super().setUp()
        self.line = FaultProxy(self.daemon.host, self.daemon.port)
        self.addCleanup(self.line.close)
        self.browser = Browser(f"http://{self.line.host}:{self.line.port}/health")
        self.addCleanup(self.browser.close)

    def test_a_page_speaks_a_session_in_json(self):
        sent = event(text="\u20ac \U0001f0a1 \"quoted\"\n", n=7)
        got = self.browser.run("""new Promise((done, fail) => {
            const ws = new WebSocket(`ws://${location.host}/api/v1/ws`, ["jimbot.v1.json"]);
            const seen = [];
            ws.onopen = () => ws.send(JSON.stringify(
                {requestId: 1, subscribe: {subscriptionId: 5, request: {patterns: ["game.>"]}}}));
            ws.onmessage = m => {
                const v = JSON.parse(m.data);
                seen.push(Object.keys(v).pop());
                if (v.subscribed) ws.send(JSON.stringify({requestId: 2, publish: {events: [{event: %s}]}}));
                if (v.delivery) { ws.close(1000); done({seen, protocol: ws.protocol, got: v.delivery.events[0]}); }
            };
            ws.onerror = () => fail("error");
        })""" % json.dumps(sent))
        self.assertEqual((got["seen"], got["protocol"]), (["subscribed", "published", "delivery"], "jimbot.v1.json"))
        self.assertEqual(got["got"]["event"], sent)

    def test_a_page_speaks_protobuf(self):
        got = self.browser.run("""new Promise((done, fail) => {
            const ws = new WebSocket(`ws://${location.host}/api/v1/ws`, "jimbot.v1.proto");
            ws.binaryType = "arraybuffer";
            ws.onopen = () => ws.send(new Uint8Array([8, 9, 0x3a, 4, 10, 2, 0, 255]));
            ws.onmessage = m => done([...new Uint8Array(m.data)]);
            ws.onerror = () => fail("error");
        })""")
        self.assertEqual(got[:2], [8, 9])
        self.assertEqual(got[2], 6 << 3 | 2)
        self.assertEqual(got[4:8], [10, 2, 0, 255])

    def test_three_lines_read_a_stream_and_come_again_after_a_cut(self):
        self.browser.run("""new Promise(done => {
            window.seen = [];
            window.es = new EventSource("/api/v1/stream?topic=game.%3E");
            es.addEventListener("MONEY_CHANGED", e => seen.push([e.lastEventId, JSON.parse(e.data).payload.n]));
            es.onopen = () => done(1);
        })""")
        waiting = "new Promise(r => { const look = () => seen.length >= %d ? r(seen) : setTimeout(look, 20); look(); })"
        for n in range(3):
            self.daemon.post("/api/v1/events", event(n=n))
        self.assertEqual(self.browser.run(waiting % 3), [["1", 0], ["2", 1], ["3", 2]])
        for end in self.line.open:
            reset(end)
        for n in range(3, 6):
            self.daemon.post("/api/v1/events", event(n=n))
        self.assertEqual(self.browser.run(waiting % 6), [[str(n + 1), n] for n in range(6)])
        self.browser.run("es.close()")


@unittest.skipUnless(websockets, "Python's websockets is not installed")
class Library(DaemonCase):
    def test_a_thousand_events_from_one_client_reach_another_in_order(self):
        url = f"ws://{self.daemon.host}:{self.daemon.port}/api/v1/ws"

        async def publish(n):
            async with websockets.connect(url, subprotocols=["jimbot.v1.json"]) as ws:
                for i in range(n):
                    await ws.send(json.dumps({"request_id": i + 1, "publish": {"events": [{"event": event(n=i)}]}}))
                for i in range(n):
                    self.assertEqual(json.loads(await ws.recv())["request_id"], i + 1)

        async def main():
            async with websockets.connect(url) as ws:
                await ws.send(json.dumps({"subscribe": {"request": {"patterns": [">"], "policy": "lossless"}}}))
                await ws.recv()
                sender = asyncio.create_task(publish(1000))
                got = []
                while len(got) < 1000:
                    answer = json.loads(await asyncio.wait_for(ws.recv(), 15))
                    got += [e["event"]["payload"]["n"] for e in answer["delivery"]["events"]]
                await sender
                await (await ws.ping())
                return got

        self.assertEqual(asyncio.run(main()), list(range(1000)))

    def test_a_large_message_both_ways(self):
        async def main():
            url = f"ws://{self.daemon.host}:{self.daemon.port}/api/v1/ws"
            async with websockets.connect(url, max_size=None) as ws:
                await ws.send(json.dumps({"subscribe": {"request": {"patterns": [">"]}}}))
                await ws.recv()
                sent = event(pad="\u20ac" * 100000)
                await ws.send(json.dumps({"publish": {"events": [{"event": sent}]}}))
                answers = [json.loads(await asyncio.wait_for(ws.recv(), 15)) for _ in range(2)]
                delivery = next(a["delivery"] for a in answers if "delivery" in a)
                self.assertEqual(delivery["events"][0]["event"], sent)

        asyncio.run(main())


if __name__ == "__main__":
    unittest.main()
