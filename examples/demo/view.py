"""One screen that shows a bus at work: events by topic, rate, latency, decisions."""

from __future__ import annotations

import time
from collections import Counter, deque
from typing import TextIO

import numpy as np

import jimbot

REFRESH_S = 0.25
LINE_S = 4.0


class View:
    """Counts batches and draws them: a screen on a terminal, a line now and then elsewhere."""

    def __init__(self, out: TextIO, title: str) -> None:
        self.out = out
        self.title = title
        self.topics: Counter[str] = Counter()
        self.n_events = 0
        self.started = time.monotonic()
        self.drawn = 0.0
        self.recent: deque[tuple[float, int]] = deque(maxlen=200)
        self.latency_ns: deque[int] = deque(maxlen=4096)
        if out.isatty():
            out.write("\x1b[2J")

    def add(self, bus: jimbot.Bus, batch: jimbot.Batch) -> None:
        if not len(batch):
            return
        now = jimbot.now_ns()
        ids, counts = np.unique(batch.topic_id, return_counts=True)
        for topic_id, count in zip(ids.tolist(), counts.tolist()):
            self.topics[bus.topic_name(topic_id)] += count
        self.n_events += len(batch)
        self.recent.append((time.monotonic(), len(batch)))
        self.latency_ns.extend((now - batch.time_ns.astype(np.int64)).tolist())

    def figures(self) -> str:
        now = time.monotonic()
        rate = sum(n for at, n in self.recent if now - at <= 2.0) / min(2.0, max(now - self.started, 0.1))
        p50, p99 = np.percentile(self.latency_ns or [0], [50, 99]) / 1e3
        return (
            f"{now - self.started:4.0f} s  {self.n_events:6} events  {rate:5.0f}/s  "
            f"latency p50 {p50:.0f} µs p99 {p99:.0f} µs  "
            f"decisions {self.topics['learning.decision.request']} asked, "
            f"{self.topics['learning.decision.response']} answered"
        )

    def show(self, stats: dict[str, int]) -> None:
        now = time.monotonic()
        every = REFRESH_S if self.out.isatty() else LINE_S
        if now - self.drawn < every:
            return
        self.drawn = now
        if not self.out.isatty():
            print(self.figures(), file=self.out, flush=True)
            return
        most = self.topics.most_common(18)
        widest = max((n for _, n in most), default=1)
        lines = [f"jimbot demo: {self.title}", self.figures(), ""]
        lines += [f"{topic:36} {n:6} {'█' * (30 * n // widest)}" for topic, n in most]
        lines += [
            "",
            f"{stats['n_peers']} peers, {stats['n_subs']} subscriptions, "
            f"{stats['used_bytes'] / 1e6:.1f} of {stats['capacity_bytes'] / 1e6:.0f} MB kept, "
            f"{stats['n_full']} times full",
        ]
        self.out.write("\x1b[H" + "".join(line + "\x1b[K\n" for line in lines) + "\x1b[J")
        self.out.flush()

    def close(self) -> None:
        if not self.out.isatty():
            print(self.figures(), file=self.out, flush=True)
