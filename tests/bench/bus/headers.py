"""Headers of events in Python, by our extension or by struct: prints nanoseconds an event.

usage: headers.py ours|struct N

Both give the same columns of the same events in the same ring, and check them: sequence, time,
topic and type. The one with struct maps the segment and walks the records as they lie there. It
has it easier than a reader that could be trusted: it knows where the next record is and does not
look at the marks which say that it is complete. Publishing is not measured.
"""

from __future__ import annotations

import mmap
import struct
import sys
import tempfile
import time
from pathlib import Path

import jimbot

BATCH = 4096
CAPACITY = 1 << 24
BLOCK = 64
PAYLOAD = jimbot.encode("MONEY_CHANGED", {"old_value": 4, "new_value": 9, "difference": 5})
# struct jbi_record: length, topic, time, source time, key, type, publisher, priority and flags.
HEAD = struct.Struct("<IIQdIHBB")

Columns = tuple[list[int], list[int], list[int], list[int]]


def fill(bus: jimbot.Bus, n: int) -> None:
    for _ in range(n):
        bus.publish(None, PAYLOAD)


def ours(bus: jimbot.Bus, sub: jimbot.Subscription, n_all: int) -> float:
    seconds, n, due = 0.0, 0, None
    while n < n_all:
        fill(bus, BATCH)
        begun = time.perf_counter()
        batch = sub.poll(BATCH)
        columns = batch.sequence, batch.time_ns, batch.topic_id, batch.type
        seconds += time.perf_counter() - begun
        due = check(list(columns[0]), due)
        n += len(batch)
    return seconds / n


def by_struct(ring: memoryview, at: int, n: int, sequence: int) -> Columns:
    sequences, times, topics, kinds = [], [], [], []
    unpack, blocks = HEAD.unpack_from, BLOCK - 1
    for _ in range(n):
        length, topic_id, time_ns, _source, _key, kind, _publisher, _bits = unpack(ring, at)
        sequences.append(sequence)
        times.append(time_ns)
        topics.append(topic_id)
        kinds.append(kind)
        sequence += 1
        at += HEAD.size + length + blocks & ~blocks
        if at == CAPACITY:
            at = 0
    return sequences, times, topics, kinds


def find_log(segment: mmap.mmap) -> tuple[int, int]:
    """Where the log begins, by its first event; and the bytes from one event to the next."""
    at = segment.find(PAYLOAD) - HEAD.size
    stride = HEAD.size + len(PAYLOAD) + BLOCK - 1 & ~(BLOCK - 1)
    if at < 0 or at % mmap.PAGESIZE or CAPACITY % stride:
        sys.exit("headers.py: the ring is not where it was looked for")
    return at, stride


def pure(bus: jimbot.Bus, sub: jimbot.Subscription, n_all: int) -> float:
    seconds, n, due = 0.0, 0, None
    with open(str(bus.name), "rb") as file:
        segment = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    done = int(bus.stats()["n_published"])
    fill(bus, BATCH)
    log, stride = find_log(segment)
    ring = memoryview(segment)[log : log + CAPACITY]
    while n < n_all:
        at = done * stride % CAPACITY
        begun = time.perf_counter()
        columns = by_struct(ring, at, BATCH, done + 1)
        seconds += time.perf_counter() - begun
        batch = sub.poll(BATCH)
        same = batch.sequence, batch.time_ns, batch.topic_id, batch.type
        if columns != tuple(list(column) for column in same):
            sys.exit("headers.py: the columns differ")
        due = check(columns[0], due)
        n, done = n + BATCH, done + BATCH
        fill(bus, BATCH)
    while len(sub.poll(BATCH)) > 0:
        pass
    return seconds / n


def check(sequences: list[int], due: int | None) -> int:
    first = sequences[0] if due is None else due
    if sequences != list(range(first, first + BATCH)):
        sys.exit("headers.py: an event is missing")
    return first + BATCH


def main() -> None:
    how, n_all = {"ours": ours, "struct": pure}[sys.argv[1]], int(sys.argv[2])
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        with jimbot.Bus.create(Path(folder) / "bus", capacity=CAPACITY) as bus:
            with bus.subscribe(">") as sub:
                how(bus, sub, BATCH)
                print(f"{how(bus, sub, min(n_all, 200_000)) * 1e9:.2f}")


if __name__ == "__main__":
    main()
