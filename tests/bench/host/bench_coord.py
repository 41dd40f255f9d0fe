#!/usr/bin/env python3
"""coordinatord over gRPC: leases asked for and given back at a steady rate, on one connection.

Prints one JSON object a line, the median of some rounds. A request's time begins when it was due. BENCH_SECONDS sets
how long each round is (3), BENCH_ROUNDS how many (5), BENCH_RATE how many requests a second (10000). BENCH_PRIORITY=1
runs both as real-time programs, on a machine that others use too.
"""

import json
import os
import statistics
import subprocess
import tempfile

SETTINGS = ("[host]\nhttp = 127.0.0.1:0\n[coordinator]\nmax_leases = 16384\n"
            "[resource ram]\nkind = memory\ncapacity = 1000000\n[component a]\nweight = 1\n")
SECONDS = os.environ.get("BENCH_SECONDS", "3")
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
RATE = os.environ.get("BENCH_RATE", "10000")
PRIORITY = ["chrt", "-f", "40"] if os.environ.get("BENCH_PRIORITY") else []


def main():
    with tempfile.NamedTemporaryFile("w", suffix=".ini") as f:
        f.write(SETTINGS)
        f.flush()
        server = subprocess.Popen([*PRIORITY, os.environ["COORDINATORD"], "--config", f.name], text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            port = server.stdout.readline().split("://127.0.0.1:")[1].split(",")[0]
            rounds = []
            for _ in range(ROUNDS + 1):
                words = [*PRIORITY, os.environ["COORD_LOAD"], "127.0.0.1", port, RATE, SECONDS, "ram", "a"]
                done = subprocess.run(words, text=True, stdout=subprocess.PIPE, check=True)
                rounds.append(json.loads(done.stdout))
        finally:
            server.terminate()
            server.wait()
    middle = {key: round(statistics.median(r[key] for r in rounds[1:]), 1) for key in rounds[0] if key.endswith("_us")}
    print(json.dumps({"name": "coordinator_grpc", "requests_per_s": int(RATE), **middle}), flush=True)


if __name__ == "__main__":
    main()
