"""What whoever runs the daemon lives on: checked settings, reload, logs, readiness, a service manager."""

import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import unittest

from daemon import JIMBOTD, Daemon, DaemonCase, event, wait_until
from test_access import bearer, make_token


def environment(shm, **more):
    env = {k: v for k, v in os.environ.items() if not k.startswith("JIMBOTD_")}
    return {**env, "JIMBOT_SHM_DIR": shm, **more}


class CheckConfig(unittest.TestCase):
    def check(self, text, *flags):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "jimbotd.ini")
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
            return subprocess.run([JIMBOTD, "--config", path, "--check-config", *flags], text=True, timeout=20,
                                  env=environment(folder), capture_output=True, check=False)

    def test_good_settings_are_printed_as_a_file_that_is_good_again(self):
        done = self.check("max_body_bytes = 2M\nidle_timeout = 1.5\nlog_format = json\n", "--http", "[::1]:0")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for line in ("http = [::1]:0", "max_body_bytes = 2097152", "idle_timeout = 1.5", "log_format = json"):
            self.assertIn(line, done.stdout.splitlines())
        again = self.check(done.stdout)
        self.assertEqual((again.returncode, again.stdout), (0, done.stdout))

    def test_what_is_wrong_is_named_and_exit_code_2(self):
        for text, word in (("max_connections = 0\n", "max_connections"), ("nonsense = 1\n", "nonsense"),
                           ("tokens = /nonexistent\n", "/nonexistent"), ("tls_key = x\n", "tls_cert"),
                           ("tls_cert = /nonexistent\ntls_key = x\n", "/nonexistent"),
                           ("max_body_bytes = 8M\nmax_buffered_bytes = 1M\n", "max_buffered_bytes")):
            with self.subTest(text=text):
                done = self.check(text)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertIn(word, done.stderr)

    def test_it_leaves_no_bus_behind(self):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([JIMBOTD, "--check-config"], env=environment(folder), stdout=subprocess.DEVNULL,
                           timeout=20, check=True)
            self.assertEqual(os.listdir(folder), [])


