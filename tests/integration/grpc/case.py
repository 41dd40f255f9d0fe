"""A test with a daemon and a channel to it, both ended at the end."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "http"))

import grpc

import bus
from daemon import DaemonCase


class GrpcCase(DaemonCase):
    OPTIONS = ()

    def setUp(self):
        super().setUp()
        self.bus = self.connect()

    def connect(self, compression=None, options=()):
        """Another channel: with options of its own, so that grpcio does not share the connection."""
        target = "%s:%d" % (self.daemon.host, self.daemon.port)
        own = [("grpc.use_local_subchannel_pool", 1), *self.OPTIONS, *options]
        channel = bus.Bus(target, own, compression)
        self.addCleanup(channel.channel.close)
        return channel

    def assert_status(self, code, call, *args, **kwargs):
        """The call ends with this status; returns its message."""
        with self.assertRaises(grpc.RpcError) as caught:
            result = call(*args, **kwargs)
            if not hasattr(result, "DESCRIPTOR"):
                list(result)
        self.assertEqual(caught.exception.code(), code, caught.exception.details())
        return caught.exception.details()

    def calls(self, code):
        """How many calls ended with a status, as the metrics say."""
        return self.daemon.metrics().get("jimbot_grpc_calls_total", {}).get('code="%s"' % code, 0)
