"""Subscriptions: patterns, policies, waiting, statistics, commands."""

from __future__ import annotations

import itertools
import time

import pytest

import jimbot


def publish_numbers(bus: jimbot.Bus, numbers: range) -> None:
    for i in numbers:
        bus.publish("METRIC", {"name": "n", "value": i})


def numbers(batch: jimbot.Batch) -> list[float]:
    return [float(x) for x in batch.column("metric.value").tolist()]


def test_patterns_select(bus: jimbot.Bus) -> None:
    with bus.subscribe("game.*.changed") as one, bus.subscribe(["system.>", "game.hand.*"]) as two:
        for type in ("MONEY_CHANGED", "HAND_PLAYED", "HEARTBEAT", "ERROR", "SCORE_CHANGED"):
            bus.publish(type, {})
        assert [event.type for event in one.poll()] == ["MONEY_CHANGED", "SCORE_CHANGED"]
        assert [event.type for event in two.poll()] == ["HAND_PLAYED", "HEARTBEAT", "ERROR"]
        assert two.patterns == ("system.>", "game.hand.*")
        assert one.stats()["n_filtered"] == 3


@pytest.mark.parametrize("pattern", ["", "a..b", ">.a", "a b", ["game.>", "x..y"], "x" * 200])
def test_what_is_no_pattern_is_refused(bus: jimbot.Bus, pattern: str) -> None:
    with pytest.raises(jimbot.Invalid):
        bus.subscribe(pattern)
    assert bus.stats()["n_subs"] == 0


def test_bad_arguments_are_refused(bus: jimbot.Bus) -> None:
    with pytest.raises(ValueError, match="policy is 'lossless', 'latest' or 'conflate', not 'fast'"):
        bus.subscribe(">", policy="fast")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="start is 'now' or 'oldest'"):
        bus.subscribe(">", start="yesterday")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="wait is 'block', 'spin' or 'busy'"):
        bus.subscribe(">", wait="nap")  # type: ignore[arg-type]
    with pytest.raises(jimbot.Invalid, match="HIGH_FIRST"):
        bus.subscribe(">", "latest", high_first=True)
    for number in (-1, 1 << 64):
        with pytest.raises(OverflowError):
            bus.subscribe(">", spin_ns=number)
    with pytest.raises(ValueError):
        bus.subscribe([])
    with pytest.raises(TypeError):
        bus.subscribe([1])  # type: ignore[list-item]
    with bus.subscribe(">") as sub:
        for n in (0, -1, 1 << 40):
            with pytest.raises(ValueError):
                sub.poll(n)
    assert bus.stats()["n_subs"] == 0


def test_poll_takes_at_most_what_was_asked_for(bus: jimbot.Bus) -> None:
    with bus.subscribe(">") as sub:
        assert len(sub.poll()) == 0
        publish_numbers(bus, range(10))
        assert numbers(sub.poll(4)) == [0, 1, 2, 3]
        assert numbers(sub.poll(4)) == [4, 5, 6, 7]
        assert numbers(sub.poll(4)) == [8, 9]
        assert numbers(sub.poll(4)) == []


def test_a_loop_that_is_left_loses_nothing(bus: jimbot.Bus) -> None:
    with bus.subscribe(">") as sub:
        publish_numbers(bus, range(10))
        seen = [event.sequence for event in itertools.islice(sub, 3)]
        rest = sub.poll()
    assert seen + rest.sequence.tolist() == list(range(seen[0], seen[0] + 10))


def test_start_oldest_sees_what_is_there(bus: jimbot.Bus) -> None:
    publish_numbers(bus, range(3))
    with bus.subscribe(">", start="oldest") as old, bus.subscribe(">") as new:
        assert numbers(old.poll()) == [0, 1, 2]
        assert len(new.poll()) == 0


def test_a_lossless_subscription_stops_publishers() -> None:
    with jimbot.Bus.open(None, capacity=1 << 16) as bus, bus.subscribe(">") as sub:
        sent = 0
        with pytest.raises(jimbot.Full) as caught:
            for sent in itertools.count():
                bus.publish("METRIC", {"name": "n", "value": sent})
        assert caught.value.code == -4
        assert sent > 100
        begun = time.monotonic()
        with pytest.raises(jimbot.Full):
            bus.publish("METRIC", {"name": "n", "value": sent}, timeout=0.2)
        assert 0.15 < time.monotonic() - begun < 5
        assert numbers(sub.poll(1 << 16)) == list(range(sent))
        bus.publish("METRIC", {"name": "n", "value": sent})
        assert numbers(sub.poll()) == [sent]
        assert sub.stats()["n_missed"] == 0
        assert bus.stats()["n_full"] >= 2


