"""Who gets in by gRPC, by TLS too; and the same calls over bad lines."""

import os
import queue
import shutil
import signal
import sys
import tempfile
import unittest

import case  # first: it says where the modules of the other folder are
import grpc
from bus import Bus, event, make, publish
from certs import Certs
from daemon import Daemon, wait_until
from grpc import StatusCode as Code
from grpc_health.v1 import health_pb2, health_pb2_grpc
from test_access import make_token

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../support"))
from faultproxy import FaultProxy, Line  # noqa: E402

PERMISSION_DENIED, RESOURCE_EXHAUSTED = 7, 8
LINES = {
    "single bytes": Line(sizes=(1, 1)),
    "odd sizes": Line(sizes=(1, 700), seed=1),
    "delays": Line(sizes=(1, 3000), delay=0.004, seed=2),
}


class GuardCase(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="jimbot-guard-")
        self.addCleanup(shutil.rmtree, self.dir, True)

    def start(self, *flags):
        self.daemon = Daemon(*flags)
        self.addCleanup(self.end, self.daemon)

    def end(self, daemon):
        self.assertEqual(daemon.stop(), 0, daemon.log)
        self.assertNotIn("Sanitizer", daemon.log)
        self.assertNotIn("runtime error", daemon.log)

    def write(self, *lines):
        path = os.path.join(self.dir, "tokens")
        with open(path, "w", encoding="ascii") as f:
            f.write("".join(line + "\n" for line in lines))
        os.chmod(path, 0o600)
        return path

    def bus(self, credentials=None, port=None):
        own = [("grpc.use_local_subchannel_pool", 1)]
        bus = Bus(f"{self.daemon.host}:{port or self.daemon.port}", own, credentials=credentials)
        self.addCleanup(bus.channel.close)
        return bus

    def code(self, call, *args, **kwargs):
        """The status a call ends with."""
        try:
            result = call(*args, timeout=20, **kwargs)
            if not hasattr(result, "DESCRIPTOR"):
                list(result)
        except grpc.RpcError as e:
            return e.code()
        return Code.OK


def bearer(token):
    return {"metadata": (("authorization", "Bearer " + token),)}


class Tokens(GuardCase):
    def test_each_method_wants_its_scope(self):
        (writer, line_w), (reader, line_r) = make_token("w", "publish"), make_token("r", "subscribe")
        self.start("--tokens", self.write(line_w, line_r))
        bus = self.bus()
        request, topics = make("PublishRequest", events=[event(1)]), make("ListTopicsRequest")
        for call, message, good, bad in (
            (bus.Publish, request, writer, reader),
            (bus.ListTopics, topics, reader, writer),
            (bus.Subscribe, make("SubscribeRequest", patterns=["a"]), None, writer),
        ):
            self.assertEqual(self.code(call, message), Code.UNAUTHENTICATED)
            self.assertEqual(self.code(call, message, **bearer("nonsense")), Code.UNAUTHENTICATED)
            self.assertEqual(self.code(call, message, **bearer(bad)), Code.PERMISSION_DENIED)
            if good:
                self.assertEqual(self.code(call, message, **bearer(good)), Code.OK)
        stub = health_pb2_grpc.HealthStub(bus.channel)
        self.assertEqual(self.code(stub.Check, health_pb2.HealthCheckRequest()), Code.OK)

    def test_a_session_wants_a_token_and_each_step_its_scope(self):
        token, line = make_token("w", "publish")
        self.start("--tokens", self.write(line))
        bus, requests = self.bus(), queue.Queue()
        self.assertEqual(self.code(bus.Session, iter([])), Code.UNAUTHENTICATED)
        responses = bus.Session(iter(requests.get, None), **bearer(token))
        requests.put(make("SessionRequest", publish=make("PublishRequest", events=[event(1)])))
        self.assertEqual(next(responses).published.results[0].outcome, 1)
        subscribe = make("SessionSubscribe", request=make("SubscribeRequest", patterns=["a"]))
        requests.put(make("SessionRequest", subscribe=subscribe))
        self.assertEqual(next(responses).fault.code, PERMISSION_DENIED)
        requests.put(None)

    def test_a_reader_ends_with_its_token(self):
        (reader, line_r), (writer, line_w) = make_token("r", "subscribe"), make_token("w", "publish")
        self.start("--tokens", self.write(line_r, line_w))
        bus = self.bus()
        stream = bus.Subscribe(make("SubscribeRequest", patterns=["game.>"]), **bearer(reader))
        stream.initial_metadata()
        self.write(line_w)
        self.daemon.process.send_signal(signal.SIGHUP)
        self.assertTrue(
            wait_until(lambda: self.code(bus.ListTopics, make("ListTopicsRequest"), **bearer(reader)) != Code.OK)
        )
        bus.Publish(make("PublishRequest", events=[event(1)]), **bearer(writer))
        with self.assertRaises(grpc.RpcError) as caught:
            next(stream)
        self.assertEqual(caught.exception.code(), Code.UNAUTHENTICATED)

    def test_the_rate_limit_counts_events(self):
        self.start("--rate-limit", "1", "--rate-burst", "5")
        bus = self.bus()
        publish(bus, *[event(i) for i in range(20)])
        self.assertEqual(self.code(bus.Publish, make("PublishRequest")), Code.RESOURCE_EXHAUSTED)


