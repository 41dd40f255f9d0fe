#!/usr/bin/env python3
"""The host beside its peers: server alone on core 0, load on core 1, each peer's rounds between ours.

Prints one JSON object a line; every figure is the median of BENCH_ROUNDS (5) rounds of BENCH_SECONDS (2) each.
nginx answers `return 200` from one worker and looks at nothing, so its rate is what one core of this machine
gives HTTP at all. Arguments name rows: single, pipelined, batch, paced, ws, idle.
"""

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
SECONDS = int(os.environ.get("BENCH_SECONDS", "2"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
SERVER_CORE, LOAD_CORE = "0", "1"
HOSTLOAD = os.environ.get("HOSTLOAD", "hostload")

SINGLE = (
    '{"event_id":"@","type":"MONEY_CHANGED","source":"BalatroMCP","version":1,"timestamp":1000016.6666667,'
    '"payload":{"old_value":4,"new_value":7,"difference":3}}'
)
BATCH = '{"batch_id":"b","source":"BalatroMCP","events":[' + ",".join([SINGLE] * 50) + "]}"
NGINX = """
daemon off; worker_processes 1; pid {dir}/pid; error_log /dev/null;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 100000000; client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi; uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  server {{ listen 127.0.0.1:{port}; default_type application/json; location / {{ return 200 '{{"status":"ok"}}'; }} }}
}}
"""


def say(**figures):
    print(json.dumps(figures), flush=True)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def wait_for(port):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError("the server did not start")


def pinned(core, *words):
    return ["taskset", "-c", core, *words]


class Jimbotd:
    """Ours, with a bus that is gone with it."""

    def __init__(self, *flags):
        self.port = free_port()
        self.bus = os.path.join("/dev/shm", f"jimbot-bench-{os.getpid()}-{self.port}")
        self.process = subprocess.Popen(
            pinned(SERVER_CORE, os.environ.get("JIMBOTD", "jimbotd"), "--http", f"127.0.0.1:{self.port}",
                   "--grpc", "none",
                   "--bus", self.bus, "--log-level", "error", *flags), stdout=subprocess.DEVNULL)
        wait_for(self.port)

    def published(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics") as page:
            lines = page.read().decode().splitlines()
        return sum(float(x.rsplit(" ", 1)[1]) for x in lines if x.startswith("jimbot_events_published_total"))

    def wake_ups(self):
        folder, total = f"/proc/{self.process.pid}/task", 0
        for task in os.listdir(folder):
            with open(f"{folder}/{task}/status", encoding="ascii") as f:
                total += sum(int(x.split()[1]) for x in f if x.startswith("voluntary_ctxt_switches"))
        return total

    def rss_mb(self):
        """Memory of its own: what it shares with others through the bus is left out."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            kb = {x.split(":")[0]: int(x.split()[1]) for x in f if x.startswith(("RssAnon", "RssFile"))}
        return sum(kb.values()) / 1024

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


class Nginx:
    """The peer of plain requests."""

    def __init__(self, folder):
        self.port = free_port()
        config = os.path.join(folder, "nginx.conf")
        with open(config, "w", encoding="utf-8") as f:
            f.write(NGINX.format(dir=folder, port=self.port))
        self.process = subprocess.Popen(pinned(SERVER_CORE, "nginx", "-p", folder, "-c", config),
                                        stderr=subprocess.DEVNULL)
        wait_for(self.port)

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


class Load:
    """wrk, with bodies whose ids never repeat."""

    def __init__(self, folder):
        self.folder, self.n_runs = folder, 0

    def run(self, port, path, body=SINGLE, connections=48, pace_ms=None, seconds=SECONDS):
        """(requests/s, p99 us, requests, errors)."""
        self.n_runs += 1
        name = os.path.join(self.folder, "load.body")
        with open(name, "w", encoding="utf-8") as f:
            f.write(body)
        done = subprocess.run(
            pinned(LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", f"{HERE}/load.lua",
                   f"http://127.0.0.1:{port}{path}"),
            env=dict(os.environ, BENCH_HEAD=f"r{self.n_runs}-", BENCH_BODY=name, BENCH_PACE_MS=str(pace_ms or "")),
            text=True, capture_output=True, check=True)
        words = next(x for x in done.stdout.splitlines() if x.startswith("RESULT")).split()[1:]
        n, errors, p99, took = int(words[0]), int(words[1]), float(words[3]), float(words[4])
        return n / took, p99, n, errors


def beside_nginx(name, load, ours, theirs, **how):
    """Rounds of both by turns; the ratio is the median of the rounds' own."""
    rates, peers, tails, n_errors = [], [], [], 0
    for _ in range(ROUNDS):
        rate, p99, _, errors = load.run(ours.port, "/api/v1/events", **how)
        rates.append(rate)
        tails.append(p99)
        n_errors += errors
        if theirs:
            peers.append(load.run(theirs.port, "/", **how)[0])
    ratio = {"over_nginx": round(statistics.median(a / b for a, b in zip(rates, peers)), 3),
             "nginx_per_s": round(statistics.median(peers))} if theirs else {}
    say(name=name, **ratio, requests_per_s=round(statistics.median(rates)), p99_us=statistics.median(tails),
        errors=n_errors)


def batch(load, ours):
    rates = [load.run(ours.port, "/api/v1/events/batch", body=BATCH)[0] * 50 for _ in range(ROUNDS)]
    say(name="batches of 50 small events", events_per_s=round(statistics.median(rates)))


def paced(load, ours):
    """Latency where the server is busy but not saturated: 24 connections that rest 1 ms in between."""
    runs = [load.run(ours.port, "/api/v1/events", connections=24, pace_ms=1) for _ in range(ROUNDS)]
    say(name="paced, above 10,000 events/s", requests_per_s=round(statistics.median(r[0] for r in runs)),
        p99_us=statistics.median(r[1] for r in runs), errors=sum(r[3] for r in runs))


def hostload(row, port, *words):
    """What the load program says of one round."""
    done = subprocess.run(pinned(LOAD_CORE, HOSTLOAD, row, str(port), str(SECONDS), *words), text=True,
                          capture_output=True, check=True)
    return json.loads(done.stdout)


def pipelined(ours, theirs):
    """Sixteen requests in one write, made by a program that costs less than wrk."""
    rates, peers = [], []
    for _ in range(ROUNDS):
        rates.append(hostload("http", ours.port, "/api/v1/events")["requests_per_s"])
        if theirs:
            peers.append(hostload("http", theirs.port, "/")["requests_per_s"])
    ratio = {"over_nginx": round(statistics.median(a / b for a, b in zip(rates, peers)), 3),
             "nginx_per_s": statistics.median(peers)} if theirs else {}
    say(name="16 POSTs pipelined, 16 connections", **ratio, requests_per_s=statistics.median(rates))


def ws(ours, row, *words):
    runs = [hostload(row, ours.port, *words) for _ in range(ROUNDS)]
    say(name=f"WebSocket {row}", **{k: statistics.median(r[k] for r in runs) for k in runs[0]})


def idle():
    """A daemon nobody talks to, then with as many idle connections as a limit of descriptors allows."""
    ours = Jimbotd("--max-connections", "20000", "--idle-timeout", "600")
    try:
        time.sleep(3)
        before = ours.wake_ups()
        time.sleep(10)
        say(name="idle", rss_mb=round(ours.rss_mb(), 1), wake_ups_in_10_s=ours.wake_ups() - before)
        held = []
        for i in range(10000):
            s = socket.socket()
            s.bind((f"127.0.0.{2 + i // 5000}", 0))
            s.connect(("127.0.0.1", ours.port))
            s.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            held.append(s)
        for s in held:
            s.recv(1000)
        say(name="10,000 idle connections", rss_mb=round(ours.rss_mb(), 1))
        for s in held:
            s.close()
    finally:
        ours.stop()


def rows(names, folder):
    load = Load(folder)
    theirs = Nginx(folder) if shutil.which("nginx") else None
    ours = Jimbotd()
    try:
        load.run(ours.port, "/api/v1/events", seconds=1)
        before = ours.published()
        if "single" in names:
            beside_nginx("single POST, 48 connections", load, ours, theirs)
        if "pipelined" in names:
            pipelined(ours, theirs)
        if "batch" in names:
            batch(load, ours)
        if "paced" in names:
            paced(load, ours)
        if "ws" in names:
            ws(ours, "ingest")
            ws(ours, "fanout", ours.bus)
        say(name="books", published=ours.published() - before)
    finally:
        ours.stop()
        if theirs:
            theirs.stop()
    if "idle" in names:
        idle()


def main():
    if not shutil.which("wrk") or not shutil.which("taskset") or len(os.sched_getaffinity(0)) < 2:
        say(name="host", skipped="needs wrk, taskset and two cores")
        return 0
    os.environ["PATH"] += ":/usr/sbin"
    with tempfile.TemporaryDirectory() as folder:
        rows(sys.argv[1:] or ["single", "pipelined", "batch", "paced", "ws", "idle"], folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
