"""A client and a real jimbotd: killed at any time, behind TLS, with tokens, stopped in its tracks."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from drive import ClientCase

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../http"))
from certs import Certs  # noqa: E402
from daemon import JIMBOTD, Daemon  # noqa: E402

TLS_ANY = 8


def ids(prefix, n):
    return [f"{prefix}-{i}" for i in range(n)]


class DaemonCase(ClientCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="jimbot-client-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def start(self, *flags):
        daemon = Daemon(*flags, shm=self.folder)
        self.addCleanup(lambda: daemon.process.poll() is None and daemon.stop())
        self.addCleanup(lambda: daemon.process.poll() is None and daemon.process.send_signal(signal.SIGCONT))
        return daemon

    def hold(self, daemon):
        """Keep the bus while daemons come and go."""
        holder = daemon.tap("hold", "nobody.>", stdin=subprocess.PIPE)
        self.addCleanup(holder.communicate)

    def code_of(self, drive):
        end = time.monotonic() + 5
        while drive.say("status")["code"] == 0 and time.monotonic() < end:
            time.sleep(0.01)
        return drive.say("status")


class Killed(DaemonCase):
    SCHEME = "ws"

    def url(self, place):
        return f"{self.SCHEME}://{place}"

    def test_a_daemon_killed_again_and_again(self):
        daemon = self.start()
        place = f"{daemon.host}:{daemon.port}"
        self.hold(daemon)
        reader, publisher = self.drive(), self.drive()
        reader.open(self.url(place))
        reader.say("subscribe", "game.>", "now", 64)
        self.assertEqual(reader.say("live", 5)["live"], 1)
        publisher.open(self.url(place))
        rng = random.Random(5)
        for round_ in range(6):
            publisher.say("publish", 300, f"r{round_}")
            time.sleep(rng.random() * 0.03)
            daemon.process.kill()
            daemon.process.communicate()
            daemon = self.start("--http", place)
        self.assertEqual(publisher.say("flush", 15)["rc"], 0)
        stats = publisher.stats()
        self.books(stats)
        # A daemon that died between taking a batch and answering leaves it there twice; nothing is lost,
        # and what is repeated is whole batches, in order.
        want = [name for round_ in range(6) for name in ids(f"r{round_}", 300)]
        got = [event["id"] for event in reader.take(len(want), 15)]
        got += [event["id"] for event in reader.take(10_000, 0.3)]
        self.assertEqual(list(dict.fromkeys(got)), want)
        self.assertEqual(stats["published"], len(want))

    def test_one_that_stands_still_blocks_nobody(self):
        daemon = self.start()
        drive = self.drive()
        drive.open(self.url(f"{daemon.host}:{daemon.port}"), buffer_bytes=1 << 20, idle_ns=200_000_000)
        drive.wait(lambda stats: stats["connects"] == 1)
        daemon.process.send_signal(signal.SIGSTOP)
        answer = drive.say("publish", 20000, "a")
        self.assertLess(answer["longest_ns"], 1_000_000_000)
        self.assertGreater(answer["full"], 0)
        self.assertEqual(self.code_of(drive)["code"], -5)
        daemon.process.send_signal(signal.SIGCONT)
        self.assertEqual(drive.say("flush", 10)["rc"], 0)
        self.books(drive.stats())

    def test_a_small_ring_with_a_lossless_reader_loses_nothing(self):
        daemon = self.start("--bus-bytes", "65536")
        url = self.url(f"{daemon.host}:{daemon.port}")
        reader, publisher = self.drive(), self.drive()
        reader.open(url)
        reader.say("subscribe", "game.>", "now", 16, 65536, 0)
        reader.say("live", 5)
        publisher.open(url, buffer_bytes=8 << 20)
        publisher.say("publish", 5000, "a")
        publisher.wait(lambda stats: stats["retries"] > 0)
        self.assertEqual([event["id"] for event in reader.take(5000, 15)], ids("a", 5000))
        self.assertEqual(publisher.say("flush", 10)["rc"], 0)
        self.assertEqual(publisher.stats()["accepted"], 5000)


class KilledByGrpc(Killed):
    SCHEME = "grpc"

    def test_commands_and_large_events(self):
        daemon = self.start()
        drive = self.drive()
        drive.open(self.url(f"{daemon.host}:{daemon.port}"), buffer_bytes=8 << 20)
        drive.say("subscribe", "command.>,game.>", "now", 256, 8 << 20)
        drive.say("live", 5)
        drive.say("publish", 5, "big", 900_000)
        drive.say("command", "select_card", "3")
        self.assertEqual(drive.say("flush", 10)["rc"], 0)
        self.assertEqual([event["id"] for event in drive.take(5)], ids("big", 5))
        self.assertEqual([event["topic"] for event in drive.take(1)], ["command.select_card"])
        self.assertEqual(drive.say("status")["way"], 3)

    def test_what_is_no_grpc_is_said(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def serve():
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer:
                    peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    while peer.recv(4096):
                        pass

        threading.Thread(target=serve, daemon=True).start()
        drive = self.drive()
        drive.open(self.url(f"127.0.0.1:{listener.getsockname()[1]}"))
        drive.wait(lambda stats: stats["faults"] > 0)


class Secured(DaemonCase):
    def setUp(self):
        super().setUp()
        self.certs = Certs()
        self.addCleanup(self.certs.close)

    def test_a_good_certificate(self):
        daemon = self.start(*self.certs.flags())
        for address in ("wss://127.0.0.1", "wss://localhost", "grpcs://localhost"):
            drive = self.drive()
            drive.open(f"{address}:{daemon.port}", tls_ca=self.certs.ca)
            drive.say("publish", 2000, address)
            self.assertEqual(drive.say("flush", 10)["rc"], 0, drive.say("status"))
            self.assertEqual(drive.stats()["accepted"], 2000)

    def test_one_of_another_authority(self):
        daemon = self.start(*self.certs.flags())
        drive = self.drive()
        drive.open(f"wss://127.0.0.1:{daemon.port}", tls_ca=self.certs.authority("other"))
        status = self.code_of(drive)
        self.assertEqual(status["code"], -3)
        self.assertIn("certificate", status["message"])
        self.assertEqual(drive.stats()["connects"], 0)

    def test_one_for_another_host(self):
        daemon = self.start(*self.certs.flags())
        drive = self.drive()
        drive.open(f"wss://127.0.0.2:{daemon.port}", tls_ca=self.certs.ca)
        status = self.code_of(drive)
        self.assertNotEqual(status["code"], 0)
        self.assertEqual(drive.stats()["connects"], 0)

    def test_any_certificate_where_that_was_said(self):
        daemon = self.start(*self.certs.flags())
        drive = self.drive()
        drive.open(f"wss://127.0.0.1:{daemon.port}", flags=TLS_ANY)
        drive.wait(lambda stats: stats["connects"] == 1)

    def test_a_certificate_of_the_client(self):
        daemon = self.start(*self.certs.flags(), "--tls-client-ca", self.certs.ca)
        cert, key = self.certs.signed("mod")
        drive = self.drive()
        drive.open(f"wss://127.0.0.1:{daemon.port}", tls_ca=self.certs.ca)
        self.assertNotEqual(self.code_of(drive)["code"], 0)
        other = self.drive()
        other.open(f"wss://127.0.0.1:{daemon.port}", tls_ca=self.certs.ca, tls_cert=cert, tls_key=key)
        other.wait(lambda stats: stats["connects"] == 1)

    def test_files_that_cannot_be_used_are_named(self):
        answer = self.drive().open("wss://127.0.0.1:1", tls_ca="/nowhere/ca.pem")
        self.assertEqual(answer["error"], -3)
        self.assertIn("/nowhere/ca.pem", answer["message"])

    def test_tokens(self):
        path = os.path.join(self.folder, "tokens")
        words = [JIMBOTD, "--make-token", "mod", "publish,subscribe,command"]
        made = subprocess.run(words, check=True, text=True, capture_output=True).stdout
        token, line = made.strip().split("\n")
        with open(path, "w", encoding="ascii") as f:
            f.write(line + "\n")
        os.chmod(path, 0o600)
        daemon = self.start("--tokens", path)
        good, bad = self.drive(), self.drive()
        good.open(f"ws://{daemon.host}:{daemon.port}", token=token)
        good.say("publish", 3, "a")
        self.assertEqual(good.say("flush", 5)["rc"], 0, good.say("status"))
        bad.open(f"ws://{daemon.host}:{daemon.port}")
        self.assertEqual(self.code_of(bad)["code"], -16)
        good, bad = self.drive(), self.drive()
        good.open(f"grpc://{daemon.host}:{daemon.port}", token=token)
        good.wait(lambda stats: stats["connects"] == 1)
        bad.open(f"grpc://{daemon.host}:{daemon.port}")
        bad.say("publish", 3, "b")
        bad.wait(lambda stats: stats["refused"] == 3 or bad.say("status")["code"] == -16)
        self.assertEqual(bad.stats()["accepted"], 0)


if __name__ == "__main__":
    unittest.main()
