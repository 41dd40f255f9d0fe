#!/usr/bin/env python3
"""A daemon under mixed load for a long time: it must not grow, leak descriptors, lose count, or fail.

Clients of every kind come, do right and wrong, stay a while, and leave: in order, in the midst of a byte, or killed.
    host.py --seconds 1800 [--seed N]        with JIMBOTD set; prints a table and exits 1 when a law is broken
Each client is a process of its own, so that killing it is what it is in life. Memory is what the daemon has for
itself (RssAnon); it may grow until a third of the time has passed, and hardly after that.
"""

import argparse
import json
import os
import random
import signal
import socket
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../integration/http"), os.path.join(HERE, "../integration/grpc")]
# Sanitizers keep freed memory for a while; that is no growth of ours.
os.environ.setdefault("ASAN_OPTIONS", "quarantine_size_mb=8:malloc_context_size=5")

from daemon import Daemon, event  # noqa: E402
from wsclient import Closed, WebSocket  # noqa: E402

N_CLIENTS = 12
SLACK_MB = 8


class Target:
    """Where the daemon is, for clients."""

    def __init__(self, daemon):
        self.host, self.port = daemon.host, daemon.port

    def connect(self, timeout=15.0):
        return socket.create_connection((self.host, self.port), timeout=timeout)


def request(method, path, body=b"", fields=""):
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n{fields}\r\n"
    return head.encode() + body


def read_some(s, n=65536):
    try:
        return s.recv(n)
    except TimeoutError:
        return b""


def rest(at, r, until):
    """Bodies good and bad on a connection that stays."""
    with at.connect() as s:
        while time.monotonic() < until:
            kind = r.randrange(6)
            events = [event(n=i, text="x" * r.randrange(2000)) for i in range(1 + r.randrange(30))]
            body = json.dumps(events).encode()
            if kind == 0:
                body = body[: r.randrange(len(body))]
            elif kind == 1:
                body = r.randbytes(r.randrange(3000))
            s.sendall(request("POST", "/api/v1/events", body))
            if not read_some(s):
                return


def figures(at, r, until):
    """What a monitor and a game ask for, each on a connection of its own."""
    while time.monotonic() < until:
        with at.connect() as s:
            name = r.choice(["stats", "topics", "subscriptions", "commands/poll"])
            path = r.choice(["/metrics", "/health", "/ready", "/nothing", f"/api/v1/{name}"])
            s.sendall(request("GET", path, fields="Connection: close\r\n"))
            while read_some(s):
                pass


def garbage(at, r, until):
    """Bytes that are no protocol, or begin as one."""
    heads = [b"", b"GET / HTTP/1.1\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01",
             b"POST /api/v1/events HTTP/1.1\r\n"]
    while time.monotonic() < until:
        with at.connect(2) as s:
            try:
                for byte in r.choice(heads) + r.randbytes(r.randrange(400)):
                    s.sendall(bytes([byte]))
                read_some(s)
            except OSError:
                pass


def session(at, r, until):
    """A WebSocket that reads, publishes, commands, unsubscribes, and now and then sends nonsense."""
    ws = WebSocket(at)
    ws.subscribe("game.>", policy=r.choice(["latest", "conflate", "lossless"]), max_unacked=None)
    while time.monotonic() < until:
        kind = r.randrange(10)
        if kind < 6:
            ws.publish(*[event(text="y" * r.randrange(500)) for _ in range(1 + r.randrange(5))])
        elif kind == 6:
            ws.ask(command={"name": "play_hand", "params": ["1"]})
        elif kind == 7:
            ws.send(b'{"request_id":' + str(r.randrange(99)).encode() + b',"subscribe":{"request":{}}}')
        elif kind == 8:
            ws.subscribe("system.>", subscription_id=5)
            ws.ask(unsubscribe={"subscription_id": 5})
        else:
            ws.send_raw(r.randbytes(20))
        ws.aside.clear()


def slow_reader(at, r, until):
    """A stream that is read a little now and then: its policy decides what it misses."""
    with at.connect() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.sendall(request("GET", "/api/v1/stream?topic=%3E&policy=latest"))
        while time.monotonic() < until and read_some(s, 512):
            time.sleep(r.random() * 0.05)


def grpc_calls(at, r, until):
    """Unary calls and a subscription that is cancelled, by the stock client."""
    import bus as grpc_bus

    with grpc_bus.Bus(f"{at.host}:{at.port}") as bus:
        one = bus.make if hasattr(bus, "make") else grpc_bus.make
        while time.monotonic() < until:
            events = [one("OutgoingEvent", event={"type": 4, "source": "soak"}) for _ in range(1 + r.randrange(20))]
            bus.Publish(one("PublishRequest", events=events), timeout=10)
            stream = bus.Subscribe(one("SubscribeRequest", patterns=["game.>"]), timeout=10)
            bus.Publish(one("PublishRequest", events=events), timeout=10)
            next(iter(stream), None)
            stream.cancel()


