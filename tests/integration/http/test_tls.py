"""TLS: who is spoken to and how, what is refused, and that it costs bounded memory."""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
import unittest
import warnings

from certs import Certs
from daemon import Daemon, event, read_answers, wait_until
from test_life import run
from test_wire import get, post

ERRORS = "jimbot_tls_errors_total"


class TlsCase(unittest.TestCase):
    FLAGS = ()
    CLIENT = None

    @classmethod
    def setUpClass(cls):
        cls.certs = Certs()
        cls.addClassCleanup(cls.certs.close)

    def setUp(self):
        self.start(*self.FLAGS)

    def start(self, *flags):
        self.daemon = Daemon(*self.certs.flags(), *flags, tls=self.certs.client(self.CLIENT))
        self.addCleanup(self.end, self.daemon)

    def end(self, daemon):
        self.assertEqual(daemon.stop(), 0, daemon.log)
        self.assertNotIn("Sanitizer", daemon.log)
        self.assertNotIn("runtime error", daemon.log)

    def errors(self, reason):
        return self.daemon.metrics()[ERRORS][f'reason="{reason}"']

    def plain(self):
        return socket.create_connection((self.daemon.host, self.daemon.port), timeout=20)


class Tls(TlsCase):
    def test_an_event_comes_in_and_the_banner_says_https(self):
        self.assertIn("https://127.0.0.1:", self.daemon.banner)
        self.assertEqual(self.daemon.post("/api/v1/events", event())[0], 200)
        self.assertEqual(self.daemon.published(), 1)
        self.assertGreaterEqual(self.daemon.metrics()["jimbot_tls_handshakes_total"][""], 2)

    @unittest.skipUnless(shutil.which("curl"), "curl is not installed")
    def test_curl_posts_over_both_versions(self):
        for version in ("1.2", "1.3"):
            done = subprocess.run(
                ["curl", "-sS", "--cacert", self.certs.ca, f"--tlsv{version}", "--tls-max", version, "--json",
                 json.dumps(event()), f"https://localhost:{self.daemon.port}/api/v1/events"],
                capture_output=True, text=True, timeout=20, check=False,
            )  # fmt: skip
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(json.loads(done.stdout)["accepted"], 1)

    @unittest.skipUnless(shutil.which("curl"), "curl is not installed")
    def test_http_2_is_agreed_on_where_it_is_spoken(self):
        context = self.certs.client()
        context.set_alpn_protocols(["h2", "http/1.1"])
        with context.wrap_socket(self.plain(), server_hostname="localhost") as s:
            agreed = s.selected_alpn_protocol()
        done = subprocess.run(
            ["curl", "-sS", "--http2", "--cacert", self.certs.ca, "-o", "/dev/null",
             "-w", "%{http_version} %{http_code}",
             f"https://localhost:{self.daemon.port}/health"],
            capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip
        self.assertEqual(done.stdout, "2 200" if agreed == "h2" else "1.1 200", done.stderr)

    def test_a_client_that_offers_nothing_of_ours_is_served_without_agreement(self):
        self.daemon.tls.set_alpn_protocols(["spdy/1"])
        with self.daemon.connect() as s:
            self.assertIsNone(s.selected_alpn_protocol())
            s.sendall(get())
            self.assertEqual(read_answers(s, 1)[0][0], 200)

    def test_old_versions_are_refused_and_counted(self):
        context = self.certs.client()
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        with self.plain() as s, self.assertRaises(ssl.SSLError):
            context.wrap_socket(s, server_hostname="localhost")
        self.assertEqual(self.errors("handshake"), 1)

    def test_http_1_1_is_agreed_on(self):
        self.daemon.tls.set_alpn_protocols(["http/1.1"])
        with self.daemon.connect() as s:
            self.assertEqual(s.selected_alpn_protocol(), "http/1.1")

    def test_plain_http_is_closed_cleanly_and_counted(self):
        with self.plain() as s:
            s.sendall(get())
            self.assertEqual(s.recv(100), b"")
        self.assertEqual(self.errors("plain_http"), 1)

    def test_noise_is_closed_and_counted(self):
        with self.plain() as s:
            s.sendall(os.urandom(4096))
            s.recv(4096)
        self.assertTrue(wait_until(lambda: self.errors("handshake") == 1))

    def test_a_pipeline_of_single_bytes(self):
        body = json.dumps(event()).encode()
        ours, theirs = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = self.certs.client().wrap_bio(ours, theirs, server_hostname="localhost")
        with self.plain() as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def step(work):
                while True:
                    try:
                        done = work()
                    except ssl.SSLWantReadError:
                        done = None
                    for byte in theirs.read():
                        s.sendall(bytes([byte]))
                    if done is not None:
                        return done
                    ours.write(s.recv(1))

            step(lambda: client.do_handshake() or True)
            step(lambda: client.write(post(body) + get(b"/nothing")))
            answer = b""
            while answer.count(b"HTTP/1.1 ") < 2 or not answer.endswith(b"}\n"):
                answer += step(lambda: client.read(65536))
        self.assertIn(b"HTTP/1.1 200 OK", answer)
        self.assertIn(b"HTTP/1.1 404 Not Found", answer)

    def test_a_body_of_many_records(self):
        events = [event(event_id=str(i), text="x" * 500) for i in range(5000)]
        self.assertEqual(self.daemon.post("/api/v1/events/batch", events)[0], 200)
        self.assertEqual(self.daemon.published(), 5000)

    def test_the_end_is_said(self):
        with self.daemon.connect() as s:
            s.sendall(get(extra=b"Connection: close\r\n"))
            self.assertEqual(read_answers(s, 2)[0][0], 200)
            self.assertEqual(s.recv(1), b"")  # without close_notify it would raise

    def test_a_client_that_says_the_end_is_answered_first(self):
        with self.daemon.connect() as s:
            s.sendall(get(b"/metrics"))
            answer = s.recv(65536)
            self.assertIn(b"200 OK", answer)
            s.settimeout(10)
            s.unwrap()  # raises when the server does not say it too

    def test_a_client_that_does_not_read_is_held_and_then_gets_all(self):
        n, one = 1 << 15, get(b"/metrics", extra=b"X: " + b"y" * 1000 + b"\r\n")
        before = self.memory()
        with self.daemon.connect() as s:
            s.settimeout(0.5)
            data, sent = one * n, 0  # more than all buffers on the way take
            try:
                while sent < len(data):
                    sent += s.send(data[sent : sent + 16384])
            except TimeoutError:
                pass
            self.assertLess(sent, len(data))
            self.assertLess(self.memory() - before, 4 << 20)
            s.settimeout(20)
            asked = sent // len(one)
            answers = read_answers(s, asked)
            self.assertEqual([a[0] for a in answers], [200] * asked)
            self.assertLess(self.memory() - before, 4 << 20)

    def memory(self):
        with open(f"/proc/{self.daemon.process.pid}/maps", encoding="ascii") as f:
            if "libasan" in f.read():
                return 0  # it keeps what was freed
        with open(f"/proc/{self.daemon.process.pid}/status", encoding="ascii") as f:
            page = f.read()
        return int(page.split("RssAnon:")[1].split()[0]) << 10

    def test_a_killed_client_leaves_nothing_behind(self):
        for n in (1, 5, 100, 200, 300):
            with self.plain() as s:
                ours, theirs = ssl.MemoryBIO(), ssl.MemoryBIO()
                client = self.certs.client().wrap_bio(ours, theirs, server_hostname="localhost")
                with self.assertRaises(ssl.SSLWantReadError):
                    client.do_handshake()
                s.sendall(theirs.read()[:n])
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.assertTrue(wait_until(lambda: self.daemon.metrics()["jimbot_http_connections"][""] == 1))

    def test_a_unix_socket_speaks_without(self):
        path = self.certs.path("plain.sock")
        self.start("--unix", path)
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(path)
            s.sendall(get())
            self.assertEqual(read_answers(s, 1)[0][0], 200)


class Slow(TlsCase):
    FLAGS = ("--header-timeout", "0.4", "--idle-timeout", "0.8")

    def test_a_handshake_that_does_not_come_to_its_end_is_closed(self):
        with self.plain() as s:
            start = time.monotonic()
            s.sendall(b"\x16\x03\x01")
            self.assertEqual(s.recv(100), b"")
            self.assertLess(time.monotonic() - start, 5)
        self.assertEqual(self.daemon.metrics()["jimbot_http_timeouts_total"][""], 1)


    def test_a_record_that_trickles_is_no_sign_of_life(self):
        ours, theirs = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = self.certs.client().wrap_bio(ours, theirs, server_hostname="localhost")
        with self.plain() as s:
            done = False
            while not done:
                try:
                    client.do_handshake()
                    done = True
                except ssl.SSLWantReadError:
                    s.sendall(theirs.read())
                    ours.write(s.recv(65536))
            s.sendall(theirs.read())
            client.write(get())
            start, closed = time.monotonic(), False
            s.settimeout(0.1)
            for byte in theirs.read()[:-1]:
                try:
                    s.sendall(bytes([byte]))
                    closed = s.recv(65536) == b""
                except TimeoutError:
                    continue
                except OSError:
                    closed = True
                if closed:
                    break
            self.assertTrue(closed)
            self.assertLess(time.monotonic() - start, 4)


class Reload(TlsCase):
    def serial(self):
        with self.daemon.connect() as s:
            return s.getpeercert()["serialNumber"]

    def test_a_new_certificate_is_shown_and_open_connections_go_on(self):
        before = self.serial()
        with self.daemon.connect() as s:
            self.certs.signed("server")
            self.daemon.process.send_signal(signal.SIGHUP)
            self.assertTrue(wait_until(lambda: self.serial() != before))
            s.sendall(get())
            self.assertEqual(read_answers(s, 1)[0][0], 200)

    def test_a_wrong_file_leaves_the_old_one_and_is_logged(self):
        before = self.serial()
        self.addCleanup(self.certs.signed, "server")
        with open(self.certs.cert, "w", encoding="ascii") as f:
            f.write("no certificate\n")
        self.daemon.process.send_signal(signal.SIGHUP)
        line = self.daemon.process.stderr.readline()
        self.assertIn("certificates stay as they were: " + self.certs.cert, line)
        self.assertEqual(self.serial(), before)


class Mutual(TlsCase):
    CLIENT = "client"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.certs.signed("client")
        cls.certs.authority("stranger")
        cls.certs.signed("guest", ca="stranger")

    def setUp(self):
        self.start("--tls-client-ca", self.certs.ca)

    def test_a_client_of_ours_is_served(self):
        self.assertEqual(self.daemon.post("/api/v1/events", event())[0], 200)

    def test_others_are_refused_and_counted(self):
        for name in (None, "guest"):
            context = self.certs.client(name)
            with self.assertRaises((ssl.SSLError, ConnectionResetError)):
                with context.wrap_socket(self.plain(), server_hostname="localhost") as s:
                    s.sendall(get())
                    s.recv(1)
        self.assertEqual(self.errors("handshake"), 2)


class Start(unittest.TestCase):
    def test_files_that_are_wrong_are_exit_2_and_named(self):
        certs = Certs()
        self.addCleanup(certs.close)
        other = certs.signed("other")[1]
        open_key = certs.signed("open")[1]
        os.chmod(open_key, 0o644)
        for flags, word in (
            (["--tls-cert", certs.cert], "tls_key"),
            (["--tls-client-ca", certs.ca], "tls_cert"),
            (["--tls-cert", "/nonexistent.pem", "--tls-key", certs.key], "/nonexistent.pem"),
            (["--tls-cert", certs.cert, "--tls-key", other], other),
            (["--tls-cert", certs.path("open.pem"), "--tls-key", open_key], "chmod"),
            ([*certs.flags(), "--tls-client-ca", certs.key], certs.key),
        ):
            with self.subTest(flags=flags):
                done = run(*flags)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(word, done.stderr)


if __name__ == "__main__":
    unittest.main()
