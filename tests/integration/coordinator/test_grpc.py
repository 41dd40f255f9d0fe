"""The coordinator over gRPC, by grpcio: leases, lines, clients that die, watches, status streams."""

import os
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "grpc"))
os.environ.setdefault("DESCRIPTORS", os.environ["COORDINATOR_PB"])

import grpc
from bus import load_pool
from daemon_case import CoordinatorCase, wait_until
from google.protobuf import message_factory
from grpc import StatusCode as Code
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

SECOND, SERVICE = 1_000_000_000, "jimbot.v1.ResourceCoordinator"
POOL = load_pool(os.environ["COORDINATOR_PB"])
RELEASED, EXPIRED, REVOKED = 1, 2, 3


def make(name, **fields):
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName("jimbot.v1." + name))(**fields)


class Client:
    """A channel, with each call of the contract as a method."""

    def __init__(self, target):
        self.channel = grpc.insecure_channel(target, [("grpc.use_local_subchannel_pool", 1)])
        for m in POOL.FindServiceByName(SERVICE).methods:
            maker = self.channel.unary_stream if m.server_streaming else self.channel.unary_unary
            answer = message_factory.GetMessageClass(m.output_type)
            setattr(self, m.name, maker(f"/{SERVICE}/{m.name}", request_serializer=lambda r: r.SerializeToString(),
                                        response_deserializer=answer.FromString))

    def request(self, component="trainer", future=False, wait_ns=0, hold_ns=0, **amounts):
        wish = make("RequestResourceRequest", component=component,
                    amounts=[make("ResourceAmount", resource=r, amount=a) for r, a in amounts.items()])
        if wait_ns:
            wish.wait_ns = wait_ns
        if hold_ns:
            wish.hold_ns = hold_ns
        return self.RequestResource.future(wish, timeout=30) if future else self.RequestResource(wish, timeout=30).lease

    def release(self, lease):
        request = make("ReleaseResourceRequest", lease_id=lease.lease_id, token=lease.token)
        return self.ReleaseResource(request, timeout=30)

    def watch(self, lease, **fields):
        request = make("WatchLeaseRequest", lease_id=lease.lease_id, token=lease.token, **fields)
        return self.WatchLease(request, timeout=30)


class GrpcCase(CoordinatorCase):
    def setUp(self):
        super().setUp()
        self.client = self.connect()

    def connect(self):
        client = Client(f"{self.daemon.host}:{self.daemon.port}")
        self.addCleanup(client.channel.close)
        return client

    def assert_status(self, code, call, *args, **kwargs):
        with self.assertRaises(grpc.RpcError) as caught:
            call(*args, **kwargs)
        self.assertEqual(caught.exception.code(), code, caught.exception.details())