def test_a_latest_subscription_counts_what_it_missed() -> None:
    with jimbot.Bus.open(None, capacity=1 << 16) as bus, bus.subscribe(">", "latest") as sub:
        publish_numbers(bus, range(5000))
        got: list[float] = []
        missed = 0
        while len(batch := sub.poll()) > 0:
            got += numbers(batch)
            missed += int(batch.n_missed.sum())
        assert 0 < len(got) < 5000
        assert missed == 5000 - len(got) == sub.stats()["n_missed"]
        assert got == list(range(5000 - len(got), 5000))


def test_poll_waits_no_longer_than_it_was_told(bus: jimbot.Bus) -> None:
    with bus.subscribe(">") as sub:
        begun = time.monotonic()
        assert len(sub.poll(timeout=0.2)) == 0
        assert 0.19 < time.monotonic() - begun < 5


def test_the_clock_is_the_one_of_events(bus: jimbot.Bus) -> None:
    with bus.subscribe(">") as sub:
        before = jimbot.now_ns()
        bus.publish("HEARTBEAT", {})
        assert before <= sub.poll()[0].time_ns <= jimbot.now_ns()


def test_commands_reach_the_game(bus: jimbot.Bus) -> None:
    with bus.subscribe("command.>") as sub:
        bus.send_command("play_hand")
        bus.send_command("select_card", 3, "x", 1.5, id="c1")
        first, second = sub.poll()
    assert first.topic == "command.play_hand"
    assert first.to_command() == ("play_hand", (), None)
    command = second.to_command()
    assert (command.name, command.params, command.id) == ("select_card", ("3", "x", "1.5"), "c1")


def test_commands_with_forbidden_parts_are_refused(bus: jimbot.Bus) -> None:
    for bad in ("a,b", "a:b", "a\nb"):
        with pytest.raises(jimbot.Invalid):
            bus.send_command("play_hand", bad)
    with pytest.raises(jimbot.Invalid):
        bus.send_command("play hand")
    for too_much in (("x" * 48,), ("p", "x" * 48), ("p", *range(9)), ("p\0q",)):
        with pytest.raises(ValueError):
            bus.send_command(*too_much)
    with pytest.raises(ValueError):
        bus.send_command("p", id="x" * 64)
    for wrong in (None, True, [1], b"x"):
        with pytest.raises(TypeError):
            bus.send_command("p", wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        bus.send_command()  # type: ignore[call-arg]
    assert bus.stats()["n_published"] == 0


def test_other_events_are_no_commands(bus: jimbot.Bus) -> None:
    with bus.subscribe(">") as sub:
        bus.publish("HEARTBEAT", {})
        with pytest.raises(jimbot.EventError):
            sub.poll()[0].to_command()


def test_statistics_tell_who_is_there(bus: jimbot.Bus) -> None:
    with jimbot.Bus.attach("test", peer_name="second") as second:
        with second.subscribe("game.>", "latest", name="watcher") as sub:
            second.publish("MONEY_CHANGED", {"new_value": 1})
            bus.publish("HEARTBEAT", {})
            assert len(sub.poll()) == 1
            (entry,) = bus.subscriptions()
            assert entry == sub.stats()
            assert (entry["name"], entry["pattern"]) == ("watcher", "game.>")
            assert entry["policy"] == "latest"
            assert entry["n_delivered"] == 1
        peer = {p["idx"]: p for p in bus.peers()}[second.stats()["peer"]]
        assert (peer["name"], peer["n_published"], peer["is_alive"]) == ("second", 1, True)
        stats = bus.stats()
        assert (stats["n_peers"], stats["n_subs"], stats["n_published"]) == (2, 0, 2)
        assert stats["capacity_bytes"] == 1 << 20
    assert bus.stats()["n_peers"] == 1


def test_topics_have_numbers(bus: jimbot.Bus) -> None:
    number = bus.topic_id("agent.notes")
    assert bus.topic_id("agent.notes") == number
    assert bus.topic_name(number) == "agent.notes"
    with pytest.raises(jimbot.NotFound):
        bus.topic_name(4000)
    with pytest.raises(jimbot.Invalid):
        bus.topic_id("not a topic")
    with bus.subscribe(">") as sub:
        bus.publish("agent.notes", {"type": "NOTE"})
        assert sub.poll().topic_id.tolist() == [number]
