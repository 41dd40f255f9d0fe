"""Methods of a program's own, by grpcio: at once, later, streams, and clients that give up."""

import json
import os
import struct
import time

import grpc
from case import GrpcCase
from daemon import Daemon, wait_until
from grpc import StatusCode as Code
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from test_http2 import frame, headers, read_frame


def memory_kib(daemon):
    with open(f"/proc/{daemon.process.pid}/status", encoding="ascii") as f:
        return next(int(x.split()[1]) for x in f if x.startswith("RssAnon"))


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

    def test_an_answer_may_be_a_part_of_the_call(self):
        self.assertEqual(self.unary("Name")(b"", timeout=5), b"\0")

    def test_a_stream_is_as_much_memory_as_the_client_has_not_read(self):
        # A sanitizer keeps what is freed for a while; that is no memory of ours.
        daemon = Daemon(env={"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"})
        self.addCleanup(daemon.stop)
        s = daemon.connect()
        self.addCleanup(s.close)
        s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4) +
                  frame(1, 4, 1, headers(b"POST", b"/test.Drive/Stream", (b"content-type", b"application/grpc"),
                                         (b"te", b"trailers"))) +
                  frame(0, 1, 1, b"\0\0\0\0\1\0"))
        n_read = n_owed = 0
        while n_read < 24 << 20:
            kind, _, _, payload = read_frame(s)
            if kind != 0:
                continue
            n_read += len(payload)
            n_owed += len(payload)
            if n_owed >= 32768:  # never all of the window: what is to be sent is never nothing
                more = struct.pack(">I", n_owed)
                s.sendall(frame(8, 0, 0, more) + frame(8, 0, 1, more))
                n_owed = 0
                time.sleep(0.003)
            if n_read < 4 << 20:
                early = memory_kib(daemon)
        self.assertLess(memory_kib(daemon), early + 8 * 1024)

    def test_what_was_sent_in_pieces_is_not_kept_while_a_call_waits(self):
        futures = [self.unary("Park").future(b"x" * 60000, timeout=20) for _ in range(20)]
        self.wait_open(20)
        self.assertEqual(self.daemon.metrics()["jimbot_http_buffered_bytes"][""], 0)
        self.daemon.post("/api/v1/free", {})
        for f in futures:
            f.result()

    def test_a_watch_of_health_says_when_it_changes(self):
        watch = health_pb2_grpc.HealthStub(self.bus.channel).Watch(
            health_pb2.HealthCheckRequest(service="test.Drive"), timeout=20)
        self.assertEqual(next(watch).status, health_pb2.HealthCheckResponse.SERVING)
        self.daemon.post("/api/v1/ill", {})
        self.assertEqual(next(watch).status, health_pb2.HealthCheckResponse.NOT_SERVING)
        self.daemon.post("/api/v1/ill", {})
        self.assertEqual(next(watch).status, health_pb2.HealthCheckResponse.SERVING)
        watch.cancel()

    def test_a_stream_has_its_messages_and_its_end(self):
        self.assertEqual(list(self.stream(5)), [b"tick"] * 5)

    def test_a_stream_that_nobody_reads_any_more_ends(self):
        stream = self.stream(0)
        for _ in range(3):
            self.assertEqual(next(stream)[:5], b"tick\0")
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
