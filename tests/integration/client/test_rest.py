"""A client over plain HTTP, against servers that know no WebSocket and answer in all the ways there are."""

import http.server
import json
import threading
import time
import unittest

from drive import ClientCase

FALLBACK = 1


def ids(prefix, n):
    return [f"{prefix}-{i}" for i in range(n)]


class OldServer:
    """What the mod talks to today: events, commands, nothing else; misbehaves as told."""

    def __init__(self, version="HTTP/1.1"):
        self.events, self.commands, self.polls, self.batches = [], [], ["", ""], []
        self.answers = []  # (status, body) for the next posts, before the usual
        self.upgrades = 0
        self.cut = 0
        self.closes = False
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = version

            def log_message(self, *_):
                pass

            def answer(self, status, body=b"", length=True):
                self.send_response(status)
                if server.closes:
                    self.send_header("Connection", "close")
                if length:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                if self.headers.get("Upgrade"):
                    server.upgrades += 1
                    self.answer(404)
                elif self.path == "/api/v1/commands/poll":
                    self.answer(200, (server.polls.pop(0) if server.polls else "").encode(), version != "HTTP/1.0")
                else:
                    self.answer(404)

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path == "/api/v1/commands":
                    server.commands.append(body)
                    self.answer(200, b'{"status":"ok"}')
                    return
                server.batches.append(len(body["events"]))
                status, text = server.answers.pop(0) if server.answers else (200, b"OK")
                if status == 200:
                    server.events += [event.get("event_id") for event in body["events"]]
                if server.cut:
                    server.cut -= 1
                    self.close_connection = True
                    return
                self.answer(status, text, version != "HTTP/1.0")

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Rest(ClientCase):
    def serve(self, *args):
        server = OldServer(*args)
        self.addCleanup(server.close)
        return server

    def open(self, server, scheme="http", **options):
        drive = self.drive()
        drive.open(f"{scheme}://127.0.0.1:{server.port}", poll_ns=10_000_000, **options)
        return drive

    def test_events_are_posted_in_order_fifty_at_most(self):
        server = self.serve()
        drive = self.open(server)
        drive.say("publish", 500, "a")
        self.assertEqual(drive.say("flush", 10)["rc"], 0)
        self.assertEqual(server.events, ids("a", 500))
        self.assertLessEqual(max(server.batches), 50)
        self.assertEqual(drive.stats()["accepted"], 500)

    def test_a_websocket_that_is_not_there_falls_back(self):
        server = self.serve()
        drive = self.open(server, "ws", flags=FALLBACK)
        drive.say("publish", 5, "a")
        self.assertEqual(drive.say("flush", 10)["rc"], 0)
        self.assertEqual(server.events, ids("a", 5))
        self.assertEqual(drive.say("status")["way"], 1)
        self.assertEqual(server.upgrades, 1)

    def test_without_the_flag_it_does_not(self):
        server = self.serve()
        drive = self.open(server, "ws")
        drive.say("publish", 5, "a")
        self.assertEqual(drive.say("flush", 0.3)["rc"], -5)
        self.assertEqual(server.events, [])
        end = time.monotonic() + 10  # it tries again and again; what it found comes late on a busy machine
        while (code := drive.say("status")["code"]) != -6 and time.monotonic() < end:
            time.sleep(0.005)
        self.assertEqual(code, -6)

    def test_commands_are_polled_and_sent(self):
        server = self.serve()
        drive = self.open(server)
        drive.say("subscribe", "command.>")
        drive.say("live", 5)
        server.polls.append("select_card:3\r\nplay_hand\nno such name!:1\nsort_hand:a,b\n")
        topics = [event["topic"] for event in drive.take(3)]
        self.assertEqual(topics, ["command.select_card", "command.play_hand", "command.sort_hand"])
        drive.say("command", "select_card", "3")
        drive.say("flush", 5)
        self.assertTrue(server.commands[0].pop("id"))
        self.assertEqual(server.commands, [{"type": "select_card", "payload": {"params": ["3"]}}])

    def test_a_server_without_room_gets_the_same_again(self):
        server = self.serve()
        server.answers = [(503, b"{}"), (500, b""), (429, b"")]
        drive = self.open(server)
        drive.say("publish", 20, "a")
        self.assertEqual(drive.say("flush", 10)["rc"], 0)
        self.assertEqual(server.events, ids("a", 20))
        self.assertEqual(drive.stats()["retries"], 3)
        self.books(drive.stats())

    def test_refused_ones_are_counted(self):
        server = self.serve()
        server.answers = [(422, b'{"status":"error","accepted":7,"duplicates":2,"n_rejected":3}')]
        drive = self.open(server)
        time.sleep(0.1)
        drive.say("publish", 10, "a")
        self.assertEqual(drive.say("flush", 10)["rc"], 0)
        stats = drive.stats()
        self.books(stats)
        self.assertEqual(stats["waiting"], 0)
        self.assertEqual(stats["refused"], min(3, server.batches[0]))  # of those in the answered one

    def test_one_event_that_is_refused_without_a_count(self):
        server = self.serve()
        server.answers = [(422, b'{"status":"error"}')]
        drive = self.open(server)
        drive.say("publish", 1, "a")
        self.assertEqual(drive.say("flush", 10)["rc"], 0)
        stats = drive.stats()
        self.assertEqual((stats["accepted"], stats["refused"]), (0, 1))

    def test_a_redirection_is_said_and_nothing_is_lost(self):
        server = self.serve()
        server.answers = [(307, b"")]
        drive = self.open(server)
        drive.say("publish", 3, "a")
        self.assertEqual(drive.say("flush", 10)["rc"], 0)
        self.assertEqual(server.events, ids("a", 3))
        self.assertEqual(drive.say("status")["code"], -6)
        self.assertEqual(drive.stats()["retries"], 0)

    def test_a_server_that_closes_after_each_answer_is_no_failure(self):
        server = self.serve()
        server.closes = True
        drive = self.open(server, backoff_min_ns=30_000_000_000, backoff_max_ns=60_000_000_000)
        drive.say("publish", 300, "a")
        self.assertEqual(drive.say("flush", 10)["rc"], 0)
        self.assertEqual(server.events, ids("a", 300))
        self.assertEqual(drive.say("status")["failures"], 0)

    def test_a_body_it_does_not_take_is_sent_one_by_one(self):
        server = self.serve()
        server.answers = [(413, b"")]
        drive = self.open(server)
        drive.say("publish", 10, "a")
        self.assertEqual(drive.say("flush", 10)["rc"], 0)
        stats = drive.stats()
        self.books(stats)
        self.assertEqual(stats["accepted"] + stats["refused"], 10)
        self.assertLessEqual(stats["refused"], 1)

    def test_a_connection_cut_instead_of_an_answer(self):
        server = self.serve()
        server.cut = 2
        drive = self.open(server)
        drive.say("publish", 10, "a")
        self.assertEqual(drive.say("flush", 10)["rc"], 0)
        self.assertEqual(list(dict.fromkeys(server.events)), ids("a", 10))
        self.books(drive.stats())

    def test_a_server_of_http_1_0(self):
        server = self.serve("HTTP/1.0")
        drive = self.open(server)
        drive.say("publish", 60, "a")
        self.assertEqual(drive.say("flush", 10)["rc"], 0)
        self.assertEqual(server.events, ids("a", 60))
        self.assertEqual(drive.stats()["accepted"], 60)


if __name__ == "__main__":
    unittest.main()
