"""The bytes of WebSocket: handshakes, frames, and those that are wrong."""

import json
import struct
import unittest

from daemon import DaemonCase, event, read_answers, wait_until
from wsclient import BINARY, CLOSE, PING, PONG, TEXT, Closed, WebSocket, frame, handshake

ASK = b'{"request_id":1,"ping":{}}'


class Handshake(DaemonCase):
    def answer(self, fields=None, raw=None):
        with self.daemon.connect() as sock:
            sock.sendall(raw or handshake(fields))
            ((status, found, _),) = read_answers(sock, 1)
        return status, found

    def test_the_key_of_the_rfc_has_the_accept_of_the_rfc(self):
        status, fields = self.answer()
        self.assertEqual(status, 101)
        self.assertEqual(fields["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        self.assertEqual((fields["upgrade"], fields["connection"]), ("websocket", "Upgrade"))
        self.assertNotIn("sec-websocket-protocol", fields)
        self.assertNotIn("content-length", fields)

    def test_the_first_subprotocol_known_is_taken(self):
        for offer, taken in [("jimbot.v1.proto, jimbot.v1.json", "jimbot.v1.proto"),
                             ("x,jimbot.v1.json ,jimbot.v1.proto", "jimbot.v1.json")]:
            status, fields = self.answer({"Sec-WebSocket-Protocol": offer})
            self.assertEqual((status, fields["sec-websocket-protocol"]), (101, taken))

    def test_what_is_no_handshake_stays_http(self):
        wrong = [({"Upgrade": None}, 426), ({"Upgrade": "h2c"}, 426), ({"Sec-WebSocket-Version": None}, 426),
                 ({"Sec-WebSocket-Version": "8"}, 426), ({"Connection": None}, 400),
                 ({"Connection": "keep-alive"}, 400), ({"Sec-WebSocket-Key": None}, 400),
                 ({"Sec-WebSocket-Key": "short"}, 400), ({"Sec-WebSocket-Key": "!" * 22 + "=="}, 400),
                 ({"Sec-WebSocket-Key": "A" * 24}, 400), ({"Sec-WebSocket-Protocol": "chat"}, 400),
                 ({"Sec-WebSocket-Protocol": ""}, 400)]
        for fields, status in wrong:
            with self.subTest(fields=fields):
                got, found = self.answer(fields)
                self.assertEqual(got, status)
                if status == 426:
                    self.assertEqual((found["upgrade"], found["sec-websocket-version"]), ("websocket", "13"))
        twice = handshake().replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        self.assertEqual(self.answer(raw=twice)[0], 400)
        self.assertEqual(self.daemon.request("POST", "/api/v1/ws", b"")[0], 405)

    def test_frames_may_come_with_the_handshake(self):
        with self.daemon.connect() as sock:
            sock.sendall(handshake() + frame(TEXT, ASK))
            reader = sock.makefile("rb")
            while reader.readline() != b"\r\n":
                pass
            self.assertEqual(reader.read(2)[0], 0x80 | TEXT)


class Frames(DaemonCase):
    FLAGS = ("--max-body-bytes", "2000", "--max-buffered-bytes", "1M")

    def open(self, protocol="jimbot.v1.json"):
        ws = WebSocket(self.daemon, protocol)
        self.addCleanup(ws.close)
        return ws

    def test_what_is_wrong_is_closed_with_its_code(self):
        wrong = {
            "not masked": (frame(TEXT, ASK, masked=False), 1002),
            "a reserved bit": (frame(TEXT, ASK, rsv=4), 1002),
            "an opcode that is none": (frame(3, b""), 1002),
            "a control frame in pieces": (frame(PING, b"", fin=False), 1002),
            "a control frame of 126 bytes": (frame(PING, b"x" * 126), 1002),
            "a continuation of nothing": (frame(0, ASK), 1002),
            "a message within a message": (frame(TEXT, b"{", fin=False) + frame(TEXT, ASK), 1002),
            "a close of one byte": (frame(CLOSE, b"x"), 1002),
            "a close with a code that is none": (frame(CLOSE, struct.pack(">H", 999)), 1002),
            "bytes that are no UTF-8": (frame(TEXT, b'"\xff"'), 1007),
            "half a character at the end": (frame(TEXT, b"\xc3"), 1007),
            "an overlong form": (frame(TEXT, b"\xc0\xaf"), 1007),
            "a surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
            "binary where text is spoken": (frame(BINARY, ASK), 1003),
            "a message too long": (frame(TEXT, b"x" * 2001), 1009),
            "fragments too long": (frame(TEXT, b"x" * 1500, fin=False) + frame(0, b"x" * 501), 1009)}
        for name, (data, code) in wrong.items():
            with self.subTest(name):
                ws = self.open()
                ws.send_raw(data)
                self.assertEqual(ws.close_code(), code)
                ws.close()
        ws = self.open("jimbot.v1.proto")
        ws.send_raw(frame(TEXT, ASK))
        self.assertEqual(ws.close_code(), 1003)

    def test_a_header_that_promises_much_costs_nothing(self):
        ws = self.open()
        ws.send_raw(bytes([0x81, 0xFF]) + struct.pack(">Q", 1 << 40) + b"\0\0\0\0{")
        self.assertEqual(ws.close_code(), 1009)

    def test_fragments_with_a_ping_between_are_one_message(self):
        ws = self.open()
        ws.send_raw(frame(TEXT, ASK[:5], fin=False) + frame(PING, b"hello") + frame(0, b"", fin=False)
                    + frame(0, ASK[5:]))
        self.assertEqual(ws.recv_frame(), (1, PONG, b"hello"))
        self.assertIn("pong", ws.recv())

    def test_a_character_may_be_cut_between_fragments(self):
        ws = self.open()
        text = '{"ping":{},"x":"\u00fc\u20ac\U0001f0a1"}'.encode()
        pieces = [text[i:i + 1] for i in range(len(text))]
        ws.send_raw(frame(TEXT, pieces[0], fin=False) + b"".join(frame(0, p, fin=False) for p in pieces[1:])
                    + frame(0, b""))
        self.assertIn("pong", ws.recv())

    def test_bytes_may_come_one_by_one(self):
        ws = self.open()
        for byte in frame(TEXT, ASK) + frame(PING, b"") + frame(TEXT, ASK):
            ws.send_raw(bytes([byte]))
        self.assertIn("pong", ws.recv())
        self.assertEqual(ws.recv_frame()[1], PONG)
        self.assertIn("pong", ws.recv())

    def test_a_thousand_requests_in_one_write_have_a_thousand_answers(self):
        ws = self.open()
        ws.send_raw(b"".join(frame(TEXT, b'{"request_id":%d,"ping":{}}' % i) for i in range(1, 1001)))
        self.assertEqual([ws.recv()["request_id"] for _ in range(1000)], list(range(1, 1001)))

    def test_a_close_is_answered_with_its_code(self):
        for payload, code in [(struct.pack(">H", 1000) + b"bye", 1000), (struct.pack(">H", 4321), 4321),
                              (b"", 1005)]:
            ws = self.open()
            ws.send_raw(frame(CLOSE, payload) + frame(TEXT, ASK))
            self.assertEqual(ws.close_code(), code)
            self.assertEqual(ws.sock.recv(1), b"")

    def test_a_stop_closes_with_going_away(self):
        ws = self.open()
        ws.subscribe(">")
        self.daemon.process.terminate()
        with self.assertRaises(Closed) as caught:
            ws.recv()
        self.assertEqual(caught.exception.code, 1001)
        ws.send_raw(frame(CLOSE, struct.pack(">H", 1001)))
        self.assertEqual(ws.sock.recv(1), b"")

    def test_a_client_may_die_at_any_byte(self):
        data = frame(TEXT, json.dumps({"subscribe": {"request": {"patterns": [">"]}}}).encode())
        for n in range(0, len(data), 3):
            ws = self.open()
            ws.send_raw(data[:n])
            ws.close()
        self.assertTrue(wait_until(lambda: self.daemon.metrics()["jimbot_http_connections"][""] == 1))
        self.assertEqual(self.daemon.metrics()["jimbot_http_buffered_bytes"][""], 0)


class Busy(DaemonCase):
    FLAGS = ("--max-body-bytes", "600000", "--max-buffered-bytes", "1M")

    def test_messages_being_received_share_a_limit(self):
        sockets = [WebSocket(self.daemon) for _ in range(3)]
        half = frame(TEXT, b"[" + b" " * 500000, fin=False)
        for ws in sockets:
            self.addCleanup(ws.close)
        for ws in sockets[:2]:
            ws.send_raw(half)
        buffered = "jimbot_http_buffered_bytes"
        self.assertTrue(wait_until(lambda: self.daemon.metrics()[buffered][""] > 1000000))
        sockets[2].send_raw(half)
        self.assertEqual(sockets[2].close_code(), 1013)
        sockets[0].send_raw(frame(0, b"]"))
        self.assertEqual(sockets[0].recv()["fault"]["code"], 3)
        self.assertTrue(wait_until(lambda: self.daemon.metrics()[buffered][""] < 600000))


class Silence(DaemonCase):
    FLAGS = ("--idle-timeout", "0.4")

    def test_a_silent_client_is_asked_and_one_that_answers_stays(self):
        ws = WebSocket(self.daemon)
        self.addCleanup(ws.close)
        for _ in range(3):
            _, opcode, payload = ws.recv_frame()
            self.assertEqual(opcode, PING)
            ws.send_raw(frame(PONG, payload))
        self.assertIn("pong", ws.ask(ping={}))

    def test_one_that_does_not_answer_is_closed(self):
        ws = WebSocket(self.daemon)
        self.addCleanup(ws.close)
        self.assertEqual(ws.recv_frame()[1], PING)
        self.assertEqual(ws.sock.recv(1), b"")
        self.assertGreaterEqual(self.daemon.metrics()["jimbot_http_timeouts_total"][""], 1)


def field(number, value):
    """A protobuf field: an int as a varint, bytes as bytes."""
    def varint(n):
        out = b""
        while n >= 0x80:
            out, n = out + bytes([n & 0x7F | 0x80]), n >> 7
        return out + bytes([n])

    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def fields(data):
    """{number: [values]} of a message of varints and bytes."""
    found, at = {}, 0

    def varint():
        nonlocal at
        n = shift = 0
        while True:
            byte, at = data[at], at + 1
            n, shift = n | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                return n

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            value = varint()
        else:
            assert tag & 7 == 2
            n = varint()
            value, at = data[at:at + n], at + n
        found.setdefault(tag >> 3, []).append(value)
    return found


class Proto(DaemonCase):
    EVENT = field(1, 4) + field(2, b"id-1") + field(5, b"me")

    def setUp(self):
        super().setUp()
        self.ws = WebSocket(self.daemon, "jimbot.v1.proto")
        self.addCleanup(self.ws.close)

    def ask(self, number, step, request_id=5):
        self.ws.send(field(1, request_id) + field(number, step))
        return fields(self.ws.recv())

    def test_the_bytes_of_an_event_pass_untouched(self):
        unknown = self.EVENT + field(50123, b"a newer field")
        subscribe = field(1, 3) + field(2, field(1, b"game.>") + field(3, 1))
        self.assertEqual(self.ask(2, subscribe), {1: [5], 2: [field(1, 3) + field(2, 1)]})
        answer = self.ask(4, field(1, field(1, unknown) + field(3, 9)))
        self.assertEqual(answer, {1: [5], 4: [field(1, field(1, 1))]})
        delivery = fields(fields(self.ws.recv())[5][0])
        self.assertEqual(delivery[1], [3])
        incoming = fields(delivery[2][0])
        self.assertEqual(incoming[1], [unknown])
        self.assertEqual((incoming[2], incoming[3], incoming[6]), ([1], [b"game.money.changed"], [9]))

    def test_outcomes_are_told_one_by_one(self):
        events = b"".join(field(1, field(1, e)) for e in [self.EVENT, self.EVENT, b"\xff", b"", field(5, b"me")])
        results = fields(self.ask(4, events + field(1, field(2, b"topic")))[4][0])[1]
        self.assertEqual([fields(r)[1][0] for r in results], [1, 2, 6, 6, 6, 6])
        self.assertNotIn(3, fields(results[0]))
        self.assertTrue(fields(results[2])[3][0])

    def test_a_message_that_is_none_is_a_fault(self):
        for data in [b"\xff", b"\x0b", field(1, 7), field(2, 7), field(2, field(2, field(3, 9))),
                     field(2, field(2, field(1, b"a..b"))), field(4, b""), field(4, field(1, b"\xff")),
                     field(6, field(1, b"x" * 60)), field(7, field(1, b"x" * 65))]:
            with self.subTest(data=data):
                self.ws.send(data)
                fault = fields(fields(self.ws.recv())[7][0])
                self.assertEqual(fault[1], [3])
        self.assertIn(6, self.ask(7, b""))

    def test_a_ping_and_a_command(self):
        self.assertEqual(fields(self.ask(7, field(1, b"\0\xff"))[6][0])[1], [b"\0\xff"])
        self.assertEqual(self.ask(6, field(1, b"discard") + field(2, b"4")), {1: [5], 4: [field(1, field(1, 1))]})
        self.assertTrue(wait_until(
            lambda: self.daemon.request("GET", "/api/v1/commands/poll")[2] == b"discard:4\n"))


if __name__ == "__main__":
    unittest.main()
