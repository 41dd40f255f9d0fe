"""A session over WebSocket: what is asked for and what comes back."""

import json
import time
import unittest

from daemon import Daemon, DaemonCase, event, wait_until
from wsclient import TEXT, WebSocket, frame


class WsCase(DaemonCase):
    def open(self, *args, **kwargs):
        ws = WebSocket(self.daemon, *args, **kwargs)
        self.addCleanup(ws.close)
        return ws


class Session(WsCase):
    def test_an_event_published_reaches_every_subscriber_as_it_was(self):
        sent = event(event_id="one", old_value=3, new_value=5)
        readers = [self.open() for _ in range(3)]
        for ws in readers:
            self.assertEqual(ws.subscribe("game.>")["subscribed"], {"subscription_id": 0, "next_sequence": 1})
        self.assertEqual(self.open().publish(sent), ["ACCEPTED"])
        for ws in readers:
            (got,) = ws.events(1)
            self.assertEqual(got["event"], sent)
            self.assertEqual((got["sequence"], got["topic"]), (1, "game.money.changed"))
            self.assertNotIn("n_missed", got)

    def test_rest_and_websocket_know_the_same_ids(self):
        self.daemon.post("/api/v1/events", event(event_id="twice"))
        ws = self.open()
        self.assertEqual(ws.publish(event(event_id="twice"), event(event_id="new")), ["DUPLICATE", "ACCEPTED"])
        _, answer = self.daemon.post("/api/v1/events", event(event_id="new"))
        self.assertEqual(answer["duplicates"], 1)

    def test_each_event_has_its_own_outcome(self):
        ws = self.open()
        answer = ws.ask(publish={"events": [
            {"event": {"no": "type"}}, {"event": event(), "topic": "not a topic"}, {},
            {"event": event(), "topic": "mine.own", "key": 7}, {"event": event(), "topic": "gam\\u0065"}]})
        results = answer["published"]["results"]
        self.assertEqual([r["outcome"][16:] for r in results],
                         ["INVALID", "INVALID", "INVALID", "ACCEPTED", "INVALID"])
        self.assertIn("type", results[0]["message"])
        self.assertNotIn("message", results[3])

    def test_topic_and_key_are_the_publishers(self):
        ws = self.open()
        ws.subscribe("mine.*")
        ws.ask(publish={"events": [{"event": event(), "topic": "mine\u002eown", "key": 7}]})
        (got,) = ws.events(1)
        self.assertEqual((got["topic"], got["key"]), ("mine.own", 7))

    def test_only_the_types_asked_for_come(self):
        ws = self.open()
        ws.subscribe(">", types=["SCORE_CHANGED", "EVENT_TYPE_HEARTBEAT"])
        ws.publish(event(), event("SCORE_CHANGED"), event(), event("HEARTBEAT"), event())
        self.assertEqual([e["event"]["type"] for e in ws.events(2)], ["SCORE_CHANGED", "HEARTBEAT"])

    def test_a_command_reaches_the_games_poll(self):
        answer = self.open().ask(command={"name": "play_hand", "params": ["1", "2"]})
        self.assertEqual(answer["published"]["results"][0]["outcome"], "PUBLISH_OUTCOME_ACCEPTED")
        self.assertTrue(wait_until(lambda: self.daemon.request("GET", "/api/v1/commands/poll")[2]
                                   == b"play_hand:1,2\n"))

    def test_a_request_that_cannot_be_done_is_a_fault_and_the_session_goes_on(self):
        ws = self.open()
        faults = [
            ({"command": {"name": "no good"}}, 3), ({"command": {}}, 3), ({"nothing": {}}, 3),
            ({"subscribe": {}}, 3), ({"subscribe": {"request": {"patterns": []}}}, 3),
            ({"subscribe": {"request": {"patterns": ["a..b"]}}}, 3),
            ({"subscribe": {"request": {"patterns": ["a", "\u00fc"]}}}, 3),
            ({"subscribe": {"request": {"patterns": ["a"], "policy": "none"}}}, 3),
            ({"subscribe": {"request": {"patterns": ["a"], "start": "sequence"}}}, 3),
            ({"subscribe": {"request": {"patterns": ["a"], "types": ["NO_SUCH"]}}}, 3),
            ({"subscribe": {"request": {"patterns": ["a"], "max_events": 0}}}, 3),
            ({"subscribe": {"request": {"patterns": ["a"]}, "max_unacked": 1000000}}, 3),
            ({"subscribe": {"request": {"patterns": ["a"]}, "dialect": "klingon"}}, 3),
            ({"unsubscribe": {"subscription_id": 9}}, 5), ({"publish": {}}, 3), ({"publish": {"events": []}}, 3),
            ({"ping": {"payload": "not base64!"}}, 3), ({"ping": {"payload": "A" * 100}}, 3),
            ({"ping": {}, "command": {}}, 3)]
        for step, code in faults:
            with self.subTest(step=step):
                self.assertEqual(ws.ask(**step)["fault"]["code"], code)
        for text in [b"", b"[]", b"{", b"7", b'{"ping":{}', b'{"ping":}', b'{"request_id":-1,"ping":{}}']:
            with self.subTest(text=text):
                ws.send(text)
                self.assertEqual(ws.recv()["fault"]["code"], 3)
        self.assertIn("pong", ws.ask(ping={}))

    def test_a_ping_comes_back_as_it_was(self):
        for payload in ["", "AA==", "AAE=", "AAEC", "A" * 84 + "AA=="]:
            pong = self.open().ask(ping={"payload": payload})["pong"]
            self.assertEqual(pong.get("payload", ""), payload)
            self.assertGreater(pong["time_utc_ns"], 0)

    def test_an_id_is_used_once_at_a_time(self):
        ws = self.open()
        self.assertIn("subscribed", ws.subscribe("a", subscription_id=3))
        self.assertEqual(ws.subscribe("b", subscription_id=3)["fault"], {
            "code": 6, "message": "there is a subscription of that id", "subscription_id": 3})
        self.assertEqual(ws.ask(unsubscribe={"subscriptionId": 3}), {"unsubscribed": {"subscription_id": 3}})
        self.assertIn("subscribed", ws.subscribe("b", subscription_id=3))

    def test_subscriptions_end_with_their_session(self):
        def n_subs():
            return json.loads(self.daemon.request("GET", "/api/v1/stats")[2])["bus"]["subscriptions"]

        before = n_subs()
        ws = self.open()
        for i in range(64):
            ws.subscribe(">", subscription_id=i)
        self.assertEqual(ws.subscribe(">", subscription_id=64)["fault"]["code"], 8)
        self.assertEqual(n_subs(), before + 64)
        ws.close()
        self.assertTrue(wait_until(lambda: n_subs() == before))

    def test_a_quiet_subscription_says_so_when_asked_to(self):
        ws = self.open()
        ws.subscribe("game.>", subscription_id=1, idle_ns=100_000_000)
        ws.subscribe("game.>", subscription_id=2)
        self.assertEqual([ws.next()["delivery"] for _ in range(3)], [{"subscription_id": 1, "events": []}] * 3)
        ws.publish(event())
        self.assertEqual([e["sequence"] for e in ws.events(2)], [1, 1])
        ws.ask(unsubscribe={"subscription_id": 1})
        ws.aside.clear()
        self.assertTrue(ws.is_quiet())

    def test_an_event_the_dialect_cannot_say_is_null_and_not_lost(self):
        ws = self.open()
        ws.ask(subscribe={"dialect": "balatrobot", "request": {"patterns": [">"]}})
        ws.publish(event())
        (got,) = ws.events(1)
        self.assertIsNone(got["event"])
        self.assertIn("error", got)


