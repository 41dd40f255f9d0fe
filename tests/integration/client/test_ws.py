"""What a client promises over a WebSocket: nothing lost, nothing twice, whatever the server does."""

import http
import json
import os
import random
import socket
import tempfile
import time
import unittest

from drive import Bus, ClientCase, event_pb

REFUSE, DROP_OLDEST, NO_IDS = 0, 2, 4


def ids(prefix, n):
    return [f"{prefix}-{i}" for i in range(n)]


class Publishing(ClientCase):
    def test_events_arrive_in_order_with_their_ids(self):
        bus = Bus()
        drive = self.drive()
        drive.open(self.serve(bus).url)
        self.assertEqual(drive.say("publish", 2000, "a")["ok"], 2000)
        self.assertEqual(drive.say("flush", 10)["rc"], 0)
        self.assertEqual(bus.ids_in_order(), ids("a", 2000))
        stats = drive.stats()
        self.assertEqual((stats["accepted"], stats["waiting"]), (2000, 0))
        self.books(stats)

    def test_events_without_an_id_get_one_each(self):
        bus = Bus()
        drive = self.drive()
        drive.open(self.serve(bus).url)
        drive.say("publish", 300, "-")
        self.assertEqual(drive.say("flush", 10)["rc"], 0)
        self.assertEqual(len(set(bus.ids_in_order()) - {""}), 300)

    def test_events_go_out_as_they_are_where_no_ids_were_wanted(self):
        bus = Bus()
        drive = self.drive()
        drive.open(self.serve(bus).url, flags=NO_IDS)
        drive.say("publish", 3, "-")
        drive.say("flush", 10)
        self.assertEqual(bus.ids_in_order(), ["", "", ""])

    def test_many_threads_publish_at_once(self):
        bus = Bus()
        drive = self.drive()
        drive.open(self.serve(bus).url, buffer_bytes=65536)
        drive.say("hammer", 4, 500, "t", seconds=60)
        self.assertEqual(drive.say("flush", 20)["rc"], 0)
        for thread in range(4):
            mine = [name for name in bus.ids_in_order() if name.startswith(f"t{thread}-")]
            self.assertEqual(mine, ids(f"t{thread}", 500))

    def test_a_full_server_is_asked_again_and_the_order_is_kept(self):
        bus = Bus()
        bus.full = 700
        drive = self.drive()
        drive.open(self.serve(bus).url)
        drive.say("publish", 1000, "a")
        self.assertEqual(drive.say("flush", 20)["rc"], 0)
        stats = drive.stats()
        self.assertGreater(stats["retries"], 0)
        self.assertEqual(stats["accepted"], 1000)
        self.assertEqual(sorted(bus.ids_in_order()), sorted(ids("a", 1000)))

    def test_a_request_the_server_refuses_is_counted(self):
        bus = Bus()
        bus.fault = 3
        drive = self.drive()
        drive.open(self.serve(bus).url)
        drive.say("publish", 5, "a")
        self.assertEqual(drive.say("flush", 10)["rc"], 0)
        stats = drive.stats()
        self.assertEqual((stats["refused"], stats["accepted"]), (5, 0))
        self.books(stats)

    def test_commands_arrive(self):
        bus = Bus()
        drive = self.drive()
        drive.open(self.serve(bus).url)
        drive.say("command", "select_card", "3", "left")
        drive.say("flush", 10)
        self.assertEqual(bus.commands, [("select_card", ["3", "left"])])


