"""What an event costs in Python: JSON lines, one figure each, best of five rounds.

Publisher and reader are one thread, so a figure is that call's own time and nobody waits.
"""

from __future__ import annotations

import array
import json
import time
from collections.abc import Callable

import jimbot

N = 20_000
BATCH = 1024
PAYLOAD = {"old_value": 4, "new_value": 9, "difference": 5}
BYTES = jimbot.encode("MONEY_CHANGED", PAYLOAD)
COLUMNS = {key: memoryview(array.array("q", [value] * N)) for key, value in PAYLOAD.items()}
TEXT = json.dumps({"type": "MONEY_CHANGED", "payload": PAYLOAD})


def measure(name: str, before: Callable[[], object], work: Callable[[], object]) -> None:
    best = float("inf")
    for _ in range(6):
        before()
        begun = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begun)
    figure = {"name": name, "ops": N, "ns_per_op": round(best / N * 1e9, 1)}
    print(json.dumps(figure | {"ops_per_s": round(N / best)}), flush=True)


def main() -> None:
    with jimbot.Bus.open(None, capacity=1 << 24) as bus, bus.subscribe(">") as sub:

        def drain() -> None:
            while len(sub.poll(BATCH)) > 0:
                pass

        def fill() -> None:
            drain()
            for _ in range(N):
                bus.publish(None, BYTES)

        def publish(type: str | None, data: object) -> Callable[[], None]:
            def work() -> None:
                for _ in range(N):
                    bus.publish(type, data)  # type: ignore[arg-type]

            return work

        def publish_many(items: list[object]) -> Callable[[], None]:
            def work() -> None:
                for at in range(0, N, BATCH):
                    bus.publish_many(None, items[at : at + BATCH])  # type: ignore[arg-type]

            return work

        def publish_columns() -> None:
            for at in range(0, N, BATCH):
                rows = {key: column[at : at + BATCH] for key, column in COLUMNS.items()}
                bus.publish_columns("MONEY_CHANGED", rows)

        def read(use: Callable[[jimbot.Batch], object]) -> Callable[[], None]:
            def work() -> None:
                n = 0
                while n < N:
                    batch = sub.poll(BATCH)
                    n += len(batch)
                    use(batch)

            return work

        def iterate() -> None:
            for _, _event in zip(range(N), sub):
                pass

        def headers(batch: jimbot.Batch) -> None:
            batch.sequence, batch.time_ns, batch.topic_id, batch.type

        measure("python.publish.dict", drain, publish("MONEY_CHANGED", PAYLOAD))
        measure("python.publish.json", drain, publish(None, TEXT))
        measure("python.publish.bytes", drain, publish(None, BYTES))
        measure("python.publish_many.bytes", drain, publish_many([BYTES] * N))
        measure("python.publish_columns", drain, publish_columns)
        measure("python.poll", fill, read(len))
        measure("python.poll.headers", fill, read(headers))
        measure("python.poll.column", fill, read(lambda b: b.column("money_changed.new_value")))
        measure("python.poll.to_dict", fill, read(lambda b: [e.to_dict() for e in b]))
        measure("python.iterate", fill, iterate)


if __name__ == "__main__":
    main()