class Flow(WsCase):
    FLAGS = ("--bus-bytes", "65536")

    def test_no_more_is_delivered_than_may_be_unacknowledged(self):
        ws = self.open()
        ws.subscribe("game.>", max_unacked=2, policy="lossless")
        ws.publish(*[event(n=i) for i in range(5)])
        got = ws.events(2)
        self.assertEqual(len(got), 2)
        self.assertTrue(ws.is_quiet())
        ws.send({"ack": {"sequence": got[0]["sequence"]}})
        got = ws.events(1)
        self.assertEqual([e["sequence"] for e in got], [3])
        self.assertTrue(ws.is_quiet())
        ws.send({"ack": {"sequence": 3}})
        self.assertEqual([e["sequence"] for e in ws.events(2)], [4, 5])

    def test_a_wide_window_is_as_wide_as_it_says(self):
        ws = self.open()
        ws.subscribe("game.>", max_unacked=150)
        for _ in range(2):
            ws.publish(*[event(n=i) for i in range(100)])
        got = ws.events(150)
        self.assertEqual(len(got), 150)
        self.assertTrue(ws.is_quiet())
        ws.send({"ack": {"sequence": 100}})
        self.assertEqual([e["sequence"] for e in ws.events(50)], list(range(151, 201)))

    def test_a_full_bus_is_told_at_once_and_nothing_is_lost(self):
        slow, ws = self.open(), self.open()
        slow.subscribe(">", max_unacked=1, policy="lossless")
        n, outcome = 0, "ACCEPTED"
        while outcome == "ACCEPTED":
            (outcome,) = ws.publish(event(pad="x" * 500))
            n += outcome == "ACCEPTED"
        self.assertEqual(outcome, "FULL")
        self.assertEqual(ws.publish(event(event_id="a"), event(pad="y" * 600), event(), all_or_none=True),
                         ["FULL", "NOT_TRIED", "NOT_TRIED"])
        twice = event(event_id="t", pad="z" * 400)
        self.assertEqual(ws.publish(twice, twice, event(), all_or_none=True), ["FULL", "NOT_TRIED", "NOT_TRIED"])
        seen = 0
        while seen < n:
            for e in slow.events(1):
                seen += 1
                slow.send({"ack": {"sequence": e["sequence"]}})
                self.assertEqual((e["sequence"], e.get("n_missed", 0)), (seen, 0))
        self.assertEqual(ws.publish(event(event_id="a"), event(event_id="a"), all_or_none=True),
                         ["ACCEPTED", "DUPLICATE"])

    def test_one_that_never_acknowledges_is_overtaken_when_it_said_so(self):
        stuck, ws = self.open(), self.open()
        stuck.subscribe(">", policy="lossless", max_unacked=1, evict_after_ns=200_000_000)
        n, is_full = 0, False
        while n < 200:
            outcomes = ws.publish(*[event(pad="x" * 500) for _ in range(10)])
            n += outcomes.count("ACCEPTED")
            is_full = is_full or "FULL" in outcomes
            time.sleep(0.01 if "FULL" in outcomes else 0)
        self.assertTrue(is_full)
        seen = missed = 0
        while seen + missed < n:
            for e in stuck.events(1):
                seen, missed = seen + 1, missed + e.get("n_missed", 0)
                self.assertEqual(e["sequence"], seen + missed)
                stuck.send({"ack": {"sequence": e["sequence"]}})
        self.assertGreater(missed, 0)

    def test_more_than_the_bus_takes_at_once_is_too_big(self):
        ws = self.open()
        self.assertEqual(set(ws.publish(*[event(pad="z" * 4000)] * 8, all_or_none=True)), {"TOO_BIG"})
        self.assertEqual(ws.publish(event(pad="z" * 20000)), ["TOO_BIG"])

    def test_a_client_goes_on_where_it_was(self):
        ws = self.open()
        ws.publish(*[event(n=i) for i in range(10)])
        again = self.open()
        got = again.subscribe(">", start="sequence", start_sequence=7)
        self.assertEqual(got["subscribed"]["next_sequence"], 7)
        events = again.events(4)
        self.assertEqual([e["sequence"] for e in events], [7, 8, 9, 10])
        self.assertEqual([e.get("n_missed") for e in events], [None] * 4)
        again.subscribe(">", subscription_id=1, start="sequence", start_sequence=11)
        self.assertTrue(again.is_quiet())
        ws.publish(event())
        self.assertEqual({d["subscription_id"]: [e["sequence"] for e in d["events"]] for d in
                          [again.next()["delivery"], again.next()["delivery"]]}, {0: [11], 1: [11]})

    def test_what_the_ring_no_longer_has_is_counted(self):
        ws = self.open()
        for _ in range(40):
            ws.publish(*[event(pad="p" * 400) for _ in range(10)])
        again = self.open()
        first = again.subscribe(">", start="sequence", start_sequence=5)["subscribed"]["next_sequence"]
        self.assertGreater(first, 5)
        events = again.events(400 - first + 1)
        self.assertEqual([e["sequence"] for e in events], list(range(first, 401)))
        self.assertEqual(events[0]["n_missed"], first - 5)
        self.assertEqual(sum(e.get("n_missed", 0) for e in events), first - 5)

    def test_what_left_the_ring_before_the_place_to_go_on_is_not_missed(self):
        ws, again = self.open(), self.open()
        self.assertEqual(set(ws.publish(*[event("MONEY_CHANGED", pad="a" * 100) for _ in range(50)])), {"ACCEPTED"})
        self.assertEqual(set(ws.publish(*[event("HEARTBEAT", pad="b" * 400) for _ in range(50)])), {"ACCEPTED"})
        late = [{"event": event("HEARTBEAT", pad="c" * 1900)}] * 24 + [{"event": event("MONEY_CHANGED")}]
        # Both in one write: the subscription is overtaken before it is looked at.
        asked = {"patterns": ["game.money.>"], "start": "sequence", "start_sequence": 97}
        again.send_raw(b"".join(frame(TEXT, json.dumps(m).encode()) for m in (
            {"subscribe": {"request": asked}}, {"publish": {"events": late}})))
        self.assertEqual([again.recv().popitem()[0] for _ in range(2)], ["subscribed", "published"])
        (got,) = again.events(1)
        self.assertEqual((got["sequence"], got.get("n_missed")), (125, None))
        oldest = self.open().subscribe(">", start="oldest")["subscribed"]["next_sequence"]
        self.assertTrue(51 < oldest < 97, oldest)

    def test_types_do_not_go_with_conflating(self):
        ws = self.open()
        answer = ws.ask(subscribe={"request": {"patterns": [">"], "policy": "conflate", "types": ["HEARTBEAT"]}})
        self.assertEqual(answer["fault"]["code"], 3)
        self.assertIn("types", answer["fault"]["message"])

    def test_a_sequence_of_an_older_bus_begins_with_the_oldest(self):
        ws = self.open()
        ws.publish(event(), event())
        ws.subscribe(">", start="sequence", start_sequence=1000)
        self.assertEqual([e["sequence"] for e in ws.events(2)], [1, 2])

    def test_a_client_that_does_not_read_costs_nothing_but_its_events(self):
        slow, ws = self.open(), self.open()
        slow.subscribe(">", policy="latest")
        n = 400 * 50
        for _ in range(400):
            ws.publish(*[event(pad="q" * 300) for _ in range(50)])
        ws.publish(event("HEARTBEAT"))
        n_read, n_missed = 0, 0
        while n_read + n_missed < n + 1:
            for e in slow.events(1):
                n_read += 1
                n_missed += e.get("n_missed", 0)
                last = e
        self.assertEqual((n_read + n_missed, last["sequence"]), (n + 1, n + 1))
        self.assertGreater(n_missed, 0)


