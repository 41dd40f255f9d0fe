"""The demo's agent: reads batches as numpy columns, decides, and sends commands back to the game.

usage: agent.py BUS. Prints "ready", later its books as one JSON object.
"""

import json
import sys

import numpy as np

import jimbot

PATTERNS = [
    "game.>",
    "learning.decision.request",
    "strategy.request",
    "knowledge.query",
    "custom.demo_over",
]


class Agent:
    """Counts what it sees and answers what it is asked."""

    def __init__(self, bus: jimbot.Bus) -> None:
        self.bus = bus
        self.events = 0
        self.missed = 0
        self.published = 0
        self.decisions = 0
        self.states = 0
        self.best_chips = 0.0
        self.money = np.empty(0)
        self.latency_ns: list[np.ndarray] = []
        self.is_over = False

    def read(self, batch: jimbot.Batch) -> None:
        """Columns first: no Python object per event."""
        self.latency_ns.append(jimbot.now_ns() - batch.time_ns.astype(np.int64))
        self.events += len(batch)
        self.missed += int(batch.n_missed.sum())
        money = batch.column("game_state.money")
        chips = batch.column("game_state.chips")
        self.states += int(np.count_nonzero(~np.isnan(money)))
        self.money = np.concatenate([self.money, money[~np.isnan(money)]])[-1000:]
        self.best_chips = float(np.nanmax(chips, initial=self.best_chips))
        answered = np.isin(
            batch.type,
            [
                jimbot.EventType.LEARNING_DECISION_REQUEST,
                jimbot.EventType.STRATEGY_REQUEST,
                jimbot.EventType.KNOWLEDGE_QUERY,
                jimbot.EventType.CUSTOM,
            ],
        )
        for i in np.flatnonzero(answered):
            self.answer(batch[int(i)])

    def answer(self, event: jimbot.Event) -> None:
        if event.topic == "custom.demo_over":
            self.is_over = True
            return
        payload = event.to_dict()["payload"]
        if event.topic == "learning.decision.request":
            self.decide(payload)
        elif event.topic == "strategy.request":
            advice = {"request_id": payload["request_id"], "strategy": "play what is dealt"}
            self.publish("STRATEGY_RESPONSE", advice)
        else:
            facts = {"query_id": payload["query_id"], "key": "jokers", "confidence": 0.5}
            self.publish("KNOWLEDGE_UPDATE", facts)

    def decide(self, request: dict) -> None:
        """Discard once in a while, buy when rich, otherwise take the first thing offered."""
        actions = request["available_actions"]
        action = actions[0]
        if "discard" in actions and self.decisions % 4 == 3:
            action = "discard"
        if "buy_joker" in actions and request["game_state"]["money"] < 6:
            action = "skip_shop"
        self.decisions += 1
        self.bus.send_command(action, id=request["request_id"], timeout=1.0)
        self.published += 1
        decision = {"request_id": request["request_id"], "action": action, "confidence": 0.9}
        self.publish("LEARNING_DECISION", decision, subtype="RESPONSE")

    def publish(self, kind: str, payload: dict, **envelope: str) -> None:
        self.bus.publish(kind, payload, source="agent", timeout=1.0, **envelope)
        self.published += 1

    def books(self) -> dict:
        latency = np.concatenate(self.latency_ns) if self.latency_ns else np.zeros(1)
        p50, p99 = np.percentile(latency, [50, 99]) / 1e3
        return {
            "events": self.events,
            "missed": self.missed,
            "published": self.published,
            "decisions": self.decisions,
            "states": self.states,
            "mean_money": float(self.money.mean()) if self.money.size else 0.0,
            "best_chips": self.best_chips,
            "p50_us": round(float(p50), 1),
            "p99_us": round(float(p99), 1),
        }


def main() -> None:
    with jimbot.Bus.open(sys.argv[1], peer_name="agent") as bus:
        agent = Agent(bus)
        with bus.subscribe(PATTERNS, name="agent") as sub:
            print("ready", flush=True)
            while not agent.is_over:
                agent.read(sub.poll(timeout=1.0))
        print(json.dumps(agent.books()), flush=True)


if __name__ == "__main__":
    main()
