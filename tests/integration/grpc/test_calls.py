"""Calls with one answer, by grpcio: outcomes, statuses, deadlines, sizes, compression, tools."""

import gzip
import time

import grpc
from bus import POOL, SERVICE, event, make, publish
from case import GrpcCase
from daemon import wait_until
from google.protobuf.descriptor_pool import DescriptorPool
from grpc import StatusCode as Code
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

ACCEPTED, DUPLICATE, FULL, TOO_BIG, INVALID, NOT_TRIED = 1, 2, 3, 5, 6, 7


def outcomes(response):
    return [r.outcome for r in response.results]


def raw(case, path, data=b"", metadata=(), timeout=10):
    """A unary call with bytes as they are."""
    call = case.bus.channel.unary_unary(path, request_serializer=bytes, response_deserializer=bytes)
    return call(data, metadata=metadata, timeout=timeout)


class Calls(GrpcCase):
    FLAGS = ("--max-body-bytes", "24M", "--bus-bytes", "1M")

    def test_each_event_has_its_outcome_and_lies_on_the_bus_once(self):
        response = publish(self.bus, event(1), event(2, "a"), event(3, "a"))
        self.assertEqual(outcomes(response), [ACCEPTED, ACCEPTED, DUPLICATE])
        self.assertEqual(outcomes(publish(self.bus, event(4, "a"))), [DUPLICATE])
        self.assertEqual(self.daemon.published(), 2)

    def test_ids_are_those_of_rest(self):
        self.daemon.post("/api/v1/events", {"type": "HEARTBEAT", "source": "x", "event_id": "same", "payload": {}})
        self.assertEqual(outcomes(publish(self.bus, event(1, "same"))), [DUPLICATE])

    def test_what_is_no_event_is_refused_alone_and_why_is_said(self):
        nothing = make("OutgoingEvent")
        bad_topic = event(1)
        bad_topic.topic = "a b"
        big = event(1, text="x" * 300_000)
        response = publish(self.bus, event(1), nothing, bad_topic, big, event(2))
        self.assertEqual(outcomes(response), [ACCEPTED, INVALID, INVALID, TOO_BIG, ACCEPTED])
        self.assertIn("topic", response.results[2].message)

    def test_topic_and_key_of_the_request_are_used(self):
        reader = self.bus.Subscribe(make("SubscribeRequest", patterns=["my.>"]))
        reader.initial_metadata()  # comes when the subscription is there
        outgoing = event(7)
        outgoing.topic, outgoing.key = "my.own.topic", 9
        publish(self.bus, outgoing)
        incoming = next(reader).events[0]
        self.assertEqual((incoming.topic, incoming.key), ("my.own.topic", 9))
        self.assertEqual(incoming.event.money_changed.new_value, 7)

    def test_bytes_of_an_event_go_through_as_they_are(self):
        encoded = event(5).event.SerializeToString() + b"\xfa\x92\xf4\x01\x03new"  # field 500015
        message = make("PublishRequest")
        body = b"\x0a" + bytes([len(encoded)]) + encoded
        data = b"\x0a" + bytes([len(body)]) + body
        message.ParseFromString(data)
        reader = self.bus.Subscribe(make("SubscribeRequest", patterns=[">"]))
        reader.initial_metadata()
        raw(self, "/%s/Publish" % SERVICE, data)
        self.assertEqual(next(reader).events[0].event.SerializeToString(deterministic=True), encoded)

    def test_statuses(self):
        status = self.assert_status
        status(Code.INVALID_ARGUMENT, publish, self.bus)
        status(Code.INVALID_ARGUMENT, raw, self, "/%s/Publish" % SERVICE, b"\xff")
        status(Code.UNIMPLEMENTED, raw, self, "/%s/Nothing" % SERVICE)
        status(Code.UNIMPLEMENTED, raw, self, "/no.such/Service")
        status(Code.UNIMPLEMENTED, self.bus.Call, make("CallRequest"))
        status(Code.INVALID_ARGUMENT, self.bus.Subscribe, make("SubscribeRequest"))
        status(Code.INVALID_ARGUMENT, self.bus.Subscribe, make("SubscribeRequest", patterns=["a b"]))
        self.assertGreaterEqual(self.calls("INVALID_ARGUMENT"), 4)

    def test_a_message_of_16_megabytes_is_taken_and_a_larger_one_refused(self):
        events = [event(i, text="x" * 100_000) for i in range(160)]
        reader = self.bus.Subscribe(make("SubscribeRequest", patterns=[">"], policy="DELIVERY_POLICY_LATEST"))
        reader.initial_metadata()
        response = publish(self.bus, *events, timeout=60)
        self.assertEqual(outcomes(response), [ACCEPTED] * 160)
        reader.cancel()
        self.assertIn("larger", self.assert_status(Code.RESOURCE_EXHAUSTED, publish, self.bus, *events, *events))
        self.assertEqual(self.daemon.metrics()["jimbot_http_buffered_bytes"][""], 0)

    def test_messages_are_compressed_both_ways(self):
        zipped = self.connect(compression=grpc.Compression.Gzip)
        events = [event(i, text="x" * 5000) for i in range(50)]
        response, call = zipped.Publish.with_call(make("PublishRequest", events=events), timeout=10)
        self.assertEqual(outcomes(response), [ACCEPTED] * 50)
        bad = make("PublishRequest", events=[make("OutgoingEvent")] * 100)
        self.assertEqual(outcomes(zipped.Publish(bad, timeout=10)), [INVALID] * 100)

    def test_a_bomb_of_gzip_is_refused(self):
        zipped = self.connect(compression=grpc.Compression.Gzip)
        call = zipped.channel.unary_unary("/%s/Publish" % SERVICE, request_serializer=bytes)
        bomb = b"\0" * (40 << 20)
        self.assertLess(len(gzip.compress(bomb)), 1 << 20)
        self.assert_status(Code.RESOURCE_EXHAUSTED, call, bomb, timeout=30)

    def test_topics_are_listed_in_pages(self):
        for i in range(25):
            outgoing = event(i)
            outgoing.topic = "page.t%d" % i
            publish(self.bus, outgoing)
        names, token = [], None
        while True:
            request = make("ListTopicsRequest", pattern="page.*", page_size=10, page_token=token)
            page = self.bus.ListTopics(request, timeout=10)
            names += page.topics
            token = page.next_page_token
            if not token:
                break
        self.assertEqual(sorted(names), sorted("page.t%d" % i for i in range(25)))
        self.assert_status(Code.INVALID_ARGUMENT, self.bus.ListTopics, make("ListTopicsRequest", page_size=9999))
        self.assert_status(Code.INVALID_ARGUMENT, self.bus.ListTopics, make("ListTopicsRequest", pattern="a..b"))

    def test_health_is_told(self):
        stub = health_pb2_grpc.HealthStub(self.bus.channel)
        for service in ("", SERVICE, "grpc.health.v1.Health"):
            answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
            self.assertEqual(answer.status, health_pb2.HealthCheckResponse.SERVING)
        self.assert_status(Code.NOT_FOUND, stub.Check, health_pb2.HealthCheckRequest(service="no.such"), timeout=10)
        watch = stub.Watch(health_pb2.HealthCheckRequest(service="no.such"))
        self.assertEqual(next(watch).status, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)
        watch.cancel()

    def test_who_needs_no_token_sends_little(self):
        zipped = self.connect(compression=grpc.Compression.Gzip)
        for bus in (self.bus, zipped):
            check = bus.channel.unary_unary("/grpc.health.v1.Health/Check", request_serializer=bytes)
            self.assert_status(Code.RESOURCE_EXHAUSTED, check, b"\x0a\x88\x27" + b"x" * 5000, timeout=10)
            path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
            reflect = bus.channel.stream_stream(path, request_serializer=bytes)
            self.assert_status(Code.RESOURCE_EXHAUSTED, reflect, iter([b"\x3a\x88\x27" + b"x" * 5000]), timeout=10)

    def test_reflection_tells_all_of_the_service(self):
        database = ProtoReflectionDescriptorDatabase(self.bus.channel)
        self.assertIn(SERVICE, database.get_services())
        found = DescriptorPool(database).FindServiceByName(SERVICE)
        self.assertEqual([m.name for m in found.methods], [m.name for m in POOL.FindServiceByName(SERVICE).methods])
        file = database.FindFileContainingSymbol("jimbot.v1.Event.money_changed")
        self.assertEqual(file.name, "jimbot/v1/event.proto")
        with self.assertRaises(KeyError):
            database.FindFileContainingSymbol("jimbot.v1.NoSuch")


