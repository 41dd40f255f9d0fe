"""Calls of many messages, by grpcio: order, back-pressure, cancellation, many at once, the end."""

import os
import queue
import signal
import socket
import subprocess
import threading
import time

import grpc
from bus import SERVICE, event, make, publish
from case import GrpcCase
from daemon import wait_until
from grpc import StatusCode as Code


class Conversation:
    """A bidirectional call as a queue of requests and an iterator of responses."""

    def __init__(self, method):
        self.requests = queue.Queue()
        self.responses = method(iter(self.requests.get, None))

    def ask(self, name, **fields):
        self.requests.put(make(name, **fields))
        return next(self.responses)

    def end(self):
        self.requests.put(None)
        return list(self.responses)


def values(response):
    return [e.event.money_changed.new_value for e in response.events]


class Streams(GrpcCase):
    def subscribe(self, bus=None, **fields):
        call = (bus or self.bus).Subscribe(make("SubscribeRequest", **{"patterns": ["game.>"], **fields}))
        call.initial_metadata()  # comes when the subscription is there
        return call

    def subscriptions(self):
        return self.daemon.metrics()["jimbot_bus_subscriptions"][""]

    def test_each_request_of_a_stream_has_its_response_in_order(self):
        requests = (make("PublishStreamRequest", request_id=i, events=[event(i)]) for i in range(1, 2001))
        responses = list(self.bus.PublishStream(requests, timeout=30))
        self.assertEqual([r.request_id for r in responses], list(range(1, 2001)))
        self.assertEqual(self.daemon.published(), 2000)

    def test_a_stream_with_one_answer_counts_all(self):
        events = [event(0, "a"), event(1, "a"), make("OutgoingEvent")]
        requests = [make("PublishManyRequest", events=[event(i) for i in range(100)]) for _ in range(300)]
        requests.append(make("PublishManyRequest", events=events))
        done = self.bus.PublishMany(iter(requests), timeout=30)
        self.assertEqual((done.n_accepted, done.n_duplicates, done.n_refused), (30001, 1, 1))
        self.assertEqual((done.n_requests, len(done.refusals)), (301, 1))
        self.assertEqual((done.refusals[0].request_index, done.refusals[0].event_index), (300, 2))
        self.assertEqual(self.daemon.published(), 30001)

    def test_a_reader_gets_all_in_order_from_where_it_asked(self):
        publish(self.bus, *[event(i) for i in range(100)])
        reader = self.subscribe(start="START_POSITION_OLDEST", max_events=7)
        got = []
        while len(got) < 100:
            response = next(reader)
            self.assertLessEqual(len(response.events), 7)
            got += values(response)
        self.assertEqual(got, list(range(100)))
        reader.cancel()

    def test_a_reader_gets_only_the_types_it_asked_for(self):
        reader = self.subscribe(patterns=[">"], types=["EVENT_TYPE_HEARTBEAT"])
        publish(self.bus, event(1))
        self.daemon.post("/api/v1/events", {"type": "HEARTBEAT", "source": "x", "payload": {}})
        self.assertEqual([e.topic for e in next(reader).events], ["system.heartbeat"])
        reader.cancel()

    def test_responses_linger_and_idle_as_asked(self):
        reader = self.subscribe(linger_ns=200_000_000, idle_ns=300_000_000)
        for i in range(5):
            publish(self.bus, event(i))
        self.assertEqual(values(next(reader)), list(range(5)))
        self.assertEqual(values(next(reader)), [])
        reader.cancel()

    def test_a_reader_that_pauses_costs_no_time(self):
        def used_s():
            with open("/proc/%d/stat" % self.daemon.process.pid, encoding="ascii") as f:
                words = f.read().rpartition(")")[2].split()
            return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

        reader = self.subscribe(self.connect(), idle_ns=20_000_000)
        for _ in range(60):
            publish(self.bus, *[event(i, text="x" * 4000) for i in range(50)])
        time.sleep(0.3)
        before = used_s()
        time.sleep(1)
        self.assertLess(used_s() - before, 0.4)
        reader.cancel()

    def test_what_lingers_is_sent_when_it_is_full(self):
        reader = self.subscribe(linger_ns=8_000_000_000, max_events=5)
        begun = time.monotonic()
        publish(self.bus, event(0))
        self.assertTrue(wait_until(lambda: self.daemon.published() == 1))
        publish(self.bus, *[event(i) for i in range(1, 5)])
        self.assertEqual(values(next(reader)), list(range(5)))
        self.assertLess(time.monotonic() - begun, 6)
        reader.cancel()

    def test_events_of_other_types_do_not_linger(self):
        for i in range(40):
            publish(self.bus, *[event(i) for i in range(9)])
            self.daemon.post("/api/v1/events", {"type": "HEARTBEAT", "source": "x", "payload": {}})
        begun = time.monotonic()
        fields = {"types": ["EVENT_TYPE_HEARTBEAT"], "start": "START_POSITION_OLDEST"}
        reader = self.subscribe(patterns=[">"], linger_ns=300_000_000, max_events=10, **fields)
        got = 0
        while got < 40:
            got += len(next(reader).events)
        self.assertLess(time.monotonic() - begun, 6)
        reader.cancel()

    def test_a_lossless_reader_that_pauses_loses_nothing(self):
        # Without probing, its window stays small: a large one holds what does not fit into the ring.
        other = self.connect(options=[("grpc.http2.bdp_probe", 0)])
        reader = self.subscribe(other, policy="DELIVERY_POLICY_LOSSLESS")
        requests = (make("PublishManyRequest", events=[event(i, text="x" * 4000)]) for i in range(15_000))
        sending = self.bus.PublishMany.future(requests, timeout=100)
        with self.assertRaises(grpc.FutureTimeoutError):
            sending.result(timeout=5)
        self.assertLess(self.daemon.published(), 15_000)
        got = []
        while len(got) < 15_000:
            got += values(next(reader))
        self.assertEqual(got, list(range(15_000)))
        self.assertEqual(sending.result(timeout=10).n_accepted, 15_000)

    def test_a_call_that_is_cancelled_ends_its_subscription(self):
        before = self.subscriptions()
        readers = [self.subscribe() for _ in range(5)]
        self.assertEqual(self.subscriptions(), before + 5)
        for reader in readers:
            reader.cancel()
        self.assertTrue(wait_until(lambda: self.subscriptions() == before))
        self.assertTrue(wait_until(lambda: self.calls("CANCELLED") == 5))

    def test_a_client_that_is_killed_ends_its_subscription(self):
        before = self.subscriptions()
        other = self.connect()
        self.subscribe(other)
        other.channel.close()
        self.assertTrue(wait_until(lambda: self.subscriptions() == before))

    def test_a_deadline_ends_a_subscription(self):
        request = make("SubscribeRequest", patterns=[">"])
        self.assert_status(Code.DEADLINE_EXCEEDED, self.bus.Subscribe, request, timeout=0.3)
        self.assertTrue(wait_until(lambda: self.subscriptions() == 1))

    def test_a_session_publishes_subscribes_and_acknowledges(self):
        session = Conversation(self.bus.Session)
        wanted = make("SubscribeRequest", patterns=["game.>"])
        subscribe = make("SessionSubscribe", subscription_id=3, request=wanted, max_unacked=2)
        self.assertEqual(session.ask("SessionRequest", request_id=1, subscribe=subscribe).request_id, 1)
        events = make("PublishRequest", events=[event(i) for i in range(5)])
        answer = session.ask("SessionRequest", request_id=2, publish=events)
        self.assertEqual([r.outcome for r in answer.published.results], [1] * 5)
        delivered = [next(session.responses)]
        self.assertEqual(values(delivered[0].delivery), [0, 1])
        ack = make("SessionAck", subscription_id=3, sequence=delivered[0].delivery.events[-1].sequence)
        delivered.append(session.ask("SessionRequest", ack=ack))
        self.assertEqual(values(delivered[1].delivery), [2, 3])
        self.assertEqual(session.end(), [])

    def test_a_thousand_streams_at_once_on_one_connection(self):
        before = self.daemon.metrics()["jimbot_http_connections_accepted_total"][""]
        sessions = [Conversation(self.bus.Session) for _ in range(1000)]
        for i, s in enumerate(sessions):
            s.requests.put(make("SessionRequest", request_id=i + 1, ping=make("SessionPing")))
        for i, s in enumerate(sessions):
            self.assertEqual(next(s.responses).request_id, i + 1)
        publish(self.bus, event(1))
        for s in sessions:
            s.requests.put(None)
        for s in sessions:
            self.assertEqual(list(s.responses), [])
        accepted = self.daemon.metrics()["jimbot_http_connections_accepted_total"][""]
        self.assertLessEqual(accepted - before, 2)  # and the one that asks for the metrics

    def test_keep_alive_of_a_client_is_answered(self):
        options = [("grpc.keepalive_time_ms", 100), ("grpc.keepalive_timeout_ms", 2000)]
        options += [("grpc.http2.max_pings_without_data", 0), ("grpc.keepalive_permit_without_calls", 1)]
        bus = self.connect(options=options)
        reader = self.subscribe(bus, idle_ns=900_000_000)
        self.assertEqual(values(next(reader)), [])
        publish(bus, event(3))
        self.assertEqual(values(next(reader)), [3])
        reader.cancel()


