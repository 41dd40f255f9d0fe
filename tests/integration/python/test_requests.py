"""Requests and replies: who asks, who answers, who comes too late, who closes."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator

import pytest

import jimbot
from conftest import Spawn, finish

ASK, ANSWER = "LEARNING_DECISION_REQUEST", "LEARNING_DECISION_RESPONSE"


def decide(request: jimbot.Event) -> tuple[str, dict[str, object]]:
    return ANSWER, {"request_id": request.to_dict()["payload"]["request_id"], "action": "play"}


@pytest.fixture
def answerer(bus: jimbot.Bus) -> Iterator[jimbot.Answerer]:
    with jimbot.Answerer(bus, "learning.decision.request", decide) as answerer:
        thread = threading.Thread(target=answerer.run)
        thread.start()
        yield answerer
        answerer.close()
        thread.join(10)
        assert not thread.is_alive()


def test_a_question_gets_its_answer(bus: jimbot.Bus, answerer: jimbot.Answerer) -> None:
    for i in range(50):
        reply = bus.request(ASK, {"request_id": f"r{i}"}, timeout=20)
        assert reply.is_reply and not reply.is_request and reply.type == ANSWER
        assert reply.to_dict()["payload"]["request_id"] == f"r{i}"
        assert reply.topic == f"system.reply.{bus.stats()['peer']}"
    assert answerer.n_answered == 50
    assert bus.stats()["n_subs"] == 2  # one requester, kept


def test_a_request_is_an_event_like_any_other(bus: jimbot.Bus) -> None:
    with bus.subscribe("agent.ask") as sub, bus.requester() as requester:
        number = requester.send("agent.ask", {"type": "QUESTION"}, timeout=None)
        (event,) = batch = sub.poll()
        assert event.is_request and not event.is_reply and event.key == number
        assert batch.flags.tolist() == [1] and batch.key.tolist() == [number]
        bus.reply(event, None, {"type": "ANSWER", "payload": {"n": 5}})
        (outcome,) = requester.poll(timeout=20)
        assert outcome.id == number and outcome.elapsed_ns > 0
        assert outcome.reply is not None and outcome.reply.to_dict()["payload"] == {"n": 5}
        assert outcome.reply.key == number


def test_without_an_answer_there_is_a_timeout(bus: jimbot.Bus) -> None:
    begun = time.monotonic()
    with pytest.raises(jimbot.Timeout, match="no reply"):
        bus.request(ASK, {}, timeout=0.2)
    assert 0.19 < time.monotonic() - begun < 5
    with bus.requester() as requester:
        numbers = [requester.send(ASK, {}, timeout=t) for t in (0.03, 0.01, 0.02)]
        time.sleep(0.05)
        outcomes = requester.poll()
        assert [o.id for o in outcomes] == [numbers[1], numbers[2], numbers[0]]
        assert [o.reply for o in outcomes] == [None] * 3
        assert [round(o.elapsed_ns / 1e7) for o in outcomes] == [1, 2, 3]
        assert requester.poll(timeout=0.01) == []
        assert requester.stats()["n_timed_out"] == 3


def test_late_cancelled_and_second_answers_are_counted(bus: jimbot.Bus) -> None:
    with bus.subscribe("learning.>", high_first=True) as sub, bus.requester() as requester:
        late = requester.send(ASK, {}, timeout=0.001)
        time.sleep(0.01)
        cancelled = requester.send(ASK, {}, timeout=None)
        answered = requester.send(ASK, {}, timeout=None)
        assert requester.cancel(cancelled) is True and requester.cancel(cancelled) is False
        for event in sub.poll():
            bus.reply(event, ANSWER)
            bus.reply(event, ANSWER)
        got = [(o.id, o.reply is not None) for _ in range(2) for o in requester.poll()]
        assert got == [(late, False), (answered, True)]
        stats = requester.stats()
    assert stats["n_late"] == 4 and stats["n_duplicate"] == 1 and stats["n_sent"] == 3
    assert (stats["n_replied"], stats["n_timed_out"], stats["n_cancelled"]) == (1, 1, 1)
    assert stats["n_in_flight"] == stats["n_missed"] == stats["n_unknown"] == 0


def test_replies_outlive_the_requester(bus: jimbot.Bus) -> None:
    with bus.subscribe("learning.>") as sub:
        with bus.requester() as requester:
            for i in range(20):
                requester.send(ASK, {"request_id": str(i)})
            for event in sub.poll():
                bus.reply(event, *decide(event))
            outcomes = requester.poll(timeout=20)
        assert requester.closed
    gc.collect()
    assert [
        o.reply.to_dict()["payload"]["request_id"] for o in outcomes if o.reply is not None
    ] == [str(i) for i in range(20)]


def test_threads_ask_at_once(bus: jimbot.Bus, answerer: jimbot.Answerer) -> None:
    failures: list[object] = []

    def ask(thread: int) -> None:
        for i in range(50):
            reply = bus.request(ASK, {"request_id": f"{thread}-{i}"}, timeout=20)
            if reply.to_dict()["payload"]["request_id"] != f"{thread}-{i}":
                failures.append((thread, i))

    threads = [threading.Thread(target=ask, args=(t,)) for t in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == [] and answerer.n_answered == 200
    assert bus.stats()["n_subs"] == 2


ANSWERER = """
import jimbot
with jimbot.Bus.attach("test") as bus:
    def answer(request):
        return "METRIC", {"name": "pid", "value": request.to_dict()["payload"]["n"] * 2}
    with jimbot.Answerer(bus, "game.ask", answer) as answerer:
        print("ready", flush=True)
        while answerer.n_answered < 20:
            answerer.poll(5)
