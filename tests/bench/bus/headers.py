"""Headers of events in Python, by our extension or by struct: prints nanoseconds an event.

usage: headers.py ours|struct N

Both give the same four columns (sequence, time, topic, type) of the same events and check that
no sequence number is missing. Publishing is not measured.
"""

from __future__ import annotations

import struct
import sys
import time

import jimbot

BATCH = 4096
PAYLOAD = jimbot.encode("MONEY_CHANGED", {"old_value": 4, "new_value": 9, "difference": 5})
# A record as it might lie in a ring: length, topic, sequence, time, publisher, type, priority,
# flags; then the payload in whole words.
HEAD = struct.Struct("<IIQQIHBB")

Columns = tuple[object, object, object, object]


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


def as_records(batch: jimbot.Batch) -> bytes:
    records = bytearray()
    rows = zip(batch, batch.sequence, batch.time_ns, batch.topic_id, batch.type, strict=True)
    for event, sequence, time_ns, topic_id, kind in rows:
        payload = bytes(event.payload)
        records += HEAD.pack(len(payload), topic_id, sequence, time_ns, 0, kind, 0, 0)
        records += payload + bytes(-len(payload) % 8)
    return bytes(records)


def by_struct(records: memoryview) -> Columns:
    sequences, times, topics, kinds = [], [], [], []
    at, end, unpack = 0, len(records), HEAD.unpack_from
    while at < end:
        length, topic_id, sequence, time_ns, _publisher, kind, _priority, _flags = unpack(
            records, at
        )
        sequences.append(sequence)
        times.append(time_ns)
        topics.append(topic_id)
        kinds.append(kind)
        at += 32 + (length + 7 & ~7)
    return sequences, times, topics, kinds


def pure(bus: jimbot.Bus, sub: jimbot.Subscription, n_all: int) -> float:
    seconds, n, due = 0.0, 0, None
    while n < n_all:
        fill(bus, BATCH)
        batch = sub.poll(BATCH)
        records = memoryview(as_records(batch))
        begun = time.perf_counter()
        columns = by_struct(records)
        seconds += time.perf_counter() - begun
        due = check(columns[0], due)
        n += len(batch)
    return seconds / n


def check(sequences: list[int], due: int | None) -> int:
    first = sequences[0] if due is None else due
    if sequences != list(range(first, first + BATCH)):
        sys.exit("headers.py: an event is missing")
    return first + BATCH


def main() -> None:
    how, n_all = {"ours": ours, "struct": pure}[sys.argv[1]], int(sys.argv[2])
    with jimbot.Bus.open(None, capacity=1 << 24) as bus, bus.subscribe(">") as sub:
        how(bus, sub, BATCH)
        print(f"{how(bus, sub, min(n_all, 200_000)) * 1e9:.2f}")


if __name__ == "__main__":
    main()
