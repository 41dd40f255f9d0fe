#!/usr/bin/env python3
"""HTTP figures: jimbotd beside nginx, each alone on core 0, wrk on core 1, the same bodies, the same run.

Prints one JSON object a line. nginx answers `return 200` from one worker and looks at nothing, so its rate is
what one core of this machine gives HTTP at all. BENCH_SECONDS sets how long each figure is measured (3).
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
SECONDS = int(os.environ.get("BENCH_SECONDS", "3"))
SERVER_CORE, LOAD_CORE = "0", "1"

SINGLE = (
    '{"event_id":"@","type":"MONEY_CHANGED","source":"BalatroMCP","version":1,"timestamp":1000016.6666667,'
    '"payload":{"old_value":4,"new_value":7,"difference":3}}'
)
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


def load(folder, port, path, body, run, connections=16, seconds=SECONDS, pace_ms=None):
    """Run wrk; returns (requests/s, errors, p50 us, p99 us, requests)."""
    name = os.path.join(folder, "body")
    with open(name, "w", encoding="utf-8") as f:
        f.write(body)
    done = subprocess.run(
        pinned(LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", f"{HERE}/bench_http.lua",
               f"http://127.0.0.1:{port}{path}"),
        env=dict(os.environ, BENCH_HEAD=run, BENCH_BODY=name, BENCH_PACE_MS=str(pace_ms or "")),
        text=True, capture_output=True, check=True)
    words = next(line for line in done.stdout.splitlines() if line.startswith("RESULT")).split()[1:]
    n, errors, p50, p99, took = int(words[0]), int(words[1]), *map(float, words[2:])
    return n / took, errors, p50, p99, n


def published(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as page:
        lines = [line for line in page.read().decode().splitlines() if line.startswith("jimbot_events_published_total")]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def measure(name, folder, port, path, body, run, events=1, **how):
    rate, errors, p50, p99, n = load(folder, port, path, body, run, **how)
    say(name=name, ops=n, ops_per_s=round(rate), events_per_s=round(rate * events), p50_us=p50, p99_us=p99,
        errors=errors)
    return rate, n, errors


def bench_jimbotd(folder, port):
    batch = '{"batch_id":"b","source":"BalatroMCP","events":[' + ",".join([SINGLE] * 50) + "]}"
    load(folder, port, "/api/v1/events", SINGLE, "warm", seconds=1)
    before = published(port)
    rate, n, errors = measure("http_single", folder, port, "/api/v1/events", SINGLE, "s")
    _, n_batches, batch_errors = measure("http_batch_50", folder, port, "/api/v1/events/batch", batch, "b", 50)
    # Latency where the server is busy but not saturated: each of the connections rests 1 ms in between.
    _, n_paced, paced_errors = measure("http_single_paced", folder, port, "/api/v1/events", SINGLE, "p",
                                       connections=24, pace_ms=1)
    answered = n + n_paced + 50 * n_batches
    # wrk abandons what is in flight when its time is over, so a few more may have been published.
    stored = published(port) - before
    say(name="http_books", answered=answered, published=stored,
        good=bool(answered <= stored and not errors + batch_errors + paced_errors))
    return rate


def start_jimbotd(folder, port):
    return subprocess.Popen(
        pinned(SERVER_CORE, os.environ.get("JIMBOTD", "jimbotd"), "--http", f"127.0.0.1:{port}", "--bus",
               os.path.join("/dev/shm", f"jimbot-bench-{os.getpid()}"), "--log-level", "error"),
        stdout=subprocess.DEVNULL)


def start_nginx(folder, port):
    config = os.path.join(folder, "nginx.conf")
    with open(config, "w", encoding="utf-8") as f:
        f.write(NGINX.format(dir=folder, port=port))
    return subprocess.Popen(pinned(SERVER_CORE, "nginx", "-p", folder, "-c", config), stderr=subprocess.DEVNULL)


def with_server(start, folder, bench):
    port = free_port()
    server = start(folder, port)
    try:
        wait_for(port)
        return bench(folder, port)
    finally:
        server.terminate()
        server.wait(10)


def bench_nginx(folder, port):
    load(folder, port, "/", SINGLE, "warm", seconds=1)
    return measure("nginx_return_200", folder, port, "/", SINGLE, "s")[0]


def main():
    if not shutil.which("wrk") or not shutil.which("taskset") or len(os.sched_getaffinity(0)) < 2:
        say(name="http", skipped="needs wrk, taskset and two cores")
        return 0
    os.environ["PATH"] += ":/usr/sbin"
    with tempfile.TemporaryDirectory() as folder:
        ours = with_server(start_jimbotd, folder, bench_jimbotd)
        if not shutil.which("nginx"):
            say(name="http_ratio", skipped="nginx is not installed")
            return 0
        theirs = with_server(start_nginx, folder, bench_nginx)
    say(name="http_ratio", jimbotd_over_nginx=round(ours / theirs, 3))
    return 0


if __name__ == "__main__":
    sys.exit(main())