"""


def test_processes_ask_each_other(bus: jimbot.Bus, spawn: Spawn) -> None:
    process = spawn(ANSWERER)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for n in range(20):
        reply = bus.request("game.ask", {"type": "ASK", "payload": {"n": n}}, timeout=20)
        assert reply.to_dict()["payload"]["value"] == 2 * n
    finish(process)


def test_bad_arguments_are_refused(bus: jimbot.Bus) -> None:
    bus.publish("HEARTBEAT", {})
    with bus.subscribe(">", start="oldest") as sub, bus.requester(max_in_flight=2) as requester:
        event = sub.poll()[0]
        with pytest.raises(jimbot.Invalid, match="no request"):
            bus.reply(event, "ERROR")
        with pytest.raises(TypeError, match="reply"):
            bus.reply(5, "ERROR")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="more than 0"):
            requester.send(ASK, {}, timeout=0)
        with pytest.raises(TypeError):
            requester.send(ASK, {}, key=5)  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="cannot encode"):
            bus.request(ASK, {"a": object()})
        for n in (0, 5000):
            with pytest.raises(ValueError):
                requester.poll(n)
            with pytest.raises(jimbot.Invalid):
                bus.requester(max_in_flight=n)
        assert requester.cancel(1) is False
        requester.send(ASK, {})
        with pytest.raises(jimbot.State, match="in flight"):
            requester.request(ASK, {})
        requester.send(ASK, {})
        with pytest.raises(jimbot.Limit):
            requester.send(ASK, {})
        request = sub.poll()[0]
        with pytest.raises(ValueError, match="no topic"):
            bus.reply(request, "a.topic", {"type": "X"})
        with pytest.raises(jimbot.Full):
            with jimbot.Bus.open(None, capacity=1 << 16) as small, small.subscribe(">"):
                with small.requester(max_in_flight=4096) as asker:
                    while True:
                        asker.send(ASK, {"x": "y" * 50}, timeout=None)


def test_a_second_thread_is_turned_away(bus: jimbot.Bus) -> None:
    with bus.requester() as requester:
        waiter = threading.Thread(target=lambda: requester.poll(timeout=0.5))
        waiter.start()
        time.sleep(0.1)
        calls: list[Callable[[], object]] = [
            requester.poll,
            lambda: requester.send(ASK),
            lambda: requester.request(ASK),
            lambda: requester.cancel(1),
        ]
        for call in calls:
            with pytest.raises(jimbot.State, match="another thread"):
                call()
        waiter.join(10)


@pytest.mark.parametrize("what", ["bus.request", "requester.poll", "requester.request"])
def test_close_ends_a_wait(what: str) -> None:
    bus = jimbot.Bus.open(None, capacity=1 << 16)
    requester = bus.requester()
    ends: list[type[BaseException]] = []

    def wait() -> None:
        try:
            if what == "bus.request":
                bus.request(ASK, timeout=None)
            elif what == "requester.poll":
                requester.poll(timeout=None)
            else:
                requester.request(ASK, timeout=None)
        except BaseException as error:
            ends.append(type(error))

    threads = [threading.Thread(target=wait) for _ in range(3 if what == "bus.request" else 1)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    bus.close()
    for thread in threads:
        thread.join(10)
    assert ends == [jimbot.Closed] * len(threads)
    assert requester.closed
    for call in (requester.poll, lambda: requester.send(ASK), requester.stats, requester.__enter__):
        with pytest.raises(jimbot.Closed):
            call()
    requester.close()
    with pytest.raises(jimbot.Closed):
        bus.request(ASK)
    with pytest.raises(jimbot.Closed):
        bus.requester()


def test_a_handler_that_closes_the_bus_is_no_deadlock(spawn: Spawn) -> None:
    code = """
