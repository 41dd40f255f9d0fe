"""One of the programs that share a GPU: a trainer, an advisor, or a visitor that is going to be killed.

usage: program.py ROLE COORDINATOR COMPONENT DEVICE STEP_MS [URL]

Says "ready", begins with a line on standard input, ends with the next one, and prints what it did as JSON.
"""

from __future__ import annotations

import fcntl
import json
import random
import sys
import threading
import time
import urllib.error
import urllib.request
from typing import Any

import jimbot

STOP = threading.Event()


class Device:
    """The simulated GPU: it takes time, and does not bear two at once."""

    def __init__(self, path: str) -> None:
        self.file = open(path, "r+b")
        self.busy_s = 0.0
        self.collisions = 0

    def run(self, seconds: float) -> None:
        begin = time.monotonic()
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.collisions += 1
            return
        time.sleep(seconds)
        fcntl.flock(self.file, fcntl.LOCK_UN)
        self.busy_s += time.monotonic() - begin


def use_gpu(coord: jimbot.Coordinator, component: str, device: Device, step_s: float) -> int:
    """Steps of uneven length, slice after slice, until told to stop."""
    n_slices = 1
    with coord.gpu_slice(component, ms=step_s * 1000) as turn:
        while not STOP.is_set():
            device.run(step_s * random.uniform(0.5, 1.5))
            if turn.is_due():
                turn.next()
                n_slices += 1
    return n_slices


def call_service(api: jimbot.Api, url: str, counts: dict[str, int]) -> None:
    """Call whenever the limits allow it, and far more often try to."""
    while not STOP.is_set():
        try:
            with api.try_acquire(tokens=500) as call:
                with urllib.request.urlopen(url, timeout=10) as answer:
                    call.commit(tokens=int(answer.read()))
                    api.answered(dict(answer.headers))
            counts["calls"] += 1
        except jimbot.Denied:
            counts["denied"] += 1
        except urllib.error.HTTPError:
            counts["refused"] += 1
        STOP.wait(0.005)


def begin(counts: dict[str, Any]) -> None:
    """Wait for the first line; the second one, or the end, stops the program."""

    def wait_for_stop() -> None:
        sys.stdin.readline()
        STOP.set()

    print("ready", flush=True)
    sys.stdin.readline()
    threading.Thread(target=wait_for_stop, daemon=True).start()


def main(role: str, name: str, component: str, path: str, step_ms: str, url: str = "") -> None:
    coord = jimbot.coordinator(name)
    device = Device(path)
    counts: dict[str, Any] = {"calls": 0, "denied": 0, "refused": 0}
    memory = coord.acquire(component, {"vram0": 2 << 30}, timeout=10)
    if role == "visitor":
        slice_ = coord.gpu_slice(component).__enter__()
        print(f"holds {slice_.token}", flush=True)
        time.sleep(3600)
    begin(counts)
    callers = [
        threading.Thread(target=call_service, args=(coord.api("claude", component), url, counts))
        for _ in range(2 if role == "advisor" else 0)
    ]
    for caller in callers:
        caller.start()
    counts["slices"] = use_gpu(coord, component, device, float(step_ms) / 1000)
    for caller in callers:
        caller.join()
    memory.release()
    counts |= {"gpu_s": device.busy_s, "collisions": device.collisions}
    print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