class Hold(WsCase):
    FLAGS = ("--bus-bytes", "65536", "--write-timeout", "0.5")

    def test_the_host_says_how_long_anybody_may_hold(self):
        daemon = Daemon("--bus-bytes", "65536", "--max-hold", "0.2")
        self.addCleanup(daemon.stop)
        stuck, ws = WebSocket(daemon), WebSocket(daemon)
        self.addCleanup(stuck.close)
        self.addCleanup(ws.close)
        stuck.subscribe(">", policy="lossless", max_unacked=1, evict_after_ns=3600_000_000_000)
        big = event(pad="x" * 8000)
        while ws.publish(big) == ["ACCEPTED"]:
            pass
        self.assertTrue(wait_until(lambda: ws.publish(big) == ["ACCEPTED"]))
        self.assertEqual(daemon.metrics()["jimbot_http_timeouts_total"][""], 0)

    def test_who_does_not_read_holds_publishers_back_no_longer_than_a_write_may_take(self):
        stuck, ws = self.open(), self.open()
        stuck.subscribe(">", policy="lossless")
        big = event(pad="x" * 8000)
        # Its socket takes some; the bus is full for good only when that has stopped.
        n, n_full = 0, 0
        while n_full < 10:
            is_full = ws.publish(big) == ["FULL"]
            n, n_full = n + (not is_full), n_full + 1 if is_full else 0
            time.sleep(0.01 if is_full else 0)
        self.assertGreater(n, 20)
        self.assertTrue(wait_until(lambda: ws.publish(big) == ["ACCEPTED"]))
        self.assertGreaterEqual(self.daemon.metrics()["jimbot_http_timeouts_total"][""], 1)
        self.assertIsNone(stuck.close_code())


if __name__ == "__main__":
    unittest.main()