import signal, jimbot
bus = jimbot.Bus.open()
signal.signal(signal.SIGALRM, lambda *_: bus.close())
signal.setitimer(signal.ITIMER_REAL, 0.2)
try:
    bus.request("HEARTBEAT", timeout=None)
except jimbot.Closed:
    print("closed")
"""
    assert finish(spawn(code), timeout=10) == "closed\n"


def test_an_interrupt_cancels_the_request(spawn: Spawn) -> None:
    code = """
import signal, jimbot
def stop(*_):
    raise KeyboardInterrupt
signal.signal(signal.SIGALRM, stop)
with jimbot.Bus.open() as bus, bus.subscribe(">") as sub, bus.requester() as requester:
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        requester.request("HEARTBEAT", timeout=None)
    except KeyboardInterrupt:
        bus.reply(sub.poll()[0], "HEARTBEAT")
        assert requester.poll(timeout=0.1) == []
        print(requester.stats()["n_cancelled"], requester.stats()["n_late"])
"""
    assert finish(spawn(code), timeout=10) == "1 1\n"


def test_other_threads_run_while_one_asks(bus: jimbot.Bus) -> None:
    def ask() -> None:
        with pytest.raises(jimbot.Timeout):
            bus.request(ASK, timeout=0.5)

    thread = threading.Thread(target=ask)
    thread.start()
    count, end = 0, time.monotonic() + 0.3
    while time.monotonic() < end:
        count += 1
    assert count > 1000
    thread.join(10)


def test_a_child_has_to_open_its_own(bus: jimbot.Bus) -> None:
    with pytest.raises(jimbot.Timeout):
        bus.request(ASK, timeout=0.01)
    requester = bus.requester()
    pid = os.fork()
    if pid == 0:
        n = 0
        calls: list[Callable[[], object]] = [
            lambda: bus.request(ASK),
            requester.poll,
            lambda: requester.send(ASK),
            bus.requester,
        ]
        for call in calls:
            try:
                call()
            except jimbot.State:
                n += 1
        requester.close()
        bus.close()
        os._exit(n)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 4
    requester.close()


def test_what_an_answer_raises_comes_out_and_the_rest_stays(bus: jimbot.Bus) -> None:
    def answer(request: jimbot.Event) -> tuple[str, dict[str, int]] | None:
        n = int(request.to_dict()["payload"]["request_id"])
        if n == 1:
            raise KeyError("mine")
        return None if n == 2 else (ANSWER, {"n": n})

    with jimbot.Answerer(bus, "learning.>", answer) as answerer, bus.requester() as requester:
        bus.publish("LEARNING_DECISION_RESPONSE", {})
        for i in range(4):
            requester.send(ASK, {"request_id": str(i)}, timeout=None)
        assert answerer.poll() and answerer.n_answered == 0  # no request
        assert answerer.poll() and answerer.n_answered == 1
        with pytest.raises(KeyError, match="mine"):
            answerer.poll()
        assert answerer.poll() and answerer.poll() and not answerer.poll()
        assert answerer.n_answered == 2
        assert [o.reply is not None for o in requester.poll()] == [True, True]
        assert requester.stats()["n_in_flight"] == 2
