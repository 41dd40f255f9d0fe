"""gRPC over TLS, by ALPN, and over a Unix socket."""

import os
import unittest

import case  # noqa: F401 - first: it says where the modules of the other folder are
import grpc
from bus import Bus, event, make, publish
from certs import Certs
from daemon import Daemon


class Secure(unittest.TestCase):
    def start(self, *flags, **how):
        daemon = Daemon(*flags, **how)
        self.addCleanup(self.end, daemon)
        return daemon

    def end(self, daemon):
        self.assertEqual(daemon.stop(), 0, daemon.log)
        self.assertNotIn("Sanitizer", daemon.log)

    def read_back(self, bus):
        """Publish and read the same; a megabyte, so that it takes many records of TLS."""
        reader = bus.Subscribe(make("SubscribeRequest", patterns=["game.>"]))
        reader.initial_metadata()
        publish(bus, *[event(i, text="x" * 10_000) for i in range(100)])
        got = []
        while len(got) < 100:
            got += [e.event.money_changed.new_value for e in next(reader).events]
        self.assertEqual(got, list(range(100)))
        reader.cancel()

    def test_tls_and_a_client_that_trusts_nobody_here(self):
        certs = Certs()
        self.addCleanup(certs.close)
        daemon = self.start(*certs.flags(), tls=certs.client())
        with open(certs.ca, "rb") as f:
            credentials = grpc.ssl_channel_credentials(f.read())
        with Bus("localhost:%d" % daemon.port, credentials=credentials) as bus:
            self.read_back(bus)
        stranger = grpc.ssl_channel_credentials()
        with Bus("localhost:%d" % daemon.port, credentials=stranger) as bus, self.assertRaises(grpc.RpcError) as e:
            publish(bus, event(1))
        self.assertEqual(e.exception.code(), grpc.StatusCode.UNAVAILABLE)

    def test_a_unix_socket(self):
        daemon = self.start("--unix", os.path.join(os.environ.get("TMPDIR", "/tmp"), "jimbot-grpc-%d" % os.getpid()))
        path = daemon.process.args[daemon.process.args.index("--unix") + 1]
        with Bus("unix:" + path) as bus:
            self.read_back(bus)
