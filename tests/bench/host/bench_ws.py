#!/usr/bin/env python3
"""WebSocket figures: jimbotd alone on core 0, its clients on core 1.

Prints one JSON object a line. `ws_ingest`: one connection, one event of about 100 bytes in each message, sent without
waiting for the responses. `ws_fanout`: events of about 1 KB, published over REST, to 100 lossless subscribers. The
clients of both only move bytes. `per_cpu_s` is by the server's own processor time, so it says what a core gives when
the clients are slower than the server. Figures are medians. BENCH_ROUNDS sets how many runs (5).
"""

import json
import os
import select
import statistics
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../integration/http"))
from daemon import Daemon, event  # noqa: E402
from test_ws_wire import field  # noqa: E402
from wsclient import BINARY, TEXT, WebSocket, frame  # noqa: E402

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
SERVER_CORE, LOAD_CORE = 0, 1
N_FRAMES, N_READERS, N_EVENTS = 300000, 100, 5000
SMALL = {"type": "MONEY_CHANGED", "payload": {"old_value": 4, "new_value": 7, "difference": 3}}
FRAMES = {
    "json": frame(TEXT, b'{"publish":{"events":[{"event":%s}]}}' % json.dumps(SMALL, separators=(",", ":")).encode()),
    "proto": frame(BINARY, field(4, field(1, field(1, field(1, 4) + field(5, b"x" * 90))))),
}


def say(**figures):
    print(json.dumps(figures), flush=True)


class Server:
    """A daemon on its core, and what it used of it."""

    def __enter__(self):
        self.daemon = Daemon("--log-level", "error")
        os.sched_setaffinity(self.daemon.process.pid, {SERVER_CORE})
        for task in os.listdir("/proc/%d/task" % self.daemon.process.pid):
            os.sched_setaffinity(int(task), {SERVER_CORE})
        return self

    def __exit__(self, *_):
        self.daemon.stop()

    def cpu_s(self):
        with open("/proc/%d/stat" % self.daemon.process.pid, encoding="ascii") as f:
            words = f.read().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def ingest(form):
    """(messages a second, messages a second of the server's processor)."""
    with Server() as server:
        ws = WebSocket(server.daemon, "jimbot.v1." + form)
        blob = FRAMES[form] * 1000

        def discard():
            while ws.sock.recv(1 << 20):
                pass

        reader = threading.Thread(target=discard, daemon=True)
        reader.start()
        cpu, begin = server.cpu_s(), time.monotonic()
        for _ in range(N_FRAMES // 1000):
            ws.sock.sendall(blob)
        while server.daemon.metrics()["jimbot_websocket_received_messages_total"][""] < N_FRAMES:
            time.sleep(0.005)
        seconds, cpu = time.monotonic() - begin, server.cpu_s() - cpu
        assert server.daemon.published() == N_FRAMES
        return N_FRAMES / seconds, N_FRAMES / cpu


def fanout(form):
    """(bytes a second to all readers, the same by the server's processor)."""
    with Server() as server:
        sockets = {}
        for _ in range(N_READERS):
            ws = WebSocket(server.daemon, "jimbot.v1." + form)
            if form == "json":
                ws.subscribe(">", policy="lossless")
            else:
                ws.send(field(2, field(2, field(1, b">") + field(3, 1))))
                ws.recv()
            sockets[ws.sock.fileno()] = ws
        body = [event(pad="x" * 900)] * 100
        publisher = threading.Thread(
            target=lambda: [server.daemon.post("/api/v1/events/batch", body) for _ in range(N_EVENTS // 100)])
        ready = select.epoll()
        for fd in sockets:
            ready.register(fd, select.EPOLLIN)
        buf, n_bytes, cpu, begin = bytearray(1 << 20), 0, server.cpu_s(), time.monotonic()
        publisher.start()
        end = begin
        while publisher.is_alive() or time.monotonic() - end < 0.3:
            for fd, _ in ready.poll(0.05):
                n_bytes += sockets[fd].sock.recv_into(buf)
                end = time.monotonic()
        return n_bytes / (end - begin), n_bytes / (server.cpu_s() - cpu)


def main():
    if len(os.sched_getaffinity(0)) < 2:
        say(name="ws", skipped="needs two cores")
        return 0
    os.sched_setaffinity(0, {LOAD_CORE})
    for form in ("json", "proto"):
        runs = [ingest(form) for _ in range(ROUNDS)]
        wall, cpu = (round(statistics.median(run[i] for run in runs)) for i in (0, 1))
        say(name="ws_ingest", form=form, per_s=wall, per_cpu_s=cpu, frame_bytes=len(FRAMES[form]))
    for form in ("json", "proto"):
        runs = [fanout(form) for _ in range(ROUNDS)]
        wall, cpu = (round(statistics.median(run[i] for run in runs) / 1e6) for i in (0, 1))
        say(name="ws_fanout", form=form, readers=N_READERS, mb_per_s=wall, mb_per_cpu_s=cpu)
    return 0


if __name__ == "__main__":
    sys.exit(main())