class Leases(GrpcCase):
    def test_a_lease_is_got_and_released_once(self):
        lease = self.client.request(ram=600)
        self.assertEqual((self.allocated(), lease.component, lease.amounts[0].amount), (600, "trainer", 600))
        self.assertGreater(self.client.release(lease).held_ns, 0)
        self.assert_status(Code.NOT_FOUND, self.client.release, lease)
        self.assertEqual(self.allocated(), 0)

    def test_denials_have_their_codes(self):
        self.client.request(component="game", ram=1000)
        for code, wish in ((Code.RESOURCE_EXHAUSTED, {"ram": 1}), (Code.OUT_OF_RANGE, {"ram": 5000}),
                           (Code.NOT_FOUND, {"disk": 1}), (Code.INVALID_ARGUMENT, {}),
                           (Code.DEADLINE_EXCEEDED, {"ram": 1, "wait_ns": 50_000_000})):
            self.assert_status(code, self.client.request, **wish)

    def test_one_that_is_cancelled_is_out_of_the_line(self):
        held = self.client.request(component="game", ram=1000)
        futures = [self.client.request(ram=100, wait_ns=20 * SECOND, future=True) for _ in range(5)]
        self.wait_waiting(5)
        for f in futures[:2]:
            f.cancel()
        self.wait_waiting(3)
        self.client.release(held)
        self.assertEqual(len({f.result().lease.token for f in futures[2:]}), 3)
        self.assertEqual(self.allocated(), 300)

    def test_a_renewal_keeps_a_lease_and_silence_loses_it(self):
        lease = self.client.request(ram=10, hold_ns=SECOND // 2)
        for _ in range(6):
            time.sleep(0.15)
            self.client.RenewLease(make("RenewLeaseRequest", lease_id=lease.lease_id, token=lease.token,
                                        hold_ns=SECOND // 2), timeout=5)
        self.assertEqual(self.allocated(), 10)
        self.wait_allocated(0)

    def test_many_clients_never_have_more_than_there_is(self):
        problems = []

        def work(n):
            client = self.connect()
            for i in range(40):
                lease = client.request(component=("trainer", "game")[n % 2], ram=100 + 10 * (i % 20),
                                       wait_ns=20 * SECOND)
                if self.allocated() > 1000:
                    problems.append("too much")
                client.release(lease)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual((problems, self.allocated()), ([], 0))


class Watches(GrpcCase):
    def test_a_watch_tells_of_the_end_and_how(self):
        lease = self.client.request(ram=10)
        watch = self.client.watch(lease)
        self.assertTrue(wait_until(lambda: watch.initial_metadata() is not None))
        self.client.release(lease)
        self.assertEqual([(m.reason, m.HasField("left_ns")) for m in watch], [(RELEASED, False)])

    def test_a_watch_warns_before_the_deadline(self):
        lease = self.client.request(ram=10, hold_ns=SECOND // 2)
        said = list(self.client.watch(lease, warn_ns=SECOND // 5))
        self.assertEqual([m.reason for m in said], [EXPIRED, EXPIRED])
        self.assertTrue(0 < said[0].left_ns <= SECOND // 5)
        self.assertFalse(said[1].HasField("left_ns"))

    def test_a_lease_that_is_kept_by_a_watch_ends_with_it(self):
        lease, other = self.client.request(ram=10), self.client.request(ram=20)
        watch, loose = self.client.watch(lease, is_kept=True), self.client.watch(other)
        watch.initial_metadata(), loose.initial_metadata()
        watch.cancel(), loose.cancel()
        self.wait_allocated(20)

    def test_a_client_that_is_killed_loses_what_its_watch_kept(self):
        code = ("import sys, time; sys.path.insert(0, '.'); from test_grpc import Client; c = Client(sys.argv[1]);"
                "lease = c.request(ram=700); w = c.watch(lease, is_kept=True); w.initial_metadata();"
                "print('ready', flush=True); time.sleep(60)")
        child = subprocess.Popen([sys.executable, "-c", code, f"{self.daemon.host}:{self.daemon.port}"],
                                 stdout=subprocess.PIPE, text=True, cwd=os.path.dirname(os.path.abspath(__file__)))
        self.assertEqual(child.stdout.readline(), "ready\n")
        waiting = self.client.request(component="game", ram=900, wait_ns=20 * SECOND, future=True)
        self.wait_waiting(1)
        child.send_signal(signal.SIGKILL)
        child.communicate()
        self.assertEqual(waiting.result().lease.amounts[0].amount, 900)
        self.assertEqual(self.allocated(), 900)

    def test_a_watch_of_nothing_is_not_found(self):
        lease = self.client.request(ram=10)
        self.client.release(lease)
        self.assert_status(Code.NOT_FOUND, lambda: list(self.client.watch(lease)))


class Status(GrpcCase):
    def test_a_stream_shows_what_changes(self):
        stream = self.client.StreamResourceStatus(
            make("StreamResourceStatusRequest", resource="ram", every_ns=20_000_000), timeout=20)
        self.assertEqual(next(stream).resources[0].allocated, 0)
        self.client.request(ram=123)
        self.assertTrue(any(m.resources[0].allocated == 123 for _, m in zip(range(50), stream)))
        stream.cancel()

    def test_the_service_is_reflected(self):
        db = ProtoReflectionDescriptorDatabase(self.client.channel)
        self.assertIn(SERVICE, db.get_services())
        self.assertEqual(db.FindFileContainingSymbol(SERVICE).name, "jimbot/v1/resource_coordinator.proto")

    def test_health_counts(self):
        self.client.request(ram=1)
        health = self.client.HealthCheck(make("HealthCheckRequest"), timeout=5)
        self.assertEqual((health.is_serving, health.n_leases, health.n_waiting), (True, 1, 0))