class Few(GrpcCase):
    FLAGS = ("--bus-subscriptions", "8")

    def test_no_more_subscriptions_than_the_bus_has(self):
        others = [self.bus.Subscribe(make("SubscribeRequest", patterns=[">"])) for _ in range(12)]
        codes = set()
        for call in others:
            try:
                call.initial_metadata()
            except grpc.RpcError:
                pass
        self.assertTrue(wait_until(lambda: self.calls("RESOURCE_EXHAUSTED") > 0))
        for call in others:
            if call.done():
                codes.add(call.code())
            call.cancel()
        self.assertEqual(codes, {Code.RESOURCE_EXHAUSTED})


class Quiet(GrpcCase):
    FLAGS = ("--idle-timeout", "1")

    def test_a_quiet_stream_is_asked_and_lives_on(self):
        reader = self.bus.Subscribe(make("SubscribeRequest", patterns=[">"], idle_ns=3_500_000_000))
        reader.initial_metadata()
        self.assertEqual(list(next(reader).events), [])
        reader.cancel()


class Stop(GrpcCase):
    FLAGS = ("--drain-timeout", "8")

    def test_calls_without_end_end_and_the_others_finish(self):
        reader = self.bus.Subscribe(make("SubscribeRequest", patterns=[">"]))
        reader.initial_metadata()
        many = queue.Queue()
        sending = self.bus.PublishMany.future(iter(many.get, None), timeout=20)
        many.put(make("PublishManyRequest", events=[event(1)]))
        self.assertTrue(wait_until(lambda: self.daemon.published() == 1))
        self.daemon.process.send_signal(signal.SIGTERM)
        self.assert_status(Code.UNAVAILABLE, lambda: reader)
        many.put(make("PublishManyRequest", events=[event(2)]))
        many.put(None)
        self.assertEqual(sending.result(timeout=20).n_accepted, 2)
        self.assertEqual(self.daemon.process.wait(timeout=10), 0)
        self.assert_status(Code.UNAVAILABLE, publish, self.bus, event(3), timeout=2)