class Full(GrpcCase):
    """A bus that a lossless reader, which does not read, has filled up."""

    FLAGS = ("--bus-bytes", "64K")

    def setUp(self):
        super().setUp()
        slow = self.connect(options=[("grpc.http2.lookahead_bytes", 1024)])
        policy = make("SubscribeRequest", patterns=["game.>"], policy="DELIVERY_POLICY_LOSSLESS")
        self.slow = slow.Subscribe(policy)
        self.slow.initial_metadata()
        self.n = 0
        full = 0
        while full < 20:  # until the buffers of the client are full too
            response = publish(self.bus, *[event(i, text="x" * 1000) for i in range(20)])
            self.n += outcomes(response).count(ACCEPTED)
            full = full + 1 if outcomes(response).count(FULL) == 20 else 0
            time.sleep(0.01 if full else 0)

    def test_the_publisher_is_told(self):
        self.assertEqual(outcomes(publish(self.bus, event(1, text="y" * 9000))), [FULL])

    def test_all_or_none_is_none(self):
        events = [event(i, text="y" * 4000) for i in range(3)]
        response = publish(self.bus, *events, all_or_none=True)
        self.assertEqual(outcomes(response), [FULL, NOT_TRIED, NOT_TRIED])

    def test_waiting_ends_by_itself_and_with_the_deadline(self):
        begun = time.monotonic()
        response = publish(self.bus, event(1, text="y" * 9000), wait_ns=300_000_000)
        self.assertEqual(outcomes(response), [FULL])
        self.assertGreater(time.monotonic() - begun, 0.25)
        request = make("PublishRequest", events=[event(1, text="y" * 9000)], wait_ns=60_000_000_000)
        self.assert_status(Code.DEADLINE_EXCEEDED, self.bus.Publish, request, timeout=0.3)
        self.assertTrue(wait_until(lambda: self.calls("DEADLINE_EXCEEDED") + self.calls("CANCELLED") >= 1))

    def test_what_is_compressed_waits_too_and_is_forgotten(self):
        zipped = self.connect(compression=grpc.Compression.Gzip)
        response = publish(zipped, event(1, text="y" * 9000), wait_ns=300_000_000)
        self.assertEqual(outcomes(response), [FULL])
        waiting = zipped.Publish.future(
            make("PublishRequest", events=[event(1, text="y" * 9000)], wait_ns=30_000_000_000), timeout=30
        )
        self.assertTrue(wait_until(lambda: self.daemon.metrics()["jimbot_http_buffered_bytes"][""] > 9000))
        self.slow.cancel()
        self.assertEqual(outcomes(waiting.result(timeout=20)), [ACCEPTED])
        self.assertEqual(self.daemon.metrics()["jimbot_http_buffered_bytes"][""], 0)

    def test_waiting_ends_when_there_is_room_and_nothing_is_lost(self):
        request = make("PublishRequest", events=[event(-1, text="y" * 9000)], wait_ns=30_000_000_000)
        waiting = self.bus.Publish.future(request, timeout=30)
        got = 0
        while True:
            for incoming in next(self.slow).events:
                got += 1
                if incoming.event.money_changed.new_value == -1:
                    self.assertEqual(got, self.n + 1)
                    self.assertEqual(outcomes(waiting.result(timeout=10)), [ACCEPTED])
                    return

    def test_other_calls_go_on_meanwhile(self):
        request = make("PublishRequest", events=[event(1, text="y" * 9000)], wait_ns=5_000_000_000)
        waiting = [self.bus.Publish.future(request, timeout=30) for _ in range(20)]
        self.assertIn("game.money.changed", self.bus.ListTopics(make("ListTopicsRequest"), timeout=5).topics)
        for call in waiting:
            call.cancel()
        self.assertTrue(wait_until(lambda: self.calls("CANCELLED") == 20))

    def test_a_stream_stops_and_ends_when_the_reader_goes(self):
        def requests():
            for i in range(100):
                yield make("PublishManyRequest", events=[event(i, text="y" * 900)])

        waiting = self.bus.PublishMany.future(requests(), timeout=30)
        with self.assertRaises(grpc.FutureTimeoutError):
            waiting.result(timeout=0.5)
        self.slow.cancel()
        self.assertEqual(waiting.result(timeout=20).n_accepted, 100)