class Reconnecting(ClientCase):
    def test_a_server_that_dies_between_taking_and_answering_makes_no_duplicates(self):
        bus = Bus()
        bus.cut_before = 3
        drive = self.drive()
        drive.open(self.serve(bus).url)
        drive.say("publish", 500, "-")
        self.assertEqual(drive.say("flush", 10)["rc"], 0)
        self.assertEqual(len(bus.events), 500)
        self.assertEqual(len(set(bus.ids_in_order())), 500)
        stats = drive.stats()
        self.assertGreater(stats["duplicates"], 0)
        self.assertEqual(stats["connects"], 4)
        self.books(stats)

    def test_a_command_whose_answer_did_not_come_is_not_given_twice(self):
        bus = Bus()
        bus.cut_before = 2
        drive = self.drive()
        drive.open(self.serve(bus).url)
        drive.say("command", "play_hand")
        drive.say("command", "play_hand")
        self.assertEqual(drive.say("flush", 10)["rc"], 0)
        self.assertEqual([name for name, _ in bus.commands], ["play_hand", "play_hand"])
        stats = drive.stats()
        self.assertEqual((stats["accepted"], stats["duplicates"]), (1, 1))

    def test_a_subscription_goes_on_where_it_was(self):
        bus = Bus()
        server = self.serve(bus)
        drive = self.drive()
        drive.open(server.url)
        drive.say("subscribe", "game.>")
        self.assertEqual(drive.say("live", 5)["live"], 1)
        server.put(*ids("a", 100))
        got = drive.take(60)
        server.kill()
        for name in ids("b", 50):
            bus.put(event_pb.Event(type=4, event_id=name).SerializeToString(), None, name)
        server.start()
        got += drive.take(90)
        self.assertEqual([e["id"] for e in got], ids("a", 100) + ids("b", 50))
        self.assertEqual([e["seq"] for e in got], list(range(1, 151)))
        self.assertEqual(sum(e["missed"] for e in got), 0)

    def test_what_the_ring_no_longer_has_is_told_exactly(self):
        bus = Bus(capacity=30)
        server = self.serve(bus)
        drive = self.drive()
        drive.open(server.url)
        drive.say("subscribe", "game.>")
        drive.say("live", 5)
        server.put(*ids("a", 10))
        self.assertEqual(len(drive.take(10)), 10)
        server.kill()
        for name in ids("b", 100):
            bus.put(event_pb.Event(type=4, event_id=name).SerializeToString(), None, name)
        server.start()
        got = drive.take(30)
        self.assertEqual(got[0]["missed"], 70)
        self.assertEqual([e["id"] for e in got], ids("b", 100)[70:])
        self.assertEqual(drive.stats()["missed"], 70)

    def test_a_bus_that_began_anew_is_read_from_its_beginning(self):
        bus = Bus()
        server = self.serve(bus)
        drive = self.drive()
        drive.open(server.url)
        drive.say("subscribe", "game.>")
        drive.say("live", 5)
        server.put(*ids("a", 100))
        self.assertEqual(len(drive.take(100)), 100)
        server.kill()
        bus.events.clear()
        bus.ids.clear()
        server.start()
        server.put(*ids("b", 5))
        self.assertEqual([e["id"] for e in drive.take(5)], ids("b", 5))

    def test_a_server_killed_again_and_again_loses_and_repeats_nothing(self):
        bus = Bus()
        server = self.serve(bus)
        publisher, reader = self.drive(), self.drive()
        reader.open(server.url)
        reader.say("subscribe", "game.>", "oldest", 16)
        publisher.open(server.url)
        rng = random.Random(7)
        for round_ in range(8):
            publisher.say("publish", 200, f"r{round_}")
            time.sleep(rng.random() * 0.05)
            server.kill()
            server.start()
        self.assertEqual(publisher.say("flush", 15)["rc"], 0)
        got = reader.take(1600, 15)
        want = [name for round_ in range(8) for name in ids(f"r{round_}", 200)]
        self.assertEqual(bus.ids_in_order(), want)
        self.assertEqual([e["id"] for e in got], want)
        self.books(publisher.stats())

    def test_it_backs_off_and_says_why(self):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
        drive = self.drive()
        drive.open(f"ws://127.0.0.1:{port}", backoff_min_ns=1_000_000_000, backoff_max_ns=2_000_000_000)
        status = drive.say("status")
        end = time.monotonic() + 5
        while status["state"] != 2 and time.monotonic() < end:
            status = drive.say("status")
        self.assertEqual(status["state"], 2)
        self.assertIn("connection refused", status["message"])