class Reload(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = os.path.join(self.folder.name, "jimbotd.ini")

    def write(self, text):
        with open(self.path, "w", encoding="utf-8") as f:
            f.write(text)

    def start(self, text):
        self.write(text)
        self.daemon = Daemon("--config", self.path)
        self.addCleanup(self.daemon.stop)

    def post(self, n):
        return self.daemon.post("/api/v1/events", event(text="x" * n))[0]

    def test_a_limit_changes_without_a_restart_and_requests_go_on(self):
        self.start("max_body_bytes = 64K\n")
        c = http.client.HTTPConnection(self.daemon.host, self.daemon.port, timeout=20)
        c.request("GET", "/health")
        self.assertEqual(c.getresponse().read()[:1], b"{")
        self.assertEqual(self.post(10000), 200)
        self.write("max_body_bytes = 2K\n")
        self.daemon.process.send_signal(signal.SIGHUP)
        self.assertTrue(wait_until(lambda: self.post(10000) == 413))
        c.request("GET", "/health")
        self.assertEqual(c.getresponse().status, 200)
        c.close()

    def test_wrong_settings_are_said_and_leave_the_old(self):
        self.start("max_body_bytes = 64K\n")
        self.write("max_body_bytes = 5\n")
        self.daemon.process.send_signal(signal.SIGHUP)
        self.assertEqual(self.post(10000), 200)
        self.assertEqual(self.daemon.stop(), 0)
        self.assertIn("the settings stay as they were: max_body_bytes is out of its range: 5", self.daemon.log)

    def test_the_rate_changes_though_the_tokens_are_wrong(self):
        token, line = make_token("one", "admin")
        tokens = self.path + ".tokens"
        with open(tokens, "w", encoding="ascii") as f:
            f.write(line + "\n")
        os.chmod(tokens, 0o600)
        self.start(f"tokens = {tokens}\n")
        with open(tokens, "a", encoding="ascii") as f:
            f.write("no line of it\n")
        self.write(f"tokens = {tokens}\nrate_limit = 1\n")
        self.daemon.process.send_signal(signal.SIGHUP)
        ask = ("GET", "/api/v1/stats", None, bearer(token))
        self.assertTrue(wait_until(lambda: self.daemon.request(*ask)[0] == 429))
        self.assertEqual(self.daemon.stop(), 0)
        self.assertIn("the tokens stay as they were", self.daemon.log)

    def test_what_needs_a_restart_is_said(self):
        self.start("dedupe_window = 100\nlog_level = warn\n")
        self.write("dedupe_window = 200\nlog_level = info\n")
        self.daemon.process.send_signal(signal.SIGHUP)
        self.assertEqual(self.post(10), 200)
        self.assertEqual(self.daemon.stop(), 0)
        self.assertIn("dedupe_window has changed; that needs a restart", self.daemon.log)
        self.assertIn("log_level has changed", self.daemon.log)


class Logs(DaemonCase):
    FLAGS = ("--log-format", "json", "--log-level", "debug")

    def test_each_line_is_an_object_with_time_level_and_message(self):
        self.daemon.post("/api/v1/commands", {"type": "play_hand"})
        self.assertEqual(self.daemon.stop(), 0)
        lines = [json.loads(line) for line in self.daemon.log.splitlines()]
        self.assertGreater(len(lines), 0)
        for line in lines:
            self.assertEqual(set(line), {"time", "level", "message"})
            self.assertRegex(line["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")


class Ready(DaemonCase):
    def test_alive_and_ready(self):
        for path in ("/health", "/ready"):
            status, _, body = self.daemon.request("GET", path)
            self.assertEqual((status, json.loads(body)["status"]), (200, "ok"))

    def test_who_stops_is_alive_and_not_ready(self):
        with self.daemon.connect() as s:
            s.sendall(b"POST /api/v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{")
            self.daemon.wait_for_connections(1)
            c = [http.client.HTTPConnection(self.daemon.host, self.daemon.port, timeout=20) for _ in range(2)]
            for one in c:
                one.connect()
            self.daemon.wait_for_connections(3)
            # Both requests are begun before the signal, so the drain waits for them.
            for one in c:
                one.sock.sendall(b"GET /")
            self.daemon.request("GET", "/health")
            self.daemon.process.terminate()
            wait_until(lambda: not self.is_listening())
            answers = []
            for one, path in zip(c, (b"health", b"ready")):
                one.sock.sendall(path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
                answers.append(one.sock.recv(64)[:12])
                one.close()
            self.assertEqual(answers, [b"HTTP/1.1 200", b"HTTP/1.1 503"])

    def is_listening(self):
        try:
            socket.create_connection((self.daemon.host, self.daemon.port), timeout=5).close()
        except OSError:
            return False
        return True


class Manager(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.shm = folder.name
        path = os.path.join(self.shm, "notify")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.notify.close)
        self.notify.bind(path)
        self.notify.settimeout(20)
        self.env = {"NOTIFY_SOCKET": path}

    def test_the_manager_hears_of_start_reload_and_stop(self):
        d = Daemon(env=self.env, shm=self.shm)
        self.assertEqual(self.notify.recv(100), b"READY=1")
        d.process.send_signal(signal.SIGHUP)
        self.assertRegex(self.notify.recv(100), rb"^RELOADING=1\nMONOTONIC_USEC=\d+$")
        self.assertEqual(self.notify.recv(100), b"READY=1")
        self.assertEqual(d.stop(), 0)
        self.assertEqual(self.notify.recv(100), b"STOPPING=1")

    def test_sockets_that_are_handed_over_are_listened_on(self):
        tcp = socket.create_server(("127.0.0.1", 0))
        unix = socket.socket(socket.AF_UNIX)
        path = os.path.join(self.shm, "handed.sock")
        unix.bind(path)
        # The child's number is known only to itself: a shell says it and becomes the daemon.
        line = 'exec 3<&%d 4<&%d; LISTEN_FDS=2 LISTEN_PID=$$ exec "$0" --bus test' % (tcp.fileno(), unix.fileno())
        process = subprocess.Popen(["sh", "-c", line, JIMBOTD], env=environment(self.shm), text=True,
                                   pass_fds=(tcp.fileno(), unix.fileno()), stdout=subprocess.PIPE)
        try:
            self.assertIn(f"http://127.0.0.1:{tcp.getsockname()[1]},", process.stdout.readline())
            for family, at in ((socket.AF_INET, tcp.getsockname()), (socket.AF_UNIX, path)):
                with socket.socket(family) as s:
                    s.settimeout(20)
                    s.connect(at)
                    s.sendall(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    self.assertEqual(s.recv(64)[:12], b"HTTP/1.1 200")
        finally:
            process.terminate()
            self.assertEqual(process.wait(20), 0)
            process.stdout.close()
            tcp.close()
            unix.close()


if __name__ == "__main__":
    unittest.main()
