"""Methods of a program's own, by grpcio: at once, later, streams, and clients that give up."""

import json

import grpc
from case import GrpcCase
from daemon import wait_until
from grpc import StatusCode as Code
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


class Service(GrpcCase):
    def unary(self, name):
        return self.bus.channel.unary_unary("/test.Drive/" + name, request_serializer=bytes,
                                            response_deserializer=bytes)

    def stream(self, n, **kwargs):
        call = self.bus.channel.unary_stream("/test.Drive/Stream", request_serializer=bytes,
                                             response_deserializer=bytes)
        return call(bytes([n]), timeout=20, **kwargs)

    def state(self):
        return json.loads(self.daemon.request("GET", "/api/v1/state")[2])

    def wait_open(self, n):
        self.assertTrue(wait_until(lambda: self.state()["open"] == n), self.state())

    def test_a_call_is_answered_at_once(self):
        self.assertEqual(self.unary("Echo")(b"\0abc", timeout=5), b"\0abc")
        self.assertEqual(self.unary("Echo")(b"x" * 1_000_000, timeout=5), b"x" * 1_000_000)
        self.assertEqual(self.calls("OK"), 2)

    def test_a_failure_has_its_code_and_text(self):
        self.assertEqual(self.assert_status(Code.INTERNAL, self.unary("Fail"), b"", timeout=5), "no text")

    def test_calls_wait_until_another_frees_them(self):
        futures = [self.unary("Park").future(b"", timeout=20) for _ in range(30)]
        self.wait_open(30)
        self.assertEqual(self.daemon.post("/api/v1/free", {}), (200, {"n": 30}))
        self.assertEqual(sorted(json.loads(f.result())["freed"] for f in futures), list(range(30)))

    def test_who_cancels_or_is_late_is_told_of(self):
        future = self.unary("Park").future(b"", timeout=20)
        self.wait_open(1)
        future.cancel()
        self.wait_open(0)
        self.assert_status(Code.DEADLINE_EXCEEDED, self.unary("Park"), b"", timeout=0.2)
        self.wait_open(0)
        self.assertEqual(self.state()["closed"], 2)

    def test_a_connection_that_ends_ends_its_calls(self):
        other = self.connect()
        park = other.channel.unary_unary("/test.Drive/Park", request_serializer=bytes, response_deserializer=bytes)
        futures = [park.future(b"", timeout=20) for _ in range(3)]
        self.wait_open(3)
        other.channel.close()
        self.wait_open(0)
        self.assertEqual(self.state()["closed"], 3)
        self.assertTrue(all(f.cancelled() or f.exception() for f in futures))

    def test_plain_requests_wait_over_http2_too(self):
        import subprocess

        curl = subprocess.Popen(
            ["curl", "-s", "--http2-prior-knowledge", "-w", "%{http_code}",
             f"http://{self.daemon.host}:{self.daemon.port}/api/v1/park"], stdout=subprocess.PIPE, text=True)
        given_up = subprocess.Popen(["curl", "-s", "--http2-prior-knowledge",
                                     f"http://{self.daemon.host}:{self.daemon.port}/api/v1/park"])
        self.wait_open(2)
        given_up.kill()
        given_up.wait()
        self.wait_open(1)
        self.daemon.post("/api/v1/free", {})
        self.assertEqual(curl.communicate(timeout=20)[0], '{"freed":0}200')

    def test_a_stream_has_its_messages_and_its_end(self):
        self.assertEqual(list(self.stream(5)), [b"tick"] * 5)

    def test_a_stream_that_nobody_reads_any_more_ends(self):
        stream = self.stream(0)
        for _ in range(3):
            self.assertEqual(next(stream), b"tick")
        stream.cancel()
        self.wait_open(0)

    def test_a_stop_ends_what_waits(self):
        future = self.unary("Park").future(b"", timeout=20)
        self.wait_open(1)
        self.daemon.process.terminate()
        with self.assertRaises(grpc.RpcError) as caught:
            future.result()
        self.assertEqual(caught.exception.code(), Code.UNAVAILABLE)

    def test_health_and_reflection_know_the_service_and_no_bus(self):
        health = health_pb2_grpc.HealthStub(self.bus.channel)
        check = lambda name: health.Check(health_pb2.HealthCheckRequest(service=name), timeout=5).status
        self.assertEqual(check("test.Drive"), health_pb2.HealthCheckResponse.SERVING)
        self.daemon.post("/api/v1/ill", {})
        self.assertEqual(check("test.Drive"), health_pb2.HealthCheckResponse.NOT_SERVING)
        self.assert_status(Code.NOT_FOUND, check, "jimbot.v1.EventBus")
        names = ProtoReflectionDescriptorDatabase(self.bus.channel).get_services()
        self.assertIn("test.Drive", names)
        self.assertNotIn("jimbot.v1.EventBus", names)
        self.assert_status(Code.UNIMPLEMENTED, self.unary("Nothing"), b"", timeout=5)
