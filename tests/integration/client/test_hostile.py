"""A server that sends what it wants: the connection ends with a word, the books balance, nothing breaks."""

import base64
import hashlib
import os
import re
import socket
import ssl
import struct
import sys
import threading
import unittest

from drive import Bus, ClientCase, pb

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "http"))

from certs import Certs  # noqa: E402

AGREED = (
    b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Protocol: jimbot.v1.proto\r\nSec-WebSocket-Accept: "
)


class Hostile(ClientCase):
    """A server that answers the upgrade well and then sends what it wants."""

    def attack(self, payload, upgrade=True):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def serve():
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                request = b""
                while b"\r\n\r\n" not in request:
                    request += peer.recv(4096)
                key = re.search(rb"Sec-WebSocket-Key: (\S+)", request)[1]
                digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
                if upgrade:
                    peer.sendall(AGREED + base64.b64encode(digest) + b"\r\n\r\n")
                try:
                    peer.sendall(payload)
                    while peer.recv(4096):
                        pass
                except OSError:
                    pass
                peer.close()

        threading.Thread(target=serve, daemon=True).start()
        drive = self.drive()
        drive.open(f"ws://127.0.0.1:{listener.getsockname()[1]}")
        drive.say("subscribe", ">")
        drive.say("publish", 10, "a")
        return drive

    def frame(self, data, opcode=2):
        head = bytes([0x80 | opcode])
        n = len(data)
        return head + (bytes([n]) if n < 126 else bytes([126, n >> 8, n & 255])) + data

    def assert_fault(self, payload, **how):
        drive = self.attack(payload, **how)
        drive.wait(lambda stats: stats["faults"] >= 2)
        self.assertEqual(drive.say("status")["code"], -14)
        self.books(drive.stats())

    def test_no_http(self):
        self.assert_fault(b"SSH-2.0-x\r\n", upgrade=False)

    def test_a_header_without_end(self):
        self.assert_fault(b"HTTP/1.1 101 x\r\n" + b"A: b\r\n" * 10000, upgrade=False)

    def test_an_upgrade_for_somebody_else(self):
        self.assert_fault(AGREED + b"AAAA\r\n\r\n", upgrade=False)

    def test_a_masked_frame(self):
        self.assert_fault(b"\x82\x81abcdx")

    def test_a_message_without_end(self):
        self.assert_fault(b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff" + bytes(100))

    def test_text(self):
        self.assert_fault(self.frame(b"{}", 1))

    def test_no_protobuf(self):
        self.assert_fault(self.frame(b"\xff" * 20))

    def test_results_for_nothing(self):
        response = pb.SessionResponse(request_id=77)
        response.published.results.add(outcome=1)
        self.assert_fault(self.frame(response.SerializeToString()))

    def test_an_event_that_is_none(self):
        both = pb.SessionResponse(request_id=1)
        both.subscribed.subscription_id, both.subscribed.next_sequence = 1, 1
        bad = bytes.fromhex("2a0d080112090a0308ff011001")  # delivery of an event with a cut varint
        self.assert_fault(self.frame(both.SerializeToString()) + self.frame(bad))

    def test_a_topic_that_is_none_is_a_fault(self):
        server = self.serve(Bus())
        drive = self.drive()
        drive.open(server.url)
        drive.say("subscribe", "game.>")
        drive.say("live", 5)
        server.put("a", topic="game..\u00e4 x")
        drive.wait(lambda stats: stats["faults"] > 0)
        self.assertEqual(drive.stats()["received"], 0)

    def test_a_flood_of_pings_costs_no_memory(self):
        drive = self.attack(self.frame(b"x" * 125, 9) * 60000)
        drive.wait(lambda stats: stats["connects"] >= 1)
        self.books(drive.stats())


class Asked(ClientCase):
    """A server that is asked for one thing."""

    def hang_up(self, context, listener):
        """Its half of a handshake to each, then an end and a reset: what is written next meets a broken pipe."""
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer:
                incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
                incoming.write(peer.recv(65536))
                try:
                    context.wrap_bio(incoming, outgoing, server_side=True).do_handshake()
                except ssl.SSLWantReadError:
                    pass
                peer.sendall(outgoing.read())
                peer.shutdown(socket.SHUT_WR)
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def test_one_that_hangs_up_ends_no_program(self):
        certs = Certs()
        self.addCleanup(certs.close)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certs.cert, certs.key)
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        threading.Thread(target=self.hang_up, args=(context, listener), daemon=True).start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/x"
        self.assertLess(self.drive().say("get", url, 20)["rc"], 0)


if __name__ == "__main__":
    unittest.main()
