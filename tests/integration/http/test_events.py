"""Events over HTTP: what is answered is what lies in the ring."""

import json
import subprocess
import unittest

from daemon import Daemon, DaemonCase, event

EVENTS = "/api/v1/events"
BATCH = "/api/v1/events/batch"


class Single(DaemonCase):
    def test_one_event_is_published_as_sent(self):
        tap = self.daemon.tap("collect", ">", 1, 10)
        sent = event(old_value=4, new_value=7, difference=3, unknown={"a": [1, None]})
        status, answer = self.daemon.post(EVENTS, sent)
        self.assertEqual((status, answer["status"], answer["accepted"]), (200, "ok", 1))
        got = json.loads(tap.communicate(timeout=20)[0])
        self.assertEqual(got["topic"], "game.money.changed")
        self.assertEqual(got["event"], sent)

    def test_text_that_is_not_json_is_400_with_offset(self):
        status, answer = self.daemon.post(EVENTS, b'{"type":"A", oops}')
        self.assertEqual((status, answer["status"]), (400, "error"))
        self.assertEqual(answer["offset"], 13)
        self.assertTrue(answer["error"])
        self.assertEqual(self.daemon.published(), 0)

    def test_json_that_is_no_event_is_400(self):
        for body in (b"{}", b"3", b'"x"', b'{"payload":{}}', b""):
            with self.subTest(body=body):
                status, answer = self.daemon.post(EVENTS, body)
                self.assertEqual((status, answer["status"]), (400, "error"))
                self.assertIn("offset", answer)
        self.assertEqual(self.daemon.published(), 0)

    def test_trailing_garbage_leaves_no_trace(self):
        status, _ = self.daemon.post(EVENTS, json.dumps(event()).encode() + b" x")
        self.assertEqual(status, 400)
        self.assertEqual(self.daemon.published(), 0)

    def test_a_repeated_id_is_published_once(self):
        for n in (0, 1, 1):
            status, answer = self.daemon.post(EVENTS, event(event_id="same", n=n))
            self.assertEqual((status, answer["accepted"], answer["duplicates"]), (200, 1, min(n, 1)))
        self.assertEqual(self.daemon.published(), 1)
        self.assertEqual(self.daemon.metrics()["jimbot_events_duplicate_total"][""], 2)

    def test_ids_that_repair_made_equal_lose_nothing(self):
        pairs = [(b'"x\\ud800"', b'"x\\udc00"'), (b'"y\xff"', b'"y\xfe"'), (b"true", b"true"), (b"false", b"false")]
        for n, pair in enumerate(pairs, 1):
            for event_id in pair:
                status, answer = self.daemon.post(EVENTS, b'{"type":"X","event_id":' + event_id + b"}")
                self.assertEqual((status, answer["duplicates"]), (200, 0), event_id)
            self.assertEqual(self.daemon.published(), 2 * n)

    def test_a_single_event_in_a_list_or_batch_is_taken_too(self):
        self.assertEqual(self.daemon.post(EVENTS, [event()])[0], 200)
        self.assertEqual(self.daemon.post(EVENTS, {"events": [event(), event()]})[0], 200)
        self.assertEqual(self.daemon.post(BATCH, event())[0], 200)
        self.assertEqual(self.daemon.published(), 4)

    def test_an_event_too_large_for_the_bus_is_413(self):
        status, answer = self.daemon.post(EVENTS, event(text="x" * 1200000))
        self.assertEqual((status, answer["status"]), (413, "error"))
        self.assertEqual(self.daemon.published(), 0)

    def test_a_custom_type_is_kept(self):
        tap = self.daemon.tap("collect", "custom.>", 1, 10)
        self.assertEqual(self.daemon.post(EVENTS, event("My Thing!", a=1))[0], 200)
        got = json.loads(tap.communicate(timeout=20)[0])
        self.assertEqual(got["topic"], "custom.my_thing_")
        self.assertEqual(got["event"], event("My Thing!", a=1))