class Bounds(ClientCase):
    def test_a_full_buffer_refuses_and_counts(self):
        drive = self.drive()
        drive.open("ws://127.0.0.1:9", buffer_bytes=65536)
        answer = drive.say("publish", 2000, "a")
        stats = drive.stats()
        self.assertEqual(answer["ok"] + answer["full"], 2000)
        self.assertEqual((stats["waiting"], stats["full"]), (answer["ok"], answer["full"]))
        self.assertLessEqual(stats["waiting_bytes"], 65536)
        self.assertGreater(stats["waiting_bytes"], 50000)
        self.assertEqual(drive.say("close", 0)["left"], answer["ok"])

    def test_the_oldest_go_and_are_counted_exactly(self):
        bus = Bus()
        server = self.serve(bus)
        server.kill()
        drive = self.drive()
        drive.open(server.url, buffer_bytes=65536, flags=DROP_OLDEST)
        self.assertEqual(drive.say("publish", 3000, "a")["ok"], 3000)
        stats = drive.stats()
        self.assertEqual(stats["dropped"] + stats["waiting"], 3000)
        self.assertGreater(stats["dropped"], 1000)
        server.start()
        self.assertEqual(drive.say("flush", 10)["rc"], 0)
        self.assertEqual(bus.ids_in_order(), ids("a", 3000)[stats["dropped"]:])
        self.books(drive.stats())

    def test_a_server_that_does_not_read_blocks_nobody(self):
        bus = Bus()
        bus.delay = 3600
        drive = self.drive()
        drive.open(self.serve(bus).url, buffer_bytes=1 << 20)
        answer = drive.say("publish", 20000, "a")
        self.assertGreater(answer["full"], 0)
        self.assertLess(answer["longest_ns"], 1_000_000_000)
        self.assertLess(drive.say("close", 0.2)["seconds"], 2)

    def test_a_reader_that_does_not_look_holds_the_server_back(self):
        bus = Bus()
        server = self.serve(bus)
        drive = self.drive()
        drive.open(server.url)
        drive.say("subscribe", "game.>", "now", 32)
        drive.say("live", 5)
        server.put(*ids("a", 500))
        drive.wait(lambda stats: stats["received"] == 32)
        time.sleep(0.2)
        self.assertEqual(drive.stats()["received"], 32)
        self.assertEqual([e["id"] for e in drive.take(500)], ids("a", 500))

    def test_an_inbox_without_room_stops_reading_and_loses_nothing(self):
        bus = Bus()
        server = self.serve(bus)
        publisher, drive = self.drive(), self.drive()
        drive.open(server.url)
        drive.say("subscribe", "game.>", "now", 60000, 65536)
        drive.say("live", 5)
        publisher.open(server.url)
        publisher.say("publish", 400, "a", 2000)
        self.assertEqual(publisher.say("flush", 10)["rc"], 0)
        drive.wait(lambda stats: stats["received"] > 10)
        self.assertLess(drive.stats()["received"], 64)
        self.assertEqual([e["id"] for e in drive.take(400)], ids("a", 400))

    def test_a_full_subscription_that_is_closed_holds_nothing_up(self):
        server = self.serve(Bus())
        publisher, drive = self.drive(), self.drive()
        drive.open(server.url)
        drive.say("subscribe", "game.>", "now", 60000, 65536)
        drive.say("live", 5)
        publisher.open(server.url)
        publisher.say("publish", 400, "a", 2000)
        self.assertEqual(publisher.say("flush", 10)["rc"], 0)
        drive.wait(lambda stats: stats["received"] > 10)
        time.sleep(0.2)
        drive.say("close-sub")
        drive.say("publish", 10, "b")
        self.assertEqual(drive.say("flush", 5)["rc"], 0)
        self.assertEqual(drive.stats()["connects"], 1)

    def test_a_server_that_is_not_listened_to_is_not_called_silent(self):
        bus = Bus()
        server = self.serve(bus)
        publisher, drive = self.drive(), self.drive()
        drive.open(server.url, idle_ns=50_000_000)
        drive.say("subscribe", "game.>", "now", 60000, 65536)
        drive.say("live", 5)
        publisher.open(server.url)
        publisher.say("publish", 100, "a", 2000)
        drive.wait(lambda stats: stats["received"] > 10)
        time.sleep(0.5)
        self.assertEqual(drive.stats()["connects"], 1)
        self.assertEqual([e["id"] for e in drive.take(100)], ids("a", 100))

    def test_an_event_larger_than_the_inbox_counts_as_missed(self):
        bus = Bus()
        server = self.serve(bus)
        publisher, drive = self.drive(), self.drive()
        drive.open(server.url)
        drive.say("subscribe", "game.>", "now", 256, 65536)
        drive.say("live", 5)
        publisher.open(server.url)
        publisher.say("publish", 2, "big", 100000)
        publisher.say("publish", 1, "small")
        publisher.say("flush", 10)
        self.assertEqual([(e["id"], e["missed"]) for e in drive.take(1)], [("small-0", 2)])