class Tls(GuardCase):
    def setUp(self):
        super().setUp()
        self.certs = Certs()
        self.addCleanup(self.certs.close)

    def credentials(self, name=None):
        def read(path):
            with open(path, "rb") as f:
                return f.read()

        pair = (read(self.certs.path(name + ".key")), read(self.certs.path(name + ".pem"))) if name else (None, None)
        return grpc.ssl_channel_credentials(read(self.certs.ca), *pair)

    def test_calls_of_every_kind(self):
        self.start(*self.certs.flags())
        bus = self.bus(self.credentials())
        reader = bus.Subscribe(make("SubscribeRequest", patterns=["game.>"]))
        reader.initial_metadata()
        requests = (make("PublishStreamRequest", request_id=i, events=[event(i)]) for i in range(300))
        self.assertEqual(len(list(bus.PublishStream(requests, timeout=20))), 300)
        got = []
        while len(got) < 300:
            got += [e.event.money_changed.new_value for e in next(reader).events]
        self.assertEqual(got, list(range(300)))
        reader.cancel()

    def test_a_certificate_is_who_it_names(self):
        for name in ("trainer", "guest"):
            self.certs.signed(name)
        tokens = self.write("cn:trainer publish")
        self.start(*self.certs.flags(), "--tls-client-ca", self.certs.ca, "--tokens", tokens)
        request = make("PublishRequest", events=[event(1)])
        codes = [self.code(self.bus(self.credentials(name)).Publish, request) for name in ("trainer", "guest", None)]
        self.assertEqual(codes, [Code.OK, Code.PERMISSION_DENIED, Code.UNAUTHENTICATED])


class BadLines(GuardCase):
    def over(self, line, credentials=None):
        proxy = FaultProxy(self.daemon.host, self.daemon.port, line)
        self.addCleanup(proxy.close)
        return self.bus(credentials, proxy.port)

    def converse(self, bus, name):
        """Publish by a stream and read by another; all in order."""
        topic = "line." + name.replace(" ", "_")
        reader = bus.Subscribe(make("SubscribeRequest", patterns=[topic]))
        reader.initial_metadata()
        events = [event(i, f"{name}-{i}") for i in range(60)]
        for e in events:
            e.topic = topic
        requests = (make("PublishStreamRequest", request_id=i + 1, events=[e]) for i, e in enumerate(events))
        answered = [r.request_id for r in bus.PublishStream(requests, timeout=20)]
        self.assertEqual(answered, list(range(1, 61)))
        got = []
        while len(got) < 60:
            got += [e.event.money_changed.new_value for e in next(reader).events]
        self.assertEqual(got, list(range(60)))
        reader.cancel()

    def test_a_line_that_slows_and_chops_changes_nothing(self):
        self.start()
        for name, line in LINES.items():
            with self.subTest(name):
                self.converse(self.over(line), name)

    def test_by_tls_too(self):
        certs = Certs()
        self.addCleanup(certs.close)
        self.start(*certs.flags())
        self.daemon.tls = certs.client()
        with open(certs.ca, "rb") as f:
            credentials = grpc.ssl_channel_credentials(f.read())
        for name, line in LINES.items():
            with self.subTest(name):
                self.converse(self.over(line, credentials), name)

    def test_what_is_cut_and_sent_again_is_published_once(self):
        self.start()
        proxy = FaultProxy(self.daemon.host, self.daemon.port)
        self.addCleanup(proxy.close)
        for i in range(20):
            request, seed, code = make("PublishRequest", events=[event(i, f"cut-{i}")]), 0, None
            while code != Code.OK:
                way = {"cut_in" if seed % 2 else "cut_out": 30 + 37 * ((i * 7 + seed) % 13)}
                proxy.line = Line(sizes=(1, 60), seed=seed, **(way if seed < 3 else {}))
                code = self.code(self.bus(port=proxy.port).Publish, request)
                self.assertIn(code, (Code.OK, Code.UNAVAILABLE, Code.CANCELLED, Code.UNKNOWN, Code.INTERNAL))
                seed += 1
                self.assertLess(seed, 50)
        self.assertGreater(proxy.n_cuts, 10)
        self.assertEqual(self.daemon.published(), 20)


if __name__ == "__main__":
    unittest.main()