class Batch(DaemonCase):
    def test_all_events_of_a_batch_come_in_order(self):
        tap = self.daemon.tap("collect", ">", 50, 10)
        events = [event(event_id=f"e{i}", old_value=i) for i in range(50)]
        status, answer = self.daemon.post(BATCH, {"batch_id": "b", "events": events, "source": "BalatroMCP"})
        self.assertEqual((status, answer["status"], answer["accepted"]), (200, "ok", 50))
        got = [json.loads(line)["event"] for line in tap.communicate(timeout=20)[0].splitlines()]
        self.assertEqual(got, events)

    def test_an_empty_batch_is_200(self):
        for body in ({"events": []}, []):
            status, answer = self.daemon.post(BATCH, body)
            self.assertEqual((status, answer["status"], answer["accepted"]), (200, "ok", 0))

    def test_good_events_of_a_partly_bad_batch_are_published_and_the_bad_named(self):
        body = {"events": [event(a=0), {"no": "type"}, event(a=2), 5]}
        status, answer = self.daemon.post(BATCH, body)
        self.assertEqual((status, answer["status"], answer["accepted"]), (422, "error", 2))
        self.assertEqual([r["index"] for r in answer["rejected"]], [1, 3])
        self.assertTrue(all(r["error"] for r in answer["rejected"]))
        self.assertEqual(self.daemon.published(), 2)

    def test_a_batch_of_one_bad_event_is_422(self):
        for body in ({"events": [{}]}, [{}]):
            status, answer = self.daemon.post(BATCH, body)
            self.assertEqual((status, answer["accepted"]), (422, 0))
            self.assertEqual(answer["rejected"][0]["index"], 0)

    def test_a_large_body_that_is_refused_costs_no_more_than_its_bytes(self):
        for body in (b'{"type":3,"x":[' + b"1," * 3000000 + b'1]}', b'{"x":"}","events":3}'):
            self.assertIn(self.daemon.post(EVENTS, body)[0], (400, 413))
        self.assertEqual(self.daemon.post(EVENTS, b' {"a":[{"events":[]}],"events" : [{}]}')[0], 422)
        with open(f"/proc/{self.daemon.process.pid}/status") as f:
            peak = next(int(line.split()[1]) for line in f if line.startswith("VmHWM:"))
        self.assertLess(peak, 200 * 1024)

    def test_a_batch_that_is_not_json_leaves_no_trace(self):
        body = json.dumps({"events": [event(), event()]}).encode()[:-1]
        status, answer = self.daemon.post(BATCH, body)
        self.assertEqual(status, 400)
        self.assertEqual(answer["offset"], len(body))
        self.assertEqual(self.daemon.published(), 0)

    def test_an_id_twice_in_one_batch_is_published_once(self):
        status, answer = self.daemon.post(BATCH, [event(event_id="x"), event(event_id="y"), event(event_id="x")])
        self.assertEqual((status, answer["accepted"], answer["duplicates"]), (200, 3, 1))
        self.assertEqual(self.daemon.published(), 2)

    def test_a_retried_batch_is_published_once(self):
        body = [event(event_id=f"r{i}") for i in range(20)]
        self.daemon.post(BATCH, body)
        status, answer = self.daemon.post(BATCH, body)
        self.assertEqual((status, answer["accepted"], answer["duplicates"]), (200, 20, 20))
        self.assertEqual(self.daemon.published(), 20)

    def test_many_rejects_are_counted_and_only_some_are_told(self):
        status, answer = self.daemon.post(BATCH, [{}] * 1000)
        self.assertEqual((status, answer["n_rejected"], len(answer["rejected"])), (422, 1000, 64))


class Limits(DaemonCase):
    FLAGS = ("--max-body-bytes", "4K", "--max-batch-events", "10", "--dedupe-window", "2")

    def test_too_many_events_are_413_and_leave_no_trace(self):
        status, _ = self.daemon.post(BATCH, [{"type": "A"}] * 11)
        self.assertEqual(status, 413)
        self.assertEqual(self.daemon.published(), 0)
        self.assertEqual(self.daemon.post(BATCH, [{"type": "A"}] * 10)[0], 200)

    def test_a_body_over_the_limit_is_413(self):
        status, _ = self.daemon.post(EVENTS, event(text="x" * 5000))
        self.assertEqual(status, 413)
        self.assertEqual(self.daemon.published(), 0)

    def test_an_id_out_of_the_window_is_published_again(self):
        for event_id in ("a", "b", "c", "a"):
            self.daemon.post(EVENTS, event(event_id=event_id))
        self.assertEqual(self.daemon.published(), 4)


