"""A WebSocket client that can do wrong: frames by hand, standard library only."""

import base64
import hashlib
import json
import os
import socket
import struct

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def handshake(fields=None, path="/api/v1/ws", host="localhost"):
    """The bytes of a handshake; a field of None is left out."""
    words = {
        "Host": host,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    words.update(fields or {})
    lines = [f"{name}: {value}" for name, value in words.items() if value is not None]
    return ("\r\n".join([f"GET {path} HTTP/1.1", *lines]) + "\r\n\r\n").encode()


def frame(opcode, payload, fin=True, masked=True, rsv=0):
    """One frame of a client."""
    n = len(payload)
    head = bytes([fin << 7 | rsv << 4 | opcode])
    mask_bit = 0x80 if masked else 0
    if n < 126:
        head += bytes([mask_bit | n])
    elif n < 65536:
        head += bytes([mask_bit | 126]) + struct.pack(">H", n)
    else:
        head += bytes([mask_bit | 127]) + struct.pack(">Q", n)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))


class Closed(Exception):
    """The server closed, with `code`; None when it just went."""

    def __init__(self, code, reason=""):
        super().__init__(f"closed with {code} {reason}")
        self.code = code


class WebSocket:
    """A client's end. Responses are read in order; `ask` sets deliveries aside."""

    def __init__(self, daemon, protocol="jimbot.v1.json", fields=None, seconds=15.0):
        self.sock = daemon.connect(timeout=seconds)
        self.is_json = protocol != "jimbot.v1.proto"
        key = base64.b64encode(os.urandom(16)).decode()
        words = {"Sec-WebSocket-Key": key, "Sec-WebSocket-Protocol": protocol, **(fields or {})}
        self.sock.sendall(handshake(words, host=f"{daemon.host}:{daemon.port}"))
        self.reader = self.sock.makefile("rb")
        status = self.reader.readline()
        self.fields = {}
        while (line := self.reader.readline()) not in (b"\r\n", b""):
            name, value = line.decode().split(":", 1)
            self.fields[name.lower()] = value.strip()
        if b" 101 " not in status:
            raise AssertionError(status)
        want = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
        assert self.fields["sec-websocket-accept"] == want
        self.aside = []
        self.n_asked = 0

    def send_raw(self, data):
        self.sock.sendall(data)

    def send(self, value):
        """One message: a value as JSON, or bytes as they are."""
        if self.is_json:
            self.send_raw(frame(TEXT, value if isinstance(value, bytes) else json.dumps(value).encode()))
        else:
            self.send_raw(frame(BINARY, value))

    def _take(self, n):
        data = self.reader.read(n)
        if len(data) < n:
            raise Closed(None)
        return data

    def recv_frame(self):
        """(fin, opcode, payload); a server's frame has no mask."""
        first, second = self._take(2)
        assert second & 0x80 == 0
        n = second & 0x7F
        if n == 126:
            n = struct.unpack(">H", self._take(2))[0]
        elif n == 127:
            n = struct.unpack(">Q", self._take(8))[0]
        return first >> 7, first & 0x0F, self._take(n)

    def recv(self):
        """The next data message; answers pings."""
        while True:
            _, opcode, payload = self.recv_frame()
            if opcode == PING:
                self.send_raw(frame(PONG, payload))
            elif opcode == CLOSE:
                code = struct.unpack(">H", payload[:2])[0] if payload else 1005
                raise Closed(code, payload[2:].decode())
            elif opcode in (TEXT, BINARY):
                return json.loads(payload) if self.is_json else payload

    def ask(self, **step):
        """Send a request and return its response's step; deliveries meanwhile are set aside."""
        self.n_asked += 1
        self.send({"request_id": self.n_asked, **step})
        while True:
            answer = self.recv()
            if answer.get("request_id") == self.n_asked:
                return {k: v for k, v in answer.items() if k != "request_id"}
            self.aside.append(answer)

    def next(self):
        """The next response that is no answer."""
        return self.aside.pop(0) if self.aside else self.recv()

    def events(self, n):
        """At least n events delivered, whatever the subscription."""
        found = []
        while len(found) < n:
            found += self.next()["delivery"]["events"]
        return found

    def subscribe(self, *patterns, subscription_id=0, max_unacked=None, **request):
        step = {"subscription_id": subscription_id, "request": {"patterns": list(patterns), **request}}
        if max_unacked:
            step["max_unacked"] = max_unacked
        return self.ask(subscribe=step)

    def publish(self, *events, **more):
        """Outcomes of events, without their prefix."""
        answer = self.ask(publish={"events": [{"event": e} for e in events], **more})
        return [r["outcome"].replace("PUBLISH_OUTCOME_", "") for r in answer["published"]["results"]]

    def close_code(self):
        """Read on until the server closes; the code."""
        try:
            while True:
                self.recv()
        except Closed as closed:
            return closed.code

    def is_quiet(self, seconds=0.3):
        """Whether nothing comes for a while."""
        if self.aside:
            return False
        self.sock.settimeout(seconds)
        try:
            return not self.sock.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return True
        finally:
            self.sock.settimeout(15)

    def close(self):
        self.reader.close()
        self.sock.close()
