"""Who gets in where a connection lives long: WebSockets and streams of events."""

import json
import signal
import unittest

from daemon import event, wait_until
from test_access import AccessCase, bearer, make_token
from test_wire import get
from wsclient import WebSocket, handshake

PERMISSION_DENIED, RESOURCE_EXHAUSTED = 7, 8
BEAT = {"type": "HEARTBEAT"}


class WebSockets(AccessCase):
    def open(self, **fields):
        w = WebSocket(self.daemon, fields={name.replace("_", "-"): value for name, value in fields.items()})
        self.addCleanup(w.close)
        return w

    def status_of(self, **fields):
        with self.daemon.connect() as s:
            s.sendall(handshake(fields))
            return int(s.recv(100).split()[1])

    def test_a_token_comes_in_the_header_or_as_a_subprotocol_and_has_its_scopes(self):
        token, line = make_token("a", "publish")
        self.start("--tokens", self.write(line))
        self.assertEqual(self.status_of(), 401)
        self.assertEqual(self.status_of(Authorization="Bearer x" + token), 401)
        for w in (
            self.open(Authorization="Bearer " + token),
            self.open(Sec_WebSocket_Protocol="jimbot.v1.json, jimbot.bearer." + token),
        ):
            self.assertEqual(w.publish(BEAT), ["ACCEPTED"])
            self.assertEqual(w.subscribe("game.>")["fault"]["code"], PERMISSION_DENIED)

    def test_a_token_taken_away_ends_there(self):
        token, line = make_token("a", "publish")
        self.start("--tokens", self.write(line))
        w = self.open(Authorization="Bearer " + token)
        self.assertEqual(w.publish(BEAT), ["ACCEPTED"])
        self.write()
        self.daemon.process.send_signal(signal.SIGHUP)
        self.assertTrue(wait_until(lambda: "fault" in w.ask(publish={"events": [{"event": BEAT}]})))

    def test_a_scope_taken_away_counts_for_the_next_message(self):
        (token, line), (other, line_other) = make_token("a", "publish,command"), make_token("b", "publish")
        self.start("--tokens", self.write(line, line_other))
        w = self.open(Authorization="Bearer " + token)
        command = {"type": "COMMAND", "payload": {"name": "play_hand"}}
        self.assertEqual(w.publish(command), ["ACCEPTED"])
        self.write(line.replace("publish,command", "publish"))
        self.daemon.process.send_signal(signal.SIGHUP)
        self.assertTrue(wait_until(lambda: self.status_of(Authorization="Bearer " + other) == 401))
        self.assertNotIn("ACCEPTED", w.publish(command))
        self.assertEqual(w.publish(BEAT), ["ACCEPTED"])

    def test_a_page_of_another_site_opens_none(self):
        self.start("--allowed-origins", "https://a.example")
        self.assertEqual(self.status_of(Origin="https://evil.example"), 403)
        self.assertEqual(self.status_of(Origin="https://a.example"), 101)
        self.assertEqual(self.status_of(), 101)

    def test_the_rate_limit_counts_each_event_of_a_message(self):
        self.start("--rate-limit", "1", "--rate-burst", "3")
        w = self.open()
        self.assertEqual(w.publish(BEAT) + w.publish(*[BEAT] * 4), ["ACCEPTED"] * 5)
        answer = w.ask(publish={"events": [{"event": BEAT}]})
        self.assertEqual(answer["fault"]["code"], RESOURCE_EXHAUSTED)
        self.assertIn("pong", w.ask(ping={}))

    def test_the_rate_limit_counts_an_event_once(self):
        self.start("--rate-limit", "1", "--rate-burst", "6")
        w = self.open()
        self.assertEqual(w.publish(*[BEAT] * 5) + w.publish(BEAT), ["ACCEPTED"] * 6)


class Streams(AccessCase):
    def ask(self, token):
        """Open a stream of events; returns the socket behind its status."""
        s = self.daemon.connect()
        self.addCleanup(s.close)
        s.sendall(get(b"/api/v1/stream?topic=game.>", extra=f"Authorization: Bearer {token}\r\n".encode()))
        self.assertEqual(s.recv(9), b"HTTP/1.1 ")
        return s, int(s.recv(3))

    def test_a_stream_wants_subscribe_and_ends_with_its_token(self):
        (reader, line_reader), (writer, line_writer) = make_token("r", "subscribe"), make_token("w", "publish,admin")
        self.start("--tokens", self.write(line_reader, line_writer))
        self.assertEqual(self.ask(writer)[1], 403)
        self.assertEqual(self.ask("nonsense")[1], 401)
        s, status = self.ask(reader)
        self.assertEqual(status, 200)
        self.write(line_writer)
        self.daemon.process.send_signal(signal.SIGHUP)
        self.assertTrue(wait_until(lambda: self.ask(reader)[1] == 401))
        self.status("POST", "/api/v1/events", bearer(writer), json.dumps(event(text="secret")).encode())
        rest = b""
        while piece := s.recv(65536):
            rest += piece
        self.assertNotIn(b"secret", rest)


if __name__ == "__main__":
    unittest.main()
