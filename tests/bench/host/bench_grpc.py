#!/usr/bin/env python3
"""gRPC figures: jimbotd beside a C++ server of libgrpc++ with the same methods, each alone on core 0, the same
client on core 1, in turns.

Prints one JSON object a line. `grpc_unary`: Publish of one small event, 64 calls in flight on one connection.
`grpc_stream`: one call of PublishMany, one event in each message. The peer parses and answers; jimbotd also
publishes on its bus. Figures are medians. BENCH_SECONDS sets how long each run is (2), BENCH_ROUNDS how many (5).
"""

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time

SECONDS = os.environ.get("BENCH_SECONDS", "2")
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
SERVER_CORE, LOAD_CORE = "0", "1"
EVENT_BYTES = {"unary": "40", "stream": "100"}


def say(**figures):
    print(json.dumps(figures), flush=True)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def start(name, port):
    address = "127.0.0.1:%d" % port
    if name == "jimbotd":
        bus = "/dev/shm/jimbot-bench-%d" % os.getpid()
        words = [os.environ["JIMBOTD"], "--http", address, "--grpc", "none", "--bus", bus, "--log-level", "error"]
    else:
        words = [os.environ["GRPC_PEER"], address]
    server = subprocess.Popen(["taskset", "-c", SERVER_CORE, *words], stdout=subprocess.DEVNULL)
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return server
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(name + " did not start")


def run(port, kind, seconds=SECONDS):
    words = [os.environ["GRPC_LOAD"], "127.0.0.1", str(port), kind, seconds, "64", EVENT_BYTES[kind]]
    done = subprocess.run(["taskset", "-c", LOAD_CORE, *words], text=True, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def measure(name, kind):
    port = free_port()
    server = start(name, port)
    try:
        run(port, kind, "0.3")
        return run(port, kind)
    finally:
        server.terminate()
        server.wait(10)


def main():
    if not shutil.which("taskset") or len(os.sched_getaffinity(0)) < 2:
        say(name="grpc", skipped="needs taskset and two cores")
        return 0
    names = ["jimbotd"] + (["c++"] if "GRPC_PEER" in os.environ else [])
    for kind in ("unary", "stream"):
        rates = {name: [] for name in names}
        for _ in range(ROUNDS):
            for name in names:
                figures = measure(name, kind)
                rates[name].append(figures["n"] / figures["seconds"])
                last = {key: figures[key] for key in ("p50_us", "p99_us") if kind == "unary"}
                say(name="grpc_%s_run" % kind, server=name, per_s=round(rates[name][-1]), **last)
        medians = {name: statistics.median(rates[name]) for name in names}
        for name in names:
            say(name="grpc_" + kind, server=name, per_s=round(medians[name]))
        if "c++" in names:
            say(name="grpc_%s_ratio" % kind, jimbotd_over_cpp=round(medians["jimbotd"] / medians["c++"], 2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