class FullBus(DaemonCase):
    FLAGS = ("--bus-bytes", "64K")

    def fill(self):
        """Post until the bus is full; returns how many went in."""
        for n in range(10000):
            status, headers, body = self.daemon.request("POST", EVENTS, json.dumps(event(event_id=f"f{n}")).encode())
            if status != 200:
                self.assertEqual(status, 503)
                self.assertGreaterEqual(int(headers["Retry-After"]), 1)
                self.assertEqual(json.loads(body)["status"], "error")
                return n
        self.fail("the bus never filled up")

    def test_a_full_bus_is_503_and_a_retry_loses_and_doubles_nothing(self):
        holder = self.daemon.tap("hold", ">", stdin=subprocess.PIPE)
        n = self.fill()
        self.assertGreater(n, 10)
        batch = [event(event_id=f"b{i}", text="x" * 100) for i in range(50)]
        self.assertEqual(self.daemon.post(BATCH, batch)[0], 503)
        holder.communicate()
        tap = self.daemon.tap("collect", ">", 51, 10)
        self.assertEqual(self.daemon.post(EVENTS, event(event_id=f"f{n}"))[0], 200)
        status, answer = self.daemon.post(BATCH, batch)
        self.assertEqual((status, answer["accepted"], answer["duplicates"]), (200, 50, 0))
        got = [json.loads(line)["event"]["event_id"] for line in tap.communicate(timeout=20)[0].splitlines()]
        self.assertEqual(got, [f"f{n}"] + [e["event_id"] for e in batch])
        self.assertEqual(self.daemon.published(), n + 51)

    def test_a_body_that_fills_the_bus_goes_on_where_it_stopped(self):
        holder = self.daemon.tap("hold", ">", stdin=subprocess.PIPE)
        events = [event(n=i, text="x" * 400) for i in range(200)]
        events[3]["event_id"] = events[190]["event_id"] = "twice"
        status, answer = self.daemon.post(BATCH, events)
        n = answer["accepted"]
        self.assertEqual(status, 503)
        self.assertTrue(10 < n < 190, n)
        self.assertEqual(self.daemon.published(), n)
        self.assertEqual(self.daemon.post(BATCH, events)[0], 503)
        tap = self.daemon.tap("collect", ">", 199 - n, 10)
        holder.communicate()
        for _ in range(100):
            status, answer = self.daemon.post(BATCH, events)
            if status == 200:
                break
        self.assertEqual((status, answer["accepted"]), (200, 200))
        self.assertEqual(self.daemon.published(), 199)
        got = [json.loads(line)["event"] for line in tap.communicate(timeout=20)[0].splitlines()]
        self.assertEqual(got, events[n:190] + events[191:])
        # Sent once more it is no retry, and what has no id is new.
        self.daemon.post(BATCH, events[:20])
        self.assertEqual(self.daemon.published(), 199 + 19)

    def test_a_command_on_a_full_bus_is_503(self):
        holder = self.daemon.tap("hold", ">", stdin=subprocess.PIPE)
        self.fill()
        for _ in range(1000):
            status, headers, _ = self.daemon.request("POST", "/api/v1/commands", b'{"type":"play_hand"}')
            if status == 503:
                break
        self.assertEqual(status, 503)
        self.assertIn("Retry-After", headers)
        holder.communicate()


class TwoDaemons(unittest.TestCase):
    def test_two_daemons_share_a_bus(self):
        first = Daemon()
        second = Daemon(shm=first.shm)
        tap = first.tap("collect", ">", 2, 10)
        self.assertEqual(first.post(EVENTS, event(a=1))[0], 200)
        self.assertEqual(second.post(EVENTS, event(a=2))[0], 200)
        self.assertEqual(len(tap.communicate(timeout=20)[0].splitlines()), 2)
        self.assertEqual((second.stop(), first.stop()), (0, 0))


class TopicRoom(DaemonCase):
    def test_a_type_without_topic_room_goes_to_the_overflow_topic(self):
        tap = self.daemon.tap("collect", "custom.overflow", 1, 20)
        for start in range(0, 4200, 300):
            status, _ = self.daemon.post(BATCH, [{"type": f"T{start + i}"} for i in range(300)])
            self.assertEqual(status, 200)
        got = json.loads(tap.communicate(timeout=20)[0])
        self.assertEqual(got["topic"], "custom.overflow")
        self.assertGreater(self.daemon.metrics()["jimbot_events_overflow_total"][""], 0)
        self.assertEqual(self.daemon.published(), 4200)


if __name__ == "__main__":
    unittest.main()
