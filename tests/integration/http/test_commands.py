"""Commands: in as JSON or from another process, out once as text."""

import gzip
import json
import unittest

from daemon import DaemonCase, wait_until

COMMANDS = "/api/v1/commands"
POLL = "/api/v1/commands/poll"


class Commands(DaemonCase):
    def poll(self):
        status, headers, body = self.daemon.request("GET", POLL)
        self.assertEqual(status, 200)
        self.assertTrue(headers["Content-Type"].startswith("text/plain"))
        return body.decode()

    def send(self, value):
        return self.daemon.post(COMMANDS, value)

    def test_no_command_is_an_empty_body(self):
        self.assertEqual(self.poll(), "")

    def test_position_or_index_becomes_the_parameter(self):
        self.assertEqual(self.send({"type": "select_card", "payload": {"position": 3}}), (200, {"status": "ok"}))
        self.assertEqual(self.send({"type": "buy_joker", "payload": {"index": 1}}), (200, {"status": "ok"}))
        self.assertEqual(self.send({"type": "play_hand"}), (200, {"status": "ok"}))
        self.assertEqual(self.poll(), "select_card:3\nbuy_joker:1\nplay_hand\n")
        self.assertEqual(self.poll(), "")

    def test_params_are_a_list_of_scalars(self):
        self.send({"type": "move", "payload": {"params": [1, "two", True, 2.5, 4.0]}})
        self.send({"type": "move", "params": ["a", "b"]})
        self.send({"type": "select_card", "payload": {"position": [1, 2]}})
        self.assertEqual(self.poll(), "move:1,two,true,2.5,4\nmove:a,b\nselect_card:1,2\n")

    def test_every_command_of_the_mod_passes(self):
        names = (
            "start_new_run select_deck select_stake navigate_menu play_hand discard sort_hand select_card buy_joker "
            "buy_booster buy_voucher sell_joker reroll_shop skip_shop select_small_blind select_big_blind "
            "select_boss_blind skip_blind go_to_shop"
        ).split()
        for name in names:
            self.assertEqual(self.send({"type": name, "payload": {}})[0], 200)
        self.assertEqual(self.poll().split(), names)

    def test_a_command_is_short(self):
        body = b'{"type":"play_hand"}'
        self.assertEqual(self.send(body.ljust(65536))[0], 200)
        self.assertEqual(self.send(body.ljust(65537))[0], 413)
        body = b'{"type":"a","params":[' + b"1," * 2000000 + b"1]}"
        status, answer = self.send(body)
        self.assertEqual((status, answer["status"]), (413, "error"))
        fields = {"Content-Encoding": "gzip"}
        self.assertEqual(self.daemon.request("POST", COMMANDS, gzip.compress(body), fields)[0], 413)
        self.assertEqual(self.poll(), "play_hand\n")

    def test_what_is_no_command_is_400(self):
        bad = [
            b"", b"{", b"[]", b"3", b"{}", b'{"type":3}', b'{"type":""}', b'{"type":"a b"}', b'{"type":"a\\nb"}',
            b'{"type":"%s"}' % (b"x" * 48), b'{"type":"a","payload":{"position":{}}}',
            b'{"type":"a","params":["x,y"]}', b'{"type":"a","params":["x:y"]}', b'{"type":"a","params":["x\\n"]}',
            b'{"type":"a","params":["%s"]}' % (b"x" * 48), b'{"type":"a","params":[1,2,3,4,5,6,7,8,9]}',
            b'{"type":"a","id":7}',
        ]
        for body in bad:
            with self.subTest(body=body):
                status, answer = self.send(body)
                self.assertEqual((status, answer["status"]), (400, "error"))
                self.assertTrue(answer["error"])
        self.assertEqual(self.poll(), "")

    def test_a_command_is_an_event_on_the_bus(self):
        tap = self.daemon.tap("collect", "command.>", 1, 10)
        self.send({"type": "select_card", "payload": {"position": 3}, "id": "c-1"})
        got = json.loads(tap.communicate(timeout=20)[0])
        self.assertEqual(got["topic"], "command.select_card")
        self.assertIn("c-1", json.dumps(got["event"]))

    def test_a_command_with_an_id_is_sent_once(self):
        for _ in range(3):
            self.assertEqual(self.send({"type": "play_hand", "id": "c-1"}), (200, {"status": "ok"}))
        for name in ("c-2", ""):
            self.send({"type": "discard", "id": name})
            self.send({"type": "discard", "id": name})
        self.assertEqual(self.poll(), "play_hand\ndiscard\ndiscard\ndiscard\n")

    def test_a_command_and_an_event_may_have_the_same_id(self):
        self.daemon.post("/api/v1/events", {"type": "MONEY_CHANGED", "event_id": "c-1", "payload": {}})
        self.send({"type": "play_hand", "id": "c-1"})
        self.assertEqual(self.poll(), "play_hand\n")

    def test_a_command_of_another_process_reaches_the_poll(self):
        self.assertEqual(self.daemon.tap("send", "skip_blind", "7").wait(timeout=20), 0)
        got = []
        self.assertTrue(wait_until(lambda: got.append(self.poll()) or got[-1]))
        self.assertEqual(got[-1], "skip_blind:7\n")

    def test_head_takes_nothing(self):
        self.send({"type": "play_hand"})
        status, headers, body = self.daemon.request("HEAD", POLL)
        self.assertEqual((status, headers["Content-Length"], body), (200, "10", b""))
        self.assertEqual(self.poll(), "play_hand\n")

    def test_a_poll_answers_at_most_64_kib_of_whole_lines(self):
        params = ["p" * 47] * 8
        for _ in range(200):
            self.send({"type": "n" * 47, "params": params})
        first, second = self.poll(), self.poll()
        self.assertLessEqual(len(first), 65536)
        self.assertGreater(len(first), 65536 - 432)
        self.assertEqual(len((first + second).splitlines()), 200)
        self.assertTrue(first.endswith("\n"))

    def test_get_of_commands_is_405(self):
        self.assertEqual(self.daemon.request("GET", COMMANDS)[0], 405)


class SmallQueue(DaemonCase):
    FLAGS = ("--command-queue", "3")

    def test_overflow_drops_the_oldest_and_says_so(self):
        for i in range(5):
            self.daemon.post(COMMANDS, {"type": "c", "payload": {"index": i}})
        self.assertEqual(self.daemon.request("GET", POLL)[2], b"c:2\nc:3\nc:4\n")
        m = self.daemon.metrics()
        self.assertEqual(m["jimbot_commands_dropped_total"][""], 2)
        self.assertEqual(m["jimbot_commands_polled_total"][""], 3)
        self.daemon.stop()
        self.assertIn("dropped", self.daemon.log)

    def end(self):
        self.assertEqual(self.daemon.stop() if self.daemon.process.poll() is None else 0, 0)


if __name__ == "__main__":
    unittest.main()