def has_grpc():
    try:
        import grpc  # noqa: F401
    except ImportError:
        return False
    return "DESCRIPTORS" in os.environ


def client(kind, at, seed):
    """One client's life, in a process of its own."""
    r = random.Random(seed)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        kind(at, r, time.monotonic() + r.random() * 8)
    except (OSError, Closed, AssertionError, ValueError):
        os._exit(0)  # the server may refuse what is wrong; whether it lives is asked elsewhere
    except Exception:  # noqa: BLE001
        os._exit(0 if kind is grpc_calls else 1)
    os._exit(0)


def start(kind, at, seed):
    pid = os.fork()
    if pid == 0:
        sys.stderr = open(os.devnull, "w", encoding="ascii")
        client(kind, at, seed)
    return pid


class Watch:
    """What the daemon uses, and whether it answers."""

    def __init__(self, daemon):
        self.daemon, self.samples = daemon, []

    def sample(self):
        pid = self.daemon.process.pid
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            mb = next(int(x.split()[1]) for x in f if x.startswith("RssAnon")) / 1024
        self.samples.append((time.monotonic(), mb, len(os.listdir(f"/proc/{pid}/fd"))))
        status, _, _ = self.daemon.request("GET", "/ready")
        return status == 200

    def most(self, since, until, which):
        return max(x[which] for x in self.samples if since <= x[0] <= until)


def load(daemon, seconds, seed):
    """Keep N_CLIENTS busy; returns (watch, clients by kind, killed, problems)."""
    r, at, watch = random.Random(seed), Target(daemon), Watch(daemon)
    kinds = [rest, rest, figures, garbage, session, session, slow_reader] + ([grpc_calls] if has_grpc() else [])
    running, counts, n_killed, problems = {}, {}, 0, []
    begun = time.monotonic()
    next_sample = begun
    while time.monotonic() - begun < seconds and not problems:
        while len(running) < N_CLIENTS:
            kind = r.choice(kinds)
            counts[kind.__name__] = counts.get(kind.__name__, 0) + 1
            running[start(kind, at, r.random())] = kind
        if r.random() < 0.1:
            os.kill(r.choice(list(running)), signal.SIGKILL)
            n_killed += 1
        time.sleep(0.02)
        while (pid := os.waitpid(-1, os.WNOHANG)[0] if running else 0) > 0:
            if pid == daemon.process.pid:
                problems.append("the daemon is gone")
                break
            running.pop(pid, None)
        if not problems and time.monotonic() >= next_sample:
            next_sample += 1
            try:
                if not watch.sample():
                    problems.append("not ready")
            except OSError as e:
                problems.append(f"it does not answer: {e}")
    for pid in running:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return watch, counts, n_killed, problems


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    daemon = Daemon("--idle-timeout", "5", "--write-timeout", "2", "--log-level", "error", "--bus-bytes", "4M")
    n_fds = len(os.listdir(f"/proc/{daemon.process.pid}/fd"))
    watch, counts, n_killed, problems = load(daemon, args.seconds, args.seed)
    first, last = watch.samples[0][0], watch.samples[-1][0]
    early = watch.most(first, first + (last - first) / 3, 1)
    late = watch.most(last - (last - first) / 3, last, 1)
    if late > early + max(SLACK_MB, early / 10):
        problems.append(f"memory grows: {early:.1f} MB, then {late:.1f} MB")
    if not problems:
        end = time.monotonic() + 20
        while time.monotonic() < end and len(os.listdir(f"/proc/{daemon.process.pid}/fd")) > n_fds:
            time.sleep(0.1)
        left = len(os.listdir(f"/proc/{daemon.process.pid}/fd")) - n_fds
        if left:
            problems.append(f"{left} descriptors are left open")
        published = daemon.published()
        answered = sum(daemon.metrics()["jimbot_http_requests_total"].values())
        code = daemon.stop()
        if code != 0 or "Sanitizer" in daemon.log or "runtime error" in daemon.log:
            problems.append(f"it stopped with {code}: {daemon.log[-2000:]}")
        print(f"published {published:,.0f}, answers {answered:,.0f}, clients killed {n_killed}")
    else:
        daemon.stop()
        problems.append(daemon.log[-2000:])
    print("clients: " + ", ".join(f"{k} {n}" for k, n in sorted(counts.items())))
    print(f"memory: {early:.1f} MB in the first third, {late:.1f} MB in the last; descriptors at most "
          f"{watch.most(first, last, 2)}")
    for problem in problems:
        print("BROKEN: " + problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
