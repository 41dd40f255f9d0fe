"""Two training-like programs and one LLM-like program share a simulated GPU, and a service of 100 calls an hour.

Nobody serves the coordinator: the programs share it through its name. In the middle a fourth program takes the GPU and
is killed. Exits 0 only if each had its share of the time within 2 % of all, the GPU never met two at once, what the
killed one held was free again within a second, and the service was never called a 101st time.
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import jimbot

PROGRAM = Path(__file__).resolve().parent / "program.py"
# name: (role, weight, milliseconds a step); the steps of the heavy ones are not the longest.
PROGRAMS = {"rllib": ("trainer", 5, 8), "probe": ("trainer", 3, 14), "advisor": ("advisor", 2, 5)}
CALLS = 100
TOLERANCE = 0.02


class Service(http.server.BaseHTTPRequestHandler):
    """What costs money: counts its calls, refuses the 101st, says what is left."""

    n_calls = 0
    lock = threading.Lock()

    def do_GET(self) -> None:
        with Service.lock:
            Service.n_calls += 1
            left = CALLS - Service.n_calls
        self.send_response(200 if left >= 0 else 429)
        self.send_header("anthropic-ratelimit-requests-remaining", str(max(left, 0)))
        self.end_headers()
        self.wfile.write(b"321")

    def log_message(self, *_: object) -> None:
        pass


def start(name: str, component: str, role: str, device: str, step_ms: float, url: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(PROGRAM), role, name, component, device, str(step_ms), url]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def line_of(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def tell(child: subprocess.Popen[str], text: str) -> None:
    assert child.stdin is not None
    child.stdin.write(text + "\n")
    child.stdin.flush()


def make(name: str) -> jimbot.Coordinator:
    components: dict[str, jimbot.ComponentSpec] = {n: {"weight": w} for n, (_, w, _) in PROGRAMS.items()}
    components["visitor"] = {"weight": 1}
    return jimbot.coordinator(
        name,
        resources={
            "gpu0": {"kind": "gpu_time", "capacity": 1},
            "vram0": {"kind": "gpu_memory", "capacity": 24 << 30, "headroom": 1 << 30},
            "claude.calls": {"kind": "calls", "capacity": 4},
            "claude.tokens": {"kind": "tokens", "capacity": 1},
        },
        components=components,
        limits=[
            {"resource": "claude.calls", "kind": "window", "amount": CALLS, "period": 3600},
            {"resource": "claude.tokens", "kind": "rate", "amount": 10_000_000, "period": 60},
        ],
    )


def kill_a_visitor(coord: jimbot.Coordinator, name: str, device: str) -> float:
    """Seconds from its death until nothing is held in its name."""
    visitor = start(name, "visitor", "visitor", device, 0, "")
    assert line_of(visitor).startswith("holds"), "the visitor did not get the GPU"
    visitor.kill()
    visitor.wait()
    begin = time.monotonic()
    while any(lease["component"] == "visitor" for lease in coord.leases()) and time.monotonic() < begin + 10:
        time.sleep(0.005)
    return time.monotonic() - begin


def run(coord: jimbot.Coordinator, name: str, seconds: float, url: str) -> tuple[dict[str, dict], float]:
    with tempfile.NamedTemporaryFile() as device:
        children = {n: start(name, n, role, device.name, ms, url) for n, (role, _, ms) in PROGRAMS.items()}
        try:
            for child in children.values():
                assert line_of(child) == "ready", "a program did not begin"
            for child in children.values():
                tell(child, "go")
            begin = time.monotonic()
            time.sleep(seconds / 2)
            cleaned_s = kill_a_visitor(coord, name, device.name)
            time.sleep(max(0.0, begin + seconds - time.monotonic()))
            for child in children.values():
                tell(child, "stop")
            return {n: json.loads(line_of(child)) for n, child in children.items()}, cleaned_s
        finally:
            for child in children.values():
                child.kill()
                child.communicate()


def judge(coord: jimbot.Coordinator, did: dict[str, dict], cleaned_s: float) -> list[str]:
    """Prints what came out, and returns what is wrong with it."""
    wrong = []
    total = sum(d["gpu_s"] for d in did.values())
    weights = sum(w for _, w, _ in PROGRAMS.values())
    for n, (_, weight, _) in PROGRAMS.items():
        share, due = did[n]["gpu_s"] / total, weight / weights
        print(f"{n}: {did[n]['gpu_s']:.2f} s in {did[n]['slices']} slices: {share:.1%} of the GPU, due {due:.0%}")
        if abs(share - due) > TOLERANCE:
            wrong.append(f"{n} had {share:.1%} and not {due:.0%}")
    calls, denied = did["advisor"]["calls"], did["advisor"]["denied"]
    print(f"the service was called {Service.n_calls} times; {denied} more were not made")
    print(f"what the killed one held was free after {cleaned_s * 1000:.0f} ms")
    if Service.n_calls != calls or Service.n_calls > CALLS or did["advisor"]["refused"]:
        wrong.append(f"{Service.n_calls} calls came to the service, {calls} were made")
    if cleaned_s >= 1:
        wrong.append(f"it took {cleaned_s:.2f} s to clean up after the killed one")
    if any(d["collisions"] for d in did.values()):
        wrong.append("two were on the GPU at once")
    if coord.leases() or coord.waiters():
        wrong.append("somebody still holds or wants something")
    coord.audit()
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long they share (default 60)")
    seconds = parser.parse_args().seconds
    name = f"sharing-{os.getpid()}"
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with make(name) as coord:
            wrong = judge(coord, *run(coord, name, seconds, f"http://127.0.0.1:{server.server_port}/"))
    finally:
        jimbot.unlink_coordinator(name)
    for text in wrong:
        print(f"BAD {text}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