class Manners(ClientCase):
    def test_the_token_is_sent_and_a_refused_one_is_said(self):
        seen = []

        def check(_path, headers):
            seen.append(headers.get("Authorization"))
            return None if seen[-1] == "Bearer good" else (http.HTTPStatus.UNAUTHORIZED, {}, b"")

        server = self.serve(Bus(), check=check)
        drive = self.drive()
        drive.open(server.url, token="good")
        drive.wait(lambda stats: stats["connects"] == 1)
        other = self.drive()
        other.open(server.url, token="bad-secret")
        end = time.monotonic() + 5
        while other.say("status")["code"] == 0 and time.monotonic() < end:
            time.sleep(0.01)
        status = other.say("status")
        self.assertEqual(status["code"], -16)
        self.assertNotIn("secret", json.dumps(status))
        self.assertIn("Bearer bad-secret", seen)

    def test_a_server_that_takes_nobody_now_is_tried_again(self):
        answers = [(http.HTTPStatus.SERVICE_UNAVAILABLE, {}, b"")] * 3
        server = self.serve(Bus(), check=lambda _path, _headers: answers.pop() if answers else None)
        drive = self.drive()
        drive.open(server.url)
        drive.say("publish", 3, "a")
        self.assertEqual(drive.say("flush", 10)["rc"], 0)
        status = drive.say("status")
        self.assertEqual((status["state"], status["code"]), (1, -18))
        self.assertIn("503", status["message"])

    def test_a_token_that_would_break_the_header_is_refused(self):
        self.assertEqual(self.drive().open("ws://127.0.0.1:1", token="a\tb")["error"], -1)

    def test_addresses_that_are_none_are_refused(self):
        for url in ("127.0.0.1:80", "ws://", "ws://a:0", "ws://a:70000", "ftp://a", "ws://u@h", "ws://[::1", "unix:"):
            self.assertEqual(self.drive().open(url)["error"], -1, url)

    def test_a_refused_subscription_says_so(self):
        bus = Bus()
        bus.fault = 7
        drive = self.drive()
        drive.open(self.serve(bus).url)
        drive.say("subscribe", "game.>")
        self.assertEqual(drive.say("live", 5)["live"], -16)
        self.assertEqual(drive.say("take", 1, 5)["rc"], -16)

    def test_a_unix_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "socket")
            bus = Bus()
            self.serve(bus, path=path)
            drive = self.drive()
            drive.open("unix:" + path)
            drive.say("publish", 3, "a")
            self.assertEqual(drive.say("flush", 10)["rc"], 0)
            self.assertEqual(bus.ids_in_order(), ids("a", 3))

    def test_closing_flushes_within_its_time(self):
        bus = Bus()
        drive = self.drive()
        drive.open(self.serve(bus).url)
        drive.say("publish", 1000, "a")
        answer = drive.say("close", 10)
        self.assertEqual(answer["left"], 0)
        self.assertEqual(len(bus.events), 1000)

    def test_a_silent_server_is_given_up(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        drive = self.drive()
        drive.open(f"ws://127.0.0.1:{listener.getsockname()[1]}", connect_timeout_ns=100_000_000)
        end = time.monotonic() + 5
        while drive.say("status")["code"] != -5 and time.monotonic() < end:
            time.sleep(0.01)
        self.assertEqual(drive.say("status")["code"], -5)


if __name__ == "__main__":
    unittest.main()
